//! What the server tells a device to do.

mod judge;

pub use judge::{BadKeySet, Command, Disobeyed, KEY_SET_TOPIC, Master, Opens, OpensNothing};
pub(crate) use judge::{grant_of, grants_of};
