//! What a session is: subscriptions, what it is owed, its will, and how long it lives.

use super::groups::filter_of;
use super::law::{Law, matches};
use super::link::Stream;
use super::message::{Message, Owed};
use super::retained::Slots;
use super::{Breach, Checked, breach};
use crate::event::{ClientNo, MessageNo, ShardNo};
use crate::packet::{Hello, Publish};
use keyward_broker::LinkId;
use keyward_mqtt::packet::{Qos, SubscribeOptions, Version};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::Millis;
use std::collections::{BTreeMap, BTreeSet};

/// Is one session.
#[derive(Debug)]
pub(super) struct Session {
    /// Never used again.
    pub(super) serial: u64,
    pub(super) shard: ShardNo,
    pub(super) epoch: u64,
    /// The ticket with which it is on disk, if it is stored.
    pub(super) begun: u64,
    /// Whether it ever was to be stored.
    pub(super) was_stored: bool,
    /// The ticket with which it was taken off the disk: it is to end with its link after all.
    pub(super) unstored: Option<u64>,
    /// Subscriptions that were given up, each with the ticket that says so.
    pub(super) given_up: BTreeMap<String, u64>,
    /// How long it outlives its link; `None`: not at all.
    pub(super) lifetime: Option<Millis>,
    pub(super) link: Option<LinkId>,
    /// Whether CONNACK was written to the link.
    pub(super) established: bool,
    pub(super) expires: Option<Millis>,
    pub(super) will: Option<Will>,
    pub(super) subs: BTreeMap<String, Sub>,
    pub(super) owed: BTreeMap<MessageNo, Owed>,
    /// Counts the filters of its SUBSCRIBEs.
    pub(super) asks: u64,
    pub(super) replays: Vec<Replay>,
    /// How often each retained message was sent from its slot, and when last.
    pub(super) replayed: BTreeMap<MessageNo, (usize, u64)>,
    /// Messages of which a copy was taken for its own and may have been a group's: it went back with a link.
    pub(super) disowned: BTreeSet<MessageNo>,
    /// The newest message of each stream, in the order in which they were taken.
    pub(super) order: BTreeMap<Stream, u64>,
    /// Every shared subscription that it ever asked for.
    pub(super) shared: BTreeSet<String>,
    /// Whether some subscription wants the retain flag as it was published.
    pub(super) reads_as_published: bool,
    /// Whether some link of it took no packet above a size.
    pub(super) is_small: bool,
    /// What was last decided about publishing to each topic.
    pub(super) decisions: BTreeMap<String, bool>,
    /// Whether the present link found the session there.
    pub(super) resumed: bool,
    /// Those of them whose PUBREC was written.
    pub(super) acknowledged: BTreeSet<u16>,
    /// Packet ids of QoS 2 messages that its client published and has not released, each with the ticket that it may
    /// have waited for.
    pub(super) inbound: BTreeMap<u16, (Option<MessageNo>, u64)>,
    /// Whether this is certainly the session and not, unnoticed so far, a new one: its client came back in the moment
    /// in which it was due to end.
    pub(super) certain: bool,
}

/// Is a will that was left.
#[derive(Debug, Clone)]
pub(super) struct Will {
    pub(super) message: Publish,
    pub(super) delay: u32,
    /// When it is to be published, once its link is lost.
    pub(super) due: Option<Millis>,
    /// Whether it is certainly on disk.
    pub(super) is_durable: bool,
    /// Whether its client was connected when the last process ended: it is void once the client is back.
    pub(super) is_of_before: bool,
}

/// Is one subscription.
#[derive(Debug)]
pub(super) struct Sub {
    /// What was asked for, the latest last; more than one while a SUBACK is owed.
    pub(super) asked: Vec<Asked>,
    /// Whether a SUBACK granted it.
    pub(super) confirmed: bool,
    /// Which step did first.
    pub(super) confirmed_at: Option<u64>,
}

/// Is one filter of a SUBSCRIBE.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// Never used again.
    pub(super) serial: u64,
    pub(super) options: SubscribeOptions,
    pub(super) id: Option<u32>,
}

/// Is a replay of retained messages that a SUBSCRIBE asked for.
#[derive(Debug)]
pub(super) struct Replay {
    /// That of the filter of the SUBSCRIBE.
    pub(super) serial: u64,
    pub(super) filter: String,
    /// Whether it is certainly due.
    pub(super) is_sure: bool,
    pub(super) asked: u64,
    /// The oldest generation in force then.
    pub(super) generation: usize,
    /// When and over which link its SUBACK was written.
    pub(super) begun: Option<(Millis, LinkId)>,
    pub(super) checked: bool,
}

impl Sub {
    /// Tells whether the subscription, whichever it is, wants a message.
    fn wants(&self, message: &Message, session: u64) -> impl Iterator<Item = bool> {
        let own = message.origin == session;
        self.asked.iter().map(move |asked| !(asked.options.no_local && own))
    }
}

