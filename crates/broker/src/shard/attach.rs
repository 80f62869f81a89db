//! CONNECT, after the door has authenticated it: is it admitted, whose session does it get, what happens to the link
//! before it.

use super::Shard;
use super::portion::{lease, portion};
use crate::attach::{Attach, Testament};
use crate::bound::Bound;
use crate::delivery::Pressure;
use crate::input::{Storage, Ticket};
use crate::limits;
use crate::link::{Answer, Link, Welcome};
use crate::message::MessageId;
use crate::outbox::Outbox;
use crate::output::{CloseCause, Denial, DeniedAction, Notice, Output};
use crate::persist::Away;
use crate::principal::{Principal, Standing};
use crate::session::{Incarnation, Lifetime, Session, SessionKey};
use keyward_mqtt::codec;
use keyward_mqtt::packet::{ConnAck, Packet, Version};
use keyward_mqtt::property::ConnAckProperties;
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::{Millis, UnixMillis};
use keyward_mqtt::topic::{TopicFilter, TopicName};
use keyward_policy::Check;
use keyward_policy::CitedRule;
use std::sync::Arc;

/// Says why a CONNECT is refused, and what people are told of it.
#[derive(Debug)]
struct Refused {
    reason: ReasonCode,
    /// What the identity was denied, if it was that.
    denied: Option<(DeniedAction, Box<str>, Option<CitedRule>)>,
}

impl From<ReasonCode> for Refused {
    fn from(reason: ReasonCode) -> Self {
        Self { reason, denied: None }
    }
}

impl Shard {
    /// Gives a link its session. Entry into the index and check against the directory are one step here: no change
    /// of the directory can come between them (rule 6).
    pub(super) fn attach(&mut self, attach: Attach) {
        if self.by_link.contains_key(&attach.link) {
            return;
        }
        self.stats.packets_received += 1;
        let key =
            SessionKey { identity: attach.publisher.identity.clone(), client_id: attach.client_id.clone() };
        match self.admit(&attach, &key) {
            Ok(()) => self.establish(attach, key),
            Err(refused) => self.refuse(&attach, refused),
        }
    }

    fn admit(&mut self, attach: &Attach, key: &SessionKey) -> Result<(), Refused> {
        if self.is_stopping {
            return Err(ReasonCode::ServerUnavailable.into());
        }
        let principal = self.law.same_life(&attach.publisher).cloned();
        let may_act = |it: &Arc<Principal>| it.standing == Standing::Active && it.epoch == attach.epoch;
        let Some(principal) = principal.filter(may_act) else {
            let denied = Some((DeniedAction::Attach, "".into(), None));
            return Err(Refused { reason: ReasonCode::NotAuthorized, denied });
        };
        if attach.client_id.as_str().len() > self.config.limits.client_id_bytes {
            self.refuse_beyond(key, Bound::ClientIdBytes);
            return Err(ReasonCode::ClientIdentifierNotValid.into());
        }
        if let Some(will) = &attach.will {
            self.authorise_will(&principal, key, will)?;
            if self.pressure() == Pressure::Critical && will.weight() > limits::SMALL_WILL {
                self.out.notice(Notice::NoMemory { identity: key.identity.clone() });
                return Err(ReasonCode::ServerBusy.into());
            }
        }
        self.check_storage(attach, key)?;
        if self.by_key.contains_key(key) { Ok(()) } else { self.admit_session(key) }
    }

    /// Refuses a CONNECT for which something would have to be stored and cannot be: a new stored session; once the store is
    /// broken also what CONNACK would wait for without end.
    fn check_storage(&mut self, attach: &Attach, key: &SessionKey) -> Result<(), Refused> {
        let lifetime = self.lifetime(attach.session_expiry, attach.version, attach.clean_start);
        let is_stored = lifetime != Lifetime::WithLink;
        let reason = match self.storage {
            Storage::Open => return Ok(()),
            _ if is_stored && !self.resumes(key, attach) => ReasonCode::QuotaExceeded,
            Storage::Broken if self.would_wait_for_ever(key, attach, is_stored) => {
                ReasonCode::ServerUnavailable
            }
            Storage::Full | Storage::Broken => return Ok(()),
        };
        self.out.notice(Notice::NoRoom { identity: key.identity.clone() });
        Err(reason.into())
    }

