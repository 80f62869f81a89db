//! `keyward import`: takes over users, rules and listeners of another broker, all of it or nothing.

use crate::args::{ImportArgs, ImportCommand, SourceVersion};
use crate::failure::{Failure, Outcome};
use crate::reach::{Site, counted, unexpected};
use crate::screen::{harmless, table};
use keyward_identity::files;
use keyward_ids::UserId;
use keyward_import::{Fate, Plan, Version, Wishes};
use keyward_policy::{Policy, SourceFile};
use keyward_server::admin::{self, Operator};
use keyward_server::config::Config;
use keyward_server::control::{
    AuthorityBind, Der, NewCredential, NewPassword, Proves, Request, Response, Secret,
    ServerCertificateImport, UserAdd,
};
use keyward_server::home::Home;
use keyward_server::{installation, rules::Rules};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

/// Runs the command.
pub(crate) fn run(site: &Site, command: ImportCommand) -> Outcome {
    let ImportCommand::Mosquitto(args) = command;
    let wishes = Wishes {
        version: match args.version {
            SourceVersion::V2_0 => Version::V2_0,
            SourceVersion::V2_1 => Version::V2_1,
        },
        plain_from: args.plain_from.clone(),
        anonymous_as: args.anonymous_as.clone(),
        certificate_users: args.certificate_users.clone(),
    };
    let mut plan = Plan::of(&args.file, &wishes);
    let mut importing = Importing::begin(site, &mut plan)?;
    let is_written = plan.refusals.is_empty() && !args.dry_run;
    if is_written {
        importing.carry_out(&plan)?;
    }
    report(site, &args, &plan, is_written)?;
    if plan.refusals.is_empty() {
        return Ok(());
    }
    // For scripts the report says it.
    let what = if site.screen.is_json() { String::new() } else { refusal(&plan) };
    Err(Failure::refused(REFUSED, what))
}

/// The word for scripts.
const REFUSED: &str = "invalid";

fn refusal(plan: &Plan) -> String {
    format!("nothing was imported:\n{}", plan.refusals.join("\n"))
}

/// Holds an installation into which something is imported.
struct Importing {
    home: Home,
    operator: Operator,
    /// `keyward.toml` as it is, and as it will be.
    config: (String, String),
}

impl Importing {
    /// Opens the installation and checks that the plan fits into it; what does not is added to its refusals.
    fn begin(site: &Site, plan: &mut Plan) -> Outcome<Self> {
        let mut operator = admin::open(&site.home, site.access())?;
        let Response::Users(existing) = operator.call(Request::UserList)? else { return Err(unexpected()) };
        let taken: Vec<String> = plan
            .names()
            .filter(|name| existing.iter().any(|row| row.name.eq_ignore_ascii_case(name.as_str())))
            .map(UserId::to_string)
            .collect();
        if !taken.is_empty() {
            let why = "these users are here already; rename them there or remove them here";
            plan.refusals.push(format!("{why}: {}", taken.join(", ")));
        }
        check_certificates(&mut operator, plan)?;
        check_rules(&site.home, plan)?;
        let (_, before) = installation::settings(&site.home).map_err(Failure::failed)?;
        let after = configuration(&before, plan);
        Ok(Self { home: site.home.clone(), operator, config: (before, after) })
    }

    /// Puts the plan into effect. Whatever fails, what was written before is taken back.
    fn carry_out(&mut self, plan: &Plan) -> Outcome {
        let mut undo = Undo::default();
        let Err(failure) = self.write(plan, &mut undo) else { return Ok(()) };
        let left = self.take_back(undo);
        if left.is_empty() {
            return Err(Failure::refused(failure.code, format!("{}\nnothing was imported", failure.what)));
        }
        let left = left.join("\n  ");
        let what =
            format!("{}\nwhat was written before was taken back, but for this:\n  {left}", failure.what);
        Err(Failure::refused(failure.code, what))
    }