impl Session {
    pub(super) fn new(serial: u64, shard: ShardNo, epoch: u64) -> Self {
        Self {
            serial,
            shard,
            epoch,
            begun: 0,
            was_stored: false,
            unstored: None,
            given_up: BTreeMap::new(),
            lifetime: None,
            link: None,
            established: false,
            expires: None,
            will: None,
            subs: BTreeMap::new(),
            owed: BTreeMap::new(),
            asks: 0,
            replays: Vec::new(),
            replayed: BTreeMap::new(),
            disowned: BTreeSet::new(),
            order: BTreeMap::new(),
            shared: BTreeSet::new(),
            reads_as_published: false,
            is_small: false,
            decisions: BTreeMap::new(),
            resumed: false,
            acknowledged: BTreeSet::new(),
            inbound: BTreeMap::new(),
            certain: true,
        }
    }

    /// Forgets everything of before: it is a new session after all.
    pub(super) fn empty(&mut self) {
        self.subs.clear();
        self.owed.clear();
        self.replays.clear();
        self.replayed.clear();
        self.disowned.clear();
        self.order.clear();
        self.shared.clear();
        self.acknowledged.clear();
        self.inbound.clear();
        self.certain = true;
    }

    /// Lists the plain subscriptions that match a topic.
    pub(super) fn matching(&self, topic: &str) -> impl Iterator<Item = &Sub> {
        let plain = self.subs.iter().filter(|(filter, _)| !filter.starts_with("$share/"));
        plain.filter(move |(filter, _)| matches(filter, topic)).map(|(_, sub)| sub)
    }

    /// Lists the subscriptions that are not shared.
    pub(super) fn plain(&self) -> impl Iterator<Item = &Sub> {
        self.subs.iter().filter(|(filter, _)| !filter.starts_with("$share/")).map(|(_, sub)| sub)
    }

    /// Lists the shared subscriptions.
    pub(super) fn shared_groups(&self) -> impl Iterator<Item = &str> {
        self.subs.keys().map(String::as_str).filter(|filter| filter.starts_with("$share/"))
    }

    /// Tells whether a shared subscription matches a topic.
    pub(super) fn shared_matching(&self, topic: &str) -> bool {
        self.shared_groups().any(|shared| matches(filter_of(shared), topic))
    }

    /// Lists the groups that it ever asked for and that a topic is for.
    pub(super) fn groups_for(&self, topic: &str) -> Vec<String> {
        self.shared.iter().filter(|group| matches(filter_of(group), topic)).cloned().collect()
    }

    /// Says what of a message this session is owed by its subscriptions of this moment; `None` if nothing.
    pub(super) fn due(&self, message: &Message) -> Option<Owed> {
        let mut owed: Option<Owed> = None;
        for sub in self.matching(&message.topic) {
            if !sub.wants(message, self.serial).any(|wants| wants) {
                continue;
            }
            let is_sure = sub.confirmed && self.certain && sub.wants(message, self.serial).all(|wants| wants);
            let granted = sub.asked.iter().map(|asked| asked.options.qos.min(message.qos));
            let most = granted.clone().max().unwrap_or(Qos::AtMostOnce);
            let least = if is_sure { granted.min().unwrap_or(Qos::AtMostOnce) } else { Qos::AtMostOnce };
            let ids = (is_sure && sub.asked.len() == 1).then(|| sub.asked[0].id);
            let owed = owed.get_or_insert(Owed {
                must: false,
                arrived: false,
                qos: (least, most),
                ids: Some(Vec::new()),
                link: self.link.filter(|_| self.established),
                copies: 0,
                sent: 0,
                flagged: 0,
                last: 0,
            });
            owed.must |= is_sure;
            owed.qos = (owed.qos.0.max(least), owed.qos.1.max(most));
            match (ids, &mut owed.ids) {
                (Some(id), Some(ids)) => ids.extend(id),
                _ => owed.ids = None,
            }
        }
        owed
    }

    /// A subscription changed while a message was under way: it may come through it or not.
    pub(super) fn blur(&mut self, message: &Message, options: Option<SubscribeOptions>) {
        let qos = options.map_or(Qos::AtMostOnce, |options| options.qos.min(message.qos));
        let owed = self.owed.entry(message.number).or_insert(Owed {
            must: false,
            arrived: false,
            qos: (qos, qos),
            ids: None,
            link: None,
            copies: message.copies,
            sent: 0,
            flagged: 0,
            last: 0,
        });
        owed.ids = None;
        owed.qos = (owed.qos.0.min(qos), owed.qos.1.max(qos));
        if options.is_some() {
            owed.copies = owed.copies.max(message.copies);
        }
        if options.is_none_or(|options| options.no_local) {
            owed.must = false;
            owed.qos.0 = Qos::AtMostOnce;
        }
    }

