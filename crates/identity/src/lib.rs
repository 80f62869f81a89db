//! The ledger, the registry, the authorities and the credentials of one installation.
//!
//! **The rule of use.** One process holds the store of an installation, through one [`Registrar`]. It asks for
//! changes with [`Registrar::execute`]: a [`Command`] is decided against the state, becomes events, the events go to
//! disk, then the state changes and a new [`Registry`] exists. When `execute` returns, what it says is on disk. The
//! door looks at the `Registry` alone, which is an immutable value.
//!
//! **What is not here.** No socket, no thread, no clock: the time comes as an argument. Failed logins and "last seen"
//! are not recorded: an attacker would write the ledger full. What an identity may publish or read is `policy`'s.
//!
//! ```text
//! DIR/lock            held by the process that owns the store
//! DIR/ca.pem          the server root: the trust anchor of bundles (a copy; the ledger holds it)
//! DIR/ledger/         a.log and b.log, the ledger kept twice; snapshot
//! DIR/keys/           issuing keys, server key, installation and command keys, password pepper, keys of groups (sealed if there is
//!                     a passphrase)
//! DIR/authority/      the authorities' certificates (copies)
//! DIR/offline/        the two root keys; never opened by a running broker, may be carried away
//! DIR/creating/       an installation that is being made; DIR/restoring/ one that is being restored
//! DIR/replaced-TIME/  what a restore replaced
//! ```

mod account;
mod agreement_key;
mod authority;
mod clock;
mod commands;
mod cose_key;
mod cow_map;
mod csr;
mod decide;
#[cfg(feature = "decoders")]
pub mod decoders;
mod endorsement;
mod events;
mod founding;
mod groups;
mod imported;
mod invitation;
mod ledger;
pub mod limits;
mod maintenance;
mod message_key;
mod message_secret;
mod names;
mod opening;
mod outcome;
mod password;
mod pem;
mod place;
mod quarantine;
mod refusal;
mod registrar;
mod registry;
mod replay;
pub mod restore;
mod second_holder;
mod secret;
mod server_keys;
mod state;
mod status;
mod store;
mod trusted;
mod vault;
mod wire;

pub use account::{Account, CertificateRecord, Chip, Exposure, Standing};
pub use agreement_key::{AgreementKey, HeldAgreementKey};
pub use authority::{Lifetimes, ServerIdentity, Trust, fingerprint};
pub use clock::{ClockVerdict, WallTime};
pub use commands::{
    AddDevice, AddUser, Claim, Command, Context, GroupAges, KeySource, NewCredential, NewMessageKey,
    NewPassword, Rehash, Renewal,
};
pub use cose_key::{KeyPurpose, Kid, KidError};
pub use csr::CsrRefusal;
pub use endorsement::{Endorsement, TpmProof};
pub use events::{AuthorityCertificates, Event};
pub use groups::{Epoch, Group, GroupKeys, GroupRefusal, Groups, Member, member_name};
pub use imported::{ImportCertificateRefusal, ImportedCertificate, ImportedIdentity, read_private_key};
pub use invitation::{ClaimCode, ClaimRefusal, Claimed, Conflict, Invitation};
pub use keyward_files as files;
pub use ledger::{AuditEntry, AuditTrail, LedgerError};
pub use maintenance::{Maintenance, MaintenanceRefusal, Window};
pub use message_key::{HeldMessageKey, MessageAlgorithm, MessageKey, MessageKeyRefusal, MessageKeyStatus};
pub use message_secret::MessageSecret;
pub use names::{
    NameOrigin, NameRefusal, ServerName, ServerNameError, ServerNames, check_new_name, reserved_words,
};
pub use opening::{InitOptions, OpenError, OpenOptions};
pub use outcome::{IssuedCertificate, Outcome};
pub use password::{
    ImportRefusal, ImportedForm, ImportedHash, PasswordMemory, PasswordRecord, PasswordRefusal, Pepper,
};
pub use place::{Fence, Moved, Place, PlaceRefusal, Power};
pub use quarantine::{Quarantine, QuarantinedBy};
pub use refusal::Refusal;
pub use registrar::Registrar;
pub use registry::{CertificateRefusal, Counts, Registry};
pub use second_holder::{FoundHolder, SecondHolder, SecondHolderSign};
pub use secret::{NoRandomness, Secret};
pub use server_keys::{CommandKey, ServerKeys, SignedKeySet};
pub use status::{CertificateStatus, IMPORTED_ROLE, Status};
pub use trusted::{
    BoundName, Der, LocalName, LocalNameError, ProvenBy, TrustRefusal, TrustSummary, TrustedAuthority, Unfit,
    certificate_has_signed, check_certifies_clients,
};
pub use vault::{KeyProtection, VaultError};
