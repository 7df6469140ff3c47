# SPDX-License-Identifier: MIT
"""Content that hides inside content: TNEF, mail, AppleSingle, other decodings.

Does: find and unpack it into the store. Never does: walk MIME. Imported when there is
something to look into; plain mail has nothing.
"""

from __future__ import annotations

import posix
import time

from qscan import headers, sniff, transfer
from qscan.fdio import O_READ, WINDOW, pread_all
from qscan.model import Item
from qscan.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GUESSED = "~any"  # in the paths of what the reading that trusts nothing yields
LIMITS = ("limit-",)  # what another decoding may say about the message
OPENED = 8  # archives that only a guess yields
WHOLE = "/all"  # in the paths of what it decodes with the header of a part
TNEF_TYPES = ("application/ms-tnef", "application/vnd.ms-tnef", "application/x-tnef")
TNEF_NAMES = ("winmail.dat", ".tnef")
CMS_NAMES = (".p7m", ".p7s", ".p7c", ".p7z")
RATIO = 250  # bytes for one of compressed data, where archives are not opened
INFLATED = 10_000_000  # bytes that may come out of any
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
    first = item.head.lstrip()[:1]
    if first in (b"0", b"?", b"M") or b"-----BEGIN" in item.head:
        cms(store, item)
    if store.limits.archive is not None:
        archive(store, item)
    return is_mail(item)


def is_mail(item: Item) -> bool:
    """An attachment that mail clients open as a message."""
    kind = item.declared_type
    if kind == "message/rfc822" and item.origin == "archive":
        return True  # out of a mailbox
    if item.origin == "cms":
        return is_entity(item.head)
    if item.origin == "guess":
        # As it stands, the reading that trusts nothing would see itself.
        whole = item.encoding == "" or WHOLE in item.path
        head = item.head.lower()
        head = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
        fields = any(headers.is_mime_field(line) for line in head.split(b"\n"))
        return not whole and (fields or head.startswith(MAIL_FIELDS))
    if kind.startswith("message/") and item.origin == "mime":
        return False  # walked where it stands
    named = _is_named(item.names, MAIL_NAMES)
    text = kind.startswith("text/") or item.detected_type != "message/rfc822"
    if not named and item.origin == "mime" and text:
        return False
    first = item.head.lstrip(b"\r\n").lower()
    return named or first.startswith(MAIL_FIELDS)


def is_entity(head: bytes) -> bool:
    """True when ``head`` begins a MIME entity, which S/MIME clients take the content of
    a CMS object for; signed files of other kinds are sent too (CAdES)."""
    first = head.lstrip(b"\r\n")
    name, colon, _ = first.partition(b":")
    if colon and name.rstrip(b" \t").replace(b"-", b"").replace(b"_", b"").isalnum():
        return True
    return first.startswith(b"--") or b"\ncontent-" in first.lower()


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
            for offset in variants.starts(head):
                ways.append((f"from-{offset}", start + offset, transfer.Base64()))
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
    for name, begin, other in ways:
        if store.late(item.path):
            break
        guess = Item(
            f"{item.path}/{name}", "guess", item.names, item.declared_type, name
        )
        # What is odd about another reading says nothing about the message.
        store.quietly(LIMITS, store.guess, fd, begin, end, guess, other)


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
    if item.origin == "guess" or GUESSED in item.path:
        # What was guessed is scanned as it is; few guesses are worth a process.
        store.opened += 1
        if store.opened > OPENED:
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


def cms(store: Store, item: Item) -> None:
    """What a CMS object holds that is signed or compressed (S/MIME, RFC 8551) as an
    item of origin "cms"; one that is encrypted is noted."""
    from qscan import cms as parser

    armour = parser.pem(item.head)
    if item.file is None or (armour < 0 and not parser.is_cms(item.head)):
        return
    if store.late(item.path):
        return
    if item.path.count("/cms/") >= store.limits.depth:
        store.note("limit-depth", item.path)
        return
    content = Item(f"{item.path}/cms/1", "cms", _stems(item.names))
    fd = posix.open(item.file, O_READ)
    try:

        def read(offset: int, length: int) -> bytes:
            return pread_all(fd, length, offset)

        if armour >= 0:
            content.path = f"{item.path}/cms/pem"
            content.names = item.names
            coder = transfer.decoder(b"base64")
            # What is odd about the armour says nothing about the message.
            store.quietly(LIMITS, store.decode, fd, armour, item.size, content, coder)
        else:
            found = parser.inspect(read, item.size)
            if found.full:
                store.note("limit-parts", item.path)
            if found.kind in parser.SECRET:
                store.note("mail-encrypted", item.path)
            if not found.spans:
                return
            blocks = _blocks(read, found.spans)
            if found.kind == "compressed":
                blocks = _inflated(store, item, blocks)
            store.write(content, blocks)
    finally:
        posix.close(fd)
    store.parts += 1
    store.add(content)


def _stems(given: list[str]) -> list[str]:
    """The names of what was signed: "a.pdf" of "a.pdf.p7m"."""
    stems = [name[:-4] for name in given if name.lower().endswith(CMS_NAMES)]
    return [stem for stem in stems if "." in stem]


def _blocks(
    read: Callable[[int, int], bytes], spans: list[tuple[int, int]]
) -> Iterator[bytes]:
    """The bytes of all spans, in bounded windows."""
    for offset, length in spans:
        end = offset + length
        while offset < end:
            data = read(offset, min(WINDOW, end - offset))
            if not data:
                return
            offset += len(data)
            yield data


def _inflated(store: Store, item: Item, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """What zlib (RFC 3274) makes of ``blocks``, as far as it goes."""
    import zlib

    ratio = store.limits.archive[6] if store.limits.archive is not None else RATIO
    left = max(INFLATED, item.size * ratio)
    stream = zlib.decompressobj(47)
    for block in blocks:
        data = block
        while data and not stream.eof:
            try:
                out = stream.decompress(data, WINDOW)
            except zlib.error:
                return
            data = stream.unconsumed_tail
            left -= len(out)
            if left < 0:
                store.note("limit-archive-ratio", item.path)
                return
            yield out
    # What the stream still holds when its end was cut off.
    try:
        yield stream.flush()
    except zlib.error:
        return


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
