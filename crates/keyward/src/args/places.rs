//! Arguments that say where devices stand, and of `maintenance`.

use super::broker::Span;
use super::things::ExposureArg;
use clap::{Args, Subcommand, ValueEnum};
use keyward_identity::Fence;
use keyward_ids::{DeviceId, SiteId};

/// Says what a device depends on where it stands.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PlaceArgs {
    /// What connects it: an access point, a radio gateway; what falls silent with it is one incident
    #[arg(long, value_name = "NAME")]
    pub(crate) gateway: Option<String>,
    /// The fuse that it hangs on, likewise
    #[arg(long, value_name = "NAME")]
    pub(crate) circuit: Option<String>,
    /// What it lives on
    #[arg(long, value_enum, value_name = "SUPPLY")]
    pub(crate) power: Option<PowerArg>,
    /// How often it reports when all is well: 1s to 30d [default: learned]
    #[arg(long, value_name = "TIME")]
    pub(crate) interval: Option<Span>,
    /// The circle that it is not to leave, in degrees north, degrees east and metres
    #[arg(long, value_name = "LAT,LON,RADIUS", allow_hyphen_values = true)]
    pub(crate) fence: Option<Fence>,
}

#[derive(Debug, Args)]
pub(crate) struct DevicePlaceArgs {
    /// Which device
    pub(crate) id: DeviceId,
    /// Where it stands; rules can speak of sites
    #[arg(long, value_name = "SITE")]
    pub(crate) site: Option<SiteId>,
    /// Who can touch it there
    #[arg(long, value_enum, value_name = "WHERE")]
    pub(crate) exposure: Option<ExposureArg>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// What is not known any more; several with commas between them
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    pub(crate) unset: Vec<UnsetArg>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PowerArg {
    /// The mains: without them it is silent
    Mains,
    /// A battery of its own
    Battery,
    /// A supply that outlasts the mains for a while
    Ups,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum UnsetArg {
    /// The site
    Site,
    /// What was said of who can touch it; what keyward.toml says of its site or type counts then
    Exposure,
    /// What connects it
    Gateway,
    /// The fuse
    Circuit,
    /// What it lives on
    Power,
    /// How often it reports
    Interval,
    /// The circle
    Fence,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MaintenanceCommand {
    /// Say that somebody works somewhere: what falls silent there meanwhile is no alarm
    #[command(after_help = "\
Examples:
  keyward maintenance begin site:yard --for 2h --because 'new cables'
  keyward maintenance begin gateway:yard/ap-2 --for 30m --because 'firmware'
  keyward maintenance begin circuit:yard/F3 --for 1d --because 'fuse box'
  keyward maintenance begin device:pump-7 --for 1h --because 'new battery'
  keyward maintenance begin everything --for 15m --because 'new switch'

Who said it, when and why stands in the ledger. What shows a copy of a key is told all the same. Said again of the same, the new
end counts.")]
    Begin {
        /// On what: device:ID, site:NAME, gateway:SITE/NAME, circuit:SITE/NAME or everything
        scope: String,
        /// For how long: 1m to 7d
        #[arg(long = "for", value_name = "TIME")]
        span: Span,
        /// Why, in one line
        #[arg(long, visible_alias = "why", value_name = "TEXT")]
        because: String,
    },
    /// List where somebody works, who said so and why
    #[command(after_help = "\
Examples:
  keyward maintenance list
  keyward maintenance list --json")]
    List,
    /// Say that nobody works there any more
    #[command(after_help = "\
Examples:
  keyward maintenance end site:yard")]
    End {
        /// On what, as `maintenance list` names it
        scope: String,
    },
}
