"""Incidents are told outside: to a webhook, a mail server and a syslog that nobody of Keyward wrote."""

import base64
import email
import email.policy
import http.server
import json
import pathlib
import queue
import re
import socket
import socketserver
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
                outer.got.put((self.path, self.headers, body))
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


def test_a_certificate_of_nobody_known_is_refused_and_one_of_the_file_believed(told, certificate):
    tls = Receiver(tls=certificate)
    url = f"https://127.0.0.1:{tls.port}/"
    ca = f'ca_file = "{certificate[0]}"'
    keyward = told(lambda keyward: webhook(keyward, url, "strange") + webhook(keyward, url, "known", ca))
    done = keyward.run("notify", "test", "--json", check=False)
    rows = {row["place"]: row for row in json.loads(done.stdout)["notify_tested"]}
    assert rows["known"]["worked"] and not rows["strange"]["worked"], rows
    assert "TLS" in rows["strange"]["what"], rows
    assert tls.next()[1]["event"] == "test"
    tls.close()


def test_without_a_place_a_test_says_where_to_write_one(keyward):
    done = keyward.run("notify", "test", check=False)
    assert done.returncode != 0 and "[notify.mail]" in done.stderr, done


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 that nobody else vouches for, with its key."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
         "-out", cert, "-subj", "/CN=here", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"],
        check=True, capture_output=True,
    )
    return cert, key


class MailServer:
    """A mail server that keeps what it got, and what was said to it before TLS."""

    def __init__(self, tls, password="pass word", offers=True, refuses=()):
        self.got, self.plain = queue.Queue(), []
        outer = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)

        class Handler(socketserver.StreamRequestHandler):
            def say(self, *lines):
                for n, line in enumerate(lines):
                    code, text = line.split(" ", 1)
                    self.wfile.write(f"{code}{' ' if n + 1 == len(lines) else '-'}{text}\r\n".encode())

            def handle(self):
                secured, allowed, mail = False, False, {"to": []}
                self.say("220 mail.example")
                while line := self.rfile.readline().decode().rstrip("\r\n"):
                    if not secured:
                        outer.plain.append(line)
                    word = line.split(" ")[0].upper()
                    if word == "EHLO" and secured:
                        self.say("250 mail.example", "250 AUTH PLAIN LOGIN")
                    elif word == "EHLO":
                        self.say("250 mail.example", "250 STARTTLS" if offers else "250 HELP")
                    elif word == "STARTTLS":
                        self.say("220 go on")
                        self.connection = context.wrap_socket(self.connection, server_side=True)
                        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
                        secured = True
                    elif word == "AUTH":
                        words = base64.b64decode(line.split(" ")[2]).split(b"\0")
                        allowed = words == [b"", b"keyward", password.encode()]
                        self.say("235 welcome" if allowed else "535 who are you")
                    elif word == "MAIL" and allowed:
                        mail["from"] = line[len("MAIL FROM:"):]
                        self.say("250 ok")
                    elif word == "RCPT" and any(name in line for name in refuses):
                        self.say("550 nobody of that name")
                    elif word == "RCPT" and allowed:
                        mail["to"].append(line[len("RCPT TO:"):])
                        self.say("250 ok")
                    elif word == "DATA" and allowed:
                        self.say("354 go on")
                        text = b"".join(iter(self.rfile.readline, b".\r\n"))
                        outer.got.put({**mail, "text": email.message_from_bytes(text, policy=email.policy.default)})
                        self.say("250 taken")
                    elif word == "QUIT":
                        self.say("221 bye")
                        return
                    else:
                        self.say("503 not so")

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def mail(keyward, server, ca, to='"anna@example.org", "ben@example.org"', password="pass word"):
    file = keyward.folder / "mail.password"
    file.write_text(password + "\n")
    file.chmod(0o600)
    return (f'[notify.mail]\nserver = "127.0.0.1:{server.port}"\nuser = "keyward"\npassword_file = "{file}"\nca_file = "{ca}"\n'
            f'from = "keyward@example.org"\nto = [{to}]\n')


def pull_plug(keyward, name):
    """A device that says that somebody opened it, and falls silent at once: what somebody is called for."""
    pump = open_lid(keyward, name)
    pump.close()


