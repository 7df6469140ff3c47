# SPDX-License-Identifier: MIT
"""What the tests of the real processes share.

``Installation`` is a qscan as an administrator would have it, in a directory of its
own; ``RealClamd`` a clamd with signatures of our own; ``wait_for`` the one way to wait.
Never does: sleep instead of looking at a condition.
"""

from __future__ import annotations

import ast
import base64
import importlib.util
import marshal
import os
import re
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import berkeleydb
import notqmail
from private_clamd import PrivateClamd

REPOSITORY = Path(__file__).resolve().parent.parent
TEST_FILES = Path("/usr/share/clamav-testfiles")
#: Seconds after which a condition that did not come true is a failure.
PATIENCE = 60.0

#: In pieces, so that this file itself is clean to every scanner.
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
EICAR_NAME = "Eicar-Test-Signature"
CLAM_NAME = "Clamav.Test.File"  # and the name of the file

#: Processes that live longer than one test, for the leak counter.
SESSION_CHILDREN: set[int] = set()


def wait_for(
    condition: Callable[[], object], what: str, seconds: float = PATIENCE
) -> None:
    """Until ``condition()`` is true; AssertionError with ``what`` when it never is."""
    import time

    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"in vain waited {seconds:.0f} s for: {what}")
        select.select([], [], [], 0.005)


def interpreter() -> str:
    """The interpreter itself, no link and no shim."""
    return os.path.realpath(sys.executable)


# messages


def plain(number: int = 0, body: bytes = b"Hello,\n\nnothing to see here.\n") -> bytes:
    """A message as qmail-smtpd writes it (bare LF)."""
    return (
        b"Received: from client.example.org (192.0.2.7)\n"
        b"  by mail.example.net with SMTP; 1 Jan 2024 00:00:00 -0000\n"
        b"From: Sender <sender@example.org>\n"
        b"To: rcpt@example.net\n"
        b"Subject: test %d\n"
        b"X-Test-Number: %d\n"
        b"Message-ID: <%d@example.org>\n\n" % (number, number, number)
    ) + body


def multipart(*parts: tuple[bytes, bytes, bytes], number: int = 0) -> bytes:
    """Parts of (media type, file name or b"", content), all in base64."""
    boundary = b"=_frontier"
    out = [
        b"From: Sender <sender@example.org>\n"
        b"To: rcpt@example.net\n"
        b"Subject: parts\n"
        b"X-Test-Number: %d\n"
        b"MIME-Version: 1.0\n"
        b'Content-Type: multipart/mixed; boundary="%s"\n\n' % (number, boundary)
    ]
    for media_type, name, content in parts:
        out.append(b"--" + boundary + b"\n")
        out.append(b"Content-Type: " + media_type)
        out.append(b'; name="' + name + b'"\n' if name else b"\n")
        out.append(b"Content-Transfer-Encoding: base64\n\n")
        out.append(base64.encodebytes(content))
    out.append(b"--" + boundary + b"--\n")
    return b"".join(out)


def infected(number: int = 0) -> bytes:
    """EICAR as an attachment."""
    return multipart(
        (b"text/plain", b"", b"look at this\n"),
        (b"application/octet-stream", b"eicar.com", EICAR),
        number=number,
    )


def added_lines(delivered: bytes, original: bytes) -> list[bytes]:
    """The header lines that stand above ``original`` in what was delivered.

    AssertionError when the rest differs in a single byte, or when what stands above
    is anything but whole header fields of ours.
    """
    size = len(delivered) - len(original)
    assert size >= 0, "something of the message is missing"
    assert delivered[size:] == original, "the message was changed"
    if not size:
        return []
    top = delivered[:size]
    assert top.endswith(b"\n")
    assert b"\r" not in top
    assert b"\0" not in top
    lines = top[:-1].split(b"\n")
    for line in lines:
        assert line.isascii()
        assert len(line) < 998
        assert line.startswith((b"X-Qscan", b"X-Virus-", b" ", b"\t")), line
        assert line.strip(), "an empty line ends the header"
    assert not lines[0].startswith((b" ", b"\t"))
    return lines


def log_fields(line: str) -> dict[str, str]:
    """The fields of a log line of ours; a key that stands twice is an error.

    A value with blanks is in double quotes; it has none of its own.
    """
    assert line.startswith("qscan: "), line
    assert line.isascii()
    assert line.isprintable()
    rest = line.removeprefix("qscan: ")
    fields: dict[str, str] = {}
    while rest:
        match = re.match(r'([a-z_]+)=("[^"]*"|[^ "]*)(?: |$)', rest)
        assert match, rest
        assert match[1] not in fields, match[1]
        fields[match[1]] = match[2].strip('"')
        rest = rest[match.end() :]
    return fields


@dataclass
class Delivery:
    """What the stand-in of qmail-queue got: bytes, and the state it was started in."""

    message: bytes
    envelope: bytes
    state: dict[str, object]

    @property
    def number(self) -> int:
        """The X-Test-Number of the message."""
        head = self.message.split(b"\n\n", 1)[0]
        return int(head.split(b"X-Test-Number: ", 1)[1].split(b"\n", 1)[0])


