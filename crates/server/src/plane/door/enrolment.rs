//! The link of a device that applies for a certificate. It stays at the door and reaches no shard: so it has no session, no
//! will, and no topics but the two of enrolment, whatever the rules say.
//!
//! An application is answered when what the answer says is on disk; its PUBACK goes behind the answer. Until then nothing more
//! is read from the link. Everybody who logs in waits for the door, so such a link has a handful of packets for its whole life, and
//! what is answered to those that came together leaves in one record.

mod places;

use super::Door;
use super::arrival::{Arrival, Said, Stage};
use super::connect::draw_client_id;
use super::gate::applicant::{Applicant, Applying, Shown};
use super::{DoorMessage, DoorShared};
use crate::plane::enrolment::{ANSWER_TOPIC, Answer, Application, REQUEST_TOPIC, Wish};
use crate::plane::events::{LoginCause, Offender};
use crate::plane::limits::{
    APPLICATIONS_PER_LINK, ENROLMENT_ANSWER, ENROLMENT_BYTES, ENROLMENT_CORRELATION, ENROLMENT_PACKET,
    ENROLMENT_PACKETS,
};
use keyward_broker::LinkId;
use keyward_identity::{ClaimRefusal, Secret};
use keyward_ids::Identity;
use keyward_mqtt::codec;
use keyward_mqtt::connection::{Farewell, ServerConnection, Step};
use keyward_mqtt::packet::{
    Ack, ConnAck, Connect, Delivery, Packet, PacketId, Publish, Qos, ReasonCodes, SubAck, Subscribe,
    Unsubscribe, Version,
};
use keyward_mqtt::property::{AckProperties, ConnAckProperties, PublishProperties};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::Millis;
use keyward_mqtt::topic::TopicName;
use keyward_tpm::Expected;
use std::num::NonZeroU32;

/// Is an enrolment link.
pub(crate) struct Enrolling {
    said: Said,
    applicant: Applicant,
    /// Whether it wants to hear the answer.
    is_subscribed: bool,
    applications: usize,
    /// Packets that it sent.
    packets: u32,
    /// Bytes of a packet that it takes.
    packet_max: usize,
    /// Whose answer it waits for.
    pending: Option<Pending>,
    /// What the answer to its challenge must be. It is taken with the next request, whatever that says: none is guessed at twice.
    expected: Option<Box<Expected>>,
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
    /// Nothing but the answer that was written.
    Nothing,
    /// The application of the device.
    Apply { request: Vec<u8>, pending: Pending },
    /// The client leaves.
    Leave,
    /// What such a link cannot have.
    Breach(ReasonCode, &'static str),
    /// It broke the protocol.
    Part(Farewell),
}

/// Says how far the packets of a link were gone through.
struct Visit {
    /// Bytes that are done with.
    size: usize,
    /// What is answered.
    said: Vec<u8>,
    /// What the last packet asks for.
    asked: Asked,
}

impl Enrolling {
    /// Returns who applies.
    pub(crate) fn applicant(&self) -> &Applicant {
        &self.applicant
    }

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

    /// Goes through the packets in `plain` up to the first that asks for more than an answer.
    fn go_through(&mut self, now: Millis, connection: &mut ServerConnection, plain: &[u8]) -> Visit {
        let mut visit = Visit { size: 0, said: Vec::new(), asked: Asked::Nothing };
        while matches!(visit.asked, Asked::Nothing) && visit.size < plain.len() {
            match connection.decode(now, &plain[visit.size..]) {
                Ok(Step::Incomplete { need }) if need > ENROLMENT_PACKET as usize => {
                    let what = "its packet is larger than it was told to send";
                    visit.asked = Asked::Breach(ReasonCode::PacketTooLarge, what);
                }
                Ok(Step::Incomplete { .. }) => break,
                Ok(Step::Packet { packet, size }) => {
                    visit.asked = self.hear(&packet, &mut visit.said);
                    visit.size += size;
                }
                Err(refused) => visit.asked = Asked::Part(refused.farewell),
            }
        }
        visit
    }

