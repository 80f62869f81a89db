//! A client subscribes and unsubscribes.

use super::Shard;
use super::member::is_shared;
use super::portion::lease;
use crate::bound::Bound;
use crate::delivery::Pressure;
use crate::input::Storage;
use crate::interest::{Reader, Subscribed, Subscriber, branch_bytes};
use crate::limits;
use crate::link::{Answer, Wait};
use crate::output::{Denial, DeniedAction, Notice, Output};
use crate::ratchet::RATCHET_TOPIC;
use crate::replay::ReplayOrder;
use crate::verified::NONCE_TOPIC;
use core::num::NonZeroU32;
use keyward_mqtt::packet::{Qos, RetainHandling, Subscribe, SubscribeOptions, Unsubscribe, Version};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::topic::{Subscription, TopicFilter};
use keyward_policy::Reading;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Gathers what the answer to a SUBSCRIBE says and waits for.
#[derive(Debug, Default)]
struct Granting {
    reasons: Vec<ReasonCode>,
    replays: Vec<ReplayOrder>,
    interest: u64,
    granted: bool,
    /// Groups that are to be asked, with the places of their codes.
    groups: BTreeMap<Arc<str>, Vec<usize>>,
}

/// Is a subscription that was granted.
#[derive(Debug)]
pub(super) enum Granted {
    /// For oneself.
    Own(Subscribed),
    /// As a member of a group, which is to be asked. Retained messages are not replayed to it (MQTT 5.0 chapter 4.8.2).
    Shared(Arc<str>),
}

impl Shard {
    pub(super) fn subscribe(&mut self, slot: u32, subscribe: &Subscribe<'_>) {
        let Some(session) = self.sessions.get(slot as usize) else { return };
        let is_stored = session.is_stored();
        let is_asking = session.link.as_ref().is_some_and(|link| link.is_asking(subscribe.id));
        let has_words = session.version() != Version::V31;
        let mut granting = Granting::default();
        let mut asks_nonce = false;
        let mut takes_part = false;
        for (number, (text, options)) in subscribe.filters.into_iter().enumerate() {
            if is_asking {
                granting.refuse(ReasonCode::PacketIdentifierInUse, options.qos, has_words);
                continue;
            }
            if !self.has_place_for(slot, number) {
                granting.refuse(ReasonCode::QuotaExceeded, options.qos, has_words);
                continue;
            }
            match self.subscribe_one(slot, text, options, subscribe.properties.subscription_id) {
                Ok(granted) => {
                    asks_nonce |= text == NONCE_TOPIC;
                    takes_part |= text == RATCHET_TOPIC;
                    granting.grant(granted, options, subscribe.properties.subscription_id);
                }
                Err(reason) => granting.refuse(reason, options.qos, has_words),
            }
        }
        let Wait { ticket, .. } = self.wait_if(is_stored && granting.granted);
        let mut joined = 0;
        for (group, places) in granting.groups {
            joined = self.ask_to_join(slot, &group, subscribe.id, places).max(joined);
        }
        let wait = Wait { ticket, interest: granting.interest, joined };
        self.answer(slot, wait, Answer::SubAck(subscribe.id, granting.reasons, granting.replays));
        if asks_nonce {
            // Behind it: with each SUBSCRIBE, for a session that is resumed has another one.
            self.answer(slot, Wait::default(), Answer::Nonce(subscribe.properties.subscription_id));
        }
        if takes_part {
            self.ask_ratchet(slot, subscribe.properties.subscription_id);
        }
        if joined > 0 {
            self.deliver(slot, |delivery| delivery.grant_credit());
        }
    }

    /// Tells whether a packet may have a filter of this number, from 0: no more than a session may have subscriptions are
    /// worked off. Takes what that costs off this slice.
    fn has_place_for(&mut self, slot: u32, number: usize) -> bool {
        let most = self.config.limits.subscriptions_per_session;
        if number < most {
            self.fanout_budget = self.fanout_budget.saturating_sub(limits::FILTER_COST);
        } else if number == most {
            self.notice_limit(slot, Bound::SubscriptionsPerSession);
        }
        number < most
    }

    /// Makes one subscription: granted if something that it could match may be read.
    fn subscribe_one(
        &mut self,
        slot: u32,
        text: &str,
        options: SubscribeOptions,
        id: Option<NonZeroU32>,
    ) -> Result<Granted, ReasonCode> {
        let Subscription { group, filter } =
            Subscription::parse(text).map_err(|_| ReasonCode::TopicFilterInvalid)?;
        if let Some(bound) = self.topic_bound(text) {
            self.notice_limit(slot, bound);
            return Err(ReasonCode::TopicFilterInvalid);
        }
        if group.is_some() {
            return self.share(slot, text, filter, options, id);
        }
        // Classes of older subscriptions are brought up to date first: one stamp holds for all.
        let stamp = self.class_subscriptions(slot).stamp;
        let reading = self.permit_subscribe(slot, text, filter, false)?;
        self.check_subscription_limits(slot, text, false)?;
        let session = self.sessions.get_mut(slot as usize).ok_or(ReasonCode::UnspecifiedError)?;
        let subscriber = Subscriber {
            incarnation: session.incarnation,
            qos: options.qos,
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            id,
            reading,
            classed: stamp,
        };
        let subscribed =
            self.interest.subscribe(filter, Reader::Session(slot), subscriber, session.is_stored());
        if subscribed.is_new() {
            session.filters.insert(Arc::clone(&subscribed.filter));
            self.subscriptions += 1;
            self.charge(slot, text);
        }
        self.announce(subscribed.announcement.clone());
        self.record_subscription(slot, text, options, id);
        Ok(Granted::Own(subscribed))
    }

