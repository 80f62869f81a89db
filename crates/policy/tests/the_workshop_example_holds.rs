//! `dev01` publishes its status and receives what it shall display; only the application `dev02` reads every
//! status and writes every display and interval.

mod support;
use keyward_policy::Reading;
use support::*;

#[test]
fn dev01_publishes_its_status_and_receives_display_and_interval() {
    let dev01 = policy(WORKSHOP).rights(&device("dev01"));
    assert!(dev01.may("publish", "dev01/status"));
    for topic in ["dev01/display", "dev01/interval"] {
        assert!(dev01.may("subscribe", topic) && dev01.may("receive", topic), "{topic}");
        assert!(!dev01.may("publish", topic), "{topic}");
    }
    assert!(!dev01.may("receive", "dev01/status"));
    assert!(!dev01.may("publish", "dev03/status"));
    assert!(!dev01.may("receive", "dev03/display"));
}

#[test]
fn the_application_reads_every_status_and_writes_every_display_and_interval() {
    let dev02 = policy(WORKSHOP).rights(&user("dev02"));
    for id in ["dev01", "dev03"] {
        assert!(dev02.may("receive", &format!("{id}/status")));
        assert!(dev02.may("publish", &format!("{id}/display")));
        assert!(dev02.may("publish", &format!("{id}/interval")));
        assert!(!dev02.may("publish", &format!("{id}/status")));
        assert!(!dev02.may("receive", &format!("{id}/display")));
    }
}

#[test]
fn the_application_may_subscribe_to_everything_and_receives_only_what_it_may() {
    let dev02 = policy(WORKSHOP).rights(&user("dev02"));
    assert!(dev02.may("subscribe", "#"));
    assert_eq!(dev02.class("#"), Reading::Mixed);
    assert_eq!(dev02.class("dev01/+"), Reading::Mixed);
    assert_eq!(dev02.class("+/status"), Reading::Covered);
    assert_eq!(dev02.class("+/display"), Reading::Never);
    assert!(!dev02.may("subscribe", "dev01/display"));
}

#[test]
fn a_device_that_is_called_like_the_application_is_not_the_application() {
    let imposter = policy(WORKSHOP).rights(&device("dev02"));
    assert!(!imposter.may("receive", "dev01/status"));
    assert!(!imposter.may("publish", "dev01/display"));
}

#[test]
fn other_users_may_do_nothing() {
    assert!(policy(WORKSHOP).rights(&user("ann")).allows_nothing());
}
