"""Bundles for the ESP8266 and the ESP32: the header under the compilers, the sketch against stand-ins of the Arduino libraries
(tests/small_devices/arduino). Nothing here ran on hardware."""

import hmac
import pathlib
import re
import subprocess

import pytest

from conftest import Keyward

STAND_INS = pathlib.Path(__file__).parents[1] / "small_devices" / "arduino"
CHIPS = {"esp8266": "no setting prevents that", "esp32": "flash encryption and secure boot"}
HEADER = """#include "keyward.h"
const char *const all[] = {KEYWARD_HOST, KEYWARD_SERVER_NAME, KEYWARD_ID, KEYWARD_TOPIC_STATUS, KEYWARD_TOPIC_DISPLAY,
                           KEYWARD_TOPIC_INTERVAL, KEYWARD_CA, KEYWARD_CERT, KEYWARD_KEY};
const unsigned long numbers[] = {KEYWARD_PORT, KEYWARD_MADE};
"""
SHOW = """#include <stdio.h>
int main(void) {
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) printf("%s%c", all[i], 0);
    printf("%lu", numbers[0]);
    return 0;
}
"""


def run(*words, **options):
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=60, **options)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def chips(tmp_path_factory):
    """An installation that is not running, with one device for each chip: their bundles."""
    folder = tmp_path_factory.mktemp("chips")
    folder.chmod(0o700)
    broker = Keyward(folder)
    broker.start()
    bundles = {chip: broker.device(f"dev-{chip}", "--bundle", chip, "--host", "192.168.1.20") for chip in CHIPS}
    yield broker, bundles
    broker.stop()


@pytest.mark.parametrize("chip", CHIPS)
def test_the_header_of_a_bundle_is_c_for_the_chip_and_says_what_the_other_files_say(chips, tmp_path, chip):
    bundle = chips[1][chip]
    folder = pathlib.Path(bundle.ca).parent
    (tmp_path / "header.c").write_text(HEADER)
    (tmp_path / "show.c").write_text(HEADER + SHOW)
    strict = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-I", folder / "sketch"]
    if chip == "esp8266":
        run("xtensa-lx106-elf-gcc", *strict, "-ffreestanding", "-c", tmp_path / "header.c", "-o", tmp_path / "header.o")
    run("cc", *strict, tmp_path / "show.c", "-o", tmp_path / "show")
    *texts, port = run(tmp_path / "show").split("\0")
    name = f"dev-{chip}"
    files = [pathlib.Path(file).read_text() for file in (bundle.ca, bundle.cert, bundle.key)]
    assert texts == ["192.168.1.20", "localhost", name, f"{name}/status", f"{name}/display", f"{name}/interval", *files]
    assert int(port) == chips[0].port
    assert (folder / "sketch" / "keyward.h").stat().st_mode & 0o777 == 0o600


def run_sketch(bundle, chip, out, ntp, **more):
    sketch = pathlib.Path(bundle.ca).parent / "sketch" / "sketch.ino"
    if not out.exists():
        run("g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-D{chip.upper()}", f'-DSKETCH="{sketch}"',
            "-I", STAND_INS, STAND_INS / "main.cpp", "-o", out, {"esp8266": "-lbearssl", "esp32": "-lmbedcrypto"}[chip])
    return run(out, env={"NTP": ntp, "EEPROM": str(out) + ".eeprom", "FLASH": str(out) + ".flash"} | more)


