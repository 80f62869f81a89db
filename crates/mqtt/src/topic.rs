//! Topic names and topic filters (MQTT 3.1.1 and 5.0, chapter 4.7).
//!
//! A parsed [`TopicName`] cannot hold a wildcard and a parsed [`TopicFilter`] holds wildcards only where they may
//! stand, so nothing behind the parser checks again. Who may use a topic is not decided here (`policy`).

use core::fmt;

/// The most levels that a topic name or filter may have. Chosen so that matching has a bound; MQTT has none but
/// the 65,535 bytes of a string.
pub const MAX_LEVELS: usize = 128;

/// Says why a text is not a topic name or filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicError {
    /// The text is empty [MQTT-4.7.3-1].
    Empty,
    /// The text is longer than 65,535 bytes [MQTT-4.7.3-3].
    TooLong,
    /// The text holds U+0000 [MQTT-4.7.3-2].
    Nul,
    /// A topic name holds a wildcard [MQTT-4.7.1-1].
    WildcardInName,
    /// A wildcard stands where none may [MQTT-4.7.1-2], [MQTT-4.7.1-3].
    MisplacedWildcard,
    /// The text has more than [`MAX_LEVELS`] levels.
    TooManyLevels,
    /// `$share/` is not followed by a group name without wildcards and a filter [MQTT-4.8.2-1], [MQTT-4.8.2-2].
    BadShare,
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::TooLong => "is longer than 65,535 bytes",
            Self::Nul => "holds the NUL character",
            Self::WildcardInName => "holds a wildcard, which a topic name may not",
            Self::MisplacedWildcard => {
                "has '+' or '#' beside other characters of a level, or '#' before the end"
            }
            Self::TooManyLevels => "has more than 128 levels",
            Self::BadShare => "is no shared subscription: write $share/GROUP/FILTER",
        })
    }
}

impl core::error::Error for TopicError {}

/// Holds a topic name: UTF-8, 1 to 65,535 bytes, no wildcard, no NUL, at most [`MAX_LEVELS`] levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName<'a>(&'a str);

impl<'a> TopicName<'a> {
    /// Parses a topic name.
    ///
    /// # Errors
    /// [`TopicError`] says which rule the text breaks.
    pub fn parse(text: &'a str) -> Result<Self, TopicError> {
        if check_text(text)? { Err(TopicError::WildcardInName) } else { Ok(Self(text)) }
    }

    /// Takes a text again that was parsed before.
    pub(crate) fn of_parsed(text: &'a str) -> Self {
        debug_assert!(Self::parse(text).is_ok(), "it was parsed before");
        Self(text)
    }

    /// Returns the whole name.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// Returns the levels from left to right; an empty level is an empty text.
    pub fn levels(self) -> core::str::Split<'a, char> {
        self.0.split('/')
    }

    /// Tells whether the name begins with `$`: such topics belong to the broker, and no filter that begins with a
    /// wildcard matches them [MQTT-4.7.2-1].
    pub fn is_reserved(self) -> bool {
        self.0.starts_with('$')
    }
}

impl fmt::Display for TopicName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

/// Is one level of a topic filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level<'a> {
    /// Matches the level of exactly this text.
    Literal(&'a str),
    /// `+`: matches one level, an empty one too.
    Plus,
    /// `#`: matches the parent level and everything below; always the last.
    Hash,
}

/// Holds a topic filter: UTF-8, 1 to 65,535 bytes, no NUL, at most [`MAX_LEVELS`] levels, wildcards alone in
/// their level and `#` at the end only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicFilter<'a>(&'a str);

impl<'a> TopicFilter<'a> {
    /// Parses a topic filter. `$share/…` is an ordinary text here: see [`Subscription::parse`].
    ///
    /// # Errors
    /// [`TopicError`] says which rule the text breaks.
    pub fn parse(text: &'a str) -> Result<Self, TopicError> {
        if !check_text(text)? {
            return Ok(Self(text));
        }
        let mut levels = text.split('/').peekable();
        while let Some(level) = levels.next() {
            let has_wildcard = level.bytes().any(|b| b == b'+' || b == b'#');
            let well_placed = level == "+" || (level == "#" && levels.peek().is_none());
            if has_wildcard && !well_placed {
                return Err(TopicError::MisplacedWildcard);
            }
        }
        Ok(Self(text))
    }

