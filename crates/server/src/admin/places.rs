//! Where devices stand, that they were moved, and where somebody works.

use super::{
    Admin, Turn,
    accounts::bad_name,
    devices::{device, exposure_of, exposure_row, parse_names},
    needs_running,
};
use crate::{
    config::Config,
    control::{MaintenanceRow, MovedRow, PlaceChange, PlaceField, PlaceRow, Power, Refusal, Response, Said},
    escape::escape_cut,
    installation::wall_time,
    whereabouts::{Ground, asked_level, low_key},
};
use keyward_identity::{self as identity, Account, Command, Fence, Place};
use keyward_ids::{Identity, SiteId};
use keyward_policy::Policy;
use keyward_watch::event::{self, Scope};

/// Is where a device stands, as an account has it.
pub(super) struct Whole {
    pub(super) site: Option<SiteId>,
    pub(super) exposure: Option<identity::Exposure>,
    pub(super) place: Place,
}

impl Whole {
    /// Changes what is named, and forgets what is not known any more.
    pub(super) fn with(mut self, change: &PlaceChange) -> Result<Self, Refusal> {
        for field in &change.unset {
            match field {
                PlaceField::Site => self.site = None,
                PlaceField::Exposure => self.exposure = None,
                PlaceField::Gateway => self.place.gateway = None,
                PlaceField::Circuit => self.place.circuit = None,
                PlaceField::Power => self.place.power = None,
                PlaceField::Interval => self.place.interval_secs = None,
                PlaceField::Fence => self.place.fence = None,
            }
        }
        let (_, site) = parse_names(None, change.site.as_deref())?;
        let fence = |text: &str| text.parse::<Fence>().map_err(|error| bad_name("fence", text, &error));
        let fence = change.fence.as_deref().map(fence).transpose()?;
        let place = self.place;
        Ok(Self {
            site: site.or(self.site),
            exposure: change.exposure.map(exposure_of).or(self.exposure),
            place: Place {
                gateway: change.gateway.clone().or(place.gateway),
                circuit: change.circuit.clone().or(place.circuit),
                power: change.power.map(power_of).or(place.power),
                interval_secs: change.interval_secs.or(place.interval_secs),
                fence: fence.or(place.fence),
            },
        })
    }
}

impl Turn<'_> {
    pub(super) fn place_device(&mut self, id: &str, change: &PlaceChange) -> Result<Response, Refusal> {
        let identity = device(id)?;
        let account = self.admin.account(&identity)?;
        let (site, exposure, place) = (account.site.clone(), account.exposure, account.place.clone());
        let whole = Whole { site, exposure, place }.with(change)?;
        let moved_site = whole.site != account.site;
        let Whole { site, exposure, place } = whole;
        let command = Command::Place { identity: identity.clone(), site, exposure, place };
        let done = self.device_change(identity, command, "stands where you say")?;
        let Response::Changed(mut changed) = done else { return Ok(done) };
        if moved_site {
            let what = "rules can speak of sites: what it may do now is what they say of the new one";
            changed.notes.push(what.to_owned());
        }
        if self.admin.running.is_none() {
            changed.notes.push("the watch takes it over when the broker starts".to_owned());
        }
        Ok(Response::Changed(changed))
    }

    pub(super) fn move_device(&mut self, id: &str, because: String) -> Result<Response, Refusal> {
        if self.admin.running.is_none() {
            return Err(needs_running("that a device was moved is for the watch of a running broker"));
        }
        let identity = device(id)?;
        let command = Command::NoteMove { identity: identity.clone(), because };
        let what = "was moved on purpose: the watch learns anew where it is at home";
        self.device_change(identity, command, what)
    }

    pub(super) fn begin_maintenance(
        &mut self,
        scope: &str,
        seconds: u64,
        because: String,
    ) -> Result<Response, Refusal> {
        let scope = parse_scope(scope)?;
        let covered = self.admin.covered(&scope);
        let command = Command::BeginMaintenance { scope: scope.to_string(), seconds, because };
        let (_, in_force) = self.command(command)?;
        let until = identity::WallTime(self.now.0.saturating_add(seconds.saturating_mul(1_000)));
        let mut notes = Vec::new();
        if covered == 0 {
            notes.push(format!("no device is part of {scope} now: see `keyward device list`"));
        }
        notes.push("what shows a copy of a key is told all the same".to_owned());
        let devices = if covered == 1 { "device" } else { "devices" };
        let what = format!("Maintenance of {scope} until {until}; it covers {covered} {devices}.");
        Ok(Response::Changed(self.changed(what, in_force, notes)))
    }

    pub(super) fn end_maintenance(&mut self, scope: &str) -> Result<Response, Refusal> {
        let scope = parse_scope(scope)?.to_string();
        let what = format!("Maintenance of {scope} is over.");
        let (_, in_force) = self.command(Command::EndMaintenance { scope })?;
        Ok(Response::Changed(self.changed(what, in_force, Vec::new())))
    }
}

