//! Gives members the keys of their groups: a grant for each member and epoch, retained, which the broker publishes.
//!
//! The rule of use. [`Granting::work`] is called again and again by a thread of its own, and does a bounded piece: it looks at the
//! groups as they are, takes back what is nobody's any more, and signs what is missing, the newest epochs first. The store is held
//! for the look alone, never while grants are made.
//!
//! **Why nobody gets what he lost.** Groups, accounts and keys are of one moment ([`Snapshot`]); the ledger begins a new epoch in the record in which
//! somebody loses one. So a look that sees the new epoch does not see that member.
//!
//! What is not here: who is a member, and when keys change (`identity`); the form of a grant (`envelope`).

use crate::{
    admin::Admin,
    clock, installation,
    server_keys::{GrantSigner, grant_topic},
};
use keyward_envelope::{Epoch, GroupKey, PublicKey};
use keyward_identity::{
    Account, AgreementKey, Group, GroupKeys, Groups, HeldAgreementKey, MessageKeyStatus, Registry, WallTime,
    limits, member_name,
};
use keyward_ids::Identity;
use keyward_mqtt::time::Millis;
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

/// Grants that are published at a time: all keys of today for as many members as there may be, and what there is room for of those
/// before, the newest first. A grant takes some 700 bytes of memory: 46 MB.
pub(crate) const GRANTS: usize = 65_536;

/// Grants that are published in one go: 32 take a worker well below a millisecond.
const SLICE: usize = 32;

/// How long one piece of work signs: a stop waits for no more.
const PIECE: Millis = Millis(100);

/// How often all is looked at again though nothing has changed: a key that is retired ends by the clock.
const LOOK: Millis = Millis(60_000);

/// Is all that is known of groups at one moment.
pub(crate) struct Snapshot {
    pub(crate) groups: Arc<Groups>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) keys: Arc<GroupKeys>,
}

/// Returns the key to which group keys are encrypted for somebody: the newest that is used.
///
/// # Errors
/// Why there is none, and what to do.
pub(crate) fn recipient(account: &Account, now: WallTime) -> Result<&AgreementKey, String> {
    if !account.is_trusted() {
        return Err("it may not act now, or is in quarantine".to_owned());
    }
    // One that came with a certificate which was not used yet may be one that the device does not know it has.
    let is_used = |held: &&HeldAgreementKey| {
        !matches!(held.status(now), MessageKeyStatus::Retired { .. })
            && !account.awaits_use(held.awaits.as_ref())
    };
    let mut used = account.agreement_keys.iter().filter(is_used);
    used.next_back().map(|held| &held.key).ok_or_else(|| {
        format!(
            "it has no key to encrypt to; register one: keyward keys add {} FILE --purpose encrypt",
            account.identity
        )
    })
}

/// Names a grant: the epoch, which names its group, and the member.
type Place = (u32, Identity);

/// Says to which key a grant is encrypted, and by which it is signed: another one is another grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Keys {
    to: [u8; 8],
    by: [u8; 8],
}

/// Is a grant that lies in the broker.
struct Given {
    topic: String,
    keys: Keys,
}

/// Is a grant that is to be made.
struct Wanted {
    place: Place,
    group: Arc<Group>,
    to: AgreementKey,
    keys: Keys,
}

/// Remembers which grants lie in the broker, and which are to come.
#[derive(Default)]
pub(crate) struct Granting {
    given: BTreeMap<Place, Given>,
    /// The next is the last.
    wanted: Vec<Wanted>,
    group_keys: Arc<GroupKeys>,
    signer: Option<GrantSigner>,
    numbers: Range<u64>,
    looked: Option<Looked>,
}

/// Says what was looked at last.
#[derive(PartialEq, Eq)]
struct Looked {
    revision: u64,
    by: Option<[u8; 8]>,
    at: Millis,
}

impl Granting {
    /// Does a piece of the work; `publish` takes topics and payloads, an empty one takes a grant back.
    pub(crate) fn work(
        &mut self,
        admin: &Mutex<Admin>,
        actor: &str,
        publish: &dyn Fn(Vec<(String, Vec<u8>)>),
    ) {
        let now = installation::wall_time();
        self.look(admin, now, actor, publish);
        let begun = clock::now().mono;
        while !self.wanted.is_empty() && clock::now().mono.saturating_sub(begun) < PIECE {
            if self.numbers.is_empty() && !self.reserve(admin, now, actor) {
                return;
            }
            let made = self.sign_slice(now);
            publish(made);
        }
    }

