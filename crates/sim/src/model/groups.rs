//! Shared subscriptions (rule 11): each message goes to one member. One at QoS 1 goes to another if its holder is lost;
//! one at QoS 2 never does [MQTT-4.8.2-5], [MQTT-4.8.2-6].

use super::law::matches;
use super::message::{Loss, Message};
use super::{Checked, breach};
use crate::event::{ClientNo, MessageNo};
use crate::packet::Publish;
use keyward_broker::LinkId;
use keyward_mqtt::packet::Qos;
use std::collections::{BTreeMap, BTreeSet};

/// Holds what groups were given, and who was sent what.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// What each group, by the text of the shared subscription, was given of each message.
    pub(super) given: BTreeMap<(MessageNo, String), Given>,
    pub(super) sent: BTreeMap<MessageNo, Vec<Copy>>,
    /// Who ever asked to be a member.
    pub(super) members: BTreeMap<String, BTreeSet<ClientNo>>,
    /// Messages without a number: they may fill a group's queue and be lost there.
    pub(super) unnumbered: Vec<Message>,
    newest: BTreeMap<Stream, Newest>,
}

/// Is one message in one group.
#[derive(Debug, Clone, Default)]
pub(super) struct Given {
    /// How often the group was given it, at most.
    pub(super) copies: usize,
    /// Whether a member must get it, if it is accepted; else one may.
    pub(super) must: bool,
    /// Whether a member certainly had all of it from here.
    pub(super) is_settled: bool,
    /// Sessions, each with its client, that may have been chosen for it at QoS 2 and were sent nothing of it when they
    /// lost their link: it is theirs, sent or not, and goes with them [MQTT-4.8.2-6].
    pub(super) chosen: BTreeSet<(ClientNo, u64)>,
    /// Losses that the broker has told of and that there was a reason for here.
    pub(super) excuses: BTreeSet<Loss>,
}

/// Is a copy that a client was sent, by one of its groups perhaps; by which, nobody sees.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) client: ClientNo,
    /// The client's session.
    pub(super) session: u64,
    pub(super) qos: Qos,
    pub(super) id: Option<u16>,
    /// Whether the client has it, or nobody waits for that.
    pub(super) arrived: bool,
    /// Whether a plain subscription accounts for it.
    pub(super) is_plain: bool,
    /// Those that can have sent it.
    pub(super) groups: Vec<String>,
    /// Those of them that the client has left since: what they sent is the session's own, no other gets it.
    pub(super) left: BTreeSet<String>,
}

impl Copy {
    /// Tells whether it may go to another when its holder is lost.
    fn may_go_back(&self) -> bool {
        let is_kept = !self.groups.is_empty() && self.groups.iter().all(|group| self.left.contains(group));
        !self.arrived && self.qos == Qos::AtLeastOnce && !is_kept
    }

    /// Tells whether it may be the session's own.
    pub(super) fn may_be_kept(&self) -> bool {
        self.qos == Qos::ExactlyOnce || !self.left.is_empty()
    }
}

/// Is what became of the messages that a member had not answered when its link was lost.
#[derive(Debug, Default)]
pub(super) struct Released {
    /// Whether one went back to its group.
    pub(super) is_any: bool,
    /// Whether one stays with the member.
    pub(super) is_kept: bool,
    /// Those of which a copy counted as a plain subscription's and may be the one that went back.
    pub(super) disowned: BTreeSet<MessageNo>,
}

/// Is what keeps its order on its way through a group: what one publisher sends to one topic at one quality of service,
/// as published and as sent.
type Stream = (String, ClientNo, ClientNo, String, Qos, Qos);

/// Is the newest message of a stream that a member was sent.
#[derive(Debug, Clone, Copy)]
struct Newest {
    taken: u64,
    link: LinkId,
}

/// Returns the filter in a shared subscription.
pub(super) fn filter_of(shared: &str) -> &str {
    shared.splitn(3, '/').nth(2).unwrap_or_default()
}

impl Groups {
    /// A client asks to be a member.
    pub(super) fn ask(&mut self, client: ClientNo, group: &str) {
        self.members.entry(group.to_owned()).or_default().insert(client);
    }

