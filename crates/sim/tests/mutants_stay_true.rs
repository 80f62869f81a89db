//! Patches that no longer apply find nothing: every deliberate bug fits the code of today, and every rule has one.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its own folder has to fail")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The rules of "The order of things" that are built.
const RULES: [&str; 21] = [
    "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14", "15", "16", "17",
    "18", "19", "20", "21",
];

fn patches() -> Vec<PathBuf> {
    let mutants = Path::new(env!("CARGO_MANIFEST_DIR")).join("mutants");
    let folders = [mutants.clone(), mutants.join("disk")];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "patch")).collect()
}

#[test]
fn every_patch_applies_to_the_workspace() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    for patch in patches() {
        let checked = Command::new("git")
            .args(["apply", "--check"])
            .arg(&patch)
            .current_dir(&workspace)
            .env("GIT_CEILING_DIRECTORIES", workspace.parent().unwrap())
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{}: {words}", patch.display());
    }
}

#[test]
fn every_rule_that_is_built_has_a_bug_and_there_are_twenty() {
    let names: Vec<String> =
        patches().iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    let rules: BTreeSet<&str> = names.iter().map(|name| &name[..2]).collect();
    assert_eq!(rules, BTreeSet::from(RULES));
    assert!(names.len() >= 20, "{} patches", names.len());
}
