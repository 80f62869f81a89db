//! Every decoder that meets foreign bytes, as a fuzz target.
//!
//! A target is a function that takes any bytes and panics if the decoder, or a promise about what it returns, breaks.
//! `cargo test` runs each over its seeds and five seconds of mutation (`tests/`); `./test.sh fuzz` hands the same
//! functions to libFuzzer (`libfuzzer/`). A new decoder is one function here, one line in [`TARGETS`], a file in
//! `libfuzzer/fuzz_targets/` and a folder in `seeds/`; a test compares the four.
#![expect(clippy::panic, reason = "a fuzz target tells what it found by panicking")]

pub mod identity;
pub mod mqtt;
pub mod mutation;
pub mod rules;
pub mod server;

/// Is one decoder under test.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of its folder in `seeds/` and of its file in `libfuzzer/fuzz_targets/`.
    pub name: &'static str,
    /// Takes any bytes; panics on a bug.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "packets", run: mqtt::packets },
    Target { name: "server_connection", run: mqtt::server_connection },
    Target { name: "client_connection", run: mqtt::client_connection },
    Target { name: "topics", run: mqtt::topics },
    Target { name: "rules", run: rules::rules },
    Target { name: "names", run: identity::names },
    Target { name: "ledger_record", run: identity::ledger_record },
    Target { name: "signing_request", run: identity::signing_request },
    Target { name: "certificate", run: identity::certificate },
    Target { name: "client_hello", run: server::client_hello },
    Target { name: "control_request", run: server::control_request },
    Target { name: "configuration", run: server::configuration },
];
