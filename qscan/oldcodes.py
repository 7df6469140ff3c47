# SPDX-License-Identifier: MIT
"""Older ways to put files into text: yEnc, BinHex 4.0, AppleSingle.

Does: decoders with ``feed(bytes) -> bytes`` and ``finish() -> bytes`` as in
``transfer``; ``name`` is what the block calls the file. Never does: raise on content,
hold more than a window and the small headers of these formats.
Source: yEnc draft 1.3 (Helbing, 2002), RFC 1741 (BinHex), RFC 1740 (AppleSingle).
"""

from __future__ import annotations

from qscan.transfer import Base64

YBEGIN = b"=ybegin "
BINHEX = b"(This file must be converted with BinHex"
APPLE_SINGLE = b"\x00\x05\x16\x00"
APPLE_DOUBLE = b"\x00\x05\x16\x07"
RATIO = 100  # of what a window of gzip64 may become
FREE = 262144
_LINE = 65536  # bytes of a line without end that are held

_MINUS_42 = bytes((c - 42) & 255 for c in range(256))


class YEnc:
    """One file in yEnc, from its ``=ybegin`` line to ``=yend``, or all that is given
    when there is no such line. ``used`` bytes are behind us once it is ``done``."""

    __slots__ = ("begun", "done", "escaped", "name", "odd", "rest", "used")

    def __init__(self) -> None:
        self.done = False
        self.odd: list[str] = []
        self.rest = b""
        self.name = b""
        self.begun = False
        self.escaped = False
        self.used = 0

    def feed(self, data: bytes) -> bytes:
        """Decode the next window."""
        lines = (self.rest + data).split(b"\n")
        self.rest = lines.pop()
        out: list[bytes] = []
        for line in lines:
            self.used += len(line) + 1
            out.append(self._line(line))
            if self.done:
                self.rest = b""
                break
        if len(self.rest) > _LINE:
            self.used += len(self.rest)
            out.append(self._decode(self.rest))
            self.rest = b""
        return b"".join(out)

    def _line(self, line: bytes) -> bytes:
        line = line.removesuffix(b"\r")
        if line.startswith(b"=y"):
            if line.startswith(YBEGIN):
                if self.begun:
                    self.done = True
                self.begun = True
                name = line.partition(b" name=")[2].strip()
                self.name = name.strip(b'"') or self.name
            elif line.startswith(b"=yend"):
                self.done = True
            return b""
        return self._decode(line)

    def _decode(self, line: bytes) -> bytes:
        line = line.translate(None, b"\r")
        if self.escaped and line:
            line = bytes([(line[0] - 64) & 255]) + line[1:]
            self.escaped = False
        if b"=" not in line:
            return line.translate(_MINUS_42)
        first, *pieces = line.split(b"=")
        out = bytearray(first)
        empty = False
        for piece in pieces:
            if empty:
                # "==": the second is the escaped byte.
                out.append((61 - 64) & 255)
                out += piece
                empty = False
            elif piece:
                out.append((piece[0] - 64) & 255)
                out += piece[1:]
            else:
                empty = True
        self.escaped = empty
        return bytes(out).translate(_MINUS_42)

    def finish(self) -> bytes:
        """What is left at the end of the input."""
        rest, self.rest = self.rest, b""
        self.used += len(rest)
        return b"" if self.done or not rest else self._line(rest)


_HQX = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr"
_B64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_TO_BASE64 = bytes.maketrans(_HQX, _B64)
_NOT_HQX = bytes(c for c in range(256) if c not in _HQX)


class BinHex:
    """One file in BinHex 4.0: both forks, one behind the other, the data fork first.

    ``fork`` is the length of the data fork once the header was read, -1 before.
    A run is expanded as it stands; the limit on what is written bounds it.
    """

    __slots__ = (
        "begun",
        "done",
        "fork",
        "head",
        "last",
        "left",
        "name",
        "odd",
        "rest",
        "used",
    )

    def __init__(self) -> None:
        self.done = False
        self.odd: list[str] = []
        self.name = b""
        self.fork = -1
        self.used = 0
        self.begun = False
        self.rest = b""  # characters that do not fill a group, or the sign not yet seen
        self.last = b""  # bytes at the end that may belong to a run
        self.head = b""
        self.left: list[int] = []

    def feed(self, data: bytes) -> bytes:
        """Decode the next window."""
        if self.done:
            return b""
        if not self.begun:
            data = self.rest + data
            self.rest = b""
            # The data begins with a colon at the start of a line.
            start = 0 if data.startswith(b":") else data.find(b"\n:") + 1
            if start == 0 and not data.startswith(b":"):
                self.rest = data[-1024:]
                self.used += len(data) - len(self.rest)
                return b""
            self.begun = True
            self.used += start + 1
            data = data[start + 1 :]
        end = data.find(b":")
        if end >= 0:
            self.done = True
            data = data[:end]
            self.used += 1
        self.used += len(data)
        return self._take(data, end >= 0)

    def _take(self, data: bytes, last: bool) -> bytes:
        import binascii

        clean = self.rest + data.translate(None, _NOT_HQX)
        whole = len(clean) & ~3
        self.rest = clean[whole:]
        out = binascii.a2b_base64(clean[:whole].translate(_TO_BASE64))
        if last and len(self.rest) > 1:
            tail = self.rest.translate(_TO_BASE64)
            out += binascii.a2b_base64(tail + b"=" * (-len(tail) % 4))
            self.rest = b""
        return self._forks(self._runs(out, last))

    def _runs(self, data: bytes, last: bool) -> bytes:
        """Expand runs: byte, 0x90, count (RFC 1741 appendix A)."""
        data = self.last + data
        self.last = b""
        if not last and data:
            keep = 1 + (data[-1:] == b"\x90") + (data[-2:-1] == b"\x90")
            while keep < len(data) and data[-keep] == 0x90:
                keep += 1
            self.last = data[-keep:]
            data = data[:-keep]
        if b"\x90" not in data:
            return data
        out = bytearray()
        position = 0
        while True:
            sign = data.find(b"\x90", position)
            if sign < 0 or sign + 1 >= len(data):
                out += data[position:]
                break
            out += data[position:sign]
            count = data[sign + 1]
            if count == 0:
                out.append(0x90)
            elif out:
                out += out[-1:] * (count - 1)
            position = sign + 2
        return bytes(out)

    def _forks(self, data: bytes) -> bytes:
        """Take header and check sums away, leave the contents of the forks."""
        if self.fork < 0:
            self.head += data
            if not self.head:
                return b""
            length = self.head[0]
            if len(self.head) < length + 22:
                return b""
            fields = self.head[length + 2 :]
            self.name = self.head[1 : 1 + length]
            self.fork = int.from_bytes(fields[10:14], "big")
            resource = int.from_bytes(fields[14:18], "big")
            # Data fork, its check sum, resource fork.
            self.left = [self.fork, 2, resource]
            data = fields[20:]
            self.head = b""
        out: list[bytes] = []
        while data and self.left:
            piece = data[: self.left[0]]
            data = data[len(piece) :]
            if len(self.left) != 2:
                out.append(piece)
            self.left[0] -= len(piece)
            if self.left[0]:
                break
            del self.left[0]
        return b"".join(out)

    def finish(self) -> bytes:
        """What is left at the end of the input."""
        if self.done or not self.begun:
            return b""
        self.done = True
        return self._take(b"", True)


