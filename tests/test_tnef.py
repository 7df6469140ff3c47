# SPDX-License-Identifier: MIT
"""TNEF: the structural reading, and unpacking in a child that may die."""

from __future__ import annotations

import email
import email.policy
import errno
import hashlib
import itertools
import os
import posix
import random
import signal
import struct
import sys
import traceback
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tnefbuild as build
from harness import multipart, wait_for
from unpacking import unpack as examine

from qscan import fdio, tnef, tnefchild

if TYPE_CHECKING:
    from collections.abc import Callable

    from qscan.model import Defect

EVIL = b"MZ this is the payload that must be found"
ROUNDS = int(os.environ.get("QSCAN_FUZZ_ROUNDS", "3000"))


# Helpers.


class Counted:
    """A reader that counts what it is asked for."""

    def __init__(self, blob: bytes) -> None:
        self.blob = blob
        self.reads = 0
        self.bytes = 0

    def __call__(self, offset: int, length: int) -> bytes:
        assert offset >= 0
        assert 0 <= length <= tnef.WINDOW
        assert offset + length <= len(self.blob)
        self.reads += 1
        self.bytes += length
        return self.blob[offset : offset + length]


def look(blob: bytes, **limits: int) -> tnef.Reading:
    reading = tnef.inspect(Counted(blob), len(blob), **limits)
    for one in reading.attachments:
        for offset, length, _ in one.spans:
            assert 0 <= offset <= offset + length <= len(blob)
    for body in reading.bodies:
        assert 0 <= body.offset <= body.offset + body.length <= len(blob)
    return reading


def codes(reading: tnef.Reading) -> set[str]:
    return {defect.code for defect in reading.defects}


def contents(reading: tnef.Reading, blob: bytes) -> list[bytes]:
    return [
        blob[offset : offset + length]
        for one in reading.attachments
        for offset, length, _ in one.spans
    ]


def names(reading: tnef.Reading) -> list[str]:
    return [name for one in reading.attachments for name in one.names]


def decompressed(data: bytes, limit: int = 1 << 20) -> tuple[bytes, list[str]]:
    odd: list[str] = []
    read = Counted(data)
    return b"".join(tnef.rtf(read, 0, len(data), limit, odd)), odd


# A well-formed file.


def test_a_well_formed_file_has_no_defect_and_all_its_parts() -> None:
    blob = build.stream(
        build.head(),
        build.thing(1, 0x8004, 1, b"subject\0"),
        build.thing(1, 0x800C, 2, b"the text"),
        build.recipients(build.properties(build.fixed(0x0C15, build.LONG, b"1234"))),
        build.message_properties(
            build.variable(0x1009, build.BINARY, build.compressed_rtf(b"{\\rtf1 x}")),
            build.variable(0x1013, build.BINARY, b"<html>"),
            build.named(build.STRING8, "a name", b"value\0"),
            build.named(build.STRING8, 0x8520, b"value\0"),
            build.several(0x4001, build.LONG, 2, b"12345678"),
            build.variable(0x4002, build.STRING8 | build.MULTIPLE, b"one", b"three"),
        ),
        build.renddata(),
        build.title(b"EVIL~1.EXE"),
        build.thing(2, 0x8013, 3, bytes(14)),
        build.data(EVIL),
        build.metafile(b"picture"),
        build.thing(2, 0x9001, 6, b"transport.exe\0"),
        build.attachment_properties(
            build.long_name("evil é.exe"),
            build.variable(0x3001, build.STRING8, b"shown\0"),
            build.variable(0x370E, build.STRING8, b"Application/X-MSDownload\0"),
            build.fixed(0x3705, build.LONG, struct.pack("<I", 1)),
        ),
    )
    reading = look(blob)
    assert not reading.defects
    assert reading.harmless()
    [one] = reading.attachments
    assert one.path == "tnef/1"
    assert one.names == ["EVIL~1.EXE", "transport.exe", "evil é.exe", "shown"]
    assert one.declared_type == "application/x-msdownload"
    assert [kind for _, _, kind in one.spans] == ["data", "metafile"]
    assert contents(reading, blob) == [EVIL, b"picture"]
    assert {(body.path, body.kind) for body in reading.bodies} == {
        ("tnef/text", "text"),
        ("tnef/rtf", "rtf"),
        ("tnef/html", "html"),
    }


def test_the_exact_length_of_a_property_is_kept_with_its_trailing_zeros() -> None:
    content = EVIL + bytes(7)
    blob = build.stream(
        build.head(),
        build.renddata(),
        build.attachment_properties(build.mapi_data(content)),
    )
    reading = look(blob)
    assert not reading.defects
    assert contents(reading, blob) == [content]


def test_an_ole_object_beside_its_line_of_text_is_no_defect() -> None:
    blob = build.stream(
        build.head(),
        build.renddata(),
        build.data(b"This attachment is an OLE object."),
        build.attachment_properties(
            build.mapi_data(build.ISTORAGE + EVIL, build.OBJECT)
        ),
    )
    reading = look(blob)
    assert not reading.defects
    assert contents(reading, blob) == [b"This attachment is an OLE object.", EVIL]


def test_an_object_with_an_unknown_interface_is_kept_with_and_without_it() -> None:
    whole = bytes(range(16)) + EVIL
    blob = build.stream(
        build.head(),
        build.renddata(),
        build.attachment_properties(build.mapi_data(whole, build.OBJECT)),
    )
    assert contents(look(blob), blob) == [EVIL, whole]


@pytest.mark.parametrize("kind", [build.OBJECT, build.BINARY])
@pytest.mark.parametrize("interface", [build.IMESSAGE, b"", bytes(16)])
def test_a_stream_in_a_stream_is_read_whatever_announces_it(
    kind: int, interface: bytes
) -> None:
    inner = build.stream(build.head(), build.file(b"core.exe", EVIL))
    blob = build.stream(
        build.head(),
        build.renddata(),
        build.attachment_properties(build.mapi_data(interface + inner, kind)),
    )
    reading = look(blob)
    assert not reading.defects
    assert EVIL in contents(reading, blob)
    assert inner in contents(reading, blob)
    assert [one.path for one in reading.attachments] == ["tnef/1", "tnef/1/tnef/1"]
    start = blob.index(inner)
    assert reading.nested == [("tnef/1", start, len(inner))]


def test_a_winmail_as_ordinary_file_is_read_too() -> None:
    inner = build.stream(build.head(), build.file(b"core.exe", EVIL))
    blob = build.stream(build.head(), build.file(b"winmail.dat", inner))
    reading = look(blob)
    assert not reading.defects
    assert contents(reading, blob) == [inner, EVIL]


def test_a_large_unknown_property_is_offered_to_scanning() -> None:
    hidden = EVIL * 40
    blob = build.stream(
        build.head(),
        build.message_properties(build.named(build.BINARY, "hidden", hidden)),
        build.renddata(),
        build.data(b"shown"),
        build.attachment_properties(build.variable(0x6700, build.BINARY, hidden)),
    )
    reading = look(blob)
    assert not reading.defects
    assert sorted(contents(reading, blob)) == [hidden, hidden, b"shown"]


@pytest.mark.parametrize(
    ("page", "raw", "expected"),
    [
        (1252, b"\xe9vil.exe", "évil.exe"),
        (1251, b"\xe9.exe", "й.exe"),
        (932, b"\x83\x65.exe", "テ.exe"),
        (65001, "é.exe".encode(), "é.exe"),
        (1252, "é.exe".encode(), "é.exe"),
        (28605, b"\xa4.exe", "€.exe"),
        (1252, b"a.txt\0b.exe", "a.txt"),
        (1252, b"a.txt\0b.exe", "a.txt\0b.exe"),
        (1252, b"../../etc/x", "../../etc/x"),
    ],
)
def test_names_are_decoded_as_any_client_might(
    page: int, raw: bytes, expected: str
) -> None:
    blob = build.stream(
        build.version(),
        build.renddata(),
        build.title(raw),
        build.data(EVIL),
        build.codepage(page),
    )
    reading = look(blob)
    assert expected in names(reading)
    assert codes(reading) <= {"tnef-order"}


