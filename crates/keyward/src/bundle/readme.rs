//! The README.txt of a bundle.

use super::{CA, CERT, Contents, INSTALLATION, KEY, chip, keyward_commands, mosquitto_command};
use crate::args::BundleKind;
use crate::program::Program;
use std::fmt::Write;
use std::path::Path;

/// Writes the text: what the files are, and commands that are filled in.
pub(super) fn text(contents: &Contents<'_>, dir: &Path, program: &Program) -> String {
    let address = &contents.address;
    let mut text = format!(
        "This bundle lets {} log in to the Keyward broker at {}, port {} (MQTT over TLS).\n\nFiles\n",
        address.identity, address.host, address.port
    );
    for (name, what) in files(contents) {
        let _ = writeln!(text, "  {name:16} {what}");
    }
    let ours = keyward_commands(contents, dir, program).map(|[_, publish]| publish);
    let commands: Vec<String> = [ours, mosquitto_command(contents, dir)].into_iter().flatten().collect();
    if !commands.is_empty() {
        text.push_str("\nA first message\n");
        for command in commands {
            let _ = writeln!(text, "  {command}");
        }
    }
    if let Some(chip) = contents.chip {
        let _ = writeln!(text, "\nWhat the chip cannot protect\n  {}", chip::unprotected(chip).join("\n  "));
    }
    let _ = writeln!(
        text,
        "\nOn another machine\n  Copy the directory there over a safe way, adapt the paths, and replace {} by a name or\n  \
         address of the broker that its certificate carries (`keyward server name list` on the broker).\n  \
         Then delete this copy: who has it is {}.",
        address.host, address.identity
    );
    text
}

fn files(contents: &Contents<'_>) -> Vec<(&'static str, &'static str)> {
    let mut files = vec![(CA, "the trust anchor: connect only to a broker whose certificate it vouches for")];
    if contents.certificate_pem.is_some() {
        files.push((CERT, "the certificate, followed by its issuer"));
        if contents.has_key {
            files.push((KEY, "the private key, a secret; nobody else has it, not even the broker"));
        }
    }
    if contents.installation_key_pem.is_some() {
        files.push((
            INSTALLATION,
            "a public key: commands are believed by who pins it (docs/signed-messages.md)",
        ));
    }
    files.push((super::ADDRESS, "where to connect, for keyward pub and keyward sub --bundle-dir"));
    if contents.kind == BundleKind::NodeRed {
        files.push((
            super::node_red::FLOW,
            "a flow for Node-RED (menu, Import); it names these files by their paths",
        ));
    }
    if contents.kind == BundleKind::Mosquitto {
        files.push((
            "mosquitto_pub",
            "options that mosquitto_pub reads when XDG_CONFIG_HOME is this directory",
        ));
        files.push(("mosquitto_sub", "the same for mosquitto_sub"));
    }
    if contents.kind.chip().is_some() {
        files.push((
            "sketch",
            "an Arduino sketch, not run on hardware by us; its keyward.h holds the above, the key too",
        ));
    }
    files
}
