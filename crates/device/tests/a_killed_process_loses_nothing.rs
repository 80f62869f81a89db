//! A process that stores messages is killed at random moments: what it said was stored is there, in order, each once.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use keyward_device::{Entry, FileStore, Outbox, SealedStore, Sequencer, Settings};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

const FOLDER: &str = "KEYWARD_TEST_KILLED_FOLDER";
const KILLS: u64 = 30;

/// What the process said before it was killed.
#[derive(Default)]
struct Heard {
    stored: Vec<u64>,
    acknowledged: u64,
    numbers: Vec<u64>,
    sealed: u64,
}

impl Heard {
    fn take(&mut self, line: &str) {
        let Some((word, number)) = line.rsplit_once(' ') else { return };
        let Ok(number) = number.parse() else { return };
        match word.rsplit(' ').next().unwrap() {
            "number" => self.numbers.push(number),
            "stored" => self.stored.push(number),
            "acknowledges" => self.acknowledged = number,
            "sealed" => self.sealed = number,
            _ => {}
        }
    }
}

fn say(word: &str, number: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{word} {number}").unwrap();
    out.flush().unwrap();
}

/// Is what is killed: stores messages that say which they are, in batches, until the end.
#[test]
fn the_process_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let keys = Arc::new(FileStore::open(folder.join("keys")).unwrap());
    let mut numbers = Sequencer::start(&folder.join("numbers"), &*keys).unwrap();
    let mut outbox = Outbox::open(&folder.join("outbox"), Settings::default(), &*keys).unwrap();
    let mut sealed = SealedStore::open(&folder.join("sealed"), keys).unwrap();
    let mut batch = 1;
    loop {
        batch = batch % 5 + 1;
        let mut entries = Vec::new();
        for _ in 0..batch {
            let number = numbers.take().unwrap().0;
            say("number", number);
            entries.push(Entry::new("plant/pump-1", number.to_string()));
        }
        let first = outbox.append(&entries).unwrap();
        (first..first + batch).for_each(|id| say("stored", id));
        sealed.put("last", &first.to_be_bytes()).unwrap();
        say("sealed", first);
        if first > 40 {
            say("acknowledges", first - 40);
            outbox.acknowledge(first - 40).unwrap();
        }
    }
}

/// Starts the process, hears `lines` of its words, and kills it.
fn run(folder: &Path, lines: usize, heard: &mut Heard) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["the_process_that_is_killed", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    for (count, line) in out.lines().map_while(Result::ok).enumerate() {
        heard.take(&line);
        if count == lines {
            // What it says between here and its end is heard too.
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
}

#[test]
fn what_a_killed_process_said_was_stored_is_there_in_order_and_each_once() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let keys = Arc::new(FileStore::create(folder.join("keys")).unwrap());
    Sequencer::create(&folder.join("numbers"), &*keys).unwrap();
    drop(keys);
    let mut heard = Heard::default();
    let mut numbers = BTreeSet::new();
    for kill in 0..KILLS {
        heard.numbers.clear();
        run(folder, 5 + (kill * 37 % 101) as usize, &mut heard);
        let keys = Arc::new(FileStore::open(folder.join("keys")).unwrap());
        let mut outbox = Outbox::open(&folder.join("outbox"), Settings::default(), &*keys).unwrap();
        let waiting = outbox.peek(0, 100_000).unwrap();
        let ids: Vec<u64> = waiting.iter().map(|waiting| waiting.id).collect();
        assert!(ids.is_sorted_by(|a, b| a + 1 == *b), "kill {kill}: {ids:?}");
        let lost = heard.stored.iter().find(|id| **id > heard.acknowledged && !ids.contains(id));
        assert_eq!(lost, None, "kill {kill}: lost");
        let signed = waiting.iter().map(|waiting| String::from_utf8(waiting.entry.payload.clone()).unwrap());
        let signed: Vec<u64> = signed.map(|number| number.parse().unwrap()).collect();
        assert!(signed.is_sorted_by(|a, b| a < b), "kill {kill}: numbers in order, each once");
        assert!(
            heard.numbers.iter().all(|number| numbers.insert(*number)),
            "kill {kill}: a number came again"
        );
        let sealed = SealedStore::open(&folder.join("sealed"), keys).unwrap().get("last").unwrap();
        let sealed = sealed.map_or(0, |value| u64::from_be_bytes(value[..].try_into().unwrap()));
        assert!(sealed >= heard.sealed, "kill {kill}: {sealed} is older than {}", heard.sealed);
    }
    assert!(heard.stored.len() > 300, "it did little: {}", heard.stored.len());
}

#[test]
fn a_folder_has_one_user_at_a_time() {
    let place = tempfile::tempdir().unwrap();
    let keys = FileStore::create(place.path().join("keys")).unwrap();
    let folder = place.path().join("outbox");
    let _outbox = Outbox::open(&folder, Settings::default(), &keys).unwrap();
    let error = Outbox::open(&folder, Settings::default(), &keys).unwrap_err();
    assert!(error.to_string().contains("in use"), "{error}");
}
