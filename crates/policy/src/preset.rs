//! Presets: rule files for software that people run already, as readable texts in `presets/`.
//!
//! The rule of use: [`Preset::named`], then [`Preset::fill`] with whose it is and its topic; what comes out is the text of
//! a rule file, and which filters of it follow from the topic. What is filled in is checked to be plain text within one
//! level: it can never become a wildcard, a further level or another line.
//!
//! What is not here: writing the file and putting it in force (`server`); whether somebody else uses the topics
//! ([`Policy::preset_overlaps`](crate::Policy::preset_overlaps)).

use crate::{SourceFile, file::PresetShape, filter::Filter, template::Template};
use keyward_ids::{Identity, Kind, MAX_NAME_LEN};

/// Is one of the rule files that come with Keyward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    name: &'static str,
    kind: Kind,
    about: &'static str,
    topic: Topic,
    text: &'static str,
}

/// Says what a preset does with `--topic`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Topic {
    /// It has none.
    None,
    /// It takes one; without it, this.
    Default(&'static str),
    /// It takes one; without it, the name of the account.
    Name,
}

macro_rules! preset {
    ($name:literal, $kind:ident, $topic:expr, $about:literal) => {
        Preset {
            name: $name,
            kind: Kind::$kind,
            about: $about,
            topic: $topic,
            text: include_str!(concat!("../presets/", $name, ".toml")),
        }
    };
}

/// All presets, in the order in which they are listed.
pub const PRESETS: &[Preset] = &[
    preset!("home", User, Topic::None, "one login for a whole house: everything but what begins with $"),
    preset!("home-assistant", User, Topic::None, "reads everything, writes commands, its birth and its will"),
    preset!("zigbee2mqtt", User, Topic::Default("zigbee2mqtt"), "below zigbee2mqtt/, and discovery"),
    preset!("frigate", User, Topic::Default("frigate"), "below frigate/"),
    preset!("node-red", User, Topic::Name, "reads everything, writes commands and below its own name"),
    preset!("viewer", User, Topic::None, "reads everything, writes nothing"),
    preset!("plain", Device, Topic::Name, "below one topic"),
    preset!(
        "tasmota",
        Device,
        Topic::Name,
        "cmnd/, stat/ and tele/ of one device; discovery with its MAC address"
    ),
    preset!("esphome", Device, Topic::Name, "below its name, and discovery under its name"),
    preset!("shelly", Device, Topic::Name, "below its name, and below shellies/ and its name"),
];

/// The topics that belong to many: nobody has one of them as its own.
const SHARED: &[&str] =
    &["cmnd", "esphome", "homeassistant", "shellies", "stat", "tasmota", "tasmotas", "tele"];

/// What stands in the texts where the MAC address is to be filled in, whole and its second half.
const MAC: &str = "<mac>";
const MAC_END: &str = "<mac6>";
const WHO: &str = "<who>";
const TOPIC: &str = "<topic>";

/// Holds what a preset is filled with. Texts are as an operator typed them.
#[derive(Debug, Clone, Copy)]
pub struct Filling<'a> {
    /// Whose rules they are.
    pub who: &'a Identity,
    /// The topic; without it what the software comes with, or the name of the account.
    pub topic: Option<&'a str>,
    /// The MAC address of the device, twelve hexadecimal digits, colons and hyphens between them or not.
    pub mac: Option<&'a str>,
}

/// Is a preset that was filled in.
#[derive(Debug, Clone)]
pub struct Filled {
    /// The text of the rule file.
    pub text: String,
    /// The topic that was filled in, if the preset has one.
    pub topic: Option<String>,
    /// What was left out of the text, and why: a sentence.
    pub left_out: Option<&'static str>,
    pub(crate) own: Vec<Own>,
}

/// Is a filter that follows from the topic or the MAC address, with the place of the level that holds it.
#[derive(Debug, Clone)]
pub(crate) struct Own {
    pub(crate) filter: Filter,
    pub(crate) level: usize,
}