    /// Tells whether CONNACK would wait for the store: for the end of a stored session, for a will, for what ended a part of
    /// an exchange.
    fn would_wait_for_ever(&self, key: &SessionKey, attach: &Attach, is_stored: bool) -> bool {
        let session = self.by_key.get(key).and_then(|slot| self.sessions.get(*slot as usize));
        let ends_stored = session.is_some_and(Session::is_stored) && !self.resumes(key, attach);
        let leaves_will = attach.will.as_ref().is_some_and(|will| is_stored || will.retain || will.delay > 0);
        let is_owed = session.is_some_and(|session| session.exchanged > self.commits.done());
        ends_stored || leaves_will || is_owed
    }

    /// Tells whether a client takes up a stored session that it has.
    fn resumes(&self, key: &SessionKey, attach: &Attach) -> bool {
        let slot = self.by_key.get(key).copied();
        let session = slot.and_then(|slot| self.sessions.get(slot as usize));
        session.is_some_and(|session| session.is_stored() && !session.begins_anew(attach))
    }

    /// Refuses a CONNECT whose will its owner may not publish.
    fn authorise_will(
        &mut self,
        principal: &Arc<Principal>,
        key: &SessionKey,
        will: &Testament,
    ) -> Result<(), Refused> {
        if will.weight() > self.config.limits.will_bytes {
            self.refuse_beyond(key, Bound::WillBytes);
            return Err(ReasonCode::QuotaExceeded.into());
        }
        if let Some(bound) = self.topic_bound(&will.topic) {
            self.refuse_beyond(key, bound);
            return Err(ReasonCode::TopicNameInvalid.into());
        }
        let Ok(topic) = TopicName::parse(&will.topic) else {
            return Err(ReasonCode::TopicNameInvalid.into());
        };
        let rights = self.law.rights(principal);
        let rights = rights.of_client(key.client_id.as_str()).unwrap_or(rights);
        let decision = rights.decide_will(topic);
        // A will lies here until it is due: its signature would be older than any other message, and its number taken long before.
        let unsigned = rights.demand(topic).filter(|demand| demand.check == Check::Require);
        if decision.allowed && unsigned.is_none() {
            return Ok(());
        }
        let rule = unsigned.map(|demand| demand.rule).or(decision.rule).map(|rule| rule.cite());
        let denied = Some((DeniedAction::Will, will.topic.clone(), rule));
        Err(Refused { reason: ReasonCode::NotAuthorized, denied })
    }

    /// Refuses a new session beyond the bounds.
    fn admit_session(&mut self, key: &SessionKey) -> Result<(), Refused> {
        let limits = &self.config.limits;
        if self.pressure() == Pressure::Critical {
            self.out.notice(Notice::NoMemory { identity: key.identity.clone() });
            return Err(ReasonCode::ServerBusy.into());
        }
        if self.sessions.len() >= portion(limits.sessions, self.config.shards) {
            self.refuse_beyond(key, Bound::Sessions);
            return Err(ReasonCode::ServerBusy.into());
        }
        let bound = lease(limits.sessions_per_identity, &key.identity, self.config.shards);
        let of_identity = self.residents.find(&key.identity).map_or(0, |resident| resident.sessions.len());
        if of_identity < bound {
            return Ok(());
        }
        self.refuse_beyond(key, Bound::SessionsPerIdentity);
        Err(ReasonCode::QuotaExceeded.into())
    }

    /// Tells people that a CONNECT is refused because of a bound.
    fn refuse_beyond(&mut self, key: &SessionKey, bound: Bound) {
        self.out.notice(Notice::Limit { identity: key.identity.clone(), bound });
    }

