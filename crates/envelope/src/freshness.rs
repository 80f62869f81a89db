//! How old a verified message is, and whether it is still good.

use crate::claims::{Claims, Nonce};
use crate::limits::{COMMAND_SECONDS, FUTURE_SECONDS, LATE_SECONDS};
use core::fmt;

/// Says how old a good message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// It was made just now, or for the session that is there.
    Fresh,
    /// It was made a while ago and kept: readings of a device that was offline.
    Late,
}

/// Says why a verified message is not good now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// Its date is in the future.
    Future,
    /// Its date is too long ago.
    TooOld,
    /// It says itself that it is no longer good.
    Expired,
    /// It was made for another session.
    OtherSession,
    /// It has no nonce, and the receiver no clock.
    NoClock,
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Future => "it is dated in the future: look at both clocks",
            Self::TooOld => "it was signed too long ago",
            Self::Expired => "it was good until a time that has passed",
            Self::OtherSession => "it was signed for another session",
            Self::NoClock => "without a clock only messages with this session's nonce are good",
        })
    }
}

impl core::error::Error for Stale {}

/// Judges what a device sent: `now` is seconds since 1970, `session` the nonce that its session was given, `max_offline` how many seconds
/// old a message may be.
///
/// # Errors
/// [`Stale`].
pub fn of_reading(
    claims: &Claims,
    now: u64,
    session: Option<&Nonce>,
    max_offline: u64,
) -> Result<Age, Stale> {
    if claims.nonce.is_some() && claims.nonce.as_ref() != session {
        return Err(Stale::OtherSession);
    }
    if claims.expires.is_some_and(|end| now > end) {
        return Err(Stale::Expired);
    }
    match claims.issued {
        None => Ok(Age::Fresh),
        Some(issued) if issued.saturating_sub(now) > FUTURE_SECONDS => Err(Stale::Future),
        Some(issued) => match now.saturating_sub(issued) {
            age if age > max_offline => Err(Stale::TooOld),
            age if age > LATE_SECONDS => Ok(Age::Late),
            _ => Ok(Age::Fresh),
        },
    }
}

/// Judges a command, on the device: `now` is seconds since 1970 if the device has a clock that it believes, `nonce` the last one that it
/// gave out. With the nonce a command is good; without, until it expires, or 60 seconds from its date.
///
/// # Errors
/// [`Stale`]: the device does not obey.
pub fn of_command(claims: &Claims, now: Option<u64>, nonce: Option<&Nonce>) -> Result<(), Stale> {
    if claims.nonce.is_some() && claims.nonce.as_ref() != nonce {
        return Err(Stale::OtherSession);
    }
    let Some(now) = now else {
        // An end that cannot be judged is no reason to disobey whoever just read our nonce.
        return if claims.nonce.is_some() { Ok(()) } else { Err(Stale::NoClock) };
    };
    if claims.expires.is_some_and(|end| now > end) {
        return Err(Stale::Expired);
    }
    if claims.nonce.is_some() {
        return Ok(());
    }
    // The form of a message demands a date or a nonce.
    let issued = claims.issued.unwrap_or_default();
    if issued.saturating_sub(now) > COMMAND_SECONDS {
        return Err(Stale::Future);
    }
    if claims.expires.is_none() && now.saturating_sub(issued) > COMMAND_SECONDS {
        return Err(Stale::TooOld);
    }
    Ok(())
}
