//! How a command ends when it did not do what it was asked: what is said, and the exit code.

use keyward_client::ClientError;
use keyward_server::control::{CallError, Refusal};
use keyward_server::home::HomeError;
use keyward_server::running::StartError;
use std::fmt::Display;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// Says why a command was not carried out.
#[derive(Debug)]
pub(crate) struct Failure {
    /// A word for scripts.
    pub(crate) code: &'static str,
    /// What is wrong, where, and what to do.
    pub(crate) what: String,
    exit: u8,
}

/// Is what a command comes to.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// Something was refused or went wrong: exit code 1.
    pub(crate) fn failed(what: impl Display) -> Self {
        Self { code: "failed", what: what.to_string(), exit: 1 }
    }

    /// The command line asks for something that cannot be: exit code 2.
    pub(crate) fn misuse(what: impl Display) -> Self {
        Self { code: "misuse", what: what.to_string(), exit: 2 }
    }

    /// The broker or the peer said no.
    pub(crate) fn refused(code: &'static str, what: impl Display) -> Self {
        Self { code, what: what.to_string(), exit: 1 }
    }

    /// A file could not be read or written.
    pub(crate) fn file(path: &Path, error: &io::Error) -> Self {
        let advice = match error.kind() {
            io::ErrorKind::AlreadyExists => {
                "; it is not overwritten: move it away, or name another with --out"
            }
            io::ErrorKind::NotFound => "; check the path",
            io::ErrorKind::PermissionDenied => "; check who owns it",
            _ => "",
        };
        Self::failed(format!("{}: {error}{advice}", path.display()))
    }

    /// Nobody reads standard output any more: nothing is said, for nobody listens.
    pub(crate) fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self { code: "closed", what: String::new(), exit: 1 },
            _ => Self::failed(format!("cannot write to standard output: {error}")),
        }
    }

    /// All was said already: exit code 1.
    pub(crate) fn said() -> Self {
        Self { code: "said", what: String::new(), exit: 1 }
    }

    /// Returns the process' exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let code = match serde_json::to_value(refusal.code) {
            Ok(serde_json::Value::String(code)) => CODES.iter().find(|known| **known == code),
            _ => None,
        };
        Self::refused(code.copied().unwrap_or("refused"), refusal.what)
    }
}

/// The words of [`keyward_server::control::RefusalCode`].
const CODES: [&str; 7] =
    ["invalid", "not_found", "conflict", "forbidden", "bad_file", "wrong_moment", "failed"];

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(refusal) => refusal.into(),
            other => Self::failed(other),
        }
    }
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        Self::failed(error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::failed(error)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::failed(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_server::control::RefusalCode;

    #[test]
    fn every_refusal_keeps_its_code() {
        for (code, word) in [
            (RefusalCode::Invalid, "invalid"),
            (RefusalCode::NotFound, "not_found"),
            (RefusalCode::Conflict, "conflict"),
            (RefusalCode::Forbidden, "forbidden"),
            (RefusalCode::BadFile, "bad_file"),
            (RefusalCode::WrongMoment, "wrong_moment"),
            (RefusalCode::Failed, "failed"),
        ] {
            let failure = Failure::from(Refusal { code, what: "no".to_owned() });
            assert_eq!(failure.code, word);
        }
    }
}
