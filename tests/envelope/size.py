#!/usr/bin/env python3
"""Measures what the device half of mqsec1 takes in flash: text and rodata of what a linker keeps for each use.

    rustup target add thumbv7em-none-eabihf
    (cd crates/envelope/c && cargo build --release --target thumbv7em-none-eabihf)
    python3 tests/envelope/size.py target/envelope-c/thumbv7em-none-eabihf/release/libkeyward_envelope.a
"""

import struct
import subprocess
import sys
import tempfile
from pathlib import Path

USES = [
    ("sign by a chip that does ES256", ["kw_sign", "kw_digest"]),
    ("sign with Ed25519", ["kw_sign", "kw_ed25519_sign"]),
    ("sign with ES256", ["kw_sign", "kw_p256_sign"]),
    ("sign with ES256, encrypt for a group", ["kw_sign", "kw_p256_sign", "kw_sign_for_group"]),
    ("sign with ES256, encrypt for one", ["kw_sign", "kw_p256_sign", "kw_sign_for_recipient"]),
    ("take commands signed with ES256", ["kw_open", "kw_p256_check", "kw_command_is_fresh", "kw_command_is_new"]),
    ("sign and take commands, ES256", ["kw_sign", "kw_p256_sign", "kw_open", "kw_p256_check", "kw_command_is_fresh",
                                       "kw_command_is_new"]),
    ("all of it", ["kw_sign", "kw_p256_sign", "kw_ed25519_sign", "kw_sign_for_group", "kw_sign_for_recipient", "kw_open",
                   "kw_open_for_group", "kw_open_for_recipient", "kw_open_grant", "kw_open_key_set", "kw_p256_check", "kw_ed25519_check",
                   "kw_p256_agree", "kw_p256_public", "kw_ed25519_public", "kw_command_is_fresh", "kw_command_is_new"]),
]


def linker():
    root = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True).stdout.strip()
    return next(Path(root).glob("lib/rustlib/*/bin/rust-lld"))


def sections(elf):
    """Names and sizes of the sections of a 32-bit ELF file that are loaded."""
    assert elf[:5] == b"\x7fELF\x01", "not a 32-bit ELF file: build for thumbv7em-none-eabihf"
    offset, (entry, count, names) = struct.unpack_from("<I", elf, 32)[0], struct.unpack_from("<HHH", elf, 46)
    headers = [struct.unpack_from("<IIIIII", elf, offset + number * entry) for number in range(count)]
    for name, _, flags, _, _, size in headers:
        start = headers[names][4] + name
        if flags & 2:
            yield elf[start:elf.index(b"\0", start)].decode(), size


def main():
    archive, lld = sys.argv[1], linker()
    for what, symbols in USES:
        with tempfile.TemporaryDirectory() as folder:
            wanted = [word for symbol in symbols for word in ("-u", symbol)]
            out = Path(folder) / "elf"
            subprocess.run([lld, "-flavor", "gnu", "--gc-sections", "-e", symbols[0], *wanted, archive, "-o", out], check=True)
            found = dict(sections(out.read_bytes()))
        flash = sum(size for name, size in found.items() if name.startswith((".text", ".rodata", ".ARM")))
        memory = sum(size for name, size in found.items() if name.startswith((".data", ".bss")))
        print(f"| {what} | {flash / 1024:.1f} KiB | {memory} |")


main()
