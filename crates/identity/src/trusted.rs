//! Authorities of others whose client certificates open the door here, each only for identities that were bound to it.
//!
//! Whoever holds the key of such an authority can make certificates with any name. So a name in one of them means
//! nothing by itself: it stands for an identity only if an operator bound the two. What is here is only ever used to
//! check clients; it is never handed out as a trust anchor.

use crate::{authority::fingerprint, clock::WallTime, limits, pem, wire};
use keyward_ids::KeyId;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

/// Is the name by which an operator calls here what was made elsewhere, an authority or a server certificate; what is
/// written in it stays its own (a local name, as in RFC 2693). Lower-case letters, digits and `-`, beginning with a
/// letter, at most [`limits::LOCAL_NAME_BYTES`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LocalName(String);

/// Says that a text is no [`LocalName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no such name: it has 1 to {} lower-case letters, digits and '-', beginning with a letter",
    limits::LOCAL_NAME_BYTES
)]
pub struct LocalNameError;

impl LocalName {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LocalName {
    type Err = LocalNameError;

    fn from_str(text: &str) -> Result<Self, LocalNameError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = text.len() <= limits::LOCAL_NAME_BYTES
            && text.bytes().all(plain)
            && text.starts_with(|first: char| first.is_ascii_lowercase());
        if fits { Ok(Self(text.to_owned())) } else { Err(LocalNameError) }
    }
}

impl TryFrom<String> for LocalName {
    type Error = LocalNameError;

    fn try_from(text: String) -> Result<Self, LocalNameError> {
        text.parse()
    }
}

impl From<LocalName> for String {
    fn from(name: LocalName) -> Self {
        name.0
    }
}

impl fmt::Display for LocalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Says what a certificate of a trusted authority proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProvenBy {
    /// That the client is the identity that its common name is bound to.
    CommonName,
    /// Nothing but that it may knock: a password says who it is.
    None,
}

/// Holds an authority of others whose client certificates are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedAuthority {
    /// What its certificates prove.
    pub proves: ProvenBy,
    /// Its certificates, each a trust anchor.
    pub certificates: Vec<Der>,
    /// Its lists of revoked certificates, signed by it.
    pub revocations: Vec<Der>,
    /// Whether it may be used: not between a restore of the ledger and the word of an operator, because what was taken
    /// away since the backup is not known.
    pub confirmed: bool,
}

/// Binds a common name in certificates of a trusted authority to the account that holds this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundName {
    /// The authority.
    pub authority: LocalName,
    /// The common name, compared byte by byte.
    pub common_name: String,
    /// The one public key that is accepted; any, if absent.
    #[serde(with = "wire::optional_text", default)]
    pub key: Option<KeyId>,
}

/// Holds DER; base64 in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Der(#[serde(with = "wire::base64")] pub Vec<u8>);

/// Holds what a person wants to know of a trusted authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustSummary {
    /// When the first of its certificates ends.
    pub not_after: WallTime,
    /// How many certificates its lists revoke; `None` without a list.
    pub revoked: Option<usize>,
    /// When the first of its lists should have been replaced by a newer one.
    pub next_update: Option<WallTime>,
}

/// Says why certificates or lists are not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustRefusal {
    /// There are too many bytes.
    #[error("the {what} has {len} bytes; at most {max} are read")]
    TooLarge {
        /// Which file.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The bound in bytes.
        max: usize,
    },
    /// It cannot be read.
    #[error("the {what} holds nothing that can be read as one (PEM, or DER of a single one)")]
    Malformed {
        /// Which file.
        what: &'static str,
    },
    /// It holds a private key.
    #[error("the {what} holds a private key; hand over the certificates alone, and keep the key where it is")]
    HoldsPrivateKey {
        /// Which file.
        what: &'static str,
    },
    /// There are too many blocks.
    #[error("the {what} holds {count} certificates or lists, more than are read")]
    TooMany {
        /// Which file.
        what: &'static str,
        /// How many.
        count: usize,
    },
    /// A certificate is none of an authority.
    #[error("the certificate of '{subject}' is not one of an authority (no CA:TRUE): it can sign no clients")]
    NoAuthority {
        /// Its subject.
        subject: String,
    },
    /// A certificate of an authority is not for certifying clients.
    #[error("the certificate of '{subject}' cannot certify clients: {why}; nothing under it can be accepted")]
    Unfit {
        /// Its subject.
        subject: String,
        /// Why not.
        why: Unfit,
    },
    /// A certificate has ended.
    #[error("the certificate of '{subject}' ended {not_after}: nothing under it can be accepted")]
    Expired {
        /// Its subject.
        subject: String,
        /// When.
        not_after: WallTime,
    },
    /// It belongs to Keyward itself.
    #[error(
        "the certificate of '{subject}' is one of Keyward's own authorities, which are never handed to this command"
    )]
    Own {
        /// Its subject.
        subject: String,
    },
    /// Another trusted authority has this key.
    #[error("the key of '{subject}' is trusted already, as {name}")]
    Known {
        /// Its subject.
        subject: String,
        /// Under which name.
        name: LocalName,
    },
    /// A certificate has another common name than the one to be bound.
    #[error("the certificate of '{subject}' has another common name than the one that is to be bound")]
    OtherName {
        /// Its subject.
        subject: String,
    },
    /// A list is not signed by the authority.
    #[error("a list of revoked certificates is not signed by this authority")]
    StrangeList,
}

