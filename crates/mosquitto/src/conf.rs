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
    /// Whether the user name takes the place of the client id.
    pub username_as_clientid: bool,
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
            "use_username_as_clientid" => listener.username_as_clientid = boolean(value)?,
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
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Is a folder of files in memory.
    struct Folder(BTreeMap<String, String>);

    impl Source for Folder {
        fn read(&mut self, path: &str, _: usize) -> Result<Vec<u8>, String> {
            self.0.get(path).map(|text| text.clone().into_bytes()).ok_or_else(|| "is not there".to_owned())
        }

        fn list(&mut self, folder: &str) -> Result<Vec<String>, String> {
            Ok(self.0.keys().filter(|path| path.starts_with(folder)).cloned().collect())
        }
    }

    fn try_read(files: &[(&str, &str)], version: Version) -> Result<Settings, Wrong> {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        read(&mut Folder(files), "m.conf", version)
    }

    fn settings(text: &str) -> Settings {
        try_read(&[("m.conf", text)], Version::V2_0).unwrap()
    }

    fn ports(settings: &Settings) -> Vec<u16> {
        settings.listeners.iter().map(|listener| listener.port).collect()
    }

    #[test]
    fn without_a_listener_only_this_machine_reaches_it_without_a_login() {
        let settings = settings("# nothing\n");
        assert_eq!((ports(&settings), settings.guards.allow_anonymous), (vec![1883], Some(true)));
        assert!(settings.listeners[0].is_local());
    }

    #[test]
    fn with_a_listener_nobody_gets_in_without_a_login() {
        for text in ["listener 1884\n", "port 1884\n", "listener 1884 0.0.0.0\n"] {
            let settings = settings(text);
            assert_eq!((ports(&settings), settings.guards.allow_anonymous), (vec![1884], Some(false)));
            assert!(!settings.listeners[0].is_local());
        }
    }

    #[test]
    fn options_belong_to_the_listener_before_them() {
        let settings = settings(
            "password_file /p w\nlistener 8883\ncertfile c\nkeyfile k\nrequire_certificate true\n\
             use_identity_as_username 1\nlistener 0 /run/m.sock\nlistener 9001 ::1\nprotocol websockets\nallow_anonymous true\n",
        );
        assert_eq!(ports(&settings), [8883, 0, 9001]);
        let [tls, socket, web] = &settings.listeners[..] else { panic!() };
        assert!(tls.is_tls() && tls.require_certificate && tls.name_from == Some(NameFrom::CommonName));
        assert!(socket.socket.as_deref() == Some("/run/m.sock") && socket.is_local());
        assert!(web.websocket && web.is_local() && !web.is_tls());
        assert_eq!(settings.guards.password_file.as_ref().unwrap().value, "/p w");
        assert_eq!(settings.guards.allow_anonymous, Some(true));
    }

    #[test]
    fn with_per_listener_settings_each_has_its_own_guards() {
        let settings = settings(
            "per_listener_settings true\nlistener 1\nacl_file a\nlistener 2\nacl_file b\nallow_anonymous true\n",
        );
        let files: Vec<_> =
            settings.listeners.iter().map(|it| it.guards.acl_file.clone().unwrap().value).collect();
        assert_eq!(files, ["a", "b"]);
        assert_eq!(settings.listeners[0].guards.allow_anonymous, Some(false));
        assert_eq!(settings.listeners[1].guards.allow_anonymous, Some(true));
    }

    #[test]
    fn included_files_are_read_in_mosquittos_order_and_include_nothing() {
        let files = [
            ("m.conf", "include_dir d/\nlistener 9\n"),
            ("d/b.conf", "listener 3\n"),
            ("d/B.conf", "listener 2\n"),
            ("d/a.conf", "listener 1\n"),
            ("d/c.txt", "nonsense\n"),
        ];
        assert_eq!(ports(&try_read(&files, Version::V2_0).unwrap()), [9, 1, 2, 3]);
        let cyclic = [("m.conf", "include_dir d/\n"), ("d/a.conf", "include_dir d/\n")];
        assert_eq!(try_read(&cyclic, Version::V2_0).unwrap_err().place.to_string(), "d/a.conf:1");
    }

    #[test]
    fn the_plugins_of_2_1_stand_for_the_options_of_2_0() {
        let settings = settings(
            "plugin /usr/lib/mosquitto_password_file.so\nplugin_opt_password_file p\n\
             plugin /usr/lib/mosquitto_acl_file.so\nplugin_opt_acl_file a\n\
             plugin /usr/lib/mosquitto_dynamic_security.so\nplugin_opt_config_file d\n",
        );
        let value = |cited: &Option<Cited>| cited.as_ref().map(|cited| cited.value.clone()).unwrap();
        let guards = &settings.guards;
        assert_eq!(
            value(&guards.password_file) + &value(&guards.acl_file) + &value(&guards.dynamic_security),
            "pad"
        );
    }

    #[test]
    fn what_mosquitto_refuses_is_refused_with_its_line() {
        for line in [
            "lisener 1883",
            " # no comment",
            "allow_anonymous yes",
            "listener",
            "listener 70000",
            "listener 0",
            "certfile a\ncertfile b",
            "password_file a\npassword_file b",
            "protocol http",
        ] {
            assert!(try_read(&[("m.conf", line)], Version::V2_0).is_err(), "{line}");
        }
        assert!(try_read(&[("m.conf", "listener 1\nlistener_allow_anonymous true")], Version::V2_1).is_ok());
        assert!(try_read(&[("m.conf", "listener 1\nlistener_allow_anonymous true")], Version::V2_0).is_err());
    }

    #[test]
    fn every_line_is_remarked_and_no_secret_is_shown() {
        let text = "# c\n\nlistener 1883\nconnection b\nremote_password hunter2\naddress x\ntopic # both\ncafile x\n\
                    plugin /x/go-auth.so\nauth_opt_pg_password hunter2\nmax_inflight_messages 5\nmount_point x\n";
        let settings = settings(text);
        assert_eq!(settings.remarks.len(), text.lines().count());
        assert!(!format!("{:?}", settings.remarks).contains("hunter2"));
        let refused: Vec<_> = settings.remarks.iter().filter(|remark| remark.fate == Fate::Refused).collect();
        assert_eq!(refused.iter().map(|remark| remark.place.line).collect::<Vec<_>>(), [9, 12]);
    }
}
