//! The end of a run: faults cease, what is owed arrives, everybody leaves, and time passes beyond every expiry.

use super::World;
use crate::client::Client;
use crate::event::{AccountNo, ClientNo, ShardNo, What};
use crate::packet::Hello;
use crate::records;
use crate::wire::Wire;
use keyward_broker::{Standing, Storage};
use keyward_mqtt::packet::Version;
use keyward_mqtt::reason::ReasonCode;

/// Rounds after which a world that still has something to do is said never to come to rest.
const ROUNDS: usize = 5_000;

/// How often a client tries to get back to its session.
const ATTEMPTS: usize = 4;

impl World {
    /// Lets faults cease and everything arrive that is owed to honest clients.
    ///
    /// # Panics
    /// The world does not come to rest.
    pub fn settle(&mut self) {
        let mut attempts = vec![ATTEMPTS; self.clients.len()];
        self.heal();
        self.round();
        for client in self.client_nos() {
            if !self.clients[client.0].setup().is_honest {
                self.break_link(client);
            }
        }
        self.rest(|world| {
            for client in world.client_nos() {
                world.come_back(client, &mut attempts[client.0]);
            }
        });
        self.log.say(What::Settled);
    }

    /// Lets everything happen that needs no time, and nobody come back.
    pub(crate) fn bring_to_rest(&mut self) {
        self.rest(|_| {});
    }

    /// Lets everybody leave and time pass until nothing more happens.
    ///
    /// # Panics
    /// The world does not come to rest.
    pub fn abandon(&mut self) {
        for client in self.client_nos() {
            if self.dice.chance(500) {
                self.disconnect(client, ReasonCode::Success, None);
            } else {
                self.break_link(client);
            }
        }
        self.rest(|_| {});
        for _ in 0..ROUNDS {
            let Some(due) = self.broker.poll_timeout() else { break };
            self.pass(due.saturating_sub(self.log.now.mono));
            self.rest(|_| {});
        }
        self.broker.flush();
        let left = self.broker.disk().map(|disk| records::left_over(disk.reader())).unwrap_or_default();
        if !left.is_empty() {
            self.log.say(What::Leaves(left));
        }
        self.log.say(What::Abandoned);
    }

    fn client_nos(&self) -> impl Iterator<Item = ClientNo> + use<> {
        (0..self.clients.len()).map(ClientNo)
    }

    fn heal(&mut self) {
        self.broker.turn_storage(Storage::Open);
        for wire in self.wires.values_mut() {
            wire.heal();
            wire.down.set_capacity(usize::MAX);
        }
        self.clients.iter_mut().for_each(|client| client.set_reading(true));
    }

    /// Connects a client that may have a session and no link.
    fn come_back(&mut self, no: ClientNo, attempts: &mut usize) {
        let client = &self.clients[no.0];
        let (epoch, standing) = self.account(AccountNo(client.setup().account));
        let wants =
            client.setup().is_honest && client.may_have_session() && !client.has_link() && *attempts > 0;
        if !wants || standing != Standing::Active || !self.operator.is_idle() {
            return;
        }
        *attempts -= 1;
        let version = client.setup().version;
        let hello = Hello {
            version,
            clean_start: client.must_start_clean(),
            keep_alive: 0,
            session_expiry: (version == Version::V5).then_some(3_600),
            receive_maximum: None,
            maximum_packet_size: None,
            topic_alias_maximum: None,
            epoch,
            will: None,
        };
        self.connect(no, hello);
    }

    /// Goes round until nothing is left to do that needs no time.
    fn rest(&mut self, mut each_round: impl FnMut(&mut Self)) {
        for _ in 0..ROUNDS {
            self.heal();
            each_round(self);
            self.round();
            if self.is_quiet() {
                return;
            }
        }
        panic!("the world does not come to rest: {}", self.unrest());
    }

    /// Lets each part of the world do once what it can.
    fn round(&mut self) {
        self.hand_on();
        self.carry_all();
        self.tick_door();
        for shard in 0..self.broker.shards() {
            self.tick(ShardNo(shard));
        }
        self.answer_all();
        self.carry_all();
        for client in self.client_nos() {
            self.listen(client);
            self.acknowledge(client, true);
        }
    }

    fn is_quiet(&self) -> bool {
        self.unrest().is_empty()
    }

    /// Names who is not at rest.
    fn unrest(&self) -> String {
        let parts = [
            ("the operator", self.operator.is_idle()),
            ("the broker", self.broker.is_idle(self.log.now.mono)),
            ("the network", self.wires.values().all(Wire::is_quiet)),
            ("a client", self.clients.iter().all(Client::is_quiet)),
        ];
        let restless: Vec<&str> = parts.iter().filter(|(_, quiet)| !quiet).map(|(name, _)| *name).collect();
        restless.join(", ")
    }
}
