# SPDX-License-Identifier: MIT
"""A scripted clamd: one thread, one script for each connection.

A script is a function of one ``Connection``. It speaks the protocol as far as the test
wants and then misbehaves. The ready-made ones are at the end of this file; the last
script of a list serves all further connections.

What a client does wrong (bytes without NUL, FILDES without a descriptor, more bytes
than announced) is an error of the script: it is kept and raised by ``close``.
"""

from __future__ import annotations

import array
import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

#: No script may wait longer than that for its client, in seconds.
PATIENCE = 60.0


class ScriptError(Exception):
    """The client did something that a real clamd would not understand."""


class Gone(Exception):
    """The client closed the connection where the script wanted more."""


class Connection:
    """One accepted connection, as scripts see it.

    ``files`` holds the contents of everything that came for scanning, in order, by
    FILDES or INSTREAM; ``commands`` every command.
    """

    def __init__(self, server: FakeClamd, link: socket.socket) -> None:
        self.server = server
        self.link = link
        self.buffer = b""
        self.descriptors: list[int] = []
        self.files: list[bytes] = []
        self.commands: list[bytes] = []
        self.session = False
        self.ended = False
        self.keep = False
        self.kept: list[int] = []
        self.count = 0
        link.settimeout(PATIENCE)

    # what the client says

    def more(self) -> None:
        """Wait for bytes (and descriptors)."""
        room = socket.CMSG_SPACE(16 * array.array("i").itemsize)
        self.server.wait_readable(self.link)
        data, ancillary, flags, _ = self.link.recvmsg(65536, room)
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers = array.array("i")
                numbers.frombytes(payload[: len(payload) - len(payload) % 4])
                self.descriptors.extend(numbers)
        if flags & socket.MSG_CTRUNC:
            raise ScriptError("more descriptors at once than anybody sends")
        if not data:
            raise Gone("end of file")
        self.buffer += data

    def exactly(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        while len(self.buffer) < size:
            self.more()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def command(self) -> bytes:
        """The next command, without its z or n and its end."""
        first = self.exactly(1)
        if first not in (b"z", b"n"):
            raise ScriptError(f"{first!r} is no beginning of a command")
        end = b"\0" if first == b"z" else b"\n"
        while end not in self.buffer:
            self.more()
        name, self.buffer = self.buffer.split(end, 1)
        self.commands.append(name)
        if name == b"IDSESSION":
            self.session = True
        elif self.session:
            self.count += 1
        return name

    def fildes(self) -> bytes:
        """What comes after FILDES: one byte with a descriptor. Its content."""
        self.exactly(1)
        if not self.descriptors:
            raise ScriptError("FILDES without a descriptor")
        number = self.descriptors.pop(0)
        try:
            size = os.fstat(number).st_size
            # As clamd reads it: from the beginning, wherever the offset is.
            content = b""
            while len(content) < size:
                piece = os.pread(number, size - len(content), len(content))
                if not piece:
                    break
                content += piece
        finally:
            if self.keep:
                self.kept.append(number)
            else:
                os.close(number)
        self.files.append(content)
        return content

    def instream(self) -> bytes:
        """What comes after INSTREAM: lengths and data. The content."""
        pieces = []
        while True:
            size = struct.unpack(">I", self.exactly(4))[0]
            if not size:
                break
            pieces.append(self.exactly(size))
        self.files.append(b"".join(pieces))
        return self.files[-1]

    def request(self) -> tuple[int, bytes, bytes]:
        """The next command that wants an answer: id (0 = no session), name, content.

        Raises Gone at the end of the session.
        """
        while True:
            name = self.command()
            number = self.count
            if name == b"IDSESSION":
                continue
            if name == b"END":
                self.ended = True
                raise Gone("END")
            content = b""
            if name == b"FILDES":
                content = self.fildes()
            elif name == b"INSTREAM":
                content = self.instream()
            return number, name, content

    # what we say

    def send(self, data: bytes) -> None:
        """Raw bytes."""
        self.link.sendall(data)

    def reply(self, number: int, text: bytes) -> None:
        """A reply as clamd forms it, with the id when in a session."""
        self.send((b"%d: " % number if self.session else b"") + text + b"\0")

    def answer(self, number: int, name: bytes, content: bytes) -> None:
        """The reply of a healthy clamd; ``server.infected`` bytes are found."""
        if name == b"PING":
            self.reply(number, b"PONG")
        elif name == b"VERSION":
            self.reply(number, self.server.version)
        elif name == b"FILDES":
            self.reply(number, b"fd[10]: " + self.server.judge(content))
        elif name == b"INSTREAM":
            self.reply(number, b"stream: " + self.server.judge(content))
        else:
            self.reply(number, b"UNKNOWN COMMAND")

    def reset(self) -> None:
        """Close so that the client gets ECONNRESET (TCP) or a plain end (unix)."""
        self.link.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.link.close()

    def until_gone(self) -> None:
        """Say nothing, read on, until the client goes."""
        while True:
            self.more()
            self.buffer = b""

    def close(self) -> None:
        """Let go of everything."""
        for number in self.descriptors + self.kept:
            os.close(number)
        self.descriptors = []
        self.link.close()


Script = Callable[[Connection], None]


class FakeClamd:
    """The server. ``address`` is ``unix:PATH`` or ``tcp:127.0.0.1`` (a free port).

    ``connections`` are all accepted ones with what they brought; ``accepted`` their
    number. ``judge`` gives the verdict of a healthy answer: ``reply`` for content that
    contains ``infected``.
    """

    def __init__(
        self,
        address: str,
        scripts: Iterable[Script] = (),
        *,
        listen: bool = True,
        infected: bytes = b"",
        reply: bytes = b"Fake.Virus FOUND",
        version: bytes = b"ClamAV 0.0.0/1/Thu Jan  1 00:00:00 1970",
    ) -> None:
        self.scripts = list(scripts) or [healthy]
        self.infected = infected
        self.found = reply
        self.version = version
        self.connections: list[Connection] = []
        self.errors: list[Exception] = []
        self.changed = threading.Condition()
        self.accepted = 0
        self.listener: socket.socket | None = None
        self.workers: list[threading.Thread] = []
        self.stopping = False
        self.wake_out, self.wake_in = os.pipe()
        self.kind, _, place = address.partition(":")
        self.path = place
        self.port = 0
        if listen or self.kind == "tcp":
            self.listen()
        if not listen:
            self.refuse()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(check=error is None)

    @property
    def address(self) -> str:
        """For the setting ``clamd.address``."""
        if self.kind == "unix":
            return "unix:" + self.path
        return f"tcp:127.0.0.1:{self.port}"

    @property
    def files(self) -> list[bytes]:
        """Everything that any client wanted scanned."""
        return [content for link in self.connections for content in link.files]

    def judge(self, content: bytes) -> bytes:
        """The end of a healthy answer."""
        if self.infected and self.infected in content:
            return self.found
        return b"OK"

    # the listener

    def listen(self) -> None:
        """Begin to accept (again)."""
        if self.kind == "unix":
            listener = socket.socket(socket.AF_UNIX)
            if os.path.exists(self.path):
                os.unlink(self.path)
            listener.bind(self.path)
            os.chmod(self.path, 0o777)
        else:
            listener = socket.socket(socket.AF_INET)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
            self.port = listener.getsockname()[1]
        listener.listen(16)
        self.listener = listener
        worker = threading.Thread(target=self._accept, args=(listener,), daemon=True)
        self.workers.append(worker)
        worker.start()

    def refuse(self, remove: bool = False) -> None:
        """No listener any more: connections are refused; ``remove`` the socket too."""
        listener, self.listener = self.listener, None
        if listener:
            # shutdown wakes the thread that sits in accept.
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # ENOTCONN of a listening TCP socket; it wakes all the same
            listener.close()
        if remove and self.kind == "unix" and os.path.exists(self.path):
            os.unlink(self.path)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            with self.changed:
                script = self.scripts[min(self.accepted, len(self.scripts) - 1)]
                self.accepted += 1
                connection = Connection(self, link)
                self.connections.append(connection)
                worker = threading.Thread(
                    target=self._serve, args=(script, connection), daemon=True
                )
                self.workers.append(worker)
                worker.start()
                self.changed.notify_all()

    def _serve(self, script: Script, connection: Connection) -> None:
        try:
            script(connection)
        except (Gone, BrokenPipeError, ConnectionResetError):
            pass  # a client may leave whenever it likes
        except Exception as error:
            self.errors.append(error)
        finally:
            connection.close()
            with self.changed:
                self.changed.notify_all()

    # for scripts and tests

    def wait_readable(self, link: socket.socket) -> None:
        """Until there is something to read, or the server is being closed."""
        waits = [link.fileno(), self.wake_out]
        ready, _, _ = select.select(waits, [], [], PATIENCE)
        if self.wake_out in ready:
            raise Gone("the server is being closed")
        if not ready:
            raise ScriptError("the client is silent")

    def until_closed(self) -> None:
        """Until the test is over."""
        select.select([self.wake_out], [], [], PATIENCE)

    def wait_hung_up(self, link: socket.socket) -> None:
        """Until the other side closed, without reading a byte."""
        poller = select.poll()
        poller.register(link, select.POLLRDHUP)
        poller.register(self.wake_out, select.POLLIN)
        if not poller.poll(PATIENCE * 1000):
            raise ScriptError("the client waits for ever")

    def wait_accepted(self, count: int, seconds: float = PATIENCE) -> None:
        """Until that many connections came."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.accepted >= count, seconds):
                raise AssertionError(f"{self.accepted} connections, not {count}")

    def close(self, check: bool = True) -> None:
        """Stop everything; raise the first error of a script."""
        self.refuse(remove=True)
        os.write(self.wake_in, b"x")
        for worker in list(self.workers):
            worker.join(PATIENCE)
        os.close(self.wake_in)
        os.close(self.wake_out)
        if check and self.errors:
            raise self.errors[0]


# Scripts.


def healthy(link: Connection) -> None:
    """Answer everything at once."""
    while True:
        link.answer(*link.request())


def silent(link: Connection) -> None:
    """Read and never answer."""
    link.until_gone()


def keeps(link: Connection) -> None:
    """Silent, and the descriptors stay open here until the server is closed."""
    link.keep = True
    try:
        while True:
            link.request()
    except Gone:
        link.server.until_closed()


def deaf(link: Connection) -> None:
    """Not even read, until the client goes."""
    link.server.wait_hung_up(link.link)


def says(text: bytes, *, then_close: bool = True) -> Script:
    """Answer the first scan with these bytes and nothing else; ``%d`` is its id."""

    def script(link: Connection) -> None:
        while True:
            number, name, content = link.request()
            if name not in (b"FILDES", b"INSTREAM"):
                link.answer(number, name, content)
                continue
            link.send(text.replace(b"%d", b"%d" % number))
            break
        if not then_close:
            link.until_gone()

    return script


def verdicts(text: bytes) -> Script:
    """Answer every scan with this text (id and NUL are added)."""

    def script(link: Connection) -> None:
        while True:
            number, name, content = link.request()
            if name in (b"FILDES", b"INSTREAM"):
                link.reply(number, text)
            else:
                link.answer(number, name, content)

    return script


def byte_by_byte(link: Connection) -> None:
    """Healthy, one byte a packet."""
    whole = link.send

    def dribble(data: bytes) -> None:
        for at in range(len(data)):
            whole(data[at : at + 1])

    link.send = dribble  # type: ignore[method-assign]
    healthy(link)


def gather(link: Connection, quiet: float = 0.2) -> list[tuple[int, bytes, bytes]]:
    """All requests that come before the client waits for answers.

    ``quiet`` seconds without a byte mean that it waits; too short a time only makes
    the groups smaller.
    """
    requests = [link.request()]
    while link.buffer or select.select([link.link], [], [], quiet)[0]:
        try:
            requests.append(link.request())
        except Gone:
            break
    return requests


def backwards(link: Connection) -> None:
    """Healthy, but the answers of each group come last first."""
    while not link.ended:
        for request in reversed(gather(link)):
            link.answer(*request)


def resets(after: int) -> Script:
    """Reset the connection after that many requests were read, unanswered."""

    def script(link: Connection) -> None:
        for _ in range(after):
            link.request()
        link.reset()

    return script


def closes_at_once(link: Connection) -> None:
    """Accept and hang up."""
    link.link.shutdown(socket.SHUT_RDWR)
