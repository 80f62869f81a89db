//! What a device reads of its own keys: how their owner names them, and their files.

use keyward_device::{KeySpec, SealingSecret, decoders};
use zeroize::Zeroizing;

/// Reads the name of a key store; what is accepted prints and reads as itself, and an error repeats no PIN and cannot steer a terminal.
pub fn key_spec(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    match text.parse::<KeySpec>() {
        Ok(spec) => {
            let printed = spec.to_string();
            assert!(printed.parse::<KeySpec>().is_ok_and(|again| again == spec), "{printed:?}");
            assert!(!printed.contains("&pin-value=") && !printed.contains(char::is_control), "{printed:?}");
            assert!(spec.describe().contains("level"), "{printed:?}");
        }
        Err(error) => {
            let error = error.to_string();
            assert!(!error.contains("=4711") && !error.contains(char::is_control), "{error:?}");
        }
    }
}

/// Reads a key file, plain and sealed. What is read is written in one form, and a sealed file opens to what was sealed in it or not at all.
pub fn key_files(data: &[u8]) {
    if let Some((public, pem)) = decoders::key_file(data) {
        assert!(decoders::key_file(&pem).is_some_and(|(again, same)| again == public && same == pem));
    }
    if let Ok(secret) = SealingSecret::new(Zeroizing::new(vec![7; 32])) {
        for what in ["tls", "message"] {
            let opened = decoders::sealed_file(&secret, what, data);
            assert!(opened.is_none_or(|plain| what == "tls" && plain.starts_with(b"what was sealed")));
        }
    }
    assert!(decoders::wrapped(&[7; 32], data).is_none_or(|secret| *secret == [9; 32]));
}

/// Reads a record of an outbox, alone and in a segment. What is read is written the same.
pub fn outbox_segment(data: &[u8]) {
    for record in decoders::segment(true, data).into_iter().chain([data.to_vec()]) {
        assert!(decoders::outbox_record(&record).is_none_or(|same| same == record));
    }
}

/// Reads a record of a sealed store, alone and in a segment. What is read is written the same.
pub fn sealed_segment(data: &[u8]) {
    for record in decoders::segment(false, data).into_iter().chain([data.to_vec()]) {
        assert!(decoders::sealed_record(&record).is_none_or(|same| *same == record));
    }
}
