//! How to call this program again: the words that a person can paste into another terminal.

use keyward_server::home::{Home, Surroundings};
use keyward_server::quoting::quote;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Holds the words with which every printed command begins.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    name: String,
    dir: Option<String>,
}

impl Program {
    /// Looks at how this process was started: `keyward` if that is what the shell would find, else the path of the
    /// executable; with `--dir` only if `home` is not where another terminal would look.
    pub(crate) fn of_process(home: &Home) -> Self {
        let executable = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("keyward"));
        let path = std::env::var_os("PATH");
        Self { name: name(&executable, path.as_ref()), dir: dir(home, &Surroundings::of_process()) }
    }

    /// Returns a full command. `arguments` must be quoted already ([`quote`]).
    pub(crate) fn command(&self, arguments: &str) -> String {
        let dir = self.dir.as_ref().map(|dir| format!(" --dir {dir}")).unwrap_or_default();
        format!("{}{dir} {arguments}", self.name)
    }

    /// Returns a full command that needs no directory, for `pub`, `sub` and the like.
    pub(crate) fn client_command(&self, arguments: &str) -> String {
        format!("{} {arguments}", self.name)
    }
}

fn name(executable: &Path, path: Option<&OsString>) -> String {
    let file = executable.file_name().unwrap_or_default();
    let found = path.and_then(|path| {
        std::env::split_paths(path).map(|folder| folder.join(file)).find(|candidate| candidate.is_file())
    });
    let same = found.and_then(|found| found.canonicalize().ok()) == executable.canonicalize().ok();
    if same { quote(&file.to_string_lossy()) } else { quote(&executable.to_string_lossy()) }
}

fn dir(home: &Home, surroundings: &Surroundings) -> Option<String> {
    // KEYWARD_DIR of this terminal is not set in the next one.
    let elsewhere = Surroundings { keyward_dir: None, ..surroundings.clone() };
    let usual = Home::find(None, &elsewhere).ok();
    if usual.as_ref().map(Home::directory) == Some(home.directory()) {
        return None;
    }
    Some(quote(&home.directory().to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_on_the_path_is_called_by_its_path() {
        let executable = std::env::current_exe().unwrap();
        assert_eq!(name(&executable, None), quote(&executable.to_string_lossy()));
        let folder = executable.parent().unwrap().as_os_str().to_owned();
        assert_eq!(name(&executable, Some(&folder)), executable.file_name().unwrap().to_string_lossy());
    }

    #[test]
    fn the_directory_is_named_only_if_another_terminal_would_look_elsewhere() {
        let surroundings = Surroundings {
            keyward_dir: Some("/srv/kw".into()),
            home: Some("/home/anna".into()),
            ..Surroundings::default()
        };
        let usual = Home::at("/home/anna/.local/share/keyward");
        assert_eq!(dir(&usual, &surroundings), None);
        assert_eq!(dir(&Home::at("/srv/kw"), &surroundings), Some("/srv/kw".to_owned()));
    }
}