def test_a_very_long_name_keeps_both_ends() -> None:
    long = "a" * 5000 + ".exe"
    for properties in (
        build.title(long.encode()),
        build.attachment_properties(build.long_name(long)),
    ):
        blob = build.stream(
            build.head(), build.renddata(), build.data(b"x"), properties
        )
        reading = look(blob)
        assert codes(reading) == {"tnef-long-name"}
        assert all(len(name) <= tnef.MAX_NAME for name in names(reading))
        assert any(
            name.startswith("aaaa") and name.endswith(".exe") for name in names(reading)
        )


def test_an_extension_that_no_name_has_is_a_name() -> None:
    def named(*properties: bytes) -> list[str]:
        blob = build.stream(
            build.head(),
            build.renddata(),
            build.title(b"REPORT"),
            build.attachment_properties(*properties, build.mapi_data(EVIL)),
        )
        assert not look(blob).defects
        return names(look(blob))

    extension = build.variable(0x3703, build.STRING8, b".EXE\0")
    assert named(extension) == ["REPORT", ".EXE"]
    assert named(extension, build.long_name("report.exe")) == ["REPORT", "report.exe"]


def test_the_name_to_show_is_the_long_one() -> None:
    rows = [
        (build.long_name("a long name.txt"), "a long name.txt"),
        (build.variable(0x3704, build.STRING8, b"SHORT~1.TXT\0"), "TITLE.TXT"),
        (build.variable(0x3001, build.STRING8, b"shown\0"), "TITLE.TXT"),
    ]
    for value, wanted in rows:
        blob = build.stream(
            build.head(),
            build.renddata(),
            build.title(b"TITLE.TXT"),
            build.data(EVIL),
            build.attachment_properties(value),
        )
        (one,) = look(blob).attachments
        assert one.filename == wanted


def _macbinary(name: bytes, data: bytes, resources: bytes) -> bytes:
    """RFC 1740, appendix A: a header of 128 bytes, forks padded to that."""
    head = bytearray(128)
    head[1] = len(name)
    head[2 : 2 + len(name)] = name
    head[83:87] = len(data).to_bytes(4, "big")
    head[87:91] = len(resources).to_bytes(4, "big")
    padded = data + bytes(-len(data) % 128)
    return bytes(head) + padded + resources + bytes(-len(resources) % 128)


@pytest.mark.parametrize("first", [True, False])
def test_the_forks_of_macbinary_are_offered_to_scanning(first: bool) -> None:
    content = _macbinary(b"evil.exe", EVIL, b"resources of it")
    properties = build.attachment_properties(
        build.variable(0x3702, build.BINARY, bytes.fromhex("2a864886f714030b01")),
        build.mapi_data(content),
    )
    data = [build.data(content)] if first else []
    if first:
        properties = build.attachment_properties(
            build.variable(0x3702, build.BINARY, bytes.fromhex("2a864886f714030b01"))
        )
    blob = build.stream(build.head(), build.renddata(), *data, properties)
    reading = look(blob)
    assert not reading.defects
    assert contents(reading, blob) == [content, EVIL, b"resources of it"]
    assert names(reading) == ["evil.exe"]
    # Lengths that are not true are no forks.
    torn = content[:83] + b"\xff" * 8 + content[91:]
    torn_blob = build.stream(
        build.head(),
        build.renddata(),
        build.attachment_properties(
            build.variable(0x3702, build.BINARY, bytes.fromhex("2a864886f714030b01")),
            build.mapi_data(torn),
        ),
    )
    assert contents(look(torn_blob), torn_blob) == [torn]


def test_each_message_says_what_it_is() -> None:
    inner = build.stream(
        build.head(),
        build.thing(1, 0x8004, 1, b"gr\xfc\xdfe\0"),
        build.message_class(b"IPM.Note"),
        build.thing(
            1,
            0x8000,
            0,
            struct.pack("<HHHH", 4, 32, 5, 15) + b"Jane\0" + b"SMTP:j@e.org\0\0\0",
        ),
    )
    blob = build.stream(
        build.codepage(1252),
        build.message_properties(
            build.unicode_text(0x0037, "Тема"),
            build.unicode_text(0x001A, "IPM.Task"),
            build.file_time(0x0E06, 1_700_000_000),
            build.variable(0x0C1F, build.STRING8, b"a@b.org\0"),
        ),
        build.recipients(build.properties(build.unicode_text(0x0037, "not this one"))),
        build.embedded(inner),
    )
    reading = look(blob)
    assert not reading.defects
    outer, embedded = reading.messages
    assert (outer.path, embedded.path) == ("", "tnef/1")
    assert outer.texts == {"subject": "Тема", "class": "IPM.Task", "address": "a@b.org"}
    assert outer.time == (1_700_000_000 + 11_644_473_600) * 10_000_000
    assert embedded.texts == {
        "subject": "grüße",
        "class": "IPM.Note",
        "sender": "Jane",
        "address": "SMTP:j@e.org",
    }
    assert embedded.time == 0


def test_bodies_say_what_they_are_written_in() -> None:
    blob = build.stream(
        build.codepage(1251),
        build.text_body(b"text"),
        build.message_properties(
            build.unicode_text(0x1000, "wide"),
            build.fixed(0x3FDE, build.LONG, struct.pack("<I", 65001)),
            build.variable(0x1013, build.BINARY, b"<html>"),
        ),
    )
    reading = look(blob)
    assert [(body.kind, body.codec) for body in reading.bodies] == [
        ("text", "cp1251"),
        ("text", "utf_16_le"),
        ("html", "utf_8"),
    ]


# What is wrong, each with its code, and that nothing is lost by it.

