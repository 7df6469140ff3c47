# SPDX-License-Identifier: MIT
"""The MIME walker: one pass over a file, bounded windows, an explicit stack.

Does: find header blocks, boundaries, preambles and epilogues (RFC 2046 section 5.1) and
yield every region that can hold content. Never does: decode, decide, raise on content.
Limits: ``model.Limits``; a limit that is hit is a Defect with a ``limit-`` code and
what was not taken apart is yielded whole.
Time is linear: every byte is searched once, a delimiter line costs one dict look-up
whatever the depth.

How to read an ambiguous message is a ``Reading``; a message is walked once per reading
and the union of what they yield is scanned.
"""

from qscan import headers
from qscan.fdio import WINDOW
from qscan.model import BLANKS, Defect, Header, Limits

GUESS_LINE = 200  # bytes: RFC 2046 allows 70, some software writes more
LINE = 512  # bytes that hold nearly every delimiter line
MESSAGE_TYPES = (b"message/rfc822", b"message/global", b"message/news")
IDENTITY = (b"", b"7bit", b"8bit", b"binary")

# Fields that may stand once (RFC 5322 section 3.6, RFC 2045 section 3) and that decide
# what a client sees.
SINGLETONS = (
    b"content-type",
    b"content-transfer-encoding",
    b"content-disposition",
    b"mime-version",
)


class Reading:
    """One way to read a message.

    ``pick`` which of duplicate fields and parameters counts (0 first, -1 last);
    ``prefix`` a line that begins with a boundary is a delimiter whatever follows
    (RFC 2046 section 5.1.1, note to implementors); ``exact`` blanks at the end of a
    boundary count; ``junk`` a line that is no field ends the header; ``guess`` a
    multipart is split at lines that look like delimiters, whatever it states;
    ``inner`` only the innermost boundary counts, and as with ``prefix``; ``cr`` a bare
    CR ends a line too; ``literal`` fields are read without comments and quotes, and
    every boundary that is stated counts; ``nothing`` neither headers nor boundaries
    are trusted (``deep``).
    """

    __slots__ = (
        "cr",
        "exact",
        "guess",
        "inner",
        "junk",
        "literal",
        "name",
        "nothing",
        "pick",
        "prefix",
    )

    def __init__(
        self,
        name: str,
        pick: int = 0,
        prefix: bool = False,
        exact: bool = False,
        junk: bool = False,
        guess: bool = False,
        inner: bool = False,
        cr: bool = False,
        literal: bool = False,
        nothing: bool = False,
    ) -> None:
        self.inner = inner
        self.cr = cr
        self.literal = literal
        self.nothing = nothing
        self.name = name
        self.pick = pick
        self.prefix = prefix
        self.exact = exact
        self.junk = junk
        self.guess = guess


NORMAL = Reading("")
LAST = Reading("last", pick=-1)
PREFIX = Reading("prefix", prefix=True)
EXACT = Reading("exact", exact=True)
JUNK = Reading("junk", junk=True)
GUESS = Reading("guess", guess=True)
INNER = Reading("inner", inner=True)
CR = Reading("cr", cr=True, junk=True)
LITERAL = Reading("literal", literal=True)
NOTHING = Reading("any", nothing=True)

