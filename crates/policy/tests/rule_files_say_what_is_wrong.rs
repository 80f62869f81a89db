//! Each error names file, line, column, key, what was expected, what stands there and what to do.

mod support;
use keyward_policy::{Policy, PolicyError, SourceFile, limits};
use support::*;

fn errors(text: &str) -> Vec<PolicyError> {
    let Err(errors) = try_policy(text) else { panic!("the text should not load:\n{text}") };
    errors.errors().to_vec()
}

fn only_error(text: &str) -> PolicyError {
    let [error] = &errors(text)[..] else { panic!("one error expected: {:?}", errors(text)) };
    error.clone()
}

#[test]
fn an_error_names_its_place_and_what_to_do() {
    let text = "[[rule]]\nwho = \"devices\"\nallow = [\"publish\"]\ntopics = [\"ok/#\", \"{clinet}/x\"]\n";
    let error = only_error(text);
    assert_eq!((error.file.as_str(), error.line, error.column), ("policy.d/test.toml", 4, 19));
    assert_eq!((error.key.as_str(), error.given.as_str()), ("topics", "{clinet}/x"));
    assert!(error.expected.contains("{id}, {user}, {type}, {site} or {client}"), "{error}");
    assert!(error.help.contains("doubled"), "{error}");
    let line = error.to_string();
    assert!(line.starts_with("policy.d/test.toml:4:19: topics: expected {id}"), "{line}");
    assert!(line.contains("given \"{clinet}/x\""), "{line}");
}

#[test]
fn a_misspelt_key_is_named_with_the_keys_that_there_are() {
    let error = only_error("[[rule]]\nwho = \"all\"\nalow = [\"publish\"]\ntopics = [\"a\"]\n");
    assert_eq!((error.line, error.column, error.key.as_str()), (3, 1, "alow"));
    assert!(error.expected.contains("`allow`"), "{error}");
    assert!(error.help.contains("unknown field"), "{error}");
    for text in ["tiers = 1\n", "[roles.r]\nmember = []\n", "[rules]\n"] {
        assert!(errors(text)[0].help.contains("unknown field"), "{text}");
    }
}

#[test]
fn a_value_of_another_kind_is_named_with_its_key() {
    for (text, line, key, expected) in [
        ("[[rule]]\nwho = 7\n", 2, "who", "a text or an array of texts"),
        ("[[rule]]\nwho = [\n  \"all\",\n  7,\n]\n", 4, "who", "string"),
        ("tier = \"one\"\n", 1, "tier", "i64"),
        ("[roles.r]\nmembers = \"user:x\"\n", 2, "members", "sequence"),
        ("[rule]\nwho = \"all\"\n", 1, "rule", "sequence"),
    ] {
        let error = only_error(text);
        assert_eq!((error.line, error.key.as_str()), (line, key), "{error}");
        assert!(error.expected.contains(expected), "{error}");
    }
}

#[test]
fn text_that_is_no_toml_is_refused_at_its_place() {
    let error = only_error("tier = 1\n[[rule]\nwho = \"all\"\n");
    assert_eq!(error.line, 2, "{error}");
    assert!(error.help.contains("docs/permissions.md"), "{error}");
}

#[test]
fn every_error_of_every_file_is_reported_at_once() {
    let first = "tier = 0\n[[rule]]\nwho = \"device\"\nallow = [\"write\"]\ntopics = [\"a+\", \"id}\"]\n";
    let files = [SourceFile::new("a.toml", first), SourceFile::new("b.toml", "[[rule]]\n")];
    let errors = Policy::load(&files).unwrap_err();
    let places: Vec<_> =
        errors.errors().iter().map(|error| (&*error.file, error.line, &*error.key)).collect();
    assert_eq!(
        places,
        [
            ("a.toml", 1, "tier"),
            ("a.toml", 3, "who"),
            ("a.toml", 4, "allow"),
            ("a.toml", 5, "topics"),
            ("a.toml", 5, "topics"),
            ("b.toml", 1, "who"),
            ("b.toml", 1, "allow"),
            ("b.toml", 1, "topics"),
        ]
    );
}

