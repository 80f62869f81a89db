//! `keyward store backup`.

use super::{Progress, is_rows, size, summary};
use crate::args::BackupArgs;
use crate::clock;
use crate::failure::{Failure, Outcome};
use crate::reach::Site;
use crate::secret;
use keyward_identity::files;
use keyward_server::backup::keys::{self, Passphrase};
use keyward_server::backup::seal::Lock;
use keyward_server::backup::{self as backups, Made, MakeOptions};
use keyward_server::quoting::quote;
use std::io::{self, IsTerminal, Write as _};
use std::path::Path;

const OPEN_WARNING: &str = "this backup is not encrypted: whoever reads the file reads every message and every password's hash in it";

/// Runs the command.
pub(super) fn run(site: &Site, args: &BackupArgs) -> Outcome {
    let lock = lock(args)?;
    let path = match &args.file {
        Some(path) => path.clone(),
        None => {
            site.home.check()?;
            let path = backups::usual_path(&site.home, clock::unix_ms(), args.plain);
            files::ensure_private_dir(path.parent().unwrap_or(site.home.directory()))?;
            path
        }
    };
    let options = MakeOptions {
        path: &path,
        force: args.force,
        lock: &lock,
        with_keys: args.with_keys,
        with_messages: !args.without_messages,
    };
    let mut progress = Progress::new(site, "written");
    let made = backups::make(&site.home, site.access(), &options, &mut |bytes| progress.tell(bytes))?;
    drop(progress);
    if args.plain {
        // A person reads it; a script finds `encrypted` in the answer.
        let _ = writeln!(io::stderr(), "warning: {OPEN_WARNING}");
    }
    if site.screen.is_json() {
        let mut value = summary(&path, &made.manifest, &made.contents);
        value["encrypted"] = (!args.plain).into();
        return site.screen.json("backup", &value);
    }
    site.screen.print(&tell(site, &path, &made, args))
}

/// Decides under what the backup is locked; nobody gets an open one who did not ask for it.
fn lock(args: &BackupArgs) -> Outcome<Lock> {
    if args.plain {
        return Ok(Lock::Open);
    }
    let mut keys = args.to.clone();
    if let Some(file) = &args.to_file {
        keys.extend(keys::read_public_keys(file)?);
    }
    if !keys.is_empty() {
        return Ok(Lock::Keys(keys));
    }
    if let Some(file) = &args.backup_passphrase_file {
        return Ok(Lock::Passphrase(keys::read_passphrase(file)?));
    }
    if let Some(passphrase) = keys::credential()? {
        return Ok(Lock::Passphrase(passphrase));
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::misuse(
            "a backup is encrypted, and there is no terminal to ask for a passphrase: give --backup-passphrase-file FILE, \
             or --to with an age public key; --plain makes one that everybody can read",
        ));
    }
    let typed = secret::ask_new("Passphrase of this backup: ")?;
    Ok(Lock::Passphrase(Passphrase::new(&typed)?))
}

fn tell(site: &Site, path: &Path, made: &Made, args: &BackupArgs) -> String {
    let bytes = std::fs::metadata(path).map(|found| found.len()).unwrap_or_default();
    let messages: u64 =
        made.contents.iter().filter(|content| is_rows(content)).map(|content| content.size).sum();
    let what = match made.manifest.messages {
        true => format!("{} of it sessions and messages", size(messages)),
        false => "without sessions and messages".to_owned(),
    };
    let keys = match made.manifest.private_keys {
        true => "It holds the private keys: keep it in a safe.",
        false => {
            "It holds no private key of the authorities: keep DIR/keys elsewhere too, or make one with --with-keys."
        }
    };
    let mut text = format!("Wrote {} ({}, {what}).\n{keys}\n", path.display(), size(bytes));
    if args.file.is_none() {
        text.push_str("It lies on the disk that it is a backup of: copy it to another one.\n");
    }
    let list = format!("store list {}", quote(&path.to_string_lossy()));
    text + &format!("To look into it: {}\n", site.program.command(&list))
}
