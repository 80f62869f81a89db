//! `keyward import mosquitto`: what is carried over means what it meant, every line is reported, and what would open
//! something is refused with nothing written.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

#[path = "mosquitto/dynamic.rs"]
mod dynamic;
#[path = "mosquitto/killed.rs"]
mod killed;
#[path = "mosquitto/root.rs"]
mod root;
mod story;

use serde_json::Value;
use std::fs;
use std::process::Command;
use story::Story;

/// A hash as `mosquitto_passwd` of 2.0 writes it.
const HASH: &str = "$7$101$BwcHBwcHBwcHBwcH$CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQ==";

const CONF: &str = "listener 1883 127.0.0.1\npassword_file {}/passwd\nacl_file {}/acl\npersistence true\n";

const ACL: &str = "# own\ntopic read news/#\nuser ann\ntopic read sensors/#\ntopic deny sensors/secret\ntopic readwrite $SYS/#\n\
                   user ben\ntopic write sensors/+\npattern readwrite u/%u/#\npattern write dev-%c/{x}\npattern deny u/ben/off\n";

/// Writes files in which `{}` is their folder.
fn put(story: &Story, files: &[(&str, &str)]) {
    let place = story.path("").to_string_lossy().trim_end_matches('/').to_owned();
    for (name, text) in files {
        let path = story.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        story.write(&path, &text.replace("{}", &place).replace("HASH", HASH));
    }
}

fn usual(story: &Story) {
    put(story, &[("m.conf", CONF), ("passwd", "ann:HASH\nben:HASH\n"), ("acl", ACL)]);
}

fn explain(story: &Story, words: &[&str]) -> bool {
    let mut all = vec!["policy", "explain"];
    all.extend(words);
    story.json(&all)["policy_explained"]["allowed"].as_bool().unwrap()
}

fn fate_of<'v>(report: &'v Value, file: &str, line: u64) -> &'v str {
    let lines = report["import"]["lines"].as_array().unwrap();
    let found = lines.iter().find(|it| it["file"].as_str().unwrap().ends_with(file) && it["line"] == line);
    found.unwrap()["fate"].as_str().unwrap()
}

/// What an import could change.
fn state(story: &Story) -> (String, usize, usize) {
    let config = fs::read_to_string(story.dir().join("keyward.toml")).unwrap();
    let rules = fs::read_dir(story.dir().join("policy.d")).unwrap().count();
    (config, rules, story.json(&["user", "list"])["users"].as_array().unwrap().len())
}

/// Returns what a refused import says to a script.
fn refused_json(story: &Story, words: &[&str]) -> Value {
    let answer = story.run(&[&["--json", "import", "mosquitto", "m.conf"], words].concat());
    assert!(!answer.status.success());
    serde_json::from_slice(&answer.stdout).unwrap()
}

#[test]
fn an_import_means_what_the_files_meant_and_reports_every_line() {
    let story = Story::stopped();
    usual(&story);
    let before = state(&story);
    let dry = story.json(&["import", "mosquitto", "m.conf", "--dry-run"]);
    assert_eq!((state(&story), &dry["import"]["written"]), (before, &Value::Bool(false)));

    let report = story.json(&["import", "mosquitto", "m.conf"]);
    assert_eq!(
        report["import"]["lines"].as_array().unwrap().len(),
        CONF.lines().count() + 2 + ACL.lines().count()
    );
    assert!(!report.to_string().contains("CQkJ"), "a hash is shown");
    for (file, line, fate) in [
        ("m.conf", 1, "carried"),
        ("m.conf", 4, "changed"),
        ("passwd", 1, "weak"),
        ("acl", 1, "comment"),
        ("acl", 6, "changed"),
        ("acl", 10, "weak"),
    ] {
        assert_eq!(fate_of(&report, file, line), fate, "{file}:{line}");
    }
    for (who, action, topic, may) in [
        ("user:ann", "receive", "sensors/a", true),
        ("user:ann", "receive", "sensors/secret", false),
        ("user:ann", "publish", "sensors/a", false),
        ("user:ann", "receive", "$SYS/broker/uptime", true),
        ("user:ann", "receive", "news/today", false),
        ("user:ann", "subscribe", "whatever/#", true),
        ("user:ben", "publish", "sensors/a", true),
        ("user:ben", "publish", "u/ben/on", true),
        ("user:ben", "publish", "u/ben/off", false),
        ("user:ben", "publish", "u/ann/on", false),
    ] {
        assert_eq!(
            explain(&story, &["--as", who, "--client", "c1", action, topic]),
            may,
            "{who} {action} {topic}"
        );
    }
    assert!(explain(&story, &["--as", "user:ben", "--client", "c1", "publish", "dev-c1/{x}"]));
    assert!(!explain(&story, &["--as", "user:ben", "--client", "c2", "publish", "dev-c1/{x}"]));
    let config = fs::read_to_string(story.dir().join("keyward.toml")).unwrap();
    assert!(config.contains("port = 8883") && config.contains("port = 1883\ntls = false"), "{config}");

    let again = story.refused(&["import", "mosquitto", "m.conf"]);
    assert!(again.contains("ann, ben") && again.contains("here already"), "{again}");
}

