#!/usr/bin/env bash
# Builds the container image around the static binary and lives through a first device in it: start, add, publish over
# mutual TLS from outside, restart with the same volume, publish again; and what was acknowledged for somebody absent is there
# after a kill. Names are looked up inside of it, at a name server of this test. Node-RED of npm runs beside it and gets its bundle as
# docs/container.md says. What compose.yaml asks of the runtime is what the containers run with; Compose itself and Node-RED's image are not
# run. KEYWARD_BIN names the binary.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin"

work=$(mktemp -d)
name="keyward-test-$$"
# Images and containers live in a folder of the test: nothing of it stays on the machine. The flags are what a machine
# without systemd and with few rights needs: cgroupfs, runc, and limits no higher than our own.
storage=(--root "$work/storage" --runroot "$work/run" --storage-driver vfs)
# Timers for health checks are systemd's, which is not here; the check is run by hand below.
export DISABLE_HC_SYSTEMD=true
pod() { podman "${storage[@]}" --cgroup-manager cgroupfs --runtime runc "$@"; }
server=""
finish() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  pod rm -f "$name" "$name-flows" >/dev/null 2>&1 || true
  pod volume rm -f "$name" "$name-flows" >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap finish EXIT
# Reads all of its input, as grep -q does not: who writes on after that is killed, and pipefail calls it a failure.
says() { grep "$@" >/dev/null; }
fail() { echo "container: $*" >&2; pod logs "$name" >&2 || true; exit 1; }

mkdir -p "$work/context/dist"
cp Containerfile "$work/context/"
strip -o "$work/context/dist/keyward" "$KEYWARD_BIN"
ldd "$KEYWARD_BIN" 2>&1 | says -E 'statically linked|not a dynamic' || fail "the binary is not static: $(ldd "$KEYWARD_BIN")"
buildah "${storage[@]}" bud --format docker --isolation chroot --build-arg SOURCE=prebuilt -t "$name" "$work/context" >"$work/build.log" 2>&1 ||
  { cat "$work/build.log" >&2; fail "the image was not built"; }

free_port() { .venv/bin/python -c 'import sys; sys.path.insert(0, "tests/clients"); from conftest import free_port; print(free_port())'; }
port=$(free_port)
# The options of the service in compose.yaml, as the words of podman; the two are compared. The limits of this machine are lower.
.venv/bin/python tests/compose.py compose.yaml keyward >"$work/options" || fail "compose.yaml is not what was expected"
mapfile -t options <"$work/options"
.venv/bin/python tests/compose.py compose.yaml node-red >"$work/options-of-node-red"
mapfile -t options_of_node_red <"$work/options-of-node-red"
dns=()
start() {
  pod run -d --name "$name" --network host "${options[@]}" --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 "${dns[@]}" \
    -v "$name:/data" "$@" "$name" up --port "$port" >/dev/null
  for _ in $(seq 100); do
    pod exec "$name" /keyward healthcheck >/dev/null 2>&1 && pod exec "$name" /keyward status --json >"$work/status.json" && return 0
    # A pause between two questions, not a wait for an effect: the loop ends as soon as the broker answers.
    read -rt 0.1 <> <(:) || true
  done
  fail "the broker did not answer within 10 s"
}
# What the broker has in memory, in KiB.
memory_in_use() { awk '/^VmRSS/ { print $2 }' "/proc/$(pod inspect --format '{{.State.Pid}}' "$name")/status"; }
# Subscribers and publishers of Debian's meet the container; the bundle came out of its volume.
tls=(-h localhost -p "$port" --cafile "$work/bundle/ca.pem" --cert "$work/bundle/cert.pem" --key "$work/bundle/key.pem" -V 5 -q 1)
publish() {
  mosquitto_pub "${tls[@]}" -r -t pump-1/status -m "$1" || fail "publishing failed"
  [ "$(mosquitto_sub "${tls[@]}" -t pump-1/status -C 1 -W 10)" = "$1" ] || fail "the message did not arrive"
}
# Runs a subscriber whose session stays when it goes.
stored() { mosquitto_sub "${tls[@]}" -c -i away -x 3600 -t pump-1/count "$@"; }

