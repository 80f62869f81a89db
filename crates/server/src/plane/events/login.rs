//! Logins and failed logins: what is told of them, and which failures are held against an address.

use super::LogLine;
use crate::plane::admission::Crowded;
use crate::plane::entrance::{Demand, Evidence};
use crate::plane::source::Peer;
use keyward_identity::{CertificateRefusal, ClaimRefusal, WallTime};
use keyward_ids::{Identity, UserId};
use keyward_mqtt::codec::DecodeError;
use std::fmt;

/// Tells of a login, if it is worth a line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedIn {
    /// Where it came from.
    pub peer: Peer,
    /// At which listener.
    pub listener: String,
    /// Who it is.
    pub identity: Identity,
    /// The client id that it sent. Raw: the peer chose it.
    pub client_id: String,
    /// What it showed.
    pub shown: Evidence,
    /// What was demanded.
    pub demand: Demand,
    /// Lines about logins of this source that were left out since the last one.
    pub left_out: u32,
}

/// Tells of a login that failed. None of this is told to the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginFailure {
    /// Where it came from.
    pub peer: Peer,
    /// At which listener.
    pub listener: String,
    /// Who it said it was: the user name, or the common name of the certificate. Raw: the peer chose it.
    pub claimed: Option<String>,
    /// The client id that it sent. Raw: the peer chose it.
    pub client_id: String,
    /// Why it failed.
    pub cause: LoginCause,
    /// Whether it is worth a line of the log.
    pub log: LogLine,
}

/// Says why a login failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginCause {
    /// It showed neither a certificate nor a password.
    NoCredential,
    /// It sent a password without a user name.
    NoUserName,
    /// Its certificate does not open the door.
    Certificate(CertificateRefusal),
    /// Its certificate cannot be read, or has expired since the TLS session began.
    CertificateUnusable,
    /// It is `shown` by its certificate and sent another user name beside it.
    OtherName {
        /// Whose certificate it showed.
        shown: Identity,
    },
    /// What it showed is not what is demanded. A password was not looked at.
    NotEnough {
        /// Who it is, or said it was.
        identity: Identity,
        /// What it showed.
        shown: Evidence,
        /// What is demanded.
        demand: Demand,
    },
    /// It is this identity by its certificate, a password is demanded too, and the identity has none.
    NoPassword(Identity),
    /// The identity is not marked for a listener whose passwords can be read on the network. Nothing was looked at.
    NotMarkedPlain {
        /// Who it is, or said it was.
        identity: Identity,
        /// What it showed.
        shown: Evidence,
    },
    /// The identity is marked: its password may have been read on the network, and opens no other listener.
    OnlyPlain {
        /// Who it is, or said it was.
        identity: Identity,
        /// What it showed.
        shown: Evidence,
    },
    /// The user that clients without a login become is not there, or may not log in.
    NobodyAnonymous(UserId),
    /// No account logs in with this name and a password.
    UnknownName,
    /// The password is wrong.
    WrongPassword,
    /// The account may not log in now.
    ShutOut(Identity),
    /// The account was not confirmed since the ledger was restored.
    Unconfirmed {
        /// Whose it is.
        identity: Identity,
        /// When the ledger was restored.
        restored: WallTime,
    },
    /// It was not checked, because attempts from this source for this name failed before.
    SlowedDown {
        /// How long this goes on.
        seconds: u64,
    },
    /// It asked for a method of enhanced authentication that is not offered.
    EnhancedAuthentication,
    /// It did not prove by enhanced authentication who it is.
    NotProven,
    /// Its claim code gets it no certificate.
    Claim(ClaimRefusal),
    /// It wanted what an enrolment link cannot have, or to open one where there is none.
    Enrolment(&'static str),
    /// Its client id is too long.
    ClientId,
    /// There was no place for it.
    Crowded(Crowded),
    /// Too many passwords wait to be checked.
    PasswordsWait,
    /// The worker of its session has too much to do.
    WorkerBusy,
    /// Its CONNECT breaks the protocol.
    Protocol(DecodeError),
}

