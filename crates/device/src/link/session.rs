//! The thread of the link: connects again and again, with pauses, and on each link sends, hears, says how the device is and renews.

use super::backoff::{Backoff, Hosts};
use super::flight::{Flight, Verdict};
use super::waker::Wakes;
use crate::clock;
use crate::command::{KEY_SET_TOPIC, grants_of};
use crate::enrol::{self, EnrolError, Host, MembershipError, Renewed};
use crate::heartbeat::Event as Word;
use crate::keys::Generation;
use crate::limits::{ANSWER_TIME, IN_FLIGHT, KEEP_ALIVE, REFUSED_PAUSE};
use crate::outbox::{Entry, Waiting};
use crate::pen::start_of;
use crate::shared::Shared;
use keyward_client::{Client, ClientError, ClientOptions, Event, Publication};
use keyward_envelope::Nonce;
use keyward_mqtt::packet::{PacketId, Qos, SubscribeOptions};
use keyward_mqtt::property::{PublishProperties, UserProperties};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a renewal that failed is tried again.
const RENEWAL_PAUSE: Duration = Duration::from_secs(3_600);

/// Keeps the link until the device stops.
pub(crate) fn run(shared: &Arc<Shared>, mut wakes: Wakes) {
    let mut backoff = Backoff::default();
    let mut places = Hosts::default();
    while !shared.is_stopping() {
        let hosts = shared.hosts();
        let host = hosts[places.next(hosts.len())].clone();
        let opened = clock::now();
        let (stood, problem) = match Session::open(shared, &host) {
            Ok(mut session) => {
                places.stood();
                shared.tell_connected(Some(&host));
                let end = session.serve(&mut wakes);
                session.close(&end);
                shared.tell_connected(None);
                let End::Broken(problem) = end else { continue };
                (Some(clock::now().saturating_duration_since(opened)), problem)
            }
            Err(error) if places.failed(hosts.len()) => (None, error.to_string()),
            Err(error) => {
                shared.tell(&format!("{}:{}: {error}; the next host is tried", host.name, host.port));
                continue;
            }
        };
        let pause = backoff.pause(stood, draw());
        shared.tell(&format!("{}:{}: {problem}; next try in {} s", host.name, host.port, pause.as_secs()));
        let until = clock::now() + pause;
        while clock::now() < until && !shared.is_stopping() {
            wakes.wait(None, until);
        }
    }
}

fn draw() -> u64 {
    let mut bytes = [0; 8];
    // Without random bytes the pauses are short: a nuisance for the server, and nothing else works then.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    u64::from_be_bytes(bytes)
}

/// Where the server tells the nonce of a link.
const NONCE_TOPIC: &str = "$keyward/nonce";

/// Says how far a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// What is said carries a date, or the nonce of this link.
    Open,
    /// The device has no clock, and the server has not told the nonce yet.
    AwaitsNonce(Instant),
    /// What was said on earlier links is sent as it is, one by one up to this entry: the server knows what it had, and the rest is written anew.
    /// Where the clock was set meanwhile it is dated then, and there is no session.
    Catches { session: Option<Nonce>, up_to: u64 },
}

/// Says why a link is over.
enum End {
    /// The device stops, and nothing is left to send.
    Stopped,
    /// The certificate was renewed, and the next link shows it: its first use ends the one before.
    Renewed,
    Broken(String),
}

/// Is one link.
struct Session<'a> {
    shared: &'a Arc<Shared>,
    client: Client,
    flight: Flight,
    phase: Phase,
    /// Until when the outbox waits after the server could not take something.
    paused_until: Option<Instant>,
    /// Whether the server has the device in quarantine: a release ends this link, and until then nothing is said.
    is_quarantined: bool,
    heartbeat_at: Instant,
    renew_at: Instant,
    /// The start of the device in which what is sent was signed.
    start: Option<u64>,
}

