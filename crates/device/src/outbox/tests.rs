//! Nothing that was taken is lost, nothing comes twice in effect, the order stays: whenever the power fails.

use super::*;
use crate::disk::power::Power;
use crate::limits::OUTBOX_BYTES_LEAST;
use crate::testing::{Chip, Dice};

const SMALL: Settings = Settings { max_entries: 1_000, max_bytes: OUTBOX_BYTES_LEAST, full: Full::Refuse };

fn open(power: &Power) -> Result<Outbox, StateError> {
    open_with(power, SMALL)
}

fn open_with(power: &Power, settings: Settings) -> Result<Outbox, StateError> {
    Outbox::open_in(Box::new(power.clone()), settings, &Chip::named(1))
}

/// A message that says which it is, some of them long.
fn message(number: u64) -> Entry {
    let len = if number.is_multiple_of(3) { 30_000 } else { 40 };
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(len, number as u8);
    Entry::new(format!("plant/pump-1/{number}"), payload)
}

fn messages(numbers: impl Iterator<Item = u64>) -> Vec<Entry> {
    numbers.map(message).collect()
}

fn waiting(outbox: &mut Outbox) -> Vec<u64> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let found = outbox.peek(after, 7).unwrap();
        let Some(last) = found.last() else { return all };
        after = last.id;
        for Waiting { entry, .. } in found {
            let number = u64::from_be_bytes(entry.payload[..8].try_into().unwrap());
            assert_eq!(entry, message(number));
            all.push(number);
        }
    }
}

/// What the owner of an outbox knows: messages up to `taken` are stored, up to `done` acknowledged; `tried` is what it tried to store.
#[derive(Debug, Default, Clone, Copy)]
struct Owner {
    taken: u64,
    tried: u64,
    done: u64,
}

impl Owner {
    /// Works until the script ends or the power fails.
    fn work(&mut self, outbox: &mut Outbox, dice: &mut Dice, steps: u64) -> Result<(), StateError> {
        for _ in 0..steps {
            match dice.below(5) {
                0..3 => {
                    self.tried = self.taken + 1 + dice.below(3);
                    match outbox.append(&messages(self.taken + 1..=self.tried)) {
                        Ok(_) => self.taken = self.tried,
                        Err(StateError::Full { .. }) => {
                            self.tried = self.taken;
                            self.done += (self.taken - self.done) / 2;
                            outbox.acknowledge(self.done)?;
                        }
                        Err(error) => return Err(error),
                    }
                }
                3 => {
                    self.done += dice.below(self.taken - self.done + 1);
                    outbox.acknowledge(self.done)?;
                }
                _ => outbox.flush()?,
            }
        }
        Ok(())
    }

    /// Compares what is there after a power cut with what has to be. In this test the outbox's numbers are those of the messages.
    fn check(&mut self, outbox: &mut Outbox, what: &str) {
        let all = waiting(outbox);
        let last = all.last().copied().unwrap_or(self.taken);
        let first = all.first().copied().unwrap_or(last + 1);
        assert_eq!(all, (first..=last).collect::<Vec<_>>(), "{what}: in order, each once, no gap");
        assert!(first <= self.done + 1, "{what}: lost {}..{first}; {self:?}", self.done + 1);
        assert!(last == self.taken || last == self.tried, "{what}: to {last}, half a batch; {self:?}");
        assert_eq!(outbox.status().damaged, 0, "{what}: a power cut is no damage");
        assert_eq!(outbox.status().entries, all.len() as u64, "{what}");
        (self.taken, self.tried) = (last, last);
    }
}

#[test]
fn nothing_that_was_taken_is_lost_wherever_the_power_fails() {
    for seed in 0..12 {
        let mut ended = false;
        let mut at = 1;
        while !ended {
            let (power, mut dice, mut owner) = (Power::default(), Dice::new(seed), Owner::default());
            power.fail_after(at);
            if let Ok(mut outbox) = open(&power) {
                let _ = owner.work(&mut outbox, &mut dice, 25);
            }
            ended = !power.is_off();
            power.restore(seed * 1_000 + at);
            // It fails once more while the outbox is opened, and then no more.
            power.fail_after(1 + at % 3);
            drop(open(&power));
            power.restore(at);
            let mut outbox = open(&power).unwrap();
            owner.check(&mut outbox, &format!("seed {seed}, call {at}"));
            owner.work(&mut outbox, &mut dice, 10).unwrap();
            drop(outbox);
            power.restore(at + 1);
            owner.check(&mut open(&power).unwrap(), &format!("seed {seed}, call {at}, later"));
            at += 1;
        }
        assert!(at > 25, "the script is too short: {at}");
    }
}

