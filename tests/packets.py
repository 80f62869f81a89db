"""Control packets of MQTT as bytes: what the harnesses that speak it themselves share."""

import struct


def text(value):
    data = value.encode()
    return struct.pack("!H", len(data)) + data


def packet(kind, flags, body):
    head, length = bytes([kind << 4 | flags]), len(body)
    while True:
        length, digit = divmod(length, 128)
        head += bytes([digit | (128 if length else 0)])
        if not length:
            return head + body


def cut(buffer):
    """The first packet as (kind, flags, body), None as long as it is not whole; and the bytes behind it."""
    length = shift = 0
    for index in range(1, min(len(buffer), 5)):
        length |= (buffer[index] & 127) << shift
        shift += 7
        if buffer[index] < 128:
            end = index + 1 + length
            if len(buffer) < end:
                break
            frame = buffer[:end]
            return (frame[0] >> 4, frame[0] & 15, frame[index + 1:]), buffer[end:]
    return None, buffer
