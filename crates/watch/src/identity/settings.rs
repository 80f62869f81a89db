//! What can be set, and why it is set as it is.

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// When the identity of a device is in doubt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// How far a device's clock may be ahead, in milliseconds. Default 5 minutes, which is what mqsec1 accepts.
    pub clock_ahead_ms: u64,
    /// How far two estimates of when a device started may differ, in milliseconds. Default 2 minutes: what links and queues delay.
    pub start_differs_ms: u64,
    /// How many different messages have to be replayed, within an hour. Default 3: one or two are a retry that went astray.
    pub replays: usize,
    /// How many messages have to be badly signed, within a minute. Default 3: what makes the broker refuse more than one is no accident.
    pub bad_signatures: usize,
    /// Within how long two sources have to take each other's place twice, in milliseconds. Default 10 minutes.
    pub ping_pong_ms: u64,
    /// How fast devices travel, in kilometres an hour. Default 900: an airliner.
    pub speed_kmh: f64,
    /// How far off the location of an address is, in kilometres. Default 300: mobile networks place all of a country at one exit.
    pub location_error_km: f64,
    /// How long a key level has to be the only one before a lower one is a fall, in milliseconds. Default a day: a device may use
    /// two keys side by side, and then uses both.
    pub level_settles_ms: u64,
    /// How long the first of two signs counts, in milliseconds. Default 30 days.
    pub first_sign_ms: u64,
    /// How long a sign that is seen again and again is not told again, in milliseconds. Default 10 minutes.
    pub repeat_ms: u64,
    /// After how long without another sign what proves nothing is over, in milliseconds. Default an hour.
    pub quiet_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            clock_ahead_ms: 5 * MINUTE_MS,
            start_differs_ms: 2 * MINUTE_MS,
            replays: 3,
            bad_signatures: 3,
            ping_pong_ms: 10 * MINUTE_MS,
            speed_kmh: 900.0,
            location_error_km: 300.0,
            level_settles_ms: 24 * HOUR_MS,
            first_sign_ms: 30 * 24 * HOUR_MS,
            repeat_ms: 10 * MINUTE_MS,
            quiet_ms: HOUR_MS,
        }
    }
}
