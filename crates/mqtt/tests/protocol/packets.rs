//! Makes packets of any kind from a string of random bytes, so that a failing one shrinks with the string.

use keyward_mqtt::codec::{Sender, decode};
use keyward_mqtt::frame::PacketType;
use keyward_mqtt::packet::*;
use keyward_mqtt::property::*;
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::topic::TopicName;
use proptest::prelude::*;
use std::num::{NonZeroU16, NonZeroU32};

/// Is a packet with the link that it is sent on.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) version: Version,
    pub(crate) sender: Sender,
    pub(crate) packet: Packet<'static>,
}

/// Generates packets that the codec must be able to carry, for both versions and both sides.
pub(crate) fn any_packet() -> impl Strategy<Value = Sent> {
    proptest::collection::vec(any::<u8>(), 0..200).prop_map(|bytes| Source(bytes.into_iter()).sent())
}

/// Generates packets that may follow CONNECT from a client of this version.
pub(crate) fn any_client_packet(version: Version) -> impl Strategy<Value = Packet<'static>> {
    proptest::collection::vec(any::<u8>(), 0..120).prop_map(move |bytes| {
        let mut source = Source(bytes.into_iter());
        let kinds = [3, 4, 5, 6, 7, 8, 10, 12];
        let kind = kinds[source.below(kinds.len())];
        let mut packet = source.packet(version, Sender::Client, kind);
        if let Packet::Publish(publish) = &mut packet {
            // The server allows no alias.
            publish.properties.topic_alias = None;
            publish.topic = publish.topic.or(Some(TopicName::parse("t").unwrap()));
        }
        packet
    })
}

const TEXTS: &[&str] =
    &["", "a", "dev01/status", "ä€😀", "\u{1}\u{202e}\u{feff}", "0123456789012345678901234567890"];
const TOPICS: &[&str] = &["a", "/", "dev01/status", "$SYS/x", "ä/€"];
const BLOBS: &[&[u8]] = &[b"", b"\0", b"\xff\xc0", &[7; 300]];

struct Source(std::vec::IntoIter<u8>);

