//! `keyward healthcheck`: for whoever watches a container or a service.

use crate::failure::{Failure, Outcome};
use crate::reach::{Site, unexpected};
use keyward_server::control::{Client, Health, Request, Response};

/// Runs the command. The running broker is asked, and nothing is opened if there is none.
pub(crate) fn run(site: &Site) -> Outcome {
    site.home.check()?;
    let response = Client::connect(&site.home)?.call(&Request::Health)?;
    let Response::Health(health) = &response else { return Err(unexpected()) };
    if !health.healthy {
        return Err(Failure::refused("unhealthy", complaint(health)));
    }
    site.show(&response, |_| Some(format!("healthy{}\n", slow_disk(health))))
}

fn complaint(health: &Health) -> String {
    format!(
        "no answer from {}{}; restart the broker if this stays, and look into its log",
        health.silent.join(", "),
        slow_disk(health)
    )
}

fn slow_disk(health: &Health) -> String {
    health
        .disk_waits_secs
        .map(|secs| format!("; the disk has been waited for since {secs} s"))
        .unwrap_or_default()
}
