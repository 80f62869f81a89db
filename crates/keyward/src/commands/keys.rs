//! `keyward keys`: the keys by which devices sign their messages, and those to which is encrypted.

use crate::args::{KeysAddArgs, KeysCommand, Purpose as AskedPurpose};
use crate::clock::{day, moment};
use crate::commands::key_files::{agreement_key, message_key};
use crate::failure::Outcome;
use crate::reach::Site;
use crate::screen::table;
use keyward_server::control::{
    Der, KeysAdd, MessageKeyRow, MessageKeyState, Purpose, Request, Response, ServerKeyRow, ServerKeyRows,
    ServerKeyState,
};
use keyward_server::escape::escape;

/// Runs the command.
pub(crate) fn run(site: &Site, command: KeysCommand) -> Outcome {
    match command {
        KeysCommand::List { id } => list(site, Request::KeysList { id: id.map(|id| id.to_string()) }),
        KeysCommand::Server => server(site),
        KeysCommand::RotateCommand { after, overlap } => site.change(Request::KeysRotateCommand {
            lead_secs: after.0.as_secs(),
            overlap_secs: overlap.0.as_secs(),
        }),
        KeysCommand::Add(args) => add(site, &args),
        KeysCommand::Retire { id, kid, overlap } => site.change(Request::KeysRetire {
            id: id.to_string(),
            kid: kid.to_string(),
            overlap_secs: overlap.0.as_secs(),
        }),
        KeysCommand::Withdraw { id, kid } => {
            site.change(Request::KeysWithdraw { id: id.to_string(), kid: kid.to_string() })
        }
    }
}

fn list(site: &Site, request: Request) -> Outcome {
    site.show(&site.ask(request)?, |response| match response {
        Response::MessageKeys(rows) if rows.is_empty() => Some(format!(
            "No message keys are registered. Register one: {}\n",
            site.program.command("keys add dev01 dev01.pub")
        )),
        Response::MessageKeys(rows) => Some(listing(rows)),
        _ => None,
    })
}

fn server(site: &Site) -> Outcome {
    site.show(&site.ask(Request::KeysServer)?, |response| match response {
        Response::ServerKeys(rows) => Some(server_listing(rows)),
        _ => None,
    })
}

fn server_listing(keys: &ServerKeyRows) -> String {
    let row = |row: &ServerKeyRow| {
        let (does, from) = match row.state {
            ServerKeyState::Pinned => ("signs key sets; devices pin it", None),
            ServerKeyState::Signing => ("signs commands", None),
            ServerKeyState::Waiting => ("is to sign commands", row.signs_from_unix_ms),
            ServerKeyState::Leaving => ("signed commands, believed still", None),
        };
        let of = |time: Option<u64>| time.map(moment).unwrap_or_default();
        [row.kid.clone(), does.to_owned(), of(from), of(row.until_unix_ms)]
    };
    let mut text =
        table(["key", "does", "from", "until"], keys.installation.iter().chain(&keys.commands).map(row));
    match &keys.key_set {
        Some(set) => {
            let end = moment(set.expires_unix_ms);
            text.push_str(&format!("Key set {}: on $keyward/keys/server, good until {end}.\n", set.version));
        }
        None => {
            text.push_str("There is no key set yet; start the broker, and look at its log if none comes.\n")
        }
    }
    text
}

fn add(site: &Site, args: &KeysAddArgs) -> Outcome {
    let (key, purpose) = match args.purpose {
        AskedPurpose::Sign => (message_key(&args.file, args.level)?.cose(), Purpose::Sign),
        AskedPurpose::Encrypt => (agreement_key(&args.file)?.cose(), Purpose::Encrypt),
    };
    let request =
        Request::KeysAdd(KeysAdd { id: args.id.to_string(), key: Der(key), purpose, level: args.level });
    site.show(&site.ask(request)?, |response| match response {
        Response::MessageKeys(rows) => Some(rows.iter().map(tell_added).collect()),
        _ => None,
    })
}

fn tell_added(row: &MessageKeyRow) -> String {
    let (kid, holder) = (&row.kid, holder(row));
    let warning = match row.level {
        None => return format!("{kid} is the key to which is encrypted for {holder} from now on.\n"),
        Some(0) => "Level 0: whoever copies the file of the private key can sign as this device.\n",
        Some(1) => "Level 1: whoever has the whole machine can sign as this device.\n",
        _ => "",
    };
    format!("{kid} is a message key of {holder} ({}).\n{warning}", row.algorithm)
}

fn holder(row: &MessageKeyRow) -> String {
    match (&row.device, &row.user) {
        (Some(device), _) => format!("device:{}", escape(device)),
        (None, user) => format!("user:{}", escape(user.as_deref().unwrap_or_default())),
    }
}

fn listing(rows: &[MessageKeyRow]) -> String {
    let rows = rows.iter().map(|row| {
        [
            row.device.clone().unwrap_or_else(|| holder(row)),
            row.kid.clone(),
            row.algorithm.clone(),
            level(row),
            match row.state {
                MessageKeyState::Active => "active",
                MessageKeyState::Overlapping => "overlapping",
                MessageKeyState::Retired => "retired",
            }
            .to_owned(),
            row.until_unix_ms.map(day).unwrap_or_default(),
            day(row.registered_unix_ms),
        ]
    });
    table(["device", "key", "algorithm", "level", "now", "until", "registered"], rows)
}

/// Says what a key is for.
pub(crate) fn purpose(row: &MessageKeyRow) -> &'static str {
    match row.purpose {
        Purpose::Sign => "signing",
        Purpose::Encrypt => "decrypting",
    }
}

/// Says what the level of a key is worth, and how it is known.
pub(crate) fn level(row: &MessageKeyRow) -> String {
    let Some(level) = row.level else { return String::new() };
    let worth = match (level, &row.tpm) {
        (_, Some(tpm)) => {
            let digits: String = tpm.fingerprint.chars().take(16).collect();
            let named = if tpm.named { "" } else { ", named by nobody before" };
            format!("certified (TPM {}{named})", escape(&digits))
        }
        (0, None) => "in a file, can be copied".to_owned(),
        (1, None) => "claimed: sealed to the machine".to_owned(),
        (2, None) => "claimed: in hardware".to_owned(),
        (_, None) => "claimed: in hardware that vouched for it".to_owned(),
    };
    format!("{level}: {worth}")
}
