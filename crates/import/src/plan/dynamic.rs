//! Dynamic security as files of `policy.d`: the rules of each client in the order in which they decide, a tier for each change
//! between allowing and denying.

use super::Plan;
use super::rules::{Late, People};
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
pub(super) fn render(plan: &mut Plan, security: &Security, people: &People, version: Version) {
    if !security.defaults.publish_client_receive {
        let why = "defaultACLAccess denies publishClientReceive, as it does where it does not name it: that a message needs two rules \
                   at once cannot be written here; write \"publishClientReceive\": true there, and rules that deny it";
        plan.refusals.push(why.to_owned());
        return;
    }
    plan.rules.extend(people.file(Late::Wills));
    let mut tiers = BTreeMap::new();
    let mut said = BTreeSet::new();
    for user in plan.users.iter().map(|user| user.name.clone()).collect::<Vec<_>>() {
        let client = security.clients.iter().find(|client| client.name == user.as_str());
        let rules: &[Rule] = match client {
            Some(client) => &client.rules,
            None if people.anonymous() == Some(&user) => security.anonymous.as_deref().unwrap_or_default(),
            // Who is no client may do nothing there, whatever the defaults are.
            None => continue,
        };
        match person(&mut tiers, &user, rules, security, version) {
            Ok(mut of_person) => said.append(&mut of_person),
            Err(why) => {
                let text = format!("client {user}");
                plan.remarks.push(Remark { place: place(), text, fate: Fate::Refused, what: why });
            }
        }
    }
    let said = said.into_iter().map(|Said { text, fate, what }| Remark { place: place(), text, fate, what });
    plan.remarks.extend(said);
    let head = "# Imported from Mosquitto's dynamic security.\n";
    for (tier, rules) in tiers {
        let name = format!("policy.d/mosquitto-dynamic-{tier}.toml");
        plan.rules.push(SourceFile::new(name, format!("{head}tier = {tier}\n{rules}")));
    }
}

fn place() -> Place {
    Place { file: "dynamic security".to_owned(), line: 0 }
}

/// Is what is said about a rule that allowed something there.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    text: String,
    fate: Fate,
    what: String,
}

impl Said {
    fn changed(action: &str, topic: &str, what: &str) -> Self {
        let text = format!("allow {action} {}", keyward_mosquitto::shown(topic));
        Self { text, fate: Fate::Changed, what: what.to_owned() }
    }

    fn left_out(action: &str, topic: &str, why: &str) -> Self {
        let what = format!("{why}: left out, so it is denied");
        Self { fate: Fate::Unsupported, what, ..Self::changed(action, topic, "") }
    }
}

/// Says what differs of the rules of one client.
///
/// # Errors
/// If one cannot be carried over and its absence would open something, or shut everything.
fn differences(rules: &[Rule]) -> Result<BTreeSet<Said>, String> {
    let mut said = BTreeSet::new();
    let last_denial = rules.iter().rposition(|rule| rule.kind == Kind::PublishClientReceive && !rule.allow);
    for (number, rule) in rules.iter().enumerate() {
        match (rule.kind, rule.allow) {
            (Kind::SubscribeLiteral, allow) if rule.topic.contains(['+', '#']) => {
                if !allow {
                    let filter = keyward_mosquitto::shown(&rule.topic);
                    return Err(format!(
                        "subscribeLiteral denies the filter {filter} and none that it covers, which cannot be said here: \
                         write subscribePattern to deny all of them, or take the rule out"
                    ));
                }
                let what = "narrower filters are granted too: they bring no other messages";
                said.insert(Said::changed("subscribe", &rule.topic, what));
            }
            (Kind::SubscribePattern, true) if below_sys(&rule.topic).is_some() => {
                let what = "for everything but $…: there wildcards stand for a first level with $ too";
                said.insert(Said::changed("subscribe", &rule.topic, what));
            }
            (Kind::PublishClientReceive, true) if last_denial.is_some_and(|last| number < last) => {
                let what = "a publishClientReceive that denies and stands behind this one comes before it here: stricter";
                said.insert(Said::changed("receive", &rule.topic, what));
            }
            _ => {}
        }
    }
    Ok(said)
}

/// Writes the rules of one client into the texts of the tiers. Returns what is to be said about them.
fn person(
    tiers: &mut BTreeMap<u8, String>,
    user: &UserId,
    rules: &[Rule],
    security: &Security,
    version: Version,
) -> Result<BTreeSet<Said>, String> {
    let mut said = differences(rules)?;
    if security.defaults.subscribe {
        let what = "for everything but $…: what is said there is read by whom a rule allows it";
        said.insert(Said::changed("subscribe by default", "#", what));
    }
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
                said.insert(Said::left_out(action, &rule.topic, &why));
                continue;
            }
            Err(why) => return Err(why),
        };
        if rule.allow && action == "publish" && rule.topic.starts_with('$') {
            let why = "clients never publish to topics that begin with $";
            said.insert(Said::left_out(action, &rule.topic, why));
            continue;
        }
        let mut topics = quoted(&filter.text);
        if rule.kind == Kind::SubscribePattern
            && !rule.allow
            && let Some(also) = below_sys(&filter.text)
        {
            topics = format!("{topics}, {}", quoted(&also));
        }
        let word = if rule.allow { "allow" } else { "deny" };
        let text = tiers.entry(if is_apart { FIRST - 1 } else { tier }).or_default();
        let _ =
            write!(text, "\n[[rule]]\nwho = \"user:{user}\"\n{word} = [\"{action}\"]\ntopics = [{topics}]\n");
        if text.len() > limits::MAX_FILE_BYTES {
            return Err("its rules do not fit into a file".to_owned());
        }
    }
    Ok(said)
}

/// Returns the filter below `$SYS` that the filter of a `subscribePattern` covers there: its wildcards stand for a first level that
/// begins with `$` too, and `$SYS` is the only one below which there is something to read here.
fn below_sys(filter: &str) -> Option<String> {
    match filter.split_once('/') {
        None if filter == "#" => Some("$SYS/#".to_owned()),
        Some(("+", rest)) => Some(format!("$SYS/{rest}")),
        _ => None,
    }
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
