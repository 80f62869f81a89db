//! What the contract bounds: bound, unit, default, reason. Nothing here is set by an operator.

/// Tables. 16: a record kind each, and an engine may open a file tree for each.
pub const TABLES: usize = 16;

/// Bytes of a key, at least one. 65,535: a whole topic name is the longest key that there is.
pub const KEY_BYTES: usize = u16::MAX as usize;

/// Bytes of a value. 1 GiB: above the largest MQTT packet (256 MiB) with what is stored beside it.
pub const VALUE_BYTES: usize = 1 << 30;

/// Rows of one page unless a scan says otherwise. 256: a few times what a client's send quota takes.
pub const PAGE_ROWS: usize = 256;

/// Bytes of keys and values of one page unless a scan says otherwise. 256 KiB: the first row is given even if it is
/// longer.
pub const PAGE_BYTES: usize = 256 << 10;
