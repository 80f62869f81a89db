//! Deliberate bugs, and whether the world finds them: each patch of `crates/sim/mutants` is applied to a copy of the
//! workspace, built, and run until a promise is broken.

mod copy;
mod verdict;

use crate::clock;
use copy::Copy;
use keyward_sim::crowd::Crowd;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use verdict::{Fate, Verdict};

/// Says which bugs to look for.
#[derive(Debug, clap::Args)]
pub(crate) struct Hunt {
    /// Looks for these alone: names of patches, or how they begin.
    names: Vec<String>,

    /// Within so many seeds each must be found.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,

    /// Steps of each run.
    #[arg(long, default_value_t = 400)]
    steps: u32,

    /// Looks for those of crates/sim/mutants/disk, in worlds whose disk survives crashes.
    #[arg(long)]
    disk: bool,

    /// Prints the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Looks for the bugs; fails if one is not found.
pub(crate) fn hunt(hunt: &Hunt) -> ExitCode {
    match try_hunt(hunt) {
        Ok(verdicts) => {
            let printed = if hunt.json { verdict::json(&verdicts) } else { verdict::table(&verdicts) };
            println!("{printed}");
            let all = verdicts.iter().all(Verdict::is_found);
            if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn try_hunt(hunt: &Hunt) -> io::Result<Vec<Verdict>> {
    let workspace = workspace();
    let folder = if hunt.disk { "crates/sim/mutants/disk" } else { "crates/sim/mutants" };
    let patches = patches(&workspace.join(folder), &hunt.names)?;
    let copy = Copy::below(&workspace)?;
    // What is hunted with must pass without a bug: a world that always complains finds nothing.
    eprintln!("control: {} seeds without a bug", hunt.seeds);
    if let Fate::Found { seed, breach } = copy.run(hunt.crowd())? {
        return Err(io::Error::other(format!("the code without a bug fails at seed {seed}: {breach}")));
    }
    let mut verdicts = Vec::new();
    for (number, patch) in patches.iter().enumerate() {
        let name = name_of(patch);
        eprintln!("{} of {}: {name}", number + 1, patches.len());
        let begun = clock::now();
        let fate = copy.try_patch(patch, hunt.crowd())?;
        eprintln!("    {fate}");
        verdicts.push(Verdict::new(name, fate, begun.elapsed()));
    }
    Ok(verdicts)
}

impl Hunt {
    fn crowd(&self) -> Crowd {
        Crowd { first: 0, seeds: self.seeds, steps: self.steps, shards: 3, disk: self.disk }
    }
}

/// Returns the workspace that this program was built from.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Lists the patches in a folder whose names begin as asked, by name; all if nothing is asked.
fn patches(folder: &Path, names: &[String]) -> io::Result<Vec<PathBuf>> {
    let mut patches = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            patches.push(path);
        }
    }
    patches.sort();
    if let Some(unknown) = names.iter().find(|name| !patches.iter().any(|patch| is_asked(patch, name))) {
        return Err(io::Error::other(format!("no patch in {} begins with {unknown}", folder.display())));
    }
    patches.retain(|patch| names.is_empty() || names.iter().any(|name| is_asked(patch, name)));
    Ok(patches)
}

fn is_asked(patch: &Path, name: &str) -> bool {
    name_of(patch).starts_with(name)
}

fn name_of(patch: &Path) -> String {
    patch.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}
