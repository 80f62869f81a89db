//! What the operator orders.

use super::Stage;
use crate::cast::all_but;
use keyward_broker::Standing;
use keyward_policy::Action;
use keyward_sim::event::ClientNo;
use keyward_sim::world::World;

impl Stage {
    /// Orders rules that let everybody do everything but this; they lie on disk, and no shard has them.
    pub(crate) fn forbid(&mut self, denied: &[(ClientNo, Action, &str)]) {
        let rules = all_but(&self.setup, denied);
        self.act(|world| world.set_rules(rules));
    }

    /// Orders another standing of a client's account; the door goes by it, and no shard has it.
    pub(crate) fn set_standing(&mut self, client: ClientNo, standing: Standing) {
        let account = self.account(client);
        let (epoch, _) = self.world.account(account);
        self.act(|world| world.set_account(account, epoch, standing));
    }

    /// Has the operator give an account new credentials.
    pub(crate) fn restore(&mut self, client: ClientNo) {
        let account = self.account(client);
        let (epoch, _) = self.world.account(account);
        self.act(|world| world.set_account(account, epoch + 1, Standing::Active));
    }

    /// Puts the operator's oldest order into the inbox of every shard.
    pub(crate) fn hand_to_all(&mut self) {
        for _ in 0..self.setup.shards {
            self.act(World::hand_on);
        }
    }
}
