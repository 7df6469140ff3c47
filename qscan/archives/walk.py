# SPDX-License-Identifier: MIT
"""The members of one archive on their way out: limits, files, reports, what is next.

Does: take the content of each member, in memory or in a numbered file, against the
limits; report it as soon as it is complete; queue what has something inside. Runs in
the limited child.

None passed unscanned: a member gets a file, and with it a scan of its own, unless all
of these hold: it is in a zip without any oddity, with a compression that clamd knows
too, it decompressed to just what the zip says, it holds nothing to be opened, and the
zip is within COVERED bytes and members, which clamd's own default limits allow. Those
members are as good as scanned by the scan of the zip itself ("covered"); that saves a
file and a scan for each part of a common document. What clamd would have to open
further is always a file: so clamd's limit of depth never matters. What is encrypted or
cannot be decompressed is reported by name, and is a fact.

Never does: make a path of a name; raise on content.
Raises: OSError when files cannot be written; MemoryError; Full at a limit.
Limits: those of ``Bounds``; hitting one ends the work and is a fact.
"""

from __future__ import annotations

import posix
import zlib

from qscan import fdio, limited, sniff
from qscan.archives import formats
from qscan.archives.streams import Broken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn


COVERED_BYTES = 50_000_000
COVERED_MEMBERS = 5000
IN_MEMORY = 1024 * 1024  # bytes of a member before it gets a file
# Below so many bytes in all nobody asks how well it was packed.
RATIO_FLOOR = 10_000_000
NAMES = 16  # of a member
# What is opened by others: TNEF, AppleSingle and AppleDouble (RFC 1740).
INSIDE = (sniff.TNEF, b"\0\x05\x16\0", b"\0\x05\x16\x07")
NAME = 512  # characters
DETAIL = 200


class Bounds:
    """What one archive may hold: ``depth`` levels, ``members`` in all, ``bytes`` when
    decompressed, ``ratio`` of those to the bytes of the file."""

    __slots__ = ("bytes", "depth", "members", "ratio")

    def __init__(self, depth: int, members: int, size: int, ratio: int) -> None:
        self.depth = depth
        self.members = members
        self.bytes = size
        self.ratio = ratio


class Full(Exception):
    """A limit was hit: its code and place."""

    def __init__(self, code: str, where: str, detail: str) -> None:
        Exception.__init__(self, code)
        self.fact = (code, where, detail)


class Job:
    """Something to open: ``file`` its path, None for the data itself."""

    __slots__ = ("depth", "file", "names", "path", "size")

    def __init__(
        self, file: str | None, size: int, path: str, names: list[str], depth: int
    ) -> None:
        self.file = file
        self.size = size
        self.path = path
        self.names = names
        self.depth = depth


class Content:
    """The bytes of one member, in memory or, when there are many, in a file.

    ``stop`` what ended it before its time.
    """

    __slots__ = ("blocks", "crc", "fd", "place", "size", "stop")

    def __init__(self, place: str) -> None:
        self.place = place
        self.blocks: list[bytes] = []
        self.fd = -1
        self.size = 0
        self.crc = 0
        self.stop: Full | Broken | None = None

    def add(self, block: bytes) -> None:
        """Keep a piece."""
        self.size += len(block)
        self.crc = zlib.crc32(block, self.crc)
        if self.fd >= 0:
            fdio.write_all(self.fd, block)
            return
        self.blocks.append(block)
        if self.size > IN_MEMORY:
            self.write()

    def write(self) -> None:
        """From here on in the file."""
        if self.fd < 0:
            self.fd = posix.open(self.place, fdio.O_NEW, 0o600)
            for block in self.blocks:
                fdio.write_all(self.fd, block)
            self.blocks = []

    def read(self, offset: int, length: int) -> bytes:
        """Bytes that were kept."""
        if self.fd >= 0:
            return fdio.pread_all(self.fd, length, offset)
        if len(self.blocks) > 1:
            self.blocks = [b"".join(self.blocks)]
        return self.blocks[0][offset : offset + length] if self.blocks else b""

    def close(self, keep: bool) -> None:
        """Done; without ``keep`` nothing is left of it."""
        if self.fd >= 0:
            posix.close(self.fd)
            self.fd = -1
            if not keep:
                posix.unlink(self.place)
        self.blocks = []


