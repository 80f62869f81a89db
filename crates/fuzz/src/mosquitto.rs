//! Mosquitto's files: whatever stands in them, each line is remarked or the file is refused with a place in it.

use keyward_mosquitto::{Place, Source, Version, Wrong, acl, conf, dynsec, password};

/// Is a folder in which every file is the same.
struct Same<'d>(&'d [u8]);

impl Source for Same<'_> {
    fn read(&mut self, _: &str, _: usize) -> Result<Vec<u8>, String> {
        Ok(self.0.to_vec())
    }

    fn list(&mut self, folder: &str) -> Result<Vec<String>, String> {
        Ok(vec![format!("{folder}/a.conf"), format!("{folder}/b.conf")])
    }
}

/// Reads a file of the kind that the first byte names: `c` configuration, `p` passwords, `a` rules, `d` dynamic security.
pub fn mosquitto(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    for version in [Version::V2_0, Version::V2_1] {
        match kind {
            b'c' => settings(data, version),
            b'p' => passwords(data, version),
            b'a' => rules(data),
            b'd' => drop(dynsec::parse("f", data).map_err(|wrong| placed(&wrong, data))),
            _ => return,
        }
    }
}

fn settings(data: &[u8], version: Version) {
    match conf::read(&mut Same(data), "f", version) {
        Ok(settings) => assert!(!settings.listeners.is_empty(), "no listener"),
        Err(wrong) => assert!(!wrong.what.is_empty(), "refused without a reason"),
    }
}

fn passwords(data: &[u8], version: Version) {
    match password::parse("f", data, version) {
        Ok((entries, remarks)) => {
            assert!(entries.len() <= remarks.len(), "an entry without a remark");
            assert!(remarks.len() == lines(data), "a line without a remark");
        }
        Err(wrong) => placed(&wrong, data),
    }
}

fn rules(data: &[u8]) {
    match acl::parse("f", data) {
        Ok((_, remarks)) => assert!(remarks.len() == lines(data), "a line without a remark"),
        Err(wrong) => placed(&wrong, data),
    }
}

fn lines(data: &[u8]) -> usize {
    String::from_utf8_lossy(data).lines().count()
}

fn placed(Wrong { place: Place { line, .. }, what }: &Wrong, data: &[u8]) {
    assert!(*line as usize <= lines(data) + 1, "line {line} of {}", lines(data));
    assert!(!what.is_empty(), "refused without a reason");
}
