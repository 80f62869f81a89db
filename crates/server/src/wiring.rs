//! Carries what `identity` knows to the broker, in the broker's words: the two never see each other.

use crate::{
    config::{self, Place},
    plane::{
        Endpoint, Entrance, Listener, ListenerCertificate, Protocol, Security, TlsMaterial, TrustedClients,
        TypeRules,
    },
};
use keyward_broker::{Directory, MessageKey, Principal, Standing};
use keyward_envelope::PublicKey;
use keyward_identity::{
    Account, HeldMessageKey, LocalName, Registrar, Registry, Standing as Known, TrustedAuthority,
};
use keyward_ids::TypeId;
use keyward_mqtt::time::UnixMillis;
use keyward_policy::Subject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::{net::SocketAddr, sync::Arc};

/// Returns an account as rules see it.
pub fn subject(account: &Account) -> Subject {
    Subject {
        identity: account.identity.clone(),
        device_type: account.device_type.clone(),
        site: account.site.clone(),
        machine_chosen: account.machine_chosen,
        quarantined: account.quarantine.is_some(),
    }
}

/// Makes the broker's directory of a registry. A principal that did not change since `before` stays the same value,
/// so that what was decided for it stays remembered.
pub fn directory(registry: &Registry, before: &Directory) -> Directory {
    let principals = registry.accounts().map(|account| {
        let principal = principal(account);
        match before.lookup(&principal.subject.identity) {
            Some(known) if **known == principal => Arc::clone(known),
            _ => Arc::new(principal),
        }
    });
    Directory::new(registry.revision(), principals).of_installation(registry.installation().as_str())
}

fn principal(account: &Account) -> Principal {
    let standing = match account.standing {
        Known::Active => Standing::Active,
        Known::Disabled | Known::Unconfirmed { .. } => Standing::Disabled,
        Known::Revoked { keep_messages, publish_will } => Standing::Revoked { keep_messages, publish_will },
        Known::Removed => Standing::Removed,
    };
    Principal {
        subject: subject(account),
        life: account.life,
        epoch: account.epoch,
        standing,
        message_keys: account.message_keys.iter().filter_map(message_key).collect(),
    }
}

/// Returns a key as the broker verifies with it; none for which everybody could sign.
fn message_key(held: &HeldMessageKey) -> Option<MessageKey> {
    let (public, _) = PublicKey::from_cose(&held.key.cose()).ok()?;
    let until = held.until.map(|until| UnixMillis(until.0));
    Some(MessageKey { kid: public.kid(), public, level: held.key.level(), until })
}

/// Returns what TLS listeners show and demand: the server's certificate and the devices' root, which never stand for
/// each other.
pub fn tls_material(registrar: &Registrar) -> TlsMaterial {
    let (identity, trust) = (registrar.server_identity(), registrar.trust());
    TlsMaterial {
        chain: identity.chain.iter().map(|der| CertificateDer::from(der.clone())).collect(),
        key: PrivatePkcs8KeyDer::from(identity.private_key.expose().to_vec()).into(),
        root: Some(CertificateDer::from(trust.server_root)),
        device_roots: vec![CertificateDer::from(trust.device_root)],
        device_issuers: vec![CertificateDer::from(trust.device_issuing)],
        trusted: trusted(registrar),
        listeners: Vec::new(),
    }
}

/// Returns the authorities of others that may vouch for clients; those too that are not confirmed: the registry refuses
/// them, and says why.
pub fn trusted(registrar: &Registrar) -> Vec<TrustedClients> {
    registrar.trust().others.iter().map(|(name, authority)| trusted_clients(name, authority)).collect()
}

/// Returns what [`tls_material`] does for these listeners, some of which may show a certificate that another authority made.
///
/// # Errors
/// [`Missing`] names the listener whose certificate, or authority, is not there.
pub fn tls_material_for(
    registrar: &Registrar,
    configured: &[config::Listener],
) -> Result<TlsMaterial, Missing> {
    let mut material = tls_material(registrar);
    for listener in configured {
        check_trusted_names(registrar, listener)?;
        let Some(name) = &listener.server_certificate else { continue };
        let missing = || Missing::Certificate { listener: listener.name.clone(), name: name.clone() };
        let identity = registrar.imported_identity(name).ok_or_else(missing)?;
        let key = PrivateKeyDer::try_from(identity.private_key.expose().to_vec()).map_err(|_| missing())?;
        let chain = identity.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        material.listeners.push(ListenerCertificate { listener: listener.name.clone(), chain, key });
    }
    Ok(material)
}

