//! Files of a container or a service, copied elsewhere and read at the paths that they had.

use super::story::Story;
use super::{ACL, FILES, TLS_CONF, explain, fate_of, old_certificates, put, state};
use std::fs;

/// What a container has at `/mosquitto` lies elsewhere on this machine; its files name each other by the paths in it.
#[test]
fn the_files_of_a_container_are_read_at_their_paths_below_a_root() {
    let story = Story::stopped();
    old_certificates(&story);
    let conf = TLS_CONF.replace("{}", "/mosquitto/certs") + "include_dir /mosquitto/config/conf.d\n";
    let more = FILES.replace("{}", "/mosquitto/config");
    put(
        &story,
        &[
            ("old/mosquitto/config/mosquitto.conf", &conf),
            ("old/mosquitto/config/conf.d/files.conf", &more),
            ("old/mosquitto/config/passwd", "ann:HASH\nben:HASH\n"),
            ("old/mosquitto/config/acl", ACL),
        ],
    );
    fs::create_dir(story.path("old/mosquitto/certs")).unwrap();
    for name in ["ca.crt", "ca.crl", "server.crt", "server.key"] {
        fs::rename(story.path(name), story.path("old/mosquitto/certs").join(name)).unwrap();
    }
    let words = ["import", "mosquitto", "/mosquitto/config/mosquitto.conf", "--root", "old"];
    let before = state(&story);
    for (name, target) in [("passwd", "/mosquitto/config/acl"), ("acl", "../../../outer")] {
        let (path, kept) = (story.path("old/mosquitto/config").join(name), story.path("kept"));
        story.write(&story.path("outer"), "topic readwrite #\n");
        fs::rename(&path, &kept).unwrap();
        std::os::unix::fs::symlink(target, &path).unwrap();
        assert!(story.refused(&words).contains("symbolic link"), "{name}");
        fs::rename(&kept, &path).unwrap();
    }
    assert_eq!(state(&story), before);
    let report = story.json(&words);
    assert_eq!(fate_of(&report, "/mosquitto/config/passwd", 1), "weak");
    assert!(
        report["import"]["next"].to_string().contains("delete old/mosquitto/certs/server.key"),
        "{report}"
    );
    assert!(explain(&story, &["--as", "user:ann", "receive", "sensors/a"]));
}
