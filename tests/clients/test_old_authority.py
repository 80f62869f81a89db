"""A fleet that another authority certified: its clients and the server's old certificate, made with openssl, used by
mosquitto_pub and paho."""

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

    def certify(self, name, extensions):
        (self.folder / "extensions").write_text(extensions)
        self.openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "old-ca.crt", "-CAkey", "old-ca.key", "-CAcreateserial",
                     "-out", f"{name}.crt", "-days", "365", "-extfile", "extensions")
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"

    def tls(self):
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_cert_chain(*self.certify(self.name, "extendedKeyUsage=clientAuth"))
        return context

    def login(self, client):
        pass


def publish(old, name, topic):
    cert, key = old.certify(name, "extendedKeyUsage=clientAuth")
    return publish_with(old, cert, key, old.keyward.port, "-i", f"m-{name}", "-t", topic, "-V", "5")


def publish_with(old, cert, key, port, *args):
    command = ["mosquitto_pub", "-h", "localhost", "-p", str(port), "--cafile", str(old.ca),
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