    /// Says what a packet asks for, and writes the answer to it.
    fn hear(&mut self, packet: &Packet<'_>, said: &mut Vec<u8>) -> Asked {
        self.packets += 1;
        if self.packets > ENROLMENT_PACKETS {
            return Asked::Breach(ReasonCode::QuotaExceeded, "it sent too many packets");
        }
        let version = self.said.version;
        let answered = match packet {
            Packet::Publish(publish) => return self.hear_publish(publish),
            Packet::Subscribe(subscribe) => self.subscribe(subscribe, version, said),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(unsubscribe, version, said),
            Packet::PingReq => encode(&Packet::PingResp, version, said),
            Packet::Disconnect(_) => return Asked::Leave,
            _ => {
                return Asked::Breach(
                    ReasonCode::ProtocolError,
                    "it sent a packet that enrolment has no use for",
                );
            }
        };
        match answered {
            true => Asked::Nothing,
            // SUBACK of MQTT 3.1 has no word for a refusal.
            false => Asked::Breach(
                ReasonCode::NotAuthorized,
                "it subscribed to another topic than $keyward/enroll/answer, in a version of MQTT that cannot be told so",
            ),
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
        let correlation = publish.properties.correlation_data.map(<[u8]>::to_vec);
        if correlation.as_ref().is_some_and(|data| data.len() > ENROLMENT_CORRELATION) {
            return Asked::Breach(ReasonCode::PacketTooLarge, "its correlation data is too long");
        }
        self.applications += 1;
        if self.applications > APPLICATIONS_PER_LINK {
            return Asked::Breach(ReasonCode::QuotaExceeded, "it sent too many requests");
        }
        let pending = Pending { id: publish.delivery.id(), correlation };
        Asked::Apply { request: publish.payload.to_vec(), pending }
    }

    fn subscribe(&mut self, subscribe: &Subscribe<'_>, version: Version, said: &mut Vec<u8>) -> bool {
        let grant = |filter: &str| match filter == ANSWER_TOPIC {
            true => ReasonCode::Success, // QoS 0
            false => ReasonCode::NotAuthorized,
        };
        let reasons: Vec<ReasonCode> =
            subscribe.filters.into_iter().map(|(filter, _)| grant(filter)).collect();
        self.is_subscribed |= reasons.contains(&ReasonCode::Success);
        let (id, reasons) = (subscribe.id, ReasonCodes::List(&reasons));
        encode(&Packet::SubAck(SubAck { id, properties: AckProperties::default(), reasons }), version, said)
    }

    fn unsubscribe(&mut self, unsubscribe: &Unsubscribe<'_>, version: Version, said: &mut Vec<u8>) -> bool {
        let mut end = |filter: &str| match filter == ANSWER_TOPIC && std::mem::take(&mut self.is_subscribed) {
            true => ReasonCode::Success,
            false => ReasonCode::NoSubscriptionExisted,
        };
        let reasons: Vec<ReasonCode> = unsubscribe.filters.into_iter().map(&mut end).collect();
        let (id, reasons) = (unsubscribe.id, ReasonCodes::List(&reasons));
        encode(&Packet::UnsubAck(SubAck { id, properties: AckProperties::default(), reasons }), version, said)
    }

    fn wish(&mut self, request: Vec<u8>) -> Wish {
        let expected = self.expected.take();
        match self.applicant.shown.clone() {
            Shown::Code(code) => Wish::Claim { code, request, expected },
            Shown::Certificate(serial) => Wish::Renew { serial, request },
        }
    }

    /// Returns the packets that answer what is pending; `None` if the client cannot be told.
    fn answer(&self, pending: &Pending, payload: &[u8]) -> Option<Vec<u8>> {
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
        let mut packets = Vec::new();
        let is_told = !self.is_subscribed || encode(&Packet::Publish(publish), version, &mut packets);
        if !is_told || packets.len() > self.packet_max {
            return None;
        }
        if let Some(id) = pending.id {
            let ack = Ack { id, reason: ReasonCode::Success, properties: AckProperties::default() };
            encode(&Packet::PubAck(ack), version, &mut packets).then_some(())?;
        }
        Some(packets)
    }
}

/// Appends a packet; false if this version of MQTT has no words for it.
fn encode(packet: &Packet<'_>, version: Version, said: &mut Vec<u8>) -> bool {
    let before = said.len();
    let written = codec::encode(packet, version, said).is_ok();
    if !written {
        said.truncate(before);
    }
    written
}

/// Is what follows from the CONNECT of a device that may apply.
pub(super) struct Admitted {
    applicant: Applicant,
    keep_alive: u16,
    packet_max: usize,
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
    let packet_max = connect.properties.maximum_packet_size.map_or(u32::MAX, NonZeroU32::get);
    if packet_max < ENROLMENT_ANSWER {
        return Err(LoginCause::Enrolment("its Maximum Packet Size leaves no room for the answer"));
    }
    let (entrance, chain) = (&arrival.origin.entrance, arrival.transport.peer_chain());
    let applicant = shared.gate.judge_applicant(now, entrance, chain, applying, connect);
    let applicant = applicant.inspect_err(|cause| note_late(shared, arrival, cause, connect))?;
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
    let mut welcome = Vec::new();
    match encode(&Packet::ConnAck(ack), connect.version, &mut welcome) {
        true => Ok(Admitted {
            applicant,
            keep_alive: connect.keep_alive,
            packet_max: packet_max as usize,
            welcome,
        }),
        false => Err(LoginCause::Enrolment("its version of MQTT has no words for the welcome")),
    }
}

/// Has it written down that the right code came after its hour, once. If there is no place for that now, the next try tells.
fn note_late(shared: &DoorShared, arrival: &Arrival, cause: &LoginCause, connect: &Connect<'_>) {
    let (LoginCause::Claim(ClaimRefusal::Used { id, .. }), Some(code)) = (cause, connect.password) else {
        return;
    };
    if let (Some(applications), false) = (&shared.applications, shared.gate.is_conflict_known(id)) {
        let wish = Wish::Late { code: Secret::new(code.to_vec()) };
        let identity = Identity::Device(id.clone());
        applications.offer(Application::new(identity, arrival.peer, wish, |_| {}));
    }
}

impl Door {
    /// Opens an enrolment link, or refuses it.
    pub(super) fn begin_enrolment(&mut self, id: LinkId, said: Said, admitted: Result<Admitted, LoginCause>) {
        let Admitted { applicant, keep_alive, packet_max, welcome } = match admitted {
            Ok(admitted) => admitted,
            Err(cause) => return self.refuse(id, &said, cause),
        };
        if let Err(bound) = self.take_enrolment_place(&applicant.identity) {
            let who = Offender::Identity(applicant.identity.clone());
            self.report_limit(who, bound.name(), bound.value(&self.parts.shared.limits));
            return self.refuse(id, &said, LoginCause::Crowded(bound));
        }
        let Some(arrival) = self.arrivals.get_mut(&id) else { return };
        arrival.connection.established(self.now.mono, keep_alive);
        let enrolling = Enrolling {
            said,
            applicant,
            is_subscribed: false,
            applications: 0,
            packets: 0,
            packet_max,
            pending: None,
            expected: None,
        };
        arrival.stage = Stage::Enrolling(Box::new(enrolling));
        arrival.begun = self.now.mono;
        if self.say(id, &welcome) {
            self.serve_enrolment(id);
        }
    }

