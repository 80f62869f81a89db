//! What is left of acknowledged messages after `kill -9`: what a crash of the process takes. What the system has not
//! given to the disk yet survives it, so a loss of power takes more of those that do not sync.

use super::contender::{CLIENTS, Contender, Programs, reader, topic};
use crate::caller::{Caller, Calls};
use crate::error::BenchError;
use crate::stage::{Broker, Layout};
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::Duration;

/// Messages in one write: below the receive maximum that Keyward announces.
const BATCH: usize = 100;
/// Bytes of a payload, which begins with the message's number.
const PAYLOAD: usize = 64;
/// How long a reader waits for one more message, each time that it is its turn.
const QUIET: Duration = Duration::from_millis(20);

/// What a crash took.
#[derive(Debug, Serialize)]
pub(super) struct Crash {
    name: &'static str,
    acknowledged: usize,
    pub(super) lost: usize,
}

impl Crash {
    /// Returns the cells of its line.
    pub(super) fn cells(&self) -> [String; 3] {
        [self.name.to_owned(), self.acknowledged.to_string(), self.lost.to_string()]
    }
}

/// Publishes so many messages, kills the broker as soon as the last is acknowledged, starts it again and reads.
pub(super) fn crash(
    contender: Contender,
    programs: Programs<'_>,
    count: usize,
    layout: &Layout,
) -> Result<Crash, BenchError> {
    let mut broker = contender.start(programs, layout)?;
    publish(&broker, count)?;
    broker.kill()?;
    broker.start_again(layout)?;
    broker.await_listeners()?;
    let found = read_back(&broker)?;
    let lost = (0..count as u32).filter(|number| !found.contains(number)).count();
    Ok(Crash { name: contender.name(), acknowledged: count, lost })
}

fn publish(broker: &Broker, count: usize) -> Result<(), BenchError> {
    let mut writer = Calls::new(broker.plain.clone())?.log_in("writer", false)?;
    let topics: Vec<String> = (0..CLIENTS).map(topic).collect();
    let numbers: Vec<u32> = (0..count as u32).collect();
    for batch in numbers.chunks(BATCH) {
        let payloads: Vec<[u8; PAYLOAD]> = batch.iter().map(|number| payload(*number)).collect();
        let messages = batch.iter().zip(&payloads);
        let messages = messages
            .map(|(number, payload)| (topics[*number as usize % CLIENTS].as_str(), payload.as_slice()));
        let refused = writer.publish_each(messages, false)?;
        if refused > 0 {
            return Err(BenchError::broker(broker.name, format!("it refused {refused} messages")));
        }
    }
    Ok(())
}

fn payload(number: u32) -> [u8; PAYLOAD] {
    let mut payload = [b'x'; PAYLOAD];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    payload
}

/// Lets all readers come back and take what there is, until none of them gets anything any more.
fn read_back(broker: &Broker) -> Result<BTreeSet<u32>, BenchError> {
    let calls = Calls::new(broker.plain.clone())?;
    let mut readers =
        (0..CLIENTS).map(|number| calls.log_in(&reader(number), true)).collect::<Result<Vec<Caller>, _>>()?;
    let mut found = BTreeSet::new();
    loop {
        let mut came = 0;
        for reader in &mut readers {
            came += reader.take_messages(QUIET, |payload| {
                found.extend(payload.first_chunk().map(|number| u32::from_be_bytes(*number)));
            })?;
        }
        if came == 0 {
            return Ok(found);
        }
    }
}
