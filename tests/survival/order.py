"""Traces the system calls of the broker and shows that no acknowledgement leaves before what it asserts is on disk.

One exchange at a time: a PUBLISH for a stored session that is away, at QoS 1 and 2, and a SUBSCRIBE of a stored session. Of
each the trace must hold, in this order: the packet was read from the socket; its content was written to a file below
DIR/messages; a sync of that file was begun and returned 0; PUBACK, PUBREC or SUBACK was written to the socket. The
control is a second broker with `durability = "os"`: the same check must then find no sync in any exchange.

Then what is not to be kept: messages of QoS 0, and of QoS 1 for a session that ends with its link. Each must have been read
from one socket and written to another, and to no file; and while they were on their way the broker synced nothing. And a
retained message of QoS 0, for which nobody waits: it must be written and synced by itself; how long that took is printed.

    tests/survival/order.py --bin target/release/keyward
"""

import argparse
import collections
import os
import pathlib
import re
import struct
import sys
import tempfile
import time

import wire
from broker import PATIENCE, Broker
from clients import Client

READS, SENDS, WRITES = {"read", "readv", "recvfrom", "recvmsg"}, {"write", "writev", "sendto", "sendmsg"}, {"write", "writev", "pwrite64"}
SYNCS = {"fsync", "fdatasync"}
# -D: the broker is our child and the tracer is not, so killing the broker ends both.
TRACER = ("strace", "-D", "-f", "-ttt", "-y", "-xx", "-s", "4096", "-e", "trace=" + ",".join(sorted(READS | WRITES | SENDS | SYNCS)), "-o")
LINE = re.compile(r"(?P<thread>\d+) +(?P<at>[\d.]+) (?:<\.\.\. (?P<resumed>\w+) resumed>|(?P<call>\w+)\((?P<fd>\d+<[^>]*>)?)(?P<rest>.*)")


class Call:
    """A system call: the lines at which it was begun and had returned, its file, its bytes and its result."""

    def __init__(self, name, file, begun, at):
        self.name, self.file, self.begun, self.at, self.data, self.returned, self.result = name, file, begun, at, b"", None, None

    def add(self, rest):
        for word in re.findall(r'"((?:\\x[0-9a-f]{2})*)"', rest):
            self.data += bytes.fromhex(word.replace("\\x", ""))

    def end(self, line, rest):
        self.returned, self.result = line, rest.rpartition(" = ")[2].split(" ")[0]


def parse(lines):
    """The calls of a trace. A call that the tracer saw begin and return without another's event between is one line."""
    calls, open_calls = [], {}
    for number, line in enumerate(lines):
        found = LINE.match(line)
        if not found:
            continue
        thread, rest = found["thread"], found["rest"]
        if found["resumed"]:
            call = open_calls.pop(thread, None)
        else:
            call = Call(found["call"], readable(found["fd"] or ""), number, float(found["at"]))
            calls.append(call)
        if call is None:
            continue
        call.add(rest)
        if rest.endswith("<unfinished ...>"):
            open_calls[thread] = call
        else:
            call.end(number, rest)
    return calls


def readable(file):
    """-xx writes the names of files in hexadecimal too."""
    return re.sub(r"(?:\\x[0-9a-f]{2})+", lambda found: bytes.fromhex(found[0].replace("\\x", "")).decode(), file)


class Exchange:
    """A packet that was sent, a content by which it is known, and the acknowledgement that answered."""

    def __init__(self, name, content, acknowledgement):
        self.name, self.content, self.acknowledgement = name, content, acknowledgement

    def chain(self, calls, messages):
        """The received packet, the write, the sync and the acknowledgement; those that are missing are None."""
        received = first(calls, lambda call: call.name in READS and "socket" in call.file and self.content in call.data)
        if not received:
            return None, None, None, None
        later = [call for call in calls if call.begun > received.returned]
        sent = first(later, lambda call: call.name in SENDS and call.file == received.file and self.acknowledgement in call.data)
        written = first(later, lambda call: in_a_file(messages, call, self.content) and call.returned)
        if not (sent and written):
            return received, written, None, sent
        return received, written, first(later, lambda call: is_between(call, written, sent)), sent


