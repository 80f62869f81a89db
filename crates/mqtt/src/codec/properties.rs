//! The property sections (chapter 2.2.2): which packet carries which properties, as one table.

use super::read::Reader;
use super::write::{Count, Sink};
use super::{EncodeError, VARINT_MAX, Violation};
use crate::packet::{Qos, Version};
use crate::property::{
    AckProperties, AuthProperties, ConnAckProperties, ConnectProperties, DisconnectProperties, PropertyId,
    PublishProperties, Shape, SubscribeProperties, SubscriptionIds, UnsubscribeProperties, UserProperties,
    WillProperties,
};
use crate::topic::TopicName;
use core::num::{NonZeroU16, NonZeroU32};

/// Is the properties of one packet.
pub(super) trait PropertySet<'a>: Default {
    /// Takes in one property, whose identifier was read; `section` is all of them.
    fn read_one(
        &mut self,
        id: PropertyId,
        section: &'a [u8],
        reader: &mut Reader<'a>,
    ) -> Result<(), Violation>;

    /// Writes those that are present, without a length.
    fn write_each(&self, sink: &mut impl Sink) -> Result<(), EncodeError>;
}

/// Reads a property section; 3.1.1 has none.
pub(super) fn read<'a, P: PropertySet<'a>>(
    version: Version,
    reader: &mut Reader<'a>,
) -> Result<P, Violation> {
    let mut set = P::default();
    if !version.is_v5() {
        return Ok(set);
    }
    let section = reader.section()?;
    let mut values = Reader::new(section);
    while !values.is_empty() {
        let id = values.property_id()?;
        set.read_one(id, section, &mut values)?;
    }
    Ok(set)
}

/// Writes a property section; 3.1.1 has none.
pub(super) fn write<'a>(
    set: &impl PropertySet<'a>,
    version: Version,
    sink: &mut impl Sink,
) -> Result<(), EncodeError> {
    if !version.is_v5() {
        return Ok(());
    }
    let mut count = Count::default();
    set.write_each(&mut count)?;
    sink.varint(count.0)?;
    set.write_each(sink)
}

/// Is a property or a list of properties inside a set.
trait Field<'a> {
    fn read(&mut self, id: PropertyId, section: &'a [u8], reader: &mut Reader<'a>) -> Result<(), Violation>;
    fn write(&self, id: PropertyId, sink: &mut impl Sink) -> Result<(), EncodeError>;
}

impl<'a, T: Value<'a>> Field<'a> for Option<T> {
    fn read(&mut self, id: PropertyId, _section: &'a [u8], reader: &mut Reader<'a>) -> Result<(), Violation> {
        if self.is_some() {
            return Err(Violation::RepeatedProperty(id));
        }
        *self = Some(T::read(id, reader)?);
        Ok(())
    }

    fn write(&self, id: PropertyId, sink: &mut impl Sink) -> Result<(), EncodeError> {
        let Some(value) = self else { return Ok(()) };
        sink.u8(id as u8);
        value.write(id, sink)
    }
}

impl<'a> Field<'a> for UserProperties<'a> {
    fn read(&mut self, _id: PropertyId, section: &'a [u8], reader: &mut Reader<'a>) -> Result<(), Violation> {
        reader.text()?;
        reader.text()?;
        *self = Self::Raw(section);
        Ok(())
    }

    fn write(&self, id: PropertyId, sink: &mut impl Sink) -> Result<(), EncodeError> {
        for (name, value) in self {
            sink.u8(id as u8);
            sink.text(name)?;
            sink.text(value)?;
        }
        Ok(())
    }
}

impl<'a> Field<'a> for SubscriptionIds<'a> {
    fn read(&mut self, id: PropertyId, section: &'a [u8], reader: &mut Reader<'a>) -> Result<(), Violation> {
        NonZeroU32::read(id, reader)?;
        *self = Self::Raw(section);
        Ok(())
    }

    fn write(&self, id: PropertyId, sink: &mut impl Sink) -> Result<(), EncodeError> {
        for value in self {
            sink.u8(id as u8);
            value.write(id, sink)?;
        }
        Ok(())
    }
}

/// Is the value of one property.
trait Value<'a>: Sized {
    fn read(id: PropertyId, reader: &mut Reader<'a>) -> Result<Self, Violation>;
    fn write(&self, id: PropertyId, sink: &mut impl Sink) -> Result<(), EncodeError>;
}

impl Value<'_> for bool {
    fn read(id: PropertyId, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        match reader.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Violation::PropertyValue(id)),
        }
    }

    fn write(&self, _id: PropertyId, sink: &mut impl Sink) -> Result<(), EncodeError> {
        sink.u8(u8::from(*self));
        Ok(())
    }
}

/// Maximum QoS is 0 or 1: a server that takes QoS 2 leaves the property out (chapter 3.2.2.3.4).
impl Value<'_> for Qos {
    fn read(id: PropertyId, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        match reader.u8()? {
            0 => Ok(Self::AtMostOnce),
            1 => Ok(Self::AtLeastOnce),
            _ => Err(Violation::PropertyValue(id)),
        }
    }

    fn write(&self, id: PropertyId, sink: &mut impl Sink) -> Result<(), EncodeError> {
        if *self == Self::ExactlyOnce {
            return Err(EncodeError::PropertyValue(id));
        }
        sink.u8(*self as u8);
        Ok(())
    }
}

impl Value<'_> for u16 {
    fn read(_id: PropertyId, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        reader.u16()
    }

    fn write(&self, _id: PropertyId, sink: &mut impl Sink) -> Result<(), EncodeError> {
        sink.u16(*self);
        Ok(())
    }
}

