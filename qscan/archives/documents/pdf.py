# SPDX-License-Identifier: MIT
"""PDF: scripts, actions, embedded files, encryption (ISO 32000).

Does: find the names that matter wherever they stand, also with ``#xx`` escapes, in
object streams, in older revisions and in what no cross reference knows; read file
specifications and the streams they point to. Members: embedded files with their names.
Never does: follow the cross reference table (readers rebuild it when it is wrong, so
that what it hides is visible to somebody), run scripts, decrypt.
Limits: CANDIDATES objects are read, OBJECT bytes of each; ``pdfsyntax`` has more.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from qscan.archives.documents import pdfcrypt, pdfsyntax, window
from qscan.archives.documents.facts import DECODED, MEMBERS, Facts, Member

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from qscan.archives.documents.facts import Read
    from qscan.archives.documents.pdfsyntax import Reader

OBJECT = 65536
NEAR = 2048
CANDIDATES = 50_000
STREAM_OF_OBJECTS = 32 * 1024 * 1024  # bytes decoded of one

S = pdfsyntax.SPACE
REFERENCE = rb"\d{1,10}[" + S + rb"]{1,20}\d{1,10}[" + S + rb"]{1,20}R"
NO_REGULAR = rb"(?![^" + S + rb"/<>\[\](){}%])"


def escaped(name: str) -> bytes:
    """A pattern for a name with any of its characters written as ``#xx``."""
    out = b""
    for byte in name.encode("ascii"):
        digits = b"".join(
            b"[%c%c]" % (d, d - 32) if d > 96 else b"%c" % d for d in b"%02x" % byte
        )
        out += b"(?:%c|#%s)" % (byte, digits)
    return out


def key(group: str, name: str, follows: bytes = b"") -> bytes:
    """A named group for a name, ``follows`` what must stand behind it."""
    pattern = escaped(name) + NO_REGULAR
    if follows:
        pattern += rb"(?=[" + S + rb"]{0,60}(?:" + follows + rb"))"
    return b"(?P<%s>%s)" % (group.encode("ascii"), pattern)


KEY = re.compile(
    b"/(?=[JLOAERXFI#])(?:"
    + b"|".join(
        (
            key("javascript", "JavaScript"),
            key("script", "JS", rb"\(|<|" + REFERENCE),
            key("launch", "Launch"),
            key("open", "OpenAction"),
            key("additional", "AA", rb"<<|" + REFERENCE),
            key("files", "EmbeddedFiles"),
            key("file", "EmbeddedFile"),
            key("specification", "EF", rb"<<|" + REFERENCE),
            key("xfa", "XFA", rb"\[|" + REFERENCE),
            key("media", "RichMedia"),
            key("encrypt", "Encrypt", rb"<<|" + REFERENCE),
            key("objects", "ObjStm"),
            key(
                "first",
                "First",
                rb"\d{1,10}"
                + NO_REGULAR
                + rb"(?!["
                + S
                + rb"]{1,20}\d{1,10}["
                + S
                + rb"]{1,20}R)",
            ),
            key("identity", "ID", rb"\["),
        )
    )
    + b")"
)
NUMBERED = re.compile(
    rb"(?<!\d)(\d{1,10})[" + S + rb"]{1,20}\d{1,10}[" + S + rb"]{0,20}obj(?![a-z])"
)
STREAM = re.compile(rb"[" + S + rb"]{0,20}stream(\r\n|\n|\r)?")
END = re.compile(rb"endstream")
END_HERE = re.compile(rb"[" + S + rb"]{0,20}endstream")
PAIR = re.compile(rb"(\d{1,10})[" + S + rb"]{1,20}(\d{1,10})[" + S + rb"]{0,20}")

#: Where a file specification names its file (ISO 32000-1 table 44).
NAME_KEYS = (b"UF", b"F", b"Desc", b"DOS", b"Unix", b"Mac")
FILE_KEYS = (b"UF", b"F", b"DOS", b"Unix", b"Mac")


