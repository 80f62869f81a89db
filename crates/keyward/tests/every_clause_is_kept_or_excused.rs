//! Compares `conformance/` with the sources: every numbered statement of MQTT 3.1.1 and 5.0 stands there once, with code
//! and tests that exist or with an excuse. Keeps `docs/conformance.md` in step.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// The numbers of MQTT 3.1.1 by section: 141.
const IN_3_1_1: &[(&str, RangeInclusive<u16>)] = &[
    ("1.5.3", 1..=3),
    ("2.2.2", 1..=2),
    ("2.3.1", 1..=7),
    ("3.1.0", 1..=2),
    ("3.1.2", 1..=24),
    ("3.1.3", 1..=11),
    ("3.1.4", 1..=5),
    ("3.2.0", 1..=1),
    ("3.2.2", 1..=6),
    ("3.3.1", 1..=12),
    ("3.3.2", 1..=3),
    ("3.3.4", 1..=1),
    ("3.3.5", 1..=2),
    ("3.6.1", 1..=1),
    ("3.8.1", 1..=1),
    ("3.8.3", 1..=4),
    ("3.8.4", 1..=6),
    ("3.9.3", 1..=2),
    ("3.10.1", 1..=1),
    ("3.10.3", 1..=2),
    ("3.10.4", 1..=6),
    ("3.12.4", 1..=1),
    ("3.14.1", 1..=1),
    ("3.14.4", 1..=3),
    ("4.1.0", 1..=2),
    ("4.3.1", 1..=1),
    ("4.3.2", 1..=2),
    ("4.3.3", 1..=2),
    ("4.4.0", 1..=1),
    ("4.5.0", 1..=2),
    ("4.6.0", 1..=6),
    ("4.7.1", 1..=3),
    ("4.7.2", 1..=1),
    ("4.7.3", 1..=4),
    ("4.8.0", 1..=2),
    ("6.0.0", 1..=4),
    ("7.0.0", 1..=2),
    ("7.1.1", 1..=1),
    ("7.1.2", 1..=1),
];

/// The numbers of MQTT 5.0 by section: 251. The standard itself has no MQTT-2.2.1-1.
const IN_5_0: &[(&str, RangeInclusive<u16>)] = &[
    ("1.5.4", 1..=3),
    ("1.5.5", 1..=1),
    ("1.5.7", 1..=1),
    ("2.1.3", 1..=1),
    ("2.2.1", 2..=6),
    ("2.2.2", 1..=1),
    ("3.1.0", 1..=2),
    ("3.1.2", 1..=30),
    ("3.1.3", 1..=12),
    ("3.1.4", 1..=6),
    ("3.2.0", 1..=2),
    ("3.2.2", 1..=22),
    ("3.3.1", 1..=13),
    ("3.3.2", 1..=20),
    ("3.3.4", 1..=10),
    ("3.4.2", 1..=3),
    ("3.5.2", 1..=3),
    ("3.6.1", 1..=1),
    ("3.6.2", 1..=3),
    ("3.7.2", 1..=3),
    ("3.8.1", 1..=1),
    ("3.8.3", 1..=5),
    ("3.8.4", 1..=8),
    ("3.9.2", 1..=2),
    ("3.9.3", 1..=2),
    ("3.10.1", 1..=1),
    ("3.10.3", 1..=2),
    ("3.10.4", 1..=6),
    ("3.11.2", 1..=2),
    ("3.11.3", 1..=2),
    ("3.12.4", 1..=1),
    ("3.14.0", 1..=1),
    ("3.14.1", 1..=1),
    ("3.14.2", 1..=4),
    ("3.14.4", 1..=3),
    ("3.15.1", 1..=1),
    ("3.15.2", 1..=3),
    ("4.1.0", 1..=2),
    ("4.2.0", 1..=1),
    ("4.3.1", 1..=1),
    ("4.3.2", 1..=5),
    ("4.3.3", 1..=13),
    ("4.4.0", 1..=2),
    ("4.5.0", 1..=2),
    ("4.6.0", 1..=6),
    ("4.7.0", 1..=1),
    ("4.7.1", 1..=2),
    ("4.7.2", 1..=1),
    ("4.7.3", 1..=4),
    ("4.8.2", 1..=6),
    ("4.9.0", 1..=3),
    ("4.12.0", 1..=7),
    ("4.12.1", 1..=2),
    ("4.13.1", 1..=1),
    ("4.13.2", 1..=1),
    ("6.0.0", 1..=4),
];

