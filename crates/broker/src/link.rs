//! What the shard knows of a link. It dies with the link; decoding and keep-alive are elsewhere (`mqtt`, `server`).

use crate::aliases::TopicAliases;
use crate::attach::{Attach, Authenticated, LinkId};
use crate::input::Ticket;
use crate::limits::{self, Limits};
use crate::outbox::Outbox;
use crate::ratchet::Turn;
use crate::replay::ReplayOrder;
use crate::shard::Unchecked;
use core::num::NonZeroU32;
use keyward_envelope::Nonce;
use keyward_mqtt::packet::{PacketId, Version};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::Millis;
use std::collections::VecDeque;

/// Is the link of a session.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    /// Of which epoch the credentials were.
    pub(crate) epoch: u64,
    pub(crate) version: Version,
    /// Whether CONNACK was written: nothing goes before it.
    pub(crate) established: bool,
    /// PUBLISH packets of QoS 1 and 2 that the client takes before it must answer one.
    pub(crate) receive_maximum: u16,
    /// PUBLISH packets of QoS 1 and 2 of this link that we have not finished answering.
    pub(crate) unfinished: u16,
    /// What `unfinished` may be: the receive maximum that we announced.
    pub(crate) unfinished_max: u16,
    pub(crate) maximum_packet_size: usize,
    /// Whether acknowledgements may carry reason strings.
    pub(crate) problem_information: bool,
    pub(crate) aliases: TopicAliases,
    pub(crate) outbox: Outbox,
    /// Bytes that the shell took and has not written.
    pub(crate) taken: usize,
    /// Packets in the outbox and in what was taken.
    pub(crate) waiting_packets: usize,
    pub(crate) dirty: bool,
    /// Answers in the order of the client's packets; the first waits for the disk or for other shards.
    pub(crate) held: VecDeque<Held>,
    /// The bytes of these.
    pub(crate) held_bytes: usize,
    /// What ties messages of a device without a clock to this link.
    pub(crate) nonce: Option<Nonce>,
    /// How far it has come with the rolling secret; `None` if it takes no part.
    pub(crate) ratchet: Option<Turn>,
    /// A message whose signature is being verified.
    pub(crate) unchecked: Option<Box<Unchecked>>,
    /// Messages that were refused for their signature since then.
    pub(crate) unfit: u8,
    pub(crate) unfit_since: Millis,
    /// Messages of which the watch was told since then.
    pub(crate) said: u16,
    pub(crate) said_since: Millis,
}

/// Is an answer that may not leave yet.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) wait: Wait,
    pub(crate) answer: Answer,
}

/// Says for what an answer waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Wait {
    /// Until this is durable.
    pub(crate) ticket: Ticket,
    /// Until all shards know our interest up to this token.
    pub(crate) interest: u64,
    /// Until groups have answered the questions of this session up to this number.
    pub(crate) joined: u64,
}

/// Is an answer to a client's packet.
#[derive(Debug)]
pub(crate) enum Answer {
    ConnAck(Box<Welcome>),
    PubAck(PacketId, ReasonCode),
    PubRec(PacketId, ReasonCode),
    PubRel(PacketId, ReasonCode),
    PubComp(PacketId, ReasonCode),
    SubAck(PacketId, Vec<ReasonCode>, Vec<ReplayOrder>),
    UnsubAck(PacketId, Vec<ReasonCode>),
    /// The nonce of the link, behind a SUBACK; with the subscription's identifier.
    Nonce(Option<NonZeroU32>),
    /// What is said for the rolling secret: the nonce, or what came of an answer.
    Ratchet(Option<Box<str>>),
}

/// Is what a successful CONNACK says.
#[derive(Debug)]
pub(crate) struct Welcome {
    pub(crate) session_present: bool,
    pub(crate) assigned_client_id: Option<String>,
    /// Seconds of keep-alive that hold.
    pub(crate) keep_alive: u16,
    /// Whether `keep_alive` differs from what the client asked for.
    pub(crate) keep_alive_is_ours: bool,
    /// Seconds, if they differ from what the client asked for.
    pub(crate) session_expiry: Option<u32>,
    pub(crate) authenticated: Option<Authenticated>,
    /// The nonce of the link, if its owner signs messages.
    pub(crate) nonce: Option<Nonce>,
}

impl Link {
    pub(crate) fn new(attach: &Attach, limits: &Limits) -> Self {
        let in_flight = limits.in_flight.get();
        let receive_maximum = attach.receive_maximum.map_or(in_flight, |max| max.get().min(in_flight));
        Self {
            id: attach.link,
            epoch: attach.epoch,
            version: attach.version,
            established: false,
            receive_maximum,
            unfinished: 0,
            unfinished_max: match attach.version {
                // 3.1.1 has no such promise: there is no bound but the number of packet ids.
                Version::V31 | Version::V311 => u16::MAX,
                Version::V5 => limits.receive_maximum.get(),
            },
            maximum_packet_size: attach.maximum_packet_size.map_or(usize::MAX, |size| size as usize),
            problem_information: attach.problem_information,
            aliases: TopicAliases::new(attach.topic_alias_maximum),
            outbox: Outbox::default(),
            taken: 0,
            waiting_packets: 0,
            dirty: false,
            held: VecDeque::new(),
            held_bytes: 0,
            nonce: attach.nonce,
            ratchet: None,
            unchecked: None,
            unfit: 0,
            unfit_since: Millis::ZERO,
            said: 0,
            said_since: Millis::ZERO,
        }
    }

    /// Counts a message. Returns whether the watch is told of it.
    #[inline]
    pub(crate) fn is_told(&mut self, now: Millis) -> bool {
        if now.saturating_sub(self.said_since) >= limits::SAID_TIME {
            (self.said, self.said_since) = (0, now);
        }
        self.said = self.said.saturating_add(1);
        self.said <= limits::SAID_MESSAGES
    }

    /// Returns the bytes that wait to be written.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.outbox.len() + self.taken
    }

    /// Tells whether a request of this packet id waits for its answer.
    pub(crate) fn is_asking(&self, wanted: PacketId) -> bool {
        self.held.iter().any(|held| match &held.answer {
            Answer::SubAck(id, ..) | Answer::UnsubAck(id, _) => *id == wanted,
            _ => false,
        })
    }

    /// Turns these codes of a SUBACK that waits into refusals; 3.1 has no word for them.
    pub(crate) fn refuse_places(&mut self, packet: PacketId, places: &[usize]) {
        if self.version == Version::V31 {
            return;
        }
        let refused = self.held.iter_mut().find_map(|held| match &mut held.answer {
            Answer::SubAck(id, reasons, _) if *id == packet => Some(reasons),
            _ => None,
        });
        let Some(reasons) = refused else { return };
        for place in places {
            if let Some(reason) = reasons.get_mut(*place) {
                *reason = ReasonCode::QuotaExceeded;
            }
        }
    }
}

impl Held {
    /// Returns the bytes that it holds.
    pub(crate) fn weight(&self) -> usize {
        let lists = match &self.answer {
            Answer::SubAck(_, reasons, replays) => reasons.len() + replays.len() * size_of::<ReplayOrder>(),
            Answer::UnsubAck(_, reasons) => reasons.len(),
            Answer::Ratchet(Some(text)) => text.len(),
            _ => 0,
        };
        size_of::<Self>() + lists
    }
}
