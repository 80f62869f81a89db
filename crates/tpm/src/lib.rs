//! TPM 2.0 as bytes: what a chip is told and answers, the public areas of its keys, what it attests, and the credential that
//! only one chip opens.
//!
//! Both ends use it. A device talks to its chip by [`command`] and [`answer`]; a server judges by [`Evidence`] where a key
//! lives. Clauses are those of the TPM 2.0 Library, revision 1.59, parts 1 to 3.
//!
//! What is not here: the way to the chip, and where its blobs are kept (`device`); whose chip it is (`identity`).

pub mod answer;
mod attest;
mod code;
pub mod command;
mod credential;
mod crypto;
mod evidence;
mod key_file;
mod public;
mod session;
#[cfg(any(test, feature = "software"))]
pub mod software;
mod wire;

pub use attest::{Attested, Signature};
pub use code::Code;
pub use credential::{Challenge, Expected};
pub use evidence::{Doubt, EVIDENCE_BYTES, Evidence, Vouched, Voucher};
pub use key_file::KEY_FILE_BYTES;
pub use public::{Name, Public, PublicKey, Template};
pub use session::Session;
pub use wire::Malformed;
