# SPDX-License-Identifier: MIT
"""Other ways to decode a damaged transfer encoding.

Does: name, for what the usual decoder found odd, the decoders of other mail clients;
list where in a region such a decoder may begin. Never does: raise on content, hold more
than a window. Imported only when something was odd: real mail hardly ever is.
Source: RFC 2045 sections 6.7 and 6.8 leave open what is done about errors; the readings
here are those seen in clients.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable

from qscan.transfer import Base64, QuotedPrintable
from qscan.transfer import Decoder as AnyDecoder

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_KEPT = ALPHABET + b"="
_JUNK = bytes(c for c in range(256) if c not in _KEPT)
_BLANKS = b" \t\r\n\x0b\x0c\0"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_PIECE = 65536  # bytes of a line without end that are taken as one
STARTS = 8  # places where a region of base64 may begin, besides its start
FIRST = 16  # lines that are looked at for such places

Line = Callable[[bytes], bytes]


class ByLine:
    """Gives every line (with its end) through ``change`` to ``coder``."""

    __slots__ = ("change", "coder", "done", "odd", "rest")

    def __init__(self, change: Line, coder: Base64 | QuotedPrintable) -> None:
        self.change = change
        self.coder = coder
        self.done = False
        self.odd: list[str] = []
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Decode the next window."""
        lines = (self.rest + data).split(b"\n")
        self.rest = lines.pop()
        text = b"".join([self.change(line + b"\n") for line in lines])
        if len(self.rest) > _PIECE:
            cut = self.rest.rfind(b"=", len(self.rest) - 4)
            cut = len(self.rest) & ~3 if cut < 0 else cut
            text += self.change(self.rest[:cut])
            self.rest = self.rest[cut:]
        return self.coder.feed(text)

    def finish(self) -> bytes:
        """What is left at the end of the input."""
        return self.coder.feed(self.change(self.rest)) + self.coder.finish()


