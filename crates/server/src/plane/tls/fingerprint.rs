//! What the hello of a TLS client has in common with others of its program: which suites, groups and algorithms it offers, and which
//! extensions it knows. Who it is, and with whom it spoke before, is left out, so that one program says the same at each connection.
//!
//! It is no proof of anything: who wants to looks like another program. It tells two programs apart that do not hide.

/// Is a hash of a hello, never 0; the same for the same program with the same settings, today and after an update of the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fingerprint(pub(crate) u64);

/// FNV-1a: what is hashed is offered, not secret, and who wants to collide could as well copy the hello.
#[derive(Clone, Copy)]
struct Hash(u64);

impl Hash {
    const START: Self = Self(0xcbf2_9ce4_8422_2325);
    const PRIME: u64 = 0x0100_0000_01b3;

    fn bytes(self, bytes: &[u8]) -> Self {
        bytes.iter().fold(self, |Self(hash), byte| Self((hash ^ u64::from(*byte)).wrapping_mul(Self::PRIME)))
    }

    /// Takes a list of numbers without those that mean nothing (RFC 8701), which are others each time.
    fn numbers(self, list: &[u8]) -> Self {
        list.chunks_exact(2).filter(|number| !is_grease(number)).fold(self, Self::bytes)
    }
}

fn is_grease(number: &[u8]) -> bool {
    matches!(number, [high, low] if high == low && high & 0x0f == 0x0a)
}

impl Fingerprint {
    /// Takes the version, the cipher suites in their order, and the extensions in whatever order: some programs shuffle them.
    pub(crate) fn of<'a>(
        version: usize,
        suites: &[u8],
        extensions: impl Iterator<Item = (usize, &'a [u8])>,
    ) -> Self {
        let version = u16::try_from(version).unwrap_or(u16::MAX);
        let offered = Hash::START.bytes(&version.to_be_bytes()).numbers(suites).0;
        let all = extensions.filter_map(|(kind, body)| extension(kind, body));
        Self(all.fold(offered, u64::wrapping_add).max(1))
    }
}

/// Hashes an extension with as much of its body as says what the program can; `None` if that it is there says nothing of the program.
fn extension(kind: usize, body: &[u8]) -> Option<u64> {
    let number = u16::try_from(kind).ok()?.to_be_bytes();
    let known = Hash::START.bytes(&number);
    let hash = match kind {
        // The name of the server, padding, and what is left of earlier connections: pre_shared_key, early_data, cookie, session_ticket.
        0 | 21 | 35 | 41 | 42 | 44 => return None,
        _ if is_grease(&number) => return None,
        // Lists of numbers behind two bytes of length: groups, algorithms of signatures, those of certificates.
        10 | 13 | 50 => known.numbers(body.get(2..).unwrap_or_default()),
        // Versions, behind one.
        43 => known.numbers(body.get(1..).unwrap_or_default()),
        // Length of fragments, formats of points, protocols, compression, length of records, modes of resumption.
        1 | 11 | 16 | 27 | 28 | 45 => known.bytes(body),
        _ => known,
    };
    Some(hash.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: (usize, &[u8]) = (10, &[0, 4, 0, 29, 0, 23]);
    const VERSIONS: (usize, &[u8]) = (43, &[4, 3, 4, 3, 3]);

    fn of(suites: &[u8], extensions: &[(usize, &'static [u8])]) -> Fingerprint {
        Fingerprint::of(0x0303, suites, extensions.iter().copied())
    }

    #[test]
    fn a_program_says_the_same_whoever_it_speaks_to_and_whatever_it_remembers() {
        let plain = of(&[0x13, 1, 0x13, 2], &[GROUPS, VERSIONS]);
        for other in [
            of(&[0x13, 1, 0x13, 2], &[VERSIONS, GROUPS]),
            of(&[0x13, 1, 0x13, 2], &[(0, b"name"), GROUPS, VERSIONS, (35, b"ticket"), (41, b"secret")]),
            of(&[0x1a, 0x1a, 0x13, 1, 0x13, 2], &[(0xfafa, b""), GROUPS, VERSIONS]),
            of(&[0x13, 1, 0x13, 2], &[(10, &[0, 6, 0x2a, 0x2a, 0, 29, 0, 23]), VERSIONS]),
        ] {
            assert_eq!(plain, other);
        }
        // Kept with what the watch remembers: it stays what it is.
        assert_eq!(plain, Fingerprint(0xcdb7_b34f_165d_44ac));
    }

    #[test]
    fn programs_that_can_other_things_say_others() {
        let all = [
            of(&[0x13, 1, 0x13, 2], &[GROUPS, VERSIONS]),
            of(&[0x13, 2, 0x13, 1], &[GROUPS, VERSIONS]),
            of(&[0x13, 1], &[GROUPS, VERSIONS]),
            of(&[0x13, 1, 0x13, 2], &[GROUPS]),
            of(&[0x13, 1, 0x13, 2], &[(10, &[0, 2, 0, 29]), VERSIONS]),
            of(&[0x13, 1, 0x13, 2], &[GROUPS, VERSIONS, (16, b"\0\x05\x04mqtt")]),
            of(&[0x13, 1, 0x13, 2], &[GROUPS, VERSIONS, (5, b"")]),
            Fingerprint::of(0x0302, &[0x13, 1, 0x13, 2], [GROUPS, VERSIONS].into_iter()),
        ];
        for (place, one) in all.iter().enumerate() {
            assert!(all[..place].iter().all(|other| other != one), "{place}");
        }
    }

    #[test]
    fn what_is_cut_off_or_empty_is_hashed_all_the_same() {
        assert_ne!(of(&[], &[]).0, 0);
        for kind in [1, 10, 13, 43, 50] {
            assert_ne!(of(&[0], &[(kind, b""), (kind, b"\0")]).0, 0);
        }
    }
}
