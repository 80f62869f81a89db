//! An installation for tests, whose data plane writes down what it is told.

use super::{Admin, InForce, InRun, Live};
use crate::{
    config::{Config, Listener, Overrides},
    control::{BanRow, LastLoginRow, Refusal, RefusalCode, Reloaded, Request, Response},
    denials::{Denied, Report},
    home::Home,
    installation,
    notify::Notifier,
    rules::Rules,
    status::RunningStatus,
    watch::{Book, WatchDesk},
};
use keyward_identity::{KeyProtection, Registrar, Registry, files};
use keyward_ids::Identity;
use keyward_mqtt::time::Millis;
use keyward_policy::Policy;
use std::{
    fs,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};

/// Writes down what a data plane is told, and fails to open port 666.
#[derive(Clone, Default)]
pub(super) struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn write(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Live for Told {
    fn put_registry(&mut self, _: &Arc<Registry>) -> InForce {
        InForce { closed_links: 0, complete: true }
    }
    fn put_policy(&mut self, policy: &Arc<Policy>) -> InForce {
        self.write(format!("policy of {} rules", policy.written_rules()));
        InForce { closed_links: 0, complete: true }
    }
    fn put_certificate(&mut self, _: &Registrar, listeners: &[Listener]) -> Result<(), Refusal> {
        self.write("certificate".to_owned());
        match listeners.iter().any(|listener| listener.name == "keyless") {
            true => {
                Err(Refusal::new(RefusalCode::NotFound, "the certificate of listener keyless is not there"))
            }
            false => Ok(()),
        }
    }
    fn open_listener(&mut self, listener: &Listener) -> Result<(), Refusal> {
        self.write(format!("open {} {}", listener.name, listener.port().unwrap_or_default()));
        if listener.port() == Some(666) {
            Err(Refusal::new(RefusalCode::Failed, "port 666 is taken"))
        } else {
            Ok(())
        }
    }
    fn close_listener(&mut self, name: &str) {
        self.write(format!("close {name}"));
    }
    fn listeners(&self) -> Vec<(String, Vec<SocketAddr>)> {
        Vec::new()
    }
    fn announce(&self, values: Vec<(String, Vec<u8>)>) {
        let text = |payload: Vec<u8>| String::from_utf8(payload).unwrap_or_else(|_| "bytes".to_owned());
        values.into_iter().for_each(|(topic, payload)| self.write(format!("{topic} {}", text(payload))));
    }
    fn retained(&self, filters: &[String], _: u16) -> Vec<String> {
        filters.iter().filter(|filter| filter.starts_with("kept/")).cloned().collect()
    }
    fn put_type_rules(&mut self, config: &Config) {
        if !config.types.is_empty() {
            self.write(format!("rules of {} types", config.types.len()));
        }
    }
    fn bans(&self) -> Vec<BanRow> {
        Vec::new()
    }
    fn lift_ban(&mut self, _: IpAddr) -> bool {
        false
    }
    fn last_login(&self, _: &Identity) -> Option<LastLoginRow> {
        None
    }
    fn sessions(&self, identities: &[&Identity]) -> Vec<usize> {
        vec![1; identities.len()]
    }
    fn waiting(&self, _: &Identity) -> usize {
        3
    }
    fn links(&self, identities: &[&Identity]) -> Vec<usize> {
        vec![1; identities.len()]
    }
    fn status(&self) -> RunningStatus {
        RunningStatus::default()
    }
    fn vitals(&self) -> crate::plane::Vitals {
        crate::plane::Vitals::default()
    }
    fn denials(&self, _: Option<Millis>, _: &dyn Fn(&Denied) -> Option<String>) -> Report {
        Report::default()
    }
}

/// Is a rule file of one rule.
pub(super) const RULE: &str = "[[rule]]\nwho = \"all\"\nallow = [\"publish\"]\ntopics = [\"a\"]\n";

/// Is an installation in a folder of its own, with a broker in it that runs for all that it knows.
pub(super) struct Fixture {
    pub(super) admin: Admin,
    pub(super) told: Told,
    pub(super) home: Home,
    pub(super) _folder: tempfile::TempDir,
}

/// Makes one.
pub(super) fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path().join("keyward"));
    home.create().unwrap();
    let registrar = installation::create(&home, Vec::new(), KeyProtection::FileMode).unwrap();
    let told = Told::default();
    let running = InRun {
        messages: None,
        live: Box::new(told.clone()),
        started: Config::default(),
        config: Config::default(),
        overrides: Overrides::default(),
        policy: Arc::new(Policy::builtin()),
        notifier: Notifier::default(),
    };
    let watch = WatchDesk::new(Book::open(home.incidents_file(), Notifier::default()));
    let mut admin = Admin::running(home.clone(), registrar, running, watch);
    let rules = Rules::load(&home).unwrap();
    admin.note_hand_edits(&fs::read_to_string(home.config_file()).unwrap(), &rules, "test");
    Fixture { admin, told, home, _folder: folder }
}

impl Fixture {
    pub(super) fn config(&self, text: &str) {
        files::replace(&self.home.config_file(), text.as_bytes()).unwrap();
    }

    pub(super) fn rules(&self, text: &str) {
        files::replace(&self.home.policy_dir().join("a.toml"), text.as_bytes()).unwrap();
    }

    pub(super) fn reload(&mut self) -> Result<Reloaded, Refusal> {
        match self.admin.execute(Request::Reload)? {
            Response::Reloaded(reloaded) => Ok(reloaded),
            _ => panic!("not an answer to a reload"),
        }
    }

    pub(super) fn audit(&mut self) -> Vec<String> {
        match self.admin.execute(Request::Audit { last: None }).unwrap() {
            Response::Audit(rows) => rows.into_iter().map(|row| row.what).collect(),
            _ => panic!("not an audit"),
        }
    }
}
