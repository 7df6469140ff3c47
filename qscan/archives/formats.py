# SPDX-License-Identifier: MIT
"""Which archive formats are in a file: by content, at its start or anywhere.

Does: answer from the first bytes, the tail, and for binary files from signatures
anywhere near the start (self-extracting archives, polyglots). Never does: trust a name
or a declared type; open anything.
Limits: the tail is what a zip comment can be long; signatures are searched in the first
SEARCHED or PROGRAM bytes, as the programs do that open such files; one pass.
Source: APPNOTE.TXT 6.3.10, 7zFormat.txt, RAR technical note, RFC 1952, POSIX ustar and
pax, ECMA-119, MS-CAB, cpio(5), ar(5), file(1)'s magic.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[int, int], bytes]

START = 36870  # bytes from the start that tell the format: ISO 9660 begins at 32768
TAIL = 65557 + 20  # end record of a zip, its comment, and the locator before it
SEARCHED = 1024 * 1024
PROGRAM = 4 * 1024 * 1024  # of what is a program
WINDOW = 262144
BLOCK = 65536

_MAGIC = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"PK\x07\x08PK", "zip"),
    (b"PK00PK", "zip"),
    (b"Rar!\x1a\x07\x00", "rar"),
    (b"Rar!\x1a\x07\x01\x00", "rar5"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x1f\x9d", "compress"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"LZIP", "lzip"),
    (b"MSCF\0\0\0\0", "cab"),
    (b"!<arch>\n", "ar"),
    (b"\xed\xab\xee\xdb", "rpm"),
    (b"xar!", "xar"),
    (b"070701", "cpio"),
    (b"070702", "cpio"),
    (b"070707", "cpio"),
    (b"\xc7\x71", "cpio"),
    (b"\x71\xc7", "cpio"),
    (b"RE\x7e\x5e", "rar1"),
)
# Found anywhere in a binary file. A gzip or bzip2 there is found by no program, a zip
# by its end, or when next to nothing stands before it.
_ANYWHERE = (
    (b"Rar!\x1a\x07", "rar"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"MSCF\0\0\0\0", "cab"),
)
_BZIP2 = (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90")
_LHA = (b"-lh", b"-lz", b"-pm")
_OCTAL = b"01234567 \0"
# What documents.readers_for knows, told without loading the readers.
_DOCUMENTS = (
    b"\xd0\xcf\x11\xe0",
    b"\xe4\x52\x5c\x7b",
    b"\xa1\x2f\xff\x43",
    b"\x60\xea",
    b"ActiveMime",
)
# Fields that begin a message; the rest of the header does not matter.
_MAIL = (
    *(b"received:", b"return-path:", b"delivered-to:", b"mime-version:", b"date:"),
    *(b"message-id:", b"x-mozilla-", b"from:", b"to:", b"subject:", b"reply-to:"),
    *(b"content-", b"arc-", b"dkim-", b"authentication-results:", b"sender:", b"cc:"),
)
MAIL_NAMES = (".eml", ".mht", ".mhtml", ".nws", ".mai", ".emlx")


def at_start(start: bytes) -> str:
    """The format of what begins with ``start`` (START bytes if there are as many)."""
    for magic, kind in _MAGIC:
        if start.startswith(magic):
            return kind
    if start.startswith(b"BZh") and start[4:10] in _BZIP2:
        return "bzip2"
    if start[2:5] in _LHA and start[6:7] == b"-":
        return "lha"
    if is_tar(start):
        return "tar"
    for place in (32769, 34817, 36865):
        if start[place : place + 5] == b"CD001":
            return "iso"
    if 0x184D2A50 <= int.from_bytes(start[:4], "little") <= 0x184D2A5F:
        return "zstd"  # a skippable frame, RFC 8878 section 3.1.2
    if _is_lzma(start):
        return "lzma"
    return ""


def is_tar(block: bytes) -> bool:
    """True when the first 512 bytes are a tar header: its sum fits."""
    field = block[148:156]
    if len(block) < 512 or not block[0] or field.translate(None, _OCTAL):
        return False
    digits = field.strip(b" \0")
    if not digits or b" " in digits or b"\0" in digits:
        return False
    return int(digits, 8) == sum(block[:148]) + 256 + sum(block[156:512])


def _is_lzma(start: bytes) -> bool:
    """The header of LZMA alone has no magic: properties, dictionary, size."""
    if len(start) < 18 or start[0] != 0x5D or start[13]:
        return False
    dictionary = int.from_bytes(start[1:5], "little")
    size = int.from_bytes(start[5:13], "little")
    top = dictionary & (dictionary - 1)
    known = dictionary >= 4096 and top in (0, 2 * (dictionary ^ top))
    return known and (size == 0xFFFFFFFFFFFFFFFF or 0 < size < 1 << 38)


def embedded(read: Read, size: int, start: bytes) -> list[tuple[str, int]]:
    """Archives that do not begin at 0: (format, offset). A zip is told from its end;
    its offset is 0, since its own records say where its members are."""
    found: list[tuple[str, int]] = []
    if size > 22:
        tail = min(TAIL, size)
        if b"PK\x05\x06" in read(size - tail, tail):
            found.append(("zip", 0))
    if not start.translate(None, _PLAIN):
        return found  # a text: nothing looks into it
    kinds = {kind for kind, _ in found}
    position = 1
    end = min(size, PROGRAM if start.startswith((b"MZ", b"\x7fELF")) else SEARCHED)
    while position < end:
        data = read(position, min(WINDOW, end - position) + 8)
        if not data:
            break
        if position == 1 and "zip" not in kinds and b"PK\x03\x04" in data[:BLOCK]:
            found.append(("zip", 0))
        for magic, kind in _ANYWHERE:
            if kind not in kinds:
                at = data.find(magic)
                if at >= 0 and (kind != "cab" or _is_cab(data[at : at + 36])):
                    kinds.add(kind)
                    if data[at + 6 : at + 7] == b"\x01" and kind == "rar":
                        kind = "rar5"
                    found.append((kind, position + at))
        position += WINDOW
    return found


_PLAIN = bytes(range(32, 127)) + b"\t\r\n\x0c\x1b" + bytes(range(128, 256))


def _is_cab(header: bytes) -> bool:
    """Reserved fields are zero and the version is 1.3 (MS-CAB section 2.1)."""
    return (
        header[12:16] == header[20:24] == b"\0\0\0\0" and header[24:26] == b"\x03\x01"
    )


def formats(read: Read, size: int) -> list[tuple[str, int]]:
    """Every archive format in a file of ``size`` bytes: (format, offset)."""
    start = read(0, min(START, size))
    kind = at_start(start)
    found = [(kind, 0)] if kind else []
    if kind in ("zip", "tar", "iso", "cpio", "ar", "rpm"):
        # What they store can begin with any signature; it is looked at by itself.
        return found
    found += [one for one in embedded(read, size, start[:1024]) if one[0] != kind]
    return found


# Names without which a PDF holds nothing that its reader tells (ISO 32000-1).
_PDF = (
    *(b"/JS", b"/JavaScript", b"/Launch", b"/OpenAction", b"/AA", b"/EmbeddedFile"),
    *(b"/Encrypt", b"/ObjStm", b"/XFA", b"/RichMedia", b"/GoToE", b"/GoToR", b"/URI"),
    *(b"/Sub", b"/Import", b"/Filespec", b"/EF", b"/AF", b"/Rendition", b"/Movie"),
)
_PDF_SUBTYPE = b"/Subtype"
_PDF_SMALL = 1024 * 1024  # bytes of a PDF that is looked through here
_HEX = b"0123456789abcdefABCDEF"


def _pdf_holds(read: Read, size: int) -> bool:
    """True when a PDF names anything worth its reader's process, or is large."""
    if size > _PDF_SMALL:
        return True
    data = read(0, size)
    plain = data.replace(_PDF_SUBTYPE, b"")
    if any(name in plain for name in _PDF):
        return True
    # Any letter of a name may be written as "#" and two digits (section 7.3.5).
    found = data.find(b"#")
    while found >= 0:
        digits = data[found + 1 : found + 3]
        if len(digits) == 2 and not digits.translate(None, _HEX):
            name = data[max(0, found - 40) : found].rpartition(b"/")
            if name[1] and (name[2].isalnum() or not name[2]):
                return True
        found = data.find(b"#", found + 1)
    return False


def inside(read: Read, size: int) -> bool:
    """True when an archive or document reader has something to look for."""
    if formats(read, size):
        return True
    head = read(0, min(1024, size))
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n\0")
    return (
        head.startswith(_DOCUMENTS)
        or (b"%PDF" in head and _pdf_holds(read, size))
        or start[:4].lower() == b"{\\rt"
        or start.startswith(b"From ")
        or (start.startswith(b"<") and (b"office" in head or b"mso-" in head))
    )


def is_mail(start: bytes, names: list[str]) -> bool:
    """A message, by name or by how it begins; rather too often than not enough."""
    if any(name.lower().rstrip(". ").endswith(MAIL_NAMES) for name in names):
        return True
    return start[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_MAIL)
