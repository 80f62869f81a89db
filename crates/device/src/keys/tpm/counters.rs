//! Numbers in the chip's non-volatile memory that never go back.

use super::chip::{Chip, Fault};
use crate::keys::random;
use keyward_tpm::answer::{self, Refusal};
use keyward_tpm::command::{Command, Handle};

/// The first index that belongs to the owner, and the bits in which others differ (part 2 of the registry of reserved handles).
const FIRST: u32 = 0x0180_0000;
const SPAN: u32 = 0x003f_ffff;

/// Draws the index of a counter.
pub(super) fn draw() -> Result<u32, crate::keys::KeyError> {
    Ok(FIRST | (u32::from_be_bytes(random::draw()?) & SPAN))
}

/// Makes the counter if it is not there, and returns it with its count. One that was undefined by somebody begins above all that
/// the chip ever counted, so that it does not go back by that.
pub(super) fn open(chip: &mut Chip, index: u32) -> Result<(Handle, u64), Fault> {
    let counter = match find(chip, index)? {
        Some(counter) => counter,
        None => {
            chip.plain(&Command::define_counter(index))?;
            find(chip, index)?.ok_or(Fault::Lost)?
        }
    };
    let count = match counter.is_written {
        true => read(chip, &handle(index, &counter))?,
        false => return raise(chip, index),
    };
    Ok((handle(index, &counter), count))
}

fn find(chip: &mut Chip, index: u32) -> Result<Option<answer::Index>, Fault> {
    match chip.plain(&Command::index_public(index)) {
        Ok((_, parameters)) => {
            let found = answer::index(&parameters)?;
            let is_ours = found.is_counter;
            let other = keyward_tpm::Malformed(
                "an index of its memory is no counter: another program made it meanwhile",
            );
            if is_ours { Ok(Some(found)) } else { Err(other.into()) }
        }
        // "Lost" is what a handle is of which nothing is known.
        Err(Fault::Lost) => Ok(None),
        Err(Fault::Refused(Refusal::Code(code))) if code.is_no_index() => Ok(None),
        Err(fault) => Err(fault),
    }
}

fn handle(index: u32, counter: &answer::Index) -> Handle {
    Handle::named(index, &counter.name)
}

fn read(chip: &mut Chip, handle: &Handle) -> Result<u64, Fault> {
    let (_, parameters) = chip.hidden(&Command::read_index(handle.clone(), 8, 0))?;
    Ok(answer::counter(&parameters)?)
}

/// Raises a counter that is there, and returns it with its count.
pub(super) fn raise(chip: &mut Chip, index: u32) -> Result<(Handle, u64), Fault> {
    let before = find(chip, index)?.ok_or(Fault::Lost)?;
    chip.hidden(&Command::increment(handle(index, &before)))?;
    // The first time changes its name.
    let after = find(chip, index)?.ok_or(Fault::Lost)?;
    let count = read(chip, &handle(index, &after))?;
    Ok((handle(index, &after), count))
}

/// Removes a counter.
pub(super) fn remove(chip: &mut Chip, index: u32) -> Result<(), Fault> {
    match find(chip, index)? {
        Some(counter) => chip.plain(&Command::undefine(handle(index, &counter))).map(drop),
        None => Ok(()),
    }
}
