//! What the watch hears of devices: that they come, what they say, how they leave.
//!
//! A worker gathers it in a tick and hands it over at once. Telling never delays a link: what the watch has no time for is dropped and
//! counted, and the watch is told how much that was, for it must not take its own deafness for the silence of devices. Of one device no more is
//! told in a second than its share: who floods cannot make the watch deaf for others.

use crate::plane::limits::{HEARD, HEARD_BATCHES, HEARD_MESSAGE_BYTES, HEARD_OF_ONE};
use crate::plane::source::Host;
use crate::plane::tls::fingerprint::Fingerprint;
use keyward_broker::output::CloseCause;
use keyward_broker::{Message, Signed, Unfit};
use keyward_ids::{Identity, Kind};
use keyward_mqtt::time::UnixMillis;
use keyward_watch::event::Ratchet;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Is one thing that was heard of a device.
#[derive(Debug)]
pub struct Heard {
    /// Which device.
    pub device: Identity,
    /// What.
    pub what: What,
}

/// Is what can be heard of a device.
#[derive(Debug)]
pub enum What {
    /// One of its links was let in.
    Connected {
        /// The number of the link.
        link: u64,
        /// Where it comes from; `None` if it is gone already.
        from: Option<Host>,
        /// What its TLS hello has in common with others of that program; 0 without TLS.
        fingerprint: u64,
        /// The keep-alive that holds, in seconds; 0 is off.
        keep_alive_secs: u16,
    },
    /// One of its links answered for the rolling secret.
    Ratcheted {
        /// The number of the link.
        link: u64,
        /// What it showed.
        shown: Ratchet,
    },
    /// One of its links is over.
    Parted {
        /// The number of the link.
        link: u64,
        /// How.
        how: Leave,
    },
    /// It said something that was accepted.
    Said {
        /// What; `None` if that is long.
        message: Option<Arc<Message>>,
        /// What its signature proves, if one was asked for.
        signed: Option<Signed>,
    },
    /// It said something that is not signed as it must be.
    Unfit(Unfit),
    /// It says more in this second than is told of one device: the rest is passed over.
    Floods,
}

/// Says how a link ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// The client said so.
    Disconnected,
    /// The connection went without a word.
    Closed,
    /// The client was silent for too long.
    KeepAlive,
    /// A newer link has its session.
    TakenOver,
    /// The broker ended it.
    Server,
}

impl From<CloseCause> for Leave {
    fn from(cause: CloseCause) -> Self {
        match cause {
            CloseCause::Disconnected => Self::Disconnected,
            CloseCause::TakenOver => Self::TakenOver,
            CloseCause::Refused(_)
            | CloseCause::Violation(_)
            | CloseCause::NotAllowed
            | CloseCause::NotReading
            | CloseCause::NoRoom
            | CloseCause::ShuttingDown => Self::Server,
        }
    }
}

/// Is what was heard in one tick of one worker.
#[derive(Debug)]
pub struct Tick {
    /// When.
    pub at: UnixMillis,
    /// What, in its order.
    pub heard: Vec<Heard>,
}

/// Counts what is under way, and what was dropped.
#[derive(Debug, Default)]
struct Counts {
    under_way: AtomicUsize,
    missed: AtomicU64,
}

/// Is where workers tell what they hear; cheap to clone.
#[derive(Debug, Clone)]
pub struct Mouth {
    ticks: SyncSender<Tick>,
    counts: Arc<Counts>,
}

/// Is where the watch takes what workers tell.
#[derive(Debug)]
pub struct Ear {
    ticks: Receiver<Tick>,
    counts: Arc<Counts>,
}

/// Makes a way from the workers to the watch, which holds at most [`HEARD`] things.
pub fn hearing() -> (Mouth, Ear) {
    let (sender, ticks) = sync_channel(HEARD_BATCHES);
    let counts = Arc::<Counts>::default();
    (Mouth { ticks: sender, counts: Arc::clone(&counts) }, Ear { ticks, counts })
}

impl Ear {
    /// Waits for the next tick, but no longer than `at_most`.
    ///
    /// # Errors
    /// Nobody is left who could tell, or there was nothing.
    pub fn listen(&self, at_most: Duration) -> Result<Tick, RecvTimeoutError> {
        let tick = self.ticks.recv_timeout(at_most)?;
        self.counts.under_way.fetch_sub(tick.heard.len(), Relaxed);
        Ok(tick)
    }

