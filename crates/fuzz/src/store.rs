//! What a start finds on disk: the ledger and its copies, the snapshot, key files.

use crate::script::Script;
use keyward_identity::decoders::{self, KeyFileContent};
use keyward_identity::files;
use keyward_identity::limits::LEDGER_RECORD_BYTES;
use std::cmp::Ordering;
use std::path::Path;
use std::sync::OnceLock;
use tempfile::TempDir;

/// Reads a ledger record whose checksum was made right, as one who writes to the file could; what is read can be
/// written, and reads the same again.
pub fn ledger_record(data: &[u8]) {
    let Some(mut read) = decoders::ledger_record(data) else { return };
    let Some(written) = decoders::first_record(&read) else {
        panic!("{read:?} was read and cannot be written")
    };
    let Some(again) = decoders::ledger_record(&written) else {
        panic!("{read:?} was written and cannot be read");
    };
    // The chain covers the JSON as it was spelled.
    read.hash = again.hash;
    assert_eq!(read, again);
}

/// The notes of the ledger that [`ledger_files`] damages.
const NOTES: [&str; 4] = ["first", "second, and a little longer", "", "last"];

/// Returns the file of a ledger with the first `count` of [`NOTES`].
fn records(count: usize) -> &'static [u8] {
    static FILES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    &FILES.get_or_init(|| (0..=NOTES.len()).map(|n| decoders::ledger_file(&NOTES[..n])).collect())[count]
}

/// Returns how many whole records stand at the front of a damaged copy.
fn whole_records(copy: &[u8]) -> usize {
    (0..=NOTES.len()).rev().find(|count| copy.starts_with(records(*count))).unwrap_or(0)
}

/// Tells whether a copy ends behind its whole records, or in a record whose end was never written.
fn ends_as_a_cut_write(copy: &[u8]) -> bool {
    let Some(tail) = copy.strip_prefix(records(whole_records(copy))) else { return false };
    let Some((length, rest)) = tail.split_first_chunk() else { return true };
    match u32::from_le_bytes(*length) as usize {
        0 => rest.iter().all(|byte| *byte == 0),
        length => length <= LEDGER_RECORD_BYTES && rest.len() < length + 40,
    }
}

/// Tells whether no record is lost that may have been acknowledged, as `mend.rs` says it.
fn loses_nothing([a, b]: &[Vec<u8>; 2]) -> bool {
    match whole_records(a).cmp(&whole_records(b)) {
        Ordering::Less => ends_as_a_cut_write(b),
        Ordering::Greater => ends_as_a_cut_write(a),
        Ordering::Equal => {
            ends_as_a_cut_write(b) && (ends_as_a_cut_write(a) || b == records(whole_records(b)))
        }
    }
}

/// Damages the two copies of a ledger and opens it: what is read is what the better copy holds, both copies are whole
/// afterwards, nothing is touched where it is refused, damage to one copy alone is never a reason to refuse, and no
/// record is given up that may have been acknowledged.
pub fn ledger_files(data: &[u8]) {
    let mut script = Script(data);
    let mut copies = [records(NOTES.len()).to_vec(), records(NOTES.len()).to_vec()];
    while let Some(which) = script.byte() {
        if script.edit(&mut copies[usize::from(which % 2)]).is_none() {
            break;
        }
    }
    let dir = folder();
    let paths = ["a.log", "b.log"].map(|name| dir.path().join(name));
    for (path, copy) in paths.iter().zip(&copies).filter(|(_, copy)| !copy.is_empty()) {
        put(path, copy);
    }
    let left = || paths.each_ref().map(|path| files::read_regular(path, 1 << 20).unwrap_or_default());
    match decoders::open_ledger(dir.path()) {
        Err(error) => {
            assert!(left() == copies, "refused ({error}) and changed all the same");
            let whole = records(NOTES.len());
            assert!(copies[1] != whole, "the second copy is whole: {error}");
            // A record that the second copy has and the first has not may have been acknowledged.
            assert!(copies[0] != whole || copies[1].starts_with(whole), "the first copy is whole: {error}");
        }
        Ok((entries, _)) => {
            let count = whole_records(&copies[0]).max(whole_records(&copies[1]));
            assert_eq!(entries.len(), count, "records lost or made up");
            assert!(loses_nothing(&copies), "a record behind number {count} was given up");
            assert_eq!(left(), [records(count), records(count)], "not mended");
            let again = decoders::open_ledger(dir.path());
            assert!(
                matches!(&again, Ok((same, mended)) if *same == entries && mended.is_empty()),
                "{again:?}"
            );
        }
    }
}

