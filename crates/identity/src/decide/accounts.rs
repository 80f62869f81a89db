//! Adding identities and changing their standing.

use super::{Clerk, Decision, bounded};
use crate::{
    account::{Account, Standing},
    commands::{AddDevice, AddUser, NewCredential},
    events::Event,
    groups::GroupRefusal,
    limits,
    names::check_new_name,
    refusal::Refusal,
    state::State,
};
use keyward_ids::{Identity, Kind};

impl Clerk<'_> {
    pub(super) fn add_device(&self, device: AddDevice) -> Result<Decision, Refusal> {
        let identity = Identity::Device(device.id);
        let added = Event::Added {
            identity: identity.clone(),
            device_type: device.device_type,
            site: device.site.clone(),
            exposure: device.exposure,
            chip: device.chip,
            machine_chosen: device.machine_chosen,
            note: device.note.clone(),
        };
        device.place.check()?;
        let (site, exposure) = (device.site, device.exposure);
        let mut decision = self.add(&identity, added, device.plain, &device.note, &device.credential)?;
        if !device.place.is_unknown() {
            decision.events.push(Event::Placed { identity, site, exposure, place: device.place });
        }
        Ok(decision)
    }

    pub(super) fn add_user(&self, user: AddUser) -> Result<Decision, Refusal> {
        let identity = Identity::User(user.id);
        let added = Event::Added {
            identity: identity.clone(),
            device_type: None,
            site: None,
            exposure: None,
            chip: None,
            machine_chosen: false,
            note: user.note.clone(),
        };
        self.add(&identity, added, user.plain, &user.note, &user.credential)
    }

    fn add(
        &self,
        identity: &Identity,
        added: Event,
        plain: bool,
        note: &str,
        credential: &NewCredential,
    ) -> Result<Decision, Refusal> {
        check_free(self.state, identity)?;
        self.check_is_no_members_name(identity)?;
        bounded("note", note, limits::NOTE_BYTES)?;
        if self.state.registry.find(identity).is_none() && self.state.registry.len() >= limits::ACCOUNTS {
            return Err(Refusal::Full { what: "accounts", max: limits::ACCOUNTS });
        }
        let mut decision = match credential {
            NewCredential::Certificate { key, lifetime_days } => {
                self.certify(identity, key, *lifetime_days)?
            }
            NewCredential::Password(password) => self.give_password(identity, password)?,
            NewCredential::ClaimCode { seconds, endorsement } => {
                self.draw_code(identity, *seconds, false, *endorsement)?
            }
            NewCredential::None => Decision::nothing(),
        };
        decision.events.insert(0, added);
        if plain {
            decision.events.insert(1, Event::MarkedPlain { identity: identity.clone() });
        }
        Ok(decision)
    }

    /// Refuses a device the name under which a user is a member of a group: it would read what is for that one.
    fn check_is_no_members_name(&self, identity: &Identity) -> Result<(), Refusal> {
        let Identity::Device(id) = identity else { return Ok(()) };
        let folded = id.folded();
        let user = folded.strip_prefix("user.").and_then(|name| Identity::new(Kind::User, name).ok());
        match user.filter(|user| self.state.groups.of(user).next().is_some()) {
            Some(user) => Err(GroupRefusal::Called { user, device: identity.clone() }.into()),
            None => Ok(()),
        }
    }

    pub(super) fn mark_plain(&self, identity: Identity, plain: bool) -> Result<Decision, Refusal> {
        Ok(match (self.unrevoked(&identity)?.plain, plain) {
            (false, true) => Event::MarkedPlain { identity }.into(),
            (true, false) => Event::UnmarkedPlain { identity }.into(),
            _ => Decision::nothing(),
        })
    }

    pub(super) fn disable(&self, identity: Identity) -> Result<Decision, Refusal> {
        let account = self.existing(&identity)?;
        Ok(match account.standing {
            Standing::Active | Standing::Unconfirmed { .. } => Event::Disabled { identity }.into(),
            // Who is revoked can do less than who is disabled.
            _ => Decision::nothing(),
        })
    }

    pub(super) fn enable(&self, identity: Identity) -> Result<Decision, Refusal> {
        match self.existing(&identity)?.standing {
            Standing::Revoked { .. } => Err(Refusal::IsRevoked(identity)),
            Standing::Disabled => Ok(Event::Enabled { identity }.into()),
            // Who enables it knows of it.
            Standing::Unconfirmed { .. } => Ok(Event::Confirmed { identity }.into()),
            Standing::Active | Standing::Removed => Ok(Decision::nothing()),
        }
    }

    pub(super) fn confirm(&self, identity: Identity) -> Result<Decision, Refusal> {
        match self.existing(&identity)?.standing {
            Standing::Unconfirmed { .. } => Ok(Event::Confirmed { identity }.into()),
            Standing::Revoked { .. } => Err(Refusal::IsRevoked(identity)),
            Standing::Disabled => Err(Refusal::IsDisabled(identity)),
            Standing::Active | Standing::Removed => Ok(Decision::nothing()),
        }
    }

    pub(super) fn confirm_all(&self) -> Decision {
        let is_unconfirmed =
            |account: &std::sync::Arc<Account>| matches!(account.standing, Standing::Unconfirmed { .. });
        match self.state.registry.accounts().any(is_unconfirmed) {
            true => Event::AllConfirmed.into(),
            false => Decision::nothing(),
        }
    }

    pub(super) fn revoke(
        &self,
        identity: Identity,
        keep_messages: bool,
        publish_will: bool,
    ) -> Result<Decision, Refusal> {
        if self.existing(&identity)?.standing == (Standing::Revoked { keep_messages, publish_will }) {
            return Ok(Decision::nothing());
        }
        Ok(Event::Revoked { identity, keep_messages, publish_will }.into())
    }

    pub(super) fn remove(&self, identity: Identity) -> Result<Decision, Refusal> {
        self.existing(&identity)?;
        Ok(Event::Removed { identity }.into())
    }

    /// Returns the account of an identity that is no tombstone.
    pub(super) fn existing(&self, identity: &Identity) -> Result<&Account, Refusal> {
        let account = self.state.registry.find(identity).map(AsRef::as_ref);
        account
            .filter(|account| account.standing != Standing::Removed)
            .ok_or_else(|| Refusal::NoSuchIdentity(identity.clone()))
    }

    /// Returns the account of an identity that may get credentials.
    pub(super) fn unrevoked(&self, identity: &Identity) -> Result<&Account, Refusal> {
        let account = self.existing(identity)?;
        match account.standing {
            Standing::Revoked { .. } => Err(Refusal::IsRevoked(identity.clone())),
            _ => Ok(account),
        }
    }
}

/// Checks that a new identity may be called so and that nobody is.
pub(crate) fn check_free(state: &State, identity: &Identity) -> Result<(), Refusal> {
    check_new_name(identity, &state.server_names)?;
    state.registry.find(identity).map_or(Ok(()), |account| refuse_existing(account))
}

fn refuse_existing(account: &Account) -> Result<(), Refusal> {
    let remedy = match account.standing {
        Standing::Removed => return Ok(()),
        Standing::Active => "choose another name, or give it another credential",
        Standing::Disabled => "enable it, or remove it first",
        Standing::Unconfirmed { .. } => "confirm it (keyward store confirm), or remove it first",
        Standing::Revoked { .. } => "remove it first, then add it again",
    };
    let standing = account.standing.name();
    Err(Refusal::Exists { identity: account.identity.clone(), standing, remedy })
}
