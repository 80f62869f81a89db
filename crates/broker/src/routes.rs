//! Remembers for the topics in use whom they concern (rule 8): direct-mapped by topic hash, topic compared on a hit, valid
//! while no filter that could match the topic has changed. Forgetting a route costs a walk through the tree, never a
//! message.

use crate::interest::{Match, Reach};
use crate::limits;
use crate::permit::Topic;
use crate::placement::HashKey;
use keyward_mqtt::topic::{Level, TopicFilter, TopicName};

/// Counts changes of filters, so that a strange subscription does not flush every route: apart by the first level, by
/// the first two, and of filters that begin with a wildcard. Prefixes share counters by keyed hash; two that meet in
/// one cost a walk, and nobody can aim at one.
#[derive(Debug)]
pub(crate) struct Changes {
    counters: Box<[u64]>,
    /// Of filters that begin with a wildcard.
    wild: u64,
    hash_key: HashKey,
}

/// Says how far the counters were that concern one topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stand {
    /// The counters of the first level and of the first two.
    places: [usize; 2],
    counts: [u64; 2],
    wild: u64,
}

impl Changes {
    pub(crate) fn new(hash_key: HashKey) -> Self {
        Self { counters: vec![0; limits::ROUTE_COUNTERS].into(), wild: 0, hash_key }
    }

    /// Counts a change of `filter`.
    pub(crate) fn note(&mut self, filter: TopicFilter<'_>) {
        let mut levels = filter.levels();
        let prefix = match (levels.next(), levels.next()) {
            (Some(Level::Literal(first)), Some(Level::Literal(_))) => first_two(filter.as_str(), first),
            (Some(Level::Literal(first)), _) => first,
            _ => {
                self.wild += 1;
                return;
            }
        };
        let place = self.place(prefix);
        if let Some(counter) = self.counters.get_mut(place) {
            *counter += 1;
        }
    }

    /// Returns where the counters stand that concern `topic`.
    fn stand(&self, topic: TopicName<'_>) -> Stand {
        let first = topic.levels().next().unwrap_or_default();
        let places = [self.place(first), self.place(first_two(topic.as_str(), first))];
        Stand { places, counts: places.map(|place| self.count(place)), wild: self.wild }
    }

    fn is_current(&self, stand: &Stand) -> bool {
        stand.wild == self.wild && stand.places.map(|place| self.count(place)) == stand.counts
    }

    fn count(&self, place: usize) -> u64 {
        self.counters.get(place).copied().unwrap_or_default()
    }

    fn place(&self, prefix: &str) -> usize {
        // The remainder is below the number of counters.
        (self.hash_key.hash(prefix) % limits::ROUTE_COUNTERS as u64) as usize
    }
}

/// Returns the first two levels of `text`, whose first is `first`; all of it if there is no second.
fn first_two<'t>(text: &'t str, first: &str) -> &'t str {
    let second = first.len() + 1;
    let end = text.get(second..).and_then(|rest| rest.find('/')).map_or(text.len(), |len| second + len);
    text.get(..end).unwrap_or(text)
}

/// Holds the remembered routes.
#[derive(Debug, Default)]
pub(crate) struct Routes(Vec<Place>);

/// Is room for one route.
#[derive(Debug, Default)]
struct Place {
    /// The hash of the topic that was last asked for in vain. Only a topic that comes twice is remembered, so that topics
    /// that never come again push nothing out.
    missed: u64,
    route: Option<Box<Route>>,
}

#[derive(Debug, Default)]
pub(crate) struct Route {
    topic: String,
    stand: Stand,
    pub(crate) matches: Vec<Match>,
    pub(crate) reach: Reach,
}

impl Routes {
    /// Returns what is remembered of `topic`, if it still holds.
    pub(crate) fn get(&self, topic: Topic<'_>, changes: &Changes) -> Option<&Route> {
        let route = self.0.get(place_of(topic))?.route.as_deref()?;
        (route.topic == topic.name.as_str() && changes.is_current(&route.stand)).then_some(route)
    }

    /// Remembers whom a topic concerns, if it comes often and concerns few.
    pub(crate) fn note(&mut self, topic: Topic<'_>, changes: &Changes, matches: &[Match], reach: Reach) {
        if matches.len() > limits::ROUTE_MATCHES || topic.name.as_str().len() > limits::DECISION_TOPIC_BYTES {
            return;
        }
        if self.0.is_empty() {
            self.0.resize_with(limits::ROUTES, Place::default);
        }
        let Some(place) = self.0.get_mut(place_of(topic)) else { return };
        if core::mem::replace(&mut place.missed, topic.hash) != topic.hash {
            return;
        }
        // The memory of the route before is used again.
        let route = place.route.get_or_insert_default();
        route.topic.clear();
        route.topic.push_str(topic.name.as_str());
        route.matches.clear();
        route.matches.extend_from_slice(matches);
        (route.stand, route.reach) = (changes.stand(topic.name), reach);
    }
}

fn place_of(topic: Topic<'_>) -> usize {
    // The remainder is below the number of places.
    (topic.hash % limits::ROUTES as u64) as usize
}
