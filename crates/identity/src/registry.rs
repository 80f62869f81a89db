//! What the door asks: who holds which certificate, key and password now.
//!
//! A [`Registry`] is an immutable value. Each change makes a new one that shares nearly everything with the one
//! before, so that a change of one device among a million costs microseconds.
//!
//! Not here: how a change comes about ([`crate::Registrar`]), and what an identity may publish or read (`policy`).

use crate::{
    account::{Account, CertificateRecord, Standing},
    clock::WallTime,
    cow_map::CowMap,
    invitation::ClaimRefusal,
    limits,
    password::Pepper,
    trusted::{BoundName, LocalName, ProvenBy, TrustedAuthority},
    wire,
};
use keyward_ids::{CertSerial, DeviceId, Identity, InstallationId, KeyId, Kind};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{collections::BTreeMap, sync::Arc};

/// Holds all accounts, certificates and keys of an installation at one revision.
#[derive(Debug, Clone, PartialEq)]
pub struct Registry {
    installation: InstallationId,
    revision: u64,
    accounts: CowMap<Identity, Arc<Account>>,
    issued: CowMap<CertSerial, Arc<Issued>>,
    keys: CowMap<KeyId, Identity>,
    trusted: Arc<BTreeMap<LocalName, TrustedAuthority>>,
    /// Whom common names of trusted authorities stand for.
    bound: CowMap<(LocalName, String), Identity>,
}

/// Remembers a certificate that was issued, whether or not it still opens the door.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Issued {
    #[serde(with = "wire::text")]
    identity: Identity,
    certificate: CertificateRecord,
}

/// Says why a certificate does not open the door. Never told to the peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateRefusal {
    /// No certificate with this serial number was issued here.
    #[error("no certificate with serial {serial} was issued here")]
    UnknownSerial {
        /// The serial number that was shown.
        serial: CertSerial,
    },
    /// The serial number is known, with another public key.
    #[error("the certificate with serial {serial} of {identity} has another public key")]
    KeyMismatch {
        /// The serial number that was shown.
        serial: CertSerial,
        /// Whose certificate has this serial number.
        identity: Identity,
    },
    /// The authority is not trusted, or not confirmed since a restore.
    #[error("the authority {authority} is not trusted, or not confirmed since a restore")]
    Distrusted {
        /// Which authority.
        authority: LocalName,
    },
    /// The common name was bound to nobody.
    #[error("'{}' in a certificate of the authority {authority} stands for nobody", .common_name.escape_debug())]
    Unbound {
        /// Which authority.
        authority: LocalName,
        /// The common name; a peer chose it.
        common_name: String,
    },
    /// The common name was bound along with another public key.
    #[error(
        "the certificate of the authority {authority} for {identity} has another public key than the one that was bound"
    )]
    OtherKey {
        /// Which authority.
        authority: LocalName,
        /// Whose name it has.
        identity: Identity,
    },
    /// The identity is disabled.
    #[error("{identity} is disabled")]
    Disabled {
        /// Whose certificate it is.
        identity: Identity,
    },
    /// The identity was not confirmed since the ledger was restored.
    #[error("{identity} is disabled: not confirmed since the restore of {restored}")]
    Unconfirmed {
        /// Whose certificate it is.
        identity: Identity,
        /// When the ledger was restored.
        restored: WallTime,
    },
    /// The identity is revoked.
    #[error("{identity} is revoked")]
    Revoked {
        /// Whose certificate it is.
        identity: Identity,
    },
    /// The identity was removed.
    #[error("{identity} was removed")]
    Removed {
        /// Whose certificate it was.
        identity: Identity,
    },
    /// The certificate was taken away from an identity that is active: another replaced it, or the id was removed
    /// and added again.
    #[error("the certificate with serial {serial} was taken away from {identity}")]
    Withdrawn {
        /// The serial number that was shown.
        serial: CertSerial,
        /// Whose certificate it was.
        identity: Identity,
    },
    /// The certificate is not valid at this time.
    #[error("the certificate of {identity} is valid from {not_before} to {not_after}")]
    OutsideValidity {
        /// Whose certificate it is.
        identity: Identity,
        /// When it begins to be valid.
        not_before: WallTime,
        /// When it ends to be valid.
        not_after: WallTime,
    },
}

