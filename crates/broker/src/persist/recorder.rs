//! Gathers what a shard changes on disk, in the order of its inputs.
//!
//! What an input changes goes into one [`Entry`], which the shell takes at the end of a tick. A message that goes to
//! stored sessions is a [`Publication`]: its places may be reserved on other shards, and a large fan-out takes several
//! inputs. Until all places are known its part of the entry waits, and so does everything behind it (rules 13 and 15).

use super::commits::Commits;
use super::entry::Entry;
use super::publication::{Filing, Kept, Owner, Publication, Reservation, Reserved, Segment, Settlement};
use super::records::numbered_key;
use super::wire::{Stage, Writer};
use super::{ACCEPTED, MESSAGE, PLACE, RETAINED};
use crate::input::Ticket;
use crate::message::{Message, MessageId};
use crate::outbound::Parcel;
use crate::placement::{ShardIndex, ShardSet};
use crate::session::Incarnation;
use keyward_mqtt::packet::Qos;
use keyward_mqtt::time::Now;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Gathers the entries of one shard.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    is_on: bool,
    now: Now,
    writer: Writer,
    key: Vec<u8>,
    filing: Filing,
    issued: Ticket,
    /// Whether this input already has a ticket.
    has_ticket: bool,
    ready: Entry,
    ready_through: Ticket,
    /// Publications whose retained message is in `ready`, and their shards.
    ready_slots: Vec<(ShardIndex, Publication)>,
    commits: Commits,
    waiting: VecDeque<Segment>,
    /// The number of the first of them.
    first: u64,
    waiting_bytes: usize,
    reservation: Option<Box<Reservation>>,
    /// What was reserved here for other shards and is not settled.
    reserved: BTreeMap<(ShardIndex, Publication), Vec<Reserved>>,
    /// By ticket, and in order.
    settlements: BTreeMap<(Ticket, u64), Settlement>,
    settlements_begun: u64,
}

impl Recorder {
    pub(crate) fn new(is_on: bool) -> Self {
        Self { is_on, ..Self::default() }
    }

    /// Tells whether there is a store at all.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }

    pub(crate) fn begin_input(&mut self, now: Now) {
        self.now = now;
        self.has_ticket = false;
    }

    /// Returns the bytes that wait to be taken.
    pub(crate) fn bytes(&self) -> usize {
        self.ready.bytes() + self.waiting_bytes
    }

    pub(crate) fn issued(&self) -> Ticket {
        self.issued
    }

    /// Returns the ticket of what this input makes durable.
    pub(crate) fn ticket(&mut self) -> Ticket {
        if !self.has_ticket {
            self.has_ticket = true;
            self.issued.0 += 1;
        }
        match self.waiting.back_mut() {
            Some(newest) => newest.through = self.issued,
            None => self.ready_through = self.issued,
        }
        self.issued
    }

    /// Returns the number under which the shell is to make durable what can be taken, if somebody waits for more than was
    /// said before.
    pub(crate) fn next_commit(&mut self) -> Option<Ticket> {
        let bound = self.waiting.front().map_or(u64::MAX, |waiting| waiting.first.0 - 1);
        let through = Ticket(self.ready_through.0.min(bound));
        self.commits.say(through, &mut self.ready_slots)
    }

    /// Takes note that the shell has made durable what it was told up to this number. Returns up to which ticket that is.
    pub(crate) fn committed(&mut self, number: Ticket) -> Ticket {
        self.commits.answered(number)
    }

    /// Returns a publication whose retained message is durable now, with its shard.
    pub(crate) fn next_slotted(&mut self) -> Option<(ShardIndex, Publication)> {
        self.commits.slotted.pop_front()
    }

    /// Waits for the retained message that was recorded last, to tell another shard.
    pub(crate) fn await_slot(&mut self, from: ShardIndex, publication: Publication) {
        self.ready_slots.push((from, publication));
    }

    /// Takes what can be written, in exchange for an empty entry.
    pub(crate) fn take(&mut self, into: &mut Entry) {
        into.clear();
        core::mem::swap(&mut self.ready, into);
    }

    // Publications.

    /// Begins to gather the places of a message; `was_accepted` says that it is on disk already. Its fan-out on this
    /// shard is to be closed with [`Recorder::close`].
    pub(crate) fn open(&mut self, message: &Arc<Message>, was_accepted: bool) -> Publication {
        let number = self.first + self.waiting.len() as u64;
        let ticket = if self.has_ticket { self.issued } else { Ticket(self.issued.0 + 1) };
        self.waiting.push_back(Segment {
            entry: Entry::default(),
            first: ticket,
            through: ticket,
            open: 1,
            message: Arc::clone(message),
            was_accepted,
            places: 0,
            shards: ShardSet::default(),
            places_to_settle: Vec::new(),
        });
        self.ticket();
        Publication(number)
    }

