//! Carries out what operators ask for, on the store of a stopped or of a running broker.
//!
//! The rule of use: [`open`] finds out whether a broker runs in the directory; [`Operator::call`] does the rest. An
//! answer means that the change is durable and, with a running broker, in force.
//!
//! What is not here: the socket ([`crate::control`]) and the rules of the registry (`identity`).

mod accounts;
mod acting;
mod audit;
mod audited;
mod authorities;
mod bans;
mod confirming;
mod devices;
mod doctor;
mod enrolment;
mod exposure;
mod groups;
mod incidents;
mod invitations;
mod keys;
pub mod limits;
mod listeners;
mod live;
mod marks;
pub(crate) mod notifying;
mod permissions;
mod places;
mod presets;
mod quarantine;
mod reach;
mod refusal;
mod reload;
mod server;
mod server_certificates;
mod server_keys;
mod status;
mod storage;
mod users;
mod watching;

pub use authorities::check_authority;
pub use live::{InForce, Live};
pub use server_certificates::check_server_certificate;
pub(crate) use storage::unreadable;

use crate::{
    clock,
    config::{Config, Overrides},
    control::{CallError, Changed, Client, Refusal, RefusalCode, Request, Response},
    home::{Home, HomeError},
    installation::{self, InstallationError},
    names,
    notify::Notifier,
    plane::pace::Spent,
    rules::Rules,
    watch::{Book, WatchDesk},
};
use keyward_identity::{self as identity, Command, Context, Outcome, Registrar, Rehash, WallTime, restore};
use keyward_ids::Identity;
use keyward_mqtt::time::Millis;
use keyward_policy::Policy;
use keyward_store::Read;
use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

/// Who does what nobody asked for, in the audit.
pub(crate) const BROKER: &str = "broker";

/// Executes requests on the registry, the configuration and the rule files.
pub struct Admin {
    home: Home,
    registrar: Registrar,
    running: Option<InRun>,
    /// The incidents that were published and are not over.
    told: BTreeSet<(incidents::Kind, Identity)>,
    /// What the broker did about quarantine by itself.
    quarantining: quarantine::Quarantining,
    /// How much of the rate of signed commands is used up.
    commanded: Spent,
    /// What the watch found.
    watch: WatchDesk,
}

/// Holds what is in force in a running broker, and the way into it.
pub(crate) struct InRun {
    pub(crate) live: Box<dyn Live>,
    /// Sessions and messages as they are on disk, if any are kept.
    pub(crate) messages: Option<Arc<dyn Read>>,
    /// What the broker started with.
    pub(crate) started: Config,
    /// What was read last.
    pub(crate) config: Config,
    pub(crate) overrides: Overrides,
    pub(crate) policy: Arc<Policy>,
    /// Tells incidents outside.
    pub(crate) notifier: Notifier,
}

/// Reaches an installation: through the control socket if a broker runs there, else on its stopped store.
pub enum Operator {
    /// A broker runs.
    Running(Client),
    /// No broker runs; this process holds the store.
    Stopped(Box<Admin>),
}

/// Holds what opening a stopped store can need.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// The file with the passphrase that opens the keys; without it the systemd credential `keyward-passphrase`.
    pub passphrase_file: Option<PathBuf>,
}

/// Opens the stopped store of `home`. The store is held until the value is dropped.
///
/// # Errors
/// [`Refusal`] if there is no installation, another process holds it, or it cannot be read.
pub fn open_stopped(home: &Home, options: &OpenOptions) -> Result<Admin, Refusal> {
    home.check()?;
    restore::finish(home.directory()).map_err(InstallationError::from)?;
    if !home.is_installed() {
        return Err(HomeError::Absent(home.directory().to_owned()).into());
    }
    let protection = installation::protection(options.passphrase_file.as_deref())?;
    let registrar = installation::open(home, protection)?;
    let (told, quarantining) = (BTreeSet::new(), quarantine::Quarantining::default());
    let commanded = Spent::default();
    let watch = WatchDesk::new(Book::open(home.incidents_file(), Notifier::default()));
    Ok(Admin { home: home.clone(), registrar, running: None, told, quarantining, commanded, watch })
}

/// Reaches the installation in `home`, whether a broker runs there or not.
///
/// # Errors
/// [`CallError`] if neither way is open.
pub fn open(home: &Home, options: &OpenOptions) -> Result<Operator, CallError> {
    home.check().map_err(Refusal::from)?;
    match Client::connect(home) {
        Ok(client) => Ok(Operator::Running(client)),
        Err(CallError::NotRunning(_)) => match open_stopped(home, options) {
            Ok(admin) => Ok(Operator::Stopped(Box::new(admin))),
            // A broker that started meanwhile holds the store: it is the one to ask.
            Err(refusal) => Client::connect(home).map(Operator::Running).map_err(|_| refusal.into()),
        },
        Err(error) => Err(error),
    }
}

