# SPDX-License-Identifier: MIT
"""The hot reader of what ``qscan compile`` wrote: one Berkeley DB file.

Does: read it, by a few lines of our own where the file is what we write and by the
library where it is not; check its format; notice that the text it was made from has
changed. Never does: read text; guess a default.
Raises: ``Failure`` with outcome config (55), each cause with its own words.
"""

import _imp
import binascii
import marshal
import posix
import sys

from qscan import fdio
from qscan.fdio import Failure

FORMAT = b"2"  # older or newer files are refused: compile again

Value = str | int | float | bool | list[str]


def extension() -> object:
    """The C module of berkeleydb, without its Python package (which costs 4 ms)."""
    for name in ("berkeleydb._berkeleydb", "_berkeleydb"):
        module = sys.modules.get(name)
        if module is not None:
            return module
    spec_type = sys.modules["_frozen_importlib"].ModuleSpec
    for folder in reversed(sys.path):
        for suffix in _imp.extension_suffixes():
            path = f"{folder}/berkeleydb/_berkeleydb{suffix}"
            try:
                posix.stat(path)
            except OSError:
                continue
            # Binding its functions on first use saves 0.15 ms (RTLD_LAZY, dlopen(3)).
            flags = sys.getdlopenflags()
            sys.setdlopenflags(1)
            module = _imp.create_dynamic(spec_type("_berkeleydb", None, origin=path))
            sys.setdlopenflags(flags)
            _imp.exec_dynamic(module)
            sys.modules["_berkeleydb"] = module
            sys.modules["berkeleydb._berkeleydb"] = module
            return module
    raise Failure("config", "the Python package berkeleydb is not installed")


class Settings:
    """``values`` by dotted name; ``classes`` the marshalled automaton arguments;
    ``warning`` something to log, or ""."""

    __slots__ = ("classes", "values", "warning")

    def __init__(self, values: dict[str, Value], classes: bytes, warning: str) -> None:
        self.values = values
        self.classes = classes
        self.warning = warning

    def automaton(self) -> object:
        """The Aho-Corasick automaton of signature-name literals."""
        import ahocorasick

        return ahocorasick.Automaton(*marshal.loads(self.classes))


