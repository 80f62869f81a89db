//! Hands the program its commit date: a clock that lies before it is wrong.
//!
//! `SOURCE_DATE_EPOCH` (seconds since 1970) comes first, so that packagers can build without git; then the date of the
//! checked-out commit. Neither makes it earlier than `release-date.txt`, which is set by hand at each release and holds
//! where there is no git (a tarball, a container).

use std::process::Command;

const RELEASE: &str = include_str!("release-date.txt");

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=release-date.txt");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let seconds = |text: String| text.trim().parse::<u64>().ok();
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(seconds);
    let committed = || {
        let log = Command::new("git").args(["log", "-1", "--format=%ct"]).output().ok()?;
        seconds(String::from_utf8(log.stdout).ok()?)
    };
    let Some(released) = RELEASE.split_whitespace().next().and_then(|word| seconds(word.to_owned())) else {
        println!("cargo::error=release-date.txt: expected seconds since 1970");
        return;
    };
    let date = given.or_else(committed).unwrap_or(0).max(released);
    println!("cargo::rustc-env=KEYWARD_COMMIT_SECONDS={date}");
}
