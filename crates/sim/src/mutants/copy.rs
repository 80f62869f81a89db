//! A copy of the workspace, of the crates that the world needs: there the patches are applied and built.

use super::verdict::Fate;
use keyward_sim::crowd::Crowd;
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

/// The crates that the world is made of.
const CRATES: [&str; 8] = ["ids", "mqtt", "store", "policy", "envelope", "broker", "watch", "sim"];

/// After so long a run is said to hang.
const PATIENCE: Duration = Duration::from_secs(900);

/// Is the copy. All patches are built in one target folder: only what a patch touches, and what is above it, is built
/// again.
pub(super) struct Copy {
    from: PathBuf,
    /// Absolute, as `git` wants it.
    to: PathBuf,
    built: PathBuf,
}

impl Copy {
    /// Makes a copy below the target folder of a workspace, or brings one up to date.
    pub(super) fn below(workspace: &Path) -> io::Result<Self> {
        let from = workspace.canonicalize()?;
        let folder = from.join("target/mutants");
        let copy = Self { to: folder.join("copy"), built: folder.join("built"), from };
        copy.refresh()?;
        Ok(copy)
    }

    /// Says what becomes of one patch.
    pub(super) fn try_patch(&self, patch: &Path, crowd: Crowd) -> io::Result<Fate> {
        self.refresh()?;
        if let Some(words) = self.apply(patch)? {
            return Ok(Fate::DoesNotApply(words));
        }
        let fate = self.run(crowd);
        self.refresh()?;
        fate
    }

    /// Builds what is in the copy and runs seeds until one fails.
    pub(super) fn run(&self, crowd: Crowd) -> io::Result<Fate> {
        let built = self.build()?;
        if !built.status.success() {
            return Ok(Fate::DoesNotBuild(first_error(&String::from_utf8_lossy(&built.stderr))));
        }
        let Crowd { first, seeds, steps, shards, disk } = crowd;
        let mut command = Command::new(self.built.join("release/keyward-sim"));
        let options =
            [("first", first), ("seeds", seeds), ("steps", steps.into()), ("shards", shards.into())];
        for (option, value) in options {
            command.arg(format!("--{option}")).arg(value.to_string());
        }
        if disk {
            command.arg("--disk");
        }
        let run = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        match listen(run)? {
            Some(said) => Ok(Fate::of(&said)),
            None => Ok(Fate::Hangs(PATIENCE)),
        }
    }

    fn build(&self) -> io::Result<Output> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Command::new(cargo)
            .args(["build", "--release", "--offline", "--quiet", "-p", "keyward-sim", "--target-dir"])
            .arg(&self.built)
            .current_dir(&self.to)
            // One patch differs from another by some lines.
            .env("CARGO_INCREMENTAL", "1")
            .output()
            .map_err(|error| io::Error::other(format!("cargo cannot be run: {error}")))
    }

    /// Applies a patch; returns what `git` says if it does not apply.
    fn apply(&self, patch: &Path) -> io::Result<Option<String>> {
        let applied = Command::new("git")
            .args(["apply", "--verbose"])
            .arg(patch.canonicalize()?)
            .current_dir(&self.to)
            // The copy lies in a work tree, of which it is no part.
            .env("GIT_CEILING_DIRECTORIES", self.to.parent().unwrap_or(&self.to))
            .output()
            .map_err(|error| {
                io::Error::other(format!("git, which applies the patches, cannot be run: {error}"))
            })?;
        let words = String::from_utf8_lossy(&applied.stderr);
        Ok((!applied.status.success()).then(|| first_error(&words)))
    }

    /// Makes the copy the same as the workspace. What is the same already is left alone, so that it is not built again.
    fn refresh(&self) -> io::Result<()> {
        let mut wanted = BTreeSet::from([PathBuf::from("Cargo.toml"), PathBuf::from("Cargo.lock")]);
        for name in CRATES {
            let folder = Path::new("crates").join(name);
            wanted.insert(folder.join("Cargo.toml"));
            collect(&self.from, &folder.join("src"), &mut wanted)?;
            // The series that the fleet's sensors are made of are compiled in.
            collect(&self.from, &folder.join("tests/data"), &mut wanted)?;
        }
        let mut present = BTreeSet::new();
        collect(&self.to, Path::new("crates"), &mut present)?;
        for file in present.difference(&wanted) {
            fs::remove_file(self.to.join(file))?;
        }
        for file in &wanted {
            let bytes = fs::read(self.from.join(file))?;
            let bytes = if file == Path::new("Cargo.toml") { without_default_members(&bytes) } else { bytes };
            // Cargo leaves out of the lock file what the copy does not need.
            let is_kept = file == Path::new("Cargo.lock") && self.to.join(file).exists();
            if !is_kept {
                put(&self.to.join(file), &bytes)?;
            }
        }
        Ok(())
    }
}

/// Adds the files below a folder, as paths below `root`; a folder that is not there has none.
fn collect(root: &Path, folder: &Path, files: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    let entries = match fs::read_dir(root.join(folder)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            collect(root, &path, files)?;
        } else {
            files.insert(path);
        }
    }
    Ok(())
}

/// Drops from the workspace's manifest the line that names a crate which is not copied.
fn without_default_members(manifest: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(manifest);
    let lines = text.lines().filter(|line| !line.starts_with("default-members"));
    lines.flat_map(|line| [line, "\n"]).collect::<String>().into_bytes()
}

/// Writes a file unless it holds that already.
#[expect(clippy::disallowed_methods, reason = "a copy below target/ that is made again whenever it differs")]
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|held| held == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes)
}

/// Returns what a program said; `None` if it had to be ended.
fn listen(mut program: Child) -> io::Result<Option<String>> {
    let Some(mut stdout) = program.stdout.take() else { return Ok(None) };
    let (sender, said) = sync_channel(1);
    let listener = thread::spawn(move || {
        let mut text = Vec::new();
        let read = stdout.read_to_end(&mut text).map(|_| String::from_utf8_lossy(&text).into_owned());
        // Nobody waits any more for a program that was ended.
        let _ = sender.send(read);
    });
    let said = said.recv_timeout(PATIENCE).ok().transpose();
    if !matches!(said, Ok(Some(_))) {
        program.kill()?;
    }
    program.wait()?;
    let _ = listener.join();
    said
}

/// Returns the line that says what is wrong.
fn first_error(words: &str) -> String {
    let mut lines = words.lines().filter(|line| line.starts_with("error"));
    lines.next().or_else(|| words.lines().next()).unwrap_or_default().to_owned()
}
