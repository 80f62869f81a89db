//! The way to a chip: bytes there, bytes back.

use super::TpmPlace;
use crate::keys::KeyError;
use crate::limits::{TPM_ANSWER_SECONDS, TPM_CONNECT_SECONDS};
use keyward_tpm::answer::{self, ANSWER_BYTES};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Is an open way to a chip.
#[derive(Debug)]
pub(super) enum Transport {
    /// A device of the kernel: a command is one write, its answer one read.
    Device(File),
    /// A simulator on TCP.
    Tcp(TcpStream),
    /// A simulator on a Unix socket.
    Socket(UnixStream),
}

impl Transport {
    pub(super) fn open(place: &TpmPlace) -> Result<Self, KeyError> {
        let opened = match place {
            TpmPlace::Device(path) => OpenOptions::new().read(true).write(true).open(path).map(Self::Device),
            TpmPlace::Tcp(address) => connect(address).map(Self::Tcp),
            TpmPlace::Socket(path) => UnixStream::connect(path).and_then(|stream| {
                stream.set_read_timeout(Some(TPM_ANSWER_SECONDS))?;
                Ok(Self::Socket(stream))
            }),
        };
        opened.map_err(|error| KeyError::Hardware {
            store: format!("the TPM at {place}"),
            problem: format!("{error}; {}", help(place, &error)),
        })
    }

    /// Sends a command and returns the answer.
    pub(super) fn exchange(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Device(file) => {
                file.write_all(command)?;
                let mut answer = vec![0; ANSWER_BYTES];
                let size = file.read(&mut answer)?;
                answer.truncate(size);
                Ok(answer)
            }
            Self::Tcp(stream) => over_stream(stream, command),
            Self::Socket(stream) => over_stream(stream, command),
        }
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "this name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TPM_CONNECT_SECONDS) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(TPM_ANSWER_SECONDS))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn over_stream(mut stream: impl Read + Write, command: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(command)?;
    let mut head = [0; 10];
    stream.read_exact(&mut head)?;
    let size = answer::size(&head).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let mut answer = vec![0; size];
    answer[..head.len()].copy_from_slice(&head);
    stream.read_exact(&mut answer[head.len()..])?;
    Ok(answer)
}

fn help(place: &TpmPlace, error: &io::Error) -> &'static str {
    use io::ErrorKind as E;
    let is_device = matches!(place, TpmPlace::Device(_));
    match error.kind() {
        E::NotFound if is_device => {
            "this machine has no TPM 2.0, its firmware hides it, or the kernel has no driver for it (ls /dev/tpm*)"
        }
        E::PermissionDenied if is_device => {
            "give this user the group that may use it, as a rule tss: usermod -aG tss USER, or SupplementaryGroups=tss in the unit"
        }
        E::ResourceBusy => "another program has it alone; use /dev/tpmrm0, which is for many",
        E::ConnectionRefused | E::NotFound => "no simulator listens there; start swtpm",
        _ => "",
    }
}

/// Waits until a command is tried again that was tried `tries` times and once.
#[allow(clippy::disallowed_methods, reason = "a chip that is busy does not tell when it is not")]
pub(super) fn wait(tries: u32) {
    std::thread::sleep(Duration::from_millis(10 << tries.min(8)));
}
