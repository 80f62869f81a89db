//! How long Keyward needs to be there again after a crash: from exec to the first CONNACK of a client whose session was
//! stored, with the store in the page cache and without.

mod filling;

use crate::args::RecoveryArguments;
use crate::caller::{Caller, Calls};
use crate::clock;
use crate::error::BenchError;
use crate::process;
use crate::stage::{BENCH, Broker, Durability, Keyward, Layout};
use crate::table::figure::Figure;
use filling::{Filling, client_id};
use serde::Serialize;
use std::fmt::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Bounds that the store would meet, out of its way.
const ROOMY: &str = "\
connections = 19000
connections_per_address = 19000
connections_per_identity = 19000
handshake_rate = 0
handshake_rate_per_address = 0
login_rate_per_identity = 0
memory_total = \"16 GiB\"
sessions = 10000000
sessions_per_identity = 10000000
subscriptions_per_identity = 10000000
subscription_bytes_per_identity = \"16 GiB\"
queue_messages_per_identity = 100000000
queue_bytes_per_identity = \"16 GiB\"
";

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long a session's messages may take that are there already.
const QUIET: Duration = Duration::from_secs(1);

/// Everything that was found.
#[derive(Debug, Serialize)]
struct Report {
    schema: u32,
    about: String,
    sessions: usize,
    messages: usize,
    payload: usize,
    filled_seconds: f64,
    disk_bytes: u64,
    /// What the process had when it was killed.
    resident_bytes_before: u64,
    starts: Vec<Starts>,
    /// Why there are no starts without the page cache.
    problem: Option<String>,
}

/// Starts under the same conditions.
#[derive(Debug, Serialize)]
struct Starts {
    cache: &'static str,
    seconds: Figure,
    /// Processor time until then: what does not depend on what else the machine does.
    cpu_seconds: Figure,
    resident_bytes: Figure,
    peak_resident_bytes: Figure,
}

/// One start.
struct Start {
    seconds: f64,
    cpu: f64,
    resident: f64,
    peak: f64,
}

/// Fills a store, kills its broker and measures the starts; returns Markdown or JSON.
///
/// # Errors
/// A broker that does not start, or whose store holds less than it acknowledged.
pub(crate) fn run(arguments: &RecoveryArguments) -> Result<String, BenchError> {
    let layout = Layout::new(false);
    let filling = Filling {
        sessions: arguments.sessions as usize,
        messages_each: arguments.messages.div_ceil(arguments.sessions) as usize,
        payload: arguments.payload as usize,
    };
    let mut broker = start(arguments, &layout)?;
    eprintln!("filling …");
    let begin = clock::now();
    filling.fill(&broker.plain)?;
    let filled_seconds = begin.elapsed().as_secs_f64();
    let resident_bytes_before = process::resident_bytes(broker.pid())?;
    let mut trial = Trial { broker: &mut broker, layout: &layout, filling, next: 0 };
    let warm = trial.starts("warm", arguments.turns, || Ok(()))?;
    // Only root may do this, so its absence costs a line of the answer and not the others.
    let cold = drop_caches().and_then(|()| trial.starts("cold", arguments.turns, drop_caches));
    let (cold, problem) = match cold {
        Ok(cold) => (Some(cold), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let report = Report {
        schema: 1,
        about: broker.about.clone(),
        sessions: filling.sessions,
        messages: filling.sessions * filling.messages_each,
        payload: filling.payload,
        filled_seconds,
        disk_bytes: bytes_on_disk(&broker.folder().join("keyward/messages"))?,
        resident_bytes_before,
        starts: [Some(warm), cold].into_iter().flatten().collect(),
        problem,
    };
    if arguments.json {
        return Ok(serde_json::json!(report).to_string());
    }
    Ok(markdown(&report))
}

fn start(arguments: &RecoveryArguments, layout: &Layout) -> Result<Broker, BenchError> {
    let keyward = Keyward {
        program: arguments.keyward.as_deref(),
        shards: None,
        limits: ROOMY,
        users: &[BENCH],
        durability: Durability::Synced,
        dumpable: true,
    };
    keyward.start(layout)
}

struct Trial<'a> {
    broker: &'a mut Broker,
    layout: &'a Layout,
    filling: Filling,
    /// Whose session is asked for next: each still has all its messages.
    next: usize,
}

impl Trial<'_> {
    fn starts(
        &mut self,
        cache: &'static str,
        turns: u32,
        prepare: impl Fn() -> Result<(), BenchError>,
    ) -> Result<Starts, BenchError> {
        let mut starts = Vec::new();
        for turn in 0..turns {
            eprintln!("{cache} start {} of {turns} …", turn + 1);
            self.broker.kill()?;
            prepare()?;
            starts.push(self.start()?);
        }
        let figure = |of: fn(&Start) -> f64| Figure::of(&starts.iter().map(of).collect::<Vec<_>>());
        let sum_up = || {
            Some(Starts {
                cache,
                seconds: figure(|start| start.seconds)?,
                cpu_seconds: figure(|start| start.cpu)?,
                resident_bytes: figure(|start| start.resident)?,
                peak_resident_bytes: figure(|start| start.peak)?,
            })
        };
        sum_up().ok_or_else(|| BenchError::Misuse("no start was measured".to_owned()))
    }

    /// Starts the broker, and looks whether the session that is let in has what was acknowledged for it.
    fn start(&mut self) -> Result<Start, BenchError> {
        let calls = Calls::new(self.broker.plain.clone())?;
        let client_id = client_id(self.next % self.filling.sessions);
        let is_fresh = self.next < self.filling.sessions;
        self.next += 1;
        let begin = clock::now();
        self.broker.start_again(self.layout)?;
        let mut caller = self.first_caller(&calls, &client_id)?;
        let seconds = begin.elapsed().as_secs_f64();
        let pid = self.broker.pid();
        let cpu = process::cpu_time(pid)?.secs();
        let resident = process::resident_bytes(pid)? as f64;
        let peak = process::peak_resident_bytes(pid)? as f64;
        let (came, due) = (caller.take_messages(QUIET, |_| ())?, self.filling.messages_each as u64);
        if is_fresh && came != due {
            let problem = format!("{client_id} has {came} messages after a crash instead of {due}");
            return Err(BenchError::broker("keyward", problem));
        }
        Ok(Start { seconds, cpu, resident, peak })
    }

    /// Knocks every millisecond until the client is let in.
    fn first_caller(&mut self, calls: &Calls, client_id: &str) -> Result<Caller, BenchError> {
        let begin = clock::now();
        loop {
            match calls.log_in(client_id, true) {
                Ok(caller) => return Ok(caller),
                Err(BenchError::Io { .. }) if begin.elapsed() < PATIENCE && !self.broker.has_ended() => {}
                Err(error) => return Err(error),
            }
            clock::rest(Duration::from_millis(1));
        }
    }
}

