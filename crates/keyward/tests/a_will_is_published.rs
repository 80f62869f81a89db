//! The will of a client that was lost is published; that of one that said goodbye is not.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod story;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use story::Story;

#[test]
fn a_client_that_is_lost_leaves_its_will() {
    let story = Story::begin();
    let broker = story.start();
    story.ok(&["device", "add", "dev01"]);
    let listen = [
        "sub",
        "--bundle-dir",
        "dev01",
        "-t",
        "dev01/x",
        "--will-topic",
        "dev01/gone",
        "--will-message",
        "bye",
        "--will-qos",
        "1",
        "--will-retain",
    ];
    let mut lost = story.command(&listen).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(lost.stderr.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("Subscribed to dev01/x"), "{first}");
    lost.kill().unwrap();
    lost.wait().unwrap();
    let heard = story.ok(&["sub", "--bundle-dir", "dev01", "-t", "dev01/gone", "-C", "1", "-W", "10"]);
    assert_eq!(heard, "dev01/gone bye\n");
    broker.stop();
}

#[test]
fn a_client_that_says_goodbye_leaves_none() {
    let story = Story::begin();
    let broker = story.start();
    story.ok(&["device", "add", "dev01"]);
    let will = ["--will-topic", "dev01/gone", "--will-message", "bye", "--will-retain"];
    let mut publish = vec!["pub", "--bundle-dir", "dev01", "-t", "dev01/status", "-m", "x"];
    publish.extend(will);
    story.ok(&publish);
    story.ok(&["pub", "--bundle-dir", "dev01", "-t", "dev01/marker", "-m", "end", "--retain"]);
    let heard = story.ok(&[
        "sub",
        "--bundle-dir",
        "dev01",
        "-t",
        "dev01/gone",
        "-t",
        "dev01/marker",
        "-C",
        "1",
        "-W",
        "10",
    ]);
    assert_eq!(heard, "dev01/marker end\n");
    broker.stop();
}