    /// Returns how much was dropped since this was asked last.
    pub fn missed(&self) -> u64 {
        self.counts.missed.swap(0, Relaxed)
    }
}

/// Gathers what one worker hears.
#[derive(Debug)]
pub(crate) struct Hearing {
    mouth: Option<Mouth>,
    heard: Vec<Heard>,
    /// What each device said since the second began: without a signature, and with one.
    said: HashMap<Identity, [u32; 2]>,
    second: UnixMillis,
}

impl Hearing {
    pub(crate) fn new(mouth: Option<Mouth>) -> Self {
        Self { mouth, heard: Vec::new(), said: HashMap::new(), second: UnixMillis(0) }
    }

    pub(crate) fn connected(
        &mut self,
        device: &Identity,
        link: u64,
        (from, fingerprint): (Option<Host>, Option<Fingerprint>),
        keep_alive_secs: u16,
    ) {
        let fingerprint = fingerprint.unwrap_or_default().0;
        self.note(device, || What::Connected { link, from, fingerprint, keep_alive_secs });
    }

    pub(crate) fn ratcheted(&mut self, device: &Identity, link: u64, shown: Ratchet) {
        self.note(device, || What::Ratcheted { link, shown });
    }

    pub(crate) fn parted(&mut self, device: &Identity, link: u64, how: Leave) {
        self.note(device, || What::Parted { link, how });
    }

    pub(crate) fn said(&mut self, message: Arc<Message>, signed: Option<Signed>) {
        if self.is_within_share(&message.publisher().identity, signed.is_some()) {
            let device = message.publisher().identity.clone();
            let message = (message.weight() <= HEARD_MESSAGE_BYTES).then_some(message);
            self.note(&device, || What::Said { message, signed });
        }
    }

    pub(crate) fn unfit(&mut self, device: &Identity, unfit: Unfit) {
        if self.is_within_share(device, false) {
            self.note(device, || What::Unfit(unfit));
        }
    }

    /// Counts what a device can say as often as it likes. Returns whether the watch is to hear it. What is signed is counted by itself: who
    /// has its password and not its key cannot drown what it says.
    fn is_within_share(&mut self, device: &Identity, is_signed: bool) -> bool {
        if self.mouth.is_none() || device.kind() != Kind::Device {
            return false;
        }
        let said = match self.said.get_mut(device) {
            Some(said) => said,
            None => self.said.entry(device.clone()).or_default(),
        };
        let said = &mut said[usize::from(is_signed)];
        *said = said.saturating_add(1);
        let said = *said;
        if said == HEARD_OF_ONE {
            self.note(device, || What::Floods);
        }
        said < HEARD_OF_ONE
    }

    fn note(&mut self, device: &Identity, what: impl FnOnce() -> What) {
        if let Some(mouth) = &self.mouth
            && device.kind() == Kind::Device
        {
            if self.heard.len() >= HEARD {
                mouth.counts.missed.fetch_add(1, Relaxed);
                return;
            }
            self.heard.push(Heard { device: device.clone(), what: what() });
        }
    }

