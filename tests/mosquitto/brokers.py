"""The two brokers of the comparison, each started on files in a folder."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time

PATIENCE = 20.0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port):
    end = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < end, f"nobody listens on {port}"
            time.sleep(0.01)


def filled(text, ports):
    """A configuration with its ports: PORT0, PORT1 …"""
    for number, port in enumerate(ports):
        text = text.replace(f"PORT{number}", str(port))
    return text


@contextlib.contextmanager
def mosquitto(folder, conf):
    """Runs Mosquitto. Gives the ports of its listeners."""
    ports = [free_port() for _ in range(conf.count("PORT"))]
    # Started by root, Mosquitto would give its rights up before it reads the files.
    (folder / "run.conf").write_text(filled(conf, ports) + "user root\nsys_interval 1\n")
    program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
    with open(folder / "mosquitto.log", "w") as log:
        process = subprocess.Popen([program, "-c", folder / "run.conf"], stdout=log, stderr=log)
    try:
        for port in ports:
            wait_for_port(port)
        yield ports
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


class Keyward:
    """One broker for all rounds: it imports, is asked, and forgets."""

    def __init__(self, program, folder):
        self.program, self.dir = program, folder / "keyward"
        self.dir.mkdir(mode=0o700)
        self.rules = self.dir / "policy.d"
        self.rules.mkdir(mode=0o700)
        # Each of a few users logs in a dozen times in a moment, from one address, and some with wrong passwords.
        self.head = (f'[server]\nsys_interval = "1 s"\n[limits]\nconnections_per_identity = 1000\nban_after = 0\n'
                     f'[store]\ndurability = "memory"\n'
                     f'[[listener]]\nname = "tls"\naddress = "127.0.0.1"\nport = {free_port()}\n')
        self.write_config(self.head)
        with open(folder / "keyward.log", "w") as log:
            self.process = subprocess.Popen([program, "--dir", self.dir, "up"], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        end = time.monotonic() + PATIENCE
        while self.run("status").returncode:
            assert time.monotonic() < end, (folder / "keyward.log").read_text()

    def write_config(self, text):
        path = self.dir / "keyward.toml"
        path.write_text(text)
        path.chmod(0o600)

    def run(self, *words):
        return subprocess.run([self.program, "--dir", self.dir, *words], capture_output=True, text=True, timeout=PATIENCE)

    def must(self, *words):
        ran = self.run(*words)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def refusal(self, folder, conf):
        """Why it does not import a configuration; it must not."""
        (folder / "refused.conf").write_text(filled(conf, [free_port() for _ in range(conf.count("PORT"))]))
        ran = self.run("import", "mosquitto", folder / "refused.conf")
        assert ran.returncode != 0, f"{folder}: imported, where it should be refused"
        return ran.stderr

    @contextlib.contextmanager
    def imported(self, folder, conf):
        """Has imported a configuration with one listener. Gives its port and the report, and forgets it all at the end."""
        port = free_port()
        (folder / "import.conf").write_text(filled(conf, [port]))
        report = json.loads(self.must("--json", "import", "mosquitto", str(folder / "import.conf")))["import"]
        try:
            wait_for_port(port)
            yield port, report
        finally:
            for path in self.imported_rules():
                path.unlink()
            self.write_config(self.head)
            self.must("reload")
            for user in report["users"]:
                self.must("user", "remove", user)

    def imported_rules(self):
        return sorted(self.rules.glob("mosquitto-*.toml"))

    @contextlib.contextmanager
    def spoilt(self, spoil):
        """Has every imported rule file spoilt by a function of its text. Gives whether that changed anything."""
        before = {path: path.read_text() for path in self.imported_rules()}
        after = {path: spoil(text) for path, text in before.items()}
        for path, text in after.items():
            path.write_text(text)
        self.must("reload")
        try:
            yield before != after
        finally:
            for path, text in before.items():
                path.write_text(text)
            self.must("reload")

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
