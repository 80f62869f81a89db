//! `keyward user`.

use crate::args::{BundleKind, UserAddArgs, UserCommand, UserPasswdArgs};
use crate::bundle::{Contents, Draft, no_key_for_flow};
use crate::clock::day;
use crate::commands::device::{own_key, print_json, read_csr, standing_since};
use crate::commands::preset;
use crate::failure::{Failure, Outcome};
use crate::reach::{Site, notes, unexpected};
use crate::screen::table;
use crate::secret;
use keyward_client::Address;
use keyward_server::control::{
    NewCredential, NewPassword, Request, Response, Secret, UserAdd, UserAdded, UserRow,
};
use keyward_server::escape::escape;
use keyward_server::quoting::quote;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Runs the command.
pub(crate) fn run(site: &Site, command: UserCommand) -> Outcome {
    match command {
        UserCommand::Add(args) => add(site, &args),
        UserCommand::List => list(site),
        UserCommand::Remove { name } => site.change(Request::UserRemove { name: name.to_string() }),
        UserCommand::Preset { name, args } => preset::change(site, format!("user:{name}"), &args),
        UserCommand::Plain { name, clear } => {
            site.change(Request::MarkPlain { identity: format!("user:{name}"), plain: !clear })
        }
        UserCommand::Passwd(args) => passwd(site, &args),
    }
}

fn add(site: &Site, args: &UserAddArgs) -> Outcome {
    if args.bundle.chip().is_some() {
        return Err(Failure::misuse(
            "a bundle for a chip is for a device: keyward device add ID --bundle esp8266",
        ));
    }
    // Somebody with a password needs no directory, unless one is asked for.
    let certificate = certificate(args)?;
    let wanted = certificate || args.csr.is_some() || args.out.is_some();
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(args.name.as_str()));
    let draft = if wanted { Some(Draft::create(&out)?) } else { None };
    let credential = credential(args, certificate, draft.as_ref())?;
    let request = Request::UserAdd(UserAdd {
        name: args.name.to_string(),
        plain: args.plain,
        credential,
        preset: preset::choice(args.preset.as_deref(), args.topic.as_deref(), None),
        allow_overlap: args.allow_overlap,
        note: String::new(),
    });
    let response = site.ask_to_add(request, args.host.as_deref())?;
    let Response::UserAdded(added) = &response else { return Err(unexpected()) };
    let dir = match draft {
        Some(draft) => Some(draft.finish(&contents(args, certificate, added), &site.program)?),
        None => None,
    };
    match (site.screen.is_json(), &dir) {
        (true, Some(dir)) => print_json(site, &response, dir),
        (true, None) => site.screen.answer(&response),
        (false, _) => site.screen.print(&tell_added(site, args, added, dir.as_deref())),
    }
}

/// Tells whether a key and a certificate are made: on demand, and for a bundle that is of no use without them.
fn certificate(args: &UserAddArgs) -> Outcome<bool> {
    let other = args.csr.is_some() || args.password_stdin || args.ask_password || args.password_hash_stdin;
    match args.bundle {
        BundleKind::NodeRed if other => Err(no_key_for_flow()),
        BundleKind::NodeRed => Ok(true),
        _ => Ok(args.certificate),
    }
}

fn credential(args: &UserAddArgs, certificate: bool, draft: Option<&Draft>) -> Outcome<NewCredential> {
    match (draft, &args.csr) {
        (_, Some(csr)) => read_csr(csr),
        (Some(draft), None) if certificate => own_key(args.name.as_str(), draft),
        _ if args.password_hash_stdin => Ok(NewCredential::Password(secret::hash_from_stdin()?)),
        _ if args.no_login => Ok(NewCredential::None),
        _ if args.password_stdin => Ok(NewCredential::Password(secret::from_stdin()?)),
        _ if args.ask_password => Ok(NewCredential::Password(secret::ask_twice(args.name.as_str())?)),
        _ => Ok(NewCredential::Password(NewPassword::Generated)),
    }
}

fn contents<'a>(args: &UserAddArgs, certificate: bool, added: &'a UserAdded) -> Contents<'a> {
    let host = added.reach.host.clone();
    let identity = format!("user:{}", added.user.name);
    Contents {
        address: Address::new(identity, added.installation.clone(), host, added.reach.port),
        kind: args.bundle,
        chip: None,
        ca_pem: &added.ca_pem,
        installation_key_pem: added.installation_key_pem.as_deref(),
        certificate_pem: added.certificate_pem.as_deref(),
        has_key: certificate,
        first_topic: first_topic(args, added),
    }
}

