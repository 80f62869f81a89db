//! A validated rule, whom it speaks of, and how it is cited.

use crate::{
    Subject,
    action::ActionSet,
    late::{Late, LateSet},
    quote::Quoted,
    signed::Signed,
    template::Template,
};
use core::fmt;
use keyward_ids::{DeviceId, Identity, Kind, RoleId, SiteId, TypeId, UserId};
use std::{collections::BTreeSet, sync::Arc};

/// Tells what a rule does to what it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// The rule refuses. Comes first: inside a tier deny wins.
    Deny,
    /// The rule permits.
    Allow,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Deny => "deny",
            Self::Allow => "allow",
        })
    }
}

/// Is where in the order of rules a rule stands: smaller decides earlier. The built-in rules come after every file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tier(pub(crate) u8);

impl Tier {
    pub(crate) const BUILT_IN: Self = Self(u8::MAX);

    /// The tier of a rule of quarantine: what is allowed there comes before what is denied.
    pub(crate) fn of_quarantine(effect: Effect) -> Self {
        match effect {
            Effect::Allow => Self(0),
            Effect::Deny => Self(1),
        }
    }
}

/// Is one entry of a rule's `who`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    Device(DeviceId),
    User(UserId),
    Type(TypeId),
    Site(SiteId),
    Role(RoleId, Arc<Role>),
    Devices,
    NamedDevices,
    Users,
    All,
}

impl Who {
    pub(crate) fn includes(&self, subject: &Subject) -> bool {
        let is = |kind| subject.identity.kind() == kind;
        match self {
            Self::Device(id) => matches!(&subject.identity, Identity::Device(it) if it == id),
            Self::User(id) => matches!(&subject.identity, Identity::User(it) if it == id),
            Self::Type(id) => subject.device_type.as_ref() == Some(id),
            Self::Site(id) => subject.site.as_ref() == Some(id),
            Self::Role(_, role) => role.includes(subject),
            Self::Devices => is(Kind::Device),
            Self::NamedDevices => is(Kind::Device) && !subject.machine_chosen,
            Self::Users => is(Kind::User),
            Self::All => true,
        }
    }

    /// Tells whether this names `identity` and nobody else.
    pub(crate) fn is_only(&self, identity: &Identity) -> bool {
        match (self, identity) {
            (Self::Device(id), Identity::Device(it)) => id == it,
            (Self::User(id), Identity::User(it)) => id == it,
            _ => false,
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(id) => write!(f, "device:{id}"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::Type(id) => write!(f, "type:{id}"),
            Self::Site(id) => write!(f, "site:{id}"),
            Self::Role(id, _) => write!(f, "role:{id}"),
            Self::Devices => f.write_str("devices"),
            Self::NamedDevices => f.write_str("named-devices"),
            Self::Users => f.write_str("users"),
            Self::All => f.write_str("all"),
        }
    }
}

/// Is a named set of principals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Role {
    pub(crate) identities: BTreeSet<Identity>,
    pub(crate) types: BTreeSet<TypeId>,
    pub(crate) sites: BTreeSet<SiteId>,
}

impl Role {
    fn includes(&self, subject: &Subject) -> bool {
        self.identities.contains(&subject.identity)
            || subject.device_type.as_ref().is_some_and(|id| self.types.contains(id))
            || subject.site.as_ref().is_some_and(|id| self.sites.contains(id))
    }
}

/// Is a rule that passed validation.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) file: Arc<str>,
    pub(crate) line: u32,
    pub(crate) tier: Tier,
    pub(crate) effect: Effect,
    pub(crate) actions: ActionSet,
    pub(crate) who: Box<[Who]>,
    pub(crate) topics: Box<[Template]>,
    /// Whether it applies only to clients whose id is text of one level: holds no `/`, `+` or `#`.
    pub(crate) plain_client_id: bool,
    pub(crate) note: Option<Box<str>>,
}