type Sections = &'static [(&'static str, RangeInclusive<u16>)];

const VERSIONS: [(&str, Sections, usize); 2] = [("3.1.1", IN_3_1_1, 141), ("5.0", IN_5_0, 251)];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Standard {
    clause: Vec<Clause>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clause {
    number: String,
    says: String,
    binds: Binds,
    #[serde(default)]
    code: Vec<String>,
    #[serde(default)]
    tests: Vec<String>,
    excuse: Option<String>,
    note: Option<String>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Binds {
    Server,
    Client,
    Both,
    Transport,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn clauses(version: &str) -> Vec<Clause> {
    let path = repository().join(format!("conformance/mqtt-{version}.toml"));
    let text = std::fs::read_to_string(&path).unwrap();
    match toml::from_str::<Standard>(&text) {
        Ok(standard) => standard.clause,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

/// Returns the text of a file that is named in the data, if there is one.
fn source(path: &str) -> Option<String> {
    let folder = if path.starts_with("tests/") { "" } else { "crates" };
    std::fs::read_to_string(repository().join(folder).join(path)).ok()
}

/// Tells whether `word` stands in `text` by itself right behind `before`.
fn defines(text: &str, before: &str, word: &str) -> bool {
    text.match_indices(&format!("{before} {word}")).any(|(at, found)| {
        let behind = text[at + found.len()..].chars().next();
        behind.is_none_or(|c| !c.is_alphanumeric() && c != '_')
    })
}

fn is_item(path: &str, item: &str) -> bool {
    let kinds = ["fn", "struct", "enum", "trait", "type", "const"];
    source(path).is_some_and(|text| kinds.iter().any(|kind| defines(&text, kind, item)))
}

fn is_test(path: &str, name: &str) -> bool {
    let Some(text) = source(path) else { return false };
    match path.rsplit_once('.').map(|(_, kind)| kind) {
        Some("rs") => text
            .split("#[test]")
            .skip(1)
            .any(|behind| behind.split_once('{').is_some_and(|(head, _)| defines(head, "fn", name))),
        Some("py") => defines(&text, "def", name),
        Some("txt") => text.lines().any(|line| {
            line.split_once(" # ").is_some_and(|(_, comment)| comment.trim_start().starts_with(name))
        }),
        _ => false,
    }
}

#[test]
fn every_number_of_both_standards_stands_here_once_and_in_order() {
    for (version, sections, total) in VERSIONS {
        let expected: Vec<_> = sections
            .iter()
            .flat_map(|(section, numbers)| {
                numbers.clone().map(move |number| format!("MQTT-{section}-{number}"))
            })
            .collect();
        assert_eq!(expected.len(), total);
        let given: Vec<_> = clauses(version).into_iter().map(|clause| clause.number).collect();
        let missing: Vec<_> = expected.iter().filter(|number| !given.contains(number)).collect();
        let unknown: Vec<_> = given.iter().filter(|number| !expected.contains(number)).collect();
        assert!(
            missing.is_empty() && unknown.is_empty(),
            "{version}: missing {missing:?}, unknown {unknown:?}"
        );
        assert_eq!(given, expected, "{version}: a number stands twice, or not in its place");
    }
}

#[test]
fn every_clause_has_code_and_tests_or_an_excuse() {
    let mut wrong = Vec::new();
    for (version, ..) in VERSIONS {
        for clause in clauses(version) {
            let is_kept = !clause.code.is_empty() && !clause.tests.is_empty();
            let is_bare = clause.code.is_empty() && clause.tests.is_empty();
            let is_excused = is_bare && clause.excuse.as_ref().is_some_and(|excuse| !excuse.is_empty());
            if clause.says.is_empty() || is_excused == is_kept || (is_kept && clause.excuse.is_some()) {
                wrong.push(format!("{version} {}", clause.number));
            }
        }
    }
    assert!(wrong.is_empty(), "neither kept nor excused, or both: {wrong:#?}");
}

#[test]
fn every_file_item_and_test_that_is_named_exists() {
    let mut wrong = Vec::new();
    for (version, ..) in VERSIONS {
        for clause in clauses(version) {
            let code = clause.code.iter().map(|name| (name, is_item as fn(&str, &str) -> bool));
            let tests = clause.tests.iter().map(|name| (name, is_test as fn(&str, &str) -> bool));
            for (name, exists) in code.chain(tests) {
                if !name.split_once("::").is_some_and(|(path, item)| exists(path, item)) {
                    wrong.push(format!("{version} {}: {name}", clause.number));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "these do not exist: {wrong:#?}");
}

#[test]
fn the_document_says_what_the_data_says() {
    let document = document();
    println!("{}", counts());
    let path = repository().join("docs/conformance.md");
    if std::env::var_os("KEYWARD_GOLDEN").is_some_and(|value| value == "write") {
        regenerate(&path, &document);
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == document,
        "docs/conformance.md is stale: KEYWARD_GOLDEN=write cargo test -p keyward --test \
         every_clause_is_kept_or_excused"
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "a file of this repository, written because a person asked for it"
)]
fn regenerate(path: &Path, document: &str) {
    std::fs::write(path, document).unwrap();
}

fn counts() -> String {
    let mut table = String::from("| standard | statements | tested | excused |\n|---|---|---|---|\n");
    for (version, ..) in VERSIONS {
        let clauses = clauses(version);
        let tested = clauses.iter().filter(|clause| !clause.tests.is_empty()).count();
        let (total, excused) = (clauses.len(), clauses.len() - tested);
        writeln!(table, "| MQTT {version} | {total} | {tested} | {excused} |").unwrap();
    }
    table
}

fn document() -> String {
    let mut text = String::from(
        "# Conformance\n\n\
         What the numbered statements of the MQTT standards demand, in our words; where Keyward keeps them; and which\n\
         tests fail if it does not. Generated from [conformance/](../conformance/README.md): change it there.\n\
         Paths begin below `crates/`; what follows a path with `.txt` is the label of a wire vector.\n\n",
    );
    text.push_str(&counts());
    for (version, ..) in VERSIONS {
        write!(
            text,
            "\n## MQTT {version}\n\n| number | demands | binds | code | tests, or why there is none |\n"
        )
        .unwrap();
        text.push_str("|---|---|---|---|---|\n");
        for clause in clauses(version) {
            text.push_str(&row(&clause));
        }
    }
    text
}

fn row(clause: &Clause) -> String {
    let binds = match clause.binds {
        Binds::Server => "server",
        Binds::Client => "client",
        Binds::Both => "both",
        Binds::Transport => "transport",
    };
    let mut proof = clause.excuse.clone().unwrap_or_else(|| by_file(&clause.tests));
    if let Some(note) = &clause.note {
        write!(proof, "<br>{note}").unwrap();
    }
    let number = clause.number.trim_start_matches("MQTT-");
    format!("| {number} | {} | {binds} | {} | {proof} |\n", clause.says, by_file(&clause.code))
}

/// Lists names below the file that they stand in.
fn by_file(names: &[String]) -> String {
    let mut files = BTreeMap::<&str, Vec<String>>::new();
    for (path, item) in names.iter().filter_map(|name| name.split_once("::")) {
        files.entry(path).or_default().push(format!("`{item}`"));
    }
    let line = |(path, items): (&str, Vec<String>)| format!("{path}: {}", items.join(", "));
    files.into_iter().map(line).collect::<Vec<_>>().join("<br>")
}
