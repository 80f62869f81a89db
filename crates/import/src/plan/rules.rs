//! An `acl_file` as files of `policy.d`: own rules of users decide first, then the patterns; in each, denials first.

use super::topics::{Placeholders, Translated, quoted, translate};
use super::{Names, Plan};
use keyward_ids::UserId;
use keyward_mosquitto::acl::{Access, Acl, Rule};
use keyward_mosquitto::conf::Settings;
use keyward_mosquitto::{Fate, Version};
use keyward_policy::{SourceFile, limits};
use std::fmt::Write;

/// The tier of users' own rules. Rules of yours (tier 10) come before.
const OWN: u8 = 30;
/// The tier of patterns.
const PATTERNS: u8 = 40;
/// The most bytes of a file, with room for one rule more.
const FILE_BYTES: usize = limits::MAX_FILE_BYTES * 3 / 4;

/// Says of whom rules speak.
pub(super) struct People {
    /// All that can log in with a name.
    named: Vec<UserId>,
    /// The user that clients without a login become.
    anonymous: Option<UserId>,
}

/// Says what is decided when a message is there, and not when it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Late {
    /// What an `acl_file` has decided late.
    SubscriptionsAndWills,
    /// What dynamic security has decided late.
    Wills,
}

impl People {
    /// Gathers everybody whom the files name.
    pub(super) fn of(
        names: &mut Names,
        plan: &mut Plan,
        acl: Option<&Acl>,
        anonymous: Option<&UserId>,
    ) -> Self {
        let mut named: Vec<UserId> = plan.users.iter().map(|user| user.name.clone()).collect();
        for (name, rules) in acl.iter().flat_map(|acl| &acl.users) {
            let place = rules.first().map(|rule| rule.place.clone());
            let place = place.unwrap_or(keyward_mosquitto::Place { file: "acl_file".to_owned(), line: 0 });
            if names.take(plan, name, &place).is_some() {
                named.extend(UserId::parse(name));
            }
        }
        named.sort();
        named.dedup();
        if let Some(taken) = anonymous.filter(|anonymous| named.contains(anonymous)) {
            let why = format!(
                "clients without a login would become the user {taken}, who is somebody: choose another name with --anonymous-as"
            );
            plan.refusals.push(why);
        }
        if let Some(anonymous) = anonymous {
            plan.users.push(super::NewUser { name: anonymous.clone(), hash: None });
        }
        Self { named, anonymous: anonymous.cloned() }
    }

    /// Returns the user that clients without a login become.
    pub(super) fn anonymous(&self) -> Option<&UserId> {
        self.anonymous.as_ref()
    }

    /// Returns all that can log in with a name.
    pub(super) fn named(&self) -> &[UserId] {
        &self.named
    }

    /// Returns everybody.
    fn all(&self) -> Vec<String> {
        let mut all = self.roles();
        all.extend(self.anonymous.iter().map(|name| format!("user:{name}")));
        all
    }

    fn roles(&self) -> Vec<String> {
        let count = self.named.len().div_ceil(limits::MAX_ROLE_MEMBERS);
        (1..=count).map(|number| format!("role:mosquitto-{number}")).collect()
    }

    /// Writes the file that says who everybody is, and what is decided late for them: wills, and subscriptions if `late` says so.
    pub(super) fn file(&self, late: Late) -> Option<SourceFile> {
        let all = self.all();
        if all.is_empty() {
            return None;
        }
        let mut text = String::from(
            "# Users that were imported from Mosquitto. Add a new one to a role and it has the patterns too.\n",
        );
        for (number, members) in (1..).zip(self.named.chunks(limits::MAX_ROLE_MEMBERS)) {
            let members: Vec<String> = members.iter().map(|name| quoted(&format!("user:{name}"))).collect();
            let _ =
                write!(text, "\n[roles.mosquitto-{number}]\nmembers = [\n  {},\n]\n", members.join(",\n  "));
        }
        let (why, what) = match late {
            Late::SubscriptionsAndWills => {
                ("grants every SUBSCRIBE and takes every will", "\"subscribe\", \"will\"")
            }
            Late::Wills => ("takes every will", "\"will\""),
        };
        let _ = write!(
            text,
            "\n# Mosquitto {why}, and decides when a message is there.\n\
             [[decide-late]]\nwho = {}\nwhat = [{what}]\n",
            list(&all)
        );
        Some(SourceFile::new("policy.d/mosquitto-users.toml", text))
    }
}

