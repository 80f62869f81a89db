"""Devices whose keys are in hardware, here the simulators swtpm and SoftHSM: what they say counts where keys in files do not, and a copy
of their disk is nobody.
"""

import os
import pathlib
import shutil
import socket
import subprocess

import cbor2
import pytest
from clients import PATIENCE, pause
from test_devices import next_reading

# A static program loads no library of a token, so this is a dynamic one.
DYNAMIC = os.environ.get("KEYWARD_DYNAMIC") or str(pathlib.Path(__file__).parents[2] / "target/debug/keyward")
MODULES = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"]


def listens(place):
    """Whether somebody listens at a socket, which is there a moment before."""
    with socket.socket(socket.AF_UNIX) as way:
        return way.connect_ex(str(place)) == 0


@pytest.fixture
def chip(tmp_path):
    """Makes TPMs; each is a simulator with a memory of its own."""
    running = []

    def make(name):
        memory, place = tmp_path / f"chip-{name}", tmp_path / f"{name}.tpm"
        memory.mkdir()
        running.append(subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={memory}", "--server", f"type=unixio,path={place}",
             "--flags", "not-need-init,startup-clear"],
        ))
        while not listens(place):
            assert running[-1].poll() is None, "swtpm ended"
            pause()
        return place

    yield make
    for simulator in running:
        simulator.kill()
        simulator.wait()


@pytest.fixture
def token(tmp_path, monkeypatch):
    """A token of SoftHSM, and the name of keys called `device` in it."""
    module = next(path for path in MODULES if os.path.exists(path))
    folder, config, pin = tmp_path / "tokens", tmp_path / "softhsm2.conf", tmp_path / "pin"
    folder.mkdir()
    config.write_text(f"directories.tokendir = {folder}\nobjectstore.backend = file\n")
    pin.write_text("271828\n")
    pin.chmod(0o600)
    monkeypatch.setenv("SOFTHSM2_CONF", str(config))
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", "street", "--so-pin", "314159", "--pin", "271828"],
        check=True, capture_output=True,
    )
    return f"pkcs11:token=street;object=device?module-path={module}&pin-source=file:{pin}"


def speaks_where_hardware_is_asked_for(agent, reader, keyward):
    agent.start().connected()
    assert agent.status()["level"] == 2
    assert [purpose for purpose, _ in agent.registered_keys()] == ["sign", "encrypt"]
    agent.report("vault/door", "shut")
    message = next_reading(reader, agent, "vault/door")
    [marked] = [value for name, value in message.properties.UserProperty if name == "mqsec-verified"]
    kid, level = marked.split(",")
    assert int(level) >= 2
    assert cbor2.loads(cbor2.loads(message.payload).value[0])[4].hex() == kid
    assert cbor2.loads(message.payload).value[2] == b"shut"


def test_a_device_with_keys_in_a_tpm_speaks_where_hardware_is_asked_for_and_its_copied_folder_is_nobody(
    device, keyward, reader, chip
):
    pump = device("pump-t")
    pump.store = f"tpm:{pump.folder}/keys?swtpm={chip('own')}"
    pump.configure().enrol()
    assert "level 2" in pump.said_at_enrolment
    speaks_where_hardware_is_asked_for(pump, reader, keyward)
    pump.stop()

    # The thief has the whole disk, and a TPM of the same make.
    thief = device("thief")
    shutil.copytree(pump.folder, thief.folder)
    thief.store = f"tpm:{thief.folder}/keys?swtpm={chip('other')}"
    thief.configure().start()
    assert thief.process.wait(PATIENCE) != 0
    assert "TPM" in thief.said(), thief.said()
    # The device itself goes on.
    pump.start().connected()
    pump.report("vault/door", "open")
    assert cbor2.loads(next_reading(reader, pump, "vault/door").payload).value[2] == b"open"


def test_a_device_with_keys_in_a_token_speaks_where_hardware_is_asked_for(device, keyward, reader, token):
    pump = device("pump-s", store=token, binary=DYNAMIC)
    pump.configure().enrol()
    assert "level 2" in pump.said_at_enrolment
    speaks_where_hardware_is_asked_for(pump, reader, keyward)
    pump.stop()
    # Without the token the folder is nobody.
    shutil.move(keyward.folder / "tokens", keyward.folder / "pulled")
    (keyward.folder / "tokens").mkdir()
    pump.start()
    assert pump.process.wait(PATIENCE) != 0
    assert "street" in pump.said(), pump.said()
