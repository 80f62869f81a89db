//! What can be asked of the registrar. What it gives back: [`Outcome`](crate::Outcome); why it refuses: [`Refusal`](crate::Refusal).

use crate::{
    account::Exposure,
    agreement_key::AgreementKey,
    clock::WallTime,
    cose_key::Kid,
    message_key::MessageKey,
    names::ServerName,
    place::Place,
    quarantine::QuarantinedBy,
    second_holder::SecondHolder,
    secret::Secret,
    trusted::{LocalName, ProvenBy},
    wire,
};
use keyward_ids::{CertSerial, DeviceId, GroupId, Identity, KeyId, SiteId};
use serde::{Deserialize, Serialize};

mod parts;

pub use parts::*;

/// Says when a command is given and by whom.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The wall-clock time now.
    pub now: WallTime,
    /// Who gives the command, for the audit: at most [`crate::limits::ACTOR_BYTES`] bytes.
    pub actor: &'a str,
}

/// Asks for one change.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "command")]
pub enum Command {
    /// Adds a device and gives it its first credential.
    AddDevice(AddDevice),
    /// Adds a user and gives it its first credential.
    AddUser(AddUser),
    /// Says where a device stands: all of it, in the place of what was said before.
    Place {
        /// Which device.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// The site.
        #[serde(with = "wire::optional_text", default)]
        site: Option<SiteId>,
        /// Who can lay hands on it.
        #[serde(default)]
        exposure: Option<Exposure>,
        /// What it depends on there.
        place: Place,
    },
    /// Writes down that a person moved a device.
    NoteMove {
        /// Which device.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// Why: one line of at most [`crate::limits::REASON_BYTES`], or nothing.
        because: String,
    },
    /// Says that somebody works somewhere, in the place of what was said of it before.
    BeginMaintenance {
        /// What is worked on, as the watch writes it; at most [`crate::limits::SCOPE_BYTES`].
        scope: String,
        /// For how many seconds, from 60 to [`crate::limits::MAINTENANCE_SECONDS`].
        seconds: u64,
        /// Why: one line of at most [`crate::limits::REASON_BYTES`].
        because: String,
    },
    /// Says that nobody works there any more.
    EndMaintenance {
        /// What was worked on.
        scope: String,
    },
    /// Forbids an identity to act until it is enabled again.
    Disable {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// Lets a disabled identity act again.
    Enable {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// Lets an identity act again that was not confirmed since a restore; one that was disabled stays so.
    Confirm {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// Lets all identities act again that were not confirmed since a restore; those that were disabled stay so.
    ConfirmAll,
    /// Puts a device into quarantine: it stays connected, and may speak and hear on its recovery topics only.
    Quarantine {
        /// Which device.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// Who says so.
        by: QuarantinedBy,
        /// Why: one line of at most [`crate::limits::REASON_BYTES`].
        because: String,
    },
    /// Releases a device from quarantine. Its links are closed, so that it begins anew.
    Release {
        /// Which device.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// Takes all credentials away from an identity for good.
    Revoke {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// Whether messages that it published before are still delivered.
        #[serde(default)]
        keep_messages: bool,
        /// Whether its will is published.
        #[serde(default)]
        publish_will: bool,
    },
    /// Removes an identity; its credentials never come back, a tombstone stays.
    Remove {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// Gives an identity a password in place of the one it had.
    SetPassword {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// Which password.
        password: NewPassword,
    },
    /// Replaces the hashes of imported passwords by others of the same passwords. One whose password is another meanwhile is
    /// left as it is.
    RehashPasswords {
        /// At most [`crate::limits::REHASHES`].
        rehashes: Vec<Rehash>,
    },
    /// Takes the password away from an identity.
    WithdrawPassword {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
    },
    /// Says whether an identity may log in where passwords can be read on the network, and with its password nowhere
    /// else. Links that are open are to be closed.
    MarkPlain {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// Whether it may.
        plain: bool,
    },
    /// Issues another certificate to an identity.
    AddCertificate {
        /// To whom.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// For which key.
        key: KeySource,
        /// How long it is valid, in days; the default of devices if absent.
        lifetime_days: Option<u32>,
        /// Whether the certificates that the identity has are taken away.
        #[serde(default)]
        replace: bool,
    },
    /// Registers a key by which messages of a device are verified.
    RegisterMessageKey {
        /// Which device.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// The key.
        key: MessageKey,
    },
    /// Registers a key to which messages and keys of groups are encrypted for a device or user.
    RegisterAgreementKey {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// The key.
        key: AgreementKey,
    },
    /// Lets a key for messages, of either purpose, be used for a while only.
    RetireMessageKey {
        /// Whose.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// Which of its keys.
        #[serde(with = "wire::text")]
        kid: Kid,
        /// For how many seconds; at most [`crate::limits::MESSAGE_KEY_OVERLAP_SECONDS`].
        overlap_secs: u64,
    },
    /// Takes a key for messages, of either purpose, away; it never comes back.
    WithdrawMessageKey {
        /// From whom.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// Which of its keys.
        #[serde(with = "wire::text")]
        kid: Kid,
    },
    /// Takes all message keys away from a device and gives it another one, or a claim code by which it brings one.
    Rekey {
        /// Which device.
        #[serde(with = "wire::text")]
        id: DeviceId,
        /// What it gets.
        with: NewMessageKey,
    },
    /// Writes down that two hold a message key, or that its device has lost count. Nothing changes if that is known of a key of the
    /// device already.
    NoteSecondHolder {
        /// Whose key it is.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// Which of its keys.
        #[serde(with = "wire::text")]
        kid: Kid,
        /// What proves it.
        evidence: SecondHolder,
        /// Puts the device into quarantine in the same record, for this reason.
        #[serde(default)]
        quarantine: Option<String>,
    },
    /// Makes the keys of the server that are missing, and deletes command keys whose time is over.
    KeepServerKeys,
    /// Makes another key that signs commands. It joins the key set at once and signs after `lead_secs`; those before it leave the
    /// set `overlap_secs` after that. Both at most [`crate::limits::COMMAND_KEY_SECONDS`].
    RotateCommandKey {
        /// After how many seconds it signs.
        lead_secs: u64,
        /// For how many seconds more the old ones are believed.
        overlap_secs: u64,
    },
    /// Writes down a key set that the caller has signed, for the keys that are there.
    KeepKeySet {
        /// Its version; higher than any before.
        version: u64,
        /// Until when it is good.
        expires: WallTime,
        /// The signed message.
        #[serde(with = "wire::base64")]
        message: Vec<u8>,
    },
    /// Gives a number for a command to a device that the caller is about to sign.
    SignCommand {
        /// Which device.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// The topic that it is for; at most [`crate::limits::COMMAND_TOPIC_BYTES`] bytes.
        topic: String,
    },
    /// Gives a number for a message to the members of a group that the caller is about to encrypt under the key of its current epoch, and
    /// to sign.
    SignGroupMessage {
        /// Which group.
        #[serde(with = "wire::text")]
        group: GroupId,
        /// The topic that it is for; at most [`crate::limits::COMMAND_TOPIC_BYTES`] bytes.
        topic: String,
    },
    /// Gives numbers for other messages that the caller is about to sign by the command key.
    ReserveNumbers {
        /// How many; at most [`crate::limits::RESERVED_NUMBERS`].
        count: u32,
    },
    /// Makes a group whose members share a key.
    CreateGroup {
        /// Its name.
        #[serde(with = "wire::text")]
        group: GroupId,
    },
    /// Deletes a group, and its keys.
    DeleteGroup {
        /// Which one.
        #[serde(with = "wire::text")]
        group: GroupId,
    },
    /// Makes identities members of a group: they get its current key and later ones.
    AddToGroup {
        /// Which group.
        #[serde(with = "wire::text")]
        group: GroupId,
        /// Who; at most [`crate::limits::GROUP_MEMBERS`].
        #[serde(with = "wire::texts")]
        identities: Vec<Identity>,
    },
    /// Takes members out of a group, which gets a new key.
    RemoveFromGroup {
        /// Which group.
        #[serde(with = "wire::text")]
        group: GroupId,
        /// Who; at most [`crate::limits::GROUP_MEMBERS`].
        #[serde(with = "wire::texts")]
        identities: Vec<Identity>,
    },
    /// Gives a group a new key.
    RotateGroup {
        /// Which one.
        #[serde(with = "wire::text")]
        group: GroupId,
    },
    /// Gives those groups a new key that need one, and forgets old keys.
    KeepGroups(GroupAges),
    /// Writes down that the key of a group is handed out ([`Registrar::group_keys`](crate::Registrar::group_keys) has it).
    ShowGroupKey {
        /// Which group.
        #[serde(with = "wire::text")]
        group: GroupId,
        /// Which epoch; the current one if absent.
        epoch: Option<u32>,
    },
    /// Draws a claim code for a device that is there; one from before is void.
    Invite {
        /// Which device.
        #[serde(with = "wire::text")]
        id: DeviceId,
        /// For how many seconds the code may be used.
        seconds: u64,
        /// Whether the device may have certificates: they are taken away when the code is used.
        #[serde(default)]
        replace: bool,
        /// The one TPM that gets something for it, by the fingerprint of its endorsement key; any device if absent.
        #[serde(with = "wire::optional_text", default)]
        endorsement: Option<KeyId>,
    },
    /// Voids the claim code of a device.
    Uninvite {
        /// Which device.
        #[serde(with = "wire::text")]
        id: DeviceId,
    },
    /// Issues the certificate that a claim code is good for, in the place of all that the device has. A device asks for it.
    Claim(Claim),
    /// Issues a certificate that renews one which is past two thirds of its life. A device asks for it.
    Renew(Renewal),
    /// Takes away the certificate that another one renews: that one was used for the first time.
    Succeed {
        /// Whose they are.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// The serial number of the new one.
        #[serde(with = "wire::text")]
        serial: CertSerial,
        /// For how many seconds the message keys are accepted still whose place those take that came with the new one; at most
        /// [`crate::limits::MESSAGE_KEY_OVERLAP_SECONDS`] count.
        #[serde(default)]
        overlap_secs: u64,
    },
    /// Accepts client certificates of an authority of others.
    TrustAuthority {
        /// Its name here.
        name: LocalName,
        /// What its certificates prove.
        proves: ProvenBy,
        /// Its certificates, PEM or DER of a single one.
        #[serde(with = "wire::base64")]
        certificates: Vec<u8>,
        /// Its lists of revoked certificates, PEM or DER of a single one.
        #[serde(with = "wire::optional_base64", default)]
        revocations: Option<Vec<u8>>,
    },
    /// Replaces the lists of revoked certificates of a trusted authority.
    SetRevocations {
        /// The authority.
        name: LocalName,
        /// The lists, PEM or DER of a single one.
        #[serde(with = "wire::base64")]
        revocations: Vec<u8>,
    },
    /// Lets a trusted authority be used again after a restore.
    ConfirmAuthority {
        /// The authority.
        name: LocalName,
    },
    /// Accepts nothing of an authority any more, and forgets the names that were bound.
    DistrustAuthority {
        /// The authority.
        name: LocalName,
    },
    /// Lets a common name in certificates of a trusted authority stand for an identity.
    BindName {
        /// Who.
        #[serde(with = "wire::text")]
        identity: Identity,
        /// The authority.
        name: LocalName,
        /// The common name.
        common_name: String,
        /// The one certificate whose public key is accepted; any, if absent.
        #[serde(with = "wire::optional_base64", default)]
        certificate: Option<Vec<u8>>,
    },
    /// Lets it stand for nobody again.
    UnbindName {
        /// The authority.
        name: LocalName,
        /// The common name.
        common_name: String,
    },
    /// Lets a public key that a revoked or removed identity held be certified again.
    ReleaseKey {
        /// The key.
        #[serde(with = "wire::text")]
        key: KeyId,
    },
    /// Adds a name or address to the server's certificate.
    AddServerName {
        /// The name.
        name: ServerName,
    },
    /// Takes a name or address out of the server's certificate.
    RemoveServerName {
        /// The name.
        name: ServerName,
    },
    /// Tells which names and addresses the server found of itself; a new certificate is issued only if one that is to
    /// be in it is missing.
    FindServerNames {
        /// All names found now.
        names: Vec<ServerName>,
    },
    /// Takes over a certificate of this server that another authority made; one of this name is replaced. The caller has seen
    /// that certificate and key belong together.
    ImportServerCertificate {
        /// Its name here.
        name: LocalName,
        /// The certificate and its issuers in PEM, the server's first.
        #[serde(with = "wire::base64")]
        chain: Vec<u8>,
        /// Its private key in DER.
        key: Secret,
    },
    /// Forgets such a certificate and its key.
    RemoveServerCertificate {
        /// Its name here.
        name: LocalName,
    },
    /// Issues a new certificate for the server's key, due or not.
    RenewServer,
    /// Declares the clock right.
    AcceptClock,
    /// Writes a change of types, roles, rules or settings into the audit.
    NoteConfigChange {
        /// What changed: at most [`crate::limits::CONFIG_NOTE_BYTES`] bytes.
        summary: String,
    },
}
