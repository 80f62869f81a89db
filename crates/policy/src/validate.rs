//! From shapes to rules: what the words mean, and every error of a file instead of the first.

use crate::{
    Action, AppliedPreset,
    action::ActionSet,
    error::{Fault, PolicyError, line_and_column},
    file::{FileShape, LateShape, RoleShape, RuleShape, SignedShape, SourceFile, Words},
    late::{Late, LateSet},
    limits,
    rule::{Effect, Role, Rule, Tier, Who},
    signed::{Check, Signed},
    template::{Template, TemplateError},
};
use core::{fmt::Display, ops::Range, str::FromStr, time::Duration};
use keyward_ids::{Identity, RoleId};
use std::{collections::BTreeMap, sync::Arc};
use toml::Spanned;

/// Holds the roles of all files.
pub(crate) type Roles = BTreeMap<RoleId, Arc<Role>>;

/// Reads one file, noting its errors; what it returns counts only if none were noted.
pub(crate) struct Validator<'a> {
    pub(crate) file: &'a SourceFile,
    pub(crate) errors: &'a mut Vec<PolicyError>,
    /// Tells that every file could be read, so that a role nobody defined is an error.
    pub(crate) all_read: bool,
}

impl Validator<'_> {
    fn note(&mut self, fault: Fault, span: &Range<usize>) {
        if self.errors.len() < limits::MAX_ERRORS {
            self.errors.push(fault.at(&self.file.name, &self.file.text, span));
        }
    }

    /// Adds the roles of this file to those of the files before it.
    pub(crate) fn roles(&mut self, shape: &FileShape, roles: &mut Roles) {
        for (name, role) in &shape.roles {
            let id = match RoleId::parse(name.get_ref()) {
                Ok(id) => id,
                Err(error) => {
                    let fault = Fault::new("roles", "the name of a role", format!("it {error}"));
                    self.note(fault.given(name.get_ref()), &name.span());
                    continue;
                }
            };
            let role = Arc::new(self.role(role, &name.span()));
            if roles.insert(id, role).is_some() {
                let fault = Fault::new("roles", "each role once", "put all its members into one list");
                self.note(fault.given(name.get_ref()), &name.span());
            }
        }
    }

    fn role(&mut self, shape: &RoleShape, span: &Range<usize>) -> Role {
        let mut role = Role::default();
        self.at_most("members", limits::MAX_ROLE_MEMBERS, shape.members.len(), span);
        for member in &shape.members {
            match self.who("members", member.get_ref(), &member.span(), None) {
                Some(Who::Device(id)) => drop(role.identities.insert(Identity::Device(id))),
                Some(Who::User(id)) => drop(role.identities.insert(Identity::User(id))),
                Some(Who::Type(id)) => drop(role.types.insert(id)),
                Some(Who::Site(id)) => drop(role.sites.insert(id)),
                Some(_) | None => {}
            }
        }
        role
    }

    /// Returns the rules of this file.
    pub(crate) fn rules(&mut self, shape: &FileShape, roles: &Roles) -> Vec<Rule> {
        let tier = self.tier(shape.tier.as_ref());
        let file: Arc<str> = self.file.name.as_str().into();
        let mut rules = Vec::with_capacity(shape.rules.len());
        for spanned in &shape.rules {
            rules.extend(self.rule(spanned, &file, tier, roles));
        }
        rules
    }

    /// Returns which preset this file was made from, if it says so.
    pub(crate) fn preset(&mut self, shape: &FileShape) -> Option<AppliedPreset> {
        let preset = shape.preset.as_ref()?;
        let who = preset.who.get_ref().parse().map_err(|error| {
            let fault = Fault::new("who", "device:ID or user:NAME", format!("it {error}"));
            self.note(fault.given(preset.who.get_ref()), &preset.who.span());
        });
        Some(AppliedPreset::of_file(self.file, preset, who.ok()?))
    }

    fn tier(&mut self, given: Option<&Spanned<i64>>) -> Tier {
        let Some(given) = given else { return Tier(limits::DEFAULT_TIER) };
        match u8::try_from(*given.get_ref()) {
            Ok(tier) if limits::TIERS.contains(&tier) => Tier(tier),
            _ => {
                let expected = format!("{} to {}", limits::TIERS.start(), limits::TIERS.end());
                let help = "smaller tiers decide earlier; the built-in rules come after all";
                self.note(
                    Fault::new("tier", expected, help).given(&given.get_ref().to_string()),
                    &given.span(),
                );
                Tier(limits::DEFAULT_TIER)
            }
        }
    }

    fn rule(
        &mut self,
        spanned: &Spanned<RuleShape>,
        file: &Arc<str>,
        tier: Tier,
        roles: &Roles,
    ) -> Option<Rule> {
        let (shape, span) = (spanned.get_ref(), spanned.span());
        let who = self.whos(shape.who.as_ref(), &span, roles);
        let effect = self.effect(shape, &span);
        let topics = self.topics(shape.topics.as_ref(), &span, effect.as_ref());
        let note = self.note_of(shape.note.as_ref());
        let (effect, actions) = effect?;
        Some(Rule {
            file: Arc::clone(file),
            line: line_and_column(&self.file.text, span.start).0,
            tier,
            effect,
            actions,
            who: who.into(),
            topics: topics.into(),
            plain_client_id: shape.plain_client_id,
            note,
        })
    }

    fn note_of(&mut self, note: Option<&Spanned<String>>) -> Option<Box<str>> {
        let note = note?;
        self.at_most("note", limits::MAX_NOTE_BYTES, note.get_ref().len(), &note.span());
        Some(note.get_ref().as_str().into())
    }

    /// Returns what this file decides late.
    pub(crate) fn late(&mut self, shape: &FileShape, roles: &Roles) -> Vec<Late> {
        // A wrong tier was noted with the rules.
        let tier = shape.tier.as_ref().and_then(|tier| u8::try_from(*tier.get_ref()).ok());
        let tier = Tier(tier.unwrap_or(limits::DEFAULT_TIER));
        let file: Arc<str> = self.file.name.as_str().into();
        shape.late.iter().map(|spanned| self.late_one(spanned, &file, tier, roles)).collect()
    }

    fn late_one(&mut self, spanned: &Spanned<LateShape>, file: &Arc<str>, tier: Tier, roles: &Roles) -> Late {
        let (shape, span) = (spanned.get_ref(), spanned.span());
        let who = self.whos(shape.who.as_ref(), &span, roles);
        let mut what = LateSet::default();
        for (word, span) in self.words("what", shape.what.as_ref(), &span, LateSet::WORDS.len(), LATE_HELP) {
            if !what.insert(word) {
                self.note(
                    Fault::new("what", "something that can be decided late", LATE_HELP).given(word),
                    &span,
                );
            }
        }
        Late {
            file: Arc::clone(file),
            line: line_and_column(&self.file.text, span.start).0,
            tier,
            who: who.into(),
            what,
            note: self.note_of(shape.note.as_ref()),
        }
    }

    /// Returns what this file demands of signatures.
    pub(crate) fn signed(&mut self, shape: &FileShape, roles: &Roles) -> Vec<Signed> {
        // A wrong tier was noted with the rules.
        let tier = shape.tier.as_ref().and_then(|tier| u8::try_from(*tier.get_ref()).ok());
        let tier = Tier(tier.unwrap_or(limits::DEFAULT_TIER));
        let file: Arc<str> = self.file.name.as_str().into();
        shape.signed.iter().map(|spanned| self.signed_one(spanned, &file, tier, roles)).collect()
    }

    fn signed_one(
        &mut self,
        spanned: &Spanned<SignedShape>,
        file: &Arc<str>,
        tier: Tier,
        roles: &Roles,
    ) -> Signed {
        let (shape, span) = (spanned.get_ref(), spanned.span());
        Signed {
            file: Arc::clone(file),
            line: line_and_column(&self.file.text, span.start).0,
            tier,
            who: self.whos(shape.who.as_ref(), &span, roles).into(),
            topics: self.topics(shape.topics.as_ref(), &span, None).into(),
            check: self.check(shape.check.as_ref(), &span),
            level: self.level(shape.level.as_ref()),
            max_offline: self.max_offline(shape.max_offline.as_ref()),
            note: self.note_of(shape.note.as_ref()),
        }
    }

    fn check(&mut self, given: Option<&Spanned<String>>, rule: &Range<usize>) -> Check {
        let word = given.map_or("", |given| given.get_ref());
        let found = Check::ALL.into_iter().find(|check| check.as_str() == word);
        if found.is_none() {
            let span = given.map_or(rule.clone(), Spanned::span);
            let fault = Fault::new("check", "off, observe or require", CHECK_HELP);
            self.note(fault.given(word), &span);
        }
        // What was noted is not loaded.
        found.unwrap_or(Check::Require)
    }

    fn level(&mut self, given: Option<&Spanned<i64>>) -> u8 {
        let Some(given) = given else { return 0 };
        let level = u8::try_from(*given.get_ref()).ok().filter(|level| *level <= limits::MAX_KEY_LEVEL);
        level.unwrap_or_else(|| {
            let fault = Fault::new("level", format!("0 to {}", limits::MAX_KEY_LEVEL), LEVEL_HELP);
            self.note(fault.given(&given.get_ref().to_string()), &given.span());
            limits::MAX_KEY_LEVEL
        })
    }

    fn max_offline(&mut self, given: Option<&Spanned<String>>) -> Duration {
        let Some(given) = given else { return Duration::from_secs(limits::DEFAULT_MAX_OFFLINE_SECONDS) };
        let longest = limits::MAX_OFFLINE_SECONDS;
        let seconds = seconds(given.get_ref()).filter(|seconds| (1..=longest).contains(seconds));
        if seconds.is_none() {
            let expected = format!("1s to {}d", longest / 86_400);
            let fault = Fault::new("max_offline", expected, "write a number and s, m, h or d: \"7d\"");
            self.note(fault.given(given.get_ref()), &given.span());
        }
        Duration::from_secs(seconds.unwrap_or(0))
    }

    fn whos(&mut self, value: Option<&Spanned<Words>>, rule: &Range<usize>, roles: &Roles) -> Vec<Who> {
        let words = self.words("who", value, rule, limits::MAX_WHO_PER_RULE, WHO_HELP);
        words.iter().filter_map(|(word, span)| self.who("who", word, span, Some(roles))).collect()
    }

    /// Reads one principal or set of principals; `roles` is `None` where sets of all and roles may not stand.
    fn who(&mut self, key: &str, word: &str, span: &Range<usize>, roles: Option<&Roles>) -> Option<Who> {
        match (word, roles) {
            ("devices", Some(_)) => return Some(Who::Devices),
            ("named-devices", Some(_)) => return Some(Who::NamedDevices),
            ("users", Some(_)) => return Some(Who::Users),
            ("all", Some(_)) => return Some(Who::All),
            _ => {}
        }
        match (word.split_once(':'), roles) {
            (Some(("device", name)), _) => self.named(key, name, span).map(Who::Device),
            (Some(("user", name)), _) => self.named(key, name, span).map(Who::User),
            (Some(("type", name)), _) => self.named(key, name, span).map(Who::Type),
            (Some(("site", name)), _) => self.named(key, name, span).map(Who::Site),
            (Some(("role", name)), Some(roles)) => {
                let id: RoleId = self.named(key, name, span)?;
                let role = roles.get(&id).map(Arc::clone);
                if role.is_none() && self.all_read {
                    let known: Vec<_> = roles.keys().map(RoleId::as_str).collect();
                    let help = match known.is_empty() {
                        true => format!("no file defines a role; write [roles.{id}] members = [...]"),
                        false => format!("defined are: {}", known.join(", ")),
                    };
                    self.note(Fault::new(key, "a role that is defined", help).given(word), span);
                }
                role.map(|role| Who::Role(id, role))
            }
            _ => {
                let help = if roles.is_some() { WHO_HELP } else { MEMBERS_HELP };
                self.note(Fault::new(key, "a principal or a set of them", help).given(word), span);
                None
            }
        }
    }

    fn named<T: FromStr<Err: Display>>(&mut self, key: &str, name: &str, span: &Range<usize>) -> Option<T> {
        let parsed = name.parse().map_err(|error: T::Err| {
            let help = format!("what follows the colon {error}");
            self.note(Fault::new(key, "a name", help).given(name), span);
        });
        parsed.ok()
    }

    fn effect(&mut self, shape: &RuleShape, span: &Range<usize>) -> Option<(Effect, ActionSet)> {
        let (effect, key, value) = match (&shape.allow, &shape.deny) {
            (Some(actions), None) => (Effect::Allow, "allow", actions),
            (None, Some(actions)) => (Effect::Deny, "deny", actions),
            (given, _) => {
                let help = if given.is_some() { "make two rules of it" } else { ACTION_HELP };
                let span = shape.deny.as_ref().map_or(span.clone(), Spanned::span);
                self.note(Fault::new("allow", "either allow or deny", help), &span);
                return None;
            }
        };
        let mut actions = ActionSet::default();
        for (word, span) in self.words(key, Some(value), span, Action::ALL.len(), ACTION_HELP) {
            match Action::from_word(word) {
                Some(action) => actions.insert(action),
                None => self.note(Fault::new(key, "an action", ACTION_HELP).given(word), &span),
            }
        }
        Some((effect, actions))
    }

    fn topics(
        &mut self,
        value: Option<&Spanned<Words>>,
        rule: &Range<usize>,
        effect: Option<&(Effect, ActionSet)>,
    ) -> Vec<Template> {
        let publishes = effect
            .is_some_and(|(effect, actions)| *effect == Effect::Allow && actions.contains(Action::Publish));
        let mut topics = Vec::new();
        for (word, span) in self.words("topics", value, rule, limits::MAX_TOPICS_PER_RULE, TOPICS_HELP) {
            match Template::parse(word) {
                Ok(template) if template.is_reserved() && publishes => {
                    let help = "take `publish` out or make another rule for this filter";
                    let expected = "no `$` topic beside `publish`: clients publish to none";
                    self.note(Fault::new("topics", expected, help).given(word), &span);
                }
                Ok(template) => topics.push(template),
                Err(error) => self.note(template_fault(&error).given(word), &span),
            }
        }
        topics
    }

    /// Returns the words of a list that must be there and hold 1 to `most` of them.
    fn words<'s>(
        &mut self,
        key: &str,
        value: Option<&'s Spanned<Words>>,
        rule: &Range<usize>,
        most: usize,
        help: &str,
    ) -> Vec<(&'s str, Range<usize>)> {
        let words = value.map(Words::each).unwrap_or_default();
        let span = value.map_or(rule.clone(), Spanned::span);
        if words.is_empty() {
            self.note(Fault::new(key, "at least one text", help), &span);
        }
        self.at_most(key, most, words.len(), &span);
        words
    }

    fn at_most(&mut self, key: &str, most: usize, given: usize, span: &Range<usize>) {
        if given > most {
            let unit = if key == "note" { "bytes" } else { "entries" };
            let fault = Fault::new(key, format!("at most {most} {unit}"), "split the rule or use a role");
            self.note(fault.given(&given.to_string()), span);
        }
    }
}

