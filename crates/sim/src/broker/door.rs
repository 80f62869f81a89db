//! The door: from the first byte to the hand-over (rules 1 and 6). It judges by a snapshot of the registry, and time
//! passes between its judgement and the inbox.

use super::Surroundings;
use super::inbox::{Handover, Mail};
use crate::event::{ShardNo, What};
use crate::operator::Snapshot;
use crate::wire::Stream;
use keyward_broker::placement::{HashKey, shard_of};
use keyward_broker::{Attach, LinkId, Login};
use keyward_ids::{ClientId, Identity};
use keyward_mqtt::connection::{ConnectionLimits, Farewell, ServerConnection, Step};
use keyward_mqtt::packet::{Connect, Packet, Version};
use keyward_mqtt::reason::ReasonCode;
use std::collections::BTreeMap;

/// The weight of a hand-over, for the budget of an inbox.
const WEIGHT: usize = 600;

/// Is the door of a broker.
pub(crate) struct Door {
    snapshot: Snapshot,
    hash_key: HashKey,
    limits: ConnectionLimits,
    shards: u16,
    arrivals: BTreeMap<LinkId, Arrival>,
    checked: Vec<Claim>,
}

struct Arrival {
    connection: ServerConnection,
    bytes: Vec<u8>,
}

/// Is a login whose credentials are right, on its way into the inbox.
struct Claim {
    handover: Handover,
    version: Version,
    identity: Identity,
    epoch: u64,
    /// How often it is passed over still; then it is checked once more, and a tick later handed over.
    waits: usize,
    is_checked: bool,
}

impl Door {
    pub(crate) fn new(snapshot: Snapshot, hash_key: HashKey, limits: ConnectionLimits, shards: u16) -> Self {
        Self { snapshot, hash_key, limits, shards, arrivals: BTreeMap::new(), checked: Vec::new() }
    }

    /// Lets another registry decide from now on.
    pub(crate) fn swap(&mut self, snapshot: Snapshot) {
        self.snapshot = snapshot;
    }

    pub(crate) fn accept(&mut self, link: LinkId) {
        let connection = ServerConnection::new(self.limits);
        self.arrivals.insert(link, Arrival { connection, bytes: Vec::new() });
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.arrivals.is_empty() && self.checked.is_empty()
    }

    /// Does one tick: hands over what was checked, then reads what came.
    pub(crate) fn tick(&mut self, around: &mut Surroundings<'_>) {
        self.go_on(around);
        let ids: Vec<LinkId> = self.arrivals.keys().copied().collect();
        ids.into_iter().for_each(|id| self.read(around, id));
    }

    fn go_on(&mut self, around: &mut Surroundings<'_>) {
        for mut claim in std::mem::take(&mut self.checked) {
            if claim.waits > 0 {
                claim.waits -= 1;
                self.checked.push(claim);
            } else if claim.is_checked {
                self.hand_over(around, claim);
            } else if self.snapshot.holds(&claim.identity, claim.epoch) {
                // The registry may change between this check and the inbox: the shard checks again (rule 6).
                claim.is_checked = true;
                if around.dice.chance(500) {
                    self.hand_over(around, claim);
                } else {
                    self.checked.push(claim);
                }
            } else {
                self.refuse(around, claim.handover.link, claim.version, ReasonCode::BadUserNameOrPassword);
            }
        }
    }

    fn read(&mut self, around: &mut Surroundings<'_>, id: LinkId) {
        let Some(arrival) = self.arrivals.get_mut(&id) else { return };
        let Some(wire) = around.wires.get_mut(&id) else {
            self.arrivals.remove(&id);
            return;
        };
        arrival.bytes.extend(wire.up.read(1024));
        let is_over = !wire.up.has_arrived() && wire.broker_end() == Stream::Over;
        let now = around.log.now.mono;
        match arrival.connection.decode_opening(now, &arrival.bytes) {
            Ok(Step::Incomplete { .. }) if is_over => {
                wire.leave_broker();
                self.arrivals.remove(&id);
            }
            Ok(Step::Incomplete { .. }) => {}
            Ok(Step::Packet { packet: Packet::Connect(connect), size }) => {
                let judged = judge(&self.snapshot, id, &connect);
                let version = connect.version;
                match (judged, self.arrivals.remove(&id)) {
                    (Ok((attach, identity, epoch)), Some(Arrival { connection, mut bytes })) => {
                        let rest = bytes.split_off(size);
                        let handover = Handover { link: id, connection, rest, attach };
                        let waits = around.dice.below(3);
                        let claim = Claim { handover, version, identity, epoch, waits, is_checked: false };
                        self.checked.push(claim);
                    }
                    (Err(reason), _) => self.refuse(around, id, version, reason),
                    (Ok(_), None) => {}
                }
            }
            Ok(Step::Packet { .. }) => {
                wire.leave_broker();
                self.arrivals.remove(&id);
            }
            Err(refused) => {
                let mut bytes = Vec::new();
                refused.farewell.encode(&mut bytes);
                wire.send_down(&bytes);
                wire.leave_broker();
                self.arrivals.remove(&id);
            }
        }
    }

    fn hand_over(&self, around: &mut Surroundings<'_>, claim: Claim) {
        let Claim { handover, version, identity, .. } = claim;
        let (link, client_id) = (handover.link, handover.attach.client_id());
        let shard = usize::from(shard_of(&self.hash_key, &identity, client_id, self.shards).0);
        let sender = usize::from(self.shards);
        match around.inboxes[shard].offer(sender, WEIGHT, Mail::Link(Box::new(handover))) {
            true => around.log.say(What::Judges { link, verdict: Ok(ShardNo(shard)) }),
            false => self.refuse(around, link, version, ReasonCode::ServerBusy),
        }
    }

    fn refuse(&self, around: &mut Surroundings<'_>, link: LinkId, version: Version, reason: ReasonCode) {
        around.log.say(What::Judges { link, verdict: Err(reason) });
        if let Some(wire) = around.wires.get_mut(&link) {
            let mut bytes = Vec::new();
            Farewell::ConnAck(version, reason).encode(&mut bytes);
            wire.send_down(&bytes);
            wire.leave_broker();
        }
    }
}

/// Judges a CONNECT: the user name says who it is, the password which of its credentials it has.
fn judge(
    snapshot: &Snapshot,
    link: LinkId,
    connect: &Connect<'_>,
) -> Result<(Box<Attach>, Identity, u64), ReasonCode> {
    let wrong = ReasonCode::BadUserNameOrPassword;
    let identity: Identity = connect.username.and_then(|name| name.parse().ok()).ok_or(wrong)?;
    let password = connect.password.and_then(|password| core::str::from_utf8(password).ok());
    let epoch = password.and_then(|password| password.parse().ok()).ok_or(wrong)?;
    if !snapshot.holds(&identity, epoch) {
        return Err(wrong);
    }
    let assigned = connect.client_id.is_empty();
    let client_id = match assigned {
        true => ClientId::new(&format!("auto-{}", link.0)),
        false => ClientId::new(connect.client_id),
    };
    let login = Login { identity: identity.clone(), life: epoch, epoch };
    let attach = Attach::new(link, connect, login, client_id, assigned);
    let attach = attach.map_err(|_| ReasonCode::ClientIdentifierNotValid)?;
    Ok((Box::new(attach), identity, epoch))
}
