//! Where Keyward's processor time goes: shares of kernel, TLS, own code and libc by `perf record`, system calls per
//! message by `perf stat`. Each load runs twice, for the two would disturb each other.

use crate::CpuWatch;
use crate::args::{ProfileArguments, seconds};
use crate::error::BenchError;
use crate::files;
use crate::load::{self, Outcome, Watcher};
use crate::stage::{Broker, Keyward, Layout};
use crate::table::row::{self, Row};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What system calls are told apart; the rest is what `raw_syscalls` counts beyond them.
const CALLS: [&str; 4] = ["epoll_wait", "recvfrom", "sendto", "epoll_ctl"];
/// More calls of the same kinds by another name.
const ALIASES: [(&str, &str); 4] =
    [("read", "recvfrom"), ("write", "sendto"), ("writev", "sendto"), ("sendmsg", "sendto")];

/// One load's profile.
#[derive(Debug, Serialize)]
struct Profile {
    load: String,
    cpu_us_per_message: f64,
    per_second: f64,
    /// Share of samples by part.
    shares: BTreeMap<&'static str, f64>,
    /// Calls per delivered message; empty if the system does not let perf count them.
    calls_per_message: BTreeMap<String, f64>,
    /// The dearest functions and their share.
    functions: Vec<(String, f64)>,
}

/// Profiles all loads and returns them as Markdown or JSON.
///
/// # Errors
/// Without `perf`, or if it may not look at other processes.
pub(crate) fn run(arguments: &ProfileArguments) -> Result<String, BenchError> {
    perf_is_there()?;
    let layout = Layout::new(!arguments.stage.no_pin);
    let keyward = Keyward::measured(arguments.stage.keyward.as_deref(), arguments.stage.shards);
    let broker = Keyward { dumpable: true, ..keyward }.start(&layout)?;
    let only = arguments.only.as_deref().unwrap_or_default();
    let length = seconds(arguments.seconds);
    let mut profiles = Vec::new();
    for tls in [false, true] {
        let rows =
            [row::one_per_write(tls, length), row::fan_out(tls, length), row::pairs_at_qos_1(tls, length)];
        for row in rows.iter().filter(|row| row.name.contains(only)) {
            profiles.push(profile(row, &broker, arguments.functions)?);
        }
    }
    if arguments.stage.json {
        return Ok(serde_json::json!({ "schema": 1, "profiles": profiles }).to_string());
    }
    Ok(markdown(&broker.about, &layout.describe(), &profiles))
}

fn perf_is_there() -> Result<(), BenchError> {
    let found = Command::new("perf").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.map(|_| ()).map_err(|_| BenchError::Missing {
        program: "perf".to_owned(),
        remedy: "apt-get install linux-perf".to_owned(),
    })
}

fn profile(row: &Row, broker: &Broker, functions: usize) -> Result<Profile, BenchError> {
    let folder = files::temporary()?;
    let mut undisturbed = CpuWatch::new(broker.pid());
    let outcome = load::run(broker.access(row.tls), &row.options, &mut undisturbed)?;
    let recorded = folder.path().join("recorded");
    let mut record = Perf::new(recording(broker.pid(), &recorded));
    load::run(broker.access(row.tls), &row.options, &mut record)?;
    let samples = samples(&recorded)?;
    let counted = folder.path().join("counted");
    let mut count = Perf::new(counting(broker.pid(), &counted));
    let while_counted = load::run(broker.access(row.tls), &row.options, &mut count)?;
    Ok(Profile {
        load: row.name.clone(),
        cpu_us_per_message: outcome.micros_per_message(undisturbed.used),
        per_second: outcome.rate(),
        shares: shares(&samples),
        calls_per_message: calls(&counted, &while_counted),
        functions: dearest(samples, functions),
    })
}

/// Runs `perf` for the counted part of a load.
struct Perf {
    command: Command,
    running: Option<Child>,
}

impl Perf {
    fn new(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { command, running: None }
    }
}