#[test]
fn whom_a_rule_speaks_of_must_be_understood() {
    for who in
        ["", "device", "device:", "device:a/b", "role:x:y", "group:x", "Devices", "*", "user:-x", "type:"]
    {
        let error = only_error(&rule(who, "allow", &["publish"], &["a"]));
        assert_eq!((error.key.as_str(), error.line), ("who", 2), "{who:?}: {error}");
    }
}

#[test]
fn a_role_that_nobody_defines_is_an_error_that_lists_those_that_are() {
    let text = format!("{}[roles.crew]\nmembers = []\n", rule("role:crow", "allow", &["publish"], &["a"]));
    assert_eq!(only_error(&text).help, "defined are: crew");
}

#[test]
fn a_role_in_a_file_that_cannot_be_read_is_not_called_undefined() {
    let files = [
        SourceFile::new("a.toml", rule("role:crew", "allow", &["publish"], &["a"])),
        SourceFile::new("b.toml", "[roles.crew\n"),
    ];
    let errors = Policy::load(&files).unwrap_err();
    assert!(errors.errors().iter().all(|error| error.file == "b.toml"), "{errors}");
}

#[test]
fn a_role_is_defined_once_and_has_no_sets_as_members() {
    let twice = [
        SourceFile::new("a.toml", "[roles.crew]\nmembers = []\n"),
        SourceFile::new("b.toml", "[roles.Crew]\nmembers = []\n"),
    ];
    let errors = Policy::load(&twice).unwrap_err();
    assert_eq!((&*errors.errors()[0].file, errors.errors()[0].line), ("b.toml", 1));
    for member in ["devices", "all", "users", "named-devices", "role:x", "x"] {
        let error = only_error(&format!("[roles.crew]\nmembers = [\"{member}\"]\n"));
        assert_eq!(error.key, "members", "{member}");
    }
}

#[test]
fn a_rule_either_allows_or_denies() {
    let both = "[[rule]]\nwho = \"all\"\nallow = [\"publish\"]\ndeny = [\"publish\"]\ntopics = [\"a\"]\n";
    assert_eq!((only_error(both).line, only_error(both).expected.as_str()), (4, "either allow or deny"));
    let neither = "[[rule]]\nwho = \"all\"\ntopics = [\"a\"]\n";
    assert_eq!(only_error(neither).expected, "either allow or deny");
}

#[test]
fn empty_lists_are_errors_and_not_rules_without_effect() {
    for text in [
        "[[rule]]\nwho = []\nallow = [\"publish\"]\ntopics = [\"a\"]\n",
        "[[rule]]\nwho = \"all\"\nallow = []\ntopics = [\"a\"]\n",
        "[[rule]]\nwho = \"all\"\nallow = [\"publish\"]\ntopics = []\n",
    ] {
        assert_eq!(only_error(text).expected, "at least one text", "{text}");
    }
}

#[test]
fn to_allow_publishing_below_a_dollar_word_is_an_error_and_to_read_there_is_not() {
    for actions in [&["publish"][..], &["subscribe", "publish"]] {
        let error = only_error(&rule("all", "allow", actions, &["$SYS/#"]));
        assert!(error.expected.contains("publish to none"), "{error}");
    }
    assert!(try_policy(&rule("all", "allow", &["subscribe"], &["$SYS/#"])).is_ok());
    assert!(try_policy(&rule("all", "deny", &["publish"], &["$SYS/#"])).is_ok());
}

#[test]
fn a_shared_filter_in_a_rule_is_an_error_that_names_the_right() {
    let error = only_error(&rule("all", "allow", &["subscribe"], &["$share/g/a"]));
    assert!(error.help.contains("`share`"), "{error}");
}

