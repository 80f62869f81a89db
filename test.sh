#!/usr/bin/env bash
# Passes Keyward's tests and installs what they need. Usage: ./test.sh [quick | fuzz [SECONDS]]
#
#   ./test.sh        everything: formatting, lints, unit and integration tests, the simulated world, kills and
#                    power cuts, the demo, foreign clients, the guides, the service, the container
#   ./test.sh quick  formatting, lints, unit and integration tests
#   ./test.sh fuzz   every fuzz target under libFuzzer, 30 seconds each or as many as given; needs a nightly toolchain
#
# Debian packages come by apt-get (as root; otherwise the one line to run is printed), Python packages go into .venv,
# those of npm and the crates of the rumqttc peer into ignored folders below tests/clients.
set -euo pipefail
cd "$(dirname "$0")"

mode=${1:-full}
case "$mode" in full | quick | fuzz) ;; *) echo "usage: ./test.sh [quick | fuzz [SECONDS]]" >&2; exit 2 ;; esac
unset KEYWARD_DIR KEYWARD_NAMES SSLKEYLOGFILE
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto} CARGO_INCREMENTAL=0

# command, or file → Debian package that brings it
needs="cc:gcc openssl:openssl strip:binutils"
[ "$mode" != fuzz ] || needs="$needs c++:g++"
if [ "$mode" = full ]; then
  needs="$needs mosquitto_pub:mosquitto-clients fail2ban-regex:fail2ban mosquitto_passwd:mosquitto age:age systemd-analyze:systemd mandoc:mandoc buildah:buildah podman:podman runc:runc strace:strace fusermount3:fuse3 python3:python3 node:nodejs npm:npm ip:iproute2"
  # what small devices run, and a compiler for one of them
  needs="$needs make:make c++:g++ gnutls-cli:gnutls-bin /usr/include/bearssl.h:libbearssl-dev /usr/include/mbedtls/ssl.h:libmbedtls-dev"
  needs="$needs xtensa-lx106-elf-gcc:gcc-xtensa-lx106"
  # what stands in for the hardware that keeps a device's keys
  needs="$needs swtpm:swtpm softhsm2-util:softhsm2"
fi

install_packages() {
  local missing="" pair
  for pair in $needs; do
    [ -e "${pair%%:*}" ] || command -v "${pair%%:*}" >/dev/null 2>&1 || PATH="$PATH:/usr/sbin" command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
  done
  if [ "$mode" = full ] && ! python3 -c 'import ensurepip' 2>/dev/null; then missing="$missing python3-venv"; fi
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "These Debian packages are missing. Run this line, then ./test.sh again:" >&2
    echo "  sudo apt-get install --no-install-recommends -y$missing" >&2
    exit 1
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends -y $missing >/dev/null
}

# One environment for all: only the tests of signed messages bring something that reads CBOR, of the version that pycose needs.
python_packages() {
  local wanted="tests/clients/requirements.txt tests/envelope/requirements.txt"
  [ -x .venv/bin/python ] || python3 -m venv .venv
  cat $wanted | cmp -s - .venv/requirements.txt && return 0
  .venv/bin/python -m pip install --quiet --disable-pip-version-check $(printf ' -r %s' $wanted)
  cat $wanted >.venv/requirements.txt
}

node_packages() {
  local folder
  for folder in mqttjs nodered; do
    (cd "tests/clients/$folder" && { cmp -s package-lock.json node_modules/installed || {
      npm ci --silent --no-audit --no-fund && cp package-lock.json node_modules/installed
    }; }) || return 1
  done
}
rumqttc_peer() { cargo build --locked --quiet --manifest-path tests/clients/rumqttc/Cargo.toml; }

# What libFuzzer finds lies in crates/fuzz/libfuzzer/artifacts, and what it learned in corpus/ beside it.
fuzz() {
  local seconds=$1 here=$PWD target
  if ! rustup toolchain list | grep nightly >/dev/null; then
    echo "libFuzzer needs a nightly toolchain: rustup toolchain install nightly --profile minimal" >&2
    return 1
  fi
  [ -x .cache/bin/cargo-fuzz ] || cargo install --quiet --locked --root .cache --version 0.13.2 cargo-fuzz || return 1
  export PATH="$here/.cache/bin:$PATH" RUSTUP_TOOLCHAIN=nightly
  (cd crates/fuzz && cargo fuzz build --fuzz-dir libfuzzer) || return 1
  for target in crates/fuzz/seeds/*; do
    target=${target##*/}
    echo "── $target"
    mkdir -p "crates/fuzz/libfuzzer/corpus/$target"
    (cd crates/fuzz && cargo fuzz run --fuzz-dir libfuzzer "$target" "libfuzzer/corpus/$target" "seeds/$target" \
      -- -max_total_time="$seconds" -max_len=4096 -timeout=10 -malloc_limit_mb=16 -print_final_stats=0 -verbosity=0) || return 1
  done
}

timings=""
stage() {
  local name=$1 start=$SECONDS took
  shift
  echo "── $name"
  if ! "$@"; then
    echo "── $name: FAILED after $((SECONDS - start)) s" >&2
    printf '%s' "$timings" >&2
    exit 1
  fi
  took=$((SECONDS - start))
  timings="$timings$(printf '%6d s  %s' "$took" "$name")"$'\n'
}

