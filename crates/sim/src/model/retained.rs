//! What may lie in the retained slot of each topic. Between two publishers there is no order, and a message under way
//! may be there or not: a slot holds every value that is possible.

use crate::event::{ClientNo, MessageNo};
use crate::packet::Publish;
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
    /// Who sets it, and whether by a QoS 2 message: that one waits for the disk, and what is behind it overtakes it.
    writer: (ClientNo, bool),
    /// What keeps it from being certain that the broker has it.
    open: Option<Open>,
    /// Whether the broker has said that it has it.
    is_answered: bool,
    /// Whether something came up that may have kept it from its slot.
    doubted: bool,
    /// Which step set it.
    pub(super) set: u64,
    /// Since which step it is certainly not there any more.
    gone: Option<u64>,
    /// At which step it had certainly reached its slot, if it ever does.
    landed: Option<u64>,
    at: Millis,
}

/// Says why it is not certain that the broker has a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    /// It has this packet id, and the broker has not said so.
    Asked(u16),
    /// The broker will not say so, or has said that it does not.
    Unanswered,
}

impl Slots {
    pub(super) fn put(
        &mut self,
        client: ClientNo,
        publish: &Publish,
        is_sure: bool,
        (step, at): (u64, Millis),
    ) {
        let waits = publish.qos == Qos::ExactlyOnce && publish.id.is_some();
        let (number, writer) = (publish.number, (client, waits));
        let open = match publish.id {
            Some(id) => {
                // What had this id before was never answered, or it is the same message again.
                self.answer(client, id, false);
                Some(Open::Asked(id))
            }
            None => number.is_none().then_some(Open::Unanswered),
        };
        let doubted = !is_sure;
        let is_answered = false;
        let value =
            Value { number, writer, open, is_answered, doubted, set: step, gone: None, landed: None, at };
        self.0.entry(publish.topic.clone()).or_default().push(value);
    }

    /// The broker says that it has a message, or that it does not.
    pub(super) fn answer(&mut self, client: ClientNo, id: u16, accepts: bool) {
        let values = self.0.values_mut().flatten().filter(|value| value.writer.0 == client);
        let asked = values.filter(|value| value.open == Some(Open::Asked(id)));
        asked.for_each(|value| {
            value.open = (!accepts).then_some(Open::Unanswered);
            value.is_answered = accepts;
        });
    }

    /// What these clients have under way for these topics may not reach its slot.
    pub(super) fn doubt(&mut self, is_of: impl Fn(ClientNo, &str) -> bool) {
        for (topic, values) in &mut self.0 {
            let values =
                values.iter_mut().filter(|value| value.landed.is_none() && is_of(value.writer.0, topic));
            values.for_each(|value| value.doubted = true);
        }
    }

    /// Tells whether a message of another publisher for this slot is under way.
    pub(super) fn is_contested(&self, topic: &str, client: ClientNo) -> bool {
        self.0
            .get(topic)
            .into_iter()
            .flatten()
            .any(|value| value.landed.is_none() && value.writer.0 != client)
    }

    /// Everything set before `until` has reached its slot.
    pub(super) fn land(&mut self, until: Millis, step: u64) {
        for values in self.0.values_mut() {
            for index in 0..values.len() {
                let Value { writer, at, set, gone, landed, open, doubted, .. } = values[index];
                let is_sure = open.is_none() && !doubted;
                // What a crash took away replaces nothing.
                if gone.is_some() || landed.is_some() || at >= until || !is_sure {
                    continue;
                }
                for older in &mut values[..index] {
                    // What was under way when this one was set may have come behind it.
                    let was_there = older.landed.is_some_and(|landed| landed < set);
                    if older.gone.is_none() && (was_there || older.writer == writer) {
                        older.gone = Some(step);
                    }
                }
            }
            for value in values.iter_mut().filter(|value| value.at < until) {
                value.landed.get_or_insert(step);
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
                (Some(Value { number: Some(number), set, landed: Some(_), .. }), None) if *set < since => {
                    Some((topic.as_str(), *number))
                }
                _ => None,
            }
        })
    }

    /// A process begins with what is on disk; messages that `waits` is true of are on their way to their slots. Returns
    /// a topic whose slot holds what was certainly overtaken by what is durable.
    pub(super) fn restart(
        &mut self,
        found: &BTreeMap<String, Option<MessageNo>>,
        waits: impl Fn(MessageNo) -> bool,
        (step, at): (u64, Millis),
    ) -> Option<String> {
        let mut overtaken = None;
        for (topic, values) in &mut self.0 {
            let Some(number) = found.get(topic) else {
                let values = values.iter_mut().filter(|value| !value.number.is_some_and(&waits));
                values.for_each(|value| value.gone = value.gone.or(Some(step)));
                continue;
            };
            let is_durable = |value: &Value| {
                // One of QoS 2 without a number may be on its way as well.
                let is_known = value.number.is_some() || !value.writer.1;
                is_known && value.is_answered && !value.doubted && !value.number.is_some_and(&waits)
            };
            let is_overtaken = |index: usize| {
                let Value { landed, writer, .. } = &values[index];
                let newer =
                    values.iter().enumerate().filter(|(other, value)| *other > index && is_durable(value));
                newer
                    .into_iter()
                    .any(|(_, newer)| landed.is_some_and(|at| at < newer.set) || newer.writer == *writer)
            };
            let mut candidates =
                (0..values.len()).filter(|index| values[*index].number == *number).peekable();
            if candidates.peek().is_some() && candidates.all(is_overtaken) {
                overtaken = Some(topic.clone());
            }
            let newest = values.iter().rposition(|value| value.number == *number);
            for (index, value) in values.iter_mut().enumerate() {
                if Some(index) == newest {
                    (value.open, value.doubted, value.gone) = (None, false, None);
                    value.landed.get_or_insert(step);
                    value.at = at;
                } else if !value.number.is_some_and(&waits) {
                    value.gone.get_or_insert(step);
                }
            }
        }
        let waiting = self.0.values_mut().flatten().filter(|value| value.number.is_some_and(&waits));
        waiting.for_each(|value| (value.landed, value.gone, value.at) = (None, None, at));
        // What is not there is not answered any more.
        for value in self.0.values_mut().flatten().filter(|value| value.gone.is_some()) {
            value.open = value.open.map(|_| Open::Unanswered);
        }
        overtaken
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
