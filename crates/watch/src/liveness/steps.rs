//! What is done with one device when its time has come.

use super::device::{How, Loss, Standing, Step};
use super::{Liveness, losses};
use crate::event::{Scope, UnixMillis};
use crate::fleet::Fleet;
use keyward_ids::DeviceId;

/// How long a device is excused at once because somebody works there.
const WORK_MILLIS: u64 = 10 * 60_000;

/// Steps that can follow one from another at one time.
const STEPS: usize = 8;

impl Liveness {
    pub(super) fn look_at(&mut self, now: UnixMillis, fleet: &Fleet, id: &DeviceId) {
        for _ in 0..STEPS {
            let Some(device) = self.devices.get(id) else { return };
            let Some((at, step)) = device.next(now, &self.settings) else { return };
            if at > now {
                return self.agenda.bring_forward(id, at);
            }
            if let Some(until) = self.excuse(now, fleet, id, step)
                && let Some(device) = self.devices.get_mut(id)
            {
                device.excuse(until);
            } else {
                self.take(now, id, step);
            }
        }
        self.agenda.bring_forward(id, now.plus(1_000));
    }

    /// Returns until when it is not held against a device that it is silent.
    fn excuse(&self, now: UnixMillis, fleet: &Fleet, id: &DeviceId, step: Step) -> Option<UnixMillis> {
        if matches!(step, Step::Back | Step::StartsEnd) {
            return None;
        }
        // Losses are counted all the same, or nobody would know when our trouble is over.
        let ours = self.blameless(now).filter(|_| step != Step::Settle);
        // Work may be called off before its time: it is asked for again.
        let of_work = fleet.maintained_until(now, id).map(|until| until.min(now.plus(WORK_MILLIS)));
        ours.into_iter().chain(of_work).max()
    }

    /// Returns until when devices are not blamed, if the trouble is ours.
    pub(super) fn blameless(&self, now: UnixMillis) -> Option<UnixMillis> {
        if self.outages.open.contains_key(&Scope::Everything) {
            return Some(now.plus(self.settings.own_grace_ms));
        }
        Some(self.blameless_until).filter(|until| *until > now)
    }

    fn take(&mut self, now: UnixMillis, id: &DeviceId, step: Step) {
        match step {
            Step::Settle => {
                self.change(now, id, |device, _| {
                    device.says_nothing = true;
                    if let Standing::Lost { settled, .. } = &mut device.standing {
                        *settled = true;
                    }
                });
            }
            Step::Silent => self.note_silence(now, id),
            Step::Overslept => {
                self.change(now, id, |device, _| {
                    let from = device.asleep.map_or(now, |asleep| asleep.from);
                    let loss = Loss { from, to: now, noticed: now, how: How::Overslept };
                    device.standing = Standing::Lost { loss, settled: true };
                });
            }
            Step::Find => self.find_lost(now, id),
            Step::Gone => self.note_gone(now, id),
            Step::Back => self.tell_back(now, id, "its link has stood since"),
            Step::StartsEnd => self.clear_starts(now, id),
            Step::Sensors => self.look_at_sensors(now, id),
        }
    }

    fn note_silence(&mut self, now: UnixMillis, id: &DeviceId) {
        let Some(device) = self.devices.get(id) else { return };
        let heard = device.heard.unwrap_or(now);
        if device.is_linked() {
            let judgement = losses::while_linked(device, now);
            let loss = Loss { from: heard, to: now, noticed: now, how: How::Linked };
            return self.tell(now, id, judgement, loss, None);
        }
        let usual = device.usual(now).map_or(0, |usual| usual.late_after());
        // Its link was alive until it ended.
        let from = device.ended.map_or(heard, |(ended, _)| ended.max(heard));
        let loss =
            Loss { from: heard, to: from.max(heard.plus(usual)).min(now), noticed: now, how: How::Silence };
        self.change(now, id, |device, _| device.standing = Standing::Lost { loss, settled: true });
    }

    fn find_lost(&mut self, now: UnixMillis, id: &DeviceId) {
        let Some(device) = self.devices.get(id) else { return };
        let Standing::Lost { loss, .. } = device.standing else { return };
        let part_of = self.outages.over(&device.groups, loss.to);
        let has_company =
            device.site().is_some_and(|site| self.groups.present(site).all >= self.settings.group_least);
        let judgement = losses::while_away(device, &loss, has_company, &self.settings);
        self.tell(now, id, judgement, loss, part_of);
    }

    fn note_gone(&mut self, now: UnixMillis, id: &DeviceId) {
        let Some(device) = self.devices.get_mut(id) else { return };
        let Standing::Lost { loss, .. } = device.standing else { return };
        if self.outages.over(&device.groups, loss.to).is_some() {
            // What its whole group suffers says nothing of it: the time runs from the end of that.
            return device.excuse(now);
        }
        let judgement = losses::too_long(&loss, now);
        self.tell(now, id, judgement, loss, None);
    }
}
