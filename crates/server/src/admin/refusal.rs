//! Refusals of the parts below, in the words and classes of the control socket.

use crate::{
    config::EditError,
    control::{Refusal, RefusalCode},
    home::HomeError,
    installation::{InstallationError, SettingsError},
    rules::RulesError,
};
use keyward_identity::{self as identity, GroupRefusal, OpenError};

impl Refusal {
    pub(crate) fn new(code: RefusalCode, what: impl ToString) -> Self {
        Self { code, what: what.to_string() }
    }

    pub(crate) fn invalid(what: impl ToString) -> Self {
        Self::new(RefusalCode::Invalid, what)
    }
}

impl From<identity::Refusal> for Refusal {
    fn from(refusal: identity::Refusal) -> Self {
        use identity::Refusal as R;
        let code = match &refusal {
            R::NoSuchIdentity(_)
            | R::NoSuchKey(_)
            | R::NoSuchMessageKey { .. }
            | R::NoSuchServerName(_)
            | R::NoSuchAuthority(_)
            | R::NoSuchBoundName { .. }
            | R::NoSuchServerCertificate(_)
            | R::Group(GroupRefusal::Missing(_) | GroupRefusal::NoKey { .. }) => RefusalCode::NotFound,
            R::Exists { .. }
            | R::KeyHeld { .. }
            | R::HasMessageKey { .. }
            | R::LoginTaken { .. }
            | R::ServerNameHeld { .. }
            | R::AuthorityExists(_)
            | R::NameBound { .. }
            | R::Group(GroupRefusal::Exists(_) | GroupRefusal::Called { .. }) => RefusalCode::Conflict,
            R::IsRevoked(_)
            | R::AuthorityExpired { .. }
            | R::Clock { .. }
            | R::LastServerName(_)
            | R::TooManyCertificates(_)
            | R::TooManyMessageKeys { .. }
            | R::NoCommandKey
            | R::Full { .. } => RefusalCode::Forbidden,
            R::NoRandomness(_) | R::Signing(_) | R::Ledger(_) | R::Vault(_) => RefusalCode::Failed,
            _ => RefusalCode::Invalid,
        };
        Self::new(code, refusal)
    }
}

impl From<InstallationError> for Refusal {
    fn from(error: InstallationError) -> Self {
        let code = match &error {
            InstallationError::Open(OpenError::Locked { .. }) => RefusalCode::WrongMoment,
            _ => RefusalCode::Failed,
        };
        Self::new(code, error)
    }
}

impl From<HomeError> for Refusal {
    fn from(error: HomeError) -> Self {
        let code = match &error {
            HomeError::Nowhere | HomeError::Absent(_) => RefusalCode::NotFound,
            HomeError::Unusable(_) => RefusalCode::Failed,
        };
        Self::new(code, error)
    }
}

impl From<RulesError> for Refusal {
    fn from(error: RulesError) -> Self {
        Self::new(RefusalCode::BadFile, error)
    }
}

impl From<SettingsError> for Refusal {
    fn from(error: SettingsError) -> Self {
        Self::new(RefusalCode::BadFile, error)
    }
}

impl From<EditError> for Refusal {
    fn from(error: EditError) -> Self {
        let code = match &error {
            EditError::NoSuchListener(_) => RefusalCode::NotFound,
            EditError::LastListener(_) => RefusalCode::Forbidden,
            EditError::Form(_) | EditError::Config(_) => RefusalCode::BadFile,
        };
        Self::new(code, error)
    }
}