impl<'a> Session<'a> {
    fn open(shared: &'a Arc<Shared>, host: &Host) -> Result<Self, SessionError> {
        shared.settle()?;
        let membership = shared.membership();
        let identity = enrol::identity(&membership, &shared.keys, Generation::Current)?;
        let mut options = ClientOptions::new(&host.name, host.port);
        options.tls = Some(enrol::tls(&membership, identity));
        options.client_id = membership.device.to_string();
        options.clean_start = false;
        options.session_expiry = shared.settings.session_seconds;
        options.keep_alive = KEEP_ALIVE;
        options.timeout = ANSWER_TIME;
        let mut client = Client::connect(&options)?;
        subscribe(shared, &mut client)?;
        let now = clock::now();
        let (flight, phase) = (Flight::new(1), Phase::AwaitsNonce(now + ANSWER_TIME));
        let mut session = Self {
            shared,
            client,
            flight,
            phase,
            paused_until: None,
            is_quarantined: false,
            heartbeat_at: now,
            renew_at: now,
            start: None,
        };
        if shared.date().is_some() {
            session.begin(None);
        }
        Ok(session)
    }

    /// Serves the link to its end.
    fn serve(&mut self, wakes: &mut Wakes) -> End {
        loop {
            if let Err(error) = self.turn() {
                return End::Broken(error.to_string());
            }
            if self.shared.is_stopping() && (self.is_through() || self.shared.stops_now()) {
                return End::Stopped;
            }
            if self.renews() {
                return End::Renewed;
            }
            let until = self.wait_until();
            wakes.wait(Some(self.client.as_fd()), until);
        }
    }

    fn close(self, end: &End) {
        self.shared.pen().write_in(None);
        if !matches!(end, End::Broken(_)) {
            drop(self.client.disconnect());
        }
    }

    /// Does all that can be done now.
    fn turn(&mut self) -> Result<(), SessionError> {
        self.say_how_it_is()?;
        loop {
            self.send_ahead()?;
            self.send_waiting()?;
            let Some(event) = self.client.next_event(Duration::ZERO)? else { return Ok(()) };
            match event {
                Event::Published { id, reason, said } => self.answered(id, reason, said)?,
                Event::Message(message) if message.topic == NONCE_TOPIC => {
                    if let (Phase::AwaitsNonce(_), Some(session)) = (self.phase, nonce(&message.payload)) {
                        self.begin(Some(session));
                    }
                }
                Event::Message(message) => self.shared.hear(message),
            }
        }
    }

    /// Begins to send: with the nonce of this link, of a device without a clock.
    fn begin(&mut self, session: Option<Nonce>) {
        let mut pen = self.shared.pen();
        let is_behind = session.is_some() || pen.is_oldest_undated();
        let up_to = pen.outbox.last().filter(|_| is_behind).unwrap_or_default();
        drop(pen);
        self.phase = Phase::Catches { session, up_to };
        self.catch_up();
    }

    /// Goes on to what is new when all of earlier links is through.
    fn catch_up(&mut self) {
        let Phase::Catches { session, up_to } = self.phase else { return };
        let mut pen = self.shared.pen();
        if pen.outbox.first().is_none_or(|first| first > up_to) {
            pen.write_in(session);
            drop(pen);
            self.phase = Phase::Open;
            self.flight.widen(IN_FLIGHT);
            if session.is_some()
                && let Err(error) = self.shared.tell_nonce()
            {
                self.shared.tell(&format!("the nonce for commands is not told: {error}"));
            }
        }
    }

    fn wait_until(&self) -> Instant {
        let mut until = self.renew_at;
        match self.phase {
            Phase::Open => until = until.min(self.heartbeat_at),
            Phase::AwaitsNonce(end) => until = until.min(end),
            Phase::Catches { .. } => {}
        }
        for other in [self.client.due(), self.paused_until, self.shared.stop_at()].into_iter().flatten() {
            until = until.min(other);
        }
        until
    }

    fn is_through(&self) -> bool {
        self.shared.pen().outbox.is_empty()
    }

    fn say_how_it_is(&mut self) -> Result<(), SessionError> {
        let now = clock::now();
        if self.phase != Phase::Open || now < self.heartbeat_at || self.shared.is_stopping() {
            return Ok(());
        }
        self.heartbeat_at = now + self.shared.settings.heartbeat_every;
        // How it was by then is of no use to anybody when it is released.
        if self.is_quarantined {
            return Ok(());
        }
        if let Err(error) = self.shared.say(Word::Heartbeat) {
            self.shared.tell(&format!("no heartbeat: {error}"));
        }
        Ok(())
    }

