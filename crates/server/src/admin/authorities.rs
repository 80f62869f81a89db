//! Authorities of others: trusting them, and whom their certificates stand for.

use super::{Admin, Turn, accounts::bad_name};
use crate::{
    config::Listener,
    control::{
        AuthorityBind, AuthorityTrust, BoundRow, Der, Proves, Refusal, RefusalCode, Response,
        TrustedAuthorityRow,
    },
    escape::escape_cut,
    login::LoginRule,
    plane::check_trusted,
    wiring,
};
use keyward_identity::{Command, LocalName, ProvenBy, TrustRefusal, TrustedAuthority, WallTime};
use keyward_ids::Identity;

impl Turn<'_> {
    pub(super) fn trust_authority(&mut self, add: AuthorityTrust) -> Result<Response, Refusal> {
        let name = authority(&add.name)?;
        let proves = check_authority(&add, self.now)?.proves;
        let (certificates, revocations) = (add.certificates.0, add.revocations.map(|Der(der)| der));
        self.command(Command::TrustAuthority { name, proves, certificates, revocations })?;
        Ok(self.admin.trusted_authorities())
    }

    pub(super) fn set_revocations(&mut self, name: &str, revocations: Der) -> Result<Response, Refusal> {
        let name = authority(name)?;
        let registry = self.admin.registrar.registry();
        if let Some(held) = registry.trusted().get(&name) {
            check(&name, &held.with_revocations(&revocations.0).map_err(refused)?)?;
        }
        let command = Command::SetRevocations { name: name.clone(), revocations: revocations.0 };
        self.trust_change(command, format!("The authority {name} has another list of revoked certificates."))
    }

    pub(super) fn confirm_authority(&mut self, name: &str) -> Result<Response, Refusal> {
        let name = authority(name)?;
        let what = format!("Certificates of the authority {name} are accepted again.");
        self.trust_change(Command::ConfirmAuthority { name }, what)
    }

    pub(super) fn distrust_authority(&mut self, name: &str) -> Result<Response, Refusal> {
        let name = authority(name)?;
        let names_it = |listener: &&Listener| listener.trusted.iter().flatten().any(|named| *named == name);
        // A configuration that cannot be read keeps nobody from taking trust away.
        let listeners = self.admin.config().map(|config| config.listeners).unwrap_or_default();
        if let Some(listener) = listeners.iter().find(names_it) {
            let what = format!(
                "listener {} names the authority {name} in `trusted`; take it out of keyward.toml first, then: keyward \
                 reload, after which it counts there no more",
                listener.name
            );
            return Err(Refusal::new(RefusalCode::Conflict, what));
        }
        let what = format!("Nothing of the authority {name} is accepted any more.");
        self.trust_change(Command::DistrustAuthority { name }, what)
    }

    pub(super) fn bind_name(&mut self, bind: AuthorityBind) -> Result<Response, Refusal> {
        let name = authority(&bind.name)?;
        let identity: Identity = bind.identity.parse().map_err(|error| {
            Refusal::invalid(format!("identity '{}' {error}", escape_cut(&bind.identity, 80)))
        })?;
        let identity = self.admin.account(&identity)?.identity.clone();
        let common_name = bind.common_name.unwrap_or_else(|| identity.name().to_owned());
        let what = format!(
            "'{}' in certificates of the authority {name} stands for {identity}.",
            escape_cut(&common_name, keyward_identity::limits::COMMON_NAME_BYTES)
        );
        let certificate = bind.certificate.map(|Der(der)| der);
        self.trust_change(Command::BindName { identity, name, common_name, certificate }, what)
    }

    pub(super) fn unbind_name(&mut self, name: &str, common_name: String) -> Result<Response, Refusal> {
        let name = authority(name)?;
        let shown = escape_cut(&common_name, keyward_identity::limits::COMMON_NAME_BYTES);
        let what = format!("'{shown}' in certificates of the authority {name} stands for nobody.");
        self.trust_change(Command::UnbindName { name, common_name }, what)
    }

    fn trust_change(&mut self, command: Command, what: String) -> Result<Response, Refusal> {
        let (outcome, in_force) = self.command(command)?;
        let already = (!outcome.changed).then(|| "it was so already".to_owned());
        Ok(Response::Changed(self.changed(what, in_force, already.into_iter().collect())))
    }
}

