//! What is known of one identity.

use crate::{
    agreement_key::HeldAgreementKey,
    authority::BACKDATED,
    clock::WallTime,
    cose_key::Kid,
    invitation::Invitation,
    message_key::{HeldMessageKey, MessageKeyStatus},
    password::PasswordRecord,
    place::{Moved, Place},
    quarantine::Quarantine,
    second_holder::FoundHolder,
    trusted::BoundName,
    wire,
};
use keyward_ids::{CertSerial, Identity, KeyId, SiteId, TypeId};
use serde::{Deserialize, Serialize};

/// Holds what is known of one identity. A removed one stays as a tombstone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Who this is.
    #[serde(with = "wire::text")]
    pub identity: Identity,
    /// The type of device, a name that rules refer to.
    #[serde(with = "wire::optional_text", default)]
    pub device_type: Option<TypeId>,
    /// Where the device stands, a name that rules refer to.
    #[serde(with = "wire::optional_text", default)]
    pub site: Option<SiteId>,
    /// Who can lay hands on the device.
    pub exposure: Option<Exposure>,
    /// What the device depends on there.
    #[serde(default, skip_serializing_if = "Place::is_unknown")]
    pub place: Place,
    /// When a person last moved the device on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Moved>,
    /// Which chip the device is, if it is one that cannot protect its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chip: Option<Chip>,
    /// Whether the identity may act.
    pub standing: Standing,
    /// Which life of its name this is: changes only when a removed id is added again. What an earlier life had is not
    /// its.
    pub life: u64,
    /// Changes whenever a credential of the identity is taken away and when it is disabled, revoked or removed.
    /// A link that was opened under an older epoch is to be closed. Never goes back, not even for a removed id that
    /// is added again.
    pub epoch: u64,
    /// Whether a machine chose the id. Such a device gets topics below `devices/ID/` only.
    pub machine_chosen: bool,
    /// Whether the identity may log in where passwords can be read on the network. Its password opens no other door.
    #[serde(default)]
    pub plain: bool,
    /// The certificates that open the door now.
    pub certificates: Vec<CertificateRecord>,
    /// The password that opens the door now.
    pub password: Option<PasswordRecord>,
    /// Whether its password may have been read on a network: see [`has_exposed_password`](Self::has_exposed_password).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub password_exposed: bool,
    /// The common names that stand for it in certificates of trusted authorities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bound_names: Vec<BoundName>,
    /// The keys by which its messages are verified, oldest first; those too by which none is accepted any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub message_keys: Vec<HeldMessageKey>,
    /// The keys to which is encrypted for it, oldest first; those too to which nothing is encrypted any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agreement_keys: Vec<HeldAgreementKey>,
    /// The claim code that it was given last, used or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation: Option<Invitation>,
    /// The quarantine that the device is in: it may act on its recovery topics only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Quarantine>,
    /// When the identity was added; for one that was added again, the last time.
    pub created: WallTime,
    /// What the operator wrote about it.
    pub note: String,
}

impl Account {
    /// Tells whether the identity may act now.
    pub fn is_active(&self) -> bool {
        self.standing == Standing::Active
    }

    /// Tells whether it is one to share secrets with: it may act, and nobody doubts that it is who it was. Keys of groups go to such
    /// devices alone.
    pub fn is_trusted(&self) -> bool {
        self.is_active() && self.quarantine.is_none()
    }

    /// Tells whether it has a key still that it had when it was put into quarantine, and that is good for something at the time `now`;
    /// `false` if it is in none. A certificate counts that renewed another and was not used yet: whoever asked for it has it.
    pub fn has_key_of_before_quarantine(&self, now: WallTime) -> bool {
        let Some(since) = self.quarantine.as_ref().map(|quarantine| quarantine.since) else { return false };
        let issued = |held: &CertificateRecord| held.not_before.after(BACKDATED);
        let is_accepted =
            |held: &HeldMessageKey| !matches!(held.status(now), MessageKeyStatus::Retired { .. });
        self.certificates.iter().any(|held| issued(held) <= since && now <= held.not_after)
            || self.message_keys.iter().any(|held| held.registered <= since && is_accepted(held))
    }

    /// Tells whether it has a password that was used elsewhere where it may have been read on a network, and opens doors here that
    /// it would not have to: who is marked `plain` uses it in clear here too, and nowhere else.
    pub fn has_exposed_password(&self) -> bool {
        self.password_exposed && self.password.is_some() && !self.plain
    }

    /// Returns the message key that two hold, as far as is known, and since when and why that is known.
    pub fn second_holder(&self) -> Option<(&HeldMessageKey, &FoundHolder)> {
        self.message_keys.iter().find_map(|held| Some((held, held.second_holder.as_ref()?)))
    }

