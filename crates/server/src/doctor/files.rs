//! What lies in the directory of the installation and should not, or is open to others.

use super::{Check, Facts, Mend, Profile, Weakness};
use crate::status::StorageState;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "root-keys",
        from: Profile::Home,
        why: "whoever breaks into this machine takes them, and is then the authority that all clients trust",
        look: root_keys,
    },
    Check {
        name: "open-files",
        from: Profile::Home,
        why: "other users of this machine can read or change them",
        look: open_files,
    },
    Check {
        name: "keys-unsealed",
        from: Profile::Commercial,
        why: "whoever copies the disk has the keys of the issuing authorities",
        look: unsealed,
    },
    Check {
        name: "message-store",
        from: Profile::Home,
        why: "what has to be stored is refused, or was lost",
        look: store,
    },
];

fn root_keys(facts: &Facts) -> Vec<Weakness> {
    let weakness = |folder: &String| {
        let what = format!("the root keys lie in {folder}");
        Weakness::new(
            what,
            Mend::by(format!(
                "move {folder} to a safe place, for instance two USB sticks; the broker never needs it"
            )),
        )
    };
    facts.status.offline_folder.iter().map(weakness).collect()
}

fn open_files(facts: &Facts) -> Vec<Weakness> {
    let weakness = |file: &super::OpenFile| {
        let path = file.path.display().to_string();
        let what = format!("{path} has the mode {:03o}", file.mode);
        Weakness::new(what, Mend::shell(format!("chmod {:03o} {}", file.fit, quote(&path))))
    };
    facts.open_files.iter().map(weakness).collect()
}

/// Quotes a path for a shell.
fn quote(path: &str) -> String {
    format!("'{}'", path.replace('\'', r"'\''"))
}

fn unsealed(facts: &Facts) -> Vec<Weakness> {
    if facts.are_keys_sealed {
        return Vec::new();
    }
    let what = "no passphrase protects the keys on disk";
    vec![Weakness::new(
        what,
        Mend::by(
            "begin an installation with --passphrase-file (as a service: LoadCredential=), or encrypt the disk",
        ),
    )]
}

fn store(facts: &Facts) -> Vec<Weakness> {
    let state = facts.status.running.as_ref().map_or(StorageState::Open, |running| running.storage);
    let (text, mend) = match (state, state.warning()) {
        (StorageState::Full, Some(text)) => (text, "free some space on its disk"),
        (StorageState::Broken, Some(text)) => (text, "look into the log, then restart the broker"),
        _ => return Vec::new(),
    };
    vec![Weakness::new(text, Mend::by(mend)).unusable()]
}