def inspect(read: Read, size: int) -> Facts:
    """The facts and embedded files of one PDF."""
    facts = Facts()
    facts.media_type = "application/pdf"
    document = Document(read, size, facts)
    document.scan()
    document.encryption()
    document.objects()
    document.files()
    return facts


def opens(encryption: dict[bytes, Any], identities: list[bytes]) -> bool:
    """True when this opens without a password, with any of the file's identities."""
    revision = encryption.get(b"R")
    if isinstance(revision, int) and revision > 4:  # they need no identity
        identities = identities[:1]
    return any(pdfcrypt.opens(encryption, identity) for identity in identities)


class Document:
    """One PDF while it is read."""

    __slots__ = (
        "candidates",
        "encrypted",
        "encryptions",
        "ends",
        "facts",
        "identities",
        "names",
        "near",
        "placed",
        "read",
        "reader",
        "size",
        "typed",
    )

    def __init__(self, read: Read, size: int, facts: Facts) -> None:
        self.read = read
        self.size = size
        self.facts = facts
        self.reader: Reader = pdfsyntax.Reader()
        self.encrypted = False
        # Places of names whose objects are read later, with the name of the group.
        self.candidates: list[tuple[int, str]] = []
        self.encryptions: list[int] = []
        self.identities: list[int] = []
        # Names by the number of the stream that a file specification points to.
        self.names: dict[int, list[str]] = {}
        self.typed: list[int] = []  # objects that say themselves they are files
        self.placed: set[int] = set()
        self.near = (0, -1)  # a place, and where its object begins
        self.ends = (0, 0)  # from the first place on, "endstream" stands at the second

    def scan(self) -> None:
        """Find the names in the file as it is."""
        for offset, match in window.search(self.read, KEY, 0, self.size):
            group = str(match.lastgroup)
            self.note(group, offset)
            if group == "encrypt":
                self.encryptions.append(offset + match.end() - match.start())
                del self.encryptions[20:]
            elif group == "identity":
                self.identities.append(offset + match.end() - match.start())
                del self.identities[:-20]
            elif group in ("specification", "launch", "objects", "first", "file"):
                if len(self.candidates) >= CANDIDATES:
                    self.facts.note("limit-parts", "PDF: objects")
                    return
                self.candidates.append((offset, group))

    def note(self, group: str, offset: int) -> None:
        """The fact that a name is."""
        facts = self.facts
        if group in ("javascript", "script"):
            facts.note("pdf-javascript", "", offset)
        elif group == "launch":
            facts.note("pdf-launch", "", offset)
        elif group == "open":
            facts.note("pdf-open-action", "OpenAction", offset)
        elif group == "additional":
            facts.note("pdf-open-action", "AA", offset)
        elif group in ("files", "file", "specification"):
            facts.note("pdf-embedded-file", "", offset)
        elif group == "xfa":
            facts.note("pdf-xfa", "", offset)
        elif group == "media":
            facts.note("pdf-rich-media", "", offset)

    def encryption(self) -> None:
        """Whether it is encrypted, and opens without a password all the same."""
        if not self.encryptions:
            return
        self.encrypted = True
        identities = [b""]
        for at in self.identities:
            value, _ = self.reader.value(self.read(at, 4096))
            if isinstance(value, list) and value and isinstance(value[0], bytes):
                identities.append(value[0])
        wanted: set[int] = set()
        dictionaries: list[dict[bytes, Any]] = []
        for at in self.encryptions:
            value, _ = self.value(at)
            if isinstance(value, pdfsyntax.Reference):
                wanted.add(value.number)
            elif isinstance(value, dict):
                dictionaries.append(value)
        for _, value, _ in self.numbered(wanted):
            if isinstance(value, dict):
                dictionaries.append(value)
        del dictionaries[4:]
        if dictionaries and all(opens(one, identities) for one in dictionaries):
            self.facts.note("pdf-restricted", "", self.encryptions[0])
        else:
            self.facts.note("document-encrypted", "PDF", self.encryptions[0])

    def numbered(self, wanted: set[int]) -> Iterator[tuple[int, Any, int]]:
        """(number, value, place behind it) of these objects in every revision."""
        if not wanted:
            return
        count = 0
        for offset, match in window.search(self.read, NUMBERED, 0, self.size):
            if int(match[1]) in wanted:
                count += 1
                if count > CANDIDATES:
                    self.facts.note("limit-parts", "PDF: objects")
                    return
                start = offset + match.end() - match.start()
                yield int(match[1]), *self.value(start)

    def value(self, start: int) -> tuple[Any, int]:
        """The object at this place and where it ends."""
        for length in (NEAR, OBJECT):
            data = self.read(start, length)
            value, end = self.reader.value(data)
            if end + 16 < len(data) or len(data) < length:
                break
        return value, start + end

    def start_of(self, offset: int) -> int:
        """Where the object that contains this place begins; -1 if that is not near.
        Places are asked for in their order."""
        before, start = self.near
        begin = max(0, before - 2, offset - OBJECT)
        found = self.read(begin, offset - begin).rfind(b"obj")
        if found >= 0:
            start = begin + found + 3
        elif begin != max(0, before - 2):
            start = -1
        self.near = (offset, start)
        return start

    def objects(self) -> None:
        """Read the objects in which names were found, and streams of objects."""
        seen: set[int] = set()
        for offset, group in self.candidates:
            start = self.start_of(offset)
            if start < 0 or start in seen:
                continue
            seen.add(start)
            value, end = self.value(start)
            if isinstance(value, dict) and (
                value.get(b"Type") == b"ObjStm" or isinstance(value.get(b"First"), int)
            ):
                self.inner(value, end)
                continue
            if group == "file":
                self.typed.append(start)
            self.visit(value, offset)
        if self.reader.tokens <= 0:
            self.facts.note("limit-expanded-bytes", "PDF: objects")

    def content(self, dictionary: dict[bytes, Any], at: int) -> tuple[int, int]:
        """(offset, length) of the stream behind a dictionary that ends at ``at``;
        (-1, 0) when there is none."""
        match = STREAM.match(self.read(at, 64))
        if match is None:
            return -1, 0
        start = at + match.end()
        length = dictionary.get(b"Length")
        if isinstance(length, int) and 0 <= length <= self.size - start:
            after = self.read(start + length, 64)
            if END_HERE.match(after):
                return start, length
        known, end = self.ends
        if not known <= start <= end:
            end = self.size
            for found, _ in window.search(self.read, END, start, self.size):
                end = found
                break
            self.ends = (start, end)
        return start, end - start

    def inner(self, dictionary: dict[bytes, Any], at: int) -> None:
        """Look through a stream of objects (ISO 32000-1 section 7.5.7)."""
        facts = self.facts
        start, length = self.content(dictionary, at)
        if start < 0 or self.encrypted:
            return
        length = min(length, STREAM_OF_OBJECTS)
        if not facts.work(length):
            return
        raw = self.read(start, length)
        data = pdfsyntax.decode(raw, dictionary, STREAM_OF_OBJECTS, facts.work)
        if data is None:
            if dictionary.get(b"Type") == b"ObjStm" and length:
                facts.note("document-broken", "PDF: stream of objects", start)
            return
        places: list[int] | None = None
        done = -1
        for match in KEY.finditer(data):
            group = str(match.lastgroup)
            if group in ("encrypt", "objects", "first", "identity"):
                continue
            self.note(group, start)
            if group not in ("specification", "launch"):
                continue
            if places is None:
                places = self.places(dictionary, data)
            index = bisect_right(places, match.start()) - 1
            place = places[index] if index >= 0 else 0
            if place != done:
                done = place
                self.visit(self.reader.value(data, place)[0], start)

    def places(self, dictionary: dict[bytes, Any], data: bytes) -> list[int]:
        """Where the objects of a stream of objects begin."""
        first = dictionary.get(b"First")
        first = first if isinstance(first, int) else 0
        out: list[int] = []
        match = PAIR.match(data, len(data) - len(data.lstrip(pdfsyntax.SPACE_BYTES)))
        while match is not None and match.start() < first:
            out.append(first + int(match[2]))
            match = PAIR.match(data, match.end())
        return sorted(out)

    def visit(self, value: Any, offset: int) -> None:
        """File specifications and programs to launch anywhere in an object."""
        todo = [value]
        while todo:
            value = todo.pop()
            if isinstance(value, list):
                todo += value
            if not isinstance(value, dict):
                continue
            todo += value.values()
            if value.get(b"S") == b"Launch":
                self.launch(value, offset)
            files = value.get(b"EF")
            if isinstance(files, dict):
                self.specification(value, files)

    def launch(self, action: dict[bytes, Any], offset: int) -> None:
        """What a launch action starts (ISO 32000-1 section 12.6.4.5)."""
        for holder in (action, action.get(b"Win")):
            file = holder.get(b"F") if isinstance(holder, dict) else None
            if isinstance(file, dict):
                file = file.get(b"UF", file.get(b"F"))
            if isinstance(file, bytes) and not self.encrypted:
                self.facts.note("pdf-launch", pdfsyntax.text(file)[0], offset)

    def specification(
        self, specification: dict[bytes, Any], files: dict[bytes, Any]
    ) -> None:
        """The names of a file, kept for each stream that may be its content."""
        names: list[str] = []
        if not self.encrypted:
            for name in NAME_KEYS:
                raw = specification.get(name)
                if isinstance(raw, bytes):
                    names += pdfsyntax.text(raw)
        for name in FILE_KEYS:
            reference = files.get(name)
            if isinstance(reference, pdfsyntax.Reference):
                if len(self.names) >= MEMBERS:
                    self.facts.note("limit-parts", "PDF: files")
                    return
                known = self.names.setdefault(reference.number, [])
                known += [name for name in names if name not in known]
                del known[64:]

    def files(self) -> None:
        """The embedded files: what specifications point to, then what nobody names."""
        found: set[int] = set()
        for number, value, end in self.numbered(set(self.names)):
            if isinstance(value, dict):
                found.add(number)
                self.file(self.names[number], value, end, f"object {number}")
        for start in self.typed:
            value, end = self.value(start)
            if isinstance(value, dict):
                self.file([], value, end, f"offset {start}")
        for number, names in self.names.items():
            if number not in found and names:
                self.facts.add(Member(names, "attachment", where=f"object {number}"))

    def file(
        self, names: list[str], dictionary: dict[bytes, Any], at: int, where: str
    ) -> None:
        """Keep one embedded file."""
        facts = self.facts
        start, length = self.content(dictionary, at)
        if start < 0 or start in self.placed:
            return
        self.placed.add(start)
        if names:
            facts.note("pdf-embedded-file", names[0], start)
        if self.encrypted:
            member = Member(names, "attachment", where=where)
            member.encrypted = True
            facts.add(member)
            return
        if not pdfsyntax.filters(dictionary):
            facts.add(Member(names, "attachment", [(start, length)], where=where))
            return
        if not facts.work(length):
            return
        raw = self.read(start, length)
        data = pdfsyntax.decode(raw, dictionary, DECODED + 1, facts.work)
        if data is None:
            facts.note("document-broken", "PDF: embedded file", start)
            facts.add(Member(names, "attachment", [(start, length)], where=where))
        elif not facts.add(Member(names, "attachment", data=data, where=where)):
            facts.add(Member(names, "attachment", where=where))