    /// A message goes to every group that wants it. `present` are the groups that somebody is a member of, `certain`
    /// those of which that is certain.
    pub(super) fn offer(
        &mut self,
        message: &Message,
        present: &BTreeSet<String>,
        certain: &BTreeSet<String>,
    ) {
        for group in self.members.keys().filter(|group| matches(filter_of(group), &message.topic)) {
            let given = self.given.entry((message.number, group.clone())).or_default();
            given.copies += usize::from(present.contains(group));
            given.must |= certain.contains(group) && message.qos > Qos::AtMostOnce;
            given.is_settled = false;
        }
    }

    /// A group is asked for while a message is under way: each of its copies may go there too.
    pub(super) fn blur(&mut self, message: &Message, group: &str) {
        let given = self.given.entry((message.number, group.to_owned())).or_default();
        given.copies = given.copies.max(message.copies as usize);
    }

    /// No member of a group is certain: what it held may be gone with the last one.
    pub(super) fn forsake(&mut self, group: &str) {
        let given = self.given.iter_mut().filter(|((_, name), _)| name == group);
        given.for_each(|(_, given)| given.must = false);
    }

    /// A session is without its link: what these groups may have chosen it for at QoS 2 is its own.
    pub(super) fn note_chosen(
        &mut self,
        holder: (ClientNo, u64),
        groups: &BTreeSet<String>,
        is_exchanged: impl Fn(MessageNo) -> bool,
    ) {
        let given =
            self.given.iter_mut().filter(|((_, group), given)| !given.is_settled && groups.contains(group));
        let given = given.filter(|((number, _), _)| is_exchanged(*number));
        given.for_each(|(_, given)| {
            given.chosen.insert(holder);
        });
    }

    /// A message is not owed any more.
    pub(super) fn forgive(&mut self, number: MessageNo) {
        self.of_mut(number).for_each(|given| given.must = false);
    }

    pub(super) fn of(&self, number: MessageNo) -> impl Iterator<Item = (&str, &Given)> {
        let given = self.given.range((number, String::new())..);
        let given = given.take_while(move |((other, _), _)| *other == number);
        given.map(|((_, group), given)| (group.as_str(), given))
    }

    fn of_mut(&mut self, number: MessageNo) -> impl Iterator<Item = &mut Given> {
        let given = self.given.range_mut((number, String::new())..);
        given.take_while(move |((other, _), _)| *other == number).map(|(_, given)| given)
    }

    /// A client is sent a message, by one of the groups that it has been in perhaps.
    pub(super) fn send(&mut self, message: &Message, copy: Copy, publish: &Publish) -> Checked {
        for group in &copy.groups {
            // A group that was being made when the message was published may have it or not.
            let given = self.given.entry((message.number, group.clone())).or_default();
            given.copies = given.copies.max(1);
        }
        let (client, is_plain, has_group) = (copy.client, copy.is_plain, !copy.groups.is_empty());
        self.sent.entry(message.number).or_default().push(copy);
        if is_plain {
            return Ok(());
        }
        let sent = self.sent.get(&message.number).map(Vec::as_slice).unwrap_or_default();
        let through_groups = sent.iter().filter(|copy| !copy.is_plain);
        let holders: Vec<&[String]> = through_groups.map(|copy| &*copy.groups).collect();
        let mut left = self.of(message.number).map(|(group, given)| (group, given.copies)).collect();
        if !has_group || !can_all_have(&holders, &mut left) {
            return breach!("no group of {client} has this message left to hand out: {publish}");
        }
        Ok(())
    }

    /// A client has a message that was sent under this packet id.
    pub(super) fn arrive(&mut self, number: MessageNo, copy: Copy) {
        let sent = self.sent.entry(number).or_default();
        let known = sent.iter_mut().find(|it| it.client == copy.client && it.id == copy.id);
        match known {
            Some(known) => known.arrived = true,
            // It was taken for one that went back to its group, and was that of a plain subscription.
            None => sent.push(Copy { arrived: true, is_plain: true, ..copy }),
        }
    }

    /// A client has a message that only this group can have sent: the group is done with it.
    pub(super) fn settle(&mut self, number: MessageNo, group: &str) {
        if let Some(given) = self.given.get_mut(&(number, group.to_owned())) {
            given.is_settled = given.copies <= 1;
        }
    }

