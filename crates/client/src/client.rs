//! One link to a broker: connects, publishes, subscribes, receives, and waits for each answer.

use crate::clock::{self, Clock};
use crate::error::ClientError;
use crate::heard::{Answer, Event, Goodbye, Greeting, Heard};
use crate::message::{Message, Publication};
use crate::options::ClientOptions;
use crate::transport::{Received, Transport};
use crate::wire::{connect_packet, explain, will_packet};
use keyward_mqtt::connection::{ClientConnection, ClientLimits, ClientStep, Message as OutMessage};
use keyward_mqtt::packet::{
    Disconnect, PacketId, Qos, SubscribeFilters, SubscribeOptions, UnsubscribeFilters,
};
use keyward_mqtt::property::{DisconnectProperties, SubscribeProperties, UnsubscribeProperties};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::topic::TopicName;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// How long a client that was cut off looks for the broker's last words.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Is one link to a broker.
pub struct Client {
    connection: ClientConnection,
    transport: Transport,
    clock: Clock,
    timeout: Duration,
    /// What was read; the first `used` bytes are dealt with.
    input: Vec<u8>,
    used: usize,
    heard: Heard,
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.transport.as_fd()
    }
}

impl Client {
    /// Connects, logs in, and returns when the broker has said yes.
    ///
    /// # Errors
    /// [`ClientError`] says which step failed, whose fault it is, and what to do.
    pub fn connect(options: &ClientOptions) -> Result<Self, ClientError> {
        Self::open(options, None)
    }

    /// Connects as [`Client::connect`] does, to a server that is known by the SHA-256 of its root's certificate alone. The hello asks to
    /// be shown that root (ALPN `keyward-enroll`), and nothing is said to a server whose chain does not end there. What
    /// [`ClientOptions::tls`] says does not count.
    ///
    /// # Errors
    /// As [`Client::connect`]; [`ClientError::Untrusted`] if the server has another root.
    pub fn connect_to_root(options: &ClientOptions, fingerprint: &[u8; 32]) -> Result<Self, ClientError> {
        Self::open(options, Some(fingerprint))
    }

    fn open(options: &ClientOptions, root: Option<&[u8; 32]>) -> Result<Self, ClientError> {
        let deadline = clock::now() + options.timeout;
        let mut client = Self {
            connection: ClientConnection::new(ClientLimits::default()),
            transport: Transport::connect(options, root, deadline)?,
            clock: Clock::start(),
            timeout: options.timeout,
            input: Vec::new(),
            used: 0,
            heard: Heard::default(),
        };
        let will = options.will.as_ref().map(will_packet).transpose()?;
        client.connection.connect(client.clock.millis(), &connect_packet(options, will)).map_err(explain)?;
        while client.heard.greeting.is_none() {
            client.advance(deadline, "answer to CONNECT")?;
        }
        Ok(client)
    }

    /// Returns what the broker said when it let the client in.
    pub fn greeting(&self) -> Option<&Greeting> {
        self.heard.greeting.as_ref()
    }

