//! Why something is allowed or denied, and what would allow it: the deciding function with tracing on.

use crate::{
    Action, Cause, Check, CitedRule, Decision, Policy, Rights, RuleRef, SourceFile, Subject, Unresolved,
    filter, limits,
    quote::{Quoted, as_template},
    rights::{Entry, Trace},
};
use core::fmt;
use keyward_ids::Identity;
use keyward_mqtt::topic::{Level, Subscription, TopicError, TopicFilter, TopicName};
use std::collections::BTreeSet;

/// Is a decision with everything that led to it, to be shown to people.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// Who asks.
    pub subject: Identity,
    /// With which client id; `None` if that was not said.
    pub client: Option<String>,
    /// What it wants to do.
    pub action: Action,
    /// The topic or filter, as it was given.
    pub topic: String,
    /// Tells whether it is allowed.
    pub allowed: bool,
    /// Says what decided.
    pub cause: Cause,
    /// The rule that decided, if one did.
    pub rule: Option<CitedRule>,
    /// The rules that were looked at, in order; the last one decided if `rule` is there. Empty for a filter.
    pub looked_at: Vec<Step>,
    /// For a filter: what of it would arrive.
    pub arriving: Vec<Arrival>,
    /// What is demanded of the signature of such a message, in words, and the place that demands it.
    pub demand: Option<(String, CitedRule)>,
    /// Rules that speak of the subject but mean nothing for it, with the reason.
    pub not_applying: Vec<(CitedRule, Unresolved)>,
    /// What would allow it; `None` if it is allowed.
    pub remedy: Option<Remedy>,
}

/// Is one rule that the deciding function looked at.
#[derive(Debug, Clone)]
pub struct Step {
    /// The rule, with the filter that was compared.
    pub rule: CitedRule,
    /// The filter with its values in place.
    pub filter: String,
    /// Tells that it decided.
    pub decided: bool,
}

/// Is a part of a filter on which something is allowed, for one whose messages would be delivered.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// On what.
    pub filter: String,
    /// The rule that allows it.
    pub rule: CitedRule,
    /// What is taken out of it again, and by which rule.
    pub except: Vec<(String, CitedRule)>,
}

impl Arrival {
    fn of<'a>(
        rights: &'a Rights,
        action: Action,
        (entry, part): (&'a Entry, Vec<Level<'a>>),
    ) -> Option<Self> {
        let except = rights
            .exceptions(action, entry, &part)
            .filter_map(|(deny, part)| Some((filter::text(part.into_iter()), deny.rule()?.cite())));
        let (rule, except) = (entry.rule()?.cite(), except.collect());
        Some(Self { filter: filter::text(part.iter().copied()), rule, except })
    }
}

/// Says what would allow what was denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// This text in a new file of `policy.d` allows it; that it does was tried.
    AddFile(String),
    /// A rule of the first tier denies it: that rule must be changed.
    ChangeRule(CitedRule),
    /// No rule can allow it: clients publish to no topic that begins with `$`.
    Never,
    /// It is in quarantine, where no rule counts: an operator has to release it.
    Release(Identity),
    /// The topic is longer or deeper than a rule's filter may be: allow a filter that ends earlier with `#`.
    WiderFilter,
}

impl Policy {
    /// Explains what `subject` may do with whatever client id, as [`explain_client`](Self::explain_client) does.
    ///
    /// # Errors
    /// [`TopicError`] if `text` is no topic name or filter.
    pub fn explain(&self, subject: &Subject, action: Action, text: &str) -> Result<Explanation, TopicError> {
        self.explain_client(subject, None, action, text)
    }

    /// Explains what a client of `subject` with this id may do: `Publish` and `Receive` take the name of a topic, `Subscribe` a filter
    /// (`$share/GROUP/FILTER` too), `Share` a filter as if it were shared.
    ///
    /// # Errors
    /// [`TopicError`] if `text` is no topic name or filter.
    pub fn explain_client(
        &self,
        subject: &Subject,
        client: Option<&str>,
        action: Action,
        text: &str,
    ) -> Result<Explanation, TopicError> {
        let question = Question::parse(action, text)?;
        let rights = self.client_rights(subject, client);
        let mut looked_at = Vec::new();
        let decision = question.ask(&rights, &mut looked_at);
        Ok(Explanation {
            subject: subject.identity.clone(),
            client: client.map(str::to_owned),
            action,
            topic: text.to_owned(),
            allowed: decision.allowed,
            cause: decision.cause,
            rule: decision.rule.map(RuleRef::cite),
            arriving: question.arriving(&rights),
            demand: question.demand(&rights),
            not_applying: self.not_applying(subject, client).map(|(rule, why)| (rule.cite(), why)).collect(),
            remedy: (!decision.allowed).then(|| self.remedy((subject, client), &question, decision)),
            looked_at,
        })
    }

