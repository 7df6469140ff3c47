# SPDX-License-Identifier: MIT
"""The caller's side of qmail-queue, as notqmail 1.09 plays it (``qmail.c``).

Does: pipes for message, envelope and reject text, the child's descriptors in the order
of ``qmail_open``, chdir, exec with one path and no arguments; writes message, then
envelope; reads the reject pipe to its end *before* it waits; maps the exit code to what
the SMTP client is told.
Never does: leave a child behind; hang (a watchdog of ``timeout`` seconds kills).
Raises: ``CallerTimeout`` when the watchdog had to bite.

Run as a program it is a small qmail-smtpd: one SMTP session on descriptors 0 and 1, as
under tcpserver, with $QMAILQUEUE or, without it, the program named by the argument.

Dialects, by the descriptor of the reject pipe: ``plain`` none, ``notqmail`` 6,
``netqmail`` 4, ``stderr`` 2, ``indimail`` the one named by ERROR_FD in ``env``
(default 2, -1 none).
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import select
import signal
import struct
import sys
import tempfile
import termios
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

#: qmail_errstr() keeps that many bytes of the reject text and throws the rest away.
REJECT_TEXT_LIMIT = 255
#: A message shorter than this never fills the pipe it is written to (pipe(7)).
PIPE_CAPACITY = 65536
#: Our ends of the pipes live above every number that a dialect uses.
FIRST_PRIVATE = 40

READ_ERROR = "Zqq read error (#4.3.0)"
QUEUE_FILES = "Zqq trouble creating files in queue (#4.3.0)"
REPLIES = {
    11: "Denvelope address too long for qq (#5.1.3)",
    115: "Denvelope address too long for qq (#5.1.3)",
    31: "Dmail server permanently rejected message (#5.3.0)",
    51: "Zqq out of memory (#4.3.0)",
    52: "Zqq timeout (#4.3.0)",
    53: "Zqq write error or disk full (#4.3.0)",
    54: READ_ERROR,
    55: "Zqq unable to read configuration (#4.3.0)",
    56: "Zqq trouble making network connection (#4.3.0)",
    61: "Zqq trouble in home directory (#4.3.0)",
    62: QUEUE_FILES,
    63: QUEUE_FILES,
    64: QUEUE_FILES,
    65: QUEUE_FILES,
    66: QUEUE_FILES,
    71: "Zmail server temporarily rejected message (#4.3.0)",
    72: "Zconnection to mail server timed out (#4.4.1)",
    73: "Zconnection to mail server rejected (#4.4.1)",
    74: "Zcommunication with mail server failed (#4.4.2)",
    81: "Zqq internal bug (#4.3.0)",
    91: "Zqq internal bug (#4.3.0)",
    120: "Zunable to exec qq (#4.3.0)",
}
#: Exit codes that mean "read the reject pipe", by dialect.
CUSTOM_TEXT = {
    "plain": (),
    "notqmail": (82,),
    "netqmail": (82,),
    "stderr": (82,),
    "indimail": (82, 88),
}


class CallerTimeout(Exception):
    """The program did not end in time; it was killed."""


@dataclass
class Result:
    """What the caller saw.

    ``exit_code`` or ``signal`` (the other is None); ``raw_text`` all bytes from the
    reject pipe, ``text`` those that qmail keeps; ``reply`` what qmail_close() returns
    ("" = queued, else D or Z and a text); ``stderr`` bytes of descriptor 2 when that
    is not the reject pipe; ``write_errors`` errors of writing, e.g. ``message EPIPE``;
    ``pid`` of the program.
    """

    exit_code: int | None
    signal: int | None
    raw_text: bytes
    reply: str
    stderr: bytes
    write_errors: list[str] = field(default_factory=list)
    pid: int = 0

    @property
    def text(self) -> bytes:
        """The reject text as qmail keeps it."""
        return self.raw_text[:REJECT_TEXT_LIMIT]

    @property
    def queued(self) -> bool:
        """The SMTP client gets its 250."""
        return self.reply == ""

    @property
    def temporary(self) -> bool:
        """The SMTP client is told to come again."""
        return self.reply.startswith("Z")

    @property
    def smtp(self) -> str:
        """The line of qmail-smtpd's ``smtp_data``, without CRLF."""
        if self.queued:
            return "250 ok"
        return ("554 " if self.reply[0] == "D" else "451 ") + self.reply[1:]


def envelope(sender: bytes, recipients: Iterable[bytes]) -> bytes:
    """``qmail_from``, ``qmail_to``..., ``qmail_close``."""
    fields = [b"F" + sender]
    fields += [b"T" + recipient for recipient in recipients]
    return b"\0".join(fields) + b"\0\0"


