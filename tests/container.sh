#!/usr/bin/env bash
# Builds the container image around the static binary and lives through a first device in it: start, add, publish over
# mutual TLS from outside, restart with the same volume, publish again; and what was acknowledged for somebody absent is there
# after a kill. KEYWARD_BIN names the binary.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin"

work=$(mktemp -d)
name="keyward-test-$$"
# Images and containers live in a folder of the test: nothing of it stays on the machine. The flags are what a machine
# without systemd and with few rights needs: cgroupfs, runc, and limits no higher than our own.
storage=(--root "$work/storage" --runroot "$work/run" --storage-driver vfs)
pod() { podman "${storage[@]}" --cgroup-manager cgroupfs --runtime runc "$@"; }
finish() {
  pod rm -f "$name" >/dev/null 2>&1 || true
  pod volume rm -f "$name" >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap finish EXIT
fail() { echo "container: $*" >&2; pod logs "$name" >&2 || true; exit 1; }

mkdir -p "$work/context/dist"
cp Containerfile "$work/context/"
strip -o "$work/context/dist/keyward" "$KEYWARD_BIN"
ldd "$KEYWARD_BIN" 2>&1 | grep -qE 'statically linked|not a dynamic' || fail "the binary is not static: $(ldd "$KEYWARD_BIN")"
buildah "${storage[@]}" bud --isolation chroot --build-arg SOURCE=prebuilt -t "$name" "$work/context" >"$work/build.log" 2>&1 ||
  { cat "$work/build.log" >&2; fail "the image was not built"; }

port=$(.venv/bin/python -c 'import sys; sys.path.insert(0, "tests/clients"); from conftest import free_port; print(free_port())')
start() {
  pod run -d --name "$name" --network host --read-only --cap-drop all --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 \
    -v "$name:/data" -e KEYWARD_NAMES=broker.test "$name" up --port "$port" >/dev/null
  for _ in $(seq 100); do
    pod exec "$name" /keyward status --json >"$work/status.json" 2>/dev/null && return 0
    # A pause between two questions, not a wait for an effect: the loop ends as soon as the broker answers.
    read -rt 0.1 <> <(:) || true
  done
  fail "the broker did not answer within 10 s"
}
# Subscribers and publishers of Debian's meet the container; the bundle came out of its volume.
tls=(-h localhost -p "$port" --cafile "$work/bundle/ca.pem" --cert "$work/bundle/cert.pem" --key "$work/bundle/key.pem" -V 5 -q 1)
publish() {
  mosquitto_pub "${tls[@]}" -r -t pump-1/status -m "$1" || fail "publishing failed"
  [ "$(mosquitto_sub "${tls[@]}" -t pump-1/status -C 1 -W 10)" = "$1" ] || fail "the message did not arrive"
}
# Runs a subscriber whose session stays when it goes.
stored() { mosquitto_sub "${tls[@]}" -c -i away -x 3600 -t pump-1/count "$@"; }

start
grep -q broker.test "$work/status.json" || fail "KEYWARD_NAMES is not in the status"
pod exec "$name" /keyward device add pump-1 --out /data/pump-1 >/dev/null || fail "device add failed"
pod cp "$name:/data/pump-1" "$work/bundle" || fail "the bundle cannot be copied out"
publish "first life"
pod stop -t 10 "$name" >/dev/null
pod rm "$name" >/dev/null
start
publish "second life"
stored -E || fail "no stored session"
for number in 1 2 3; do
  mosquitto_pub "${tls[@]}" -t pump-1/count -m "$number" || fail "publishing for a session that is away failed"
done
pod kill "$name" >/dev/null
pod rm "$name" >/dev/null
start
[ "$(stored -C 3 -W 10 | xargs)" = "1 2 3" ] || fail "what was acknowledged before the kill did not come after it"
size=$(stat -c %s "$work/context/dist/keyward")
echo "container: an image of $((size / 1024 / 1024)) MiB, a device served before and after a restart on the same volume, its messages kept over a kill"
