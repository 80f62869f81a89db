//! All rules of one generation, as one immutable value.

use crate::{
    AppliedPreset, Placeholder, PolicyErrors, Rights, RuleRef, SourceFile, Subject, Unresolved,
    client::Resolved,
    error::{Fault, PolicyError},
    file::{self, FileShape},
    late::{Late, Lateness},
    limits,
    rights::Provision,
    rule::{Rule, Tier},
    signed::{Check, Demands, Signed},
    validate::{Roles, Validator},
};
use core::time::Duration;
use keyward_ids::Identity;
use std::sync::Arc;

const BUILT_IN_NAME: &str = "built-in";
const BUILT_IN_TEXT: &str = include_str!("built_in.toml");

const QUARANTINE_NAME: &str = "quarantine";
const QUARANTINE_TEXT: &str = include_str!("quarantine.toml");

/// Holds every rule and role. Immutable: a reload makes another one, and whoever holds this one decides by it
/// alone (one decision is never made by two generations).
#[derive(Debug, Clone, Default)]
pub struct Policy {
    rules: Vec<Arc<Rule>>,
    /// What holds for devices in quarantine, in the place of all else. Without it they may do nothing.
    quarantine: Vec<Arc<Rule>>,
    late: Vec<Arc<Late>>,
    signed: Vec<Arc<Signed>>,
    presets: Vec<AppliedPreset>,
}

/// Is what stands in files.
#[derive(Default)]
struct Loaded {
    rules: Vec<Rule>,
    late: Vec<Late>,
    signed: Vec<Signed>,
    presets: Vec<AppliedPreset>,
}

impl Policy {
    /// Loads the built-in rules and those of `files`, all or nothing.
    ///
    /// # Errors
    /// [`PolicyErrors`] lists what is wrong in all files; the caller keeps the policy that it has.
    pub fn load(files: &[SourceFile]) -> Result<Self, PolicyErrors> {
        let mut errors = Vec::new();
        let built_in = SourceFile::new(BUILT_IN_NAME, BUILT_IN_TEXT);
        let Loaded { mut rules, late, signed, presets } = load_files(files, &mut errors);
        for mut rule in load_files(&[built_in], &mut errors).rules {
            rule.tier = Tier::BUILT_IN;
            rules.push(rule);
        }
        let quarantine = quarantine_rules(&mut errors);
        if !errors.is_empty() {
            return Err(PolicyErrors::in_order(errors));
        }
        let late = late.into_iter().map(Arc::new).collect();
        let signed = signed.into_iter().map(Arc::new).collect();
        Ok(Self { rules: rules.into_iter().map(Arc::new).collect(), quarantine, late, signed, presets })
    }

    /// Returns the policy without any file: devices have their own topics, users nothing.
    pub fn builtin() -> Self {
        // Our own text is loaded by a test; were it wrong, the empty policy denies everything.
        Self::load(&[]).unwrap_or_default()
    }

    /// Compiles what applies to one subject.
    pub fn rights(&self, subject: &Subject) -> Rights {
        let demands = Demands::of(&self.signed, subject);
        if subject.quarantined {
            return Rights::of_quarantine(provisions(&self.quarantine, subject), demands);
        }
        let late = Lateness::of(&self.late, subject);
        Rights::new(provisions(&self.rules, subject), late, demands)
    }

    /// Returns this policy with the rules of one file more, which names no roles, decides nothing late and demands no
    /// signatures.
    ///
    /// # Errors
    /// [`PolicyErrors`] lists what is wrong in the file. The bounds of all files together are not looked at.
    pub fn with_file(&self, file: &SourceFile) -> Result<Self, PolicyErrors> {
        let mut errors = Vec::new();
        let added = load_files(core::slice::from_ref(file), &mut errors);
        if !errors.is_empty() {
            return Err(PolicyErrors::in_order(errors));
        }
        let rules = added.rules.into_iter().map(Arc::new).chain(self.rules.iter().cloned()).collect();
        let presets = added.presets.into_iter().chain(self.presets.iter().cloned()).collect();
        let (quarantine, late) = (self.quarantine.clone(), self.late.clone());
        Ok(Self { rules, quarantine, late, signed: self.signed.clone(), presets })
    }

