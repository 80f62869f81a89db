//! Where devices stand, and where somebody works.

use super::{Clerk, Decision};
use crate::{
    account::Exposure,
    events::Event,
    limits,
    maintenance::MaintenanceRefusal,
    place::{Place, PlaceRefusal},
    quarantine::is_reason,
    refusal::Refusal,
};
use keyward_ids::{Identity, Kind, SiteId};

impl Clerk<'_> {
    pub(super) fn place(
        &self,
        identity: Identity,
        site: Option<SiteId>,
        exposure: Option<Exposure>,
        place: Place,
    ) -> Result<Decision, Refusal> {
        if identity.kind() != Kind::Device {
            return Err(Refusal::NoPlace(identity));
        }
        place.check()?;
        let account = self.unrevoked(&identity)?;
        if account.site == site && account.exposure == exposure && account.place == place {
            return Ok(Decision::nothing());
        }
        Ok(Event::Placed { identity, site, exposure, place }.into())
    }

    pub(super) fn note_move(&self, identity: Identity, because: String) -> Result<Decision, Refusal> {
        if identity.kind() != Kind::Device {
            return Err(Refusal::NoPlace(identity));
        }
        if !because.is_empty() && !is_reason(&because) {
            return Err(PlaceRefusal::Reason.into());
        }
        self.unrevoked(&identity)?;
        Ok(Event::MovedOnPurpose { identity, because }.into())
    }

    pub(super) fn begin_maintenance(
        &self,
        scope: String,
        seconds: u64,
        because: String,
    ) -> Result<Decision, Refusal> {
        if scope.len() > limits::SCOPE_BYTES || scope.is_empty() || scope.contains(char::is_control) {
            return Err(MaintenanceRefusal::Scope.into());
        }
        if !(60..=limits::MAINTENANCE_SECONDS).contains(&seconds) {
            return Err(MaintenanceRefusal::Span.into());
        }
        if !is_reason(&because) {
            return Err(MaintenanceRefusal::NoReason.into());
        }
        let others = self.state.maintenance.open(self.now).filter(|(other, _)| *other != scope).count();
        if others >= limits::MAINTENANCE_WINDOWS {
            return Err(MaintenanceRefusal::TooMany.into());
        }
        let until = self.now.after(std::time::Duration::from_secs(seconds));
        Ok(Event::MaintenanceBegun { scope, until, because }.into())
    }

    pub(super) fn end_maintenance(&self, scope: String) -> Result<Decision, Refusal> {
        let is_open = self.state.maintenance.open(self.now).any(|(open, _)| open == scope);
        if !is_open {
            return Err(MaintenanceRefusal::None(scope).into());
        }
        Ok(Event::MaintenanceEnded { scope }.into())
    }
}