/// Says of a rule file that it was made from a preset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedPreset {
    /// The name of the file.
    pub file: String,
    /// The name of the preset; of another version of Keyward perhaps.
    pub name: String,
    /// Whose rules they are.
    pub who: Identity,
    /// The topic that was filled in, if there is one.
    pub topic: Option<String>,
    /// The MAC address that was filled in, if there is one.
    pub mac: Option<String>,
    /// Whether the file says something else than this version of the preset.
    pub edited: bool,
}

impl AppliedPreset {
    pub(crate) fn of_file(file: &SourceFile, shape: &PresetShape, who: Identity) -> Self {
        let filling = Filling { who: &who, topic: shape.topic.as_deref(), mac: shape.mac.as_deref() };
        let made = Preset::named(&shape.name).and_then(|preset| preset.fill(&filling));
        Self {
            file: file.name.clone(),
            name: shape.name.clone(),
            edited: made.map_or(true, |made| made.text != file.text),
            topic: shape.topic.clone(),
            mac: shape.mac.clone(),
            who,
        }
    }

    /// Tells whether a level of a filter follows from the topic or the MAC address.
    pub(crate) fn owns_level(&self, level: &str) -> bool {
        let mac = |mac: &String| {
            level == mac
                || level.strip_prefix("DVES_").is_some_and(|end| mac.ends_with(end.trim_end_matches("_fb")))
        };
        self.topic.as_deref() == Some(level) || self.mac.as_ref().is_some_and(mac)
    }
}

/// Says why a preset cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PresetError {
    /// There is no such preset.
    Unknown(String),
    /// It is for users, not for devices, or the other way round.
    Kind(Preset),
    /// It has no topic to choose.
    NoTopic(Preset),
    /// It has no MAC address to fill in.
    NoMac(Preset),
    /// The topic is not plain text of one level.
    Topic(String),
    /// The topic belongs to many.
    Shared(String),
    /// This is no MAC address.
    Mac(String),
}

impl core::fmt::Display for PresetError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        use crate::quote::Quoted;
        match self {
            Self::Unknown(name) => {
                write!(f, "there is no preset {}; `keyward preset list` names them", Quoted(name))
            }
            Self::Kind(preset) => match preset.kind {
                Kind::User => {
                    write!(f, "preset {0} is for users: keyward user add NAME --preset {0}", preset.name)
                }
                Kind::Device => {
                    write!(f, "preset {0} is for devices: keyward device add ID --preset {0}", preset.name)
                }
            },
            Self::NoTopic(preset) => {
                write!(f, "preset {} has no topic to choose; leave --topic away", preset.name)
            }
            Self::NoMac(preset) => write!(f, "preset {} needs no MAC address; leave --mac away", preset.name),
            Self::Topic(topic) => write!(
                f,
                "topic {} is not one level of 1 to {MAX_NAME_LEN} letters, digits, '-', '_' and '.', beginning with a \
                 letter, a digit or '_'",
                Quoted(topic)
            ),
            Self::Shared(topic) => {
                write!(
                    f,
                    "topic {} is shared by many devices and cannot be the topic of one; choose another",
                    Quoted(topic)
                )
            }
            Self::Mac(mac) => write!(
                f,
                "{} is not a MAC address: twelve hexadecimal digits, such as 5C:CF:7F:12:34:56 (Tasmota shows it under \
                 Information)",
                Quoted(mac)
            ),
        }
    }
}

impl core::error::Error for PresetError {}

impl Preset {
    /// Finds a preset by its name.
    ///
    /// # Errors
    /// [`PresetError::Unknown`].
    pub fn named(name: &str) -> Result<Self, PresetError> {
        let found = PRESETS.iter().find(|preset| preset.name == name);
        found.copied().ok_or_else(|| PresetError::Unknown(name.chars().take(MAX_NAME_LEN).collect()))
    }

