//! The topics below `$SYS/broker/` by which dashboards watch a broker, named and counted as Mosquitto does.
//!
//! What is not here: who may read them (a rule must name `$SYS`), and how they reach shards ([`crate::plane`]).

mod heap;
mod load;

use crate::notify::Counts as Notices;
use crate::plane::PlaneStats;
use heap::Heap;
use keyward_broker::{ShardStats, Unfit};
use keyward_mqtt::time::Millis;
use load::Loads;
use std::collections::BTreeMap;

/// Remembers what was said last, so that only what has changed is said again.
pub(crate) struct Sys {
    began: Millis,
    said: BTreeMap<String, String>,
    loads: Loads,
}

impl Sys {
    /// Begins for a broker that started at `began`.
    pub(crate) fn new(began: Millis) -> Self {
        Self { began, said: BTreeMap::new(), loads: Loads::new(began) }
    }

    /// Returns topics and payloads that have changed; none if a shard did not answer, for its figures would be missing.
    pub(crate) fn changes(
        &mut self,
        now: Millis,
        stats: &PlaneStats,
        notices: Notices,
    ) -> Vec<(String, String)> {
        let Some(shards) = stats.shards.iter().copied().collect::<Option<Vec<_>>>() else {
            return Vec::new();
        };
        let sum = shards.into_iter().fold(ShardStats::default(), ShardStats::plus);
        let uptime = now.saturating_sub(self.began).as_secs();
        let mut values = vec![
            ("version".to_owned(), format!("keyward version {}", env!("CARGO_PKG_VERSION"))),
            ("uptime".to_owned(), format!("{uptime} seconds")),
        ];
        let named = counts(stats, &sum).into_iter().chain(Heap::read().into_iter().flat_map(Heap::values));
        values.extend(
            notice_counts(notices).into_iter().map(|(topic, value)| (topic.to_owned(), value.to_string())),
        );
        values.extend(signed_counts(&sum).map(|(topic, value)| (topic, value.to_string())));
        values.extend(named.map(|(topic, value)| (topic.to_owned(), value.to_string())));
        values.extend(self.loads.update(now, load_counts(stats, &sum)));
        values.retain(|(topic, value)| self.said.get(topic) != Some(value));
        self.said.extend(values.iter().cloned());
        values.into_iter().map(|(topic, value)| (format!("$SYS/broker/{topic}"), value)).collect()
    }
}

fn counts(stats: &PlaneStats, sum: &ShardStats) -> Vec<(&'static str, u64)> {
    let disconnected = sum.sessions.saturating_sub(sum.links);
    let stored = sum.retained + sum.queued;
    vec![
        ("clients/connected", sum.links),
        ("clients/active", sum.links),
        ("clients/disconnected", disconnected),
        ("clients/inactive", disconnected),
        ("clients/maximum", stats.most_logged_in as u64),
        ("clients/total", sum.sessions),
        ("clients/expired", sum.expired),
        ("messages/received", packets_received(stats, sum)),
        ("messages/sent", sum.packets_sent),
        ("messages/stored", stored),
        ("store/messages/count", stored),
        ("store/messages/bytes", sum.retained_bytes + sum.queued_bytes),
        ("publish/messages/received", sum.received),
        ("publish/messages/sent", sum.sent),
        ("publish/messages/dropped", sum.dropped),
        ("publish/bytes/received", sum.received_payload),
        ("publish/bytes/sent", sum.sent_payload),
        ("bytes/received", stats.bytes_received),
        ("bytes/sent", sum.bytes_sent),
        ("subscriptions/count", sum.subscriptions),
        ("shared_subscriptions/count", sum.shared_subscriptions),
        ("retained messages/count", sum.retained),
        ("connections/socket/count", stats.connections as u64),
        ("packet/out/count", sum.outbox_packets),
        ("packet/out/bytes", sum.outbox_bytes),
    ]
}

/// Counts what became of messages whose signatures were looked at; Mosquitto has no names for that.
fn signed_counts(sum: &ShardStats) -> impl Iterator<Item = (String, u64)> {
    let unfit = Unfit::ALL.iter().zip(sum.unfit);
    let unfit =
        unfit.map(|(unfit, count)| (format!("signed/unfit/{}", unfit.to_string().replace(' ', "-")), count));
    let named = [
        ("signed/verified", sum.verified),
        ("signed/repeated", sum.repeated),
        ("signed/waiting/bytes", sum.unchecked_bytes),
    ];
    named.into_iter().map(|(topic, value)| (topic.to_owned(), value)).chain(unfit)
}