def reply_for(
    exit_code: int | None, text: bytes, dialect: str, write_failed: bool
) -> str:
    """The switch statement of ``qmail_close``; ``exit_code`` None = killed."""
    if exit_code is None:
        return "Zqq crashed (#4.3.0)"
    if exit_code == 0:
        return READ_ERROR if write_failed else ""
    if exit_code in CUSTOM_TEXT[dialect] and len(text) > 2:
        return text.split(b"\0")[0].decode("latin-1")
    if exit_code in REPLIES:
        return REPLIES[exit_code]
    if 11 <= exit_code <= 40:
        return "Dqq permanent problem (#5.3.0)"
    return "Zqq temporary problem (#4.3.0)"


def reject_descriptor(dialect: str, env: Mapping[str, str]) -> int:
    """The number of the reject pipe in the child, -1 for none."""
    if dialect == "indimail":
        return int(env.get("ERROR_FD", "2"))
    return {"plain": -1, "notqmail": 6, "netqmail": 4, "stderr": 2}[dialect]


def call(
    program: str | os.PathLike[str],
    message: bytes | Iterable[bytes],
    sender: bytes = b"sender@example.org",
    recipients: Iterable[bytes] = (b"rcpt@example.net",),
    *,
    dialect: str = "notqmail",
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] = "/",
    slow: bool = False,
    close_fds: Sequence[int] = (),
    open_fds: Mapping[int, int] | None = None,
    raw_envelope: bytes | Iterable[bytes] | None = None,
    prepare: Callable[[], None] | None = None,
    started: Callable[[int], None] | None = None,
    written: Callable[[int], None] | None = None,
    prefix: Sequence[str] = (),
    timeout: float = 60.0,
) -> Result:
    """Queue one message through ``program``.

    ``slow``: every write waits until the reader has taken the one before. ``close_fds``
    are closed in the child; ``open_fds`` maps numbers in the child to descriptors of
    ours, and wins over the pipes. ``raw_envelope`` replaces sender and recipients.
    ``prepare`` runs in the child before exec (limits, ids, umask). ``started`` gets the
    pid before the first byte is written, ``written`` after the last one. ``prefix`` is
    a command that runs the program (strace).
    """
    environment = dict(env or {})
    if raw_envelope is None:
        raw_envelope = envelope(sender, recipients)
    reject_at = reject_descriptor(dialect, environment)
    own: list[int] = []
    with tempfile.TemporaryFile() as log:

        def pipe() -> tuple[int, int]:
            ends = os.pipe()
            lifted = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 40) for end in ends]
            for end in ends:
                os.close(end)
            own.extend(lifted)
            return lifted[0], lifted[1]

        def shut(number: int) -> None:
            if number in own:
                own.remove(number)
                os.close(number)

        try:
            message_out, message_in = pipe()
            envelope_out, envelope_in = pipe()
            reject_out, reject_in = pipe()
            # Descriptor 2 is the log unless the dialect takes it for itself.
            places = {0: message_out, 1: envelope_out, 2: log.fileno()}
            if reject_at >= 0:
                places[reject_at] = reject_in
            places.update(open_fds or {})
            for number in close_fds:
                places.pop(number, None)
            command = [*prefix, os.fspath(program)]
            pid = _spawn(command, environment, os.fspath(cwd), places, prepare)
            for number in (message_out, envelope_out, reject_in):
                shut(number)
            watch = _Watch(pid, timeout)
            try:
                if started:
                    started(pid)
                errors = []
                for what, number, data in (
                    ("message", message_in, message),
                    ("envelope", envelope_in, raw_envelope),
                ):
                    error = _write(number, data, watch, slow)
                    shut(number)
                    if error:
                        errors.append(f"{what} {errno.errorcode[error]}")
                if written:
                    written(pid)
                text = _read_to_end(reject_out, watch)
                shut(reject_out)
                status = watch.wait()
            finally:
                watch.close()
        finally:
            for number in list(own):
                shut(number)
        log.seek(0)
        stderr = log.read()
    code = os.waitstatus_to_exitcode(status)
    exit_code = code if code >= 0 else None
    kept = text[:REJECT_TEXT_LIMIT]
    return Result(
        exit_code=exit_code,
        signal=-code if code < 0 else None,
        raw_text=text,
        reply=reply_for(exit_code, kept, dialect, bool(errors)),
        stderr=stderr,
        write_errors=errors,
        pid=pid,
    )


def _spawn(
    command: Sequence[str],
    env: Mapping[str, str],
    cwd: str,
    places: Mapping[int, int],
    prepare: Callable[[], None] | None,
) -> int:
    """The child of ``qmail_open``: its descriptors are exactly ``places``."""
    saved = {number: _lift(source) for number, source in places.items()}
    arguments = list(command)
    last = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 65536)
    try:
        with warnings.catch_warnings():
            # The child only execs; a fork beside threads is what this warns about.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid:
            return pid
        code = 120
        try:
            for number, source in saved.items():
                os.dup2(source, number)
            keep = sorted(places)
            for low, high in zip([-1, *keep], [*keep, last], strict=True):
                if low + 1 < high:  # closerange(0, 0) of CPython 3.11 closes all
                    os.closerange(low + 1, high)
            # Python ignores these two; qmail-smtpd's children start with defaults.
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            code = 61
            os.chdir(cwd)
            code = 120
            if prepare:
                prepare()
            os.execve(arguments[0], arguments, dict(env))
        finally:
            os._exit(code)
    finally:
        for source in saved.values():
            os.close(source)


