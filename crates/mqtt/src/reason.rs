//! Reason codes of MQTT 5.0 (chapter 2.4), which serve 3.1.1 too: the encoder translates.

macro_rules! reason_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// Is the result of an operation (MQTT 5.0, table 2-6). 0x00 is [`ReasonCode::Success`], which is also
        /// "normal disconnection" and "granted QoS 0".
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum ReasonCode {
            $($(#[$doc])* $name = $code,)*
        }

        impl ReasonCode {
            /// Returns the code of this byte, if there is one.
            pub fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Returns the standard's words for the code.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

reason_codes! {
    /// Success, normal disconnection, granted QoS 0.
    Success = 0x00, "success";
    /// Granted QoS 1.
    GrantedQos1 = 0x01, "granted QoS 1";
    /// Granted QoS 2.
    GrantedQos2 = 0x02, "granted QoS 2";
    /// Disconnect with will message.
    DisconnectWithWill = 0x04, "disconnect with will message";
    /// No matching subscribers.
    NoMatchingSubscribers = 0x10, "no matching subscribers";
    /// No subscription existed.
    NoSubscriptionExisted = 0x11, "no subscription existed";
    /// Continue authentication.
    ContinueAuthentication = 0x18, "continue authentication";
    /// Re-authenticate.
    ReAuthenticate = 0x19, "re-authenticate";
    /// Unspecified error.
    UnspecifiedError = 0x80, "unspecified error";
    /// Malformed packet.
    MalformedPacket = 0x81, "malformed packet";
    /// Protocol error.
    ProtocolError = 0x82, "protocol error";
    /// Implementation specific error.
    ImplementationSpecificError = 0x83, "implementation specific error";
    /// Unsupported protocol version.
    UnsupportedProtocolVersion = 0x84, "unsupported protocol version";
    /// Client identifier not valid.
    ClientIdentifierNotValid = 0x85, "client identifier not valid";
    /// Bad user name or password.
    BadUserNameOrPassword = 0x86, "bad user name or password";
    /// Not authorized.
    NotAuthorized = 0x87, "not authorized";
    /// Server unavailable.
    ServerUnavailable = 0x88, "server unavailable";
    /// Server busy.
    ServerBusy = 0x89, "server busy";
    /// Banned.
    Banned = 0x8A, "banned";
    /// Server shutting down.
    ServerShuttingDown = 0x8B, "server shutting down";
    /// Bad authentication method.
    BadAuthenticationMethod = 0x8C, "bad authentication method";
    /// Keep alive timeout.
    KeepAliveTimeout = 0x8D, "keep alive timeout";
    /// Session taken over.
    SessionTakenOver = 0x8E, "session taken over";
    /// Topic filter invalid.
    TopicFilterInvalid = 0x8F, "topic filter invalid";
    /// Topic name invalid.
    TopicNameInvalid = 0x90, "topic name invalid";
    /// Packet identifier in use.
    PacketIdentifierInUse = 0x91, "packet identifier in use";
    /// Packet identifier not found.
    PacketIdentifierNotFound = 0x92, "packet identifier not found";
    /// Receive maximum exceeded.
    ReceiveMaximumExceeded = 0x93, "receive maximum exceeded";
    /// Topic alias invalid.
    TopicAliasInvalid = 0x94, "topic alias invalid";
    /// Packet too large.
    PacketTooLarge = 0x95, "packet too large";
    /// Message rate too high.
    MessageRateTooHigh = 0x96, "message rate too high";
    /// Quota exceeded.
    QuotaExceeded = 0x97, "quota exceeded";
    /// Administrative action.
    AdministrativeAction = 0x98, "administrative action";
    /// Payload format invalid.
    PayloadFormatInvalid = 0x99, "payload format invalid";
    /// Retain not supported.
    RetainNotSupported = 0x9A, "retain not supported";
    /// QoS not supported.
    QosNotSupported = 0x9B, "QoS not supported";
    /// Use another server.
    UseAnotherServer = 0x9C, "use another server";
    /// Server moved.
    ServerMoved = 0x9D, "server moved";
    /// Shared subscriptions not supported.
    SharedSubscriptionsNotSupported = 0x9E, "shared subscriptions not supported";
    /// Connection rate exceeded.
    ConnectionRateExceeded = 0x9F, "connection rate exceeded";
    /// Maximum connect time.
    MaximumConnectTime = 0xA0, "maximum connect time";
    /// Subscription identifiers not supported.
    SubscriptionIdentifiersNotSupported = 0xA1, "subscription identifiers not supported";
    /// Wildcard subscriptions not supported.
    WildcardSubscriptionsNotSupported = 0xA2, "wildcard subscriptions not supported";
}

impl ReasonCode {
    /// Tells whether the code says that something failed (0x80 and above).
    pub fn is_failure(self) -> bool {
        self as u8 >= 0x80
    }
}