    fn write(&mut self, plan: &Plan, undo: &mut Undo) -> Outcome {
        // Users come first: without rules they may do nothing.
        for user in &plan.users {
            let credential = match &user.hash {
                Some(hash) => NewCredential::Password(NewPassword::Imported(Secret::new(hash.to_string()))),
                // Only clients without a login become it.
                None => NewCredential::None,
            };
            let add = UserAdd {
                name: user.name.to_string(),
                credential,
                preset: None,
                allow_overlap: false,
                plain: false,
            };
            self.operator.call(Request::UserAdd(add)).map_err(|error| {
                let failure = Failure::from(error);
                Failure::refused(failure.code, format!("user {}: {}", user.name, failure.what))
            })?;
            undo.users.push(user.name.clone());
        }
        self.write_certificates(plan, undo)?;
        for file in &plan.rules {
            let path = self.home.directory().join(&file.name);
            files::write_new(&path, file.text.as_bytes()).map_err(Failure::failed)?;
            undo.files.push(path);
        }
        undo.config = true;
        files::replace(&self.home.config_file(), self.config.1.as_bytes()).map_err(Failure::failed)?;
        self.operator.call(Request::Reload)?;
        Ok(())
    }

    fn write_certificates(&mut self, plan: &Plan, undo: &mut Undo) -> Outcome {
        for authority in &plan.authorities {
            let trust = &authority.trust;
            self.operator.call(Request::AuthorityTrustAdd(trust.clone()))?;
            undo.authorities.push(trust.name.clone());
            let bound: &[UserId] = if trust.proves == Proves::CommonName { &plan.bound } else { &[] };
            for user in bound {
                let bind = AuthorityBind {
                    name: trust.name.clone(),
                    identity: format!("user:{user}"),
                    common_name: None,
                    certificate: None,
                };
                self.operator.call(Request::AuthorityTrustBind(bind))?;
            }
        }
        for server in &plan.servers {
            let (name, chain) = (server.name.clone(), Der(server.chain.clone()));
            let key = Secret::new(server.key.to_string());
            let import = ServerCertificateImport { name: name.clone(), chain, key };
            self.operator.call(Request::ServerCertificateImport(import))?;
            undo.servers.push(name);
        }
        Ok(())
    }

    /// Takes back what an import has written. Returns what is left, and why.
    fn take_back(&mut self, undo: Undo) -> Vec<String> {
        let mut left = Vec::new();
        if undo.config
            && let Err(error) = files::replace(&self.home.config_file(), self.config.0.as_bytes())
        {
            left.push(format!("the listeners: {error}"));
        }
        for path in undo.files {
            if let Err(error) = std::fs::remove_file(&path) {
                left.push(format!("{}: {error}", path.display()));
            }
        }
        let servers = undo.servers.into_iter().map(|name| {
            (format!("the server certificate {name}"), Request::ServerCertificateRemove { name })
        });
        let authorities = undo
            .authorities
            .into_iter()
            .map(|name| (format!("the trusted authority {name}"), Request::AuthorityTrustRemove { name }));
        let users = undo
            .users
            .into_iter()
            .map(|name| (format!("the user {name}"), Request::UserRemove { name: name.to_string() }));
        let reload = (undo.config).then(|| ("what the broker holds".to_owned(), Request::Reload));
        for (what, request) in servers.chain(authorities).chain(users).chain(reload) {
            if let Err(error) = self.operator.call(request) {
                left.push(format!("{what}: {}", Failure::from(error).what));
            }
        }
        left
    }
}

/// Says what an import has written so far.
#[derive(Default)]
struct Undo {
    users: Vec<UserId>,
    authorities: Vec<String>,
    servers: Vec<String>,
    files: Vec<PathBuf>,
    config: bool,
}

