# SPDX-License-Identifier: MIT
"""Unpacks one TNEF blob into files, in a child that may die.

Does: have a limited child (``limited``) do our own reading first (``tnef``), every span
to a file, then the library's (tnefparse), whatever that finds besides. Each result is
reported as soon as it is on disk, so that a library that hangs, crashes or eats all
memory loses nothing of what was found before. Identical bytes are stored once.
Never does: make a path of a name from the mail, run the library in this process.
Raises: OSError when files cannot be written or a process cannot be made; that is no
fault of the message.
Limits: those of ``limited``; a report has at most ``limited.REPORT`` bytes.
"""

from __future__ import annotations

import posix

from qscan import fdio, limited
from qscan.limited import send as _send
from qscan.model import Defect

TYPE_CHECKING = False  # typing would cost more than this module
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from qscan import tnef

MAX_DEPTH = 20
MAX_PARTS = 2000
MAX_BYTES = 1_000_000_000
CPU_SECONDS = 2
MEMORY_BYTES = 200_000_000
WALL_SECONDS = 10.0

NAMES = 64  # of one file, from all who found it
# Decompressed RTF of one blob. Outlook keeps pictures out of it; 8 MB take 0.4 s.
RTF_BYTES = 8_000_000
# Records of the child; the first item of each names its kind.
_KINDS = {
    "stage": (str,),
    "file": (str, int, str, str, list, str),
    "names": (str, list),
    "defect": (str, str, str),
    "own": (bool,),
    "library": (str, str),
}
# What the end of the child is called here.
_ENDS = {
    limited.CPU: "tnef-cpu-limit",
    limited.MEMORY: "tnef-memory-limit",
    limited.WALL: "tnef-wall-limit",
    limited.FLOOD: "limit-parts",
    limited.DIED: "tnef-child-died",
    limited.FAILED: "tnef-parser-error",
}
# With these the library would count to 2**32, or there is nothing for it to read.
_HOPELESS = ("tnef-count", "tnef-too-many-objects")
# What the reading says as a fact about the file is here a limit of ours.
_AS_LIMIT = {
    "tnef-nested-too-deep": "limit-depth",
    "tnef-too-many-objects": "limit-parts",
}


class Extracted:
    """A file out of a TNEF blob.

    ``file`` its path on disk, ``path`` where it was ("tnef/1", "tnef/1/tnef/2",
    "tnef/rtf"), ``names`` every name it carries, ``size`` bytes, ``sha256`` in hex,
    ``declared_type`` its MIME type if it says one, else "".
    """

    __slots__ = ("declared_type", "file", "names", "path", "sha256", "size")

    def __init__(
        self,
        file: str,
        names: list[str],
        size: int,
        path: str,
        declared_type: str,
        sha256: str,
    ) -> None:
        self.file = file
        self.names = names
        self.size = size
        self.path = path
        self.declared_type = declared_type
        self.sha256 = sha256


def unpack(
    fd: int,
    size: int,
    directory: str,
    prefix: str,
    *,
    max_depth: int = MAX_DEPTH,
    max_parts: int = MAX_PARTS,
    max_bytes: int = MAX_BYTES,
    cpu_seconds: int = CPU_SECONDS,
    memory_bytes: int = MEMORY_BYTES,
    wall_seconds: float = WALL_SECONDS,
) -> tuple[list[Extracted], list[Defect]]:
    """Unpack the ``size`` bytes of the file behind ``fd`` into ``directory``.

    Files are called ``<prefix>-o<N>`` (our reading) and ``<prefix>-t<N>`` (what only
    the library found). At most ``max_parts`` files and ``max_bytes`` bytes of them,
    ``max_depth`` levels of TNEF in TNEF. ``memory_bytes`` of address space, or HEADROOM
    more than this process has if that is larger. Raises OSError, and ``fdio.Stop`` when
    a signal ends us meanwhile; what was written by then stays in the directory.
    """
    report = _Report(directory, prefix)
    costs = limited.Costs(cpu_seconds, memory_bytes, wall_seconds, max_bytes)

    def work(pipe: int) -> None:
        _Out(pipe, directory, prefix, size, max_depth, max_parts, max_bytes).run()

    try:
        report.settle(*limited.run(fd, work, _KINDS, report.take, costs))
    finally:
        report.tidy()
    return report.files, report.defects