/// Counts what was told outside of incidents.
fn notice_counts(notices: Notices) -> [(&'static str, u64); 4] {
    [
        ("notify/waiting", notices.waiting),
        ("notify/told", notices.told),
        ("notify/failed", notices.failed),
        ("notify/dropped", notices.dropped),
    ]
}

/// Counts a CONNECT where it was read: at the door, also one that was refused there.
fn packets_received(stats: &PlaneStats, sum: &ShardStats) -> u64 {
    sum.packets_received.saturating_sub(stats.logins) + stats.connects
}

fn load_counts(stats: &PlaneStats, sum: &ShardStats) -> [(&'static str, u64); 9] {
    [
        ("messages/received", packets_received(stats, sum)),
        ("messages/sent", sum.packets_sent),
        ("publish/received", sum.received),
        ("publish/sent", sum.sent),
        ("publish/dropped", sum.dropped),
        ("bytes/received", stats.bytes_received),
        ("bytes/sent", sum.bytes_sent),
        ("sockets", stats.accepted),
        ("connections", stats.connects),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(links: u64) -> PlaneStats {
        let unfit = Unfit::ALL.map(|unfit| if unfit == Unfit::Equivocation { 3 } else { 0 });
        let signed = ShardStats { verified: 7, unfit, ..ShardStats::default() };
        let shard = ShardStats { links, sessions: 5, retained: 2, queued: 3, ..signed };
        PlaneStats { shards: vec![Some(shard), Some(ShardStats::default())], ..PlaneStats::default() }
    }

    fn value<'a>(values: &'a [(String, String)], topic: &str) -> Option<&'a str> {
        values.iter().find(|(known, _)| known == topic).map(|(_, value)| value.as_str())
    }

    #[test]
    fn figures_are_summed_over_the_shards_and_named_as_mosquitto_names_them() {
        let values = Sys::new(Millis(1_000)).changes(Millis(61_500), &stats(2), Notices::default());
        for (topic, expected) in [
            ("$SYS/broker/uptime", "60 seconds"),
            ("$SYS/broker/clients/connected", "2"),
            ("$SYS/broker/clients/disconnected", "3"),
            ("$SYS/broker/retained messages/count", "2"),
            ("$SYS/broker/signed/verified", "7"),
            ("$SYS/broker/signed/unfit/number-used-twice", "3"),
            ("$SYS/broker/store/messages/count", "5"),
            ("$SYS/broker/load/connections/15min", "0.00"),
        ] {
            assert_eq!(value(&values, topic), Some(expected), "{topic}");
        }
    }

    #[test]
    fn a_topic_appears_or_disappears_only_together_with_the_golden_list() {
        let values = Sys::new(Millis(0)).changes(Millis(1_000), &stats(2), Notices::default());
        let mut topics: Vec<_> = values.iter().map(|(topic, _)| topic.as_str()).collect();
        topics.sort_unstable();
        // What dashboards look for stands there as Mosquitto 2.1 names it; a topic that is renamed is lost to them.
        let golden: Vec<_> = include_str!("sys/topics.txt").lines().collect();
        let beyond: Vec<_> = topics.iter().filter(|topic| !golden.contains(topic)).collect();
        let missing: Vec<_> = golden.iter().filter(|topic| !topics.contains(topic)).collect();
        assert!(topics == golden, "not in sys/topics.txt: {beyond:?}; only there: {missing:?}");
    }

    #[test]
    fn only_what_has_changed_is_said_again() {
        let mut sys = Sys::new(Millis(0));
        assert!(sys.changes(Millis(1_000), &stats(2), Notices::default()).len() > 40);
        let values = sys.changes(Millis(1_200), &stats(3), Notices::default());
        assert_eq!(value(&values, "$SYS/broker/clients/connected"), Some("3"));
        let beside = values.iter().filter(|(topic, _)| !topic.contains("heap") && !topic.contains("clients"));
        assert_eq!(beside.count(), 0, "{values:?}");
    }

    #[test]
    fn nothing_is_said_while_a_shard_does_not_answer() {
        let silent = PlaneStats { shards: vec![Some(ShardStats::default()), None], ..PlaneStats::default() };
        assert_eq!(Sys::new(Millis(0)).changes(Millis(1_000), &silent, Notices::default()), []);
    }
}
