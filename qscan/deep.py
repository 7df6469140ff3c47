# SPDX-License-Identifier: MIT
"""The reading of an ambiguous message that trusts neither headers nor boundaries.

Does: take every dashed line for a delimiter, every empty line for the end of a header
and every text for an encoded file, as some client or other may.
Never does: decide. Imported only for messages with such defects.
Limits: at most SEGMENTS segments (the rest is one) and as many headers, STARTS places
in each where content may begin, looked for in the first HEAD bytes of a segment: time
is linear in the size of the message.
"""

from __future__ import annotations

from collections.abc import Callable

from qscan import headers, inner, mime, parameters, transfer, variants
from qscan.fdio import WINDOW, pread_all
from qscan.model import BLANKS, Defects, Item
from qscan.store import Store

SEGMENTS = 500
STARTS = 12
HEAD = 65536  # bytes at the start of a segment where content may begin
FIELDS = 16384  # bytes of it that are read for names
PEEK = 1024
FEW = 60  # segments that are all read thoroughly
LARGE = 65536  # bytes of a segment in which fewer places are tried thoroughly

Read = Callable[[int, int], bytes]


def reader(fd: int) -> Read:
    """Reads ``fd`` with LF in place of every bare CR; lengths stay."""

    def read(position: int, length: int) -> bytes:
        data = pread_all(fd, length + 1, position)
        if b"\r" not in data:
            return data[:length]
        lines = data.split(b"\r\n")
        return b"\r\n".join([line.replace(b"\r", b"\n") for line in lines])[:length]

    return read


class Nothing:
    """The reading that trusts nothing, of bytes [start, size) of ``fd``; ``path`` is
    that of the message there."""

    def __init__(self, store: Store, fd: int, start: int, size: int, path: str) -> None:
        self.store = store
        self.fd = fd
        self.start = start
        self.size = size
        self.path = path

    def run(self) -> None:
        """Put everything that may be content into the store."""
        store = self.store
        read = reader(self.fd)
        segments = _segments(read, self.start, self.size)
        headed = _headed(read, segments) + _across(read, self.start, self.size)
        if len(headed) > SEGMENTS:
            store.note("limit-parts", self.path)
            return
        few = len(segments) <= FEW
        for number, (start, end) in enumerate(headed + segments, 1):
            head = read(start, min(HEAD, end - start))
            lower = head[:FIELDS].lower()
            stated = _stated(lower)
            path = f"{self.path}{inner.GUESSED}.{number}"
            # Text between dashed lines is seldom a part; what has MIME fields may be.
            strong = number <= len(headed) or few or b"content-" in lower
            names = self._names(head[:FIELDS]) if strong else []
            field = lower.find(b"content-t")
            if field >= 0 and len(head) == HEAD and _blank(head, field) < 0:
                store.note("limit-header-bytes", self.path)
            thorough = 2 if end - start > LARGE else 5
            for count, offset in enumerate(_starts(head)):
                if store.late(path) or (count > 1 and not strong):
                    break
                place = path if offset else path + inner.WHOLE
                self._content(
                    (start + offset, end),
                    place,
                    names,
                    stated if strong and count < thorough else None,
                )

    def _names(self, head: bytes) -> list[str]:
        """Names in whatever reads like a MIME field; what such fields forbid."""
        fields, _ = headers.split_block(head, "", Defects())
        for field in fields:
            text = field.name + b":" + field.value.lower()
            found = text.find(b"content-type")
            code = mime.stub(text[found:].partition(b":")[2]) if found >= 0 else ""
            if code:
                self.store.note(code, self.path)
        return parameters.part_names(fields)

    def _content(
        self,
        span: tuple[int, int],
        path: str,
        names: list[str],
        stated: tuple[str, ...] | None,
    ) -> None:
        """Decode the bytes of ``span`` in every way that the first ones allow or that
        is ``stated``, also in the ways for what is damaged; with None only in those
        that are plain to see."""
        start, end = span
        thorough = stated is not None
        store = self.store
        head = pread_all(self.fd, min(PEEK, end - start), start)
        if not head.strip(BLANKS + b"\0"):
            return
        ways: list[tuple[str, object]] = []
        # What begins with a field is content only as it stands.
        word, colon, _ = head.split(b"\n", 1)[0].partition(b":")
        field = bool(colon) and headers.is_token(word)
        stated = stated or ()
        if not field and ("base64" in stated or variants.may_be_base64(head)):
            ways.append(("base64", transfer.Base64()))
            ways.append(("base64-part", variants.Paragraph()))
        quoted = variants.looks_quoted(head) or (
            "quoted-printable" in stated and not field
        )
        if quoted or (thorough and b"=" in head and end - start <= LARGE and not field):
            ways.append(("quoted-printable", transfer.QuotedPrintable()))
        if not field and _is_uu(head):
            ways.append(("x-uuencode", transfer.UU()))
        if thorough and (len(ways) == 0 or not variants.looks_base64(head)):
            ways.append(("", None))
        for name, coder in ways:
            if store.late(path):
                return
            item = Item(path, "guess", list(names), "", name)
            store.guess(self.fd, start, end, item, coder)
            if thorough and coder is not None and coder.odd:  # type: ignore[attr-defined]
                inner.again(store, self.fd, start, end, item, coder)