fn list(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("[{}]", words.join(", "))
}

/// Renders an `acl_file`; without one everything is allowed to everybody, but what begins with `$`.
pub(super) fn render(
    plan: &mut Plan,
    acl: Option<&Acl>,
    people: &People,
    settings: &Settings,
    version: Version,
) {
    plan.rules.extend(people.file(Late::SubscriptionsAndWills));
    let Some(acl) = acl else {
        let text = format!(
            "# Mosquitto had no acl_file: everybody who could log in could do everything.\ntier = {PATTERNS}\n\n\
             [[rule]]\nwho = {}\nallow = [\"publish\", \"subscribe\", \"share\"]\ntopics = [\"#\"]\n\
             note = \"As wide as Mosquitto was without an acl_file.\"\n",
            list(&people.all())
        );
        if !people.all().is_empty() {
            plan.rules.push(SourceFile::new("policy.d/mosquitto-everything.toml", text));
        }
        plan.next.push("there was no acl_file: everybody may do everything but $…; write rules and take mosquitto-everything.toml away".to_owned());
        return;
    };
    let mut own = Files::new("mosquitto-own", OWN, version);
    if let Some(anonymous) = &people.anonymous {
        own.person(plan, anonymous, &acl.anonymous);
    } else {
        for rule in &acl.anonymous {
            plan.amend(
                &rule.place,
                Fate::Carried,
                "speaks of clients without a user name only, and none gets in",
            );
        }
    }
    for name in &people.named {
        let rules = acl.users.iter().filter(|(user, _)| user == name.as_str()).flat_map(|(_, rules)| rules);
        own.person(plan, name, rules);
    }
    unholdable(plan, acl);
    plan.rules.extend(own.finish());
    let mut patterns = Files::new("mosquitto-patterns", PATTERNS, version);
    patterns.patterns(plan, acl, people, settings);
    plan.rules.extend(patterns.finish());
}

/// Remarks the rules of users that cannot be here.
fn unholdable(plan: &mut Plan, acl: &Acl) {
    for (name, rules) in &acl.users {
        if let Err(error) = UserId::parse(name) {
            for rule in rules {
                plan.amend(&rule.place, Fate::Unsupported, &format!("nobody has this name here: it {error}"));
            }
        }
    }
}

/// Writes rules into files of bounded size.
struct Files {
    name: &'static str,
    tier: u8,
    version: Version,
    texts: Vec<String>,
}

impl Files {
    fn new(name: &'static str, tier: u8, version: Version) -> Self {
        Self { name, tier, version, texts: Vec::new() }
    }

    fn finish(self) -> Vec<SourceFile> {
        let name = self.name;
        let named = |(number, text)| match number {
            1 => SourceFile::new(format!("policy.d/{name}.toml"), text),
            _ => SourceFile::new(format!("policy.d/{name}-{number}.toml"), text),
        };
        (1..).zip(self.texts).map(named).collect()
    }