def test_people_get_one_mail_for_what_comes_within_a_minute(told, certificate):
    server = MailServer(certificate)
    keyward = told(lambda keyward: mail(keyward, server, certificate[0]))
    keyward.run("notify", "test")
    test = server.got.get(timeout=10)
    assert test["from"] == "<keyward@example.org>" and test["to"] == ["<anna@example.org>", "<ben@example.org>"]
    assert "this is a test" in test["text"].get_content() and test["text"]["Auto-Submitted"] == "auto-generated"
    assert [line.split(" ")[0] for line in server.plain] == ["EHLO", "STARTTLS"], "nothing else is said before TLS"
    pull_plug(keyward, "pump-1")
    first = server.got.get(timeout=20)
    body = first["text"].get_content()
    assert "pump-1" in first["text"]["Subject"] and "keyward incident show" in body and "lid" in body, body
    pull_plug(keyward, "pump-2")
    pull_plug(keyward, "pump-3")
    later = server.got.get(timeout=90)
    assert all(name in later["text"].get_content() for name in ("pump-2", "pump-3")), "those of a minute are one"
    told_in = lambda one: set(re.findall(r"keyward incident show (\d+)", one["text"].get_content()))
    assert not told_in(first) & told_in(later) and server.got.empty(), "each call is in one mail"
    server.close()


def test_what_is_wrong_with_mail_is_said(told, certificate, tmp_path):
    server = MailServer(certificate, refuses=["ben@"])
    plain = MailServer(certificate, offers=False)

    def tried(words):
        keyward = told(words)
        done = keyward.run("notify", "test", "--json", check=False)
        [row] = json.loads(done.stdout)["notify_tested"]
        assert "wrong word" not in done.stdout + done.stderr + keyward.said()
        keyward.kill()
        keyward.dir.joinpath("keyward.toml").write_text("")
        return row["worked"], row["what"]

    worked, what = tried(lambda keyward: mail(keyward, server, certificate[0], password="wrong word"))
    assert not worked and "535" in what and "password" in what, what
    worked, what = tried(lambda keyward: mail(keyward, plain, certificate[0]))
    assert not worked and "offers no STARTTLS" in what, what
    assert all(line.startswith("EHLO") for line in plain.plain), plain.plain
    worked, what = tried(lambda keyward: mail(keyward, server, certificate[0]))
    assert not worked and "ben@example.org is refused: 550" in what, what
    worked, what = tried(lambda keyward: mail(keyward, server, keyward.ca))
    assert not worked and "TLS" in what, what
    assert server.got.empty()
    server.close()
    plain.close()


def test_syslog_gets_a_line_with_structured_data(told, tmp_path):
    path = tmp_path / "log.socket"
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind(str(path))
    log.settimeout(10)
    keyward = told(f'[notify.syslog]\nto = "{path}"\nmin = "medium"\n')
    pump = open_lid(keyward)
    line = log.recv(4096).decode()
    found = re.match(r"<(\d+)>1 \d{4}-\d\d-\d\dT\S+Z \S+ keyward \d+ incident \[keyward@32473 (.*?)\] \ufeff(.*)$", line)
    assert found, line
    values = dict(re.findall(r'(\w+)="(.*?)"', found[2]))
    assert (values["event"], values["kind"], values["scope"]) == ("begin", "tampered", "device:pump-1"), line
    assert int(found[1]) // 8 == 3 and found[3].startswith("device pump-1"), line
    pump.close()


def test_syslog_far_away_over_udp_and_tcp(told):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    udp.settimeout(10)
    keyward = told(f'[notify.syslog]\nto = "udp:127.0.0.1:{udp.getsockname()[1]}"\n')
    keyward.run("notify", "test")
    assert b'event="test"' in udp.recv(4096)
    keyward.kill()
    keyward.dir.joinpath("keyward.toml").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        keyward = told(f'[notify.syslog]\nto = "tcp:127.0.0.1:{tcp.getsockname()[1]}"\n')
        keyward.run("notify", "test")
        tcp.settimeout(10)
        link, _ = tcp.accept()
        length, line = link.recv(8192).split(b" ", 1)
        assert int(length) == len(line) and line.startswith(b"<30>1 "), line
        link.close()
