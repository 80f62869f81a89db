//! A message that differs in one bit, in its length or in what it was meant for is refused.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

#[path = "vectors/form.rs"]
mod form;
#[path = "vectors/page.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod page;

use form::{Form, bytes};
use keyward_envelope::inspect;

#[test]
fn a_message_with_any_bit_changed_is_refused() {
    for vector in page::vectors() {
        let message = bytes(&vector.message).unwrap();
        let correlation = vector.correlation().unwrap();
        let (context, key) = (vector.context(correlation.as_deref()), form::public(&vector.public).unwrap());
        for bit in 0..message.len() * 8 {
            let mut changed = message.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let refused = inspect(&changed).map_or(true, |found| found.verify(&key, &context).is_err());
            assert!(refused, "{}, bit {bit}", vector.name);
        }
    }
}

#[test]
fn a_message_that_ends_too_early_or_too_late_is_refused() {
    for vector in page::vectors() {
        let mut message = bytes(&vector.message).unwrap();
        assert!((0..message.len()).all(|len| inspect(&message[..len]).is_err()), "{}", vector.name);
        message.push(0);
        assert!(inspect(&message).is_err(), "{}", vector.name);
    }
}

#[test]
fn a_message_for_something_else_is_refused() {
    for vector in page::vectors() {
        let all = vector.direction == "all";
        let correlation = vector.correlation.as_ref().map_or(Some(String::new()), |_| None);
        let others = [
            ("installation", Form { installation: "k7m2q9xw4hp3a8ce".to_owned(), ..vector.clone() }),
            ("topic", Form { topic: format!("{}/", vector.topic), ..vector.clone() }),
            ("correlation", Form { correlation, ..vector.clone() }),
            ("to all", Form { direction: if all { "up" } else { "all" }.to_owned(), ..vector.clone() }),
            ("device", Form { device: "pump-2".to_owned(), ..vector.clone() }),
        ];
        for (what, other) in others.into_iter().filter(|(what, _)| !(all && *what == "device")) {
            assert!(other.open().is_err(), "{}: {what}", vector.name);
        }
    }
}
