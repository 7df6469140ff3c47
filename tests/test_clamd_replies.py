# SPDX-License-Identifier: MIT
"""What clamd may answer, and what it means; nothing but a complete OK is clean."""

from __future__ import annotations

import random

import pytest

from qscan.model import FAILED, SCANNED, UNSCANNABLE
from qscan.scanners.clamd import Address, Trouble, parse_id, parse_reply

REPLIES: dict[bytes, tuple[str, list[str]]] = {
    b"fd[10]: OK": (SCANNED, []),
    b"stream: OK": (SCANNED, []),
    b"fd[10]: Eicar-Test-Signature FOUND": (SCANNED, ["Eicar-Test-Signature"]),
    b"stream: Win.Test.EICAR_HDB-1 FOUND": (SCANNED, ["Win.Test.EICAR_HDB-1"]),
    b"fd[9]: A.B(c:1) FOUND": (SCANNED, ["A.B(c:1)"]),
    b"fd[9]: Heuristics.Limits.Exceeded.MaxFileSize FOUND": (
        SCANNED,
        ["Heuristics.Limits.Exceeded.MaxFileSize"],
    ),
    b"fd[9]: OK FOUND": (SCANNED, ["OK"]),
    b"fd[9]: \xff\xfe FOUND": (SCANNED, ["\xff\xfe"]),
    b"INSTREAM size limit exceeded. ERROR": (UNSCANNABLE, []),
    b"fd[10]: Can't allocate memory ERROR": (FAILED, []),
    b"No file descriptor received. ERROR": (FAILED, []),
    b"Error processing command. ERROR": (FAILED, []),
    b"fd[10]: Access denied. ERROR": (FAILED, []),
    b"Command read timed out. ERROR": (FAILED, []),
    b"Session timed out. ERROR": (FAILED, []),
    b"UNKNOWN COMMAND": (FAILED, []),
    b"PONG": (FAILED, []),
    b"": (FAILED, []),
    b"OK": (FAILED, []),
    b" OK": (FAILED, []),
    b"fd[10]: O": (FAILED, []),
    b"fd[10]: OK ": (FAILED, []),
    b"fd[10]: OK\n": (FAILED, []),
    b"fd[10]: ok": (FAILED, []),
    b"fd[10]: NOT OK": (FAILED, []),
    b"fd[10]:OK": (FAILED, []),
    b"FOUND": (FAILED, []),
    b" FOUND": (FAILED, []),
    b"fd[10]:  FOUND": (FAILED, []),
    b"fd[10]: FOUND": (FAILED, []),
    b"fd[10]: Eicar FOUN": (FAILED, []),
    b"fd[10]: Eicar FOUND x": (FAILED, []),
    b"fd[10]: Excluded": (FAILED, []),
    b"fd[10]: Empty file": (FAILED, []),
}


@pytest.mark.parametrize("raw", REPLIES)
def test_the_reply_table(raw: bytes) -> None:
    reply = parse_reply(raw)
    assert (reply.status, reply.names) == REPLIES[raw]
    if reply.status != SCANNED:
        assert reply.why


def test_whatever_is_said_it_is_clean_only_with_a_complete_ok() -> None:
    dice = random.Random(7)
    words = b"fd[10]: |stream: |OK|FOUND| FOUND| ERROR|: |:| |Name|\n|\xff|limit".split(
        b"|"
    )
    for _ in range(20000):
        raw = b"".join(dice.choices(words, k=dice.randrange(7)))
        reply = parse_reply(raw)
        assert reply.status in (SCANNED, UNSCANNABLE, FAILED)
        if reply.status == SCANNED and not reply.names:
            assert raw.endswith(b": OK")
        if reply.names:
            assert all(reply.names)
            assert raw.endswith(b" FOUND")


def test_a_reply_that_is_cut_is_a_failure() -> None:
    for raw in (b"fd[10]: OK", b"fd[10]: Eicar FOUND", b"stream: OK"):
        for cut in range(len(raw)):
            assert parse_reply(raw[:cut]).status == FAILED, raw[:cut]


def test_ids_are_numbers() -> None:
    assert parse_id(b"1: fd[10]: OK") == (1, b"fd[10]: OK")
    assert parse_id(b"999999999: x") == (999999999, b"x")
    for raw in (b"", b"1", b"1:", b"1:OK", b": OK", b"-1: OK", b"x: OK", b"1 : OK"):
        with pytest.raises(Trouble):
            parse_id(raw)
    with pytest.raises(Trouble):
        parse_id(b"1" * 5000 + b": OK")
    with pytest.raises(Trouble):
        parse_id("\u00b2: OK".encode())


def test_addresses() -> None:
    import _socket

    one = Address("unix:/run/clamav/clamd.ctl")
    assert (one.family, one.target) == (_socket.AF_UNIX, "/run/clamav/clamd.ctl")
    one = Address("tcp:127.0.0.1:3310")
    assert (one.family, one.target) == (_socket.AF_INET, ("127.0.0.1", 3310))
    one = Address("tcp:[::1]:3310")
    assert (one.family, one.target) == (_socket.AF_INET6, ("::1", 3310))
