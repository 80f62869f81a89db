//! Shared subscriptions: each message goes to one member. One at QoS 1 goes to another if its holder is lost; one at
//! QoS 2 never does [MQTT-4.8.2-5], [MQTT-4.8.2-6].

use super::law::matches;
use super::message::Message;
use super::{Checked, breach};
use crate::event::{ClientNo, MessageNo};
use crate::packet::Publish;
use keyward_mqtt::packet::Qos;
use std::collections::{BTreeMap, BTreeSet};

/// Holds what groups were given, by the text of the shared subscription and the message.
#[derive(Debug, Default)]
pub(super) struct Groups(BTreeMap<(String, MessageNo), Shared>);

#[derive(Debug, Default)]
struct Shared {
    copies: usize,
    holders: Vec<Holder>,
}

#[derive(Debug)]
struct Holder {
    client: ClientNo,
    qos: Qos,
    arrived: bool,
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
                self.0.entry((group.to_owned(), message.number)).or_default().copies += 1;
            }
        }
    }

    /// A member is sent a message by one of the groups that it has been in.
    pub(super) fn hand_out(
        &mut self,
        client: ClientNo,
        message: &Message,
        publish: &Publish,
        groups: &BTreeSet<String>,
    ) -> Checked {
        for group in groups {
            if !matches(filter_of(group), &message.topic) {
                continue;
            }
            let shared = self.0.entry((group.clone(), message.number)).or_default();
            // A group that was being made when the message was published may have it or not.
            shared.copies = shared.copies.max(1);
            // What a holder had may go to another when the holder is gone, but at QoS 2.
            let is_final = shared.holders.iter().any(|it| it.qos == Qos::ExactlyOnce && it.client != client);
            if shared.holders.len() < shared.copies || !is_final || publish.qos < Qos::ExactlyOnce {
                shared.holders.push(Holder {
                    client,
                    qos: publish.qos,
                    arrived: publish.qos == Qos::AtMostOnce,
                });
                return Ok(());
            }
        }
        breach!("no group of {client} has this message left to hand out: {publish}")
    }

    /// A member has a message.
    pub(super) fn arrived(&mut self, client: ClientNo, number: MessageNo) {
        let shared = self.0.iter_mut().filter(|((_, of), _)| *of == number).map(|(_, shared)| shared);
        for holder in shared.flat_map(|shared| &mut shared.holders).filter(|it| it.client == client) {
            holder.arrived = true;
        }
    }

    /// A member's link is lost: what it had not answered at QoS 1 may go to another.
    /// Returns whether there was such a message.
    pub(super) fn release(&mut self, client: ClientNo) -> bool {
        let mut is_any = false;
        for shared in self.0.values_mut() {
            let before = shared.holders.len();
            shared.holders.retain(|it| it.client != client || it.arrived || it.qos == Qos::ExactlyOnce);
            is_any |= shared.holders.len() < before;
        }
        is_any
    }

    /// Counts the groups that there were, at most.
    pub(super) fn count(&self) -> u64 {
        self.0.keys().map(|(group, _)| group).collect::<BTreeSet<_>>().len() as u64
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
