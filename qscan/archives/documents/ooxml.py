# SPDX-License-Identifier: MIT
"""Office documents that are packages of parts: OOXML (ECMA-376) and ODF (OASIS).

Does: say from the names of the parts and a few of them whether there are macros,
embedded objects, links to elsewhere, DDE, encryption. XML is searched, not parsed: no
entity is expanded, nothing is loaded; UTF-16 and character references are understood.
Never does: open the package, yield members: parts are members of the archive already.
Limits: PARTS parts are read, PART bytes of each, all together ``facts.WORK``.
"""

from __future__ import annotations

import re

from qscan.archives.documents.facts import Facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Get = Callable[[str, int], bytes]

PARTS = 3000
PART = 32 * 1024 * 1024
TYPES = "[content_types].xml"
MANIFEST = "meta-inf/manifest.xml"

#: Libraries of ODF without a macro in them.
EMPTY_LIBRARY = ("", "script-lc.xml", "script-lb.xml", "dialog-lc.xml", "dialog-lb.xml")
#: Links that an application loads or offers to, by the end of their relationship type.
LINKS = (
    "attachedtemplate",
    "oleobject",
    "frame",
    "subdocument",
    "externallinkpath",
    "externallink",
    "package",
    "mailmergesource",
    "control",
)
APPLICATIONS = (
    ("word/", "wordprocessingml.document"),
    ("xl/", "spreadsheetml.sheet"),
    ("ppt/", "presentationml.presentation"),
)

RELATIONSHIP = re.compile(
    rb"<(?:[\w.-]{1,40}:)?Relationship\b"
    rb"""((?:[^<>"']|"[^"]{0,8192}"|'[^']{0,8192}'){0,8192}+)""",
    re.IGNORECASE,
)
ATTRIBUTE = re.compile(
    rb"""(?:[\w.-]{1,40}:)?(\w{1,40})\s{0,64}=\s{0,64}("[^"]*"|'[^']*')"""
)
CHARACTER = re.compile(rb"&#(?:x([0-9A-Fa-f]{1,6})|(\d{1,7}));?")
FIELD = re.compile(
    rb"<(?:\w{1,20}:)?instrText\b[^>]{0,512}>([^<]{0,65536})"
    rb"|\binstr\s{0,64}=\s{0,64}[\"']([^\"'<]{0,8192})"
    rb"|fldCharType\s{0,64}=\s{0,64}[\"'](\w{1,20})"
)
QUOTE = re.compile(rb"\bQUOTE((?:\s+\d{1,3})+)", re.IGNORECASE)
DDE = re.compile(rb"\s*\"?DDE(?:AUTO)?\b", re.IGNORECASE)
ODF_LINK = re.compile(
    rb"<(?:draw:object|draw:object-ole|draw:plugin|draw:applet|text:section-source"
    rb"|meta:template|table:table-source|draw:floating-frame)\b[^<>]{0,4096}"
    rb"\bxlink:href\s{0,64}=\s{0,64}[\"']((?:https?|ftp|file|smb|//|\\\\)[^\"'<>]{0,1024})",
    re.IGNORECASE,
)


def is_package(names: Iterable[str]) -> bool:
    """True when an archive with these members is an office document."""
    known = {plain(name) for name in names}
    return TYPES in known or MANIFEST in known


def plain(name: str) -> str:
    """The name of a part as applications compare it."""
    return name.replace("\\", "/").lstrip("/").lower()


def inspect_names(names: Iterable[str], get: Get) -> Facts:
    """The facts of a package; no members.

    ``names`` of all members as the archive has them; ``get(name, limit)`` at most the
    first ``limit`` bytes of one, b"" when it cannot be read.
    """
    facts = Facts()
    package = Package(get, facts)
    for name in names:
        package.name(name)
    package.read()
    return facts


