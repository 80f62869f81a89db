//! A data plane on loopback with a registrar behind it, and peers that speak raw bytes to it.

use keyward_broker::{Denial, Directory, Notice};
use keyward_identity::{
    AddDevice, AddUser, Command, Context, InitOptions, KeyProtection, KeySource, Lifetimes, NewCredential,
    NewPassword, Outcome, Refusal, Registrar, Secret, ServerName, WallTime,
};
use keyward_ids::{DeviceId, Identity, UserId};
use keyward_policy::Policy;
use keyward_server::clock;
use keyward_server::plane::{
    Application, Applications, Applied, DataPlane, DataPlaneOptions, Exchange, HandshakeFailure, LimitHit,
    Limits, Listener, LoggedIn, LoginFailure, Method, Protocol, Sink, State, TypeRules, Verdict,
    WebSocketFault,
};
use keyward_server::wiring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A time within the lifetime of everything, so that the tests do not depend on the clock of the build.
const BUILD: WallTime = WallTime(1_700_000_000_000);

/// What a device or user shows.
pub(crate) struct Bundle {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Clone for Bundle {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

/// Keeps what the data plane tells, and wakes whoever waits for it.
#[derive(Default)]
pub(crate) struct Recorder {
    told: Mutex<Told>,
    changed: Condvar,
}

#[derive(Default)]
pub(crate) struct Told {
    pub(crate) denials: Vec<Denial>,
    pub(crate) logins: Vec<LoginFailure>,
    pub(crate) logged_in: Vec<LoggedIn>,
    pub(crate) handshakes: Vec<HandshakeFailure>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) limits: Vec<LimitHit>,
    pub(crate) frames: Vec<(Identity, WebSocketFault)>,
}

impl Recorder {
    fn tell(&self, tell: impl FnOnce(&mut Told)) {
        tell(&mut self.told.lock().unwrap());
        self.changed.notify_all();
    }

    /// Waits until `find` finds something in what was told.
    pub(crate) fn wait<T>(&self, what: &str, find: impl Fn(&Told) -> Option<T>) -> T {
        let told = self.told.lock().unwrap();
        let (told, _) = self.changed.wait_timeout_while(told, PATIENCE, |told| find(told).is_none()).unwrap();
        let seen: Vec<_> = told.handshakes.iter().map(|each| &each.line).collect();
        find(&told).unwrap_or_else(|| panic!("never told: {what}; told: {:?} {seen:?}", told.logins))
    }

    /// Waits until somebody was told to have run into a limit, and returns who.
    pub(crate) fn offender(&self, limit: &str) -> String {
        let hit =
            |told: &Told| told.limits.iter().find(|hit| hit.limit == limit).map(|hit| hit.who.to_string());
        self.wait(limit, hit)
    }

    /// Waits for a failed login whose cause says this.
    pub(crate) fn login_cause(&self, part: &str) -> String {
        self.wait(part, |told| {
            told.logins.iter().map(|failure| failure.cause.to_string()).find(|cause| cause.contains(part))
        })
    }

