# SPDX-License-Identifier: MIT
"""Whether an encrypted PDF opens without a password (ISO 32000-2 section 7.6.4).

Does: check the empty user password against the standard security handler, revisions 2
to 6. Such files only restrict printing or copying: every reader opens them.
Never does: decrypt content, try passwords.
"""

from __future__ import annotations

import hashlib
from functools import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PADDING = bytes.fromhex(
    "28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a"
)


def opens(encryption: dict[bytes, Any], identity: bytes) -> bool:
    """True when the empty password opens it; False also when nobody can tell.

    ``encryption`` the dictionary, ``identity`` the first string of the trailer's ID."""
    revision = encryption.get(b"R")
    owner = encryption.get(b"O")
    user = encryption.get(b"U")
    if encryption.get(b"Filter") != b"Standard" or not isinstance(revision, int):
        return False
    if not isinstance(owner, bytes) or not isinstance(user, bytes) or len(user) < 32:
        return False
    if revision in (5, 6):
        if len(user) < 48:
            return False
        if revision == 5:
            return hashlib.sha256(user[32:40]).digest() == user[:32]
        return hardened(user[32:40]) == user[:32]
    if not 2 <= revision <= 4:
        return False
    permissions = encryption.get(b"P")
    if not isinstance(permissions, int):
        return False
    bits = encryption.get(b"Length", 40)
    length = 5
    if revision > 2:
        length = min(16, max(5, bits // 8)) if isinstance(bits, int) else 5
        if encryption.get(b"V") == 4:
            length = 16
    seed = PADDING + owner[:32] + (permissions & 0xFFFFFFFF).to_bytes(4, "little")
    seed += identity
    # None is what the reader of objects makes of the word false.
    if revision == 4 and encryption.get(b"EncryptMetadata", True) is None:
        seed += b"\xff\xff\xff\xff"
    key = md5(seed)
    if revision == 2:
        return rc4(key[:5], PADDING) == user[:32]
    for _ in range(50):
        key = md5(key[:length])
    key = key[:length]
    data = md5(PADDING + identity)
    for number in range(20):
        data = rc4(bytes(byte ^ number for byte in key), data)
    return data == user[:16]


def md5(data: bytes) -> bytes:
    """The digest that the format prescribes."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def rc4(key: bytes, data: bytes) -> bytes:
    """RC4 of a few bytes."""
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) & 255
        state[i], state[j] = state[j], state[i]
    out = bytearray()
    i = j = 0
    for byte in data:
        i = (i + 1) & 255
        j = (j + state[i]) & 255
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) & 255])
    return bytes(out)


def hardened(salt: bytes) -> bytes:
    """Algorithm 2.B for the empty password: 64 rounds and more of AES and SHA-2."""
    key = hashlib.sha256(salt).digest()
    number = 0
    while True:
        block = aes_cbc(key[:16], key[16:32], key * 64)
        # The first 16 bytes as a number modulo 3 are their sum modulo 3.
        name = ("sha256", "sha384", "sha512")[sum(block[:16]) % 3]
        key = hashlib.new(name, block).digest()
        number += 1
        if number >= 64 and block[-1] <= number - 32:
            return key[:32]


@cache
def aes_tables() -> tuple[bytes, list[list[int]]]:
    """The substitution box and the four tables of a round (FIPS 197)."""
    box = bytearray(256)
    p = q = 1
    while True:
        p = (p ^ p << 1 ^ (0x1B if p & 0x80 else 0)) & 255
        q ^= q << 1
        q ^= q << 2
        q ^= q << 4
        q &= 255
        if q & 0x80:
            q ^= 9
        x = q ^ (q << 1 | q >> 7) ^ (q << 2 | q >> 6) ^ (q << 3 | q >> 5)
        x ^= q << 4 | q >> 4
        box[p] = (x ^ 0x63) & 255
        if p == 1:
            break
    box[0] = 0x63
    first: list[int] = []
    for value in box:
        double = value << 1 ^ (0x11B if value & 0x80 else 0)
        first.append(double << 24 | value << 16 | value << 8 | double ^ value)
    tables = [first]
    for _ in range(3):
        tables.append([word >> 8 | (word & 255) << 24 for word in tables[-1]])
    return bytes(box), tables


def aes_cbc(key: bytes, vector: bytes, data: bytes) -> bytes:
    """AES-128 in CBC mode of whole blocks."""
    box, (t0, t1, t2, t3) = aes_tables()
    words = [int.from_bytes(key[at : at + 4], "big") for at in range(0, 16, 4)]
    constant = 1
    for index in range(4, 44):
        word = words[index - 1]
        if not index & 3:
            word = (word << 8 | word >> 24) & 0xFFFFFFFF
            word = int.from_bytes(word.to_bytes(4, "big").translate(box), "big")
            word ^= constant << 24
            constant = constant << 1 ^ (0x11B if constant & 0x80 else 0)
        words.append(words[index - 4] ^ word)
    k0, k1, k2, k3 = words[:4]
    rounds = [tuple(words[at : at + 4]) for at in range(4, 40, 4)]
    last = b"".join(word.to_bytes(4, "big") for word in words[40:])
    final = int.from_bytes(last, "big")
    before = int.from_bytes(vector, "big")
    out = bytearray()
    for at in range(0, len(data), 16):
        block = int.from_bytes(data[at : at + 16], "big") ^ before
        a = block >> 96 ^ k0
        b = block >> 64 & 0xFFFFFFFF ^ k1
        c = block >> 32 & 0xFFFFFFFF ^ k2
        d = block & 0xFFFFFFFF ^ k3
        for r0, r1, r2, r3 in rounds:
            a, b, c, d = (
                t0[a >> 24] ^ t1[b >> 16 & 255] ^ t2[c >> 8 & 255] ^ t3[d & 255] ^ r0,
                t0[b >> 24] ^ t1[c >> 16 & 255] ^ t2[d >> 8 & 255] ^ t3[a & 255] ^ r1,
                t0[c >> 24] ^ t1[d >> 16 & 255] ^ t2[a >> 8 & 255] ^ t3[b & 255] ^ r2,
                t0[d >> 24] ^ t1[a >> 16 & 255] ^ t2[b >> 8 & 255] ^ t3[c & 255] ^ r3,
            )
        shifted = (
            (a & 0xFF000000 | b & 0xFF0000 | c & 0xFF00 | d & 0xFF) << 96
            | (b & 0xFF000000 | c & 0xFF0000 | d & 0xFF00 | a & 0xFF) << 64
            | (c & 0xFF000000 | d & 0xFF0000 | a & 0xFF00 | b & 0xFF) << 32
            | (d & 0xFF000000 | a & 0xFF0000 | b & 0xFF00 | c & 0xFF)
        )
        before = int.from_bytes(shifted.to_bytes(16, "big").translate(box), "big")
        before ^= final
        out += before.to_bytes(16, "big")
    return bytes(out)
