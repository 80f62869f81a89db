//! What a start finds in the message store, behind the engine's checksums: records of anyone's making.

use crate::script::Script;
use keyward_broker::persist::{self, Recovered};
use keyward_broker::{HashKey, Limits, Shard, ShardConfig, ShardIndex};
use keyward_mqtt::time::{Millis, Now, UnixMillis};
use keyward_store::memory::MemoryEngine;
use keyward_store::{Batch, Engine, Table};

/// Tables of today's format (`docs/format.md`).
const TABLES: u8 = 11;
const SHARDS: u16 = 2;

fn put(engine: &mut MemoryEngine, batch: &Batch) {
    if engine.append(batch).is_err() {
        panic!("memory refuses nothing");
    }
}

/// Recovers records that the script puts (a table, a key, a value each): no record makes a start fail but one of a
/// newer format, what a start tidies up is tidy at the next, which finds the same, and shards take what was found.
pub fn stored_records(data: &[u8]) {
    let (mut script, mut batch, mut engine) = (Script(data), Batch::new(), MemoryEngine::new());
    while let (Some(table), Some(key), Some(value)) = (script.byte(), script.piece(), script.piece()) {
        // The contract knows no empty key.
        if !key.is_empty() {
            batch.put(Table::new(table % TABLES), key, value);
        }
    }
    put(&mut engine, &batch);
    let Some(found) = recovered(&engine) else { return };
    put(&mut engine, &found.survey().litter);
    let Some(again) = recovered(&engine) else { panic!("tidying up took the store away") };
    assert!(again.survey().litter.is_empty(), "tidying up left something to be tidied up");
    assert_eq!(counts(&again), counts(&found));
    let hash_key = again.hash_key();
    let (portions, _) = again.split(SHARDS);
    for (index, portion) in (0..SHARDS).zip(portions) {
        let index = ShardIndex(index);
        let config = ShardConfig {
            index,
            shards: SHARDS,
            hash_key,
            limits: Limits::default(),
            is_stored: true,
            numbers_since: UnixMillis(0),
            is_watched: true,
        };
        Shard::new(config).restore(now(), portion);
    }
}

fn recovered(engine: &MemoryEngine) -> Option<Recovered> {
    persist::recover(engine, HashKey::new([7; 16]), now()).ok()
}

fn now() -> Now {
    Now { mono: Millis(1_000), wall: UnixMillis(1_800_000_000_000) }
}

fn counts(found: &Recovered) -> ([usize; 3], &[String]) {
    let survey = found.survey();
    ([survey.sessions, survey.places, survey.retained], &survey.damaged)
}
