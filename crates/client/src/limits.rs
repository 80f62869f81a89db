//! What a broker can make this client hold.

/// Messages that arrived and nobody took yet. Default 10,000: while the client waits for an acknowledgement it has to
/// read, and a broker may send what it likes. Beyond it the client gives up.
pub(crate) const INBOX_MESSAGES: usize = 10_000;

/// Bytes of such messages, payload and topic. Default 64 MiB, for the same reason.
pub(crate) const INBOX_BYTES: usize = 64 * 1024 * 1024;

/// Addresses of one host name that are tried. Default 16.
pub(crate) const ADDRESSES: usize = 16;

/// Records of one section of an answer about a name. Default 128: an answer that fits into a datagram has less.
pub(crate) const ANSWER_RECORDS: usize = 128;

/// Bytes of an answer in a datagram. Default 4 KiB: no extension is asked for, so 512 are used (RFC 1035 §4.2.1).
pub(crate) const DATAGRAM_BYTES: usize = 4 * 1024;

/// Bytes of `/etc/hosts` and `/etc/resolv.conf` that are read. Default 1 MiB: lists that block advertising are long.
pub(crate) const NAME_FILE_BYTES: u64 = 1024 * 1024;

/// Name servers that are asked. Default 3, as resolv.conf(5) has it.
pub(crate) const NAME_SERVERS: usize = 3;

/// Search domains that are tried. Default 6, as resolv.conf(5) had it.
pub(crate) const SEARCH_DOMAINS: usize = 6;
