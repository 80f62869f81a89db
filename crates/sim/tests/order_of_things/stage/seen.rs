//! What was seen.

use super::Stage;
use keyward_broker::ShardStats;
use keyward_ids::Identity;
use keyward_mqtt::reason::ReasonCode;
use keyward_sim::event::{AccountNo, ClientNo, MessageNo, ShardNo, What};
use keyward_sim::packet::{Packet, Publish};
use keyward_sim::races::Race;

impl Stage {
    /// Returns what each shard holds.
    pub(crate) fn stats(&self) -> Vec<ShardStats> {
        self.world.stats()
    }

    /// Names a shard as [`Cast::shard`](crate::cast::Cast::shard) does.
    pub(crate) fn shard(&self, shard: usize) -> ShardNo {
        ShardNo(shard % usize::from(self.setup.shards))
    }

    /// Returns who a client is.
    pub(crate) fn identity(&self, client: ClientNo) -> &Identity {
        &self.setup.accounts[self.account(client).0]
    }

    /// Returns whose program a client is.
    pub(super) fn account(&self, client: ClientNo) -> AccountNo {
        AccountNo(self.setup.clients[client.0].account)
    }

    /// Lists what happened in this scene.
    pub(crate) fn seen(&self) -> impl Iterator<Item = &What> {
        self.events[self.scene..].iter().map(|event| &event.what)
    }

    /// Lists the packets that a client heard in this scene.
    pub(crate) fn heard(&self, client: ClientNo) -> impl Iterator<Item = &Packet> {
        self.since(self.scene, client)
    }

    pub(super) fn since(&self, event: usize, client: ClientNo) -> impl Iterator<Item = &Packet> {
        self.events[event..].iter().filter_map(move |event| match &event.what {
            What::Hears { client: of, packet, .. } if *of == client => Some(packet),
            _ => None,
        })
    }

    /// Lists the messages that a client heard in this scene.
    pub(crate) fn messages(&self, client: ClientNo) -> impl Iterator<Item = &Publish> {
        self.heard(client).filter_map(|packet| match packet {
            Packet::Publish(publish) => Some(publish),
            _ => None,
        })
    }

    /// Lists the numbers of these messages.
    pub(crate) fn got(&self, client: ClientNo) -> Vec<MessageNo> {
        self.messages(client).filter_map(|publish| publish.number).collect()
    }

    /// Lists the verdicts that a client heard on what it published in this scene: those of PUBACK and PUBREC.
    pub(crate) fn verdicts(&self, client: ClientNo) -> Vec<ReasonCode> {
        let heard = self.heard(client).filter_map(|packet| match packet {
            Packet::PubAck(ack) | Packet::PubRec(ack) => Some(ack.reason),
            _ => None,
        });
        heard.collect()
    }

    /// Lists what a client's SUBSCRIBEs were granted in this scene.
    pub(crate) fn grants(&self, client: ClientNo) -> Vec<ReasonCode> {
        let heard = self.heard(client).filter_map(|packet| match packet {
            Packet::SubAck { reasons, .. } => Some(reasons.clone()),
            _ => None,
        });
        heard.flatten().collect()
    }

    /// Lists how a client's CONNECTs were answered in this scene: was there a session, and how the verdict was.
    pub(crate) fn welcomes(&self, client: ClientNo) -> Vec<(bool, ReasonCode)> {
        let heard = self.heard(client).filter_map(|packet| match packet {
            Packet::ConnAck { session_present, reason, .. } => Some((*session_present, *reason)),
            _ => None,
        });
        heard.collect()
    }

    /// Returns the client id that a client was told, last in this scene, in the place of an empty one.
    pub(crate) fn assigned_client_id(&self, client: ClientNo) -> Option<String> {
        let told = self.heard(client).filter_map(|packet| match packet {
            Packet::ConnAck { terms, .. } => Some(terms.assigned_client_id.clone()),
            _ => None,
        });
        told.last().flatten()
    }

    /// Fails if a race has not come up: then the scenario has shown nothing.
    #[track_caller]
    pub(crate) fn expect_race(&self, race: Race) {
        assert!(self.model.races().count(race) > 0, "this never occurred: {}", race.as_str());
    }
}
