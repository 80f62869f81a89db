//! `keyward import`: takes over users, rules and listeners of another broker, all of it or nothing, and takes back what was interrupted.

use crate::args::{ImportArgs, ImportCommand, SourceVersion};
use crate::clock::moment;
use crate::failure::{Failure, Outcome};
use crate::reach::{Site, counted};
use crate::screen::{harmless, table};
use keyward_ids::UserId;
use keyward_import::{Failed, Fate, Import, ImportError, Journal, Plan, TakenBack, Version, Wishes};
use keyward_server::admin;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Runs the command.
pub(crate) fn run(site: &Site, command: ImportCommand) -> Outcome {
    match command {
        ImportCommand::Mosquitto(args) => mosquitto(site, &args),
        ImportCommand::Undo => undo(site),
    }
}

fn mosquitto(site: &Site, args: &ImportArgs) -> Outcome {
    let wishes = Wishes {
        version: match args.version {
            SourceVersion::V2_0 => Version::V2_0,
            SourceVersion::V2_1 => Version::V2_1,
        },
        root: args.root.clone(),
        plain_from: args.plain_from.clone(),
        anonymous_as: args.anonymous_as.clone(),
        certificate_users: args.certificate_users.clone(),
    };
    let mut plan = Plan::of(&args.file, &wishes);
    let mut import = open(site)?;
    import.check(&mut plan)?;
    let interrupted = import.interrupted().cloned();
    let is_written = plan.refusals.is_empty() && !args.dry_run;
    if is_written {
        import.carry_out(&plan, &args.file.to_string_lossy())?;
    }
    report(site, args, &plan, is_written, interrupted.as_ref())?;
    if plan.refusals.is_empty() {
        return Ok(());
    }
    // For scripts the report says it.
    let what = if site.screen.is_json() { String::new() } else { refusal(&plan) };
    Err(Failure::refused(REFUSED, what))
}

fn open(site: &Site) -> Outcome<Import> {
    Ok(Import::open(&site.home, admin::open(&site.home, site.access())?)?)
}

/// The word for scripts.
const REFUSED: &str = "invalid";

fn refusal(plan: &Plan) -> String {
    format!("nothing was imported:\n{}", plan.refusals.join("\n"))
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Call { what, source } => {
                let failure = Self::from(source);
                Self::refused(failure.code, format!("{what}: {}", failure.what))
            }
            other => Self::failed(other),
        }
    }
}

impl From<Failed> for Failure {
    fn from(failed: Failed) -> Self {
        let (why, rest) = match failed {
            Failed::TakenBack(why) => (why, "nothing was imported".to_owned()),
            Failed::Left { why, left } => (why, still_there(&left)),
            Failed::Noted(why) => {
                (why, "all is imported; the same import again takes its note away".to_owned())
            }
        };
        let failure = Self::from(why);
        Self::refused(failure.code, format!("{}\n{rest}", failure.what))
    }
}

fn still_there(left: &[String]) -> String {
    format!(
        "this is still there, the rest was taken back:\n  {}\nmend that, then: keyward import undo",
        left.join("\n  ")
    )
}

/// Takes back what an interrupted import wrote.
fn undo(site: &Site) -> Outcome {
    let TakenBack { users, authorities, servers, rules, left } = open(site)?.undo()?;
    let refused = (!left.is_empty()).then(|| still_there(&left));
    if site.screen.is_json() {
        let value = json!({
            "users": users,
            "authorities": authorities,
            "server_certificates": servers,
            "rules": rules,
            "left": left,
        });
        let mut answer = serde_json::Map::new();
        answer.insert("import_undone".to_owned(), value);
        if let Some(what) = &refused {
            answer.insert("refused".to_owned(), json!({ "code": LEFT, "what": what }));
        }
        site.screen.object(answer)?;
        return if refused.is_none() { Ok(()) } else { Err(Failure::refused(LEFT, "")) };
    }
    site.screen.print(&format!(
        "Taken back: {}, {}{}.\n",
        counted(users, "user", "users"),
        counted(rules, "file of policy.d", "files of policy.d"),
        certificates(authorities, servers),
    ))?;
    match refused {
        None => Ok(()),
        Some(what) => Err(Failure::refused(LEFT, what)),
    }
}

/// The word for scripts, when something could not be taken back.
const LEFT: &str = "failed";

