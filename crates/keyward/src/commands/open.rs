//! `keyward open`: verifies a signed message, says what it claims, and shows its payload.

use crate::args::OpenArgs;
use crate::bundle::FILE_BYTES;
use crate::clock::{ago, moment, unix_ms};
use crate::commands::key_files::message_key;
use crate::commands::seal::OLDER_FORM;
use crate::failure::{Failure, Outcome};
use crate::hex;
use crate::reach::{Site, unexpected};
use crate::screen::Screen;
use base64ct::{Base64, Encoding};
use keyward_envelope::{
    Content, Context, Direction, Format, GroupKey, Kid, Malformed, PublicKey, Verified, inspect,
    limits::MESSAGE_BYTES, software::P256Agreement,
};
use keyward_identity::{MessageSecret, files};
use keyward_server::control::{MessageKeyState, Request, Response, ServerKeyState};
use keyward_server::escape::escape;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use zeroize::Zeroizing;

/// Is the key that is to have signed, with a word about how it stands.
struct Signatory {
    key: PublicKey,
    stands: String,
}

/// Runs the command; `site` finds the installation where one is asked. What does not verify is a failure.
pub(crate) fn run(site: impl Fn() -> Outcome<Site>, screen: Screen, args: &OpenArgs) -> Outcome {
    let bytes = bare(read(&args.file)?);
    let found = inspect(&bytes)
        .map_err(|error| Failure::refused("not_verified", format!("this is no signed message: {error}")))?;
    let (installation, signatory) = match (&args.installation, &args.key) {
        (Some(installation), Some(key)) => (installation.clone(), key_of_file(key)?),
        _ => known_here(&site()?, args, found.kid())?,
    };
    let context = Context {
        direction: direction(args)?,
        installation: &installation,
        topic: &args.topic,
        correlation: args.correlation.as_ref().map(|hex| hex.0.as_slice()),
    };
    let verified = found.verify(&signatory.key, &context).map_err(|refused| {
        let what = format!(
            "NOT VERIFIED: {refused}. It names the key {}; installation, device, topic and correlation data have to be those that it \
             was signed for",
            found.kid()
        );
        Failure::refused("not_verified", what)
    })?;
    let (payload, format) = content(&verified, args)?;
    if let (Some(path), Some(payload)) = (&args.output, &payload) {
        files::replace(path, payload)?;
    }
    match screen.is_json() {
        true => screen.object(as_json(&verified, &signatory, format, payload.as_deref().map(Vec::as_slice))),
        false => screen.print(&as_text(&verified, &signatory, format, payload.as_deref().map(Vec::as_slice))),
    }
}

fn direction(args: &OpenArgs) -> Outcome<Direction<'_>> {
    match (&args.from_device, &args.to_device, args.to_all) {
        (Some(device), None, false) => Ok(Direction::Up { device: device.as_str() }),
        (None, Some(device), false) => Ok(Direction::Down { device: device.as_str() }),
        (None, None, true) => Ok(Direction::All),
        _ => Err(Failure::misuse("say who spoke: --from-device ID, --to-device ID or --to-all")),
    }
}

fn key_of_file(path: &Path) -> Outcome<Signatory> {
    let (key, _) = PublicKey::from_cose(&message_key(path, 0)?.cose()).map_err(Failure::failed)?;
    Ok(Signatory { key, stands: "of the file that you gave".to_owned() })
}

/// Finds the installation and the key in what is known here.
fn known_here(site: &Site, args: &OpenArgs, kid: Kid) -> Outcome<(String, Signatory)> {
    let Response::Status(status) = site.ask(Request::Status)? else { return Err(unexpected()) };
    let installation = args.installation.clone().unwrap_or(status.installation);
    let rows = match &args.from_device {
        Some(device) => keys_of_device(site, &device.to_string())?,
        None => keys_of_server(site, args.to_all)?,
    };
    let wanted = kid.to_string();
    let (_, stands, cose) = rows.into_iter().find(|(kid, ..)| *kid == wanted).ok_or_else(|| {
        let whose = match &args.from_device {
            Some(device) => {
                format!("device:{device} has no key {kid}; it never had, or it was withdrawn (keyward audit)")
            }
            None => format!(
                "the server has no key {kid} any more; it never had, or it left the key set (keyward audit)"
            ),
        };
        Failure::refused("not_verified", format!("NOT VERIFIED: {whose}"))
    })?;
    let bytes = Base64::decode_vec(&cose).map_err(|_| unexpected())?;
    let (key, _) = PublicKey::from_cose(&bytes).map_err(Failure::failed)?;
    Ok((installation, Signatory { key, stands }))
}

