//! The stage of the demo: a temporary directory, a broker on a free port of this machine, two devices, an application.

use super::step::Tally;
use super::street::{LAMPS, PACE, TYPES};
use crate::clock;
use crate::failure::{Failure, Outcome};
use crate::keypair;
use crate::reach::unexpected;
use crate::screen::Screen;
use keyward_client::{Client, ClientError, ClientOptions, Message, TlsIdentity, TlsOptions};
use keyward_identity::files;
use keyward_server::config::MAX_CONFIG_BYTES;
use keyward_server::control::{self, Der, DeviceAdd, NewCredential, Request, Response, UserAdd};
use keyward_server::home::Home;
use keyward_server::running::{self, RunOptions, Running};
use keyward_server::status::Status;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use tempfile::TempDir;

/// How long a step waits for what should come.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The application's rules: it reads every status and writes every display.
const RULES: &str = "\
# What the application may do; devices need no rule for their own topics.
[[rule]]
who = \"user:app\"
allow = [\"subscribe\"]
topics = [\"+/status\"]

[[rule]]
who = \"user:app\"
allow = [\"publish\"]
topics = [\"+/display\"]
";

/// Is one that can log in by mutual TLS.
pub(super) struct Member {
    pub(super) identity: TlsIdentity,
}

/// Holds everything that the chapters use.
pub(super) struct Stage {
    pub(super) tally: Tally,
    pub(super) dev01: Member,
    pub(super) dev02: Member,
    pub(super) app: Member,
    /// The lamps of the street, by name.
    pub(super) lamps: Vec<(&'static str, Member)>,
    pub(super) port: u16,
    pub(super) ca_pem: String,
    control: control::Client,
    running: Option<Running>,
    // Last: everything above may use files in it.
    _place: TempDir,
}

impl Stage {
    /// Starts the broker and adds everybody.
    pub(super) fn set(screen: Screen) -> Outcome<Self> {
        let tally = Tally::new(screen);
        let place = TempDir::with_prefix("keyward-demo-")
            .map_err(|error| Failure::failed(format!("cannot make a temporary directory: {error}")))?;
        let home = Home::at(place.path().join("keyward"));
        tally.say("A broker starts in a temporary directory, on a free port of this machine only.\n")?;
        let running = running::run(home.clone(), &broker_options())?;
        let port =
            running.addresses().first().ok_or_else(|| Failure::failed("the broker does not listen"))?.port();
        let mut control = control::Client::connect(&home)?;
        let (dev01, ca_pem) = device(&mut control, "dev01")?;
        let (dev02, _) = device(&mut control, "dev02")?;
        let app = application(&mut control, "app")?;
        files::write_new(&home.policy_dir().join("app.toml"), RULES.as_bytes())?;
        let config = files::read_regular(&home.config_file(), MAX_CONFIG_BYTES)?;
        files::replace(&home.config_file(), &[&config[..], TYPES.as_bytes()].concat())?;
        control.call(&Request::Reload)?;
        let lamps = LAMPS.iter().map(|(name, site)| Ok((*name, lamp(&mut control, name, site)?)));
        let lamps = lamps.collect::<Outcome<_>>()?;
        tally.say(&format!(
            "It listens on 127.0.0.1:{port}. Devices dev01 and dev02 were added, and the application app with rules\n\
             to read +/status and to write +/display. All three log in by mutual TLS.\n"
        ))?;
        Ok(Self {
            tally,
            dev01,
            dev02,
            app,
            lamps,
            port,
            ca_pem,
            control,
            running: Some(running),
            _place: place,
        })
    }

    /// Stops the broker and returns what was counted.
    pub(super) fn leave(mut self) -> Tally {
        if let Some(running) = self.running.take() {
            running.stop();
        }
        self.tally
    }

    /// Returns how `member` connects; `None` is somebody without a certificate.
    pub(super) fn options(&self, member: Option<&Member>, client_id: &str) -> ClientOptions {
        let mut options = ClientOptions::new("127.0.0.1", self.port);
        options.tls = Some(TlsOptions {
            roots_pem: self.ca_pem.clone().into_bytes(),
            identity: member.map(|member| member.identity.clone()),
            server_name: None,
        });
        options.client_id = client_id.to_owned();
        options.timeout = PATIENCE;
        options
    }

    /// Connects `member`.
    pub(super) fn connect(&self, member: &Member, client_id: &str) -> Result<Client, ClientError> {
        Client::connect(&self.options(Some(member), client_id))
    }

    /// Asks the broker as its operator.
    pub(super) fn ask(&mut self, request: &Request) -> Outcome<Response> {
        Ok(self.control.call(request)?)
    }

    /// Returns how the broker is.
    pub(super) fn status(&mut self) -> Outcome<Status> {
        match self.ask(&Request::Status)? {
            Response::Status(status) => Ok(*status),
            _ => Err(unexpected()),
        }
    }

    /// Returns how many clients are connected.
    pub(super) fn links(&mut self) -> Outcome<u64> {
        Ok(self.status()?.running.map_or(0, |running| running.links))
    }

    /// Returns what decided the refusal of an action, in the words of `keyward denials`.
    pub(super) fn deciding_rule(&mut self, who: &str, action: &str) -> Outcome<Option<String>> {
        let Response::Denials(report) = self.ask(&Request::Denials { since_secs: None })? else {
            return Err(unexpected());
        };
        let row = report.denials.into_iter().find(|row| row.who == who && row.action == action);
        Ok(row.map(|row| row.rule.unwrap_or_else(|| "no rule allows it".to_owned())))
    }

    /// Returns the cause of the newest failed login or handshake, in the words of `keyward denials`. The door reports
    /// after it has answered, so this waits for the report.
    pub(super) fn newest_cause(&mut self, known: usize) -> Outcome<Option<String>> {
        let deadline = clock::now() + Duration::from_secs(2);
        loop {
            let causes = self.causes()?;
            if causes.len() > known {
                return Ok(causes.into_iter().next_back());
            }
            if clock::now() > deadline {
                return Ok(None);
            }
        }
    }

    /// Returns the causes of all failed logins and handshakes, oldest first.
    pub(super) fn causes(&mut self) -> Outcome<Vec<String>> {
        let Response::Denials(report) = self.ask(&Request::Denials { since_secs: None })? else {
            return Err(unexpected());
        };
        let logins = report.logins.into_iter().map(|row| (row.last_unix_ms, row.cause));
        let handshakes = report.handshakes.into_iter().map(|row| (row.last_unix_ms, row.remedy));
        let mut causes: Vec<(u64, String)> = logins.chain(handshakes).collect();
        causes.sort();
        Ok(causes.into_iter().map(|(_, cause)| cause).collect())
    }
}

fn broker_options() -> RunOptions {
    RunOptions {
        port: Some(0),
        address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        ignore_signals: true,
        watch_pace: Some(PACE),
        ..RunOptions::default()
    }
}

fn device(control: &mut control::Client, id: &str) -> Outcome<(Member, String)> {
    let key = keypair::make(id)?;
    let request = Request::DeviceAdd(DeviceAdd::new(id, NewCredential::Csr(Der(key.csr.clone()))));
    let Response::DeviceAdded(added) = control.call(&request)? else { return Err(unexpected()) };
    let chain = added.certificate_pem.ok_or_else(unexpected)?;
    Ok((member(chain, &key), added.ca_pem))
}

fn lamp(control: &mut control::Client, id: &str, site: &str) -> Outcome<Member> {
    let key = keypair::make(id)?;
    let mut request = DeviceAdd::new(id, NewCredential::Csr(Der(key.csr.clone())));
    (request.device_type, request.site) = (Some("lamp".to_owned()), Some(site.to_owned()));
    let Response::DeviceAdded(added) = control.call(&Request::DeviceAdd(request))? else {
        return Err(unexpected());
    };
    Ok(member(added.certificate_pem.ok_or_else(unexpected)?, &key))
}

fn application(control: &mut control::Client, name: &str) -> Outcome<Member> {
    let key = keypair::make(name)?;
    let request = Request::UserAdd(UserAdd::new(name, NewCredential::Csr(Der(key.csr.clone()))));
    let Response::UserAdded(added) = control.call(&request)? else { return Err(unexpected()) };
    Ok(member(added.certificate_pem.ok_or_else(unexpected)?, &key))
}

fn member(chain: String, key: &keypair::NewKey) -> Member {
    let key_pem = zeroize::Zeroizing::new(key.key_pem.as_bytes().to_vec());
    Member { identity: TlsIdentity::from_pem(chain, key_pem) }
}

/// Collects what arrives before the message `marker`, which was published last: an empty list shows that nothing
/// slipped through, without waiting for a while and hoping.
pub(super) fn heard_before(client: &mut Client, marker: &str) -> Outcome<Vec<Message>> {
    let mut heard = Vec::new();
    loop {
        match client.next_message(PATIENCE)? {
            Some(message) if message.payload == marker.as_bytes() => return Ok(heard),
            Some(message) => heard.push(message),
            None => return Err(Failure::failed(format!("the message {marker:?} did not arrive"))),
        }
    }
}
