//! Arguments of `agent`: this machine as a device.

use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Make this machine a device: keys are made here, and the certificate is fetched with a claim
    #[command(after_help = "\
Examples:
  keyward agent enroll --folder /var/lib/keyward-agent claim.txt       the string of `keyward device invite`, in a file
  keyward agent enroll --folder dev01 --keys tpm:dev01/keys -          from standard input, keys in the TPM
  zbarcam --raw -1 | keyward agent enroll --folder dev01               from a QR code

The claim is a secret until it was used, so it is no argument: whoever lists processes would read it.")]
    Enroll(AgentEnrollArgs),
    /// Show the fingerprint of this machine's TPM, for `keyward device invite --tpm`: nobody else gets something for the code then
    #[command(after_help = "\
Examples:
  keyward agent tpm
  keyward agent tpm --keys tpm:dev01/keys?device=/dev/tpmrm0
  keyward agent tpm --json                                   with the key, and its maker's certificate if the TPM holds one")]
    Tpm {
        /// The keys in the TPM; there need not be any yet [default: the TPM at /dev/tpmrm0]
        #[arg(long, value_name = "STORE")]
        keys: Option<String>,
    },
    /// Report what programs say, and tell them what the server commands
    #[command(after_help = "\
Examples:
  keyward agent run --config /etc/keyward/agent.toml
  keyward agent run --config agent.toml                      lines come on standard input with `stdin = true`")]
    Run {
        /// What it does: see docs/device.md
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Show how the agent stands that runs here, or what is kept while it does not
    #[command(after_help = "\
Examples:
  keyward agent status --config /etc/keyward/agent.toml
  keyward agent status --config agent.toml --json")]
    Status {
        /// The configuration of the agent
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Have the agent report something; done when it is stored
    #[command(after_help = "\
Examples:
  keyward agent send --config agent.toml devices/dev01/door open
  date | keyward agent send --config agent.toml devices/dev01/time -")]
    Send {
        /// The configuration of the agent, which names its socket
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Where, as it is published
        topic: String,
        /// What; `-` reads standard input
        payload: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AgentEnrollArgs {
    /// A file with the claim; `-` is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) claim: PathBuf,
    /// Where the device keeps who it is and what waits; it is made if it is missing
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Where the keys are made: file:DIR, sealed:DIR?secret=FILE, pkcs11:…, tpm:DIR [default: file:FOLDER/keys]
    #[arg(long, value_name = "STORE")]
    pub(crate) keys: Option<String>,
    /// Enrol anew what is enrolled already, with the keys that are there
    #[arg(long)]
    pub(crate) again: bool,
}
