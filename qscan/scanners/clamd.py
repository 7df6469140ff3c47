# SPDX-License-Identifier: MIT
"""Our clamd client: descriptors or streams in one IDSESSION, answers matched by id.

Does: offer items as they become ready, so that clamd works while we unpack; parse every
reply into a closed set; start again where an answer is missing, for a bounded time.
Never does: take anything but a complete ``OK`` for clean; have more than AHEAD commands
unanswered, so that neither side can block the other.
Raises: nothing but ``fdio.Stop`` - trouble becomes a ScanReply with FAILED.
Source: clamd(8) of ClamAV 1.x, COMMANDS.
"""

import _socket
import posix
import select
import sys
import time

from qscan.fdio import O_READ, WINDOW, Deadline
from qscan.model import FAILED, SCANNED, UNSCANNABLE, Item, ScanReply

AHEAD = 8  # commands in flight; their answers fit into any socket buffer
LEAVE_SECONDS = 2.0  # for each answer that is out when we must end
REPLY_LIMIT = 65536  # bytes of one answer
RETRIES = 50  # connections for one message: an item that kills clamd ends here
RETRY_PAUSE = 0.1  # seconds, doubled up to RETRY_PAUSE_MAX
RETRY_PAUSE_MAX = 1.0


class Trouble(Exception):
    """This connection is of no use any more: why."""


def parse_reply(raw: bytes) -> ScanReply:
    """The text after the id, without its NUL, to the closed set."""
    if raw.endswith(b" FOUND"):
        _, colon, name = raw[: -len(b" FOUND")].rpartition(b": ")
        if colon and name:
            return ScanReply(SCANNED, [name.decode("latin-1")])
        return ScanReply(FAILED, [], "FOUND without a name")
    if raw.endswith(b": OK"):
        return ScanReply(SCANNED, [])
    if raw.endswith(b" ERROR"):
        text = raw[: -len(b" ERROR")].decode("latin-1")
        if "size limit exceeded" in text:
            return ScanReply(UNSCANNABLE, [], text)
        return ScanReply(FAILED, [], text)
    return ScanReply(FAILED, [], "reply not understood: " + repr(raw[:100]))


def parse_id(raw: bytes) -> tuple[int, bytes]:
    """``<n>: rest`` -> (n, rest); raises Trouble when it is none."""
    number, colon, rest = raw.partition(b": ")
    if not colon or not number.isdigit() or len(number) > 9:
        raise Trouble("reply without id: " + repr(raw[:100]))
    return int(number), rest


class Address:
    """``unix:/path`` or ``tcp:host:port`` (``tcp:[v6]:port``)."""

    __slots__ = ("family", "target")

    def __init__(self, text: str) -> None:
        if text.startswith("tcp:"):
            host, _, port = text[4:].rpartition(":")
            host = host.strip("[]")
            self.family = _socket.AF_INET6 if ":" in host else _socket.AF_INET
            self.target: object = (host, int(port))
        else:
            self.family = _socket.AF_UNIX
            self.target = text.removeprefix("unix:")

    def connect(self, seconds: float) -> _socket.socket:
        """A connected socket; raises OSError."""
        kind = _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC
        connection = _socket.socket(self.family, kind)
        try:
            connection.settimeout(max(0.001, seconds))
            connection.connect(self.target)  # type: ignore[arg-type]
        except BaseException:
            connection.close()
            raise
        return connection


