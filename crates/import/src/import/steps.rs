//! The steps of an import, in their order. Each is done whole or not at all, and taking it again changes nothing.

use super::{Import, call};
use crate::error::ImportError;
use crate::plan::{NewUser, OldServer, Plan};
use keyward_identity::files::{self, FileError};
use keyward_ids::UserId;
use keyward_policy::{SourceFile, limits};
use keyward_server::control::{
    AuthorityBind, AuthorityTrust, Der, NewCredential, NewPassword, Proves, Request, Secret,
    ServerCertificateImport, UserAdd,
};
use keyward_server::installation;
use std::collections::BTreeSet;

/// Is one step.
pub(super) enum Step<'p> {
    User {
        user: &'p NewUser,
        /// Whether its password may have been read on the network.
        exposed: bool,
    },
    Trust(&'p AuthorityTrust),
    Bind {
        authority: &'p str,
        user: &'p UserId,
    },
    Show(&'p OldServer),
    Listeners,
    Rules(&'p SourceFile),
    Reload,
}

/// Returns the steps that put a plan into effect. A name is bound when the listeners are in force, which say where its authority
/// counts: whoever came in by certificate before that would stay.
pub(super) fn of(plan: &Plan) -> Vec<Step<'_>> {
    let exposed: BTreeSet<&UserId> = plan.exposed.iter().collect();
    let add = |user| Step::User { user, exposed: exposed.contains(&user.name) };
    let mut steps: Vec<Step<'_>> = plan.users.iter().map(add).collect();
    steps.extend(plan.authorities.iter().map(|authority| Step::Trust(&authority.trust)));
    steps.extend(plan.servers.iter().map(Step::Show));
    steps.push(Step::Listeners);
    steps.extend(plan.rules.iter().map(Step::Rules));
    steps.push(Step::Reload);
    for authority in plan.authorities.iter().filter(|each| each.trust.proves == Proves::CommonName) {
        steps.extend(plan.bound.iter().map(|user| Step::Bind { authority: &authority.trust.name, user }));
    }
    steps
}

impl Import {
    pub(super) fn take(&mut self, step: &Step<'_>) -> Result<(), ImportError> {
        let (what, request) = match step {
            Step::User { user, .. } if self.done.users.contains(user.name.as_str()) => return Ok(()),
            Step::Trust(trust) if self.done.authorities.contains(&trust.name) => return Ok(()),
            Step::Listeners => return self.write_listeners(),
            Step::Rules(file) => return self.write_rules(file),
            Step::User { user, exposed } => (format!("user {}", user.name), self.add(user, *exposed)),
            Step::Trust(trust) => {
                (format!("the authority {}", trust.name), Request::AuthorityTrustAdd((*trust).clone()))
            }
            Step::Bind { authority, user } => {
                (format!("the name {user} of the authority {authority}"), bind(authority, user))
            }
            Step::Show(server) => (format!("the server certificate {}", server.name), show(server)),
            Step::Reload => ("what the broker is to hold".to_owned(), Request::Reload),
        };
        call(&mut self.operator, &what, request)?;
        Ok(())
    }

    fn add(&self, user: &NewUser, exposed: bool) -> Request {
        let password = if exposed { NewPassword::Exposed } else { NewPassword::Imported };
        let credential = match &user.hash {
            Some(hash) => NewCredential::Password(password(Secret::new(hash.to_string()))),
            // Only clients without a login become it.
            None => NewCredential::None,
        };
        let note = self.journal.as_ref().map(super::Journal::mark).unwrap_or_default();
        Request::UserAdd(UserAdd { note, ..UserAdd::new(user.name.as_str(), credential) })
    }

    fn write_listeners(&self) -> Result<(), ImportError> {
        let (_, text) = installation::settings(&self.home)?;
        if text == self.config.after {
            return Ok(());
        }
        let path = self.home.config_file();
        if text != self.config.before {
            return Err(ImportError::InTheWay(path));
        }
        Ok(files::replace(&path, self.config.after.as_bytes())?)
    }

    fn write_rules(&self, file: &SourceFile) -> Result<(), ImportError> {
        let path = self.home.directory().join(&file.name);
        match files::write_new(&path, file.text.as_bytes()) {
            Err(FileError::Exists(_)) => {
                let held = files::read_regular(&path, limits::MAX_FILE_BYTES)?;
                if held == file.text.as_bytes() { Ok(()) } else { Err(ImportError::InTheWay(path)) }
            }
            other => Ok(other?),
        }
    }
}

fn bind(authority: &str, user: &UserId) -> Request {
    Request::AuthorityTrustBind(AuthorityBind {
        name: authority.to_owned(),
        identity: format!("user:{user}"),
        common_name: None,
        certificate: None,
    })
}

/// Asks for a server certificate. The same one again replaces itself.
fn show(server: &OldServer) -> Request {
    Request::ServerCertificateImport(ServerCertificateImport {
        name: server.name.clone(),
        chain: Der(server.chain.clone()),
        key: Secret::new(server.key.to_string()),
    })
}
