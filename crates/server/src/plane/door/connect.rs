//! From a decoded CONNECT to what the door does next.

use crate::plane::door::arrival::{Arrival, Claim, Said};
use crate::plane::door::gate::{Gate, Known, Verdict};
use crate::plane::door::slowdown::Guess;
use crate::plane::events::LoginCause;
use crate::plane::tls::certificate::ClientCertificate;
use keyward_broker::{Attach, LinkId, Login};
use keyward_identity::PasswordRecord;
use keyward_ids::ClientId;
use keyward_mqtt::packet::Connect;
use keyward_mqtt::time::Now;
use zeroize::Zeroizing;

/// Says what the door does with a CONNECT.
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart at once; a box would cost an allocation a login"
)]
pub(crate) enum Next {
    /// It hands the link over.
    HandOver(Claim),
    /// It has the password checked.
    Check {
        record: PasswordRecord,
        password: Zeroizing<Vec<u8>>,
        guess: Guess,
        claim: Option<Claim>,
        doomed: Option<LoginCause>,
    },
    /// It refuses.
    Refuse(LoginCause),
}

/// Decides about the CONNECT of `arrival`, whose link is `link`.
pub(crate) fn decide(
    gate: &Gate,
    now: Now,
    arrival: &Arrival,
    link: LinkId,
    connect: &Connect<'_>,
    client_id_bytes: usize,
) -> Next {
    let chain = arrival.transport.peer_chain();
    let claim = |known: Known| {
        let attach = attach(link, connect, &known, client_id_bytes);
        Claim { known, attach }
    };
    let entrance = &arrival.origin.entrance;
    match gate.judge(now, entrance, arrival.source, chain, connect) {
        Verdict::Refused(cause) => Next::Refuse(cause),
        Verdict::Admitted(known) => Next::HandOver(claim(known)),
        Verdict::Check { record, guess, claimed, doomed } => {
            let password = Zeroizing::new(connect.password.unwrap_or_default().to_vec());
            Next::Check { record, password, guess, claim: claimed.map(claim), doomed }
        }
    }
}

/// Keeps what answer and operator need of a CONNECT.
pub(crate) fn said(arrival: &Arrival, connect: &Connect<'_>) -> Said {
    let common_name = || Some(ClientCertificate::read(arrival.transport.peer_certificate()?)?.common_name);
    Said {
        version: connect.version,
        claimed: connect.username.map(str::to_owned).or_else(common_name),
        client_id: connect.client_id.to_owned(),
    }
}

pub(super) fn attach(
    link: LinkId,
    connect: &Connect<'_>,
    known: &Known,
    client_id_bytes: usize,
) -> Result<Box<Attach>, LoginCause> {
    if connect.client_id.len() > client_id_bytes {
        return Err(LoginCause::ClientId);
    }
    let assigned = connect.client_id.is_empty();
    let client_id = match assigned {
        true => draw_client_id().ok_or(LoginCause::WorkerBusy)?,
        false => ClientId::new(connect.client_id),
    };
    let Known { identity, life, epoch, .. } = known.clone();
    let attach = Attach::new(link, connect, Login { identity, life, epoch }, client_id, assigned)
        .map_err(|_| LoginCause::ClientId)?;
    Ok(Box::new(match draw() {
        Some(nonce) => attach.in_session(nonce),
        None => attach,
    }))
}

/// Draws 128 random bits.
fn draw() -> Option<[u8; 16]> {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).ok().map(|()| random)
}

/// Draws a client id for a client that sent none: 128 random bits, which no other client guesses or meets.
pub(super) fn draw_client_id() -> Option<ClientId> {
    Some(ClientId::new(&format!("auto-{:032x}", u128::from_be_bytes(draw()?))))
}
