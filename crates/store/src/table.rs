//! The name of an ordered keyspace.

use crate::limits;

/// Names one of the [`limits::TABLES`] ordered keyspaces. What a number means is for its user to say, once and for ever:
/// it is part of the format on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table(u8);

impl Table {
    /// Names a table; meant for constants, where a wrong number does not compile.
    ///
    /// # Panics
    /// The number is not below [`limits::TABLES`].
    #[must_use]
    pub const fn new(number: u8) -> Self {
        assert!((number as usize) < limits::TABLES, "no such table");
        Self(number)
    }

    /// Tells the number, below [`limits::TABLES`].
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Lists all tables in their order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..limits::TABLES as u8).map(Self)
    }
}
