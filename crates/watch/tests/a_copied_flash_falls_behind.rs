//! Of two that hold the flash of one device one is found out soon, and a device alone never is, wherever its power fails.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use keyward_watch::ratchet::{Answer, Claim, Ratchet, Unreadable};
use proptest::prelude::*;

/// What a device has in its flash: the number of its secret. Who knows the number knows the secret, in these stories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flash(Option<u64>);

impl Flash {
    fn claim(self) -> Claim {
        self.0.map_or(Claim::Nothing, |number| Claim::Secret { number, is_right: true })
    }

    fn store(&mut self, number: u64) {
        if self.0.is_none_or(|own| number > own) {
            self.0 = Some(number);
        }
    }
}

/// How far a connection comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// The link breaks before the answer is there.
    Answer,
    /// The broker is killed before it has stored what it decided.
    Decided,
    /// The broker has stored it, and what it gives is lost; or the device is cut off before it has stored that.
    Stored,
    /// All is well.
    End,
}

/// A broker with its disk.
#[derive(Debug, Default)]
struct Broker {
    disk: Ratchet,
}

impl Broker {
    /// Lets a device connect. Returns whether it was taken for another.
    fn connect(&mut self, flash: &mut Flash, until: Until) -> bool {
        if until == Until::Answer {
            return false;
        }
        let mut ratchet = Ratchet::from_bytes(&self.disk.to_bytes()).unwrap();
        let answer = ratchet.answer(flash.claim());
        if until == Until::Decided {
            return matches!(answer, Answer::Stale | Answer::Empty);
        }
        self.disk = ratchet;
        match answer {
            Answer::Current { give } if until == Until::End => flash.store(give),
            Answer::Current { .. } => {}
            Answer::Stale | Answer::Empty => return true,
            Answer::Wrong => panic!("the device knows its secret"),
        }
        false
    }
}

fn until() -> impl Strategy<Value = Until> {
    prop::sample::select(vec![Until::Answer, Until::Decided, Until::Stored, Until::End, Until::End])
}

/// A device that has connected some times, however that went.
fn life() -> impl Strategy<Value = (Broker, Flash)> {
    prop::collection::vec(until(), 0..30).prop_map(|connections| {
        let (mut broker, mut flash) = (Broker::default(), Flash(None));
        for until in connections {
            broker.connect(&mut flash, until);
        }
        (broker, flash)
    })
}

#[test]
fn each_connection_has_a_secret_of_its_own() {
    let (mut broker, mut flash) = (Broker::default(), Flash(None));
    for number in 1..=5 {
        assert!(!broker.connect(&mut flash, Until::End));
        assert_eq!(flash, Flash(Some(number)));
    }
}

/// A weak battery gives way each time the radio is on.
#[test]
fn a_device_that_fails_a_hundred_times_before_it_has_stored_is_not_taken_for_another() {
    let (mut broker, mut flash) = (Broker::default(), Flash(None));
    broker.connect(&mut flash, Until::End);
    for _ in 0..100 {
        assert!(!broker.connect(&mut flash, Until::Stored));
    }
    assert!(!broker.connect(&mut flash, Until::End));
    assert!(!broker.connect(&mut flash, Until::End));
}

#[test]
fn once_the_device_has_connected_a_copy_of_its_flash_is_used_up() {
    let (mut broker, mut flash) = (Broker::default(), Flash(None));
    broker.connect(&mut flash, Until::End);
    let mut copy = flash;
    assert!(!broker.connect(&mut flash, Until::End));
    assert!(!broker.connect(&mut flash, Until::End));
    assert!(broker.connect(&mut copy, Until::End));
    assert!(broker.connect(&mut copy, Until::End), "and stays so");
    assert!(!broker.connect(&mut flash, Until::End), "and the device goes on");
}

#[test]
fn a_copy_that_is_first_is_found_out_by_the_device() {
    let (mut broker, mut flash) = (Broker::default(), Flash(None));
    broker.connect(&mut flash, Until::End);
    let mut copy = flash;
    assert!(!broker.connect(&mut copy, Until::End));
    assert!(!broker.connect(&mut copy, Until::End));
    assert!(broker.connect(&mut flash, Until::End));
}

