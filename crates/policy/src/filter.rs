//! Topic filters as rules hold them: parsed, with every value in its place.

use core::fmt;
use keyward_mqtt::topic::{self, Level, TopicName};
use std::sync::Arc;

/// Is one level of a [`Filter`]. A literal is never read again: one that looked like a wildcard would still be text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum OwnedLevel {
    Literal(Box<str>),
    Plus,
    Hash,
}

/// Is a parsed topic filter that owns its levels together with its copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter(Arc<[OwnedLevel]>);

impl Filter {
    pub(crate) fn levels(&self) -> impl Iterator<Item = Level<'_>> + Clone {
        self.0.iter().map(|level| match level {
            OwnedLevel::Literal(text) => Level::Literal(text),
            OwnedLevel::Plus => Level::Plus,
            OwnedLevel::Hash => Level::Hash,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn matches(&self, topic: TopicName<'_>) -> bool {
        topic::matches(self.levels(), topic)
    }

    pub(crate) fn covers(&self, narrow: &[Level<'_>]) -> bool {
        topic::covers(self.levels(), narrow.iter().copied())
    }

    pub(crate) fn overlaps<'b>(&self, other: impl Iterator<Item = Level<'b>>) -> bool {
        topic::overlaps(self.levels(), other)
    }
}

impl<'a> FromIterator<Level<'a>> for Filter {
    fn from_iter<I: IntoIterator<Item = Level<'a>>>(levels: I) -> Self {
        let owned = levels.into_iter().map(|level| match level {
            Level::Literal(text) => OwnedLevel::Literal(text.into()),
            Level::Plus => OwnedLevel::Plus,
            Level::Hash => OwnedLevel::Hash,
        });
        Self(owned.collect())
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(self.levels()))
    }
}

/// Returns the levels as one text.
pub(crate) fn text<'a>(levels: impl Iterator<Item = Level<'a>>) -> String {
    let words = levels.map(|level| match level {
        Level::Literal(text) => text,
        Level::Plus => "+",
        Level::Hash => "#",
    });
    words.collect::<Vec<_>>().join("/")
}

/// Returns the filter that matches exactly what both filters match; `None` if nothing is.
///
/// Two MQTT filters always meet in one filter: level by level the narrower one stands, and a `#` gives way to
/// whatever the other has left.
pub(crate) fn intersect<'x>(
    a: impl Iterator<Item = Level<'x>> + Clone,
    b: impl Iterator<Item = Level<'x>> + Clone,
) -> Option<Vec<Level<'x>>> {
    if !topic::overlaps(a.clone(), b.clone()) {
        return None;
    }
    let (mut a, mut b, mut both) = (a, b, Vec::new());
    loop {
        match (a.next(), b.next()) {
            (Some(Level::Hash), rest) => {
                both.extend(rest.into_iter().chain(b));
                return Some(both);
            }
            (rest, Some(Level::Hash)) => {
                both.extend(rest.into_iter().chain(a));
                return Some(both);
            }
            (Some(Level::Plus), Some(level)) | (Some(level), _) => both.push(level),
            (None, _) => return Some(both),
        }
    }
}

/// Lists the *shapes* of a filter: for each number of levels that its topics can have, the filter of just those
/// topics (a final `#` replaced by so many `+`). The parent of `/#` has no shape: it would be the empty topic, which
/// there is not [MQTT-4.7.3-1].
///
/// A shape stands for its most ordinary topic, one whose free levels appear in no rule: a rule matches that topic
/// exactly if it [covers](topic::covers) the shape, and a rule that does not match it can match only topics to
/// which *more* rules apply. That is what makes it enough to ask about shapes. Beyond `longest`, the most levels of
/// any rule, one more length is enough: from there on the same rules match.
pub(crate) fn shapes<'x>(
    filter: &[Level<'x>],
    longest: usize,
) -> impl Iterator<Item = Vec<Level<'x>>> + use<'x> {
    let (prefix, lengths) = match filter.split_last() {
        Some((Level::Hash, prefix)) => {
            let last = (longest + 1).max(prefix.len());
            (prefix, prefix.len().max(1)..=last)
        }
        _ => (filter, filter.len()..=filter.len()),
    };
    let prefix = prefix.to_vec();
    let shapes = lengths.map(move |length| {
        let mut shape = prefix.clone();
        shape.resize(length, Level::Plus);
        shape
    });
    shapes.filter(|shape| *shape != [Level::Literal("")])
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_mqtt::topic::TopicFilter;

    fn meet(a: &str, b: &str) -> Option<String> {
        let (a, b) = (TopicFilter::parse(a).unwrap(), TopicFilter::parse(b).unwrap());
        intersect(a.levels(), b.levels()).map(|both| text(both.into_iter()))
    }

    #[test]
    fn two_filters_meet_in_one() {
        for (a, b, both) in [
            ("a/+", "+/b", Some("a/b")),
            ("a/#", "+/b", Some("a/b")),
            ("a/#", "a", Some("a")),
            ("a/#", "+/+/#", Some("a/+/#")),
            ("#", "#", Some("#")),
            ("#", "a/+", Some("a/+")),
            ("a/b/#", "a/#", Some("a/b/#")),
            ("+", "a/b", None),
            ("a/+", "b/+", None),
            ("#", "$SYS/x", None),
            ("$SYS/#", "$SYS/+", Some("$SYS/+")),
        ] {
            assert_eq!(meet(a, b).as_deref(), both, "{a} and {b}");
            assert_eq!(meet(b, a).as_deref(), both, "{b} and {a}");
        }
    }

    #[test]
    fn a_hash_has_a_shape_for_each_length_that_rules_tell_apart() {
        let listed = |filter: &str, longest| {
            let levels: Vec<_> = TopicFilter::parse(filter).unwrap().levels().collect();
            shapes(&levels, longest).map(|shape| text(shape.into_iter())).collect::<Vec<_>>()
        };
        assert_eq!(listed("a/#", 2), ["a", "a/+", "a/+/+"]);
        assert_eq!(listed("#", 1), ["+", "+/+"]);
        assert_eq!(listed("a/b/c/#", 1), ["a/b/c"]);
        assert_eq!(listed("a/+", 9), ["a/+"]);
        assert_eq!(listed("/#", 2), ["/+", "/+/+"]);
    }
}
