//! From a directory to a broker that listens.

use super::{BROKER, Running, attend};
use crate::{
    admin::{Admin, InRun},
    carrier::Carrier,
    config::{Address, Config, Overrides},
    home::{Home, HomeError},
    installation::{self, InstallationError, SettingsError},
    journal::Journal,
    logging::{self, LogOptions},
    names,
    notify::Notifier,
    plane::{
        Applications, DataPlane, DataPlaneOptions, ListenError, Mouth, RatchetDesk, RestartError,
        StartError as PlaneError, State, hearing,
    },
    process,
    ratchet::{self, Ratcheting, Ratchets},
    rules::{Rules, RulesError},
    service::Service,
    store,
    watch::{Book, WatchDesk, WatchOptions, Watching},
    wiring,
};
use keyward_broker::{Directory, persist::RecoveryError};
use keyward_identity::{Command, Context, Registrar, ServerName, files, restore};
use keyward_policy::Policy;
use keyward_store::{Engine, Read};
use std::{
    io,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};

/// Holds what a start is told beside `keyward.toml`.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// More names for the server certificate (`--name`); those of `KEYWARD_NAMES` are added.
    pub names: Vec<String>,
    /// Another port for the first listener; 0 lets the system choose.
    pub port: Option<u16>,
    /// Another address for the first listener.
    pub address: Option<IpAddr>,
    /// The file with the passphrase of the keys; without it the systemd credential `keyward-passphrase`.
    pub passphrase_file: Option<PathBuf>,
    /// How to log to standard error; `None` leaves logging to the caller.
    pub log: Option<LogOptions>,
    /// Whether the process may be dumped and traced by its user, for debugging.
    pub dumpable: bool,
    /// Whether signals are left to the caller (the demo and tests run a broker inside their process).
    pub ignore_signals: bool,
    /// Who is told how the broker is.
    pub service: Service,
    /// How many times faster than the clock the time of the watch goes, for shows; `None` is as fast.
    pub watch_pace: Option<u32>,
}

