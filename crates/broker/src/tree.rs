//! A tree of topic filters by levels. Finding what matches a topic walks only branches that match: the cost does not
//! grow with filters that do not.

use crate::placement::{HashKey, Map};
use crate::routes::Changes;
use core::str::Split;
use keyward_mqtt::topic::{Level, TopicFilter, TopicName};

/// Maps topic filters to values.
#[derive(Debug)]
pub(crate) struct FilterTree<V> {
    root: Node<V>,
    hash_key: HashKey,
    /// Counts every access by which a value could change: no caller can forget it.
    changes: Changes,
}

#[derive(Debug)]
struct Node<V> {
    /// The value of the filter that ends here.
    here: Option<Box<V>>,
    /// The value of the filter that goes on with `#`, which matches this level too.
    below: Option<Box<V>>,
    plus: Option<Box<Node<V>>>,
    literals: Literals<V>,
}

/// Holds the branches of literal levels. Most nodes have one: it is found by comparing, without a hash and a table.
#[derive(Debug)]
struct Literals<V> {
    first: Option<(Box<str>, Box<Node<V>>)>,
    more: Map<Box<str>, Node<V>>,
}

impl<V> Node<V> {
    fn new(hash_key: HashKey) -> Self {
        Self { here: None, below: None, plus: None, literals: Literals::new(hash_key) }
    }

    fn is_empty(&self) -> bool {
        self.here.is_none() && self.below.is_none() && self.plus.is_none() && self.literals.is_empty()
    }
}

impl<V> Literals<V> {
    fn new(hash_key: HashKey) -> Self {
        Self { first: None, more: Map::with_hasher(hash_key) }
    }

    fn is_empty(&self) -> bool {
        self.first.is_none() && self.more.is_empty()
    }

    fn get(&self, level: &str) -> Option<&Node<V>> {
        match &self.first {
            Some((text, node)) if **text == *level => Some(node),
            _ if self.more.is_empty() => None,
            _ => self.more.get(level),
        }
    }

    fn get_mut(&mut self, level: &str) -> Option<&mut Node<V>> {
        match &mut self.first {
            Some((text, node)) if **text == *level => Some(node),
            _ => self.more.get_mut(level),
        }
    }

    /// Returns the branch of `level`, made if there is none.
    fn entry(&mut self, level: &str, hash_key: HashKey) -> &mut Node<V> {
        let make = || Node::new(hash_key);
        let is_first = self.first.as_ref().map_or(self.more.is_empty(), |(text, _)| **text == *level);
        if is_first {
            return &mut self.first.get_or_insert_with(|| (level.into(), Box::new(make()))).1;
        }
        // A lookup by reference first: the text is copied only for a new branch.
        if !self.more.contains_key(level) {
            self.more.insert(level.into(), make());
        }
        self.more.entry(level.into()).or_insert_with(make)
    }

    fn remove(&mut self, level: &str) {
        if self.first.take_if(|(text, _)| **text == *level).is_none() {
            self.more.remove(level);
        }
    }
}

impl<V> FilterTree<V> {
    pub(crate) fn new(hash_key: HashKey) -> Self {
        Self { root: Node::new(hash_key), hash_key, changes: Changes::new(hash_key) }
    }

    /// Returns the value of `filter`, made with `make` if there is none.
    pub(crate) fn entry(&mut self, filter: TopicFilter<'_>, make: impl FnOnce() -> V) -> &mut V {
        self.changes.note(filter);
        let mut node = &mut self.root;
        for level in filter.levels() {
            node = match level {
                Level::Hash => return node.below.get_or_insert_with(|| Box::new(make())),
                Level::Plus => node.plus.get_or_insert_with(|| Box::new(Node::new(self.hash_key))),
                Level::Literal(text) => node.literals.entry(text, self.hash_key),
            };
        }
        node.here.get_or_insert_with(|| Box::new(make()))
    }

    /// Returns the value of `filter`.
    pub(crate) fn get_mut(&mut self, filter: TopicFilter<'_>) -> Option<&mut V> {
        self.changes.note(filter);
        let mut node = &mut self.root;
        for level in filter.levels() {
            node = match level {
                Level::Hash => return node.below.as_deref_mut(),
                Level::Plus => node.plus.as_deref_mut()?,
                Level::Literal(text) => node.literals.get_mut(text)?,
            };
        }
        node.here.as_deref_mut()
    }

    /// Removes `filter` and the branches that led to nothing else.
    pub(crate) fn remove(&mut self, filter: TopicFilter<'_>) {
        self.changes.note(filter);
        remove(&mut self.root, filter.levels());
    }

