//! What was on disk comes back before anybody is let in: the shards are restored, told the rules and who there is, and
//! hear from each other what their sessions want (rules 9 and 10).

use crate::clock;
use crate::plane::start::State;
use crate::plane::vigil::Vigil;
use keyward_broker::persist::{Journal, Recovered, RecoveryError, recover};
use keyward_broker::{HashKey, Input, Output, Shard};
use keyward_mqtt::time::{Now, UnixMillis};
use keyward_store::{Broken, Engine};
use std::collections::VecDeque;
use std::thread;

/// Is what a broker begins with that has a store.
pub(crate) struct Restart {
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) journal: Journal,
    recovered: Option<Recovered>,
    now: Now,
    /// Ends when all is restored.
    vigil: Option<Vigil>,
}

/// Says why nothing could be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestartError {
    /// What is on disk cannot be used.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// It cannot be written.
    #[error(transparent)]
    Broken(#[from] Broken),
}

impl Restart {
    /// Reads what is on disk; `fresh` is the key of hashes of a new store.
    pub(crate) fn read(engine: Box<dyn Engine>, fresh: HashKey) -> Result<Self, RestartError> {
        let now = clock::now();
        let vigil = Vigil::begin();
        let recovered = recover(&vigil.counting(&*engine), fresh, now)?;
        Ok(Self { engine, journal: Journal::default(), recovered: Some(recovered), now, vigil: Some(vigil) })
    }

    /// Returns the key of hashes that everything on disk was made with.
    pub(crate) fn hash_key(&self) -> Option<HashKey> {
        self.recovered.as_ref().map(Recovered::hash_key)
    }

    /// Returns since when all numbers of signed messages are known.
    pub(crate) fn numbers_since(&self) -> Option<UnixMillis> {
        self.recovered.as_ref().map(Recovered::numbers_since)
    }

    /// Gives the shards what is theirs. Returns what each of them has to say to the shell.
    pub(crate) fn restore(
        &mut self,
        shards: &mut [Shard],
        state: &State,
    ) -> Result<Vec<VecDeque<Output>>, RestartError> {
        let mut said: Vec<VecDeque<Output>> = shards.iter().map(|_| VecDeque::new()).collect();
        let Some(recovered) = self.recovered.take() else { return Ok(said) };
        let (portions, survey) = recovered.split(u16::try_from(shards.len()).unwrap_or(u16::MAX));
        self.engine.append(&survey.litter)?;
        self.engine.sync()?;
        for damaged in &survey.damaged {
            tracing::error!("a stored record does not read and is left out: {damaged}");
        }
        if survey.sessions + survey.retained > 0 {
            let (sessions, messages, retained) = (survey.sessions, survey.places, survey.retained);
            tracing::info!(sessions, messages, retained, "restored what was on disk");
        }
        let now = self.now;
        // Each shard takes what is its own, and needs no other for it.
        thread::scope(|scope| {
            for (shard, portion) in shards.iter_mut().zip(portions) {
                scope.spawn(move || shard.restore(now, portion));
            }
            self.journal = Journal::new(survey);
        });
        let mut house = House { shards, said: &mut said, now: self.now };
        house
            .tell_all(|| Input::Policy { generation: state.policy_generation, policy: state.policy.clone() });
        house.tell_all(|| Input::Directory(state.directory.clone()));
        house.settle();
        house.tell_all(|| Input::Restored);
        house.settle();
        self.vigil = None;
        Ok(said)
    }
}

/// Is all shards in one thread.
struct House<'a> {
    shards: &'a mut [Shard],
    said: &'a mut [VecDeque<Output>],
    now: Now,
}

impl House<'_> {
    fn tell_all(&mut self, input: impl Fn() -> Input<'static>) {
        for index in 0..self.shards.len() {
            self.shards[index].handle(self.now, input());
        }
    }

    /// Carries letters from shard to shard and lets slices of work go on, until nobody has anything to say.
    fn settle(&mut self) {
        loop {
            let mut letters = Vec::new();
            for (shard, said) in self.shards.iter_mut().zip(self.said.iter_mut()) {
                if shard.poll_timeout().is_some_and(|due| due <= self.now.mono) {
                    shard.handle(self.now, Input::Timeout);
                }
                while let Some(output) = shard.poll_output() {
                    match output {
                        Output::ToShard { to, message } => letters.push((to, message)),
                        other => said.push_back(other),
                    }
                }
            }
            let has_work =
                self.shards.iter().any(|shard| shard.poll_timeout().is_some_and(|due| due <= self.now.mono));
            if letters.is_empty() && !has_work {
                return;
            }
            for (to, message) in letters {
                self.shards[usize::from(to.0)].handle(self.now, Input::FromShard(message));
            }
        }
    }
}
