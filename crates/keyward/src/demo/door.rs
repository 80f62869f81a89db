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
    let cause = stage.newest_cause(known)?;
    let nobody_more = stage.links()? <= inside;
    stage.tally.record(step.came_to(&tried, expected).decided_by(cause).effect(
        nobody_more,
        "nobody more is connected than before",
        "somebody is connected who was not before",
    ))
}

fn a_device_plays_the_broker(stage: &mut Stage) -> Outcome {
    let impostor = Impostor::start(&stage.dev02.identity)?;
    let mut options = stage.options(Some(&stage.dev01), "dev01-victim");
    options.port = impostor.port();
    let tried: Result<(), ClientError> = Client::connect(&options).map(drop);
    let deceived = impostor.heard() > 0;
    let chains = strangers::chains_to(&stage.dev02.identity, &stage.ca_pem)?;
    stage.tally.record(
        Step::new("dev02's key plays the broker; dev01, which trusts ca.pem, connects to it")
            .came_to(&tried, &[Answer::Untrusted])
            .decided_by(Some(
                "dev02's certificate comes from the device root, ca.pem is the server root".to_owned(),
            ))
            .effect(
                !deceived && !chains,
                "it received no byte of MQTT; nothing leads from its certificate to ca.pem, \
                 not even for a client that overlooks what a certificate is for",
                "it could deceive a device",
            ),
    )
}
