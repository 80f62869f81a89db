//! Makes and opens messages that JSON describes, to compare with other libraries, and keeps the vectors.
//!
//! `forms lines` reads a line for each message, `{"do": "make", ...}` or `{"do": "open", ...}`, and answers each with a line;
//! `forms fill` reads the vectors and prints them with what comes out of them; `forms doc` prints them for `docs/mqsec1.md`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool of the tests: it prints, and stops when it cannot"
)]
#![allow(missing_docs, reason = "a program")]

#[path = "../tests/vectors/form.rs"]
mod form;
#[path = "../tests/vectors/page.rs"]
mod page;

use form::{Form, hex};
use std::io::{BufRead as _, Write as _, stdin, stdout};

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("lines") => lines(),
        Some("fill") => println!("{}", serde_json::to_string_pretty(&page::filled()).unwrap()),
        Some("doc") => print!("{}", page::section(&page::vectors())),
        _ => println!("usage: forms lines | fill | doc"),
    }
}

fn lines() {
    for line in stdin().lock().lines() {
        let answer = answer(&line.unwrap()).unwrap_or_else(|error| serde_json::json!({ "error": error }));
        println!("{answer}");
        stdout().flush().unwrap();
    }
}

fn answer(line: &str) -> Result<serde_json::Value, String> {
    let mut asked: serde_json::Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let what = asked.as_object_mut().and_then(|asked| asked.remove("do"));
    let form: Form = serde_json::from_value(asked).map_err(|error| error.to_string())?;
    match what.as_ref().and_then(serde_json::Value::as_str) {
        Some("make") => Ok(serde_json::json!({ "message": hex(&form.make()?) })),
        Some("open") => serde_json::to_value(form.open()?).map_err(|error| error.to_string()),
        _ => Err("say what to do: make or open".to_owned()),
    }
}
