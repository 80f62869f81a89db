//! How the events of trusted authorities change the state.

use super::{State, Unknown};
use crate::{
    account::Account,
    events::Event,
    ledger::AuditEntry,
    trusted::{LocalName, ProvenBy, TrustedAuthority},
};
use keyward_ids::Identity;
use std::sync::Arc;

impl State {
    pub(super) fn apply_trust(&mut self, entry: &AuditEntry, event: &Event) -> Result<(), Unknown> {
        match event {
            Event::AuthorityTrusted { name, proves, certificates, revocations } => {
                let (certificates, revocations) = (certificates.clone(), revocations.clone());
                let authority =
                    TrustedAuthority { proves: *proves, certificates, revocations, confirmed: true };
                Arc::make_mut(&mut self.registry).trust(name.clone(), authority);
            }
            Event::AuthorityRevocationsSet { name, revocations } => {
                let mut authority = self.trusted(name)?;
                authority.revocations.clone_from(revocations);
                self.end_links_under(name, entry)?;
                Arc::make_mut(&mut self.registry).trust(name.clone(), authority);
            }
            Event::AuthorityConfirmed { name } => {
                let authority = TrustedAuthority { confirmed: true, ..self.trusted(name)? };
                Arc::make_mut(&mut self.registry).trust(name.clone(), authority);
            }
            Event::AuthorityDistrusted { name } => {
                self.end_links_under(name, entry)?;
                for identity in self.bound_under(name) {
                    self.change(&identity, |account| {
                        account.bound_names.retain(|bound| bound.authority != *name)
                    })?;
                }
                Arc::make_mut(&mut self.registry).distrust(name);
            }
            Event::NameBound { identity, bound } => {
                self.change(identity, |account| account.bound_names.push(bound.clone()))?;
            }
            Event::NameUnbound { identity, authority, common_name } => self.change(identity, |account| {
                account
                    .bound_names
                    .retain(|bound| bound.authority != *authority || bound.common_name != *common_name);
                account.epoch = entry.sequence;
            })?,
            _ => {}
        }
        Ok(())
    }

    /// Lets no trusted authority be used until it is confirmed.
    pub(super) fn doubt_authorities(&mut self) {
        let trusted: Vec<_> =
            self.registry.trusted().iter().map(|(name, held)| (name.clone(), held.clone())).collect();
        for (name, authority) in trusted {
            let authority = TrustedAuthority { confirmed: false, ..authority };
            Arc::make_mut(&mut self.registry).trust(name, authority);
        }
    }

    /// Ends the links that were opened with certificates of an authority. Which they are is not known: all links of whom its
    /// names stand for, or, if it proves nobody, of who has a password.
    fn end_links_under(&mut self, name: &LocalName, entry: &AuditEntry) -> Result<(), Unknown> {
        let identities = match self.trusted(name)?.proves {
            ProvenBy::CommonName => self.bound_under(name),
            ProvenBy::None => self.identities(|account| account.password.is_some()),
        };
        identities
            .iter()
            .try_for_each(|identity| self.change(identity, |account| account.epoch = entry.sequence))
    }

    fn bound_under(&self, name: &LocalName) -> Vec<Identity> {
        self.identities(|account| account.bound_names.iter().any(|bound| bound.authority == *name))
    }

    fn identities(&self, which: impl Fn(&Account) -> bool) -> Vec<Identity> {
        let accounts = self.registry.accounts().filter(|account| which(account));
        accounts.map(|account| account.identity.clone()).collect()
    }

    fn trusted(&self, name: &LocalName) -> Result<TrustedAuthority, Unknown> {
        let held = self.registry.trusted().get(name).cloned();
        held.ok_or_else(|| Unknown(format!("trusted authority {name}")))
    }
}
