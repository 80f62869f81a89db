//! The server itself: its names and its clock.

use super::{Admin, Turn, accounts::bad_name};
use crate::control::{Refusal, Response, ServerNames};
use keyward_identity::{Command, ServerName, limits::CERTIFICATE_MESSAGE_BYTES};

impl Turn<'_> {
    pub(super) fn add_server_name(&mut self, name: &str) -> Result<Response, Refusal> {
        self.name_change(Command::AddServerName { name: parse(name)? })
    }

    pub(super) fn remove_server_name(&mut self, name: &str) -> Result<Response, Refusal> {
        self.name_change(Command::RemoveServerName { name: parse(name)? })
    }

    fn name_change(&mut self, command: Command) -> Result<Response, Refusal> {
        let (outcome, _) = self.command(command)?;
        Ok(self.admin.server_names(outcome.server_certificate_changed))
    }

    pub(super) fn accept_clock(&mut self) -> Result<Response, Refusal> {
        let (_, in_force) = self.command(Command::AcceptClock)?;
        let what = format!("The clock is accepted as it stands: {}.", crate::installation::wall_time());
        Ok(Response::Changed(self.changed(what, in_force, Vec::new())))
    }
}

impl Admin {
    pub(super) fn server_names(&self, reissued: bool) -> Response {
        let identity = self.registrar.server_identity();
        Response::ServerNames(ServerNames {
            names: identity.names.iter().map(ToString::to_string).collect(),
            reissued,
            expires_unix_ms: identity.certificate.not_after.0,
            certificate_message_bytes: identity.certificate_message_bytes(),
            certificate_message_bytes_max: CERTIFICATE_MESSAGE_BYTES,
        })
    }
}

fn parse(name: &str) -> Result<ServerName, Refusal> {
    name.parse().map_err(|error| bad_name("server name", name, &error))
}
