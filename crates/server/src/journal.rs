//! What the data plane tells: a line in the log, a row for `denials`, a count for `status`.
//!
//! A peer chooses how often it is refused, so lines are few: one for what is new, and one each time its count doubles.

use crate::{
    clock,
    denials::{Denials, Denied, FailedHandshake, FailedLogin, Report, limits::NOTICE_ROWS},
    escape::cut,
    plane::{HandshakeFailure, LogLine, LoginCause, LoginFailure, Sink},
    status::NoticeRow,
};
use keyward_broker::{Denial, DeniedAction, Notice};
use keyward_identity::CertificateRefusal;
use keyward_ids::{Identity, Kind, UserId};
use keyward_mqtt::time::{Millis, Now};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Characters of a peer-chosen text in a log line.
const LINE_TEXT: usize = 128;

/// Remembers what the data plane tells.
#[derive(Debug, Default)]
pub struct Journal {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    denials: Denials,
    notices: BTreeMap<String, u64>,
}

impl Journal {
    /// Returns what was refused within `since`.
    pub fn report(
        &self,
        now: Now,
        since: Option<Millis>,
        would_allow: &dyn Fn(&Denied) -> Option<String>,
    ) -> Report {
        self.book().denials.report(now, since, would_allow)
    }

    /// Returns how many actions, logins and handshakes failed within the last hour.
    pub fn last_hour(&self, now: Now) -> [u64; 3] {
        self.book().denials.last_hour(now)
    }

    /// Returns the counted facts, the most frequent first.
    pub fn notices(&self) -> Vec<NoticeRow> {
        let book = self.book();
        let mut rows: Vec<_> = book
            .notices
            .iter()
            .map(|(what, count)| NoticeRow { what: what.clone(), count: *count })
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.count));
        rows
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Journal {
    fn denied(&self, denial: Denial) {
        let rule = denial.rule.as_ref().map(ToString::to_string);
        let action = action(denial.action);
        let who = denial.identity.to_string();
        let denied = Denied { who, action, topic: denial.topic.to_string(), rule };
        if self.book().denials.denied(clock::now(), denied) {
            tracing::info!(
                identity = %denial.identity,
                action,
                topic = cut(&denial.topic, LINE_TEXT),
                rule = denial.rule.map_or_else(|| "none allows it".to_owned(), |rule| rule.to_string()),
                client_id = cut(denial.client_id.as_str(), LINE_TEXT),
                "denied"
            );
        }
    }

    fn login_failed(&self, failure: LoginFailure) {
        let address = failure.peer.ip();
        let cause = failure.cause.to_string();
        let remedy = remedy(&failure);
        if let LogLine::Written { left_out } = failure.log {
            tracing::warn!(
                peer = %failure.peer,
                listener = failure.listener,
                claimed = failure.claimed.as_deref().map(|name| cut(name, LINE_TEXT)),
                client_id = cut(&failure.client_id, LINE_TEXT),
                left_out,
                "login failed: {cause}{}",
                remedy.as_deref().map(|remedy| format!(" → {remedy}")).unwrap_or_default()
            );
        }
        let who = failure.claimed.unwrap_or_default();
        self.book().denials.login_failed(clock::now(), FailedLogin { who, address, cause, remedy });
    }

    fn handshake_failed(&self, failure: HandshakeFailure) {
        if let LogLine::Written { left_out } = failure.log {
            tracing::warn!(left_out, "{}", failure.line);
        }
        let handshake = FailedHandshake { address: failure.peer.ip(), remedy: failure.line };
        self.book().denials.handshake_failed(clock::now(), handshake);
    }

    fn notice(&self, notice: Notice) {
        let (kind, identity) = fact(&notice);
        let mut book = self.book();
        let named = format!("{kind} ({identity})");
        let known = book.notices.contains_key(&named);
        let key = if known || book.notices.len() < NOTICE_ROWS { named } else { format!("{kind} (others)") };
        let count = book.notices.entry(key).or_insert(0);
        *count += 1;
        if count.is_power_of_two() {
            tracing::info!(%identity, count = *count, "{kind}");
        }
    }
}

fn action(action: DeniedAction) -> &'static str {
    match action {
        DeniedAction::Publish => "publish",
        DeniedAction::Subscribe => "subscribe",
        DeniedAction::Will => "will",
        DeniedAction::Attach => "connect",
    }
}

