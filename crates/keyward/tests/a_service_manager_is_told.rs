//! systemd's protocol with a real socket: when the broker is ready, reads its files again and stops, and that the watchdog is
//! fed by those who do the work and by nobody else.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod story;

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::fs;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;
use story::{Broker, Story, free_port};

const PATIENCE: Duration = Duration::from_secs(20);

/// How long the watchdog of these stories is.
const WATCHDOG: Duration = Duration::from_millis(600);

/// Plays systemd: hears what the broker says.
struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    fn at(address: &SocketAddr) -> Self {
        let socket = UnixDatagram::bind_addr(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket }
    }

    fn next(&self) -> Option<String> {
        let mut datagram = [0; 4096];
        match self.socket.recv(&mut datagram) {
            Ok(count) => Some(String::from_utf8(datagram[..count].to_vec()).unwrap()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Listens for so long whether the watchdog is fed, while all threads but one run.
    fn is_fed_within(&self, time: Duration) -> bool {
        self.socket.set_read_timeout(Some(time)).unwrap();
        let mut said = std::iter::from_fn(|| self.next());
        let is_fed = said.any(|said| said.contains("WATCHDOG=1"));
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        is_fed
    }

    /// Waits for a word, and returns what was said before it.
    fn hear(&self, word: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            let said = self.next().unwrap_or_else(|| panic!("{word} was not said, but {before:?}"));
            if said.contains(word) {
                before.push(said);
                return before;
            }
            before.push(said);
        }
    }
}

fn start(story: &Story, socket: &str, watchdog: Option<Duration>) -> Broker {
    let port = free_port();
    let mut command = story.command(&["up", "--dumpable", "--port", &port.to_string()]);
    command.env("NOTIFY_SOCKET", socket);
    if let Some(watchdog) = watchdog {
        command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
    }
    story.start_from(command, port)
}

#[test]
fn the_manager_hears_of_start_reload_and_stop() {
    let story = Story::begin();
    let path = story.path("notify");
    let manager = Manager::at(&SocketAddr::from_pathname(&path).unwrap());
    let broker = start(&story, path.to_str().unwrap(), None);
    let said = manager.hear("READY=1");
    assert!(said[0].starts_with("EXTEND_TIMEOUT_USEC="), "a start may be long: {said:?}");
    let listens = format!("STATUS=running: mqtts on port {}", broker.port);
    assert!(said.last().unwrap().contains(&listens), "{said:?}");
    story.ok(&["reload"]);
    let said = manager.hear("RELOADING=1");
    assert!(said[0].contains("\nMONOTONIC_USEC="), "{said:?}");
    assert!(manager.hear("READY=1")[0].contains("read again"));
    story.write(&story.dir().join("keyward.toml"), "[server]\nshards = 0\n");
    story.refused(&["reload"]);
    manager.hear("RELOADING=1");
    assert!(manager.hear("READY=1")[0].contains("running as before"));
    broker.stop();
    let rest = manager.hear("STOPPING=1");
    assert!(!rest.iter().any(|said| said.contains("WATCHDOG=1")), "no watchdog was asked for: {rest:?}");
}

#[test]
fn a_manager_in_the_abstract_namespace_is_heard_too() {
    let story = Story::begin();
    let name = format!("keyward-story-{}", std::process::id());
    let manager = Manager::at(&SocketAddr::from_abstract_name(&name).unwrap());
    let broker = start(&story, &format!("@{name}"), None);
    manager.hear("READY=1");
    broker.stop();
}

#[test]
fn a_socket_that_nobody_listens_to_is_named() {
    let story = Story::begin();
    let output = story.command(&["up"]).env("NOTIFY_SOCKET", "/nowhere/notify").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(story::said(&output).contains("NOTIFY_SOCKET=/nowhere/notify"), "{}", story::said(&output));
    assert!(!story.dir().exists());
}

#[test]
fn one_thread_that_hangs_starves_the_watchdog_and_fails_the_health_check() {
    let story = Story::begin();
    let path = story.path("notify");
    let manager = Manager::at(&SocketAddr::from_pathname(&path).unwrap());
    let broker = start(&story, path.to_str().unwrap(), Some(WATCHDOG));
    manager.hear("READY=1");
    assert_eq!(story.ok(&["healthcheck"]), "healthy\n");
    for name in ["worker-0", "door-0", "committer"] {
        manager.hear("WATCHDOG=1");
        let held = Held::begin(thread_of(&broker, name));
        while !manager.hear("no answer").last().unwrap().contains(name) {}
        assert!(!manager.is_fed_within(WATCHDOG), "fed although {name} hangs");
        if name == "worker-0" {
            let why = story.refused(&["healthcheck"]);
            assert!(why.contains(&format!("no answer from {name};")), "{why}");
        }
        drop(held);
        manager.hear("WATCHDOG=1");
        manager.hear("STATUS=running");
    }
    assert_eq!(story.ok(&["healthcheck"]), "healthy\n");
    broker.stop();
    assert!(story.refused(&["healthcheck"]).contains("no broker runs"));
}

fn thread_of(broker: &Broker, name: &str) -> Pid {
    let threads = fs::read_dir(format!("/proc/{}/task", broker.pid())).unwrap();
    let mut threads = threads.map(|entry| entry.unwrap().path());
    let found = threads.find(|path| fs::read_to_string(path.join("comm")).unwrap().trim() == name).unwrap();
    Pid::from_raw(found.file_name().unwrap().to_str().unwrap().parse().unwrap())
}

/// Is one thread that stands still while all the others of its process run, as under a debugger; until it is dropped.
struct Held(Pid);

impl Held {
    fn begin(thread: Pid) -> Self {
        ptrace::seize(thread, ptrace::Options::empty()).unwrap();
        ptrace::interrupt(thread).unwrap();
        waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
        Self(thread)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = ptrace::detach(self.0, None);
    }
}
