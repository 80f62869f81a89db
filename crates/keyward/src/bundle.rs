//! Bundles: the directory that a device or an application gets, with everything that it needs to connect.
//!
//! The private key is made here, in the process of the command, and written before the broker is asked: a certificate
//! never exists without its key, and the key is nowhere else.

pub(crate) mod chip;
mod node_red;
mod readme;

use crate::args::BundleKind;
use crate::clock;
use crate::failure::{Failure, Outcome};
use crate::program::Program;
use keyward_client::Address;
use keyward_identity::files::{self, FileError};
use keyward_server::control::Chip;
use keyward_server::quoting::quote;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The trust anchor.
pub(crate) const CA: &str = "ca.pem";
/// The certificate and its issuer.
pub(crate) const CERT: &str = "cert.pem";
/// The private key.
pub(crate) const KEY: &str = "key.pem";
/// The key of the installation, which signs key sets.
pub(crate) const INSTALLATION: &str = "installation.pub";
/// Where to connect and as whom, for `keyward pub` and `keyward sub`.
pub(crate) const ADDRESS: &str = "keyward.json";
/// The most bytes of a file of a bundle.
pub(crate) const FILE_BYTES: usize = 64 * 1024;

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::failed(error)
    }
}

/// Refuses a bundle for Node-RED that would hold no key.
pub(crate) fn no_key_for_flow() -> Failure {
    Failure::misuse("a bundle for Node-RED holds key and certificate: leave passwords and --csr away")
}

/// Is a directory that was made for a bundle. It is removed again unless [`Draft::finish`] is reached.
pub(crate) struct Draft {
    dir: PathBuf,
    kept: bool,
}

/// Is what goes into a bundle beside the key.
pub(crate) struct Contents<'a> {
    pub(crate) address: Address,
    pub(crate) kind: BundleKind,
    pub(crate) ca_pem: &'a str,
    /// The key that signs key sets.
    pub(crate) installation_key_pem: Option<&'a str>,
    /// The certificate and its issuer; `None` for a bundle of somebody with a password.
    pub(crate) certificate_pem: Option<&'a str>,
    /// Whether the key is in the bundle too; if not it is where the signing request came from.
    pub(crate) has_key: bool,
    /// The chip that it goes to.
    pub(crate) chip: Option<Chip>,
    /// A topic to which the first message goes.
    pub(crate) first_topic: Option<String>,
}

impl Draft {
    /// Makes the directory; it must not exist.
    pub(crate) fn create(dir: &Path) -> Outcome<Self> {
        let dir = std::path::absolute(dir).map_err(|error| Failure::file(dir, &error))?;
        files::create_private_dir(&dir).map_err(|error| match error {
            FileError::Exists(_) => Failure::failed(format!(
                "{} exists already; a bundle goes into a new directory: name another with --out",
                dir.display()
            )),
            other => other.into(),
        })?;
        Ok(Self { dir, kept: false })
    }

    /// Writes the private key.
    pub(crate) fn write_key(&self, key_pem: &Zeroizing<String>) -> Outcome {
        Ok(files::write_new(&self.dir.join(KEY), key_pem.as_bytes())?)
    }

    /// Keeps the directory from now on: the broker knows the key that is in it.
    pub(crate) fn keep(&mut self) {
        self.kept = true;
    }

    /// Writes everything else and returns the directory.
    pub(crate) fn finish(mut self, contents: &Contents<'_>, program: &Program) -> Outcome<PathBuf> {
        self.keep();
        let write = |name: &str, text: &str| files::write_new(&self.dir.join(name), text.as_bytes());
        write(CA, contents.ca_pem)?;
        if let Some(certificate) = contents.certificate_pem {
            write(CERT, certificate)?;
        }
        if let Some(key) = contents.installation_key_pem {
            write(INSTALLATION, key)?;
        }
        write(ADDRESS, &contents.address.write())?;
        if contents.kind == BundleKind::Mosquitto {
            let options = mosquitto_options(contents);
            write("mosquitto_pub", &options)?;
            write("mosquitto_sub", &options)?;
        }
        if contents.kind == BundleKind::NodeRed {
            write(node_red::FLOW, &node_red::flow(contents, &self.dir))?;
        }
        if let (Some(chip), Some(_)) = (contents.chip, contents.kind.chip()) {
            chip::write(contents, chip, clock::unix_ms() / 1_000, &self.dir)?;
        }
        write("README.txt", &readme::text(contents, &self.dir, program))?;
        Ok(self.dir.clone())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            // What was made here only, a moment ago; if it cannot be removed it is an empty directory or an unknown key.
            drop(std::fs::remove_dir_all(&self.dir));
        }
    }
}

/// Writes the options that mosquitto_pub and mosquitto_sub read from `$XDG_CONFIG_HOME`. Paths are relative: the
/// bundle may be moved.
fn mosquitto_options(contents: &Contents<'_>) -> String {
    let Address { host, port, .. } = &contents.address;
    let mut lines = vec![format!("-h {host}"), format!("-p {port}"), format!("--cafile {CA}")];
    if contents.certificate_pem.is_some() && contents.has_key {
        lines.extend([format!("--cert {CERT}"), format!("--key {KEY}")]);
    }
    lines.extend(["-V mqttv5".to_owned(), "-q 1".to_owned()]);
    lines.join("\n") + "\n"
}

