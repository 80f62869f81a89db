//! Topic rules as naive values: one list, given to the broker as a rule file and to the model as it is.

use core::fmt;
use keyward_ids::Identity;
use keyward_policy::{Action, Effect, Policy, PolicyErrors, SourceFile};

/// Is one generation of rules. Deny wins; what no rule allows is denied, but for a device's own topics: it may publish
/// to and read `NAME/#` and `devices/NAME/#` unless a rule here denies it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules(pub Vec<Rule>);

/// Is one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Of whom it speaks.
    pub who: Identity,
    /// Whether it allows or denies.
    pub effect: Effect,
    /// What; [`Action::Subscribe`] takes [`Action::Receive`] with it, in both effects.
    pub actions: Vec<Action>,
    /// Where: filters without placeholders.
    pub topics: Vec<String>,
}

impl Rules {
    /// Compiles the rules as the broker does: from the text of a rule file.
    ///
    /// # Errors
    /// A filter is none, or a rule is empty.
    pub fn compile(&self) -> Result<Policy, PolicyErrors> {
        self.compile_with("")
    }

    /// Compiles the rules with more text behind them.
    pub(crate) fn compile_with(&self, more: &str) -> Result<Policy, PolicyErrors> {
        Policy::load(&[SourceFile::new("policy.d/world.toml", self.to_toml() + more)])
    }

    fn to_toml(&self) -> String {
        let rule = |Rule { who, effect, actions, topics }: &Rule| {
            let actions: Vec<_> = actions.iter().map(|action| action.as_str()).collect();
            format!("[[rule]]\nwho = \"{who}\"\n{effect} = {actions:?}\ntopics = {topics:?}\n")
        };
        self.0.iter().map(rule).collect()
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Rule { who, effect, actions, topics } in &self.0 {
            let actions: Vec<_> = actions.iter().map(|action| action.as_str()).collect();
            write!(f, "{who} {effect} {} {}; ", actions.join(","), topics.join(","))?;
        }
        Ok(())
    }
}