class Package:
    """One package while it is read."""

    __slots__ = ("facts", "get", "known", "parts")

    def __init__(self, get: Get, facts: Facts) -> None:
        self.get = get
        self.facts = facts
        self.parts: list[tuple[str, str]] = []
        self.known: set[str] = set()

    def name(self, name: str) -> None:
        """What the name of a part tells; remember those that are to be read."""
        facts = self.facts
        low = plain(name)
        self.known.add(low)
        folder, _, base = low.rpartition("/")
        if base == "vbaproject.bin":
            facts.note("document-macros", name)
        elif "macrosheets/" in low and base and not base.endswith(".rels"):
            facts.note("document-macros", f"Excel 4 macro sheet {name}")
        elif low.startswith(("basic/", "scripts/")) and base not in EMPTY_LIBRARY:
            facts.note("document-macros", name)
        elif folder.endswith("/embeddings") and base:
            facts.note("document-embedded-object", name)
        elif folder.endswith("/activex") and base.startswith("activex"):
            facts.note("document-activex", name)
        if (
            low in (TYPES, MANIFEST, "mimetype")
            or base in ("content.xml", "styles.xml", "meta.xml")
            or low.endswith(".rels")
            or (low.startswith(("word/", "xl/externallinks/")) and low.endswith(".xml"))
        ):
            self.parts.append((low, name))

    def read(self) -> None:
        """The parts that say more."""
        facts = self.facts
        if TYPES in self.known:
            for folder, kind in APPLICATIONS:
                if any(name.startswith(folder) for name in self.known):
                    prefix = "application/vnd.openxmlformats-officedocument."
                    facts.media_type = prefix + kind
                    break
        # What names others comes before long texts.
        order = sorted(self.parts, key=lambda part: part[0].startswith("word/"))
        for count, (low, name) in enumerate(order):
            if count >= PARTS:
                facts.note("limit-parts", "parts of a document")
                return
            data = self.get(name, PART)
            if not facts.work(len(data)):
                return
            if len(data) >= PART:
                facts.note("limit-expanded-bytes", f"part {name}")
            self.part(low, ascii_of(data))

    def part(self, low: str, data: bytes) -> None:
        """What one part tells."""
        facts = self.facts
        if low == "mimetype" and TYPES not in self.known:
            media_type = data[:100].strip().decode("latin-1").lower()
            if media_type.startswith("application/"):
                facts.media_type = media_type
        elif low == TYPES:
            self.types(characters(data).lower())
        elif low == MANIFEST:
            text = characters(data).lower()
            if b"encryption-data" in text or b"encrypted-package" in text:
                facts.note("document-encrypted", "ODF")
            if b"oleobject" in text:
                facts.note("document-embedded-object", "ODF")
        elif low.endswith(".rels"):
            relationships(facts, data)
        elif low.startswith("word/"):
            fields(facts, data)
        elif low.startswith("xl/"):
            if b"ddeLink" in data:
                facts.note("document-dde", "Excel")
        else:
            open_document(facts, data)

    def types(self, text: bytes) -> None:
        """The media types of the parts (ECMA-376 part 2 section 10.1.2)."""
        facts = self.facts
        if b"macroenabled" in text:
            facts.note("document-macros", "media type with macros")
            facts.media_type = MACRO_TYPES.get(facts.media_type, facts.media_type)
        if b"vnd.ms-office.vbaproject" in text:
            facts.note("document-macros", "VBA project")
        if b"macrosheet" in text:
            facts.note("document-macros", "Excel 4 macro sheet")
        if b"<!doctype" in text or b"<!entity" in text:
            facts.note("document-broken", "OOXML: a DTD in the list of parts")


#: Of documents that are stored with macros.
MACRO_TYPES = {
    "application/vnd.openxmlformats-officedocument." + kind: "application/vnd.ms-"
    + macro
    for kind, macro in (
        ("wordprocessingml.document", "word.document.macroEnabled.12"),
        ("spreadsheetml.sheet", "excel.sheet.macroEnabled.12"),
        ("presentationml.presentation", "powerpoint.presentation.macroEnabled.12"),
    )
}


def ascii_of(data: bytes) -> bytes:
    """The text in an encoding in which ASCII is ASCII."""
    if data.startswith((b"\xff\xfe", b"<\0")):
        return data.decode("utf-16-le", "replace").encode("utf-8", "replace")
    if data.startswith((b"\xfe\xff", b"\0<")):
        return data.decode("utf-16-be", "replace").encode("utf-8", "replace")
    return data


def characters(data: bytes) -> bytes:
    """Character references of ASCII resolved, others as they are."""
    if b"&#" not in data:
        return data

    def character(match: re.Match[bytes]) -> bytes:
        code = int(match[1], 16) if match[1] else int(match[2])
        return bytes([code]) if code < 128 else match[0]

    return CHARACTER.sub(character, data).replace(b"&amp;", b"&")


def relationships(facts: Facts, data: bytes) -> None:
    """Relationships to what is outside of the package (ECMA-376 part 2 section 9.3)."""
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        facts.note("document-broken", "OOXML: a DTD in relationships")
    for match in RELATIONSHIP.finditer(data):
        found = {
            one[1].lower(): characters(one[2][1:-1]).decode("latin-1").strip()
            for one in ATTRIBUTE.finditer(match[1])
        }
        kind = found.get(b"type", "").rpartition("/")[2].lower()
        target = found.get(b"target", "")
        if kind == "vbaproject":
            facts.note("document-macros", f"relationship to {target}")
        elif kind == "xlmacrosheet" or kind == "xlintlmacrosheet":
            facts.note("document-macros", f"Excel 4 macro sheet {target}")
        if found.get(b"targetmode", "").lower() != "external":
            continue
        scheme = target[:8].lower()
        if kind in LINKS or scheme.startswith(("mhtml:", "ms-", "script:", "x-usc:")):
            facts.note("document-external-link", f"{kind} {target}")


def fields(facts: Facts, data: bytes) -> None:
    """Fields of a text (ECMA-376 part 1 section 17.16): their instructions may be in
    many pieces."""
    pieces: list[bytes] = []
    for match in FIELD.finditer(data):
        if match[1] is not None:
            pieces.append(match[1])
        elif match[2] is not None:
            field(facts, match[2])
        elif match[3] in (b"separate", b"end"):
            field(facts, b"".join(pieces))
            pieces = []
    field(facts, b"".join(pieces))


def field(facts: Facts, raw: bytes) -> None:
    """One instruction."""
    text = characters(raw).replace(b"&quot;", b'"')
    quoted = QUOTE.search(text)
    if quoted is not None:
        codes = [int(number) for number in quoted[1].split()]
        text = bytes(code for code in codes if code < 256)
    if DDE.match(text):
        facts.note("document-dde", text.strip()[:100].decode("latin-1"))


def open_document(facts: Facts, data: bytes) -> None:
    """Content of an ODF document."""
    if b"<script:event-listener" in data or b"vnd.sun.star.script:" in data:
        facts.note("document-macros", "ODF event")
    if b"dde-source" in data or b"dde-connection-decl" in data:
        facts.note("document-dde", "ODF")
    for match in ODF_LINK.finditer(data):
        facts.note("document-external-link", match[1].decode("latin-1"))
