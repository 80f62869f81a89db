//! What the data plane tells: a line in the log, a row for `denials`, a count for `status`.
//!
//! A peer chooses how often it is refused, so lines are few: one for what is new, and one each time its count doubles.

use crate::{
    clock,
    denials::{Denials, Denied, FailedHandshake, FailedLogin, Report},
    escape::cut,
    facts::Facts,
    plane::{
        Crowded, Evidence, HandshakeFailure, LimitHit, LogLine, LoggedIn, LoginCause, LoginFailure, Sink,
        WebSocketFault,
    },
    status::NoticeRow,
};
use keyward_broker::{Denial, DeniedAction, Notice, Unfit};
use keyward_identity::CertificateRefusal;
use keyward_ids::{Identity, Kind, UserId};
use keyward_mqtt::time::{Millis, Now};
use std::sync::{Mutex, MutexGuard, PoisonError};

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
    facts: Facts,
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
        self.book().facts.rows()
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
        let host = failure.peer.host();
        let cause = failure.cause.to_string();
        let remedy = remedy(&failure);
        if let LogLine::Written { left_out } = failure.log {
            tracing::warn!(
                peer = %failure.peer,
                listener = failure.listener,
                claimed = failure.claimed.as_deref().map(|name| cut(name, LINE_TEXT)),
                client_id = cut(&failure.client_id, LINE_TEXT),
                left_out,
                "login failed{} {}: {cause}{}",
                if failure.cause.is_held_against() { " from" } else { ", not held against" },
                host,
                remedy.as_deref().map(|remedy| format!(" → {remedy}")).unwrap_or_default()
            );
        }
        let who = failure.claimed.unwrap_or_default();
        self.book().denials.login_failed(clock::now(), FailedLogin { who, host, cause, remedy });
    }

    fn logged_in(&self, login: LoggedIn) {
        let type_demands = login.demand.device_type.as_ref().map(|(name, rule)| format!("{name}: {rule}"));
        tracing::info!(
            identity = %login.identity,
            peer = %login.peer,
            listener = login.listener,
            client_id = cut(&login.client_id, LINE_TEXT),
            shown = %login.shown,
            listener_demands = %login.demand.listener,
            type_demands,
            left_out = login.left_out,
            "login"
        );
    }

    fn handshake_failed(&self, failure: HandshakeFailure) {
        if let LogLine::Written { left_out } = failure.log {
            tracing::warn!(left_out, "{}", failure.line);
        }
        let handshake = FailedHandshake { host: failure.peer.host(), remedy: failure.line };
        self.book().denials.handshake_failed(clock::now(), handshake);
    }

    fn notice(&self, notice: Notice, times: u64) {
        let (what, identity, remedy) = fact(&notice);
        let times = self.book().facts.count(clock::now().mono, what, &identity.to_string(), times);
        if let Some(times) = times {
            tracing::info!(%identity, times, "{what} → {remedy}");
        }
    }

    fn limit(&self, hit: LimitHit) {
        let LimitHit { who, limit, value, times } = hit;
        let (what, who) = (format!("limit {limit} = {value} reached"), who.to_string());
        let times = self.book().facts.count(clock::now().mono, &what, &who, times);
        if let Some(times) = times {
            tracing::warn!(who, limit, value, times, "{what} by {who} → {}", limit_remedy(limit));
        }
    }

    fn frames_broken(&self, identity: Identity, fault: WebSocketFault, times: u64) {
        let times = self.book().facts.count(clock::now().mono, FRAMES, &identity.to_string(), times);
        if let Some(times) = times {
            tracing::warn!(%identity, times, "{FRAMES}: {fault} → correct the client");
        }
    }
}

/// What is counted when frames of a WebSocket are not in order.
const FRAMES: &str = "closed: its WebSocket frames are not in order";

