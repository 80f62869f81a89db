//! Debian's mosquitto with a configuration of its own. Nothing is installed here.

use super::{Broker, Layout, free_ports, log_path, loopback};
use crate::error::BenchError;
use crate::files;
use crate::load::Access;
use crate::tls::Issued;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What bears on the figures: as many messages under way as Keyward allows, no bound of queues (with its default of 1,000
/// it drops of the 800 that a fan-in has under way), no waiting for more to send (Nagle),
/// and one permission rule, as Keyward has to have one.
const SETTINGS: &str = "\
per_listener_settings false
max_inflight_messages 64
max_queued_messages 0
set_tcp_nodelay true
connection_messages false
log_dest stderr
log_type error
user root
";

/// The rule: everybody who calls itself `bench`, below `bench`.
const RULES: &str = "user bench\ntopic readwrite bench/#\n";

/// What it writes to its file: all that it holds, again and again. It syncs the file, and acknowledges before it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Persistence {
    None,
    /// As often as it can be told to by time.
    EachSecond,
    /// After every turn of its loop that changed something: as often as it can be told to by changes.
    EachChange,
}

impl Persistence {
    fn lines(self, folder: &Path) -> String {
        let autosave = match self {
            Self::None => return "persistence false\n".to_owned(),
            Self::EachSecond => "autosave_interval 1\n",
            Self::EachChange => "autosave_interval 1\nautosave_on_changes true\n",
        };
        format!("persistence true\npersistence_location {}/\n{autosave}", folder.display())
    }

    fn about(self) -> &'static str {
        match self {
            Self::None => "no persistence",
            Self::EachSecond => "persistence true, autosave_interval 1",
            Self::EachChange => "persistence true, autosave_on_changes true, autosave_interval 1",
        }
    }
}

/// Starts mosquitto.
///
/// # Errors
/// [`BenchError::Missing`] if the program is not there.
pub(crate) fn mosquitto(
    program: Option<&Path>,
    persistence: Persistence,
    layout: &Layout,
) -> Result<Broker, BenchError> {
    let program = find(program)?;
    let folder = files::temporary()?;
    let issued = Issued::make(folder.path())?;
    let [plain, tls] = free_ports()?;
    let rules = files::write_new(&folder.path().join("rules"), RULES)?;
    let config = format!(
        "{SETTINGS}{}allow_anonymous true\nacl_file {}\nlistener {plain} 127.0.0.1\n\
         listener {tls} 127.0.0.1\ncertfile {}\nkeyfile {}\n",
        persistence.lines(folder.path()),
        rules.display(),
        issued.chain.display(),
        issued.key.display()
    );
    let config = files::write_new(&folder.path().join("mosquitto.conf"), &config)?;
    let mut command = Command::new(&program);
    command.arg("-c").arg(config);
    let process = layout.spawn(&mut command, &log_path(folder.path()))?;
    let login = Some(("bench".to_owned(), "unchecked".to_owned()));
    let mut broker = Broker {
        name: "mosquitto",
        about: format!(
            "{}: max_inflight_messages 64, max_queued_messages 0 (no bound), set_tcp_nodelay true, one ACL line, {}",
            version(&program),
            persistence.about()
        ),
        plain: Access { address: loopback(plain), ca: None, login: login.clone() },
        tls: Access { address: loopback(tls), ca: Some(issued.ca), login },
        command,
        process,
        folder,
    };
    broker.await_listeners()?;
    Ok(broker)
}

fn find(given: Option<&Path>) -> Result<PathBuf, BenchError> {
    let usual = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto", "/usr/local/sbin/mosquitto"].map(PathBuf::from);
    let places = given.map_or(usual.to_vec(), |path| vec![path.to_owned()]);
    places.into_iter().find(|path| path.is_file()).ok_or_else(|| BenchError::Missing {
        program: "mosquitto".to_owned(),
        remedy: "apt-get install mosquitto, or name it with --mosquitto PATH, or go without it with \
                 --without-mosquitto"
            .to_owned(),
    })
}

/// Returns the first line of its help, where its version stands.
fn version(program: &Path) -> String {
    let said = Command::new(program).arg("-h").output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&said).lines().next().unwrap_or("mosquitto").trim().to_owned()
}
