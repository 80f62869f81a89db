//! The disk under a broker: an engine that forgets what was not synced, the journal above it, crashes and restarts.

use crate::peer::{Hello, Peer};
use crate::world::World;
use keyward_broker::persist::{
    Entry, Inspection, Journal, Page, PageAsk, RecoveryError, Survey, UPGRADES, begin_numbers, inspect,
    recover, upgrades,
};
use keyward_broker::{HashKey, Input, Limits};
use keyward_mqtt::time::{Millis, Now, UnixMillis};
use keyward_store::faulty::FaultyEngine;
use keyward_store::{Batch, Engine as _, Read as _, Scan, Table};

/// Is what survives the process.
#[derive(Default)]
pub(crate) struct Disk {
    engine: FaultyEngine,
    journal: Journal,
    entry: Entry,
}

/// Runs a story in a broker of one, of two and of three shards whose sessions and messages are on disk.
pub(crate) fn in_every_stored_world(story: impl Fn(&mut World)) {
    for shards in 1..=3 {
        story(&mut World::on_disk(shards, Limits::default()));
    }
}

impl Disk {
    pub(crate) fn read(&self, ask: PageAsk) -> Page {
        ask.read(&self.engine, |error| panic!("{error}"))
    }
}

impl World {
    pub(crate) fn on_disk(shards: u16, limits: Limits) -> Self {
        let mut world = Self::new(shards, limits);
        world.disk = Some(Disk::default());
        world.start(shards);
        world
    }

    /// Starts a broker on records that are there already, of any format.
    pub(crate) fn on_records(shards: u16, records: &Batch) -> Self {
        let mut world = Self::new(shards, Limits::default());
        world.message_keys("device:lamp", vec![crate::signed_messages_count_once::key(1, 2)]);
        let disk = world.disk.insert(Disk::default());
        disk.engine.append(records).unwrap();
        for upgrade in upgrades(&disk.engine, UPGRADES).unwrap() {
            let batch = upgrade.batch(&disk.engine).unwrap();
            disk.engine.append(&batch).unwrap();
        }
        disk.engine.sync().unwrap();
        world.start(shards);
        world
    }