/// A thief has the certificate and not the secret, and says that it knows none.
#[test]
fn who_says_that_it_knows_nothing_is_not_let_off() {
    let (mut broker, mut flash) = (Broker::default(), Flash(None));
    broker.connect(&mut flash, Until::End);
    broker.connect(&mut flash, Until::End);
    assert!(broker.connect(&mut Flash(None), Until::End));
}

#[test]
fn a_wrong_tag_changes_nothing_and_accuses_nobody() {
    let (mut broker, mut flash) = (Broker::default(), Flash(None));
    broker.connect(&mut flash, Until::End);
    let mut ratchet = broker.disk;
    for number in [0, 1, 2, u64::MAX] {
        assert_eq!(ratchet.answer(Claim::Secret { number, is_right: false }), Answer::Wrong);
    }
    assert_eq!(ratchet.answer(Claim::Secret { number: 0, is_right: true }), Answer::Wrong);
    assert_eq!(ratchet.answer(Claim::Secret { number: u64::MAX, is_right: true }), Answer::Wrong);
    assert_eq!(ratchet, broker.disk);
}

/// The store of the server comes from a backup, and devices hold later secrets than it knows of.
#[test]
fn a_restored_server_accuses_no_device() {
    let (mut broker, mut flash) = (Broker::default(), Flash(None));
    broker.connect(&mut flash, Until::End);
    let backup = broker.disk;
    for _ in 0..10 {
        broker.connect(&mut flash, Until::End);
    }
    broker.disk = backup;
    for _ in 0..10 {
        assert!(!broker.connect(&mut flash, Until::End));
    }
}

#[test]
fn what_was_stored_is_read_strictly() {
    let mut ratchet = Ratchet::new();
    let _ = ratchet.answer(Claim::Nothing);
    let bytes = ratchet.to_bytes();
    assert_eq!(Ratchet::from_bytes(&bytes), Ok(ratchet));
    assert_eq!(Ratchet::from_bytes(&bytes[1..]), Err(Unreadable::Length(16)));
    let mut other = bytes;
    other[0] = 2;
    assert_eq!(Ratchet::from_bytes(&other), Err(Unreadable::Version(2)));
    let mut other = bytes;
    other[8] = 1;
    assert_eq!(Ratchet::from_bytes(&other), Err(Unreadable::Numbers { used: 1, given: 1 }));
}

proptest! {
    #[test]
    fn a_device_alone_is_never_taken_for_another(connections in prop::collection::vec(until(), 0..60)) {
        let (mut broker, mut flash) = (Broker::default(), Flash(None));
        for until in connections {
            prop_assert!(!broker.connect(&mut flash, until));
        }
    }

    #[test]
    fn once_a_device_and_its_copy_have_both_connected_twice_one_was_found_out(
        (mut broker, mut flash) in life(),
        order in prop::collection::vec(any::<bool>(), 3..20),
    ) {
        // A copy of a device that has not begun begins too; that is the matter of claim codes.
        prop_assume!(flash.0.is_some());
        let mut copy = flash;
        let mut connections = [0, 0];
        let mut found = false;
        for by_copy in order {
            found |= broker.connect(if by_copy { &mut copy } else { &mut flash }, Until::End);
            connections[usize::from(by_copy)] += 1;
            prop_assert!(found || connections[0] < 2 || connections[1] < 2);
        }
    }

    #[test]
    fn it_is_read_as_it_was_written(claims in prop::collection::vec((any::<u64>(), any::<bool>()), 0..20)) {
        let mut ratchet = Ratchet::new();
        for (number, is_right) in claims {
            let _ = ratchet.answer(if number % 7 == 0 { Claim::Nothing } else { Claim::Secret { number, is_right } });
            prop_assert_eq!(Ratchet::from_bytes(&ratchet.to_bytes()), Ok(ratchet));
        }
    }

    #[test]
    fn what_is_read_is_what_was_written(bytes in prop::collection::vec(prop_oneof![Just(0), Just(1), any::<u8>()], 17)) {
        if let Ok(ratchet) = Ratchet::from_bytes(&bytes) {
            prop_assert_eq!(ratchet.to_bytes().to_vec(), bytes);
        }
    }
}
