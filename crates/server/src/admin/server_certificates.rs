//! Certificates of this server that other authorities made.

use super::{Admin, Turn, accounts::bad_name};
use crate::{
    control::{Refusal, RefusalCode, Response, ServerCertificateImport, ServerCertificateRow},
    plane::check_certificate,
};
use keyward_identity::{Command, ImportedCertificate, LocalName, Secret, WallTime, read_private_key};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

impl Turn<'_> {
    pub(super) fn import_server_certificate(
        &mut self,
        import: ServerCertificateImport,
    ) -> Result<Response, Refusal> {
        let name = parse(&import.name)?;
        let key = check_server_certificate(&import.chain.0, import.key.expose().as_bytes(), self.now)?;
        self.command(Command::ImportServerCertificate { name, chain: import.chain.0, key })?;
        self.admin.server_certificates()
    }

    pub(super) fn remove_server_certificate(&mut self, name: &str) -> Result<Response, Refusal> {
        let name = parse(name)?;
        if let Some(listener) = self.admin.shown_by(&name)?.first() {
            let what = format!(
                "listener {listener} shows the server certificate {name}; take the key server_certificate out of \
                 keyward.toml first, then: keyward reload"
            );
            return Err(Refusal::new(RefusalCode::Conflict, what));
        }
        let what = format!("The server certificate {name} is removed, and its key deleted.");
        let (_, in_force) = self.command(Command::RemoveServerCertificate { name })?;
        Ok(Response::Changed(self.changed(what, in_force, Vec::new())))
    }
}

impl Admin {
    pub(super) fn server_certificates(&self) -> Result<Response, Refusal> {
        let mut rows = Vec::new();
        for (name, certificate) in self.registrar.imported_certificates() {
            rows.push(ServerCertificateRow {
                name: name.to_string(),
                subject: certificate.subject(),
                fingerprint: certificate.fingerprint(),
                expires_unix_ms: certificate.not_after.0,
                usable: self.registrar.imported_identity(name).is_some(),
                listeners: self.shown_by(name)?,
            });
        }
        Ok(Response::ServerCertificates(rows))
    }

    /// Returns the names of the listeners that show a certificate, or would after the next start.
    fn shown_by(&self, name: &LocalName) -> Result<Vec<String>, Refusal> {
        let config = self.config()?;
        let shows =
            config.listeners.iter().filter(|listener| listener.server_certificate.as_ref() == Some(name));
        Ok(shows.map(|listener| listener.name.clone()).collect())
    }
}

fn parse(name: &str) -> Result<LocalName, Refusal> {
    name.parse().map_err(|error| bad_name("server certificate", name, &error))
}

/// Tells whether a certificate with its issuers, the server's first, and its private key, both PEM, can be imported at
/// this time; returns the key in DER.
///
/// # Errors
/// [`Refusal`] says what is wrong with them: unreadable, ended, encrypted, or not of one another.
pub fn check_server_certificate(chain: &[u8], key: &[u8], now: WallTime) -> Result<Secret, Refusal> {
    let certificate = ImportedCertificate::read(chain, now).map_err(Refusal::invalid)?;
    let key = read_private_key(key).map_err(Refusal::invalid)?;
    check(&certificate, &key)?;
    Ok(key)
}

/// Refuses what TLS cannot show: it would be accepted here, and no listener would open.
fn check(certificate: &ImportedCertificate, key: &Secret) -> Result<(), Refusal> {
    let chain = certificate.chain.iter().map(|der| CertificateDer::from(der.0.clone())).collect();
    let key = PrivateKeyDer::try_from(key.expose().to_vec()).map_err(|_| {
        Refusal::invalid("the private key is of no kind that TLS can use (RSA, ECDSA, Ed25519)")
    })?;
    check_certificate(chain, key).map_err(Refusal::invalid)
}