impl Admin {
    pub(super) fn trusted_authorities(&self) -> Response {
        let registry = self.registrar.registry();
        // Where the configuration cannot be read nothing is known of listeners; `reload` and the start say why.
        let listeners = self.config().map(|config| config.listeners).unwrap_or_default();
        let rows = registry.trusted().iter().map(|(name, authority)| {
            let summary = authority.summary();
            let mut bound: Vec<BoundRow> = registry
                .accounts()
                .flat_map(|account| account.bound_names.iter().map(move |bound| (account, bound)))
                .filter(|(_, bound)| bound.authority == *name)
                .map(|(account, bound)| BoundRow {
                    common_name: bound.common_name.clone(),
                    identity: account.identity.to_string(),
                    key: bound.key.map(|key| key.to_string()),
                })
                .collect();
            bound.sort_by(|a, b| a.common_name.cmp(&b.common_name));
            TrustedAuthorityRow {
                name: name.to_string(),
                proves: match authority.proves {
                    ProvenBy::CommonName => Proves::CommonName,
                    ProvenBy::None => Proves::None,
                },
                subjects: authority.subjects(),
                fingerprints: authority.fingerprints(),
                expires_unix_ms: summary.not_after.0,
                revoked: summary.revoked,
                next_list_unix_ms: summary.next_update.map(|at| at.0),
                confirmed: authority.confirmed,
                knocks_at: match authority.proves {
                    ProvenBy::CommonName => Vec::new(),
                    ProvenBy::None => demanding_both(name, &listeners),
                },
                counts_at: counting(name, &listeners),
                bound,
            }
        });
        Response::TrustedAuthorities(rows.collect())
    }
}

/// Tells whether an authority can be trusted at this time, and reads it.
///
/// # Errors
/// [`Refusal`] says what is wrong with its name, its certificates or its lists.
pub fn check_authority(add: &AuthorityTrust, now: WallTime) -> Result<TrustedAuthority, Refusal> {
    let name = authority(&add.name)?;
    let proves = match add.proves {
        Proves::CommonName => ProvenBy::CommonName,
        Proves::None => ProvenBy::None,
    };
    let lists = add.revocations.as_ref().map(|Der(der)| der.as_slice());
    let read = TrustedAuthority::read(proves, &add.certificates.0, lists, now).map_err(refused)?;
    check(&name, &read)?;
    Ok(read)
}

/// Names the listeners at which an authority that proves nobody counts beside a password.
fn demanding_both(authority: &LocalName, listeners: &[Listener]) -> Vec<String> {
    let both = listeners.iter().filter(|listener| listener.login == LoginRule::CertificateAndPassword);
    both.filter(|listener| listener.heeds(authority)).map(|listener| listener.name.clone()).collect()
}

/// Names the listeners at which the word of an authority counts; `None` if that is all of them that take certificates.
fn counting(authority: &LocalName, listeners: &[Listener]) -> Option<Vec<String>> {
    let asking = listeners.iter().filter(|listener| listener.takes_certificates());
    let (counting, others): (Vec<_>, Vec<_>) = asking.partition(|listener| listener.heeds(authority));
    (!others.is_empty()).then(|| counting.into_iter().map(|listener| listener.name.clone()).collect())
}

pub(super) fn authority(name: &str) -> Result<LocalName, Refusal> {
    name.parse().map_err(|error| bad_name("authority", name, &error))
}

fn refused(why: TrustRefusal) -> Refusal {
    Refusal::new(RefusalCode::Invalid, why)
}

/// Refuses what the TLS library cannot verify clients with: it would be accepted here and work nowhere.
fn check(name: &LocalName, authority: &TrustedAuthority) -> Result<(), Refusal> {
    let refused = |why| Refusal::invalid(format!("the authority cannot verify clients: {why}"));
    check_trusted(&wiring::trusted_clients(name, authority)).map_err(refused)
}

#[cfg(test)]
mod tests {
    use crate::{
        admin::fixture::{Fixture, fixture},
        config::Listener,
        control::{AuthorityTrust, Der, Proves, Request, Response},
    };

    #[test]
    fn a_change_that_did_not_reach_the_listeners_is_not_reported_as_in_force() {
        let mut fixture = fixture();
        let mut add = |name: &str| {
            let mut params = rcgen::CertificateParams::default();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            let pem = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
            let (name, certificates, proves) = (name.to_owned(), Der(pem.into_bytes()), Proves::CommonName);
            let add = AuthorityTrust { name, certificates, proves, revocations: None };
            fixture.admin.execute(Request::AuthorityTrustAdd(add)).unwrap();
        };
        add("good");
        add("late");
        let remove = |fixture: &mut Fixture, name: &str| match fixture
            .admin
            .execute(Request::AuthorityTrustRemove { name: name.to_owned() })
            .unwrap()
        {
            Response::Changed(changed) => changed,
            _ => panic!("not a change"),
        };
        let good = remove(&mut fixture, "good");
        assert_eq!((good.pending, good.closed_links, good.in_force_ms.is_some()), (false, Some(0), true));
        assert_eq!(good.notes, [""; 0]);
        let listeners = &mut fixture.admin.running.as_mut().unwrap().config.listeners;
        listeners.push(Listener { name: "keyless".to_owned(), ..Listener::default() });
        let late = remove(&mut fixture, "late");
        assert_eq!((late.pending, late.closed_links, late.in_force_ms), (true, None, None));
        assert!(late.notes.join("\n").contains("did not confirm it everywhere"));
    }
}