#[test]
fn a_disk_that_refuses_one_write_loses_nothing_and_stores_nothing_twice() {
    for at in 1..40 {
        let (power, mut owner, mut dice) = (Power::default(), Owner::default(), Dice::new(at));
        let mut outbox = open(&power).unwrap();
        power.refuse_after(at);
        for _ in 0..8 {
            let _ = owner.work(&mut outbox, &mut dice, 8);
            // What was refused is not there, so it is given again under the same number.
            owner.tried = owner.taken;
            owner.check(&mut outbox, &format!("call {at}"));
        }
        drop(outbox);
        power.restore(at);
        owner.check(&mut open(&power).unwrap(), &format!("call {at}, later"));
    }
}

#[test]
fn what_was_acknowledged_does_not_come_back_after_an_orderly_end() {
    let power = Power::default();
    let mut outbox = open(&power).unwrap();
    outbox.append(&messages(1..=5)).unwrap();
    outbox.acknowledge(3).unwrap();
    drop(outbox);
    power.restore(1);
    assert_eq!(waiting(&mut open(&power).unwrap()), [4, 5]);
}

#[test]
fn after_a_power_cut_few_are_sent_again() {
    let power = Power::default();
    let mut outbox = open(&power).unwrap();
    for number in 1..=600 {
        outbox.append(&[Entry::new("a", number.to_string())]).unwrap();
    }
    (1..=600).for_each(|number| outbox.acknowledge(number).unwrap());
    std::mem::forget(outbox);
    power.restore(1);
    let again = open(&power).unwrap().status().entries;
    assert!(again < ACKNOWLEDGED_UNWRITTEN, "{again}");
}

#[test]
fn numbers_go_on_although_everything_was_acknowledged() {
    let power = Power::default();
    let mut outbox = open(&power).unwrap();
    assert_eq!(outbox.append(&messages(1..=9)).unwrap(), 1);
    outbox.acknowledge(9).unwrap();
    drop(outbox);
    let mut outbox = open(&power).unwrap();
    assert!(outbox.is_empty());
    assert_eq!(outbox.append(&[message(10)]).unwrap(), 10);
}

#[test]
fn a_full_outbox_refuses_and_says_so_and_takes_again_when_there_is_room() {
    let power = Power::default();
    let mut outbox = open(&power).unwrap();
    let long = Entry::new("a", vec![7; 60_000]);
    let mut stored = 0;
    let error = loop {
        match outbox.append(std::slice::from_ref(&long)) {
            Ok(id) => stored = id,
            Err(error) => break error,
        }
        assert!(outbox.status().bytes <= SMALL.max_bytes);
    };
    assert!(error.to_string().contains("full: ") && error.to_string().contains("max_bytes"), "{error}");
    assert!(stored > 10, "{stored}");
    outbox.acknowledge(stored / 2).unwrap();
    outbox.append(&[long]).unwrap();
    assert_eq!(outbox.status().dropped, 0);
}

#[test]
fn a_full_outbox_gives_up_the_oldest_where_its_owner_wants_that() {
    let settings = Settings { max_entries: 40, full: Full::DropOldest, ..SMALL };
    let power = Power::default();
    let mut outbox = open_with(&power, settings).unwrap();
    for number in 1..=400 {
        outbox.append(&[message(number)]).unwrap();
        let status = outbox.status();
        assert!(status.bytes <= settings.max_bytes && status.entries <= 40, "{status:?}");
        assert_eq!(status.dropped + status.entries, number, "each waits or is counted");
    }
    let dropped = outbox.status().dropped;
    assert_eq!(waiting(&mut outbox), (dropped + 1..=400).collect::<Vec<_>>());
    std::mem::forget(outbox);
    power.restore(3);
    let mut outbox = open_with(&power, settings).unwrap();
    assert_eq!(outbox.status().dropped, dropped, "the count survives");
    assert_eq!(waiting(&mut outbox), (dropped + 1..=400).collect::<Vec<_>>());
    let error = outbox.append(&messages(1..=41)).unwrap_err();
    assert!(matches!(error, StateError::Full { .. } | StateError::TooLarge { .. }), "{error}");
}

