//! Between the values of this crate and the packets of `mqtt`.

use crate::error::ClientError;
use crate::options::{ClientOptions, Will};
use keyward_mqtt::connection::ClientError as ConnectionError;
use keyward_mqtt::packet::{Connect, Will as WillPacket};
use keyward_mqtt::property::{ConnectProperties, WillProperties};
use keyward_mqtt::topic::TopicName;

/// Copies a text of a packet.
pub(crate) fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

/// Writes CONNECT.
pub(crate) fn connect_packet<'a>(options: &'a ClientOptions, will: Option<WillPacket<'a>>) -> Connect<'a> {
    Connect {
        version: options.version,
        clean_start: options.clean_start,
        keep_alive: options.keep_alive,
        client_id: &options.client_id,
        will,
        username: options.login.as_ref().map(|login| login.username.as_str()),
        password: options.login.as_ref().and_then(|login| Some(login.password.as_ref()?.as_slice())),
        properties: ConnectProperties {
            session_expiry: (options.session_expiry > 0).then_some(options.session_expiry),
            ..ConnectProperties::default()
        },
    }
}

/// Writes the will into CONNECT; an error if its topic is no topic name.
pub(crate) fn will_packet(will: &Will) -> Result<WillPacket<'_>, ClientError> {
    let topic = TopicName::parse(&will.topic)
        .map_err(|error| ClientError::Request(format!("the will's topic {:?} {error}", will.topic)))?;
    Ok(WillPacket {
        topic,
        payload: &will.payload,
        qos: will.qos,
        retain: will.retain,
        properties: WillProperties {
            delay: (will.delay > 0).then_some(will.delay),
            ..WillProperties::default()
        },
    })
}

/// Turns an error of the sans-IO connection into one that says what to do.
pub(crate) fn explain(error: ConnectionError) -> ClientError {
    let problem = match error {
        ConnectionError::Server(error) => return ClientError::Protocol(error.to_string()),
        ConnectionError::ServerSilent => return ClientError::TimedOut { awaited: "sign of life" },
        ConnectionError::NotConnected => return ClientError::Closed,
        ConnectionError::PacketTooLarge => "the message is larger than the broker takes",
        ConnectionError::QosNotSupported => {
            "the broker does not offer this quality of service: use a lower one"
        }
        ConnectionError::RetainNotSupported => "the broker keeps no messages: publish without retain",
        ConnectionError::TopicAlias => "the client gives topics their aliases: leave them out",
        ConnectionError::QueueFull | ConnectionError::TooManyRequests => {
            "too much waits for the broker's answer: wait for some first"
        }
        other => return ClientError::Request(format!("the packet cannot be written: {other:?}")),
    };
    ClientError::Request(problem.to_owned())
}
