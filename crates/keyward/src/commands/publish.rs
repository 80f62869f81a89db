//! `keyward pub`.

use crate::args::{Global, PubArgs};
use crate::commands::target;
use crate::failure::{Failure, Outcome};
use crate::screen::Screen;
use keyward_client::{Client, Publication};
use keyward_mqtt::packet::Qos;
use keyward_mqtt::reason::ReasonCode;
use keyward_server::escape::escape;
use std::io::{self, Read};
use std::path::Path;

/// The most bytes of a message that are read: what a packet of MQTT can carry.
const MESSAGE_BYTES: u64 = 268_435_455;

/// Publishes one message and returns when the broker has it.
pub(crate) fn run(screen: Screen, args: &PubArgs, global: &Global) -> Outcome {
    let from_stdin = args.message.is_none() && args.file.is_none();
    if from_stdin && args.connect.password_file.as_deref() == Some(Path::new("-")) {
        return Err(Failure::misuse("standard input cannot be both password and message; use -m or --file"));
    }
    let options = target::options(&args.connect, global)?;
    let payload = payload(args)?;
    let mut client = Client::connect(&options)?;
    let publication =
        Publication { retain: args.retain, ..Publication::new(&args.topic, &payload).qos(args.qos) };
    let reason = client.publish(&publication)?;
    client.disconnect()?;
    if screen.is_json() {
        let unheard = reason == ReasonCode::NoMatchingSubscribers;
        return screen
            .json("published", &serde_json::json!({ "topic": args.topic, "no_subscribers": unheard }));
    }
    screen.print(&format!("{}\n", told(&args.topic, args.qos, reason)))
}

fn told(topic: &str, qos: Qos, reason: ReasonCode) -> String {
    let topic = escape(topic);
    match (qos, reason) {
        (Qos::AtMostOnce, _) => format!("Sent to {topic}; with QoS 0 nobody confirms it."),
        (_, ReasonCode::NoMatchingSubscribers) => {
            format!("Published to {topic}; the broker has it, and nobody subscribes to it now.")
        }
        _ => format!("Published to {topic}; the broker has it."),
    }
}

fn payload(args: &PubArgs) -> Outcome<Vec<u8>> {
    if let Some(message) = &args.message {
        return Ok(message.clone().into_bytes());
    }
    match &args.file {
        Some(path) => {
            let file = std::fs::File::open(path).map_err(|error| Failure::file(path, &error))?;
            read_all(file).map_err(|error| Failure::file(path, &error))
        }
        None => read_all(io::stdin().lock())
            .map_err(|error| Failure::failed(format!("cannot read standard input: {error}"))),
    }
}

fn read_all(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MESSAGE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MESSAGE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a message has at most 268,435,455 bytes"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_nobody_hears_is_told_apart() {
        assert!(told("a", Qos::AtLeastOnce, ReasonCode::NoMatchingSubscribers).contains("nobody subscribes"));
        assert!(!told("a", Qos::AtLeastOnce, ReasonCode::Success).contains("nobody"));
        assert!(!told("a\u{1b}", Qos::AtMostOnce, ReasonCode::Success).contains('\u{1b}'));
    }
}
