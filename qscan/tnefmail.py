# SPDX-License-Identifier: MIT
"""What a TNEF stream holds as MIME entities, for messages that get it in its place.

Does: turn a reading of ``tnef`` into entities (attachments, bodies, embedded messages
as message/rfc822) and write them in bounded windows, content always in base64, so that
no line of it can be a delimiter or a header. Never does: change a byte of a content
(a text that Outlook keeps in UTF-16 becomes UTF-8), touch the message around it; use a
name from the mail as a path. Imported only where ``tnef.deliver`` asks for it.
Raises: OSError for trouble with files; ``Unsure`` when it would rather not.
"""

import binascii
import codecs
import time

from qscan import sniff, tnef
from qscan.fdio import WINDOW, pread_all, write_all

TYPE_CHECKING = False  # typing is not for processes that see mail
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Blocks = Callable[[], Iterator[bytes]]

ENTITIES = 1000  # of one message
DEEP = 4  # messages in messages: as MIME each takes two levels, and readers have limits
RTF_BYTES = 8_000_000  # decompressed, of one message
FILE_NAME = 200  # characters of a name that is delivered
FILLER = 1024  # bytes that a line of text for old programs has at most
LINE = 57  # bytes that make a base64 line of 76 characters (RFC 2045 section 6.8)
# What every part that was added begins with, so that it is not added twice.
MARK = b"X-Qscan-Unpacked: winmail.dat"

# Message classes that are mail; of others (appointments, tasks, receipts, contacts)
# attachments and texts are not all there is.
_NOTES = ("IPM.NOTE", "IPM.MICROSOFT MAIL.NOTE")
_SIGNED = "SMIME"

_OCTETS = "application/octet-stream"
_BY_EXTENSION = {
    "avi": "video/x-msvideo",
    "bmp": "image/bmp",
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "gif": "image/gif",
    "gz": "application/gzip",
    "htm": "text/html",
    "html": "text/html",
    "ics": "text/calendar",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odt": "application/vnd.oasis.opendocument.text",
    "p7m": "application/pkcs7-mime",
    "p7s": "application/pkcs7-signature",
    "pdf": "application/pdf",
    "png": "image/png",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "rtf": "text/rtf",
    "svg": "image/svg+xml",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "txt": "text/plain",
    "vcf": "text/vcard",
    "wav": "audio/x-wav",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xml": "text/xml",
    "zip": "application/zip",
}
_CHARSETS = {
    "ascii": "us-ascii",
    "cp932": "shift_jis",
    "cp949": "ks_c_5601-1987",
    "cp950": "big5",
    "mac_roman": "macintosh",
}


class Unsure(Exception):
    """It cannot be said in MIME; the text says why."""


class Entity:
    """A MIME entity. ``fields`` header fields, folded by LF; ``kind`` leaf (``blocks``
    gives its content), message (its one child's fields stand in its body) or the
    subtype of a multipart of ``children``."""

    __slots__ = ("blocks", "children", "fields", "kind")

    def __init__(
        self,
        fields: list[bytes],
        kind: str,
        blocks: "Blocks | None" = None,
        children: "list[Entity] | None" = None,
    ) -> None:
        self.fields = fields
        self.kind = kind
        self.blocks = blocks
        self.children = children or []


# -- writing --------------------------------------------------------------------------


