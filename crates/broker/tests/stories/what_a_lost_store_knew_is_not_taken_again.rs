//! Rule 21 where numbers were lost: a store that began anew or was restored does not take what may have been taken before.

use crate::devices_without_a_clock::undated;
use crate::disk::in_every_stored_world;
use crate::peer::Peer;
use crate::signed_messages_count_once::{acks, begin, demand, publish, reader_and_pump, sealed};
use crate::world::{World, in_every_world, nonce_of};
use keyward_broker::{DeniedAction, Unfit};
use keyward_mqtt::packet::Qos;
use keyward_mqtt::reason::ReasonCode;
use keyward_store::Batch;

fn is_refused(w: &mut World, pump: Peer, payload: &[u8]) {
    publish(w, pump, payload, Qos::AtLeastOnce, 7);
    assert_eq!(acks(w, pump), [ReasonCode::NotAuthorized]);
    assert_eq!(w.denials.pop().unwrap().action, DeniedAction::Signed(Unfit::BeforeRecord));
}

fn is_taken(w: &mut World, (app, pump): (Peer, Peer), payload: &[u8]) {
    publish(w, pump, payload, Qos::AtLeastOnce, 7);
    assert_eq!((acks(w, pump), w.messages(app).len()), (vec![ReasonCode::Success], 1));
}

/// The store was set aside and a new one begun: what somebody had captured was taken once more, for as long as `max_offline`.
#[test]
fn what_was_captured_before_the_store_was_lost_does_not_go_on_again() {
    in_every_stored_world(|w| {
        let both = begin(w);
        let captured = sealed(w, 1, "pump/a", 5, 0, "open");
        is_taken(w, both, &captured);
        w.pass(60);
        w.restore_store(&Batch::new());
        let (app, pump) = reader_and_pump(w);
        is_refused(w, pump, &captured);
        assert_eq!(w.messages(app).len(), 0);
        let new = sealed(w, 1, "pump/a", 6, 0, "open");
        is_taken(w, (app, pump), &new);
        w.pass(60);
        w.crash();
        let (_, pump) = reader_and_pump(w);
        is_refused(w, pump, &captured);
    });
}

/// A backup knows the numbers of its moment: what was taken since then was taken once more.
#[test]
fn what_was_taken_after_the_backup_does_not_go_on_again_when_it_is_restored() {
    in_every_stored_world(|w| {
        let both = begin(w);
        let [known, captured] = [5, 6].map(|number| sealed(w, 1, "pump/a", number, 0, "open"));
        is_taken(w, both, &known);
        let backup = w.back_up();
        is_taken(w, both, &captured);
        w.pass(60);
        w.restore_store(&backup);
        let (app, pump) = reader_and_pump(w);
        publish(w, pump, &known, Qos::AtLeastOnce, 7);
        assert_eq!(acks(w, pump), [ReasonCode::Success], "a repeat, as ever");
        is_refused(w, pump, &captured);
        assert_eq!(w.messages(app).len(), 0);
        let new = sealed(w, 1, "pump/a", 7, 0, "open");
        is_taken(w, (app, pump), &new);
    });
}

#[test]
fn a_broker_without_a_store_knows_no_number_from_before_its_start() {
    in_every_world(|w| {
        w.numbers_since.0 = w.now.0;
        w.build(w.shard_count() as u16);
        w.publish_directory();
        let both = begin(w);
        let kept = sealed(w, 1, "pump/a", 5, 1, "from before");
        is_refused(w, both.1, &kept);
        let new = sealed(w, 1, "pump/a", 6, 0, "open");
        is_taken(w, both, &new);
    });
}

/// Each connection has a nonce of its own: nothing of before was signed with it.
#[test]
fn what_is_signed_for_this_link_is_taken_whatever_was_lost() {
    in_every_stored_world(|w| {
        let _ = begin(w);
        w.restore_store(&Batch::new());
        let (app, pump) = reader_and_pump(w);
        is_taken(w, (app, pump), &undated(&nonce_of(pump.link), 1));
    });
}

#[test]
fn a_device_gets_through_all_that_it_kept_from_before_the_loss() {
    in_every_stored_world(|w| {
        let _ = begin(w);
        w.pass(60);
        w.restore_store(&Batch::new());
        let (app, pump) = reader_and_pump(w);
        for number in 1..=20 {
            let kept = sealed(w, 1, "pump/a", number, 30, "kept");
            is_refused(w, pump, &kept);
        }
        w.rules(&demand("check = \"observe\""));
        let kept = sealed(w, 1, "pump/a", 21, 30, "kept");
        publish(w, pump, &kept, Qos::AtLeastOnce, 7);
        let message = w.messages(app).remove(0);
        assert_eq!(
            (message.payload, message.user),
            (kept, vec![]),
            "it goes on as it is, and nobody vouches for it"
        );
    });
}

/// A clock that was ahead when the store began would have shut out everybody until that moment.
#[test]
fn a_store_that_began_in_the_future_knows_what_was_taken_since_the_start() {
    in_every_stored_world(|w| {
        let _ = begin(w);
        let now = w.now;
        w.now.0 += 86_400_000;
        w.restore_store(&Batch::new());
        w.now = now;
        w.crash();
        let both = reader_and_pump(w);
        let new = sealed(w, 1, "pump/a", 6, 0, "open");
        is_taken(w, both, &new);
    });
}