_WRONG: list[tuple[str, bytes, bool]] = [
    # code, blob, whether the payload EVIL is in it as one span
    ("tnef-truncated", b"", False),
    ("tnef-truncated", build.SIGNATURE, False),
    ("tnef-bad-signature", build.stream(signature=b"\x78\x9f\x3e\x23"), False),
    (
        "tnef-bad-signature",
        build.stream(build.head(), build.file(b"a", EVIL), signature=b"abcd"),
        True,
    ),
    (
        "tnef-bad-signature",
        b"junk before" + build.stream(build.head(), build.file(b"a", EVIL)),
        True,
    ),
    (
        "tnef-length-past-end",
        build.stream(build.head(), build.renddata(), build.data(EVIL))[:-1],
        True,
    ),
    (
        "tnef-length-past-end",
        build.stream(
            build.head(),
            build.thing(1, 0x8004, 1, b"subject", length=0xFFFFFFFF),
            build.file(b"a", EVIL),
        ),
        True,
    ),
    (
        "tnef-level",
        build.stream(build.head(), build.renddata(), build.data(EVIL, level=1)),
        True,
    ),
    (
        "tnef-level",
        build.stream(build.head(), build.renddata(), build.data(EVIL, level=7)),
        True,
    ),
    (
        "tnef-level",
        build.stream(build.head(), build.message_properties(level=2)),
        False,
    ),
    (
        "tnef-type",
        build.stream(build.head(), build.renddata(), build.thing(2, 0x800F, 1, EVIL)),
        True,
    ),
    (
        "tnef-checksum",
        build.stream(
            build.head(), build.renddata(), build.thing(2, 0x800F, 6, EVIL, checksum=1)
        ),
        True,
    ),
    (
        "tnef-unknown-attribute",
        build.stream(build.head(), build.thing(1, 0x8123, 6, EVIL * 2)),
        False,
    ),
    (
        "tnef-garbage",
        build.stream(build.head(), b"\0\0\0", build.file(b"a", EVIL)),
        True,
    ),
    (
        "tnef-trailing-data",
        build.stream(build.head(), build.file(b"a", EVIL), bytes(5)),
        True,
    ),
    (
        "tnef-trailing-data",
        build.stream(build.head(), build.file(b"a", EVIL), bytes(50)),
        True,
    ),
    (
        "tnef-trailing-newline",
        build.stream(build.head(), build.file(b"a", EVIL), b"\r\n"),
        True,
    ),
    (
        "tnef-short-last-object",
        build.stream(build.head(), build.file(b"a", EVIL), build.data(b"x")),
        True,
    ),
    (
        "tnef-duplicate-title",
        build.stream(
            build.head(),
            build.renddata(),
            build.title(b"a"),
            build.title(b"b"),
            build.data(EVIL),
        ),
        True,
    ),
    (
        "tnef-duplicate-data",
        build.stream(
            build.head(), build.renddata(), build.data(EVIL), build.data(b"harmless")
        ),
        True,
    ),
    (
        "tnef-duplicate-data",
        build.stream(
            build.head(),
            build.renddata(),
            build.data(b"harmless"),
            build.attachment_properties(build.mapi_data(EVIL)),
        ),
        True,
    ),
    (
        "tnef-duplicate-data",
        build.stream(
            build.head(),
            build.renddata(),
            build.attachment_properties(
                build.mapi_data(EVIL), build.mapi_data(b"harmless")
            ),
        ),
        True,
    ),
    (
        "tnef-duplicate-properties",
        build.stream(
            build.head(),
            build.renddata(),
            build.attachment_properties(build.mapi_data(EVIL)),
            build.attachment_properties(),
        ),
        True,
    ),
    (
        "tnef-duplicate-properties",
        build.stream(build.message_properties(), build.message_properties()),
        False,
    ),
    (
        "tnef-data-before-renddata",
        build.stream(build.head(), build.title(b"a"), build.data(EVIL)),
        True,
    ),
    (
        "tnef-data-in-message",
        build.stream(build.head(), build.message_properties(build.mapi_data(EVIL))),
        True,
    ),
    (
        "tnef-order",
        build.stream(build.file(b"a", EVIL), build.head()),
        True,
    ),
    (
        "tnef-count",
        build.stream(
            build.head(),
            build.message_properties(count=0xFFFFFFFF),
            build.file(b"a", EVIL),
        ),
        True,
    ),
    (
        "tnef-count",
        build.stream(
            build.head(),
            build.renddata(),
            build.attachment_properties(build.mapi_data(EVIL), count=7),
        ),
        True,
    ),
    (
        "tnef-count",
        build.stream(
            build.head(),
            build.renddata(),
            build.attachment_properties(
                build.several(0x4001, build.SHORT, 0xFFFFFFFF, b""),
                build.mapi_data(EVIL),
            ),
        ),
        True,
    ),
    (
        "tnef-count",
        build.stream(
            build.head(),
            build.renddata(),
            build.attachment_properties(
                build.variable(0x4001, build.STRING8, count=0xFFFFFFF),
                build.mapi_data(EVIL),
            ),
        ),
        True,
    ),
    (
        "tnef-count",
        build.stream(
            build.head(),
            build.renddata(),
            build.attachment_properties(
                build.variable(0x3701, build.BINARY, b"harmless", EVIL)
            ),
        ),
        True,
    ),
    (
        "tnef-count",
        build.stream(
            build.head(), build.recipients(count=0xFFFFFFFF), build.file(b"a", EVIL)
        ),
        True,
    ),
    (
        "tnef-count",
        build.stream(build.head(), build.recipients(build.properties(count=3))),
        False,
    ),
    (
        "tnef-property-trailing",
        build.stream(
            build.head(),
            build.renddata(),
            build.attachment_properties(count=0, tail=build.mapi_data(EVIL)),
        ),
        True,
    ),
    (
        "tnef-property-trailing",
        build.stream(build.head(), build.recipients(tail=bytes(8))),
        False,
    ),
    (
        "tnef-property-length",
        build.stream(
            build.head(),
            build.renddata(),
            build.attachment_properties(
                build.variable(0x4001, build.STRING8, b"abcd", length=0x7FFFFFFF),
                build.mapi_data(EVIL),
            ),
        ),
        True,
    ),
    (
        "tnef-property-type",
        build.stream(
            build.head(),
            build.renddata(),
            build.attachment_properties(
                build.fixed(0x0E21, build.NULL, b""), build.mapi_data(EVIL)
            ),
        ),
        True,
    ),
    (
        "tnef-property-type",
        build.stream(
            build.head(),
            build.renddata(),
            build.attachment_properties(
                build.variable(0x0E21, build.UNSPECIFIED, b"abc"), build.mapi_data(EVIL)
            ),
        ),
        True,
    ),
    (
        "tnef-property-type",
        build.stream(
            build.head(),
            build.renddata(),
            build.attachment_properties(
                build.fixed(0x0E21, 0x0FFF, b"abcd"), build.mapi_data(EVIL)
            ),
        ),
        True,
    ),
    (
        "tnef-property-name",
        build.stream(
            build.head(),
            build.renddata(),
            build.attachment_properties(
                build.named(build.STRING8, 5, b"x", map_kind=2), build.mapi_data(EVIL)
            ),
        ),
        True,
    ),
    ("tnef-odd-length", build.stream(build.thing(1, 0x800D, 4, b"")), False),
    (
        "tnef-no-data",
        build.stream(build.head(), build.renddata(), build.title(b"a.txt")),
        False,
    ),
    (
        # A property list under the name of another object.
        "tnef-odd-name",
        build.stream(
            build.head(),
            build.renddata(),
            build.thing(2, 0x9001, 6, build.properties(build.mapi_data(EVIL))),
        ),
        True,
    ),
    (
        "tnef-too-many-names",
        build.stream(
            build.head(),
            build.renddata(),
            build.attachment_properties(
                build.variable(
                    0x3707,
                    build.STRING8 | build.MULTIPLE,
                    *[b"harmless%d.txt\0" % number for number in range(16)],
                    b"evil.exe\0",
                ),
                build.mapi_data(EVIL),
            ),
        ),
        True,
    ),
    (
        "tnef-property-type",
        build.stream(
            build.head(),
            build.renddata(),
            build.attachment_properties(
                build.several(0x3701, build.LONG, 10, EVIL[:40])
            ),
        ),
        False,
    ),
    (
        "tnef-property-type",
        build.stream(
            build.head(),
            build.message_properties(
                build.fixed(0x1013, 0x48, b"<html>evil</html"),
            ),
        ),
        False,
    ),
    ("tnef-version", build.stream(build.version(0x20000)), False),
    ("tnef-codepage", build.stream(build.codepage(99999)), False),
    (
        "tnef-reference",
        build.stream(
            build.head(),
            build.renddata(),
            build.attachment_properties(
                build.fixed(0x3705, build.LONG, struct.pack("<I", 7))
            ),
        ),
        False,
    ),
]


@pytest.mark.parametrize(
    ("code", "blob", "payload"),
    _WRONG,
    ids=[f"{index}-{row[0]}" for index, row in enumerate(_WRONG)],
)
def test_each_defect_has_its_code_and_loses_nothing(
    code: str, blob: bytes, payload: bool
) -> None:
    reading = look(blob)
    assert code in codes(reading)
    assert reading.harmless() is not any(tnef.CODES[one][0] for one in codes(reading))
    for defect in reading.defects:
        word, number = defect.where.split()
        assert word == "offset"
        assert 0 <= int(number) <= len(blob)
        assert defect.detail.isascii()
        assert defect.detail.isprintable()
    if payload:
        assert any(EVIL in content for content in contents(reading, blob))


def test_every_code_that_a_reading_can_have_is_tested() -> None:
    by_child = {code for code in tnef.CODES if code.endswith("-limit")} | {
        "tnef-child-died",
        "tnef-library-error",
        "tnef-parser-error",
        "tnef-rtf",
    }
    elsewhere = {
        "tnef-ambiguous-property",
        "tnef-long-name",
        "tnef-nested-too-deep",
        "tnef-too-many-objects",
    }
    tested = {code for code, _, _ in _WRONG}
    assert tested | by_child | elsewhere == set(tnef.CODES)


def test_overlong_objects_are_read_up_to_the_end_and_what_follows_as_well() -> None:
    blob = build.stream(
        build.head(),
        build.renddata(),
        build.thing(2, 0x800F, 6, b"first", length=1 << 31),
        build.file(b"evil.exe", EVIL),
    )
    reading = look(blob)
    assert EVIL in contents(reading, blob)
    assert any(content.startswith(b"first") for content in contents(reading, blob))
    assert "evil.exe" in names(reading)


def test_garbage_between_all_objects_hides_none() -> None:
    pieces: list[bytes] = []
    for index in range(40):
        content = EVIL + bytes([index])
        for piece in (
            build.renddata(),
            build.title(b"f%d.exe" % index),
            build.data(content),
        ):
            pieces.extend((piece, b"\x01\x00\x7f"))
    blob = build.stream(build.head(), *pieces)
    reading = look(blob)
    found = contents(reading, blob)
    for index in range(40):
        assert EVIL + bytes([index]) in found
        assert f"f{index}.exe" in names(reading)


