//! The one directory that an installation lives in: finding it, and what lies where in it.
//!
//! What is not here: the content of the files. `identity` owns its own files below the same directory.

use keyward_identity::{Registrar, files};
use std::path::{Path, PathBuf};

/// Where an installation lives that is a service of the system.
const OF_SERVICE: &str = "/var/lib/keyward";

/// Names the directory of an installation and what the server keeps in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    directory: PathBuf,
}

/// Holds what the search for the directory looks at; a value, so that tests need no environment.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The value of `KEYWARD_DIR`.
    pub keyward_dir: Option<PathBuf>,
    /// The value of `STATE_DIRECTORY`, which systemd sets for a service.
    pub state_directory: Option<PathBuf>,
    /// The value of `XDG_DATA_HOME`.
    pub xdg_data_home: Option<PathBuf>,
    /// The value of `HOME`.
    pub home: Option<PathBuf>,
    /// Whether the process runs as root.
    pub root: bool,
}

/// Says why a directory cannot be the home of an installation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// Nothing says where the directory is.
    #[error("no directory to keep the installation in: neither KEYWARD_DIR nor HOME is set; give --dir DIR")]
    Nowhere,
    /// The directory does not exist.
    #[error("there is no installation in {}: start one with `keyward up`, or name its directory with --dir or KEYWARD_DIR", .0.display())]
    Absent(PathBuf),
    /// The directory belongs to another user, is open to others, or cannot be used.
    #[error(transparent)]
    Unusable(files::FileError),
}

impl Surroundings {
    /// Reads the environment of the process.
    pub fn of_process() -> Self {
        let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        Self {
            keyward_dir: var("KEYWARD_DIR"),
            state_directory: var("STATE_DIRECTORY"),
            xdg_data_home: var("XDG_DATA_HOME"),
            home: var("HOME"),
            root: rustix::process::geteuid().is_root(),
        }
    }
}

impl Home {
    /// Finds the directory: `flag` (`--dir`), else `KEYWARD_DIR`, else the service's `STATE_DIRECTORY` or
    /// `/var/lib/keyward` for root, else `$XDG_DATA_HOME/keyward`, else `~/.local/share/keyward`. Touches no file.
    ///
    /// # Errors
    /// [`HomeError::Nowhere`] if nothing names a directory.
    pub fn find(flag: Option<&Path>, surroundings: &Surroundings) -> Result<Self, HomeError> {
        let given = flag.or(surroundings.keyward_dir.as_deref()).or(surroundings.state_directory.as_deref());
        if let Some(directory) = given {
            return Ok(Self::at(directory));
        }
        if surroundings.root {
            return Ok(Self::at(OF_SERVICE));
        }
        let data = surroundings.xdg_data_home.clone().filter(|path| path.is_absolute());
        let data = data.or_else(|| surroundings.home.as_ref().map(|home| home.join(".local/share")));
        data.map(|data| Self::at(data.join("keyward"))).ok_or(HomeError::Nowhere)
    }

