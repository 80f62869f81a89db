"""Incidents are told outside: to a webhook, a mail server and a syslog that nobody of Keyward wrote."""

import http.server
import json
import os
import pathlib
import queue
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest
from conftest import Client, Keyward
from test_watch import LID

PAGE = (pathlib.Path(__file__).parents[2] / "docs/notify.md").read_text()
SECRET = "0123456789abcdef0123456789abcdef"


def checker():
    """What the page says about checking a signature, as it stands there."""
    words = {}
    exec(re.search(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1], words)
    return words["is_from_keyward"]


class Receiver:
    """A web server that answers as the story wants, and keeps what it got."""

    def __init__(self, tls=None, port=0):
        self.got = queue.Queue()
        self.answers = queue.Queue()  # a status for each request; without one 204
        self.stuck = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = outer.answers.get_nowait() if not outer.answers.empty() else 204
                outer.got.put((self.path, dict(self.headers), body))
                if status is None:
                    outer.stuck.wait(60)
                    return
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", f"http://127.0.0.1:{outer.port}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self):
        """The next message, whose signature is looked at as the page says."""
        path, fields, body = self.got.get(timeout=20)
        assert checker()(SECRET.encode(), fields["Keyward-Signature"], body), fields
        assert not checker()(SECRET.encode(), fields["Keyward-Signature"], body + b" ")
        assert not checker()(b"another secret", fields["Keyward-Signature"], body)
        told = json.loads(body)
        assert fields["Idempotency-Key"] == told["id"] and fields["Content-Type"] == "application/json"
        return path, told

    def close(self):
        self.stuck.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    one = Receiver()
    yield one
    one.close()


def webhook(keyward, url, name="pager", more=""):
    secret = keyward.folder / f"{name}.secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    return f'[[notify.webhook]]\nname = "{name}"\nurl = "{url}"\nsecret_file = "{secret}"\n{more}\n'


@pytest.fixture
def told(tmp_path):
    """A Keyward that starts with these words in its configuration."""
    started = []

    def start(words):
        keyward = Keyward(tmp_path)
        keyward.start()
        keyward.kill()
        with open(keyward.dir / "keyward.toml", "a") as config:
            config.write("\n" + (words(keyward) if callable(words) else words))
        started.append(keyward)
        return keyward.start()

    yield start
    for keyward in started:
        keyward.kill()


def open_lid(keyward, name="pump-1"):
    pump = Client(keyward.device(name)).connect()
    assert pump.publish(f"devices/{name}/alarm", LID) == 0
    return pump


def test_a_webhook_hears_of_an_incident_from_its_beginning_to_its_end(told, receiver):
    keyward = told(lambda keyward: webhook(keyward, f"http://127.0.0.1:{receiver.port}/in?team=a", more='min = "medium"'))
    pump = open_lid(keyward)
    path, begin = receiver.next()
    assert path == "/in?team=a"
    assert (begin["event"], begin["kind"], begin["incident"]["device"]) == ("begin", "tampered", "pump-1")
    assert "device pump-1" in begin["what"] and any("lid" in fact["what"] for fact in begin["incident"]["evidence"])
    number = str(begin["incident"]["number"])
    keyward.run("incident", "ack", number, "--note", "on my way")
    _, change = receiver.next()
    assert change["event"] == "change" and "acknowledged" in change["incident"]["state"]
    keyward.run("incident", "resolve", number, "true")
    _, end = receiver.next()
    assert end["event"] == "end" and "resolved" in end["incident"]["state"]
    assert len({begin["id"], change["id"], end["id"]}) == 3
    pump.close()


def test_what_was_not_taken_survives_a_kill_and_comes_again_under_its_name(told, receiver):
    for _ in range(20):
        receiver.answers.put(500)
    keyward = told(lambda keyward: webhook(keyward, f"http://127.0.0.1:{receiver.port}/", more='min = "medium"'))
    pump = open_lid(keyward)
    _, first = receiver.next()
    waiting = keyward.dir / "notify.json"
    keyward.until(lambda: waiting.exists() and first["id"] in waiting.read_text(), "it is on disk")
    assert waiting.stat().st_mode & 0o077 == 0
    keyward.until(lambda: "answers 500" in keyward.run("status").stdout, "the status says that it cannot be told")
    pump.close()
    keyward.kill()
    while not receiver.answers.empty():
        receiver.answers.get_nowait()
    while not receiver.got.empty():
        receiver.got.get_nowait()
    keyward.start()
    _, again = receiver.next()
    assert again == first
    keyward.until(lambda: first["id"] not in waiting.read_text(), "it waits no longer")
    assert "notify pager" not in keyward.run("status").stdout