#[test]
fn the_versions_read_patterns_and_password_files_as_they_do() {
    let story = Story::stopped();
    usual(&story);
    put(
        &story,
        &[("passwd", "ann:HASH\nben:HASH\n"), ("acl", "pattern write dev-%c/x\npattern write %u/%c/y\n")],
    );
    story.ok(&["import", "mosquitto", "m.conf", "--version", "2.1"]);
    let may = |topic| explain(&story, &["--as", "user:ann", "--client", "c1", "publish", topic]);
    assert!(!may("dev-c1/x") && may("dev-%c/x") && may("ann/c1/y"));

    put(&story, &[("passwd", "cat:HASH\nbroken:$7$0$x$y\ndan:HASH\n")]);
    fs::remove_dir_all(story.dir().join("policy.d")).unwrap();
    fs::create_dir(story.dir().join("policy.d")).unwrap();
    let refused = story.refused(&["import", "mosquitto", "m.conf", "--version", "2.1", "--dry-run"]);
    assert!(refused.contains("passwd:2"), "{refused}");
    put(&story, &[("m.conf", &CONF.replace("1883", "1884"))]);
    let report = story.json(&["import", "mosquitto", "m.conf", "--version", "2.0", "--dry-run"]);
    assert_eq!(report["import"]["users"], serde_json::json!(["cat", "dan"]));
    assert_eq!(fate_of(&report, "passwd", 2), "unsupported");
}

#[test]
fn what_would_open_something_is_refused_and_nothing_is_written() {
    let story = Story::stopped();
    let before = state(&story);
    let huge = "#".repeat(5 * 1024 * 1024);
    for (name, text, why) in [
        ("m.conf", "listener 1883\npassword_file {}/passwd\nacl_file {}/acl\n", "--plain-from"),
        ("m.conf", "listener 1883 example.com\n", "names a host"),
        ("m.conf", "listener 1883 127.0.0.1\nmount_point x/\n", "mount_point"),
        ("m.conf", "listener 1883 127.0.0.1\nplugin /x/go-auth.so\n", "go-auth.so"),
        ("m.conf", "listener 1883\nbind_interface wg0\n", "bind_interface wg0): here a listener is held"),
        ("m.conf", "listener 1883\nsocket_domain ipv6\n", "socket_domain ipv6): here a listener is held"),
        (
            "m.conf",
            "listener 1883 127.0.0.1\npsk_hint x\npsk_file {}/none\n",
            "listener 1883: it has pre-shared keys",
        ),
        (
            "m.conf",
            "listener 1883 127.0.0.1\npassword_file {}/passwd\nplugin /x/mosquitto_dynamic_security.so\n\
             plugin_opt_config_file {}/d.json\n",
            "m.conf:2: a password_file and dynamic security",
        ),
        (
            "passwd",
            &format!("ann:{HASH}\nben:{}\n", HASH.replace("$101$", "$4000000$")),
            "passwd:2: user ben: its hash asks",
        ),
        (
            "m.conf",
            "per_listener_settings true\nlistener 1 127.0.0.1\nacl_file {}/acl\nlistener 2 127.0.0.1\n",
            "per_listener",
        ),
        ("m.conf", "listener 1883 127.0.0.1\npassword_file {}/none\n", "none"),
        ("m.conf", "listener 1883 127.0.0.1\nrequire_certificate true\n", "demands certificates"),
        ("m.conf", "include_dir {}/d\n", "cannot include others"),
        ("m.conf", "lisener 1883\n", "m.conf:1"),
        ("m.conf", "allow_anonymous true\nallow_anonymous true\n", "m.conf:2"),
        ("m.conf", "listener 8883 127.0.0.1\nlistener 8883 127.0.0.1\n", "keyward.toml"),
        ("passwd", "ann:HASH\nAnn:HASH\n", "differ by case"),
        ("passwd", "ann lee:HASH\n", "ann lee"),
        ("acl", "user Ann\ntopic a\n", "differ by case"),
        ("acl", "user ann\ntopic deny $share/x\n", "acl:2"),
        ("acl", "topics a\n", "acl:1"),
        ("acl", "topic read a b#\n", "acl:1"),
        ("acl", &huge, "more than"),
        ("passwd", "ann:HASH\n\u{0}", "passwd:2"),
    ] {
        usual(&story);
        put(&story, &[("d/a.conf", "include_dir {}/d\n"), ("d.json", "{}"), (name, text)]);
        let refused = story.refused(&["import", "mosquitto", "m.conf"]);
        assert!(refused.contains(why), "{why}: {refused}");
        let report = refused_json(&story, &[]);
        assert!(!report["import"]["refusals"].as_array().unwrap().is_empty());
        assert_eq!(report["refused"]["code"], "invalid");
        assert!(report["refused"]["what"].as_str().unwrap().contains(why), "{report}");
    }
    usual(&story);
    story.spoil(&story.path("acl"), b"user ann\ntopic \xff\n");
    assert!(story.refused(&["import", "mosquitto", "m.conf"]).contains("acl:2"));
    assert_eq!(state(&story), before);
}

