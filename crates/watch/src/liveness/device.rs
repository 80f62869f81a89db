//! What is remembered of one device, and when it is to be looked at again.

use super::cadence::{Cadence, Usual};
use super::sensors::Sensors;
use super::settings::{Patience, Settings};
use super::starts::Starts;
use crate::event::{Connection, End, Exposure, Place, Power, Scope, UnixMillis};
use crate::finding::{Class, Confidence, Severity};
use crate::fleet::scopes;
use keyward_ids::DeviceId;
use serde::{Deserialize, Serialize};

/// A link that stood so long belongs to a device that stays linked; one that comes to report and goes has none.
const STAYS_MILLIS: u64 = 30 * 60_000;
/// The shortest time that a link stands before a device counts as back.
const BACK_MILLIS: u64 = 60_000;
/// How long after a device is back messages come that it kept.
const AT_ONCE_MILLIS: u64 = 5_000;
/// How late a server notices that a keep-alive has run out.
const KEEP_ALIVE_SLACK_MILLIS: u64 = 10_000;
/// Messages after which it counts as back.
const BACK_MESSAGES: u8 = 2;

/// Remembers one device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Device {
    /// The groups that it is part of, the smallest first.
    pub(super) groups: Vec<Scope>,
    pub(super) exposure: Exposure,
    /// Whether it outlasts the mains.
    pub(super) is_backed: bool,
    declared: Option<u64>,
    pub(super) link: Option<Link>,
    stays_linked: bool,
    pub(super) ended: Option<(UnixMillis, End)>,
    /// Whether it took leave or sleeps since its last heartbeat: that it starts after it is no news.
    pub(super) took_leave: bool,
    pub(super) heard: Option<UnixMillis>,
    pub(super) cadence: Cadence<64>,
    pub(super) standing: Standing,
    pub(super) asleep: Option<Asleep>,
    /// When its supply failed, and whether its signature says so.
    pub(super) gasp: Option<(UnixMillis, bool)>,
    pub(super) touch: Option<Touch>,
    pub(super) starts: Starts,
    pub(super) sensors: Sensors,
    pub(super) told: Option<Told>,
    /// Silence before is not held against it.
    pub(super) excused: UnixMillis,
    /// Whether the pause that runs says nothing of how often it reports: it sleeps, was cut off, or was excused.
    pub(super) says_nothing: bool,
}

/// Is a link that stands.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Link {
    number: u64,
    since: UnixMillis,
    pub(super) keep_alive_millis: u64,
}

/// Is a sleep that was announced.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Asleep {
    pub(super) from: UnixMillis,
    pub(super) until: UnixMillis,
}

/// Is a hand on the device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Touch {
    pub(super) at: UnixMillis,
    pub(super) input: Box<str>,
    pub(super) is_verified: bool,
}

/// Says whether a device is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Standing {
    /// Nothing is expected of it: it was never heard, sleeps, or took leave.
    Resting,
    /// It is there, as far as one can tell.
    Present,
    /// It is not, for long enough only if `settled`.
    Lost { loss: Loss, settled: bool },
}

/// Is a loss: it happened at an unknown moment between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Loss {
    pub(super) from: UnixMillis,
    pub(super) to: UnixMillis,
    pub(super) noticed: UnixMillis,
    pub(super) how: How,
}

/// Says how a loss was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum How {
    /// Its link ended.
    Link,
    /// Its supply failed, as it said.
    Gasp,
    /// Nothing came.
    Silence,
    /// Nothing came, while its link is alive.
    Linked,
    /// It did not wake.
    Overslept,
}

/// Says how a device counts in its groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    None,
    Present,
    Lost(Loss),
}

/// Is what was told of a device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) class: Class,
    pub(super) confidence: Confidence,
    pub(super) severity: Severity,
    pub(super) part_of: Option<(Scope, Class)>,
    pub(super) loss: Loss,
    /// Since when it is heard again.
    pub(super) back: Option<Back>,
    /// When it is judged again: what it was part of has ended.
    pub(super) again: Option<UnixMillis>,
    /// Whether the device itself has told what happened.
    pub(super) is_explained: bool,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Back {
    pub(super) since: UnixMillis,
    last: UnixMillis,
    good: u8,
    /// How many messages came at once.
    pub(super) messages: u32,
}

