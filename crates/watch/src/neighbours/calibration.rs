//! How much more than usual has to be left until a sensor is off, so that honest days raise no alarm.

use super::DAY;
use super::deviation::Deviation;
use super::fit::Fit;
use super::member::Member;
use keyward_ids::DeviceId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Days that count.
const DAYS: usize = 14;
/// Multipliers that are tried: each so much larger than the one before.
const FINENESS: f64 = 1.15;
/// How much more is allowed than was needed on many days; on one day twice as much.
const MARGIN: f64 = 1.5;
/// The smallest multiplier, and the largest: sensors that fit so badly are not compared.
const LEAST: f64 = 2.0;
const MOST: f64 = 12.0;
/// Of so many sensors one may alarm on a day.
const ALARMS: usize = 50;

/// Knows what each of some days would have needed, the newest last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Calibration {
    days: Vec<f64>,
}

impl Calibration {
    /// Takes the day before `end`, which the fits have not seen.
    pub(super) fn learn(&mut self, members: &BTreeMap<DeviceId, Member>, end: u64) {
        let mut needs: Vec<f64> = members.values().filter_map(|member| need(members, member, end)).collect();
        if needs.is_empty() {
            return;
        }
        needs.sort_by(f64::total_cmp);
        // The largest, less those that may alarm.
        let need = needs[needs.len() - 1 - needs.len() / ALARMS];
        if self.days.len() >= DAYS {
            self.days.remove(0);
        }
        self.days.push(need);
    }

    /// Returns by how much the scale of each sensor is multiplied; `None` if they do not follow each other.
    pub(super) fn multiplier(&self) -> Option<f64> {
        let most = self.days.iter().copied().reduce(f64::max)?;
        let multiplier = (most * MARGIN * (1.0 + 1.0 / self.days.len() as f64)).max(LEAST);
        (multiplier <= MOST).then_some(multiplier)
    }
}

/// Returns the smallest multiplier with which one sensor would not have been off on the day before `end`.
fn need(members: &BTreeMap<DeviceId, Member>, own: &Member, end: u64) -> Option<f64> {
    let fit: &Fit = own.fit.as_ref().filter(|_| own.told.is_none())?;
    let day = end.saturating_sub(DAY as u64)..end;
    let units: Vec<f64> =
        day.filter_map(|bin| fit.left(members, own, bin)).map(|left| left / fit.scale).collect();
    let is_off = |multiplier: f64| {
        let mut deviation = Deviation::default();
        units.iter().any(|units| {
            deviation.add(units / multiplier);
            deviation.is_off()
        })
    };
    let mut multiplier = 0.5;
    while multiplier < MOST && is_off(multiplier) {
        multiplier *= FINENESS;
    }
    Some(multiplier)
}
