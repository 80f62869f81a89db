//! From one permitted message to all that want it: the retained slot, other shards, sessions here. Large fan-outs go
//! in slices (rule 2); what is published meanwhile waits, each publisher's messages in their order.

use super::Shard;
use super::waiting::{Fanout, Keeping};
use crate::attach::LinkId;
use crate::delivery::{Offer, Pressure};
use crate::frames::Frames;
use crate::input::{Asks, Body, Storage, SubscriptionIdSet};
use crate::interest::{Match, Reach, Reader, Subscriber};
use crate::law::Provenance;
use crate::limits;
use crate::message::Message;
use crate::outbound::Parcel;
use crate::output::Notice;
use crate::permit::{Permit, Publish, Topic};
use crate::persist::{Filing, Publication, Reservation};
use crate::placement::{ShardIndex, ShardSet, topic_home};
use keyward_mqtt::packet::Qos;
use keyward_mqtt::topic::{TopicFilter, TopicName};
use keyward_policy::Reading;
use std::sync::Arc;

/// Is what several subscriptions of one session make of one message: it gets one copy.
#[derive(Debug)]
struct Merged {
    qos: Qos,
    retain: bool,
    reading: Reading,
    ids: SubscriptionIdSet,
}

impl Shard {
    /// Sends a message everywhere where it belongs, now or when those before it are through; `was_accepted` says that it
    /// is on disk already and waited for that (QoS 2). Returns whether that makes something durable; of a message that
    /// waits it is assumed.
    pub(super) fn route(
        &mut self,
        permit: Permit<Publish>,
        message: Arc<Message>,
        was_accepted: bool,
    ) -> bool {
        let Some(topic) = message.topic_name() else { return false };
        let is_kept = message.qos > Qos::AtMostOnce && self.config.is_stored;
        let must_wait = self.must_wait();
        let opened = (is_kept && (must_wait || message.retain || was_accepted))
            .then(|| self.out.record.open(&message, was_accepted));
        if message.retain && self.home_of(topic) == self.config.index {
            self.keep(&permit, &message);
        }
        if must_wait {
            let keeping = opened.map_or(Keeping::Nobody, Keeping::Here);
            self.wait(Fanout::waiting(message, true, keeping));
            return true;
        }
        let mut matches = core::mem::take(&mut self.matches);
        let reach = self.find(topic, Some(&mut matches));
        let publication =
            opened.or_else(|| (is_kept && reach.stored).then(|| self.out.record.open(&message, false)));
        self.send_to_shards(&message, topic, reach, publication);
        let durable = reach.stored || message.retain;
        let keeping = publication.map_or(Keeping::Nobody, Keeping::Here);
        self.begin(permit, Fanout::new(message, matches, keeping));
        durable
    }

    /// Tells whether a message must wait for others, or for the next slice.
    fn must_wait(&self) -> bool {
        !self.fanouts.is_empty() || self.fanout_budget == 0
    }

    /// Lets a message wait for its turn. Where too much waits, QoS 0 is dropped; for the rest the work is done here and
    /// now: then this shard's inbox fills, and whoever sends to it stops reading (rule 3).
    fn wait(&mut self, fanout: Fanout) {
        let message = &fanout.message;
        let publisher = &message.publisher.identity;
        if self.fanouts.is_full_for(publisher) && message.qos == Qos::AtMostOnce && !message.retain {
            let publisher = publisher.clone();
            self.stats.dropped += 1;
            return self.out.notice(Notice::ShardBehind { publisher });
        }
        while self.fanouts.is_full_for(publisher) {
            self.continue_fanouts();
        }
        self.fanouts.push_back(fanout);
    }

    /// Finds whom a message concerns, and takes what that costs off this slice.
    fn find(&mut self, topic: TopicName<'_>, matches: Option<&mut Vec<Match>>) -> Reach {
        let topic = Topic::new(topic, &self.config.hash_key);
        let reach = self.interest.find(topic, matches);
        self.fanout_budget = self.fanout_budget.saturating_sub(reach.cost);
        reach
    }

