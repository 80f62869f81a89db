//! What may be done, naively: every generation and every revision that there was, and which of them each shard goes by.

use crate::event::{AccountNo, Change, Serial, ShardNo};
use crate::rules::Rules;
use crate::setup::Setup;
use keyward_broker::Standing;
use keyward_ids::{Identity, Kind};
use keyward_policy::{Action, Effect};
use std::sync::Arc;

/// Tells whether `filter` matches `topic`, level by level.
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut levels, mut names) = (filter.split('/'), topic.split('/'));
    loop {
        match (levels.next(), names.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(level), Some(name)) if level == name => {}
            _ => return false,
        }
    }
}

/// Tells whether `wide` matches every topic that `narrow` matches, level by level.
fn covers(wide: &str, narrow: &str) -> bool {
    let (mut wide, mut narrow) = (wide.split('/'), narrow.split('/'));
    loop {
        match (wide.next(), narrow.next()) {
            (Some("#"), _) | (None, None) => return true,
            (_, Some("#")) => return false,
            (Some("+"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

/// Is one life of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) epoch: u64,
    pub(super) standing: Standing,
}

/// Numbers what a shard goes by.
#[derive(Debug, Clone, Copy)]
struct Point {
    generation: usize,
    revision: usize,
}

/// Holds what was ever in force.
#[derive(Debug)]
pub(super) struct Law {
    accounts: Vec<Identity>,
    generations: Vec<Arc<Rules>>,
    revisions: Vec<Vec<Life>>,
    /// What each shard goes by.
    shards: Vec<Point>,
}

impl Law {
    pub(super) fn new(setup: &Setup) -> Self {
        let life = Life { epoch: 1, standing: Standing::Active };
        let start = Point { generation: 0, revision: 0 };
        Self {
            accounts: setup.accounts.clone(),
            generations: vec![Arc::clone(&setup.rules)],
            revisions: vec![vec![life; setup.accounts.len()]],
            shards: vec![start; usize::from(setup.shards)],
        }
    }

    pub(super) fn identity(&self, account: AccountNo) -> &Identity {
        &self.accounts[account.0]
    }

    pub(super) fn order(&mut self, change: &Change) {
        match change {
            Change::Rules { rules, .. } => self.generations.push(Arc::clone(rules)),
            Change::Account { account, epoch, standing, .. } => {
                let mut lives = self.revisions.last().cloned().unwrap_or_default();
                lives[account.0] = Life { epoch: *epoch, standing: *standing };
                self.revisions.push(lives);
            }
            // It has a world and a model of its own.
            Change::Quarantine { .. } => self.revisions.extend(self.revisions.last().cloned()),
        }
    }

    pub(super) fn enact(&mut self, shard: ShardNo, change: Serial) {
        let point = &mut self.shards[shard.0];
        match change {
            Serial::Rules(generation) => point.generation = generation as usize,
            Serial::Registry(revision) => point.revision = revision as usize,
        }
    }

    /// A new process goes by what is on disk.
    pub(super) fn start(&mut self) {
        let point = Point { generation: self.generations.len() - 1, revision: self.revisions.len() - 1 };
        self.shards.fill(point);
    }

    /// Says which generation a shard goes by.
    pub(super) fn generation(&self, shard: ShardNo) -> usize {
        self.shards[shard.0].generation
    }

    /// Says what a shard knows of an account.
    pub(super) fn life(&self, shard: ShardNo, account: AccountNo) -> Life {
        self.revisions[self.shards[shard.0].revision][account.0]
    }

    /// Decides by one generation; deny wins.
    pub(super) fn allows(&self, generation: usize, account: AccountNo, action: Action, topic: &str) -> bool {
        if action == Action::Publish && topic.starts_with('$') {
            return false;
        }
        let identity = self.identity(account);
        let speaks = |effect| {
            self.generations[generation].0.iter().any(|rule| {
                let takes_with = action == Action::Receive && rule.actions.contains(&Action::Subscribe);
                rule.effect == effect
                    && rule.who == *identity
                    && (rule.actions.contains(&action) || takes_with)
                    && rule.topics.iter().any(|filter| matches(filter, topic))
            })
        };
        let name = identity.name();
        let owns = identity.kind() == Kind::Device
            && action != Action::Share
            && (matches(&format!("{name}/#"), topic) || matches(&format!("devices/{name}/#"), topic));
        !speaks(Effect::Deny) && (owns || speaks(Effect::Allow))
    }

    /// Tells whether one generation certainly lets an account, as a member of a group, be handed what goes to a topic:
    /// all of the group's filter may be shared, and this topic may be read.
    pub(super) fn may_take(&self, generation: usize, account: AccountNo, filter: &str, topic: &str) -> bool {
        let identity = self.identity(account);
        let of_sharing = |effect| {
            let rules = self.generations[generation].0.iter();
            rules.filter(move |rule| {
                rule.effect == effect && rule.who == *identity && rule.actions.contains(&Action::Share)
            })
        };
        of_sharing(Effect::Allow).any(|rule| rule.topics.iter().any(|topics| covers(topics, filter)))
            && of_sharing(Effect::Deny).next().is_none()
            && [Action::Subscribe, Action::Receive]
                .iter()
                .all(|action| self.allows(generation, account, *action, topic))
    }

    /// Tells whether an account was active in a life of its name at every revision from `since` on.
    pub(super) fn is_active_since(&self, since: usize, account: AccountNo, epoch: u64) -> bool {
        let active = Life { epoch, standing: Standing::Active };
        self.revisions[since..].iter().all(|lives| lives[account.0] == active)
    }

    /// Tells whether an account in a life of its name may do something on a shard now.
    pub(super) fn may(
        &self,
        shard: ShardNo,
        account: AccountNo,
        epoch: u64,
        action: Action,
        topic: &str,
    ) -> bool {
        self.life(shard, account) == (Life { epoch, standing: Standing::Active })
            && self.allows(self.generation(shard), account, action, topic)
    }

    /// Tells whether a shard delivers now what an account published in a life of its name.
    pub(super) fn delivers_of(&self, shard: ShardNo, account: AccountNo, epoch: u64, will: bool) -> bool {
        stands(self.life(shard, account), epoch, will)
    }

    /// Tells whether every shard delivers what an account publishes now, and goes on doing so.
    pub(super) fn delivers_everywhere(&self, account: AccountNo, epoch: u64, will: bool) -> bool {
        let oldest = self.shards.iter().map(|point| point.revision).min().unwrap_or(0);
        self.revisions[oldest..].iter().all(|lives| stands(lives[account.0], epoch, will))
    }

    /// Tells whether a will may be published on a shard now.
    pub(super) fn may_leave_will(&self, shard: ShardNo, account: AccountNo, epoch: u64, topic: &str) -> bool {
        let life = self.life(shard, account);
        let stands = match life.standing {
            Standing::Active => true,
            Standing::Revoked { publish_will, .. } => publish_will,
            Standing::Disabled | Standing::Removed => false,
        };
        stands && life.epoch == epoch && self.allows(self.generation(shard), account, Action::Publish, topic)
    }

    /// Tells whether some generation since `since` lets an account publish to a topic.
    pub(super) fn allowed_since(&self, since: usize, account: AccountNo, topic: &str) -> bool {
        (since..self.generations.len()).any(|it| self.allows(it, account, Action::Publish, topic))
    }

    /// Tells whether every generation that some shard goes by, or is to, allows something.
    pub(super) fn goes_on_to_allow(&self, account: AccountNo, action: Action, topic: &str) -> bool {
        let mut generations = self.oldest_generation()..self.generations.len();
        generations.all(|it| self.allows(it, account, action, topic))
    }

    /// Tells whether a change was ordered that a shard does not go by.
    pub(super) fn is_behind(&self, shard: ShardNo) -> bool {
        self.generation(shard) + 1 < self.generations.len()
    }

    /// Returns the newest generation that was ordered.
    pub(super) fn newest_generation(&self) -> usize {
        self.generations.len() - 1
    }

    /// Returns the oldest revision that some shard goes by.
    pub(super) fn oldest_revision(&self) -> usize {
        self.shards.iter().map(|point| point.revision).min().unwrap_or(0)
    }

    /// Returns the oldest generation that some shard goes by.
    pub(super) fn oldest_generation(&self) -> usize {
        self.shards.iter().map(|point| point.generation).min().unwrap_or(0)
    }
}

fn stands(life: Life, epoch: u64, will: bool) -> bool {
    life.epoch == epoch
        && match life.standing {
            Standing::Active | Standing::Disabled => true,
            Standing::Revoked { keep_messages, publish_will } => keep_messages || (publish_will && will),
            Standing::Removed => false,
        }
}

#[cfg(test)]
mod tests {
    use super::{covers, matches};

    #[test]
    fn a_filter_covers_what_matches_nothing_more() {
        for (wide, narrow, expected) in [
            ("#", "site/#", true),
            ("site/#", "site/#", true),
            ("site/+", "site/#", false),
            ("site/#", "site", true),
            ("+/a", "site/a", true),
            ("+/a", "+/a", true),
            ("site/a", "+/a", false),
            ("site/+", "site/b/c", false),
        ] {
            assert_eq!(covers(wide, narrow), expected, "{wide} {narrow}");
        }
    }

    #[test]
    fn filters_match_as_the_standard_says() {
        for (filter, topic, expected) in [
            ("a/b", "a/b", true),
            ("a/b", "a", false),
            ("a", "a/b", false),
            ("a/+", "a/b", true),
            ("a/+", "a", false),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
    }
}
