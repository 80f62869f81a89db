//! Keyward as the release binary, with a directory that is prepared before its first start.

use super::{Broker, Layout, free_ports, log_path, loopback};
use crate::clock;
use crate::error::BenchError;
use crate::files;
use crate::load::Access;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// How long a command may be refused because the broker is still starting.
const PATIENCE: Duration = Duration::from_secs(10);

/// A user that logs in with a password, and may do everything below some topics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User {
    pub(crate) name: &'static str,
    pub(crate) topics: &'static [&'static str],
    /// The password that somebody chose for it; `None` lets Keyward make one.
    pub(crate) chosen: Option<&'static str>,
}

/// What an acknowledgement promises, as `[store] durability` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    Synced,
    Os,
    Memory,
}

impl Durability {
    /// Returns the word of the configuration.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Synced => "synced",
            Self::Os => "os",
            Self::Memory => "memory",
        }
    }
}

/// How Keyward is set up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keyward<'a> {
    /// The binary; `None` takes the one beside this program.
    pub(crate) program: Option<&'a Path>,
    /// Shards and threads at the door; `None` leaves the default.
    pub(crate) shards: Option<usize>,
    /// Lines of `[limits]`.
    pub(crate) limits: &'a str,
    /// The first one is whom [`Broker::plain`] and [`Broker::tls`] log in.
    pub(crate) users: &'a [User],
    pub(crate) durability: Durability,
    /// Whether tools may look into the process.
    pub(crate) dumpable: bool,
}

/// The user of the measurements.
pub(crate) const BENCH: User = User { name: "bench", topics: &["bench/#"], chosen: None };

/// Bounds that would end a measurement, out of its way.
pub(crate) const WIDE: &str = "\
connections = 19000
connections_per_address = 19000
connections_per_identity = 19000
sessions_per_identity = 19000
handshake_rate = 0
handshake_rate_per_address = 0
login_rate_per_identity = 0
";

impl<'a> Keyward<'a> {
    /// The setting of the measurements: one shard, wide bounds, and nothing on disk, as the brokers that it is compared
    /// with have nothing there either.
    pub(crate) fn measured(program: Option<&'a Path>, shards: usize) -> Self {
        let (shards, durability) = (Some(shards), Durability::Memory);
        Self { program, shards, limits: WIDE, users: &[BENCH], durability, dumpable: false }
    }

    /// Starts it, and adds the users.
    ///
    /// # Errors
    /// [`BenchError::Missing`] if the binary is not there.
    pub(crate) fn start(&self, layout: &Layout) -> Result<Broker, BenchError> {
        let program = self.find()?;
        let folder = files::temporary()?;
        let home = folder.path().join("keyward");
        let [plain, tls] = free_ports()?;
        self.prepare(&home, plain, tls)?;
        let mut up = keyward(&program, &home);
        up.arg("up");
        if self.dumpable {
            up.arg("--dumpable");
        }
        let process = layout.spawn(&mut up, &log_path(folder.path()))?;
        let mut broker = Broker {
            name: "keyward",
            about: self.describe(&program),
            plain: Access { address: loopback(plain), ca: None, login: None },
            tls: Access { address: loopback(tls), ca: Some(home.join("ca.pem")), login: None },
            command: up,
            process,
            folder,
        };
        broker.await_listeners()?;
        for user in self.users.iter().rev() {
            let login = Some((user.name.to_owned(), add_user(&program, &home, user)?));
            broker.plain.login.clone_from(&login);
            broker.tls.login = login;
            // The others' passwords, for whoever plays them.
            if let Some((name, password)) = &broker.plain.login {
                files::write_new(&password_file(broker.folder(), name), password)?;
            }
        }
        Ok(broker)
    }

    fn find(&self) -> Result<PathBuf, BenchError> {
        let own = std::env::current_exe().map_err(BenchError::io("asking for the own program"))?;
        let path = self.program.map_or_else(|| own.with_file_name("keyward"), Path::to_owned);
        if path.is_file() {
            return Ok(path);
        }
        Err(BenchError::Missing {
            program: path.display().to_string(),
            remedy: "cargo build --release -p keyward, or name it with --keyward PATH".to_owned(),
        })
    }

    fn prepare(&self, home: &Path, plain: u16, tls: u16) -> Result<(), BenchError> {
        files::make_folder(home)?;
        files::make_folder(&home.join("policy.d"))?;
        let server = self.shards.map_or(String::new(), |n| format!("shards = {n}\ndoor_threads = {n}\n"));
        let config = format!(
            "[server]\n{server}\n[limits]\n{}\n[store]\ndurability = \"{}\"\n\n\
             [[listener]]\nname = \"plain\"\naddress = \"127.0.0.1\"\nport = {plain}\ntls = false\n\n\
             [[listener]]\nname = \"tls\"\naddress = \"127.0.0.1\"\nport = {tls}\n",
            self.limits,
            self.durability.word()
        );
        files::write_new(&home.join("keyward.toml"), &config)?;
        let rules: String = self.users.iter().map(rule).collect();
        files::write_new(&home.join("policy.d/bench.toml"), &rules).map(|_| ())
    }

    fn describe(&self, program: &Path) -> String {
        let said =
            Command::new(program).arg("--version").output().map(|output| output.stdout).unwrap_or_default();
        let shards =
            self.shards.map_or("as many shards as by default".to_owned(), |n| format!("{n} shard(s)"));
        let version = String::from_utf8_lossy(&said).trim().to_owned();
        format!("{version} (release build): {shards}, one rule, durability {}", self.durability.word())
    }
}

/// Reads the password of a user, for whoever plays it.
pub(crate) fn password_of(broker: &Broker, user: &str) -> Result<String, BenchError> {
    let path = password_file(broker.folder(), user);
    std::fs::read_to_string(&path).map_err(BenchError::io(format!("reading {}", path.display())))
}

fn password_file(folder: &Path, user: &str) -> PathBuf {
    folder.join(format!("{user}.password"))
}

fn rule(user: &User) -> String {
    let (name, topics) = (user.name, user.topics);
    format!(
        "[[rule]]\nwho = \"user:{name}\"\nallow = [\"publish\", \"subscribe\", \"share\"]\ntopics = {topics:?}\n\n"
    )
}

fn keyward(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    for variable in ["KEYWARD_DIR", "KEYWARD_NAMES", "KEYWARD_PASSPHRASE_FILE", "KEYWARD_LOG"] {
        command.env_remove(variable);
    }
    command.arg("--dir").arg(home);
    command
}

/// Adds a user and returns its password.
fn add_user(program: &Path, home: &Path, user: &User) -> Result<String, BenchError> {
    let name = user.name;
    let mut said = String::new();
    let password = clock::until(PATIENCE, || {
        let mut command = keyward(program, home);
        command.args(["--json", "user", "add", name]).args(user.chosen.map(|_| "--password-stdin"));
        let output = output_of(&mut command, user.chosen.unwrap_or_default()).ok()?;
        said = String::from_utf8_lossy(&output.stdout).into_owned();
        let answer: serde_json::Value = serde_json::from_str(&said).ok()?;
        let added = answer.get("user_added")?;
        added["password"].as_str().or(user.chosen).map(str::to_owned)
    });
    password.ok_or_else(|| BenchError::broker("keyward", format!("it did not add the user {name}: {said}")))
}

/// Runs a command that reads `text`.
fn output_of(command: &mut Command, text: &str) -> std::io::Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(text.as_bytes())?;
    }
    child.wait_with_output()
}
