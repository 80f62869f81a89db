//! What must be true of signed messages, without windows, tables and tickets: what a device was told is taken comes to the reader that
//! stays, and nothing that was taken is taken again, however often the broker died.

use super::{CONTENTS, FORGED};
use crate::event::{ClientNo, Event, MessageNo, What};
use crate::model::Breach;
use crate::packet::{Packet, Publish};
use crate::pump_and_reader::{PUMP, READER};
use crate::races::{Race, Races};
use crate::run::Promises;
use keyward_broker::LinkId;
use keyward_mqtt::packet::Qos;
use keyward_mqtt::reason::ReasonCode;
use std::collections::BTreeMap;

/// Milliseconds by which the wall clock may go back before dates lie in the future.
const STEP_BACK: u64 = 300_000;

/// Is the model of one run.
#[derive(Debug, Default)]
pub(super) struct Model {
    races: Races,
    clients: BTreeMap<LinkId, ClientNo>,
    /// What stands under a packet id of a link.
    under_way: BTreeMap<(LinkId, u16), MessageNo>,
    contents: BTreeMap<MessageNo, Content>,
    /// Counts broker processes.
    process: u64,
    /// The latest that the wall clock has shown.
    latest: u64,
    /// Whether it went back so far that a date may have been in the future.
    is_doubtful: bool,
}

/// Is what is known of one signed content.
#[derive(Debug, Clone, Default)]
struct Content {
    /// How often it may have gone on anew: once in each process that took it before it was certainly durable.
    allowed: usize,
    /// How often it did.
    came: usize,
    /// In which process it was taken last, and sent on last.
    taken: Option<u64>,
    sent: Option<u64>,
    /// In which process its number became certainly durable.
    durable: Option<u64>,
    /// Whether it was published at QoS 0, which is lost if nobody is there, or at QoS 1, which goes on before it is durable.
    at_qos_0: bool,
    at_qos_1: bool,
    is_acknowledged: bool,
    has_arrived: bool,
}

macro_rules! breach {
    ($($words:tt)*) => { Err(Breach::new(format!($($words)*))) };
}

impl Promises for Model {
    fn observe(&mut self, event: &Event) -> Result<(), Breach> {
        self.latest = self.latest.max(event.at.wall.0);
        self.is_doubtful |= self.latest - event.at.wall.0 >= STEP_BACK;
        match &event.what {
            What::Connects { client, link, .. } => {
                self.clients.insert(*link, *client);
            }
            What::Takes { link, packet: Packet::Publish(publish), .. } if self.is_of(*link, PUMP) => {
                self.take(*link, publish);
            }
            What::Writes { link, packet, .. } => match packet {
                Packet::Publish(publish) if self.is_of(*link, READER) => return self.arrive(publish),
                Packet::PubAck(ack) | Packet::PubRec(ack) if self.is_of(*link, PUMP) => {
                    let content = self.under_way.get(&(*link, ack.id)).copied();
                    return content.map_or(Ok(()), |content| self.answer(content, ack.reason));
                }
                _ => {}
            },
            What::Crashes { .. } => {
                let is_lost = |it: &Content| it.durable.is_none() && it.taken == Some(self.process);
                let lost = self.contents.values().any(is_lost);
                self.races.note_if(lost, Race::CrashBeforeNumberIsDurable);
                self.process += 1;
            }
            What::Settled => return self.settled(),
            _ => {}
        }
        Ok(())
    }

    fn races(&self) -> &Races {
        &self.races
    }
}

impl Model {
    fn is_of(&self, link: LinkId, client: ClientNo) -> bool {
        self.clients.get(&link) == Some(&client)
    }

    /// Returns what else has the number of a content.
    fn rivals(&self, content: MessageNo) -> impl Iterator<Item = &Content> {
        let first = content.0 - content.0 % CONTENTS;
        let all = self.contents.range(MessageNo(first)..MessageNo(first + FORGED));
        all.filter(move |(other, _)| **other != content).map(|(_, rival)| rival)
    }

    /// A shard takes a message: it is new, a repeat, or to be refused.
    fn take(&mut self, link: LinkId, publish: &Publish) {
        let Some(content) = publish.number else { return };
        if let Some(id) = publish.id {
            self.under_way.insert((link, id), content);
        }
        let contradicts = self.rivals(content).any(|rival| rival.durable.is_some());
        self.races.note_if(contradicts, Race::TwoContentsOfOneNumber);
        let process = self.process;
        let of = self.contents.entry(content).or_default();
        of.at_qos_0 |= publish.qos == Qos::AtMostOnce;
        of.at_qos_1 |= publish.qos == Qos::AtLeastOnce;
        match of.durable {
            Some(durable) => self.races.note_if(durable < process, Race::PlayedBackAfterCrash),
            None if of.taken != Some(process) => {
                (of.taken, of.allowed) = (Some(process), of.allowed + 1);
            }
            None => {}
        }
    }

    /// A shard answers a message.
    fn answer(&mut self, content: MessageNo, reason: ReasonCode) -> Result<(), Breach> {
        let has_rival = self.rivals(content).next().is_some();
        let rival_is_durable = self.rivals(content).any(|rival| rival.durable.is_some());
        let is_forged = content.0 % CONTENTS == FORGED;
        match reason {
            ReasonCode::Success | ReasonCode::NoMatchingSubscribers => {
                if is_forged || rival_is_durable {
                    return breach!("{content} is accepted, and must not be");
                }
                let of = self.contents.entry(content).or_default();
                of.durable.get_or_insert(self.process);
                of.is_acknowledged = true;
            }
            ReasonCode::QuotaExceeded => self.races.note(Race::NoRoomForNumber),
            reason if !is_forged && !has_rival && !self.is_doubtful => {
                return breach!("{content} is the only one of its number, and refused: {reason:?}");
            }
            _ => {}
        }
        Ok(())
    }

    /// A shard writes a message to the reader.
    fn arrive(&mut self, publish: &Publish) -> Result<(), Breach> {
        let Some(content) = publish.number else { return Ok(()) };
        let (process, is_forged) = (self.process, content.0 % CONTENTS == FORGED);
        let is_refused = |rival: &Content| rival.durable.is_some() || rival.sent == Some(process);
        if is_forged || self.rivals(content).any(is_refused) {
            return breach!("it is not the one that has its number: {publish}");
        }
        let of = self.contents.entry(content).or_default();
        of.has_arrived = true;
        if publish.dup {
            return Ok(());
        }
        (of.came, of.sent) = (of.came + 1, Some(process));
        if of.came > of.allowed {
            return breach!("came {} times, and may have been new {} times: {publish}", of.came, of.allowed);
        }
        // At QoS 0, where signatures are required, and at QoS 2 nothing goes on before its number is durable.
        if !of.at_qos_1 {
            of.durable.get_or_insert(process);
        }
        Ok(())
    }

    fn settled(&self) -> Result<(), Breach> {
        let is_lost = |of: &Content| of.is_acknowledged && !of.has_arrived && !of.at_qos_0;
        match self.contents.iter().find(|(_, of)| is_lost(of)) {
            Some((content, _)) => breach!("{content} was acknowledged and never came"),
            None => Ok(()),
        }
    }
}