fn check_standing(account: &Account) -> Result<(), CertificateRefusal> {
    let identity = account.identity.clone();
    match account.standing {
        Standing::Active => Ok(()),
        Standing::Disabled => Err(CertificateRefusal::Disabled { identity }),
        Standing::Unconfirmed { restored } => Err(CertificateRefusal::Unconfirmed { identity, restored }),
        Standing::Revoked { .. } => Err(CertificateRefusal::Revoked { identity }),
        Standing::Removed => Err(CertificateRefusal::Removed { identity }),
    }
}

/// Counts the identities of one kind by standing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Those that may log in.
    pub active: usize,
    /// Those that are disabled.
    pub disabled: usize,
    /// Those that were not confirmed since a restore.
    pub unconfirmed: usize,
    /// Those that are revoked.
    pub revoked: usize,
    /// Tombstones.
    pub removed: usize,
    /// Those that are in quarantine, whatever their standing.
    pub quarantined: usize,
}

impl Counts {
    /// Returns how many there are, tombstones not included.
    pub fn existing(&self) -> usize {
        self.active + self.disabled + self.unconfirmed + self.revoked
    }
}

impl Registry {
    pub(crate) fn new(installation: InstallationId) -> Self {
        Self {
            installation,
            revision: 0,
            accounts: CowMap::default(),
            issued: CowMap::default(),
            keys: CowMap::default(),
            trusted: Arc::default(),
            bound: CowMap::default(),
        }
    }

    /// Returns the installation's id.
    pub fn installation(&self) -> &InstallationId {
        &self.installation
    }

    /// Returns the number of the last ledger record that this registry knows.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns the account whose certificate this is, if it opens the door at the time `now`: its serial number *and*
    /// its public key are held for an active identity.
    ///
    /// # Errors
    /// [`CertificateRefusal`] says why it does not; log it, do not tell the peer.
    pub fn admit_certificate(
        &self,
        serial: &CertSerial,
        key: &KeyId,
        now: WallTime,
    ) -> Result<&Arc<Account>, CertificateRefusal> {
        let unknown = || CertificateRefusal::UnknownSerial { serial: serial.clone() };
        let issued = self.issued.get(serial).ok_or_else(unknown)?;
        let identity = issued.identity.clone();
        if issued.certificate.key != *key {
            return Err(CertificateRefusal::KeyMismatch { serial: serial.clone(), identity });
        }
        let account = self.find(&identity).ok_or_else(unknown)?;
        check_standing(account)?;
        let Some(held) = account.certificates.iter().find(|held| held.serial == *serial && held.key == *key)
        else {
            return Err(CertificateRefusal::Withdrawn { serial: serial.clone(), identity });
        };
        if !(held.not_before..=held.not_after).contains(&now) {
            let (not_before, not_after) = (held.not_before, held.not_after);
            return Err(CertificateRefusal::OutsideValidity { identity, not_before, not_after });
        }
        Ok(account)
    }

