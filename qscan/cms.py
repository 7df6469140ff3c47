# SPDX-License-Identifier: MIT
"""S/MIME that is not in the clear: where the content of a CMS object stands.

Does: recognise CMS (RFC 5652) by its first bytes, name its kind, find the pieces of
the OCTET STRING inside signed, digested and compressed data, in BER as in DER (X.690).
Never does: verify a signature; decrypt; hold content; raise on content (what ``read``
raises goes through).
Limits: ELEMENTS headers are read and DEPTH levels entered; more is ``full``. Lengths
that go beyond what holds them end where that ends. One pass, no recursion.
Source: RFC 5652, RFC 3274 (compressed data), RFC 5083, RFC 2315 (PKCS #7), X.690.
"""

from __future__ import annotations

import binascii

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[int, int], bytes]

ELEMENTS = 200_000
DEPTH = 32
WINDOW = 512  # bytes that are read at once for headers
HEADER = 160  # bytes that a header may have: a length of 126 bytes, an identifier
_TAG = 6  # bytes of a long identifier
_PKCS7 = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07"
_SMIME = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01"
_KINDS = {
    _PKCS7 + b"\x01": "data",
    _PKCS7 + b"\x02": "signed",
    _PKCS7 + b"\x03": "enveloped",
    _PKCS7 + b"\x04": "enveloped",  # and signed, PKCS #7 only
    _PKCS7 + b"\x05": "digested",
    _PKCS7 + b"\x06": "encrypted",
    _SMIME + b"\x09": "compressed",
    _SMIME + b"\x17": "authenveloped",
}
SECRET = ("enveloped", "encrypted", "authenveloped")
# Version, algorithms, encapsulated content: all three kinds have it there.
_BODIES = ("signed", "digested", "compressed")
_PLACE = 2
_OID, _OCTETS, _SEQUENCE = 6, 4, 16
_INFO, _EXPLICIT, _BODY, _INNER, _CONTENT, _SKIP = range(6)
_ARMOURS = (b"-----BEGIN PKCS7-----", b"-----BEGIN CMS-----", b"-----BEGIN PKCS #7 ")
_NO_BASE64 = b" \t\r\n"


class Found:
    """``kind`` signed, digested, compressed, data, enveloped, encrypted,
    authenveloped or "" (no CMS that we know); ``spans`` (offset, length) of the pieces
    of its content, in order; ``full`` when a limit ended the search."""

    __slots__ = ("full", "kind", "spans")

    def __init__(self) -> None:
        self.kind = ""
        self.spans: list[tuple[int, int]] = []
        self.full = False


class _Frame:
    """A constructed element that is being read: its children end at ``end``, or
    before at an end-of-contents when it is ``open``."""

    __slots__ = ("count", "end", "kind", "open", "role")

    def __init__(self, role: int, end: int, open_: bool, kind: str = "") -> None:
        self.role = role
        self.end = end
        self.open = open_
        self.kind = kind  # what the object identifier in it says
        self.count = 0


class _Headers:
    """Identifier and length octets, through a window."""

    __slots__ = ("begin", "data", "read")

    def __init__(self, read: Read) -> None:
        self.read = read
        self.begin = 0
        self.data = b""

    def bytes_at(self, position: int, length: int) -> bytes:
        """Up to ``length`` (at most HEADER) bytes at ``position``."""
        offset = position - self.begin
        if offset < 0 or offset + length > len(self.data):
            self.data = self.read(position, WINDOW)
            self.begin = position
            offset = 0
        return self.data[offset : offset + length]


def header(data: bytes) -> tuple[int, int, int, int] | None:
    """(first byte, tag number, length or -1 for indefinite, bytes of the header) of the
    element that ``data`` begins with (X.690 section 8.1); None when there is none."""
    if len(data) < 2:
        return None
    first = data[0]
    tag = first & 31
    position = 1
    if tag == 31:
        tag = 0
        while True:
            if position >= len(data) or position > _TAG:
                return None
            byte = data[position]
            position += 1
            tag = tag << 7 | byte & 127
            if byte < 128:
                break
    if position >= len(data):
        return None
    length = data[position]
    position += 1
    if length < 128:
        return first, tag, length, position
    if length == 128:
        # What is primitive says how long it is.
        return (first, tag, -1, position) if first & 32 else None
    octets = data[position : position + (length & 127)]
    if len(octets) < length & 127 or length == 255:
        return None
    return first, tag, int.from_bytes(octets, "big"), position + len(octets)


