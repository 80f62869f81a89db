//! A chapter about sessions: a client id belongs to whoever opened the session with it.

use super::stage::{PATIENCE, Stage};
use super::step::{Answer, Step};
use crate::failure::Outcome;
use keyward_client::{Client, Publication};
use keyward_mqtt::packet::Qos;

const ID: &str = "dev01-main";

/// dev02 connects with dev01's client id while a message waits for dev01.
pub(super) fn a_client_id_is_stolen(stage: &mut Stage) -> Outcome {
    let mut owner = stage.options(Some(&stage.dev01), ID);
    owner.session_expiry = 600;
    let mut dev01 = Client::connect(&owner)?;
    dev01.subscribe("dev01/display", Qos::AtLeastOnce)?;
    dev01.disconnect()?;
    let mut app = stage.connect(&stage.app, "app-3")?;
    app.publish(&Publication::new("dev01/display", b"for dev01 only"))?;
    app.disconnect()?;

    let mut thief = stage.options(Some(&stage.dev02), ID);
    thief.clean_start = false;
    let stolen = Client::connect(&thief);
    let (answer, _) = Answer::of(&stolen);
    let got_session = stolen.as_ref().is_ok_and(has_session);
    // Throwing a session away is the other thing that a thief could do.
    drop(stolen);
    thief.clean_start = true;
    let wiped = Client::connect(&thief);
    drop(wiped);

    owner.clean_start = false;
    let mut dev01 = Client::connect(&owner)?;
    let kept = has_session(&dev01);
    let waiting = dev01.next_message(PATIENCE)?;
    let delivered = waiting.is_some_and(|message| message.payload == b"for dev01 only");
    dev01.disconnect()?;
    stage.tally.record(
        Step::new(format!(
            "dev02 connects as client id {ID}, first to resume dev01's session, then to wipe it"
        ))
        .answered(answer, &[Answer::Done])
        .detail("it was let in, to a session of its own: a session belongs to the identity that opened it")
        .effect(
            !got_session && kept && delivered,
            "dev02 found no session; dev01 came back to its own and received the message that waited",
            "dev01's session was touched",
        ),
    )
}

fn has_session(client: &Client) -> bool {
    client.greeting().is_some_and(|greeting| greeting.session_present)
}