fn action(action: DeniedAction) -> &'static str {
    match action {
        DeniedAction::Publish => "publish",
        DeniedAction::Subscribe => "subscribe",
        DeniedAction::Will => "will",
        DeniedAction::Attach => "connect",
        DeniedAction::Signed(unfit) => match unfit {
            Unfit::Form => "publish unsigned",
            Unfit::Key => "publish signed by an unknown key",
            Unfit::Retired => "publish signed by a retired key",
            Unfit::Level => "publish signed by a key of too low a level",
            Unfit::Signature => "publish with a wrong signature",
            Unfit::Age => "publish signed at another time",
            Unfit::Session => "publish signed for another session",
            Unfit::Replay => "publish signed under an old number",
            Unfit::Equivocation => "publish signed under a number used before",
            Unfit::BeforeRecord => "publish signed before the record of numbers began",
        },
    }
}

/// Says the same of a message that does not count as signed.
fn unfit_fact(publisher: &Identity, unfit: Unfit) -> (&'static str, &Identity, &'static str) {
    match unfit {
        Unfit::Equivocation => (
            "signed message not accepted: another one has its number, so two hold the key or the device has lost count",
            publisher,
            "see the incident that keyward status shows",
        ),
        Unfit::Signature => (
            "INCIDENT bad-signature: a message names a key of this device that did not sign it",
            publisher,
            "look whether the device signs for this installation and topic; else somebody else speaks on its link",
        ),
        Unfit::Replay => (
            "INCIDENT replay-old: a message with a number far below the newest of its key",
            publisher,
            "somebody may send what was captured again; a device that lost its counter needs a new key",
        ),
        Unfit::Key | Unfit::Retired => (
            "message signed by a key that is not accepted",
            publisher,
            "see keyward keys list; register its key: keyward keys add",
        ),
        Unfit::Session => (
            "signed message not accepted: its nonce is that of another session",
            publisher,
            "a device without a clock signs anew what it could not send: by the nonce that it is given at each connection",
        ),
        Unfit::BeforeRecord => (
            "signed message not accepted: it is older than the record of numbers, so it may have been taken before",
            publisher,
            "the store was lost or restored since; where such messages must not be missed, let `[[signed]]` observe for a while",
        ),
        Unfit::Form | Unfit::Level | Unfit::Age => (
            "signed message not accepted: not in form, the level of its key, or its age",
            publisher,
            "see keyward denials, and the `[[signed]]` that it names",
        ),
    }
}

/// Says what happened, by whom it is counted, and what to do.
fn fact(notice: &Notice) -> (&'static str, &Identity, &'static str) {
    match notice {
        Notice::PublisherGone { publisher } => (
            "message not delivered: its publisher was revoked or removed",
            publisher,
            "nothing, if that was meant",
        ),
        Notice::TooSlow { receiver } => (
            "QoS 0 message dropped: the receiver is slow",
            receiver,
            "let it subscribe to less, or at QoS 1, or look after its network",
        ),
        Notice::ShardBehind { publisher } => (
            "QoS 0 message dropped: the broker is behind",
            publisher,
            "fewer overlapping subscriptions, or more of server.shards",
        ),
        Notice::QueueFull { publisher, .. } => (
            "message lost: a queue was full, mostly of this publisher's",
            publisher,
            "let its reader connect, or end that session; or raise limits.queue_messages and limits.queue_bytes",
        ),
        Notice::RetainedFull { publisher } => (
            "retained message not kept: there are too many, or the disk is full",
            publisher,
            "free disk space; or remove some (an empty retained message does), raise limits.retained… or limits.memory_total",
        ),
        Notice::PublishWithheld { publisher } => (
            "QoS 2 message dropped after PUBREC: its publisher may not publish it any more",
            publisher,
            "see keyward denials; if it is wanted, allow it and publish it again",
        ),
        Notice::Unfit { publisher, unfit } => unfit_fact(publisher, *unfit),
        Notice::VerifiersBehind { publisher } => (
            "refused: too many signed messages wait to be verified",
            publisher,
            "raise server.signature_threads, or let devices send less often, in batches",
        ),
        Notice::WillWithheld { owner } => {
            ("will not published: its owner may not", owner, "see keyward denials")
        }
        Notice::TooLarge { receiver } => (
            "message not sent: larger than the client accepts",
            receiver,
            "raise the maximum packet size that the client asks for",
        ),
        Notice::GroupFull { publisher } => (
            "message lost: the queue of a shared group was full, mostly of this publisher's",
            publisher,
            "let more members of the group connect; or raise limits.queue_messages and limits.queue_bytes",
        ),
        Notice::GroupAbsent { publisher } => (
            "QoS 0 message dropped: no member of the shared group is connected",
            publisher,
            "publish at QoS 1, if it must not be lost",
        ),
        Notice::GroupDenied { publisher } => (
            "message dropped: no member of the shared group may read it",
            publisher,
            "let a member read it, or let the group share less",
        ),
        Notice::NoRoom { identity } => (
            "refused: nothing more can be stored",
            identity,
            "free disk space; if the store failed, restart the broker",
        ),
        Notice::Damaged { publisher } => (
            "a message that waited could not be read from disk and is lost",
            publisher,
            "run `keyward store check`; look at the disk",
        ),
        Notice::NoMemory { identity } => (
            "refused: memory is short",
            identity,
            "end sessions with long queues, remove retained messages, or raise limits.memory_total",
        ),
        Notice::Limit { identity, .. } => ("a limit was reached", identity, "see docs/limits.md"),
    }
}

