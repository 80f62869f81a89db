//! What a chip is told (part 3), as far as a key store needs it.

use crate::{
    credential::Challenge,
    public::{Template, alg},
    wire::Writer,
};

/// The hierarchy of the owner.
pub const OWNER: u32 = 0x4000_0001;
/// No hierarchy, no key.
pub(crate) const NULL: u32 = 0x4000_0007;
/// The hierarchy of the chip's own key.
pub const ENDORSEMENT: u32 = 0x4000_000b;
/// A password in the place of a session.
const PASSWORD: u32 = 0x4000_0009;

/// What a counter is in non-volatile memory (part 2, §13.4): who has its handle reads and raises it, and nothing lets it go back.
pub(crate) const COUNTER: u32 = 0x0204_0014;

/// Says what is meant, and by what name the two ends know it (part 1, §16).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handle {
    /// The handle.
    pub value: u32,
    /// Its name; of hierarchies and sessions the handle itself.
    pub name: Vec<u8>,
}

impl Handle {
    /// Returns the handle of an object with a name.
    pub fn named(value: u32, name: &[u8]) -> Self {
        Self { value, name: name.to_vec() }
    }

    /// Returns a handle that is its own name.
    pub fn bare(value: u32) -> Self {
        Self::named(value, &value.to_be_bytes())
    }
}

/// Is a command. How it is authorised says who writes it down.
#[derive(Debug, Clone)]
pub struct Command {
    pub(crate) code: u32,
    pub(crate) handles: Vec<Handle>,
    /// How many of the handles, from the first on, are used by right of an authorisation.
    pub(crate) authorised: usize,
    pub(crate) parameters: zeroize::Zeroizing<Vec<u8>>,
    /// Whether the first parameter is encrypted on its way, and the first one of the answer.
    pub(crate) hides: (bool, bool),
    /// A policy session that authorises the last of the handles, instead of a password.
    policy: Option<u32>,
}

impl Command {
    fn new(code: u32, handles: Vec<Handle>, authorised: usize, parameters: Writer) -> Self {
        let parameters = zeroize::Zeroizing::new(parameters.done());
        Self { code, handles, authorised, parameters, hides: (false, false), policy: None }
    }

    fn hiding(mut self, there: bool, back: bool) -> Self {
        self.hides = (there, back);
        self
    }

    /// Makes a key of a hierarchy.
    pub fn create_primary(hierarchy: u32, template: Template) -> Self {
        Self::new(0x131, vec![Handle::bare(hierarchy)], 1, creation(template, &[]))
    }

    /// Makes a key under another, or seals up to 128 bytes there.
    pub fn create(parent: Handle, template: Template, sealed: &[u8]) -> Self {
        Self::new(0x153, vec![parent], 1, creation(template, sealed)).hiding(true, false)
    }

    /// Loads what was made under a key.
    pub fn load(parent: Handle, private: &[u8], public: &[u8]) -> Self {
        Self::new(0x157, vec![parent], 1, Writer::new().sized(private).sized(public))
    }

    /// Signs a digest.
    pub fn sign(key: Handle, digest: &[u8; 32]) -> Self {
        // By the scheme of the key; no ticket says that the chip made the digest.
        let parameters = Writer::new().sized(digest).u16(alg::NULL).u16(0x8024).u32(NULL).sized(&[]);
        Self::new(0x15d, vec![key], 1, parameters)
    }

    /// Agrees with a point.
    pub fn agree(key: Handle, peer: &[u8; 65]) -> Self {
        let point = Writer::new().sized(&peer[1..33]).sized(&peer[33..]).done();
        Self::new(0x154, vec![key], 1, Writer::new().sized(&point)).hiding(false, true)
    }

    /// Returns what was sealed.
    pub fn unseal(sealed: Handle) -> Self {
        Self::new(0x15e, vec![sealed], 1, Writer::new()).hiding(false, true)
    }

    /// Has `attestation` say that the chip holds `key`.
    pub fn certify(key: Handle, attestation: Handle, about: &[u8; 32]) -> Self {
        Self::new(0x148, vec![key, attestation], 2, Writer::new().sized(about).u16(alg::NULL))
    }

    /// Opens a credential, by right of the session `policy`.
    pub fn activate(attestation: Handle, endorsement: Handle, challenge: &Challenge, policy: u32) -> Self {
        let parameters = Writer::new().sized(&challenge.credential).sized(&challenge.secret);
        let command = Self::new(0x147, vec![attestation, endorsement], 2, parameters);
        Self { policy: Some(policy), ..command }
    }

