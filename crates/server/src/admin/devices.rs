//! Devices: adding, listing, shutting out.

use super::{
    Admin, Turn,
    accounts::{bad_name, credential, password, password_note, shown, standing, unconfirmed_since},
    invitations::invitation,
    places::{Whole, place_row},
    presets::PresetFile,
    quarantine::quarantine_row,
};
use crate::{
    container,
    control::{
        Changed, Chip, CredentialRow, DeviceAdd, DeviceAdded, DeviceDetail, DeviceRevoke, DeviceRow,
        Exposure, NewPassword, Reach, Refusal, RefusalCode, Response,
    },
    escape::escape_cut,
    installation::wall_time,
    whereabouts::Ground,
    wiring::subject,
};
use keyward_identity::{self as identity, Account, AddDevice, Command};
use keyward_ids::{DeviceId, Identity, KeyId, Kind, SiteId, TypeId};
use keyward_policy::{Action, Policy, Subject};
use std::sync::Arc;

/// How many overlaps a refusal names before it only counts them.
const OVERLAPS_NAMED: u16 = 8;

pub(super) fn device(id: &str) -> Result<Identity, Refusal> {
    let parsed = DeviceId::parse(id).map_err(|error| bad_name("device id", id, &error))?;
    Ok(Identity::Device(parsed))
}