/// Says what happened and by whom it is counted.
fn fact(notice: &Notice) -> (&'static str, &Identity) {
    match notice {
        Notice::PublisherGone { publisher } => {
            ("message not delivered: its publisher was revoked or removed", publisher)
        }
        Notice::TooSlow { receiver } => ("QoS 0 message dropped: the receiver is slow", receiver),
        Notice::ShardBehind { publisher } => ("QoS 0 message dropped: the broker is behind", publisher),
        Notice::QueueFull { publisher, .. } => {
            ("message lost: a queue was full, mostly of this publisher's", publisher)
        }
        Notice::RetainedFull { publisher } => ("retained message not kept: there are too many", publisher),
        Notice::WillWithheld { owner } => ("will not published: its owner may not", owner),
        Notice::TooLarge { receiver } => ("message not sent: larger than the client accepts", receiver),
        Notice::Limit { identity, .. } => ("a limit was reached", identity),
        Notice::NoMemory { identity } => ("refused: memory is short", identity),
    }
}

/// Says what would help a failed login. Names stand in a command only if they are plainly names.
fn remedy(failure: &LoginFailure) -> Option<String> {
    let name = failure.claimed.as_deref().and_then(|name| UserId::parse(name).ok());
    let name = name.as_ref().map_or("NAME", UserId::as_str);
    match &failure.cause {
        LoginCause::NoCredential => {
            Some("give it a certificate (keyward device add ID) or a user name and password".to_owned())
        }
        LoginCause::NoUserName => Some("set the user name beside the password".to_owned()),
        LoginCause::UnknownName => Some(format!("keyward user add {name}")),
        LoginCause::WrongPassword => Some(format!("keyward user passwd {name}, if it was forgotten")),
        LoginCause::OtherName { .. } => Some("send the certificate's name as user name, or none".to_owned()),
        LoginCause::ShutOut(identity) => Some(let_in_again(identity)),
        LoginCause::Certificate(refusal) => certificate_remedy(refusal),
        _ => None,
    }
}

fn certificate_remedy(refusal: &CertificateRefusal) -> Option<String> {
    match refusal {
        CertificateRefusal::Disabled { identity } => Some(let_in_again(identity)),
        CertificateRefusal::Revoked { identity } | CertificateRefusal::Removed { identity } => Some(format!(
            "to let {identity} in again, remove it, add it again and give it the new certificate"
        )),
        CertificateRefusal::OutsideValidity { identity, .. } => {
            Some(format!("set its clock; if the certificate of {identity} has ended, give it a new one"))
        }
        CertificateRefusal::UnknownSerial { .. }
        | CertificateRefusal::KeyMismatch { .. }
        | CertificateRefusal::Withdrawn { .. } => None,
    }
}

fn let_in_again(identity: &Identity) -> String {
    match identity.kind() {
        Kind::Device => format!("keyward device enable {}", identity.name()),
        Kind::User => format!("see `keyward user list` for {identity}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(name: &str) -> Identity {
        name.parse().unwrap()
    }

    fn login(cause: LoginCause, claimed: &str) -> LoginFailure {
        LoginFailure {
            peer: "192.0.2.7:1000".parse().unwrap(),
            listener: "mqtts".to_owned(),
            claimed: Some(claimed.to_owned()),
            client_id: "c".to_owned(),
            cause,
            log: LogLine::Written { left_out: 0 },
        }
    }

    #[test]
    fn a_failed_login_is_kept_with_its_cause_and_what_helps() {
        let journal = Journal::default();
        journal.login_failed(login(LoginCause::UnknownName, "ada"));
        journal.login_failed(login(LoginCause::ShutOut(identity("device:dev01")), "dev01"));
        let rows = journal.report(clock::now(), None, &|_| None).logins;
        let remedies: Vec<_> = rows.iter().filter_map(|row| row.remedy.as_deref()).collect();
        assert_eq!(rows.len(), 2);
        assert!(
            remedies.contains(&"keyward user add ada") && remedies.contains(&"keyward device enable dev01")
        );
        assert_eq!(journal.last_hour(clock::now()), [0, 2, 0]);
    }

    #[test]
    fn a_name_that_could_run_a_command_does_not_stand_in_the_command_to_paste() {
        let remedy = remedy(&login(LoginCause::UnknownName, "x; rm -rf ~")).unwrap();
        assert_eq!(remedy, "keyward user add NAME");
    }

    #[test]
    fn facts_are_counted_by_identity_within_a_bound() {
        let journal = Journal::default();
        for n in 0..NOTICE_ROWS + 50 {
            journal.notice(Notice::TooSlow { receiver: identity(&format!("device:d{n}")) });
        }
        journal.notice(Notice::TooSlow { receiver: identity("device:d0") });
        let rows = journal.notices();
        assert_eq!(rows.len(), NOTICE_ROWS + 1);
        assert_eq!(rows[0].count, 50);
        assert!(rows[0].what.ends_with("(others)"), "{rows:?}");
        assert_eq!(rows[1].count, 2);
    }
}
