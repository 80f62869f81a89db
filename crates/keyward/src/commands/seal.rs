//! `keyward seal`: makes the bytes of a signed message, and publishes nothing.

use crate::args::SealArgs;
use crate::bundle::FILE_BYTES;
use crate::clock::unix_ms;
use crate::commands::key_files::agreement_key;
use crate::failure::{Failure, Outcome};
use crate::reach::{Site, unexpected};
use crate::screen::Screen;
use aws_lc_rs::rand;
use keyward_envelope::{
    Claims, Context, Direction, Format, Message, Nonce, PublicKey, Random, Sequence, Signer, Unavailable,
    limits::MESSAGE_BYTES, sign, sign_for_recipient, software,
};
use keyward_identity::{MessageSecret, files};
use keyward_ids::DeviceId;
use keyward_server::control::{Addressee, Der, Request, Response, SealCommand};
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

/// What to do with a private key that is not PKCS #8.
pub(crate) const OLDER_FORM: &str =
    "it has to be PKCS #8: openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW brings it into that form";

/// Runs the command; `site` finds the installation where one is asked.
pub(crate) fn run(site: impl Fn() -> Outcome<Site>, screen: Screen, args: &SealArgs) -> Outcome {
    if args.output.is_none() && !screen.is_json() && io::stdout().is_terminal() {
        return Err(Failure::misuse(
            "a signed message is no text for a terminal: give --output FILE or --json, or send it on: … | keyward pub -t TOPIC",
        ));
    }
    let payload = payload(args)?;
    let message = match (addressee(args), &args.key, &args.as_device, &args.installation) {
        (Some(to), ..) => command(&site()?, to, args, payload)?,
        (None, Some(key), Some(device), Some(installation)) => {
            reading(key, device, installation, args, &payload)?
        }
        _ => {
            return Err(Failure::misuse(
                "say who speaks to whom: --to-device ID, --to-group NAME, or --key FILE --as ID --installation ID",
            ));
        }
    };
    if let Some(path) = &args.output {
        files::replace(path, &message)?;
        return screen.print("");
    }
    if screen.is_json() {
        use base64ct::{Base64, Encoding};
        return screen.json("sealed", &serde_json::json!({ "message": Base64::encode_string(&message) }));
    }
    let mut out = io::stdout().lock();
    out.write_all(&message).and_then(|()| out.flush()).map_err(|error| Failure::output(&error))
}

/// Returns whom the server is to speak to; nobody if a device speaks.
fn addressee(args: &SealArgs) -> Option<Addressee> {
    match (&args.to_device, &args.to_group) {
        (Some(device), _) if args.encrypt => Some(Addressee::DeviceAlone(device.to_string())),
        (Some(device), _) => Some(Addressee::Device(device.to_string())),
        (None, group) => group.as_ref().map(|group| Addressee::Group(group.to_string())),
    }
}

/// Lets the server sign a command.
fn command(site: &Site, to: Addressee, args: &SealArgs, payload: Vec<u8>) -> Outcome<Vec<u8>> {
    let der = |hex: &crate::args::Hex| Der(hex.0.clone());
    let request = Request::SealCommand(Box::new(SealCommand {
        to,
        topic: args.topic.clone(),
        correlation: args.correlation.as_ref().map(der),
        valid_secs: args.valid.map(|valid| valid.0.as_secs()),
        nonce: args.nonce.as_ref().map(der),
        format: args.format,
        payload: Der(payload),
    }));
    match site.ask(request)? {
        Response::Sealed(sealed) => Ok(sealed.message.0),
        _ => Err(unexpected()),
    }
}

/// Signs as a device, with a key in a file.
fn reading(
    key: &Path,
    device: &DeviceId,
    installation: &str,
    args: &SealArgs,
    payload: &[u8],
) -> Outcome<Vec<u8>> {
    let mut signer = signer(key)?;
    let to = args.encrypt_for.as_deref().map(recipient).transpose()?;
    let nonce = args.nonce.as_ref().map(|hex| nonce(&hex.0)).transpose()?;
    let now = unix_ms() / 1_000;
    let sequence = match args.sequence {
        Some(number) => number,
        None => next_number(key, now)?,
    };
    let claims = Claims {
        sequence: Sequence(sequence),
        issued: (!args.undated).then_some(now),
        expires: args.valid.map(|valid| now.saturating_add(valid.0.as_secs())),
        nonce,
    };
    let message = Message { claims, format: args.format.map(Format), payload };
    let context = Context {
        direction: Direction::Up { device: device.as_str() },
        installation,
        topic: &args.topic,
        correlation: args.correlation.as_ref().map(|hex| hex.0.as_slice()),
    };
    let mut out = vec![0; MESSAGE_BYTES];
    let len = match &to {
        None => sign(&message, &context, &mut *signer, &mut out),
        Some(to) => sign_for_recipient(&message, &context, &mut *signer, to, &mut System, &mut out),
    };
    out.truncate(len.map_err(Failure::failed)?);
    Ok(out)
}