    fn refuse(&mut self, attach: &Attach, refused: Refused) {
        let Refused { reason, denied } = refused;
        if let Some((action, topic, rule)) = denied {
            let identity = attach.publisher.identity.clone();
            let client_id = attach.client_id.clone();
            self.out.say(Output::Denied(Denial { identity, client_id, action, topic, rule }));
        }
        let packet = Packet::ConnAck(ConnAck {
            session_present: false,
            reason,
            properties: ConnAckProperties::default(),
        });
        let mut last = Outbox::default();
        // What cannot be encoded is left out: this can.
        let _ = last.push_with(|bytes| codec::encode(&packet, attach.version, bytes));
        self.out.say(Output::Close {
            link: attach.link,
            cause: CloseCause::Refused(reason),
            last: Some(last),
        });
    }

    fn establish(&mut self, mut attach: Attach, key: SessionKey) {
        let mut must_be_durable = false;
        if let Some(slot) = self.by_key.get(&key).copied() {
            must_be_durable = self.supersede(slot, &attach);
        }
        let resumed = self.by_key.get(&key).copied();
        let slot = match resumed {
            Some(slot) => slot,
            None => self.open_session(key, attach.publisher.life),
        };
        let lifetime = self.lifetime(attach.session_expiry, attach.version, attach.clean_start);
        self.set_lifetime(slot, lifetime);
        let welcome = self.welcome(&attach, lifetime, resumed.is_some());
        let will = attach.will.take().map(Box::new);
        must_be_durable |=
            will.as_ref().is_some_and(|will| will.retain || will.delay > 0 || lifetime != Lifetime::WithLink);
        let link = Link::new(&attach, &self.config.limits);
        self.by_link.insert(link.id, slot);
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            session.will = will;
            session.link = Some(Box::new(link));
            session.outbound.restart();
        }
        self.record_session(slot, None);
        self.record_will(slot, None);
        let mut wait = self.wait_if(must_be_durable);
        // What ended a part of an exchange over an older link is asked about and repeated over this one.
        let exchanged = self.sessions.get(slot as usize).map_or_else(Ticket::default, |it| it.exchanged);
        wait.ticket = wait.ticket.max(exchanged);
        self.answer(slot, wait, Answer::ConnAck(Box::new(welcome)));
    }

    /// Deals with the session that the client had: an older link is closed (rule 5), its will follows, and the session
    /// ends if the client wants a new one or if the identity has another life. Returns whether a stored session ended.
    fn supersede(&mut self, slot: u32, attach: &Attach) -> bool {
        self.cut(slot, CloseCause::TakenOver, Some(ReasonCode::SessionTakenOver), true);
        self.cancel_expiry_timer(slot);
        if self.sessions.get(slot as usize).is_some_and(|session| session.will_is_of_before) {
            self.drop_will(slot);
        }
        let Some(session) = self.sessions.get(slot as usize) else { return false };
        let ends = session.lifetime == Lifetime::WithLink || session.begins_anew(attach);
        let was_stored = session.is_stored();
        let is_due = session.will.as_ref().is_some_and(|will| will.delay == 0);
        if ends || is_due {
            self.fire_will(slot);
        } else {
            // The client is back before its will was due [MQTT-3.1.3-9].
            self.drop_will(slot);
        }
        if ends {
            self.end_session(slot);
        }
        ends && was_stored
    }

    fn open_session(&mut self, key: SessionKey, life: u64) -> u32 {
        let resident = self.residents.admit(&key.identity);
        let incarnation = self.next_incarnation();
        let session = Session::new(key.clone(), incarnation, life, resident, self.config.hash_key);
        // Sessions are bounded far below the range.
        let slot = self.sessions.insert(session) as u32;
        self.by_key.insert(key, slot);
        if let Some(resident) = self.residents.get_mut(resident) {
            resident.sessions.insert(slot);
        }
        slot
    }

    /// Returns a number that no session and no group had.
    pub(super) fn next_incarnation(&mut self) -> Incarnation {
        Incarnation(self.next_number())
    }

    pub(super) fn next_message_id(&mut self) -> MessageId {
        MessageId(self.next_number())
    }

    fn next_number(&mut self) -> u64 {
        // Shards count in steps of their number from their own index: a number is never used twice.
        let shards = u64::from(self.config.shards);
        self.numbered += 1;
        self.last_number + self.numbered * shards + u64::from(self.config.index.0)
    }

    /// Says how long a session outlives its link: as 5.0 asks, within our bound; in 3.1.1 as long as that bound unless
    /// it is a clean session.
    fn lifetime(&self, asked: Option<u32>, version: Version, clean: bool) -> Lifetime {
        let longest = self.config.limits.session_expiry;
        match (version, asked) {
            (Version::V31 | Version::V311, _) if clean => Lifetime::WithLink,
            (Version::V31 | Version::V311, _) => Lifetime::After(longest),
            (Version::V5, None | Some(0)) => Lifetime::WithLink,
            (Version::V5, Some(secs)) => Lifetime::After(Millis::from_secs(u64::from(secs)).min(longest)),
        }
    }

    /// Changes the lifetime of a session, as DISCONNECT may. Returns false if that is not allowed: what was to end
    /// with its link stays so [MQTT-3.14.2-2].
    pub(super) fn change_expiry(&mut self, slot: u32, secs: u32) -> bool {
        let Some(session) = self.sessions.get(slot as usize) else { return false };
        if session.lifetime == Lifetime::WithLink && secs > 0 {
            return false;
        }
        let lifetime = self.lifetime(Some(secs), Version::V5, false);
        self.set_lifetime(slot, lifetime);
        true
    }

    fn set_lifetime(&mut self, slot: u32, lifetime: Lifetime) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let was_stored = session.is_stored();
        session.lifetime = lifetime;
        let is_stored = session.is_stored();
        if was_stored == is_stored {
            return;
        }
        if was_stored {
            self.erase_records(slot);
        }
        let Some(session) = self.sessions.get(slot as usize) else { return };
        for text in session.filters.clone() {
            if let Ok(filter) = TopicFilter::parse(&text) {
                let announcement = self.interest.set_stored(filter, is_stored);
                self.announce(announcement);
            }
        }
        self.restate_memberships(slot);
    }

    /// Records a stored session; `left` is when its link ended, if it has none.
    pub(super) fn record_session(&mut self, slot: u32, left: Option<UnixMillis>) {
        let Some(session) = self.sessions.get(slot as usize) else { return };
        if let Some(terms) = session.terms(left) {
            self.out.record.session(session.incarnation, &terms);
        }
    }

    /// Records that a session is stored no longer, and nothing of it.
    fn erase_records(&mut self, slot: u32) {
        self.forsake_places(slot, Away::Stays);
        self.erase_session(slot);
        let Some(session) = self.sessions.get(slot as usize) else { return };
        for text in session.filters.iter().chain(session.shares.held.keys()) {
            self.out.record.unsubscribed(session.incarnation, text);
        }
        if session.will.as_ref().is_some_and(|will| !will.retain && will.delay == 0) {
            self.record_will_gone(slot);
        }
    }

    /// Tells whether who attaches has a key for messages: others need no nonce.
    fn signs(&self, attach: &Attach) -> bool {
        self.law.same_life(&attach.publisher).is_some_and(|principal| !principal.message_keys.is_empty())
    }

    fn welcome(&self, attach: &Attach, lifetime: Lifetime, session_present: bool) -> Welcome {
        let longest = self.config.limits.keep_alive_secs.get();
        let is_too_long = attach.keep_alive == 0 || attach.keep_alive > longest;
        let keep_alive_is_ours = attach.version.is_v5() && is_too_long;
        let granted = match lifetime {
            Lifetime::WithLink => 0,
            Lifetime::After(span) => u32::try_from(span.as_secs()).unwrap_or(u32::MAX),
        };
        Welcome {
            session_present,
            assigned_client_id: attach.assigned.then(|| attach.client_id.as_str().to_owned()),
            keep_alive: if keep_alive_is_ours { longest } else { attach.keep_alive },
            keep_alive_is_ours,
            authenticated: attach.authenticated.clone(),
            nonce: attach.nonce.filter(|_| self.signs(attach)),
            session_expiry: attach.session_expiry.filter(|asked| *asked != granted).map(|_| granted),
        }
    }
}
