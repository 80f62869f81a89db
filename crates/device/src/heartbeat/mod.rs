//! What a device says of itself: claims of an attested entity (RFC 9711) in CBOR, in a signed message.

use crate::cbor::{self, Value};
use std::path::PathBuf;

/// The claims of RFC 9711 that are used, and those of Keyward below -65,536, where the registry leaves numbers to each other.
mod claim {
    pub(super) const OEM_ID: i64 = 258;
    pub(super) const HARDWARE_MODEL: i64 = 259;
    pub(super) const UPTIME: i64 = 261;
    pub(super) const BOOT_COUNT: i64 = 267;
    pub(super) const SOFTWARE_NAME: i64 = 270;
    pub(super) const SOFTWARE_VERSION: i64 = 271;
    pub(super) const EVENT: i64 = -70_001;
    pub(super) const REASON: i64 = -70_002;
    pub(super) const RESET_CAUSE: i64 = -70_003;
    pub(super) const SUPPLY_MILLIVOLTS: i64 = -70_004;
    pub(super) const KEY_LEVEL: i64 = -70_005;
    pub(super) const STORE_GENERATION: i64 = -70_006;
    pub(super) const OUTBOX: i64 = -70_007;
    pub(super) const ASIDE: i64 = -70_008;
    pub(super) const REFUSED_COMMANDS: i64 = -70_009;
}

/// Says what makes the device speak of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// Time passed.
    Heartbeat,
    /// The supply is failing; this may be the last word.
    PowerLost,
    /// Somebody opened the device; holds what noticed it.
    Tamper(&'a str),
    /// The device was opened before this start, and its keys were to be destroyed.
    Destroyed(&'a str),
}

/// Says why the device started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetCause {
    /// The machine came up.
    Boot,
    /// The watchdog started the machine.
    Watchdog,
    /// The program started again on a machine that was up.
    Program,
}

impl ResetCause {
    /// Returns the word in the claim.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Watchdog => "watchdog",
            Self::Program => "program",
        }
    }
}

/// Holds what does not change while the device runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nameplate {
    /// Who made the device, as RFC 9711 §4.2.3 has it: 3 or 16 bytes.
    pub oem_id: Option<Vec<u8>>,
    /// The model, 1 to 32 bytes.
    pub hardware_model: Option<Vec<u8>>,
    /// What runs on it.
    pub software_name: Option<String>,
    /// Its version.
    pub software_version: Option<String>,
    /// A file that holds the supply's voltage in microvolts, as Linux has it below `/sys/class/power_supply`.
    pub supply: Option<PathBuf>,
}

/// Holds what is said at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Seconds since the machine came up.
    pub uptime: u64,
    /// How often the device was started.
    pub boot_count: u64,
    /// Why it was started the last time.
    pub reset_cause: ResetCause,
    /// How well its keys are kept: 0 to 3.
    pub key_level: u8,
    /// The generation of the sealed store: it grows with each start and each change, and if it falls this is an older copy of the device.
    pub store_generation: u64,
    /// Messages that wait.
    pub outbox: u64,
    /// Messages that the server refused for good, and that are kept aside.
    pub aside: u64,
    /// Commands that were not obeyed, since the start.
    pub refused_commands: u64,
}

impl Nameplate {
    /// Writes the claims.
    pub fn write(&self, event: Event<'_>, now: &Condition) -> Vec<u8> {
        let mut claims = vec![
            (claim::UPTIME, Value::Unsigned(now.uptime)),
            (claim::BOOT_COUNT, Value::Unsigned(now.boot_count)),
            (claim::RESET_CAUSE, Value::Text(now.reset_cause.as_str().to_owned())),
            (claim::KEY_LEVEL, Value::Unsigned(now.key_level.into())),
            (claim::STORE_GENERATION, Value::Unsigned(now.store_generation)),
            (claim::OUTBOX, Value::Unsigned(now.outbox)),
            (claim::ASIDE, Value::Unsigned(now.aside)),
            (claim::REFUSED_COMMANDS, Value::Unsigned(now.refused_commands)),
        ];
        let (word, reason) = match event {
            Event::Heartbeat => ("heartbeat", None),
            Event::PowerLost => ("power-lost", None),
            Event::Tamper(reason) => ("tamper", Some(reason)),
            Event::Destroyed(reason) => ("destroyed", Some(reason)),
        };
        claims.push((claim::EVENT, Value::Text(word.to_owned())));
        let text = |text: &str| Value::Text(text.to_owned());
        let optional = [
            (claim::REASON, reason.map(text)),
            (claim::OEM_ID, self.oem_id.clone().map(Value::Bytes)),
            (claim::HARDWARE_MODEL, self.hardware_model.clone().map(Value::Bytes)),
            (claim::SOFTWARE_NAME, self.software_name.as_deref().map(text)),
            (claim::SOFTWARE_VERSION, self.software_version.clone().map(Value::Texts)),
            (claim::SUPPLY_MILLIVOLTS, self.supply_millivolts().map(Value::Unsigned)),
        ];
        claims.extend(optional.into_iter().filter_map(|(label, value)| Some((label, value?))));
        cbor::map(claims)
    }

    fn supply_millivolts(&self) -> Option<u64> {
        let text = keyward_files::read_regular(self.supply.as_ref()?, 64).ok()?;
        let microvolts: u64 = std::str::from_utf8(&text).ok()?.trim().parse().ok()?;
        Some(microvolts / 1_000)
    }
}

/// Returns the seconds since the machine came up, times of sleep included.
pub(crate) fn uptime() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_says_how_the_device_is_in_claims_of_the_standard() {
        let folder = tempfile::tempdir().unwrap();
        let supply = folder.path().join("voltage_now");
        keyward_files::write_new(&supply, b"3300400\n").unwrap();
        let plate = Nameplate {
            software_name: Some("pump".into()),
            software_version: Some("2".into()),
            supply: Some(supply),
            ..Nameplate::default()
        };
        let now = Condition {
            uptime: 1,
            boot_count: 2,
            reset_cause: ResetCause::Watchdog,
            key_level: 0,
            store_generation: 9,
            outbox: 3,
            aside: 0,
            refused_commands: 4,
        };
        let written = plate.write(Event::Tamper("lid"), &now);
        let mut expected =
            b"\xad\x19\x01\x05\x01\x19\x01\x0b\x02\x19\x01\x0e\x64pump\x19\x01\x0f\x81\x612".to_vec();
        expected.extend(
            b"\x3a\x00\x01\x11\x70\x66tamper\x3a\x00\x01\x11\x71\x63lid\x3a\x00\x01\x11\x72\x68watchdog",
        );
        expected.extend(b"\x3a\x00\x01\x11\x73\x19\x0c\xe4\x3a\x00\x01\x11\x74\x00");
        expected.extend(b"\x3a\x00\x01\x11\x75\x09\x3a\x00\x01\x11\x76\x03\x3a\x00\x01\x11\x77\x00\x3a\x00\x01\x11\x78\x04");
        assert_eq!(written, expected);
    }
}
