//! What lies in the directory of the installation and should not, or is open to others.

use super::{Check, Facts, Profile, StartedBy, Step, Weakness};
use crate::quoting::quote;
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
        name: "import-interrupted",
        from: Profile::Home,
        why: "part of the users, certificates, listeners and rules of the other broker is here, and other imports are refused",
        look: import,
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
            Step::by(format!(
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
        Weakness::new(what, Step::shell(format!("chmod {:03o} {}", file.fit, quote(&path))))
    };
    facts.open_files.iter().map(weakness).collect()
}

fn import(facts: &Facts) -> Vec<Weakness> {
    if !facts.is_imported_in_part {
        return Vec::new();
    }
    let mend = [
        Step::by(
            "if it is not at work now, give it again with the same files and options, and it is finished; or take it back:",
        ),
        Step::keyward("import undo"),
    ];
    vec![Weakness::new("an import was begun and has not ended", mend)]
}

fn unsealed(facts: &Facts) -> Vec<Weakness> {
    if facts.are_keys_sealed {
        return Vec::new();
    }
    let what = "no passphrase protects the keys on disk";
    vec![Weakness::new(what, sealing(facts.started_by))]
}

/// Seals the keys that are there: they are, at the first start with a passphrase.
fn sealing(started_by: StartedBy) -> Vec<Step> {
    let choose = Step::by(
        "choose a passphrase and write it down elsewhere: without it the broker does not start, and the keys are lost",
    );
    let mut steps = vec![choose];
    match started_by {
        StartedBy::Person => steps.extend([
            Step::by("write it into a file, one line, on another disk than the keys: FILE; then stop the broker"),
            Step::shell("chmod 600 FILE"),
            Step::keyward("--passphrase-file FILE up"),
            Step::by("from now on give commands that file too, or name it in KEYWARD_PASSPHRASE_FILE"),
        ]),
        StartedBy::Systemd => steps.extend([
            Step::by("then, as root:"),
            Step::shell("install -d -m 700 /etc/credstore.encrypted && install -d /etc/systemd/system/keyward.service.d"),
            Step::shell(
                "systemd-ask-password -n Passphrase: | systemd-creds encrypt --name=keyward-passphrase - /etc/credstore.encrypted/keyward-passphrase",
            ),
            Step::shell(
                "printf '%s\\n' '[Service]' LoadCredentialEncrypted=keyward-passphrase:/etc/credstore.encrypted/keyward-passphrase \
                 > /etc/systemd/system/keyward.service.d/passphrase.conf",
            ),
            Step::shell("systemctl daemon-reload && systemctl restart keyward"),
        ]),
        StartedBy::Container => steps.push(Step::by(
            "mount it as a secret that only the broker's user can read, set KEYWARD_PASSPHRASE_FILE to its path, \
             and make the container anew",
        )),
    }
    steps
}

fn store(facts: &Facts) -> Vec<Weakness> {
    let state = facts.status.running.as_ref().map_or(StorageState::Open, |running| running.storage);
    let (text, mend) = match (state, state.warning()) {
        (StorageState::Full, Some(text)) => (text, "free some space on its disk"),
        (StorageState::Broken, Some(text)) => (text, "look into the log, then restart the broker"),
        _ => return Vec::new(),
    };
    vec![Weakness::new(text, Step::by(mend)).unusable()]
}
