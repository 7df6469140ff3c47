# SPDX-License-Identifier: MIT
"""The formats that libarchive reads, through libarchive-c's table of functions.

Does: open one named format over a read function, give its members with every name and
their content in pieces; tell damage, encryption and the end apart. Never does: let the
library guess among formats, run filter programs, touch files (mtree would), or search
for itself with helper programs. Runs in the limited child only: the library is C.
Raises: Broken when the rest cannot be read; MemoryError.
Source: libarchive(3), archive_read(3), archive_entry(3).
"""

from __future__ import annotations

import ctypes
import logging
import os

from qscan.archives.streams import Broken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Read = Callable[[int, int], bytes]

LIBRARY = "libarchive.so.13"
PIECE = 262144
BLOCK = 65536
_FILE = 0o100000
_LINK = 0o120000
_DIRECTORY = 0o040000
_ENOMEM = 12
# Format -> (formats, filters) of the library. Only what it does without programs.
FORMATS = {
    "rar": (("rar",), ()),
    "rar5": (("rar5",), ()),
    "7z": (("7zip",), ()),
    "tar": (("tar",), ()),
    "cab": (("cab",), ()),
    "iso": (("iso9660",), ()),
    "lha": (("lha",), ()),
    "cpio": (("cpio",), ()),
    "ar": (("ar",), ()),
    "xar": (("xar",), ()),
    "rpm": (("cpio",), ("rpm", "gzip", "bzip2", "xz", "lzma", "zstd")),
    "zip": (("zip_seekable",), ()),
    "zstd": (("raw",), ("zstd",)),
    "lz4": (("raw",), ("lz4",)),
    "lzip": (("raw",), ("lzip",)),
    "compress": (("raw",), ("compress",)),
}


class Entry:
    """A member: ``names``, ``size`` (-1 unknown), ``kind`` file, link, directory or
    other, ``encrypted`` its content is. ``pieces()`` its content, before the next one
    is asked for; raises Broken."""

    __slots__ = ("archive", "encrypted", "kind", "names", "size")

    def __init__(self, archive: Archive, entry: Any) -> None:
        ffi = archive.ffi
        self.archive = archive
        self.names = list(_names(ffi, entry))
        mode = ffi.entry_filetype(entry)
        self.kind = {
            _FILE: "file",
            0: "file",
            _LINK: "link",
            _DIRECTORY: "directory",
        }.get(mode, "other")
        self.size = ffi.entry_size(entry) if ffi.entry_size_is_set(entry) else -1
        self.encrypted = ffi.entry_is_encrypted(entry) > 0
        if self.kind == "file" and ffi.entry_hardlink(entry) and self.size <= 0:
            self.kind = "link"

    def pieces(self) -> Iterator[bytes]:
        """The content; raises Broken."""
        archive = self.archive
        ffi = archive.ffi
        buffer = ctypes.create_string_buffer(PIECE)
        while True:
            try:
                count = ffi.read_data(archive.pointer, buffer, PIECE)
            except archive.error as error:
                raise archive.broken(error) from None
            if count < 0:
                text = ffi.error_string(archive.pointer) or b"damaged"
                raise Broken(text.decode("ascii", "replace")[:120])
            if not count:
                return
            yield buffer.raw[:count]


