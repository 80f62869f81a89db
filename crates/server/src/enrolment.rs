//! Enrolment: what a device sends that applies for a certificate, what it is answered, and the thread on which that is decided.
//!
//! What is not here: the link ([`crate::plane`]), and the rules of codes and renewals (`identity`).

mod evidence;
mod message;
mod uri;

pub(crate) use evidence::judge;
pub(crate) use message::{Certified, Rejection, Reply};
pub use message::{Request, RequestError};
pub(crate) use uri::claim_uri;

use crate::{
    admin::Admin,
    clock,
    plane::{
        Answer, Application, ApplicationQueue, Applications, Wish,
        limits::{APPLICANTS, APPLICATIONS_PER_MINUTE},
    },
};
use keyward_ids::Identity;
use keyward_mqtt::time::Millis;
use keyward_tpm::Expected;
use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError, Weak},
    thread::{self, JoinHandle},
};

/// Decides about applications on a thread of its own, one after the other, until it is dropped.
pub(crate) struct Enrolment {
    applications: Applications,
    thread: Option<JoinHandle<()>>,
}

impl Enrolment {
    /// Begins to take applications from `queue`, whose other end is `applications`.
    pub(crate) fn start(
        admin: &Arc<Mutex<Admin>>,
        applications: Applications,
        queue: ApplicationQueue,
    ) -> io::Result<Self> {
        // Weak, so that an application under way does not hold the store when the broker has stopped.
        let admin = Arc::downgrade(admin);
        let thread = thread::Builder::new().name("enrolment".to_owned()).spawn(move || {
            let mut paces = Paces::default();
            while let Some(application) = queue.next() {
                decide(&admin, &mut paces, application);
            }
        })?;
        Ok(Self { applications, thread: Some(thread) })
    }
}

impl Drop for Enrolment {
    fn drop(&mut self) {
        self.applications.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn decide(admin: &Weak<Mutex<Admin>>, paces: &mut Paces, application: Application) {
    let Some(admin) = admin.upgrade() else { return };
    let (identity, peer) = (application.identity.clone(), application.peer);
    let (wish, answer) = application.open();
    // The door asks for these once.
    let is_paced = !matches!(wish, Wish::Succeed { .. } | Wish::Late { .. });
    if is_paced && !paces.allow(clock::now().mono, &identity) {
        let what = "too many requests of this device; try again in a minute";
        return answer(Reply::refused(Rejection::Later, what).encode().into());
    }
    let actor = format!("{identity} at {}", peer.host());
    let mut admin = admin.lock().unwrap_or_else(PoisonError::into_inner);
    let decided = admin.enrol(&identity, wish, &actor);
    // The answer only wakes a door, and whoever asks next may see what it says.
    drop(admin);
    answer(decided.map(|decided| decided.into()).unwrap_or_default());
}

/// Is what follows from an application.
pub(crate) struct Decided {
    /// What the device is answered.
    pub(crate) reply: Reply,
    /// If that is a challenge, what the answer to it must be.
    pub(crate) expected: Option<Box<Expected>>,
}

impl From<Reply> for Decided {
    fn from(reply: Reply) -> Self {
        Self { reply, expected: None }
    }
}

impl From<Decided> for Answer {
    fn from(decided: Decided) -> Self {
        Self { payload: decided.reply.encode(), expected: decided.expected }
    }
}

/// Counts applications per device and minute.
#[derive(Default)]
struct Paces(HashMap<Identity, Pace>);

struct Pace {
    since: Millis,
    count: u32,
}

impl Paces {
    const WINDOW: Millis = Millis::from_secs(60);

    fn allow(&mut self, now: Millis, identity: &Identity) -> bool {
        if !self.0.contains_key(identity) && self.0.len() >= APPLICANTS {
            self.make_room(now);
        }
        let pace = self.0.entry(identity.clone()).or_insert(Pace { since: now, count: 0 });
        if now.saturating_sub(pace.since) >= Self::WINDOW {
            *pace = Pace { since: now, count: 0 };
        }
        pace.count = pace.count.saturating_add(1);
        pace.count <= APPLICATIONS_PER_MINUTE
    }

    fn make_room(&mut self, now: Millis) {
        self.0.retain(|_, pace| now.saturating_sub(pace.since) < Self::WINDOW);
        if self.0.len() >= APPLICANTS {
            let oldest =
                self.0.iter().min_by_key(|(_, pace)| pace.since).map(|(identity, _)| identity.clone());
            oldest.and_then(|identity| self.0.remove(&identity));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_one_device_are_bounded_per_minute_and_those_of_others_are_not_touched() {
        let mut paces = Paces::default();
        let device = |n: usize| format!("device:d{n}").parse::<Identity>().unwrap();
        for _ in 0..APPLICATIONS_PER_MINUTE {
            assert!(paces.allow(Millis(0), &device(0)));
        }
        assert!(!paces.allow(Millis(59_999), &device(0)));
        assert!(paces.allow(Millis(59_999), &device(1)));
        assert!(paces.allow(Millis(60_000), &device(0)));
        for n in 0..3 * APPLICANTS {
            paces.allow(Millis(60_000 + n as u64), &device(n));
        }
        assert!(paces.0.len() <= APPLICANTS);
    }
}
