//! What of the outbox is under way on a link, and what its answers mean: no IO, no clock.

use keyward_mqtt::packet::PacketId;
use keyward_mqtt::reason::ReasonCode;
use std::collections::BTreeMap;

/// Says what the server's answer to a message of the outbox means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It took the message.
    Taken,
    /// It will never take it: to be kept aside, for a person.
    Never,
    /// It cannot take it now: to be sent again after a pause.
    NotNow,
    /// It has the device in quarantine: to be sent again on another link, for a release ends this one.
    Quarantined,
}

/// What the server says beside a refusal to a device in quarantine (`docs/devices.md`, "Quarantine").
const QUARANTINED: &str = "quarantined";

impl Verdict {
    /// Judges an answer, with what the server said beside it.
    pub(crate) fn of(reason: ReasonCode, said: Option<&str>) -> Self {
        use ReasonCode as R;
        match reason {
            reason if !reason.is_failure() => Self::Taken,
            R::NotAuthorized if said == Some(QUARANTINED) => Self::Quarantined,
            // What depends on who says what where: the same bytes are refused again.
            R::NotAuthorized | R::PayloadFormatInvalid | R::TopicNameInvalid | R::PacketTooLarge => {
                Self::Never
            }
            R::RetainNotSupported | R::QosNotSupported => Self::Never,
            _ => Self::NotNow,
        }
    }
}

/// Follows the messages of the outbox on one link. Entries are named by their ids, which rise.
#[derive(Debug)]
pub(crate) struct Flight {
    most: usize,
    /// Entries from the oldest that has no answer: true where there is one.
    entries: BTreeMap<u64, bool>,
    packets: BTreeMap<PacketId, u64>,
    /// Entries that were sent out of their turn, ahead of others: true where there is an answer.
    ahead: BTreeMap<u64, bool>,
    /// The highest entry that was sent on this link.
    highest: Option<u64>,
    /// Entries that are to be sent again.
    again: Vec<u64>,
}

