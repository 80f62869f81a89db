//! Values in messages: a bare number, or the numbers in an object of JSON.

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