@pytest.mark.parametrize(
    "values", [b"aabbcc\0\0", b"aa\0\0bb\0\0cc\0\0"], ids=["packed", "stepped"]
)
def test_several_short_values_are_read_packed_or_stepped(values: bytes) -> None:
    blob = build.stream(
        build.head(),
        build.renddata(),
        build.attachment_properties(
            build.several(0x4001, build.SHORT, 3, values), build.mapi_data(EVIL)
        ),
    )
    reading = look(blob)
    assert contents(reading, blob) == [EVIL]
    assert not reading.defects


def test_a_list_that_can_be_read_in_two_ways_is_read_in_both() -> None:
    tag = struct.pack("<HH", build.LONG, 0x4002)
    longs = build.fixed(0x4003, build.LONG, b"abcd") * 2
    hidden = (struct.pack("<II", 1, 40) + EVIL)[:30]
    # Packed: "tag" is a property with the first four bytes of "value" as its number,
    # then there is a Null, then a string over all the rest. Stepped: "tag" belongs to
    # the two short values, then comes the content, then the two numbers.
    value = build.mapi_data(hidden)
    blob = build.stream(
        build.head(),
        build.renddata(),
        build.attachment_properties(
            build.several(0x4001, build.SHORT, 2, b"aabb") + tag + value + longs,
            count=4,
        ),
    )
    reading = look(blob)
    assert "tnef-ambiguous-property" in codes(reading)
    assert not reading.harmless()
    assert contents(reading, blob) == [hidden]


def test_nesting_stops_at_the_limit_and_says_so() -> None:
    blob = build.nested(5, EVIL)
    assert not look(blob, max_depth=5).defects
    assert EVIL in contents(look(blob, max_depth=5), blob)
    reading = look(blob, max_depth=4)
    assert codes(reading) == {"tnef-nested-too-deep"}
    assert EVIL not in contents(reading, blob)


def test_objects_and_properties_are_bounded() -> None:
    blob = build.stream(build.head(), *[build.file(b"a", b"b")] * 10)
    assert not look(blob, max_objects=42).defects
    assert codes(look(blob, max_objects=41)) == {"tnef-too-many-objects"}
    many = build.properties(*[build.fixed(0x4001, build.LONG, b"abcd")] * 100)
    blob = build.stream(build.head(), build.thing(1, 0x9003, 6, many))
    assert not look(blob, max_objects=25).defects
    assert codes(look(blob, max_objects=24)) == {"tnef-too-many-objects"}


# Tricks, each a way to write one file, and ways to disturb what is around it.

_CARRIERS: list[Callable[[bytes], list[bytes]]] = [
    lambda content: [build.renddata(), build.title(b"e.exe"), build.data(content)],
    lambda content: [build.data(content), build.renddata()],
    lambda content: [
        build.renddata(),
        build.attachment_properties(build.mapi_data(content)),
    ],
    lambda content: [
        build.renddata(),
        build.data(b"shown"),
        build.attachment_properties(build.mapi_data(content)),
    ],
    lambda content: [
        build.renddata(),
        build.data(content),
        build.attachment_properties(build.mapi_data(b"shown")),
    ],
    lambda content: [build.renddata(), build.data(content), build.data(b"shown")],
    lambda content: [build.renddata(), build.data(content, level=1)],
    lambda content: [build.renddata(), build.data(content, level=0)],
    lambda content: [build.renddata(), build.thing(2, 0x800F, 0x0102, content)],
    lambda content: [
        build.renddata(),
        build.attachment_properties(
            build.mapi_data(build.ISTORAGE + content, build.OBJECT)
        ),
    ],
    lambda content: [
        build.renddata(),
        build.attachment_properties(build.mapi_data(content, build.STRING8)),
    ],
    lambda content: [
        build.renddata(),
        build.attachment_properties(
            build.variable(0x3701, build.BINARY | build.MULTIPLE, b"shown", content)
        ),
    ],
    lambda content: [
        build.renddata(),
        build.attachment_properties(
            build.variable(0x3701, build.BINARY, content, count=1),
            build.variable(0x3701, build.BINARY, b"shown"),
        ),
    ],
    lambda content: [build.embedded(build.stream(build.file(b"e.exe", content)))],
    lambda content: [build.file(b"w.dat", build.stream(build.file(b"e", content)))],
    lambda content: [build.message_properties(build.mapi_data(content))],
    lambda content: [
        build.recipients(build.properties(build.mapi_data(content, build.OBJECT)))
    ],
    lambda content: [
        build.message_properties(build.variable(0x1013, build.BINARY, content))
    ],
    lambda content: [build.text_body(content)],
    lambda content: [build.thing(1, 0x0001, 6, content * 20)],
    lambda content: [build.thing(2, 0x7777, 6, content * 2)],
    lambda content: [build.metafile(content)],
    lambda content: [
        build.renddata(),
        build.attachment_properties(
            build.fixed(0x4001, build.NULL, b""), build.mapi_data(content)
        ),
    ],
    lambda content: [
        build.renddata(),
        build.attachment_properties(
            build.fixed(0x4001, 0x00FE, b"1234"), build.mapi_data(content)
        ),
    ],
    lambda content: [
        build.renddata(),
        build.attachment_properties(build.mapi_data(content), count=0),
    ],
    lambda content: [
        build.renddata(),
        build.attachment_properties(build.mapi_data(content), count=1 << 31),
    ],
    lambda content: [
        build.renddata(),
        build.attachment_properties(
            build.named(build.BINARY, "name", content, map_kind=7)
        ),
    ],
    lambda content: [
        build.renddata(),
        build.attachment_properties(
            build.variable(0x3701, build.BINARY, content, length=1 << 30)
        ),
    ],
]
_AROUND: list[bytes] = [
    build.file(b"other.txt", b"other content"),
    build.renddata(),
    build.codepage(99999),
    build.version(0x20000),
    build.thing(0, 0, 0, b""),
    build.thing(1, 0x8004, 1, b"subject\0"),
    build.message_class(b"IPM.Note"),
    build.title(b"stray.txt"),
    b"\0",
    b"\x01\x02\x03garbage",
    build.SIGNATURE + b"\1\0",
    build.thing(2, 0x800F, 6, b"", length=1 << 20),
    build.thing(1, 0x800D, 4, b"\1"),
    build.attachment_properties(tail=b"abc"),
    build.message_properties(build.fixed(0x0017, build.LONG, b"1234")),
]


def _found(reading: tnef.Reading, blob: bytes, content: bytes) -> bool:
    shown = contents(reading, blob)
    shown += [blob[one.offset : one.offset + one.length] for one in reading.bodies]
    return any(content in one for one in shown)


def test_no_combination_of_tricks_hides_a_file() -> None:
    """Found, or the whole is never taken for harmless; most are found."""
    dice = random.Random(2026)
    lost = 0
    for number in range(ROUNDS):
        content = b"MZ%06d" % number + dice.randbytes(dice.choice((60, 61, 4000)))
        objects = dice.choice(_CARRIERS)(content)
        for _ in range(dice.randrange(4)):
            objects.insert(dice.randrange(len(objects) + 1), dice.choice(_AROUND))
        if dice.random() < 0.7:
            objects.insert(0, build.head())
        blob = build.stream(*objects)
        for _ in range(dice.choice((0, 0, 0, 1, 2))):
            blob = build.stream(build.head(), build.embedded(blob))
        reading = look(blob)
        for defect in reading.defects:
            assert defect.where.startswith("offset ")
        if not _found(reading, blob, content):
            lost += 1
            assert not reading.harmless(), blob.hex()
    assert lost <= ROUNDS / 20


def test_no_change_of_a_few_bytes_hides_a_file() -> None:
    """Bytes around the file are changed, taken away or added."""
    dice = random.Random(1)
    usual = [_CARRIERS[number] for number in (0, 2, 3, 4, 9, 13, 14)]
    lost = 0
    for _ in range(ROUNDS):
        content = b"MZ" + dice.randbytes(dice.choice((60, 62, 200)))
        objects = [build.head(), *dice.choice(usual)(content)]
        if dice.random() < 0.5:
            objects.append(build.file(b"other.txt", b"other"))
        blob = bytearray(build.stream(*objects))
        for _ in range(dice.randrange(1, 4)):
            start = blob.find(content)
            at = dice.randrange(len(blob))
            if start <= at < start + len(content):
                continue
            how = dice.randrange(4)
            if how == 0:
                blob[at] = dice.randrange(256)
            elif how == 1:
                blob[at] ^= 1 << dice.randrange(8)
            elif how == 2:
                del blob[at : min(at + dice.randrange(1, 5), max(start, at))]
            else:
                blob[at:at] = dice.randbytes(dice.randrange(1, 5))
        raw = bytes(blob)
        reading = look(raw)
        if content in raw and not _found(reading, raw, content):
            lost += 1
            assert not reading.harmless(), raw.hex()
    assert 0 < lost < ROUNDS / 5


