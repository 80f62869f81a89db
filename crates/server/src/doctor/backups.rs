//! Whether there is a backup, and how old it is.

use super::{Check, Facts, Profile, Step, Weakness};
use crate::quoting::quote;
use std::time::Duration;

/// How old the newest backup may be.
const OLD: Duration = Duration::from_secs(30 * 86_400);

/// How old it may be in a company.
const OLD_COMMERCIAL: Duration = Duration::from_secs(7 * 86_400);

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "no-backup",
        from: Profile::Home,
        why: "when the disk is lost, every device has to be visited and set up anew",
        look: none,
    },
    Check { name: "old-backup", from: Profile::Home, why: LOST_SINCE, look: |facts| older(facts, OLD) },
    Check {
        name: "old-backup-commercial",
        from: Profile::Commercial,
        why: LOST_SINCE,
        // What is older than a month is said already.
        look: |facts| if older(facts, OLD).is_empty() { older(facts, OLD_COMMERCIAL) } else { Vec::new() },
    },
    Check {
        name: "plain-backup",
        from: Profile::Home,
        why: "whoever reads it has all keys and passwords",
        look: plain,
    },
];

const LOST_SINCE: &str =
    "devices that were added since, and what was revoked since, would be lost with the disk";

fn none(facts: &Facts) -> Vec<Weakness> {
    if facts.backup.is_some() {
        return Vec::new();
    }
    let what = format!(
        "no backup lies in {}/backups (one that lies elsewhere is not known here)",
        facts.status.home
    );
    vec![Weakness::new(what, make())]
}

fn older(facts: &Facts, than: Duration) -> Vec<Weakness> {
    let old = facts.backup.iter().filter(|backup| backup.written.after(than) < facts.now);
    old.map(|backup| {
        Weakness::new(
            format!("the newest backup, {}, is of {}", backup.path.display(), backup.written),
            make(),
        )
    })
    .collect()
}

fn plain(facts: &Facts) -> Vec<Weakness> {
    let open = facts.backup.iter().filter(|backup| backup.is_plain);
    open.map(|backup| {
        let path = backup.path.display().to_string();
        let mend = [make(), Step::shell(format!("rm {}", quote(&path)))];
        Weakness::new(format!("the backup {path} is not encrypted"), mend)
    })
    .collect()
}

fn make() -> Step {
    Step::keyward("store backup")
}
