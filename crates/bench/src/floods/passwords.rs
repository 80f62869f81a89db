//! CONNECTs with chosen passwords, which are slow to check on purpose: the right one, a wrong one, and names that
//! nobody has.

use super::Flood;
use super::scene::{Attacker, FIRST_ADDRESS, Tally};
use crate::codec::{self, Connect, Version};
use crate::error::BenchError;
use crate::stage::User;

pub(super) const FLOOD: Flood = Flood {
    name: "passwords",
    what: "CONNECTs from eight addresses with chosen passwords: right, wrong, and of nobody",
    may_grow: (64 + 19) * 1024 * 1024,
    because: "`pending_bytes` and 19 MiB of Argon2id for each of `password_threads`",
    offender: &["login failed", FIRST_ADDRESS],
    enough: 200,
    attack,
};

/// Whose password is guessed.
pub(super) const GUESSED: User =
    User { name: "anna", topics: &["anna/#"], chosen: Some("correct horse battery") };

fn attack(attacker: &Attacker) -> Result<Tally, BenchError> {
    attacker.besiege(attacker.plain.access.address, |number| {
        let (client_id, nobody) = (format!("guess{number}"), format!("nobody{number}"));
        let login = match number % 3 {
            0 => (GUESSED.name, GUESSED.chosen.unwrap_or_default()),
            1 => (GUESSED.name, "incorrect horse battery"),
            _ => (nobody.as_str(), "battery horse"),
        };
        let mut out = Vec::new();
        let connect = Connect { client_id: &client_id, clean: true, expiry_secs: 0, login: Some(login) };
        codec::connect(&mut out, Version::V5, connect);
        out
    })
}
