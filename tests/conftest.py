# SPDX-License-Identifier: MIT
"""Fixtures of all tests, and the leak counters that watch each of them."""

from __future__ import annotations

import ctypes
import fcntl
import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# Tests run from any directory, installed or not: the package beside us is the one.
REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "install")]

import pytest  # noqa: E402
from fake_clamd import FakeClamd, Script  # noqa: E402
from harness import (  # noqa: E402
    Installation,
    RealClamd,
    children,
    copy_library,
    short_directory,
    wait_for,
)

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


@pytest.fixture(scope="session", autouse=True)
def _orphans_come_home() -> None:
    """Make this process the parent of its orphaned grandchildren.

    Otherwise a child that a dead qscan-queue leaves behind would go to process 1 and
    nobody could count it.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the listing's own
    return found


def _reap(known: set[int]) -> bool:
    """Collect dead orphans; True when no unknown child is left."""
    for pid in children() - known:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            continue
    return not children() - known


@pytest.fixture(autouse=True)
def _nothing_leaks() -> Iterator[None]:
    """After each test: descriptors and children as before."""
    known = children()
    descriptors = _descriptors()
    yield
    wait_for(lambda: _reap(known), f"the end of {children() - known}", 10.0)
    if set(_descriptors()) - set(descriptors):
        gc.collect()
    left = {
        number: target
        for number, target in _descriptors().items()
        if descriptors.get(number) != target
    }
    assert not left, f"descriptors left open: {left}"


@pytest.fixture
def interpreter_for_all() -> None:
    """Skips where only root can reach the interpreter (a version manager below /root):
    no other user could run the launcher there. Debian's interpreter is for all."""
    for folder in Path(sys.executable).resolve().parents:
        if not folder.stat().st_mode & 0o001:
            pytest.skip(f"other users cannot reach the interpreter: {folder}")


@pytest.fixture(scope="session")
def _clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealClamd]:
    root = short_directory()
    # One start at a time: the workers of a parallel run share two processors.
    shared = tmp_path_factory.getbasetemp().parent / "clamd.lock"
    server = RealClamd(root)
    try:
        with shared.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            server.make()
            server.start()
        yield server
    finally:
        server.close()
        shutil.rmtree(root)


@pytest.fixture(scope="session")
def library() -> Iterator[Path]:
    """An installed copy of the package, the same for the whole run."""
    root = short_directory()
    copy_library(root / "lib")
    yield root / "lib"
    shutil.rmtree(root)


@pytest.fixture
def clamd(_clamd: RealClamd) -> RealClamd:
    """A real clamd with signatures for the test files, one for each worker.

    Tests may not stop it; ``own_clamd`` makes another.
    """
    assert _clamd.ping()
    return _clamd


@pytest.fixture
def own_clamd() -> Iterator[Callable[..., RealClamd]]:
    """A function: lines for clamd.conf -> a real clamd that the test may stop."""
    made: list[RealClamd] = []

    def make(lines: dict[str, str] | None = None) -> RealClamd:
        made.append(RealClamd(short_directory(), lines))
        made[-1].make()
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.close()
        shutil.rmtree(one.directory)


@pytest.fixture
def make_installation(library: Path) -> Iterator[Callable[[str], Installation]]:
    """A function: address of clamd -> Installation, checked when the test ends."""
    made: list[Installation] = []

    def make(clamd_address: str) -> Installation:
        root = short_directory()
        try:
            made.append(Installation(root, clamd_address, library))
        except BaseException:
            shutil.rmtree(root)
            raise
        return made[-1]

    yield make
    try:
        for one in made:
            one.check()
    finally:
        for one in made:
            shutil.rmtree(one.root)


@pytest.fixture
def installation(
    make_installation: Callable[[str], Installation], clamd: RealClamd
) -> Installation:
    """A qscan that asks the real clamd."""
    return make_installation(clamd.address)


@pytest.fixture
def fakes() -> Iterator[Callable[..., FakeClamd]]:
    """A function that starts a scripted clamd, closed (and checked) at the end."""
    root = short_directory()
    made: list[FakeClamd] = []

    def make(*scripts: Script, kind: str = "unix", **options: object) -> FakeClamd:
        address = f"unix:{root}/{len(made)}.sock" if kind == "unix" else "tcp:127.0.0.1"
        made.append(FakeClamd(address, scripts, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    try:
        for one in made:
            one.close()
    finally:
        shutil.rmtree(root)


@pytest.fixture
def faked(
    make_installation: Callable[[str], Installation],
    fakes: Callable[..., FakeClamd],
) -> Callable[..., tuple[Installation, FakeClamd]]:
    """A function: scripts -> an installation and the scripted clamd that it asks."""

    def make(*scripts: Script, **options: object) -> tuple[Installation, FakeClamd]:
        server = fakes(*scripts, **options)
        return make_installation(server.address), server

    return make
