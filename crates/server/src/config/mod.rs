//! `keyward.toml`: declared as data, validated into types of its own, edited without losing a comment.
//!
//! What is not here: reading and writing the file ([`crate::admin`]), the rules (`policy.d`, [`crate::rules`]).

mod actions;
mod bounds;
mod edit;
mod error;
mod file;
mod groups;
mod listener;
mod network;
mod notify;
mod place;
mod quarantine;
mod readings;
mod sites;
mod types;
mod unit;

pub(crate) use actions::IN_OTHER_HANDS;
pub use actions::{Action, Actions};
pub use bounds::Limits;
pub use edit::{EditError, add_listener, add_listeners, name_trusted, remove_listener};
pub use error::ConfigError;
pub use file::{Durability, LogFormat, Protocol};
pub use listener::{Listener, MAX_LISTENER_NAME, MAX_LISTENERS, MAX_NETWORKS, MQTTS_PORT};
pub use network::Network;
pub use notify::{
    MAX_RECIPIENTS, MAX_WEBHOOKS, Mail, MailLogin, MailTls, Notify, Syslog, SyslogPlace, Wanted, Webhook,
};
pub use place::{Address, Place, SocketMode};
pub use quarantine::{Exception, MAX_NEVER, Quarantine};
pub use readings::{Readings, TypeReadings};
pub use sites::{MAX_SITES, Site};
pub use types::{DeviceType, MAX_TYPES};
pub use unit::{ByteSize, Span};

use error::Places;
use keyward_identity::{GroupAges, ServerName};
use keyward_ids::{SiteId, TypeId};
use std::{collections::BTreeMap, fmt, net::IpAddr, time::Duration};

/// The file that the first start writes: every key with its default, commented out.
pub const DEFAULT_TEXT: &str = include_str!("keyward.toml");

/// How often `$SYS/` is brought up to date if nothing else is said: as Mosquitto does.
const SYS_INTERVAL: Duration = Duration::from_secs(10);

/// The largest configuration file, in bytes.
pub const MAX_CONFIG_BYTES: usize = 256 * 1024;

/// Holds a valid configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// More names for the server certificate.
    pub names: Vec<ServerName>,
    /// How many shards, each with its worker thread; `None`: one for each core.
    pub shards: Option<usize>,
    /// How many threads accept, do TLS and log clients in.
    pub door_threads: Option<usize>,
    /// How many threads verify signatures of messages.
    pub signature_threads: Option<usize>,
    /// How often `$SYS/` is brought up to date; zero is never.
    pub sys_interval: Duration,
    /// The listeners, at least one.
    pub listeners: Vec<Listener>,
    /// The bounds, as they hold.
    pub limits: Limits,
    /// How sessions and messages are kept.
    pub store: Store,
    /// How long certificates of devices last whose type says nothing else, in days; `None` leaves 10 years.
    pub device_days: Option<u32>,
    /// How old keys of groups may grow.
    pub groups: GroupAges,
    /// What is particular of a type of device.
    pub types: BTreeMap<TypeId, DeviceType>,
    /// What is known of the readings of types of devices.
    pub readings: Readings,
    /// What is particular of a site.
    pub sites: BTreeMap<SiteId, Site>,
    /// What the broker does by itself about devices of which two hold the key.
    pub quarantine: Quarantine,
    /// The watch over devices.
    pub watch: Watch,
    /// What follows by itself from what the watch has proven.
    pub actions: Actions,
    /// Whom the broker tells of incidents.
    pub notify: Notify,
    /// How log lines look and how many there are.
    pub log: Log,
}

/// Holds how devices are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// Whether they are.
    pub enabled: bool,
    /// How many bytes of what is heard are recorded; 0 records nothing.
    pub record: u64,
}

impl Default for Watch {
    /// They are watched, and nothing is recorded.
    fn default() -> Self {
        Self { enabled: true, record: 0 }
    }
}