fn keys_of_device(site: &Site, id: &str) -> Outcome<Vec<(String, String, String)>> {
    let Response::MessageKeys(rows) = site.ask(Request::KeysList { id: Some(id.to_owned()) })? else {
        return Err(unexpected());
    };
    let of = |row: keyward_server::control::MessageKeyRow| {
        let stands = match row.state {
            MessageKeyState::Active => "accepted",
            MessageKeyState::Overlapping => "accepted for a while",
            MessageKeyState::Retired => "RETIRED: what it signs now counts for nothing",
        };
        let stands = format!("of device:{id}, {stands}");
        (row.kid, stands, row.public_key)
    };
    Ok(rows.into_iter().map(of).collect())
}

fn keys_of_server(site: &Site, to_all: bool) -> Outcome<Vec<(String, String, String)>> {
    let Response::ServerKeys(rows) = site.ask(Request::KeysServer)? else { return Err(unexpected()) };
    // The installation key speaks to all in key sets, the command keys in what is for a group.
    let pinned = rows.installation.filter(|_| to_all);
    let of = |row: keyward_server::control::ServerKeyRow| {
        let stands = match row.state {
            ServerKeyState::Pinned => "of this installation",
            ServerKeyState::Signing => "of this server, which signs commands now",
            ServerKeyState::Waiting => "of this server, which signs commands LATER",
            ServerKeyState::Leaving => "of this server, which signed commands earlier",
        };
        (row.kid, stands.to_owned(), row.public_key)
    };
    Ok(pinned.into_iter().chain(rows.commands).map(of).collect())
}

/// Is a payload, wiped when dropped; none if it cannot be read, and what it is.
type Opened = (Option<Zeroizing<Vec<u8>>>, Option<Format>);

fn content(verified: &Verified<'_>, args: &OpenArgs) -> Outcome<Opened> {
    let mut out = Zeroizing::new(vec![0; MESSAGE_BYTES]);
    let (len, format) = match verified.content().map_err(Failure::failed)? {
        Content::Plain { payload, format } => return Ok((Some(Zeroizing::new(payload.to_vec())), format)),
        Content::ForRecipient(sealed) => {
            let Some(path) = &args.decrypt_key else { return Ok((None, sealed.format())) };
            let mut key = agreement(path)?;
            let needs = |error| Failure::failed(format!("{error}; {}", opens(&verified.content())));
            let opened = sealed.open(&mut key, &mut out).map_err(needs)?;
            (opened.len(), sealed.format())
        }
        Content::ForGroup(sealed) => {
            let (Some(path), Some(group)) = (&args.group_key, &args.group) else {
                return Ok((None, sealed.format()));
            };
            let bad =
                || Failure::failed(format!("{}: holds no key of 32 hexadecimal digits", path.display()));
            let text = files::read_private(path, 64)?;
            let text = std::str::from_utf8(&text).map_err(|_| bad())?;
            let secret = Zeroizing::new(hex::decode(text.trim()).ok_or_else(bad)?);
            let secret = Zeroizing::new(<[u8; 16]>::try_from(secret.as_slice()).map_err(|_| bad())?);
            let key = GroupKey::new(group, sealed.epoch(), &secret).ok_or_else(bad)?;
            let needs = |error| Failure::failed(format!("{error}; {}", opens(&verified.content())));
            (sealed.open(&key, &mut out).map_err(needs)?.len(), sealed.format())
        }
    };
    out.truncate(len);
    Ok((Some(out), format))
}

/// Says what opens an encrypted payload.
fn opens(content: &Result<Content<'_>, Malformed>) -> String {
    match content {
        Ok(Content::ForRecipient(sealed)) => format!(
            "encrypted for the key {}: give the private half of that one with --decrypt-key FILE",
            sealed.kid()
        ),
        Ok(Content::ForGroup(sealed)) => format!(
            "encrypted for a group under its key {epoch}: keyward group key NAME --epoch {epoch} --output FILE, then --group NAME \
             --group-key FILE",
            epoch = sealed.epoch().0
        ),
        _ => String::new(),
    }
}

