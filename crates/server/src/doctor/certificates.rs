//! Certificates that end soon, and the clock that dates them.

use super::{Check, Facts, Mend, Profile, Weakness};
use crate::status::ClockState;
use keyward_identity::WallTime;
use std::time::Duration;

/// How long before its end a certificate is spoken of.
const SOON: Duration = Duration::from_secs(30 * 86_400);

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "certificate-ends",
        from: Profile::Home,
        why: "clients refuse the broker from that day on, or the broker its devices",
        look: own,
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

fn own(facts: &Facts) -> Vec<Weakness> {
    let ending = facts.now.after(SOON);
    let near = facts.status.certificates.iter().filter(|row| row.expires_unix_ms < ending.0);
    near.map(|row| {
        let what = format!("the {} certificate ends on {}", row.what, WallTime(row.expires_unix_ms));
        Weakness::new(
            what,
            Mend::by(
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
            let mend =
                format!("issue another before that day: {} is removed and added again", account.identity);
            Weakness::new(
                format!("the last certificate of {} ends on {last}", account.identity),
                Mend::by(mend),
            )
        })
    });
    near.collect()
}

fn clock(facts: &Facts) -> Vec<Weakness> {
    match &facts.status.clock {
        ClockState::Trusted => Vec::new(),
        ClockState::Doubted { why } => vec![Weakness::new(why.clone(), Mend::keyward("clock accept"))],
    }
}
