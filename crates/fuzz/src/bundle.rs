//! What a client finds in its bundle: the address, the trust anchor, certificate and key.

use keyward_client::{Address, ClientError, TlsIdentity, TlsOptions, decoders};

const CA: &[u8] = include_bytes!("../seeds/bundle/ca.pem");

/// Reads a file of a bundle: as its certificate and key if it holds a certificate, else as its address; in both cases
/// as its trust anchor. What is refused is not quoted; an address that is taken is written, and reads the same again.
pub fn bundle(data: &[u8]) {
    match Address::read(data) {
        Ok(address) => {
            assert_eq!(Address::read(address.write().as_bytes()).as_ref(), Ok(&address));
            assert!(!address.host.contains(|letter: char| letter.is_control() || letter == ' '));
        }
        Err(error) => harmless(&error.to_string()),
    }
    let options =
        |roots: &[u8], identity| TlsOptions { roots_pem: roots.to_vec(), identity, server_name: None };
    let both = TlsIdentity::from_pem(data, data.to_vec());
    for options in [options(data, None), options(CA, Some(both))] {
        match decoders::tls_options(&options, "localhost") {
            Ok(()) => {}
            Err(error @ ClientError::Credentials { .. }) => harmless(&error.to_string()),
            Err(error) => panic!("not the fault of a file: {error}"),
        }
    }
}

fn harmless(text: &str) {
    assert!(text.len() < 300 && !text.contains(char::is_control), "{text:?}");
}
