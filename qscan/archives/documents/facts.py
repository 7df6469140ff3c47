# SPDX-License-Identifier: MIT
"""What a reader of documents hands back.

Does: hold facts and members, bound their number. Never does: read, judge. Raises
nothing.
Limits: the constants below, for one document.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Read = Callable[[int, int], bytes]

FACTS = 100
DETAILS = 8  # facts of one code that are kept, each with another detail
MEMBERS = 2000
NAMES = 16  # of one member
NAME = 512  # characters of a name or detail
DECODED = 64 * 1024 * 1024
WORK = 128 * 1024 * 1024
PIECE = 65536


class Member:
    """Something with content of its own inside a document.

    ``names`` every name it carries, best first, as they stand (never a path to use);
    ``spans`` (offset, length) pieces of the file that are its content in this order, or
    ``data`` when it had to be decoded; neither: the content cannot be had, ``names``
    and ``size`` are all there is. ``kind`` says what holds it: "attachment" (file with
    a name of its own), "object" (embedded object), "stream" (of an OLE file), "mail"
    (message/rfc822), "file" (archive member). ``size`` bytes of content, or what the
    format says of it. ``encrypted`` when it is; ``where`` its place for people.
    """

    __slots__ = ("data", "encrypted", "kind", "names", "size", "spans", "where")

    def __init__(
        self,
        names: list[str],
        kind: str,
        spans: list[tuple[int, int]] | None = None,
        data: bytes | None = None,
        where: str = "",
    ) -> None:
        self.names: list[str] = []
        for name in names:
            name = name[:NAME]
            if name and name not in self.names and len(self.names) < NAMES:
                self.names.append(name)
        self.kind = kind
        self.spans: list[tuple[int, int]] = spans or []
        self.data = data
        self.where = where[:NAME]
        self.encrypted = False
        self.size = sum(length for _, length in self.spans)
        if data is not None:
            self.size = len(data)

    def __repr__(self) -> str:
        return f"Member({self.names!r}, {self.kind!r}, {self.size})"

    @property
    def has_content(self) -> bool:
        """False when only its names are known."""
        return self.data is not None or bool(self.spans)

    def pieces(self, read: Read) -> Iterator[bytes]:
        """The content in pieces of at most PIECE bytes."""
        if self.data is not None:
            for start in range(0, len(self.data), PIECE):
                yield self.data[start : start + PIECE]
            return
        for offset, length in self.spans:
            while length > 0:
                piece = read(offset, min(length, PIECE))
                if not piece:
                    break
                yield piece
                offset += len(piece)
                length -= len(piece)


class Facts:
    """What a reader found. ``facts`` (code of ``defects.DEFECTS``, printable detail,
    offset in the file or -1), ``members`` in the order of the file, ``media_type`` what
    the content is when that is known better than the first bytes tell, else ""."""

    __slots__ = ("decoded", "details", "facts", "media_type", "members", "worked")

    def __init__(self) -> None:
        self.facts: list[tuple[str, str, int]] = []
        self.members: list[Member] = []
        self.media_type = ""
        self.details: dict[str, list[str]] = {}
        self.decoded = 0
        self.worked = 0

    @property
    def codes(self) -> set[str]:
        """The codes of all facts."""
        return set(self.details)

    def note(self, code: str, detail: str = "", offset: int = -1) -> None:
        """Keep a fact, once for each detail and DETAILS of them."""
        detail = printable(detail)
        details = self.details.setdefault(code, [])
        if detail in details or len(details) >= DETAILS or len(self.facts) >= FACTS:
            return
        details.append(detail)
        self.facts.append((code, detail, offset))

    def add(self, member: Member) -> bool:
        """Keep a member; False when there are too many or they are too large."""
        if len(self.members) >= MEMBERS:
            self.note("limit-parts", "members of a document")
            return False
        if member.data is not None:
            if self.decoded + len(member.data) > DECODED:
                self.note("limit-expanded-bytes", "members of a document")
                return False
            self.decoded += len(member.data)
        self.members.append(member)
        return True

    def work(self, count: int) -> bool:
        """Count bytes that were decoded to look at; False when that is too much."""
        self.worked += count
        if self.worked > WORK:
            self.note("limit-expanded-bytes", "content of a document")
            return False
        return True


def printable(text: str) -> str:
    """At most NAME characters without controls, for a log."""
    text = text[:NAME]
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "?" for c in text)
