"""Follows the guides of docs/ word by word, each in a fresh directory on a network of its own in which this machine is 192.168.1.10.

A guide is a page that holds the comment `<!-- guide -->`. Of it
  - each ```sh block is run, from top to bottom, in one bash that stops at the first command that fails;
  - a block that begins with `# in a terminal of its own` is left running, in the directory where the guide is then;
    a `keyward sub` in it has subscribed, and a `keyward up` is open, before the next block is run;
  - a block that begins with `# in the terminal of `keyward up`: Ctrl-C, and again` is run there, after the broker has ended;
  - a ```python block that begins with `# NAME.py` is written into the file of that name, where the guide is then;
  - a ```output block says what the block before it prints, or what was left running before: its lines, in this order, `…` for
    anything; it is waited for;
  - every other block is for reading.
What it finds: `keyward` (KEYWARD_BIN) in the PATH, an empty home, and, where the page says `127.0.0.1:25`, a mail server of this machine
whose mail an output block can wait for. `npm install … node-red…` gives what test.sh installed before
from npm, for there is no network.
"""

import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]
BIN = os.environ.get("KEYWARD_BIN", str(ROOT / "target/release/keyward"))
NODE_RED = ROOT / "tests/clients/nodered/node_modules"
MARK = "<!-- guide -->"
TERMINAL = "# in a terminal of its own"
AGAIN = "# in the terminal of `keyward up`: Ctrl-C, and again"
MAIL = shlex.join(["python3", str(pathlib.Path(__file__).with_name("mail_server.py"))])
PATIENCE = 40.0  # seconds until a block has to be done, or what was left running has to have said something
GUIDES = [page for page in sorted((ROOT / "docs").glob("*.md")) if MARK in page.read_text()]
ADDRESS = "192.168.1.10"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

NPM = f"""#!/bin/sh
# What `npm install --prefix DIR node-red@4` would bring, from where npm brought it before.
set -eu
case "$*" in "install --prefix "*" node-red@4") ;; *) echo "npm: not known here: $*" >&2; exit 1 ;; esac
mkdir -p "$3"
ln -s {shlex.quote(str(NODE_RED))} "$3/node_modules"
"""


NETWORK = f"ip link set lo up; ip address add {ADDRESS}/24 dev lo"


def alone():
    """The command that gives bash a network with nothing in it but this machine."""
    for command in (["unshare", "--net"], ["unshare", "--net", "--map-root-user"]):
        if subprocess.run([*command, "ip", "link", "set", "lo", "up"], capture_output=True, check=False).returncode == 0:
            return command
    pytest.fail("a guide needs a network of its own: `unshare --net` is refused here")


