//! Filters with placeholders: `{id}/status` before it is known whose id.

use crate::{
    client::{ClientFilter, ClientLevel, Piece, Resolved},
    filter::Filter,
    limits,
};
use core::fmt;
use keyward_mqtt::topic::{Level, TopicError, TopicFilter};

/// Stands in a filter for something that the principal brings along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Placeholder {
    /// `{id}`: the name of the device.
    Id,
    /// `{user}`: the name of the user.
    User,
    /// `{type}`: the name of the device's type.
    Type,
    /// `{site}`: the name of the site where it stands.
    Site,
    /// `{client}`: the client id with which the principal has connected, which it chooses itself.
    Client,
}

impl Placeholder {
    const ALL: [Self; 5] = [Self::Id, Self::User, Self::Type, Self::Site, Self::Client];

    /// Returns the word between the braces.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::User => "user",
            Self::Type => "type",
            Self::Site => "site",
            Self::Client => "client",
        }
    }

    /// Tells whether this is the principal's own name: not that of a type or site it shares with others, and not a
    /// client id, which anybody may use.
    pub(crate) fn is_own_name(self) -> bool {
        matches!(self, Self::Id | Self::User)
    }
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.as_str())
    }
}

/// Says why a filter with placeholders means nothing for a principal, so that the rule does not apply to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unresolved {
    /// The principal has no such thing: a user has no `{id}`, a device without type no `{type}`.
    Lacks(Placeholder),
    /// The value is empty.
    Empty(Placeholder),
    /// The value holds a character that is not text within one level: `/`, `+`, `#` or NUL.
    Holds(Placeholder, char),
    /// The value would begin the filter with `$`, which belongs to the broker.
    BeginsReserved(Placeholder),
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lacks(Placeholder::Id) => f.write_str("only devices have an {id}"),
            Self::Lacks(Placeholder::User) => f.write_str("only users have a {user}"),
            Self::Lacks(Placeholder::Client) => f.write_str("it depends on the client id, and none is given"),
            Self::Lacks(what) => write!(f, "it has no {what}"),
            Self::Empty(Placeholder::Client) => f.write_str("the client id is empty"),
            Self::Empty(what) => write!(f, "its {what} is empty"),
            Self::Holds(Placeholder::Client, c) => write!(f, "the client id holds '{}'", c.escape_debug()),
            Self::Holds(what, c) => write!(f, "its {what} holds '{}'", c.escape_debug()),
            Self::BeginsReserved(Placeholder::Client) => {
                f.write_str("the client id would begin the filter with '$'")
            }
            Self::BeginsReserved(what) => write!(f, "its {what} would begin the filter with '$'"),
        }
    }
}

/// Says why a text is not the filter of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TemplateError {
    Topic(TopicError),
    TooLong(usize),
    TooManyLevels(usize),
    LoneBrace,
    UnknownPlaceholder(String),
    ReservedWordHoldsPlaceholder,
    Share,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Value(Placeholder),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum TemplateLevel {
    Plus,
    Hash,
    Parts(Box<[Part]>),
}

