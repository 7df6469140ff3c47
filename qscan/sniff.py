# SPDX-License-Identifier: MIT
"""Real types from the content: what nearly every item is, without any library.

Does: name plain text, HTML and the usual attachments in microseconds (``detect``); ask
``filetypes``, a table of our own, about everything else; say which names and types are
so ordinary that nobody need look at them. Never does: raise on content; replace
libmagic (``scan.types = "libmagic"`` asks it for what our table does not know).
"""

from qscan.model import Item

TNEF = b"\x78\x9f\x3e\x22"
HEAD = 1024  # bytes of every item that are looked at
VAGUE = "application/octet-stream"

# Types that disguise nothing and hide nothing, whatever the item is called.
HARMLESS = frozenset(
    ("", "text/plain", "image/png", "image/jpeg", "image/gif", "application/pdf", VAGUE)
)
_COMMON = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"PK\x03\x04", "application/zip"),
    (TNEF, "application/ms-tnef"),
)
_TEXT = bytes(range(32, 127)) + b"\t\r\n\x0c\x1b" + bytes(range(128, 256))
_BLANKS = b"\xef\xbb\xbf \t\r\n\x0c"
_HTML = (b"<!doctype html", b"<html", b"<head", b"<body")
# First bytes and words of texts that may be something else.
_STARTS = (
    *(b"<", b"[", b"#", b"@", b"{", b"%", b"\x1b", b"-----begin", b"\xff\xfe", b"\xfe"),
    *(b"begin:", b"regedit4", b"windows registry", b"web\n", b"web\r", b"id;p"),
    *(b"from", b"received:", b"return-path:", b"date:", b"subject:", b"message-id:"),
    *(b"mime-version:", b"delivered-to:", b"to:", b"content-type:"),
    *(b"070701", b"070702", b"070707", b"!<arch>", b"dex\n", b"/* xpm"),
    *(b"activemime", b"stuffit", b"\xff", b"\xe4r\\{", b"\xa1/", b"szdd", b"kwaj"),
)
_SIGNS = (
    *(b"object", b"wscript", b"invoke-", b"charcode(", b"frombase64", b"eval("),
    *(b"on error resume", b"$env:", b"downloadstring", b"cmd /c", b"powershell"),
    *(b"%temp%", b"[internetshortcut]", b"%pdf-", b"end function"),
)


def detect(head: bytes) -> str:
    """Media type of what begins with ``head`` (up to HEAD bytes); "" = empty.

    The first type that fits; see ``embedded`` for what else the file may be.
    """
    if not head:
        return ""
    if head.translate(None, _TEXT):
        for magic, name in _COMMON:
            if head.startswith(magic):
                return name
    else:
        low = head.lstrip(_BLANKS).lower()
        if low.startswith(_HTML):
            if b"<hta:application" not in low:
                return "text/html"
        elif not low.startswith(_STARTS):
            for sign in _SIGNS:
                if sign in low:
                    break
            else:
                return "text/plain"
    from qscan import filetypes

    return filetypes.detect(head)


def detect_file(fd: int, size: int, head: bytes) -> str:
    """``detect``, and for a vague head what a look at the file's further bytes says:
    ISO 9660, UDF, disk images with a trailer. Raises OSError."""
    kind = detect(head)
    if kind != VAGUE and kind != "application/x-raw-disk-image":
        return kind
    from qscan import filetypes

    return filetypes.detect_file(fd, size, head)


def embedded(fd: int, size: int, head: bytes) -> list[str]:
    """Containers that a file of any type can be opened as besides ``detect(head)``;
    see ``filetypes.embedded``."""
    from qscan import filetypes

    return filetypes.embedded(fd, size, head)


_DEVICES = frozenset(
    (
        *("con", "prn", "aux", "nul"),
        *(f"{port}{digit}" for port in ("com", "lpt") for digit in range(10)),
    )
)
_HONEST = {
    "text/html": (".html", ".htm"),
    "application/zip": (".zip", ".docx", ".xlsx", ".pptx", ".odt", ".ods"),
    "application/ms-tnef": (".dat",),
}
_NEUTRAL = ("", VAGUE, "application/x-zip-compressed", "application/x-zip")


def ordinary(names: list[str]) -> bool:
    """True when nothing about these names can be of note: ASCII letters, digits, single
    blanks and one dot; no device, no numbered extension. Else ask ``names``."""
    if len(names) > 20:
        return False
    for name in names:
        if not name.isascii() or len(name) > 150:
            return False
        stem, dot, extension = name.partition(".")
        plain = stem.replace("-", "").replace("_", "").replace(" ", "")
        if not plain.isalnum() or "  " in stem or stem.rstrip().lower() in _DEVICES:
            return False
        if dot and (
            not extension.isalnum()
            or (extension[-1:].isdigit() and extension.lower() not in ("mp3", "mp4"))
        ):
            return False
    return True


def honest(item: Item) -> bool:
    """True when an item is plainly called what ``detect`` found it to be."""
    kind = item.detected_type
    if kind in HARMLESS:
        return True
    ends = _HONEST.get(kind)
    declared = item.declared_type
    if ends is None or (declared != kind and declared not in _NEUTRAL):
        return False
    return not item.names or all(name.lower().endswith(ends) for name in item.names)
