//! `agent.toml`: where a device keeps what, what it reports, and what it obeys.

use crate::args::Span;
use crate::failure::{Failure, Outcome};
use crate::hex;
use keyward_device::heartbeat::Nameplate;
use keyward_device::{BatchRule, EncryptRule, Full, KeySpec, OnTamper, Readers, Settings as OutboxSettings};
use keyward_envelope::PublicKey;
use keyward_identity::{AgreementKey, files};
use serde::{Deserialize, Deserializer};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// Bytes of the file.
const FILE_BYTES: usize = 256 * 1_024;

/// Bytes of the file of a recipient's key.
const KEY_FILE_BYTES: usize = 4 * 1_024;

/// Is what the file says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// What the device keeps: who it is, what waits.
    pub(crate) folder: PathBuf,
    /// Where its keys are; `file:FOLDER/keys` if nothing is said.
    #[serde(default, deserialize_with = "parsed_option")]
    keys: Option<KeySpec>,
    /// Whether lines come on standard input, and answers and commands go to standard output.
    #[serde(default)]
    pub(crate) stdin: bool,
    /// Topic filters on which it obeys; `{id}` is its name.
    #[serde(default = "commands")]
    pub(crate) commands: Vec<String>,
    /// How often it says how it is.
    #[serde(default = "minute", deserialize_with = "span")]
    pub(crate) heartbeat: Duration,
    /// How long the broker keeps commands for it while it is away.
    #[serde(default = "hour", deserialize_with = "span")]
    pub(crate) session: Duration,
    /// Whether the machine's clock is believed where it was set.
    #[serde(default = "yes")]
    pub(crate) clock: bool,
    #[serde(default)]
    pub(crate) socket: Option<SocketPlace>,
    #[serde(default)]
    outbox: OutboxTable,
    #[serde(default)]
    nameplate: NameplateTable,
    #[serde(default)]
    pub(crate) tamper: TamperTable,
    #[serde(default)]
    pub(crate) power: PowerTable,
    #[serde(default)]
    batch: Vec<BatchTable>,
    #[serde(default)]
    encrypt: Vec<EncryptTable>,
    #[serde(default)]
    pub(crate) poll: Vec<Poll>,
    #[serde(default)]
    pub(crate) command: Vec<Order>,
}

/// Is the agent's Unix socket.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SocketPlace {
    pub(crate) path: PathBuf,
    /// Whether the group of the file may speak, too (0660 in place of 0600).
    #[serde(default)]
    pub(crate) group: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutboxTable {
    max_entries: Option<u64>,
    max_bytes: Option<u64>,
    #[serde(default)]
    full: FullWord,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FullWord {
    #[default]
    Refuse,
    DropOldest,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NameplateTable {
    hardware_model: Option<String>,
    software_name: Option<String>,
    software_version: Option<String>,
    /// A file of the kernel with the supply's voltage in microvolts.
    supply: Option<PathBuf>,
}

/// Says what becomes of a device that is opened.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TamperTable {
    /// `report` or `destroy`.
    #[serde(default)]
    pub(crate) on_tamper: OnTamper,
    /// A file, a GPIO's value for instance: its device was opened when it holds `1`.
    pub(crate) file: Option<PathBuf>,
}

/// Says how a failing supply is noticed, besides by SIGPWR and the line `!power-lost`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PowerTable {
    /// A file, a GPIO's value for instance: the supply fails when it holds `1`.
    pub(crate) file: Option<PathBuf>,
}

/// Says of which topics readings are gathered into one message, and until when.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchTable {
    /// Topic filters; `{id}` is the device's name.
    topics: Vec<String>,
    #[serde(default = "sixteen")]
    messages: usize,
    #[serde(default = "eight_kib")]
    bytes: usize,
    /// How long the first one waits at most, and with it its answer.
    #[serde(default = "ten_seconds", deserialize_with = "span")]
    within: Duration,
}

/// Says for whom what is said on some topics is encrypted: for the holder of a key, or for a group.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct EncryptTable {
    /// Topic filters; `{id}` is the device's name.
    topics: Vec<String>,
    /// A file with the public key of who reads it, P-256 in PEM or as `COSE_Key`.
    recipient: Option<PathBuf>,
    /// Which key that is: SHA-256 of its required parts (RFC 9679), 64 hexadecimal digits.
    thumbprint: Option<String>,
    /// The group that reads it.
    group: Option<String>,
}

