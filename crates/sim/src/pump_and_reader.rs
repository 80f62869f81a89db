//! What worlds have in common in which a pump speaks and a reader stays: who they are, and how they come. Both may everything, and a broker
//! that dies finds its disk again.

use crate::event::ClientNo;
use crate::packet::Hello;
use crate::rules::{Rule, Rules};
use crate::run::Plan;
use crate::setup::{ClientSetup, EngineSetup, Setup};
use crate::world::World;
use keyward_broker::Limits;
use keyward_ids::Identity;
use keyward_mqtt::packet::{Qos, RetainHandling, SubscribeOptions, Version};
use keyward_mqtt::time::Millis;
use keyward_policy::{Action, Effect};
use std::sync::Arc;

pub(crate) const PUMP: ClientNo = ClientNo(0);
pub(crate) const READER: ClientNo = ClientNo(1);

/// Seconds that sessions outlive their links: longer than any run.
const SESSION: u32 = 900_000;

/// Sets such a world up. `salt` makes it another one than others of the same seed.
pub(crate) fn setup(plan: Plan, salt: u64, signed: bool) -> Setup {
    let accounts: Vec<Identity> = ["device:pump", "user:app"].iter().flat_map(|name| name.parse()).collect();
    let client =
        |account| ClientSetup { account, client_id: "c".to_owned(), version: Version::V5, is_honest: true };
    let rule = |who: &Identity| Rule {
        who: who.clone(),
        effect: Effect::Allow,
        actions: vec![Action::Publish, Action::Subscribe],
        topics: vec!["#".to_owned()],
    };
    let session_expiry = Millis::from_secs(SESSION.into());
    Setup {
        seed: plan.seed ^ salt,
        shards: plan.shards,
        limits: Limits { session_expiry, ..Limits::default() },
        clients: vec![client(0), client(1)],
        rules: Arc::new(Rules(accounts.iter().map(rule).collect())),
        accounts,
        engine: EngineSetup::Faulty,
        disk: true,
        signed,
        inbox_bytes: None,
    }
}

/// Has one of them connect for the first time, and subscribe to everything.
pub(crate) fn join(world: &mut World, client: ClientNo, no_local: bool) {
    connect(world, client, false);
    world.bring_to_rest();
    let options = SubscribeOptions {
        qos: Qos::ExactlyOnce,
        no_local,
        retain_as_published: false,
        retain_handling: RetainHandling::Always,
    };
    world.subscribe(client, vec![("#".to_owned(), options)], None);
    world.bring_to_rest();
}

/// Has one of them connect.
pub(crate) fn connect(world: &mut World, client: ClientNo, clean_start: bool) {
    let hello = Hello {
        version: Version::V5,
        clean_start,
        keep_alive: 0,
        session_expiry: Some(SESSION),
        receive_maximum: None,
        maximum_packet_size: None,
        topic_alias_maximum: None,
        epoch: 1,
        will: None,
    };
    world.connect(client, hello);
}