    /// Returns the account that a certificate of the trusted authority `authority` stands for, if it opens the door: its
    /// common name was bound to an active identity, and its public key is the one that was bound along with it, if one was.
    /// `None` if the authority proves only that the client may knock. The caller has verified the certificate.
    ///
    /// # Errors
    /// [`CertificateRefusal`] says why it does not; log it, do not tell the peer.
    pub fn admit_bound_name(
        &self,
        authority: &LocalName,
        common_name: &str,
        key: &KeyId,
    ) -> Result<Option<&Arc<Account>>, CertificateRefusal> {
        let distrusted = || CertificateRefusal::Distrusted { authority: authority.clone() };
        let held = self.trusted.get(authority).filter(|held| held.confirmed).ok_or_else(distrusted)?;
        if held.proves == ProvenBy::None {
            return Ok(None);
        }
        let unbound = || CertificateRefusal::Unbound {
            authority: authority.clone(),
            common_name: common_name.chars().take(limits::COMMON_NAME_BYTES).collect(),
        };
        let identity = self.bound_to(authority, common_name).ok_or_else(unbound)?;
        let account = self.find(identity).ok_or_else(unbound)?;
        let is_this = |bound: &&BoundName| bound.authority == *authority && bound.common_name == common_name;
        let bound = account.bound_names.iter().find(is_this).ok_or_else(unbound)?;
        if bound.key.is_some_and(|bound| bound != *key) {
            return Err(CertificateRefusal::OtherKey {
                authority: authority.clone(),
                identity: identity.clone(),
            });
        }
        check_standing(account)?;
        Ok(Some(account))
    }

    /// Returns the account of a device, if this is its claim code and may be used at the time `now`.
    ///
    /// # Errors
    /// [`ClaimRefusal`] says why it may not; log it, do not tell the peer.
    pub fn admit_code(
        &self,
        id: &DeviceId,
        code: &[u8],
        pepper: &Pepper,
        now: WallTime,
    ) -> Result<&Arc<Account>, ClaimRefusal> {
        let not_invited = || ClaimRefusal::NotInvited(id.clone());
        let account = self.find(&Identity::Device(id.clone())).ok_or_else(not_invited)?;
        let invitation = account.invitation.as_ref().ok_or_else(not_invited)?;
        invitation.admit(id, code, pepper, now)?;
        match account.is_active() {
            true => Ok(account),
            false => Err(ClaimRefusal::ShutOut { id: id.clone(), standing: account.standing.name() }),
        }
    }

    /// Returns the trusted authorities, those too that are not confirmed since a restore.
    pub fn trusted(&self) -> &BTreeMap<LocalName, TrustedAuthority> {
        &self.trusted
    }

    /// Returns whom a common name in certificates of a trusted authority stands for.
    pub fn bound_to(&self, authority: &LocalName, common_name: &str) -> Option<&Identity> {
        self.bound.get(&(authority.clone(), common_name.to_owned()))
    }

    /// Returns the account of `identity`, whatever its standing; tombstones too.
    pub fn find(&self, identity: &Identity) -> Option<&Arc<Account>> {
        self.accounts.get(identity)
    }

    /// Returns the one account that logs in with the user name `login` and a password, whatever its standing.
    ///
    /// A bare name stands for the user or the device that holds a password (they cannot both hold one under one
    /// name); `device:NAME` and `user:NAME` are understood too.
    pub fn find_login(&self, login: &str) -> Option<&Arc<Account>> {
        let holder = |identity: Identity| self.find(&identity).filter(|account| account.password.is_some());
        if let Ok(identity) = login.parse::<Identity>() {
            return holder(identity);
        }
        [Kind::User, Kind::Device]
            .into_iter()
            .filter_map(|kind| Identity::new(kind, login).ok())
            .find_map(holder)
    }

    /// Tells whether a link of `identity` that was opened under `epoch` may live on.
    pub fn holds(&self, identity: &Identity, epoch: u64) -> bool {
        self.find(identity).is_some_and(|account| account.is_active() && account.epoch == epoch)
    }

    /// Returns who holds or ever held the public key `key`, unless it was released.
    pub fn key_holder(&self, key: &KeyId) -> Option<&Identity> {
        self.keys.get(key)
    }

    /// Returns the public keys that `identity` holds or ever held and that were not released, in no order.
    pub fn keys_of<'a>(&'a self, identity: &'a Identity) -> impl Iterator<Item = &'a KeyId> {
        self.keys.iter().filter(move |(_, holder)| *holder == identity).map(|(key, _)| key)
    }

