# SPDX-License-Identifier: MIT
"""The contract of qmail-queue(8), asserted through the real process.

Every exit code, every reject dialect, what is delivered byte for byte, what is left
as the caller had it, and what a signal does. No mocks: the launcher that an installer
writes, notqmail's side, a strict qmail-queue, clamd.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import berkeleydb
import fake_clamd
import notqmail
import pytest
from fake_clamd import FakeClamd
from harness import (
    EICAR_NAME,
    Installation,
    RealClamd,
    added_lines,
    infected,
    log_fields,
    multipart,
    plain,
    wait_for,
)

Faked = Callable[..., tuple[Installation, FakeClamd]]

#: A user id that owns nothing, like qmaild.
UID = 64010

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes the user id")


def nothing_queued(installation: Installation) -> None:
    assert not installation.deliveries()
    assert not installation.entries()


def log_lines(result: notqmail.Result) -> list[str]:
    lines = result.stderr.decode("ascii").split("\n")
    assert lines.pop() == "", "the last line is not complete"
    assert all(log_fields(line) for line in lines), lines
    return lines


# What is delivered.

BODIES = {
    "text": plain(),
    "header only": b"Subject: x\n\n",
    "header without end": b"Subject: x\n",
    "header without newline": b"Subject: x",
    "no header": b"\nbody\n",
    "no header field": b"this is no header\n",
    "empty": b"",
    "one newline": b"\n",
    "bare LF and CRLF": b"Subject: x\r\nTo: y\n\nbody\r\nbody\n",
    "bare CR": b"Subject: x\n\nbody\rbody\r",
    "NUL": b"Subject: x\n\nbo\0dy\0\0\n",
    "8-bit": bytes(range(128, 256)).join((b"Subject: x ", b"\n\n" + bytes(range(256)))),
    "no final newline": b"Subject: x\n\nbody",
    "mbox line on top": b"From someone Mon Jan  1 00:00:00 2024\n" + plain(),
    "mbox lines": plain(body=b"From me\n\nFrom you\n>From them\n"),
    "dots": plain(body=b".\n..\n.\n"),
    "X-Qscan of a stranger": b"X-Qscan: clean, I swear\n" + plain(),
    "long line": plain(body=b"x" * 1_000_000),
    "attachment": multipart((b"image/png", b"a.png", bytes(range(256)) * 40)),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_clean_message_is_delivered_byte_for_byte(
    installation: Installation, name: str
) -> None:
    result = installation.call(BODIES[name])
    assert (result.exit_code, result.reply, result.write_errors) == (0, "", [])
    (delivery,) = installation.deliveries()
    lines = added_lines(delivery.message, BODIES[name])
    assert lines
    assert lines[0].startswith(b"X-Qscan: ")
    assert delivery.envelope == b"Fsender@example.org\0Trcpt@example.net\0\0"
    assert installation.queue.starts == 1


def test_without_header_nothing_at_all_is_added(installation: Installation) -> None:
    installation.configure({"header.qscan": False})
    assert installation.call(plain()).queued
    assert installation.deliveries()[0].message == plain()


def test_virus_scanned_headers_come_on_request(installation: Installation) -> None:
    installation.configure({"header.qscan": False, "header.virus_scanned": True})
    assert installation.call(plain()).queued
    lines = added_lines(installation.deliveries()[0].message, plain())
    assert [line.split(b":")[0] for line in lines if line[:1] == b"X"] == [
        b"X-Virus-Scanned",
        b"X-Virus-Status",
    ]


def test_a_large_message_is_delivered_byte_for_byte(installation: Installation) -> None:
    # Not periodic, so that a window copied twice or to the wrong place shows.
    content = b"".join(b"%07d\n" % number for number in range(1_900_000))
    message = multipart((b"application/octet-stream", b"big", content))
    assert len(message) > 20_000_000
    result = installation.call(message)
    assert (result.exit_code, result.write_errors) == (0, [])
    added_lines(installation.deliveries()[0].message, message)


@pytest.mark.parametrize("slow", [False, True])
def test_slow_writers_make_no_difference(
    installation: Installation, slow: bool
) -> None:
    recipients = [b"user%d@example.net" % number for number in range(500)]
    result = installation.call(plain(), recipients=recipients, slow=slow)
    assert result.queued
    (delivery,) = installation.deliveries()
    added_lines(delivery.message, plain())
    assert delivery.envelope == notqmail.envelope(b"sender@example.org", recipients)


ENVELOPES = {
    "null sender": b"F\0Ta@example.net\0\0",
    "no recipients": b"Fa@example.org\0\0",
    "nobody to nobody": b"F\0\0",
    "8-bit": b"Fgr\xfc\xdfe@example.org\0T\xff\x80\x01@example.net\0\0",
    "control characters": b'Fa\nb\r\x7f@c\0T"x y"@z\0T<>\0\0',
    "empty recipient": b"Fa\0T\0\0",
    "verp": b"Flist-@example.org-@[]\0Ta@b\0\0",
    "longest addresses": b"F" + b"s" * 1002 + b"\0T" + b"r" * 1002 + b"\0\0",
    "same recipient twice": b"Fa\0Tb\0Tb\0\0",
    "letters": b"FF\0TT\0TF\0\0",
}


@pytest.mark.parametrize("name", ENVELOPES)
def test_the_envelope_is_handed_on_byte_for_byte(
    installation: Installation, name: str
) -> None:
    result = installation.call(plain(), raw_envelope=ENVELOPES[name])
    assert (result.exit_code, result.write_errors) == (0, [])
    assert installation.deliveries()[0].envelope == ENVELOPES[name]


def test_100000_recipients_are_handed_on(installation: Installation) -> None:
    recipients = [b"user%06d@example.net" % number for number in range(100_000)]
    result = installation.call(plain(), recipients=recipients)
    assert (result.exit_code, result.write_errors) == (0, [])
    envelope = notqmail.envelope(b"sender@example.org", recipients)
    assert installation.deliveries()[0].envelope == envelope
    assert "rcpts=100000 " in log_lines(result)[0]


def test_an_envelope_split_anywhere_is_the_same(installation: Installation) -> None:
    whole = b"Fa@b\0Tc@d\0Te@f\0\0"
    result = installation.call(
        plain(),
        raw_envelope=(whole[at : at + 1] for at in range(len(whole))),
        slow=True,
    )
    assert result.queued
    assert installation.deliveries()[0].envelope == whole


# What the queue inherits.


def test_the_queue_inherits_what_the_caller_had(installation: Installation) -> None:
    env = {
        "TCPREMOTEIP": "192.0.2.7",
        "RELAYCLIENT": "",
        "QMAILQUEUE": str(installation.program),
        "LANG": "de_DE.ISO-8859-1",
        "LC_ALL": "C",
        "PYTHONPATH": "/nonexistent",
        "A b": "odd=odder",
        "BYTES": os.fsdecode(b"\xff\x80"),
    }

    def prepare() -> None:
        os.umask(0o027)
        os.nice(1)
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
        resource.setrlimit(resource.RLIMIT_CPU, (1000, 2000))
        resource.setrlimit(resource.RLIMIT_DATA, (900_000_000, 900_000_000))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.setpgid(0, 0)

    result = installation.call(plain(), env=env, prepare=prepare)
    assert result.queued
    state = installation.deliveries()[0].state
    assert state["environment"] == [
        os.fsencode(f"{name}={value}") for name, value in env.items()
    ]
    assert state["umask"] == 0o027
    assert state["cwd"] == str(installation.home)
    assert state["nice"] == os.nice(0) + 1
    assert state["pid"] == result.pid
    assert state["ppid"] == os.getpid()
    assert state["session"] == (os.getsid(0), result.pid)
    assert state["argv"] == [str(installation.queue.path)]
    limits = str(state["limits"])
    for name, soft, hard in (
        ("Max open files", "100", "200"),
        ("Max cpu time", "1000", "2000"),
        ("Max data size", "900000000", "900000000"),
        ("Max core file size", "0", "0"),
    ):
        assert re.search(rf"^{name} +{soft} +{hard} ", limits, re.MULTILINE), (
            name,
            limits,
        )


def signal_state(installation: Installation, **arguments: object) -> dict[str, int]:
    """The signal masks that the program named by qmail_queue is started with.

    Seen by a shell, because an interpreter changes SIGPIPE before it could look.
    """
    seen = installation.root / "signals"
    looker = installation.root / "looker"
    looker.write_text(
        "#!/bin/sh\n"
        f'while read -r line; do echo "$line"; done </proc/$$/status >{seen}\n'
        f"exec {installation.queue.path}\n"
    )
    looker.chmod(0o755)
    installation.configure({"qmail_queue": str(looker)})
    assert installation.call(plain(), **arguments).queued
    found = re.findall(r"^Sig(Blk|Ign):\s+(\w+)$", seen.read_text(), re.MULTILINE)
    # 32 and 33 are the C library's own; posix_spawn(3) leaves them ignored.
    own = bit(32) | bit(33)
    return {name: int(mask, 16) & ~own for name, mask in found}


def bit(number: int) -> int:
    return 1 << (number - 1)


def test_the_queue_finds_all_signals_at_their_defaults(
    installation: Installation,
) -> None:
    state = signal_state(installation)
    assert state == {"Blk": 0, "Ign": 0}


def test_signals_that_the_caller_ignores_stay_ignored(
    installation: Installation,
) -> None:
    ignored = (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1)

    def prepare() -> None:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)

    state = signal_state(installation, prepare=prepare)
    assert state["Ign"] == sum(bit(number) for number in ignored)


def test_a_timer_of_the_caller_goes_on(installation: Installation) -> None:
    installation.queue.behave(timer=1)

    def prepare() -> None:
        signal.setitimer(signal.ITIMER_REAL, 1000.0)

    assert installation.call(plain(), prepare=prepare).queued
    timers = installation.deliveries()[0].state["timers"]
    assert isinstance(timers, list)
    assert 900 < timers[0][0] < 1000
    assert timers[1:] == [(0.0, 0.0), (0.0, 0.0)]


@pytest.mark.parametrize("dialect", ["plain", "notqmail", "netqmail"])
def test_the_queue_has_no_descriptor_that_the_caller_did_not_give(
    installation: Installation, dialect: str
) -> None:
    installation.configure({"reject.dialect": dialect})
    assert installation.call(infected()).exit_code in (31, 82)
    assert installation.call(plain()).queued
    opened = installation.deliveries()[0].state["fds"]
    assert isinstance(opened, dict)
    reject = notqmail.reject_descriptor(dialect, {})
    assert set(opened) - {reject} == {0, 1, 2}


@pytest.mark.parametrize("closed", [(2,), (0,), (1,), (0, 1), (0, 2), (0, 1, 2)])
def test_closed_descriptors_are_never_taken_for_our_own_files(
    installation: Installation, closed: tuple[int, ...]
) -> None:
    result = installation.call(plain(), close_fds=closed)
    if closed == (2,):
        assert result.queued
        added_lines(installation.deliveries()[0].message, plain())
        return
    assert result.exit_code == 54
    nothing_queued(installation)
    if 2 not in closed:
        assert len(log_lines(result)) == 1


# Exit codes.


def test_0_means_queued(installation: Installation) -> None:
    result = installation.call(plain())
    assert (result.exit_code, result.smtp) == (0, "250 ok")
    (line,) = log_lines(result)
    for field in ("verdict=clean", "action=deliver", "exit=0", "rcpts=1", "size="):
        assert f" {field}" in line


@pytest.mark.parametrize(
    "envelope",
    [
        b"F" + b"s" * 1003 + b"\0Ta\0\0",
        b"Fs\0T" + b"a" * 1003 + b"\0\0",
        b"Fs\0Tgood\0T" + b"a" * 5_000_000 + b"\0\0",
        b"F" + b"s" * 2000,
    ],
)
def test_11_an_address_is_too_long(installation: Installation, envelope: bytes) -> None:
    result = installation.call(plain(), raw_envelope=envelope)
    assert (result.exit_code, result.write_errors) == (11, [])
    assert result.reply == "Denvelope address too long for qq (#5.1.3)"
    nothing_queued(installation)
    assert " exit=11" in log_lines(result)[0]


def test_31_a_virus_is_refused(installation: Installation) -> None:
    installation.configure({"reject.dialect": "plain"})
    result = installation.call(infected())
    assert (result.exit_code, result.write_errors) == (31, [])
    assert result.smtp == "554 mail server permanently rejected message (#5.3.0)"
    nothing_queued(installation)
    assert not installation.queue.starts
    (line,) = log_lines(result)
    assert EICAR_NAME in line
    for field in ("verdict=infected", "action=reject", "exit=31"):
        assert f" {field}" in line


def test_51_memory_runs_out(installation: Installation) -> None:
    message = multipart((b"application/octet-stream", b"x", b"x" * 3_000_000))
    codes = set()
    # Where exactly it runs out depends on the interpreter: go down until it cannot
    # even start. Nothing but 51 may happen where our own code runs.
    for size in range(40, 4, -1):

        def prepare(limit: int = size << 20) -> None:
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

        result = installation.call(message, prepare=prepare)
        assert result.queued or result.temporary, result
        codes.add(result.exit_code)
        assert len(installation.deliveries()) == (result.exit_code == 0)
        installation.queue.forget()
        assert not installation.entries()
        if codes >= {51} and result.exit_code not in (0, 51):
            break
    assert 51 in codes, codes


def test_52_the_deadline_passes(faked: Faked) -> None:
    installation, server = faked(fake_clamd.silent)
    installation.force({"limit.deadline_seconds": 1})
    result = installation.call(plain())
    assert (result.exit_code, result.write_errors) == (52, [])
    assert result.reply == "Zqq timeout (#4.3.0)"
    nothing_queued(installation)
    assert server.accepted
    assert " exit=52" in log_lines(result)[0]


def test_52_the_client_takes_too_long_to_send(installation: Installation) -> None:
    installation.force({"limit.receive_seconds": 1})
    ended = threading.Event()

    def forever() -> Iterator[bytes]:
        yield b"Subject: x\n"
        while not ended.wait(0.05):
            yield b"x"

    def started(pid: int) -> None:
        descriptor = os.pidfd_open(pid)

        def watch() -> None:
            import select

            poller = select.poll()
            poller.register(descriptor, select.POLLIN)
            poller.poll(60_000)
            os.close(descriptor)
            ended.set()

        threading.Thread(target=watch, daemon=True).start()

    result = installation.call(forever(), started=started)
    assert result.exit_code == 52
    nothing_queued(installation)


def test_53_a_file_size_limit(installation: Installation) -> None:
    def prepare() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    message = plain(body=b"x" * 200_000)
    result = installation.call(message, prepare=prepare)
    assert (result.exit_code, result.write_errors) == (53, [])
    assert result.reply == "Zqq write error or disk full (#4.3.0)"
    nothing_queued(installation)
    assert " exit=53" in log_lines(result)[0]


@pytest.mark.parametrize("what", ["absent", "a file"])
def test_53_the_spool_is_not_there(installation: Installation, what: str) -> None:
    installation.work.rmdir()
    if what == "a file":
        installation.work.write_text("x")
    try:
        result = installation.call(plain())
        assert (result.exit_code, result.write_errors) == (53, [])
        assert not installation.deliveries()
        assert str(installation.spool) in log_lines(result)[0]
    finally:
        installation.work.unlink(missing_ok=True)
        installation.work.mkdir()


@needs_root
@pytest.mark.usefixtures("interpreter_for_all")
def test_53_the_spool_belongs_to_somebody_else(installation: Installation) -> None:
    result = installation.call(plain(), prepare=as_user)
    assert (result.exit_code, result.write_errors) == (53, [])
    nothing_queued(installation)


def as_user() -> None:
    """Be as qmaild is under tcpserver: no supplementary groups."""
    os.setgroups([])
    os.setgid(UID)
    os.setuid(UID)


@needs_root
@pytest.mark.usefixtures("interpreter_for_all")
def test_an_ordinary_user_is_served(installation: Installation) -> None:
    installation.chown(UID, UID)
    assert installation.call(plain(), prepare=as_user).queued
    assert installation.call(infected(), prepare=as_user).exit_code == 82
    (delivery,) = installation.deliveries()
    assert delivery.state["ids"] == (UID, UID, UID, UID)
    assert delivery.state["groups"] == []


def test_54_the_envelope_ends_too_soon(installation: Installation) -> None:
    for envelope in (b"", b"F", b"Fa", b"Fa\0", b"Fa\0T", b"Fa\0Tb", b"Fa\0Tb\0"):
        result = installation.call(plain(), raw_envelope=envelope)
        assert (result.exit_code, result.write_errors) == (54, []), envelope
        assert result.reply == "Zqq read error (#4.3.0)"
        assert " exit=54" in log_lines(result)[0]
    nothing_queued(installation)
    assert not installation.queue.starts


@pytest.mark.parametrize("number", [0, 1])
def test_54_a_descriptor_cannot_be_read(
    installation: Installation, number: int
) -> None:
    reader, writer = os.pipe()
    # At offset 0 there is no memory: the read fails with EIO.
    broken = os.open("/proc/self/mem", os.O_RDONLY)
    try:
        for bad in (writer, broken):
            result = installation.call(plain(), open_fds={number: bad})
            assert result.exit_code == 54, os.readlink(f"/proc/self/fd/{bad}")
        nothing_queued(installation)
    finally:
        for descriptor in (reader, writer, broken):
            os.close(descriptor)


def damaged(path: Path, how: str) -> None:
    """Make the compiled settings unusable."""
    if how == "absent":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text('qmail_queue = "x"\n' * 1000)
    elif how == "zeros":
        path.write_bytes(bytes(path.stat().st_size))
    elif how == "cut":
        os.truncate(path, 5000)
    elif how == "folder":
        path.unlink()
        path.mkdir()
    elif how == "damaged":
        data = bytearray(path.read_bytes())
        for at in range(4096, len(data), 64):
            data[at] ^= 0xFF
        path.write_bytes(data)
    else:
        table = berkeleydb.db.DB()
        table.open(str(path))
        if how == "older":
            table[b"format"] = b"0"
        elif how == "newer":
            table[b"format"] = b"99"
        elif how == "no format":
            del table[b"format"]
        elif how == "no settings":
            del table[b"settings"]
        elif how == "no marshal":
            table[b"settings"] = b"\xff\xff"
        table.close()


DAMAGES = (
    "absent",
    "empty",
    "text",
    "zeros",
    "cut",
    "folder",
    "damaged",
    "older",
    "newer",
    "no format",
    "no settings",
    "no marshal",
)


@pytest.mark.parametrize("how", DAMAGES)
def test_55_the_settings_cannot_be_used(installation: Installation, how: str) -> None:
    damaged(installation.database, how)
    result = installation.call(plain())
    assert (result.exit_code, result.write_errors) == (55, [])
    assert result.reply == "Zqq unable to read configuration (#4.3.0)"
    nothing_queued(installation)
    (line,) = log_lines(result)
    assert " exit=55" in line
    assert str(installation.database) in line


@needs_root
@pytest.mark.usefixtures("interpreter_for_all")
def test_55_each_trouble_with_the_settings_has_its_own_line(
    installation: Installation,
) -> None:
    saved = installation.database.read_bytes()
    lines = {}
    for how in ("absent", "text", "older"):
        damaged(installation.database, how)
        (lines[how],) = log_lines(installation.call(plain()))
        installation.database.write_bytes(saved)
    installation.database.chmod(0o600)
    result = installation.call(plain(), prepare=as_user)
    assert result.exit_code == 55
    (lines["unreadable"],) = log_lines(result)
    reasons = {re.sub(r" (id|ms|pid|time)=\S*", "", line) for line in lines.values()}
    assert len(reasons) == 4, reasons
    nothing_queued(installation)


def test_changed_settings_text_is_a_warning_and_no_more(
    installation: Installation,
) -> None:
    assert len(log_lines(installation.call(plain()))) == 1
    with installation.toml.open("a") as text:
        text.write("# not compiled yet\n")
    result = installation.call(plain())
    assert result.queued
    warnings = [line for line in log_lines(result) if str(installation.toml) in line]
    assert len(warnings) == 1


def test_71_clamd_is_not_there(
    make_installation: Callable[[str], Installation],
) -> None:
    installation = make_installation("unix:/nonexistent/clamd")
    installation.configure({"clamd.retry_seconds": 0, "reject.dialect": "plain"})
    result = installation.call(plain())
    assert (result.exit_code, result.write_errors) == (71, [])
    assert result.smtp == "451 mail server temporarily rejected message (#4.3.0)"
    nothing_queued(installation)
    (line,) = log_lines(result)
    for field in ("verdict=deferred", "action=defer", "exit=71"):
        assert f" {field}" in line


@pytest.mark.parametrize(
    "settings",
    [
        {"limit.depth": "deep"},
        {"clamd.address": "tcp:127.0.0.1:port"},
        {"action.virus": "explode"},
    ],
)
def test_81_a_bug_is_told_with_file_and_line_and_queues_nothing(
    installation: Installation, settings: dict[str, object]
) -> None:
    installation.force(settings)
    result = installation.call(infected())
    assert (result.exit_code, result.write_errors) == (81, [])
    assert result.reply == "Zqq internal bug (#4.3.0)"
    nothing_queued(installation)
    (line,) = log_lines(result)
    assert " exit=81" in line
    assert re.search(r"\w+\.py:\d+", line), line


@pytest.mark.parametrize(
    "envelope",
    [
        b"\0",
        b"Tb\0Fa\0\0",
        b"fa\0Tb\0\0",
        b"Fa\0tb\0\0",
        b"Fa\0Tb\0Fc\0\0",
        b"Fa\0\0Tb\0\0",
        b"Fa\0Tb\0\0\0",
        b"Fa\0Tb\0\0x",
        b"random bytes\xff" * 100,
    ],
)
def test_91_the_envelope_is_wrong(installation: Installation, envelope: bytes) -> None:
    result = installation.call(plain(), raw_envelope=envelope)
    assert (result.exit_code, result.write_errors) == (91, [])
    nothing_queued(installation)
    assert not installation.queue.starts
    assert " exit=91" in log_lines(result)[0]


@pytest.mark.parametrize("how", ["missing", "not executable", "folder", "no format"])
def test_120_the_queue_cannot_be_run(installation: Installation, how: str) -> None:
    path = installation.queue.path
    if how == "not executable":
        path.chmod(0o644)
    else:
        path.unlink()
    if how == "folder":
        path.mkdir()
    elif how == "no format":
        path.write_bytes(bytes(100))
        path.chmod(0o755)
    result = installation.call(plain())
    assert (result.exit_code, result.write_errors) == (120, [])
    assert result.reply == "Zunable to exec qq (#4.3.0)"
    nothing_queued(installation)
    assert any(" exit=120" in line for line in log_lines(result))


# Reject dialects.


def decent(text: bytes, letter: bytes) -> None:
    """A text that may go into an SMTP reply as it is."""
    assert text[:1] == letter
    assert 10 < len(text) <= 255
    assert re.fullmatch(rb"[ -~]+", text), text


DIALECTS = [
    ("notqmail", {}, 82),
    ("netqmail", {}, 82),
    ("stderr", {}, 82),
    ("indimail", {}, 88),
    ("indimail", {"ERROR_FD": "2"}, 88),
    ("indimail", {"ERROR_FD": "7"}, 88),
]


@pytest.mark.parametrize(("dialect", "env", "code"), DIALECTS)
def test_each_dialect_tells_the_virus_and_nothing_else(
    installation: Installation, dialect: str, env: dict[str, str], code: int
) -> None:
    installation.configure({"reject.dialect": dialect})
    result = installation.call(infected(), env=env)
    assert (result.exit_code, result.write_errors) == (code, [])
    decent(result.raw_text, b"D")
    assert EICAR_NAME.encode() in result.raw_text
    assert result.smtp.startswith("554 ")
    nothing_queued(installation)


@pytest.mark.parametrize(("dialect", "env", "code"), DIALECTS)
def test_each_dialect_tells_that_it_is_temporary(
    make_installation: Callable[[str], Installation],
    dialect: str,
    env: dict[str, str],
    code: int,
) -> None:
    installation = make_installation("unix:/nonexistent/clamd")
    installation.configure({"reject.dialect": dialect, "clamd.retry_seconds": 0})
    result = installation.call(plain(), env=env)
    assert (result.exit_code, result.write_errors) == (code, [])
    decent(result.raw_text, b"Z")
    assert b"nonexistent" not in result.raw_text, "the client learns our paths"
    assert result.smtp.startswith("451 ")
    nothing_queued(installation)


@pytest.mark.parametrize(("dialect", "env", "code"), DIALECTS)
def test_each_dialect_says_nothing_about_clean_mail(
    installation: Installation, dialect: str, env: dict[str, str], code: int
) -> None:
    installation.configure({"reject.dialect": dialect})
    result = installation.call(plain(), env=env)
    assert result.queued
    if notqmail.reject_descriptor(dialect, env) != 2:
        assert result.raw_text == b""


def test_indimail_without_error_descriptor_gets_plain_codes(
    installation: Installation,
) -> None:
    installation.configure({"reject.dialect": "indimail"})
    result = installation.call(infected(), env={"ERROR_FD": "-1"})
    assert (result.exit_code, result.raw_text) == (31, b"")
    assert result.smtp.startswith("554 ")


@pytest.mark.parametrize("value", ["", "x", "99", "0", "1", "3", "5", "-7", "9" * 30])
def test_indimail_with_a_bad_error_descriptor_still_refuses_for_good(
    installation: Installation, value: str
) -> None:
    installation.configure({"reject.dialect": "indimail"})
    result = installation.call(infected(), dialect="plain", env={"ERROR_FD": value})
    assert result.exit_code == 31
    nothing_queued(installation)


@pytest.mark.parametrize(
    ("caller", "code"), [("notqmail", 82), ("netqmail", 82), ("plain", 31)]
)
def test_auto_takes_the_pipe_that_is_there(
    installation: Installation, caller: str, code: int
) -> None:
    installation.configure({"reject.dialect": "auto"})
    result = installation.call(infected(), dialect=caller)
    assert result.exit_code == code
    assert result.smtp.startswith("554 ")
    if code == 82:
        decent(result.raw_text, b"D")
    else:
        assert result.raw_text == b""


@pytest.mark.parametrize("what", ["file", "reader", "socket", "reader gone"])
@pytest.mark.parametrize("number", [4, 6])
@pytest.mark.parametrize("dialect", ["auto", "notqmail", "netqmail"])
def test_what_is_no_pipe_for_writing_gets_no_text_and_the_virus_is_refused_for_good(
    installation: Installation, dialect: str, number: int, what: str
) -> None:
    import socket

    installation.configure({"reject.dialect": dialect})
    file = installation.root / "unrelated"
    file.write_bytes(b"")
    reader, writer = os.pipe()
    near, far = socket.socketpair()
    with near, far, file.open("r+b") as opened:
        given = {
            "file": opened.fileno(),
            "reader": reader,
            "socket": far.fileno(),
            "reader gone": writer,
        }[what]
        if what == "reader gone":
            os.close(reader)
        try:
            result = installation.call(
                infected(), dialect="plain", open_fds={number: given}
            )
        finally:
            os.close(writer)
            if what != "reader gone":
                os.close(reader)
        near.setblocking(False)
        assert result.exit_code == 31, result
        with pytest.raises(BlockingIOError):
            near.recv(1)
    assert file.read_bytes() == b""


def test_a_caller_that_gave_no_reject_pipe_gets_plain_codes(
    installation: Installation,
) -> None:
    # 82 without text would be "qq temporary problem": the virus would come again.
    for dialect, number in (("notqmail", 6), ("netqmail", 4), ("stderr", 2)):
        installation.configure({"reject.dialect": dialect})
        result = installation.call(infected(), dialect=dialect, close_fds=[number])
        assert result.exit_code == 31, dialect


def test_a_hostile_signature_name_cannot_forge_reply_header_or_log(
    faked: Faked,
) -> None:
    evil = b"PUA.Evil\r\n250 ok\nX-Evil:1\n\nbody\x1b[2J\xff%s " + b"y" * 5000
    installation, _ = faked(fake_clamd.verdicts(b"fd[10]: " + evil + b" FOUND"))
    result = installation.call(plain())
    assert result.queued, "class pua is tagged by default"
    lines = added_lines(installation.deliveries()[0].message, plain())
    assert not any(line.startswith(b"X-Evil") for line in lines)
    assert len(log_lines(result)) == 1
    installation.configure({"action.pua": "reject"})
    result = installation.call(plain())
    decent(result.raw_text, b"D")
    assert len(log_lines(result)) == 1


def test_hostile_addresses_cannot_forge_the_log(installation: Installation) -> None:
    evil = b'a b\nqscan: verdict=clean exit=0 id=1 "x\\\t\xff\x1b'
    result = installation.call(infected(), sender=evil, recipients=[evil])
    (line,) = log_lines(result)
    fields = log_fields(line)
    assert fields["verdict"] == "infected"
    assert fields["exit"] == "82"
    assert fields["from"].startswith("<a b\\x0aqscan: verdict=clean")


def test_the_environment_of_the_connection_is_in_the_log(
    installation: Installation,
) -> None:
    result = installation.call(plain(), env={"TCPREMOTEIP": "192.0.2.7"})
    (line,) = log_lines(result)
    fields = log_fields(line)
    assert fields["ip"] == "192.0.2.7"
    assert fields["from"].strip("<>") == "sender@example.org"
    assert fields["to"].strip("<>") == "rcpt@example.net"
    assert fields["size"] == str(len(plain()))
    assert "total:" in fields["ms"]


def test_tcprules_may_set_what_is_marked_for_it_and_nothing_else(
    installation: Installation,
) -> None:
    installation.configure({"reject.dialect": "plain"})
    env = {
        "QSCAN_REJECT_DIALECT": "notqmail",
        "QSCAN_ACTION_VIRUS": "deliver",
        "QSCAN_QMAIL_QUEUE": "/bin/true",
        "QSCAN_CLAMD_ADDRESS": "unix:/nonexistent",
        "QSCAN_SCAN_PARTS": "false",
    }
    result = installation.call(infected(), dialect="notqmail", env=env)
    assert result.exit_code == 82
    nothing_queued(installation)
    env = {"QSCAN_HEADER_QSCAN": "false"}
    assert installation.call(plain(), env=env).queued
    assert installation.deliveries()[0].message == plain()


def test_a_bad_value_from_tcprules_never_opens_the_door(
    installation: Installation,
) -> None:
    env = {"QSCAN_REJECT_DIALECT": "esperanto", "QSCAN_HEADER_QSCAN": "perhaps"}
    result = installation.call(infected(), env=env)
    assert result.exit_code in (31, 55, 82)
    nothing_queued(installation)


# Trouble with the log.


@pytest.mark.parametrize("what", ["closed", "full", "reader gone", "read-only"])
def test_trouble_with_the_log_changes_nothing(
    installation: Installation, what: str
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    full = os.open("/dev/full", os.O_WRONLY)
    readonly = os.open("/dev/null", os.O_RDONLY)
    given = {"full": full, "reader gone": writer, "read-only": readonly}
    arguments: dict[str, object] = {"close_fds": [2]}
    if what != "closed":
        arguments = {"open_fds": {2: given[what]}}
    try:
        result = installation.call(infected(), **arguments)
        assert result.exit_code == 82
        decent(result.raw_text, b"D")
        assert installation.call(plain(), **arguments).queued
    finally:
        for number in (writer, full, readonly):
            os.close(number)
    added_lines(installation.deliveries()[0].message, plain())


def test_a_log_that_goes_nowhere_changes_nothing(installation: Installation) -> None:
    for target in ("none", "syslog"):
        installation.configure({"log.target": target})
        result = installation.call(infected())
        assert (result.exit_code, result.stderr) == (82, b"")
        decent(result.raw_text, b"D")
        assert installation.call(plain()).queued


# Draining.


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_refused_mail_is_read_to_its_end(installation: Installation, size: int) -> None:
    message = infected() + b"x" * size
    result = installation.call(message)
    assert (result.exit_code, result.write_errors) == (82, [])


def test_mail_that_cannot_be_stored_is_read_to_its_end(
    installation: Installation,
) -> None:
    installation.work.rmdir()
    try:
        recipients = [b"user%d@example.net" % number for number in range(10_000)]
        result = installation.call(plain(body=b"x" * 1_000_000), recipients=recipients)
        assert (result.exit_code, result.write_errors) == (53, [])
    finally:
        installation.work.mkdir()


# Other ways to reach clamd.


def test_tcp_finds_and_passes_the_same(
    make_installation: Callable[[str], Installation], clamd: RealClamd
) -> None:
    installation = make_installation(clamd.tcp_address)
    assert installation.call(plain()).queued
    large = multipart((b"image/png", b"a.png", os.urandom(3_000_000)))
    assert installation.call(large).queued
    result = installation.call(infected())
    assert result.exit_code == 82
    assert EICAR_NAME.encode() in result.raw_text
    assert len(installation.deliveries()) == 2


def test_four_at_a_time_do_not_mix(installation: Installation) -> None:
    results: dict[int, notqmail.Result] = {}

    def run(first: int) -> None:
        for number in range(first, 40, 4):
            make = infected if number % 3 == 0 else plain
            results[number] = installation.call(make(number), dialect="notqmail")

    workers = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 40
    clean = {number for number in range(40) if number % 3}
    assert {n for n, result in results.items() if result.queued} == clean
    assert {n for n, r in results.items() if r.exit_code == 82} == {
        number for number in range(40) if not number % 3
    }
    delivered = installation.deliveries()
    assert sorted(one.number for one in delivered) == sorted(clean)
    for one in delivered:
        added_lines(one.message, plain(one.number))


# Quarantine.


@pytest.mark.parametrize(("action", "code"), [("reject", 82), ("drop", 0)])
def test_quarantine_keeps_the_message_as_it_came(
    installation: Installation, action: str, code: int
) -> None:
    installation.configure({"action.virus": f"quarantine+{action}"})
    result = installation.call(infected(), sender=b"s\xff@example.org")
    assert result.exit_code == code
    assert not installation.deliveries()
    assert not installation.queue.starts
    files = [
        path for path in sorted(installation.quarantine.rglob("*")) if path.is_file()
    ]
    assert any(path.read_bytes() == infected() for path in files)
    (notes,) = [path for path in files if path.suffix == ".json"]
    text = notes.read_text("utf-8")
    assert isinstance(json.loads(text), dict)
    assert EICAR_NAME in text
    assert "rcpt@example.net" in text
    (line,) = log_lines(result)
    match = re.search(r" id=(\S+)", line)
    assert match
    identity = match[1]
    assert any(identity in str(path) for path in files)
    if code == 82:
        assert identity.encode() in result.raw_text
    for path in [installation.quarantine, *installation.quarantine.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_quarantine_that_cannot_be_written_defers(installation: Installation) -> None:
    installation.configure({"action.virus": "quarantine+drop"})
    installation.quarantine.rmdir()
    installation.quarantine.write_text("in the way")
    try:
        result = installation.call(infected())
        assert result.temporary, result
        assert not installation.deliveries()
    finally:
        installation.quarantine.unlink()
        installation.quarantine.mkdir()


# Signals.

ENDINGS = (signal.SIGTERM, signal.SIGALRM, signal.SIGXCPU, signal.SIGHUP, signal.SIGINT)


def ended_early(
    installation: Installation, result: notqmail.Result, number: int
) -> None:
    """Temporary for the caller, and nothing is queued or left."""
    assert result.temporary, result
    assert result.exit_code in (52, 71, 82), result
    if result.exit_code == 82:
        decent(result.raw_text, b"Z")
    nothing_queued(installation)
    assert not installation.queue.starts
    assert len(log_lines(result)) == 1
    if number in (signal.SIGALRM, signal.SIGXCPU):
        assert result.exit_code == 52


@pytest.mark.parametrize("number", ENDINGS)
def test_a_signal_while_the_message_comes(
    installation: Installation, number: int
) -> None:
    pids: list[int] = []

    def message() -> Iterator[bytes]:
        yield plain()
        # The reader took what came, so it is past its preparations.
        yield b"x"
        os.kill(pids[0], number)

    result = installation.call(message(), slow=True, started=pids.append)
    ended_early(installation, result, number)


@pytest.mark.parametrize("number", ENDINGS)
def test_a_signal_while_the_envelope_comes(
    installation: Installation, number: int
) -> None:
    pids: list[int] = []

    def envelope() -> Iterator[bytes]:
        yield b"Fa\0Tb\0"
        os.kill(pids[0], number)
        wait_for(lambda: not alive(pids[0]), "the end of the program")

    result = installation.call(
        plain(), raw_envelope=envelope(), slow=True, started=pids.append
    )
    ended_early(installation, result, number)


def alive(pid: int) -> bool:
    """Neither gone nor a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return False
    return text.rpartition(") ")[2][0] not in "ZX"


