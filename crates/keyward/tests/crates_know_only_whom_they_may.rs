//! Reads `cargo metadata` and fails on a dependency between Keyward's crates that the table of ARCHITECTURE.md does
//! not list, and on anything unexpected in the closure of a pure crate.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};
use std::collections::{BTreeMap, BTreeSet};

/// Who may know whom, outside tests. The same table stands in ARCHITECTURE.md.
const EDGES: &[(&str, &[&str])] = &[
    ("ids", &[]),
    ("mqtt", &[]),
    ("store", &[]),
    ("engine", &["store"]),
    ("policy", &["ids", "mqtt"]),
    ("client", &["mqtt"]),
    ("mosquitto", &[]),
    ("envelope", &[]),
    ("files", &[]),
    ("identity", &["ids", "files"]),
    ("tpm", &[]),
    ("watch", &["ids"]),
    ("device", &["ids", "mqtt", "files", "envelope", "client", "tpm"]),
    ("broker", &["ids", "mqtt", "policy", "envelope", "store"]),
    (
        "server",
        &["ids", "mqtt", "policy", "envelope", "identity", "broker", "store", "engine", "tpm", "watch"],
    ),
    ("import", &["ids", "policy", "identity", "mosquitto", "server"]),
    (
        "keyward",
        &["ids", "mqtt", "policy", "identity", "broker", "client", "device", "envelope", "import", "server"],
    ),
    ("sim", &["ids", "mqtt", "store", "policy", "envelope", "broker", "watch"]),
    (
        "fuzz",
        &[
            "ids",
            "mqtt",
            "policy",
            "client",
            "device",
            "mosquitto",
            "envelope",
            "identity",
            "store",
            "broker",
            "server",
            "tpm",
        ],
    ),
    ("cut", &[]),
    ("bench", &["watch"]),
];

/// What writing and reading values brings into a pure crate.
const SERDE: &[&str] =
    &["proc-macro2", "quote", "serde", "serde_core", "serde_derive", "syn", "unicode-ident"];

/// What reading TOML brings, that among it: data structures and parsers.
const TOML: &[&str] = &[
    "equivalent",
    "hashbrown",
    "indexmap",
    "memchr",
    "proc-macro2",
    "quote",
    "serde",
    "serde_core",
    "serde_derive",
    "serde_spanned",
    "syn",
    "toml",
    "toml_datetime",
    "toml_parser",
    "toml_writer",
    "unicode-ident",
    "winnow",
];

/// What curves, ciphers and hashes bring into a pure crate: arithmetic, and nowhere a source of random numbers. (On some
/// processors libc is asked which instructions they have.)
const CRYPTOGRAPHY: &[&str] = &[
    "aead",
    "aes",
    "aes-gcm",
    "aes-kw",
    "autocfg",
    "base16ct",
    "block-buffer",
    "ccm",
    "cfg-if",
    "cipher",
    "cmov",
    "const-oid",
    "cpubits",
    "cpufeatures",
    "crypto-bigint",
    "crypto-common",
    "ctr",
    "ctutils",
    "curve25519-dalek",
    "curve25519-dalek-derive",
    "der",
    "digest",
    "ecdsa",
    "ed25519",
    "ed25519-dalek",
    "elliptic-curve",
    "ff",
    "ghash",
    "group",
    "hkdf",
    "hmac",
    "hybrid-array",
    "inout",
    "libc",
    "num-traits",
    "p256",
    "polyval",
    "primefield",
    "primeorder",
    "proc-macro2",
    "quote",
    "rand_core",
    "rfc6979",
    "rustc_version",
    "sec1",
    "semver",
    "serde_core",
    "sha2",
    "signature",
    "subtle",
    "syn",
    "typenum",
    "unicode-ident",
    "universal-hash",
    "wnaf",
    "zeroize",
    "zeroize_derive",
];

/// What a pure crate may contain, whole closure: nothing here does IO, reads a clock or draws a random number.
const PURE: &[(&str, &[&[&str]])] = &[
    ("ids", &[SERDE]),
    ("mqtt", &[]),
    ("store", &[]),
    ("policy", &[&["keyward-ids", "keyward-mqtt"], TOML]),
    ("envelope", &[CRYPTOGRAPHY]),
    ("watch", &[&["keyward-ids"], SERDE]),
    (
        "broker",
        &[
            &["keyward-ids", "keyward-mqtt", "keyward-policy", "keyward-envelope", "keyward-store"],
            &["siphasher", "slab"],
            TOML,
            CRYPTOGRAPHY,
        ],
    ),
];

