# SPDX-License-Identifier: MIT
"""Header fields and their parameters, read leniently, in linear time.

Does: split a header block into fields (RFC 5322 section 2.2), read a structured MIME
value with its parameters (RFC 2045 section 5.1, RFC 2231, RFC 2183), decode encoded
words (RFC 2047). Never does: I/O; raise on content - what is odd becomes a Defect.
"""

import binascii

from qscan.model import Defect, Header

LWSP = b" \t"
BLANKS = b" \t\r\n\x0b\x0c"
PARAMETERS = 1000  # of one field; more is a finding, no mail client writes them
NAMES = 200  # of one part


def split_block(
    block: bytes, where: str, defects: list[Defect], stop_at_junk: bool = False
) -> tuple[list[Header], int]:
    """(fields of a header block without its empty line, end of what was read).

    A line that is no field is annotated and skipped, or with ``stop_at_junk`` ends the
    header as some clients have it; continuation lines belong to the field before them.
    """
    position = 0
    fields: list[Header] = []
    name = b""
    value: list[bytes] = []
    if b"\0" in block:
        defects.append(Defect("nul-in-header", where))
    first = True
    for line in block.split(b"\n"):
        begin = position
        position += len(line) + 1
        if line.endswith(b"\r"):
            line = line[:-1]
        if b"\r" in line:
            defects.append(Defect("bare-cr-in-header", where))
        if line[:1] in (b" ", b"\t"):
            if value:
                value.append(line)
            elif line.strip():
                defects.append(Defect("continuation-first", where))
                field = line.strip()
                colon = field.find(b":")
                if colon > 0 and is_token(field[:colon]):
                    # Some clients see a field here, others nothing: take it.
                    name, value = field[:colon].lower(), [field[colon + 1 :]]
            first = False
            continue
        colon = line.find(b":")
        if colon <= 0 or not _is_name(line[:colon]):
            if first and (line.startswith((b"From ", b">From "))):
                first = False
                continue
            first = False
            if line:
                if stop_at_junk:
                    position = begin
                    break
                defects.append(Defect("header-junk", where, _shown(line)))
                if value:
                    fields.append(Header(name, b"\n".join(value)))
                    value = []
                    name = b""
                bare = line[: max(colon, 0)].strip(BLANKS + b"\0").rstrip(b":")
                if colon > 0 and is_token(bare):
                    name, value = bare.lower(), [line[colon + 1 :]]
            continue
        first = False
        if value:
            fields.append(Header(name, b"\n".join(value)))
        raw = line[:colon]
        name = raw.rstrip(LWSP).lower()
        if len(name) != len(raw):
            defects.append(Defect("space-before-colon", where, _shown(name)))
        value = [line[colon + 1 :]]
    if value:
        fields.append(Header(name, b"\n".join(value)))
    return fields, min(position, len(block))


def _is_name(raw: bytes) -> bool:
    """A field name, blanks before the colon tolerated (RFC 5322 section 4.5)."""
    return is_token(raw.rstrip(LWSP))


# Printable ASCII except blank and colon (RFC 5322 section 3.6.8); 8-bit names occur.
_NAME_BYTES = bytes(c for c in range(256) if c > 32 and c not in (58, 127))


def is_token(name: bytes) -> bool:
    """True when only bytes of a field name are in it, and at least one."""
    return bool(name) and not name.translate(None, _NAME_BYTES)


def _shown(raw: bytes) -> str:
    return raw[:60].decode("ascii", "backslashreplace")


def values(fields: list[Header], name: bytes) -> list[bytes]:
    """All values of a field, unfolded (CRLF before blanks removed)."""
    return [unfold(field.value) for field in fields if field.name == name]


def unfold(value: bytes) -> bytes:
    """RFC 5322 section 2.2.3; the lines were joined by LF, their CR is gone."""
    if b"\n" in value:
        value = value.replace(b"\n", b"")
    return value.strip(BLANKS)


class Value:
    """A structured value: ``main`` lower case without blanks, ``parameters`` in order
    as (name lower case, raw value), ``odd`` codes of what was not clean."""

    __slots__ = ("main", "odd", "parameters")

    def __init__(self) -> None:
        self.main = b""
        self.parameters: list[tuple[bytes, bytes]] = []
        self.odd: list[str] = []

    def get(self, name: bytes) -> list[bytes]:
        """Every value of a plain parameter, in order."""
        return [value for key, value in self.parameters if key == name]


