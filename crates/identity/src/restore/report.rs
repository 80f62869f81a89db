//! What a restore found and did, for the operator.

use crate::{clock::WallTime, events::Event, trusted::LocalName};
use keyward_ids::{Identity, InstallationId};
use std::fmt;

/// Says what becomes of the ledger. Printed as sentences, a line each, with what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whose ledger it is.
    pub installation: InstallationId,
    /// When the backup was taken.
    pub taken: WallTime,
    /// The number of the last record in the backup.
    pub backup_records: u64,
    /// What the old ledger was good for.
    pub old_ledger: OldLedger,
    /// How much is taken away again.
    pub applied: Applied,
    /// Identities in a list written by hand that the restored ledger does not know, at most [`Report::STRANGERS`]: was a
    /// name mistyped?
    pub strangers: Vec<Identity>,
    /// Authorities of others whose newest list of revoked certificates is known to exist and is not at hand.
    pub outdated: Vec<LocalName>,
    /// Authorities of others that are trusted: none of them is used until it is confirmed, whatever is known.
    pub authorities: Vec<LocalName>,
    /// The time from which and to which it is not known what was taken away; `None` if it is known to now.
    pub unknown: Option<(WallTime, WallTime)>,
    /// How many identities start unconfirmed.
    pub unconfirmed: usize,
    /// How many claim codes could have been used still, and are void.
    pub void_codes: usize,
}

impl Report {
    /// So many strangers are named.
    pub const STRANGERS: usize = 8;
}

/// Says what the old ledger was good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldLedger {
    /// There was none.
    Absent,
    /// Nothing in it could be read.
    Unreadable,
    /// It ends before the backup does: nothing in it is news.
    Older,
    /// It was read to its end: nothing since the backup is lost.
    Whole {
        /// The number of its last record.
        records: u64,
    },
    /// It is damaged.
    Damaged {
        /// The last record before the damage: up to here nothing is lost.
        records: u64,
        /// How many records behind the damage were read for what was taken away.
        salvaged: u64,
    },
}

/// Counts what was taken away again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// Identities revoked.
    pub revoked: usize,
    /// Identities removed.
    pub removed: usize,
    /// Identities disabled.
    pub disabled: usize,
    /// Passwords taken away.
    pub passwords: usize,
    /// Certificates taken away.
    pub certificates: usize,
    /// Message keys taken away, or accepted for a while only.
    pub message_keys: usize,
    /// Members taken out of groups.
    pub memberships: usize,
    /// Devices put into quarantine.
    pub quarantined: usize,
    /// Marks `plain` set or cleared.
    pub marks: usize,
    /// Common names that stand for nobody any more.
    pub names: usize,
    /// Authorities of others that are trusted no more.
    pub authorities: usize,
    /// Authorities of others that got their newer list of revoked certificates.
    pub lists: usize,
}

