//! What can be asked of the registrar, what it gives back and why it refuses.

use crate::{
    account::{Chip, Exposure},
    clock::{ClockVerdict, WallTime},
    csr::CsrRefusal,
    imported::ImportCertificateRefusal,
    names::{NameRefusal, ServerName},
    password::{ImportRefusal, ImportedHash, PasswordRecord, PasswordRefusal},
    secret::{NoRandomness, Secret},
    trusted::{LocalName, ProvenBy, TrustRefusal},
    vault::VaultError,
    wire,
};
use keyward_ids::{CertSerial, DeviceId, Identity, KeyId, SiteId, TypeId, UserId};
use serde::{Deserialize, Serialize};

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

/// Describes a device to add.
#[derive(Clone, Serialize, Deserialize)]
pub struct AddDevice {
    /// Its id.
    #[serde(with = "wire::text")]
    pub id: DeviceId,
    /// Its type.
    #[serde(with = "wire::optional_text", default)]
    pub device_type: Option<TypeId>,
    /// Where it stands.
    #[serde(with = "wire::optional_text", default)]
    pub site: Option<SiteId>,
    /// Who can lay hands on it.
    #[serde(default)]
    pub exposure: Option<Exposure>,
    /// Which chip it is, if it is one that cannot protect its key.
    pub chip: Option<Chip>,
    /// Whether a machine chose the id.
    #[serde(default)]
    pub machine_chosen: bool,
    /// Whether it may log in where passwords can be read on the network, and with its password nowhere else.
    #[serde(default)]
    pub plain: bool,
    /// A note of at most [`crate::limits::NOTE_BYTES`] bytes.
    #[serde(default)]
    pub note: String,
    /// Its first credential.
    pub credential: NewCredential,
}

/// Describes a user to add.
#[derive(Clone, Serialize, Deserialize)]
pub struct AddUser {
    /// The user's name.
    #[serde(with = "wire::text")]
    pub id: UserId,
    /// Whether it may log in where passwords can be read on the network, and with its password nowhere else.
    #[serde(default)]
    pub plain: bool,
    /// A note of at most [`crate::limits::NOTE_BYTES`] bytes.
    #[serde(default)]
    pub note: String,
    /// The first credential.
    pub credential: NewCredential,
}

/// Says which credential a new identity gets.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewCredential {
    /// A certificate.
    Certificate {
        /// For which key.
        key: KeySource,
        /// How long it is valid, in days; the default of devices if absent.
        lifetime_days: Option<u32>,
    },
    /// A password.
    Password(NewPassword),
    /// None: it logs in where a listener names it as the one that clients without a login become.
    None,
}

/// Says where the key of a certificate comes from.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeySource {
    /// Keyward makes a P-256 key and hands it out once.
    Generate,
    /// A signing request (PKCS #10, PEM or DER) holds the public key.
    Csr(#[serde(with = "wire::base64")] Vec<u8>),
}

/// Says where a password comes from.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewPassword {
    /// Keyward draws 128 random bits and shows them once.
    Generate,
    /// A person chose it.
    Chosen(Secret),
    /// It is known by the hash that another broker kept.
    Imported(ImportedHash),
}

/// Is a new hash of an imported password.
#[derive(Clone, Serialize, Deserialize)]
pub struct Rehash {
    /// Whose password it is.
    #[serde(with = "wire::text")]
    pub identity: Identity,
    /// The record by which it was found right.
    pub before: PasswordRecord,
    /// What [`PasswordRecord::rehash`] made of it.
    pub after: PasswordRecord,
}

/// Says what a command did. What it asserts is on disk.
#[derive(Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// The revision of the registry that knows the change.
    pub revision: u64,
    /// Whether anything changed; `false` if it was so already.
    pub changed: bool,
    /// The certificate that was issued to a device or user.
    pub certificate: Option<IssuedCertificate>,
    /// The password that was generated: show it once.
    pub password: Option<Secret>,
    /// Whether the server has a new certificate, or another imported one.
    pub server_certificate_changed: bool,
    /// Whether other authorities are trusted, or trusted differently.
    #[serde(default)]
    pub trust_changed: bool,
}

/// Holds a certificate on its way out.
#[derive(Clone, Serialize, Deserialize)]
pub struct IssuedCertificate {
    /// Whose it is.
    #[serde(with = "wire::text")]
    pub identity: Identity,
    /// Its serial number.
    #[serde(with = "wire::text")]
    pub serial: CertSerial,
    /// Its public key.
    #[serde(with = "wire::text")]
    pub key: KeyId,
    /// When it ends to be valid.
    pub not_after: WallTime,
    /// The leaf and its issuer as two PEM blocks: what a client sends.
    pub chain_pem: String,
    /// The private key as PKCS #8 PEM, if Keyward made it: hand it out once.
    pub private_key_pem: Option<Secret>,
}