def parse_value(raw: bytes) -> Value:
    """Read ``type/subtype; name=value; ...`` with quotes and comments.

    One pass over the bytes. Comments are dropped (RFC 5322 section 3.2.2) and noted,
    an unterminated quote or comment ends with the value and is noted.
    """
    result = Value()
    if b"(" not in raw and b'"' not in raw and b"\\" not in raw:
        pieces = raw.split(b";", PARAMETERS + 1)
        segments: list[tuple[bytes, bool]] = [(p, False) for p in pieces]
    else:
        segments = _segments(raw, result.odd)
    result.main = b"".join(segments[0][0].split()).lower() if segments else b""
    if len(segments) > PARAMETERS:
        result.odd.append("limit-parameters")
        segments = segments[:PARAMETERS]
    for segment, _ in segments[1:]:
        equals = segment.find(b"=")
        if equals < 0:
            continue
        name = segment[:equals].strip(BLANKS).lower()
        value = segment[equals + 1 :].strip(BLANKS)
        if value[:1] == b'"':
            value = _unquote(value)
        if name:
            result.parameters.append((name, value))
    return result


def _segments(raw: bytes, odd: list[str]) -> list[tuple[bytes, bool]]:
    """Split at the semicolons outside quotes and comments; comments removed."""
    out: list[tuple[bytes, bool]] = []
    current = bytearray()
    depth = 0
    quoted = False
    i = 0
    n = len(raw)
    seen_comment = False
    while i < n:
        c = raw[i]
        if quoted:
            # A quoted run up to the next quote or backslash is taken in one piece.
            stop = i
            while stop < n and raw[stop] not in (34, 92):
                stop += 1
            current += raw[i:stop]
            if stop >= n:
                i = stop
                break
            current.append(raw[stop])
            if raw[stop] == 34:
                quoted = False
                i = stop + 1
            else:
                if stop + 1 < n:
                    current.append(raw[stop + 1])
                i = stop + 2
            continue
        if depth:
            if c == 92:
                i += 1
            elif c == 40:
                depth += 1
            elif c == 41:
                depth -= 1
        elif c == 34:
            # A quote opens a quoted string only where a value begins; elsewhere
            # clients take it literally or not: both are noted.
            quoted = True
            if bytes(current.rstrip(BLANKS)[-1:]) not in (b"=", b""):
                odd.append("stray-quote")
            current.append(c)
        elif c == 40:
            depth = 1
            seen_comment = True
        elif c == 59:
            out.append((bytes(current), False))
            current = bytearray()
            if len(out) > PARAMETERS:
                break
        elif c == 92:
            current.append(c)
            if i + 1 < n:
                current.append(raw[i + 1])
            i += 1
            odd.append("stray-backslash")
        else:
            current.append(c)
        i += 1
    if quoted:
        odd.append("unterminated-quote")
    if depth:
        odd.append("unterminated-comment")
    if seen_comment:
        odd.append("comment-in-mime-field")
    out.append((bytes(current), False))
    return out


def _unquote(value: bytes) -> bytes:
    """Content of a quoted string; what follows the closing quote is kept."""
    body = value[1:]
    if b"\\" not in body:
        end = body.find(b'"')
        if end < 0:
            return body
        return body[:end] + body[end + 1 :].rstrip(BLANKS)
    out = bytearray()
    i = 0
    n = len(body)
    while i < n:
        c = body[i]
        if c == 34:
            out += body[i + 1 :].rstrip(BLANKS)
            break
        if c == 92 and i + 1 < n:
            i += 1
            c = body[i]
        out.append(c)
        i += 1
    return bytes(out)