    /// Records a subscription of a stored session.
    pub(super) fn record_subscription(
        &mut self,
        slot: u32,
        text: &str,
        options: SubscribeOptions,
        id: Option<NonZeroU32>,
    ) {
        let session = self.sessions.get(slot as usize).filter(|session| session.is_stored());
        if let Some(session) = session {
            self.out.record.subscription(session.incarnation, text, options, id);
        }
    }

    /// Records that a stored session has a subscription no longer.
    pub(super) fn record_unsubscribed(&mut self, slot: u32, text: &str) {
        let session = self.sessions.get(slot as usize).filter(|session| session.is_stored());
        if let Some(session) = session {
            self.out.record.unsubscribed(session.incarnation, text);
        }
    }

    /// Charges the owner of a session for a subscription.
    pub(super) fn charge(&mut self, slot: u32, text: &str) {
        self.subscription_bytes += cost(text, 1);
        let Some(session) = self.sessions.get(slot as usize) else { return };
        let Some(resident) = self.residents.get_mut(session.resident) else { return };
        resident.subscriptions += 1;
        resident.wildcards += usize::from(has_wildcard(text));
        resident.subscription_bytes += cost(text, self.config.shards);
    }

    /// Takes the charge for a subscription back.
    pub(super) fn discharge(&mut self, slot: u32, text: &str) {
        self.subscription_bytes = self.subscription_bytes.saturating_sub(cost(text, 1));
        let Some(session) = self.sessions.get(slot as usize) else { return };
        let Some(resident) = self.residents.get_mut(session.resident) else { return };
        resident.subscriptions = resident.subscriptions.saturating_sub(1);
        resident.wildcards = resident.wildcards.saturating_sub(usize::from(has_wildcard(text)));
        let bytes = cost(text, self.config.shards);
        resident.subscription_bytes = resident.subscription_bytes.saturating_sub(bytes);
    }

    /// Decides a SUBSCRIBE of `text`, whose filter is `filter`. Returns how much of it may be read.
    pub(super) fn permit_subscribe(
        &mut self,
        slot: u32,
        text: &str,
        filter: TopicFilter<'_>,
        shared: bool,
    ) -> Result<Reading, ReasonCode> {
        let session = self.sessions.get(slot as usize).ok_or(ReasonCode::UnspecifiedError)?;
        let resident = self.residents.get(session.resident).ok_or(ReasonCode::UnspecifiedError)?;
        let rights = resident.entitled(slot, session.life).rights;
        let decision = rights.map(|rights| (rights, rights.decide_subscribe(filter, shared)));
        if let Some((rights, decision)) = &decision
            && decision.allowed
        {
            return Ok(rights.reading(filter));
        }
        self.out.say(Output::Denied(Denial {
            identity: session.key.identity.clone(),
            client_id: session.key.client_id.clone(),
            action: DeniedAction::Subscribe,
            topic: text.into(),
            rule: decision.and_then(|(_, decision)| decision.rule.map(|rule| rule.cite())),
        }));
        Err(ReasonCode::NotAuthorized)
    }

    /// Refuses a subscription that would have to be stored and cannot be, and a new one beyond the bounds; one that
    /// replaces another is always taken as far as these go.
    pub(super) fn check_subscription_limits(
        &mut self,
        slot: u32,
        text: &str,
        shared: bool,
    ) -> Result<(), ReasonCode> {
        let session = self.sessions.get(slot as usize).ok_or(ReasonCode::UnspecifiedError)?;
        if session.is_stored() && self.storage != Storage::Open {
            self.out.notice(Notice::NoRoom { identity: session.key.identity.clone() });
            return Err(ReasonCode::QuotaExceeded);
        }
        if session.filters.contains(text) || session.shares.held.contains_key(text) {
            return Ok(());
        }
        let identity = &session.key.identity;
        if self.pressure() == Pressure::Critical {
            let identity = identity.clone();
            self.out.notice(Notice::NoMemory { identity });
            return Err(ReasonCode::QuotaExceeded);
        }
        let limits = &self.config.limits;
        let Some(resident) = self.residents.get(session.resident) else { return Ok(()) };
        let bound = |total| lease(total, identity, self.config.shards);
        let bytes = resident.subscription_bytes + cost(text, self.config.shards);
        let shares = session.shares.held.len();
        let broken = if session.filters.len() + shares >= limits.subscriptions_per_session {
            Bound::SubscriptionsPerSession
        } else if shared && shares >= limits.shared_per_session {
            Bound::SharedPerSession
        } else if resident.subscriptions >= bound(limits.subscriptions_per_identity) {
            Bound::SubscriptionsPerIdentity
        } else if has_wildcard(text) && resident.wildcards >= bound(limits.wildcards_per_identity) {
            Bound::WildcardsPerIdentity
        } else if bytes > bound(limits.subscription_bytes_per_identity) {
            Bound::SubscriptionBytesPerIdentity
        } else {
            return Ok(());
        };
        self.notice_limit(slot, broken);
        Err(ReasonCode::QuotaExceeded)
    }

