//! Enrolment, the device's side of `docs/enrolment.md`: from a string that is scanned to a certificate that is kept, and renewed.

mod answer;
mod apply;
mod claim;
mod membership;
mod renew;

pub use answer::{Answer, AnswerError, Certified, Rejection};
pub use apply::{EnrolError, enrol};
pub(crate) use apply::{identity, tls};
pub use claim::{Claim, ClaimError, Host};
pub use membership::{Membership, MembershipError};
pub use renew::{Renewed, renew, renew_by};
