//! Bundles for the ESP8266 and the ESP32: a header with everything that the device must know, and an Arduino sketch.

use super::{CA, CERT, Contents, FILE_BYTES, KEY};
use crate::failure::{Failure, Outcome};
use keyward_identity::files;
use keyward_server::control::Chip;
use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;
use zeroize::Zeroizing;

/// The folder of the sketch; Arduino wants it to be called as the file in it.
pub(super) const SKETCH: &str = "sketch";

const INO: &str = include_str!("chip/sketch.ino");
const ESP8266: &str = include_str!("chip/esp8266.h");
const ESP32: &str = include_str!("chip/esp32.h");

/// The name for which a stack looks that cannot look for an address. Every certificate of the broker holds it, unless an
/// operator removed it.
const ANY_NAME: &str = "localhost";

/// Says what no software can do for such a chip, a line each.
pub(crate) fn unprotected(chip: Chip) -> &'static [&'static str] {
    match chip {
        Chip::Esp8266 => &[
            "This chip cannot protect its key: who holds the device reads its flash, key and Wi-Fi password with it, and has a",
            "copy that nobody can tell from it. No setting prevents that. What is left is to notice (a rolling secret that was used",
            "up, two that take turns with one id, a start that you did not cause) and to shut out: keyward device revoke ID.",
        ],
        Chip::Esp32 => &[
            "This chip does not protect its key as it comes: who holds the device reads its flash, key and Wi-Fi password with",
            "it, and has a copy that nobody can tell from it. Flash encryption and secure boot, burned into its fuses, make that",
            "hard; the sketch does not turn them on. What is left is to notice (a rolling secret that was used up, two that take",
            "turns with one id, a start that you did not cause) and to shut out: keyward device revoke ID.",
        ],
    }
}

/// Writes the sketch's folder into a bundle whose key is there already.
pub(super) fn write(contents: &Contents<'_>, chip: Chip, made_unix_s: u64, dir: &Path) -> Outcome {
    let Some(certificate) = contents.certificate_pem else {
        return Err(Failure::failed("a bundle for a chip needs a certificate"));
    };
    let key = files::read_private(&dir.join(KEY), FILE_BYTES)?;
    let key =
        std::str::from_utf8(&key).map_err(|_| Failure::failed("the key that was just made is no text"))?;
    let header = header(contents, certificate, key, made_unix_s);
    let folder = dir.join(SKETCH);
    files::create_private_dir(&folder)?;
    let board = match chip {
        Chip::Esp8266 => ESP8266,
        Chip::Esp32 => ESP32,
    };
    for (name, text) in [("keyward.h", header.as_str()), ("board.h", board), ("sketch.ino", INO)] {
        files::write_new(&folder.join(name), text.as_bytes())?;
    }
    Ok(())
}

/// Writes the header: C that any compiler takes.
fn header(contents: &Contents<'_>, certificate: &str, key: &str, made_unix_s: u64) -> Zeroizing<String> {
    // Room for all of it from the start: a string that grows leaves its old bytes behind.
    let mut text = Zeroizing::new(String::with_capacity(3 * FILE_BYTES));
    let address = &contents.address;
    let id = address.identity.split_once(':').map_or("", |(_, id)| id);
    let own = contents.first_topic.as_deref().and_then(|topic| topic.strip_suffix("/status")).unwrap_or(id);
    let is_address = address.host.parse::<IpAddr>().is_ok();
    let name = if is_address { ANY_NAME } else { &address.host };
    text.push_str(
        "/* What this device must know. SECRET: the private key is in here; nobody else has it.\n * Made by keyward device add; \
         make it again rather than edit it. */\n#ifndef KEYWARD_H\n#define KEYWARD_H\n\n",
    );
    for (what, value) in [("HOST", address.host.as_str()), ("SERVER_NAME", name), ("ID", id)] {
        let _ = writeln!(text, "#define KEYWARD_{what} \"{}\"", literal(value));
    }
    let _ = writeln!(text, "#define KEYWARD_PORT {}", address.port);
    for topic in ["STATUS", "DISPLAY", "INTERVAL"] {
        let _ = writeln!(text, "#define KEYWARD_TOPIC_{topic} \"{}/{}\"", literal(own), topic.to_lowercase());
    }
    let _ = writeln!(
        text,
        "\n/* When this was made, in seconds since 1970: no clock before it is right. */\n#define KEYWARD_MADE {made_unix_s}\n\n\
         /* Arduino: the texts stay in flash. */\n#ifndef PROGMEM\n#define PROGMEM\n#endif"
    );
    for (what, file, pem) in [("CA", CA, contents.ca_pem), ("CERT", CERT, certificate), ("KEY", KEY, key)] {
        let _ = write!(text, "\n/* {file} */\nstatic const char KEYWARD_{what}[] PROGMEM =");
        for line in pem.lines() {
            let _ = write!(text, "\n    \"{}\\n\"", literal(line));
        }
        text.push_str(";\n");
    }
    text.push_str("\n#endif\n");
    text
}

/// Leaves out what would end a string of C or steer the compiler; a host that somebody gave may hold anything.
fn literal(text: &str) -> impl std::fmt::Display + '_ {
    struct Literal<'a>(&'a str);
    impl std::fmt::Display for Literal<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            let plain = |c: &char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '?') || *c == ' ';
            self.0.chars().filter(plain).try_for_each(|c| f.write_char(c))
        }
    }
    Literal(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::BundleKind;
    use keyward_client::Address;

    #[test]
    fn a_host_that_somebody_gave_steers_no_compiler() {
        let host = "a\"\n#include \"/etc/passwd\\".to_owned();
        let contents = Contents {
            address: Address::new("device:dev01".to_owned(), "i".to_owned(), host, 8883),
            kind: BundleKind::Esp8266,
            ca_pem: "CA",
            installation_key_pem: None,
            certificate_pem: Some("CERT"),
            has_key: true,
            chip: Some(Chip::Esp8266),
            first_topic: Some("devices/dev01/status".to_owned()),
        };
        let text = header(&contents, "CERT", "KEY", 1);
        assert!(text.contains("#define KEYWARD_HOST \"a#include /etc/passwd\"\n"), "{}", *text);
        assert!(text.contains("#define KEYWARD_TOPIC_INTERVAL \"devices/dev01/interval\"\n"), "{}", *text);
        assert_eq!(text.lines().filter(|line| line.starts_with("#include")).count(), 0);
    }
}
