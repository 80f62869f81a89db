//! Carries changes of the store into the running data plane.

use crate::{
    admin::{InForce, Live},
    clock,
    config::{Config, Listener},
    control::{BanRow, LastLoginRow, Refusal, RefusalCode},
    denials::{Denied, Report},
    journal::Journal,
    plane::{Applied, Ban, DataPlane, NotReported, Pulse, Vitals},
    service::HEALTH_PATIENCE,
    status::{RunningStatus, StorageState},
    watch::WatchDesk,
    wiring,
};
use keyward_broker::{Directory, Storage};
use keyward_identity::{Registrar, Registry};
use keyward_ids::Identity;
use keyward_mqtt::time::Millis;
use keyward_policy::Policy;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// Holds the way from the store into the data plane, and what is in force there.
pub(crate) struct Carrier {
    plane: Arc<DataPlane>,
    directory: Arc<Directory>,
    policy_generation: u64,
    journal: Arc<Journal>,
    watch: WatchDesk,
    began: Millis,
}

impl Carrier {
    /// Takes a data plane that was started with `directory` and the policy of generation 1.
    pub(crate) fn new(
        plane: Arc<DataPlane>,
        directory: Arc<Directory>,
        journal: Arc<Journal>,
        watch: WatchDesk,
    ) -> Self {
        Self { plane, directory, policy_generation: 1, journal, watch, began: clock::now().mono }
    }
}

impl Live for Carrier {
    fn put_registry(&mut self, registry: &Arc<Registry>) -> InForce {
        self.watch.put_registry(registry);
        self.directory = Arc::new(wiring::directory(registry, &self.directory));
        in_force(self.plane.set_directory(Arc::clone(&self.directory), Arc::clone(registry)))
    }

    fn put_policy(&mut self, policy: &Arc<Policy>) -> InForce {
        self.policy_generation += 1;
        in_force(self.plane.set_policy(self.policy_generation, Arc::clone(policy)))
    }

    fn put_certificate(&mut self, registrar: &Registrar, listeners: &[Listener]) -> Result<(), Refusal> {
        // What was taken away from other authorities is in force even if no listener can show its certificate.
        self.plane.set_trusted(wiring::trusted(registrar));
        let material = wiring::tls_material_for(registrar, listeners)
            .map_err(|error| Refusal::new(RefusalCode::NotFound, error))?;
        self.plane.set_tls(material).map_err(|error| Refusal::new(RefusalCode::Failed, error))
    }

    fn open_listener(&mut self, listener: &Listener) -> Result<(), Refusal> {
        let opened = self.plane.add_listener(wiring::listener(listener));
        opened.map(|_| ()).map_err(|error| Refusal::new(RefusalCode::Failed, error))
    }

    fn close_listener(&mut self, name: &str) {
        self.plane.remove_listener(name);
    }

    fn listeners(&self) -> Vec<(String, Vec<SocketAddr>)> {
        self.plane.listeners().into_iter().map(|bound| (bound.listener.name, bound.addresses)).collect()
    }

    fn announce(&self, values: Vec<(String, Vec<u8>)>) {
        self.plane.announce(values);
    }

    fn retained(&self, filters: &[String], max: u16) -> Vec<String> {
        self.plane.retained_topics(filters, max)
    }

    fn put_type_rules(&mut self, config: &Config) {
        self.plane.set_type_rules(wiring::type_rules(config));
        self.watch.put_readings(&config.readings);
    }

    fn bans(&self) -> Vec<BanRow> {
        let row = |ban: Ban| BanRow {
            address: ban.address.to_string(),
            left_secs: ban.left.as_secs(),
            refused: ban.refused,
        };
        self.plane.bans().into_iter().map(row).collect()
    }

    fn lift_ban(&mut self, address: IpAddr) -> bool {
        self.plane.lift_ban(address)
    }

    fn last_login(&self, identity: &Identity) -> Option<LastLoginRow> {
        self.plane.last_login(identity).map(|login| LastLoginRow {
            at_unix_ms: login.at.wall.0,
            shown: login.shown.to_string(),
            listener: login.listener,
        })
    }

    fn sessions(&self, identities: &[&Identity]) -> Vec<usize> {
        self.plane.sessions_of(identities)
    }

    fn waiting(&self, identity: &Identity) -> usize {
        self.plane.waiting_for(identity)
    }

    fn links(&self, identities: &[&Identity]) -> Vec<usize> {
        self.plane.connections_of(identities)
    }

    fn status(&self) -> RunningStatus {
        let now = clock::now();
        let stats = self.plane.stats();
        let [denials_last_hour, login_failures_last_hour, handshake_failures_last_hour] =
            self.journal.last_hour(now);
        let sum =
            |of: fn(&keyward_broker::ShardStats) -> u64| stats.shards.iter().flatten().map(of).sum::<u64>();
        RunningStatus {
            pid: std::process::id(),
            uptime_secs: now.mono.saturating_sub(self.began).0 / 1_000,
            silent_shards: stats.shards.iter().filter(|shard| shard.is_none()).count() as u64,
            links: sum(|shard| shard.links),
            sessions: sum(|shard| shard.sessions),
            subscriptions: sum(|shard| shard.subscriptions),
            retained: sum(|shard| shard.retained),
            queued: sum(|shard| shard.queued),
            memory_bytes: sum(|shard| shard.memory),
            storage: match stats.storage {
                Some(Storage::Open) => StorageState::Open,
                Some(Storage::Full) => StorageState::Full,
                Some(Storage::Broken) => StorageState::Broken,
                None => StorageState::Memory,
            },
            banned: self.plane.bans().len(),
            turned_away: stats.turned_away + stats.evicted,
            denials_last_hour,
            login_failures_last_hour,
            handshake_failures_last_hour,
            lost_reports: stats.events_dropped,
            notices: self.journal.notices(),
            policy_generation: self.policy_generation,
            registry_revision: self.directory.revision(),
        }
    }

    fn vitals(&self) -> Vitals {
        Pulse::of(Arc::clone(&self.plane)).feel(HEALTH_PATIENCE)
    }

    fn denials(&self, since: Option<Millis>, would_allow: &dyn Fn(&Denied) -> Option<String>) -> Report {
        self.journal.report(clock::now(), since, would_allow)
    }
}

fn in_force(applied: Result<Applied, NotReported>) -> InForce {
    match applied {
        Ok(applied) => {
            InForce { closed_links: usize::try_from(applied.closed).unwrap_or(usize::MAX), complete: true }
        }
        Err(error) => {
            tracing::error!("{error}");
            InForce { closed_links: 0, complete: false }
        }
    }
}
