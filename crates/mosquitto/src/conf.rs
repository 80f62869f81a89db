//! `mosquitto.conf` and the files that it includes: listeners, and what guards them.

use crate::{
    Fate, Place, Remark, Source, Version, Wrong,
    keys::{is_secret, treatment},
    limits,
    text::{Text, trim, word},
};
use std::collections::BTreeSet;

/// Is what a configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Where the broker listens; never empty.
    pub listeners: Vec<Listener>,
    /// What guards all listeners; with `per_listener_settings` each has its own in [`Listener::guards`].
    pub guards: Guards,
    /// Whether each listener has its own guards.
    pub per_listener: bool,
    /// What is said about the lines of all files.
    pub remarks: Vec<Remark>,
}

/// Is a value with the line that gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cited {
    /// The value.
    pub value: String,
    /// Where.
    pub place: Place,
}

/// Says who gets in and what they may do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Guards {
    /// Whether clients without a user name get in; the default depends on the listeners.
    pub allow_anonymous: Option<bool>,
    /// The password file.
    pub password_file: Option<Cited>,
    /// The rules.
    pub acl_file: Option<Cited>,
    /// The file of the dynamic-security plugin.
    pub dynamic_security: Option<Cited>,
}

/// Says where the name of a client with a certificate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameFrom {
    /// The first common name of the subject.
    CommonName,
    /// The whole subject.
    Subject,
}

/// Is one listener.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listener {
    /// Where it stands; `None` for the one that is there without being named.
    pub place: Option<Place>,
    /// The TCP port; 0 with a socket.
    pub port: u16,
    /// The address or host name; `None` for all addresses.
    pub address: Option<String>,
    /// The path of a Unix socket.
    pub socket: Option<String>,
    /// Whether it speaks WebSocket.
    pub websocket: bool,
    /// What it presents: with a certificate and a key it speaks TLS.
    pub certfile: Option<Cited>,
    /// The key of `certfile`.
    pub keyfile: Option<Cited>,
    /// The authority that client certificates are of.
    pub cafile: Option<Cited>,
    /// A folder of authorities.
    pub capath: Option<Cited>,
    /// Revoked client certificates.
    pub crlfile: Option<Cited>,
    /// Whether clients must show a certificate.
    pub require_certificate: bool,
    /// Whether the certificate names the client; its user name and password are then not looked at.
    pub name_from: Option<NameFrom>,
    /// Whether the user name takes the place of the client id; who has none is then shut out.
    pub username_as_clientid: bool,
    /// Whether pre-shared keys protect it (`psk_hint`).
    pub has_psk: bool,
    /// What guards this listener, with `per_listener_settings`, and what stands in its section.
    pub guards: Guards,
}

impl Listener {
    /// Tells whether it speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.certfile.is_some() && self.keyfile.is_some()
    }

    /// Tells whether only this machine reaches it.
    pub fn is_local(&self) -> bool {
        let loopback = |address: &str| {
            address == "localhost" || address.parse().is_ok_and(|ip: core::net::IpAddr| ip.is_loopback())
        };
        self.socket.is_some() || self.address.as_deref().is_some_and(loopback)
    }
}

/// Reads `path` and what it includes.
///
/// # Errors
/// [`Wrong`], where Mosquitto refuses the files too, and where they are beyond a bound.
pub fn read(source: &mut impl Source, path: &str, version: Version) -> Result<Settings, Wrong> {
    let mut reader = Reader { version, ..Reader::default() };
    let bytes = load(source, path, None)?;
    let folders = reader.file(path, &bytes, true)?;
    for Cited { value: folder, place } in folders {
        let wrong = |what| Wrong { place: place.clone(), what };
        let mut files = source.list(&folder).map_err(wrong)?;
        files.retain(|file| file.ends_with(".conf"));
        // In the order of Mosquitto: without regard to case, upper case first among equals.
        files.sort_by(|a, b| (a.to_ascii_lowercase(), a).cmp(&(b.to_ascii_lowercase(), b)));
        reader.included += files.len();
        if reader.included > limits::MAX_INCLUDED {
            return Err(wrong(format!("more than {} files are included", limits::MAX_INCLUDED)));
        }
        for file in files {
            let bytes = load(source, &file, Some(&place))?;
            reader.file(&file, &bytes, false)?;
        }
    }
    Ok(reader.finish())
}

fn load(source: &mut impl Source, path: &str, from: Option<&Place>) -> Result<Vec<u8>, Wrong> {
    source.read(path, limits::MAX_FILE_BYTES).map_err(|what| Wrong {
        place: from.cloned().unwrap_or(Place { file: path.into(), line: 0 }),
        what: format!("{path}: {what}"),
    })
}

