# SPDX-License-Identifier: MIT
"""Decompression in bounded pieces, by the interpreter's own modules.

Does: one ``Stream`` for every compression of zip members and for gzip, bzip2, xz and
LZMA files; say what it consumed, whether it came to its end and what was wrong.
Never does: raise on content; hold more than a piece of output.
Raises: MemoryError when a dictionary is larger than the memory of this process.
Source: APPNOTE.TXT sections 4.4.5 and 5.8, RFC 1951, RFC 1952.
"""

from __future__ import annotations

# The modules around these two load half of the standard library.
import _bz2
import _lzma
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Read = Callable[[int, int], bytes]

INPUT = 65536
OUTPUT = 262144
STREAMS = 20_000  # one after the other in a file
# bz2 raises OSError for its data; nothing is read or written where this is caught.
_ERRORS = (_lzma.LZMAError, zlib.error, OSError, ValueError, EOFError)
_NAME = 1024  # bytes of a name or comment in a gzip header


class Broken(Exception):
    """What follows cannot be read: a text, and whether that is for encryption."""

    def __init__(self, text: str, encrypted: bool = False) -> None:
        Exception.__init__(self, text)
        self.text = text
        self.encrypted = encrypted


class Stream:
    """Bytes [start, start + length) of ``read``, decompressed while iterating.

    Afterwards ``used`` is how many bytes were consumed, ``ended`` whether the data said
    its own end (stored data ends with its length), ``error`` a text when it is damaged,
    ``many`` when there were more than STREAMS of them.
    """

    __slots__ = (
        "ended",
        "error",
        "length",
        "many",
        "method",
        "names",
        "read",
        "start",
        "used",
    )

    def __init__(self, read: Read, start: int, length: int, method: str) -> None:
        self.read = read
        self.start = start
        self.length = length
        self.method = method
        self.used = 0
        self.ended = False
        self.error = ""
        self.many = False
        self.names: list[bytes] = []

    def __iter__(self) -> Iterator[bytes]:
        """Pieces of at most OUTPUT bytes."""
        if self.method == "stored":
            return self._stored()
        if self.method == "gzip":
            return self._gzip()
        if self.method in ("bzip2", "xz"):
            return self._chained()
        return self._one()

    def _stored(self) -> Iterator[bytes]:
        while self.used < self.length:
            data = self._input(OUTPUT)
            if not data:
                self.error = "cut short"
                return
            self.used += len(data)
            yield data
        self.ended = True

    def _input(self, most: int) -> bytes:
        return self.read(self.start + self.used, min(most, self.length - self.used))

    def _decoder(self) -> Any:
        """A decompressor with ``decompress(data, max_length)``."""
        if self.method == "deflate":
            return zlib.decompressobj(-15)
        if self.method == "bzip2":
            return _bz2.BZ2Decompressor()
        if self.method == "xz":
            return _lzma.LZMADecompressor(_lzma.FORMAT_XZ)
        if self.method == "lzma":
            return _lzma.LZMADecompressor(_lzma.FORMAT_ALONE)
        # APPNOTE.TXT section 5.8: version, length of the properties, properties
        head = self._input(9)
        if len(head) < 9 or head[2:4] != b"\x05\x00" or head[4] >= 225:
            raise ValueError("properties")
        self.used = 9
        literal, rest = head[4] % 9, head[4] // 9
        return _lzma.LZMADecompressor(
            _lzma.FORMAT_RAW,
            filters=[
                {
                    "id": _lzma.FILTER_LZMA1,
                    "dict_size": int.from_bytes(head[5:9], "little"),
                    "lc": literal,
                    "lp": rest % 5,
                    "pb": rest // 5,
                }
            ],
        )

    def _one(self) -> Iterator[bytes]:
        """One stream, to its end."""
        try:
            decoder = self._decoder()
        except _ERRORS as error:
            self.error = str(error)
            return
        yield from self._run(decoder)

    def _run(self, decoder: Any) -> Iterator[bytes]:
        is_zlib = self.method in ("deflate", "gzip")
        pending = b""
        while not decoder.eof:
            if not pending and (is_zlib or decoder.needs_input):
                pending = self._input(INPUT)
                self.used += len(pending)
                if not pending:
                    self.error = "cut short"
                    return
            try:
                data = decoder.decompress(pending, OUTPUT)
            except MemoryError:
                raise
            except _ERRORS as error:
                self.error = str(error)[:100] or "damaged"
                return
            pending = decoder.unconsumed_tail if is_zlib else b""
            if data:
                yield data
        self.used -= len(decoder.unused_data)
        self.ended = True

    def _chained(self) -> Iterator[bytes]:
        """Streams one after the other, as the tools of these formats read them."""
        for _ in range(STREAMS):
            before = self.used
            self.ended = False
            yield from self._one()
            if self.error:
                if before and self.used - before < 65536 and not self.ended:
                    # Not a further stream: what follows the last one is junk.
                    self.error = ""
                    self.used = before
                    self.ended = True
                return
            self._skip_zeros()
            if self.used >= self.length:
                return
        self.many = True

    def _skip_zeros(self) -> None:
        while self.used < self.length:
            data = self._input(INPUT)
            rest = data.lstrip(b"\0")
            self.used += len(data) - len(rest)
            if rest or not data:
                return

    def _gzip(self) -> Iterator[bytes]:
        """All members (RFC 1952 section 2.2); ``names`` from their headers."""
        first = True
        for _ in range(STREAMS):
            if self.used >= self.length:
                return
            before = self.used
            if not self._gzip_header():
                self.used = before
                if first:
                    self.error = "header"
                return  # the rest is junk
            first = False
            self.ended = False
            crc = size = 0
            for data in self._run(zlib.decompressobj(-15)):
                crc = zlib.crc32(data, crc)
                size += len(data)
                yield data
            if self.error:
                return
            trailer = self._input(8)
            self.used += len(trailer)
            if len(trailer) < 8:
                self.error, self.ended = "cut short", False
                return
            if trailer != crc.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(
                4, "little"
            ):
                self.error = "checksum"
                return
            self._skip_zeros()
        self.many = True

    def _gzip_header(self) -> bool:
        head = self._input(10)
        if len(head) < 10 or head[:3] != b"\x1f\x8b\x08":
            return False
        self.used += 10
        flags = head[3]
        if flags & 4:
            self.used += 2 + int.from_bytes(self._input(2), "little")
        for flag in (8, 16):
            if flags & flag:
                text = self._input(INPUT)
                end = text.find(b"\0")
                if end < 0:
                    return False
                self.used += end + 1
                if flag == 8 and len(self.names) < 8:
                    self.names.append(text[: min(end, _NAME)])
        if flags & 2:
            self.used += 2
        return self.used <= self.length
