# SPDX-License-Identifier: MIT
"""From regions to items: every part of a message, decoded once.

Does: walk a message, and messages that were encoded inside it, with an explicit queue,
in the normal reading and in those its defects call for; give what it finds to the
store. Never does: decide; raise on content.
"""

import posix

from qscan import mime, sniff
from qscan.fdio import O_READ, WINDOW, pread_all
from qscan.model import Header, Item
from qscan.store import Store

BLANK = b" \t\r\n\x0b\x0c\0"
ODD = 4  # kinds of ambiguity in one message that no sender's mistake explains
ENCODED = 40  # bytes that can be told to be encoded
# Fields that are hardly ever there and may be names as a whole.
NAMING = (b"content-description", b"content-id", b"content-location", b"content-name")
SIGN = 16  # bytes that hold a sign in a text
BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n"
# Codes that are kept of what further readings find odd, and of what mere guesses do.
GUESSED = ("limit-", "message-partial", "external-body")
READ = (*GUESSED, "name-", "type-", "archive-", "document-", "pdf-", "tnef-")
GUESS = "~any"  # in the paths of what the reading that trusts nothing yields
TEXTS = ("text/", "message/")
# What begins like these holds nothing else.
PLAIN_TYPES = ("", "text/plain", "text/html", "image/png", "image/jpeg", "image/gif")


class Source:
    """A file still to be walked: bytes [start, size) of ``fd``; ``file`` its path, None
    for the message itself."""

    __slots__ = ("depth", "fd", "file", "path", "size", "start")

    def __init__(
        self, fd: int, start: int, size: int, path: str, depth: int, file: str | None
    ) -> None:
        self.fd = fd
        self.start = start
        self.size = size
        self.path = path
        self.depth = depth
        self.file = file