/// Is what is due for a device when its time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Settle,
    Silent,
    Overslept,
    Find,
    Gone,
    Back,
    StartsEnd,
    Sensors,
}

impl Device {
    pub(super) fn new(id: &DeviceId, place: &Place) -> Self {
        let mut device = Self {
            groups: Vec::new(),
            exposure: Exposure::default(),
            is_backed: false,
            declared: None,
            link: None,
            stays_linked: false,
            ended: None,
            took_leave: false,
            heard: None,
            cadence: Cadence::default(),
            standing: Standing::Resting,
            asleep: None,
            gasp: None,
            touch: None,
            starts: Starts::default(),
            sensors: Sensors::default(),
            told: None,
            excused: UnixMillis(0),
            says_nothing: false,
        };
        device.place(id, place);
        device
    }

    pub(super) fn place(&mut self, id: &DeviceId, place: &Place) {
        self.groups = scopes(id, place).split_off(1);
        self.exposure = place.exposure;
        self.is_backed = place.power != Power::Mains;
        self.declared = place.interval_ms.filter(|interval| *interval > 0);
    }

    pub(super) fn site(&self) -> Option<&Scope> {
        self.groups.iter().find(|scope| matches!(scope, Scope::Site(_)))
    }

    /// Returns how often it reports, if that is known.
    pub(super) fn usual(&self, now: UnixMillis) -> Option<Usual> {
        self.declared.map(Usual::declared).or_else(|| self.cadence.usual(now))
    }

    /// Tells whether its keep-alive proves that it is reachable.
    pub(super) fn is_linked(&self) -> bool {
        self.link.is_some_and(|link| link.keep_alive_millis > 0)
    }

    pub(super) fn connect(&mut self, now: UnixMillis, connection: &Connection) {
        self.note_link_end(now);
        self.asleep = None;
        let keep_alive_millis = u64::from(connection.keep_alive_secs) * 1_000;
        self.link = Some(Link { number: connection.link, since: now, keep_alive_millis });
    }

    /// Returns the number of its link, if it has one.
    pub(super) fn link_number(&self) -> Option<u64> {
        self.link.map(|link| link.number)
    }

    fn note_link_end(&mut self, now: UnixMillis) {
        if let Some(link) = self.link.take() {
            self.stays_linked |= now.since(link.since) >= STAYS_MILLIS;
        }
    }

    /// Takes the end of a link. Returns the loss that it means, if it means one.
    pub(super) fn disconnect(
        &mut self,
        now: UnixMillis,
        number: u64,
        end: End,
        settings: &Settings,
    ) -> Option<Loss> {
        let link = self.link.filter(|link| link.number == number)?;
        self.note_link_end(now);
        self.ended = Some((now, end));
        let is_asleep = self.asleep.is_some_and(|asleep| asleep.until > now);
        self.took_leave = is_asleep || end == End::Disconnect;
        if is_asleep {
            self.says_nothing = true;
            self.standing_at_rest();
            return None;
        }
        if matches!(self.standing, Standing::Lost { .. }) {
            // That it is lost was known before its link told.
            return None;
        }
        let is_touched = self.touched(now, settings).is_some();
        let is_expected = self.usual(now).is_some();
        let is_loss = match end {
            End::Disconnect => is_touched,
            End::Server => {
                self.excuse(now.plus(settings.own_grace_ms));
                self.stays_linked
            }
            End::Closed | End::KeepAlive | End::TakenOver => is_touched || self.stays_linked,
        };
        if !is_loss {
            if !is_expected && self.told.is_none() {
                self.standing_at_rest();
            }
            return None;
        }
        let back = |millis: u64| UnixMillis(now.0.saturating_sub(millis));
        let (from, to) = match end {
            // The client was to send something once in a keep-alive, and did not for one and a half.
            End::KeepAlive => (back(link.keep_alive_millis * 3 / 2), back(link.keep_alive_millis / 2)),
            _ => (now, now),
        };
        Some(Loss { from, to, noticed: now, how: How::Link })
    }

