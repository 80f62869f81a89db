//! The link of a device that applies for a certificate. It stays at the door and reaches no shard: so it has no session, no
//! will, and no topics but the two of enrolment, whatever the rules say.
//!
//! An application is answered when what the answer says is on disk; its PUBACK goes behind the answer. Until then nothing more
//! is read from the link.

use super::Door;
use super::arrival::{Arrival, Said, Stage};
use super::connect::draw_client_id;
use super::gate::applicant::{Applicant, Applying, Shown};
use super::{DoorMessage, DoorShared};
use crate::plane::enrolment::{ANSWER_TOPIC, Answer, Application, REQUEST_TOPIC, Wish};
use crate::plane::events::LoginCause;
use crate::plane::limits::{APPLICATIONS_PER_LINK, ENROLMENT_BYTES, ENROLMENT_PACKET};
use keyward_broker::LinkId;
use keyward_mqtt::codec;
use keyward_mqtt::connection::{Farewell, Step};
use keyward_mqtt::packet::{
    Ack, ConnAck, Connect, Delivery, Packet, PacketId, Publish, Qos, ReasonCodes, SubAck, Subscribe,
    Unsubscribe, Version,
};
use keyward_mqtt::property::{AckProperties, ConnAckProperties, PublishProperties};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::Millis;
use keyward_mqtt::topic::TopicName;
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// Is an enrolment link.
pub(crate) struct Enrolling {
    said: Said,
    applicant: Applicant,
    /// Whether it wants to hear the answer.
    is_subscribed: bool,
    applications: usize,
    /// Whose answer it waits for.
    pending: Option<Pending>,
}

/// Is a request that was handed in.
struct Pending {
    /// What is acknowledged behind the answer; nothing at QoS 0.
    id: Option<PacketId>,
    /// What comes back with the answer.
    correlation: Option<Vec<u8>>,
}

/// Says what a packet asks for.
enum Asked {
    /// This is said at once.
    Say(Vec<u8>),
    /// The application of the device.
    Apply { request: Vec<u8>, pending: Pending },
    /// The client leaves.
    Leave,
    /// What such a link cannot have.
    Breach(ReasonCode, &'static str),
}

impl Enrolling {
    /// Returns when it is to be closed that began at `begun`: its time is over, or its client was silent for too long. Who waits
    /// for us is not late.
    pub(super) fn deadline(&self, begun: Millis, time: Millis, silence: Option<Millis>) -> Millis {
        let end = begun.saturating_add(time);
        silence.filter(|_| !self.is_waiting()).map_or(end, |silence| silence.min(end))
    }

    /// Tells whether nothing is read until it was answered.
    pub(crate) fn is_waiting(&self) -> bool {
        self.pending.is_some()
    }

    fn hear(&mut self, packet: &Packet<'_>) -> Asked {
        let version = self.said.version;
        match packet {
            Packet::Publish(publish) => self.hear_publish(publish),
            Packet::Subscribe(subscribe) => Asked::Say(self.subscribe(subscribe, version)),
            Packet::Unsubscribe(unsubscribe) => Asked::Say(self.unsubscribe(unsubscribe, version)),
            Packet::PingReq => Asked::Say(encode(&Packet::PingResp, version)),
            Packet::Disconnect(_) => Asked::Leave,
            _ => Asked::Breach(ReasonCode::ProtocolError, "it sent a packet that enrolment has no use for"),
        }
    }

    fn hear_publish(&mut self, publish: &Publish<'_>) -> Asked {
        let topic = publish.topic.map(|topic| topic.as_str());
        if topic != Some(REQUEST_TOPIC) {
            return Asked::Breach(
                ReasonCode::NotAuthorized,
                "it published to another topic than $keyward/enroll",
            );
        }
        if publish.retain {
            return Asked::Breach(ReasonCode::RetainNotSupported, "it published with retain");
        }
        if publish.delivery.qos() == Qos::ExactlyOnce {
            return Asked::Breach(
                ReasonCode::QosNotSupported,
                "it published with QoS 2; 0 and 1 are understood",
            );
        }
        if publish.payload.len() > ENROLMENT_BYTES {
            return Asked::Breach(
                ReasonCode::PacketTooLarge,
                "its request is larger than any signing request",
            );
        }
        if !self.is_subscribed {
            return Asked::Breach(
                ReasonCode::ImplementationSpecificError,
                "it published before it subscribed to $keyward/enroll/answer, so it would not hear the answer",
            );
        }
        self.applications += 1;
        if self.applications > APPLICATIONS_PER_LINK {
            return Asked::Breach(ReasonCode::QuotaExceeded, "it sent too many requests");
        }
        let correlation = publish.properties.correlation_data.map(<[u8]>::to_vec);
        let pending = Pending { id: publish.delivery.id(), correlation };
        Asked::Apply { request: publish.payload.to_vec(), pending }
    }