    pub(super) fn unsubscribe(&mut self, slot: u32, unsubscribe: &Unsubscribe<'_>) {
        let Some(session) = self.sessions.get(slot as usize) else { return };
        let is_stored = session.is_stored();
        let is_asking = session.link.as_ref().is_some_and(|link| link.is_asking(unsubscribe.id));
        let has_words = session.version().is_v5();
        let mut reasons = Vec::new();
        for (number, text) in unsubscribe.filters.into_iter().enumerate() {
            let has_place = is_asking || self.has_place_for(slot, number);
            if !has_place && !has_words {
                return self.violation(slot, ReasonCode::QuotaExceeded);
            }
            reasons.push(match TopicFilter::parse(text) {
                _ if is_asking => ReasonCode::PacketIdentifierInUse,
                _ if !has_place => ReasonCode::ImplementationSpecificError,
                Err(_) => ReasonCode::TopicFilterInvalid,
                Ok(_) if is_shared(text) && self.leave_group(slot, text) => ReasonCode::Success,
                Ok(filter) if self.unsubscribe_one(slot, filter) => ReasonCode::Success,
                Ok(_) => ReasonCode::NoSubscriptionExisted,
            });
        }
        let wait = self.wait_if(is_stored && reasons.contains(&ReasonCode::Success));
        self.answer(slot, wait, Answer::UnsubAck(unsubscribe.id, reasons));
    }

    /// Ends one subscription. Returns false if there was none.
    pub(super) fn unsubscribe_one(&mut self, slot: u32, filter: TopicFilter<'_>) -> bool {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return false };
        if !session.filters.remove(filter.as_str()) {
            return false;
        }
        let before = session.held();
        session.drop_replays(|replay| replay.is_of(filter.as_str()));
        let after = session.held();
        self.queued.exchange(before, after);
        if let Some(resident) = self.residents.get_mut(session.resident) {
            resident.queued.exchange(before, after);
        }
        let is_stored = session.is_stored();
        self.subscriptions = self.subscriptions.saturating_sub(1);
        self.discharge(slot, filter.as_str());
        self.record_unsubscribed(slot, filter.as_str());
        let announcement = self.interest.unsubscribe(filter, Reader::Session(slot), is_stored).flatten();
        self.announce(announcement);
        true
    }
}

/// Returns the bytes that an identity is charged for a subscription; with other shards, which hear of its filter, one
/// copy more.
fn cost(text: &str, shards: u16) -> usize {
    limits::SUBSCRIPTION_OVERHEAD + 2 * text.len() + branch_bytes(text) * usize::from(shards).min(2)
}

fn has_wildcard(text: &str) -> bool {
    TopicFilter::parse(text).is_ok_and(|filter| !filter.is_literal())
}

/// Returns the code of a subscription that is granted as it was asked for.
fn granted(qos: Qos) -> ReasonCode {
    match qos {
        Qos::AtMostOnce => ReasonCode::Success,
        Qos::AtLeastOnce => ReasonCode::GrantedQos1,
        Qos::ExactlyOnce => ReasonCode::GrantedQos2,
    }
}

impl Granting {
    /// Notes a filter that gets no subscription. 3.1 has no word for that: it is answered as if it were granted.
    fn refuse(&mut self, reason: ReasonCode, asked: Qos, has_words: bool) {
        self.reasons.push(if has_words { reason } else { granted(asked) });
    }

    fn grant(&mut self, made: Granted, options: SubscribeOptions, id: Option<NonZeroU32>) {
        self.granted = true;
        let place = self.reasons.len();
        self.reasons.push(granted(options.qos));
        let subscribed = match made {
            Granted::Own(subscribed) => subscribed,
            Granted::Shared(group) => return self.groups.entry(group).or_default().push(place),
        };
        self.interest = self.interest.max(subscribed.token);
        let replays = match options.retain_handling {
            RetainHandling::Always => true,
            RetainHandling::IfNew => subscribed.is_new(),
            RetainHandling::Never => false,
        };
        if replays {
            self.replays.push(ReplayOrder { filter: subscribed.filter, qos: options.qos, id });
        }
    }
}
