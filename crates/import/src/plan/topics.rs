//! Topic filters of Mosquitto as filters of our rules, with `%c` and `%u` as placeholders.

use keyward_mosquitto::Version;
use keyward_policy::limits;

/// Is a filter of a rule, and how its meaning differs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Translated {
    pub(super) text: String,
    /// Whether a placeholder stands for a part of a level, where an id with `/` made several levels.
    pub(super) is_partial: bool,
    pub(super) names_user: bool,
    pub(super) names_client: bool,
}

/// Says what `%c` and `%u` of a filter stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placeholders {
    /// Themselves.
    None,
    /// Client id and user name.
    Of(Version),
}

/// Translates a filter. `is_same` tells that the client id is the user name (`use_username_as_clientid`).
///
/// # Errors
/// Why there is no such filter here.
pub(super) fn translate(filter: &str, kind: Placeholders, is_same: bool) -> Result<Translated, String> {
    let mut it =
        Translated { text: String::new(), is_partial: false, names_user: false, names_client: false };
    for (n, level) in filter.split('/').enumerate() {
        if n > 0 {
            it.text.push('/');
        }
        let holds = level.contains("%c") || level.contains("%u");
        let is_alone = matches!(level, "%c" | "%u");
        match kind {
            Placeholders::Of(Version::V2_0) if holds => {
                it.is_partial |= !is_alone;
                if n == 0 && level.starts_with('$') {
                    return Err("a first level that begins with $ cannot hold %c or %u".to_owned());
                }
                fill(level, is_same, &mut it);
            }
            Placeholders::Of(Version::V2_1) if is_alone => fill(level, is_same, &mut it),
            _ => it.text.push_str(&level.replace('{', "{{").replace('}', "}}")),
        }
    }
    let levels = filter.split('/').count();
    if levels > limits::MAX_FILTER_LEVELS || it.text.len() > limits::MAX_FILTER_BYTES {
        let (most, bytes) = (limits::MAX_FILTER_LEVELS, limits::MAX_FILTER_BYTES);
        return Err(format!("a filter has at most {most} levels and {bytes} bytes"));
    }
    if filter.starts_with("$share/") || filter == "$share" {
        return Err("no topic begins with $share".to_owned());
    }
    Ok(it)
}

fn fill(level: &str, is_same: bool, it: &mut Translated) {
    let mut rest = level;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("%u").or_else(|| rest.strip_prefix("%c").filter(|_| is_same)) {
            it.text.push_str("{user}");
            it.names_user = true;
            rest = after;
        } else if let Some(after) = rest.strip_prefix("%c") {
            it.text.push_str("{client}");
            it.names_client = true;
            rest = after;
        } else {
            match c {
                '{' => it.text.push_str("{{"),
                '}' => it.text.push_str("}}"),
                c => it.text.push(c),
            }
            rest = &rest[c.len_utf8()..];
        }
    }
}

/// Writes a text as a TOML string.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\U{:08X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(filter: &str, kind: Placeholders) -> String {
        translate(filter, kind, false).unwrap().text
    }

    #[test]
    fn placeholders_are_filled_anywhere_by_2_0_and_as_whole_levels_by_2_1() {
        let (old, new) = (Placeholders::Of(Version::V2_0), Placeholders::Of(Version::V2_1));
        for (filter, by_old, by_new, literal) in [
            ("%u/%c/#", "{user}/{client}/#", "{user}/{client}/#", "%u/%c/#"),
            ("a/dev-%u-%c", "a/dev-{user}-{client}", "a/dev-%u-%c", "a/dev-%u-%c"),
            ("{x}/%c%c", "{{x}}/{client}{client}", "{{x}}/%c%c", "{{x}}/%c%c"),
            ("%%c/+", "%{client}/+", "%%c/+", "%%c/+"),
        ] {
            assert_eq!(text(filter, old), by_old);
            assert_eq!(text(filter, new), by_new);
            assert_eq!(text(filter, Placeholders::None), literal);
        }
        assert!(translate("a/x%c", old, false).unwrap().is_partial);
        assert_eq!(translate("%c/%u", old, true).unwrap().text, "{user}/{user}");
        assert!(translate("$a%c/x", old, false).is_err());
    }

    #[test]
    fn what_is_too_deep_or_shared_has_no_filter_here() {
        let deep = vec!["a"; limits::MAX_FILTER_LEVELS + 1].join("/");
        for filter in [deep.as_str(), "$share/g/a", "$share"] {
            assert!(translate(filter, Placeholders::None, false).is_err());
        }
    }

    #[test]
    fn a_quoted_text_is_the_same_text_to_a_toml_parser() {
        for odd in ["a\"\\\t\u{7f}\u{1b}\u{e9}", "plain"] {
            let table: toml::Table = format!("x = {}", quoted(odd)).parse().unwrap();
            assert_eq!(table["x"].as_str(), Some(odd));
        }
    }
}
