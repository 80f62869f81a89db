//! Files as an import reads them: regular ones only, and no more than is asked for; with a root, from below it only.

use keyward_mosquitto::{Source, limits};
use rustix::fs::{self, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::CStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Reads the disk.
pub(super) struct Disk {
    /// The folder that stands for `/`.
    root: Option<Root>,
}

struct Root {
    folder: OwnedFd,
    path: PathBuf,
}

/// Says whether the last part of a path may be a symbolic link.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Links {
    Refused,
    Followed,
}

impl Disk {
    /// Takes the folder below which all paths are looked up, relative ones too; `None` for the paths as they are.
    ///
    /// # Errors
    /// What is wrong with the folder.
    pub(super) fn new(root: Option<&Path>) -> Result<Self, String> {
        let Some(path) = root else { return Ok(Self { root: None }) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = fs::open(path, flags, Mode::empty())
            .map_err(|errno| format!("--root {}: cannot open the folder: {}", path.display(), said(errno)))?;
        Ok(Self { root: Some(Root { folder, path: path.to_owned() }) })
    }

    /// Returns where a path that a file names lies for people here.
    pub(super) fn place(&self, path: &str) -> String {
        let place = match &self.root {
            Some(root) => root.path.join(path.trim_start_matches('/')),
            None => PathBuf::from(path),
        };
        place.to_string_lossy().replace(char::is_control, "\u{fffd}")
    }

    /// Reads a file that may hold secrets.
    pub(super) fn load(&mut self, path: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        self.read_file(path, limits::MAX_FILE_BYTES, Links::Refused).map(Zeroizing::new)
    }

    /// Reads a certificate, a list or a key, also through a link: certificates are often kept behind one.
    pub(super) fn load_linked(&mut self, path: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        self.read_file(path, limits::MAX_FILE_BYTES, Links::Followed).map(Zeroizing::new)
    }

    /// Tells whether everybody on this machine can read a file.
    pub(super) fn is_open_to_others(&self, path: &str) -> bool {
        let file = self.open(path, OFlags::PATH, Links::Followed);
        file.is_ok_and(|file| fs::fstat(file).is_ok_and(|stat| stat.st_mode & 0o004 != 0))
    }

    fn read_file(&self, path: &str, most: usize, links: Links) -> Result<Vec<u8>, String> {
        let wrong = |what: &str| format!("{}: {what}", self.place(path));
        // A pipe in its place does not block.
        let file = self.open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, links);
        let file = file.map_err(|errno| match errno {
            Errno::LOOP => wrong("is a symbolic link; put the real file there"),
            errno => wrong(&format!("cannot open: {}", said(errno))),
        })?;
        let stat = fs::fstat(&file).map_err(|errno| wrong(&said(errno)))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(wrong("is not a regular file"));
        }
        let mut bytes = Vec::new();
        let bound = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        let read = File::from(file).take(bound).read_to_end(&mut bytes);
        read.map_err(|error| wrong(&format!("cannot read: {error}")))?;
        if bytes.len() > most {
            return Err(wrong(&format!("has more than {most} bytes")));
        }
        Ok(bytes)
    }

    /// Opens what a path leads to. Below a root neither `..` nor a link leads out of it: the system resolves both as if the
    /// root were `/` (openat2(2), RESOLVE_IN_ROOT), whatever is moved meanwhile.
    fn open(&self, path: &str, flags: OFlags, links: Links) -> Result<OwnedFd, Errno> {
        let flags = flags
            | OFlags::CLOEXEC
            | if links == Links::Refused { OFlags::NOFOLLOW } else { OFlags::empty() };
        match &self.root {
            None => fs::open(path, flags, Mode::empty()),
            Some(root) => {
                let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
                fs::openat2(&root.folder, path, flags, Mode::empty(), within)
            }
        }
    }
}

impl Source for Disk {
    fn read(&mut self, path: &str, most: usize) -> Result<Vec<u8>, String> {
        self.read_file(path, most, Links::Refused)
    }

