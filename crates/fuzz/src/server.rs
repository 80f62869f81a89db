//! What the server reads: the first bytes of a connection, the control socket, `keyward.toml`.

use keyward_server::config::Config;
use keyward_server::decoders;

/// Reads the first bytes of a connection.
pub fn client_hello(data: &[u8]) {
    decoders::client_hello(data);
}

/// Reads lines of the control socket, in pieces, as requests. The first byte chooses the length of the pieces.
pub fn control_request(data: &[u8]) {
    let Some((&piece, bytes)) = data.split_first() else { return };
    let whole = decoders::control_requests(bytes, bytes.len().max(1));
    assert_eq!(whole, decoders::control_requests(bytes, usize::from(piece) + 1));
}

/// Parses a configuration; what is refused says where.
pub fn configuration(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    if let Err(errors) = Config::parse("keyward.toml", text) {
        assert!(errors.to_string().contains("keyward.toml"), "an error without its place: {errors}");
    }
}
