//! `keyward.json` of a bundle: where to connect and as whom.

use serde::{Deserialize, Serialize};

/// The schema number of the file; it grows when a field changes its meaning.
const SCHEMA: u32 = 1;
/// The longest host name, in bytes (RFC 1035 §2.3.4).
const HOST_BYTES: usize = 253;

/// Says where to connect and as whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    schema: u32,
    /// `device:ID` or `user:NAME`.
    pub identity: String,
    /// The installation that the bundle belongs to.
    pub installation: String,
    /// A host name or an IP address, without port.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// Says why a file is no address. It quotes nothing of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is not the JSON that is expected.
    #[error("line {line}, column {column}: is not what `keyward device add` writes there")]
    Form {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// It was written by another version.
    #[error("has schema {0}, and only {SCHEMA} is known here: it is of another version of Keyward")]
    Schema(u32),
    /// The host cannot be one.
    #[error("`host` is neither a host name nor an IP address")]
    Host,
    /// The port cannot be one.
    #[error("`port` is 0, which is no port")]
    Port,
}

impl Address {
    /// Fills in the schema number.
    pub fn new(identity: String, installation: String, host: String, port: u16) -> Self {
        Self { schema: SCHEMA, identity, installation, host, port }
    }

    /// Reads the content of `keyward.json`.
    ///
    /// # Errors
    /// [`AddressError`] says what is wrong and where.
    pub fn read(json: &[u8]) -> Result<Self, AddressError> {
        #[derive(Deserialize)]
        struct Versioned {
            schema: u32,
        }
        let form =
            |error: serde_json::Error| AddressError::Form { line: error.line(), column: error.column() };
        let Versioned { schema } = serde_json::from_slice(json).map_err(form)?;
        if schema != SCHEMA {
            return Err(AddressError::Schema(schema));
        }
        let address: Self = serde_json::from_slice(json).map_err(form)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':');
        if !(1..=HOST_BYTES).contains(&address.host.len()) || !address.host.bytes().all(is_plain) {
            return Err(AddressError::Host);
        }
        if address.port == 0 {
            return Err(AddressError::Port);
        }
        Ok(address)
    }

    /// Writes the content of `keyward.json`.
    pub fn write(&self) -> String {
        // Texts and numbers can always be written.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(host: &str, port: u16) -> Address {
        Address::new("device:pump".into(), "i".into(), host.into(), port)
    }

    #[test]
    fn what_was_written_is_read() {
        for host in ["mqtt.home", "192.0.2.1", "fd00::7"] {
            let address = with(host, 8883);
            assert_eq!(Address::read(address.write().as_bytes()), Ok(address));
        }
    }

    #[test]
    fn a_file_of_another_version_is_named_as_such() {
        assert_eq!(Address::read(b"{\"schema\":2,\"where\":[]}"), Err(AddressError::Schema(2)));
    }

    #[test]
    fn a_host_that_cannot_be_one_is_refused() {
        for host in ["", "a b", "a\u{1b}[2J", "-o\nProxy", &"x".repeat(254)] {
            assert_eq!(Address::read(with(host, 1).write().as_bytes()), Err(AddressError::Host), "{host:?}");
        }
        assert_eq!(Address::read(with("a", 0).write().as_bytes()), Err(AddressError::Port));
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_place_and_not_quoted() {
        let error = Address::read(b"{\"schema\":1,\n\"host\":\"\\u001b\",\"port\":\"secret\"}")
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 2") && !error.contains("secret"), "{error}");
    }
}
