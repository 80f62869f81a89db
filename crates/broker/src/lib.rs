//! The routing core: one shard of sessions, subscriptions, retained messages and wills, without IO.
//!
//! How to use a [`Shard`]: give it one [`Input`] with [`Shard::handle`], then take every [`Output`] with
//! [`Shard::poll_output`] before the next input; call `handle` with [`Input::Timeout`] when [`Shard::poll_timeout`]
//! is due. Bytes for links are no outputs: a link is reported [`Output::Dirty`] once and its bytes are fetched with
//! [`Shard::take_outbox`]. While `poll_timeout` is due *now*, work in slices is waiting: call `Timeout` before reading
//! more from links.
//!
//! What is not here: sockets, clocks, threads and randomness (`server`), who a peer is (`identity`), what a rule says
//! (`policy`). Time, hash keys, policy and principals come in as inputs: one sequence of inputs, one trace.

mod aliases;
pub mod attach;
pub mod bound;
mod delivery;
mod frames;
mod group;
pub mod input;
mod interest;
mod law;
pub mod limits;
mod link;
pub mod message;
mod ordered;
mod outbound;
pub mod outbox;
mod outgoing;
pub mod output;
mod permit;
pub mod persist;
pub mod placement;
pub mod principal;
mod publishers;
mod ratchet;
mod recycled;
mod replay;
mod resident;
mod retained;
mod routes;
pub mod second_holder;
mod session;
pub mod shard;
mod share;
pub mod signature;
mod tree;
mod verified;
mod windows;

pub use attach::{Attach, LinkId, Login};
pub use bound::Bound;
pub use input::{Input, ShardMessage, Storage, Ticket};
pub use limits::Limits;
pub use message::{Message, Publisher};
pub use outbox::Outbox;
pub use output::{CloseCause, Denial, DeniedAction, Notice, Output, Report, Signed, Unfit};
pub use placement::{HashKey, ShardIndex};
pub use principal::{Directory, Principal, Standing};
pub use ratchet::RatchetAnswer;
pub use second_holder::{HolderSign, SecondHolder};
pub use shard::{Shard, ShardConfig, ShardStats};
pub use signature::{Check, Checked, MessageKey};