impl Turn<'_> {
    pub(super) fn add_device(&mut self, add: DeviceAdd) -> Result<Response, Refusal> {
        let (new, _) = parse(&add)?;
        let config = self.admin.config()?;
        let lifetime_days = config.days_of(new.device_type.as_ref());
        let credential = credential(add.credential.clone(), lifetime_days)?;
        let (outcome, notes) = self.add_new(&add, credential)?;
        self.device_answer(&new, outcome, &config, notes)
    }

    /// Adds a device that proves itself with `credential`, whatever `add` says of that. Returns what is to be known, too.
    pub(super) fn add_new(
        &mut self,
        add: &DeviceAdd,
        credential: identity::NewCredential,
    ) -> Result<(identity::Outcome, Vec<String>), Refusal> {
        let (new, whole) = parse(add)?;
        // What cannot be had at all comes before what can be accepted.
        self.admin.registrar.check_free(&new.identity)?;
        if !add.allow_overlap {
            self.admin.refuse_overlap(&new)?;
        }
        let preset = self.prepare_preset(add.preset.as_ref(), &new, add.allow_overlap)?;
        let Identity::Device(id) = &new.identity else {
            return Err(Refusal::invalid("a device id is expected"));
        };
        let command = Command::AddDevice(AddDevice {
            id: id.clone(),
            device_type: new.device_type.clone(),
            site: whole.site,
            exposure: whole.exposure,
            place: whole.place,
            chip: add.chip.map(|chip| match chip {
                Chip::Esp8266 => identity::Chip::Esp8266,
                Chip::Esp32 => identity::Chip::Esp32,
            }),
            machine_chosen: false,
            plain: add.plain,
            note: String::new(),
            credential,
        });
        let (outcome, in_force) = self.with_preset(preset.as_ref(), |turn| turn.command(command))?;
        let mut notes: Vec<String> = super::incomplete(in_force).into_iter().collect();
        notes.extend(preset.iter().flat_map(PresetFile::notes));
        Ok((outcome, notes))
    }

    pub(super) fn set_device_password(&mut self, id: &str, new: NewPassword) -> Result<Response, Refusal> {
        let identity = device(id)?;
        // What can fail comes before the change: a generated password is shown once.
        let config = self.admin.config()?;
        let of = subject(&*self.admin.account(&identity)?);
        let (outcome, in_force) =
            self.command(Command::SetPassword { identity, password: password(new)? })?;
        let mut notes: Vec<String> = super::incomplete(in_force).into_iter().collect();
        if let Some(closed) = in_force.map(|in_force| in_force.closed_links).filter(|closed| *closed > 0) {
            notes.push(format!("links that were open under the old password and are closed now: {closed}"));
        }
        self.device_answer(&of, outcome, &config, notes)
    }

    fn device_answer(
        &mut self,
        new: &Subject,
        outcome: identity::Outcome,
        config: &crate::config::Config,
        notes: Vec<String>,
    ) -> Result<Response, Refusal> {
        let account = self.admin.account(&new.identity)?;
        let policy = self.admin.policy().ok();
        Ok(Response::DeviceAdded(Box::new(DeviceAdded {
            device: self.admin.device_row(&account, (policy.as_deref(), &Ground::from(config)), &[]),
            installation: self.admin.registrar.registry().installation().to_string(),
            certificate_pem: outcome.certificate.map(|issued| issued.chain_pem),
            password: shown(outcome.password.as_ref()),
            ca_pem: self.admin.registrar.ca_pem(),
            installation_key_pem: self.admin.installation_key_pem(),
            reach: self.admin.reach(config),
            topics: policy.map(|policy| policy.own_filters(new)).unwrap_or_default(),
            notes,
        })))
    }

    pub(super) fn disable_device(&mut self, id: &str) -> Result<Response, Refusal> {
        let identity = device(id)?;
        self.device_change(identity.clone(), Command::Disable { identity }, "is disabled")
    }

    pub(super) fn enable_device(&mut self, id: &str) -> Result<Response, Refusal> {
        let identity = device(id)?;
        self.device_change(identity.clone(), Command::Enable { identity }, "is enabled")
    }

    pub(super) fn revoke_device(&mut self, revoke: &DeviceRevoke) -> Result<Response, Refusal> {
        let identity = device(&revoke.id)?;
        let (keep_messages, publish_will) = (revoke.keep_messages, revoke.publish_will);
        let command = Command::Revoke { identity: identity.clone(), keep_messages, publish_will };
        self.device_change(identity, command, "is revoked with all its credentials")
    }

    pub(super) fn remove_device(&mut self, id: &str) -> Result<Response, Refusal> {
        let identity = device(id)?;
        let command = Command::Remove { identity: identity.clone() };
        let done =
            self.device_change(identity.clone(), command, "is removed; its old credentials never come back")?;
        let notes = self.remove_preset(&identity);
        Ok(match done {
            Response::Changed(mut changed) => {
                changed.notes.extend(notes);
                Response::Changed(changed)
            }
            other => other,
        })
    }

    pub(super) fn device_change(
        &mut self,
        identity: Identity,
        command: Command,
        what: &str,
    ) -> Result<Response, Refusal> {
        let spelling = self.admin.account(&identity)?.identity.name().to_owned();
        let (outcome, in_force) = self.command(command)?;
        let already = if outcome.changed { "" } else { " (it was so already)" };
        let what = format!("Device {spelling} {what}{already}.");
        Ok(Response::Changed(self.changed(what, in_force, Vec::new())))
    }

    pub(super) fn release_key(&mut self, id: &str, key: Option<&str>) -> Result<Response, Refusal> {
        let identity = device(id)?;
        let registry = self.admin.registrar.registry();
        let held: Vec<KeyId> = registry.keys_of(&identity).copied().collect();
        let key = match key {
            Some(text) => text
                .parse()
                .map_err(|error| Refusal::invalid(format!("key '{}' {error}", escape_cut(text, 64))))?,
            None if held.len() == 1 => held[0],
            None if held.is_empty() => {
                return Err(Refusal::new(RefusalCode::NotFound, format!("{identity} holds no key")));
            }
            None => {
                let keys: Vec<String> = held.iter().map(|key| format!("\n  {key}")).collect();
                return Err(Refusal::invalid(format!(
                    "{identity} holds several keys; name one:{}",
                    keys.concat()
                )));
            }
        };
        if !held.contains(&key) {
            return Err(Refusal::new(
                RefusalCode::NotFound,
                format!("{identity} does not hold the key {key}"),
            ));
        }
        let (_, in_force) = self.command(Command::ReleaseKey { key })?;
        let what = format!("The key {} of device {} may be used again.", key.short(), identity.name());
        Ok(Response::Changed(Changed { ..self.changed(what, in_force, Vec::new()) }))
    }
}

impl Admin {
    pub(super) fn list_devices(&self) -> Response {
        let registry = self.registrar.registry();
        let mut accounts: Vec<_> = registry
            .accounts()
            .filter(|account| account.identity.kind() == Kind::Device)
            .filter(|account| account.standing != identity::Standing::Removed)
            .collect();
        accounts.sort_by(|a, b| a.identity.cmp(&b.identity));
        let identities: Vec<&Identity> = accounts.iter().map(|account| &account.identity).collect();
        let links = self.running.as_ref().map(|running| running.live.links(&identities)).unwrap_or_default();
        let policy = self.policy().ok();
        let ground = Ground::from(&self.config().unwrap_or_default());
        let row = |(n, account): (usize, &Arc<Account>)| {
            self.device_row(account, (policy.as_deref(), &ground), links.get(n..=n).unwrap_or_default())
        };
        Response::Devices(accounts.into_iter().enumerate().map(row).collect())
    }

