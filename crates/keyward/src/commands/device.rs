//! `keyward device`.

use crate::args::{BundleKind, ChipArg, DeviceAddArgs, DeviceCommand, ExposureArg};
use crate::bundle::{self, Contents, Draft, no_key_for_flow};
use crate::clock::{day, moment};
use crate::commands::{exposure, invitation, keys, places, preset};
use crate::failure::{Failure, Outcome};
use crate::keypair;
use crate::reach::{Site, notes, unexpected};
use crate::screen::{table, to_value};
use crate::secret;
use keyward_client::Address;
use keyward_identity::files;
use keyward_server::control::{
    Chip, Der, DeviceAdd, DeviceAdded, DeviceDetail, DeviceRevoke, DeviceRow, Exposure, NewCredential,
    NewPassword, Request, Response, Standing,
};
use keyward_server::escape::escape;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Runs the command.
pub(crate) fn run(site: &Site, command: DeviceCommand) -> Outcome {
    match command {
        DeviceCommand::Add(args) => add(site, &args),
        DeviceCommand::Invite(args) => invitation::invite(site, &args),
        DeviceCommand::Rekey(args) => invitation::rekey(site, &args),
        DeviceCommand::Uninvite { id } => site.change(Request::DeviceUninvite { id: id.to_string() }),
        DeviceCommand::List => list(site),
        DeviceCommand::Show { id } => show(site, id.to_string()),
        DeviceCommand::Exposure { id } => exposure::run(site, id.to_string()),
        DeviceCommand::Place(args) => places::place(site, &args),
        DeviceCommand::Moved { id, because } => {
            site.change(Request::DeviceMoved { id: id.to_string(), because: because.unwrap_or_default() })
        }
        DeviceCommand::Disable { id } => site.change(Request::DeviceDisable { id: id.to_string() }),
        DeviceCommand::Enable { id } => site.change(Request::DeviceEnable { id: id.to_string() }),
        DeviceCommand::Quarantine { id, because } => {
            site.change(Request::DeviceQuarantine { id: id.to_string(), because })
        }
        DeviceCommand::Release { id } => site.change(Request::DeviceRelease { id: id.to_string() }),
        DeviceCommand::Revoke(args) => site.change(Request::DeviceRevoke(DeviceRevoke {
            id: args.id.to_string(),
            keep_messages: args.keep_messages,
            publish_will: args.publish_will,
        })),
        DeviceCommand::Remove { id } => site.change(Request::DeviceRemove { id: id.to_string() }),
        DeviceCommand::Passwd { id, password_stdin } => {
            let password = if password_stdin { secret::from_stdin()? } else { NewPassword::Generated };
            passwd(site, Request::DevicePasswd { id: id.to_string(), password })
        }
        DeviceCommand::Preset { id, args } => preset::change(site, format!("device:{id}"), &args),
        DeviceCommand::Plain { id, clear } => {
            site.change(Request::MarkPlain { identity: format!("device:{id}"), plain: !clear })
        }
        DeviceCommand::ReleaseKey { id, key } => {
            site.change(Request::DeviceReleaseKey { id: id.to_string(), key: key.map(|key| key.to_string()) })
        }
    }
}

fn add(site: &Site, args: &DeviceAddArgs) -> Outcome {
    if args.bundle == BundleKind::NodeRed && (args.password || args.password_stdin || args.csr.is_some()) {
        return Err(no_key_for_flow());
    }
    let chip = chip(args)?;
    let draft = Draft::create(&args.out.clone().unwrap_or_else(|| PathBuf::from(args.id.as_str())))?;
    let (credential, has_key) = credential(args, &draft)?;
    let request = DeviceAdd {
        id: args.id.to_string(),
        device_type: args.device_type.as_ref().map(ToString::to_string),
        site: args.site.as_ref().map(ToString::to_string),
        exposure: args.exposure.map(exposure),
        chip,
        place: places::change(&args.place),
        plain: args.plain,
        credential,
        allow_overlap: args.allow_overlap,
        preset: preset::of_new(&args.preset),
    };
    let response = site.ask_to_add(Request::DeviceAdd(request), args.host.as_deref())?;
    let Response::DeviceAdded(added) = &response else { return Err(unexpected()) };
    let contents = contents(args, added, has_key, chip);
    let dir = draft.finish(&contents, &site.program)?;
    if site.screen.is_json() {
        return print_json(site, &response, &dir);
    }
    site.screen.print(&tell_added(site, added, &contents, &dir))
}

