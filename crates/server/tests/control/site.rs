//! The words of these stories: an installation in a folder of its own, and what an operator asks it.

use keyward_identity::{KeyProtection, files};
use keyward_server::{
    admin::{self, Admin, OpenOptions, Operator},
    control::{
        DeviceAdd, DeviceAdded, DeviceRevoke, DeviceRow, NewCredential, NewPassword, PolicyExplain,
        PolicyExplained, Refusal, Request, Response, Secret, UserAdd, UserAdded,
    },
    home::Home,
    installation,
};
use std::fs;

/// An installation that was made by a first start and stopped.
pub(crate) struct Site {
    pub(crate) home: Home,
    _folder: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("keyward"));
        home.create().unwrap();
        drop(installation::create(&home, Vec::new(), KeyProtection::FileMode).unwrap());
        Self { home, _folder: folder }
    }

    /// A folder in which nothing was started yet.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { home: Home::at(folder.path().join("keyward")), _folder: folder }
    }

    pub(crate) fn rule_file(&self, name: &str, text: &str) {
        fs::create_dir_all(self.home.policy_dir()).unwrap();
        files::replace(&self.home.policy_dir().join(name), text.as_bytes()).unwrap();
    }

    pub(crate) fn config(&self, text: &str) {
        files::replace(&self.home.config_file(), text.as_bytes()).unwrap();
    }

    pub(crate) fn config_text(&self) -> String {
        fs::read_to_string(self.home.config_file()).unwrap()
    }

    pub(crate) fn stopped(&self) -> Admin {
        admin::open_stopped(&self.home, &OpenOptions::default()).unwrap()
    }
}

/// Whoever can be asked: the stopped store, or the running broker through its socket.
pub(crate) trait Ask {
    fn ask(&mut self, request: Request) -> Result<Response, Refusal>;

    fn refusal(&mut self, request: Request) -> Refusal {
        match self.ask(request) {
            Ok(_) => panic!("not refused"),
            Err(refusal) => refusal,
        }
    }

    fn add_device(&mut self, id: &str) -> DeviceAdded {
        match self.ask(Request::DeviceAdd(device(id, &Keys::new()))) {
            Ok(Response::DeviceAdded(added)) => *added,
            other => panic!("{:?}", other.err()),
        }
    }

    fn devices(&mut self) -> Vec<DeviceRow> {
        match self.ask(Request::DeviceList) {
            Ok(Response::Devices(rows)) => rows,
            other => panic!("{:?}", other.err()),
        }
    }

    fn add_user(&mut self, name: &str, password: &str) -> UserAdded {
        let password = NewPassword::Chosen(Secret::new(password.to_owned()));
        let add = UserAdd::new(name, NewCredential::Password(password));
        match self.ask(Request::UserAdd(add)) {
            Ok(Response::UserAdded(added)) => *added,
            other => panic!("{:?}", other.err()),
        }
    }

    fn change(&mut self, request: Request) -> keyward_server::control::Changed {
        match self.ask(request) {
            Ok(Response::Changed(changed)) => changed,
            other => panic!("{:?}", other.err()),
        }
    }

    fn explain(&mut self, question: PolicyExplain) -> PolicyExplained {
        match self.ask(Request::PolicyExplain(question)) {
            Ok(Response::PolicyExplained(explained)) => explained,
            other => panic!("{:?}", other.err()),
        }
    }

    fn audit(&mut self) -> Vec<String> {
        match self.ask(Request::Audit { last: None }) {
            Ok(Response::Audit(rows)) => rows.into_iter().map(|row| row.what).collect(),
            other => panic!("{:?}", other.err()),
        }
    }
}

impl Ask for Admin {
    fn ask(&mut self, request: Request) -> Result<Response, Refusal> {
        self.execute(request)
    }
}

impl Ask for Operator {
    fn ask(&mut self, request: Request) -> Result<Response, Refusal> {
        self.call(request).map_err(|error| match error {
            keyward_server::control::CallError::Refused(refusal) => refusal,
            other => panic!("{other}"),
        })
    }
}

/// A device's key pair, made by itself.
pub(crate) struct Keys(pub(crate) rcgen::KeyPair);

impl Keys {
    pub(crate) fn new() -> Self {
        Self(rcgen::KeyPair::generate().unwrap())
    }

    pub(crate) fn csr(&self) -> Vec<u8> {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.serialize_request(&self.0).unwrap().der().to_vec()
    }
}

pub(crate) fn device(id: &str, keys: &Keys) -> DeviceAdd {
    DeviceAdd::new(id, NewCredential::Csr(keyward_server::control::Der(keys.csr())))
}

pub(crate) fn revoke(id: &str) -> Request {
    Request::DeviceRevoke(DeviceRevoke { id: id.to_owned(), keep_messages: false, publish_will: false })
}
