//! The compiled answers against a naive model that knows nothing of tiers as an order, of shapes or of
//! intersections: it asks each topic of a small world, one by one.

mod support;
use keyward_mqtt::topic::{TopicFilter, TopicName};
use keyward_policy::{Action, Policy, Reading, Rights};
use proptest::prelude::*;
use support::*;

/// Levels that rules and filters are made of; topics have one more (`z`) that stands for all other texts.
const WORDS: [&str; 4] = ["a", "b", "", "$c"];
const DEEPEST_FILTER: usize = 3;

#[derive(Debug, Clone)]
struct ModelRule {
    tier: u8,
    allow: bool,
    actions: Vec<Action>,
    filter: String,
}

impl ModelRule {
    fn speaks_of(&self, action: Action) -> bool {
        self.actions.contains(&action)
            || (action == Action::Receive && self.actions.contains(&Action::Subscribe))
    }
}

/// Says whether a filter matches a topic, by recursion over both.
fn matches(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) | ([], []) => true,
        ([f, fs @ ..], [t, ts @ ..]) => (f == t || *f == "+") && matches(fs, ts),
        _ => false,
    }
}

fn model_matches(filter: &str, topic: &str) -> bool {
    let hidden = topic.starts_with('$') && filter.starts_with(['+', '#']);
    let (filter, topic): (Vec<_>, Vec<_>) = (filter.split('/').collect(), topic.split('/').collect());
    !hidden && matches(&filter, &topic)
}

/// Decides as architecture.md says it: the first tier with a matching rule decides, inside a tier deny wins.
fn model_decides(rules: &[ModelRule], action: Action, topic: &str) -> bool {
    if action == Action::Publish && topic.starts_with('$') {
        return false;
    }
    (0..=u8::MAX)
        .map(|tier| {
            let hits = rules.iter().filter(|rule| {
                rule.tier == tier && rule.speaks_of(action) && model_matches(&rule.filter, topic)
            });
            hits.map(|rule| rule.allow).reduce(|a, b| a && b)
        })
        .find_map(|answer| answer)
        .unwrap_or(false)
}

fn world() -> Vec<String> {
    let mut topics: Vec<String> = Vec::new();
    let mut last = vec![String::new()];
    for depth in 0..=DEEPEST_FILTER {
        let longer = |topic: &String| {
            let join = if depth == 0 { "" } else { "/" };
            WORDS.iter().chain(&["z"]).map(|word| format!("{topic}{join}{word}")).collect::<Vec<_>>()
        };
        last = last.iter().flat_map(longer).collect();
        topics.extend(last.iter().filter(|topic| !topic.is_empty()).cloned());
    }
    topics
}

fn any_filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![4 => proptest::sample::select(&WORDS[..]), 3 => Just("+")];
    (proptest::collection::vec(level, 0..DEEPEST_FILTER), any::<bool>())
        .prop_map(|(mut levels, hash)| {
            if hash {
                levels.push("#");
            }
            levels.join("/")
        })
        .prop_filter("not empty", |filter| !filter.is_empty())
}

fn any_rule() -> impl Strategy<Value = ModelRule> {
    let actions = proptest::sample::subsequence(&Action::ALL[..], 1..=3);
    (1..=3u8, proptest::bool::weighted(0.6), actions, any_filter())
        .prop_map(|(tier, allow, actions, filter)| ModelRule { tier, allow, actions, filter })
        .prop_filter("loads", |rule| {
            !(rule.allow && rule.filter.starts_with('$') && rule.actions.contains(&Action::Publish))
        })
}

/// Loads the rules, through their text.
fn load(rules: &[ModelRule]) -> Policy {
    let text = |it: &ModelRule| {
        let actions: Vec<_> = it.actions.iter().map(|action| action.as_str()).collect();
        let effect = if it.allow { "allow" } else { "deny" };
        format!("tier = {}\n{}", it.tier, rule("users", effect, &actions, &[&it.filter]))
    };
    let texts: Vec<_> = rules.iter().map(text).collect();
    policy_of(&texts.iter().map(String::as_str).collect::<Vec<_>>())
}