/// Says why the certificate of an authority cannot certify clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It may sign no certificates (RFC 5280, 4.2.1.3).
    #[error("its keyUsage has no keyCertSign")]
    SignsNoCertificates,
    /// It may be used for other things only (RFC 5280, 4.2.1.12; that the purposes of an authority limit those of what it
    /// certifies is what TLS libraries make of it).
    #[error("its extendedKeyUsage has no clientAuth")]
    NotForClients,
    /// It cannot be read, or says one of these twice.
    #[error("what it may be used for cannot be read")]
    Unreadable,
}

/// Tells whether what the certificate of an authority says of its use lets it certify clients. What it does not say is not
/// limited.
///
/// # Errors
/// [`Unfit`] says why not.
pub fn check_certifies_clients(certificate: &[u8]) -> Result<(), Unfit> {
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|_| Unfit::Unreadable)?;
    let usage = certificate.key_usage().map_err(|_| Unfit::Unreadable)?;
    let purposes = certificate.extended_key_usage().map_err(|_| Unfit::Unreadable)?;
    if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
        return Err(Unfit::SignsNoCertificates);
    }
    match purposes.is_none_or(|purposes| purposes.value.client_auth) {
        true => Ok(()),
        false => Err(Unfit::NotForClients),
    }
}

/// Tells whether a list of revoked certificates was signed with the key of this certificate, under its name. Both are DER; what
/// cannot be read has signed nothing.
pub fn certificate_has_signed(certificate: &[u8], list: &[u8]) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return false };
    let Ok((_, list)) = CertificateRevocationList::from_der(list) else { return false };
    certificate.subject().as_raw() == list.issuer().as_raw()
        && list.verify_signature(certificate.public_key()).is_ok()
}

/// Reads the certificates of an authority: PEM, or DER of a single one. All have to be of authorities.
fn read_authority(bytes: &[u8], now: WallTime) -> Result<Vec<Der>, TrustRefusal> {
    const WHAT: &str = "file of the authority";
    let certificates = read(WHAT, bytes, pem::CERTIFICATE, limits::TRUSTED_CERTIFICATE_BYTES)?;
    for Der(der) in &certificates {
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|_| TrustRefusal::Malformed { what: WHAT })?;
        let subject = subject(&certificate);
        let constraints = certificate.basic_constraints().ok().flatten();
        if !constraints.is_some_and(|constraints| constraints.value.ca) {
            return Err(TrustRefusal::NoAuthority { subject });
        }
        check_certifies_clients(der).map_err(|why| TrustRefusal::Unfit { subject: subject.clone(), why })?;
        let not_after = wall(certificate.validity().not_after.timestamp());
        if not_after < now {
            return Err(TrustRefusal::Expired { subject, not_after });
        }
    }
    Ok(certificates)
}

/// Reads lists of revoked certificates, each signed by one of `certificates`.
fn read_revocations(bytes: &[u8], certificates: &[Der]) -> Result<Vec<Der>, TrustRefusal> {
    const WHAT: &str = "list of revoked certificates";
    let lists = read(WHAT, bytes, "X509 CRL", limits::REVOCATION_LIST_BYTES)?;
    for Der(der) in &lists {
        CertificateRevocationList::from_der(der).map_err(|_| TrustRefusal::Malformed { what: WHAT })?;
        let signed = certificates.iter().any(|Der(certificate)| certificate_has_signed(certificate, der));
        if !signed {
            return Err(TrustRefusal::StrangeList);
        }
    }
    Ok(lists)
}

/// Reads the certificates of a file, one at least.
pub(crate) fn read_chain(what: &'static str, bytes: &[u8]) -> Result<Vec<Der>, TrustRefusal> {
    read(what, bytes, pem::CERTIFICATE, limits::TRUSTED_CERTIFICATE_BYTES)
}

