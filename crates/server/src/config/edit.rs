//! Changes `keyward.toml` without losing a comment.

use super::{Config, ConfigErrors, Listener, Place, Protocol, SocketMode};
use keyward_identity::LocalName;
use std::ops::Range;
use toml_edit::{Array, ArrayOfTables, Document, DocumentMut, Item, Table, value};

/// Says why the text was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The file is bad already, or would be.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The file cannot be edited by a program.
    #[error("keyward.toml is not in the form that can be edited: {0}; write [[listener]] sections")]
    Form(String),
    /// There is no such listener.
    #[error("there is no listener {0}; `keyward listener list` shows them")]
    NoSuchListener(String),
    /// The listener would be the last one.
    #[error("{0} is the only listener: without it nobody could connect; add another first")]
    LastListener(String),
}

/// Returns `text` with one more listener. If it configures none, the default one is written out first: it stays open.
///
/// # Errors
/// [`EditError`] if the file is bad or would be, with the line in the new text.
pub fn add_listener(text: &str, listener: &Listener) -> Result<String, EditError> {
    add_listeners(text, &section(listener), Some(&Listener::default()))
}

/// Adds `sections`, which are `[[listener]]` sections behind an empty line, with their comments. If `text` configures no listener,
/// `unnamed` is written out before them, which is what it meant by that; without it that one is closed.
///
/// # Errors
/// [`EditError`] if the file is bad or would be, with the line in the new text.
pub fn add_listeners(text: &str, sections: &str, unnamed: Option<&Listener>) -> Result<String, EditError> {
    let had_listeners = !listeners(&mut document(text)?)?.is_empty();
    let unnamed = unnamed.filter(|_| !had_listeners).map(section).unwrap_or_default();
    // Behind what is there, and apart from it: comments that stand alone stay where they are.
    let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    valid(format!("{text}{newline}{unnamed}{sections}"))
}

/// Lets listeners that take certificates of every authority of others name these instead: those that are trusted from here on
/// do not count there. Returns the text, and the listeners that name them now.
///
/// # Errors
/// [`EditError`] if the file is bad or would be.
pub fn name_trusted(text: &str, authorities: &[LocalName]) -> Result<(String, Vec<String>), EditError> {
    let takes_all = |each: &Listener| each.trusted.is_none() && each.takes_certificates();
    let config = Config::parse("keyward.toml", text)?;
    let names: Vec<String> =
        config.listeners.into_iter().filter(takes_all).map(|listener| listener.name).collect();
    let mut document = document(text)?;
    let tables = listeners(&mut document)?;
    let named = |table: &Table| table.get("name").and_then(Item::as_str).map(str::to_owned);
    let mut changed = Vec::new();
    for table in tables.iter_mut() {
        if let Some(name) = named(table).filter(|name| names.contains(name)) {
            table["trusted"] = value(authorities.iter().map(|name| name.as_str()).collect::<Array>());
            changed.push(name);
        }
    }
    if changed.is_empty() {
        return Ok((text.to_owned(), changed));
    }
    Ok((valid(document.to_string())?, changed))
}

/// Returns `text` without the section of the listener `name`, the comments right above it and one empty line above them.
///
/// # Errors
/// [`EditError`] if there is no such listener, or no other.
pub fn remove_listener(text: &str, name: &str) -> Result<String, EditError> {
    let config = Config::parse("keyward.toml", text)?;
    if !config.listeners.iter().any(|listener| listener.name == name) {
        return Err(EditError::NoSuchListener(name.to_owned()));
    }
    if config.listeners.len() == 1 {
        return Err(EditError::LastListener(name.to_owned()));
    }
    let document = Document::parse(text).map_err(|error| EditError::Form(error.message().to_owned()))?;
    let tables = document.get("listener").and_then(Item::as_array_of_tables).ok_or_else(inline)?;
    let is_it = |table: &&Table| table.get("name").and_then(Item::as_str) == Some(name);
    let section = tables.iter().find(is_it).and_then(|table| section_of(text, table)).ok_or_else(inline)?;
    valid(format!("{}{}", &text[..section.start], &text[section.end..]))
}