impl Flight {
    /// Begins on a new link: nothing is under way.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            entries: BTreeMap::new(),
            packets: BTreeMap::new(),
            ahead: BTreeMap::new(),
            highest: None,
            again: Vec::new(),
        }
    }

    /// Lets more messages be under way.
    pub(crate) fn widen(&mut self, most: usize) {
        self.most = most;
    }

    /// Returns how many messages may be sent now.
    pub(crate) fn room(&self) -> usize {
        self.most.saturating_sub(self.entries.len().max(self.packets.len()))
    }

    /// Tells whether all that was sent has its answer, and what was answered was taken.
    pub(crate) fn is_idle(&self) -> bool {
        self.entries.is_empty() && self.packets.is_empty() && self.again.is_empty()
    }

    /// Returns the entry after which the next one is to be taken from the outbox.
    pub(crate) fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// Tells whether an entry was sent on this link, in its turn or ahead of it.
    pub(crate) fn was_sent(&self, entry: u64) -> bool {
        self.highest.is_some_and(|highest| entry <= highest) || self.ahead.contains_key(&entry)
    }

    /// Notes that an entry was sent out of its turn.
    pub(crate) fn sent_ahead(&mut self, entry: u64, packet: PacketId) {
        self.ahead.insert(entry, false);
        self.packets.insert(packet, entry);
    }

    /// Tells whether an entry whose turn has come was sent ahead; its turn is over then.
    pub(crate) fn was_sent_ahead(&mut self, entry: u64) -> bool {
        let Some(answered) = self.ahead.remove(&entry) else { return false };
        self.entries.insert(entry, answered);
        self.highest = self.highest.max(Some(entry));
        true
    }

    /// Notes that an entry was sent.
    pub(crate) fn sent(&mut self, entry: u64, packet: PacketId) {
        self.packets.insert(packet, entry);
        self.place(entry, false);
    }

    /// Notes that an entry was sent, or will not be, and has no answer to wait for.
    pub(crate) fn sent_without_answer(&mut self, entry: u64) {
        self.place(entry, true);
    }

    fn place(&mut self, entry: u64, is_answered: bool) {
        // What was sent ahead stays ahead when it is sent again: what it overtook is still to come.
        if let Some(answered) = self.ahead.get_mut(&entry) {
            *answered = is_answered;
            return;
        }
        self.entries.insert(entry, is_answered);
        self.highest = self.highest.max(Some(entry));
    }

    /// Notes an answer; returns the entry that it is for and what it means, nothing if it is for none of the outbox. An entry that is refused
    /// [for good](Verdict::Never) has no answer until [`settled`](Self::settled) says that it is kept aside.
    pub(crate) fn answered(
        &mut self,
        packet: PacketId,
        reason: ReasonCode,
        said: Option<&str>,
    ) -> Option<(u64, Verdict)> {
        let entry = self.packets.remove(&packet)?;
        let verdict = Verdict::of(reason, said);
        match verdict {
            Verdict::Taken => self.settled(entry),
            Verdict::NotNow | Verdict::Quarantined => self.again.push(entry),
            Verdict::Never => {}
        }
        Some((entry, verdict))
    }

    /// Notes that nothing more is to be done about an entry.
    pub(crate) fn settled(&mut self, entry: u64) {
        let place = self.entries.get_mut(&entry).or_else(|| self.ahead.get_mut(&entry));
        if let Some(answered) = place {
            *answered = true;
        }
    }

    /// Takes the entries that are to be sent again, the oldest first.
    pub(crate) fn take_again(&mut self) -> Vec<u64> {
        self.again.sort_unstable();
        std::mem::take(&mut self.again)
    }

    /// Forgets the entries up to the first that has no answer, and returns the last of them: so far the outbox is through.
    pub(crate) fn take_through(&mut self) -> Option<u64> {
        let mut through = None;
        while let Some(entry) = self.entries.first_entry().filter(|entry| *entry.get()) {
            through = Some(entry.remove_entry().0);
        }
        through
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(number: u16) -> PacketId {
        PacketId(number.try_into().unwrap())
    }

    fn flight_of(entries: std::ops::Range<u64>) -> Flight {
        let mut flight = Flight::new(8);
        entries.for_each(|entry| flight.sent(entry, packet(u16::try_from(entry + 1).unwrap())));
        flight
    }

    #[test]
    fn the_outbox_is_through_up_to_the_first_message_without_an_answer() {
        let mut flight = flight_of(0..4);
        assert_eq!((flight.room(), flight.highest()), (4, Some(3)));
        flight.answered(packet(2), ReasonCode::Success, None);
        assert_eq!(flight.take_through(), None, "the first has no answer");
        assert_eq!(
            flight.answered(packet(1), ReasonCode::NoMatchingSubscribers, None),
            Some((0, Verdict::Taken))
        );
        assert_eq!(flight.take_through(), Some(1));
        assert_eq!(flight.take_through(), None);
        assert_eq!(flight.room(), 6);
    }

    #[test]
    fn what_is_refused_for_good_holds_the_outbox_until_it_is_kept_aside() {
        let mut flight = flight_of(0..2);
        assert_eq!(flight.answered(packet(1), ReasonCode::NotAuthorized, None), Some((0, Verdict::Never)));
        flight.answered(packet(2), ReasonCode::Success, None);
        assert_eq!(flight.take_through(), None, "it would be lost with a crash now");
        flight.settled(0);
        assert_eq!(flight.take_through(), Some(1));
    }

    #[test]
    fn what_cannot_be_taken_now_is_sent_again_in_order() {
        let mut flight = flight_of(0..3);
        flight.answered(packet(3), ReasonCode::QuotaExceeded, None);
        flight.answered(packet(1), ReasonCode::ServerBusy, None);
        assert_eq!(flight.take_again(), [0, 2]);
        assert!(flight.take_again().is_empty() && flight.take_through().is_none());
        flight.sent(0, packet(9));
        assert_eq!(flight.answered(packet(9), ReasonCode::Success, None), Some((0, Verdict::Taken)));
        assert_eq!((flight.take_through(), flight.highest()), (Some(0), Some(2)));
    }

    /// A device in quarantine may be the honest one of two: what it says waits until a person has looked.
    #[test]
    fn what_is_refused_in_quarantine_waits_for_another_link() {
        let mut flight = flight_of(0..2);
        let refused = flight.answered(packet(1), ReasonCode::NotAuthorized, Some("quarantined"));
        assert_eq!(refused, Some((0, Verdict::Quarantined)));
        let other =
            flight.answered(packet(2), ReasonCode::NotAuthorized, Some("not allowed by the broker's rules"));
        assert_eq!(other, Some((1, Verdict::Never)));
        assert_eq!((flight.take_through(), flight.take_again()), (None, vec![0]));
    }

    #[test]
    fn what_is_sent_ahead_leaves_what_it_overtook_in_the_outbox() {
        let mut flight = flight_of(0..2);
        assert!(flight.was_sent(1) && !flight.was_sent(5));
        flight.sent_ahead(5, packet(9));
        assert!(flight.was_sent(5), "not again with each answer to another");
        assert_eq!(flight.answered(packet(9), ReasonCode::Success, None), Some((5, Verdict::Taken)));
        flight.answered(packet(1), ReasonCode::Success, None);
        flight.answered(packet(2), ReasonCode::Success, None);
        assert_eq!((flight.take_through(), flight.highest()), (Some(1), Some(1)));
        for entry in 2..5 {
            assert!(!flight.was_sent_ahead(entry));
            flight.sent(entry, packet(20 + u16::try_from(entry).unwrap()));
        }
        assert!(flight.was_sent_ahead(5) && !flight.was_sent_ahead(5));
        for id in 22..25 {
            flight.answered(packet(id), ReasonCode::Success, None);
        }
        assert_eq!((flight.take_through(), flight.highest()), (Some(5), Some(5)));
    }

    /// What it overtook was not sent yet: to be through with it here would be to lose it.
    #[test]
    fn what_was_sent_ahead_and_cannot_be_taken_now_is_sent_again_ahead() {
        let mut flight = flight_of(0..2);
        flight.sent_ahead(5, packet(9));
        flight.answered(packet(9), ReasonCode::QuotaExceeded, None);
        assert_eq!(flight.take_again(), [5]);
        flight.sent(5, packet(10));
        for id in [1, 2, 10] {
            flight.answered(packet(id), ReasonCode::Success, None);
        }
        assert_eq!((flight.take_through(), flight.highest()), (Some(1), Some(1)));
        assert!(flight.was_sent_ahead(5));
    }

    #[test]
    fn an_answer_to_something_else_is_nobodys() {
        assert_eq!(flight_of(0..1).answered(packet(7), ReasonCode::Success, None), None);
    }

    #[test]
    fn what_waits_for_an_answer_bounds_what_is_sent() {
        let mut flight = flight_of(0..8);
        assert_eq!(flight.room(), 0);
        flight.answered(packet(8), ReasonCode::Success, None);
        assert_eq!(flight.room(), 0, "answered out of turn, it stays until the first is");
        flight.answered(packet(1), ReasonCode::Success, None);
        flight.take_through();
        assert_eq!(flight.room(), 1);
    }
}
