# SPDX-License-Identifier: MIT
"""OLE documents: Word, Excel and PowerPoint before 2007, Outlook messages, MSI.

Does: say of a compound file (``cfb``) whether it has macros (MS-OVBA, Excel 4 sheets),
is encrypted (MS-OFFCRYPTO, MS-DOC, MS-XLS, MS-PPT), embeds objects, points elsewhere.
Members: embedded files, attachments of an Outlook message (MS-OXMSG) and whatever
stream is a file of its own.
Never does: decompress macros, follow links, judge.
Limits: STEPS records of one document; names of an object stand in its first
``embedded.HEAD`` bytes.
"""

from __future__ import annotations

import re
import zlib

from qscan import sniff
from qscan.archives.documents import cfb, embedded
from qscan.archives.documents.facts import DECODED, Facts, Member

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from qscan.archives.documents.cfb import Entry, File, Stream
    from qscan.archives.documents.facts import Read

STEPS = 500_000
WINDOW = 1 << 18
LINK = 4096  # bytes of a stream of monikers that are looked at

# Class identifiers in the byte order of the file.
CLASSES = {
    "0002ce02-0000-0000-c000-000000000046": ("equation", "Equation.3"),
    "00021700-0000-0000-c000-000000000046": ("equation", "Equation.2"),
    "00000300-0000-0000-c000-000000000046": ("link", "OLE2Link"),
    "79eac9e0-baf9-11ce-8c82-00aa004ba90b": ("link", "URL moniker"),
    "06290bd3-48aa-11d2-8432-006008c3fbfc": ("link", "script moniker"),
    "000c1084-0000-0000-c000-000000000046": ("installer", "MSI"),
    "000c1086-0000-0000-c000-000000000046": ("installer", "MSP"),
    "000c1082-0000-0000-c000-000000000046": ("installer", "MST"),
    "8856f961-340a-11d0-a96b-00c04fd705a2": ("activex", "Shell.Explorer"),
    "d27cdb6e-ae6d-11cf-96b8-444553540000": ("activex", "Flash"),
    "d7053240-ce69-11cd-a777-00dd01143c57": ("activex", "Forms.CommandButton"),
    "bdd1f04b-858b-11d1-b16a-00c0f0283628": ("activex", "MSComctlLib.ListView"),
    "996bf5e0-8044-4650-adeb-0b013914e99c": ("activex", "MSComctlLib.ListView.2"),
    "0003000c-0000-0000-c000-000000000046": ("package", "Package"),
    "f20da720-c02f-11ce-927b-0800095ae340": ("package", "Package"),
}

#: What the streams of a root say about the whole.
KINDS = (
    ("worddocument", "application/msword"),
    ("workbook", "application/vnd.ms-excel"),
    ("book", "application/vnd.ms-excel"),
    ("powerpoint document", "application/vnd.ms-powerpoint"),
    ("visiodocument", "application/vnd.visio"),
    ("__properties_version1.0", "application/vnd.ms-outlook"),
)
#: Types by content that are files of their own wherever they stand.
NO_FILES = frozenset(("", "application/octet-stream", "text/plain", "text/xml"))
PICTURES = ("image/", "audio/")


MONIKERS = (
    (bytes.fromhex("e0c9ea79f9bace118c8200aa004ba90b"), "URL moniker"),
    (bytes.fromhex("d30b2906aa48d2118432006008c3fbfc"), "script moniker"),
    (bytes.fromhex("0303000000000000c000000000000046"), "file moniker"),
)
ADDRESS = re.compile(
    rb"(?:h\0?t\0?t\0?p|f\0?t\0?p|f\0?i\0?l\0?e|\\\0?\\|[a-z]\0?:\0?\\)"
    rb"[\x20-\x7e\0]{4,600}",
    re.IGNORECASE,
)
# A field of Word begins with 0x13 (MS-DOC 2.8.25), in text of one or two bytes.
DDE = re.compile(rb"\x13 {0,20}DDE|\x13\0(?: \0){0,20}D\0D\0E", re.IGNORECASE)

