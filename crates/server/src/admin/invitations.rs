//! Claim codes as operators draw, void and see them.

use super::{
    Admin, Turn,
    devices::{device, parse_names},
    reach,
};
use crate::{
    container,
    control::{
        Der, DeviceAdd, DeviceInvite, DeviceInvited, DeviceRekey, InvitationRow, InvitationState,
        NewCredential, Reach, Refusal, RefusalCode, Response, Secret,
    },
    enrolment::claim_uri,
    escape::escape_cut,
    installation::wall_time,
    whereabouts::Ground,
};
use keyward_identity::{
    Account, ClaimCode, Command, MessageKey, NewCredential as Credential, NewMessageKey, ServerName,
    Standing, WallTime,
};
use keyward_ids::{Identity, KeyId};

impl Turn<'_> {
    pub(super) fn invite_device(&mut self, invite: DeviceInvite) -> Result<Response, Refusal> {
        let identity = device(&invite.id)?;
        // What can fail comes before the code is drawn: it is shown once.
        let hosts = self.admin.enrolment_hosts(invite.host.as_deref())?;
        let is_there = |account: &Account| account.standing != Standing::Removed;
        let known =
            self.admin.registrar.registry().find(&identity).filter(|account| is_there(account)).cloned();
        let endorsement = invite.tpm.as_deref().map(tpm).transpose()?;
        let (outcome, mut notes) = match known {
            Some(account) => {
                check_known(&account, &invite)?;
                let Identity::Device(id) = account.identity.clone() else { return Err(no_device()) };
                let (seconds, replace) = (invite.expires_secs, invite.replace);
                let (outcome, in_force) =
                    self.command(Command::Invite { id, seconds, replace, endorsement })?;
                (outcome, Vec::from_iter(super::incomplete(in_force)))
            }
            None => {
                let code = Credential::ClaimCode { seconds: invite.expires_secs, endorsement };
                self.add_new(&DeviceAdd::from(&invite), code)?
            }
        };
        let code = outcome.claim_code.ok_or_else(no_device)?;
        notes.extend(self.admin.of_invitation(invite.host.is_none()));
        self.invited(&identity, code, &hosts, notes)
    }

    /// Shows a code that was drawn: the string to scan.
    fn invited(
        &self,
        identity: &Identity,
        code: ClaimCode,
        hosts: &[(String, u16)],
        notes: Vec<String>,
    ) -> Result<Response, Refusal> {
        let ClaimCode { code, expires } = code;
        let account = self.admin.account(identity)?;
        let uri =
            claim_uri(account.identity.name(), hosts, code.expose_text(), &self.admin.root_fingerprint());
        let policy = self.admin.policy().ok();
        let ground = Ground::from(&self.admin.config().unwrap_or_default());
        Ok(Response::DeviceInvited(Box::new(DeviceInvited {
            device: self.admin.device_row(&account, (policy.as_deref(), &ground), &[]),
            uri: Secret::new(uri),
            expires_unix_ms: expires.0,
            notes,
        })))
    }

    /// Takes all message keys away from a device and gives it another one, or a code by which it brings one.
    pub(super) fn rekey_device(&mut self, rekey: DeviceRekey) -> Result<Response, Refusal> {
        let identity = device(&rekey.id)?;
        let before = self.admin.account(&identity)?;
        let Identity::Device(id) = identity.clone() else { return Err(no_device()) };
        let device = before.identity.name();
        let taken: Vec<_> = before.message_keys.iter().map(|held| held.key.kid().to_string()).collect();
        let taken = match taken.is_empty() {
            true => format!("device {device} had no message keys"),
            false => format!("taken from device {device}, with their numbers: {}", taken.join(", ")),
        };
        if let Some(Der(bytes)) = &rekey.key {
            let key = MessageKey::read_file(bytes, rekey.level).map_err(keyward_identity::Refusal::from)?;
            let what = format!("What device {device} signs by {} is accepted, and nothing else.", key.kid());
            let (_, in_force) = self.command(Command::Rekey { id, with: NewMessageKey::Key(key) })?;
            return Ok(Response::Changed(self.changed(what, in_force, vec![taken])));
        }
        // What can fail comes before the code is drawn: it is shown once.
        let hosts = self.admin.enrolment_hosts(rekey.host.as_deref())?;
        let with = NewMessageKey::ClaimCode { seconds: rekey.expires_secs };
        let (outcome, in_force) = self.command(Command::Rekey { id, with })?;
        let code = outcome.claim_code.ok_or_else(no_device)?;
        let of_invitation = self.admin.of_invitation(rekey.host.is_none());
        let notes = [taken].into_iter().chain(super::incomplete(in_force)).chain(of_invitation);
        self.invited(&identity, code, &hosts, notes.collect())
    }

    pub(super) fn uninvite_device(&mut self, id: &str) -> Result<Response, Refusal> {
        let identity = device(id)?;
        let Identity::Device(id) = identity.clone() else { return Err(no_device()) };
        self.device_change(identity, Command::Uninvite { id }, "has no claim code any more")
    }
}

