//! What holds after every tick, when nothing is under way, and when everybody has left.

use super::law::matches;
use super::message::Loss;
use super::session::Session;
use super::{Checked, Model, breach};
use crate::event::{ClientNo, MessageNo, ShardNo};
use crate::races::Race;
use keyward_broker::ShardStats;
use keyward_broker::limits::GROUP_CREDIT;
use keyward_mqtt::time::Millis;
use keyward_policy::Action;

/// What was taken so long ago has landed, if no letter and no ticket is under way since: a fan-out in slices takes no
/// time at all.
const FLIGHT: Millis = Millis(1_000);

impl Model {
    pub(super) fn count(&mut self, shard: ShardNo, stats: &ShardStats) -> Checked {
        self.shards[shard.0].stats = *stats;
        let memory = (self.setup.limits.memory_total / self.shards.len()) as u64;
        self.races.note_if(stats.memory * 10 > memory * 8, Race::MemoryShort);
        self.races.note_if(stats.memory * 10 > memory * 9, Race::MemoryVeryShort);
        for of in self.links.values_mut().filter(|of| of.shard == Some(shard)) {
            let is_left = core::mem::take(&mut of.taken_in_tick) && of.is_open && of.has_more();
            self.races.note_if(is_left, Race::PacketsLeftForLater);
        }
        for link in core::mem::take(&mut self.early_wills) {
            if self.links.get(&link).is_some_and(|of| of.is_open) {
                return breach!("the will of link {} was published, and it is still open", link.0);
            }
        }
        if self.is_stopping {
            return Ok(());
        }
        self.check_bounds(shard, stats)?;
        self.check_books(shard, stats)?;
        self.note_known_links();
        self.land();
        self.check_replays()
    }

    fn check_bounds(&self, shard: ShardNo, stats: &ShardStats) -> Checked {
        let limits = &self.setup.limits;
        let portion = |total: usize| (total / self.shards.len()).max(1) as u64;
        let groups = (self.groups.members.len() as u64).max(stats.groups);
        // Beyond what waits, a group holds what it handed out, on the shards of its members too.
        let handed = groups * u64::from(GROUP_CREDIT) * self.setup.clients.len() as u64;
        let queues = stats.sessions + groups;
        let outboxes = stats.links * (limits.outbox_bytes_hard as u64 + u64::from(limits.packet_bytes));
        for (what, held, bound) in [
            ("sessions", stats.sessions, portion(limits.sessions)),
            ("retained", stats.retained, portion(limits.retained)),
            ("retained_bytes", stats.retained_bytes, portion(limits.retained_bytes)),
            ("queue_messages", stats.queued, queues * limits.queue_messages as u64 + handed),
            (
                "queue_bytes",
                stats.queued_bytes,
                queues * limits.queue_bytes as u64 + handed * u64::from(limits.packet_bytes),
            ),
            ("outbox_bytes_hard", stats.outbox_bytes, outboxes),
            ("subscriptions", stats.subscriptions, stats.sessions * limits.subscriptions_per_session as u64),
            // What must be kept of a session and its link is kept also when memory is short.
            ("memory_total", stats.memory, portion(limits.memory_total) + stats.sessions * 8 * 1024),
        ] {
            if held > bound {
                return breach!("{shard} holds {held} under {what}, the bound is {bound}");
            }
        }
        Ok(())
    }

    /// What a shard says it holds is what it must hold: nothing is left of sessions that ended.
    fn check_books(&self, shard: ShardNo, stats: &ShardStats) -> Checked {
        let here = || self.sessions.values().filter(|session| session.shard == shard);
        let clients = self.sessions.iter().filter(|(_, session)| session.shard == shard).map(|(no, _)| no);
        let are_honest = clients.into_iter().all(|client| self.setup.clients[client.0].is_honest);
        let sessions = here().count() as u64;
        let links = here().filter(|session| session.link.is_some()).count() as u64;
        if (stats.sessions, stats.links) != (sessions, links) {
            let held = (stats.sessions, stats.links);
            return breach!("{shard} holds {held:?} sessions and links, there are {:?}", (sessions, links));
        }
        let subs = || here().flat_map(Session::plain);
        let least = here().filter(|session| session.certain);
        let least = least.flat_map(Session::plain).filter(|sub| sub.confirmed).count();
        if are_honest && !(least as u64..=subs().count() as u64).contains(&stats.subscriptions) {
            let range = (least, subs().count());
            return breach!("{shard} holds {} subscriptions, there are {range:?}", stats.subscriptions);
        }
        Ok(())
    }

    fn is_quiet(&self) -> bool {
        self.letters == 0 && self.shards.iter().all(|shard| shard.asked == shard.answered)
    }

    fn note_known_links(&mut self) {
        if self.letters == 0 {
            for of in self.links.values_mut().filter(|of| of.is_open && of.welcomed) {
                of.known.get_or_insert(self.step);
            }
        }
    }