class Shell:
    """One bash in a fresh directory, and what it left running."""

    def __init__(self, folder):
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(mode=0o700)
        programs = folder / "bin"
        programs.mkdir()
        (programs / "keyward").symlink_to(pathlib.Path(BIN).absolute())
        (programs / "npm").write_text(NPM)
        (programs / "npm").chmod(0o755)
        environment = {
            "PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(self.home), "LANG": "C.UTF-8", "TMPDIR": str(folder),
            # Where an ordinary user's directory is, also for root; the guides say so themselves where they need it.
            "KEYWARD_DIR": str(self.home / ".local/share/keyward"),
        }  # fmt: skip
        self.process = subprocess.Popen(
            [*alone(), "bash", "-c", f"{NETWORK}; umask 077; exec bash -e"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.home, env=environment,
            text=True, start_new_session=True,
        )  # fmt: skip
        self.environment, self.blocks, self.terminals, self.broker = environment, 0, [], None

    def run(self, block):
        """Runs a block to its end, or leaves it running; returns where its output is."""
        self.blocks += 1
        script, output = (self.folder / f"{self.blocks}.{end}" for end in ("sh", "out"))
        script.write_text(block)
        done = self.folder / f"{self.blocks}.done"
        if block.startswith(AGAIN):
            self.end_broker()
        if block.startswith((TERMINAL, AGAIN)):
            before = self.subscriptions()
            began = self.leave(f"bash -e {script}", output)
            if "keyward up" in block:
                self.broker = began
                self.until(lambda: "Ctrl-C stops it" in text(output), lambda: f"no broker:\n{text(output)}")
            if "keyward sub " in block:
                self.until(lambda: self.subscriptions() > before, lambda: f"nobody subscribed:\n{self.heard()}")
        else:
            self.tell(f". {script} > {output} 2>&1 < /dev/null; : > {done}")
            self.until(done.exists, lambda: f"the block did not end well:\n{block}\n{text(output)}\n{self.heard()}")
        return output

    def leave(self, command, output):
        """Leaves a command running; returns where its process id is going to be."""
        self.terminals.append(output)
        began = output.with_suffix(".pid")
        self.tell(f"{command} > {output} 2>&1 < /dev/null & echo $! > {began}")
        return began

    def serve_mail(self):
        output = self.folder / "mail.out"
        self.leave(MAIL, output)
        self.until(lambda: text(output), lambda: "no mail server")

    def end_broker(self):
        """What Ctrl-C does in its terminal."""
        shell = int(text(self.broker))
        [broker] = text(pathlib.Path(f"/proc/{shell}/task/{shell}/children")).split()
        os.kill(int(broker), signal.SIGINT)
        ended = lambda: not pathlib.Path(f"/proc/{broker}").exists()
        self.until(ended, lambda: f"the broker does not end:\n{self.heard()}")

    def subscriptions(self):
        asked = subprocess.run(
            [BIN, "--json", "status"], env=self.environment, capture_output=True, text=True, check=False
        )
        running = json.loads(asked.stdout).get("status", {}).get("running") if asked.stdout else None
        return running["subscriptions"] if running else 0

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def until(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline and self.process.poll() is None, what()
            time.sleep(0.02)

    def heard(self):
        """What everything that was left running has said."""
        return "".join(f"── {path.name}\n{text(path)}" for path in sorted(self.folder.glob("*.out")))

    def end(self):
        for signal_number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, signal_number)
                self.process.wait(10)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass


def text(path):
    return path.read_text(errors="replace") if path.exists() else ""


def pattern(block):
    """The lines of an output block, with anything between them."""
    lines = [".*".join(map(re.escape, line.strip().split("…"))) for line in block.splitlines() if line.strip()]
    return re.compile("(.|\n)*?".join(lines))


@pytest.fixture
def shell(tmp_path):
    tmp_path.chmod(0o700)
    shell = Shell(tmp_path)
    yield shell
    shell.end()


@pytest.mark.parametrize("guide", GUIDES, ids=lambda page: page.stem)
def test_a_guide_holds_word_by_word(guide, shell):
    began, commands, output = time.monotonic(), 0, None
    if "127.0.0.1:25" in guide.read_text():
        shell.serve_mail()
    for kind, block in BLOCK.findall(guide.read_text()):
        if kind == "sh":
            output = shell.run(block)
            commands += sum(1 for line in block.splitlines() if line.strip() and not line.startswith((" ", "#")))
        elif kind == "python" and (name := re.match(r"# (\w+\.py)\n", block)):
            shell.run(f"cat > {name[1]} <<'END OF FILE'\n{block}END OF FILE\n")
        elif kind == "output":
            said = pattern(block)
            heard = [output, *shell.terminals]
            shell.until(
                lambda: any(said.search(text(path)) for path in heard),
                lambda: f"not said:\n{block}\nbut:\n{text(output)}\n{shell.heard()}",
            )
    assert commands, "a guide has something to do"
    print(f"{guide.name}: {shell.blocks} blocks, {commands} lines, {time.monotonic() - began:.1f} s")


def test_a_guide_that_does_not_hold_is_found(shell):
    with pytest.raises(AssertionError, match="did not end well"):
        shell.run("false\n")


def test_what_a_guide_says_is_printed_has_to_be_printed():
    assert pattern("one … three\nfour\n").search("zero\none two three\n\nfour five\n")
    assert not pattern("four\none\n").search("one\nfour\n")