    /// Renews the certificate if it is time, and tells whether it was.
    fn renews(&mut self) -> bool {
        let now = clock::now();
        if now < self.renew_at || self.shared.is_stopping() {
            return false;
        }
        self.renew_at = now + RENEWAL_PAUSE;
        let membership = self.shared.membership();
        if clock::unix_seconds().is_none_or(|seconds| seconds < membership.renew_from) {
            return false;
        }
        match enrol::renew(&membership, &self.shared.keys, &self.shared.folder) {
            Ok(Renewed { membership, same_message_key }) => {
                let more = same_message_key.map(|why| format!("; the key for messages stays: {why}"));
                self.shared.tell(&format!("the certificate was renewed{}", more.unwrap_or_default()));
                self.shared.replace_membership(membership);
                return true;
            }
            Err(EnrolError::Membership(error)) => self.shared.tell(&format!("not renewed: {error}")),
            Err(error) => self.shared.tell(&format!("the certificate was not renewed: {error}")),
        }
        false
    }

    /// Sends what may not wait for its turn.
    fn send_ahead(&mut self) -> Result<(), SessionError> {
        if self.phase != Phase::Open {
            return Ok(());
        }
        for entry in self.shared.urgent() {
            if self.flight.was_sent(entry) {
                continue;
            }
            let found = self.shared.pen().outbox.peek(entry - 1, 1)?;
            let Some(Waiting { id, entry }) = found.into_iter().find(|waiting| waiting.id == entry) else {
                // It made room for newer ones.
                self.shared.forget_urgent(entry);
                continue;
            };
            if !self.shared.pen().may_overtake(&entry) {
                continue;
            }
            if let Some(packet) = self.client.begin(&publication(&entry, &user(&entry)))? {
                self.flight.sent_ahead(id, packet);
            }
        }
        Ok(())
    }

    fn send_waiting(&mut self) -> Result<(), SessionError> {
        if self.is_quarantined {
            return Ok(());
        }
        if let Phase::AwaitsNonce(end) = self.phase {
            return if clock::now() < end { Ok(()) } else { Err(SessionError::NoNonce) };
        }
        if self.paused_until.is_some_and(|until| clock::now() < until) {
            return Ok(());
        }
        self.paused_until = None;
        for entry in self.flight.take_again() {
            let found = self.shared.pen().outbox.peek(entry - 1, 1)?;
            match found.into_iter().find(|waiting| waiting.id == entry) {
                Some(waiting) => self.send(&waiting)?,
                None => self.flight.settled(entry),
            }
        }
        let room = self.flight.room();
        if room == 0 {
            return Ok(());
        }
        let after = self.flight.highest().unwrap_or_default();
        let waiting = self.shared.pen().outbox.peek(after, room)?;
        for waiting in &waiting {
            if !self.may_begin(start_of(&waiting.entry))? {
                break;
            }
            if !self.flight.was_sent_ahead(waiting.id) {
                self.send(waiting)?;
            }
        }
        self.acknowledge()
    }

    /// Tells whether messages may be sent that were signed in a start of the device: not before the server has all from the starts before,
    /// and that is on disk. Their numbers are far apart, so a server that has seen the later ones would refuse the earlier ones if they came
    /// again after a power cut.
    fn may_begin(&mut self, start: Option<u64>) -> Result<bool, SessionError> {
        if self.start == start {
            return Ok(true);
        }
        self.acknowledge()?;
        if !self.flight.is_idle() {
            return Ok(false);
        }
        self.shared.pen().outbox.flush()?;
        self.start = start;
        Ok(true)
    }

