//! Every decoder that meets foreign bytes, as a fuzz target.
//!
//! A target is a function that takes any bytes and panics if the decoder, or a promise about what it returns, breaks.
//! `cargo test` runs each over its seeds and five seconds of mutation (`tests/`) and bounds the memory and time of
//! each input; `./test.sh fuzz` hands the same functions to libFuzzer (`libfuzzer/`). A new decoder is one function here,
//! one line in [`TARGETS`], a file in `libfuzzer/fuzz_targets/` and a folder in `seeds/`; a test compares the four, another
//! finds decoders that no line names.
#![expect(clippy::panic, reason = "a fuzz target tells what it found by panicking")]

pub mod bundle;
pub mod device;
pub mod enrolling;
pub mod envelope;
pub mod identity;
pub mod messages;
pub mod mosquitto;
pub mod mqtt;
pub mod mutation;
pub mod resolver;
pub mod rules;
pub mod script;
pub mod server;
pub mod store;
pub mod tls;
pub mod tpm;
pub mod websocket;

/// Is one decoder under test.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of its folder in `seeds/` and of its file in `libfuzzer/fuzz_targets/`.
    pub name: &'static str,
    /// Takes any bytes; panics on a bug.
    pub run: fn(&[u8]),
    /// The most memory that one input may make it hold at a time, in KiB: some times what was measured, far below what would
    /// hurt.
    pub memory: usize,
    /// Which decoders it runs: files below `crates/`.
    pub decodes: &'static [&'static str],
}

/// Files that read something and need no target of their own, with the reason; below `crates/`.
pub const EXCUSED: &[(&str, &str)] = &[
    ("server/src/admin/places.rs", "hands names, fences and scopes to those that read them"),
    ("broker/src/message.rs", "asks whether a payload that calls itself text is UTF-8"),
    ("device/src/keys/token/link.rs", "the owner's PIN, as text"),
    (
        "device/src/keys/token/objects.rs",
        "labels and points of a token, whose library runs in this process and could do anything; tests read both",
    ),
    (
        "device/src/enrol/apply.rs",
        "certificates as PEM; a library reads them, and `bundle` covers what follows",
    ),
    ("device/src/device.rs", "what the kernel says of this boot"),
    (
        "device/src/numbers/seen.rs",
        "our own numbers behind a checksum, at most 512 bytes; the crate's tests damage each byte",
    ),
    ("device/src/keys/tpm/mod.rs", "the number of our own index, out of the store's private folder"),
    ("device/src/heartbeat/mod.rs", "the number that the kernel gives as the supply's voltage"),
    ("engine/src/format.rs", "two lines of ours; the engine's tests damage each file, this one too"),
    ("engine/src/marks.rs", "a number behind a checksum; the engine's tests damage it"),
    ("import/src/journal.rs", "our own note on an import under way, private and never half written"),
    ("identity/src/authority/key.rs", "our own keys, out of files that `key_file` covers"),
    ("identity/src/decide/trusted.rs", "certificates that `trusted_authority` covers, looked at again"),
    ("identity/src/password.rs", "counts the letters of a password"),
    ("identity/src/store.rs", "the note in the lock file, for people"),
    (
        "server/src/notify/tls.rs",
        "the authorities of the system, or of the owner's file; a library reads them",
    ),
    ("server/src/notify/webhook.rs", "hands those authorities on to the library of HTTP"),
    ("keyward/src/agent/config.rs", "the owner's file; `key_spec` covers the name of the keys"),
    ("keyward/src/agent/orders.rs", "asks whether a payload that is shown is text"),
    ("keyward/src/commands/agent.rs", "the answer of our own agent, shown escaped"),
    ("keyward/src/args/broker.rs", "the operator's command line"),
    ("keyward/src/args/sealing.rs", "the operator's command line"),
    (
        "keyward/src/commands/open.rs",
        "what the operator opens, as hexadecimal digits or base64; what that holds is covered by the targets of `envelope`",
    ),
    ("keyward/src/commands/seal.rs", "our own number in a private file"),
    ("keyward/src/hex.rs", "digits; its tests try what is none"),
    ("keyward/src/bundle/chip.rs", "the key that was made a moment ago; asks whether a host is an address"),
    ("keyward/src/commands/subscribe.rs", "shows a payload, escaped"),
    ("keyward/src/commands/server_certificate.rs", "the operator's key file, as text"),
    (
        "import/src/plan/certificates.rs",
        "files of the operator's own broker, as text; what `trusted_authority` covers reads them",
    ),
    ("keyward/src/demo/strangers.rs", "the demo's own bundle"),
    ("keyward/src/secret.rs", "the first line of a password file"),
    ("server/src/admin/audited.rs", "digests that are compared, never used"),
    ("server/src/admin/confirming.rs", "names, by the parsers that `names` covers"),
    ("server/src/admin/fixture.rs", "messages of tests, as text"),
    (
        "server/src/config/quarantine.rs",
        "names, by the parsers that `names` covers, in a file that `configuration` covers",
    ),
    ("server/src/admin/devices.rs", "names, by the parsers that `names` covers"),
    ("server/src/admin/keys.rs", "names, by the parsers that `names` and `message_key` cover"),
    ("server/src/admin/listeners.rs", "addresses, by the parsers that `configuration` covers"),
    ("server/src/admin/presets.rs", "hands texts to what `rules` covers"),
    (
        "server/src/backup/keys.rs",
        "the operator's passphrases and age keys; what an age file holds is read by its library",
    ),
    ("server/src/admin/server_certificates.rs", "hands names and files to what `trusted_authority` covers"),
    ("server/src/installation.rs", "hands texts to what `configuration` covers"),
    ("server/src/plane/tls/mod.rs", "our own certificates, out of the ledger"),
    ("server/src/plane/tls/trusted.rs", "certificates that `trusted_authority` covers, looked at again"),
    ("server/src/plane/tls/path_length.rs", "certificates that `trusted_authority` covers, looked at again"),
    ("server/src/plane/worker/inflow.rs", "drives what `server_connection` covers"),
    ("server/src/rules.rs", "hands texts to what `rules` covers"),
    (
        "watch/src/ratchet.rs",
        "17 bytes of ours behind a version; the crate's tests damage them, and read each that was written",
    ),
    ("server/src/sys/heap.rs", "the kernel's words about this process"),
];

