# SPDX-License-Identifier: MIT
"""Compound files (MS-CFB): a file system of streams within one file.

Does: read allocation tables and directory, turn each stream into pieces of the file.
The tree is walked from its root; storages and streams that are in no tree are listed
as well. Never does: know what the streams mean. Damage is a fact, never an exception.
Limits: ENTRIES directory entries; a chain of sectors is followed as far as its stream
is long, all chains together 4 times the file.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right

from qscan.archives.documents.facts import Facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qscan.archives.documents.facts import Read

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
HEADER = 512
FREE = 0xFFFFFFFF
END = 0xFFFFFFFE
LAST = 0xFFFFFFFA  # sector numbers are smaller
ENTRY = 128
ENTRIES = 50_000
STORAGE, STREAM, ROOT = 1, 2, 5


class Stream:
    """A stream as pieces of the file; readable at any place."""

    __slots__ = ("ends", "read_file", "size", "spans")

    def __init__(self, read: Read, spans: list[tuple[int, int]]) -> None:
        self.read_file = read
        self.spans = spans
        self.ends: list[int] = []
        total = 0
        for _, length in spans:
            total += length
            self.ends.append(total)
        self.size = total

    def part(self, start: int, length: int) -> list[tuple[int, int]]:
        """The pieces of the file that are these bytes of the stream."""
        out: list[tuple[int, int]] = []
        if start < 0 or length <= 0:
            return out
        index = bisect_right(self.ends, start)
        while length > 0 and index < len(self.spans):
            offset, count = self.spans[index]
            skip = start - (self.ends[index] - count)
            take = min(count - skip, length)
            out.append((offset + skip, take))
            start += take
            length -= take
            index += 1
        return out

    def read(self, start: int, length: int) -> bytes:
        """At most these bytes of the stream."""
        pieces = self.part(start, length)
        if len(pieces) == 1:
            return self.read_file(*pieces[0])
        return b"".join(self.read_file(*piece) for piece in pieces)


class Entry:
    """A storage or stream of the directory. ``parent`` its index, -1 for none."""

    __slots__ = (
        "child",
        "clsid",
        "kind",
        "left",
        "name",
        "parent",
        "right",
        "size",
        "start",
    )

    def __init__(self, raw: bytes, long_sizes: bool) -> None:
        length = min(int.from_bytes(raw[64:66], "little"), 64)
        name = raw[: length & ~1].decode("utf-16-le", "replace")
        self.name = name.partition("\0")[0]
        self.kind = raw[66]
        self.left = int.from_bytes(raw[68:72], "little")
        self.right = int.from_bytes(raw[72:76], "little")
        self.child = int.from_bytes(raw[76:80], "little")
        self.clsid = guid(raw[80:96])
        self.start = int.from_bytes(raw[116:120], "little")
        # Writers of 512-byte sectors leave rubbish in the upper half (MS-CFB 2.6.1).
        self.size = int.from_bytes(raw[120 : 128 if long_sizes else 124], "little")
        self.parent = -1


class File:
    """The sectors, allocation tables and directory of a compound file."""

    __slots__ = (
        "chains",
        "cutoff",
        "entries",
        "facts",
        "fat",
        "major",
        "mini",
        "minifat",
        "minishift",
        "owned",
        "read",
        "sectors",
        "shift",
        "size",
        "steps",
        "streams",
    )

    def __init__(self, read: Read, size: int, facts: Facts) -> None:
        self.read = read
        self.size = size
        self.facts = facts
        header = read(0, HEADER).ljust(HEADER, b"\0")
        self.major = int.from_bytes(header[26:28], "little")
        self.shift = int.from_bytes(header[30:32], "little")
        self.minishift = int.from_bytes(header[32:34], "little")
        if self.shift not in (9, 12):
            self.broken(f"sectors of 2**{self.shift} bytes", 30)
            if not 7 <= self.shift <= 16:
                self.shift = 12 if self.major == 4 else 9
        if not 2 <= self.minishift < self.shift:
            self.broken(f"small sectors of 2**{self.minishift} bytes", 32)
            self.minishift = 6
        self.cutoff = little(header, 56)
        if self.cutoff != 4096:
            self.broken("another limit for small streams", 56)
        # A last sector may be cut short; Office reads such files.
        self.sectors = max(0, (size - 1) >> self.shift)
        self.steps = 4 * self.sectors + 1000
        self.owned = array("I", bytes(4 * self.sectors))
        self.chains = 0
        self.streams: dict[int, Stream] = {}
        self.fat = self.table(self.fat_sectors(header, little(header, 68)))
        self.minifat = array("I")
        self.mini = Stream(read, [])
        self.entries = self.directory(little(header, 48))
        root = self.entries[0] if self.entries else None
        if root is not None and root.kind == ROOT and root.size:
            self.mini = self.plain(root.start, root.size, "small streams")
        first = little(header, 60)
        if first < LAST and self.mini.size:
            count = self.mini.size >> self.minishift
            self.minifat = self.table(
                self.chain(first, (count + 1) * 4 >> self.shift, "table")
            )

    def broken(self, detail: str, offset: int = -1) -> None:
        """Note that the structure is damaged."""
        self.facts.note("document-broken", f"OLE: {detail}", offset)

    def offset(self, sector: int) -> int:
        """Where a sector begins."""
        return (sector + 1) << self.shift

    def fat_sectors(self, header: bytes, difat: int) -> list[int]:
        """The sectors of the allocation table: 109 in the header, others in a chain."""
        wanted = (self.sectors * 4 >> self.shift) + 1
        found: list[int] = []
        numbers = words(header[76:HEADER])
        seen: set[int] = set()
        per = (1 << self.shift) // 4
        while True:
            for sector in numbers[: 109 if not seen else per - 1]:
                if sector < self.sectors and len(found) < wanted:
                    found.append(sector)
            if len(found) >= wanted or difat >= LAST:
                return found
            if difat >= self.sectors or difat in seen:
                self.broken("chain of tables", 68)
                return found
            seen.add(difat)
            block = self.read(self.offset(difat), 1 << self.shift)
            numbers = words(block.ljust(1 << self.shift, b"\xff"))
            difat = numbers[per - 1]

    def table(self, sectors: list[int]) -> array[int]:
        """The allocation table in these sectors."""
        out = array("I")
        for sector in sectors:
            block = self.read(self.offset(sector), 1 << self.shift)
            out.extend(words(block[: len(block) & ~3]))
        return out

    def chain(self, sector: int, count: int, what: str) -> list[int]:
        """At most ``count`` + 1 sectors from this one on."""
        out: list[int] = []
        table = self.fat
        limit = len(table)
        owned = self.owned
        self.chains += 1
        while sector < LAST and len(out) <= count:
            if sector >= self.sectors:
                self.broken(f"{what} leaves the file")
                break
            self.steps -= 1
            if self.steps < 0:
                self.facts.note("limit-expanded-bytes", "OLE: shared sectors")
                break
            if owned[sector] == self.chains:
                self.broken(f"{what} runs in a circle")
                break
            if owned[sector]:
                self.broken(f"{what} has sectors of another")
            owned[sector] = self.chains
            out.append(sector)
            if sector >= limit:
                break
            sector = table[sector]
        return out

    def plain(self, start: int, size: int, what: str) -> Stream:
        """A stream in sectors of its own."""
        if size > self.size:
            self.broken(f"{what} is longer than the file")
            size = self.size
        count = -(-size >> self.shift)
        sectors = self.chain(start, max(0, count - 1), what)[:count]
        spans: list[tuple[int, int]] = []
        left = size
        for sector in sectors:
            length = min(left, 1 << self.shift)
            append(spans, self.offset(sector), length)
            left -= length
        if left > 0:
            self.broken(f"{what} is cut short")
        return Stream(self.read, self.clipped(spans))

    def clipped(self, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Spans end with the file."""
        return [
            (offset, min(length, self.size - offset))
            for offset, length in spans
            if offset < self.size
        ]

    def small(self, start: int, size: int, what: str) -> Stream:
        """A stream in the stream of small sectors."""
        count = -(-size >> self.minishift)
        spans: list[tuple[int, int]] = []
        sector = start
        left = size
        table = self.minifat
        while count > 0 and sector < LAST:
            self.steps -= 1
            if self.steps < 0:
                self.facts.note("limit-expanded-bytes", "OLE: shared sectors")
                break
            length = min(left, 1 << self.minishift)
            pieces = self.mini.part(sector << self.minishift, length)
            if not pieces:
                self.broken(f"{what} leaves the small streams")
                break
            for piece in pieces:
                append(spans, *piece)
            left -= length
            count -= 1
            sector = table[sector] if sector < len(table) else END
        if left > 0:
            self.broken(f"{what} is cut short")
        return Stream(self.read, self.clipped(spans))

    def stream(self, index: int) -> Stream:
        """The content of a stream of the directory."""
        if index not in self.streams:
            self.streams[index] = self._stream(self.entries[index])
        return self.streams[index]

    def _stream(self, entry: Entry) -> Stream:
        what = f"stream {entry.name!r}"
        if not entry.size:
            return Stream(self.read, [])
        if entry.size < self.cutoff:
            return self.small(entry.start, entry.size, what)
        return self.plain(entry.start, entry.size, what)

    def directory(self, start: int) -> list[Entry]:
        """All entries in the order of the file."""
        per = (1 << self.shift) // ENTRY
        out: list[Entry] = []
        for sector in self.chain(start, ENTRIES // per, "directory"):
            block = self.read(self.offset(sector), 1 << self.shift)
            for at in range(0, len(block) - ENTRY + 1, ENTRY):
                out.append(Entry(block[at : at + ENTRY], self.shift == 12))
            if len(out) >= ENTRIES:
                self.facts.note("limit-parts", "OLE: entries")
                break
        if not out or out[0].kind != ROOT:
            self.broken("no root entry")
        self.tree(out)
        return out

    def tree(self, entries: list[Entry]) -> None:
        """Tell each entry its parent; what no parent knows keeps -1."""
        seen = bytearray(len(entries))
        roots = [i for i, entry in enumerate(entries) if entry.kind == ROOT]
        loose = [i for i, entry in enumerate(entries) if entry.kind == STORAGE]
        for start in roots + loose:
            if seen[start]:
                continue
            seen[start] = 1
            todo = [(entries[start].child, start)]
            while todo:
                index, parent = todo.pop()
                if index >= len(entries):
                    continue
                if seen[index]:
                    # A storage that was taken for loose has its place after all.
                    if entries[index].parent < 0 and index not in (start, 0):
                        entries[index].parent = parent
                    continue
                seen[index] = 1
                entry = entries[index]
                entry.parent = parent
                todo.append((entry.left, parent))
                todo.append((entry.right, parent))
                if entry.kind in (STORAGE, ROOT):
                    todo.append((entry.child, index))

    def path(self, index: int) -> list[str]:
        """The names from the root down to this entry."""
        out: list[str] = []
        while index > 0 and len(out) < 30:
            out.append(self.entries[index].name)
            index = self.entries[index].parent
        return out[::-1]


def little(data: bytes, at: int, length: int = 4) -> int:
    """The number at this place, least significant byte first; 0 beyond the end."""
    return int.from_bytes(data[at : at + length], "little")


def words(data: bytes) -> array[int]:
    """Numbers of 4 bytes, least significant first."""
    out = array("I", data)
    if sys.byteorder != "little":
        out.byteswap()
    return out


def append(spans: list[tuple[int, int]], offset: int, length: int) -> None:
    """Add a span, to the last one if it goes on there."""
    if spans and sum(spans[-1]) == offset:
        offset, before = spans.pop()
        length += before
    spans.append((offset, length))


def guid(raw: bytes) -> str:
    """A class identifier as people write it; "" for none."""
    if len(raw) < 16 or raw == bytes(16):
        return ""
    text = (raw[3::-1] + raw[5:3:-1] + raw[7:5:-1] + raw[8:16]).hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