    /// Takes the word of a device that its supply fails: that it is lost, unless it is heard again.
    pub(super) fn gasp(&mut self, now: UnixMillis, is_verified: bool, settings: &Settings) {
        self.hear(now, true, settings);
        self.gasp = Some((now, is_verified));
        let loss = Loss { from: now, to: now, noticed: now, how: How::Gasp };
        self.standing = Standing::Lost { loss, settled: false };
    }

    fn standing_at_rest(&mut self) {
        if self.standing == Standing::Present {
            self.standing = Standing::Resting;
        }
    }

    /// Does not hold its silence up to then against it.
    pub(super) fn excuse(&mut self, until: UnixMillis) {
        self.excused = self.excused.max(until);
        self.says_nothing = true;
    }

    /// Returns the hand that was on it shortly before.
    pub(super) fn touched(&self, at: UnixMillis, settings: &Settings) -> Option<&Touch> {
        self.touch.as_ref().filter(|touch| at.since(touch.at) <= settings.touched_ms)
    }

    /// Returns when its supply failed, if that explains a loss.
    pub(super) fn gasped(&self, loss: &Loss, settings: &Settings) -> Option<(UnixMillis, bool)> {
        self.gasp.filter(|(at, _)| loss.from.since(*at) <= settings.gasp_ms && *at <= loss.noticed)
    }

    /// Takes a sign of life; `is_message` if it is more than a link.
    pub(super) fn hear(&mut self, now: UnixMillis, is_message: bool, settings: &Settings) {
        if self.says_nothing || matches!(self.standing, Standing::Lost { .. }) {
            self.excused = self.excused.max(now);
        }
        if is_message && core::mem::take(&mut self.says_nothing) {
            self.cadence.skip(now);
        } else if is_message {
            self.cadence.note(now);
        }
        if self.told.is_some() {
            self.count_back(now, is_message, settings);
        }
        self.heard = Some(now);
        self.standing = Standing::Present;
    }

    fn count_back(&mut self, now: UnixMillis, is_message: bool, settings: &Settings) {
        let limit = self.limit(now, settings);
        let Some(told) = &mut self.told else { return };
        let back = told.back.get_or_insert(Back { since: now, last: now, good: 0, messages: 0 });
        if !is_message {
            return;
        }
        if limit.is_some_and(|limit| now.since(back.last) > limit) {
            back.good = 0;
        }
        if back.good == 0 || now > back.last {
            back.good = back.good.saturating_add(1);
            back.last = now;
        }
    }

    /// Counts what comes at once when it is back: it was kept.
    pub(super) fn count_at_once(&mut self, now: UnixMillis) {
        if let Some(back) = self.told.as_mut().and_then(|told| told.back.as_mut())
            && now.since(back.since) <= AT_ONCE_MILLIS
        {
            back.messages = back.messages.saturating_add(1);
        }
    }

    /// Tells whether it has been back for long enough, by its messages.
    pub(super) fn is_back(&self) -> bool {
        let back = self.told.as_ref().and_then(|told| told.back);
        let is_told_why = self.told.as_ref().is_some_and(|told| told.is_explained) || !self.starts.is_known();
        is_told_why && back.is_some_and(|back| back.good >= BACK_MESSAGES)
    }

    fn patience(&self, settings: &Settings) -> Patience {
        settings.patience(self.exposure)
    }

    /// Returns after which silence it is missing, if its messages tell. Not before its keep-alive would have told.
    fn limit(&self, now: UnixMillis, settings: &Settings) -> Option<u64> {
        let by_messages = self.usual(now)?.missing_after(self.patience(settings).intervals);
        let keep_alive = self.link.map_or(0, |link| link.keep_alive_millis);
        Some(by_messages.max(keep_alive * 3 / 2 + KEEP_ALIVE_SLACK_MILLIS))
    }

    /// Returns when its silence is counted from.
    fn silent_since(&self) -> Option<UnixMillis> {
        let asleep = self.asleep.map_or(UnixMillis(0), |asleep| asleep.until);
        Some(self.heard?.max(self.excused).max(asleep))
    }