fn nonce(bytes: &[u8]) -> Outcome<Nonce> {
    Nonce::new(bytes).ok_or_else(|| Failure::misuse("--nonce: a nonce has 8 to 16 bytes"))
}

/// Reads the private key of a file that is closed to others.
fn signer(path: &Path) -> Outcome<Box<dyn Signer>> {
    let bad = || {
        let what = "is no private key of P-256 or Ed25519 in PEM";
        Failure::failed(format!("{}: {what}; {OLDER_FORM}", path.display()))
    };
    let of = |secret: &keyward_identity::Secret| {
        <[u8; 32]>::try_from(secret.expose()).map(zeroize::Zeroizing::new)
    };
    match MessageSecret::read_file(&files::read_private(path, FILE_BYTES)?).ok_or_else(bad)? {
        MessageSecret::P256(secret) => {
            let number = of(&secret).map_err(|_| bad())?;
            Ok(Box::new(software::P256Key::from_secret(&number).map_err(|_| bad())?))
        }
        MessageSecret::Ed25519(secret) => {
            Ok(Box::new(software::Ed25519Key::from_seed(&*of(&secret).map_err(|_| bad())?)))
        }
    }
}

fn recipient(path: &Path) -> Outcome<PublicKey> {
    let (key, _) = PublicKey::from_cose(&agreement_key(path)?.cose()).map_err(Failure::failed)?;
    Ok(key)
}

/// Takes the next number of a key: the one in the file beside it, at least the time in seconds times 2^32. The one after it is stored
/// before this returns, so that no number is used twice, also by two processes at once or after a loss of power.
fn next_number(key: &Path, now: u64) -> Outcome<u64> {
    let failed = |error: io::Error| Failure::file(key, &error);
    let held = File::open(key).map_err(failed)?;
    held.lock().map_err(failed)?;
    let mut name = key.as_os_str().to_owned();
    name.push(".sequence");
    let path = PathBuf::from(name);
    let stored = match files::read_private(&path, 64) {
        Ok(bytes) => parse_number(&bytes).ok_or_else(|| {
            let what = "holds no number; write one that is higher than all that this key has used";
            Failure::failed(format!("{}: {what}", path.display()))
        })?,
        Err(error) if error.is_not_found() => 0,
        Err(error) => return Err(error.into()),
    };
    let number = stored.max(now << 32);
    let next =
        number.checked_add(1).ok_or_else(|| Failure::failed("this key has no numbers left; make another"))?;
    files::replace(&path, format!("{next}\n").as_bytes())?;
    Ok(number)
}

fn parse_number(bytes: &[u8]) -> Option<u64> {
    std::str::from_utf8(bytes).ok()?.trim_end().parse().ok()
}

fn payload(args: &SealArgs) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    match (&args.payload, &args.file) {
        (Some(text), _) => bytes = text.clone().into_bytes(),
        (None, Some(path)) => {
            let file = File::open(path).map_err(|error| Failure::file(path, &error))?;
            let read = file.take(MESSAGE_BYTES as u64 + 1).read_to_end(&mut bytes);
            read.map_err(|error| Failure::file(path, &error))?;
        }
        (None, None) => {
            let read = io::stdin().lock().take(MESSAGE_BYTES as u64 + 1).read_to_end(&mut bytes);
            read.map_err(|error| Failure::failed(format!("cannot read standard input: {error}")))?;
        }
    }
    match bytes.len() > MESSAGE_BYTES {
        true => Err(Failure::failed("a signed message has at most 65,536 bytes: say it in parts")),
        false => Ok(bytes),
    }
}

/// Draws random numbers from the system.
struct System;

impl Random for System {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), Unavailable> {
        rand::fill(out).map_err(|_| Unavailable(5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_a_key_file_is_used_once_whatever_the_clock_does() {
        let place = tempfile::tempdir().unwrap();
        let key = place.path().join("key.pem");
        files::write_new(&key, b"x").unwrap();
        let mut numbers: Vec<u64> =
            [100, 100, 50, 101].iter().map(|now| next_number(&key, *now).unwrap()).collect();
        assert_eq!(numbers, [100 << 32, (100 << 32) + 1, (100 << 32) + 2, 101 << 32]);
        let taken: Vec<_> = std::thread::scope(|scope| {
            let run = || scope.spawn(|| (0..8).map(|_| next_number(&key, 0).unwrap()).collect::<Vec<_>>());
            let runs: Vec<_> = (0..4).map(|_| run()).collect();
            runs.into_iter().flat_map(|run| run.join().unwrap()).collect()
        });
        numbers.extend(taken);
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 4 + 32, "no two processes have one");
        let state = place.path().join("key.pem.sequence");
        files::replace(&state, b"many\n").unwrap();
        let refused = next_number(&key, 1).unwrap_err();
        assert!(refused.what.contains("key.pem.sequence: holds no number"), "{}", refused.what);
    }
}