# Which defect of the normal reading calls for which other readings.
FURTHER: dict[str, tuple[Reading, ...]] = {
    "bad-content-type": (LITERAL, NOTHING),
    "bad-transfer-encoding": (NOTHING,),
    "bare-cr-in-header": (CR, NOTHING),
    "bare-cr-before-delimiter": (CR, NOTHING),
    "blank-line-in-header": (JUNK, NOTHING),
    "boundary-in-header": (INNER, NOTHING),
    "boundary-missing": (LITERAL, NOTHING),
    "boundary-not-found": (LITERAL, GUESS, NOTHING),
    "boundary-trailing-blank": (EXACT, NOTHING),
    "boundary-with-junk": (PREFIX, NOTHING),
    "boundary-without-multipart": (LITERAL, NOTHING),
    "comment-in-mime-field": (LITERAL, NOTHING),
    "conflicting-boundary": (LAST, LITERAL, NOTHING),
    "continuation-first": (JUNK, NOTHING),
    "duplicate-content-disposition": (LAST,),
    "duplicate-content-transfer-encoding": (LAST, NOTHING),
    "duplicate-content-type": (LAST, NOTHING),
    "encoded-multipart": (NOTHING,),
    "field-behind-cr": (CR, NOTHING),
    "header-in-body": (NOTHING,),
    "header-junk": (JUNK, NOTHING),
    "hidden-field": (JUNK, NOTHING),
    "missing-close": (INNER, NOTHING),
    "no-header": (JUNK, NOTHING),
    "nul-in-header": (JUNK, NOTHING),
    "same-boundary-nested": (INNER, NOTHING),
    "space-before-colon": (JUNK, NOTHING),
    "stray-backslash": (LITERAL, NOTHING),
    "stray-quote": (LITERAL, NOTHING),
    "unterminated-comment": (LITERAL, NOTHING),
    "unterminated-quote": (LITERAL, NOTHING),
}


class Region:
    """Content found: ``kind`` leaf, message (an encoded one), preamble or epilogue;
    bytes [start, end) of the walked file; ``fields`` its header."""

    __slots__ = (
        "encoding",
        "end",
        "fields",
        "kind",
        "media",
        "path",
        "start",
    )

    def __init__(self, path: str, kind: str, start: int) -> None:
        self.path = path
        self.kind = kind
        self.start = start
        self.end = start
        self.fields: list[Header] = []
        self.media = b"text/plain"
        self.encoding = b""


class Frame:
    """An open multipart (or the message around it)."""

    __slots__ = (
        "at",
        "boundary",
        "count",
        "default",
        "hidden",
        "others",
        "path",
        "seen",
        "whole",
    )

    def __init__(self, path: str, boundary: bytes, default: bytes, at: int) -> None:
        self.path = path
        self.at = at
        # Further texts that delimit it; only a literal reading has any.
        self.others: list[bytes] = []
        self.boundary = boundary
        self.default = default
        self.count = 0
        self.seen = False
        # The index of an outer frame with the same boundary, given back on leaving.
        self.hidden = -1
        # The region of all of it, where that is content too: an embedded message, an
        # encoded multipart. Complete when this frame is left.
        self.whole: Region | None = None


class Window:
    """Random access to a file through one bounded window."""

    __slots__ = ("bare", "base", "buffer", "read", "size")

    def __init__(self, read: object, size: int) -> None:
        self.read = read
        self.size = size
        self.base = 0
        self.buffer = b""
        # Offset of a bare CR before dashes in what was searched, or -1.
        self.bare = -1

    def _fill(self, position: int, length: int) -> None:
        self.buffer = self.read(position, length)  # type: ignore[operator]
        self.base = position
        if self.bare < 0:
            at = self.buffer.find(b"\r--")
            self.bare = at if at < 0 else position + at

    def at(self, position: int, length: int) -> bytes:
        """``length`` bytes at ``position`` (fewer at the end)."""
        start = position - self.base
        reached = self.base + len(self.buffer)
        if start < 0 or (start + length > len(self.buffer) and reached < self.size):
            self._fill(position, max(WINDOW, length))
            start = 0
        return self.buffer[start : start + length]

    def find(self, needle: bytes, position: int, end: int) -> int:
        """Offset of ``needle`` that begins in [position, end); -1 when none."""
        overlap = len(needle) - 1
        while position < end:
            start = position - self.base
            if start < 0 or start + overlap >= len(self.buffer):
                self._fill(position, max(WINDOW, 2 * len(needle)))
                start = 0
                if not self.buffer:
                    return -1
            hit = self.buffer.find(needle, start, end - self.base + overlap)
            if hit >= 0:
                return self.base + hit
            reached = self.base + len(self.buffer)
            if reached >= self.size:
                return -1
            position = max(position + 1, reached - overlap)
        return -1

    def line(self, position: int, limit: int) -> bytes:
        """The line at ``position`` with its end, cut at ``limit`` bytes."""
        length = min(LINE, limit)
        while True:
            data = self.at(position, length)
            end = data.find(b"\n") + 1
            if end:
                return data[:end]
            if length >= limit or len(data) < length:
                return data
            length = min(length * 8, limit)


