//! The bounded memory of what was refused: who, what, by which rule, how often, and what would allow it.
//!
//! What is not here: deciding and refusing (`policy`, `broker`, the door), and what the operator should do about a
//! row, which is asked for when it is shown, so that it fits the rules of that moment.

use crate::plane::Host;
use keyward_mqtt::time::{Millis, Now};
use serde::{Deserialize, Serialize};

mod hour;
pub mod limits;
mod rows;

use hour::HourCount;
use rows::Rows;

/// Holds what was refused since some moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Refused publishes, subscriptions and deliveries, newest first.
    pub denials: Vec<DenialRow>,
    /// Failed logins, newest first.
    pub logins: Vec<LoginRow>,
    /// Connections that failed before a login, newest first.
    pub handshakes: Vec<HandshakeRow>,
    /// How many rows were forgotten to make room, since the start.
    pub forgotten: u64,
}

/// Holds one refused action and how often it was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenialRow {
    /// `device:ID` or `user:NAME`.
    pub who: String,
    /// `publish`, `subscribe`, `receive`, `share` …
    pub action: String,
    /// The topic or filter; shortened to 256 bytes.
    pub topic: String,
    /// The rule that refused, `policy.d/app.toml:12`; `None`: no rule allows it.
    pub rule: Option<String>,
    /// How often.
    pub count: u64,
    /// When first.
    pub first_unix_ms: u64,
    /// When last.
    pub last_unix_ms: u64,
    /// The rules that would allow it, as TOML that can follow others in a rule file; a line `tier = N` before them
    /// wants a file of that tier.
    pub would_allow: Option<String>,
    /// What else there is to say where no further rule would help.
    #[serde(default)]
    pub remedy: Option<String>,
}

/// Holds one kind of failed login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginRow {
    /// Who the peer said it was, as far as it said; shortened to 128 bytes.
    pub who: String,
    /// Where it came from.
    pub address: String,
    /// Why it failed: never told to the peer.
    pub cause: String,
    /// How often.
    pub count: u64,
    /// When first.
    pub first_unix_ms: u64,
    /// When last.
    pub last_unix_ms: u64,
    /// What would help.
    pub remedy: Option<String>,
}

/// Holds one kind of connection that failed before a login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandshakeRow {
    /// Where it came from.
    pub address: String,
    /// What happened and what would help, one line.
    pub remedy: String,
    /// How often.
    pub count: u64,
    /// When first.
    pub first_unix_ms: u64,
    /// When last.
    pub last_unix_ms: u64,
}

/// Names one refused action.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Denied {
    /// `device:ID` or `user:NAME`.
    pub who: String,
    /// `publish`, `subscribe`, `receive`, `share`.
    pub action: &'static str,
    /// The topic or filter as the peer sent it.
    pub topic: String,
    /// The rule that refused; `None`: no rule allows it.
    pub rule: Option<String>,
}

/// Names one kind of failed login.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FailedLogin {
    /// Who the peer said it was.
    pub who: String,
    /// Where it came from.
    pub host: Host,
    /// Why it failed.
    pub cause: String,
    /// What would help.
    pub remedy: Option<String>,
}

/// Names one kind of connection that failed before a login.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FailedHandshake {
    /// Where it came from.
    pub host: Host,
    /// What happened and what would help.
    pub remedy: String,
}

/// Remembers what was refused, within bounds.
#[derive(Debug, Default)]
pub struct Denials {
    denials: Rows<String, Denied>,
    logins: Rows<Host, FailedLogin>,
    handshakes: Rows<Host, FailedHandshake>,
    last_hour: [HourCount; 3],
}

impl Denials {
    /// Remembers a refused action. Returns whether it is worth a line: it is new, or its count doubled, and its
    /// identity is not trying every topic.
    pub fn denied(&mut self, now: Now, mut denied: Denied) -> bool {
        cut(&mut denied.topic);
        self.last_hour[0].add(now.mono);
        self.denials.count(now, denied.who.clone(), denied)
    }

    /// Remembers a failed login.
    pub fn login_failed(&mut self, now: Now, mut login: FailedLogin) {
        cut(&mut login.who);
        self.last_hour[1].add(now.mono);
        self.logins.count(now, login.host, login);
    }

    /// Remembers a failed handshake.
    pub fn handshake_failed(&mut self, now: Now, handshake: FailedHandshake) {
        self.last_hour[2].add(now.mono);
        self.handshakes.count(now, handshake.host, handshake);
    }

    /// Returns how many actions, logins and handshakes failed within the last hour.
    pub fn last_hour(&self, now: Now) -> [u64; 3] {
        [0, 1, 2].map(|kind| self.last_hour[kind].sum(now.mono))
    }

