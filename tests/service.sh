#!/usr/bin/env bash
# Looks at the unit of systemd and the manual pages with the programs that read them, and shows that the unit's system call filter
# lets through what the broker calls. KEYWARD_BIN names the binary. systemd itself is not run: nothing here starts as process 1.
set -euo pipefail
cd "$(dirname "$0")/.."

unit=contrib/systemd/keyward.service
# systemd counts from 0 (nothing within reach) to 10. What is left is the network and sockets.
most=1.2
work=$(mktemp -d)
broker=""
finish() {
  [ -z "$broker" ] || kill "$broker" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
fail() { echo "service: $*" >&2; exit 1; }

# The unit names the place where the binary is installed; here it lies elsewhere.
sed "s|/usr/local/bin/keyward|$KEYWARD_BIN|" "$unit" >"$work/keyward.service"
systemd-analyze verify --man=no "$work/keyward.service" >"$work/verify" 2>&1 || fail "$(cat "$work/verify")"
[ ! -s "$work/verify" ] || fail "systemd-analyze verify: $(cat "$work/verify")"
systemd-analyze security --offline=true "$work/keyward.service" >"$work/security" 2>&1 || fail "$(cat "$work/security")"
exposure=$(sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\).*/\1/p' "$work/security")
awk -v is="$exposure" -v most="$most" 'BEGIN { exit !(is != "" && is <= most) }' || fail "exposure $exposure, at most $most is allowed"

# What is in a set of systemd, without the heading and with the sets in it resolved.
calls_of() { systemd-analyze syscall-filter "$1" | while read -r name _; do
  case "$name" in "$1" | "#"* | "") ;; @*) calls_of "$name" ;; *) echo "$name" ;; esac
done; }
calls_of @system-service | sort -u >"$work/allowed"
{ calls_of @privileged; calls_of @resources; } | sort -u >"$work/refused"

# A life: first start, a device, a message each way, a reload, a stop.
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
export KEYWARD_DIR=$work/keyward
keyward() { "$KEYWARD_BIN" "$@"; }
strace -f -qq -o "$work/trace" "$KEYWARD_BIN" up --port "$port" >"$work/screen" 2>"$work/log" &
broker=$!
for _ in $(seq 200); do
  keyward healthcheck >/dev/null 2>&1 && break
  # A pause between two questions, not a wait for an effect: the loop ends as soon as the broker answers.
  read -rt 0.1 <> <(:) || true
done
keyward healthcheck >/dev/null || fail "the broker did not start: $(cat "$work/log")"
keyward device add pump-1 --host localhost --out "$work/pump-1" >/dev/null
keyward pub --bundle-dir "$work/pump-1" -t pump-1/status -m hello -q 2 --retain >/dev/null
[ "$(keyward sub --bundle-dir "$work/pump-1" -t pump-1/status -C 1 -W 10)" = "pump-1/status hello" ] || fail "no message came back"
keyward reload >/dev/null
kill -TERM "$(pgrep -P "$broker")"
wait "$broker" || fail "the broker did not stop well: $(cat "$work/log")"
broker=""
# execve is how systemd starts it; setrlimit is asked for and done without. PR_SET_DUMPABLE and the like are in @process.
sed -n 's/^[0-9]* *\([a-z0-9_]*\)(.*/\1/p' "$work/trace" | sort -u >"$work/called"
outside=$( { comm -23 "$work/called" "$work/allowed"; comm -12 "$work/called" "$work/refused"; } | sort -u | xargs)
[ -z "$outside" ] || fail "the unit refuses system calls that the broker makes: $outside"

keyward man --out "$work/man" >/dev/null
for page in "$work"/man/*.1; do
  mandoc -Tlint -Werror "$page" >"$work/lint" 2>&1 || fail "$(head -n 5 "$work/lint")"
done
echo "service: exposure $exposure, $(wc -l <"$work/called") system calls, all let through, $(find "$work/man" -name '*.1' | wc -l) manual pages"
