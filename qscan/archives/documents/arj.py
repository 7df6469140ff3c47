# SPDX-License-Identifier: MIT
"""ARJ archives: the list of members (ARJ's own technical note, UNARJ.TXT).

Does: names, sizes, places; stored members can be read. Begins at the first header
whose checksum is right, also behind a program that unpacks itself. Never does: unpack
the four compressing methods: their members have names only.
Limits: MEMBERS members; a header has at most HEADER bytes; SEARCH bytes are searched
for the first one.
"""

from __future__ import annotations

import re
import zlib

from qscan.archives.documents import embedded, window
from qscan.archives.documents.cfb import little
from qscan.archives.documents.facts import Facts, Member

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qscan.archives.documents.facts import Read

MAGIC = b"\x60\xea"
HEADER = 2600  # UNARJ.TXT
SEARCH = 1 << 20
TRIES = 2000
GARBLED, VOLUME = 0x01, 0x04
DIRECTORY, LABEL = 3, 4
# Magic, size, size of the fixed part, ..., type of a main header.
FIRST = re.compile(rb"\x60\xea[\s\S]{2}[\x1e-\x80][\s\S]{5}\x02")


class Header:
    """One header. ``fixed`` its bytes behind magic and size, ``after`` where the data
    begins, ``sound`` when its checksum is right."""

    __slots__ = ("after", "fixed", "names", "sound")

    def __init__(self, fixed: bytes, after: int, sound: bool) -> None:
        self.fixed = fixed
        self.after = after
        self.sound = sound
        start = fixed[0] if fixed else 0
        self.names = embedded.text(fixed[start:].partition(b"\0")[0])

    def byte(self, at: int) -> int:
        """A byte of the fixed part, 0 beyond its end."""
        return little(self.fixed, at, 1)


def header(read: Read, offset: int, strict: bool = False) -> Header | None:
    """The header at this place; None when there is none, also for the end mark, with
    ``strict`` also when its checksum is wrong."""
    data = read(offset, HEADER + 16)
    length = little(data, 2, 2)
    if data[:2] != MAGIC or not 30 <= length <= HEADER:
        return None
    fixed = data[4 : 4 + length]
    sound = zlib.crc32(fixed) == little(data, 4 + length)
    after = offset + 8 + length
    if not sound and strict:
        return None
    while True:  # extended headers, each with its checksum
        extended = little(read(after, 2), 0, 2)
        after += 2
        if not extended:
            return Header(fixed, after, sound)
        after += extended + 4


def inspect(read: Read, size: int) -> Facts:
    """The members of an archive."""
    facts = Facts()
    at = -1
    for number, (offset, _) in enumerate(
        window.search(read, FIRST, 0, min(size, SEARCH))
    ):
        if number > TRIES:
            break
        found = header(read, offset, strict=True)
        if found is not None:
            at = found.after
            break
    if at < 0:
        return facts
    facts.media_type = "application/x-arj"
    while True:
        found = header(read, at)
        if found is None:
            if read(at, 4) != MAGIC + b"\0\0":
                facts.note("archive-broken", "ARJ: no end", at)
            return facts
        if not found.sound:
            facts.note("archive-broken", "ARJ: checksum of a header", at)
        packed = little(found.fixed, 12)
        if not member(facts, found, packed, at, size):
            return facts
        at = found.after + packed


def member(facts: Facts, found: Header, packed: int, at: int, size: int) -> bool:
    """Keep one member; False when there are too many."""
    if found.byte(6) in (DIRECTORY, LABEL):
        return True
    garbled = bool(found.byte(4) & GARBLED)
    spans: list[tuple[int, int]] = []
    name = found.names[0] if found.names else ""
    if found.after + packed > size:
        facts.note("archive-broken", "ARJ: a member is cut short", at)
    if garbled:
        facts.note("archive-encrypted", f"ARJ: {name}", at)
    elif found.byte(5):
        facts.note("archive-unsupported", f"ARJ method {found.byte(5)}: {name}", at)
    else:
        start = min(found.after, size)
        spans = [(start, min(packed, size - start))]
    if found.byte(4) & VOLUME:
        facts.note("archive-broken", "ARJ: a member goes on in another file", at)
    kept = Member(found.names, "file", spans, where=str(at))
    kept.encrypted = garbled
    if not spans:
        kept.size = little(found.fixed, 16)
    return facts.add(kept)
