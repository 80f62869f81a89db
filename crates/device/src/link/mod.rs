//! The link to the server: one thread that connects, sends what the outbox holds, and hears commands.

mod backoff;
mod flight;
mod session;
mod waker;

pub(crate) use session::run;
pub(crate) use waker::Waker;
