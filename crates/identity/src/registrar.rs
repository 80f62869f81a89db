//! The façade: one per process that holds the store.

use crate::{
    authority::{
        Authority, Lifetimes, Role, ServerIdentity, Signers, SigningKey, Trust, fingerprint, inspect,
    },
    clock::{ClockGuard, ClockVerdict, WallTime},
    commands::{Command, Context},
    decide::{Clerk, bounded, check_free},
    events::AuthorityCertificates,
    files::{self, FileError},
    founding::found,
    groups::{GroupKeys, must_rotate},
    imported::{ImportedCertificate, ImportedIdentity},
    ledger::{AuditTrail, Ledger, LedgerError},
    limits,
    maintenance::Maintenance,
    names::ServerNames,
    opening::{InitOptions, OpenError, OpenOptions},
    outcome::Outcome,
    password::Pepper,
    pem,
    refusal::Refusal,
    registry::Registry,
    replay::replay,
    restore::{self, LedgerCopy, RevokedList},
    secret::Secret,
    server_keys::{self, CommandKey, PrivateKeys, ServerKeys},
    state::State,
    status::{CertificateStatus, IMPORTED_ROLE, Status},
    store::Store,
    trusted::LocalName,
    vault::{KeyFile, Vault, VaultError},
};
use group_keys::{load_group_keys, with_new_epochs};
use keyward_ids::{Identity, Kind};
use std::{collections::BTreeMap, path::Path, sync::Arc};

mod group_keys;

/// Holds the store of one installation.
pub struct Registrar {
    store: Store,
    ledger: Ledger,
    state: State,
    signers: Signers,
    pepper: Arc<Pepper>,
    group_keys: Arc<GroupKeys>,
    server: Arc<ServerIdentity>,
    vault: Vault,
    imported: BTreeMap<LocalName, ImportedIdentity>,
    private_keys: PrivateKeys,
    lifetimes: Lifetimes,
    build_time: WallTime,
    keys_sealed: bool,
    mended: Vec<String>,
}

impl Registrar {
    /// Tells whether an installation lies in `dir`.
    pub fn exists(dir: &Path) -> bool {
        Store::exists(dir)
    }

    /// Makes an installation in the existing private directory `dir` and holds it: two roots, their issuing
    /// authorities, the server's certificate. A crash on the way leaves nothing or all of it.
    ///
    /// # Errors
    /// [`OpenError`] if `dir` is not private, holds something that is in the way or cannot be written.
    pub fn create(dir: &Path, options: InitOptions<'_>) -> Result<Self, OpenError> {
        if let (false, ClockVerdict::BeforeBuild { build }) =
            (options.accept_clock, ClockGuard::default().judge(options.now, options.build_time))
        {
            return Err(OpenError::Clock { now: options.now, build });
        }
        let store = Store::hold(dir)?;
        found(&store.begin()?, &options)?;
        store.settle()?;
        let InitOptions { build_time, protection, lifetimes, .. } = options;
        Self::load(store, OpenOptions { build_time, protection, lifetimes })
    }

    /// Opens the installation in `dir` and holds it until dropped.
    ///
    /// # Errors
    /// [`OpenError`] if another process holds it, or if the ledger or a key cannot be read.
    pub fn open(dir: &Path, options: OpenOptions) -> Result<Self, OpenError> {
        let store = Store::hold(dir)?;
        if !Store::exists(dir) {
            return Err(OpenError::Missing(dir.to_owned()));
        }
        Self::load(store, options)
    }

    fn load(store: Store, options: OpenOptions) -> Result<Self, OpenError> {
        for dir in [store.ledger(), store.keys()] {
            files::check_private_dir(&dir)?;
        }
        let (ledger, mut mended) = Ledger::open(&store.ledger())?;
        let state = replay(&ledger, &mut mended)?;
        let mut vault = Vault::new(&store.keys(), options.protection)?;
        let signers = load_signers(&mut vault, &state)?;
        let pepper = vault.load(KeyFile::Pepper)?;
        let pepper: &[u8; Pepper::LEN] =
            pepper.as_slice().try_into().map_err(|_| VaultError::Malformed(vault.path(KeyFile::Pepper)))?;
        let group_keys = load_group_keys(&mut vault, &state, &mut mended);
        let server = server_identity(&state, &signers)?;
        export(&store, &state.authorities)?;
        let imported = load_imported(&mut vault, &state, &mut mended);
        let private_keys = server_keys::load(&mut vault, &state.server_keys, &mut mended);
        Ok(Self {
            pepper: Arc::new(Pepper::new(pepper)),
            group_keys: Arc::new(group_keys),
            server: Arc::new(server),
            lifetimes: options.lifetimes,
            build_time: options.build_time,
            keys_sealed: vault.is_sealed(),
            vault,
            imported,
            private_keys,
            store,
            ledger,
            state,
            signers,
            mended,
        })
    }

