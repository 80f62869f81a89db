//! The command line as data: every command, argument and help text. What a command does is in the module of its name in `commands`.

mod agent;
mod authority;
mod broker;
mod confirming;
mod groups;
mod import;
mod keys;
mod messages;
mod people;
mod places;
mod sealing;
mod store;
mod things;
mod watching;

pub(crate) use agent::{AgentCommand, AgentEnrollArgs};
pub(crate) use authority::{AuthorityCommand, ProvesArg, TrustAddArgs, TrustBindArgs, TrustCommand};
pub(crate) use broker::{
    AuditArgs, BansCommand, ClockCommand, DenialsArgs, DoctorArgs, DoctorProfile, ExplainArgs,
    ListenerAddArgs, ListenerCommand, LogFormat, NameCommand, PolicyCommand, PresetArgs, PresetCommand,
    ServerCertificateCommand, ServerCommand, Span, UpArgs, Verb,
};
pub(crate) use confirming::ConfirmArgs;
pub(crate) use groups::GroupCommand;
pub(crate) use import::{ImportArgs, ImportCommand, SourceVersion};
pub(crate) use keys::{KeysAddArgs, KeysCommand, Purpose};
pub(crate) use messages::{ConnectArgs, PubArgs, SubArgs, WillArgs};
pub(crate) use people::{UserAddArgs, UserCommand, UserPasswdArgs};
pub(crate) use places::{DevicePlaceArgs, MaintenanceCommand, PlaceArgs, PowerArg, UnsetArg};
pub(crate) use sealing::{Hex, OpenArgs, SealArgs};
pub(crate) use store::{BackupArgs, CheckArgs, ListArgs, OpeningArgs, RestoreArgs, StoreCommand};
pub(crate) use things::{
    BundleKind, ChipArg, DeviceAddArgs, DeviceCommand, DeviceInviteArgs, ExposureArg, NewPresetArgs,
    RekeyArgs,
};
pub(crate) use watching::{IncidentCommand, NotifyCommand, VerdictArg, WatchCommand};

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Secures an MQTT fleet: broker, certificate authority and permissions in one program.
#[derive(Debug, Parser)]
#[command(
    name = "keyward",
    version,
    disable_help_subcommand = true,
    after_help = "\
Examples:
  keyward demo                     see everything work in under a minute, without network
  keyward up                       start the broker; Ctrl-C stops it
  keyward device add dev01         add a device: key, certificate and a filled first command
  keyward denials                  when nothing arrives: who was refused what, and why

Environment:
  KEYWARD_DIR              the directory, as --dir
  KEYWARD_NAMES            more names for the broker's certificate, with commas between them
  KEYWARD_PASSPHRASE_FILE  as --passphrase-file
  KEYWARD_LOG              what `up` logs: info, or for instance warn,keyward_server=debug
  NO_COLOR                 no colour, even on a terminal

