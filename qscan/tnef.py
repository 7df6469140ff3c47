# SPDX-License-Identifier: MIT
"""TNEF (winmail.dat) read for its structure, byte by byte accounted for.

Does: walks the objects of a TNEF stream and of every stream nested in it
([MS-OXTNEF]), says where each attachment, name and body lies, and notes everything
that another program might read differently. Every byte must belong to an object and
every object must be explained; what is not becomes a Defect with its offset. Where
programs are known to differ (a second file on one attachment, lengths past the end,
garbage between objects, unknown property types) all their readings are followed.
Never does: I/O of its own, decompression in memory, raise on content.
Limits: reads windows of 64 KiB; every count is checked against the bytes that are left
before it is believed; nesting is a queue, not recursion; objects, properties and bytes
read are bounded, and a bound that is hit is a defect.

Objects are ``level(1) name(2) type(2) length(4) data checksum(2)``, little endian;
[MS-OXTNEF] section 2.1.3.1.
"""

from __future__ import annotations

import zlib

from qscan.model import Defect

TYPE_CHECKING = False  # typing would cost more than the whole module
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    # read(offset, length) -> the bytes there; short only at the end of the blob
    Read = Callable[[int, int], bytes]
    # where a value lies: property id, property type, offset, length
    Found = tuple[int, int, int, int]
    # code, offset, detail
    Problem = tuple[str, int, str]

# code -> (True: something may be hidden or read in two ways; False: careless software
# does this and nothing is lost, what it means)
CODES: dict[str, tuple[bool, str]] = {
    "tnef-ambiguous-property": (True, "a property list can be read in two ways"),
    "tnef-bad-signature": (True, "does not begin with the TNEF signature"),
    "tnef-checksum": (True, "the checksum of an object is wrong"),
    "tnef-child-died": (True, "the unpacking process ended without a result"),
    "tnef-codepage": (False, "the code page is not a known one"),
    "tnef-count": (True, "a count does not agree with what is there"),
    "tnef-cpu-limit": (True, "unpacking took too much processor time"),
    "tnef-data-before-renddata": (True, "an attachment without its first object"),
    "tnef-data-in-message": (True, "attachment data among the message properties"),
    "tnef-duplicate-data": (True, "one attachment has more than one content"),
    "tnef-duplicate-properties": (True, "more than one property list of one kind"),
    "tnef-duplicate-title": (True, "one attachment has more than one title"),
    "tnef-garbage": (True, "bytes between objects that are no object"),
    "tnef-length-past-end": (True, "an object is longer than what is left"),
    "tnef-level": (True, "an object on the wrong level"),
    "tnef-library-error": (False, "the library failed on a well-formed file"),
    "tnef-long-name": (False, "a file name too long for any system"),
    "tnef-memory-limit": (True, "unpacking took too much memory"),
    "tnef-nested-too-deep": (True, "nested more deeply than the limit"),
    "tnef-no-data": (True, "an attachment without content"),
    "tnef-odd-name": (True, "a file name with control characters"),
    "tnef-odd-length": (False, "an object of fixed size has another size"),
    "tnef-order": (False, "message objects after those of an attachment"),
    "tnef-parser-error": (True, "the library failed on a defective file"),
    "tnef-property-length": (True, "a property is longer than what is left"),
    "tnef-property-name": (True, "a named property of an unknown kind"),
    "tnef-property-trailing": (True, "bytes behind the last property of a list"),
    "tnef-property-type": (True, "a property of a type that programs do not know"),
    "tnef-reference": (False, "an attachment that is elsewhere"),
    "tnef-rtf": (False, "the compressed text is damaged"),
    "tnef-short-last-object": (False, "a last object that some programs ignore"),
    "tnef-too-many-names": (True, "an attachment with more names than are looked at"),
    "tnef-too-many-objects": (True, "more objects or properties than the limit"),
    "tnef-trailing-data": (True, "bytes behind the last object"),
    "tnef-trailing-newline": (False, "a line end behind the last object"),
    "tnef-truncated": (True, "ends within its header or an object"),
    "tnef-type": (True, "an object of another type than its name calls for"),
    "tnef-unknown-attribute": (True, "an object with a name that is not known"),
    "tnef-version": (False, "not version 1 of the format"),
    "tnef-wall-limit": (True, "unpacking took too long"),
}

SIGNATURE = b"\x78\x9f\x3e\x22"
HEADER = 6  # signature(4) key(2)
SHORTEST = 11  # an object without data
WINDOW = 65536
MAX_DEPTH = 20
# 100 000 objects of Outlook are about 12 000 attachments; at some 4 us each they
# still fit into the default processor time of 2 s.
MAX_OBJECTS = 100_000
MAX_NAME = 512  # characters kept; file systems end at 255
MAX_NAMES = 16  # of one attachment
OPAQUE = 1024  # bytes from which an unexplained binary property is worth a scan
PER_CODE = 8  # defects noted of one code
CLAMPED = 8  # overlong objects also read as "up to the end": these overlap
CARVED = 64  # values looked for behind a broken property

IMESSAGE = b"\x07\x03\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46"
_ISTORAGE = b"\x0b" + bytes(7) + IMESSAGE[8:]
_ISTREAM = b"\x0c" + bytes(7) + IMESSAGE[8:]
_INTERFACES = (IMESSAGE, _ISTORAGE, _ISTREAM)

# Object names of [MS-OXTNEF] section 2.1.3.2 that matter here.
_FROM = 0x8000
_SUBJECT = 0x8004
_CLASS = 0x8008
_BODY = 0x800C
_DATA = 0x800F
_TITLE = 0x8010
_METAFILE = 0x8011
_TRANSPORT_NAME = 0x9001
_RENDDATA = 0x9002
_MESSAGE_PROPERTIES = 0x9003
_RECIPIENTS = 0x9004
_ATTACHMENT = 0x9005
_VERSION = 0x9006
_CODEPAGE = 0x9007

