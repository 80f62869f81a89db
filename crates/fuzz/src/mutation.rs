//! A small mutator for the ordinary test run: deterministic, without coverage. libFuzzer digs deeper.

/// Draws numbers from a seed (xorshift64*).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Begins a sequence; each seed has its own.
    pub fn new(seed: u64) -> Self {
        // Zero is the one state that xorshift never leaves.
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Draws a number below `bound`; 0 if there is none.
    pub fn below(&mut self, bound: usize) -> usize {
        ((self.next() >> 33) as usize).checked_rem(bound).unwrap_or(0)
    }
}

/// The longest input that [`mutate`] makes, in bytes: decoders have their bounds far below or do the same above.
pub const INPUT_BYTES: usize = 4096;

/// Numbers at which lengths and counters turn over.
const EDGES: [u8; 8] = [0, 1, 0x7F, 0x80, 0xFF, b'/', b'+', b'#'];

/// Changes `input` in one to four places; `other` lends it pieces.
pub fn mutate(dice: &mut Dice, input: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=dice.below(4) {
        let at = dice.below(input.len() + 1);
        match dice.below(7) {
            0 => flip(dice, input, at),
            1 => set(input, at, EDGES[dice.below(EDGES.len())]),
            2 => insert(input, at, &[EDGES[dice.below(EDGES.len())]]),
            3 => remove(dice, input, at),
            4 => {
                let piece =
                    input.get(at..(at + dice.below(32)).min(input.len())).unwrap_or_default().to_vec();
                insert(input, at, &piece);
            }
            5 => {
                let start = dice.below(other.len() + 1);
                let end = (start + dice.below(64)).min(other.len());
                insert(input, at, &other[start..end]);
            }
            _ => input.truncate(at),
        }
    }
    input.truncate(INPUT_BYTES);
}

fn flip(dice: &mut Dice, input: &mut [u8], at: usize) {
    if let Some(byte) = input.get_mut(at) {
        *byte ^= 1 << dice.below(8);
    }
}

fn set(input: &mut [u8], at: usize, value: u8) {
    if let Some(byte) = input.get_mut(at) {
        *byte = value;
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    input.splice(at..at, piece.iter().copied());
}

fn remove(dice: &mut Dice, input: &mut Vec<u8>, at: usize) {
    let end = (at + dice.below(16)).min(input.len());
    input.drain(at..end.max(at));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_behind_a_changed_byte_is_found_within_a_few_thousand_mutations() {
        let seeds: [&[u8]; 2] = [b"hello, world", b"+/+/#"];
        let mut dice = Dice::new(7);
        let found = (0..5_000).any(|_| {
            let mut input = seeds[dice.below(2)].to_vec();
            mutate(&mut dice, &mut input, seeds[1]);
            input.starts_with(b"hel\xFF")
        });
        assert!(found);
    }

    #[test]
    fn one_seed_makes_one_sequence_of_inputs() {
        let inputs = |seed| {
            let mut dice = Dice::new(seed);
            let mut input = b"abc".to_vec();
            (0..100).for_each(|_| mutate(&mut dice, &mut input, b"xyz"));
            input
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
    }
}