impl Operator {
    /// Carries `request` out, here or in the running broker.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn call(&mut self, request: Request) -> Result<Response, CallError> {
        match self {
            Self::Running(client) => client.call(&request),
            Self::Stopped(admin) => Ok(admin.execute(request)?),
        }
    }
}

impl Admin {
    /// Takes the store of a broker that runs.
    pub(crate) fn running(home: Home, registrar: Registrar, running: InRun, watch: WatchDesk) -> Self {
        let quarantining = quarantine::Quarantining::of(&registrar);
        let (told, commanded) = (BTreeSet::new(), Spent::default());
        Self { home, registrar, running: Some(running), told, quarantining, commanded, watch }
    }

    /// Carries `request` out for the user of this process.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was changed then.
    pub fn execute(&mut self, request: Request) -> Result<Response, Refusal> {
        let actor = format!("uid {}", rustix::process::geteuid().as_raw());
        self.execute_for(request, &actor)
    }

    /// Carries `request` out for `actor`; when it returns, the change is durable and, with a running broker, in
    /// force.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was changed then.
    pub fn execute_for(&mut self, request: Request, actor: &str) -> Result<Response, Refusal> {
        let mut turn = Turn::begin(self, actor);
        match request {
            Request::Status => Ok(Response::Status(Box::new(turn.admin.status()))),
            Request::Health => turn.admin.health(),
            Request::Doctor { profile } => turn.admin.diagnose(profile),
            Request::DeviceAdd(add) => turn.add_device(add),
            Request::DeviceList => Ok(turn.admin.list_devices()),
            Request::DeviceShow { id } => turn.admin.show_device(&id),
            Request::DeviceExposure { id } => turn.admin.exposure(&id),
            Request::DevicePlace { id, place } => turn.place_device(&id, &place),
            Request::DeviceMoved { id, because } => turn.move_device(&id, because),
            Request::MaintenanceBegin { scope, seconds, because } => {
                turn.begin_maintenance(&scope, seconds, because)
            }
            Request::MaintenanceList => Ok(turn.admin.maintenance()),
            Request::MaintenanceEnd { scope } => turn.end_maintenance(&scope),
            Request::DeviceDisable { id } => turn.disable_device(&id),
            Request::DeviceEnable { id } => turn.enable_device(&id),
            Request::DeviceQuarantine { id, because } => turn.quarantine_device(&id, because),
            Request::DeviceRelease { id } => turn.release_device(&id),
            Request::DeviceRevoke(revoke) => turn.revoke_device(&revoke),
            Request::DeviceRemove { id } => turn.remove_device(&id),
            Request::DeviceInvite(invite) => turn.invite_device(invite),
            Request::DeviceUninvite { id } => turn.uninvite_device(&id),
            Request::DeviceRekey(rekey) => turn.rekey_device(rekey),
            Request::DevicePasswd { id, password } => turn.set_device_password(&id, password),
            Request::DeviceReleaseKey { id, key } => turn.release_key(&id, key.as_deref()),
            Request::KeysList { id } => turn.admin.message_keys(id.as_deref()),
            Request::KeysAdd(add) => turn.add_message_key(&add),
            Request::KeysRetire { id, kid, overlap_secs } => turn.retire_message_key(&id, &kid, overlap_secs),
            Request::KeysWithdraw { id, kid } => turn.withdraw_message_key(&id, &kid),
            Request::KeysServer => Ok(turn.admin.server_keys()),
            Request::KeysRotateCommand { lead_secs, overlap_secs } => {
                turn.rotate_command_key(lead_secs, overlap_secs)
            }
            Request::SealCommand(seal) => turn.seal_command(*seal),
            Request::GroupCreate { name } => turn.create_group(&name),
            Request::GroupDelete { name } => turn.delete_group(&name),
            Request::GroupAdd { name, who } => turn.add_to_group(&name, &who),
            Request::GroupRemove { name, who } => turn.remove_from_group(&name, &who),
            Request::GroupList => Ok(turn.admin.list_groups()),
            Request::GroupShow { name } => turn.admin.show_group(&name),
            Request::GroupRotate { name } => turn.rotate_group(&name),
            Request::GroupKey { name, epoch } => turn.hand_out_group_key(&name, epoch),
            Request::UserAdd(add) => turn.add_user(add),
            Request::UserList => turn.admin.list_users(),
            Request::UserRemove { name } => turn.remove_user(&name),
            Request::UserPasswd { name, password } => turn.set_password(&name, password),
            Request::AuthorityTrustAdd(add) => turn.trust_authority(add),
            Request::AuthorityTrustList => Ok(turn.admin.trusted_authorities()),
            Request::AuthorityTrustRevocations { name, revocations } => {
                turn.set_revocations(&name, revocations)
            }
            Request::AuthorityTrustConfirm { name } => turn.confirm_authority(&name),
            Request::AuthorityTrustRemove { name } => turn.distrust_authority(&name),
            Request::AuthorityTrustBind(bind) => turn.bind_name(bind),
            Request::AuthorityTrustUnbind { name, common_name } => turn.unbind_name(&name, common_name),
            Request::MarkPlain { identity, plain } => turn.mark_plain(&identity, plain),
            Request::PresetGive(give) => turn.give_preset(&give),
            Request::PresetTake { identity } => turn.take_preset(&identity),
            Request::PolicyCheck => turn.admin.check_policy(),
            Request::PolicyExplain(question) => turn.admin.explain_policy(&question),
            Request::Denials { since_secs } => turn.admin.denials(since_secs),
            Request::StoreRevoked => turn.admin.revoked(),
            Request::StoreConfirm { identities } => turn.confirm(&identities),
            Request::StoreConfirmAll => turn.confirm_all(),
            Request::ServerNameAdd { name } => turn.add_server_name(&name),
            Request::ServerNameList => Ok(turn.admin.server_names(false)),
            Request::ServerNameRemove { name } => turn.remove_server_name(&name),
            Request::ServerCertificateImport(import) => turn.import_server_certificate(import),
            Request::ServerCertificateList => turn.admin.server_certificates(),
            Request::ServerCertificateRemove { name } => turn.remove_server_certificate(&name),
            Request::ListenerAdd(add) => turn.add_listener(&add),
            Request::ListenerList => turn.admin.listeners(),
            Request::ListenerRemove { name } => turn.remove_listener(&name),
            Request::IncidentList { all } => Ok(turn.admin.watch_incidents(all)),
            Request::IncidentShow { number } => turn.admin.show_incident(number),
            Request::WatchExplain { device } => turn.admin.explain_watch(&device),
            Request::IncidentAck { number, note } => turn.acknowledge_incident(number, &note),
            Request::IncidentResolve { number, verdict, note } => {
                turn.resolve_incident(number, verdict, &note)
            }
            Request::NotifyTest => turn.admin.notifier().and_then(|notifier| notifying::test(&notifier)),
            Request::BanList => turn.admin.bans(),
            Request::BanLift { address } => turn.lift_ban(&address),
            Request::Reload => turn.reload(),
            Request::ClockAccept => turn.accept_clock(),
            Request::Audit { last } => turn.admin.audit(last),
            Request::StoreBackup { .. } | Request::StoreCheck => {
                Err(needs_running("this is answered by a stream"))
            }
        }
    }

