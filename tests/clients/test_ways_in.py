"""How clients of others log in: rules of types, plain listeners, clients without a login, and the log that fail2ban reads."""

import pathlib
import subprocess

import pytest

from conftest import PATIENCE, Client, Keyward, Login, free_port

FILTER = pathlib.Path(__file__).parents[2] / "docs/fail2ban/keyward.conf"


def mosquitto(*options, topic="t", timeout=PATIENCE):
    """Runs mosquitto_pub, which says by its code whether it was let in and could publish at QoS 1."""
    done = subprocess.run(
        ["mosquitto_pub", *map(str, options), "-q", "1", "-t", topic, "-m", "on"],
        capture_output=True, text=True, timeout=timeout,
    )
    return done.returncode == 0, done.stdout + done.stderr


def tls(keyward, bundle=None, user=None, password=None):
    options = ["-h", "localhost", "-p", keyward.port, "--cafile", keyward.ca]
    options += ["--cert", bundle.cert, "--key", bundle.key] if bundle else []
    options += ["-u", user, "-P", password] if user else []
    return options


def plain(port, user=None, password=None):
    return ["-h", "127.0.0.1", "-p", port] + (["-u", user, "-P", password] if user else [])


def lan(keyward):
    """Opens a plain listener on all addresses, as on a network."""
    port = free_port()
    said = keyward.run("listener", "add", "lan", "--plain", "--from", "127.0.0.0/8", "--port", str(port)).stdout
    assert "reads and changes passwords and messages" in said, said
    return port


def demand(keyward, rule):
    path = keyward.dir / "keyward.toml"
    text = path.read_text().split("\n[types.meter]")[0]
    path.write_text(f'{text}\n[types.meter]\nlogin = "{rule}"\n')
    keyward.run("reload")


def test_one_port_takes_certificates_passwords_or_both_as_the_type_demands(keyward):
    meter = keyward.device("m-1", "--type", "meter")
    password = keyward.json("device", "passwd", "m-1")["device_added"]["password"]
    for rule, certificate, secret, both in [
        ("certificate", True, False, True),
        ("password", False, True, True),
        ("certificate and password", False, False, True),
        ("certificate or password", True, True, True),
    ]:
        demand(keyward, rule)
        ways = [(tls(keyward, meter), certificate), (tls(keyward, None, "m-1", password), secret),
                (tls(keyward, meter, "m-1", password), both)]
        for options, let_in in ways:
            assert mosquitto(*options, topic="m-1/status")[0] == let_in, (rule, options)
    demand(keyward, "certificate and password")
    assert not mosquitto(*tls(keyward, meter, "m-1", "wrong"), topic="m-1/status")[0]
    shown = keyward.json("device", "show", "m-1")["device"]
    assert shown["type_demands"] == "certificate and password"
    assert shown["last_login"]["listener"] == "mqtts"
    keyward.until(lambda: "shown=certificate and password" in keyward.said(), "what a login showed")


def test_a_plain_listener_is_for_marked_devices_of_its_networks_and_their_passwords_open_nothing_else(keyward):
    assert keyward.run("listener", "add", "open", "--plain", check=False).returncode == 1
    port = lan(keyward)
    password = keyward.json("device", "add", "plug-1", "--plain", "--out", str(keyward.folder / "p"))["device_added"]["password"]
    boss = keyward.user("boss")
    assert mosquitto(*plain(port, "plug-1", password), topic="plug-1/status")[0]
    assert not mosquitto(*plain(port, "boss", boss.password))[0]
    assert not mosquitto(*tls(keyward, None, "plug-1", password), topic="plug-1/status")[0]
    keyward.until(lambda: "claimed to be user:boss: it is not marked plain" in keyward.said(), "whose password crossed the network")
    assert keyward.json("device", "list")["devices"][0]["plain"]
    assert "plain" in keyward.run("device", "list").stdout
    status = keyward.json("status")["status"]
    assert status["marked_plain"] == 1 and any("listener lan" in line for line in status["warnings"]), status
    keyward.run("device", "plain", "plug-1", "--clear")
    assert not mosquitto(*plain(port, "plug-1", password), topic="plug-1/status")[0]
    far = free_port()
    keyward.run("listener", "add", "far", "--plain", "--from", "192.0.2.0/24", "--port", str(far))
    assert not mosquitto(*plain(far, "plug-1", password))[0]
    keyward.until(lambda: "is of no network that listener `far` lets in" in keyward.said(), "who was turned away")