struct Reader {
    version: Version,
    settings: Settings,
    default_listener: Listener,
    /// Whether something was said about the default listener.
    has_default: bool,
    /// Whether the lines are those of a bridge.
    in_bridge: bool,
    seen: BTreeSet<(usize, String)>,
    included: usize,
    /// The plugin to which the options that follow belong.
    plugin: Plugin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plugin {
    None,
    Password,
    Acl,
    DynamicSecurity,
    Store,
    Unknown,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            version: Version::V2_0,
            settings: Settings::default(),
            default_listener: Listener::default(),
            has_default: false,
            in_bridge: false,
            seen: BTreeSet::new(),
            included: 0,
            plugin: Plugin::None,
        }
    }
}

impl Reader {
    /// Reads one file. Returns the folders that it includes.
    fn file(&mut self, path: &str, bytes: &[u8], is_main: bool) -> Result<Vec<Cited>, Wrong> {
        let mut text = Text::new(path, bytes)?;
        let mut folders = Vec::new();
        for (number, line) in text.lines() {
            let Some((key, rest)) = word(line) else { continue };
            let value = trim(rest);
            let place = text.place(number);
            if key == "include_dir" {
                if !is_main {
                    return Err(text.wrong(number, "an included file cannot include others"));
                }
                text.remark(number, line, Fate::Carried, "the files of this folder are read");
                folders.push(Cited { value: value.to_owned(), place });
                continue;
            }
            let (fate, what) = self.option(key, value, &place).map_err(|what| text.wrong(number, what))?;
            let shown = if is_secret(key) { format!("{key} …") } else { line.to_owned() };
            text.remark(number, &shown, fate, what);
        }
        self.settings.remarks.extend(text.into_remarks());
        Ok(folders)
    }

    /// Takes one option. Returns what is to be said about it.
    fn option(&mut self, key: &str, value: &str, place: &Place) -> Result<(Fate, String), String> {
        match key {
            "listener" => return self.begin_listener(value, place),
            "connection" => self.in_bridge = true,
            _ => {}
        }
        let said = match self.access_option(key, value, place)? {
            Some(said) => Some(said),
            None if self.in_bridge => None,
            None => self.listener_option(key, value, place)?,
        };
        if let Some(said) = said {
            return Ok(said);
        }
        if self.in_bridge && (key.ends_with("file") || key.ends_with("path") || key.starts_with("tls_")) {
            return Ok((Fate::Unsupported, "bridges are not carried over".to_owned()));
        }
        let (fate, what) =
            treatment(key).ok_or_else(|| format!("there is no option {}", crate::shown(key)))?;
        Ok((fate, what.to_owned()))
    }

    fn begin_listener(&mut self, value: &str, place: &Place) -> Result<(Fate, String), String> {
        if self.settings.listeners.len() >= limits::MAX_LISTENERS {
            return Err(format!("more than {} listeners", limits::MAX_LISTENERS));
        }
        let (port, rest) = word(value).ok_or("a port must follow")?;
        let port: u16 = port.parse().map_err(|_| "the port is a number from 0 to 65535")?;
        let host = Some(trim(rest)).filter(|host| !host.is_empty());
        let mut listener = Listener { place: Some(place.clone()), port, ..Listener::default() };
        match (port, host) {
            (0, Some(path)) => listener.socket = Some(path.to_owned()),
            (0, None) => return Err("port 0 needs the path of a Unix socket".to_owned()),
            (_, host) => listener.address = host.map(str::to_owned),
        }
        self.in_bridge = false;
        self.settings.listeners.push(listener);
        Ok((Fate::Carried, String::new()))
    }

    /// Takes an option of the listener whose section this is.
    fn listener_option(
        &mut self,
        key: &str,
        value: &str,
        place: &Place,
    ) -> Result<Option<(Fate, String)>, String> {
        self.once(key)?;
        let is_default = self.settings.listeners.is_empty();
        let listener = self.settings.listeners.last_mut().unwrap_or(&mut self.default_listener);
        let cited = || Some(Cited { value: value.to_owned(), place: place.clone() });
        let mut fate = (Fate::Carried, String::new());
        match key {
            "port" => listener.port = value.parse().map_err(|_| "the port is a number from 1 to 65535")?,
            "bind_address" => listener.address = Some(value.to_owned()),
            "protocol" => match value {
                "mqtt" => {}
                "websockets" => listener.websocket = true,
                _ => return Err("the protocol is mqtt or websockets".to_owned()),
            },
            "certfile" => listener.certfile = cited(),
            "keyfile" => listener.keyfile = cited(),
            "cafile" => listener.cafile = cited(),
            "capath" => listener.capath = cited(),
            "crlfile" => listener.crlfile = cited(),
            "require_certificate" => listener.require_certificate = boolean(value)?,
            "use_username_as_clientid" => {
                listener.username_as_clientid = boolean(value)?;
                if listener.username_as_clientid {
                    let what = "a session belongs to the user and the client id together; clients without a user name stay out";
                    fate = (Fate::Changed, what.to_owned());
                }
            }
            "psk_hint" => {
                listener.has_psk = true;
                self.has_default |= is_default;
                return Ok(None);
            }
            "use_identity_as_username" if boolean(value)? => listener.name_from = Some(NameFrom::CommonName),
            "use_subject_as_username" if boolean(value)? => {
                // The common name wins if both are asked for.
                listener.name_from.get_or_insert(NameFrom::Subject);
            }
            "use_identity_as_username" | "use_subject_as_username" => {}
            "listener_allow_anonymous" if self.version == Version::V2_1 => {
                listener.guards.allow_anonymous = Some(boolean(value)?);
            }
            _ => return Ok(None),
        }
        if key.starts_with("c") || key == "keyfile" {
            fate = (
                Fate::Unsupported,
                "without certfile, keyfile and require_certificate it did nothing".to_owned(),
            );
        }
        self.has_default |= is_default && key != "listener_allow_anonymous";
        Ok(Some(fate))
    }