def is_between(call, written, sent):
    return is_sync(call, written) and written.returned < call.begun and call.returned < sent.begun


def is_sync(call, written):
    return call.name in SYNCS and call.file.partition("<")[2] == written.file.partition("<")[2] and call.result == "0"


def below(folder, file):
    return file.partition("<")[2].startswith(f"{folder}/")


def first(calls, holds):
    return next((call for call in calls if holds(call)), None)


def exchanges(broker, count):
    """Has the exchanges with a broker, one after the other."""
    done, away = [], Client(broker, "away")
    publisher = Client(broker, "publisher")
    away.connect()
    for number in range(1, count + 1):
        content = f"k/order-subscribe-{number:04}"
        away.link.send(wire.subscribe(number, content, 2))
        done.append(answered(away, wire.SUBACK, "SUBSCRIBE", number, content))
    away.link.send(wire.subscribe(9999, "k/#", 2))
    expect(away, wire.SUBACK)
    away.link.close()
    publisher.connect(clean=True)
    for qos, kind in ((1, wire.PUBACK), (2, wire.PUBREC)):
        for number in range(1, count + 1):
            content = f"order-publish-{qos}-{number:04}"
            publisher.link.send(wire.publish("k/order", content.encode(), qos, number))
            done.append(answered(publisher, kind, f"PUBLISH of QoS {qos}", number, content))
    return done


def passing(broker, count):
    """Sends what is not to be kept, all of it read by a session that ends with its link, and gives the contents."""
    reader, publisher = Client(broker, "passing"), Client(broker, "talker")
    reader.connect(clean=True)
    publisher.connect(clean=True)
    reader.link.send(wire.subscribe(1, "k/#", 1))
    expect(reader, wire.SUBACK)
    contents = []
    for qos in (0, 1):
        for number in range(1, count + 1):
            contents.append(f"order-passing-{qos}-{number:04}".encode())
            publisher.link.send(wire.publish("k/passing", contents[-1], qos, number))
            if qos:
                expect(publisher, wire.PUBACK)
            assert contents[-1] in expect(reader, wire.PUBLISH)
    return contents


def answered(client, kind, name, number, content):
    body = expect(client, kind)
    assert body[:2] == struct.pack("!H", number), body
    return Exchange(name, content.encode(), wire.packet(kind, 0, body))


def expect(client, kind):
    found = client.link.receive(PATIENCE)
    assert found and found[0] == kind, f"{client.name}: {found} instead of a packet of type {kind}"
    return found[2]


def trace(program, durability, talk):
    """Runs a traced broker and gives what `talk` made of it, the calls and the folder of the messages."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o700)
        output = pathlib.Path(folder) / "trace"
        broker = Broker(program, pathlib.Path(folder), durability, under=(*TRACER, output))
        try:
            done = talk(broker, output)
        finally:
            broker.kill()
        return done, parse(whole(output, broker.process.pid)), broker.dir


def whole(output, process):
    """The trace, once the tracer has seen the broker end."""
    ended = lambda lines: any(line.startswith(f"{process} ") and "+++ killed by" in line for line in lines[-200:])
    return await_trace(output, ended, "the broker's end")


def await_trace(output, holds, what):
    """The trace, once something holds of it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        lines = output.read_text().splitlines()
        if holds(lines):
            return lines
        assert time.monotonic() < deadline, f"the tracer has not seen {what}"
        time.sleep(0.01)  # between two looks


