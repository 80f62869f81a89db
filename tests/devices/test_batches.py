"""Several readings in one signed message: gathered by the agent, acknowledged when they are stored, opened by pycose."""

import os
import random
import time

import cbor2
from clients import PATIENCE
from test_devices import next_reading, number_of, opened, public_key, until_the_end

GATHERED = '[[batch]]\ntopics = ["devices/{{id}}/flow"]\nmessages = {messages}\nwithin = "{within}"\n'


def gathering(device, name, messages, within="1h"):
    return device(name).configure(GATHERED.format(messages=messages, within=within)).enrol()


def say(agent, *lines):
    agent.process.stdin.write("".join(line + "\n" for line in lines))


def heard(agent):
    return agent.process.stdout.readline().strip()


def readings(message):
    return [int(reading) for reading in cbor2.loads(cbor2.loads(message.payload).value[2])]


def test_as_many_readings_as_are_wanted_are_one_signed_message_and_have_one_acknowledgement(device, reader):
    pump = gathering(device, "pump-20", 3).start().connected()
    say(pump, *(f"devices/pump-20/flow {count}" for count in range(3)))
    answers = [heard(pump) for _ in range(3)]
    assert answers[0].startswith("ok ") and len(set(answers)) == 1, answers
    message = next_reading(reader, pump, "flow")
    payload = opened(message.payload, pump, message.topic, public_key(pump))[1]
    assert cbor2.loads(payload) == [b"0", b"1", b"2"]
    assert cbor2.loads(cbor2.loads(message.payload).value[0])[3] == 60, "CBOR"
    # Of other topics nothing is gathered.
    pump.report("door", "shut")
    assert cbor2.loads(next_reading(reader, pump, "door").payload).value[2] == b"shut"


def test_a_reading_waits_no_longer_than_it_may_and_is_acknowledged_then(device, reader):
    pump = gathering(device, "pump-21", 100, within="1s").start().connected()
    begun = time.monotonic()
    pump.report("flow", "7")
    assert time.monotonic() - begun >= 0.9
    assert readings(next_reading(reader, pump, "flow")) == [7], "a batch of one has the same form"


def test_answers_come_in_the_order_of_the_lines(device):
    pump = gathering(device, "pump-22", 2).start()
    say(pump, "devices/pump-22/flow 1", "nonsense", "!status", "devices/pump-22/flow 2", "devices/pump-22/door shut")
    first, error, status, second, third = (heard(pump) for _ in range(5))
    assert first == second and first.startswith("ok ") and third.startswith("ok ") and third != first
    assert error.startswith("error ") and status.startswith("{")


def test_what_is_gathered_is_stored_when_the_agent_ends_or_loses_its_power(device, reader):
    pump = gathering(device, "pump-23", 100).start().connected()
    say(pump, "devices/pump-23/flow 1")
    say(pump, "!power-lost")
    assert heard(pump).startswith("ok ")
    assert readings(next_reading(reader, pump, "flow")) == [1]
    assert heard(pump) == "ok the server has it"
    say(pump, "devices/pump-23/flow 2")
    pump.process.stdin.close()
    assert heard(pump).startswith("ok ")
    assert pump.process.wait(PATIENCE) == 0
    assert readings(next_reading(reader, pump, "flow")) == [2]


def test_a_device_that_gathers_and_is_killed_loses_nothing_doubles_nothing_and_keeps_the_order(device, reader):
    pump = gathering(device, "pump-24", 4, within="1s")
    dice = random.Random(int(os.environ.get("KEYWARD_SEED", "6")))
    stored, said = [], 0
    for _ in range(10):
        pump.start()
        for _ in range(dice.randrange(1, 12)):
            lines = list(range(said + 1, said + 5))
            said += 4
            say(pump, *(f"devices/pump-24/flow {count}" for count in lines))
            stored += [count for count in lines if heard(pump).startswith("ok ")]
        # Some are gathered or under way when it dies: they may be stored or not.
        for _ in range(dice.randrange(0, 7)):
            said += 1
            say(pump, f"devices/pump-24/flow {said}")
        time.sleep(dice.random() * 0.1)
        pump.kill()
    pump.start()
    pump.report("end", "end")
    messages = until_the_end(reader)
    numbers = [number_of(message.payload) for message in messages]
    came = [count for message in messages if message.topic.endswith("/flow") for count in readings(message)]
    assert len(stored) > 100
    assert set(stored) <= set(came), "lost"
    assert came == sorted(set(came)), "doubled, or out of order"
    assert len(numbers) == len(set(numbers)), "a number was used twice"


def test_what_a_reading_of_64_bytes_costs_by_itself_and_in_batches(device, reader):
    """The figures of docs/device.md."""
    rule = '[[batch]]\ntopics = ["devices/{{id}}/by-{0}"]\nmessages = {0}\nbytes = 64000\nwithin = "1h"\n'
    pump = device("pump-25").configure("".join(rule.format(messages) for messages in (1, 16, 256))).enrol()
    pump.start().connected()
    pump.report("alone", "x" * 64)
    assert len(next_reading(reader, pump, "alone").payload) == 165
    for messages, each in ((1, 171.0), (16, 72.6), (256, 66.4)):
        say(pump, *[f"devices/pump-25/by-{messages} {'x' * 64}"] * messages)
        assert all(heard(pump).startswith("ok ") for _ in range(messages))
        assert round(len(next_reading(reader, pump, f"by-{messages}").payload) / messages, 1) == each