    /// Returns all accounts in no order, tombstones too.
    pub fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.accounts.values()
    }

    /// Returns how many accounts there are, tombstones included.
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Tells whether nobody was ever added.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Counts the identities of one kind.
    pub fn counts(&self, kind: Kind) -> Counts {
        let mut counts = Counts::default();
        for account in self.accounts().filter(|account| account.identity.kind() == kind) {
            *match account.standing {
                Standing::Active => &mut counts.active,
                Standing::Disabled => &mut counts.disabled,
                Standing::Unconfirmed { .. } => &mut counts.unconfirmed,
                Standing::Revoked { .. } => &mut counts.revoked,
                Standing::Removed => &mut counts.removed,
            } += 1;
            counts.quarantined += usize::from(account.quarantine.is_some());
        }
        counts
    }

    pub(crate) fn is_serial_used(&self, serial: &CertSerial) -> bool {
        self.issued.get(serial).is_some()
    }

    pub(crate) fn set_revision(&mut self, revision: u64) {
        self.revision = revision;
    }

    pub(crate) fn trust(&mut self, name: LocalName, authority: TrustedAuthority) {
        Arc::make_mut(&mut self.trusted).insert(name, authority);
    }

    pub(crate) fn distrust(&mut self, name: &LocalName) {
        Arc::make_mut(&mut self.trusted).remove(name);
    }

    pub(crate) fn put(&mut self, account: Account) {
        let before = self.accounts.get(&account.identity).map(|account| account.bound_names.clone());
        for BoundName { authority, common_name, .. } in before.unwrap_or_default() {
            self.bound.remove(&(authority, common_name));
        }
        for BoundName { authority, common_name, .. } in &account.bound_names {
            self.bound.insert((authority.clone(), common_name.clone()), account.identity.clone());
        }
        self.accounts.insert(account.identity.clone(), Arc::new(account));
    }

    /// Remembers a certificate and whose key it has.
    pub(crate) fn record_issued(&mut self, identity: &Identity, certificate: CertificateRecord) {
        self.record_key(identity, certificate.key);
        let serial = certificate.serial.clone();
        self.issued.insert(serial, Arc::new(Issued { identity: identity.clone(), certificate }));
    }

    /// Remembers whose a public key is.
    pub(crate) fn record_key(&mut self, identity: &Identity, key: KeyId) {
        self.keys.insert(key, identity.clone());
    }

    pub(crate) fn release_key(&mut self, key: &KeyId) {
        self.keys.remove(key);
    }
}

/// The form in which a registry stands in a snapshot.
#[derive(Serialize, Deserialize)]
struct Image {
    #[serde(with = "wire::text")]
    installation: InstallationId,
    revision: u64,
    accounts: Vec<Arc<Account>>,
    issued: Vec<Arc<Issued>>,
    keys: Vec<HeldKey>,
    #[serde(default)]
    trusted: BTreeMap<LocalName, TrustedAuthority>,
}

#[derive(Serialize, Deserialize)]
struct HeldKey {
    #[serde(with = "wire::text")]
    key: KeyId,
    #[serde(with = "wire::text")]
    holder: Identity,
}

impl Serialize for Registry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let held = |(key, holder): (&KeyId, &Identity)| HeldKey { key: *key, holder: holder.clone() };
        Image {
            installation: self.installation.clone(),
            revision: self.revision,
            accounts: self.accounts.values().cloned().collect(),
            issued: self.issued.values().cloned().collect(),
            keys: self.keys.iter().map(held).collect(),
            trusted: BTreeMap::clone(&self.trusted),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Registry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let image = Image::deserialize(deserializer)?;
        let mut registry = Self::new(image.installation);
        registry.revision = image.revision;
        registry.trusted = Arc::new(image.trusted);
        for account in image.accounts {
            for BoundName { authority, common_name, .. } in &account.bound_names {
                registry.bound.insert((authority.clone(), common_name.clone()), account.identity.clone());
            }
            registry.accounts.insert(account.identity.clone(), account);
        }
        for issued in image.issued {
            registry.issued.insert(issued.certificate.serial.clone(), issued);
        }
        for HeldKey { key, holder } in image.keys {
            registry.keys.insert(key, holder);
        }
        Ok(registry)
    }
}
