//! The one place where permission becomes a value. What routes a message takes a [`Permit`]; only the functions here
//! make one, from a decision of the policy at this moment. A permit is used up where it was made: it is neither stored
//! nor queued nor sent to another shard.

use crate::input::Body;
use crate::law::Law;
use crate::limits;
use crate::message::{Message, Publisher};
use crate::placement::HashKey;
use crate::principal::Standing;
use core::marker::PhantomData;
use keyward_ids::ClientId;
use keyward_mqtt::topic::TopicName;
use keyward_policy::{Action, Reading, Rights};
use std::sync::Arc;

/// Is the evidence that the policy allowed one thing. It cannot be copied.
#[derive(Debug)]
#[must_use]
pub(crate) struct Permit<A>(PhantomData<A>);

/// Sending a message to a topic.
#[derive(Debug)]
pub(crate) enum Publish {}

/// Being handed a message.
#[derive(Debug)]
pub(crate) enum Receive {}

impl<A> Permit<A> {
    fn granted(allowed: bool) -> Option<Self> {
        allowed.then_some(Self(PhantomData))
    }
}

/// Is a topic with its keyed hash, computed once for all decisions about one message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Topic<'a> {
    pub(crate) name: TopicName<'a>,
    pub(crate) hash: u64,
}

impl<'a> Topic<'a> {
    pub(crate) fn new(name: TopicName<'a>, hash_key: &HashKey) -> Self {
        Self { name, hash: hash_key.hash(name.as_str()) }
    }
}

/// Is what a session may do now: the compiled rights of its principal, and a stamp that changes whenever they do.
/// Without rights (disabled, revoked, of an older life) nothing is allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entitled<'a> {
    pub(crate) rights: Option<&'a Rights>,
    pub(crate) stamp: u64,
}

/// Permits the holder of `entitled` to publish to `topic`.
pub(crate) fn publish<const N: usize>(
    entitled: Entitled<'_>,
    decisions: &mut Decisions<N>,
    topic: Topic<'_>,
) -> Option<Permit<Publish>> {
    Permit::granted(decisions.ask(entitled, Action::Publish, topic))
}

/// Permits the holder of `entitled` to be handed a message of `topic`.
pub(crate) fn receive<const N: usize>(
    entitled: Entitled<'_>,
    decisions: &mut Decisions<N>,
    topic: Topic<'_>,
) -> Option<Permit<Receive>> {
    Permit::granted(decisions.ask(entitled, Action::Receive, topic))
}

/// Permits it without asking if the subscription that the message came through is *covered* by these very rights:
/// then every topic that it can match is readable (rule 8).
pub(crate) fn receive_covered(
    entitled: Entitled<'_>,
    classed: u64,
    reading: Reading,
) -> Option<Permit<Receive>> {
    let covered = reading == Reading::Covered && classed == entitled.stamp && entitled.rights.is_some();
    Permit::granted(covered)
}

/// Permits a message to be routed that was held back (for the disk, or as a will): decided by what its publisher may
/// do at this moment, with the client id with which it sent the message if that is known.
pub(crate) fn publish_held(
    law: &mut Law,
    message: &Message,
    client: Option<&ClientId>,
    purpose: Purpose,
) -> Result<Permit<Publish>, Refusal> {
    let publisher: &Publisher = &message.publisher;
    let Some(principal) = law.same_life(publisher).map(Arc::clone) else { return Err(Refusal::Standing) };
    let stands = match principal.standing {
        Standing::Active => true,
        Standing::Revoked { publish_will, .. } => publish_will && purpose == Purpose::Will,
        Standing::Disabled | Standing::Removed => false,
    };
    if !stands {
        return Err(Refusal::Standing);
    }
    let Some(topic) = message.topic_name() else { return Err(Refusal::Rule) };
    // No will is signed for the moment at which it is published.
    let is_unsigned = purpose == Purpose::Will && law.requires_signature(&principal, topic);
    let allowed = !is_unsigned && law.may_publish(&principal, client, topic);
    Permit::granted(allowed).ok_or(Refusal::Rule)
}

/// Permits the broker itself to publish to `topic`: where no client may, and nowhere else.
pub(crate) fn publish_as_broker(topic: TopicName<'_>) -> Option<Permit<Publish>> {
    Permit::granted(topic.is_reserved())
}

/// Says for what a held message is routed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It waited for the disk.
    Durable,
    /// It is a will.
    Will,
}

/// Says why a held message may not be routed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Its publisher is disabled, revoked or removed.
    Standing,
    /// No rule allows it, or one denies it.
    Rule,
}

/// Stands for the decision that the publisher's shard made before it sent this letter (rule 7: publishing is decided
/// there, reading here).
pub(crate) fn published_elsewhere(letter: &Body) -> Option<Permit<Publish>> {
    Permit::granted(matches!(letter, Body::Publish { .. }))
}

/// Remembers the last decisions about topics: direct-mapped by topic hash, allocated on first use, valid while the
/// rights are (rule 8). Forgetting one costs a decision, never a message.
#[derive(Debug, Default)]
pub(crate) struct Decisions<const N: usize>(Vec<Option<Decided>>, usize);

#[derive(Debug, Default)]
struct Decided {
    stamp: u64,
    topic: String,
    allowed: bool,
}

impl<const N: usize> Decisions<N> {
    /// Returns the bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.0.len() * size_of::<Option<Decided>>() + self.1
    }

    fn ask(&mut self, entitled: Entitled<'_>, action: Action, topic: Topic<'_>) -> bool {
        let Some(rights) = entitled.rights else { return false };
        if topic.name.as_str().len() > limits::DECISION_TOPIC_BYTES {
            return rights.decide(action, topic.name).allowed;
        }
        if self.0.is_empty() {
            self.0.resize_with(N, || None);
        }
        // N is small, and the remainder smaller.
        let Some(place) = self.0.get_mut((topic.hash % N as u64) as usize) else { return false };
        if let Some(decided) = place
            && decided.stamp == entitled.stamp
            && decided.topic == topic.name.as_str()
        {
            return decided.allowed;
        }
        let allowed = rights.decide(action, topic.name).allowed;
        let decided = place.get_or_insert_default();
        self.1 -= decided.topic.capacity();
        // The memory of the text before is used again.
        decided.topic.clear();
        decided.topic.push_str(topic.name.as_str());
        self.1 += decided.topic.capacity();
        (decided.stamp, decided.allowed) = (entitled.stamp, allowed);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_policy::{Policy, Subject};

    #[test]
    fn long_topics_are_decided_and_not_remembered() {
        let subject = Subject {
            identity: "device:pump".parse().unwrap(),
            device_type: None,
            site: None,
            machine_chosen: false,
            quarantined: false,
        };
        let rights = Policy::builtin().rights(&subject);
        let entitled = Entitled { rights: Some(&rights), stamp: 1 };
        let hash_key = HashKey::new([7; 16]);
        let mut decisions = Decisions::<4>::default();
        let mut ask = |name: &str| {
            let topic = Topic::new(TopicName::parse(name).unwrap(), &hash_key);
            let permit = publish(entitled, &mut decisions, topic).is_some();
            (permit, decisions.0.iter().flatten().count())
        };
        let long = "x".repeat(limits::DECISION_TOPIC_BYTES);
        assert_eq!(ask(&format!("pump/{long}")), (true, 0));
        assert_eq!(ask(&format!("tank/{long}")), (false, 0));
        assert_eq!(ask("pump/a"), (true, 1));
    }
}
