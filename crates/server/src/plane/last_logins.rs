//! With what identities last logged in, for people who ask.

use crate::plane::entrance::Evidence;
use crate::plane::limits::LAST_LOGINS;
use keyward_ids::Identity;
use keyward_mqtt::time::Now;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Says how an identity last logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastLogin {
    /// When.
    pub at: Now,
    /// What it showed.
    pub shown: Evidence,
    /// At which listener.
    pub listener: String,
}

/// Remembers the last login of each identity since the start, within a bound.
#[derive(Debug, Default)]
pub(crate) struct LastLogins(Mutex<HashMap<Identity, LastLogin>>);

impl LastLogins {
    /// Remembers a login. If there is no room, the older half is forgotten.
    pub(crate) fn note(&self, identity: &Identity, login: LastLogin) {
        let mut logins = self.lock();
        if !logins.contains_key(identity) && logins.len() >= LAST_LOGINS {
            let mut times: Vec<_> = logins.values().map(|login| login.at.mono).collect();
            let middle = times.len() / 2;
            let (_, median, _) = times.select_nth_unstable(middle);
            let median = *median;
            logins.retain(|_, login| login.at.mono > median);
        }
        logins.insert(identity.clone(), login);
    }

    /// Returns the last login of an identity, if it is remembered.
    pub(crate) fn of(&self, identity: &Identity) -> Option<LastLogin> {
        self.lock().get(identity).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Identity, LastLogin>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_mqtt::time::{Millis, UnixMillis};

    #[test]
    fn the_newest_logins_are_remembered_within_a_bound() {
        let logins = LastLogins::default();
        let identity = |number: usize| format!("device:d{number}").parse::<Identity>().unwrap();
        for number in 0..=LAST_LOGINS {
            let at = Now { mono: Millis(number as u64), wall: UnixMillis(0) };
            let login = LastLogin { at, shown: Evidence::Password, listener: "lan".to_owned() };
            logins.note(&identity(number), login);
        }
        assert!(logins.lock().len() <= LAST_LOGINS);
        assert!(logins.of(&identity(LAST_LOGINS)).is_some() && logins.of(&identity(0)).is_none());
    }
}