/// Holds how sessions and messages are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Store {
    /// What an acknowledgement promises.
    pub durability: Durability,
    /// Below how many free bytes of its file system nothing more is stored; `None` leaves 256 MiB or 2 %, whichever is
    /// less.
    pub reserve: Option<u64>,
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
        let limits = collect(bounds::validate(&raw.limits, &places), &mut errors);
        let sys_interval = collect(sys_interval(&raw.server, &places), &mut errors);
        let device_days = collect(device_days(&raw.certificates, &places), &mut errors);
        let groups = groups::validate(&raw.groups, &places).unwrap_or_else(|more| {
            errors.extend(more);
            groups::DEFAULT
        });
        let types = collect(types::validate(&raw.types, &places), &mut errors);
        let readings = readings::validate(&raw.types, &places).unwrap_or_else(|more| {
            errors.extend(more);
            Readings::new()
        });
        let sites = collect(sites::validate(&raw.sites, &places), &mut errors);
        let quarantine = collect(quarantine::validate(&raw.quarantine, &places), &mut errors);
        let actions = collect(actions::validate(&raw.watch.actions, &places), &mut errors);
        let notify = collect(notify::validate(&raw.notify, &places), &mut errors);
        let log = collect(log(&raw.log, &places), &mut errors);
        if !errors.is_empty() {
            return Err(ConfigErrors(errors));
        }
        let count = |n: u64| usize::try_from(n).unwrap_or(1);
        Ok(Self {
            names,
            shards: raw.server.shards.map(|n| count(n.0)),
            door_threads: raw.server.door_threads.map(|n| count(n.0)),
            signature_threads: raw.server.signature_threads.map(|n| count(n.0)),
            sys_interval,
            listeners,
            limits,
            store: Store {
                durability: raw.store.durability.unwrap_or_default(),
                reserve: raw.store.reserve.map(|reserve| reserve.0),
            },
            device_days,
            groups,
            types,
            readings,
            sites,
            quarantine,
            watch: Watch {
                enabled: raw.watch.enabled.unwrap_or(true),
                record: raw.watch.record.map_or(0, |record| record.0),
            },
            actions,
            notify,
            log,
        })
    }
}

/// Holds what a start lays over the first listener with TLS of the file, or the first of all without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Overrides {
    /// Another port; 0 lets the system choose.
    pub port: Option<u16>,
    /// Another address. A listener without TLS takes no other than a loopback address.
    pub address: Option<IpAddr>,
}

impl Config {
    /// Returns how many days a certificate of a device of this type lasts; `None` leaves the default.
    pub fn days_of(&self, device_type: Option<&TypeId>) -> Option<u32> {
        device_type
            .and_then(|name| self.types.get(name))
            .and_then(|settings| settings.device_days)
            .or(self.device_days)
    }

    /// Returns the listener at which a device can use a claim code: over TLS, without a certificate, and with the server
    /// certificate that the code's string vouches for; one that speaks MQTT without WebSocket, if there is one.
    pub fn enrolment_listener(&self) -> Option<usize> {
        let fits = |listener: &&Listener| {
            listener.tls && !listener.login.needs_certificate() && listener.server_certificate.is_none()
        };
        let found = self.listeners.iter().enumerate().filter(|(_, listener)| fits(listener));
        found.min_by_key(|(_, listener)| listener.protocol != Protocol::Mqtt).map(|(place, _)| place)
    }

    /// Returns which listener clients are sent to if nothing else is said: the first that speaks MQTT over TLS, else the
    /// first over TLS, else the first.
    pub fn main_listener(&self) -> usize {
        let is_mqtt = |listener: &&Listener| listener.tls && listener.protocol == Protocol::Mqtt;
        let rank = |(_, listener): &(usize, &Listener)| (!is_mqtt(listener), !listener.tls);
        self.listeners.iter().enumerate().min_by_key(rank).map_or(0, |(place, _)| place)
    }

