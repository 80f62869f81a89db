//! Of all that CBOR and COSE allow, a reader takes the one form of the profile, and says at which byte something else began.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

#[path = "vectors/form.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod form;

use keyward_envelope::{Fault, Malformed, PublicKey, inspect, inspect_within, limits};

const KID: &str = "48 0102030405060708";
const CLAIMS: &str = "a2 06 01 07 41 01";

/// Makes a message around a protected header, with a payload of one byte and a signature of zeros.
fn with_header(header: &str) -> Vec<u8> {
    let header = bytes(header);
    let mut message = bytes("d2 84 58");
    message.push(header.len() as u8);
    if header.len() < 24 {
        message = bytes("d2 84");
        message.push(0x40 | header.len() as u8);
    }
    message.extend(header);
    message.extend(bytes("a0 41 00 58 40"));
    message.extend([0; 64]);
    message
}

fn bytes(spaced: &str) -> Vec<u8> {
    form::bytes(&spaced.replace(' ', "")).unwrap()
}

fn refused(message: &[u8]) -> (usize, Fault) {
    let Malformed { at, fault } = inspect(message).unwrap_err();
    (at, fault)
}

#[test]
fn the_plain_form_is_read() {
    let message = with_header(&format!("a3 01 26 04 {KID} 0f {CLAIMS}"));
    let found = inspect(&message).unwrap();
    assert_eq!((found.payload_len(), found.claims().issued), (1, Some(1)));
    // The fully specified numbers of RFC 9864 as well: -9 and -19.
    for algorithm in ["28", "27", "32"] {
        assert!(inspect(&with_header(&format!("a3 01 {algorithm} 04 {KID} 0f {CLAIMS}"))).is_ok());
    }
}

#[test]
fn a_header_that_is_not_the_one_form_is_refused_where_it_differs() {
    let cases = [
        ("labels out of order", format!("a3 04 {KID} 01 26 0f {CLAIMS}"), 11, Fault::OutOfOrder(1)),
        ("a label twice", format!("a3 01 26 01 26 04 {KID} 0f {CLAIMS}"), 3, Fault::OutOfOrder(1)),
        ("an unknown label", format!("a3 01 26 04 {KID} 18 63 00"), 13, Fault::UnknownLabel(99)),
        ("a negative label", format!("a3 01 26 04 {KID} 20 00"), 13, Fault::UnknownLabel(-1)),
        ("crit", format!("a4 01 26 02 81 0f 04 {KID} 0f {CLAIMS}"), 4, Fault::Critical),
        ("a text as a label", "a1 61 61 00".to_owned(), 1, Fault::Expected("a label, which is an integer")),
        ("no algorithm", format!("a2 04 {KID} 0f {CLAIMS}"), 11, Fault::Missing("the algorithm (1)")),
        ("an unknown algorithm", format!("a3 01 38 23 04 {KID} 0f {CLAIMS}"), 2, Fault::Algorithm(-36)),
        ("none", format!("a3 01 00 04 {KID} 0f {CLAIMS}"), 2, Fault::Algorithm(0)),
        ("a long kid", format!("a3 01 26 04 49 {} 0f {CLAIMS}", "00".repeat(9)), 4, Fault::TooLong(8)),
        (
            "a number in two bytes that needs one",
            format!("a3 01 38 06 04 {KID} 0f {CLAIMS}"),
            2,
            Fault::NotShortest,
        ),
        ("an indefinite map", format!("bf 01 26 04 {KID} 0f {CLAIMS} ff"), 0, Fault::Indefinite),
        (
            "a format that is no number",
            format!("a4 01 26 03 61 61 04 {KID} 0f {CLAIMS}"),
            4,
            Fault::Expected("a content format, 0 to 65535"),
        ),
        (
            "a format above 65535",
            format!("a4 01 26 03 1a 00010000 04 {KID} 0f {CLAIMS}"),
            4,
            Fault::Expected("a content format, 0 to 65535"),
        ),
        (
            "no sequence",
            format!("a3 01 26 04 {KID} 0f a1 06 01"),
            15,
            Fault::Missing("the sequence (cti, 7)"),
        ),
        (
            "neither date nor nonce",
            format!("a3 01 26 04 {KID} 0f a1 07 41 01"),
            15,
            Fault::Missing("a date (iat, 6) or a nonce (10)"),
        ),
        (
            "an empty sequence",
            format!("a3 01 26 04 {KID} 0f a2 06 01 07 40"),
            18,
            Fault::Expected("a sequence of 1 to 8 bytes"),
        ),
        (
            "a sequence of nine bytes",
            format!("a3 01 26 04 {KID} 0f a2 06 01 07 49 {}", "01".repeat(9)),
            18,
            Fault::TooLong(8),
        ),
        (
            "a sequence with a leading zero",
            format!("a3 01 26 04 {KID} 0f a2 06 01 07 42 00 01"),
            18,
            Fault::NotShortest,
        ),
        (
            "a date before 1970",
            format!("a3 01 26 04 {KID} 0f a2 06 20 07 41 01"),
            16,
            Fault::Expected("a time in seconds"),
        ),
        (
            "a date with a fraction",
            format!("a3 01 26 04 {KID} 0f a2 06 f9 3c00 07 41 01"),
            16,
            Fault::Expected("a time in seconds"),
        ),
        (
            "a short nonce",
            format!("a3 01 26 04 {KID} 0f a2 07 41 01 0a 47 {}", "00".repeat(7)),
            19,
            Fault::Expected("a nonce of 8 to 16 bytes"),
        ),
        (
            "an unknown claim",
            format!("a3 01 26 04 {KID} 0f a2 01 61 61 07 41 01"),
            15,
            Fault::UnknownLabel(1),
        ),
    ];
    for (what, header, at, fault) in cases {
        let message = with_header(&header);
        // The header begins after d2 84 and a head of one or two bytes.
        let begin = if bytes(&header).len() < 24 { 3 } else { 4 };
        assert_eq!(refused(&message), (begin + at, fault), "{what}");
    }
    let trailing = with_header(&format!("a3 01 26 04 {KID} 0f {CLAIMS} 00"));
    assert_eq!(refused(&trailing).1, Fault::Trailing);
}

