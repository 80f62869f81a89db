//! Measures how long each key store needs for a signature, an agreement and to open what it wrapped. Each is named as for the agent, and made if it
//! is not there: `cargo run --release -p keyward-device --example signatures -- file:/tmp/keys 'pkcs11:token=t?module-path=…'`.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool: it prints, and stops when it cannot")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use keyward_device::{Generation, KeyError, KeySpec, KeyStore, Role};
use keyward_envelope::software::P256Agreement;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one figure is measured.
const EACH: Duration = Duration::from_secs(2);

/// Prints the median and the slowest of all that fit into [`EACH`].
fn measure<T>(what: &str, mut work: impl FnMut() -> Result<T, KeyError>) {
    work().unwrap();
    let (begin, mut times) = (Instant::now(), Vec::new());
    while begin.elapsed() < EACH || times.len() < 5 {
        let one = Instant::now();
        work().unwrap();
        times.push(one.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    println!("  {what:24} {median:10.1} µs, slowest of {} {slowest:10.1} µs", times.len());
}

fn opened(spec: &KeySpec) -> Arc<dyn KeyStore> {
    match spec.open() {
        Err(KeyError::Missing { .. }) => spec.create().unwrap(),
        other => other.unwrap(),
    }
}

fn main() {
    let names: Vec<String> = std::env::args().skip(1).collect();
    if names.is_empty() {
        println!("name one key store or more, as file:DIR");
    }
    let peer = P256Agreement::from_secret(&[5; 32]).unwrap().public().to_sec1().unwrap();
    for name in names {
        let spec: KeySpec = name.parse().unwrap();
        let store = opened(&spec);
        println!("{}", spec.describe());
        measure("signature for TLS", || store.sign(Role::Tls, Generation::Current, &[9; 32]));
        measure("signature of a message", || store.sign(Role::Message, Generation::Current, &[9; 32]));
        measure("agreement", || store.agree(Generation::Current, &peer));
        let wrapped = store.wrap(&[7; 32]).unwrap();
        measure("what was wrapped, opened", || store.unwrap(&wrapped));
    }
}
