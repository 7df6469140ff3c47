# SPDX-License-Identifier: MIT
"""Transfer decodings, lenient, streaming, in bounded windows (RFC 2045 section 6).

Does: base64, quoted-printable, uuencode as decoders with ``feed(bytes) -> bytes`` and
``finish() -> bytes``; ``done`` when the rest of the input is not theirs; each notes
what was odd in ``odd`` (codes). Never does: raise on content, hold more than a window.
"""

import binascii

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = bytes(c for c in range(256) if c not in _ALPHABET and c != 61)
HABIT = 60  # characters of a line that is meant to be long
_BLANK = b" \t\r"
_KNOWN = _ALPHABET + b"= \t\r\n"


class Base64:
    """RFC 2045 section 6.8, as mail clients read it: junk is skipped, decoding goes on
    after padding. Odd: base64-junk, base64-data-after-padding, base64-length, and
    base64-lines where a line does not fill its groups of four."""

    __slots__ = ("column", "done", "odd", "padded", "rest", "uneven", "usual", "width")

    def __init__(self) -> None:
        self.done = False
        self.usual = 0  # characters of the first line
        self.uneven = False  # the last line that was not empty is not filled
        self.width = 0  # bytes of a line with its end, 0 before there was one
        self.column = 0  # bytes of the last line, which goes on
        self.odd: list[str] = []
        self.rest = b""
        self.padded = False

    def feed(self, data: bytes) -> bytes:
        """Decode the next window."""
        # Well-formed windows take the quick way: dropping line ends by replace() is
        # five times as fast as a translate() of everything.
        clean = data.replace(b"\n", b"")
        count = len(data) - len(clean)
        if "base64-lines" in self.odd:
            pass
        elif count:
            self._measure(data, count)
        else:
            self.column += len(data.translate(None, _BLANK))
        if b"\r" in clean:
            clean = clean.replace(b"\r", b"")
        if self.rest:
            clean = self.rest + clean
        if not self.padded and b"=" not in clean:
            whole = len(clean) & ~3
            try:
                out = binascii.a2b_base64(clean[:whole], strict_mode=True)
            except binascii.Error:
                return self._junk(clean)
            self.rest = clean[whole:]
            return out
        return self._junk(clean)

    def _measure(self, data: bytes, count: int) -> None:
        """Are all of the ``count`` lines that end in this window filled, but the last
        of all? Lines of one length are seen at one glance."""
        first = data.find(b"\n")
        if not self.width:
            self.width = max(0, data.find(b"\n", first + 1) - first)
        end = 1 + (data[first - 1 : first] == b"\r")
        width = self.width
        if (
            width > end
            and not self.uneven
            and b" " not in data
            and b"\t" not in data
            and not (self.column + first + 1 - end) & 3
            and not (width - end) & 3
            and data[first::width].count(b"\n") == count
            and data.count(b"\r") == (end - 1) * count
        ):
            self.column = len(data[data.rfind(b"\n") + 1 :].translate(None, _BLANK))
            return
        lengths = [len(line) for line in data.translate(None, _BLANK).split(b"\n")]
        lengths[0] += self.column
        self.column = lengths.pop()
        for length in lengths:
            if length:
                if self.uneven:
                    note(self.odd, "base64-lines")
                # Long lines of one length are a habit of some software.
                self.usual = self.usual or length
                habit = length >= HABIT and length == self.usual
                self.uneven = length & 3 > 0 and not habit

    def _junk(self, data: bytes) -> bytes:
        clean = data.translate(None, _NOT_BASE64)
        if len(clean) != len(data) and data.translate(None, _KNOWN):
            note(self.odd, "base64-junk")
        if b"=" in clean:
            return self._padded(clean)
        if self.padded and clean:
            note(self.odd, "base64-data-after-padding")
        whole = len(clean) & ~3
        self.rest = clean[whole:]
        return binascii.a2b_base64(clean[:whole])

    def _padded(self, clean: bytes) -> bytes:
        out: list[bytes] = []
        pieces = clean.split(b"=")
        for piece in pieces[:-1]:
            if piece:
                if self.padded:
                    note(self.odd, "base64-data-after-padding")
                out.append(self._group(piece))
            self.padded = True
        last = pieces[-1]
        if last and self.padded:
            note(self.odd, "base64-data-after-padding")
        whole = len(last) & ~3
        self.rest = last[whole:]
        out.append(binascii.a2b_base64(last[:whole]))
        return b"".join(out)

    def _group(self, piece: bytes) -> bytes:
        """Decode a run that padding or the end closes; a lone character is dropped."""
        left = len(piece) & 3
        if left == 1:
            note(self.odd, "base64-length")
            piece = piece[:-1]
        elif left:
            piece += b"=" * (4 - left)
        return binascii.a2b_base64(piece)

    def finish(self) -> bytes:
        """What is left at the end of the input."""
        if self.uneven and self.column:
            note(self.odd, "base64-lines")
        # The quick way leaves its last characters as they came.
        rest = self.rest.translate(None, _NOT_BASE64 + b"=")
        if self.rest.translate(None, _KNOWN):
            note(self.odd, "base64-junk")
        self.rest = b""
        if not rest:
            return b""
        note(self.odd, "base64-length")
        return self._group(rest)


