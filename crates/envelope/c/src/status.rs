//! The numbers that functions return.

use keyward_envelope::{OpenError, Refused, SealError};

pub(crate) const OK: i32 = 0;
pub(crate) const ARGUMENT: i32 = 1;
pub(crate) const NO_ROOM: i32 = 2;
pub(crate) const TOO_LONG: i32 = 3;
pub(crate) const CONTEXT: i32 = 4;
pub(crate) const UNDATED: i32 = 5;
pub(crate) const UNAVAILABLE: i32 = 6;
pub(crate) const KEY: i32 = 7;
pub(crate) const MALFORMED: i32 = 8;
pub(crate) const OTHER_KEY: i32 = 9;
pub(crate) const SIGNATURE: i32 = 10;
pub(crate) const OTHER_FORM: i32 = 11;
pub(crate) const UNREADABLE: i32 = 12;
pub(crate) const STALE: i32 = 13;
pub(crate) const REPEAT: i32 = 14;
pub(crate) const RESERVE: i32 = 15;

/// Says what went wrong, and how much room was needed if that was it.
#[derive(Clone, Copy)]
pub(crate) struct Failed {
    pub(crate) status: i32,
    pub(crate) needed: usize,
}

impl From<i32> for Failed {
    fn from(status: i32) -> Self {
        Self { status, needed: 0 }
    }
}

impl From<SealError> for Failed {
    fn from(error: SealError) -> Self {
        match error {
            SealError::NoRoom(room) => Self { status: NO_ROOM, needed: room.needed },
            SealError::TooLong => TOO_LONG.into(),
            SealError::Context(_) => CONTEXT.into(),
            SealError::Undated => UNDATED.into(),
            SealError::ReservedFormat => ARGUMENT.into(),
            SealError::NoAgreementKey => KEY.into(),
            SealError::Unavailable(_) => UNAVAILABLE.into(),
        }
    }
}

impl From<Refused> for Failed {
    fn from(error: Refused) -> Self {
        match error {
            Refused::Context(_) => CONTEXT.into(),
            Refused::OtherKey | Refused::OtherAlgorithm { .. } => OTHER_KEY.into(),
            Refused::Signature => SIGNATURE.into(),
        }
    }
}

impl From<OpenError> for Failed {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::NoRoom(room) => Self { status: NO_ROOM, needed: room.needed },
            OpenError::OtherKey => OTHER_KEY.into(),
            OpenError::OtherForm => OTHER_FORM.into(),
            OpenError::BadPoint => MALFORMED.into(),
            OpenError::Unavailable(_) => UNAVAILABLE.into(),
            OpenError::Unreadable => UNREADABLE.into(),
            OpenError::Malformed(_) => MALFORMED.into(),
        }
    }
}
