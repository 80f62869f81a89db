//! The ledger as people read it.

use super::Admin;
use crate::{
    control::{AuditRow, Refusal, RefusalCode, Response, limits::AUDIT_ROWS},
    escape::escape,
};
use keyward_identity::{Event, Exposure, Place, SecondHolderSign};
use keyward_ids::{Identity, SiteId};
use std::collections::VecDeque;

impl Admin {
    pub(super) fn audit(&self, last: Option<usize>) -> Result<Response, Refusal> {
        let wanted = last.unwrap_or(AUDIT_ROWS).min(AUDIT_ROWS);
        let failed = |error| Refusal::new(RefusalCode::Failed, error);
        let newest = self.registrar.registry().revision();
        let since = newest.saturating_sub(wanted as u64) + 1;
        let mut rows = VecDeque::new();
        for entry in self.registrar.audit(since).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let what: Vec<String> = entry.events.iter().map(describe).collect();
            rows.push_back(AuditRow {
                sequence: entry.sequence,
                at_unix_ms: entry.at.0,
                actor: escape(&entry.actor),
                what: what.join("; "),
            });
            if rows.len() > wanted {
                rows.pop_front();
            }
        }
        Ok(Response::Audit(rows.into()))
    }
}

fn placed(identity: &Identity, site: &Option<SiteId>, exposure: Option<Exposure>, place: &Place) -> String {
    let said = [
        ("site", site.as_ref().map(ToString::to_string)),
        ("exposure", exposure.map(|exposure| exposure.name().to_owned())),
        ("gateway", place.gateway.clone()),
        ("circuit", place.circuit.clone()),
        ("power", place.power.map(|power| power.name().to_owned())),
        ("interval", place.interval_secs.map(|secs| format!("{secs} s"))),
        ("fence", place.fence.map(|fence| fence.to_string())),
    ];
    let said = said.into_iter().filter_map(|(what, value)| Some(format!(", {what} {}", value?)));
    format!("place of {identity}{}", said.collect::<String>())
}