    /// Hands over what was heard in this tick.
    pub(crate) fn hand_over(&mut self, at: UnixMillis) {
        if at.0.abs_diff(self.second.0) >= 1_000 {
            self.second = at;
            self.said.clear();
        }
        let Some(mouth) = self.mouth.as_ref().filter(|_| !self.heard.is_empty()) else { return };
        let heard = std::mem::take(&mut self.heard);
        let count = heard.len();
        let has_room = mouth.counts.under_way.fetch_add(count, Relaxed) + count <= HEARD;
        if !has_room || mouth.ticks.try_send(Tick { at, heard }).is_err() {
            mouth.counts.under_way.fetch_sub(count, Relaxed);
            mouth.counts.missed.fetch_add(count as u64, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pump() -> Identity {
        "device:pump".parse().unwrap()
    }

    fn tick(hearing: &mut Hearing, things: usize) {
        for number in 0..things {
            let device = format!("device:pump-{}", number % 1_000).parse().unwrap();
            hearing.unfit(&device, Unfit::Form);
        }
        // Each tick is in a second of its own.
        let at = hearing.second.0 + 1_000;
        hearing.hand_over(UnixMillis(at));
    }

    #[test]
    fn what_is_heard_in_a_tick_comes_together_and_in_its_order_and_of_devices_alone() {
        let (mouth, ear) = hearing();
        let mut worker = Hearing::new(Some(mouth));
        worker.connected(&pump(), 1, (None, None), 60);
        worker.unfit(&"user:anna".parse().unwrap(), Unfit::Form);
        worker.parted(&pump(), 1, Leave::Closed);
        worker.hand_over(UnixMillis(7));
        worker.hand_over(UnixMillis(8));
        let heard = ear.listen(Duration::ZERO).unwrap().heard;
        assert!(matches!(
            heard[..],
            [
                Heard { what: What::Connected { link: 1, keep_alive_secs: 60, .. }, .. },
                Heard { what: What::Parted { link: 1, how: Leave::Closed }, .. },
            ]
        ));
        assert!(ear.listen(Duration::ZERO).is_err(), "a tick in which nothing was heard is none");
        assert_eq!(ear.missed(), 0);
    }

    #[test]
    fn what_there_is_no_room_for_is_dropped_and_counted_and_room_comes_back() {
        let (mouth, ear) = hearing();
        let mut worker = Hearing::new(Some(mouth));
        tick(&mut worker, HEARD - 1);
        tick(&mut worker, 2);
        assert_eq!((ear.missed(), ear.missed()), (2, 0));
        tick(&mut worker, 1);
        assert_eq!(ear.missed(), 0);
        assert_eq!(ear.listen(Duration::ZERO).unwrap().heard.len(), HEARD - 1);
        tick(&mut worker, HEARD + 5);
        assert_eq!(
            ear.missed(),
            HEARD as u64 + 5,
            "one is there still, and five were more than a tick holds"
        );
        assert_eq!(ear.listen(Duration::ZERO).unwrap().heard.len(), 1);
        tick(&mut worker, HEARD);
        assert_eq!((ear.missed(), ear.listen(Duration::ZERO).unwrap().heard.len()), (0, HEARD));
        (0..=HEARD_BATCHES).for_each(|_| tick(&mut worker, 1));
        assert_eq!(ear.missed(), 1);
    }

    #[test]
    fn who_floods_is_told_once_a_second_and_takes_nobodys_place() {
        let (mouth, ear) = hearing();
        let mut worker = Hearing::new(Some(mouth));
        let other: Identity = "device:lamp".parse().unwrap();
        let second = |worker: &mut Hearing, at| {
            (0..2 * HEARD).for_each(|_| worker.unfit(&pump(), Unfit::Form));
            worker.unfit(&other, Unfit::Form);
            worker.parted(&pump(), 1, Leave::Closed);
            worker.hand_over(UnixMillis(at));
            let heard = ear.listen(Duration::ZERO).map_or(Vec::new(), |tick| tick.heard);
            let floods = heard.iter().filter(|heard| matches!(heard.what, What::Floods)).count();
            (heard.len(), floods)
        };
        let share = HEARD_OF_ONE as usize;
        assert_eq!(second(&mut worker, 5_000), (share + 2, 1), "the other is heard, and that a link ended");
        assert_eq!(
            second(&mut worker, 5_900),
            (share + 2, 1),
            "a second begins with the tick after the last"
        );
        assert_eq!(second(&mut worker, 5_950), (2, 0));
        assert_eq!(ear.missed(), 0);
    }

    #[test]
    fn who_floods_without_a_signature_drowns_nothing_that_is_signed() {
        let (mouth, ear) = hearing();
        let mut worker = Hearing::new(Some(mouth));
        (0..2 * HEARD_OF_ONE).for_each(|_| worker.unfit(&pump(), Unfit::Form));
        assert!(!worker.is_within_share(&pump(), false));
        assert!(worker.is_within_share(&pump(), true), "its switch, say");
        worker.hand_over(UnixMillis(5_000));
        assert_eq!(ear.listen(Duration::ZERO).unwrap().heard.len(), HEARD_OF_ONE as usize);
    }

    #[test]
    fn nothing_is_gathered_where_nobody_listens() {
        let mut worker = Hearing::new(None);
        tick(&mut worker, 100);
        assert!(worker.heard.is_empty());
    }
}
