//! What is on disk for each session is what it is owed: what was acknowledged and has not arrived, and nothing twice.

use super::{Accepted, Known};
use crate::event::{ClientNo, MessageNo};
use crate::model::link::{Flight, Flights};
use crate::model::message::{Loss, Message, Owed};
use crate::model::session::Session;
use crate::model::{Checked, Model, breach};
use crate::races::Race;
use crate::records::{FoundPlace, FoundSession};
use keyward_broker::LinkId;
use keyward_mqtt::packet::Qos;
use std::collections::BTreeSet;

impl Model {
    /// What is still to go to its readers has no place at QoS 2: it would come twice.
    pub(super) fn check_places(
        &self,
        client: ClientNo,
        session: &Session,
        found: &FoundSession,
        accepted: &Accepted,
    ) -> Checked {
        for place in found.places.iter().filter(|place| place.qos == Qos::ExactlyOnce && !place.retain) {
            let number = place.message.as_ref().and_then(|message| message.number);
            let message = number.and_then(|number| self.messages.get(&number));
            let is_single =
                |message: &&Message| message.copies == 1 && session.groups_for(&message.topic).is_empty();
            if let Some(Message { number, .. }) = message.filter(is_single)
                && accepted.contains_key(number)
            {
                return breach!("{number} has a place of {client} on disk, and is still to go there");
            }
        }
        Ok(())
    }

    /// What is on disk is owed once more, if it has not arrived.
    pub(super) fn restore_places(
        &mut self,
        client: ClientNo,
        session: &mut Session,
        found: &FoundSession,
        before: &Flights,
        known: Known,
    ) -> Checked {
        // Of what went on at an earlier start the session may have had its copy, at a lower quality of service, and this
        // is the one of that start.
        let is_due = |owed: &Owed| owed.sent < owed.copies;
        let due = session.owed.iter().filter(|(_, owed)| is_due(owed)).map(|(number, _)| *number).collect();
        for owed in session.owed.values_mut() {
            owed.copies = owed.sent;
        }
        let mut flights = Flights::new();
        for place in &found.places {
            let FoundPlace { id, message, qos, .. } = place;
            let number = message.as_ref().and_then(|message| message.number);
            let flight = Flight {
                number,
                qos: *qos,
                received: message.is_none(),
                released: message.is_none(),
                begun: self.step,
                link: LinkId(0),
            };
            match before.get(id).filter(|_| known == Known::Surely) {
                _ if message.is_none() => _ = flights.insert(*id, flight),
                Some(sent) if sent.number == number && sent.released => {
                    return breach!(
                        "{client} has got {number:?} and was sent PUBREL {id}, and it is owed still"
                    );
                }
                Some(sent) if sent.number == number => {
                    self.races.note(Race::SentAgainAfterCrash);
                    flights.insert(*id, Flight { received: false, ..*sent });
                }
                _ => self.restore_unsent((client, session, &due), place, &mut flights, flight)?,
            }
        }
        self.flights.insert(client, flights);
        Ok(())
    }

    fn restore_unsent(
        &mut self,
        (client, session, due): (ClientNo, &mut Session, &BTreeSet<MessageNo>),
        place: &FoundPlace,
        flights: &mut Flights,
        flight: Flight,
    ) -> Checked {
        let message = flight.number.and_then(|number| self.messages.get(&number));
        let Some(message) = message else {
            self.unsent.insert((client, place.id), flight.number);
            return Ok(());
        };
        let qos = place.qos;
        let number = message.number;
        let is_honest = self.setup.clients[client.0].is_honest;
        let is_single = is_honest
            && message.copies == 1
            && session.groups_for(&message.topic).is_empty()
            && !due.contains(&number)
            && !place.retain;
        if let Some(owed) = session.owed.get(&number).filter(|owed| is_single && owed.sent > 0) {
            if qos == Qos::ExactlyOnce {
                return breach!("{client} has got {number} at QoS 2, and it is on disk once more: {owed:?}");
            }
            // Its PUBACK is not on disk.
            flights.insert(place.id, flight);
            return Ok(());
        }
        if place.retain && !session.reads_as_published {
            match session.replayed.contains_key(&number) {
                true => _ = flights.insert(place.id, flight),
                false => _ = self.unsent.insert((client, place.id), Some(number)),
            }
            return Ok(());
        }
        self.unsent.insert((client, place.id), Some(number));
        let owed = session.owed.entry(number).or_insert_with(|| Owed {
            must: false,
            arrived: false,
            qos: (qos, qos),
            ids: None,
            link: None,
            copies: 0,
            sent: 0,
            flagged: 0,
            last: 0,
        });
        owed.copies += 1;
        owed.qos = (owed.qos.0.min(qos), owed.qos.1.max(qos));
        Ok(())
    }

    /// What was acknowledged to its publisher and has not arrived is on disk.
    pub(super) fn check_owed(
        &self,
        client: ClientNo,
        session: &mut Session,
        found: &FoundSession,
        accepted: &Accepted,
    ) -> Checked {
        let places = found.places.iter().filter_map(|place| place.message.as_ref()?.number);
        let places: BTreeSet<MessageNo> = places.collect();
        let receiver = self.account(client);
        for (number, owed) in session.owed.iter_mut().filter(|(_, owed)| owed.must && !owed.arrived) {
            let message = &self.messages[number];
            let is_there = places.contains(number) || accepted.contains_key(number);
            owed.must = is_there || (message.accepted && !message.is_will);
            if !owed.must || is_there || message.expires.is_some() {
                continue;
            }
            let losses = Loss::of_session(message, owed.qos.0, receiver);
            if losses.iter().all(|loss| self.losses.count(loss) == 0) {
                return breach!("{number} for {client} was acknowledged and is not on disk");
            }
        }
        Ok(())
    }
}