    /// Carries out one command. When it returns, what it says is on disk.
    ///
    /// Takes the time of two disk syncs; a chosen password costs tens of milliseconds more.
    ///
    /// # Errors
    /// [`Refusal`] says why nothing changed. A claim code that came with another key is written down, and refused.
    pub fn execute(&mut self, command: Command, context: Context<'_>) -> Result<Outcome, Refusal> {
        bounded("name of who gave the command", context.actor, limits::ACTOR_BYTES)?;
        let clerk = Clerk {
            state: &self.state,
            signers: &self.signers,
            pepper: &self.pepper,
            group_keys: &self.group_keys,
            lifetimes: self.lifetimes,
            build_time: self.build_time,
            now: context.now,
        };
        let mut decision = clerk.decide(command)?;
        let mut outcome = Outcome {
            revision: self.state.registry.revision(),
            changed: false,
            certificate: decision.certificate.take(),
            password: decision.password.take(),
            claim_code: decision.claim_code.take(),
            number: decision.number,
            server_certificate_changed: false,
            rotated_groups: Vec::new(),
            trust_changed: false,
        };
        if decision.events.is_empty() {
            return decision.refusal.map_or(Ok(outcome), Err);
        }
        // What cannot be applied must not be written; what is not written must not be seen.
        let mut draft = self.ledger.draft(context.now, context.actor, decision.events)?;
        let mut next = self.state.clone();
        next.apply(&draft.entry)?;
        outcome.rotated_groups = must_rotate(&self.state, &next, &draft.entry.events);
        if !outcome.rotated_groups.is_empty() {
            let events = with_new_epochs(&next.groups, &outcome.rotated_groups, draft.entry.events);
            draft = self.ledger.draft(context.now, context.actor, events)?;
            next = self.state.clone();
            next.apply(&draft.entry)?;
        }
        let group_keys = self.draw_group_keys(&draft.entry.events);
        for (file, private) in &decision.keys {
            // One that is kept and not written into the ledger is replaced by the next try, or lies unused.
            self.vault.store(*file, private.expose())?;
        }
        self.ledger.append(draft)?;
        if let Some(keys) = group_keys {
            self.settle_group_keys(keys, &next);
        }
        outcome.trust_changed = next.registry.trusted() != self.state.registry.trusted();
        let is_imported = next.imported != self.state.imported;
        outcome.server_certificate_changed =
            is_imported || next.server_certificate != self.state.server_certificate;
        let before = std::mem::replace(&mut self.state, next);
        if is_imported {
            self.settle_imported(&before);
        }
        if self.state.server_keys.files() != before.server_keys.files() {
            self.settle_server_keys(&before);
        }
        if outcome.server_certificate_changed {
            self.server = Arc::new(server_identity(&self.state, &self.signers)?);
        }
        outcome.changed = true;
        outcome.revision = self.state.registry.revision();
        decision.refusal.map_or(Ok(outcome), Err)
    }

    /// Reads the keys of the imported certificates that there are now, and deletes those that belong to none any more.
    fn settle_imported(&mut self, before: &State) {
        let mut trouble = Vec::new();
        self.imported = load_imported(&mut self.vault, &self.state, &mut trouble);
        let files = |state: &State| -> Vec<KeyFile> {
            state.imported.values().map(|certificate| KeyFile::Imported(certificate.key)).collect()
        };
        self.mended.extend(trouble);
        self.forget(files(before), &files(&self.state));
    }

    /// The same for the keys of the server that devices believe.
    fn settle_server_keys(&mut self, before: &State) {
        let mut trouble = Vec::new();
        self.private_keys = server_keys::load(&mut self.vault, &self.state.server_keys, &mut trouble);
        self.mended.extend(trouble);
        self.forget(before.server_keys.files(), &self.state.server_keys.files());
    }

    /// Deletes the key files that are used no more.
    fn forget(&mut self, before: Vec<KeyFile>, used: &[KeyFile]) {
        for file in before.into_iter().filter(|file| !used.contains(file)) {
            if let Err(error) = self.vault.forget(file) {
                let path = self.vault.path(file);
                self.mended.push(format!("{} could not be deleted: {error}", path.display()));
            }
        }
    }