class MarkedBase64:
    """base64 up to the line of four ``=`` that ends it in ``uuencode -m``."""

    __slots__ = ("coder", "done", "odd", "rest", "used")

    def __init__(self) -> None:
        self.coder = Base64()
        self.done = False
        self.odd: list[str] = []
        self.rest = b""
        self.used = 0

    def feed(self, data: bytes) -> bytes:
        """Decode the next window."""
        data = self.rest + data
        end = 0 if data.startswith(b"====") else data.find(b"\n====") + 1
        if end or data.startswith(b"===="):
            self.done = True
            self.rest = b""
            self.used += end + 4
            return self.coder.feed(data[:end])
        self.rest = data[-5:]
        data = data[:-5]
        self.used += len(data)
        return self.coder.feed(data)

    def finish(self) -> bytes:
        """What is left at the end of the input."""
        rest, self.rest = self.rest, b""
        self.used += len(rest)
        return self.coder.feed(rest) + self.coder.finish()


class Folded:
    """base64 in a content line of a calendar or card: up to the first line that is no
    continuation (RFC 5545 section 3.1)."""

    __slots__ = ("coder", "done", "name", "odd", "rest", "used")

    def __init__(self) -> None:
        self.coder = Base64()
        self.done = False
        self.name = b""
        self.odd: list[str] = []
        self.rest = b""
        self.used = 0

    def feed(self, data: bytes) -> bytes:
        """Decode the next window."""
        data = self.rest + data
        position = 0
        while True:
            end = data.find(b"\n", position)
            if end < 0 or end + 1 >= len(data):
                break
            if data[end + 1] not in b" \t":
                self.done = True
                self.rest = b""
                self.used += end + 1
                return self.coder.feed(data[:end])
            position = end + 1
        cut = len(data) if not data.endswith(b"\n") else len(data) - 1
        self.rest = data[cut:]
        self.used += cut
        return self.coder.feed(data[:cut])

    def finish(self) -> bytes:
        """What is left at the end of the input."""
        self.used += len(self.rest)
        return self.coder.finish()


class Gzip64:
    """base64 of a gzip or zlib stream (``gzip64``). A window may become RATIO times as
    long, and FREE bytes; more ends the stream (``limit-archive-ratio``)."""

    __slots__ = ("coder", "done", "odd", "stream")

    def __init__(self) -> None:
        import zlib

        self.coder = Base64()
        self.stream = zlib.decompressobj(47)
        self.done = False
        self.odd: list[str] = []

    def feed(self, data: bytes) -> bytes:
        """Decode the next window."""
        return self._inflate(self.coder.feed(data))

    def _inflate(self, data: bytes) -> bytes:
        import zlib

        if self.done or not data:
            return b""
        try:
            out = self.stream.decompress(data, FREE + RATIO * len(data))
        except zlib.error:
            self.done = True
            return b""
        if self.stream.unconsumed_tail:
            self.odd.append("limit-archive-ratio")
            self.done = True
        if self.stream.eof:
            self.done = True
        return out

    def finish(self) -> bytes:
        """What is left at the end of the input."""
        return self._inflate(self.coder.finish())


def forks(head: bytes) -> list[tuple[int, int, int]]:
    """(entry id, offset, length) of the entries of an AppleSingle or AppleDouble file
    (RFC 1740 appendix A): 1 is the data fork, 2 the resource fork, 3 the name."""
    if not head.startswith((APPLE_SINGLE, APPLE_DOUBLE)) or len(head) < 26:
        return []
    count = min(int.from_bytes(head[24:26], "big"), 64)
    found = []
    for index in range(count):
        entry = head[26 + 12 * index : 38 + 12 * index]
        if len(entry) == 12:
            found.append(
                (
                    int.from_bytes(entry[:4], "big"),
                    int.from_bytes(entry[4:8], "big"),
                    int.from_bytes(entry[8:12], "big"),
                )
            )
    return found
