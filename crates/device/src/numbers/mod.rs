//! The numbers that messages are signed with, and those of commands that were obeyed: none counts twice, whenever the power fails.

mod note;
mod seen;
mod sequencer;
#[cfg(test)]
mod tests;

pub use seen::SeenCommands;
pub use sequencer::Sequencer;
