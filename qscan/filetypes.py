# SPDX-License-Identifier: MIT
"""The table of file types, by content.

Does: name what ``sniff`` does not know at a glance: programs, scripts, documents,
containers, pictures by their first bytes, the languages of texts, and what else a file
can be opened as. Never does: unpack; raise on content. Loaded when there is something
to name: plain text, HTML and the usual attachments are known to ``sniff``.
Limits: HEAD bytes of each item, and for files one MiB at the start, the descriptors of
ISO 9660 and the last 64 KiB.
Sources: the formats' own specifications; for HTML the WHATWG MIME Sniffing Standard.
"""

import posix

TNEF = b"\x78\x9f\x3e\x22"
VAGUE = "application/octet-stream"
PLAIN = "text/plain"
ZIP = "application/zip"
ISO = "application/x-iso9660-image"
DMG = "application/x-apple-diskimage"
VHD = "application/x-vhd"
PDF = "application/pdf"
HTML = "text/html"

START = 1048576  # bytes in which WinRAR and 7-Zip look for an archive behind a program
TAIL = 65557  # bytes that hold a zip's end record: 22 and a comment (APPNOTE 4.3.16)
ISO_START = 32768  # ECMA-119 6.2.1: the system area has 16 sectors
ISO_BYTES = 12288  # some descriptors of 2048 bytes

