//! The renewal of the certificate, and of the key for messages with it.
//!
//! The order that loses nothing, wherever the power fails: the next keys are made; the server knows them; what it answered is kept; the
//! keys are put into use; the certificate is shown. Until it is kept the device goes on with what it has, and asks again with the same keys.
//! What was signed before stays as it is in the outbox: the server accepts the key before for as long as messages may be on their way.
//!
//! The key to agree with stays: what waits for the device was encrypted to it.

use super::apply::{self, EnrolError};
use super::{Certified, Membership, Rejection};
use crate::keys::{Generation, KeyStore, Role};
use keyward_client::{Client, Login};
use std::path::Path;
use std::sync::Arc;

/// Is a certificate that was renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// What is kept; [`Membership::settle`] puts its keys into use.
    pub membership: Membership,
    /// Why the key for messages stayed as it was, in the server's words; nothing if there is another one.
    pub same_message_key: Option<String>,
}

/// Renews the certificate, with new keys for TLS and for messages. What the server answers is durable in `folder` when this returns, and its
/// keys are the store's next ones.
///
/// # Errors
/// [`EnrolError`]; the certificate in use is then as it was.
pub fn renew(
    membership: &Membership,
    keys: &Arc<dyn KeyStore>,
    folder: &Path,
) -> Result<Renewed, EnrolError> {
    let login = Login { username: format!("renew:{}", membership.device), password: None };
    let identity = apply::identity(membership, keys, Generation::Current)?;
    renew_by(membership, keys, folder, |request| {
        apply::at_some_host(&membership.hosts, |options| {
            options.login = Some(login.clone());
            options.tls = Some(apply::tls(membership, identity.clone()));
            apply::exchange(Client::connect(options)?, request)
        })
    })
}

/// Renews the certificate as [`renew`] does, over whatever way `ask` takes to the server.
///
/// # Errors
/// [`EnrolError`].
pub fn renew_by(
    membership: &Membership,
    keys: &Arc<dyn KeyStore>,
    folder: &Path,
    mut ask: impl FnMut(&[u8]) -> Result<Certified, EnrolError>,
) -> Result<Renewed, EnrolError> {
    let tls_key = keys.prepare(Role::Tls)?;
    let mut message_key = keys.prepare(Role::Message)?;
    let mut same_message_key = None;
    let request = |roles: &[Role]| {
        let request = apply::request(keys.as_ref(), Generation::Next, roles)?;
        Ok::<_, EnrolError>(request.to_string().into_bytes())
    };
    let mut certified = match ask(&request(&[Role::Message])?) {
        // The certificate does not wait for the key of messages.
        Err(EnrolError::Refused { rejection: Rejection::Key | Rejection::Request, what }) => {
            keys.discard(Role::Message)?;
            message_key = keys.public(Role::Message, Generation::Current)?;
            same_message_key = Some(what);
            let certified = ask(&request(&[])?);
            if let Err(EnrolError::Refused { rejection: Rejection::Key, .. }) = certified {
                keys.discard(Role::Tls)?; // The next try brings another.
            }
            certified?
        }
        asked => asked?,
    };
    apply::check(&certified, &membership.device, keys, Generation::Next)?;
    if apply::sha256_of(&certified.server_root) != apply::sha256_of(&membership.server_root) {
        return Err(EnrolError::Mismatch("it names another root than the one that this device believes"));
    }
    // Its name is signed with every message: under another nothing that the device says would hold.
    if certified.installation != membership.installation {
        return Err(EnrolError::Mismatch("it is of another installation"));
    }
    // What is pinned stays pinned, and a newer key set comes on its topic.
    certified.installation_key = membership.installation_key.clone().or(certified.installation_key);
    certified.key_set = membership.key_set.clone().or(certified.key_set);
    // The hardware vouched for the key that it has, and not for another.
    let vouched = membership.vouched && membership.message_key.as_deref() == Some(message_key.as_slice());
    let membership = Membership::of(certified, membership.hosts.clone(), tls_key, message_key, vouched);
    membership.save(folder)?;
    Ok(Renewed { membership, same_message_key })
}
