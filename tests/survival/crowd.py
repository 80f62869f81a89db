"""Lets clients take all connections that there are, and shows that the message store still gets the files that it needs.

The broker may have few file descriptors (prlimit), and as many clients connect. Then messages for a session that is away
are published until the store has written several files: every one must be acknowledged.

    tests/survival/crowd.py --bin target/release/keyward
"""

import argparse

import wire
from broker import PATIENCE, running_broker
from clients import Client

DESCRIPTORS, MESSAGES, FILLING = 270, 2500, b"x" * 16_000


def crowd(broker):
    """Connects as often as there are descriptors; gives all links, also of those who are kept waiting, and how many are let in."""
    links = [wire.Link(broker.port) for _ in range(DESCRIPTORS)]
    for number, link in enumerate(links):
        try:
            link.send(wire.connect(f"crowd-{number}", "load", broker.password, True))
        except ConnectionError:
            pass
    return links, sum(is_let_in(link) for link in links)


def is_let_in(link):
    try:
        found = link.receive(0.05)
    except ConnectionError:
        return False
    return bool(found) and found[0] == wire.CONNACK and found[2][1] == 0


def run(broker):
    away, publisher = Client(broker, "away"), Client(broker, "publisher")
    away.connect()
    away.link.send(wire.subscribe(1, "k/kept", 1))
    assert away.link.receive(PATIENCE)[0] == wire.SUBACK
    away.link.close()
    publisher.connect(clean=True)
    links, let_in = crowd(broker)
    for number in range(1, MESSAGES + 1):
        publisher.link.send(wire.publish("k/kept", FILLING, 1, number))
        found = publisher.link.receive(PATIENCE)
        assert found and found[0] == wire.PUBACK, f"message {number}: {found}\n{broker.said()}"
    tables = [path for path in (broker.dir / "messages").rglob("tables/*") if path.stat().st_size > 1 << 20]
    assert tables, "no table file was written: this shows nothing"
    assert len(links) > let_in > 0, f"all {let_in} were let in: this shows nothing"
    print(f"with {let_in} clients let in and {DESCRIPTORS} descriptors {MESSAGES} messages were stored, and {len(tables)} table files written")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="target/release/keyward")
    options = parser.parse_args()
    with running_broker(options.bin, under=("prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}")) as broker:
        run(broker)


if __name__ == "__main__":
    main()
