//! Why the registrar refuses a command, and what to do then.

use crate::{
    clock::{ClockVerdict, WallTime},
    cose_key::Kid,
    csr::CsrRefusal,
    groups::GroupRefusal,
    imported::ImportCertificateRefusal,
    invitation::ClaimRefusal,
    maintenance::MaintenanceRefusal,
    message_key::MessageKeyRefusal,
    names::{NameRefusal, ServerName},
    password::{ImportRefusal, PasswordRefusal},
    place::PlaceRefusal,
    secret::NoRandomness,
    trusted::{LocalName, TrustRefusal},
    vault::VaultError,
};
use keyward_ids::{CertSerial, Identity, KeyId};

/// Says why a command was refused. Nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Nobody has this name.
    #[error("there is no {0}; keyward {kind} list shows those that there are", kind = .0.kind())]
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
    /// Only devices are put into quarantine.
    #[error(
        "{0} is no device, and quarantine is for devices: the rules of policy.d say what a user may do, and a new password ends \
         its connections"
    )]
    NoQuarantine(Identity),
    /// A quarantine needs a reason.
    #[error("a quarantine needs a reason: one line of at most {} bytes", crate::limits::REASON_BYTES)]
    NoReason,
    /// Only devices stand somewhere.
    #[error("{0} is no device, and only devices stand somewhere")]
    NoPlace(Identity),
    /// It is no place.
    #[error(transparent)]
    Place(#[from] PlaceRefusal),
    /// The maintenance window is refused.
    #[error(transparent)]
    Maintenance(#[from] MaintenanceRefusal),
    /// The device is in quarantine.
    #[error(
        "{0} is in quarantine, where no certificate is renewed; a claim code replaces it: keyward device invite {name} --replace",
        name = .0.name()
    )]
    InQuarantine(Identity),
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
    /// The server has no key that signs commands.
    #[error(
        "the server has no command key yet; start the broker once, or make one (keyward keys rotate-command)"
    )]
    NoCommandKey,
    /// The times of a rotation are too long.
    #[error(
        "a command key may overlap with another for at most {} days, not for {given} seconds",
        crate::limits::COMMAND_KEY_SECONDS / 86_400
    )]
    CommandKeyTime {
        /// What was asked for.
        given: u64,
    },
    /// A key set has no higher version than one before.
    #[error("the key set has version {given}, and there was one of version {newest}; sign another")]
    OldKeySet {
        /// The version.
        given: u64,
        /// The newest that there was.
        newest: u64,
    },
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
    /// A message key is not taken.
    #[error(transparent)]
    MessageKey(#[from] MessageKeyRefusal),
    /// Only devices sign messages.
    #[error(
        "{0} is no device, and devices alone sign; a user may have a key to encrypt to (--purpose encrypt)"
    )]
    SignsNothing(Identity),
    /// The device has this message key, or one with the same name.
    #[error("{identity} has a message key {kid} already; make another key")]
    HasMessageKey {
        /// Which device.
        identity: Identity,
        /// The name.
        kid: Kid,
    },
    /// The device gets no other message key by a renewal.
    #[error(
        "{identity} gets no other message key by a renewal: {why}; it gets one by a claim code: keyward device rekey {}",
        .identity.name()
    )]
    NoRotation {
        /// Which device.
        identity: Identity,
        /// Why.
        why: &'static str,
    },
    /// The device has no such message key.
    #[error("{identity} has no message key {kid}; keyward keys list {identity} shows those that it has")]
    NoSuchMessageKey {
        /// Which device.
        identity: Identity,
        /// The name.
        kid: Kid,
    },
    /// The device has as many message keys as it may.
    #[error(
        "{identity} has {} keys of this purpose, as many as it may; withdraw one first: keyward keys withdraw {identity} KID",
        crate::limits::MESSAGE_KEYS_PER_ACCOUNT
    )]
    TooManyMessageKeys {
        /// Which device.
        identity: Identity,
    },
    /// A message key that is retired cannot be accepted for so long.
    #[error(
        "a message key that is retired is accepted for at most {} days more, not for {given} seconds",
        crate::limits::MESSAGE_KEY_OVERLAP_SECONDS / 86_400
    )]
    Overlap {
        /// What was asked for, in seconds.
        given: u64,
    },
    /// A group is not changed.
    #[error(transparent)]
    Group(#[from] GroupRefusal),
    /// A claim code gets no certificate.
    #[error(transparent)]
    Claim(#[from] ClaimRefusal),
    /// A claim code is for a device.
    #[error("{0} is no device; claim codes are for devices")]
    NoDevice(Identity),
    /// The device has certificates.
    #[error(
        "{0} has a certificate; the code would take its place: invite with --replace if it lost its key, else nothing is to do"
    )]
    HasCertificate(Identity),
    /// A claim code cannot live so long, or so short.
    #[error(
        "a claim code may be used for {} seconds to {} days, not for {given} seconds",
        crate::limits::CLAIM_SECONDS.start(),
        crate::limits::CLAIM_SECONDS.end() / 86_400
    )]
    ClaimLife {
        /// What was asked for, in seconds.
        given: u64,
    },
    /// The identity has no such certificate to be renewed.
    #[error("{identity} has no certificate {serial} that could be renewed; invite it: keyward device invite {} --replace", .identity.name())]
    NothingToRenew {
        /// Whose it would be.
        identity: Identity,
        /// Its serial number.
        serial: CertSerial,
    },
    /// The certificate is not old enough.
    #[error("the certificate of {identity} is to be renewed from {due} on, not before")]
    RenewalEarly {
        /// Whose it is.
        identity: Identity,
        /// From when on.
        due: WallTime,
    },
    /// It was renewed with as many keys as may be under way.
    #[error(
        "the certificate of {identity} was renewed with other keys that were never used; again from {until} on"
    )]
    RenewedTooOften {
        /// Whose it is.
        identity: Identity,
        /// From when on.
        until: WallTime,
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