    /// Returns its name, such as `tasmota`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns for what kind of account it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Says in half a line what it allows.
    pub fn about(&self) -> &'static str {
        self.about
    }

    /// Returns the text before anything is filled in.
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// Fills the text in. Rules that need a MAC address are left out if there is none.
    ///
    /// # Errors
    /// [`PresetError`] says what does not fit and what to do.
    pub fn fill(&self, filling: &Filling<'_>) -> Result<Filled, PresetError> {
        if filling.who.kind() != self.kind {
            return Err(PresetError::Kind(*self));
        }
        let topic = self.topic_of(filling)?;
        let mac = match filling.mac {
            Some(_) if !self.text.contains(MAC) => return Err(PresetError::NoMac(*self)),
            Some(given) => Some(mac_of(given)?),
            None => None,
        };
        let values = Values { who: filling.who.to_string(), topic, mac };
        let (kept, dropped): (Vec<_>, Vec<_>) =
            self.text.split("\n\n").map(|part| values.lines(part)).partition(|part| values.can_fill(part));
        let text: Vec<String> = kept.iter().map(|part| values.fill(part)).collect();
        Ok(Filled {
            text: text.join("\n\n").trim_end().to_owned() + "\n",
            own: kept.iter().flat_map(|part| values.own(part)).collect(),
            topic: values.topic,
            left_out: (!dropped.is_empty()).then_some(
                "without --mac, discovery and the commands under the end of the MAC address are not allowed",
            ),
        })
    }

    fn topic_of(&self, filling: &Filling<'_>) -> Result<Option<String>, PresetError> {
        let topic = match (self.topic, filling.topic) {
            (Topic::None, Some(_)) => return Err(PresetError::NoTopic(*self)),
            (Topic::None, None) => return Ok(None),
            (_, Some(given)) => given,
            (Topic::Default(topic), None) => topic,
            (Topic::Name, None) => filling.who.name(),
        };
        check_topic(topic)?;
        Ok(Some(topic.to_owned()))
    }
}

/// The grammar is that of names, so that nothing in it means anything in a filter, a TOML text or a template.
fn check_topic(topic: &str) -> Result<(), PresetError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let begins = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if topic.len() > MAX_NAME_LEN || !topic.starts_with(begins) || !topic.chars().all(plain) {
        return Err(PresetError::Topic(topic.chars().take(MAX_NAME_LEN).collect()));
    }
    if SHARED.contains(&topic) {
        return Err(PresetError::Shared(topic.to_owned()));
    }
    Ok(())
}

fn mac_of(given: &str) -> Result<String, PresetError> {
    let digits: String = given.chars().filter(|c| !matches!(c, ':' | '-')).collect();
    if digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(digits.to_ascii_uppercase());
    }
    Err(PresetError::Mac(given.chars().take(MAX_NAME_LEN).collect()))
}

struct Values {
    who: String,
    topic: Option<String>,
    mac: Option<String>,
}

impl Values {
    /// Leaves out the line of the preset's own table that names a value which there is not.
    fn lines(&self, part: &str) -> String {
        let absent = |line: &&str| line.starts_with("mac ") && self.mac.is_none();
        part.lines().filter(|line| !absent(line)).collect::<Vec<_>>().join("\n")
    }

    fn can_fill(&self, part: &str) -> bool {
        self.mac.is_some() || !(part.contains(MAC) || part.contains(MAC_END))
    }

    fn fill(&self, part: &str) -> String {
        let mut text = part.replace(WHO, &self.who);
        if let Some(topic) = &self.topic {
            text = text.replace(TOPIC, topic);
        }
        if let Some(mac) = &self.mac {
            text = text.replace(MAC, mac).replace(MAC_END, &mac[mac.len() - 6..]);
        }
        text
    }

    /// Returns the filters of a part that follow from the topic or the MAC address.
    fn own(&self, part: &str) -> Vec<Own> {
        let quoted = part
            .lines()
            .filter(|line| !line.starts_with(['#', 'n']))
            .flat_map(|line| line.split('"').skip(1).step_by(2));
        let own = |raw: &str| {
            let level = raw.split('/').position(|level| level.contains('<'))?;
            let filter = Template::parse(&self.fill(raw)).ok()?.literal()?;
            raw.contains('/').then_some(Own { filter, level })
        };
        quoted.filter_map(own).collect()
    }
}
