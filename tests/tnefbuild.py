# SPDX-License-Identifier: MIT
"""Builds TNEF blobs for the tests, well-formed or wrong in one chosen place.

Everything returns bytes; ``stream`` puts the signature before objects made by
``thing`` and its kin. Numbers and layout from [MS-OXTNEF] section 2.1.3.
"""

from __future__ import annotations

import struct
import zlib

SIGNATURE = b"\x78\x9f\x3e\x22"
IMESSAGE = bytes.fromhex("0703020000000000c000000000000046")
ISTORAGE = bytes.fromhex("0b00000000000000c000000000000046")

SHORT, LONG, BOOLEAN, NULL, UNSPECIFIED = 2, 3, 11, 1, 0
OBJECT, STRING8, UNICODE, BINARY = 13, 0x1E, 0x1F, 0x102
MULTIPLE = 0x1000


def stream(*objects: bytes, key: int = 1, signature: bytes = SIGNATURE) -> bytes:
    """A whole TNEF stream."""
    return signature + struct.pack("<H", key) + b"".join(objects)


def thing(
    level: int,
    name: int,
    kind: int,
    data: bytes,
    checksum: int | None = None,
    length: int | None = None,
) -> bytes:
    """One object; a wrong ``checksum`` or ``length`` may be forced."""
    if checksum is None:
        checksum = sum(data) & 0xFFFF
    if length is None:
        length = len(data)
    head = struct.pack("<BHHI", level, name, kind, length)
    return head + data + struct.pack("<H", checksum)


def codepage(number: int = 1252) -> bytes:
    return thing(1, 0x9007, 6, struct.pack("<II", number, 0))


def version(number: int = 0x10000) -> bytes:
    return thing(1, 0x9006, 8, struct.pack("<I", number))


def head() -> bytes:
    """What every real stream begins with."""
    return version() + codepage()


def renddata(level: int = 2) -> bytes:
    return thing(level, 0x9002, 6, struct.pack("<HIHHI", 1, 0, 32, 32, 0))


def title(name: bytes, level: int = 2) -> bytes:
    return thing(level, 0x8010, 1, name + b"\0")


def data(content: bytes, level: int = 2) -> bytes:
    return thing(level, 0x800F, 6, content)


def metafile(content: bytes) -> bytes:
    return thing(2, 0x8011, 6, content)


def file(name: bytes, content: bytes) -> bytes:
    """An attachment as Outlook writes it."""
    return renddata() + title(name) + data(content) + attachment_properties()


def _padded(value: bytes) -> bytes:
    return value + bytes(-len(value) % 4)


def fixed(ident: int, kind: int, value: bytes) -> bytes:
    """A property whose value has no length of its own."""
    return struct.pack("<HH", kind, ident) + _padded(value)


def several(ident: int, kind: int, count: int, values: bytes) -> bytes:
    """A property of ``count`` fixed values; ``values`` as they are to lie there."""
    return struct.pack("<HHI", kind | MULTIPLE, ident, count) + values


def variable(
    ident: int,
    kind: int,
    *values: bytes,
    count: int | None = None,
    length: int | None = None,
) -> bytes:
    """A property of values with lengths; ``kind`` may have MULTIPLE."""
    number = len(values) if count is None else count
    raw = struct.pack("<HHI", kind, ident, number)
    for value in values:
        size = len(value) if length is None else length
        raw += struct.pack("<I", size) + _padded(value)
    return raw


def named(kind: int, name: str | int, value: bytes, map_kind: int = -1) -> bytes:
    """A named property (id 0x8000) holding one variable value."""
    raw = struct.pack("<HH", kind, 0x8000) + bytes(16)
    if isinstance(name, int):
        raw += struct.pack("<II", max(map_kind, 0), name)
    else:
        text = name.encode("utf-16-le") + b"\0\0"
        raw += struct.pack("<II", 1 if map_kind < 0 else map_kind, len(text))
        raw += _padded(text)
    return raw + struct.pack("<II", 1, len(value)) + _padded(value)


def properties(*items: bytes, count: int | None = None, tail: bytes = b"") -> bytes:
    number = len(items) if count is None else count
    return struct.pack("<I", number) + b"".join(items) + tail


def attachment_properties(
    *items: bytes, count: int | None = None, tail: bytes = b"", level: int = 2
) -> bytes:
    return thing(level, 0x9005, 6, properties(*items, count=count, tail=tail))


def message_properties(
    *items: bytes, count: int | None = None, tail: bytes = b"", level: int = 1
) -> bytes:
    return thing(level, 0x9003, 6, properties(*items, count=count, tail=tail))


def recipients(*rows: bytes, count: int | None = None, tail: bytes = b"") -> bytes:
    number = len(rows) if count is None else count
    return thing(1, 0x9004, 6, struct.pack("<I", number) + b"".join(rows) + tail)


def message_class(name: bytes) -> bytes:
    return thing(1, 0x8008, 7, name + b"\0")


def text_body(text: bytes) -> bytes:
    return thing(1, 0x800C, 2, text)


def unicode_text(ident: int, text: str) -> bytes:
    """A property of type Unicode, with its NUL."""
    return variable(ident, UNICODE, text.encode("utf-16-le") + b"\0\0")


def file_time(ident: int, seconds: int) -> bytes:
    """A property of type Time; ``seconds`` since 1970."""
    number = (seconds + 11_644_473_600) * 10_000_000
    return fixed(ident, 0x40, struct.pack("<Q", number))


def long_name(name: str) -> bytes:
    return variable(0x3707, UNICODE, name.encode("utf-16-le") + b"\0\0")


def mapi_data(content: bytes, kind: int = BINARY) -> bytes:
    return variable(0x3701, kind, content)


def embedded(inner: bytes, name: bytes = b"") -> bytes:
    """An attachment that is a message: property 0x3701 of type Object."""
    items = [mapi_data(IMESSAGE + inner, OBJECT)]
    raw = renddata()
    if name:
        raw += title(name)
    return raw + attachment_properties(*items)


def nested(depth: int, core: bytes) -> bytes:
    """``core`` below ``depth`` levels of messages in messages."""
    blob = stream(head(), file(b"core.exe", core))
    for _ in range(depth):
        blob = stream(head(), embedded(blob))
    return blob


def compressed_rtf(text: bytes, checksum: int | None = None) -> bytes:
    """[MS-OXRTFCP] with literals alone, and the reference that ends it."""
    body = bytearray()
    position = 207
    for at in range(0, len(text), 8):
        piece = text[at : at + 8]
        position += len(piece)
        if len(piece) == 8:
            body += b"\0" + piece
        else:
            body += bytes([1 << len(piece)]) + piece
            body += struct.pack(">H", (position & 4095) << 4)
    if len(text) % 8 == 0:
        body += b"\1" + struct.pack(">H", (position & 4095) << 4)
    if checksum is None:
        checksum = zlib.crc32(body, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return struct.pack("<II4sI", len(body) + 12, len(text), b"LZFu", checksum) + body
