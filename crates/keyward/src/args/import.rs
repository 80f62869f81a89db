//! Arguments of `import`.

use clap::{Args, Subcommand, ValueEnum};
use keyward_ids::UserId;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// Take over what Mosquitto is configured with: users, rules, listeners; all of it or nothing
    #[command(after_help = "\
Examples:
  keyward import mosquitto /etc/mosquitto/mosquitto.conf --dry-run       what would become of each line
  keyward import mosquitto /etc/mosquitto/mosquitto.conf
  keyward import mosquitto /mosquitto/config/mosquitto.conf --root old   a container's files, copied into old
  keyward import mosquitto mosquitto.conf --version 2.1                  %c and %u are whole levels only
  keyward import mosquitto mosquitto.conf --plain-from 192.168.1.0/24
  keyward import mosquitto mosquitto.conf --certificate-users pump-1,pump-2

What cannot be carried over without opening something is refused, and nothing is written then.
docs/from-mosquitto.md goes through it step by step.")]
    Mosquitto(ImportArgs),
    /// Take back what an import wrote that was killed in the middle
    #[command(after_help = "\
Examples:
  keyward import undo

The same import with the same files finishes it instead. What was changed by hand since is left, and named.")]
    Undo,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The configuration file; what it includes and names is read too
    pub(crate) file: PathBuf,
    /// Which Mosquitto it was written for: 2.0 and 2.1 read patterns and password files differently
    #[arg(long, value_enum, default_value = "2.0")]
    pub(crate) version: SourceVersion,
    /// Say what would be written, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The folder that stands for `/`: FILE and all paths in it are looked up below it, and nothing outside of it is read
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// The network whose clients may use listeners without TLS; may be given more than once
    #[arg(long, value_name = "NETWORK")]
    pub(crate) plain_from: Vec<String>,
    /// The user that clients without a login become, where they get in
    #[arg(long, value_name = "NAME", default_value = "anonymous")]
    pub(crate) anonymous_as: UserId,
    /// Users who log in with certificates of the old authority and stand in no file
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub(crate) certificate_users: Vec<UserId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SourceVersion {
    /// Up to 2.0
    #[value(name = "2.0")]
    V2_0,
    /// From 2.1 on
    #[value(name = "2.1")]
    V2_1,
}
