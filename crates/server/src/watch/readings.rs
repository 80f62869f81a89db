//! Values in messages: a bare number, or the numbers in an object of JSON or a map of CBOR; of a batch of the SDK the newest.

use minicbor::data::Type;
use minicbor::decode::{Decoder, Error};
use serde_json::Value;

/// Values that one message is taken to hold; the rest is passed over.
const VALUES: usize = 16;
/// How deep objects are looked into.
const DEPTH: usize = 4;
/// Bytes of the name of a stream: topic and path.
const NAME_BYTES: usize = 200;

/// Returns the values of a message, each with the name of its stream: the topic, then the path in the object.
pub(crate) fn of(topic: &str, payload: &[u8]) -> Vec<(Box<str>, f64)> {
    let mut found = Vec::new();
    let text = payload.trim_ascii();
    match text.first() {
        // No text in UTF-8 begins so: a number, an array, a map or a float of CBOR. Small numbers are control characters.
        Some(0x80..=0xbf | 0xf9..=0xfb) => {
            // What was read before something that cannot be read is there all the same.
            let _ = read(topic.to_owned(), &mut Decoder::new(payload), DEPTH, &mut found);
        }
        Some(b'{') => {
            if let Ok(object) = serde_json::from_slice(text) {
                walk(topic.to_owned(), &object, DEPTH, &mut found);
            }
        }
        Some(b'0'..=b'9' | b'-' | b'+' | b'.') if text.len() <= 32 => {
            let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
            note(topic.to_owned(), number, &mut found);
        }
        _ => {}
    }
    found
}

fn walk(name: String, value: &Value, depth: usize, found: &mut Vec<(Box<str>, f64)>) {
    match value {
        Value::Number(number) => note(name, number.as_f64(), found),
        Value::Object(entries) if depth > 0 => {
            for (key, value) in entries {
                walk(format!("{name} {key}"), value, depth - 1, found);
            }
        }
        _ => {}
    }
}

/// Reads one thing of CBOR.
fn read(
    name: String,
    decoder: &mut Decoder<'_>,
    depth: usize,
    found: &mut Vec<(Box<str>, f64)>,
) -> Result<(), Error> {
    match decoder.datatype()? {
        Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::I8 | Type::I16 | Type::I32 | Type::I64 => {
            note(name, Some(i128::from(decoder.int()?) as f64), found);
        }
        Type::F16 => {
            let at = decoder.position();
            decoder.skip()?;
            let half = decoder.input().get(at + 1..at + 3).and_then(|half| half.try_into().ok());
            note(name, half.map(|half| of_half(u16::from_be_bytes(half))), found);
        }
        Type::F32 => note(name, Some(shortest(decoder.f32()?)), found),
        Type::F64 => note(name, Some(decoder.f64()?), found),
        Type::Map if depth > 0 => {
            for _ in 0..decoder.map()?.unwrap_or_default() {
                let key = match decoder.datatype()? {
                    Type::String => decoder.str()?.to_owned(),
                    _ => i128::from(decoder.int()?).to_string(),
                };
                read(format!("{name} {key}"), decoder, depth - 1, found)?;
            }
        }
        Type::Array if depth == DEPTH => {
            // A batch: what each byte string holds is what the reading alone would have been.
            let mut newest = None;
            for _ in 0..decoder.array()?.unwrap_or_default() {
                newest = Some(decoder.bytes()?);
            }
            let values = newest.filter(|reading| !matches!(reading.first(), Some(0x80..=0x9f)));
            found.extend(values.map(|reading| of(&name, reading)).unwrap_or_default());
        }
        _ => decoder.skip()?,
    }
    Ok(())
}

/// Returns the value of a float of 16 bits (RFC 8949, appendix D).
fn of_half(half: u16) -> f64 {
    let (exponent, fraction) = (i32::from(half >> 10 & 0x1f), f64::from(half & 0x3ff));
    let value = match exponent {
        0 => fraction * (-24_f64).exp2(),
        31 => f64::NAN,
        _ => (fraction + 1024.0) * f64::from(exponent - 25).exp2(),
    };
    if half >> 15 == 1 { -value } else { value }
}

/// Returns the value that a float of 32 bits was made of: 21.1, not 21.100000381.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(value.into())
}

fn note(name: String, value: Option<f64>, found: &mut Vec<(Box<str>, f64)>) {
    if let Some(value) = value.filter(|value| value.is_finite())
        && found.len() < VALUES
        && name.len() <= NAME_BYTES
    {
        found.push((name.into(), value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(payload: &str) -> Vec<(String, f64)> {
        of("hall/t", payload.as_bytes()).into_iter().map(|(name, value)| (name.into(), value)).collect()
    }

    #[test]
    fn a_number_is_a_value_and_so_are_the_numbers_of_an_object() {
        assert_eq!(found(" 21.5\n"), [("hall/t".to_owned(), 21.5)]);
        assert_eq!(found("-3"), [("hall/t".to_owned(), -3.0)]);
        let tasmota =
            r#"{"Time":"2026-11-30T12:00:00","AM2301":{"Temperature":21.5,"Humidity":40},"on":true}"#;
        let names =
            [("hall/t AM2301 Humidity".to_owned(), 40.0), ("hall/t AM2301 Temperature".to_owned(), 21.5)];
        assert_eq!(found(tasmota), names);
    }

    #[test]
    fn a_map_of_cbor_is_read_as_an_object_is() {
        let mut map = minicbor::Encoder::new(Vec::new());
        map.map(4).unwrap().str("air").unwrap().f32(21.1).unwrap().str("door").unwrap().bool(true).unwrap();
        map.str("soil").unwrap().map(1).unwrap().u8(7).unwrap().i32(-3).unwrap();
        map.str("battery").unwrap().f64(3.71).unwrap();
        let map = map.into_writer();
        let expected =
            [("t air".into(), 21.1), ("t soil 7".into(), -3.0), ("t battery".into(), 3.71)].to_vec();
        assert_eq!(of("t", &map), expected);
        assert_eq!(of("t", &map[..map.len() - 3]), expected[..2]);
        assert_eq!(of("t", &[0xf9, 0x4d, 0x60]), [("t".into(), 21.5)]);
        let mut batch = minicbor::Encoder::new(Vec::new());
        batch.array(2).unwrap().bytes(b"20.5").unwrap().bytes(&map).unwrap();
        assert_eq!(of("t", &batch.into_writer()), expected);
    }

    #[test]
    fn texts_and_what_is_no_number_or_endless_hold_none() {
        let deep = "{\"a\":".repeat(200) + "1" + &"}".repeat(200);
        let long = "1".repeat(1_000);
        for payload in ["", "ON", "{", "[1,2]", "nan", "1e999", "2026-11-30", "{\"a\":\"1\"}", &deep, &long] {
            assert_eq!(found(payload), [], "{payload}");
        }
        let many: Vec<String> = (0..100).map(|number| format!("\"v{number}\":1")).collect();
        assert_eq!(found(&format!("{{{}}}", many.join(","))).len(), VALUES);
    }
}