impl Watcher for Perf {
    fn opened(&mut self) -> Result<(), BenchError> {
        self.running = Some(self.command.spawn().map_err(BenchError::io("starting perf"))?);
        Ok(())
    }

    fn closed(&mut self) -> Result<(), BenchError> {
        let Some(mut child) = self.running.take() else { return Ok(()) };
        // An interrupt makes it write what it has; a kill would lose it.
        let pid = rustix::process::Pid::from_child(&child);
        let asked = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        asked.map_err(|error| BenchError::Io { doing: "stopping perf".to_owned(), source: error.into() })?;
        child.wait().map(|_| ()).map_err(BenchError::io("waiting for perf"))
    }
}

fn recording(pid: u32, to: &Path) -> Command {
    let mut command = Command::new("perf");
    command
        .args(["record", "-q", "-e", "cpu-clock", "-F", "1999", "-p"])
        .arg(pid.to_string())
        .arg("-o")
        .arg(to);
    command
}

fn counting(pid: u32, to: &Path) -> Command {
    let names = CALLS.into_iter().chain(ALIASES.map(|(name, _)| name));
    let each: Vec<String> = names.map(|name| format!("syscalls:sys_enter_{name}")).collect();
    let mut command = Command::new("perf");
    command.args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-e"]).arg(each.join(","));
    command.arg("-p").arg(pid.to_string()).arg("-o").arg(to);
    command
}

/// A function, where it is, and its share of the samples in percent.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    share: f64,
    object: String,
    function: String,
}

fn samples(recorded: &PathBuf) -> Result<Vec<Sample>, BenchError> {
    let mut command = Command::new("perf");
    command.args(["report", "-q", "--stdio", "--no-children", "-F", "overhead,dso,sym", "-t", "\t", "-i"]);
    let output = command.arg(recorded).output().map_err(BenchError::io("reading perf's samples"))?;
    let found: Vec<Sample> = String::from_utf8_lossy(&output.stdout).lines().filter_map(sample).collect();
    if found.is_empty() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(BenchError::broker("perf", format!("no samples (root may have to run this): {said}")));
    }
    Ok(found)
}

/// Reads a line of the report: share, object and `[.] name`, with tabs between.
fn sample(line: &str) -> Option<Sample> {
    let mut parts = line.splitn(3, '\t').map(str::trim);
    let share = parts.next()?.strip_suffix('%')?.trim().parse().ok()?;
    let object = parts.next()?.to_owned();
    let function = parts.next()?;
    let function = function.get(4..).unwrap_or(function).trim().to_owned();
    Some(Sample { share, object, function })
}

fn shares(samples: &[Sample]) -> BTreeMap<&'static str, f64> {
    let mut shares = BTreeMap::new();
    for sample in samples {
        *shares.entry(part(sample)).or_insert(0.0) += sample.share;
    }
    shares
}

/// Which part of the program a sample belongs to, by object and the crate in its name.
fn part(sample: &Sample) -> &'static str {
    let name = sample.function.as_str();
    // What rustls calls; the shell's own channel around it counts as own code.
    let tls = ["rustls", "aws_lc", "aes_", "gcm_", "AES_", "EVP_", "CRYPTO_", "OPENSSL_"];
    if sample.object.contains("kernel") || sample.object.contains("vdso") {
        "kernel"
    } else if sample.object.starts_with("libc") || sample.object.starts_with("ld-") {
        "libc (memory, copying)"
    } else if tls.iter().any(|front| name.trim_start_matches('<').starts_with(front)) {
        "TLS"
    } else {
        "own code"
    }
}

fn dearest(mut samples: Vec<Sample>, count: usize) -> Vec<(String, f64)> {
    // The kernel's functions say little that we could change; its share stands above.
    samples.retain(|sample| part(sample) != "kernel");
    samples.sort_by(|a, b| b.share.total_cmp(&a.share));
    samples.into_iter().take(count).map(|sample| (sample.function, sample.share)).collect()
}