#[test]
fn an_installation_without_an_acl_file_becomes_an_explicit_rule() {
    let story = Story::stopped();
    usual(&story);
    put(&story, &[("m.conf", "listener 1883 127.0.0.1\npassword_file {}/passwd\n")]);
    let report = story.json(&["import", "mosquitto", "m.conf"]);
    assert!(report["import"]["next"].to_string().contains("mosquitto-everything.toml"), "{report}");
    let may = |action, topic| explain(&story, &["--as", "user:ann", action, topic]);
    assert!(
        may("publish", "any/thing") && may("receive", "any/thing") && !may("receive", "$SYS/broker/uptime")
    );
}

#[test]
fn where_the_user_name_is_the_client_id_nobody_gets_in_without_one() {
    let story = Story::stopped();
    usual(&story);
    let conf = "listener 1883 127.0.0.1\nuse_username_as_clientid true\nallow_anonymous true\npassword_file {}/passwd\nacl_file {}/acl\n";
    put(&story, &[("m.conf", conf)]);
    let report = story.json(&["import", "mosquitto", "m.conf"]);
    assert_eq!(fate_of(&report, "m.conf", 2), "changed");
    let listeners = report["import"]["listeners"].as_str().unwrap();
    assert!(!listeners.contains("anonymous_as"), "{listeners}");
    assert_eq!(report["import"]["users"], serde_json::json!(["ann", "ben"]));
    let pattern = report["import"]["lines"].as_array().unwrap();
    let pattern = pattern.iter().find(|line| line["text"] == "pattern write dev-%c/{x}").unwrap();
    assert!(pattern["what"].as_str().unwrap().contains("--version 2.1"), "{pattern}");
}