/// Says why a command was refused. Nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Nobody has this name.
    #[error("there is no {0}")]
    NoSuchIdentity(Identity),
    /// Somebody has this name.
    #[error("{identity} exists already and is {standing}; {remedy}")]
    Exists {
        /// Who.
        identity: Identity,
        /// `active`, `disabled`, `revoked` or the like.
        standing: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// The name may not be taken.
    #[error(transparent)]
    Name(#[from] NameRefusal),
    /// The identity is revoked.
    #[error("{0} is revoked and its credentials are gone for good; remove it and add it again")]
    IsRevoked(Identity),
    /// The identity was disabled by an operator, not by a restore.
    #[error("{0} was disabled by an operator, which a restore does not undo; enable it instead")]
    IsDisabled(Identity),
    /// The signing request is refused.
    #[error(transparent)]
    Csr(#[from] CsrRefusal),
    /// The public key is held by somebody.
    #[error("this public key is held by {holder} (key {}); {remedy}", .key.short())]
    KeyHeld {
        /// The key.
        key: KeyId,
        /// Who holds or held it.
        holder: Identity,
        /// What to do.
        remedy: &'static str,
    },
    /// The public key belongs to this installation's own authorities or server.
    #[error("this public key belongs to Keyward's own authorities; a device needs a key of its own")]
    AuthorityKey,
    /// Nobody holds the key.
    #[error("nobody holds the key {0}")]
    NoSuchKey(KeyId),
    /// The password is refused.
    #[error(transparent)]
    Password(#[from] PasswordRefusal),
    /// The hash of a password cannot be imported.
    #[error("the imported password {0}")]
    Import(#[from] ImportRefusal),
    /// The user name is taken by the other kind of principal.
    #[error(
        "{holder} logs in with this name and a password already; give one of the two a certificate, or another name"
    )]
    LoginTaken {
        /// Who logs in with it.
        holder: Identity,
    },
    /// Certificates or lists of an authority are not taken.
    #[error(transparent)]
    Trust(#[from] TrustRefusal),
    /// An authority of this name is trusted.
    #[error("an authority {0} is trusted already; remove it first, or choose another name")]
    AuthorityExists(LocalName),
    /// A server certificate is not taken.
    #[error(transparent)]
    ImportCertificate(#[from] ImportCertificateRefusal),
    /// There is no imported server certificate of this name.
    #[error(
        "there is no imported server certificate {0}; keyward server certificate list shows those that there are"
    )]
    NoSuchServerCertificate(LocalName),
    /// The key could not be kept.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// No authority of this name is trusted.
    #[error("no authority {0} is trusted; keyward authority trust list shows those that are")]
    NoSuchAuthority(LocalName),
    /// The authority's certificates identify nobody.
    #[error("certificates of {0} prove only that a client may knock; no name in them can stand for anybody")]
    ProvesNobody(LocalName),
    /// A text is no common name.
    #[error("a common name has 1 to {} bytes and no control characters", crate::limits::COMMON_NAME_BYTES)]
    BadCommonName,
    /// The common name stands for somebody.
    #[error("'{}' of the authority {authority} stands for {holder} already; unbind it first", .common_name.escape_debug())]
    NameBound {
        /// The common name.
        common_name: String,
        /// The authority.
        authority: LocalName,
        /// Whom it stands for.
        holder: Identity,
    },
    /// The common name stands for nobody.
    #[error("'{}' of the authority {authority} stands for nobody", .common_name.escape_debug())]
    NoSuchBoundName {
        /// The common name.
        common_name: String,
        /// The authority.
        authority: LocalName,
    },
    /// The account has no room for another certificate.
    #[error(
        "{0} has as many certificates as an account may have; issue the new one in their place (replace)"
    )]
    TooManyCertificates(Identity),
    /// The lifetime is not allowed.
    #[error("a certificate is valid for 1 to {max} days, not {given}")]
    Lifetime {
        /// What was asked for, in days.
        given: u32,
        /// The most that is allowed, in days.
        max: u32,
    },
    /// The issuing authority ends before the certificate would begin.
    #[error(
        "the issuing authority is valid until {not_after} only; make a new one with the offline root key"
    )]
    AuthorityExpired {
        /// When the authority ends.
        not_after: WallTime,
    },
    /// The clock is not plausible.
    #[error("{}", clock_remedy(.now, .verdict))]
    Clock {
        /// What the clock shows.
        now: WallTime,
        /// What is wrong with it.
        verdict: ClockVerdict,
    },
    /// The server has no such name.
    #[error("the server's certificate does not name '{0}'")]
    NoSuchServerName(ServerName),
    /// The last name cannot go.
    #[error("'{0}' is the last name of this server; add another first")]
    LastServerName(ServerName),
    /// A device or user has this name.
    #[error("'{name}' is the name of {holder}; a server and an identity cannot share one")]
    ServerNameHeld {
        /// The name.
        name: ServerName,
        /// Who is called so.
        holder: Identity,
    },
    /// The certificate would be too large for small devices.
    #[error(
        "'{0}' does not fit into the server's certificate: the Certificate message would pass {message} bytes, which \
         small devices could not read; the names that were added may take {max} bytes in all; remove one first: keyward \
         server name remove NAME",
        message = crate::limits::CERTIFICATE_MESSAGE_BYTES,
        max = crate::limits::ADDED_NAME_BYTES
    )]
    ServerNamesTooLong(ServerName),
    /// A bound of `limits` is reached.
    #[error("{what}: at most {max} are kept")]
    Full {
        /// Of what there are too many.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// A text is too long.
    #[error("the {what} has {len} bytes; at most {max} are kept")]
    TooLong {
        /// Which text.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The bound in bytes.
        max: usize,
    },
    /// The system gave no random bytes.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// Signing failed.
    #[error("the certificate could not be signed: {0}")]
    Signing(String),
    /// The ledger could not be written.
    #[error(transparent)]
    Ledger(#[from] crate::ledger::LedgerError),
}

fn clock_remedy(now: &WallTime, verdict: &ClockVerdict) -> String {
    let why = match verdict {
        ClockVerdict::Plausible => "is plausible".to_owned(),
        ClockVerdict::BeforeBuild { build } => format!("is before this program was made ({build})"),
        ClockVerdict::BeforeLedger { newest } => {
            format!("is before the newest time in the ledger ({newest})")
        }
    };
    format!(
        "the clock shows {now}, which {why}: nothing is issued; set the clock, or run: keyward clock accept"
    )
}
