//! Compares `docs/durability.md` with the sources: each promise in a table there names a test, and each test is there.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use std::fs;
use std::path::{Path, PathBuf};

/// Where what is named without a path may be: functions of Rust and Python, and scripts.
const SOURCES: [&str; 2] = ["crates", "tests"];

/// A line of a table: what is promised, and who shows it.
struct Line<'a> {
    promise: &'a str,
    shown_by: Vec<&'a str>,
}

/// Finds the lines of all tables whose last column says what shows them.
fn lines(page: &str) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut is_shown = false;
    for text in page.lines() {
        let Some(cells) = text.strip_prefix("| ").and_then(|text| text.strip_suffix(" |")) else {
            is_shown &= text.starts_with("|---");
            continue;
        };
        let (promise, last) = (cells.split(" | ").next().unwrap(), cells.rsplit(" | ").next().unwrap());
        if last == "shown by" {
            is_shown = true;
        } else if is_shown {
            lines.push(Line { promise, shown_by: last.split('`').skip(1).step_by(2).collect() });
        }
    }
    lines
}

/// Reads all sources of tests, and knows the names of scripts.
struct Sources {
    text: String,
    scripts: Vec<String>,
}

impl Sources {
    fn read() -> Self {
        let mut sources = Self { text: String::new(), scripts: Vec::new() };
        SOURCES.iter().for_each(|folder| sources.add(&root().join(folder)));
        sources
    }

    fn add(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !["target", "node_modules"].contains(&name.as_str()) {
                self.add(&path);
            } else if name.ends_with(".rs") || name.ends_with(".py") {
                self.text += &fs::read_to_string(&path).unwrap();
                self.scripts.push(name);
            }
        }
    }

    /// Tells whether a script, or a function without a result, has this name.
    fn have(&self, name: &str) -> bool {
        let is_function = |word: &str| self.text.contains(&format!("{word} {name}("));
        self.scripts.iter().any(|script| script == name) || is_function("fn") || is_function("def")
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn every_promise_names_tests_and_they_are_there() {
    let page = fs::read_to_string(root().join("docs/durability.md")).unwrap();
    let (lines, sources) = (lines(&page), Sources::read());
    assert!(lines.len() > 20, "only {} lines were found", lines.len());
    let mut wrong = Vec::new();
    for Line { promise, shown_by } in &lines {
        if shown_by.is_empty() {
            wrong.push(format!("nothing shows: {promise}"));
        }
        let missing = shown_by.iter().filter(|name| !sources.have(name));
        wrong.extend(missing.map(|name| format!("{name} is not there, and should show: {promise}")));
    }
    assert!(wrong.is_empty(), "docs/durability.md:\n{}", wrong.join("\n"));
}

#[test]
fn lines_without_a_test_or_with_one_that_is_not_there_are_found() {
    let page = "| what | shown by |\n|---|---|\n| a | stories: `one`, `two` |\n| b | nothing |\n\n| c | d |\n|---|---|\n| e | `f` |\n";
    let found: Vec<_> = lines(page).into_iter().map(|line| (line.promise, line.shown_by)).collect();
    assert_eq!(found, [("a", vec!["one", "two"]), ("b", vec![])]);
    let sources = Sources { text: "fn one() {}".to_owned(), scripts: vec!["kill.py".to_owned()] };
    assert!(sources.have("one") && sources.have("kill.py"));
    assert!(!sources.have("on") && !sources.have("two") && !sources.have("kil"));
}
