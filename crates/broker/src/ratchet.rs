//! The rolling secret of devices without secure hardware, as far as it concerns a link: who asks is told the nonce of its link, may
//! answer once, and is told what came of it.
//!
//! All of it is said on [`RATCHET_TOPIC`] of the link itself. Nothing there is a message: nobody else reads it, none of it is stored or routed.
//! What an answer is worth is not decided here: it goes out as [`Output::Ratchet`](crate::Output::Ratchet), and what the device is told
//! comes back with [`Input::Ratchet`](crate::Input::Ratchet).

use crate::attach::LinkId;
use crate::limits;
use core::num::NonZeroU32;
use keyward_ids::Identity;

/// Where a device subscribes to take part.
pub(crate) const RATCHET_TOPIC: &str = "$keyward/ratchet";

/// Is what a device answered to the nonce of its link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RatchetAnswer {
    /// On which link.
    pub link: LinkId,
    /// Who answered.
    pub identity: Identity,
    /// In which life of that name, as in [`Login::life`](crate::Login::life).
    pub life: u64,
    /// With credentials of which epoch, as in [`Login::epoch`](crate::Login::epoch).
    pub epoch: u64,
    /// The nonce.
    pub nonce: Box<[u8]>,
    /// What it said: at most [`limits::RATCHET_ANSWER_BYTES`]; empty if that was longer.
    pub text: Box<[u8]>,
}

/// Is how far a link has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// The identifier of the subscription, which is said with each message [MQTT-3.3.4-3].
    pub(crate) subscription: Option<NonZeroU32>,
    /// Whether it answered: a nonce is good for one answer.
    pub(crate) has_answered: bool,
}

/// Returns what is looked at of an answer.
pub(crate) fn text(payload: &[u8]) -> Box<[u8]> {
    if payload.len() <= limits::RATCHET_ANSWER_BYTES { payload.into() } else { Box::default() }
}
