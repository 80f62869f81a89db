//! A map that is cheap to copy when it is changed: copies share all buckets but the changed one.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

/// With a million entries a change copies about four thousand of them: well under a millisecond.
const BUCKETS: usize = 256;

/// Maps keys to values. Cloning copies 256 pointers; a change of a shared map copies one bucket.
#[derive(Debug, Clone)]
pub(crate) struct CowMap<K, V> {
    buckets: Vec<Arc<HashMap<K, V>>>,
    len: usize,
}

impl<K, V> Default for CowMap<K, V> {
    fn default() -> Self {
        let buckets = (0..BUCKETS).map(|_| Arc::default()).collect();
        Self { buckets, len: 0 }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> CowMap<K, V> {
    fn bucket<Q: Hash + ?Sized>(key: &Q) -> usize {
        // Without a seed: operators choose the keys, and a full bucket costs time only when it is changed.
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        // The remainder is below 256.
        (hasher.finish() % BUCKETS as u64) as usize
    }

    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.buckets[Self::bucket(key)].get(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        let bucket = Self::bucket(&key);
        if Arc::make_mut(&mut self.buckets[bucket]).insert(key, value).is_none() {
            self.len += 1;
        }
    }

    pub(crate) fn remove(&mut self, key: &K) {
        let bucket = Self::bucket(key);
        if Arc::make_mut(&mut self.buckets[bucket]).remove(key).is_some() {
            self.len -= 1;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.buckets.iter().flat_map(|bucket| bucket.iter())
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl<K: Eq + Hash + Clone, V: Clone + PartialEq> PartialEq for CowMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        let has = |(key, value): (&K, &V)| other.get(key) == Some(value);
        self.len == other.len && self.iter().all(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_does_not_see_later_changes() {
        let mut map = CowMap::default();
        (0..1_000).for_each(|n| map.insert(n, n * 2));
        let copy = map.clone();
        map.insert(5, 0);
        map.remove(&6);
        assert_eq!((map.get(&5), map.get(&6), map.len()), (Some(&0), None, 999));
        assert_eq!((copy.get(&5), copy.get(&6), copy.len()), (Some(&10), Some(&12), 1_000));
        assert_ne!(map, copy);
    }

    #[test]
    fn a_change_copies_one_bucket_only() {
        let mut map: CowMap<u32, u32> = CowMap::default();
        (0..10_000).for_each(|n| map.insert(n, n));
        let copy = map.clone();
        map.insert(1, 2);
        let copied = map.buckets.iter().zip(&copy.buckets).filter(|(a, b)| !Arc::ptr_eq(a, b)).count();
        assert_eq!(copied, 1);
    }

    #[test]
    fn maps_with_equal_content_are_equal() {
        let mut a = CowMap::default();
        let mut b = CowMap::default();
        (0..100).for_each(|n| a.insert(n, n));
        (0..100).rev().for_each(|n| b.insert(n, n));
        assert_eq!(a, b);
    }
}