/// Tells whether the authorities whose word is to count at a listener are there.
///
/// # Errors
/// [`Missing`] names one that is not.
pub fn check_trusted_names(registrar: &Registrar, listener: &config::Listener) -> Result<(), Missing> {
    let registry = registrar.registry();
    let mut named = listener.trusted.iter().flatten();
    match named.find(|name| !registry.trusted().contains_key(name)) {
        Some(name) => Err(Missing::Authority { listener: listener.name.clone(), name: name.clone() }),
        None => Ok(()),
    }
}

/// Says that a listener names what is not there.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    /// The certificate that it is to show, or its key.
    #[error(
        "listener {listener} is to show the server certificate {name}, which is not there, or its key is not; \
         import it: keyward server certificate import {name} --cert FILE --key FILE"
    )]
    Certificate {
        /// The listener.
        listener: String,
        /// What it names.
        name: LocalName,
    },
    /// An authority whose word is to count there.
    #[error(
        "listener {listener} names the authority {name} in `trusted`, which is not there; add it: keyward authority \
         trust add {name} --ca FILE --identity common-name, or take the name out of keyward.toml"
    )]
    Authority {
        /// The listener.
        listener: String,
        /// What it names.
        name: LocalName,
    },
}

/// Returns a trusted authority as the data plane verifies clients under it.
pub fn trusted_clients(name: &LocalName, authority: &TrustedAuthority) -> TrustedClients {
    TrustedClients {
        name: name.clone(),
        roots: authority.certificates.iter().map(|der| CertificateDer::from(der.0.clone())).collect(),
        revocations: authority.revocations.iter().map(|der| der.0.clone().into()).collect(),
    }
}

/// Returns a configured listener as the data plane opens it.
pub fn listener(configured: &config::Listener) -> Listener {
    let endpoint = match &configured.place {
        Place::Network { address, port } => {
            Endpoint::Addresses(address.to_bind().into_iter().map(|ip| SocketAddr::new(ip, *port)).collect())
        }
        Place::Socket { path, mode } => Endpoint::Socket { path: path.clone(), mode: mode.bits() },
    };
    Listener {
        name: configured.name.clone(),
        endpoint,
        protocol: match configured.protocol {
            config::Protocol::Mqtt => Protocol::Mqtt,
            config::Protocol::WebSocket => Protocol::WebSocket { origins: Arc::new(configured.pages()) },
        },
        security: if configured.tls { Security::Tls } else { Security::Plain },
        entrance: Entrance {
            login: configured.login,
            is_plain_network: configured.is_plain_network(),
            from: configured.from.clone(),
            anonymous_as: configured.anonymous_as.clone(),
            trusted: configured.trusted.clone(),
        },
    }
}

/// Returns what types of devices demand, as the door asks for it.
pub fn type_rules(config: &config::Config) -> TypeRules {
    let rule = |(name, settings): (&TypeId, &config::DeviceType)| Some((name.clone(), settings.login?));
    config.types.iter().filter_map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::installation;
    use keyward_identity::{AddUser, Command, Context, KeyProtection, NewCredential, NewPassword};
    use keyward_ids::Identity;

    #[test]
    fn a_principal_that_did_not_change_stays_the_same_value() {
        let folder = tempfile::tempdir().unwrap();
        let home = crate::home::Home::at(folder.path().join("keyward"));
        home.create().unwrap();
        let mut store = installation::create(&home, Vec::new(), KeyProtection::FileMode).unwrap();
        let mut execute = |command| {
            store.execute(command, Context { now: installation::wall_time(), actor: "test" }).unwrap();
            store.registry()
        };
        let add = |id: &str| {
            let credential = NewCredential::Password(NewPassword::Generate);
            Command::AddUser(AddUser {
                id: id.parse().unwrap(),
                plain: false,
                note: String::new(),
                credential,
            })
        };
        let (ada, ben) = ("user:ada".parse().unwrap(), "user:ben".parse().unwrap());
        execute(add("ada"));
        let before = directory(&execute(add("ben")), &Directory::default());
        let after = directory(&execute(Command::Disable { identity: Identity::clone(&ben) }), &before);
        assert!(Arc::ptr_eq(before.lookup(&ada).unwrap(), after.lookup(&ada).unwrap()));
        assert_eq!(after.lookup(&ben).unwrap().standing, Standing::Disabled);
        let [held, holds] = [&before, &after].map(|directory| directory.lookup(&ben).unwrap());
        assert!(held.life == holds.life && held.epoch < holds.epoch, "disabled is no other life");
        assert!(after.revision() > before.revision());
    }

    #[test]
    fn a_listener_on_all_addresses_opens_a_socket_for_each_family() {
        let opened = listener(&config::Listener::default());
        let both = ["0.0.0.0:8883", "[::]:8883"].map(|address| address.parse().unwrap());
        assert_eq!(opened.endpoint, Endpoint::Addresses(both.to_vec()));
        assert_eq!((opened.security, opened.entrance), (Security::Tls, Entrance::default()));
    }
}
