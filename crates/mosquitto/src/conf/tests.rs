//! What `mosquitto.conf` is read as.

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