class Lines:
    """Gives ``coder`` LF in place of every CR."""

    __slots__ = ("coder", "done", "odd")

    def __init__(self, coder: AnyDecoder) -> None:
        self.coder = coder
        self.done = False
        self.odd = coder.odd

    def feed(self, data: bytes) -> bytes:
        """Decode the next window."""
        out = self.coder.feed(data.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
        self.done = self.coder.done
        return out

    def finish(self) -> bytes:
        """What is left at the end of the input."""
        return self.coder.finish()


class Quads:
    """base64 in groups of four characters of which any may be padding: each group is
    decoded alone, without its padding."""

    __slots__ = ("done", "odd", "rest")

    def __init__(self) -> None:
        self.done = False
        self.odd: list[str] = []
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Decode the next window."""
        clean = self.rest + data.translate(None, _JUNK)
        end = len(clean) & ~3
        self.rest = clean[end:]
        out: list[bytes] = []
        done = 0
        while done < end:
            padding = clean.find(b"=", done, end)
            stop = end if padding < 0 else padding & ~3
            if stop > done:
                out.append(binascii.a2b_base64(clean[done:stop]))
                done = stop
            if done < end:
                out.append(_group(clean[done : done + 4]))
                done += 4
        return b"".join(out)

    def finish(self) -> bytes:
        """What is left at the end of the input."""
        rest, self.rest = self.rest, b""
        return _group(rest)


def _group(group: bytes) -> bytes:
    kept = group.replace(b"=", b"")
    if len(kept) < 2:
        return b""
    return binascii.a2b_base64(kept + b"=" * (-len(kept) % 4))


class Stop:
    """base64 that ends with its first padding."""

    __slots__ = ("coder", "done", "odd")

    def __init__(self) -> None:
        self.coder = Base64()
        self.done = False
        self.odd: list[str] = []

    def feed(self, data: bytes) -> bytes:
        """Decode the next window."""
        end = data.find(b"=")
        if end < 0:
            return self.coder.feed(data)
        self.done = True
        return self.coder.feed(data[:end])

    def finish(self) -> bytes:
        """What is left at the end of the input."""
        return self.coder.finish()


class Paragraph:
    """base64 up to the first empty line behind it."""

    __slots__ = ("begun", "coder", "done", "odd", "rest")

    def __init__(self) -> None:
        self.coder = Base64()
        self.done = False
        self.odd: list[str] = []
        self.rest = b""
        self.begun = False

    def feed(self, data: bytes) -> bytes:
        """Decode the next window."""
        lines = (self.rest + data).split(b"\n")
        self.rest = lines.pop()
        for index, line in enumerate(lines):
            if line.strip(_BLANKS):
                self.begun = True
            elif self.begun:
                self.done = True
                self.rest = b""
                return self.coder.feed(b"\n".join(lines[:index]))
        text = b"\n".join(lines)
        if len(self.rest) > _PIECE:
            self.begun = True
            text += self.rest
            self.rest = b""
        return self.coder.feed(text)

    def finish(self) -> bytes:
        """What is left at the end of the input."""
        return self.coder.feed(self.rest) + self.coder.finish()


class Skip:
    """base64 without its first ``count`` characters."""

    __slots__ = ("coder", "count", "done", "odd")

    def __init__(self, count: int) -> None:
        self.coder = Base64()
        self.count = count
        self.done = False
        self.odd: list[str] = []

    def feed(self, data: bytes) -> bytes:
        """Decode the next window."""
        if self.count:
            data = data.translate(None, _JUNK)
            before = self.count
            self.count -= min(before, len(data))
            data = data[before:]
        return self.coder.feed(data)

    def finish(self) -> bytes:
        """What is left at the end of the input."""
        return self.coder.finish()


def _joined(line: bytes) -> bytes:
    return line.replace(b"=", b"")


def _url_safe(line: bytes) -> bytes:
    return line.translate(_URL_SAFE)


def _up_to_junk(line: bytes) -> bytes:
    """The characters before the first that is none of base64."""
    line = line.strip(_BLANKS)
    return line[: len(line) - len(line.lstrip(_KEPT))]


def _clean_lines(line: bytes) -> bytes:
    """Nothing of a line with junk."""
    bare = line.strip(_BLANKS)
    return b"" if bare.translate(None, _KEPT) else bare


def _whole_groups(line: bytes) -> bytes:
    """A line without what does not fill a group of four."""
    bare = line.translate(None, _JUNK)
    return bare[: len(bare) & ~3]


def _no_dots(line: bytes) -> bytes:
    """A line without a dot that SMTP or a news server doubled."""
    return line[1:] if line[:1] == b"." else line


_BAD_ESCAPE = re.compile(rb"=(?![0-9A-Fa-f]{2})(?!\r?\n)(?!\Z)")
_BAD_ESCAPE_2 = re.compile(rb"=(?![0-9A-Fa-f]{2})(?!\r?\n)(?!\Z)[^=\r\n]{0,2}")
_NO_UPPER = re.compile(rb"=[^0-9A-F=\r\n]")


def _without_equals(line: bytes) -> bytes:
    return _BAD_ESCAPE.sub(b"", line)


def _without_escape(line: bytes) -> bytes:
    return _BAD_ESCAPE_2.sub(b"", line)


def _upper_only(line: bytes) -> bytes:
    return _NO_UPPER.sub(b"", line)


def _glued(line: bytes) -> bytes:
    """Blanks at the end of a line go, also between its soft break and its end."""
    if not line.endswith(b"\n"):
        return line
    end = b"\r\n" if line.endswith(b"\r\n") else b"\n"
    return line.rstrip(b" \t\r\n\x0b\x0c") + end


Decoder = ByLine | Quads | Stop | Skip | Paragraph
Made = Callable[[], Decoder]


def _base64(change: Line) -> Made:
    return lambda: ByLine(change, Base64())


def _quoted(change: Line) -> Made:
    return lambda: ByLine(change, QuotedPrintable())


# What the usual decoder notes -> (name of the other reading, how to make its decoder).
BASE64: dict[str, tuple[tuple[str, Made], ...]] = {
    "base64-data-after-padding": (
        ("stop", Stop),
        ("join", _base64(_joined)),
        ("quads", Quads),
    ),
    "base64-junk": (
        ("url-safe", _base64(_url_safe)),
        ("to-junk", _base64(_up_to_junk)),
        ("clean-lines", _base64(_clean_lines)),
        ("no-dots", _base64(_no_dots)),
    ),
    "base64-lines": (("groups", _base64(_whole_groups)),),
}
QUOTED: tuple[tuple[str, Made], ...] = (
    ("no-equals", _quoted(_without_equals)),
    ("no-escape", _quoted(_without_escape)),
    ("upper", _quoted(_upper_only)),
    ("glued", _quoted(_glued)),
)


def others(encoding: bytes, odd: list[str], head: bytes) -> list[tuple[str, Made]]:
    """(name, maker of a decoder) of each other reading that ``odd`` calls for, in a
    region that begins with ``head``."""
    if encoding == b"quoted-printable":
        return list(QUOTED) if "qp-bad-escape" in odd else []
    found: list[tuple[str, Made]] = []
    longest = max(len(line.strip(_BLANKS)) for line in head.split(b"\n"))
    for code in odd:
        # Lines that hold no group at all are nothing without their rests.
        if code != "base64-lines" or longest >= 4:
            found += BASE64.get(code, ())
    if "base64-length" in odd:
        # Characters too many may stand before the first group.
        first = head.lstrip(_BLANKS).split(b"\n", 1)[0].translate(None, _JUNK)
        more = len(first) & 3
        if more:
            found.append((f"skip-{more}", lambda: Skip(more)))
    return found


def starts(head: bytes) -> list[int]:
    """Offsets in ``head`` where base64 may begin behind junk: after a line among the
    first that is empty, holds other characters or does not fill its groups."""
    found: list[int] = []
    uneven: list[int] = []
    position = 0
    for _ in range(FIRST):
        end = head.find(b"\n", position)
        if end < 0 or len(found) >= STARTS:
            break
        line = head[position:end].strip(_BLANKS)
        position = end + 1
        if not line:
            found.append(position)
        elif len(line) & 3 or line.translate(None, ALPHABET):
            uneven.append(position)
    # Many such lines are a habit, not an end of junk.
    return found + (uneven if len(uneven) < FIRST // 4 else uneven[:1])


def may_be_base64(head: bytes) -> bool:
    """True when a client that ignores junk could take what begins so for base64:
    hardly any other characters, and not the blanks that text has between words."""
    solid = head.translate(None, _BLANKS)
    if len(solid.translate(None, _KEPT)) * 10 > len(solid):
        return False
    blanks = head.count(b" ") + head.count(b"\t")
    return bool(solid) and not 0.03 < blanks / len(head) < 0.3


def looks_base64(head: bytes) -> bool:
    """True when a text begins as base64 does although nobody says so."""
    if head.translate(None, _KEPT + b"\r\n \t"):
        return False
    bare = head.translate(None, b"\r\n")
    if len(bare) < 40 or b" " in bare.strip():
        return False
    return (
        bare.lower() != bare
        and bare.upper() != bare
        and len(bare.translate(None, b"0123456789+/=")) < len(bare)
    )


_ESCAPE = re.compile(rb"=(?:[0-9A-F]{2}|\r?\n)")


def looks_quoted(head: bytes) -> bool:
    """True when most of the ``=`` in a text are escapes of quoted-printable."""
    count = head.count(b"=")
    return count >= 3 and len(_ESCAPE.findall(head)) * 5 >= count * 4
