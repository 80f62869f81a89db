//! The relay as a process of its own.

use super::{Broker, Layout, free_ports, log_path, loopback};
use crate::error::BenchError;
use crate::files;
use crate::load::Access;
use crate::tls::Issued;
use std::process::Command;

/// Starts this program's relay.
pub(crate) fn relay(layout: &Layout) -> Result<Broker, BenchError> {
    let folder = files::temporary()?;
    let issued = Issued::make(folder.path())?;
    let [plain, tls] = free_ports()?;
    let program = std::env::current_exe().map_err(BenchError::io("asking for the own program"))?;
    let mut command = Command::new(program);
    command.arg("relay").arg("--port").arg(plain.to_string()).arg("--tls-port").arg(tls.to_string());
    command.arg("--certificate").arg(&issued.chain).arg("--key").arg(&issued.key);
    let process = layout.spawn(&mut command, &log_path(folder.path()))?;
    let mut relay = Broker {
        name: "relay",
        about: "relay of this program: one thread, buffered rustls".to_owned(),
        plain: Access { address: loopback(plain), ca: None, login: None },
        tls: Access { address: loopback(tls), ca: Some(issued.ca), login: None },
        command,
        process,
        folder,
    };
    relay.await_listeners()?;
    Ok(relay)
}
