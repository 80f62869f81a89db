//! Who knocks: from a decoded CONNECT to an identity, or to the cause of a refusal.
//!
//! A client that shows a certificate is that identity; a user name beside it must be the same, a password beside it
//! is looked at only if the certificate alone does not meet what listener and type demand. No failure of one credential
//! is healed by another: a bad certificate never falls back to a password. A certificate of another authority that is
//! trusted only lets its holder knock, if that is all that it proves: a password says who it is. A password that could not
//! let anybody in is not checked at all. What the peer is told says as little as it can; the cause goes to the operator.

pub(crate) mod applicant;

use crate::plane::door::slowdown::{Guess, SlowDown};
use crate::plane::entrance::{Demand, Entrance, Evidence, TypeRules};
use crate::plane::events::LoginCause;
use crate::plane::source::Source;
use crate::plane::tls::certificate::ClientCertificate;
use crate::plane::tls::trusted::TrustedVerifiers;
use arc_swap::ArcSwap;
use keyward_identity::{
    Account, CertificateRecord, CertificateRefusal, PasswordRecord, Pepper, Registry, Standing, WallTime,
};
use keyward_ids::{CertSerial, Identity, TypeId};
use keyward_mqtt::packet::Connect;
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::{Millis, Now};
use rustls::pki_types::{CertificateDer, UnixTime};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Decides who is let in, by the registry of the moment.
pub(crate) struct Gate {
    registry: ArcSwap<Registry>,
    types: ArcSwap<TypeRules>,
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
    /// What it showed.
    pub(crate) shown: Evidence,
    /// What was demanded.
    pub(crate) demand: Demand,
    /// The certificate by which it came, if that one renews another, which is to be taken away.
    pub(crate) renewing: Option<CertSerial>,
}

impl Known {
    fn of(account: &Account, shown: Evidence, demand: Demand) -> Self {
        let identity = account.identity.clone();
        Self { identity, life: account.life, epoch: account.epoch, shown, demand, renewing: None }
    }
}

/// Is how a client came to the gate.
struct Knock<'a> {
    entrance: &'a Entrance,
    source: Source,
    /// The certificate that it showed, be it one that says nobody's name.
    shown: Option<&'a CertificateDer<'a>>,
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
        /// Whose password is tried, and from where.
        guess: Guess,
        /// Who it is if the password is right; `None` for a name that nobody has, and for one that is doomed.
        claimed: Option<Known>,
        /// Why it is refused whatever the password is.
        doomed: Option<LoginCause>,
    },
    /// It is nobody.
    Refused(LoginCause),
}