/// Makes what the device will prove itself with. A key that is made here is written before the broker is asked.
fn credential(args: &DeviceAddArgs, draft: &Draft) -> Outcome<(NewCredential, bool)> {
    if args.password_stdin {
        return Ok((NewCredential::Password(secret::from_stdin()?), false));
    }
    if args.password_hash_stdin {
        return Ok((NewCredential::Password(secret::hash_from_stdin()?), false));
    }
    if let Some(path) = &args.csr {
        return Ok((read_csr(path)?, false));
    }
    if args.password || args.plain {
        return Ok((NewCredential::Password(NewPassword::Generated), false));
    }
    Ok((own_key(args.id.as_str(), draft)?, true))
}

/// Makes a key, writes it into the bundle, and returns the request to certify it.
pub(crate) fn own_key(common_name: &str, draft: &Draft) -> Outcome<NewCredential> {
    let key = keypair::make(common_name)?;
    draft.write_key(&key.key_pem)?;
    Ok(NewCredential::Csr(Der(key.csr)))
}

/// Reads a signing request.
pub(crate) fn read_csr(path: &Path) -> Outcome<NewCredential> {
    Ok(NewCredential::Csr(Der(files::read_regular(path, bundle::FILE_BYTES)?)))
}

pub(crate) fn exposure(exposure: ExposureArg) -> Exposure {
    match exposure {
        ExposureArg::Public => Exposure::Public,
        ExposureArg::Workplace => Exposure::Workplace,
        ExposureArg::Locked => Exposure::Locked,
    }
}

/// Finds the chip that a device is, from what was said of it and from the bundle that was asked for.
fn chip(args: &DeviceAddArgs) -> Outcome<Option<Chip>> {
    let of_bundle = args.bundle.chip();
    if of_bundle.is_some() && (args.csr.is_some() || args.password || args.password_stdin) {
        return Err(Failure::misuse(
            "--bundle esp8266 and esp32 hold a key and a certificate: leave --csr and --password out, or take --chip with \
             another bundle",
        ));
    }
    if of_bundle.is_some() && args.chip.is_some() && of_bundle != args.chip {
        return Err(Failure::misuse("--chip and --bundle name two chips; leave --chip out"));
    }
    Ok(of_bundle.or(args.chip).map(chip_of))
}

pub(crate) fn chip_of(chip: ChipArg) -> Chip {
    match chip {
        ChipArg::Esp8266 => Chip::Esp8266,
        ChipArg::Esp32 => Chip::Esp32,
    }
}

fn contents<'a>(
    args: &DeviceAddArgs,
    added: &'a DeviceAdded,
    has_key: bool,
    chip: Option<Chip>,
) -> Contents<'a> {
    let host = added.reach.host.clone();
    let identity = format!("device:{}", added.device.id);
    let own = added.topics.iter().find_map(|filter| filter.strip_suffix("/#"));
    Contents {
        address: Address::new(identity, added.installation.clone(), host, added.reach.port),
        kind: args.bundle,
        ca_pem: &added.ca_pem,
        installation_key_pem: added.installation_key_pem.as_deref(),
        certificate_pem: added.certificate_pem.as_deref(),
        has_key,
        chip,
        // The commands would take it to a port with TLS, where its password does not open.
        first_topic: own.filter(|_| !added.device.plain).map(|own| format!("{own}/status")),
    }
}

/// Prints the answer of the broker with the bundle's directory beside it.
pub(crate) fn print_json(site: &Site, response: &Response, dir: &Path) -> Outcome {
    let serde_json::Value::Object(mut object) = to_value(response)? else { return Err(unexpected()) };
    object.insert("bundle".to_owned(), dir.to_string_lossy().into_owned().into());
    site.screen.object(object)
}

