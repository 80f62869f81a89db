//! A gateway that links the library: reports a number each second and prints what it is told to do.
//!
//! Enrol it first: `keyward agent enroll --folder dev01 claim.txt`. Then `cargo run -p keyward-device --example gateway -- dev01`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use keyward_device::{Device, DeviceSettings, FileStore, Reading};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("give the folder that the device was enrolled in")?;
    let keys = FileStore::open(Path::new(&folder).join("keys"))?;
    let settings = DeviceSettings {
        commands: vec!["devices/dev01/commands/#".to_owned()],
        log: Box::new(|line| println!("# {line}")),
        ..DeviceSettings::default()
    };
    let device = Device::start(Path::new(&folder), Arc::new(keys), settings)?;
    for count in 0..60 {
        let text = count.to_string();
        let id = device.report(&[Reading::new("devices/dev01/count", text.as_bytes())])?;
        println!("stored as {id}");
        if let Some(command) = device.next_command(Duration::from_secs(1)) {
            println!("obeyed {}: {}", command.topic, command.payload.escape_ascii());
        }
    }
    Ok(device.halt(Duration::from_secs(5))?)
}
