//! Reads deterministic CBOR and nothing else; every refusal names its byte.

use super::major;
use core::fmt;

/// Says why bytes are not a message, key or key set of the profile, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// The byte at which it was seen, counted from 0 in what was given to be read.
    pub at: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// Says what is wrong at a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The bytes end inside an item.
    Truncated,
    /// Bytes follow after the end.
    Trailing,
    /// Something else stands there; holds what the profile has in this place.
    Expected(&'static str),
    /// A number or length is not written in its shortest form.
    NotShortest,
    /// A length is indefinite, or one of the reserved forms.
    Indefinite,
    /// Something is longer or more than its bound, which it holds.
    TooLong(usize),
    /// A label of a map stands twice, or after a label that it goes before.
    OutOfOrder(i64),
    /// The profile has no such label in this map.
    UnknownLabel(i64),
    /// The message names headers that must be understood (`crit`); the profile has none.
    Critical,
    /// Something that the profile demands is not there; it is named.
    Missing(&'static str),
    /// An algorithm that the profile does not have in this place.
    Algorithm(i64),
    /// A key is not a point of its curve, or one that everybody can sign for.
    Point,
    /// A key carries an identifier that is not its own.
    OtherKid,
    /// Two keys of one set have one identifier.
    SameKid,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: ", self.at)?;
        match self.fault {
            Fault::Truncated => f.write_str("the bytes end too early"),
            Fault::Trailing => f.write_str("something follows after the end"),
            Fault::Expected(what) => write!(f, "here stands {what} in the profile"),
            Fault::NotShortest => f.write_str("not the shortest form of this number or length"),
            Fault::Indefinite => f.write_str("an indefinite or reserved length"),
            Fault::TooLong(bound) => write!(f, "more than {bound}, its bound"),
            Fault::OutOfOrder(label) => write!(f, "label {label} is there twice or out of order"),
            Fault::UnknownLabel(label) => write!(f, "the profile has no label {label} here"),
            Fault::Critical => f.write_str("critical headers, of which the profile has none"),
            Fault::Missing(what) => write!(f, "{what} is missing"),
            Fault::Algorithm(id) => write!(f, "algorithm {id} is not used here"),
            Fault::Point => f.write_str("a key that is no point of its curve, or a weak one"),
            Fault::OtherKid => f.write_str("a key identifier that is not this key's"),
            Fault::SameKid => f.write_str("a second key with the same identifier"),
        }
    }
}

impl core::error::Error for Malformed {}

