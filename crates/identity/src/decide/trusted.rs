//! Authorities of others: trusting them, what they revoke, and whom their certificates stand for.

use super::{Clerk, Decision};
use crate::{
    authority::{self, key_id},
    events::Event,
    limits,
    refusal::Refusal,
    trusted::{self, BoundName, Der, LocalName, ProvenBy, TrustRefusal, TrustedAuthority},
};
use keyward_ids::{Identity, KeyId};
use x509_parser::prelude::{FromDer, X509Certificate};

impl Clerk<'_> {
    pub(super) fn trust_authority(
        &self,
        name: LocalName,
        proves: ProvenBy,
        certificates: &[u8],
        revocations: Option<&[u8]>,
    ) -> Result<Decision, Refusal> {
        let trusted = self.state.registry.trusted();
        if trusted.contains_key(&name) {
            return Err(Refusal::AuthorityExists(name));
        }
        if trusted.len() >= limits::TRUSTED_AUTHORITIES {
            return Err(Refusal::Full { what: "trusted authorities", max: limits::TRUSTED_AUTHORITIES });
        }
        let read = TrustedAuthority::read(proves, certificates, revocations, self.now)?;
        let TrustedAuthority { certificates, revocations, .. } = read;
        certificates.iter().try_for_each(|der| self.check_strange(der))?;
        Ok(Event::AuthorityTrusted { name, proves, certificates, revocations }.into())
    }

    /// Refuses a certificate whose key is our own or trusted already: one certificate must not stand for two things.
    fn check_strange(&self, Der(der): &Der) -> Result<(), Refusal> {
        let (_, certificate) = X509Certificate::from_der(der)
            .map_err(|_| TrustRefusal::Malformed { what: "file of the authority" })?;
        let (key, subject) = (key_id(certificate.public_key().raw), trusted::subject(&certificate));
        if self.state.is_own_key(&key) {
            return Err(TrustRefusal::Own { subject }.into());
        }
        let has_key = |Der(der): &Der| {
            X509Certificate::from_der(der).is_ok_and(|(_, held)| key_id(held.public_key().raw) == key)
        };
        let holder =
            self.state.registry.trusted().iter().find(|(_, held)| held.certificates.iter().any(has_key));
        match holder {
            Some((name, _)) => Err(TrustRefusal::Known { subject, name: name.clone() }.into()),
            None => Ok(()),
        }
    }

    pub(super) fn set_revocations(&self, name: LocalName, revocations: &[u8]) -> Result<Decision, Refusal> {
        let authority = self.trusted(&name)?;
        let TrustedAuthority { revocations, .. } = authority.with_revocations(revocations)?;
        if revocations == authority.revocations {
            return Ok(Decision::nothing());
        }
        Ok(Event::AuthorityRevocationsSet { name, revocations }.into())
    }

    pub(super) fn confirm_authority(&self, name: LocalName) -> Result<Decision, Refusal> {
        match self.trusted(&name)?.confirmed {
            true => Ok(Decision::nothing()),
            false => Ok(Event::AuthorityConfirmed { name }.into()),
        }
    }

    pub(super) fn distrust_authority(&self, name: LocalName) -> Result<Decision, Refusal> {
        self.trusted(&name)?;
        Ok(Event::AuthorityDistrusted { name }.into())
    }

    pub(super) fn bind_name(
        &self,
        identity: Identity,
        name: LocalName,
        common_name: String,
        certificate: Option<&[u8]>,
    ) -> Result<Decision, Refusal> {
        let account = self.unrevoked(&identity)?;
        if self.trusted(&name)?.proves != ProvenBy::CommonName {
            return Err(Refusal::ProvesNobody(name));
        }
        if !trusted::is_common_name(&common_name) {
            return Err(Refusal::BadCommonName);
        }
        let key = certificate.map(|bytes| self.read_client(bytes, &common_name)).transpose()?;
        let bound = BoundName { authority: name, common_name, key };
        if account.bound_names.contains(&bound) {
            return Ok(Decision::nothing());
        }
        if let Some(holder) = self.state.registry.bound_to(&bound.authority, &bound.common_name) {
            let holder = holder.clone();
            return Err(Refusal::NameBound {
                common_name: bound.common_name,
                authority: bound.authority,
                holder,
            });
        }
        if account.bound_names.len() >= limits::BOUND_NAMES {
            return Err(Refusal::Full {
                what: "names of one identity in foreign certificates",
                max: limits::BOUND_NAMES,
            });
        }
        Ok(Event::NameBound { identity, bound }.into())
    }

    /// Takes the public key of a certificate that has this common name.
    fn read_client(&self, bytes: &[u8], common_name: &str) -> Result<KeyId, Refusal> {
        let what = "file of the client's certificate";
        let der = trusted::read_one(what, bytes)?;
        let (_, certificate) =
            X509Certificate::from_der(&der.0).map_err(|_| TrustRefusal::Malformed { what })?;
        let shown = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        if shown != Some(common_name) {
            return Err(TrustRefusal::OtherName { subject: trusted::subject(&certificate) }.into());
        }
        let record = authority::inspect(&der.0).ok_or(TrustRefusal::Malformed { what })?;
        match self.state.is_own_key(&record.key) {
            true => Err(Refusal::AuthorityKey),
            false => Ok(record.key),
        }
    }

    pub(super) fn unbind_name(&self, name: LocalName, common_name: &str) -> Result<Decision, Refusal> {
        let holder = self.state.registry.bound_to(&name, common_name);
        let unknown =
            || Refusal::NoSuchBoundName { common_name: common_name.to_owned(), authority: name.clone() };
        let identity = holder.ok_or_else(unknown)?.clone();
        Ok(Event::NameUnbound { identity, authority: name, common_name: common_name.to_owned() }.into())
    }

    fn trusted(&self, name: &LocalName) -> Result<&TrustedAuthority, Refusal> {
        self.state.registry.trusted().get(name).ok_or_else(|| Refusal::NoSuchAuthority(name.clone()))
    }
}
