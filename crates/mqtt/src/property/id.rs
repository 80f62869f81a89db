//! The identifiers of properties and the shape of their values (MQTT 5.0, table 2-4).

use core::fmt;

/// Is the shape of a property's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Byte,
    TwoBytes,
    FourBytes,
    VarInt,
    Text,
    TextPair,
    Binary,
}

macro_rules! property_ids {
    ($($name:ident = $id:literal, $shape:ident, $text:literal;)*) => {
        /// Identifies a property (MQTT 5.0, table 2-4).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum PropertyId {
            $(
                #[doc = concat!("The property \"", $text, "\".")]
                $name = $id,
            )*
        }

        impl PropertyId {
            /// Holds every identifier that the standard assigns.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns the property of this number, if there is one.
            pub fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($id => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Returns the standard's name for the property.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            pub(crate) fn shape(self) -> Shape {
                match self {
                    $(Self::$name => Shape::$shape,)*
                }
            }
        }
    };
}

property_ids! {
    PayloadFormatIndicator = 0x01, Byte, "payload format indicator";
    MessageExpiryInterval = 0x02, FourBytes, "message expiry interval";
    ContentType = 0x03, Text, "content type";
    ResponseTopic = 0x08, Text, "response topic";
    CorrelationData = 0x09, Binary, "correlation data";
    SubscriptionIdentifier = 0x0B, VarInt, "subscription identifier";
    SessionExpiryInterval = 0x11, FourBytes, "session expiry interval";
    AssignedClientIdentifier = 0x12, Text, "assigned client identifier";
    ServerKeepAlive = 0x13, TwoBytes, "server keep alive";
    AuthenticationMethod = 0x15, Text, "authentication method";
    AuthenticationData = 0x16, Binary, "authentication data";
    RequestProblemInformation = 0x17, Byte, "request problem information";
    WillDelayInterval = 0x18, FourBytes, "will delay interval";
    RequestResponseInformation = 0x19, Byte, "request response information";
    ResponseInformation = 0x1A, Text, "response information";
    ServerReference = 0x1C, Text, "server reference";
    ReasonString = 0x1F, Text, "reason string";
    ReceiveMaximum = 0x21, TwoBytes, "receive maximum";
    TopicAliasMaximum = 0x22, TwoBytes, "topic alias maximum";
    TopicAlias = 0x23, TwoBytes, "topic alias";
    MaximumQos = 0x24, Byte, "maximum QoS";
    RetainAvailable = 0x25, Byte, "retain available";
    UserProperty = 0x26, TextPair, "user property";
    MaximumPacketSize = 0x27, FourBytes, "maximum packet size";
    WildcardSubscriptionAvailable = 0x28, Byte, "wildcard subscription available";
    SubscriptionIdentifierAvailable = 0x29, Byte, "subscription identifier available";
    SharedSubscriptionAvailable = 0x2A, Byte, "shared subscription available";
}

impl fmt::Display for PropertyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