class Walker:
    """Walks [start, size) of a file. ``walk`` is a generator of Regions; ``defects``
    fills while it runs."""

    __slots__ = (
        "begin",
        "defects",
        "depth",
        "frames",
        "guessed",
        "index",
        "lengths",
        "limits",
        "line_limit",
        "needle",
        "parts",
        "reading",
        "region",
        "todo",
        "window",
    )

    def __init__(
        self,
        read: object,
        size: int,
        limits: Limits,
        defects: list[Defect],
        depth: int = 0,
        parts: int = 0,
        reading: Reading = NORMAL,
    ) -> None:
        self.window = Window(read, size)
        self.limits = limits
        self.defects = defects
        self.depth = depth
        self.parts = parts
        self.reading = reading
        self.frames: list[Frame] = []
        self.index: dict[bytes, int] = {}
        self.guessed = (0, -1, b"")
        self.needle = b"\n--"
        self.lengths: list[int] = []
        self.line_limit = 4096
        self.begin = -1
        self.region: Region | None = None
        self.todo: list[Region] = []

    def walk(self, start: int, path: str, default: bytes = b"text/plain"):  # type: ignore[no-untyped-def]
        """Yield the Regions of the entity at ``start`` whose path is ``path``."""
        size = self.window.size
        self.begin = start
        position = self._entity(start, path, default)
        while True:
            yield from self.todo
            self.todo.clear()
            if not self.frames or position >= size:
                break
            position = self._advance(position)
        self._leave(0, size)
        if self.region is not None:
            self._close_region(size)
        yield from self.todo
        self.todo.clear()
        if self.window.bare >= 0:
            self.defects.append(
                Defect("bare-cr-before-delimiter", path, at=self.window.bare)
            )

    # -- one entity ---------------------------------------------------------------

    def _entity(self, start: int, path: str, default: bytes) -> int:
        """Read the header at ``start``, open what it says; returns where to go on.

        Nested messages are entered in the same loop: no recursion.
        """
        while True:
            self.parts += 1
            fields, body = self._header(start, path)
            region = Region(path, "leaf", body)
            region.fields = fields
            value, media, encoding = self._type(fields, path, default, start)
            region.media = media
            region.encoding = encoding
            if self.parts > self.limits.parts:
                self._limit("limit-parts", path, start)
                region.end = self.window.size
                self.todo.append(region)
                self.frames.clear()
                self.index.clear()
                return self.window.size
            level = self.depth + len(self.frames)
            if media.startswith(b"multipart/") or self._is_split(value, media, path):
                if level >= self.limits.depth:
                    self._limit("limit-depth", path, start)
                elif self._open(region, value, path):
                    return max(body - 1, 0)
            elif media in MESSAGE_TYPES:
                if encoding in IDENTITY:
                    if level >= self.limits.depth:
                        self._limit("limit-depth", path, start)
                    else:
                        frame = Frame(path, b"", b"", start)
                        frame.whole = region
                        region.kind = "embedded"
                        self._push(frame)
                        start = body
                        path += ".1"
                        default = b"text/plain"
                        continue
                else:
                    region.kind = "message"
            self.region = region
            # The line end before the body may begin a delimiter: step back one byte.
            return max(body - 1, 0)

    def _header(self, start: int, path: str) -> tuple[list[Header], int]:
        """The fields at ``start`` and where the body begins."""
        window = self.window
        limit = self.limits.header_bytes
        length = 4096
        while True:
            data = window.at(start, min(length, limit))
            if data.startswith((b"\n", b"\r\n")):
                if start == self.begin:
                    self.defects.append(Defect("no-header", path, at=start))
                return [], start + 1 + (data[:1] == b"\r")
            end, skip = _blank_line(data)
            whole = len(data) < min(length, limit)
            cut = self._boundary_in(data if end < 0 else data[:end], whole or end >= 0)
            if cut >= 0:
                # A boundary wins over everything: the part has no body.
                if cut:
                    self.defects.append(
                        Defect("boundary-in-header", path, at=start + cut)
                    )
                end, skip = cut, 0
            if end >= 0:
                break
            if whole or length >= limit:
                if not whole:
                    self._limit("limit-header-bytes", path, start)
                end, skip = len(data), 0
                break
            length *= 8
        block = data[:end]
        fields, read = headers.split_block(
            block, path, self.defects, self.reading.junk, start
        )
        if read < len(block) and self.reading.junk:
            return fields, start + read
        if not fields and block.strip():
            # No header at all: everything is body.
            self.defects.append(Defect("no-header", path, at=start))
            return [], start
        return fields, start + end + skip

    def _boundary_in(self, block: bytes, complete: bool) -> int:
        """Offset of the first delimiter line in a header block, or -1; the last line
        counts only when the block is complete."""
        if not self.index:
            return -1
        position = 0 if block.startswith(b"--") else block.find(b"\n--") + 1
        while position > 0 or block.startswith(b"--"):
            stop = block.find(b"\n", position)
            if stop < 0 and not complete:
                return -1
            line = block[position:] if stop < 0 else block[position:stop]
            if self._match(line, -1) is not None:
                return position
            position = block.find(b"\n--", position) + 1
            if not position:
                return -1
        return -1

    def _type(
        self, fields: list[Header], path: str, default: bytes, at: int
    ) -> tuple[headers.Value | None, bytes, bytes]:
        """(parsed Content-Type, media type, transfer encoding) of a part."""
        value: headers.Value | None = None
        media = default
        encoding = b""
        seen: list[bytes] = []
        chosen: dict[bytes, bytes] = {}
        for field in fields:
            name = field.name
            if name not in SINGLETONS:
                continue
            raw = headers.unfold(field.value)
            if name in seen:
                if raw != chosen[name]:
                    self.defects.append(
                        Defect("duplicate-" + name.decode("ascii"), path, at=at)
                    )
                elif name != b"mime-version":
                    shown = name.decode("ascii")
                    self.defects.append(Defect("repeated-field", path, shown, at))
                if self.reading.pick == 0:
                    continue
            seen.append(name)
            chosen[name] = raw
        raw_type = chosen.get(b"content-type")
        if raw_type is not None:
            value = headers.parse_value(raw_type, self.reading.literal)
            for code in value.odd:
                self.defects.append(Defect(code, path, "Content-Type", at))
            media = value.main or default
            code = stub(raw_type)
            if code:
                self.defects.append(Defect(code, path, at=at))
            if b"/" not in media:
                self.defects.append(
                    Defect("bad-content-type", path, headers._shown(media), at)
                )
                media = b"multipart/mixed" if media == b"multipart" else b"text/plain"
        if len(seen) > 1 and b"content-disposition" in chosen:
            disposition = headers.parse_value(chosen[b"content-disposition"])
            for code in disposition.odd:
                self.defects.append(Defect(code, path, "Content-Disposition", at))
        raw_encoding = chosen.get(b"content-transfer-encoding")
        if raw_encoding is not None:
            encoding = raw_encoding.lower()
            if b"(" in encoding or b";" in encoding:
                cte = headers.parse_value(encoding)
                self.defects.append(Defect("bad-transfer-encoding", path, at=at))
                encoding = cte.main
        return value, media, encoding

    def _is_split(self, value: headers.Value | None, media: bytes, path: str) -> bool:
        """A type that is no multipart but states a boundary (clients split it)."""
        if value is None or media.startswith((b"text/", b"message/")):
            return False
        for name, _ in value.parameters:
            if name == b"boundary":
                self.defects.append(Defect("boundary-without-multipart", path))
                return True
        return False

    def _open(self, region: Region, value: headers.Value | None, path: str) -> bool:
        """Open a multipart; False when it has no usable boundary (stays a leaf)."""
        boundaries: list[bytes] = []
        if value is not None:
            stated = value.get(b"boundary")
            if any(name.startswith(b"boundary*") for name, _ in value.parameters):
                from qscan import parameters

                read = parameters.joined(value, b"boundary")
                # A boundary is ASCII: what is not was read in the wrong charset.
                good = [one for one in read if one.isascii() and b"\0" not in one]
                stated = stated + (good or read)
            for text in stated:
                if text[-1:] in (b" ", b"\t"):
                    self.defects.append(
                        Defect("boundary-trailing-blank", path, at=region.start)
                    )
                    if not self.reading.exact:
                        text = text.rstrip(headers.LWSP)
                if text not in boundaries:
                    boundaries.append(text)
            if self.reading.literal:
                from qscan import quoting

                for text in quoting.boundaries(region.fields):
                    if text not in boundaries:
                        boundaries.append(text)
        if len(boundaries) > 1:
            self.defects.append(Defect("conflicting-boundary", path, at=region.start))
        boundary = boundaries[self.reading.pick] if boundaries else b""
        if not boundary or self.reading.guess:
            if not boundary:
                self.defects.append(Defect("boundary-missing", path, at=region.start))
            boundary = self._guess(region.start)
            if not boundary or boundary in self.index:
                return False
        default = b"text/plain"
        if region.media == b"multipart/digest":
            default = b"message/rfc822"
        frame = Frame(path, boundary, default, region.start)
        if self.reading.literal:
            frame.others = [text for text in boundaries if text and text != boundary]
        if region.encoding not in IDENTITY:
            # RFC 2045 section 6.4 forbids it: read as it stands, and decoded.
            self.defects.append(Defect("encoded-multipart", path, at=region.start))
            encoded = Region(path, "message", region.start)
            encoded.fields = region.fields
            encoded.media = region.media
            encoded.encoding = region.encoding
            frame.whole = encoded
        self._push(frame)
        preamble = Region(path + "/preamble", "preamble", region.start)
        preamble.fields = region.fields
        preamble.media = region.media
        preamble.encoding = region.encoding
        self.region = preamble
        return True

    def _guess(self, start: int) -> bytes:
        """The text of the first line that looks like a delimiter, for a multipart that
        does not say its boundary. The answer holds for all starts up to that line."""
        begin, found, text = self.guessed
        if begin <= start <= found:
            return text
        position = max(start - 1, 0)
        text = b""
        while True:
            position = self.window.find(b"\n--", position, self.window.size)
            if position < 0:
                position = self.window.size
                break
            line = self.window.line(position + 1, LINE).rstrip(BLANKS)
            if 2 < len(line) < GUESS_LINE and line[2:3] != b"-":
                text = line[2:].removesuffix(b"--") or line[2:]
                break
            position += 1
        self.guessed = (start, position, text)
        return text

    # -- the stack ----------------------------------------------------------------

    def _push(self, frame: Frame) -> None:
        if frame.boundary:
            if frame.boundary in self.index:
                frame.hidden = self.index[frame.boundary]
                self.defects.append(
                    Defect("same-boundary-nested", frame.path, at=frame.at)
                )
            self.index[frame.boundary] = len(self.frames)
            frame.others = [text for text in frame.others if text not in self.index]
            for text in frame.others:
                self.index[text] = len(self.frames)
        self.frames.append(frame)
        self._aim()

    def _aim(self) -> None:
        """Search for what all open boundaries have in common."""
        self.lengths = sorted({len(boundary) for boundary in self.index}, reverse=True)
        self.line_limit = max(4096, 2 * self.lengths[0] if self.lengths else 0)
        if len(self.index) == 1:
            for boundary in self.index:
                self.needle = b"\n--" + boundary
        else:
            low = min(self.index, default=b"")
            high = max(self.index, default=b"")
            length = 0
            for one, two in zip(low, high, strict=False):
                if one != two:
                    break
                length += 1
            self.needle = b"\n--" + low[:length]

    def _leave(self, keep: int, end: int) -> None:
        """Close all frames from index ``keep`` on, which no delimiter closed."""
        if len(self.frames) <= keep:
            return
        while len(self.frames) > keep:
            frame = self.frames.pop()
            self._complete(frame, end)
            if not frame.boundary:
                continue
            self._forget(frame)
            if frame.seen:
                if end > frame.at:
                    self.defects.append(
                        Defect("missing-close", frame.path, at=frame.at)
                    )
                continue
            # What is cut behind its header, as in reports of returned mail, is not odd.
            if end > frame.at:
                self.defects.append(
                    Defect("boundary-not-found", frame.path, at=frame.at)
                )
            if self.region is not None and self.region.kind == "preamble":
                # Nothing was split off: the whole body is content.
                self.region.kind = "leaf"
        self._aim()

    def _complete(self, frame: Frame, end: int) -> None:
        whole = frame.whole
        if whole is not None:
            whole.end = max(whole.start, end)
            self.todo.append(whole)

    def _forget(self, frame: Frame) -> None:
        for text in frame.others:
            self.index.pop(text, None)
        if frame.hidden >= 0:
            self.index[frame.boundary] = frame.hidden
        else:
            del self.index[frame.boundary]

    def _match(self, line: bytes, at: int) -> tuple[int, bool] | None:
        """(frame index, closing?) when a line starting with ``--`` is a delimiter."""
        blanks = b"\r\n" if self.reading.exact else BLANKS
        text = line.rstrip(blanks)[2:]
        if self.reading.inner:
            return self._match_innermost(text)
        hit = self.index.get(text)
        if hit is not None:
            return hit, False
        if text.endswith(b"--"):
            hit = self.index.get(text[:-2])
            if hit is not None:
                return hit, True
        for length in self.lengths:
            hit = self.index.get(text[:length])
            if hit is not None:
                if self.reading.prefix:
                    return hit, text[length : length + 2] == b"--"
                self.defects.append(
                    Defect("boundary-with-junk", self.frames[hit].path, at=at)
                )
                break
        return None

    def _match_innermost(self, text: bytes) -> tuple[int, bool] | None:
        for index in range(len(self.frames) - 1, -1, -1):
            boundary = self.frames[index].boundary
            if boundary:
                if not text.startswith(boundary):
                    return None
                return index, text[len(boundary) :].startswith(b"--")
        return None

    def _advance(self, position: int) -> int:
        """Go to the next delimiter line; returns where to go on."""
        window = self.window
        size = window.size
        while True:
            if not self.index:
                return size
            found = window.find(self.needle, position, size)
            if found < 0:
                return size
            line = window.line(found + 1, self.line_limit)
            match = self._match(line, found + 1)
            if match is None:
                position = found + 1
                continue
            index, closing = match
            after = found + 1 + len(line)
            # The line end before a delimiter belongs to it (RFC 2046 section 5.1.1).
            end = found
            if end > 0 and window.at(end - 1, 1) == b"\r":
                end -= 1
            frame = self.frames[index]
            frame.seen = True
            self._leave(index + 1, end)
            self._close_region(end)
            if closing:
                self.frames.pop()
                self._complete(frame, end)
                self._forget(frame)
                self._aim()
                self.region = Region(frame.path + "/epilogue", "epilogue", after)
                return after - 1
            frame.count += 1
            return self._entity(after, f"{frame.path}.{frame.count}", frame.default)

    def _close_region(self, end: int) -> None:
        region = self.region
        self.region = None
        if region is None:
            return
        region.end = max(region.start, end)
        if region.end > region.start or region.kind in ("leaf", "message"):
            self.todo.append(region)

    def _limit(self, code: str, path: str, at: int) -> None:
        self.defects.append(Defect(code, path, at=at))


def stub(raw: bytes) -> str:
    """The defect code of a Content-Type that leaves content out of the message,
    however it is written: a fragment or a reference (RFC 2046 section 5.2)."""
    lower = raw[:200].lower()
    if b"partial" not in lower and b"external" not in lower and b"=?" not in lower:
        return ""
    if b"=?" in lower:
        from qscan import parameters

        lower = parameters.decode_words(raw[:200]).lower()
    if b"(" in lower:
        from qscan import quoting

        lower = quoting.uncommented(lower)
    kind = lower.split(b";", 1)[0].translate(None, BLANKS + b"\"'\\")
    if b"message/partial" in kind:
        return "message-partial"
    return "external-body" if b"message/external-body" in kind else ""


def _blank_line(data: bytes) -> tuple[int, int]:
    """(end of the header block, bytes of the blank line) or (-1, 0)."""
    lf = data.find(b"\n\n")
    crlf = data.find(b"\n\r\n")
    if lf >= 0 and (crlf < 0 or lf < crlf):
        return lf + 1, 1
    if crlf >= 0:
        return crlf + 1, 2
    return -1, 0
