//! Refusing logins: what the peer is told, when, and what the operator is told.

use super::Door;
use super::arrival::{Arrival, Said, Stage};
use super::gate::{Known, is_answered_late, reason_of};
use crate::clock::millis;
use crate::plane::events::{LogLine, LoggedIn, LoginCause, LoginFailure, Offender};
use crate::plane::last_logins::LastLogin;
use crate::plane::parting::{Parted, Parting};
use crate::plane::source::{Host, Peer};
use crate::plane::transport::Ending;
use keyward_broker::LinkId;
use keyward_mqtt::connection::Farewell;
use keyward_mqtt::time::Millis;
use zeroize::Zeroizing;

impl Door {
    pub(super) fn refuse(&mut self, id: LinkId, said: &Said, cause: LoginCause) {
        let farewell = Farewell::ConnAck(said.version, reason_of(&cause));
        let late = is_answered_late(&cause);
        self.report_login(id, said, cause);
        if !late {
            return self.part(id, farewell);
        }
        let waiting = self.parts.shared.counts.refusals_waiting();
        if waiting >= self.parts.shared.limits.refusals_waiting {
            drop(self.remove(id));
            return;
        }
        if let Some(arrival) = self.arrivals.get_mut(&id) {
            arrival.plain = Zeroizing::default();
            let place = self.parts.shared.counts.wait_for_refusal();
            arrival.stage = Stage::Refused { farewell, _place: place };
            self.arm(id);
        }
    }

    pub(super) fn report_login(&self, id: LinkId, said: &Said, cause: LoginCause) {
        self.parts.shared.counts.login_failed();
        let Some(arrival) = self.arrivals.get(&id) else { return };
        self.report_limit_behind(arrival.peer.host(), &cause);
        self.hold_against(arrival, &cause);
        let failure = LoginFailure {
            peer: arrival.peer,
            listener: arrival.origin.listener.clone(),
            claimed: said.claimed.clone(),
            client_id: said.client_id.clone(),
            cause,
            log: LogLine::LeftOut, // The reporter decides.
        };
        self.parts.shared.reporter.login_failed(self.now.mono, failure);
    }

    /// Tells of a login, and remembers it.
    pub(super) fn report_logged_in(&self, peer: Peer, listener: &str, known: &Known, said: &Said) {
        let shared = &self.parts.shared;
        let login = LastLogin { at: self.now, shown: known.shown, listener: listener.to_owned() };
        shared.last_logins.note(&known.identity, login);
        let login = LoggedIn {
            peer,
            listener: listener.to_owned(),
            identity: known.identity.clone(),
            client_id: said.client_id.clone(),
            shown: known.shown,
            demand: known.demand.clone(),
            left_out: 0, // The reporter decides.
        };
        shared.reporter.logged_in(self.now.mono, login);
    }

    /// Counts a failed login for the ban of its address.
    fn hold_against(&self, arrival: &Arrival, cause: &LoginCause) {
        let shared = &self.parts.shared;
        if !cause.is_held_against() {
            return;
        }
        let spared = shared.admission.is_in_use(arrival.source);
        if shared.bans.failed(self.now.mono, arrival.source, spared) {
            if shared.admission.is_in_use(arrival.source) {
                // Another door let somebody in meanwhile.
                return shared.bans.succeeded(self.now.mono, arrival.source);
            }
            let who = Offender::Host(arrival.source.host());
            self.report_limit(who, "ban_after", shared.limits.ban_after);
        }
    }

    /// Counts the limit that a login failed by, if it was one. Whose identity is crowded is told where it is known.
    fn report_limit_behind(&self, host: Host, cause: &LoginCause) {
        let limits = &self.parts.shared.limits;
        let (limit, value) = match cause {
            LoginCause::PasswordsWait => ("password_queue", limits.password_queue),
            LoginCause::WorkerBusy => ("inbox_bytes", limits.inbox_bytes),
            LoginCause::ClientId => ("client_id_bytes", self.parts.shared.client_id_bytes),
            _ => return,
        };
        self.report_limit(Offender::Host(host), limit, value as u64);
    }

    /// Tells people that somebody ran into a limit.
    pub(super) fn report_limit(&self, who: Offender, limit: &'static str, value: u64) {
        self.parts.shared.reporter.limit(self.now.mono, who, limit, value);
    }

    /// Closes an arrival in order, after a farewell.
    pub(super) fn part(&mut self, id: LinkId, farewell: Farewell) {
        let Some(mut arrival) = self.remove(id) else { return };
        let mut last = Vec::new();
        farewell.encode(&mut last);
        if arrival.transport.seal(&last, &mut arrival.unsent).is_ok() {
            self.take_leave(id, arrival);
        }
    }

    /// Closes an arrival that is no more among the others, after what it has to say.
    pub(super) fn take_leave(&mut self, id: LinkId, mut arrival: Arrival) {
        if arrival.transport.seal_end(Ending::Done, &mut arrival.unsent).is_ok() {
            let parting = Parting::new(arrival.socket, arrival.unsent, self.linger(), arrival.counted);
            self.see_off(id, parting);
        }
    }

    pub(super) fn linger(&self) -> Millis {
        self.now.mono.saturating_add(millis(self.parts.shared.limits.linger_time))
    }

    pub(super) fn see_off(&mut self, id: LinkId, parting: Parting) {
        self.timers.enter(parting.deadline(), id);
        self.partings.insert(id, parting);
        self.advance_parting(id);
    }

    pub(super) fn advance_parting(&mut self, id: LinkId) {
        let Some(parting) = self.partings.get_mut(&id) else { return };
        if parting.advance(self.now.mono, self.buffers.scratch()) == Parted::Yes {
            self.partings.remove(&id);
        }
    }
}
