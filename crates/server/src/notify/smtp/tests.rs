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

/// Is a mail server of which a test says what it does on its only connection.
fn server(act: impl FnOnce(TcpStream) + Send + 'static) -> Mail {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || act(listener.accept().unwrap().0));
    Mail {
        host: "127.0.0.1".to_owned(),
        port,
        tls: MailTls::None,
        login: None,
        ca_file: None,
        from: "keyward@example.org".to_owned(),
        to: vec!["anna@example.org".to_owned()],
    }
}

fn within(span: Duration) -> Millis {
    clock::now().mono.saturating_add(clock::millis(span))
}

#[test]
fn a_server_that_gives_its_tls_byte_by_byte_is_left_when_the_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let authority = rcgen::generate_simple_self_signed(vec!["mail.example".to_owned()]).unwrap();
    let ca_file = folder.path().join("ca.pem");
    keyward_identity::files::write_new(&ca_file, authority.cert.pem().as_bytes()).unwrap();
    let drips = |mut socket: TcpStream| {
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        // The head of a record of 16 KiB, and then a byte from time to time: each read would have all of its time again.
        let head = [22, 3, 3, 0x40, 0].into_iter();
        for byte in head.chain(std::iter::repeat_n(0, 100)) {
            if socket.write_all(&[byte]).is_err() {
                return;
            }
            while let Ok(1..) = socket.read(&mut [0; 1_024]) {}
        }
    };
    let settings = Mail { tls: MailTls::Tls, ca_file: Some(ca_file), ..server(drips) };
    let error = Smtp::open(&settings, within(Duration::from_millis(400))).err().unwrap();
    assert!(error.contains("no answer within"), "{error}");
}

#[test]
fn what_a_server_repeats_of_a_password_is_told_to_nobody_and_what_it_says_is_told_briefly() {
    let echoes = |mut socket: TcpStream| {
        let mut said = std::io::BufReader::new(socket.try_clone().unwrap());
        socket.write_all(b"220 here\r\n").unwrap();
        let mut line = String::new();
        while let Ok(1..) = std::io::BufRead::read_line(&mut said, &mut line) {
            let answer = match line.split(' ').next().unwrap_or_default() {
                "EHLO" => "250-here\r\n250 AUTH PLAIN\r\n".to_owned(),
                "AUTH" => format!("535 no such command: {line}"),
                _ => format!("550 {}\r\n", "\u{202e}x".repeat(400)),
            };
            socket.write_all(answer.as_bytes()).unwrap();
            line.clear();
        }
    };
    let mut smtp = Smtp::open(&server(echoes), within(Duration::from_secs(10))).unwrap();
    let error = smtp.log_in("keyward", b"secret").unwrap_err();
    let shown = Base64::encode_string(b"\0keyward\0secret");
    assert!(error.contains("535") && error.contains("are `user`") && !error.contains(&shown), "{error}");
    let error = smtp.address("keyward@example.org", &[]).unwrap_err();
    assert!(error.contains("550") && error.len() < 3_000 && !error.contains('\u{202e}'), "{error}");
}