fn tell_added(site: &Site, added: &DeviceAdded, contents: &Contents<'_>, dir: &Path) -> String {
    let paint = site.screen.paint();
    let mut text = format!("Added {}.", paint.strong(&contents.address.identity));
    let below: Vec<&str> = added.topics.iter().map(|filter| filter.trim_end_matches('#')).collect();
    let _ = writeln!(text, " It may publish and subscribe below {}", escape(&below.join(" and ")));
    text.push_str(&notes(&added.notes));
    if let Some(password) = &added.password {
        let _ = writeln!(text, "\nUser name  {}", escape(&added.device.id));
        let _ = writeln!(text, "Password   {}   (shown only now)", paint.strong(password.expose()));
    }
    let _ = writeln!(text, "\nBundle     {}", dir.display());
    text.push_str(&contents.chip.map(warning).unwrap_or_default());
    if added.device.plain {
        let _ = writeln!(
            text,
            "\nIt may log in on plain listeners, and with its password nowhere else: {}",
            site.program.command("listener list")
        );
    }
    if added.device.connected.is_none() {
        let _ = writeln!(text, "\nThe broker does not run; start it: {}", site.program.command("up"));
    }
    text.push_str(&first_message(site, contents, dir));
    text
}

/// Writes the commands that publish a first message, and the one that shows it arrive.
fn first_message(site: &Site, contents: &Contents<'_>, dir: &Path) -> String {
    let Some([wait, publish]) = bundle::keyward_commands(contents, dir, &site.program) else {
        return String::new();
    };
    let mut text =
        format!("\nTo see it work, wait in one terminal and publish in another:\n  {wait}\n  {publish}\n");
    if let Some(command) = bundle::mosquitto_command(contents, dir) {
        let _ = writeln!(text, "or with any other MQTT client, for instance:\n  {command}");
    }
    text
}

fn passwd(site: &Site, request: Request) -> Outcome {
    site.show(&site.ask(request)?, |response| match response {
        Response::DeviceAdded(added) => {
            let mut text = format!("device:{} has a new password.\n", escape(&added.device.id));
            if let Some(password) = &added.password {
                let shown = site.screen.paint().strong(password.expose());
                let _ = writeln!(text, "Password   {shown}   (shown only now)");
            }
            Some(text + &notes(&added.notes))
        }
        _ => None,
    })
}

fn list(site: &Site) -> Outcome {
    site.show(&site.ask(Request::DeviceList)?, |response| match response {
        Response::Devices(rows) if rows.is_empty() => {
            Some(format!("There are no devices. Add one: {}\n", site.program.command("device add dev01")))
        }
        Response::Devices(rows) => Some(listing(rows)),
        _ => None,
    })
}

fn listing(rows: &[DeviceRow]) -> String {
    let rows = rows.iter().map(|row| {
        [
            row.id.clone(),
            standing_of(row),
            connected(row.connected).to_owned(),
            row.device_type.clone().unwrap_or_default(),
            row.site.clone().unwrap_or_default(),
            exposure_word(row.exposure).to_owned(),
            row.preset.clone().unwrap_or_default(),
            if row.plain { "plain" } else { "" }.to_owned(),
            row.credentials.to_string(),
            row.expires_unix_ms.map(day).unwrap_or_default(),
            day(row.added_unix_ms),
            row.password_note.clone().unwrap_or_default(),
        ]
    });
    let heading = [
        "id",
        "standing",
        "now",
        "type",
        "site",
        "exposure",
        "preset",
        "mark",
        "credentials",
        "certificate ends",
        "added",
        "password",
    ];
    table(heading, rows)
}

/// Says whether a device may act, and whether it is in quarantine.
pub(crate) fn standing_of(row: &DeviceRow) -> String {
    let standing = standing_since(row.standing, row.unconfirmed_since_unix_ms);
    if row.quarantine.is_some() { format!("{standing}, in quarantine") } else { standing }
}

/// Says whether an identity may act.
pub(crate) fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Active => "active",
        Standing::Disabled => "disabled",
        Standing::Revoked => "revoked",
        Standing::Removed => "removed",
    }
}