class Writer:
    """Writes entities to ``fd``; ``token`` occurs nowhere in the message, ``newline``
    ends lines."""

    __slots__ = ("count", "fd", "newline", "token")

    def __init__(self, fd: int, newline: bytes, token: bytes) -> None:
        self.fd = fd
        self.newline = newline
        self.token = token
        self.count = 0

    def boundary(self) -> bytes:
        """A new one; of equal length, so that none is the beginning of another."""
        self.count += 1
        return b"%s-%06d" % (self.token, self.count)

    def lines(self, *lines: bytes) -> None:
        """Lines and folded fields, each with its end."""
        text = b"".join(line + b"\n" for line in lines)
        write_all(self.fd, text.replace(b"\n", self.newline))

    def entity(self, entity: Entity) -> None:
        """The entity, without a line end behind it."""
        if entity.kind == "leaf":
            self.lines(*entity.fields, b"Content-Transfer-Encoding: base64", b"")
            if entity.blocks is not None:
                self.base64(entity.blocks())
        elif entity.kind == "message":
            self.lines(*entity.fields, b"Content-Type: message/rfc822", b"")
            self.entity(entity.children[0])
        else:
            boundary = self.boundary()
            self.lines(*entity.fields, type_of_multipart(entity.kind, boundary), b"")
            for child in entity.children:
                self.lines(b"--" + boundary)
                self.entity(child)
                self.lines(b"")
            write_all(self.fd, b"--" + boundary + b"--")

    def base64(self, blocks: "Iterator[bytes]") -> None:
        """RFC 2045 section 6.8; the last line without its end."""
        rest = b""
        separator = b""
        for block in blocks:
            rest += block
            whole = len(rest) - len(rest) % LINE
            if whole:
                write_all(self.fd, separator + self.encoded(rest[:whole]))
                separator = self.newline
                rest = rest[whole:]
        if rest:
            write_all(self.fd, separator + self.encoded(rest))

    def encoded(self, data: bytes) -> bytes:
        """Lines of base64."""
        text = binascii.b2a_base64(data, newline=False)
        return self.newline.join(text[at : at + 76] for at in range(0, len(text), 76))


def type_of_multipart(subtype: str, boundary: bytes) -> bytes:
    """The Content-Type field of a multipart."""
    return b'Content-Type: multipart/%s;\n\tboundary="%s"' % (
        subtype.encode("ascii"),
        boundary,
    )


# -- reading --------------------------------------------------------------------------


def entities(
    fd: int, size: int, max_depth: int, with_body: bool, whole_rtf: bool
) -> tuple[list[Entity], str]:
    """The entities of the TNEF in ``fd`` and why it must be kept beside them ("": all
    of it is in them).

    ``with_body``: the texts of the message too, where nothing else is its text.
    ``whole_rtf``: no compressed text in it is damaged. Raises Unsure, OSError; ``fd``
    must stay open until all is written.
    """

    def read(offset: int, length: int) -> bytes:
        return pread_all(fd, length, offset)

    reading = tnef.inspect(read, size, max_depth, 20 * ENTITIES)
    for defect in reading.defects:
        if tnef.CODES[defect.code][0]:
            raise Unsure(defect.code)
    builder = _Builder(fd, reading, whole_rtf)
    found = builder.stream("", with_body)
    return found, builder.keep