# (first bytes, type, whether they are ordinary letters: a text is no such file).
_FIXED = (
    (TNEF, "application/ms-tnef", False),
    # programs and what starts them
    (b"MZ", "application/x-dosexec", True),
    (b"ZM", "application/x-dosexec", True),
    (b"\x7fELF", "application/x-executable", False),
    (b"\xfe\xed\xfa\xce", "application/x-mach-binary", False),
    (b"\xfe\xed\xfa\xcf", "application/x-mach-binary", False),
    (b"\xce\xfa\xed\xfe", "application/x-mach-binary", False),
    (b"\xcf\xfa\xed\xfe", "application/x-mach-binary", False),
    (b"\xca\xfe\xba\xbf", "application/x-mach-binary", False),
    (b"\xca\xfe\xd0\x0d", "application/x-java-pack200", False),
    (b"\xac\xed\x00\x05", "application/x-java-serialized-object", False),
    (b"dex\n03", "application/x-dex", False),
    (b"\x00asm", "application/wasm", False),
    (b"BC\xc0\xde", "application/x-llvm", False),
    (b"L\x00\x00\x00\x01\x14\x02\x00", "application/x-ms-shortcut", False),
    (b"#@~^", "application/x-vbe", False),
    (b"#!AMR", "audio/amr", False),
    (b"#!", "text/x-script", False),
    (b"FWS", "application/x-shockwave-flash", True),
    (b"CWS", "application/x-shockwave-flash", True),
    (b"ZWS", "application/x-shockwave-flash", True),
    (b"ITSF", "application/vnd.ms-htmlhelp", True),
    (b"ITOLITLS", "application/x-ms-reader", True),
    (b"\x3f\x5f\x03\x00", "application/winhlp", False),
    (b"regf", "application/x-registry-hive", True),
    # documents
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage", False),
    (b"\x0e\x11\xfc\x0d\xd0\xcf\x11\xe0", "application/x-ole-storage", False),
    (b"%PDF-", PDF, False),
    (b"{\\rt", "text/rtf", False),
    (b"%!PS", "application/postscript", False),
    (b"\x04%!PS", "application/postscript", False),
    (b"\xc5\xd0\xd3\xc6", "application/postscript", False),
    (b"ActiveMime", "application/x-mso", False),
    (b"ID;P", "application/x-sylk", False),
    (b"\x09\x00\x04\x00", "application/vnd.ms-excel", False),
    (b"\x09\x02\x06\x00", "application/vnd.ms-excel", False),
    (b"\x09\x04\x06\x00", "application/vnd.ms-excel", False),
    (b"\x09\x08\x08\x00", "application/vnd.ms-excel", False),
    (b"\x09\x08\x10\x00", "application/vnd.ms-excel", False),
    (b"\x00\x00\x02\x00\x06\x04", "application/vnd.lotus-1-2-3", False),
    (b"\x00\x00\x1a\x00", "application/vnd.lotus-1-2-3", False),
    (b"\xdb\xa5\x2d\x00", "application/msword", False),
    (b"\x31\xbe\x00\x00", "application/x-mswrite", False),
    (b"\xffWPC", "application/vnd.wordperfect", False),
    (b"\x00\x01\x00\x00Standard ", "application/x-msaccess", False),
    (b"SQLite format 3\x00", "application/vnd.sqlite3", False),
    (b"!BDN", "application/vnd.ms-outlook-pst", True),
    (
        b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3",
        "application/onenote",
        False,
    ),
    (
        b"\xa1\x2f\xff\x43\xd9\xef\x76\x4c\x9e\xe2\x10\xea\x57\x22\x76\x5f",
        "application/onenote",
        False,
    ),
    # containers
    (b"PK\x03\x04", ZIP, False),
    (b"PK\x05\x06", ZIP, False),
    (b"PK\x07\x08", ZIP, False),
    (b"PK00PK\x03\x04", ZIP, False),
    (b"PK\x01\x02", ZIP, False),
    (b"PK\x06\x06", ZIP, False),
    (b"Rar!\x1a\x07", "application/x-rar", False),
    (b"RE~^", "application/x-rar", True),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed", False),
    (b"\x1f\x8b", "application/gzip", False),
    (b"\x1f\x9d", "application/x-compress", False),
    (b"\x1f\xa0", "application/x-compress", False),
    (b"\x1f\x1e", "application/x-compress", False),
    (b"BZh", "application/x-bzip2", True),
    (b"\xfd7zXZ\x00", "application/x-xz", False),
    (b"\x28\xb5\x2f\xfd", "application/zstd", False),
    (b"\x04\x22\x4d\x18", "application/x-lz4", False),
    (b"\x02\x21\x4c\x18", "application/x-lz4", False),
    (b"LZIP", "application/x-lzip", True),
    (b"LRZI", "application/x-lrzip", True),
    (b"\x89LZO\x00\r\n\x1a\n", "application/x-lzop", False),
    (b"MSCF", "application/vnd.ms-cab-compressed", True),
    (b"ISc(", "application/x-installshield-cab", True),
    (b"SZDD\x88\xf0\x27\x33", "application/x-ms-compress", False),
    (b"KWAJ\x88\xf0\x27\xd1", "application/x-ms-compress", False),
    (b"MSWIM\x00\x00\x00", "application/x-ms-wim", False),
    (b"\x60\xea", "application/x-arj", False),
    (b"070701", "application/x-cpio", True),
    (b"070702", "application/x-cpio", True),
    (b"070707", "application/x-cpio", True),
    (b"\xc7\x71", "application/x-cpio", False),
    (b"\x71\xc7", "application/x-cpio", False),
    (b"!<arch>\n", "application/x-archive", False),
    (b"\xed\xab\xee\xdb", "application/x-rpm", False),
    (b"xar!", "application/x-xar", True),
    (b"SIT!", "application/x-stuffit", True),
    (b"StuffIt (c)1997", "application/x-stuffit", False),
    (b"UHA", "application/x-uha", True),
    (b"hsqs", "application/x-squashfs", True),
    (b"conectix", VHD, True),
    (b"vhdxfile", "application/x-vhdx", True),
    (b"KDMV", "application/x-vmdk", True),
    (b"COWD", "application/x-vmdk", True),
    (b"# Disk DescriptorFile", "application/x-vmdk", False),
    (b"QFI\xfb", "application/x-qemu-disk", False),
    (b"<<< ", "application/x-virtualbox-vdi", True),
    (b"encrcdsa", DMG, True),
    (b"\x00\x05\x16\x00", "application/applefile", False),
    (b"\x00\x05\x16\x07", "application/applefile", False),
    (b"bplist00", "application/x-plist", True),
    # pictures, sound, film, fonts
    (b"\x89PNG\r\n\x1a\n", "image/png", False),
    (b"\xff\xd8\xff", "image/jpeg", False),
    (b"GIF87a", "image/gif", True),
    (b"GIF89a", "image/gif", True),
    (b"BM", "image/bmp", True),
    (b"II*\x00", "image/tiff", False),
    (b"II+\x00", "image/tiff", False),
    (b"MM\x00*", "image/tiff", False),
    (b"MM\x00+", "image/tiff", False),
    (b"II\xbc", "image/jxr", False),
    (b"8BPS", "image/vnd.adobe.photoshop", True),
    (b"gimp xcf", "image/x-xcf", True),
    (b"/* XPM */", "image/x-xpixmap", False),
    (b"\x00\x00\x01\x00", "image/vnd.microsoft.icon", False),
    (b"\x00\x00\x02\x00", "image/vnd.microsoft.icon", False),
    (b"\x00\x00\x00\x0cjP  ", "image/jp2", False),
    (b"\x00\x00\x00\x0cJXL ", "image/jxl", False),
    (b"\xff\x0a", "image/jxl", False),
    (b"\xff\x4f\xff\x51", "image/jp2", False),
    (b"\xd7\xcd\xc6\x9a", "image/wmf", False),
    (b"\x01\x00\x09\x00\x00\x03", "image/wmf", False),
    (b"AT&TFORM", "image/vnd.djvu", True),
    (b"AC10", "image/vnd.dwg", True),
    (b"OggS", "application/ogg", True),
    (b"ID3", "audio/mpeg", True),
    (b"\xff\xfb", "audio/mpeg", False),
    (b"\xff\xf3", "audio/mpeg", False),
    (b"\xff\xf2", "audio/mpeg", False),
    (b"\xff\xf1", "audio/aac", False),
    (b"\xff\xf9", "audio/aac", False),
    (b"fLaC", "audio/flac", True),
    (b"MThd", "audio/midi", True),
    (b".snd", "audio/basic", True),
    (b"\x1a\x45\xdf\xa3", "video/x-matroska", False),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-asf", False),
    (b"FLV\x01", "video/x-flv", False),
    (b".RMF", "application/vnd.rn-realmedia", True),
    (b"\x00\x00\x01\xba", "video/mpeg", False),
    (b"\x00\x00\x01\xb3", "video/mpeg", False),
    (b"OTTO\x00", "font/otf", False),
    (b"\x00\x01\x00\x00\x00", "font/ttf", False),
    (b"true\x00", "font/ttf", False),
    (b"ttcf\x00", "font/collection", False),
    (b"wOFF", "font/woff", True),
    (b"wOF2", "font/woff2", True),
    (b"\xd4\xc3\xb2\xa1", "application/vnd.tcpdump.pcap", False),
    (b"\xa1\xb2\xc3\xd4", "application/vnd.tcpdump.pcap", False),
)

