# SPDX-License-Identifier: MIT
"""From regions to files: every part decoded into the work directory, once.

Does: walk a message (and messages that were encoded inside it) with an explicit queue,
decode, find uuencode in text, hand TNEF to its child, and give every Item to ``emit``
as soon as its file is complete, so that scanning runs beside unpacking.
Never does: use a name from the mail as a path; decide; raise on content.
Raises: OSError for trouble with the work directory.
Limits: ``model.Limits``; a limit hit is a Defect ``limit-...``.
"""

import posix
import time

from qscan import headers, mime, sniff, transfer
from qscan.fdio import O_NEW, O_READ, WINDOW, pread_all, write_all
from qscan.model import Defect, Header, Item, Limits

TNEF_TYPES = (
    b"application/ms-tnef",
    b"application/vnd.ms-tnef",
    b"application/x-tnef",
)
TNEF_MAGIC = b"\x78\x9f\x3e\x22"
BLANK = b" \t\r\n\x0b\x0c\0"
UU_TEXT_LIMIT = 100  # blocks found in one text part


class _Source:
    """A file still to be walked."""

    __slots__ = ("default", "depth", "fd", "file", "path", "size", "start")

    def __init__(
        self,
        fd: int,
        start: int,
        size: int,
        path: str,
        default: bytes,
        depth: int,
        file: str | None = None,
    ) -> None:
        self.file = file
        self.fd = fd
        self.start = start
        self.size = size
        self.path = path
        self.default = default
        self.depth = depth