const WHO_HELP: &str =
    "write device:ID, user:NAME, type:T, site:S, role:R, devices, named-devices, users or all";
const MEMBERS_HELP: &str = "write user:NAME, device:ID, type:T or site:S";
const ACTION_HELP: &str = "write publish, subscribe, receive or share";
const LATE_HELP: &str = "write subscribe, will or both";
const CHECK_HELP: &str = "off looks at nothing, observe marks what is signed, require refuses what is not";
const LEVEL_HELP: &str = "0 a key in a file, 1 sealed, 2 in hardware, 3 in hardware that vouched for it";
const TOPICS_HELP: &str = "write topic filters, such as {id}/status";

/// Reads a span of time: a number and one of `s`, `m`, `h`, `d`.
fn seconds(text: &str) -> Option<u64> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let number = text.get(..text.len() - 1).filter(|number| number.bytes().all(|b| b.is_ascii_digit()))?;
    number.parse::<u64>().ok()?.checked_mul(unit)
}

fn template_fault(error: &TemplateError) -> Fault {
    let (expected, help) = match error {
        TemplateError::Topic(error) => ("a topic filter".to_owned(), format!("it {error}")),
        TemplateError::TooLong(len) => {
            (format!("at most {} bytes", limits::MAX_FILTER_BYTES), format!("it has {len}; shorten it"))
        }
        TemplateError::TooManyLevels(levels) => (
            format!("at most {} levels", limits::MAX_FILTER_LEVELS),
            format!("it has {levels}; end it earlier with #"),
        ),
        TemplateError::LoneBrace => (
            "braces in pairs".to_owned(),
            "write {id}, {user}, {type}, {site} or {client}, within one level; a brace that is meant is doubled: {{ or }}"
                .to_owned(),
        ),
        TemplateError::UnknownPlaceholder(name) => (
            "{id}, {user}, {type}, {site} or {client}".to_owned(),
            format!("there is no {{{name}}}; a brace that is meant is doubled: {{{{ or }}}}"),
        ),
        TemplateError::ReservedWordHoldsPlaceholder => (
            "a first level that is literal if it begins with $".to_owned(),
            "write the whole $ word".to_owned(),
        ),
        TemplateError::Share => (
            "the filter without $share/GROUP/".to_owned(),
            "allow `share` beside `subscribe` to let someone join shared subscriptions".to_owned(),
        ),
    };
    Fault::new("topics", expected, help)
}
