//! `keyward notify`: whether incidents are told outside.

use crate::args::NotifyCommand;
use crate::failure::{Failure, Outcome};
use crate::reach::{Site, unexpected};
use crate::screen::table;
use keyward_server::control::{NotifyTestRow, Request, Response};

/// Runs the command.
pub(crate) fn run(site: &Site, command: NotifyCommand) -> Outcome {
    let NotifyCommand::Test = command;
    let response = site.ask(Request::NotifyTest)?;
    let Response::NotifyTested(rows) = &response else { return Err(unexpected()) };
    site.show(&response, |_| Some(listing(rows)))?;
    if rows.iter().all(|row| row.worked) { Ok(()) } else { Err(Failure::said()) }
}

fn listing(rows: &[NotifyTestRow]) -> String {
    let cells = |row: &NotifyTestRow| {
        let worked = if row.worked { "yes" } else { "no" };
        [row.place.clone(), worked.to_owned(), format!("{} ms", row.took_ms), row.what.clone()]
    };
    table(["place", "told", "took", "what happened"], rows.iter().map(cells))
}
