# SPDX-License-Identifier: MIT
"""Parameters of structured fields in every way clients read them.

Does: values in pieces and charsets (RFC 2231), encoded words (RFC 2047), all names of a
part.
Never does: I/O; raise on content. Time is linear in the bytes of the field.
"""

import binascii

from qscan.headers import Value, parse_value, unfold
from qscan.model import BLANKS, Header

NAMES = 200  # names of one part
NAMING = (b"content-type", b"content-disposition", b"content-description")


_HEX = b"0123456789abcdefABCDEF"
Piece = tuple[int, bytes, bool]


def joined(value: Value, base: bytes) -> list[bytes]:
    """Values of ``base`` in RFC 2231 pieces: ``base*``, ``base*0``, ``base*0*``.

    Two orders are given where they differ: by number and as written.
    """
    pieces, whole = _pieces(value)
    return _join(pieces.get(base, []), whole.get(base, []))


def _pieces(value: Value) -> tuple[dict[bytes, list[Piece]], dict[bytes, list[bytes]]]:
    """({base: its numbered pieces}, {base: its values in one piece}), one pass."""
    pieces: dict[bytes, list[Piece]] = {}
    whole: dict[bytes, list[bytes]] = {}
    for name, raw in value.parameters:
        base, star, rest = name.partition(b"*")
        if not star:
            continue
        if not rest:
            whole.setdefault(base, []).append(raw)
            continue
        encoded = rest.endswith(b"*")
        digits = rest[:-1] if encoded else rest
        if digits.isdigit() and len(digits) < 6:
            pieces.setdefault(base, []).append((int(digits), raw, encoded))
    return pieces, whole


def _join(pieces: list[Piece], whole: list[bytes]) -> list[bytes]:
    out = [_extended(raw, True) for raw in whole]
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


def _number(piece: Piece) -> int:
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
        digits = piece[:2]
        if len(digits) == 2 and not digits.translate(None, _HEX):
            out.append(binascii.unhexlify(digits) + piece[2:])
        else:
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
        if field.name not in NAMING or len(out) >= NAMES:
            continue
        raw = unfold(field.value)
        value = parse_value(raw)
        for name, text in value.parameters:
            if b"name" in name and b"*" not in name:
                add_name(out, text)
        pieces, whole = _pieces(value)
        for base in {**pieces, **whole}:
            if b"name" in base:
                for text in _join(pieces.get(base, []), whole.get(base, [])):
                    add_name(out, text)
    return out


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
