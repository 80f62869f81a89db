//! Where devices stand: `keyward device place`, `device moved`, and `keyward maintenance`.

use crate::args::{DevicePlaceArgs, MaintenanceCommand, PlaceArgs, PowerArg, Span, UnsetArg};
use crate::clock::moment;
use crate::commands::device::{exposure, exposure_word};
use crate::failure::{Failure, Outcome};
use crate::reach::Site;
use crate::screen::table;
use keyward_server::control::{
    MaintenanceRow, PlaceChange, PlaceField, PlaceRow, Power, Request, Response, SaidBy,
};
use keyward_server::escape::escape;
use std::fmt::Write;
use std::time::Duration;

/// Runs `device place`.
pub(crate) fn place(site: &Site, args: &DevicePlaceArgs) -> Outcome {
    let place = PlaceChange {
        site: args.site.as_ref().map(ToString::to_string),
        exposure: args.exposure.map(exposure),
        unset: args.unset.iter().copied().map(field).collect(),
        ..change(&args.place)
    };
    if place == PlaceChange::default() {
        return Err(Failure::misuse(
            "say what is to be known of it: --site, --exposure, --gateway, --circuit, --power, --interval, --fence or --unset; \
             `device show` says what is known",
        ));
    }
    site.change(Request::DevicePlace { id: args.id.to_string(), place })
}

/// Runs `maintenance`.
pub(crate) fn maintenance(site: &Site, command: MaintenanceCommand) -> Outcome {
    match command {
        MaintenanceCommand::Begin { scope, span, because } => {
            site.change(Request::MaintenanceBegin { scope, seconds: span.0.as_secs(), because })
        }
        MaintenanceCommand::End { scope } => site.change(Request::MaintenanceEnd { scope }),
        MaintenanceCommand::List => {
            site.show(&site.ask(Request::MaintenanceList)?, |response| match response {
                Response::Maintenance(rows) if rows.is_empty() => Some("Nobody works anywhere.\n".to_owned()),
                Response::Maintenance(rows) => Some(listing(rows)),
                _ => None,
            })
        }
    }
}

fn listing(rows: &[MaintenanceRow]) -> String {
    let cells = |row: &MaintenanceRow| {
        [
            row.scope.clone(),
            row.devices.to_string(),
            moment(row.since_unix_ms),
            moment(row.until_unix_ms),
            row.by.clone(),
            row.because.clone(),
        ]
    };
    table(["of", "devices", "since", "until", "by", "because"], rows.iter().map(cells))
}

/// Returns what is said of what a device depends on.
pub(crate) fn change(args: &PlaceArgs) -> PlaceChange {
    PlaceChange {
        gateway: args.gateway.clone(),
        circuit: args.circuit.clone(),
        power: args.power.map(|power| match power {
            PowerArg::Mains => Power::Mains,
            PowerArg::Battery => Power::Battery,
            PowerArg::Ups => Power::Ups,
        }),
        interval_secs: args.interval.map(|interval| interval.0.as_secs()),
        fence: args.fence.map(|fence| fence.to_string()),
        ..PlaceChange::default()
    }
}

fn field(unset: UnsetArg) -> PlaceField {
    match unset {
        UnsetArg::Site => PlaceField::Site,
        UnsetArg::Exposure => PlaceField::Exposure,
        UnsetArg::Gateway => PlaceField::Gateway,
        UnsetArg::Circuit => PlaceField::Circuit,
        UnsetArg::Power => PlaceField::Power,
        UnsetArg::Interval => PlaceField::Interval,
        UnsetArg::Fence => PlaceField::Fence,
    }
}

fn power_word(power: Power) -> &'static str {
    match power {
        Power::Mains => "mains",
        Power::Battery => "battery",
        Power::Ups => "ups",
    }
}

fn by(said: SaidBy) -> &'static str {
    match said {
        SaidBy::Device => "",
        SaidBy::Site => " (its site)",
        SaidBy::Type => " (its type)",
        SaidBy::Nobody => " (nobody said)",
    }
}

/// Writes where a device stands, a line for each thing that is known.
pub(crate) fn lines(place: &PlaceRow) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:9} {value}");
    };
    let exposure = exposure_word(place.exposure.value);
    line("exposure", format!("{exposure}{}", by(place.exposure.by)));
    for (name, value) in [("gateway", &place.gateway), ("circuit", &place.circuit), ("fence", &place.fence)] {
        if let Some(value) = value {
            line(name, escape(value));
        }
    }
    if place.power.by != SaidBy::Nobody {
        line("power", format!("{}{}", power_word(place.power.value), by(place.power.by)));
    }
    if let Some(interval) = place.interval_secs {
        let value = Span(Duration::from_secs(interval.value));
        line("interval", format!("{value}{}", by(interval.by)));
    }
    if let Some(moved) = &place.moved {
        let why =
            if moved.because.is_empty() { String::new() } else { format!(": {}", escape(&moved.because)) };
        line("moved", format!("on purpose, {}{why}", moment(moved.at_unix_ms)));
    }
    for warning in &place.warnings {
        line("warning", escape(warning));
    }
    text
}
