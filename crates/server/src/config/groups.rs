//! How old keys of groups may grow.

use super::{
    error::{ConfigError, Places},
    file,
};
use keyward_identity::{
    GroupAges,
    limits::{GROUP_EPOCH_SECONDS, GROUP_EPOCHS},
};

/// A day: what was said under a key that somebody lost is at most that much.
const ROTATE_SECONDS: u64 = 86_400;

/// As long as a signed message may be on its way if the rules say nothing else.
const KEEP_SECONDS: u64 = 7 * 86_400;

/// The ages of keys where the file says nothing.
pub(super) const DEFAULT: GroupAges = GroupAges { rotate_secs: ROTATE_SECONDS, keep_secs: KEEP_SECONDS };

pub(super) fn validate(raw: &file::Groups, places: &Places<'_>) -> Result<GroupAges, Vec<ConfigError>> {
    let seconds = |span: &Option<toml::Spanned<super::unit::Span>>, default: u64| {
        span.as_ref().map_or(default, |span| span.get_ref().0.as_secs())
    };
    let rotate_secs = seconds(&raw.rotate, DEFAULT.rotate_secs);
    let keep_secs = seconds(&raw.keep, DEFAULT.keep_secs);
    if let Some(span) = raw.rotate.as_ref().filter(|_| !(60..=GROUP_EPOCH_SECONDS).contains(&rotate_secs)) {
        return Err(vec![places.error(&span.span(), "a time from 1 min to 92 days")]);
    }
    if let Some(span) = raw.keep.as_ref().filter(|_| keep_secs > GROUP_EPOCH_SECONDS) {
        return Err(vec![places.error(&span.span(), "a time of at most 92 days")]);
    }
    let most = rotate_secs.saturating_mul(GROUP_EPOCHS as u64 - 1);
    if let Some(span) = raw.keep.as_ref().or(raw.rotate.as_ref()).filter(|_| keep_secs > most) {
        let expected = format!(
            "at most {} keys of a group at a time: `keep` is at most {} times `rotate`",
            GROUP_EPOCHS,
            GROUP_EPOCHS - 1
        );
        return Err(vec![places.error(&span.span(), expected)]);
    }
    Ok(GroupAges { rotate_secs, keep_secs })
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use keyward_identity::GroupAges;

    #[test]
    fn ages_of_keys_are_taken_where_so_many_keys_are_kept() {
        let ages = |text: &str| Config::parse("keyward.toml", text).map(|config| config.groups);
        assert_eq!(ages(""), Ok(GroupAges { rotate_secs: 86_400, keep_secs: 604_800 }));
        let set = ages("[groups]\nrotate = \"1h\"\nkeep = \"12h\"");
        assert_eq!(set, Ok(GroupAges { rotate_secs: 3_600, keep_secs: 43_200 }));
        for (text, place) in [
            ("[groups]\nrotate = \"1 s\"", "keyward.toml:2:10: groups.rotate"),
            ("[groups]\nrotate = \"93 days\"", "groups.rotate"),
            ("[groups]\nkeep = \"93 days\"", "groups.keep"),
            ("[groups]\nrotate = \"1h\"", "groups.rotate"),
            ("[groups]\nrotate = \"1h\"\nkeep = \"24h\"", "`keep` is at most 23 times `rotate`"),
            ("[groups]\nrotate = 1", "groups.rotate"),
            ("[groups]\nmore = 1", "groups.more"),
        ] {
            let error = ages(text).unwrap_err().to_string();
            assert!(error.contains(place), "{text}: {error}");
        }
    }
}
