//! What `docs/` promise: every bound, every key of the configuration and every check of the doctor stands there.

use crate::site::{Ask, Site};
use keyward_server::{
    config::DEFAULT_TEXT,
    control::{Request, Response},
    doctor::Profile,
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn document(name: &str) -> String {
    fs::read_to_string(repository().join("docs").join(name)).unwrap()
}

/// Finds all files `limits.rs` below a folder.
fn limits_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            limits_files(&path, found);
        } else if path.ends_with("limits.rs") {
            found.push(path);
        }
    }
}

/// Returns the names of public constants and fields.
fn bounds(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| {
            let item = line.trim_start();
            let rest = item.strip_prefix("pub const ").or_else(|| item.strip_prefix("pub "))?;
            let (name, _) = rest.split_once(": ")?;
            name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_').then_some(name)
        })
        .collect()
}

#[test]
fn every_bound_stands_in_the_document_of_limits() {
    let document = document("limits.md");
    let mut files = Vec::new();
    limits_files(&repository().join("crates"), &mut files);
    files.retain(|path| path.components().any(|part| part.as_os_str() == "src"));
    assert!(files.len() >= 6, "{files:?}");
    let mut missing = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        for name in bounds(&text).into_iter().filter(|name| !document.contains(&format!("`{name}`"))) {
            missing.push(format!("{name} of {}", path.display()));
        }
    }
    assert!(missing.is_empty(), "docs/limits.md does not name:\n{}", missing.join("\n"));
}

#[test]
fn every_key_of_the_configuration_stands_in_its_document() {
    let document = document("configuration.md");
    let keys = DEFAULT_TEXT.lines().filter_map(|line| {
        let (key, _) = line.trim_start_matches(['#', ' ']).split_once(" = ")?;
        key.chars().all(|c| c.is_ascii_lowercase() || c == '_').then_some(key)
    });
    let missing: Vec<_> = keys.filter(|key| !document.contains(&format!("| `{key}` |"))).collect();
    assert!(missing.is_empty(), "docs/configuration.md does not name {missing:?}");
}

/// Returns the names of the checks that a profile makes.
fn checks(profile: Profile) -> BTreeSet<String> {
    match Site::new().stopped().ask(Request::Doctor { profile }) {
        Ok(Response::Diagnosis(diagnosis)) => diagnosis.checked.into_iter().collect(),
        other => panic!("{:?}", other.err()),
    }
}

#[test]
fn the_document_of_the_doctor_has_every_check_with_its_profile_and_no_other() {
    let document = document("doctor.md");
    let rows = |profile: &str| {
        let cells = document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
        let of_it = cells.filter(|(_, rest)| rest.starts_with(&format!("{profile} | ")));
        of_it.map(|(check, _)| check.to_owned()).collect::<BTreeSet<_>>()
    };
    let home = checks(Profile::Home);
    let commercial = checks(Profile::Commercial).difference(&home).cloned().collect::<BTreeSet<_>>();
    assert!(!home.is_empty() && !commercial.is_empty());
    assert_eq!(rows("home"), home, "docs/doctor.md");
    assert_eq!(rows("commercial"), commercial, "docs/doctor.md");
}
