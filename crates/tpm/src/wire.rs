//! How a TPM writes numbers and byte strings: big-endian, and a length of two bytes before what has none of its own.

/// Says that bytes are not what a TPM would have written there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these are not the bytes of a TPM: {0}")]
pub struct Malformed(pub &'static str);

/// Reads from the front of bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Malformed("they end too early"))?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn take(&mut self, size: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(size).ok_or(Malformed("they end too early"))?;
        self.0 = rest;
        Ok(head)
    }

    /// Reads a length of two bytes and as many bytes, at most `max`.
    pub(crate) fn sized(&mut self, max: usize) -> Result<&'a [u8], Malformed> {
        match usize::from(self.u16()?) {
            size if size <= max => self.take(size),
            _ => Err(Malformed("a part is longer than its kind can be")),
        }
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Demands the 2-byte number `value`.
    pub(crate) fn expect(&mut self, value: u16, what: &'static str) -> Result<(), Malformed> {
        if self.u16()? == value { Ok(()) } else { Err(Malformed(what)) }
    }

    pub(crate) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed("more follows than belongs there")) }
    }
}

/// Writes behind one another.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn u8(self, value: u8) -> Self {
        self.raw(&[value])
    }

    pub(crate) fn u16(self, value: u16) -> Self {
        self.raw(&value.to_be_bytes())
    }

    pub(crate) fn u32(self, value: u32) -> Self {
        self.raw(&value.to_be_bytes())
    }

    /// Writes a length of two bytes and the bytes. All that is written here is far shorter than 64 KiB.
    pub(crate) fn sized(self, bytes: &[u8]) -> Self {
        self.u16(bytes.len() as u16).raw(bytes)
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}