    fn list(&mut self, folder: &str) -> Result<Vec<String>, String> {
        let wrong = |errno| format!("{}: cannot be listed: {}", self.place(folder), said(errno));
        let opened = self.open(folder, OFlags::RDONLY | OFlags::DIRECTORY, Links::Followed).map_err(wrong)?;
        let mut paths = Vec::new();
        for entry in Dir::new(opened).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            paths.extend(joined(folder, entry.file_name()));
            if paths.len() > 10 * limits::MAX_INCLUDED {
                let most = 10 * limits::MAX_INCLUDED;
                return Err(format!("{} holds more than {most} files", self.place(folder)));
            }
        }
        Ok(paths)
    }
}

/// Returns the path of an entry of a folder; `None` for the folder itself, the one above, and names that are no text.
fn joined(folder: &str, name: &CStr) -> Option<String> {
    let name = name.to_str().ok().filter(|name| !matches!(*name, "." | ".."))?;
    Some(format!("{}/{name}", folder.trim_end_matches('/')))
}

fn said(errno: Errno) -> String {
    match errno {
        Errno::NOSYS => {
            "this kernel cannot resolve paths below a root: --root needs Linux 5.6 or newer".to_owned()
        }
        errno => std::io::Error::from(errno).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_identity::files;
    use std::os::unix::fs::symlink;

    /// Below `root` there are `inner` and links; beside it `outer`, which nothing may reach.
    fn disk(folder: &Path) -> Disk {
        let root = folder.join("root");
        std::fs::create_dir_all(root.join("etc/certs")).unwrap();
        files::write_new(&folder.join("outer"), b"outer").unwrap();
        files::write_new(&root.join("inner"), b"inner").unwrap();
        files::write_new(&root.join("etc/certs/a.pem"), b"a").unwrap();
        for (target, link) in [
            ("../outer", "up"),
            (folder.join("outer").to_str().unwrap(), "away"),
            ("/inner", "etc/absolute"),
            ("../../../inner", "etc/clamped"),
            ("..", "above"),
            ("/proc/self/root", "magic"),
            ("loop", "loop"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        Disk::new(Some(&root)).unwrap()
    }

    #[test]
    fn below_a_root_every_path_is_one_of_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = disk(folder.path());
        for path in ["inner", "/inner", "/../inner", "../../inner", "/etc/../inner", "/etc/../../../inner"] {
            assert_eq!(&*disk.load(path).unwrap(), b"inner", "{path}");
        }
        for path in ["/etc/absolute", "etc/clamped", "/above/inner"] {
            assert_eq!(&*disk.load_linked(path).unwrap(), b"inner", "{path}");
        }
        assert_eq!(disk.list("/etc/certs/").unwrap(), ["/etc/certs/a.pem"]);
        assert!(disk.place("/etc/certs").ends_with("root/etc/certs"));
    }

    #[test]
    fn nothing_leads_out_of_a_root() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = disk(folder.path());
        let outer = folder.path().join("outer");
        let outer = outer.to_str().unwrap();
        for path in [
            "up",
            "away",
            "/../outer",
            "../outer",
            "/above/outer",
            "above/../outer",
            "magic/inner",
            "loop",
            outer,
        ] {
            let refused = disk.load_linked(path).unwrap_err();
            assert!(refused.contains("root/"), "{path}: {refused}");
            assert!(disk.load(path).is_err() && disk.read(path, 9).is_err(), "{path}");
        }
        for path in [folder.path().to_str().unwrap(), "/../../tmp", "magic"] {
            assert!(disk.list(path).is_err(), "{path}");
        }
        assert!(disk.load("etc/absolute").unwrap_err().contains("symbolic link"));
        assert!(Disk::new(Some(&folder.path().join("none"))).is_err_and(|what| what.contains("--root")));
    }

    #[test]
    fn without_a_root_paths_are_as_they_are_and_only_regular_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        disk(folder.path());
        let mut disk = Disk::new(None).unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        assert_eq!(&*disk.load_linked(&path("root/up")).unwrap(), b"outer");
        assert!(disk.load(&path("root/up")).unwrap_err().contains("symbolic link"));
        assert!(disk.load("/dev/zero").unwrap_err().contains("regular file"));
        assert!(disk.read(&path("outer"), 4).unwrap_err().contains("more than 4 bytes"));
    }
}