    /// Adds the own rules of one user.
    fn person<'r>(&mut self, plan: &mut Plan, name: &UserId, rules: impl IntoIterator<Item = &'r Rule>) {
        let who = vec![format!("user:{name}")];
        let rules: Vec<&Rule> = rules.into_iter().collect();
        for access in [Access::Deny, Access::Read, Access::Write, Access::ReadWrite] {
            let of_access = rules.iter().filter(|rule| rule.access == access);
            let topics: Vec<_> = of_access
                .filter_map(|rule| Some((*rule, carry(plan, rule, Placeholders::None, false)?)))
                .collect();
            self.write(&who, access, &topics, false);
        }
    }

    fn patterns(&mut self, plan: &mut Plan, acl: &Acl, people: &People, settings: &Settings) {
        let same = settings.listeners.iter().filter(|listener| listener.username_as_clientid).count();
        let is_same = same == settings.listeners.len();
        let has_own = acl.users.iter().any(|(_, rules)| rules.iter().any(|rule| rule.access != Access::Deny));
        for access in [Access::Deny, Access::Read, Access::Write, Access::ReadWrite] {
            let (mut for_all, mut for_named) = (Vec::new(), Vec::new());
            for rule in acl.patterns.iter().filter(|rule| rule.access == access) {
                let kind = Placeholders::Of(self.version);
                let Some(carried) = carry(plan, rule, kind, is_same) else { continue };
                remark_pattern(plan, rule, &carried.filter, has_own);
                if carried.filter.names_client && same > 0 && !is_same {
                    let what = "the client id is the user name on some listeners only (use_username_as_clientid): here %c would be \
                                whatever the client says";
                    plan.amend(&rule.place, Fate::Refused, what);
                }
                if carried.filter.names_user { &mut for_named } else { &mut for_all }.push((rule, carried));
            }
            self.write(&people.all(), access, &for_all, true);
            // A client without a user name has no pattern with %u.
            self.write(&people.roles(), access, &for_named, true);
        }
    }

    fn write(&mut self, who: &[String], access: Access, topics: &[(&Rule, Carried)], is_pattern: bool) {
        if who.is_empty() {
            return;
        }
        // What may only be read of a `readwrite` is a rule of its own.
        for narrowed in [false, true] {
            let topics: Vec<_> =
                topics.iter().filter(|(_, carried)| carried.is_read_only == narrowed).collect();
            let effect = match access {
                Access::Deny => "deny = [\"publish\", \"subscribe\"]",
                Access::Write => "allow = [\"publish\"]",
                Access::ReadWrite if !narrowed => "allow = [\"publish\", \"subscribe\", \"share\"]",
                Access::Read | Access::ReadWrite => "allow = [\"subscribe\", \"share\"]",
            };
            for topics in topics.chunks(limits::MAX_TOPICS_PER_RULE) {
                let mut rule = format!("\n[[rule]]\nwho = {}\n{effect}\ntopics = [\n", list(who));
                for (source, carried) in topics {
                    let place = keyward_mosquitto::shown(&source.place.to_string());
                    let _ = writeln!(rule, "  {},  # {place}", quoted(&carried.filter.text));
                }
                rule.push_str("]\n");
                if is_pattern {
                    rule.push_str("plain_client_id = true\n");
                }
                self.append(&rule);
            }
        }
    }

    fn append(&mut self, rule: &str) {
        let is_full = self.texts.last().is_none_or(|text| text.len() + rule.len() > FILE_BYTES);
        if is_full {
            let version = if self.version == Version::V2_0 { "2.0" } else { "2.1" };
            let head = format!(
                "# Imported from an acl_file of Mosquitto {version}; behind each filter stands its line.\n"
            );
            self.texts.push(format!("{head}tier = {}\n", self.tier));
        }
        if let Some(text) = self.texts.last_mut() {
            text.push_str(rule);
        }
    }
}

/// Is a rule's filter as it is written here.
struct Carried {
    filter: Translated,
    /// Whether it may only be read, for nobody publishes there.
    is_read_only: bool,
}

/// Translates the filter of a rule, and remarks what becomes of its line.
fn carry(plan: &mut Plan, rule: &Rule, kind: Placeholders, is_same: bool) -> Option<Carried> {
    let filter = match translate(&rule.filter, kind, is_same) {
        Ok(filter) => filter,
        Err(why) => {
            let denies = rule.access == Access::Deny;
            let fate = if denies { Fate::Refused } else { Fate::Unsupported };
            plan.amend(&rule.place, fate, &why);
            return None;
        }
    };
    let is_reserved = rule.filter.starts_with('$');
    match rule.access {
        Access::Write if is_reserved => {
            plan.amend(&rule.place, Fate::Unsupported, "no client publishes to topics that begin with $");
            return None;
        }
        Access::ReadWrite if is_reserved => {
            plan.amend(
                &rule.place,
                Fate::Changed,
                "only reading: no client publishes to topics that begin with $",
            );
        }
        _ => {}
    }
    Some(Carried { filter, is_read_only: is_reserved && rule.access == Access::ReadWrite })
}

fn remark_pattern(plan: &mut Plan, rule: &Rule, filter: &Translated, has_own: bool) {
    if filter.is_partial {
        let what = "an id with / in it made several levels there; here such an id gets nothing of any pattern; 2.1 takes \
                    this literally: give --version 2.1 if that is what ran";
        plan.amend(&rule.place, Fate::Changed, what);
    } else if !filter.names_user && !filter.names_client {
        plan.amend(&rule.place, Fate::Carried, "names neither %c nor %u: it holds for everybody");
    }
    if filter.names_client {
        plan.amend(&rule.place, Fate::Weak, "a client chooses its client id: it proves nothing");
    }
    if rule.access == Access::Deny && has_own {
        plan.amend(
            &rule.place,
            Fate::Weak,
            "what a user's own `topic` lines allow comes before this, as there",
        );
    }
}
