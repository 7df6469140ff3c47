# SPDX-License-Identifier: MIT
"""Objects that OLE embeds: packages with a file name, OLE 1.0 objects.

Does: find names, length and place of the file in the first bytes of an object
(MS-OLEDS 2.2, 2.3.6; the layout of a package is the Object Packager's). Pure.
Never does: raise on content. Limits: HEAD bytes hold what stands before the data.
"""

from __future__ import annotations

from qscan.archives.documents.cfb import little

HEAD = 65536
STRING = 4096  # bytes of one string


class Object:
    """``names`` of the file, ``start`` and ``length`` of its bytes in the object,
    ``classname`` what made it ("Package", "Equation.3"), ``linked`` when the content is
    elsewhere, ``topic`` where."""

    __slots__ = ("classname", "length", "linked", "names", "start", "topic")

    def __init__(self, start: int, length: int) -> None:
        self.names: list[str] = []
        self.start = start
        self.length = length
        self.classname = ""
        self.linked = False
        self.topic = ""


def text(raw: bytes) -> list[str]:
    """A name of 8-bit characters in the code pages that are likely."""
    out: list[str] = []
    for coding in ("utf-8", "cp1252", "latin-1"):
        try:
            name = raw.decode(coding)
        except ValueError:
            continue
        out.append(name)
        break
    return out


def package(data: bytes, start: int, length: int) -> Object | None:
    """A package at ``start`` of an object of ``length`` bytes; None when it is none."""
    at = start
    if little(data, at, 2) != 2:
        return None
    at += 2
    names: list[str] = []
    for _ in range(2):  # label, path
        end = data.find(b"\0", at, at + STRING)
        if end < 0:
            return None
        names += text(data[at:end])
        at = end + 1
    at += 4  # two words whose meaning nobody published, as a rule 0 and 3
    count = little(data, at)
    at += 4
    if count > STRING or at + count + 4 > len(data):
        return None
    names += text(data[at : at + count].partition(b"\0")[0])
    at += count
    size = little(data, at)
    at += 4
    found = Object(at, max(0, min(size, length - at)))
    found.classname = "Package"
    found.names = names
    return found


def wide_names(data: bytes) -> list[str]:
    """The three names that newer packagers write once more behind the data."""
    out: list[str] = []
    at = 0
    for _ in range(3):
        count = little(data, at) * 2
        at += 4
        if not count or count > STRING or at + count > len(data):
            break
        out.append(data[at : at + count].decode("utf-16-le", "replace").rstrip("\0"))
        at += count
    return out


def native(data: bytes, length: int) -> Object:
    """What an Ole10Native stream holds (MS-OLEDS 2.3.6): a package or plain data."""
    size = min(little(data, 0), max(0, length - 4))
    found = package(data, 4, length)
    if found is not None:
        return found
    # Its length is often wrong on purpose; then all that follows counts.
    return Object(min(4, length), size or max(0, length - 4))


def ole1(data: bytes, length: int) -> Object | None:
    """An OLE 1.0 object (MS-OLEDS 2.2.4, 2.2.5), None when it is none."""
    form = little(data, 4)
    if form not in (1, 2) or length < 12:
        return None
    strings: list[bytes] = []
    at = 8
    for _ in range(3):  # class, topic, item
        count = little(data, at)
        at += 4
        if count > STRING or at + count > len(data):
            return None
        strings.append(data[at : at + count].partition(b"\0")[0])
        at += count
    linked = form == 1
    size = 0
    if not linked:
        size = little(data, at)
        at += 4
    found = Object(at, min(size, max(0, length - at)))
    found.classname = strings[0].decode("latin-1")
    found.linked = linked
    found.topic = strings[1].decode("latin-1")
    if found.classname.lower() == "package":
        inner = package(data, at, length)
        if inner is not None:
            inner.classname = found.classname
            return inner
    return found
