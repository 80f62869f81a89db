//! What the watch over devices costs: the same devices say the same to a broker that watches them and to one that does not, in turns.
//!
//! The devices send readings in JSON as fast as they are acknowledged, each over a link of its own with TLS. Broker and generator share the machine,
//! so that processor time that the watch takes is missing to both.

use crate::args::WatchedArguments;
use crate::args::seconds;
use crate::caller::Calls;
use crate::clock;
use crate::error::BenchError;
use crate::load::Access;
use crate::process;
use crate::stage::{BENCH, Broker, Durability, Keyward, Layout};
use serde::Serialize;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Devices, each over a link of its own.
const DEVICES: usize = 8;
/// Messages that a device has under way.
const BATCH: usize = 50;

/// Without bounds of the rate; `[limits]` is followed by the section of the watch.
const WATCHED: &str = "publish_rate = 0\npublish_bytes_rate = 0\n\n[watch]\nenabled = true\n";
const UNWATCHED: &str = "publish_rate = 0\npublish_bytes_rate = 0\n\n[watch]\nenabled = false\n";

/// What one broker did in one turn.
#[derive(Debug, Clone, Copy, Serialize)]
struct Turn {
    messages_per_second: f64,
    /// Processor time of the broker for each message.
    broker_us_each: f64,
}

/// What both did in one round, the order changing from round to round.
#[derive(Debug, Serialize)]
struct Round {
    unwatched: Turn,
    watched: Turn,
    /// Of what is done without the watch so much is done with it.
    share: f64,
}

/// Runs the rounds and tells what each did, and the median.
///
/// # Errors
/// A broker that does not start or takes no message.
pub(crate) fn run(arguments: &WatchedArguments) -> Result<String, BenchError> {
    let length = seconds(arguments.seconds);
    let program = arguments.keyward.as_deref();
    let (unwatched, watched) = (start(program, UNWATCHED)?, start(program, WATCHED)?);
    let mut rounds = Vec::new();
    for number in 0..arguments.rounds {
        let turn = |(devices, broker): &(Vec<Device>, Broker)| send(broker, devices, length);
        let (unwatched, watched) = if number % 2 == 0 {
            let first = turn(&unwatched)?;
            (first, turn(&watched)?)
        } else {
            let first = turn(&watched)?;
            (turn(&unwatched)?, first)
        };
        let share = watched.messages_per_second / unwatched.messages_per_second;
        rounds.push(Round { unwatched, watched, share });
    }
    let mut shares: Vec<f64> = rounds.iter().map(|round| round.share).collect();
    shares.sort_by(f64::total_cmp);
    let median = shares.get(shares.len() / 2).copied().unwrap_or_default();
    if arguments.json {
        return Ok(serde_json::json!({ "schema": 1, "rounds": rounds, "median_share": median }).to_string());
    }
    let line = |round: &Round| {
        let Round { unwatched, watched, share } = round;
        format!(
            "| {:.0} | {:.0} | {share:.3} | {:.1} | {:.1} |\n",
            unwatched.messages_per_second,
            watched.messages_per_second,
            unwatched.broker_us_each,
            watched.broker_us_each
        )
    };
    let lines: String = rounds.iter().map(line).collect();
    Ok(format!(
        "| messages a second, without the watch | with it | share | broker's µs each, without | with it |\n\
         |--:|--:|--:|--:|--:|\n{lines}\nMedian share: {median:.3}"
    ))
}

/// Starts a broker with these bounds, and its devices.
fn start(program: Option<&Path>, limits: &'static str) -> Result<(Vec<Device>, Broker), BenchError> {
    let (users, durability) = (&[BENCH][..], Durability::Memory);
    let broker = Keyward { program, shards: None, limits, users, durability, dumpable: false }
        .start(&Layout::new(false))?;
    let devices = (0..DEVICES).map(|number| enrol(&broker, &format!("meter{number}")));
    let devices = devices.collect::<Result<_, BenchError>>()?;
    Ok((devices, broker))
}

/// A device that says what a thermometer says.
struct Device {
    name: String,
    calls: Calls,
}

fn enrol(broker: &Broker, name: &str) -> Result<Device, BenchError> {
    let out = broker.folder().join(name).display().to_string();
    let added = broker.operate(&["device", "add", name, "--password", "--out", &out])?;
    let password = added["device_added"]["password"].as_str().unwrap_or_default().to_owned();
    let login = Some((name.to_owned(), password));
    Ok(Device { name: name.to_owned(), calls: Calls::new(Access { login, ..broker.tls.clone() })? })
}

/// Has all devices send for so long.
fn send(broker: &Broker, devices: &[Device], length: Duration) -> Result<Turn, BenchError> {
    let begin = process::cpu_time(broker.pid())?;
    let began = clock::now();
    let sent = thread::scope(|scope| {
        let senders: Vec<_> = devices.iter().map(|device| scope.spawn(move || device.send(length))).collect();
        senders.into_iter().map(|sender| sender.join()).collect::<Vec<_>>()
    });
    let mut messages = 0;
    for sent in sent {
        messages += sent.map_err(|_| BenchError::broker("generator", "a device panicked"))??;
    }
    let passed = clock::now() - began;
    let used = process::cpu_time(broker.pid())? - begin;
    Ok(Turn {
        messages_per_second: messages as f64 / passed.as_secs_f64(),
        broker_us_each: used.secs() * 1e6 / messages.max(1) as f64,
    })
}

impl Device {
    /// Sends readings, a batch when that before is acknowledged, and returns how many.
    fn send(&self, length: Duration) -> Result<u64, BenchError> {
        let topic = format!("{}/status", self.name);
        let mut link = self.calls.log_in(&self.name, false)?;
        let until = clock::now() + length;
        let mut sent: u64 = 0;
        while clock::now() < until {
            let readings: Vec<String> = (0..BATCH as u64)
                .map(|number| {
                    let wobble = (sent + number).wrapping_mul(2_654_435_761) % 1_000;
                    format!(r#"{{"temperature":2{}.{:03},"humidity":4{}}}"#, wobble % 7, wobble, wobble % 10)
                })
                .collect();
            let each = readings.iter().map(|reading| (topic.as_str(), reading.as_bytes()));
            let refused = link.publish_each(each, false)?;
            if refused > 0 {
                return Err(BenchError::broker(
                    "keyward",
                    format!("it refused {refused} readings of a device"),
                ));
            }
            sent += BATCH as u64;
        }
        Ok(sent)
    }
}
