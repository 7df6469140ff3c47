# SPDX-License-Identifier: MIT
"""ActiveMime: the compound file with the macros of a Word document in XML or MHTML.

Does: find the compressed data behind its header, whose length the format states, and
decompress it; that is the member. Never does: read the macros.
Limits: DECODED bytes.
"""

from __future__ import annotations

import zlib

from qscan.archives.documents.cfb import little
from qscan.archives.documents.facts import DECODED, Facts, Member

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qscan.archives.documents.facts import Read

MAGIC = b"ActiveMime"
HEADER = 46  # and as many bytes more as stand at 30
USUAL = (0x32, 0x22A)


def inspect(read: Read, size: int) -> Facts:
    """The compound file in it."""
    facts = Facts()
    facts.media_type = "application/x-mso"
    head = read(0, 64)
    for start in (HEADER + little(head, 30, 2), *USUAL):
        decoder = zlib.decompressobj()
        try:
            data = decoder.decompress(read(start, size), DECODED + 1)
        except zlib.error:
            continue
        if data:
            facts.note("document-macros", "ActiveMime", start)
            facts.add(Member([], "object", data=data, where="ActiveMime"))
            return facts
    facts.note("document-broken", "ActiveMime")
    return facts
