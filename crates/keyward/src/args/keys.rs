//! Arguments of `keys`: the keys by which devices sign their messages, and those to which is encrypted.

use super::Span;
use clap::{Args, Subcommand, ValueEnum};
use keyward_identity::Kid;
use keyward_ids::{DeviceId, Identity, IdentityError};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// List the keys for messages: those by which devices sign, and those to which is encrypted
    #[command(after_help = "\
Examples:
  keyward keys list
  keyward keys list dev01
  keyward keys list user:app
  keyward keys list --json")]
    List {
        /// Which device, or user:NAME [default: all that have some]
        #[arg(value_name = "ID", value_parser = holder)]
        id: Option<Identity>,
    },
    /// Register a public key: one by which messages of a device are verified, or one to encrypt to
    #[command(after_help = "\
Examples:
  keyward keys add dev01 dev01.pub                 the private key lies in a file
  keyward keys add dev01 dev01.pub --level 2       it is in hardware that does not give it away
  keyward keys add dev01 dev01-enc.pub --purpose encrypt      what is for it alone, and keys of groups, are encrypted to this one
  keyward keys add user:app app.pub --purpose encrypt         users sign nothing; what groups say they may read

A key for messages is another one than that of the certificate:
  openssl genpkey -algorithm ed25519 -out dev01.key && openssl pkey -in dev01.key -pubout -out dev01.pub
One to encrypt to is again another one, of P-256:
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out enc.key && openssl pkey -in enc.key -pubout -out dev01-enc.pub")]
    Add(KeysAddArgs),
    /// Use a key for a while only: another one takes its place
    #[command(after_help = "\
Examples:
  keyward keys retire dev01 496bd8afadf307e5                   for seven days more
  keyward keys retire dev01 496bd8afadf307e5 --overlap 0s      no more from now on")]
    Retire {
        /// Which device, or user:NAME
        #[arg(value_name = "ID", value_parser = holder)]
        id: Identity,
        /// Which key: 16 hexadecimal digits, as `keys list` prints them
        kid: Kid,
        /// For how long what it signs is accepted still, or is encrypted to it; at most 92d
        #[arg(long, value_name = "TIME", default_value = "7d")]
        overlap: Span,
    },
    /// Show the keys of the server that devices believe: the one that they pin, those that sign commands, the key set
    #[command(after_help = "\
Examples:
  keyward keys server
  keyward keys server --json                       with the public keys and the signed key set, in base64")]
    Server,
    /// Make another key that signs commands: in the key set at once, in use when devices have heard of it
    #[command(after_help = "\
Examples:
  keyward keys rotate-command                      it signs tomorrow, and the old one is believed a week longer
  keyward keys rotate-command --after 0s --overlap 0s      the old one was stolen: nobody believes it any more")]
    RotateCommand {
        /// When the new one begins to sign: devices that are offline longer refuse its commands until they have the key set
        #[arg(long, value_name = "TIME", default_value = "1d")]
        after: Span,
        /// For how long the old ones are believed after that, at most 90d
        #[arg(long, value_name = "TIME", default_value = "7d")]
        overlap: Span,
    },
    /// Take a key away: stolen, or not needed any more; it never comes back
    #[command(after_help = "\
Examples:
  keyward keys withdraw dev01 496bd8afadf307e5")]
    Withdraw {
        /// Which device, or user:NAME
        #[arg(value_name = "ID", value_parser = holder)]
        id: Identity,
        /// Which key: 16 hexadecimal digits, as `keys list` prints them
        kid: Kid,
    },
}

#[derive(Debug, Args)]
pub(crate) struct KeysAddArgs {
    /// Which device, or user:NAME
    #[arg(value_name = "ID", value_parser = holder)]
    pub(crate) id: Identity,
    /// Its public key: PEM as openssl writes it (P-256, or Ed25519 if it signs), or a COSE_Key
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// What the key is for
    #[arg(long, value_enum, value_name = "PURPOSE", default_value = "sign")]
    pub(crate) purpose: Purpose,
    /// How well the device keeps the private key of one that signs: 0 in a file, 1 sealed to the machine, 2 in hardware, 3 in hardware that vouched for it
    #[arg(long, value_name = "LEVEL", default_value = "0", value_parser = clap::value_parser!(u8).range(0..=3))]
    pub(crate) level: u8,
}

/// Says what a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Purpose {
    /// The device signs with it
    Sign,
    /// Messages and keys of groups are encrypted to it
    Encrypt,
}

/// Reads whose keys are meant: a device's if no kind is said.
pub(crate) fn holder(text: &str) -> Result<Identity, IdentityError> {
    match text.contains(':') {
        true => text.parse(),
        false => Ok(Identity::Device(text.parse::<DeviceId>().map_err(IdentityError::Name)?)),
    }
}