def test_the_number_of_defects_does_not_grow_with_the_file() -> None:
    bad = build.thing(2, 0x800F, 1, b"abc", checksum=1)
    blob = build.stream(build.head(), *[bad] * 5000)
    assert len(look(blob).defects) <= tnef.PER_CODE * len(tnef.CODES)


def test_a_blob_that_is_shorter_than_it_claims_ends_the_reading() -> None:
    blob = build.stream(build.head(), build.file(b"a", EVIL))
    for claimed in (len(blob) + 5, len(blob) + 100_000):

        def short(offset: int, length: int) -> bytes:
            return blob[offset : offset + length]

        reading = tnef.inspect(short, claimed)
        assert reading.defects
        assert EVIL in contents(reading, blob)


def test_cut_anywhere_it_is_never_taken_for_complete() -> None:
    """But for the boundaries of objects, where a cut cannot be told."""
    objects = [build.head(), build.file(b"a.exe", EVIL), build.embedded(build.stream())]
    blob = build.stream(*objects)
    ends = {len(build.stream())}
    at = 6
    while at < len(blob):
        at += 11 + int.from_bytes(blob[at + 5 : at + 9], "little")
        ends.add(at)
    for cut in range(len(blob)):
        reading = look(blob[:cut])
        # An attachment that has no content yet is noticed at its boundaries, too.
        noted = codes(reading) - {"tnef-no-data"}
        assert bool(noted) is (cut not in ends), cut


# Work is linear: not time but what is read is counted.

_GROWING: dict[str, Callable[[int], bytes]] = {
    "one file": lambda n: build.stream(build.head(), build.file(b"a", b"x" * 50 * n)),
    "files": lambda n: build.stream(build.head(), build.file(b"a", b"b" * 40) * n),
    "tiny objects": lambda n: build.stream(build.thing(1, 0, 6, b"x") * n),
    "garbage": lambda n: build.stream((b"\0\0\0" + build.data(b"x")) * n),
    "long garbage": lambda n: build.stream(b"\x01\x80\x00" * 40 * n),
    "lengths past the end": lambda n: build.stream(
        build.thing(2, 0x800F, 6, b"abc", length=0xFFFFFFFF) * n
    ),
    "plausible lengths": lambda n: build.stream(
        *[
            struct.pack("<BHHI", 1, 0x7777, 7, 30 * n) + build.data(b"x")
            for _ in range(n)
        ],
        bytes(30 * n),
    ),
    "tags": lambda n: build.stream(b"\x0f\x80\x06\x00" * 10 * n),
    "signatures": lambda n: build.SIGNATURE * 10 * n,
    "properties": lambda n: build.stream(
        build.message_properties(build.fixed(0x4001, build.LONG, b"abcd") * n, count=n)
    ),
    "short values": lambda n: build.stream(
        build.message_properties(
            build.several(0x4001, build.SHORT, 3, b"aabbcc\0\0") * n, count=n
        )
    ),
    "null values": lambda n: build.stream(
        build.message_properties(build.fixed(0x4001, build.NULL, b"") * n, count=n)
    ),
    "data tags": lambda n: build.stream(
        build.renddata(),
        build.attachment_properties(tail=b"\x02\x01\x01\x37" * 10 * n, count=5),
    ),
    "carved": lambda n: build.stream(
        build.renddata(),
        build.attachment_properties(
            build.fixed(0x4001, 0x0FFF, b""), build.mapi_data(b"x" * 30) * n, count=2
        ),
    ),
    "rows": lambda n: build.stream(
        build.recipients(
            *[build.properties(build.fixed(0x4001, build.LONG, b"abcd"))] * n
        )
    ),
    "nested": lambda n: build.nested(15, b"x" * 40 * n),
    "many nested": lambda n: build.stream(
        build.embedded(build.stream(build.file(b"a", b"b"))) * n
    ),
    "recognised everywhere": lambda n: build.stream(
        (build.thing(2, 0x800F, 6, build.SIGNATURE, length=0xFFFFFF)) * n
    ),
}


@pytest.mark.parametrize("construct", list(_GROWING))
def test_reading_is_linear(construct: str) -> None:
    make = _GROWING[construct]
    counts = []
    # Large enough that no blob fits into one window.
    for number in (17_000, 34_000):
        blob = make(number)
        assert len(blob) > tnef.WINDOW
        read = Counted(blob)
        tnef.inspect(read, len(blob), max_objects=1_000_000)
        counts.append((len(blob), read.bytes, read.reads))
    for (size, done, reads), (size2, done2, reads2) in itertools.pairwise(counts):
        growth = size2 / size
        assert done2 <= 1.3 * growth * done + 8 * tnef.WINDOW
        assert reads2 <= 1.3 * growth * reads + 200
    size, done, _ = counts[-1]
    assert done <= 40 * size + 16 * tnef.WINDOW


def _mutated(source: random.Random, blob: bytes) -> bytes:
    raw = bytearray(blob)
    edges = (0, 1, 2, 0x7F, 0x80, 0xFF)
    for _ in range(source.randint(1, 6)):
        if len(raw) < 12:
            break
        at = source.randrange(len(raw))
        kind = source.randrange(8)
        if kind == 0:
            raw[at] ^= 1 << source.randrange(8)
        elif kind == 1:
            raw[at] = source.choice(edges)
        elif kind == 2:
            number = source.choice((0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, len(raw)))
            raw[at : at + 4] = struct.pack("<I", number)
        elif kind == 3:
            del raw[at:]
        elif kind == 4:
            del raw[at : at + source.randint(1, 16)]
        elif kind == 5:
            piece = raw[at : at + source.randint(1, 64)]
            where = source.randrange(len(raw))
            raw[where:where] = piece
        elif kind == 6:
            raw[at:at] = source.randbytes(source.randint(1, 16))
        else:
            kind_of = source.choice((1, 13, 0x1E, 0x1F, 0x102, 0x1002, 0x1102))
            raw[at : at + 2] = struct.pack("<H", kind_of)
    return bytes(raw)


def _seeds() -> list[bytes]:
    seeds = [blob for _, blob, _ in _WRONG if len(blob) > 12]
    seeds.append(build.nested(3, EVIL))
    seeds.append(
        build.stream(
            build.head(),
            build.message_properties(
                build.named(build.UNICODE, "name", b"v\0"),
                build.several(0x4001, build.SHORT, 3, b"aabbcc\0\0"),
                build.variable(0x1009, build.BINARY, build.compressed_rtf(b"{\\rtf1}")),
            ),
            build.embedded(build.stream(build.file(b"a", EVIL)), b"name"),
        )
    )
    corpus = _corpus_path("mimekit/tnef")
    if corpus is not None:
        for path in sorted(corpus.glob("*.tnef")):
            if path.stat().st_size < 20_000:
                seeds.append(path.read_bytes())
    return seeds


def _corpus_path(name: str) -> Path | None:
    root = os.environ.get("QSCAN_CORPUS") or str(
        Path(__file__).resolve().parents[2] / "shared" / "corpus"
    )
    path = Path(root) / name
    return path if path.is_dir() else None


def test_fuzz_the_reading_raises_nothing_and_stays_bounded() -> None:
    source = random.Random(20261121)
    seeds = _seeds()
    for number in range(ROUNDS):
        blob = _mutated(source, source.choice(seeds))
        read = Counted(blob)
        try:
            reading = tnef.inspect(read, len(blob))
        except Exception as error:
            raise AssertionError(f"round {number}: {blob.hex()}") from error
        assert read.bytes <= 112 * len(blob) + 16 * tnef.WINDOW
        assert read.reads <= len(blob) + 64
        for one in reading.attachments:
            for offset, length, _ in one.spans:
                assert 0 <= offset <= offset + length <= len(blob)
            for name in one.names:
                name.encode("utf-8")
        for body in reading.bodies:
            odd: list[str] = []
            total = sum(
                map(len, tnef.rtf(read, body.offset, body.length, 100_000, odd))
            )
            assert total <= 100_000


