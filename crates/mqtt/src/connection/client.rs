//! The client's end: one link at a time, and the session that outlives it.

mod authentication;
mod event;
mod incoming;
mod keep_alive;
mod naming;
mod session;
mod terms;

pub use event::{ClientError, ClientEvent, ClientStep, Message};

use super::aliases::AliasTable;
use crate::codec::{self, EncodeError, Sender};
use crate::limits::ClientLimits;
use crate::packet::{
    Auth, Connect, Delivery, Disconnect, Packet, PacketId, Publish, Qos, Subscribe, SubscribeFilters,
    Unsubscribe, UnsubscribeFilters, Version,
};
use crate::property::{PropertyId, SubscribeProperties, SubscriptionIds, UnsubscribeProperties};
use crate::time::Millis;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use authentication::Authentication;
use core::num::NonZeroU32;
use keep_alive::KeepAlive;
use naming::Naming;
use session::{Session, StoredPublish};
use terms::{Offer, Terms};

/// Is the client's end of a link, and its session.
///
/// The rule of use: [`connect`](Self::connect) on a fresh link; then again and again give
/// [`handle`](Self::handle) what was read, send what [`output`](Self::output) holds and say so with
/// [`written`](Self::written), and call [`handle_timeout`](Self::handle_timeout) at
/// [`poll_timeout`](Self::poll_timeout). When the link is gone for whatever reason call
/// [`link_lost`](Self::link_lost); the session stays, and the next `connect` goes on with it.
///
/// A message that came is acknowledged by what `handle` appends to the output: who wants to keep it safe first does so
/// before sending the output.
#[derive(Debug)]
pub struct ClientConnection {
    limits: ClientLimits,
    session: Session,
    link: Link,
    /// Requests on this link, each with its number of filters.
    requests: BTreeMap<PacketId, Request>,
    authentication: Authentication,
    /// The server's topic aliases on this link.
    aliases: AliasTable,
    /// Our own.
    naming: Naming,
    output: Vec<u8>,
}

#[derive(Debug)]
enum Link {
    Down,
    /// CONNECT is sent; CONNACK is awaited until `deadline`.
    Opening {
        terms: Terms,
        deadline: Millis,
    },
    Open {
        terms: Terms,
        offer: Offer,
        keep_alive: KeepAlive,
    },
    /// One side said that it is over.
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Subscribe(usize),
    Unsubscribe(usize),
}

impl ClientConnection {
    /// Makes a client without a link and with an empty session.
    pub fn new(limits: ClientLimits) -> Self {
        Self {
            limits,
            session: Session::default(),
            link: Link::Down,
            requests: BTreeMap::new(),
            authentication: Authentication::default(),
            aliases: AliasTable::default(),
            naming: Naming::default(),
            output: Vec::new(),
        }
    }

    /// Begins a link: CONNECT is in the output. In 5.0 it announces [`ClientLimits::packet_max`] and
    /// [`ClientLimits::topic_alias_max`], or its own maximum packet size and topic alias maximum where those are
    /// smaller.
    ///
    /// # Errors
    /// There is a link already, messages of the other version wait, or the packet cannot be written.
    pub fn connect(&mut self, now: Millis, connect: &Connect<'_>) -> Result<(), ClientError> {
        if !matches!(self.link, Link::Down) {
            return Err(ClientError::AlreadyConnected);
        }
        let other_version = self.session.version.is_some_and(|version| version != connect.version);
        if other_version && self.session.unacknowledged() > 0 {
            return Err(ClientError::OtherVersion);
        }
        let mut connect = connect.clone();
        let announced = &mut connect.properties.maximum_packet_size;
        let limit = NonZeroU32::new(self.limits.packet_max);
        *announced = [*announced, limit].into_iter().flatten().min();
        let aliases = &mut connect.properties.topic_alias_maximum;
        let limit = Some(self.limits.topic_alias_max);
        *aliases = [*aliases, limit].into_iter().flatten().min().filter(|most| *most > 0);
        let terms = Terms::of(&connect, &self.limits);
        let authentication = Authentication::of(connect.properties.authentication_method);
        codec::encode(&Packet::Connect(connect), terms.version, &mut self.output)?;
        self.authentication = authentication;
        self.session.version = Some(terms.version);
        self.link = Link::Opening { terms, deadline: now.saturating_add(self.limits.answer_timeout) };
        Ok(())
    }