    /// Lists all on which `subject` may act so, with whatever client id it takes: below `$` too, where `#` does not lead.
    pub fn reach(&self, subject: &Subject, action: Action) -> Vec<Arrival> {
        let rights = self.rights(subject);
        let rights = rights.of_any_choice().unwrap_or(rights);
        rights.reach(action).filter_map(|part| Arrival::of(&rights, action, part)).collect()
    }

    fn client_rights(&self, subject: &Subject, client: Option<&str>) -> Rights {
        let rights = self.rights(subject);
        client.and_then(|client| rights.of_client(client)).unwrap_or(rights)
    }

    fn remedy(
        &self,
        (subject, client): (&Subject, Option<&str>),
        question: &Question<'_>,
        refused: Decision<'_>,
    ) -> Remedy {
        if refused.cause == Cause::Reserved {
            return Remedy::Never;
        }
        if subject.quarantined {
            return Remedy::Release(subject.identity.clone());
        }
        let mut in_the_way = refused.rule.map(RuleRef::cite);
        for tier in self.tiers_to_try() {
            let text = question.allowing_file(&subject.identity, tier);
            let Ok(policy) = self.with_file(&SourceFile::new("proposal", &*text)) else { break };
            let rights = policy.client_rights(subject, client);
            let decision = question.ask(&rights, &mut Vec::new());
            if decision.allowed {
                return Remedy::AddFile(text);
            }
            in_the_way = decision.rule.map(RuleRef::cite);
        }
        in_the_way.map_or(Remedy::WiderFilter, Remedy::ChangeRule)
    }

    /// Lists the tiers in which a further rule could make a difference: the usual one, then just before each that
    /// is in use, the latest first.
    fn tiers_to_try(&self) -> impl Iterator<Item = u8> {
        let before: BTreeSet<u8> = self.rules().map(|rule| rule.tier.0.saturating_sub(1)).collect();
        let before = before.into_iter().rev().filter(|tier| limits::TIERS.contains(tier));
        core::iter::once(limits::DEFAULT_TIER).chain(before)
    }
}

/// Is what was asked, parsed.
enum Question<'t> {
    Topic(Action, TopicName<'t>),
    Subscribe { filter: TopicFilter<'t>, shared: bool },
}

impl<'t> Question<'t> {
    fn parse(action: Action, text: &'t str) -> Result<Self, TopicError> {
        match action {
            Action::Publish | Action::Receive => {
                TopicName::parse(text).map(|topic| Self::Topic(action, topic))
            }
            Action::Subscribe | Action::Share => {
                let Subscription { group, filter } = Subscription::parse(text)?;
                Ok(Self::Subscribe { filter, shared: group.is_some() || action == Action::Share })
            }
        }
    }

    fn ask<'r>(&self, rights: &'r Rights, looked_at: &mut Vec<Step>) -> Decision<'r> {
        match *self {
            Self::Topic(action, topic) => rights.decide_traced(action, topic, looked_at),
            Self::Subscribe { filter, shared } => rights.decide_subscribe(filter, shared),
        }
    }

    /// Says what is demanded of a message.
    fn demand(&self, rights: &Rights) -> Option<(String, CitedRule)> {
        let Self::Topic(Action::Publish, topic) = self else { return None };
        let demand = rights.demand(*topic)?;
        let what = match demand.check {
            Check::Require => "must be signed",
            Check::Observe | Check::Off => "is marked if it is signed",
        };
        let (level, hours) = (demand.level, demand.max_offline.as_secs() / 3_600);
        let words = format!("{what} by a key of level {level} or more, at most {hours} hours ago");
        Some((words, demand.rule.cite()))
    }

    fn arriving(&self, rights: &Rights) -> Vec<Arrival> {
        let Self::Subscribe { filter, .. } = self else { return Vec::new() };
        let levels: Vec<_> = filter.levels().collect();
        rights.readable_parts(&levels).filter_map(|part| Arrival::of(rights, Action::Receive, part)).collect()
    }

    /// Returns a rule file that allows what was asked to `identity`.
    fn allowing_file(&self, identity: &Identity, tier: u8) -> String {
        let (actions, filter) = match self {
            Self::Topic(action, topic) => (vec![*action], topic.as_str()),
            Self::Subscribe { filter, shared: false } => (vec![Action::Subscribe], filter.as_str()),
            Self::Subscribe { filter, shared: true } => {
                (vec![Action::Subscribe, Action::Share], filter.as_str())
            }
        };
        let head = if tier == limits::DEFAULT_TIER { String::new() } else { format!("tier = {tier}\n\n") };
        let actions: Vec<_> = actions.iter().map(|action| Quoted(action.as_str()).to_string()).collect();
        format!(
            "{head}[[rule]]\nwho = \"{identity}\"\nallow = [{}]\ntopics = [{}]\n",
            actions.join(", "),
            Quoted(&as_template(filter)),
        )
    }
}

