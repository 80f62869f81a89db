//! What becomes of a command that the device obeys: it is told as a line of JSON, and a program is run for it.

use super::answers::Programs;
use super::config::{Order, of_device};
use super::program;
use keyward_device::Device;
use keyward_device::command::Command;
use std::time::Duration;

/// Knows who is told, and what is run.
pub(crate) struct Orders {
    programs: Programs,
    orders: Vec<Order>,
    id: String,
}

impl Orders {
    pub(crate) fn new(programs: &Programs, orders: Vec<Order>, id: String) -> Self {
        Self { programs: programs.clone(), orders, id }
    }

    /// Carries out commands until the program ends, one after the other.
    pub(crate) fn serve(&self, device: &Device, log: impl Fn(&str)) {
        loop {
            if let Some(command) = device.next_command(Duration::from_secs(3_600)) {
                self.carry_out(&command, &log);
            }
        }
    }

    fn carry_out(&self, command: &Command, log: &impl Fn(&str)) {
        match self.programs.tell_command(&line(command)) {
            0 => {}
            untold => log(&format!("{}: not told to {untold} that listen and do not read", command.topic)),
        }
        for order in self.orders.iter().filter(|order| is_for(&order.topic, &self.id, &command.topic)) {
            match program::run(&order.run, &command.payload, order.timeout) {
                Ok(_) => log(&format!("obeyed {}: {} ran", command.topic, order.run[0])),
                Err(problem) => log(&format!("obeyed {}: {}: {problem}", command.topic, order.run[0])),
            }
        }
    }
}

/// Tells whether a topic is the one of an order, or below it.
fn is_for(pattern: &str, id: &str, topic: &str) -> bool {
    let pattern = of_device(pattern, id);
    match pattern.strip_suffix("/#") {
        Some(above) => topic == above || topic.strip_prefix(above).is_some_and(|rest| rest.starts_with('/')),
        None => topic == pattern,
    }
}

/// Writes a command as a line of JSON: `payload` if it is text, else `base64`.
fn line(command: &Command) -> String {
    use base64ct::{Base64, Encoding};
    let mut object = serde_json::json!({ "command": command.topic, "number": command.number.0 });
    match std::str::from_utf8(&command.payload) {
        Ok(text) => object["payload"] = text.into(),
        Err(_) => object["base64"] = Base64::encode_string(&command.payload).into(),
    }
    if let Some(topic) = &command.response_topic {
        object["response_topic"] = topic.as_str().into();
    }
    if let Some(data) = &command.correlation {
        object["correlation"] = Base64::encode_string(data).into();
    }
    object.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_for_its_topic_and_what_is_below() {
        assert!(is_for("devices/{id}/commands/#", "p", "devices/p/commands/valve"));
        assert!(is_for("devices/{id}/commands/#", "p", "devices/p/commands"));
        assert!(!is_for("devices/{id}/commands/#", "p", "devices/p/commandsx"));
        assert!(is_for("p/set", "p", "p/set") && !is_for("p/set", "p", "p/set/x"));
    }
}
