# SPDX-License-Identifier: MIT
"""The dialects of reject text, as pure functions and on real pipes."""

from __future__ import annotations

import fcntl
import os
import random

import pytest

from qscan import outcomes, settings
from qscan.actions import reject

REFUSED = outcomes.BY_NAME["refused"]
DEFERRED = outcomes.BY_NAME["deferred"]
ID = "6b012a70.31317.4783ec90fa70"

CHANNELS = {
    ("plain", (2, 4, 6), 2): (-1, 0),
    ("plain", (), -1): (-1, 0),
    ("notqmail", (6,), -1): (6, 82),
    ("notqmail", (2, 4, 6), 2): (6, 82),
    ("notqmail", (2, 4), 2): (-1, 0),
    ("netqmail", (4,), -1): (4, 82),
    ("netqmail", (2, 4, 6), 2): (4, 82),
    ("netqmail", (2, 6), 2): (-1, 0),
    ("stderr", (2,), -1): (2, 82),
    ("stderr", (4, 6), -1): (-1, 0),
    ("indimail", (2,), 2): (2, 88),
    ("indimail", (2, 7), 7): (7, 88),
    ("indimail", (2,), 7): (-1, 0),
    ("indimail", (2, 4, 6), -1): (-1, 0),
    ("auto", (6,), -1): (6, 82),
    ("auto", (4,), -1): (4, 82),
    ("auto", (4, 6), -1): (6, 82),
    ("auto", (2,), 2): (-1, 0),
    ("auto", (), -1): (-1, 0),
    ("nonsense", (2, 4, 6), 2): (-1, 0),
}


@pytest.mark.parametrize(("dialect", "pipes", "indimail"), CHANNELS)
def test_the_channel_of_a_dialect(
    dialect: str, pipes: tuple[int, ...], indimail: int
) -> None:
    want = CHANNELS[dialect, pipes, indimail]
    assert reject.channel(dialect, list(pipes), indimail) == want


def test_every_dialect_of_the_settings_is_in_the_table() -> None:
    tried = {dialect for dialect, _, _ in CHANNELS} - {"nonsense"}
    assert tried == set(settings.DIALECTS)


def test_no_dialect_writes_where_no_pipe_was() -> None:
    for dialect in settings.DIALECTS:
        for number in range(-1, 10):
            assert reject.channel(dialect, [], number) == (-1, 0)


def test_the_text_has_status_code_and_id() -> None:
    text = reject.compose(REFUSED, "message refused: infected with X", ID)
    assert text == f"message refused: infected with X (#5.7.1) [{ID}]"
    assert reject.compose(REFUSED, "text", "") == "text (#5.7.1)"
    text = reject.compose(DEFERRED, "", ID)
    assert text == f"{DEFERRED.text} (#4.3.0) [{ID}]"


@pytest.mark.parametrize("row", outcomes.TABLE, ids=lambda row: row.name)
@pytest.mark.parametrize("size", [0, 1, 200, 250, 254, 255, 1000, 100_000])
def test_a_long_text_keeps_status_code_and_id(row: outcomes.Outcome, size: int) -> None:
    text = reject.compose(row, "x" * size, ID)
    assert len(text) <= 254, "notqmail reads 255 bytes with the letter"
    assert text.endswith(f" (#{row.dsn}) [{ID}]")
    assert len(text) == 254 or size < 254


def test_nothing_from_the_mail_leaves_the_line() -> None:
    dice = random.Random(10)
    alphabet = [chr(n) for n in range(256)] + ["\r\n550 5.0.0 forged", "\u2028", "€"]
    for _ in range(2000):
        public = "".join(dice.choices(alphabet, k=dice.randrange(300)))
        text = reject.compose(REFUSED, public, ID)
        assert text.isascii()
        assert text.isprintable()
        assert text.endswith(f"(#5.7.1) [{ID}]")


def pipe() -> tuple[int, int]:
    return os.pipe()


@pytest.mark.parametrize("row", [REFUSED, DEFERRED], ids=["refused", "deferred"])
@pytest.mark.parametrize("code", [82, 88])
def test_the_text_is_written_with_its_letter(row: outcomes.Outcome, code: int) -> None:
    reader, writer = pipe()
    try:
        text = reject.compose(row, "x" * 1000, ID)
        assert reject.tell(row, text, (writer, code)) == code
        raw = os.read(reader, 65536)
    finally:
        os.close(reader)
        os.close(writer)
    assert raw[:1] == row.letter.encode()
    assert raw[1:] == text.encode()
    assert len(raw) == 255


def test_without_a_way_the_plain_code_tells() -> None:
    assert reject.tell(REFUSED, "text", (-1, 0)) == 31
    assert reject.tell(DEFERRED, "text", (-1, 0)) == 71
    reader, writer = pipe()
    try:
        assert reject.tell(REFUSED, "", (writer, 82)) == 31
        os.set_blocking(reader, False)
        with pytest.raises(BlockingIOError):
            os.read(reader, 1)
    finally:
        os.close(reader)
        os.close(writer)


def test_a_full_pipe_is_no_way() -> None:
    reader, writer = pipe()
    try:
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        os.write(writer, b"x" * 4096)
        assert reject.tell(REFUSED, "text", (writer, 82)) == 31
    finally:
        os.close(reader)
        os.close(writer)


def test_a_pipe_that_nobody_reads_is_no_way() -> None:
    reader, writer = pipe()
    os.close(reader)
    try:
        assert reject.tell(REFUSED, "text", (writer, 82)) == 31
    finally:
        os.close(writer)


def test_a_descriptor_that_is_closed_is_no_way() -> None:
    reader, writer = pipe()
    os.close(reader)
    os.close(writer)
    assert reject.tell(REFUSED, "text", (writer, 82)) == 31
