//! Where something is sent: URLs, hosts with ports, mailboxes.

use super::is_loopback;
use ureq::http::Uri;

/// Is the URL of a webhook.
pub(super) struct HttpUrl {
    pub(super) text: String,
    pub(super) host: String,
}

impl HttpUrl {
    /// Reads a URL. Without TLS it leads to this machine, unless `plain` says that it may lead elsewhere.
    ///
    /// # Errors
    /// What would be right.
    pub(super) fn parse(text: &str, plain: bool) -> Result<Self, &'static str> {
        const URL: &str = "a URL like \"https://alerts.example/keyward\"";
        let uri: Uri = text.parse().map_err(|_| URL)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(URL) };
        if authority.as_str().contains('@') {
            return Err(
                "a URL without user and password: what is sent is signed by the secret in `secret_file`",
            );
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        match scheme {
            "https" => {}
            "http" if plain || is_loopback(&host) => {}
            "http" => {
                return Err(
                    "a URL with https: without TLS anybody on the way reads it (on a way that you trust: plain = true)",
                );
            }
            _ => return Err(URL),
        }
        Ok(Self { text: text.to_owned(), host })
    }
}

/// Is a host with a port.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Server {
    /// Reads `HOST`, `HOST:PORT` or `[IPV6]:PORT`.
    pub(super) fn parse(text: &str, port: u16) -> Option<Self> {
        let (host, given) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (host, rest.strip_prefix(':').or(rest.is_empty().then_some(""))?)
            }
            None => text.split_once(':').unwrap_or((text, "")),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        if host.is_empty() || host.len() > 253 || !host.chars().all(is_name) {
            return None;
        }
        let port = if given.is_empty() && !text.ends_with(':') { port } else { given.parse().ok()? };
        (port != 0).then(|| Self { host: host.to_owned(), port })
    }

    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

/// Tells whether a text is a mailbox that fits into the commands and header fields of a mail as it is: printable ASCII, without what has a
/// meaning there.
pub(super) fn is_mailbox(text: &str) -> bool {
    let part = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !"<>()[]\\,;:\"@".contains(c))
    };
    text.len() <= 254 && text.split_once('@').is_some_and(|(local, domain)| part(local) && part(domain))
}
