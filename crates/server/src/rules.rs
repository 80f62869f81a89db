//! The rule files: `policy.d/*.toml`, read all or not at all.
//!
//! What is not here: what stands in them (`policy`).

use crate::home::Home;
use keyward_identity::files;
use keyward_policy::{Policy, PolicyErrors, SourceFile, limits};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Holds the compiled rules and the texts that they come from.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The compiled rules.
    pub policy: Policy,
    /// The files, in the order of their names.
    pub files: Vec<SourceFile>,
}

/// Says why the rules could not be loaded. What was in force stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// The folder is gone. No rules at all would be in force without it, denying ones included.
    #[error(
        "{}: is missing, and the rules with it: put the folder back, or make an empty one if there are to be no rules \
         (mkdir -m 700)",
        .0.display()
    )]
    Missing(PathBuf),
    /// The folder cannot be read.
    #[error("{}: {error}; the user of the broker must be able to read it", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file cannot be read, is no regular file or too large.
    #[error(transparent)]
    File(#[from] files::FileError),
    /// A file is no text, or there are too many.
    #[error("{}: {what}", path.display())]
    Unfit {
        /// The path.
        path: PathBuf,
        /// What is wrong and what to do.
        what: String,
    },
    /// A file holds what is no rule.
    #[error("{0}")]
    Rules(#[from] PolicyErrors),
}

impl Rules {
    /// Reads and compiles all rule files of `home`, sorted by name. A missing folder is an error: only a
    /// first start makes it.
    ///
    /// # Errors
    /// [`RulesError`], with file, line and column where there are such.
    pub fn load(home: &Home) -> Result<Self, RulesError> {
        let files = read(&home.policy_dir())?;
        let policy = Policy::load(&files)?;
        Ok(Self { policy, files })
    }
}

fn read(folder: &Path) -> Result<Vec<SourceFile>, RulesError> {
    paths(folder)?.iter().map(|path| read_one(path)).collect()
}

/// Lists the rule files in a folder, sorted by name.
pub(crate) fn paths(folder: &Path) -> Result<Vec<PathBuf>, RulesError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |error| RulesError::Unreadable { path, error }
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(RulesError::Missing(folder.to_owned()));
        }
        Err(error) => return Err(unreadable(folder)(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable(folder))?.path();
        // Editors leave `app.toml~` and `.app.toml.swp` behind.
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.extension().is_some_and(|extension| extension == "toml") && !hidden {
            paths.push(path);
        }
    }
    if paths.len() > limits::MAX_FILES {
        let what = format!("holds {} rule files; at most {} are read", paths.len(), limits::MAX_FILES);
        return Err(RulesError::Unfit { path: folder.to_owned(), what });
    }
    paths.sort();
    Ok(paths)
}

fn read_one(path: &Path) -> Result<SourceFile, RulesError> {
    let bytes = files::read_regular(path, limits::MAX_FILE_BYTES)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let what = format!("is not UTF-8 text, from byte {} on", error.utf8_error().valid_up_to());
        RulesError::Unfit { path: path.to_owned(), what }
    })?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(SourceFile { name: format!("policy.d/{name}"), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "[[rule]]\nwho = \"user:app\"\nallow = [\"subscribe\"]\ntopics = [\"+/status\"]\n";

    fn home(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        fs::create_dir(home.policy_dir()).unwrap();
        for (name, bytes) in files {
            files::write_new(&home.policy_dir().join(name), bytes).unwrap();
        }
        (folder, home)
    }

    fn refusal(files: &[(&str, &[u8])]) -> String {
        Rules::load(&home(files).1).unwrap_err().to_string()
    }

    #[test]
    fn all_rule_files_are_read_in_the_order_of_their_names() {
        let (_folder, home) = home(&[
            ("b.toml", RULE.as_bytes()),
            ("a.toml", RULE.as_bytes()),
            ("a.toml~", b"not a rule"),
            (".c.toml", b"not a rule"),
            ("notes.txt", b"not a rule"),
        ]);
        let names: Vec<_> = Rules::load(&home).unwrap().files.into_iter().map(|file| file.name).collect();
        assert_eq!(names, ["policy.d/a.toml", "policy.d/b.toml"]);
    }

    #[test]
    fn an_empty_folder_holds_no_rules_and_a_missing_one_is_an_error() {
        let (_folder, home) = home(&[]);
        assert!(Rules::load(&home).unwrap().files.is_empty());
        fs::remove_dir(home.policy_dir()).unwrap();
        let error = Rules::load(&home).unwrap_err().to_string();
        assert!(error.contains("policy.d: is missing") && error.contains("mkdir -m 700"), "{error}");
    }

    #[test]
    fn one_bad_file_is_named_with_its_line() {
        let error = refusal(&[("a.toml", RULE.as_bytes()), ("b.toml", b"\n[[rule]]\nwho = 7\n")]);
        assert!(error.contains("policy.d/b.toml:3"), "{error}");
    }

    #[test]
    fn what_is_no_text_is_refused_with_its_place() {
        let error = refusal(&[("a.toml", b"# \xff")]);
        assert!(error.ends_with("a.toml: is not UTF-8 text, from byte 2 on"), "{error}");
        let error = refusal(&[("a.toml", &vec![b'#'; limits::MAX_FILE_BYTES + 1])]);
        assert!(error.contains("has more than 262144 bytes"), "{error}");
    }

    #[test]
    fn a_pipe_does_not_hold_the_broker_up() {
        let (_folder, home) = home(&[]);
        let path = home.policy_dir().join("a.toml");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let error = Rules::load(&home).unwrap_err().to_string();
        assert!(error.contains("is not a regular file"), "{error}");
    }
}