    /// Expects so many answers more.
    pub(crate) fn expect(&mut self, publication: Publication, answers: usize) {
        if let Some(segment) = self.segment(publication) {
            segment.open += answers;
        }
    }

    /// Takes what another shard has reserved.
    pub(crate) fn join(&mut self, publication: Publication, from: ShardIndex, entry: &Entry, places: usize) {
        if let Some(segment) = self.segment(publication) {
            let before = segment.entry.bytes();
            segment.entry.append(entry);
            segment.places += places as i32;
            if places > 0 {
                segment.shards.insert(from);
            }
            let after = segment.entry.bytes();
            self.waiting_bytes = self.waiting_bytes + after - before;
        }
        self.close(publication);
    }

    /// Notes that one of the things came for which a publication waits.
    pub(crate) fn close(&mut self, publication: Publication) {
        if let Some(segment) = self.segment(publication) {
            segment.open = segment.open.saturating_sub(1);
        }
        while let Some(segment) = self.waiting.pop_front_if(|first| first.open == 0) {
            self.first += 1;
            self.finish(segment);
        }
    }

    fn finish(&mut self, segment: Segment) {
        let Segment { mut entry, through, message, was_accepted, places, shards, places_to_settle, .. } =
            segment;
        self.waiting_bytes = self.waiting_bytes.saturating_sub(entry.bytes());
        if self.is_on {
            if places > 0 && !was_accepted {
                put_message(&mut entry, &mut self.writer, &message, self.now);
            }
            if was_accepted {
                entry.changes.delete(ACCEPTED, &message.id.0.to_be_bytes());
            }
            let more = places - i32::from(was_accepted);
            if more != 0 {
                entry.refer(message.id, more);
            }
        }
        self.ready.append(&entry);
        self.ready_through = self.ready_through.max(through);
        if !shards.is_empty() || !places_to_settle.is_empty() {
            // The number of a segment that is taken out is the one before the first that waits.
            let publication = Some(Publication(self.first - 1));
            self.settle_at(through, Settlement { publication, shards, places: places_to_settle });
        }
    }

    fn settle_at(&mut self, ticket: Ticket, settlement: Settlement) {
        self.settlements_begun += 1;
        self.settlements.insert((ticket, self.settlements_begun), settlement);
    }

    /// Returns what follows from everything up to this ticket being durable, one thing after the other.
    pub(crate) fn next_settlement(&mut self, done: Ticket) -> Option<Settlement> {
        let first = self.settlements.first_entry()?;
        (first.key().0 <= done).then(|| first.remove())
    }

    fn segment(&mut self, publication: Publication) -> Option<&mut Segment> {
        let index = publication.0.checked_sub(self.first)?;
        self.waiting.get_mut(usize::try_from(index).ok()?)
    }

    // Where places go.

    pub(crate) fn file(&mut self, filing: Filing) {
        self.filing = filing;
    }

    /// Files the places taken from now on into a reservation.
    pub(crate) fn begin_reserving(&mut self, reservation: Box<Reservation>) {
        self.reservation = Some(reservation);
        self.filing = Filing::Reservation;
    }

    /// Gives the reservation back.
    pub(crate) fn end_reserving(&mut self) -> Option<Box<Reservation>> {
        self.filing = Filing::Newest;
        self.reservation.take()
    }

    /// Remembers what was reserved until it is settled.
    pub(crate) fn remember(&mut self, from: ShardIndex, publication: Publication, places: Vec<Reserved>) {
        if !places.is_empty() {
            self.reserved.insert((from, publication), places);
        }
    }

    /// Returns what was reserved for a publication that is durable now.
    pub(crate) fn settled(&mut self, from: ShardIndex, publication: Publication) -> Vec<Reserved> {
        self.reserved.remove(&(from, publication)).unwrap_or_default()
    }

    fn newest(&mut self) -> &mut Entry {
        match self.waiting.back_mut() {
            Some(segment) => &mut segment.entry,
            None => &mut self.ready,
        }
    }

    /// Lets `write` add to the newest entry.
    pub(super) fn record(&mut self, write: impl FnOnce(&mut Entry, &mut Writer, &mut Vec<u8>, Now)) {
        if !self.is_on {
            return;
        }
        let (mut writer, mut key) = (core::mem::take(&mut self.writer), core::mem::take(&mut self.key));
        let now = self.now;
        let before = self.waiting.back().map_or(0, |segment| segment.entry.bytes());
        write(self.newest(), writer.begin(), &mut key, now);
        let after = self.waiting.back().map_or(0, |segment| segment.entry.bytes());
        self.waiting_bytes = self.waiting_bytes + after - before;
        (self.writer, self.key) = (writer, key);
    }