/// The same, with the reason if a restore shut it out.
pub(crate) fn standing_since(shown: Standing, unconfirmed_since_unix_ms: Option<u64>) -> String {
    match unconfirmed_since_unix_ms {
        Some(restored) => {
            format!("{}: not confirmed since the restore of {}", standing(shown), moment(restored))
        }
        None => standing(shown).to_owned(),
    }
}

fn connected(connected: Option<bool>) -> &'static str {
    match connected {
        Some(true) => "connected",
        Some(false) => "away",
        None => "",
    }
}

pub(crate) fn exposure_word(exposure: Exposure) -> &'static str {
    match exposure {
        Exposure::Public => "public",
        Exposure::Workplace => "workplace",
        Exposure::Locked => "locked",
    }
}

fn chip_word(chip: Chip) -> &'static str {
    match chip {
        Chip::Esp8266 => "esp8266",
        Chip::Esp32 => "esp32",
    }
}

/// Writes what the chip cannot protect, with a blank line in front.
fn warning(chip: Chip) -> String {
    format!("\n  {}\n", bundle::chip::unprotected(chip).join("\n  "))
}

fn show(site: &Site, id: String) -> Outcome {
    site.show(&site.ask(Request::DeviceShow { id })?, |response| match response {
        Response::Device(detail) => Some(tell_detail(detail)),
        _ => None,
    })
}

fn tell_detail(detail: &DeviceDetail) -> String {
    let row = &detail.device;
    let mut text = format!("device:{} is {}", escape(&row.id), standing_of(row));
    if let Some(now) = row.connected {
        let _ = write!(text, ", {}", connected(Some(now)));
    }
    let _ = writeln!(text, "; added {}", moment(row.added_unix_ms));
    if let Some(quarantine) = &row.quarantine {
        let (since, by) = (moment(quarantine.since_unix_ms), escape(&quarantine.by));
        let _ = writeln!(text, "  quarantine  since {since}, by the {by}: {}", escape(&quarantine.because));
    }
    for (name, value) in [("type", &row.device_type), ("site", &row.site), ("preset", &row.preset)] {
        if let Some(value) = value {
            let _ = writeln!(text, "  {name:9} {}", escape(value));
        }
    }
    text.push_str(&places::lines(&detail.place));
    if let Some(chip) = row.chip {
        let _ = writeln!(text, "  chip      {}", chip_word(chip));
        text.push_str(&warning(chip));
    }
    if row.plain {
        text.push_str(
            "  mark      plain: it may log in on plain listeners, and with its password nowhere else\n",
        );
    }
    if let Some(invitation) = &detail.invitation {
        text.push_str(&invitation::line(invitation));
    }
    if let Some(demands) = &detail.type_demands {
        let _ = writeln!(text, "  demanded  {} (its type), and what the listener demands", escape(demands));
    }
    if let Some(login) = &detail.last_login {
        let (at, listener) = (moment(login.at_unix_ms), escape(&login.listener));
        let _ = writeln!(text, "  login     {at} at listener {listener}, with {}", escape(&login.shown));
    }
    for key in detail.message_keys.iter().filter(|key| key.level.is_some()) {
        let _ = writeln!(text, "  signs by  {}, level {}", escape(&key.kid), keys::level(key));
        if let Some(tpm) = &key.tpm {
            let _ = writeln!(text, "            TPM {}", escape(&tpm.fingerprint));
        }
    }
    text.push('\n');
    let credentials = detail.credentials.iter().map(|credential| {
        [
            credential.kind.clone(),
            if credential.usable { "opens the door" } else { "dead" }.to_owned(),
            credential.expires_unix_ms.map(day).unwrap_or_default(),
            credential.serial.clone().unwrap_or_default(),
            credential.key.as_deref().map(|key| key.chars().take(16).collect()).unwrap_or_default(),
            credential.note.clone().unwrap_or_default(),
        ]
    });
    text.push_str(&table(
        ["credential", "now", "ends", "serial", "key (first 16 digits)", "note"],
        credentials,
    ));
    if !detail.rules.is_empty() {
        text.push_str("\nWhat it reads, and rules without effect for it (`keyward policy explain` tells of publishing)\n");
        for rule in &detail.rules {
            let _ = writeln!(text, "  {}", escape(rule));
        }
    }
    text
}