fn metadata() -> Metadata {
    // One platform only: crates of others are in no cache, and a test asks no network.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let options = ["--locked", "--offline", "--filter-platform", &platform].map(str::to_owned);
    MetadataCommand::new().other_options(options).exec().unwrap()
}

fn short(name: &str) -> &str {
    name.strip_prefix("keyward-").unwrap_or(name)
}

/// Each package with the packages that its ordinary and build dependencies resolve to.
fn resolved(metadata: &Metadata) -> BTreeMap<&PackageId, Vec<&PackageId>> {
    let graph = metadata.resolve.as_ref().unwrap();
    let real = |kind: DependencyKind| matches!(kind, DependencyKind::Normal | DependencyKind::Build);
    graph
        .nodes
        .iter()
        .map(|node| {
            let deps = node.deps.iter().filter(|dep| dep.dep_kinds.iter().any(|kind| real(kind.kind)));
            (&node.id, deps.map(|dep| &dep.pkg).collect())
        })
        .collect()
}

#[test]
fn every_edge_between_our_crates_is_in_the_table() {
    let metadata = metadata();
    let table: BTreeMap<_, BTreeSet<_>> =
        EDGES.iter().map(|(from, to)| (*from, to.iter().copied().collect())).collect();
    let members: BTreeSet<_> =
        metadata.workspace_packages().iter().map(|p| short(&p.name).to_owned()).collect();
    assert_eq!(
        members,
        table.keys().map(|name| (*name).to_owned()).collect(),
        "crates and the table of edges"
    );
    for package in metadata.workspace_packages() {
        for dependency in &package.dependencies {
            let to = short(&dependency.name);
            let ours = dependency.path.is_some() && dependency.kind != DependencyKind::Development;
            assert!(
                !ours || table[short(&package.name)].contains(to),
                "{} may not depend on {to}: see the table of crates in ARCHITECTURE.md",
                package.name,
            );
        }
    }
}

#[test]
fn the_closure_of_a_pure_crate_holds_only_what_is_listed() {
    let metadata = metadata();
    let graph = resolved(&metadata);
    for (name, allowed) in PURE {
        let package = metadata.workspace_packages().into_iter().find(|p| short(&p.name) == *name).unwrap();
        let (mut seen, mut open) = (BTreeSet::new(), vec![&package.id]);
        while let Some(id) = open.pop() {
            for next in graph[id].iter().filter(|next| seen.insert(**next)) {
                open.push(next);
            }
        }
        let found: BTreeSet<_> = seen.iter().map(|id| metadata[*id].name.to_string()).collect();
        let strangers: Vec<_> =
            found.iter().filter(|found| !allowed.concat().contains(&found.as_str())).collect();
        assert!(strangers.is_empty(), "the pure crate {name} now contains {strangers:?}");
    }
}

#[test]
fn each_crate_lives_in_the_folder_of_its_name() {
    for package in metadata().workspace_packages() {
        let folder = package.manifest_path.parent().unwrap().file_name().unwrap();
        assert_eq!(folder, short(&package.name));
    }
}

#[test]
fn the_table_in_the_architecture_is_this_one() {
    let root = metadata().workspace_root;
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let section =
        text.split("## The crates and who may know whom").nth(1).unwrap().split("\n## ").next().unwrap();
    let words =
        |cell: &str| -> BTreeSet<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let everyone: BTreeSet<String> = EDGES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut written = BTreeMap::new();
    for line in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let name = cells[0].trim_matches('`').to_owned();
        let mut to = if cells[2] == "all" { everyone.clone() } else { words(cells[2]) };
        to.remove(&name);
        written.insert(name, to);
    }
    let checked: BTreeMap<String, BTreeSet<String>> = EDGES
        .iter()
        .map(|(name, to)| ((*name).to_owned(), to.iter().map(|to| (*to).to_owned()).collect()))
        .collect();
    assert_eq!(written, checked);
}
