//! `keyward bans`: addresses whose clients are refused for a while.

use crate::args::BansCommand;
use crate::clock::span;
use crate::failure::Outcome;
use crate::reach::Site;
use crate::screen::table;
use keyward_server::control::{BanRow, Request, Response};

/// Runs the command.
pub(crate) fn run(site: &Site, command: BansCommand) -> Outcome {
    match command {
        BansCommand::Lift { address } => site.change(Request::BanLift { address: address.to_string() }),
        BansCommand::List => site.show(&site.ask(Request::BanList)?, |response| match response {
            Response::Bans(bans) if bans.is_empty() => Some("No address is banned.\n".to_owned()),
            Response::Bans(bans) => Some(listing(bans)),
            _ => None,
        }),
    }
}

fn listing(bans: &[BanRow]) -> String {
    let rows = bans.iter().map(|row| [row.address.clone(), span(row.left_secs), row.refused.to_string()]);
    table(["address", "for still", "connections refused"], rows)
}
