//! `keyward preset`: the rules that come with Keyward; and what a new account is given of them.

use crate::args::{NewPresetArgs, PresetArgs, PresetCommand};
use crate::failure::{Failure, Outcome};
use crate::reach::Site;
use crate::screen::{Screen, table};
use keyward_ids::Kind;
use keyward_policy::{PRESETS, Preset};
use keyward_server::control::{PresetChoice, PresetGive, Request};
use serde_json::json;

/// Runs the command. It needs no installation.
pub(crate) fn run(screen: Screen, command: &PresetCommand) -> Outcome {
    match command {
        PresetCommand::List => list(screen),
        PresetCommand::Show { name } => show(screen, name),
    }
}

/// Makes the choice that is asked for with a new account.
pub(crate) fn choice(name: Option<&str>, topic: Option<&str>, mac: Option<&str>) -> Option<PresetChoice> {
    Some(PresetChoice {
        name: name?.to_owned(),
        topic: topic.map(str::to_owned),
        mac: mac.map(str::to_owned),
    })
}

/// Makes the choice that is asked for with a new device.
pub(crate) fn of_new(args: &NewPresetArgs) -> Option<PresetChoice> {
    choice(args.preset.as_deref(), args.topic.as_deref(), args.mac.as_deref())
}

/// Gives a preset to an account that is there, or takes it away.
pub(crate) fn change(site: &Site, identity: String, args: &PresetArgs) -> Outcome {
    let choice = choice(args.preset.as_deref(), args.topic.as_deref(), args.mac.as_deref());
    site.change(match choice {
        Some(preset) => {
            Request::PresetGive(PresetGive { identity, preset, allow_overlap: args.allow_overlap })
        }
        None => Request::PresetTake { identity },
    })
}

fn list(screen: Screen) -> Outcome {
    if screen.is_json() {
        let rows: Vec<_> = PRESETS
            .iter()
            .map(|preset| json!({"name": preset.name(), "for": kind(preset), "about": preset.about()}))
            .collect();
        return screen.json("presets", &rows);
    }
    let rows = PRESETS
        .iter()
        .map(|preset| [preset.name().to_owned(), kind(preset).to_owned(), preset.about().to_owned()]);
    screen.print(&table(["preset", "for a", "what it allows"], rows))
}

fn kind(preset: &Preset) -> &'static str {
    match preset.kind() {
        Kind::Device => "device",
        Kind::User => "user",
    }
}

fn show(screen: Screen, name: &str) -> Outcome {
    let preset = Preset::named(name).map_err(|error| Failure::refused("not_found", error))?;
    if screen.is_json() {
        return screen
            .json("preset", &json!({"name": preset.name(), "for": kind(&preset), "text": preset.text()}));
    }
    screen.print(preset.text())
}