fn compile(rules: &[ModelRule]) -> Rights {
    load(rules).rights(&user("u"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a_decision_is_what_tiers_and_denials_say(rules in proptest::collection::vec(any_rule(), 0..7)) {
        let rights = compile(&rules);
        for topic in world() {
            let name = TopicName::parse(&topic).unwrap();
            for action in Action::ALL {
                let decision = rights.decide(action, name);
                prop_assert_eq!(decision.allowed, model_decides(&rules, action, &topic), "{} {}", action, topic);
                prop_assert!(decision.rule.is_some() || !decision.allowed);
            }
        }
    }

    #[test]
    fn a_subscription_is_granted_if_and_only_if_something_of_it_can_be_read(
        rules in proptest::collection::vec(any_rule(), 0..7),
        filter in any_filter(),
    ) {
        let rights = compile(&rules);
        let can = |action, topic: &String| model_decides(&rules, action, topic);
        let matched: Vec<_> = world().into_iter().filter(|topic| model_matches(&filter, topic)).collect();
        let readable = matched.iter().any(|t| can(Action::Subscribe, t) && can(Action::Receive, t));
        let shareable = matched.iter().all(|t| can(Action::Share, t));
        let parsed = TopicFilter::parse(&filter).unwrap();
        let (plain, shared) = (rights.decide_subscribe(parsed, false), rights.decide_subscribe(parsed, true));
        prop_assert_eq!(plain.allowed, readable);
        prop_assert_eq!(shared.allowed, readable && shareable);
        prop_assert!(plain.rule.is_some() || !plain.allowed);
    }

    #[test]
    fn a_subscription_is_classed_by_what_each_of_its_topics_would_say(
        rules in proptest::collection::vec(any_rule(), 0..7),
        filter in any_filter(),
    ) {
        let rights = compile(&rules);
        let answers: Vec<_> = world()
            .iter()
            .filter(|topic| model_matches(&filter, topic))
            .map(|topic| model_decides(&rules, Action::Receive, topic))
            .collect();
        let expected = match (answers.contains(&true), answers.contains(&false)) {
            (false, _) => Reading::Never,
            (true, false) => Reading::Covered,
            (true, true) => Reading::Mixed,
        };
        prop_assert_eq!(rights.class(&filter), expected);
    }

    #[test]
    fn what_would_arrive_is_what_can_be_read(
        rules in proptest::collection::vec(any_rule(), 0..7),
        filter in any_filter(),
    ) {
        let explanation = load(&rules).explain(&user("u"), Action::Subscribe, &filter).unwrap();
        for topic in world().iter().filter(|topic| model_matches(&filter, topic)) {
            let arrives = explanation.arriving.iter().any(|arrival| {
                model_matches(&arrival.filter, topic)
                    && !arrival.except.iter().any(|(except, _)| model_matches(except, topic))
            });
            prop_assert_eq!(arrives, model_decides(&rules, Action::Receive, topic), "{}", topic);
        }
    }
}

/// A rule of an earlier tier makes a part readable that a later denial closes as a whole. Deciding by the wider part
/// alone refused this subscription.
#[test]
fn a_narrow_part_opened_by_an_earlier_tier_is_found() {
    let rights = policy_of(&[
        &format!("tier = 1\n{}", rule("users", "allow", &["receive"], &["a/x"])),
        &format!("tier = 2\n{}", rule("users", "deny", &["receive"], &["a/+"])),
        &format!("tier = 3\n{}", rule("users", "allow", &["subscribe"], &["a/+"])),
    ])
    .rights(&user("u"));
    assert!(rights.may("subscribe", "a/+"));
    assert!(rights.may("subscribe", "a/x"));
    assert!(!rights.may("subscribe", "a/y"));
}

/// `+` and `/#` meet in the empty text, which is no topic; the subscription was classed as if it were one.
#[test]
fn the_empty_topic_which_there_is_not_makes_nothing_readable() {
    let rights = policy(&rule("users", "allow", &["receive"], &["+"])).rights(&user("u"));
    assert_eq!(rights.class("/#"), Reading::Never);
    let rights = policy(&rule("users", "allow", &["receive"], &["/+/#"])).rights(&user("u"));
    assert_eq!(rights.class("/#"), Reading::Covered);
}

/// What an earlier tier lets arrive does not lift a later tier's refusal to subscribe.
#[test]
fn a_readable_topic_that_may_not_be_subscribed_to_is_refused() {
    let rights = policy_of(&[
        &format!("tier = 1\n{}", rule("users", "allow", &["receive"], &["a"])),
        &format!("tier = 2\n{}", rule("users", "deny", &["subscribe"], &["a"])),
        &format!("tier = 3\n{}", rule("users", "allow", &["subscribe"], &["a"])),
    ])
    .rights(&user("u"));
    assert!(rights.may("receive", "a"));
    assert!(!rights.may("subscribe", "a"));
}
