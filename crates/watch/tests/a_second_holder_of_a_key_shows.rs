//! Who signs with a copied key shows, and a device that keeps messages, restarts or changes its key is not taken for two.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod story;

use keyward_watch::event::{Claims, Event, Place, Proof, Scope, UnixMillis};
use keyward_watch::finding::{Class, Confidence, Severity, Turn};
use story::*;

#[test]
fn two_messages_under_one_number_prove_it_at_once() {
    let mut story = Story::begin();
    story.proof(Proof::Equivocation);
    assert_eq!(story.found(), [(Class::Equivocation, Confidence::Proven, Severity::Critical)]);
}

#[test]
fn a_number_that_is_behind_may_be_a_lost_count_and_the_second_is_proof() {
    let mut story = Story::begin();
    story.proof(Proof::NumberBehind);
    assert_eq!(story.found(), [(Class::NumbersBehind, Confidence::High, Severity::High)]);
    story.wait(DAY);
    story.proof(Proof::NumberBehind);
    assert_eq!(story.found(), [(Class::NumbersBehind, Confidence::Proven, Severity::Critical)]);
}

#[test]
fn what_happened_half_a_year_ago_is_no_first_sign() {
    let mut story = Story::begin();
    story.proof(Proof::NumberBehind);
    story.wait(180 * DAY);
    story.findings();
    story.proof(Proof::NumberBehind);
    assert_eq!(story.found(), [(Class::NumbersBehind, Confidence::High, Severity::High)]);
}

#[test]
fn a_copy_that_counts_on_from_the_next_start_shows_when_the_device_speaks_again() {
    let mut story = Story::begin();
    story.signed(7, 1);
    story.wait(HOUR);
    // The copy starts, and counts that.
    story.signed(8, 1);
    story.wait(10 * MINUTE);
    assert_eq!(story.found(), []);
    story.signed(7, 2);
    assert_eq!(story.found(), [(Class::EpochsInterleave, Confidence::Proven, Severity::Critical)]);
}

#[test]
fn a_copy_that_speaks_in_between_shows_though_clocks_are_not_believed_to_the_second() {
    let mut story = Story::begin();
    for round in 1..=10 {
        story.signed(7, round);
        story.wait(30 * SECOND);
        story.signed(8, round);
        story.wait(30 * SECOND);
    }
    assert_eq!(
        story.found().first(),
        Some(&(Class::EpochsInterleave, Confidence::Proven, Severity::Critical))
    );
}

/// A device without a link keeps what it signs, is switched off and on, and says what is new before what it kept, or in between.
#[test]
fn messages_of_an_earlier_start_that_were_kept_are_no_copy() {
    let mut story = Story::begin();
    story.signed(7, 1);
    story.wait(6 * HOUR);
    for message in 0..120 {
        story.signed(8, 1 + message);
        story.wait(MINUTE / 2);
        // Made each two minutes while it was away, and sent one each minute.
        let ago = (HOUR + 120 * MINUTE).saturating_sub(2 * MINUTE * message) + message * MINUTE;
        story.signed_late(7, 2 + message, ago);
        story.wait(MINUTE / 2);
    }
    assert_eq!(story.found(), []);
}

#[test]
fn restarts_are_no_copies() {
    let mut story = Story::begin();
    for epoch in 1..50 {
        story.signed(epoch, 1);
        story.wait(20 * MINUTE);
        story.signed(epoch, 2);
        story.wait(20 * MINUTE);
    }
    assert_eq!(story.found(), []);
}

#[test]
fn a_device_that_was_flashed_and_counts_from_one_is_told_once_and_is_not_taken_for_two() {
    let mut story = Story::begin();
    for epoch in [1, 2, 3] {
        story.signed(epoch, 900);
        story.wait(HOUR);
    }
    for epoch in [1, 2, 3, 4] {
        story.signed(epoch, 1);
        story.wait(HOUR);
    }
    assert_eq!(story.found(), [], "the broker sees its numbers, which are behind");
    story.signed(9, 1);
    story.wait(HOUR);
    story.signed(5, 1);
    assert_eq!(story.found(), [(Class::NumbersBehind, Confidence::High, Severity::High)]);
}

