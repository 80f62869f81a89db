//! Arguments of the commands about the broker: starting it, its names and listeners, rules, refusals, audit.

use clap::{Args, Subcommand, ValueEnum};
use keyward_ids::Identity;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Listen on this port instead of the configured one
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// Listen on this address of the machine instead of the configured ones, for instance 127.0.0.1
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: Option<IpAddr>,
    /// A name or address by which clients reach this machine; may be given more than once
    #[arg(long = "name", value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Let a debugger look into the process (its memory holds keys)
    #[arg(long)]
    pub(crate) dumpable: bool,
    /// How log lines are written, instead of the configured way
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) log: Option<LogFormat>,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// What the installation is held to
    #[arg(long, value_enum, value_name = "PROFILE", default_value = "home")]
    pub(crate) profile: DoctorProfile,
    /// End with exit code 1 if anything is weak
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DoctorProfile {
    /// A house: what strangers could use
    Home,
    /// A company: also what one stolen device or one of its own people could use
    Commercial,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Read the rules and say what is wrong, or what never applies
    #[command(after_help = "\
Examples:
  keyward policy check             before `keyward reload`")]
    Check,
    /// Say whether something is allowed, which rule decides, and what would allow it
    #[command(after_help = "\
Examples:
  keyward policy explain --as device:dev01 publish dev01/status
  keyward policy explain --as user:app subscribe '#'
  keyward policy explain --as user:app receive dev01/status
  keyward policy explain --as user:app --client app-1 publish clients/app-1/state

The question was answered either way: the exit code is 0 for allowed and for denied. Scripts read
`allowed` with --json.")]
    Explain(ExplainArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum PresetCommand {
    /// List the presets, and for what they are
    #[command(after_help = "\
Examples:
  keyward preset list")]
    List,
    /// Print the rules of a preset, before anything is filled in
    #[command(after_help = "\
Examples:
  keyward preset show home-assistant
  keyward user add ha --preset home-assistant           gives a new user these rules")]
    Show {
        /// Which preset
        name: String,
    },
}

/// Says which preset somebody who is there already gets, or that it is taken away.
#[derive(Debug, Args)]
pub(crate) struct PresetArgs {
    /// The preset; `keyward preset list` names them
    #[arg(long, value_name = "PRESET", required_unless_present = "clear")]
    pub(crate) preset: Option<String>,
    /// The topic that it is filled in with [default: what the software comes with, or the name]
    #[arg(long, value_name = "TOPIC", requires = "preset")]
    pub(crate) topic: Option<String>,
    /// The MAC address of the device, for presets that use it in topics
    #[arg(long, value_name = "MAC", requires = "preset")]
    pub(crate) mac: Option<String>,
    /// Accept that its topics overlap with those of somebody else
    #[arg(long, requires = "preset")]
    pub(crate) allow_overlap: bool,
    /// Take its preset away
    #[arg(long, conflicts_with = "preset")]
    pub(crate) clear: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Who acts: device:ID or user:NAME
    #[arg(long = "as", value_name = "WHO")]
    pub(crate) who: Identity,
    /// With which client id, where a rule depends on it
    #[arg(long, value_name = "ID")]
    pub(crate) client: Option<String>,
    /// What is done
    #[arg(value_enum, value_name = "ACTION")]
    pub(crate) verb: Verb,
    /// The topic; for `subscribe` a topic filter
    pub(crate) topic: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Verb {
    /// Send a message to a topic
    Publish,
    /// Ask for the messages of a topic filter
    Subscribe,
    /// Get a message of a topic
    Receive,
}

#[derive(Debug, Args)]
pub(crate) struct DenialsArgs {
    /// Only what happened within this time, for instance 90s, 10m, 2h, 1d
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Span>,
}

/// Is a span of time as people write it: a number and one of `s`, `m`, `h`, `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl std::str::FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "write a number and a unit: 90s, 10m, 2h or 1d".to_owned();
        let unit = text.chars().last().ok_or_else(expected)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(expected()),
        };
        let number = text.strip_suffix(unit).ok_or_else(expected)?;
        let number: u64 = number.parse().map_err(|_| expected())?;
        number.checked_mul(seconds).map(|s| Self(Duration::from_secs(s))).ok_or_else(expected)
    }
}

