"""A fleet that another authority certified: its clients and the server's old certificate, made with openssl, used by
mosquitto_pub and paho."""

import socket
import ssl
import subprocess

from conftest import Client, Login, free_port


class Old:
    """An authority as people made it for Mosquitto, and who was certified by it."""

    def __init__(self, folder, keyward):
        self.folder, self.keyward, self.name = folder, keyward, "pump-1"
        self.ca = folder / "old-ca.crt"
        self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "old-ca.key", "-out", "old-ca.crt",
                     "-days", "3650", "-subj", "/O=House/CN=Old CA")

    def openssl(self, *args):
        subprocess.run(["openssl", *args], cwd=self.folder, check=True, capture_output=True, timeout=60)

    def certify(self, name, extensions=None, bits=2048):
        """Certifies a key. Without extensions openssl 3.0 writes a certificate of X.509 version 1."""
        self.openssl("req", "-newkey", f"rsa:{bits}", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        sign = ["x509", "-req", "-in", f"{name}.csr", "-CA", "old-ca.crt", "-CAkey", "old-ca.key", "-CAcreateserial", "-out", f"{name}.crt"]
        if extensions is None:
            self.openssl(*sign, "-days", "365")
            text = subprocess.run(["openssl", "x509", "-in", f"{name}.crt", "-noout", "-text"], cwd=self.folder, capture_output=True, text=True)
            assert "Version: 1 (0x0)" in text.stdout, text.stdout
        else:
            (self.folder / "extensions").write_text(extensions)
            self.openssl(*sign, "-days", "365", "-extfile", "extensions")
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"

    def revoke(self, name):
        """Revokes a certificate; returns the list."""
        (self.folder / "ca.cnf").write_text("[ca]\ndefault_ca=old\n[old]\ndatabase=index\ncrlnumber=number\n")
        (self.folder / "index").touch()
        (self.folder / "number").write_text("01\n")
        ca = ["ca", "-config", "ca.cnf", "-cert", "old-ca.crt", "-keyfile", "old-ca.key", "-md", "sha256"]
        self.openssl(*ca, "-revoke", f"{name}.crt")
        self.openssl(*ca, "-gencrl", "-crldays", "30", "-out", "old.crl")
        return self.folder / "old.crl"

    def tls(self):
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_cert_chain(*self.certify(self.name, "extendedKeyUsage=clientAuth"))
        return context

    def login(self, client):
        pass


def publish(old, name, topic):
    cert, key = old.certify(name, "extendedKeyUsage=clientAuth")
    return publish_with(old, cert, key, old.keyward.port, "-i", f"m-{name}", "-t", topic, "-V", "5")


def publish_with(old, cert, key, port, *args, ca=None):
    command = ["mosquitto_pub", "-h", "localhost", "-p", str(port), "--cafile", str(ca or old.ca),
               "--cert", str(cert), "--key", str(key), "-m", "21.5", "-q", "1", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=20)


def test_a_fleet_of_another_authority_goes_on_and_its_authority_speaks_for_nobody_else(keyward, tmp_path):
    old = Old(tmp_path, keyward)
    keyward.device("pump-1")
    keyward.device("pump-2")
    cert, key = old.certify("server", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    keyward.run("server", "certificate", "import", "old", "--cert", str(cert), "--key", str(key))
    config = keyward.dir / "keyward.toml"
    listener = f'\n[[listener]]\nname = "mqtts"\nport = {keyward.port}\nserver_certificate = "old"\n'
    config.write_text(config.read_text() + listener)
    keyward.run("reload")
    keyward.run("authority", "trust", "add", "old", "--ca", str(old.ca), "--identity", "common-name")
    refused = publish(old, "pump-1", "pump-1/t")
    assert refused.returncode != 0, "a name that nobody bound"
    keyward.run("authority", "trust", "bind", "old", "device:pump-1")
    pump = Client(old).connect()
    assert pump.code.value == 0 and pump.subscribe("pump-1/t") == [1]
    done = publish(old, "pump-1", "pump-1/t")
    assert done.returncode == 0, done.stderr
    assert pump.receive() == ("pump-1/t", "21.5")
    assert publish(old, "pump-2", "pump-2/t").returncode != 0, "the authority speaks for whom was bound alone"

    keyward.stop()
    keyward.start()
    rows = keyward.json("authority", "trust", "list")["trusted_authorities"]
    assert [(row["name"], row["bound"][0]["identity"]) for row in rows] == [("old", "device:pump-1")], rows
    assert publish(old, "pump-1", "pump-1/t").returncode == 0
    pump.close()
    pump = Client(old).connect()
    keyward.run("authority", "trust", "remove", "old")
    pump.closed.get(timeout=1)
    pump.paho.loop_stop()
    assert publish(old, "pump-1", "pump-1/t").returncode != 0


def test_a_password_of_mosquitto_goes_on_and_is_hashed_anew(keyward, tmp_path):
    passwords = tmp_path / "passwd"
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(passwords), "anna", "horse"], check=True, capture_output=True)
    name, _, line = passwords.read_text().strip().partition(":")
    keyward.run("user", "add", name, "--password-hash-stdin", stdin=line + "\n")
    note = lambda: keyward.json("user", "list")["users"][0]["password_note"]
    assert note().startswith("imported, $7$ ") and note().endswith("iterations: weak"), note()
    assert Client(Login("anna", "horse", keyward)).connect().code.value == 0
    keyward.until(lambda: "too short" in note(), "the password is hashed anew")
    assert Client(Login("anna", "horse", keyward)).connect().code.value == 0