fn agreement(path: &Path) -> Outcome<P256Agreement> {
    let bad =
        || Failure::failed(format!("{}: is no private key of P-256 in PEM; {OLDER_FORM}", path.display()));
    match MessageSecret::read_file(&files::read_private(path, FILE_BYTES)?) {
        Some(MessageSecret::P256(secret)) => {
            let number = Zeroizing::new(<[u8; 32]>::try_from(secret.expose()).map_err(|_| bad())?);
            P256Agreement::from_secret(&number).map_err(|_| bad())
        }
        _ => Err(bad()),
    }
}

fn as_json(
    verified: &Verified<'_>,
    signatory: &Signatory,
    format: Option<Format>,
    payload: Option<&[u8]>,
) -> Map<String, Value> {
    let claims = verified.claims();
    let nonce = claims.nonce.map(|nonce| hex::encode(nonce.as_bytes()));
    let value = json!({
        "verified": true,
        "kid": verified.kid().to_string(),
        "key": signatory.stands,
        // It has 64 bits, more than a number of JavaScript holds.
        "number": claims.sequence.0.to_string(),
        "issued_unix_s": claims.issued,
        "expires_unix_s": claims.expires,
        "nonce": nonce,
        "format": format.map(|format| format.0),
        "encrypted": !matches!(verified.content(), Ok(Content::Plain { .. })),
        "payload": payload.map(Base64::encode_string),
    });
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn as_text(
    verified: &Verified<'_>,
    signatory: &Signatory,
    format: Option<Format>,
    payload: Option<&[u8]>,
) -> String {
    let (claims, now) = (verified.claims(), unix_ms());
    let mut text = format!("Verified: signed by the key {} {}.\n", verified.kid(), signatory.stands);
    let _ = writeln!(text, "  number     {}", claims.sequence.0);
    if let Some(issued) = claims.issued {
        let issued = issued.saturating_mul(1_000);
        let _ = writeln!(text, "  made       {} ({})", moment(issued), ago(issued, now));
    }
    if let Some(end) = claims.expires {
        let end = end.saturating_mul(1_000);
        let over = if end < now { ": PAST" } else { "" };
        let _ = writeln!(text, "  good until {}{over}", moment(end));
    }
    if let Some(nonce) = claims.nonce {
        let _ = writeln!(text, "  nonce      {}", hex::encode(nonce.as_bytes()));
    }
    if let Some(format) = format {
        let _ = writeln!(text, "  format     {}", format.0);
    }
    match payload {
        None => {
            let _ = writeln!(text, "  payload    {}", opens(&verified.content()));
        }
        Some(payload) => match std::str::from_utf8(payload) {
            Ok(payload) => {
                let _ = writeln!(text, "  payload    {}", escape(payload));
            }
            Err(_) => {
                let _ = writeln!(text, "  payload    {} (hex)", hex::encode(payload));
            }
        },
    }
    text.push_str("Whether its number was seen before only a receiver knows.\n");
    text
}

/// Reads a message; as text it takes twice its bytes, and some more.
fn read(path: &Path) -> Outcome<Vec<u8>> {
    let most = 2 * MESSAGE_BYTES as u64 + 1_024;
    let mut bytes = Vec::new();
    let done = match path == Path::new("-") {
        true => io::stdin().lock().take(most).read_to_end(&mut bytes),
        false => File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)),
    };
    done.map_err(|error| Failure::file(path, &error))?;
    Ok(bytes)
}

/// Takes the message out of hexadecimal digits or base64, if it is written so.
fn bare(bytes: Vec<u8>) -> Vec<u8> {
    /// The tag of a COSE_Sign1: no digit of either.
    const SIGN1: u8 = 0xd2;
    if bytes.first() == Some(&SIGN1) {
        return bytes;
    }
    let text: String =
        bytes.iter().filter(|byte| !byte.is_ascii_whitespace()).map(|byte| char::from(*byte)).collect();
    hex::decode(&text).or_else(|| Base64::decode_vec(&text).ok()).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_as_bytes_as_hexadecimal_digits_and_as_base64() {
        let message = vec![0xd2, 0x84, 0x58, 0x1c];
        for written in
            [message.clone(), b"d284581C\n".to_vec(), b"d2 84 58 1c".to_vec(), b"0oRYHA==\n".to_vec()]
        {
            assert_eq!(bare(written), message);
        }
        assert_eq!(bare(b"hello!".to_vec()), b"hello!");
    }
}
