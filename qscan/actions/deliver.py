# SPDX-License-Identifier: MIT
"""The last step: header lines on top, then the real qmail-queue in our place.

Does: write our header lines into the room at the head of the spool file, give the
caller's state back, exec. Never does: return when it succeeded.
Raises: OSError when the program cannot be executed.
"""

import posix

from qscan.fdio import Signals, pending
from qscan.spool import RESERVE

FOLD = 76  # characters of a header line


def header_lines(fields: list[tuple[str, str]], newline: bytes = b"\n") -> bytes:
    """Fold fields at blanks; values are reduced to printable ASCII, so that nothing
    from the mail can start a line. Fields that do not fit the room are left out."""
    out = b""
    for name, value in fields:
        text = "".join(c if 32 <= ord(c) < 127 else "?" for c in value)
        lines = []
        line = name + ":"
        for word in text.split():
            if len(line) + 1 + len(word) > FOLD and line.strip():
                lines.append(line)
                line = ""
            line += " " + word[:200]
        lines.append(line)
        field = newline.join(one.encode("ascii") for one in lines) + newline
        if len(out) + len(field) <= RESERVE:
            out += field
    return out


def place(fd: int, lines: bytes) -> None:
    """Right-align the lines before the message; leaves the offset at their start."""
    if lines:
        posix.pwrite(fd, lines, RESERVE - len(lines))
    posix.lseek(fd, RESERVE - len(lines), 0)


def environment() -> dict[bytes, bytes]:
    """The environment as we received it.

    The interpreter may add LC_CTYPE (PEP 538); the kernel's copy tells.
    """
    received = dict(posix.environ)
    if received.get(b"LC_CTYPE") in (b"C.UTF-8", b"C.utf8", b"UTF-8"):
        fd = posix.open("/proc/self/environ", posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            raw = b""
            while True:
                data = posix.read(fd, 65536)
                if not data:
                    break
                raw += data
        finally:
            posix.close(fd)
        if b"LC_CTYPE=" + received[b"LC_CTYPE"] not in raw.split(b"\0"):
            del received[b"LC_CTYPE"]
    return received


def run(program: str, fd: int, envelope: int, signals: Signals, umask: int) -> None:
    """Become qmail-queue (qmail-queue(8)); raises OSError."""
    received = environment()
    posix.lseek(envelope, 0, 0)
    posix.dup2(fd, 0)
    posix.dup2(envelope, 1)
    posix.umask(umask)
    signals.give_back()
    if pending():
        return
    posix.execve(program, [program], received)
