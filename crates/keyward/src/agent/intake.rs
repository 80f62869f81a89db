//! Takes lines from all sides, has them stored together, and answers each when it is durable.

use super::answers::Answers;
use crate::clock;
use keyward_device::heartbeat::Event;
use keyward_device::line::{LINE_BYTES, Line};
use keyward_device::{Batch, Batches, Device, Put, Reading};
use keyward_envelope::Format;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Lines that wait to be stored. 256: what is stored with one sync, twice over.
const WAITING: usize = 256;

/// Messages that are stored with one sync at most.
const TOGETHER: usize = 128;

/// Bytes of messages that are stored with one sync at most: half of what the outbox takes at once.
const TOGETHER_BYTES: usize = 64 * 1_024;

/// How long the last word before a loss of power may take.
const LAST_WORD: Duration = Duration::from_secs(2);

/// How long the report of an opened device may take before its keys are destroyed.
const TAMPER_WORD: Duration = Duration::from_secs(3);

/// Tells whoever gave a reading what became of it.
pub(crate) type Answer = Box<dyn FnOnce(String) + Send>;

/// Is a reading on its way, with whoever is told what became of it.
pub(crate) struct Job {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) is_json: bool,
    pub(crate) retain: bool,
    pub(crate) answer: Answer,
}

/// Is what is asked of the thread that stores.
enum Work {
    Store(Job),
    /// Batches are closed though they are not full; whoever asked is told when they are stored.
    Close(Option<SyncSender<()>>),
}

/// Is where readings and words of the device's programs go. All copies go to the same place.
#[derive(Clone)]
pub(crate) struct Intake {
    pub(crate) device: Arc<Device>,
    works: SyncSender<Work>,
}

/// Is the end at which readings are stored.
pub(crate) struct Storing {
    device: Arc<Device>,
    works: Receiver<Work>,
    batches: Batches<Answer>,
}

/// Makes the two ends.
pub(crate) fn of(device: &Arc<Device>, batches: Batches<Answer>) -> (Intake, Storing) {
    let (to, works) = sync_channel(WAITING);
    let device = Arc::clone(device);
    (Intake { device: Arc::clone(&device), works: to }, Storing { device, works, batches })
}

impl Intake {
    /// Hears a program to its end: its readings are handed over, its other lines are answered.
    pub(crate) fn hear(&self, source: impl Read, answers: &Arc<Answers>) {
        let (mut source, mut line) = (BufReader::new(source), Vec::new());
        loop {
            match next_line(&mut source, &mut line) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return answers.place().answer(format!("error {error}")),
            }
            let place = answers.place();
            match Line::read(&line) {
                Ok(Line::Report { topic, payload, is_json, retain }) => {
                    let answer = Box::new(move |text: String| place.answer(text));
                    if !self.report(Job { topic, payload, is_json, retain, answer }) {
                        return;
                    }
                }
                Ok(Line::Commands) => {
                    answers.listen();
                    place.answer("ok".to_owned());
                }
                Ok(word) => place.answer(self.obey_word(&word)),
                Err(error) => place.answer(format!("error {error}")),
            }
        }
    }

    /// Hands a reading over; false if the program is ending, and nobody will answer.
    pub(crate) fn report(&self, job: Job) -> bool {
        self.works.send(Work::Store(job)).is_ok()
    }

    /// Has all that was handed over stored now, and waits for that so long.
    pub(crate) fn close(&self, within: Duration) {
        let (stored, is_stored) = sync_channel(1);
        if self.works.send(Work::Close(Some(stored))).is_ok() {
            // Whoever said what is not stored by then has no acknowledgement.
            let _ = is_stored.recv_timeout(within);
        }
    }

    /// Does what a line says that is no reading; returns the answer.
    pub(crate) fn obey_word(&self, line: &Line) -> String {
        let told = |said: Result<bool, keyward_device::ReportError>| match said {
            Ok(true) => "ok the server has it".to_owned(),
            Ok(false) => "ok stored; the server does not have it yet".to_owned(),
            Err(error) => format!("error {error}"),
        };
        if matches!(line, Line::PowerLost | Line::Tamper(_)) {
            // What is gathered may not wait for more. If the queue is full it is being stored anyway.
            let _ = self.works.try_send(Work::Close(None));
        }
        match line {
            Line::PowerLost => told(self.device.power_lost(LAST_WORD)),
            Line::Tamper(reason) => told(self.device.tamper(reason, TAMPER_WORD)),
            Line::Status => super::run::status_json(&self.device).to_string(),
            Line::Commands | Line::Report { .. } => String::new(),
        }
    }

    /// Says a word of the device's own, for a trigger that is no line.
    pub(crate) fn say(&self, event: Event<'_>) -> String {
        match event {
            Event::PowerLost => self.obey_word(&Line::PowerLost),
            Event::Tamper(reason) => self.obey_word(&Line::Tamper(reason.to_owned())),
            Event::Heartbeat | Event::Destroyed(_) => String::new(),
        }
    }
}

