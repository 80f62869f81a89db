//! Arguments of `authority`: what was certified elsewhere and is accepted here.

use clap::{Args, Subcommand, ValueEnum};
use keyward_ids::Identity;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum AuthorityCommand {
    /// Accept client certificates of an authority that is not Keyward's own
    #[command(subcommand)]
    Trust(TrustCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum TrustCommand {
    /// Accept client certificates of one more authority
    #[command(after_help = "\
Examples:
  keyward authority trust add old --ca ca.crt --identity common-name
  keyward authority trust add old --ca ca.crt --identity common-name --crl ca.crl
  keyward authority trust add gate --ca ca.crt --identity none      the password says who it is

A name in such a certificate stands for nobody until it is bound: keyward authority trust bind.")]
    Add(TrustAddArgs),
    /// List the authorities whose client certificates are accepted, and whom their names stand for
    #[command(after_help = "\
Examples:
  keyward authority trust list
  keyward authority trust list --json")]
    List,
    /// Accept nothing of an authority any more; live connections are closed
    #[command(after_help = "\
Examples:
  keyward authority trust remove old")]
    Remove {
        /// Which authority
        name: String,
    },
    /// Replace the list of revoked certificates of an authority; live connections under it are closed and come back
    #[command(after_help = "\
Examples:
  keyward authority trust crl old --crl ca.crl")]
    Crl {
        /// Which authority
        name: String,
        /// The new list (PEM, or DER)
        #[arg(long, value_name = "FILE")]
        crl: PathBuf,
    },
    /// Let a common name in certificates of an authority stand for a device or user
    #[command(after_help = "\
Examples:
  keyward authority trust bind old device:pump-1
  keyward authority trust bind old user:anna --common-name 'Anna Maria'
  keyward authority trust bind old device:pump-1 --certificate pump-1.crt      this key and no other")]
    Bind(TrustBindArgs),
    /// Let a common name stand for nobody again; live connections are closed
    #[command(after_help = "\
Examples:
  keyward authority trust unbind old pump-1")]
    Unbind {
        /// Which authority
        name: String,
        /// Which common name
        common_name: String,
    },
    /// Use an authority again after the ledger was restored from a backup
    #[command(after_help = "\
Examples:
  keyward authority trust list             look whom its names stand for
  keyward authority trust confirm old")]
    Confirm {
        /// Which authority
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TrustAddArgs {
    /// What to call it: 1 to 32 lower-case letters, digits and '-'
    pub(crate) name: String,
    /// Its certificates (PEM, or DER of a single one); no key
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: PathBuf,
    /// What a certificate of it proves
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) identity: ProvesArg,
    /// Its list of revoked certificates (PEM, or DER of a single one)
    #[arg(long, value_name = "FILE")]
    pub(crate) crl: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct TrustBindArgs {
    /// Which authority
    pub(crate) name: String,
    /// For whom: device:ID or user:NAME, which exists already
    pub(crate) identity: Identity,
    /// The common name in the certificate [default: the ID or NAME]
    #[arg(long, value_name = "NAME")]
    pub(crate) common_name: Option<String>,
    /// Accept only the public key of this certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProvesArg {
    /// Who the client is: its common name was bound to an identity
    CommonName,
    /// Nothing but that it may knock; a password says who it is
    None,
}
