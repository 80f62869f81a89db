//! What shards found out about keys that two hold, until somebody comes for it.
//!
//! The first proof of a device waits, others of the same device are no news. So a device that proves it with each message takes one place.

use crate::plane::limits::PROOFS;
use keyward_broker::HolderSign;
use keyward_identity::{Kid, SecondHolder, SecondHolderSign};
use keyward_ids::Identity;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Is a proof that two hold a message key of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Whose key it is.
    pub identity: Identity,
    /// Which of its keys.
    pub kid: Kid,
    /// The proof.
    pub evidence: SecondHolder,
}

impl Proof {
    /// Takes what a shard found; `hosts` is from where the links of the device come.
    pub(crate) fn new(found: keyward_broker::SecondHolder, hosts: Vec<String>) -> Self {
        let sign = match found.sign {
            HolderSign::Equivocation { tag, earlier } => SecondHolderSign::Equivocation { tag, earlier },
            HolderSign::Behind => SecondHolderSign::Behind,
        };
        let evidence = SecondHolder {
            sign,
            number: found.number.0,
            highest: found.highest.0,
            digest: found.digest.0,
            topic: found.topic.into(),
            hosts,
        };
        Self { identity: found.identity, kid: Kid::new(*found.kid.as_bytes()), evidence }
    }
}

/// Holds proofs, one for each device.
#[derive(Debug, Default)]
pub(crate) struct Causes(Mutex<HashMap<Identity, Proof>>);

impl Causes {
    /// Tells whether a proof of this device would be news. What finds no place is found again: the second holder goes on.
    pub(crate) fn is_news(&self, identity: &Identity) -> bool {
        let proofs = self.lock();
        proofs.len() < PROOFS && !proofs.contains_key(identity)
    }

    /// Adds a proof that is news.
    pub(crate) fn add(&self, proof: Proof) {
        self.lock().entry(proof.identity.clone()).or_insert(proof);
    }

    /// Hands out what there is.
    pub(crate) fn take(&self) -> Vec<Proof> {
        std::mem::take(&mut *self.lock()).into_values().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Identity, Proof>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_envelope::{Digest, Kid as Name, Sequence};

    fn found(device: usize, number: u64) -> Proof {
        let found = keyward_broker::SecondHolder {
            identity: format!("device:d{device}").parse().unwrap(),
            link: keyward_broker::LinkId(1),
            kid: Name::new([1; 8]),
            topic: "t".into(),
            number: Sequence(number),
            highest: Sequence(9),
            digest: Digest([7; 32]),
            sign: HolderSign::Behind,
        };
        Proof::new(found, Vec::new())
    }

    #[test]
    fn the_first_proof_of_each_device_waits_within_a_bound() {
        let proofs = Causes::default();
        for number in 0..3 {
            proofs.add(found(0, number));
        }
        assert!(!proofs.is_news(&found(0, 0).identity) && proofs.is_news(&found(1, 0).identity));
        (1..PROOFS).for_each(|device| proofs.add(found(device, 0)));
        assert!(!proofs.is_news(&found(PROOFS, 0).identity));
        let taken = proofs.take();
        assert_eq!(taken.len(), PROOFS);
        assert!(taken.contains(&found(0, 0)));
        assert!(proofs.take().is_empty() && proofs.is_news(&found(0, 0).identity));
    }
}
