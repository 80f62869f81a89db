//! Who knocks: from a decoded CONNECT to an identity, or to the cause of a refusal.
//!
//! A client that shows a certificate is that identity; a user name beside it must be the same, a password beside it
//! is not looked at. No failure of one credential is healed by another: a bad certificate never falls back to a
//! password. A certificate of another authority that is trusted only lets its holder knock, if that is all that it
//! proves: a password says who it is. What the peer is told says as little as it can; the cause goes to the operator.

use crate::plane::door::slowdown::{Guess, SlowDown};
use crate::plane::events::LoginCause;
use crate::plane::source::Source;
use crate::plane::tls::certificate::Shown;
use crate::plane::tls::trusted::TrustedVerifiers;
use arc_swap::ArcSwap;
use keyward_identity::{Account, CertificateRefusal, PasswordRecord, Pepper, Registry, Standing, WallTime};
use keyward_ids::Identity;
use keyward_mqtt::packet::Connect;
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::{Millis, Now};
use rustls::pki_types::{CertificateDer, UnixTime};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Decides who is let in, by the registry of the moment.
pub(crate) struct Gate {
    registry: ArcSwap<Registry>,
    pepper: Arc<Pepper>,
    slow: Mutex<SlowDown>,
    decoy: PasswordRecord,
    /// Verify again what the registry does not know: a resumed session skips the verifier of the handshake.
    trusted: ArcSwap<TrustedVerifiers>,
}

/// Is somebody whom the registry knew when it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) identity: Identity,
    pub(crate) life: u64,
    pub(crate) epoch: u64,
}

impl Known {
    fn of(account: &Account) -> Self {
        Self { identity: account.identity.clone(), life: account.life, epoch: account.epoch }
    }
}

/// Says what follows from the credentials of a CONNECT.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is this identity.
    Admitted(Known),
    /// A slow check must tell: this attempt is to be checked against this record.
    Check {
        /// The record of the account, or the decoy.
        record: PasswordRecord,
        /// Who it is if the password is right; `None` for a name that nobody has.
        claimed: Option<Known>,
    },
    /// It is nobody.
    Refused(LoginCause),
}

impl Gate {
    pub(crate) fn new(registry: Arc<Registry>, pepper: Arc<Pepper>) -> Self {
        Self {
            registry: ArcSwap::new(registry),
            pepper,
            slow: Mutex::default(),
            decoy: PasswordRecord::decoy(),
            trusted: ArcSwap::default(),
        }
    }

    /// Lets other authorities vouch for clients from now on.
    pub(crate) fn trust(&self, trusted: Arc<TrustedVerifiers>) {
        self.trusted.store(trusted);
    }

    /// Lets a new registry decide from now on.
    pub(crate) fn swap(&self, registry: Arc<Registry>) {
        self.registry.store(registry);
    }

    /// Returns the revision of the registry that decides.
    pub(crate) fn revision(&self) -> u64 {
        self.registry.load().revision()
    }

    /// Tells whether what was known when a login began holds still.
    pub(crate) fn holds(&self, known: &Known) -> bool {
        self.registry.load().holds(&known.identity, known.epoch)
    }

