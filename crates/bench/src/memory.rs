//! What Keyward holds in memory per idle connection, stored session, subscription and queued message: the growth of
//! the process, divided by how many were made. A fresh broker for each, so that freed memory of one is not used again.

use crate::args::MemoryArguments;
use crate::caller::{Caller, Calls};
use crate::error::BenchError;
use crate::process;
use crate::stage::{Broker, Keyward, Layout, WIDE};
use serde::Serialize;
use std::fmt::Write;

/// Bounds that the measured numbers would meet, out of their way.
const ROOMY: &str = "\
subscriptions_per_identity = 1000000
queue_messages = 60000
queue_messages_per_identity = 1000000
queue_bytes_per_identity = \"512 MiB\"
";

/// Subscriptions per session, and in one SUBSCRIBE.
const SUBSCRIPTIONS: usize = 500;
/// Messages that are published in one write: below the receive maximum that Keyward announces.
const BATCH: usize = 100;
/// Bytes of a queued payload.
const PAYLOAD: usize = 64;

/// One measured thing.
#[derive(Debug, Serialize)]
struct Weight {
    what: &'static str,
    count: usize,
    bytes_each: f64,
}

/// Measures everything and returns it as Markdown or JSON.
///
/// # Errors
/// A broker that does not start or refuses what is measured.
pub(crate) fn run(arguments: &MemoryArguments) -> Result<String, BenchError> {
    let layout = Layout::new(!arguments.stage.no_pin);
    let count = arguments.count as usize;
    let start = || {
        let keyward = Keyward::measured(arguments.stage.keyward.as_deref(), arguments.stage.shards);
        Keyward { limits: &[WIDE, ROOMY].concat(), ..keyward }.start(&layout)
    };
    let first = start()?;
    let empty = process::resident_bytes(first.pid())?;
    let weights = [
        weigh("idle connection, plain", &first, |broker| connections(broker, false, count))?,
        weigh("idle connection, TLS 1.3", &start()?, |broker| connections(broker, true, count))?,
        weigh("stored session, not connected", &start()?, |broker| sessions(broker, count))?,
        weigh("subscription (own filter of three levels)", &start()?, |broker| {
            subscriptions(broker, count * 5)
        })?,
        weigh("queued message (QoS 1, 64 bytes)", &start()?, |broker| messages(broker, count * 10))?,
        weigh("retained message (64 bytes)", &start()?, |broker| retained(broker, count * 5))?,
    ];
    if arguments.stage.json {
        let answer = serde_json::json!({ "schema": 1, "empty_bytes": empty, "weights": weights });
        return Ok(answer.to_string());
    }
    Ok(markdown(&first.about, empty, &weights))
}

fn markdown(about: &str, empty: u64, weights: &[Weight]) -> String {
    let mut text = String::from("| what | how many | bytes each |\n| --- | ---: | ---: |\n");
    for Weight { what, count, bytes_each } in weights {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {what} | {count} | {bytes_each:.0} |");
    }
    let _ = write!(
        text,
        "\nGrowth of resident memory; {about}. The broker alone has {:.1} MiB.",
        empty as f64 / 1048576.0
    );
    text
}

/// Makes things and divides what the process has grown by. What is made is held until the process was looked at.
fn weigh<T>(
    what: &'static str,
    broker: &Broker,
    make: impl FnOnce(&Broker) -> Result<(usize, T), BenchError>,
) -> Result<Weight, BenchError> {
    warm_up(broker)?;
    let before = process::resident_bytes(broker.pid())?;
    let (count, _held) = make(broker)?;
    let after = process::resident_bytes(broker.pid())?;
    Ok(Weight { what, count, bytes_each: (after as f64 - before as f64) / count as f64 })
}

/// Lets the broker make what it makes once: buffers, tables, TLS state.
fn warm_up(broker: &Broker) -> Result<(), BenchError> {
    for tls in [false, true] {
        let calls = Calls::new(broker.access(tls).clone())?;
        for n in 0..20 {
            let mut caller = calls.log_in(&format!("warm{n}"), false)?;
            caller.subscribe(["bench/warm"], 1)?;
            caller.publish_all(&["bench/cold".to_owned()], b"x", false)?;
            caller.leave()?;
        }
    }
    Ok(())
}

fn connections(broker: &Broker, tls: bool, count: usize) -> Result<(usize, Vec<Caller>), BenchError> {
    let calls = Calls::new(broker.access(tls).clone())?;
    let made = (0..count).map(|n| calls.log_in(&format!("idle{n}"), false)).collect::<Result<Vec<_>, _>>()?;
    Ok((count, made))
}

fn sessions(broker: &Broker, count: usize) -> Result<(usize, ()), BenchError> {
    let calls = Calls::new(broker.plain.clone())?;
    for n in 0..count {
        calls.log_in(&format!("kept{n}"), true)?.leave()?;
    }
    Ok((count, ()))
}

fn subscriptions(broker: &Broker, count: usize) -> Result<(usize, Vec<Caller>), BenchError> {
    let calls = Calls::new(broker.plain.clone())?;
    let mut made = Vec::new();
    for n in 0..count.div_ceil(SUBSCRIPTIONS) {
        let filters: Vec<String> = (0..SUBSCRIPTIONS).map(|m| format!("bench/{n}/{m}")).collect();
        let mut caller = calls.log_in(&format!("reader{n}"), false)?;
        caller.subscribe(filters.iter().map(String::as_str), 1)?;
        made.push(caller);
    }
    Ok((made.len() * SUBSCRIPTIONS, made))
}

fn messages(broker: &Broker, count: usize) -> Result<(usize, ()), BenchError> {
    let calls = Calls::new(broker.plain.clone())?;
    let mut reader = calls.log_in("absent", true)?;
    reader.subscribe(["bench/queue"], 1)?;
    reader.leave()?;
    publish(&calls, count, false, |_| "bench/queue".to_owned())
}

fn retained(broker: &Broker, count: usize) -> Result<(usize, ()), BenchError> {
    let calls = Calls::new(broker.plain.clone())?;
    publish(&calls, count, true, |n| format!("bench/kept/{n}"))
}

fn publish(
    calls: &Calls,
    count: usize,
    retain: bool,
    topic: impl Fn(usize) -> String,
) -> Result<(usize, ()), BenchError> {
    let mut writer = calls.log_in("writer", false)?;
    for batch in 0..count.div_ceil(BATCH) {
        let topics: Vec<String> = (0..BATCH).map(|n| topic(batch * BATCH + n)).collect();
        let refused = writer.publish_all(&topics, &[b'x'; PAYLOAD], retain)?;
        if refused > 0 {
            return Err(BenchError::broker("keyward", format!("it refused {refused} of {BATCH} messages")));
        }
    }
    writer.leave()?;
    Ok((count.div_ceil(BATCH) * BATCH, ()))
}