/// Returns where a section stands in `text`, with what belongs to it: what follows its last key speaks of something else.
fn section_of(text: &str, table: &Table) -> Option<Range<usize>> {
    let header = table.span()?;
    let values = table.iter().filter_map(|(_, item)| item.span()).map(|span| span.end);
    let last = values.max().unwrap_or(header.end);
    let end = text[last..].find('\n').map_or(text.len(), |rest| last + rest + 1);
    let line_before = |start: usize| {
        let line = text[..start].strip_suffix('\n')?.rfind('\n').map_or(0, |newline| newline + 1);
        Some((line, text[line..start].trim()))
    };
    let mut start = text[..header.start].rfind('\n').map_or(0, |newline| newline + 1);
    while let Some((line, _)) = line_before(start).filter(|(_, words)| words.starts_with('#')) {
        start = line;
    }
    let start = line_before(start).filter(|(_, words)| words.is_empty()).map_or(start, |(line, _)| line);
    Some(start..end)
}

fn document(text: &str) -> Result<DocumentMut, EditError> {
    // The typed parser comes first: its errors name the key.
    Config::parse("keyward.toml", text)?;
    text.parse().map_err(|error: toml_edit::TomlError| EditError::Form(error.message().to_owned()))
}

fn listeners(document: &mut DocumentMut) -> Result<&mut ArrayOfTables, EditError> {
    document
        .entry("listener")
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()))
        .as_array_of_tables_mut()
        .ok_or_else(inline)
}

fn inline() -> EditError {
    EditError::Form("`listener` is an inline array".to_owned())
}

/// Writes a listener out as a section behind an empty line.
fn section(listener: &Listener) -> String {
    let mut document = DocumentMut::new();
    let tables = ArrayOfTables::from_iter([table(listener)]);
    document.insert("listener", Item::ArrayOfTables(tables));
    document.to_string()
}

fn table(listener: &Listener) -> Table {
    let mut table = Table::new();
    table["name"] = value(&listener.name);
    if listener.protocol != Protocol::default() {
        table["protocol"] = value(listener.protocol.as_str());
    }
    match &listener.place {
        Place::Network { address, port } => {
            table["address"] = value(address.to_string());
            table["port"] = value(i64::from(*port));
            if !listener.tls {
                table["tls"] = value(false);
            }
        }
        Place::Socket { path, mode } => {
            table["socket"] = value(path.to_string_lossy().into_owned());
            if *mode != SocketMode::default() {
                table["socket_mode"] = value(mode.to_string());
            }
        }
    }
    if listener.login != Listener::default_login(listener.tls) {
        table["login"] = value(listener.login.as_str());
    }
    if !listener.from.is_empty() {
        table["from"] = value(listener.from.iter().map(ToString::to_string).collect::<Array>());
    }
    if let Some(user) = &listener.anonymous_as {
        table["anonymous_as"] = value(user.as_str());
    }
    if let Some(name) = &listener.server_certificate {
        table["server_certificate"] = value(name.as_str());
    }
    if let Some(trusted) = &listener.trusted {
        table["trusted"] = value(trusted.iter().map(|name| name.as_str()).collect::<Array>());
    }
    if let Some(origins) = &listener.origins {
        table["origins"] = value(origins.iter().collect::<Array>());
    }
    table.decor_mut().set_prefix("\n");
    table
}

