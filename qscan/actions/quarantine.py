# SPDX-License-Identifier: MIT
"""Keeping a message: as it came, with envelope and findings beside it.

``QUARANTINE/CLASS/new/ID`` is the message to the byte, ``CLASS/info/ID.json`` says the
rest. States: a name in ``tmp`` is unfinished and stale when its process is
gone; ``info`` without ``new`` is unfinished too (the message is published last); a name
in ``new`` is complete and durable.

Raises: OSError; nothing is left then but names in ``tmp`` that could not be removed.
"""

import json
import posix

from qscan.fdio import O_NEW, copy_range, fsync_directory, publish, remove
from qscan.model import Envelope, Finding

DIRECTORY = 0o700
FILE = 0o600


def keep(
    root: str,
    cls: str,
    identity: str,
    message: tuple[int, int, int],
    envelope: Envelope,
    raw_envelope: int,
    findings: list[Finding],
    facts: dict[str, object],
) -> str:
    """Store [start, end) of ``message`` = (fd, start, end); returns its path."""
    folder = f"{root}/{cls}"
    for path in (
        root,
        folder,
        *(f"{folder}/{n}" for n in ("tmp", "new", "cur", "info")),
    ):
        try:
            posix.mkdir(path, DIRECTORY)
        except FileExistsError:
            continue
    temporary = f"{folder}/tmp/{identity}"
    info = f"{folder}/info/{identity}.json"
    final = f"{folder}/new/{identity}"
    record = {
        "id": identity,
        "class": cls,
        "sender": envelope.sender.decode("latin-1"),
        "recipients": recipients(raw_envelope),
        "findings": [
            {
                "source": f.source,
                "rule": f.rule,
                "class": f.cls,
                "item": f.item,
                "text": f.text,
            }
            for f in findings
        ],
        **facts,
    }
    try:
        fd = posix.open(temporary, O_NEW, FILE)
        try:
            copy_range(*message, fd)
            posix.fsync(fd)
        finally:
            posix.close(fd)
        text = json.dumps(record, indent=1).encode("ascii") + b"\n"
        publish(temporary + ".json", info, text, FILE)
        posix.rename(temporary, final)
        fsync_directory(f"{folder}/new")
    except BaseException:
        remove(temporary)
        remove(info)
        raise
    return final


def recipients(fd: int) -> list[str]:
    """All recipients of a stored envelope, as latin-1 text."""
    size = posix.fstat(fd).st_size
    fields = posix.pread(fd, size, 0).split(b"\0")
    return [field[1:].decode("latin-1") for field in fields[1:] if field]
