//! Hands the program its commit date: a clock that lies before it is wrong.
//!
//! `SOURCE_DATE_EPOCH` (seconds since 1970) comes first, so that packagers can build without git; then the date of the
//! checked-out commit; without both the date stays 0 and only the ledger bounds the clock.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let given = std::env::var("SOURCE_DATE_EPOCH").ok();
    let committed = || {
        let log = Command::new("git").args(["log", "-1", "--format=%ct"]).output().ok()?;
        String::from_utf8(log.stdout).ok()
    };
    let seconds = given.or_else(committed).and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
    println!("cargo::rustc-env=KEYWARD_COMMIT_SECONDS={seconds}");
}