    fn subscribe(&mut self, subscribe: &Subscribe<'_>, version: Version) -> Vec<u8> {
        let grant = |filter: &str| match filter == ANSWER_TOPIC {
            true => ReasonCode::Success, // QoS 0
            false => ReasonCode::NotAuthorized,
        };
        let reasons: Vec<ReasonCode> =
            subscribe.filters.into_iter().map(|(filter, _)| grant(filter)).collect();
        self.is_subscribed |= reasons.contains(&ReasonCode::Success);
        let (id, reasons) = (subscribe.id, ReasonCodes::List(&reasons));
        encode(&Packet::SubAck(SubAck { id, properties: AckProperties::default(), reasons }), version)
    }

    fn unsubscribe(&mut self, unsubscribe: &Unsubscribe<'_>, version: Version) -> Vec<u8> {
        let mut end = |filter: &str| match filter == ANSWER_TOPIC && std::mem::take(&mut self.is_subscribed) {
            true => ReasonCode::Success,
            false => ReasonCode::NoSubscriptionExisted,
        };
        let reasons: Vec<ReasonCode> = unsubscribe.filters.into_iter().map(&mut end).collect();
        let (id, reasons) = (unsubscribe.id, ReasonCodes::List(&reasons));
        encode(&Packet::UnsubAck(SubAck { id, properties: AckProperties::default(), reasons }), version)
    }

    fn wish(&self, request: Vec<u8>) -> Wish {
        match self.applicant.shown.clone() {
            Shown::Code(code) => Wish::Claim { code, request },
            Shown::Certificate(serial) => Wish::Renew { serial, request },
        }
    }

    /// Returns the packets that answer what is pending.
    fn answer(&self, pending: &Pending, payload: &[u8]) -> Vec<u8> {
        let version = self.said.version;
        let properties = PublishProperties {
            payload_format: Some(true),
            content_type: Some("application/json"),
            correlation_data: pending.correlation.as_deref(),
            ..PublishProperties::default()
        };
        let publish = Publish {
            dup: false,
            delivery: Delivery::AtMostOnce,
            retain: false,
            topic: TopicName::parse(ANSWER_TOPIC).ok(),
            properties,
            payload,
        };
        let mut packets = match self.is_subscribed {
            true => encode(&Packet::Publish(publish), version),
            false => Vec::new(),
        };
        if let Some(id) = pending.id {
            let ack = Ack { id, reason: ReasonCode::Success, properties: AckProperties::default() };
            packets.extend(encode(&Packet::PubAck(ack), version));
        }
        packets
    }
}

/// Writes a packet of ours, whose parts all have lengths that fit.
fn encode(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written = codec::encode(packet, version, &mut bytes);
    debug_assert!(written.is_ok(), "what enrolment says always fits");
    bytes
}

/// Is what follows from the CONNECT of a device that may apply.
pub(super) struct Admitted {
    applicant: Applicant,
    keep_alive: u16,
    /// The CONNACK.
    welcome: Vec<u8>,
}

/// Says who may apply by the CONNECT of `arrival`, and the CONNACK.
pub(super) fn admit(
    shared: &DoorShared,
    now: keyward_mqtt::time::Now,
    arrival: &Arrival,
    applying: Applying<'_>,
    connect: &Connect<'_>,
) -> Result<Admitted, LoginCause> {
    if !arrival.origin.is_tls {
        return Err(LoginCause::Enrolment("it came without TLS"));
    }
    if shared.applications.is_none() {
        return Err(LoginCause::Enrolment("nobody is there who could issue certificates"));
    }
    if connect.will.is_some() {
        return Err(LoginCause::Enrolment("it has a will"));
    }
    let (entrance, chain) = (&arrival.origin.entrance, arrival.transport.peer_chain());
    let applicant = shared.gate.judge_applicant(now, entrance, chain, applying, connect)?;
    let assigned = match connect.client_id.is_empty() {
        true => Some(draw_client_id().ok_or(LoginCause::WorkerBusy)?),
        false => None,
    };
    let properties = ConnAckProperties {
        session_expiry: connect.properties.session_expiry.filter(|seconds| *seconds > 0).map(|_| 0),
        maximum_qos: Some(Qos::AtLeastOnce),
        retain_available: Some(false),
        maximum_packet_size: NonZeroU32::new(ENROLMENT_PACKET),
        assigned_client_id: assigned.as_ref().map(|id| id.as_str()),
        wildcard_subscription_available: Some(false),
        subscription_ids_available: Some(false),
        shared_subscription_available: Some(false),
        ..ConnAckProperties::default()
    };
    let ack = ConnAck { session_present: false, reason: ReasonCode::Success, properties };
    let welcome = encode(&Packet::ConnAck(ack), connect.version);
    Ok(Admitted { applicant, keep_alive: connect.keep_alive, welcome })
}

impl Door {
    /// Opens an enrolment link, or refuses it.
    pub(super) fn begin_enrolment(&mut self, id: LinkId, said: Said, admitted: Result<Admitted, LoginCause>) {
        let Admitted { applicant, keep_alive, welcome } = match admitted {
            Ok(admitted) => admitted,
            Err(cause) => return self.refuse(id, &said, cause),
        };
        let Some(arrival) = self.arrivals.get_mut(&id) else { return };
        if let Err(bound) = arrival.counted.identify(self.now.mono, &applicant.identity) {
            return self.refuse(id, &said, LoginCause::Crowded(bound));
        }
        arrival.connection.established(self.now.mono, keep_alive);
        let (is_subscribed, applications) = (false, 0);
        let enrolling = Enrolling { said, applicant, is_subscribed, applications, pending: None };
        arrival.stage = Stage::Enrolling(Box::new(enrolling));
        arrival.begun = self.now.mono;
        self.say(id, &welcome);
        self.serve_enrolment(id);
    }

