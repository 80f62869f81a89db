//! What a command would do: events, and what is handed out once they are on disk. Nothing is changed here.

mod accounts;
mod credentials;
mod enrolment;
mod groups;
mod message_keys;
mod places;
mod quarantine;
mod renewal;
mod server;
mod server_keys;
mod trusted;

pub(crate) use accounts::check_free;

use crate::{
    authority::{Lifetimes, Signers, SigningError},
    clock::{ClockVerdict, WallTime},
    commands::Command,
    events::Event,
    groups::GroupKeys,
    invitation::ClaimCode,
    limits,
    outcome::IssuedCertificate,
    password::Pepper,
    refusal::Refusal,
    secret::Secret,
    state::State,
    vault::KeyFile,
};

/// Holds everything that a decision rests on.
pub(crate) struct Clerk<'a> {
    pub(crate) state: &'a State,
    pub(crate) signers: &'a Signers,
    pub(crate) pepper: &'a Pepper,
    pub(crate) group_keys: &'a GroupKeys,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) build_time: WallTime,
    pub(crate) now: WallTime,
}

/// Holds what a command does. Without events it does nothing.
#[derive(Default)]
pub(crate) struct Decision {
    pub(crate) events: Vec<Event>,
    pub(crate) certificate: Option<IssuedCertificate>,
    pub(crate) password: Option<Secret>,
    pub(crate) claim_code: Option<ClaimCode>,
    /// Keys that are to be kept before the events are written.
    pub(crate) keys: Vec<(KeyFile, Secret)>,
    /// The first of the numbers that are given.
    pub(crate) number: Option<u64>,
    /// Why what was asked for is refused; the events say what is written down of it.
    pub(crate) refusal: Option<Refusal>,
}

impl From<Event> for Decision {
    fn from(event: Event) -> Self {
        Self { events: vec![event], ..Self::default() }
    }
}

impl Decision {
    fn nothing() -> Self {
        Self::default()
    }
}

