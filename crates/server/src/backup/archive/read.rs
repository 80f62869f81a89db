//! Reads an archive, which may come from anybody, and compares all of it with its list of contents.

use super::tar::{BLOCK, Header, padding};
use super::{
    ArchiveError, CONTENTS, Content, LEDGER, MANIFEST, Manifest, hex, is_name, is_rows, rows, rows_name,
};
use crate::backup::limits;
use aws_lc_rs::digest::{Context, SHA256};
use keyward_identity::limits::SMALL_FILE_BYTES;
use std::collections::BTreeSet;
use std::io::{self, Read};

/// Names the file that is being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path in the archive, which leads to one place below the directory of an installation.
    pub name: String,
    /// Its bytes.
    pub size: u64,
}

/// Is what an archive turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Its files but for the list of them, with their true sizes and digests.
    pub contents: Vec<Content>,
    /// How many rows of the message store there are.
    pub rows: u64,
}

/// Reads an archive to its end without keeping anything, and checks all of it.
///
/// # Errors
/// [`ArchiveError`] says what is wrong.
pub fn survey(source: &mut dyn Read) -> Result<Survey, ArchiveError> {
    let mut count = 0;
    let mut survey = walk(source, |entry, body| -> Result<(), ArchiveError> {
        if is_rows(&entry.name) {
            count += rows::read(body, |_, _, _| -> Result<(), ArchiveError> { Ok(()) })?;
        }
        Ok(())
    })?;
    survey.rows = count;
    Ok(survey)
}

/// Shows each file but manifest and list to `take`, in their order, and checks names, sizes, digests and the end. What
/// `take` leaves unread is read all the same.
///
/// # Errors
/// [`ArchiveError`] as far as it is read; what `take` was shown before may not be what was written. Or the error of `take`.
pub fn walk<E: From<ArchiveError>>(
    source: &mut dyn Read,
    mut take: impl FnMut(&Entry, &mut dyn Read) -> Result<(), E>,
) -> Result<Survey, E> {
    let mut reader = Reader { source, found: Vec::new(), names: BTreeSet::new() };
    let first = reader.next()?.ok_or(ArchiveError::Foreign)?;
    if first.name != MANIFEST {
        return Err(ArchiveError::Foreign.into());
    }
    let manifest = Manifest::parse(&reader.small(&first)?)?;
    let mut chunks = 0;
    loop {
        let entry = reader.next()?.ok_or(ArchiveError::Cut)?;
        if entry.name == CONTENTS {
            let list = reader.list(&entry)?;
            reader.compare(&list, &manifest)?;
            reader.end()?;
            return Ok(Survey { manifest, contents: reader.found, rows: 0 });
        }
        if is_rows(&entry.name) {
            if entry.name != rows_name(chunks) {
                return Err(
                    ArchiveError::damaged("files of the message store are missing or not in order").into()
                );
            }
            chunks += 1;
        }
        let mut body = Body { source: &mut *reader.source, left: entry.size, sum: Context::new(&SHA256) };
        take(&entry, &mut body)?;
        let sum = body.rest()?;
        reader.took(&entry, sum)?;
    }
}

struct Reader<'a> {
    source: &'a mut dyn Read,
    found: Vec<Content>,
    names: BTreeSet<String>,
}

