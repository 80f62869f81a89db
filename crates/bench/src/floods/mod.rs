//! Floods: the release broker is one process, the attacker another, and a paced client between them notices.
//!
//! Whatever else the machine does, the attacker included, takes processor time from the paced client too. So there is a
//! second broker that nobody floods, with a paced client of its own at the same time: the *control*. What is worse at
//! the flooded broker than there is the flood's doing.
//!
//! Each flood is a file of this folder with one `FLOOD`; to add one, write the file and put it into [`ALL`].

mod handshakes;
mod mixtures;
mod one_byte;
mod passwords;
mod random_topics;
mod retained;
mod scene;
mod shares;
mod slow_readers;
mod stalls;
mod subscriptions;
mod verdict;

use crate::NoWatch;
use crate::args::{AttackArguments, FloodArguments, seconds};
use crate::caller::Calls;
use crate::clock;
use crate::codec::Version;
use crate::error::BenchError;
use crate::files;
use crate::load::{self, Options, Outcome, Watcher};
use crate::process;
use crate::shape::Shape;
use crate::stage::{BENCH, Broker, Durability, Keyward, Layout, Running, User, password_of};
use scene::{Attacker, DESCRIPTORS, Scene, Tally};
use std::process::{Command, Stdio};
use std::time::Duration;
use verdict::{Observed, Report, Verdict};

/// Every flood, in the order in which they run.
const ALL: [Flood; 9] = [
    handshakes::FLOOD,
    passwords::FLOOD,
    slow_readers::FLOOD,
    one_byte::FLOOD,
    subscriptions::FLOOD,
    mixtures::FLOOD,
    retained::FLOOD,
    shares::FLOOD,
    random_topics::FLOOD,
];

/// Who floods, below topics of its own.
const ATTACKER: User = User { name: "attacker", topics: &["attack/#"], chosen: None };

/// Messages per second of the client that notices.
const PACE: f64 = 200.0;
/// How long the paced client runs before it is counted.
const SETTLE: Duration = Duration::from_millis(500);
/// How long each flood is with `--quick`.
const QUICK: Duration = Duration::from_millis(1_500);
/// How long the quiet time before it is then: it is only told.
const QUICK_QUIET: Duration = Duration::from_millis(500);
/// How often a flood is done whose only faults can be those of others on the machine: they can hit one paced client and
/// spare the other, or leave the attacker too little time to be an offender, but hardly each time. What the flood itself
/// does, and a name that the broker does not tell, it does each time.
const TRIES: usize = 3;
/// How long an attacker may take to end after its time is over.
const END: Duration = Duration::from_secs(15);

/// One flood, and what it must not do to the broker.
struct Flood {
    name: &'static str,
    what: &'static str,
    /// Bytes by which the broker may grow, and the limit that says so.
    may_grow: u64,
    because: &'static str,
    /// Words that stand together in a line of the broker's log: it names the offender.
    offender: &'static [&'static str],
    /// What the attacker must have done to be one; fewer excuse a missing name on a machine that is too busy.
    enough: u64,
    /// Floods until its time is over; everything else in it is bounded too.
    attack: fn(&Attacker) -> Result<Tally, BenchError>,
}

/// Runs the floods, and reports what they did as Markdown or JSON.
///
/// # Errors
/// A broker that does not start; a flood that hurts is no error here but in the report.
pub(crate) fn run(arguments: &FloodArguments) -> Result<Report, BenchError> {
    let only = arguments.only.as_deref().unwrap_or_default();
    let floods: Vec<&Flood> = ALL.iter().filter(|flood| flood.name.contains(only)).collect();
    if floods.is_empty() {
        let names: Vec<&str> = ALL.iter().map(|flood| flood.name).collect();
        return Err(BenchError::Misuse(format!(
            "no flood's name holds {only:?}; there are {}",
            names.join(", ")
        )));
    }
    let descriptors = process::raise_descriptors(DESCRIPTORS);
    let control = broker(&[BENCH], arguments)?;
    let stick = match only {
        "" => Some(try_once(&stalls::FLOOD, &control, arguments)?),
        _ => None,
    };
    let verdicts =
        floods.into_iter().map(|flood| endure(flood, &control, arguments)).collect::<Result<Vec<_>, _>>()?;
    Ok(Report::new(&verdicts, stick.as_ref(), descriptors, arguments.json))
}

/// Does a flood, again if nothing is wrong that a busy machine could not have done, and returns the best try.
fn endure(flood: &Flood, control: &Broker, arguments: &FloodArguments) -> Result<Verdict, BenchError> {
    let mut best = try_once(flood, control, arguments)?;
    for _ in 1..TRIES {
        if !best.is_for_another_try() {
            break;
        }
        let next = try_once(flood, control, arguments)?;
        if !next.is_for_another_try() || next.is_better_than(&best) {
            best = next;
        }
    }
    Ok(best)
}

