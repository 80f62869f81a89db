//! The server's names and its certificate.

use super::{Clerk, Decision};
use crate::{
    account::Standing,
    authority,
    events::Event,
    imported::{ImportCertificateRefusal, ImportedCertificate},
    limits,
    names::{NameOrigin, ServerName, ServerNames},
    refusal::Refusal,
    secret::Secret,
    trusted::LocalName,
    vault::KeyFile,
};
use keyward_ids::{Identity, Kind};

impl Clerk<'_> {
    pub(super) fn add_server_name(&self, name: ServerName) -> Result<Decision, Refusal> {
        let names = &self.state.server_names;
        match names.origin(&name) {
            Some(NameOrigin::Added) => return Ok(Decision::nothing()),
            None if names.len() >= limits::SERVER_NAMES => {
                return Err(Refusal::Full { what: "names of the server", max: limits::SERVER_NAMES });
            }
            _ => {}
        }
        if let Some(holder) = self.holder_of(&name) {
            return Err(Refusal::ServerNameHeld { name, holder });
        }
        let mut after = names.clone();
        after.set(name.clone(), NameOrigin::Added);
        if after.added_bytes() > limits::ADDED_NAME_BYTES {
            return Err(Refusal::ServerNamesTooLong(name));
        }
        self.with_certificate(Event::ServerNameAdded { name }, &after)
    }

    pub(super) fn remove_server_name(&self, name: ServerName) -> Result<Decision, Refusal> {
        let names = &self.state.server_names;
        if matches!(names.origin(&name), None | Some(NameOrigin::Hidden)) {
            return Err(Refusal::NoSuchServerName(name));
        }
        let mut after = names.clone();
        after.set(name.clone(), NameOrigin::Hidden);
        if after.certified().is_empty() {
            return Err(Refusal::LastServerName(name));
        }
        self.with_certificate(Event::ServerNameRemoved { name }, &after)
    }

    /// Does nothing unless a name that is to be certified is missing: an address that went away does no harm.
    pub(super) fn find_server_names(&self, mut found: Vec<ServerName>) -> Result<Decision, Refusal> {
        let names = &self.state.server_names;
        found.retain(|name| self.holder_of(name).is_none());
        let kept = names.iter().filter(|(_, origin)| *origin != NameOrigin::Found).count();
        found.truncate(limits::SERVER_NAMES.saturating_sub(kept));
        let mut after = names.clone();
        after.refind(&found);
        let certified = self.certified_now();
        if after.certified().iter().all(|name| certified.contains(name)) {
            return Ok(Decision::nothing());
        }
        self.with_certificate(Event::ServerNamesFound { names: found }, &after)
    }

    pub(super) fn renew_server(&self, names: &ServerNames) -> Result<Decision, Refusal> {
        self.check_clock()?;
        let issuer = &self.signers.server_issuing;
        let validity = authority::validity(self.now, self.lifetimes.server, issuer.not_after())?;
        let names = names.certified();
        let der = issuer.certify_server(&names, &self.signers.server_key, &self.new_serial()?, validity)?;
        let certificate = authority::inspect(&der).ok_or_else(|| Refusal::Signing("unreadable".into()))?;
        Ok(Event::ServerCertificateIssued { certificate, names, der }.into())
    }

    pub(super) fn import_server_certificate(
        &self,
        name: LocalName,
        chain: &[u8],
        key: Secret,
    ) -> Result<Decision, Refusal> {
        let certificate = ImportedCertificate::read(chain, self.now)?;
        if self.state.is_own_key(&certificate.key) {
            return Err(ImportCertificateRefusal::Own.into());
        }
        let held = &self.state.imported;
        if !held.contains_key(&name) && held.len() >= limits::IMPORTED_CERTIFICATES {
            return Err(Refusal::Full {
                what: "imported server certificates",
                max: limits::IMPORTED_CERTIFICATES,
            });
        }
        let keys = vec![(KeyFile::Imported(certificate.key), key)];
        Ok(Decision { keys, ..Event::ServerCertificateImported { name, certificate }.into() })
    }

    pub(super) fn remove_server_certificate(&self, name: LocalName) -> Result<Decision, Refusal> {
        match self.state.imported.contains_key(&name) {
            true => Ok(Event::ServerCertificateRemoved { name }.into()),
            false => Err(Refusal::NoSuchServerCertificate(name)),
        }
    }

    fn with_certificate(&self, event: Event, names: &ServerNames) -> Result<Decision, Refusal> {
        if names.certified() == self.certified_now() {
            return Ok(event.into());
        }
        let mut decision = self.renew_server(names)?;
        decision.events.insert(0, event);
        Ok(decision)
    }

    fn certified_now(&self) -> &[ServerName] {
        self.state.server_certificate.as_ref().map_or(&[], |certificate| &certificate.names)
    }

    fn holder_of(&self, name: &ServerName) -> Option<Identity> {
        let ServerName::Dns(name) = name else { return None };
        let holds = |identity: &Identity| {
            let account = self.state.registry.find(identity);
            account.is_some_and(|account| account.standing != Standing::Removed)
        };
        [Kind::Device, Kind::User].into_iter().filter_map(|kind| Identity::new(kind, name).ok()).find(holds)
    }
}
