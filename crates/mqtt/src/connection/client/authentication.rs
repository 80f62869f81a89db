//! Enhanced authentication on the client's end (MQTT 5.0, chapter 4.12): whose step is next, and by which method.

use crate::codec::{EncodeError, Violation};
use crate::packet::{Auth, ConnAck};
use crate::reason::ReasonCode;
use alloc::boxed::Box;

/// Is an authentication as far as packets tell.
#[derive(Debug, Default)]
pub(super) struct Authentication {
    /// What CONNECT named; it holds for the whole link [MQTT-4.12.0-5].
    method: Option<Box<str>>,
    turn: Turn,
}

/// Says whose step is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Turn {
    /// No authentication is under way.
    #[default]
    Nobodys,
    /// The server answers.
    Servers,
    /// We answer a challenge.
    Ours,
}

impl Authentication {
    /// Begins with what CONNECT says.
    pub(super) fn of(method: Option<&str>) -> Self {
        let turn = if method.is_some() { Turn::Servers } else { Turn::Nobodys };
        Self { method: method.map(Box::from), turn }
    }

    /// Notes an AUTH that is about to be sent: the answer to a challenge [MQTT-4.12.0-3], or the beginning of another
    /// authentication on an open link [MQTT-4.12.1-1].
    pub(super) fn send(&mut self, auth: &Auth<'_>) -> Result<(), EncodeError> {
        let due = match self.turn {
            Turn::Nobodys => ReasonCode::ReAuthenticate,
            Turn::Ours => ReasonCode::ContinueAuthentication,
            Turn::Servers => return Err(EncodeError::AuthOutOfTurn),
        };
        if auth.reason != due || auth.properties.authentication_method != self.method.as_deref() {
            return Err(EncodeError::AuthOutOfTurn);
        }
        self.turn = Turn::Servers;
        Ok(())
    }

    /// Takes in an AUTH of the server's. Before CONNACK it can only ask for more.
    pub(super) fn receive(&mut self, is_open: bool, auth: &Auth<'_>) -> Result<(), Violation> {
        if auth.properties.authentication_method != self.method.as_deref() {
            return Err(Violation::AuthMethodOther);
        }
        self.turn = match (self.turn, auth.reason) {
            (Turn::Servers, ReasonCode::ContinueAuthentication) => Turn::Ours,
            (Turn::Servers, ReasonCode::Success) if is_open => Turn::Nobodys,
            _ => return Err(Violation::AuthOutOfTurn),
        };
        Ok(())
    }

    /// Takes in a CONNACK that accepts: it names the method of CONNECT, if that named one [MQTT-4.12.0-5],
    /// [MQTT-4.12.0-6].
    pub(super) fn settle(&mut self, connack: &ConnAck<'_>) -> Result<(), Violation> {
        if connack.properties.authentication_method != self.method.as_deref() {
            return Err(Violation::AuthMethodOther);
        }
        self.turn = Turn::Nobodys;
        Ok(())
    }
}
