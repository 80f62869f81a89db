"""Draws statements whose named code is to be broken by hand: python3 conformance/draw.py SEED [COUNT]"""

import pathlib
import random
import sys
import tomllib

seed = int(sys.argv[1])
count = int(sys.argv[2]) if len(sys.argv) > 2 else 30
here = pathlib.Path(__file__).parent

tested = []
for version in ("3.1.1", "5.0"):
    clauses = tomllib.loads((here / f"mqtt-{version}.toml").read_text())["clause"]
    server = [clause for clause in clauses if clause.get("tests") and clause["binds"] in ("server", "both")]
    tested += [(version, clause) for clause in server]

print(f"seed {seed}: {count} of {len(tested)} tested statements that bind the server")
for version, clause in random.Random(seed).sample(tested, count):
    print(f"\n{version} {clause['number']}: {clause['says']}")
    for key in ("code", "tests"):
        for name in clause[key]:
            print(f"  {key:5} {name}")
