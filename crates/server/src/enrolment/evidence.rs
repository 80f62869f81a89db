//! Judges what a TPM says of a device's keys: first its words, then whether it is the one that said them.

use super::{Decided, Rejection, Reply, Request};
use aws_lc_rs::digest::{SHA256, digest};
use keyward_identity::TpmProof;
use keyward_ids::KeyId;
use keyward_tpm::{Evidence, Expected, PublicKey, Vouched};

/// Says what the evidence in a request shows; nothing if there is none. `expected` is the answer to the challenge that is open on the
/// link, `root` the certificate of the server's root, DER.
///
/// # Errors
/// What the device is answered: a challenge, or that its evidence shows nothing.
pub(crate) fn judge(
    request: &Request,
    id: &str,
    root: &[u8],
    expected: Option<&Expected>,
) -> Result<Option<TpmProof>, Box<Decided>> {
    let refused = |what: &str| Box::new(Reply::refused(Rejection::Evidence, what).into());
    let Some(evidence) = &request.evidence else {
        return match request.activated {
            Some(_) => {
                Err(refused("an answer to a challenge came without `evidence`; send the whole request again"))
            }
            None => Ok(None),
        };
    };
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest(&SHA256, root).as_ref());
    let vouched = evidence.judge(&Evidence::about(id, &fingerprint));
    let vouched = vouched.map_err(|doubt| refused(&doubt.to_string()))?;
    let Some(activated) = &request.activated else { return Err(Box::new(challenge(&vouched))) };
    let Some(expected) = expected else {
        return Err(refused(
            "no challenge is open on this link; send the request without `activated` to be given one",
        ));
    };
    match expected.is_met(&vouched, activated.expose()) {
        true => Ok(Some(proof(&vouched))),
        false => Err(refused(
            "this is not what the challenge held: the attestation key lives in another TPM than the endorsement key, or the answer \
             is to another challenge; send the request without `activated` to be given another one",
        )),
    }
}

fn challenge(vouched: &Vouched) -> Decided {
    match vouched.challenge() {
        Ok((challenge, expected)) => {
            Decided { reply: Reply::Challenge { challenge }, expected: Some(Box::new(expected)) }
        }
        Err(_) => Reply::refused(
            Rejection::Evidence,
            "nothing can be encrypted to the endorsement key: it is no key",
        )
        .into(),
    }
}

fn proof(vouched: &Vouched) -> TpmProof {
    let id = |point| KeyId::new(PublicKey::P256(point).fingerprint());
    TpmProof {
        endorsement: KeyId::new(vouched.fingerprint()),
        tls: id(vouched.tls),
        message: id(vouched.message),
    }
}