/// Reads from a run of bytes, or from a byte string inside it; positions are those of the whole.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    all: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(all: &'a [u8]) -> Self {
        Self { all, at: 0, end: all.len() }
    }

    /// Returns the place of the next byte.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Refuses the next byte.
    pub(crate) fn fail<T>(&self, fault: Fault) -> Result<T, Malformed> {
        Err(Malformed { at: self.at, fault })
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.end);
        let Some((end, taken)) = end.and_then(|end| Some((end, self.all.get(self.at..end)?))) else {
            return self.fail(Fault::Truncated);
        };
        self.at = end;
        Ok(taken)
    }

    fn peek(&self) -> Result<u8, Malformed> {
        match self.all.get(self.at) {
            Some(byte) if self.at < self.end => Ok(*byte),
            _ => self.fail(Fault::Truncated),
        }
    }

    /// Reads a head of this major type and gives its number.
    fn head(&mut self, major: u8, what: &'static str) -> Result<u64, Malformed> {
        let (start, first) = (self.at, self.peek()?);
        if first >> 5 != major {
            return self.fail(Fault::Expected(what));
        }
        let (more, least) = match first & 0x1f {
            direct @ 0..=23 => {
                self.at += 1;
                return Ok(u64::from(direct));
            }
            24 => (1, 24),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            27 => (8, 0x1_0000_0000),
            _ => return self.fail(Fault::Indefinite),
        };
        self.at += 1;
        let number = self.take(more)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        if number < least {
            return Err(Malformed { at: start, fault: Fault::NotShortest });
        }
        Ok(number)
    }

    /// Reads a length that is at most `most`.
    fn length(&mut self, major: u8, most: usize, what: &'static str) -> Result<usize, Malformed> {
        let start = self.at;
        match usize::try_from(self.head(major, what)?) {
            Ok(len) if len <= most => Ok(len),
            _ => Err(Malformed { at: start, fault: Fault::TooLong(most) }),
        }
    }

    pub(crate) fn unsigned(&mut self, what: &'static str) -> Result<u64, Malformed> {
        self.head(major::UNSIGNED, what)
    }

    pub(crate) fn integer(&mut self, what: &'static str) -> Result<i64, Malformed> {
        let start = self.at;
        let negative = self.peek()? >> 5 == major::NEGATIVE;
        let number = self.head(if negative { major::NEGATIVE } else { major::UNSIGNED }, what)?;
        match i64::try_from(number) {
            Ok(number) => Ok(if negative { !number } else { number }),
            Err(_) => Err(Malformed { at: start, fault: Fault::Expected(what) }),
        }
    }

    /// Reads a byte string of at most `most` bytes.
    pub(crate) fn bytes(&mut self, most: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let len = self.length(major::BYTES, most, what)?;
        self.take(len)
    }

    /// Reads a byte string of just `N` bytes.
    pub(crate) fn exactly<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let start = self.at;
        let found = self.bytes(N, what)?;
        found.try_into().map_err(|_| Malformed { at: start, fault: Fault::Expected(what) })
    }

    /// Reads a text of at most `most` bytes.
    pub(crate) fn text(&mut self, most: usize, what: &'static str) -> Result<&'a str, Malformed> {
        let start = self.at;
        let len = self.length(major::TEXT, most, what)?;
        core::str::from_utf8(self.take(len)?)
            .map_err(|_| Malformed { at: start, fault: Fault::Expected(what) })
    }

    /// Reads the head of a byte string and gives a reader of what is in it.
    pub(crate) fn inside(&mut self, most: usize, what: &'static str) -> Result<Self, Malformed> {
        let len = self.length(major::BYTES, most, what)?;
        let start = self.at;
        self.take(len)?;
        Ok(Self { all: self.all, at: start, end: self.at })
    }

    /// Returns the bytes that this reader has before it.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.all.get(self.at..self.end).unwrap_or_default()
    }

    /// Reads the head of an array of just `len` items.
    pub(crate) fn array(&mut self, len: usize, what: &'static str) -> Result<(), Malformed> {
        let start = self.at;
        if self.head(major::ARRAY, what)? == len as u64 {
            return Ok(());
        }
        Err(Malformed { at: start, fault: Fault::Expected(what) })
    }

    /// Reads the head of an array of at most `most` items.
    pub(crate) fn list(&mut self, most: usize, what: &'static str) -> Result<usize, Malformed> {
        self.length(major::ARRAY, most, what)
    }

    /// Reads the head of a map with at most `most` labels.
    pub(crate) fn map(&mut self, most: usize, what: &'static str) -> Result<Labels, Malformed> {
        let left = self.length(major::MAP, most, what)?;
        Ok(Labels { left, last: None, at: self.at })
    }

    pub(crate) fn tag(&mut self, tag: u64, what: &'static str) -> Result<(), Malformed> {
        let start = self.at;
        if self.head(major::TAG, what)? == tag {
            return Ok(());
        }
        Err(Malformed { at: start, fault: Fault::Expected(what) })
    }

    /// Demands that nothing is left.
    pub(crate) fn end(&self) -> Result<(), Malformed> {
        if self.at == self.end { Ok(()) } else { self.fail(Fault::Trailing) }
    }
}

/// Goes through the labels of a map, which must rise in the bytewise order of their encodings (RFC 8949 §4.2.1).
#[derive(Debug)]
pub(crate) struct Labels {
    left: usize,
    last: Option<(bool, i64)>,
    at: usize,
}

impl Labels {
    /// Reads the next label; nothing if there is none.
    pub(crate) fn next(&mut self, reader: &mut Reader<'_>) -> Result<Option<i64>, Malformed> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        self.at = reader.at();
        let label = reader.integer("a label, which is an integer")?;
        // Shortest forms sort as numbers do: first those from 0 upwards, then those from -1 downwards.
        let rank = (label < 0, if label < 0 { !label } else { label });
        if self.last.is_some_and(|last| last >= rank) {
            return Err(Malformed { at: self.at, fault: Fault::OutOfOrder(label) });
        }
        self.last = Some(rank);
        Ok(Some(label))
    }

    /// Refuses the label that was just read.
    pub(crate) fn unknown<T>(&self, label: i64) -> Result<T, Malformed> {
        Err(Malformed { at: self.at, fault: Fault::UnknownLabel(label) })
    }

    /// Demands a label that the map did not have.
    pub(crate) fn demand<T>(&self, value: Option<T>, what: &'static str) -> Result<T, Malformed> {
        value.ok_or(Malformed { at: self.at, fault: Fault::Missing(what) })
    }
}