    /// Kills the broker and shows what is on disk then: table, key and value.
    pub(crate) fn what_a_crash_leaves(mut self) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
        let engine = &mut self.disk.as_mut().unwrap().engine;
        engine.crash(0);
        let mut rows = Vec::new();
        for table in Table::all() {
            let mut scan = Scan::of(table, b"");
            while engine.next_page(&mut scan).unwrap() {
                rows.extend(scan.rows().map(|(key, value)| (table, key.to_vec(), value.to_vec())));
            }
        }
        rows
    }

    /// Gives what a shard has recorded to the engine.
    pub(crate) fn write_entry(&mut self, shard: usize) {
        let Some(disk) = &mut self.disk else { return };
        self.shards[shard].take_entry(&mut disk.entry);
        disk.journal.complete(&mut disk.entry);
        disk.engine.append(disk.entry.changes()).unwrap();
    }

    /// Makes durable what the engine was given.
    pub(crate) fn sync(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.engine.sync().unwrap();
        }
    }

    /// Writes what nobody waits for, as the shell does at the end of a tick.
    pub(crate) fn flush(&mut self) {
        (0..self.shards.len()).for_each(|shard| self.write_entry(shard));
        self.sync();
    }

    /// Kills the broker and starts it again with as many shards; what was not synced is lost.
    pub(crate) fn crash(&mut self) {
        self.crash_to(self.shard_count() as u16);
    }

    /// Does the same with another number of shards.
    pub(crate) fn crash_to(&mut self, shards: u16) {
        self.disk.as_mut().unwrap().engine.crash(0);
        self.start(shards);
    }

    /// Kills the broker; of what was not synced so many batches are on disk all the same.
    pub(crate) fn crash_keeping(&mut self, batches: usize) {
        self.disk.as_mut().unwrap().engine.crash(batches);
        self.start(self.shard_count() as u16);
    }

    /// Copies what is on disk.
    pub(crate) fn back_up(&mut self) -> Batch {
        self.flush();
        let (engine, mut rows) = (&self.disk.as_ref().unwrap().engine, Batch::new());
        for table in Table::all() {
            let mut scan = Scan::of(table, b"");
            while engine.next_page(&mut scan).unwrap() {
                scan.rows().for_each(|(key, value)| rows.put(table, key, value));
            }
        }
        rows
    }

    /// Loses what is on disk, and starts on this copy of it instead: an empty one, if there is none.
    pub(crate) fn restore_store(&mut self, copy: &Batch) {
        let disk = self.disk.insert(Disk::default());
        disk.engine.append(copy).unwrap();
        disk.engine.append(&begin_numbers(UnixMillis(self.now.0))).unwrap();
        disk.engine.sync().unwrap();
        self.start(self.shard_count() as u16);
    }

    /// Starts a broker on what is on disk.
    fn start(&mut self, shards: u16) {
        self.wires.values_mut().for_each(|wire| {
            wire.closed.get_or_insert(None);
            wire.answers.clear();
        });
        let now = Now { mono: self.now, wall: UnixMillis(self.now.0) };
        let recovered = self.recover(now);
        self.numbers_since = recovered.numbers_since();
        self.build(shards);
        let (portions, survey) = recovered.split(shards);
        assert_eq!(survey.damaged, Vec::<String>::new());
        let disk = self.disk.as_mut().unwrap();
        disk.engine.append(&survey.litter).unwrap();
        disk.engine.sync().unwrap();
        disk.journal = Journal::new(survey);
        for (shard, portion) in self.shards.iter_mut().zip(portions) {
            shard.restore(now, portion);
        }
        self.publish_policy();
        self.publish_directory();
        self.settle();
        self.tell_all(|| Input::Restored);
        self.settle();
    }

    fn recover(&mut self, now: Now) -> keyward_broker::persist::Recovered {
        let disk = self.disk.as_ref().unwrap();
        recover(&disk.engine, HashKey::new([7; 16]), now).unwrap()
    }

    /// Writes something that does not read in the place of a table's first record.
    pub(crate) fn damage(&mut self, table: u8) {
        self.flush();
        let engine = &mut self.disk.as_mut().unwrap().engine;
        let mut scan = Scan::of(Table::new(table), b"").rows_per_page(1);
        assert!(engine.next_page(&mut scan).unwrap());
        let key = scan.rows().next().unwrap().0.to_vec();
        let mut batch = Batch::new();
        batch.put(Table::new(table), &key, b"damaged");
        engine.append(&batch).unwrap();
        engine.sync().unwrap();
    }

    /// Removes a table's first record.
    pub(crate) fn remove_first(&mut self, table: u8) {
        self.flush();
        let engine = &mut self.disk.as_mut().unwrap().engine;
        let mut scan = Scan::of(Table::new(table), b"").rows_per_page(1);
        assert!(engine.next_page(&mut scan).unwrap());
        let mut batch = Batch::new();
        batch.delete(Table::new(table), scan.rows().next().unwrap().0);
        engine.append(&batch).unwrap();
    }

    /// Says that a newer broker wrote what is on disk.
    pub(crate) fn write_newer_format(&mut self, meta: u8) {
        let mut batch = Batch::new();
        batch.put(Table::new(meta), b"format", &99_u32.to_be_bytes());
        self.disk.as_mut().unwrap().engine.append(&batch).unwrap();
    }

    /// Lets every read fail, or succeed again.
    pub(crate) fn set_unreadable(&mut self, is_unreadable: bool) {
        self.disk.as_mut().unwrap().engine.set_unreadable(is_unreadable);
    }

    /// Looks through what is on disk; also returns how many rows it said it had read.
    pub(crate) fn try_inspect(&mut self) -> Result<(Inspection, u64), RecoveryError> {
        self.flush();
        let (now, mut told) = (Now { mono: self.now, wall: UnixMillis(self.now.0) }, 0);
        let found = inspect(&self.disk.as_ref().unwrap().engine, now, &mut |rows| told = rows)?;
        Ok((found, told))
    }

    pub(crate) fn inspected(&mut self) -> (Inspection, u64) {
        self.try_inspect().unwrap()
    }

    /// Says what is on disk once everything is written.
    pub(crate) fn on_disk_now(&mut self) -> Survey {
        self.flush();
        let now = Now { mono: self.now, wall: UnixMillis(self.now.0) };
        self.recover(now).split(1).1
    }

    /// Counts the records of a kind on disk.
    pub(crate) fn rows(&mut self, table: u8) -> usize {
        self.flush();
        let engine = &self.disk.as_ref().unwrap().engine;
        let mut scan = Scan::of(Table::new(table), b"");
        let mut count = 0;
        while engine.next_page(&mut scan).unwrap() {
            count += scan.rows().count();
        }
        count
    }

    /// Lets time pass while nothing runs.
    pub(crate) fn sleep(&mut self, secs: u64) {
        self.now = self.now.saturating_add(Millis::from_secs(secs));
    }

    /// Connects, and tells whether there was a session.
    pub(crate) fn resume(&mut self, hello: Hello) -> (Peer, bool) {
        let peer = self.connect(hello);
        let got = self.wire_got(peer);
        let index = got.iter().position(|got| matches!(got, crate::peer::Got::ConnAck { .. })).unwrap();
        let ack = got.remove(index);
        (peer, matches!(ack, crate::peer::Got::ConnAck { session_present: true, .. }))
    }
}