impl Applied {
    pub(super) fn count(&mut self, event: &Event) {
        match event {
            Event::Revoked { .. } => self.revoked += 1,
            Event::Removed { .. } => self.removed += 1,
            Event::Disabled { .. } => self.disabled += 1,
            Event::PasswordWithdrawn { .. } => self.passwords += 1,
            Event::CertificateWithdrawn { .. } => self.certificates += 1,
            Event::MessageKeyWithdrawn { .. } | Event::MessageKeyRetired { .. } => self.message_keys += 1,
            Event::GroupMemberRemoved { .. } => self.memberships += 1,
            Event::Quarantined { .. } => self.quarantined += 1,
            Event::MarkedPlain { .. } | Event::UnmarkedPlain { .. } => self.marks += 1,
            Event::NameUnbound { .. } => self.names += 1,
            Event::AuthorityDistrusted { .. } => self.authorities += 1,
            Event::AuthorityRevocationsSet { .. } => self.lists += 1,
            _ => {}
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.revoked += other.revoked;
        self.removed += other.removed;
        self.disabled += other.disabled;
        self.passwords += other.passwords;
        self.certificates += other.certificates;
        self.message_keys += other.message_keys;
        self.memberships += other.memberships;
        self.quarantined += other.quarantined;
        self.marks += other.marks;
        self.names += other.names;
        self.authorities += other.authorities;
        self.lists += other.lists;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { installation, taken, backup_records, .. } = self;
        writeln!(
            f,
            "The ledger of installation {installation}, from a backup of {taken} with {backup_records} records."
        )?;
        writeln!(f, "{}", self.old_ledger)?;
        let Applied { revoked, removed, disabled, passwords, certificates, marks, .. } = self.applied;
        let Applied { names, authorities, lists, .. } = self.applied;
        if self.applied != Applied::default() {
            writeln!(
                f,
                "Taken away again: {revoked} revoked, {removed} removed, {disabled} disabled; passwords {passwords}, \
                 certificates {certificates}. Who lost a password or certificate needs a new one."
            )?;
        }
        if self.applied.message_keys > 0 {
            writeln!(f, "Message keys withdrawn or retired as before: {}.", self.applied.message_keys)?;
        }
        if self.applied.memberships > 0 {
            writeln!(f, "Members taken out of groups as before: {}.", self.applied.memberships)?;
        }
        if self.applied.quarantined > 0 {
            writeln!(f, "Put back into quarantine: {}.", self.applied.quarantined)?;
        }
        if marks > 0 {
            writeln!(f, "Marks \"plain\" set or cleared as before: {marks}.")?;
        }
        if names + authorities + lists > 0 {
            writeln!(
                f,
                "Of other authorities, taken away again: {authorities} removed, {names} names unbound, {lists} with their \
                 newer list of revoked certificates."
            )?;
        }
        for name in &self.outdated {
            writeln!(
                f,
                "The authority {name} had a newer list of revoked certificates, which is not at hand: give it the newest, \
                 keyward authority trust crl {name} --crl FILE, before you confirm the authority. Confirmed without it, it lets in \
                 whom that list shut out."
            )?;
        }
        for name in &self.authorities {
            writeln!(
                f,
                "No certificate of the authority {name} is accepted until you run: keyward authority trust confirm {name}"
            )?;
        }
        if !self.strangers.is_empty() {
            let names: Vec<String> = self.strangers.iter().map(ToString::to_string).collect();
            writeln!(
                f,
                "The list names identities that the restored ledger does not know; is a name mistyped? {}",
                names.join(", ")
            )?;
        }
        if self.void_codes > 0 {
            writeln!(
                f,
                "Claim codes that were open and are void now, for they may have been used since: {}. Draw new ones: keyward \
                 device invite ID.",
                self.void_codes
            )?;
        }
        match &self.unknown {
            Some((from, to)) => writeln!(
                f,
                "Not known: what was revoked, removed, disabled or replaced from {from} to {to}. So {} devices and users \
                 start disabled until they are confirmed: revoke those that were revoked, then run \
                 keyward store confirm --all. What was added from {from} on is unknown too, is refused, and must be added \
                 again.",
                self.unconfirmed
            ),
            None if self.outdated.is_empty() => {
                writeln!(f, "It is known to now what was taken away; nothing of it comes back.")
            }
            None => writeln!(
                f,
                "It is known to now what was taken away, but for what stands in the lists that are not at hand."
            ),
        }
    }
}

impl fmt::Display for OldLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("There is no old ledger."),
            Self::Unreadable => f.write_str("Nothing in the old ledger can be read."),
            Self::Older => f.write_str("The old ledger ends before the backup does; nothing in it is news."),
            Self::Whole { records } => {
                write!(f, "The old ledger is read to its end, record {records}: nothing in it is lost.")
            }
            Self::Damaged { records, salvaged } => write!(
                f,
                "The old ledger is damaged behind record {records}; so far nothing in it is lost, and {salvaged} records \
                 behind the damage were read for what they take away."
            ),
        }
    }
}