    fn home_of(&self, topic: TopicName<'_>) -> ShardIndex {
        topic_home(&self.config.hash_key, topic.as_str(), self.config.shards)
    }

    /// Tells whether a message of this topic would make something durable beyond its publisher's own session; of one
    /// that would wait it is assumed.
    pub(super) fn reaches_stored(&mut self, topic: TopicName<'_>) -> bool {
        self.must_wait() || self.find(topic, None).stored
    }

    fn send_to_shards(
        &mut self,
        message: &Arc<Message>,
        topic: TopicName<'_>,
        reach: Reach,
        publication: Option<Publication>,
    ) {
        let mut homes = ShardSet::default();
        if message.retain {
            homes.insert(self.home_of(topic));
        }
        let mut targets = reach.shards;
        targets.union(homes);
        for shard in targets.iter().filter(|shard| *shard != self.config.index) {
            // A stored session there may have asked a moment ago. A place of QoS 2 beside the message that waits to be sent
            // on would be sent twice after a crash.
            let is_exchanged = message.qos == Qos::ExactlyOnce && reach.shards.contains(shard);
            let (places, slot) = (is_exchanged || reach.stored_by.contains(shard), homes.contains(shard));
            let asks = publication.filter(|_| places || slot);
            let asks = asks.map(|publication| Asks { publication, places, slot });
            if let Some(Asks { publication, .. }) = asks {
                self.out.record.expect(publication, usize::from(places) + usize::from(slot));
            }
            let body = Body::Publish {
                message: Arc::clone(message),
                retain: slot,
                deliver: reach.shards.contains(shard),
                asks,
            };
            self.out.post(shard, body);
        }
    }

    /// Puts a message into the retained slot of its topic, which lives here.
    pub(super) fn keep(&mut self, _permit: &Permit<Publish>, message: &Arc<Message>) {
        let Some(topic) = message.topic_name() else { return };
        // What was to be acknowledged was taken before: it is written in any case. What the broker says of itself never is.
        let is_full =
            self.storage != Storage::Open && message.qos == Qos::AtMostOnce && !message.publisher.is_broker();
        let is_short = (self.pressure() == Pressure::Critical || is_full) && !message.payload().is_empty();
        if is_short {
            // What the slot held is outdated all the same.
            self.retained.remove(topic);
        }
        if is_short || !self.retained.put(topic, Arc::clone(message)) {
            let publisher = message.publisher.identity.clone();
            self.out.notice(Notice::RetainedFull { publisher });
        } else if !message.payload().is_empty() && !message.publisher.is_broker() {
            self.out.record.retained(message);
        }
        self.record_emptied_slots();
    }

    /// Records which retained messages are gone.
    pub(super) fn record_emptied_slots(&mut self) {
        for topic in self.retained.take_emptied() {
            self.out.record.not_retained(&topic);
        }
    }

    /// Delivers a message that came from another shard to the sessions here that want it.
    pub(super) fn fan_out(
        &mut self,
        permit: Permit<Publish>,
        message: Arc<Message>,
        reservation: Option<Box<Reservation>>,
    ) {
        let keeping = reservation.map_or(Keeping::Nobody, Keeping::There);
        if self.must_wait() {
            return self.wait(Fanout::waiting(message, false, keeping));
        }
        let mut matches = core::mem::take(&mut self.matches);
        if let Some(topic) = message.topic_name() {
            self.find(topic, Some(&mut matches));
        }
        self.begin(permit, Fanout::new(message, matches, keeping));
    }

    /// Tells whether what the client of this link says may be decided now though there is work left: then fan-outs are
    /// all that is left, and none of them is its own. Who publishes to many does not keep others from being heard.
    pub fn may_be_read(&self, link: LinkId) -> bool {
        let slot = self.by_link.get(&link);
        let session = slot.and_then(|slot| self.sessions.get(*slot as usize));
        !self.has_work_beside_fanouts()
            && session.is_none_or(|session| !self.fanouts.holds(&session.key.identity))
    }

