//! Arguments of `group`: groups whose members share a key for messages.

use super::keys::holder;
use clap::Subcommand;
use keyward_ids::{GroupId, Identity};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Make a group; it has a key from the beginning
    #[command(after_help = "\
Examples:
  keyward group create plant
  keyward group add plant pump-1 pump-2 user:app")]
    Create {
        /// Its name: letters, digits, '-', '_' and '.'
        name: GroupId,
    },
    /// Make devices or users members: they get the key of today and later ones
    #[command(after_help = "\
Examples:
  keyward group add plant pump-1 pump-2
  keyward group add plant user:app            a user that reads along

Keys of groups are encrypted to a key of the member's own:
  keyward keys add pump-1 pump-1-enc.pub --purpose encrypt")]
    Add {
        /// Which group
        name: GroupId,
        /// Who: a device's id, or user:NAME
        #[arg(value_name = "WHO", required = true, value_parser = holder)]
        who: Vec<Identity>,
    },
    /// Take members out; the group gets another key, which they do not get
    #[command(after_help = "\
Examples:
  keyward group remove plant pump-1
  keyward group remove plant pump-1 pump-2    both at once: one new key")]
    Remove {
        /// Which group
        name: GroupId,
        /// Who: a device's id, or user:NAME
        #[arg(value_name = "WHO", required = true, value_parser = holder)]
        who: Vec<Identity>,
    },
    /// List the groups
    #[command(after_help = "\
Examples:
  keyward group list
  keyward group list --json")]
    List,
    /// Show a group: its members, who gets no key and why, and the keys that are kept
    #[command(after_help = "\
Examples:
  keyward group show plant
  keyward group show plant --json")]
    Show {
        /// Which group
        name: GroupId,
    },
    /// Give a group another key now; it gets one every day by itself
    #[command(after_help = "\
Examples:
  keyward group rotate plant")]
    Rotate {
        /// Which group
        name: GroupId,
    },
    /// Write a key of a group into a file, for `keyward open --group-key`; the audit log remembers
    #[command(after_help = "\
Examples:
  keyward group key plant --output plant.key
  keyward group key plant --epoch 7 --output plant-7.key")]
    Key {
        /// Which group
        name: GroupId,
        /// Which epoch, as `group show` lists them [default: the one of today]
        #[arg(long, value_name = "NUMBER")]
        epoch: Option<u32>,
        /// The file: it is made, closed to others, and holds 32 hexadecimal digits
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Delete a group, and its keys; members keep what they have
    #[command(after_help = "\
Examples:
  keyward group delete plant")]
    Delete {
        /// Which group
        name: GroupId,
    },
}
