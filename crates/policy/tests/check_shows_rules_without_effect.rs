//! What `policy check` finds in a policy that loads.

mod support;
use keyward_policy::{Finding, Policy};
use support::*;

fn shown(policy: &Policy, subjects: &[keyward_policy::Subject]) -> Vec<String> {
    policy.check(subjects).iter().map(Finding::to_string).collect()
}

#[test]
fn the_built_in_policy_with_devices_has_nothing_to_show() {
    assert!(shown(&Policy::builtin(), &[device("d"), found("m")]).is_empty());
    assert!(shown(&Policy::builtin(), &[]).is_empty());
}

#[test]
fn a_placeholder_that_means_nothing_for_someone_is_shown_with_everyone_it_concerns() {
    let policy = policy(&rule("devices", "allow", &["publish"], &["x", "{type}/x"]));
    let mut devices: Vec<_> = (0..7).map(|n| device(&format!("d{n}"))).collect();
    devices.push(placed("ok", "pump", "north"));
    assert_eq!(
        shown(&policy, &devices),
        [
            "policy.d/test.toml:1 does not apply to device:d0, device:d1, device:d2, device:d3, device:d4 and 2 more: \
          it has no {type} (allow publish for devices on \"{type}/x\")"
        ]
    );
    let [Finding::DoesNotApply { subjects, .. }] = &policy.check(&devices)[..] else { panic!() };
    assert_eq!(subjects.len(), 7);
}

#[test]
fn a_rule_for_nobody_who_exists_is_shown() {
    let policy = policy(&rule("user:nan", "allow", &["publish"], &["x"]));
    assert_eq!(
        shown(&policy, &[device("d"), device("nan")]),
        ["policy.d/test.toml:1 speaks of nobody who exists (allow publish for user:nan on \"x\")"]
    );
}

#[test]
fn a_user_who_may_do_nothing_is_shown_until_a_rule_allows_something() {
    assert_eq!(
        shown(&Policy::builtin(), &[user("ann")]),
        ["user:ann may do nothing: no rule allows it anything"]
    );
    let deny_only = policy(&rule("users", "deny", &["publish"], &["x"]));
    assert_eq!(shown(&deny_only, &[user("ann")]).len(), 1);
    let allowed = policy(&rule("users", "allow", &["publish"], &["x"]));
    assert!(shown(&allowed, &[user("ann")]).is_empty());
}