def _segments(read: Read, start: int, size: int) -> list[tuple[int, int]]:
    """(start, end) of what lies between lines that begin with two dashes, and between
    those of the same text: others may be content."""
    window = mime.Window(read, size)
    begins = [start]
    ends: list[int] = []
    texts = [b""]
    position = max(start - 1, 0)
    rules = 0
    while len(begins) <= SEGMENTS:
        found = window.find(b"\n--", position, size)
        if found < 0:
            break
        line = window.line(found + 1, mime.LINE)
        position = found + 1
        text = line.strip(BLANKS)
        if not text.strip(b"-"):
            # A line of nothing but dashes is hardly ever a delimiter.
            rules += 1
            if rules > 50:
                continue
        # The line end before a delimiter belongs to it (RFC 2046 section 5.1.1).
        ends.append(found - (found > 0 and window.at(found - 1, 1) == b"\r"))
        texts.append(text.removesuffix(b"--") or text)
        begins.append(found + 1 + len(line))
        position = max(begins[-1] - 1, position)
    ends.append(size)
    out = list(zip(begins, ends, strict=True))
    following: dict[bytes, int] = {}
    for index in range(len(begins) - 1, 0, -1):
        same = following.get(texts[index], 0)
        if same > index + 1:
            out.append((begins[index], ends[same - 1]))
        following[texts[index]] = index
    return [(begin, end) for begin, end in out if begin < end]


def _headed(read: Read, segments: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """(start, end) of what begins with MIME fields behind an empty line inside a
    segment: a part that no dashed line opens."""
    out: list[tuple[int, int]] = []
    for start, end in segments:
        begins: list[int] = []
        position = start
        while position < end and len(out) + len(begins) <= SEGMENTS:
            # Windows overlap by what a header may have before the field.
            base = max(start, position - FIELDS)
            data = read(base, min(WINDOW, end - base))
            lower = data.lower()
            found = lower.find(b"content-t", position - base)
            while found >= 0:
                line = lower.rfind(b"\n", 0, found) + 1
                if headers.is_mime_field(lower[line : line + 998].split(b"\n", 1)[0]):
                    blank = max(
                        lower.rfind(b"\n\n", 0, line) + 2,
                        lower.rfind(b"\n\r\n", 0, line) + 3,
                    )
                    dashes = lower.rfind(b"\n--", 0, line)
                    if dashes >= 0:
                        blank = max(blank, lower.find(b"\n", dashes + 1) + 1)
                    if blank > 3:
                        begins.append(base + blank)
                    body = _blank(lower, found)
                    if body < 0 or len(begins) > SEGMENTS:
                        break
                    found = body
                found = lower.find(b"content-t", found + 1)
            position = base + len(data)
        begins = sorted(set(begins))
        out += zip(begins, [*begins[1:], end], strict=False)
    return out


def _across(read: Read, start: int, size: int) -> list[tuple[int, int]]:
    """(start, end) from one header with MIME fields to the last dashed line before the
    next, where dashed lines are between them: those may be no delimiters."""
    window = mime.Window(read, size)
    out: list[tuple[int, int]] = []
    for begin, end in _headed(read, [(start, size)]):
        last = window.find(b"\n--", begin, end)
        count = 0
        while last >= 0:
            following = window.find(b"\n--", last + 1, end)
            if following < 0:
                break
            count += 1
            last = following
        if last >= 0 and end == size:
            line = window.line(last + 1, mime.LINE).strip(BLANKS)
            if not line.strip(b"-") or not line.endswith(b"--"):
                out.append((begin, end))
        if count:
            out.append((begin, last - (window.at(last - 1, 1) == b"\r")))
    return out


def _blank(data: bytes, position: int) -> int:
    """Where the next empty line begins, -1 when there is none."""
    found = data.find(b"\n\n", position)
    other = data.find(b"\n\r\n", position, found if found >= 0 else len(data))
    return other if other >= 0 else found


def _stated(head: bytes) -> tuple[str, ...]:
    """The transfer encodings that a header names, however it does."""
    found = []
    if b"=?" in head:
        head += parameters.decode_words(head)
    if b"base64" in head:
        found.append("base64")
    if b"quoted" in head:
        found.append("quoted-printable")
    return tuple(found)


def _starts(head: bytes) -> list[int]:
    """Offsets where content may begin, the likely ones first: behind the first empty
    lines, at the first line that is no field, at the start; then where base64 begins
    and behind lines that spoil it."""
    likely: list[int] = []
    others = [0]
    position = 0
    field = True
    before = False
    blank = 0
    for line in head.split(b"\n"):
        begin = position
        position += len(line) + 1
        bare = line.strip(BLANKS + b"\0")
        if not bare:
            places = likely if len(likely) < 3 else others
            if blank > 1:
                places[-1] = position  # of many empty lines the first and the last
            else:
                places.append(position)
            blank += 1
            field = before = False
        else:
            blank = 0
            encoded = not bare.translate(None, variants.ALPHABET + b"=")
            if field and b":" not in line and line[:1] not in (b" ", b"\t"):
                likely.append(begin)
                field = False
            if encoded != before:
                others.append(begin)
            before = encoded
        if len(likely) + len(others) > STARTS:
            break
    return list(dict.fromkeys(at for at in likely + others if at < len(head)))


def _is_uu(head: bytes) -> bool:
    """True when the first lines have the lengths that uuencode gives them."""
    lines = head.lstrip(BLANKS).split(b"\n", 1)
    if lines[0].startswith(b"begin") and len(lines) > 1:
        return transfer.fits_uu(lines[1])
    return transfer.fits_uu(head)
