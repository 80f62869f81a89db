//! Makes a backup: of a running broker through its control socket, of a stopped store by itself.
//!
//! Encryption happens here, in the process of the command, and so does the reading of private keys: neither they nor a
//! passphrase cross the socket.

use super::archive::rows::chunks;
use super::archive::{ArchiveError, ArchiveWriter, Content, LEDGER, Manifest, is_name};
use super::file::Draft;
use super::seal::{Lock, Sealed};
use super::{BackupError, Named, Source};
use crate::admin::{self, Admin, OpenOptions};
use crate::clock;
use crate::config::MAX_CONFIG_BYTES;
use crate::control::{BackupBegun, CallError, Client, Request, Response, Stream};
use crate::home::Home;
use crate::rules;
use keyward_identity::files;
use keyward_identity::limits::SMALL_FILE_BYTES;
use keyward_identity::restore::{self, Secrecy};
use keyward_policy::limits::MAX_FILE_BYTES;
use std::io::{self, Read, Write};
use std::path::Path;

/// Says what goes into a backup, and where it goes.
pub struct MakeOptions<'a> {
    /// The file to make.
    pub path: &'a Path,
    /// Whether a file of this name is replaced.
    pub force: bool,
    /// Under what it is locked.
    pub lock: &'a Lock,
    /// Whether private keys of authorities and server go in.
    pub with_keys: bool,
    /// Whether sessions and messages go in.
    pub with_messages: bool,
}

/// Is the backup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// What it says of itself.
    pub manifest: Manifest,
    /// What is in it.
    pub contents: Vec<Content>,
}

/// Where the ledger and the rows come from.
enum Holder {
    Running(Box<Stream>),
    /// The store is held while it is read.
    Stopped(Box<Admin>, Box<Source>),
}

