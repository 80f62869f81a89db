//! The operator with the store: registry and rules, which survive a crash, and the way of a change into the broker:
//! on disk → at the door → into one inbox after the other (rules 6 and 7).

use crate::broker::Broker;
use crate::broker::inbox::Mail;
use crate::event::{AccountNo, Change, Serial, What};
use crate::log::Log;
use crate::rules::Rules;
use crate::setup::Setup;
use crate::signing;
use keyward_broker::{Directory, MessageKey, Principal, Standing};
use keyward_ids::{Identity, Kind};
use keyward_policy::{Policy, Subject};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Holds what is on disk, and the changes that are under way.
pub(crate) struct Operator {
    principals: Vec<Arc<Principal>>,
    directory: Arc<Directory>,
    generation: u64,
    policy: Arc<Policy>,
    is_signed: bool,
    /// Orders with the next shard that gets them.
    handing: VecDeque<(Order, usize)>,
    /// Shards that have not reported.
    awaited: BTreeMap<Serial, BTreeSet<usize>>,
}

/// Is the registry as the door sees it.
#[derive(Clone)]
pub(crate) struct Snapshot(Arc<Directory>);

/// Is a change on its way to the shards.
#[derive(Clone)]
pub(crate) enum Order {
    Policy { generation: u64, policy: Arc<Policy> },
    Directory(Arc<Directory>),
}

impl Order {
    pub(crate) fn mail(&self) -> Mail {
        match self {
            Self::Policy { generation, policy } => {
                Mail::Policy { generation: *generation, policy: Arc::clone(policy) }
            }
            Self::Directory(directory) => Mail::Directory(Arc::clone(directory)),
        }
    }
}

impl Snapshot {
    /// Tells whether an identity may log in with the credentials of an epoch.
    pub(crate) fn holds(&self, identity: &Identity, epoch: u64) -> bool {
        self.0
            .lookup(identity)
            .is_some_and(|principal| principal.standing == Standing::Active && principal.epoch == epoch)
    }
}

impl Operator {
    /// Begins with these accounts, all active, and these rules.
    ///
    /// # Panics
    /// The rules do not compile: the setup is wrong.
    pub(crate) fn new(setup: &Setup) -> Self {
        let is_signed = setup.signed;
        let principal = |identity: &Identity| {
            let subject = Subject::new(identity.clone());
            Arc::new(Principal {
                subject,
                life: 1,
                epoch: 1,
                standing: Standing::Active,
                message_keys: keys_of(identity, is_signed),
            })
        };
        let principals: Vec<_> = setup.accounts.iter().map(principal).collect();
        let directory = Directory::new(0, principals.iter().cloned()).of_installation(signing::INSTALLATION);
        let directory = Arc::new(directory);
        Self {
            principals,
            directory,
            generation: 0,
            policy: compile(&setup.rules, is_signed),
            is_signed,
            handing: VecDeque::new(),
            awaited: BTreeMap::new(),
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot(Arc::clone(&self.directory))
    }

    pub(crate) fn principal(&self, account: AccountNo) -> &Principal {
        &self.principals[account.0]
    }

    /// Returns what a shard is given before anything else.
    pub(crate) fn law(&self) -> [Mail; 2] {
        [self.order_policy().mail(), Order::Directory(Arc::clone(&self.directory)).mail()]
    }

    fn order_policy(&self) -> Order {
        Order::Policy { generation: self.generation, policy: Arc::clone(&self.policy) }
    }

    /// Puts other rules on disk and on their way.
    pub(crate) fn set_rules(&mut self, log: &mut Log, broker: &Broker, rules: Rules) {
        self.generation += 1;
        self.policy = compile(&rules, self.is_signed);
        let change = Change::Rules { generation: self.generation, rules: Arc::new(rules) };
        self.begin(log, broker, change, self.order_policy());
    }

    /// Puts another standing of an account on disk, at the door, and on its way.
    pub(crate) fn set_account(
        &mut self,
        log: &mut Log,
        broker: &mut Broker,
        account: AccountNo,
        epoch: u64,
        standing: Standing,
    ) {
        let subject = self.principals[account.0].subject.clone();
        let message_keys = keys_of(&subject.identity, self.is_signed);
        let principal = Principal { subject, life: epoch, epoch, standing, message_keys };
        let revision = self.write(broker, account, principal);
        let change = Change::Account { revision, account, epoch, standing };
        self.begin(log, broker, change, Order::Directory(Arc::clone(&self.directory)));
    }

    /// Puts a device into quarantine, or releases it: on disk, at the door, and on its way.
    pub(crate) fn set_quarantine(
        &mut self,
        log: &mut Log,
        broker: &mut Broker,
        account: AccountNo,
        is_in: bool,
    ) {
        let mut principal = (*self.principals[account.0]).clone();
        principal.subject.quarantined = is_in;
        let revision = self.write(broker, account, principal);
        let change = Change::Quarantine { revision, account, is_in };
        self.begin(log, broker, change, Order::Directory(Arc::clone(&self.directory)));
    }

    /// Writes an account into the registry. Returns the revision that this makes.
    fn write(&mut self, broker: &mut Broker, account: AccountNo, principal: Principal) -> u64 {
        self.principals[account.0] = Arc::new(principal);
        let revision = self.directory.revision() + 1;
        let directory = Directory::new(revision, self.principals.iter().cloned());
        self.directory = Arc::new(directory.of_installation(signing::INSTALLATION));
        broker.swap(self);
        revision
    }

    fn begin(&mut self, log: &mut Log, broker: &Broker, change: Change, order: Order) {
        self.awaited.insert(change.serial(), (0..broker.shards()).collect());
        log.say(What::Orders(change));
        self.handing.push_back((order, 0));
    }

    /// Hands the oldest order that is under way to the next shard.
    pub(crate) fn hand_on(&mut self, broker: &mut Broker) {
        let Some((order, shard)) = self.handing.front_mut() else { return };
        broker.order(*shard, order);
        *shard += 1;
        if *shard == broker.shards() {
            self.handing.pop_front();
        }
    }

    /// Tells whether no order is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.handing.is_empty()
    }

    /// Takes note of a report; the command returns when all shards have reported.
    pub(crate) fn note(&mut self, log: &mut Log, shard: usize, change: Serial) {
        let Some(awaited) = self.awaited.get_mut(&change) else { return };
        awaited.remove(&shard);
        if awaited.is_empty() {
            self.awaited.remove(&change);
            log.say(What::Returns(change));
        }
    }

    /// Forgets who waits for what: the broker is another one, which begins with what is on disk.
    pub(crate) fn forget_commands(&mut self) {
        self.handing.clear();
        self.awaited.clear();
    }
}

fn keys_of(identity: &Identity, is_signed: bool) -> Vec<MessageKey> {
    let signs = is_signed && identity.kind() == Kind::Device;
    signs.then(signing::key).into_iter().collect()
}

fn compile(rules: &Rules, is_signed: bool) -> Arc<Policy> {
    match rules.compile_with(if is_signed { signing::DEMAND } else { "" }) {
        Ok(policy) => Arc::new(policy),
        Err(errors) => panic!("the rules of the world do not compile: {errors}"),
    }
}