const fn row(name: &'static str, run: fn(&[u8]), memory: usize, decodes: &'static [&'static str]) -> Target {
    Target { name, run, memory, decodes }
}

/// All targets.
#[rustfmt::skip]
pub const TARGETS: &[Target] = &[
    row("packets", mqtt::packets, 64, &["mqtt/src/codec.rs", "mqtt/src/codec/", "mqtt/src/frame.rs", "mqtt/src/lists.rs"]),
    row("server_connection", mqtt::server_connection, 64, &["mqtt/src/connection/server.rs"]),
    row("client_connection", mqtt::client_connection, 64, &["mqtt/src/connection/client.rs", "mqtt/src/connection/client/"]),
    row("topics", mqtt::topics, 64, &["mqtt/src/topic.rs"]),
    row("rules", rules::rules, 256, &["policy/src/file.rs", "policy/src/template.rs", "policy/src/policy.rs", "policy/src/explain.rs"]),
    row("names", identity::names, 64, &["ids/src/identity.rs", "ids/src/keys.rs", "ids/src/names.rs", "identity/src/place.rs"]),
    row("server_names", server::server_names, 64, &["identity/src/names.rs", "server/src/names.rs", "server/src/admin/server.rs"]),
    row("ledger_record", store::ledger_record, 64, &["identity/src/ledger/record.rs", "identity/src/wire.rs", "identity/src/secret.rs"]),
    row("ledger_files", store::ledger_files, 512, &["identity/src/ledger/mod.rs", "identity/src/ledger/scan.rs", "identity/src/ledger/mend.rs", "files/src/lib.rs"]),
    row("ledger_remains", store::ledger_remains, 512, &["identity/src/ledger/remains.rs"]),
    row("revoked_list", identity::revoked_list, 256, &["identity/src/restore/list.rs"]),
    row("snapshot", store::snapshot, 512, &["identity/src/ledger/snapshot.rs", "identity/src/registry.rs", "identity/src/replay.rs"]),
    row("stored_records", messages::stored_records, 512, &["broker/src/persist/"]),
    row("key_file", store::key_file, 128, &["identity/src/vault.rs", "identity/src/pem.rs", "identity/src/groups.rs"]),
    row("signing_request", identity::signing_request, 64, &["identity/src/csr.rs"]),
    row("message_key", identity::message_key, 64, &["identity/src/message_key.rs", "identity/src/agreement_key.rs", "identity/src/cose_key.rs", "identity/src/message_secret.rs"]),
    row("enrolment", server::enrolment, 64, &["server/src/enrolment/message.rs"]),
    row("device_payload", server::device_payload, 512, &["server/src/watch/readings.rs", "server/src/watch/heartbeat.rs"]),
    row("rolling_secrets", server::rolling_secrets, 64, &["server/src/ratchet/words.rs", "server/src/ratchet/store.rs"]),
    row("notices_file", server::notices_file, 512, &["server/src/notify/file.rs"]),
    row("smtp_answer", server::smtp_answer, 64, &["server/src/notify/smtp.rs"]),
    row("incidents_file", server::incidents_file, 512, &["server/src/watch/book.rs", "watch/src/event.rs"]),
    row("learned_file", server::learned_file, 4096, &["server/src/watch/learned.rs", "watch/src/array.rs"]),
    row("recording", server::recording, 512, &["server/src/watch/replay.rs", "server/src/watch/recording.rs"]),
    row("imported_hash", identity::imported_hash, 64, &["identity/src/password/imported.rs"]),
    row("trusted_authority", identity::trusted_authority, 256, &["identity/src/trusted.rs", "identity/src/imported.rs"]),
    row("certificate", server::certificate, 64, &["identity/src/authority/mod.rs", "server/src/plane/tls/certificate.rs"]),
    row("version1_certificate", server::version1_certificate, 64, &["server/src/plane/tls/version1.rs"]),
    row("client_hello", server::client_hello, 64, &["server/src/plane/tls/hello.rs", "server/src/plane/tls/fragment.rs", "server/src/plane/tls/fingerprint.rs"]),
    row("tls_channel", tls::tls_channel, 256, &["server/src/plane/tls/channel.rs"]),
    row("websocket_upgrade", websocket::websocket_upgrade, 64, &["server/src/plane/websocket/upgrade.rs"]),
    row("websocket_frames", websocket::websocket_frames, 64, &["server/src/plane/websocket/frame.rs"]),
    row("control_request", server::control_request, 256, &["server/src/control/socket.rs", "server/src/control/line.rs", "server/src/control/secret.rs"]),
    row("control_answer", server::control_answer, 64, &["server/src/control/client.rs", "server/src/control/response.rs"]),
    row("configuration", server::configuration, 256, &["server/src/config/mod.rs", "server/src/config/file.rs", "server/src/config/unit.rs", "server/src/config/network.rs", "server/src/config/place.rs", "server/src/config/notify/address.rs", "server/src/login.rs"]),
    row("configuration_edit", server::configuration_edit, 256, &["server/src/config/edit.rs"]),
    row("backup", server::backup, 512, &["server/src/backup/archive/mod.rs", "server/src/backup/archive/read.rs", "server/src/backup/archive/tar.rs", "server/src/backup/archive/rows.rs"]),
    row("mosquitto", mosquitto::mosquitto, 256, &["mosquitto/src/"]),
    row("envelope_message", envelope::envelope_message, 64, &["envelope/src/cbor/", "envelope/src/claims.rs", "envelope/src/header.rs", "envelope/src/verify.rs"]),
    row("envelope_content", envelope::envelope_content, 64, &["envelope/src/inner.rs", "envelope/src/recipient.rs", "envelope/src/group.rs", "envelope/src/grant.rs"]),
    row("envelope_keys", envelope::envelope_keys, 64, &["envelope/src/keys.rs", "envelope/src/keyset.rs", "envelope/src/software.rs"]),
    row("envelope_window", envelope::envelope_window, 64, &["envelope/src/window.rs"]),
    row("agent_line", enrolling::agent_line, 256, &["device/src/line.rs"]),
    row("claim", enrolling::claim, 64, &["device/src/enrol/claim.rs"]),
    row("application_answer", enrolling::application_answer, 256, &["device/src/enrol/answer.rs", "device/src/enrol/membership.rs"]),
    row("command", enrolling::command, 64, &["device/src/command/judge.rs"]),
    row("bundle", bundle::bundle, 128, &["client/src/address.rs", "client/src/tls.rs"]),
    row("key_spec", device::key_spec, 64, &["device/src/keys/spec/"]),
    row("key_files", device::key_files, 64, &["device/src/keys/software.rs", "device/src/keys/sealed.rs"]),
    row("tpm_answer", tpm::tpm_answer, 64, &["tpm/src/answer.rs", "tpm/src/session.rs", "tpm/src/wire.rs", "tpm/src/key_file.rs"]),
    row("tpm_evidence", tpm::tpm_evidence, 64, &["tpm/src/evidence.rs", "tpm/src/attest.rs", "tpm/src/public.rs", "tpm/src/credential.rs"]),
    row("outbox_segment", device::outbox_segment, 256, &["device/src/outbox/entry.rs", "device/src/log/", "device/src/bytes.rs"]),
    row("sealed_segment", device::sealed_segment, 256, &["device/src/sealed/record.rs"]),
    row("resolver", resolver::resolver, 256, &["client/src/resolver/"]),
];