    /// Returns the whole filter.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// Returns the levels from left to right.
    pub fn levels(self) -> impl Iterator<Item = Level<'a>> + Clone {
        self.0.split('/').map(|text| match text {
            "+" => Level::Plus,
            "#" => Level::Hash,
            literal => Level::Literal(literal),
        })
    }

    /// Tells whether the filter holds no wildcard, so that it matches exactly one topic.
    pub fn is_literal(self) -> bool {
        !self.0.bytes().any(|b| b == b'+' || b == b'#')
    }

    /// Tells whether this filter matches `topic`.
    pub fn matches(self, topic: TopicName<'_>) -> bool {
        matches(self.levels(), topic)
    }
}

impl fmt::Display for TopicFilter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl<'a> From<TopicName<'a>> for TopicFilter<'a> {
    fn from(name: TopicName<'a>) -> Self {
        Self(name.0)
    }
}

/// Is what a SUBSCRIBE asks for: a filter, for oneself or shared with a group (MQTT 5.0 chapter 4.8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subscription<'a> {
    /// The group that shares the messages; `None` for an ordinary subscription.
    pub group: Option<&'a str>,
    /// Which topics are asked for.
    pub filter: TopicFilter<'a>,
}

impl<'a> Subscription<'a> {
    /// Parses the filter of a SUBSCRIBE or UNSUBSCRIBE packet, `$share/GROUP/FILTER` included.
    ///
    /// # Errors
    /// [`TopicError`] says which rule the text breaks.
    pub fn parse(text: &'a str) -> Result<Self, TopicError> {
        let Some(rest) = text.strip_prefix("$share/") else {
            if text == "$share" {
                return Err(TopicError::BadShare);
            }
            return Ok(Self { group: None, filter: TopicFilter::parse(text)? });
        };
        let (group, filter) = rest.split_once('/').ok_or(TopicError::BadShare)?;
        if group.is_empty() || group.bytes().any(|b| b == b'+' || b == b'#') || filter.is_empty() {
            return Err(TopicError::BadShare);
        }
        if group.bytes().any(|b| b == 0) {
            return Err(TopicError::Nul);
        }
        check_text(text)?;
        Ok(Self { group: Some(group), filter: TopicFilter::parse(filter)? })
    }
}

/// Checks what names and filters have in common and tells whether there is a `+` or `#`. One pass without a branch,
/// for every message that comes passes here.
fn check_text(text: &str) -> Result<bool, TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > usize::from(u16::MAX) {
        return Err(TopicError::TooLong);
    }
    let (mut separators, mut has_nul, mut has_wildcard) = (0_usize, false, false);
    for byte in text.bytes() {
        separators += usize::from(byte == b'/');
        has_nul |= byte == 0;
        has_wildcard |= byte == b'+' || byte == b'#';
    }
    if has_nul {
        return Err(TopicError::Nul);
    }
    if separators >= MAX_LEVELS { Err(TopicError::TooManyLevels) } else { Ok(has_wildcard) }
}

/// Tells whether the filter with these levels matches `topic`.
pub fn matches<'f>(filter: impl Iterator<Item = Level<'f>>, topic: TopicName<'_>) -> bool {
    let mut names = topic.levels();
    let mut first = true;
    for level in filter {
        let hidden = first && topic.is_reserved();
        first = false;
        match level {
            Level::Hash => return !hidden,
            Level::Plus if hidden => return false,
            Level::Plus => {
                if names.next().is_none() {
                    return false;
                }
            }
            Level::Literal(text) => {
                if names.next() != Some(text) {
                    return false;
                }
            }
        }
    }
    names.next().is_none()
}

/// Tells whether every topic that `narrow` matches is matched by `wide` too.
pub fn covers<'a, 'b>(
    wide: impl Iterator<Item = Level<'a>>,
    narrow: impl Iterator<Item = Level<'b>>,
) -> bool {
    let (mut wide, mut narrow) = (wide, narrow);
    let mut first = true;
    loop {
        let (w, n) = (wide.next(), narrow.next());
        let reserved = first && matches!(n, Some(Level::Literal(text)) if text.starts_with('$'));
        first = false;
        match (w, n) {
            (Some(Level::Hash | Level::Plus), _) if reserved => return false,
            (Some(Level::Hash), _) | (None, None) => return true,
            (Some(Level::Plus), Some(Level::Plus | Level::Literal(_))) => {}
            (Some(Level::Literal(a)), Some(Level::Literal(b))) if a == b => {}
            _ => return false,
        }
    }
}

