//! A link that the door has authenticated, as it is handed to its shard.

use crate::message::Publisher;
use crate::verified;
use core::num::NonZeroU16;
use keyward_envelope::Nonce;
use keyward_ids::{ClientId, Identity};
use keyward_mqtt::codec::EncodeError;
use keyward_mqtt::packet::{Connect, Qos, Version, Will};
use keyward_mqtt::property::PublishProperties;

/// Numbers a link. Given by the door and never used again while the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub u64);

/// Says who has logged in, and with which of its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Who.
    pub identity: Identity,
    /// In which life of that name, as in [`Principal::life`](crate::Principal::life).
    pub life: u64,
    /// With credentials of which epoch, as in [`Principal::epoch`](crate::Principal::epoch).
    pub epoch: u64,
}

/// Holds what a shard needs of a CONNECT and of who sent it. Owned: it crosses threads.
#[derive(Debug)]
pub struct Attach {
    pub(crate) link: LinkId,
    pub(crate) publisher: Publisher,
    pub(crate) epoch: u64,
    pub(crate) client_id: ClientId,
    pub(crate) assigned: bool,
    pub(crate) version: Version,
    pub(crate) clean_start: bool,
    pub(crate) keep_alive: u16,
    /// Seconds as asked for by 5.0; `None` before it.
    pub(crate) session_expiry: Option<u32>,
    pub(crate) receive_maximum: Option<NonZeroU16>,
    pub(crate) maximum_packet_size: Option<u32>,
    /// How many topic aliases the client takes; 0 is none.
    pub(crate) topic_alias_maximum: u16,
    pub(crate) problem_information: bool,
    pub(crate) will: Option<Testament>,
    pub(crate) authenticated: Option<Authenticated>,
    /// What ties messages of a device without a clock to this link.
    pub(crate) nonce: Option<Nonce>,
}

/// Is how a client proved by enhanced authentication who it is, as CONNACK says it [MQTT-4.12.0-5].
#[derive(Debug, Clone)]
pub(crate) struct Authenticated {
    pub(crate) method: Box<str>,
    pub(crate) data: Option<Box<[u8]>>,
}

/// Is a will as it was left with CONNECT.
#[derive(Debug)]
pub(crate) struct Testament {
    pub(crate) topic: Box<str>,
    pub(crate) payload: Box<[u8]>,
    /// What [`PublishProperties::encode_forwarded`] wrote.
    pub(crate) forwarded: Box<[u8]>,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    /// Seconds between the loss of the link and the will.
    pub(crate) delay: u32,
    pub(crate) expiry: Option<u32>,
}

impl Attach {
    /// Takes what counts of `connect`, sent over `link` by who has logged in. `client_id` is never empty: an empty
    /// one was replaced at the door, which `assigned` tells.
    ///
    /// # Errors
    /// A property of the will cannot be written again; a decoded CONNECT has none such.
    pub fn new(
        link: LinkId,
        connect: &Connect<'_>,
        login: Login,
        client_id: ClientId,
        assigned: bool,
    ) -> Result<Self, EncodeError> {
        let Login { identity, life, epoch } = login;
        let properties = &connect.properties;
        Ok(Self {
            link,
            publisher: Publisher { identity, life },
            epoch,
            client_id,
            assigned,
            version: connect.version,
            clean_start: connect.clean_start,
            keep_alive: connect.keep_alive,
            session_expiry: match connect.version {
                Version::V31 | Version::V311 => None,
                Version::V5 => Some(properties.session_expiry.unwrap_or(0)),
            },
            receive_maximum: properties.receive_maximum,
            maximum_packet_size: properties.maximum_packet_size.map(|size| size.get()),
            topic_alias_maximum: properties.topic_alias_maximum.unwrap_or(0),
            problem_information: properties.request_problem_information.unwrap_or(true),
            will: connect.will.as_ref().map(Testament::new).transpose()?,
            authenticated: None,
            nonce: None,
        })
    }

    /// Gives the link a nonce that was drawn for it: 16 random bytes that no link had. A link without one takes no signed messages that
    /// have a nonce instead of a date.
    #[must_use]
    pub fn in_session(mut self, nonce: [u8; 16]) -> Self {
        self.nonce = Nonce::new(&nonce);
        self
    }

    /// Notes by which method the client proved who it is, and what it is told with CONNACK.
    #[must_use]
    pub fn authenticated_by(mut self, method: &str, data: Option<&[u8]>) -> Self {
        self.authenticated = Some(Authenticated { method: method.into(), data: data.map(Box::from) });
        self
    }

    /// Counts the login as one of another epoch: a credential that its identity had before was taken away because of it.
    #[must_use]
    pub fn under(mut self, epoch: u64) -> Self {
        self.epoch = epoch;
        self
    }

    /// Returns the link.
    pub fn link(&self) -> LinkId {
        self.link
    }

    /// Returns who is attached.
    pub fn identity(&self) -> &Identity {
        &self.publisher.identity
    }

    /// Returns how many topic aliases the client takes from us; 0 is none.
    pub fn topic_alias_maximum(&self) -> u16 {
        self.topic_alias_maximum
    }

    /// Returns the client id.
    pub fn client_id(&self) -> &ClientId {
        &self.client_id
    }
}

impl Testament {
    fn new(will: &Will<'_>) -> Result<Self, EncodeError> {
        let properties = PublishProperties {
            payload_format: will.properties.payload_format,
            response_topic: will.properties.response_topic,
            correlation_data: will.properties.correlation_data,
            user: will.properties.user,
            content_type: will.properties.content_type,
            ..PublishProperties::default()
        };
        let mut forwarded = Vec::new();
        properties.encode_forwarded(verified::passes, &mut forwarded)?;
        Ok(Self {
            topic: will.topic.as_str().into(),
            payload: will.payload.into(),
            forwarded: forwarded.into(),
            qos: will.qos,
            retain: will.retain,
            delay: will.properties.delay.unwrap_or(0),
            expiry: will.properties.message_expiry,
        })
    }

    pub(crate) fn weight(&self) -> usize {
        self.topic.len() + self.payload.len() + self.forwarded.len()
    }
}
