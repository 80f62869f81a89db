//! Careful files: private, never through a planted link, never half written.
//!
//! Every function takes the path of something inside a directory that belongs to this user. A file appears under its
//! name complete and synced or not at all; files are 0600, directories 0700.

mod lock;

pub use lock::Lock;

use aws_lc_rs::{error::Unspecified, rand};
use rustix::{
    fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags},
    io::Errno,
};
use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The mode of every file made here.
const FILE_MODE: u32 = 0o600;
/// The mode of every directory made here.
const DIR_MODE: u32 = 0o700;
/// The bits that let others than the owner in.
const OTHERS: u32 = 0o077;

/// Says what is wrong with a file or directory, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("{path}: cannot {action}: {source}", path = shown(.path))]
    Io {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Something is in the place already.
    #[error("{}: exists already; remove it or choose another place", shown(.0))]
    Exists(PathBuf),
    /// A symbolic link is in the place.
    #[error("{}: is a symbolic link; put the real file or directory there", shown(.0))]
    Link(PathBuf),
    /// It is not a regular file.
    #[error("{}: is not a regular file", shown(.0))]
    NotRegular(PathBuf),
    /// It is not a directory.
    #[error("{}: is not a directory", shown(.0))]
    NotDirectory(PathBuf),
    /// It belongs to another user.
    #[error("{path}: belongs to user {owner}, not to user {user}; run as its owner, or: chown {user} {path}", path = shown(.path))]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// Others may read or enter it.
    #[error("{path}: is open to others (mode {mode:03o}); run: chmod {fit:03o} {path}", path = shown(.path))]
    Open {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode that it should have.
        fit: u32,
    },
    /// It is larger than expected.
    #[error("{path}: has more than {max} bytes", path = shown(.path))]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The bound in bytes.
        max: usize,
    },
}

impl FileError {
    /// Tells whether nothing is there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}

fn failed(path: &Path, action: &'static str) -> impl Fn(Errno) -> FileError {
    let path = path.to_owned();
    move |errno| match errno {
        Errno::EXIST => FileError::Exists(path.clone()),
        Errno::LOOP => FileError::Link(path.clone()),
        Errno::NOTDIR => FileError::NotDirectory(path.clone()),
        _ => FileError::Io { path: path.clone(), action, source: errno.into() },
    }
}

/// Splits a path into its directory and its last component.
fn split(path: &Path) -> Result<(&Path, &OsStr), FileError> {
    let name = path.file_name().ok_or_else(|| failed(path, "name a file")(Errno::INVAL))?;
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    Ok((dir, name))
}

fn open_dir(path: &Path) -> Result<OwnedFd, FileError> {
    fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(failed(path, "open the directory"))
}

/// Makes the directory `path`, closed to others, and syncs its parent.
///
/// # Errors
/// [`FileError::Exists`] if anything is there, [`FileError::Io`] if the parent is missing or not writable.
pub fn create_private_dir(path: &Path) -> Result<(), FileError> {
    let (parent, name) = split(path)?;
    let parent = open_dir(parent)?;
    fs::mkdirat(&parent, name, Mode::from_raw_mode(DIR_MODE)).map_err(failed(path, "make the directory"))?;
    fs::fsync(&parent).map_err(failed(path, "sync the parent of"))
}

/// Makes the directory `path` and its missing parents, closed to others, or checks the one that is there.
///
/// # Errors
/// Those of [`create_private_dir`] and [`check_private_dir`].
pub fn ensure_private_dir(path: &Path) -> Result<(), FileError> {
    match check_private_dir(path) {
        Err(error) if error.is_not_found() => {}
        other => return other,
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.exists()) {
        ensure_private_dir(parent)?;
    }
    match create_private_dir(path) {
        Err(FileError::Exists(_)) => check_private_dir(path),
        other => other,
    }
}

/// Checks that `path` is a directory of this user's that is closed to others, and no link.
///
/// # Errors
/// [`FileError`] says what is wrong and the command that mends it.
pub fn check_private_dir(path: &Path) -> Result<(), FileError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
        // Linux says ENOTDIR for a link here; tell it from a file.
        Errno::NOTDIR if path.is_symlink() => FileError::Link(path.to_owned()),
        _ => failed(path, "open the directory")(errno),
    })?;
    let stat = fs::fstat(&dir).map_err(failed(path, "look at"))?;
    check_closed(path, &stat, DIR_MODE)
}

fn check_closed(path: &Path, stat: &fs::Stat, fit: u32) -> Result<(), FileError> {
    let user = rustix::process::geteuid().as_raw();
    if stat.st_uid != user {
        return Err(FileError::Foreign { path: path.to_owned(), owner: stat.st_uid, user });
    }
    let mode = stat.st_mode & 0o777;
    if mode & OTHERS != 0 {
        return Err(FileError::Open { path: path.to_owned(), mode, fit });
    }
    Ok(())
}