class Archive:
    """An open archive over ``read``; iterate for its members, once."""

    def __init__(
        self, read: Read, size: int, kind: str, passwords: tuple[bytes, ...] = ()
    ) -> None:
        ffi = load()
        self.ffi = ffi
        self.error = ffi.ArchiveError
        self.read = read
        self.size = size
        self.at = 0
        self.block = ctypes.create_string_buffer(BLOCK)
        self.pointer = ffi.read_new()
        self.callbacks = (
            ffi.READ_CALLBACK(self._on_read),
            ffi.SEEK_CALLBACK(self._on_seek),
        )
        formats, filters = FORMATS[kind]
        try:
            for password in passwords:
                ffi.read_add_passphrase(self.pointer, password)
            for name in filters:
                ffi.get_read_filter_function(name)(self.pointer)
            for name in formats:
                ffi.get_read_format_function(name)(self.pointer)
            ffi.read_set_seek_callback(self.pointer, self.callbacks[1])
            ffi.read_open(
                self.pointer, None, ffi.NO_OPEN_CB, self.callbacks[0], ffi.NO_CLOSE_CB
            )
        except self.error as error:
            raise self.broken(error) from None

    def close(self) -> None:
        """Free what the library holds."""
        pointer, self.pointer = self.pointer, None
        if pointer:
            self.ffi.read_free(pointer)

    def __iter__(self) -> Iterator[Entry]:
        """The members; raises Broken."""
        ffi = self.ffi
        entry = ffi.entry_new()
        failures = 0
        try:
            while True:
                try:
                    end = ffi.read_next_header2(self.pointer, entry)
                except self.error as error:
                    failures += 1
                    if error.retcode == ffi.ARCHIVE_FATAL or failures > 8:
                        raise self.broken(error) from None
                    continue
                if end == ffi.ARCHIVE_EOF:
                    break
                yield Entry(self, entry)
        finally:
            ffi.entry_free(entry)
        if failures:
            raise Broken("some members cannot be read")

    def has_encrypted(self) -> bool:
        """True when the library met an encrypted member or directory."""
        return bool(self.ffi.read_has_encrypted_entries(self.pointer) > 0)

    def broken(self, error: Any) -> Broken:
        """Its error as ours; raises MemoryError when that is what it means."""
        text = str(error.msg or "damaged")
        if error.errno == _ENOMEM or "memory" in text.lower():
            raise MemoryError from None
        low = text.lower()
        return Broken(
            text[:120], "ncrypt" in low or "passphrase" in low or "crypto" in low
        )

    def _on_read(self, archive: Any, context: Any, place: Any) -> int:
        data = self.read(self.at, min(BLOCK, max(0, self.size - self.at)))
        self.at += len(data)
        ctypes.memmove(self.block, data, len(data))
        place[0] = ctypes.addressof(self.block)
        return len(data)

    def _on_seek(self, archive: Any, context: Any, offset: int, whence: int) -> int:
        start = {0: 0, 1: self.at, 2: self.size}.get(whence, 0)
        self.at = max(0, start + offset)
        return self.at


_loaded: list[Any] = []


def load() -> Any:
    """libarchive-c's table of C functions, with those that it lacks."""
    if _loaded:
        return _loaded[0]
    logging.disable(100)
    # Else it would start ldconfig, gcc and objdump to find the library.
    os.environ["LIBARCHIVE"] = LIBRARY
    import locale

    try:
        # Names in UTF-16 cannot be shown in the C locale.
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    except locale.Error:
        pass  # wide names still come
    ffi: Any = __import__("libarchive.ffi", None, None, ("read_new",))
    ffi.ArchiveError = __import__(
        "libarchive.exception", None, None, ("ArchiveError",)
    ).ArchiveError
    entry = [ffi.c_archive_entry_p]
    for name in ("entry_is_encrypted", "entry_is_data_encrypted"):
        ffi.ffi(name, entry, ctypes.c_int)
    ffi.ffi("read_has_encrypted_entries", [ffi.c_archive_p], ctypes.c_int)
    ffi.ffi("entry_pathname_utf8", entry, ctypes.c_char_p)
    _loaded.append(ffi)
    return ffi


def _names(ffi: Any, entry: Any) -> Iterator[str]:
    """Every form of a name that the library has."""
    seen = []
    for raw in (ffi.entry_pathname_utf8(entry), ffi.entry_pathname(entry)):
        if raw:
            try:
                name = raw.decode("utf-8")
            except UnicodeDecodeError:
                name = raw.decode("latin-1")
            if name not in seen:
                seen.append(name)
                yield name
    try:
        name = ffi.entry_pathname_w(entry)
    except (ValueError, OverflowError):
        return  # code points that there are not
    if name and name not in seen:
        yield name.encode("utf-8", "replace").decode("utf-8")
