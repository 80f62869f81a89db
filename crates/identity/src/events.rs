//! What happened: the content of the ledger.
//!
//! An event is a fact about the past. Applying it never fails for a rule of today, so that an old ledger stays
//! readable when rules change. The names of variants and fields are the format on disk: never rename one.

use crate::{
    account::{CertificateRecord, Chip, Exposure},
    agreement_key::AgreementKey,
    clock::WallTime,
    cose_key::Kid,
    endorsement::Endorsement,
    imported::ImportedCertificate,
    message_key::MessageKey,
    names::ServerName,
    password::PasswordRecord,
    place::Place,
    quarantine::QuarantinedBy,
    second_holder::SecondHolder,
    trusted::{BoundName, Der, LocalName, ProvenBy},
    wire,
};
use keyward_ids::{CertSerial, GroupId, Identity, InstallationId, KeyId, SiteId, TypeId};
use serde::{Deserialize, Serialize};

/// One change of the installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// The installation was made.
    Initialised {
        /// Its id.
        #[serde(with = "wire::text")]
        installation: InstallationId,
        /// The certificates of its authorities.
        authorities: AuthorityCertificates,
        /// The public key of the server's certificate.
        #[serde(with = "wire::text")]
        server_key: KeyId,
    },
    /// The server found these names of itself; names found before and not listed are forgotten.
    ServerNamesFound {
        /// The names.
        names: Vec<ServerName>,
    },
    /// An operator added a name of the server.
    ServerNameAdded {
        /// The name.
        name: ServerName,
    },
    /// An operator removed a name of the server.
    ServerNameRemoved {
        /// The name.
        name: ServerName,
    },
    /// The server got a new certificate for its key.
    ServerCertificateIssued {
        /// Its serial number, key and validity.
        certificate: CertificateRecord,
        /// The names in it.
        names: Vec<ServerName>,
        /// The certificate in DER.
        #[serde(with = "wire::base64")]
        der: Vec<u8>,
    },
    /// A certificate of this server that another authority made was imported, or replaced.
    ServerCertificateImported {
        /// Its name here.
        name: LocalName,
        /// The certificate.
        certificate: ImportedCertificate,
    },
    /// It was removed, with its key.
    ServerCertificateRemoved {
        /// Its name here.
        name: LocalName,
    },
    /// An identity was added, for the first time or after it was removed.
    Added {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// The type of device.
        #[serde(with = "wire::optional_text", default)]
        device_type: Option<TypeId>,
        /// Where it stands.
        #[serde(with = "wire::optional_text", default)]
        site: Option<SiteId>,
        /// Who can lay hands on it.
        exposure: Option<Exposure>,
        /// Which chip it is, if it is one that cannot protect its key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chip: Option<Chip>,
        /// Whether a machine chose the id.
        machine_chosen: bool,
        /// What the operator wrote about it.
        note: String,
    },
    /// A device stands elsewhere, or it is said anew where it stands: this is all of it.
    Placed {
        /// Which device.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// Where it stands.
        #[serde(with = "wire::optional_text", default, skip_serializing_if = "Option::is_none")]
        site: Option<SiteId>,
        /// Who can lay hands on it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exposure: Option<Exposure>,
        /// What it depends on there.
        place: Place,
    },
    /// A person moved a device, and says so.
    MovedOnPurpose {
        /// Which device.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// Why; empty if nothing was said.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        because: String,
    },
    /// Somebody works somewhere from here on; a window of before at the same place is replaced.
    MaintenanceBegun {
        /// What is worked on, as the watch writes it: `device:ID`, `site:NAME`.
        scope: String,
        /// Until when.
        until: WallTime,
        /// Why.
        because: String,
    },
    /// Nobody works there any more.
    MaintenanceEnded {
        /// What was worked on.
        scope: String,
    },
    /// A claim code was drawn for a device; one from before is void.
    Invited {
        /// For whom.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// What is kept of the code.
        code: PasswordRecord,
        /// Until when it may be used.
        expires: WallTime,
        /// Whether the certificates of the device are taken away when it is used; else it gets none if it has one by then.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        replace: bool,
        /// The one TPM that gets something for it, by the fingerprint of its endorsement key; any device if absent.
        #[serde(with = "wire::optional_text", default, skip_serializing_if = "Option::is_none")]
        endorsement: Option<KeyId>,
    },
    /// The claim code of a device was voided.
    Uninvited {
        /// Whose.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// The claim code of a device was used.
    Claimed {
        /// Whose.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// The public key that was certified.
        #[serde(with = "wire::text")]
        key: KeyId,
        /// The serial number of its certificate.
        #[serde(with = "wire::text")]
        serial: CertSerial,
    },
    /// A claim code came for the first time from somebody for whom it is not good: after it was used with another public key, after its
    /// hour, or without evidence of the TPM that it is for.
    ClaimConflicted {
        /// Whose.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// The key that came; none if the code came too late for one to be asked for.
        #[serde(with = "wire::optional_text", default, skip_serializing_if = "Option::is_none")]
        key: Option<KeyId>,
    },
    /// A certificate was issued to an identity.
    CertificateIssued {
        /// To whom.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// Its serial number, key and validity.
        certificate: CertificateRecord,
    },
    /// A certificate was taken away from an identity.
    CertificateWithdrawn {
        /// From whom.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// Its serial number.
        #[serde(with = "wire::text")]
        serial: CertSerial,
        /// Whether nobody ever used it: it renewed another one and was lost on the way. No link stands on it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unused: bool,
    },
    /// An identity got a password; the one before is void.
    PasswordSet {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// What is kept of the password.
        record: PasswordRecord,
        /// Whether it may have been read on a network before it came here.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        exposed: bool,
    },
    /// An identity's imported password was right and is hashed anew; it is the same password, so nothing is void.
    PasswordRehashed {
        /// Whose.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// What is kept of the password from here on.
        record: PasswordRecord,
    },
    /// An identity's password was taken away.
    PasswordWithdrawn {
        /// Whose.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// A device got a key by which its messages are verified; or more is known of how well it keeps one that it has.
    MessageKeyRegistered {
        /// Which device.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// The key.
        key: MessageKey,
        /// The TPM that vouched for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endorsement: Option<Endorsement>,
    },
    /// A device or user got a key to which messages and keys of groups are encrypted.
    AgreementKeyRegistered {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// The key.
        key: AgreementKey,
    },
    /// A key for messages, of either purpose, waits for the first use of a certificate, with which it came: then it takes the place of
    /// those before it. What is signed by it is verified at once.
    MessageKeyAwaits {
        /// Whose.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// Which of its keys.
        #[serde(with = "wire::text")]
        kid: Kid,
        /// The serial number of the certificate, which renews another.
        #[serde(with = "wire::text")]
        serial: CertSerial,
    },
    /// A key for messages, of either purpose, is used for a while only.
    MessageKeyRetired {
        /// Whose.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// Which of its keys.
        #[serde(with = "wire::text")]
        kid: Kid,
        /// Until when.
        until: WallTime,
    },
    /// A key for messages, of either purpose, was taken away: nothing that is signed by it counts any more, nothing is encrypted to it.
    MessageKeyWithdrawn {
        /// From whom.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// Which of its keys.
        #[serde(with = "wire::text")]
        kid: Kid,
    },
    /// It was proven that two hold a message key, or that its device has lost count; the first time.
    SecondHolderFound {
        /// Whose key it is.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// Which of its keys.
        #[serde(with = "wire::text")]
        kid: Kid,
        /// What proves it.
        evidence: SecondHolder,
    },
    /// The key was made that signs key sets; devices pin it.
    InstallationKeyMade {
        /// Its public half.
        key: MessageKey,
    },
    /// A key was made that signs commands.
    CommandKeyMade {
        /// Its public half.
        key: MessageKey,
        /// From when on it signs.
        signs_from: WallTime,
    },
    /// A key that signs commands is to leave the key set.
    CommandKeyRetired {
        /// Which.
        #[serde(with = "wire::text")]
        kid: Kid,
        /// When.
        until: WallTime,
    },
    /// A key that signed commands left the key set; it is deleted.
    CommandKeyRemoved {
        /// Which.
        #[serde(with = "wire::text")]
        kid: Kid,
    },
    /// A key set was signed.
    KeySetSigned {
        /// Its version.
        version: u64,
        /// Until when it is good.
        expires: WallTime,
        /// The keys in it.
        #[serde(with = "wire::texts")]
        kids: Vec<Kid>,
        /// The signed message.
        #[serde(with = "wire::base64")]
        message: Vec<u8>,
    },
    /// A command to a device was signed.
    CommandSigned {
        /// Which device.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// The topic that it is for.
        topic: String,
        /// The key.
        #[serde(with = "wire::text")]
        kid: Kid,
        /// Its number.
        number: u64,
    },
    /// A message to the members of a group was signed.
    GroupMessageSigned {
        /// Which group.
        #[serde(with = "wire::text")]
        group: GroupId,
        /// The epoch of the key under which it is encrypted.
        epoch: u32,
        /// The topic that it is for.
        topic: String,
        /// The key that signed it.
        #[serde(with = "wire::text")]
        kid: Kid,
        /// Its number.
        number: u64,
    },
    /// Numbers of signed messages were set aside, for grants.
    CommandNumbersReserved {
        /// The first.
        first: u64,
        /// How many.
        count: u32,
    },
    /// A group was made whose members share a key.
    GroupCreated {
        /// Its name.
        #[serde(with = "wire::text")]
        group: GroupId,
        /// The epoch of its first key.
        epoch: u32,
    },
    /// Somebody became a member of a group: it gets the key of the current epoch and later ones.
    GroupMemberAdded {
        /// Which group.
        #[serde(with = "wire::text")]
        group: GroupId,
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// Somebody is no member of a group any more.
    GroupMemberRemoved {
        /// Which group.
        #[serde(with = "wire::text")]
        group: GroupId,
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// A group got a new key.
    GroupRotated {
        /// Which group.
        #[serde(with = "wire::text")]
        group: GroupId,
        /// The epoch of the new key.
        epoch: u32,
    },
    /// Old keys of a group were forgotten.
    GroupEpochsEnded {
        /// Which group.
        #[serde(with = "wire::text")]
        group: GroupId,
        /// The first epoch that is kept.
        before: u32,
    },
    /// A key of a group was handed to an operator.
    GroupKeyShown {
        /// Which group.
        #[serde(with = "wire::text")]
        group: GroupId,
        /// The epoch of the key.
        epoch: u32,
    },
    /// A group was deleted, with its keys.
    GroupDeleted {
        /// Which group.
        #[serde(with = "wire::text")]
        group: GroupId,
    },
    /// Client certificates of an authority of others are accepted from here on.
    AuthorityTrusted {
        /// Its name here.
        name: LocalName,
        /// What its certificates prove.
        proves: ProvenBy,
        /// Its certificates.
        certificates: Vec<Der>,
        /// Its lists of revoked certificates.
        revocations: Vec<Der>,
    },
    /// The lists of revoked certificates of a trusted authority were replaced.
    AuthorityRevocationsSet {
        /// The authority.
        name: LocalName,
        /// Its lists from here on.
        revocations: Vec<Der>,
    },
    /// An operator said that a trusted authority may be used again after a restore.
    AuthorityConfirmed {
        /// The authority.
        name: LocalName,
    },
    /// Nothing of this authority is accepted any more; the names bound to it are forgotten.
    AuthorityDistrusted {
        /// The authority.
        name: LocalName,
    },
    /// A common name in certificates of a trusted authority stands for an identity.
    NameBound {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// The name.
        bound: BoundName,
    },
    /// It does no longer.
    NameUnbound {
        /// Whose.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// The authority.
        authority: LocalName,
        /// The common name.
        common_name: String,
    },
    /// An identity may log in where passwords can be read on the network, and with its password nowhere else.
    MarkedPlain {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// An identity may not log in any more where passwords can be read on the network.
    UnmarkedPlain {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// An identity was disabled.
    Disabled {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// A disabled identity was enabled.
    Enabled {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// A device was put into quarantine: it stays connected, and may speak and hear on its recovery topics only.
    Quarantined {
        /// Which device.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// Who put it there.
        by: QuarantinedBy,
        /// Why.
        because: String,
    },
    /// An operator released a device from quarantine.
    Released {
        /// Which device.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// An identity was revoked, with all its credentials.
    Revoked {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// Whether messages that it published before are still delivered.
        keep_messages: bool,
        /// Whether its will is published.
        publish_will: bool,
    },
    /// An identity was removed; a tombstone stays.
    Removed {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// A public key may be certified again, for anybody.
    KeyReleased {
        /// The key.
        #[serde(with = "wire::text")]
        key: KeyId,
        /// Who held it.
        #[serde(with = "wire::text")]
        holder: Identity,
    },
    /// The ledger was restored from a backup; what follows here was taken away before that.
    Restored {
        /// When the backup was taken.
        taken: WallTime,
        /// Up to when it is known what was taken away.
        known_until: WallTime,
        /// Whether that is too early: who could act is unconfirmed from here on.
        unconfirmed: bool,
        /// A number drawn for this restore, below 2^53. Lives of identities that are added from here on are counted from
        /// it, so that none is one that was given in records which are lost.
        lives: u64,
    },
    /// Nobody knows whether something was taken away from an identity.
    Unconfirmed {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// An operator said that an unconfirmed identity may act.
    Confirmed {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// An operator said that all unconfirmed identities may act.
    AllConfirmed,
    /// An operator said that the clock is right.
    ClockAccepted {
        /// What the clock showed.
        clock: WallTime,
    },
    /// A file with types, roles, rules or settings changed.
    ConfigChanged {
        /// What changed: file names and the difference.
        summary: String,
    },
}

/// Holds the certificates of the four authorities in DER.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityCertificates {
    /// The trust anchor of every bundle.
    #[serde(with = "wire::base64")]
    pub server_root: Vec<u8>,
    /// Signs this server's certificate and nothing else.
    #[serde(with = "wire::base64")]
    pub server_issuing: Vec<u8>,
    /// What this server accepts clients under; never handed out as an anchor.
    #[serde(with = "wire::base64")]
    pub device_root: Vec<u8>,
    /// Signs certificates of devices and users.
    #[serde(with = "wire::base64")]
    pub device_issuing: Vec<u8>,
}

mod concerns;
#[cfg(test)]
mod tests;
