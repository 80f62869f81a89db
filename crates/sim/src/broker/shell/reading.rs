//! What a shell reads: some packets of each link that has any, in turns.

use super::Shell;
use crate::broker::Surroundings;
use crate::broker::inbox::Room;
use crate::broker::link::Decoder;
use crate::event::{ShardNo, What};
use crate::wire::Stream;
use keyward_broker::{Input, LinkId};
use keyward_mqtt::connection::{Farewell, Step};
use keyward_mqtt::packet::Packet;

/// Packets taken from one link in one tick. Few, so that ticks of shards interleave.
const PACKETS_PER_LINK: usize = 16;

/// Packets taken from all links in one tick.
const PACKETS_PER_TICK: usize = 48;

/// Bytes read from a link at once.
const READ: usize = 4096;

/// Says how far reading a link went.
enum Drained {
    /// Everything that has arrived was decoded.
    Yes,
    /// The link used its share of the tick.
    NotYet,
    /// The peer is gone.
    Gone,
    /// The peer broke a rule.
    Refused(Farewell),
}

impl Shell {
    pub(super) fn enqueue(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id).filter(|link| link.established && !link.queued) {
            link.queued = true;
            self.ready.push_back(id);
        }
    }

    /// Finds the links that have something to read, in the order in which the system happens to name them.
    fn poll(&mut self, around: &mut Surroundings<'_>) {
        let mut ready: Vec<LinkId> = Vec::new();
        for (id, link) in &self.links {
            let wire = around.wires.get(id);
            let readable = wire.is_none_or(|wire| wire.up.has_arrived() || wire.broker_end() == Stream::Over);
            if link.established && !link.queued && readable {
                ready.push(*id);
            }
        }
        around.dice.shuffle(&mut ready);
        ready.into_iter().for_each(|id| self.enqueue(id));
    }

    pub(super) fn read_links(&mut self, around: &mut Surroundings<'_>) {
        self.poll(around);
        if self.stopping {
            self.ready.clear();
        }
        let mut packets = PACKETS_PER_TICK;
        // While fan-outs are left, little is read, and nothing from those whose messages wait.
        let is_behind = self.is_due(around.log.now.mono);
        for _ in 0..self.ready.len() {
            let held = around.inboxes.iter().any(|inbox| inbox.room(self.index) == Room::Exhausted);
            if held || packets == 0 || (!is_behind && self.is_due(around.log.now.mono)) {
                break;
            }
            match self.ready.pop_front() {
                Some(id) if is_behind && !self.shard.may_be_read(id) => self.ready.push_back(id),
                Some(id) => self.read_link(around, id, &mut packets),
                None => break,
            }
        }
    }

    fn read_link(&mut self, around: &mut Surroundings<'_>, id: LinkId, packets: &mut usize) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.queued = false;
        if !link.unsent.is_empty() && self.shard.outbox_bytes_of(id) > around.unsent_bytes {
            return; // Who does not read is not read.
        }
        let Some(mut decoder) = link.decoder.take() else { return };
        let drained = self.drain(around, id, &mut decoder, packets);
        if let Some(link) = self.links.get_mut(&id) {
            link.decoder = Some(decoder);
        }
        self.apply_outputs(around);
        match drained {
            Drained::Yes => {}
            Drained::NotYet => self.enqueue(id),
            Drained::Gone => {
                self.drop_link(around, id);
                self.lose(around, id);
            }
            Drained::Refused(farewell) => {
                self.close_with(around, id, farewell);
                self.lose(around, id);
            }
        }
    }

    fn drain(
        &mut self,
        around: &mut Surroundings<'_>,
        id: LinkId,
        decoder: &mut Decoder,
        packets: &mut usize,
    ) -> Drained {
        let mut share = PACKETS_PER_LINK.min(*packets);
        let now = around.log.now.mono;
        loop {
            if self.shard.is_held(id) {
                return Drained::Yes;
            }
            let size = match decoder.connection.decode(now, &decoder.bytes) {
                Err(refused) => return Drained::Refused(refused.farewell),
                Ok(Step::Packet { packet, size }) => {
                    self.take(around, id, packet);
                    size
                }
                Ok(Step::Incomplete { .. }) => {
                    let Some(wire) = around.wires.get_mut(&id) else { return Drained::Gone };
                    let more = wire.up.read(READ);
                    match (more.is_empty(), wire.broker_end()) {
                        (true, Stream::Over) => return Drained::Gone,
                        (true, Stream::Open) => return Drained::Yes,
                        (false, _) => decoder.bytes.extend(more),
                    }
                    continue;
                }
            };
            decoder.bytes.drain(..size);
            *packets -= 1;
            share -= 1;
            if share == 0 || self.is_due(now) {
                return Drained::NotYet;
            }
        }
    }

    /// Gives the shard a packet. What comes behind the end of a link is given to it too, as the worker does; the shard
    /// knows the link no longer.
    fn take(&mut self, around: &mut Surroundings<'_>, id: LinkId, packet: Packet<'_>) {
        if !self.closed.contains(&id)
            && let Some(link) = self.links.get_mut(&id)
        {
            let packet = link.hear(&packet);
            around.log.say(What::Takes { shard: ShardNo(self.index), link: id, packet });
        }
        self.feed(around, Input::Packet { link: id, packet });
    }
}