/// A script signs with a key of its own, and counts by itself.
#[test]
fn each_key_counts_by_itself() {
    let mut story = Story::begin();
    for count in 1..20 {
        for (key, epoch) in [(1, 7), (2, 0)] {
            story.claims(Claims { key, epoch, count, made: story.now, key_level: 1 });
            story.wait(HOUR);
        }
    }
    assert_eq!(story.found(), []);
}

#[test]
fn two_that_run_at_the_same_time_show_by_their_heartbeats() {
    let mut story = Story::begin();
    let mut found = Vec::new();
    for minute in 0..60 {
        story.beat(5, 10 * HOUR + minute * MINUTE);
        if minute >= 30 {
            story.beat(6, (minute - 29) * MINUTE);
        }
        story.wait(MINUTE);
        found.extend(story.found());
    }
    let (class, confidence, severity) = *found.first().unwrap();
    assert_eq!((class, severity), (Class::EpochsInterleave, Severity::Critical));
    assert_eq!(confidence, Confidence::High, "heartbeats have no date: it is no proof");
    assert!(found.len() <= 3, "told again each ten minutes at most: {found:?}");
}

#[test]
fn a_device_that_restarts_or_sleeps_or_sends_late_runs_once() {
    let mut story = Story::begin();
    for day in 1..=3_u64 {
        // It restarts each day, and its heartbeats come at once.
        for minute in 0..120 {
            story.beat(day, minute * MINUTE);
            story.wait(MINUTE);
        }
        // Then it is away, and what it kept comes in one go, in between what it says now.
        story.wait(4 * HOUR);
        for minute in 0..30 {
            story.beat(day, (120 + minute) * MINUTE);
            story.wait(SECOND);
            story.beat(day + 1, minute * SECOND);
        }
        story.wait(DAY);
    }
    // Its uptime goes on over a restart of its program.
    for minute in 0..60 {
        story.beat(100 + minute / 10, minute * MINUTE);
        story.wait(MINUTE);
    }
    assert_eq!(story.found(), []);
}

#[test]
fn two_that_ran_at_the_same_time_are_told_while_they_do_and_not_for_ever() {
    let mut story = Story::begin();
    for minute in 0..60 {
        story.beat(5, 10 * HOUR + minute * MINUTE);
        story.beat(6, minute * MINUTE);
        story.wait(MINUTE);
    }
    assert!(!story.found().is_empty());
    for minute in 60..600 {
        story.beat(5, 10 * HOUR + minute * MINUTE);
        story.wait(MINUTE);
    }
    assert_eq!(story.found(), []);
}

/// It ran for ninety minutes without a link, restarted, got one, and later says what it kept: nothing tells when the first run began.
#[test]
fn a_run_of_which_nothing_was_heard_in_time_proves_nothing() {
    let mut story = Story::begin();
    for minute in 30..90 {
        story.beat(6, minute * MINUTE);
        story.wait(MINUTE);
    }
    for turn in 0..30 {
        story.beat(6, 90 * MINUTE + turn * SECOND);
        story.beat(5, 80 * MINUTE + turn * 20 * SECOND);
        story.wait(SECOND);
    }
    assert_eq!(story.found(), []);
}

#[test]
fn a_key_that_is_kept_worse_than_the_one_before_is_a_copy_and_a_better_one_is_not() {
    let mut story = Story::begin();
    for (key, level) in [(1, 1), (2, 3)] {
        for _ in 0..3 {
            story.signed_by(key, level, 0);
            story.wait(DAY);
        }
    }
    // What was signed with the key before comes late.
    story.signed_by(1, 1, 4 * DAY);
    assert_eq!(story.found(), []);
    story.signed_by(1, 1, 0);
    assert_eq!(story.found(), [(Class::KeyLevelFell, Confidence::Proven, Severity::Critical)]);
}

#[test]
fn two_keys_side_by_side_are_no_fall() {
    let mut story = Story::begin();
    for _ in 0..100 {
        story.signed_by(2, 3, 0);
        story.wait(HOUR);
        story.signed_by(1, 1, 0);
        story.wait(HOUR);
    }
    assert_eq!(story.found(), []);
}

#[test]
fn three_different_replays_are_told_and_prove_nothing() {
    let mut story = Story::begin();
    for message in [1, 2, 2, 1, 2] {
        story.proof(Proof::Replay { message });
        story.wait(MINUTE);
    }
    assert_eq!(story.found(), [], "one message again and again is a retry");
    story.proof(Proof::Replay { message: 3 });
    assert_eq!(story.found(), [(Class::Replay, Confidence::Medium, Severity::Medium)]);
}