class Unpacker:
    """Takes one message apart. ``items`` and ``defects`` are the result."""

    __slots__ = (
        "again",
        "count",
        "deadline",
        "defects",
        "directory",
        "emit",
        "expanded",
        "full",
        "items",
        "limits",
        "parts",
        "paths",
        "queue",
        "tnef_settings",
    )

    def __init__(
        self,
        directory: str,
        limits: Limits,
        emit: object,
        tnef_settings: tuple[int, int, int],
    ) -> None:
        self.directory = directory
        self.limits = limits
        self.emit = emit
        self.tnef_settings = tnef_settings
        self.items: list[Item] = []
        self.defects: list[Defect] = []
        self.queue: list[_Source] = []
        self.paths: dict[str, int] = {}
        self.expanded = 0
        self.parts = 0
        self.count = 0
        self.full = False
        self.again = False
        self.deadline = time.monotonic() + limits.seconds

    def run(self, fd: int, start: int, size: int, cover_plain: bool) -> None:
        """Unpack the message in bytes [start, size) of ``fd``.

        ``cover_plain``: the raw message is scanned too, so a message that is one
        well-formed plain text need not be written out again.
        """
        self.queue.append(_Source(fd, start, size, "1", b"text/plain", 0))
        first = True
        while self.queue:
            source = self.queue.pop()
            try:
                self._walk(source, cover_plain and first)
            finally:
                if source.fd != fd:
                    posix.close(source.fd)
            first = False

    def _walk(self, source: _Source, cover_plain: bool) -> None:
        """Walk a source in the normal reading, then in every other that its defects
        call for: the union is scanned."""
        before = len(self.defects)
        self._read(source, mime.NORMAL, cover_plain)
        further: list[mime.Reading] = []
        for defect in self.defects[before:]:
            reading = mime.FURTHER.get(defect.code)
            if reading is not None and reading not in further:
                further.append(reading)
        for reading in further:
            self.again = True
            noted = self.defects
            # The same defects once more would say nothing new; limits do.
            self.defects = []
            try:
                self._read(source, reading, False)
            finally:
                noted += [d for d in self.defects if d.code.startswith("limit-")]
                self.defects = noted

    def _read(self, source: _Source, reading: mime.Reading, cover_plain: bool) -> None:
        fd = source.fd

        def read(position: int, length: int) -> bytes:
            return pread_all(fd, length, position)

        walker = mime.Walker(
            read,
            source.size,
            self.limits,
            self.defects,
            source.depth,
            self.parts,
            reading,
        )
        before = len(self.defects)
        path = f"{source.path}~{reading.name}" if reading.name else source.path
        for region in walker.walk(source.start, path, source.default):
            if self._late(region.path):
                break
            plain = (
                cover_plain
                and region.path == "1"
                and region.kind == "leaf"
                and region.encoding in mime.IDENTITY
                and region.media.startswith(b"text/")
                and len(self.defects) == before
            )
            self._region(source, region, plain)
        self.parts = walker.parts

    def _late(self, path: str) -> bool:
        if self.full:
            return True
        if time.monotonic() > self.deadline:
            self.defects.append(Defect("limit-unpack-seconds", path))
            self.full = True
        return self.full

    # -- one region ---------------------------------------------------------------

    def _region(self, source: _Source, region: mime.Region, plain: bool) -> None:
        media = region.media
        text = region.kind in ("preamble", "epilogue")
        names = [] if text else headers.part_names(region.fields)
        item = Item(
            region.path,
            "mime",
            names,
            "text/plain" if text else media.decode("ascii", "backslashreplace"),
            "" if text else region.encoding.decode("ascii", "backslashreplace"),
        )
        if text and not self._has_content(source.fd, region):
            return
        if region.kind == "embedded":
            # Its parts are on their own; the whole is inside what is scanned anyway.
            item.file = source.file
            item.span = (region.start, region.end)
            item.size = region.end - region.start
            item.scan = "covered"
            self.items.append(item)
            return
        encoding = b"" if text else region.encoding
        coder = transfer.decoder(encoding)
        if coder is None:
            self.defects.append(
                Defect("unknown-transfer-encoding", region.path, item.encoding)
            )
            self._guesses(source, region, item)
            coder = transfer.Identity()
        if plain:
            item.span = (region.start, region.end)
            item.size = region.end - region.start
            item.head = pread_all(source.fd, sniff.HEAD, region.start)
            item.scan = "covered"
            if item.head[: len(TNEF_MAGIC)] == TNEF_MAGIC:
                plain = False
                item.scan = ""
        if not plain:
            prefix = b""
            if region.kind == "message" and media.startswith(b"multipart/"):
                prefix = _type_field(region.fields)
            self._decode(source.fd, region, item, coder, prefix)
        for code in coder.odd:
            self.defects.append(Defect(code, region.path))
        self._finish(item)
        if self.full:
            return
        if region.kind == "message":
            self._queue(item, region.path.count(".") + 1)
        elif self._is_tnef(item, media):
            self._tnef(item)
        elif text or media.startswith(b"text/") or media == b"message/partial":
            self._find_uu(source.fd, region, item)

    def _has_content(self, fd: int, region: mime.Region) -> bool:
        position = region.start
        while position < region.end:
            data = pread_all(fd, min(WINDOW, region.end - position), position)
            if not data or data.strip(BLANK):
                return bool(data)
            position += len(data)
        return False

    def _create(self) -> tuple[int, str]:
        self.count += 1
        path = f"{self.directory}/i{self.count}"
        return posix.open(path, O_NEW, 0o600), path

    def _decode(
        self,
        fd: int,
        region: mime.Region,
        item: Item,
        coder: transfer.Decoder,
        prefix: bytes = b"",
    ) -> None:
        """Decode bytes [start, end) of ``fd`` into a new file of ``item``."""
        out, item.file = self._create()
        try:
            position = region.start
            if prefix:
                self._put(out, item, prefix)
            while position < region.end and not self.full:
                data = posix.pread(fd, min(WINDOW, region.end - position), position)
                if not data:
                    break
                position += len(data)
                self._put(out, item, coder.feed(data))
            self._put(out, item, coder.finish())
        finally:
            posix.close(out)

    def _put(self, out: int, item: Item, data: bytes) -> None:
        if not data:
            return
        self.expanded += len(data)
        if self.expanded > self.limits.expanded_bytes:
            if not self.full:
                self.defects.append(Defect("limit-expanded-bytes", item.path))
            self.full = True
            return
        if len(item.head) < sniff.HEAD:
            item.head = (item.head + data[: sniff.HEAD])[: sniff.HEAD]
        write_all(out, data)
        item.size += len(data)

    def _finish(self, item: Item) -> None:
        item.detected_type = sniff.detect(item.head)
        if self.again and self._known(item):
            return
        # Answers are matched by path: no two items may share one.
        count = self.paths.get(item.path, 0) + 1
        self.paths[item.path] = count
        if count > 1:
            item.path = f"{item.path}+{count}"
        self.items.append(item)
        if item.file is not None:
            self.emit(item)  # type: ignore[operator]

    def _known(self, item: Item) -> bool:
        """True when another reading gave the same bytes: its names are added there."""
        for other in self.items:
            if other.size != item.size or other.head != item.head:
                continue
            if other.file is None or other.span is not None or item.file is None:
                continue
            if not _same(other.file, item.file, item.size):
                continue
            other.names += [name for name in item.names if name not in other.names]
            return True
        return False

    def _guesses(self, source: _Source, region: mime.Region, item: Item) -> None:
        """An encoding nobody knows: decode in all known ways, clients do so too."""
        for name in (b"base64", b"quoted-printable", b"x-uuencode"):
            coder = transfer.decoder(name)
            if coder is None:
                continue
            guess = Item(
                f"{item.path}/as-{name.decode('ascii')}",
                item.origin,
                item.names,
                item.declared_type,
                name.decode("ascii"),
            )
            self._decode(source.fd, region, guess, coder)
            self._finish(guess)

    # -- messages inside ----------------------------------------------------------

    def _queue(self, item: Item, depth: int) -> None:
        if item.file is None or not item.size:
            return
        if depth > self.limits.depth:
            self.defects.append(Defect("limit-depth", item.path))
            return
        fd = posix.open(item.file, O_READ)
        self.queue.append(
            _Source(fd, 0, item.size, item.path + ".1", b"text/plain", depth, item.file)
        )

    # -- uuencode in text ---------------------------------------------------------

    def _find_uu(self, fd: int, region: mime.Region, item: Item) -> None:
        """Look for ``begin MODE NAME`` at line starts of a text (POSIX uuencode)."""
        if item.file is None:
            start, end = item.span or (region.start, region.end)
            self._uu_in(fd, start, end, item)
            return
        own = posix.open(item.file, O_READ)
        try:
            self._uu_in(own, 0, item.size, item)
        finally:
            posix.close(own)

    def _uu_in(self, fd: int, start: int, end: int, item: Item) -> None:
        def read(position: int, length: int) -> bytes:
            return pread_all(fd, length, position)

        window = mime.Window(read, end)
        position = start
        number = 0
        while position < end:
            found = window.find(b"begin ", position, end)
            if found < 0:
                return
            position = found + 6
            if found > start and window.at(found - 1, 1) not in (b"\n", b"\r"):
                continue
            line = window.at(found, 1024)
            line = line[: line.find(b"\n") + 1] or line
            fields = line.split(None, 2)
            if len(fields) < 2 or not 3 <= len(fields[1]) <= 6:
                continue
            if not fields[1].isdigit() and not number:
                continue
            number += 1
            if number > UU_TEXT_LIMIT or self.parts >= self.limits.parts:
                self.defects.append(Defect("limit-parts", item.path))
                return
            self.parts += 1
            names: list[str] = []
            if len(fields) == 3:
                headers.add_name(names, fields[2].strip())
            inner = Item(f"{item.path}/uu/{number}", "uu", names, "", "uuencode")
            stop = self._decode_uu(fd, found + len(line), end, inner)
            self._finish(inner)
            if inner.head.startswith(TNEF_MAGIC):
                self._tnef(inner)
            position = stop
            if self._late(item.path):
                return

    def _decode_uu(self, fd: int, start: int, end: int, item: Item) -> int:
        """Decode one block; returns the offset where it ended."""
        coder = transfer.UU(started=True)
        out, item.file = self._create()
        try:
            position = start
            while position < end and not coder.done and not self.full:
                data = posix.pread(fd, min(WINDOW, end - position), position)
                if not data:
                    break
                position += len(data)
                self._put(out, item, coder.feed(data))
            self._put(out, item, coder.finish())
        finally:
            posix.close(out)
        # Every byte is decoded at most once, however many blocks begin.
        return start + coder.used if coder.done else end

    # -- TNEF ---------------------------------------------------------------------

    def _is_tnef(self, item: Item, media: bytes) -> bool:
        if item.head.startswith(TNEF_MAGIC):
            return True
        claimed = media in TNEF_TYPES or any(
            name.lower().endswith(("winmail.dat", ".tnef")) for name in item.names
        )
        if claimed and item.size:
            self.defects.append(Defect("tnef-bad-signature", item.path))
        return claimed and item.size > 0

    def _tnef(self, item: Item) -> None:
        from qscan import tnefchild

        if item.file is None:
            return
        fd = posix.open(item.file, O_READ)
        self.count += 1
        try:
            cpu, memory, wall = self.tnef_settings
            files, defects = tnefchild.unpack(
                fd,
                item.size,
                self.directory,
                f"i{self.count}",
                max_depth=max(1, self.limits.depth - item.path.count(".")),
                max_parts=max(1, self.limits.parts - self.parts),
                max_bytes=max(1, self.limits.expanded_bytes - self.expanded),
                cpu_seconds=cpu,
                memory_bytes=memory,
                wall_seconds=wall,
            )
        finally:
            posix.close(fd)
        for defect in defects:
            defect.where = f"{item.path} {defect.where}".rstrip()
            self.defects.append(defect)
        for file in files:
            inner = Item(
                f"{item.path}/{file.path}", "tnef", file.names, file.declared_type
            )
            inner.file = file.file
            inner.size = file.size
            self.expanded += file.size
            self.parts += 1
            own = posix.open(inner.file, O_READ)
            try:
                inner.head = pread_all(own, sniff.HEAD, 0)
            finally:
                posix.close(own)
            self._finish(inner)


def _same(one: str, two: str, size: int) -> bool:
    """True when the first ``size`` bytes of two files are equal."""
    first = posix.open(one, O_READ)
    try:
        second = posix.open(two, O_READ)
        try:
            for position in range(0, size, WINDOW):
                length = min(WINDOW, size - position)
                if pread_all(first, length, position) != pread_all(
                    second, length, position
                ):
                    return False
        finally:
            posix.close(second)
    finally:
        posix.close(first)
    return True


def _type_field(fields: list[Header]) -> bytes:
    for field in fields:
        if field.name == b"content-type":
            return b"Content-Type:" + field.value + b"\n\n"
    return b"Content-Type: multipart/mixed\n\n"
