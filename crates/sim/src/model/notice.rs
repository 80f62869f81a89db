//! What shards say of losses, and which retained messages may not reach their slot.

use super::message::Loss;
use super::{Checked, Model, breach};
use crate::event::{AccountNo, ClientNo, ShardNo};
use crate::races::Race;
use keyward_broker::Notice;
use keyward_ids::Identity;
use keyward_policy::Action;

impl Model {
    /// What an account has under way may not reach its slot.
    pub(super) fn doubt_retained(&mut self, account: Option<AccountNo>) {
        let clients = &self.setup.clients;
        self.slots.doubt(|client, _| Some(AccountNo(clients[client.0].account)) == account);
    }

    /// What the newest rules forbid may not reach its slot if it waits for the disk still.
    pub(super) fn doubt_forbidden(&mut self) {
        let (law, clients) = (&self.law, &self.setup.clients);
        let is_allowed = |client: ClientNo, topic: &str| {
            law.allows(law.newest_generation(), AccountNo(clients[client.0].account), Action::Publish, topic)
        };
        self.slots.doubt(|client, topic| !is_allowed(client, topic));
    }

    pub(super) fn note(&mut self, shard: ShardNo, notice: &Notice) -> Checked {
        let account =
            |identity: &Identity| self.setup.accounts.iter().position(|it| it == identity).map(AccountNo);
        let loss = match notice {
            Notice::QueueFull { publisher, receiver } => {
                self.races.note(Race::QueueFull);
                let both = account(publisher).zip(account(receiver));
                both.map(|(publisher, receiver)| Loss::QueueFull { publisher, receiver })
            }
            Notice::PublisherGone { publisher } => account(publisher).map(Loss::PublisherGone),
            Notice::TooSlow { receiver } => account(receiver).map(Loss::TooSlow),
            Notice::ShardBehind { publisher } => account(publisher).map(Loss::ShardBehind),
            Notice::RetainedFull { publisher } => {
                let of = account(publisher);
                self.doubt_retained(of);
                of.map(Loss::RetainedFull)
            }
            Notice::WillWithheld { owner } => account(owner).map(Loss::WillWithheld),
            Notice::TooLarge { receiver } => account(receiver).map(Loss::TooLarge),
            Notice::NoMemory { identity } => {
                let of = account(identity);
                self.refuse_taken(identity);
                of.map(Loss::NoMemory)
            }
            Notice::NoRoom { identity } => return self.note_no_room(shard, identity),
            Notice::Damaged { .. } => return breach!("a message that waited on disk is lost"),
            Notice::Limit { .. } | Notice::PublishWithheld { .. } | Notice::Unfit { .. } => None,
            // What a device of this world signs is little.
            Notice::VerifiersBehind { .. } => return breach!("too much waits to be verified"),
            Notice::GroupFull { publisher } => account(publisher).map(Loss::GroupFull),
            Notice::GroupAbsent { publisher } => account(publisher).map(Loss::GroupAbsent),
            Notice::GroupDenied { publisher } => account(publisher).map(Loss::GroupDenied),
        };
        match loss {
            Some(Loss::GroupFull(of) | Loss::GroupAbsent(of) | Loss::GroupDenied(of)) => {
                loss.map_or(Ok(()), |loss| self.note_group_loss(of, loss))
            }
            Some(loss) => {
                self.losses.note(loss);
                Ok(())
            }
            None => Ok(()),
        }
    }
}