impl EncryptTable {
    fn readers(&self) -> Result<Readers, String> {
        match (&self.recipient, &self.thumbprint, &self.group) {
            (None, None, Some(group)) => Ok(Readers::Group(group.clone())),
            (Some(path), thumbprint, None) => recipient(path, thumbprint.as_deref()).map(Readers::Holder),
            _ => {
                Err("an [[encrypt]] names either a `group`, or a `recipient` and its `thumbprint`".to_owned())
            }
        }
    }
}

/// Reads a recipient's public key, and compares it with the one that was meant: who changes the file reads nothing.
fn recipient(path: &Path, thumbprint: Option<&str>) -> Result<PublicKey, String> {
    let failed = |problem: String| format!("{}: {problem}", path.display());
    let bytes = files::read_regular(path, KEY_FILE_BYTES).map_err(|error| error.to_string())?;
    let key = AgreementKey::read_file(&bytes).map_err(|error| failed(error.to_string()))?;
    let (key, _) = PublicKey::from_cose(&key.cose()).map_err(|error| failed(error.to_string()))?;
    let found = hex::encode(&key.thumbprint());
    match thumbprint {
        Some(meant) if meant.eq_ignore_ascii_case(&found) => Ok(key),
        Some(_) => {
            Err(failed(format!("this is another key than the one that is meant: its thumbprint is {found}")))
        }
        None => Err(failed(format!(
            "say which key is meant: thumbprint = \"{found}\", if its first 16 digits are those that `keyward keys list` shows of the recipient"
        ))),
    }
}

/// Is a command that is run again and again, and whose output is reported.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Poll {
    pub(crate) run: Vec<String>,
    #[serde(deserialize_with = "span")]
    pub(crate) every: Duration,
    /// Where; `{id}` is the device's name.
    pub(crate) topic: String,
    #[serde(default = "ten_seconds", deserialize_with = "span")]
    pub(crate) timeout: Duration,
}

/// Is what is run for a command of the server's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    /// A topic; `{id}` is the device's name, and `#` at the end stands for all below.
    pub(crate) topic: String,
    /// The program and its arguments; the payload comes on its standard input.
    pub(crate) run: Vec<String>,
    #[serde(default = "ten_seconds", deserialize_with = "span")]
    pub(crate) timeout: Duration,
}

