//! Arguments of the commands about the watch over devices: `watch`, `incident`, `notify`.

use clap::{Subcommand, ValueEnum};
use std::path::PathBuf;

/// Reads the number of an incident.
fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "incidents have numbers: `keyward incident list` shows them".to_owned())
}

#[derive(Debug, Subcommand)]
pub(crate) enum WatchCommand {
    /// Say what the watch knows of a device: where it stands, how often it reports, when it would be missed
    #[command(after_help = "\
Examples:
  keyward watch explain pump-1
  keyward watch explain pump-1 --json")]
    Explain {
        /// The device
        device: String,
    },
    /// Play a recording to a watch of its own, and print what it would have told; no broker is needed
    #[command(after_help = "\
`record` in the section [watch] of DIR/keyward.toml has the broker record what the watch hears in DIR/watch.jsonl; what is older
is in DIR/watch.before.jsonl.

Examples:
  keyward watch replay DIR/watch.jsonl
  keyward watch replay DIR/watch.jsonl --device pump-1
  keyward watch replay DIR/watch.jsonl --json")]
    Replay {
        /// The recording; - reads standard input
        file: PathBuf,
        /// Print only what concerns this device
        #[arg(long, value_name = "ID")]
        device: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum IncidentCommand {
    /// List what is open, the newest last
    #[command(after_help = "\
Examples:
  keyward incident list
  keyward incident list --all --json")]
    List {
        /// Those too that are over
        #[arg(long)]
        all: bool,
    },
    /// Show all that is known of an incident: what speaks for it, what became of it, and what to do
    #[command(after_help = "\
Examples:
  keyward incident show 7
  keyward incident show 7 --json
  keyward incident show 7 --message 1 | keyward open --from-device pump-1 -t devices/pump-1/alarm

Commands that help stand at its end.")]
    Show {
        /// Its number, as `incident list` shows it
        #[arg(value_parser = number)]
        number: u64,
        /// Print one of the signed messages that prove it instead, in base64, as it came
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
        message: Option<u64>,
    },
    /// Say that you look after an incident: nobody else is called for it
    #[command(after_help = "\
Examples:
  keyward incident ack 7 --note 'on my way'")]
    Ack {
        /// Its number
        #[arg(value_parser = number)]
        number: u64,
        /// What others should know
        #[arg(long)]
        note: Option<String>,
    },
    /// Say what an incident was: it is done with, and its kind is judged by that
    #[command(after_help = "\
Examples:
  keyward incident resolve 7 true --note 'the cable was cut'
  keyward incident resolve 8 benign --note 'moved to hall 2'

Of a kind of incident of which people called more than half of the last 20 false, nobody is called any more.")]
    Resolve {
        /// Its number
        #[arg(value_parser = number)]
        number: u64,
        /// What it was
        verdict: VerdictArg,
        /// What others should know
        #[arg(long)]
        note: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum NotifyCommand {
    /// Send a test to each place that keyward.toml names below [notify], and say what happened
    #[command(after_help = "\
Examples:
  keyward notify test
  keyward notify test --json       what happened, for programs

The exit code is 1 if one of them did not take it.")]
    Test,
}

/// Is what a person says that an incident was.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum VerdictArg {
    /// What it was taken for
    True,
    /// Something else, and nothing to be called for
    False,
    /// What it was taken for, and wanted
    Benign,
}
