# SPDX-License-Identifier: MIT
"""Mailboxes: messages in one file, each behind a line ``From ...`` (RFC 4155).

Does: say where each message is. A message begins where such a line stands at the
beginning or after an empty line and a header field follows; what else begins with
"From " is text. Never does: undo ``>From``, read messages.
Limits: MEMBERS messages. Line ends LF or CRLF.
"""

from __future__ import annotations

import re

from qscan.archives.documents import window
from qscan.archives.documents.facts import Facts, Member

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qscan.archives.documents.facts import Read

LINE = 998  # bytes, RFC 5322 section 2.1.1
BLANK = rb"[ \t\r\n\xef\xbb\xbf\0]{0,64}"
FIELD = rb"(?=(?:>From [^\n]{0,998}\r?\n)?[!-9;-~]{1,76}[ \t]{0,8}:)"
SEPARATOR = re.compile(rb"(?:\r?\n){2}(From [^\n]{0,998}\n)" + FIELD)
FIRST = re.compile(BLANK + rb"(From [^\n]{0,998}\n)" + FIELD)


def is_mailbox(head: bytes) -> bool:
    """True for the first bytes of a mailbox, and not for a text that begins so."""
    return FIRST.match(head) is not None


def inspect(read: Read, size: int) -> Facts:
    """One member for each message, without its first line."""
    facts = Facts()
    first = FIRST.match(read(0, 2 * window.OVERLAP))
    if first is None:
        return facts
    facts.media_type = "application/mbox"
    begin = first.end()
    for offset, match in window.search(read, SEPARATOR, max(0, begin - 2), size):
        after = offset + match.end() - match.start()
        if not message(facts, begin, offset + match.start(1) - match.start()):
            return facts
        begin = after
    message(facts, begin, size)
    return facts


def message(facts: Facts, begin: int, end: int) -> bool:
    """Keep one message; False when there are too many."""
    return facts.add(
        Member([], "mail", [(begin, max(0, end - begin))], where=str(begin))
    )
