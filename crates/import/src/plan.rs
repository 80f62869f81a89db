//! What Mosquitto's files become here: users, rules, listeners, certificates, and what is said about each line.
//! Nothing is written here.

mod certificates;
mod disk;
mod dynamic;
mod listeners;
mod rules;
mod topics;

use keyward_identity::ImportedHash;
use keyward_ids::UserId;
use keyward_mosquitto::conf::{Guards, Settings};
use keyward_mosquitto::{Fate, Place, Remark, Version, acl, conf, dynsec, password};
use keyward_policy::SourceFile;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

use disk::Disk;

pub use certificates::{OldAuthority, OldServer};

/// Says how files are to be read, and what may be opened.
pub struct Wishes {
    /// The version of Mosquitto that read them.
    pub version: Version,
    /// The folder below which all paths are looked up, as if it were `/`; `None` for the paths as they are.
    pub root: Option<PathBuf>,
    /// The networks whose clients may use listeners without TLS.
    pub plain_from: Vec<String>,
    /// The user that clients without a login become.
    pub anonymous_as: UserId,
    /// Users who have certificates and stand in no file.
    pub certificate_users: Vec<UserId>,
}

/// Is what an import would write, and why it cannot.
#[derive(Default)]
pub struct Plan {
    /// What becomes of each line.
    pub remarks: Vec<Remark>,
    /// Why nothing can be imported; empty if it can.
    pub refusals: Vec<String>,
    /// The users to be added.
    pub users: Vec<NewUser>,
    /// Files of `policy.d`.
    pub rules: Vec<SourceFile>,
    /// Sections for `keyward.toml`.
    pub listeners: String,
    /// The authorities of others whose clients get in.
    pub authorities: Vec<OldAuthority>,
    /// The users that common names in their certificates stand for.
    pub bound: Vec<UserId>,
    /// The certificates that listeners go on showing.
    pub servers: Vec<OldServer>,
    /// Which of them listeners show, by their number in the configuration.
    shown: BTreeMap<usize, String>,
    /// Which of the authorities listeners take the word of, by the listener's number in the configuration.
    heeded: BTreeMap<usize, String>,
    /// The ports that these listeners take.
    pub ports: Vec<u16>,
    /// The users whose passwords may have been read on the network: each needs a new one.
    pub exposed: Vec<UserId>,
    /// What is left to do by hand.
    pub next: Vec<String>,
}

/// Is a user to be added.
pub struct NewUser {
    /// Its name here, which is its name there.
    pub name: UserId,
    /// The hash of its password; without one nobody can log in as it, but for a bound certificate.
    pub hash: Option<Zeroizing<String>>,
}

impl Plan {
    /// Returns the names of the users to be added.
    pub fn names(&self) -> impl Iterator<Item = &UserId> {
        self.users.iter().map(|user| &user.name)
    }

    /// Reads `path` and all that it names.
    pub fn of(path: &Path, wishes: &Wishes) -> Self {
        let mut plan = Self::default();
        match Disk::new(wishes.root.as_deref()) {
            Ok(disk) => plan.read(path, disk, wishes),
            Err(what) => plan.refusals.push(what),
        }
        let refused = plan.remarks.iter().filter(|remark| remark.fate == Fate::Refused);
        let refused: Vec<_> = refused.map(|it| format!("{} ({}): {}", it.place, it.text, it.what)).collect();
        plan.refusals.extend(refused);
        plan
    }

    fn read(&mut self, path: &Path, mut disk: Disk, wishes: &Wishes) {
        match conf::read(&mut disk, &path.to_string_lossy(), wishes.version) {
            Ok(settings) => self.add(settings, &mut disk, wishes),
            Err(wrong) => self.refusals.push(wrong.to_string()),
        }
    }

    fn add(&mut self, mut settings: Settings, disk: &mut Disk, wishes: &Wishes) {
        self.remarks.append(&mut settings.remarks);
        let Some(guards) = self.one_set_of_guards(&settings) else { return };
        let anonymous = listeners::lets_anonymous_in(&settings);
        let entries = self.passwords(guards.password_file.as_ref(), disk, wishes.version);
        let security = self.dynamic_security(&guards, disk);
        let rules = self.acl(guards.acl_file.as_ref(), disk);
        let beside = [("an acl_file", &guards.acl_file), ("a password_file", &guards.password_file)];
        for (what, file) in beside {
            if guards.dynamic_security.is_some()
                && let Some(file) = file
            {
                let why = "together cannot be carried over: what one denies, the other allows";
                self.refusals.push(format!("{}: {what} and dynamic security {why}", file.place));
            }
        }
        let mut names = Names::default();
        self.users = entries.into_iter().filter_map(|entry| names.user(self, entry)).collect();
        if let Some(security) = &security {
            names.clients(self, security);
        }
        certificates::check_users(self, &wishes.certificate_users, &settings, security.as_ref());
        names.certified(self, &wishes.certificate_users);
        let people =
            rules::People::of(&mut names, self, rules.as_ref(), anonymous.then_some(&wishes.anonymous_as));
        if certificates::name_clients(&settings) {
            self.bind(people.named());
        }
        match (&security, &rules) {
            (Some(security), _) => dynamic::render(self, security, &people, wishes.version),
            (None, rules) => rules::render(self, rules.as_ref(), &people, &settings, wishes.version),
        }
        certificates::read(self, &settings, disk);
        listeners::render(self, &settings, wishes);
        self.note_certificates(&settings);
    }

