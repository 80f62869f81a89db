//! Packets as owned values without what does not matter to the model, and how they read in a trace.

use crate::event::MessageNo;
use core::fmt;
use keyward_mqtt::packet::{Qos, SubscribeOptions, Version};
use keyward_mqtt::reason::ReasonCode;

/// Is what a CONNECT says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// In which version.
    pub version: Version,
    /// Clean Session of 3.1 and 3.1.1, Clean Start of 5.0.
    pub clean_start: bool,
    /// Seconds; 0 is off.
    pub keep_alive: u16,
    /// Seconds, 5.0 only; absent is 0.
    pub session_expiry: Option<u32>,
    /// 5.0 only.
    pub receive_maximum: Option<u16>,
    /// Bytes, 5.0 only.
    pub maximum_packet_size: Option<u32>,
    /// 5.0 only.
    pub topic_alias_maximum: Option<u16>,
    /// The life of its name for which the client has credentials.
    pub epoch: u64,
    /// The will.
    pub will: Option<Will>,
}

/// Is a will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    /// The message that is published; no packet id, never a repetition.
    pub message: Publish,
    /// Seconds between the loss of the link and the will, 5.0 only.
    pub delay: u32,
}

/// Is a packet of either side, CONNECT excluded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// CONNACK.
    ConnAck {
        /// Whether the broker had the session.
        session_present: bool,
        /// The verdict.
        reason: ReasonCode,
        /// What the broker asks to be kept to.
        terms: Terms,
    },
    /// PUBLISH.
    Publish(Publish),
    /// PUBACK.
    PubAck(Ack),
    /// PUBREC.
    PubRec(Ack),
    /// PUBREL.
    PubRel(Ack),
    /// PUBCOMP.
    PubComp(Ack),
    /// SUBSCRIBE.
    Subscribe {
        /// Its packet id.
        id: u16,
        /// The subscription identifier.
        subscription_id: Option<u32>,
        /// What is asked for; a filter may begin with `$share/`.
        filters: Vec<(String, SubscribeOptions)>,
    },
    /// SUBACK.
    SubAck {
        /// Its packet id.
        id: u16,
        /// A code for each filter.
        reasons: Vec<ReasonCode>,
    },
    /// UNSUBSCRIBE.
    Unsubscribe {
        /// Its packet id.
        id: u16,
        /// What is given up.
        filters: Vec<String>,
    },
    /// UNSUBACK.
    UnsubAck {
        /// Its packet id.
        id: u16,
        /// A code for each filter; none in 3.1 and 3.1.1.
        reasons: Vec<ReasonCode>,
    },
    /// PINGREQ.
    PingReq,
    /// PINGRESP.
    PingResp,
    /// DISCONNECT.
    Disconnect {
        /// Why.
        reason: ReasonCode,
        /// Seconds, from a client of 5.0 that changes them.
        session_expiry: Option<u32>,
    },
    /// Something that has no place in honest traffic.
    Other(String),
}

/// Is what a CONNACK tells the client to keep to, 5.0 only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// The client id that stands for an empty one.
    pub assigned_client_id: Option<String>,
    /// Seconds that the session outlives its link, if that is not what the client asked for.
    pub session_expiry: Option<u32>,
    /// Messages of QoS 1 and 2 that the client may have under way.
    pub receive_maximum: Option<u16>,
    /// Aliases that the client may set.
    pub topic_alias_maximum: Option<u16>,
    /// Seconds of keep-alive, if they are not those that the client asked for.
    pub keep_alive: Option<u16>,
}

/// Is a message under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Which message; `None` for an empty payload, which erases what is retained.
    pub number: Option<MessageNo>,
    /// The topic, resolved if an alias stood for it.
    pub topic: String,
    /// The alias that was set or used.
    pub alias: Option<u16>,
    /// Quality of service.
    pub qos: Qos,
    /// The packet id, above QoS 0.
    pub id: Option<u16>,
    /// The retain flag.
    pub retain: bool,
    /// Whether it is a repetition.
    pub dup: bool,
    /// Seconds, 5.0 only.
    pub expiry: Option<u32>,
    /// Identifiers of the subscriptions, from the broker only.
    pub subscription_ids: Vec<u32>,
}

