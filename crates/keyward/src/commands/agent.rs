//! `keyward agent`: this machine as a device.

use crate::agent::config::{Config, default_keys};
use crate::agent::{run, socket};
use crate::args::{AgentCommand, AgentEnrollArgs};
use crate::clock::day;
use crate::failure::{Failure, Outcome};
use crate::hex;
use crate::screen::Screen;
use base64ct::{Base64, Encoding};
use keyward_device::enrol::{self, Claim, Membership, MembershipError};
use keyward_device::limits::CLAIM_BYTES;
use keyward_device::{Endorsement, KeyError, KeySpec, KeyStore, Protection, found};
use keyward_identity::files;
use keyward_server::escape::escape;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long an agent may take to answer a line.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Runs the command.
pub(crate) fn run(screen: Screen, command: &AgentCommand) -> Outcome {
    match command {
        AgentCommand::Enroll(args) => enroll(screen, args),
        AgentCommand::Tpm { keys } => tpm(screen, keys.as_deref()),
        AgentCommand::Run { config } => run::run(&Config::load(config)?),
        AgentCommand::Status { config } => status(screen, &Config::load(config)?),
        AgentCommand::Send { config, topic, payload } => send(screen, &Config::load(config)?, topic, payload),
    }
}

fn enroll(screen: Screen, args: &AgentEnrollArgs) -> Outcome {
    let spec = match &args.keys {
        Some(text) => text.parse().map_err(Failure::misuse)?,
        None => default_keys(&args.folder),
    };
    match Membership::load(&args.folder) {
        Ok(kept) if !args.again => {
            return Err(Failure::failed(format!(
                "{}: this is {} already; give --again to enrol it anew, or another --folder",
                args.folder.display(),
                kept.device
            )));
        }
        Ok(_) | Err(MembershipError::None(_)) => {}
        Err(MembershipError::File(error)) if error.is_not_found() => {}
        Err(_) if args.again => {}
        Err(error) => return Err(Failure::failed(error)),
    }
    let (claim, is_open) = read_claim(&args.claim)?;
    files::ensure_private_dir(&args.folder).map_err(Failure::failed)?;
    let keys = keys(&spec)?;
    found(&args.folder, keys.as_ref()).map_err(Failure::failed)?;
    // Where the keys are in a TPM, it vouches for them, or the device is not enrolled.
    let tpm = keys.endorsement().map_err(Failure::failed)?.map(|tpm| hex::encode(&tpm.fingerprint));
    let membership = enrol::enrol(&claim, &keys, &args.folder).map_err(Failure::failed)?;
    if screen.is_json() {
        return screen.json(
            "enrolled",
            &serde_json::json!({
                "device": membership.device.as_str(),
                "installation": membership.installation.as_str(),
                "level": if tpm.is_some() { 3 } else { keys.protection().level() },
                "tpm": tpm,
                "expires_unix_ms": membership.expires * 1_000,
                "claim_was_open_to_others": is_open,
            }),
        );
    }
    screen.print(&format!(
        "This is {} of installation {}, until {}.\nKeys: {}\n{}{}",
        membership.device,
        membership.installation,
        day(membership.expires * 1_000),
        escape(&spec.describe()),
        match tpm {
            Some(tpm) => format!("Level 3: the server saw that they are in the TPM {tpm}\n"),
            None => warning(keys.as_ref()).to_owned(),
        },
        match is_open {
            true => format!(
                "  note: until now others on this machine could read {}: whoever used the code first would be this device. It is used up; next \
                 time write it so: umask 077\n",
                escape(&args.claim.to_string_lossy())
            ),
            false => String::new(),
        },
    ))
}

/// Says which TPM this machine has.
fn tpm(screen: Screen, keys: Option<&str>) -> Outcome {
    let spec: KeySpec = keys.unwrap_or("tpm:.").parse().map_err(Failure::misuse)?;
    let KeySpec::Tpm { place, .. } = &spec else {
        return Err(Failure::misuse(
            "--keys names no TPM; it begins with tpm:, as in tpm:/var/lib/keyward-agent/keys",
        ));
    };
    let found = Endorsement::ask(place).map_err(Failure::failed)?;
    let fingerprint = hex::encode(&found.fingerprint);
    if screen.is_json() {
        return screen.json(
            "tpm",
            &serde_json::json!({
                "fingerprint": fingerprint,
                "endorsement_key": Base64::encode_string(&found.spki),
                "endorsement_certificate": found.certificate.as_deref().map(Base64::encode_string),
            }),
        );
    }
    screen.print(&format!("{fingerprint}\n"))
}

