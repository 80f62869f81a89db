//! The file system as the kernel asks for it. The kernel caches nothing: neither content nor names nor attributes, so a cut
//! is seen at once.

use crate::directory::Directory;
use crate::disk::{Disk, Kind, Node, Number, Refusal};
use crate::file::Content;
use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags,
    RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, Request, WriteFlags,
};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const UNCACHED: Duration = Duration::ZERO;
const NO_HANDLE: FileHandle = FileHandle(0);
const BLOCK: u32 = 4096;
/// What it says it has: 64 GiB.
const BLOCKS: u64 = 1 << 24;
const SOCKET: u32 = 0o140_000;
const FILE_TYPE: u32 = 0o170_000;

type Listing = Vec<(Number, FileType, OsString)>;

/// The mounted disk.
#[derive(Debug)]
pub(crate) struct Mounted {
    disk: Arc<Mutex<Disk>>,
    /// What each open directory held when it was opened: what is removed while somebody reads it moves no other name.
    listings: Mutex<BTreeMap<u64, Listing>>,
}

impl Mounted {
    pub(crate) fn new(disk: Arc<Mutex<Disk>>) -> Self {
        Self { disk, listings: Mutex::default() }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.disk)
    }

    fn make(&self, parent: INodeNo, name: &OsStr, node: Node) -> Result<FileAttr, Errno> {
        let mut disk = self.disk();
        let number = disk.make(parent.0, name, node).map_err(errno)?;
        attributes(&disk, number)
    }

    fn list(&self, number: Number) -> Result<Listing, Refusal> {
        let disk = self.disk();
        let names = disk.directory(number)?.names();
        let dots = [".", ".."].map(|dot| (number, FileType::Directory, OsString::from(dot)));
        let named = names
            .iter()
            .filter_map(|(name, node)| Some((*node, file_type(&disk.node(*node).ok()?.kind), name.clone())));
        Ok(dots.into_iter().chain(named).collect())
    }
}

/// Locks what one thread serves and another cuts.
pub(crate) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn node(request: &Request, kind: Kind, mode: u32) -> Node {
    Node { kind, mode: mode & 0o7777, owner: (request.uid(), request.gid()) }
}

fn errno(refusal: Refusal) -> Errno {
    match refusal {
        Refusal::NoPower => Errno::EIO,
        Refusal::Missing => Errno::ENOENT,
        Refusal::Exists => Errno::EEXIST,
        Refusal::NotADirectory => Errno::ENOTDIR,
        Refusal::IsADirectory => Errno::EISDIR,
        Refusal::NotEmpty => Errno::ENOTEMPTY,
    }
}

fn file_type(kind: &Kind) -> FileType {
    match kind {
        Kind::File(_) => FileType::RegularFile,
        Kind::Directory(_) => FileType::Directory,
        Kind::Socket => FileType::Socket,
    }
}

fn attributes(disk: &Disk, number: Number) -> Result<FileAttr, Errno> {
    let node = disk.node(number).map_err(errno)?;
    let size = if let Kind::File(content) = &node.kind { content.length() as u64 } else { 0 };
    Ok(FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: file_type(&node.kind),
        perm: (node.mode & 0o7777) as u16,
        nlink: 1,
        uid: node.owner.0,
        gid: node.owner.1,
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    })
}

fn entry(made: Result<FileAttr, Errno>, reply: ReplyEntry) {
    match made {
        Ok(attributes) => reply.entry(&UNCACHED, &attributes, Generation(0)),
        Err(errno) => reply.error(errno),
    }
}

fn done(done: Result<(), Refusal>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(refusal) => reply.error(errno(refusal)),
    }
}

impl Filesystem for Mounted {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let disk = self.disk();
        entry(disk.lookup(parent.0, name).map_err(errno).and_then(|number| attributes(&disk, number)), reply);
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match attributes(&self.disk(), number.0) {
            Ok(attributes) => reply.attr(&UNCACHED, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _: Option<fuser::TimeOrNow>,
        _: Option<fuser::TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut disk = self.disk();
        let mut set = || {
            let node = disk.node_mut(number.0)?;
            node.mode = mode.unwrap_or(node.mode);
            node.owner = (uid.unwrap_or(node.owner.0), gid.unwrap_or(node.owner.1));
            size.map_or(Ok(()), |size| {
                disk.content(number.0).map(|content| content.set_length(size as usize))
            })
        };
        match set().map_err(errno).and_then(|()| attributes(&disk, number.0)) {
            Ok(attributes) => reply.attr(&UNCACHED, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let kind = if mode & FILE_TYPE == SOCKET { Kind::Socket } else { Kind::File(Content::default()) };
        entry(self.make(parent, name, node(request, kind, mode & !umask)), reply);
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let kind = Kind::Directory(Directory::default());
        entry(self.make(parent, name, node(request, kind, mode & !umask)), reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.disk().remove(parent.0, name, false), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.disk().remove(parent.0, name, true), reply);
    }

    fn rename(
        &self,
        _: &Request,
        from: INodeNo,
        name: &OsStr,
        to: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !(flags - RenameFlags::RENAME_NOREPLACE).is_empty() {
            return reply.error(Errno::EINVAL);
        }
        done(self.disk().rename((from.0, name), (to.0, new_name), flags.is_empty()), reply);
    }

    fn open(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.disk().node(number.0) {
            Ok(_) => reply.opened(NO_HANDLE, FopenFlags::FOPEN_DIRECT_IO),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        match self.make(parent, name, node(request, Kind::File(Content::default()), mode & !umask)) {
            Ok(attributes) => {
                reply.created(&UNCACHED, &attributes, Generation(0), NO_HANDLE, FopenFlags::FOPEN_DIRECT_IO);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        at: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.disk().content(number.0) {
            Ok(content) => reply.data(&content.read(at as usize, size as usize)),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        at: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.disk().content(number.0) {
            Ok(content) => {
                content.write(at as usize, data);
                reply.written(data.len() as u32);
            }
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(self.disk().sync(number.0), reply);
    }

    fn fsyncdir(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(self.disk().sync(number.0), reply);
    }

    fn opendir(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.list(number.0) {
            Ok(listing) => {
                let mut listings = lock(&self.listings);
                let handle = listings.last_key_value().map_or(1, |(last, _)| last + 1);
                listings.insert(handle, listing);
                reply.opened(FileHandle(handle), FopenFlags::empty());
            }
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn readdir(&self, _: &Request, _: INodeNo, handle: FileHandle, after: u64, mut reply: ReplyDirectory) {
        let listings = lock(&self.listings);
        let listing = listings.get(&handle.0).map_or(&[][..], Vec::as_slice);
        for (place, (number, kind, name)) in listing.iter().enumerate().skip(after as usize) {
            if reply.add(INodeNo(*number), place as u64 + 1, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        lock(&self.listings).remove(&handle.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCK, 255, BLOCK);
    }
}
