//! The vectors: one file, what comes out of it, and the section of `docs/mqsec1.md` that shows it.

use super::form::{self, Form, hex, public_hex};
use std::fmt::Write as _;

/// Reads the vectors.
pub(crate) fn vectors() -> Vec<Form> {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

/// Returns the vectors with what comes out of them today.
#[allow(dead_code, reason = "the tool uses it, the tests compare one by one")]
pub(crate) fn filled() -> Vec<Form> {
    vectors().into_iter().map(fill).collect()
}

/// Makes a vector's message and looks at it again.
pub(crate) fn fill(mut vector: Form) -> Form {
    vector.public = public_hex(&public_half(&vector));
    vector.message = hex(&vector.make().unwrap());
    let opened = vector.open().unwrap();
    (vector.kid, vector.digest) = (opened.kid, opened.digest);
    vector
}

fn public_half(vector: &Form) -> keyward_envelope::PublicKey {
    use keyward_envelope::software::{Ed25519Key, P256Key};
    let secret = form::bytes(vector.secret.as_ref().unwrap()).unwrap().try_into().unwrap();
    match vector.algorithm.as_str() {
        "ES256" => P256Key::from_secret(&secret).unwrap().public(),
        _ => Ed25519Key::from_seed(&secret).public(),
    }
}

/// Prints vectors as the page has them.
pub(crate) fn section(vectors: &[Form]) -> String {
    let mut page = String::new();
    for vector in vectors {
        writeln!(page, "### {}\n\n```", vector.name).unwrap();
        let serde_json::Value::Object(fields) = serde_json::to_value(vector).unwrap() else { unreachable!() };
        for (label, value) in fields.iter().filter(|(label, _)| *label != "name") {
            let values = match value {
                serde_json::Value::Array(values) => values.clone(),
                value => vec![value.clone()],
            };
            for value in values {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                writeln!(page, "{label:16} {value}").unwrap();
            }
        }
        page.push_str("```\n\n");
    }
    page
}
