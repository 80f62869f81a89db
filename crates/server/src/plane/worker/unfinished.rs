//! Who makes a worker hold how many bytes of packets that are not whole, and who gives way when that is too much:
//! whoever holds most, not whoever happens to be read then.

use super::Worker;
use keyward_broker::{Input, LinkId};
use keyward_ids::Identity;
use keyward_mqtt::reason::ReasonCode;
use std::collections::HashMap;

/// Counts the bytes that links hold, in all and by identity.
#[derive(Debug, Default)]
pub(super) struct Unfinished {
    all: usize,
    by_identity: HashMap<Identity, usize>,
}

impl Unfinished {
    /// Notes that a link of `identity` holds `after` bytes in place of `before`.
    pub(super) fn change(&mut self, identity: &Identity, before: usize, after: usize) {
        if before == after {
            return;
        }
        self.all = self.all + after - before;
        let held = self.of(identity) + after - before;
        match held {
            0 => drop(self.by_identity.remove(identity)),
            _ => drop(self.by_identity.insert(identity.clone(), held)),
        }
    }

    fn of(&self, identity: &Identity) -> usize {
        self.by_identity.get(identity).copied().unwrap_or(0)
    }

    fn most(&self) -> Option<&Identity> {
        self.by_identity.iter().max_by_key(|(_, held)| **held).map(|(identity, _)| identity)
    }
}

impl Worker {
    /// Closes a link if those of `reader`, which was just read, or all together hold too much.
    pub(super) fn bound_unfinished(&mut self, reader: &Identity) {
        // Whatever is configured, two packets of the greatest size have room.
        let least = 2 * self.parts.packet_bytes;
        let limits = &self.parts.limits;
        let (whose, limit, value) =
            if self.unfinished.of(reader) > limits.unfinished_bytes_per_identity.max(least) {
                (reader, "unfinished_bytes_per_identity", limits.unfinished_bytes_per_identity)
            } else if self.unfinished.all > (limits.unfinished_bytes / self.parts.inboxes.len()).max(least)
                && let Some(whose) = self.unfinished.most()
            {
                (whose, "unfinished_bytes", limits.unfinished_bytes)
            } else {
                return;
            };
        self.report_limit(whose.clone(), limit, value as u64);
        let links = self.links.values().filter(|link| link.identity() == whose);
        if let Some(id) = links.max_by_key(|link| link.held()).map(|link| link.id) {
            self.refuse_more(id);
        }
    }

    fn refuse_more(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let farewell = link.farewell(ReasonCode::QuotaExceeded);
        self.close_with(id, farewell);
        self.handle(Input::Lost { link: id });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_identities_hold_is_counted_and_forgotten() {
        let [one, other]: [Identity; 2] = ["device:a", "device:b"].map(|name| name.parse().unwrap());
        let mut unfinished = Unfinished::default();
        unfinished.change(&one, 0, 10);
        unfinished.change(&one, 0, 5);
        unfinished.change(&other, 0, 12);
        assert_eq!((unfinished.all, unfinished.most()), (27, Some(&one)));
        unfinished.change(&one, 10, 0);
        assert_eq!((unfinished.all, unfinished.most()), (17, Some(&other)));
        unfinished.change(&one, 5, 0);
        unfinished.change(&other, 12, 0);
        assert!(unfinished.all == 0 && unfinished.by_identity.is_empty());
    }
}
