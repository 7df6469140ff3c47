# SPDX-License-Identifier: MIT
"""The value types that flow between the stages.

Does: hold values. Never does: I/O, decisions. Plain ``__slots__`` classes, because
dataclasses or named tuples would cost every message 3 to 20 ms at start.
"""

BLANKS = b" \t\r\n\x0b\x0c"  # what no reader of mail takes for part of a word
PARAMETERS = 1000  # of one field; more is a finding, no mail client writes them


class Defect:
    """A fact about the form of a message: something that is not as it must be.

    ``code`` is a word of the table in ``defects.DEFECTS`` (or a ``tnef-`` code),
    ``where`` a part path or an offset, ``detail`` printable text. ``at`` is the offset
    of the bytes that cause it, -1 when nobody knows, in what ``source`` names: "" the
    message, else the path of the item that was walked as a message of its own.
    """

    __slots__ = ("at", "code", "detail", "source", "where")

    def __init__(
        self, code: str, where: str = "", detail: str = "", at: int = -1
    ) -> None:
        self.code = code
        self.where = where
        self.detail = detail
        self.at = at
        self.source = ""

    def __repr__(self) -> str:
        return f"Defect({self.code!r}, {self.where!r}, {self.detail!r})"


class Defects(list[Defect]):
    """The defects of a message, each code once for each place: what stands on every
    line of a message must not fill the memory."""

    __slots__ = ("seen",)

    def __init__(self) -> None:
        list.__init__(self)
        self.seen: set[tuple[str, str]] = set()

    def append(self, defect: Defect) -> None:
        """Keep it, if this code is new at this place."""
        key = (defect.code, defect.where)
        if key not in self.seen:
            self.seen.add(key)
            list.append(self, defect)


class Finding:
    """Something found that policy has to judge.

    ``source`` who says it (clamd, mime, tnef, limits, scanner); ``rule`` the
    signature name or defect code; ``cls`` a class of ``decide.CLASSES``; ``item`` the
    path of the part; ``text`` a line for people.
    """

    __slots__ = ("cls", "item", "rule", "source", "text")

    def __init__(
        self, source: str, rule: str, cls: str, item: str = "", text: str = ""
    ) -> None:
        self.source = source
        self.rule = rule
        self.cls = cls
        self.item = item
        self.text = text

    def __repr__(self) -> str:
        return f"Finding({self.source!r}, {self.rule!r}, {self.cls!r}, {self.item!r})"


class Header:
    """One header field. ``name`` lower case, ``value`` raw as received, unfolded
    only by the readers of ``headers``; both bytes (RFC 5322 section 2.2)."""

    __slots__ = ("name", "value")

    def __init__(self, name: bytes, value: bytes) -> None:
        self.name = name
        self.value = value


class Item:
    """One thing that is offered to the scanners.

    ``path`` where it is in the tree ("1.2/tnef/1"), ``origin`` one of message, mime,
    tnef, uu, archive, cms, guess (another decoding than the stated one), ``names``
    every file name it carries, ``file`` its path on disk or None when the raw message
    already shows these very bytes, ``scan`` the scanner's word ("clean", a signature
    name, "failed", "" = not scanned) or why there is none: "covered" by the scan of
    what holds it, "encrypted", "unread" (it cannot be taken out).
    """

    __slots__ = (
        "declared_type",
        "detected_type",
        "encoding",
        "file",
        "head",
        "names",
        "origin",
        "path",
        "scan",
        "sha256",
        "size",
        "span",
    )

    def __init__(
        self,
        path: str,
        origin: str,
        names: list[str],
        declared_type: str = "",
        encoding: str = "",
    ) -> None:
        self.path = path
        self.origin = origin
        self.names = names
        self.declared_type = declared_type
        self.encoding = encoding
        self.detected_type = ""
        self.size = 0
        self.sha256: str | None = None
        self.scan = ""
        self.file: str | None = None
        self.head = b""
        self.span: tuple[int, int] | None = None


class Limits:
    """Bounds of unpacking. ``depth`` levels, ``parts`` items, ``header_bytes`` of one
    header block, ``expanded_bytes`` of all decoded files together, ``seconds``;
    ``tnef`` CPU seconds, bytes of memory and wall seconds of a TNEF child; ``archive``
    the same of an archive's child, then levels, members of all archives, their bytes,
    bytes for one of an archive, and whether passwords are tried; None: not opened."""

    __slots__ = (
        "archive",
        "depth",
        "expanded_bytes",
        "header_bytes",
        "parts",
        "seconds",
        "tnef",
    )

    def __init__(
        self,
        depth: int,
        parts: int,
        header_bytes: int,
        expanded_bytes: int,
        seconds: float,
        tnef: tuple[int, int, int],
        archive: tuple[int, int, int, int, int, int, int, bool] | None = None,
    ) -> None:
        self.tnef = tnef
        self.archive = archive
        self.depth = depth
        self.parts = parts
        self.header_bytes = header_bytes
        self.expanded_bytes = expanded_bytes
        self.seconds = seconds


class Envelope:
    """What qmail's caller wrote to descriptor 1 (qmail-queue(8)).

    ``recipients`` keeps the first ``envelope.KEPT`` of ``count``; the bytes themselves
    are in the spool file.
    """

    __slots__ = ("count", "recipients", "sender")

    def __init__(self, sender: bytes, recipients: list[bytes], count: int) -> None:
        self.sender = sender
        self.recipients = recipients
        self.count = count


class ScanReply:
    """A scanner's answer for one item: ``status`` SCANNED (``names`` are findings,
    empty = clean), UNSCANNABLE (it will never be able to: ``why``) or FAILED."""

    __slots__ = ("names", "status", "why")

    def __init__(self, status: str, names: list[str], why: str = "") -> None:
        self.status = status
        self.names = names
        self.why = why


SCANNED = "scanned"
UNSCANNABLE = "unscannable"
FAILED = "failed"
