//! What comes out of the vectors is what stands in their file and in `docs/mqsec1.md`.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

#[path = "vectors/form.rs"]
mod form;
#[path = "vectors/page.rs"]
mod page;

use form::Form;
use keyward_envelope::limits::PROTECTED_BYTES;
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn every_vector_comes_out_as_it_stands_there() {
    for vector in page::vectors() {
        let made = page::fill(Form {
            message: String::new(),
            kid: String::new(),
            digest: String::new(),
            public: String::new(),
            ..vector.clone()
        });
        assert_eq!(made.message, vector.message, "{}", vector.name);
        let outputs = |form: &Form| [form.public.clone(), form.kid.clone(), form.digest.clone()];
        assert_eq!(outputs(&made), outputs(&vector), "{}", vector.name);
    }
}

#[test]
fn every_vector_opens_to_what_went_in() {
    for vector in page::vectors() {
        let opened = vector.open().unwrap();
        let inside = |form: &Form| {
            (form.form.clone(), form.payload.clone(), form.keys.clone(), form.sequence, form.nonce.clone())
        };
        assert_eq!(inside(&opened), inside(&vector), "{}", vector.name);
        let dates = |form: &Form| (form.issued, form.expires, form.algorithm.clone());
        assert_eq!(dates(&opened), dates(&vector), "{}", vector.name);
    }
}

#[test]
fn there_is_a_vector_for_each_form_and_algorithm() {
    let vectors = page::vectors();
    let seen: BTreeSet<_> = vectors.iter().map(|v| (v.form.as_str(), v.direction.as_str())).collect();
    for (form, direction) in [
        ("plain", "up"),
        ("plain", "down"),
        ("recipient", "up"),
        ("recipient", "down"),
        ("group", "up"),
        ("group", "all"),
        ("grant", "down"),
        ("key-set", "all"),
    ] {
        assert!(seen.contains(&(form, direction)), "{form} {direction}");
    }
    for algorithm in ["ES256", "Ed25519"] {
        assert!(vectors.iter().any(|vector| vector.algorithm == algorithm));
    }
    for cipher in ["A128GCM", "AES-CCM-16-64-128"] {
        assert!(vectors.iter().any(|vector| vector.cipher.as_deref() == Some(cipher)));
    }
}

#[test]
fn the_page_shows_the_vectors() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/mqsec1.md");
    let text = std::fs::read_to_string(page).unwrap();
    assert!(
        text.contains(&page::section(&page::vectors())),
        "the vectors in docs/mqsec1.md are not those of vectors.json: \
         put there what `cargo run -p keyward-envelope --example forms doc` prints"
    );
}

/// What the page says of a reading of 64 bytes: how many bytes come on top, with a number of 5 bytes and a date.
#[test]
fn a_reading_grows_by_as_many_bytes_as_the_page_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/mqsec1.md");
    let text = std::fs::read_to_string(page).unwrap();
    for (name, row) in [
        ("A reading, ES256", "signed"),
        ("A reading, Ed25519", "signed"),
        ("A reading for a group, AES-CCM-16-64-128", "signed, for a group, AES-CCM-16-64-128"),
        ("A reading for a group, A128GCM", "signed, for a group, A128GCM"),
        ("A reading for one recipient", "signed, for one recipient"),
    ] {
        let vector = page::vectors().into_iter().find(|vector| vector.name == name).unwrap();
        let (whole, payload) = (vector.message.len() / 2, vector.payload.len() / 2);
        assert_eq!(payload, 64);
        let row = format!("| {row} | {whole} | {} |", whole - payload);
        assert!(text.contains(&row), "the page lacks {row:?}");
    }
}

#[test]
fn the_longest_protected_header_fits() {
    let vector = page::vectors().remove(0);
    let longest = Form {
        sequence: u64::MAX,
        issued: Some(u64::MAX),
        expires: Some(u64::MAX),
        nonce: Some("00".repeat(16)),
        format: Some(u16::MAX),
        ..vector
    };
    let message = longest.make().unwrap();
    // d2 84 58 LEN
    assert_eq!(message[2], 0x58);
    assert_eq!(message[3], 67);
    assert!(usize::from(message[3]) <= PROTECTED_BYTES);
    let opened = Form { message: form::hex(&message), ..longest }.open().unwrap();
    assert_eq!((opened.sequence, opened.issued, opened.format), (u64::MAX, Some(u64::MAX), Some(u16::MAX)));
}
