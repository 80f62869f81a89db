//! The file of a Unix socket that listens: made with its mode before anybody can connect, removed when it is closed, and
//! never taken from somebody who still listens.

use crate::plane::listener::ListenError;
use crate::socket_path::SocketPath;
use rustix::fs::{FileType, Mode, OFlags, Stat};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Connections that wait in the system for the door; the system cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 1_024;

/// Is the file of a socket of ours; it is removed when this is dropped, unless another one lies there by then.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and number of the file.
    place: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if stat(&self.path).is_ok_and(|found| place(&found) == self.place) {
            // It is dead in any case; the next start removes it.
            let _: io::Result<()> = std::fs::remove_file(&self.path);
        }
    }
}

/// Opens a socket at `path`, for whom its `mode` lets in. A file that a dead broker left there is removed.
///
/// # Errors
/// [`ListenError`], which names the path; nothing listens then, and nobody's file is gone.
pub(crate) fn open(path: &Path, mode: Mode) -> Result<(UnixListener, SocketFile), ListenError> {
    let failed = |error| ListenError::Socket { path: path.to_owned(), error };
    refuse_open_folder(path)?;
    make_way(path)?;
    let short = SocketPath::of(path).map_err(failed)?;
    let bind = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(short.path())?)?;
        Ok(socket)
    };
    let socket = bind().map_err(|error: io::Error| match error.kind() {
        ErrorKind::AddrInUse => ListenError::SocketInUse { path: path.to_owned() },
        _ => failed(error),
    })?;
    // Until it listens nobody can connect, so the mode comes in time.
    let place = set_mode(path, mode).map_err(failed)?;
    let file = SocketFile { path: path.to_owned(), place };
    socket.listen(BACKLOG).map_err(failed)?;
    Ok((socket.into(), file))
}

/// Refuses a folder in which everybody could put another socket into the place of ours, and collect passwords.
fn refuse_open_folder(path: &Path) -> Result<(), ListenError> {
    let folder = path.parent().unwrap_or(path);
    let found = rustix::fs::stat(folder);
    let found = found.map_err(|errno| match io::Error::from(errno) {
        error if error.kind() == ErrorKind::NotFound => ListenError::NoFolder { path: path.to_owned() },
        error => ListenError::Socket { path: path.to_owned(), error },
    })?;
    let mode = Mode::from_raw_mode(found.st_mode);
    match mode.contains(Mode::WOTH) && !mode.contains(Mode::SVTX) {
        true => Err(ListenError::OpenFolder { path: path.to_owned() }),
        false => Ok(()),
    }
}

/// Removes a socket at `path` that nobody listens on.
fn make_way(path: &Path) -> Result<(), ListenError> {
    let failed = |error| ListenError::Socket { path: path.to_owned(), error };
    match stat(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(found) if FileType::from_raw_mode(found.st_mode) != FileType::Socket => {
            return Err(ListenError::NoSocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    let short = SocketPath::of(path).map_err(failed)?;
    let knock = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?; // A queue that is full is an answer too.
        socket.connect(&SockAddr::unix(short.path())?)
    };
    match knock() {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Ok(()) => Err(ListenError::SocketInUse { path: path.to_owned() }),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            Err(ListenError::SocketInUse { path: path.to_owned() })
        }
        Err(error) => Err(failed(error)),
    }
}

/// Sets the mode of the socket at `path`, and of nothing that somebody may have put there meanwhile.
fn set_mode(path: &Path, mode: Mode) -> io::Result<(u64, u64)> {
    let file = rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let found = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::Socket {
        return Err(io::Error::other("something else lies there now"));
    }
    rustix::fs::chmod(format!("/proc/self/fd/{}", file.as_raw_fd()), mode)?;
    Ok(place(&found))
}

fn stat(path: &Path) -> io::Result<Stat> {
    Ok(rustix::fs::lstat(path)?)
}

fn place(found: &Stat) -> (u64, u64) {
    (found.st_dev, found.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;

    fn mode() -> Mode {
        Mode::from_raw_mode(0o660)
    }

    #[test]
    fn a_socket_has_its_mode_and_is_gone_when_it_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mqtt.sock");
        let opened = open(&path, mode()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o660);
        UnixStream::connect(&path).unwrap();
        assert!(matches!(open(&path, mode()), Err(ListenError::SocketInUse { .. })));
        drop(opened);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_dead_broker_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mqtt.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a broker that is killed leaves it");
        let opened = open(&path, mode()).unwrap();
        std::fs::rename(&path, folder.path().join("moved")).unwrap();
        let other = UnixListener::bind(&path).unwrap();
        drop(opened);
        assert!(path.exists(), "somebody else's socket was removed");
        drop(other);
        let file = folder.path().join("letter");
        std::os::unix::fs::symlink(folder.path().join("moved"), &file).unwrap();
        assert!(matches!(open(&file, mode()), Err(ListenError::NoSocket { .. })));
        assert!(file.is_symlink());
    }

    #[test]
    fn a_folder_that_everybody_writes_to_is_refused_and_a_missing_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mqtt.sock");
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
        assert!(matches!(open(&path, mode()), Err(ListenError::OpenFolder { .. })));
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o1777)).unwrap();
        open(&path, mode()).unwrap();
        let error = open(&folder.path().join("none/mqtt.sock"), mode()).unwrap_err();
        let said = error.to_string();
        assert!(said.contains("none/mqtt.sock") && said.contains("make it first"), "{said}");
    }

    #[test]
    fn a_path_longer_than_the_system_takes_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("x".repeat(200));
        std::fs::create_dir(&long).unwrap();
        let (_, file) = open(&long.join("mqtt.sock"), mode()).unwrap();
        drop(file);
        assert_eq!(std::fs::read_dir(&long).unwrap().count(), 0);
    }
}