impl Reader<'_> {
    /// Reads the next header.
    fn next(&mut self) -> Result<Option<Entry>, ArchiveError> {
        let mut block = [0; BLOCK];
        self.source.read_exact(&mut block).map_err(ArchiveError::read)?;
        let Some(Header { name, size, .. }) = Header::decode(&block)? else { return Ok(None) };
        if !is_name(&name) {
            return Err(ArchiveError::Name { name });
        }
        if size > most(&name) {
            return Err(ArchiveError::TooLarge { what: format!("{name} has {size} bytes") });
        }
        if self.found.len() > limits::ARCHIVE_FILES {
            return Err(ArchiveError::TooLarge {
                what: format!("more than {} files", limits::ARCHIVE_FILES),
            });
        }
        // Rows are numbered; they need not be remembered.
        if !is_rows(&name) && !self.names.insert(name.clone()) {
            return Err(ArchiveError::damaged(format!("{name} is there twice")));
        }
        Ok(Some(Entry { name, size }))
    }

    /// Reads a whole file that is small by its bound.
    fn whole(&mut self, entry: &Entry) -> Result<(Vec<u8>, String), ArchiveError> {
        let mut body = Body { source: &mut *self.source, left: entry.size, sum: Context::new(&SHA256) };
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes).map_err(ArchiveError::read)?;
        Ok((bytes, body.rest()?))
    }

    fn small(&mut self, entry: &Entry) -> Result<Vec<u8>, ArchiveError> {
        let (bytes, sum) = self.whole(entry)?;
        self.took(entry, sum)?;
        Ok(bytes)
    }

    fn list(&mut self, entry: &Entry) -> Result<Vec<Content>, ArchiveError> {
        let (bytes, _) = self.whole(entry)?;
        self.pad(entry)?;
        serde_json::from_slice(&bytes).map_err(|_| ArchiveError::damaged("contents.json does not read"))
    }

    fn took(&mut self, entry: &Entry, sha256: String) -> Result<(), ArchiveError> {
        self.pad(entry)?;
        self.found.push(Content { name: entry.name.clone(), size: entry.size, sha256 });
        Ok(())
    }

    fn pad(&mut self, entry: &Entry) -> Result<(), ArchiveError> {
        let mut zeros = [0; BLOCK];
        let padding = &mut zeros[..padding(entry.size)];
        self.source.read_exact(padding).map_err(ArchiveError::read)?;
        if padding.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(ArchiveError::Foreign) }
    }

    /// Compares what was read with what is said to be there.
    fn compare(&self, list: &[Content], manifest: &Manifest) -> Result<(), ArchiveError> {
        for (found, said) in self.found.iter().zip(list) {
            if found != said {
                return Err(ArchiveError::damaged(format!("{} is not as it was written", found.name)));
            }
        }
        if self.found.len() != list.len() {
            return Err(ArchiveError::damaged("contents.json lists other files than there are"));
        }
        let has_messages = self.found.iter().any(|content| is_rows(&content.name));
        if !self.names.contains(LEDGER) || (has_messages && !manifest.messages) {
            return Err(ArchiveError::damaged("manifest.json says something else than there is"));
        }
        Ok(())
    }

    /// Reads the two blocks of zeros, behind which nothing follows.
    fn end(&mut self) -> Result<(), ArchiveError> {
        for _ in 0..2 {
            let mut block = [0; BLOCK];
            self.source.read_exact(&mut block).map_err(ArchiveError::read)?;
            if Header::decode(&block)?.is_some() {
                return Err(ArchiveError::damaged("something follows contents.json"));
            }
        }
        match self.source.read(&mut [0]).map_err(ArchiveError::read)? {
            0 => Ok(()),
            _ => Err(ArchiveError::damaged("something follows its end")),
        }
    }
}

/// Returns how many bytes a file of this name has at most.
fn most(name: &str) -> u64 {
    match name {
        MANIFEST => limits::MANIFEST_BYTES as u64,
        CONTENTS => limits::CONTENTS_BYTES as u64,
        LEDGER => limits::LEDGER_BYTES,
        "keyward.toml" => crate::config::MAX_CONFIG_BYTES as u64,
        _ if is_rows(name) => limits::ROWS_BYTES,
        _ if name.starts_with("policy.d/") => keyward_policy::limits::MAX_FILE_BYTES as u64,
        _ => SMALL_FILE_BYTES as u64,
    }
}

/// Is one file, hashed while it is read.
struct Body<'a> {
    source: &'a mut dyn Read,
    left: u64,
    sum: Context,
}

impl Body<'_> {
    /// Reads what is left and gives the digest of all.
    fn rest(mut self) -> Result<String, ArchiveError> {
        let mut buffer = vec![0; BLOCK * 32];
        while self.read(&mut buffer).map_err(ArchiveError::read)? > 0 {}
        Ok(hex(self.sum.finish().as_ref()))
    }
}