    /// Returns this policy without the rules of one file.
    #[must_use]
    pub fn without_file(&self, name: &str) -> Self {
        Self {
            rules: self.rules.iter().filter(|rule| &*rule.file != name).cloned().collect(),
            quarantine: self.quarantine.clone(),
            late: self.late.iter().filter(|late| &*late.file != name).cloned().collect(),
            signed: self.signed.iter().filter(|signed| &*signed.file != name).cloned().collect(),
            presets: self.presets.iter().filter(|preset| preset.file != name).cloned().collect(),
        }
    }

    /// Returns the preset files that are in force, in the order of their names.
    pub fn presets(&self) -> &[AppliedPreset] {
        &self.presets
    }

    /// Returns the preset of an account, if a file in force says that it has one.
    pub fn preset_of(&self, identity: &Identity) -> Option<&AppliedPreset> {
        self.presets.iter().find(|preset| preset.who == *identity)
    }

    /// Points at each `[[decide-late]]` of the files, in their order.
    pub fn decided_late(&self) -> impl Iterator<Item = RuleRef<'_>> {
        self.late.iter().map(|late| RuleRef::of_late(late))
    }

    /// Points at each `[[signed]]` of the files that requires signatures, in their order.
    pub fn required_signatures(&self) -> impl Iterator<Item = RuleRef<'_>> {
        let required = self.signed.iter().filter(|signed| signed.check == Check::Require);
        required.filter_map(|signed| RuleRef::of_signed(signed, 0))
    }

    /// Counts the rules that stand in files; the built-in ones are not among them.
    pub fn written_rules(&self) -> usize {
        self.rules.iter().filter(|rule| rule.tier != Tier::BUILT_IN).count()
    }

    /// Returns how many rules the files hold; the built-in ones do not count.
    pub fn rule_count(&self) -> usize {
        self.rules.iter().filter(|rule| rule.tier != Tier::BUILT_IN).count()
    }

    /// Returns how old a signed message may be at most, wherever one is looked at: the longest `max_offline`, and its default where no file
    /// asks for signatures.
    pub fn longest_offline(&self) -> Duration {
        let longest = self.signed.iter().map(|signed| signed.max_offline).max();
        longest.unwrap_or(Duration::from_secs(limits::DEFAULT_MAX_OFFLINE_SECONDS))
    }

    /// Returns the text of the built-in rules, as a file that could have been written by hand.
    pub fn built_in_text() -> &'static str {
        BUILT_IN_TEXT
    }

    pub(crate) fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.rules.iter()
    }

    pub(crate) fn signed(&self) -> impl Iterator<Item = &Arc<Signed>> {
        self.signed.iter()
    }

    pub(crate) fn late(&self) -> impl Iterator<Item = &Arc<Late>> {
        self.late.iter()
    }

    /// Returns each filter of a rule that speaks of `subject` and cannot be resolved for it with this client id.
    pub(crate) fn not_applying<'a>(
        &'a self,
        subject: &'a Subject,
        client: Option<&'a str>,
    ) -> impl Iterator<Item = (RuleRef<'a>, Unresolved)> + 'a {
        let rules = if subject.quarantined { &self.quarantine } else { &self.rules };
        rules.iter().flat_map(move |rule| {
            resolved(rule, subject).filter_map(move |(topic, filter)| {
                let why = filter.and_then(|filter| for_client(rule, &filter, client)).err()?;
                RuleRef::new(rule, topic).map(|rule| (rule, why))
            })
        })
    }
}

fn quarantine_rules(errors: &mut Vec<PolicyError>) -> Vec<Arc<Rule>> {
    let rules = load_files(&[SourceFile::new(QUARANTINE_NAME, QUARANTINE_TEXT)], errors).rules;
    let placed = rules.into_iter().map(|rule| Rule { tier: Tier::of_quarantine(rule.effect), ..rule });
    placed.map(Arc::new).collect()
}

/// Resolves those of `rules` that speak of a subject.
fn provisions(rules: &[Arc<Rule>], subject: &Subject) -> Vec<Provision> {
    let mut provisions = Vec::new();
    for rule in rules {
        for (topic, filter) in resolved(rule, subject) {
            if let Ok(filter) = filter {
                provisions.push(Provision { rule: Arc::clone(rule), topic, filter });
            }
        }
    }
    provisions
}