/// Makes a backup. `progress` hears how many bytes were written so far.
///
/// # Errors
/// [`BackupError`]: there is no file then, or the one that was there.
pub fn make(
    home: &Home,
    access: &OpenOptions,
    options: &MakeOptions<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<Made, BackupError> {
    let draft = Draft::create(options.path, options.force)?;
    // Before the ledger is looked at: what happens from here on is not said to be in the backup.
    let taken = clock::now().wall.0;
    let (begun, holder) = hold(home, access, options.with_messages)?;
    let BackupBegun { installation, ledger_records, messages, .. } = begun.clone();
    let manifest = Manifest::new(taken, installation, ledger_records, options.with_keys, messages);
    let write = |error| BackupError::archive(options.path, error);
    let sealed = options.lock.seal(Told { sink: draft, count: 0, progress });
    let sealed = sealed.map_err(|error| BackupError::seal(options.path, error))?;
    let mut archive = ArchiveWriter::begin(sealed, &manifest).map_err(write)?;
    fill(&mut archive, home, options.with_keys, &begun, holder)
        .map_err(|error| BackupError::named(options.path, error))?;
    let (sealed, contents) = archive.finish().map_err(write)?;
    let told = sealed.finish().map_err(|error| write(ArchiveError::write(error)))?;
    told.sink.put()?;
    Ok(Made { manifest, contents })
}

/// Asks the running broker for what only it can give, else takes it from the stopped store.
fn hold(home: &Home, access: &OpenOptions, messages: bool) -> Result<(BackupBegun, Holder), BackupError> {
    match admin::open(home, access)? {
        admin::Operator::Running(client) => {
            let (begun, stream) = client.stream(&Request::StoreBackup { messages })?;
            let Response::StoreBackupBegun(begun) = begun else { return Err(unexpected()) };
            Ok((begun, Holder::Running(Box::new(stream))))
        }
        admin::Operator::Stopped(admin) => {
            let source = admin.stopped_source(messages)?;
            Ok((source.begun(), Holder::Stopped(admin, Box::new(source))))
        }
    }
}

fn unexpected() -> BackupError {
    CallError::Answer("another one than was asked for".to_owned()).into()
}

type Archive<W> = ArchiveWriter<Sealed<W>>;

/// Writes everything, the ledger first: whoever restores needs it first.
fn fill<W: Write>(
    archive: &mut Archive<W>,
    home: &Home,
    with_keys: bool,
    begun: &BackupBegun,
    holder: Holder,
) -> Result<(), BackupError> {
    match holder {
        Holder::Running(mut stream) => {
            let received = receive(archive, home, with_keys, begun, &mut stream);
            // What the broker says went wrong is nearer to the cause than that its stream ended.
            match (received, stream_end(*stream)) {
                (Ok(()), Ok(Response::StoreBackupDone)) => Ok(()),
                (Ok(()), Ok(_)) => Err(unexpected()),
                (_, Err(error @ CallError::Refused(_))) => Err(error.into()),
                (Err(error), _) => Err(error),
                (Ok(()), Err(error)) => Err(error.into()),
            }
        }
        Holder::Stopped(_held, source) => {
            let Source { mut ledger, messages } = *source;
            archive.stream(LEDGER, begun.ledger_bytes, &mut ledger)?;
            small_files(archive, home, with_keys)?;
            if let Some(messages) = messages {
                chunks(&*messages, |chunk, _| archive.rows(chunk.len() as u64, &mut &*chunk))?;
            }
            Ok(())
        }
    }
}

fn stream_end(mut stream: Stream) -> Result<Response, CallError> {
    // If the archive could not be written there is more to come, which nobody wants.
    let rest = io::copy(&mut stream, &mut io::sink());
    rest.map_err(CallError::Socket).and_then(|_| stream.finish())
}

fn receive<W: Write>(
    archive: &mut Archive<W>,
    home: &Home,
    with_keys: bool,
    begun: &BackupBegun,
    stream: &mut Stream,
) -> Result<(), BackupError> {
    archive.stream(LEDGER, begun.ledger_bytes, stream)?;
    small_files(archive, home, with_keys)?;
    let mut length = [0; 8];
    while read_start(stream, &mut length).map_err(CallError::Socket)? {
        archive.rows(u64::from_be_bytes(length), stream)?;
    }
    Ok(())
}

/// Reads the length of the next chunk; `false` at the end of the stream.
fn read_start(stream: &mut Stream, length: &mut [u8; 8]) -> io::Result<bool> {
    let count = stream.read(length)?;
    if count > 0 {
        stream.read_exact(&mut length[count..])?;
    }
    Ok(count > 0)
}

/// Writes configuration, rules, certificates and keys, as they lie in the directory.
fn small_files<W: Write>(archive: &mut Archive<W>, home: &Home, with_keys: bool) -> Result<(), BackupError> {
    for (name, most) in [("keyward.toml", MAX_CONFIG_BYTES), ("audited", SMALL_FILE_BYTES)] {
        match files::read_regular(&home.directory().join(name), most) {
            Err(error) if error.is_not_found() => {}
            bytes => archive.file(name, &bytes?)?,
        }
    }
    let paths = rules::paths(&home.policy_dir()).map_err(crate::control::Refusal::from)?;
    for path in paths {
        let name = format!("policy.d/{}", path.file_name().unwrap_or_default().to_string_lossy());
        if !is_name(&name) {
            return Err(BackupError::Unfit(path));
        }
        archive.file(&name, &files::read_regular(&path, MAX_FILE_BYTES)?)?;
    }
    for file in restore::files(home.directory())? {
        let path = home.directory().join(&file.path);
        let name = file.path.to_string_lossy();
        match file.secrecy {
            Secrecy::PrivateKey if !with_keys => {}
            Secrecy::Public => archive.file(&name, &files::read_regular(&path, SMALL_FILE_BYTES)?)?,
            _ => archive.file(&name, &files::read_private(&path, SMALL_FILE_BYTES)?)?,
        }
    }
    Ok(())
}

/// Tells how much was written.
struct Told<'a, W> {
    sink: W,
    count: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl<W: Write> Write for Told<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.sink.write(bytes)?;
        self.count += count as u64;
        (self.progress)(self.count);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// Tells whether a broker runs in a directory.
pub(super) fn is_running(home: &Home) -> bool {
    Client::connect(home).is_ok()
}
