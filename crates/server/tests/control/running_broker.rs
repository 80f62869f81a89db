//! Stories of a running broker, told through its control socket and by clients over mutual TLS.

use crate::site::{Ask, Keys, Site, device, revoke};
use keyward_client::{Client, ClientError, ClientOptions, Login, Publication, TlsIdentity, TlsOptions};
use keyward_identity::WallTime;
use keyward_mqtt::packet::Qos;
use keyward_server::{
    admin::{self, OpenOptions, Operator},
    clock,
    control::{
        DeviceAdded, ListenerAdd, NewCredential, NewPassword, Refusal, RefusalCode, Reloaded, Request,
        Response, Secret, UserAdd,
    },
    denials::Report,
    running::{RunOptions, Running, StartError, run},
    status::Status,
};
use std::{
    io::Write,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    time::Duration,
};

/// How long a story waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a story listens for what must not happen.
const MOMENT: Duration = Duration::from_millis(200);

struct Broker {
    site: Site,
    running: Option<Running>,
    port: u16,
}

impl Broker {
    fn start(site: Site) -> Self {
        let running = run(site.home.clone(), &options()).unwrap();
        let port = running.addresses()[0].port();
        Self { site, running: Some(running), port }
    }

    fn new() -> Self {
        Self::start(Site::empty())
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    /// An operator's shell in another process.
    fn operator(&self) -> Operator {
        let operator = admin::open(&self.site.home, &OpenOptions::default()).unwrap();
        assert!(matches!(operator, Operator::Running(_)), "the broker answers");
        operator
    }

    /// Adds a device as an operator and returns what connects as it.
    fn device(&self, id: &str) -> ClientOptions {
        let keys = Keys::new();
        match self.operator().ask(Request::DeviceAdd(device(id, &keys))) {
            Ok(Response::DeviceAdded(added)) => self.client_of(&added, &keys),
            other => panic!("{:?}", other.err()),
        }
    }

    fn client_of(&self, added: &DeviceAdded, keys: &Keys) -> ClientOptions {
        let mut options = ClientOptions::new("127.0.0.1", self.port);
        options.client_id = added.device.id.clone();
        options.tls = Some(TlsOptions {
            roots_pem: added.ca_pem.clone().into_bytes(),
            identity: Some(TlsIdentity::from_pem(
                added.certificate_pem.clone().unwrap(),
                keys.0.serialize_pem().into_bytes(),
            )),
            server_name: None,
        });
        options
    }

    fn user(&self, name: &str, password: &str) -> ClientOptions {
        let added = self.operator().add_user(name, password);
        let mut options = ClientOptions::new("127.0.0.1", self.port);
        options.tls =
            Some(TlsOptions { roots_pem: added.ca_pem.into_bytes(), identity: None, server_name: None });
        options.login = Some(login(name, password));
        options
    }

    fn reload(&self) -> Result<Reloaded, Refusal> {
        match self.operator().ask(Request::Reload)? {
            Response::Reloaded(reloaded) => Ok(reloaded),
            _ => panic!("not an answer to a reload"),
        }
    }

    fn status(&self) -> Status {
        match self.operator().ask(Request::Status) {
            Ok(Response::Status(status)) => *status,
            other => panic!("{:?}", other.err()),
        }
    }

    /// Waits until the denials hold what `find` looks for.
    fn denials(&self, find: impl Fn(&Report) -> bool) -> Report {
        let deadline = clock::now().mono.0 + PATIENCE.as_millis() as u64;
        loop {
            let Ok(Response::Denials(report)) =
                self.operator().ask(Request::Denials { since_secs: Some(600) })
            else {
                panic!("no report");
            };
            if find(&report) {
                return report;
            }
            assert!(clock::now().mono.0 < deadline, "{report:?}");
        }
    }
}

fn options() -> RunOptions {
    RunOptions {
        port: Some(0),
        address: Some(Ipv4Addr::LOCALHOST.into()),
        dumpable: true,
        ignore_signals: true,
        ..RunOptions::default()
    }
}

fn login(name: &str, password: &str) -> Login {
    Login { username: name.to_owned(), password: Some(password.as_bytes().to_vec().into()) }
}

fn connect(options: &ClientOptions) -> Client {
    Client::connect(options).unwrap()
}

fn refused(options: &ClientOptions) -> ClientError {
    match Client::connect(options) {
        Ok(_) => panic!("let in"),
        Err(error) => error,
    }
}

fn publish(client: &mut Client, topic: &str) -> bool {
    let publication = Publication::new(topic, b"21.5").qos(Qos::AtLeastOnce);
    match client.publish(&publication) {
        Ok(_) => true,
        Err(ClientError::PublishRefused { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_first_start_makes_the_installation_and_a_second_one_finds_it() {
    let mut broker = Broker::new();
    assert!(broker.running().is_first_start());
    let status = broker.running().status();
    assert_eq!((status.devices, status.users), (0, 0));
    assert!(status.names.contains(&"localhost".to_owned()) && status.names.contains(&"127.0.0.1".to_owned()));
    assert!(status.running.is_some() && status.offline_folder.is_some());
    broker.device("dev01");
    drop(broker.running.take());
    let broker = Broker::start(broker.site);
    assert!(!broker.running().is_first_start());
    assert_eq!(broker.running().status().devices, 1);
}

#[test]
fn a_device_added_while_the_broker_runs_talks_within_its_own_topics() {
    let broker = Broker::new();
    let mut client = connect(&broker.device("dev01"));
    client.subscribe("dev01/#", Qos::AtLeastOnce).unwrap();
    assert!(publish(&mut client, "dev01/status"));
    let message = client.next_message(PATIENCE).unwrap().expect("a message");
    assert_eq!((message.topic.as_str(), message.payload.as_slice()), ("dev01/status", b"21.5".as_slice()));
    assert!(!publish(&mut client, "dev02/status"));
    assert_eq!(broker.status().running.unwrap().links, 1);
    assert_eq!(broker.operator().devices()[0].connected, Some(true));
}

#[test]
fn a_revoked_device_is_disconnected_before_the_command_returns() {
    let broker = Broker::new();
    let options = broker.device("dev01");
    let mut client = connect(&options);
    let changed = broker.operator().change(revoke("dev01"));
    assert_eq!(changed.closed_links, Some(1));
    assert!(changed.in_force_ms.unwrap() < 1_000, "{changed:?}");
    assert!(client.wait_closed(PATIENCE).is_some());
    refused(&options);
    let report = broker.denials(|report| !report.logins.is_empty());
    assert!(report.logins[0].cause.contains("device:dev01 is revoked"), "{report:?}");
}

#[test]
fn a_disabled_device_waits_outside_until_it_is_enabled() {
    let broker = Broker::new();
    let options = broker.device("dev01");
    let mut client = connect(&options);
    let changed = broker.operator().change(Request::DeviceDisable { id: "dev01".into() });
    assert_eq!(changed.closed_links, Some(1));
    assert!(client.wait_closed(PATIENCE).is_some());
    refused(&options);
    broker.operator().change(Request::DeviceEnable { id: "dev01".into() });
    connect(&options);
}

#[test]
fn the_rules_that_denials_shows_allow_it_after_a_reload() {
    let broker = Broker::new();
    let mut client = connect(&broker.device("dev01"));
    assert!(!publish(&mut client, "shared/x"));
    let report = broker.denials(|report| !report.denials.is_empty());
    let row = &report.denials[0];
    assert_eq!(
        (row.who.as_str(), row.action.as_str(), row.topic.as_str()),
        ("device:dev01", "publish", "shared/x")
    );
    assert_eq!(broker.status().running.unwrap().denials_last_hour, 1);
    broker.site.rule_file("shared.toml", row.would_allow.as_ref().unwrap());
    let reloaded = broker.reload().unwrap();
    assert!(reloaded.changes[0].starts_with("policy.d/shared.toml added"), "{reloaded:?}");
    assert!(publish(&mut client, "shared/x"), "the open link is decided by the new rules");
}

#[test]
fn a_start_without_the_folder_of_rules_is_refused_but_the_first_one_makes_it() {
    let mut broker = Broker::new();
    assert!(broker.site.home.policy_dir().is_dir());
    drop(broker.running.take());
    std::fs::remove_dir(broker.site.home.policy_dir()).unwrap();
    let error = run(broker.site.home.clone(), &options()).err().unwrap();
    assert!(matches!(error, StartError::Rules(_)) && error.to_string().contains("mkdir"), "{error}");
}

#[test]
fn a_bad_rule_file_leaves_the_rules_in_force() {
    let broker = Broker::new();
    let mut client = connect(&broker.device("dev01"));
    broker.site.rule_file("bad.toml", "[[rule]]\nwho = \"all\"\ndeny = [\"publish\"]\n");
    let refusal = broker.reload().unwrap_err();
    assert_eq!(refusal.code, RefusalCode::BadFile);
    assert!(refusal.what.contains("policy.d/bad.toml:"), "{refusal}");
    assert!(publish(&mut client, "dev01/status"));
}

#[test]
fn a_listener_opens_and_closes_while_others_talk() {
    let broker = Broker::new();
    let mut device = connect(&broker.device("dev01"));
    broker.user("ada", "correct horse battery");
    let add = Request::ListenerAdd(ListenerAdd {
        name: "local".into(),
        address: Some("127.0.0.1".into()),
        port: Some(0),
        plain: true,
        ..ListenerAdd::default()
    });
    let Ok(Response::Listeners(rows)) = broker.operator().ask(add) else { panic!("refused") };
    let local = rows.iter().find(|row| row.name == "local").unwrap();
    let port = local.port.unwrap();
    assert!(local.open && port != 0, "{rows:?}");
    let mut options = ClientOptions::new("127.0.0.1", port);
    options.login = Some(login("ada", "correct horse battery"));
    connect(&options);
    broker.operator().ask(Request::ListenerRemove { name: "local".into() }).unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(publish(&mut device, "dev01/status"));
}

#[test]
fn listeners_on_a_socket_and_over_websocket_come_and_go_by_command_by_reload_and_with_the_broker() {
    let mut broker = Broker::new();
    let path = broker.site.home.directory().join("mqtt.sock");
    let near = || ListenerAdd {
        name: "near".into(),
        socket: Some(path.display().to_string()),
        socket_mode: Some("0600".into()),
        ..ListenerAdd::default()
    };
    let web = ListenerAdd {
        name: "web".into(),
        address: Some("127.0.0.1".into()),
        port: Some(0),
        websocket: true,
        origins: vec!["https://panel.example".into()],
        ..ListenerAdd::default()
    };
    for wrong in [
        ListenerAdd { port: Some(0), ..near() },
        ListenerAdd { socket: Some("mqtt.sock".into()), ..near() },
        ListenerAdd { socket_mode: Some("0444".into()), ..near() },
        ListenerAdd { origins: vec!["panel.example".into()], ..web.clone() },
        ListenerAdd { websocket: false, ..web.clone() },
    ] {
        assert!(broker.operator().ask(Request::ListenerAdd(wrong)).is_err());
    }
    broker.operator().ask(Request::ListenerAdd(web)).unwrap();
    let Ok(Response::Listeners(rows)) = broker.operator().ask(Request::ListenerAdd(near())) else {
        panic!("refused")
    };
    let [_, web, socket] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((web.protocol.as_str(), web.transport.as_str(), web.open), ("websocket", "tls", true));
    assert_eq!((socket.port, socket.transport.as_str(), socket.open), (None, "socket", true));
    assert_eq!(socket.addresses, [path.display().to_string()]);
    UnixStream::connect(&path).unwrap();
    let text = broker.site.config_text();
    assert!(text.contains("socket_mode = \"0600\"") && text.contains("protocol = \"websocket\""), "{text}");
    let without = text.split("\n[[listener]]\nname = \"near\"").next().unwrap();
    broker.site.config(without);
    broker.reload().unwrap();
    assert!(!path.exists());
    broker.site.config(&text);
    broker.reload().unwrap();
    UnixStream::connect(&path).unwrap();
    broker.running.take().unwrap().stop();
    assert!(!path.exists(), "the file outlives the broker");
}

#[test]
fn a_new_server_name_is_served_without_a_restart() {
    let broker = Broker::new();
    let mut options = broker.device("dev01");
    options.tls.as_mut().unwrap().server_name = Some("mqtt.home".to_owned());
    refused(&options);
    broker.denials(|report| report.handshakes.iter().any(|row| row.remedy.contains("mqtt.home")));
    broker.operator().ask(Request::ServerNameAdd { name: "mqtt.home".into() }).unwrap();
    connect(&options);
}

#[test]
fn the_running_broker_renews_its_certificate_with_the_same_key_and_keeps_its_links() {
    const DAY: u64 = 86_400_000;
    let broker = Broker::new();
    let mut client = connect(&broker.device("dev01"));
    let today = clock::now().wall.0;
    let (serial, key) = served(broker.port);
    broker.running().upkeep(WallTime(today + 260 * DAY));
    assert_eq!(served(broker.port).0, serial, "it is not due before two thirds of its life");
    broker.running().upkeep(WallTime(today + 270 * DAY));
    let (new_serial, new_key) = served(broker.port);
    assert_ne!(new_serial, serial);
    assert_eq!(new_key, key);
    assert!(publish(&mut client, "dev01/status"), "the link stays");
}

/// Returns serial number and public key of the certificate that a new connection is shown, as openssl reads it.
fn served(port: u16) -> (String, String) {
    let openssl = |arguments: &[&str], input: &[u8]| {
        let mut child = Command::new("openssl")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap().stdout
    };
    let shown = openssl(&["s_client", "-connect", &format!("127.0.0.1:{port}")], b"");
    let told = String::from_utf8(openssl(&["x509", "-noout", "-serial", "-pubkey"], &shown)).unwrap();
    let (serial, key) = told.split_once('\n').unwrap();
    assert!(serial.starts_with("serial=") && key.contains("PUBLIC KEY"), "{told}");
    (serial.to_owned(), key.to_owned())
}

#[test]
fn another_password_closes_the_links_of_the_old_one() {
    let broker = Broker::new();
    let mut options = broker.user("ada", "correct horse battery");
    let mut client = connect(&options);
    let password = NewPassword::Chosen(Secret::new("another horse battery".to_owned()));
    let request = Request::UserPasswd { name: "ada".into(), password };
    let Ok(Response::UserAdded(answer)) = broker.operator().ask(request) else { panic!("refused") };
    assert!(answer.notes.iter().any(|note| note.contains("closed now: 1")), "{:?}", answer.notes);
    assert!(client.wait_closed(PATIENCE).is_some());
    refused(&options);
    options.login = Some(login("ada", "another horse battery"));
    connect(&options);
}

#[test]
fn an_imported_password_opens_the_door_and_is_hashed_anew_behind_it() {
    // Of "horse", as Mosquitto 2.0 keeps it.
    let hash = "$7$101$MDEyMzQ1Njc4OWFi$ko7PyaotxyW70BbZQeg6r8/9WZweVgRoIQS0p3zCMJQCjxmVd/NGWmhnBP8FGpkOHuZowr2NK1PVTOzdPPdeoQ==";
    let broker = Broker::new();
    let mut options = broker.user("other", "correct horse battery");
    let add = |name: &str, hash: &str| {
        let password = NewPassword::Imported(Secret::new(hash.to_owned()));
        Request::UserAdd(UserAdd::new(name, NewCredential::Password(password)))
    };
    broker.operator().ask(add("anna", hash)).unwrap();
    let refusal = broker.operator().refusal(add("bob", "$7$900000$MDEyMzQ1Njc4OWFi$AAAA"));
    assert!(refusal.what.contains("iterations") && !refusal.what.contains("MDEy"), "{}", refusal.what);

    let note = || {
        let Ok(Response::Users(rows)) = broker.operator().ask(Request::UserList) else { panic!("no list") };
        rows.into_iter().find(|row| row.name == "anna").unwrap().password_note.unwrap()
    };
    assert_eq!(note(), "imported, $7$ 101 iterations: weak");
    options.login = Some(login("anna", "house"));
    refused(&options);
    assert_eq!(note(), "imported, $7$ 101 iterations: weak", "a wrong password changes nothing");
    options.login = Some(login("anna", "horse"));
    let mut client = connect(&options);
    let deadline = clock::now().mono.0 + PATIENCE.as_millis() as u64;
    while note() != "imported, too short or the name: weak" {
        assert!(clock::now().mono.0 < deadline, "{}", note());
    }
    assert!(
        publish(&mut client, "nowhere") || client.wait_closed(Duration::ZERO).is_none(),
        "the link lives on"
    );
    connect(&options);
    let audit = broker.operator().audit();
    assert!(audit.iter().any(|line| line == "imported password of user:anna hashed anew"), "{audit:?}");
}

#[test]
fn retained_messages_below_its_topics_keep_an_id_from_being_taken_unasked() {
    let broker = Broker::new();
    broker
        .site
        .rule_file("app.toml", "[[rule]]\nwho = \"user:app\"\nallow = [\"publish\"]\ntopics = [\"#\"]\n");
    broker.reload().unwrap();
    let mut app = connect(&broker.user("app", "correct horse battery"));
    app.publish(&Publication::new("greenhouse/temperature", b"21").qos(Qos::AtLeastOnce).retained()).unwrap();
    broker.site.rule_file("app.toml", "");
    broker.reload().unwrap();
    let refusal = broker.operator().refusal(Request::DeviceAdd(device("greenhouse", &Keys::new())));
    assert!(refusal.what.contains("greenhouse/temperature"), "{refusal}");
}

#[test]
fn whoever_shows_nothing_is_refused_and_the_operator_is_told_why() {
    let broker = Broker::new();
    let mut options = broker.device("dev01");
    options.tls.as_mut().unwrap().identity = None;
    refused(&options);
    let report = broker.denials(|report| !report.logins.is_empty());
    assert!(report.logins[0].cause.contains("neither a certificate nor a password"), "{report:?}");
    assert_eq!(broker.status().running.unwrap().login_failures_last_hour, 1);
}

#[test]
fn a_port_in_use_is_named_with_the_flag_that_avoids_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = run(Site::empty().home, &RunOptions { port: Some(port), ..options() }).err().unwrap();
    assert!(matches!(error, StartError::PortInUse { .. }), "{error}");
    assert!(error.to_string().contains(&port.to_string()) && error.to_string().contains("--port"), "{error}");
}

#[test]
fn a_bad_configuration_stops_the_start_before_anything_is_made() {
    let site = Site::empty();
    site.home.create().unwrap();
    site.config("[server]\nshards = 0\n");
    let error = run(site.home.clone(), &options()).err().unwrap().to_string();
    assert!(error.contains("keyward.toml:2:10: server.shards"), "{error}");
    assert!(!site.home.is_installed());
}

#[test]
fn a_running_broker_holds_the_store_and_gives_it_back() {
    let mut broker = Broker::new();
    assert!(admin::open_stopped(&broker.site.home, &OpenOptions::default()).is_err());
    assert!(run(broker.site.home.clone(), &options()).is_err());
    broker.running.take().unwrap().stop();
    broker.site.stopped();
}

#[test]
fn a_broker_starts_without_the_root_keys() {
    let mut broker = Broker::new();
    let options = broker.device("dev01");
    broker.running.take().unwrap().stop();
    std::fs::remove_dir_all(broker.site.home.offline_dir()).unwrap();
    let broker = Broker::start(broker.site);
    assert_eq!(broker.running().status().offline_folder, None);
    connect(&ClientOptions { port: broker.port, ..options });
}

#[test]
fn an_edit_while_the_broker_is_stopped_is_audited_at_the_start() {
    let mut broker = Broker::new();
    broker.running.take().unwrap().stop();
    broker.site.rule_file("app.toml", "");
    let broker = Broker::start(broker.site);
    let last = broker.operator().audit().pop().unwrap();
    assert!(last.starts_with("policy.d/app.toml added, sha256:"), "{last}");
}

#[test]
fn a_connection_that_is_left_open_does_not_hold_the_store() {
    let mut broker = Broker::new();
    let mut operator = broker.operator();
    operator.devices();
    broker.running.take().unwrap().stop();
    broker.site.stopped();
    assert_eq!(operator.refusal(Request::DeviceList).code, RefusalCode::WrongMoment);
}

#[test]
fn clients_are_told_when_the_broker_stops() {
    let mut broker = Broker::new();
    let mut client = connect(&broker.device("dev01"));
    broker.running.take().unwrap().stop();
    let error = client.wait_closed(PATIENCE).expect("closed");
    assert_eq!(error.reason(), Some(keyward_mqtt::reason::ReasonCode::ServerShuttingDown), "{error}");
}

#[test]
fn sighup_reloads_and_sigterm_stops() {
    let site = Site::empty();
    let running = run(site.home.clone(), &RunOptions { ignore_signals: false, ..options() }).unwrap();
    let generation = running.status().running.unwrap().policy_generation;
    signal_hook::low_level::raise(signal_hook::consts::SIGHUP).unwrap();
    let deadline = clock::now().mono.0 + PATIENCE.as_millis() as u64;
    while running.status().running.unwrap().policy_generation == generation {
        assert!(clock::now().mono.0 < deadline, "not reloaded");
    }
    signal_hook::low_level::raise(signal_hook::consts::SIGTERM).unwrap();
    running.wait();
    site.stopped();
}

#[test]
fn a_retained_message_of_a_revoked_device_is_not_delivered() {
    let broker = Broker::new();
    let mut device = connect(&broker.device("dev01"));
    let app = broker.user("app", "correct horse battery");
    broker.site.rule_file(
        "app.toml",
        "[[rule]]\nwho = \"user:app\"\nallow = [\"subscribe\"]\ntopics = [\"dev01/#\"]\n",
    );
    broker.reload().unwrap();
    device.publish(&Publication::new("dev01/last", b"x").qos(Qos::AtLeastOnce).retained()).unwrap();
    let mut before = connect(&app);
    before.subscribe("dev01/#", Qos::AtLeastOnce).unwrap();
    assert!(before.next_message(PATIENCE).unwrap().is_some());
    broker.operator().change(revoke("dev01"));
    let mut reader = connect(&app);
    reader.subscribe("dev01/#", Qos::AtLeastOnce).unwrap();
    assert!(reader.next_message(MOMENT).unwrap().is_none());
}
