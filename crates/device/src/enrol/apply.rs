//! The exchange with the server: proves the server, shows the code or the old certificate, and keeps the answer.

use super::answer::{Answer, AnswerError, Certified, Rejection};
use super::claim::{Claim, Host};
use super::membership::{Membership, MembershipError, PROVEN_LEVEL};
use crate::keys::{Generation, KeyError, KeyStore, Role, TlsSigner, cose_key, signing_request};
use crate::limits::APPLICATION_TIME;
use aws_lc_rs::digest::{SHA256, digest};
use base64ct::{Base64, Encoding};
use keyward_client::{
    Client, ClientError, ClientOptions, Login, Publication, TlsIdentity, TlsKey, TlsOptions,
};
use keyward_ids::DeviceId;
use keyward_mqtt::packet::Qos;
use keyward_tpm::Evidence;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::sign::CertifiedKey;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

const REQUEST: &str = "$keyward/enroll";
const ANSWER: &str = "$keyward/enroll/answer";

/// Says why a device was not certified.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// No host let the device speak; holds what each said.
    #[error("no server could be asked: {}", .0.join("; "))]
    NoServer(Vec<String>),
    /// The code or certificate was not taken: a login tells nobody why.
    #[error(
        "the server does not let this device in{}: its code is mistyped, was used or voided, or has expired, or its certificate is taken no more; \
         on the server `keyward denials` says which, and `keyward device invite ID` draws another code",
        .0.reason().map_or_else(String::new, |reason| format!(" ({}, 0x{:02X})", reason.as_str(), reason as u8))
    )]
    NotLetIn(ClientError),
    /// The server said no.
    #[error("the server refused: {what} ({})", remedy(*.rejection))]
    Refused {
        /// What kind of refusal it is.
        rejection: Rejection,
        /// Its own sentence.
        what: String,
    },
    /// What it said is no answer.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The answer does not belong to this device, root or key.
    #[error("the server's answer is not believed: {0}")]
    Mismatch(&'static str),
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// What was answered cannot be kept.
    #[error(transparent)]
    Membership(#[from] MembershipError),
}

impl EnrolError {
    /// Tells whether the same may succeed later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::NoServer(_) => true,
            Self::Refused { rejection, .. } => matches!(rejection, Rejection::Later | Rejection::Early),
            _ => false,
        }
    }
}

fn remedy(rejection: Rejection) -> &'static str {
    match rejection {
        Rejection::Request => "this program asks in a way that the server does not take: update one of them",
        Rejection::Key => {
            "somebody holds this key, or held it: make new ones, with another --folder or --keys"
        }
        Rejection::Evidence => {
            "the server does not believe what the TPM says, or wants one to vouch: see docs/enrolment.md"
        }
        Rejection::Conflict => "somebody else used the code, or this device lost the key that it made first",
        Rejection::Void => "ask for another claim: keyward device invite ID",
        Rejection::Early => "it may be renewed later",
        Rejection::Later => "try again in some minutes",
        Rejection::Unknown => "this version does not know that refusal",
    }
}

/// Enrols the device with a claim: the hosts are tried in their order, the server proves itself before it learns the code, and what it
/// answers is in `folder`, durable, when this returns. The same claim and keys may come again for an hour, after a crash for instance.
///
/// # Errors
/// [`EnrolError`]; nothing was kept then.
pub fn enrol(claim: &Claim, keys: &Arc<dyn KeyStore>, folder: &Path) -> Result<Membership, EnrolError> {
    let login = Login { username: format!("claim:{}", claim.id), password: Some(code_of(claim)) };
    let roles = [Role::Message, Role::Agreement];
    let mut request = request(keys.as_ref(), Generation::Current, &roles)?;
    let vouched = vouch(keys.as_ref(), claim, &mut request)?;
    let certified = at_some_host(&claim.hosts, |options| {
        options.login = Some(login.clone());
        let client = Client::connect_to_root(options, &claim.root)?;
        exchange_and_show(client, &request, keys.as_ref())
    })?;
    check(&certified, &claim.id, keys, Generation::Current)?;
    if sha256_of(&certified.server_root) != Some(claim.root) {
        return Err(EnrolError::Mismatch("its root is not the one that the claim names"));
    }
    let [tls_key, message_key] =
        [Role::Tls, Role::Message].map(|role| keys.public(role, Generation::Current));
    let membership = Membership::of(certified, claim.hosts.clone(), tls_key?, message_key?, vouched);
    membership.save(folder)?;
    Ok(membership)
}

fn code_of(claim: &Claim) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(claim.expose_code().as_bytes().to_vec())
}

/// Returns whom to trust and what to show on a link of a certified device.
pub(crate) fn tls(membership: &Membership, identity: TlsIdentity) -> TlsOptions {
    let roots_pem = membership.server_root.clone().into_bytes();
    TlsOptions { roots_pem, identity: Some(identity), server_name: None }
}

/// Returns the certificate with the key that the store holds.
pub(crate) fn identity(
    membership: &Membership,
    keys: &Arc<dyn KeyStore>,
    generation: Generation,
) -> Result<TlsIdentity, KeyError> {
    let key = TlsSigner::new(Arc::clone(keys), generation)?;
    let chain_pem = membership.certificate.clone().into_bytes();
    Ok(TlsIdentity { chain_pem, key: TlsKey::Held(Arc::new(key)) })
}

