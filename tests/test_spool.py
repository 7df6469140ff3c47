# SPDX-License-Identifier: MIT
"""The work directory of one message: its states, its room, its name."""

from __future__ import annotations

import errno
import fcntl
import os
import posix
import stat
import time
from pathlib import Path

import pytest

from qscan import headers, spool, sweep
from qscan.model import Defect


def work_in(parent: Path) -> spool.Work:
    work = spool.Work(str(parent), spool.identity())
    work.open()
    return work


def test_the_room_is_one_header_field_of_exactly_its_size() -> None:
    assert len(spool.ROOM) == spool.RESERVE
    assert spool.ROOM.isascii()
    assert spool.ROOM.endswith(b"\n")
    lines = spool.ROOM[:-1].split(b"\n")
    assert not lines[0].startswith((b" ", b"\t"))
    for line in lines[1:]:
        assert line.startswith(b"\t")
        assert line.strip(), "a line of blanks may end a header"
    for line in lines:
        assert len(line) <= 78
        assert b"\r" not in line
        assert b"\0" not in line
    defects: list[Defect] = []
    fields, end = headers.split_block(spool.ROOM, "room", defects)
    assert [field.name for field in fields] == [b"received"]
    assert end == spool.RESERVE
    assert defects == []


def test_the_room_does_not_change_what_a_header_says() -> None:
    """Fields of the message begin on a line of their own behind it."""
    defects: list[Defect] = []
    fields, _ = headers.split_block(spool.ROOM + b"Subject: x\n", "1", defects)
    assert [field.name for field in fields] == [b"received", b"subject"]


def test_a_name_cannot_be_guessed_and_tells_age_and_process() -> None:
    names = {spool.identity() for _ in range(1000)}
    assert len(names) == 1000
    for name in names:
        seconds, pid, rest = name.split(".")
        assert abs(int(seconds, 16) - time.time()) < 100
        assert int(pid) == os.getpid()
        assert len(rest) == 12
        assert sweep.is_work_name(name)


def test_only_its_owner_may_look(tmp_path: Path) -> None:
    old = posix.umask(0)
    try:
        work = work_in(tmp_path)
    finally:
        posix.umask(old)
    try:
        directory = Path(work.directory)
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert sorted(os.listdir(directory)) == ["envelope", "message"]
        for name in ("envelope", "message"):
            assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600
        for fd in (work.fd, work.envelope):
            assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    finally:
        work.abandon()


def test_a_live_message_is_locked_until_its_process_lets_go(tmp_path: Path) -> None:
    work = work_in(tmp_path)
    other = os.open(work.directory + "/envelope", os.O_RDONLY)
    try:
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        work.abandon()
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        work.abandon()
        os.close(other)


def test_the_descriptor_that_clamd_gets_does_not_keep_the_lock(tmp_path: Path) -> None:
    """A lock lives as long as anybody's copy of a descriptor (flock(2))."""
    work = work_in(tmp_path)
    clamds = os.dup(work.fd)
    other = os.open(work.directory + "/envelope", os.O_RDONLY)
    try:
        work.abandon()
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(clamds)
        os.close(other)


def test_removing_keeps_the_descriptors_and_nothing_else(tmp_path: Path) -> None:
    work = work_in(tmp_path)
    try:
        os.write(work.fd, b"message")
        Path(work.directory, "i1").write_bytes(b"part")
        work.remove()
        assert os.listdir(tmp_path) == []
        assert os.pread(work.fd, 100, 0) == b"message"
        work.remove()
    finally:
        os.close(work.fd)
        os.close(work.envelope)


def test_abandoning_leaves_nothing_and_may_be_repeated(tmp_path: Path) -> None:
    work = work_in(tmp_path)
    for number in range(20):
        Path(work.directory, f"i{number}").write_bytes(b"part")
    fds = (work.fd, work.envelope)
    work.abandon()
    assert os.listdir(tmp_path) == []
    assert (work.fd, work.envelope) == (-1, -1)
    for fd in fds:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
    work.abandon()


def test_what_is_there_already_is_not_taken_over(tmp_path: Path) -> None:
    identity = spool.identity()
    (tmp_path / identity).mkdir()
    (tmp_path / identity / "message").write_bytes(b"of another")
    with pytest.raises(FileExistsError):
        spool.Work(str(tmp_path), identity).open()
    assert (tmp_path / identity / "message").read_bytes() == b"of another"


@pytest.mark.parametrize("call", [1, 2, 3])
def test_no_room_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """The n-th of mkdir, open, open fails."""
    calls = 0

    def failing(real: object) -> object:
        def wrapper(*arguments: object) -> object:
            nonlocal calls
            calls += 1
            if calls == call:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*arguments)  # type: ignore[operator]

        return wrapper

    monkeypatch.setattr(posix, "mkdir", failing(posix.mkdir))
    monkeypatch.setattr(posix, "open", failing(posix.open))
    with pytest.raises(OSError, match="No space"):
        spool.Work(str(tmp_path), spool.identity()).open()
    monkeypatch.undo()
    assert calls == call
    assert os.listdir(tmp_path) == []


def test_a_directory_that_cannot_be_removed_is_told(tmp_path: Path) -> None:
    directory = tmp_path / "1.1.1"
    (directory / "sub").mkdir(parents=True)
    assert spool.remove_directory(str(directory)) is False
    (directory / "sub").rmdir()
    assert spool.remove_directory(str(directory)) is True
    assert spool.remove_directory(str(directory)) is True
