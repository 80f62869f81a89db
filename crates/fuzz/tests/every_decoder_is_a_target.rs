//! Compares the places where a target is named, and finds decoders that no target names.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use keyward_fuzz::{EXCUSED, TARGETS};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The crates that go into the product.
const PRODUCT: [&str; 17] = [
    "ids",
    "files",
    "device",
    "mqtt",
    "policy",
    "client",
    "identity",
    "store",
    "engine",
    "broker",
    "server",
    "mosquitto",
    "import",
    "envelope",
    "tpm",
    "watch",
    "keyward",
];

/// What a file says in which something is decoded.
const SIGNS: [&str; 12] = [
    "fn parse",
    "fn decode",
    "fn deserialize<",
    "fn from_str(",
    "fn from_bytes(",
    "serde_json::from_",
    "toml::from_str",
    "from_utf8(",
    "from_der(",
    "pem_slice",
    "process_tls_records",
    "Reader<'",
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

/// Lists the files below `crates/PATH`, as paths below `crates/`.
fn files(path: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder("..").join(path)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{path}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Tells whether something is decoded in a file, outside its tests.
fn decodes(path: &str) -> bool {
    let text = fs::read_to_string(folder("..").join(path)).unwrap();
    let product = before_tests(&text);
    SIGNS.iter().any(|sign| product.contains(sign))
}

/// Returns a file without the tests at its end. What only tests need may stand before that, and product code behind it.
fn before_tests(text: &str) -> &str {
    let are_tests = |at: &usize| {
        let item = text[*at..].lines().find(|line| !line.starts_with('#')).unwrap_or_default();
        item.contains("mod ") && item.ends_with('{')
    };
    let end = text.match_indices("#[cfg(test)]").map(|(at, _)| at).find(are_tests);
    end.map_or(text, |end| &text[..end])
}

fn is_named(path: &str) -> bool {
    let mut named = TARGETS.iter().flat_map(|target| target.decodes);
    named.any(|place| *place == path || (place.ends_with('/') && path.starts_with(place)))
}

#[test]
fn every_target_has_seeds_and_a_program_for_libfuzzer() {
    let targets: BTreeSet<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(targets.len(), TARGETS.len(), "a name is there twice");
    assert_eq!(targets, names_in(&folder("seeds")));
    assert_eq!(targets, names_in(&folder("libfuzzer/fuzz_targets")));
    let manifest = fs::read_to_string(folder("libfuzzer/Cargo.toml")).unwrap();
    for target in TARGETS {
        assert!(manifest.contains(&format!("name = \"{}\"", target.name)), "{} is not built", target.name);
        let program = folder("libfuzzer/fuzz_targets").join(target.name).with_extension("rs");
        assert!(fs::read_to_string(program).unwrap().contains(&format!("::{}(data)", target.name)));
        let seeds = fs::read_dir(folder("seeds").join(target.name)).unwrap().count();
        assert!(seeds >= 3, "{} has few seeds", target.name);
    }
}

#[test]
fn every_file_that_decodes_is_named_by_a_target_or_excused() {
    let mut all = Vec::new();
    PRODUCT.iter().for_each(|name| files(&format!("{name}/src"), &mut all));
    let excused = |path: &str| EXCUSED.iter().any(|(file, _)| *file == path);
    let own = |path: &str| path.ends_with("/decoders.rs") || path.ends_with("/tests.rs");
    let mut missing: Vec<_> =
        all.iter().filter(|path| decodes(path) && !is_named(path) && !excused(path) && !own(path)).collect();
    missing.sort();
    assert!(missing.is_empty(), "what is read there is no target of `TARGETS`, nor excused: {missing:#?}");
}

/// Once a helper of tests that stood in the midst of a file hid the decoder behind it.
#[test]
fn the_search_for_decoders_goes_on_behind_what_only_tests_need() {
    for helper in ["mod world;", "fn sample() {}", "impl Draft {\n}"] {
        let text = format!(
            "#[cfg(test)]\n{helper}\n\nfn parse() {{}}\n\n#[cfg(test)]\n#[allow(x)]\nmod tests {{\n}}"
        );
        assert!(before_tests(&text).ends_with("fn parse() {}\n\n"), "{helper}");
    }
}

#[test]
fn what_targets_and_excuses_name_is_there_and_decodes() {
    for (path, reason) in EXCUSED {
        assert!(decodes(path) && !is_named(path) && reason.len() > 10, "{path} needs no excuse");
    }
    for place in TARGETS.iter().flat_map(|target| target.decodes) {
        assert!(folder("..").join(place).exists(), "{place} is not there");
    }
}