_BY_BYTE: dict[int, list[tuple[bytes, str, bool]]] = {}
for _row in _FIXED:
    _BY_BYTE.setdefault(_row[0][0], []).append(_row)

_TEXT = bytes(range(32, 127)) + b"\t\r\n\x0c\x1b" + bytes(range(128, 256))
_OCTAL = b"01234567 \x00"
_BLANKS = b" \t\r\n\x0b\x0c\x00"


def detect(head: bytes) -> str:
    """Media type of what begins with ``head`` (up to HEAD bytes); "" = empty.

    The first type that fits; see ``embedded`` for what else the file may be.
    """
    if not head:
        return ""
    text = not head.translate(None, _TEXT)
    for magic, name, letters in _BY_BYTE.get(head[0], ()):
        if head.startswith(magic) and not (letters and text):
            return name
    if text:
        return _text(head)
    return _binary(head)


def _binary(head: bytes) -> str:
    """What has no magic at its very start."""
    if head[257:262] == b"ustar" or _is_old_tar(head):
        return "application/x-tar"
    four = head[4:8]
    if four == b"ftyp":
        brand = head[8:12]
        if brand in (b"heic", b"heix", b"mif1", b"heim", b"hevc", b"avif"):
            return "image/heif"
        return "audio/mp4" if brand == b"M4A " else "video/mp4"
    if four in (b"moov", b"mdat", b"wide", b"skip") and head[:2] == b"\0\0":
        return "video/quicktime"
    first = head[:4]
    if first == b"\xca\xfe\xba\xbe":
        # Both begin so: a number of architectures, or a version from 45 on.
        if int.from_bytes(four, "big") < 40:
            return "application/x-mach-binary"
        return "application/x-java-applet"
    if first in (b"RIFF", b"RIFX"):
        kind = head[8:12]
        if kind == b"WEBP":
            return "image/webp"
        return "audio/x-wav" if kind == b"WAVE" else "video/x-msvideo"
    if first == b"FORM" and head[8:11] == b"AIF":
        return "audio/x-aiff"
    if head[7:14] == b"**ACE**":
        return "application/x-ace"
    if head[2:4] in (b"-l", b"-p") and head[6:7] == b"-":
        return "application/x-lha"
    if first == b"ZOO " or head[20:24] == b"\xdc\xa7\xc4\xfd":
        return "application/x-zoo"
    if first == b"\x01\0\0\0" and head[40:44] == b" EMF":
        return "image/emf"
    if first[1:] == b"\x2a\x4d\x18" and 0x50 <= first[0] <= 0x5F:
        return "application/zstd"
    if first[:1] == b"\x1a" and head[1:2] < b"\x20" and _is_arc(head):
        return "application/x-arc"
    if head[0] < 225 and head[1:3] == b"\0\0" and _is_lzma(head):
        return "application/x-lzma"
    if head[0] == 0x47 and head[188:189] == b"\x47" and head[376:377] == b"\x47":
        return "video/mp2t"
    if b"\0" in head:
        wide = _narrow(head)
        if wide:
            return _text(wide) if not wide.translate(None, _TEXT) else VAGUE
        if head[510:512] == b"\x55\xaa":
            return "application/x-raw-disk-image"
    # Readers of PDF look for its beginning in the first 1024 bytes.
    if b"%PDF-" in head:
        return PDF
    found = _markup(head.lstrip(b"\xef\xbb\xbf" + _BLANKS).lower())
    return found or VAGUE


