//! A chapter about sessions: a client id belongs to whoever opened the session with it.

use super::stage::{PATIENCE, Stage};
use super::step::{Answer, Step};
use crate::failure::Outcome;
use keyward_client::{Client, ClientOptions, Publication};
use keyward_mqtt::packet::Qos;

const ID: &str = "dev01-main";

/// dev02 connects with dev01's client id: while dev01 is connected, and while a message waits for it.
pub(super) fn a_client_id_is_stolen(stage: &mut Stage) -> Outcome {
    let mut owner = stage.options(Some(&stage.dev01), ID);
    owner.session_expiry = 600;
    let mut dev01 = Client::connect(&owner)?;
    dev01.subscribe("dev01/display", Qos::AtLeastOnce)?;
    it_is_used_at_once(stage, &mut dev01)?;
    dev01.disconnect()?;
    owner.clean_start = false;
    it_is_used_in_absence(stage, &owner)
}

fn it_is_used_at_once(stage: &mut Stage, dev01: &mut Client) -> Outcome {
    let stolen = Client::connect(&thief(stage));
    tell_dev01(stage, "live")?;
    let heard = dev01.next_message(PATIENCE)?;
    let step = Step::new(format!("dev02 connects as {ID}, the client id with which dev01 is connected"))
        .came_to(&stolen, &[Answer::Done])
        .decided_by(Some("a session belongs to the identity that opened it: dev02 gets its own".to_owned()))
        .effect(
            heard.is_some_and(|message| message.payload == b"live"),
            "dev01 stays connected, and receives what is sent to it",
            "dev01 lost its connection or a message",
        );
    stage.tally.record(step)
}

fn it_is_used_in_absence(stage: &mut Stage, owner: &ClientOptions) -> Outcome {
    tell_dev01(stage, "waiting")?;
    let mut thief = thief(stage);
    thief.clean_start = false;
    let resumed = Client::connect(&thief);
    let found = resumed.as_ref().is_ok_and(has_session);
    drop(resumed);
    thief.clean_start = true;
    let wiped = Client::connect(&thief);

    let mut dev01 = Client::connect(owner)?;
    let kept = has_session(&dev01);
    let heard = dev01.next_message(PATIENCE)?;
    dev01.disconnect()?;
    let unharmed = !found && kept && heard.is_some_and(|message| message.payload == b"waiting");
    let step =
        Step::new(format!("dev01 is away; dev02 comes as {ID} to resume its session, and again to wipe it"))
            .came_to(&wiped, &[Answer::Done])
            .decided_by(Some(
                "a session belongs to the identity that opened it: dev02 has its own".to_owned(),
            ))
            .effect(
                unharmed,
                "dev02 found no session; dev01 came back to its own and received what waited in it",
                "dev01's session was touched",
            );
    stage.tally.record(step)
}

fn thief(stage: &Stage) -> ClientOptions {
    stage.options(Some(&stage.dev02), ID)
}

fn tell_dev01(stage: &Stage, what: &str) -> Outcome {
    let mut app = stage.connect(&stage.app, "app-3")?;
    app.publish(&Publication::new("dev01/display", what.as_bytes()))?;
    Ok(app.disconnect()?)
}

fn has_session(client: &Client) -> bool {
    client.greeting().is_some_and(|greeting| greeting.session_present)
}