/// Says what to do about a limit that was reached.
fn limit_remedy(limit: &str) -> &'static str {
    match limit {
        "handshake_rate_per_address" => {
            "a client there connects again and again: keyward denials may say why; or raise it in keyward.toml"
        }
        "handshake_rate" => {
            "new connections wait; this address caused most handshakes lately: look after it, or raise it in keyward.toml"
        }
        "login_rate_per_identity" => {
            "refused: its clients log in again and again, mostly two that share a client id; or raise it in keyward.toml"
        }
        "ban_after" => {
            "too many logins failed: its connections are refused for a while; keyward bans list, keyward bans lift"
        }
        "pending_reads" => "closed: what it sent to log in came in too many pieces",
        "publish_rate" | "publish_bytes_rate" => {
            "it is read more slowly, nothing is lost; or raise it in keyward.toml"
        }
        "busy_rate" => {
            "nothing was refused: it keeps the broker busy with many or small packets; limits.publish_rate slows it down"
        }
        "outbox_bytes_hard" | "stall_time" => {
            "its link was closed: the client takes nothing of what is sent to it"
        }
        "handshake_time" | "connect_time" => {
            "closed: it did not log in in time; a scanner, or a network that is too slow"
        }
        "packet_time" => "its link was closed: the client begins packets and does not finish them",
        "unfinished_bytes" | "unfinished_bytes_per_identity" => {
            "its link was closed: it holds too much of packets that are not whole"
        }
        "receive_maximum" => {
            "its link was closed: the client was told the receive maximum and sent more; mend the client"
        }
        "inbound_per_identity" => {
            "refused: its clients begin messages of QoS 2 and do not end them; or raise it in keyward.toml"
        }
        "client_id_bytes" | "will_bytes" | "topic_levels" | "topic_bytes" => {
            "refused: mend the client; docs/limits.md says why"
        }
        "ENROLMENT_LINKS" | "ENROLMENT_LINKS_PER_IDENTITY" => {
            "its oldest enrolment link that waited for nothing was closed, or this one refused; it comes again"
        }
        "ENROLMENT_BURST_PER_IDENTITY" => {
            "refused: it enrols again and again; mend it, or revoke it if somebody else has its code or certificate"
        }
        _ => "refused: mend the client, or raise it in keyward.toml; docs/limits.md says what that costs",
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
        LoginCause::NotEnough { .. } => {
            Some("let it show that, or change `login` of the listener or type in keyward.toml".to_owned())
        }
        LoginCause::NoPassword(_) => Some("add it again with a password, or demand none".to_owned()),
        // An unproven claim must not talk anybody into opening a door to it.
        LoginCause::NotMarkedPlain { identity, shown: Evidence::Nothing } => {
            Some(format!("keyward {} plain {}", identity.kind(), identity.name()))
        }
        LoginCause::NotMarkedPlain { .. } => Some(
            "if that was its client, its password crossed the network in clear: change it, and let it use TLS"
                .to_owned(),
        ),
        LoginCause::OnlyPlain { .. } => Some(
            "if that was its client, give it a certificate, or another account for this listener".to_owned(),
        ),
        LoginCause::NobodyAnonymous(user) => Some(format!("keyward user add {user} --no-login")),
        LoginCause::ShutOut(identity) => Some(let_in_again(identity)),
        LoginCause::Unconfirmed { identity, .. } => Some(confirm(identity)),
        LoginCause::Certificate(refusal) => certificate_remedy(refusal),
        LoginCause::Crowded(Crowded::Identity) => {
            Some("close what it left open, or raise limits.connections_per_identity".to_owned())
        }
        // A right code names its remedy itself; for a wrong one nothing may be opened.
        LoginCause::Enrolment(_) => Some("docs/enrolment.md says what a device sends to enrol".to_owned()),
        LoginCause::PasswordsWait => Some(
            "give devices certificates or generated passwords, or raise limits.password_threads".to_owned(),
        ),
        _ => None,
    }
}