    /// Goes through the packets that came on an enrolment link.
    pub(super) fn serve_enrolment(&mut self, id: LinkId) {
        self.go_through_packets(id);
        // Each packet keeps it alive for a while.
        self.arm(id);
    }

    fn go_through_packets(&mut self, id: LinkId) {
        let Some(arrival) = self.arrivals.get_mut(&id) else { return };
        let Stage::Enrolling(enrolling) = &mut arrival.stage else { return };
        if enrolling.is_waiting() {
            return;
        }
        let Visit { size, said, asked } =
            enrolling.go_through(self.now.mono, &mut arrival.connection, &arrival.plain);
        arrival.plain.drain(..size);
        if !said.is_empty() && !self.say(id, &said) {
            return;
        }
        match asked {
            Asked::Nothing => {}
            Asked::Apply { request, pending } => self.apply(id, request, pending),
            Asked::Leave => drop(self.remove(id)),
            Asked::Breach(reason, what) => self.breach(id, reason, what),
            Asked::Part(farewell) => self.part(id, farewell),
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
    pub(super) fn answer_application(&mut self, id: LinkId, answer: Answer) {
        let Some(arrival) = self.arrivals.get_mut(&id) else { return };
        match &mut arrival.stage {
            Stage::Succeeding(_) => self.settle_succession(id),
            Stage::Enrolling(enrolling) => {
                let Some(pending) = enrolling.pending.take() else { return };
                enrolling.expected = answer.expected;
                let Some(packets) = enrolling.answer(&pending, &answer.payload) else {
                    let what = "the answer is larger than its Maximum Packet Size";
                    return self.breach(id, ReasonCode::PacketTooLarge, what);
                };
                if !self.say(id, &packets) {
                    return;
                }
                self.serve_enrolment(id);
                // Its socket may have said something meanwhile, and does not say so twice.
                self.again.insert(id);
            }
            _ => {}
        }
    }

    /// Sends packets; false if that was the end of the link.
    fn say(&mut self, id: LinkId, packets: &[u8]) -> bool {
        let Some(arrival) = self.arrivals.get_mut(&id) else { return false };
        let said = arrival.transport.seal(packets, &mut arrival.unsent).is_ok() && arrival.flush().is_ok();
        let goes_on = said && self.charge(id);
        if !goes_on {
            drop(self.remove(id));
        }
        goes_on
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