fn describe(event: &Event) -> String {
    match event {
        Event::Initialised { installation, .. } => format!("installation {installation} made"),
        Event::ServerNamesFound { names } => format!("{} server names found", names.len()),
        Event::ServerNameAdded { name } => format!("server name {name} added"),
        Event::ServerNameRemoved { name } => format!("server name {name} removed"),
        Event::ServerCertificateIssued { certificate, names, .. } => {
            format!("server certificate {} issued with {} names", certificate.serial, names.len())
        }
        Event::Added { identity, device_type, site, .. } => {
            let mut text = format!("{identity} added");
            for (what, name) in [
                ("type", device_type.as_ref().map(|t| t.as_str())),
                ("site", site.as_ref().map(|s| s.as_str())),
            ] {
                if let Some(name) = name {
                    text.push_str(&format!(", {what} {name}"));
                }
            }
            text
        }
        Event::Placed { identity, site, exposure, place } => placed(identity, site, *exposure, place),
        Event::MovedOnPurpose { identity, because } if because.is_empty() => {
            format!("{identity} moved on purpose")
        }
        Event::MovedOnPurpose { identity, because } => {
            format!("{identity} moved on purpose: {}", escape(because))
        }
        Event::MaintenanceBegun { scope, until, because } => {
            format!("maintenance of {} until {until}: {}", escape(scope), escape(because))
        }
        Event::MaintenanceEnded { scope } => format!("maintenance of {} ended", escape(scope)),
        Event::CertificateIssued { identity, certificate } => {
            format!(
                "certificate {} issued to {identity}, until {}",
                certificate.serial, certificate.not_after
            )
        }
        Event::Invited { identity, expires, endorsement, .. } => {
            let tpm = endorsement.map(|key| format!(" with the TPM {}", key.short())).unwrap_or_default();
            format!("claim code drawn for {identity}{tpm}, until {expires}")
        }
        Event::Uninvited { identity } => format!("claim code of {identity} voided"),
        Event::Claimed { identity, key, .. } => {
            format!("claim code of {identity} used for the key {}", key.short())
        }
        Event::ClaimConflicted { identity, key: Some(key) } => format!(
            "claim-conflict: the claim code of {identity} came with the key {}, for which it is not good",
            key.short()
        ),
        Event::ClaimConflicted { identity, key: None } => {
            format!("claim-conflict: the used claim code of {identity} came again after its hour")
        }
        Event::CertificateWithdrawn { identity, serial, .. } => {
            format!("certificate {serial} taken from {identity}")
        }
        Event::PasswordSet { identity, record, exposed } if record.is_imported() => {
            let exposed = if *exposed { "; it may have been read on the network" } else { "" };
            format!("{identity} got a password, imported by its hash{exposed}")
        }
        Event::PasswordSet { identity, .. } => format!("{identity} got a password"),
        Event::PasswordRehashed { identity, .. } => format!("imported password of {identity} hashed anew"),
        Event::MarkedPlain { identity } => format!("{identity} marked plain"),
        Event::UnmarkedPlain { identity } => format!("{identity} not marked plain any more"),
        Event::PasswordWithdrawn { identity } => format!("password taken from {identity}"),
        Event::MessageKeyRegistered { identity, key, endorsement } => {
            let (kid, algorithm, level) = (key.kid(), key.algorithm().name(), key.level());
            let by = endorsement.as_ref().map(|by| format!(", the TPM {} vouches for it", by.key.short()));
            let by = by.unwrap_or_default();
            format!("message key {kid} ({algorithm}, level {level}{by}) registered for {identity}")
        }
        Event::AgreementKeyRegistered { identity, key } => {
            format!("key {} registered, to which is encrypted for {identity}", key.kid())
        }
        Event::MessageKeyAwaits { identity, kid, serial } => {
            format!(
                "key {kid} of {identity} takes the place of those before it when the certificate {serial} is used"
            )
        }
        Event::MessageKeyRetired { identity, kid, until } => {
            format!("message key {kid} of {identity} used until {until} only")
        }
        Event::MessageKeyWithdrawn { identity, kid } => format!("message key {kid} taken from {identity}"),
        Event::SecondHolderFound { identity, kid, evidence } => {
            let how = match evidence.sign {
                SecondHolderSign::Equivocation { .. } => "has two messages",
                SecondHolderSign::Behind => "is far behind the newest",
            };
            format!(
                "equivocation: two hold the message key {kid} of {identity}, or it has lost count: the number {} {how}",
                evidence.number
            )
        }
        Event::InstallationKeyMade { key } => format!("installation key {} made", key.kid()),
        Event::CommandKeyMade { key, signs_from } => {
            format!("command key {} made, signs from {signs_from}", key.kid())
        }
        Event::CommandKeyRetired { kid, until } => format!("command key {kid} leaves the key set at {until}"),
        Event::CommandKeyRemoved { kid } => format!("command key {kid} deleted"),
        Event::KeySetSigned { version, kids, .. } => {
            format!("key set {version} signed, with {} command keys", kids.len())
        }
        Event::CommandSigned { identity, topic, kid, number } => {
            format!("command {number} to {identity} on '{}' signed by {kid}", escape(topic))
        }
        Event::GroupMessageSigned { group, epoch, topic, kid, number } => {
            let topic = escape(topic);
            format!("command {number} to the group {group}, key {epoch}, on '{topic}' signed by {kid}")
        }
        Event::CommandNumbersReserved { count, .. } => format!("{count} numbers set aside for grants"),
        Event::GroupCreated { group, epoch } => format!("group {group} made, key {epoch}"),
        Event::GroupMemberAdded { group, identity } => format!("{identity} added to the group {group}"),
        Event::GroupMemberRemoved { group, identity } => format!("{identity} taken out of the group {group}"),
        Event::GroupRotated { group, epoch } => format!("group {group} got another key, {epoch}"),
        Event::GroupEpochsEnded { group, before } => {
            format!("keys of the group {group} before {before} forgotten")
        }
        Event::GroupKeyShown { group, epoch } => format!("key {epoch} of the group {group} handed out"),
        Event::GroupDeleted { group } => format!("group {group} deleted"),
        Event::ServerCertificateImported { name, certificate } => {
            format!("server certificate {name} imported, ends {}", certificate.not_after)
        }
        Event::ServerCertificateRemoved { name } => format!("imported server certificate {name} removed"),
        Event::AuthorityTrusted { name, certificates, .. } => {
            format!("authority {name} trusted for clients ({} certificates)", certificates.len())
        }
        Event::AuthorityRevocationsSet { name, .. } => format!("list of the authority {name} replaced"),
        Event::AuthorityConfirmed { name } => format!("authority {name} confirmed"),
        Event::AuthorityDistrusted { name } => format!("authority {name} trusted no longer"),
        Event::NameBound { identity, bound } => {
            format!(
                "'{}' of the authority {} stands for {identity}",
                escape(&bound.common_name),
                bound.authority
            )
        }
        Event::NameUnbound { identity, authority, common_name } => {
            format!("'{}' of the authority {authority} stands for {identity} no longer", escape(common_name))
        }
        Event::Disabled { identity } => format!("{identity} disabled"),
        Event::Enabled { identity } => format!("{identity} enabled"),
        Event::Quarantined { identity, by, because } => {
            format!("{identity} put into quarantine by the {}: {}", by.name(), escape(because))
        }
        Event::Released { identity } => format!("{identity} released from quarantine"),
        Event::Revoked { identity, keep_messages, publish_will } => {
            let kept = if *keep_messages { ", its messages are still delivered" } else { "" };
            let will = if *publish_will { ", its will is published" } else { "" };
            format!("{identity} revoked{kept}{will}")
        }
        Event::Removed { identity } => format!("{identity} removed"),
        Event::KeyReleased { key, holder } => format!("key {} of {holder} released", key.short()),
        Event::Restored { taken, known_until, unconfirmed, .. } => {
            let doubt = match unconfirmed {
                true => format!(", known to {known_until}; who could act is to be confirmed"),
                false => String::new(),
            };
            format!("ledger restored from a backup of {taken}{doubt}")
        }
        Event::Unconfirmed { identity } => format!("{identity} disabled until it is confirmed"),
        Event::Confirmed { identity } => format!("{identity} confirmed"),
        Event::AllConfirmed => "all confirmed that were not since a restore".to_owned(),
        Event::ClockAccepted { clock } => format!("clock accepted at {clock}"),
        Event::ConfigChanged { summary } => escape(summary),
    }
}
