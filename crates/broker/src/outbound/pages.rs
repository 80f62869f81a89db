//! What messages on disk say leaves memory, and comes back in pages before their turn (rule 20).

use super::{Outbound, Parcel, Place, Queued, Stage};
use crate::limits;
use crate::message::{Content, Message};
use crate::persist::{Kept, Wanted};
use crate::publishers::Publishers;
use crate::retained::Holding;
use std::sync::Arc;

impl Outbound {
    /// Lets go of what a waiting message says, if that is on disk and `near` messages wait before it.
    pub(crate) fn let_go(&mut self, place: Place, near: usize) {
        if let Ok(index) = self.queue.binary_search_by_key(&place, |queued| queued.place)
            && index >= near
        {
            self.let_go_at(index);
        }
    }

    /// Lets go of everything that is on disk: nobody is connected. What waits behind the messages that are read ahead was
    /// let go of as it came.
    pub(crate) fn let_all_go(&mut self) {
        for flight in &mut self.in_flight {
            if let (Stage::Sent(parcel), Kept::Durable) = (&mut flight.stage, flight.kept)
                && parcel.message.may_leave()
            {
                let stand_in = parcel.message.stand_in();
                exchange(parcel, stand_in, &mut self.held, None);
            }
        }
        for index in 0..self.queue.len().min(2 * limits::READ_AHEAD) {
            self.let_go_at(index);
        }
    }

    fn let_go_at(&mut self, index: usize) {
        if let Some(Queued { parcel, kept: Kept::Durable, .. }) = self.queue.get_mut(index)
            && parcel.message.may_leave()
        {
            let stand_in = parcel.message.stand_in();
            exchange(parcel, stand_in, &mut self.held, Some(&mut self.publishers));
        }
    }

    /// Returns the messages that are to be read next, by their places; none while a page is under way, or while enough of
    /// those whose turn is next are here. With it about so many bytes are ahead, or one message.
    pub(crate) fn next_page(&mut self, bytes: usize) -> Wanted {
        let mut page = Wanted::default();
        if !self.paging.is_idle() || self.held.away == 0 {
            return page;
        }
        let unsent = self.in_flight.iter().filter(|flight| !flight.on_link);
        let flights = unsent.filter_map(|flight| match &flight.stage {
            Stage::Sent(parcel) => Some((flight.place, &parcel.message)),
            Stage::Received => None,
        });
        let queued = self.queue.iter().map(|queued| (queued.place, &queued.parcel.message));
        let near = flights.chain(queued).take(limits::READ_AHEAD);
        // What is here counts as what is read: so much is ahead of the client, and no more.
        let mut ahead = 0;
        for (turn, (place, message)) in near.enumerate() {
            let is_enough = if page.is_empty() {
                turn >= limits::READ_AHEAD / 2 || ahead >= bytes / 2
            } else {
                ahead >= bytes
            };
            if turn > 0 && is_enough {
                break;
            }
            ahead += message.weight();
            if message.is_away() {
                page.add(place.0, message);
            }
        }
        self.paging.begin(&page);
        page
    }

    /// Takes what was read. Returns the messages that do not read: nobody gets them. After a failure of the engine nothing
    /// is read until the client comes back.
    pub(crate) fn take_page(
        &mut self,
        page: Vec<(u64, Option<Content>)>,
        has_failed: bool,
    ) -> Vec<Arc<Message>> {
        self.paging.end(has_failed);
        let mut lost = Vec::new();
        for (place, content) in page {
            let place = Place(place);
            let queued = self.queue.binary_search_by_key(&place, |queued| queued.place);
            let (parcel, publishers) = if let Some(queued) = queued.ok().and_then(|at| self.queue.get_mut(at))
            {
                (&mut queued.parcel, Some(&mut self.publishers))
            } else {
                let flight = self.in_flight.binary_search_by_key(&place, |flight| flight.place);
                let flight = flight.ok().and_then(|at| self.in_flight.get_mut(at));
                let Some(Stage::Sent(parcel)) = flight.map(|flight| &mut flight.stage) else { continue };
                (parcel, None)
            };
            if !parcel.message.is_away() {
                continue;
            }
            if content.is_none() {
                lost.push(Arc::clone(&parcel.message));
            }
            let whole = Message::whole(&parcel.message, content);
            exchange(parcel, whole, &mut self.held, publishers);
        }
        lost
    }
}

/// Puts a message in the place of its stand-in, or the other way round, and keeps the counts.
fn exchange(
    parcel: &mut Parcel,
    message: Arc<Message>,
    held: &mut Holding,
    publishers: Option<&mut Publishers>,
) {
    held.exchange(Holding::of(&parcel.message), Holding::of(&message));
    if let Some(publishers) = publishers {
        publishers.exchange(&parcel.message, &message);
    }
    parcel.message = message;
}
