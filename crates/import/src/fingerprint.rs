//! A digest of everything that a plan writes: by it an interrupted import knows its own files again.

use crate::plan::Plan;
use aws_lc_rs::digest::{Context, SHA256, digest};
use keyward_server::control::{Der, Proves};
use std::fmt::Write;

/// Returns the SHA-256 of the content of a file, in hex.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// Returns the SHA-256 of what a plan writes, in hex. Two plans with one fingerprint write the same.
pub(crate) fn of_plan(plan: &Plan) -> String {
    let mut parts = Parts(Context::new(&SHA256));
    parts.list(&plan.users, |parts, user| {
        parts.add(user.name.as_str().as_bytes());
        parts.list(user.hash.as_slice(), |parts, hash| parts.add(hash.as_bytes()));
    });
    parts.list(&plan.authorities, |parts, authority| {
        let trust = &authority.trust;
        parts.add(trust.name.as_bytes());
        parts.add(&trust.certificates.0);
        parts.count(usize::from(trust.proves == Proves::CommonName));
        parts.list(trust.revocations.as_slice(), |parts, Der(list)| parts.add(list));
    });
    parts.list(&plan.bound, |parts, name| parts.add(name.as_str().as_bytes()));
    parts.list(&plan.servers, |parts, server| {
        parts.add(server.name.as_bytes());
        parts.add(&server.chain);
        parts.add(server.key.as_bytes());
    });
    parts.add(plan.listeners.as_bytes());
    parts.list(&plan.rules, |parts, file| {
        parts.add(file.name.as_bytes());
        parts.add(file.text.as_bytes());
    });
    hex(parts.0.finish().as_ref())
}

/// Takes parts, each behind its length, so that nothing moves from one into the next unseen.
struct Parts(Context);

impl Parts {
    fn count(&mut self, count: usize) {
        self.0.update(&(count as u64).to_be_bytes());
    }

    fn add(&mut self, part: &[u8]) {
        self.count(part.len());
        self.0.update(part);
    }

    fn list<T>(&mut self, items: &[T], mut add: impl FnMut(&mut Self, &T)) {
        self.count(items.len());
        items.iter().for_each(|item| add(self, item));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
