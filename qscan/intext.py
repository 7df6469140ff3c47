# SPDX-License-Identifier: MIT
"""Files in texts: uuencode, yEnc, BinHex, and what only looks like plain text.

Does: unpack every such file into the store, annotate MIME fields that stand in a body.
Never does: walk MIME. Imported when a text shows a sign of such content.
"""

from qscan import headers, mime, oldcodes, transfer, variants
from qscan.fdio import WINDOW, pread_all
from qscan.model import Defect, Item
from qscan.store import Store

ENCODINGS = {
    "uu": "uuencode",
    "uu64": "uuencode in base64",
    "yenc": "yEnc",
    "binhex": "BinHex",
    "property": "base64",
}
BOM = b"\xef\xbb\xbf"
BLOCKS = 100  # of one text and kind
BEGIN_LINE = 1024  # bytes of a begin line that are looked at


def search(
    store: Store, fd: int, start: int, end: int, item: Item, plain: bool
) -> bool:
    """Look through bytes [start, end) of ``fd``, a text; ``plain``: it is in no
    transfer encoding. Every byte is decoded at most once for each kind of block. True
    when a MIME field stands in the text."""
    _blocks(store, fd, start, end, item, b"begin", _uu)
    _blocks(store, fd, start, end, item, b"begin-base64 ", _begin_base64)
    _blocks(store, fd, start, end, item, oldcodes.YBEGIN, _yenc)
    _blocks(store, fd, start, end, item, oldcodes.BINHEX, _binhex)
    _blocks(store, fd, start, end, item, b"ENCODING=", _property)
    _blocks(store, fd, start, end, item, b"encoding=", _property)
    at = _fields(fd, start, end)
    if not plain:
        return at >= 0
    if at >= 0:
        store.defects.append(Defect("header-in-body", item.path, at=at))
    if variants.looks_base64(item.head):
        _undeclared(store, fd, start, end, item, "base64")
    elif variants.looks_quoted(item.head):
        _undeclared(store, fd, start, end, item, "quoted-printable")
    return at >= 0


def _undeclared(
    store: Store, fd: int, start: int, end: int, item: Item, encoding: str
) -> None:
    """Decode what is in a transfer encoding that no field states."""
    guess = Item(
        f"{item.path}/as-{encoding}",
        "guess",
        item.names,
        item.declared_type,
        encoding,
    )
    store.further()
    store.decode(fd, start, end, guess, transfer.decoder(encoding.encode()))
    store.add(guess)


def _fields(fd: int, start: int, end: int) -> int:
    """Offset of the first MIME field in a body, of a part that no boundary opens; -1
    when there is none."""
    position = start
    rest = b""
    while position < end:
        data = pread_all(fd, min(WINDOW, end - position), position)
        if not data:
            break
        text = rest + data
        lower = text.lower()
        base = position - len(rest)
        found = lower.find(b"content-t")
        while found >= 0:
            begin = max(lower.rfind(b"\n", 0, found), lower.rfind(b"\r", 0, found)) + 1
            line = lower[begin : begin + 1000].split(b"\n", 1)[0]
            if headers.is_mime_field(line):
                return base + begin
            found = lower.find(b"content-t", found + 9)
        position += len(data)
        rest = text[-BEGIN_LINE:]
    return -1


def _blocks(
    store: Store,
    fd: int,
    start: int,
    end: int,
    item: Item,
    sign: bytes,
    begin: object,
) -> None:
    def read(position: int, length: int) -> bytes:
        return pread_all(fd, max(0, min(length, end - position)), position)

    window = mime.Window(read, end)
    position = start
    number = 0
    while position < end and not store.late(item.path):
        found = window.find(sign, position, end)
        if found < 0:
            return
        position = found + len(sign)
        before = window.at(max(start, found - 3), min(3, found - start))
        inside = begin is _property
        if (
            not inside
            and before not in (b"", BOM)
            and before[-1:] not in (b"\n", b"\r")
        ):
            continue
        data = window.at(found, min(BEGIN_LINE, end - found))
        line = data[: data.replace(b"\r", b"\n").find(b"\n") + 1] or data
        opened = begin(line, data[len(line) :])  # type: ignore[operator]
        if opened is None:
            continue
        kind, coder, name, skip = opened
        number += 1
        store.parts += 1
        if number > BLOCKS or store.parts > store.limits.parts:
            store.note("limit-parts", item.path)
            return
        block = Item(f"{item.path}/{kind}/{number}", "uu", [], "", ENCODINGS[kind])
        first = found + skip
        store.decode(fd, first, end, block, coder)
        name = name or getattr(coder, "name", b"")
        if name:
            from qscan import parameters

            parameters.add_name(block.names, name)
        store.add(block)
        position = first + coder.used if coder.done else end


def _uu(line: bytes, following: bytes) -> tuple[str, transfer.UU, bytes, int] | None:
    """The decoder behind a ``begin MODE NAME`` line (POSIX uuencode). Some write
    another mode or none; then the next line has to fit."""
    if line[5:6] not in (b" ", b"\t"):
        return None
    fields = line.split(None, 2)
    mode = fields[1] if len(fields) > 1 else b""
    if mode.isdigit() and len(mode) < 8:
        name = fields[2].strip() if len(fields) == 3 else b""
        if not 3 <= len(mode) <= 6 and not transfer.fits_uu(following):
            return None
    else:
        name = line[6:].strip()
        if not transfer.fits_uu(following):
            return None
    return "uu", transfer.UU(started=True), name, len(line)


def _begin_base64(
    line: bytes, following: bytes
) -> tuple[str, oldcodes.MarkedBase64, bytes, int] | None:
    """The decoder behind a ``begin-base64 MODE NAME`` line (POSIX uuencode -m)."""
    fields = line.split(None, 2)
    name = fields[2].strip() if len(fields) == 3 else b""
    return "uu64", oldcodes.MarkedBase64(), name, len(line)


def _property(
    line: bytes, following: bytes
) -> tuple[str, oldcodes.Folded, bytes, int] | None:
    """The decoder of a value in base64 in a calendar or card (RFC 5545 section 3.1.3,
    RFC 2426 section 2.4.1)."""
    # Parameters may be folded too.
    begin, colon, value = (line + following).partition(b":")
    flat = begin.replace(b"\r", b"").replace(b"\n ", b"").replace(b"\n\t", b"")
    if not colon or b"\n" in flat or not flat[9:].lower().startswith(b"b"):
        return None
    words = value.split(None, 1)
    if not words or len(words[0]) < 4:
        return None
    _, named, rest = flat.lower().partition(b"filename=")
    name = flat[len(flat) - len(rest) :] if named else b""
    return (
        "property",
        oldcodes.Folded(),
        name.split(b";")[0].strip(b'"'),
        len(begin) + 1,
    )


def _yenc(
    line: bytes, following: bytes
) -> tuple[str, oldcodes.YEnc, bytes, int] | None:
    return "yenc", oldcodes.YEnc(), b"", 0


def _binhex(
    line: bytes, following: bytes
) -> tuple[str, oldcodes.BinHex, bytes, int] | None:
    return "binhex", oldcodes.BinHex(), b"", len(line)