class QueueStandIn:
    """``qmail_queue.py``, installed at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.home = Path(str(path) + ".d")
        for directory in (self.home, self.home / "new", self.home / "tmp"):
            directory.mkdir()
            directory.chmod(0o777)
        source = Path(__file__).with_name("qmail_queue.py").read_text("utf-8")
        path.write_text(f"#!{interpreter()} -IS\n{source}", "utf-8")
        path.chmod(0o755)

    def behave(self, **keys: object) -> None:
        """Write the control file; no keys: queue everything."""
        lines = [f"{k.replace('_', '-')}={v}\n" for k, v in keys.items()]
        control = self.home / "control"
        control.with_suffix(".new").write_text("".join(lines), "ascii")
        control.with_suffix(".new").rename(control)

    def deliveries(self) -> list[Delivery]:
        """All that were queued."""
        found = []
        for entry in sorted((self.home / "new").iterdir()):
            state = ast.literal_eval((entry / "state").read_text("ascii"))
            message = (entry / "message").read_bytes()
            found.append(Delivery(message, (entry / "envelope").read_bytes(), state))
        return found

    def forget(self) -> None:
        """Drop what was queued and noted."""
        for entry in (self.home / "new").iterdir():
            shutil.rmtree(entry)
        for name in ("starts", "faults"):
            (self.home / name).unlink(missing_ok=True)

    def lines(self, name: str) -> list[str]:
        """The lines of ``starts`` or ``faults``."""
        file = self.home / name
        return file.read_text("utf-8").splitlines() if file.exists() else []

    @property
    def starts(self) -> int:
        """How often anybody started it."""
        return len(self.lines("starts"))

    def hanging(self) -> list[int]:
        """The pids that hang as they were told."""
        return [int(p.suffix[1:]) for p in self.home.glob("hanging.*")]


class Installation:
    """A qscan of its own: spool, settings, launcher, and a stand-in for qmail-queue.

    ``root`` is short (socket names) and open to every uid (``chown``). ``work`` must be
    empty at the end of a test, unless ``leftovers`` says otherwise.
    """

    def __init__(self, root: Path, clamd_address: str, library: Path) -> None:
        self.root = root
        self.library = library
        self.spool = root / "spool"
        self.work = self.spool / "work"
        self.quarantine = self.spool / "quarantine"
        self.toml = root / "qscan.toml"
        self.database = root / "settings.db"
        self.program = root / "qscan-queue"
        self.home = root / "home"
        self.leftovers = False
        self.clamd: RealClamd | None = None  # for tests that stop it
        for directory in (self.spool, self.work, self.quarantine):
            directory.mkdir(mode=0o700)
        self.home.mkdir(mode=0o755)
        self.queue = QueueStandIn(root / "qmail-queue")
        self.settings: dict[str, object] = {
            "qmail_queue": str(self.queue.path),
            "spool_dir": str(self.spool),
            "clamd.address": clamd_address,
            "reject.dialect": "notqmail",
        }
        self.configure()
        self.install()

    def install(self, python: str | None = None) -> None:
        """Write the launcher, as an installer would."""
        command = [sys.executable, "-m", "qscan.launcher"]
        command += ["--output", str(self.program), "--settings", str(self.database)]
        if python:
            command += ["--python", python]
        env = {**os.environ, "PYTHONPATH": str(self.library)}
        subprocess.run(command, check=True, cwd="/", env=env, capture_output=True)

    def configure(self, settings: Mapping[str, object] | None = None) -> None:
        """Change settings (None takes one out) and compile."""
        from qscan import compiler

        for name, value in (settings or {}).items():
            if value is None:
                self.settings.pop(name, None)
            else:
                self.settings[name] = value
        lines = [f"{name} = {toml(value)}\n" for name, value in self.settings.items()]
        self.toml.write_text("".join(lines), "utf-8")
        compiler.compile_text(str(self.toml), str(self.database))
        self.database.chmod(0o644)

    def force(self, settings: Mapping[str, object]) -> None:
        """Put values into the compiled file that the compiler would not let pass.

        A deadline of one second keeps the tests short.
        """
        table = berkeleydb.db.DB()
        table.open(str(self.database))
        try:
            values = marshal.loads(table[b"settings"])
            for name in settings:
                assert name in values, name
            values.update(settings)
            table[b"settings"] = marshal.dumps(values)
        finally:
            table.close()

    def call(self, message: bytes | Iterable[bytes], **arguments: object) -> Result:
        """Queue a message through the launcher, in the dialect that is set."""
        dialect = str(self.settings.get("reject.dialect", "plain"))
        arguments.setdefault("dialect", "notqmail" if dialect == "auto" else dialect)
        arguments.setdefault("cwd", self.home)
        env = arguments.get("env")
        assert env is None or isinstance(env, dict)
        reject = notqmail.reject_descriptor(str(arguments["dialect"]), env or {})
        extra = {reject} if reject > 2 else set()
        opened = arguments.get("open_fds")
        if isinstance(opened, dict):
            extra |= {number for number in opened if number > 2}
        self.allow(extra)
        return notqmail.call(self.program, message, **arguments)  # type: ignore[arg-type]

    def allow(self, numbers: Iterable[int]) -> None:
        """Descriptors besides 0, 1, 2 that the queue may find open."""
        control = self.queue.home / "control"
        kept = []
        if control.exists():
            kept = [
                line
                for line in control.read_text("ascii").splitlines()
                if not line.startswith("allow=")
            ]
        kept.append("allow=" + " ".join(str(n) for n in sorted(numbers)))
        text = "".join(line + "\n" for line in kept)
        if not control.exists() or control.read_text("ascii") != text:
            scratch = self.queue.home / f"control.{threading.get_ident()}"
            scratch.write_text(text, "ascii")
            scratch.rename(control)

    def deliveries(self) -> list[Delivery]:
        """What reached the queue."""
        return self.queue.deliveries()

    def entries(self) -> list[str]:
        """Work directories that are there now."""
        return sorted(os.listdir(self.work))

    def quarantined(self) -> list[str]:
        """What lies in quarantine."""
        return sorted(os.listdir(self.quarantine))

    def sweep(self) -> subprocess.CompletedProcess[bytes]:
        """``qscan-queue -z``."""
        return subprocess.run([self.program, "-z"], capture_output=True, check=False)

    def chown(self, uid: int, gid: int) -> None:
        """Give the spool to the uid that the program will run as."""
        for directory in (self.spool, self.work, self.quarantine):
            os.chown(directory, uid, gid)

    def check(self) -> None:
        """What has to be true after every test."""
        faults = self.queue.lines("faults")
        assert not faults, faults
        if not self.leftovers:
            assert not self.entries(), "the spool was not left empty"


Result = notqmail.Result


def toml(value: object) -> str:
    """A TOML value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(toml(member) for member in value) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)