    /// Returns the guards of all listeners, if they are the same for all.
    fn one_set_of_guards(&mut self, settings: &Settings) -> Option<Guards> {
        if !settings.per_listener {
            return Some(settings.guards.clone());
        }
        let files = |guards: &Guards| {
            let path = |cited: &Option<conf::Cited>| cited.as_ref().map(|cited| cited.value.clone());
            (path(&guards.password_file), path(&guards.acl_file), path(&guards.dynamic_security))
        };
        let first = settings.listeners.first().map(|listener| listener.guards.clone())?;
        if settings.listeners.iter().any(|listener| files(&listener.guards) != files(&first)) {
            let why = "the listeners have password_files or acl_files of their own (per_listener_settings): here a user has one \
                       password and one set of rules on all listeners; give all the same files, or take all listeners \
                       but one out, and add the users and rules of the others by hand";
            self.refusals.push(why.to_owned());
            return None;
        }
        Some(first)
    }

    fn passwords(
        &mut self,
        file: Option<&conf::Cited>,
        disk: &mut Disk,
        version: Version,
    ) -> Vec<password::Entry> {
        let Some(bytes) = file.and_then(|file| self.load(file, disk)) else { return Vec::new() };
        let path = file.map(|file| file.value.clone()).unwrap_or_default();
        match password::parse(&path, &bytes, version) {
            Ok((entries, remarks)) => {
                self.remarks.extend(remarks);
                if disk.is_open_to_others(&path) {
                    let what = "others on this machine can read the hashes in this file";
                    let path = disk.place(&path);
                    self.next.push(format!("{path}: {what}; delete it once the import is done"));
                }
                entries
            }
            Err(wrong) => {
                self.refusals.push(wrong.to_string());
                Vec::new()
            }
        }
    }

    fn acl(&mut self, file: Option<&conf::Cited>, disk: &mut Disk) -> Option<acl::Acl> {
        let file = file?;
        // What cannot be read denies everything; the import is refused anyway.
        let bytes = self.load(file, disk).unwrap_or_default();
        match acl::parse(&file.value, &bytes) {
            Ok((acl, remarks)) => {
                self.remarks.extend(remarks);
                Some(acl)
            }
            Err(wrong) => {
                self.refusals.push(wrong.to_string());
                Some(acl::Acl::default())
            }
        }
    }

    fn dynamic_security(&mut self, guards: &Guards, disk: &mut Disk) -> Option<dynsec::Security> {
        let file = guards.dynamic_security.as_ref()?;
        let bytes = self.load(file, disk)?;
        let parsed = dynsec::parse(&file.value, &bytes);
        parsed.map_err(|wrong| self.refusals.push(wrong.to_string())).ok()
    }

    fn load(&mut self, file: &conf::Cited, disk: &mut Disk) -> Option<Zeroizing<Vec<u8>>> {
        match disk.load(&file.value) {
            Ok(bytes) => Some(bytes),
            Err(what) => {
                self.refusals.push(format!("{}: {}: {what}", file.place, file.value));
                None
            }
        }
    }

    /// Says what else becomes of a line.
    fn amend(&mut self, place: &Place, fate: Fate, what: &str) {
        let Some(remark) = self.remarks.iter_mut().find(|remark| remark.place == *place) else { return };
        remark.fate = remark.fate.max(fate);
        if !remark.what.is_empty() {
            remark.what.push_str("; ");
        }
        remark.what.push_str(what);
    }

    /// Says of a line what it comes to, and nothing else.
    fn settle(&mut self, place: &Place, fate: Fate, what: &str) {
        let Some(remark) = self.remarks.iter_mut().find(|remark| remark.place == *place) else { return };
        remark.fate = fate;
        what.clone_into(&mut remark.what);
    }

    /// Adds something that is left to do, once.
    fn next(&mut self, what: String) {
        if !self.next.contains(&what) {
            self.next.push(what);
        }
    }