# One static binary (glibc, +crt-static) is what the container holds, and what the demo and the foreign clients meet.
target=x86_64-unknown-linux-gnu
case "$(uname -m)" in aarch64) target=aarch64-unknown-linux-gnu ;; esac
static_binary() {
  RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --release --target "$target"
}
# First worlds in which a crash takes everything away, then those whose disk survives it.
simulated_world() {
  cargo run --locked --quiet --release -p keyward-sim -- --seeds 1400 &&
    cargo run --locked --quiet --release -p keyward-sim -- --seeds 600 --disk
}
# The attacker is the one that the integration tests were built with: to build it for release takes longer than the floods,
# and floods no harder.
# What else a shared machine does can spoil one run; what is not endured is not endured twice.
floods() {
  local flood=(target/debug/keyward-bench floods --quick --keyward "target/$target/release/keyward")
  "${flood[@]}" || { echo "floods: once more, to tell the broker from the machine" >&2; "${flood[@]}"; }
}
demo() { "target/$target/release/keyward" demo; }
# They wait more than they compute: three files at a time.
foreign_clients() {
  KEYWARD_BIN="$PWD/target/$target/release/keyward" .venv/bin/python -m pytest -q -p no:cacheprovider -n 3 --dist loadfile tests/clients
}
# Other libraries for COSE on every form of mqsec1 and on what keyward seal and open do, and a device in C that is linked with its library.
envelope() {
  cargo build --locked --quiet -p keyward-envelope --example forms &&
    (cd crates/envelope/c && cargo fmt --check && cargo build --locked --quiet --release) &&
    KEYWARD_BIN="$PWD/target/$target/release/keyward" .venv/bin/python -m pytest -q -p no:cacheprovider tests/envelope
}
# Devices that are `keyward agent`: they enrol, sign, obey, are killed and copied; pycose verifies what they say.
devices() {
  KEYWARD_BIN="$PWD/target/$target/release/keyward" .venv/bin/python -m pytest -q -p no:cacheprovider -n 3 tests/devices
}
# Mosquitto and Keyward on the same files with the same clients; spoilt rules must be noticed.
mosquitto_comparison() { python3 tests/mosquitto/compare.py --bin "$PWD/target/$target/release/keyward" --rounds 1 --mutants; }
# The guides of docs/, word by word.
guides() { KEYWARD_BIN="$PWD/target/$target/release/keyward" .venv/bin/python -m pytest -q -p no:cacheprovider tests/guides; }
# What the broker acknowledges is kept: syncs come before acknowledgements, kills, power cuts and full disks lose nothing. The
# controls must lose. /dev/fuse is needed, and root or fusermount3; full.py is passed over without root.
survival() {
  local binary="$PWD/target/$target/release/keyward" cut=target/debug/keyward-cut
  cargo build --locked --quiet -p keyward-cut &&
    python3 -m unittest discover --quiet -s tests/survival &&
    python3 tests/survival/order.py --bin "$binary" &&
    python3 tests/survival/full.py --bin "$binary" &&
    python3 tests/survival/damage.py --bin "$binary" &&
    python3 tests/survival/crowd.py --bin "$binary" &&
    python3 tests/survival/kill.py --bin "$binary" --rounds 20 &&
    python3 tests/survival/kill.py --bin "$binary" --rounds 4 --durability os &&
    python3 tests/survival/kill.py --bin "$binary" --rounds 3 --durability memory --must-lose &&
    python3 tests/survival/kill.py --bin "$binary" --rounds 10 --power "$cut" &&
    python3 tests/survival/kill.py --bin "$binary" --rounds 10 --power "$cut" --durability os --must-lose
}
service() { KEYWARD_BIN="$PWD/target/$target/release/keyward" tests/service.sh; }
container() { KEYWARD_BIN="$PWD/target/$target/release/keyward" tests/container.sh; }

stage "packages" install_packages
if [ "$mode" = fuzz ]; then
  fuzz "${2:-30}"
  exit
fi
stage "formatting" cargo fmt --all --check
stage "lints" cargo clippy --locked --workspace --all-targets -- -D warnings
stage "unit and integration tests" cargo test --locked --workspace --quiet
if [ "$mode" = full ]; then
  stage "simulated world" simulated_world
  stage "static release build" static_binary
  stage "floods" floods
  stage "survival" survival
  stage "demo" demo
  stage "python packages" python_packages
  stage "npm packages" node_packages
  stage "rumqttc peer" rumqttc_peer
  stage "signed messages and other libraries" envelope
  stage "foreign clients" foreign_clients
  stage "devices" devices
  stage "comparison with mosquitto" mosquitto_comparison
  stage "guides" guides
  stage "service" service
  stage "container" container
fi
echo "── time by stage"
printf '%s' "$timings"
echo "all stages passed in $SECONDS s"
if [ "$mode" = full ] && [ "$(id -u)" != 0 ]; then
  echo "NOT TESTED, for only root can: a full disk (tests/survival/full.py), and names looked up in the container (tests/container.sh)" >&2
fi
