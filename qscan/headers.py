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
