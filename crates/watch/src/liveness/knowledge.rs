//! What is known of whether a device is there.

use super::Liveness;
use super::device::{Device, Standing};
use crate::event::UnixMillis;
use crate::knowledge::{Known, span, when};
use keyward_ids::DeviceId;

/// Sensors that are named; of more only how many there are.
const NAMED: usize = 8;

impl Liveness {
    pub(crate) fn known(&self, now: UnixMillis, id: &DeviceId) -> Vec<Known> {
        let Some(device) = self.devices.get(id) else { return Vec::new() };
        let mut known =
            vec![Known::new("presence", presence(device, now)), Known::new("rhythm", rhythm(device, now))];
        let patience = self.settings.patience(device.exposure);
        if device.told.is_none()
            && let Some((at, _)) = device.next(now, &self.settings)
        {
            known.push(Known::new("looked at", format!("{}, unless it is heard before", when(now, at))));
        }
        known.push(Known::new(
            "patience",
            format!(
                "a lost link is missed after {}, silence after {} usual pauses; after {} it is taken for destroyed or stolen",
                span(patience.reconnect_ms),
                patience.intervals,
                span(patience.gone_ms)
            ),
        ));
        if let Some(until) = self.blameless(now) {
            known.push(Known::new(
                "no blame",
                format!("the broker has started or was in trouble; that ends {}", when(now, until)),
            ));
        }
        if let Some(told) = &device.told {
            known.push(Known::new("told as", told.class.word()));
        }
        if let Some(touch) = &device.touch {
            known.push(Known::new(
                "touched",
                format!("switch {}, {}", touch.input.escape_debug(), when(now, touch.at)),
            ));
        }
        known.extend(sensors(device, now));
        known
    }
}

fn presence(device: &Device, now: UnixMillis) -> String {
    let heard = device.heard.map_or("never heard".to_owned(), |at| format!("heard {}", when(now, at)));
    let linked = if device.is_linked() { ", linked" } else { "" };
    match device.standing {
        Standing::Resting => format!("nothing is expected of it now; {heard}"),
        Standing::Present => format!("there; {heard}{linked}"),
        Standing::Lost { loss, .. } => format!("lost, noticed {}; {heard}", when(now, loss.noticed)),
    }
}

fn rhythm(device: &Device, now: UnixMillis) -> String {
    match device.usual(now) {
        Some(usual) => format!(
            "a message each {}; late after {} of silence",
            span(usual.interval),
            span(usual.late_after())
        ),
        None => "none that is known: only its link tells whether it is there".to_owned(),
    }
}

fn sensors(device: &Device, now: UnixMillis) -> Vec<Known> {
    let all = device.sensors.known(now);
    let more = all.len().saturating_sub(NAMED);
    let mut known: Vec<_> = all.into_iter().take(NAMED).map(|what| Known::new("sensor", what)).collect();
    if more > 0 {
        known.push(Known::new("sensors", format!("{more} more")));
    }
    known
}