#[test]
fn a_burst_of_bad_signatures_is_told_and_proves_nothing() {
    let mut story = Story::begin();
    for _ in 0..20 {
        story.proof(Proof::BadSignature);
        story.wait(31 * SECOND);
    }
    assert_eq!(story.found(), [], "two within a minute");
    for _ in 0..3 {
        story.proof(Proof::BadSignature);
        story.wait(5 * SECOND);
    }
    assert_eq!(story.found(), [(Class::BadSignatures, Confidence::Medium, Severity::High)]);
}

#[test]
fn what_proves_nothing_is_over_when_it_stops_and_what_is_proven_stays() {
    let mut story = Story::begin();
    for message in 0..30 {
        story.proof(Proof::Replay { message });
        story.proof(Proof::Equivocation);
        story.wait(MINUTE);
    }
    let told = story.found();
    assert_eq!(
        told.iter().filter(|(class, ..)| *class == Class::Replay).count(),
        3,
        "each ten minutes: {told:?}"
    );
    story.wait(50 * MINUTE);
    assert_eq!(story.over(), []);
    story.wait(30 * DAY);
    assert_eq!(story.over(), [Class::Replay]);
}

#[test]
fn maintenance_mutes_no_evidence_of_a_copy() {
    let mut story = Story::begin();
    story.tell(Event::Maintenance { scope: Scope::Everything, until: story.now.plus(DAY) });
    story.proof(Proof::Equivocation);
    story.proof(Proof::NumberBehind);
    let classes: Vec<_> = story.found().into_iter().map(|(class, ..)| class).collect();
    assert_eq!(classes, [Class::Equivocation, Class::NumbersBehind]);
}

#[test]
fn a_device_that_was_removed_is_forgotten() {
    let mut story = Story::begin();
    story.proof(Proof::NumberBehind);
    for message in 0..3 {
        story.proof(Proof::Replay { message });
    }
    story.findings();
    story.tell(Event::Removed { device: pump() });
    story.proof(Proof::Equivocation);
    story.wait(DAY);
    assert_eq!(story.findings(), [], "nothing is expected of it");
    story.tell(Event::Registered { device: pump(), place: Place::default() });
    story.proof(Proof::NumberBehind);
    assert_eq!(
        story.found(),
        [(Class::NumbersBehind, Confidence::High, Severity::High)],
        "the first of its new life"
    );
}

#[test]
fn a_finding_says_what_was_seen_and_when() {
    let mut story = Story::begin();
    story.signed(7, 1);
    story.wait(HOUR);
    story.signed(8, 1);
    story.wait(HOUR);
    story.signed(7, 2);
    let finding = story.findings().remove(0);
    let evidence: Vec<(UnixMillis, &str)> =
        finding.evidence.iter().map(|seen| (seen.at, &*seen.what)).collect();
    let start = UnixMillis(story.now.0 - 2 * HOUR);
    assert_eq!((finding.turn, finding.at), (Turn::Set, story.now));
    assert_eq!(
        evidence,
        [
            (start, "start 7 was heard"),
            (start.plus(HOUR), "start 8 was heard"),
            (story.now, "start 7 goes on, in a message that was signed after that"),
        ]
    );
}

/// A second holder says first, without a signature, what makes two starts overlap: what is proven afterwards is told all the same.
#[test]
fn what_anybody_can_say_hides_no_proof() {
    let mut story = Story::begin();
    story.signed(7, 1);
    for minute in 0..10 {
        story.beat(5, 10 * HOUR + minute * MINUTE);
        story.beat(6, minute * MINUTE);
        story.wait(MINUTE);
    }
    assert_eq!(story.found(), [(Class::EpochsInterleave, Confidence::High, Severity::Critical)]);
    story.signed(8, 1);
    story.wait(6 * MINUTE);
    story.beat(5, 10 * HOUR + 17 * MINUTE);
    story.beat(6, 17 * MINUTE);
    story.found();
    story.signed(7, 2);
    assert_eq!(story.found(), [(Class::EpochsInterleave, Confidence::Proven, Severity::Critical)]);
}
