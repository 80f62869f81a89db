//! Figures of several turns: median, smallest, largest.

use serde::Serialize;

/// What several turns gave.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Figure {
    /// Sums up the turns; `None` if there are none or one of them is not a number.
    pub(crate) fn of(turns: &[f64]) -> Option<Self> {
        if turns.is_empty() || turns.iter().any(|turn| !turn.is_finite()) {
            return None;
        }
        let mut sorted = turns.to_vec();
        sorted.sort_by(f64::total_cmp);
        let half = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[half] } else { (sorted[half - 1] + sorted[half]) / 2.0 };
        Some(Self { median, min: sorted[0], max: sorted[sorted.len() - 1] })
    }

    /// Returns how many times the other's median this one's is.
    pub(crate) fn over(self, other: Self) -> f64 {
        self.median / other.median
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_three_turns_is_the_middle_one_whatever_their_order() {
        let figure = Figure::of(&[9.0, 1.0, 2.0]).unwrap();
        assert_eq!(figure, Figure { median: 2.0, min: 1.0, max: 9.0 });
    }

    #[test]
    fn the_median_of_four_turns_lies_between_the_middle_two() {
        assert_eq!(Figure::of(&[4.0, 1.0, 3.0, 2.0]).unwrap().median, 2.5);
    }

    #[test]
    fn a_turn_without_messages_gives_no_figure() {
        assert_eq!(Figure::of(&[1.0, f64::NAN]), None);
        assert_eq!(Figure::of(&[]), None);
    }

    #[test]
    fn a_ratio_compares_medians() {
        let of = |turns| Figure::of(turns).unwrap();
        assert_eq!(of(&[6.0, 6.0, 99.0]).over(of(&[4.0, 1.0, 4.0])), 1.5);
    }
}
