//! The command line.

use crate::codec::Version;
use crate::load::{Access, Options};
use crate::shape::Shape;
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Measures brokers: load, floor, comparison, profile, memory, disk, floods. Everything runs on 127.0.0.1.
#[derive(Debug, Parser)]
#[command(name = "keyward-bench")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Puts load on a broker that runs already
    Load(LoadArguments),
    /// Runs the minimal relay, the floor of all comparisons
    Relay(RelayArguments),
    /// Measures Keyward, the relay and mosquitto in turns
    Table(TableArguments),
    /// Shows where Keyward's processor time goes (needs perf)
    Profile(ProfileArguments),
    /// Measures what Keyward holds in memory per connection, session, subscription, message
    Memory(MemoryArguments),
    /// Measures what it costs to keep messages for absent readers, and what a crash takes
    Durable(DurableArguments),
    /// Measures how long Keyward needs to be there again after a crash
    Recovery(RecoveryArguments),
    /// Floods Keyward and looks whether a paced client notices
    Floods(FloodArguments),
    /// Measures what the check of signatures costs a client that signs nothing
    Signed(SignedArguments),
    /// Measures what the watch over devices costs them, against a broker that does not watch
    Watched(WatchedArguments),
    /// Scores the watch on series with labelled anomalies (the Numenta Anomaly Benchmark)
    Nab(NabArguments),
    /// Plays the attacker of a flood; `floods` starts it
    #[command(hide = true)]
    Attack(AttackArguments),
}

#[derive(Debug, Args)]
pub(crate) struct LoadArguments {
    /// Where the broker listens
    #[arg(long, default_value = "127.0.0.1:1883")]
    address: SocketAddr,
    /// Speak TLS, and trust the certificates of this PEM file (the broker's must name localhost)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// User name
    #[arg(long, requires = "password")]
    user: Option<String>,
    /// Its password; others on this machine can see it, so use one of a broker made for measuring
    #[arg(long, requires = "user")]
    password: Option<String>,
    /// Who publishes and who reads
    #[arg(long, value_enum, default_value = "pairs")]
    shape: Shape,
    /// Publishers, readers or pairs
    #[arg(long, default_value_t = 100)]
    clients: usize,
    #[arg(long, default_value_t = 0)]
    qos: u8,
    /// Bytes of a payload
    #[arg(long, default_value_t = 64)]
    payload: usize,
    /// Messages in one write
    #[arg(long, default_value_t = 1)]
    burst: u64,
    /// Messages that a publisher may have under way
    #[arg(long, default_value_t = 8)]
    window: u64,
    /// Messages per second of all publishers (open loop); without it as fast as the window allows (closed loop)
    #[arg(long)]
    rate: Option<f64>,
    /// How long to count
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// How long to send before counting
    #[arg(long, default_value_t = 0.3)]
    warm_up: f64,
    /// Speak MQTT 5 instead of 3.1.1
    #[arg(long)]
    v5: bool,
    /// Count this process' processor time: the broker's
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// Run on this core only
    #[arg(long, value_name = "CORE")]
    pub(crate) pin: Option<usize>,
    /// Print JSON for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

impl LoadArguments {
    /// Returns how the broker is reached.
    pub(crate) fn access(&self) -> Access {
        let login = self.user.clone().zip(self.password.clone());
        Access { address: self.address, ca: self.ca.clone(), login }
    }

