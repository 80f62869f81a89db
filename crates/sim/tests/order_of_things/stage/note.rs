//! Messages before they are published.

use keyward_mqtt::packet::Qos;

/// Is a message before it is published.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Note<'a> {
    pub(crate) topic: &'a str,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    /// Whether it is so large that the broker shares its payload: some 1,100 bytes.
    pub(crate) large: bool,
}

/// Makes a message of QoS 0.
pub(crate) fn qos0(topic: &str) -> Note<'_> {
    Note { topic, qos: Qos::AtMostOnce, retain: false, large: false }
}

/// Makes a message of QoS 1.
pub(crate) fn qos1(topic: &str) -> Note<'_> {
    Note { topic, qos: Qos::AtLeastOnce, retain: false, large: false }
}

/// Makes a message of QoS 2.
pub(crate) fn qos2(topic: &str) -> Note<'_> {
    Note { topic, qos: Qos::ExactlyOnce, retain: false, large: false }
}

impl Note<'_> {
    /// Has it retained.
    pub(crate) fn retained(self) -> Self {
        Self { retain: true, ..self }
    }

    /// Makes it large.
    pub(crate) fn large(self) -> Self {
        Self { large: true, ..self }
    }
}
