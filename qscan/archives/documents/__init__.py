# SPDX-License-Identifier: MIT
"""Readers of documents: what is inside, as facts and members.

Does: say which reader knows a content, hold what a reader found. Every reader module
has ``inspect(read, size) -> Facts``; ``read(offset, length) -> bytes`` gives at most
``length`` bytes of the file and fewer only at its end, ``size`` is its bytes. A package
of parts (OOXML, ODF) is a zip that the archive reader has opened already; for it there
is ``ooxml.inspect_names(names, get)``, ``get(name, limit) -> bytes`` gives at most the
first ``limit`` bytes of a part (b"" when it cannot be read).
Never does: I/O besides ``read``, start processes, make paths of names, judge. Raises
nothing on content, whatever it is; what ``read`` and ``get`` raise goes through.
Members are not looked into: what reads the document hands each to whom it concerns, as
it does with archive members.
Limits: FACTS facts, MEMBERS members, DECODED bytes decoded for members and WORK bytes
decoded to look at, for one document; what goes over is the fact limit-parts or
limit-expanded-bytes. Work is linear in the size of the file.
"""

from __future__ import annotations

from qscan import sniff
from qscan.archives.documents.facts import Facts, Member

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

__all__ = ("Facts", "Member", "reader_for", "readers_for")


def reader_for(detected_type: str, head: bytes) -> ModuleType | None:
    """The reader module for a content, None when none knows it.

    ``detected_type`` from ``sniff.detect``, ``head`` the first bytes, 1024 or more if
    there are as many. What is two things at once has several: ``readers_for``.
    """
    for module in readers_for(detected_type, head):
        return module
    return None


def readers_for(detected_type: str, head: bytes) -> Iterator[ModuleType]:
    """All reader modules that know a content, each imported only when reached."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n\0")
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        from qscan.archives.documents import ole

        yield ole
    if head.startswith((b"\xe4\x52\x5c\x7b", b"\xa1\x2f\xff\x43")):
        from qscan.archives.documents import onenote

        yield onenote
    if b"%PDF" in head[: sniff.HEAD]:
        from qscan.archives.documents import pdf

        yield pdf
    if start[:4].lower() == b"{\\rt":
        from qscan.archives.documents import rtf

        yield rtf
    if head.startswith(b"\x60\xea"):
        from qscan.archives.documents import arj

        yield arj
    if head.startswith(b"ActiveMime"):
        from qscan.archives.documents import activemime

        yield activemime
    if start.startswith(b"<"):
        from qscan.archives.documents import flatxml

        if flatxml.is_office(head):
            yield flatxml
    if start.startswith(b"From "):
        from qscan.archives.documents import mbox

        if mbox.is_mailbox(head):
            yield mbox