def is_cms(head: bytes) -> bool:
    """True when ``head`` begins a ContentInfo of a kind that we know."""
    outer = header(head[:HEADER])
    if outer is None or outer[0] & 0xE0 != 0x20 or outer[1] != _SEQUENCE:
        return False
    start = outer[3]
    inner = header(head[start : start + HEADER])
    if inner is None or inner[0] & 0xE0 or inner[1] != _OID or inner[2] > 16:
        return False
    start += inner[3]
    return head[start : start + inner[2]] in _KINDS


def pem(head: bytes) -> int:
    """Where the base64 of an armoured CMS object begins (RFC 7468 sections 8 and 9, and
    base64 without armour); -1 when there is none."""
    for armour in _ARMOURS:
        place = head.find(armour)
        if place >= 0:
            end = head.find(b"-----", place + 5)
            return end + 5 if end >= 0 else -1
    text = head.translate(None, _NO_BASE64)
    if not text.startswith(b"M"):
        return -1
    try:
        start = binascii.a2b_base64(text[: len(text) // 4 * 4])
    except binascii.Error:
        return -1
    return 0 if is_cms(start) else -1


def inspect(read: Read, size: int) -> Found:
    """The CMS object in the ``size`` bytes that ``read(offset, length)`` gives."""
    found = Found()
    headers = _Headers(read)
    stack = [_Frame(_SKIP, size, False)]
    position = count = 0
    while stack:
        frame = stack[-1]
        if position >= frame.end:
            stack.pop()
            if frame.role == _INNER:
                break  # nothing behind it is content
            continue
        count += 1
        if count > ELEMENTS or len(stack) > DEPTH:
            found.full = True
            break
        element = header(headers.bytes_at(position, HEADER))
        if element is None:
            break
        first, tag, length, used = element
        body = position + used
        if first == 0 and tag == 0:
            position = min(frame.end, body + length)
            if frame.open:
                stack.pop()
                if frame.role == _INNER:
                    break
            continue
        end = frame.end if length < 0 else min(frame.end, body + length)
        place = frame.count
        frame.count += 1
        if len(stack) == 1:
            if place or tag != _SEQUENCE or not first & 32:
                break
            role = _INFO
        elif frame.role in (_INFO, _INNER) and place == 0:
            if tag != _OID or first & 0xE0:
                break
            frame.kind = _KINDS.get(headers.bytes_at(body, min(16, end - body)), "")
            if frame.role == _INFO:
                found.kind = frame.kind
                if not found.kind or found.kind in SECRET:
                    break
            role = _SKIP
        else:
            role = _role(frame, place, first, tag)
        if role == _CONTENT and not first & 32:
            if end > body:
                found.spans.append((body, end - body))
            position = end
        elif role == _SKIP and length >= 0:
            position = end
        else:
            stack.append(_Frame(role, end, length < 0, frame.kind))
            position = body
    return found


def _role(frame: _Frame, place: int, first: int, tag: int) -> int:
    """What the child number ``place`` of ``frame`` is."""
    constructed = bool(first & 32)
    kind = frame.kind
    if frame.role == _INFO and place == 1 and constructed:
        return _CONTENT if kind == "data" else _EXPLICIT
    if frame.role == _EXPLICIT and tag == _SEQUENCE and constructed:
        return _BODY
    if frame.role == _BODY and place == _PLACE and constructed:
        return _INNER
    if frame.role == _INNER and place == 1:
        return _CONTENT
    if frame.role == _CONTENT:
        if constructed and tag == _SEQUENCE and first < 64:
            # PKCS #7 has the structure itself here, CMS its bytes.
            return _BODY if kind in _BODIES else _SKIP
        return _CONTENT
    return _SKIP
