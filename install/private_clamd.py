# SPDX-License-Identifier: MIT
"""A clamd of our own for the demo and the bench, under a real supervise.

Does: make a small real signature file with sigtool (EICAR and the payloads of
clamav-testfiles), write clamd.conf from ``install/clamd.conf.demo``, copy
``supervise/clamd`` into a service directory, run svscan on it, wait until clamd
answers PING with PONG, stop all of it again.
Never does: touch the machine's clamd, its database or /service.
Raises: ``ClamdTrouble`` with a text for people.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

CHECKOUT = Path(__file__).resolve().parent.parent
TESTFILES = Path("/usr/share/clamav-testfiles")
CLAMD_USER = "clamav"
# The database is tiny; a machine that needs longer than this is in trouble.
READY_SECONDS = 60.0
START_SECONDS = 5.0
STOP_SECONDS = 20.0
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

DEMO_SIZES = {
    "MaxFileSize": "200M",
    "MaxScanSize": "400M",
    "StreamMaxLength": "200M",
}


class ClamdTrouble(Exception):
    """clamd could not be set up, started or stopped: a text for people."""


def eicar() -> bytes:
    """The 68 bytes of the EICAR test file (eicar.org), put together here so that no
    scanner takes this checkout for a virus."""
    words = (b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR", b"STANDARD", b"ANTIVIRUS")
    return b"-".join((*words, b"TEST", b"FILE!$H+H*"))


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Ask again and again until ``condition`` holds; False after ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def _run(*command: str, feed: bytes = b"") -> bytes:
    try:
        done = subprocess.run(command, input=feed, capture_output=True, check=True)
    except FileNotFoundError as error:
        raise ClamdTrouble(f"no program {command[0]}: run install/demo.sh") from error
    except subprocess.CalledProcessError as error:
        text = error.stderr.decode(errors="replace").strip()
        raise ClamdTrouble(f"{' '.join(command)}: {text}") from error
    return done.stdout


def _try(*command: str) -> int:
    done = subprocess.run(command, stderr=subprocess.DEVNULL, check=False)
    return done.returncode


def _heard(service: Path) -> bool:
    """supervise listens there."""
    return _try("svok", str(service)) == 0


def write_signatures(directory: Path) -> int:
    """Make ``qscan.hsb`` (SHA-256 of whole files) and ``qscan.ndb`` (EICAR at the
    start of any file) in ``directory``; returns the number of signatures."""
    sample = directory / "sample"
    sample.write_bytes(eicar())
    lines = []
    for file, name in [(sample, "Eicar-Test-Signature")] + [
        (file, f"Clamav.Test.File.{file.name}") for file in sorted(TESTFILES.iterdir())
    ]:
        digest, size, _ = _run("sigtool", "--sha256", str(file)).decode().split(":", 2)
        lines.append(f"{digest}:{size}:{name}:73\n")
    (directory / "qscan.hsb").write_text("".join(lines))
    hexed = _run("sigtool", "--hex-dump", feed=eicar()).decode().strip()
    (directory / "qscan.ndb").write_text(f"Eicar-Test-Signature:0:0:{hexed}\n")
    sample.unlink()
    return len(lines) + 1


@dataclass(frozen=True)
class Child:
    """A process of ours, to be waited for."""

    pid: int


class PrivateClamd:
    """clamd below ``directory`` (short path, readable for the user clamav).

    ``sizes`` are clamd.conf lines that replace ``DEMO_SIZES``. Use as a context
    manager: leaving it stops everything.
    """

    def __init__(self, directory: Path, sizes: dict[str, str] | None = None) -> None:
        self.directory = directory
        self.socket = directory / "run" / "clamd.ctl"
        self.conf = directory / "clamd.conf"
        self.service = directory / "service" / "clamd"
        self.sizes = DEMO_SIZES if sizes is None else sizes
        self.scanner: Child | None = None
        self.signatures = 0

    def __enter__(self) -> Self:
        try:
            self.make()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def make(self) -> None:
        """Write the files; starts nothing."""
        for name in ("db", "tmp", "log", "run"):
            (self.directory / name).mkdir()
        self.signatures = write_signatures(self.directory / "db")
        template = (CHECKOUT / "install" / "clamd.conf.demo").read_text()
        text = template.replace("@DIR@", str(self.directory))
        text += "".join(f"{name} {value}\n" for name, value in self.sizes.items())
        self.conf.write_text(text)
        self.service.parent.mkdir()
        shutil.copytree(CHECKOUT / "supervise" / "clamd", self.service)
        self._set(self.service / "env", "CLAMD_CONF", str(self.conf))
        log = self.service / "log" / "env"
        self._set(log, "CLAMD_LOG_DIR", str(self.directory / "log"))
        if os.geteuid() == 0:
            # clamd becomes that user before it makes its socket and its log.
            entry = pwd.getpwnam(CLAMD_USER)
            self.directory.chmod(0o711)
            for name in ("tmp", "log", "run"):
                os.chown(self.directory / name, entry.pw_uid, entry.pw_gid)

    @staticmethod
    def _set(environment: Path, name: str, value: str) -> None:
        environment.mkdir(exist_ok=True)
        (environment / name).write_text(value + "\n")

    def start(self) -> None:
        """svscan, supervise, clamd, multilog; returns when clamd says PONG."""
        environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"}
        null = os.O_RDWR
        nothing = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", null, 0) for fd in range(3)]
        # A session of its own: ^C is for us, and we stop it in order. No signal may
        # come between its start and our knowing of it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            pid = os.posix_spawnp(
                "svscan",
                ["svscan", str(self.service.parent)],
                environment,
                file_actions=nothing,
                setsid=True,
                setsigmask=[],
                setsigdef=ENDING,
            )
            self.scanner = Child(pid)
        except FileNotFoundError as error:
            raise ClamdTrouble("no svscan: run install/demo.sh") from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self.wait_ready()

    def ping(self) -> bool:
        """True when clamd answers PONG."""
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(5)
            try:
                peer.connect(str(self.socket))
                peer.sendall(b"zPING\0")
                return peer.recv(16) == b"PONG\0"
            except OSError:
                return False

    def wait_ready(self) -> None:
        """Returns when clamd says PONG."""
        if not wait_until(self.ping, READY_SECONDS):
            raise ClamdTrouble(f"clamd does not answer:\n{self.log()}")

    def down(self) -> None:
        """``svc -d``: returns when clamd's process is gone and stays so."""
        _run("svc", "-d", str(self.service))
        if not wait_until(lambda: self._status().startswith("down"), STOP_SECONDS):
            raise ClamdTrouble(f"clamd does not stop: {self._status()}")

    def up(self) -> None:
        """``svc -u``: returns when clamd says PONG."""
        _run("svc", "-u", str(self.service))
        self.wait_ready()

    def _status(self) -> str:
        return _run("svstat", str(self.service)).decode().partition(": ")[2]

    def log(self) -> str:
        """What clamd and its run script said."""
        with contextlib.suppress(OSError):
            return (self.directory / "log" / "current").read_text(errors="replace")
        return ""

    def version(self) -> str:
        """clamd's own word, as ``ClamAV 1.4.6``."""
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(5)
            peer.connect(str(self.socket))
            peer.sendall(b"zVERSION\0")
            return peer.recv(200).rstrip(b"\0").decode()

    def close(self) -> None:
        """Stop svscan, clamd, multilog and their supervises; safe to call twice.

        Signals wait until it is done, which takes STOP_SECONDS at most for each.
        """
        if self.scanner is None:
            return
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            self._stop(self.scanner)
            self.scanner = None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _stop(self, scanner: Child) -> None:
        services = [self.service, self.service / "log"]
        # A supervise that is only about to listen would never hear us.
        for service in services:
            wait_until(partial(_heard, service), START_SECONDS)
        os.kill(scanner.pid, signal.SIGTERM)
        os.waitpid(scanner.pid, 0)
        for service in services:
            # svc -x: supervise leaves when the service is down.
            _try("svc", "-dx", str(service))
        for service in services:
            if not self._gone(service):
                # The last resort for a clamd that ignores TERM.
                _try("svc", "-k", str(service))
                self._gone(service)

    @staticmethod
    def _gone(service: Path) -> bool:
        return wait_until(lambda: not _heard(service), STOP_SECONDS)


def end_on_signals() -> None:
    """Make SIGINT, SIGTERM and SIGHUP end this process through ``finally``."""

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    for number in ENDING:
        signal.signal(number, stop)