def test_an_import_lets_clients_in_with_the_certificates_that_they_have(keyward, tmp_path):
    old, naming, both = Old(tmp_path, keyward), free_port(), free_port()
    old.certify("server", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    subprocess.run(["mosquitto_passwd", "-c", "-b", "passwd", "anna", "horse"], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "acl").write_text("pattern readwrite u/%u/#\n")
    conf = tmp_path / "mosquitto.conf"
    tls = f"certfile {tmp_path}/server.crt\nkeyfile {tmp_path}/server.key\n"
    conf.write_text(f"listener {naming} 127.0.0.1\n{tls}cafile {old.ca}\nrequire_certificate true\nuse_identity_as_username true\n"
                    f"listener {both} 127.0.0.1\n{tls}password_file {tmp_path}/passwd\nacl_file {tmp_path}/acl\n")
    keyward.run("import", "mosquitto", str(conf), "--certificate-users", "pump-1")
    pump, anna, stranger = (old.certify(name, "extendedKeyUsage=clientAuth") for name in ("pump-1", "anna", "stranger"))
    listen = ["stdbuf", "-oL", "mosquitto_sub", "-h", "localhost", "-p", str(naming), "--cafile", str(old.ca), "--cert", str(pump[0]), "--key",
              str(pump[1]), "-i", "s", "-q", "1", "-V", "5", "-t", "u/#", "-C", "1", "-W", "15", "-v", "-d"]
    with subprocess.Popen(listen, stdout=subprocess.PIPE, text=True) as heard:
        for line in heard.stdout:
            if line.startswith("Subscribed"):
                break
        assert publish_with(old, *anna, naming, "-t", "u/anna/t").returncode == 0, "her certificate names her"
        done = publish_with(old, *pump, naming, "-t", "u/pump-1/t")
        assert done.returncode == 0, done.stderr
        lines = heard.stdout.read().splitlines()
        assert "u/pump-1/t 21.5" in lines and "u/anna/t 21.5" not in lines, lines
    assert publish_with(old, *stranger, naming, "-t", "u/x").returncode != 0, "nobody is bound to this name"
    assert publish_with(old, *anna, both, "-t", "u/anna/t").returncode != 0, "there a password is demanded, as it was"
    assert publish_with(old, *anna, both, "-t", "u/anna/t", "-u", "anna", "-P", "horse").returncode == 0
    refused = publish_with(old, *pump, keyward.port, "-t", "u/pump-1/t", ca=keyward.ca)
    assert refused.returncode != 0, "the old authority opens its own listener and not Keyward's"
    keyward.until(lambda: "the authority mosquitto-1, which does not count at listener" in keyward.said(), "the log says why")


class Shows:
    """A client with a certificate of version 1, in one version of TLS at a time."""

    def __init__(self, keyward, name, cert, key, seclevel=None):
        self.keyward, self.name = keyward, name
        self.context = ssl.create_default_context(cafile=str(keyward.ca))
        if seclevel is not None:
            self.context.set_ciphers(f"DEFAULT@SECLEVEL={seclevel}")
        self.context.load_cert_chain(cert, key)

    def tls(self):
        return self.context

    def login(self, client):
        pass

    def knock(self, version, session=None):
        """Sends a CONNECT; returns the reason code (None if the handshake fails), the TLS session, and whether it was resumed."""
        self.context.minimum_version = self.context.maximum_version = version
        plain = socket.create_connection(("localhost", self.keyward.port), 10)
        try:
            with self.context.wrap_socket(plain, server_hostname="localhost", session=session) as tls:
                tls.sendall(b"\x10\x0f\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x02s1")
                answer = tls.recv(64)
                return (answer[3] if answer else None), tls.session, tls.session_reused
        except OSError:
            return None, None, False


def test_certificates_of_version_1_go_on_and_are_taken_away_within_a_second(keyward, tmp_path):
    old, versions = Old(tmp_path, keyward), (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    names = ("pump-1", "pump-2", "weak")
    for name in names:
        keyward.device(name)
    keyward.run("authority", "trust", "add", "old", "--ca", str(old.ca), "--identity", "common-name")
    for name in names:
        keyward.run("authority", "trust", "bind", "old", f"device:{name}")
    pairs = {name: old.certify(name, bits=1024 if name == "weak" else 2048) for name in names}

    def publishes(name, tls):
        cert, key = pairs[name]
        command = ["mosquitto_pub", "-h", "localhost", "-p", str(keyward.port), "--cafile", str(keyward.ca), "--cert", str(cert), "--key",
                   str(key), "--tls-version", tls, "-i", f"m-{name}", "-q", "1", "-V", "5", "-t", f"{name}/t", "-m", "21.5"]
        return subprocess.run(command, capture_output=True, text=True, timeout=20).returncode == 0

    assert publishes("pump-1", "tlsv1.2") and publishes("pump-1", "tlsv1.3")
    shows, sessions = Shows(keyward, "pump-1", *pairs["pump-1"]), {}
    for version in versions:
        code, session, resumed = shows.knock(version)
        assert (code, resumed) == (0, False), version
        code, sessions[version], resumed = shows.knock(version, session)
        assert (code, resumed) == (0, True), version
    weak = Shows(keyward, "weak", *pairs["weak"], seclevel=0)
    assert [weak.knock(version)[0] for version in versions] == [None, None], "a key of 1024 bits"

    pump = Client(shows).connect()
    assert pump.code.value == 0
    keyward.run("authority", "trust", "crl", "old", "--crl", str(old.revoke("pump-1")))
    pump.closed.get(timeout=1)
    pump.paho.loop_stop()
    for version in versions:
        assert shows.knock(version)[0] is None and shows.knock(version, sessions[version])[0] != 0, version
    assert not publishes("pump-1", "tlsv1.3") and publishes("pump-2", "tlsv1.3"), "who is not on the list goes on"
