//! Programs that are run again and again, and whose output is a reading.

use super::config::{Poll, of_device};
use super::intake::{Intake, Job};
use super::program;
use super::socket::spawn;
use crate::failure::Outcome;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};

/// Runs each on a thread of its own, until the program ends.
pub(crate) fn serve(
    polls: &[Poll],
    id: &str,
    intake: &Intake,
    log: &Arc<dyn Fn(&str) + Send + Sync>,
) -> Outcome {
    for poll in polls {
        let (poll, intake, log) = (poll.clone(), intake.clone(), Arc::clone(log));
        let topic = of_device(&poll.topic, id);
        spawn("poll", move || {
            // Nobody speaks on this: it is what waits for the next time.
            let (_never, time) = sync_channel::<()>(0);
            loop {
                once(&poll, &topic, &intake, &log);
                if time.recv_timeout(poll.every) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        })?;
    }
    Ok(())
}

fn once(poll: &Poll, topic: &str, intake: &Intake, log: &Arc<dyn Fn(&str) + Send + Sync>) {
    match program::run(&poll.run, b"", poll.timeout) {
        Ok(mut output) => {
            if output.last() == Some(&b'\n') {
                output.pop();
            }
            let (told, named) = (Arc::clone(log), topic.to_owned());
            let answer = Box::new(move |answer: String| {
                if let Some(problem) = answer.strip_prefix("error ") {
                    told(&format!("{named}: {problem}"));
                }
            });
            let job = Job { topic: topic.to_owned(), payload: output, is_json: false, retain: false, answer };
            // The program is ending.
            let _ = intake.report(job);
        }
        Err(problem) => log(&format!("{}: {problem}", poll.run[0])),
    }
}
