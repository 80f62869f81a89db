//! A small set of members, by their places in the group: one bit each, so that a message which many members may not
//! read costs no more to pass over than any other.

/// Holds places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Places(Vec<u64>);

impl Places {
    /// Returns the lowest place that is not in the set.
    pub(super) fn first_free(&self) -> usize {
        let full = self.0.iter().take_while(|word| **word == u64::MAX).count();
        let rest = self.0.get(full).map_or(0, |word| word.trailing_ones() as usize);
        full * u64::BITS as usize + rest
    }

    pub(super) fn insert(&mut self, place: usize) {
        let (word, bit) = split(place);
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    pub(super) fn remove(&mut self, place: usize) {
        let (word, bit) = split(place);
        if let Some(word) = self.0.get_mut(word) {
            *word &= !bit;
        }
    }

    pub(super) fn contains(&self, place: usize) -> bool {
        let (word, bit) = split(place);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Tells whether all of these are in `other`.
    pub(super) fn are_all_in(&self, other: &Self) -> bool {
        let there = other.0.iter().chain(core::iter::repeat(&0));
        self.0.iter().zip(there).all(|(here, there)| here & !there == 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }
}

fn split(place: usize) -> (usize, u64) {
    // The remainder is below the bits of a word.
    (place / u64::BITS as usize, 1 << (place % u64::BITS as usize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn places(numbers: &BTreeSet<usize>) -> Places {
        let mut places = Places::default();
        numbers.iter().for_each(|number| places.insert(*number));
        places
    }

    proptest! {
        #[test]
        fn they_are_a_set(
            one in proptest::collection::btree_set(0..200_usize, 0..150),
            other in proptest::collection::btree_set(0..200_usize, 0..150),
            gone in 0..200_usize,
        ) {
            let (mut here, there) = (places(&one), places(&other));
            prop_assert_eq!(here.are_all_in(&there), one.is_subset(&other));
            prop_assert_eq!(Some(here.first_free()), (0..).find(|place| !one.contains(place)));
            here.remove(gone);
            prop_assert!((0..200).all(|place| here.contains(place) == (one.contains(&place) && place != gone)));
            prop_assert_eq!(here.is_empty(), one.iter().all(|place| *place == gone));
        }
    }
}
