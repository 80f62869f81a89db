//! Changes of the law reach a shard.

use super::{Checked, Model, breach};
use crate::event::{AccountNo, Serial, ShardNo};
use crate::races::Race;
use keyward_broker::Standing;
use keyward_mqtt::packet::Qos;
use keyward_policy::Action;

impl Model {
    /// A shard goes by a change: what may not arrive any more is not owed any more.
    pub(super) fn enact(&mut self, shard: ShardNo, change: Serial) {
        self.law.enact(shard, change);
        self.law_changed = self.step;
        if matches!(change, Serial::Registry(_)) {
            self.expel_refused(shard);
        }
        self.forgive_readers(shard);
        self.forgive_publishers(shard);
    }

    /// Links that the registry does not allow are closed, sessions of the absent are ended, in this very input.
    fn expel_refused(&mut self, shard: ShardNo) {
        let here = self.sessions.iter().filter(|(_, session)| session.shard == shard);
        for client in here.map(|(client, _)| *client).collect::<Vec<_>>() {
            let life = self.law.life(shard, self.account(client));
            let Some(session) = self.sessions.get(&client) else { continue };
            let is_same = life.epoch == session.epoch;
            let is_linked = session.link.is_some();
            match life.standing {
                Standing::Active if is_same => continue,
                Standing::Disabled if is_same && !is_linked => continue,
                Standing::Disabled if is_same => self.leave(client, true),
                _ => {
                    let waits = session.owed.values().any(|owed| owed.must && !owed.arrived);
                    self.races.note_if(waits, Race::RevokedWithQueue);
                    self.fire_will(client);
                    self.end_session(client);
                }
            }
            self.races.note_if(!is_linked, Race::AbsentPrincipalChanged);
        }
    }

    fn forgive_readers(&mut self, shard: ShardNo) {
        for (client, session) in self.sessions.iter_mut().filter(|(_, session)| session.shard == shard) {
            let account = AccountNo(self.setup.clients[client.0].account);
            for (number, owed) in session.owed.iter_mut().filter(|(_, owed)| owed.must && !owed.arrived) {
                let topic = &self.messages[number].topic;
                owed.must = self.law.may(shard, account, session.epoch, Action::Receive, topic);
                self.races.note_if(!owed.must, Race::ReaderLostRightWithQueue);
            }
        }
    }

    fn forgive_publishers(&mut self, shard: ShardNo) {
        for (number, message) in &self.messages {
            let here = self.sessions.get(&message.client).is_none_or(|session| session.shard == shard);
            // A QoS 2 message that waits for the disk is asked about again.
            let is_held = message.qos == Qos::ExactlyOnce && !message.accepted && here;
            let (account, epoch) = (message.account, message.epoch);
            let is_there = self.law.delivers_of(shard, account, epoch, message.is_will);
            let may_publish = self.law.may(shard, account, epoch, Action::Publish, &message.topic);
            if is_there && (!is_held || may_publish) {
                continue;
            }
            self.races.note_if(is_held && message.flying, Race::PublisherLostRightInCommit);
            self.groups.forgive(*number);
            for session in self.sessions.values_mut() {
                if let Some(owed) = session.owed.get_mut(number) {
                    let was_owed = owed.must && !owed.arrived;
                    self.races.note_if(was_owed && !is_there, Race::PublisherRevokedWithMailUnderWay);
                    owed.must = false;
                }
            }
        }
    }

    /// A shard says that all that follows from a change is done.
    pub(super) fn report(&mut self, shard: ShardNo, change: Serial) -> Checked {
        for (link, of) in self.links.iter().filter(|(_, of)| of.shard == Some(shard) && of.is_open) {
            let life = self.law.life(shard, self.account(of.client));
            let is_allowed = life.standing == Standing::Active && life.epoch == of.hello.epoch;
            if !is_allowed && matches!(change, Serial::Registry(_)) {
                return breach!("{shard} reports {change} and link {} is still open: {life:?}", link.0);
            }
        }
        Ok(())
    }
}