class _Builder:
    __slots__ = (
        "attachments",
        "bodies",
        "count",
        "fd",
        "keep",
        "messages",
        "rtf_left",
        "streams",
        "whole_rtf",
    )

    def __init__(self, fd: int, reading: tnef.Reading, whole_rtf: bool) -> None:
        self.fd = fd
        self.whole_rtf = whole_rtf
        self.keep = ""
        self.count = 0
        self.rtf_left = RTF_BYTES
        # by the path of the attachment that is the message they are of
        self.attachments: dict[str, list[tnef.Attachment]] = {}
        self.bodies: dict[str, list[tnef.Body]] = {}
        for attachment in reading.attachments:
            self.attachments.setdefault(_parent(attachment.path), []).append(attachment)
        for body in reading.bodies:
            self.bodies.setdefault(_parent(body.path), []).append(body)
        self.messages = {message.path: message for message in reading.messages}
        self.streams: dict[str, int] = {}
        for path, _, _ in reading.nested:
            self.streams[path] = self.streams.get(path, 0) + 1

    def read(self, offset: int, length: int) -> bytes:
        return pread_all(self.fd, length, offset)

    def must_stay(self, why: str) -> None:
        self.keep = self.keep or why

    def more(self) -> None:
        self.count += 1
        if self.count > ENTITIES:
            raise Unsure("too many attachments")

    def stream(self, path: str, with_body: bool) -> list[Entity]:
        """All entities of one stream."""
        said = self.messages[path].texts.get("class", "").upper()
        if said and (not said.startswith(_NOTES) or _SIGNED in said):
            self.must_stay("class " + self.messages[path].texts["class"][:60])
        found: list[Entity] = []
        if with_body:
            found += self.texts(path)
        for attachment in self.attachments.get(path, ()):
            found += self.attachment(attachment)
        return found

    # Bodies.

    def texts(self, path: str) -> list[Entity]:
        """The text of a message: plain and HTML as alternatives, else RTF."""
        first: dict[str, tnef.Body] = {}
        for body in self.bodies.get(path, ()):
            first.setdefault(body.kind, body)
        found = [
            self.text(first[kind])
            for kind in ("text", "html")
            if kind in first and self.length(first[kind])
        ]
        if len(found) == 2:
            self.more()
            found = [Entity([], "alternative", children=found)]
        if "rtf" in first and "html" not in first:
            found += self.rtf(first["rtf"])
        return found

    def length(self, body: tnef.Body) -> int:
        """Without the NUL that ends it."""
        width = 2 if body.codec == "utf_16_le" else 1
        length = body.length
        while length >= width and not any(
            self.read(body.offset + length - width, width)
        ):
            length -= width
            if body.length - length >= 8:
                break
        return length

    def text(self, body: tnef.Body) -> Entity:
        self.more()
        subtype = "html" if body.kind == "html" else "plain"
        length = self.length(body)
        charset = body.codec
        if charset == "utf_16_le":
            charset = "utf-8"
        elif charset == "ascii" and subtype == "html":
            charset = ""  # the HTML says it itself, if it is anything else
        elif charset.startswith("cp125"):
            charset = "windows-" + charset[2:]
        elif charset.startswith("iso8859_"):
            charset = "iso-8859-" + charset[8:]
        else:
            charset = _CHARSETS.get(charset, charset.replace("_", "-"))
        field = f"Content-Type: text/{subtype}"
        if charset:
            field += f'; charset="{charset}"'
        wide = body.codec == "utf_16_le"

        def blocks() -> "Iterator[bytes]":
            pieces = self.windows(body.offset, length)
            return _utf8(pieces) if wide else pieces

        return Entity([field.encode("ascii")], "leaf", blocks)

    def rtf(self, body: tnef.Body) -> list[Entity]:
        """Decompressed once to see that it is whole, again when it is written."""
        odd: list[str] = []
        size = 0
        for piece in tnef.rtf(self.read, body.offset, body.length, self.rtf_left, odd):
            size += len(piece)
        if odd or not self.whole_rtf:
            self.must_stay("damaged text")
            return []
        self.rtf_left -= size
        self.more()

        def blocks() -> "Iterator[bytes]":
            return tnef.rtf(self.read, body.offset, body.length, size, [])

        fields = [b"Content-Type: text/rtf", disposition("message.rtf")]
        return [Entity(fields, "leaf", blocks)]

    # Attachments.

    def attachment(self, attachment: tnef.Attachment) -> list[Entity]:
        number = attachment.path.rpartition("/")[2]
        if number == "0":
            # Bytes that belong to no attachment.
            stray = any(kind == "trailing" for _, _, kind in attachment.spans)
            if stray or attachment.path in self.streams:
                self.must_stay("unexplained bytes")
            return []
        by_kind: dict[str, list[tuple[int, int]]] = {}
        for offset, length, kind in attachment.spans:
            by_kind.setdefault(kind, []).append((offset, length))
        name = file_name(attachment.filename) or f"attachment-{number}"
        contents = by_kind.get("data", []) + by_kind.get("binary", [])
        found: list[Entity] = []
        if attachment.path in self.streams:
            if self.streams[attachment.path] > 1 or len(by_kind.get("nested", [])) != 1:
                raise Unsure("several messages in one attachment")
            found.append(self.message(attachment, name))
        # Of an object with an unknown interface there is a shorter variant.
        objects = sorted(by_kind.get("object", []), key=lambda span: -span[1])[:1]
        if found or objects:
            contents = [one for one in contents if not self.is_filler(*one)]
        for offset, length in objects + contents:
            found.append(self.file(attachment, name, offset, length))
        if not found:
            self.must_stay(f"{attachment.path} has no content")
        return found

    def is_filler(self, offset: int, length: int) -> bool:
        """A line of text that stands in for an object or a message."""
        if length > FILLER:
            return False
        text = self.read(offset, length).rstrip(b"\0")
        return text.isascii() and not any(c < 32 and c not in b"\t\r\n" for c in text)

    def windows(self, offset: int, length: int) -> "Iterator[bytes]":
        end = offset + length
        while offset < end:
            block = self.read(offset, min(WINDOW, end - offset))
            if not block:
                raise OSError(5, "the unpacked winmail.dat is shorter than it was")
            yield block
            offset += len(block)

    def file(
        self, attachment: tnef.Attachment, name: str, offset: int, length: int
    ) -> Entity:
        self.more()
        head = self.read(offset, min(length, sniff.HEAD))
        media = media_type(attachment.declared_type, name, head)
        fields = [b"Content-Type: " + media.encode("ascii"), disposition(name)]
        fields += self.content_id(attachment)

        def blocks() -> "Iterator[bytes]":
            return self.windows(offset, length)

        return Entity(fields, "leaf", blocks)

    def content_id(self, attachment: tnef.Attachment) -> list[bytes]:
        text = attachment.content_id.strip("<>")
        if not text or len(text) > 200 or set(text) & set(' \t<>"(),;:\\'):
            return []
        return [b"Content-ID: <" + text.encode("ascii") + b">"]

    def message(self, attachment: tnef.Attachment, name: str) -> Entity:
        """An embedded message (RFC 2046 section 5.2.1)."""
        self.more()
        if attachment.path.count("tnef/") > DEEP:
            raise Unsure("messages nested too deeply")
        said = self.messages.get(attachment.path)
        if said is None:
            raise Unsure("an embedded message that was not read")
        fields = message_fields(said, attachment.filename)
        name = file_name(said.texts.get("subject", "").replace("/", "_")) or name
        inner = Entity(fields, "mixed", children=self.stream(attachment.path, True))
        if not inner.children:
            inner = Entity([*fields, b"Content-Type: text/plain"], "leaf")
        if not name.lower().endswith((".eml", ".msg")):
            name += ".eml"
        return Entity([disposition(name)], "message", children=[inner])