/// Says why a broker did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The directory cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// A port is taken.
    #[error(
        "port {port} of listener {listener} is in use by another program; stop that one, or choose another with `keyward up --port PORT`"
    )]
    PortInUse {
        /// The listener.
        listener: String,
        /// The port.
        port: u16,
    },
    /// A listener cannot be opened for another reason.
    #[error("{0}; [[listener]] in keyward.toml says what is opened")]
    Listen(ListenError),
    /// The store cannot be made or opened.
    #[error(transparent)]
    Installation(#[from] InstallationError),
    /// `keyward.toml` is bad.
    #[error("keyward.toml is not valid, so nothing was started:\n{0}")]
    Settings(#[from] SettingsError),
    /// Sessions and messages cannot be kept.
    #[error("the message store did not open: {0}")]
    Store(#[from] store::StoreError),
    /// A rule file is bad.
    #[error("the rules are not valid, so nothing was started:\n{0}")]
    Rules(#[from] RulesError),
    /// A name or a log filter is none.
    #[error("{0}")]
    Argument(String),
    /// The server certificate cannot be used, or threads cannot be started.
    #[error("the data plane did not start: {0}")]
    Plane(String),
    /// A socket, thread or signal handler could not be had.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

/// Is whom a data plane tells what happens.
struct Telling {
    journal: Arc<Journal>,
    applications: Applications,
    ratchets: RatchetDesk,
    watch: Option<Mouth>,
}

/// Is a data plane that listens, with its directory and a reader of what it stores.
type Opened = (DataPlane, Arc<Directory>, Option<Arc<dyn Read>>);

/// Starts the broker of `home`, making the installation first if there is none. Returns when it listens.
///
/// # Errors
/// [`StartError`], which says what to do.
pub fn run(home: Home, options: &RunOptions) -> Result<Running, StartError> {
    if !options.dumpable {
        process::forbid_dumps().map_err(system("dumps of this process could not be forbidden"))?;
    }
    let starting = options.service.starting();
    home.create()?;
    // Before anything in the directory is read.
    restore::finish(home.directory()).map_err(InstallationError::from)?;
    let (config, _) = installation::settings(&home)?;
    if let Some(log) = &options.log {
        logging::start(log, &config.log).map_err(StartError::Argument)?;
    }
    let overrides = Overrides { port: options.port, address: options.address };
    let config = config.overridden(overrides);
    let takes =
        |address| config.listeners.iter().any(|listener| listener.address() == Some(Address::One(address)));
    if let Some(address) = options.address.filter(|address| !takes(*address)) {
        let what = format!("--address {address}: no listener with TLS is configured that could open there");
        return Err(StartError::Argument(what));
    }
    let first_start = !home.is_installed();
    if first_start {
        files::ensure_private_dir(&home.policy_dir()).map_err(InstallationError::from)?;
    }
    let rules = Rules::load(&home)?;
    let wanted = wanted_names(&config, options)?;
    let protection = installation::protection(options.passphrase_file.as_deref())?;
    let mut registrar = if first_start {
        installation::create(&home, wanted.clone(), protection)?
    } else {
        installation::open(&home, protection)?
    };
    bring_up_to_date(&mut registrar, &wanted);
    let journal = Arc::new(Journal::default());
    let policy = Arc::new(rules.policy.clone());
    let (applications, queue) = Applications::queue();
    let (mouth, ear) = hearing();
    let installation = registrar.status(installation::wall_time()).installation.to_string();
    let (notifier, notifying) = Notifier::start(&config.notify, &installation, home.notices_file())
        .map_err(system("no thread to tell incidents"))?;
    let desk = WatchDesk::new(Book::open(home.incidents_file(), notifier.clone()));
    desk.put_registry(&registrar.registry());
    desk.put_readings(&config.readings);
    let watched = config.watch;
    let watch = watched.enabled.then_some(mouth);
    let (ratchet_desk, ratchet_queue) = RatchetDesk::queue();
    let ratchets = open_ratchets(&home, &registrar)?;
    let telling = Telling { journal: Arc::clone(&journal), applications, ratchets: ratchet_desk, watch };
    let (plane, directory, messages) =
        open_plane(&home, &config, &registrar, &policy, &telling, first_start)?;
    let applications = telling.applications;
    let plane = Arc::new(plane);
    let sys_interval = config.sys_interval;
    let live = Box::new(Carrier::new(Arc::clone(&plane), directory, journal, desk.clone()));
    let mut admin = Admin::running(
        home.clone(),
        registrar,
        InRun { live, messages, started: config.clone(), config, overrides, policy, notifier },
        desk.clone(),
    );
    // Read again: the first start has written the file.
    admin.note_hand_edits(&installation::settings(&home)?.1, &rules, BROKER);
    admin.tell_ground();
    admin.tell_incidents();
    admin.tell_key_set();
    let admin = Arc::new(Mutex::new(admin));
    let announcer = Arc::clone(&plane);
    let announce = Box::new(move |values| announcer.announce(values));
    let kept = WatchOptions {
        learned: home.learned_file(),
        recording: home.recording_file(),
        recorded_bytes: watched.record,
        pace: options.watch_pace.unwrap_or(1),
    };
    let watching = watched
        .enabled
        .then(|| Watching::start(desk, ear, announce, kept))
        .transpose()
        .map_err(system("no thread for the watch over devices"))?;
    let mut running = attend(&home, admin, plane, (applications, queue), first_start, sys_interval, options)?;
    running.watching = watching;
    let ratcheting = Ratcheting::start(ratchets, ratchet_queue);
    running.ratcheting = Some(ratcheting.map_err(system("no thread for the rolling secrets of devices"))?);
    running.notifying = notifying;
    drop(starting);
    for warning in running.status().warnings {
        tracing::warn!("{}", crate::escape::escape(&warning));
    }
    options.service.ready(&running.said_of_listeners());
    Ok(running)
}

/// Opens what is kept of the rolling secrets of the devices that there are.
fn open_ratchets(home: &Home, registrar: &Registrar) -> Result<Ratchets, StartError> {
    let key = registrar.pepper().derive(ratchet::LABEL);
    let registry = registrar.registry();
    let devices = registry.accounts().map(|account| &account.identity);
    Ratchets::open(home.ratchets_file(), &key, devices)
        .map_err(system("the rolling secrets of devices cannot be kept"))
}

/// Gathers the names that the operator wants in the certificate.
fn wanted_names(config: &Config, options: &RunOptions) -> Result<Vec<ServerName>, StartError> {
    let mut wanted = config.names.clone();
    for name in &options.names {
        wanted.push(name.parse().map_err(|error| StartError::Argument(format!("--name: {error}")))?);
    }
    if let Ok(list) = std::env::var("KEYWARD_NAMES") {
        wanted.extend(names::parse_list(&list).map_err(StartError::Argument)?);
    }
    wanted.sort();
    wanted.dedup();
    Ok(wanted)
}

/// Brings the server certificate up to date with names and time. A clock in doubt leaves it as it is: the broker
/// starts all the same.
fn bring_up_to_date(registrar: &mut Registrar, wanted: &[ServerName]) {
    let known = registrar.status(installation::wall_time()).server_names;
    let missing =
        wanted.iter().filter(|name| known.origin(name) != Some(keyward_identity::NameOrigin::Added));
    let added = missing.map(|name| Command::AddServerName { name: name.clone() });
    let commands: Vec<Command> =
        [Command::FindServerNames { names: names::find() }].into_iter().chain(added).collect();
    for command in commands {
        try_command(registrar, command);
    }
    // At two thirds of its life, with the same key.
    if registrar.server_renewal_due(installation::wall_time()) {
        try_command(registrar, Command::RenewServer);
    }
    installation::keep_server_keys(registrar, installation::wall_time(), BROKER);
}

fn try_command(registrar: &mut Registrar, command: Command) {
    let context = Context { now: installation::wall_time(), actor: BROKER };
    if let Err(refusal) = registrar.execute(command, context) {
        tracing::warn!("the server certificate stays as it is: {refusal}");
    }
}

/// Opens the store and starts the data plane on it; on an empty store if the one that is there cannot be read. Returns
/// beside it the directory that it has, and a reader of the messages if they are stored.
fn open_plane(
    home: &Home,
    config: &Config,
    registrar: &Registrar,
    policy: &Arc<Policy>,
    telling: &Telling,
    first_start: bool,
) -> Result<Opened, StartError> {
    // What is missing is told before anything is opened.
    let missing = |error: wiring::Missing| StartError::Argument(error.to_string());
    wiring::tls_material_for(registrar, &config.listeners).map_err(missing)?;
    let start = || -> Result<_, StartError> {
        let store = store::open(home, config.store, first_start)?;
        let messages = store.as_ref().map(|engine| engine.reader());
        Ok(start_plane(config, registrar, policy, telling, store).map(|started| (started, messages)))
    };
    let ((plane, directory), messages) = match start()? {
        Err(PlaneError::Restart(RestartError::Recovery(why @ RecoveryError::Unreadable(_)))) => {
            // Only now is it closed.
            drop(store::begin_anew(home, config.store, &why)?);
            start()?
        }
        started => started,
    }
    .map_err(|error| plane_error(error, config))?;
    Ok((plane, directory, messages))
}

fn start_plane(
    config: &Config,
    registrar: &Registrar,
    policy: &Arc<Policy>,
    telling: &Telling,
    store: Option<Box<dyn Engine>>,
) -> Result<(DataPlane, Arc<Directory>), PlaneError> {
    let registry = registrar.registry();
    let directory = Arc::new(wiring::directory(&registry, &Directory::default()));
    let options = DataPlaneOptions {
        methods: Vec::new(),
        applications: Some(telling.applications.clone()),
        limits: process::with_descriptors(config.limits.plane.clone(), process::raise_descriptors()),
        broker_limits: config.limits.broker,
        workers: config.shards.unwrap_or(0),
        doors: config.door_threads.unwrap_or(0),
        signature_threads: config.signature_threads.unwrap_or(0),
        ratchets: Some(telling.ratchets.clone()),
        watch: telling.watch.clone(),
        state: State {
            policy_generation: 1,
            policy: Arc::clone(policy),
            directory: Arc::clone(&directory),
            registry,
        },
        pepper: registrar.pepper(),
        tls: wiring::tls_material_for(registrar, &config.listeners).ok(),
        listeners: config.listeners.iter().map(wiring::listener).collect(),
        sink: Arc::<Journal>::clone(&telling.journal),
        type_rules: wiring::type_rules(config),
        store,
    };
    Ok((DataPlane::start(options)?, directory))
}

fn plane_error(error: PlaneError, config: &Config) -> StartError {
    match error {
        PlaneError::Listen(ListenError::InUse { address }) => {
            let port = address.port();
            let listener = config.listeners.iter().find(|listener| listener.port() == Some(port));
            let listener = listener.map(|listener| listener.name.clone()).unwrap_or_default();
            StartError::PortInUse { listener, port }
        }
        PlaneError::Listen(error) => StartError::Listen(error),
        other => StartError::Plane(other.to_string()),
    }
}

pub(super) fn system(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |error| StartError::System { what, error }
}
