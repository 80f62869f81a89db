//! What befalls a device or all of them, and when.

use super::sensor::Bend;
use keyward_watch::event::{Event, Position, Reset, Source};

/// Is one thing that happens at a time, in milliseconds since 1970, to one body (an index).
#[derive(Debug, Clone)]
pub(super) struct Cue {
    pub(super) at: u64,
    pub(super) whom: usize,
    pub(super) act: Act,
}

/// Is something that happens to a body, or to the world. `until` and `back_at` are times.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// It is registered and switched on.
    Begin,
    /// It is removed from the registry and switched off.
    Remove,
    /// It is destroyed or carried away: it never comes back, and nobody says so.
    Gone,
    /// Its supply fails; it starts so many times before it is back.
    PowerCut { until: u64, starts: u64 },
    /// It starts anew. A clean start says good-bye first.
    Reboot { reset: Reset, is_clean: bool },
    /// The way to it is cut. It notices, and keeps what it can.
    WayCut { until: u64 },
    /// It hangs, or is jammed: it runs, and neither sends nor keeps anything.
    Hang { until: u64 },
    /// Its connection breaks, and it comes back.
    Drop { back_at: u64 },
    /// So many reports are lost on the way.
    Lose(u32),
    /// One of its sensors is silent.
    Mute { sensor: usize, until: u64 },
    /// One of its sensors lies, or tells the truth again.
    Bend { sensor: usize, bend: Option<Bend> },
    /// It reports so often, in milliseconds.
    Interval(u64),
    /// It connects from elsewhere from the next time on.
    Source(Source),
    /// It is somewhere else, if it finds that out.
    Position(Position),
    /// Its key for messages is renewed.
    NewKey,
    /// Its key for messages has another protection.
    KeyLevel(u8),
    /// A switch is triggered.
    Tamper(&'static str),
    /// It says how long it sleeps next, and does.
    Sleep { until: u64 },
    /// Somebody with a copy of it comes, from there.
    Copied { source: Source, manner: Manner },
    /// Whoever has a copy goes.
    CopyLeaves,
    /// The broker says so, or a person.
    Say(Event),
    /// The broker is away.
    BrokerAway { until: u64 },
    /// The world around all sensors of a site (an index) changes by so many swings, to stay so until the next time.
    Step { site: usize, swings: f64 },
}

/// Says how a copy behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// It comes once in so many milliseconds, says one thing and goes.
    Visits(u64),
    /// It stays, and comes back at once if it is thrown out.
    Stays,
}
