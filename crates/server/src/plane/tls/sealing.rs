//! Sealing: what rustls writes goes behind the end of a buffer that grows as it must, application data in records as
//! short as the peer wants them.

use crate::plane::tls::channel::TlsFault;
use crate::plane::tls::fragment::RECORD_BYTES;
use rustls::unbuffered::{EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, WriteTraffic};

/// Is what goes into the records of an established channel.
pub(crate) enum Sealed<'a> {
    Nothing,
    Text(&'a [u8]),
    End,
}

/// Appends a message of the handshake to `out`, whole.
pub(crate) fn encode<Data>(data: &mut EncodeTlsData<'_, Data>, out: &mut Vec<u8>) -> Result<(), TlsFault> {
    grow(out, 1024, |room| {
        data.encode(room).map_err(|error| match error {
            EncodeError::InsufficientSize(needed) => Short::Room(needed),
            EncodeError::AlreadyEncoded => Short::Spent,
        })
    })
}

/// Appends what is to be sealed to `out`, with at most `fragment` bytes of it in one record.
pub(crate) fn seal_into<Data>(
    mut traffic: WriteTraffic<'_, Data>,
    sealed: Sealed<'_>,
    fragment: usize,
    out: &mut Vec<u8>,
) -> Result<(), TlsFault> {
    let short = |error| match error {
        EncryptError::InsufficientSize(needed) => Short::Room(needed),
        EncryptError::EncryptExhausted => Short::Spent,
    };
    match sealed {
        Sealed::Nothing | Sealed::Text([]) => Ok(()),
        // rustls cuts into records as long as the standard allows by itself, in one call.
        Sealed::Text(text) if fragment >= RECORD_BYTES => {
            let guess = text.len() + (text.len() / RECORD_BYTES + 2) * RECORD_OVERHEAD;
            grow(out, guess, |room| traffic.encrypt(text, room).map_err(short))
        }
        Sealed::Text(text) => {
            out.reserve(text.len() + (text.len() / fragment + 2) * RECORD_OVERHEAD);
            // Each slice by itself: what was encrypted must not be encrypted again because the next found no room.
            text.chunks(fragment).try_for_each(|slice| {
                grow(out, slice.len() + 2 * RECORD_OVERHEAD, |room| {
                    traffic.encrypt(slice, room).map_err(short)
                })
            })
        }
        Sealed::End => grow(out, 64, |room| traffic.queue_close_notify(room).map_err(short)),
    }
}

/// Room for what a record adds, 29 bytes at most; a key update may come before the first.
const RECORD_OVERHEAD: usize = 64;

enum Short {
    Room(InsufficientSizeError),
    Spent,
}

/// Lets `write` write behind the end of `out`, with room for `guess` bytes or else for as many as it asks for.
fn grow(
    out: &mut Vec<u8>,
    guess: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Short>,
) -> Result<(), TlsFault> {
    let start = out.len();
    let mut room = guess;
    for _ in 0..2 {
        out.resize(start + room, 0);
        match write(&mut out[start..]) {
            Ok(written) => {
                out.truncate(start + written);
                return Ok(());
            }
            Err(Short::Room(InsufficientSizeError { required_size })) => room = required_size,
            Err(Short::Spent) => break,
        }
    }
    out.truncate(start);
    Err(TlsFault::Library(rustls::Error::EncryptError))
}