# name -> level, types, size of the data (0: any). 0x0006 is DateStart or, with type 7,
# OriginalMessageClass (some write 0x0600 or 0x9008 for that); 0x0000 is Owner or, with
# type 0, the null object of any level.
_KNOWN: dict[int, tuple[int, tuple[int, ...], int]] = {
    0x0000: (1, (6, 0), 0),
    0x0001: (1, (6,), 0),
    0x0002: (1, (6,), 0),
    0x0006: (1, (3, 7), 0),
    0x0007: (1, (3,), 14),
    0x0008: (1, (5, 4), 4),
    0x0009: (1, (4,), 2),
    0x0600: (1, (7,), 0),
    0x8000: (1, (0,), 0),
    0x8004: (1, (1,), 0),
    0x8005: (1, (3,), 14),
    0x8006: (1, (3,), 14),
    0x8007: (1, (6,), 0),
    0x8008: (1, (7,), 0),
    0x8009: (1, (1,), 0),
    0x800A: (1, (1,), 0),
    0x800B: (1, (1,), 0),
    _BODY: (1, (2,), 0),
    0x800D: (1, (4,), 2),
    _DATA: (2, (6,), 0),
    _TITLE: (2, (1,), 0),
    _METAFILE: (2, (6,), 0),
    0x8012: (2, (3,), 14),
    0x8013: (2, (3,), 14),
    0x8020: (1, (3,), 14),
    _TRANSPORT_NAME: (2, (6,), 0),
    _RENDDATA: (2, (6,), 14),
    _MESSAGE_PROPERTIES: (1, (6,), 0),
    _RECIPIENTS: (1, (6,), 0),
    _ATTACHMENT: (2, (6,), 0),
    _VERSION: (1, (8,), 4),
    _CODEPAGE: (1, (6,), 8),
    0x9008: (1, (7,), 0),
}
# Headers are recognised in the midst of garbage by these four bytes; the names below
# 0x8000 are too much like any other bytes.
_TAGS = tuple(
    name.to_bytes(2, "little") + kind.to_bytes(2, "little")
    for name, (_, kinds, _) in _KNOWN.items()
    for kind in kinds
    if name >= 0x8000
)

# Property types of [MS-OXCDATA] section 2.11.1 and the bytes a single value takes in
# a list ([MS-OXTNEF] section 2.1.3.4: padded to four).
_FIXED = {
    0x0002: 4,
    0x0003: 4,
    0x0004: 4,
    0x0005: 8,
    0x0006: 8,
    0x0007: 8,
    0x000A: 4,
    0x000B: 4,
    0x0014: 8,
    0x0040: 8,
    0x0048: 16,
}
_SHORT = (0x0002, 0x000B)
_UNSPECIFIED = 0x0000
_NULL = 0x0001
_ERROR = 0x000A
_OBJECT = 0x000D
_STRING8 = 0x001E
_UNICODE = 0x001F
_BINARY = 0x0102
_VARIABLE = (_OBJECT, _STRING8, _UNICODE, _BINARY)
_MULTIPLE = 0x1000

# Property ids of [MS-OXPROPS].
_ATTACH_DATA = 0x3701
_ATTACH_METHOD = 0x3705
_ATTACH_RENDERING = 0x3709
_MIME_TAG = 0x370E
_INTERNET_CODEPAGE = 0x3FDE
_ATTACH_ENCODING = 0x3702
_CONTENT_ID = 0x3712
_EXTENSION = 0x3703
# long file name, file name, display name, transport name, long path, path
_NAME_IDS = (0x3707, 0x3704, 0x3001, 0x370C, 0x370D, 0x3708, _EXTENSION)
# The best name to show first; 0 is the title of the attachment, object 0x8010.
_RANKS = (0x3707, 0, 0x3704, 0x370C, 0x3001, 0x370D, 0x3708)
_BODY_IDS = {0x1000: "text", 0x3FD9: "text", 0x1013: "html", 0x1009: "rtf"}
# What a message says about itself, in the order of preference.
_TEXT_IDS = {
    0x001A: "class",
    0x0037: "subject",
    0x0C1A: "sender",
    0x0042: "sender",
    0x5D01: "address",
    0x0C1F: "address",
    0x0E04: "to",
    0x0E03: "cc",
    0x1035: "identity",
}
_TIME_IDS = (0x0039, 0x0E06)  # submitted, delivered
_INTERESTING = frozenset(
    (
        *(_ATTACH_DATA, _ATTACH_METHOD, _ATTACH_RENDERING, _ATTACH_ENCODING),
        *(_MIME_TAG, _INTERNET_CODEPAGE, _CONTENT_ID),
        *_NAME_IDS,
        *_BODY_IDS,
        *_TEXT_IDS,
        *_TIME_IDS,
    )
)
# These are of a type with a length, or nobody knows what they are.
_NEVER_FIXED = frozenset((_ATTACH_DATA, *_NAME_IDS, *_BODY_IDS))
# OID of MacBinary, [MS-OXCMSG] section 2.2.2.12 (PidTagAttachEncoding).
_MACBINARY = bytes.fromhex("2a864886f714030b01")
_CONTENTS = ("data", "binary", "object", "nested")  # kinds of spans
_BY_REFERENCE = (2, 3, 4, 7)  # PidTagAttachMethod: the content is somewhere else

# How programs read what the format leaves open; all combinations are tried on a list
# that contains such a thing.
_STEPPED = 1  # several 16 bit values take four bytes each, not two
_NULL_HAS_DATA = 2  # types Unspecified and Null have a length and data, not nothing

_CODECS = {
    932: "cp932",
    936: "gbk",
    949: "cp949",
    950: "cp950",
    1361: "johab",
    10000: "mac_roman",
    20127: "ascii",
    20866: "koi8_r",
    20932: "euc_jp",
    20936: "gb2312",
    21866: "koi8_u",
    38598: "iso8859_8",
    50220: "iso2022_jp",
    50221: "iso2022_jp",
    50222: "iso2022_jp",
    50225: "iso2022_kr",
    51932: "euc_jp",
    51936: "gb2312",
    51949: "euc_kr",
    52936: "hz",
    54936: "gb18030",
    65000: "utf_7",
    65001: "utf_8",
}
_OLD_CODEPAGES = (
    *(37, 437, 500, 720, 737, 775, 850, 852, 855, 857, 858, 860, 861, 862, 863, 864),
    *(865, 866, 869, 874, 875, 1026, 1140),
)
# Code pages that no 8 bit string can be in; Outlook writes them all the same.
_WIDE_CODEPAGES = (0, 1200, 1201, 12000, 12001)


def codec(number: int) -> str | None:
    """The name of Python's codec for a Windows code page; None if there is none."""
    if number in _CODECS:
        return _CODECS[number]
    if 1250 <= number <= 1258 or number in _OLD_CODEPAGES:
        return f"cp{number}"
    if 28591 <= number <= 28606 and number != 28602:
        return f"iso8859_{number - 28590}"
    return None


