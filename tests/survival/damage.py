"""Damages a file of the message store that is not read before its messages are, and shows that the broker starts all the same.

Messages for a session that is away fill several table files. The broker is killed, and some bytes in the middle of the
largest file are changed. The broker must start, set the store aside and say so; the session must be there with its
subscription, and with the messages that are not in the damage, in their order; and what is published then must come too.

    tests/survival/damage.py --bin target/release/keyward
"""

import argparse

import wire
from broker import PATIENCE, running_broker
from clients import Client

MESSAGES, FILLING = 2500, b"x" * 16_000


def publish(client, number):
    client.link.send(wire.publish("k/kept", f"{number:08} ".encode() + FILLING, 1, number))
    found = client.link.receive(PATIENCE)
    assert found and found[0] == wire.PUBACK, found


def damage(messages):
    """Changes bytes in the middle of the largest table file."""
    tables = (path for path in messages.rglob("tables/*") if path.is_file())
    path = max(tables, key=lambda path: path.stat().st_size)
    data = bytearray(path.read_bytes())
    assert len(data) > 1 << 20, f"{path} has {len(data)} bytes: nothing was flushed"
    middle = len(data) // 2
    data[middle:middle + 64] = bytes(byte ^ 0xA5 for byte in data[middle:middle + 64])
    path.write_bytes(data)


def read_all(client, last):
    """Reads until the message with this number came, and gives the numbers."""
    came = []
    while not came or came[-1] != last:
        kind, flags, body = client.link.receive(PATIENCE) or (None, 0, b"")
        assert kind == wire.PUBLISH, f"{len(came)} messages came, the last one did not"
        _, payload, _, number, _ = wire.parse_publish(flags, body)
        came.append(int(payload[:8]))
        client.link.send(wire.ack(wire.PUBACK, number))
    return came


def run(broker):
    away, publisher = Client(broker, "away"), Client(broker, "publisher")
    away.connect()
    away.link.send(wire.subscribe(1, "k/kept", 1))
    assert away.link.receive(PATIENCE)[0] == wire.SUBACK
    away.link.close()
    publisher.connect(clean=True)
    for number in range(1, MESSAGES + 1):
        publish(publisher, number)
    broker.kill()
    damage(broker.dir / "messages")
    broker.start()
    aside = [path.name for path in broker.dir.iterdir() if path.name.startswith("messages.damaged-")]
    assert len(aside) == 1 and aside[0] in broker.whole_log(), f"{aside}\n{broker.said()}"
    publisher.connect(clean=True)
    publish(publisher, MESSAGES + 1)
    assert away.connect(), "its session is gone"
    came = read_all(away, last=MESSAGES + 1)
    saved = len(came) - 1
    assert came == sorted(set(came)) and came[-1] == MESSAGES + 1, "not in their order, or twice"
    assert 0 < saved < MESSAGES, f"{saved} came: {came[:5]}"
    print(f"of {MESSAGES} messages {saved} were not in the damage and came; the rest is in {aside[0]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="target/release/keyward")
    options = parser.parse_args()
    with running_broker(options.bin) as broker:
        run(broker)


if __name__ == "__main__":
    main()
