//! Messages as the application sees them.

use crate::limits;
use keyward_mqtt::packet::{Publish, Qos};
use keyward_mqtt::property::PublishProperties;
use std::collections::VecDeque;

/// Is a message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication<'a> {
    /// Where.
    pub topic: &'a str,
    /// What.
    pub payload: &'a [u8],
    /// With which quality of service.
    pub qos: Qos,
    /// Whether the broker keeps it for those who subscribe later.
    pub retain: bool,
    /// Properties of 5.0.
    pub properties: PublishProperties<'a>,
}

impl<'a> Publication<'a> {
    /// Makes a message of QoS 1 that is not retained.
    pub fn new(topic: &'a str, payload: &'a [u8]) -> Self {
        let properties = PublishProperties::default();
        Self { topic, payload, qos: Qos::AtLeastOnce, retain: false, properties }
    }

    /// Changes the quality of service.
    #[must_use]
    pub fn qos(self, qos: Qos) -> Self {
        Self { qos, ..self }
    }

    /// Has the broker keep the message for those who subscribe later.
    #[must_use]
    pub fn retained(self) -> Self {
        Self { retain: true, ..self }
    }
}

/// Is a message that arrived.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// Where it was published.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
    /// With which quality of service it came.
    pub qos: Qos,
    /// Whether it was kept by the broker, not published just now.
    pub retain: bool,
    /// Whether it may have come before.
    pub dup: bool,
    /// Whether its publisher says that it is UTF-8 text.
    pub payload_format: Option<bool>,
    /// Seconds that it stays of use.
    pub message_expiry: Option<u32>,
    /// What kind of content it is.
    pub content_type: Option<String>,
    /// Where an answer is expected.
    pub response_topic: Option<String>,
    /// What the answer has to carry.
    pub correlation_data: Option<Vec<u8>>,
    /// Names and values in their order.
    pub user_properties: Vec<(String, String)>,
    /// The identifiers of the subscriptions that it came for.
    pub subscription_ids: Vec<u32>,
}

impl Message {
    /// Takes a PUBLISH; `None` if it has no topic.
    pub(crate) fn from_publish(publish: &Publish<'_>) -> Option<Self> {
        let properties = &publish.properties;
        Some(Self {
            topic: publish.topic?.as_str().to_owned(),
            payload: publish.payload.to_vec(),
            qos: publish.delivery.qos(),
            retain: publish.retain,
            dup: publish.dup,
            payload_format: properties.payload_format,
            message_expiry: properties.message_expiry,
            content_type: properties.content_type.map(str::to_owned),
            response_topic: properties.response_topic.map(str::to_owned),
            correlation_data: properties.correlation_data.map(<[u8]>::to_vec),
            user_properties: properties.user.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            subscription_ids: properties.subscription_ids.iter().map(|id| id.get()).collect(),
        })
    }

    fn weight(&self) -> usize {
        self.topic.len() + self.payload.len()
    }
}

/// Holds what arrived and nobody took yet, within bounds.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    messages: VecDeque<Message>,
    bytes: usize,
}

impl Inbox {
    /// Takes a message in; false if there is no room.
    pub(crate) fn push(&mut self, message: Message) -> bool {
        let bytes = self.bytes.saturating_add(message.weight());
        if self.messages.len() >= limits::INBOX_MESSAGES || bytes > limits::INBOX_BYTES {
            return false;
        }
        self.bytes = bytes;
        self.messages.push_back(message);
        true
    }

    /// Gives the oldest message out.
    pub(crate) fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.weight();
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inbox_holds_no_more_than_its_bounds() {
        let mut inbox = Inbox::default();
        for _ in 0..limits::INBOX_MESSAGES {
            assert!(inbox.push(Message::default()));
        }
        assert!(!inbox.push(Message::default()));
        assert!(inbox.pop().is_some());
        assert!(inbox.push(Message::default()));

        let mut inbox = Inbox::default();
        let half = Message { payload: vec![0; limits::INBOX_BYTES / 2], ..Message::default() };
        assert!(inbox.push(half.clone()) && inbox.push(half.clone()));
        assert!(!inbox.push(Message { topic: "a".to_owned(), ..Message::default() }));
        inbox.pop();
        assert!(inbox.push(half));
    }
}