def look(program, durability, count):
    """Prints what stood before each kind of acknowledgement, and gives how many exchanges had a sync, and had all else."""
    done, calls, home = trace(program, durability, lambda broker, _: exchanges(broker, count))
    messages = home / "messages"
    seen, synced, whole_chains, shown = collections.Counter(), 0, 0, set()
    for exchange in done:
        received, written, sync, sent = exchange.chain(calls, messages)
        seen[exchange.name, bool(sync)] += 1
        synced += bool(sync)
        whole_chains += bool(received and written and sent)
        if exchange.name not in shown:
            shown.add(exchange.name)
            print(f"  {exchange.name}: " + " → ".join(told(call, received) for call in (received, written, sync, sent)))
    for (name, is_synced), times in sorted(seen.items()):
        print(f"  {durability}: {times} × {name}, {'a sync' if is_synced else 'NO SYNC'} before the acknowledgement")
    return len(done), whole_chains, synced


def look_at_what_is_not_kept(program, count):
    """Gives what of the passing messages was not seen to pass, and what was on its way when something was written or synced."""
    contents, calls, home = trace(program, "synced", lambda broker, _: passing(broker, count))
    received = [first(calls, lambda call: call.name in READS and "socket" in call.file and content in call.data) for content in contents]
    sent = [first(calls, lambda call: call.name in SENDS and "socket" in call.file and content in call.data) for content in contents]
    unseen = [content for content, *both in zip(contents, received, sent) if not all(both)]
    if unseen:
        return unseen, []
    on_their_way = [call for call in calls if received[0].returned < call.begun < sent[-1].begun]
    syncs = [f"{call.name}({call.file})" for call in on_their_way if call.name in SYNCS]
    written = [content for content in contents if any(in_a_file(home, call, content) for call in calls)]
    return [], syncs + written


def look_at_a_retained_message(program):
    """Gives how long after it was read a retained message of QoS 0 was synced, with nothing else to sync, in seconds."""
    content = b"order-retained-0"

    def talk(broker, output):
        publisher = Client(broker, "talker")
        publisher.connect(clean=True)
        publisher.link.send(wire.publish("k/retained", content, 0, 0, retain=True))
        await_trace(output, lambda lines: synced_after(parse(lines), content, broker.dir), "the sync of a retained message")

    _, calls, home = trace(program, "synced", talk)
    received = first(calls, lambda call: call.name in READS and "socket" in call.file and content in call.data)
    return synced_after(calls, content, home).at - received.at


def synced_after(calls, content, home):
    """The sync that made a content durable."""
    written = first(calls, lambda call: in_a_file(home / "messages", call, content) and call.returned)
    return written and first(calls, lambda call: is_sync(call, written) and call.begun > written.returned)


def in_a_file(folder, call, content):
    return call.name in WRITES and below(folder, call.file) and content in call.data


def told(call, received):
    if not call:
        return "nothing"
    name = pathlib.PurePath(call.file.partition("<")[2].rstrip(">")).name
    return f"{call.name}({name}) at {(call.at - received.at) * 1000:.1f} ms"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="target/release/keyward")
    parser.add_argument("--exchanges", type=int, default=10, help="of each kind")
    options = parser.parse_args()
    number, whole_chains, synced = look(options.bin, "synced", options.exchanges)
    if not number == whole_chains == synced:
        sys.exit(f"{number - synced} of {number} acknowledgements left before a sync")
    number, whole_chains, synced = look(options.bin, "os", options.exchanges)
    if number != whole_chains or synced:
        sys.exit(f"the control: {synced} of {number} had a sync, {whole_chains} were read in the trace; this check cannot fail")
    print("every acknowledgement waited for its sync; the control had none")
    unseen, touched = look_at_what_is_not_kept(options.bin, options.exchanges)
    if unseen or touched:
        sys.exit(f"what is not to be kept: not seen to pass {unseen}, on disk or at a sync {touched}")
    print(f"of {2 * options.exchanges} messages that are not to be kept none touched the disk")
    print(f"a retained message of QoS 0 was on disk {look_at_a_retained_message(options.bin) * 1000:.0f} ms after it came")


if __name__ == "__main__":
    main()