    /// Audits what was changed by hand in `keyward.toml` (whose text is `config`) and the rules since the ledger last
    /// heard of them. A ledger that cannot be written is told in the log; the next change will fail by itself.
    pub(crate) fn note_hand_edits(&mut self, config: &str, rules: &Rules, actor: &str) {
        let digests = audited::Digests::of(config, &rules.files);
        let changes = digests.differences(&audited::Digests::noted(&self.home));
        if changes.is_empty() {
            return;
        }
        let mut turn = Turn::begin(self, actor);
        if let Err(refusal) = turn.note(&changes, &digests) {
            tracing::error!("changes of the configuration could not be audited: {}", refusal.what);
        }
    }

    /// Looks after what changes by itself: the addresses of the machine, the age of the server certificate and of the key set.
    /// `now` is the time on the wall.
    pub(crate) fn upkeep(&mut self, actor: &str, now: WallTime) {
        let mut commands = vec![Command::FindServerNames { names: names::find() }];
        if self.registrar.server_renewal_due(now) {
            commands.push(Command::RenewServer);
        }
        let mut turn = Turn { now, ..Turn::begin(self, actor) };
        for command in commands {
            if let Err(refusal) = turn.command(command) {
                tracing::warn!("the server certificate stays as it is: {}", refusal.what);
            }
        }
        if installation::keep_server_keys(&mut self.registrar, now, actor) {
            self.tell_key_set();
        }
    }

