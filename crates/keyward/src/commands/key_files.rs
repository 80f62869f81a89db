//! Files with keys for messages, as `openssl` or Keyward write them. What is wrong with one is said with its name.

use crate::bundle::FILE_BYTES;
use crate::failure::{Failure, Outcome};
use keyward_identity::{AgreementKey, MessageKey, files};
use std::fmt::Display;
use std::path::Path;

/// Reads the public key by which messages are verified; `level` says how well the private one is kept.
pub(crate) fn message_key(path: &Path, level: u8) -> Outcome<MessageKey> {
    MessageKey::read_file(&files::read_regular(path, FILE_BYTES)?, level).map_err(refused(path))
}

/// Reads the public key to which messages are encrypted.
pub(crate) fn agreement_key(path: &Path) -> Outcome<AgreementKey> {
    AgreementKey::read_file(&files::read_regular(path, FILE_BYTES)?).map_err(refused(path))
}

fn refused<E: Display>(path: &Path) -> impl Fn(E) -> Failure {
    move |error| Failure::failed(format!("{}: {error}", path.display()))
}