class Walk:
    """The whole of one archive; reports go to the pipe, ``jobs`` are to be opened."""

    def __init__(
        self,
        pipe: int,
        directory: str,
        prefix: str,
        bounds: Bounds,
        passwords: list[str],
    ) -> None:
        self.pipe = pipe
        self.directory = directory
        self.prefix = prefix
        self.bounds = bounds
        self.passwords = passwords
        self.members = 0
        self.total = 0
        self.most = RATIO_FLOOR
        self.files = 0
        self.jobs: list[Job] = []
        self.noted: set[tuple[str, str]] = set()

    def begin(self, job: Job) -> None:
        """The first one, whose size counts for the ratio."""
        self.most = max(RATIO_FLOOR, job.size * self.bounds.ratio)
        self.jobs.append(job)

    # -- reports --------------------------------------------------------------------

    def note(self, code: str, where: str, detail: str) -> None:
        """A fact, once for each place."""
        if (code, where) not in self.noted:
            self.noted.add((code, where))
            shown = "".join(c if c.isprintable() else "?" for c in detail[:DETAIL])
            limited.send(self.pipe, ("defect", code, where, shown))

    def _limit(self, code: str, where: str, detail: str) -> NoReturn:
        """The end of the work."""
        raise Full(code, where, detail)

    def count(self, where: str) -> None:
        """One member more."""
        self.members += 1
        if self.members > self.bounds.members:
            detail = f"more than {self.bounds.members}"
            self._limit("limit-archive-members", where, detail)

    def report(
        self,
        file: str,
        size: int,
        path: str,
        names: Iterable[str],
        head: bytes,
        scan: str,
        mail: bool,
    ) -> None:
        """A member, complete; ``mail`` what holds it says that it is one."""
        shown: list[str] = []
        for name in names:
            name = name[:NAME].encode("utf-8", "replace").decode("utf-8")
            if name and name not in shown and len(shown) < NAMES:
                shown.append(name)
        limited.send(self.pipe, ("member", file, size, path, shown, head, scan, mail))

    def unread(
        self, path: str, names: Iterable[str], size: int, scan: str = "unread"
    ) -> None:
        """A member of which only the name is known."""
        self.report("", max(0, size), path, names, b"", scan, False)

    # -- content --------------------------------------------------------------------

    def gather(self, blocks: Iterable[bytes], path: str) -> Content:
        """Take a member's content as far as limits and damage allow."""
        content = Content(f"{self.directory}/{self.prefix}-a{self.files + 1}")
        try:
            for block in blocks:
                self.total += len(block)
                if self.total > self.bounds.bytes:
                    detail = f"more than {self.bounds.bytes} bytes"
                    self._limit("limit-archive-bytes", path, detail)
                if self.total > self.most:
                    detail = f"more than {self.bounds.ratio} times its size"
                    self._limit("limit-archive-ratio", path, detail)
                content.add(block)
        except (Full, Broken) as stop:
            content.stop = stop
        return content

    def keep(
        self,
        content: Content,
        path: str,
        names: list[str],
        depth: int,
        covered: bool = False,
        mail: bool = False,
    ) -> None:
        """Report a member, with a file unless it is ``covered``; queue what is inside.

        Raises Full when the content ended at a limit.
        """
        start = content.read(0, formats.START)
        head = start[: sniff.HEAD]
        opens = formats.inside(content.read, content.size)
        if opens or head.startswith(INSIDE) or formats.is_mail(start, names):
            covered = False
        elif not content.size:
            covered = True
        file = ""
        if not covered:
            content.write()
            self.files += 1
            file = f"{self.prefix}-a{self.files}"
        content.close(not covered)
        self.report(
            file, content.size, path, names, head, "covered" if covered else "", mail
        )
        if isinstance(content.stop, Full):
            raise content.stop
        if opens:
            if depth >= self.bounds.depth:
                detail = f"more than {self.bounds.depth} levels"
                self.note("limit-archive-depth", path, detail)
            else:
                place = f"{self.directory}/{file}"
                self.jobs.append(Job(place, content.size, path, names, depth + 1))

    def facts(self, job: Job, facts: list[tuple[str, str, int]]) -> None:
        """Facts of a document."""
        for code, detail, _ in facts:
            self.note(code, job.path, detail)


def first(names: list[str]) -> str:
    """A name to show."""
    return names[0] if names else ""
