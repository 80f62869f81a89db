//! What a chip answers on its bus, and what it says of a device's keys to a server.

use keyward_tpm::answer::{self, Answer, Blob};
use keyward_tpm::command::{Command, Handle, OWNER};
use keyward_tpm::{Attested, Evidence, Public, Session, Signature, Template};

/// Reads bytes as answers of a chip: alone, as the beginning of a session and inside of one; and as its objects. What is read is
/// written the same; nothing passes for an answer inside of a session whose key nobody else has.
pub fn tpm_answer(data: &[u8]) {
    if let Some(Ok(size)) = data.first_chunk::<10>().map(answer::size) {
        assert!(size <= answer::ANSWER_BYTES);
    }
    let key = Handle::named(0x8000_0000, &[3; 34]);
    for command in [
        Command::create_primary(OWNER, Template::Storage),
        Command::create(key.clone(), Template::Signing, &[]),
        Command::sign(key, &[4; 32]),
    ] {
        if let Ok(answer) = Answer::read(&command, data) {
            assert!(answer.parameters.len() < data.len());
            parameters(answer.parameters);
        }
    }
    parameters(data);
    in_session(data);
    if let Ok(blob) = Blob::from_bytes(data) {
        assert_eq!(blob.to_bytes(), data);
    }
    if let Ok(blob) = Blob::from_pem(data) {
        assert_eq!(Blob::from_pem(blob.to_pem().as_bytes()), Ok(blob));
    }
}

fn parameters(data: &[u8]) {
    if let Ok(public) = answer::primary(data) {
        assert_eq!(Public::read(public.as_bytes()).as_ref(), Ok(&public));
    }
    if let Ok(blob) = answer::created(data) {
        assert!(blob.private.len() + blob.public.len() < data.len());
    }
    let _ = (answer::name(data), answer::signature(data), answer::agreed(data), answer::index(data));
    if let Ok(bytes) = answer::bytes(data) {
        assert_eq!(bytes.len() + 2, data.len());
    }
    if let Ok((attest, signature)) = answer::attestation(data) {
        assert!(Signature::read(&signature).is_ok() && attest.len() < data.len());
    }
    if let Ok(count) = answer::counter(data) {
        assert!(data.ends_with(&count.to_be_bytes()));
    }
}

/// The public half of the storage key of a chip that was thrown away.
const STORAGE: &[u8] = include_bytes!("../seeds/tpm_evidence/storage");

fn in_session(data: &[u8]) {
    let Ok(public) = Public::read(STORAGE) else { panic!("the storage key is one") };
    let Ok(opening) = Session::ask(0x8000_0000, &public) else { return };
    let command = Command::sign(Handle::named(0x8000_0000, &[3; 34]), &[4; 32]);
    if let Ok(mut session) = opening.open(data) {
        assert!(session.encode(&command).is_ok());
        assert!(session.decode(&command, data).is_err());
    }
}

/// What a chip said that vouched for two keys of the device pump-1, at a server whose root has the fingerprint of 32 sevens.
const GOOD: &[u8] = include_bytes!("../seeds/tpm_evidence/good");

/// Reads bytes as what a device shows of its chip, and as the parts of that. Evidence that holds is about the two keys for which a chip
/// vouched, whatever was changed in it.
pub fn tpm_evidence(data: &[u8]) {
    if let Ok(public) = Public::read(data) {
        assert_eq!(public.as_bytes(), data);
        assert!(!(public.endorses() && (public.signs_only() || public.attests_only())));
        assert!(!(public.signs_only() && public.attests_only()));
    }
    if let Ok(attested) = Attested::read(data) {
        assert!(attested.about.len() <= 64 && attested.about.len() < data.len());
    }
    let _ = Signature::read(data);
    let Some(evidence) = read(data) else { return };
    let about = Evidence::about("pump-1", &[7; 32]);
    assert!(evidence.judge(&Evidence::about("pump-2", &[7; 32])).is_err(), "it is for nobody else");
    if let Ok(vouched) = evidence.judge(&about) {
        let Some(Ok(real)) = read(GOOD).map(|good| good.judge(&about)) else { panic!("the seed is good") };
        for key in [vouched.tls, vouched.message] {
            assert!(key == real.tls || key == real.message, "a key for which no chip vouched");
        }
        if let Ok((_, expected)) = vouched.challenge() {
            assert!(!expected.is_met(&vouched, &[0; 32]) && !expected.is_met(&vouched, &[]));
        }
    }
}

fn read(data: &[u8]) -> Option<Evidence> {
    serde_json::from_slice(data).ok()
}
