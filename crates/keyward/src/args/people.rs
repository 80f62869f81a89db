//! Arguments of `user`.

use clap::{Args, Subcommand};
use keyward_ids::UserId;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add a person or an application
    #[command(after_help = "\
Examples:
  keyward user add app                                  a password is made and shown once
  keyward user add app --certificate                    a bundle with key and certificate in ./app
  keyward user add flows --preset node-red --bundle node-red
  keyward user add app --csr app.csr                    the key stays with the application
  keyward user add ha --preset home-assistant           with the rules that Home Assistant needs (`preset list`)
  keyward user add anna --password-stdin < anna.password
  keyward user add anna --ask-password                  choose it at the terminal
  keyward user add anna --password-hash-stdin < anna.hash   as Mosquitto kept it, behind the colon
  keyward user add old-app --plain                      may log in on plain listeners, and nowhere else
  keyward user add guest --no-login                     for `anonymous_as` of a listener")]
    Add(UserAddArgs),
    /// List users
    #[command(after_help = "\
Examples:
  keyward user list
  keyward user list --json")]
    List,
    /// Remove a user; live connections are closed
    #[command(after_help = "\
Examples:
  keyward user remove app")]
    Remove {
        /// Which user
        name: UserId,
    },
    /// Give a user a new password
    #[command(after_help = "\
Examples:
  keyward user passwd anna                              asks twice at the terminal
  keyward user passwd app --generate                    made by Keyward, shown once
  keyward user passwd app --password-stdin < app.password")]
    Passwd(UserPasswdArgs),
    /// Give a user that is there already the rules of a preset, or take them away
    #[command(after_help = "\
Examples:
  keyward user preset flows --preset node-red
  keyward user preset flows --clear")]
    Preset {
        /// Which user
        name: UserId,
        /// What it gets
        #[command(flatten)]
        args: super::PresetArgs,
    },
    /// Let a user log in on plain listeners, and with its password nowhere else; live connections are closed
    #[command(after_help = "\
Examples:
  keyward user plain old-app
  keyward user plain old-app --clear      takes that back and makes the password void")]
    Plain {
        /// Which user
        name: UserId,
        /// Take it back
        #[arg(long)]
        clear: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct UserAddArgs {
    /// Its name: 1 to 64 letters, digits, '-', '_' and '.', beginning with a letter or digit
    pub(crate) name: UserId,
    /// Make a key and a certificate, and write a bundle
    #[arg(long, conflicts_with_all = ["csr", "password_stdin", "ask_password", "password_hash_stdin"])]
    pub(crate) certificate: bool,
    /// Sign this certificate request (PEM); only its public key is taken
    #[arg(long, value_name = "FILE", conflicts_with_all = ["password_stdin", "ask_password", "password_hash_stdin"])]
    pub(crate) csr: Option<PathBuf>,
    /// Read the password from standard input
    #[arg(long, conflicts_with_all = ["ask_password", "password_hash_stdin"])]
    pub(crate) password_stdin: bool,
    /// Ask for the password at the terminal
    #[arg(long, conflicts_with = "password_hash_stdin")]
    pub(crate) ask_password: bool,
    /// Give it the rules of this preset; `keyward preset list` names them
    #[arg(long, value_name = "PRESET")]
    pub(crate) preset: Option<String>,
    /// The topic that the preset is filled in with [default: what the software comes with, or NAME]
    #[arg(long, value_name = "TOPIC", requires = "preset")]
    pub(crate) topic: Option<String>,
    /// Accept that the topics of the preset overlap with those of somebody else
    #[arg(long, requires = "preset")]
    pub(crate) allow_overlap: bool,
    /// Read the hash of the password from standard input, as it stands in a password file of Mosquitto
    #[arg(long)]
    pub(crate) password_hash_stdin: bool,
    /// Give it nothing to log in with: for the user that clients without a login become
    #[arg(long, conflicts_with_all = ["certificate", "csr", "password_stdin", "ask_password", "password_hash_stdin", "bundle"])]
    pub(crate) no_login: bool,
    /// Let it log in on plain listeners, and with its password nowhere else
    #[arg(long)]
    pub(crate) plain: bool,
    /// What the bundle is for
    #[arg(long, value_enum, value_name = "KIND", default_value = "pem")]
    pub(crate) bundle: super::BundleKind,
    /// Write the bundle into this new directory [default: ./NAME]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// The name or address of the broker that the bundle uses [default: what the broker thinks best]
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct UserPasswdArgs {
    /// Which user
    pub(crate) name: UserId,
    /// Let Keyward make the password, and show it once
    #[arg(long, conflicts_with = "password_stdin")]
    pub(crate) generate: bool,
    /// Read the password from standard input
    #[arg(long)]
    pub(crate) password_stdin: bool,
}
