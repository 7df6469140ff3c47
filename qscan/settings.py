# SPDX-License-Identifier: MIT
"""The hot reader of what ``qscan compile`` wrote: one Berkeley DB file.

Does: open it read-only, check its format, notice that the text it was made from has
changed. Never does: read text; guess a default.
Raises: ``Failure`` with outcome config (55), each cause with its own words.
"""

import _imp
import marshal
import posix
import sys

from qscan import fdio
from qscan.fdio import Failure

FORMAT = b"1"  # older or newer files are refused: compile again

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
        posix.close(posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC))
    except FileNotFoundError:
        raise Failure("config", f"settings absent: {path}: run qscan compile") from None
    except OSError as error:
        raise Failure("config", f"settings unreadable: {error}") from None
    db = extension()
    store = db.DB()  # type: ignore[attr-defined]
    try:
        try:
            store.open(path, None, db.DB_UNKNOWN, db.DB_RDONLY)  # type: ignore[attr-defined]
            form = store.get(b"format")
            if form is not None and form != FORMAT:
                raise Failure(
                    "config",
                    f"settings of another format ({form!r}, not {FORMAT!r}): {path}: "
                    "run qscan compile of this version",
                )
            values = marshal.loads(store.get(b"settings"))
            source = marshal.loads(store.get(b"source"))
            classes = store.get(b"classes")
        finally:
            store.close()
    except (db.DBError, EOFError, ValueError, TypeError) as error:  # type: ignore[attr-defined]
        raise Failure(
            "config", f"settings corrupt: {path}: {error}: run qscan compile"
        ) from None
    if form is None or not isinstance(values, dict) or not isinstance(classes, bytes):
        raise Failure("config", f"settings corrupt: {path}: run qscan compile")
    return Settings(values, classes, _changed(source))


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
FROM_ENVIRONMENT = ("header.qscan", "header.virus_scanned", "reject.dialect")
DIALECTS = ("plain", "notqmail", "netqmail", "stderr", "indimail", "auto")


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
            if name == "reject.dialect":
                if text in DIALECTS:
                    values[name] = text
                    break
            elif text in ("0", "1", "true", "false", "yes", "no"):
                values[name] = text in ("1", "true", "yes")
                break
            warning = f"{key.decode('ascii', 'replace')}: value not understood"
    return warning