impl Config {
    /// Reads the file.
    pub(crate) fn load(path: &Path) -> Outcome<Self> {
        let bytes = files::read_regular(path, FILE_BYTES).map_err(Failure::failed)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Failure::failed(format!("{}: it is not UTF-8 text", path.display())))?;
        Self::parse(&text).map_err(|problem| Failure::failed(format!("{}: {problem}", path.display())))
    }

    /// Reads the text of the file; what is wrong is said with its line.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let runs = self.poll.iter().map(|poll| &poll.run).chain(self.command.iter().map(|order| &order.run));
        for run in runs {
            if !run.first().is_some_and(|program| program.starts_with('/')) {
                return Err("`run` begins with the full path of a program, then its arguments: run = [\"/usr/bin/cat\", \"/sys/…\"]".to_owned());
            }
        }
        self.batches("{id}").iter().try_for_each(BatchRule::check)?;
        if self.batch.len() > keyward_device::limits::RULES {
            return Err("more than 64 [[batch]]; one may have several `topics`".to_owned());
        }
        if !self.clock && self.encrypt.iter().any(|table| table.recipient.is_some()) {
            return Err("`clock = false` and [[encrypt]] with a `recipient` do not go together: what a link left unsent is written anew, and only its recipient could open it; encrypt for a `group`".to_owned());
        }
        if self.poll.iter().any(|poll| poll.every < Duration::from_secs(1)) {
            return Err("`every` of a [[poll]] is at least 1s".to_owned());
        }
        if self.heartbeat < Duration::from_secs(1) {
            return Err("`heartbeat` is at least 1s".to_owned());
        }
        if self.commands.len() > keyward_device::limits::COMMAND_FILTERS {
            return Err(
                "`commands` has more than 16 filters; one with # at its end stands for many".to_owned()
            );
        }
        Ok(())
    }

    /// Returns where the keys are.
    pub(crate) fn keys(&self) -> KeySpec {
        self.keys.clone().unwrap_or_else(|| default_keys(&self.folder))
    }

    pub(crate) fn outbox(&self) -> OutboxSettings {
        let usual = OutboxSettings::default();
        OutboxSettings {
            max_entries: self.outbox.max_entries.unwrap_or(usual.max_entries),
            max_bytes: self.outbox.max_bytes.unwrap_or(usual.max_bytes),
            full: match self.outbox.full {
                FullWord::Refuse => Full::Refuse,
                FullWord::DropOldest => Full::DropOldest,
            },
        }
    }

    /// Returns for whom what is said is encrypted, by the device of this name.
    pub(crate) fn encryption(&self, id: &str) -> Outcome<Vec<EncryptRule>> {
        let rule = |table: &EncryptTable| {
            let topics = table.topics.iter().map(|topic| of_device(topic, id)).collect();
            table.readers().map(|readers| EncryptRule { topics, readers }).map_err(Failure::failed)
        };
        self.encrypt.iter().map(rule).collect()
    }

    /// Returns what is gathered, for the device of this name.
    pub(crate) fn batches(&self, id: &str) -> Vec<BatchRule> {
        let rule = |table: &BatchTable| BatchRule {
            topics: table.topics.iter().map(|topic| of_device(topic, id)).collect(),
            messages: table.messages,
            bytes: table.bytes,
            within: table.within,
        };
        self.batch.iter().map(rule).collect()
    }

    pub(crate) fn nameplate(&self) -> Nameplate {
        let table = self.nameplate.clone();
        Nameplate {
            oem_id: None,
            hardware_model: table.hardware_model.map(String::into_bytes),
            software_name: table.software_name.or_else(|| Some("keyward-agent".to_owned())),
            software_version: table.software_version.or_else(|| Some(env!("CARGO_PKG_VERSION").to_owned())),
            supply: table.supply,
        }
    }
}

/// Returns where keys are if nobody says.
pub(crate) fn default_keys(folder: &Path) -> KeySpec {
    KeySpec::File { dir: folder.join("keys") }
}

/// Puts the device's name into a topic.
pub(crate) fn of_device(topic: &str, id: &str) -> String {
    topic.replace("{id}", id)
}

fn commands() -> Vec<String> {
    vec!["devices/{id}/commands/#".to_owned()]
}

fn minute() -> Duration {
    Duration::from_secs(60)
}

fn hour() -> Duration {
    Duration::from_secs(3_600)
}

fn yes() -> bool {
    true
}

fn sixteen() -> usize {
    16
}

fn eight_kib() -> usize {
    8 * 1_024
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    Span::from_str(&text).map(|span| span.0).map_err(serde::de::Error::custom)
}

fn parsed_option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<KeySpec>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_only_names_the_folder_is_enough() {
        let config = Config::parse("folder = \"/var/lib/keyward-agent\"").unwrap();
        assert_eq!(config.keys().to_string(), "file:/var/lib/keyward-agent/keys");
        assert_eq!(config.commands, ["devices/{id}/commands/#"]);
        assert_eq!(of_device(&config.commands[0], "pump-1"), "devices/pump-1/commands/#");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, expected) in [
            ("folder = \"/x\"\nfolders = 1", "line 2"),
            ("folder = \"/x\"\nheartbeat = \"soon\"", "line 2"),
            ("folder = \"/x\"\nkeys = \"usb:x\"", "line 2"),
            ("folder = \"/x\"\n[[poll]]\nrun = [\"cat\"]\nevery = \"5s\"\ntopic = \"a\"", "full path"),
            ("folder = \"/x\"\n[[poll]]\nrun = [\"/bin/cat\"]\nevery = \"0s\"\ntopic = \"a\"", "at least 1s"),
            ("folder = \"/x\"\n[[batch]]\ntopics = [\"a/#/b\"]", "a/#/b"),
            ("folder = \"/x\"\n[[batch]]\ntopics = [\"a\"]\nmessages = 2000", "1 to 1024"),
            ("", "folder"),
        ] {
            let problem = Config::parse(text).unwrap_err();
            assert!(problem.contains(expected), "{text}: {problem}");
        }
    }
}
