//! Gives the key of a group to one member: signed by the server, encrypted to the member.
//!
//! A grant lies retained on `$keyward/keys/GROUP/EPOCH/DEVICE`, so it is old when it is read; a member takes it whatever its date,
//! if its epoch is not below the newest that the member knows of the group, or is one it still reads messages of.

use crate::cbor::{self, Fault, Malformed, Reader, Room};
use crate::claims::Claims;
use crate::context::{Context, Direction, is_name};
use crate::group::{Epoch, GroupKey};
use crate::header::Format;
use crate::keys::PublicKey;
use crate::limits::NAME_BYTES;
use crate::recipient::{self, Agreement, Mode, OpenError};
use crate::sign::{Message, Random, SealError, Signer};
use crate::verify::{Content, Verified};
use zeroize::Zeroizing;

/// More than the bytes of the longest grant, `{1: group, 2: epoch, 3: key}`.
const BYTES: usize = 96;

const GROUP: i64 = 1;
const EPOCH: i64 = 2;
const SECRET: i64 = 3;

/// Signs the grant of a group key to the device of `context` (which speaks [`Down`](Direction::Down)), writes it to the beginning of
/// `out` and returns its length.
///
/// # Errors
/// [`SealError`]; nothing of the payload is then in `out`.
pub fn sign_grant(
    key: &GroupKey,
    claims: Claims,
    context: &Context<'_>,
    signer: &mut dyn Signer,
    to: &PublicKey,
    random: &mut dyn Random,
    out: &mut [u8],
) -> Result<usize, SealError> {
    let mut plain = Zeroizing::new([0; BYTES]);
    let mut room = Room::new(&mut *plain);
    cbor::map(&mut room, 3);
    cbor::integer(&mut room, GROUP);
    cbor::text(&mut room, key.group());
    cbor::integer(&mut room, EPOCH);
    cbor::unsigned(&mut room, u64::from(key.epoch().0));
    cbor::integer(&mut room, SECRET);
    cbor::bytes(&mut room, key.expose_secret());
    let len = room.finish()?;
    let payload = plain.get(..len).unwrap_or_default();
    let message = Message { claims, format: Some(Format::CBOR), payload };
    recipient::seal(Mode::Wrapped, &message, context, signer, to, random, out)
}

/// Opens a grant.
///
/// # Errors
/// [`OpenError`]; a message that was not spoken down to one device is no grant.
pub fn open_grant(message: &Verified<'_>, key: &mut dyn Agreement) -> Result<GroupKey, OpenError> {
    let content = message.content().map_err(OpenError::Malformed)?;
    let (Content::ForRecipient(sealed), Direction::Down { .. }) = (content, message.context().direction)
    else {
        return Err(OpenError::OtherForm);
    };
    let mut plain = Zeroizing::new([0; BYTES]);
    let plain = match sealed.open_as(Mode::Wrapped, key, &mut *plain) {
        Err(OpenError::NoRoom(_)) => return Err(OpenError::OtherForm),
        opened => opened?,
    };
    read(plain).map_err(OpenError::Malformed)
}

/// Reads what was encrypted.
pub(crate) fn read(plain: &[u8]) -> Result<GroupKey, Malformed> {
    let mut reader = Reader::new(plain);
    let mut labels = reader.map(3, "a grant, a map of 3 labels")?;
    let (mut group, mut epoch, mut secret) = (None, None, None);
    while let Some(label) = labels.next(&mut reader)? {
        match label {
            GROUP => group = Some(read_group(&mut reader)?),
            EPOCH => epoch = Some(read_epoch(&mut reader)?),
            SECRET => secret = Some(Zeroizing::new(reader.exactly("a key of 16 bytes")?)),
            _ => return labels.unknown(label),
        }
    }
    let group = labels.demand(group, "the group (1)")?;
    let epoch = labels.demand(epoch, "the epoch (2)")?;
    let secret = labels.demand(secret, "the key (3)")?;
    reader.end()?;
    labels.demand(GroupKey::new(group, epoch, &secret), "the group (1)")
}

fn read_group<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Malformed> {
    const WHAT: &str = "the name of a group";
    let at = reader.at();
    let group = reader.text(NAME_BYTES, WHAT)?;
    if is_name(group) { Ok(group) } else { Err(Malformed { at, fault: Fault::Expected(WHAT) }) }
}

fn read_epoch(reader: &mut Reader<'_>) -> Result<Epoch, Malformed> {
    const WHAT: &str = "an epoch of 32 bits";
    let at = reader.at();
    let epoch = u32::try_from(reader.unsigned(WHAT)?);
    epoch.map(Epoch).map_err(|_| Malformed { at, fault: Fault::Expected(WHAT) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[u8] =
        b"\xa3\x01\x65plant\x02\x07\x03\x50\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10";

    #[test]
    fn the_inside_of_a_grant_has_one_form() {
        let key = read(GOOD).unwrap();
        assert_eq!((key.group(), key.epoch()), ("plant", Epoch(7)));
        assert_eq!(key.expose_secret()[..3], [1, 2, 3]);
        let fault = |bytes: &[u8]| read(bytes).err().map(|error| error.fault);
        let with = |at: usize, byte: u8| {
            let mut bytes = [0; 30];
            bytes[..GOOD.len()].copy_from_slice(GOOD);
            bytes[at] = byte;
            fault(&bytes[..GOOD.len()])
        };
        assert_eq!(with(3, b'/'), Some(Fault::Expected("the name of a group")));
        assert_eq!(with(9, 0x20), Some(Fault::Expected("an epoch of 32 bits")));
        assert_eq!(with(10, 0x04), Some(Fault::UnknownLabel(4)));
        assert_eq!(with(11, 0x51), Some(Fault::TooLong(16)));
        assert_eq!(with(0, 0xa2), Some(Fault::Missing("the key (3)")));
        assert!((0..GOOD.len()).all(|len| read(&GOOD[..len]).is_err()));
        let mut longer = [0; 30];
        longer[..GOOD.len()].copy_from_slice(GOOD);
        assert_eq!(fault(&longer[..=GOOD.len()]), Some(Fault::Trailing));
    }
}
