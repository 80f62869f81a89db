//! Room in the store (rule 19): what would have to be stored is refused where the shard knows that there is none, and
//! nothing else is.

use super::link::Answer;
use super::session::{self, Session};
use super::{Checked, Model, breach};
use crate::event::{ClientNo, ShardNo};
use crate::packet::{Hello, Packet};
use crate::races::Race;
use keyward_broker::{LinkId, Storage, Ticket};
use keyward_ids::Identity;
use keyward_mqtt::time::Millis;

/// Is what a shard decides about: what it says next may refuse it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taking {
    pub(super) client: ClientNo,
    /// The packet id of a QoS 2 message.
    pub(super) exchange: Option<u16>,
    /// Whether it is certainly not to be stored.
    pub(super) needs_no_room: bool,
}

impl Model {
    /// A shard hears what the store can take from now on.
    pub(super) fn learn(&mut self, shard: ShardNo, storage: Storage) {
        self.shards[shard.0].storage = storage;
    }

    /// A shard hears that what it asked for is durable: also what it took before the store was full.
    pub(super) fn hear_of_disk(&mut self, shard: ShardNo, through: Ticket) -> Checked {
        let of = &mut self.shards[shard.0];
        if of.storage == Storage::Broken {
            return breach!("a broken store answers {shard}");
        }
        self.races.note_if(of.storage == Storage::Full, Race::AnsweredWhileFull);
        of.answered = of.answered.max(through.0);
        Ok(())
    }

    /// Says what a shard decides about when it has taken a packet.
    pub(super) fn decide_about(&self, client: ClientNo, packet: &Packet) -> Taking {
        let is_stored = self.sessions.get(&client).is_some_and(|session| session.lifetime.is_some());
        let needs_no_room = match packet {
            Packet::Publish(publish) => publish.id.is_none(),
            Packet::Subscribe { .. } => !is_stored,
            _ => true,
        };
        Taking { client, exchange: None, needs_no_room }
    }

    /// Notes an answer that is due to what is certainly to be stored, if `durable`: a refusal where there is no room.
    pub(super) fn owe_or_refuse(
        &mut self,
        shard: ShardNo,
        link: LinkId,
        answer: Answer,
        durable: bool,
    ) -> Checked {
        let has_no_room = durable && self.refuses_for_room(shard);
        self.owe(shard, link, Answer { has_no_room, ..answer }, durable && !has_no_room)
    }

    /// Tells whether a shard knows that there is no room.
    fn is_out_of_room(&self, shard: ShardNo) -> bool {
        self.shards[shard.0].storage != Storage::Open
    }

    /// Tells whether a shard can only refuse what is certainly to be stored. If it can take it, counts whether another
    /// could not.
    fn refuses_for_room(&mut self, shard: ShardNo) -> bool {
        let is_refused = self.is_out_of_room(shard);
        let mut others = self.shards.iter().filter(|other| other.storage != Storage::Open);
        self.races.note_if(!is_refused && others.next().is_some(), Race::TakenBeforeHeard);
        is_refused
    }

    /// A shard refuses something of somebody's for want of room.
    pub(super) fn note_no_room(&mut self, shard: ShardNo, identity: &Identity) -> Checked {
        self.races.note(Race::NoRoom);
        if !self.is_out_of_room(shard) {
            return breach!("{shard} has room and refuses {identity} for want of it");
        }
        if let Some(taking) = self.taking
            && taking.needs_no_room
        {
            return breach!("{shard} refuses {} what is not to be stored", taking.client);
        }
        if let Some((_, link)) = self.attaching {
            let of = self.link(link)?;
            let (client, hello) = (of.client, of.hello.clone());
            if !self.is_to_be_stored(&hello) || self.is_there(client, &hello) {
                return breach!("{shard} refuses a session that {client} has, or that is not to be stored");
            }
        }
        self.refuse_taken(identity);
        Ok(())
    }

    /// What was just taken of somebody was refused.
    pub(super) fn refuse_taken(&mut self, identity: &Identity) {
        let Some(Taking { client, exchange: Some(id), .. }) = self.taking.take() else { return };
        if self.law.identity(self.account(client)) == identity
            && let Some(session) = self.sessions.get_mut(&client)
        {
            session.inbound.remove(&id);
        }
    }

    /// A stored session begins only where there is room.
    pub(super) fn check_room_for_session(&self, shard: ShardNo, client: ClientNo, hello: &Hello) -> Checked {
        let begins = self.is_to_be_stored(hello) && !self.may_resume(client, hello);
        if begins && self.is_out_of_room(shard) {
            return breach!("{shard} begins a session of {client} that is to be stored, and has no room");
        }
        Ok(())
    }

    fn is_to_be_stored(&self, hello: &Hello) -> bool {
        session::lifetime(hello, self.setup.limits.session_expiry).is_some()
    }

    /// Tells whether a CONNECT goes on with a stored session, unless that is due to end in this moment.
    fn may_resume(&self, client: ClientNo, hello: &Hello) -> bool {
        self.sessions.get(&client).is_some_and(|session| is_taken_up(session, hello))
    }

    /// Tells whether a CONNECT certainly goes on with a stored session.
    fn is_there(&self, client: ClientNo, hello: &Hello) -> bool {
        let is_due = |expires: Option<Millis>| expires.is_some_and(|expires| expires <= self.now);
        let session = self.sessions.get(&client).filter(|session| !is_due(session.expires));
        session.is_some_and(|session| is_taken_up(session, hello))
    }
}

fn is_taken_up(session: &Session, hello: &Hello) -> bool {
    session.lifetime.is_some() && !hello.clean_start && session.epoch == hello.epoch
}
