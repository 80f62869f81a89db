//! The options of `mosquitto.conf` that are no more than remarked, with what is said about each.

use crate::Fate;

/// Returns what becomes of an option that [`conf`](crate::conf) does not read; `None` if there is no such option.
pub(crate) fn treatment(key: &str) -> Option<(Fate, &'static str)> {
    let groups: [(&[&str], Fate, &str); 13] = [
        (
            RESTRICTING,
            Fate::Refused,
            "Keyward has no such thing, and without it more would be open: take the line out if it may be left out",
        ),
        (
            INTERFACES,
            Fate::Refused,
            "here a listener is held to an address: write the interface's address into `listener`, and take the line out",
        ),
        (
            PLUGINS,
            Fate::Refused,
            "what a plugin decides cannot be read: take its lines out if it may be left out",
        ),
        (
            BRIDGE,
            Fate::Unsupported,
            "bridges are not carried over; those clients stay with Mosquitto or connect themselves",
        ),
        (PSK, Fate::Unsupported, "no pre-shared keys: such clients get a certificate or a password"),
        (TLS, Fate::Changed, "Keyward speaks TLS 1.2 and 1.3 with the suites of its own choice"),
        (STORE, Fate::Changed, "Keyward keeps sessions and messages by itself; see docs/durability.md"),
        (BOUNDS, Fate::Changed, "Keyward has bounds of its own: [limits] of keyward.toml, docs/limits.md"),
        (LOGS, Fate::Changed, "what is logged stands in [log] of keyward.toml"),
        (PROCESS, Fate::Changed, "how the process runs is for the service manager to say"),
        (SYS, Fate::Changed, "`sys_interval` of [server] in keyward.toml"),
        (NETWORK, Fate::Unsupported, "left to the system"),
        (CLIENT_IDS, Fate::Changed, "an empty client id is always replaced"),
    ];
    if key.starts_with("bridge_") || key.starts_with("remote_") || key.starts_with("local_") {
        return Some((Fate::Unsupported, "bridges are not carried over"));
    }
    if key.starts_with("plugin_opt_") || key.starts_with("auth_opt_") {
        return Some((Fate::Unsupported, "an option of a plugin"));
    }
    groups.into_iter().find(|(keys, ..)| keys.contains(&key)).map(|(_, fate, what)| (fate, what))
}

/// Tells whether the values of an option are secrets.
pub(crate) fn is_secret(key: &str) -> bool {
    let names_a_file = key.ends_with("password_file") || key.ends_with("psk_file");
    let guarded = ["password", "psk", "opt_", "keyform", "engine"];
    !names_a_file && guarded.iter().any(|part| key.contains(part))
}

const RESTRICTING: &[&str] =
    &["mount_point", "clientid_prefixes", "accept_protocol_versions", "enable_proxy_protocol"];
const INTERFACES: &[&str] = &["bind_interface", "socket_domain"];
const PLUGINS: &[&str] = &["plugin_load", "plugin_use", "auth_plugin_deny_special_chars"];
const BRIDGE: &[&str] = &[
    "connection",
    "address",
    "addresses",
    "topic",
    "cleansession",
    "clientid",
    "idle_timeout",
    "keepalive_interval",
    "notifications",
    "notifications_local_only",
    "notification_topic",
    "restart_timeout",
    "round_robin",
    "start_type",
    "threshold",
    "try_private",
    "username",
    "password",
    "max_queued_bridge_messages",
];
const PSK: &[&str] = &["psk_file", "psk_hint"];
const TLS: &[&str] = &[
    "tls_version",
    "ciphers",
    "ciphers_tls1.3",
    "dhparamfile",
    "tls_engine",
    "tls_engine_kpass_sha1",
    "tls_keyform",
    "disable_client_cert_date_checks",
    "tls_keylog",
];
const STORE: &[&str] = &[
    "persistence",
    "persistence_file",
    "persistence_location",
    "autosave_interval",
    "autosave_on_changes",
    "persistent_client_expiration",
    "retained_persistence",
    "store_clean_interval",
];
const BOUNDS: &[&str] = &[
    "max_connections",
    "global_max_connections",
    "global_max_clients",
    "max_inflight_bytes",
    "max_inflight_messages",
    "max_keepalive",
    "max_packet_size",
    "max_qos",
    "max_queued_bytes",
    "max_queued_messages",
    "max_topic_alias",
    "max_topic_alias_broker",
    "memory_limit",
    "message_size_limit",
    "packet_buffer_size",
    "queue_qos0_messages",
    "retain_available",
    "check_retain_source",
    "upgrade_outgoing_qos",
    "retain_expiry_interval",
    "retry_interval",
];
const LOGS: &[&str] = &[
    "log_dest",
    "log_type",
    "log_facility",
    "log_timestamp",
    "log_timestamp_format",
    "connection_messages",
    "websockets_log_level",
];
const PROCESS: &[&str] = &["user", "pid_file", "http_dir", "http_api_port"];
const SYS: &[&str] = &["sys_interval"];
const NETWORK: &[&str] = &["set_tcp_nodelay", "websockets_headers_size", "websockets_origin"];
const CLIENT_IDS: &[&str] = &["allow_zero_length_clientid", "auto_id_prefix", "allow_duplicate_messages"];
