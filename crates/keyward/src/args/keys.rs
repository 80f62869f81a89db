//! Arguments of `keys`: the keys by which devices sign their messages.

use super::Span;
use clap::{Args, Subcommand};
use keyward_identity::Kid;
use keyward_ids::DeviceId;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// List the keys by which messages of devices are verified
    #[command(after_help = "\
Examples:
  keyward keys list
  keyward keys list dev01
  keyward keys list --json")]
    List {
        /// Which device [default: all that have some]
        id: Option<DeviceId>,
    },
    /// Register the public key by which messages of a device are verified
    #[command(after_help = "\
Examples:
  keyward keys add dev01 dev01.pub                 the private key lies in a file
  keyward keys add dev01 dev01.pub --level 2       it is in hardware that does not give it away

A key for messages is another one than that of the certificate:
  openssl genpkey -algorithm ed25519 -out dev01.key && openssl pkey -in dev01.key -pubout -out dev01.pub")]
    Add(KeysAddArgs),
    /// Accept what a key signs for a while only: another one takes its place
    #[command(after_help = "\
Examples:
  keyward keys retire dev01 496bd8afadf307e5                   for seven days more
  keyward keys retire dev01 496bd8afadf307e5 --overlap 0s      no more from now on")]
    Retire {
        /// Which device
        id: DeviceId,
        /// Which key: 16 hexadecimal digits, as `keys list` prints them
        kid: Kid,
        /// For how long what it signs is accepted still, at most 92d
        #[arg(long, value_name = "TIME", default_value = "7d")]
        overlap: Span,
    },
    /// Take a key away from a device: stolen, or not needed any more; it never comes back
    #[command(after_help = "\
Examples:
  keyward keys withdraw dev01 496bd8afadf307e5")]
    Withdraw {
        /// Which device
        id: DeviceId,
        /// Which key: 16 hexadecimal digits, as `keys list` prints them
        kid: Kid,
    },
}

#[derive(Debug, Args)]
pub(crate) struct KeysAddArgs {
    /// Which device
    pub(crate) id: DeviceId,
    /// Its public key: PEM as openssl writes it (P-256 or Ed25519), or a COSE_Key
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// How well the device keeps the private key: 0 in a file, 1 sealed to the machine, 2 in hardware, 3 in hardware that vouched for it
    #[arg(long, value_name = "LEVEL", default_value = "0", value_parser = clap::value_parser!(u8).range(0..=3))]
    pub(crate) level: u8,
}
