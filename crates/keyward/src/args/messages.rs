//! Arguments of `pub` and `sub`.

use clap::{Args, ValueEnum};
use keyward_mqtt::packet::{Qos, Version};
use std::path::PathBuf;

/// Says how to reach the broker and as whom.
#[derive(Debug, Args)]
pub(crate) struct ConnectArgs {
    /// Take host, key, certificate and trust anchor from a bundle that `device add` wrote
    #[arg(long, value_name = "DIR", conflicts_with_all = ["ca", "cert"])]
    pub(crate) bundle_dir: Option<PathBuf>,
    /// The broker's name or address [default: of the bundle, else localhost]
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// The broker's port [default: of the bundle, else 8883]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// The trust anchor of the broker: ca.pem; by default that of the bundle, or of the installation on this machine
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// The client's certificate with its chain (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// The client's private key (PEM); with --bundle-dir only if the bundle holds none
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// The user name
    #[arg(long, value_name = "NAME", requires = "password_file")]
    pub(crate) user: Option<String>,
    /// A file that holds the password in its first line; - is standard input
    #[arg(long, value_name = "FILE", requires = "user")]
    pub(crate) password_file: Option<PathBuf>,
    /// The client id [default: the broker chooses]
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: Option<String>,
    /// The version of MQTT
    #[arg(short = 'V', long = "protocol", value_enum, value_name = "VERSION", default_value = "5")]
    pub(crate) version: VersionArg,
    /// Seconds between signs of life; 0 is never
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) keep_alive: u16,
    #[command(flatten)]
    pub(crate) will: WillArgs,
}

/// Is what the broker publishes if it loses this client.
#[derive(Debug, Args)]
pub(crate) struct WillArgs {
    /// Where the broker publishes if it loses this client
    #[arg(long, value_name = "TOPIC")]
    pub(crate) will_topic: Option<String>,
    /// What it publishes then
    #[arg(long, value_name = "TEXT", requires = "will_topic", default_value = "")]
    pub(crate) will_message: String,
    /// The quality of service of the will
    #[arg(long, value_name = "QOS", requires = "will_topic", default_value = "0", value_parser = qos)]
    pub(crate) will_qos: Qos,
    /// Whether the will is retained
    #[arg(long, requires = "will_topic")]
    pub(crate) will_retain: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VersionArg {
    /// MQTT 3.1
    #[value(name = "3.1", alias = "3", alias = "31")]
    V31,
    /// MQTT 3.1.1
    #[value(name = "3.1.1", alias = "4", alias = "311")]
    V311,
    /// MQTT 5.0
    #[value(name = "5", alias = "5.0")]
    V5,
}

impl From<VersionArg> for Version {
    fn from(version: VersionArg) -> Self {
        match version {
            VersionArg::V31 => Self::V31,
            VersionArg::V311 => Self::V311,
            VersionArg::V5 => Self::V5,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct PubArgs {
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    /// Where to publish
    #[arg(short, long, value_name = "TOPIC")]
    pub(crate) topic: String,
    /// The message; without -m and --file it is read from standard input
    #[arg(short, long, value_name = "TEXT", conflicts_with = "file")]
    pub(crate) message: Option<String>,
    /// Publish what this file holds
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The quality of service: 0, 1 or 2
    #[arg(short, long, value_name = "QOS", default_value = "1", value_parser = qos)]
    pub(crate) qos: Qos,
    /// Keep the message for those who subscribe later
    #[arg(short, long)]
    pub(crate) retain: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SubArgs {
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    /// A topic filter; may be given more than once
    #[arg(short = 't', long = "topic", value_name = "FILTER", required = true)]
    pub(crate) topics: Vec<String>,
    /// End after this many messages
    #[arg(short = 'C', long, value_name = "COUNT")]
    pub(crate) count: Option<u64>,
    /// Fail if the messages did not arrive within this many seconds
    #[arg(short = 'W', long, value_name = "SECONDS")]
    pub(crate) wait: Option<u64>,
    /// The highest quality of service: 0, 1 or 2
    #[arg(short, long, value_name = "QOS", default_value = "1", value_parser = qos)]
    pub(crate) qos: Qos,
    /// Print the bytes of the messages and nothing else; without it control characters are escaped
    #[arg(long, conflicts_with = "json")]
    pub(crate) raw: bool,
}

fn qos(text: &str) -> Result<Qos, String> {
    match text {
        "0" => Ok(Qos::AtMostOnce),
        "1" => Ok(Qos::AtLeastOnce),
        "2" => Ok(Qos::ExactlyOnce),
        _ => Err("write 0, 1 or 2".to_owned()),
    }
}
