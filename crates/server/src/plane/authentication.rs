//! Methods of enhanced authentication (MQTT 5.0, chapter 4.12): what a method has to do, and an exchange under way.
//!
//! Which AUTH may come when is the business of `mqtt`; here is what a proof says. Production has no method yet.

use crate::plane::limits::AUTHENTICATION_STEPS;
use keyward_ids::Identity;
use keyward_mqtt::time::Now;
use std::fmt;
use std::sync::Arc;

/// Is a method by which clients prove who they are.
pub trait Method: Send + Sync {
    /// Returns the name by which CONNECT asks for it.
    fn name(&self) -> &str;

    /// Begins an exchange with one client.
    fn begin(&self) -> Box<dyn Exchange>;
}

/// Is one exchange of a method with one client.
pub trait Exchange: Send {
    /// Judges what the client sent: with CONNECT first, or with the AUTH that begins another authentication. It is
    /// called on the loop of a door or a worker and must not take longer than a signature takes to check.
    fn step(&mut self, now: Now, data: Option<&[u8]>) -> Verdict;
}

/// Says what follows from a step of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The client is to answer this: at most 65,535 bytes.
    Challenge(Vec<u8>),
    /// The client is this identity. Whether that one may log in is not the method's to say.
    Proven {
        /// Who it is.
        identity: Identity,
        /// What the client gets with CONNACK or the last AUTH.
        data: Option<Vec<u8>>,
    },
    /// The client proved nothing.
    Refused,
}

/// Finds a method by its name.
pub(crate) fn find<'a>(methods: &'a [Arc<dyn Method>], name: &str) -> Option<&'a Arc<dyn Method>> {
    methods.iter().find(|method| method.name() == name)
}

/// Is an exchange under way, with an end to its steps.
pub(crate) struct Proof {
    exchange: Box<dyn Exchange>,
    steps: usize,
}

impl Proof {
    pub(crate) fn begin(method: &dyn Method) -> Self {
        Self { exchange: method.begin(), steps: 0 }
    }

    pub(crate) fn step(&mut self, now: Now, data: Option<&[u8]>) -> Verdict {
        self.steps += 1;
        if self.steps > AUTHENTICATION_STEPS { Verdict::Refused } else { self.exchange.step(now, data) }
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof").field("steps", &self.steps).finish_non_exhaustive()
    }
}