class Attachment:
    """One attachment as the stream has it.

    ``path`` "tnef/1", nested "tnef/1/tnef/2"; ``names`` every name it carries in every
    likely decoding; ``spans`` (offset, length, kind) of the outermost blob, kind one of
    data, binary, object, nested, metafile, property, unknown, trailing, fork (of a
    MacBinary content); ``declared_type`` and ``content_id`` if it says one;
    ``filename`` the name to show, "" when it has none.
    """

    __slots__ = (
        "_at",
        "_contents",
        "_elsewhere",
        "_lists",
        "_mac",
        "_objects",
        "_raw",
        "_titles",
        "content_id",
        "declared_type",
        "filename",
        "names",
        "path",
        "spans",
    )

    def __init__(self, path: str) -> None:
        self.path = path
        self.names: list[str] = []
        self.spans: list[tuple[int, int, str]] = []
        self.declared_type = ""
        self.content_id = ""
        self.filename = ""
        self._at = 0
        self._elsewhere = False
        self._mac = False
        self._raw: list[tuple[bytes, bool, int]] = []
        self._titles = 0
        self._lists = 0
        self._contents = 0
        self._objects = 0


class Body:
    """A message text: ``path``, ``offset`` and ``length`` in the outermost blob,
    ``kind`` text, html or rtf (compressed, see ``rtf``), ``codec`` Python's name of
    what it is written in, "" when the stream does not say."""

    __slots__ = ("codec", "kind", "length", "offset", "path")

    def __init__(self, path: str, offset: int, length: int, kind: str) -> None:
        self.path = path
        self.offset = offset
        self.length = length
        self.kind = kind
        self.codec = ""


class Message:
    """What a stream says about its message: ``path`` of its attachment, "" for the
    outermost; ``texts`` class, subject, sender, address, to, cc, identity (Internet
    message id) as far as they are there, the first TEXT bytes; ``time`` a FILETIME
    (100 ns since 1601 UTC), 0 when there is none."""

    __slots__ = ("path", "texts", "time")

    def __init__(self, path: str) -> None:
        self.path = path
        self.texts: dict[str, str] = {}
        self.time = 0


class Reading:
    """What a TNEF blob holds. ``nested`` is (path, offset, length) of each stream in
    it, ``messages`` what each says about itself; ``defects`` what is not as it must be,
    ``where`` "offset N"."""

    __slots__ = ("attachments", "bodies", "defects", "messages", "nested")

    def __init__(self) -> None:
        self.attachments: list[Attachment] = []
        self.bodies: list[Body] = []
        self.defects: list[Defect] = []
        self.messages: list[Message] = []
        self.nested: list[tuple[str, int, int]] = []

    def harmless(self) -> bool:
        """True when nothing in it can be hidden or be read in two ways."""
        return not any(CODES[defect.code][0] for defect in self.defects)


def inspect(
    read: Read,
    size: int,
    max_depth: int = MAX_DEPTH,
    max_objects: int = MAX_OBJECTS,
) -> Reading:
    """Read the structure of the TNEF blob of ``size`` bytes behind ``read``.

    ``max_depth`` levels of streams within streams, ``max_objects`` objects in all of
    them together (and four times as many properties). Raises only what ``read`` raises.
    """
    return _Walk(read, size, max_depth, max_objects).walk()


class _Enough(Exception):
    """A bound is reached; never leaves this module."""


class _Stream:
    """State while one stream is walked."""

    __slots__ = (
        "_loose",
        "attachments",
        "bodies",
        "codecs",
        "current",
        "depth",
        "end",
        "internet",
        "lists",
        "oem",
        "path",
        "said",
        "start",
        "times",
    )

    def __init__(self, start: int, end: int, path: str, depth: int) -> None:
        # a body and whether its own property says that it is UTF-16
        self.bodies: list[tuple[Body, bool]] = []
        # property id or object name -> bytes, whether they are UTF-16
        self.said: dict[int, tuple[bytes, bool]] = {}
        self.times: dict[int, int] = {}
        self.oem = ""
        self.internet = ""
        self.start = start
        self.end = end
        self.path = path
        self.depth = depth
        self.current: Attachment | None = None
        self.attachments: list[Attachment] = []
        self.codecs: list[str] = []
        self.lists: set[int] = set()
        self._loose: Attachment | None = None

    def begin(self, at: int) -> Attachment:
        self.current = Attachment(f"{self.path}tnef/{len(self.attachments) + 1}")
        self.current._at = at
        self.attachments.append(self.current)
        return self.current

    def loose(self) -> Attachment:
        """What belongs to no attachment is kept here."""
        if self._loose is None:
            self._loose = Attachment(f"{self.path}tnef/0")
        return self._loose

    def all(self) -> list[Attachment]:
        if self._loose is None:
            return self.attachments
        return [*self.attachments, self._loose]