    pub(super) fn show_device(&self, id: &str) -> Result<Response, Refusal> {
        let account = self.account(&device(id)?)?;
        let links = match &self.running {
            Some(running) => running.live.links(&[&account.identity]),
            None => Vec::new(),
        };
        let (policy, config) = (self.policy().ok(), self.config().unwrap_or_default());
        Ok(Response::Device(Box::new(DeviceDetail {
            device: self.device_row(&account, (policy.as_deref(), &Ground::from(&config)), &links),
            place: place_row(&account, &config, policy.as_deref()),
            credentials: credentials(&account),
            invitation: invitation(&account, wall_time()),
            message_keys: super::keys::rows(&account, wall_time()),
            type_demands: self.type_demands(&account),
            last_login: self.running.as_ref().and_then(|running| running.live.last_login(&account.identity)),
            rules: self.readable(&subject(&account)),
        })))
    }

    /// Says what the type of a device demands of a login.
    fn type_demands(&self, account: &Account) -> Option<String> {
        let config = self.config().ok()?;
        Some(config.types.get(account.device_type.as_ref()?)?.login?.to_string())
    }

    /// Finds an account, a tombstone too.
    pub(super) fn account(&self, identity: &Identity) -> Result<Arc<Account>, Refusal> {
        let found = self.registrar.registry().find(identity).cloned();
        found.ok_or_else(|| keyward_identity::Refusal::NoSuchIdentity(identity.clone()).into())
    }

    pub(super) fn device_row(
        &self,
        account: &Account,
        (policy, ground): (Option<&Policy>, &Ground),
        links: &[usize],
    ) -> DeviceRow {
        let connected = self.running.as_ref().map(|_| links.first().is_some_and(|links| *links > 0));
        DeviceRow {
            id: account.identity.name().to_owned(),
            standing: standing(account),
            unconfirmed_since_unix_ms: unconfirmed_since(account),
            quarantine: quarantine_row(account),
            device_type: account.device_type.as_ref().map(ToString::to_string),
            site: account.site.as_ref().map(ToString::to_string),
            exposure: exposure_row(ground.exposure(account).value),
            chip: account.chip.map(|chip| match chip {
                identity::Chip::Esp8266 => Chip::Esp8266,
                identity::Chip::Esp32 => Chip::Esp32,
            }),
            plain: account.plain,
            added_unix_ms: account.created.0,
            credentials: account.certificates.len() + usize::from(account.password.is_some()),
            expires_unix_ms: account.certificates.iter().map(|certificate| certificate.not_after.0).max(),
            connected,
            preset: Self::preset_name(policy, &account.identity),
            password_note: password_note(account),
        }
    }

    /// Lists what the subject may read by which rule, and the rules that mean nothing for it, a line each.
    fn readable(&self, subject: &Subject) -> Vec<String> {
        let explanation = self.policy().ok().and_then(|p| p.explain(subject, Action::Subscribe, "#").ok());
        let Some(explanation) = explanation else { return Vec::new() };
        let mut lines: Vec<String> = explanation
            .arriving
            .iter()
            .map(|part| format!("reads {} ({})", part.filter, part.rule))
            .collect();
        lines.extend(
            explanation.not_applying.iter().map(|(rule, why)| format!("{rule} does not apply: {why}")),
        );
        lines
    }

    /// Refuses a new device whose default topics somebody uses already.
    fn refuse_overlap(&self, new: &Subject) -> Result<(), Refusal> {
        let policy = self.policy()?;
        let registry = self.registrar.registry();
        let others: Vec<Subject> = registry
            .accounts()
            .filter(|account| account.standing != identity::Standing::Removed)
            .filter(|account| account.identity != new.identity)
            .map(|account| subject(account))
            .collect();
        let mut overlaps: Vec<String> =
            policy.overlaps(new, &others).iter().map(ToString::to_string).collect();
        if let Some(running) = &self.running {
            let retained = running.live.retained(&policy.own_filters(new), OVERLAPS_NAMED);
            overlaps.extend(
                retained.iter().map(|topic| format!("a retained message lies on {}", escape_cut(topic, 128))),
            );
        }
        refuse(
            &overlaps,
            || format!("the topics of {} are in use already", new.identity.name()),
            "choose another id, or accept it with --allow-overlap",
        )
    }

