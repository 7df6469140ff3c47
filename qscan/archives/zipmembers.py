# SPDX-License-Identifier: MIT
"""The members of a zip, decompressed and checked against what the zip says of them.

Does: read every member in every way its headers call for, check sizes and checksums,
look behind the end of compressed data, try passwords. Never does: raise on content.
Runs in the limited child.
Limits: those of ``walk``; compressed bytes read are at most READINGS times the
file, however members overlap.
"""

from __future__ import annotations

from qscan.archives import zipindex
from qscan.archives.streams import Broken, Stream
from qscan.archives.walk import COVERED_BYTES, COVERED_MEMBERS, NAME, Full, first

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qscan.archives.formats import Read
    from qscan.archives.walk import Job, Walk

# Decompressed by us; what clamd does besides.
OURS = ("stored", "deflate", "bzip2", "zip-lzma", "xz")
CLAMD = ("stored", "deflate", "bzip2")
ONLY_CLAMD = ("shrink", "implode", "deflate64")
READINGS = 4
PASSES = 8  # readings of the whole zip with one password each
SAMPLE = 8  # members that passwords are tested with
# What makes a package that a reader of documents knows.
PACKAGES = ("[content_types].xml", "meta-inf/manifest.xml", "mimetype")


def open_all(walk: Walk, job: Job, read: Read) -> None:
    """Report all members of the zip in ``job``."""
    _Open(walk, job, read).run()