class _Walk:
    """One inspection: the queue of streams, the window and the budgets."""

    def __init__(self, read: Read, size: int, max_depth: int, max_objects: int) -> None:
        self.source = read
        self.size = size
        self.max_depth = max_depth
        self.objects_left = max_objects
        self.properties_left = 4 * max_objects
        # A well-formed blob is read about three times per level; overlapping
        # readings of a malformed one must not multiply.
        self.bytes_left = (4 * max_depth + 32) * size + 16 * WINDOW
        self.vain_left = 2 * size
        self.clamped_left = CLAMPED
        self.carved_left = CARVED
        self.reading = Reading()
        self.noted: set[tuple[str, int]] = set()
        self.noted_codes: dict[str, int] = {}
        self.queue: list[_Stream] = []
        self.starts: set[int] = set()
        self.window = b""
        self.window_start = 0
        # object headers found in a block of garbage
        self.hits: list[int] = []
        self.hits_index = 0
        self.hits_start = 0
        self.hits_next = 0
        self.hits_end = -1

    # Reading, always within bounds.

    def read(self, offset: int, length: int) -> bytes:
        self.bytes_left -= length
        if self.bytes_left < 0:
            self.defect("tnef-too-many-objects", offset, "too many readings")
            raise _Enough
        return self.source(offset, length)

    def get(self, offset: int, length: int, end: int) -> bytes:
        """A few bytes through the window; short at ``end``."""
        at = offset - self.window_start
        if at < 0 or at + length > len(self.window):
            length = min(length, end - offset)
            if length <= 0:
                return b""
            self.window = self.read(offset, max(length, min(WINDOW, end - offset)))
            self.window_start = offset
            at = 0
        return self.window[at : at + length]

    def u32(self, offset: int, end: int) -> int:
        return int.from_bytes(self.get(offset, 4, end), "little")

    def sum(self, offset: int, length: int) -> int:
        """Sum of bytes mod 65536. adler32 from 0 holds the plain sum in its low half
        as long as that stays below 65521, that is for 256 bytes."""
        adler32 = zlib.adler32
        total = 0
        at = offset - self.window_start
        if at >= 0 and at + length <= len(self.window):
            data = memoryview(self.window)[at : at + length]
            for index in range(0, length, 256):
                total += adler32(data[index : index + 256], 0) & 0xFFFF
            return total & 0xFFFF
        while length > 0:
            block = self.read(offset, min(WINDOW, length))
            if not block:
                break
            data = memoryview(block)
            for index in range(0, len(block), 256):
                total += adler32(data[index : index + 256], 0) & 0xFFFF
            offset += len(block)
            length -= len(block)
        return total & 0xFFFF

    def positions(self, pattern: bytes, offset: int, end: int) -> Iterator[int]:
        """Where ``pattern`` occurs, ascending."""
        overlap = len(pattern) - 1
        while end - offset > overlap:
            block = self.read(offset, min(WINDOW, end - offset))
            if len(block) <= overlap:
                return
            at = block.find(pattern)
            while at >= 0:
                yield offset + at
                at = block.find(pattern, at + 1)
            if offset + len(block) >= end:
                return
            offset += len(block) - overlap

    # Noting.

    def defect(self, code: str, offset: int, detail: str = "") -> None:
        if (code, offset) in self.noted:
            return
        number = self.noted_codes.get(code, 0)
        if number >= PER_CODE:
            return
        self.noted.add((code, offset))
        self.noted_codes[code] = number + 1
        self.reading.defects.append(Defect(code, f"offset {offset}", detail))

    # Streams.

    def walk(self) -> Reading:
        self.nest(0, self.size, "", 0)
        index = 0
        stream = None
        try:
            while index < len(self.queue):
                stream = self.queue[index]
                index += 1
                self.stream(stream)
                self.finish(stream)
                stream = None
        except _Enough:
            if stream is not None:
                self.finish(stream)
        return self.reading

    def nest(self, offset: int, length: int, path: str, depth: int) -> None:
        """Queue a stream; each place once, however many readings lead there."""
        if offset in self.starts:
            return
        if depth > self.max_depth:
            self.defect("tnef-nested-too-deep", offset, f"more than {self.max_depth}")
            return
        self.starts.add(offset)
        if depth:
            self.reading.nested.append((path, offset, length))
            path += "/"
        self.queue.append(_Stream(offset, offset + length, path, depth))

    def finish(self, stream: _Stream) -> None:
        """Names can be decoded only now: the code page may come last."""
        for attachment in stream.all():
            if attachment is stream._loose and not attachment.spans:
                continue
            if attachment is stream._loose:
                self.reading.attachments.append(attachment)
                continue
            best = len(_RANKS)
            extensions: list[str] = []
            for raw, wide, ident in attachment._raw:
                texts = _texts(raw, wide, stream.codecs)
                rank = _RANKS.index(ident) if ident in _RANKS else best
                if texts and rank < best:
                    best = rank
                    attachment.filename = texts[0]
                for name in texts:
                    if ident == _EXTENSION:
                        extensions.append(name)
                    elif name not in attachment.names:
                        attachment.names.append(name)
            ends = [name.lower() for name in attachment.names]
            for name in extensions:
                # News only when no name has it.
                if not any(end.endswith(name.lower()) for end in ends):
                    attachment.names.append(name)
            if not attachment._elsewhere and not any(
                kind in _CONTENTS for _, _, kind in attachment.spans
            ):
                self.defect("tnef-no-data", attachment._at, attachment.path)
            if len(attachment.names) > MAX_NAMES:
                self.defect("tnef-too-many-names", attachment._at, attachment.path)
                del attachment.names[MAX_NAMES:]
            self.reading.attachments.append(attachment)
        for body, wide in stream.bodies:
            if wide:
                body.codec = "utf_16_le"
            elif body.kind == "html":
                body.codec = stream.internet or stream.oem
            elif body.kind == "text":
                body.codec = stream.oem or stream.internet
        self.reading.messages.append(_message(stream))

    def stream(self, stream: _Stream) -> None:
        start, end = stream.start, stream.end
        head = self.get(start, HEADER, end)
        at = start + HEADER
        if head[:4] != SIGNATURE:
            if end - start < HEADER:
                self.defect("tnef-truncated", start, f"{end - start} bytes")
            self.defect("tnef-bad-signature", start, head[:4].hex())
            found = next(self.positions(SIGNATURE, start, end), -1)
            if found >= 0:
                at = found + HEADER
            elif not self.plausible(at, end):
                at = start
        elif len(head) < HEADER:
            self.defect("tnef-truncated", start, f"{end - start} bytes")
            return
        while 0 <= at < end:
            if self.objects_left <= 0:
                self.defect("tnef-too-many-objects", at, "objects")
                raise _Enough
            self.objects_left -= 1
            at = self.object(stream, at)

    def plausible(self, at: int, end: int) -> bool:
        return self.get(at + 1, 4, end) in _TAGS

    def resync(self, at: int, end: int) -> int:
        """The next offset from ``at`` on where an object may begin, or -1. The hits
        of a block are kept: many short stretches of garbage cost one search."""
        while end - at >= SHORTEST:
            if self.hits_end != end or not self.hits_start <= at < self.hits_next:
                block = self.read(at, min(WINDOW, end - at))
                if len(block) < SHORTEST:
                    break
                hits = []
                for tag in _TAGS:
                    hit = block.find(tag, 1)
                    while hit >= 0:
                        hits.append(at + hit - 1)
                        hit = block.find(tag, hit + 1)
                hits.sort()
                self.hits = hits
                self.hits_index = 0
                self.hits_start = at
                self.hits_next = at + len(block) - 4
                self.hits_end = end
            hits = self.hits
            index = self.hits_index
            while index < len(hits) and hits[index] < at:
                index += 1
            self.hits_index = index
            if index < len(hits):
                return hits[index]
            at = self.hits_next
        return -1

    def object(self, stream: _Stream, at: int) -> int:
        """Read the object at ``at``; where the next begins, or -1."""
        end = stream.end
        left = end - at
        if left < SHORTEST:
            rest = self.get(at, left, end)
            if rest in (b"\n", b"\r\n"):
                self.defect("tnef-trailing-newline", at)
            else:
                self.defect("tnef-trailing-data", at, f"{left} bytes: {rest.hex()}")
            return -1
        head = self.get(at, 9, end)
        if len(head) < 9:
            self.defect("tnef-truncated", at, "the blob is shorter than it should be")
            return -1
        level = head[0]
        name = head[1] | head[2] << 8
        kind = head[3] | head[4] << 8
        length = int.from_bytes(head[5:9], "little")
        start = at + 9
        fits = length <= left - SHORTEST
        known = _KNOWN.get(name)
        exact = known is not None and kind in known[1]
        summed = -1
        stored = 0
        if known is not None and name >= 0x8000 and (exact or level in (1, 2)):
            accepted = True
        elif level not in (1, 2):
            accepted = False
        elif exact and fits and any(head[1:]):
            accepted = True
        elif fits and length <= self.vain_left:
            self.vain_left -= length
            summed = self.sum(start, length)
            stored = int.from_bytes(self.get(start + length, 2, end), "little")
            # An object of nothing but zeros is right about its checksum.
            accepted = summed == stored and any(head[1:])
            if accepted:
                self.vain_left += length
        else:
            accepted = False
        if not accepted:
            return self.garbage(stream, at, end)
        if known is None:
            self.defect("tnef-unknown-attribute", at, f"name {name:04x}")
            if level not in (1, 2):
                self.defect("tnef-level", at, f"level {level}")
        else:
            if not exact:
                self.defect("tnef-type", at, f"name {name:04x}, type {kind:04x}")
            if level != known[0] and (name, kind) != (0, 0):
                self.defect("tnef-level", at, f"name {name:04x}, level {level}")
            elif level == 1 and stream.attachments:
                self.defect("tnef-order", at, f"name {name:04x}")
            if known[2] and known[2] != length and fits:
                self.defect("tnef-odd-length", at, f"name {name:04x}, {length} bytes")
        if not fits:
            self.defect(
                "tnef-length-past-end",
                at,
                f"name {name:04x}, {length} bytes of {left - SHORTEST} left",
            )
            # Some take what there is, up to the end; others look for what follows.
            if self.clamped_left > 0:
                self.clamped_left -= 1
                self.content(stream, name, at, start, end - start)
            return self.resync(at + 1, end)
        if summed < 0:
            summed = self.sum(start, length)
            stored = int.from_bytes(self.get(start + length, 2, end), "little")
        if summed != stored:
            self.defect(
                "tnef-checksum",
                at,
                f"name {name:04x}, {stored:04x} instead of {summed:04x}",
            )
        if left == SHORTEST + length and length <= 1:
            # tnefparse and its kind stop when 12 bytes or less are left.
            self.defect("tnef-short-last-object", at, f"name {name:04x}")
        self.content(stream, name, at, start, length)
        return start + length + 2

    def garbage(self, stream: _Stream, at: int, end: int) -> int:
        """No object begins here: find the next."""
        following = self.resync(at + 1, end)
        until = following if following >= 0 else end
        detail = f"{until - at} bytes: {self.get(at, 8, until).hex()}"
        code = "tnef-garbage" if following >= 0 else "tnef-trailing-data"
        self.defect(code, at, detail)
        if until - at >= 64:
            stream.loose().spans.append((at, until - at, "trailing"))
        return following

    # Objects.

    def content(
        self, stream: _Stream, name: int, at: int, start: int, length: int
    ) -> None:
        """The data of the object at ``at``: ``length`` bytes at ``start``."""
        end = start + length
        if name in _ATTACHMENT_NAMES:
            if name == _RENDDATA:
                begun = stream.begin(at)
                if length >= 64:
                    begun.spans.append((start, length, "unknown"))
                return
            attachment = stream.current
            if attachment is None:
                self.defect("tnef-data-before-renddata", at, f"name {name:04x}")
                attachment = stream.begin(at)
            if name == _DATA:
                self.data(stream, attachment, at, start, length, "data")
            elif name == _TITLE:
                attachment._titles += 1
                if attachment._titles > 1:
                    self.defect("tnef-duplicate-title", at)
                self.name(stream, attachment, at, start, length, False, 0)
            elif name == _TRANSPORT_NAME:
                self.name(stream, attachment, at, start, length, False, 0x370C)
            elif name == _METAFILE:
                attachment.spans.append((start, length, "metafile"))
                self.look_inside(stream, attachment, start, length)
            elif name == _ATTACHMENT:
                attachment._lists += 1
                if attachment._lists > 1:
                    self.defect("tnef-duplicate-properties", at)
                self.properties(stream, attachment, at, start, end, False)
        elif name in (_MESSAGE_PROPERTIES, _RECIPIENTS):
            if name in stream.lists:
                self.defect("tnef-duplicate-properties", at)
            stream.lists.add(name)
            self.properties(stream, None, at, start, end, name == _RECIPIENTS)
        elif name == _BODY:
            self.body(stream, start, length, "text", False)
        elif name == _CODEPAGE:
            if length >= 4:
                number = self.u32(start, end)
                self.codepage(stream, at, number)
                stream.oem = stream.oem or codec(number) or ""
        elif name in (_CLASS, _SUBJECT, _FROM) and length < OPAQUE:
            stream.said.setdefault(name, (self.get(start, length, end), False))
        elif name == _VERSION:
            if length >= 4 and self.u32(start, end) != 0x10000:
                self.defect("tnef-version", at, f"{self.u32(start, end):08x}")
        elif length >= (64 if name not in _KNOWN or _KNOWN[name][2] else OPAQUE):
            stream.loose().spans.append((start, length, "unknown"))
            self.look_inside(stream, stream.loose(), start, length)

    def codepage(self, stream: _Stream, at: int, number: int) -> None:
        if number in _WIDE_CODEPAGES:
            return
        name = codec(number)
        if name is None:
            self.defect("tnef-codepage", at, str(number))
        elif name not in stream.codecs and len(stream.codecs) < 3:
            stream.codecs.append(name)

    def name(
        self,
        stream: _Stream,
        attachment: Attachment,
        at: int,
        start: int,
        length: int,
        wide: bool,
        ident: int,
    ) -> None:
        """Keep a name for later; ``ident`` of _RANKS, or another property."""
        if length <= 0:
            return
        if len(attachment._raw) >= MAX_NAMES:
            self.defect("tnef-too-many-names", at, attachment.path)
            return
        half = MAX_NAME if wide else MAX_NAME // 2
        if length > 2 * half:
            # Both ends: one has the name, the other the extension.
            self.defect("tnef-long-name", at, f"{length} bytes")
            tail = length - half
            if wide:
                tail &= ~1
            raw = self.get(start, half, stream.end)
            raw += self.get(start + tail, half, stream.end)
        else:
            raw = self.get(start, length, stream.end)
        if not wide and len(raw.translate(None, _CONTROLS)) < len(raw):
            # Not a name: what else may it be?
            self.defect("tnef-odd-name", at, raw[:8].hex())
            attachment.spans.append((start, length, "unknown"))
            self.look_inside(stream, attachment, start, length)
        if (raw, wide, ident) not in attachment._raw:
            attachment._raw.append((raw, wide, ident))

    def body(
        self, stream: _Stream, start: int, length: int, kind: str, wide: bool
    ) -> None:
        if length > 0:
            body = Body(f"{stream.path}tnef/{kind}", start, length, kind)
            self.reading.bodies.append(body)
            stream.bodies.append((body, wide))

    def data(
        self,
        stream: _Stream,
        attachment: Attachment,
        at: int,
        start: int,
        length: int,
        kind: str,
    ) -> None:
        """The content of an attachment, from object 0x800f or property 0x3701.

        An OLE object or an embedded message comes as property 0x3701 of type Object,
        beside a 0x800f that holds a line of text for old programs; that is how it must
        be. Any other second content is a differential.
        """
        if length > 0:
            if kind == "object":
                attachment._objects += 1
            else:
                attachment._contents += 1
        if attachment._contents > 1 or attachment._objects > 1:
            self.defect("tnef-duplicate-data", at)
        head = self.get(start, min(20, length), start + length)
        if kind == "object" and length >= 16:
            inner = self.look_inside(stream, attachment, start, length)
            if inner != 0:
                attachment.spans.append(
                    (start + 16, length - 16, "nested" if inner == 16 else "object")
                )
            if inner == 0 or (inner < 0 and head[:16] not in _INTERFACES):
                attachment.spans.append(
                    (start, length, "nested" if inner == 0 else "object")
                )
            return
        inner = self.look_inside(stream, attachment, start, length)
        attachment.spans.append((start, length, "nested" if inner == 0 else kind))
        if inner == 16:
            attachment.spans.append((start + 16, length - 16, "nested"))

    def look_inside(
        self, stream: _Stream, attachment: Attachment, start: int, length: int
    ) -> int:
        """Where in this value a nested stream begins (queued then), or -1."""
        head = self.get(start, min(20, length), start + length)
        if head[:4] == SIGNATURE:
            inner = 0
        elif head[16:] == SIGNATURE or head[:16] == IMESSAGE:
            inner = 16
        else:
            return -1
        self.nest(start + inner, length - inner, attachment.path, stream.depth + 1)
        return inner

    # Property lists.

    def properties(
        self,
        stream: _Stream,
        attachment: Attachment | None,
        at: int,
        start: int,
        end: int,
        table: bool,
    ) -> None:
        """A MsgPropertyList or, with ``table``, a count of rows and such lists."""
        found, odd, problem, questions = self.values(start, end, table, 0)
        if questions:
            good = [] if problem else [(found, odd)]
            for dialect in (1, 2, 3):
                if dialect & ~questions:
                    continue
                other = self.values(start, end, table, dialect)
                questions |= other[3]
                if other[2] is None:
                    good.append(other[:2])
            if good:
                found, odd = good[0]
                problem = None
                for more, _ in good[1:]:
                    if more != found:
                        self.defect("tnef-ambiguous-property", at)
                        known = set(found)
                        found = found + [one for one in more if one not in known]
        for code, where, detail in odd:
            self.defect(code, where, detail)
        if problem is not None:
            code, where, detail = problem
            self.defect(code, where, detail)
            found = found + self.carve(where, end)
        for ident, kind, offset, length in found:
            if table and ident in _SAID:
                continue  # of a recipient
            self.value(stream, attachment, at, ident, kind, offset, length)
        if attachment is not None and attachment._mac:
            attachment._mac = False
            self.forks(stream, attachment)

    def values(
        self, start: int, end: int, table: bool, dialect: int
    ) -> tuple[list[Found], list[Problem], Problem | None, int]:
        """What the list or table at ``start`` has: the values worth knowing, what is
        odd about it, why it cannot be read to its end, and which dialects would read
        it differently."""
        found: list[Found] = []
        odd: list[Problem] = []
        problem: Problem | None = None
        questions = 0
        if end - start < 4:
            return found, odd, ("tnef-count", start, "no room for a count"), 0
        if not table:
            _, problem, questions = self.one_list(
                start, end, dialect, found, odd, alone=True
            )
            return found, odd, problem, questions
        rows = self.u32(start, end)
        at = start + 4
        if rows * 4 > end - at:
            problem = ("tnef-count", start, f"{rows} rows in {end - at} bytes")
            return found, odd, problem, 0
        for _ in range(rows):
            if end - at < 4:
                problem = ("tnef-count", at, "rows end before their count")
            else:
                at, problem, more = self.one_list(
                    at, end, dialect, found, odd, alone=False
                )
                questions |= more
            if problem is not None:
                return found, odd, problem, questions
        if at < end:
            problem = ("tnef-property-trailing", at, f"{end - at} bytes")
        return found, odd, problem, questions

    def one_list(
        self,
        start: int,
        end: int,
        dialect: int,
        found: list[Found],
        odd: list[Problem],
        alone: bool,
    ) -> tuple[int, Problem | None, int]:
        """A count and that many properties; ``alone`` when they should reach ``end``.
        Where it ends, what is wrong, which dialects would read it differently."""
        count = self.u32(start, end)
        at = start + 4
        problem: Problem | None = None
        questions = 0
        # A property takes four bytes at least.
        if count * 4 > end - at:
            problem = ("tnef-count", start, f"{count} properties in {end - at} bytes")
        done = 0
        while (alone or done < count) and at < end:
            if done == count and problem is None:
                problem = ("tnef-property-trailing", at, f"{end - at} bytes")
            if self.properties_left <= 0:
                self.defect("tnef-too-many-objects", at, "properties")
                raise _Enough
            begin = at
            at, trouble, more = self.one_property(at, end, dialect, found, odd)
            questions |= more
            if trouble is not None:
                # What was wrong first is the cause; carving begins where it stopped.
                code, detail = trouble if problem is None else problem[::2]
                return begin, (code, begin, detail), questions
            done += 1
        if done < count and problem is None:
            problem = ("tnef-count", start, f"{done} properties instead of {count}")
        return at, problem, questions

    def one_property(
        self, at: int, end: int, dialect: int, found: list[Found], odd: list[Problem]
    ) -> tuple[int, tuple[str, str] | None, int]:
        """The property at ``at``: where the next begins, what is wrong (code, detail),
        which dialects would read it differently."""
        self.properties_left -= 1
        if end - at < 4:
            return at, ("tnef-property-length", f"{end - at} bytes left"), 0
        head = self.get(at, 4, end)
        kind = head[0] | head[1] << 8
        ident = head[2] | head[3] << 8
        at += 4
        if ident >= 0x8000:
            # GUID(16) kind(4) then a number(4), or a length(4) and a padded name
            if end - at < 24:
                return at, ("tnef-property-length", f"{end - at} bytes left"), 0
            named = self.u32(at + 16, end)
            number = self.u32(at + 20, end)
            at += 24
            if named == 1:
                if number > end - at:
                    return at, ("tnef-property-length", f"name of {number} bytes"), 0
                at = min(at + (number + 3 & ~3), end)
            elif named != 0:
                return at, ("tnef-property-name", f"kind {named}"), 0
        base = kind & ~_MULTIPLE
        several = kind & _MULTIPLE
        question = 0
        if base in _FIXED:
            width = _FIXED[base]
            number = 1
            if several:
                if end - at < 4:
                    return at, ("tnef-property-length", f"{end - at} bytes left"), 0
                number = self.u32(at, end)
                at += 4
                if base in _SHORT:
                    if number > 1:
                        question = _STEPPED
                    if not dialect & _STEPPED:
                        width = 2
            # No loop over the values: the count is only believed by its size.
            if number * width > end - at:
                code = "tnef-count" if several else "tnef-property-length"
                return at, (code, f"{number} x {width} of {end - at} bytes"), question
            if ident in _INTERESTING and number:
                found.append((ident, base, at, width))
            if ident in _NEVER_FIXED and base != _ERROR:
                odd.append(
                    ("tnef-property-type", at, f"type {kind:04x}, id {ident:04x}")
                )
                found.append((ident, _BINARY, at, number * width))
            return min(at + (number * width + 3 & ~3), end), None, question
        if base in (_UNSPECIFIED, _NULL):
            odd.append(("tnef-property-type", at, f"type {kind:04x}, id {ident:04x}"))
            question = _NULL_HAS_DATA
            if not dialect & _NULL_HAS_DATA:
                return at, None, question
        elif base not in _VARIABLE:
            return at, ("tnef-property-type", f"type {kind:04x}, id {ident:04x}"), 0
        if end - at < 4:
            return at, ("tnef-property-length", f"{end - at} bytes left"), question
        number = self.u32(at, end)
        at += 4
        if number * 4 > end - at:
            detail = f"{number} values in {end - at} bytes"
            return at, ("tnef-count", detail), question
        if number != 1 and not several and not question:
            odd.append(("tnef-count", at, f"{number} values of a single one"))
        for _ in range(number):
            if end - at < 4:
                return at, ("tnef-property-length", f"{end - at} bytes left"), question
            length = self.u32(at, end)
            at += 4
            self.properties_left -= 1
            if length > end - at:
                # What there is may be taken for the value.
                if ident in _INTERESTING or base in (_BINARY, _OBJECT):
                    found.append((ident, base, at, end - at))
                detail = f"{length} of {end - at} bytes"
                return at, ("tnef-property-length", detail), question
            if ident in _INTERESTING or (
                length >= OPAQUE and base in (_BINARY, _OBJECT, _UNSPECIFIED, _NULL)
            ):
                found.append((ident, base, at, length))
            at = min(at + (length + 3 & ~3), end)
        return at, None, question

    def carve(self, start: int, end: int) -> list[Found]:
        """Contents and names behind a property that cannot be read on."""
        found: list[Found] = []
        for ident in (_ATTACH_DATA, *_NAME_IDS[:3], 0x1009, 0x1013):
            after = start
            for hit in self.positions(ident.to_bytes(2, "little"), start, end):
                if hit - 2 < after:
                    continue
                kind = int.from_bytes(self.get(hit - 2, 2, end), "little")
                base = kind & 0x0FFF  # lenient readers drop all flags
                if base not in _VARIABLE or end - hit < 10:
                    continue
                if not 1 <= self.u32(hit + 2, end) <= MAX_NAMES:
                    continue
                if self.carved_left <= 0:
                    return found
                self.carved_left -= 1
                length = min(self.u32(hit + 6, end), end - hit - 10)
                found.append((ident, base, hit + 10, length))
                after = hit + 10 + length
        return found

    def value(
        self,
        stream: _Stream,
        attachment: Attachment | None,
        at: int,
        ident: int,
        kind: int,
        offset: int,
        length: int,
    ) -> None:
        """Put a value of a list where it belongs."""
        if kind in _FIXED:
            if length >= 4 and kind == 3:
                number = self.u32(offset, offset + length)
                if ident == _INTERNET_CODEPAGE and attachment is None:
                    self.codepage(stream, at, number)
                    stream.internet = stream.internet or codec(number) or ""
                elif ident == _ATTACH_METHOD and number in _BY_REFERENCE:
                    self.defect("tnef-reference", at, f"method {number}")
                    if attachment is not None:
                        attachment._elsewhere = True
            elif kind == 0x0040 and ident in _TIME_IDS and attachment is None:
                raw = self.get(offset, 8, offset + length)
                stream.times.setdefault(ident, int.from_bytes(raw, "little"))
            return
        if ident == _ATTACH_DATA:
            if attachment is None:
                self.defect("tnef-data-in-message", at)
            word = "object" if kind == _OBJECT else "binary"
            self.data(stream, attachment or stream.loose(), at, offset, length, word)
        elif ident in _BODY_IDS and attachment is None:
            self.body(stream, offset, length, _BODY_IDS[ident], kind == _UNICODE)
            self.look_inside(stream, stream.loose(), offset, length)
        elif ident in _NAME_IDS and attachment is not None:
            wide = kind == _UNICODE
            self.name(stream, attachment, at, offset, length, wide, ident)
        elif ident in (_MIME_TAG, _CONTENT_ID) and attachment is not None:
            raw = self.get(offset, min(length, OPAQUE), offset + length)
            text = _texts(raw, kind == _UNICODE, ())[:1]
            if text and text[0].isascii() and text[0].isprintable():
                if ident == _MIME_TAG:
                    attachment.declared_type = text[0][:100].strip().lower()
                else:
                    attachment.content_id = text[0].strip()
        elif ident in _TEXT_IDS and attachment is None:
            # An even number of bytes, should it be UTF-16.
            raw = self.get(offset, min(length, OPAQUE), offset + length)
            stream.said.setdefault(ident, (raw, kind == _UNICODE))
        elif ident == _ATTACH_ENCODING and attachment is not None:
            raw = self.get(offset, min(length, 16), offset + length)
            attachment._mac = raw == _MACBINARY
        elif kind in (_BINARY, _OBJECT, _UNSPECIFIED, _NULL) and length >= OPAQUE:
            target = attachment or stream.loose()
            kind_word = "metafile" if ident == _ATTACH_RENDERING else "property"
            target.spans.append((offset, length, kind_word))
            self.look_inside(stream, target, offset, length)

    def forks(self, stream: _Stream, attachment: Attachment) -> None:
        """The parts of a MacBinary content (RFC 1740, appendix A): a program for it
        shows the data fork under the name in the header."""
        for offset, length, kind in list(attachment.spans):
            if kind not in ("data", "binary") or length < 128:
                continue
            end = offset + length
            head = self.get(offset, 128, end)
            if len(head) < 128 or head[0] or not 1 <= head[1] <= 63:
                continue
            self.name(stream, attachment, offset, offset + 2, head[1], False, -1)
            at = offset + 128
            for field in (83, 87):
                size = int.from_bytes(head[field : field + 4], "big")
                if 0 < size <= end - at:
                    attachment.spans.append((at, size, "fork"))
                    at += size + 127 & ~127