def _parent(path: str) -> str:
    """The message that "tnef/3/tnef/1" is of: "tnef/3"."""
    return path.rpartition("tnef/")[0].rstrip("/")


def _utf8(blocks: "Iterator[bytes]") -> "Iterator[bytes]":
    decoder = codecs.getincrementaldecoder("utf-16-le")("replace")
    for block in blocks:
        yield decoder.decode(block).encode("utf-8", "replace")
    yield decoder.decode(b"", True).encode("utf-8", "replace")


# -- fields ---------------------------------------------------------------------------


def file_name(name: str) -> str:
    """What may be shown as a file name: no path, no control or format characters."""
    name = name.replace("\\", "/").rpartition("/")[2]
    name = "".join(c if c.isprintable() else "_" for c in name).strip()
    if len(name) > FILE_NAME:
        stem, _, extension = name.rpartition(".")
        extension = extension[-20:]
        name = f"{(stem or name)[: FILE_NAME - 1 - len(extension)]}.{extension}"
    return name if name.strip("._ ") else ""


def disposition(name: str) -> bytes:
    """Content-Disposition of an attachment (RFC 2183, RFC 2231)."""
    start = b"Content-Disposition: attachment;\n\t"
    if name.isascii():
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        return start + b'filename="' + quoted.encode("ascii") + b'"'
    pieces = [""]
    for byte in name.encode("utf-8"):
        char = chr(byte)
        safe = char.isascii() and (char.isalnum() or char in "-._~")
        text = char if safe else f"%{byte:02X}"
        if len(pieces[-1]) + len(text) > 54:
            pieces.append("")
        pieces[-1] += text
    if len(pieces) == 1:
        return start + f"filename*=utf-8''{pieces[0]}".encode("ascii")
    pieces[0] = "utf-8''" + pieces[0]
    texts = [f"filename*{number}*={text}" for number, text in enumerate(pieces)]
    return start + ";\n\t".join(texts).encode("ascii")