impl Admin {
    /// Lists the maintenance windows that are open.
    pub(super) fn maintenance(&self) -> Response {
        let row = |(scope, window): (&str, &identity::Window)| MaintenanceRow {
            scope: scope.to_owned(),
            since_unix_ms: window.since.0,
            until_unix_ms: window.until.0,
            by: window.by.clone(),
            because: window.because.clone(),
            devices: scope.parse().map_or(0, |scope| self.covered(&scope)),
        };
        Response::Maintenance(self.registrar.maintenance().open(wall_time()).map(row).collect())
    }

    /// Counts the devices that a scope covers.
    fn covered(&self, scope: &Scope) -> usize {
        let registry = self.registrar.registry();
        registry.accounts().filter(|account| account.is_active() && covers(scope, account)).count()
    }

    /// Tells the watch what the configuration says of places, and where somebody works.
    pub(crate) fn tell_ground(&self) {
        if let Some(running) = &self.running {
            self.watch.put_ground(Ground::from(&running.config), self.registrar.maintenance().clone());
        }
    }
}

/// Tells whether a device is part of what is worked on.
fn covers(scope: &Scope, account: &Account) -> bool {
    let Identity::Device(id) = &account.identity else { return false };
    let place = &account.place;
    let is = |site: &Option<SiteId>, name: &str, of: &Option<String>| {
        *site == account.site && of.as_deref() == Some(name)
    };
    match scope {
        Scope::Device(device) => device == id,
        Scope::Site(site) => account.site.as_ref() == Some(site),
        Scope::Gateway(site, name) => is(site, name, &place.gateway),
        Scope::Circuit(site, name) => is(site, name, &place.circuit),
        Scope::Everything => true,
    }
}

fn parse_scope(text: &str) -> Result<Scope, Refusal> {
    text.parse().map_err(|error: event::NoScope| {
        Refusal::invalid(format!("'{}' says not what is worked on: {error}", escape_cut(text, 80)))
    })
}

/// Returns where a device stands as people are shown it.
pub(super) fn place_row(account: &Account, config: &Config, policy: Option<&Policy>) -> PlaceRow {
    let ground = Ground::from(config);
    let (exposure, power) = (ground.exposure(account), ground.power(account));
    PlaceRow {
        exposure: Said { value: exposure_row(exposure.value), by: exposure.by },
        gateway: account.place.gateway.clone(),
        circuit: account.place.circuit.clone(),
        power: Said { value: power_row(power.value), by: power.by },
        interval_secs: ground.interval_secs(account),
        fence: account.place.fence.map(|fence| fence.to_string()),
        moved: account
            .moved
            .as_ref()
            .map(|moved| MovedRow { at_unix_ms: moved.at.0, because: moved.because.clone() }),
        asked_level: asked_level(exposure.value),
        warnings: policy
            .and_then(|policy| low_key(account, exposure.value, policy, wall_time()))
            .into_iter()
            .collect(),
    }
}

fn power_of(power: Power) -> identity::Power {
    match power {
        Power::Mains => identity::Power::Mains,
        Power::Battery => identity::Power::Battery,
        Power::Ups => identity::Power::Ups,
    }
}

fn power_row(power: identity::Power) -> Power {
    match power {
        identity::Power::Mains => Power::Mains,
        identity::Power::Battery => Power::Battery,
        identity::Power::Ups => Power::Ups,
    }
}

#[cfg(test)]
mod tests;