@pytest.mark.parametrize("chip", CHIPS)
def test_the_sketch_sets_its_clock_verifies_logs_in_and_takes_commands(chips, tmp_path, chip):
    """Against stand-ins of the Arduino libraries, on the host."""
    bundle, name, cause = chips[1][chip], f"dev-{chip}", {"esp8266": "Power On", "esp32": "brownout"}[chip]
    said = run_sketch(bundle, chip, tmp_path / "sketch", "4000000000")
    looked_for = {"esp8266": "none", "esp32": "localhost"}[chip]
    first = [line for line in said.splitlines() if not line.startswith("buffers")][:7]
    assert first[:3] == [
        "clock asked of pool.ntp.org",
        f"tls to 192.168.1.20:{chips[0].port} name={looked_for} anchor=1 certificate=1 clock=4000000000",
        f'connect {name} will {name}/status qos=1 retain=1 {{"online":false}}',
    ], said
    assert first[3:5] == [f"subscribe {name}/display qos=1", f"subscribe {name}/interval qos=1"], said
    statuses = re.findall(rf'publish {name}/status retain=1 {{"online":true,"uptime_s":(\d+),"boots":1,"reset":"{cause}"}}', said)
    assert len(statuses) == 2, f"the interval is 10 s by command, and not 0: {said}"
    assert "serial hello" in said and "longer than" not in said, said
    again = run_sketch(bundle, chip, tmp_path / "sketch", "none")
    made = re.search(r"KEYWARD_MADE (\d+)", (pathlib.Path(bundle.ca).parent / "sketch/keyward.h").read_text())[1]
    assert f"clock set to {made}" in again and f"clock={made}" in again and '"boots":2' in again, again


@pytest.mark.parametrize("chip", CHIPS)
def test_the_sketch_answers_with_the_secret_that_it_kept_and_a_power_cut_leaves_it_one_that_is_good(chips, tmp_path, chip):
    bundle, out, chain = chips[1][chip], tmp_path / "sketch", "00112233445566ff"

    def answers(**more):
        said = run_sketch(bundle, chip, out, "4000000000", **more)
        return re.findall(r"publish \$keyward/ratchet retain=0 (.*)", said), said

    def tag(secret):
        return hmac.new(bytes.fromhex(secret), bytes(range(16)), "sha256").hexdigest()

    first, second = "a1" * 32, "b2" * 32
    answered, said = answers(RULING=f"next {chain} 1 {first}")
    assert answered == ["none"] and "subscribe $keyward/ratchet qos=0" in said, said
    assert answers(RULING=f"next {chain} 2 {second}", CUT="1")[0] == [f"{chain} 1 {tag(first)}"]
    assert answers(RULING=f"next {chain} 18446744073709551615 {second}")[0] == [f"{chain} 1 {tag(first)}"]
    for nonsense in ["next", "next " + "x" * 200, "nonce 00", "nonce " + "zz" * 16, "hello", ""]:
        assert answers(RULING=nonsense)[0] == [f"{chain} 18446744073709551615 {tag(second)}"]
    assert "there is a copy of it" in answers(RULING="stale")[1]
    answered, said = answers(NOFLASH="1")
    assert answered == [] and "subscribe $keyward/ratchet" not in said, "without a place for it, it takes no part"


@pytest.mark.parametrize("chip", CHIPS)
def test_what_a_chip_cannot_protect_is_said_where_the_device_is_shown_and_in_its_bundle(chips, chip):
    broker, bundles = chips
    readme = (pathlib.Path(bundles[chip].ca).parent / "README.txt").read_text()
    for said in (broker.run("device", "show", f"dev-{chip}").stdout, readme):
        said = " ".join(said.split()).lower()
        assert CHIPS[chip] in said and "reads its flash" in said and "keyward device revoke" in said, said
    assert broker.json("device", "show", f"dev-{chip}")["device"]["device"]["chip"] == chip


def test_a_bundle_for_a_chip_is_refused_where_it_would_lack_something(chips, tmp_path):
    broker, _ = chips
    for words, why in [
        (["device", "add", "x1", "--bundle", "esp8266", "--password"], "hold a key and a certificate"),
        (["device", "add", "x1", "--bundle", "esp32", "--chip", "esp8266"], "name two chips"),
        (["user", "add", "x1", "--certificate", "--bundle", "esp32"], "is for a device"),
    ]:
        done = broker.run(*words, "--out", str(tmp_path / "x1"), check=False)
        assert done.returncode == 2 and why in done.stderr, done.stderr
        assert not (tmp_path / "x1").exists()
    assert broker.run("device", "show", "x1", check=False).returncode == 1
