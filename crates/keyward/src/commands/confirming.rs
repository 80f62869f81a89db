//! `keyward store revoked` and `keyward store confirm`: what was taken away, and who is let in again after a restore.

use crate::args::ConfirmArgs;
use crate::failure::Outcome;
use crate::reach::Site;
use keyward_server::control::{Request, Response};

/// Prints the list of what was taken away.
pub(crate) fn revoked(site: &Site) -> Outcome {
    site.show(&site.ask(Request::StoreRevoked)?, |response| match response {
        // Names, numbers and times alone: nothing in it was chosen by a peer.
        Response::StoreRevoked(revoked) => Some(revoked.list.clone()),
        _ => None,
    })
}

/// Lets in who was not confirmed since a restore.
pub(crate) fn confirm(site: &Site, args: &ConfirmArgs) -> Outcome {
    if args.all {
        return site.change(Request::StoreConfirmAll);
    }
    let identities = args.identities.iter().map(ToString::to_string).collect();
    site.change(Request::StoreConfirm { identities })
}