/// Is a parsed filter in which placeholders may stand, as whole levels or as parts of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    text: Box<str>,
    levels: Box<[TemplateLevel]>,
}

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > limits::MAX_FILTER_BYTES {
            return Err(TemplateError::TooLong(text.len()));
        }
        let filter = TopicFilter::parse(text).map_err(TemplateError::Topic)?;
        let levels = filter.levels().map(parse_level).collect::<Result<Box<[_]>, _>>()?;
        if levels.len() > limits::MAX_FILTER_LEVELS {
            return Err(TemplateError::TooManyLevels(levels.len()));
        }
        let template = Self { text: text.into(), levels };
        template.check_first_level()?;
        Ok(template)
    }

    /// A `$` word grants only what it literally says, so nothing may be put into it.
    fn check_first_level(&self) -> Result<(), TemplateError> {
        let Some(TemplateLevel::Parts(parts)) = self.levels.first() else { return Ok(()) };
        match &**parts {
            [Part::Text(word)] if &**word == "$share" => Err(TemplateError::Share),
            [Part::Text(word), _, ..] if word.starts_with('$') => {
                Err(TemplateError::ReservedWordHoldsPlaceholder)
            }
            _ => Ok(()),
        }
    }

    /// Returns the text as it stands in the file.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Tells whether the filter begins with a literal `$` word.
    pub(crate) fn is_reserved(&self) -> bool {
        self.text.starts_with('$')
    }

    pub(crate) fn placeholders(&self) -> impl Iterator<Item = Placeholder> {
        self.levels.iter().flat_map(placeholders_of)
    }

    /// Returns how many levels there are up to and with the first that holds the principal's own name; `None` if
    /// there is none or a wildcard stands before it.
    pub(crate) fn own_prefix(&self) -> Option<usize> {
        let named = |level: &TemplateLevel| placeholders_of(level).any(Placeholder::is_own_name);
        let name = self.levels.iter().position(named)?;
        self.levels[..name].iter().all(|level| matches!(level, TemplateLevel::Parts(_))).then_some(name + 1)
    }

    /// Puts the values into the parsed filter, each as literal text of one level. Where a client id belongs, its place
    /// stays open.
    ///
    /// # Errors
    /// [`Unresolved`] if a value is lacking or is not text that can stand within a level.
    pub(crate) fn resolve<'v>(
        &self,
        value: impl Fn(Placeholder) -> Option<&'v str>,
    ) -> Result<Resolved, Unresolved> {
        let mut levels = Vec::with_capacity(self.levels.len());
        for (position, level) in self.levels.iter().enumerate() {
            levels.push(match level {
                TemplateLevel::Plus => ClientLevel::Plus,
                TemplateLevel::Hash => ClientLevel::Hash,
                TemplateLevel::Parts(parts) => fill(parts, position == 0, &value)?,
            });
        }
        Ok(Resolved::of(ClientFilter::new(levels)))
    }

    /// Returns the filter if nothing is to be put into it.
    pub(crate) fn literal(&self) -> Option<Filter> {
        match self.resolve(|_| None) {
            Ok(Resolved::Filter(filter)) => Some(filter),
            Ok(Resolved::PerClient(_)) | Err(_) => None,
        }
    }
}

fn placeholders_of(level: &TemplateLevel) -> impl Iterator<Item = Placeholder> {
    let parts: &[Part] = match level {
        TemplateLevel::Parts(parts) => parts,
        TemplateLevel::Plus | TemplateLevel::Hash => &[],
    };
    parts.iter().filter_map(|part| match part {
        Part::Value(placeholder) => Some(*placeholder),
        Part::Text(_) => None,
    })
}

fn fill<'v>(
    parts: &[Part],
    is_first_level: bool,
    value: &impl Fn(Placeholder) -> Option<&'v str>,
) -> Result<ClientLevel, Unresolved> {
    let (mut pieces, mut word) = (Vec::new(), String::new());
    for part in parts {
        match part {
            Part::Text(text) => word.push_str(text),
            Part::Value(Placeholder::Client) => {
                if !word.is_empty() {
                    pieces.push(Piece::Text(core::mem::take(&mut word).into()));
                }
                pieces.push(Piece::Client);
            }
            Part::Value(what) => {
                let text = value(*what).ok_or(Unresolved::Lacks(*what))?;
                let begins = is_first_level && word.is_empty() && pieces.is_empty();
                check_value(*what, text, begins)?;
                word.push_str(text);
            }
        }
    }
    if pieces.is_empty() {
        return Ok(ClientLevel::Literal(word.into()));
    }
    if !word.is_empty() {
        pieces.push(Piece::Text(word.into()));
    }
    Ok(ClientLevel::Client(pieces.into()))
}

/// Refuses a value that is not text within one level, or would begin the filter with `$`.
pub(crate) fn check_value(what: Placeholder, text: &str, begins: bool) -> Result<(), Unresolved> {
    if text.is_empty() {
        return Err(Unresolved::Empty(what));
    }
    if let Some(c) = text.chars().find(|c| matches!(c, '/' | '+' | '#' | '\0')) {
        return Err(Unresolved::Holds(what, c));
    }
    if begins && text.starts_with('$') {
        return Err(Unresolved::BeginsReserved(what));
    }
    Ok(())
}

