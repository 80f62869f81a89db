//! Newtypes for identity: who acts (devices and users), what they carry (certificates, keys, client ids) and
//! where they belong (sites, types, roles).
//!
//! There is no behaviour here beyond parsing and printing: what a name *may do* lives in `policy`, what is *known*
//! of it in `identity`. Reserved words are not refused here either, because they depend on the installation.

#![no_std]
extern crate alloc;

mod identity;
mod keys;
mod names;

pub use identity::{Identity, IdentityError, Kind};
pub use keys::{CertSerial, HexError, KeyId};
pub use names::{
    ClientId, DeviceId, GroupId, InstallationId, MAX_NAME_LEN, NameError, RoleId, SiteId, TypeId, UserId,
};
