# SPDX-License-Identifier: MIT
"""One line a message, on stderr (multilog) or to syslog.

Does: escape values so that nothing in a message can forge a line or a field; write
without ever blocking. Never does: raise, or change an outcome.
Limits: a line is cut at LINE bytes, what a pipe takes in one piece (PIPE_BUF, pipe(7)).
"""

import posix
import select

LINE = 4000
VALUE = 300  # characters of one value
SHORT = 60  # the same where the line would be too long
TINY = 15  # 20 fields of the widest escapes still fit

_FACILITIES = {
    "kern": 0,
    "user": 1,
    "mail": 2,
    "daemon": 3,
    "auth": 4,
    "local0": 16,
    "local1": 17,
    "local2": 18,
    "local3": 19,
    "local4": 20,
    "local5": 21,
    "local6": 22,
    "local7": 23,
}


def escape(value: str | bytes, limit: int = VALUE) -> str:
    """Printable ASCII; a value with blanks, or empty, stands in double quotes, and
    quotes and backslashes of its own are escaped."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if value.isascii() and value.isalnum() and len(value) <= limit:
        return value
    out = []
    blank = not value
    for character in value[:limit]:
        code = ord(character)
        if code == 32:
            blank = True
            out.append(character)
        elif 32 < code < 127 and character not in '\\"':
            out.append(character)
        elif code < 256:
            out.append(f"\\x{code:02x}")
        else:
            out.append(f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}")
    if len(value) > limit:
        out.append("...")
    text = "".join(out)
    return f'"{text}"' if blank else text


def compose(fields: list[tuple[str, str]]) -> bytes:
    """``qscan: key=value ...`` with every value escaped, at most LINE bytes; a line
    that would be longer has shorter values, not fewer fields."""
    for limit in (VALUE, SHORT, TINY):
        pieces = [f"{key}={escape(value, limit)}" for key, value in fields]
        text = "qscan: " + " ".join(pieces)
        if len(text) < LINE:
            break
    return text.encode("ascii", "replace") + b"\n"


def write(line: bytes, target: str, facility: str = "mail") -> None:
    """Send a line where the setting ``log.target`` says; trouble is nobody's."""
    try:
        if target == "stderr":
            # A blocked multilog must not hold up mail: no room, no line.
            poll = select.poll()
            poll.register(2, select.POLLOUT)
            ready = poll.poll(0)
            if ready and ready[0][1] & select.POLLOUT:
                posix.write(2, line)
        elif target == "syslog":
            import _socket

            priority = _FACILITIES.get(facility, 2) * 8 + 6
            text = b"<%d>qscan[%d]: %s" % (priority, posix.getpid(), line[7:-1])
            kind = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC
            out = _socket.socket(_socket.AF_UNIX, kind)
            try:
                out.setblocking(False)
                out.sendto(text, "/dev/log")
            finally:
                out.close()
    except OSError:
        return