class _Report:
    """What the child says, taken record by record."""

    def __init__(self, directory: str, prefix: str) -> None:
        self.directory = directory
        self.prefix = prefix
        self.files: list[Extracted] = []
        self.by_file: dict[str, Extracted] = {}
        self.defects: list[Defect] = []
        self.stage = "start"
        self.harmless = False

    def take(self, kind: str, fields: list[Any]) -> bool:
        """One record; False when it is none."""
        if kind == "stage":
            self.stage = fields[0]
        elif kind == "file":
            file, size, digest, path, names, declared = fields
            if not self.is_ours(file) or file in self.by_file:
                return False
            one = Extracted(
                f"{self.directory}/{file}", names, size, path, declared, digest
            )
            self.by_file[file] = one
            self.files.append(one)
        elif kind == "names":
            known = self.by_file.get(fields[0])
            if known is None:
                return False
            for name in fields[1]:
                if name not in known.names and len(known.names) < NAMES:
                    known.names.append(name)
        elif kind == "defect":
            self.defects.append(Defect(*fields))
        elif kind == "own":
            self.harmless = fields[0]
        else:
            self.library_failed(*fields)
        return True

    def is_ours(self, file: str) -> bool:
        """Names are the child's to give only within its own pattern."""
        start = f"{self.prefix}-"
        rest = file[len(start) :]
        return (
            file.startswith(start)
            and rest[:1] in ("o", "t")
            and rest[1:].isascii()
            and rest[1:].isdigit()
        )

    def library_failed(self, code: str, detail: str) -> None:
        """When our own reading explained every byte, a failing library is no fact
        about the message: nothing can be lost."""
        if self.harmless:
            self.defects.append(
                Defect("tnef-library-error", "", f"{code}: {detail}"[:200])
            )
        else:
            self.defects.append(Defect(code, "", detail))

    def settle(self, end: str, detail: str) -> None:
        """After the child: say why it did not get to the end."""
        if end == limited.FINISHED:
            return
        code = _ENDS.get(end, "tnef-child-died")
        if self.stage == "library" and code != "limit-parts":
            self.library_failed(code, detail)
        else:
            self.defects.append(Defect(code, "", f"{detail} ({self.stage})"))

    def tidy(self) -> None:
        """Remove what the child began and did not report."""
        for letter in "ot":
            start = f"{self.prefix}-{letter}"
            number = sum(file.startswith(start) for file in self.by_file)
            while True:
                number += 1
                try:
                    posix.unlink(f"{self.directory}/{start}{number}")
                except OSError:
                    break  # the next one is not there


# From here on: the child.


