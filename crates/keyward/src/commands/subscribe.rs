//! `keyward sub`.

use crate::args::{Global, SubArgs};
use crate::clock;
use crate::commands::target;
use crate::failure::{Failure, Outcome};
use crate::screen::Screen;
use base64ct::{Base64, Encoding};
use keyward_client::{Client, Message};
use keyward_mqtt::packet::SubscribeOptions;
use keyward_mqtt::reason::ReasonCode;
use keyward_server::escape::{escape, escape_bytes};
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::time::Duration;

/// How long one wait for a message lasts; then the next begins.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Subscribes and prints what arrives, until the count is reached or the link ends.
pub(crate) fn run(screen: Screen, args: &SubArgs, global: &Global) -> Outcome {
    let mut client = Client::connect(&target::options(&args.connect, global)?)?;
    ask(&mut client, args)?;
    let deadline = args.wait.map(|seconds| clock::now() + Duration::from_secs(seconds));
    let mut left = args.count;
    while left != Some(0) {
        let within = deadline.map_or(PATIENCE, |at| at.saturating_duration_since(clock::now()));
        match client.next_message(within)? {
            Some(message) => {
                print(screen, &message, args.raw)?;
                left = left.map(|left| left - 1);
            }
            None if deadline.is_some_and(|at| at <= clock::now()) => return ran_out(client, left),
            None => {}
        }
    }
    Ok(client.disconnect()?)
}

fn ask(client: &mut Client, args: &SubArgs) -> Outcome {
    let options = SubscribeOptions { qos: args.qos, ..SubscribeOptions::default() };
    let filters: Vec<_> = args.topics.iter().map(|topic| (topic.as_str(), options)).collect();
    let codes = client.subscribe_all(&filters, None)?;
    let mut granted = Vec::new();
    for (filter, code) in args.topics.iter().zip(&codes) {
        if code.is_failure() {
            say(&format!("{}: {}", escape(filter), refusal(*code)));
        } else {
            granted.push(escape(filter));
        }
    }
    if granted.is_empty() {
        let code = codes.first().copied().unwrap_or(ReasonCode::UnspecifiedError);
        return Err(Failure::refused("refused", format!("no subscription was granted: {}", refusal(code))));
    }
    say(&format!("Subscribed to {}; Ctrl-C ends.", granted.join(", ")));
    Ok(())
}

fn refusal(code: ReasonCode) -> String {
    format!("{} (0x{:02X}); `keyward denials` on the broker names the rule", code.as_str(), code as u8)
}

/// Speaks beside the messages.
fn say(line: &str) {
    // A closed standard error is no reason to stop.
    drop(writeln!(io::stderr(), "{line}"));
}

fn ran_out(client: Client, left: Option<u64>) -> Outcome {
    client.disconnect()?;
    match left {
        None => Ok(()),
        Some(left) => Err(Failure::failed(format!("{left} of the messages did not come in time"))),
    }
}

fn print(screen: Screen, message: &Message, raw: bool) -> Outcome {
    if raw {
        let mut out = io::stdout().lock();
        return out.write_all(&message.payload).and_then(|()| out.flush()).map_err(|e| Failure::output(&e));
    }
    if screen.is_json() {
        return screen.json("message", &exact(message));
    }
    screen.print(&format!("{} {}\n", escape(&message.topic), escape_bytes(&message.payload)))
}

/// Turns a message into JSON that loses nothing: the payload is text if it is UTF-8, else base64.
fn exact(message: &Message) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("topic", message.topic.clone().into());
    match std::str::from_utf8(&message.payload) {
        Ok(text) => put("payload", text.into()),
        Err(_) => put("payload_base64", Base64::encode_string(&message.payload).into()),
    };
    put("qos", (message.qos as u8).into());
    put("retain", message.retain.into());
    put("dup", message.dup.into());
    if let Some(seconds) = message.message_expiry {
        put("message_expiry_s", seconds.into());
    }
    if let Some(kind) = &message.content_type {
        put("content_type", kind.clone().into());
    }
    if let Some(topic) = &message.response_topic {
        put("response_topic", topic.clone().into());
    }
    if let Some(data) = &message.correlation_data {
        put("correlation_data_base64", Base64::encode_string(data).into());
    }
    if !message.user_properties.is_empty() {
        put("user_properties", json!(message.user_properties));
    }
    if !message.subscription_ids.is_empty() {
        put("subscription_ids", json!(message.subscription_ids));
    }
    object.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_every_byte() {
        let text = Message { payload: "\u{1b}[2J".into(), ..Message::default() };
        assert_eq!(exact(&text)["payload"], "\u{1b}[2J");
        let binary = Message { payload: vec![0xff, 0], ..Message::default() };
        assert_eq!(exact(&binary)["payload_base64"], "/wA=");
        assert!(exact(&binary).get("payload").is_none());
    }
}
