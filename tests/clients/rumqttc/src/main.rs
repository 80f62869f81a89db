//! rumqttc behind one JSON object a line: orders on standard input, what happened on standard output.
//! `tests/clients/peers.py` says which orders and events there are.

use rumqttc::{TlsConfiguration, Transport};
use serde_json::{Value, json};
use std::fs;
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};

/// Messages that wait for the link; the stories send fewer.
const PLACES: usize = 100;

type Orders = Lines<BufReader<Stdin>>;

fn say(event: &str, mut more: Value) {
    more["event"] = event.into();
    println!("{more}");
}

fn text<'a>(order: &'a Value, key: &str) -> &'a str {
    order[key].as_str().unwrap_or_default()
}

fn number(order: &Value, key: &str) -> u64 {
    order[key].as_u64().unwrap_or_default()
}

fn transport(order: &Value) -> Transport {
    let file = |key| fs::read(text(order, key)).expect("the files that the story names");
    let client_auth = order["cert"].is_string().then(|| (file("cert"), file("key")));
    Transport::Tls(TlsConfiguration::Simple { ca: file("ca"), alpn: None, client_auth })
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    rustls::crypto::ring::default_provider().install_default().expect("the first and only provider");
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    let first = orders.next_line().await.expect("standard input").expect("an order");
    let order: Value = serde_json::from_str(&first).expect("JSON");
    match number(&order, "version") {
        5 => v5::drive(&order, &mut orders).await,
        _ => v4::drive(&order, &mut orders).await,
    }
}

/// The two halves of rumqttc have the same shape and no type in common.
macro_rules! drive {
    ($orders:ident, $options:ident, $code:expr) => {{
        let (client, mut link) = AsyncClient::new($options, PLACES);
        loop {
            tokio::select! {
                event = link.poll() => match event {
                    Ok(Event::Incoming(packet)) => incoming(packet),
                    Ok(Event::Outgoing(_)) => {}
                    Err(error) => {
                        say("refused", json!({ "what": error.to_string(), "code": $code(&error) }));
                        say("closed", json!({}));
                        return;
                    }
                },
                line = $orders.next_line() => {
                    let Ok(Some(line)) = line else { return };
                    let order: Value = serde_json::from_str(&line).expect("JSON");
                    match text(&order, "do") {
                        "subscribe" => client.subscribe(text(&order, "filter"), qos(&order)).await.expect("a place"),
                        "publish" => {
                            let payload = text(&order, "payload").to_owned().into_bytes();
                            let retain = order["retain"].as_bool().unwrap_or_default();
                            client.publish(text(&order, "topic"), qos(&order), retain, payload).await.expect("a place");
                            if number(&order, "qos") == 0 {
                                say("published", json!({ "code": 0 }));
                            }
                        }
                        _ => client.disconnect().await.expect("a place"),
                    }
                }
            }
        }
    }};
}

mod v4 {
    use super::{Orders, PLACES, Value, json, number, say, text, transport};
    use rumqttc::{
        AsyncClient, ConnectionError, Event, LastWill, MqttOptions, Packet, QoS, SubscribeReasonCode,
    };

    fn qos(order: &Value) -> QoS {
        [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][number(order, "qos") as usize]
    }

    fn incoming(packet: Packet) {
        match packet {
            Packet::ConnAck(ack) => say("connected", json!({ "session": ack.session_present, "code": 0 })),
            Packet::Publish(message) => say(
                "message",
                json!({ "topic": message.topic, "payload": String::from_utf8_lossy(&message.payload),
                    "qos": message.qos as u8, "retain": message.retain }),
            ),
            Packet::PubAck(_) | Packet::PubComp(_) => say("published", json!({ "code": 0 })),
            Packet::SubAck(ack) => {
                let code = ack.return_codes.first().map_or(128, |code| match code {
                    SubscribeReasonCode::Success(qos) => *qos as u8,
                    SubscribeReasonCode::Failure => 128,
                });
                say("subscribed", json!({ "code": code }));
            }
            _ => {}
        }
    }

    pub(crate) async fn drive(order: &Value, orders: &mut Orders) {
        let mut options = MqttOptions::new(text(order, "id"), "localhost", number(order, "port") as u16);
        options.set_transport(transport(order)).set_clean_session(order["clean"] == true);
        if order["username"].is_string() {
            options.set_credentials(text(order, "username"), text(order, "password"));
        }
        if let Some([topic, payload, qos]) = order["will"].as_array().map(Vec::as_slice) {
            let qos =
                [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][qos.as_u64().unwrap_or(0) as usize];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            options.set_last_will(LastWill::new(text(topic), text(payload), qos, false));
        }
        let code = |error: &ConnectionError| match error {
            ConnectionError::ConnectionRefused(code) => Some(*code as u8),
            _ => None,
        };
        drive!(orders, options, code)
    }
}

mod v5 {
    use super::{Orders, PLACES, Value, json, number, say, text, transport};
    use rumqttc::v5::mqttbytes::QoS;
    use rumqttc::v5::mqttbytes::v5::{
        ConnectReturnCode, LastWill, Packet, PubAckReason, SubscribeReasonCode,
    };
    use rumqttc::v5::{AsyncClient, ConnectionError, Event, MqttOptions};

    fn qos(order: &Value) -> QoS {
        [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][number(order, "qos") as usize]
    }

    fn incoming(packet: Packet) {
        match packet {
            Packet::ConnAck(ack) => say("connected", json!({ "session": ack.session_present, "code": 0 })),
            Packet::Publish(message) => say(
                "message",
                json!({ "topic": String::from_utf8_lossy(&message.topic),
                    "payload": String::from_utf8_lossy(&message.payload),
                    "qos": message.qos as u8, "retain": message.retain }),
            ),
            Packet::PubAck(ack) => {
                let code = if ack.reason == PubAckReason::NotAuthorized { 0x87 } else { 0 };
                say("published", json!({ "code": code }));
            }
            Packet::PubComp(_) => say("published", json!({ "code": 0 })),
            Packet::SubAck(ack) => {
                let code = ack.return_codes.first().map_or(128, |code| match code {
                    SubscribeReasonCode::Success(qos) => *qos as u8,
                    SubscribeReasonCode::NotAuthorized => 0x87,
                    _ => 128,
                });
                say("subscribed", json!({ "code": code }));
            }
            _ => {}
        }
    }

    pub(crate) async fn drive(order: &Value, orders: &mut Orders) {
        let mut options = MqttOptions::new(text(order, "id"), "localhost", number(order, "port") as u16);
        options.set_transport(transport(order)).set_clean_start(order["clean"] == true);
        options.set_session_expiry_interval(Some(number(order, "expiry") as u32));
        if order["username"].is_string() {
            options.set_credentials(text(order, "username"), text(order, "password"));
        }
        if let Some([topic, payload, qos]) = order["will"].as_array().map(Vec::as_slice) {
            let qos =
                [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][qos.as_u64().unwrap_or(0) as usize];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            options.set_last_will(LastWill::new(text(topic), text(payload), qos, false, None));
        }
        let code = |error: &ConnectionError| match error {
            ConnectionError::ConnectionRefused(ConnectReturnCode::BadUserNamePassword) => Some(0x86),
            ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized) => Some(0x87),
            _ => None,
        };
        drive!(orders, options, code)
    }
}