    /// A member leaves a group: what it holds of it is its own.
    pub(super) fn keep(&mut self, client: ClientNo, group: &str) {
        let sent = self.sent.values_mut().flatten().filter(|copy| copy.client == client);
        let of_group = sent.filter(|copy| copy.groups.iter().any(|name| name == group));
        of_group.for_each(|copy| {
            copy.left.insert(group.to_owned());
        });
    }

    /// A member's link is lost: what it had not answered at QoS 1 may go to another. What is a plain subscription's
    /// comes again over its next link.
    pub(super) fn release(&mut self, client: ClientNo) -> Released {
        let mut released = Released::default();
        for (number, sent) in &mut self.sent {
            let is_back = |it: &Copy| it.client == client && it.may_go_back();
            for was_plain in sent.iter().filter(|it| is_back(it)).map(|it| it.is_plain).collect::<Vec<_>>() {
                released.is_any |= !was_plain;
                // Which of two copies was the group's is not certain: then it may be the one that is back.
                let other = sent.iter_mut().find(|it| it.client == client && !it.is_plain && !is_back(it));
                match other.filter(|_| was_plain) {
                    Some(other) => other.is_plain = true,
                    None if was_plain => _ = released.disowned.insert(*number),
                    None => {}
                }
            }
            sent.retain(|it| !is_back(it));
            released.is_kept |= sent.iter().any(|it| it.client == client && !it.arrived && !it.is_plain);
        }
        released
    }

    /// Takes note that a member is sent a message that can have come through one group only. Returns whether it was sent
    /// a newer one of its stream over the same link.
    pub(super) fn overtakes(
        &mut self,
        (group, client, link): (&str, ClientNo, LinkId),
        message: &Message,
        qos: Qos,
    ) -> bool {
        let stream = (group.to_owned(), client, message.client, message.topic.clone(), message.qos, qos);
        let newest = self.newest.entry(stream).or_insert(Newest { taken: 0, link });
        if newest.link == link && message.taken < newest.taken {
            return true;
        }
        *newest = Newest { taken: message.taken, link };
        false
    }

    /// Tells whether nobody else ever asked to be a member.
    pub(super) fn is_sole(&self, client: ClientNo, group: &str) -> bool {
        self.members.get(group).is_some_and(|members| members.iter().all(|member| *member == client))
    }

    /// A process begins with so many messages of each group, and nothing else that groups hold. Among them may be what a
    /// group had handed out and not taken off the disk.
    pub(super) fn restart(
        &mut self,
        letters: &BTreeMap<(MessageNo, String), usize>,
        is_certain: impl Fn(MessageNo) -> bool,
    ) {
        for key in letters.keys() {
            self.given.entry(key.clone()).or_default();
        }
        for ((number, group), given) in &mut self.given {
            let sent = self.sent.get(number).map(Vec::as_slice).unwrap_or_default();
            let held = sent.iter().filter(|copy| !copy.is_plain && copy.groups.contains(group)).count();
            let letters = letters.get(&(*number, group.clone())).copied().unwrap_or(0);
            given.copies = held + letters;
            given.is_settled &= letters == 0;
            given.must &= is_certain(*number);
        }
    }

    /// A message goes to these groups after all.
    pub(super) fn go_on(&mut self, message: &Message, present: &BTreeSet<String>, copies: usize) {
        for group in present.iter().filter(|group| matches(filter_of(group), &message.topic)) {
            let given = self.given.entry((message.number, group.clone())).or_default();
            given.copies += copies;
            given.is_settled = false;
        }
    }

    /// Tells whether some group may hold something.
    pub(super) fn is_any(&self) -> bool {
        self.given.values().any(|given| given.copies > 0)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Tells whether each of those that were sent a message can have it of a group of its own, while every group hands out
/// what it was given.
fn can_all_have(holders: &[&[String]], left: &mut BTreeMap<&str, usize>) -> bool {
    let Some((first, others)) = holders.split_first() else { return true };
    first.iter().any(|group| {
        let Some(copies) = left.get_mut(group.as_str()).filter(|copies| **copies > 0) else { return false };
        *copies -= 1;
        let fits = can_all_have(others, left);
        if let Some(copies) = left.get_mut(group.as_str()) {
            *copies += 1;
        }
        fits
    })
}
