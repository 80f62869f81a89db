//! What a broker can make this client hold.

/// Messages that arrived and nobody took yet. Default 10,000: while the client waits for an acknowledgement it has to
/// read, and a broker may send what it likes. Beyond it the client gives up.
pub(crate) const INBOX_MESSAGES: usize = 10_000;

/// Bytes of such messages, payload and topic. Default 64 MiB, for the same reason.
pub(crate) const INBOX_BYTES: usize = 64 * 1024 * 1024;
