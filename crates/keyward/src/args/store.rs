//! Arguments of the commands about what is stored: looking through it, backups.

use super::ConfirmArgs;
use clap::{Args, Subcommand};
use keyward_server::backup::keys::PublicKey;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Read everything that is stored and say what is wrong; also while the broker runs
    #[command(after_help = "\
Examples:
  keyward store check
  keyward store check --device     also measure whether this disk can be believed
  keyward store check --json

Exit code 1 if anything is wrong.")]
    Check(CheckArgs),
    /// Write everything into one encrypted file; also while the broker runs
    #[command(after_help = "\
Examples:
  keyward store backup             asks for a passphrase; the file goes into DIR/backups
  keyward store backup /mnt/usb/keyward.age --backup-passphrase-file pass.txt
  keyward store backup /mnt/usb/keyward.age --to age1yt3tfqlfrwdwx0z0ynwplcr6qxcxfaqycuprpmy89nr83ltx74tqdpszlw
  keyward store backup /mnt/usb/keyward.age --to-file keys.txt --with-keys

A backup on the disk that it is a backup of is lost with it: keep one elsewhere. As a service, the systemd
credential keyward-backup-passphrase is taken where no passphrase and no key is given. The age tool opens
such a file too: age --decrypt FILE | tar --list")]
    Backup(BackupArgs),
    /// Show what is in a backup, and verify every byte of it; nothing is restored
    #[command(after_help = "\
Examples:
  keyward store list /mnt/usb/keyward.age
  keyward store list /mnt/usb/keyward.age --age-key key.txt")]
    List(ListArgs),
    /// Put a backup back, on this host or another one; the broker must be stopped
    #[command(after_help = "\
Examples:
  keyward store restore /mnt/usb/keyward.age
  keyward store restore /mnt/usb/keyward.age --revoked revoked.txt
  keyward store restore --messages /mnt/usb/keyward.age

What was taken away after the backup (revoked, removed, disabled) stays taken away, as far as the old ledger
or the list from `keyward store revoked` says so. What lay in the directory is kept in DIR/replaced-….")]
    Restore(RestoreArgs),
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

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Measure how long a sync of this disk takes, and say whether that can be true
    #[arg(long)]
    pub(crate) device: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The file to write [default: DIR/backups/keyward-MOMENT.age]
    pub(crate) file: Option<PathBuf>,
    /// Encrypt under the passphrase in the first line of this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["to", "to_file", "plain"])]
    pub(crate) backup_passphrase_file: Option<PathBuf>,
    /// Encrypt for this age public key; may be given more than once
    #[arg(long, value_name = "KEY", conflicts_with = "plain")]
    pub(crate) to: Vec<PublicKey>,
    /// Encrypt for the age public keys in this file, one a line
    #[arg(long, value_name = "FILE", conflicts_with = "plain")]
    pub(crate) to_file: Option<PathBuf>,
    /// Do not encrypt: whoever reads the file reads everything in it
    #[arg(long)]
    pub(crate) plain: bool,
    /// Put in the private keys of authorities and server: such a file can make devices, and be the broker
    #[arg(long)]
    pub(crate) with_keys: bool,
    /// Leave out sessions and messages
    #[arg(long)]
    pub(crate) without_messages: bool,
    /// Replace a file of this name
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The backup
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) opening: OpeningArgs,
}

#[derive(Debug, Args)]
pub(crate) struct OpeningArgs {
    /// Read the passphrase of the backup from the first line of this file
    #[arg(long, value_name = "FILE")]
    pub(crate) backup_passphrase_file: Option<PathBuf>,
    /// The file with the age secret key that the backup was made for
    #[arg(long, value_name = "FILE")]
    pub(crate) age_key: Option<PathBuf>,
    /// The backup is not encrypted: anybody who could write the file may have written what is in it
    #[arg(long, conflicts_with_all = ["backup_passphrase_file", "age_key"])]
    pub(crate) plain: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The backup
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) opening: OpeningArgs,
    /// Restore sessions and messages only; everything else stays
    #[arg(long, conflicts_with_all = ["without_messages", "revoked"])]
    pub(crate) messages: bool,
    /// Restore everything but sessions and messages; those that are there stay
    #[arg(long)]
    pub(crate) without_messages: bool,
    /// What else was taken away since the backup: a list that `keyward store revoked` printed
    #[arg(long, value_name = "FILE")]
    pub(crate) revoked: Option<PathBuf>,
}