/// Returns the command by which `mosquitto_pub` publishes a first message with this bundle.
pub(crate) fn mosquitto_command(contents: &Contents<'_>, dir: &Path) -> Option<String> {
    let topic = contents.first_topic.as_deref()?;
    if contents.certificate_pem.is_none() || !contents.has_key {
        return None;
    }
    let file = |name: &str| quote(&dir.join(name).to_string_lossy());
    Some(match contents.kind {
        BundleKind::Mosquitto => {
            let dir = quote(&dir.to_string_lossy());
            format!("(cd {dir} && XDG_CONFIG_HOME=. mosquitto_pub -t {} -m hello)", quote(topic))
        }
        BundleKind::Pem | BundleKind::NodeRed | BundleKind::Esp8266 | BundleKind::Esp32 => format!(
            "mosquitto_pub -h {} -p {} --cafile {} --cert {} --key {} -V 5 -q 1 -t {} -m hello",
            quote(&contents.address.host),
            contents.address.port,
            file(CA),
            file(CERT),
            file(KEY),
            quote(topic)
        ),
    })
}

/// Returns the commands that wait for a first message with this bundle, and publish it.
pub(crate) fn keyward_commands(
    contents: &Contents<'_>,
    dir: &Path,
    program: &Program,
) -> Option<[String; 2]> {
    let topic = quote(contents.first_topic.as_deref()?);
    let login = contents.login(dir);
    Some([
        program.client_command(&format!("sub {login} -t {topic}")),
        program.client_command(&format!("pub {login} -t {topic} -m hello")),
    ])
}

impl Contents<'_> {
    /// Writes the flags with which `keyward pub` and `keyward sub` log in.
    pub(crate) fn login(&self, dir: &Path) -> String {
        let bundle = format!("--bundle-dir {}", quote(&dir.to_string_lossy()));
        match (self.certificate_pem.is_some(), self.has_key) {
            (true, true) => bundle,
            (true, false) => format!("{bundle} --key KEY.pem"),
            (false, _) => {
                let name = self.address.identity.split_once(':').map_or("", |(_, name)| name);
                format!("{bundle} --user {name} --password-file -")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn contents(kind: BundleKind) -> Contents<'static> {
        Contents {
            address: Address::new("device:dev01".to_owned(), "i".to_owned(), "localhost".to_owned(), 8883),
            kind,
            ca_pem: "CA",
            installation_key_pem: Some("PUBLIC"),
            certificate_pem: Some("CERT"),
            has_key: true,
            chip: None,
            first_topic: Some("dev01/status".to_owned()),
        }
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_bundle_is_closed_to_others_and_complete() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("dev01");
        let draft = Draft::create(&dir).unwrap();
        draft.write_key(&Zeroizing::new("KEY".to_owned())).unwrap();
        let program = Program::of_process(&keyward_server::home::Home::at("/srv/kw"));
        draft.finish(&contents(BundleKind::Mosquitto), &program).unwrap();
        assert_eq!(mode(&dir), 0o700);
        let mut names: Vec<String> = Vec::new();
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            names.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
        names.sort();
        let expected = [
            "README.txt",
            "ca.pem",
            "cert.pem",
            "installation.pub",
            "key.pem",
            "keyward.json",
            "mosquitto_pub",
            "mosquitto_sub",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_flow_of_node_red_is_json_names_the_files_and_holds_no_secret() {
        let dir = Path::new("/home/anna/flows");
        let text = node_red::flow(&contents(BundleKind::NodeRed), dir);
        let nodes: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        let of = |kind: &str| nodes.iter().find(|node| node["type"] == kind).unwrap();
        assert_eq!(of("tls-config")["key"], "/home/anna/flows/key.pem");
        assert_eq!(of("tls-config")["verifyservercert"], true);
        assert_eq!(
            (&of("mqtt-broker")["broker"], &of("mqtt-broker")["port"]),
            (&"localhost".into(), &"8883".into())
        );
        assert_eq!(of("mqtt-broker")["tls"], of("tls-config")["id"]);
        assert_eq!(of("inject")["topic"], "dev01/status");
        assert!(!text.contains("KEY") && !text.contains("CERT"), "{text}");
    }

    #[test]
    fn nothing_stays_of_a_bundle_that_was_not_finished() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("dev01");
        let draft = Draft::create(&dir).unwrap();
        draft.write_key(&Zeroizing::new("KEY".to_owned())).unwrap();
        drop(draft);
        assert!(!dir.exists());
    }

    #[test]
    fn an_existing_directory_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let refused = Draft::create(place.path()).err().unwrap();
        assert!(refused.what.contains("--out"), "{}", refused.what);
        assert!(place.path().exists());
    }

    #[test]
    fn commands_name_every_file() {
        let dir = Path::new("/home/anna/my bundles/dev01");
        let command = mosquitto_command(&contents(BundleKind::Pem), dir).unwrap();
        for part in ["-p 8883", "'/home/anna/my bundles/dev01/ca.pem'", "key.pem", "-t dev01/status"] {
            assert!(command.contains(part), "{command}");
        }
    }
}
