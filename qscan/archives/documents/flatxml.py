# SPDX-License-Identifier: MIT
"""Office documents in one XML file: Word 2003 XML and flat packages (OPC).

Does: decode the binary parts, which are base64 in elements; say whether macros are
among them. Never does: parse XML, expand entities.
Limits: MEMBERS parts; a start tag has at most window.OVERLAP bytes.
"""

from __future__ import annotations

import binascii
import re

from qscan.archives.documents import ooxml, window
from qscan.archives.documents.facts import DECODED, Facts, Member

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qscan.archives.documents.facts import Read

#: In the first bytes of such a file.
SIGNS = (
    b"mso-application",
    b"office/word/2003/wordml",
    b"office/2006/xmlPackage",
)
KEY = re.compile(
    rb"<(?:\w{1,40}:)?(?:bin|binary)Data\b([^<>]{0,1024})>"
    rb"|\b(?:\w{1,40}:)?name\s{0,64}=\s{0,64}[\"']([^\"'<>]{1,512})[\"']"
    rb"|(macrosPresent\s{0,64}=\s{0,64}[\"']yes)",
    re.IGNORECASE,
)
NAME = re.compile(rb"name\s{0,64}=\s{0,64}[\"']([^\"'<>]{1,512})", re.IGNORECASE)
NOT_BASE64 = bytes(
    sorted(
        set(range(256))
        - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    )
)


def is_office(head: bytes) -> bool:
    """True for the first bytes of such a file."""
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") and any(
        sign in head for sign in SIGNS
    )


def inspect(read: Read, size: int) -> Facts:
    """One member for each binary part."""
    facts = Facts()
    facts.media_type = "application/xml"
    last = ""
    for offset, match in window.search(read, KEY, 0, size):
        if match[2] is not None:
            last = named(facts, match[2])
        elif match[3] is not None:
            facts.note("document-macros", "Word XML", offset)
        else:
            own = NAME.search(match[1])
            name = named(facts, own[1]) if own is not None else last
            start = offset + match.end() - match.start()
            data = decoded(read, start, size, facts)
            if data.startswith(b"ActiveMime"):
                facts.note("document-macros", name or "ActiveMime", offset)
            if data and not facts.add(Member([name], "object", data=data, where=name)):
                break
    return facts


def named(facts: Facts, raw: bytes) -> str:
    """The name of a part, and what it tells."""
    name = ooxml.characters(raw).decode("utf-8", "replace")
    low = ooxml.plain(name)
    if low.endswith("vbaproject.bin") or "/macrosheets/" in low:
        facts.note("document-macros", name)
    elif "/embeddings/" in low:
        facts.note("document-embedded-object", name)
    return name


def decoded(read: Read, position: int, size: int, facts: Facts) -> bytes:
    """The base64 text from here to the next tag, as far as it is good."""
    digits = bytearray()
    step = 4096
    while position < size:
        block = read(position, step)
        position += len(block)
        step = min(2 * step, window.BLOCK)
        text, tag, _ = block.partition(b"<")
        digits += text.translate(None, NOT_BASE64)
        if len(digits) * 3 // 4 > DECODED - facts.decoded:
            facts.note("limit-expanded-bytes", "XML: binary part")
            return b""
        if tag or not block:
            break
    del digits[len(digits) - (len(digits) % 4 == 1) :]
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))