impl Admin {
    /// Returns where a device enrols: the names and addresses of this server, each with the port.
    fn enrolment_hosts(&self, wanted: Option<&str>) -> Result<Vec<(String, u16)>, Refusal> {
        let config = self.config()?;
        let place = config.enrolment_listener().ok_or_else(|| {
            Refusal::new(
                RefusalCode::WrongMoment,
                "a device could not use a code here: it needs a listener over TLS that demands no certificate and shows this \
                 server's own; open one: keyward listener add enrol --port PORT",
            )
        })?;
        let bound = self.running.as_ref().map(|running| running.live.listeners()).unwrap_or_default();
        let Reach { host, otherwise, port, .. } =
            reach::reach_of(&config, place, &bound, &self.registrar, container::is_here());
        let mut hosts = match wanted {
            None => vec![host, otherwise],
            Some(wanted) => vec![self.certified_name(wanted)?],
        };
        hosts.dedup();
        Ok(hosts.into_iter().map(|host| (host, port)).collect())
    }

    /// Returns a name by which devices will find this server, if its certificate holds it.
    fn certified_name(&self, wanted: &str) -> Result<String, Refusal> {
        let name: ServerName = wanted.parse().map_err(Refusal::invalid)?;
        match self.registrar.server_identity().names.contains(&name) {
            true => Ok(name.to_string()),
            false => Err(Refusal::invalid(format!(
                "the server's certificate does not name {name}, so the device would refuse it; add the name: keyward server \
                 name add {name}"
            ))),
        }
    }

    /// Says what is to be known of where an invitation leads.
    fn of_invitation(&self, is_guessed: bool) -> Option<String> {
        if self.running.is_none() {
            return Some("the broker does not run; start it: keyward up".to_owned());
        }
        (is_guessed && container::is_here() && !self.is_named()).then(|| {
            "the broker runs in a container and nobody has named it: the name above is known inside of it only. Set \
             KEYWARD_NAMES, or run: keyward server name add NAME; or say --host NAME"
                .to_owned()
        })
    }

    fn root_fingerprint(&self) -> String {
        self.registrar.status(wall_time()).ca_fingerprint
    }
}

/// Refuses what was said of a device that is there already and is known to be otherwise.
fn check_known(account: &Account, invite: &DeviceInvite) -> Result<(), Refusal> {
    let (device_type, site) = parse_names(invite.device_type.as_deref(), invite.site.as_deref())?;
    let differs = device_type.is_some_and(|given| account.device_type.as_ref() != Some(&given))
        || site.is_some_and(|given| account.site.as_ref() != Some(&given))
        || invite.exposure.is_some()
        || invite.chip.is_some()
        || invite.preset.is_some();
    match differs {
        false => Ok(()),
        true => Err(Refusal::new(
            RefusalCode::Conflict,
            format!(
                "device {} is there already, and stays what it is; leave --type, --site, --exposure, --chip and --preset out",
                account.identity.name()
            ),
        )),
    }
}

/// Reads which TPM is meant.
fn tpm(fingerprint: &str) -> Result<KeyId, Refusal> {
    fingerprint.parse().map_err(|_| {
        Refusal::invalid(format!(
            "'{}' is no fingerprint of a TPM: it has 64 hexadecimal digits, and `keyward agent tpm` prints it on the device",
            escape_cut(fingerprint, 80)
        ))
    })
}

fn no_device() -> Refusal {
    Refusal::invalid("a device id is expected")
}

impl From<&DeviceInvite> for DeviceAdd {
    fn from(invite: &DeviceInvite) -> Self {
        Self {
            device_type: invite.device_type.clone(),
            site: invite.site.clone(),
            exposure: invite.exposure,
            chip: invite.chip,
            allow_overlap: invite.allow_overlap,
            preset: invite.preset.clone(),
            ..Self::new(&invite.id, NewCredential::None)
        }
    }
}

/// Says what is to be known of the claim code of an account.
pub(super) fn invitation(account: &Account, now: WallTime) -> Option<InvitationRow> {
    let held = account.invitation.as_ref()?;
    Some(InvitationRow {
        state: match &held.claimed {
            Some(_) => InvitationState::Used,
            None if held.is_open(now) => InvitationState::Open,
            None => InvitationState::Expired,
        },
        expires_unix_ms: held.expires.0,
        tpm: held.endorsement.map(|key| key.to_string()),
        used_unix_ms: held.claimed.as_ref().map(|claimed| claimed.at.0),
        conflict_unix_ms: held.conflict.as_ref().map(|conflict| conflict.at.0),
    })
}