/// Damages the two copies of a ledger and looks for what is left: nothing is made up, and of a copy that is whole nothing is
/// lost.
pub fn ledger_remains(data: &[u8]) {
    let mut script = Script(data);
    let mut copies = [records(NOTES.len()).to_vec(), records(NOTES.len()).to_vec()];
    while let Some(which) = script.byte() {
        if script.edit(&mut copies[usize::from(which % 2)]).is_none() {
            break;
        }
    }
    let is_whole = copies.iter().any(|copy| copy == records(NOTES.len()));
    let whole_at_front = copies.iter().map(|copy| whole_records(copy)).max();
    let (entries, is_ended) = match decoders::ledger_remains(copies) {
        Ok(read) => read,
        Err(error) => panic!("nobody newer wrote here: {error}"),
    };
    let all = match decoders::ledger_remains([records(NOTES.len()).to_vec(), Vec::new()]) {
        Ok((all, true)) if all.len() == NOTES.len() => all,
        other => panic!("a whole ledger is not read: {other:?}"),
    };
    assert!(entries.iter().all(|entry| all.contains(entry)), "made up: {entries:?}");
    assert!(entries.is_sorted_by(|a, b| a.sequence < b.sequence), "{entries:?}");
    assert!(Some(entries.len()) >= whole_at_front, "lost at the front: {entries:?}");
    assert!(!is_whole || entries == all, "lost although one copy is whole: {entries:?}");
    assert!(!is_ended || !entries.is_empty());
}

fn put(path: &Path, bytes: &[u8]) {
    if let Err(error) = files::write_new(path, bytes) {
        panic!("the target cannot set itself up: {error}");
    }
}

/// Makes a folder in memory where there is such a place: a sync costs nothing there.
fn folder() -> TempDir {
    let made = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    made.unwrap_or_else(|error| panic!("the target cannot set itself up: {error}"))
}

/// Reads a snapshot whose checksum was made right; what is read can be written, and reads the same again.
pub fn snapshot(data: &[u8]) {
    assert_ne!(decoders::snapshot_survives_a_trip(data), Some(false));
}

/// The passphrase of the seeds of `key_file`, and the key that is sealed in them.
const PASSPHRASE: &str = "correct horse";
const KEY: [u8; 32] = [7; 32];

/// Reads a key file, or a sealed key if the first byte is zero: opening stays within its bounds, an open key can be
/// sealed and opened again, and under the passphrase opens only what was sealed under it.
pub fn key_file(data: &[u8]) {
    assert_ne!(decoders::group_keys_survive_a_trip(data), Some(false));
    let text = match data.split_first() {
        Some((0, sealed)) => decoders::sealed_key_file(sealed),
        _ => data.to_vec(),
    };
    match decoders::key_file(&text, PASSPHRASE) {
        KeyFileContent::Refused(why) => {
            assert!(!why.contains(PASSPHRASE) && !why.contains(char::is_control), "{why:?}");
        }
        KeyFileContent::Costly { memory, passes, lanes } => {
            assert!(memory <= 100 && passes <= 100 && lanes <= 100, "{memory} %, {passes} %, {lanes} %");
        }
        KeyFileContent::Sealed(key) => assert_eq!(key, KEY, "a key that nobody sealed"),
        KeyFileContent::Open(key) => {
            let sealed =
                decoders::seal_key(&key, PASSPHRASE).map(|sealed| decoders::sealed_key_file(&sealed));
            let Some(sealed) = sealed else { panic!("the key cannot be sealed") };
            assert_eq!(decoders::key_file(&sealed, PASSPHRASE), KeyFileContent::Sealed(key));
        }
    }
}
