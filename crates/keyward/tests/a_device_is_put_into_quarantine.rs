//! Quarantine by command: seen in every listing, on a stopped store too, and ended by one command.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod story;

use story::{Story, said};

#[test]
fn it_is_seen_everywhere_and_ended_by_one_command() {
    let story = Story::stopped();
    story.ok(&["device", "add", "dev01"]);
    let done = story.ok(&["device", "quarantine", "dev01", "--because", "seen in two places"]);
    assert!(
        done.contains("devices/dev01/recovery/") && done.contains("keyward device release dev01"),
        "{done}"
    );
    let again = story.ok(&["device", "quarantine", "dev01", "--because", "something else"]);
    assert!(again.contains("it was so already"), "{again}");
    let list = story.ok(&["device", "list"]);
    assert!(list.contains("active, in quarantine"), "{list}");
    let row = &story.json(&["device", "list"])["devices"][0];
    assert_eq!((&row["quarantine"]["by"], &row["standing"]), (&"operator".into(), &"active".into()));
    assert!(row["quarantine"]["since_unix_ms"].is_u64(), "{row}");
    let show = story.ok(&["device", "show", "dev01"]);
    assert!(show.contains("by the operator: seen in two places"), "{show}");
    let status = story.ok(&["status"]);
    assert!(
        status.contains("1 of the devices in quarantine") && status.contains("incident quarantine"),
        "{status}"
    );
    assert!(story.ok(&["doctor"]).contains("is in quarantine since"));
    assert!(story.ok(&["audit"]).contains("put into quarantine by the operator: seen in two places"));
    let explained = said(&story.run(&["policy", "explain", "--as", "device:dev01", "publish", "dev01/a"]));
    assert!(explained.contains("quarantine:") && explained.contains("device release dev01"), "{explained}");
    let released = story.ok(&["device", "release", "dev01"]);
    assert!(released.contains("keyward device rekey dev01"), "its key is the one of before: {released}");
    let status = story.ok(&["status"]);
    assert!(!status.contains("in quarantine") && !status.contains("incident"), "{status}");
    assert!(!story.ok(&["device", "show", "dev01"]).contains("by the operator"));
}

#[test]
fn a_user_is_refused_with_what_to_do_instead() {
    let story = Story::stopped();
    let refused = said(&story.run(&["device", "quarantine", "user:ben", "--because", "x"]));
    assert!(refused.contains("users are not put into quarantine"), "{refused}");
    let refused = said(&story.run(&["device", "quarantine", "dev01"]));
    assert!(refused.contains("--because"), "{refused}");
}
