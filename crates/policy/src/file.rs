//! The shape of a rule file: which keys there are and of what kind, not yet what they mean.

use crate::error::{Fault, PolicyError};
use core::{fmt, ops::Range};
use serde::{Deserialize, Deserializer, de};
use std::collections::BTreeMap;
use toml::Spanned;

/// Is one rule file as the caller read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// What errors and citations print, such as `policy.d/app.toml`.
    pub name: String,
    /// The whole text.
    pub text: String,
}

impl SourceFile {
    /// Takes a file's name and text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileShape {
    pub(crate) preset: Option<PresetShape>,
    pub(crate) tier: Option<Spanned<i64>>,
    #[serde(default)]
    pub(crate) roles: BTreeMap<Spanned<String>, RoleShape>,
    #[serde(default, rename = "rule")]
    pub(crate) rules: Vec<Spanned<RuleShape>>,
    #[serde(default, rename = "decide-late")]
    pub(crate) late: Vec<Spanned<LateShape>>,
    #[serde(default)]
    pub(crate) signed: Vec<Spanned<SignedShape>>,
}

/// Says from which preset a file was made, and with which values.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PresetShape {
    pub(crate) name: String,
    pub(crate) who: Spanned<String>,
    pub(crate) topic: Option<String>,
    pub(crate) mac: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleShape {
    pub(crate) members: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleShape {
    pub(crate) who: Option<Spanned<Words>>,
    pub(crate) allow: Option<Spanned<Words>>,
    pub(crate) deny: Option<Spanned<Words>>,
    pub(crate) topics: Option<Spanned<Words>>,
    #[serde(default)]
    pub(crate) plain_client_id: bool,
    pub(crate) note: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LateShape {
    pub(crate) who: Option<Spanned<Words>>,
    pub(crate) what: Option<Spanned<Words>>,
    pub(crate) note: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignedShape {
    pub(crate) who: Option<Spanned<Words>>,
    pub(crate) topics: Option<Spanned<Words>>,
    pub(crate) check: Option<Spanned<String>>,
    pub(crate) level: Option<Spanned<i64>>,
    pub(crate) max_offline: Option<Spanned<String>>,
    pub(crate) note: Option<Spanned<String>>,
}

/// Is a word or a list of words, each with its place if it is one of a list.
pub(crate) enum Words {
    One(String),
    Many(Vec<Spanned<String>>),
}

impl Words {
    /// Returns each word with its place; a single one stands where the whole value does.
    pub(crate) fn each(value: &Spanned<Self>) -> Vec<(&str, Range<usize>)> {
        match value.get_ref() {
            Self::One(word) => vec![(word, value.span())],
            Self::Many(words) => words.iter().map(|word| (word.get_ref().as_str(), word.span())).collect(),
        }
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Words;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or an array of texts")
            }
            fn visit_str<E: de::Error>(self, word: &str) -> Result<Words, E> {
                Ok(Words::One(word.to_owned()))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Words, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = seq.next_element()? {
                    words.push(word);
                }
                Ok(Words::Many(words))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Reads the shape of a file.
///
/// # Errors
/// The first place where the text is no TOML, has a key that we do not know or a value of another kind.
pub(crate) fn parse(file: &SourceFile) -> Result<FileShape, Box<PolicyError>> {
    toml::from_str(&file.text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        let written = file.text.get(span.clone()).unwrap_or_default();
        let message = error.message();
        let (problem, expected) = match message.split_once(", expected ") {
            Some((problem, expected)) => (problem, expected.to_owned()),
            None => (message, "a rule file in TOML".to_owned()),
        };
        let key = key_at(&file.text, span.start);
        let help = format!("{}: see docs/permissions.md", problem.lines().collect::<Vec<_>>().join(" "));
        Box::new(Fault::new(key, expected, help).given(written.trim()).at(&file.name, &file.text, &span))
    })
}

/// Returns the key of the line at `offset`, or of the nearest line before that has one.
fn key_at(text: &str, offset: usize) -> &str {
    let line_end = text[offset.min(text.len())..].find('\n').map_or(text.len(), |n| offset + n);
    let keyed = text[..line_end].lines().rev().map(str::trim).find(|line| line.contains(['=', '[']));
    let line = keyed.unwrap_or_default();
    match line.split_once('=') {
        Some((key, _)) => key.trim(),
        None => line.trim_matches(['[', ']', ' ', ',']),
    }
}
