//! What the check of signatures costs everybody else: devices sign more and more a second, and a paced client that signs nothing notices.
//!
//! Whatever the machine does, the generator included, takes time from the paced client too. So each step sends its messages twice: to a
//! topic where nothing is checked, which is the *control*, and to one where the check is required. What is worse there is the check's doing.
//! The generator signs before a step begins and writes mqsec1 by itself.

use crate::CpuWatch;
use crate::NoWatch;
use crate::args::{SignedArguments, seconds};
use crate::caller::Calls;
use crate::clock;
use crate::error::BenchError;
use crate::files;
use crate::floods::paced;
use crate::load::{Access, Outcome};
use crate::stage::{BENCH, Broker, Durability, Keyward, Layout};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use serde::Serialize;
use std::fmt::Write as _;
use std::thread;
use std::time::Duration;

/// Devices that sign, each over a link of its own: a link has one message under way.
const DEVICES: usize = 4;
/// Signed messages a second of all together, step by step.
const STEPS: [u64; 8] = [500, 1_000, 2_000, 4_000, 8_000, 12_000, 16_000, 24_000];
/// How often a second a device sends what is due.
const BEATS: u64 = 50;
/// Of what was asked a step must have come to so much.
const KEPT_UP: f64 = 0.9;

/// The last levels of the topics: where the check is required, and where there is none.
const CHECKED: &str = "checked";
const IGNORED: &str = "ignored";
const RULES: &str = "[[signed]]\nwho = \"devices\"\ntopics = [\"{id}/checked\"]\ncheck = \"require\"\n";

/// One step.
#[derive(Debug, Serialize)]
struct Step {
    asked_per_second: u64,
    came_per_second: f64,
    refused: u64,
    /// Of the paced client alone.
    quiet_p99_us: f64,
    control: Beside,
    checked: Beside,
    /// Between the p99 of the two.
    ratio: f64,
}

/// What the paced client and the broker did while devices sent.
#[derive(Debug, Serialize)]
struct Beside {
    p99_us: f64,
    /// Processor time of the whole broker, the paced client's messages included.
    broker_cores: f64,
}

/// Runs the steps until the broker does not keep up, and tells what each did.
///
/// # Errors
/// A broker that does not start or takes no signed message.
pub(crate) fn run(arguments: &SignedArguments) -> Result<String, BenchError> {
    let length = seconds(arguments.seconds);
    let program = arguments.keyward.as_deref();
    let (users, durability) = (&[BENCH][..], Durability::Memory);
    let limits = "publish_rate = 0\npublish_bytes_rate = 0\n";
    let broker = Keyward { program, shards: None, limits, users, durability, dumpable: false }
        .start(&Layout::new(false))?;
    let mut devices = enrol(&broker)?;
    let mut steps = Vec::new();
    for rate in STEPS {
        let step = try_step(&broker, &mut devices, rate, length)?;
        let has_kept_up = step.came_per_second >= KEPT_UP * rate as f64;
        steps.push(step);
        if !has_kept_up {
            break;
        }
    }
    Ok(if arguments.json {
        serde_json::json!({ "schema": 1, "steps": steps }).to_string()
    } else {
        table(&steps)
    })
}

fn enrol(broker: &Broker) -> Result<Vec<Device>, BenchError> {
    files::write_new(&broker.folder().join("keyward/policy.d/signed.toml"), RULES)?;
    broker.operate(&["reload"])?;
    let status = broker.operate(&["status"])?;
    let installation = status["status"]["installation"].as_str().unwrap_or_default().to_owned();
    (0..DEVICES).map(|number| Device::new(broker, &format!("meter{number}"), &installation)).collect()
}

fn try_step(
    broker: &Broker,
    devices: &mut [Device],
    rate: u64,
    length: Duration,
) -> Result<Step, BenchError> {
    let each = rate / DEVICES as u64;
    // The paced client settles first: there is more to send than what is counted.
    let count = (each as f64 * (length.as_secs_f64() + 1.0)) as u64;
    let batches: Vec<Vec<Vec<u8>>> =
        devices.iter_mut().map(|device| (0..count).map(|_| device.sign()).collect()).collect();
    let quiet = paced(broker, length, &mut NoWatch)?;
    let (control, ..) = beside(broker, devices, &batches, each, length, IGNORED)?;
    let (checked, came, refused) = beside(broker, devices, &batches, each, length, CHECKED)?;
    Ok(Step {
        asked_per_second: rate,
        came_per_second: came,
        refused,
        quiet_p99_us: p99(&quiet),
        ratio: checked.p99_us / control.p99_us,
        control,
        checked,
    })
}

/// Has devices send to the level `last` while the paced client runs. Returns how many a second came, and how many were refused.
fn beside(
    broker: &Broker,
    devices: &[Device],
    batches: &[Vec<Vec<u8>>],
    each: u64,
    length: Duration,
    last: &str,
) -> Result<(Beside, f64, u64), BenchError> {
    let mut watch = CpuWatch::new(broker.pid());
    let (loaded, sent) = thread::scope(|scope| {
        let senders: Vec<_> = devices
            .iter()
            .zip(batches)
            .map(|(device, messages)| scope.spawn(move || device.send(messages, each, last)))
            .collect();
        let loaded = paced(broker, length, &mut watch);
        (loaded, senders.into_iter().map(|sender| sender.join()).collect::<Vec<_>>())
    });
    let loaded = loaded?;
    let (mut came, mut refused) = (0.0, 0);
    for sent in sent {
        let (per_second, not_taken) =
            sent.map_err(|_| BenchError::broker("generator", "a device panicked"))??;
        came += per_second;
        refused += not_taken;
    }
    let broker_cores = watch.used.secs() / loaded.seconds;
    Ok((Beside { p99_us: p99(&loaded), broker_cores }, came, refused))
}

