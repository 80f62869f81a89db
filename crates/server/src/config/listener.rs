//! Listeners as they are configured: valid by construction.

use super::{
    error::{ConfigError, Places},
    file::{self, Protocol},
    network::Network,
    place::{Address, Place, SocketMode},
};
use crate::{login::LoginRule, plane::Origins};
use keyward_identity::{LocalName, limits::TRUSTED_AUTHORITIES};
use keyward_ids::UserId;
use std::path::Path;
use toml::Spanned;

/// The longest name of a listener, in bytes.
pub const MAX_LISTENER_NAME: usize = 32;
/// The most listeners: each costs a TLS configuration, and nobody reads a longer list.
pub const MAX_LISTENERS: usize = 16;
/// The port that IANA gives MQTT over TLS.
pub const MQTTS_PORT: u16 = 8883;

/// The most networks whose clients one listener lets in: each is looked at for each connection.
pub const MAX_NETWORKS: usize = 64;
/// The most origins whose pages may connect to one listener: each is looked at for each request.
const MAX_ORIGINS: usize = 64;
/// What stands for all origins.
const ALL_ORIGINS: &str = "*";

/// Holds one configured listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its name, unique among the listeners.
    pub name: String,
    /// What is spoken on it, below MQTT.
    pub protocol: Protocol,
    /// Where it listens.
    pub place: Place,
    /// Whether TLS is spoken on it.
    pub tls: bool,
    /// What a client must show.
    pub login: LoginRule,
    /// Whose addresses may connect; empty: everybody's. Never empty if [`is_plain_network`](Self::is_plain_network).
    pub from: Vec<Network>,
    /// The user that a client becomes which shows nothing.
    pub anonymous_as: Option<UserId>,
    /// The imported certificate that it shows instead of the server's own.
    pub server_certificate: Option<LocalName>,
    /// The authorities of others whose certificates count there; `None`: all that are trusted.
    pub trusted: Option<Vec<LocalName>>,
    /// The pages of which origins may connect, as written; `None` if nothing is.
    pub origins: Option<Vec<String>>,
}

impl Listener {
    /// Returns `tls`, `plain` or `socket`.
    pub fn transport(&self) -> &'static str {
        match (&self.place, self.tls) {
            (Place::Socket { .. }, _) => "socket",
            (_, true) => "tls",
            (_, false) => "plain",
        }
    }

    /// Tells whether other machines may reach it.
    pub fn is_on_network(&self) -> bool {
        self.address().is_some_and(|address| !address.is_loopback())
    }

    /// Tells whether what clients say, passwords too, can be read on a network.
    pub fn is_plain_network(&self) -> bool {
        !self.tls && self.is_on_network()
    }

    /// Tells whether a client may show a certificate there.
    pub fn takes_certificates(&self) -> bool {
        self.login != LoginRule::Password
    }

    /// Tells whether certificates of an authority of others count there, if it asks for any.
    pub fn heeds(&self, authority: &LocalName) -> bool {
        self.trusted.as_ref().is_none_or(|named| named.contains(authority))
    }

    /// Returns what it binds; `None` for a Unix socket.
    pub fn address(&self) -> Option<Address> {
        match self.place {
            Place::Network { address, .. } => Some(address),
            Place::Socket { .. } => None,
        }
    }

    /// Returns the configured port; `None` for a Unix socket.
    pub fn port(&self) -> Option<u16> {
        match self.place {
            Place::Network { port, .. } => Some(port),
            Place::Socket { .. } => None,
        }
    }

    /// Returns the pages of which origins may connect, where WebSocket is spoken. Where no login is needed nothing goes
    /// without saying: the browser of whoever opens a page would let that page in.
    pub fn pages(&self) -> Origins {
        match (&self.origins, &self.anonymous_as) {
            (None, None) => Origins::SameHost { tls: self.tls },
            (None, Some(_)) => Origins::Listed(Vec::new()),
            (Some(listed), _) if listed.iter().any(|origin| origin == ALL_ORIGINS) => Origins::All,
            (Some(listed), _) => Origins::Listed(listed.clone()),
        }
    }

    /// Returns what a listener demands if nothing is said.
    pub fn default_login(tls: bool) -> LoginRule {
        if tls { LoginRule::CertificateOrPassword } else { LoginRule::Password }
    }
}

