//! How an installation is.

use super::Admin;
use crate::{
    container,
    control::{Health, Refusal, Response},
    installation::wall_time,
    plane::Vitals,
    status::{CertificateRow, ClockState, Status},
    store,
};
use keyward_identity::{ClockVerdict, Standing};
use std::time::Duration;

/// Certificates that end sooner than this are counted and warned of.
const SOON: Duration = Duration::from_secs(30 * 86_400);

impl Admin {
    /// Returns how the installation is; what cannot be read becomes a warning, for this answer must always come.
    pub(crate) fn status(&self) -> Status {
        let now = wall_time();
        let known = self.registrar.status(now);
        let registry = self.registrar.registry();
        let mut warnings = known.mended.clone();
        let config = self.config().unwrap_or_else(|refusal| {
            warnings.push(refusal.what);
            crate::config::Config::default()
        });
        if let Err(refusal) = self.policy() {
            warnings.push(refusal.what);
        }
        warnings.extend(self.plain_warnings(&config));
        let ending = now.after(SOON);
        let device_certificates_ending = registry
            .accounts()
            .filter(|account| account.standing == Standing::Active)
            .flat_map(|account| &account.certificates)
            .filter(|certificate| certificate.not_after < ending)
            .count();
        for certificate in known.certificates.iter().filter(|certificate| certificate.not_after < ending) {
            warnings.push(format!("the {} certificate ends on {}", certificate.role, certificate.not_after));
        }
        warnings.extend(self.quarantining.warning());
        warnings.extend(self.incidents());
        warnings.extend(self.calls());
        warnings.extend(self.notify_warnings());
        warnings.extend(self.restore_warning());
        warnings.extend(self.import_warning());
        warnings.extend(self.unnamed_warning());
        let running = self.running.as_ref().map(|running| running.live.status());
        warnings.extend(running.iter().filter_map(|running| running.storage.warning()).map(str::to_owned));
        warnings.extend(self.damaged_stores());
        let offline = self.home.offline_dir();
        Status {
            home: self.home.directory().display().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            installation: known.installation.to_string(),
            listeners: self.listener_rows(&config),
            names: self.registrar.server_identity().names.iter().map(ToString::to_string).collect(),
            ca_pem: self.home.ca_pem().display().to_string(),
            ca_fingerprint: known.ca_fingerprint,
            devices: known.devices.existing(),
            devices_shut_out: known.devices.existing() - known.devices.active,
            devices_quarantined: known.devices.quarantined,
            users: known.users.existing(),
            marked_plain: self.marked_plain(),
            certificates: known
                .certificates
                .iter()
                .map(|c| CertificateRow { what: c.role.to_owned(), expires_unix_ms: c.not_after.0 })
                .collect(),
            device_certificates_ending,
            clock: clock_state(known.clock),
            offline_folder: known.offline_keys_present.then(|| offline.display().to_string()),
            warnings,
            running,
        }
    }
}

impl Admin {
    /// Tells who in the running broker does not answer.
    pub(super) fn health(&self) -> Result<Response, Refusal> {
        let Some(running) = &self.running else {
            return Err(super::needs_running("there is no health to ask for"));
        };
        let Vitals { silent, disk } = running.live.vitals();
        let disk_waits_secs = disk.map(|waits| waits.as_secs());
        Ok(Response::Health(Health { healthy: silent.is_empty(), silent, disk_waits_secs }))
    }

    /// Says that a restore shut devices and users out, and what lets them in.
    fn restore_warning(&self) -> Option<String> {
        let registry = self.registrar.registry();
        let restored = registry.accounts().filter_map(|account| match account.standing {
            Standing::Unconfirmed { restored } => Some(restored),
            _ => None,
        });
        let (count, newest) =
            restored.fold((0, None), |(count, newest), at| (count + 1, newest.max(Some(at))));
        newest.map(|newest| {
            format!(
                "{count} devices and users are disabled: not confirmed since the restore of {newest}, for nothing told \
                 what was revoked, removed or replaced before it; revoke those that were, then run: keyward store \
                 confirm --all"
            )
        })
    }

    /// Says that an import did not come to its end.
    fn import_warning(&self) -> Option<String> {
        self.home.is_imported_in_part().then(|| {
            "an import was begun here and has not ended, so part of what it brings is there: if it is not at work now, give the              same import again, which finishes it, or take it back: keyward import undo"
                .to_owned()
        })
    }

    /// Says that a broker in a container has to be named.
    fn unnamed_warning(&self) -> Option<String> {
        (container::is_here() && !self.is_named()).then(|| {
            "nobody has named this broker, and the name and addresses of a container mean nothing outside of it: set \
             KEYWARD_NAMES to the names and addresses by which clients reach the host (KEYWARD_NAMES=mqtt.home,192.168.1.10), \
             or run: keyward server name add NAME"
                .to_owned()
        })
    }

    /// Names the message stores that were set aside.
    fn damaged_stores(&self) -> impl Iterator<Item = String> {
        let aside = store::set_aside_in(&self.home);
        aside.into_iter().map(|path| {
            format!(
                "a damaged message store was set aside: {}; delete it when it is of no use. {}",
                path.display(),
                store::remedy(&self.home)
            )
        })
    }
}

fn clock_state(verdict: ClockVerdict) -> ClockState {
    let why = match verdict {
        ClockVerdict::Plausible => return ClockState::Trusted,
        ClockVerdict::BeforeBuild { build } => format!("the clock is before this program was made ({build})"),
        ClockVerdict::BeforeLedger { newest } => {
            format!("the clock is before the newest time in the ledger ({newest})")
        }
    };
    let remedy = "no certificate is issued: set the clock, or run: keyward clock accept";
    ClockState::Doubted { why: format!("{why}: {remedy}") }
}
