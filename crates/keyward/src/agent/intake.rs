//! Takes lines from all sides, has them stored together, and answers each when it is durable.

use keyward_device::heartbeat::Event;
use keyward_device::line::{LINE_BYTES, Line};
use keyward_device::{Device, Reading};
use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Lines that wait to be stored. 256: what is stored with one sync, twice over.
const WAITING: usize = 256;

/// Readings that are stored with one sync at most.
const TOGETHER: usize = 128;

/// Bytes of readings that are stored with one sync at most: half of what the outbox takes at once.
const TOGETHER_BYTES: usize = 64 * 1_024;

/// How long the last word before a loss of power may take.
const LAST_WORD: Duration = Duration::from_secs(2);

/// How long the report of an opened device may take before its keys are destroyed.
const TAMPER_WORD: Duration = Duration::from_secs(3);

/// Is a reading on its way, with whoever is told what became of it.
pub(crate) struct Job {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) is_json: bool,
    pub(crate) retain: bool,
    pub(crate) answer: Box<dyn FnOnce(String) + Send>,
}

/// Makes the queue of readings.
pub(crate) fn queue() -> (SyncSender<Job>, Receiver<Job>) {
    sync_channel(WAITING)
}

/// Stores what comes until nobody can send any more: as many readings as there are with one sync.
pub(crate) fn store(device: &Device, jobs: &Receiver<Job>) {
    let mut held = None;
    while let Some(first) = held.take().or_else(|| jobs.recv().ok()) {
        let mut bytes = first.payload.len();
        let mut batch = vec![first];
        while batch.len() < TOGETHER {
            let Ok(next) = jobs.try_recv() else { break };
            bytes += next.payload.len();
            if bytes > TOGETHER_BYTES {
                held = Some(next);
                break;
            }
            batch.push(next);
        }
        store_batch(device, batch);
    }
}

fn store_batch(device: &Device, batch: Vec<Job>) {
    let readings: Vec<Reading<'_>> = batch.iter().map(reading).collect();
    match device.report(&readings) {
        Ok(first) => {
            for (id, job) in (first..).zip(batch) {
                (job.answer)(format!("ok {id}"));
            }
        }
        Err(error) if batch.len() == 1 => {
            batch.into_iter().for_each(|job| (job.answer)(format!("error {error}")));
        }
        // One of them is at fault: each for itself.
        Err(_) => batch.into_iter().for_each(|job| store_batch(device, vec![job])),
    }
}

fn reading(job: &Job) -> Reading<'_> {
    let format = job.is_json.then_some(keyward_envelope::Format::JSON);
    Reading { format, retain: job.retain, ..Reading::new(&job.topic, &job.payload) }
}

/// Reads a line of at most [`LINE_BYTES`] without its end; nothing at the end of the source.
pub(crate) fn next_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let most = u64::try_from(LINE_BYTES).unwrap_or(u64::MAX);
    let count = source.by_ref().take(most + 1).read_until(b'\n', line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if count > LINE_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the line is longer than 132 KiB"));
    }
    Ok(count > 0)
}

/// Does what a line says that is no reading; returns the answer.
pub(crate) fn obey_word(device: &Device, line: &Line) -> String {
    let told = |said: Result<bool, keyward_device::ReportError>| match said {
        Ok(true) => "ok the server has it".to_owned(),
        Ok(false) => "ok stored; the server does not have it yet".to_owned(),
        Err(error) => format!("error {error}"),
    };
    match line {
        Line::PowerLost => told(device.power_lost(LAST_WORD)),
        Line::Tamper(reason) => told(device.tamper(reason, TAMPER_WORD)),
        Line::Status => super::run::status_json(device).to_string(),
        Line::Commands | Line::Report { .. } => String::new(),
    }
}

/// Says a word of the device's own, for a trigger that is no line.
pub(crate) fn say(device: &Device, event: Event<'_>) -> String {
    match event {
        Event::PowerLost => obey_word(device, &Line::PowerLost),
        Event::Tamper(reason) => obey_word(device, &Line::Tamper(reason.to_owned())),
        Event::Heartbeat | Event::Destroyed(_) => String::new(),
    }
}
