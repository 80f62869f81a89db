//! What the broker said and nobody took yet.

use crate::error::ClientError;
use crate::message::{Inbox, Message};
use crate::wire::owned;
use keyward_mqtt::connection::ClientEvent;
use keyward_mqtt::packet::{ConnAck, PacketId};
use keyward_mqtt::reason::ReasonCode;
use std::num::NonZeroU32;

/// Holds what was heard on a link, apart from the link: an event borrows from the connection.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) greeting: Option<Greeting>,
    pub(crate) inbox: Inbox,
    pub(crate) answers: Vec<Answer>,
    /// Why the link is over, once it is.
    pub(crate) end: Option<Goodbye>,
}

/// Holds what the broker said when it let the client in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// Whether the broker held a session.
    pub session_present: bool,
    /// The client id that the broker chose, if the client sent none.
    pub assigned_client_id: Option<String>,
    /// Seconds between signs of life, if the broker wants others than the client asked for.
    pub server_keep_alive: Option<u16>,
    /// Seconds that the broker keeps the session, if it keeps it otherwise than the client asked for.
    pub session_expiry: Option<u32>,
    /// Bytes of a packet that the broker takes at most; `None` is no bound.
    pub maximum_packet_size: Option<u32>,
}

impl Greeting {
    fn of(connack: &ConnAck<'_>) -> Self {
        Self {
            session_present: connack.session_present,
            assigned_client_id: owned(connack.properties.assigned_client_id),
            server_keep_alive: connack.properties.server_keep_alive,
            session_expiry: connack.properties.session_expiry,
            maximum_packet_size: connack.properties.maximum_packet_size.map(NonZeroU32::get),
        }
    }
}

/// Is what happened on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A message came.
    Message(Message),
    /// The broker answered a message that was begun.
    Published {
        /// The one that [`Client::begin`](crate::Client::begin) returned.
        id: PacketId,
        /// Whether it took the message.
        reason: ReasonCode,
        /// The broker's own words, if it sent any.
        said: Option<String>,
    },
}

/// Is the answer to one exchange.
pub(crate) struct Answer {
    pub(crate) id: PacketId,
    pub(crate) reasons: Vec<ReasonCode>,
    pub(crate) said: Option<String>,
}

/// Says how a link ended.
#[derive(Clone)]
pub(crate) enum Goodbye {
    Refused(ReasonCode, Option<String>),
    Disconnected(ReasonCode, Option<String>),
    Closed,
    Overrun,
}

impl Goodbye {
    pub(crate) fn error(&self) -> ClientError {
        match self.clone() {
            Self::Refused(reason, said) => ClientError::Refused { reason, said },
            Self::Disconnected(reason, said) => ClientError::Disconnected { reason, said },
            Self::Closed => ClientError::Closed,
            Self::Overrun => ClientError::Overrun,
        }
    }
}

impl Heard {
    /// Takes out what happened: answers before messages, because they make room.
    pub(crate) fn event(&mut self) -> Option<Event> {
        if self.answers.is_empty() {
            return self.inbox.pop().map(Event::Message);
        }
        let Answer { id, reasons, said } = self.answers.remove(0);
        let reason = reasons.first().copied().unwrap_or(ReasonCode::Success);
        Some(Event::Published { id, reason, said })
    }

    /// Notes what happened; an error if it was the end.
    pub(crate) fn note(&mut self, event: ClientEvent<'_>) -> Result<(), ClientError> {
        match event {
            ClientEvent::Connected { connack, .. } => {
                self.greeting = Some(Greeting::of(&connack));
                Ok(())
            }
            ClientEvent::Refused(connack) => {
                Err(self.over(Goodbye::Refused(connack.reason, owned(connack.properties.reason_string))))
            }
            ClientEvent::Message(publish) => {
                let message = Message::from_publish(&publish).ok_or_else(|| {
                    ClientError::Protocol("a message without topic [MQTT-3.3.2-1]".to_owned())
                })?;
                if self.inbox.push(message) { Ok(()) } else { Err(self.over(Goodbye::Overrun)) }
            }
            ClientEvent::Published(ack) => {
                self.answers.push(Answer {
                    id: ack.id,
                    reasons: vec![ack.reason],
                    said: owned(ack.properties.reason_string),
                });
                Ok(())
            }
            ClientEvent::Subscribed(ack) | ClientEvent::Unsubscribed(ack) => {
                self.answers.push(Answer {
                    id: ack.id,
                    reasons: ack.reasons.iter().collect(),
                    said: owned(ack.properties.reason_string),
                });
                Ok(())
            }
            ClientEvent::Auth(_) => Err(ClientError::Protocol("AUTH, which nobody asked for".to_owned())),
            ClientEvent::Disconnected(goodbye) => {
                let said = owned(goodbye.properties.reason_string);
                Err(self.over(Goodbye::Disconnected(goodbye.reason, said)))
            }
        }
    }

    /// Notes the end, unless it is known already, and returns it.
    pub(crate) fn over(&mut self, how: Goodbye) -> ClientError {
        self.end.get_or_insert(how).error()
    }
}