impl Clerk<'_> {
    /// Decides one command.
    pub(crate) fn decide(&self, command: Command) -> Result<Decision, Refusal> {
        match command {
            Command::AddDevice(device) => self.add_device(device),
            Command::AddUser(user) => self.add_user(user),
            Command::Place { identity, site, exposure, place } => self.place(identity, site, exposure, place),
            Command::NoteMove { identity, because } => self.note_move(identity, because),
            Command::BeginMaintenance { scope, seconds, because } => {
                self.begin_maintenance(scope, seconds, because)
            }
            Command::EndMaintenance { scope } => self.end_maintenance(scope),
            Command::Disable { identity } => self.disable(identity),
            Command::Enable { identity } => self.enable(identity),
            Command::Quarantine { identity, by, because } => self.quarantine(identity, by, because),
            Command::Release { identity } => self.release(identity),
            Command::Confirm { identity } => self.confirm(identity),
            Command::ConfirmAll => Ok(self.confirm_all()),
            Command::Revoke { identity, keep_messages, publish_will } => {
                self.revoke(identity, keep_messages, publish_will)
            }
            Command::Remove { identity } => self.remove(identity),
            Command::SetPassword { identity, password } => self.set_password(identity, &password),
            Command::RehashPasswords { rehashes } => self.rehash_passwords(rehashes),
            Command::WithdrawPassword { identity } => self.withdraw_password(identity),
            Command::MarkPlain { identity, plain } => self.mark_plain(identity, plain),
            Command::AddCertificate { identity, key, lifetime_days, replace } => {
                let mut decision = self.add_certificate(&identity, &key, lifetime_days, replace)?;
                if replace {
                    decision.events.extend(self.keys_of_unused(&identity)?);
                }
                Ok(decision)
            }
            Command::RegisterMessageKey { identity, key } => self.register_message_key(identity, key),
            Command::RegisterAgreementKey { identity, key } => self.register_agreement_key(identity, key),
            Command::RetireMessageKey { identity, kid, overlap_secs } => {
                self.retire_message_key(identity, kid, overlap_secs)
            }
            Command::WithdrawMessageKey { identity, kid } => self.withdraw_message_key(identity, kid),
            Command::Rekey { id, with } => self.rekey(id, with),
            Command::NoteSecondHolder { identity, kid, evidence, quarantine } => {
                self.note_second_holder(identity, kid, evidence, quarantine)
            }
            Command::KeepServerKeys => self.keep_server_keys(),
            Command::RotateCommandKey { lead_secs, overlap_secs } => {
                self.rotate_command_key(lead_secs, overlap_secs)
            }
            Command::KeepKeySet { version, expires, message } => self.keep_key_set(version, expires, message),
            Command::SignCommand { identity, topic } => self.sign_command(identity, topic),
            Command::SignGroupMessage { group, topic } => self.sign_group_message(&group, topic),
            Command::ReserveNumbers { count } => self.reserve_numbers(count),
            Command::CreateGroup { group } => self.create_group(group),
            Command::DeleteGroup { group } => self.delete_group(&group),
            Command::AddToGroup { group, identities } => self.add_to_group(&group, &identities),
            Command::RemoveFromGroup { group, identities } => self.remove_from_group(&group, &identities),
            Command::RotateGroup { group } => self.rotate_group(&group),
            Command::KeepGroups(ages) => self.keep_groups(ages),
            Command::ShowGroupKey { group, epoch } => self.show_group_key(&group, epoch),
            Command::Invite { id, seconds, replace, endorsement } => {
                self.invite(id, seconds, replace, endorsement)
            }
            Command::Uninvite { id } => self.uninvite(id),
            Command::Claim(claim) => self.claim(claim),
            Command::Renew(renewal) => self.renew(renewal),
            Command::Succeed { identity, serial, overlap_secs } => {
                Ok(self.succeed(&identity, &serial, overlap_secs))
            }
            Command::TrustAuthority { name, proves, certificates, revocations } => {
                self.trust_authority(name, proves, &certificates, revocations.as_deref())
            }
            Command::SetRevocations { name, revocations } => self.set_revocations(name, &revocations),
            Command::ConfirmAuthority { name } => self.confirm_authority(name),
            Command::DistrustAuthority { name } => self.distrust_authority(name),
            Command::BindName { identity, name, common_name, certificate } => {
                self.bind_name(identity, name, common_name, certificate.as_deref())
            }
            Command::UnbindName { name, common_name } => self.unbind_name(name, &common_name),
            Command::ReleaseKey { key } => self.release_key(key),
            Command::AddServerName { name } => self.add_server_name(name),
            Command::RemoveServerName { name } => self.remove_server_name(name),
            Command::FindServerNames { names } => self.find_server_names(names),
            Command::ImportServerCertificate { name, chain, key } => {
                self.import_server_certificate(name, &chain, key)
            }
            Command::RemoveServerCertificate { name } => self.remove_server_certificate(name),
            Command::RenewServer => self.renew_server(&self.state.server_names),
            Command::AcceptClock => Ok(self.accept_clock()),
            Command::NoteConfigChange { summary } => {
                bounded("note on the change", &summary, limits::CONFIG_NOTE_BYTES)?;
                Ok(Event::ConfigChanged { summary }.into())
            }
        }
    }

    fn accept_clock(&self) -> Decision {
        match self.state.clock.judge(self.now, self.build_time) {
            ClockVerdict::Plausible => Decision::nothing(),
            _ => Event::ClockAccepted { clock: self.now }.into(),
        }
    }

    /// Refuses to date a certificate by a clock that cannot be right.
    fn check_clock(&self) -> Result<(), Refusal> {
        match self.state.clock.judge(self.now, self.build_time) {
            ClockVerdict::Plausible => Ok(()),
            verdict => Err(Refusal::Clock { now: self.now, verdict }),
        }
    }
}

/// Refuses a text that is longer than `max` bytes.
pub(crate) fn bounded(what: &'static str, text: &str, max: usize) -> Result<(), Refusal> {
    if text.len() > max {
        return Err(Refusal::TooLong { what, len: text.len(), max });
    }
    Ok(())
}

impl From<SigningError> for Refusal {
    fn from(error: SigningError) -> Self {
        match error {
            SigningError::Expired(not_after) => Self::AuthorityExpired { not_after },
            SigningError::NoRandomness(error) => error.into(),
            SigningError::Encoding(error) => Self::Signing(error.to_string()),
        }
    }
}
