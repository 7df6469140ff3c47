# SPDX-License-Identifier: MIT
"""Header fields and their parameters, read leniently, in linear time.

Does: split a header block into fields (RFC 5322 section 2.2), read a structured MIME
value (RFC 2045 section 5.1). Never does: I/O; raise on content - what is odd becomes a
Defect. Quoted strings and comments are in ``quoting``, RFC 2231 and encoded words in
``parameters``: plain mail needs neither.
"""

from qscan.model import BLANKS, PARAMETERS, Defect, Header

LWSP = b" \t"


def split_block(
    block: bytes,
    where: str,
    defects: list[Defect],
    stop_at_junk: bool = False,
    base: int = 0,
) -> tuple[list[Header], int]:
    """(fields of a header block without its empty line, end of what was read).

    A line that is no field is annotated and skipped, or with ``stop_at_junk`` ends the
    header as some clients have it, as does a line of blanks; continuation lines belong
    to the field before them. ``base`` is the offset of the block in its file.
    """
    position = 0
    known = 0
    fields: list[Header] = []
    name = b""
    value: list[bytes] = []
    if b"\0" in block:
        defects.append(Defect("nul-in-header", where, at=base + block.index(b"\0")))
    first = True
    for line in block.split(b"\n"):
        begin = position
        position += len(line) + 1
        if line.endswith(b"\r"):
            line = line[:-1]
        if b"\r" in line:
            defects.append(Defect("bare-cr-in-header", where, at=base + begin))
            if _fields_behind_cr(line):
                defects.append(Defect("field-behind-cr", where, at=base + begin))
        if line[:1] in (b" ", b"\t"):
            if not line.strip(BLANKS):
                defects.append(Defect("blank-line-in-header", where, at=base + begin))
                if stop_at_junk:
                    break
            if value:
                value.append(line)
            elif line.strip():
                defects.append(Defect("continuation-first", where, at=base + begin))
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
                defects.append(Defect("header-junk", where, _shown(line), base + begin))
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
            defects.append(
                Defect("space-before-colon", where, _shown(name), base + begin)
            )
        elif name in _PLAIN:
            known += 1
        value = [line[colon + 1 :]]
    if value:
        fields.append(Header(name, b"\n".join(value)))
    if block.lower().count(b"content-t") > known:
        _hidden(block, where, defects, base)
    return fields, min(position, len(block))


def _fields_behind_cr(line: bytes) -> bool:
    """True when a reader for whom CR ends lines sees another field or the end of the
    header in this line."""
    pieces = line.rstrip(b"\r").split(b"\r")
    if len(pieces) > 1 and not pieces[0]:
        return True
    return any(
        not piece.strip() or (b":" in piece and is_token(piece.split(b":", 1)[0]))
        for piece in pieces[1:]
    )


def _hidden(block: bytes, where: str, defects: list[Defect], base: int) -> None:
    """Annotate MIME fields that some clients see and others do not: indented, or with
    other characters around their names. Signatures name fields too, without a value.
    """
    position = 0
    lines = block.split(b"\n")
    for line, following in zip(lines, [*lines[1:], b""], strict=True):
        exact = line.partition(b":")[0].rstrip(LWSP).lower() in _PLAIN
        if not exact and is_mime_field(line, following):
            defects.append(
                Defect("hidden-field", where, _shown(line.strip()), base + position)
            )
        position += len(line) + 1


_PLAIN = (b"content-type", b"content-transfer-encoding")
_LETTERS = b"abcdefghijklmnopqrstuvwxyz0123456789"
_CODINGS = (b"base64", b"quoted", b"uu", b"x-", b"7bit", b"8bit", b"binary")


def is_mime_field(line: bytes, following: bytes | None = None) -> bool:
    """True when a line reads like a Content-Type or Content-Transfer-Encoding field,
    whatever stands around the name; ``following`` is the next line of a header, where
    signatures list names of fields too, None in a body."""
    name, colon, value = line.lower().partition(b":")
    start = name.find(b"content-t")
    if not colon or start < 0:
        return False
    before = name[:start]
    if before.translate(None, _LETTERS) != before or before[-1:] == b"-":
        return False
    rest = name[start:].split(b"(", 1)[0].strip(BLANKS + b"\0\"'")
    if rest not in _PLAIN:
        return False
    if following is not None:
        if not value.strip(BLANKS):
            value = following.lower()
        if b":" in value or b"|" in value:
            return False  # in lists of names (RFC 6376 section 3.5, tags h and z)
        if rest == b"content-transfer-encoding":
            bare = value.strip(BLANKS + b"\0\"'(;,")
            return bare.startswith((*_CODINGS, b"=?")) or b"(" in value
    if rest == b"content-transfer-encoding":
        return True
    value = value.strip(BLANKS + b"\0\"'")
    return not value or b"/" in value or value.startswith((b"multipart", b"(", b"=?"))


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


def parse_value(raw: bytes, literal: bool = False) -> Value:
    """Read ``type/subtype; name=value; ...`` with quotes and comments.

    One pass over the bytes. Comments are dropped (RFC 5322 section 3.2.2) and noted,
    an unterminated quote or comment ends with the value and is noted. ``literal``:
    comments are text, every semicolon counts, quotes and backslashes do not.
    """
    result = Value()
    if literal:
        raw = raw.translate(None, b"\"'\\")
        segments = raw.split(b";", PARAMETERS + 1)
    elif b"(" not in raw and b'"' not in raw and b"\\" not in raw:
        segments = raw.split(b";", PARAMETERS + 1)
    else:
        from qscan import quoting

        segments = quoting.segments(raw, result.odd)
    result.main = b"".join(segments[0].split()).lower() if segments else b""
    if len(segments) > PARAMETERS:
        result.odd.append("limit-parameters")
        segments = segments[:PARAMETERS]
    for segment in segments[1:]:
        equals = segment.find(b"=")
        if equals < 0:
            continue
        name = segment[:equals].strip(BLANKS).lower()
        value = segment[equals + 1 :].strip(BLANKS)
        if value[:1] == b'"':
            from qscan import quoting

            value = quoting.unquote(value)
        if name:
            result.parameters.append((name, value))
    return result
