#!/usr/bin/env python3
"""A name server for one name: name_server.py ADDRESS NAME ANSWER. Answers on port 53 of ADDRESS; says what it was asked."""

import socket
import struct
import sys


def answer(question: bytes, name: str, address: str) -> bytes:
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode())
        at += 1 + question[at]
    asked = ".".join(labels).lower()
    (kind,) = struct.unpack_from(">H", question, at + 1)
    print("asked for", asked, kind, file=sys.stderr, flush=True)
    known = asked == name
    body = question[12 : at + 5]
    records = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(address) if known and kind == 1 else b""
    head = struct.pack(">HHHHH", 0x8180 if known else 0x8183, 1, 1 if records else 0, 0, 0)
    return question[:2] + head + body + records


def main() -> None:
    listen, name, address = sys.argv[1:]
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((listen, 53))
    while True:
        question, who = server.recvfrom(512)
        server.sendto(answer(question, name, address), who)


main()