def joined(value: Value, base: bytes) -> list[bytes]:
    """Values of ``base`` written in RFC 2231 pieces: ``base*``, ``base*0``, ``base*0*``.

    Two orders are given where they differ: by number and as written.
    """
    pieces: list[tuple[int, bytes, bool]] = []
    out: list[bytes] = []
    prefix = base + b"*"
    for name, raw in value.parameters:
        if not name.startswith(prefix):
            continue
        rest = name[len(prefix) :]
        if not rest:
            out.append(_extended(raw, True))
            continue
        encoded = rest.endswith(b"*")
        digits = rest[:-1] if encoded else rest
        if digits.isdigit() and len(digits) < 6:
            pieces.append((int(digits), raw, encoded))
    if pieces:
        for order in (sorted(pieces, key=_number), pieces):
            text = b"".join(
                percent(raw) if encoded else raw for _, raw, encoded in order
            )
            if order[0][2]:
                text = _extended(text, False)
            if text not in out:
                out.append(text)
    return out


def _number(piece: tuple[int, bytes, bool]) -> int:
    return piece[0]


def _extended(raw: bytes, encoded: bool) -> bytes:
    """``charset'language'text`` -> text in UTF-8 where the charset is known."""
    text = percent(raw) if encoded else raw
    fields = text.split(b"'", 2)
    if len(fields) == 3:
        return _recode(fields[2], fields[0])
    return text


def percent(raw: bytes) -> bytes:
    """Percent-decoding; what is no escape stays."""
    if b"%" not in raw:
        return raw
    pieces = raw.split(b"%")
    out = [pieces[0]]
    for piece in pieces[1:]:
        try:
            out.append(binascii.unhexlify(piece[:2]) + piece[2:])
        except binascii.Error:
            out.append(b"%" + piece)
    return b"".join(out)


def _recode(raw: bytes, charset: bytes) -> bytes:
    name = charset.decode("ascii", "replace").lower()
    if name in ("", "us-ascii", "utf-8", "ascii"):
        return raw
    try:
        return raw.decode(name, "replace").encode("utf-8", "replace")
    except (LookupError, ValueError):
        return raw


def decode_words(raw: bytes) -> bytes:
    """Encoded words (RFC 2047) in any place decoded to UTF-8, others left alone."""
    if b"=?" not in raw:
        return raw
    out: list[bytes] = []
    position = 0
    after_word = False
    while True:
        start = raw.find(b"=?", position)
        if start < 0:
            break
        fields = raw[start + 2 : start + 2000].split(b"?", 3)
        if len(fields) < 4 or not fields[3].startswith(b"="):
            out.append(raw[position : start + 2])
            position = start + 2
            after_word = False
            continue
        charset, kind, text = fields[0], fields[1].lower(), fields[2]
        gap = raw[position:start]
        if not (after_word and not gap.strip(BLANKS)):
            out.append(gap)
        position = start + 2 + len(charset) + 1 + len(fields[1]) + 1 + len(text) + 2
        charset = charset.split(b"*", 1)[0]
        try:
            if kind == b"b":
                data = binascii.a2b_base64(text + b"==")
            elif kind == b"q":
                data = binascii.a2b_qp(text, header=True)
            else:
                data = text
        except binascii.Error:
            data = text
        out.append(_recode(data, charset))
        after_word = True
    out.append(raw[position:])
    return b"".join(out)


def part_names(fields: list[Header]) -> list[str]:
    """Every file name a part has in Content-Type, Content-Disposition and neighbours.

    Any parameter whose name contains ``name``, plain, in RFC 2231 pieces, and with
    encoded words decoded; in order, without repetition, as text for display and
    matching (undecodable bytes as latin-1).
    """
    out: list[str] = []
    for field in fields:
        if field.name not in _NAMING or len(out) >= NAMES:
            continue
        raw = unfold(field.value)
        if b"ame" not in raw.lower() and field.name != b"content-location":
            continue
        value = parse_value(raw)
        bases: list[bytes] = []
        for name, text in value.parameters:
            if b"name" not in name:
                continue
            base = name.split(b"*", 1)[0]
            if b"*" not in name:
                add_name(out, text)
            elif base not in bases:
                bases.append(base)
        for base in bases:
            for text in joined(value, base):
                add_name(out, text)
    return out


_NAMING = (b"content-type", b"content-disposition", b"content-description")


def add_name(out: list[str], raw: bytes) -> None:
    """Append a name and its encoded-word decoding, each once."""
    for text in (raw, decode_words(raw)):
        if text:
            try:
                shown = text.decode("utf-8")
            except UnicodeDecodeError:
                shown = text.decode("latin-1")
            if shown not in out and len(out) < NAMES:
                out.append(shown)