Exit codes: 0 done, 1 refused or failed, 2 misuse of the command line."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Is understood by every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Where authorities, registry and configuration live [default: ~/.local/share/keyward, or /var/lib/keyward as a service]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Read the passphrase that protects the keys from this file
    #[arg(long, global = true, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Print JSON for scripts (with a `schema` number) instead of tables for people
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl Global {
    /// Returns the file of the passphrase: `--passphrase-file`, else `KEYWARD_PASSPHRASE_FILE` unless it is empty.
    pub(crate) fn passphrase_file(&self) -> Option<PathBuf> {
        let of_environment = || std::env::var_os("KEYWARD_PASSPHRASE_FILE").filter(|file| !file.is_empty());
        self.passphrase_file.clone().or_else(|| of_environment().map(PathBuf::from))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the broker
    #[command(after_help = UP_EXAMPLES)]
    Up(UpArgs),
    /// Show the whole story in under a minute: no network, nothing left behind
    #[command(after_help = "\
Examples:
  keyward demo                     every step says what was tried, what happened, and whether that was right
  keyward demo --json              the same for a script; exit code 1 if any step was wrong")]
    Demo,
    /// Show what runs, what listens, how many are connected, and what needs attention
    #[command(after_help = "\
Examples:
  keyward status
  keyward status --json")]
    Status,
    /// Say by the exit code whether the broker that runs here does its work: 0 if it does, else 1
    #[command(after_help = "\
Examples:
  keyward healthcheck              for the health check of a container, or a monitor
  keyward healthcheck --json")]
    Healthcheck,
    /// Say what is weak, why it matters, and what mends it
    #[command(after_help = "\
Examples:
  keyward doctor                   what strangers could use
  keyward doctor --profile commercial --strict
  keyward doctor --json

Nothing is changed. The exit code is 1 if something keeps the broker from its work, or with --strict if anything is weak.")]
    Doctor(DoctorArgs),
    /// Add, list, stop and remove devices
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Register, list and replace the keys by which devices sign their messages
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Make groups whose members share a key, and say who is in them
    #[command(subcommand)]
    Group(GroupCommand),
    /// Add, list and remove users: people and applications
    #[command(subcommand)]
    User(UserCommand),
    /// Check the rules, or ask why something is allowed or refused
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Show the rules that come with Keyward for software in homes
    #[command(subcommand)]
    Preset(PresetCommand),
    /// Show who was refused what, how often, by which rule, and the line that would allow it
    #[command(after_help = "\
Examples:
  keyward denials
  keyward denials --since 10m
  keyward denials --since 1d --json")]
    Denials(DenialsArgs),
    /// Change what the broker's certificate names
    #[command(subcommand)]
    Server(ServerCommand),
    /// Accept what other authorities have certified
    #[command(subcommand)]
    Authority(AuthorityCommand),
    /// Change where the broker listens
    #[command(subcommand)]
    Listener(ListenerCommand),
    /// See which addresses are refused because too many logins failed, and let them in again
    #[command(subcommand)]
    Bans(BansCommand),
    /// Read configuration and rules again; a bad file changes nothing
    #[command(after_help = "\
Examples:
  keyward reload                   after editing DIR/keyward.toml or DIR/policy.d/*.toml
  keyward policy check             to look before")]
    Reload,
    /// Confirm the clock after it was found to be wrong
    #[command(subcommand)]
    Clock(ClockCommand),
    /// List the changes that were made, by whom and when
    #[command(after_help = "\
Examples:
  keyward audit
  keyward audit --last 20
  keyward audit --json")]
    Audit(AuditArgs),
    /// See what the watch over devices found: silence, power cuts, theft, clones; and say what it was
    #[command(subcommand)]
    Incident(IncidentCommand),
    /// Ask the watch over devices what it knows, or play a recording to it
    #[command(subcommand)]
    Watch(WatchCommand),
    /// Say where somebody works, so that what falls silent there is no alarm
    #[command(subcommand)]
    Maintenance(MaintenanceCommand),
    /// Try whether incidents are told outside: webhooks, mail, syslog
    #[command(subcommand)]
    Notify(NotifyCommand),
    /// Look through what is stored, make backups and restore them
    #[command(subcommand)]
    Store(StoreCommand),
    /// Take over users, rules and listeners of another broker
    #[command(subcommand)]
    Import(ImportCommand),
    /// Sign a message, as a device or to one; nothing is published
    #[command(after_help = SEAL_EXAMPLES)]
    Seal(SealArgs),
    /// Verify a signed message, and show what it says: exit code 0 if it holds, else 1
    #[command(after_help = OPEN_EXAMPLES)]
    Open(OpenArgs),
    /// Make this machine a device, and report what its programs say
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Publish a message
    #[command(after_help = PUB_EXAMPLES)]
    Pub(PubArgs),
    /// Subscribe, and print what arrives
    #[command(after_help = SUB_EXAMPLES)]
    Sub(SubArgs),
    /// Print the completion script of a shell
    #[command(after_help = "\
Examples:
  keyward completions bash > ~/.local/share/bash-completion/completions/keyward
  keyward completions zsh > ~/.zfunc/_keyward
  keyward completions fish > ~/.config/fish/completions/keyward.fish")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages, one for each command
    #[command(after_help = "\
Examples:
  keyward man --out /usr/local/share/man/man1
  keyward man --out man            then: man ./man/keyward-device-add.1")]
    Man {
        /// The directory to write them into; it is made if it is missing
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

const UP_EXAMPLES: &str = "\
Examples:
  keyward up                       listen on 8883 (MQTT over TLS) and nothing else
  keyward up --port 18883          another port, for instance because 8883 is in use
  keyward up --address 127.0.0.1   reachable from this machine only
  keyward up --name mqtt.home      a name by which clients reach this machine; goes into its certificate
  keyward up --log json            log lines for a collector";

const PUB_EXAMPLES: &str = "\
Examples:
  keyward pub --bundle-dir dev01 -t dev01/status -m '21.5'
  keyward pub --bundle-dir dev01 -t dev01/photo --file photo.jpg -q 1 --retain
  echo on | keyward pub --host localhost --ca ca.pem --user app --password-file app.password -t dev01/display";

const SEAL_EXAMPLES: &str = "\
Examples:
  keyward seal --to-device dev01 -t dev01/set open --valid 30s --output open.cose
  keyward seal --to-device dev01 -t dev01/set --nonce 0123456789abcdef open | keyward pub --bundle-dir app -t dev01/set
  keyward seal --to-device dev01 --encrypt -t dev01/set 'code 4711' --output code.cose      only dev01 reads it
  keyward seal --to-group plant -t plant/set shut --valid 1h --output shut.cose             only members of the group do
  keyward seal --key dev01.key --as dev01 --installation k7m2q9xw4hp3a8cd -t dev01/power 21.5 > reading.cose

A command is good for a minute, or as long as --valid says, or for who gave out --nonce. It is written down who had it signed, not what it
says. A reading that is signed with a key file takes its number from KEY.sequence beside it.";

const OPEN_EXAMPLES: &str = "\
Examples:
  keyward open --from-device dev01 -t dev01/power reading.cose
  keyward open --to-device dev01 -t dev01/set open.cose --json
  keyward open --to-all -t '$keyward/keys/server' key-set.cose
  keyward open --to-all -t plant/set --group plant --group-key plant.key shut.cose
  keyward open --from-device dev01 -t dev01/power --key dev01.pub --installation k7m2q9xw4hp3a8cd reading.cose

Without --key the keys are those that the installation here knows, also retired ones.";

const SUB_EXAMPLES: &str = "\
Examples:
  keyward sub --bundle-dir dev01 -t 'dev01/#'
  keyward sub --bundle-dir dev02 -t '+/status' -C 1
  keyward sub --host localhost --ca ca.pem --user app --password-file app.password -t '#' --json";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_no_installation_or_tpm_has_as_its_name_is_refused_with_where_it_stands() {
        let refused = |line: &str| Cli::try_parse_from(line.split(' ')).err().unwrap().to_string();
        let seal = "keyward seal --key k --as dev01 -t a x --installation k7m2q9xw4hp3a8c";
        assert!(refused(seal).contains("keyward status --json"), "one letter short");
        assert!(Cli::try_parse_from(format!("{seal}d").split(' ')).is_ok());
        let open = "keyward open --from-device dev01 -t a --installation K7M2";
        assert!(refused(open).contains("keyward status --json"));
        assert!(refused("keyward device invite pump-7 --tpm cafe").contains("keyward agent tpm"));
    }

    fn leaves<'a>(command: &'a clap::Command, path: &str, found: &mut Vec<(String, &'a clap::Command)>) {
        for child in command.get_subcommands() {
            let path = format!("{path} {}", child.get_name());
            if child.has_subcommands() {
                leaves(child, &path, found);
            } else {
                found.push((path, child));
            }
        }
    }

    #[test]
    fn every_command_teaches_with_an_example_that_parses() {
        let top = Cli::command();
        let mut found = Vec::new();
        leaves(&top, "keyward", &mut found);
        assert!(found.len() >= 30, "{}", found.len());
        for (path, command) in found {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:"), "{path} has no example");
            let own: Vec<&str> =
                help.lines().map(str::trim).filter(|line| line.starts_with(path.as_str())).collect();
            assert!(!own.is_empty(), "{path} is not in its own examples");
            for example in own {
                let parsed = Cli::try_parse_from(words(example));
                assert!(parsed.is_ok(), "{example}: {}", parsed.err().unwrap());
            }
        }
    }

    /// Splits an example as a shell does, up to its comment (behind many blanks), pipe or redirection.
    fn words(example: &str) -> Vec<String> {
        let command = example.split("   ").next().unwrap();
        let mut words = Vec::new();
        for (index, part) in command.split('\'').enumerate() {
            if index % 2 == 1 {
                words.push(part.to_owned());
            } else {
                words.extend(part.split_whitespace().map(str::to_owned));
            }
        }
        words.into_iter().take_while(|word| !matches!(word.as_str(), "<" | ">" | "|")).collect()
    }

    #[test]
    fn no_argument_takes_a_secret() {
        let top = Cli::command();
        let mut found = Vec::new();
        leaves(&top, "keyward", &mut found);
        for (path, command) in found {
            for argument in command.get_arguments() {
                let name = argument.get_id().as_str();
                let takes_value = argument.get_action().takes_values();
                let secret = name.contains("pass") && !name.ends_with("file");
                assert!(!(secret && takes_value), "{path} takes {name} as a value");
            }
        }
    }
}
