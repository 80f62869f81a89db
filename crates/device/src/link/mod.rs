//! The link to the server.

mod backoff;
mod flight;
