# SPDX-License-Identifier: MIT
"""Content that hides inside content: TNEF, mail, AppleSingle, other decodings.

Does: find and unpack it into the store. Never does: walk MIME. Imported when there is
something to look into; plain mail has nothing.
"""

import posix
import time

from qscan import sniff, transfer
from qscan.fdio import O_READ, pread_all
from qscan.model import Defects, Item
from qscan.store import Store

GUESSED = "~any"  # in the paths of what the reading that trusts nothing yields
WHOLE = "/all"  # in the paths of what it decodes with the header of a part
TNEF_TYPES = ("application/ms-tnef", "application/vnd.ms-tnef", "application/x-tnef")
TNEF_NAMES = ("winmail.dat", ".tnef")
MAIL_NAMES = (".eml", ".emlx", ".mht", ".mhtml", ".nws")
# In a transfer encoding that nobody registered: what its sender meant is plain.
CARELESS = (
    *(b"bit", b"utf", b"ascii", b"iso-", b"none", b"text", b"plain", b"unknown"),
    *(b"64", b"quoted", b"uu", b"yenc", b"8859", b"windows", b"qp"),
)
MAIL_FIELDS = (
    *(b"received:", b"return-path:", b"from:", b"date:", b"message-id:", b"subject:"),
    *(b"mime-version:", b"content-type:", b"to:", b"delivered-to:", b"content-tra"),
)


def look(store: Store, item: Item) -> bool:
    """Unpack what an item holds; True when it is a mail that is to be walked."""
    # What TNEF holds was looked through for TNEF by its own reader.
    if item.origin != "tnef" and is_tnef(store, item):
        tnef(store, item)
        return False
    if item.head.startswith((b"\0\x05\x16\0", b"\0\x05\x16\x07")):
        apple(store, item)
    if store.limits.archive is not None:
        archive(store, item)
    return is_mail(item)


def is_mail(item: Item) -> bool:
    """An attachment that mail clients open as a message."""
    kind = item.declared_type
    if kind == "message/rfc822" and item.origin == "archive":
        return True  # out of a mailbox
    if item.origin == "guess":
        # As it stands, the reading that trusts nothing would see itself.
        whole = item.encoding == "" or WHOLE in item.path
        head = item.head.lower()
        part = head.startswith(b"--") and b"\ncontent-" in head
        return not whole and (part or head.startswith(MAIL_FIELDS))
    if kind.startswith("message/") and item.origin == "mime":
        return False  # walked where it stands
    named = _is_named(item.names, MAIL_NAMES)
    text = kind.startswith("text/") or item.detected_type != "message/rfc822"
    if not named and item.origin == "mime" and text:
        return False
    first = item.head.lstrip(b"\r\n").lower()
    return named or first.startswith(MAIL_FIELDS)


def _is_named(given: list[str], ends: tuple[str, ...]) -> bool:
    """True when one of the names, read as any client may, ends so."""
    if any(name.lower().endswith(ends) for name in given):
        return True
    if sniff.ordinary(given):
        return False
    from qscan import names

    return any(form.endswith(ends) for name in given for form in names.forms(name))


def again(
    store: Store, fd: int, start: int, end: int, item: Item, coder: object
) -> None:
    """Decode bytes [start, end) of ``fd`` in the other ways that clients know, since
    the transfer encoding of ``item`` is unknown (no ``coder``) or damaged."""
    from qscan import oldcodes, variants

    encoding = item.encoding.encode("ascii", "replace")
    ways: list[tuple[str, int, object]] = []
    if coder is None:
        if any(word in encoding for word in CARELESS):
            store.note("misspelt-transfer-encoding", item.path, item.encoding)
        else:
            store.note("unknown-transfer-encoding", item.path, item.encoding)
        for known in ("base64", "quoted-printable", "x-uuencode"):
            ways.append((f"as-{known}", start, transfer.decoder(known.encode())))
        head = pread_all(fd, min(4096, end - start), start)
        if b"q" in encoding:
            for name, make in variants.QUOTED:
                ways.append((name, start, make()))
        if b"64" in encoding:
            for name, make in variants.others(b"base64", list(variants.BASE64), head):
                ways.append((name, start, make()))
        if b"yenc" in encoding:
            ways.append(("as-yenc", start, oldcodes.YEnc()))
        ways.append(("as-binhex", start, oldcodes.BinHex()))
        ways.append(("as-gzip64", start, oldcodes.Gzip64()))
    else:
        odd: list[str] = coder.odd  # type: ignore[attr-defined]
        head = pread_all(fd, min(4096, end - start), start)
        for name, make in variants.others(encoding, odd, head):
            ways.append((name, start, make()))
        if encoding == b"base64" and odd:
            for offset in variants.starts(head):
                ways.append((f"from-{offset}", start + offset, transfer.Base64()))
                ways.append((f"part-{offset}", start + offset, variants.Paragraph()))
            ways.append(("part", start, variants.Paragraph()))
    store.further()
    noted = store.defects
    for name, begin, other in ways:
        if store.late(item.path):
            break
        guess = Item(
            f"{item.path}/{name}", "guess", item.names, item.declared_type, name
        )
        # What is odd about another reading says nothing about the message.
        store.defects = Defects()
        try:
            store.guess(fd, begin, end, guess, other)
        finally:
            noted += [d for d in store.defects if d.code.startswith("limit-")]
            store.defects = noted


def apple(store: Store, item: Item) -> None:
    """The forks of an AppleSingle or AppleDouble file (RFC 1740) as items."""
    from qscan import oldcodes

    if item.file is None:
        return
    fd = posix.open(item.file, O_READ)
    try:
        for number, offset, length in oldcodes.forks(item.head):
            if number in (1, 2) and offset < item.size and not store.late(item.path):
                fork = Item(f"{item.path}/fork/{number}", "archive", item.names)
                end = min(item.size, offset + length)
                store.decode(fd, offset, end, fork, None)
                store.add(fork)
    finally:
        posix.close(fd)


def archive(store: Store, item: Item) -> None:
    """Open an archive or document in a child process with limits of its own.

    Members of archives are not opened again: the child did that.
    """
    from qscan.archives import formats

    limits = store.limits.archive
    opened = item.origin == "archive" and item.path.split("/")[-2] != "fork"
    if opened or item.file is None or not item.size or limits is None:
        return
    # A bomb was found: the message is refused, more of it need not go off.
    if any(one.code.startswith("limit-archive-") for one in store.defects):
        return
    if store.late(item.path):
        return
    cpu_seconds, memory_bytes, wall_seconds, depth, members, most, ratio, tries = limits
    fd = posix.open(item.file, O_READ)
    try:

        def read(offset: int, length: int) -> bytes:
            return pread_all(fd, length, offset)

        if not formats.inside(read, item.size):
            return
        if item.path.count("/") // 2 >= depth:
            store.note("limit-archive-depth", item.path)
            return
        words: list[str] = []
        if tries:
            from qscan.archives import passwords

            words = passwords.of_items(store.items)
        from qscan.archives import unpack

        left = min(most, store.limits.expanded_bytes - store.expanded)
        wall = min(wall_seconds, store.deadline - time.monotonic())
        found, defects = unpack.unpack(
            fd,
            item,
            store.directory,
            store.name(),
            (depth, max(1, members - store.members), max(1, left), ratio),
            (cpu_seconds, memory_bytes, max(1.0, wall)),
            words,
        )
    finally:
        posix.close(fd)
    for defect in defects:
        store.note(defect.code, defect.where, defect.detail)
    store.members += len(found)
    for member in found:
        if member.file is not None:
            store.expanded += member.size
        store.add(member)


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
