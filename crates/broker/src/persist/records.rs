//! The records of sessions, subscriptions, packet ids, wills and groups, and the keys of all.

use super::recorder::Recorder;
use super::{GROUP, INBOUND, SESSION, SUBSCRIPTION, SessionTerms, WILL, WINDOW, wire};
use crate::attach::Testament;
use crate::session::{Incarnation, SessionKey};
use crate::windows::WindowKey;
use core::num::NonZeroU32;
use keyward_mqtt::packet::{PacketId, SubscribeOptions};
use keyward_mqtt::time::Millis;

impl Recorder {
    pub(crate) fn session(&mut self, incarnation: Incarnation, terms: &SessionTerms) {
        self.record(|entry, writer, key, _| {
            writer.session(terms);
            number_key(key, incarnation);
            entry.changes.put(SESSION, key, writer.bytes());
        });
    }

    pub(crate) fn session_gone(&mut self, incarnation: Incarnation) {
        self.record(|entry, _, key, _| {
            number_key(key, incarnation);
            entry.changes.delete(SESSION, key);
        });
    }

    pub(crate) fn subscription(
        &mut self,
        session: Incarnation,
        filter: &str,
        options: SubscribeOptions,
        id: Option<NonZeroU32>,
    ) {
        self.record(|entry, writer, key, _| {
            writer.subscription(options, id);
            text_key(key, session, filter);
            entry.changes.put(SUBSCRIPTION, key, writer.bytes());
        });
    }

    pub(crate) fn unsubscribed(&mut self, session: Incarnation, filter: &str) {
        self.record(|entry, _, key, _| {
            text_key(key, session, filter);
            entry.changes.delete(SUBSCRIPTION, key);
        });
    }

    pub(crate) fn inbound(&mut self, session: Incarnation, id: PacketId, digest: u64) {
        self.record(|entry, writer, key, _| {
            writer.u64(digest);
            packet_key(key, session, id.0.get());
            entry.changes.put(INBOUND, key, writer.bytes());
        });
    }

    pub(crate) fn inbound_gone(&mut self, session: Incarnation, id: u16) {
        self.record(|entry, _, key, _| {
            packet_key(key, session, id);
            entry.changes.delete(INBOUND, key);
        });
    }

    pub(crate) fn will(
        &mut self,
        session: Incarnation,
        key: &SessionKey,
        life: u64,
        due: Option<Millis>,
        will: &Testament,
    ) {
        self.record(|entry, writer, place, now| {
            writer.will(key, life, due.map(|at| wire::to_wall(at, now)), will);
            number_key(place, session);
            entry.changes.put(WILL, place, writer.bytes());
        });
    }

    pub(crate) fn will_gone(&mut self, session: Incarnation) {
        self.record(|entry, _, key, _| {
            number_key(key, session);
            entry.changes.delete(WILL, key);
        });
    }

    /// Records that a number of a key was seen, in the place of one that is too old by now.
    pub(crate) fn window(&mut self, window: &WindowKey, seen: keyward_envelope::Record) {
        self.record(|entry, writer, key, _| {
            writer.window(&window.identity, seen);
            window_key(key, window, seen.slot());
            entry.changes.put(WINDOW, key, writer.bytes());
        });
    }

    /// Forgets all numbers of a key.
    pub(crate) fn window_gone(&mut self, window: &WindowKey) {
        self.record(|entry, _, key, _| {
            for slot in 0..keyward_envelope::limits::WINDOW as u16 {
                window_key(key, window, slot);
                entry.changes.delete(WINDOW, key);
            }
        });
    }

    pub(crate) fn group(&mut self, incarnation: Incarnation, name: &str) {
        self.record(|entry, _, key, _| {
            number_key(key, incarnation);
            entry.changes.put(GROUP, key, name.as_bytes());
        });
    }

    pub(crate) fn group_gone(&mut self, incarnation: Incarnation) {
        self.record(|entry, _, key, _| {
            number_key(key, incarnation);
            entry.changes.delete(GROUP, key);
        });
    }
}

/// Returns the key of a number in a window.
fn window_key(key: &mut Vec<u8>, window: &WindowKey, slot: u16) {
    key.clear();
    key.extend_from_slice(&window.life.to_be_bytes());
    key.extend_from_slice(&window.kid);
    key.extend_from_slice(&slot.to_be_bytes());
}

fn number_key(key: &mut Vec<u8>, number: Incarnation) {
    key.clear();
    key.extend_from_slice(&number.0.to_be_bytes());
}

pub(super) fn numbered_key(key: &mut Vec<u8>, owner: Incarnation, place: u64) {
    number_key(key, owner);
    key.extend_from_slice(&place.to_be_bytes());
}

fn text_key(key: &mut Vec<u8>, owner: Incarnation, text: &str) {
    number_key(key, owner);
    key.extend_from_slice(text.as_bytes());
}

fn packet_key(key: &mut Vec<u8>, owner: Incarnation, id: u16) {
    number_key(key, owner);
    key.extend_from_slice(&id.to_be_bytes());
}
