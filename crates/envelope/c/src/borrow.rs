//! What C hands over, as values of Rust: the only place that follows pointers to data.

use crate::status::{ARGUMENT, CONTEXT, Failed, KEY};
use core::ffi::{CStr, c_char, c_void};
use keyward_envelope::{
    Agreement, Algorithm, BadSignature, Claims, Context, Direction, Epoch, Format, GroupKey, Kid, Nonce,
    PublicKey, Purpose, Random, Sequence, SharedSecret, Signer, ToBeSigned, Unavailable, Verifier,
};

/// Is `kw_context`.
#[repr(C)]
pub struct RawContext {
    direction: i32,
    installation: *const c_char,
    device: *const c_char,
    topic: *const c_char,
    correlation: *const u8,
    correlation_len: usize,
}

/// Is `kw_claims`.
#[repr(C)]
pub struct RawClaims {
    sequence: u64,
    issued: u64,
    expires: u64,
    nonce: [u8; 16],
    nonce_len: usize,
}

/// Is `kw_signer`.
#[repr(C)]
pub struct RawSigner {
    algorithm: i32,
    kid: [u8; 8],
    sign: Option<extern "C" fn(*mut c_void, *const ToBeSigned<'_>, *mut u8) -> i32>,
    state: *mut c_void,
}

/// Is `kw_verifier`.
#[repr(C)]
pub struct RawVerifier {
    algorithm: i32,
    kid: [u8; 8],
    check: Option<extern "C" fn(*const c_void, *const ToBeSigned<'_>, *const u8) -> i32>,
    state: *const c_void,
}

/// Is `kw_random`.
#[repr(C)]
pub struct RawRandom {
    fill: Option<extern "C" fn(*mut c_void, *mut u8, usize) -> i32>,
    state: *mut c_void,
}

/// Is `kw_agreement`.
#[repr(C)]
pub struct RawAgreement {
    kid: [u8; 8],
    agree: Option<extern "C" fn(*mut c_void, *const u8, *mut u8) -> i32>,
    state: *mut c_void,
}

/// Is `kw_group_key`.
#[repr(C)]
pub struct RawGroupKey {
    group: [u8; 65],
    epoch: u32,
    secret: [u8; 16],
}

/// Is `kw_server_key`.
#[repr(C)]
pub struct RawServerKey {
    purpose: i32,
    algorithm: i32,
    kid: [u8; 8],
    key: [u8; 65],
}

impl RawServerKey {
    pub(crate) fn new(key: &PublicKey, purpose: Purpose) -> Self {
        let mut bytes = [0; 65];
        match (key.to_sec1(), key.to_ed25519()) {
            (Some(point), _) => bytes = point,
            (_, Some(key)) => bytes[..32].copy_from_slice(&key),
            _ => {}
        }
        Self {
            purpose: if purpose == Purpose::Sign { 1 } else { 2 },
            algorithm: if key.algorithm() == Algorithm::Es256 { -7 } else { -8 },
            kid: *key.kid().as_bytes(),
            key: bytes,
        }
    }
}

/// Is `kw_found`.
#[repr(C)]
pub struct RawFound {
    claims: RawClaims,
    format: i32,
}

/// Borrows a value.
///
/// # Safety
/// The pointer is null, or points to such a value that lives and stands still for `'a`.
pub(crate) unsafe fn value<'a, T>(pointer: *const T) -> Result<&'a T, Failed> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }.ok_or(ARGUMENT.into())
}

/// Borrows a value that is written.
///
/// # Safety
/// The pointer is null, or points to such a value that lives for `'a` and that nobody else looks at.
pub(crate) unsafe fn place<'a, T>(pointer: *mut T) -> Result<&'a mut T, Failed> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_mut() }.ok_or(ARGUMENT.into())
}

/// Borrows bytes; null is good for none.
///
/// # Safety
/// As [`value`], for `len` bytes.
pub(crate) unsafe fn bytes<'a>(pointer: *const u8, len: usize) -> Result<&'a [u8], Failed> {
    match (pointer.is_null(), len) {
        (_, 0) => Ok(&[]),
        (false, len) if isize::try_from(len).is_ok() => {
            // SAFETY: the caller's promise; the length is possible.
            Ok(unsafe { core::slice::from_raw_parts(pointer, len) })
        }
        _ => Err(ARGUMENT.into()),
    }
}

/// Borrows bytes that are written; null is good for none.
///
/// # Safety
/// As [`place`], for `len` bytes.
pub(crate) unsafe fn room<'a>(pointer: *mut u8, len: usize) -> Result<&'a mut [u8], Failed> {
    match (pointer.is_null(), len) {
        (_, 0) => Ok(&mut []),
        (false, len) if isize::try_from(len).is_ok() => {
            // SAFETY: the caller's promise; the length is possible.
            Ok(unsafe { core::slice::from_raw_parts_mut(pointer, len) })
        }
        _ => Err(ARGUMENT.into()),
    }
}

/// Borrows a text.
///
/// # Safety
/// As [`value`], up to a zero byte.
unsafe fn text<'a>(pointer: *const c_char) -> Result<&'a str, Failed> {
    if pointer.is_null() {
        return Err(ARGUMENT.into());
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(pointer) }.to_str().map_err(|_| ARGUMENT.into())
}

/// Reads a context.
///
/// # Safety
/// As [`value`], for everything that it points to.
pub(crate) unsafe fn context<'a>(pointer: *const RawContext) -> Result<Context<'a>, Failed> {
    // SAFETY: the caller's promise, for each pointer.
    unsafe {
        let raw = value(pointer)?;
        let direction = match raw.direction {
            0 => Direction::Up { device: text(raw.device)? },
            1 => Direction::Down { device: text(raw.device)? },
            2 => Direction::All,
            _ => return Err(CONTEXT.into()),
        };
        let correlation = match raw.correlation.is_null() {
            true => None,
            false => Some(bytes(raw.correlation, raw.correlation_len)?),
        };
        Ok(Context { direction, installation: text(raw.installation)?, topic: text(raw.topic)?, correlation })
    }
}