def _lift(number: int) -> int:
    return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, FIRST_PRIVATE)


class _Watch:
    """The child and its time. Never two waits for one child."""

    def __init__(self, pid: int, timeout: float) -> None:
        self.pid = pid
        self.end = time.monotonic() + timeout
        self.pidfd = os.pidfd_open(pid)
        self.status: int | None = None

    def left(self) -> float:
        """Seconds until the watchdog bites; bites when there are none left."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise CallerTimeout(f"process {self.pid} did not end in time")
        return left

    def poll(self, number: int, events: int) -> None:
        """Until ``number`` is ready."""
        poller = select.poll()
        poller.register(number, events)
        while not poller.poll(self.left() * 1000):
            pass

    def ended(self) -> bool:
        """The child is dead (and perhaps not waited for)."""
        poller = select.poll()
        poller.register(self.pidfd, select.POLLIN)
        return bool(poller.poll(0))

    def wait(self) -> int:
        """The wait status."""
        self.poll(self.pidfd, select.POLLIN)
        self.status = os.waitpid(self.pid, 0)[1]
        return self.status

    def close(self) -> None:
        """Kill what is still there."""
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.pidfd)


def unread(number: int) -> int:
    """Bytes that wait in a pipe, asked at either end."""
    answer = fcntl.ioctl(number, termios.FIONREAD, b"\0" * 4)
    return int(struct.unpack("i", answer)[0])


def _write(
    number: int, data: bytes | Iterable[bytes], watch: _Watch, slow: bool
) -> int:
    """Write everything; the errno that stopped it, or 0."""
    os.set_blocking(number, False)
    chunks: Iterable[bytes]
    if isinstance(data, bytes):
        size = max(1, len(data) // 40) if slow else len(data) or 1
        chunks = (data[at : at + size] for at in range(0, len(data), size))
    else:
        chunks = data
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            try:
                view = view[os.write(number, view) :]
            except BlockingIOError:
                watch.poll(number, select.POLLOUT)
            except OSError as error:
                return error.errno or errno.EIO
        while slow and unread(number) and not watch.ended():
            watch.left()
            # Until the reader took it: a pipe has no event for "empty".
            select.select([watch.pidfd], [], [], 0.001)
    return 0


def _read_to_end(number: int, watch: _Watch) -> bytes:
    """The reject text: to end of file, as qmail_errstr() does, but all of it."""
    pieces: list[bytes] = []
    while True:
        watch.poll(number, select.POLLIN)
        data = os.read(number, PIPE_CAPACITY)
        if not data:
            return b"".join(pieces)
        pieces.append(data)


# The session of qmail-smtpd.


def smtp_session(queue: str) -> None:
    """Serve one client (RFC 5321, as far as qmail-smtpd goes)."""
    lines = os.fdopen(0, "rb", closefd=False)

    def say(text: str) -> None:
        os.write(1, text.encode("latin-1") + b"\r\n")

    sender: bytes | None = None
    recipients: list[bytes] = []
    say("220 mail.example.net ESMTP")
    for line in lines:
        verb, _, rest = line.strip().partition(b" ")
        verb = verb.upper()
        if verb in (b"HELO", b"EHLO"):
            say("250 mail.example.net")
        elif verb == b"MAIL":
            sender, recipients = _address(rest), []
            say("250 ok")
        elif verb == b"RCPT" and sender is not None:
            recipients.append(_address(rest))
            say("250 ok")
        elif verb == b"DATA" and sender is not None and recipients:
            say("354 go ahead")
            message = b"".join([_received(), *_data(lines)])
            result = call(queue, message, sender, recipients, env=dict(os.environ))
            os.write(2, result.stderr)
            say(result.smtp)
            sender = None
        elif verb == b"RSET":
            sender = None
            say("250 flushed")
        elif verb == b"QUIT":
            say("221 mail.example.net")
            return
        else:
            say("503 not now (#5.5.1)")


def _address(text: bytes) -> bytes:
    return text.partition(b"<")[2].partition(b">")[0]


def _received() -> bytes:
    ip = os.environb.get(b"TCPREMOTEIP", b"unknown")
    return b"Received: from unknown (%s)\n  by mail.example.net with SMTP\n" % ip


def _data(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a message, with bare LF and without the dots of RFC 5321 4.5.2."""
    for line in lines:
        if line == b".\r\n":
            return
        yield line.removeprefix(b".").removesuffix(b"\r\n") + b"\n"
    # The client is gone in the middle of a message: so is qmail-smtpd.
    sys.exit(1)


if __name__ == "__main__":
    smtp_session(os.environ.get("QMAILQUEUE") or sys.argv[1])