fn valid(text: String) -> Result<String, EditError> {
    Config::parse("keyward.toml", &text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Address, DEFAULT_TEXT},
        login::LoginRule,
    };

    fn local() -> Listener {
        Listener {
            name: "local".to_owned(),
            place: Place::Network { address: Address::parse("127.0.0.1").unwrap(), port: 1883 },
            tls: false,
            login: LoginRule::Password,
            ..Listener::default()
        }
    }

    #[test]
    fn adding_the_first_listener_keeps_the_default_one_open() {
        let text = add_listener(DEFAULT_TEXT, &local()).unwrap();
        let config = Config::parse("keyward.toml", &text).unwrap();
        assert_eq!(config.listeners, [Listener::default(), local()]);
    }

    #[test]
    fn an_edit_keeps_every_comment() {
        let text = add_listener("# mine\n[log]\nfilter = \"warn\" # quiet\n", &local()).unwrap();
        assert!(text.contains("# mine") && text.contains("# quiet"), "{text}");
        let text = remove_listener(&text, "local").unwrap();
        assert!(text.contains("# mine") && text.contains("# quiet") && !text.contains("1883"), "{text}");
    }

    /// However it is spelled, a listener that is there is seen, and no other is opened beside it.
    #[test]
    fn listeners_are_added_in_their_own_words_behind_what_is_there() {
        let more = "\n# of old\n[[listener]]\nname = \"b\"\nport = 2\n";
        let unnamed = Some(Listener::default());
        for head in ["[[listener]]", "[[ listener ]]", "[[\"listener\"]]", "['log']\n[['listener' ]] # one"] {
            let text = format!("# first\n{head}\nname = \"a\"\nport = 1\n# last");
            assert_eq!(add_listeners(&text, more, unnamed.as_ref()).unwrap(), format!("{text}\n{more}"));
        }
        for unnamed in [unnamed, None] {
            let added = add_listeners("# [[listener]]", more, unnamed.as_ref()).unwrap();
            assert!(added.starts_with("# [[listener]]\n"), "{added}");
            assert_eq!(added.contains("mqtts"), unnamed.is_some(), "{added}");
        }
        assert!(matches!(add_listeners("listener = []", more, None), Err(EditError::Form(_))));
    }

    /// A comment at the end of the file went with the listener that was added below it.
    #[test]
    fn a_section_goes_with_its_own_comments_and_no_other() {
        let others =
            "names = [\"a\"] # x\n[[listener]]\nname = \"a\" # y\nport = 1\n\n[limits] # z\n# nothing\n";
        let others = format!("[server]\n{others}");
        for others in [others.as_str(), others.trim_end()] {
            let longer = add_listener(others, &local()).unwrap();
            assert_eq!(remove_listener(&longer, "local").unwrap().trim_end(), others.trim_end());
        }
        let text = "# of all\n\n# of a\n[[listener]] # a\nname = \"a\"\n# its port\nport = 1 # one\n# of b\n[[listener]]\nname = \"b\"\n\
                    port = 2\n# the end";
        assert_eq!(
            remove_listener(text, "a").unwrap(),
            "# of all\n# of b\n[[listener]]\nname = \"b\"\nport = 2\n# the end"
        );
        assert_eq!(
            remove_listener(text, "b").unwrap(),
            "# of all\n\n# of a\n[[listener]] # a\nname = \"a\"\n# its port\nport = 1 # one\n# the end"
        );
    }

    #[test]
    fn listeners_that_heed_every_authority_name_those_of_today() {
        let text = "# mine\n[[listener]] # one\nname = \"a\"\nport = 1\n\n[[listener]]\nname = \"b\"\nport = 2\ntrusted = []\n\n\
                    [[listener]]\nname = \"c\"\nport = 3\nlogin = \"password\"\n";
        let (named, changed) = name_trusted(text, &["old".parse().unwrap()]).unwrap();
        assert_eq!(changed, ["a"]);
        assert_eq!(named, text.replace("port = 1\n", "port = 1\ntrusted = [\"old\"]\n"));
        assert_eq!(name_trusted(&named, &[]).unwrap(), (named, Vec::new()));
        assert_eq!(name_trusted("# none", &[]).unwrap(), ("# none".to_owned(), Vec::new()));
    }

    #[test]
    fn a_listener_that_collides_is_not_written() {
        let listener = Listener { name: "mqtts".to_owned(), ..local() };
        let error = add_listener(DEFAULT_TEXT, &listener).unwrap_err().to_string();
        assert!(error.contains("listener.name: expected a name that no other listener has"), "{error}");
    }

    #[test]
    fn the_last_listener_stays() {
        assert!(matches!(remove_listener("", "mqtts"), Err(EditError::LastListener(_))));
        assert!(matches!(remove_listener("", "other"), Err(EditError::NoSuchListener(_))));
    }
}
