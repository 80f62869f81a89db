//! Dynamic security as files of `policy.d`: the rules of each client in the order in which they decide, a tier for each change
//! between allowing and denying.

use super::Plan;
use super::topics::{Placeholders, quoted, translate};
use keyward_ids::UserId;
use keyward_mosquitto::dynsec::{Kind, Rule, Security};
use keyward_mosquitto::{Fate, Place, Remark, Version};
use keyward_policy::{SourceFile, limits};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The tier of the rules that decide first.
const FIRST: u8 = 30;
/// The most tiers: so often can a client's rules change between allowing and denying.
const TIERS: u8 = 40;

/// Renders what clients may do.
pub(super) fn render(plan: &mut Plan, security: &Security, version: Version) {
    if !security.defaults.publish_client_receive {
        let why = "defaultACLAccess denies publishClientReceive: that a message needs two rules at once cannot be written here";
        plan.refusals.push(why.to_owned());
        return;
    }
    let mut tiers = BTreeMap::new();
    let none = Vec::new();
    let mut dropped = BTreeSet::new();
    for user in plan.users.iter().map(|user| user.name.clone()).collect::<Vec<_>>() {
        let client = security.clients.iter().find(|client| client.name == user.as_str());
        let rules = match client {
            Some(client) => &client.rules,
            None => security.anonymous.as_ref().unwrap_or(&none),
        };
        match person(&mut tiers, &user, rules, security, version) {
            Ok(mut left_out) => dropped.append(&mut left_out),
            Err(why) => {
                let text = format!("client {user}");
                plan.remarks.push(Remark { place: place(), text, fate: Fate::Refused, what: why });
            }
        }
    }
    let dropped = dropped.into_iter().map(|Dropped { text, why }| {
        let what = format!("{why}: left out, so it is denied");
        Remark { place: place(), text, fate: Fate::Unsupported, what }
    });
    plan.remarks.extend(dropped);
    let head = "# Imported from Mosquitto's dynamic security.\n";
    for (tier, rules) in tiers {
        let name = format!("policy.d/mosquitto-dynamic-{tier}.toml");
        plan.rules.push(SourceFile::new(name, format!("{head}tier = {tier}\n{rules}")));
    }
}

fn place() -> Place {
    Place { file: "dynamic security".to_owned(), line: 0 }
}

/// Is a rule that allowed something there and is not carried over.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Dropped {
    text: String,
    why: String,
}

impl Dropped {
    fn new(action: &str, topic: &str, why: impl Into<String>) -> Self {
        Self { text: format!("allow {action} {}", keyward_mosquitto::shown(topic)), why: why.into() }
    }
}

/// Writes the rules of one client into the texts of the tiers. Returns those that are left out.
fn person(
    tiers: &mut BTreeMap<u8, String>,
    user: &UserId,
    rules: &[Rule],
    security: &Security,
    version: Version,
) -> Result<BTreeSet<Dropped>, String> {
    let mut dropped = BTreeSet::new();
    let mut tier = FIRST;
    let mut effect = None;
    let defaults = [
        (security.defaults.publish_client_send, Kind::PublishClientSend),
        (security.defaults.subscribe, Kind::SubscribePattern),
    ];
    let defaults = defaults.into_iter().filter(|(allow, _)| *allow);
    let defaults = defaults.map(|(allow, kind)| Rule { kind, topic: "#".to_owned(), priority: 0, allow });
    for rule in rules.iter().cloned().chain(defaults) {
        let Some((action, placeholders)) = action(rule.kind, rule.allow, version) else { continue };
        // There receiving is decided apart from subscribing; here a subscription allows both, so its denials come first.
        let is_apart = rule.kind == Kind::PublishClientReceive;
        if !is_apart && effect.is_some_and(|effect| effect != rule.allow) {
            tier += 1;
        }
        if !is_apart {
            effect = Some(rule.allow);
        }
        if tier >= FIRST + TIERS {
            return Err(format!("its rules change between allowing and denying more than {TIERS} times"));
        }
        let filter = match translate(&rule.topic, placeholders, false) {
            Ok(filter) => filter,
            Err(why) if rule.allow => {
                dropped.insert(Dropped::new(action, &rule.topic, why));
                continue;
            }
            Err(why) => return Err(why),
        };
        if rule.allow && action == "publish" && rule.topic.starts_with('$') {
            let why = "clients never publish to topics that begin with $";
            dropped.insert(Dropped::new(action, &rule.topic, why));
            continue;
        }
        let word = if rule.allow { "allow" } else { "deny" };
        let text = tiers.entry(if is_apart { FIRST - 1 } else { tier }).or_default();
        let _ = write!(
            text,
            "\n[[rule]]\nwho = \"user:{user}\"\n{word} = [\"{action}\"]\ntopics = [{}]\n",
            quoted(&filter.text)
        );
        if text.len() > limits::MAX_FILE_BYTES {
            return Err("its rules do not fit into a file".to_owned());
        }
    }
    Ok(dropped)
}

/// Returns the action that a rule is about here; `None` if it makes no difference.
fn action(kind: Kind, allow: bool, version: Version) -> Option<(&'static str, Placeholders)> {
    let placeholders = match version {
        Version::V2_0 => Placeholders::None,
        Version::V2_1 => Placeholders::Of(version),
    };
    match (kind, allow) {
        (Kind::PublishClientSend, _) => Some(("publish", placeholders)),
        (Kind::PublishClientReceive, false) => Some(("receive", placeholders)),
        (Kind::SubscribeLiteral, _) => Some(("subscribe", Placeholders::None)),
        (Kind::SubscribePattern, _) => Some(("subscribe", placeholders)),
        (Kind::PublishClientReceive, true) | (Kind::UnsubscribeLiteral | Kind::UnsubscribePattern, _) => None,
    }
}