    /// Names the keys for messages that it has, for either purpose.
    pub(crate) fn kids(&self) -> impl Iterator<Item = Kid> {
        let signing = self.message_keys.iter().map(|held| held.key.kid());
        signing.chain(self.agreement_keys.iter().map(|held| held.key.kid()))
    }

    /// Tells whether a certificate was not used yet that renews another, so that its holder may not have it: what a key
    /// [`awaits`](HeldMessageKey::awaits) that came with it.
    pub fn awaits_use(&self, serial: Option<&CertSerial>) -> bool {
        serial.is_some_and(|serial| self.renewed_by(serial).is_some())
    }

    /// Names the keys for messages that wait for the first use of such a certificate.
    pub(crate) fn kids_awaiting<'a>(&'a self, serial: &'a CertSerial) -> impl Iterator<Item = Kid> + 'a {
        let awaits = move |held: &Option<CertSerial>| held.as_ref() == Some(serial);
        let signing = self.message_keys.iter().filter(move |held| awaits(&held.awaits));
        let agreeing = self.agreement_keys.iter().filter(move |held| awaits(&held.awaits));
        let is_unused = self.renewed_by(serial).is_some();
        let kids = signing.map(|held| held.key.kid()).chain(agreeing.map(|held| held.key.kid()));
        kids.filter(move |_| is_unused)
    }

    /// Returns the end that was set to one of these keys; nothing if it has no such key.
    pub(crate) fn end_of_key(&self, kid: Kid) -> Option<Option<WallTime>> {
        let signing = self.message_keys.iter().map(|held| (held.key.kid(), held.until));
        let agreeing = self.agreement_keys.iter().map(|held| (held.key.kid(), held.until));
        signing.chain(agreeing).find(|(of, _)| *of == kid).map(|(_, until)| until)
    }

    /// Returns the serial number of the certificate that the one with `serial` renews, if both open the door: it is to be
    /// taken away when the new one is used.
    pub fn renewed_by(&self, serial: &CertSerial) -> Option<&CertSerial> {
        let renews = self.certificates.iter().find(|held| held.serial == *serial)?.renews.as_ref()?;
        self.certificates.iter().map(|held| &held.serial).find(|held| *held == renews)
    }
}

/// Says whether an identity may act, and what becomes of what it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Standing {
    /// It may log in.
    Active,
    /// It may not log in until it is enabled again; its credentials are kept.
    Disabled,
    /// It may not log in until an operator confirms it: the ledger was restored, and nobody knows whether something was
    /// taken away from it since the backup. Its credentials are kept.
    Unconfirmed {
        /// When the ledger was restored.
        restored: WallTime,
    },
    /// It may not log in any more; its credentials are gone for good.
    Revoked {
        /// Whether messages that it published before are still delivered.
        keep_messages: bool,
        /// Whether its will is published.
        publish_will: bool,
    },
    /// A tombstone: the id may be added again, the old credentials never come back.
    Removed,
}

impl Standing {
    /// Names it in a sentence.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Unconfirmed { .. } => "not confirmed since a restore",
            Self::Revoked { .. } => "revoked",
            Self::Removed => "removed",
        }
    }
}

/// Says who can lay hands on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exposure {
    /// Anybody: it hangs on a street.
    Public,
    /// People who belong to the place.
    Workplace,
    /// Nobody without a key.
    Locked,
}

impl Exposure {
    /// Names it in one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Workplace => "workplace",
            Self::Locked => "locked",
        }
    }
}

/// Names a chip out of which whoever holds the device reads the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chip {
    /// ESP8266: its flash can be read, always.
    Esp8266,
    /// The ESP32 family: its flash can be read, unless somebody burned fuses for flash encryption and secure boot.
    Esp32,
}

/// Holds what is known of one certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRecord {
    /// Its serial number.
    #[serde(with = "wire::text")]
    pub serial: CertSerial,
    /// Its public key.
    #[serde(with = "wire::text")]
    pub key: KeyId,
    /// When it begins to be valid.
    pub not_before: WallTime,
    /// When it ends to be valid.
    pub not_after: WallTime,
    /// The certificate that is taken away when this one is used for the first time: this one renews it.
    #[serde(with = "wire::optional_text", default, skip_serializing_if = "Option::is_none")]
    pub renews: Option<CertSerial>,
}

impl CertificateRecord {
    /// Returns when two thirds of its life are over: from then on it is to be renewed.
    pub fn due(&self) -> WallTime {
        let (begin, end) = (self.not_before.0, self.not_after.0);
        WallTime(begin + end.saturating_sub(begin) / 3 * 2)
    }
}
