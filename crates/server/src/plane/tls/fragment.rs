//! How long the records may be that a client is sent: what small clients, whose buffers hold no whole record, ask for in
//! their hello. rustls negotiates neither extension, so nothing is promised back; they do not mind.
//!
//! Only application data follows the wish. The handshake stays whole: mbedTLS joins no handshake message that is cut
//! over records, and BearSSL takes one that is longer than its buffer.

/// The most bytes of a record's plaintext (RFC 8446 §5.1).
pub(crate) const RECORD_BYTES: usize = 16 * 1024;

/// The least `record_size_limit` that may be asked for (RFC 8449 §4).
const LEAST_LIMIT: usize = 64;

/// Says what a hello asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Fragment {
    /// Nothing: records are as long as the standard allows.
    #[default]
    NotAsked,
    /// Records with at most so many bytes of application data.
    AtMost(usize),
    /// Something that the standards forbid, and answer with the alert `illegal_parameter`.
    Odd,
}

impl Fragment {
    /// Returns the most bytes of application data in one record.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::AtMost(bytes) => bytes,
            Self::NotAsked | Self::Odd => RECORD_BYTES,
        }
    }

    /// Judges the bodies of `max_fragment_length` (RFC 6066 §4) and `record_size_limit` (RFC 8449 §4), each as often as it
    /// is there. The second goes before the first.
    pub(crate) fn of<'a>(extensions: impl Iterator<Item = (usize, &'a [u8])>) -> Self {
        const MAX_FRAGMENT_LENGTH: usize = 1;
        const RECORD_SIZE_LIMIT: usize = 28;
        let (mut length, mut limit) = (Self::NotAsked, Self::NotAsked);
        for (kind, body) in extensions {
            match kind {
                MAX_FRAGMENT_LENGTH => length = length.once(Self::of_length(body)),
                RECORD_SIZE_LIMIT => limit = limit.once(Self::of_limit(body)),
                _ => {}
            }
        }
        match (length, limit) {
            (Self::Odd, _) | (_, Self::Odd) => Self::Odd,
            (length, Self::NotAsked) => length,
            (_, limit) => limit,
        }
    }

    fn once(self, next: Self) -> Self {
        if self == Self::NotAsked { next } else { Self::Odd }
    }

    fn of_length(body: &[u8]) -> Self {
        match body {
            [code @ 1..=4] => Self::AtMost(256 << code),
            _ => Self::Odd,
        }
    }

    /// The limit counts the byte of TLS 1.3 that says what a record holds; TLS 1.2 has none, and its records get one byte
    /// shorter than they must.
    fn of_limit(body: &[u8]) -> Self {
        let Ok(limit) = body.try_into().map(u16::from_be_bytes).map(usize::from) else { return Self::Odd };
        // A limit beyond the standard's is for a version to come.
        if limit < LEAST_LIMIT { Self::Odd } else { Self::AtMost((limit - 1).min(RECORD_BYTES)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fragment::{AtMost, NotAsked, Odd};

    /// Kinds and bodies of extensions, and what they mean.
    type Case<'a> = (&'a [(usize, &'a [u8])], Fragment);

    #[test]
    fn each_wish_has_one_meaning() {
        let (length, limit) = (1, 28);
        let cases: [Case<'_>; 19] = [
            (&[], NotAsked),
            (&[(0, &[9]), (43, &[])], NotAsked),
            (&[(length, &[1])], AtMost(512)),
            (&[(length, &[2])], AtMost(1024)),
            (&[(length, &[3])], AtMost(2048)),
            (&[(length, &[4])], AtMost(4096)),
            (&[(length, &[0])], Odd),
            (&[(length, &[5])], Odd),
            (&[(length, &[255])], Odd),
            (&[(length, &[])], Odd),
            (&[(length, &[1, 1])], Odd),
            (&[(length, &[1]), (length, &[1])], Odd),
            (&[(limit, &[0x02, 0x01])], AtMost(512)),
            (&[(limit, &[0, 64])], AtMost(63)),
            (&[(limit, &[0, 63])], Odd),
            (&[(limit, &[0xff, 0xff])], AtMost(RECORD_BYTES)),
            (&[(limit, &[0x40])], Odd),
            (&[(length, &[1]), (limit, &[0x10, 0x01])], AtMost(4096)),
            (&[(limit, &[0x10, 0x01]), (length, &[7])], Odd),
        ];
        for (extensions, meant) in cases {
            assert_eq!(Fragment::of(extensions.iter().copied()), meant, "{extensions:?}");
        }
    }
}
