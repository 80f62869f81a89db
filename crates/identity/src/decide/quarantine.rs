//! Who is put into quarantine, and who comes out of it.

use super::{Clerk, Decision};
use crate::{
    events::Event,
    quarantine::{QuarantinedBy, is_reason},
    refusal::Refusal,
};
use keyward_ids::{Identity, Kind};

impl Clerk<'_> {
    pub(super) fn quarantine(
        &self,
        identity: Identity,
        by: QuarantinedBy,
        because: String,
    ) -> Result<Decision, Refusal> {
        if identity.kind() != Kind::Device {
            return Err(Refusal::NoQuarantine(identity));
        }
        if !is_reason(&because) {
            return Err(Refusal::NoReason);
        }
        Ok(match self.unrevoked(&identity)?.quarantine {
            None => Event::Quarantined { identity, by, because }.into(),
            // The first reason is the one that counts: what came later came of it.
            Some(_) => Decision::nothing(),
        })
    }

    pub(super) fn release(&self, identity: Identity) -> Result<Decision, Refusal> {
        Ok(match self.existing(&identity)?.quarantine {
            Some(_) => Event::Released { identity }.into(),
            None => Decision::nothing(),
        })
    }
}
