//! Arguments of `keyward store confirm`.

use clap::Args;
use keyward_ids::Identity;

#[derive(Debug, Args)]
pub(crate) struct ConfirmArgs {
    /// Who may act again: device:ID or user:NAME
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) identities: Vec<Identity>,
    /// All that are not confirmed yet
    #[arg(long)]
    pub(crate) all: bool,
}
