# SPDX-License-Identifier: MIT
"""Unpacks one archive or document into files, in a child that may die.

Does: have a limited child (``limited``) open it and all that is inside (``child``), and
make items and defects of what it reports. Never does: open an archive in this process,
make a path of a name from the mail.
Raises: OSError when files cannot be written or a process cannot be made; that is no
fault of the message.
Limits: the given ones; the child's address space is the interpreter's own besides.
"""

from __future__ import annotations

import posix

from qscan import limited
from qscan.model import Defect, Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

REPORT = 64 * 1024 * 1024
# What a child may write into one file besides: never a reason to fail.
SLACK = 1024 * 1024
_KINDS = {
    "member": (str, int, str, list, bytes, str, bool),
    "defect": (str, str, str),
}
SCANS = ("", "covered", "encrypted", "unread")


def unpack(
    fd: int,
    item: Item,
    directory: str,
    prefix: str,
    bounds: tuple[int, int, int, int],
    costs: tuple[int, int, float],
    passwords: list[str],
) -> tuple[list[Item], list[Defect]]:
    """Open the content of ``item`` behind ``fd``: its members and the defects.

    What a mailbox holds has the declared type message/rfc822, all others none.

    Files are called ``<prefix>-a<N>``. ``bounds`` levels, members, bytes, and bytes for
    one of the archive's; ``costs`` processor seconds, bytes of memory,
    wall seconds. The members have no ``detected_type`` yet (``Store.add`` gives it).
    """
    report = _Report(directory, prefix, item.path)
    depth = item.path.count("/") // 2 + 1
    limits = limited.Costs(*costs, bounds[2] + SLACK, REPORT)

    def work(pipe: int) -> None:
        # What it loads is no business of this process.
        from qscan.archives import child

        content = (item.size, item.path, item.names)
        place = (directory, prefix)
        child.run(pipe, content, depth, place, bounds, passwords)

    try:
        end, detail = limited.run(fd, work, _KINDS, report.take, limits)
    finally:
        report.tidy()
    if end != limited.FINISHED:
        report.defects.append(_ended(end, item.path, detail))
    return report.members, report.defects


def _ended(end: str, path: str, detail: str) -> Defect:
    """The end of the child as a fact."""
    if end == limited.CPU:
        return Defect("limit-archive-cpu", path, detail)
    if end == limited.MEMORY:
        return Defect("limit-archive-memory", path, detail)
    if end == limited.WALL:
        return Defect("limit-archive-seconds", path, detail)
    if end == limited.FLOOD:
        return Defect("limit-archive-members", path, detail)
    return Defect("archive-child-died", path, detail)


class _Report:
    """What the child says."""

    def __init__(self, directory: str, prefix: str, path: str) -> None:
        self.directory = directory
        self.prefix = prefix
        self.path = path
        self.files = 0
        self.members: list[Item] = []
        self.defects: list[Defect] = []

    def take(self, kind: str, fields: list[Any]) -> bool:
        """One record; False when it is none."""
        if kind == "defect":
            self.defects.append(Defect(*fields))
            return True
        file, size, path, names, head, scan, mail = fields
        if scan not in SCANS or bool(file) == bool(scan):
            return False
        if not path.startswith(f"{self.path}/") or size < 0:
            return False
        item = Item(path, "archive", names)
        if file:
            if file != f"{self.prefix}-a{self.files + 1}":
                return False
            self.files += 1
            item.file = f"{self.directory}/{file}"
        item.size = size
        item.head = head
        item.scan = scan
        if mail:
            item.declared_type = "message/rfc822"
        self.members.append(item)
        return True

    def tidy(self) -> None:
        """Remove what the child began and did not report."""
        number = self.files
        while True:
            number += 1
            try:
                posix.unlink(f"{self.directory}/{self.prefix}-a{number}")
            except OSError:
                break  # the next one is not there
