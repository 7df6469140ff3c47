# SPDX-License-Identifier: MIT
"""The grammar of the envelope (qmail-queue(8)), fed whole and in pieces."""

from __future__ import annotations

import random

import pytest

from qscan import envelope
from qscan.fdio import Failure
from qscan.model import Envelope

GOOD = {
    "one recipient": (b"Fa@b\0Tc@d\0\0", b"a@b", [b"c@d"]),
    "two recipients": (b"Fa@b\0Tc@d\0Te@f\0\0", b"a@b", [b"c@d", b"e@f"]),
    "empty sender": (b"F\0Tc@d\0\0", b"", [b"c@d"]),
    "no recipient": (b"Fa@b\0\0", b"a@b", []),
    "double bounce": (b"F#@[]\0Tc@d\0\0", b"#@[]", [b"c@d"]),
    "empty recipient": (b"Fa@b\0T\0\0", b"a@b", [b""]),
    "8-bit": (b"F\xff\xfe@b\0T\x80@d\0\0", b"\xff\xfe@b", [b"\x80@d"]),
    "newlines": (b"Fa\nb@c\0Td\re\0\0", b"a\nb@c", [b"d\re"]),
    "letters as addresses": (b"FF\0TT\0TF\0\0", b"F", [b"T", b"F"]),
}

BAD = {
    "nothing": (b"", "read"),
    "only the terminator": (b"\0", "envelope"),
    "no terminator": (b"Fa@b\0Tc@d\0", "read"),
    "cut in the sender": (b"Fa@", "read"),
    "cut in a recipient": (b"Fa@b\0Tc", "read"),
    "recipient first": (b"Tc@d\0\0", "envelope"),
    "two senders": (b"Fa@b\0Fc@d\0\0", "envelope"),
    "lower case": (b"fa@b\0tc@d\0\0", "envelope"),
    "another letter": (b"Fa@b\0Xc@d\0\0", "envelope"),
    "bytes behind the end": (b"Fa@b\0Tc@d\0\0x", "envelope"),
    "a second envelope": (b"Fa@b\0Tc@d\0\0Fa@b\0Tc@d\0\0", "envelope"),
    "a NUL behind the end": (b"Fa@b\0Tc@d\0\0\0", "envelope"),
}


def parse(raw: bytes, sizes: list[int]) -> Envelope:
    """Feed ``raw`` in pieces of these sizes, the last one repeated."""
    parser = envelope.Parser()
    position = 0
    for size in sizes + [sizes[-1]] * len(raw):
        if position >= len(raw):
            break
        parser.feed(raw[position : position + size])
        position += size
    return parser.finish()


def outcome(raw: bytes, sizes: list[int]) -> str:
    with pytest.raises(Failure) as caught:
        parse(raw, sizes)
    return caught.value.outcome


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("name", GOOD)
def test_a_good_envelope_is_read(name: str, size: int) -> None:
    raw, sender, recipients = GOOD[name]
    found = parse(raw, [size])
    assert found.sender == sender
    assert found.recipients == recipients
    assert found.count == len(recipients)


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_envelope_is_told_by_its_exit_code(name: str, size: int) -> None:
    raw, row = BAD[name]
    assert outcome(raw, [size]) == row


@pytest.mark.parametrize("name", GOOD)
def test_an_envelope_that_is_cut_anywhere_is_never_taken(name: str) -> None:
    raw = GOOD[name][0]
    for cut in range(len(raw)):
        assert outcome(raw[:cut], [1000]) == "read", cut


@pytest.mark.parametrize("name", GOOD)
def test_bytes_behind_the_end_are_never_taken(name: str) -> None:
    raw = GOOD[name][0]
    for junk in (b"\0", b"F", b"Tx@y\0\0", b"junk"):
        for size in (1, 1000):
            assert outcome(raw + junk, [size]) == "envelope", junk


@pytest.mark.parametrize("size", [1, 100, 100_000])
def test_the_limit_of_an_address_is_that_of_qmail_queue(size: int) -> None:
    """qmail-queue.c: an address of 1003 bytes with its NUL does not fit."""
    longest = b"a" * 1002
    found = parse(b"F" + longest + b"\0T" + longest + b"\0\0", [size])
    assert found.sender == longest
    assert found.recipients == [longest]
    assert outcome(b"F" + longest + b"a\0Tx\0\0", [size]) == "address"
    assert outcome(b"Fx\0T" + longest + b"a\0\0", [size]) == "address"


def test_an_endless_address_ends_without_being_kept() -> None:
    parser = envelope.Parser()
    parser.feed(b"Fa")
    with pytest.raises(Failure) as caught:
        parser.feed(b"a" * 4096)
    assert caught.value.outcome == "address"
    assert len(parser.rest) < 5000


def test_all_recipients_are_counted_and_the_first_are_kept() -> None:
    raw = b"Fa@b\0" + b"".join(b"Tr%d@d\0" % n for n in range(100_000)) + b"\0"
    found = parse(raw, [65536])
    assert found.count == 100_000
    assert len(found.recipients) == envelope.KEPT
    assert found.recipients[-1] == b"r%d@d" % (envelope.KEPT - 1)


def test_any_bytes_give_an_envelope_or_a_row_of_the_table() -> None:
    """And the pieces in which they come do not matter."""
    dice = random.Random(1)
    words = [b"F", b"T", b"\0", b"\0\0", b"a", b"a@b", b"\n", b"\xff"]
    for _ in range(3000):
        raw = b"".join(dice.choices(words, k=dice.randrange(12)))
        results = set()
        for sizes in ([1000], [1], [dice.randrange(1, 5) for _ in range(9)]):
            try:
                found = parse(raw, sizes)
                results.add(repr((found.sender, found.recipients, found.count)))
            except Failure as failure:
                results.add(failure.outcome)
        assert len(results) == 1, (raw, results)
        if results <= {"read", "envelope", "address"}:
            continue
        assert raw.startswith(b"F")
        assert raw.endswith(b"\0\0")