@pytest.mark.parametrize("number", ENDINGS)
def test_a_signal_while_clamd_thinks(faked: Faked, number: int) -> None:
    installation, server = faked(fake_clamd.silent)

    def written(pid: int) -> None:
        server.wait_accepted(1)
        os.kill(pid, number)

    result = installation.call(plain(), written=written)
    ended_early(installation, result, number)


def test_many_signals_at_once_end_it_once(faked: Faked) -> None:
    installation, server = faked(fake_clamd.silent)

    def written(pid: int) -> None:
        server.wait_accepted(1)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM, signal.SIGTERM):
            os.kill(pid, number)

    result = installation.call(plain(), written=written)
    assert result.temporary
    assert result.exit_code in (52, 71, 82)
    nothing_queued(installation)
    assert len(log_lines(result)) == 1


@pytest.mark.parametrize("number", ENDINGS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_signal_while_the_queue_runs_ends_the_queue(
    installation: Installation, number: int, when: str
) -> None:
    installation.queue.behave(hang=when)

    def written(pid: int) -> None:
        wait_for(lambda: pid in installation.queue.hanging(), "the queue")
        os.kill(pid, number)

    result = installation.call(plain(), written=written)
    if number == signal.SIGINT:
        # The stand-in's interpreter turns this one into an exception: exit 1 or 130.
        assert result.temporary
    else:
        assert result.signal == number
    assert result.temporary
    nothing_queued(installation)


def test_the_processor_limit_is_a_backstop(faked: Faked) -> None:
    installation, _ = faked(fake_clamd.silent)

    def prepare() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (1, 2))

    pids: list[int] = []

    def forever() -> Iterator[bytes]:
        yield b"Subject: x\n\n"
        while alive(pids[0]):
            yield b"x" * 100_000

    result = installation.call(forever(), prepare=prepare, started=pids.append)
    assert result.temporary
    nothing_queued(installation)