#[test]
fn a_frame_that_is_not_the_one_form_is_refused_where_it_differs() {
    let good = with_header(&format!("a3 01 26 04 {KID} 0f {CLAIMS}"));
    let changed = |at: usize, byte: u8| {
        let mut message = good.clone();
        message[at] = byte;
        refused(&message)
    };
    let body = 3 + usize::from(good[2] & 0x1f);
    assert_eq!(refused(&[]), (0, Fault::Truncated));
    assert_eq!(changed(0, 0xd1), (0, Fault::Expected("the tag of a COSE_Sign1 (d2)")), "another tag");
    assert_eq!(changed(0, 0x84), (0, Fault::Expected("the tag of a COSE_Sign1 (d2)")), "no tag");
    assert_eq!(changed(1, 0x83), (1, Fault::Expected("an array of 4 parts")));
    assert_eq!(changed(1, 0x9f), (1, Fault::Indefinite));
    assert_eq!(changed(2, 0xa0), (2, Fault::Expected("the protected header in a byte string")));
    assert_eq!(changed(body, 0xa1), (body, Fault::TooLong(0)), "something that nobody signed");
    assert_eq!(
        changed(body + 1, 0xf6),
        (body + 1, Fault::Expected("the payload in a byte string")),
        "detached"
    );
    assert_eq!(changed(body + 1, 0x5f), (body + 1, Fault::Indefinite));
    assert_eq!(changed(body + 4, 63).0, body + 3, "a signature of 63 bytes");
    let mut long = good.clone();
    long.push(0);
    assert_eq!(refused(&long), (good.len(), Fault::Trailing));
}

#[test]
fn what_is_too_long_is_refused_before_it_is_looked_at() {
    let long = vec![0; limits::MESSAGE_BYTES + 1];
    assert_eq!(refused(&long), (0, Fault::TooLong(limits::MESSAGE_BYTES)));
    let good = with_header(&format!("a3 01 26 04 {KID} 0f {CLAIMS}"));
    assert!(inspect_within(&good, good.len()).is_ok());
    assert!(inspect_within(&good, good.len() - 1).is_err());
    // A length of four thousand million costs nothing.
    let huge = bytes("d2 84 5a ffffffff");
    assert_eq!(refused(&huge), (2, Fault::TooLong(limits::PROTECTED_BYTES)));
    let huge = bytes("d2 84 5b ffffffffffffffff");
    assert_eq!(refused(&huge), (2, Fault::TooLong(limits::PROTECTED_BYTES)));
}

#[test]
fn a_key_says_at_which_byte_it_is_none() {
    let point = "21 5820 7135fa4fd93a09dce98bbf681b4bfcf50e7c0d6354e62afb0bff2a3429617865 \
                 22 5820 ed4c1f02ddb9023ee56a557e515d6a9dc66c11f220960de594334df588776724";
    let read = |spaced: &str| PublicKey::from_cose(&bytes(spaced)).map_err(|error| (error.at, error.fault));
    assert!(read(&format!("a4 01 02 20 01 {point}")).is_ok());
    let secret = format!("a5 01 02 20 01 {point} 23 5820 {}", "09".repeat(32));
    assert_eq!(read(&secret).unwrap_err().1, Fault::TooLong(limits::KEY_BYTES), "a private key");
    assert_eq!(read("a1 23 41 09").unwrap_err(), (1, Fault::UnknownLabel(-4)), "a private part");
    assert_eq!(
        read(&format!("a4 01 02 20 02 {point}")).unwrap_err().1,
        Fault::Expected("a key of P-256 or Ed25519")
    );
    let kid = format!("a5 01 02 02 {KID} 20 01 {point}");
    assert_eq!(read(&kid).unwrap_err(), (0, Fault::OtherKid));
    for (algorithm, good) in [("26", true), ("28", true), ("27", false), ("38 18", false)] {
        let key = format!("a5 01 02 03 {algorithm} 20 01 {point}");
        assert_eq!(read(&key).is_ok(), good, "{algorithm}");
    }
}

#[test]
fn an_error_says_where_and_what() {
    let text = inspect(&bytes("d2 84 40 a0")).unwrap_err().to_string();
    assert_eq!(text, "at byte 3: the bytes end too early");
    let text = inspect(&with_header("a1 18 63 00")).unwrap_err().to_string();
    assert_eq!(text, "at byte 4: the profile has no label 99 here");
}
