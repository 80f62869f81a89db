//! Arguments of `device`.

use super::broker::Span;
use super::places::{DevicePlaceArgs, PlaceArgs};
use clap::{Args, Subcommand, ValueEnum};
use keyward_ids::{DeviceId, KeyId, SiteId, TypeId};
use std::path::PathBuf;

/// Reads which TPM is meant.
fn tpm(fingerprint: &str) -> Result<KeyId, String> {
    fingerprint.parse().map_err(|_| {
        "it has 64 hexadecimal digits, as `keyward agent tpm` prints them on the device".to_owned()
    })
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeviceCommand {
    /// Add a device: make its key and certificate, or a password, and write a bundle
    #[command(after_help = "\
Examples:
  keyward device add dev01                              a bundle in ./dev01
  keyward device add dev01 --bundle mosquitto           with an options file for mosquitto_pub and _sub
  keyward device add dev01 --bundle esp8266             with a header and an Arduino sketch
  keyward device add dev01 --csr dev01.csr              the key stays on the device
  keyward device add dev01 --password                   for a device that cannot use a certificate
  keyward device add plug-1 --preset tasmota --topic kitchen --mac 5C:CF:7F:12:34:56
  keyward device add dev01 --password-hash-stdin < dev01.hash   as Mosquitto kept it, behind the colon
  keyward device add tasmota-7 --plain                  for one that cannot do TLS: a password for plain listeners
  keyward device add cam-7 --type camera --site roof --exposure public
  keyward device add cam-8 --site roof --gateway ap-2 --circuit F3 --power mains --interval 60s")]
    Add(DeviceAddArgs),
    /// Draw a claim code: a string to scan, by which a device fetches its certificate itself, once
    #[command(after_help = "\
Examples:
  keyward device invite pump-7 --type pump --site hall   a new device, for a day
  keyward device invite pump-7 --expires 15m             another code; the one before is void
  keyward device invite pump-7 --replace                 it lost its key: the code takes the old certificate away
  keyward device invite pump-7 --tpm 9a31a61d1604adf9a4a34d038d41bdef282ad530af1e2809b36bca791b15112b
      nobody but the machine with this TPM: the fingerprint that `keyward agent tpm` prints there

The string holds the code, the fingerprint of the server's root and where to go. docs/enrolment.md says what a device does
with it.")]
    Invite(DeviceInviteArgs),
    /// Void the claim code of a device
    #[command(after_help = "\
Examples:
  keyward device uninvite pump-7")]
    Uninvite {
        /// Which device
        id: DeviceId,
    },
    /// Take all message keys away from a device and give it another one: it was flashed anew, or two hold its key
    #[command(after_help = "\
Examples:
  keyward device rekey pump-7                                  by a claim code, as `device invite --replace`
  keyward device rekey pump-7 --key pump-7.pub --level 2       its certificate stays

What it signs by an old key counts no more from now on. This ends the incident that two hold its key. The code is good for any
chip: for one TPM alone take the keys away with `keys withdraw`, then draw the code with `device invite ID --replace --tpm`.")]
    Rekey(RekeyArgs),
    /// Give a device that is there already the rules of a preset, or take them away
    #[command(after_help = "\
Examples:
  keyward device preset plug-1 --preset tasmota --topic kitchen --mac 5C:CF:7F:12:34:56
  keyward device preset plug-1 --clear")]
    Preset {
        /// Which device
        id: DeviceId,
        /// What it gets
        #[command(flatten)]
        args: super::PresetArgs,
    },
    /// Let a device log in on plain listeners, and with its password nowhere else; live connections are closed
    #[command(after_help = "\
Examples:
  keyward device plain tasmota-7
  keyward device plain tasmota-7 --clear      takes that back and makes the password void")]
    Plain {
        /// Which device
        id: DeviceId,
        /// Take it back
        #[arg(long)]
        clear: bool,
    },
    /// Give a device a password, in place of the one it had; its certificates stay
    #[command(after_help = "\
Examples:
  keyward device passwd meter-1                              made by Keyward, shown once
  keyward device passwd meter-1 --password-stdin < meter-1.password")]
    Passwd {
        /// Which device
        id: DeviceId,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// List devices
    #[command(after_help = "\
Examples:
  keyward device list
  keyward device list --json")]
    List,
    /// Show one device and its credentials
    #[command(after_help = "\
Examples:
  keyward device show dev01")]
    Show {
        /// Which device
        id: DeviceId,
    },
    /// Show what a thief has who holds a device: what it reads, writes and decrypts, which keys can be copied, and what to do
    #[command(after_help = "\
Examples:
  keyward device exposure pump-7
  keyward device exposure pump-7 --json")]
    Exposure {
        /// Which device
        id: DeviceId,
    },
    /// Say where a device stands and what it depends on there: the watch tells by that what a silence means
    #[command(after_help = "\
Examples:
  keyward device place pump-7 --site yard --gateway ap-2 --circuit F3     what falls silent together is one incident
  keyward device place pump-7 --exposure public --power battery --interval 15m
  keyward device place truck-1 --fence 52.5162,13.3777,200                whoever carries it out of there is noticed
  keyward device place pump-7 --unset gateway,fence                       that is not known any more

What is not named stays as it is. What keyward.toml says of its type and site counts where nothing is said of the device.")]
    Place(DevicePlaceArgs),
    /// Say that a device was moved on purpose: the watch learns anew where it is at home
    #[command(after_help = "\
Examples:
  keyward device moved pump-7
  keyward device moved pump-7 --because 'to the other roof'

Where it stands now is said by device place.")]
    Moved {
        /// Which device
        id: DeviceId,
        /// Why, in one line: it stands in the ledger
        #[arg(long, visible_alias = "why", value_name = "TEXT")]
        because: Option<String>,
    },
    /// Refuse a device for now; its live connections are closed
    #[command(after_help = "\
Examples:
  keyward device disable dev01
  keyward device enable dev01      lets it in again")]
    Disable {
        /// Which device
        id: DeviceId,
    },
    /// Let a disabled device in again
    #[command(after_help = "\
Examples:
  keyward device enable dev01")]
    Enable {
        /// Which device
        id: DeviceId,
    },
    /// Leave a device its recovery topics and nothing else, until you release it; it stays connected
    #[command(after_help = "\
Examples:
  keyward device quarantine dev01 --because 'seen in two places'
  keyward device release dev01                                       when it is sound again

It may publish and subscribe below devices/dev01/recovery/ only, whatever the rules say, and gets no renewed certificate. The
broker does this by itself when two prove to hold the key by which a device signs (docs/devices.md#quarantine).")]
    Quarantine {
        /// Which device
        #[arg(value_parser = no_user)]
        id: DeviceId,
        /// Why, in one line: it stands in the ledger
        #[arg(long, value_name = "TEXT")]
        because: String,
    },
    /// Release a device from quarantine; its live connections are closed, so that it begins anew
    #[command(after_help = "\
Examples:
  keyward device rekey dev01      new keys first, if somebody may hold a copy of the old ones
  keyward device release dev01")]
    Release {
        /// Which device
        id: DeviceId,
    },
    /// Refuse a device for ever, with all its credentials; its live connections are closed within a second
    #[command(after_help = "\
Examples:
  keyward device revoke dev01                           stolen: nothing of it counts any more
  keyward device revoke dev01 --keep-messages           retired: what it sent is still delivered")]
    Revoke(RevokeArgs),
    /// Remove a device; its old credentials never come back
    #[command(after_help = "\
Examples:
  keyward device remove dev01")]
    Remove {
        /// Which device
        id: DeviceId,
    },
    /// Let a public key of a device that is gone be used again (audited)
    #[command(after_help = "\
Examples:
  keyward device release-key dev01                      if it held one key only; else name it with --key")]
    ReleaseKey {
        /// Which device
        id: DeviceId,
        /// Which key: 64 hexadecimal digits, as `device show --json` prints them
        #[arg(long, value_name = "KEY")]
        key: Option<keyward_ids::KeyId>,
    },
}

/// Reads the id of a device, where somebody may mean a user.
fn no_user(text: &str) -> Result<DeviceId, String> {
    if text.starts_with("user:") {
        return Err(
            "users are not put into quarantine: the rules of policy.d say what a user may do".to_owned()
        );
    }
    DeviceId::parse(text).map_err(|error| error.to_string())
}

/// Says which preset a device gets that is added.
#[derive(Debug, Args)]
pub(crate) struct NewPresetArgs {
    /// Give it the rules of this preset beside its own topics; `keyward preset list` names them
    #[arg(long, value_name = "PRESET")]
    pub(crate) preset: Option<String>,
    /// The topic that the preset is filled in with [default: ID]
    #[arg(long, value_name = "TOPIC", requires = "preset")]
    pub(crate) topic: Option<String>,
    /// The MAC address of a Tasmota, so that it may announce itself to Home Assistant
    #[arg(long, value_name = "MAC", requires = "preset")]
    pub(crate) mac: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DeviceAddArgs {
    /// Its name for ever: 1 to 64 letters, digits, '-', '_' and '.', beginning with a letter or digit
    pub(crate) id: DeviceId,
    /// What kind of device it is; rules can speak of types
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) device_type: Option<TypeId>,
    /// Where it stands; rules can speak of sites
    #[arg(long, value_name = "SITE")]
    pub(crate) site: Option<SiteId>,
    /// Who can touch it where it stands [default: as keyward.toml says of its site or type, else workplace]
    #[arg(long, value_enum, value_name = "WHERE")]
    pub(crate) exposure: Option<ExposureArg>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    pub(crate) preset: NewPresetArgs,
    /// Which chip it is, if whoever holds it can read its key; a bundle for a chip says so by itself
    #[arg(long, value_enum, value_name = "CHIP")]
    pub(crate) chip: Option<ChipArg>,
    /// Sign this certificate request (PEM); only its public key is taken
    #[arg(long, value_name = "FILE", conflicts_with_all = ["password", "password_stdin", "password_hash_stdin"])]
    pub(crate) csr: Option<PathBuf>,
    /// Make a password instead of a certificate, and show it once
    #[arg(long, conflicts_with_all = ["password_stdin", "password_hash_stdin"])]
    pub(crate) password: bool,
    /// Read a password from standard input instead of making a certificate
    #[arg(long, conflicts_with = "password_hash_stdin")]
    pub(crate) password_stdin: bool,
    /// Read the hash of its password from standard input, as it stands in a password file of Mosquitto
    #[arg(long)]
    pub(crate) password_hash_stdin: bool,
    /// Let it log in on plain listeners, and with its password nowhere else; makes a password if nothing else is said
    #[arg(long)]
    pub(crate) plain: bool,
    /// What the bundle is for
    #[arg(long, value_enum, value_name = "KIND", default_value = "pem")]
    pub(crate) bundle: BundleKind,
    /// Write the bundle into this new directory [default: ./ID]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// The name or address of the broker that the bundle uses [default: what the broker thinks best]
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Accept that the device's topics overlap with those of somebody else
    #[arg(long)]
    pub(crate) allow_overlap: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DeviceInviteArgs {
    /// Which device; one that is not there is added
    pub(crate) id: DeviceId,
    /// What kind of device it is; rules can speak of types
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) device_type: Option<TypeId>,
    /// Where it stands; rules can speak of sites
    #[arg(long, value_name = "SITE")]
    pub(crate) site: Option<SiteId>,
    /// Who can touch it where it stands [default: as keyward.toml says of its site or type, else workplace]
    #[arg(long, value_enum, value_name = "WHERE")]
    pub(crate) exposure: Option<ExposureArg>,
    /// Which chip it is, if whoever holds it can read its key
    #[arg(long, value_enum, value_name = "CHIP")]
    pub(crate) chip: Option<ChipArg>,
    #[command(flatten)]
    pub(crate) preset: NewPresetArgs,
    /// How long the code may be used: 1m to 30d
    #[arg(long, value_name = "TIME", default_value = "24h")]
    pub(crate) expires: Span,
    /// The device may have a certificate, which is taken away when the code is used
    #[arg(long)]
    pub(crate) replace: bool,
    /// The name or address of the broker that the device goes to [default: what the broker thinks best]
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// The one TPM that gets something for the code, as `keyward agent tpm` prints it on the device
    #[arg(long, value_name = "FINGERPRINT", value_parser = tpm)]
    pub(crate) tpm: Option<KeyId>,
    /// Accept that the device's topics overlap with those of somebody else
    #[arg(long)]
    pub(crate) allow_overlap: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RekeyArgs {
    /// Which device
    pub(crate) id: DeviceId,
    /// Its new public key for messages: PEM as openssl writes it (P-256 or Ed25519), or a COSE_Key [default: draw a claim code]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// How well the device keeps the private key: 0 in a file, 1 sealed to the machine, 2 in hardware, 3 in hardware that vouched for it
    #[arg(long, value_name = "LEVEL", default_value = "0", requires = "key", value_parser = clap::value_parser!(u8).range(0..=3))]
    pub(crate) level: u8,
    /// How long the code may be used: 1m to 30d
    #[arg(long, value_name = "TIME", default_value = "24h", conflicts_with = "key")]
    pub(crate) expires: Span,
    /// The name or address of the broker that the device goes to [default: what the broker thinks best]
    #[arg(long, value_name = "HOST", conflicts_with = "key")]
    pub(crate) host: Option<String>,
    /// Refused with what does it instead: whoever knows it from `device invite` tries it here
    #[arg(long, value_name = "FINGERPRINT", hide = true)]
    pub(crate) tpm: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExposureArg {
    /// Anybody passes by
    Public,
    /// People who work there
    Workplace,
    /// Behind a lock
    Locked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ChipArg {
    /// Its flash can be read, always
    Esp8266,
    /// Its flash can be read, unless its fuses were burned
    Esp32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BundleKind {
    /// PEM files: key, certificate chain, trust anchor
    Pem,
    /// PEM files and an options file for mosquitto_pub and mosquitto_sub
    Mosquitto,
    /// PEM files and a flow for Node-RED that uses them
    NodeRed,
    /// For devices: PEM files, a C header and an Arduino sketch for an ESP8266
    Esp8266,
    /// For devices: PEM files, a C header and an Arduino sketch for an ESP32
    Esp32,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// Which device
    pub(crate) id: DeviceId,
    /// Still deliver what it had sent before
    #[arg(long)]
    pub(crate) keep_messages: bool,
    /// Still publish its will
    #[arg(long)]
    pub(crate) publish_will: bool,
}

impl BundleKind {
    /// Returns the chip that the bundle is for.
    pub(crate) fn chip(self) -> Option<ChipArg> {
        match self {
            Self::Pem | Self::Mosquitto | Self::NodeRed => None,
            Self::Esp8266 => Some(ChipArg::Esp8266),
            Self::Esp32 => Some(ChipArg::Esp32),
        }
    }
}