    /// Returns what the ledger knows of the keys of the server that devices believe.
    pub fn server_keys(&self) -> &ServerKeys {
        &self.state.server_keys
    }

    /// Returns the private half of the installation key, a secret number of P-256, 32 bytes; none if there is none that can be read.
    pub fn installation_secret(&self) -> Option<&Secret> {
        self.private_keys.installation.as_ref()
    }

    /// Returns the key that signs commands at the time `now`, and its private half, likewise.
    pub fn command_secret(&self, now: WallTime) -> Option<(&CommandKey, &Secret)> {
        let key = self.state.server_keys.signing(now)?;
        Some((key, self.private_keys.commands.get(&key.key.kid())?))
    }

    /// Returns the certificates of this server that other authorities made.
    pub fn imported_certificates(&self) -> &BTreeMap<LocalName, ImportedCertificate> {
        &self.state.imported
    }

    /// Returns what a listener presents that is to show an imported certificate; `None` if there is none of this name, or its
    /// key cannot be read.
    pub fn imported_identity(&self, name: &LocalName) -> Option<&ImportedIdentity> {
        self.imported.get(name)
    }

    /// Returns where somebody works.
    pub fn maintenance(&self) -> &Maintenance {
        &self.state.maintenance
    }

    /// Returns the registry as it is now.
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.state.registry)
    }

    /// Returns what the server shows to clients now.
    pub fn server_identity(&self) -> Arc<ServerIdentity> {
        Arc::clone(&self.server)
    }

    /// Returns what the server accepts clients under.
    pub fn trust(&self) -> Trust {
        Trust {
            server_root: self.state.authorities.server_root.clone(),
            device_root: self.state.authorities.device_root.clone(),
            device_issuing: self.state.authorities.device_issuing.clone(),
            others: self.state.registry.trusted().clone(),
        }
    }

    /// Returns the key of generated passwords' hashes.
    pub fn pepper(&self) -> Arc<Pepper> {
        Arc::clone(&self.pepper)
    }

    /// Returns the server root as PEM: the trust anchor of bundles, the content of `DIR/ca.pem`.
    pub fn ca_pem(&self) -> String {
        ca_pem(&self.state.authorities)
    }

    /// Tells beforehand whether a device or user of this name could be added.
    ///
    /// # Errors
    /// [`Refusal`] if the name is reserved, the server's or taken.
    pub fn check_free(&self, identity: &Identity) -> Result<(), Refusal> {
        check_free(&self.state, identity)
    }

    /// Returns the names and addresses of the server.
    pub fn server_names(&self) -> &ServerNames {
        &self.state.server_names
    }

    /// Tells whether the server's certificate is past two thirds of its life: then ask for [`Command::RenewServer`].
    pub fn server_renewal_due(&self, now: WallTime) -> bool {
        self.server.is_due(now)
    }

    /// Judges the clock.
    pub fn clock(&self, now: WallTime) -> ClockVerdict {
        self.state.clock.judge(now, self.build_time)
    }

    /// Returns what there is to tell at the time `now`.
    pub fn status(&self, now: WallTime) -> Status {
        let registry = &self.state.registry;
        Status {
            installation: registry.installation().clone(),
            created: self.state.created,
            revision: registry.revision(),
            offline_keys_present: self.store.has_offline_keys(),
            keys_sealed: self.keys_sealed,
            ca_fingerprint: fingerprint(&self.state.authorities.server_root),
            certificates: self.certificates(),
            server_names: self.state.server_names.clone(),
            server_renewal_due: self.server_renewal_due(now),
            devices: registry.counts(Kind::Device),
            users: registry.counts(Kind::User),
            clock: self.clock(now),
            mended: self.mended.clone(),
        }
    }

    fn certificates(&self) -> Vec<CertificateStatus> {
        let authorities = Role::ALL
            .iter()
            .filter_map(|role| Some((role.title(), inspect(self.state.authorities.of(*role))?)));
        let imported = self.state.imported.iter().filter_map(|(name, certificate)| {
            Some((format!("{IMPORTED_ROLE}{name}"), inspect(&certificate.chain.first()?.0)?))
        });
        authorities
            .chain([("server", self.server.certificate.clone())])
            .map(|(role, record)| (role.to_owned(), record))
            .chain(imported)
            .map(|(role, record)| CertificateStatus {
                role,
                serial: record.serial,
                not_before: record.not_before,
                not_after: record.not_after,
            })
            .collect()
    }

    /// Reads the ledger from record `since` (from 1) on, checking it again on the way.
    ///
    /// # Errors
    /// [`LedgerError`] if the file cannot be opened.
    pub fn audit(&self, since: u64) -> Result<AuditTrail, LedgerError> {
        self.ledger.audit(since)
    }

    /// Returns the ledger as it is now, for a backup. It may be read while commands go on.
    ///
    /// # Errors
    /// [`LedgerError`] if the file cannot be opened.
    pub fn ledger_copy(&self) -> Result<LedgerCopy, LedgerError> {
        Ok(LedgerCopy {
            installation: self.state.registry.installation().clone(),
            records: self.ledger.end().sequence,
            len: self.ledger.end().offset,
            reader: self.ledger.copy()?,
        })
    }

    /// Returns what was taken away from the identities of this installation since it was made, complete until `now`.
    ///
    /// Reads the whole ledger.
    ///
    /// # Errors
    /// [`LedgerError`] if the ledger cannot be read.
    pub fn revoked(&self, now: WallTime) -> Result<RevokedList, LedgerError> {
        restore::revoked(self.ledger.audit(1)?, &self.state, now)
    }
}