#[test]
fn a_tier_outside_the_range_is_an_error() {
    for tier in ["0", "100", "256", "266", "-1"] {
        assert_eq!(only_error(&format!("tier = {tier}\n")).given, tier);
    }
    assert!(try_policy("tier = 1\n").is_ok() && try_policy("tier = 99\n").is_ok());
}

#[test]
fn one_bad_rule_keeps_every_good_one_out() {
    let good = rule("users", "allow", &["publish"], &["a"]);
    assert!(try_policy(&good).is_ok());
    assert!(try_policy(&format!("{good}{}", rule("users", "allow", &["publish"], &["{"]))).is_err());
}

#[test]
fn what_stands_in_a_file_is_escaped_where_it_is_shown() {
    let error = only_error(&rule("all", "allow", &["publish"], &["a\u{202e}{x}\u{1b}"]));
    assert!(!error.to_string().contains(['\u{202e}', '\u{1b}']), "{error}");
}

#[test]
fn each_bound_is_an_error_and_what_just_fits_is_not() {
    let many = |n: usize| (0..n).map(|n| format!("t{n}")).collect::<Vec<_>>();
    let topics = |n| format!("[[rule]]\nwho = \"all\"\nallow = [\"publish\"]\ntopics = {:?}\n", many(n));
    let whos = |n: usize| {
        let who: Vec<_> = (0..n).map(|n| format!("user:u{n}")).collect();
        format!("[[rule]]\nwho = {who:?}\nallow = [\"publish\"]\ntopics = [\"a\"]\n")
    };
    let members = |n: usize| {
        let members: Vec<_> = (0..n).map(|n| format!("user:u{n}")).collect();
        format!("[roles.r]\nmembers = {members:?}\n")
    };
    let roles = |n: usize| (0..n).map(|n| format!("[roles.r{n}]\nmembers = []\n")).collect::<String>();
    let rules = |n: usize| rule("all", "allow", &["publish"], &["a"]).repeat(n);
    let note = |n: usize| format!("{}note = \"{}\"\n", rules(1), "x".repeat(n));
    let bytes = |n: usize| format!("#{}\n", "x".repeat(n - 2));
    let filters = |n: usize| topics(64).repeat(n / 64) + &rules(n % 64);
    let cases: [(&dyn Fn(usize) -> String, usize); 8] = [
        (&topics, limits::MAX_TOPICS_PER_RULE),
        (&whos, limits::MAX_WHO_PER_RULE),
        (&members, limits::MAX_ROLE_MEMBERS),
        (&roles, limits::MAX_ROLES),
        (&rules, limits::MAX_RULES),
        (&note, limits::MAX_NOTE_BYTES),
        (&bytes, limits::MAX_FILE_BYTES),
        (&filters, limits::MAX_FILTERS),
    ];
    for (n, (text, most)) in cases.iter().enumerate() {
        assert!(in_parts(&text(*most)).is_ok(), "case {n}: {:?}", in_parts(&text(*most)).err());
        assert!(in_parts(&text(most + 1)).is_err(), "case {n}");
    }
    let files = |n| vec![SourceFile::new("x.toml", ""); n];
    assert!(Policy::load(&files(limits::MAX_FILES)).is_ok());
    assert!(Policy::load(&files(limits::MAX_FILES + 1)).is_err());
}

/// Loads a text, spread over two files if it has many rules, for one file could not hold them.
fn in_parts(text: &str) -> Result<Policy, keyward_policy::PolicyErrors> {
    let middle = text[..text.len() / 2].rfind("[[rule]]").unwrap_or(0);
    let (first, second) = text.split_at(middle);
    Policy::load(&[SourceFile::new("1.toml", first), SourceFile::new("2.toml", second)])
}

#[test]
fn the_number_of_reported_errors_is_bounded() {
    let text = rule("nobody", "allow", &["publish"], &["a"]).repeat(2 * limits::MAX_ERRORS);
    assert_eq!(errors(&text).len(), limits::MAX_ERRORS);
}
