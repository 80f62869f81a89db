//! Chance: a sequence of numbers that its seed determines, or none at all.

/// Draws numbers: SplitMix64, small and good enough to choose among faults.
#[derive(Debug, Clone)]
pub struct Dice(Sequence);

#[derive(Debug, Clone)]
enum Sequence {
    Drawn(u64),
    Still,
}

impl Dice {
    /// Begins the sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Sequence::Drawn(seed))
    }

    /// Makes dice that lie still, for a script that decides itself: every number is the lowest, no chance ever comes,
    /// what has an order keeps it, and of choices that are listed the last is taken.
    pub fn still() -> Self {
        Self(Sequence::Still)
    }

    fn lies_still(&self) -> bool {
        matches!(self.0, Sequence::Still)
    }

    /// Begins a sequence of its own, so that more draws here do not shift those there.
    pub fn fork(&mut self) -> Self {
        if self.lies_still() { Self::still() } else { Self::new(self.draw()) }
    }

    /// Draws any number.
    pub fn draw(&mut self) -> u64 {
        let Sequence::Drawn(last) = &mut self.0 else { return 0 };
        *last = last.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = *last;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Draws a number below `end`; 0 if there is none.
    pub fn below(&mut self, end: usize) -> usize {
        // The remainder is below `end`, which is a usize.
        (self.draw() % (end.max(1) as u64)) as usize
    }

    /// Draws a number from `first` to `last`.
    pub fn between(&mut self, first: usize, last: usize) -> usize {
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// Is true `times` times in a thousand.
    pub fn chance(&mut self, times: u64) -> bool {
        !self.lies_still() && self.draw() % 1_000 < times
    }

    /// Draws one of `choices`; `None` if there is none.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.below(choices.len()))
    }

    /// Draws one of at least one choices.
    pub fn one_of<T: Copy, const N: usize>(&mut self, choices: [T; N]) -> T {
        const { assert!(N > 0) };
        if self.lies_still() { choices[N - 1] } else { choices[self.below(N)] }
    }

    /// Draws a choice, each as often as its weight says; `None` if all weights are 0.
    pub fn weighted<T: Copy>(&mut self, choices: &[(u64, T)]) -> Option<T> {
        let total: u64 = choices.iter().map(|(weight, _)| weight).sum();
        let mut left = self.draw() % total.max(1);
        for (weight, choice) in choices {
            if left < *weight {
                return Some(*choice);
            }
            left -= weight;
        }
        None
    }

    /// Puts `items` into a drawn order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        if self.lies_still() {
            return;
        }
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_has_one_sequence_and_another_seed_another() {
        let draws = |seed| {
            let mut dice = Dice::new(seed);
            std::array::from_fn::<_, 8, _>(|_| dice.below(1_000))
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
    }

    #[test]
    fn dice_that_lie_still_decide_nothing() {
        let mut dice = Dice::still();
        let mut order = [1, 2, 3];
        dice.shuffle(&mut order);
        assert_eq!(
            (dice.between(3, 9), dice.chance(999), dice.one_of(['a', 'b']), order),
            (3, false, 'b', [1, 2, 3])
        );
    }

    #[test]
    fn a_weight_of_nothing_is_never_drawn() {
        let mut dice = Dice::new(1);
        let drawn: Vec<_> = (0..100).filter_map(|_| dice.weighted(&[(0, 'a'), (1, 'b'), (3, 'c')])).collect();
        assert!(drawn.len() == 100 && !drawn.contains(&'a') && drawn.contains(&'b') && drawn.contains(&'c'));
    }
}
