//! `keyward store restore`.

use super::{Progress, opener};
use crate::args::RestoreArgs;
use crate::clock::moment;
use crate::failure::Outcome;
use crate::reach::{Site, counted};
use keyward_server::backup::{self as backups, RestoreOptions, Restored, restore_messages};
use keyward_server::escape::escape;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Runs the command.
pub(super) fn run(site: &Site, args: &RestoreArgs) -> Outcome {
    let opener = opener(&args.file, &args.opening)?;
    let mut progress = Progress::new(site, "read");
    let mut progress = |bytes| progress.tell(bytes);
    if args.messages {
        let (replaced, found) =
            restore_messages(&site.home, site.access(), &args.file, &opener, &mut progress)?;
        if site.screen.is_json() {
            let value = json!({
                "manifest": found.manifest, "rows": found.rows, "replaced": shown(replaced.as_deref()),
            });
            return site.screen.json("restored", &value);
        }
        let mut text =
            format!("Restored sessions and messages of {}.\n", moment(found.manifest.taken_unix_ms));
        text.push_str(&kept(replaced.as_deref()));
        return site.screen.print(&(text + &repeats(site)));
    }
    let options = RestoreOptions {
        path: &args.file,
        opener: &opener,
        revoked: args.revoked.as_deref(),
        with_messages: !args.without_messages,
    };
    let restored = backups::restore(&site.home, &options, &mut progress)?;
    if site.screen.is_json() {
        return site.screen.json("restored", &value(&restored));
    }
    site.screen.print(&tell(site, &restored))
}

fn tell(site: &Site, restored: &Restored) -> String {
    let mut text = format!(
        "Restored {} into {}, as of {}.\n",
        escape(&restored.manifest.installation),
        site.home.directory().display(),
        moment(restored.manifest.taken_unix_ms),
    );
    for line in restored.report.to_string().lines() {
        let _ = writeln!(text, "{}", escape(line));
    }
    let _ = match restored.rows {
        Some(rows) => writeln!(text, "Sessions and messages: {}.", counted(rows, "record", "records")),
        None => writeln!(
            text,
            "Sessions and messages are not in it, or were left out: those that were there stay."
        ),
    };
    if !restored.stays.is_empty() {
        let _ = writeln!(text, "What was there stays, for it may be newer: {}.", restored.stays.join(", "));
    }
    text.push_str(&kept(restored.replaced.as_deref()));
    if !restored.missing_keys.is_empty() {
        text.push_str(&missing(site, &restored.missing_keys));
        return text;
    }
    if restored.rows.is_some() {
        text.push_str(&repeats(site));
    } else {
        let _ = writeln!(text, "Now start it: {}", site.program.command("up"));
    }
    text
}

fn kept(replaced: Option<&Path>) -> String {
    replaced.map(|path| format!("What lay there before is kept in {}.\n", path.display())).unwrap_or_default()
}

fn repeats(site: &Site) -> String {
    format!(
        "What was delivered since the backup may come again, at QoS 2 too. Where messages have to be signed, those are refused that are\n\
         dated before now and not known from the backup: nobody knows which of them were taken.\nNow start it: {}\n",
        site.program.command("up")
    )
}

fn missing(site: &Site, keys: &[PathBuf]) -> String {
    let mut text = "\nThe backup holds no private keys, and these are missing. Without them the broker does not start:\n".to_owned();
    for key in keys {
        let _ = writeln!(text, "  {}", key.display());
    }
    let _ = writeln!(
        text,
        "Bring them from the old host (mode 600), or from wherever they are kept, or restore a backup that was made with\n\
         --with-keys; then start it: {}",
        site.program.command("up")
    );
    text
}

fn shown(path: Option<&Path>) -> Option<String> {
    path.map(|path| path.display().to_string())
}

fn value(restored: &Restored) -> Value {
    let report = &restored.report;
    json!({
        "manifest": restored.manifest,
        "rows": restored.rows,
        "replaced": shown(restored.replaced.as_deref()),
        "missing_keys": restored.missing_keys.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
        "stays": restored.stays,
        "unknown_from_unix_ms": report.unknown.map(|(from, _)| from.0),
        "unknown_to_unix_ms": report.unknown.map(|(_, to)| to.0),
        "unconfirmed": report.unconfirmed,
        "authorities_to_confirm": report.authorities.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "lists_not_at_hand": report.outdated.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "revoked": report.applied.revoked,
        "removed": report.applied.removed,
        "disabled": report.applied.disabled,
        "quarantined": report.applied.quarantined,
        "passwords_taken": report.applied.passwords,
        "certificates_taken": report.applied.certificates,
        "strangers": report.strangers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "sentences": report.to_string().lines().collect::<Vec<_>>(),
    })
}