impl Source {
    fn byte(&mut self) -> u8 {
        self.0.next().unwrap_or(0)
    }
    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }
    fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }
    fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }
    fn u32(&mut self) -> u32 {
        u32::from(self.u16()) << 16 | u32::from(self.u16())
    }
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| make(self))
    }
    fn text(&mut self) -> &'static str {
        self.pick(TEXTS)
    }
    fn topic(&mut self) -> TopicName<'static> {
        TopicName::parse(self.pick(TOPICS)).unwrap()
    }
    fn blob(&mut self) -> &'static [u8] {
        self.pick(BLOBS)
    }
    fn non_zero_16(&mut self) -> NonZeroU16 {
        NonZeroU16::new(self.u16()).unwrap_or(NonZeroU16::MIN)
    }
    fn non_zero_32(&mut self) -> NonZeroU32 {
        NonZeroU32::new(self.u32()).unwrap_or(NonZeroU32::MIN)
    }
    fn subscription_id(&mut self) -> NonZeroU32 {
        NonZeroU32::new(self.u32() >> self.pick(&[4, 11, 18, 25])).unwrap_or(NonZeroU32::MIN)
    }
    fn id(&mut self) -> PacketId {
        PacketId(self.non_zero_16())
    }
    fn qos(&mut self) -> Qos {
        self.pick(&[Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce])
    }
    fn list<T>(&mut self, least: usize, mut make: impl FnMut(&mut Self) -> T) -> &'static [T] {
        let len = least + self.below(3);
        (0..len).map(|_| make(self)).collect::<Vec<_>>().leak()
    }
    fn user(&mut self) -> UserProperties<'static> {
        UserProperties::List(self.list(0, |s| (s.text(), s.text())))
    }
    /// Returns a code that the decoder takes here; `codec_tables` checks which these are.
    fn code(&mut self, kind: PacketType, sender: Sender) -> ReasonCode {
        let body = |code: u8| match kind {
            PacketType::ConnAck => vec![0x20, 3, 0, code, 0],
            PacketType::SubAck | PacketType::UnsubAck => vec![(kind as u8) << 4, 4, 0, 1, 0, code],
            PacketType::Disconnect => vec![0xE0, 1, code],
            PacketType::Auth => vec![0xF0, 6, code, 4, 0x15, 0, 1, b'm'],
            PacketType::PubRel => vec![0x62, 3, 0, 1, code],
            _ => vec![(kind as u8) << 4, 3, 0, 1, code],
        };
        let allowed: Vec<u8> =
            (0..=255).filter(|&code| decode(Version::V5, sender, &body(code)).is_ok()).collect();
        ReasonCode::from_byte(self.pick(&allowed)).unwrap()
    }

    fn sent(&mut self) -> Sent {
        let version = self.pick(&[Version::V5, Version::V311, Version::V31]);
        let sender = self.pick(&[Sender::Client, Sender::Server]);
        let kinds: &[u8] = match (sender, version) {
            (Sender::Client, Version::V31 | Version::V311) => &[1, 3, 4, 5, 6, 7, 8, 10, 12, 14],
            (Sender::Client, Version::V5) => &[1, 3, 4, 5, 6, 7, 8, 10, 12, 14, 15],
            (Sender::Server, Version::V31 | Version::V311) => &[2, 3, 4, 5, 6, 7, 9, 11, 13],
            (Sender::Server, Version::V5) => &[2, 3, 4, 5, 6, 7, 9, 11, 13, 14, 15],
        };
        let kind = self.pick(kinds);
        Sent { version, sender, packet: self.packet(version, sender, kind) }
    }

    fn packet(&mut self, version: Version, sender: Sender, kind: u8) -> Packet<'static> {
        let v5 = version == Version::V5;
        match kind {
            1 => Packet::Connect(self.connect(version)),
            2 => Packet::ConnAck(self.connack(version)),
            3 => Packet::Publish(self.publish(v5, sender)),
            4 => Packet::PubAck(self.ack(v5, PacketType::PubAck, sender)),
            5 => Packet::PubRec(self.ack(v5, PacketType::PubRec, sender)),
            6 => Packet::PubRel(self.ack(v5, PacketType::PubRel, sender)),
            7 => Packet::PubComp(self.ack(v5, PacketType::PubComp, sender)),
            8 => Packet::Subscribe(self.subscribe(v5)),
            9 => Packet::SubAck(self.suback(version)),
            10 => Packet::Unsubscribe(self.unsubscribe(v5)),
            11 => Packet::UnsubAck(self.unsuback(v5)),
            12 => Packet::PingReq,
            13 => Packet::PingResp,
            14 => Packet::Disconnect(self.disconnect(v5, sender)),
            _ => Packet::Auth(self.auth(sender)),
        }
    }

    fn connect(&mut self, version: Version) -> Connect<'static> {
        let v5 = version == Version::V5;
        let clean_start = self.flag();
        let username = self.maybe(Self::text);
        Connect {
            version,
            clean_start,
            keep_alive: self.u16(),
            client_id: if v5 || (clean_start && version == Version::V311) { self.text() } else { "dev01" },
            will: self.maybe(|s| s.will(v5)),
            username,
            password: if v5 || username.is_some() { self.maybe(Self::blob) } else { None },
            properties: if v5 { self.connect_properties() } else { ConnectProperties::default() },
        }
    }

    fn connect_properties(&mut self) -> ConnectProperties<'static> {
        let authentication_method = self.maybe(Self::text);
        ConnectProperties {
            session_expiry: self.maybe(Self::u32),
            receive_maximum: self.maybe(Self::non_zero_16),
            maximum_packet_size: self.maybe(Self::non_zero_32),
            topic_alias_maximum: self.maybe(Self::u16),
            request_response_information: self.maybe(Self::flag),
            request_problem_information: self.maybe(Self::flag),
            user: self.user(),
            authentication_method,
            authentication_data: authentication_method.and_then(|_| self.maybe(Self::blob)),
        }
    }

    fn will(&mut self, v5: bool) -> Will<'static> {
        let mut properties = WillProperties::default();
        if v5 {
            properties = WillProperties {
                delay: self.maybe(Self::u32),
                payload_format: self.maybe(Self::flag),
                message_expiry: self.maybe(Self::u32),
                content_type: self.maybe(Self::text),
                response_topic: self.maybe(|s| s.topic().as_str()),
                correlation_data: self.maybe(Self::blob),
                user: self.user(),
            };
        }
        Will { topic: self.topic(), payload: self.blob(), qos: self.qos(), retain: self.flag(), properties }
    }

    fn connack(&mut self, version: Version) -> ConnAck<'static> {
        if !version.is_v5() {
            use ReasonCode as R;
            let reason = self.pick(&[
                R::Success,
                R::UnsupportedProtocolVersion,
                R::ClientIdentifierNotValid,
                R::ServerUnavailable,
                R::BadUserNameOrPassword,
                R::NotAuthorized,
            ]);
            let session_present = reason == R::Success && version == Version::V311 && self.flag();
            return ConnAck { session_present, reason, properties: ConnAckProperties::default() };
        }
        let reason = self.code(PacketType::ConnAck, Sender::Server);
        let properties = ConnAckProperties {
            session_expiry: self.maybe(Self::u32),
            receive_maximum: self.maybe(Self::non_zero_16),
            maximum_qos: self.maybe(|s| s.pick(&[Qos::AtMostOnce, Qos::AtLeastOnce])),
            retain_available: self.maybe(Self::flag),
            maximum_packet_size: self.maybe(Self::non_zero_32),
            assigned_client_id: self.maybe(Self::text),
            topic_alias_maximum: self.maybe(Self::u16),
            reason_string: self.maybe(Self::text),
            user: self.user(),
            wildcard_subscription_available: self.maybe(Self::flag),
            subscription_ids_available: self.maybe(Self::flag),
            shared_subscription_available: self.maybe(Self::flag),
            server_keep_alive: self.maybe(Self::u16),
            response_information: self.maybe(Self::text),
            server_reference: self.maybe(Self::text),
            authentication_method: self.maybe(Self::text),
            authentication_data: self.maybe(Self::blob),
        };
        ConnAck { session_present: reason == ReasonCode::Success && self.flag(), reason, properties }
    }

    fn publish(&mut self, v5: bool, sender: Sender) -> Publish<'static> {
        let id = self.id();
        let delivery =
            self.pick(&[Delivery::AtMostOnce, Delivery::AtLeastOnce(id), Delivery::ExactlyOnce(id)]);
        let mut properties = PublishProperties::default();
        if v5 {
            properties = PublishProperties {
                payload_format: self.maybe(Self::flag),
                message_expiry: self.maybe(Self::u32),
                topic_alias: self.maybe(Self::non_zero_16),
                response_topic: self.maybe(|s| s.topic().as_str()),
                correlation_data: self.maybe(Self::blob),
                user: self.user(),
                subscription_ids: match sender {
                    Sender::Client => SubscriptionIds::None,
                    Sender::Server => SubscriptionIds::List(self.list(0, Self::subscription_id)),
                },
                content_type: self.maybe(Self::text),
            };
        }
        let has_alias = properties.topic_alias.is_some();
        Publish {
            dup: delivery != Delivery::AtMostOnce && self.flag(),
            delivery,
            retain: self.flag(),
            topic: if has_alias { self.maybe(Self::topic) } else { Some(self.topic()) },
            properties,
            payload: self.blob(),
        }
    }

    fn ack_properties(&mut self, v5: bool) -> AckProperties<'static> {
        if !v5 {
            return AckProperties::default();
        }
        AckProperties { reason_string: self.maybe(Self::text), user: self.user() }
    }

    fn ack(&mut self, v5: bool, kind: PacketType, sender: Sender) -> Ack<'static> {
        Ack {
            id: self.id(),
            reason: if v5 { self.code(kind, sender) } else { ReasonCode::Success },
            properties: self.ack_properties(v5),
        }
    }

    fn subscribe(&mut self, v5: bool) -> Subscribe<'static> {
        let mut properties = SubscribeProperties::default();
        if v5 {
            let subscription_id = self.maybe(Self::subscription_id);
            properties = SubscribeProperties { subscription_id, user: self.user() };
        }
        let filters = self.list(1, |s| {
            let mut options = SubscribeOptions { qos: s.qos(), ..SubscribeOptions::default() };
            if v5 {
                options.no_local = s.flag();
                options.retain_as_published = s.flag();
                options.retain_handling =
                    s.pick(&[RetainHandling::Always, RetainHandling::IfNew, RetainHandling::Never]);
            }
            (s.text(), options)
        });
        Subscribe { id: self.id(), properties, filters: SubscribeFilters::List(filters) }
    }

    fn suback(&mut self, version: Version) -> SubAck<'static> {
        let reasons = self.list(1, |s| match (version, s.code(PacketType::SubAck, Sender::Server)) {
            (Version::V31, code) if code.is_failure() => ReasonCode::GrantedQos1,
            (Version::V311, code) if code.is_failure() => ReasonCode::UnspecifiedError,
            (_, code) => code,
        });
        SubAck {
            id: self.id(),
            properties: self.ack_properties(version.is_v5()),
            reasons: ReasonCodes::List(reasons),
        }
    }

    fn unsubscribe(&mut self, v5: bool) -> Unsubscribe<'static> {
        let user = if v5 { self.user() } else { UserProperties::None };
        let filters = UnsubscribeFilters::List(self.list(1, Self::text));
        Unsubscribe { id: self.id(), properties: UnsubscribeProperties { user }, filters }
    }

    fn unsuback(&mut self, v5: bool) -> SubAck<'static> {
        let least = usize::from(v5);
        let reasons =
            if v5 { self.list(least, |s| s.code(PacketType::UnsubAck, Sender::Server)) } else { &[] };
        SubAck { id: self.id(), properties: self.ack_properties(v5), reasons: ReasonCodes::List(reasons) }
    }

    fn disconnect(&mut self, v5: bool, sender: Sender) -> Disconnect<'static> {
        if !v5 {
            return Disconnect { reason: ReasonCode::Success, properties: DisconnectProperties::default() };
        }
        let mut properties = DisconnectProperties {
            session_expiry: None,
            reason_string: self.maybe(Self::text),
            user: self.user(),
            server_reference: None,
        };
        match sender {
            Sender::Client => properties.session_expiry = self.maybe(Self::u32),
            Sender::Server => properties.server_reference = self.maybe(Self::text),
        }
        Disconnect { reason: self.code(PacketType::Disconnect, sender), properties }
    }

    fn auth(&mut self, sender: Sender) -> Auth<'static> {
        Auth {
            reason: self.code(PacketType::Auth, sender),
            properties: AuthProperties {
                authentication_method: Some(self.text()),
                authentication_data: self.maybe(Self::blob),
                reason_string: self.maybe(Self::text),
                user: self.user(),
            },
        }
    }
}
