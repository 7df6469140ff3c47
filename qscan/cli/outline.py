# SPDX-License-Identifier: MIT
"""The structure of a message as people draw it, in every reading that was taken.

Does: walk the files of one examined message once more, with the walker of the pipeline
and in the readings that its defects called for; keep multiparts too, not only leaves;
turn offsets into lines. Never does: decode, judge, print; run for a message that nobody
asks about.
Limits: stops after ``SECONDS`` (``Outline.complete`` is then False); what is kept of a
line is ``AROUND`` bytes on both sides of a place.
Raises: OSError for trouble with the files.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from qscan import deep, mime, parameters, spool
from qscan.defecttext import readings_of
from qscan.fdio import WINDOW, pread_all
from qscan.model import Defect, Defects, Header, Item, Limits
from qscan.pipeline import RAW, Report

SECONDS = 60.0
AROUND = 60  # bytes of a line on both sides of a place
LINE_START = 4096  # how far back the beginning of a line is looked for
HEADER = 65536  # bytes of a header in which a field is looked for
ROOT = "1"  # path of the message as a part


_TYPE = b"content-type"
_ENCODING = b"content-transfer-encoding"
FIELD_OF = {
    "bad-content-type": _TYPE,
    "bad-transfer-encoding": _ENCODING,
    "boundary-missing": _TYPE,
    "boundary-not-found": _TYPE,
    "boundary-trailing-blank": _TYPE,
    "boundary-without-multipart": _TYPE,
    "conflicting-boundary": _TYPE,
    "duplicate-content-disposition": b"content-disposition",
    "duplicate-content-transfer-encoding": _ENCODING,
    "duplicate-content-type": _TYPE,
    "duplicate-mime-version": b"mime-version",
    "encoded-multipart": _ENCODING,
    "external-body": _TYPE,
    "message-partial": _TYPE,
    "missing-close": _TYPE,
    "misspelt-transfer-encoding": _ENCODING,
    "same-boundary-nested": _TYPE,
    "unknown-transfer-encoding": _ENCODING,
}


@dataclass
class Place:
    """Where in a file: ``offset`` from 0 in the message or in the decoded part,
    ``line`` and ``column`` (bytes) from 1; ``before`` and ``after`` are the bytes of
    that line around it."""

    offset: int
    line: int
    column: int
    before: bytes
    after: bytes


@dataclass
class Node:
    """One node of the tree.

    ``kind`` multipart, leaf, embedded (a message as it stands), message (an encoded
    one), preamble, epilogue, found (by the reading that believes nothing). Its body is
    bytes [start, end) of the file ``source`` (as in ``View``), lines ``first`` to
    ``last``; start is -1 for what was found, end for a multipart, which ends with its
    parts. ``item`` is what was scanned, None for multiparts and for bytes that another
    part has too.
    """

    path: str
    kind: str
    media: str
    encoding: str
    names: list[str]
    boundary: bytes | None
    start: int
    end: int = -1
    first: int = 0
    last: int = 0
    source: str = ""
    item: Item | None = None

    def looks(self) -> tuple[object, ...]:
        """What two readings have to agree in."""
        names = tuple(self.names)
        shape = (self.kind, self.media, self.encoding, names, self.boundary)
        return (*shape, self.start, self.end)


@dataclass
class View:
    """One reading of one file: ``source`` "" for the message, else the path of the
    item that was walked as a message; ``root`` the path of its first node;
    ``because`` the codes that called for it (none for the normal reading)."""

    source: str
    root: str
    reading: str
    because: list[str]
    nodes: list[Node] = field(default_factory=list)

    def plain_path(self, node: Node) -> str:
        """The path that the node would have in the normal reading."""
        own = f"{self.root}~{self.reading}"
        if self.reading and node.path.startswith(own):
            return self.root + node.path[len(own) :]
        return node.path


@dataclass
class Outline:
    """``views``: the message in its normal reading first, then the further ones, then
    those of the messages inside; ``places`` by index of the defect."""

    views: list[View] = field(default_factory=list)
    places: dict[int, Place] = field(default_factory=dict)
    complete: bool = True
    normals: dict[str, View] = field(default_factory=dict)

    def normal(self, source: str) -> View:
        """The normal reading of a file."""
        return self.normals[source]

    def tree(self) -> list[Node]:
        """All nodes of the normal readings, those of inner messages too."""
        return [
            node
            for view in self.views
            if not view.reading and "~" not in view.root
            for node in view.nodes
        ]


class Recorder(mime.Walker):
    """A walker that remembers the multiparts, which the pipeline does not need."""

    __slots__ = ("nodes",)

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.nodes: list[Node] = []

    def _open(self, region: mime.Region, *rest: object) -> bool:
        place = len(self.nodes)
        opened: bool = super()._open(region, *rest)  # type: ignore[arg-type]
        if opened:
            node = _node(region)
            node.kind = "multipart"
            node.boundary = self.frames[-1].boundary
            node.end = -1
            self.nodes.insert(place, node)
        return opened


def _node(region: mime.Region) -> Node:
    media = region.media.decode("ascii", "backslashreplace")
    encoding = region.encoding.decode("ascii", "backslashreplace")
    if region.kind in ("preamble", "epilogue"):
        media, encoding, fields = "text/plain", "", list[Header]()
    else:
        fields = region.fields
    names = parameters.part_names(fields)
    return Node(
        region.path, region.kind, media, encoding, names, None, region.start, region.end
    )


@dataclass
class _Source:
    """A file that was walked: bytes [start, end) of ``fd``."""

    name: str
    root: str
    fd: int
    start: int
    end: int
    depth: int


def draw(report: Report, fd: int, size: int, limits: Limits) -> Outline:
    """The outline of a message that was examined and whose files are still there."""
    outline = Outline()
    late = time.monotonic() + SECONDS
    loose = _Loose(report.items)
    start = spool.RESERVE
    _views(
        _Source("", ROOT, fd, start, start + size, 0), report, outline, loose, limits
    )
    while True:
        inner = loose.walked()
        if inner is None:
            break
        if time.monotonic() > late:
            outline.complete = False
            break
        _inner(inner, report, outline, loose, limits)
    return outline


def _inner(
    item: Item, report: Report, outline: Outline, loose: _Loose, limits: Limits
) -> None:
    if item.file is None:
        return
    fd = os.open(item.file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        depth = item.path.count(".") + 1
        source = _Source(item.path, item.path + ".1", fd, 0, item.size, depth)
        _views(source, report, outline, loose, limits)
    finally:
        os.close(fd)


def _views(
    source: _Source, report: Report, outline: Outline, loose: _Loose, limits: Limits
) -> None:
    """The normal reading of a file and the further ones, with lines and items."""
    before = len(outline.views)
    noted = Defects()
    normal = _walk(source, mime.NORMAL, [], limits, noted)
    outline.views.append(normal)
    outline.normals[source.name] = normal
    codes = [defect.code for defect in noted]
    codes += [one.code for one in report.defects if loose.root_of(one) == source.root]
    called: dict[str, tuple[mime.Reading, list[str]]] = {}
    for code in dict.fromkeys(codes):
        for reading in readings_of(code):
            called.setdefault(reading.name, (reading, []))[1].append(code)
    for reading, because in called.values():
        # What another reading finds odd is no new fact about the message.
        outline.views.append(_walk(source, reading, because, limits, Defects()))
    added = outline.views[before:]
    for view in added:
        for node in view.nodes:
            if node.kind != "multipart":
                node.item = loose.take(node)
    for view in added:
        if view.reading == mime.NOTHING.name:
            # No tree: it is no walk, only what it found.
            view.nodes = [_found(item) for item in loose.below(f"{view.root}~any")]
    _lines(source, report, outline, added)


def _found(item: Item) -> Node:
    names = list(item.names)
    node = Node(item.path, "found", item.declared_type, item.encoding, names, None, -1)
    node.item = item
    return node


def _walk(
    source: _Source,
    reading: mime.Reading,
    because: list[str],
    limits: Limits,
    defects: list[Defect],
) -> View:
    def read(position: int, length: int) -> bytes:
        return pread_all(source.fd, length, position)

    bytes_of: object = read
    if reading.cr:
        bytes_of = deep.reader(source.fd)
    view = View(source.name, source.root, reading.name, because)
    if reading.nothing:
        return view
    walker = Recorder(bytes_of, source.end, limits, defects, source.depth, 0, reading)
    path = f"{source.root}~{reading.name}" if reading.name else source.root
    for region in walker.walk(source.start, path):
        view.nodes += walker.nodes
        walker.nodes.clear()
        if region.kind in ("preamble", "epilogue") and _is_blank(source, region):
            continue
        view.nodes.append(_node(region))
    view.nodes += walker.nodes
    view.nodes.sort(key=_order)
    return view


def _order(node: Node) -> tuple[int, int]:
    """Parents come first, then as in the file."""
    return node.start, node.path.count(".") + node.path.count("/")


def _is_blank(source: _Source, region: mime.Region) -> bool:
    position = region.start
    while position < region.end:
        data = pread_all(source.fd, min(WINDOW, region.end - position), position)
        if data.strip(b" \t\r\n\x0b\x0c\0"):
            return False
        position += len(data) or region.end
    return True


# -- items ----------------------------------------------------------------------------


class _Loose:
    """The items that no node has yet."""

    def __init__(self, items: list[Item]) -> None:
        self.by_base: dict[str, list[Item]] = {}
        for item in items:
            if item.path != RAW:
                self.by_base.setdefault(_base(item.path), []).append(item)
        self.parents: dict[str, Item] = {}
        self.done: set[str] = set()
        paths = {item.path for item in items}
        roots = {f"{item.path}.1": item for item in items if item.file is not None}
        for path in paths:
            for root in _beginnings(path):
                if root in roots:
                    self.parents[root] = roots[root]

    def take(self, node: Node) -> Item | None:
        """The item of a node: same path and, where that can be said, same size."""
        found = self.by_base.get(node.path, [])
        for item in found:
            plain = node.encoding.encode("ascii", "replace") in mime.IDENTITY
            if plain and node.end >= 0 and item.size != node.end - node.start:
                continue
            found.remove(item)
            if node.kind == "embedded":
                # Its parts belong to the walk that made this node.
                self.done.add(f"{item.path}.1")
            return item
        return None

    def below(self, path: str) -> list[Item]:
        """Those that are left below a path; they are not left then."""
        out: list[Item] = []
        for base, items in self.by_base.items():
            if base.startswith(path):
                out += items
                items.clear()
        return out

    def root_of(self, defect: Defect) -> str:
        """The first part of the file that a defect is in."""
        if defect.source:
            own = f"{defect.source}.1"
            return own if own in self.parents else defect.source
        found = ROOT
        for root in _beginnings(defect.where):
            if root in self.parents:
                found = root
        return found

    def walked(self) -> Item | None:
        """The next item that was walked as a message of its own."""
        for root, item in self.parents.items():
            if root not in self.done:
                self.done.add(root)
                return item
        return None


def _base(path: str) -> str:
    """Without the number that makes equal paths differ."""
    head, plus, number = path.rpartition("+")
    return head if plus and number.isdigit() else path


def _beginnings(path: str) -> Iterator[str]:
    """What could be the first part of an inner message: ``1.2.1`` of ``1.2.1.3``."""
    for position in range(len(path) + 1):
        ends = position == len(path) or path[position] in "./~+"
        if ends and path[:position].endswith(".1"):
            yield path[:position]


# -- lines ----------------------------------------------------------------------------


def _lines(
    source: _Source, report: Report, outline: Outline, views: list[View]
) -> None:
    """Lines of the nodes of ``views`` and places of the defects in that file."""
    at: dict[int, int] = {}
    for index, defect in enumerate(report.defects):
        inside = source.start <= defect.at <= source.end
        own = defect.source in (source.name, source.root)
        if (own if defect.source else not source.name) and inside and defect.at >= 0:
            at[index] = _field(source, defect)
    nodes = [node for view in views for node in view.nodes if node.start >= 0]
    offsets = set(at.values())
    for node in nodes:
        offsets |= {node.start, max(node.start, node.end - 1)}
    line = _count(source, sorted(offsets))
    for node in nodes:
        node.source = source.name
        node.first = line[node.start]
        node.last = line[max(node.start, node.end - 1)] if node.end >= 0 else 0
        node.start -= source.start
        node.end = node.end - source.start if node.end >= 0 else -1
    for index, offset in at.items():
        outline.places[index] = _place(source, offset, line[offset])


def _field(source: _Source, defect: Defect) -> int:
    """Where the field is that a defect is about: it is noted for the beginning of the
    header, or of the body behind it. Its own place when there is no such field."""
    name = FIELD_OF.get(defect.code, b"")
    if defect.detail.startswith("Content-"):
        name = defect.detail.split(None, 1)[0].lower().encode("ascii", "replace")
    if not name:
        return defect.at
    twice = defect.code.startswith("duplicate-")
    block = pread_all(source.fd, HEADER, defect.at)
    found = _find_field(_header(block), name, twice)
    if found >= 0:
        return defect.at + found
    start = max(source.start, defect.at - HEADER)
    block = pread_all(source.fd, defect.at - start, start).rstrip(b"\r\n") + b"\n"
    header = max(block.rfind(b"\n\n"), block.rfind(b"\n\r\n")) + 1
    found = _find_field(block[header:], name, twice)
    return start + header + found if found >= 0 else defect.at


def _header(block: bytes) -> bytes:
    """What stands before the first empty line."""
    ends = [block.find(b"\n\n"), block.find(b"\n\r\n")]
    return block[: min((end for end in ends if end >= 0), default=len(block)) + 1]


def _find_field(header: bytes, name: bytes, twice: bool) -> int:
    """Offset of the (second) line that begins with a field name; -1 when none."""
    text = b"\n" + header.lower()
    found = text.find(b"\n" + name)
    if found >= 0 and twice:
        found = text.find(b"\n" + name, found + 1)
    return found


def _count(source: _Source, offsets: list[int]) -> dict[int, int]:
    """The line, from 1, of every offset; one pass over the file."""
    out: dict[int, int] = {}
    line = 1
    position = source.start
    while offsets:
        data = pread_all(source.fd, WINDOW, position)
        reached = bisect_left(offsets, position + len(data)) if data else len(offsets)
        begin = 0
        for offset in offsets[:reached]:
            line += data.count(b"\n", begin, offset - position)
            begin = max(begin, offset - position)
            out[offset] = line
        offsets = offsets[reached:]
        line += data.count(b"\n", begin)
        position += len(data)
    return out


def _place(source: _Source, offset: int, line: int) -> Place:
    start = max(source.start, offset - LINE_START)
    before = pread_all(source.fd, offset - start, start) if offset > start else b""
    before = before[before.rfind(b"\n") + 1 :]
    after = pread_all(source.fd, AROUND, offset).split(b"\n", 1)[0].rstrip(b"\r")
    return Place(offset - source.start, line, len(before) + 1, before[-AROUND:], after)


# -- differences ----------------------------------------------------------------------


def differences(normal: View, other: View) -> list[tuple[str, Node]]:
    """Both readings in one list: (" ", node) where they agree, ("-", node) of the
    normal reading and ("+", node) of the other where not. What believes nothing only
    adds."""
    if any(node.kind == "found" for node in other.nodes) or not other.nodes:
        return [("+", node) for node in other.nodes]
    old = {node.path: node for node in normal.nodes}
    new = {other.plain_path(node): node for node in other.nodes}
    rows: list[tuple[tuple[int, int, str], str, Node]] = []
    for path in {**old, **new}:
        one, two = old.get(path), new.get(path)
        if one is not None and two is not None and one.looks() == two.looks():
            rows.append(((*_order(two), path), " ", two))
            continue
        first = one or two
        if first is None:
            continue
        place = (*_order(first), path)
        if one is not None:
            rows.append((place, "-", one))
        if two is not None:
            rows.append((place, "+", two))
    rows.sort(key=lambda row: (row[0], row[1] == "+"))
    return [(mark, node) for _, mark, node in rows]
