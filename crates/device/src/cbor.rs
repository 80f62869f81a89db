//! As much of CBOR (RFC 8949), deterministic, as a device writes: a flat map, which is a heartbeat, and an array of byte strings, which is a batch.

/// Is the value of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// A number that is not negative.
    Unsigned(u64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// An array of one text.
    Texts(String),
}

/// Writes a map with integer labels, in the order that RFC 8949 §4.2.1 asks for.
pub(crate) fn map(mut entries: Vec<(i64, Value)>) -> Vec<u8> {
    // Labels that are not negative come first, then by magnitude: the order of their bytes.
    entries.sort_by_key(|(label, _)| (*label < 0, label.unsigned_abs()));
    let mut out = Vec::new();
    head(&mut out, 5, entries.len() as u64);
    for (label, value) in &entries {
        match u64::try_from(*label) {
            Ok(label) => head(&mut out, 0, label),
            Err(_) => head(&mut out, 1, !label.cast_unsigned()),
        }
        write(&mut out, value);
    }
    out
}

fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Unsigned(number) => head(out, 0, *number),
        Value::Bytes(text) => bytes(out, text),
        Value::Text(text) => {
            head(out, 3, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
        Value::Texts(text) => {
            head(out, 4, 1);
            write(out, &Value::Text(text.clone()));
        }
    }
}

/// Writes a byte string.
pub(crate) fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    head(out, 2, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Returns the head of an array.
pub(crate) fn array(items: usize) -> Vec<u8> {
    let mut out = Vec::new();
    head(&mut out, 4, items as u64);
    out
}

/// Writes the head of an item in its shortest form.
fn head(out: &mut Vec<u8>, kind: u8, number: u64) {
    let bytes = number.to_be_bytes();
    let (more, from) = match number {
        0..24 => {
            out.push(kind << 5 | bytes[7]);
            return;
        }
        24..0x100 => (24, 7),
        0x100..0x1_0000 => (25, 6),
        0x1_0000..0x1_0000_0000 => (26, 4),
        _ => (27, 0),
    };
    out.push(kind << 5 | more);
    out.extend_from_slice(&bytes[from..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_written_in_the_shortest_form_and_in_order() {
        let written = map(vec![
            (-70_001, Value::Text("watchdog".into())),
            (261, Value::Unsigned(3_600)),
            (-1, Value::Bytes(vec![1])),
            (271, Value::Texts("1.0".into())),
            (10, Value::Unsigned(23)),
        ]);
        let expected = b"\xa5\x0a\x17\x19\x01\x05\x19\x0e\x10\x19\x01\x0f\x81\x631.0\x20\x41\x01\x3a\x00\x01\x11\x70\x68watchdog";
        assert_eq!(written, expected);
    }
}
