//! What can be set, and why it is set as it is.

/// How a stream learns and reports.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Readings after which what was seen counts a third. Default 5,000: two weeks of one in five minutes; longer is slower to get used
    /// to what is new for good, shorter cannot tell the rare from the very rare.
    pub memory: f32,
    /// How fast magnitudes beyond all that were seen get unlikely: by so many bits for each doubling. Default 3: twice the largest is
    /// eight times as rare, between the tails of heavy-tailed counts (1 to 2) and of noise (no bound).
    pub tail: f32,
    /// Readings after which a reported anomaly counts a third, so that another is reported. Default 200.
    pub hold: f32,
    /// Bits by which a reading has to surprise more than the anomaly that was reported, as far as it still counts. Default 1.5: three times
    /// as rare.
    pub margin: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { memory: 5_000.0, tail: 3.0, hold: 200.0, margin: 1.5 }
    }
}
