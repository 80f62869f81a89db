//! The brokers that are measured: each is a process of its own with a directory, ports and settings of its own, all on
//! 127.0.0.1, and ends with the value that stands for it.

mod keyward;
mod mosquitto;
mod relay;

pub(crate) use keyward::{BENCH, Durability, Keyward, User, WIDE, password_of};
pub(crate) use mosquitto::{Persistence, mosquitto};
pub(crate) use relay::relay;

use crate::clock;
use crate::error::BenchError;
use crate::load::Access;
use crate::process;
use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a broker may take to begin.
const START: Duration = Duration::from_secs(20);

/// A broker that runs.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) name: &'static str,
    /// Version and what of its settings bears on the figures.
    pub(crate) about: String,
    pub(crate) plain: Access,
    pub(crate) tls: Access,
    /// What starts it, again too.
    command: Command,
    process: Running,
    /// Goes with the broker.
    folder: tempfile::TempDir,
}

impl Broker {
    /// Has the broker's own command line carry a command out, and returns its answer.
    ///
    /// # Errors
    /// It is refused, or answers no JSON.
    pub(crate) fn operate(&self, arguments: &[&str]) -> Result<serde_json::Value, BenchError> {
        let mut command = Command::new(self.command.get_program());
        command.arg("--json").arg("--dir").arg(self.folder().join("keyward")).args(arguments);
        let output = command.output().map_err(BenchError::io("running a command of the broker"))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let answer = serde_json::from_str(&said).ok().filter(|_| output.status.success());
        answer.ok_or_else(|| BenchError::broker(self.name, format!("{}: {said}", arguments.join(" "))))
    }

    /// Returns the process number.
    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Returns how it is reached with or without TLS.
    pub(crate) fn access(&self, tls: bool) -> &Access {
        if tls { &self.tls } else { &self.plain }
    }

    /// Returns what it has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(log_path(self.folder.path())).unwrap_or_default()
    }

    /// Returns its directory.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends the process as a crash does, without a chance to write anything, and waits until it is gone.
    pub(crate) fn kill(&mut self) -> Result<(), BenchError> {
        let killed = self.process.0.kill().and_then(|()| self.process.0.wait());
        killed.map(drop).map_err(BenchError::io(format!("killing {}", self.name)))
    }

    /// Starts it again after [`Broker::kill`], on the same directory and ports. It does not listen yet.
    pub(crate) fn start_again(&mut self, layout: &Layout) -> Result<(), BenchError> {
        self.process = layout.spawn(&mut self.command, &log_path(self.folder.path()))?;
        Ok(())
    }

    /// Whether the process has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.process.0.try_wait(), Ok(None))
    }

    /// Waits until both listeners answer.
    pub(crate) fn await_listeners(&mut self) -> Result<(), BenchError> {
        let ports = [self.plain.address, self.tls.address];
        let answers = |port| TcpStream::connect_timeout(&port, Duration::from_millis(200)).is_ok();
        let listens =
            clock::until(START, || (self.has_ended() || ports.into_iter().all(answers)).then_some(()));
        if listens.is_some() && !self.has_ended() {
            return Ok(());
        }
        Err(BenchError::broker(self.name, format!("it does not listen; it said:\n{}", self.log())))
    }
}

/// A child process; it ends when the value is dropped.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if the process has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Which cores the broker has and which the generator.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) broker: Vec<usize>,
    pub(crate) generator: Vec<usize>,
}

impl Layout {
    /// Gives each a core of its own if there are two; unpinned, both have all.
    pub(crate) fn new(pin: bool) -> Self {
        let all = process::cores();
        match all[..] {
            [first, second, ..] if pin => Self { broker: vec![first], generator: vec![second] },
            _ => Self { broker: all.clone(), generator: all },
        }
    }

    /// Returns what a reader has to know.
    pub(crate) fn describe(&self) -> String {
        if self.broker == self.generator {
            "broker and generator share all cores".to_owned()
        } else {
            format!("broker on core {:?}, generator on core {:?}", self.broker, self.generator)
        }
    }

    /// Starts a program on the broker's cores.
    pub(crate) fn spawn(&self, command: &mut Command, log: &Path) -> Result<Running, BenchError> {
        let doing = format!("starting {}", command.get_program().to_string_lossy());
        let log = log_file(log)?;
        let copy = log.try_clone().map_err(BenchError::io("sharing the log"))?;
        command.stdin(Stdio::null()).stdout(copy).stderr(log);
        process::run_on(&self.broker)?;
        let child = command.spawn().map_err(BenchError::io(doing));
        process::run_on(&self.generator)?;
        child.map(Running)
    }
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join("log")
}

fn log_file(path: &Path) -> Result<File, BenchError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(BenchError::io(format!("opening {}", path.display())))
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Returns two ports that nobody listens on, below those that the system gives to outgoing connections.
fn free_ports() -> Result<[u16; 2], BenchError> {
    // Measurements that run at the same time begin their search at different places.
    let first = std::process::id().wrapping_mul(37);
    let mut free = (0..12_000)
        .map(|n| 20_000 + (first.wrapping_add(n) % 12_000) as u16)
        .filter(|port| TcpListener::bind(loopback(*port)).is_ok());
    match (free.next(), free.next()) {
        (Some(one), Some(other)) => Ok([one, other]),
        _ => Err(BenchError::Misuse("no two ports between 20000 and 32000 are free".to_owned())),
    }
}