    fn begin(&mut self, _permit: Permit<Publish>, mut fanout: Fanout) {
        if self.deliver_slice(&mut fanout) {
            self.finish_fanout(fanout);
        } else {
            fanout.has_waited = true;
            self.fanouts.push_back(fanout);
        }
    }

    /// Begins a new slice, and goes on with the fan-outs that the last one had no time for.
    pub(super) fn continue_fanouts(&mut self) {
        self.fanout_budget = limits::FANOUT_SLICE;
        while self.fanout_budget > 0
            && let Some(mut fanout) = self.fanouts.pop()
        {
            if self.deliver_slice(&mut fanout) {
                self.finish_fanout(fanout);
            } else {
                self.fanouts.put_back(fanout);
            }
        }
    }

    /// Says of a message that has reached all its receivers here which places there are, and keeps the buffer for the
    /// next one.
    fn finish_fanout(&mut self, fanout: Fanout) {
        match fanout.keeping {
            Keeping::Nobody => {}
            Keeping::Here(publication) => self.out.record.close(publication),
            Keeping::There(reservation) => self.answer_reservation(*reservation),
        }
        let Some(mut matches) = fanout.matches else { return };
        matches.clear();
        matches.shrink_to(limits::MATCHES_KEPT);
        self.matches = matches;
    }

    /// Serves receivers until this slice is used up. Returns whether all have been served.
    fn deliver_slice(&mut self, fanout: &mut Fanout) -> bool {
        let message = Arc::clone(&fanout.message);
        let Some(name) = message.topic_name() else { return true };
        if fanout.has_waited && self.law.provenance(&message) == Provenance::Gone {
            let publisher = message.publisher.identity.clone();
            self.out.notice(Notice::PublisherGone { publisher });
            return true;
        }
        let matches = match fanout.matches.take() {
            Some(matches) => matches,
            None => self.find_matches(fanout, name),
        };
        self.begin_keeping(fanout);
        let mut frames = core::mem::take(&mut self.frames);
        frames.clear();
        let topic = Topic::new(name, &self.config.hash_key);
        while let Some(first) = matches.get(fanout.next)
            && self.fanout_budget > 0
        {
            let rest = &matches[fanout.next..];
            let group = &rest[..rest.iter().take_while(|next| next.reader == first.reader).count()];
            let cost = self.serve(group, &message, topic, &mut frames);
            self.fanout_budget = self.fanout_budget.saturating_sub(cost);
            fanout.next += group.len();
        }
        self.frames = frames;
        self.end_keeping(fanout);
        let is_done = fanout.next >= matches.len();
        fanout.matches = Some(matches);
        is_done
    }

    /// Has the places that are taken from now on go where they belong.
    fn begin_keeping(&mut self, fanout: &mut Fanout) {
        match core::mem::replace(&mut fanout.keeping, Keeping::Nobody) {
            Keeping::Nobody => {}
            Keeping::Here(publication) => {
                self.out.record.file(Filing::Publication(publication));
                fanout.keeping = Keeping::Here(publication);
            }
            Keeping::There(reservation) => self.out.record.begin_reserving(reservation),
        }
    }

    fn end_keeping(&mut self, fanout: &mut Fanout) {
        self.out.record.file(Filing::Newest);
        if let Some(reservation) = self.out.record.end_reserving() {
            fanout.keeping = Keeping::There(reservation);
        }
    }

    /// Finds the receivers of a message whose turn it is, and tells other shards if they do not know.
    fn find_matches(&mut self, fanout: &mut Fanout, topic: TopicName<'_>) -> Vec<Match> {
        let mut matches = core::mem::take(&mut self.matches);
        let reach = self.find(topic, Some(&mut matches));
        if core::mem::take(&mut fanout.is_for_all) {
            let publication = match fanout.keeping {
                Keeping::Here(publication) => Some(publication),
                Keeping::Nobody | Keeping::There(_) => None,
            };
            self.send_to_shards(&fanout.message, topic, reach, publication);
        }
        matches
    }