def test_nobody_is_followed_elsewhere_and_a_test_says_what_happened(told, receiver):
    other = Receiver()

    def words(keyward):
        missing = webhook(keyward, f"http://127.0.0.1:{other.port}/", "no-secret")
        (keyward.folder / "no-secret.secret").unlink()
        open_to_all = webhook(keyward, f"http://127.0.0.1:{other.port}/", "open-to-all")
        (keyward.folder / "open-to-all.secret").chmod(0o644)
        return (webhook(keyward, f"http://127.0.0.1:{receiver.port}/") + missing + open_to_all
                + webhook(keyward, f"http://127.0.0.1:{other.port}/x", "good")
                + webhook(keyward, "http://127.0.0.1:1/hidden-word", "closed"))

    keyward = told(words)
    receiver.answers.put(302)
    done = keyward.run("notify", "test", "--json", check=False)
    rows = {row["place"]: row for row in json.loads(done.stdout)["notify_tested"]}
    assert done.returncode == 1
    assert [name for name, row in rows.items() if row["worked"]] == ["good"]
    assert "302" in rows["pager"]["what"] and "nobody is followed" in rows["pager"]["what"]
    assert "no-secret.secret" in rows["no-secret"]["what"]
    assert "chmod" in rows["open-to-all"]["what"], rows["open-to-all"]
    assert "127.0.0.1" in rows["closed"]["what"] and "hidden-word" not in done.stdout + done.stderr
    assert receiver.next()[1]["event"] == "test" and receiver.got.empty()
    assert other.next()[1]["event"] == "test" and other.got.empty(), "nothing leaves that is not signed"
    other.close()


def test_one_that_never_answers_holds_up_no_other(told, receiver):
    stuck = Receiver()
    stuck.answers.put(None)
    keyward = told(lambda keyward: webhook(keyward, f"http://127.0.0.1:{stuck.port}/", "stuck", 'min = "medium"')
                   + webhook(keyward, f"http://127.0.0.1:{receiver.port}/", more='min = "medium"'))
    pump = open_lid(keyward)
    assert receiver.next()[1]["event"] == "begin"
    assert stuck.next()[1]["event"] == "begin"
    number = str(json.loads(keyward.run("incident", "list", "--json").stdout)["incidents"][0]["number"])
    keyward.run("incident", "resolve", number, "true")
    assert receiver.next()[1]["event"] == "end", "while the other is waited for"
    pump.close()
    began = time.monotonic()
    keyward.stop()
    assert time.monotonic() - began < 10, "the end of the broker waits for nobody far away"
    stuck.close()


def test_a_certificate_of_nobody_known_is_refused_and_one_of_the_file_believed(told, tmp_path):
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
         "-out", cert, "-subj", "/CN=alerts", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"],
        check=True, capture_output=True,
    )
    tls = Receiver(tls=(cert, key))
    url = f"https://127.0.0.1:{tls.port}/"
    keyward = told(lambda keyward: webhook(keyward, url, "strange") + webhook(keyward, url, "known", f'ca_file = "{cert}"'))
    rows = {row["place"]: row for row in
            json.loads(keyward.run("notify", "test", "--json", check=False).stdout)["notify_tested"]}
    assert rows["known"]["worked"] and not rows["strange"]["worked"], rows
    assert "TLS" in rows["strange"]["what"], rows
    assert tls.next()[1]["event"] == "test"
    tls.close()


def test_without_a_place_a_test_says_where_to_write_one(keyward):
    done = keyward.run("notify", "test", check=False)
    assert done.returncode != 0 and "[notify.mail]" in done.stderr, done
