//! What happens to one device, told to a watch in the order of time.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use keyward_ids::DeviceId;
use keyward_watch::Watch;
use keyward_watch::event::{
    Claims, Connection, End, Event, Heartbeat, Message, Place, Position, Proof, Ratchet, Source, UnixMillis,
};
use keyward_watch::finding::{Class, Confidence, Finding, Severity, Turn};

pub(crate) const SECOND: u64 = 1_000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;

/// Where the device is at home.
pub(crate) fn home() -> Source {
    Source {
        network: 0x00c0_0002,
        fingerprint: 0xa1,
        system: Some(3_320),
        country: Some(*b"DE"),
        location: Some((5_252, 1_340)),
    }
}

/// The device "pump" and the watch over it.
pub(crate) struct Story {
    pub(crate) watch: Watch,
    pub(crate) now: UnixMillis,
    link: u64,
}

impl Story {
    pub(crate) fn begin() -> Self {
        Self::at(Place::default())
    }

    pub(crate) fn at(place: Place) -> Self {
        let mut story = Self { watch: Watch::new(), now: UnixMillis(1_800_000_000_000), link: 0 };
        story.tell(Event::Registered { device: pump(), place });
        story
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.watch.handle(self.now, &event);
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, millis: u64) {
        let until = self.now.plus(millis);
        while let Some(at) = self.watch.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.watch.handle_timeout(self.now);
        }
        self.now = until;
    }

    pub(crate) fn connect(&mut self, source: Source) -> u64 {
        self.link += 1;
        let connection = Connection { link: self.link, source, keep_alive_secs: 60 };
        self.tell(Event::Connected { device: pump(), connection });
        self.link
    }

    pub(crate) fn connect_with(&mut self, source: Source, ratchet: Ratchet) -> u64 {
        let link = self.connect(source);
        self.tell(Event::Ratcheted { device: pump(), link, ratchet });
        link
    }

    pub(crate) fn disconnect(&mut self, link: u64, end: End) {
        self.tell(Event::Disconnected { device: pump(), link, end });
    }

    pub(crate) fn proof(&mut self, proof: Proof) {
        self.tell(Event::Proof { device: pump(), proof });
    }

    /// A signed message comes at once.
    pub(crate) fn signed(&mut self, epoch: u32, count: u64) {
        self.signed_late(epoch, count, 0);
    }

    /// A signed message comes that was made earlier.
    pub(crate) fn signed_late(&mut self, epoch: u32, count: u64, millis_ago: u64) {
        let made = UnixMillis(self.now.0 - millis_ago);
        self.claims(Claims { key: 1, epoch, count, made, key_level: 1 });
    }

    pub(crate) fn signed_by(&mut self, key: u64, key_level: u8, millis_ago: u64) {
        let made = UnixMillis(self.now.0 - millis_ago);
        self.claims(Claims { key, epoch: 0, count: self.now.0, made, key_level });
    }

    pub(crate) fn claims(&mut self, claims: Claims) {
        self.tell(Event::Message { device: pump(), message: Message { claims: Some(claims) } });
    }

    pub(crate) fn beat(&mut self, boot_count: u64, uptime_millis: u64) {
        self.beat_with(Heartbeat { boot_count, uptime_secs: uptime_millis / SECOND, ..Heartbeat::default() });
    }

    pub(crate) fn beat_with(&mut self, heartbeat: Heartbeat) {
        self.tell(Event::Heartbeat { device: pump(), heartbeat, verified: true });
    }

    pub(crate) fn fix(&mut self, latitude: i32, longitude: i32) {
        let position = Position { latitude, longitude };
        self.tell(Event::Fix { device: pump(), position, verified: true });
    }

    pub(crate) fn tamper(&mut self) {
        self.tell(Event::Tamper { device: pump(), input: "case".into(), verified: true });
    }

    /// All that was found since the last time.
    pub(crate) fn findings(&mut self) -> Vec<Finding> {
        std::iter::from_fn(|| self.watch.poll_finding()).filter(|finding| is_ours(finding.class)).collect()
    }

    /// What was found since the last time: which class, how sure and how bad.
    pub(crate) fn found(&mut self) -> Vec<(Class, Confidence, Severity)> {
        let set = self.findings().into_iter().filter(|finding| finding.turn == Turn::Set);
        set.map(|finding| (finding.class, finding.confidence, finding.severity)).collect()
    }

    /// What is over since the last time.
    pub(crate) fn over(&mut self) -> Vec<Class> {
        let over = self.findings().into_iter().filter(|finding| finding.turn == Turn::Clear);
        over.map(|finding| finding.class).collect()
    }
}

/// Whether a class is about who holds a key or where a device is. Whether it is there is told elsewhere.
pub(crate) fn is_ours(class: Class) -> bool {
    use Class::*;
    matches!(
        class,
        Equivocation
            | EpochsInterleave
            | NumbersBehind
            | Replay
            | TakeoverPingPong
            | StaleRatchet
            | ImpossibleTravel
            | KeyLevelFell
            | BadSignatures
            | Moved
            | Tampered
    )
}

pub(crate) fn pump() -> DeviceId {
    "pump".parse().unwrap()
}
