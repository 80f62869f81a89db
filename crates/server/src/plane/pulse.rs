//! Feels whether the threads that clients depend on still do what they are for: doors, workers, the committer.
//!
//! A question goes through the same inbox as the work, so a loop that stands still somewhere does not answer it.

use crate::clock::{self, millis};
use crate::plane::committer::Committing;
use crate::plane::data_plane::{DataPlane, locked};
use crate::plane::door::DoorMessage;
use crate::plane::handover::WorkerMessage;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

/// Feels the pulse of one data plane. It asks each thread one question at a time.
pub struct Pulse {
    plane: Arc<DataPlane>,
    asked: Vec<Asked>,
}

/// Says what was felt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vitals {
    /// The threads that did not answer, by their names.
    pub silent: Vec<String>,
    /// How long the committer waits for the disk already, if that is longer than answers may take.
    pub disk: Option<Duration>,
}

struct Asked {
    who: Who,
    /// The answer to a question that was put and not answered yet.
    answer: Option<Receiver<()>>,
}

#[derive(Clone, Copy)]
enum Who {
    Door(usize),
    Worker(usize),
}

impl Pulse {
    /// Begins; asks nothing yet.
    pub fn of(plane: Arc<DataPlane>) -> Self {
        let doors = (0..plane.doors.len()).map(Who::Door);
        let workers = (0..plane.shared.workers.len()).map(Who::Worker);
        let asked = doors.chain(workers).map(|who| Asked { who, answer: None }).collect();
        Self { plane, asked }
    }

    /// Asks everybody, and waits at most `patience` for all of them together.
    pub fn feel(&mut self, patience: Duration) -> Vitals {
        for asked in &mut self.asked {
            // Who owes an answer is not asked again: questions must not pile up in an inbox that nobody empties.
            if asked.answer.is_none() {
                asked.answer = Some(asked.who.ask(&self.plane));
            }
        }
        let deadline = clock::now().mono.saturating_add(millis(patience));
        let mut vitals = Vitals::default();
        for asked in &mut self.asked {
            let left = Duration::from_millis(deadline.saturating_sub(clock::now().mono).0);
            match asked.answer.as_ref().map(|answer| answer.recv_timeout(left)) {
                Some(Ok(())) => asked.answer = None,
                _ => vitals.silent.push(asked.who.name()),
            }
        }
        match locked(&self.plane.committer).as_ref().map(|(desk, _)| desk.committing(millis(patience))) {
            Some(Committing::Silent) => vitals.silent.push("committer".to_owned()),
            Some(Committing::Writing(since)) => vitals.disk = Some(Duration::from_millis(since.0)),
            Some(Committing::Well) | None => {}
        }
        vitals
    }
}

impl Who {
    fn ask(self, plane: &DataPlane) -> Receiver<()> {
        let (answer, answers) = sync_channel(1);
        match self {
            Self::Door(index) => plane.doors[index].command(DoorMessage::Acknowledge(answer)),
            Self::Worker(index) => plane.shared.workers[index].command(WorkerMessage::Acknowledge(answer)),
        }
        answers
    }

    fn name(self) -> String {
        match self {
            Self::Door(index) => format!("door-{index}"),
            Self::Worker(index) => format!("worker-{index}"),
        }
    }
}
