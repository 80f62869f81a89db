"""A file system whose power can be cut (crates/cut), below a folder."""

import subprocess


class Disk:
    def __init__(self, program, folder):
        folder.mkdir(mode=0o700)
        self.folder = folder
        self.process = subprocess.Popen([program, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.expect("mounted")

    def cut(self, seed=None):
        """Loses what was not synced: all of it, or all but a random part. Until power is on again, all is refused."""
        self.ask("cut" if seed is None else f"cut {seed}", "cut")

    def power_on(self):
        self.ask("on", "on")

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)

    def ask(self, line, answer):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        self.expect(answer)

    def expect(self, answer):
        line = self.process.stdout.readline().strip()
        assert line == answer, f"the file system says {line!r} and not {answer!r}"