def short_directory() -> Path:
    """A new directory with a short name that every uid may enter.

    pytest's own are too long for socket names and closed to others.
    """
    path = Path(tempfile.mkdtemp(prefix="qs-"))
    path.chmod(0o755)
    return path


class RealClamd(PrivateClamd):
    """A private clamd under supervise. ``address`` is for the setting.

    ``lines`` are added to its clamd.conf.
    """

    def __init__(self, root: Path, lines: Mapping[str, str] | None = None) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        own = {
            "AlertEncrypted": "yes",
            "TCPAddr": "127.0.0.1",
            "TCPSocket": str(self.port),
        }
        super().__init__(root, {**own, **(lines or {})})
        self.processes: set[int] = set()

    @property
    def address(self) -> str:
        """The local socket."""
        return f"unix:{self.socket}"

    @property
    def tcp_address(self) -> str:
        """The TCP socket."""
        return f"tcp:127.0.0.1:{self.port}"

    def descriptors_below(self, folder: Path) -> list[str]:
        """What clamd has open below ``folder``, removed files too."""
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(str(self.socket))
            peer = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        place = f"/proc/{struct.unpack('3i', peer)[0]}/fd"
        found = []
        for name in os.listdir(place):
            try:
                found.append(os.readlink(f"{place}/{name}"))
            except OSError:
                continue  # closed meanwhile
        return [target for target in found if target.startswith(f"{folder}/")]

    def start(self) -> None:
        """Start; it lives longer than the test that happens to need it first."""
        before = children()
        try:
            super().start()
        finally:
            self.processes = children() - before
            SESSION_CHILDREN.update(self.processes)

    def close(self) -> None:
        """Stop everything."""
        super().close()
        SESSION_CHILDREN.difference_update(self.processes)


def children() -> set[int]:
    """Processes whose parent we are, zombies too, except ``SESSION_CHILDREN``."""
    found: set[int] = set()
    for task in os.listdir("/proc/self/task"):
        try:
            text = Path(f"/proc/self/task/{task}/children").read_text("ascii")
        except OSError:
            continue  # a thread that just ended
        found |= {int(number) for number in text.split()}
    return found - SESSION_CHILDREN


def copy_library(target: Path) -> None:
    """An installed copy of the package and of what it needs, open to every uid.

    The checkout and its virtual environment may lie where only their owner can go.
    """
    target.mkdir()
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "qscan", target / "qscan", ignore=skip)
    for name in ("ahocorasick", "berkeleydb", "magic", "tnefparse"):
        spec = importlib.util.find_spec(name)
        assert spec, name
        assert spec.origin, name
        origin = Path(spec.origin)
        if spec.submodule_search_locations:
            shutil.copytree(origin.parent, target / name, ignore=skip)
        else:
            shutil.copy(origin, target / origin.name)
    for path in [target, *target.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def open_to_all(path: Path) -> bool:
    """Every uid may reach and execute it."""
    return all(one.stat().st_mode & 0o001 for one in (path, *path.parents))