def test_a_client_without_a_login_becomes_the_user_that_the_listener_names(keyward):
    port = free_port()
    said = keyward.run(
        "listener", "add", "lan", "--plain", "--address", "127.0.0.1", "--port", str(port), "--anonymous-as", "guest"
    ).stdout
    assert "there is no active user guest" in said, said
    assert not mosquitto(*plain(port), topic="door")[0]
    keyward.run("user", "add", "guest", "--no-login")
    assert keyward.rules("guest", '[[rule]]\nwho = "user:guest"\nallow = ["publish"]\ntopics = ["bell"]\n')
    assert mosquitto(*plain(port), "-V", "mqttv5", topic="bell")[0]
    assert not mosquitto(*plain(port, "guest", ""), topic="bell")[0]
    keyward.run("user", "remove", "guest")
    assert not mosquitto(*plain(port), topic="bell")[0]


def test_a_shared_login_shows_how_many_client_ids_it_has(keyward):
    login = keyward.user("house")
    clients = [Client(login, 5, client_id=f"c{n}").connect() for n in range(3)]
    row = keyward.json("user", "list")["users"][0]
    assert (row["client_ids"], row["links"]) == (3, 3), row
    weak = keyward.json("doctor", "--profile", "commercial")["diagnosis"]["findings"]
    assert [found["what"] for found in weak if found["check"] == "shared-login"] == ["3 client ids use the login of user:house"]
    for client in clients:
        client.close()


@pytest.mark.parametrize("form", ["text", "json"])
def test_fail2ban_finds_who_guesses_and_nobody_who_was_named_by_a_guesser(tmp_path, form):
    tmp_path.chmod(0o700)
    broker = Keyward(tmp_path)
    try:
        broker.start("--log", form)
        broker.run("device", "add", "d1", "--password-stdin", "--out", str(tmp_path / "d1"), stdin="correct horse battery\n")
        broker.run("device", "disable", "d1")
        assert not mosquitto(*tls(broker, None, "d1", "correct horse battery"))[0]
        broker.until(lambda: "login failed, not held against" in broker.said(), "who has proven something")
        evil = "x\n2026-01-01T00:00:00.000000Z  WARN login failed from 198.51.100.9: x"
        for user in ("nobody", evil, '","level":"WARN","fields":{"message":"login failed from 198.51.100.9: x'):
            refused = Client(Login(user, "wrong", broker), 5).connect()
            refused.paho.loop_stop()
            assert refused.code.is_failure
        broker.until(lambda: broker.said().count("login failed from 127.0.0.1: ") + broker.said().count("login failed from ::1: ") == 3, "three lines")
        found = subprocess.run(
            ["fail2ban-regex", "--out", "ip", str(tmp_path / "log"), str(FILTER)], capture_output=True, text=True, timeout=30
        ).stdout.split()
        log = broker.said()
    finally:
        broker.stop()
    assert len(found) == 3 and set(found) <= {"127.0.0.1", "::1"}, (found, log)


