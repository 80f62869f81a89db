//! `keyward audit` and `keyward clock`: the ledger's changes, and the confirmation that the clock is right.

use crate::args::AuditArgs;
use crate::clock::moment;
use crate::failure::Outcome;
use crate::reach::Site;
use crate::screen::table_of_escaped;
use keyward_server::control::{AuditRow, Request, Response};

/// Lists changes.
pub(crate) fn run(site: &Site, args: &AuditArgs) -> Outcome {
    site.show(&site.ask(Request::Audit { last: Some(usize::from(args.last)) })?, |response| match response {
        Response::Audit(rows) => Some(listing(rows)),
        _ => None,
    })
}

/// Confirms the clock.
pub(crate) fn accept_clock(site: &Site) -> Outcome {
    site.change(Request::ClockAccept)
}

fn listing(rows: &[AuditRow]) -> String {
    let rows = rows
        .iter()
        .map(|row| [row.sequence.to_string(), moment(row.at_unix_ms), row.actor.clone(), row.what.clone()]);
    table_of_escaped(["no", "when", "who", "what"], rows)
}
