//! No flood, but the proof that one would be seen: a broker that stands still again and again must not pass for one that
//! serves its clients.

use super::Flood;
use super::scene::{Attacker, Tally};
use crate::clock;
use crate::error::BenchError;
use rustix::process::{Pid, Signal, kill_process};
use std::time::Duration;

pub(super) const FLOOD: Flood = Flood {
    name: "stalls",
    what: "the broker's process is stopped for 120 ms, three times a second; counted are stops",
    may_grow: 64 * 1024 * 1024,
    because: "nothing",
    offender: &[],
    enough: 0,
    attack,
};

const STOPPED: Duration = Duration::from_millis(120);
const RUNNING: Duration = Duration::from_millis(200);

fn attack(attacker: &Attacker) -> Result<Tally, BenchError> {
    let broker = i32::try_from(attacker.broker).ok().and_then(Pid::from_raw);
    let broker = broker.ok_or_else(|| BenchError::Misuse("the broker has no process".to_owned()))?;
    let signal = |signal, doing: &str| {
        kill_process(broker, signal)
            .map_err(|error| BenchError::Io { doing: doing.to_owned(), source: error.into() })
    };
    let mut tally = Tally::default();
    while attacker.has_time() {
        signal(Signal::STOP, "stopping the broker")?;
        clock::rest(STOPPED);
        signal(Signal::CONT, "letting the broker go on")?;
        clock::rest(RUNNING);
        tally.done += 1;
    }
    Ok(tally)
}