    // Places.

    /// Records a place of a message of QoS 1 or 2. Returns how it stands, and whether it may be sent before its entry
    /// is durable.
    pub(crate) fn place(
        &mut self,
        owner: Owner,
        place: u64,
        parcel: &Parcel,
        from: Option<(Incarnation, u64)>,
    ) -> (Kept, bool) {
        if !self.is_on {
            return (Kept::No, true);
        }
        let mut writer = core::mem::take(&mut self.writer);
        writer.begin().place(Stage::Owed, parcel, from);
        numbered_key(&mut self.key, owner.incarnation(), place);
        let key = core::mem::take(&mut self.key);
        let message = parcel.message.id;
        let reserved = Reserved { owner, place, message };
        let waits = parcel.qos == Qos::ExactlyOnce;
        let kept = match self.filing {
            Filing::Newest => {
                let newest = self.newest();
                newest.changes.put(PLACE, &key, writer.bytes());
                newest.refer(message, 1);
                self.put_message_again(&parcel.message, &mut writer);
                if waits {
                    let ticket = self.ticket();
                    let shards = ShardSet::default();
                    self.settle_at(ticket, Settlement { publication: None, shards, places: vec![reserved] });
                }
                Kept::Stored
            }
            Filing::Publication(publication) => {
                let grown = self.segment(publication).map_or(0, |segment| {
                    let before = segment.entry.bytes();
                    segment.entry.changes.put(PLACE, &key, writer.bytes());
                    segment.places += 1;
                    if waits || parcel.message.may_leave() {
                        segment.places_to_settle.push(reserved);
                    }
                    segment.entry.bytes() - before
                });
                self.waiting_bytes += grown;
                Kept::Stored
            }
            Filing::Reservation => {
                if let Some(reservation) = self.reservation.as_deref_mut() {
                    reservation.entry.changes.put(PLACE, &key, writer.bytes());
                    reservation.places.push(reserved);
                }
                Kept::Reserved
            }
        };
        (self.writer, self.key) = (writer, key);
        (kept, !waits)
    }

    fn put_message_again(&mut self, message: &Arc<Message>, writer: &mut Writer) {
        let now = self.now;
        put_message(self.newest(), writer, message, now);
    }

    /// Records that a place has gone: its message has arrived, or was dropped.
    pub(crate) fn gone(&mut self, owner: Incarnation, place: u64, message: Option<MessageId>) {
        self.record(|entry, _, key, _| {
            numbered_key(key, owner, place);
            entry.changes.delete(PLACE, key);
            if let Some(message) = message {
                entry.refer(message, -1);
            }
        });
    }

    /// Records that the message of a place has arrived and its packet id is still in use.
    pub(crate) fn received(&mut self, owner: Incarnation, place: u64, message: MessageId) {
        self.record(|entry, writer, key, _| {
            numbered_key(key, owner, place);
            writer.place_head(Stage::Received, message, Qos::ExactlyOnce, false, None);
            entry.changes.put(PLACE, key, writer.bytes());
            entry.refer(message, -1);
        });
    }

    // Messages that wait, and retained ones.

    /// Records a QoS 2 message that is taken and goes to its readers later.
    pub(crate) fn accepted(&mut self, message: &Arc<Message>) {
        self.record(|entry, writer, _, now| {
            put_message(entry, writer, message, now);
            entry.changes.put(ACCEPTED, &message.id.0.to_be_bytes(), &[]);
            entry.refer(message.id, 1);
        });
    }

    /// Records that such a message goes nowhere.
    pub(crate) fn withheld(&mut self, message: &Arc<Message>) {
        self.record(|entry, _, _, _| {
            entry.changes.delete(ACCEPTED, &message.id.0.to_be_bytes());
            entry.refer(message.id, -1);
        });
    }

    /// Records a retained message, ahead of publications whose places are still being gathered: the slots of one topic
    /// are all written here, in one order.
    pub(crate) fn retained(&mut self, message: &Message) {
        if self.is_on {
            self.writer.begin().message(message, self.now);
            self.ready.changes.put(RETAINED, message.topic().as_bytes(), self.writer.bytes());
        }
    }

    pub(crate) fn not_retained(&mut self, topic: &str) {
        if self.is_on {
            self.ready.changes.delete(RETAINED, topic.as_bytes());
        }
    }
}

fn put_message(entry: &mut Entry, writer: &mut Writer, message: &Message, now: Now) {
    writer.begin().message(message, now);
    entry.changes.put(MESSAGE, &message.id.0.to_be_bytes(), writer.bytes());
}
