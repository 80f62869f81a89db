"""Programs on the device that speak to the agent's socket wrongly, or not at all: the others do not notice."""

import os
import socket
import subprocess
import time

from clients import PATIENCE
from test_devices import next_reading, plain

SOCKET = '[socket]\npath = "{}"\n'


def listening(device, keyward, name, more=""):
    place = keyward.folder / f"{name}.sock"
    agent = device(name).configure(SOCKET.format(place) + more, stdin=False).enrol().start()
    keyward.until(place.exists, "the socket is there")
    agent.place = str(place)
    return agent


class Program:
    """A program that is connected to the socket."""

    def __init__(self, agent):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(agent.place)
        self.source = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.source.close()
        self.socket.close()

    def say(self, line):
        self.socket.sendall(line if isinstance(line, bytes) else line.encode() + b"\n")

    def heard(self):
        return self.source.readline().decode().strip()

    def ask(self, line):
        self.say(line)
        return self.heard()


def open_files(agent):
    return len(os.listdir(f"/proc/{agent.process.pid}/fd"))


def test_a_line_that_is_no_reading_is_refused_and_the_next_is_taken(device, keyward, reader):
    agent = listening(device, keyward, "odd-1")
    with Program(agent) as program:
        for line in [
            b"\n", b"\0\n", b"\xff\xfe x\n", b"a\0b x\n", b"devices/odd-1/# x\n", b"devices/+/x x\n", b"$keyward/enroll x\n",
            b"$SYS/x x\n", b" x\n", b"!\n", b"!stop\n", b"{\n", b'{"topic":"a\\u0000","payload":1}\n', b'{"topic":"a","base64":"*"}\n',
            b'{"topic":"a","payload":' + b"[" * 20_000 + b"\n", b"t" * 1_025 + b" x\n", b"a " + b"x" * 64_513 + b"\n",
        ]:
            program.say(line)
            answer = program.heard()
            assert answer.startswith("error "), (line[:40], answer)
        assert program.ask("devices/odd-1/flow 1").startswith("ok ")
        program.say(b"a" * 135_170)
        assert "132 KiB" in program.heard()
    with Program(agent) as program:
        assert program.ask("devices/odd-1/flow 2").startswith("ok ")
    assert [plain(next_reading(reader, agent, "flow").payload) for _ in range(2)] == ["1", "2"]


def test_half_a_line_of_a_program_that_dies_is_no_reading(device, keyward, reader):
    agent = listening(device, keyward, "odd-2")
    with Program(agent) as program:
        program.say(b"devices/odd-2/flow 21.5\ndevices/odd-2/flow 2")
        program.socket.shutdown(socket.SHUT_WR)
        assert program.heard().startswith("ok ")
        assert program.heard().startswith("error ")
    with Program(agent) as program:
        program.ask("devices/odd-2/flow end")
    assert [plain(next_reading(reader, agent, "flow").payload) for _ in range(2)] == ["21.5", "end"]


def test_programs_that_hang_up_leave_nothing_open(device, keyward):
    agent = listening(device, keyward, "odd-3", '[[batch]]\ntopics = ["devices/{id}/slow"]\nmessages = 1024\nwithin = "1h"\n')
    with Program(agent) as program:
        assert program.ask("!status").startswith("{")
    before = open_files(agent)
    for line in ["!commands", "devices/odd-3/slow 1"]:
        for _ in range(200):
            with Program(agent) as program:
                while (program.ask("!status"))[0] != "{":
                    program.__exit__()
                    program.__init__(agent)
                program.say(line)
    keyward.until(lambda: open_files(agent) <= before + 4, f"{open_files(agent)} files are open, and {before} were")
    with Program(agent) as program:
        assert program.ask("!status").startswith("{")


def test_a_program_that_reads_no_answers_holds_up_nobody_else(device, keyward):
    agent = listening(device, keyward, "odd-4")
    deaf = [Program(agent) for _ in range(4)]
    for program in deaf:
        program.socket.settimeout(0.5)
        try:
            while True:
                program.say(f"devices/odd-4/flow {'x' * 20}")
        except TimeoutError:
            pass
    with Program(agent) as program:
        begun = time.monotonic()
        for _ in range(5):
            assert program.ask("devices/odd-4/door shut").startswith("ok ")
        assert time.monotonic() - begun < 3
    for program in deaf:
        program.__exit__()


def test_ten_thousand_connections_are_turned_away_one_by_one(device, keyward):
    agent = listening(device, keyward, "odd-5")
    held = [Program(agent) for _ in range(32)]
    assert held[-1].ask("!status").startswith("{")
    for _ in range(10_000):
        with Program(agent) as program:
            assert program.heard() == "error 32 programs are connected already"
    for program in held:
        program.__exit__()
    keyward.until(lambda: open_files(agent) < 60, "the places are free")
    with Program(agent) as program:
        assert program.ask("devices/odd-5/flow 1").startswith("ok ")


def test_a_script_says_a_reading_that_waits_for_its_batch(device, keyward):
    agent = listening(device, keyward, "odd-6", '[[batch]]\ntopics = ["devices/{id}/slow"]\nwithin = "11s"\n')
    sent = subprocess.run(
        [agent.binary, "agent", "send", "--config", str(agent.config), "devices/odd-6/slow", "1"], capture_output=True, text=True
    )
    assert sent.returncode == 0 and sent.stdout.startswith("stored as "), sent.stderr
