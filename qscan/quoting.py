# SPDX-License-Identifier: MIT
"""Quoted strings and comments in structured fields.

Does: split a value at the semicolons that count (RFC 2045 section 5.1, RFC 5322 section
3.2), take a quoted string apart. Never does: I/O; raise on content. One pass each.
"""

from qscan.model import BLANKS, PARAMETERS, Header

MOST = 32  # boundaries that the fields of one part may state


def segments(raw: bytes, odd: list[str]) -> list[bytes]:
    """Split at the semicolons outside quotes and comments; comments removed."""
    out: list[bytes] = []
    current = bytearray()
    depth = 0
    quoted = False
    i = 0
    n = len(raw)
    seen_comment = False
    # The last byte of this segment that is no blank; a semicolon at its start.
    last = 59
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
            if last not in (59, 61):
                _note(odd, "stray-quote")
            last = 34
            current.append(c)
        elif c == 40:
            depth = 1
            seen_comment = True
        elif c == 59:
            out.append(bytes(current))
            current = bytearray()
            last = 59
            if len(out) > PARAMETERS:
                break
        elif c == 92:
            current.append(c)
            if i + 1 < n:
                current.append(raw[i + 1])
            i += 1
            last = 92
            _note(odd, "stray-backslash")
        else:
            if c not in BLANKS:
                last = c
            current.append(c)
        i += 1
    if quoted:
        odd.append("unterminated-quote")
    if depth:
        odd.append("unterminated-comment")
    if seen_comment:
        odd.append("comment-in-mime-field")
    out.append(bytes(current))
    return out


def unquote(value: bytes) -> bytes:
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


def boundaries(fields: list[Header]) -> list[bytes]:
    """Everything that could be meant by ``boundary=`` in the MIME fields of a part:
    up to the next semicolon, quote or blank, with and without quotes, backslashes and
    comments. At most MOST."""
    out: list[bytes] = []
    for field in fields:
        if not field.name.startswith(b"content-"):
            continue
        raw = field.value
        lower = raw.lower()
        position = lower.find(b"bound")
        while position >= 0 and len(out) < MOST:
            equals = raw.find(b"=", position, position + 60)
            if equals < 0:
                break
            rest = raw[equals + 1 : equals + 400].lstrip(BLANKS + b"(=")
            flat = rest.replace(b"\r", b"").replace(b"\n", b"")
            for text in (
                flat.split(b";", 1)[0],
                flat.split(b'"')[1] if flat.startswith(b'"') and len(flat) > 1 else b"",
                flat.split(b"'")[1] if flat.startswith(b"'") and len(flat) > 1 else b"",
                rest.split(None, 1)[0] if rest.split() else b"",
                uncommented(flat.split(b";", 1)[0]),
            ):
                bare = text.strip(BLANKS)
                for one in (
                    bare,
                    bare.strip(b"\"'"),
                    bare.strip(b"\"'").strip(BLANKS),
                    bare.translate(None, b"\"'\\"),
                    bare.replace(b"\\", b""),
                    bare.rstrip(b";,"),
                ):
                    if one and one not in out and len(out) < MOST:
                        out.append(one)
            position = lower.find(b"bound", equals)
    return out


def uncommented(raw: bytes) -> bytes:
    """Without what stands in parentheses, nested ones too."""
    out: list[bytes] = []
    depth = 0
    for piece in raw.replace(b"(", b"\0(").replace(b")", b"\0)").split(b"\0"):
        if piece.startswith(b"("):
            depth += 1
        elif piece.startswith(b")") and depth:
            depth -= 1
            piece = piece[1:]
        if not depth:
            out.append(piece)
    return b"".join(out)


def _note(odd: list[str], code: str) -> None:
    """Keep a code once."""
    if code not in odd:
        odd.append(code)
