# SPDX-License-Identifier: MIT
"""Where unpacked content goes: numbered files in the work directory.

Does: decode byte ranges into files in bounded windows, keep the totals against the
limits, give every Item to ``emit`` as soon as its file is complete. Never does: use a
name from the mail as a path; raise on content.
Raises: OSError for trouble with the work directory.
"""

import posix
import time

from qscan import sniff
from qscan.fdio import (
    O_NEW,
    O_READ,
    WINDOW,
    digest,
    digest_range,
    pread_all,
    write_all,
)
from qscan.model import Defect, Defects, Item, Limits

GUESSES = 10  # other decodings for each part that a message may have
SMALL = 262144  # bytes that a guess is made of in memory


class Store:
    """The items of one message. ``full`` is set by the first limit that is hit: what
    was unpacked until then is scanned, the limit is a Defect."""

    __slots__ = (
        "again",
        "count",
        "deadline",
        "defects",
        "directory",
        "emit",
        "expanded",
        "fresh",
        "full",
        "guesses",
        "items",
        "known",
        "limits",
        "members",
        "opened",
        "parts",
        "paths",
    )

    def __init__(self, directory: str, limits: Limits, emit: object) -> None:
        self.directory = directory
        self.limits = limits
        self.emit = emit
        self.items: list[Item] = []
        # Items that nobody has looked into yet.
        self.fresh: list[Item] = []
        self.defects: list[Defect] = Defects()
        self.known: dict[str, Item] = {}
        self.paths: dict[str, int] = {}
        self.expanded = 0
        self.parts = 0
        self.members = 0  # of archives
        self.count = 0
        self.full = False
        self.guesses = 0
        self.opened = 0  # archives among the guesses
        self.again = False
        self.deadline = time.monotonic() + limits.seconds

    def note(self, code: str, path: str, detail: str = "") -> None:
        """Annotate."""
        self.defects.append(Defect(code, path, detail))

    def quietly(self, kept: tuple[str, ...], work: object, *arguments: object) -> None:
        """Do ``work``; of what it annotates only codes that begin with one of ``kept``
        say anything new about the message."""
        noted = self.defects
        self.defects = Defects()
        try:
            work(*arguments)  # type: ignore[operator]
        finally:
            for defect in self.defects:
                if defect.code.startswith(kept):
                    noted.append(defect)
            self.defects = noted

    def late(self, path: str) -> bool:
        """True when nothing more may be unpacked."""
        if not self.full and time.monotonic() > self.deadline:
            self.note("limit-unpack-seconds", path)
            self.full = True
        return self.full

    def name(self) -> str:
        """The next file name in the work directory."""
        self.count += 1
        return f"i{self.count}"

    def decode(
        self,
        fd: int,
        start: int,
        end: int,
        item: Item,
        coder: object,
        prefix: bytes = b"",
    ) -> None:
        """Decode bytes [start, end) of ``fd`` into a new file of ``item``; ``coder``
        of ``transfer``, or None for the bytes themselves."""
        item.file = f"{self.directory}/{self.name()}"
        out = posix.open(item.file, O_NEW, 0o600)
        try:
            self._put(out, item, prefix)
            position = start
            while position < end and not self.full:
                data = posix.pread(fd, min(WINDOW, end - position), position)
                if not data:
                    break
                position += len(data)
                if coder is not None:
                    data = coder.feed(data)  # type: ignore[attr-defined]
                    if coder.done:  # type: ignore[attr-defined]
                        position = end
                self._put(out, item, data)
            if coder is not None:
                self._put(out, item, coder.finish())  # type: ignore[attr-defined]
        finally:
            posix.close(out)
        if coder is not None:
            for code in coder.odd:  # type: ignore[attr-defined]
                self.note(code, item.path)

    def write(self, item: Item, blocks: object) -> None:
        """Write ``blocks`` into a new file of ``item``."""
        item.file = f"{self.directory}/{self.name()}"
        out = posix.open(item.file, O_NEW, 0o600)
        try:
            for data in blocks:  # type: ignore[attr-defined]
                self._put(out, item, data)
                if self.late(item.path):
                    break
        finally:
            posix.close(out)

    def guess(self, fd: int, start: int, end: int, item: Item, coder: object) -> None:
        """Decode bytes [start, end) as ``decode`` does, for what may well be there
        already: small ones are compared before a file is made, empty ones dropped."""
        self.guesses += 1
        if self.guesses > GUESSES * self.limits.parts:
            self.note("limit-parts", item.path)
            self.full = True
            return
        if end - start > SMALL or coder is None:
            self.decode(fd, start, end, item, coder)
            if item.size:
                self.add(item)
            elif item.file is not None:
                self._drop(item)
            return
        data = pread_all(fd, end - start, start)
        data = coder.feed(data) + coder.finish()  # type: ignore[attr-defined]
        for code in coder.odd:  # type: ignore[attr-defined]
            if code.startswith("limit-"):
                self.note(code, item.path)
        other = self.known.get(digest(data))
        if other is not None:
            _share(other, item)
        if not data or other is not None:
            return
        item.file = f"{self.directory}/{self.name()}"
        out = posix.open(item.file, O_NEW, 0o600)
        try:
            self._put(out, item, data)
        finally:
            posix.close(out)
        self.add(item)

    def _put(self, out: int, item: Item, data: bytes) -> None:
        if not data:
            return
        self.expanded += len(data)
        if self.expanded > self.limits.expanded_bytes:
            if not self.full:
                self.note("limit-expanded-bytes", item.path)
            self.full = True
            return
        if len(item.head) < sniff.HEAD:
            item.head = (item.head + data[: sniff.HEAD])[: sniff.HEAD]
        write_all(out, data)
        item.size += len(data)

    def add(self, item: Item) -> None:
        """The item is complete: type it, keep it, offer it."""
        item.detected_type = sniff.detect(item.head)
        if item.detected_type == sniff.VAGUE and item.size > sniff.HEAD:
            item.detected_type = self._look(item)
        if item.names and not sniff.ordinary(item.names):
            from qscan import names

            names.note(self.defects, item)
        if not sniff.honest(item):
            from qscan import kinds

            kinds.note(self.defects, item)
        if self.again and self._known(item):
            self._drop(item)
            return
        # Answers are matched by path: no two items may share one.
        count = self.paths.get(item.path, 0) + 1
        self.paths[item.path] = count
        if count > 1:
            item.path = f"{item.path}+{count}"
        self.items.append(item)
        if item.file is not None and item.span is None:
            self.fresh.append(item)
        if item.file is not None and not item.scan:
            self.emit(item)  # type: ignore[operator]

    def _drop(self, item: Item) -> None:
        """What is there already takes no room twice."""
        self.expanded -= item.size
        posix.unlink(item.file)  # type: ignore[arg-type]
        item.file = None

    def _look(self, item: Item) -> str:
        """The type of an item whose first bytes say nothing."""
        if item.file is None or item.span is not None:
            return sniff.VAGUE
        fd = posix.open(item.file, O_READ)
        try:
            return sniff.detect_file(fd, item.size, item.head)
        finally:
            posix.close(fd)

    def further(self) -> None:
        """Other readings follow: what they yield is compared with what is here."""
        if self.again:
            return
        self.again = True
        for item in self.items:
            self._known(item)

    def _known(self, item: Item) -> bool:
        """True when another reading gave the same bytes: its names are added there.

        Every file is read once for its digest, whatever the number of readings.
        """
        if item.file is None or item.span is not None:
            return False
        fd = posix.open(item.file, posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            key = digest_range(fd, 0, item.size)
        finally:
            posix.close(fd)
        other = self.known.setdefault(key, item)
        if other is item:
            return False
        _share(other, item)
        return True


def _share(known: Item, item: Item) -> None:
    """The same bytes once more: their names are candidates too, unless headers were
    decoded that nobody encoded."""
    _, guessed, place = item.path.partition("~any.")
    if not guessed or place.removesuffix("/all").isdigit():
        known.names += [name for name in item.names if name not in known.names]
