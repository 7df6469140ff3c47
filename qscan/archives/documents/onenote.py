# SPDX-License-Identifier: MIT
"""OneNote sections: the files in them (MS-ONESTORE).

Does: find every file data object by its GUID, wherever it is, and the names that the
section gives to files. Which name belongs to which file stands in structures that this
reader does not follow: where both are as many they go together in order, else every
file has all names. Never does: read revisions.
Limits: MEMBERS files, NAMES names, TRIES places.
"""

from __future__ import annotations

import re

from qscan.archives.documents import window
from qscan.archives.documents.cfb import little
from qscan.archives.documents.facts import NAMES, Facts, Member

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qscan.archives.documents.facts import Read

OBJECT = bytes.fromhex("e716e3bd65261145a4c48d4d0b7a9eac")  # MS-ONESTORE 2.6.13
OBJECT_HEAD = 36
FILE_NAME = bytes.fromhex("721d001c")  # EmbeddedFileName, MS-ONE 2.2.64
SOURCE = bytes.fromhex("901d001c")  # SourceFilepath, MS-ONE 2.2.65
PROPERTIES = 64  # of one object
LENGTHS = {1: 0, 2: 0, 3: 1, 4: 2, 5: 4, 6: 8, 8: 0, 9: 4, 10: 0, 11: 4, 12: 0, 13: 4}
STRING = 1024
TRIES = 50_000  # names that are looked for
INTERESTING = re.compile(
    b"|".join(re.escape(pattern) for pattern in (OBJECT, FILE_NAME, SOURCE))
)


def inspect(read: Read, size: int) -> Facts:
    """One member for each embedded file."""
    facts = Facts()
    facts.media_type = "application/onenote"
    names: list[str] = []
    tries = 0
    for offset, match in window.search(read, INTERESTING, 0, size):
        if match[0] != OBJECT:
            tries += 1
            if tries > TRIES:
                facts.note("limit-parts", "OneNote: names")
                break
            name = string_property(read, offset)
            if name and name not in names and len(names) < 4 * NAMES:
                names.append(name)
            continue
        start = min(offset + OBJECT_HEAD, size)
        length = little(read(offset, OBJECT_HEAD), 16, 8)
        if start + length > size:
            facts.note("document-broken", "OneNote: a file is longer", offset)
            length = max(0, size - start)
        if not facts.add(Member([], "object", [(start, length)], where=str(offset))):
            break
    if facts.members:
        facts.note("document-embedded-object", names[0] if names else "OneNote")
    together = len(names) == len(facts.members)
    for index, member in enumerate(facts.members):
        member.names = [names[index]] if together else names[:NAMES]
    return facts


def string_property(read: Read, offset: int) -> str:
    """The text of a property whose identifier stands at ``offset``; "" for none.

    A property set (MS-ONESTORE 2.6.7) is a count, identifiers of 4 bytes, then the data
    in the same order; how many identifiers stand before this one is tried out.
    """
    before = min(offset, 4 * PROPERTIES + 2)
    data = read(offset - before, before + 4 * PROPERTIES + 8 * STRING)
    for index in range((before - 2) // 4 + 1):
        start = before - 4 * index - 2
        count = little(data, start, 2)
        if not index < count <= PROPERTIES:
            continue
        at = start + 2 + 4 * count
        for number in range(index):
            kind = little(data, start + 2 + 4 * number) >> 26 & 31
            if kind == 7:
                at += 4 + little(data, at)
            elif kind in LENGTHS:
                at += LENGTHS[kind]
            else:
                at = len(data)
        length = little(data, at)
        raw = data[at + 4 : at + 4 + length]
        if 2 <= length <= STRING and len(raw) == length and not length & 1:
            name = raw.decode("utf-16-le", "replace").rstrip("\0")
            if name and name.isprintable() and "\ufffd" not in name:
                return name
    return ""
