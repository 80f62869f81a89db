"""Shared subscriptions, as clients see them that nobody of Keyward wrote."""

import subprocess

import pytest

from conftest import PATIENCE, Client

RULES = '[[rule]]\nwho = "devices"\nallow = ["publish", "subscribe", "share"]\ntopics = ["jobs/#"]\n'


def test_paho_members_share_the_work_in_turns_and_lose_nothing_with_a_member(keyward):
    names = ["w1", "w2", "w3", "boss"]
    w1, w2, w3, boss = (Client(keyward.device(name), 5) for name in names)
    keyward.rules("jobs", RULES)
    workers = [w1.connect(), w2.connect(), w3.connect()]
    for worker in workers:
        worker.subscribe("$share/g/jobs/#", qos=1)
    boss.connect()
    for n in range(30):
        assert boss.publish("jobs/a", str(n), 1) == 0
    shares = [[int(worker.receive()[1]) for _ in range(10)] for worker in workers]
    assert sorted(sum(shares, [])) == list(range(30))
    assert all(share == sorted(share) for share in shares)
    w1.paho.disconnect()
    for n in range(30, 40):
        assert boss.publish("jobs/a", str(n), 1) == 0
    shares = [[int(worker.receive()[1]) for _ in range(5)] for worker in workers[1:]]
    assert sorted(sum(shares, [])) == list(range(30, 40))


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_two_mosquitto_subs_share_what_is_published(keyward, version):
    keyward.rules("jobs", RULES)
    subs = []
    for name in ("m1", "m2"):
        sub = subprocess.Popen(
            ["stdbuf", "-oL", "mosquitto_sub", *keyward.device(name).mosquitto(), "-V", version, "-i", name, "-q", "1",
             "-t", "$share/g/jobs/x", "-C", "5", "-W", "10", "-d"],
            stdout=subprocess.PIPE, text=True,
        )
        for line in sub.stdout:
            if "SUBACK" in line:
                break
        subs.append(sub)
    boss = Client(keyward.device("boss"), 5).connect()
    for n in range(10):
        assert boss.publish("jobs/x", f"job {n}", 1) == 0
    lines = [sub.communicate(timeout=PATIENCE + 2)[0].splitlines() for sub in subs]
    jobs = [[line for line in of_one if line.startswith("job ")] for of_one in lines]
    assert [len(of_one) for of_one in jobs] == [5, 5]
    assert sorted(sum(jobs, [])) == [f"job {n}" for n in range(10)]


def test_a_member_without_the_right_to_share_is_refused(keyward):
    device = Client(keyward.device("d1"), 5).connect()
    keyward.rules("jobs", RULES.replace(', "share"', ""))
    assert device.subscribe("$share/g/jobs/#", "jobs/#") == [0x87, 1]
