//! Arguments of the commands about what is stored.

use super::ConfirmArgs;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Print what was ever taken away, without secrets, to keep elsewhere for a restore
    #[command(after_help = "\
Examples:
  keyward store revoked > revoked.txt
  scp revoked.txt elsewhere:       a backup and this list go well together

The list is good for a backup of any age: keyward store restore FILE --revoked revoked.txt")]
    Revoked,
    /// Let devices and users in that a restore shut out, because nobody knew whether something was taken from them
    #[command(after_help = "\
Examples:
  keyward store confirm device:dev01 user:app
  keyward store confirm --all      after revoking those that were revoked

Who was disabled, revoked or removed stays so.")]
    Confirm(ConfirmArgs),
}
