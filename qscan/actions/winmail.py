# SPDX-License-Identifier: MIT
"""Delivers the attachments of a winmail.dat in place of it or beside it (tnef.deliver).

Does: write the message anew beside the one that was scanned, every byte outside the
winmail.dat parts copied, and put it in its place when complete. Never does: guess. A
message that can be read in more than one way, that is signed or encrypted, or a
winmail.dat that was not unpacked to the last byte stays as it came, and the reason is
told. Imported only where the setting asks for it and there is a TNEF part.
Raises: OSError for trouble with the work directory, whatever a reader raises; the
message is untouched then.

A TNEF part of a multipart/mixed becomes several parts of it. Anywhere else (the whole
message, a part of multipart/alternative ...) the part itself becomes a multipart/mixed:
its fields about the content make room for new ones, the others stay as they are.
"""

import posix

from qscan import headers, mime, spool, tnef, tnefmail
from qscan.fdio import O_NEW, O_READ, copy_range, pread_all, remove, write_all
from qscan.model import Defect, Header, Item, Limits
from qscan.sniff import TNEF

TYPE_CHECKING = False  # typing is not for processes that see mail
if TYPE_CHECKING:
    from collections.abc import Callable

    # from, to, what to write between them
    Edit = tuple[int, int, Callable[[tnefmail.Writer], None]]

FILE = "winmail"  # in the work directory
DELIMITER = 4096  # bytes that are looked at for the delimiter line before a part
PARTS = 20  # TNEF parts of one message
TRIES = 20

# What describes the content of a part, and goes with it.
_CONTENT = (
    b"content-type",
    b"content-transfer-encoding",
    b"content-disposition",
    b"content-id",
    b"content-description",
    b"content-location",
    b"content-md5",
    b"content-length",
)
_SIGNATURES = (b"dkim-signature", b"domainkey-signature", b"arc-message-signature")
_SEALED = (b"multipart/signed", b"multipart/encrypted")


class Entity:
    """An entity of the message: ``start`` of its header, ``body`` after it, ``media``
    type, ``signed`` by a field of its header, ``added`` by us on an earlier way."""

    __slots__ = ("added", "body", "media", "parts", "signed", "start")

    def __init__(self, start: int, body: int, fields: list[Header]) -> None:
        self.start = start
        self.body = body
        self.media = b""
        self.parts = 0
        self.signed = b""
        self.added = False
        for field in fields:
            if field.name == b"content-type" and not self.media:
                self.media = headers.parse_value(headers.unfold(field.value)).main
            elif field.name in _SIGNATURES:
                self.signed = field.name
            elif field.name == b"x-qscan-unpacked":
                self.added = True


class _Map(mime.Walker):
    """Remembers where each entity begins, and every boundary."""

    def __init__(
        self, read: object, size: int, limits: Limits, defects: list[Defect]
    ) -> None:
        mime.Walker.__init__(self, read, size, limits, defects)
        self.entities: dict[str, Entity] = {}
        self.boundaries: list[bytes] = []

    def _header(self, start: int, path: str) -> tuple[list[Header], int]:
        fields, body = super()._header(start, path)
        self.entities[path] = Entity(start, body, fields)
        parent = self.entities.get(path.rpartition(".")[0])
        if parent is not None:
            parent.parts += 1
        return fields, body

    def _open(
        self, region: mime.Region, value: headers.Value | None, path: str
    ) -> bool:
        opened = super()._open(region, value, path)
        if opened:
            self.boundaries.append(self.frames[-1].boundary)
        return opened


def replace(
    work: spool.Work,
    size: int,
    items: list[Item],
    defects: list[Defect],
    limits: Limits,
    beside: bool,
    break_signature: bool,
) -> tuple[bool, str]:
    """(changed, what was done or why not) for the message of ``size`` bytes in
    ``work``, whose file is another one when it was changed.

    ``items`` and ``defects`` of its examination; ``beside``: the winmail.dat stays;
    ``break_signature``: also where that breaks a DKIM signature.
    """
    surgery = _Surgery(work, size, limits)
    try:
        surgery.read(items, defects)
        for path in surgery.parts:
            surgery.plan(path, items, defects, beside, break_signature)
        if surgery.edits:
            surgery.write()
    finally:
        for fd in surgery.open:
            posix.close(fd)
    return bool(surgery.edits), "; ".join(surgery.said) or "no part of the message"