    /// Begins a session in which parameters are hidden, with a salt that the holder of `key` can decrypt.
    pub(crate) fn start_session(key: Handle, nonce: &[u8; 32], salt: &[u8]) -> Self {
        let parameters = Writer::new().sized(nonce).sized(salt).u8(0);
        let parameters = parameters.u16(alg::AES).u16(128).u16(alg::CFB).u16(alg::SHA256);
        Self::new(0x176, vec![key, Handle::bare(NULL)], 0, parameters)
    }

    /// Begins a session that is to fulfil a policy.
    pub fn start_policy(nonce: &[u8; 32]) -> Self {
        let parameters = Writer::new().sized(nonce).sized(&[]).u8(1).u16(alg::NULL).u16(alg::SHA256);
        Self::new(0x176, vec![Handle::bare(NULL), Handle::bare(NULL)], 0, parameters)
    }

    /// Tells a policy that who asks knows the secret of a hierarchy.
    pub fn policy_secret(hierarchy: u32, session: u32) -> Self {
        let parameters = Writer::new().sized(&[]).sized(&[]).sized(&[]).u32(0);
        Self::new(0x151, vec![Handle::bare(hierarchy), Handle::bare(session)], 1, parameters)
    }

    /// Forgets a loaded key, or ends a session.
    pub fn flush(handle: u32) -> Self {
        Self::new(0x165, Vec::new(), 0, Writer::new().u32(handle))
    }

    /// Returns a loaded key in a form that this chip loads again until it is reset.
    pub fn save(handle: u32) -> Self {
        Self::new(0x162, vec![Handle::bare(handle)], 0, Writer::new())
    }

    /// Loads a key that was saved.
    pub fn restore(context: &[u8]) -> Self {
        Self::new(0x161, Vec::new(), 0, Writer::new().raw(context))
    }

    /// Makes a counter in non-volatile memory. It begins above all that this chip ever counted.
    pub fn define_counter(index: u32) -> Self {
        let area = Writer::new().u32(index).u16(alg::SHA256).u32(COUNTER).sized(&[]).u16(8).done();
        Self::new(0x12a, vec![Handle::bare(OWNER)], 1, Writer::new().sized(&[]).sized(&area))
    }

    /// Removes an index from non-volatile memory.
    pub fn undefine(index: Handle) -> Self {
        Self::new(0x122, vec![Handle::bare(OWNER), index], 1, Writer::new())
    }

    /// Asks what an index is.
    pub fn index_public(index: u32) -> Self {
        Self::new(0x169, vec![Handle::bare(index)], 0, Writer::new())
    }

    /// Raises a counter by one.
    pub fn increment(index: Handle) -> Self {
        Self::new(0x134, vec![index.clone(), index], 1, Writer::new())
    }

    /// Reads from an index.
    pub fn read_index(index: Handle, size: u16, offset: u16) -> Self {
        Self::new(0x14e, vec![index.clone(), index], 1, Writer::new().u16(size).u16(offset))
            .hiding(false, true)
    }

    /// Starts a chip as after power came.
    pub fn startup() -> Self {
        Self::new(0x144, Vec::new(), 0, Writer::new().u16(0))
    }

    /// Tells whether an answer to it has a handle.
    pub(crate) fn yields_handle(&self) -> bool {
        matches!(self.code, 0x131 | 0x157 | 0x161 | 0x176)
    }

    /// Writes it down with an empty password where it needs an authorisation.
    pub fn encode(&self) -> Vec<u8> {
        let password = |handle: u32| Writer::new().u32(handle).sized(&[]).u8(1).sized(&[]).done();
        let mut authorisations: Vec<u8> = Vec::new();
        for place in 0..self.authorised {
            let policy = self.policy.filter(|_| place + 1 == self.authorised);
            authorisations.extend(password(policy.unwrap_or(PASSWORD)));
        }
        self.encode_with(&authorisations, &self.parameters)
    }

    pub(crate) fn encode_with(&self, authorisations: &[u8], parameters: &[u8]) -> Vec<u8> {
        let mut body = Writer::new();
        for handle in &self.handles {
            body = body.u32(handle.value);
        }
        if !authorisations.is_empty() {
            body = body.u32(authorisations.len() as u32).raw(authorisations);
        }
        let body = body.raw(parameters).done();
        // TPM_ST_SESSIONS, TPM_ST_NO_SESSIONS
        let tag = if authorisations.is_empty() { 0x8001 } else { 0x8002 };
        Writer::new().u16(tag).u32(10 + body.len() as u32).u32(self.code).raw(&body).done()
    }
}

/// Writes TPM2B_SENSITIVE_CREATE, TPM2B_PUBLIC, no outside information, and no PCRs.
fn creation(template: Template, sealed: &[u8]) -> Writer {
    let sensitive = zeroize::Zeroizing::new(Writer::new().sized(&[]).sized(sealed).done());
    Writer::new().sized(&sensitive).sized(&template.encode()).sized(&[]).u32(0)
}