fn calls(counted: &Path, outcome: &Outcome) -> BTreeMap<String, f64> {
    let text = std::fs::read_to_string(counted).unwrap_or_default();
    let mut calls = BTreeMap::new();
    for (name, count) in text.lines().filter_map(call) {
        let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
        *calls.entry(name.to_owned()).or_insert(0.0) += count / outcome.delivered as f64;
    }
    calls
}

/// Reads a line of perf's counts: `1234,,syscalls:sys_enter_read,…`.
fn call(line: &str) -> Option<(&str, f64)> {
    let mut fields = line.split(',');
    let count = fields.next()?.parse().ok()?;
    let event = fields.nth(1)?;
    let name = if event.starts_with("raw_") { "all" } else { event.strip_prefix("syscalls:sys_enter_")? };
    Some((name, count))
}

fn markdown(about: &str, layout: &str, profiles: &[Profile]) -> String {
    // Writing to a String cannot fail.
    let mut text = String::from(
        "| load | CPU µs/message | k/s | shares | calls per message |\n| --- | ---: | ---: | --- | --- |\n",
    );
    for profile in profiles {
        let shares: Vec<String> =
            profile.shares.iter().map(|(part, share)| format!("{part} {share:.0} %")).collect();
        let calls: Vec<String> = profile
            .calls_per_message
            .iter()
            .filter(|(_, count)| **count >= 0.005)
            .map(|(name, count)| format!("{name} {count:.2}"))
            .collect();
        let (load, cpu, rate) = (&profile.load, profile.cpu_us_per_message, profile.per_second / 1e3);
        let _ = writeln!(
            text,
            "| {load} | {cpu:.2} | {rate:.0} | {} | {} |",
            shares.join(", "),
            calls.join(", ")
        );
    }
    let _ =
        writeln!(text, "\nperf record -e cpu-clock -F 1999, perf stat on tracepoints; {about}; {layout}.");
    for profile in profiles {
        let _ = writeln!(text, "\n{}:\n", profile.load);
        for (name, share) in &profile.functions {
            let _ = writeln!(text, "- {share:.1} % `{name}`");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampled(object: &str, function: &str) -> Sample {
        Sample { share: 1.0, object: object.to_owned(), function: function.to_owned() }
    }

    #[test]
    fn a_line_of_the_report_is_a_share_an_object_and_a_function() {
        let found = sample("     4.20%\tkeyward          \t[.] keyward_broker::tree::Tree::visit").unwrap();
        assert_eq!(found, Sample { share: 4.2, ..sampled("keyward", "keyward_broker::tree::Tree::visit") });
        assert_eq!(sample("# a comment"), None);
    }

    #[test]
    fn samples_are_told_apart_by_object_and_crate() {
        assert_eq!(part(&sampled("[kernel.kallsyms]", "tcp_sendmsg")), "kernel");
        assert_eq!(part(&sampled("keyward", "rustls::conn::unbuffered::x")), "TLS");
        assert_eq!(part(&sampled("keyward", "<rustls::record_layer::RecordLayer>::y")), "TLS");
        assert_eq!(part(&sampled("keyward", "aws_lc_0_36_0_aesni_gcm_encrypt")), "TLS");
        assert_eq!(part(&sampled("keyward", "keyward_broker::shard::Shard::handle")), "own code");
        assert_eq!(part(&sampled("libc.so.6", "malloc")), "libc (memory, copying)");
    }

    #[test]
    fn a_count_of_perf_is_a_number_and_a_call() {
        assert_eq!(call("1234,,syscalls:sys_enter_recvfrom,100,100.00,,"), Some(("recvfrom", 1234.0)));
        assert_eq!(call("99,,raw_syscalls:sys_enter,100,100.00,,"), Some(("all", 99.0)));
        assert_eq!(call("<not counted>,,syscalls:sys_enter_read,0,0,,"), None);
    }
}