/// Writes the application: the signing request, and the keys for messages of these roles.
pub(super) fn request(
    keys: &dyn KeyStore,
    generation: Generation,
    roles: &[Role],
) -> Result<Value, KeyError> {
    let csr = signing_request(keys, generation, None)?;
    let mut request = serde_json::json!({ "csr": csr });
    let cose = |role| Ok::<_, KeyError>(Base64::encode_string(&cose_key(keys, role, generation)?));
    if roles.contains(&Role::Message) {
        let level = keys.protection().level();
        request["message_key"] = serde_json::json!({ "cose": cose(Role::Message)?, "level": level });
    }
    if roles.contains(&Role::Agreement) {
        request["agreement_key"] = serde_json::json!({ "cose": cose(Role::Agreement)? });
    }
    Ok(request)
}

/// Has the hardware vouch for the keys that are sent, where it can, and tells whether it did: then it is no claim any more that they are
/// in it, and the server that certifies them saw it.
fn vouch(keys: &dyn KeyStore, claim: &Claim, request: &mut Value) -> Result<bool, KeyError> {
    let evidence = keys.vouch(&Evidence::about(claim.id.as_str(), &claim.root))?;
    if let Some(evidence) = &evidence {
        request["evidence"] = serde_json::json!(evidence);
        request["message_key"]["level"] = serde_json::json!(PROVEN_LEVEL);
    }
    Ok(evidence.is_some())
}

/// Asks one host after the other until one answers.
pub(super) fn at_some_host(
    hosts: &[Host],
    ask: impl Fn(&mut ClientOptions) -> Result<Answer, EnrolStep>,
) -> Result<Certified, EnrolError> {
    let mut said = Vec::new();
    for host in hosts {
        let mut options = ClientOptions::new(&host.name, host.port);
        options.timeout = APPLICATION_TIME;
        match ask(&mut options) {
            Ok(Answer::Certified(certified)) => return Ok(*certified),
            Ok(Answer::Refused { rejection: Rejection::Later, what }) => said.push(what),
            Ok(Answer::Refused { rejection, what }) => return Err(EnrolError::Refused { rejection, what }),
            Ok(Answer::Challenge(_)) => return Err(EnrolError::Mismatch("it challenges this device again")),
            Err(EnrolStep::Client(error @ ClientError::Refused { .. })) if is_final(&error) => {
                return Err(EnrolError::NotLetIn(error));
            }
            Err(EnrolStep::Client(error)) => said.push(format!("{}:{}: {error}", host.name, host.port)),
            Err(EnrolStep::Answer(error)) => return Err(error.into()),
            Err(EnrolStep::Keys(error)) => return Err(error.into()),
        }
    }
    Err(EnrolError::NoServer(said))
}

/// Tells a login that will never be taken from a server that is busy.
fn is_final(error: &ClientError) -> bool {
    use keyward_mqtt::reason::ReasonCode as R;
    matches!(error.reason(), Some(R::NotAuthorized | R::BadUserNameOrPassword))
}

pub(super) enum EnrolStep {
    Client(ClientError),
    Answer(AnswerError),
    Keys(KeyError),
}

impl From<ClientError> for EnrolStep {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// Applies.
pub(super) fn exchange(mut client: Client, request: &[u8]) -> Result<Answer, EnrolStep> {
    client.subscribe(ANSWER, Qos::AtMostOnce)?;
    let answer = ask(&mut client, request)?;
    // It said what it has to say.
    drop(client.disconnect());
    Ok(answer)
}

/// Applies, and answers the challenge if there is one.
fn exchange_and_show(mut client: Client, request: &Value, keys: &dyn KeyStore) -> Result<Answer, EnrolStep> {
    client.subscribe(ANSWER, Qos::AtMostOnce)?;
    let mut answer = ask(&mut client, request.to_string().as_bytes())?;
    if let Answer::Challenge(challenge) = &answer {
        let opened = keys.activate(challenge).map_err(EnrolStep::Keys)?;
        let mut request = request.clone();
        request["activated"] = serde_json::json!(Base64::encode_string(&opened));
        answer = ask(&mut client, request.to_string().as_bytes())?;
    }
    drop(client.disconnect());
    Ok(answer)
}

fn ask(client: &mut Client, request: &[u8]) -> Result<Answer, EnrolStep> {
    client.publish(&Publication::new(REQUEST, request))?;
    let Some(message) = client.next_message(APPLICATION_TIME)? else {
        return Err(ClientError::TimedOut { awaited: "answer to the application" }.into());
    };
    Answer::read(&message.payload).map_err(EnrolStep::Answer)
}

/// Checks that an answer is for this device and for its key.
pub(super) fn check(
    certified: &Certified,
    id: &DeviceId,
    keys: &Arc<dyn KeyStore>,
    generation: Generation,
) -> Result<(), EnrolError> {
    if certified.device != *id {
        return Err(EnrolError::Mismatch("it certifies another device"));
    }
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certified.certificate.as_bytes()).collect();
    let chain = chain.map_err(|_| EnrolError::Mismatch("its certificate cannot be read"))?;
    if chain.is_empty() {
        return Err(EnrolError::Mismatch("it holds no certificate"));
    }
    let shown = CertifiedKey::new(chain, Arc::new(TlsSigner::new(Arc::clone(keys), generation)?));
    shown.keys_match().map_err(|_| EnrolError::Mismatch("its certificate is for another key"))
}

pub(super) fn sha256_of(pem: &str) -> Option<[u8; 32]> {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    digest(&SHA256, &certificate).as_ref().try_into().ok()
}