/// Counts certificates, where there are any.
fn certificates(authorities: usize, servers: usize) -> String {
    let mut text = String::new();
    for (number, one, many) in [
        (authorities, "trusted authority", "trusted authorities"),
        (servers, "server certificate", "server certificates"),
    ] {
        if number > 0 {
            let _ = write!(text, ", {}", counted(number, one, many));
        }
    }
    text
}

fn report(
    site: &Site,
    args: &ImportArgs,
    plan: &Plan,
    is_written: bool,
    interrupted: Option<&Journal>,
) -> Outcome {
    if site.screen.is_json() {
        let files: Vec<_> =
            plan.rules.iter().map(|file| json!({ "name": file.name, "text": file.text })).collect();
        let value = json!({
            "written": is_written,
            "interrupted": interrupted.map(|it| json!({ "source": it.source, "began_unix_ms": it.began_unix_ms })),
            "lines": plan.remarks,
            "refusals": plan.refusals,
            "users": plan.names().map(UserId::to_string).collect::<Vec<_>>(),
            "rules": files,
            "listeners": plan.listeners,
            "authorities": plan.authorities.iter().map(|it| {
                json!({ "name": it.trust.name, "proves": it.trust.proves, "subjects": it.subjects() })
            }).collect::<Vec<_>>(),
            "bound": plan.bound.iter().map(UserId::to_string).collect::<Vec<_>>(),
            "server_certificates": plan.servers.iter().map(|it| &it.name).collect::<Vec<_>>(),
            "next": plan.next,
            "new_passwords": new_passwords(site, plan).collect::<Vec<_>>(),
        });
        let mut answer = serde_json::Map::new();
        answer.insert("import".to_owned(), value);
        if !plan.refusals.is_empty() {
            answer.insert("refused".to_owned(), json!({ "code": REFUSED, "what": refusal(plan) }));
        }
        return site.screen.object(answer);
    }
    site.screen.print(&tell(site, args, plan, is_written, interrupted))
}

/// Returns a command for each password that may have been read on the network: it makes a new one and shows it once.
fn new_passwords<'a>(site: &'a Site, plan: &'a Plan) -> impl Iterator<Item = String> + 'a {
    plan.exposed.iter().map(|user| site.program.command(&format!("user passwd {user} --generate")))
}

fn tell(
    site: &Site,
    args: &ImportArgs,
    plan: &Plan,
    is_written: bool,
    interrupted: Option<&Journal>,
) -> String {
    let mut counts: BTreeMap<Fate, usize> = BTreeMap::new();
    for remark in &plan.remarks {
        *counts.entry(remark.fate).or_default() += 1;
    }
    let shown = plan.remarks.iter().filter(|remark| remark.fate != Fate::Comment);
    let rows = shown.map(|remark| {
        [remark.place.to_string(), remark.text.clone(), remark.fate.as_str().to_owned(), remark.what.clone()]
    });
    let mut text = table(["line", "says", "is", "remark"], rows);
    let counts: Vec<String> =
        counts.iter().map(|(fate, count)| format!("{count} {}", fate.as_str())).collect();
    let _ = writeln!(text, "\n{} lines: {}.", plan.remarks.len(), counts.join(", "));
    if !plan.refusals.is_empty() {
        return text;
    }
    let _ = writeln!(
        text,
        "{} {}, {}, {}{}.",
        if is_written { "Written:" } else { "Would be written:" },
        counted(plan.users.len(), "user", "users"),
        counted(plan.rules.len(), "file of policy.d", "files of policy.d"),
        counted(plan.listeners.matches("[[listener]]").count(), "listener", "listeners"),
        certificates(plan.authorities.len(), plan.servers.len()),
    );
    if let Some(Journal { source, began_unix_ms, .. }) = interrupted {
        let (source, began) = (harmless(source), moment(*began_unix_ms));
        let _ = match is_written {
            true => {
                writeln!(text, "With that the import of {source} is done that was interrupted ({began}).")
            }
            false => writeln!(
                text,
                "An import of {source} was interrupted here ({began}): the same import finishes it, keyward import undo takes it back."
            ),
        };
    }
    for next in &plan.next {
        let _ = writeln!(text, "  next: {}", harmless(next));
    }
    if is_written && !plan.exposed.is_empty() {
        text.push_str("A new password for each that may have been read:\n");
        for command in new_passwords(site, plan) {
            let _ = writeln!(text, "  {command}");
        }
    }
    if args.dry_run {
        text.push_str("Nothing was written (--dry-run).\n");
    }
    text
}