    /// Returns what was refused within `since` (everything that is remembered without it), newest first.
    /// `would_allow` is asked for the rules that would allow a refused action.
    pub fn report(
        &self,
        now: Now,
        since: Option<Millis>,
        would_allow: impl Fn(&Denied) -> Option<String>,
    ) -> Report {
        let from = since.map_or(0, |since| now.mono.0.saturating_sub(since.0));
        Report {
            denials: self.denials.newest_first(from, |denied, times| DenialRow {
                who: denied.who.clone(),
                action: denied.action.to_owned(),
                topic: denied.topic.clone(),
                rule: denied.rule.clone(),
                count: times.count,
                first_unix_ms: times.first_unix,
                last_unix_ms: times.last_unix,
                would_allow: would_allow(denied),
                remedy: None,
            }),
            logins: self.logins.newest_first(from, |login, times| LoginRow {
                who: login.who.clone(),
                address: login.host.to_string(),
                cause: login.cause.clone(),
                count: times.count,
                first_unix_ms: times.first_unix,
                last_unix_ms: times.last_unix,
                remedy: login.remedy.clone(),
            }),
            handshakes: self.handshakes.newest_first(from, |handshake, times| HandshakeRow {
                address: handshake.host.to_string(),
                remedy: handshake.remedy.clone(),
                count: times.count,
                first_unix_ms: times.first_unix,
                last_unix_ms: times.last_unix,
            }),
            forgotten: self.denials.forgotten() + self.logins.forgotten() + self.handshakes.forgotten(),
        }
    }
}

/// Cuts a text that a peer chose to its bound, between two characters.
fn cut(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(limits::DENIAL_TEXT) {
        text.truncate(end);
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_mqtt::time::UnixMillis;

    fn at(secs: u64) -> Now {
        Now { mono: Millis(secs * 1_000), wall: UnixMillis(1_800_000_000_000 + secs * 1_000) }
    }

    fn publish(who: &str, topic: &str) -> Denied {
        Denied { who: who.to_owned(), action: "publish", topic: topic.to_owned(), rule: None }
    }

    fn report(denials: &Denials, secs: u64, since: Option<u64>) -> Report {
        denials.report(at(secs), since.map(|secs| Millis(secs * 1_000)), |denied| Some(denied.topic.clone()))
    }

    #[test]
    fn one_refusal_tried_often_is_one_row_with_its_first_and_last_time() {
        let mut denials = Denials::default();
        for secs in [5, 6, 9] {
            denials.denied(at(secs), publish("device:a", "t"));
        }
        let rows = report(&denials, 10, None).denials;
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].count, rows[0].last_unix_ms - rows[0].first_unix_ms), (3, 4_000));
        assert_eq!(rows[0].would_allow.as_deref(), Some("t"));
    }

    #[test]
    fn rows_come_newest_first_and_only_as_far_back_as_asked() {
        let mut denials = Denials::default();
        denials.denied(at(10), publish("device:a", "old"));
        denials.denied(at(100), publish("device:a", "new"));
        let topics = |rows: Report| rows.denials.into_iter().map(|row| row.topic).collect::<Vec<_>>();
        assert_eq!(topics(report(&denials, 110, None)), ["new", "old"]);
        assert_eq!(topics(report(&denials, 110, Some(60))), ["new"]);
    }

    #[test]
    fn one_identity_that_tries_every_topic_leaves_the_others_their_rows() {
        let mut denials = Denials::default();
        denials.denied(at(0), publish("device:quiet", "t"));
        for n in 0..10_000 {
            denials.denied(at(1), publish("device:loud", &format!("t/{n}")));
        }
        let report = report(&denials, 2, None);
        assert_eq!(report.denials.len(), limits::DENIAL_ROWS_EACH + 1);
        assert!(report.denials.iter().any(|row| row.who == "device:quiet"));
        assert_eq!(report.forgotten, 10_000 - limits::DENIAL_ROWS_EACH as u64);
    }

    #[test]
    fn the_memory_is_bounded_however_many_addresses_fail() {
        let mut denials = Denials::default();
        for n in 0..5_000_u32 {
            let handshake =
                FailedHandshake { host: Host::Address(n.to_be_bytes().into()), remedy: "remedy".to_owned() };
            denials.handshake_failed(at(u64::from(n)), handshake);
        }
        let rows = report(&denials, 5_000, None).handshakes;
        assert_eq!(rows.len(), limits::DENIAL_ROWS);
        assert_eq!(rows[0].address, Host::Address(4_999_u32.to_be_bytes().into()).to_string());
        assert!(denials.handshakes.of_source.len() <= limits::DENIAL_ROWS);
    }

    #[test]
    fn a_long_topic_is_cut_between_two_characters() {
        let mut denials = Denials::default();
        denials.denied(at(0), publish("device:a", &"ö".repeat(65_000)));
        let topic = &report(&denials, 0, None).denials[0].topic;
        assert_eq!(topic.chars().count(), limits::DENIAL_TEXT + 1);
        assert!(topic.ends_with('…'));
    }

    #[test]
    fn what_happened_more_than_an_hour_ago_is_not_counted_for_the_last_hour() {
        let mut denials = Denials::default();
        for minute in 0..90 {
            denials.denied(at(minute * 60), publish("device:a", "t"));
        }
        assert_eq!(denials.last_hour(at(89 * 60)), [60, 0, 0]);
        assert_eq!(denials.last_hour(at(100 * 60)), [49, 0, 0]);
        assert_eq!(denials.last_hour(at(1_000 * 60)), [0, 0, 0]);
        denials.denied(at(1_000 * 60), publish("device:a", "t"));
        assert_eq!(denials.last_hour(at(1_000 * 60)), [1, 0, 0]);
    }
}