impl fmt::Display for Span {
    /// Writes it as it is read, in the largest unit that it is a multiple of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm')];
        let (unit, letter) = units
            .into_iter()
            .find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit))
            .unwrap_or((1, 's'));
        write!(f, "{}{letter}", seconds / unit)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServerCommand {
    /// Names and addresses in the broker's certificate
    #[command(subcommand)]
    Name(NameCommand),
    /// Certificates of this server that other authorities made
    #[command(subcommand)]
    Certificate(ServerCertificateCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServerCertificateCommand {
    /// Take over a certificate and its key, for listeners whose clients trust another authority
    #[command(after_help = "\
Examples:
  keyward server certificate import old --cert server.crt --key server.key

A listener shows it when keyward.toml says so (server_certificate = \"old\") and after: keyward reload.
Importing again under the same name replaces it at once.")]
    Import(CertificateImportArgs),
    /// List the certificates that were taken over
    #[command(after_help = "\
Examples:
  keyward server certificate list")]
    List,
    /// Forget a certificate, and delete its key
    #[command(after_help = "\
Examples:
  keyward server certificate remove old")]
    Remove {
        /// Which certificate
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CertificateImportArgs {
    /// What to call it: 1 to 32 lower-case letters, digits and '-'
    pub(crate) name: String,
    /// The certificate and its issuers (PEM), the server's first
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: PathBuf,
    /// Its private key (PEM, not encrypted)
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NameCommand {
    /// Add a name or address; the certificate is reissued at once, without restart
    #[command(after_help = "\
Examples:
  keyward server name add mqtt.home
  keyward server name add 192.168.1.20")]
    Add {
        /// A DNS name or an IP address
        name: String,
    },
    /// List the names and addresses that the certificate carries
    #[command(after_help = "\
Examples:
  keyward server name list")]
    List,
    /// Remove a name that was added
    #[command(after_help = "\
Examples:
  keyward server name remove mqtt.home")]
    Remove {
        /// A name that was added
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ListenerCommand {
    /// Listen on one more address
    #[command(after_help = "\
Examples:
  keyward listener add factory --address 192.168.1.2 --port 8883
  keyward listener add strict --port 18883 --login certificate
  keyward listener add local --address 127.0.0.1 --plain
  keyward listener add lan --plain --from 192.168.1.0/24
  keyward listener add fleet --port 8884 --trusted old
  keyward listener add web --port 8083 --websocket
  keyward listener add near --socket /run/keyward/mqtt.sock")]
    Add(ListenerAddArgs),
    /// List where the broker listens
    #[command(after_help = "\
Examples:
  keyward listener list")]
    List,
    /// Stop listening on an address
    #[command(after_help = "\
Examples:
  keyward listener remove factory")]
    Remove {
        /// What the listener is called
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ListenerAddArgs {
    /// What the listener is called
    pub(crate) name: String,
    /// The port [default: 8883; with --plain: 1883]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// Listen on a Unix socket of this path, for programs of this machine, in place of a port
    #[arg(long, value_name = "PATH", conflicts_with_all = ["port", "address", "plain", "from"])]
    pub(crate) socket: Option<PathBuf>,
    /// The permissions of the socket's file: whoever may write to it may connect [default: 0660]
    #[arg(long, value_name = "MODE", requires = "socket")]
    pub(crate) socket_mode: Option<String>,
    /// Listen on this address only [default: all addresses, IPv4 and IPv6]
    #[arg(long, value_name = "IP")]
    pub(crate) address: Option<IpAddr>,
    /// What a client must show [default: certificate or password; with --plain: password]
    #[arg(long, value_name = "RULE", value_parser = ["certificate", "password", "certificate and password", "certificate or password"])]
    pub(crate) login: Option<String>,
    /// Speak MQTT without TLS; on a loopback address, or for the networks of --from
    #[arg(long)]
    pub(crate) plain: bool,
    /// Let in only clients of this network; may be given several times
    #[arg(long, value_name = "NETWORK")]
    pub(crate) from: Vec<String>,
    /// Let a client without any login become this user
    #[arg(long, value_name = "USER")]
    pub(crate) anonymous_as: Option<String>,
    /// Let only this one count of the authorities of others; may be given several times [default: all that are trusted]
    #[arg(long, value_name = "AUTHORITY", conflicts_with = "plain")]
    pub(crate) trusted: Vec<String>,
    /// Let none of the authorities of others count
    #[arg(long, conflicts_with_all = ["trusted", "plain"])]
    pub(crate) no_trusted: bool,
    /// Speak MQTT over WebSocket, at the path /mqtt, for programs that run in a browser
    #[arg(long)]
    pub(crate) websocket: bool,
    /// Let pages of this origin connect, like https://panel.example:1880, or all (*); may be given several times [default:
    /// pages of the host that they connect to]
    #[arg(long, value_name = "ORIGIN", requires = "websocket")]
    pub(crate) origin: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BansCommand {
    /// List the addresses that are refused for a while, because too many logins from there failed
    #[command(after_help = "\
Examples:
  keyward bans list
  keyward bans list --json")]
    List,
    /// Let an address connect again
    #[command(after_help = "\
Examples:
  keyward bans lift 192.0.2.7")]
    Lift {
        /// The address; of an IPv6 network any
        address: IpAddr,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClockCommand {
    /// Say that the clock is right now, so that certificates can be issued again (audited)
    #[command(after_help = "\
Examples:
  date                             look first
  keyward clock accept")]
    Accept,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Only the newest NUMBER changes
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) last: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_of_time_is_a_number_and_a_unit() {
        assert_eq!("10m".parse(), Ok(Span(Duration::from_secs(600))));
        assert_eq!("1d".parse(), Ok(Span(Duration::from_secs(86_400))));
        for bad in ["", "10", "m", "-1m", "1w", "99999999999999999999d", "18446744073709551615d", "1\u{fc}"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }
}