impl Default for Listener {
    /// MQTT over TLS on 8883, all addresses, client certificate or password.
    fn default() -> Self {
        Self {
            name: "mqtts".to_owned(),
            protocol: Protocol::Mqtt,
            place: Place::Network { address: Address::All, port: MQTTS_PORT },
            tls: true,
            login: Self::default_login(true),
            from: Vec::new(),
            anonymous_as: None,
            server_certificate: None,
            trusted: None,
            origins: None,
        }
    }
}

pub(super) fn validate(
    listeners: &[Spanned<file::Listener>],
    places: &Places<'_>,
) -> Result<Vec<Listener>, Vec<ConfigError>> {
    if listeners.is_empty() {
        return Ok(vec![Listener::default()]);
    }
    let mut errors = Vec::new();
    if let Some(extra) = listeners.get(MAX_LISTENERS) {
        errors.push(places.error(&extra.span(), format!("at most {MAX_LISTENERS} listeners")));
    }
    let mut valid: Vec<Listener> = Vec::new();
    for listener in listeners.iter().take(MAX_LISTENERS) {
        match one(listener.get_ref(), places) {
            Ok(listener_) => {
                if let Some(error) = collision(&valid, &listener_, listener.get_ref(), places) {
                    errors.push(error);
                }
                valid.push(listener_);
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(valid) } else { Err(errors) }
}

fn one(raw: &file::Listener, places: &Places<'_>) -> Result<Listener, ConfigError> {
    let name = raw.name.get_ref();
    let plain_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && !name.is_empty();
    if !plain_name || name.len() > MAX_LISTENER_NAME {
        let expected = format!("1 to {MAX_LISTENER_NAME} letters, digits, '-', '_' or '.'");
        return Err(places.error(&raw.name.span(), expected));
    }
    let place = place(raw, places)?;
    let tls = match (&raw.tls, &place) {
        (Some(tls), Place::Socket { .. }) => {
            return Err(places.error(&tls.span(), "no key `tls` beside `socket`: no network is crossed"));
        }
        (None, Place::Socket { .. }) => false,
        (tls, Place::Network { .. }) => tls.as_ref().is_none_or(|tls| *tls.get_ref()),
    };
    let listener = Listener {
        name: name.clone(),
        protocol: raw.protocol.as_ref().map(|protocol| *protocol.get_ref()).unwrap_or_default(),
        place,
        tls,
        login: login(raw, tls, places)?,
        from: from(raw, places)?,
        anonymous_as: anonymous_as(raw, places)?,
        server_certificate: server_certificate(raw, tls, places)?,
        trusted: trusted(raw, places)?,
        origins: origins(raw, places)?,
    };
    fits(raw, &listener, places)?;
    Ok(listener)
}

fn place(raw: &file::Listener, places: &Places<'_>) -> Result<Place, ConfigError> {
    if let Some(socket) = &raw.socket {
        let path = Path::new(socket.get_ref());
        let beside = raw.address.as_ref().map(Spanned::span).or(raw.port.as_ref().map(Spanned::span));
        return match beside {
            Some(span) => Err(places.error(&span, "no address and no port beside `socket`")),
            None if !path.is_absolute() || path.file_name().is_none() => {
                Err(places.error(&socket.span(), "an absolute path, like \"/run/keyward/mqtt.sock\""))
            }
            None => Ok(Place::Socket { path: path.to_owned(), mode: socket_mode(raw, places)? }),
        };
    }
    let address = match &raw.address {
        None => Address::All,
        Some(text) => Address::parse(text.get_ref())
            .ok_or_else(|| places.error(&text.span(), "an IP address, or \"*\" for all addresses"))?,
    };
    match &raw.port {
        // The type of the port is bounded, so nothing is lost here.
        Some(port) => {
            Ok(Place::Network { address, port: u16::try_from(port.get_ref().0).unwrap_or_default() })
        }
        None => Err(places.error(&raw.name.span(), "a key `port` (or `socket`) beside the name")),
    }
}

fn socket_mode(raw: &file::Listener, places: &Places<'_>) -> Result<SocketMode, ConfigError> {
    let Some(text) = &raw.socket_mode else { return Ok(SocketMode::default()) };
    let expected = "permissions in octal like \"0660\", with reading and writing for the broker itself";
    SocketMode::parse(text.get_ref()).ok_or_else(|| places.error(&text.span(), expected))
}

fn login(raw: &file::Listener, tls: bool, places: &Places<'_>) -> Result<LoginRule, ConfigError> {
    let Some(login) = &raw.login else { return Ok(Listener::default_login(tls)) };
    if !tls && *login.get_ref() != LoginRule::Password {
        return Err(places.error(&login.span(), "\"password\": without TLS no certificate can be shown"));
    }
    Ok(*login.get_ref())
}

fn from(raw: &file::Listener, places: &Places<'_>) -> Result<Vec<Network>, ConfigError> {
    if let Some(extra) = raw.from.get(MAX_NETWORKS) {
        return Err(places.error(&extra.span(), format!("at most {MAX_NETWORKS} networks")));
    }
    let parse = |text: &Spanned<String>| {
        let expected = "a network like \"192.168.1.0/24\" or \"fd00::/8\", with zeros beyond its prefix, \
                        or one address";
        Network::parse(text.get_ref()).ok_or_else(|| places.error(&text.span(), expected))
    };
    raw.from.iter().map(parse).collect()
}

fn anonymous_as(raw: &file::Listener, places: &Places<'_>) -> Result<Option<UserId>, ConfigError> {
    let parse = |text: &Spanned<String>| {
        UserId::parse(text.get_ref()).map_err(|_| places.error(&text.span(), "the name of a user"))
    };
    raw.anonymous_as.as_ref().map(parse).transpose()
}

fn server_certificate(
    raw: &file::Listener,
    tls: bool,
    places: &Places<'_>,
) -> Result<Option<LocalName>, ConfigError> {
    let Some(text) = &raw.server_certificate else { return Ok(None) };
    if !tls {
        return Err(places.error(&text.span(), "no such key without TLS: there nothing is shown"));
    }
    let expected = "the name of a certificate that was imported (keyward server certificate list)";
    text.get_ref().parse().map(Some).map_err(|_| places.error(&text.span(), expected))
}

fn trusted(raw: &file::Listener, places: &Places<'_>) -> Result<Option<Vec<LocalName>>, ConfigError> {
    let Some(named) = &raw.trusted else { return Ok(None) };
    let named = named.get_ref();
    if let Some(extra) = named.get(TRUSTED_AUTHORITIES) {
        return Err(places.error(&extra.span(), format!("at most {TRUSTED_AUTHORITIES} authorities")));
    }
    let parse = |text: &Spanned<String>| {
        let expected = "the name of an authority that is trusted (keyward authority trust list)";
        text.get_ref().parse().map_err(|_| places.error(&text.span(), expected))
    };
    named.iter().map(parse).collect::<Result<_, _>>().map(Some)
}

fn origins(raw: &file::Listener, places: &Places<'_>) -> Result<Option<Vec<String>>, ConfigError> {
    let Some(listed) = &raw.origins else { return Ok(None) };
    if let Some(extra) = listed.get(MAX_ORIGINS) {
        return Err(places.error(&extra.span(), format!("at most {MAX_ORIGINS} origins")));
    }
    let is_all = |text: &str| text == ALL_ORIGINS && listed.len() == 1;
    let parse = |text: &Spanned<String>| match is_all(text.get_ref()) || is_origin(text.get_ref()) {
        true => Ok(text.get_ref().clone()),
        false => {
            let expected =
                "an origin like \"https://panel.example:1880\", without a path, or \"*\" alone for all";
            Err(places.error(&text.span(), expected))
        }
    };
    listed.iter().map(parse).collect::<Result<_, _>>().map(Some)
}

/// Tells whether a text is an origin as browsers write it: scheme, host, and a port unless it is that of the scheme.
fn is_origin(text: &str) -> bool {
    let of = |from: &str, other: &[u8]| {
        !from.is_empty() && from.bytes().all(|byte| byte.is_ascii_alphanumeric() || other.contains(&byte))
    };
    text.split_once("://").is_some_and(|(scheme, host)| of(scheme, b"+-.") && of(host, b"-._:[]"))
}

/// Refuses keys that are right alone and wrong together.
fn fits(raw: &file::Listener, listener: &Listener, places: &Places<'_>) -> Result<(), ConfigError> {
    if let Some(tls) = raw.tls.as_ref().filter(|_| listener.is_plain_network() && listener.from.is_empty()) {
        let expected = "true: without TLS passwords and messages can be read on the network, so plain MQTT needs \
                        address = \"127.0.0.1\" or \"::1\", or from = [\"192.168.1.0/24\"] with the networks \
                        whose clients may connect";
        return Err(places.error(&tls.span(), expected));
    }
    if let (Some(from), Place::Socket { .. }) = (raw.from.first(), &listener.place) {
        return Err(
            places.error(&from.span(), "no key `from` beside `socket`: its file's mode says who may connect")
        );
    }
    if let (Some(mode), Place::Network { .. }) = (&raw.socket_mode, &listener.place) {
        return Err(places.error(&mode.span(), "no key `socket_mode` without `socket`"));
    }
    if let (Some([origin, ..]), Protocol::Mqtt) = (raw.origins.as_deref(), listener.protocol) {
        let expected = "no key `origins` without protocol = \"websocket\": no page can connect";
        return Err(places.error(&origin.span(), expected));
    }
    if let Some(named) = raw.trusted.as_ref().filter(|_| !listener.takes_certificates()) {
        let expected =
            format!("no such key beside login = \"{}\": no certificate is asked for", listener.login);
        return Err(places.error(&named.span(), expected));
    }
    if let Some(name) = raw.anonymous_as.as_ref().filter(|_| listener.login.needs_certificate()) {
        let expected = format!("no such key beside login = \"{}\"", listener.login);
        return Err(places.error(&name.span(), expected));
    }
    Ok(())
}

fn collision(
    earlier: &[Listener],
    listener: &Listener,
    raw: &file::Listener,
    places: &Places<'_>,
) -> Option<ConfigError> {
    if earlier.iter().any(|other| other.name == listener.name) {
        return Some(places.error(&raw.name.span(), "a name that no other listener has"));
    }
    let taken = earlier.iter().find(|other| overlap(&other.place, &listener.place))?;
    let (span, what) = match (&raw.port, &raw.socket) {
        (Some(port), _) => (port.span(), "a port"),
        (None, Some(socket)) => (socket.span(), "a path"),
        (None, None) => return None,
    };
    Some(places.error(&span, format!("{what} that listener {} has not taken", taken.name)))
}

fn overlap(one: &Place, other: &Place) -> bool {
    match (one, other) {
        (Place::Network { address, port }, Place::Network { address: other, port: other_port }) => {
            let same = address == other || *address == Address::All || *other == Address::All;
            *port != 0 && port == other_port && same
        }
        (Place::Socket { path, .. }, Place::Socket { path: other, .. }) => path == other,
        _ => false,
    }
}