/// Says why a filter means nothing for a client.
fn for_client(rule: &Rule, filter: &Resolved, client: Option<&str>) -> Result<(), Unresolved> {
    let wildcard = client.and_then(|client| client.chars().find(|c| matches!(c, '/' | '+' | '#')));
    match (client, wildcard) {
        (_, Some(c)) if rule.plain_client_id => Err(Unresolved::Holds(Placeholder::Client, c)),
        (Some(client), _) => filter.of_client(client).map(drop),
        (None, _) if rule.plain_client_id || filter.is_per_client() => {
            Err(Unresolved::Lacks(Placeholder::Client))
        }
        (None, _) => Ok(()),
    }
}

/// Resolves the filters of a rule for a subject; nothing if the rule does not speak of it.
pub(crate) fn resolved<'a>(
    rule: &'a Rule,
    subject: &'a Subject,
) -> impl Iterator<Item = (usize, Result<Resolved, Unresolved>)> + 'a {
    let topics = if rule.includes(subject) { &*rule.topics } else { &[] };
    topics.iter().enumerate().map(|(n, template)| (n, template.resolve(|what| subject.value(what))))
}

fn load_files(files: &[SourceFile], errors: &mut Vec<PolicyError>) -> Loaded {
    if files.len() > limits::MAX_FILES {
        let expected = format!("at most {} rule files", limits::MAX_FILES);
        let fault = Fault::new("", expected, "put several into one").given(&files.len().to_string());
        errors.push(fault.in_file("policy.d"));
        return Loaded::default();
    }
    let shapes: Vec<(&SourceFile, FileShape)> =
        files.iter().filter_map(|file| Some((file, shape(file, errors)?))).collect();
    // A file that could not be read may define the roles that others name.
    let all_read = shapes.len() == files.len();
    let mut roles = Roles::new();
    for (file, shape) in &shapes {
        Validator { file, errors, all_read }.roles(shape, &mut roles);
    }
    let mut loaded = Loaded::default();
    for (file, shape) in &shapes {
        let mut validator = Validator { file, errors, all_read };
        loaded.rules.extend(validator.rules(shape, &roles));
        loaded.late.extend(validator.late(shape, &roles));
        loaded.signed.extend(validator.signed(shape, &roles));
        loaded.presets.extend(validator.preset(shape));
    }
    check_totals(&loaded, &roles, errors);
    loaded
}

fn shape(file: &SourceFile, errors: &mut Vec<PolicyError>) -> Option<FileShape> {
    if file.text.len() > limits::MAX_FILE_BYTES {
        let expected = format!("at most {} bytes", limits::MAX_FILE_BYTES);
        let fault = Fault::new("", expected, "split the file").given(&file.text.len().to_string());
        errors.push(fault.in_file(&file.name));
        return None;
    }
    file::parse(file).map_err(|error| errors.push(*error)).ok()
}

fn check_totals(Loaded { rules, late, signed, .. }: &Loaded, roles: &Roles, errors: &mut Vec<PolicyError>) {
    let demanded: usize = signed.iter().map(|signed| signed.topics.len()).sum();
    let filters = rules.iter().map(|rule| rule.topics.len()).sum::<usize>() + demanded;
    for (what, most, given) in [
        ("rules", limits::MAX_RULES, rules.len() + late.len() + signed.len()),
        ("filters", limits::MAX_FILTERS, filters),
        ("roles", limits::MAX_ROLES, roles.len()),
    ] {
        if given > most {
            let expected = format!("at most {most} {what} in all files together");
            let help = "use roles, types and placeholders instead of one rule for each name";
            errors.push(Fault::new("", expected, help).given(&given.to_string()).in_file("policy.d"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_rules_load() {
        let policy = Policy::load(&[]).unwrap();
        assert_eq!((policy.rules().count(), policy.rule_count()), (4, 0));
        assert!(policy.rules().all(|rule| rule.tier == Tier::BUILT_IN && &*rule.file == "built-in"));
    }
}