def _narrow(head: bytes) -> bytes:
    """A text in UTF-16 or UTF-32 as one byte a character, b"" when it is none."""
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return head[4:].replace(b"\0", b"")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head[2:].replace(b"\0", b"")
    size = len(head) // 2
    for empty, letters in ((head[1::2], head[::2]), (head[::2], head[1::2])):
        if (
            size >= 4
            and empty.count(0) * 10 >= size * 9
            # Every second byte of UTF-16 is a letter, of UTF-32 every fourth.
            and letters.count(0) * 10 <= size * 6
        ):
            return head.replace(b"\0", b"")
    return b""


def _is_old_tar(head: bytes) -> bool:
    """The checksum of a tar header from before POSIX (tar(5), old-style)."""
    field = head[148:156]
    if (
        len(head) < 512
        or not head[0]
        or field.translate(None, _OCTAL)
        or head[100:108].translate(None, _OCTAL)
    ):
        return False
    digits = field.replace(b"\0", b" ").split()
    if len(digits) != 1:
        return False
    total = sum(head[:148]) + 256 + sum(head[156:512])
    return int(digits[0], 8) == total


def _is_arc(head: bytes) -> bool:
    """ARC: 0x1a, a method, a name of at most 12 characters that ends with NUL."""
    name, end, _ = head[2:15].partition(b"\0")
    return bool(end and name) and not name.translate(None, _TEXT[:95])


