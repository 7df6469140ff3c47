# SPDX-License-Identifier: MIT
"""The structure of a zip file, read in every way that programs read it.

Does: take every end record, every central directory, every local header, and make the
union of their members; say where they disagree, overlap, or leave bytes unexplained.
Never does: decompress; raise on content; believe a count, size or offset that the file
does not bear out.
Limits: the given number of members and ENDS end records (what goes over is a fact);
each byte is looked at a bounded number of times.
Source: APPNOTE.TXT 6.3.10 (sections by number below), Info-ZIP's extra field list.
"""

from __future__ import annotations

import bisect
import sys
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Read = Callable[[int, int], bytes]
    Note = Callable[[str, str], None]

LOCAL = b"PK\x03\x04"
CENTRAL = b"PK\x01\x02"
END = b"PK\x05\x06"
END64 = b"PK\x06\x06"
LOCATOR64 = b"PK\x06\x07"
DESCRIPTOR = b"PK\x07\x08"

ENDS = 4096
BLOCK = 65536
MORE = 64  # bytes over the end of a block: most headers, all signatures
HEADERS = 256  # that are kept
LOOKS = 200_000  # at what has the signature of a local header and is none
FIELDS = 256  # extra fields of one header that are looked at
NAME = 4096  # bytes of a name that are kept
AES = 99
# 4.4.5; what Windows, 7-Zip or clamd know
METHODS = {
    0: "stored",
    1: "shrink",
    2: "reduce",
    3: "reduce",
    4: "reduce",
    5: "reduce",
    6: "implode",
    8: "deflate",
    9: "deflate64",
    12: "bzip2",
    14: "zip-lzma",
    20: "zstd",
    93: "zstd",
    95: "xz",
    97: "wavpack",
    98: "ppmd",
}
_ENCRYPTED = 1
_DESCRIBED = 8
_UTF8 = 0x800
_MASKED = 0x2000
_MAX32 = 0xFFFFFFFF
_JUNK = 16  # bytes of unexplained content that are shown


class Way:
    """One way to read the content of a member: bytes [start, start + length) of the
    file (length -1: until the data ends itself), ``method`` of METHODS or its number,
    ``size`` and ``crc`` when decompressed (-1: not stated)."""

    __slots__ = ("crc", "encrypted", "length", "method", "size", "start")

    def __init__(
        self, start: int, length: int, method: int, size: int, crc: int, encrypted: bool
    ) -> None:
        self.start = start
        self.length = length
        self.method = METHODS.get(method, f"method {method}")
        self.size = size
        self.crc = crc
        self.encrypted = encrypted

    def same(self, other: Way) -> bool:
        """Equal in what decides which bytes come out."""
        return (self.start, self.length, self.method, self.encrypted) == (
            other.start,
            other.length,
            other.method,
            other.encrypted,
        )


class Entry:
    """A member: ``names`` raw as they stand (each with whether it is UTF-8 by its
    flag), ``ways`` the first of which is the directory's, ``offset`` of the local
    header, ``end`` behind the content. ``hidden``: in no directory."""

    __slots__ = ("end", "header", "hidden", "names", "offset", "ways")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.header = offset
        self.end = offset
        self.names: list[tuple[bytes, bool]] = []
        self.ways: list[Way] = []
        self.hidden = False

    def name(self, raw: bytes, utf8: bool) -> None:
        """Keep a name once."""
        raw = raw[:NAME]
        if (raw, utf8) not in self.names:
            self.names.append((raw, utf8))

    def way(self, way: Way) -> bool:
        """Keep a way to read it; False when it is known."""
        if any(way.same(known) for known in self.ways):
            return False
        self.ways.append(way)
        return True

    def is_directory(self) -> bool:
        """A name that ends with a slash, and no content."""
        return all(raw.endswith((b"/", b"\\")) for raw, _ in self.names) and all(
            way.length in (0, 2) and way.size == 0 for way in self.ways
        )


