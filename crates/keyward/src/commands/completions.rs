//! `keyward completions`.

use crate::args::Cli;
use crate::failure::Outcome;
use crate::screen::Screen;
use clap::CommandFactory;
use clap_complete::{Shell, generate};

/// Prints the completion script of `shell`.
pub(crate) fn run(screen: Screen, shell: Shell) -> Outcome {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "keyward", &mut script);
    screen.print(&String::from_utf8_lossy(&script))
}