impl RawClaims {
    pub(crate) fn read(&self) -> Result<Claims, Failed> {
        let some = |time: u64| (time != 0).then_some(time);
        let nonce = match self.nonce_len {
            0 => None,
            len => Some(self.nonce.get(..len).and_then(Nonce::new).ok_or(ARGUMENT)?),
        };
        let (issued, expires) = (some(self.issued), some(self.expires));
        Ok(Claims { sequence: Sequence(self.sequence), issued, expires, nonce })
    }
}

impl RawFound {
    pub(crate) fn write(&mut self, claims: &Claims, format: Option<Format>) {
        let mut nonce = [0; 16];
        let given = claims.nonce.as_ref().map_or(&[][..], |nonce| nonce.as_bytes());
        if let Some(place) = nonce.get_mut(..given.len()) {
            place.copy_from_slice(given);
        }
        self.claims = RawClaims {
            sequence: claims.sequence.0,
            issued: claims.issued.unwrap_or_default(),
            expires: claims.expires.unwrap_or_default(),
            nonce,
            nonce_len: given.len(),
        };
        self.format = format.map_or(-1, |format| i32::from(format.0));
    }
}

/// Reads a content format, -1 for none.
pub(crate) fn format(number: i32) -> Result<Option<Format>, Failed> {
    match u16::try_from(number) {
        Ok(number) => Ok(Some(Format(number))),
        Err(_) if number == -1 => Ok(None),
        Err(_) => Err(ARGUMENT.into()),
    }
}

fn algorithm(id: i32) -> Result<Algorithm, Failed> {
    Algorithm::of_id(i64::from(id)).ok_or(ARGUMENT.into())
}

impl RawGroupKey {
    pub(crate) fn read(&self) -> Result<GroupKey, Failed> {
        let group = CStr::from_bytes_until_nul(&self.group).ok().and_then(|group| group.to_str().ok());
        GroupKey::new(group.ok_or(ARGUMENT)?, Epoch(self.epoch), &self.secret).ok_or(KEY.into())
    }

    pub(crate) fn write(&mut self, key: &GroupKey) {
        self.group = [0; 65];
        if let Some(place) = self.group.get_mut(..key.group().len()) {
            place.copy_from_slice(key.group().as_bytes());
        }
        (self.epoch, self.secret) = (key.epoch().0, *key.expose_secret());
    }
}

/// Signs by a callback.
pub(crate) struct CallbackSigner<'a> {
    algorithm: Algorithm,
    raw: &'a RawSigner,
}

impl<'a> CallbackSigner<'a> {
    pub(crate) fn new(raw: &'a RawSigner) -> Result<Self, Failed> {
        Ok(Self { algorithm: algorithm(raw.algorithm)?, raw })
    }
}

impl Signer for CallbackSigner<'_> {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
    fn kid(&self) -> Kid {
        Kid::new(self.raw.kid)
    }
    fn sign(&mut self, message: &ToBeSigned<'_>) -> Result<[u8; 64], Unavailable> {
        let mut signature = [0; 64];
        let sign = self.raw.sign.ok_or(Unavailable(-1))?;
        match sign(self.raw.state, message, signature.as_mut_ptr()) {
            0 => Ok(signature),
            code => Err(Unavailable(code)),
        }
    }
}

/// Verifies by a callback.
pub(crate) struct CallbackVerifier<'a> {
    algorithm: Algorithm,
    raw: &'a RawVerifier,
}

impl<'a> CallbackVerifier<'a> {
    pub(crate) fn new(raw: &'a RawVerifier) -> Result<Self, Failed> {
        Ok(Self { algorithm: algorithm(raw.algorithm)?, raw })
    }
}

impl Verifier for CallbackVerifier<'_> {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
    fn kid(&self) -> Kid {
        Kid::new(self.raw.kid)
    }
    fn check(&self, message: &ToBeSigned<'_>, signature: &[u8; 64]) -> Result<(), BadSignature> {
        let check = self.raw.check.ok_or(BadSignature)?;
        match check(self.raw.state, message, signature.as_ptr()) {
            0 => Ok(()),
            _ => Err(BadSignature),
        }
    }
}

/// Fills by a callback.
pub(crate) struct CallbackRandom<'a>(pub(crate) &'a RawRandom);

impl Random for CallbackRandom<'_> {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), Unavailable> {
        let fill = self.0.fill.ok_or(Unavailable(-1))?;
        match fill(self.0.state, out.as_mut_ptr(), out.len()) {
            0 => Ok(()),
            code => Err(Unavailable(code)),
        }
    }
}

/// Agrees by a callback.
pub(crate) struct CallbackAgreement<'a>(pub(crate) &'a RawAgreement);

impl Agreement for CallbackAgreement<'_> {
    fn kid(&self) -> Kid {
        Kid::new(self.0.kid)
    }
    fn agree(&mut self, peer: &PublicKey) -> Result<SharedSecret, Unavailable> {
        let mut shared = SharedSecret::default();
        let (agree, peer) = (self.0.agree.ok_or(Unavailable(-1))?, peer.to_sec1().ok_or(Unavailable(-1))?);
        match agree(self.0.state, peer.as_ptr(), shared.as_mut_ptr()) {
            0 => Ok(shared),
            code => Err(Unavailable(code)),
        }
    }
}