def _is_lzma(head: bytes) -> bool:
    """LZMA alone: properties, a dictionary of 2^n or 2^n+2^(n-1), a plausible size,
    and a range coder that begins with NUL."""
    if len(head) < 14 or head[13]:
        return False
    dictionary = int.from_bytes(head[1:5], "little")
    size = head[5:13]
    if dictionary < 65536 or dictionary.bit_count() > 2:
        return False
    return size == b"\xff" * 8 or (size[5:] == b"\0\0\0" and head[0] == 0x5D)


# What a browser takes for HTML (WHATWG MIME Sniffing 7.1), and what else begins pages.
_HTML = (
    b"!doctype html",
    b"html",
    b"head",
    b"script",
    b"iframe",
    b"h1",
    b"div",
    b"font",
    b"table",
    b"a",
    b"style",
    b"title",
    b"b",
    b"body",
    b"br",
    b"p",
    b"meta",
    b"link",
    b"base",
    b"form",
    b"img",
    b"center",
    b"object",
    b"embed",
    b"applet",
    b"frameset",
    b"span",
    b"video",
    b"audio",
    b"button",
    b"input",
    b"math",
    b"noscript",
    b"template",
    b"details",
    b"marquee",
    b"section",
    b"article",
    b"main",
)
# Roots of XML and the tags of Windows' script files.
_ROOTS = {
    b"svg": "image/svg+xml",
    b"html": HTML,
    b"job": "application/x-scriptlet",
    b"package": "application/x-scriptlet",
    b"component": "application/x-scriptlet",
    b"scriptlet": "application/x-scriptlet",
    b"registration": "application/x-scriptlet",
    b"librarydescription": "application/x-ms-search",
    b"searchconnectordescription": "application/x-ms-search",
    b"persistedquery": "application/x-ms-search",
    b"pcsettings": "application/x-ms-settings",
    b"jnlp": "application/x-java-jnlp-file",
    b"project": "application/x-msbuild",
    b"assembly": "application/x-ms-application",
    b"?php": "text/x-php",
    b"?=": "text/x-php",
    b"%@": "text/x-script",
    b"hta:application": "application/hta",
}

_SIGNS = (
    (b"createobject(", "text/vbscript"),
    (b"on error resume next", "text/vbscript"),
    (b"executeglobal", "text/vbscript"),
    (b"wscript.echo", "text/vbscript"),
    (b"wscript.shell", "text/vbscript"),
    (b"end function", "text/vbscript"),
    (b"\nend sub", "text/vbscript"),
    (b"new activexobject", "text/javascript"),
    (b"activexobject(", "text/javascript"),
    (b"wscript.createobject", "text/javascript"),
    (b"eval(", "text/javascript"),
    (b"string.fromcharcode(", "text/javascript"),
    (b"unescape(", "text/javascript"),
    (b"new-object ", "text/x-powershell"),
    (b"invoke-expression", "text/x-powershell"),
    (b"invoke-webrequest", "text/x-powershell"),
    (b"frombase64string(", "text/x-powershell"),
    (b"downloadstring(", "text/x-powershell"),
    (b"start-process ", "text/x-powershell"),
    (b"-encodedcommand", "text/x-powershell"),
    (b"$env:", "text/x-powershell"),
    (b"powershell -", "text/x-msdos-batch"),
    (b"cmd /c ", "text/x-msdos-batch"),
    (b"%~dp0", "text/x-msdos-batch"),
    (b"%temp%", "text/x-msdos-batch"),
)
_SECTIONS = (
    (b"[internetshortcut]", "application/x-internet-shortcut"),
    (b"[desktop entry]", "application/x-desktop"),
    (b"[shell]", "application/x-shell-command-file"),
    (b"[autorun]", "application/x-shell-command-file"),
)
_WORDS = (
    (b"@echo off", "text/x-msdos-batch"),
    (b"@if ", "text/x-msdos-batch"),
    (b"regedit4", "application/x-registry"),
    (b"windows registry editor", "application/x-registry"),
    (b"web\n1\n", "application/x-iqy"),
    (b"begin:vcalendar", "text/calendar"),
    (b"begin:vcard", "text/vcard"),
    (b"-----begin pgp signature", "application/pgp-signature"),
    (b"-----begin pgp public", "application/pgp-keys"),
    (b"-----begin pgp private", "application/pgp-keys"),
    (b"-----begin pgp signed", PLAIN),
    (b"-----begin pgp", "application/pgp-encrypted"),
    (b"-----begin ", "application/x-pem-file"),
)
_FIELDS = (
    b"received:",
    b"return-path:",
    b"from:",
    b"date:",
    b"subject:",
    b"message-id:",
    b"mime-version:",
    b"delivered-to:",
    b"to:",
    b"content-type:",
)


