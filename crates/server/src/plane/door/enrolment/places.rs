//! How many enrolment links there may be, apart from the other links of their identities. Where there are too many, the oldest makes
//! room that waits for no answer: a device is through with its link in a moment, whoever wants to keep others out is not.

use super::Enrolling;
use crate::plane::admission::Crowded;
use crate::plane::door::Door;
use crate::plane::door::arrival::Arrival;
use crate::plane::events::Offender;
use crate::plane::limits::{ENROLMENT_LINKS, ENROLMENT_LINKS_PER_IDENTITY};
use keyward_ids::Identity;

impl Door {
    /// Counts an enrolment link. Where there are too many, the oldest makes room that waits for no answer: among all, or among those
    /// of the same identity.
    pub(super) fn take_enrolment_place(&mut self, identity: &Identity) -> Result<(), Crowded> {
        self.parts.shared.admission.apply(self.now.mono, identity)?;
        let own = |enrolling: &Enrolling| enrolling.applicant.identity == *identity;
        if self.enrolments(own) >= ENROLMENT_LINKS_PER_IDENTITY {
            self.evict_enrolment(Crowded::Applicant, own)?;
        }
        if self.enrolments(|_| true) >= ENROLMENT_LINKS {
            self.evict_enrolment(Crowded::Enrolments, |_| true)?;
        }
        Ok(())
    }

    fn enrolments(&self, fits: impl Fn(&Enrolling) -> bool) -> usize {
        self.arrivals.values().filter_map(Arrival::enrolling).filter(|enrolling| fits(enrolling)).count()
    }

    /// Drops the oldest enrolment link that fits and waits for no answer.
    fn evict_enrolment(&mut self, bound: Crowded, fits: impl Fn(&Enrolling) -> bool) -> Result<(), Crowded> {
        let is_meant = |arrival: &Arrival| {
            arrival.enrolling().is_some_and(|enrolling| !enrolling.is_waiting() && fits(enrolling))
        };
        let oldest = self.arrivals.iter().find(|(_, arrival)| is_meant(arrival)).map(|(id, _)| *id);
        let evicted = oldest.and_then(|id| self.remove(id)).ok_or(bound)?;
        self.parts.shared.counts.evicted();
        if let Some(enrolling) = evicted.enrolling() {
            let who = Offender::Identity(enrolling.applicant.identity.clone());
            self.report_limit(who, bound.name(), bound.value(&self.parts.shared.limits));
        }
        Ok(())
    }
}