    fn send(&mut self, waiting: &Waiting) -> Result<(), SessionError> {
        match self.client.begin(&publication(&waiting.entry, &user(&waiting.entry))) {
            Ok(Some(packet)) => self.flight.sent(waiting.id, packet),
            Ok(None) => self.flight.sent_without_answer(waiting.id),
            // It cannot be said on this link, and the same bytes will never be.
            Err(ClientError::Request(problem)) => {
                self.flight.sent_without_answer(waiting.id);
                self.shared.put_aside(waiting, &problem)?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn answered(
        &mut self,
        packet: PacketId,
        reason: keyward_mqtt::reason::ReasonCode,
        said: Option<String>,
    ) -> Result<(), SessionError> {
        let Some((entry, verdict)) = self.flight.answered(packet, reason, said.as_deref()) else {
            return Ok(());
        };
        let words =
            said.unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect::<String>();
        let problem = format!("{} (0x{:02X}) {words}", reason.as_str(), reason as u8);
        match verdict {
            Verdict::Taken => self.shared.tell_taken(entry),
            Verdict::NotNow => {
                self.paused_until = Some(clock::now() + REFUSED_PAUSE);
                self.shared.tell(&format!("the server cannot take messages now: {problem}"));
            }
            Verdict::Quarantined => {
                if !self.is_quarantined {
                    self.shared.tell(
                        "this device is in quarantine: what it says is kept until it is released (keyward device release)",
                    );
                }
                self.is_quarantined = true;
            }
            Verdict::Never => {
                let found = self.shared.pen().outbox.peek(entry - 1, 1)?;
                if let Some(waiting) = found.into_iter().find(|waiting| waiting.id == entry)
                    && !self.is_rewritten(&waiting)?
                {
                    self.shared.put_aside(&waiting, problem.trim_end())?;
                }
                self.flight.settled(entry);
            }
        }
        self.acknowledge()
    }

    /// Writes anew what was refused because it was made for an earlier link.
    fn is_rewritten(&self, waiting: &Waiting) -> Result<bool, SessionError> {
        let Phase::Catches { session, .. } = self.phase else { return Ok(false) };
        Ok(self.shared.pen().rewrite_oldest(&waiting.entry, session)?)
    }

    fn acknowledge(&mut self) -> Result<(), SessionError> {
        if let Some(through) = self.flight.take_through() {
            self.shared.pen().outbox.acknowledge(through)?;
            self.catch_up();
        }
        Ok(())
    }
}

/// Subscribes to what the device obeys, to the server's keys, and to those of the device's groups. What is refused is told, and the link goes on.
fn subscribe(shared: &Shared, client: &mut Client) -> Result<(), ClientError> {
    let options = SubscribeOptions { qos: Qos::AtLeastOnce, ..SubscribeOptions::default() };
    // The server's keys first, for what lies retained comes in this order, and grants are believed by them.
    let grants = grants_of(shared.membership().device.as_str());
    let mut filters: Vec<(&str, SubscribeOptions)> = vec![(KEY_SET_TOPIC, options), (&grants, options)];
    if shared.date().is_none() {
        filters.push((NONCE_TOPIC, options));
    }
    filters.extend(shared.settings.commands.iter().map(|filter| (filter.as_str(), options)));
    let answers = client.subscribe_all(&filters, None)?;
    for ((filter, _), reason) in filters.iter().zip(&answers).filter(|(_, reason)| reason.is_failure()) {
        shared.tell(&format!("the subscription to {filter} was refused: {}", reason.as_str()));
    }
    Ok(())
}

/// Reads a nonce of 8 to 16 bytes, as hexadecimal digits.
fn nonce(digits: &[u8]) -> Option<Nonce> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    Nonce::new(&pairs.collect::<Option<Vec<u8>>>()?)
}

fn user(entry: &Entry) -> Vec<(&str, &str)> {
    entry.properties.user.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn publication<'e>(entry: &'e Entry, user: &'e [(&'e str, &'e str)]) -> Publication<'e> {
    let kept = &entry.properties;
    let properties = PublishProperties {
        payload_format: kept.payload_format,
        message_expiry: kept.message_expiry,
        content_type: kept.content_type.as_deref(),
        response_topic: kept.response_topic.as_deref(),
        correlation_data: kept.correlation_data.as_deref(),
        user: if user.is_empty() { UserProperties::None } else { UserProperties::List(user) },
        ..PublishProperties::default()
    };
    let (topic, payload) = (entry.topic.as_str(), entry.payload.as_slice());
    Publication { topic, payload, qos: entry.qos, retain: entry.retain, properties }
}

/// Says why a link ended.
#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    State(#[from] crate::state::StateError),
    #[error(transparent)]
    Keys(#[from] crate::keys::KeyError),
    #[error(transparent)]
    Report(#[from] crate::pen::ReportError),
    #[error(
        "the server told no nonce, and a device without a clock needs one: is a message key of this device registered (`keyward keys list`)?"
    )]
    NoNonce,
    #[error(transparent)]
    Membership(#[from] MembershipError),
}