# Surroundings that could mislead an interpreter.


def test_the_environment_of_the_caller_cannot_change_the_program(
    installation: Installation, tmp_path: Path
) -> None:
    for name in ("posix", "fcntl", "marshal", "sitecustomize", "os", "qscan"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(0)\n")
    env = {
        "PYTHONPATH": str(tmp_path),
        "PYTHONHOME": str(tmp_path),
        "PYTHONSTARTUP": str(tmp_path / "os.py"),
        "PYTHONINSPECT": "1",
        "PYTHONWARNINGS": "error",
        "PYTHONDEVMODE": "1",
        "PYTHONVERBOSE": "2",
        "PYTHONMALLOC": "debug",
        "PYTHONUNBUFFERED": "1",
    }
    result = installation.call(infected(), env=env, cwd=tmp_path)
    assert result.exit_code == 82
    assert len(log_lines(result)) == 1
    result = installation.call(plain(), env=env, cwd=tmp_path)
    assert result.queued
    assert len(log_lines(result)) == 1


def test_an_empty_environment_is_enough(installation: Installation) -> None:
    assert installation.call(plain(), env={}).queued
    assert installation.deliveries()[0].state["environment"] == []


def test_version_and_help_are_there_and_touch_nothing(
    installation: Installation,
) -> None:
    import subprocess

    for option in ("-v", "-h"):
        done = subprocess.run(
            [installation.program, option],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0
        assert b"qscan" in done.stdout
    done = subprocess.run(
        [installation.program, "--nonsense"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert done.returncode not in (0, 31)
    nothing_queued(installation)


def test_the_program_does_not_need_its_caller_to_read_in_time(
    installation: Installation,
) -> None:
    # The reject pipe is full before the program starts: it may wait or do without,
    # but refuse it must.
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    try:
        result = installation.call(
            infected(), dialect="plain", open_fds={6: writer}, timeout=20
        )
    finally:
        os.close(reader)
        os.close(writer)
    assert not result.queued
    nothing_queued(installation)
    assert EICAR_NAME.encode() in result.stderr