#[test]
fn damage_in_the_middle_is_counted_and_the_rest_is_there() {
    let power = Power::default();
    let mut outbox = open(&power).unwrap();
    for batch in [1..=2, 3..=5, 6..=7] {
        outbox.append(&messages(batch)).unwrap();
    }
    drop(outbox);
    let mut copy = power.copy();
    let (_, log) = copy.iter_mut().find(|(name, _)| name.ends_with(".log")).unwrap();
    let middle = log.len() / 2;
    log[middle] ^= 1;
    let mut outbox = open(&Power::of(&copy)).unwrap();
    let all = waiting(&mut outbox);
    assert_eq!(outbox.status().damaged + all.len() as u64, 7, "{all:?}");
    assert!(all.contains(&1) && all.contains(&7), "{all:?}");
}

#[test]
fn a_copied_outbox_opens_nothing_and_shows_nothing() {
    let power = Power::default();
    let mut outbox = open(&power).unwrap();
    outbox.append(&[Entry::new("plant/secret", "the reading")]).unwrap();
    drop(outbox);
    let copy = power.copy();
    let shown =
        copy.iter().any(|(_, bytes)| bytes.windows(6).any(|part| part == b"secret" || part == b"readin"));
    assert!(!shown);
    let other = Outbox::open_in(Box::new(Power::of(&copy)), SMALL, &Chip::named(2));
    assert!(matches!(other, Err(StateError::OtherKeys { .. })));
    let without: Vec<_> = copy.into_iter().filter(|(name, _)| name != "key").collect();
    let error = open(&Power::of(&without)).unwrap_err();
    assert!(error.to_string().contains("\"key\" is missing"), "{error}");
}

#[test]
fn everything_that_a_message_has_comes_back() {
    let full = Entry {
        qos: keyward_mqtt::packet::Qos::ExactlyOnce,
        retain: true,
        properties: Properties {
            payload_format: Some(true),
            message_expiry: Some(3_600),
            content_type: Some("application/cose".into()),
            response_topic: Some("plant/answers".into()),
            correlation_data: Some(vec![1, 2, 3]),
            user: vec![("a".into(), "b".into()), ("a".into(), String::new())],
        },
        ..Entry::new("plant/pump-1", "21.5")
    };
    let power = Power::default();
    let mut outbox = open(&power).unwrap();
    outbox.append(&[full.clone(), Entry::new("", "")]).unwrap();
    let entries: Vec<_> = outbox.peek(0, 9).unwrap().into_iter().map(|found| found.entry).collect();
    assert_eq!(entries, [full.clone(), Entry::new("", "")]);
    let long = Entry::new("a".repeat(70_000), "");
    assert!(matches!(outbox.append(&[long]), Err(StateError::TooLarge { .. })));
    assert!(!format!("{full:?}").contains("21.5"), "no payload in a log");
}

#[test]
fn a_message_costs_one_sync_and_little_besides_its_bytes() {
    let power = Power::default();
    let mut outbox = open(&power).unwrap();
    outbox.append(&[Entry::new("plant/pump-1", [0; 165])]).unwrap();
    let before = power.cost();
    for number in 2..=101 {
        outbox.append(&[Entry::new("plant/pump-1", [0; 165])]).unwrap();
        outbox.acknowledge(number).unwrap();
    }
    let after = power.cost();
    assert_eq!(after.0 - before.0, 100);
    assert!((after.1 - before.1) / 100 <= 165 + 12 + 60, "{}", (after.1 - before.1) / 100);
}

#[test]
fn a_message_takes_the_place_of_the_oldest_or_does_not_wherever_the_power_fails() {
    let (mut replaced, mut kept) = (0, 0);
    for at in 1.. {
        let power = Power::default();
        open(&power).unwrap().append(&messages(1..=3)).unwrap();
        power.fail_after(at);
        if let Ok(mut outbox) = open(&power) {
            let _ = outbox.replace_oldest(&message(4));
        }
        let ended = !power.is_off();
        power.restore(at);
        match waiting(&mut open(&power).unwrap()).as_slice() {
            [1, 2, 3] => kept += 1,
            [2, 3, 4] => replaced += 1,
            other => panic!("call {at}: {other:?}"),
        }
        if ended {
            break;
        }
    }
    assert!(replaced > 0 && kept > 0, "{replaced}, {kept}");
}

#[test]
fn there_is_room_for_what_takes_the_place_of_the_oldest() {
    let power = Power::default();
    let mut outbox = open_with(&power, Settings { max_entries: 2, ..SMALL }).unwrap();
    outbox.append(&messages(1..=2)).unwrap();
    assert!(outbox.append(&messages(3..=3)).is_err());
    assert_eq!(outbox.replace_oldest(&message(3)).unwrap(), 3);
    assert_eq!((waiting(&mut outbox), outbox.status().entries), (vec![2, 3], 2));
}
