# SPDX-License-Identifier: MIT
"""Opens one archive or document and everything inside it. Runs in the limited child.

Does: find the formats by content, take every member out, by our own reading (zip,
compressed files), libarchive's (the rest) or that of ``documents``; go on with what is
inside members. Never does: raise on content.
Raises: OSError when files cannot be written; MemoryError.
Limits: those of ``walk``.
"""

from __future__ import annotations

import posix

from qscan import fdio, limited, sniff
from qscan.archives import documents, formats, zipindex, zipmembers
from qscan.archives.streams import STREAMS as MOST
from qscan.archives.streams import Broken, Stream
from qscan.archives.walk import Bounds, Full, Job, Walk, first

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from qscan.archives.formats import Read

STREAMS = ("gzip", "bzip2", "xz", "lzma")
RAW = ("zstd", "lz4", "lzip", "compress")


def open_one(walk: Walk, job: Job) -> None:
    """Everything that this content is."""
    fd = limited.DATA
    if job.file is not None:
        fd = posix.open(job.file, fdio.O_READ)

    def read(offset: int, length: int) -> bytes:
        # What the file says of itself may be anything.
        length = min(length, job.size - offset)
        if offset < 0 or length <= 0:
            return b""
        return fdio.pread_all(fd, length, offset)

    try:
        for kind, offset in formats.formats(read, job.size):
            if kind == "zip":
                zipmembers.open_all(walk, job, read)
            elif kind in STREAMS:
                compressed(walk, job, read, kind)
            elif kind == "rar1":
                walk.note("archive-unsupported", job.path, "rar before 1.5")
            else:
                libraries(walk, job, read, kind, offset)
        inspect(walk, job, read)
    finally:
        if fd != limited.DATA:
            posix.close(fd)


def compressed(walk: Walk, job: Job, read: Read, kind: str) -> None:
    """One compressed file."""
    path = f"{job.path}/{kind}/1"
    walk.count(path)
    stream = Stream(read, 0, job.size, kind)
    content = walk.gather(stream, path)
    names = list(zipindex.texts([(raw, False) for raw in stream.names]))
    if stream.error:
        if not content.size and kind == "lzma":
            content.close(False)
            return  # those few bytes were no LZMA
        walk.note("archive-broken", job.path, f"{kind}: {stream.error}")
    elif stream.many:
        detail = f"{kind}: more than {MOST} streams"
        walk.note("limit-archive-members", job.path, detail)
    elif stream.used < job.size and content.stop is None:
        detail = f"{job.size - stream.used} bytes after"
        walk.note("archive-junk", job.path, detail)
    walk.keep(content, path, names + shorter(job.names), job.depth)


def libraries(walk: Walk, job: Job, read: Read, kind: str, offset: int) -> None:
    """A format that libarchive reads."""
    from qscan.archives import library

    def shifted(position: int, length: int) -> bytes:
        return read(offset + position, length) if position >= 0 else b""

    number = 0
    archive = None
    try:
        archive = library.Archive(shifted, job.size - offset, kind)
        for entry in archive:
            if entry.kind == "directory":
                walk.count(job.path)
                continue
            number += 1
            path = f"{job.path}/{kind}/{number}"
            walk.count(path)
            if kind in RAW:
                entry.names = shorter(job.names)
            if entry.encrypted:
                walk.note("archive-encrypted", job.path, first(entry.names))
                walk.unread(path, entry.names, entry.size, "encrypted")
            elif entry.kind == "file":
                content = walk.gather(entry.pieces(), path)
                if isinstance(content.stop, Broken):
                    broken(walk, job, kind, content.stop)
                walk.keep(content, path, entry.names, job.depth)
            else:
                walk.unread(path, entry.names, 0, "covered")
        if archive.has_encrypted():
            walk.note("archive-encrypted", job.path, kind)
    except Broken as stop:
        if number or not offset:
            if archive is not None and archive.has_encrypted():
                stop.encrypted = True
            broken(walk, job, kind, stop)
        else:
            # Some program that knows the signature, or an archive that is none.
            detail = f"what begins like {kind} at {offset}"
            walk.note("archive-junk", job.path, detail)
    finally:
        if archive is not None:
            archive.close()


def broken(walk: Walk, job: Job, kind: str, stop: Broken) -> None:
    """Why the library could not go on."""
    code = "archive-broken"
    if stop.encrypted:
        code = "archive-encrypted"
    elif "support" in stop.text.lower():
        code = "archive-unsupported"
    walk.note(code, job.path, f"{kind}: {stop.text}")


def inspect(walk: Walk, job: Job, read: Read) -> None:
    """What the readers of documents find."""
    head = read(0, sniff.HEAD)
    for module in documents.readers_for(sniff.detect(head), head):
        kind = module.__name__.rpartition(".")[2]
        facts = module.inspect(read, job.size)
        walk.facts(job, facts.facts)
        for number, member in enumerate(facts.members, 1):
            path = f"{job.path}/{kind}/{number}"
            walk.count(path)
            if not member.has_content:
                scan = "encrypted" if member.encrypted else "unread"
                walk.unread(path, member.names, member.size, scan)
                continue
            content = walk.gather(member.pieces(read), path)
            mail = member.kind == "mail"
            walk.keep(content, path, member.names, job.depth, mail=mail)


def shorter(names: Iterable[str]) -> list[str]:
    """Names of a compressed file without the last extension."""
    out = []
    for name in names:
        base, _, extension = name.rpartition(".")
        if base:
            low = extension.lower()
            if low in ("tgz", "tbz", "tbz2", "txz", "tlz", "tzst", "taz"):
                base += ".tar"
            out.append(base)
    return out


def run(
    pipe: int,
    item: tuple[int, str, list[str]],
    depth: int,
    place: tuple[str, str],
    bounds: tuple[int, int, int, int],
    passwords: list[str],
) -> None:
    """Open the data of the limited child: ``item`` size, path and names; ``depth`` of
    what is in it; ``place`` directory and prefix of files; ``bounds`` those of ``walk``
    in their order."""
    size, path, names = item
    walk = Walk(pipe, *place, Bounds(*bounds), passwords)
    walk.begin(Job(None, size, path, names, depth))
    try:
        while walk.jobs:
            open_one(walk, walk.jobs.pop())
    except Full as full:
        walk.note(*full.fact)