# Nobody has named it: it says so, a bundle that leads nowhere says so, and the random name is in no certificate.
start --hostname 0123456789ab
grep -q "set KEYWARD_NAMES" "$work/status.json" || fail "a container without a name does not ask for one"
! grep -q 0123456789ab "$work/status.json" || fail "the random host name is in the certificate"
pod logs "$name" >"$work/log" 2>&1
grep -q "set KEYWARD_NAMES" "$work/log" || fail "the log does not ask for a name"
pod exec "$name" /keyward device add lost --out /data/lost >"$work/lost" || fail "device add failed"
grep -q "known inside of it only" "$work/lost" || fail "a bundle that leads nowhere does not say so"
pod exec "$name" /keyward doctor --json >"$work/doctor"
grep -q '"unnamed-container"' "$work/doctor" || fail "the doctor does not see that the container has no name"
pod rm -f -t 10 "$name" >/dev/null

# A name server of the test knows one name; only root may listen on port 53.
if [ "$(id -u)" = 0 ]; then
  python3 tests/name_server.py 127.0.0.77 broker.test 127.0.0.1 2>"$work/asked" &
  server=$!
  dns=(--dns 127.0.0.77 --dns-search .)
fi
# `keyward` is how Node-RED calls it, as in compose.yaml.
named() { start -e KEYWARD_NAMES=keyward,broker.test; }
named
idle=$(memory_in_use)
grep -q broker.test "$work/status.json" || fail "KEYWARD_NAMES is not in the status"
if [ -n "$server" ]; then
  pod exec "$name" /keyward device add inside --host broker.test --out /data/inside >/dev/null || fail "device add failed"
  pod exec "$name" /keyward pub --bundle-dir /data/inside -t inside/status -m found ||
    fail "a name was not resolved in the container: $(cat "$work/asked")"
  why=$(pod exec "$name" /keyward pub --bundle-dir /data/inside --host nobody.test -t inside/status -m lost 2>&1) && fail "nobody.test was found"
  echo "$why" | says "nobody.test has no address" || fail "no word about the name that nobody knows: $why"
  looked_up="names looked up in it"
else
  looked_up="names NOT looked up in it (not root)"
fi
health=$(pod inspect --format '{{json .Config.Healthcheck}}' "$name")
echo "$health" | says healthcheck || fail "the image has no health check: $health"
pod healthcheck run "$name" >/dev/null || fail "the container's own health check says that it is not healthy"
pod exec "$name" /keyward device add pump-1 --out /data/pump-1 >/dev/null || fail "device add failed"
pod cp "$name:/data/pump-1" "$work/bundle" || fail "the bundle cannot be copied out"
publish "first life"
grep -q '"broker.test"' "$work/bundle/keyward.json" || fail "the bundle of a device does not lead outside: $(cat "$work/bundle/keyward.json")"

# Node-RED: its image is not here, so one is made of nothing, with the volume of its user, and what it runs comes from this machine.
flows="$name-flows"
mkdir -p "$work/flows/data"
printf 'FROM scratch\nCOPY --chown=1000:1000 data /data\nUSER 1000:1000\nVOLUME /data\n' >"$work/flows/Containerfile"
buildah "${storage[@]}" bud --format docker --isolation chroot -t "$flows" "$work/flows" >"$work/flows.log" 2>&1 || fail "$(cat "$work/flows.log")"
programs=()
for folder in /usr /bin /lib /lib64; do [ ! -e "$folder" ] || programs+=(-v "$folder:$folder:ro"); done
pod run -d --name "$flows" --network host --add-host keyward:127.0.0.1 --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 \
  "${options_of_node_red[@]}" "${programs[@]}" -v "$PWD/tests/clients/nodered/node_modules:/node_modules:ro" -v "$flows:/data" "$flows" \
  sh -c 'exec node /node_modules/node-red/red.js --userDir /data -p "$1" --no-telemetry "$FLOWS"' sh "$(free_port)" >/dev/null