class Unpacker:
    """Takes one message apart into ``store``."""

    __slots__ = ("cr", "queue", "queued", "store")

    def __init__(self, store: Store) -> None:
        self.store = store
        self.cr = False  # a bare CR ends a line in the reading that goes on
        self.queue: list[Source] = []
        self.queued: set[str] = set()

    def run(self, fd: int, start: int, size: int, cover_plain: bool) -> None:
        """Unpack the message in bytes [start, size) of ``fd``.

        ``cover_plain``: the raw message is scanned too, so a message that is one
        well-formed plain text need not be written out again.
        """
        self.queue.append(Source(fd, start, size, "1", 0, None))
        while self.queue:
            source = self.queue.pop()
            try:
                self._walk(source, cover_plain and source.file is None)
            finally:
                if source.file is not None:
                    posix.close(source.fd)
        if len(self.store.defects) >= ODD:
            codes = {one.code for one in self.store.defects} & set(mime.FURTHER)
            if len(codes) >= ODD:
                self.store.note("too-ambiguous", "1", " ".join(sorted(codes)))

    def _walk(self, source: Source, cover_plain: bool) -> None:
        """The union of all readings is scanned."""
        if GUESS in source.path:
            self.store.quietly(GUESSED, self._readings, source, False)
        elif "~" in source.path:
            self.store.quietly(READ, self._readings, source, False)
        else:
            self._readings(source, cover_plain)

    def _readings(self, source: Source, cover_plain: bool) -> None:
        store = self.store
        before = len(store.defects)
        parts = store.parts
        self._read(source, mime.NORMAL, cover_plain)
        if source.file is not None:
            for defect in store.defects[before:]:
                if defect.at >= 0:
                    defect.source = source.path
        further: list[mime.Reading] = []
        if source.path.count("~") > 2:
            return  # readings of readings of readings
        for defect in store.defects[before:]:
            if defect.code.startswith("limit-"):
                return  # more readings would only cost more
            for reading in mime.FURTHER.get(defect.code, ()):
                # What was guessed is not guessed again.
                once = reading.nothing and source.path.count(GUESS) > 2
                if reading not in further and not once:
                    further.append(reading)
        if further:
            self._again(source, further, parts)

    def _again(self, source: Source, readings: list[mime.Reading], parts: int) -> None:
        """More readings. Each may have as many parts as the message."""
        store = self.store
        most = store.parts
        store.further()
        for reading in readings:
            store.parts = parts
            if reading.nothing:
                self.store.quietly(GUESSED, self._nothing, source)
            else:
                self.store.quietly(READ, self._read, source, reading, False)
            most = max(most, store.parts)
        store.parts = most

    def _nothing(self, source: Source) -> None:
        from qscan import deep

        store = self.store
        deep.Nothing(store, source.fd, source.start, source.size, source.path).run()
        self.look()

    def _read(self, source: Source, reading: mime.Reading, cover_plain: bool) -> None:
        fd = source.fd

        def plain(position: int, length: int) -> bytes:
            return pread_all(fd, length, position)

        read = plain
        self.cr = reading.cr
        if reading.cr:
            from qscan import deep

            read = deep.reader(fd)  # type: ignore[assignment]
        store = self.store
        walker = mime.Walker(
            read,
            source.size,
            store.limits,
            store.defects,
            source.depth,
            store.parts,
            reading,
        )
        before = len(store.defects)
        path = f"{source.path}~{reading.name}" if reading.name else source.path
        for region in walker.walk(source.start, path):
            if store.late(region.path):
                break
            store.parts = walker.parts
            if region.kind == "embedded":
                self._embedded(source, region)
            elif region.kind in ("preamble", "epilogue"):
                self._text(source, region)
            elif (
                cover_plain
                and region.path == "1"
                and region.kind == "leaf"
                and region.encoding in mime.IDENTITY
                and region.media.startswith(b"text/")
                and len(store.defects) == before
            ):
                self._plain(source, region)
            else:
                self._leaf(source, region)
            self.look()
            walker.parts = store.parts

    def look(self) -> None:
        """Look into what was unpacked: content may hide other content."""
        store = self.store
        while store.fresh and not store.full:
            item = store.fresh.pop()
            if item.file is None:
                continue
            if item.origin == "guess":
                self.store.quietly(GUESSED, self._look, item)
            else:
                self._look(item)

    def _look(self, item: Item) -> None:
        kind = item.detected_type
        parts = False
        text = kind.startswith(TEXTS) or item.declared_type.startswith(TEXTS)
        if (text or b"\0" not in item.head) and not (
            item.origin == "mime" and item.encoding.encode() in mime.IDENTITY
        ):
            own = posix.open(item.file, O_READ)  # type: ignore[arg-type]
            try:
                parts = self._signs(own, 0, item.size, item, False)
            finally:
                posix.close(own)
        if (
            item.names
            or item.origin in ("guess", "cms")
            or kind not in PLAIN_TYPES
            or item.head.startswith(sniff.TNEF)
            or "tnef" in item.declared_type
            or "pkcs7" in item.declared_type
        ):
            from qscan import inner

            if inner.look(self.store, item):
                self.queue_message(item)
        if parts:
            # Parts that we do not see, in what was encoded.
            self.queue_message(item, True)

    # -- kinds of regions ---------------------------------------------------------

    def _embedded(self, source: Source, region: mime.Region) -> None:
        """An embedded message: its parts come on their own, and the whole is inside
        what is scanned anyway."""
        item = self._item(region)
        item.names = _names(region.fields)
        item.file = source.file
        item.span = (region.start, region.end)
        item.size = region.end - region.start
        item.scan = "covered"
        self.store.add(item)

    def _plain(self, source: Source, region: mime.Region) -> None:
        """A message that is nothing but one plain text: the raw message shows it."""
        item = self._item(region)
        item.names = _names(region.fields)
        item.span = (region.start, region.end)
        item.size = region.end - region.start
        item.head = pread_all(source.fd, min(sniff.HEAD, item.size), region.start)
        if sniff.detect(item.head) not in ("", "text/plain", "text/html"):
            item.span = None
            self._leaf(source, region)
            return
        item.scan = "covered"
        self.store.add(item)
        self._signs(source.fd, region.start, region.end, item, True)

    def _text(self, source: Source, region: mime.Region) -> None:
        """Preamble or epilogue: text outside all parts, if it is more than blanks."""
        position = region.start
        while position < region.end:
            length = min(WINDOW, region.end - position)
            data = pread_all(source.fd, length, position)
            if not data:
                return
            if data.strip(BLANK):
                break
            position += len(data)
        else:
            return
        item = Item(region.path, "mime", [], "text/plain", "")
        self.store.decode(source.fd, region.start, region.end, item, None)
        self.store.add(item)
        self._signs(source.fd, region.start, region.end, item, True)

    def _leaf(self, source: Source, region: mime.Region) -> None:
        """A part: decoded into a file of its own."""
        store = self.store
        item = self._item(region)
        item.names = _names(region.fields)
        plain = region.encoding in mime.IDENTITY
        coder: object = None
        if not plain:
            from qscan import transfer

            coder = transfer.decoder(region.encoding)
            if self.cr and coder is not None:
                from qscan import variants

                coder = variants.Lines(coder)
        prefix = b""
        if region.kind == "message" and region.media.startswith(b"multipart/"):
            prefix = _type_field(region.fields)
        store.decode(source.fd, region.start, region.end, item, coder, prefix)
        store.add(item)
        if not plain and (coder is None or coder.odd):  # type: ignore[attr-defined]
            from qscan import inner

            inner.again(store, source.fd, region.start, region.end, item, coder)
        if store.full:
            return
        if region.kind == "message":
            self.queue_message(item)
            if coder is not None and coder.odd:  # type: ignore[attr-defined]
                # Perhaps it is not encoded at all.
                same = Item(f"{item.path}/as-8bit", "guess", [], "", "8bit")
                store.guess(source.fd, region.start, region.end, same, None)
        if plain and item.file is not None:
            start = region.start
            if region.media == b"text/rfc822-headers":
                # A header is its content (RFC 6522 section 4); look behind it.
                blank = max(item.head.find(b"\n\n"), item.head.find(b"\n\r\n"))
                start = region.end if blank < 0 else start + blank
            self._signs(source.fd, start, region.end, item, True)

    def _item(self, region: mime.Region) -> Item:
        return Item(
            region.path,
            "mime",
            [],
            region.media.decode("ascii", "backslashreplace"),
            region.encoding.decode("ascii", "backslashreplace"),
        )

    def _signs(self, fd: int, start: int, end: int, item: Item, plain: bool) -> bool:
        """Look for signs of files in a text, and of parts that no boundary opens; True
        when there are such parts in what is not ``plain``.

        ``plain``: the text is in no transfer encoding, so it may be in one that its
        header does not show to us.
        """
        position = start
        files = fields = False
        rest = b""
        search = plain or (item.origin == "mime" and GUESS not in item.path)
        while position < end and not (files and fields):
            data = pread_all(fd, min(WINDOW, end - position), position)
            if not data:
                break
            position += len(data)
            text = rest + data
            rest = text[-SIGN:]
            files = files or (
                b"begin" in text
                or b"BinHex" in text
                or b"ENCODING=" in text
                or b"encoding=" in text
            )
            fields = fields or (search and b"content-t" in text.lower())
        head = item.head
        encoded = (
            plain
            and len(head) >= ENCODED
            and (head.count(b"=") >= 3 or not head.translate(None, BASE64))
        )
        if not (files or fields or encoded):
            return False
        from qscan import intext

        return intext.search(self.store, fd, start, end, item, plain) and not plain

    def queue_message(self, item: Item, guess: bool = False) -> None:
        """A message that is an item of its own is walked as a file of its own;
        ``guess``: nobody says that it is one."""
        if item.file is None or not item.size or item.path in self.queued:
            return
        self.queued.add(item.path)
        depth = item.path.count(".") + 1
        if depth > self.store.limits.depth:
            self.store.note("limit-depth", item.path)
            return
        guess = guess or item.origin == "guess"
        path = f"{item.path}{GUESS}/1" if guess else f"{item.path}.1"
        # Apple Mail writes the length of the message in a line before it.
        first = item.head.split(b"\n", 1)[0]
        start = len(first) + 1 if first.strip().isdigit() else 0
        fd = posix.open(item.file, O_READ)
        source = Source(fd, start, item.size, path, depth, item.file)
        # What is stated goes first: what a guess finds again keeps its place.
        self.queue.insert(0 if guess else len(self.queue), source)


def _names(fields: list[Header]) -> list[str]:
    """Every file name of a part; most have none."""
    for field in fields:
        value = field.value.lower()
        if b"name" in value or (
            field.name.startswith(b"content-")
            and (
                field.name in NAMING
                or b"(" in value
                or b"=?" in value
                or (field.name == b"content-disposition" and b"." in value)
                or b"name" in value.translate(None, b' \t\r\n\0"\\')
            )
        ):
            from qscan import parameters

            return parameters.part_names(fields)
    return []


def _type_field(fields: list[Header]) -> bytes:
    """The Content-Type that a decoded multipart had outside."""
    for field in fields:
        if field.name == b"content-type":
            return b"Content-Type:" + field.value + b"\n\n"
    return b"Content-Type: multipart/mixed\n\n"
