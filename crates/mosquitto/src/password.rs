//! Password files: `user:hash`, a line each. Whether a hash can be verified is the registry's to say.

use crate::{
    Fate, Place, Remark, Version, Wrong, limits,
    text::{Text, trim},
};
use base64ct::{Base64, Encoding};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// Is one user of a password file.
pub struct Entry {
    /// The name.
    pub name: String,
    /// The hash, as it stands there.
    pub hash: Zeroizing<String>,
    /// Where.
    pub place: Place,
}

/// Reads a password file.
///
/// # Errors
/// [`Wrong`] if the file is no text or too large, and where 2.1 refuses a line.
pub fn parse(file: &str, bytes: &[u8], version: Version) -> Result<(Vec<Entry>, Vec<Remark>), Wrong> {
    let mut text = Text::new(file, bytes)?;
    let (mut entries, mut names): (Vec<Entry>, BTreeSet<String>) = Default::default();
    for (number, line) in text.lines() {
        let Some((name, hash)) = line.split_once(':') else {
            // Such a line may be a password that was typed into the wrong place.
            text.remark(
                number,
                "(no colon)",
                Fate::Unsupported,
                "no name and hash with a colon between: skipped",
            );
            continue;
        };
        let (name, hash) = (trim(name), trim(hash));
        let label = format!("{name}:{}…", scheme(hash));
        let problem = match check(name, hash) {
            Err(problem) => Some(problem),
            Ok(()) if !names.insert(name.to_owned()) => Some("the name stands in the file before"),
            Ok(()) => None,
        };
        match (problem, version) {
            (Some(problem), Version::V2_1) => return Err(text.wrong(number, problem)),
            (Some(problem), Version::V2_0) => {
                text.remark(number, &label, Fate::Unsupported, format!("{problem}: skipped, as 2.0 does"));
            }
            (None, _) if entries.len() >= limits::MAX_ENTRIES => {
                return Err(text.wrong(number, format!("more than {} users", limits::MAX_ENTRIES)));
            }
            (None, _) => {
                text.remark(number, &label, Fate::Carried, "");
                let (name, hash) = (name.to_owned(), Zeroizing::new(hash.to_owned()));
                entries.push(Entry { name, hash, place: text.place(number) });
            }
        }
    }
    Ok((entries, text.into_remarks()))
}

/// Returns the part of a hash that names its kind.
fn scheme(hash: &str) -> &'static str {
    ["$6$", "$7$", "$argon2id$"].into_iter().find(|scheme| hash.starts_with(scheme)).unwrap_or("?")
}

fn check(name: &str, hash: &str) -> Result<(), &'static str> {
    let bad = "the hash is none of mosquitto_passwd's ($6$, $7$ or $argon2id$)";
    if name.is_empty() {
        return Err("the name is empty");
    }
    let parts: Vec<&str> = hash.split('$').collect();
    let fits = match parts.as_slice() {
        ["", "6", salt, hash] => is_salt(salt) && is_hash(hash),
        ["", "7", rounds, salt, hash] => {
            rounds.parse::<u32>().is_ok_and(|rounds| rounds > 0) && is_salt(salt) && is_hash(hash)
        }
        ["", "argon2id", _version, _costs, salt, hash] => !salt.is_empty() && !hash.is_empty(),
        _ => false,
    };
    if fits { Ok(()) } else { Err(bad) }
}

fn is_salt(text: &str) -> bool {
    Base64::decode_vec(text).is_ok_and(|bytes| matches!(bytes.len(), 12 | 64))
}

fn is_hash(text: &str) -> bool {
    Base64::decode_vec(text).is_ok_and(|bytes| bytes.len() == 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(scheme: &str, salt: usize) -> String {
        format!("{scheme}{}${}", Base64::encode_string(&vec![7; salt]), Base64::encode_string(&[9; 64]))
    }

    fn names(text: &str, version: Version) -> Vec<String> {
        let (entries, _) = parse("passwd", text.as_bytes(), version).unwrap();
        entries.into_iter().map(|entry| entry.name).collect()
    }

    #[test]
    fn each_kind_of_hash_is_read_and_none_is_shown() {
        let text = format!(
            "# users\n ann :{}\nben:{}\r\ncat:{}\ndan:$argon2id$v=19$m=47104,t=1,p=1$c2FsdA$aGFzaA\n",
            hash("$6$", 12),
            hash("$7$101$", 12),
            hash("$7$200000$", 64)
        );
        let (entries, remarks) = parse("passwd", text.as_bytes(), Version::V2_1).unwrap();
        let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["ann", "ben", "cat", "dan"]);
        assert_eq!(remarks.len(), 5);
        assert!(remarks.iter().all(|remark| !remark.text.contains(&hash("", 12)[..8])), "{remarks:?}");
    }

    #[test]
    fn a_broken_line_is_skipped_by_2_0_and_refused_by_2_1() {
        let good = hash("$7$101$", 12);
        for broken in [
            format!("ben:{}", hash("$7$101$", 13)),
            format!("ann:{good}"),
            ":".to_owned() + &good,
            "ben:plain".to_owned(),
            format!("ben:{}", &good[..good.len() - 5]),
        ] {
            let text = format!("ann:{good}\n{broken}\ncat:{good}\n");
            assert_eq!(names(&text, Version::V2_0), ["ann", "cat"], "{broken}");
            let wrong = parse("passwd", text.as_bytes(), Version::V2_1).err().unwrap();
            assert_eq!(wrong.place.line, 2, "{wrong}");
        }
        assert_eq!(names(&format!("secret\nann:{good}"), Version::V2_1), ["ann"]);
    }

    #[test]
    fn no_remark_shows_what_could_be_a_password() {
        let text = "hunter2\nann:hunter2\n";
        let (_, remarks) = parse("passwd", text.as_bytes(), Version::V2_0).unwrap();
        assert!(!format!("{remarks:?}").contains("hunter2"), "{remarks:?}");
    }

    #[test]
    fn what_is_no_text_is_refused_with_its_line() {
        for (bytes, line) in [(&b"ann:x\nb\xffn:y\n"[..], 2), (b"\xef\xbb\xbfann:x", 1), (b"a\n\0", 2)] {
            assert_eq!(parse("passwd", bytes, Version::V2_0).err().unwrap().place.line, line);
        }
        let huge = vec![b'#'; limits::MAX_FILE_BYTES + 1];
        assert!(parse("passwd", &huge, Version::V2_0).is_err());
    }
}
