//! The client's signs of life (chapter 3.1.2.10).

use crate::time::Millis;

/// Says when a PINGREQ is due and when its answer is late.
#[derive(Debug)]
pub(super) struct KeepAlive {
    /// The longest silence on our side; `None` is off.
    interval: Option<Millis>,
    last_sent: Millis,
    answer_by: Option<Millis>,
}

impl KeepAlive {
    /// Starts to count at `now`. The silence allowed is three quarters of the keep-alive, so that a timer that fires
    /// late still keeps [MQTT-3.1.2-20].
    pub(super) fn new(now: Millis, keep_alive_secs: u16) -> Self {
        let interval = match keep_alive_secs {
            0 => None,
            secs => Some(Millis(u64::from(secs) * 750)),
        };
        Self { interval, last_sent: now, answer_by: None }
    }

    pub(super) fn sent(&mut self, now: Millis) {
        self.last_sent = now;
    }

    pub(super) fn asked(&mut self, now: Millis, answer_timeout: Millis) {
        self.last_sent = now;
        self.answer_by.get_or_insert(now.saturating_add(answer_timeout));
    }

    pub(super) fn answered(&mut self) {
        self.answer_by = None;
    }

    fn due(&self) -> Option<Millis> {
        self.interval.map(|interval| self.last_sent.saturating_add(interval))
    }

    pub(super) fn is_due(&self, now: Millis) -> bool {
        self.due().is_some_and(|due| now >= due)
    }

    pub(super) fn is_late(&self, now: Millis) -> bool {
        self.answer_by.is_some_and(|deadline| now >= deadline)
    }

    pub(super) fn poll_timeout(&self) -> Option<Millis> {
        [self.due(), self.answer_by].into_iter().flatten().min()
    }
}