/// Returns a topic below which a new user may publish, if its preset gives it one of its own.
fn first_topic(args: &UserAddArgs, added: &UserAdded) -> Option<String> {
    let own = args.topic.as_deref().unwrap_or(&added.user.name);
    (added.user.preset.as_deref() == Some("node-red")).then(|| format!("{own}/hello"))
}

fn tell_added(site: &Site, args: &UserAddArgs, added: &UserAdded, dir: Option<&Path>) -> String {
    let name = added.user.name.as_str();
    let mut text = format!("Added {}.\n", site.screen.paint().strong(&format!("user:{name}")));
    text.push_str(&tell_password(site, added.password.as_ref()));
    if let Some(dir) = dir {
        let _ = writeln!(text, "Bundle     {}", dir.display());
    }
    text.push_str(&notes(&added.notes));
    if !added.user.has_rights {
        text.push_str(&first_rule(site, name));
    }
    if args.plain || args.no_login {
        text.push_str(match args.no_login {
            true => "It is for clients without a login, where a listener says `anonymous_as`.\n",
            false => "It may log in on plain listeners, and with its password nowhere else.\n",
        });
        return text;
    }
    let login = login(site, args, added, dir);
    let _ = writeln!(
        text,
        "\nThen, to receive what it may:\n  {}",
        site.program.client_command(&format!("sub {login} -t '#'"))
    );
    text
}

/// Writes the flags with which `keyward sub` logs in as the new user.
fn login(site: &Site, args: &UserAddArgs, added: &UserAdded, dir: Option<&Path>) -> String {
    match dir {
        Some(dir) => contents(args, certificate(args).unwrap_or_default(), added).login(dir),
        None => format!(
            "--host {} --port {} --ca {} --user {} --password-file -",
            quote(&added.reach.host),
            added.reach.port,
            quote(&site.home.ca_pem().to_string_lossy()),
            added.user.name,
        ),
    }
}

/// Writes a rule to paste that gives a new user its first right, and the command that puts it in force.
fn first_rule(site: &Site, name: &str) -> String {
    let file = site.home.policy_dir().join(format!("{name}.toml"));
    format!(
        "\nIt can do nothing yet. For instance, to let it read every device's status, paste:\n\
         cat > {} <<'END'\n[[rule]]\nwho = \"user:{name}\"\nallow = [\"subscribe\"]\ntopics = [\"+/status\"]\nEND\n{}\n",
        quote(&file.to_string_lossy()),
        site.program.command("reload"),
    )
}

fn tell_password(site: &Site, password: Option<&Secret>) -> String {
    password
        .map(|password| {
            let shown = site.screen.paint().strong(password.expose());
            format!("Password   {shown}   (shown only now)\n")
        })
        .unwrap_or_default()
}

fn list(site: &Site) -> Outcome {
    site.show(&site.ask(Request::UserList)?, |response| match response {
        Response::Users(rows) if rows.is_empty() => {
            Some(format!("There are no users. Add one: {}\n", site.program.command("user add app")))
        }
        Response::Users(rows) => Some(listing(rows)),
        _ => None,
    })
}

fn listing(rows: &[UserRow]) -> String {
    let rows = rows.iter().map(|row| {
        [
            row.name.clone(),
            standing_since(row.standing, row.unconfirmed_since_unix_ms),
            row.links.map(|links| links.to_string()).unwrap_or_default(),
            row.client_ids.map(|ids| ids.to_string()).unwrap_or_default(),
            if row.plain { "plain" } else { "" }.to_owned(),
            rights(row),
            day(row.added_unix_ms),
            row.password_note.clone().unwrap_or_default(),
        ]
    });
    table(["name", "standing", "connections", "client ids", "mark", "rights", "added", "password"], rows)
}

/// Says what a user may do: a shared login is called what it is.
fn rights(row: &UserRow) -> String {
    match (row.preset.as_deref(), row.has_rights) {
        (Some(preset), _) if preset.split(',').next() == Some("home") => {
            format!("preset {preset}: a shared login, everything but $")
        }
        (Some(preset), _) => format!("preset {preset}"),
        (None, true) => "has some".to_owned(),
        (None, false) => "none: can do nothing".to_owned(),
    }
}

fn passwd(site: &Site, args: &UserPasswdArgs) -> Outcome {
    let name = args.name.to_string();
    let password = match (args.generate, args.password_stdin) {
        (true, _) => NewPassword::Generated,
        (_, true) => secret::from_stdin()?,
        _ => secret::ask_twice(&name)?,
    };
    site.show(&site.ask(Request::UserPasswd { name, password })?, |response| match response {
        Response::UserAdded(added) => Some(format!(
            "user:{} has a new password.\n{}{}",
            escape(&added.user.name),
            tell_password(site, added.password.as_ref()),
            notes(&added.notes)
        )),
        _ => None,
    })
}