    /// Publishes. QoS 0 needs a link and returns no identifier. QoS 1 and 2 need one only for the first time; they are
    /// kept until [`ClientEvent::Published`] or [`ClientEvent::Connected`] names the identifier.
    ///
    /// A topic that comes again on a link is sent by an alias, if the server takes any and
    /// [`ClientLimits::topic_alias_out_max`] allows it; a message that is sent again names its topic.
    ///
    /// # Errors
    /// There is no link, no place, the server does not take such a message, or it has an alias already.
    pub fn publish(&mut self, now: Millis, message: &Message<'_>) -> Result<Option<PacketId>, ClientError> {
        if message.properties.topic_alias.is_some() {
            return Err(ClientError::TopicAlias);
        }
        // [MQTT-3.3.4-6]: only a server sends subscription identifiers.
        if message.properties.subscription_ids != SubscriptionIds::None {
            return Err(EncodeError::PropertyValue(PropertyId::SubscriptionIdentifier).into());
        }
        if message.qos == Qos::AtMostOnce {
            let Link::Open { offer, .. } = &self.link else { return Err(ClientError::NotConnected) };
            offer.check(message.qos, message.retain)?;
            let publish = self.naming.name(packet_of(message, Delivery::AtMostOnce), offer);
            self.send(now, &Packet::Publish(publish))?;
            return Ok(None);
        }
        if self.session.unacknowledged() >= usize::from(self.limits.queue_max) {
            return Err(ClientError::QueueFull);
        }
        let id = self.session.take_id().ok_or(ClientError::QueueFull)?;
        if let Err(error) = self.store(id, message) {
            self.session.give_back(id);
            return Err(error);
        }
        self.send_waiting(now);
        Ok(Some(id))
    }

    fn store(&mut self, id: PacketId, message: &Message<'_>) -> Result<(), ClientError> {
        let version = self.session.version.ok_or(ClientError::NotConnected)?;
        let delivery = match message.qos {
            Qos::ExactlyOnce => Delivery::ExactlyOnce(id),
            Qos::AtMostOnce | Qos::AtLeastOnce => Delivery::AtLeastOnce(id),
        };
        let mut packet = Vec::new();
        codec::encode(&Packet::Publish(packet_of(message, delivery)), version, &mut packet)?;
        if let Link::Open { offer, .. } = &self.link {
            offer.check(message.qos, message.retain)?;
            offer.check_len(packet.len())?;
        }
        self.session.store(id, message.qos, message.retain, packet);
        Ok(())
    }

    /// Asks for topics; the answer names the identifier. A request dies with its link.
    ///
    /// # Errors
    /// There is no link, or no place.
    pub fn subscribe(
        &mut self,
        now: Millis,
        filters: SubscribeFilters<'_>,
        properties: &SubscribeProperties<'_>,
    ) -> Result<PacketId, ClientError> {
        let properties = properties.clone();
        self.request(now, Request::Subscribe(filters.iter().count()), |id| {
            Packet::Subscribe(Subscribe { id, properties, filters })
        })
    }

    /// Gives topics up; the answer names the identifier. A request dies with its link.
    ///
    /// # Errors
    /// There is no link, or no place.
    pub fn unsubscribe(
        &mut self,
        now: Millis,
        filters: UnsubscribeFilters<'_>,
        properties: &UnsubscribeProperties<'_>,
    ) -> Result<PacketId, ClientError> {
        let properties = properties.clone();
        self.request(now, Request::Unsubscribe(filters.iter().count()), |id| {
            Packet::Unsubscribe(Unsubscribe { id, properties, filters })
        })
    }

