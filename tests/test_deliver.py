# SPDX-License-Identifier: MIT
"""Our header lines: never injectable, folded, inside the room, before the message."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from qscan import fdio, headers, spool
from qscan.actions import deliver
from qscan.model import Defect

NEWLINES = [b"\n", b"\r\n"]


def check(lines: bytes, newline: bytes) -> list[tuple[bytes, bytes]]:
    """What must be true of any header lines; (name, unfolded value) of each field."""
    assert len(lines) <= spool.RESERVE
    if not lines:
        return []
    assert lines.isascii()
    assert lines.endswith(newline)
    split = lines[: -len(newline)].split(newline)
    assert not split[0].startswith((b" ", b"\t"))
    for line in split:
        assert line.strip(), "a line of blanks may end the header"
        assert b"\r" not in line
        assert b"\n" not in line
        assert all(32 <= c < 127 for c in line)
        assert len(line) <= 998
    defects: list[Defect] = []
    fields, end = headers.split_block(lines, "1", defects)
    assert end == len(lines)
    assert defects == []
    return [(field.name, headers.unfold(field.value)) for field in fields]


@pytest.mark.parametrize("newline", NEWLINES, ids=["LF", "CRLF"])
def test_a_field_is_folded_at_blanks(newline: bytes) -> None:
    value = (
        "clean; id=6b012a70.31317.4783ec90fa70; parts=12; version=1.0; "
        "ClamAV 1.4.6/27000/Mon Jan  1 00:00:00 2024"
    )
    lines = deliver.header_lines([("X-Qscan", value)], newline)
    assert check(lines, newline) == [
        (b"x-qscan", " ".join(value.split()).encode()),
    ]
    assert lines.startswith(b"X-Qscan: clean;")
    assert max(len(line) for line in lines.split(newline)) <= deliver.FOLD
    assert lines.count(newline) == 2


HOSTILE = (
    "x\nSubject: forged",
    "x\r\n\r\nbody",
    "x\rSubject: forged",
    "\n",
    "\0",
    "x\0y",
    "\x0b\x0c\x1c\x85\u2028\u2029",
    "gr\xfc\xdfe \U0001f600 \udcff",
    "",
    "   ",
    "\t",
    "a" * 5000,
    "a " * 5000,
    ("b" * 300 + " ") * 3,
    "a" * 70 + " " + "b" * 70,
)


@pytest.mark.parametrize("newline", NEWLINES, ids=["LF", "CRLF"])
@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_value_stays_in_its_field(value: str, newline: bytes) -> None:
    fields = [("X-Qscan", value), ("X-Virus-Status", "Clean")]
    found = check(deliver.header_lines(fields, newline), newline)
    assert [name for name, _ in found] in (
        [b"x-qscan", b"x-virus-status"],
        [b"x-virus-status"],
    )
    assert found[-1] == (b"x-virus-status", b"Clean")


def test_any_values_stay_in_their_fields() -> None:
    dice = random.Random(11)
    alphabet = [*map(chr, range(256)), "\u2028", "\n\nbody", "\r\nX-Evil: 1", " ", " "]
    for _ in range(2000):
        fields = [
            (name, "".join(dice.choices(alphabet, k=dice.randrange(120))))
            for name in ("X-Qscan", "X-Virus-Scanned", "X-Virus-Status")
        ]
        newline = dice.choice(NEWLINES)
        found = check(deliver.header_lines(fields, newline), newline)
        names = [name.lower().encode() for name, _ in fields]
        assert [name for name, _ in found] == names


def test_what_does_not_fit_the_room_is_left_out() -> None:
    fields = [(f"X-Qscan-{n}", "word " * 40) for n in range(20)]
    lines = deliver.header_lines(fields)
    found = check(lines, b"\n")
    assert 1 < len(found) < 20
    assert spool.RESERVE - len(lines) < 300
    assert deliver.header_lines([("X-Qscan", "word " * 1000)]) == b""


def test_no_fields_are_no_lines() -> None:
    assert deliver.header_lines([]) == b""


@pytest.mark.parametrize("lines", [b"", b"X-Qscan: clean\n", b"X: " + b"a" * 1020])
def test_the_lines_stand_right_before_the_message(lines: bytes, tmp_path: Path) -> None:
    message = b"Subject: x\r\n\r\n\0body\xff without end of line"
    fd = os.open(tmp_path / "message", fdio.O_NEW, 0o600)
    try:
        fdio.write_all(fd, spool.ROOM + message)
        deliver.place(fd, lines)
        assert os.lseek(fd, 0, os.SEEK_CUR) == spool.RESERVE - len(lines)
        read = b""
        while piece := os.read(fd, 7):
            read += piece
        assert read == lines + message
        assert os.fstat(fd).st_size == spool.RESERVE + len(message)
    finally:
        os.close(fd)