impl fmt::Display for LoginCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCredential => f.write_str("it showed neither a certificate nor a password"),
            Self::NoUserName => f.write_str("it sent a password without a user name"),
            Self::Certificate(refusal) => refusal.fmt(f),
            Self::CertificateUnusable => f.write_str("its certificate cannot be read or has expired"),
            Self::OtherName { shown } => {
                write!(f, "it showed the certificate of {shown} and another user name beside it")
            }
            Self::NotEnough { identity, shown: shown @ Evidence::Password, demand } => {
                write!(f, "{}showed a {shown}, and {demand}", Claimant(identity, *shown))
            }
            Self::NotEnough { identity, shown, demand } => {
                write!(f, "{identity} showed {shown}, and {demand}")
            }
            Self::NoPassword(identity) => {
                write!(f, "{identity} showed its certificate, a password is demanded too, and it has none")
            }
            Self::NotMarkedPlain { identity, shown } => {
                write!(
                    f,
                    "{}is not marked plain, so it may not log in where passwords can be read",
                    Claimant(identity, *shown)
                )
            }
            Self::OnlyPlain { identity, shown } => {
                write!(
                    f,
                    "{}is marked plain, so its password opens plain listeners only",
                    Claimant(identity, *shown)
                )
            }
            Self::NobodyAnonymous(user) => {
                write!(
                    f,
                    "clients without a login become user:{user} here, who is not there or may not log in"
                )
            }
            Self::UnknownName => f.write_str("no account has this name and a password"),
            Self::WrongPassword => f.write_str("the password is wrong"),
            Self::ShutOut(identity) => write!(f, "{identity} may not log in: see `keyward status`"),
            Self::Unconfirmed { identity, restored } => {
                write!(f, "{identity} is disabled: not confirmed since the restore of {restored}")
            }
            Self::SlowedDown { seconds } => {
                write!(f, "not checked: it failed too often, next check in {seconds} s")
            }
            Self::EnhancedAuthentication => {
                f.write_str("it asked for a method of enhanced authentication that is not offered")
            }
            Self::NotProven => f.write_str("it did not prove who it is by enhanced authentication"),
            Self::Claim(refusal) => refusal.fmt(f),
            Self::Enrolment(what) => write!(f, "no enrolment: {what}"),
            Self::ClientId => f.write_str("its client id is too long or holds control characters"),
            Self::Crowded(bound) => bound.fmt(f),
            Self::PasswordsWait => f.write_str("too many passwords wait to be checked"),
            Self::WorkerBusy => f.write_str("the broker has too much to do"),
            Self::Protocol(error) => error.fmt(f),
        }
    }
}

impl LoginCause {
    /// Tells whether such failures count for a ban of the address: those that a guesser causes, and that tell a guesser
    /// nothing by not counting. What happens to clients that have proven something does not count. Nor does a certificate
    /// that nobody issued here: our own authority has signed what gets so far, before a restore of the ledger, say.
    pub fn is_held_against(&self) -> bool {
        use CertificateRefusal::KeyMismatch;
        if let Self::Claim(refusal) = self {
            return refusal.is_guess();
        }
        matches!(
            self,
            Self::NoCredential
                | Self::NoUserName
                | Self::UnknownName
                | Self::WrongPassword
                | Self::SlowedDown { .. }
                | Self::EnhancedAuthentication
                | Self::NotProven
                | Self::NotEnough { shown: Evidence::Password, .. }
                | Self::NotMarkedPlain { shown: Evidence::Password, .. }
                | Self::OnlyPlain { shown: Evidence::Password, .. }
                | Self::Certificate(KeyMismatch { .. })
        )
    }
}

/// Writes who it is about at the front of a sentence: who says a name and a password has not proven the name.
struct Claimant<'a>(&'a Identity, Evidence);

impl fmt::Display for Claimant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Evidence::Password => write!(f, "somebody who claimed to be {}: it ", self.0),
            _ => write!(f, "{} ", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_tells_no_guesser_which_names_are_accounts_and_bans_nobody_whom_we_certified() {
        let identity: Identity = "user:admin".parse().unwrap();
        let demand = Demand { listener: crate::login::LoginRule::Certificate, device_type: None };
        let by = |shown| {
            let identity = || identity.clone();
            [
                LoginCause::NotMarkedPlain { identity: identity(), shown },
                LoginCause::OnlyPlain { identity: identity(), shown },
                LoginCause::NotEnough { identity: identity(), shown, demand: demand.clone() },
            ]
        };
        assert!(LoginCause::UnknownName.is_held_against());
        assert!(by(Evidence::Password).iter().all(LoginCause::is_held_against), "as an unknown name");
        for shown in [
            Evidence::Certificate,
            Evidence::CertificateAndPassword,
            Evidence::KnockAndPassword,
            Evidence::Nothing,
        ] {
            assert!(!by(shown).iter().any(LoginCause::is_held_against), "{shown}");
        }
        for cause in by(Evidence::Password) {
            assert!(cause.to_string().starts_with("somebody who claimed to be user:admin: it "), "{cause}");
        }
        let serial = keyward_ids::CertSerial::from_bytes(&[1; 16]).unwrap();
        let refusal = CertificateRefusal::UnknownSerial { serial };
        assert!(!LoginCause::Certificate(refusal).is_held_against());
    }
}
