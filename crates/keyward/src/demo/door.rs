//! A chapter about the door: strangers, forgers, and one who plays the broker.

use super::stage::Stage;
use super::step::{Answer, Step};
use super::strangers::{self, Impostor};
use crate::failure::Outcome;
use keyward_client::{Client, ClientError, ClientOptions};
use keyward_mqtt::reason::ReasonCode;

/// Nobody of them gets in, and nobody is deceived.
pub(super) fn strangers_knock(stage: &mut Stage) -> Outcome {
    neither_certificate_nor_password(stage)?;
    a_certificate_of_another_authority(stage)?;
    a_device_plays_the_broker(stage)
}

fn neither_certificate_nor_password(stage: &mut Stage) -> Outcome {
    let options = stage.options(None, "nobody");
    let step = Step::new("a client connects with neither certificate nor password");
    knock(stage, step, &options, &[Answer::Code(ReasonCode::NotAuthorized)])
}

fn a_certificate_of_another_authority(stage: &mut Stage) -> Outcome {
    let mut options = stage.options(None, "dev01-forged");
    if let Some(tls) = &mut options.tls {
        tls.identity = Some(strangers::forged_identity("dev01")?);
    }
    let step = Step::new("a client shows a certificate for dev01 that another authority issued");
    knock(stage, step, &options, &[Answer::Alert("unknown_ca"), Answer::Alert("bad_certificate")])
}

/// Tries to get in, and looks whether anybody is in who was not before.
fn knock(stage: &mut Stage, step: Step, options: &ClientOptions, expected: &[Answer]) -> Outcome {
    let (inside, known) = (stage.links()?, stage.causes()?.len());
    let tried = Client::connect(options);
    let (answer, words) = Answer::of(&tried);
    let cause = stage.newest_cause(known)?;
    let unchanged = stage.links()? == inside;
    stage.tally.record(step.answered(answer, expected).detail(words).decided_by(cause).effect(
        unchanged,
        "nobody more is connected than before",
        "somebody is connected who was not before",
    ))
}

fn a_device_plays_the_broker(stage: &mut Stage) -> Outcome {
    let impostor = Impostor::start(&stage.dev02.identity)?;
    let mut options = stage.options(Some(&stage.dev01), "dev01-victim");
    options.port = impostor.port();
    let tried: Result<Client, ClientError> = Client::connect(&options);
    let (answer, words) = Answer::of(&tried);
    drop(tried);
    let heard = impostor.heard();
    stage.tally.record(
        Step::new("dev02's key plays the broker; dev01, which trusts ca.pem, connects to it")
            .answered(answer, &[Answer::Untrusted])
            .detail(words)
            .decided_by(Some(
                "dev02's certificate comes from the device root; ca.pem is the server root".to_owned(),
            ))
            .effect(
                heard == 0,
                "the impostor received no byte of MQTT",
                "the impostor received what dev01 sent",
            ),
    )
}