/// Is one message that is to be stored, with all who wait for it.
struct Ready {
    topic: String,
    payload: Vec<u8>,
    format: Option<Format>,
    retain: bool,
    answers: Vec<Answer>,
}

impl From<Batch<Answer>> for Ready {
    fn from(batch: Batch<Answer>) -> Self {
        let Batch { topic, retain, payload, tickets } = batch;
        Self { topic, payload, format: Some(Format::CBOR), retain, answers: tickets }
    }
}

impl Storing {
    /// Stores what comes until nobody can send any more: as many messages as there are with one sync.
    pub(crate) fn serve(mut self) {
        loop {
            let first = match self.batches.due() {
                Some(due) => self.works.recv_timeout(due.saturating_duration_since(clock::now())),
                None => self.works.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let (mut ready, mut closers) = (Vec::new(), Vec::<SyncSender<()>>::new());
            let (mut count, mut bytes) = (0, 0);
            let is_end = matches!(first, Err(RecvTimeoutError::Disconnected));
            let mut next = first.ok();
            while let Some(work) = next.take() {
                count += 1;
                let known = ready.len();
                self.take(work, &mut ready, &mut closers);
                bytes += ready[known..].iter().map(|one| one.payload.len()).sum::<usize>();
                if count < TOGETHER && bytes < TOGETHER_BYTES {
                    next = self.works.try_recv().ok();
                }
            }
            let due = if is_end { self.batches.take_all() } else { self.batches.take_due(clock::now()) };
            ready.extend(due.into_iter().map(Ready::from));
            store(&self.device, ready);
            // Whoever asked may have stopped waiting.
            for closer in closers {
                let _ = closer.send(());
            }
            if is_end {
                return;
            }
        }
    }

    fn take(&mut self, work: Work, ready: &mut Vec<Ready>, closers: &mut Vec<SyncSender<()>>) {
        match work {
            Work::Store(Job { topic, payload, is_json, retain, answer }) => {
                match self.batches.put(clock::now(), &topic, retain, &payload, answer) {
                    Put::Gathered(closed) => ready.extend(closed.into_iter().map(Ready::from)),
                    Put::Alone(answer) => {
                        let format = is_json.then_some(Format::JSON);
                        ready.push(Ready { topic, payload, format, retain, answers: vec![answer] });
                    }
                }
            }
            Work::Close(closer) => {
                ready.extend(self.batches.take_all().into_iter().map(Ready::from));
                closers.extend(closer);
            }
        }
    }
}

/// Stores messages in their order, as many with one sync as the outbox takes at once.
fn store(device: &Device, ready: Vec<Ready>) {
    let (mut together, mut bytes) = (Vec::new(), 0);
    for one in ready {
        if together.len() >= TOGETHER || bytes + one.payload.len() > TOGETHER_BYTES {
            store_together(device, std::mem::take(&mut together));
            bytes = 0;
        }
        bytes += one.payload.len();
        together.push(one);
    }
    store_together(device, together);
}

fn store_together(device: &Device, together: Vec<Ready>) {
    if together.is_empty() {
        return;
    }
    let readings: Vec<Reading<'_>> = together.iter().map(reading).collect();
    let tell = |one: Ready, text: String| one.answers.into_iter().for_each(|answer| answer(text.clone()));
    match device.report(&readings) {
        Ok(first) => (first..).zip(together).for_each(|(id, one)| tell(one, format!("ok {id}"))),
        Err(error) if together.len() == 1 => {
            together.into_iter().for_each(|one| tell(one, format!("error {error}")));
        }
        // One of them is at fault: each for itself.
        Err(_) => together.into_iter().for_each(|one| store_together(device, vec![one])),
    }
}

fn reading(one: &Ready) -> Reading<'_> {
    Reading { format: one.format, retain: one.retain, ..Reading::new(&one.topic, &one.payload) }
}

/// Reads a line of at most [`LINE_BYTES`] without its end; nothing at the end of the source. Half a line, of a program that died, is an error and no line.
pub(crate) fn next_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let most = u64::try_from(LINE_BYTES).unwrap_or(u64::MAX);
    let count = source.by_ref().take(most + 1).read_until(b'\n', line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(true);
    }
    match count {
        0 => Ok(false),
        1..=LINE_BYTES => {
            let problem = "the line was cut off, and is not taken: a line ends with a line feed";
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, problem))
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the line is longer than 132 KiB")),
    }
}