    /// Goes through the packets that came on an enrolment link.
    pub(super) fn serve_enrolment(&mut self, id: LinkId) {
        self.go_through_packets(id);
        // Each packet keeps it alive for a while.
        self.arm(id);
    }

    fn go_through_packets(&mut self, id: LinkId) {
        loop {
            let Some(arrival) = self.arrivals.get_mut(&id) else { return };
            let Stage::Enrolling(enrolling) = &mut arrival.stage else { return };
            if enrolling.is_waiting() || arrival.plain.is_empty() {
                return;
            }
            let plain = std::mem::take(&mut arrival.plain);
            let (asked, size) = match arrival.connection.decode(self.now.mono, &plain) {
                Ok(Step::Incomplete { .. }) => {
                    arrival.plain = plain;
                    return;
                }
                Ok(Step::Packet { packet, size }) => (enrolling.hear(&packet), size),
                Err(refused) => return self.part(id, refused.farewell),
            };
            arrival.plain = Zeroizing::new(plain[size..].to_vec());
            match asked {
                Asked::Say(bytes) => self.say(id, &bytes),
                Asked::Apply { request, pending } => self.apply(id, request, pending),
                Asked::Leave => drop(self.remove(id)),
                Asked::Breach(reason, what) => self.breach(id, reason, what),
            }
        }
    }

    fn apply(&mut self, id: LinkId, request: Vec<u8>, pending: Pending) {
        let Some(arrival) = self.arrivals.get_mut(&id) else { return };
        let Stage::Enrolling(enrolling) = &mut arrival.stage else { return };
        let (wish, inbox) = (enrolling.wish(request), self.parts.inbox.clone());
        let answer = move |answer| inbox.command(DoorMessage::Answered(id, answer));
        let application = Application::new(enrolling.applicant.identity.clone(), arrival.peer, wish, answer);
        enrolling.pending = Some(pending);
        let applications = self.parts.shared.applications.as_ref();
        if !applications.is_some_and(|applications| applications.offer(application)) {
            self.breach(id, ReasonCode::ServerBusy, "too many devices apply at once; it comes again");
        }
    }

    /// Says what became of an application.
    pub(super) fn answer_application(&mut self, id: LinkId, answer: &Answer) {
        let Some(arrival) = self.arrivals.get_mut(&id) else { return };
        match &mut arrival.stage {
            Stage::Succeeding(_) => self.settle_succession(id),
            Stage::Enrolling(enrolling) => {
                let Some(pending) = enrolling.pending.take() else { return };
                let packets = enrolling.answer(&pending, &answer.0);
                self.say(id, &packets);
                self.serve_enrolment(id);
                // Its socket may have said something meanwhile, and does not say so twice.
                self.again.insert(id);
            }
            _ => {}
        }
    }

    fn say(&mut self, id: LinkId, packets: &[u8]) {
        let Some(arrival) = self.arrivals.get_mut(&id) else { return };
        let said = arrival.transport.seal(packets, &mut arrival.unsent).is_ok() && arrival.flush().is_ok();
        if !said || !self.charge(id) {
            drop(self.remove(id));
        }
    }

    /// Closes an enrolment link that wants what it cannot have, and tells people.
    fn breach(&mut self, id: LinkId, reason: ReasonCode, what: &'static str) {
        let Some(arrival) = self.arrivals.get(&id) else { return };
        let Stage::Enrolling(enrolling) = &arrival.stage else { return };
        let said = enrolling.said.clone();
        self.report_login(id, &said, LoginCause::Enrolment(what));
        self.part(id, farewell(said.version, reason));
    }

    /// Closes an enrolment link whose time is over.
    pub(super) fn end_enrolment(&mut self, id: LinkId) {
        let Some(arrival) = self.arrivals.get(&id) else { return };
        let reason = match arrival.connection.is_late(self.now.mono) {
            true => ReasonCode::KeepAliveTimeout,
            false => ReasonCode::MaximumConnectTime,
        };
        let farewell = arrival.connection.version().map(|version| farewell(version, reason));
        self.part(id, farewell.unwrap_or(Farewell::Silent));
    }
}

fn farewell(version: Version, reason: ReasonCode) -> Farewell {
    match version {
        Version::V5 => Farewell::Disconnect(reason),
        Version::V31 | Version::V311 => Farewell::Silent,
    }
}