    /// Returns the counts of what changed.
    pub(crate) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Calls `visit` with the value of every filter that matches `topic`. Returns how many nodes that took.
    pub(crate) fn for_each_match<'t>(&'t self, topic: TopicName<'_>, mut visit: impl FnMut(&'t V)) -> usize {
        walk(&self.root, topic.levels(), topic.is_reserved(), &mut visit)
    }
}

fn remove<'f, V>(node: &mut Node<V>, mut levels: impl Iterator<Item = Level<'f>>) {
    match levels.next() {
        None => node.here = None,
        Some(Level::Hash) => node.below = None,
        Some(Level::Plus) => {
            if let Some(child) = node.plus.as_deref_mut() {
                remove(child, levels);
                if child.is_empty() {
                    node.plus = None;
                }
            }
        }
        Some(Level::Literal(text)) => {
            if let Some(child) = node.literals.get_mut(text) {
                remove(child, levels);
                if child.is_empty() {
                    node.literals.remove(text);
                }
            }
        }
    }
}

/// Visits what matches below `node`, and counts the nodes. `hidden` holds at the root for topics that begin with `$`, which a leading
/// wildcard does not match [MQTT-4.7.2-1]. The depth is bounded by the levels that a topic may have.
fn walk<'t, V>(
    node: &'t Node<V>,
    mut levels: Split<'_, char>,
    hidden: bool,
    visit: &mut impl FnMut(&'t V),
) -> usize {
    if let (Some(value), false) = (&node.below, hidden) {
        visit(value);
    }
    let Some(level) = levels.next() else {
        if let Some(value) = &node.here {
            visit(value);
        }
        return 1;
    };
    let mut nodes = 1;
    if let (Some(child), false) = (&node.plus, hidden) {
        nodes += walk(child, levels.clone(), false, visit);
    }
    if let Some(child) = node.literals.get(level) {
        nodes += walk(child, levels, false, visit);
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn tree(filters: &BTreeSet<String>) -> FilterTree<String> {
        let mut tree = FilterTree::new(HashKey::new([1; 16]));
        for filter in filters {
            tree.entry(TopicFilter::parse(filter).unwrap(), || filter.clone());
        }
        tree
    }

    fn matches(tree: &FilterTree<String>, topic: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        tree.for_each_match(TopicName::parse(topic).unwrap(), |filter| {
            assert!(found.insert(filter.clone()), "{filter} was visited twice");
        });
        found
    }

    #[test]
    fn the_cost_of_a_match_does_not_grow_with_filters_that_do_not_match() {
        let few = tree(&["a/+/c".to_owned()].into());
        let beside = (0..10_000).map(|number| format!("a/b/{number}/#"));
        let many = tree(&beside.chain(["a/+/c".to_owned()]).collect());
        let topic = TopicName::parse("a/b/c").unwrap();
        // One more: the node that the others have in common.
        assert_eq!(many.for_each_match(topic, |_| {}), few.for_each_match(topic, |_| {}) + 1);
    }

    fn text(levels: Vec<&str>) -> String {
        levels.join("/")
    }

    fn any_topic() -> impl Strategy<Value = String> {
        proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just(""), Just("$c")], 1..5)
            .prop_map(text)
            .prop_filter("empty", |topic| !topic.is_empty())
    }

    fn any_filter() -> impl Strategy<Value = String> {
        let level = prop_oneof![Just("a"), Just("b"), Just(""), Just("$c"), Just("+")];
        (proptest::collection::vec(level, 0..5), any::<bool>())
            .prop_map(|(mut levels, hash)| {
                if hash {
                    levels.push("#");
                }
                text(levels)
            })
            .prop_filter("empty", |filter| !filter.is_empty())
    }

    proptest! {
        #[test]
        fn the_tree_finds_what_matching_one_by_one_finds(
            filters in proptest::collection::btree_set(any_filter(), 0..12),
            topic in any_topic(),
        ) {
            let name = TopicName::parse(&topic).unwrap();
            let expected: BTreeSet<_> =
                filters.iter().filter(|f| TopicFilter::parse(f).unwrap().matches(name)).cloned().collect();
            prop_assert_eq!(matches(&tree(&filters), &topic), expected);
        }

        #[test]
        fn removing_every_filter_leaves_no_branch(
            filters in proptest::collection::btree_set(any_filter(), 0..12),
        ) {
            let mut tree = tree(&filters);
            for filter in &filters {
                prop_assert!(tree.get_mut(TopicFilter::parse(filter).unwrap()).is_some());
                tree.remove(TopicFilter::parse(filter).unwrap());
                prop_assert!(tree.get_mut(TopicFilter::parse(filter).unwrap()).is_none());
            }
            prop_assert!(tree.root.is_empty());
        }
    }
}
