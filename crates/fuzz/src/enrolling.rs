//! What a device reads: the string that it scans, what it is answered, what it keeps of that, and what it is told to do.

use keyward_device::command::{KEY_SET_TOPIC, Master, OpensNothing};
use keyward_device::enrol::{Answer, Claim, Membership};
use keyward_device::line::Line;

/// Reads a text as the string that a device scans. What is refused is not quoted, for it may hold a code.
pub fn claim(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    match Claim::parse(text) {
        Ok(claim) => {
            assert!((1..=8).contains(&claim.hosts.len()) && claim.expose_code().len() >= 20);
            for host in &claim.hosts {
                assert!(host.port > 0 && !host.name.contains(|c: char| c.is_control() || c == ' '));
            }
        }
        Err(error) => harmless(&error.to_string()),
    }
}

/// Reads an answer to an application, and the same bytes as what a device kept: what is kept reads the same again.
pub fn application_answer(data: &[u8]) {
    match Answer::read(data) {
        Ok(Answer::Refused { what, .. }) => harmless(&what),
        Ok(Answer::Certified(_) | Answer::Challenge(_)) => {}
        Err(error) => harmless(&error.to_string()),
    }
    match Membership::read(data) {
        Ok(kept) => assert_eq!(Membership::read(&kept.write()).as_ref(), Ok(&kept)),
        Err(problem) => harmless(&problem),
    }
}

/// A device that pins the key whose secret half is nobody's.
const PINNED: &[u8] = include_bytes!("../seeds/command/installation.cose");

/// Reads bytes as a key set and as a command: nobody made one that counts.
pub fn command(data: &[u8]) {
    let (Ok(device), Ok(installation)) = ("pump-1".parse(), "k7m2q9xw4hp3a8cd".parse()) else { return };
    let mut master = Master::new(device, installation, Some(PINNED));
    for now in [None, Some(1_795_000_000)] {
        assert!(master.judge(KEY_SET_TOPIC, data, None, now, None, &mut OpensNothing).is_err());
        let _ = master.learn(data, now);
    }
    let _ = master.judge("pump-1/set", data, None, Some(1_795_000_000), None, &mut OpensNothing);
}

/// Reads what a program says to the agent: a reading holds no more than was said.
pub fn agent_line(data: &[u8]) {
    match Line::read(data) {
        Ok(Line::Report { topic, payload, is_json, .. }) => {
            assert!(topic.len() + payload.len() <= data.len());
            assert!(!is_json || core::str::from_utf8(&payload).is_ok());
        }
        Ok(_) => {}
        Err(error) => harmless(&error.to_string()),
    }
}

fn harmless(text: &str) {
    assert!(text.len() < 1_400 && !text.contains(char::is_control), "{text:?}");
}
