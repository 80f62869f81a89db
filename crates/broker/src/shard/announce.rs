//! What the broker itself publishes: the figures below `$SYS/`. No client may publish there, and no filter that begins
//! with a wildcard matches [MQTT-4.7.2-1]; who may read is for the rules to say, as everywhere.

use super::Shard;
use crate::message::{Draft, Message, Publisher};
use crate::permit;
use crate::session::Incarnation;
use keyward_mqtt::packet::Qos;
use keyward_mqtt::topic::TopicName;
use std::sync::Arc;

/// The origin of what no session published.
const NO_SESSION: Incarnation = Incarnation(u64::MAX);

impl Shard {
    pub(super) fn publish_own(&mut self, values: &[(String, Vec<u8>)]) {
        let Some(publisher) = Publisher::broker() else { return };
        for (topic, payload) in values {
            let Some(permit) = TopicName::parse(topic).ok().and_then(permit::publish_as_broker) else {
                continue;
            };
            let id = self.next_message_id();
            let message = Message::from(Draft {
                id,
                topic,
                forwarded: &[],
                payload,
                qos: Qos::AtMostOnce,
                retain: true,
                expires: None,
                publisher: publisher.clone(),
                origin: NO_SESSION,
                is_will: false,
            });
            self.route(permit, Arc::new(message), false);
        }
    }
}
