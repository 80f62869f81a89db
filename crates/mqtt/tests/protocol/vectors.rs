//! Reads the wire vectors; `tests/vectors/README.md` says how they are written.

use keyward_mqtt::codec::{Sender, decode, encode};
use keyward_mqtt::packet::{Packet, Version};
use std::str::Chars;

const FILES: &[(&str, &str)] = &[
    ("frame.txt", include_str!("../vectors/frame.txt")),
    ("connect.txt", include_str!("../vectors/connect.txt")),
    ("connack.txt", include_str!("../vectors/connack.txt")),
    ("publish.txt", include_str!("../vectors/publish.txt")),
    ("acks.txt", include_str!("../vectors/acks.txt")),
    ("subscribe.txt", include_str!("../vectors/subscribe.txt")),
    ("disconnect.txt", include_str!("../vectors/disconnect.txt")),
];

/// Turns the notation of the vectors into bytes.
pub(crate) fn bytes(notation: &str, version: Version) -> Vec<u8> {
    group(&mut notation.chars(), version)
}

fn group(chars: &mut Chars<'_>, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(char) = chars.next() {
        match char {
            '}' => return out,
            '{' => {
                let only_v5 = chars.as_str().starts_with('5');
                if only_v5 {
                    chars.next();
                }
                let inside = group(chars, version);
                if version == Version::V5 || !only_v5 {
                    varint(inside.len(), &mut out);
                    out.extend(inside);
                }
            }
            '"' | '\'' => {
                let text: String = chars.by_ref().take_while(|&c| c != char).collect();
                if char == '"' {
                    out.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
                }
                out.extend(text.bytes());
            }
            high if high.is_ascii_hexdigit() => {
                let low = chars.next().unwrap();
                out.push((high.to_digit(16).unwrap() * 16 + low.to_digit(16).unwrap()) as u8);
            }
            other => assert_eq!(other, ' ', "in a vector"),
        }
    }
    out
}

fn varint(mut value: usize, out: &mut Vec<u8>) {
    while value > 127 {
        out.push((value % 128) as u8 + 128);
        value /= 128;
    }
    out.push(value as u8);
}

struct Vector<'a> {
    place: String,
    verdict: &'a str,
    versions: &'static [Version],
    senders: &'static [Sender],
    input: &'a str,
    output: &'a str,
}

fn parse(file: &str, number: usize, line: &'static str) -> Option<Vector<'static>> {
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (case, claim) = line.rsplit_once('#').unwrap();
    assert!(claim.contains(": "), "{file}:{number}: names no clause");
    let tokens: Vec<&str> = case.split_whitespace().collect();
    let words = if tokens[0].starts_with("ok") { 1 } else { 2 };
    let after = |skip: usize| tokens[skip].as_ptr() as usize - case.as_ptr() as usize;
    let (input, output) =
        case[after(words + 2)..].split_once("=>").unwrap_or((&case[after(words + 2)..], ""));
    Some(Vector {
        place: format!("{file}:{number}:{claim}"),
        verdict: case[..after(words)].trim(),
        versions: match tokens[words] {
            "3.1" => &[Version::V31],
            "3" => &[Version::V311],
            "5" => &[Version::V5],
            "+" => &[Version::V311, Version::V5],
            "*" => &[Version::V31, Version::V311, Version::V5],
            other => panic!("{file}:{number}: {other} is no version"),
        },
        senders: match tokens[words + 1] {
            "C" => &[Sender::Client],
            "S" => &[Sender::Server],
            "*" => &[Sender::Client, Sender::Server],
            other => panic!("{file}:{number}: {other} is no side"),
        },
        input,
        output,
    })
}

fn vectors() -> impl Iterator<Item = Vector<'static>> {
    FILES.iter().flat_map(|(file, text)| {
        text.lines().enumerate().filter_map(move |(index, line)| parse(file, index + 1, line))
    })
}

fn for_each(wanted: impl Fn(&str) -> bool, check: impl Fn(&Vector<'_>, Version, Sender, &[u8])) {
    let mut checked = 0;
    for vector in vectors().filter(|vector| wanted(vector.verdict)) {
        for &version in vector.versions {
            for &sender in vector.senders {
                check(&vector, version, sender, &bytes(vector.input, version));
                checked += 1;
            }
        }
    }
    assert!(checked > 10, "{checked} vectors");
}

#[test]
fn accepted_vectors_come_back_byte_for_byte() {
    for_each(
        |verdict| verdict.starts_with("ok"),
        |vector, version, sender, input| {
            let packet = decode(version, sender, input).unwrap_or_else(|e| panic!("{}: {e}", vector.place));
            if let Packet::Connect(connect) = &packet {
                assert_eq!(connect.version, version, "{}", vector.place);
            }
            let mut output = Vec::new();
            encode(&packet, version, &mut output).unwrap();
            let expected = if vector.output.is_empty() { vector.input } else { vector.output };
            assert_eq!(output, bytes(expected, version), "{}", vector.place);
        },
    );
}

#[test]
fn refused_vectors_are_refused_for_their_reason() {
    for_each(
        |verdict| !verdict.starts_with("ok"),
        |vector, version, sender, input| {
            let Err(error) = decode(version, sender, input) else { panic!("accepted: {}", vector.place) };
            let verdict = format!("{:02X} {:?}", error.reason() as u8, error.violation);
            assert_eq!(verdict, vector.verdict, "{}", vector.place);
        },
    );
}

#[test]
fn no_accepted_vector_can_be_cut_short() {
    for_each(
        |verdict| verdict.starts_with("ok"),
        |vector, version, sender, input| {
            for end in 0..input.len() {
                assert!(decode(version, sender, &input[..end]).is_err(), "{end} of {}", vector.place);
            }
        },
    );
}
