//! Shared subscriptions: each message goes to one member. One at QoS 1 goes to another if its holder is lost; one at
//! QoS 2 never does [MQTT-4.8.2-5], [MQTT-4.8.2-6].

use super::law::matches;
use super::message::Message;
use super::{Checked, breach};
use crate::event::{ClientNo, MessageNo};
use crate::packet::Publish;
use keyward_mqtt::packet::Qos;
use std::collections::{BTreeMap, BTreeSet};

/// Holds what groups were given, and who was handed what.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// How often each group, by the text of the shared subscription, was given each message.
    copies: BTreeMap<(MessageNo, String), usize>,
    holders: BTreeMap<MessageNo, Vec<Holder>>,
}

/// Is a member that was sent a message by one of its groups; by which, nobody sees.
#[derive(Debug)]
struct Holder {
    client: ClientNo,
    qos: Qos,
    arrived: bool,
    groups: Vec<String>,
}

/// Returns the filter in a shared subscription.
pub(super) fn filter_of(shared: &str) -> &str {
    shared.splitn(3, '/').nth(2).unwrap_or_default()
}

impl Groups {
    /// A message goes to every group that wants it.
    pub(super) fn offer<'s>(&mut self, message: &Message, groups: impl Iterator<Item = &'s str>) {
        for group in groups.collect::<BTreeSet<_>>() {
            if matches(filter_of(group), &message.topic) {
                *self.copies.entry((message.number, group.to_owned())).or_default() += 1;
            }
        }
    }

    /// A group is asked for while a message is under way: each of its copies may go there too.
    pub(super) fn blur(&mut self, message: &Message, group: &str) {
        let copies = self.copies.entry((message.number, group.to_owned())).or_default();
        *copies = (*copies).max(message.copies as usize);
    }

    /// A member is sent a message by one of the groups that it has been in.
    pub(super) fn hand_out(
        &mut self,
        client: ClientNo,
        message: &Message,
        publish: &Publish,
        groups: &BTreeSet<String>,
    ) -> Checked {
        let groups = groups.iter().filter(|group| matches(filter_of(group), &message.topic));
        let groups: Vec<String> = groups.cloned().collect();
        for group in &groups {
            // A group that was being made when the message was published may have it or not.
            self.copies.entry((message.number, group.clone())).or_insert(1);
        }
        let qos = publish.qos;
        let holder = Holder { client, qos, arrived: qos == Qos::AtMostOnce, groups };
        let holders = self.holders.entry(message.number).or_default();
        holders.push(holder);
        // What a holder had may go to another when the holder is gone, but at QoS 2.
        let is_final = |it: &&Holder| it.qos == Qos::ExactlyOnce;
        let finals: Vec<&[String]> = holders.iter().filter(is_final).map(|it| &*it.groups).collect();
        let has_group = holders.last().is_some_and(|it| !it.groups.is_empty());
        let left = self.copies.range((message.number, String::new())..);
        let left = left.take_while(|((number, _), _)| *number == message.number);
        let mut left = left.map(|((_, group), copies)| (group.as_str(), *copies)).collect();
        if !has_group || (qos == Qos::ExactlyOnce && !can_all_have(&finals, &mut left)) {
            return breach!("no group of {client} has this message left to hand out: {publish}");
        }
        Ok(())
    }

    /// A member has a message.
    pub(super) fn arrived(&mut self, client: ClientNo, number: MessageNo) {
        let holders = self.holders.get_mut(&number).into_iter().flatten();
        holders.filter(|it| it.client == client).for_each(|it| it.arrived = true);
    }

    /// A member's link is lost: what it had not answered at QoS 1 may go to another.
    /// Returns whether there was such a message, and whether there is one that stays with it.
    pub(super) fn release(&mut self, client: ClientNo) -> (bool, bool) {
        let (mut is_any, mut is_kept) = (false, false);
        for holders in self.holders.values_mut() {
            let before = holders.len();
            holders.retain(|it| it.client != client || it.arrived || it.qos == Qos::ExactlyOnce);
            is_any |= holders.len() < before;
            is_kept |= holders.iter().any(|it| it.client == client && !it.arrived);
        }
        (is_any, is_kept)
    }

    /// Counts the groups that there were, at most.
    pub(super) fn count(&self) -> u64 {
        self.copies.keys().map(|(_, group)| group).collect::<BTreeSet<_>>().len() as u64
    }

    pub(super) fn clear(&mut self) {
        self.copies.clear();
        self.holders.clear();
    }
}

/// Tells whether each of those that were handed a message can have it of a group of its own, while every group hands out
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
