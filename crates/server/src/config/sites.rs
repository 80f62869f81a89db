//! What is particular of a site: who can lay hands on what stands there.

use super::{
    error::{ConfigError, Places},
    file,
};
use keyward_identity::Exposure;
use keyward_ids::SiteId;
use std::collections::BTreeMap;
use toml::Spanned;

/// The most sites with settings of their own.
pub const MAX_SITES: usize = 1_000;

/// Holds what is particular of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Site {
    /// Who can lay hands on devices there of which nothing else is said; `None` leaves that to their type.
    pub exposure: Option<Exposure>,
}

pub(super) fn validate(
    raw: &BTreeMap<Spanned<String>, file::Site>,
    places: &Places<'_>,
) -> Result<BTreeMap<SiteId, Site>, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let mut valid = BTreeMap::new();
    if let Some(extra) = raw.keys().nth(MAX_SITES) {
        errors.push(places.error(&extra.span(), format!("at most {MAX_SITES} sites")));
    }
    for (name, settings) in raw.iter().take(MAX_SITES) {
        match SiteId::parse(name.get_ref()) {
            Ok(name) => drop(valid.insert(name, Site { exposure: settings.exposure })),
            Err(_) => errors.push(places.error(&name.span(), "the name of a site")),
        }
    }
    if errors.is_empty() { Ok(valid) } else { Err(errors) }
}
