//! A chapter about the end: a device is revoked while it is connected.

use super::stage::{PATIENCE, Stage};
use super::step::{Answer, Step};
use crate::clock;
use crate::failure::{Failure, Outcome};
use keyward_client::Client;
use keyward_mqtt::reason::ReasonCode;
use keyward_server::control::{DeviceRevoke, Request};
use std::time::{Duration, Instant};

/// How long a revoked device may live on.
const AT_MOST: Duration = Duration::from_secs(1);

/// dev02 is revoked, and tries to come back.
pub(super) fn a_device_is_revoked(stage: &mut Stage) -> Outcome {
    let dev02 = stage.connect(&stage.dev02, "dev02-4")?;
    let watcher = std::thread::spawn(move || wait_for_end(dev02));
    let ordered = clock::now();
    let revoke = DeviceRevoke { id: "dev02".to_owned(), keep_messages: false, publish_will: false };
    stage.ask(&Request::DeviceRevoke(revoke))?;
    let ended = watcher.join().map_err(|_| Failure::failed("the watcher of the connection failed"))?;
    let lived_on = ended.map(|at| at.saturating_duration_since(ordered));
    let answer = if lived_on.is_some() { Answer::Closed } else { Answer::Other };
    let in_time = lived_on.is_some_and(|time| time <= AT_MOST);
    let ms = lived_on.unwrap_or_default().as_secs_f64() * 1_000.0;
    stage.tally.record(
        Step::new("dev02 is connected; its operator revokes it").answered(answer, &[Answer::Closed]).effect(
            in_time,
            &format!("its connection lived on for {ms:.1} ms"),
            "it was still connected after a second",
        ),
    )?;
    it_tries_to_come_back(stage)
}

/// Returns when the connection ended.
fn wait_for_end(mut client: Client) -> Option<Instant> {
    client.wait_closed(PATIENCE).map(|_| clock::now())
}

fn it_tries_to_come_back(stage: &mut Stage) -> Outcome {
    let (inside, known) = (stage.links()?, stage.causes()?.len());
    let tried = stage.connect(&stage.dev02, "dev02-5");
    let cause = stage.newest_cause(known)?;
    let nobody_more = stage.links()? <= inside;
    let expected = [
        Answer::Code(ReasonCode::NotAuthorized),
        Answer::Alert("certificate_revoked"),
        Answer::Alert("access_denied"),
    ];
    stage.tally.record(
        Step::new("dev02 tries to come back").came_to(&tried, &expected).decided_by(cause).effect(
            nobody_more,
            "it stays out",
            "it is connected again",
        ),
    )
}