# Not NUL, tab and line ends; ISO-2022 has ESC.
_CONTROLS = bytes(c for c in range(1, 32) if c not in b"\t\r\n\x1b")
_ATTACHMENT_NAMES = frozenset(name for name, row in _KNOWN.items() if row[0] == 2)
_SAID = frozenset((*_TEXT_IDS, *_TIME_IDS))


def _message(stream: _Stream) -> Message:
    """What a stream says about its message, decoded."""
    message = Message(stream.path.rstrip("/"))
    for ident, word in _TEXT_IDS.items():
        raw, wide = stream.said.get(ident, (b"", False))
        text = _texts(raw, wide, stream.codecs)[:1]
        if text:
            message.texts.setdefault(word, text[0])
    for name, word in ((_CLASS, "class"), (_SUBJECT, "subject")):
        raw, _ = stream.said.get(name, (b"", False))
        text = _texts(raw, False, stream.codecs)[:1]
        if text:
            message.texts.setdefault(word, text[0])
    _sender(message, stream)
    for ident in _TIME_IDS:
        message.time = message.time or stream.times.get(ident, 0)
    return message


def _sender(message: Message, stream: _Stream) -> None:
    """From object 0x8000: four lengths, name, address ([MS-OXTNEF] 2.1.3.3.1)."""
    raw, _ = stream.said.get(_FROM, (b"", False))
    if len(raw) < 8:
        return
    first = int.from_bytes(raw[4:6], "little")
    second = int.from_bytes(raw[6:8], "little")
    for word, piece in (
        ("sender", raw[8 : 8 + first]),
        ("address", raw[8 + first : 8 + first + second]),
    ):
        text = _texts(piece, False, stream.codecs)[:1]
        if text:
            message.texts.setdefault(word, text[0])