class Session:
    """Scans the items of one message.

    ``submit(key, path or fd)`` as they come, then ``drain()``, then ``close()``;
    ``replies`` maps keys to ScanReply. A descriptor given stays the caller's.
    """

    __slots__ = (
        "address",
        "ahead",
        "answer_seconds",
        "buffer",
        "connect_seconds",
        "connection",
        "deadline",
        "failing_since",
        "last_trouble",
        "pause",
        "pending",
        "replies",
        "retries",
        "retry_seconds",
        "sent",
        "silent",
        "waiting",
    )

    def __init__(
        self,
        address: str,
        connect_seconds: float,
        answer_seconds: float,
        retry_seconds: float,
        deadline: Deadline,
    ) -> None:
        self.address = Address(address)
        self.connect_seconds = connect_seconds
        self.ahead = AHEAD
        self.answer_seconds = answer_seconds
        self.retry_seconds = retry_seconds
        self.deadline = deadline
        self.connection: _socket.socket | None = None
        self.buffer = b""
        self.sent = 0
        self.pending: list[tuple[str, str | int]] = []
        self.waiting: dict[int, tuple[str, str | int]] = {}
        self.replies: dict[str, ScanReply] = {}
        self.failing_since = 0.0
        self.pause = RETRY_PAUSE
        self.last_trouble = ""
        self.retries = 0
        self.silent = False

    def alone(self) -> None:
        """What is submitted next is asked alone, the rest after its answer."""
        self.ahead = 1

    def offer(self, item: Item) -> None:
        """Submit an unpacked item under its path; empty files need no scan."""
        if item.file is None:
            return
        if not item.size:
            item.scan = "clean"
            return
        self.submit(item.path, item.file)

    def submit(self, key: str, source: str | int) -> None:
        """Offer one file (path on disk or open descriptor)."""
        self.pending.append((key, source))
        if self.failing_since:
            # clamd is in trouble: unpack first, insist in drain().
            return
        try:
            while len(self.waiting) >= self.ahead and self._answered():
                self._read_reply()
            self._push()
        except (OSError, Trouble) as error:
            self._lost(error)

    def drain(self) -> None:
        """Wait for all answers; afterwards every submitted key has a reply."""
        while self.pending or self.waiting:
            try:
                self._push()
                if self.waiting:
                    self._read_reply()
            except (OSError, Trouble) as error:
                self._lost(error)
                if not self._again():
                    self._give_up()

    def close(self) -> None:
        """Hang up; clamd drops what it still has of this session."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def leave(self) -> None:
        """End before the answers are in: ask nothing more, hear out what was asked.

        clamd (1.4.6) keeps the descriptors of a session that is dropped with questions
        open, and with them the disk space of our files, until it is restarted.
        """
        self.pending.clear()
        self.answer_seconds = min(self.answer_seconds, LEAVE_SECONDS)
        try:
            while self.waiting:
                self._read_reply()
        except (OSError, Trouble):
            self.waiting.clear()
        self.close()

    # -- sending ------------------------------------------------------------------

    def _push(self) -> None:
        while self.pending and len(self.waiting) < self.ahead:
            if self.connection is None:
                self._connect()
            key, source = self.pending[0]
            self._send(key, source)
            self.pending.pop(0)

    def _connect(self) -> None:
        seconds = min(self.connect_seconds, self.deadline.left())
        self.connection = self.address.connect(seconds)
        self.buffer = b""
        self.sent = 0
        self._timeout()
        self.connection.sendall(b"zIDSESSION\0")

    def _timeout(self) -> None:
        seconds = min(self.answer_seconds, self.deadline.left())
        if seconds <= 0:
            raise Trouble("deadline reached")
        if self.connection is not None:
            self.connection.settimeout(seconds)

    def _send(self, key: str, source: str | int) -> None:
        connection = self.connection
        if connection is None:
            raise Trouble("not connected")
        if isinstance(source, int):
            fd = source
        else:
            try:
                fd = posix.open(source, O_READ)
            except OSError as error:
                # Ours, not clamd's: asking again would not help.
                self.replies[key] = ScanReply(FAILED, [], f"part unreadable: {error}")
                return
        try:
            self._timeout()
            self.sent += 1
            self.waiting[self.sent] = (key, source)
            if self.address.family == _socket.AF_UNIX:
                connection.sendall(b"zFILDES\0")
                packed = fd.to_bytes(4, sys.byteorder)
                rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)]
                connection.sendmsg([b"\0"], rights)
            else:
                self._stream(connection, fd)
        finally:
            if fd != source:
                posix.close(fd)

    def _stream(self, connection: _socket.socket, fd: int) -> None:
        try:
            connection.sendall(b"zINSTREAM\0")
            position = 0
            while True:
                data = posix.pread(fd, WINDOW, position)
                if not data:
                    break
                position += len(data)
                self._timeout()
                connection.sendall(len(data).to_bytes(4, "big"))
                connection.sendall(data)
            connection.sendall(b"\0\0\0\0")
        except (BrokenPipeError, ConnectionResetError):
            # clamd hangs up over StreamMaxLength, but says so before: the reply is
            # read in its turn.
            return

    # -- receiving ----------------------------------------------------------------

    def _answered(self) -> bool:
        """True when an answer, or the end of the connection, is there to be read."""
        if b"\0" in self.buffer:
            return True
        if self.connection is None:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def _read_reply(self) -> None:
        """Take one answer; raises Trouble or OSError."""
        connection = self.connection
        if connection is None:
            raise Trouble("connection lost")
        while b"\0" not in self.buffer:
            self._timeout()
            data = connection.recv(8192)
            if not data:
                raise Trouble("clamd closed the connection before it answered")
            self.buffer += data
            if len(self.buffer) > REPLY_LIMIT:
                raise Trouble("endless reply")
        raw, _, self.buffer = self.buffer.partition(b"\0")
        number, rest = parse_id(raw)
        if number not in self.waiting:
            raise Trouble(f"answer to a question that was not asked: {number}")
        key, _ = self.waiting.pop(number)
        self.failing_since = 0.0
        self.pause = RETRY_PAUSE
        self.replies[key] = parse_reply(rest)
        self.ahead = AHEAD

    # -- trouble ------------------------------------------------------------------

    def _lost(self, error: Exception) -> None:
        """Drop the connection; what has no answer is asked again."""
        self.close()
        self.last_trouble = str(error) or type(error).__name__
        # A silent clamd was given its whole time already; a refusal may pass.
        self.silent = isinstance(error, TimeoutError) and bool(self.waiting)
        self.pending[:0] = [
            entry for entry in self.waiting.values() if entry not in self.pending
        ]
        self.waiting.clear()
        if not self.failing_since:
            self.failing_since = time.monotonic()
        self.retries += 1

    def _again(self) -> bool:
        """Wait a little for clamd to come back; False when patience is over."""
        spent = time.monotonic() - self.failing_since
        left = min(self.retry_seconds - spent, self.deadline.left())
        if left <= 0 or self.silent or self.retries > RETRIES:
            return False
        # A bounded pause between attempts, not a wait for a known event.
        time.sleep(min(self.pause, left))
        self.pause = min(self.pause * 2, RETRY_PAUSE_MAX)
        return True

    def _give_up(self) -> None:
        for key, _ in self.pending:
            self.replies[key] = ScanReply(FAILED, [], self.last_trouble)
        self.pending.clear()
        self.waiting.clear()
