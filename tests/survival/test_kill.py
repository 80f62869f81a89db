"""The judgement of kill.py: what a kill met, how many must have met it, and what counts as lost.

    python3 -m unittest discover -s tests/survival
"""

import unittest

from clients import Publisher, Reader, Taker, judge, met
from kill import missing

KILL = 100.0


def scene(unanswered=(), released=(), held=(), asked=None):
    """Two publishers, a reader and a taker who had this under way, by the moment at which it began."""
    once, twice, reader, taker = Publisher(None, "p-1", 1), Publisher(None, "p-2", 2), Reader(None, "here"), Taker(None)
    once.unanswered.update(enumerate(unanswered, 1))
    twice.released.update(enumerate(released, 1))
    reader.held.update(enumerate(held, 1))
    if asked is not None:
        taker.older, taker.asked = object(), asked
    return met(KILL, (once, twice), reader, [taker])


class WhatAKillMet(unittest.TestCase):
    def test_only_what_began_before_the_kill_was_met(self):
        nothing = {"unacknowledged publish": False, "QoS 2 exchange": False, "takeover": False}
        self.assertEqual(scene(), nothing)
        self.assertEqual(scene(unanswered=[KILL + 1], released=[KILL + 1], held=[KILL + 1], asked=KILL + 1), nothing)
        self.assertTrue(scene(unanswered=[KILL + 1, KILL - 1])["unacknowledged publish"])
        self.assertTrue(scene(released=[KILL - 1])["QoS 2 exchange"])
        self.assertTrue(scene(held=[KILL - 1])["QoS 2 exchange"])
        self.assertTrue(scene(asked=KILL - 1)["takeover"])

    def test_a_first_connection_takes_nothing_over(self):
        taker = Taker(None)
        taker.asked = KILL - 1
        self.assertFalse(met(KILL, (), Reader(None, "here"), [taker])["takeover"])

    def test_of_20_kills_15_10_and_5_must_meet_something(self):
        enough = {"unacknowledged publish": 15, "QoS 2 exchange": 10, "takeover": 5}
        self.assertEqual(missing(enough, 20), [])
        for what, least in enough.items():
            self.assertEqual(missing({**enough, what: least - 1}, 20), [(what, least)])


class WhatIsLost(unittest.TestCase):
    def losses(self, qos, came, sent=4):
        publisher, reader, losses = Publisher(None, "p", qos), Reader(None, "away"), []
        publisher.number, reader.came["p"] = sent, came
        judge([publisher], [reader], losses)
        return losses

    def test_everything_has_to_come_in_its_order_and_at_qos_2_once(self):
        self.assertEqual(self.losses(1, [1, 2, 2, 3, 4]), [])
        self.assertEqual(self.losses(2, [1, 2, 3, 4]), [])
        self.assertIn("misses 1", self.losses(1, [1, 2, 4])[0])
        self.assertIn("out of order", self.losses(1, [1, 3, 2, 4])[0])
        self.assertIn("twice", self.losses(2, [1, 2, 2, 3, 4])[0])


if __name__ == "__main__":
    unittest.main()