    /// Tells whether it is later than usual, and not yet missing.
    pub(super) fn is_late(&self, now: UnixMillis) -> bool {
        let (Some(usual), Some(since)) = (self.usual(now), self.silent_since()) else { return false };
        self.standing == Standing::Present && now.since(since) > usual.late_after()
    }

    /// Tells how it counts in its groups: it is there until a loss has lasted.
    pub(super) fn part(&self) -> Part {
        match self.standing {
            Standing::Resting => Part::None,
            Standing::Present | Standing::Lost { settled: false, .. } => Part::Present,
            Standing::Lost { loss, settled: true } => Part::Lost(loss),
        }
    }

    /// Returns what is due next, and when.
    pub(super) fn next(&self, now: UnixMillis, settings: &Settings) -> Option<(UnixMillis, Step)> {
        let of_life = match &self.standing {
            Standing::Resting => {
                self.asleep.map(|asleep| (self.overslept_at(asleep, settings), Step::Overslept))
            }
            Standing::Present => self.next_of_present(now, settings),
            Standing::Lost { loss, settled: false } => {
                let settle =
                    if self.is_urgent(loss, settings) { settings.gasp_ms } else { settings.settle_ms };
                Some((loss.noticed.max(self.excused).plus(settle), Step::Settle))
            }
            Standing::Lost { loss, settled: true } => self.next_of_lost(loss, settings),
        };
        let of_starts = self.starts.end_at(settings).map(|at| (at, Step::StartsEnd));
        let of_sensors = self.sensors.next().map(|at| (at.max(self.excused), Step::Sensors));
        of_life.into_iter().chain(of_starts).chain(of_sensors).min()
    }

    /// Clocks of sleeping devices go wrong by some percent.
    fn overslept_at(&self, asleep: Asleep, settings: &Settings) -> UnixMillis {
        let drift = asleep.until.since(asleep.from) / 10;
        asleep.until.plus(drift).max(self.excused).plus(self.patience(settings).reconnect_ms)
    }

    fn next_of_present(&self, now: UnixMillis, settings: &Settings) -> Option<(UnixMillis, Step)> {
        let silent = || Some((self.silent_since()?.plus(self.limit(now, settings)?), Step::Silent));
        let Some(told) = &self.told else { return silent() };
        let back = told.back?;
        // A link proves that a device is reachable again, not that one which hung no longer does.
        let is_shown_by_link = self.is_linked() && told.loss.how != How::Linked;
        let link = self.link.filter(|_| is_shown_by_link || self.limit(now, settings).is_none());
        let by_link = link.map(|link| {
            let stood = (link.keep_alive_millis * 3 / 2).max(BACK_MILLIS);
            (back.since.max(link.since).plus(stood), Step::Back)
        });
        by_link.into_iter().chain(silent()).min()
    }

    /// Tells whether a lost link is more than one that is about to be there again.
    fn is_urgent(&self, loss: &Loss, settings: &Settings) -> bool {
        self.gasped(loss, settings).is_some() || self.touched(loss.from, settings).is_some()
    }

    fn next_of_lost(&self, loss: &Loss, settings: &Settings) -> Option<(UnixMillis, Step)> {
        let patience = self.patience(settings);
        let wait = if self.touched(loss.from, settings).is_some() {
            0
        } else if loss.how == How::Link && self.gasped(loss, settings).is_none() {
            patience.reconnect_ms
        } else {
            // So long that its group is judged before.
            settings.gasp_ms + settings.gather_ms
        };
        let find = (loss.noticed.max(self.excused).plus(wait), Step::Find);
        let Some(told) = &self.told else { return Some(find) };
        if told.back.is_some() {
            return Some(find);
        }
        let gone = (told.class != Class::DestroyedOrStolen)
            .then(|| (loss.to.max(self.excused).plus(patience.gone_ms), Step::Gone));
        let again = told.again.map(|at| (at.max(self.excused), Step::Find));
        gone.into_iter().chain(again).min()
    }
}
