//! How changes of a sealed store lie in a record.
//!
//! ```text
//! record = generation[8] mark[8] kind[1] count[2] *change    ; kind: 0 a change, 1 the first of a copy of the whole store, 2 its further ones
//! change = 0 name[2+n] / 1 name[2+n] value[4+n]              ; gone / is now
//! ```

use crate::bytes::{Bytes, put_long, put_short};
use crate::limits::{SEALED_NAME_BYTES, SEALED_VALUE_BYTES};
use zeroize::Zeroizing;

/// Says what a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One change, after the one before.
    Change,
    /// Begins a copy of the whole store: what was before counts no more.
    Copy,
    /// Goes on with it.
    MoreCopy,
}

/// Is what stands at the beginning of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// How many changes there were, this one included.
    pub(super) generation: u64,
    /// What the hardware counts when this is the newest; 0 without hardware.
    pub(super) mark: u64,
    pub(super) kind: Kind,
}

/// Is a name and its new value; none if it is gone.
pub(super) type Change<'a> = (&'a str, Option<&'a [u8]>);

/// Writes a record; nothing if a part of it is longer than it may be.
pub(super) fn write(head: Head, changes: &[Change<'_>]) -> Option<Zeroizing<Vec<u8>>> {
    let len: usize = changes.iter().map(|(name, value)| size(name, value.unwrap_or_default())).sum();
    let mut out = Zeroizing::new(Vec::with_capacity(19 + len));
    out.extend(head.generation.to_be_bytes());
    out.extend(head.mark.to_be_bytes());
    out.push(match head.kind {
        Kind::Change => 0,
        Kind::Copy => 1,
        Kind::MoreCopy => 2,
    });
    out.extend(u16::try_from(changes.len()).ok()?.to_be_bytes());
    for (name, value) in changes {
        out.push(u8::from(value.is_some()));
        put_short(&mut out, name.as_bytes())?;
        value.iter().try_for_each(|value| put_long(&mut out, value))?;
    }
    Some(out)
}

/// Returns the bytes that a name and its value take in a record.
pub(super) fn size(name: &str, value: &[u8]) -> usize {
    1 + 2 + name.len() + 4 + value.len()
}

/// Reads a record; nothing if it is none, or anything follows.
pub(super) fn read(record: &[u8]) -> Option<(Head, Vec<Change<'_>>)> {
    let mut bytes = Bytes(record);
    let (generation, mark) = (bytes.u64()?, bytes.u64()?);
    let kind = match bytes.u8()? {
        0 => Kind::Change,
        1 => Kind::Copy,
        2 => Kind::MoreCopy,
        _ => return None,
    };
    let count = bytes.u16()?;
    let changes = (0..count).map(|_| change(&mut bytes)).collect::<Option<_>>()?;
    bytes.0.is_empty().then_some((Head { generation, mark, kind }, changes))
}

fn change<'a>(bytes: &mut Bytes<'a>) -> Option<Change<'a>> {
    let is_there = match bytes.u8()? {
        0 => false,
        1 => true,
        _ => return None,
    };
    let name = std::str::from_utf8(bytes.short()?).ok()?;
    let value = if is_there { Some(bytes.long()?) } else { None };
    let fits = (1..=SEALED_NAME_BYTES).contains(&name.len())
        && value.is_none_or(|value| value.len() <= SEALED_VALUE_BYTES);
    fits.then_some((name, value))
}

/// Reads a record and writes it again.
#[cfg(feature = "decoders")]
pub(crate) fn rewritten(record: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (head, changes) = read(record)?;
    write(head, &changes)
}
