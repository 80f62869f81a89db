//! What was sent to one session and is not acknowledged to the end: the exchanges under way.

use super::{Departed, Outbound, Parcel, Place};
use crate::group::{Loan, Seat};
use crate::limits;
use crate::persist::Kept;
use crate::retained::Holding;
use keyward_mqtt::packet::PacketId;

/// Is a message that was sent and whose exchange is not finished.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) place: Place,
    pub(crate) stage: Stage,
    /// Whether the newest packet of the exchange was sent over the present link.
    pub(crate) on_link: bool,
    /// The group that the message goes back to if the link ends before it was acknowledged.
    pub(super) loan: Option<Box<Loan>>,
    pub(super) kept: Kept,
}

/// Says for what an exchange waits.
#[derive(Debug)]
pub(crate) enum Stage {
    /// For PUBACK (QoS 1) or PUBREC (QoS 2).
    Sent(Parcel),
    /// For PUBCOMP: the message has arrived and is no longer held.
    Received,
}

impl Outbound {
    /// Returns how many exchanges the present link knows and has not finished.
    pub(crate) fn on_link(&self) -> usize {
        self.in_flight.len() - self.unsent
    }

    /// Notes that a message was sent.
    pub(crate) fn start(&mut self, place: Place, parcel: Parcel, kept: Kept, loan: Option<Loan>) {
        self.held.add(Holding::of(&parcel.message));
        let stage = Stage::Sent(parcel);
        let loan = loan.map(Box::new);
        self.in_flight.push_back(InFlight { place, stage, on_link: true, loan, kept });
    }

    /// Takes all messages that belong to groups out: they are the groups' again.
    pub(crate) fn recall(&mut self) -> Vec<Loan> {
        let mut recalled = Vec::new();
        let mut index = 0;
        while let Some(flight) = self.in_flight.get(index) {
            if flight.loan.is_some() {
                recalled.extend(self.finish(index));
            } else {
                index += 1;
            }
        }
        recalled
    }

    /// Makes the messages that belong to the group of this seat the session's own; `keep` records each.
    pub(crate) fn keep_loans(
        &mut self,
        seat: Seat,
        mut keep: impl FnMut(Place, &Parcel) -> Kept,
    ) -> Vec<Loan> {
        let mut loans = Vec::new();
        for flight in &mut self.in_flight {
            let Some(loan) = flight.loan.take_if(|loan| loan.seat == seat) else { continue };
            if let Stage::Sent(parcel) = &flight.stage {
                flight.kept = keep(flight.place, parcel);
            }
            loans.push(*loan);
        }
        loans
    }

    /// Notes that the link is another one: everything under way is to be sent again, in its order.
    pub(crate) fn restart(&mut self) {
        for flight in &mut self.in_flight {
            flight.on_link = false;
        }
        self.unsent = self.in_flight.len();
        self.paging.try_again();
    }

    /// Returns the index of the first exchange that the present link does not know.
    pub(crate) fn first_unsent(&self) -> Option<usize> {
        if self.unsent == 0 {
            return None;
        }
        self.in_flight.iter().position(|flight| !flight.on_link)
    }

    pub(crate) fn flight(&self, index: usize) -> Option<&InFlight> {
        self.in_flight.get(index)
    }

    /// Notes that the newest packet of an exchange was sent over the present link.
    pub(crate) fn mark_sent(&mut self, index: usize) {
        if let Some(flight) = self.in_flight.get_mut(index)
            && !flight.on_link
        {
            flight.on_link = true;
            self.unsent -= 1;
        }
    }

    /// Finds the exchange of a packet id.
    pub(crate) fn find(&self, id: PacketId) -> Option<usize> {
        let oldest = self.in_flight.front()?.place.0;
        let wanted = u64::from(id.0.get() - 1);
        let ahead = (wanted + limits::PLACE_WINDOW - oldest % limits::PLACE_WINDOW) % limits::PLACE_WINDOW;
        self.in_flight.binary_search_by_key(&Place(oldest + ahead), |flight| flight.place).ok()
    }

    /// Notes that the message of an exchange has arrived: it is let go, PUBREL and PUBCOMP remain.
    pub(crate) fn receive(&mut self, index: usize) {
        if let Some(flight) = self.in_flight.get_mut(index)
            && let Stage::Sent(parcel) = core::mem::replace(&mut flight.stage, Stage::Received)
        {
            self.held.subtract(Holding::of(&parcel.message));
            if flight.kept.is_stored() {
                self.departed.push(Departed::Received(flight.place, parcel.message.id));
            }
        }
    }

    /// Ends an exchange. Returns to whom its message belonged, if that was a group.
    pub(crate) fn finish(&mut self, index: usize) -> Option<Loan> {
        let flight = self.in_flight.remove(index)?;
        if !flight.on_link {
            self.unsent -= 1;
        }
        let message = match &flight.stage {
            Stage::Sent(parcel) => {
                self.held.subtract(Holding::of(&parcel.message));
                Some(parcel.message.id)
            }
            Stage::Received => None,
        };
        self.depart(flight.place, flight.kept, message);
        flight.loan.map(|loan| *loan)
    }
}