    /// Returns the address of this end.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.transport.local_addr()
    }

    /// Publishes, and returns when the handshake of the quality of service is complete: at once for QoS 0, at
    /// PUBACK for QoS 1, at PUBCOMP for QoS 2. The code may be [`ReasonCode::NoMatchingSubscribers`].
    ///
    /// # Errors
    /// [`ClientError::PublishRefused`] if the broker did not take the message; the link goes on.
    pub fn publish(&mut self, publication: &Publication<'_>) -> Result<ReasonCode, ClientError> {
        let Some(id) = self.begin(publication)? else { return Ok(ReasonCode::Success) };
        let answer = self.answer(id, "acknowledgement")?;
        match answer.reasons.first().copied() {
            Some(reason) if reason.is_failure() => Err(ClientError::PublishRefused {
                topic: publication.topic.to_owned(),
                reason,
                said: answer.said,
            }),
            reason => Ok(reason.unwrap_or(ReasonCode::Success)),
        }
    }

    /// Sends a message and does not wait: [`Event::Published`] with this identifier tells the end of it; of QoS 0 there is none.
    ///
    /// # Errors
    /// [`ClientError::Request`] if too much is under way, or the message cannot be said; the link goes on.
    pub fn begin(&mut self, publication: &Publication<'_>) -> Result<Option<PacketId>, ClientError> {
        let topic = TopicName::parse(publication.topic)
            .map_err(|error| ClientError::Request(format!("the topic {:?} {error}", publication.topic)))?;
        let message = OutMessage {
            topic,
            payload: publication.payload,
            qos: publication.qos,
            retain: publication.retain,
            properties: publication.properties.clone(),
        };
        self.alive()?;
        let id = self.connection.publish(self.clock.millis(), &message).map_err(explain)?;
        self.flush()?;
        Ok(id)
    }

    /// Returns what happened next: a message came, or one that was [begun](Self::begin) is through; `None` if nothing did within
    /// `within`. Keeps the link alive meanwhile.
    ///
    /// # Errors
    /// [`ClientError`] if the link ended; what came before is returned first.
    pub fn next_event(&mut self, within: Duration) -> Result<Option<Event>, ClientError> {
        let deadline = clock::now() + within;
        loop {
            if let Some(event) = self.heard.event() {
                return Ok(Some(event));
            }
            match self.advance(deadline, "event") {
                Ok(()) => {}
                Err(ClientError::TimedOut { awaited: "event" }) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns when [`next_event`](Self::next_event) has to be called at the latest, for a sign of life is due; who waits for
    /// [`as_fd`](AsFd::as_fd) and something else waits no longer.
    pub fn due(&self) -> Option<Instant> {
        self.connection.poll_timeout().and_then(|at| self.clock.instant(at))
    }

    /// Subscribes to one filter and returns the granted quality of service.
    ///
    /// # Errors
    /// [`ClientError::SubscribeRefused`] if the broker granted nothing; the link goes on.
    pub fn subscribe(&mut self, filter: &str, qos: Qos) -> Result<Qos, ClientError> {
        let options = SubscribeOptions { qos, ..SubscribeOptions::default() };
        match self.subscribe_all(&[(filter, options)], None)?.first().copied() {
            Some(reason) if reason.is_failure() => {
                Err(ClientError::SubscribeRefused { filter: filter.to_owned(), reason })
            }
            Some(ReasonCode::GrantedQos2) => Ok(Qos::ExactlyOnce),
            Some(ReasonCode::GrantedQos1) => Ok(Qos::AtLeastOnce),
            Some(_) => Ok(Qos::AtMostOnce),
            None => Err(ClientError::Protocol("SUBACK holds no code [MQTT-3.8.4-6]".to_owned())),
        }
    }

    /// Subscribes to filters in one packet, and returns the broker's code for each.
    ///
    /// # Errors
    /// [`ClientError`] if the exchange fails; a refused filter is no error here.
    pub fn subscribe_all(
        &mut self,
        filters: &[(&str, SubscribeOptions)],
        subscription_id: Option<std::num::NonZeroU32>,
    ) -> Result<Vec<ReasonCode>, ClientError> {
        self.alive()?;
        let properties = SubscribeProperties { subscription_id, ..SubscribeProperties::default() };
        let id = self
            .connection
            .subscribe(self.clock.millis(), SubscribeFilters::List(filters), &properties)
            .map_err(explain)?;
        self.answer(id, "answer to SUBSCRIBE").map(|answer| answer.reasons)
    }

    /// Gives filters up, and returns the broker's code for each; none in 3.1.1.
    ///
    /// # Errors
    /// [`ClientError`] if the exchange fails.
    pub fn unsubscribe(&mut self, filters: &[&str]) -> Result<Vec<ReasonCode>, ClientError> {
        self.alive()?;
        let properties = UnsubscribeProperties::default();
        let id = self
            .connection
            .unsubscribe(self.clock.millis(), UnsubscribeFilters::List(filters), &properties)
            .map_err(explain)?;
        self.answer(id, "answer to UNSUBSCRIBE").map(|answer| answer.reasons)
    }

    /// Returns the next message, or `None` if none came within `within`. Keeps the link alive meanwhile.
    ///
    /// # Errors
    /// [`ClientError`] if the link ended; messages that came before are returned first.
    pub fn next_message(&mut self, within: Duration) -> Result<Option<Message>, ClientError> {
        let deadline = clock::now() + within;
        loop {
            if let Some(message) = self.heard.inbox.pop() {
                return Ok(Some(message));
            }
            match self.advance(deadline, "message") {
                Ok(()) => {}
                Err(ClientError::TimedOut { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until the broker ends the link, and returns how; `None` if it still stands after `within`. Messages that
    /// come meanwhile are kept for [`Client::next_message`].
    pub fn wait_closed(&mut self, within: Duration) -> Option<ClientError> {
        let deadline = clock::now() + within;
        loop {
            match self.advance(deadline, "end") {
                Ok(()) => {}
                Err(ClientError::TimedOut { .. }) => return None,
                Err(error) => return Some(error),
            }
        }
    }

    /// Says goodbye: the broker does not publish the will.
    ///
    /// # Errors
    /// [`ClientError`] if the link was gone already.
    pub fn disconnect(self) -> Result<(), ClientError> {
        self.disconnect_with(ReasonCode::Success)
    }

    /// Says goodbye with a reason, for instance [`ReasonCode::DisconnectWithWill`]; 3.1.1 knows
    /// [`ReasonCode::Success`] only.
    ///
    /// # Errors
    /// [`ClientError`] if the link was gone already.
    pub fn disconnect_with(mut self, reason: ReasonCode) -> Result<(), ClientError> {
        self.alive()?;
        let goodbye = Disconnect { reason, properties: DisconnectProperties::default() };
        self.connection.disconnect(&goodbye).map_err(explain)?;
        self.flush()?;
        self.transport.close(clock::now() + LAST_WORDS);
        Ok(())
    }

    fn alive(&self) -> Result<(), ClientError> {
        self.heard.end.as_ref().map_or(Ok(()), |end| Err(end.error()))
    }

    /// Waits for the answer to exchange `id`.
    fn answer(&mut self, id: PacketId, awaited: &'static str) -> Result<Answer, ClientError> {
        let deadline = clock::now() + self.timeout;
        loop {
            if let Some(index) = self.heard.answers.iter().position(|answer| answer.id == id) {
                return Ok(self.heard.answers.swap_remove(index));
            }
            self.advance(deadline, awaited)?;
        }
    }

    /// Sends what waits and deals with one packet, or waits until something can be read; returns after something
    /// happened. One packet at a time: what came before a goodbye counts before the goodbye.
    fn advance(&mut self, deadline: Instant, awaited: &'static str) -> Result<(), ClientError> {
        self.alive()?;
        self.flush()?;
        if self.digest()? {
            return Ok(());
        }
        let timer = self.connection.poll_timeout().and_then(|at| self.clock.instant(at));
        let until = timer.map_or(deadline, |timer| timer.min(deadline));
        match self.read(until)? {
            Received::Bytes => Ok(()),
            Received::End => Err(self.heard.over(Goodbye::Closed)),
            Received::Nothing => {
                let now = self.clock.millis();
                if self.connection.poll_timeout().is_some_and(|at| at <= now) {
                    self.connection.handle_timeout(now).map_err(explain)?;
                }
                if clock::now() < deadline { Ok(()) } else { Err(ClientError::TimedOut { awaited }) }
            }
        }
    }

    fn read(&mut self, until: Instant) -> Result<Received, ClientError> {
        self.input.drain(..self.used);
        self.used = 0;
        self.transport.receive(&mut self.input, until)
    }

    fn flush(&mut self) -> Result<(), ClientError> {
        let waiting = self.connection.output();
        if waiting.is_empty() {
            return Ok(());
        }
        let count = waiting.len();
        match self.transport.send(waiting, clock::now() + self.timeout) {
            Ok(()) => {
                self.connection.written(count);
                Ok(())
            }
            Err(ClientError::Closed) => Err(self.last_words()),
            Err(error) => Err(error),
        }
    }

    /// The broker hung up while the client was writing: what it said last is the reason.
    fn last_words(&mut self) -> ClientError {
        let deadline = clock::now() + LAST_WORDS;
        loop {
            match self.digest() {
                Ok(true) => continue,
                Ok(false) => {}
                Err(reason) => return reason,
            }
            match self.read(deadline) {
                Ok(Received::Bytes) => {}
                Ok(Received::End | Received::Nothing) => return self.heard.over(Goodbye::Closed),
                Err(reason) => return reason,
            }
        }
    }

    /// Deals with the next packet that was read whole; false if there is none.
    fn digest(&mut self) -> Result<bool, ClientError> {
        let outcome = match self.connection.handle(self.clock.millis(), &self.input[self.used..]) {
            Ok(ClientStep::Incomplete { .. }) => Ok(false),
            Ok(ClientStep::Packet { event, size }) => {
                self.used += size;
                event.map_or(Ok(()), |event| self.heard.note(event)).map(|()| true)
            }
            Err(error) => Err(explain(error)),
        };
        if matches!(outcome, Err(ClientError::Protocol(_))) && self.heard.end.is_none() {
            self.heard.end = Some(Goodbye::Closed);
            // The farewell that the protocol wants; the link is over either way.
            drop(self.flush());
        }
        outcome
    }
}
