//! Chapters about topics: what arrives, and what is refused.

use super::stage::{PATIENCE, Stage, heard_before};
use super::step::{Answer, Step};
use crate::failure::Outcome;
use keyward_client::{Client, Publication};
use keyward_mqtt::packet::Qos;
use keyward_mqtt::reason::ReasonCode;

const REFUSED: Answer = Answer::Code(ReasonCode::NotAuthorized);

/// dev01 publishes, the application receives.
pub(super) fn a_reading_arrives(stage: &mut Stage) -> Outcome {
    let mut app = stage.connect(&stage.app, "app-1")?;
    let mut dev01 = stage.connect(&stage.dev01, "dev01-1")?;
    app.subscribe("+/status", Qos::AtLeastOnce)?;
    let published = dev01.publish(&Publication::new("dev01/status", b"21.5"));
    let arrived = app.next_message(PATIENCE)?;
    let right = arrived.is_some_and(|message| message.topic == "dev01/status" && message.payload == b"21.5");
    let step = Step::new("dev01 publishes 21.5 to dev01/status").came_to(&published, &[Answer::Done]).effect(
        right,
        "app received dev01/status 21.5",
        "app did not receive it",
    );
    stage.tally.record(step)?;
    app.disconnect()?;
    Ok(dev01.disconnect()?)
}

/// One device publishes as the other; the application reads what it may not.
pub(super) fn members_reach_too_far(stage: &mut Stage) -> Outcome {
    let mut app = stage.connect(&stage.app, "app-2")?;
    let mut dev01 = stage.connect(&stage.dev01, "dev01-2")?;
    app.subscribe("+/status", Qos::AtLeastOnce)?;
    a_device_publishes_as_another(stage, &mut app, &mut dev01)?;
    an_application_reads_too_much(stage, &mut app, &mut dev01)?;
    app.disconnect()?;
    Ok(dev01.disconnect()?)
}

fn a_device_publishes_as_another(stage: &mut Stage, app: &mut Client, dev01: &mut Client) -> Outcome {
    let mut dev02 = stage.connect(&stage.dev02, "dev02-2")?;
    let forged = dev02.publish(&Publication::new("dev01/status", b"99.9"));
    dev02.disconnect()?;
    dev01.publish(&Publication::new("dev01/status", b"true reading"))?;
    let slipped = heard_before(app, "true reading")?;
    let rule = stage.deciding_rule("device:dev02", "publish")?;
    stage.tally.record(
        Step::new("dev02 publishes 99.9 to dev01/status, as if it were dev01")
            .came_to(&forged, &[REFUSED])
            .decided_by(rule)
            .effect(
                slipped.is_empty(),
                "app received dev01's own next reading, and nothing before it",
                "app received the forged reading",
            ),
    )
}

fn an_application_reads_too_much(stage: &mut Stage, app: &mut Client, dev01: &mut Client) -> Outcome {
    let asked = app.subscribe("dev01/config", Qos::AtLeastOnce);
    dev01.publish(&Publication::new("dev01/config", b"wifi password"))?;
    dev01.publish(&Publication::new("dev01/status", b"next reading"))?;
    let slipped = heard_before(app, "next reading")?;
    let rule = stage.deciding_rule("user:app", "subscribe")?;
    stage.tally.record(
        Step::new("app subscribes to dev01/config, which no rule lets it read")
            .came_to(&asked, &[REFUSED])
            .decided_by(rule)
            .effect(
                slipped.is_empty(),
                "dev01 published its config, and app did not receive it",
                "app received dev01's config",
            ),
    )
}