def _text(head: bytes) -> str:
    """The kind of a text."""
    low = head.lstrip(b"\xef\xbb\xbf" + _BLANKS).lower()
    first = low[:1]
    if first == b"<":
        found = _markup(low)
        if found:
            return found
    elif first == b"[":
        for section, name in _SECTIONS:
            if section in low:
                return name
    elif first == b"#" and low.startswith(b"#@~^"):
        return "application/x-vbe"
    elif first == b"{" and low.startswith(b"{\\rt"):
        return "text/rtf"
    if first in b"@rwb-":
        if b"\r" in low:
            low = low.replace(b"\r\n", b"\n")
        for word, name in _WORDS:
            if low.startswith(word):
                return name
    if low.startswith(_FIELDS) or head.startswith(b"From "):
        found = _mail(low)
        if found:
            return found
    if b"%pdf-" in low and b"\n%PDF-" in head:
        return PDF
    if b"[internetshortcut]" in low and b"\n[internetshortcut]" in low:
        return "application/x-internet-shortcut"
    return _script(low)


def _script(low: bytes) -> str:
    """A script has two signs of its language; one may stand in any letter."""
    best = PLAIN
    before: list[str] = []
    for sign, name in _SIGNS:
        if sign in low:
            if name in before:
                best = name
                break
            before.append(name)
    return best


def _mail(low: bytes) -> str:
    """A stored message: lines of its header follow each other."""
    known = 0
    lines = low.split(b"\n", 40)
    for line in lines[:-1]:
        if line in (b"", b"\r"):
            break
        if line.startswith(_FIELDS):
            known += 1
        elif line[:1] not in b" \t" and b":" not in line and line[:5] != b"from ":
            return ""
    if known < 2:
        return ""
    if b"multipart/related" in low and b"mime-version:" in low:
        return "application/x-mimearchive"
    return "message/rfc822"


