# SPDX-License-Identifier: MIT
"""The limited child: what it is given, how it may end, what comes back."""

from __future__ import annotations

import errno
import os
import posix
import resource
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qscan import fdio, limited

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = {"word": (str,), "number": (int,), "list": (list,)}


class Told:
    """How a child ended and what it said."""

    def __init__(self, end: str, detail: str, records: list[tuple[str, list[Any]]]):
        self.end = end
        self.detail = detail
        self.records = records

    @property
    def words(self) -> list[str]:
        return [fields[0] for kind, fields in self.records if kind == "word"]


def children() -> list[str]:
    """Our child processes, also those that ended and were not waited for."""
    listing = Path(f"/proc/self/task/{os.getpid()}/children")
    return sorted(listing.read_text("ascii").split())


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Told]:
    """Runs work in a child; afterwards there is no child and no descriptor more."""

    def run(
        work: Callable[[int], None],
        *,
        data: bytes = b"data",
        cpu: int = 5,
        memory: int = 200_000_000,
        wall: float = 30.0,
        size: int = 1_000_000,
        report: int = limited.REPORT,
    ) -> Told:
        records: list[tuple[str, list[Any]]] = []

        def take(kind: str, fields: list[Any]) -> bool:
            records.append((kind, fields))
            return fields != ["refused"]

        path = tmp_path / "data"
        path.write_bytes(data)
        before = sorted(os.listdir("/proc/self/fd"))
        others = children()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        costs = limited.Costs(cpu, memory, wall, size, report)
        fd = os.open(path, os.O_RDONLY)
        try:
            end, detail = limited.run(fd, work, KINDS, take, costs)
        finally:
            os.close(fd)
            assert sorted(os.listdir("/proc/self/fd")) == before
            assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
            assert children() == others
        return Told(end, detail, records)

    return run


def say(pipe: int, *words: str) -> None:
    for word in words:
        limited.send(pipe, ("word", word))


def test_the_work_reads_the_data_and_its_records_come_in_order(
    run: Callable[..., Told],
) -> None:
    def work(pipe: int) -> None:
        say(pipe, fdio.pread_all(limited.DATA, 100, 0).decode())
        limited.send(pipe, ("number", 7))
        limited.send(pipe, ("list", ["a", "b"]))

    told = run(work, data=b"some data")
    assert (told.end, told.detail) == (limited.FINISHED, "")
    assert told.records == [
        ("word", ["some data"]),
        ("number", [7]),
        ("list", [["a", "b"]]),
    ]


def _spin(pipe: int) -> None:
    say(pipe, "before")
    while True:
        pass


def _sleep(pipe: int) -> None:
    say(pipe, "before")
    signal.pause()


def _devour(pipe: int) -> None:
    say(pipe, "before")
    kept = []
    while True:
        kept.append(bytearray(1 << 20))


def _crash(pipe: int) -> None:
    say(pipe, "before")
    os.kill(os.getpid(), signal.SIGSEGV)


def _leave(pipe: int) -> None:
    say(pipe, "before")
    posix._exit(3)


def _stumble(pipe: int) -> None:
    say(pipe, "before")
    raise KeyError("a bug of ours")


def _flood(pipe: int) -> None:
    say(pipe, "before")
    while True:
        say(pipe, "x" * 60_000)


def _babble(pipe: int) -> None:
    say(pipe, "before")
    os.write(pipe, b"\xff\xff\xff\xff")
    signal.pause()


def _refused(pipe: int) -> None:
    say(pipe, "before", "refused")
    signal.pause()


@pytest.mark.parametrize(
    ("work", "end", "limits"),
    [
        (_spin, limited.CPU, {"cpu": 1}),
        (_sleep, limited.WALL, {"wall": 0.5}),
        (_devour, limited.MEMORY, {}),
        (_crash, limited.DIED, {}),
        (_leave, limited.DIED, {}),
        (_stumble, limited.FAILED, {}),
        (_flood, limited.FLOOD, {"report": 1_000_000}),
        (_babble, limited.DIED, {}),
        (_refused, limited.DIED, {}),
    ],
)
def test_however_it_ends_what_it_said_before_is_kept(
    run: Callable[..., Told],
    work: Callable[[int], None],
    end: str,
    limits: dict[str, Any],
) -> None:
    told = run(work, **limits)
    assert told.end == end
    assert told.detail
    assert told.words[0] == "before"


@pytest.mark.parametrize(
    "record",
    [
        ("unknown", "x"),
        ("word",),
        ("word", 1),
        ("word", b"bytes"),
        ("number", True),
        ("list", [1]),
        ("failed", 1, 2),
        ("oserror", "x", "y"),
        (),
    ],
)
def test_a_record_of_another_form_ends_the_report(
    run: Callable[..., Told], record: tuple[Any, ...]
) -> None:
    def work(pipe: int) -> None:
        limited.send(pipe, record)
        signal.pause()

    told = run(work)
    assert told.end == limited.DIED
    assert not told.records


def test_trouble_with_files_is_our_trouble(run: Callable[..., Told]) -> None:
    def missing(pipe: int) -> None:
        os.open("/nonexistent/file", os.O_RDONLY)

    with pytest.raises(FileNotFoundError):
        run(missing)


def test_a_file_that_gets_too_large_is_our_trouble(
    run: Callable[..., Told], tmp_path: Path
) -> None:
    def large(pipe: int) -> None:
        with (tmp_path / "large").open("wb", buffering=0) as file:
            for _ in range(20):
                fdio.write_all(file.fileno(), bytes(1000))

    with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
        run(large, size=10_000)
    assert (tmp_path / "large").stat().st_size == 10_000


def test_the_child_has_nothing_of_ours(run: Callable[..., Told]) -> None:
    def work(pipe: int) -> None:
        for number in sorted(map(int, os.listdir("/proc/self/fd"))):
            try:
                say(pipe, f"{number}={os.readlink(f'/proc/self/fd/{number}')[:9]}")
            except OSError:
                continue  # the one that listed them
        status = Path("/proc/self/status").read_text("ascii")
        say(pipe, *[line for line in status.split("\n") if "NoNewPrivs" in line])
        say(pipe, f"umask {os.umask(0):o}")
        say(pipe, f"alone {os.getsid(0) == os.getpid() == os.getpgid(0)}")
        for name in ("CPU", "AS", "FSIZE", "NPROC", "CORE"):
            soft, _ = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))
            limited.send(pipe, ("number", soft))

    held = os.open("/dev/zero", os.O_RDONLY)
    os.set_inheritable(held, True)
    try:
        told = run(work, cpu=4, memory=8_000_000_000, size=12345)
    finally:
        os.close(held)
    assert told.end == limited.FINISHED
    shown = " ".join(told.words)
    assert shown.startswith("0=/dev/null 1=/dev/null 2=/dev/null 3=/")
    assert "5=pipe:[" in shown
    assert "zero" not in shown
    assert "NoNewPrivs:\t1" in shown
    assert "umask 77" in shown
    assert "alone True" in shown
    numbers = [fields[0] for kind, fields in told.records if kind == "number"]
    assert numbers == [4, 8_000_000_000, 12345, 0, 0]
