//! A small ordered map in one buffer. Most keys come in rising order and leave at the front: that costs no shifting
//! and, unlike the nodes of a tree, no allocation.

use crate::limits;
use std::collections::VecDeque;

/// Maps keys to values, ordered by key.
#[derive(Debug)]
pub(crate) struct OrderedDeque<K, V>(VecDeque<(K, V)>);

impl<K, V> Default for OrderedDeque<K, V> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<K: Ord, V> OrderedDeque<K, V> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        self.0.iter()
    }

    /// Adds or replaces.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        match self.find(&key) {
            Ok(index) => {
                if let Some(entry) = self.0.get_mut(index) {
                    entry.1 = value;
                }
            }
            Err(index) => self.0.insert(index, (key, value)),
        }
    }

    pub(crate) fn remove(&mut self, key: &K) {
        if let Ok(index) = self.find(key) {
            self.0.remove(index);
        }
        if self.0.is_empty() {
            self.0.shrink_to(limits::ORDERED_KEPT);
        }
    }

    /// Returns where `key` stands, or where it would.
    fn find(&self, key: &K) -> Result<usize, usize> {
        if self.0.back().is_none_or(|(last, _)| last < key) {
            return Err(self.0.len());
        }
        self.0.binary_search_by(|(other, _)| other.cmp(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_does_what_a_tree_does(steps in proptest::collection::vec((0..12_u8, any::<Option<u8>>()), 0..60)) {
            let (mut deque, mut tree) = (OrderedDeque::default(), BTreeMap::new());
            for (key, value) in steps {
                match value {
                    Some(value) => {
                        deque.insert(key, value);
                        tree.insert(key, value);
                    }
                    None => {
                        deque.remove(&key);
                        tree.remove(&key);
                    }
                }
            }
            prop_assert!(deque.iter().copied().eq(tree));
        }
    }
}
