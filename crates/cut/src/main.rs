//! A file system in memory whose power can be cut, so that a test sees what a program had made durable.
//!
//! `keyward-cut FOLDER` mounts it there and obeys the lines of its standard input, one answer to each: `cut` loses
//! everything that was not synced, `cut SEED` all but a random part of it, and all is refused (EIO) until `on`. At the
//! end of its input it unmounts.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for scripts: it answers")]

mod dice;
mod directory;
mod disk;
mod file;
#[cfg(test)]
mod model;
mod mount;

use dice::Dice;
use disk::Disk;
use mount::{Mounted, lock};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("usage: keyward-cut FOLDER");
        return ExitCode::from(2);
    };
    match serve(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "{}: {error} (this needs /dev/fuse, and root or fusermount3)",
                Path::new(&folder).display()
            );
            ExitCode::FAILURE
        }
    }
}

fn serve(folder: &Path) -> io::Result<()> {
    let owner = folder.metadata()?;
    let disk = Arc::new(Mutex::new(Disk::new((owner.uid(), owner.gid()))));
    let session = fuser::spawn_mount(Mounted::new(Arc::clone(&disk)), folder, &fuser::Config::default())?;
    println!("mounted");
    for line in io::stdin().lines() {
        println!("{}", obey(&mut lock(&disk), &line?));
    }
    session.umount_and_join()
}

fn obey(disk: &mut Disk, line: &str) -> &'static str {
    let seed = line.strip_prefix("cut ").and_then(|seed| seed.parse().ok());
    match (line, seed) {
        ("on", _) => {
            disk.power_on();
            "on"
        }
        ("cut", _) => {
            disk.cut(None);
            "cut"
        }
        (_, Some(seed)) => {
            disk.cut(Some(Dice::new(seed)));
            "cut"
        }
        _ => "unknown",
    }
}
