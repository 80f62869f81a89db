//! The string that a device scans: where to go, how to know the server, and the code.

use crate::limits::{CLAIM_BYTES, CLAIM_HOSTS};
use keyward_ids::DeviceId;
use std::net::Ipv6Addr;
use zeroize::Zeroizing;

/// Is a place where the server answers: a host name or an address, and a port.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Host {
    /// A name or an address, without brackets.
    pub name: String,
    /// The TCP port.
    pub port: u16,
}

/// Holds what a device scans (`docs/enrolment.md`, "The string"). Who has it can be the device, so it has no `Debug`.
#[derive(Clone)]
pub struct Claim {
    /// Who the device will be.
    pub id: DeviceId,
    /// Where to go, in this order, at least one.
    pub hosts: Vec<Host>,
    /// The SHA-256 of the server root's certificate.
    pub root: [u8; 32],
    code: Zeroizing<String>,
}

/// Says what is wrong with the string. It quotes nothing of it: it is a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no claim of a device: {0}; it looks like keyward://HOST:PORT/ID?code=CODE&root=FINGERPRINT")]
pub struct ClaimError(&'static str);

impl Claim {
    /// Reads the string; blanks and line ends around it do not count.
    ///
    /// # Errors
    /// [`ClaimError`] says which part cannot be.
    pub fn parse(text: &str) -> Result<Self, ClaimError> {
        let text = text.trim();
        if text.len() > CLAIM_BYTES {
            return Err(ClaimError("it is longer than 1,024 bytes"));
        }
        let rest = text.strip_prefix("keyward://").ok_or(ClaimError("it does not begin with keyward://"))?;
        let (place, said) = rest.split_once('?').ok_or(ClaimError("it holds no code"))?;
        let (host, id) = place.split_once('/').ok_or(ClaimError("it holds no id"))?;
        let id = DeviceId::parse(id).map_err(|_| ClaimError("the id is none"))?;
        let mut hosts = vec![read_host(host)?];
        let (mut code, mut root) = (None, None);
        for part in said.split('&') {
            match part.split_once('=') {
                Some(("code", value)) if code.is_none() => code = Some(read_code(value)?),
                Some(("root", value)) if root.is_none() => root = Some(read_root(value)?),
                Some(("or", value)) if hosts.len() < CLAIM_HOSTS => hosts.push(read_host(value)?),
                Some(("or", _)) => return Err(ClaimError("it names more than 8 hosts")),
                Some(("code" | "root", _)) => return Err(ClaimError("it says something twice")),
                _ => return Err(ClaimError("it holds more than code, root and or")),
            }
        }
        let code = code.ok_or(ClaimError("it holds no code"))?;
        let root = root.ok_or(ClaimError("it does not say how to know the server (root)"))?;
        Ok(Self { id, hosts, root, code })
    }

    /// Returns the code: what the device shows to the server, after the server has shown itself.
    pub fn expose_code(&self) -> &str {
        &self.code
    }
}

/// The code's length: 26 characters of five bits today; at least 96 bits, and room.
const CODE: std::ops::RangeInclusive<usize> = 20..=64;

fn read_code(text: &str) -> Result<Zeroizing<String>, ClaimError> {
    let is_code = CODE.contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if is_code { Ok(Zeroizing::new(text.to_owned())) } else { Err(ClaimError("the code is none")) }
}

fn read_root(text: &str) -> Result<[u8; 32], ClaimError> {
    let wrong = ClaimError("the fingerprint of the root is not 64 hexadecimal digits");
    let mut root = [0; 32];
    if text.len() != 64 {
        return Err(wrong);
    }
    for (byte, pair) in root.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let [high, low] = [pair[0], pair[1]].map(digit);
        *byte = high.zip(low).map(|(high, low)| high << 4 | low).ok_or(wrong)?;
    }
    Ok(root)
}

fn read_host(text: &str) -> Result<Host, ClaimError> {
    let wrong = ClaimError("a host is not NAME:PORT, ADDRESS:PORT or [ADDRESS]:PORT");
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once("]:").ok_or(wrong)?;
            address.parse::<Ipv6Addr>().map_err(|_| wrong)?;
            (address, port)
        }
        None => text.split_once(':').ok_or(wrong)?,
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':');
    let port = port.parse().ok().filter(|port| *port > 0).ok_or(wrong)?;
    if !(1..=253).contains(&name.len()) || !name.bytes().all(is_plain) {
        return Err(wrong);
    }
    Ok(Host { name: name.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "abcdefghjkmnpqrstuvwxyz234";

    fn root() -> String {
        "0a".repeat(32)
    }

    #[test]
    fn a_claim_says_where_to_go_who_to_be_and_whom_to_believe() {
        let text = format!(
            " keyward://gate.local:8883/Pump-1?code={CODE}&root={}&or=[fd00::1]:8884&or=192.0.2.1:1\n",
            root()
        );
        let claim = Claim::parse(&text).unwrap();
        assert_eq!((claim.id.as_str(), claim.expose_code(), claim.root), ("Pump-1", CODE, [10; 32]));
        let places: Vec<_> = claim.hosts.iter().map(|host| (host.name.as_str(), host.port)).collect();
        assert_eq!(places, [("gate.local", 8883), ("fd00::1", 8884), ("192.0.2.1", 1)]);
    }

    #[test]
    fn what_is_no_claim_is_refused_without_quoting_it() {
        let whole = format!("keyward://h:1/p?code={CODE}&root={}", root());
        let more = format!("{whole}{}", "&or=h:1".repeat(8));
        for text in [
            "",
            "mqtt://h:1/p",
            "keyward://h:1/p",
            "keyward://h/p?code=secretsecretsecretsecret",
            &format!("keyward://h:0/p?code={CODE}&root={}", root()),
            &format!("keyward://h:1/-?code={CODE}&root={}", root()),
            &format!("keyward://h:1/p?code=secret&root={}", root()),
            &format!("keyward://h:1/p?code={CODE}"),
            &format!("keyward://h:1/p?root={}", root()),
            &format!("keyward://h:1/p?code={CODE}&root=secret"),
            &format!("keyward://fd00::1:1/p?code={CODE}&root={}", root()),
            &format!("{whole}&code={CODE}"),
            &format!("{whole}&more=secret"),
            &more,
            &"x".repeat(2_000),
        ] {
            let error = Claim::parse(text).err().map(|error| error.to_string());
            assert!(error.as_ref().is_some_and(|error| !error.contains("secret")), "{text}: {error:?}");
        }
        assert!(Claim::parse(&whole).is_ok());
    }
}