impl Read for Body<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let count = self.source.read(&mut into[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.sum.update(&into[..count]);
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ArchiveWriter;
    use super::*;

    fn manifest(messages: bool) -> Manifest {
        Manifest::new(1_760_000_000_000, "0123".to_owned(), 3, false, messages)
    }

    /// An archive with these files behind its manifest.
    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ArchiveWriter::begin(Vec::new(), &manifest(true)).unwrap();
        for (name, bytes) in files {
            writer.file(name, bytes).unwrap();
        }
        writer.finish().unwrap().0
    }

    fn whole() -> Vec<u8> {
        let row = [&[1, 0, 3, 0, 0, 0, 2][..], b"keyva"].concat();
        let files = [
            ("ledger.log", &[7; 1_500][..]),
            ("policy.d/a.toml", b"# rules"),
            ("messages/00000000.rows", &row),
        ];
        archive(&files)
    }

    /// Puts another header in the place of the one of `ledger.log`, with its checksum made right.
    fn with_header(change: impl Fn(&mut [u8])) -> Vec<u8> {
        let mut bytes = whole();
        let at = bytes.windows(10).position(|window| window == b"ledger.log").unwrap();
        let block = &mut bytes[at..at + BLOCK];
        change(block);
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes
    }

    fn refused(bytes: &[u8]) -> String {
        survey(&mut &*bytes).unwrap_err().to_string()
    }

    #[test]
    fn an_archive_reads_as_it_was_written() {
        let survey = survey(&mut &*whole()).unwrap();
        let names: Vec<_> = survey.contents.iter().map(|content| content.name.as_str()).collect();
        assert_eq!(names, ["manifest.json", "ledger.log", "policy.d/a.toml", "messages/00000000.rows"]);
        assert_eq!((survey.manifest, survey.rows), (manifest(true), 1));
        assert_eq!(survey.contents[1].size, 1_500);
    }

    #[test]
    fn what_a_reader_leaves_unread_is_checked_all_the_same() {
        let mut seen = Vec::new();
        let survey = walk(&mut &*whole(), |entry, body| -> Result<(), ArchiveError> {
            let mut start = [0; 2];
            body.read_exact(&mut start).map_err(ArchiveError::read)?;
            seen.push((entry.name.clone(), start));
            Ok(())
        });
        assert_eq!(survey.unwrap().contents.len(), 4);
        assert_eq!(seen[0], ("ledger.log".to_owned(), [7; 2]));
    }

    #[test]
    fn an_archive_that_is_cut_anywhere_is_refused() {
        let whole = whole();
        for end in 0..whole.len() {
            assert!(survey(&mut &whole[..end]).is_err(), "{end} of {} bytes", whole.len());
        }
        assert!(refused(&whole[..whole.len() - 1]).contains("cut off"));
        assert!(refused(&[&whole[..], b"x"].concat()).contains("follows its end"));
    }

    #[test]
    fn a_bit_that_flipped_anywhere_is_seen() {
        let whole = whole();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            assert!(survey(&mut &*damaged).is_err(), "byte {at}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused_before_anything_is_read() {
        for name in [&b"../../x"[..], b"/etc/cron.d/x", b"keys/../../x", b"policy.d/x\n.toml"] {
            let error = refused(&with_header(|block| {
                block[..100].fill(0);
                block[..name.len()].copy_from_slice(name);
            }));
            assert!(error.contains("no backup holds") && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn links_and_devices_are_refused() {
        for kind in b"1234567xgLK\0" {
            assert!(
                refused(&with_header(|block| block[156] = *kind)).contains("no backup that Keyward wrote")
            );
        }
        let link = with_header(|block| block[157..160].copy_from_slice(b"../"));
        assert!(refused(&link).contains("no backup that Keyward wrote"));
    }

    #[test]
    fn sizes_that_cannot_be_are_refused_before_room_is_made() {
        let error = refused(&with_header(|block| {
            block[..100].fill(0);
            block[..12].copy_from_slice(b"keyward.toml");
            block[124..135].copy_from_slice(b"77777777777");
        }));
        assert!(error.contains("larger than any backup"), "{error}");
        // A size that a ledger can have, and much less behind it.
        let error = refused(&with_header(|block| block[124..135].copy_from_slice(b"77777777776")));
        assert!(error.contains("cut off"), "{error}");
    }

    #[test]
    fn files_that_are_missing_twice_or_out_of_order_are_refused() {
        let error = refused(&archive(&[("ledger.log", b"x"), ("ledger.log", b"x")]));
        assert!(error.contains("ledger.log is there twice"), "{error}");
        assert!(refused(&archive(&[("ca.pem", b"x")])).contains("manifest.json says something else"));
        let mut writer = ArchiveWriter::begin(Vec::new(), &manifest(false)).unwrap();
        writer.file("ledger.log", b"x").unwrap();
        writer.rows(0, &mut &b""[..]).unwrap();
        assert!(refused(&writer.finish().unwrap().0).contains("manifest.json says something else"));
        let gap = archive(&[("ledger.log", b"x"), ("messages/00000001.rows", b"")]);
        assert!(refused(&gap).contains("missing or not in order"));
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        for bytes in [&b""[..], b"x", &[0; 2_000], &[b'x'; 2_000]] {
            assert!(survey(&mut &*bytes).is_err());
        }
    }
}
