# SPDX-License-Identifier: MIT
"""Searching a file piece by piece.

Does: find what a regular expression finds, whatever the size of the file, reading each
byte once. Never does: hold more than two blocks. A match has at most OVERLAP bytes.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    from qscan.archives.documents.facts import Read

BLOCK = 1 << 18
OVERLAP = 4096


def search(
    read: Read, pattern: re.Pattern[bytes], start: int, end: int
) -> Iterator[tuple[int, re.Match[bytes]]]:
    """(offset, match) of every match in bytes [start, end), in order."""
    position = start
    data = b""
    base = start
    done = start  # matches begin here or later
    while position < end:
        block = read(position, min(BLOCK, end - position))
        if not block:
            return
        position += len(block)
        data = data[max(0, len(data) - OVERLAP) :] + block
        base = position - len(data)
        last = position >= end
        for match in pattern.finditer(data, max(0, done - base)):
            # What touches the end may go on; it is found again with the next block.
            near = match.end() > len(data) - 64
            if not last and near and match.start() >= len(data) - OVERLAP:
                break
            done = base + max(match.end(), match.start() + 1)
            yield base + match.start(), match
