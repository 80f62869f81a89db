use super::*;
use serde_json::json;

fn letter(event: Event, incident: serde_json::Value) -> Letter {
    let test = Letter::test("f00d".to_owned(), 1_700_000_000_000);
    let notice =
        Notice { event, kind: "gateway-loss".to_owned(), severity: Severity::High, incident, ..test.notice };
    Letter { notice: Notice { what: "gateway a: all behind it\nare silent".to_owned(), ..notice }, ..test }
}

#[test]
fn a_message_has_the_form_of_the_standard() {
    let origin =
        Origin { installation: "kw-1".to_owned(), host: "host".to_owned(), directory: "/srv/kw".into() };
    let incident = json!({ "number": 7, "scope": "gateway:hall/a\"]\\b" });
    let line = line(&letter(Event::Begin, incident), &origin);
    let (head, what) = line.split_once('\u{feff}').unwrap();
    assert_eq!(
        head,
        format!(
            "<26>1 2023-11-14T22:13:20Z host keyward {} incident [keyward@32473 id=\"f00d\" event=\"begin\" kind=\"gateway-loss\" \
             severity=\"high\" scope=\"gateway:hall/a\\\"\\]\\\\b\" incident=\"7\" calls=\"true\" installation=\"kw-1\"] ",
            std::process::id()
        )
    );
    assert_eq!(what, "gateway a: all behind it are silent: keyward status");
}

#[test]
fn the_level_says_how_soon_somebody_must_act() {
    assert_eq!(level(Event::Begin, Severity::Critical), 1);
    assert_eq!(level(Event::End, Severity::Critical), 5);
    assert_eq!(level(Event::Test, Severity::Info), 6);
}

#[test]
fn a_datagram_is_cut_between_two_characters() {
    let mut line = "→".repeat(limits::SYSLOG_BYTES);
    cut(&mut line);
    assert!(line.len() <= limits::SYSLOG_BYTES && line.len() > limits::SYSLOG_BYTES - 3);
}

#[test]
fn a_log_that_nobody_reads_is_left_when_the_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let _deaf = UnixDatagram::bind(&path).unwrap();
    let brief = Duration::from_millis(20);
    // What the system holds for who does not read is bounded.
    let full = (0..100_000).find_map(|_| send_to_socket(&path, &[0; 1_024], brief).err());
    assert!(full.unwrap().contains("nobody reads"));
}