/// Writes a new file: complete and synced under its name when this returns.
///
/// # Errors
/// [`FileError::Exists`] if anything is there, a dangling link too.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    put(path, bytes, |dir, from, to| match fs::renameat_with(dir, from, dir, to, RenameFlags::NOREPLACE) {
        // Some file systems cannot rename so; a hard link refuses to replace as well.
        Err(Errno::INVAL | Errno::NOSYS) => {
            fs::linkat(dir, from, dir, to, AtFlags::empty())?;
            fs::unlinkat(dir, from, AtFlags::empty())
        }
        other => other,
    })
}

/// Replaces the file at `path` by one with this content; at no time is there a half-written one.
///
/// # Errors
/// [`FileError::Link`] or [`FileError::NotRegular`] if something else than a file is there.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    match fs::lstat(path) {
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(failed(path, "look at")(errno)),
        Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            FileType::Symlink => return Err(FileError::Link(path.to_owned())),
            _ => return Err(FileError::NotRegular(path.to_owned())),
        },
    }
    put(path, bytes, |dir, from, to| fs::renameat(dir, from, dir, to))
}

fn put(
    path: &Path,
    bytes: &[u8],
    place: impl Fn(&OwnedFd, &OsStr, &OsStr) -> Result<(), Errno>,
) -> Result<(), FileError> {
    let (parent, name) = split(path)?;
    let dir = open_dir(parent)?;
    let draft = draft_name(name).map_err(|_| failed(path, "draw a random name beside")(Errno::AGAIN))?;
    let done = write_draft(path, &dir, &draft, bytes)
        .and_then(|()| place(&dir, &draft, name).map_err(failed(path, "put in place")));
    if done.is_err() {
        // The draft is of no use to anybody; the first error is the one that counts.
        let _ = fs::unlinkat(&dir, &draft, AtFlags::empty());
    }
    done?;
    fs::fsync(&dir).map_err(failed(path, "sync the directory of"))
}

fn draft_name(name: &OsStr) -> Result<std::ffi::OsString, Unspecified> {
    let mut draft = std::ffi::OsString::from(".");
    let mut random = [0; 8];
    rand::fill(&mut random)?;
    draft.push(name);
    draft.push(format!(".{:016x}", u64::from_le_bytes(random)));
    Ok(draft)
}

fn write_draft(path: &Path, dir: &OwnedFd, draft: &OsStr, bytes: &[u8]) -> Result<(), FileError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = fs::openat(dir, draft, flags, Mode::from_raw_mode(FILE_MODE)).map_err(failed(path, "create"))?;
    let mut file = File::from(fd);
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(|source| FileError::Io { path: path.to_owned(), action: "write", source })
}

/// Opens a regular file for reading, never through a link; a pipe or device in its place does not block.
///
/// # Errors
/// [`FileError`] if it is missing, a link or no regular file.
pub fn open_regular(path: &Path) -> Result<File, FileError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = fs::open(path, flags, Mode::empty()).map_err(failed(path, "open"))?;
    let stat = fs::fstat(&fd).map_err(failed(path, "look at"))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(FileError::NotRegular(path.to_owned()));
    }
    Ok(File::from(fd))
}

/// Reads a regular file of at most `max` bytes, never through a link.
///
/// # Errors
/// [`FileError`] if it is missing, a link, no regular file or larger.
pub fn read_regular(path: &Path, max: usize) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    read_into(path, open_regular(path)?, max, &mut bytes)?;
    Ok(bytes)
}

/// Reads a secret file of at most `max` bytes: a regular file of this user's that is closed to others.
///
/// # Errors
/// Those of [`read_regular`]; [`FileError::Foreign`] or [`FileError::Open`] if others have a say.
pub fn read_private(path: &Path, max: usize) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let file = open_regular(path)?;
    let stat = fs::fstat(&file).map_err(failed(path, "look at"))?;
    check_closed(path, &stat, FILE_MODE)?;
    // Room for everything at once: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(max + 1));
    read_into(path, file, max, &mut bytes)?;
    Ok(bytes)
}

fn read_into(path: &Path, file: File, max: usize, bytes: &mut Vec<u8>) -> Result<(), FileError> {
    let bound = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(bound).read_to_end(bytes).map_err(|source| FileError::Io {
        path: path.to_owned(),
        action: "read",
        source,
    })?;
    if bytes.len() > max {
        return Err(FileError::TooLarge { path: path.to_owned(), max });
    }
    Ok(())
}

/// Syncs a directory, so that names made or removed in it survive a loss of power.
///
/// # Errors
/// [`FileError::Io`] if the system refuses.
pub fn sync_dir(path: &Path) -> Result<(), FileError> {
    fs::fsync(open_dir(path)?).map_err(failed(path, "sync"))
}
