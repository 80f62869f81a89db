//! What can be set, and why it is set as it is.

use crate::event::Exposure;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// How patient the watch is with devices that are silent. Times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// With devices that everybody can reach.
    pub public: Patience,
    /// With devices that those who work there can reach.
    pub workplace: Patience,
    /// With devices behind a locked door.
    pub locked: Patience,
    /// How long a lost link counts as one that is about to be there again. Default 60 s: most clients try again
    /// sooner.
    pub settle_ms: u64,
    /// How far apart losses are one event. Default 60 s: what is lost at one moment is noticed at many.
    pub together_ms: u64,
    /// How long more losses are waited for before a group is told of. Default 60 s: a usual keep-alive, for so far apart are
    /// losses noticed. With [`Self::settle_ms`] a router has two minutes to start.
    pub gather_ms: u64,
    /// Which share of a group is lost together when the group is, in percent. Default 60: some are always asleep or cling to another way.
    pub group_percent: u32,
    /// How many are a group at least. Default 3: two are a coincidence.
    pub group_least: u32,
    /// Which share of all is lost together when the broker is to blame, in percent. Default 30: no site is that large where there are four.
    pub all_percent: u32,
    /// How long a group must be back before that is told. Default 2 min: power that comes back often goes again.
    pub group_back_ms: u64,
    /// How long before a loss a hand on the device makes it suspicious. Default 10 min.
    pub touched_ms: u64,
    /// How long a last gasp explains a loss. Default 30 s: no capacitor lasts longer.
    pub gasp_ms: u64,
    /// How many starts within [`Self::restart_window_ms`] are a loop. Default 3: an update needs one or two.
    pub restarts: usize,
    /// How far apart starts of a loop are. Default 1 h.
    pub restart_window_ms: u64,
    /// How long devices have to come back after trouble of our own. Default 10 min: clients double their pauses up to a few minutes.
    pub own_grace_ms: u64,
    /// How late the watch may be called before that is trouble of our own. Default 2 min: no busy machine is, one that slept is.
    pub overdue_ms: u64,
}

/// How patient the watch is with devices that stand alike. Times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How many intervals a device may be silent.
    pub intervals: u32,
    /// How long after its link broke a device may stay away; longer than [`Settings::settle_ms`] and
    /// [`Settings::gather_ms`] together.
    pub reconnect_ms: u64,
    /// After which time a silent device is destroyed or gone.
    pub gone_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            public: Patience { intervals: 3, reconnect_ms: 3 * MINUTE, gone_ms: 6 * HOUR },
            workplace: Patience { intervals: 4, reconnect_ms: 5 * MINUTE, gone_ms: 24 * HOUR },
            locked: Patience { intervals: 6, reconnect_ms: 10 * MINUTE, gone_ms: 24 * HOUR },
            settle_ms: MINUTE,
            together_ms: MINUTE,
            gather_ms: MINUTE,
            group_percent: 60,
            group_least: 3,
            all_percent: 30,
            group_back_ms: 2 * MINUTE,
            touched_ms: 10 * MINUTE,
            gasp_ms: 30 * SECOND,
            restarts: 3,
            restart_window_ms: HOUR,
            own_grace_ms: 10 * MINUTE,
            overdue_ms: 2 * MINUTE,
        }
    }
}

impl Settings {
    /// Returns how patient the watch is with a device that stands so.
    pub fn patience(&self, exposure: Exposure) -> Patience {
        match exposure {
            Exposure::Public => self.public,
            Exposure::Workplace => self.workplace,
            Exposure::Locked => self.locked,
        }
    }
}