/// Runs openssl in the story's place.
fn openssl(story: &Story, line: &str) {
    let mut command = Command::new("openssl");
    let output = command.args(line.split(' ')).current_dir(story.path("")).output().unwrap();
    assert!(output.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Makes `NAME.crt`, `NAME.key` and the empty list `NAME.crl` of an authority.
fn old_authority(story: &Story, name: &str) {
    openssl(
        story,
        &format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.crt -days 90 -subj /CN={name}"
        ),
    );
    let index = story.path(&format!("{name}.index"));
    story.write(&index, "");
    let text = format!(
        "[ca]\ndefault_ca=d\n[d]\ndatabase={name}.index\ncrlnumber={name}.number\ndefault_md=sha256\ndefault_crl_days=30\n"
    );
    story.write(&story.path(&format!("{name}.cnf")), &text);
    story.write(&story.path(&format!("{name}.number")), "01\n");
    openssl(
        story,
        &format!("ca -gencrl -config {name}.cnf -cert {name}.crt -keyfile {name}.key -out {name}.crl"),
    );
}

/// Makes an authority, another one, and the server's certificate with its key.
fn old_certificates(story: &Story) {
    old_authority(story, "ca");
    old_authority(story, "strange");
    openssl(
        story,
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=server",
    );
    story.write(&story.path("san"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
    openssl(
        story,
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 90 -extfile san -out server.crt",
    );
}

/// A listener on which certificates name the clients, and one with passwords.
const TLS_CONF: &str = "listener 8884 127.0.0.1\ncertfile {}/server.crt\nkeyfile {}/server.key\ncafile {}/ca.crt\ncrlfile {}/ca.crl\n\
                        require_certificate true\nuse_identity_as_username true\n\
                        listener 8885 127.0.0.1\ncertfile {}/server.crt\nkeyfile {}/server.key\n";

const FILES: &str = "password_file {}/passwd\nacl_file {}/acl\n";

fn bound(story: &Story) -> Vec<(String, String)> {
    let list = story.json(&["authority", "trust", "list"]);
    let rows = list["trusted_authorities"].as_array().unwrap().iter();
    let names = rows.flat_map(|row| row["bound"].as_array().unwrap().clone());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    names.map(|bound| (text(&bound["common_name"]), text(&bound["identity"]))).collect()
}

fn keys(story: &Story) -> Vec<String> {
    let entries = fs::read_dir(story.dir().join("keys")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn certificates_go_on_and_name_whom_they_named() {
    let story = Story::stopped();
    usual(&story);
    old_certificates(&story);
    let acl = format!("{ACL}user cat\ntopic read c\n");
    put(&story, &[("m.conf", &format!("{TLS_CONF}{FILES}")), ("acl", &acl)]);
    let words = ["import", "mosquitto", "m.conf", "--certificate-users", "pump-1,ben"];
    let report = story.json(&words);
    assert!(!report.to_string().contains("PRIVATE KEY"), "the key is shown");
    for (line, fate) in [(2, "carried"), (4, "changed"), (5, "changed"), (9, "carried")] {
        assert_eq!(fate_of(&report, "m.conf", line), fate, "m.conf:{line}");
    }
    let named = ["ann", "ben", "cat", "pump-1"].map(|name| (name.to_owned(), format!("user:{name}")));
    assert_eq!(bound(&story), named);
    let config = fs::read_to_string(story.dir().join("keyward.toml")).unwrap();
    for text in [
        "port = 8884\nserver_certificate = \"mosquitto-1\"\nlogin = \"certificate\"\ntrusted = [\"mosquitto-1\"]\n",
        "port = 8883\ntrusted = []\n",
        "port = 8885\nserver_certificate = \"mosquitto-1\"\nlogin = \"password\"\n",
    ] {
        assert!(config.contains(text), "{config}");
    }
    let list = story.json(&["server", "certificate", "list"]);
    assert_eq!(list["server_certificates"].as_array().unwrap().len(), 1, "{list}");
    assert!(keys(&story).iter().all(|name| story::mode(&story.dir().join("keys").join(name)) == 0o600));
    assert!(explain(&story, &["--as", "user:pump-1", "--client", "p1", "publish", "u/pump-1/x"]));
}

/// Each listener of Mosquitto had an authority of its own; whoever has the key of one must not come in at the others.
#[test]
fn authorities_of_several_listeners_count_each_at_its_own() {
    let story = Story::stopped();
    usual(&story);
    old_certificates(&story);
    let listener = |port, ca, more| {
        format!(
            "listener {port} 127.0.0.1\ncertfile {{}}/server.crt\nkeyfile {{}}/server.key\ncafile {{}}/{ca}.crt\n\
             require_certificate true\n{more}\n"
        )
    };
    let naming = "use_identity_as_username true";
    let conf = [
        listener(8884, "ca", naming),
        listener(8885, "strange", naming),
        listener(8886, "strange", naming),
        listener(8887, "ca", "use_subject_as_username true"),
    ];
    put(&story, &[("m.conf", &format!("{}{FILES}", conf.concat()))]);
    let own = "[[listener]]\nname = \"mine\"\naddress = \"127.0.0.1\"\nport = 8889\n[[listener]]\nname = \"people\"\n\
               address = \"127.0.0.1\"\nport = 8890\nlogin = \"password\"\n";
    let file = story.dir().join("keyward.toml");
    story.write(&file, own);
    let report = story.json(&["import", "mosquitto", "m.conf"]);
    let next = report["import"]["next"].to_string();
    assert!(next.contains("the old authorities do not count at mine"), "{next}");
    let config = fs::read_to_string(file).unwrap();
    let own = own.replace("port = 8889\n", "port = 8889\ntrusted = []\n");
    assert!(config.starts_with(&own), "{config}");
    for (port, trusted) in
        [(8884, "\"mosquitto-1\""), (8885, "\"mosquitto-2\""), (8886, "\"mosquitto-2\""), (8887, "")]
    {
        let section =
            config.split("[[listener]]").find(|section| section.contains(&format!("port = {port}\n")));
        assert!(section.unwrap().contains(&format!("trusted = [{trusted}]\n")), "{config}");
    }
    let list = story.json(&["authority", "trust", "list"]);
    let rows = list["trusted_authorities"].as_array().unwrap().iter();
    let counts: Vec<_> = rows.map(|row| (row["name"].clone(), row["counts_at"].clone())).collect();
    let expected = serde_json::json!([
        ["mosquitto-1", ["mosquitto-8884"]],
        ["mosquitto-2", ["mosquitto-8885", "mosquitto-8886"]],
    ]);
    assert_eq!(serde_json::json!(counts), expected);
}

#[test]
fn passwords_that_were_used_without_tls_are_named_as_what_to_replace() {
    let story = Story::stopped();
    usual(&story);
    put(&story, &[("m.conf", &format!("listener 1883\n{FILES}"))]);
    let report = story.json(&["import", "mosquitto", "m.conf", "--plain-from", "192.168.1.0/24"]);
    let next = report["import"]["next"].to_string();
    assert!(next.contains("may have been read"), "{report}");
    assert!(next.contains("keyward user plain NAME for each that needs it (ann, ben)"), "{report}");
    assert!(!next.contains("clients without a login"), "{report}");
    let exposed = || {
        let doctor = story.json(&["doctor"]);
        let findings = doctor["diagnosis"]["findings"].as_array().unwrap();
        findings.iter().filter(|finding| finding["check"] == "exposed-password").count()
    };
    assert_eq!(exposed(), 2);
    let users = story.json(&["user", "list"]).to_string();
    assert_eq!(users.matches("may have been read on the network").count(), 2, "{users}");
    let commands = report["import"]["new_passwords"].as_array().unwrap();
    assert_eq!(commands.len(), 2, "{report}");
    // Each is ready: pasted into a shell it gives the user another password.
    for command in commands {
        let words = command.as_str().unwrap();
        let shell = Command::new("sh").args(["-c", words]).current_dir(story.path("")).output().unwrap();
        let said = story::said(&shell);
        assert!(shell.status.success() && said.contains("assword"), "{words}: {said}");
    }
    let users = story.json(&["user", "list"]);
    assert!(!users.to_string().contains("password_note") && exposed() == 0, "{users}");
    assert!(
        report["import"]["lines"].to_string().contains("passwords that were used here may have been read"),
        "{report}"
    );
}

/// Where nobody has a password none was read; who has no login needs the mark as well.
#[test]
fn what_is_left_to_do_on_a_plain_listener_names_whom_it_concerns() {
    let story = Story::stopped();
    put(
        &story,
        &[("m.conf", "listener 1883\nallow_anonymous true\nacl_file {}/acl\n"), ("acl", "topic read a\n")],
    );
    let report = story.json(&["import", "mosquitto", "m.conf", "--plain-from", "192.168.1.0/24"]);
    let next = report["import"]["next"].to_string();
    assert!(next.contains("keyward user plain anonymous") && !next.contains("NAME"), "{report}");
    assert!(!report.to_string().contains("may have been read"), "{report}");
    story.ok(&["user", "plain", "anonymous"]);
}

#[test]
fn an_authority_that_names_nobody_asks_for_a_password_too() {
    let story = Story::stopped();
    usual(&story);
    old_certificates(&story);
    fs::create_dir(story.path("authorities")).unwrap();
    fs::copy(story.path("ca.crt"), story.path("authorities/ca.pem")).unwrap();
    openssl(&story, "rehash authorities");
    let conf = "listener 8884 127.0.0.1\ncertfile {}/server.crt\nkeyfile {}/server.key\ncapath {}/authorities\nrequire_certificate 1\n";
    put(&story, &[("m.conf", &format!("{conf}{FILES}"))]);
    story.ok(&["import", "mosquitto", "m.conf"]);
    let list = story.json(&["authority", "trust", "list"]);
    assert_eq!(list["trusted_authorities"][0]["proves"], "none", "{list}");
    assert_eq!(list["trusted_authorities"][0]["knocks_at"][0], "mosquitto-8884", "{list}");
    assert_eq!(bound(&story), []);
    let config = fs::read_to_string(story.dir().join("keyward.toml")).unwrap();
    assert!(config.contains("login = \"certificate and password\""), "{config}");
}

#[test]
fn certificates_that_cannot_go_on_are_refused_with_their_lines() {
    let story = Story::stopped();
    old_certificates(&story);
    openssl(&story, "ec -in server.key -aes128 -passout pass:secret -out locked.key");
    let mut ended = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    ended.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    story.write(&story.path("ended.crt"), &ended.self_signed(&key).unwrap().pem());
    story.write(&story.path("ended.key"), &key.serialize_pem());
    ended.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    story.write(&story.path("ended-ca.crt"), &ended.self_signed(&key).unwrap().pem());
    ended.not_after = rcgen::date_time_ymd(2040, 1, 1);
    ended.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    story.write(&story.path("server-ca.crt"), &ended.self_signed(&key).unwrap().pem());
    let two = ["ca.crt", "strange.crt"].map(|name| fs::read_to_string(story.path(name)).unwrap());
    story.write(&story.path("two.crt"), &two.concat());
    let before = (state(&story), keys(&story));
    let other = "listener 8886 127.0.0.1\ncertfile {}/server.crt\nkeyfile {}/server.key\ncafile {}/ca.crt\nrequire_certificate true\n";
    for (from, to, line, why) in [
        ("server.key", "locked.key", 3, "encrypted"),
        ("server.key", "ca.key", 3, "do not fit together"),
        ("server.key", "none", 3, "none"),
        ("server.crt", "ca.key", 2, "private key"),
        ("server", "ended", 2, "ended"),
        ("{}/ca.crt", "{}/ended-ca.crt", 4, "ended"),
        ("{}/ca.crt", "{}/server.crt", 4, "CA:TRUE"),
        ("{}/ca.crt", "{}/m.conf", 4, "nothing that can be read"),
        ("{}/ca.crl", "{}/strange.crl", 5, "not signed by this authority"),
        ("{}/ca.crt", "{}/server-ca.crt", 4, "its extendedKeyUsage has no clientAuth"),
        ("cafile {}/ca.crt", "capath {}/d", 4, "by its hash"),
        ("listener 8885", &format!("{other}listener 8885"), 11, "proves something else"),
    ] {
        usual(&story);
        let conf = TLS_CONF.replace(from, to);
        put(&story, &[("d/x.crt", ""), ("m.conf", &format!("{conf}{FILES}"))]);
        let refused = story.refused(&["import", "mosquitto", "m.conf"]);
        assert!(refused.contains(why) && refused.contains(&format!("m.conf:{line}")), "{why}: {refused}");
    }
    // As there, a client needs a list of its own issuer, so one list may stand beside two authorities.
    let conf = TLS_CONF.replace("{}/ca.crt", "{}/two.crt");
    put(&story, &[("m.conf", &format!("{conf}{FILES}"))]);
    story.ok(&["import", "mosquitto", "m.conf", "--dry-run"]);
    usual(&story);
    let refused = story.refused(&["import", "mosquitto", "m.conf", "--certificate-users", "pump-1"]);
    assert!(refused.contains("--certificate-users"), "{refused}");
    let plugin = "plugin /x/mosquitto_dynamic_security.so\nplugin_opt_config_file {}/d.json\n";
    let security = r#"{"defaultACLAccess": {"publishClientReceive": true}, "clients": [{"username": "off", "disabled": true}, {"username": "one", "clientid": "x"}, {"username": "on"}], "roles": []}"#;
    put(&story, &[("m.conf", &format!("{TLS_CONF}{plugin}")), ("d.json", security)]);
    let refused = story.refused(&["import", "mosquitto", "m.conf", "--certificate-users", "off,one,none,on"]);
    for why in ["off is disabled", "one gets in with one client id", "none is no client"] {
        assert!(refused.contains(why) && !refused.contains("users: on "), "{why}: {refused}");
    }
    assert_eq!((state(&story), keys(&story)), before);
}

#[test]
fn an_import_that_fails_at_its_last_step_leaves_nothing() {
    let story = Story::begin();
    let broker = story.start();
    usual(&story);
    old_certificates(&story);
    let port = story::free_port();
    let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let conf = TLS_CONF.replace("8884", &port.to_string()).replace("8885", &story::free_port().to_string());
    put(&story, &[("m.conf", &format!("{conf}{FILES}"))]);
    let before = (state(&story), keys(&story));
    let refused = story.refused(&["import", "mosquitto", "m.conf"]);
    assert!(refused.contains("nothing was imported") && refused.contains(&port.to_string()), "{refused}");
    assert_eq!((state(&story), keys(&story), bound(&story)), (before.0, before.1, Vec::new()));
    drop(taken);
    story.ok(&["import", "mosquitto", "m.conf"]);
    broker.stop();
}
