//! Signing requests: only the public key is taken, and a request that asks for more is refused, not trimmed.

/// Says why a signing request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CsrRefusal {
    /// The request is larger than any honest one.
    #[error("the signing request has {len} bytes; at most {} are read", crate::limits::CSR_BYTES)]
    TooLarge {
        /// Its length in bytes.
        len: usize,
    },
    /// The text is not a signing request.
    #[error("this is not a signing request (PKCS #10, PEM or DER): {0}")]
    Malformed(&'static str),
    /// The file holds a private key.
    #[error(
        "this file holds a private key; hand over the signing request alone, and keep the key where it is"
    )]
    HoldsPrivateKey,
    /// The request is not signed by the key in it.
    #[error("the signing request is not signed by the key that it holds")]
    BadSignature,
    /// The key is of a kind that is not certified.
    #[error("the key is {0}; use P-256 (or P-384, or RSA of 2048 to 4096 bits)")]
    Key(String),
    /// The request asks for something that it does not get.
    #[error("the signing request asks for {what}; ask for CN={id} or an empty subject, and for nothing else")]
    AsksForMore {
        /// What it asks for.
        what: String,
        /// The name that the certificate will have.
        id: String,
    },
}
