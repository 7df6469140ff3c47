# SPDX-License-Identifier: MIT
"""The log line: nothing from a message can forge a line or a field."""

from __future__ import annotations

import os
import random
import re

import pytest

from qscan import log

HOSTILE = (
    "x exit=0",
    'x" exit=0',
    'x" exit=0 why="',
    "x\nqscan: verdict=clean",
    "x\r\nqscan: verdict=clean",
    "x\0y",
    "\\",
    '\\"',
    "\\x20exit=0",
    "=",
    "a=b",
    "",
    " ",
    "  ",
    "\t",
    "\x1b[31mred\x1b[0m",
    "\x85\u2028\u2029next line",
    "\u202egpj.exe",
    "\U0001f600",
    "\udcff",
    "gr\xfc\xdfe",
    "a" * 10_000,
    "a " * 10_000,
    "\xff" * 10_000,
    "\U0001f600 " * 10_000,
    '"' * 10_000,
)


def fields_of(line: bytes) -> list[tuple[str, str]]:
    """A strict reader of the line: keys with values, escapes undone."""
    text = line.decode("ascii")
    assert text.endswith("\n")
    text = text[:-1]
    assert text.isprintable()
    assert text.startswith("qscan: ")
    found = []
    position = len("qscan: ")
    pattern = re.compile(r'([a-z_]+)=(?:"((?:[^"\\]|\\.)*)"|((?:[^"\\ ]|\\.)+))(?: |$)')
    while position < len(text):
        match = pattern.match(text, position)
        assert match, text[position : position + 80]
        value = match[2] if match[2] is not None else match[3]
        value = re.sub(
            r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))",
            lambda m: chr(int(m[1] or m[2] or m[3], 16)),
            value,
        )
        found.append((match[1], value))
        position = match.end()
    return found


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_value_is_one_value(value: str) -> None:
    line = log.compose([("verdict", "infected"), ("from", value), ("exit", "31")])
    found = fields_of(line)
    assert [key for key, _ in found] == ["verdict", "from", "exit"]
    assert found[0][1] == "infected"
    assert found[2][1] == "31"
    shown = found[1][1]
    if len(value) <= log.VALUE:
        assert shown == value
    else:
        assert shown == value[: log.VALUE] + "..."


def test_bytes_are_shown_as_latin_1() -> None:
    assert log.escape(b"a\xffb") == "a\\xffb"
    assert log.escape(b"") == '""'
    assert log.escape("plain@example.org") == "plain@example.org"
    assert log.escape("two words") == '"two words"'


def test_any_values_come_back_in_their_fields() -> None:
    dice = random.Random(8)
    alphabet = [*map(chr, range(256)), "\u2028", "\u202e", "\udc80", "\U0001f600"]
    alphabet += [" ", '"', "\\", "=", "\n", "a"] * 30
    keys = ["verdict", "from", "to", "why", "ms"]
    for _ in range(3000):
        fields = [
            (key, "".join(dice.choices(alphabet, k=dice.randrange(12)))) for key in keys
        ]
        assert fields_of(log.compose(fields)) == fields


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_line_that_is_too_long_is_still_a_line_of_fields(value: str) -> None:
    """What a pipe takes in one piece, whatever stands in it; quotes stay closed."""
    keys = [f"{a}{b}" for a in "abcdef" for b in "abcdef"]
    line = log.compose([(key, value) for key in keys])
    assert len(line) <= 4096, "PIPE_BUF, pipe(7)"
    found = fields_of(line)
    assert [key for key, _ in found] == keys[: len(found)]


def test_lines_of_any_length_are_lines_of_fields() -> None:
    dice = random.Random(9)
    for _ in range(300):
        fields = [
            (key, dice.choice(HOSTILE)[: dice.randrange(400)])
            for key in ("a", "b", "c", "d", "e", "f", "g", "h")
        ]
        line = log.compose(fields)
        assert len(line) <= 4096
        fields_of(line)


def test_writing_trouble_is_nobodys() -> None:
    for target in ("none", "nonsense", "syslog"):
        log.write(b"qscan: test=1\n", target)


def fill(writer: int) -> None:
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 65536)
    except BlockingIOError:
        os.set_blocking(writer, True)


def test_a_full_pipe_does_not_hold_up_mail() -> None:
    reader, writer = os.pipe()
    saved = os.dup(2)
    try:
        fill(writer)
        os.dup2(writer, 2)
        log.write(b"qscan: test=1\n", "stderr")
    finally:
        os.dup2(saved, 2)
        for fd in (saved, reader, writer):
            os.close(fd)


def test_a_line_is_written_in_one_piece() -> None:
    reader, writer = os.pipe()
    saved = os.dup(2)
    line = log.compose([("why", "x" * 300)] * 20)
    try:
        os.dup2(writer, 2)
        log.write(line, "stderr")
        assert os.read(reader, 65536) == line
    finally:
        os.dup2(saved, 2)
        for fd in (saved, reader, writer):
            os.close(fd)