class QuotedPrintable:
    """RFC 2045 section 6.7, lenient: bad escapes stay, blanks at line ends go, a soft
    break may have blanks after its ``=``. Odd: qp-blank-soft-break, qp-bad-escape."""

    __slots__ = ("done", "odd", "rest")

    def __init__(self) -> None:
        self.done = False
        self.odd: list[str] = []
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Decode the next window."""
        if self.rest:
            data = self.rest + data
        cut = data.rfind(b"\n") + 1
        if not cut:
            # One endless line: cut where no escape and no run of blanks is split.
            cut = len(data.rstrip(b" \t\r"))
            equals = data.rfind(b"=", max(0, cut - 3), cut)
            if equals >= 0:
                # A run of "=" means something else in pieces.
                cut = len(data[:equals].rstrip(b"="))
            if len(data) - cut > 65536:
                cut = len(data)
        self.rest = data[cut:]
        return self._decode(data[:cut])

    def _decode(self, data: bytes) -> bytes:
        if b" \n" in data or b"\t\n" in data or b" \r\n" in data or b"\t\r\n" in data:
            lines = data.split(b"\n")
            last = lines.pop()
            for index, line in enumerate(lines):
                if line.endswith((b" ", b"\t", b" \r", b"\t\r")):
                    end = b"\r" if line.endswith(b"\r") else b""
                    line = line.rstrip(b" \t\r")
                    if line.endswith(b"="):
                        note(self.odd, "qp-blank-soft-break")
                    lines[index] = line + end
            lines.append(last)
            data = b"\n".join(lines)
        # a2b_qp takes "=" CR for a soft break and drops all up to the next LF with it:
        # only the CR may go.
        if b"=\r\r" in data:
            note(self.odd, "qp-bad-escape")
        if b"=\r" in data:
            data = data.replace(b"=\r\n", b"=\n").replace(b"=\r", b"=\n")
        out = binascii.a2b_qp(data)
        # Every escape and every soft break takes two bytes away, a bad one does not.
        if len(data) - len(out) != 2 * data.count(b"="):
            note(self.odd, "qp-bad-escape")
        return out

    def finish(self) -> bytes:
        """What is left at the end of the input."""
        data, self.rest = self.rest, b""
        stripped = data.rstrip(b" \t")
        if stripped.endswith(b"="):
            stripped = stripped[:-1]
        return self._decode(stripped)


class UU:
    """uuencode (POSIX): with or without its ``begin`` line, to ``end``, the next
    ``begin`` or the end of input. Lines that are none are skipped and noted
    (uu-bad-line). ``used`` bytes belong to the block once it is ``done``."""

    __slots__ = ("done", "odd", "rest", "started", "used")

    def __init__(self, started: bool = False) -> None:
        self.odd: list[str] = []
        self.rest = b""
        self.done = False
        self.started = started
        self.used = 0

    def feed(self, data: bytes) -> bytes:
        """Decode the next window."""
        if self.done:
            return b""
        # CR ends a line as well: it is no character of uuencode.
        lines = (self.rest + data.replace(b"\r", b"\n")).split(b"\n")
        self.rest = lines.pop()
        if len(self.rest) > 65536:
            note(self.odd, "uu-bad-line")
            self.used += len(self.rest)
            self.rest = b""
        return self._lines(lines)

    def _lines(self, lines: list[bytes]) -> bytes:
        out: list[bytes] = []
        for line in lines:
            if line.startswith(b"begin "):
                if self.started:
                    self.done = True
                    break
                self.started = True
                self.used += len(line) + 1
                continue
            self.used += len(line) + 1
            if line == b"end":
                self.done = True
                break
            if line:
                out.append(self._line(line))
        return b"".join(out)

    def _line(self, line: bytes) -> bytes:
        if not 32 <= line[0] <= 96:
            note(self.odd, "uu-bad-line")
            return b""
        count = (line[0] - 32) & 63
        need = 1 + (count + 2) // 3 * 4
        body = line[:need]
        if len(body) < need:
            # Trailing blanks are often lost on the way.
            body = body.ljust(need, b" ")
        try:
            return binascii.a2b_uu(body)
        except binascii.Error:
            note(self.odd, "uu-bad-line")
            return b""

    def finish(self) -> bytes:
        """What is left at the end of the input."""
        if self.done or not self.rest:
            return b""
        line, self.rest = self.rest, b""
        return self._lines([line])


def fits_uu(data: bytes) -> bool:
    """True when the first line has the length that its first character says."""
    line = data.replace(b"\r", b"\n").lstrip(b"\n").split(b"\n", 1)[0]
    if not line or not 33 <= line[0] <= 96:
        return False
    need = 1 + (((line[0] - 32) & 63) + 2) // 3 * 4
    return need - 3 <= len(line) <= need + 2


def note(odd: list[str], code: str) -> None:
    """Keep a code once."""
    if code not in odd:
        odd.append(code)


_UU = (b"x-uuencode", b"uuencode", b"x-uue", b"uue", b"uu", b"x-uu")

Decoder = Base64 | QuotedPrintable | UU


def decoder(encoding: bytes) -> Decoder | None:
    """The decoder for a Content-Transfer-Encoding (lower case) that changes bytes; None
    = unknown."""
    if encoding == b"base64":
        return Base64()
    if encoding == b"quoted-printable":
        return QuotedPrintable()
    if encoding in _UU:
        return UU()
    return None