/// Is an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// Which exchange.
    pub id: u16,
    /// The verdict.
    pub reason: ReasonCode,
}

impl fmt::Display for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CONNECT {:?}", self.version)?;
        if self.clean_start {
            f.write_str(" clean")?;
        }
        write!(f, " epoch {} keep-alive {}", self.epoch, self.keep_alive)?;
        let numbers = [
            ("expiry", self.session_expiry),
            ("receive maximum", self.receive_maximum.map(u32::from)),
            ("packet maximum", self.maximum_packet_size),
            ("alias maximum", self.topic_alias_maximum.map(u32::from)),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                write!(f, " {name} {number}")?;
            }
        }
        match &self.will {
            Some(will) => write!(f, " will after {} s: {}", will.delay, will.message),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnAck { session_present, reason, .. } => {
                let session = if *session_present { "session present" } else { "new session" };
                write!(f, "CONNACK {session}, {}", reason.as_str())
            }
            Self::Publish(publish) => publish.fmt(f),
            Self::PubAck(ack) => write!(f, "PUBACK {ack}"),
            Self::PubRec(ack) => write!(f, "PUBREC {ack}"),
            Self::PubRel(ack) => write!(f, "PUBREL {ack}"),
            Self::PubComp(ack) => write!(f, "PUBCOMP {ack}"),
            Self::Subscribe { id, subscription_id, filters } => {
                write!(f, "SUBSCRIBE {id}")?;
                for (filter, options) in filters {
                    write!(f, " {filter} (QoS {}", options.qos as u8)?;
                    let flags =
                        [("no local", options.no_local), ("as published", options.retain_as_published)];
                    for (name, _) in flags.iter().filter(|(_, set)| *set) {
                        write!(f, ", {name}")?;
                    }
                    write!(f, ", replay {:?})", options.retain_handling)?;
                }
                subscription_id.map_or(Ok(()), |number| write!(f, " as {number}"))
            }
            Self::SubAck { id, reasons } => write!(f, "SUBACK {id} {}", Codes(reasons)),
            Self::Unsubscribe { id, filters } => write!(f, "UNSUBSCRIBE {id} {}", filters.join(" ")),
            Self::UnsubAck { id, reasons } => write!(f, "UNSUBACK {id} {}", Codes(reasons)),
            Self::PingReq => f.write_str("PINGREQ"),
            Self::PingResp => f.write_str("PINGRESP"),
            Self::Disconnect { reason, session_expiry } => {
                write!(f, "DISCONNECT {}", reason.as_str())?;
                session_expiry.map_or(Ok(()), |seconds| write!(f, ", expiry {seconds}"))
            }
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// Prints reason codes as numbers.
struct Codes<'a>(&'a [ReasonCode]);

impl fmt::Display for Codes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codes: Vec<String> = self.0.iter().map(|code| format!("{:#04x}", *code as u8)).collect();
        f.write_str(&codes.join(" "))
    }
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PUBLISH QoS {}", self.qos as u8)?;
        if let Some(id) = self.id {
            write!(f, " id {id}")?;
        }
        for (name, _) in [("dup", self.dup), ("retain", self.retain)].iter().filter(|(_, set)| *set) {
            write!(f, " {name}")?;
        }
        write!(f, " {}", self.topic)?;
        if let Some(alias) = self.alias {
            write!(f, " (alias {alias})")?;
        }
        match self.number {
            Some(number) => write!(f, " {number}")?,
            None => f.write_str(" empty")?,
        }
        if let Some(expiry) = self.expiry {
            write!(f, " expiry {expiry}")?;
        }
        if !self.subscription_ids.is_empty() {
            write!(f, " for {:?}", self.subscription_ids)?;
        }
        Ok(())
    }
}

impl fmt::Display for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        if self.reason.is_failure() { write!(f, " {:#04x}", self.reason as u8) } else { Ok(()) }
    }
}
