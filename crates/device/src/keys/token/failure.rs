//! What can go wrong with a token, and what is worth a second try.

use super::super::KeyError;
use cryptoki::error::{Error, RvError};

/// Is a failure of the library, with its reason, or one that is said already.
pub(super) enum Failure {
    Library(Error),
    Said(KeyError),
}

pub(super) type Outcome<T> = Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::Said(error)
    }
}

impl Failure {
    /// Tells whether the session is gone: the token was pulled, or its library let go of it. A new session may do.
    pub(super) fn is_gone(&self) -> bool {
        matches!(
            self,
            Self::Library(Error::Pkcs11(
                RvError::SessionHandleInvalid
                    | RvError::SessionClosed
                    | RvError::DeviceRemoved
                    | RvError::DeviceError
                    | RvError::TokenNotPresent
                    | RvError::UserNotLoggedIn
                    | RvError::ObjectHandleInvalid
                    | RvError::KeyHandleInvalid,
                _
            ))
        )
    }

    /// Says it in the name of the store.
    pub(super) fn of(self, store: &str) -> KeyError {
        let problem = match self {
            Self::Said(error) => return error,
            Self::Library(error) => error,
        };
        let help = match &problem {
            Error::Pkcs11(RvError::MechanismInvalid | RvError::CurveNotSupported, _) => {
                "; a token must have P-256 (ECDSA, ECDH) and AES in GCM"
            }
            Error::Pkcs11(RvError::TokenWriteProtected | RvError::SessionReadOnly, _) => {
                "; it is protected against writing"
            }
            Error::Pkcs11(RvError::DeviceMemory, _) => "; it is full: remove keys that nobody needs",
            Error::Pkcs11(RvError::DeviceRemoved | RvError::TokenNotPresent | RvError::DeviceError, _) => {
                "; is it plugged in?"
            }
            _ => "",
        };
        failed(store, format!("its library said {problem}{help}"))
    }
}

pub(super) fn failed(store: &str, problem: impl Into<String>) -> KeyError {
    KeyError::Hardware { store: store.to_owned(), problem: problem.into() }
}
