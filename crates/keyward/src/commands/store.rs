//! `keyward store`.

use crate::args::StoreCommand;
use crate::commands::confirming;
use crate::failure::Outcome;
use crate::reach::Site;

/// Runs the command.
pub(crate) fn run(site: &Site, command: StoreCommand) -> Outcome {
    match command {
        StoreCommand::Revoked => confirming::revoked(site),
        StoreCommand::Confirm(args) => confirming::confirm(site, &args),
    }
}