    /// Returns how a client on another machine most likely reaches the broker.
    pub(super) fn reach(&self, config: &crate::config::Config) -> Reach {
        let bound = self.running.as_ref().map(|running| running.live.listeners()).unwrap_or_default();
        let reach = super::reach::reach(config, &bound, &self.registrar, container::is_here());
        Reach { is_of_container: container::is_here() && !self.is_named(), ..reach }
    }
}

/// Refuses a new account if there are overlaps: the first of them, how many more, and the remedy.
pub(super) fn refuse(
    overlaps: &[String],
    what: impl FnOnce() -> String,
    remedy: &str,
) -> Result<(), Refusal> {
    if overlaps.is_empty() {
        return Ok(());
    }
    let named: String =
        overlaps.iter().take(OVERLAPS_NAMED.into()).map(|line| format!("\n  {line}")).collect();
    let more = match overlaps.len().saturating_sub(OVERLAPS_NAMED.into()) {
        0 => String::new(),
        more => format!("\n  and {more} more"),
    };
    Err(Refusal::new(RefusalCode::Conflict, format!("{}:{named}{more}\n{remedy}", what())))
}

/// Reads who is to be added, and where it stands.
fn parse(add: &DeviceAdd) -> Result<(Subject, Whole), Refusal> {
    let (device_type, site) = parse_names(add.device_type.as_deref(), add.site.as_deref())?;
    let exposure = add.exposure.map(exposure_of);
    let whole = Whole { site, exposure, place: identity::Place::default() }.with(&add.place)?;
    let site = whole.site.clone();
    Ok((Subject { device_type, site, ..Subject::new(device(&add.id)?) }, whole))
}

/// Reads the names of a type and of a site.
pub(super) fn parse_names(
    device_type: Option<&str>,
    site: Option<&str>,
) -> Result<(Option<TypeId>, Option<SiteId>), Refusal> {
    let device_type =
        device_type.map(|name| TypeId::parse(name).map_err(|error| bad_name("type", name, &error)));
    let site = site.map(|name| SiteId::parse(name).map_err(|error| bad_name("site", name, &error)));
    Ok((device_type.transpose()?, site.transpose()?))
}

pub(super) fn exposure_of(given: Exposure) -> identity::Exposure {
    match given {
        Exposure::Public => identity::Exposure::Public,
        Exposure::Workplace => identity::Exposure::Workplace,
        Exposure::Locked => identity::Exposure::Locked,
    }
}

pub(super) fn exposure_row(exposure: identity::Exposure) -> Exposure {
    match exposure {
        identity::Exposure::Public => Exposure::Public,
        identity::Exposure::Workplace => Exposure::Workplace,
        identity::Exposure::Locked => Exposure::Locked,
    }
}

pub(super) fn credentials(account: &Account) -> Vec<CredentialRow> {
    let certificates = account.certificates.iter().map(|certificate| CredentialRow {
        kind: "certificate".to_owned(),
        serial: Some(certificate.serial.to_string()),
        key: Some(certificate.key.to_string()),
        expires_unix_ms: Some(certificate.not_after.0),
        usable: account.is_active(),
        note: None,
    });
    let password = account.password.as_ref().map(|_| CredentialRow {
        kind: "password".to_owned(),
        serial: None,
        key: None,
        expires_unix_ms: None,
        usable: account.is_active(),
        note: password_note(account),
    });
    certificates.chain(password).collect()
}

#[cfg(test)]
mod tests {
    use crate::{
        admin::fixture::fixture,
        control::{DeviceAdd, NewCredential, NewPassword, Request, Response},
    };

    #[test]
    fn a_retained_message_below_its_topics_keeps_a_device_from_being_added_unasked() {
        let mut fixture = fixture();
        let mut add = DeviceAdd::new("kept", NewCredential::Password(NewPassword::Generated));
        let refusal = fixture.admin.execute(Request::DeviceAdd(add.clone())).err().unwrap();
        assert!(refusal.what.contains("a retained message lies on kept/"), "{refusal}");
        add.allow_overlap = true;
        let Ok(Response::DeviceAdded(added)) = fixture.admin.execute(Request::DeviceAdd(add)) else {
            panic!("refused")
        };
        assert_eq!(added.device.id, "kept");
    }
}
