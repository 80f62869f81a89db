//! What may lie in the retained slot of each topic. Between two publishers there is no order, and a message under way
//! may be there or not: a slot holds every value that is possible.

use crate::event::{ClientNo, MessageNo};
use keyward_mqtt::packet::Qos;
use keyward_mqtt::time::Millis;
use std::collections::BTreeMap;

/// Holds the slots.
#[derive(Debug, Default)]
pub(super) struct Slots(BTreeMap<String, Vec<Value>>);

/// Is one possible content of a slot.
#[derive(Debug, Clone)]
pub(super) struct Value {
    /// `None` for an empty slot.
    pub(super) number: Option<MessageNo>,
    writer: (ClientNo, Qos),
    /// Which step set it.
    pub(super) set: u64,
    /// Since which step it is certainly not there any more.
    gone: Option<u64>,
    flying: bool,
    at: Millis,
}

impl Slots {
    pub(super) fn put(
        &mut self,
        topic: &str,
        number: Option<MessageNo>,
        writer: (ClientNo, Qos),
        step: u64,
        at: Millis,
    ) {
        let value = Value { number, writer, set: step, gone: None, flying: true, at };
        self.0.entry(topic.to_owned()).or_default().push(value);
    }

    /// Tells whether a message of another publisher for this slot is under way.
    pub(super) fn is_contested(&self, topic: &str, client: ClientNo) -> bool {
        self.0.get(topic).into_iter().flatten().any(|value| value.flying && value.writer.0 != client)
    }

    /// Everything set before `until` has reached its slot. `is_sure` tells whether a value certainly took effect.
    pub(super) fn land(&mut self, until: Millis, step: u64, is_sure: impl Fn(Option<MessageNo>) -> bool) {
        for values in self.0.values_mut() {
            for index in 0..values.len() {
                let Value { number, writer, at, flying, .. } = values[index];
                if !flying || at >= until || !is_sure(number) {
                    continue;
                }
                for older in &mut values[..index] {
                    if older.gone.is_none() && (!older.flying || older.writer == writer) {
                        older.gone = Some(step);
                    }
                }
            }
            for value in values.iter_mut().filter(|value| value.at < until) {
                value.flying = false;
            }
        }
    }

    /// Tells whether a topic's slot may have held a message since a step.
    pub(super) fn held_since(&self, topic: &str, number: Option<MessageNo>, since: u64) -> bool {
        let mut values = self.0.get(topic).into_iter().flatten();
        values.any(|value| value.number == number && value.gone.is_none_or(|gone| gone >= since))
    }

    /// Lists the messages that certainly lie in their slots, and did at `since`.
    pub(super) fn certain(&self, since: u64) -> impl Iterator<Item = (&str, MessageNo)> {
        self.0.iter().filter_map(move |(topic, values)| {
            let mut possible = values.iter().filter(|value| value.gone.is_none());
            match (possible.next(), possible.next()) {
                (Some(Value { number: Some(number), set, flying: false, .. }), None) if *set < since => {
                    Some((topic.as_str(), *number))
                }
                _ => None,
            }
        })
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