    pub(crate) fn handshake_line(&self, part: &str) -> String {
        let line = |told: &Told| {
            told.handshakes.iter().map(|each| &each.line).find(|line| line.contains(part)).cloned()
        };
        self.wait(part, line)
    }
}

impl Sink for Recorder {
    fn denied(&self, denial: Denial) {
        self.tell(|told| told.denials.push(denial));
    }
    fn login_failed(&self, failure: LoginFailure) {
        self.tell(|told| told.logins.push(failure));
    }
    fn logged_in(&self, login: LoggedIn) {
        self.tell(|told| told.logged_in.push(login));
    }
    fn handshake_failed(&self, failure: HandshakeFailure) {
        self.tell(|told| told.handshakes.push(failure));
    }
    fn notice(&self, notice: Notice, _: u64) {
        self.tell(|told| told.notices.push(notice));
    }
    fn limit(&self, hit: LimitHit) {
        self.tell(|told| told.limits.push(hit));
    }
    fn frames_broken(&self, identity: Identity, fault: WebSocketFault, _: u64) {
        self.tell(|told| told.frames.push((identity, fault)));
    }
}

pub(crate) struct World {
    _dir: tempfile::TempDir,
    pub(crate) registrar: Registrar,
    pub(crate) plane: DataPlane,
    pub(crate) told: Arc<Recorder>,
    /// Where devices apply for certificates; a test decides.
    pub(crate) applications: Receiver<Application>,
    directory: Arc<Directory>,
    pub(crate) tls: SocketAddr,
    pub(crate) plain: SocketAddr,
    pub(crate) wss: SocketAddr,
    pub(crate) ws: SocketAddr,
}

pub(crate) fn now() -> WallTime {
    WallTime(clock::now().wall.0)
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    /// Bounds with times so short that a test can see them run out.
    pub(crate) fn hasty() -> Limits {
        Limits {
            handshake_time: Duration::from_millis(300),
            connect_time: Duration::from_millis(300),
            refusal_delay: Duration::from_millis(300),
            linger_time: Duration::from_millis(500),
            ..Limits::default()
        }
    }

    pub(crate) fn with(limits: Limits) -> Self {
        Self::with_broker(limits, keyward_broker::Limits::default())
    }

    pub(crate) fn with_broker(limits: Limits, broker_limits: keyward_broker::Limits) -> Self {
        Self::founded(now(), limits, broker_limits)
    }

    /// An installation that was made at the time `founded`.
    pub(crate) fn founded(founded: WallTime, limits: Limits, broker_limits: keyward_broker::Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let registrar = create(dir.path(), founded);
        let (applications, queue) = Applications::queue();
        // One waits in our hands, so that a test can give up waiting.
        let (hand_on, applied) = sync_channel(0);
        std::thread::spawn(move || {
            while queue.next().is_some_and(|application| hand_on.send(application).is_ok()) {}
        });
        let registry = registrar.registry();
        let directory = Arc::new(wiring::directory(&registry, &Directory::default()));
        let told = Arc::new(Recorder::default());
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let websocket = || Protocol::WebSocket { origins: Arc::default() };
        let plane = DataPlane::start(DataPlaneOptions {
            limits,
            broker_limits,
            workers: 2,
            doors: 2,
            signature_threads: 0,
            ratchets: None,
            watch: None,
            state: State {
                policy_generation: 1,
                policy: Arc::new(Policy::builtin()),
                directory: directory.clone(),
                registry,
            },
            pepper: registrar.pepper(),
            methods: vec![Arc::new(Riddle)],
            applications: Some(applications),
            tls: Some(wiring::tls_material(&registrar)),
            listeners: vec![
                Listener::tls("mqtts", vec![loopback]),
                Listener::plain("mqtt", vec![loopback]),
                Listener { protocol: websocket(), ..Listener::tls("wss", vec![loopback]) },
                Listener { protocol: websocket(), ..Listener::plain("ws", vec![loopback]) },
            ],
            sink: told.clone(),
            type_rules: TypeRules::new(),
            store: None,
        })
        .unwrap();
        let listeners = plane.listeners();
        let [tls, plain, wss, ws] = [0, 1, 2, 3].map(|index: usize| listeners[index].addresses[0]);
        Self { _dir: dir, registrar, plane, told, applications: applied, directory, tls, plain, wss, ws }
    }

    /// Executes a command and hands what follows from it to the data plane, as the control plane does.
    pub(crate) fn command(&mut self, command: Command) -> (Outcome, Applied) {
        let (outcome, applied) = self.command_before_tls(command);
        if outcome.trust_changed {
            self.reload_tls();
        }
        (outcome, applied)
    }

    /// The same, at the moment at which listeners do not know yet whom to trust.
    pub(crate) fn command_before_tls(&mut self, command: Command) -> (Outcome, Applied) {
        self.command_at(now(), command).unwrap()
    }

    /// Executes a command that may be refused, as if it were `now`.
    pub(crate) fn command_at(
        &mut self,
        now: WallTime,
        command: Command,
    ) -> Result<(Outcome, Applied), Refusal> {
        let outcome = self.registrar.execute(command, Context { now, actor: "test" })?;
        let registry = self.registrar.registry();
        self.directory = Arc::new(wiring::directory(&registry, &self.directory));
        let applied = self.plane.set_directory(self.directory.clone(), registry).unwrap();
        Ok((outcome, applied))
    }

    /// Hands the registry to the data plane as it is now.
    pub(crate) fn refresh(&mut self) {
        let registry = self.registrar.registry();
        self.directory = Arc::new(wiring::directory(&registry, &self.directory));
        self.plane.set_directory(self.directory.clone(), registry).unwrap();
    }

    pub(crate) fn add_device(&mut self, id: &str) -> Bundle {
        let credential = NewCredential::Certificate { key: KeySource::Generate, lifetime_days: None };
        let (outcome, _) = self.command(device(id, credential));
        let issued = outcome.certificate.unwrap();
        bundle(&issued.chain_pem, issued.private_key_pem.unwrap().expose_text())
    }

    /// Adds a device with a generated password, and returns that.
    pub(crate) fn add_device_with_password(&mut self, id: &str) -> String {
        let (outcome, _) = self.command(device(id, NewCredential::Password(NewPassword::Generate)));
        outcome.password.unwrap().expose_text().to_owned()
    }

    pub(crate) fn add_user(&mut self, id: &str, password: &str) {
        let password = NewPassword::Chosen(Secret::new(password.as_bytes().to_vec()));
        self.command(Command::AddUser(AddUser {
            id: UserId::parse(id).unwrap(),
            plain: false,
            note: String::new(),
            credential: NewCredential::Password(password),
        }));
    }

    pub(crate) fn revoke(&mut self, identity: &str) -> Applied {
        let identity: Identity = identity.parse().unwrap();
        self.command(Command::Revoke { identity, keep_messages: false, publish_will: false }).1
    }

    pub(crate) fn reload_tls(&self) {
        self.plane.set_tls(wiring::tls_material(&self.registrar)).unwrap();
    }

    pub(crate) fn ca_pem(&self) -> String {
        self.registrar.ca_pem()
    }
}

fn create(dir: &std::path::Path, now: WallTime) -> Registrar {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).unwrap();
    let names = ["localhost", "127.0.0.1", "::1"].map(|name| name.parse::<ServerName>().unwrap());
    Registrar::create(
        dir,
        InitOptions {
            now,
            build_time: BUILD,
            accept_clock: false,
            actor: "test",
            found_names: names.to_vec(),
            added_names: Vec::new(),
            protection: KeyProtection::FileMode,
            lifetimes: Lifetimes::default(),
        },
    )
    .unwrap()
}