impl Gate {
    pub(crate) fn new(registry: Arc<Registry>, pepper: Arc<Pepper>, types: TypeRules) -> Self {
        Self {
            registry: ArcSwap::new(registry),
            types: ArcSwap::from_pointee(types),
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

    /// Lets types of devices demand this from now on.
    pub(crate) fn set_type_rules(&self, types: TypeRules) {
        self.types.store(Arc::new(types));
    }

    /// Returns the revision of the registry that decides.
    pub(crate) fn revision(&self) -> u64 {
        self.registry.load().revision()
    }

    /// Tells whether what was known when a login began holds still.
    pub(crate) fn holds(&self, known: &Known) -> bool {
        self.registry.load().holds(&known.identity, known.epoch)
    }

    /// Judges the credentials of a CONNECT that came through this entrance, over a channel with these certificates, the
    /// client's first.
    pub(crate) fn judge(
        &self,
        now: Now,
        entrance: &Entrance,
        source: Source,
        chain: Option<&[CertificateDer<'_>]>,
        connect: &Connect<'_>,
    ) -> Verdict {
        let account = chain.map(|chain| self.certified(now, entrance, chain, connect.username)).transpose();
        let judged = account.and_then(|account| {
            let knock = Knock { entrance, source, shown: chain.and_then(<[_]>::first) };
            match (account.flatten(), connect.username, connect.password) {
                (Some(account), _, password) => self.by_certificate(now.mono, &knock, &account, password),
                (None, Some(name), Some(password)) => self.by_password(now.mono, &knock, name, password),
                (None, None, Some(_)) => Err(LoginCause::NoUserName),
                (None, None, None) if knock.shown.is_none() => {
                    self.by_nothing(entrance).map(Verdict::Admitted)
                }
                (None, _, None) => Err(LoginCause::NoCredential),
            }
        });
        judged.unwrap_or_else(Verdict::Refused)
    }

    /// Lets in whom a method of enhanced authentication proved, unless a certificate shows somebody else. What is proven
    /// counts as a password.
    pub(crate) fn admit_proven(
        &self,
        now: Now,
        entrance: &Entrance,
        chain: Option<&[CertificateDer<'_>]>,
        identity: &Identity,
    ) -> Result<Known, LoginCause> {
        let certified = chain.map(|chain| self.certified(now, entrance, chain, Some(&identity.to_string())));
        let shown = match certified.transpose()? {
            None => Evidence::Method,
            Some(None) => Evidence::KnockAndPassword,
            Some(Some(_)) => Evidence::CertificateAndPassword,
        };
        let registry = self.registry.load();
        let account = registry.find(identity).ok_or_else(|| LoginCause::ShutOut(identity.clone()))?;
        may_use_password(entrance, account, shown)?;
        let demand = self.enough(entrance, account, shown)?;
        self.still_held(Known::of(account, shown, demand))
    }

    /// Returns the account that a certificate shows, if it is valid and the user name beside it is the same; nobody if it
    /// only lets the client knock.
    fn certified(
        &self,
        now: Now,
        entrance: &Entrance,
        chain: &[CertificateDer<'_>],
        name: Option<&str>,
    ) -> Result<Option<Arc<Account>>, LoginCause> {
        let certificate = chain.first().ok_or(LoginCause::CertificateUnusable)?;
        let shown = ClientCertificate::read(certificate).ok_or(LoginCause::CertificateUnusable)?;
        if !shown.is_valid_at(now.wall) {
            return Err(LoginCause::CertificateUnusable);
        }
        let registry = self.registry.load();
        let ours = registry.admit_certificate(&shown.serial, &shown.key, WallTime(now.wall.0));
        let account = match ours {
            // Another authority may have given the same serial number.
            Err(
                unknown @ (CertificateRefusal::UnknownSerial { .. } | CertificateRefusal::KeyMismatch { .. }),
            ) => self.vouched_for(&registry, now, entrance, chain, &shown, unknown)?,
            ours => Some(ours.map_err(LoginCause::Certificate)?),
        };
        match (account, name) {
            (Some(account), Some(name)) if !names(name, &account.identity) && name != shown.common_name => {
                Err(LoginCause::OtherName { shown: account.identity.clone() })
            }
            (account, _) => Ok(account.cloned()),
        }
    }

    /// Returns whom a certificate of another authority stands for; nobody if it only lets its holder knock.
    fn vouched_for<'r>(
        &self,
        registry: &'r Registry,
        now: Now,
        entrance: &Entrance,
        chain: &[CertificateDer<'_>],
        shown: &ClientCertificate,
        unknown: CertificateRefusal,
    ) -> Result<Option<&'r Arc<Account>>, LoginCause> {
        let (leaf, issuers) = chain.split_first().ok_or(LoginCause::CertificateUnusable)?;
        let time = UnixTime::since_unix_epoch(Duration::from_millis(now.wall.0));
        let trusted = self.trusted.load();
        let authority = trusted.vouching(entrance, leaf, issuers, time).map_err(|telling| match telling {
            Some(_) => LoginCause::CertificateUnusable,
            None => LoginCause::Certificate(unknown),
        })?;
        registry.admit_bound_name(authority, &shown.common_name, &shown.key).map_err(LoginCause::Certificate)
    }

    /// Lets in whom its certificate shows; checks the password beside it if that is not enough.
    fn by_certificate(
        &self,
        now: Millis,
        knock: &Knock<'_>,
        account: &Account,
        password: Option<&[u8]>,
    ) -> Result<Verdict, LoginCause> {
        let password = match (self.enough(knock.entrance, account, Evidence::Certificate), password) {
            (Ok(demand), _) => {
                let known = Known::of(account, Evidence::Certificate, demand);
                return Ok(Verdict::Admitted(Known { renewing: renewing(account, knock.shown), ..known }));
            }
            (Err(cause), None) => return Err(cause),
            (Err(_), Some(password)) => password,
        };
        let shown = Evidence::CertificateAndPassword;
        let demand = self.enough(knock.entrance, account, shown)?;
        let record = account.password.as_ref();
        let record = record.ok_or_else(|| LoginCause::NoPassword(account.identity.clone()))?;
        may_use_password(knock.entrance, account, shown)?;
        let guess = Guess::new(knock.source, account.identity.name(), Some(account));
        let known = Known { renewing: renewing(account, knock.shown), ..Known::of(account, shown, demand) };
        self.check(now, guess, Some((known, record)), password)
    }

    fn by_password(
        &self,
        now: Millis,
        knock: &Knock<'_>,
        name: &str,
        password: &[u8],
    ) -> Result<Verdict, LoginCause> {
        let shown = if knock.shown.is_some() { Evidence::KnockAndPassword } else { Evidence::Password };
        let registry = self.registry.load();
        let account = registry.find_login(name);
        let guess = Guess::new(knock.source, name, account.map(|account| &**account));
        let held = account.and_then(|account| Some((account, account.password.as_ref()?)));
        let Some((account, record)) = held else { return self.check(now, guess, None, password) };
        let demand = self.enough(knock.entrance, account, shown);
        let demand =
            demand.and_then(|demand| may_use_password(knock.entrance, account, shown).map(|()| demand));
        match demand {
            Ok(demand) => self.check(now, guess, Some((Known::of(account, shown, demand), record)), password),
            // As long as for a name that nobody has, or the time would tell that somebody has it.
            Err(doomed) => self.check_in_vain(now, guess, doomed),
        }
    }

    /// Lets a client that shows nothing become the user that the listener names.
    fn by_nothing(&self, entrance: &Entrance) -> Result<Known, LoginCause> {
        let user = entrance.anonymous_as.as_ref().ok_or(LoginCause::NoCredential)?;
        let registry = self.registry.load();
        let account = registry.find(&Identity::User(user.clone())).filter(|account| account.is_active());
        let account = account.ok_or_else(|| LoginCause::NobodyAnonymous(user.clone()))?;
        if entrance.is_plain_network && !account.plain {
            let (identity, shown) = (account.identity.clone(), Evidence::Nothing);
            return Err(LoginCause::NotMarkedPlain { identity, shown });
        }
        let demand = Demand { listener: entrance.login, device_type: None };
        Ok(Known::of(account, Evidence::Nothing, demand))
    }

    /// Returns what is demanded of an account, if that is met by what it shows.
    fn enough(&self, entrance: &Entrance, account: &Account, shown: Evidence) -> Result<Demand, LoginCause> {
        let types = self.types.load();
        let rule = |name: &TypeId| Some((name.clone(), *types.get(name)?));
        let device_type = account.device_type.as_ref().and_then(rule);
        let demand = Demand { listener: entrance.login, device_type };
        // Who has a certificate of its own is not let off it by one that proves nobody.
        let has_own = !account.certificates.is_empty() || !account.bound_names.is_empty();
        let weighed = if has_own && shown == Evidence::KnockAndPassword { Evidence::Password } else { shown };
        match demand.is_met(weighed) {
            true => Ok(demand),
            false => Err(LoginCause::NotEnough { identity: account.identity.clone(), shown, demand }),
        }
    }

    /// Checks a password against who it is for: a generated one at once, a chosen one in the pool, and one for a name that
    /// nobody has there too.
    fn check(
        &self,
        now: Millis,
        guess: Guess,
        account: Option<(Known, &PasswordRecord)>,
        password: &[u8],
    ) -> Result<Verdict, LoginCause> {
        let (claimed, record) = account.unzip();
        if let (Some(known), Some(record)) = (&claimed, record.filter(|record| !record.is_slow())) {
            return match record.verify_generated(&self.pepper, password) {
                true => self.still_held(known.clone()).map(Verdict::Admitted),
                false => Err(LoginCause::WrongPassword),
            };
        }
        self.may_guess(now, &guess)?;
        let record = record.unwrap_or(&self.decoy).clone();
        Ok(Verdict::Check { record, guess, claimed, doomed: None })
    }

    /// Checks a password against the decoy for somebody who is refused in any case.
    fn check_in_vain(&self, now: Millis, guess: Guess, doomed: LoginCause) -> Result<Verdict, LoginCause> {
        self.may_guess(now, &guess)?;
        Ok(Verdict::Check { record: self.decoy.clone(), guess, claimed: None, doomed: Some(doomed) })
    }

    fn may_guess(&self, now: Millis, guess: &Guess) -> Result<(), LoginCause> {
        let pause = self.slow().pause(now, guess);
        pause.map_or(Ok(()), |pause| Err(LoginCause::SlowedDown { seconds: pause.0.div_ceil(1_000) }))
    }

    /// Draws the conclusion from a check of a chosen password: `known` is who it is if it was right. What is demanded is
    /// asked anew, for the rules may have changed meanwhile.
    pub(crate) fn checked(
        &self,
        now: Millis,
        entrance: &Entrance,
        guess: Guess,
        known: Option<Known>,
    ) -> Result<Known, LoginCause> {
        let Some(known) = known else {
            let cause = if guess.is_account() { LoginCause::WrongPassword } else { LoginCause::UnknownName };
            self.slow().failed(now, guess);
            return Err(cause);
        };
        self.slow().succeeded(&guess);
        let known = self.still_held(known)?;
        let registry = self.registry.load();
        let account =
            registry.find(&known.identity).ok_or_else(|| LoginCause::ShutOut(known.identity.clone()))?;
        let demand = self.enough(entrance, account, known.shown)?;
        may_use_password(entrance, account, known.shown)?;
        Ok(Known { demand, ..known })
    }

    /// Returns the password by which somebody came, if it is the one still that was checked.
    pub(crate) fn password_of(&self, known: &Known) -> Option<PasswordRecord> {
        let registry = self.registry.load();
        let account = registry.find(&known.identity).filter(|account| account.epoch == known.epoch)?;
        account.password.clone()
    }

    /// Knows somebody anew whose older certificate was taken away. What else is demanded is asked anew: the password that was
    /// checked, if one was, is still its own.
    pub(crate) fn succeeded(
        &self,
        entrance: &Entrance,
        known: Known,
        password: Option<&PasswordRecord>,
    ) -> Result<Known, LoginCause> {
        let registry = self.registry.load();
        let account = registry.find(&known.identity).filter(|account| account.is_active());
        let account = account.filter(|account| account.life == known.life);
        let holds = |serial: &CertSerial| {
            account.is_some_and(|account| account.certificates.iter().any(|held| held.serial == *serial))
        };
        match account.filter(|_| known.renewing.as_ref().is_some_and(holds)) {
            Some(account) => {
                let demand = self.enough(entrance, account, known.shown)?;
                if known.shown == Evidence::CertificateAndPassword {
                    may_use_password(entrance, account, known.shown)?;
                    if password.is_none() || account.password.as_ref() != password {
                        return Err(LoginCause::WrongPassword);
                    }
                }
                Ok(Known { epoch: account.epoch, demand, renewing: None, ..known })
            }
            None => Err(self.shut_out(known.identity)),
        }
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

/// Refuses the password of an account where it must not open: unmarked where it can be read, marked elsewhere.
fn may_use_password(entrance: &Entrance, account: &Account, shown: Evidence) -> Result<(), LoginCause> {
    let identity = || account.identity.clone();
    match (entrance.is_plain_network, account.plain) {
        (true, false) => Err(LoginCause::NotMarkedPlain { identity: identity(), shown }),
        (false, true) => Err(LoginCause::OnlyPlain { identity: identity(), shown }),
        _ => Ok(()),
    }
}

/// Returns the serial number of the certificate that was shown, if it renews one that still opens the door.
fn renewing(account: &Account, shown: Option<&CertificateDer<'_>>) -> Option<CertSerial> {
    // Of most accounts nothing has to be read.
    account.certificates.iter().find(|held| held.renews.is_some())?;
    let held = held(account, &ClientCertificate::read(shown?)?)?;
    account.renewed_by(&held.serial).is_some().then(|| held.serial.clone())
}

/// Returns what is known of the certificate that was shown, if it is one of ours: another authority may have given the same
/// serial number, but not for the same key.
fn held<'a>(account: &'a Account, shown: &ClientCertificate) -> Option<&'a CertificateRecord> {
    account.certificates.iter().find(|held| held.serial == shown.serial && held.key == shown.key)
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
        | LoginCause::NobodyAnonymous(_)
        | LoginCause::Enrolment(_)
        | LoginCause::OtherName { .. } => ReasonCode::NotAuthorized,
        // A full queue too: only chosen passwords and unknown names wait in it.
        LoginCause::NoUserName
        | LoginCause::NotEnough { .. }
        | LoginCause::NoPassword(_)
        | LoginCause::NotMarkedPlain { .. }
        | LoginCause::OnlyPlain { .. }
        | LoginCause::Claim(_)
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
