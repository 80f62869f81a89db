use crate::{Action, Subject};
use keyward_ids::Identity;
use keyward_mqtt::topic::{TopicError, TopicFilter, TopicName};
use std::{fmt, sync::Arc};
pub mod _t {}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder { Id, User, Type, Site }
/// One rule file: `name` is what errors and citations print (`policy.d/app.toml`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile { pub name: String, pub text: String }
#[derive(Debug, Clone)]
pub struct PolicyError { pub file: String, pub line: u32, pub column: u32, pub key: String, pub expected: String, pub given: String, pub help: String }
#[derive(Debug, Clone)]
pub struct PolicyErrors(Vec<PolicyError>);
impl PolicyErrors { pub fn errors(&self) -> &[PolicyError] { &self.0 } }
impl fmt::Display for PolicyErrors { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { todo!() } }
impl std::error::Error for PolicyErrors {}
#[derive(Debug, Clone)]
pub struct Policy {}
impl Policy {
    pub fn load(files: &[SourceFile]) -> Result<Self, PolicyErrors> { todo!() }
    pub fn builtin() -> Self { todo!() }
    pub fn rights(&self, subject: &Subject) -> Rights { todo!() }
    pub fn explain(&self, subject: &Subject, action: Action, text: &str) -> Result<Explanation, TopicError> { todo!() }
    pub fn check(&self, subjects: &[Subject]) -> Vec<Finding> { todo!() }
    /// The filters that follow from the subject's own name (for the check of retained topics).
    pub fn own_filters(&self, subject: &Subject) -> Vec<String> { todo!() }
    pub fn overlaps(&self, new: &Subject, existing: &[Subject]) -> Vec<Overlap> { todo!() }
}
#[derive(Debug, Clone, Default)]
pub struct Rights {}
impl Rights {
    pub fn none() -> Self { todo!() }
    pub fn allows_nothing(&self) -> bool { todo!() }
    pub fn decide(&self, action: Action, topic: TopicName<'_>) -> Decision<'_> { todo!() }
    pub fn decide_subscribe(&self, filter: TopicFilter<'_>, shared: bool) -> Decision<'_> { todo!() }
    pub fn reading(&self, filter: TopicFilter<'_>) -> Reading { todo!() }
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause { Rule, NoRule, Reserved, NotShareable }
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> { pub allowed: bool, pub cause: Cause, pub rule: Option<RuleRef<'a>> }
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading { Covered, Never, Mixed }
/// Prints as `policy.d/app.toml:12`.
#[derive(Clone, Copy, Debug)]
pub struct RuleRef<'a>(&'a str);
impl<'a> RuleRef<'a> {
    pub fn file(self) -> &'a str { todo!() }
    pub fn line(self) -> u32 { todo!() }
    pub fn text(self) -> String { todo!() }
    pub fn cite(self) -> CitedRule { todo!() }
}
impl fmt::Display for RuleRef<'_> { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { todo!() } }
/// An owned citation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CitedRule { pub file: Arc<str>, pub line: u32, pub text: String }
impl fmt::Display for CitedRule { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { todo!() } }
#[derive(Debug, Clone)]
pub struct Explanation { pub subject: Identity, pub action: Action, pub topic: String, pub allowed: bool, pub rule: Option<CitedRule> }
impl fmt::Display for Explanation { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { todo!() } }
#[derive(Debug, Clone)]
pub enum Finding {}
impl fmt::Display for Finding { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { todo!() } }
#[derive(Debug, Clone)]
pub struct Overlap {}
impl fmt::Display for Overlap { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { todo!() } }