def media_type(declared: str, name: str, head: bytes) -> str:
    """Declared by the sender, else by the name, else by the first bytes. A multipart or
    message may not be in base64 (RFC 2045 section 6.4)."""
    main, _, subtype = declared.partition("/")
    if (
        _is_token(main)
        and _is_token(subtype)
        and main not in ("multipart", "message")
        and declared not in (_OCTETS, "application/ms-tnef")
    ):
        return declared
    known = _BY_EXTENSION.get(name.rpartition(".")[2].lower())
    if known:
        return known
    found = sniff.detect(head)
    return found if found and found != "application/ms-tnef" else _OCTETS


def _is_token(text: str) -> bool:
    """RFC 6838 section 4.2."""
    return bool(text) and all(
        c.isascii() and (c.isalnum() or c in "!#$&-^_.+") for c in text
    )


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)


def message_fields(said: tnef.Message, name: str) -> list[bytes]:
    """The header of an embedded message, from what it says about itself."""
    texts = said.texts
    fields = []
    seconds = said.time // 10_000_000 - 11_644_473_600
    if said.time and 0 <= seconds < 253_402_300_800:
        t = time.gmtime(seconds)
        day, month = _DAYS[t.tm_wday], _MONTHS[t.tm_mon - 1]
        fields.append(
            f"Date: {day}, {t.tm_mday} {month} {t.tm_year:04d} "
            f"{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} +0000".encode("ascii")
        )
    address = texts.get("address", "")
    if address[:5].upper() == "SMTP:":
        address = address[5:]
    sender = texts.get("sender", "")
    if _is_address(address):
        mailbox = b"<" + address.encode("ascii") + b">"
        phrase = _phrase(sender) + b" " if sender.strip() else b""
        fields.append(b"From: " + phrase + mailbox)
    elif sender.strip():
        fields.append(b"From: " + _phrase(sender) + b":;")
    for word, field in (("to", b"To: "), ("cc", b"Cc: ")):
        if texts.get(word, "").strip():
            fields.append(field + _phrase(texts[word]) + b":;")
    fields.append(b"Subject: " + _encoded(texts.get("subject") or name))
    identity = texts.get("identity", "").strip()
    if identity[:1] == "<" and identity[-1:] == ">" and _is_address(identity[1:-1]):
        fields.append(b"Message-ID: " + identity.encode("ascii"))
    fields.append(b"MIME-Version: 1.0")
    return fields


def _is_address(text: str) -> bool:
    return (
        text.isascii()
        and 2 < len(text) <= 320
        and text.count("@") == 1
        and not any(c <= " " or c in '<>()[]:;,\\"\x7f' for c in text)
        and text[0] != "@" != text[-1]
    )


def _phrase(text: str) -> bytes:
    """A display name (RFC 5322 section 3.2.5)."""
    text = text[:300].strip()
    if text.isascii() and text.isprintable() and "=?" not in text:
        return b'"' + text.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'
    return _encoded(text)


def _encoded(text: str) -> bytes:
    """Unstructured text, in encoded words where it needs them (RFC 2047)."""
    text = "".join(c if c.isprintable() else " " for c in text[:500]).strip()
    if text.isascii() and text.isprintable() and "=?" not in text:
        return text.encode("ascii")
    words = []
    piece = b""
    for char in text:
        raw = char.encode("utf-8", "replace")
        if len(piece) + len(raw) > 42:
            words.append(piece)
            piece = b""
        piece += raw
    words.append(piece)
    return b"\n ".join(
        b"=?utf-8?B?" + binascii.b2a_base64(word, newline=False) + b"?="
        for word in words
    )