class _Surgery:
    """The plan of one message: ``parts`` its TNEF parts by path, ``edits`` in order,
    ``said`` about each part, ``open`` descriptors of their contents."""

    __slots__ = (
        "edits",
        "end",
        "limits",
        "map",
        "newline",
        "open",
        "parts",
        "said",
        "texts",
        "work",
    )

    def __init__(self, work: spool.Work, size: int, limits: Limits) -> None:
        self.work = work
        self.end = spool.RESERVE + size
        self.limits = limits
        self.newline = b"\n"
        self.parts: dict[str, mime.Region] = {}
        self.texts: list[str] = []
        self.edits: list[Edit] = []
        self.said: list[str] = []
        self.open: list[int] = []
        self.map: _Map

    def source(self, position: int, length: int) -> bytes:
        return pread_all(self.work.fd, min(length, self.end - position), position)

    # Reading.

    def read(self, items: list[Item], defects: list[Defect]) -> None:
        """Find the TNEF parts; none of a message that is not read in one way."""
        for defect in defects:
            if defect.code in mime.FURTHER or defect.code.startswith("limit-"):
                self.said.append("as-is: " + defect.code)
                return
        unpacked = {
            item.path: item
            for item in items
            if item.origin == "mime" and item.head.startswith(TNEF)
        }
        noted: list[Defect] = []
        self.map = _Map(self.source, self.end, self.limits, noted)
        parts: dict[str, mime.Region] = {}
        shown = {item.path for item in items if item.head.strip(b" \t\r\n")}
        for region in self.map.walk(spool.RESERVE, "1"):
            if region.kind == "leaf":
                if region.path in unpacked:
                    parts[region.path] = region
                elif (
                    region.media in (b"text/plain", b"text/html")
                    and region.path in shown
                    and not _is_attached(region.fields)
                ):
                    self.texts.append(region.path)
            region.fields = []
        if noted:
            self.said.append("as-is: " + noted[0].code)
            return
        if len(parts) > PARTS:
            self.said.append(f"as-is: {len(parts)} winmail.dat")
            return
        self.said += [
            f"{path} as-is: in an encoded message"
            for path in unpacked
            if path not in parts
        ]
        self.parts = parts
        if (
            self.source(spool.RESERVE, self.limits.header_bytes)
            .partition(b"\n")[0]
            .endswith(b"\r")
        ):
            self.newline = b"\r\n"

    def lineage(self, path: str) -> list[str]:
        """The paths of all entities around this one, the nearest first."""
        out = []
        while "." in path:
            path = path.rpartition(".")[0]
            out.append(path)
        return out

    # Planning.

    def plan(
        self,
        path: str,
        items: list[Item],
        defects: list[Defect],
        beside: bool,
        break_signature: bool,
    ) -> None:
        """An edit for this part, and what to say about it."""
        why = self.obstacle(path, defects, break_signature)
        if why:
            self.said.append(f"{path} as-is: {why}")
            return
        (item,) = [item for item in items if item.path == path]
        fd = posix.open(str(item.file), O_READ)
        self.open.append(fd)
        codes = _codes_at(path, defects)
        try:
            found, keep = tnefmail.entities(
                fd,
                item.size,
                max(1, self.limits.depth - path.count(".")),
                not self.has_text(path),
                "tnef-rtf" not in codes,
            )
        except tnefmail.Unsure as unsure:
            self.said.append(f"{path} as-is: {unsure}")
            return
        stays = beside or bool(keep)
        parent = self.map.entities.get(path.rpartition(".")[0])
        if found:
            if stays:
                found[0].fields.insert(0, tnefmail.MARK)
            if parent is not None and parent.media == b"multipart/mixed":
                done = self.splice(path, found, stays)
            else:
                done = self.wrap(path, found, stays)
        else:
            done = not stays and self.take_out(path, parent)
        if not done:
            self.said.append(f"{path} as-is: {keep or 'nothing to put in its place'}")
        elif keep and not beside:
            self.said.append(f"{path} beside: {keep}")
        else:
            self.said.append(f"{path} {'beside' if beside else 'instead'}")

    def obstacle(self, path: str, defects: list[Defect], break_signature: bool) -> str:
        """Why this part cannot be replaced, or ""."""
        for code in _codes_at(path, defects):
            if tnef.CODES.get(code, (True, ""))[0]:
                return code
        around = [self.map.entities[one] for one in self.lineage(path)]
        for entity in (self.map.entities[path], *around):
            if entity.media in _SEALED:
                return entity.media.decode("ascii")
            if entity.signed and not break_signature:
                return entity.signed.decode("ascii")
        above, dot, number = path.rpartition(".")
        following = self.map.entities.get(f"{above}.{int(number) + 1}") if dot else None
        if following is not None and following.added:
            return "unpacked already"
        return ""

    def has_text(self, path: str) -> bool:
        """Whether something else is the text of the message that this part is in."""
        message = self.message_of(path)
        return any(self.message_of(text) == message for text in self.texts)

    def message_of(self, path: str) -> str:
        """The path of the message that this part is in."""
        for one in self.lineage(path):
            if self.map.entities[one].media in mime.MESSAGE_TYPES:
                return one
        return ""

    def splice(self, path: str, found: list[tnefmail.Entity], stays: bool) -> bool:
        """New parts after or instead of this one, in its multipart."""
        start = self.map.entities[path].start
        end = self.parts[path].end
        before = self.source(max(spool.RESERVE, start - DELIMITER), DELIMITER)
        before = before[: start - max(spool.RESERVE, start - DELIMITER)]
        delimiter = before.splitlines()[-1].rstrip()
        if not delimiter.startswith(b"--"):
            return False

        def write(writer: tnefmail.Writer) -> None:
            first = not stays
            for entity in found:
                if not first:
                    writer.lines(b"", delimiter)
                first = False
                writer.entity(entity)

        self.edits.append((end if stays else start, end, write))
        return True

    def wrap(self, path: str, found: list[tnefmail.Entity], stays: bool) -> bool:
        """This entity becomes a multipart/mixed."""
        entity = self.map.entities[path]
        body, end = self.parts[path].start, self.parts[path].end
        raw = self.source(entity.start, body - entity.start)
        fields, blank = _raw_fields(raw)
        moved = [text for name, text in fields if name in _CONTENT]
        kept = [text for name, text in fields if name not in _CONTENT]
        place = 0
        while place < len(fields) and fields[place][0] not in _CONTENT:
            place += 1
        around = self.lineage(path)
        whole = not around or self.map.entities[around[0]].media in mime.MESSAGE_TYPES
        if not blank:
            return False
        versioned = any(name == b"mime-version" for name, _ in fields)
        fd = self.work.fd

        def write(writer: tnefmail.Writer) -> None:
            boundary = writer.boundary()
            write_all(writer.fd, b"".join(kept[:place]))
            if whole and not versioned:
                writer.lines(b"MIME-Version: 1.0")
            writer.lines(tnefmail.type_of_multipart("mixed", boundary))
            write_all(writer.fd, b"".join(kept[place:]))
            writer.lines(b"")
            if stays:
                writer.lines(b"--" + boundary)
                write_all(writer.fd, b"".join(moved) + blank)
                copy_range(fd, body, end, writer.fd)
                writer.lines(b"")
            for one in found:
                writer.lines(b"--" + boundary)
                writer.entity(one)
                writer.lines(b"")
            write_all(writer.fd, b"--" + boundary + b"--")
            if end == self.end:
                writer.lines(b"")

        self.edits.append((entity.start, end, write))
        return True

    def take_out(self, path: str, parent: Entity | None) -> bool:
        """The part with the delimiter before it: it has nothing that others lack."""
        if parent is None or parent.media != b"multipart/mixed" or parent.parts < 2:
            return False
        start = self.map.entities[path].start
        low = max(spool.RESERVE, start - DELIMITER)
        before = self.source(low, start - low)
        newline = before.rstrip(b"\r\n").rfind(b"\n")
        if newline < 0 or before[newline + 1 : newline + 3] != b"--":
            return False
        if before[:newline].endswith(b"\r"):
            newline -= 1
        parent.parts -= 1
        self.edits.append((low + newline, self.parts[path].end, _nothing))
        return True

    # Writing.

    def write(self) -> None:
        """The new message, then its descriptor in place of the old one."""
        token = self.token()
        place = f"{self.work.directory}/{FILE}"
        fd = posix.open(place, O_NEW, 0o600)
        try:
            write_all(fd, spool.ROOM)
            writer = tnefmail.Writer(fd, self.newline, token)
            position = spool.RESERVE
            for start, end, write in sorted(self.edits, key=_start):
                self.copy(position, start, fd)
                write(writer)
                position = end
            self.copy(position, self.end, fd)
        except BaseException:
            posix.close(fd)
            remove(place)
            raise
        old, self.work.fd = self.work.fd, fd
        try:
            posix.close(old)
        except OSError:
            return  # late write errors of data that is thrown away

    def copy(self, start: int, end: int, target: int) -> None:
        if copy_range(self.work.fd, start, end, target) != end - start:
            raise OSError(5, "the message is shorter than it was")

    def token(self) -> bytes:
        """What no boundary of the message is a beginning of, and no line has."""
        for _ in range(TRIES):
            token = b"qscan-" + posix.urandom(12).hex().encode("ascii")
            if any(token.startswith(one) for one in self.map.boundaries if one):
                token = posix.urandom(12).hex().encode("ascii")
            if any(token.startswith(one) for one in self.map.boundaries if one):
                continue
            window = mime.Window(self.source, self.end)
            if window.find(token, spool.RESERVE, self.end) < 0:
                return token
        raise ValueError("no boundary for the new parts")


def _start(edit: "Edit") -> tuple[int, int]:
    return edit[0], edit[1]


def _nothing(writer: tnefmail.Writer) -> None:
    """Write nothing."""


def _is_attached(fields: list[Header]) -> bool:
    for value in headers.values(fields, b"content-disposition"):
        if headers.parse_value(value).main == b"attachment":
            return True
    return False


def _codes_at(path: str, defects: list[Defect]) -> list[str]:
    """What was found wrong with this part or in it."""
    found = []
    for defect in defects:
        place = defect.where.split(" ")[0]
        # Facts about what it holds are of other kinds.
        if place == path or (
            place.startswith(path + "/") and defect.code.startswith("tnef-")
        ):
            found.append(defect.code)
    return found


def _raw_fields(raw: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """(name in lower case, raw text) of each field, and the empty line."""
    fields: list[tuple[bytes, bytes]] = []
    for line in raw.split(b"\n")[:-1]:
        line += b"\n"
        if line in (b"\n", b"\r\n"):
            return fields, line
        if line[:1] in (b" ", b"\t") and fields:
            name, text = fields[-1]
            fields[-1] = (name, text + line)
        else:
            name = line.partition(b":")[0].strip().lower()
            fields.append((name, line))
    return fields, b""