/// Says what a file is worth.
fn warning(keys: &dyn KeyStore) -> &'static str {
    match keys.protection() {
        Protection::File => {
            "Level 0: whoever reads these files once, from a copy of the disk or a backup, can be this device for ever.\n\
             With a TPM or a token the keys cannot be copied: --keys tpm:DIR or --keys pkcs11:…\n"
        }
        Protection::Sealed | Protection::Hardware => "",
    }
}

/// Opens the keys, or makes them if there are none: a crash may have come after that.
fn keys(spec: &KeySpec) -> Outcome<Arc<dyn KeyStore>> {
    match spec.open() {
        Err(KeyError::Missing { .. }) => spec.create().map_err(Failure::failed),
        other => other.map_err(Failure::failed),
    }
}

/// Reads a claim, and tells whether others could.
fn read_claim(path: &Path) -> Outcome<(Claim, bool)> {
    if path.to_str().is_some_and(|text| text.starts_with("keyward://")) {
        return Err(Failure::misuse(
            "a claim is no argument, for whoever lists processes reads it, and may have by now: ask for another one, and give it in a file or on \
             standard input",
        ));
    }
    let mut text = Zeroizing::new(String::with_capacity(CLAIM_BYTES + 2));
    let most = CLAIM_BYTES as u64 + 1;
    let mut is_open = false;
    let read = if path == Path::new("-") {
        std::io::stdin().take(most).read_to_string(&mut text)
    } else {
        let file = files::open_regular(path).map_err(Failure::failed)?;
        is_open = file.metadata().is_ok_and(|of| of.mode() & 0o044 != 0);
        file.take(most).read_to_string(&mut text)
    };
    read.map_err(|error| Failure::file(path, &error))?;
    let claim =
        Claim::parse(&text).map_err(|error| Failure::failed(format!("{}: {error}", name_of(path))))?;
    Ok((claim, is_open))
}

fn name_of(path: &Path) -> String {
    match path == Path::new("-") {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    }
}

fn status(screen: Screen, config: &Config) -> Outcome {
    let running =
        config.socket.as_ref().and_then(|place| socket::ask(&place.path, b"!status", ANSWER_TIME).ok());
    let running: Option<serde_json::Value> = running.and_then(|answer| serde_json::from_str(&answer).ok());
    let kept = Membership::load(&config.folder).map_err(Failure::failed)?;
    let level = kept.level(config.keys().protection());
    if screen.is_json() {
        let offline = serde_json::json!({
            "device": kept.device.as_str(), "installation": kept.installation.as_str(), "level": level, "running": false,
        });
        return screen.json("agent", &running.unwrap_or(offline));
    }
    let mut text = format!(
        "{} of installation {}\n  keys         {}\n  certificate  until {}\n",
        kept.device,
        kept.installation,
        escape(&config.keys().describe()),
        day(kept.expires * 1_000)
    );
    match running {
        None => text.push_str("  agent        does not run, or has no socket\n"),
        Some(status) => {
            let word = |name: &str| match &status[name] {
                serde_json::Value::String(text) => escape(text),
                serde_json::Value::Null => "no".to_owned(),
                other => other.to_string(),
            };
            for (title, name) in [
                ("connected", "connected"),
                ("waiting", "waiting"),
                ("kept aside", "aside"),
                ("dropped", "dropped"),
                ("not obeyed", "refused_commands"),
                ("starts", "boot_count"),
            ] {
                text.push_str(&format!("  {title:<12} {}\n", word(name)));
            }
        }
    }
    screen.print(&text)
}

fn send(screen: Screen, config: &Config, topic: &str, payload: &str) -> Outcome {
    let Some(place) = &config.socket else {
        return Err(Failure::failed(
            "the agent has no socket; add to its configuration:\n[socket]\npath = \"/run/keyward-agent/agent.sock\"",
        ));
    };
    let payload = match payload {
        "-" => {
            let mut bytes = Vec::new();
            let most = keyward_device::limits::READING_BYTES as u64 + 1;
            std::io::stdin()
                .take(most)
                .read_to_end(&mut bytes)
                .map_err(|error| Failure::file(Path::new("-"), &error))?;
            bytes
        }
        text => text.as_bytes().to_vec(),
    };
    let line = serde_json::json!({ "topic": topic, "base64": Base64::encode_string(&payload) }).to_string();
    // A reading is acknowledged when its batch is stored.
    let longest = config.batches("").iter().map(|batch| batch.within).max().unwrap_or_default();
    let answer = socket::ask(&place.path, line.as_bytes(), longest + ANSWER_TIME)?;
    match answer.strip_prefix("ok ") {
        Some(id) => screen.print(&format!("stored as {}\n", escape(id))),
        None => Err(Failure::failed(answer.strip_prefix("error ").unwrap_or(&answer))),
    }
}