/// Reads the one certificate of a file.
pub(crate) fn read_one(what: &'static str, bytes: &[u8]) -> Result<Der, TrustRefusal> {
    let mut found = read(what, bytes, pem::CERTIFICATE, limits::SMALL_FILE_BYTES)?;
    match found.len() {
        1 => found.pop().ok_or(TrustRefusal::Malformed { what }),
        count => Err(TrustRefusal::TooMany { what, count }),
    }
}

fn read(what: &'static str, bytes: &[u8], label: &str, max: usize) -> Result<Vec<Der>, TrustRefusal> {
    if bytes.len() > max {
        return Err(TrustRefusal::TooLarge { what, len: bytes.len(), max });
    }
    let malformed = || TrustRefusal::Malformed { what };
    // DER begins with a SEQUENCE; PEM with text.
    if bytes.first() == Some(&0x30) {
        let (rest, _) = x509_parser::der_parser::parse_der(bytes).map_err(|_| malformed())?;
        return if rest.is_empty() { Ok(vec![Der(bytes.to_vec())]) } else { Err(malformed()) };
    }
    let blocks = pem::decode(std::str::from_utf8(bytes).map_err(|_| malformed())?).ok_or_else(malformed)?;
    if blocks.iter().any(|block| block.label.ends_with("PRIVATE KEY")) {
        return Err(TrustRefusal::HoldsPrivateKey { what });
    }
    let found: Vec<Der> = blocks
        .into_iter()
        .filter(|block| block.label == label)
        .map(|block| Der(block.bytes.to_vec()))
        .collect();
    match found.len() {
        0 => Err(malformed()),
        count if count > limits::TRUSTED_CERTIFICATES => Err(TrustRefusal::TooMany { what, count }),
        _ => Ok(found),
    }
}

/// Returns the subject of a certificate for people, without what could steer a terminal.
pub(crate) fn subject(certificate: &X509Certificate<'_>) -> String {
    let text: String = certificate.subject().to_string().chars().take(128).collect();
    text.escape_debug().to_string()
}

fn wall(seconds: i64) -> WallTime {
    WallTime(u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000))
}

impl TrustedAuthority {
    /// Reads what an operator hands over: certificates, and lists of revoked ones if there are any; PEM, or DER of a single
    /// one.
    ///
    /// # Errors
    /// [`TrustRefusal`] says what is wrong with it.
    pub fn read(
        proves: ProvenBy,
        certificates: &[u8],
        revocations: Option<&[u8]>,
        now: WallTime,
    ) -> Result<Self, TrustRefusal> {
        let certificates = read_authority(certificates, now)?;
        let revocations = match revocations {
            Some(lists) => read_revocations(lists, &certificates)?,
            None => Vec::new(),
        };
        Ok(Self { proves, certificates, revocations, confirmed: true })
    }

    /// Returns the same authority with other lists of revoked certificates.
    ///
    /// # Errors
    /// [`TrustRefusal`] says what is wrong with them.
    pub fn with_revocations(&self, revocations: &[u8]) -> Result<Self, TrustRefusal> {
        let revocations = read_revocations(revocations, &self.certificates)?;
        Ok(Self { revocations, ..self.clone() })
    }

    /// Returns the subjects of its certificates, for people.
    pub fn subjects(&self) -> Vec<String> {
        let parsed = self.certificates.iter().filter_map(|Der(der)| X509Certificate::from_der(der).ok());
        parsed.map(|(_, certificate)| subject(&certificate)).collect()
    }

    /// Returns the SHA-256 of its certificates, each as `AB:CD:…`.
    pub fn fingerprints(&self) -> Vec<String> {
        self.certificates.iter().map(|Der(der)| fingerprint(der)).collect()
    }

    /// Returns what a person wants to know of it.
    pub fn summary(&self) -> TrustSummary {
        let ends = self.certificates.iter().filter_map(|Der(der)| {
            let (_, certificate) = X509Certificate::from_der(der).ok()?;
            Some(wall(certificate.validity().not_after.timestamp()))
        });
        let lists: Vec<_> = self
            .revocations
            .iter()
            .filter_map(|Der(der)| CertificateRevocationList::from_der(der).ok())
            .map(|(_, list)| list)
            .collect();
        let revoked = lists.iter().map(|list| list.iter_revoked_certificates().count()).sum();
        TrustSummary {
            not_after: ends.min().unwrap_or(WallTime(0)),
            revoked: (!lists.is_empty()).then_some(revoked),
            next_update: lists
                .iter()
                .filter_map(|list| list.next_update())
                .map(|at| wall(at.timestamp()))
                .min(),
        }
    }
}

/// Tells whether a common name can be bound: 1 to [`limits::COMMON_NAME_BYTES`] bytes without control characters.
pub(crate) fn is_common_name(text: &str) -> bool {
    (1..=limits::COMMON_NAME_BYTES).contains(&text.len()) && !text.contains(char::is_control)
}
