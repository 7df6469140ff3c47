# SPDX-License-Identifier: MIT
"""Content that hides inside content: uuencode in text, TNEF, unknown encodings.

Does: find and unpack it into the store. Never does: walk MIME. Imported when there is
a sign of such content; plain mail has none.
"""

import posix

from qscan import mime, sniff, transfer
from qscan.fdio import O_READ, pread_all
from qscan.model import Defects, Item
from qscan.store import Store

TNEF_TYPES = ("application/ms-tnef", "application/vnd.ms-tnef", "application/x-tnef")
TNEF_NAMES = ("winmail.dat", ".tnef")
UU_BLOCKS = 100  # of one text
BEGIN_LINE = 1024  # bytes of a begin line that are looked at


def guesses(store: Store, fd: int, start: int, end: int, item: Item) -> None:
    """An encoding nobody knows: decode in all known ways, as clients do."""
    noted = store.defects
    for name in ("base64", "quoted-printable", "x-uuencode"):
        guess = Item(
            f"{item.path}/as-{name}", item.origin, item.names, item.declared_type, name
        )
        # What is odd about a wrong guess says nothing about the message.
        store.defects = Defects()
        try:
            store.decode(fd, start, end, guess, transfer.decoder(name.encode()))
        finally:
            noted += [d for d in store.defects if d.code.startswith("limit-")]
            store.defects = noted
        store.add(guess)


def uuencoded(store: Store, fd: int, start: int, end: int, item: Item) -> None:
    """Unpack every ``begin MODE NAME`` block in bytes [start, end) of a text.

    Every byte is decoded at most once, however many blocks begin.
    """

    def read(position: int, length: int) -> bytes:
        return pread_all(fd, length, position)

    window = mime.Window(read, end)
    position = start
    number = 0
    while position < end and not store.late(item.path):
        found = window.find(b"begin ", position, end)
        if found < 0:
            return
        position = found + 6
        if found > start and window.at(found - 1, 1) not in (b"\n", b"\r"):
            continue
        line = window.at(found, BEGIN_LINE)
        line = line[: line.find(b"\n") + 1] or line
        fields = line.split(None, 2)
        if len(fields) < 2 or not 3 <= len(fields[1]) <= 6 or not fields[1].isdigit():
            continue
        number += 1
        store.parts += 1
        if number > UU_BLOCKS or store.parts > store.limits.parts:
            store.note("limit-parts", item.path)
            return
        names: list[str] = []
        if len(fields) == 3:
            from qscan import parameters

            parameters.add_name(names, fields[2].strip())
        block = Item(f"{item.path}/uu/{number}", "uu", names, "", "uuencode")
        coder = transfer.UU(started=True)
        first = found + len(line)
        store.decode(fd, first, end, block, coder)
        store.add(block)
        if is_tnef(store, block):
            tnef(store, block)
        position = first + coder.used if coder.done else end


def is_tnef(store: Store, item: Item) -> bool:
    """TNEF by signature, declared type or name; what only claims to be is noted."""
    if item.head.startswith(sniff.TNEF):
        return True
    claimed = item.declared_type in TNEF_TYPES or any(
        name.lower().endswith(TNEF_NAMES) for name in item.names
    )
    if claimed and item.size:
        store.note("tnef-bad-signature", item.path)
    return claimed and item.size > 0


def tnef(store: Store, item: Item) -> None:
    """Unpack a TNEF item in a child process with limits of its own."""
    from qscan import tnefchild

    if item.file is None:
        return
    limits = store.limits
    cpu_seconds, memory_bytes, wall_seconds = limits.tnef
    fd = posix.open(item.file, O_READ)
    try:
        files, defects = tnefchild.unpack(
            fd,
            item.size,
            store.directory,
            store.name(),
            max_depth=max(1, limits.depth - item.path.count(".")),
            max_parts=max(1, limits.parts - store.parts),
            max_bytes=max(1, limits.expanded_bytes - store.expanded),
            cpu_seconds=cpu_seconds,
            memory_bytes=memory_bytes,
            wall_seconds=wall_seconds,
        )
    finally:
        posix.close(fd)
    for defect in defects:
        store.note(defect.code, f"{item.path} {defect.where}".rstrip(), defect.detail)
    for file in files:
        part = Item(f"{item.path}/{file.path}", "tnef", file.names, file.declared_type)
        part.file = file.file
        part.size = file.size
        store.expanded += file.size
        store.parts += 1
        own = posix.open(file.file, O_READ)
        try:
            part.head = pread_all(own, sniff.HEAD, 0)
        finally:
            posix.close(own)
        store.add(part)
