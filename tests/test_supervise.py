# SPDX-License-Identifier: MIT
"""supervise/clamd under the real supervise: one clamd on its socket (feature H5)."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import REPOSITORY, RealClamd, short_directory, wait_for


@pytest.fixture
def service() -> Iterator[Path]:
    """A second service directory, not supervised."""
    root = short_directory()
    shutil.copytree(REPOSITORY / "supervise" / "clamd", root / "clamd")
    (root / "clamd" / "env").mkdir()
    yield root / "clamd"
    shutil.rmtree(root)


def run(service: Path, **settings: object) -> subprocess.CompletedProcess[str]:
    """``./run`` with files in ./env; its program only says that it was started."""
    program = service / "clamd-stand-in"
    program.write_text('#!/bin/sh\necho "started: $*"\n')
    program.chmod(0o755)
    for name, value in {"CLAMD_PROGRAM": program, **settings}.items():
        (service / "env" / name).write_text(f"{value}\n")
    return subprocess.run(
        ["./run"], cwd=service, capture_output=True, text=True, check=False, timeout=60
    )


def process_of(clamd: RealClamd) -> int:
    """The process id that supervise gives for it, 0 for none."""
    line = subprocess.check_output(["svstat", clamd.service], text=True)
    return int(line.split("(pid ")[1].split(")")[0]) if "(pid " in line else 0


def conf_for(service: Path, path: Path) -> Path:
    """A configuration with that socket."""
    conf = service.parent / "clamd.conf"
    conf.write_text(f"# LocalSocket /wrong\nLocalSocket {path}\nLogTime yes\n")
    return conf


def test_a_second_clamd_on_the_socket_is_refused_by_name(
    clamd: RealClamd, service: Path
) -> None:
    done = run(service, CLAMD_CONF=clamd.conf)
    assert done.returncode == 1
    assert f"already on {clamd.socket}: pid {process_of(clamd)}, clamd" in done.stdout
    assert "started" not in done.stdout
    assert clamd.ping()


def test_a_second_one_is_refused_while_the_first_still_loads(service: Path) -> None:
    path = service.parent / "clamd.ctl"
    conf = conf_for(service, path)
    holder = ["setlock", "-n", f"{path}.lock", "sh", "-c", "echo held; read x"]
    with subprocess.Popen(
        holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdout
        assert first.stdout.readline() == b"held\n"
        done = run(service, CLAMD_CONF=conf)
        first.communicate(b"\n")
    assert done.returncode == 1
    assert f"unable to lock {path}.lock" in done.stdout
    assert "started" not in done.stdout


def test_a_stale_socket_is_removed_and_clamd_started(service: Path) -> None:
    path = service.parent / "clamd.ctl"
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(path))
    done = run(service, CLAMD_CONF=conf_for(service, path))
    assert done.returncode == 0
    assert f"removed {path}" in done.stdout
    assert f"started: --foreground --config-file={service.parent}/clamd" in done.stdout
    assert not path.exists()


def test_the_socket_of_any_other_listener_is_left_alone(service: Path) -> None:
    path = service.parent / "clamd.ctl"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        done = run(service, CLAMD_CONF=conf_for(service, path))
        assert done.returncode == 1
        assert f"pid {os.getpid()}" in done.stdout
        assert path.exists()


def test_a_file_that_is_no_socket_is_left_alone(service: Path) -> None:
    path = service.parent / "clamd.ctl"
    path.write_text("precious")
    done = run(service, CLAMD_CONF=conf_for(service, path))
    assert done.returncode == 1
    assert "is not a socket" in done.stdout
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"CLAMD_CONF": "/nowhere/clamd.conf"}, "unable to read /nowhere/clamd.conf"),
        ({"CLAMD_PROGRAM": "/nowhere/clamd"}, "no program /nowhere/clamd"),
        ({"CLAMD_USER": "no-such-user"}, "no user no-such-user"),
    ],
)
def test_what_is_missing_is_named(
    service: Path, settings: dict[str, str], words: str
) -> None:
    if "CLAMD_USER" in settings and os.geteuid() != 0:
        pytest.skip("only root changes its user")
    conf = conf_for(service, service.parent / "clamd.ctl")
    done = run(service, **{"CLAMD_CONF": conf, **settings})
    assert done.returncode == 1
    assert words in done.stdout


def test_clamd_that_was_killed_comes_back_on_its_socket(
    own_clamd: Callable[..., RealClamd],
) -> None:
    server = own_clamd()
    before = process_of(server)
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: process_of(server) not in (0, before), "another clamd")
    wait_for(server.ping, "PONG")
    assert f"removed {server.socket}" in server.log()


def test_svc_stops_and_starts_it_and_the_log_has_time_stamps(
    own_clamd: Callable[..., RealClamd],
) -> None:
    server = own_clamd()
    server.down()
    assert not server.ping()
    server.up()
    assert server.ping()
    lines = server.log().splitlines()
    assert lines
    assert all(line.startswith("@4000") for line in lines)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its user")
def test_clamd_runs_as_its_own_user(clamd: RealClamd) -> None:
    owner = Path(f"/proc/{process_of(clamd)}").owner()
    assert owner == "clamav"