    /// Puts new hashes of imported passwords into the ledger. What cannot be written now comes again at the next login.
    pub(crate) fn keep_rehashed(&mut self, rehashes: Vec<Rehash>, actor: &str) {
        if let Err(refusal) = Turn::begin(self, actor).command(Command::RehashPasswords { rehashes }) {
            tracing::warn!("imported passwords keep their old hashes: {}", refusal.what);
        }
    }

    /// Returns the configuration in force, or the one that the next start would take.
    fn config(&self) -> Result<Config, Refusal> {
        match &self.running {
            Some(running) => Ok(running.config.clone()),
            None => Ok(installation::settings(&self.home)?.0),
        }
    }

    /// Returns the rules in force, or those that the next start would take.
    fn policy(&self) -> Result<Arc<Policy>, Refusal> {
        match &self.running {
            Some(running) => Ok(Arc::clone(&running.policy)),
            None => Ok(Arc::new(Rules::load(&self.home)?.policy)),
        }
    }
}

/// Holds one request on its way: for whom, and since when.
struct Turn<'a> {
    admin: &'a mut Admin,
    actor: &'a str,
    began: Millis,
    now: WallTime,
}

impl<'a> Turn<'a> {
    fn begin(admin: &'a mut Admin, actor: &'a str) -> Self {
        Self { admin, actor, began: clock::now().mono, now: installation::wall_time() }
    }
}

impl Turn<'_> {
    /// Executes a command of the registry and carries what changed into the running broker.
    fn command(&mut self, command: Command) -> Result<(Outcome, Option<InForce>), Refusal> {
        Ok(self.execute(command)?)
    }

    /// The same, refused in the words of the registry.
    fn execute(&mut self, command: Command) -> Result<(Outcome, Option<InForce>), identity::Refusal> {
        let context = Context { now: self.now, actor: self.actor };
        let before = self.admin.registrar.registry().revision();
        let executed = self.admin.registrar.execute(command, context);
        if executed.is_err() && self.admin.registrar.registry().revision() != before {
            self.carry(false); // It was refused, and that was written down.
        }
        let outcome = executed?;
        let tls_changed = outcome.server_certificate_changed || outcome.trust_changed;
        let in_force = if outcome.changed { self.carry(tls_changed) } else { None };
        Ok((outcome, in_force))
    }

    fn carry(&mut self, certificate_changed: bool) -> Option<InForce> {
        let running = self.admin.running.as_mut()?;
        let listeners = &running.config.listeners;
        let secured = match certificate_changed {
            true => running.live.put_certificate(&self.admin.registrar, listeners),
            false => Ok(()),
        };
        if let Err(refusal) = &secured {
            tracing::error!(what = %refusal.what, "not every listener could be given its certificates anew");
        }
        let in_force = running.live.put_registry(&self.admin.registrar.registry());
        self.admin.tell_ground();
        self.admin.end_incidents();
        Some(InForce { complete: in_force.complete && secured.is_ok(), ..in_force })
    }

    /// Says what a change did. Of one that is not reported by everybody nothing is counted.
    fn changed(&self, what: String, in_force: Option<InForce>, mut notes: Vec<String>) -> Changed {
        notes.extend(incomplete(in_force));
        let is_reported = |in_force: &InForce| in_force.complete;
        let pending = in_force.as_ref().is_some_and(|in_force| !is_reported(in_force));
        let done = in_force.filter(is_reported);
        let nothing = || (self.admin.running.is_some() && !pending).then_some(0);
        let closed_links = done.map(|done| done.closed_links).or_else(nothing);
        Changed { what, closed_links, in_force_ms: done.map(|_| self.elapsed_ms()), pending, notes }
    }

    fn elapsed_ms(&self) -> u64 {
        clock::now().mono.0.saturating_sub(self.began.0)
    }
}

/// Says that the change is durable but not reported by everybody.
fn incomplete(in_force: Option<InForce>) -> Option<String> {
    let what = "the change is on disk, but the running broker did not confirm it everywhere in time: connections that it \
                should have closed may be open still. `keyward healthcheck` names who does not answer; restart the broker if \
                this stays";
    in_force.filter(|in_force| !in_force.complete).map(|_| what.to_owned())
}

/// Refuses what only a running broker can answer.
fn needs_running(what: &str) -> Refusal {
    Refusal::new(RefusalCode::WrongMoment, format!("{what}; no broker runs here: start it with `keyward up`"))
}

#[cfg(test)]
mod fixture;
