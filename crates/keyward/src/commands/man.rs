//! `keyward man`: the manual pages, made of the same text as `--help`.

use crate::args::Cli;
use crate::failure::{Failure, Outcome};
use crate::screen::Screen;
use clap::CommandFactory;
use std::fs;
use std::path::Path;

/// Writes a page for each command into `out`. They are for everybody to read: the mode is what the umask makes of 0666.
pub(crate) fn run(screen: Screen, out: &Path) -> Outcome {
    let failed = |error| Failure::file(out, &error);
    fs::create_dir_all(out).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), out).map_err(failed)?;
    let first = out.join("keyward.1");
    if screen.is_json() {
        return screen.json("man", &first.display().to_string());
    }
    screen.print(&format!(
        "The manual pages are in {}; read the first with: man {}\n",
        out.display(),
        first.display()
    ))
}