# MS-XLS 2.4
BOF, EOF, FILEPASS, BOUNDSHEET = 0x809, 0x0A, 0x2F, 0x85
MACRO_SHEET = 1
MACRO_SUBSTREAM = 0x40
# MS-PPT 2.13.24
PPT_CONTAINERS = (1000, 2000, 1033, 0x03FF)  # document, its lists, VBAInfo
VBA_INFO, OLE_OBJECT, CRYPT_SESSION = 0x0400, 0x1011, 0x2F14
ENCRYPTED_TOKEN = 0xF3D1C4DF
# MS-OXMSG 2.2.2
ATTACHMENT = "__attach_version1.0_#"
PROPERTY = "__substg1.0_"
NAME_PROPERTIES = ("3707", "3704", "3001")
DATA_PROPERTY = "3701"

MSI_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._"


def inspect(read: Read, size: int) -> Facts:
    """The facts and members of one compound file."""
    facts = Facts()
    file = cfb.File(read, size, facts)
    Reader(file, facts).walk()
    return facts


class Reader:
    """Goes through the directory once, entry by entry."""

    __slots__ = ("attachments", "encrypted", "entries", "facts", "file", "names")

    def __init__(self, file: File, facts: Facts) -> None:
        self.file = file
        self.facts = facts
        self.entries = file.entries
        self.encrypted = False
        self.names: dict[int, list[str]] = {}
        self.attachments: set[int] = set()

    def walk(self) -> None:
        """Every storage and stream; what the names of a message are comes first."""
        roots = {e.name.lower() for e in self.entries if e.parent == 0}
        for name, media_type in KINDS:
            if name in roots:
                self.facts.media_type = media_type
                break
        if "encryptedpackage" in roots:
            self.encrypted = True
            self.facts.note("document-encrypted", "EncryptedPackage")
        if "current user" in roots:
            self.current_user()
        for index, entry in enumerate(self.entries):
            if entry.kind == cfb.STREAM and entry.name.startswith(PROPERTY):
                self.property(index, entry)
        for index, entry in enumerate(self.entries):
            if entry.kind in (cfb.STORAGE, cfb.ROOT):
                self.storage(index, entry)
            elif entry.kind == cfb.STREAM:
                self.stream(index, entry)
        for parent, names in self.names.items():
            if parent not in self.attachments:
                # A message in a message: what is in it was seen on the way.
                self.facts.add(Member(names, "attachment", where=self.where(parent)))
        if not self.facts.media_type and "document-installer" in self.facts.codes:
            self.facts.media_type = "application/x-msi"

    def where(self, index: int) -> str:
        """The path of an entry for people."""
        return "/".join(name.lstrip("\x01\x03\x05") for name in self.file.path(index))

    def storage(self, index: int, entry: Entry) -> None:
        """What the class and name of a storage say."""
        facts = self.facts
        sort, name = CLASSES.get(entry.clsid, ("", ""))
        if sort == "equation":
            facts.note("document-equation", name)
        elif sort == "link":
            facts.note("document-external-link", name)
        elif sort == "installer":
            facts.note("document-installer", name)
        elif sort == "activex":
            facts.note("document-activex", name)
        low = entry.name.lower()
        if low in ("vba", "macros", "_vba_project_cur"):
            facts.note("document-macros", f"storage {self.where(index)}")
        above = self.entries[entry.parent].name.lower() if entry.parent > 0 else ""
        if above == "objectpool" or (low.startswith("mbd") and len(low) == 11):
            facts.note("document-embedded-object", name or entry.clsid or entry.name)

    def property(self, index: int, entry: Entry) -> None:
        """A name of an attachment of a message."""
        tag = entry.name[len(PROPERTY) :].upper()
        if tag[:4] not in NAME_PROPERTIES or entry.parent < 0:
            return
        if not self.entries[entry.parent].name.startswith(ATTACHMENT):
            return
        raw = self.file.stream(index).read(0, 1024)
        names = self.names.setdefault(entry.parent, [])
        if tag[4:] == "001F":
            new = [raw.decode("utf-16-le", "replace").partition("\0")[0]]
        else:
            new = embedded.text(raw.partition(b"\0")[0])
        names[:] = new + names if tag[:4] == NAME_PROPERTIES[0] else names + new

    def stream(self, index: int, entry: Entry) -> None:
        """What one stream is and holds."""
        facts = self.facts
        low = entry.name.lower()
        above = self.entries[entry.parent] if entry.parent > 0 else None
        if low == "_vba_project" or (
            low == "dir" and above is not None and above.name.lower() == "vba"
        ):
            facts.note("document-macros", f"stream {self.where(index)}")
        if low == "equation native":
            facts.note("document-equation", self.where(index))
        stream = self.file.stream(index)
        if not stream.size:
            if above is not None and above.name.startswith(ATTACHMENT):
                self.attached(index, entry, stream)
            return
        if low == "\x01ole10native":
            self.object(index, stream)
        elif low == "\x01ole":
            self.monikers(stream)
        elif low == "worddocument":
            self.word(stream)
        elif low in ("workbook", "book"):
            self.workbook(stream)
        elif low == "powerpoint document":
            self.slides(stream)
        elif above is not None and above.name.startswith(ATTACHMENT):
            self.attached(index, entry, stream)
        else:
            self.other(index, entry, stream)

    def other(self, index: int, entry: Entry, stream: Stream) -> None:
        """A stream that nobody knows is a member if it is a file of its own."""
        detected = sniff.detect(stream.read(0, sniff.HEAD))
        if detected in NO_FILES or detected.startswith(PICTURES):
            return
        if entry.name.lower() in ("package", "contents", "embeddedodf"):
            self.facts.note("document-embedded-object", detected)
        name = msi_name(entry.name).lstrip("\x01\x03\x05")
        self.facts.add(Member([name], "stream", stream.spans, where=self.where(index)))

    def attached(self, index: int, entry: Entry, stream: Stream) -> None:
        """The content of an attachment of a message."""
        tag = entry.name[len(PROPERTY) :].upper()
        if entry.name.startswith(PROPERTY) and tag.startswith(DATA_PROPERTY):
            self.attachments.add(entry.parent)
            names = self.names.get(entry.parent, [])
            spans = stream.spans
            member = Member(names, "attachment", spans, where=self.where(entry.parent))
            self.facts.add(member)

    def object(self, index: int, stream: Stream) -> None:
        """An object of an application that knows nothing of compound files."""
        data = stream.read(0, embedded.HEAD)
        found = embedded.native(data, stream.size)
        names = found.names
        if names:
            end = found.start + found.length
            names = names + embedded.wide_names(stream.read(end, embedded.STRING))
        self.facts.note("document-embedded-object", names[0] if names else "native")
        spans = stream.part(found.start, found.length)
        self.facts.add(Member(names, "object", spans, where=self.where(index)))

    def monikers(self, stream: Stream) -> None:
        """An OLE stream (MS-OLEDS 2.3.3) names the source of a linked object."""
        data = stream.read(0, LINK)
        for moniker, name in MONIKERS:
            at = data.find(moniker)
            if at >= 0:
                found = ADDRESS.search(data, at)
                place = found[0].replace(b"\0", b"").decode("latin-1") if found else ""
                self.facts.note("document-external-link", f"{name} {place}".rstrip())

    def word(self, stream: Stream) -> None:
        """A Word document begins with a FIB (MS-DOC 2.5.2)."""
        head = stream.read(0, 32)
        if cfb.little(head, 0, 2) not in (0xA5EC, 0xA5DC, 0xA5DB, 0xA697, 0xA698):
            return
        if head[11] & 1:
            self.facts.note("document-encrypted", "Word")
            self.encrypted = True
            return
        before = b""
        for start in range(0, stream.size, WINDOW):
            data = before + stream.read(start, WINDOW)
            if DDE.search(data):
                self.facts.note("document-dde", "Word field")
                break
            before = data[-64:]

    def workbook(self, stream: Stream) -> None:
        """Records of a workbook up to the end of its first substream."""
        for kind, at, length in self.records(stream, 4):
            if kind == FILEPASS:
                self.facts.note("document-encrypted", "Excel")
                self.encrypted = True
                return
            if kind == EOF:
                return
            if kind != BOUNDSHEET or length < 6:
                continue
            data = stream.read(at, 6)
            first = stream.read(cfb.little(data, 0), 8)
            begins = cfb.little(first, 0, 2) & 0xFF == BOF & 0xFF
            substream = cfb.little(first, 6, 2) if begins else 0
            if data[5] == MACRO_SHEET or substream == MACRO_SUBSTREAM:
                self.facts.note("document-macros", "Excel 4 macro sheet")

    def records(self, stream: Stream, head: int) -> Iterator[tuple[int, int, int]]:
        """(type, offset of the data, length) of records with a head of 4 bytes (Excel)
        or 8 (PowerPoint, where containers that matter are entered)."""
        at = 0
        block, base = b"", 0
        for _ in range(STEPS):
            if at + head > base + len(block):
                block, base = stream.read(at, WINDOW), at
            raw = block[at - base : at - base + head]
            if len(raw) < head:
                return
            if head == 4:
                kind = cfb.little(raw, 0, 2)
                length = cfb.little(raw, 2, 2)
            else:
                kind = cfb.little(raw, 2, 2)
                length = cfb.little(raw, 4)
            at += head
            yield kind, at, length
            if head == 4 or kind not in PPT_CONTAINERS:
                at += length
        self.facts.note("limit-parts", "OLE: records")

    def current_user(self) -> None:
        """The token in CurrentUserAtom (MS-PPT 2.3.2) tells of encryption."""
        for index, entry in enumerate(self.entries):
            if entry.parent == 0 and entry.name.lower() == "current user":
                data = self.file.stream(index).read(0, 16)
                if cfb.little(data, 12) == ENCRYPTED_TOKEN:
                    self.facts.note("document-encrypted", "PowerPoint")
                    self.encrypted = True
                return

    def slides(self, stream: Stream) -> None:
        """Records of a presentation: macros and embedded objects."""
        if self.encrypted:
            return
        for kind, at, length in self.records(stream, 8):
            if kind == CRYPT_SESSION:
                self.facts.note("document-encrypted", "PowerPoint")
            elif kind == VBA_INFO and cfb.little(stream.read(at, 8), 4):
                self.facts.note("document-macros", "PowerPoint")
            elif kind == OLE_OBJECT and at + length <= stream.size:
                self.slide_object(stream, at, length)

    def slide_object(self, stream: Stream, at: int, length: int) -> None:
        """An embedded object or the macros: a compound file, as a rule compressed."""
        facts = self.facts
        facts.note("document-embedded-object", "PowerPoint")
        where = f"PowerPoint Document {at}"
        if not cfb.little(stream.read(at - 8, 2), 0) >> 4:
            spans = stream.part(at, length)
            facts.add(Member([], "object", spans, where=where))
            return
        decoder = zlib.decompressobj()
        room = DECODED - facts.decoded
        try:
            data = decoder.decompress(stream.read(at + 4, length - 4), room + 1)
        except zlib.error:
            facts.note("document-broken", "OLE: compressed object of PowerPoint")
            return
        facts.add(Member([], "object", data=data, where=where))


def msi_name(name: str) -> str:
    """The name of a stream of a Windows Installer database, which packs two letters
    into one of U+3800 to U+483F; others as they are."""
    if not any(0x3800 <= ord(c) <= 0x4840 for c in name):
        return name
    out = ""
    for letter in name:
        code = ord(letter) - 0x3800
        if 0 <= code < 0x1000:
            out += MSI_LETTERS[code & 63] + MSI_LETTERS[code >> 6]
        elif 0x1000 <= code < 0x1040:
            out += MSI_LETTERS[code - 0x1000]
        elif code != 0x1040:
            out += letter
    return out