/// Tells whether some topic is matched by both filters.
pub fn overlaps<'a, 'b>(a: impl Iterator<Item = Level<'a>>, b: impl Iterator<Item = Level<'b>>) -> bool {
    let (mut a, mut b) = (a, b);
    let mut first = true;
    loop {
        let (left, right) = (a.next(), b.next());
        let reserved =
            |level: &Option<Level<'_>>| matches!(level, Some(Level::Literal(text)) if text.starts_with('$'));
        let wild = |level: &Option<Level<'_>>| matches!(level, Some(Level::Plus | Level::Hash));
        if first && ((reserved(&left) && wild(&right)) || (reserved(&right) && wild(&left))) {
            return false;
        }
        first = false;
        match (left, right) {
            (Some(Level::Hash), _) | (_, Some(Level::Hash)) | (None, None) => return true,
            (None, Some(_)) | (Some(_), None) => return false,
            (Some(Level::Literal(x)), Some(Level::Literal(y))) if x != y => return false,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::prelude::v1::*;

    fn name(text: &str) -> TopicName<'_> {
        TopicName::parse(text).unwrap()
    }
    fn filter(text: &str) -> TopicFilter<'_> {
        TopicFilter::parse(text).unwrap()
    }

    #[test]
    fn the_examples_of_chapter_4_7_match_as_written_there() {
        for (f, topic, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("#", "anything/at/all", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/x", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/x", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
        ] {
            assert_eq!(filter(f).matches(name(topic)), expected, "{f} against {topic}");
        }
    }

    #[test]
    fn wildcards_stand_alone_and_hash_stands_last() {
        for bad in ["sport+", "sport/tennis#", "sport/tennis/#/ranking", "a/+b", "#/", "++", "+#"] {
            assert_eq!(TopicFilter::parse(bad), Err(TopicError::MisplacedWildcard), "{bad}");
        }
        assert_eq!(TopicName::parse("a/+"), Err(TopicError::WildcardInName));
        assert_eq!(TopicName::parse(""), Err(TopicError::Empty));
        assert_eq!(TopicFilter::parse("a\0"), Err(TopicError::Nul));
        assert_eq!(TopicName::parse(&"/".repeat(MAX_LEVELS)), Err(TopicError::TooManyLevels));
        assert!(TopicName::parse(&"/".repeat(MAX_LEVELS - 1)).is_ok());
    }

    #[test]
    fn a_shared_subscription_names_its_group() {
        let shared = Subscription::parse("$share/g/a/+").unwrap();
        assert_eq!((shared.group, shared.filter.as_str()), (Some("g"), "a/+"));
        for bad in ["$share", "$share/", "$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/g#/a"] {
            assert_eq!(Subscription::parse(bad), Err(TopicError::BadShare), "{bad}");
        }
        assert_eq!(Subscription::parse("$shared/x").unwrap().group, None);
    }

    fn any_topic() -> impl Strategy<Value = String> {
        proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just(""), Just("$c")], 1..5)
            .prop_map(|levels| levels.join("/"))
            .prop_filter("not empty", |t| !t.is_empty())
    }
    fn any_filter() -> impl Strategy<Value = String> {
        let level = prop_oneof![Just("a"), Just("b"), Just(""), Just("$c"), Just("+")];
        (proptest::collection::vec(level, 0..5), any::<bool>())
            .prop_map(|(mut levels, hash)| {
                if hash {
                    levels.push("#");
                }
                levels.join("/")
            })
            .prop_filter("not empty", |t| !t.is_empty())
    }

    proptest! {
        #[test]
        fn covering_agrees_with_matching(wide in any_filter(), narrow in any_filter(), topic in any_topic()) {
            let (wide, narrow, topic) = (filter(&wide), filter(&narrow), name(&topic));
            if covers(wide.levels(), narrow.levels()) && narrow.matches(topic) {
                prop_assert!(wide.matches(topic));
            }
        }

        #[test]
        fn overlap_agrees_with_matching(a in any_filter(), b in any_filter(), topic in any_topic()) {
            let (a, b, topic) = (filter(&a), filter(&b), name(&topic));
            if a.matches(topic) && b.matches(topic) {
                prop_assert!(overlaps(a.levels(), b.levels()));
            }
        }

        #[test]
        fn a_topic_as_a_filter_matches_exactly_itself(a in any_topic(), b in any_topic()) {
            prop_assert_eq!(TopicFilter::from(name(&a)).matches(name(&b)), a == b);
        }
    }
}
