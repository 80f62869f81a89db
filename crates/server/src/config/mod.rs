//! `keyward.toml`: declared as data, validated into types of its own, edited without losing a comment.
//!
//! What is not here: reading and writing the file ([`crate::admin`]), the rules (`policy.d`, [`crate::rules`]).

mod edit;
mod error;
mod file;
mod listener;
mod unit;

pub use edit::{EditError, add_listener, remove_listener};
pub use error::ConfigError;
pub use file::LogFormat;
pub use listener::{Address, Listener, MAX_LISTENER_NAME, MAX_LISTENERS, MQTTS_PORT, Security};
pub use unit::{ByteSize, Span};

use error::Places;
use keyward_ids::TypeId;
use std::{collections::BTreeMap, fmt, time::Duration};

/// The file that the first start writes: every key with its default, commented out.
pub const DEFAULT_TEXT: &str = include_str!("keyward.toml");

/// The largest configuration file, in bytes.
pub const MAX_CONFIG_BYTES: usize = 256 * 1024;

/// Holds a valid configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// More names for the server certificate.
    pub names: Vec<String>,
    /// How many shards, each with its worker thread; `None`: one for each core.
    pub shards: Option<usize>,
    /// How many threads accept, do TLS and log clients in.
    pub door_threads: Option<usize>,
    /// The listeners, at least one.
    pub listeners: Vec<Listener>,
    /// The bounds that differ from their defaults.
    pub limits: Limits,
    /// How long certificates last.
    pub certificates: Certificates,
    /// How log lines look and how many there are.
    pub log: Log,
}

/// Holds the bounds that the file sets; `None` leaves the default of `limits.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Bytes of a packet after login.
    pub packet: Option<u32>,
    /// Bytes of a CONNECT.
    pub connect_packet: Option<u32>,
}

/// Holds how long certificates last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Certificates {
    /// Of devices whose type says nothing else; `None` leaves 10 years.
    pub device_lifetime: Option<Duration>,
    /// Of devices of a type.
    pub types: BTreeMap<TypeId, Duration>,
}

/// Holds how log lines look and how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// The filter, like `info` or `keyward_server=debug`.
    pub filter: Option<String>,
    /// Text or JSON.
    pub format: LogFormat,
}

/// Holds everything that is wrong with a configuration; at least one error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl Config {
    /// Parses and validates the text of the file `name`.
    ///
    /// # Errors
    /// [`ConfigErrors`] with file, line, key, what was expected and what is given.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigErrors> {
        let places = Places::new(name, text);
        let raw: file::File =
            toml::from_str(text).map_err(|error| ConfigErrors(vec![places.refused(&error)]))?;
        let mut errors = Vec::new();
        let names = collect(names(&raw.server, &places), &mut errors);
        let listeners = collect(listener::validate(&raw.listener, &places), &mut errors);
        let limits = collect(limits(&raw.limits, &places), &mut errors);
        let certificates = collect(certificates(&raw.certificates, &places), &mut errors);
        let log = collect(log(&raw.log, &places), &mut errors);
        if !errors.is_empty() {
            return Err(ConfigErrors(errors));
        }
        let count = |n: u64| usize::try_from(n).unwrap_or(1);
        Ok(Self {
            names,
            shards: raw.server.shards.map(|n| count(n.0)),
            door_threads: raw.server.door_threads.map(|n| count(n.0)),
            listeners,
            limits,
            certificates,
            log,
        })
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            shards: None,
            door_threads: None,
            listeners: vec![Listener::default()],
            limits: Limits::default(),
            certificates: Certificates::default(),
            log: Log::default(),
        }
    }
}

/// Takes the value out, or its errors to the others.
fn collect<T: Default>(result: Result<T, Vec<ConfigError>>, errors: &mut Vec<ConfigError>) -> T {
    result.unwrap_or_else(|more| {
        errors.extend(more);
        T::default()
    })
}

fn names(server: &file::Server, places: &Places<'_>) -> Result<Vec<String>, Vec<ConfigError>> {
    let bad: Vec<_> = server
        .names
        .iter()
        .filter(|name| !crate::names::is_server_name(name.get_ref()))
        .map(|name| places.error(&name.span(), "a DNS name or an IP address"))
        .collect();
    if bad.is_empty() { Ok(server.names.iter().map(|name| name.get_ref().clone()).collect()) } else { Err(bad) }
}

fn certificates(
    raw: &file::Certificates,
    places: &Places<'_>,
) -> Result<Certificates, Vec<ConfigError>> {
    const DAY: Duration = Duration::from_secs(86_400);
    let lifetime = |span: &toml::Spanned<Span>| {
        if (DAY..=3_650 * DAY).contains(&span.get_ref().0) {
            return Ok(span.get_ref().0);
        }
        Err(places.error(&span.span(), "a time from 1 day to 10 years"))
    };
    let mut errors = Vec::new();
    let mut valid = Certificates::default();
    match raw.device_lifetime.as_ref().map(lifetime).transpose() {
        Ok(time) => valid.device_lifetime = time,
        Err(error) => errors.push(error),
    }
    for (name, settings) in &raw.types {
        match (TypeId::parse(name.get_ref()), lifetime(&settings.device_lifetime)) {
            (Ok(name), Ok(time)) => {
                valid.types.insert(name, time);
            }
            (Err(_), _) => errors.push(places.error(&name.span(), "the name of a device type")),
            (_, Err(error)) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(valid) } else { Err(errors) }
}

fn log(raw: &file::Log, places: &Places<'_>) -> Result<Log, Vec<ConfigError>> {
    if let Some(filter) = &raw.filter
        && tracing_subscriber::EnvFilter::try_new(filter.get_ref()).is_err()
    {
        let expected = "a level like \"info\" or a list like \"warn,keyward_server=debug\"";
        return Err(vec![places.error(&filter.span(), expected)]);
    }
    Ok(Log {
        filter: raw.filter.as_ref().map(|filter| filter.get_ref().clone()),
        format: raw.format.unwrap_or_default(),
    })
}

fn limits(raw: &file::Limits, places: &Places<'_>) -> Result<Limits, Vec<ConfigError>> {
    todo!()
}
