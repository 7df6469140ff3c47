# SPDX-License-Identifier: MIT
"""The doubles themselves: a stand-in that overlooks something proves nothing."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import fake_clamd
import notqmail
import pytest
from fake_clamd import FakeClamd
from harness import (
    CLAM_NAME,
    EICAR,
    EICAR_NAME,
    TEST_FILES,
    QueueStandIn,
    RealClamd,
    plain,
    short_directory,
)


@pytest.fixture
def queue() -> Iterator[QueueStandIn]:
    root = short_directory()
    yield QueueStandIn(root / "qmail-queue")
    shutil.rmtree(root)


def direct(queue: QueueStandIn, **arguments: object) -> notqmail.Result:
    arguments.setdefault("dialect", "plain")
    return notqmail.call(queue.path, plain(), **arguments)  # type: ignore[arg-type]


def test_the_queue_keeps_message_and_envelope_byte_for_byte(
    queue: QueueStandIn,
) -> None:
    result = direct(queue, sender=b"", recipients=[b"a@example.net", b"\xe4@b"])
    assert (result.exit_code, result.reply, result.smtp) == (0, "", "250 ok")
    (delivery,) = queue.deliveries()
    assert delivery.message == plain()
    assert delivery.envelope == b"F\0Ta@example.net\0T\xe4@b\0\0"
    assert queue.starts == 1


@pytest.mark.parametrize(
    ("envelope", "code"),
    [
        (b"", 54),
        (b"Fa@b\0Tc@d\0", 54),
        (b"Fa@b\0Tc@d", 54),
        (b"Ta@b\0\0", 91),
        (b"Fa@b\0Xc@d\0\0", 91),
        (b"Fa@b\0Tc@d\0\0", 0),
        (b"F\0\0", 0),
        (b"F" + b"a" * 1002 + b"\0T" + b"b" * 1002 + b"\0\0", 0),
        (b"F" + b"a" * 1003 + b"\0Tb\0\0", 11),
        (b"Fa\0T" + b"b" * 1003 + b"\0\0", 11),
    ],
)
def test_the_queue_holds_the_grammar(
    queue: QueueStandIn, envelope: bytes, code: int
) -> None:
    assert direct(queue, raw_envelope=envelope).exit_code == code
    assert len(queue.deliveries()) == (code == 0)
    assert not queue.lines("faults")


def test_the_queue_reports_bytes_after_the_envelope(queue: QueueStandIn) -> None:
    assert direct(queue, raw_envelope=b"Fa\0Tb\0\0Tc\0").exit_code == 98
    assert queue.lines("faults") == ["3 bytes after the envelope"]


def test_the_queue_reports_a_descriptor_that_nobody_gave_it(
    queue: QueueStandIn,
) -> None:
    with open("/dev/null", "rb") as file:
        assert direct(queue, open_fds={7: file.fileno()}).exit_code == 98
    assert queue.lines("faults") == ["descriptor 7 is open: /dev/null"]


def test_the_queue_reports_blocked_signals_and_running_timers(
    queue: QueueStandIn,
) -> None:
    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        signal.setitimer(signal.ITIMER_REAL, 1000)

    assert direct(queue, prepare=prepare).exit_code == 98
    assert [line.split(":")[0] for line in queue.lines("faults")] == [
        "signals are blocked",
        "a timer is running",
    ]


def test_the_queue_reads_from_the_current_offset(queue: QueueStandIn) -> None:
    with open(queue.path.with_name("spooled"), "w+b") as file:
        file.write(b"room" + plain())
        file.flush()
        os.lseek(file.fileno(), 4, os.SEEK_SET)
        assert direct(queue, open_fds={0: file.fileno()}).exit_code == 0
    assert queue.deliveries()[0].message == plain()


@pytest.mark.parametrize(
    ("behaviour", "code", "number", "reply"),
    [
        ({"early": 53}, 53, None, "Zqq write error or disk full (#4.3.0)"),
        ({"exit": 33}, 33, None, "Dqq permanent problem (#5.3.0)"),
        ({"exit": 31}, 31, None, "Dmail server permanently rejected message (#5.3.0)"),
        ({"exit": 99}, 99, None, "Zqq temporary problem (#4.3.0)"),
        ({"signal": 9}, None, 9, "Zqq crashed (#4.3.0)"),
        ({"signal": 15}, None, 15, "Zqq crashed (#4.3.0)"),
    ],
)
def test_the_caller_says_what_qmail_says(
    queue: QueueStandIn,
    behaviour: dict[str, int],
    code: int | None,
    number: int | None,
    reply: str,
) -> None:
    queue.behave(**behaviour)
    result = direct(queue)
    assert (result.exit_code, result.signal, result.reply) == (code, number, reply)
    assert not queue.deliveries()


def script(text: str) -> str:
    return f"#!/bin/sh\n{text}\n"


@pytest.mark.parametrize(
    ("dialect", "env", "commands", "reply"),
    [
        ("notqmail", {}, "printf Dno >&6; exit 82", "Dno"),
        ("notqmail", {}, "printf D >&6; exit 82", "Zqq temporary problem (#4.3.0)"),
        ("notqmail", {}, "printf Dno >&4; exit 82", "Zqq temporary problem (#4.3.0)"),
        ("notqmail", {}, "printf Dno >&6; exit 88", "Zqq temporary problem (#4.3.0)"),
        ("netqmail", {}, "printf Zlater >&4; exit 82", "Zlater"),
        ("stderr", {}, "printf Dno >&2; exit 82", "Dno"),
        ("indimail", {}, "printf Dno >&2; exit 88", "Dno"),
        ("indimail", {"ERROR_FD": "9"}, "printf Dno >&9; exit 88", "Dno"),
        (
            "indimail",
            {"ERROR_FD": "-1"},
            "printf Dno >&2; exit 88",
            "Zqq temporary problem (#4.3.0)",
        ),
        ("plain", {}, "exit 82", "Zqq temporary problem (#4.3.0)"),
    ],
)
def test_the_caller_reads_the_reject_text_of_each_dialect(
    queue: QueueStandIn, dialect: str, env: dict[str, str], commands: str, reply: str
) -> None:
    queue.path.write_text(script(f"PATH=/bin:/usr/bin; cat >/dev/null; {commands}"))
    result = direct(queue, dialect=dialect, env=env)
    assert result.reply == reply


def test_the_caller_keeps_255_bytes_of_reject_text(queue: QueueStandIn) -> None:
    queue.path.write_text(script("printf 'D%0400d' 7 >&6; exit 82"))
    result = direct(queue, dialect="notqmail")
    assert len(result.raw_text) == 401
    assert result.reply == "D" + "0" * 254


def test_a_program_that_does_not_read_is_seen_as_a_read_error(
    queue: QueueStandIn,
) -> None:
    queue.path.write_text(script("exit 0"))
    result = notqmail.call(queue.path, bytes(10_000_000), dialect="plain")
    assert result.write_errors[0] == "message EPIPE"
    assert result.reply == "Zqq read error (#4.3.0)"


def test_a_program_that_cannot_be_run_is_120(queue: QueueStandIn) -> None:
    queue.path.chmod(0o644)
    assert direct(queue).reply == "Zunable to exec qq (#4.3.0)"
    assert direct(queue, cwd="/nonexistent").exit_code == 61


def test_a_program_that_hangs_is_killed(queue: QueueStandIn) -> None:
    queue.behave(hang="before")
    with pytest.raises(notqmail.CallerTimeout):
        direct(queue, timeout=0.5)


def ask(address: str, *requests: bytes) -> bytes:
    """Raw bytes to a server; everything that it says until it closes."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(20)
        link.connect(address.removeprefix("unix:"))
        with tempfile.TemporaryFile() as file:
            for request in requests:
                if request == b"FD":
                    socket.send_fds(link, [b"x"], [file.fileno()])
                else:
                    link.sendall(request)
            answer = b""
            while data := link.recv(4096):
                answer += data
    return answer