    fn request<'a>(
        &mut self,
        now: Millis,
        request: Request,
        packet: impl FnOnce(PacketId) -> Packet<'a>,
    ) -> Result<PacketId, ClientError> {
        if self.requests.len() >= usize::from(self.limits.requests_max) {
            return Err(ClientError::TooManyRequests);
        }
        let id = self.session.take_id().ok_or(ClientError::TooManyRequests)?;
        if let Err(error) = self.send(now, &packet(id)) {
            self.session.give_back(id);
            return Err(error);
        }
        self.requests.insert(id, request);
        Ok(id)
    }

    /// Sends a step of enhanced authentication (chapter 4.12): the answer to a challenge, or on an open link the
    /// beginning of another authentication.
    ///
    /// # Errors
    /// There is no link, CONNECT named no authentication method or another one, this step is not what comes next, or
    /// the packet cannot be written.
    pub fn authenticate(&mut self, now: Millis, auth: &Auth<'_>) -> Result<(), ClientError> {
        match &mut self.link {
            Link::Opening { terms, .. } | Link::Open { terms, .. } if terms.authenticates => {
                codec::encoded_len(&Packet::Auth(auth.clone()), terms.version)?;
                self.authentication.send(auth)?;
                codec::encode(&Packet::Auth(auth.clone()), terms.version, &mut self.output)?;
            }
            _ => return Err(ClientError::NotConnected),
        }
        if let Link::Open { keep_alive, .. } = &mut self.link {
            keep_alive.sent(now);
        }
        Ok(())
    }

    /// Appends a packet to the output of an open link, unless it is larger than the server takes.
    fn send(&mut self, now: Millis, packet: &Packet<'_>) -> Result<(), ClientError> {
        let Link::Open { terms, offer, keep_alive } = &mut self.link else {
            return Err(ClientError::NotConnected);
        };
        let start = self.output.len();
        codec::encode(packet, terms.version, &mut self.output)?;
        let fits = offer.check_len(self.output.len() - start);
        match fits {
            Ok(()) => keep_alive.sent(now),
            Err(_) => self.output.truncate(start),
        }
        fits
    }

    /// Appends stored messages as far as the receive maximum allows [MQTT-3.3.4-7].
    fn send_waiting(&mut self, now: Millis) {
        let Link::Open { terms, offer, keep_alive } = &mut self.link else { return };
        let window = usize::from(offer.receive_max.min(self.limits.in_flight_max));
        while let Some(stored) = self.session.next_unsent(window) {
            match named(stored, &mut self.naming, offer) {
                Some(publish) => {
                    let written = codec::encode(&publish, terms.version, &mut self.output);
                    debug_assert!(written.is_ok(), "it was written before, with its topic");
                }
                None => self.output.extend_from_slice(stored.packet()),
            }
            self.session.count_sent();
            keep_alive.sent(now);
        }
    }

    /// Ends the link: DISCONNECT is in the output; close when it is sent. 3.1.1 knows the normal end only.
    ///
    /// # Errors
    /// There is no link, the session expiry would be raised from 0, or the packet cannot be written.
    pub fn disconnect(&mut self, disconnect: &Disconnect<'_>) -> Result<(), ClientError> {
        let Link::Open { terms, .. } = &self.link else { return Err(ClientError::NotConnected) };
        let raises = disconnect.properties.session_expiry.is_some_and(|seconds| seconds > 0);
        if raises && !terms.session_expires_later {
            return Err(EncodeError::PropertyValue(PropertyId::SessionExpiryInterval).into());
        }
        codec::encode(&Packet::Disconnect(disconnect.clone()), terms.version, &mut self.output)?;
        self.link = Link::Ended;
        Ok(())
    }

    /// Returns the bytes that wait to be sent.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// Drops the first `count` bytes of the output, which were sent.
    pub fn written(&mut self, count: usize) {
        self.output.drain(..count.min(self.output.len()));
    }

    /// Forgets the link and keeps the session. Requests without an answer are given up.
    pub fn link_lost(&mut self) {
        self.link = Link::Down;
        self.output.clear();
        self.aliases = AliasTable::default();
        self.naming = Naming::default();
        for id in core::mem::take(&mut self.requests).into_keys() {
            self.session.give_back(id);
        }
        self.session.link_lost();
    }

    /// Tells whether the server accepted the link that there is.
    pub fn is_connected(&self) -> bool {
        matches!(self.link, Link::Open { .. })
    }

    /// Returns how many messages of QoS 1 and 2 are not acknowledged yet.
    pub fn unacknowledged(&self) -> usize {
        self.session.unacknowledged()
    }

    /// Returns when [`ClientConnection::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Millis> {
        match &self.link {
            Link::Opening { deadline, .. } => Some(*deadline),
            Link::Open { keep_alive, .. } => keep_alive.poll_timeout(),
            Link::Down | Link::Ended => None,
        }
    }

    /// Sends a sign of life if one is due.
    ///
    /// # Errors
    /// [`ClientError::ServerSilent`]: CONNACK or PINGRESP did not come in time.
    pub fn handle_timeout(&mut self, now: Millis) -> Result<(), ClientError> {
        let silent = match &self.link {
            Link::Opening { deadline, .. } => now >= *deadline,
            Link::Open { keep_alive, .. } => keep_alive.is_late(now),
            Link::Down | Link::Ended => false,
        };
        if silent {
            self.link = Link::Ended;
            return Err(ClientError::ServerSilent);
        }
        if let Link::Open { keep_alive, terms, .. } = &mut self.link
            && keep_alive.is_due(now)
        {
            codec::encode(&Packet::PingReq, terms.version, &mut self.output)?;
            keep_alive.asked(now, self.limits.answer_timeout);
        }
        Ok(())
    }
}

/// Returns a stored message with an alias, if its topic may have one. A message that is sent again stays as it is, so
/// that nothing which was said on the last link is needed to understand it.
fn named<'a>(stored: &'a StoredPublish, naming: &mut Naming, offer: &Offer) -> Option<Packet<'a>> {
    if !naming.are_offered() || stored.was_sent() {
        return None;
    }
    match codec::decode(Version::V5, Sender::Client, stored.packet()) {
        Ok(Packet::Publish(publish)) => Some(Packet::Publish(naming.name(publish, offer))),
        _ => None,
    }
}

fn packet_of<'a>(message: &Message<'a>, delivery: Delivery) -> Publish<'a> {
    Publish {
        dup: false,
        delivery,
        retain: message.retain,
        topic: Some(message.topic),
        properties: message.properties.clone(),
        payload: message.payload,
    }
}