class House(Keyward):
    """A broker at 192.168.1.10, in a network of its own in which its neighbours are this machine too."""

    addresses = ("192.168.1.10", "192.168.1.66", "192.168.1.67")

    def __init__(self, folder):
        super().__init__(folder)
        network = "; ".join(["ip link set lo up", *(f"ip address add {address}/24 dev lo" for address in self.addresses)])
        self.rights = next(
            (rights for rights in ([], ["--map-root-user"])
             if subprocess.run(["unshare", "--net", *rights, "ip", "link", "set", "lo", "up"], capture_output=True).returncode == 0),
            None,
        )  # fmt: skip
        assert self.rights is not None, "a ban needs a network of its own: `unshare --net` is refused here"
        self.inside = ["unshare", "--net", *self.rights, "sh", "-c", f'{network}; exec "$@"', "sh"]

    def listens(self):
        return True  # not for whoever is outside; `status` has answered

    def client(self, address, program, *options):
        """Starts a client at an address of this network."""
        user_too = ["--user", "--preserve-credentials"] if self.rights else []
        enter = ["nsenter", "--target", str(self.process.pid), "--net", *user_too]
        client = [program, "-A", address, "-h", "192.168.1.10", "-q", "1", *options]
        return subprocess.Popen([*enter, *client], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def publish(self, address, user, password):
        return self.client(address, "mosquitto_pub", "-u", user, "-P", password, "-t", "plug-1/status", "-m", "on")

    def lets_in(self, address, password):
        return self.publish(address, "plug-1", password).wait(PATIENCE) == 0


def test_an_address_from_which_logins_fail_is_banned_alone_and_is_let_in_again_by_a_command(tmp_path):
    tmp_path.chmod(0o700)
    house = House(tmp_path)
    house.dir.mkdir(mode=0o700)
    (house.dir / "keyward.toml").write_text("[limits]\nban_after = 3\n")
    try:
        house.start("--name", "broker.test")
        house.run("listener", "add", "lan", "--plain", "--from", "192.168.1.0/24", "--port", "1883")
        password = house.json("device", "add", "plug-1", "--plain", "--out", str(tmp_path / "p"))["device_added"]["password"]
        assert house.lets_in("192.168.1.66", password)
        house.until(lambda: not house.json("device", "list")["devices"][0]["connected"], "the client is gone")
        guesses = [house.publish("192.168.1.66", f"guess-{n}", "x") for n in range(3)]
        assert all(guess.wait(PATIENCE) for guess in guesses)
        house.until(lambda: house.json("bans", "list")["bans"], "a ban")
        assert not house.lets_in("192.168.1.66", password)
        assert house.lets_in("192.168.1.67", password), "its neighbour is let in"
        ban, = house.json("bans", "list")["bans"]
        assert ban["address"] == "192.168.1.66" and ban["refused"] > 0, ban
        assert "192.168.1.66" in house.run("bans", "list").stdout
        house.run("bans", "lift", "192.168.1.66")
        assert house.json("bans", "list")["bans"] == []
        assert house.lets_in("192.168.1.66", password)
    finally:
        house.stop()


def test_clients_without_a_login_spare_their_address_no_ban_and_a_device_does(tmp_path):
    tmp_path.chmod(0o700)
    house = House(tmp_path)
    house.dir.mkdir(mode=0o700)
    (house.dir / "keyward.toml").write_text("[limits]\nban_after = 3\n")
    clients = []
    try:
        house.start("--name", "broker.test")
        house.run("listener", "add", "lan", "--plain", "--from", "192.168.1.0/24", "--port", "1883", "--anonymous-as", "guest")
        house.run("user", "add", "guest", "--no-login", "--plain")
        password = house.json("device", "add", "plug-1", "--plain", "--out", str(tmp_path / "p"))["device_added"]["password"]
        assert house.rules("bell", '[[rule]]\nwho = "all"\nallow = ["subscribe"]\ntopics = ["bell"]\n')
        clients.append(house.client("192.168.1.66", "mosquitto_sub", "-t", "bell"))
        clients.append(house.client("192.168.1.67", "mosquitto_sub", "-t", "bell", "-u", "plug-1", "-P", password))
        house.until(lambda: "identity=user:guest" in house.said() and "identity=device:plug-1" in house.said(), "both are in")
        guesses = [house.publish(address, f"guess-{n}", "x") for address in ("192.168.1.66", "192.168.1.67") for n in range(3)]
        assert all(guess.wait(PATIENCE) for guess in guesses)
        house.until(lambda: house.json("bans", "list")["bans"], "a ban")
        assert [ban["address"] for ban in house.json("bans", "list")["bans"]] == ["192.168.1.66"]
        assert all(client.poll() is None for client in clients), "who is in stays in"
        # What was guessed meanwhile does not wait for the device to go.
        clients.pop().terminate()
        house.until(lambda: not house.json("device", "list")["devices"][0]["connected"], "the device is gone")
        assert house.publish("192.168.1.67", "guess-4", "x").wait(PATIENCE)
        assert house.lets_in("192.168.1.67", password), "one more failure is one failure"
    finally:
        for client in clients:
            client.terminate()
        house.stop()