# Compressed RTF.


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 4000, 5000, 700_000])
def test_compressed_rtf_comes_out_as_it_was(size: int) -> None:
    text = random.Random(size).randbytes(size)
    assert decompressed(build.compressed_rtf(text)) == (text, [])


def test_the_example_of_the_rtf_specification() -> None:
    # [MS-OXRTFCP] section 3.1.1.2 and section 3.1.2.2: references into the
    # dictionary it begins with, and a run that overlaps itself.
    first = bytes.fromhex(
        "2d0000002b0000004c5a4675f1c5c7a703000a0072637067313235"
        "42320af32068656c090020627705b06c647d0a800fa0"
    )
    text = b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"
    assert decompressed(first) == (text, [])
    second = bytes.fromhex(
        "1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0"
    )
    assert decompressed(second) == (b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}", [])


def test_uncompressed_rtf_is_copied() -> None:
    raw = struct.pack("<II4sI", 12 + 5, 5, b"MELA", 0) + b"{\\r1}"
    assert decompressed(raw) == (b"{\\r1}", [])
    assert decompressed(raw, limit=3) == (b"{\\r", ["limit"])


def test_damaged_rtf_gives_what_there_is_and_says_what_is_odd() -> None:
    text = b"{\\rtf1 " + EVIL + b"}"
    good = build.compressed_rtf(text)
    assert decompressed(build.compressed_rtf(text, checksum=1)) == (text, ["checksum"])
    found, odd = decompressed(good[:-4])
    assert text.startswith(found)
    assert len(found) >= len(text) - 8
    assert {"size", "no end"} <= set(odd)
    assert decompressed(good[:10]) == (b"", ["truncated"])
    assert decompressed(good[:8] + b"abcd" + good[12:])[1] == ["compression 61626364"]


def test_an_rtf_bomb_ends_at_the_limit() -> None:
    # Each group gives 8 times 17 bytes, always from a place that is not the end mark.
    body = bytearray()
    position = 207
    for _ in range(3000):
        body.append(0xFF)
        for _ in range(8):
            body += struct.pack(">H", ((position - 100) & 4095) << 4 | 15)
            position += 17
    bomb = struct.pack("<II4sI", len(body) + 12, 0, b"LZFu", 0) + body
    found, odd = decompressed(bomb)
    assert len(found) == 3000 * 8 * 17
    found, odd = decompressed(bomb, limit=50_000)
    assert len(found) == 50_000
    assert odd == ["limit"]


# The child.


class Unpacked:
    """One call of ``unpack`` with its results, files read back."""

    def __init__(
        self,
        files: list[tnefchild.Extracted],
        defects: list[Defect],
        used: list[Any],
    ) -> None:
        self.files = files
        self.defects = defects
        self.codes = {defect.code for defect in defects}
        self.names = {name for one in files for name in one.names}
        self.contents = [Path(one.file).read_bytes() for one in files]
        # of the child alone: seconds of processor time, bytes of memory
        self.cpu = sum(one.ru_utime + one.ru_stime for one in used)
        self.memory = max((one.ru_maxrss * 1024 for one in used), default=0)

    def clean(self) -> bool:
        return not any(
            code not in tnef.CODES or tnef.CODES[code][0] for code in self.codes
        )


def _descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def _children(pid: int | str = "self") -> set[str]:
    """Children of a process, zombies included (other tests may have theirs)."""
    found: set[str] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        found.update((task / "children").read_text().split())
    return found


@pytest.fixture
def unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Unpacked]:
    """Unpacks a blob; checks after every call that nothing is left behind."""
    used: list[Any] = []
    wait4 = posix.wait4

    def recording(pid: int, options: int) -> Any:
        result = wait4(pid, options)
        used.append(result[2])
        return result

    monkeypatch.setattr(posix, "wait4", recording)
    numbers = iter(range(1000))

    def run(blob: bytes, **limits: Any) -> Unpacked:
        place = tmp_path / f"work{next(numbers)}"
        place.mkdir()
        source = tmp_path / "blob"
        source.write_bytes(blob)
        before = _descriptors()
        children = _children()
        loaded = "tnefparse" in sys.modules
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        used.clear()
        fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            files, defects = tnefchild.unpack(
                fd, len(blob), str(place), "part-1", **limits
            )
        finally:
            os.close(fd)
            assert _children() == children
            assert _descriptors() == before
            assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
        # Exactly what was reported is on disk, with sizes and digests that are true.
        assert sorted(os.listdir(place)) == sorted(
            os.path.basename(one.file) for one in files
        )
        for one in files:
            content = Path(one.file).read_bytes()
            assert len(content) == one.size
            assert hashlib.sha256(content).hexdigest() == one.sha256
            assert Path(one.file).stat().st_mode & 0o777 == 0o600
        assert len({one.sha256 for one in files}) == len(files)
        assert ("tnefparse" in sys.modules) is loaded
        return Unpacked(files, defects, used)

    return run


def _pretend(monkeypatch: pytest.MonkeyPatch, parse: Callable[..., Any]) -> None:
    """Have the child find this in place of the library."""

    class FakeObject:
        pass

    class FakeStream:
        def __init__(self, data: Any, do_checksum: bool = True) -> None:
            self.attachments = parse(data)

    module: Any = types.ModuleType("tnefparse.tnef")
    module.TNEFObject = FakeObject
    module.TNEF = FakeStream
    monkeypatch.setitem(sys.modules, "tnefparse.tnef", module)
    monkeypatch.delitem(sys.modules, "tnefparse", raising=False)


GOOD = build.stream(
    build.head(), build.file(b"evil.exe", EVIL), build.file(b"a.txt", b"text")
)
# Complete for us, and wrong in a way that makes a failure of the library count.
BAD = build.stream(
    build.head(),
    build.renddata(),
    build.title(b"a"),
    build.title(b"b"),
    build.data(EVIL),
)


def test_unpacking_gives_files_with_names_paths_and_types(
    unpack: Callable[..., Unpacked],
) -> None:
    inner = build.stream(build.head(), build.file(b"core.exe", EVIL))
    blob = build.stream(
        build.head(),
        build.message_properties(
            build.variable(0x1009, build.BINARY, build.compressed_rtf(b"{\\rtf1 x}")),
            build.variable(0x1013, build.BINARY, b"<html>"),
        ),
        build.file(b"../../etc/passwd", b"names are not paths"),
        build.embedded(inner, b"forwarded"),
    )
    result = unpack(blob)
    assert not result.defects
    found = {one.path: (one.names, one.declared_type, one.size) for one in result.files}
    assert found == {
        "tnef/1": (["../../etc/passwd"], "", 19),
        "tnef/2": (["forwarded"], "application/ms-tnef", len(inner)),
        "tnef/2/tnef/1": (["core.exe"], "", len(EVIL)),
        "tnef/rtf": ([], "text/rtf", 9),
        "tnef/html": ([], "text/html", 6),
    }
    assert result.contents == [
        b"names are not paths",
        inner,
        EVIL,
        b"{\\rtf1 x}",
        b"<html>",
    ]


def test_identical_files_are_stored_once_with_all_names(
    unpack: Callable[..., Unpacked],
) -> None:
    blob = build.stream(
        build.head(), *[build.file(b"f%d.exe" % n, EVIL) for n in range(5)]
    )
    result = unpack(blob)
    assert result.contents == [EVIL]
    assert result.files[0].names == [f"f{n}.exe" for n in range(5)]


def test_empty_and_missing_contents_still_bring_their_names(
    unpack: Callable[..., Unpacked],
) -> None:
    blob = build.stream(
        build.head(),
        build.file(b"empty.exe", b""),
        build.renddata(),
        build.title(b"missing.exe"),
        build.attachment_properties(),
    )
    result = unpack(blob)
    assert {"empty.exe", "missing.exe"} <= result.names
    assert result.contents == [b""]