    /// Judges the credentials of a CONNECT that came over a channel with these certificates, the client's first.
    pub(crate) fn judge(
        &self,
        now: Now,
        source: Source,
        chain: Option<&[CertificateDer<'_>]>,
        connect: &Connect<'_>,
    ) -> Verdict {
        let shown = chain.map(|chain| self.by_certificate(now, chain, connect.username)).transpose();
        let judged = shown.and_then(|shown| match (shown.flatten(), connect.username, connect.password) {
            (Some(known), ..) => Ok(Verdict::Admitted(known)),
            (None, Some(name), Some(password)) => self.by_password(now.mono, source, name, password),
            (None, None, Some(_)) => Err(LoginCause::NoUserName),
            (None, _, None) => Err(LoginCause::NoCredential),
        });
        judged.unwrap_or_else(Verdict::Refused)
    }

    /// Lets in whom a method of enhanced authentication proved, unless a certificate shows somebody else.
    pub(crate) fn admit_proven(
        &self,
        now: Now,
        chain: Option<&[CertificateDer<'_>]>,
        identity: &Identity,
    ) -> Result<Known, LoginCause> {
        if let Some(chain) = chain {
            self.by_certificate(now, chain, Some(&identity.to_string()))?;
        }
        let known = self.registry.load().find(identity).map(|account| Known::of(account));
        self.still_held(known.ok_or_else(|| LoginCause::ShutOut(identity.clone()))?)
    }

    /// Returns who a client is by its certificate; nobody if it only lets the client knock.
    fn by_certificate(
        &self,
        now: Now,
        chain: &[CertificateDer<'_>],
        name: Option<&str>,
    ) -> Result<Option<Known>, LoginCause> {
        let certificate = chain.first().ok_or(LoginCause::CertificateUnusable)?;
        let shown = Shown::read(certificate).ok_or(LoginCause::CertificateUnusable)?;
        if !shown.is_valid_at(now.wall) {
            return Err(LoginCause::CertificateUnusable);
        }
        let registry = self.registry.load();
        let ours = registry.admit_certificate(&shown.serial, &shown.key, WallTime(now.wall.0));
        let account = match ours {
            // Another authority may have given the same serial number.
            Err(
                unknown @ (CertificateRefusal::UnknownSerial { .. } | CertificateRefusal::KeyMismatch { .. }),
            ) => self.vouched_for(&registry, now, chain, &shown, unknown)?,
            ours => Some(ours.map_err(LoginCause::Certificate)?),
        };
        match (account, name) {
            (Some(account), Some(name)) if !names(name, &account.identity) && name != shown.common_name => {
                Err(LoginCause::OtherName { shown: account.identity.clone() })
            }
            (account, _) => Ok(account.map(|account| Known::of(account))),
        }
    }

    /// Returns whom a certificate of another authority stands for; nobody if it only lets its holder knock.
    fn vouched_for<'r>(
        &self,
        registry: &'r Registry,
        now: Now,
        chain: &[CertificateDer<'_>],
        shown: &Shown,
        unknown: CertificateRefusal,
    ) -> Result<Option<&'r Arc<Account>>, LoginCause> {
        let (leaf, issuers) = chain.split_first().ok_or(LoginCause::CertificateUnusable)?;
        let time = UnixTime::since_unix_epoch(Duration::from_millis(now.wall.0));
        let trusted = self.trusted.load();
        let authority = trusted.vouching(leaf, issuers, time).map_err(|telling| match telling {
            Some(_) => LoginCause::CertificateUnusable,
            None => LoginCause::Certificate(unknown),
        })?;
        registry.admit_bound_name(authority, &shown.common_name, &shown.key).map_err(LoginCause::Certificate)
    }

    fn by_password(
        &self,
        now: Millis,
        source: Source,
        name: &str,
        password: &[u8],
    ) -> Result<Verdict, LoginCause> {
        let registry = self.registry.load();
        let account = registry.find_login(name);
        let record = account.and_then(|account| account.password.as_ref());
        if let Some((account, record)) = account.zip(record).filter(|(_, record)| !record.is_slow()) {
            let known = Known::of(account);
            return match record.verify_generated(&self.pepper, password) {
                true => self.still_held(known).map(Verdict::Admitted),
                false => Err(LoginCause::WrongPassword),
            };
        }
        let guess = Guess::new(source, name, account.map(|account| &**account));
        if let Some(pause) = self.slow().pause(now, &guess) {
            return Err(LoginCause::SlowedDown { seconds: pause.0.div_ceil(1_000) });
        }
        let record = record.unwrap_or(&self.decoy).clone();
        Ok(Verdict::Check { record, claimed: account.map(|account| Known::of(account)) })
    }

    /// Draws the conclusion from a check of a chosen password: `known` is who it is if it was right.
    pub(crate) fn checked(
        &self,
        now: Millis,
        source: Source,
        name: &str,
        known: Option<Known>,
    ) -> Result<Known, LoginCause> {
        let registry = self.registry.load();
        let account = registry.find_login(name);
        let guess = Guess::new(source, name, account.map(|account| &**account));
        let Some(known) = known else {
            self.slow().failed(now, guess);
            return Err(if account.is_none() { LoginCause::UnknownName } else { LoginCause::WrongPassword });
        };
        self.slow().succeeded(&guess);
        self.still_held(known)
    }

    fn still_held(&self, known: Known) -> Result<Known, LoginCause> {
        match self.holds(&known) {
            true => Ok(known),
            false => Err(self.shut_out(known.identity)),
        }
    }

    fn shut_out(&self, identity: Identity) -> LoginCause {
        match self.registry.load().find(&identity).map(|account| account.standing) {
            Some(Standing::Unconfirmed { restored }) => LoginCause::Unconfirmed { identity, restored },
            _ => LoginCause::ShutOut(identity),
        }
    }

    fn slow(&self) -> MutexGuard<'_, SlowDown> {
        self.slow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells whether a user name beside a certificate names the identity that the certificate shows, with its kind or
/// without.
fn names(name: &str, identity: &Identity) -> bool {
    name.eq_ignore_ascii_case(identity.name()) || name.eq_ignore_ascii_case(&identity.to_string())
}

/// Returns what the peer is told: nothing that tells an unknown name from a wrong password, or a revoked certificate
/// from an unknown one.
pub(crate) fn reason_of(cause: &LoginCause) -> ReasonCode {
    match cause {
        LoginCause::NoCredential
        | LoginCause::Certificate(_)
        | LoginCause::CertificateUnusable
        | LoginCause::NotProven
        | LoginCause::OtherName { .. } => ReasonCode::NotAuthorized,
        // A full queue too: only chosen passwords and unknown names wait in it.
        LoginCause::NoUserName
        | LoginCause::UnknownName
        | LoginCause::WrongPassword
        | LoginCause::ShutOut(_)
        | LoginCause::Unconfirmed { .. }
        | LoginCause::SlowedDown { .. }
        | LoginCause::PasswordsWait => ReasonCode::BadUserNameOrPassword,
        LoginCause::EnhancedAuthentication => ReasonCode::BadAuthenticationMethod,
        LoginCause::ClientId => ReasonCode::ClientIdentifierNotValid,
        LoginCause::Crowded(_) | LoginCause::WorkerBusy => ReasonCode::ServerBusy,
        LoginCause::Protocol(error) => error.reason(),
    }
}

/// Tells whether the answer waits until a second after the login began: all but breaches of the protocol and what
/// says that the broker is full.
pub(crate) fn is_answered_late(cause: &LoginCause) -> bool {
    !matches!(cause, LoginCause::Protocol(_) | LoginCause::Crowded(_) | LoginCause::WorkerBusy)
}
