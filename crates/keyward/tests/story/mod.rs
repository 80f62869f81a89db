//! The vocabulary of the stories: one installation in a directory of its own, and the built program.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]
#![allow(dead_code, reason = "each file of stories uses its part of the vocabulary")]

use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// Is one installation, gone when the story ends.
pub(crate) struct Story {
    place: TempDir,
}

impl Story {
    /// Begins with nothing.
    pub(crate) fn begin() -> Self {
        Self { place: TempDir::with_prefix("keyward-story-").unwrap() }
    }

    /// Begins with an installation that does not run.
    pub(crate) fn stopped() -> Self {
        let story = Self::begin();
        story.start().stop();
        story
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Writes a file as a person with an editor does.
    #[expect(clippy::disallowed_methods, reason = "a person's editor is no part of Keyward")]
    pub(crate) fn write(&self, path: &Path, text: &str) {
        fs::write(path, text).unwrap();
    }

    /// Writes bytes as a bad disk does.
    #[expect(clippy::disallowed_methods, reason = "a bad disk is no part of Keyward")]
    pub(crate) fn spoil(&self, path: &Path, bytes: &[u8]) {
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.path("keyward")
    }

    /// Prepares the program in the story's own place: nothing of this machine's installation is near.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyward"));
        command
            .args(arguments)
            .env("KEYWARD_DIR", self.dir())
            .env("HOME", self.place.path())
            .env_remove("XDG_DATA_HOME")
            .env_remove("KEYWARD_NAMES")
            .current_dir(self.place.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that has to succeed, and returns what it printed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "keyward {arguments:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["--json"];
        all.extend(arguments);
        serde_json::from_str(&self.ok(&all)).unwrap()
    }

    /// Runs a command that has to be refused, and returns why.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "keyward {arguments:?}: {}", said(&output));
        String::from_utf8(output.stderr).unwrap()
    }

    /// Runs a command that reads standard input.
    pub(crate) fn fed(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Starts the broker on a free port and reads its first screen.
    pub(crate) fn start(&self) -> Broker {
        self.start_with(&[])
    }

    /// Starts the broker with more flags.
    pub(crate) fn start_with(&self, flags: &[&str]) -> Broker {
        let port = free_port();
        let mut command = self.command(&["up", "--port", &port.to_string()]);
        command.args(flags);
        self.start_from(command, port)
    }

    /// Starts the broker by a prepared command and reads its first screen.
    pub(crate) fn start_from(&self, mut command: Command, port: u16) -> Broker {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::options().create(true).append(true).open(self.path("log")).unwrap())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut screen = String::new();
        while !screen.contains("denials") {
            let read = out.read_line(&mut screen).unwrap();
            assert!(read > 0, "the broker ended: {screen}{}", fs::read_to_string(self.path("log")).unwrap());
        }
        Broker { child, _out: out, port, screen }
    }
}

/// Is a running broker; killed if the story fails before it is stopped.
pub(crate) struct Broker {
    child: Child,
    _out: BufReader<ChildStdout>,
    pub(crate) port: u16,
    /// What it printed up to the line that names `denials`.
    pub(crate) screen: String,
}

impl Broker {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks the broker to stop, as systemd does, and waits until it has.
    pub(crate) fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns everything that a program said.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Finds a port that nobody uses now, and no other story of this process is given. It lies below those that the system
/// gives to outgoing connections: one of these could be taken by another story's client before the broker is up.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    (0..COUNT)
        .map(|_| {
            FIRST
                + (std::process::id().wrapping_mul(101) % COUNT + NEXT.fetch_add(1, Ordering::Relaxed))
                    % COUNT
        })
        .filter_map(|port| u16::try_from(port).ok())
        .find(|port| ["0.0.0.0", "::"].iter().all(|any| std::net::TcpListener::bind((*any, *port)).is_ok()))
        .unwrap()
}
