//! The relay and the generator against each other: what is sent arrives, once and in order.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_keyward-bench");

struct Relay {
    process: Child,
    address: String,
}

impl Relay {
    fn start() -> Self {
        let mut process =
            Command::new(PROGRAM).args(["relay", "--seconds", "60"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { process, address }
    }

    fn load(&self, options: &[&str]) -> Value {
        let output = Command::new(PROGRAM)
            .args(["load", "--json", "--address", &self.address, "--seconds", "0.2", "--warm-up", "0.05"])
            .args(options)
            .output()
            .unwrap();
        assert!(output.status.success(), "{options:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn every_shape_arrives_whole_and_in_order_at_every_qos() {
    let relay = Relay::start();
    for shape in ["fan-in", "fan-out", "pairs", "echo"] {
        for options in [&["--qos", "0"][..], &["--qos", "1"], &["--qos", "2"], &["--qos", "2", "--v5"]] {
            let all = [&["--shape", shape, "--clients", "5", "--burst", "4"], options].concat();
            let found = &relay.load(&all)["outcome"];
            let qos = options[1];
            assert!(found["delivered"].as_u64().unwrap() > 100, "{shape} at QoS {qos}: {found}");
            assert_eq!(found["lost"], 0, "{shape} at QoS {qos}: {found}");
            assert_eq!(found["out_of_order"], 0, "{shape} at QoS {qos}: {found}");
        }
    }
}

#[test]
fn a_paced_run_keeps_its_rate_and_knows_its_latency() {
    let relay = Relay::start();
    let options = ["--shape", "echo", "--clients", "2", "--qos", "1", "--rate", "500"];
    let found = &relay.load(&options)["outcome"];
    let delivered = found["delivered"].as_u64().unwrap();
    assert!((20..=120).contains(&delivered), "of 500 a second for 0.2 s: {found}");
    let latency = &found["latency"];
    assert!(latency["p50_us"].as_f64().unwrap() > 0.0, "{found}");
    assert!(latency["max_us"].as_f64() >= latency["p99_us"].as_f64(), "{found}");
}

#[test]
fn a_broker_that_is_not_there_is_an_error_and_no_hang() {
    let output = Command::new(PROGRAM).args(["load", "--address", "127.0.0.1:1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("127.0.0.1:1"));
}