class _Header:
    """The fields that local headers and directory records share."""

    __slots__ = (
        "aes",
        "crc",
        "data",
        "flags",
        "length",
        "method",
        "name",
        "offset",
        "size",
        "strength",
        "time",
        "unicode",
    )

    def __init__(self, raw: bytes, name: bytes, extra: bytes, offset: int) -> None:
        self.flags = _u16(raw, 0)
        self.method = _u16(raw, 2)
        self.time = _u16(raw, 4)
        self.strength = 0
        self.crc = _u32(raw, 8)
        self.length = _u32(raw, 12)
        self.size = _u32(raw, 16)
        self.name = name
        self.offset = offset
        self.data = 0
        self.unicode = b""
        self.aes = False
        at = 0
        for _ in range(FIELDS):
            if at + 4 > len(extra):
                break
            kind, length = _u16(extra, at), _u16(extra, at + 2)
            field = extra[at + 4 : at + 4 + length]
            at += 4 + length
            if kind == 1:
                self._large(field)
            elif kind == 0x7075 and field[:1] == b"\x01":  # Info-ZIP Unicode path
                if _u32(field, 1) == zlib.crc32(name):
                    self.unicode = field[5:]
            elif kind == 0x9901 and len(field) >= 7:
                self.aes = True
                self.strength = field[4]
                if self.method == AES:
                    self.method = _u16(field, 5)

    def _large(self, field: bytes) -> None:
        """Zip64 (4.5.3): 64 bits for each value that is full, in this order."""
        values = [_u64(field, at) for at in range(0, len(field) - 7, 8)]
        if self.size == _MAX32 and values:
            self.size = values.pop(0)
        if self.length == _MAX32 and values:
            self.length = values.pop(0)
        if self.offset == _MAX32 and values:
            self.offset = values.pop(0)

    @property
    def encrypted(self) -> bool:
        return bool(self.flags & _ENCRYPTED) or self.method == AES

    @property
    def described(self) -> bool:
        """What is zero here stands behind the content (4.4.4 bit 3)."""
        return bool(self.flags & _DESCRIBED) and not (self.length and self.size)

    def way(self) -> Way:
        if self.described:
            return Way(
                self.data,
                self.length or -1,
                self.method,
                self.size or -1,
                self.crc or -1,
                self.encrypted,
            )
        crc = -1 if self.aes else self.crc  # AE-2 has none
        return Way(self.data, self.length, self.method, self.size, crc, self.encrypted)

    def names(self, entry: Entry) -> None:
        utf8 = bool(self.flags & _UTF8)
        entry.name(self.name, utf8)
        if b"\0" in self.name:
            entry.name(self.name[: self.name.index(b"\0")], utf8)
        if self.unicode:
            entry.name(self.unicode, True)


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _u64(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")


class Zip:
    """One zip file. ``entries`` after ``inspect``; ``notes`` (code, detail) once each;
    ``odd`` when different programs may see different contents in it."""

    __slots__ = (
        "blocks",
        "directories",
        "ends",
        "entries",
        "headers",
        "looks",
        "most",
        "notes",
        "read",
        "seen",
        "size",
    )

    def __init__(self, read: Read, size: int, most: int) -> None:
        self.read = read
        self.size = size
        self.most = most
        self.entries: list[Entry] = []
        self.notes: list[tuple[str, str]] = []
        self.seen: set[str] = set()
        self.blocks: dict[int, bytes] = {}
        self.headers: dict[int, _Header | None] = {}
        self.looks = 0
        # (start, end) of every central directory and of every end record
        self.directories: list[tuple[int, int]] = []
        self.ends: list[tuple[int, int]] = []

    # -- facts ----------------------------------------------------------------------

    def note(self, code: str, detail: str) -> None:
        """Each kind of fact once, so that its number is bounded."""
        key = f"{code} {detail.partition(':')[0]}"
        if key not in self.seen:
            self.seen.add(key)
            self.notes.append((code, detail))

    @property
    def odd(self) -> bool:
        """True unless all readers must agree on the contents."""
        return bool(self.notes)

    # -- bytes ----------------------------------------------------------------------

    def at(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes, through a small cache: headers are read one by one.

        Offsets come from the file.
        """
        if offset < 0 or offset >= self.size:
            return b""
        number, start = divmod(offset, BLOCK)
        if start + length > BLOCK + MORE:
            return self.read(offset, min(length, self.size - offset))
        return self._block(number)[start : start + length]

    def _block(self, number: int) -> bytes:
        """BLOCK bytes and MORE that belong to the next block."""
        block = self.blocks.get(number)
        if block is None:
            if len(self.blocks) >= 8:
                del self.blocks[next(iter(self.blocks))]
            place = number * BLOCK
            block = self.read(place, min(BLOCK + MORE, self.size - place))
            self.blocks[number] = block
        return block

    def find(self, needle: bytes, start: int, end: int) -> int:
        """Offset of ``needle`` within bytes [start, end), -1 when it is not there."""
        start = max(0, start)
        end = min(end, self.size)
        while start < end:
            number, inside = divmod(start, BLOCK)
            place = number * BLOCK
            last = min(end - place, BLOCK + len(needle) - 1)
            found = self._block(number).find(needle, inside, last)
            if found >= 0:
                return place + found
            start = place + BLOCK
        return -1

    # -- the union ------------------------------------------------------------------

    def inspect(self) -> None:
        """All members, in the order of their content."""
        entries = self._directories()
        if len(entries) > self.most:
            self.note("limit-archive-members", f"more than {self.most}")
            self.entries = entries[: self.most]
            for entry in self.entries:
                self._local(entry)
            return
        for entry in entries:
            self._local(entry)
        entries.sort(key=lambda entry: (entry.offset, entry.end))
        self._gaps(entries)
        self.entries.sort(key=lambda entry: (entry.offset, entry.end))
        if len(self.entries) > self.most:
            self.note("limit-archive-members", f"more than {self.most}")
        self._same_names()

    def _same_names(self) -> None:
        names: set[bytes] = set()
        for entry in self.entries:
            for raw, _ in entry.names[:1]:
                name = raw.replace(b"\\", b"/").lower()
                if name in names and not entry.is_directory():
                    self.note("archive-duplicate-name", f"two members: {_show(raw)}")
                names.add(name)

    # -- central directories --------------------------------------------------------

    def _directories(self) -> list[Entry]:
        """The entries of all directories, from the last end record to the first.

        An end record inside a member belongs to a zip that this one holds.
        """
        found: list[int] = []
        position = self.find(END, 0, self.size)
        while position >= 0 and len(found) < ENDS:
            found.append(position)
            position = self.find(END, position + 4, self.size)
        if position >= 0:
            # The last ones count most; the first thousands are others' ends.
            self.note("archive-inconsistent", "more end records than can be read")
            tail = max(0, self.size - BLOCK - 22)
            last = self.read(tail, self.size - tail).rfind(END)
            if last >= 0:
                found.append(tail + last)
        entries: list[Entry] = []
        known: set[tuple[int, int]] = set()
        inside: list[tuple[int, int]] = []
        valid = 0
        for end in reversed(found):
            # One whose comment reaches the end of the file counts wherever it is.
            last = end + 22 + _u16(self.at(end, 22), 20) == self.size
            if not last and _within(inside, end):
                continue
            got = self._end(end)
            if got is None:
                continue
            valid += 1
            self.ends.append((end, end + 22 + _u16(self.at(end, 22), 20)))
            for place, base in got:
                if (place, base) in known or len(known) >= 16:
                    continue
                known.add((place, base))
                entries += self._records(place, end, base, self.most - len(entries))
            if valid == 1:
                inside = self._contents(entries)
        if valid > 1:
            self.note("archive-inconsistent", "several end records")
        return entries

    def _contents(self, entries: list[Entry]) -> list[tuple[int, int]]:
        """Where content is, of the directory that all readers take."""
        spans = []
        for entry in entries:
            way = entry.ways[0]
            if way.length >= 22:
                raw = self.at(entry.offset + 26, 4)
                start = entry.offset + 30 + _u16(raw, 0) + _u16(raw, 2)
                spans.append((start, start + way.length))
        spans.sort()
        joined: list[tuple[int, int]] = []
        for start, stop in spans:
            if joined and start <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
            else:
                joined.append((start, stop))
        return joined

    def _end(self, end: int) -> list[tuple[int, int]] | None:
        """(start of the directory, what to add to its offsets) for an end record
        (4.3.16), for all ways to read it; None when it is none."""
        raw = self.at(end, 22)
        if len(raw) < 22:
            return None
        disks = (_u16(raw, 4), _u16(raw, 6))
        count, size, start = _u16(raw, 10), _u32(raw, 12), _u32(raw, 16)
        ways = [(count, size, start, end)]
        large = self._end64(end)
        if large is not None:
            full = 0xFFFF in (count, *disks) or _MAX32 in (size, start)
            if full:
                ways = [large]
            elif large[:3] != (count, size, start):
                self.note("archive-inconsistent", "zip64 end record says otherwise")
                ways.append(large)
        elif any(disks) and 0xFFFF not in disks:
            self.note("archive-broken", "part of a zip in several files")
        found = []
        for count, size, start, behind in ways:
            if count == 0 and size == 0:
                found.append((behind, 0))
                continue
            real = behind - size
            for place, base in ((real, real - start), (start, 0)):
                fits = 0 <= place < end and self.at(place, 4) == CENTRAL
                if fits and (place, base) not in found:
                    found.append((place, base))
        if len(found) > len(ways):
            self.note("archive-inconsistent", "two directories")
        return found or None

    def _end64(self, end: int) -> tuple[int, int, int, int] | None:
        """Count, size, start and own offset of the zip64 end record (4.3.14)."""
        locator = self.at(end - 20, 20) if end >= 20 else b""
        if locator[:4] != LOCATOR64:
            return None
        for place in (_u64(locator, 8), end - 76):
            raw = self.at(place, 56)
            if raw[:4] == END64 and len(raw) == 56:
                self.ends.append((place, end))
                return _u64(raw, 32), _u64(raw, 40), _u64(raw, 48), place
        self.note("archive-inconsistent", "no zip64 end record where it should be")
        return None

    def _records(self, place: int, end: int, base: int, most: int) -> list[Entry]:
        """The entries of one directory (4.3.12)."""
        entries: list[Entry] = []
        position = place
        listed = 0
        while position < end and len(entries) <= most:
            raw = self.at(position, 46)
            if raw[:4] != CENTRAL or len(raw) < 46:
                break
            name_size, extra_size = _u16(raw, 28), _u16(raw, 30)
            total = 46 + name_size + extra_size + _u16(raw, 32)
            name = self.at(position + 46, name_size)
            extra = self.at(position + 46 + name_size, extra_size)
            header = _Header(raw[8:28], name, extra, _u32(raw, 42))
            position += total
            listed += 1
            for offset in self._places(header, base):
                entries.append(self._entry(header, offset))
        self.directories.append((place, position))
        raw = self.at(end, 22)
        count = _u16(raw, 10)
        if count != listed & 0xFFFF and count != 0xFFFF and listed <= most:
            detail = f"number of members: {count} stated, {listed} listed"
            self.note("archive-inconsistent", detail)
        return entries

    def _places(self, header: _Header, base: int) -> list[int]:
        """Where its local header is: offsets count from the first byte of the file, or
        from the first byte of the zip in it."""
        offset = header.offset + base
        if base and self.at(header.offset, 4) == LOCAL:
            if self.at(offset, 4) != LOCAL:
                return [header.offset]
            self.note("archive-inconsistent", "two local headers for one member")
            return [offset, header.offset]
        return [offset]

    def _entry(self, header: _Header, offset: int) -> Entry:
        entry = Entry(offset)
        header.names(entry)
        if header.flags & _MASKED:
            self.note("archive-encrypted", "central directory")
        entry.ways.append(header.way())
        entry.ways[0].length = header.length
        entry.ways[0].size = header.size
        if not header.aes:
            entry.ways[0].crc = header.crc
        return entry

    # -- local headers --------------------------------------------------------------

    def header(self, offset: int) -> _Header | None:
        """The local header at ``offset`` (4.3.7); many entries may point to one."""
        if offset not in self.headers:
            if len(self.headers) >= HEADERS:
                self.headers.clear()
            self.headers[offset] = self._header(offset)
        return self.headers[offset]

    def _header(self, offset: int) -> _Header | None:
        raw = self.at(offset, 30)
        if raw[:4] != LOCAL or len(raw) < 30:
            return None
        name_size, extra_size = _u16(raw, 26), _u16(raw, 28)
        name = self.at(offset + 30, name_size)
        extra = self.at(offset + 30 + name_size, extra_size)
        header = _Header(raw[6:26], name, extra, offset)
        header.data = offset + 30 + name_size + extra_size
        return header

    def _local(self, entry: Entry) -> None:
        """Compare an entry of a directory with its local header."""
        local = self.header(entry.offset)
        way = entry.ways[0]
        shown = _show(entry.names[0][0])
        if local is None:
            self.note("archive-inconsistent", f"no local header: {shown}")
            way.start = entry.offset
            entry.end = entry.offset
            way.length = 0
            return
        way.start = local.data
        entry.end = local.data + max(0, way.length)
        if entry.end > self.size:
            self.note("archive-broken", f"content beyond the end: {shown}")
        if local.name != entry.names[0][0]:
            ours = [_plain(raw) for raw, _ in entry.names]
            local.names(entry)
            if _plain(local.name) not in ours:
                detail = f"names differ: {shown} and {_show(local.name)}"
                self.note("archive-inconsistent", detail)
        else:
            local.names(entry)
        if b"\0" in local.name or any(b"\0" in raw for raw, _ in entry.names):
            self.note("archive-inconsistent", f"NUL in a name: {shown}")
        other = local.way()
        if other.length < 0:
            other.length = way.length
        if other.same(way):
            if other.size >= 0 and not way.encrypted and other.size != way.size:
                detail = f"sizes differ: {shown}"
                self.note("archive-inconsistent", detail)
            elif other.crc >= 0 and way.crc >= 0 and other.crc != way.crc:
                self.note("archive-inconsistent", f"checksums differ: {shown}")
            return
        if other.method != way.method:
            detail = f"methods differ: {shown}, {way.method} and {other.method}"
        elif other.encrypted != way.encrypted:
            detail = f"encrypted and not: {shown}"
        else:
            detail = f"lengths differ: {shown}"
        self.note("archive-inconsistent", detail)
        entry.way(other)

    # -- what no directory explains -------------------------------------------------

    def _gaps(self, entries: list[Entry]) -> None:
        """Overlaps; local headers and other bytes between the known ones."""
        known: list[tuple[int, int, Entry | None]] = [
            (entry.offset, max(entry.end, entry.offset + 4), entry)
            for entry in entries
            if self.at(entry.offset, 4) == LOCAL
        ]
        lost = [entry for entry in entries if self.at(entry.offset, 4) != LOCAL]
        self.entries += lost
        known += [(start, end, None) for start, end in self.directories if end > start]
        known += [(start, end, None) for start, end in self.ends]
        known.sort(key=lambda one: (one[0], one[1]))
        position = 0
        last: Entry | None = None
        first = True
        for start, end, entry in known:
            if start < position:
                if entry is not None:
                    if last is not None:
                        detail = (
                            f"members overlap: {_show(last.names[0][0])} "
                            f"and {_show(entry.names[0][0])}"
                        )
                        self.note("archive-overlap", detail)
                    else:
                        self.note("archive-overlap", "a member and the directory")
                elif last is not None:
                    self.note("archive-overlap", "a member and the directory")
            else:
                self._gap(position, start, last, "before" if first else "between")
            first = False
            if entry is not None:
                self.entries.append(entry)
            if end > position:
                position, last = end, entry
        if position < self.size:
            if not known:
                if self.at(0, 2) == b"PK":
                    self.note("archive-broken", "no central directory")
                place = "all"
            else:
                place = "after"
            self._gap(position, self.size, last, place)

    def beyond(self, entry: Entry, position: int) -> list[Entry]:
        """What is between the end of a member's compressed data and its stated end."""
        before = len(self.entries)
        detail = f"bytes behind the data of a member: {_show(entry.names[0][0])}"
        self.note("archive-inconsistent", detail)
        self._gap(position, entry.end, None, "inside")
        return self.entries[before:]

    def _gap(self, start: int, end: int, before: Entry | None, place: str) -> None:
        """Bytes [start, end) that no directory accounts for."""
        if before is not None:
            start = self._described(start, end, before)
        if place == "before" and self.at(0, 4) in (DESCRIPTOR, b"PK00") and end == 4:
            return  # the mark of a zip that was to be split (8.5.3)
        hidden = 0
        position = start
        junk = start
        while position < end and len(self.entries) <= self.most:
            found = self.find(LOCAL, position, end)
            if found < 0:
                break
            header = self.header(found) if self._plausible(found, end) else None
            if header is None:
                position = found + 4
                self.looks += 1
                if self.looks > LOOKS:
                    self.note("limit-archive-members", "local headers that are none")
                    break
                continue
            entry = Entry(found)
            entry.hidden = True
            header.names(entry)
            way = header.way()
            if way.length < 0 or header.data + way.length > end:
                way.length = end - header.data
                way.crc = header.crc if not header.described else -1
            entry.ways.append(way)
            self.entries.append(entry)
            hidden += 1
            if place == "all" and found > junk:
                self._junk(junk, found, "between" if hidden > 1 else "before")
            entry.end = header.data + way.length
            if header.described:
                # Its length is known when it was decompressed; whatever follows is
                # looked at again, from the next signature on.
                following = self.find(LOCAL, header.data, end)
                entry.end = following if following >= 0 else end
                way.length = entry.end - header.data
            position = junk = max(entry.end, header.data)
        if junk < end:
            self._junk(junk, end, place)

    def _plausible(self, offset: int, end: int) -> bool:
        """Not just four bytes that look like a signature."""
        raw = self.at(offset, 30)
        if len(raw) < 30:
            return False
        method, name_size = _u16(raw, 8), _u16(raw, 26)
        if raw[4] > 63 or not 0 < name_size <= 1024:
            return False
        if method not in METHODS and method != AES:
            return False
        data = offset + 30 + name_size + _u16(raw, 28)
        described = _u16(raw, 6) & _DESCRIBED
        length = _u32(raw, 18)
        fits = described or length == _MAX32 or length <= end - data + 4096
        if data >= end or not fits:
            return False
        return not any(byte < 32 and byte for byte in self.at(offset + 30, name_size))

    def _described(self, start: int, end: int, entry: Entry) -> int:
        """Step over a data descriptor (4.3.9) if one stands at ``start``."""
        raw = self.at(start, 24)
        way = entry.ways[0]
        signed = 4 if raw[:4] == DESCRIPTOR else 0
        for width in (4, 8):
            sizes = raw[signed + 4 : signed + 4 + 2 * width]
            if (
                int.from_bytes(sizes[:width], "little") == way.length
                and int.from_bytes(sizes[width:], "little") == way.size
                and len(sizes) == 2 * width
                and (way.crc < 0 or _u32(raw, signed) == way.crc)
            ):
                return min(end, start + signed + 4 + 2 * width)
        if signed and end - start >= 16:
            shown = _show(entry.names[0][0])
            self.note("archive-inconsistent", f"its descriptor differs: {shown}")
            return min(end, start + 16)
        return start

    def _junk(self, start: int, end: int, place: str) -> None:
        """Note bytes that are nothing of a zip, unless they are padding."""
        if place == "all":
            return
        position = start
        while position < end:
            data = self.read(position, min(BLOCK, end - position))
            rest = data.lstrip(b"\0")
            if not data:
                return
            if rest:
                break
            position += len(data)
        else:
            return
        shown = rest[:_JUNK].hex()
        self.note("archive-junk", f"{end - start} bytes {place}: {shown}")


def _within(spans: list[tuple[int, int]], place: int) -> bool:
    """True when ``place`` is in one of the sorted spans, which do not overlap."""
    number = bisect.bisect_right(spans, (place, sys.maxsize)) - 1
    return number >= 0 and place < spans[number][1]


def _plain(raw: bytes) -> bytes:
    return raw.replace(b"\\", b"/")


def _show(raw: bytes) -> str:
    text = raw[:80].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "?" for c in text)


def texts(names: list[tuple[bytes, bool]]) -> Iterator[str]:
    """Every reading of raw names: as UTF-8 when it is that, else, or when no flag says
    so, in the old PC's code page (Appendix D)."""
    for raw, utf8 in names:
        try:
            yield raw.decode("utf-8")
        except UnicodeDecodeError:
            yield raw.decode("cp437")
            yield raw.decode("latin-1")
            continue
        if not utf8 and not raw.isascii():
            yield raw.decode("cp437")