impl Value<'_> for u32 {
    fn read(_id: PropertyId, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        reader.u32()
    }

    fn write(&self, _id: PropertyId, sink: &mut impl Sink) -> Result<(), EncodeError> {
        sink.u32(*self);
        Ok(())
    }
}

impl Value<'_> for NonZeroU16 {
    fn read(id: PropertyId, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Self::new(reader.u16()?).ok_or(match id {
            PropertyId::TopicAlias => Violation::TopicAlias,
            _ => Violation::PropertyValue(id),
        })
    }

    fn write(&self, _id: PropertyId, sink: &mut impl Sink) -> Result<(), EncodeError> {
        sink.u16(self.get());
        Ok(())
    }
}

impl Value<'_> for NonZeroU32 {
    fn read(id: PropertyId, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        let value = match id.shape() {
            Shape::VarInt => reader.varint()?,
            _ => reader.u32()?,
        };
        Self::new(value).ok_or(Violation::PropertyValue(id))
    }

    fn write(&self, id: PropertyId, sink: &mut impl Sink) -> Result<(), EncodeError> {
        match id.shape() {
            Shape::VarInt if self.get() > VARINT_MAX => return Err(EncodeError::PropertyValue(id)),
            Shape::VarInt => sink.varint(self.get() as usize)?,
            _ => sink.u32(self.get()),
        }
        Ok(())
    }
}

impl<'a> Value<'a> for &'a str {
    fn read(id: PropertyId, reader: &mut Reader<'a>) -> Result<Self, Violation> {
        let text = reader.text()?;
        // [MQTT-3.3.2-14]: a response topic holds no wildcard.
        if id == PropertyId::ResponseTopic && TopicName::parse(text).is_err() {
            return Err(Violation::PropertyValue(id));
        }
        Ok(text)
    }

    fn write(&self, id: PropertyId, sink: &mut impl Sink) -> Result<(), EncodeError> {
        if id == PropertyId::ResponseTopic && TopicName::parse(self).is_err() {
            return Err(EncodeError::PropertyValue(id));
        }
        sink.text(self)
    }
}

impl<'a> Value<'a> for &'a [u8] {
    fn read(_id: PropertyId, reader: &mut Reader<'a>) -> Result<Self, Violation> {
        reader.binary()
    }

    fn write(&self, _id: PropertyId, sink: &mut impl Sink) -> Result<(), EncodeError> {
        sink.binary(self)
    }
}

macro_rules! property_sets {
    ($($set:ident { $($field:ident: $id:ident,)* })*) => {
        $(impl<'a> PropertySet<'a> for $set<'a> {
            fn read_one(
                &mut self,
                id: PropertyId,
                section: &'a [u8],
                reader: &mut Reader<'a>,
            ) -> Result<(), Violation> {
                match id {
                    $(PropertyId::$id => self.$field.read(id, section, reader),)*
                    _ => Err(Violation::MisplacedProperty(id)),
                }
            }

            fn write_each(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
                $(self.$field.write(PropertyId::$id, sink)?;)*
                Ok(())
            }
        })*
    };
}

// MQTT 5.0, table 2-4, turned by packet. The order is the order on the wire.
property_sets! {
    ConnectProperties {
        session_expiry: SessionExpiryInterval,
        receive_maximum: ReceiveMaximum,
        maximum_packet_size: MaximumPacketSize,
        topic_alias_maximum: TopicAliasMaximum,
        request_response_information: RequestResponseInformation,
        request_problem_information: RequestProblemInformation,
        user: UserProperty,
        authentication_method: AuthenticationMethod,
        authentication_data: AuthenticationData,
    }
    WillProperties {
        delay: WillDelayInterval,
        payload_format: PayloadFormatIndicator,
        message_expiry: MessageExpiryInterval,
        content_type: ContentType,
        response_topic: ResponseTopic,
        correlation_data: CorrelationData,
        user: UserProperty,
    }
    ConnAckProperties {
        session_expiry: SessionExpiryInterval,
        receive_maximum: ReceiveMaximum,
        maximum_qos: MaximumQos,
        retain_available: RetainAvailable,
        maximum_packet_size: MaximumPacketSize,
        assigned_client_id: AssignedClientIdentifier,
        topic_alias_maximum: TopicAliasMaximum,
        reason_string: ReasonString,
        user: UserProperty,
        wildcard_subscription_available: WildcardSubscriptionAvailable,
        subscription_ids_available: SubscriptionIdentifierAvailable,
        shared_subscription_available: SharedSubscriptionAvailable,
        server_keep_alive: ServerKeepAlive,
        response_information: ResponseInformation,
        server_reference: ServerReference,
        authentication_method: AuthenticationMethod,
        authentication_data: AuthenticationData,
    }
    PublishProperties {
        payload_format: PayloadFormatIndicator,
        message_expiry: MessageExpiryInterval,
        topic_alias: TopicAlias,
        response_topic: ResponseTopic,
        correlation_data: CorrelationData,
        user: UserProperty,
        subscription_ids: SubscriptionIdentifier,
        content_type: ContentType,
    }
    AckProperties {
        reason_string: ReasonString,
        user: UserProperty,
    }
    SubscribeProperties {
        subscription_id: SubscriptionIdentifier,
        user: UserProperty,
    }
    UnsubscribeProperties {
        user: UserProperty,
    }
    DisconnectProperties {
        session_expiry: SessionExpiryInterval,
        reason_string: ReasonString,
        user: UserProperty,
        server_reference: ServerReference,
    }
    AuthProperties {
        authentication_method: AuthenticationMethod,
        authentication_data: AuthenticationData,
        reason_string: ReasonString,
        user: UserProperty,
    }
}
