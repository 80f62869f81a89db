//! `keyward man`: the manual pages, made of the same text as `--help`.

use crate::args::Cli;
use crate::failure::{Failure, Outcome};
use crate::screen::Screen;
use clap::CommandFactory;
use serde_json::json;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Writes a page for each command into `out`. They are for everybody to read: the mode is what the umask makes of 0666.
pub(crate) fn run(screen: Screen, out: &Path) -> Outcome {
    let failed = |error| Failure::file(out, &error);
    fs::create_dir_all(out).map_err(failed)?;
    let mut whole = Cli::command().disable_help_subcommand(true);
    whole.build();
    let mut pages = Vec::new();
    let first = write(&whole, out, &mut pages).map_err(failed)?;
    if screen.is_json() {
        let pages: Vec<String> = pages.iter().map(|page| page.display().to_string()).collect();
        return screen.json("man", &json!({ "dir": out.display().to_string(), "pages": pages }));
    }
    screen.print(&format!(
        "The manual pages are in {}; read the first with: man {}\n",
        out.display(),
        first.display()
    ))
}

/// Writes the page of a command, and behind it in `pages` those of its subcommands; returns where its own is.
fn write(command: &clap::Command, out: &Path, pages: &mut Vec<PathBuf>) -> io::Result<PathBuf> {
    let own = clap_mangen::Man::new(command.clone()).generate_to(out)?;
    pages.push(own.clone());
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        write(below, out, pages)?;
    }
    Ok(own)
}