    /// Offers the message to one reader. Returns what that cost, in steps.
    fn serve(
        &mut self,
        group: &[Match],
        message: &Arc<Message>,
        topic: Topic<'_>,
        frames: &mut Frames,
    ) -> usize {
        let Some(first) = group.first() else { return 0 };
        let slot = match first.reader {
            Reader::Session(slot) => slot,
            Reader::Group(slot) => return self.offer_to_group(slot, first.subscriber.incarnation, message),
        };
        let lives = self
            .sessions
            .get(slot as usize)
            .is_some_and(|session| session.incarnation == first.subscriber.incarnation && !session.has_ended);
        if !lives {
            return 1;
        }
        let classing = self.class_subscriptions(slot);
        let Some(merged) = merge(group, message, classing.stamp) else { return group.len() };
        let Merged { qos, retain, reading, ids } = merged;
        let parcel = Parcel { message: Arc::clone(message), qos, retain, ids };
        let offer = Offer { parcel, topic, reading, classed: classing.stamp, replayed: false };
        let sent = self.out.bytes_sent;
        self.deliver(slot, |delivery| delivery.offer_live(offer, frames));
        let written = (self.out.bytes_sent - sent) as usize / limits::FANOUT_BYTES;
        limits::FANOUT_RECEIVER
            + group.len()
            + written
            + if classing.was_due { limits::RECLASS_COST } else { 0 }
    }

    /// Classes the subscriptions of a session anew if its rights have changed since (rule 8).
    pub(super) fn class_subscriptions(&mut self, slot: u32) -> Classing {
        let mut classing = Classing { stamp: 0, was_due: false };
        let Some(session) = self.sessions.get_mut(slot as usize) else { return classing };
        let Some(resident) = self.residents.get_mut(session.resident) else { return classing };
        resident.refresh(&self.law, slot, &session.key.client_id);
        let entitled = resident.entitled(slot, session.life);
        classing.stamp = entitled.stamp;
        if session.classed == entitled.stamp {
            return classing;
        }
        classing.was_due = true;
        session.classed = entitled.stamp;
        for text in &session.filters {
            let Ok(filter) = TopicFilter::parse(text) else { continue };
            let reading = entitled.rights.map_or(Reading::Never, |rights| rights.reading(filter));
            self.interest.class(filter, slot, reading, entitled.stamp);
        }
        classing
    }
}

/// Says by which rights the subscriptions of a session are classed now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Classing {
    pub(super) stamp: u64,
    /// Whether they had to be classed anew.
    was_due: bool,
}

/// Joins the subscriptions of one session that match: one copy at the highest quality of service, with all
/// identifiers [MQTT-3.3.4-2], [MQTT-3.3.4-4]. `None` if all of them leave the session's own messages out.
fn merge(group: &[Match], message: &Message, stamp: u64) -> Option<Merged> {
    let wanting = || {
        let subscribers = group.iter().map(|found| &found.subscriber);
        subscribers.filter(|wanting| !wanting.no_local || wanting.incarnation != message.origin)
    };
    let terms = |subscriber: &Subscriber| Merged {
        qos: subscriber.qos.min(message.qos),
        retain: message.retain && subscriber.retain_as_published,
        reading: if subscriber.classed == stamp { subscriber.reading } else { Reading::Mixed },
        ids: SubscriptionIdSet::NONE,
    };
    let mut merged = wanting().map(terms).reduce(|one, other| Merged {
        qos: one.qos.max(other.qos),
        retain: one.retain | other.retain,
        reading: better(one.reading, other.reading),
        ids: SubscriptionIdSet::NONE,
    })?;
    merged.ids = wanting().filter_map(|subscriber| subscriber.id).collect();
    Some(merged)
}

fn better(a: Reading, b: Reading) -> Reading {
    match (a, b) {
        (Reading::Covered, _) | (_, Reading::Covered) => Reading::Covered,
        (Reading::Mixed, _) | (_, Reading::Mixed) => Reading::Mixed,
        (Reading::Never, Reading::Never) => Reading::Never,
    }
}