    /// Takes an option about who gets in and what they may do.
    fn access_option(
        &mut self,
        key: &str,
        value: &str,
        place: &Place,
    ) -> Result<Option<(Fate, String)>, String> {
        let carried = Ok(Some((Fate::Carried, String::new())));
        let cited = || Cited { value: value.to_owned(), place: place.clone() };
        match key {
            "per_listener_settings" => {
                self.settings.per_listener = boolean(value)?;
                carried
            }
            "allow_anonymous" => {
                self.once(key)?;
                self.guards().allow_anonymous = Some(boolean(value)?);
                carried
            }
            "password_file" => self.put(key, cited(), |guards| &mut guards.password_file),
            "acl_file" => self.put(key, cited(), |guards| &mut guards.acl_file),
            "plugin" | "global_plugin" | "auth_plugin" => {
                self.plugin = plugin_named(value);
                Ok(Some(match self.plugin {
                    Plugin::Unknown => {
                        let what = "what this plugin decides cannot be read: take its lines out if it may be left out";
                        (Fate::Refused, what.to_owned())
                    }
                    Plugin::Store => {
                        (Fate::Changed, "Keyward keeps sessions and messages by itself".to_owned())
                    }
                    _ => (Fate::Carried, "its file is read".to_owned()),
                }))
            }
            "plugin_opt_password_file" if self.plugin == Plugin::Password => {
                self.put(key, cited(), |guards| &mut guards.password_file)
            }
            "plugin_opt_acl_file" if self.plugin == Plugin::Acl => {
                self.put(key, cited(), |guards| &mut guards.acl_file)
            }
            "plugin_opt_config_file" if self.plugin == Plugin::DynamicSecurity => {
                self.put(key, cited(), |guards| &mut guards.dynamic_security)
            }
            _ => Ok(None),
        }
    }

    fn put(
        &mut self,
        key: &str,
        value: Cited,
        field: impl Fn(&mut Guards) -> &mut Option<Cited>,
    ) -> Result<Option<(Fate, String)>, String> {
        if value.value.is_empty() {
            return Err("the path of a file must follow".to_owned());
        }
        match field(self.guards()) {
            Some(_) => Err(format!("{key} stands here a second time")),
            empty => {
                *empty = Some(value);
                Ok(Some((Fate::Carried, "its lines are listed".to_owned())))
            }
        }
    }

    /// Returns the guards of which the lines here speak.
    fn guards(&mut self) -> &mut Guards {
        if !self.settings.per_listener {
            return &mut self.settings.guards;
        }
        match self.settings.listeners.last_mut() {
            Some(listener) => &mut listener.guards,
            None => {
                self.has_default = true;
                &mut self.default_listener.guards
            }
        }
    }

    /// Refuses an option that stands in one section twice.
    fn once(&mut self, key: &str) -> Result<(), String> {
        let repeatable = treatment(key).is_some();
        if repeatable || self.seen.insert((self.settings.listeners.len(), key.to_owned())) {
            return Ok(());
        }
        Err(format!("{key} stands in this section a second time"))
    }

    fn finish(self) -> Settings {
        let Self { mut settings, mut default_listener, has_default, .. } = self;
        let is_local_only =
            settings.listeners.is_empty() && default_listener.port == 0 && default_listener.address.is_none();
        if has_default || settings.listeners.is_empty() {
            if default_listener.port == 0 {
                default_listener.port = 1883;
            }
            if is_local_only {
                default_listener.address = Some("127.0.0.1".to_owned());
            }
            settings.listeners.insert(0, default_listener);
        }
        for guards in settings.listeners.iter_mut().map(|listener| &mut listener.guards) {
            if settings.per_listener {
                guards.allow_anonymous.get_or_insert(is_local_only);
            }
        }
        settings.guards.allow_anonymous.get_or_insert(is_local_only);
        settings
    }
}

fn boolean(value: &str) -> Result<bool, String> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

fn plugin_named(path: &str) -> Plugin {
    let file = path.rsplit('/').next().unwrap_or_default();
    match file.split('.').next().unwrap_or_default() {
        "mosquitto_password_file" => Plugin::Password,
        "mosquitto_acl_file" => Plugin::Acl,
        "mosquitto_dynamic_security" => Plugin::DynamicSecurity,
        "mosquitto_persist_sqlite" => Plugin::Store,
        _ => Plugin::Unknown,
    }
}

#[cfg(test)]
mod tests;