class _Out:
    """The child's work: readings in, files and records out."""

    def __init__(
        self,
        pipe: int,
        directory: str,
        prefix: str,
        size: int,
        max_depth: int,
        max_parts: int,
        max_bytes: int,
    ) -> None:
        try:
            from _hashlib import openssl_sha256
        except ImportError:
            from hashlib import sha256 as openssl_sha256
        self.sha256 = openssl_sha256
        self.pipe = pipe
        self.directory = directory
        self.prefix = prefix
        self.size = size
        self.max_depth = max_depth
        self.parts_left = max_parts
        self.bytes_left = max_bytes
        self.numbers = {"o": 0, "t": 0}
        self.sizes: set[int] = set()
        self.stored: dict[tuple[int, bytes], str] = {}
        self.limited: set[str] = set()
        # path -> file, offset and length of what our reading has there
        self.own: dict[str, list[tuple[str, int, int]]] = {}

    def send(self, *record: object) -> None:
        _send(self.pipe, record)

    def read(self, offset: int, length: int) -> bytes:
        return fdio.pread_all(limited.DATA, length, offset)

    def run(self) -> None:
        from qscan import tnef

        self.send("stage", "own")
        reading = tnef.inspect(self.read, self.size, self.max_depth)
        hopeless = False
        for defect in reading.defects:
            code = _AS_LIMIT.get(defect.code, defect.code)
            self.send("defect", code, defect.where, defect.detail)
            if defect.code in _HOPELESS or (
                defect.code == "tnef-bad-signature" and defect.where == "offset 0"
            ):
                hopeless = True
        for attachment in reading.attachments:
            self.attachment(attachment)
        for body in reading.bodies:
            self.body(body)
        self.send("own", reading.harmless())
        if not hopeless and self.size:
            self.send("stage", "library")
            self.library(tnef.SIGNATURE)

    # Our own reading.

    def attachment(self, attachment: tnef.Attachment) -> None:
        named = False
        for offset, length, kind in attachment.spans:
            # The icon of a file, a property and stray bytes do not bear its name.
            of_it = kind in ("data", "binary", "object", "nested")
            named = named or of_it
            file = self.span(
                offset,
                length,
                attachment.path,
                attachment.names if of_it else [],
                "application/ms-tnef"
                if kind == "nested"
                else attachment.declared_type
                if of_it
                else "",
            )
            if file:
                places = self.own.setdefault(attachment.path, [])
                places.append((file, offset, length))
                if kind == "object":
                    # The library keeps the identifier that stands before it.
                    places.append((file, offset - 16, length + 16))
        if not named and attachment.names:
            self.span(0, 0, attachment.path, attachment.names, attachment.declared_type)

    def body(self, body: tnef.Body) -> None:
        from qscan import tnef

        if body.kind != "rtf":
            declared = "text/html" if body.kind == "html" else "text/plain"
            self.span(body.offset, body.length, body.path, [], declared)
            return
        limit = min(RTF_BYTES, self.bytes_left)
        odd: list[str] = []
        pieces = tnef.rtf(self.read, body.offset, body.length, limit, odd)
        self.store("o", pieces, body.path, [], "text/rtf")
        if "limit" in odd:
            self.limit("limit-expanded-bytes", f"{body.path} over {limit} bytes")
        elif odd:
            detail = f"{body.path}: {', '.join(odd)}"
            self.send("defect", "tnef-rtf", f"offset {body.offset}", detail)
        if odd:
            self.span(body.offset, body.length, body.path, [], "")

    def windows(self, offset: int, length: int) -> Iterable[bytes]:
        end = offset + length
        while offset < end:
            block = self.read(offset, min(fdio.WINDOW, end - offset))
            if not block:
                return
            yield block
            offset += len(block)

    def span(
        self, offset: int, length: int, path: str, names: list[str], declared: str
    ) -> str:
        """Store bytes of the blob: the file they are in, "" when over a limit."""
        if length in self.sizes:
            digest = self.sha256()
            for block in self.windows(offset, length):
                digest.update(block)
            known = self.stored.get((length, digest.digest()))
            if known is not None:
                self.more_names(known, names)
                return known
        if length > self.bytes_left:
            self.limit("limit-expanded-bytes", f"{path} has {length} bytes")
            return ""
        return self.store("o", self.windows(offset, length), path, names, declared)

    # The library's.

    def library(self, signature: bytes) -> None:
        enough = False
        try:
            enough = self.library_streams(signature)
        except MemoryError:
            pass  # its traceback holds the memory until this block is left
        if not enough:
            self.send("library", "tnef-memory-limit", "memory")

    def library_streams(self, signature: bytes) -> bool:
        """All streams that tnefparse finds, each by itself, with an explicit stack."""
        import logging
        import mmap

        logging.disable(100)
        parse = _library()
        blob = mmap.mmap(limited.DATA, self.size, access=mmap.ACCESS_READ)
        stack: list[tuple[Any, str, int]] = [(blob, "", 0)]
        failed = False
        while stack:
            data, path, depth = stack.pop()
            try:
                attachments = parse(memoryview(data), False).attachments
            except OSError:
                raise
            except MemoryError:
                raise
            # It has no exception class of its own and raises whatever Python does.
            except Exception as error:  # noqa: BLE001
                if not failed:
                    self.send("library", "tnef-parser-error", limited.describe(error))
                failed = True
                continue
            for number, one in enumerate(attachments, 1):
                where = f"{path}tnef/{number}"
                content = one.data
                if not isinstance(content, bytes):
                    continue
                self.library_attachment(content, where, _library_names(one))
                embedded = getattr(one, "embed", None)
                inner = None if embedded is None else embedded.data
                if inner is None and content.startswith(signature):
                    inner = content
                if inner is not None and depth < self.max_depth:
                    stack.append((inner, where + "/", depth + 1))
        return True

    def library_attachment(self, content: bytes, path: str, names: list[str]) -> None:
        places = self.own.get(path, [])
        for file, offset, length in places:
            if self.is_variant(content, offset, length):
                self.more_names(file, names)
                return
        if not content:
            if places:
                self.more_names(places[0][0], names)
                return
            if not names:
                return
        known = self.stored.get((len(content), self.sha256(content).digest()))
        if known is not None:
            self.more_names(known, names)
        elif len(content) > self.bytes_left:
            self.limit("limit-expanded-bytes", f"{path} has {len(content)} bytes")
        else:
            self.store("t", (content,), path, names, "")

    def is_variant(self, content: bytes, offset: int, length: int) -> bool:
        """True when ``content`` is this span but for what the library does to it: it
        takes off trailing NULs and adds up to three bytes of padding."""
        if len(content) > length + 3 or (length and not content):
            return False
        at = 0
        for block in self.windows(offset, length):
            piece = content[at : at + len(block)]
            if not block.startswith(piece) or block[len(piece) :].strip(b"\0"):
                return False
            at += len(block)
        return True

    # Files and records.

    def limit(self, code: str, detail: str) -> None:
        if code not in self.limited:
            self.limited.add(code)
            self.send("defect", code, "", detail)

    def more_names(self, file: str, names: list[str]) -> None:
        if names:
            self.send("names", file, names)

    def store(
        self,
        letter: str,
        blocks: Iterable[bytes],
        path: str,
        names: list[str],
        declared: str,
    ) -> str:
        """Write a file unless its bytes are there already: the file they are in."""
        if self.parts_left <= 0:
            self.limit("limit-parts", "too many files")
            return ""
        file = f"{self.prefix}-{letter}{self.numbers[letter] + 1}"
        place = f"{self.directory}/{file}"
        digest = self.sha256()
        size = 0
        fd = posix.open(place, fdio.O_NEW, 0o600)
        try:
            for block in blocks:
                digest.update(block)
                fdio.write_all(fd, block)
                size += len(block)
        finally:
            posix.close(fd)
        known = self.stored.get((size, digest.digest()))
        if known is not None:
            posix.unlink(place)
            self.more_names(known, names)
            return known
        self.numbers[letter] += 1
        self.parts_left -= 1
        self.bytes_left -= size
        self.sizes.add(size)
        self.stored[size, digest.digest()] = file
        self.send("file", file, size, digest.hexdigest(), path, names, declared)
        return file


