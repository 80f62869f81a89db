use super::*;

/// A code, lines, and how many bytes they took.
type Parsed = Option<(u16, Vec<String>, usize)>;

fn parsed(text: &str) -> Result<Parsed, &'static str> {
    Ok(parse(text.as_bytes())?.map(|(answer, length)| (answer.code, answer.lines, length)))
}

#[test]
fn an_answer_is_all_its_lines_and_not_a_byte_more() {
    let lines = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert_eq!(parsed("250 ok\r\n220 x"), Ok(Some((250, lines(&["ok"]), 8))));
    assert_eq!(
        parsed("250-a\r\n250-STARTTLS\r\n250 HELP\r\n"),
        Ok(Some((250, lines(&["a", "STARTTLS", "HELP"]), 31)))
    );
    assert_eq!(parsed("354\r\n"), Ok(Some((354, lines(&[""]), 5))));
    for part in ["", "2", "250 ok", "250-a\r\n", "250-a\r\n250 b"] {
        assert_eq!(parsed(part), Ok(None), "{part:?}");
    }
}

#[test]
fn what_is_no_answer_is_refused_and_none_is_endless() {
    for text in ["HTTP/1.1 400\r\n", "25 ok\r\n", "250_ok\r\n", "\r\n"] {
        assert!(parsed(text).is_err(), "{text:?}");
    }
    assert!(parsed(&"x".repeat(limits::SMTP_LINE_BYTES + 1)).is_err());
    assert!(parsed(&"250-a\r\n".repeat(limits::SMTP_LINES + 1)).is_err());
    assert_eq!(parsed("250 a\u{7}b\r\n").unwrap().unwrap().1, ["ab"]);
}