fn certificate_remedy(refusal: &CertificateRefusal) -> Option<String> {
    match refusal {
        CertificateRefusal::Disabled { identity } => Some(let_in_again(identity)),
        CertificateRefusal::Unconfirmed { identity, .. } => Some(confirm(identity)),
        CertificateRefusal::Revoked { identity } | CertificateRefusal::Removed { identity } => Some(format!(
            "to let {identity} in again, remove it, add it again and give it the new certificate"
        )),
        CertificateRefusal::OutsideValidity { identity, .. } => {
            Some(format!("set its clock; if the certificate of {identity} has ended, give it a new one"))
        }
        CertificateRefusal::Distrusted { authority } => {
            Some(format!("if it may be used still: keyward authority trust confirm {authority}"))
        }
        CertificateRefusal::Unbound { authority, .. } => Some(format!(
            "keyward authority trust bind {authority} device:ID, or user:NAME, if you know this client"
        )),
        CertificateRefusal::OtherKey { .. }
        | CertificateRefusal::UnknownSerial { .. }
        | CertificateRefusal::KeyMismatch { .. }
        | CertificateRefusal::Withdrawn { .. } => None,
    }
}

fn confirm(identity: &Identity) -> String {
    format!(
        "keyward store confirm {identity}, unless it was shut out before the restore; `keyward status` says more"
    )
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
    use crate::plane::Offender;

    fn identity(name: &str) -> Identity {
        name.parse().unwrap()
    }

    fn login(cause: LoginCause, claimed: &str) -> LoginFailure {
        LoginFailure {
            peer: crate::plane::Peer::Remote("192.0.2.7:1000".parse().unwrap()),
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
    fn a_claim_that_nobody_has_proven_suggests_no_command_that_opens_a_door() {
        let admin = || identity("user:admin");
        for cause in [
            LoginCause::NotMarkedPlain { identity: admin(), shown: Evidence::Password },
            LoginCause::OnlyPlain { identity: admin(), shown: Evidence::Password },
        ] {
            let text = cause.to_string();
            let remedy = remedy(&login(cause, "admin")).unwrap();
            assert!(text.contains("somebody who claimed to be user:admin"), "{text}");
            assert!(!remedy.contains("keyward ") && !remedy.contains(" plain "), "{remedy}");
        }
        let anonymous =
            LoginCause::NotMarkedPlain { identity: identity("user:guest"), shown: Evidence::Nothing };
        assert_eq!(remedy(&login(anonymous, "")).unwrap(), "keyward user plain guest");
    }

    #[test]
    fn limits_are_counted_with_their_value_and_by_whom() {
        let journal = Journal::default();
        for times in [1, 4] {
            let who = Offender::Host(crate::plane::Host::Address("192.0.2.7".parse().unwrap()));
            journal.limit(LimitHit { who, limit: "connections_per_address", value: 2_000, times });
        }
        let rows = journal.notices();
        let what = "limit connections_per_address = 2000 reached (192.0.2.7)".to_owned();
        assert_eq!(rows, [NoticeRow { what, count: 5 }]);
    }
}