/// Refuses names of certificates that are taken: what is there would be replaced.
fn check_certificates(operator: &mut Operator, plan: &mut Plan) -> Outcome {
    let Response::TrustedAuthorities(trusted) = operator.call(Request::AuthorityTrustList)? else {
        return Err(unexpected());
    };
    let Response::ServerCertificates(shown) = operator.call(Request::ServerCertificateList)? else {
        return Err(unexpected());
    };
    let authorities = plan.authorities.iter().map(|authority| &authority.trust.name);
    let authorities = authorities.filter(|name| trusted.iter().any(|row| row.name == **name));
    let servers = plan.servers.iter().map(|server| &server.name);
    let servers = servers.filter(|name| shown.iter().any(|row| row.name == **name));
    let taken = authorities
        .map(|name| {
            format!("a trusted authority {name} is here already: keyward authority trust remove {name}")
        })
        .chain(servers.map(|name| {
            format!("a server certificate {name} is here already: keyward server certificate remove {name}")
        }));
    let taken: Vec<String> = taken.collect();
    plan.refusals.extend(taken);
    Ok(())
}

/// Loads the rules that are there together with those of the plan.
fn check_rules(home: &Home, plan: &mut Plan) -> Outcome {
    let Rules { mut files, .. } = Rules::load(home).map_err(Failure::failed)?;
    let taken: Vec<&str> = plan
        .rules
        .iter()
        .map(|file| file.name.as_str())
        .filter(|name| files.iter().any(|file| file.name == *name))
        .collect();
    if !taken.is_empty() {
        plan.refusals.push(format!("these files are there already: {}", taken.join(", ")));
        return Ok(());
    }
    files.extend(plan.rules.iter().map(|file| SourceFile::new(file.name.clone(), file.text.clone())));
    if let Err(errors) = Policy::load(&files) {
        plan.refusals.push(format!("the rules do not load: {errors}"));
    }
    Ok(())
}

/// Returns `keyward.toml` with the listeners of the plan. Where it names none, the default one is written out: it stays open,
/// unless its port is taken.
fn configuration(before: &str, plan: &mut Plan) -> String {
    let mut after = before.to_owned();
    let names_none = !before.lines().any(|line| line.trim_start().starts_with("[[listener]]"));
    if names_none && !plan.ports.contains(&keyward_server::config::MQTTS_PORT) {
        let port = keyward_server::config::MQTTS_PORT;
        let _ = write!(after, "\n[[listener]]\nname = \"mqtts\"\nport = {port}\n");
    }
    after.push_str(&plan.listeners);
    if let Err(errors) = Config::parse("keyward.toml", &after) {
        plan.refusals.push(format!("the listeners do not fit into keyward.toml: {errors}"));
    }
    after
}

fn report(site: &Site, args: &ImportArgs, plan: &Plan, is_written: bool) -> Outcome {
    if site.screen.is_json() {
        let files: Vec<_> =
            plan.rules.iter().map(|file| json!({ "name": file.name, "text": file.text })).collect();
        let value = json!({
            "written": is_written,
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
        });
        let mut answer = serde_json::Map::new();
        answer.insert("import".to_owned(), value);
        if !plan.refusals.is_empty() {
            answer.insert("refused".to_owned(), json!({ "code": REFUSED, "what": refusal(plan) }));
        }
        return site.screen.object(answer);
    }
    site.screen.print(&tell(args, plan, is_written))
}

fn tell(args: &ImportArgs, plan: &Plan, is_written: bool) -> String {
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
    let mut certificates = String::new();
    for (number, one, many) in [
        (plan.authorities.len(), "trusted authority", "trusted authorities"),
        (plan.servers.len(), "server certificate", "server certificates"),
    ] {
        if number > 0 {
            let _ = write!(certificates, ", {}", counted(number, one, many));
        }
    }
    let _ = writeln!(
        text,
        "{} {}, {}, {}{certificates}.",
        if is_written { "Written:" } else { "Would be written:" },
        counted(plan.users.len(), "user", "users"),
        counted(plan.rules.len(), "file of policy.d", "files of policy.d"),
        counted(plan.listeners.matches("[[listener]]").count(), "listener", "listeners"),
    );
    for next in &plan.next {
        let _ = writeln!(text, "  next: {}", harmless(next));
    }
    if args.dry_run {
        text.push_str("Nothing was written (--dry-run).\n");
    }
    text
}
