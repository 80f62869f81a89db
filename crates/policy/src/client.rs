//! Filters that depend on the client id: what a principal may do is compiled before it is known with which client id
//! it connects, and for each client id once it is.

use crate::{
    filter::Filter,
    template::{Placeholder, Unresolved, check_value},
};
use keyward_mqtt::topic::{Level, TopicName};

/// Is a rule's filter with the values of a principal in place.
#[derive(Debug, Clone)]
pub(crate) enum Resolved {
    /// It is the same for every client id.
    Filter(Filter),
    /// It is another filter for each client id.
    PerClient(ClientFilter),
}

/// Is a filter with places for a client id.
#[derive(Debug, Clone)]
pub(crate) struct ClientFilter(Box<[ClientLevel]>);

#[derive(Debug, Clone)]
pub(crate) enum ClientLevel {
    Plus,
    Hash,
    Literal(Box<str>),
    Client(Box<[Piece]>),
}

/// Is a part of a level that holds the client id.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    Text(Box<str>),
    Client,
}

impl Resolved {
    pub(crate) fn of(filter: ClientFilter) -> Self {
        if filter.0.iter().any(|level| matches!(level, ClientLevel::Client(_))) {
            return Self::PerClient(filter);
        }
        Self::Filter(filter.widest())
    }

    /// Returns the filter of a client with this id.
    pub(crate) fn of_client(&self, client: &str) -> Result<Filter, Unresolved> {
        match self {
            Self::Filter(filter) => Ok(filter.clone()),
            Self::PerClient(filter) => filter.of_client(client),
        }
    }

    /// Returns the narrowest filter that matches whatever this matches for any client id.
    pub(crate) fn widest(&self) -> Filter {
        match self {
            Self::Filter(filter) => filter.clone(),
            Self::PerClient(filter) => filter.widest(),
        }
    }

    pub(crate) fn is_per_client(&self) -> bool {
        matches!(self, Self::PerClient(_))
    }
}

impl ClientFilter {
    pub(crate) fn new(levels: Vec<ClientLevel>) -> Self {
        Self(levels.into())
    }

    fn of_client(&self, client: &str) -> Result<Filter, Unresolved> {
        let begins = matches!(
            self.0.first(),
            Some(ClientLevel::Client(pieces)) if matches!(pieces.first(), Some(Piece::Client))
        );
        check_value(Placeholder::Client, client, begins)?;
        let word = |level: &ClientLevel| match level {
            ClientLevel::Client(pieces) => pieces.iter().map(|piece| piece.of_client(client)).collect(),
            ClientLevel::Plus | ClientLevel::Hash | ClientLevel::Literal(_) => String::new(),
        };
        let words: Vec<String> = self.0.iter().map(word).collect();
        Ok(self.0.iter().zip(&words).map(|(level, word)| level.with(Level::Literal(word))).collect())
    }

    fn widest(&self) -> Filter {
        self.0.iter().map(|level| level.with(Level::Plus)).collect()
    }

    /// Returns the one client id for which this may match `topic`.
    pub(crate) fn client_in<'t>(&self, topic: TopicName<'t>) -> Option<&'t str> {
        self.0.iter().zip(topic.levels()).find_map(|(level, found)| match (level, found) {
            (ClientLevel::Client(pieces), found) => Some(client_in_level(pieces, found)),
            _ => None,
        })?
    }
}

impl ClientLevel {
    fn with<'a>(&'a self, client: Level<'a>) -> Level<'a> {
        match self {
            Self::Plus => Level::Plus,
            Self::Hash => Level::Hash,
            Self::Literal(text) => Level::Literal(text),
            Self::Client(_) => client,
        }
    }
}

impl Piece {
    fn of_client<'a>(&'a self, client: &'a str) -> &'a str {
        match self {
            Self::Text(text) => text,
            Self::Client => client,
        }
    }
}

/// Returns the text that would have to be the client id for the pieces to make up `level`; whether they do is still to
/// be seen.
fn client_in_level<'t>(pieces: &[Piece], level: &'t str) -> Option<&'t str> {
    let text: usize = pieces.iter().map(|piece| piece.of_client("").len()).sum();
    let places = pieces.iter().filter(|piece| matches!(piece, Piece::Client)).count();
    let length = level.len().checked_sub(text)?.checked_div(places)?;
    let start = pieces.first().map_or(0, |piece| piece.of_client("").len());
    level.get(start..start + length).filter(|client| !client.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Template;

    fn open(template: &str) -> ClientFilter {
        match Template::parse(template).unwrap().resolve(|_| Some("ann")).unwrap() {
            Resolved::PerClient(filter) => filter,
            Resolved::Filter(filter) => panic!("{filter} depends on no client id"),
        }
    }

    #[test]
    fn a_client_id_is_a_whole_level_or_a_part_of_one() {
        for (template, filter) in [
            ("{client}/#", "c1/#"),
            ("a/dev-{client}/+", "a/dev-c1/+"),
            ("{user}-{client}/x", "ann-c1/x"),
            ("{client}{client}/{client}", "c1c1/c1"),
        ] {
            assert_eq!(open(template).of_client("c1").unwrap().to_string(), filter);
        }
        assert_eq!(open("{user}/x-{client}/#").widest().to_string(), "ann/+/#");
    }

    #[test]
    fn a_client_id_is_never_a_wildcard_or_a_further_level() {
        for (client, why) in [
            ("a/b", Unresolved::Holds(Placeholder::Client, '/')),
            ("+", Unresolved::Holds(Placeholder::Client, '+')),
            ("a#", Unresolved::Holds(Placeholder::Client, '#')),
            ("", Unresolved::Empty(Placeholder::Client)),
            ("$SYS", Unresolved::BeginsReserved(Placeholder::Client)),
        ] {
            assert_eq!(open("{client}/x").of_client(client).unwrap_err(), why);
        }
        assert!(open("x-{client}/x").of_client("$SYS").is_ok());
    }

    #[test]
    fn a_topic_tells_for_which_client_id_a_filter_matches_it() {
        for (template, topic, client) in [
            ("{client}/#", "c1/x", Some("c1")),
            ("a/dev-{client}-x", "a/dev-c1-x", Some("c1")),
            ("{client}-{client}", "c1-c1", Some("c1")),
            ("+/{client}", "a/c1", Some("c1")),
            ("a/{client}", "a", None),
            ("a/dev-{client}", "a/dev-", None),
            ("x{client}", "\u{e9}c", None),
        ] {
            let topic = TopicName::parse(topic).unwrap();
            assert_eq!(open(template).client_in(topic), client, "{template}");
        }
    }
}
