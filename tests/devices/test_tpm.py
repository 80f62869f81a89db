"""Devices whose TPM, here the simulator swtpm, vouches for their keys when they enrol: level 3, which no device can say of itself."""

import json
import subprocess

import cbor2
from clients import BIN
from test_devices import next_reading


def kept_in(device, place):
    """Has a device keep its keys in the TPM at a socket."""
    device.store = f"tpm:{device.folder}/keys?swtpm={place}"
    return device.configure()


def fingerprint(device):
    """What the TPM of a device is known by; there are no keys in it yet."""
    done = subprocess.run(
        [BIN, "agent", "tpm", "--keys", device.store], check=True, capture_output=True, text=True, timeout=60,
    ).stdout
    told = subprocess.run(
        [BIN, "agent", "tpm", "--keys", device.store, "--json"], check=True, capture_output=True, text=True, timeout=60,
    ).stdout
    assert json.loads(told)["tpm"]["fingerprint"] == done.strip() and len(done) == 65
    return done.strip()


def keys_of(keyward, name):
    return keyward.json("device", "show", name)["device"]["message_keys"]


def level_of(message):
    [marked] = [value for name, value in message.properties.UserProperty if name == "mqsec-verified"]
    return int(marked.split(",")[1])


def test_a_device_whose_tpm_vouches_speaks_where_that_is_asked_for_and_one_that_claims_its_hardware_does_not(
    device, keyward, reader, chip, token, dynamic
):
    pump = kept_in(device("pump-7"), chip("own"))
    tpm = fingerprint(pump)
    pump.enrol("--tpm", tpm)
    assert f"Level 3: the server saw that they are in the TPM {tpm}" in pump.said_at_enrolment
    [key] = [key for key in keys_of(keyward, "pump-7") if "level" in key]
    assert (key["level"], key["tpm"]) == (3, {"fingerprint": tpm, "named": True})
    shown = keyward.run("device", "show", "pump-7").stdout
    assert f"level 3: certified (TPM {tpm[:16]})" in shown and tpm in shown, shown
    assert f"3: certified (TPM {tpm[:16]})" in keyward.run("keys", "list", "pump-7").stdout
    pump.start().connected()
    assert pump.status()["level"] == 3
    pump.report("safe/door", "shut")
    message = next_reading(reader, pump, "safe/door")
    assert level_of(message) == 3 and cbor2.loads(message.payload).value[2] == b"shut"

    meter = device("meter-2", store=token, binary=dynamic)
    meter.configure().enrol().start().connected()
    assert "2: claimed" in keyward.run("keys", "list", "meter-2").stdout
    meter.report("safe/door", "open")
    meter.report("vault/door", "open")
    # Level 2 is enough there, and what is refused for good blocks nothing.
    assert level_of(next_reading(reader, meter, "vault/door")) == 2
    meter.until(lambda status: status["aside"] == 1, "the message is kept aside")
    said = keyward.run("denials").stdout
    assert "devices.toml" in said and "safe" in said, said


def test_a_code_for_one_tpm_is_nothing_to_a_thief_who_has_another_or_none(device, keyward, chip):
    pump = kept_in(device("pump-8"), chip("own"))
    uri = pump.invite("--tpm", fingerprint(pump))
    assert f"for the TPM {fingerprint(pump)} alone" in keyward.run("device", "show", "pump-8").stdout
    thieves = [kept_in(device("thief"), chip("other")), device("robber")]
    for thief in thieves:
        refused = thief.tries_to_enrol_with(uri)
        assert refused.returncode != 0 and "this code is for a certain TPM" in refused.stderr, refused.stderr
    [told] = [line for line in keyward.run("status").stdout.splitlines() if "incident claim-conflict" in line]
    assert "claim code of device pump-8 came without evidence of the TPM that it is for" in told, told
    assert "without evidence of this TPM" in keyward.run("device", "show", "pump-8").stdout
    # It is not used up: the device itself gets what it is good for.
    pump.enrol_with(uri)
    assert [key["level"] for key in keys_of(keyward, "pump-8") if "level" in key] == [3]


def test_a_tpm_that_nobody_had_named_is_shown_as_such(device, keyward, chip):
    pump = kept_in(device("pump-9"), chip("own")).enrol()
    [key] = [key for key in keys_of(keyward, "pump-9") if "level" in key]
    assert (key["level"], key["tpm"]) == (3, {"fingerprint": fingerprint(pump), "named": False})
    assert "named by nobody before" in keyward.run("device", "show", "pump-9").stdout
