//! Whom rules speak of.

use crate::template::Placeholder;
use keyward_ids::{Identity, SiteId, TypeId};

/// Is a principal as rules see it: who it is and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The principal, in the spelling of the registry: topics tell upper from lower case, names do not.
    pub identity: Identity,
    /// The type of the device, if it has one.
    pub device_type: Option<TypeId>,
    /// Where it stands, if that is known.
    pub site: Option<SiteId>,
    /// Tells that a machine chose the id, so that it may not claim a first topic level of its own.
    pub machine_chosen: bool,
    /// Tells that it is a device in quarantine: the rules of quarantine take the place of all others.
    pub quarantined: bool,
}

impl Subject {
    /// Makes a subject without type and site whose id a person chose.
    pub fn new(identity: Identity) -> Self {
        Self { identity, device_type: None, site: None, machine_chosen: false, quarantined: false }
    }

    /// Returns the text that stands for `placeholder` in this subject's filters; `None` if it has no such thing.
    pub(crate) fn value(&self, placeholder: Placeholder) -> Option<&str> {
        match (placeholder, &self.identity) {
            (Placeholder::Id, Identity::Device(id)) => Some(id.as_str()),
            (Placeholder::User, Identity::User(id)) => Some(id.as_str()),
            (Placeholder::Id, Identity::User(_)) | (Placeholder::User, Identity::Device(_)) => None,
            (Placeholder::Type, _) => self.device_type.as_ref().map(TypeId::as_str),
            (Placeholder::Site, _) => self.site.as_ref().map(SiteId::as_str),
            // Known only once a client is connected.
            (Placeholder::Client, _) => None,
        }
    }
}
