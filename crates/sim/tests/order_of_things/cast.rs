//! Who plays: clients, each on the shard on which the scenario wants it.

use crate::stage::Stage;
use keyward_broker::Limits;
use keyward_ids::{Identity, Kind};
use keyward_mqtt::packet::Version;
use keyward_policy::{Action, Effect};
use keyward_sim::event::{ClientNo, ShardNo};
use keyward_sim::rules::{Rule, Rules};
use keyward_sim::setup::{ClientSetup, EngineSetup, Setup};
use keyward_sim::world::script::{home_of_group, home_of_session, home_of_topic};
use std::sync::Arc;

/// Is a scenario's setup while it is being put together.
pub(crate) struct Cast(Setup);

impl Cast {
    /// Begins with nobody, a disk that answers at once, and generous bounds.
    pub(crate) fn new(shards: u16) -> Self {
        // Aliases have a scenario of their own; elsewhere topics are said in full.
        let limits = Limits { topic_alias_max: 0, ..Limits::default() };
        Self(Setup {
            signed: false,
            seed: 0,
            shards,
            limits,
            accounts: Vec::new(),
            clients: Vec::new(),
            rules: Arc::default(),
            engine: EngineSetup::Memory,
            disk: true,
            inbox_bytes: None,
        })
    }

    /// Lets the disk answer only when the scenario says so.
    pub(crate) fn with_slow_disk(mut self) -> Self {
        self.0.engine = EngineSetup::Faulty;
        self
    }

    /// Sets bounds.
    pub(crate) fn with_limits(mut self, set: impl FnOnce(&mut Limits)) -> Self {
        set(&mut self.0.limits);
        self
    }

    /// Lets each sender have so many bytes in an inbox.
    pub(crate) fn with_inbox_bytes(mut self, bytes: usize) -> Self {
        self.0.inbox_bytes = Some(bytes);
        self
    }

    /// Adds somebody whose sessions live on a shard.
    pub(crate) fn add(&mut self, name: &str, shard: usize) -> ClientNo {
        self.add_with_id(name, name, shard)
    }

    /// Adds somebody with a client id of which others may have the same.
    pub(crate) fn add_with_id(&mut self, name: &str, client_id: &str, shard: usize) -> ClientNo {
        let home = self.shard(shard);
        let names = (0..).map(|number| format!("user:{name}{number}").parse::<Identity>().unwrap());
        let identity = find(names, |it| home_of_session(it, client_id, self.0.shards) == home);
        self.add_account(identity, client_id)
    }

    /// Adds a device whose sessions, whatever their client ids, live on a shard.
    pub(crate) fn add_device(&mut self, name: &str, shard: usize) -> ClientNo {
        let home = self.shard(shard);
        let names = (0..).map(|number| format!("device:{name}{number}").parse::<Identity>().unwrap());
        let identity = find(names, |it| home_of_session(it, name, self.0.shards) == home);
        self.add_account(identity, name)
    }

    /// Adds another program of somebody's, whose sessions live on a shard; those of a device cannot choose.
    pub(crate) fn add_program(&mut self, of: ClientNo, name: &str, shard: usize) -> ClientNo {
        let account = self.0.clients[of.0].account;
        let identity = self.0.accounts[account].clone();
        let home = match identity.kind() {
            Kind::User => self.shard(shard),
            Kind::Device => home_of_session(&identity, name, self.0.shards),
        };
        let ids = (0..).map(|number| format!("{name}{number}"));
        let client_id = find(ids, |it| home_of_session(&identity, it, self.0.shards) == home);
        self.add_client(account, &client_id)
    }

    /// Adds another program of somebody's, which has no client id.
    pub(crate) fn add_nameless(&mut self, of: ClientNo) -> ClientNo {
        self.add_client(self.0.clients[of.0].account, "")
    }

    fn add_account(&mut self, identity: Identity, client_id: &str) -> ClientNo {
        self.0.accounts.push(identity);
        self.add_client(self.0.accounts.len() - 1, client_id)
    }

    fn add_client(&mut self, account: usize, client_id: &str) -> ClientNo {
        let client_id = client_id.to_owned();
        self.0.clients.push(ClientSetup { account, client_id, version: Version::V5, is_honest: true });
        ClientNo(self.0.clients.len() - 1)
    }

    /// Names a shard of the scenario; with one shard all are that one.
    pub(crate) fn shard(&self, shard: usize) -> ShardNo {
        ShardNo(shard % usize::from(self.0.shards))
    }

    /// Finds a topic, beginning so, whose retained message lives on a shard.
    pub(crate) fn topic(&self, begin: &str, shard: usize) -> String {
        let home = self.shard(shard);
        find((0..).map(|number| format!("{begin}{number}")), |it| home_of_topic(it, self.0.shards) == home)
    }

    /// Finds a shared subscription to `filter` whose group lives on a shard.
    pub(crate) fn group(&self, filter: &str, shard: usize) -> String {
        let home = self.shard(shard);
        let names = (0..).map(|number| format!("$share/g{number}/{filter}"));
        find(names, |it| home_of_group(it, self.0.shards) == home)
    }

    /// Opens the scenario: everybody may do everything, nobody is connected.
    pub(crate) fn begin(mut self) -> Stage {
        self.0.rules = Arc::new(all_but(&self.0, &[]));
        Stage::new(self.0)
    }

    /// Opens the scenario with a sensor on the first shard, and on the second a stored reader of `news`.
    pub(crate) fn sensor_and_reader(mut self) -> (Stage, ClientNo, ClientNo) {
        let (sensor, reader) = (self.add("sensor", 0), self.add("reader", 1));
        let mut stage = self.begin();
        stage.enter(sensor);
        stage.enter(reader);
        stage.subscribe(reader, "news");
        stage.scene();
        (stage, sensor, reader)
    }
}

/// Lets everybody do everything but what is listed.
pub(crate) fn all_but(setup: &Setup, denied: &[(ClientNo, Action, &str)]) -> Rules {
    let everything = vec![Action::Publish, Action::Subscribe, Action::Receive, Action::Share];
    let allow = |who: &Identity| Rule {
        who: who.clone(),
        effect: Effect::Allow,
        actions: everything.clone(),
        topics: vec!["#".to_owned()],
    };
    let deny = |(client, action, topic): &(ClientNo, Action, &str)| Rule {
        who: setup.accounts[setup.clients[client.0].account].clone(),
        effect: Effect::Deny,
        actions: vec![*action],
        topics: vec![(*topic).to_owned()],
    };
    Rules(setup.accounts.iter().map(allow).chain(denied.iter().map(deny)).collect())
}

/// Lists all filters that match a topic and have `+` in the place of some of its levels.
pub(crate) fn mixtures(topic: &str) -> Vec<String> {
    let levels: Vec<&str> = topic.split('/').collect();
    let mixture = |wild: u32| {
        let level =
            |(place, name): (usize, &&str)| if wild & (1 << place) != 0 { "+" } else { *name }.to_owned();
        levels.iter().enumerate().map(level).collect::<Vec<_>>().join("/")
    };
    (0..1 << levels.len()).map(mixture).collect()
}

/// Returns the first that fits; there is one among a few.
fn find<T>(mut candidates: impl Iterator<Item = T>, fits: impl Fn(&T) -> bool) -> T {
    candidates.find(|candidate| fits(candidate)).unwrap()
}