    /// Looks at the groups, and says what is to be done where something has changed.
    fn look(
        &mut self,
        admin: &Mutex<Admin>,
        now: WallTime,
        actor: &str,
        publish: &dyn Fn(Vec<(String, Vec<u8>)>),
    ) {
        let mut admin = admin.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = admin.keep_groups(now, actor);
        let is_same = |looked: &Looked| {
            let is_young = clock::now().mono.saturating_sub(looked.at) < LOOK;
            looked.revision == snapshot.registry.revision() && is_young
        };
        if self.looked.as_ref().is_some_and(is_same) {
            return;
        }
        self.signer = admin.grant_signer(now);
        drop(admin);
        let by = self.signer.as_ref().map(GrantSigner::kid);
        self.looked = Some(Looked { revision: snapshot.registry.revision(), by, at: clock::now().mono });
        let plan = plan(&snapshot, now, by);
        self.take_back(&plan, publish);
        let is_missing =
            |wanted: &Wanted| self.given.get(&wanted.place).is_none_or(|it| it.keys != wanted.keys);
        self.wanted = plan.into_values().flatten().filter(is_missing).collect();
        self.wanted.reverse();
        self.group_keys = snapshot.keys;
    }

    /// Takes back what is nobody's any more.
    fn take_back(&mut self, plan: &Plan, publish: &dyn Fn(Vec<(String, Vec<u8>)>)) {
        let places: std::collections::BTreeSet<&Place> =
            plan.values().flatten().map(|wanted| &wanted.place).collect();
        let (mut gone, mut topics) = (Vec::new(), Vec::new());
        for (place, given) in &self.given {
            if !places.contains(place) {
                gone.push(place.clone());
                topics.push((given.topic.clone(), Vec::new()));
            }
        }
        gone.iter().for_each(|place| drop(self.given.remove(place)));
        topics.chunks(SLICE).for_each(|slice| publish(slice.to_vec()));
    }

    fn reserve(&mut self, admin: &Mutex<Admin>, now: WallTime, actor: &str) -> bool {
        let count = u32::try_from(self.wanted.len()).unwrap_or(u32::MAX).min(limits::RESERVED_NUMBERS);
        let reserved =
            admin.lock().unwrap_or_else(PoisonError::into_inner).reserve_numbers(count, now, actor);
        match reserved {
            Ok(first) => self.numbers = first..first.saturating_add(u64::from(count)),
            Err(refusal) => {
                tracing::warn!("members do not get the keys of their groups yet: {}", refusal.what);
                // Tried again at the next look.
                self.wanted.clear();
            }
        }
        !self.numbers.is_empty()
    }

    /// Makes some of the grants that are missing.
    fn sign_slice(&mut self, now: WallTime) -> Vec<(String, Vec<u8>)> {
        let mut made = Vec::new();
        while made.len() < SLICE
            && let Some(number) = self.numbers.next()
            && let Some(wanted) = self.wanted.pop()
        {
            let Some((topic, message)) = self.sign(&wanted, number, now) else { continue };
            self.given.insert(wanted.place, Given { topic: topic.clone(), keys: wanted.keys });
            made.push((topic, message));
        }
        made
    }

    fn sign(&mut self, wanted: &Wanted, number: u64, now: WallTime) -> Option<(String, Vec<u8>)> {
        let (epoch, identity) = &wanted.place;
        let (group, member) = (wanted.group.name.as_str(), member_name(identity)?);
        let key = GroupKey::new(group, Epoch(*epoch), self.group_keys.get(*epoch)?)?;
        let (to, _) = PublicKey::from_cose(&wanted.to.cose()).ok()?;
        match self.signer.as_mut()?.sign(now, number, &member, &key, &to) {
            Ok(message) => Some((grant_topic(group, *epoch, &member), message)),
            Err(error) => {
                tracing::error!(%identity, group, epoch, "the key of its group could not be encrypted: {error}");
                None
            }
        }
    }
}

/// Holds the grants that there are to be, by how many epochs of their group came after theirs.
type Plan = BTreeMap<usize, Vec<Wanted>>;

/// Says which grants there are to be; none without a key that signs them.
fn plan(snapshot: &Snapshot, now: WallTime, by: Option<[u8; 8]>) -> Plan {
    let mut plan = Plan::new();
    let Some(by) = by else { return plan };
    for group in snapshot.groups.iter() {
        let served: Vec<(&Identity, u32, &AgreementKey)> = group
            .members
            .iter()
            .filter_map(|(identity, member)| {
                let account = snapshot.registry.find(identity).filter(|it| group.serves(it).is_some())?;
                Some((identity, member.since, recipient(account, now).ok()?))
            })
            .collect();
        for (age, epoch) in group.epochs.iter().rev().enumerate() {
            let epoch = epoch.number;
            if snapshot.keys.get(epoch).is_none() {
                continue;
            }
            let of_epoch = served.iter().filter(|(_, since, _)| *since <= epoch);
            plan.entry(age).or_default().extend(of_epoch.map(|(identity, _, key)| Wanted {
                place: (epoch, (*identity).clone()),
                group: Arc::clone(group),
                to: (*key).clone(),
                keys: Keys { to: *key.kid().as_bytes(), by },
            }));
        }
    }
    let mut room = GRANTS;
    for wanted in plan.values_mut() {
        wanted.truncate(room);
        room -= wanted.len();
    }
    plan
}
