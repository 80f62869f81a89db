"""A device that believes no clock: what it says is good for one link, and it obeys commands with the nonce of its start alone."""

import json
import signal

import cbor2
from clients import Client
from test_devices import next_reading, number_of, opened, plain, public_key

EAT_NONCE, IAT = 10, 6


def claims(payload):
    return cbor2.loads(cbor2.loads(payload).value[0])[15]


def sealed(keyward, name, *options):
    file, topic = keyward.folder / "command.cose", f"devices/{name}/commands/valve"
    keyward.run("seal", "--to-device", name, "-t", topic, "open", "--output", str(file), *options)
    return topic, file.read_bytes()


def test_a_device_without_a_clock_obeys_a_command_with_its_nonce_once_and_no_other(device, keyward, reader):
    pump = device("pump-40").configure("clock = false\n").enrol().start().connected()
    told = next_reading(reader, pump, "nonce")
    nonce = opened(told.payload, pump, told.topic, public_key(pump))[1].decode()
    assert len(bytes.fromhex(nonce)) == 16 and EAT_NONCE in claims(told.payload) and IAT not in claims(told.payload)
    topic, command = sealed(keyward, "pump-40", "--nonce", nonce)
    _, undone = sealed(keyward, "pump-40")
    for payload in [undone, command, command]:
        assert reader.publish(topic, payload) == 0
    heard = json.loads(pump.process.stdout.readline())
    assert (heard["command"], heard["payload"]) == (topic, "open")
    pump.until(lambda status: status["refused_commands"] == 2, "without a nonce, and the same again: not obeyed")
    # The next start has another nonce, which lies retained for whoever comes later.
    pump.stop()
    pump.start().connected()
    while (another := plain(next_reading(reader, pump, "nonce").payload)) == nonce:
        pass
    late = Client(reader.who, client_id="late").connect()
    late.subscribe("devices/pump-40/nonce")
    assert plain(next_reading(late, pump, "nonce").payload) == another
    late.close()
    topic, old = sealed(keyward, "pump-40", "--nonce", nonce)
    reader.publish(topic, old)
    pump.until(lambda status: status["refused_commands"] == 1, "the nonce of another start is nobody's")


def test_what_a_link_left_unsent_is_written_anew_for_the_next_and_comes_once_in_order(device, keyward, reader):
    pump = device("pump-41").configure("clock = false\n").enrol().start().connected()
    listener = Client(reader.who, client_id="listener", clean=False, expiry=3_600).connect()
    listener.subscribe("devices/pump-41/flow")
    next_reading(reader, pump, "nonce")
    pump.report("flow", 0)
    pump.until(lambda status: status["waiting"] == 0, "the first is acknowledged")
    # The link stands, and nobody answers on it.
    keyward.process.send_signal(signal.SIGSTOP)
    for count in range(1, 4):
        pump.report("flow", count)
    keyward.kill()
    pump.until_away()
    refused = pump.say("devices/pump-41/flow none")
    assert refused.startswith("error ") and "no clock" in refused
    keyward.start()
    pump.connected()
    keyward.until(lambda: pump.say("devices/pump-41/flow 4").startswith("ok "), "it can say something again")
    came = {}
    while 4 not in came.values():
        message = next_reading(listener, pump, "flow")
        # What the killed broker had delivered may come from it once more: the same message, of the same number.
        came.setdefault(number_of(message.payload), int(plain(message.payload)))
    assert list(came.values()) == list(range(5)), "lost, doubled, or out of order"
    pump.until(lambda status: status["waiting"] == 0 and status["aside"] == 0, "nothing is left")
    listener.close()


def test_what_was_left_unsent_without_a_clock_is_dated_and_sent_when_the_clock_is_set(device, keyward, reader):
    pump = device("pump-42").configure("clock = false\n").enrol().start().connected()
    listener = Client(reader.who, client_id="listener", clean=False, expiry=3_600).connect()
    listener.subscribe("devices/pump-42/flow")
    next_reading(reader, pump, "nonce")
    keyward.process.send_signal(signal.SIGSTOP)
    for count in range(3):
        pump.report("flow", count)
    keyward.kill()
    pump.kill()
    pump.configure()
    keyward.start()
    pump.start().connected()
    came = [next_reading(listener, pump, "flow").payload for _ in range(3)]
    assert [plain(payload) for payload in came] == ["0", "1", "2"]
    assert all(IAT in claims(payload) for payload in came)
    pump.until(lambda status: status["waiting"] == 0 and status["aside"] == 0, "nothing is left")
    listener.close()
