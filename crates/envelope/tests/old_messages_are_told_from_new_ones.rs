//! The ages of readings and commands, at both sides of each bound.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use keyward_envelope::freshness::{Age, Stale, of_command, of_reading};
use keyward_envelope::{Claims, Nonce, Sequence};

const NOW: u64 = 1_795_000_000;
const WEEK: u64 = 7 * 86_400;

fn nonce(byte: u8) -> Nonce {
    Nonce::new(&[byte; 8]).unwrap()
}

fn issued(at: u64) -> Claims {
    Claims::issued_at(Sequence(1), at)
}

#[test]
fn a_reading_is_fresh_then_late_then_too_old() {
    let judge = |at| of_reading(&issued(at), NOW, None, WEEK);
    assert_eq!(judge(NOW), Ok(Age::Fresh));
    assert_eq!(judge(NOW - 300), Ok(Age::Fresh));
    assert_eq!(judge(NOW - 301), Ok(Age::Late));
    assert_eq!(judge(NOW - WEEK), Ok(Age::Late));
    assert_eq!(judge(NOW - WEEK - 1), Err(Stale::TooOld));
    assert_eq!(judge(0), Err(Stale::TooOld));
    assert_eq!(judge(NOW + 300), Ok(Age::Fresh));
    assert_eq!(judge(NOW + 301), Err(Stale::Future));
    assert_eq!(judge(u64::MAX), Err(Stale::Future));
}

#[test]
fn a_reading_that_says_when_it_ends_is_not_good_after() {
    let judge = |claims: Claims| of_reading(&claims, NOW, Some(&nonce(1)), WEEK);
    assert_eq!(judge(issued(NOW).until(NOW)), Ok(Age::Fresh));
    assert_eq!(judge(issued(NOW).until(NOW - 1)), Err(Stale::Expired));
    assert_eq!(judge(Claims::in_session(Sequence(1), nonce(1)).until(NOW - 1)), Err(Stale::Expired));
}

#[test]
fn a_reading_without_a_date_is_good_in_its_own_session_only() {
    let claims = Claims::in_session(Sequence(1), nonce(1));
    assert_eq!(of_reading(&claims, NOW, Some(&nonce(1)), WEEK), Ok(Age::Fresh));
    assert_eq!(of_reading(&claims, NOW, Some(&nonce(2)), WEEK), Err(Stale::OtherSession));
    assert_eq!(of_reading(&claims, NOW, None, WEEK), Err(Stale::OtherSession));
    let both = Claims { nonce: Some(nonce(1)), ..issued(NOW) };
    assert_eq!(of_reading(&both, NOW, Some(&nonce(2)), WEEK), Err(Stale::OtherSession));
}

#[test]
fn a_command_without_nonce_is_good_for_a_minute_or_until_it_ends() {
    let judge = |claims: Claims| of_command(&claims, Some(NOW), Some(&nonce(1)));
    assert_eq!(judge(issued(NOW - 60)), Ok(()));
    assert_eq!(judge(issued(NOW - 61)), Err(Stale::TooOld));
    assert_eq!(judge(issued(NOW + 60)), Ok(()));
    assert_eq!(judge(issued(NOW + 61)), Err(Stale::Future));
    assert_eq!(judge(issued(NOW - 3_600).until(NOW)), Ok(()), "it said for how long");
    assert_eq!(judge(issued(NOW - 3_600).until(NOW - 1)), Err(Stale::Expired));
    assert_eq!(judge(issued(NOW).until(NOW - 1)), Err(Stale::Expired));
    assert_eq!(judge(issued(NOW + 61).until(u64::MAX)), Err(Stale::Future));
}

#[test]
fn a_command_with_the_last_nonce_is_good_without_a_clock_and_no_other_is() {
    let with = |byte| Claims::in_session(Sequence(1), nonce(byte));
    assert_eq!(of_command(&with(1), None, Some(&nonce(1))), Ok(()));
    assert_eq!(of_command(&with(1), None, Some(&nonce(2))), Err(Stale::OtherSession));
    assert_eq!(of_command(&with(1), None, None), Err(Stale::OtherSession));
    assert_eq!(of_command(&issued(NOW), None, Some(&nonce(1))), Err(Stale::NoClock));
    assert_eq!(of_command(&with(1), Some(NOW), Some(&nonce(1))), Ok(()));
    assert_eq!(of_command(&with(1).until(NOW - 1), Some(NOW), Some(&nonce(1))), Err(Stale::Expired));
    let dated = Claims { nonce: Some(nonce(2)), ..issued(NOW) };
    assert_eq!(of_command(&dated, Some(NOW), Some(&nonce(1))), Err(Stale::OtherSession));
}

#[test]
fn a_nonce_has_eight_to_sixteen_bytes() {
    for (len, good) in [(0, false), (7, false), (8, true), (16, true), (17, false)] {
        assert_eq!(Nonce::new(&vec![1; len]).is_some(), good, "{len}");
    }
}
