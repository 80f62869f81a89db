"""Devices whose keys are in hardware, here the simulators swtpm and SoftHSM: what they say counts where keys in files do not, and a copy
of their disk is nobody.
"""

import shutil

import cbor2
from clients import PATIENCE
from test_devices import next_reading


def speaks_where_hardware_is_asked_for(agent, reader, keyward, level):
    agent.start().connected()
    assert agent.status()["level"] == level
    assert [purpose for purpose, _ in agent.registered_keys()] == ["sign", "encrypt"]
    agent.report("vault/door", "shut")
    message = next_reading(reader, agent, "vault/door")
    [marked] = [value for name, value in message.properties.UserProperty if name == "mqsec-verified"]
    kid, verified = marked.split(",")
    assert int(verified) == level
    assert cbor2.loads(cbor2.loads(message.payload).value[0])[4].hex() == kid
    assert cbor2.loads(message.payload).value[2] == b"shut"


def test_a_device_with_keys_in_a_tpm_speaks_where_hardware_is_asked_for_and_its_copied_folder_is_nobody(
    device, keyward, reader, chip
):
    pump = device("pump-t")
    pump.store = f"tpm:{pump.folder}/keys?swtpm={chip('own')}"
    pump.configure().enrol()
    assert "level 2" in pump.said_at_enrolment
    # Its TPM vouched for the keys when it enrolled.
    speaks_where_hardware_is_asked_for(pump, reader, keyward, level=3)
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


def test_a_device_with_keys_in_a_token_speaks_where_hardware_is_asked_for(device, keyward, reader, token, dynamic):
    pump = device("pump-s", store=token, binary=dynamic)
    pump.configure().enrol()
    assert "level 2" in pump.said_at_enrolment
    speaks_where_hardware_is_asked_for(pump, reader, keyward, level=2)
    pump.stop()
    # Without the token the folder is nobody.
    shutil.move(keyward.folder / "tokens", keyward.folder / "pulled")
    (keyward.folder / "tokens").mkdir()
    pump.start()
    assert pump.process.wait(PATIENCE) != 0
    assert "street" in pump.said(), pump.said()