def _texts(raw: bytes, wide: bool, codecs: list[str] | tuple[str, ...]) -> list[str]:
    """What a name may say: in each likely code page, whole and up to the first NUL."""
    texts: list[str] = []
    if wide:
        texts.append(raw.decode("utf_16_le", "replace"))
    elif raw.isascii():
        texts.append(raw.decode("ascii"))
    else:
        for name in (*codecs, "utf_8"):
            try:
                texts.append(raw.decode(name))
            except (UnicodeError, LookupError):
                continue
        texts.append(raw.decode("cp1252", "replace"))
    names: list[str] = []
    for text in texts:
        whole = text.rstrip("\0")
        for name in (whole.partition("\0")[0], whole):
            if name and name not in names:
                names.append(name)
    return names


# What the dictionary of compressed RTF begins with, [MS-OXRTFCP] section 2.1.2.1.
_RTF_START = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern "
    rb"\fscript \fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0"
    rb"\green0\blue0" + b"\r\n" + rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
_RING = 4096


def rtf(
    read: Read, offset: int, length: int, limit: int, odd: list[str]
) -> Iterator[bytes]:
    """Decompress the RTF text at ``offset`` ([MS-OXRTFCP]), in pieces.

    Gives at most ``limit`` bytes and then adds "limit" to ``odd``; damage that does not
    stop it is named there too. Raises only what ``read`` raises.
    """
    end = offset + length
    head = read(offset, min(16, length))
    if len(head) < 16:
        odd.append("truncated")
        return
    stated = int.from_bytes(head[:4], "little")
    raw_size = int.from_bytes(head[4:8], "little")
    if stated + 4 != length:
        odd.append("size")
    offset += 16
    if head[8:12] == b"MELA":
        left = min(end - offset, limit)
        if end - offset > limit:
            odd.append("limit")
        while left > 0:
            block = read(offset, min(WINDOW, left))
            if not block:
                return
            yield block
            offset += len(block)
            left -= len(block)
        return
    if head[8:12] != b"LZFu":
        odd.append("compression " + head[8:12].hex())
        return
    # The ring is kept as the last 4096 bytes of ``out``; ring position 207 comes first.
    out = bytearray(_RING - len(_RTF_START)) + _RTF_START
    phase = len(_RTF_START)
    given = 0
    crc = 0xFFFFFFFF
    data = b""
    at = 0
    finished = False
    while not finished:
        # 17 bytes are the most that one control byte governs.
        if len(data) - at < 17 and offset < end:
            block = read(offset, min(WINDOW, end - offset))
            if not block:
                end = offset
            crc = zlib.crc32(block, crc)
            data = data[at:] + block
            at = 0
            offset += len(block)
            continue
        if at >= len(data):
            odd.append("no end")
            break
        control = data[at]
        at += 1
        if control == 0 and len(data) - at >= 8:
            out += data[at : at + 8]
            at += 8
        else:
            for _ in range(8):
                if control & 1:
                    if len(data) - at < 2:
                        at = len(data)
                        break
                    word = data[at] << 8 | data[at + 1]
                    at += 2
                    back = (len(out) + phase - (word >> 4)) & (_RING - 1)
                    if back == 0:
                        finished = True
                        break
                    count = (word & 15) + 2
                    source = len(out) - back
                    if back >= count:
                        out += out[source : source + count]
                    else:
                        piece = bytes(out[source:])
                        out += (piece * (count // back + 1))[:count]
                else:
                    if at >= len(data):
                        break
                    out.append(data[at])
                    at += 1
                control >>= 1
        if len(out) > 4 * WINDOW or given + len(out) - _RING > limit:
            if given + len(out) - _RING > limit:
                odd.append("limit")
                yield bytes(out[_RING : _RING + limit - given])
                return
            ready = len(out) - _RING
            yield bytes(out[_RING:])
            given += ready
            del out[:ready]
            phase = (phase + ready) & (_RING - 1)
    yield bytes(out[_RING:])
    given += len(out) - _RING
    if given != raw_size:
        odd.append("raw size")
    while offset < end:
        block = read(offset, min(WINDOW, end - offset))
        if not block:
            break
        crc = zlib.crc32(block, crc)
        offset += len(block)
    if crc ^ 0xFFFFFFFF != int.from_bytes(head[12:16], "little"):
        odd.append("checksum")
