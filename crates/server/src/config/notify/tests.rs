use super::*;
use crate::config::Config;

fn parsed(text: &str) -> Result<Notify, String> {
    Config::parse("keyward.toml", text).map(|config| config.notify).map_err(|errors| errors.to_string())
}

fn webhook(more: &str) -> Result<Webhook, String> {
    let text = format!("[[notify.webhook]]\nname = \"pager\"\nsecret_file = \"/s\"\n{more}");
    parsed(&text).map(|notify| notify.webhooks[0].clone())
}

fn mail(more: &str) -> Result<Mail, String> {
    let text = format!("[notify.mail]\nfrom = \"k@a.example\"\nto = [\"anna@a.example\"]\n{more}");
    parsed(&text).map(|notify| notify.mail.unwrap())
}

#[test]
fn without_a_word_nobody_is_told() {
    assert_eq!(parsed(""), Ok(Notify::default()));
}

#[test]
fn a_webhook_is_told_what_somebody_is_called_for_unless_it_asks_for_more() {
    let pager = webhook("url = \"https://alerts.example:8443/in?team=a\"").unwrap();
    assert_eq!((pager.host.as_str(), pager.secret_file.to_str()), ("alerts.example", Some("/s")));
    assert!(
        pager.wanted.wants("missing", Severity::High) && !pager.wanted.wants("missing", Severity::Medium)
    );
    let all = webhook("url = \"https://a.example\"\nmin = \"info\"\nkinds = [\"missing\", \"quarantine\"]")
        .unwrap();
    assert!(all.wanted.wants("missing", Severity::Info) && !all.wanted.wants("moved", Severity::Critical));
}

#[test]
fn what_leaves_this_machine_is_encrypted_unless_somebody_says_otherwise() {
    for url in ["http://127.0.0.1:8080/", "http://[::1]/", "http://localhost/"] {
        assert!(webhook(&format!("url = \"{url}\"")).is_ok(), "{url}");
    }
    let error = webhook("url = \"http://alerts.example/\"").unwrap_err();
    assert!(error.contains("https") && error.contains("plain = true"), "{error}");
    assert!(webhook("url = \"http://alerts.example/\"\nplain = true").is_ok());
    assert!(mail("server = \"mail.a.example\"\ntls = \"none\"").unwrap_err().contains("loopback"));
    assert!(mail("server = \"127.0.0.1:25\"\ntls = \"none\"").is_ok());
}

#[test]
fn a_url_that_may_hold_a_secret_is_not_repeated() {
    for url in
        ["https://user:hunter2@a.example/", "ftp://a.example/hunter2", "hunter2", "http://a.example/hunter2"]
    {
        let error = webhook(&format!("url = \"{url}\"")).unwrap_err();
        assert!(
            error.contains("keyward.toml:4:7: notify.webhook.url") && !error.contains("hunter2"),
            "{error}"
        );
    }
}

#[test]
fn mail_leaves_by_submission_over_tls() {
    let plain = mail("server = \"mail.a.example\"").unwrap();
    assert_eq!((plain.port, plain.tls, plain.login), (587, MailTls::StartTls, None));
    let smtps =
        mail("server = \"mail.a.example\"\ntls = \"tls\"\nuser = \"k\"\npassword_file = \"/p\"").unwrap();
    assert_eq!((smtps.port, smtps.login.unwrap().user.as_str()), (465, "k"));
    assert_eq!(mail("server = \"[2001:db8::1]:2525\"").unwrap().port, 2_525);
}

#[test]
fn syslog_is_a_socket_or_a_host() {
    let place =
        |to: &str| parsed(&format!("[notify.syslog]\nto = \"{to}\"")).map(|notify| notify.syslog.unwrap().to);
    assert_eq!(place("/dev/log"), Ok(SyslogPlace::Socket("/dev/log".into())));
    assert_eq!(place("udp:log.example"), Ok(SyslogPlace::Udp("log.example".into(), 514)));
    assert_eq!(place("tcp:[::1]:601"), Ok(SyslogPlace::Tcp("::1".into(), 601)));
    for bad in ["log.example", "tls:log.example", "udp:", "udp:a:0", "udp:a:70000", ""] {
        assert!(place(bad).unwrap_err().contains("notify.syslog.to"), "{bad}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let pager = "[[notify.webhook]]\nname = \"p\"\nurl = \"https://a.example\"\nsecret_file = \"/s\"\n";
    let mail = "[notify.mail]\nserver = \"a.example\"\n";
    for (text, place) in [
        (format!("{pager}{pager}"), "6:8: notify.webhook.name: expected a name that no other webhook has"),
        (pager.replace("\"p\"", "\"mail\""), "2:8: notify.webhook.name"),
        (pager.replace("\"/s\"", "\"s\""), "4:15: notify.webhook.secret_file"),
        (format!("{pager}kinds = [\"theft\"]"), "5:10: notify.webhook.kinds"),
        (format!("{pager}min = \"urgent\""), "notify.webhook.min"),
        (format!("{pager}secret = \"hush\""), "notify.webhook.secret"),
        (format!("{mail}from = \"a@b.c\"\nto = []"), "4:6: notify.mail.to"),
        (format!("{mail}from = \"a@b.c\\r\\nBcc: x@y.z\"\nto = [\"a@b.c\"]"), "notify.mail.from"),
        (format!("{mail}from = \"a@b.c\"\nto = [\"anna\"]"), "notify.mail.to"),
        (
            format!("{mail}from = \"a@b.c\"\nto = [\"a@b.c\"]\nuser = \"k\""),
            "expected `password_file` beside",
        ),
        (format!("{mail}from = \"a@b.c\"\nto = [\"a@b.c\"]\ntls = \"no\""), "notify.mail.tls"),
        (pager.repeat(9).replace("\"p\"", "\"p1\""), "at most 8 webhooks"),
    ] {
        let error = parsed(&text).unwrap_err();
        assert!(error.contains(place), "{text}: {error}");
    }
}
