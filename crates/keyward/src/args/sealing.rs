//! Arguments of `seal` and `open`: messages that prove who sent them.

use super::Span;
use crate::hex;
use clap::{ArgGroup, Args};
use keyward_ids::{DeviceId, GroupId, InstallationId};
use std::path::PathBuf;
use std::str::FromStr;

/// Is bytes, written as hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hex(pub(crate) Vec<u8>);

impl FromStr for Hex {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        hex::decode(text).map(Self).ok_or_else(|| "write pairs of hexadecimal digits: c0ffee".to_owned())
    }
}

/// Reads the id of an installation: a message for one that cannot be is believed nowhere.
fn installation(text: &str) -> Result<String, String> {
    match InstallationId::parse(text) {
        Ok(id) => Ok(id.to_string()),
        Err(_) => {
            Err("it has 16 lower-case letters and digits, as `keyward status --json` tells it".to_owned())
        }
    }
}

#[derive(Debug, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("speaker").args(["to_device", "to_group", "key"]).required(true))]
pub(crate) struct SealArgs {
    /// What is said; without it and --file it is read from standard input
    #[arg(value_name = "PAYLOAD", conflicts_with = "file")]
    pub(crate) payload: Option<String>,
    /// Say what this file holds
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The topic on which it will be published: it is good there and nowhere else
    #[arg(short, long, value_name = "TOPIC")]
    pub(crate) topic: String,
    /// Sign a command to this device, by the server's command key
    #[arg(long, value_name = "ID")]
    pub(crate) to_device: Option<DeviceId>,
    /// Encrypt the command to the key that the device registered for that: nobody else reads it
    #[arg(long, requires = "to_device")]
    pub(crate) encrypt: bool,
    /// Sign a command to the members of this group, by the server's command key, encrypted under the key of the group
    #[arg(long, value_name = "NAME", conflicts_with = "nonce")]
    pub(crate) to_group: Option<GroupId>,
    /// Sign as a device, by the private key in this file (PEM, PKCS #8)
    #[arg(long, value_name = "FILE", requires_all = ["as_device", "installation"])]
    pub(crate) key: Option<PathBuf>,
    /// The device that speaks
    #[arg(long = "as", id = "as_device", value_name = "ID", requires = "key")]
    pub(crate) as_device: Option<DeviceId>,
    /// The installation that it is for, as `keyward status` and keyward.json of a bundle have it
    #[arg(long, value_name = "ID", requires = "key", value_parser = installation)]
    pub(crate) installation: Option<String>,
    /// Its number, higher than all before of this key [default: of KEY.sequence, where the next one is kept]
    #[arg(long, value_name = "NUMBER", requires = "key")]
    pub(crate) sequence: Option<u64>,
    /// Encrypt it for who holds the other half of this public key (P-256, PEM or COSE_Key)
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) encrypt_for: Option<PathBuf>,
    /// MQTT 5's correlation data that will stand beside it
    #[arg(long, value_name = "HEX")]
    pub(crate) correlation: Option<Hex>,
    /// For how long it is good [default: a command a minute, a reading as long as the rules say]
    #[arg(long, value_name = "TIME")]
    pub(crate) valid: Option<Span>,
    /// The nonce that the other side gave out for this session, 8 to 16 bytes
    #[arg(long, value_name = "HEX")]
    pub(crate) nonce: Option<Hex>,
    /// Leave the date away, as a device without a clock does; the nonce stands for it
    #[arg(long, requires_all = ["key", "nonce"])]
    pub(crate) undated: bool,
    /// What the payload is, as a CoAP content format: 0 text, 50 JSON, 60 CBOR
    #[arg(long, value_name = "NUMBER")]
    pub(crate) format: Option<u16>,
    /// Write the message into this file [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("direction").args(["from_device", "to_device", "to_all"]).required(true))]
pub(crate) struct OpenArgs {
    /// The message, as bytes, hexadecimal digits or base64; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
    /// The topic on which it came
    #[arg(short, long, value_name = "TOPIC")]
    pub(crate) topic: String,
    /// The device that spoke
    #[arg(long, value_name = "ID")]
    pub(crate) from_device: Option<DeviceId>,
    /// The device to which the server spoke
    #[arg(long, value_name = "ID")]
    pub(crate) to_device: Option<DeviceId>,
    /// The server spoke to all devices, or to a group
    #[arg(long)]
    pub(crate) to_all: bool,
    /// The public key of who signed it (PEM or COSE_Key); --installation says for whom [default: what the installation here knows]
    #[arg(long, value_name = "FILE", requires = "installation")]
    pub(crate) key: Option<PathBuf>,
    /// The installation that it is for, as `keyward status` and keyward.json of a bundle have it [default: the one here; with --key
    /// there is none]
    #[arg(long, value_name = "ID", value_parser = installation)]
    pub(crate) installation: Option<String>,
    /// MQTT 5's correlation data that stood beside it
    #[arg(long, value_name = "HEX")]
    pub(crate) correlation: Option<Hex>,
    /// The private key of the recipient (P-256, PEM, PKCS #8), of a message that is encrypted for one
    #[arg(long, value_name = "FILE")]
    pub(crate) decrypt_key: Option<PathBuf>,
    /// The key of the group, 32 hexadecimal digits in a file, of a message that is encrypted for one
    #[arg(long, value_name = "FILE", requires = "group")]
    pub(crate) group_key: Option<PathBuf>,
    /// The group
    #[arg(long, value_name = "NAME", requires = "group_key")]
    pub(crate) group: Option<String>,
    /// Write the payload into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}