def _library() -> Any:
    """tnefparse's parser, made linear. It copies the rest of the file for every object
    and recurses into embedded messages: here it gets views and leaves those to us."""
    module: Any = __import__("tnefparse.tnef", None, None, ("TNEF",))
    plain_object = module.TNEFObject
    plain_stream = module.TNEF

    def copy_data(self: Any, data: object, do_checksum: bool = False) -> None:
        plain_object.__init__(self, data, False)
        self.data = bytes(self.data)

    def keep_data(self: Any, data: bytes, do_checksum: bool = True) -> None:
        self.data = data

    module.TNEFObject = type("TNEFObject", (plain_object,), {"__init__": copy_data})
    module.TNEF = type("TNEF", (plain_stream,), {"__init__": keep_data})
    return plain_stream


def _library_names(attachment: Any) -> list[str]:
    """The names tnefparse has; reading them may raise what decoding raises."""
    names: list[str] = []
    for attribute in ("long_filename", "name", "_name"):
        try:
            name = getattr(attachment, attribute)
            if callable(name):
                name = name()
        except (ValueError, LookupError, TypeError, AttributeError):
            continue
        if isinstance(name, bytes):
            if names:
                continue
            name = name.decode("latin_1")
        if isinstance(name, str):
            name = name.strip("\0")[:512]
            if name and name not in names:
                names.append(name)
    return names