class _Open:
    """One zip."""

    def __init__(self, walk: Walk, job: Job, read: Read) -> None:
        self.walk = walk
        self.job = job
        self.read = read
        self.zip = zipindex.Zip(read, job.size, walk.bounds.members - walk.members + 1)
        # A file that begins otherwise may have such bytes by chance.
        self.certain = read(0, 2) == b"PK"
        self.number = 0
        self.budget = READINGS * job.size + 65536
        self.found: dict[str, zipindex.Entry] = {}
        self.locked: list[tuple[zipindex.Entry, str, list[str]]] = []
        self.covered = False
        self.facts: list[tuple[str, str]] = []

    def run(self) -> None:
        self.zip.inspect()
        self.certain = self.certain or bool(self.zip.directories)
        declared = sum(max(0, one.ways[0].size) for one in self.zip.entries)
        self.covered = (
            not any(code != "archive-duplicate-name" for code, _ in self.zip.notes)
            and declared <= COVERED_BYTES
            and len(self.zip.entries) <= COVERED_MEMBERS
        )
        try:
            # What is found behind the data of a member comes on top.
            for entry in self.zip.entries:
                self.entry(entry)
            if self.locked:
                self.unlock()
            self.package()
        finally:
            if self.certain or self.number:
                for code, detail in self.zip.notes + self.facts:
                    self.walk.note(code, self.job.path, detail)

    def note(self, code: str, detail: str) -> None:
        self.facts.append((code, detail))

    def entry(self, entry: zipindex.Entry) -> None:
        """One member, in all the ways to read it."""
        if entry.is_directory():
            return
        names = [name[:NAME] for name in zipindex.texts(entry.names)]
        number = self.number + 1
        path = f"{self.job.path}/zip/{number}"
        for way in entry.ways:
            self.walk.count(path)
            if way.encrypted:
                self.locked.append((entry, path, names))
                self.number = number
            elif way.method not in OURS:
                self.foreign(entry, way, path, names)
                self.number = number
            elif self.content(entry, way, path, names):
                self.number = number
            path += "="
        for name in names:
            self.found.setdefault(name, entry)

    def content(
        self, entry: zipindex.Entry, way: zipindex.Way, path: str, names: list[str]
    ) -> bool:
        """Decompress and check; False when this was no member at all."""
        if self.budget <= 0:
            detail = f"members read {READINGS} times over"
            raise Full("limit-archive-ratio", path, detail)
        stream = Stream(self.read, way.start, max(0, way.length), way.method)
        content = self.walk.gather(stream, path)
        self.budget -= stream.used
        odd = entry.hidden or len(entry.ways) > 1
        shown = first(names)[:80]
        wrong = stream.error
        if not wrong and content.stop is None:
            if way.size >= 0 and content.size != way.size:
                wrong = f"{content.size} bytes, not {way.size}"
            elif way.crc >= 0 and content.crc != way.crc:
                wrong = "checksum"
        if wrong:
            odd = True
            listed = bool(self.zip.directories) or not self.certain
            if entry.hidden and listed and (stream.error or not self.certain):
                content.close(False)
                if self.certain:
                    self.note(
                        "archive-junk", f"a local header without content: {shown}"
                    )
                return False
            if stream.error or wrong == "checksum":
                self.note("archive-broken", f"{wrong}: {shown}")
            else:
                self.note("archive-inconsistent", f"{wrong}: {shown}")
        if entry.hidden and self.zip.directories:
            self.note("archive-inconsistent", f"not in the directory: {shown}")
        covered = self.covered and not odd and way.method in CLAMD
        if stream.ended and not entry.hidden and stream.used < way.length:
            covered = False
            self.zip.beyond(entry, way.start + stream.used)
        self.walk.keep(content, path, names, self.job.depth, covered)
        return True

    def foreign(
        self, entry: zipindex.Entry, way: zipindex.Way, path: str, names: list[str]
    ) -> None:
        """A compression that is not ours: libarchive's, clamd's or nobody's."""
        if way.method in ONLY_CLAMD and not entry.hidden:
            self.note("archive-method", f"{way.method}: {first(names)[:80]}")
            self.walk.unread(path, names, way.size, "covered")
            return
        if way.method in ("zstd", "ppmd") and self.borrowed(way, path, names):
            return
        self.note("archive-unsupported", f"{way.method}: {first(names)[:80]}")
        self.walk.unread(path, names, way.size)

    def borrowed(self, way: zipindex.Way, path: str, names: list[str]) -> bool:
        """Have libarchive read one member; False when it cannot."""
        from qscan.archives import library

        def start(position: int, length: int) -> bytes:
            left = max(0, way.length - position)
            return self.read(way.start + position, min(length, left))

        archive = None
        try:
            if way.method == "zstd":
                archive = library.Archive(start, max(0, way.length), "zstd")
            else:
                archive = library.Archive(self.read, self.job.size, "zip")
            for entry in archive:
                if way.method != "zstd" and not set(entry.names) & set(names):
                    continue
                content = self.walk.gather(entry.pieces(), path)
                if isinstance(content.stop, Broken) or (
                    way.crc >= 0 and content.stop is None and content.crc != way.crc
                ):
                    content.close(False)
                    return False
                self.walk.keep(content, path, names, self.job.depth)
                return True
        except Broken:
            return False
        finally:
            if archive is not None:
                archive.close()
        return False

    # -- passwords ------------------------------------------------------------------

    def unlock(self) -> None:
        """Try the passwords of the message; what stays locked is reported."""
        from qscan.archives import passwords

        # Wrong ones seem right for some members, the right one for all of its own.
        sample = self.locked[:SAMPLE]
        fitting: list[tuple[int, bytes]] = []
        for password in self.walk.passwords:
            raw = password.encode("utf-8")
            count = sum(passwords.fits(raw, self.zip, one[0]) for one in sample)
            if count:
                fitting.append((count, raw))
        fitting.sort(key=lambda one: -one[0])
        for _, raw in fitting[:PASSES]:
            if self.locked:
                self.try_password(raw)
        for entry, path, names in self.locked:
            self.note("archive-encrypted", first(names)[:80])
            self.walk.unread(path, names, entry.ways[0].size, "encrypted")

    def try_password(self, password: bytes) -> None:
        """Decrypt the members that a password may open, by libarchive."""
        from qscan.archives import library

        archive = None
        try:
            archive = library.Archive(self.read, self.job.size, "zip", (password,))
            for entry in archive:
                for one in self.locked if entry.encrypted else ():
                    if set(entry.names) & set(one[2]):
                        content = self.walk.gather(entry.pieces(), one[1])
                        if isinstance(content.stop, Broken):
                            content.close(False)
                            break
                        self.locked.remove(one)
                        self.note("archive-decrypted", first(one[2])[:80])
                        self.walk.keep(content, one[1], one[2], self.job.depth)
                        break
        except Broken:
            return
        finally:
            if archive is not None:
                archive.close()

    # -- packages -------------------------------------------------------------------

    def package(self) -> None:
        """OOXML and ODF: facts about the document that this zip is."""
        if not any(name.lower().strip("/\\") in PACKAGES for name in self.found):
            return
        from qscan.archives.documents import ooxml

        facts = ooxml.inspect_names(list(self.found), self.get)
        self.walk.facts(self.job, facts.facts)

    def get(self, name: str, limit: int) -> bytes:
        """The first ``limit`` bytes of a member, b"" when it cannot be read."""
        entry = self.found.get(name)
        if entry is None:
            return b""
        way = entry.ways[0]
        if way.encrypted or way.method not in OURS:
            return b""
        out = bytearray()
        stream = Stream(self.read, way.start, max(0, way.length), way.method)
        for block in stream:
            out += block
            if len(out) >= limit:
                break
        self.budget -= stream.used
        return bytes(out[:limit])