def load(path: str) -> Settings:
    """Read compiled settings; raises Failure(config)."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            data = posix.read(fd, QUICK_BYTES)
        finally:
            posix.close(fd)
    except FileNotFoundError:
        raise Failure("config", f"settings absent: {path}: run qscan compile") from None
    except OSError as error:
        raise Failure("config", f"settings unreadable: {path}: {error}") from None
    entries = quick(data)
    if entries is None:
        entries = by_library(path)
    form = entries.get(b"format")
    if form is not None and form != FORMAT:
        raise Failure(
            "config",
            f"settings of another format ({form!r}, not {FORMAT!r}): {path}: "
            "run qscan compile of this version",
        )
    try:
        if form is None:
            raise ValueError("no format")
        values = marshal.loads(entries[b"settings"])
        source = marshal.loads(entries[b"source"])
        classes = entries[b"classes"]
        if not isinstance(values, dict):
            raise ValueError("no settings")
    except (EOFError, ValueError, TypeError, KeyError) as error:
        raise Failure(
            "config", f"settings corrupt: {path}: {error}: run qscan compile"
        ) from None
    return Settings(values, classes, _changed(source))


def by_library(path: str) -> dict[bytes, bytes]:
    """The records of the file through Berkeley DB; raises Failure(config)."""
    db = extension()
    store = db.DB()  # type: ignore[attr-defined]
    entries: dict[bytes, bytes] = {}
    try:
        try:
            store.open(path, None, db.DB_UNKNOWN, db.DB_RDONLY)  # type: ignore[attr-defined]
            for key in KEYS:
                value = store.get(key)
                if value is not None:
                    entries[key] = value
        finally:
            store.close()
    except (db.DBError, ValueError, TypeError) as error:  # type: ignore[attr-defined]
        raise Failure(
            "config", f"settings corrupt: {path}: {error}: run qscan compile"
        ) from None
    return entries


def checksum(entries: dict[bytes, bytes]) -> bytes:
    """The value of the record ``checksum``: CRC-32 of the others, in decimal."""
    crc = 0
    for key in KEYS[:-1]:
        crc = binascii.crc32(entries[key], crc)
    return b"%d" % crc


# -- the quick way --------------------------------------------------------------------
#
# Loading the library costs every message 0.9 ms, a tenth of all. The file is one B-tree
# of five records, so its pages are read here, and everything that is not exactly that
# (another byte order, more levels, a checksum that is wrong) is left to the library.
# Layout: Berkeley DB 5.3, dbinc/db_page.h: BTMETA, PAGE, BKEYDATA, BOVERFLOW.

KEYS = (b"format", b"settings", b"source", b"classes", b"checksum")
QUICK_BYTES = 1048576  # larger files are the library's
_MAGIC = 0x053162
_LEAF, _OVERFLOW_PAGE = 5, 7
_KEYDATA, _OVERFLOW = 1, 3
_HEADER = 26  # bytes of a page header, without its checksum
_CHECKSUM = 6  # bytes of the checksum behind it


def quick(data: bytes) -> dict[bytes, bytes] | None:
    """The records of a small B-tree from its bytes; None: ask the library."""
    if len(data) < 512 or len(data) >= QUICK_BYTES or _u32(data, 12) != _MAGIC:
        return None
    page_size = _u32(data, 20)
    root = _u32(data, 88) * page_size
    header = _HEADER + (_CHECKSUM if data[26] & 1 else 0)
    page = data[root : root + page_size]
    if page_size < 512 or data[24] or len(page) < page_size or page[25] != _LEAF:
        return None
    records: list[bytes] = []
    for index in range(_u16(page, 20)):
        at = _u16(page, header + 2 * index)
        kind = page[at + 2] if at + 2 < page_size else 0
        if kind == _KEYDATA:
            record: bytes | None = page[at + 3 : at + 3 + _u16(page, at)]
        elif kind == _OVERFLOW and _u32(page, at + 8) < QUICK_BYTES:
            first, length = _u32(page, at + 4), _u32(page, at + 8)
            record = _chain(data, page_size, header, first, length)
        else:
            record = None
        if record is None:
            return None
        records.append(record)
    entries = dict(zip(records[::2], records[1::2], strict=False))
    if any(key not in entries for key in KEYS):
        return None
    return entries if checksum(entries) == entries[b"checksum"] else None


def _chain(
    data: bytes, page_size: int, header: int, number: int, length: int
) -> bytes | None:
    """A record of ``length`` bytes on overflow pages from page ``number`` on."""
    out = b""
    while len(out) < length:
        page = data[number * page_size : (number + 1) * page_size]
        if not number or len(page) < page_size or page[25] != _OVERFLOW_PAGE:
            return None
        piece = page[header : header + _u16(page, 22)]
        if not piece:
            return None
        out += piece
        number = _u32(page, 16)
    return out if len(out) == length else None


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _changed(source: tuple[str, int, int, str]) -> str:
    """A warning when the text is not the one that was compiled."""
    path, mtime_ns, size, digest = source
    try:
        now = posix.stat(path)
    except OSError:
        return ""  # the text may be readable for its owner alone
    if now.st_mtime_ns == mtime_ns and now.st_size == size:
        return ""
    if now.st_size == size:
        # Touched, or edited without a change of length: only then read it.
        state = fdio.sha256()
        try:
            fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
        except OSError:
            fd = -1
        if fd >= 0:
            try:
                text = posix.read(fd, size + 1)
            finally:
                posix.close(fd)
            state.update(text)  # type: ignore[attr-defined]
            if state.hexdigest() == digest:  # type: ignore[attr-defined]
                return ""
    return f"{path} has changed since it was compiled; the old settings are in use"


# The settings that tcprules may override, see schema.py (a test holds them equal).
FROM_ENVIRONMENT = (
    "header.qscan",
    "header.virus_scanned",
    "reject.dialect",
    "tnef.deliver",
)
DIALECTS = ("plain", "notqmail", "netqmail", "stderr", "indimail", "auto")
TNEF_DELIVER = ("as-is", "beside", "instead")
_CHOICES = {"reject.dialect": DIALECTS, "tnef.deliver": TNEF_DELIVER}


def override(values: dict[str, Value], environment: dict[bytes, bytes]) -> str:
    """Apply ``QSCAN_...`` variables; returns a warning for one that is of no use."""
    warning = ""
    for key, raw in environment.items():
        if not key.startswith(b"QSCAN_"):
            continue
        text = raw.decode("ascii", "replace")
        for name in FROM_ENVIRONMENT:
            if key[6:].decode("ascii", "replace") != name.upper().replace(".", "_"):
                continue
            if name in _CHOICES:
                if text in _CHOICES[name]:
                    values[name] = text
                    break
            elif text in ("0", "1", "true", "false", "yes", "no"):
                values[name] = text in ("1", "true", "yes")
                break
            warning = f"{key.decode('ascii', 'replace')}: value not understood"
    return warning
