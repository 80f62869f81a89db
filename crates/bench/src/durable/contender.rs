//! Who is compared in keeping messages, and the sessions that the messages are for.

use crate::caller::Calls;
use crate::error::BenchError;
use crate::stage::{self, Broker, Durability, Keyward, Layout, Persistence, WIDE};
use std::path::Path;

/// Publishers, and as many stored sessions.
pub(super) const CLIENTS: usize = 100;

/// Bounds that queues of a measurement would meet, out of their way: nothing may be dropped.
const ROOMY: &str = "\
memory_total = \"16 GiB\"
queue_messages = 100000000
queue_messages_per_identity = 100000000
queue_bytes = \"16 GiB\"
queue_bytes_per_identity = \"16 GiB\"
";

/// A broker with what it does for a message before it acknowledges it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Contender {
    Keyward(Durability),
    Mosquitto(Persistence),
}

/// Where the programs are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Programs<'a> {
    pub(super) keyward: Option<&'a Path>,
    pub(super) shards: usize,
    pub(super) mosquitto: Option<&'a Path>,
}

impl Contender {
    /// Returns all, those with a promise first.
    pub(super) fn all(with_mosquitto: bool) -> Vec<Self> {
        let keyward = [Durability::Synced, Durability::Os, Durability::Memory].map(Self::Keyward);
        let mosquitto = [Persistence::EachSecond, Persistence::EachChange].map(Self::Mosquitto);
        keyward.into_iter().chain(mosquitto.into_iter().filter(|_| with_mosquitto)).collect()
    }

    /// Returns what it is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Keyward(Durability::Synced) => "keyward synced",
            Self::Keyward(Durability::Os) => "keyward os",
            Self::Keyward(Durability::Memory) => "keyward memory",
            Self::Mosquitto(Persistence::None) => "mosquitto",
            Self::Mosquitto(Persistence::EachSecond) => "mosquitto, saves each second",
            Self::Mosquitto(Persistence::EachChange) => "mosquitto, saves on changes",
        }
    }

    /// Starts it, with nothing stored but the sessions.
    pub(super) fn start(self, programs: Programs<'_>, layout: &Layout) -> Result<Broker, BenchError> {
        let mut broker = match self {
            Self::Keyward(durability) => {
                let keyward = Keyward::measured(programs.keyward, programs.shards);
                // Dumpable, or the system tells only root what the process writes.
                Keyward { limits: &[WIDE, ROOMY].concat(), durability, dumpable: true, ..keyward }
                    .start(layout)?
            }
            Self::Mosquitto(persistence) => stage::mosquitto(programs.mosquitto, persistence, layout)?,
        };
        broker.name = self.name();
        let calls = Calls::new(broker.plain.clone())?;
        for number in 0..CLIENTS {
            let mut reader = calls.log_in(&reader(number), true)?;
            reader.subscribe([topic(number).as_str()], 1)?;
            reader.leave()?;
        }
        Ok(broker)
    }
}

/// Returns the client id of a reader.
pub(super) fn reader(number: usize) -> String {
    format!("absent{number}")
}

/// Returns the topic of a publisher and of its reader: that of the load.
pub(super) fn topic(number: usize) -> String {
    format!("bench/load/{number}")
}
