//! `keyward group`: groups whose members share a key for messages.

use crate::args::GroupCommand;
use crate::clock::day;
use crate::failure::{Failure, Outcome};
use crate::reach::Site;
use crate::screen::table;
use keyward_identity::files;
use keyward_ids::Identity;
use keyward_server::control::{GroupDetail, GroupRow, MemberRow, Request, Response};
use keyward_server::escape::escape;
use serde_json::json;
use std::path::Path;

/// Runs the command.
pub(crate) fn run(site: &Site, command: GroupCommand) -> Outcome {
    match command {
        GroupCommand::Create { name } => site.change(Request::GroupCreate { name: name.to_string() }),
        GroupCommand::Add { name, who } => {
            site.change(Request::GroupAdd { name: name.to_string(), who: texts(&who) })
        }
        GroupCommand::Remove { name, who } => {
            site.change(Request::GroupRemove { name: name.to_string(), who: texts(&who) })
        }
        GroupCommand::List => list(site),
        GroupCommand::Show { name } => {
            site.show(&site.ask(Request::GroupShow { name: name.to_string() })?, |response| match response {
                Response::Group(detail) => Some(shown(detail)),
                _ => None,
            })
        }
        GroupCommand::Rotate { name } => site.change(Request::GroupRotate { name: name.to_string() }),
        GroupCommand::Key { name, epoch, output } => {
            key(site, Request::GroupKey { name: name.to_string(), epoch }, &output)
        }
        GroupCommand::Delete { name } => site.change(Request::GroupDelete { name: name.to_string() }),
    }
}

fn texts(who: &[Identity]) -> Vec<String> {
    who.iter().map(ToString::to_string).collect()
}

fn list(site: &Site) -> Outcome {
    site.show(&site.ask(Request::GroupList)?, |response| match response {
        Response::Groups(rows) if rows.is_empty() => {
            Some(format!("There are no groups. Make one: {}\n", site.program.command("group create plant")))
        }
        Response::Groups(rows) => Some(listing(rows)),
        _ => None,
    })
}

fn listing(rows: &[GroupRow]) -> String {
    let rows = rows.iter().map(|row| {
        [
            row.name.clone(),
            row.members.to_string(),
            row.without_key.to_string(),
            row.epoch.to_string(),
            day(row.since_unix_ms),
        ]
    });
    table(["group", "members", "without key", "epoch", "since"], rows)
}

fn shown(detail: &GroupDetail) -> String {
    let GroupDetail { group, epochs, who, created_unix_ms } = detail;
    let mut text = format!("Group {}, made {}\n\n", escape(&group.name), day(*created_unix_ms));
    let rows = epochs.iter().map(|epoch| {
        let now = match (epoch.epoch == group.epoch, epoch.has_key) {
            (_, false) => "its key is not here",
            (true, true) => "members send with it",
            (false, true) => "members read with it",
        };
        [epoch.epoch.to_string(), day(epoch.since_unix_ms), now.to_owned()]
    });
    text.push_str(&table(["epoch", "since", "now"], rows));
    text.push('\n');
    let rows =
        who.iter().map(|member| [member.identity.clone(), member.since_epoch.to_string(), gets(member)]);
    match who.is_empty() {
        true => text.push_str("It has no members.\n"),
        false => text.push_str(&table(["member", "from epoch", "its keys are encrypted to"], rows)),
    }
    text
}

fn gets(member: &MemberRow) -> String {
    match (&member.key, &member.without) {
        (Some(kid), _) => kid.clone(),
        (None, why) => format!("nothing: {}", why.as_deref().unwrap_or_default()),
    }
}

/// Writes the key into a new file before anything is said.
fn key(site: &Site, request: Request, output: &Path) -> Outcome {
    if output.symlink_metadata().is_ok() {
        return Err(Failure::failed(format!("{}: is there already; give another file", output.display())));
    }
    let Response::GroupKey(answer) = site.ask(request)? else {
        return Err(Failure::failed("the broker gave another answer than was asked for"));
    };
    let text = zeroize::Zeroizing::new(format!("{}\n", answer.key.expose()));
    files::write_new(output, text.as_bytes())?;
    // The answer itself holds the key: it is not printed, in JSON neither.
    let said = json!({ "group": answer.group, "epoch": answer.epoch, "file": output });
    match site.screen.is_json() {
        true => site.screen.json("group_key", &said),
        false => site.screen.print(&format!(
            "The key of the group {}, epoch {}, is in {}. Whoever has it reads what members say in that epoch.\n",
            escape(&answer.group),
            answer.epoch,
            output.display()
        )),
    }
}