    /// A SUBACK answers for one filter.
    pub(super) fn answer(
        &mut self,
        (filter, serial): (&str, u64),
        reason: ReasonCode,
        version: Version,
        at: (u64, Millis, LinkId),
    ) {
        let (step, now, link) = at;
        let begun = self.replays.iter().position(|replay| replay.serial == serial);
        // 3.1 has no word for a refusal: what it is told means nothing.
        let Some(sub) = self.subs.get_mut(filter).filter(|_| !is_oldest(version)) else { return };
        // It may have been given up and asked for again since.
        let Some(place) = sub.asked.iter().position(|asked| asked.serial == serial) else { return };
        if reason.is_failure() {
            sub.asked.remove(place);
            if sub.asked.is_empty() {
                self.subs.remove(filter);
            }
            begun.map(|place| self.replays.remove(place));
            return;
        }
        sub.asked.drain(..place);
        sub.confirmed = true;
        sub.confirmed_at.get_or_insert(step);
        if let Some(replay) = begun.and_then(|place| self.replays.get_mut(place)) {
            replay.begun = Some((now, link));
        }
    }

    /// A live copy of a message is written.
    pub(super) fn receive(&mut self, message: &Message, publish: &Publish, step: u64) -> Checked {
        let Some(owed) = self.owed.get_mut(&message.number) else {
            return breach!("nothing asks for {publish}");
        };
        if owed.sent >= owed.copies {
            return breach!("[MQTT-4.3.3] came {} times already: {publish}", owed.sent);
        }
        if publish.qos < owed.qos.0 || publish.qos > owed.qos.1 {
            return breach!("[MQTT-3.3.4-2] not at {:?}: {publish}", owed.qos);
        }
        if let Some(ids) = owed.ids.as_ref().filter(|_| owed.copies == 1 && !publish.retain) {
            let (mut expected, mut found) = (ids.clone(), publish.subscription_ids.clone());
            expected.sort_unstable();
            found.sort_unstable();
            if expected != found {
                return breach!("[MQTT-3.3.4-4] subscription identifiers are not {expected:?}: {publish}");
            }
        }
        owed.sent += 1;
        owed.flagged += u32::from(publish.retain);
        owed.last = step;
        Ok(())
    }

    /// A copy that has the retain flag, or one of those that were taken for live ones, may have come from the slot.
    /// Returns whether that explains a copy that was not owed.
    pub(super) fn recount(
        &mut self,
        message: &Message,
        publish: &Publish,
        step: u64,
        slots: &Slots,
        law: &Law,
    ) -> bool {
        let Some(owed) = self.owed.get_mut(&message.number) else { return false };
        let (least, most) = owed.qos;
        let fits = (least..=most).contains(&publish.qos);
        let is_exchanged = owed.flagged > 0 && owed.sent >= owed.copies && fits;
        owed.flagged -= u32::from(is_exchanged);
        (is_exchanged || publish.retain) && self.count_replay(message, step, slots, law).is_ok()
    }

    /// A retained message is written because it was asked for.
    pub(super) fn replay(
        &mut self,
        message: &Message,
        publish: &Publish,
        step: u64,
        slots: &Slots,
        law: &Law,
    ) -> Checked {
        self.count_replay(message, step, slots, law).map_err(|(came, most)| {
            Breach(format!("sent {came} times from its slot, asked for {most} times: {publish}"))
        })
    }

    /// Counts a copy from the slot. Fails with how often it came and how often it was asked for.
    fn count_replay(
        &mut self,
        message: &Message,
        step: u64,
        slots: &Slots,
        law: &Law,
    ) -> Result<(), (usize, usize)> {
        let (topic, number) = (&message.topic, message.number);
        let orders = self.replays.iter().filter(|replay| {
            matches(&replay.filter, topic)
                && slots.held_since(topic, Some(number), replay.asked)
                && law.allowed_since(replay.generation, message.account, topic)
        });
        let most = orders.count();
        let (came, last) = self.replayed.entry(number).or_default();
        if *came >= most {
            return Err((*came + 1, most));
        }
        *came += 1;
        *last = step;
        Ok(())
    }

    /// The link is over: what was to come at QoS 0 over it may be lost.
    pub(super) fn lose_link(&mut self) {
        self.link = None;
        self.established = false;
        for owed in self.owed.values_mut().filter(|owed| owed.qos.0 == Qos::AtMostOnce) {
            owed.must = false;
        }
    }
}

/// Tells whether a version is 3.1: its CONNACK does not say whether there was a session, its SUBACK not what was refused.
pub(super) fn is_oldest(version: Version) -> bool {
    !matches!(version, Version::V311 | Version::V5)
}

/// Says how long a session outlives its link, as CONNECT asks for it.
pub(super) fn lifetime(hello: &Hello, longest: Millis) -> Option<Millis> {
    match (hello.version, hello.session_expiry) {
        (Version::V5, None | Some(0)) => None,
        (Version::V5, Some(secs)) => Some(Millis::from_secs(u64::from(secs)).min(longest)),
        _ if hello.clean_start => None,
        _ => Some(longest),
    }
}

/// Names a session: no two clients have one account and one client id.
pub(super) type Sessions = BTreeMap<ClientNo, Session>;