    /// Returns what is sent.
    pub(crate) fn options(&self) -> Options {
        Options {
            version: if self.v5 { Version::V5 } else { Version::V311 },
            shape: self.shape,
            clients: self.clients,
            qos: self.qos,
            payload: self.payload,
            burst: self.burst,
            window: self.window,
            rate: self.rate,
            warm_up: seconds(self.warm_up),
            length: seconds(self.seconds),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct RelayArguments {
    /// Where to listen without TLS; 0 lets the system choose
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Where to listen with TLS
    #[arg(long, requires_all = ["certificate", "key"])]
    pub(crate) tls_port: Option<u16>,
    /// The certificate chain (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// When to end
    #[arg(long, default_value_t = 3_600.0)]
    pub(crate) seconds: f64,
}

/// Where the compared programs are and how they run.
#[derive(Debug, Args)]
pub(crate) struct StageArguments {
    /// The Keyward that is measured [default: the one beside this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) keyward: Option<PathBuf>,
    /// Keyward's shards (and threads at the door)
    #[arg(long, default_value_t = 1)]
    pub(crate) shards: usize,
    /// Let broker and generator share all cores instead of one each
    #[arg(long)]
    pub(crate) no_pin: bool,
    /// Print JSON for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// The other broker.
#[derive(Debug, Args)]
pub(crate) struct MosquittoArguments {
    /// The mosquitto that is compared [default: where Debian puts it]
    #[arg(long = "mosquitto", value_name = "PATH")]
    pub(crate) program: Option<PathBuf>,
    /// Leave mosquitto out
    #[arg(long = "without-mosquitto", conflicts_with = "program")]
    pub(crate) is_left_out: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TableArguments {
    #[command(flatten)]
    pub(crate) stage: StageArguments,
    #[command(flatten)]
    pub(crate) mosquitto: MosquittoArguments,
    /// Turns of each broker per row
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) turns: u32,
    /// How long each turn is counted
    #[arg(long, default_value_t = 1.2)]
    pub(crate) seconds: f64,
    /// Only rows whose name holds this text, for instance "fan-in" or "TLS"
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ProfileArguments {
    #[command(flatten)]
    pub(crate) stage: StageArguments,
    /// How long each load is counted
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,
    /// Functions shown for each load
    #[arg(long, default_value_t = 12)]
    pub(crate) functions: usize,
    /// Only loads whose name holds this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct MemoryArguments {
    #[command(flatten)]
    pub(crate) stage: StageArguments,
    /// Connections and sessions
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(10..=15_000))]
    pub(crate) count: u32,
}

#[derive(Debug, Args)]
pub(crate) struct DurableArguments {
    #[command(flatten)]
    pub(crate) stage: StageArguments,
    #[command(flatten)]
    pub(crate) mosquitto: MosquittoArguments,
    /// Turns of each broker per load
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) turns: u32,
    /// How long each turn is counted
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,
    /// Acknowledged messages before kill -9
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) acknowledged: u32,
    /// Only brokers whose name holds this text, for instance "keyward" or "synced"
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RecoveryArguments {
    /// The Keyward that is measured [default: the one beside this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) keyward: Option<PathBuf>,
    /// Stored sessions, each with a subscription
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    pub(crate) sessions: u32,
    /// Messages that wait, spread evenly over the sessions
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    pub(crate) messages: u32,
    /// Bytes of a payload
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) payload: u32,
    /// Starts with the store in the page cache, and as many without
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) turns: u32,
    /// Print JSON for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FloodArguments {
    /// The Keyward that is flooded [default: the one beside this program]
    #[arg(long, value_name = "PATH", env = "KEYWARD_BIN")]
    pub(crate) keyward: Option<PathBuf>,
    /// How long the quiet time and each flood are counted
    #[arg(long, default_value_t = 3.5)]
    pub(crate) seconds: f64,
    /// 1.5 seconds each
    #[arg(long, conflicts_with = "seconds")]
    pub(crate) quick: bool,
    /// Only floods whose name holds this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,
    /// Print JSON for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SignedArguments {
    /// The Keyward that is measured [default: the one beside this program]
    #[arg(long, value_name = "PATH", env = "KEYWARD_BIN")]
    pub(crate) keyward: Option<PathBuf>,
    /// How long each step is counted, and the quiet time before it
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
    /// Print JSON for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WatchedArguments {
    /// The Keyward that is measured [default: the one beside this program]
    #[arg(long, value_name = "PATH", env = "KEYWARD_BIN")]
    pub(crate) keyward: Option<PathBuf>,
    /// How long each turn lasts
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
    /// How often both have their turn
    #[arg(long, default_value_t = 7)]
    pub(crate) rounds: u32,
    /// Print JSON for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct NabArguments {
    /// A directory with data/CATEGORY/SERIES.csv, labels/combined_windows.json and config/profiles.json
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Choose the settings for each category on the others, and show what it scores then
    #[arg(long)]
    pub(crate) cross: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AttackArguments {
    /// The flood
    pub(crate) name: String,
    /// What the attacker knows (JSON)
    #[arg(long, value_name = "FILE")]
    pub(crate) scene: PathBuf,
    /// When to end
    #[arg(long)]
    pub(crate) seconds: f64,
}

/// Returns a time; nonsense is zero, which the load refuses.
pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
}
