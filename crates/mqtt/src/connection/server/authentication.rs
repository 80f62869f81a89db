//! Enhanced authentication on the server's end (MQTT 5.0, chapter 4.12): which AUTH may come when, and what answers it.
//!
//! Whether a proof is good is not known here: a method of the server's says so.

use super::{Phase, ServerConnection};
use crate::codec::{self, EncodeError, Violation};
use crate::packet::{Auth, Packet, Version};
use crate::property::AuthProperties;
use crate::reason::ReasonCode;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Is an authentication as far as packets tell.
#[derive(Debug, Default)]
pub(super) struct Authentication {
    /// What CONNECT named; it holds for the whole link [MQTT-4.12.0-5].
    method: Option<Box<str>>,
    turn: Turn,
}

/// Says whose step is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Turn {
    /// No authentication is under way.
    #[default]
    Nobodys,
    /// The server answers CONNECT or AUTH.
    Servers,
    /// The client answers a challenge.
    Clients,
}

impl Authentication {
    /// Begins with what CONNECT said.
    pub(super) fn of(method: Option<&str>) -> Self {
        let turn = if method.is_some() { Turn::Servers } else { Turn::Nobodys };
        Self { method: method.map(Box::from), turn }
    }

    pub(super) fn is_clients_turn(&self) -> bool {
        self.turn == Turn::Clients
    }

    pub(super) fn settle(&mut self) {
        self.turn = Turn::Nobodys;
    }

    /// Takes in an AUTH of the client's: an answer to a challenge [MQTT-4.12.0-3], or, on an open link, the beginning
    /// of another authentication [MQTT-4.12.1-1].
    pub(super) fn receive(&mut self, auth: &Auth<'_>) -> Result<(), Violation> {
        let Some(method) = self.method.as_deref() else { return Err(Violation::AuthNotBegun) };
        if auth.properties.authentication_method != Some(method) {
            return Err(Violation::AuthMethodOther);
        }
        let expected = match self.turn {
            Turn::Nobodys => ReasonCode::ReAuthenticate,
            Turn::Clients => ReasonCode::ContinueAuthentication,
            Turn::Servers => return Err(Violation::AuthOutOfTurn),
        };
        if auth.reason != expected {
            return Err(Violation::AuthOutOfTurn);
        }
        self.turn = Turn::Servers;
        Ok(())
    }
}

impl ServerConnection {
    /// Appends an AUTH that asks the client to go on [MQTT-4.12.0-2]; its answer is decoded next.
    ///
    /// # Errors
    /// No step of the server's is due, or `data` has more than 65,535 bytes.
    pub fn challenge(&mut self, data: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.answer(ReasonCode::ContinueAuthentication, data, out)?;
        self.authentication.turn = Turn::Clients;
        Ok(())
    }

    /// Appends the AUTH that ends a re-authentication well. The first one ends with CONNACK, which names the method
    /// too.
    ///
    /// # Errors
    /// As [`ServerConnection::challenge`], or the link is not open yet.
    pub fn reauthenticated(&mut self, data: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if !matches!(self.phase, Phase::Open(_)) {
            return Err(EncodeError::AuthOutOfTurn);
        }
        self.answer(ReasonCode::Success, data, out)?;
        self.authentication.settle();
        Ok(())
    }

    fn answer(&self, reason: ReasonCode, data: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.authentication.turn != Turn::Servers {
            return Err(EncodeError::AuthOutOfTurn);
        }
        let properties = AuthProperties {
            authentication_method: self.authentication.method.as_deref(),
            authentication_data: data,
            ..AuthProperties::default()
        };
        codec::encode(&Packet::Auth(Auth { reason, properties }), Version::V5, out)
    }
}