fn load_signers(vault: &mut Vault, state: &State) -> Result<Signers, VaultError> {
    let server_key = load_key(vault, KeyFile::Server)?;
    if server_key.id() != state.server_key {
        return Err(VaultError::Stranger(vault.path(KeyFile::Server)));
    }
    let mut authority = |role: Role| {
        let file = KeyFile::Authority(role);
        let key = load_key(vault, file)?;
        Authority::new(state.authorities.of(role), key).ok_or_else(|| VaultError::Stranger(vault.path(file)))
    };
    Ok(Signers {
        server_issuing: authority(Role::ServerIssuing)?,
        device_issuing: authority(Role::DeviceIssuing)?,
        server_key,
    })
}

/// Reads the keys of imported certificates. One that cannot be read is told; its listener is not opened.
fn load_imported(
    vault: &mut Vault,
    state: &State,
    trouble: &mut Vec<String>,
) -> BTreeMap<LocalName, ImportedIdentity> {
    let mut imported = BTreeMap::new();
    for (name, certificate) in &state.imported {
        match vault.load(KeyFile::Imported(certificate.key)) {
            Ok(key) => {
                let chain = certificate.chain.iter().map(|der| der.0.clone()).collect();
                let identity = ImportedIdentity { chain, private_key: Secret::from_zeroizing(key) };
                imported.insert(name.clone(), identity);
            }
            Err(error) => trouble.push(format!("the key of the server certificate {name}: {error}")),
        }
    }
    imported
}

fn load_key(vault: &mut Vault, file: KeyFile) -> Result<SigningKey, VaultError> {
    let der = vault.load(file)?;
    SigningKey::from_pkcs8(&der).ok_or_else(|| VaultError::Malformed(vault.path(file)))
}

fn server_identity(state: &State, signers: &Signers) -> Result<ServerIdentity, LedgerError> {
    let missing = || LedgerError::Senseless {
        sequence: state.registry.revision(),
        what: "the server has no certificate".into(),
    };
    let certificate = state.server_certificate.as_ref().ok_or_else(missing)?;
    Ok(ServerIdentity {
        chain: vec![certificate.der.clone(), signers.server_issuing.der().to_vec()],
        private_key: signers.server_key.pkcs8().clone(),
        certificate: certificate.record.clone(),
        names: certificate.names.clone(),
    })
}

fn ca_pem(authorities: &AuthorityCertificates) -> String {
    pem::encode_chain([authorities.server_root.as_slice()])
}

/// Writes copies of the certificates for people and tools, where they are missing or differ.
fn export(store: &Store, authorities: &AuthorityCertificates) -> Result<(), FileError> {
    files::ensure_private_dir(&store.authority())?;
    let of = |role: Role| {
        let path = store.authority().join(format!("{}.pem", role.file()));
        (path, pem::encode_chain([authorities.of(role)]))
    };
    let copies = Role::ALL.map(of);
    for (path, text) in copies.into_iter().chain([(store.ca(), ca_pem(authorities))]) {
        let is_there =
            files::read_regular(&path, limits::SMALL_FILE_BYTES).is_ok_and(|old| old == text.as_bytes());
        if !is_there {
            files::replace(&path, text.as_bytes())?;
        }
    }
    Ok(())
}