/// Is a method for tests: it asks for the number after the one that the client named, and then believes which
/// identity the client says it is. The answer 0 asks for the question again.
struct Riddle;

struct Asked(Option<u8>);

impl Method for Riddle {
    fn name(&self) -> &str {
        "riddle"
    }

    fn begin(&self) -> Box<dyn Exchange> {
        Box::new(Asked(None))
    }
}

impl Exchange for Asked {
    fn step(&mut self, _now: keyward_mqtt::time::Now, data: Option<&[u8]>) -> Verdict {
        match (self.0, data) {
            (None, Some([number, ..])) => {
                self.0 = Some(*number);
                Verdict::Challenge(vec![*number])
            }
            (Some(number), Some([0, ..])) => Verdict::Challenge(vec![number]),
            (Some(number), Some([answer, identity @ ..])) if *answer == number + 1 => {
                match std::str::from_utf8(identity).unwrap().parse() {
                    Ok(identity) => Verdict::Proven { identity, data: Some(b"well done".to_vec()) },
                    Err(_) => Verdict::Refused,
                }
            }
            _ => Verdict::Refused,
        }
    }
}

/// Another installation's device: its certificate is in order, but of another authority.
pub(crate) fn stranger(id: &str) -> Bundle {
    let dir = tempfile::tempdir().unwrap();
    let mut registrar = create(dir.path(), now());
    let credential = NewCredential::Certificate { key: KeySource::Generate, lifetime_days: None };
    let outcome = registrar.execute(device(id, credential), Context { now: now(), actor: "test" }).unwrap();
    let issued = outcome.certificate.unwrap();
    bundle(&issued.chain_pem, issued.private_key_pem.unwrap().expose_text())
}

pub(crate) fn device(id: &str, credential: NewCredential) -> Command {
    Command::AddDevice(AddDevice::new(DeviceId::parse(id).unwrap(), credential))
}

pub(crate) fn bundle(chain_pem: &str, key_pem: &str) -> Bundle {
    Bundle {
        chain: CertificateDer::pem_slice_iter(chain_pem.as_bytes()).map(Result::unwrap).collect(),
        key: PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).unwrap(),
    }
}
