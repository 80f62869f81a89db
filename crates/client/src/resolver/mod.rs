//! Finds the addresses of a host name: `/etc/hosts`, then the name servers of `/etc/resolv.conf`, or for `.local` the network
//! itself (multicast DNS).
//!
//! Not the resolver of the C library: a static binary has none that works (glibc loads parts of it at run time), and it has no
//! deadline. What is not here: caching, DNSSEC (the broker's certificate says who it is, not its address), and other sources of
//! `/etc/nsswitch.conf`.

mod hosts;
mod question;
mod server;

use crate::clock;
use crate::limits::{ADDRESSES, NAME_FILE_BYTES, NAME_SERVERS, SEARCH_DOMAINS};
pub(crate) use hosts::in_hosts;
#[cfg(feature = "decoders")]
pub(crate) use question::{Answer, Question};
use resolv_conf::{Config, ScopedIp};
use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The port of DNS (RFC 1035 §4.2).
const DNS: u16 = 53;

/// Where whoever has a `.local` name is asked (RFC 6762 §3).
const MULTICAST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(224, 0, 0, 251)), 5353);

/// How long a question to the network waits: who has the name answers at once (RFC 6762 §6).
const MULTICAST_PATIENCE: Duration = Duration::from_secs(2);

/// The longest that one server is waited for, whatever `options timeout` says, and the most rounds.
const SERVER_PATIENCE: Duration = Duration::from_secs(5);
const ROUNDS: u32 = 3;

/// Says why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// No name can look like that.
    #[error("it is no host name")]
    Invalid,
    /// Whoever was asked does not know it.
    #[error("neither /etc/hosts nor the name servers know it")]
    Unknown,
    /// Nobody on this network answers to it.
    #[error(
        "it is not in /etc/hosts, and nobody on this network answers to it (multicast DNS, which does not cross routers or container networks)"
    )]
    NobodyHere,
    /// There is nobody to ask.
    #[error("it is not in /etc/hosts, and /etc/resolv.conf names no name server")]
    NoServer,
    /// Nobody answered.
    #[error("no answer came in time from the name servers of /etc/resolv.conf ({0})")]
    Silent(String),
}

/// Returns the addresses of `host`, at most 16, by `deadline`. A text that is an address is its own answer.
///
/// # Errors
/// [`ResolveError`].
pub fn addresses(host: &str, deadline: Instant) -> Result<Vec<IpAddr>, ResolveError> {
    Resolver::of_system().addresses(host, deadline)
}

/// Returns the addresses of `host` as [`addresses`] does, within `patience` from now.
///
/// # Errors
/// [`ResolveError`].
pub fn addresses_within(host: &str, patience: Duration) -> Result<Vec<IpAddr>, ResolveError> {
    addresses(host, clock::now() + patience)
}

/// Holds where names are looked up.
struct Resolver {
    hosts: PathBuf,
    config: PathBuf,
    port: u16,
    multicast: SocketAddr,
}

impl Resolver {
    fn of_system() -> Self {
        Self {
            hosts: "/etc/hosts".into(),
            config: "/etc/resolv.conf".into(),
            port: DNS,
            multicast: MULTICAST,
        }
    }

    fn addresses(&self, host: &str, deadline: Instant) -> Result<Vec<IpAddr>, ResolveError> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        if !question::is_host_name(&name) {
            return Err(ResolveError::Invalid);
        }
        let known = in_hosts(&read(&self.hosts).unwrap_or_default(), &name);
        if !known.is_empty() {
            return Ok(known);
        }
        // RFC 6761 §6.3: never asked for.
        if name == "localhost" || name.ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        if name.ends_with(".local") {
            return self.ask_network(&name, deadline);
        }
        self.ask_servers(&name, host.ends_with('.'), deadline)
    }

    fn ask_network(&self, name: &str, deadline: Instant) -> Result<Vec<IpAddr>, ResolveError> {
        let until = deadline.min(clock::now() + MULTICAST_PATIENCE);
        match server::ask_network(self.multicast, name, until) {
            Ok(found) if !found.is_empty() => Ok(found),
            _ => Err(ResolveError::NobodyHere),
        }
    }

    fn ask_servers(
        &self,
        name: &str,
        is_whole: bool,
        deadline: Instant,
    ) -> Result<Vec<IpAddr>, ResolveError> {
        let mut config = Config::parse_with_errors(&read(&self.config).unwrap_or_default()).0;
        config.nameservers.truncate(NAME_SERVERS);
        let servers: Vec<SocketAddr> = config.nameservers.iter().filter_map(|ip| self.server(ip)).collect();
        if servers.is_empty() {
            return Err(ResolveError::NoServer);
        }
        let mut outcome = ResolveError::Unknown;
        for name in candidates(name, is_whole, &config) {
            match ask_all(&servers, &config, &name, deadline) {
                Some(found) if !found.is_empty() => return Ok(found),
                Some(_) => {}
                None => {
                    let servers: Vec<String> = servers.iter().map(|server| server.ip().to_string()).collect();
                    outcome = ResolveError::Silent(servers.join(", "));
                }
            }
        }
        Err(outcome)
    }

    fn server(&self, ip: &ScopedIp) -> Option<SocketAddr> {
        // A link-local server needs the number of its interface, which this cannot find out.
        match ip {
            ScopedIp::V4(ip) => Some((*ip, self.port).into()),
            ScopedIp::V6(ip, None) => Some((*ip, self.port).into()),
            ScopedIp::V6(_, Some(_)) => None,
        }
    }
}

/// Asks the servers in turn, in rounds; `None` if none of them answered.
fn ask_all(servers: &[SocketAddr], config: &Config, name: &str, deadline: Instant) -> Option<Vec<IpAddr>> {
    let patience = Duration::from_secs(config.timeout.into()).clamp(Duration::from_secs(1), SERVER_PATIENCE);
    for _ in 0..config.attempts.clamp(1, ROUNDS) {
        for server in servers {
            let until = deadline.min(clock::now() + patience);
            if clock::now() >= until {
                return None;
            }
            if let Ok(mut found) = server::ask(*server, name, until) {
                found.truncate(ADDRESSES);
                return Some(found);
            }
        }
    }
    None
}

/// Returns the names to ask for, in order: a name with few dots is tried in the search domains first (resolv.conf(5)).
fn candidates(name: &str, is_whole: bool, config: &Config) -> Vec<String> {
    if is_whole {
        return vec![name.to_owned()];
    }
    let domains = config.get_last_search_or_domain().take(SEARCH_DOMAINS);
    let mut names: Vec<String> =
        domains.map(|domain| format!("{name}.{}", domain.trim_matches('.'))).collect();
    names.retain(|name| question::is_host_name(name));
    let has_dots = u32::try_from(name.matches('.').count()).is_ok_and(|dots| dots >= config.ndots);
    names.insert(if has_dots { 0 } else { names.len() }, name.to_owned());
    names
}

/// Reads a file of the system; a longer one is cut off.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(NAME_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
