//! Who publishes and who reads: the shapes of traffic that are measured.

use clap::ValueEnum;
use serde::Serialize;

/// A shape of traffic among some clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Shape {
    /// N publishers with a topic each, one reader of all
    FanIn,
    /// One publisher, N readers of its topic
    FanOut,
    /// N publishers, each with a reader of its own
    Pairs,
    /// N clients that read what they publish themselves
    Echo,
    /// N publishers whose readers are stored sessions that are not connected: what counts is the acknowledgement
    #[value(skip)]
    Absent,
}

/// What one client does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Role {
    pub(crate) publishes: Option<String>,
    pub(crate) reads: Option<String>,
}

impl Shape {
    /// Returns the role of each client for `count` publishers, readers or pairs, all topics below `root`.
    pub(crate) fn roles(self, count: usize, root: &str) -> Vec<Role> {
        let publisher = |topic: String| Role { publishes: Some(topic), reads: None };
        let reader = |filter: String| Role { publishes: None, reads: Some(filter) };
        let own = |n| format!("{root}/{n}");
        match self {
            Self::FanIn => {
                (0..count).map(|n| publisher(own(n))).chain([reader(format!("{root}/+"))]).collect()
            }
            Self::FanOut => (0..count).map(|_| reader(own(0))).chain([publisher(own(0))]).collect(),
            Self::Pairs => (0..count).flat_map(|n| [publisher(own(n)), reader(own(n))]).collect(),
            Self::Absent => (0..count).map(|n| publisher(own(n))).collect(),
            Self::Echo => (0..count).map(|n| Role { publishes: Some(own(n)), reads: Some(own(n)) }).collect(),
        }
    }

    /// Returns how often each message is delivered; where all readers are away its acknowledgement takes the place.
    pub(crate) fn copies(self, count: usize) -> u64 {
        if self == Self::FanOut { count as u64 } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(shape: Shape) -> (usize, usize) {
        let roles = shape.roles(100, "t");
        let publishers = roles.iter().filter(|role| role.publishes.is_some()).count();
        (publishers, roles.iter().filter(|role| role.reads.is_some()).count())
    }

    #[test]
    fn each_shape_has_the_publishers_and_readers_of_its_name() {
        assert_eq!(counted(Shape::FanIn), (100, 1));
        assert_eq!(counted(Shape::FanOut), (1, 100));
        assert_eq!(counted(Shape::Pairs), (100, 100));
        assert_eq!(counted(Shape::Echo), (100, 100));
        assert_eq!(counted(Shape::Absent), (100, 0));
    }

    #[test]
    fn only_a_fan_out_multiplies_messages() {
        assert_eq!(Shape::FanOut.copies(100), 100);
        assert_eq!(Shape::FanIn.copies(100), 1);
    }
}