SESSION = (b"zIDSESSION\0zVERSION\0zFILDES\0", b"FD", b"zFILDES\0", b"FD", b"zEND\0")


def test_the_fake_clamd_speaks_as_the_real_one(
    clamd: RealClamd, fakes: Callable[..., FakeClamd]
) -> None:
    fake = fakes()
    real_answer = sorted(ask(clamd.address, *SESSION).split(b"\0"))
    fake_answer = sorted(ask(fake.address, *SESSION).split(b"\0"))
    assert len(real_answer) == len(fake_answer) == 4
    for real, made_up in zip(real_answer, fake_answer, strict=True):
        assert real.split(b" ")[0] == made_up.split(b" ")[0]
        assert (b"ClamAV" in real) == (b"ClamAV" in made_up)
        assert real.endswith(b"OK") == made_up.endswith(b"OK")
    assert fake.accepted == 1
    assert fake.files == [b"", b""]


def test_the_fake_clamd_answers_backwards(fakes: Callable[..., FakeClamd]) -> None:
    fake = fakes(fake_clamd.backwards)
    answers = ask(fake.address, *SESSION).split(b"\0")[:-1]
    assert [int(answer.split(b":")[0]) for answer in answers] == [3, 2, 1]


def test_the_fake_clamd_reports_a_client_that_breaks_the_protocol(
    fakes: Callable[..., FakeClamd],
) -> None:
    fake = fakes()
    ask(fake.address, b"zIDSESSION\0zFILDES\0x")
    assert str(fake.errors.pop()) == "FILDES without a descriptor"


@pytest.mark.parametrize(
    ("content", "beginning"),
    [
        (EICAR, EICAR_NAME),
        (TEST_FILES / "clam.exe", CLAM_NAME),
        (TEST_FILES / "clam.zip", CLAM_NAME),
        (TEST_FILES / "clam.cab", CLAM_NAME),
        (TEST_FILES / "clam.mail", CLAM_NAME),
        (plain(), "OK"),
    ],
)
def test_the_real_clamd_finds_what_the_tests_send(
    clamd: RealClamd, content: bytes | Path, beginning: str
) -> None:
    data = content if isinstance(content, bytes) else content.read_bytes()
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(20)
        link.connect(str(clamd.socket))
        link.sendall(b"zINSTREAM\0" + struct.pack(">I", len(data)) + data + bytes(4))
        answer = link.recv(4096).decode()
    assert answer.startswith(f"stream: {beginning}"), answer
    assert answer.endswith(" FOUND\0" if beginning != "OK" else "OK\0")