/// Does one flood against a fresh broker with the bounds that it is shipped with.
fn try_once(flood: &Flood, control: &Broker, arguments: &FloodArguments) -> Result<Verdict, BenchError> {
    let whole = seconds(arguments.seconds);
    let (length, before) = if arguments.quick { (QUICK, QUICK_QUIET) } else { (whole, whole) };
    // To add a user with a chosen password takes 19 MiB once, which would hide what other floods take.
    let all = [BENCH, ATTACKER, passwords::GUESSED];
    let users = if flood.name == passwords::FLOOD.name { &all[..] } else { &all[..2] };
    let broker = broker(users, arguments)?;
    let quiet = paced(&broker, before, &mut NoWatch)?;
    let before = process::resident_bytes(broker.pid())?;
    let logged = broker.log().len();
    let mut onset = Onset { flood, broker: &broker, length, attacker: None };
    let (flooded, beside) = std::thread::scope(|scope| {
        let beside = scope.spawn(|| paced(control, length, &mut NoWatch));
        let flooded = paced(&broker, length, &mut onset);
        (flooded, beside.join())
    });
    let beside = beside.map_err(|_| BenchError::broker("control", "its client panicked"))??;
    let tally = match &mut onset.attacker {
        Some(attacker) => finish(attacker)?,
        None => {
            return Err(BenchError::broker("keyward", "it did not serve the paced client before the flood"));
        }
    };
    // Who comes after the flood is let in by a broker that is alive.
    let afterwards = Calls::new(broker.tls.clone())?.log_in("afterwards", false);
    let log = broker.log();
    let observed = Observed {
        quiet,
        beside,
        flooded,
        tally,
        grown_bytes: process::peak_resident_bytes(broker.pid())?.saturating_sub(before),
        named: offender_line(flood.offender, log.get(logged..).unwrap_or_default()),
        afterwards: afterwards.map(drop),
    };
    Ok(Verdict::new(flood, observed))
}

/// Starts a broker with the bounds that it is shipped with. Nothing is on disk: what floods do to work in memory is asked,
/// and a disk that others write to would answer.
fn broker(users: &[User], arguments: &FloodArguments) -> Result<Broker, BenchError> {
    let (program, durability) = (arguments.keyward.as_deref(), Durability::Memory);
    Keyward { program, shards: None, limits: "", users, durability, dumpable: false }
        .start(&Layout::new(false))
}

/// Begins the flood when the paced client has logged in and is counted.
struct Onset<'a> {
    flood: &'a Flood,
    broker: &'a Broker,
    length: Duration,
    attacker: Option<Running>,
}

impl Watcher for Onset<'_> {
    fn opened(&mut self) -> Result<(), BenchError> {
        self.attacker = Some(start(self)?);
        Ok(())
    }

    fn closed(&mut self) -> Result<(), BenchError> {
        Ok(())
    }
}

/// The client that notices: it reads what it publishes itself, at QoS 1 over TLS.
pub(crate) fn paced(
    broker: &Broker,
    length: Duration,
    watcher: &mut dyn Watcher,
) -> Result<Outcome, BenchError> {
    let options = Options {
        version: Version::V311,
        shape: Shape::Echo,
        clients: 1,
        qos: 1,
        window: 200,
        rate: Some(PACE),
        warm_up: SETTLE,
        length,
        ..Options::default()
    };
    load::run(&broker.tls, &options, watcher)
}

/// Starts the attacker: this program again.
fn start(onset: &Onset<'_>) -> Result<Running, BenchError> {
    let Onset { flood, broker, length, .. } = onset;
    let scene = Scene::new(broker, ATTACKER.name, password_of(broker, ATTACKER.name)?);
    let file = files::write_new(&broker.folder().join("scene"), &serde_json::json!(scene).to_string())?;
    let program = std::env::current_exe().map_err(BenchError::io("asking for the own program"))?;
    Command::new(program)
        .args(["attack", flood.name, "--seconds", &length.as_secs_f64().to_string(), "--scene"])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map(Running)
        .map_err(BenchError::io("starting the attacker"))
}

/// Waits for the attacker's end and reads what it did.
fn finish(attacker: &mut Running) -> Result<Tally, BenchError> {
    let ended = clock::until(END, || attacker.0.try_wait().ok().flatten());
    let said = attacker.0.stdout.take().filter(|_| ended.is_some()).map(std::io::read_to_string);
    let said = said.transpose().map_err(BenchError::io("reading what the attacker did"))?.unwrap_or_default();
    serde_json::from_str(&said)
        .map_err(|_| BenchError::broker("attacker", format!("it did not end as it should: {said:?}")))
}

/// Returns the first line that holds all words.
fn offender_line(words: &[&str], log: &str) -> Option<String> {
    log.lines().find(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned)
}

/// Plays the attacker: what the process does that [`run`] starts.
///
/// # Errors
/// A scene that cannot be read, or a broker that does not let the attacker begin.
pub(crate) fn attack(arguments: &AttackArguments) -> Result<String, BenchError> {
    let flood = ALL.iter().chain([&stalls::FLOOD]).find(|flood| flood.name == arguments.name);
    let flood = flood.ok_or_else(|| BenchError::Misuse(format!("there is no flood {:?}", arguments.name)))?;
    // On one machine the attacker takes processor time from the broker and the client that notices; a real one does
    // not. It gets what the others leave.
    rustix::process::nice(19)
        .map_err(|error| BenchError::Io { doing: "giving way to others".to_owned(), source: error.into() })?;
    let attacker = Attacker::new(Scene::read(&arguments.scene)?, seconds(arguments.seconds))?;
    Ok(serde_json::json!((flood.attack)(&attacker)?).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offender_is_named_only_by_a_line_with_all_words() {
        let log = "WARN user:bench is slow\nWARN user:attacker sends single bytes\n";
        assert_eq!(
            offender_line(&["attacker", "single"], log).unwrap(),
            "WARN user:attacker sends single bytes"
        );
        assert_eq!(offender_line(&["attacker", "slow"], log), None);
    }

    #[test]
    fn no_two_floods_have_one_name() {
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|flood| flood.name).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