    /// Lets certificates name these users. Who stands in the rules alone becomes a user: with a certificate it got in.
    fn bind(&mut self, named: &[UserId]) {
        for name in named {
            if !self.names().any(|known| known == name) {
                self.users.push(NewUser { name: name.clone(), hash: None });
            }
        }
        self.bound = named.to_vec();
    }

    fn note_certificates(&mut self, settings: &Settings) {
        let names_by_subject = |listener: &conf::Listener| {
            listener.name_from == Some(conf::NameFrom::Subject)
                || (listener.name_from.is_some() && !listener.require_certificate)
        };
        if settings.listeners.iter().any(names_by_subject) {
            let what = "where whole subjects named clients, or use_identity_as_username stood without require_certificate, clients \
                        need a certificate of Keyward (`keyward user add NAME --certificate`)";
            self.next(what.to_owned());
        }
    }
}

/// Knows every name that stands in the files, so that two that are one here are found.
#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    /// Takes a name. Returns `None`, and the reason goes into the plan, if it is another spelling of one before.
    fn take(&mut self, plan: &mut Plan, name: &str, place: &Place) -> Option<()> {
        let folded = name.to_ascii_lowercase();
        let first = self.0.entry(folded).or_insert_with(|| name.to_owned());
        if first == name {
            return Some(());
        }
        let (name, first) = (keyward_mosquitto::shown(name), keyward_mosquitto::shown(first));
        plan.refusals.push(format!(
            "{place}: the names {first} and {name} differ by case only: here they are one; rename one of them"
        ));
        None
    }

    fn user(&mut self, plan: &mut Plan, entry: password::Entry) -> Option<NewUser> {
        self.take(plan, &entry.name, &entry.place)?;
        let name = holdable(plan, &entry.name, &entry.place)?;
        let (fate, what) = hash_of(&entry.hash)
            .map_err(|what| format!("{}: user {name}: {what}", entry.place))
            .map_err(|why| plan.refusals.push(why))
            .ok()?;
        plan.amend(&entry.place, fate, &what);
        Some(NewUser { name, hash: Some(entry.hash) })
    }

    /// Adds users who have a certificate and no password.
    fn certified(&mut self, plan: &mut Plan, users: &[UserId]) {
        for name in users {
            let is_one = self.take(plan, name.as_str(), &certificates::asked()).is_some();
            if is_one && !plan.names().any(|known| known == name) {
                plan.users.push(NewUser { name: name.clone(), hash: None });
            }
        }
    }

    fn clients(&mut self, plan: &mut Plan, security: &dynsec::Security) {
        let place = Place { file: "dynamic security".to_owned(), line: 0 };
        for client in &security.clients {
            let left_out = match (client.disabled, &client.client_id, &client.hash) {
                (true, ..) => Some("is disabled: left out"),
                (_, Some(_), _) => {
                    Some("gets in with one client id only, which cannot be demanded here: left out")
                }
                (.., None) => Some("has no password: left out, unless --certificate-users names it"),
                _ => None,
            };
            let (fate, what) = match (left_out, &client.hash) {
                (None, Some(hash)) => hash_of(hash).unwrap_or_else(|what| (Fate::Refused, what)),
                (what, _) => (Fate::Unsupported, what.unwrap_or_default().to_owned()),
            };
            let text = format!("client {}", keyward_mosquitto::shown(&client.name));
            plan.remarks.push(Remark { place: place.clone(), text, fate, what });
            if left_out.is_none() && self.take(plan, &client.name, &place).is_some() {
                let name = holdable(plan, &client.name, &place);
                plan.users.extend(name.map(|name| NewUser { name, hash: client.hash.clone() }));
            }
        }
    }
}

/// Returns what becomes of a hash.
///
/// # Errors
/// Why the broker cannot check passwords against it.
fn hash_of(hash: &str) -> Result<(Fate, String), String> {
    let form = ImportedHash::parse(hash).and_then(|hash| hash.form());
    let form = form.map_err(|why| format!("its hash {why}"))?;
    let fate = if form.is_weak() { Fate::Weak } else { Fate::Carried };
    Ok((fate, format!("{form}: kept as it is until the user logs in for the first time, then hashed anew")))
}

fn holdable(plan: &mut Plan, name: &str, place: &Place) -> Option<UserId> {
    let parsed = UserId::parse(name);
    parsed
        .map_err(|error| {
            let name = keyward_mosquitto::shown(name);
            plan.refusals
                .push(format!("{place}: the user name {name} {error}; rename it or take its line out"));
        })
        .ok()
}

/// Tells whether a path below the installation's directory is that of a file of rules as plans have them.
pub(crate) fn is_rule_file(path: &str) -> bool {
    let name = path.strip_prefix("policy.d/mosquitto-").and_then(|name| name.strip_suffix(".toml"));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    name.is_some_and(|name| name.bytes().all(is_plain))
}