    fn land(&mut self) {
        if !self.is_quiet() {
            return;
        }
        let until = self.now.saturating_sub(FLIGHT);
        for message in self.messages.values_mut().filter(|message| message.taken_last < until) {
            message.flying = false;
        }
        self.slots.land(until, self.step);
    }

    /// Once nothing is under way, a replay has brought every retained message that certainly was there.
    fn check_replays(&mut self) -> Checked {
        if !self.is_quiet() {
            return Ok(());
        }
        for client in self.sessions.keys().copied().collect::<Vec<_>>() {
            let session = &self.sessions[&client];
            let is_idle = self.flights.get(&client).is_none_or(|flights| flights.is_empty())
                && self.shards[session.shard.0].stats.outbox_bytes == 0
                && self.setup.clients[client.0].is_honest;
            let until = self.now.saturating_sub(FLIGHT);
            for replay in session.replays.iter().filter(|it| it.is_sure && !it.checked && is_idle) {
                let is_over = replay.begun.is_some_and(|(at, link)| at < until && session.link == Some(link));
                if is_over && self.law_changed < replay.asked {
                    self.check_replay(client, session, &replay.filter, replay.asked)?;
                }
            }
            let Some(session) = self.sessions.get_mut(&client) else { continue };
            for replay in session.replays.iter_mut().filter(|_| is_idle) {
                replay.checked |= replay.begun.is_some_and(|(at, _)| at < until);
            }
        }
        Ok(())
    }

    fn check_replay(&self, client: ClientNo, session: &Session, filter: &str, asked: u64) -> Checked {
        let account = self.account(client);
        for (topic, number) in self.slots.certain(asked) {
            let Some(message) = self.messages.get(&number).filter(|_| matches(filter, topic)) else {
                continue;
            };
            let publisher = (message.account, message.epoch);
            let is_owed = message.accepted
                && message.copies == 1
                && !message.is_will
                && message.expires.is_none()
                && self.law.may(session.shard, account, session.epoch, Action::Receive, topic)
                && self.law.may(session.shard, publisher.0, publisher.1, Action::Publish, topic)
                && [
                    Loss::RetainedFull(message.account),
                    Loss::TooLarge(account),
                    Loss::NoMemory(account),
                    Loss::PublisherGone(message.account),
                    Loss::QueueFull { publisher: message.account, receiver: account },
                ]
                .iter()
                .all(|loss| self.losses.count(loss) == 0);
            // A replay leaves out what came live since it was asked for.
            let came = session.replayed.get(&number).is_some_and(|(_, last)| *last > asked)
                || session.owed.get(&number).is_some_and(|owed| owed.last > asked);
            if is_owed && !came && !session.reads_as_published {
                return breach!(
                    "{client} asked for {filter} and was not sent the retained {number} of {topic}"
                );
            }
        }
        Ok(())
    }

    /// Everything owed has arrived, but for what the broker said it lost.
    pub(super) fn settled(&mut self) -> Checked {
        for (client, session) in &self.sessions {
            if !self.setup.clients[client.0].is_honest || session.link.is_none() || !session.certain {
                continue;
            }
            let receiver = self.account(*client);
            let missing: Vec<MessageNo> = session
                .owed
                .iter()
                .filter(|(_, owed)| owed.must && !owed.arrived)
                .map(|(number, _)| *number)
                .collect();
            for number in missing {
                let message = &self.messages[&number];
                let qos = session.owed[&number].qos.0;
                let is_due = message.accepted && !message.is_expired(self.now);
                if is_due && !self.losses.explain(Loss::of_session(message, qos, receiver)) {
                    return breach!("{client} never got {number} (QoS {} {})", qos as u8, message.topic);
                }
            }
        }
        self.check_groups()?;
        self.check_queues()
    }

    fn check_queues(&self) -> Checked {
        if self.setup.clients.iter().any(|client| !client.is_honest) {
            return Ok(());
        }
        for (number, shard) in self.shards.iter().enumerate() {
            let all_here = self.sessions.values().filter(|it| it.shard.0 == number).all(|it| it.established);
            if all_here && !self.groups.is_any() && shard.stats.queued > 0 {
                return breach!("{} messages are left in queues of shard {number}", shard.stats.queued);
            }
        }
        Ok(())
    }

    /// Nothing is left of sessions, links, subscriptions, queues and outboxes.
    pub(super) fn abandoned(&self) -> Checked {
        if !self.sessions.is_empty() {
            return breach!("sessions outlive their time: {:?}", self.sessions.keys());
        }
        for (number, shard) in self.shards.iter().enumerate() {
            let stats = &shard.stats;
            let books = [stats.sessions, stats.links, stats.subscriptions, stats.queued, stats.queued_bytes];
            if books != [0; 5] || stats.outbox_bytes > 0 {
                return breach!("shard {number} still holds something: {stats:?}");
            }
        }
        Ok(())
    }
}
