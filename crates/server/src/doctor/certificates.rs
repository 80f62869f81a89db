//! Certificates that end soon, and the clock that dates them.

use super::{Check, Facts, Profile, Step, Weakness, accounts::anew};
use crate::status::{CertificateRow, ClockState};
use keyward_identity::{IMPORTED_ROLE, WallTime};
use keyward_ids::Kind;
use std::time::Duration;

/// How long before its end a certificate is spoken of.
pub(super) const SOON: Duration = Duration::from_secs(30 * 86_400);

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "certificate-ends",
        from: Profile::Home,
        why: "clients refuse the broker from that day on, or the broker its devices",
        look: own,
    },
    Check {
        name: "imported-certificate-ends",
        from: Profile::Home,
        why: "clients refuse the listener that shows it from that day on, and the broker cannot renew what others made",
        look: imported,
    },
    Check {
        name: "device-certificate-ends",
        from: Profile::Home,
        why: "the device is refused from that day on, and somebody has to go there",
        look: of_clients,
    },
    Check {
        name: "clock",
        from: Profile::Home,
        why: "with a wrong clock certificates are dated wrongly, so none is issued",
        look: clock,
    },
];

/// Returns the certificates that end soon.
fn ending(facts: &Facts) -> impl Iterator<Item = &CertificateRow> {
    let ending = facts.now.after(SOON);
    facts.status.certificates.iter().filter(move |row| row.expires_unix_ms < ending.0)
}

/// Returns the name of a certificate that others made.
fn imported_name(row: &CertificateRow) -> Option<&str> {
    row.what.strip_prefix(IMPORTED_ROLE)
}

fn imported(facts: &Facts) -> Vec<Weakness> {
    let weakness = |row: &CertificateRow| {
        let name = imported_name(row)?;
        let what = format!("the {} ends on {}", row.what, WallTime(row.expires_unix_ms));
        let mend = Step::keyward(format!("server certificate import {name} --cert FILE --key FILE"));
        Some(Weakness::new(what, mend))
    };
    ending(facts).filter_map(weakness).collect()
}

fn own(facts: &Facts) -> Vec<Weakness> {
    let own = ending(facts).filter(|row| imported_name(row).is_none());
    own.map(|row| {
        let what = format!("the {} certificate ends on {}", row.what, WallTime(row.expires_unix_ms));
        Weakness::new(
            what,
            Step::by(
                "let the broker run: it renews what it can by itself; the log says what keeps it from that",
            ),
        )
    })
    .collect()
}

fn of_clients(facts: &Facts) -> Vec<Weakness> {
    let ending = facts.now.after(SOON);
    let active = facts.accounts.iter().filter(|account| account.is_active());
    let near = active.filter_map(|account| {
        let last = account.certificates.iter().map(|certificate| certificate.not_after).max()?;
        (last < ending).then(|| {
            let mend = match account.identity.kind() {
                Kind::Device => anew(facts, account),
                Kind::User => vec![Step::by("before that day, remove the user and add it again")],
            };
            Weakness::new(format!("the last certificate of {} ends on {last}", account.identity), mend)
        })
    });
    near.collect()
}

fn clock(facts: &Facts) -> Vec<Weakness> {
    match &facts.status.clock {
        ClockState::Trusted => Vec::new(),
        ClockState::Doubted { why } => vec![Weakness::new(why.clone(), Step::keyward("clock accept"))],
    }
}