def _markup(low: bytes) -> str:
    """HTML, XML and what else begins with ``<``; "" when it is no markup."""
    if not low.startswith(b"<"):
        return ""
    if b"<hta:application" in low:
        return "application/hta"
    xml = False
    position = 0
    # Comments, declarations and instructions before the root.
    for _ in range(20):
        if low.startswith(b"<!--", position):
            end = low.find(b"-->", position)
            if end < 0:
                return HTML
            position = end + 3
        elif low.startswith((b"<?xml", b"<?mso"), position):
            xml = True
            end = low.find(b"?>", position)
            if end < 0:
                break
            position = end + 2
        elif low.startswith((b"<!doctype svg", b"<!entity"), position) or (
            xml and low.startswith(b"<!doctype", position)
        ):
            xml = True
            end = low.find(b">", position)
            if low.startswith(b"<!doctype html", position):
                return HTML
            if end < 0:
                break
            position = end + 1
        else:
            break
        while low[position : position + 1] in (b" ", b"\t", b"\r", b"\n"):
            position += 1
    if low.startswith(b"<!doctype html", position):
        return HTML
    tag = low[position + 1 : position + 60]
    end = 0
    while end < len(tag) and tag[end] not in b" \t\r\n>/\x0c":
        end += 1
    tag = tag[:end]
    if low[position : position + 1] == b"<":
        if tag.startswith((b"?php", b"?=", b"%@")):
            return "text/x-script" if tag[:1] == b"%" else "text/x-php"
        name = _ROOTS.get(tag.rpartition(b":")[2]) or _ROOTS.get(tag)
        if name and not (tag == b"project" and b"msbuild" not in low):
            return name
        if tag in _HTML and not xml:
            return HTML
    return "text/xml" if xml else ""


# -- further than the head ------------------------------------------------------------


def detect_file(fd: int, size: int, head: bytes) -> str:
    """``detect``, and for a vague head also ISO 9660, UDF and the disk images that are
    known by their last 512 bytes. Reads at most two pieces; raises OSError only."""
    kind = detect(head)
    if kind not in (VAGUE, "application/x-raw-disk-image"):
        return kind
    if size > ISO_START and _is_iso(fd):
        return ISO
    if size >= 512:
        return _by_trailer(posix.pread(fd, 512, size - 512)) or kind
    return kind


def _is_iso(fd: int) -> bool:
    """A volume descriptor of ISO 9660 (ECMA-119 8.1) or UDF (ECMA-167 2/9.1)."""
    data = posix.pread(fd, ISO_BYTES, ISO_START)
    for start in range(0, len(data), 2048):
        if data[start + 1 : start + 6] in (b"CD001", b"BEA01", b"NSR02", b"NSR03"):
            return True
    return data[9:14] == b"CDROM"


def _by_trailer(tail: bytes) -> str:
    if tail[-512:-508] == b"koly":
        return DMG
    if tail[-512:-504] == b"conectix" or tail[-511:-503] == b"conectix":
        return VHD
    return ""


def embedded(fd: int, size: int, head: bytes) -> list[str]:
    """Containers that a file can be opened as besides what ``detect(head)`` says.

    For files of ANY type: ``application/zip`` when the end record of a zip stands in
    the last 65557 bytes (self-extracting, or with junk before and after; zip readers
    begin there), ``application/x-rar`` and ``application/x-7z-compressed`` when their
    signature stands in the first MiB (programs that unpack themselves, pictures with an
    archive behind), ``application/x-iso9660-image`` (ISO or UDF at 32768),
    ``application/x-apple-diskimage`` and ``application/x-vhd`` (trailers). Only signs:
    whoever opens it finds out. In that order, each once, without ``detect(head)``.
    Reads at most 1.1 MiB; raises OSError only.
    """
    kind = detect(head)
    out: list[str] = []
    tail = posix.pread(fd, min(TAIL, size), max(0, size - TAIL)) if size >= 22 else b""
    if kind != ZIP and 0 <= tail.rfind(b"PK\x05\x06") <= len(tail) - 22:
        out.append(ZIP)
    signs = (
        (b"Rar!\x1a\x07", "application/x-rar"),
        (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    )
    position = 0
    rest = b""
    while position < min(size, START):
        data = posix.pread(fd, min(262144, START - position), position)
        if not data:
            break
        position += len(data)
        data = rest + data
        for sign, name in signs:
            if name != kind and name not in out and sign in data:
                out.append(name)
        rest = data[-5:]
    if kind != ISO and size > ISO_START and _is_iso(fd):
        out.append(ISO)
    name = _by_trailer(tail[-512:]) if len(tail) >= 512 else ""
    if name and name != kind:
        out.append(name)
    return out