    /// Takes `directory`, made absolute, so that what is printed about it holds in every other place too. Touches no
    /// file.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        let given = directory.into();
        Self { directory: std::path::absolute(&given).unwrap_or(given) }
    }

    /// Checks that the directory exists, belongs to this user and is closed to others.
    ///
    /// # Errors
    /// [`HomeError`], which says what to do.
    pub fn check(&self) -> Result<(), HomeError> {
        files::check_private_dir(&self.directory).map_err(|error| {
            if error.is_not_found() {
                HomeError::Absent(self.directory.clone())
            } else {
                HomeError::Unusable(error)
            }
        })
    }

    /// Makes the directory (0700) and its missing parents if it does not exist, and checks it.
    ///
    /// # Errors
    /// [`HomeError`], which says what to do.
    pub fn create(&self) -> Result<(), HomeError> {
        files::ensure_private_dir(&self.directory).map_err(HomeError::Unusable)
    }

    /// Tells whether an installation was made here.
    pub fn is_installed(&self) -> bool {
        Registrar::exists(&self.directory)
    }

    /// Returns the directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Tells whether it is where a service of the system lives.
    pub(crate) fn is_of_service(&self) -> bool {
        self.directory == Path::new(OF_SERVICE)
    }

    /// Returns the path of `keyward.toml`.
    pub fn config_file(&self) -> PathBuf {
        self.directory.join("keyward.toml")
    }

    /// Returns the path of the file with the incidents that the watch found.
    pub fn incidents_file(&self) -> PathBuf {
        self.directory.join("incidents.json")
    }

    /// Returns the path of the file with what the watch has learned.
    pub fn learned_file(&self) -> PathBuf {
        self.directory.join("watch.learned")
    }

    /// Returns the path of the file with what the watch hears.
    pub fn recording_file(&self) -> PathBuf {
        self.directory.join("watch.jsonl")
    }

    /// Returns the path of the file with what is kept of the rolling secrets of devices.
    pub fn ratchets_file(&self) -> PathBuf {
        self.directory.join("ratchets")
    }

    /// Returns the path of the file with what waits to be told outside of incidents.
    pub fn notices_file(&self) -> PathBuf {
        self.directory.join("notify.json")
    }

    /// Returns the path of the folder with the rule files.
    pub fn policy_dir(&self) -> PathBuf {
        self.directory.join("policy.d")
    }

    /// Returns the path of the control socket.
    pub fn control_socket(&self) -> PathBuf {
        self.directory.join("control.sock")
    }

    /// Returns the path of the trust anchor that clients need.
    pub fn ca_pem(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// Returns the path of the note that an import leaves until it has ended (`keyward_import::Journal`).
    pub fn import_note(&self) -> PathBuf {
        self.directory.join("import.json")
    }

    /// Tells whether an import was begun here and has not ended: it is at work, or was interrupted.
    pub(crate) fn is_imported_in_part(&self) -> bool {
        self.import_note().symlink_metadata().is_ok()
    }

    /// Returns the path of the folder with sessions and messages.
    pub fn messages_dir(&self) -> PathBuf {
        self.directory.join("messages")
    }

    /// Returns the path of the folder with the root keys, which is to be moved to a safe place.
    pub fn offline_dir(&self) -> PathBuf {
        self.directory.join("offline")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    fn find(flag: Option<&str>, surroundings: Surroundings) -> PathBuf {
        Home::find(flag.map(Path::new), &surroundings).unwrap().directory().to_owned()
    }

    fn user() -> Surroundings {
        Surroundings { home: Some("/home/ada".into()), ..Surroundings::default() }
    }

    #[test]
    fn a_flag_comes_before_the_environment_and_that_before_the_users_folder() {
        let everything = Surroundings {
            keyward_dir: Some("/env".into()),
            state_directory: Some("/state".into()),
            xdg_data_home: Some("/data".into()),
            ..user()
        };
        assert_eq!(find(Some("/flag"), everything.clone()), Path::new("/flag"));
        assert_eq!(find(None, everything.clone()), Path::new("/env"));
        assert_eq!(find(None, Surroundings { keyward_dir: None, ..everything.clone() }), Path::new("/state"));
        let none_given = Surroundings { keyward_dir: None, state_directory: None, ..everything };
        assert_eq!(find(None, none_given), Path::new("/data/keyward"));
        assert_eq!(find(None, user()), Path::new("/home/ada/.local/share/keyward"));
    }

    #[test]
    fn a_relative_directory_is_made_absolute() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(find(Some("kw"), user()), here.join("kw"));
        assert_eq!(Home::at("./kw").policy_dir(), here.join("kw/policy.d"));
    }

    #[test]
    fn root_has_the_place_of_a_service() {
        assert_eq!(find(None, Surroundings { root: true, ..user() }), Path::new("/var/lib/keyward"));
    }

    #[test]
    fn without_any_hint_the_flag_is_named() {
        let error = Home::find(None, &Surroundings::default()).unwrap_err().to_string();
        assert!(error.contains("--dir"), "{error}");
    }

    #[test]
    fn a_new_home_is_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("a/b"));
        assert!(matches!(home.check(), Err(HomeError::Absent(_))));
        home.create().unwrap();
        home.check().unwrap();
        assert_eq!(fs::metadata(home.directory()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_home_that_others_can_enter_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("open"));
        fs::create_dir(home.directory()).unwrap();
        fs::set_permissions(home.directory(), fs::Permissions::from_mode(0o755)).unwrap();
        let error = home.check().unwrap_err().to_string();
        assert!(error.contains("chmod 700") && error.contains("755"), "{error}");
        assert!(home.create().is_err());
    }
}