fn p99(outcome: &Outcome) -> f64 {
    outcome.latency.as_ref().map_or(0.0, |latency| latency.p99_us)
}

fn table(steps: &[Step]) -> String {
    let mut text = String::from(
        "| signed a second, asked | came | refused | p99 of others, quiet (µs) | unchecked (µs) | checked (µs) | ratio | cores, unchecked | checked |\n\
         |--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for step in steps {
        let Step { asked_per_second, came_per_second, refused, quiet_p99_us, control, checked, ratio } = step;
        let (unchecked_us, checked_us) = (control.p99_us, checked.p99_us);
        let (unchecked_cores, checked_cores) = (control.broker_cores, checked.broker_cores);
        // A text takes everything.
        let _ = writeln!(
            text,
            "| {asked_per_second} | {came_per_second:.0} | {refused} | {quiet_p99_us:.0} | {unchecked_us:.0} | {checked_us:.0} | {ratio:.2} | {unchecked_cores:.2} | {checked_cores:.2} |"
        );
    }
    text
}

/// A device that signs by Ed25519.
struct Device {
    name: String,
    installation: String,
    topic: String,
    calls: Calls,
    key: Ed25519KeyPair,
    kid: [u8; 8],
    sequence: u64,
}

impl Device {
    fn new(broker: &Broker, name: &str, installation: &str) -> Result<Self, BenchError> {
        let out = broker.folder().join(name).display().to_string();
        let added = broker.operate(&["device", "add", name, "--password", "--out", &out])?;
        let password = added["device_added"]["password"].as_str().unwrap_or_default().to_owned();
        let none = |_| BenchError::broker("generator", "there is no key");
        let key = Ed25519KeyPair::generate().map_err(none)?;
        let x = key.public_key().as_ref();
        let thumbprint = digest(&SHA256, &[&[0xa3, 1, 1, 0x20, 6, 0x21, 0x58, 0x20], x].concat());
        let kid: [u8; 8] = thumbprint.as_ref().first_chunk().copied().unwrap_or_default();
        let head: &[u8] = &[0xa5, 1, 1, 2, 0x48];
        let cose = [head, &kid, &[3, 0x27, 0x20, 6, 0x21, 0x58, 0x20], x].concat();
        let file = broker.folder().join(format!("{name}.cose"));
        files::write_new_bytes(&file, &cose)?;
        broker.operate(&["keys", "add", name, &file.display().to_string()])?;
        let login = Some((name.to_owned(), password));
        let calls = Calls::new(Access { login, ..broker.tls.clone() })?;
        let (installation, topic) = (installation.to_owned(), format!("{name}/{CHECKED}"));
        Ok(Self { name: name.to_owned(), installation, topic, calls, key, kid, sequence: 0 })
    }

    /// Signs the next reading of 64 bytes: a COSE_Sign1 as docs/mqsec1.md has it.
    fn sign(&mut self) -> Vec<u8> {
        self.sequence += 1;
        let now = clock::unix_seconds() as u32;
        let numbers =
            [&[0xa2, 6, 0x1a][..], &now.to_be_bytes(), &[7, 0x48], &(1 << 56 | self.sequence).to_be_bytes()];
        let protected = [&[0xa3, 1, 0x27, 4, 0x48][..], &self.kid, &[0x0f], &numbers.concat()].concat();
        let texts = [text("mqsec1"), vec![0], text(&self.installation), text(&self.name), text(&self.topic)];
        let external = [&[0x86][..], &texts.concat(), &[0xf6]].concat();
        let payload = [b'r'; 64];
        let signed =
            [&[0x84][..], &text("Signature1"), &bytes(&protected), &bytes(&external), &bytes(&payload)];
        let signature = self.key.sign(&signed.concat());
        [&[0xd2, 0x84][..], &bytes(&protected), &[0xa0], &bytes(&payload), &bytes(signature.as_ref())]
            .concat()
    }

    /// Sends messages to the level `last` at a pace, and says how many a second were answered and how many refused.
    fn send(&self, messages: &[Vec<u8>], rate: u64, last: &str) -> Result<(f64, u64), BenchError> {
        let topic = format!("{}/{last}", self.name);
        let mut link = self.calls.log_in(&self.name, false)?;
        let (begun, beat) = (clock::now(), Duration::from_secs(1) / BEATS as u32);
        let mut refused = 0;
        let size = usize::try_from(rate.div_ceil(BEATS)).unwrap_or(1).max(1);
        for (number, batch) in messages.chunks(size).enumerate() {
            let due = begun + beat.mul_f64(number as f64 * size as f64 * BEATS as f64 / rate as f64);
            clock::rest(due.saturating_duration_since(clock::now()));
            let each = batch.iter().map(|message| (topic.as_str(), message.as_slice()));
            refused += link.publish_each(each, false)?;
        }
        Ok((messages.len() as f64 / (clock::now() - begun).as_secs_f64(), refused))
    }
}

/// Writes the head of a CBOR item.
fn head(kind: u8, length: usize) -> Vec<u8> {
    match length {
        0..24 => vec![kind << 5 | length as u8],
        24..256 => vec![kind << 5 | 24, length as u8],
        _ => vec![kind << 5 | 25, (length >> 8) as u8, length as u8],
    }
}

fn text(text: &str) -> Vec<u8> {
    [head(3, text.len()), text.as_bytes().to_vec()].concat()
}

fn bytes(bytes: &[u8]) -> Vec<u8> {
    [head(2, bytes.len()), bytes.to_vec()].concat()
}