def test_what_only_the_library_finds_is_kept_too(
    unpack: Callable[..., Unpacked], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = types.SimpleNamespace(
        data=b"found by the library alone", name="lib.exe", _name=b"lib.exe"
    )
    same = types.SimpleNamespace(data=EVIL, name="other.exe")
    _pretend(monkeypatch, lambda data: [other, same])
    result = unpack(GOOD)
    assert not result.defects
    by_name = {os.path.basename(one.file): one for one in result.files}
    assert set(by_name) == {"part-1-o1", "part-1-o2", "part-1-t1"}
    assert by_name["part-1-t1"].names == ["lib.exe"]
    assert by_name["part-1-o1"].names == ["evil.exe", "other.exe"]
    assert b"found by the library alone" in result.contents


def test_the_librarys_stripped_or_padded_content_is_not_a_second_file(
    unpack: Callable[..., Unpacked],
) -> None:
    for content in (b"AB\0\0\0\0", b"ABC", bytes(9), EVIL + bytes(70_000)):
        blob = build.stream(
            build.head(),
            build.renddata(),
            build.attachment_properties(
                build.mapi_data(content), build.long_name("a.bin")
            ),
        )
        result = unpack(blob)
        assert not result.defects
        assert result.contents == [content]


def test_damaged_rtf_is_noted_and_its_bytes_kept(
    unpack: Callable[..., Unpacked],
) -> None:
    raw = build.compressed_rtf(b"{\\rtf1 text}", checksum=7)
    blob = build.stream(
        build.head(),
        build.message_properties(build.variable(0x1009, build.BINARY, raw)),
    )
    result = unpack(blob)
    assert result.codes == {"tnef-rtf"}
    assert set(result.contents) == {raw, b"{\\rtf1 text}"}


def test_a_library_that_raises_on_a_well_formed_file_is_a_mild_defect(
    unpack: Callable[..., Unpacked], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(data: Any) -> Any:
        raise RecursionError("as it does")

    _pretend(monkeypatch, fail)
    result = unpack(GOOD)
    assert result.codes == {"tnef-library-error"}
    assert result.clean()
    assert EVIL in result.contents
    result = unpack(BAD)
    assert result.codes == {"tnef-duplicate-title", "tnef-parser-error"}
    assert not result.clean()
    assert EVIL in result.contents


def _hang(data: Any) -> Any:
    while True:
        pass


def _sleep(data: Any) -> Any:
    signal.pause()


def _crash(data: Any) -> Any:
    os.kill(os.getpid(), signal.SIGSEGV)


def _leave(data: Any) -> Any:
    posix._exit(9)


def _devour(data: Any) -> Any:
    kept = []
    while True:
        kept.append(bytearray(1 << 20))


@pytest.mark.parametrize(
    ("parse", "code", "limits"),
    [
        (_hang, "tnef-cpu-limit", {"cpu_seconds": 1}),
        (_sleep, "tnef-wall-limit", {"wall_seconds": 0.5}),
        (_crash, "tnef-child-died", {}),
        (_leave, "tnef-child-died", {}),
        (_devour, "tnef-memory-limit", {}),
    ],
)
def test_whatever_the_library_does_our_own_reading_stays(
    unpack: Callable[..., Unpacked],
    monkeypatch: pytest.MonkeyPatch,
    parse: Callable[[Any], Any],
    code: str,
    limits: dict[str, Any],
) -> None:
    _pretend(monkeypatch, parse)
    result = unpack(BAD, **limits)
    assert result.codes == {"tnef-duplicate-title", code}
    assert EVIL in result.contents
    result = unpack(GOOD, **limits)
    assert result.codes == {"tnef-library-error"}
    assert code in result.defects[0].detail
    assert EVIL in result.contents


def _raise_memory(*_: Any) -> Any:
    raise MemoryError


def _raise_value(*_: Any) -> Any:
    raise ValueError("a bug of ours")


def _write(raw: bytes) -> Callable[..., Any]:
    def write(*_: Any) -> Any:
        data = raw
        while data:
            data = data[os.write(5, data) :]
        signal.pause()

    return write


@pytest.mark.parametrize(
    ("inspect", "code"),
    [
        (_hang, "tnef-cpu-limit"),
        (_sleep, "tnef-wall-limit"),
        (_crash, "tnef-child-died"),
        (_leave, "tnef-child-died"),
        (_raise_memory, "tnef-memory-limit"),
        (_raise_value, "tnef-parser-error"),
        (_write(b"\xff\xff\xff\xff"), "tnef-child-died"),
        (_write(b"\x04\0\0\0abcd"), "tnef-child-died"),
        (_write(b"\x05\0\0\0i\1\0\0\0"), "tnef-child-died"),
        (_write(b"\x10\0\0\0ab"), "tnef-wall-limit"),
    ],
)
def test_when_our_own_reading_dies_that_is_never_mild(
    unpack: Callable[..., Unpacked],
    monkeypatch: pytest.MonkeyPatch,
    inspect: Callable[..., Any],
    code: str,
) -> None:
    def stand_in(read: Any, size: int, depth: int) -> Any:
        return inspect(read)

    monkeypatch.setattr(tnef, "inspect", stand_in)
    wall = 1.5 if code == "tnef-wall-limit" else 60.0
    result = unpack(GOOD, cpu_seconds=1, wall_seconds=wall)
    assert result.codes == {code}
    assert not result.clean()
    assert not result.files


@pytest.mark.parametrize(
    "record",
    [
        ("file", "../../escape", 1, "00", "tnef/1", [], ""),
        ("file", "part-1-o1/../x", 1, "00", "tnef/1", [], ""),
        ("file", "part-1-o1", "1", "00", "tnef/1", [], ""),
        ("file", "part-1-o1", 1, "00", "tnef/1", [b"bytes"], ""),
        ("names", "part-1-o1", ["unknown file"]),
        ("defect", "tnef-x"),
        ("unknown",),
        (),
        ("own", 1),
    ],
)
def test_a_record_that_is_none_ends_the_report(
    unpack: Callable[..., Unpacked],
    monkeypatch: pytest.MonkeyPatch,
    record: tuple[Any, ...],
) -> None:
    def stand_in(*_: Any) -> Any:
        tnefchild._send(5, record)
        signal.pause()

    monkeypatch.setattr(tnef, "inspect", stand_in)
    result = unpack(GOOD, wall_seconds=5.0)
    assert result.codes == {"tnef-child-died"}
    assert not result.files


def test_a_flood_of_records_is_cut_off(
    unpack: Callable[..., Unpacked], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stand_in(*_: Any) -> Any:
        while True:
            tnefchild._send(5, ("stage", "x" * 60_000))

    monkeypatch.setattr(tnef, "inspect", stand_in)
    assert unpack(GOOD).codes == {"limit-parts"}


def test_the_limits_of_files_bytes_and_depth_are_defects(
    unpack: Callable[..., Unpacked],
) -> None:
    blob = build.stream(
        build.head(), *[build.file(b"f%d" % n, b"content %d" % n) for n in range(9)]
    )
    result = unpack(blob, max_parts=4)
    assert result.codes == {"limit-parts"}
    assert len(result.files) == 4
    result = unpack(blob, max_bytes=30)
    assert result.codes == {"limit-expanded-bytes"}
    assert sum(one.size for one in result.files) <= 30
    result = unpack(build.nested(5, EVIL), max_depth=3)
    assert result.codes == {"limit-depth"}
    assert EVIL not in result.contents
    rtf = build.compressed_rtf(b"{\\rtf1 " + bytes(5000) + b"}")
    blob = build.stream(
        build.head(),
        build.message_properties(build.variable(0x1009, build.BINARY, rtf)),
    )
    result = unpack(blob, max_bytes=3000)
    assert result.codes == {"limit-expanded-bytes"}
    assert sum(one.size for one in result.files) <= 3000
    tiny = build.stream(build.head(), build.thing(1, 0, 6, b"x") * 100_001)
    assert "limit-parts" in unpack(tiny).codes


def test_the_child_has_no_descriptor_signal_or_session_of_ours(
    unpack: Callable[..., Unpacked], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tell(data: Any) -> Any:
        shown = []
        for number in sorted(map(int, os.listdir("/proc/self/fd"))):
            try:
                shown.append(f"{number}={os.readlink(f'/proc/self/fd/{number}')[:9]}")
            except OSError:
                continue  # the one that listed them
        alone = os.getsid(0) == os.getpid() == os.getpgid(0)
        caught = [
            number
            for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGINT)
            if signal.getsignal(number) is not signal.SIG_DFL
        ]
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        raise ValueError(f"{' '.join(shown)} {alone} {caught} {blocked}")

    _pretend(monkeypatch, tell)
    held = [os.open("/dev/zero", os.O_RDONLY) for _ in range(9)]
    os.set_inheritable(held[0], True)
    old = signal.signal(signal.SIGALRM, lambda *_: None)
    try:
        [defect] = unpack(GOOD).defects
    finally:
        signal.signal(signal.SIGALRM, old)
        for fd in held:
            os.close(fd)
    assert "0=/dev/null 1=/dev/null 2=/dev/null 3=" in defect.detail
    assert " 5=pipe:[" in defect.detail
    assert defect.detail.count("=/dev/null") == 3
    assert defect.detail.count("=pipe:") == 1
    assert "zero" not in defect.detail
    assert "True [] set()" in defect.detail


def test_a_signal_that_ends_us_leaves_no_child_whenever_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(number: int, frame: object) -> None:
        raise fdio.Stop("timeout", "deadline reached")

    def rounds() -> None:
        before, children = _descriptors(), _children()
        signal.signal(signal.SIGALRM, stop)
        for number in range(60):
            place = tmp_path / str(number)
            place.mkdir()
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.00005 * 1.12**number)
                tnefchild.unpack(fd, len(GOOD), str(place), "p", wall_seconds=30.0)
            except fdio.Stop:
                pass
            else:
                raise AssertionError(f"round {number} was not stopped")
            assert _children() == children, number
            assert _descriptors() == before, number
            assert not signal.pthread_sigmask(signal.SIG_BLOCK, []), number

    _pretend(monkeypatch, _sleep)
    (tmp_path / "blob").write_bytes(GOOD)
    # In a process with one thread, as ours has: a mask is a thread's own affair.
    with (tmp_path / "blob").open("rb") as file:
        fd = file.fileno()
        runner = posix.fork()
        if runner == 0:
            code = 1
            try:
                rounds()
                code = 0
            except BaseException:
                (tmp_path / "failure").write_text(traceback.format_exc())
            finally:
                posix._exit(code)
        _, status = posix.waitpid(runner, 0)
    failure = tmp_path / "failure"
    assert status == 0, failure.read_text() if failure.exists() else status


def test_a_directory_that_cannot_be_written_is_our_trouble_not_a_defect(
    tmp_path: Path,
) -> None:
    source = tmp_path / "blob"
    source.write_bytes(GOOD)
    before = _descriptors()
    children = _children()
    with source.open("rb") as file:
        for place, number in (
            (tmp_path / "missing", errno.ENOENT),
            (source, errno.ENOTDIR),
        ):
            with pytest.raises(OSError, match=os.strerror(number)) as caught:
                tnefchild.unpack(file.fileno(), len(GOOD), str(place), "p")
            assert caught.value.errno == number
    assert _children() == children
    assert _descriptors() == before


def test_when_we_are_killed_the_child_dies_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pretend(monkeypatch, _sleep)
    source = tmp_path / "blob"
    source.write_bytes(GOOD)
    parent = posix.fork()
    if parent == 0:
        fd = os.open(source, os.O_RDONLY)
        tnefchild.unpack(fd, len(GOOD), str(tmp_path), "p", wall_seconds=60.0)
        posix._exit(0)
    try:
        # Asleep in the library: its first file is there, and it is the only child.
        wait_for(lambda: (tmp_path / "p-o2").exists() and _children(parent), "a child")
        [child] = _children(parent)
    finally:
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)

    def dead() -> bool:
        try:
            text = Path(f"/proc/{child}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True
        # A zombie is dead, and nobody who is its parent now asks.
        return text.rpartition(")")[2].split()[0] == "Z"

    wait_for(dead, "the end of the child")


def test_a_caller_that_ignores_sigchld_gets_the_same_result(
    unpack: Callable[..., Unpacked],
) -> None:
    old = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        result = unpack(GOOD)
    finally:
        signal.signal(signal.SIGCHLD, old)
    assert not result.defects
    assert EVIL in result.contents


def test_two_thousand_attachments_cost_the_library_no_quadratic_time(
    unpack: Callable[..., Unpacked],
) -> None:
    filler = random.Random(1).randbytes(4000)
    blob = build.stream(
        build.head(),
        *[build.file(b"f%d" % n, b"%d " % n + filler) for n in range(1999)],
    )
    result = unpack(blob)
    assert not result.defects
    assert len(result.files) == 1999
    assert result.cpu < 2


def _package(name: bytes, content: bytes) -> bytes:
    """An OLE 1.0 package ([MS-OLEDS] section 2.2.5) as RTF holds it."""
    name += b"\0"
    native = struct.pack("<H", 2) + name + name + struct.pack("<HHI", 0, 3, len(name))
    native += name + struct.pack("<I", len(content)) + content
    kind = b"Package\0"
    head = struct.pack("<III", 0x501, 2, len(kind)) + kind + bytes(8)
    return head + struct.pack("<I", len(native)) + native


def test_what_lies_in_its_files_and_texts_is_unpacked_too(tmp_path: Path) -> None:
    """An object in the text of a message in a winmail.dat, a mail as its file."""
    content = EVIL * 9
    rtf = (
        b"{\\rtf1 see {\\object\\objemb{\\*\\objclass Package}{\\*\\objdata "
        + _package(b"evil.exe", content).hex().encode()
        + b"}}}"
    )
    attached = multipart((b"application/octet-stream", b"core.exe", content[::-1]))
    inner = build.stream(
        build.head(),
        build.message_properties(
            build.variable(0x1009, build.BINARY, build.compressed_rtf(rtf))
        ),
        build.file(b"a.eml", attached),
    )
    blob = build.stream(build.head(), build.embedded(inner))
    message = multipart((b"application/ms-tnef", b"winmail.dat", blob))
    result = examine(message, tmp_path)
    found = {
        name: result.contents[item.path] for item in result.items for name in item.names
    }
    assert found["evil.exe"] == content
    assert found["core.exe"] == content[::-1]
    assert not any(code.startswith("tnef-") for code in result.codes)


# Corpora.


def _corpus(name: str) -> Path:
    path = _corpus_path(name)
    if path is None:
        pytest.skip(f"no corpus {name}: set QSCAN_CORPUS to a directory that has it")
    return path


def test_hostile_files_are_bounded_and_never_complete_when_something_is_lost(
    unpack: Callable[..., Unpacked],
) -> None:
    files = sorted(_corpus("tnef-hostile").glob("*.tnef"))
    assert files
    seen = 0
    for path in files:
        blob = path.read_bytes()
        result = unpack(blob)
        # An interpreter as large as this one comes on top of what the child takes.
        assert result.cpu <= 2.5, path.name
        assert result.memory <= 264_000_000, path.name
        if path.name.startswith(("control_", "ok_")):
            assert not result.defects, path.name
            seen += 1
        # Everything of an attachment that is plainly in the file was found, or the
        # file is not taken for complete.
        for payload in (b"EVILDATA", b"EVIL", b"BENIGN", b"PAYLOAD!"):
            if payload in blob and not any(payload in one for one in result.contents):
                assert not result.clean(), path.name
        for name in (b"evil.exe", b"core.exe", b"x.exe", b"a.exe", b"ok.txt"):
            if b"\0" + name in blob and name.decode() not in result.names:
                assert not result.clean(), path.name
    assert seen == 2


def _same(expected: bytes, found: bytes) -> bool:
    """Equal but for line ends, and for the interface id that we leave off."""
    if expected == found or expected[16:] == found:
        return True
    return expected.replace(b"\r\n", b"\n") == found.replace(b"\r\n", b"\n").rstrip(
        b"\0"
    )


def test_all_names_and_contents_of_the_mimekit_samples_are_found(
    unpack: Callable[..., Unpacked],
) -> None:
    root = _corpus("mimekit/tnef")
    blobs: list[tuple[str, bytes]] = []
    for path in sorted(root.glob("*.tnef")):
        blobs.append((path.stem, path.read_bytes()))
    for path in sorted(root.glob("*.eml")):
        message = email.message_from_bytes(
            path.read_bytes(), policy=email.policy.compat32
        )
        for part in message.walk():
            if part.get_content_type() == "application/ms-tnef":
                raw = part.get_payload(decode=True)
                assert isinstance(raw, bytes)
                blobs.append((path.stem, raw))
    assert len(blobs) >= 19
    for stem, blob in blobs:
        result = unpack(blob)
        if stem != "panic":  # cut off and continued with base64 text
            assert result.clean(), (stem, result.defects)
        wanted = root / f"{stem}.list"
        if wanted.exists():
            for name in wanted.read_text(encoding="utf-8").splitlines():
                if name and not name.startswith("body."):
                    assert name in result.names, (stem, name)
        for path in sorted((root / stem).glob("*")):
            expected = path.read_bytes()
            assert any(_same(expected, one) for one in result.contents), path