pod exec "$name" /keyward user add flows --preset node-red --bundle node-red --host keyward --out /data/flows >/dev/null ||
  fail "user add failed"
pod cp "$name:/data/flows" - | pod exec -i "$flows" tar -xo -C /data || fail "the bundle does not come into the volume of Node-RED"
[ "$(pod exec "$flows" stat -c '%u %a' /data/flows/key.pem)" = "1000 600" ] || fail "the key of Node-RED is not its own"
pod exec "$name" /keyward user add eye --preset viewer --certificate --out /data/eye >/dev/null || fail "user add failed"
pod cp "$name:/data/eye" "$work/eye" || fail "the bundle cannot be copied out"
# The button of the flow is pressed once when the flow starts; its message waits for the eye.
eye() {
  mosquitto_sub -h localhost -p "$port" --cafile "$work/eye/ca.pem" --cert "$work/eye/cert.pem" --key "$work/eye/key.pem" -V 5 -q 1 \
    -c -i eye -x 3600 -t flows/hello "$@"
}
eye -E || fail "the eye is not let in"
pod restart -t 10 "$flows" >/dev/null
[ "$(eye -C 1 -W 30)" = hello ] || fail "Node-RED said nothing: $(pod logs "$flows" 2>&1)"
pod logs "$flows" 2>&1 | says "Connected to broker" || fail "Node-RED is not connected: $(pod logs "$flows" 2>&1)"
pod rm -f -t 10 "$flows" >/dev/null

pod stop -t 10 "$name" >/dev/null
pod rm "$name" >/dev/null
named
publish "second life"
stored -E || fail "no stored session"
for number in 1 2 3; do
  mosquitto_pub "${tls[@]}" -t pump-1/count -m "$number" || fail "publishing for a session that is away failed"
done
pod kill "$name" >/dev/null
pod rm "$name" >/dev/null
named
[ "$(stored -C 3 -W 10 | xargs)" = "1 2 3" ] || fail "what was acknowledged before the kill did not come after it"

# Before somebody logs in with a password that people chose: that takes 19 MiB more, at some moment.
after=$(memory_in_use)

# What a Mosquitto in a container had is imported by a second container: files that name each other by their paths there.
old="$work/old/mosquitto/config"
mkdir -p "$old"
old_port=$(.venv/bin/python -c 'import sys; sys.path.insert(0, "tests/clients"); from conftest import free_port; print(free_port())')
printf 'listener %s 127.0.0.1\npassword_file /mosquitto/config/passwd\nacl_file /mosquitto/config/acl\n' "$old_port" >"$old/mosquitto.conf"
printf 'user dashboard\ntopic read #\n' >"$old/acl"
mosquitto_passwd -b -c "$old/passwd" dashboard 'a password of yours'
chmod -R a+rX "$work/old"
pod run --rm "${options[@]}" --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 -v "$name:/data" -v "$work/old:/old:ro" "$name" \
  import mosquitto /mosquitto/config/mosquitto.conf --root /old >"$work/import" || fail "the import failed: $(cat "$work/import")"
grep -q "Written: 1 user" "$work/import" || fail "the import wrote something else: $(cat "$work/import")"
login=(-h 127.0.0.1 -p "$old_port" -u dashboard -P 'a password of yours')
[ "$(mosquitto_sub "${login[@]}" -t pump-1/status -C 1 -W 10)" = "second life" ] || fail "an imported user reads nothing"

size=$(pod image inspect --format '{{.Size}}' "$name")
echo "container: an image of $((size / 1024 / 1024)) MiB, a device served before and after a restart on the same volume, its messages kept over a kill, Node-RED with its bundle, $looked_up, a Mosquitto's files imported, $((idle / 1024)) MiB of memory in use before the first client and $((after / 1024)) MiB after its traffic"