fn parse_level(level: Level<'_>) -> Result<TemplateLevel, TemplateError> {
    let mut rest = match level {
        Level::Plus => return Ok(TemplateLevel::Plus),
        Level::Hash => return Ok(TemplateLevel::Hash),
        Level::Literal(text) => text,
    };
    let (mut parts, mut word) = (Vec::new(), String::new());
    while let Some(brace) = rest.find(['{', '}']) {
        word.push_str(&rest[..brace]);
        rest = &rest[brace..];
        if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
            word.push_str(&rest[..1]);
            rest = after;
            continue;
        }
        let inner = rest.strip_prefix('{').ok_or(TemplateError::LoneBrace)?;
        let (name, after) = inner.split_once('}').ok_or(TemplateError::LoneBrace)?;
        if !word.is_empty() {
            parts.push(Part::Text(core::mem::take(&mut word).into()));
        }
        parts.push(Part::Value(placeholder_named(name)?));
        rest = after;
    }
    word.push_str(rest);
    if !word.is_empty() {
        parts.push(Part::Text(word.into()));
    }
    Ok(TemplateLevel::Parts(parts.into()))
}

fn placeholder_named(name: &str) -> Result<Placeholder, TemplateError> {
    Placeholder::ALL
        .into_iter()
        .find(|placeholder| placeholder.as_str() == name)
        .ok_or_else(|| TemplateError::UnknownPlaceholder(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_mqtt::topic::{TopicName, matches};
    use proptest::prelude::*;

    fn filled<'v>(
        template: &str,
        value: impl Fn(Placeholder) -> Option<&'v str>,
    ) -> Result<Filter, Unresolved> {
        match Template::parse(template).unwrap().resolve(value)? {
            Resolved::Filter(filter) => Ok(filter),
            Resolved::PerClient(_) => panic!("{template} is open"),
        }
    }

    fn resolve(template: &str, id: &str) -> Result<String, Unresolved> {
        filled(template, |_| Some(id)).map(|filter| filter.to_string())
    }

    #[test]
    fn a_value_is_a_whole_level_or_a_part_of_one() {
        assert_eq!(resolve("{id}/status", "pump").unwrap(), "pump/status");
        assert_eq!(resolve("plant/dev-{id}-x/+/#", "pump").unwrap(), "plant/dev-pump-x/+/#");
        assert_eq!(resolve("{type}{site}/a", "x").unwrap(), "xx/a");
        assert_eq!(resolve("a//b", "x").unwrap(), "a//b");
    }

    #[test]
    fn doubled_braces_are_braces() {
        assert_eq!(resolve("{{id}}/{{{id}}}", "x").unwrap(), "{id}/{x}");
    }

    #[test]
    fn a_value_that_is_not_text_of_one_level_makes_the_rule_not_apply() {
        for c in ['/', '+', '#', '\0'] {
            let id = format!("a{c}b");
            assert_eq!(resolve("x/{id}", &id), Err(Unresolved::Holds(Placeholder::Id, c)));
            assert_eq!(resolve("x/y-{id}", &c.to_string()), Err(Unresolved::Holds(Placeholder::Id, c)));
        }
        assert_eq!(resolve("x/{id}", ""), Err(Unresolved::Empty(Placeholder::Id)));
        assert_eq!(resolve("x/y{id}", ""), Err(Unresolved::Empty(Placeholder::Id)));
    }

    #[test]
    fn a_value_cannot_begin_a_filter_with_a_dollar_but_may_hold_one() {
        assert_eq!(resolve("{id}/x", "$SYS"), Err(Unresolved::BeginsReserved(Placeholder::Id)));
        assert_eq!(resolve("{id}-a/x", "$SYS"), Err(Unresolved::BeginsReserved(Placeholder::Id)));
        assert_eq!(resolve("a-{id}/x", "$SYS").unwrap(), "a-$SYS/x");
        assert_eq!(resolve("x/{id}", "$SYS").unwrap(), "x/$SYS");
        assert_eq!(resolve("{id}/x", "a$").unwrap(), "a$/x");
    }

    #[test]
    fn a_value_that_is_lacking_makes_the_rule_not_apply() {
        let only_id = |what| (what == Placeholder::Id).then_some("x");
        assert_eq!(filled("{site}/{id}", only_id), Err(Unresolved::Lacks(Placeholder::Site)));
    }

    #[test]
    fn misspelt_placeholders_and_lone_braces_are_errors() {
        for lone in ["{id", "id}", "{", "a/}", "{i/d}", "{id}}"] {
            assert_eq!(Template::parse(lone), Err(TemplateError::LoneBrace), "{lone}");
        }
        for (text, name) in [("{ID}", "ID"), ("{}", ""), ("a/{Client}/b", "Client"), ("{ id }", " id ")] {
            assert_eq!(Template::parse(text), Err(TemplateError::UnknownPlaceholder(name.into())), "{text}");
        }
    }

    #[test]
    fn filters_that_are_none_or_belong_to_the_protocol_are_errors() {
        use TemplateError as E;
        for (text, error) in [
            ("", E::Topic(TopicError::Empty)),
            ("a+", E::Topic(TopicError::MisplacedWildcard)),
            ("{id}+", E::Topic(TopicError::MisplacedWildcard)),
            ("#/a", E::Topic(TopicError::MisplacedWildcard)),
            ("a\0", E::Topic(TopicError::Nul)),
            ("$share/g/a", E::Share),
            ("$dev{id}/a", E::ReservedWordHoldsPlaceholder),
        ] {
            assert_eq!(Template::parse(text), Err(error), "{text}");
        }
        assert!(Template::parse("$SYS/{id}").is_ok());
        let deep = vec!["a"; limits::MAX_FILTER_LEVELS + 1].join("/");
        assert_eq!(Template::parse(&deep), Err(E::TooManyLevels(limits::MAX_FILTER_LEVELS + 1)));
        let long = "a".repeat(limits::MAX_FILTER_BYTES + 1);
        assert_eq!(Template::parse(&long), Err(E::TooLong(long.len())));
    }

    #[test]
    fn the_own_prefix_ends_with_the_level_that_holds_the_name() {
        let prefix = |text| Template::parse(text).unwrap().own_prefix();
        assert_eq!(prefix("{id}/#"), Some(1));
        assert_eq!(prefix("devices/x-{user}/+"), Some(2));
        assert_eq!(prefix("+/{id}/x"), None);
        assert_eq!(prefix("{type}/x"), None);
    }

    /// Identifiers that are mostly trouble.
    fn any_identifier() -> impl Strategy<Value = String> {
        let nasty = proptest::collection::vec(
            prop_oneof![Just('/'), Just('+'), Just('#'), Just('\0'), Just('$'), Just('a'), any::<char>()],
            0..5,
        );
        prop_oneof![nasty.prop_map(String::from_iter), any::<String>()]
    }

    proptest! {
        /// What `{id}` allows equals what the literal level allows, for identifiers of any bytes. The reference
        /// compares the topic's level with the identifier and knows nothing of filters.
        #[test]
        fn a_placeholder_allows_what_its_literal_level_allows(
            id in any_identifier(),
            topic in prop_oneof![any_identifier(), any_identifier().prop_map(|t| t + "/x"), Just("$SYS/x".into())],
            same in any::<bool>(),
        ) {
            let topic = if same { format!("{id}/x") } else { topic };
            let Ok(topic) = TopicName::parse(&topic) else { return Ok(()) };
            let filter = filled("{id}/x", |_| Some(&id));
            let allows = filter.is_ok_and(|filter| matches(filter.levels(), topic));
            let is_one_level = !id.is_empty() && !id.contains(['/', '+', '#', '\0']) && !id.starts_with('$');
            let levels: Vec<_> = topic.levels().collect();
            prop_assert_eq!(allows, is_one_level && levels == [&*id, "x"]);
        }

        /// A resolved filter reads back as the same filter: no value turned into a wildcard or a separator.
        #[test]
        fn a_value_never_changes_the_shape_of_a_filter(id in any_identifier()) {
            if let Ok(filter) = filled("a/x{id}/+/{id}/#", |_| Some(&id)) {
                let text = filter.to_string();
                let again: Filter = TopicFilter::parse(&text).unwrap().levels().collect();
                prop_assert_eq!(again, filter);
            }
        }
    }
}