/// Lets the system forget what it knows of files, everybody's.
fn drop_caches() -> Result<(), BenchError> {
    // What is not on disk yet cannot be forgotten.
    Command::new("sync").status().map_err(BenchError::io("running sync"))?;
    let path = "/proc/sys/vm/drop_caches";
    #[expect(clippy::disallowed_methods, reason = "the kernel takes a number there, and keeps no file")]
    let written = std::fs::write(path, "3");
    written.map_err(BenchError::io(format!("writing {path} (only root may)")))
}

fn bytes_on_disk(path: &Path) -> Result<u64, BenchError> {
    let reading = || BenchError::io(format!("reading {}", path.display()));
    let meta = std::fs::symlink_metadata(path).map_err(reading())?;
    let mut bytes = meta.blocks() * 512;
    if meta.is_dir() {
        for entry in std::fs::read_dir(path).map_err(reading())? {
            bytes += bytes_on_disk(&entry.map_err(reading())?.path())?;
        }
    }
    Ok(bytes)
}

fn markdown(report: &Report) -> String {
    let mib = |bytes: f64| bytes / 1_048_576.0;
    let mut text = String::from(
        "| page cache | exec to CONNACK, s | CPU s | resident MiB afterwards | at most MiB |\n\
         | --- | ---: | ---: | ---: | ---: |\n",
    );
    for Starts { cache, seconds, cpu_seconds, resident_bytes, peak_resident_bytes } in &report.starts {
        let Figure { median, min, max } = seconds;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {cache} | {median:.2} ({min:.2}–{max:.2}) | {:.2} | {:.0} | {:.0} |",
            cpu_seconds.median,
            mib(resident_bytes.median),
            mib(peak_resident_bytes.median)
        );
    }
    let Report { about, sessions, messages, payload, filled_seconds, .. } = report;
    let _ = write!(
        text,
        "\nMedian (smallest–largest); {sessions} sessions, {messages} messages of {payload} bytes; {:.0} MiB on disk, \
         {:.0} MiB resident before the crash; filled in {filled_seconds:.0} s; all cores; {about}",
        mib(report.disk_bytes as f64),
        mib(report.resident_bytes_before as f64)
    );
    if let Some(problem) = &report.problem {
        let _ = write!(text, "\n\n- not measured cold: {problem}");
    }
    text
}