    /// Returns the configuration with its main listener elsewhere.
    pub fn overridden(mut self, overrides: Overrides) -> Self {
        let main = self.main_listener();
        if let Some(Listener { tls, place: Place::Network { address, port }, .. }) =
            self.listeners.get_mut(main)
        {
            *port = overrides.port.unwrap_or(*port);
            let fits = |address: &IpAddr| *tls || address.is_loopback();
            *address = overrides.address.filter(fits).map_or(*address, Address::One);
        }
        self
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            shards: None,
            door_threads: None,
            signature_threads: None,
            sys_interval: SYS_INTERVAL,
            listeners: vec![Listener::default()],
            limits: Limits::default(),
            store: Store::default(),
            device_days: None,
            groups: groups::DEFAULT,
            types: BTreeMap::new(),
            readings: Readings::new(),
            sites: BTreeMap::new(),
            quarantine: Quarantine::default(),
            watch: Watch::default(),
            actions: Actions::default(),
            notify: Notify::default(),
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

fn names(server: &file::Server, places: &Places<'_>) -> Result<Vec<ServerName>, Vec<ConfigError>> {
    let bad: Vec<_> = server
        .names
        .iter()
        .filter(|name| name.get_ref().parse::<ServerName>().is_err())
        .map(|name| places.error(&name.span(), "a DNS name or an IP address"))
        .collect();
    if bad.is_empty() {
        Ok(server.names.iter().filter_map(|name| name.get_ref().parse().ok()).collect())
    } else {
        Err(bad)
    }
}

fn sys_interval(server: &file::Server, places: &Places<'_>) -> Result<Duration, Vec<ConfigError>> {
    let Some(given) = &server.sys_interval else { return Ok(SYS_INTERVAL) };
    let every = given.get_ref().0;
    if every.is_zero() || every >= Duration::from_secs(1) {
        return Ok(every);
    }
    Err(vec![places.error(&given.span(), "a time from 1 s on, or \"0 s\" for never")])
}

fn device_days(raw: &file::Certificates, places: &Places<'_>) -> Result<Option<u32>, Vec<ConfigError>> {
    raw.device_lifetime
        .as_ref()
        .map(|span| types::days(span, places))
        .transpose()
        .map_err(|error| vec![error])
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::LoginRule;

    fn refused(text: &str) -> String {
        Config::parse("keyward.toml", text).unwrap_err().to_string()
    }

    /// Removes the comment sign from each line that sets a key or opens a section; examples are indented.
    fn uncommented() -> String {
        let is_setting = |line: &str| {
            let key = line.split([' ', '=']).next().unwrap_or_default();
            line.starts_with("[[")
                || (line.contains(" = ")
                    && !key.is_empty()
                    && key.chars().all(|c| c.is_ascii_lowercase() || "_.".contains(c)))
        };
        DEFAULT_TEXT
            .lines()
            .map(|line| line.strip_prefix("# ").filter(|rest| is_setting(rest)).unwrap_or(line))
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn clients_are_sent_to_mqtt_over_tls_wherever_it_stands() {
        let main = |text: &str| {
            let config = Config::parse("keyward.toml", text).unwrap();
            config.listeners[config.main_listener()].name.clone()
        };
        let near = "[[listener]]\nname = \"near\"\nsocket = \"/run/k.sock\"\n";
        let web = "[[listener]]\nname = \"web\"\nport = 8083\nprotocol = \"websocket\"\n";
        let tls = "[[listener]]\nname = \"tls\"\nport = 8883\n";
        assert_eq!(main(&[near, web, tls].concat()), "tls");
        assert_eq!(main(&[near, web].concat()), "web");
        assert_eq!(main(near), "near");
        let moved = Config::parse("keyward.toml", &[web, tls].concat()).unwrap();
        let moved = moved.overridden(Overrides { port: Some(7), address: None });
        assert_eq!(moved.listeners.iter().map(Listener::port).collect::<Vec<_>>(), [Some(8083), Some(7)]);
    }

    #[test]
    fn keys_are_refused_where_they_mean_nothing() {
        let refused = |keys: &str| {
            let text = format!("[[listener]]\nname = \"a\"\n{keys}");
            Config::parse("keyward.toml", &text).unwrap_err().to_string()
        };
        let web = "port = 1\nprotocol = \"websocket\"\norigins = ";
        for (keys, key) in [
            (&format!("{web}[\"panel.example\"]")[..], "listener.origins"),
            (&format!("{web}[\"https://panel.example/path\"]"), "listener.origins"),
            (&format!("{web}[\"*\", \"https://panel.example\"]"), "listener.origins"),
            ("port = 1\norigins = [\"https://panel.example\"]", "listener.origins"),
            ("port = 1\ntrusted = [\"Old CA\"]", "listener.trusted"),
            ("port = 1\ntrusted = [\"a\", \"b\", \"c\", \"d\", \"e\"]", "listener.trusted"),
            ("port = 1\nlogin = \"password\"\ntrusted = []", "listener.trusted"),
            ("port = 1\naddress = \"127.0.0.1\"\ntls = false\ntrusted = [\"a\"]", "listener.trusted"),
            ("port = 1\nsocket_mode = \"0660\"", "listener.socket_mode"),
            ("socket = \"/run/k.sock\"\nsocket_mode = \"0466\"", "listener.socket_mode"),
            ("socket = \"/run/k.sock\"\nsocket_mode = \"rw\"", "listener.socket_mode"),
            ("socket = \"k.sock\"", "listener.socket"),
            ("socket = \"/run/k.sock\"\nport = 1", "listener.port"),
        ] {
            assert!(refused(keys).contains(key), "{keys}: {}", refused(keys));
        }
    }

    #[test]
    fn the_default_file_says_the_defaults() {
        assert_eq!(Config::parse("keyward.toml", DEFAULT_TEXT), Ok(Config::default()));
        assert_eq!(Config::parse("keyward.toml", ""), Ok(Config::default()));
    }

    #[test]
    fn a_section_that_is_opened_twice_is_named_with_what_to_do() {
        let said = refused(&format!("{DEFAULT_TEXT}\n[limits]\nin_flight = 3\n"));
        assert!(said.contains("`limits` again") && said.contains("stands above"), "{said}");
    }

    #[test]
    fn what_the_default_file_comments_out_are_the_defaults() {
        let text = uncommented();
        assert!(text.contains("\nmemory_total = ") && text.contains("\n[[listener]]"), "{text}");
        let config = Config::parse("keyward.toml", &text).unwrap();
        let defaults = Config::default();
        assert_eq!(config.listeners, defaults.listeners);
        assert_eq!(config.limits, defaults.limits);
        assert_eq!(config.names, defaults.names);
        assert_eq!(config.log.format, defaults.log.format);
        assert_eq!(config.device_days, Some(3_650));
    }

    #[test]
    fn an_error_names_file_line_column_key_what_was_expected_and_what_is_given() {
        for (text, expected) in [
            (
                "[server]\nshards = 0",
                "keyward.toml:2:10: server.shards: expected a whole number from 1 to 64, given integer `0`",
            ),
            (
                "[server]\nshard = 2",
                "keyward.toml:2:1: server.shard: expected one of `names`, `shards`, `door_threads`, `signature_threads`, `sys_interval`, given the unknown key `shard`",
            ),
            (
                "[server]\nnames = [\"ok\", \"a b\"]",
                "keyward.toml:2:16: server.names: expected a DNS name or an IP address, given \"a b\"",
            ),
            (
                "[limits]\nhandshake_time = 30",
                "keyward.toml:2:18: limits.handshake_time: expected a time like \"30 s\", \"10 min\", \"12 h\", \"397 days\" or \"10 years\", given integer `30`",
            ),
            (
                "[limits]\nqueue_bytes = \"2 XB\"",
                "keyward.toml:2:15: limits.queue_bytes: expected a size like \"2 MB\", \"16 KiB\" or a number of bytes, given string \"2 XB\"",
            ),
            (
                "[limits]\nqueue_bytes = 5",
                "keyward.toml:2:15: limits.queue_bytes: expected at least packet_bytes, 2000000 bytes, or such a packet fits into no queue, given 5",
            ),
            (
                "[limits]\npacket_bytes = \"1 GB\"",
                "keyward.toml:2:16: limits.packet_bytes: expected a size from 16 KiB to 256 MiB, given \"1 GB\"",
            ),
            (
                "[[listener]]\nname = \"a\"\nport = 70000",
                "keyward.toml:3:8: listener.port: expected a whole number from 0 to 65535, given integer `70000`",
            ),
            (
                "[[listener]]\nname = \"a\"\nport = 1\naddress = \"home\"",
                "keyward.toml:4:11: listener.address: expected an IP address, or \"*\" for all addresses, given \"home\"",
            ),
            (
                "[[listener]]\nname = \"a b\"\nport = 1",
                "keyward.toml:2:8: listener.name: expected 1 to 32 letters, digits, '-', '_' or '.', given \"a b\"",
            ),
            (
                "[types]\nmeter.device_lifetime = \"1 s\"",
                "keyward.toml:2:25: types.meter.device_lifetime: expected a time from 1 day to 10 years, given \"1 s\"",
            ),
            (
                "[log]\nformat = \"xml\"",
                "keyward.toml:2:10: log.format: expected `text` or `json`, given `xml`",
            ),
            (
                "[log]\nfilter = \"keyward=loud\"",
                "keyward.toml:2:10: log.filter: expected a level like \"info\" or a list like \"warn,keyward_server=debug\", given \"keyward=loud\"",
            ),
        ] {
            assert_eq!(refused(text), expected);
        }
    }

    #[test]
    fn plain_mqtt_is_for_loopback_addresses_only() {
        let error = refused("[[listener]]\nname = \"a\"\nport = 1883\ntls = false");
        assert!(error.starts_with("keyward.toml:4:7: listener.tls: expected true:"), "{error}");
        let text = "[[listener]]\nname = \"a\"\nport = 1883\ntls = false\naddress = \"127.0.0.1\"";
        let config = Config::parse("keyward.toml", text).unwrap();
        assert!(!config.listeners[0].tls && config.listeners[0].login == LoginRule::Password);
    }

    #[test]
    fn another_address_of_a_start_never_opens_a_plain_listener_to_the_network() {
        let plain = "[[listener]]\nname = \"a\"\nport = 1883\ntls = false\naddress = \"127.0.0.1\"\n";
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let overrides = Overrides { port: Some(7), address: Some(address) };
        let config = Config::parse("keyward.toml", plain).unwrap().overridden(overrides);
        assert_eq!(config.listeners[0].address(), Some(Address::One("127.0.0.1".parse().unwrap())));
        let both = format!("{plain}[[listener]]\nname = \"b\"\nport = 8883\n");
        let config = Config::parse("keyward.toml", &both).unwrap().overridden(overrides);
        let places: Vec<_> = config.listeners.iter().map(|one| one.place.clone()).collect();
        let place = |address, port| Place::Network { address: Address::One(address), port };
        assert_eq!(places, [place("127.0.0.1".parse().unwrap(), 1883), place(address, 7)]);
    }

    #[test]
    fn two_listeners_share_neither_name_nor_port() {
        let one = "[[listener]]\nname = \"a\"\nport = 1\n";
        let error = refused(&format!("{one}{one}"));
        assert!(error.contains("keyward.toml:5:8: listener.name"), "{error}");
        let error = refused(&format!("{one}[[listener]]\nname = \"b\"\nport = 1\naddress = \"::1\""));
        assert!(
            error.contains("keyward.toml:6:8: listener.port: expected a port that listener a has not taken"),
            "{error}"
        );
    }

    #[test]
    fn every_error_of_a_valid_file_is_told_at_once() {
        let error = refused("[server]\nnames = [\"a b\"]\n[log]\nfilter = \"x=y\"\n");
        assert_eq!(error.lines().count(), 2, "{error}");
    }

    #[test]
    fn a_file_that_ends_anywhere_is_read_or_refused() {
        let text = uncommented().replace("mqtts", "\u{e4}\u{202e}");
        let refused =
            text.char_indices().filter(|(end, _)| Config::parse("keyward.toml", &text[..*end]).is_err());
        assert!(refused.count() > 100);
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_place() {
        let error = refused("[server\n");
        assert!(error.starts_with("keyward.toml:1:8: "), "{error}");
        assert!(!refused("a = \"\u{1b}[2J\nb").contains('\u{1b}'));
    }
}