impl Rule {
    /// Tells whether it is a built-in one that speaks of the broker's own topics alone.
    pub(crate) fn is_of_the_broker(&self) -> bool {
        let is_own = |topic: &Template| topic.as_str().starts_with("$keyward/");
        self.tier == Tier::BUILT_IN && self.topics.iter().all(is_own)
    }

    pub(crate) fn includes(&self, subject: &Subject) -> bool {
        self.who.iter().any(|who| who.includes(subject))
    }
}

/// Points at one filter of one rule or of a `[[signed]]`, or at a `[[decide-late]]`. Printed as `policy.d/app.toml:12`.
#[derive(Clone, Copy)]
pub struct RuleRef<'a>(Cited<'a>);

#[derive(Clone, Copy)]
enum Cited<'a> {
    Rule { rule: &'a Rule, template: &'a Template },
    Late(&'a Late),
    Signed { signed: &'a Signed, template: &'a Template },
}

impl<'a> RuleRef<'a> {
    pub(crate) fn new(rule: &'a Rule, topic: usize) -> Option<Self> {
        rule.topics.get(topic).map(|template| Self(Cited::Rule { rule, template }))
    }

    pub(crate) fn of_late(late: &'a Late) -> Self {
        Self(Cited::Late(late))
    }

    pub(crate) fn of_signed(signed: &'a Signed, topic: usize) -> Option<Self> {
        signed.topics.get(topic).map(|template| Self(Cited::Signed { signed, template }))
    }

    fn shared_file(self) -> &'a Arc<str> {
        match self.0 {
            Cited::Rule { rule, .. } => &rule.file,
            Cited::Late(late) => &late.file,
            Cited::Signed { signed, .. } => &signed.file,
        }
    }

    /// Returns the name of the file, as its [`SourceFile`](crate::SourceFile) gave it; `built-in` for ours.
    pub fn file(self) -> &'a str {
        self.shared_file()
    }

    /// Returns the line at which the rule begins, from 1.
    pub fn line(self) -> u32 {
        match self.0 {
            Cited::Rule { rule, .. } => rule.line,
            Cited::Late(late) => late.line,
            Cited::Signed { signed, .. } => signed.line,
        }
    }

    /// Returns the author's note, if there is one.
    pub fn note(self) -> Option<&'a str> {
        match self.0 {
            Cited::Rule { rule, .. } => rule.note.as_deref(),
            Cited::Late(late) => late.note.as_deref(),
            Cited::Signed { signed, .. } => signed.note.as_deref(),
        }
    }

    /// Returns the rule in one line of words, with the one filter that this points at.
    pub fn text(self) -> String {
        match self.0 {
            Cited::Rule { rule, template } => {
                let actions: Vec<_> = rule.actions.iter().map(|action| action.to_string()).collect();
                let topic = Quoted(template.as_str());
                format!("{} {} for {} on {topic}", rule.effect, actions.join(", "), listed(&rule.who))
            }
            Cited::Late(late) => {
                format!("decide-late {} for {}", LateSet::words(late.what).join(", "), listed(&late.who))
            }
            Cited::Signed { signed, template } => {
                let (who, topic) = (listed(&signed.who), Quoted(template.as_str()));
                format!("signed: {} of {who} on {topic}, level {} or more", signed.check, signed.level)
            }
        }
    }

    /// Returns a copy that can be kept and sent.
    pub fn cite(self) -> CitedRule {
        CitedRule {
            file: Arc::clone(self.shared_file()),
            line: self.line(),
            text: self.text(),
            note: self.note().map(str::to_owned),
        }
    }
}

fn listed(who: &[Who]) -> String {
    who.iter().map(Who::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for RuleRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file(), self.line())
    }
}

impl fmt::Debug for RuleRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} {}", self.text())
    }
}

/// Is a citation that outlives its policy. Printed as `policy.d/app.toml:12`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CitedRule {
    /// The name of the file; `built-in` for ours.
    pub file: Arc<str>,
    /// The line at which the rule begins, from 1.
    pub line: u32,
    /// The rule in one line of words.
    pub text: String,
    /// The author's note.
    pub note: Option<String>,
}

impl fmt::Display for CitedRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