impl Trace for Vec<Step> {
    fn looked_at(&mut self, entry: &Entry, decided: bool) {
        if let Some(rule) = entry.rule() {
            self.push(Step { rule: rule.cite(), filter: entry.filter.to_string(), decided });
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.allowed { "allowed" } else { "denied" };
        write!(f, "{verdict}: {}", self.subject)?;
        if let Some(client) = &self.client {
            write!(f, " with client id {}", Quoted(client))?;
        }
        writeln!(f, " {} {}", self.action, Quoted(&self.topic))?;
        self.reasons().iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        self.arriving.iter().try_for_each(|arrival| writeln!(f, "  would arrive: {arrival}"))?;
        match &self.remedy {
            None => Ok(()),
            Some(Remedy::AddFile(text)) => write!(f, "  {}:\n\n{text}", Remedy::ADVICE_TO_ADD),
            Some(remedy) => writeln!(f, "  {remedy}"),
        }
    }
}

impl Explanation {
    /// Returns why it was decided so, a line each, safe to show: the cause, the rule with its note, and the rules
    /// that do not apply.
    pub fn reasons(&self) -> Vec<String> {
        let cause = match self.cause {
            Cause::Reserved => Some("topics that begin with '$' belong to the broker"),
            Cause::NotShareable => Some("a shared subscription needs `share` on all of its topics"),
            Cause::NoRule => Some("no rule allows it"),
            Cause::Late if self.arriving.is_empty() => {
                Some("every subscription of it is granted, but nothing of this one would arrive")
            }
            Cause::Late => Some("every subscription of it is granted"),
            Cause::Rule => None,
        };
        let mut lines: Vec<_> = cause.map(str::to_owned).into_iter().collect();
        if let Some(rule) = &self.rule {
            lines.push(format!("by {rule}: {}", rule.text));
            lines.extend(rule.note.as_ref().map(|note| format!("note: {}", Quoted(note))));
        }
        if let Some((what, rule)) = &self.demand {
            lines.push(format!("it {what}, by {rule}: {}", rule.text));
        }
        lines.extend(
            self.not_applying.iter().map(|(rule, why)| {
                format!("{rule} does not apply to {}: {why} ({})", self.subject, rule.text)
            }),
        );
        lines
    }
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", Quoted(&self.filter), self.rule)?;
        for (n, (filter, rule)) in self.except.iter().enumerate() {
            let word = if n == 0 { ", but not" } else { "," };
            write!(f, "{word} {} ({rule})", Quoted(filter))?;
        }
        Ok(())
    }
}

impl Remedy {
    const ADVICE_TO_ADD: &str = "this in a new file of policy.d would allow it";

    /// Returns the text of the rule file that would allow it, if there is one.
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::AddFile(text) => Some(text),
            Self::ChangeRule(_) | Self::Never | Self::Release(_) | Self::WiderFilter => None,
        }
    }
}

/// Says in one line what to do; the text of a file to add is not part of it.
impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddFile(_) => f.write_str(Self::ADVICE_TO_ADD),
            Self::ChangeRule(rule) => {
                write!(f, "change {rule}: it stands in the first tier, so no other rule can allow it")
            }
            Self::Never => f.write_str("no rule can allow it"),
            Self::Release(identity) => {
                let id = identity.name();
                write!(
                    f,
                    "no rule counts while it is in quarantine; see why: keyward device show {id}, then release it: keyward device release {id}"
                )
            }
            Self::WiderFilter => {
                f.write_str("it is too long or deep for a rule: allow a filter that ends earlier with '#'")
            }
        }
    }
}
