# SPDX-License-Identifier: MIT
"""From ``qscan.toml``, which people edit, to the one file that the wrapper reads.

Does: check the text completely, then write a Berkeley DB file beside the live one,
fsync it, rename it over the live one, fsync the directory (the tcprules habit).
Never does: touch the live file when anything is wrong; lock; run in the wrapper.
Raises: ``SettingsError``, which holds every mistake found, each with file, line,
column, the quoted line and a remedy.

Keys of the file: ``format`` (``settings.FORMAT``); ``settings``, ``source``,
``origins``, ``classes``, all marshal version 4. ``settings`` is a dict of every
setting. ``source`` is (absolute path, mtime in ns, size, SHA-256 in hex) of the text,
path empty when there was none. ``origins`` is a dict of the line of each setting that
the text has. ``classes`` is what rebuilds the automaton of signature names:
``ahocorasick.Automaton(*args)``, whose values are (class, whether the literal must be
the beginning, its length). The automaton is a memory image, so the file belongs to one
machine and one version of pyahocorasick; compile again after an upgrade.

Pages carry checksums, so a damaged file is an error when it is read, not a different
setting.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import re
import stat
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ahocorasick
from berkeleydb import db

from qscan import schema
from qscan.schema import Value
from qscan.settings import FORMAT, checksum

# Stands in every launcher (a test holds it equal to launcher.SCRIPT).
LAUNCHER_MARK = b"# Written by qscan.launcher"

# No honest settings file comes near; keeps /dev/zero and core files out of memory.
TEXT_MAX = 4_000_000

MARSHAL_VERSION = 4

# clamd's names are NUL-terminated, so this literal fits none: it keeps an automaton
# without literals searchable (an empty one raises on every search).
NO_LITERAL = "\0"

# Readable by the SMTP server's user; there are no secrets in it.
DB_MODE = 0o644

_PAGE_BYTES = 4096
_QUOTE_CHARS = 100
_ROUNDS = 5

Source = tuple[str, int, int, str]
KeyPath = tuple[str | int, ...]


@dataclass
class Problem:
    """One mistake. ``line`` and ``column`` count from 1, 0 when there is none."""

    text: str
    remedy: str = ""
    line: int = 0
    column: int = 0
    quoted: str = ""


class SettingsError(Exception):
    """The text or the compiled file at ``path`` cannot be used: ``problems``."""

    def __init__(self, path: str, problems: list[Problem]) -> None:
        self.path = path
        self.problems = problems
        super().__init__("\n".join(_describe(path, one) for one in problems))


@dataclass
class Parsed:
    """A checked text: all ``settings``, the ``lines`` of those it has (from 1), its
    ``source`` and the ``warnings`` about it."""

    settings: dict[str, Value]
    lines: dict[str, int] = field(default_factory=dict)
    source: Source = ("", 0, 0, "")
    warnings: list[str] = field(default_factory=list)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)


def _describe(path: str, problem: Problem) -> str:
    where = _printable(path)
    if problem.line:
        where += f":{problem.line}:{problem.column}"
    lines = [f"{where}: {_printable(problem.text)}"]
    if problem.quoted:
        # The marker must stay below the column, so every character is one wide.
        start = max(0, problem.column - 1 - _QUOTE_CHARS // 2)
        shown = _printable(problem.quoted[start : start + _QUOTE_CHARS])
        lines += ["    " + shown.rstrip()]
        lines += ["    " + " " * (problem.column - 1 - start) + "^"]
    if problem.remedy:
        lines += [f"    remedy: {_printable(problem.remedy)}"]
    return "\n".join(lines)


# --- reading the text ---------------------------------------------------------------


def _read(path: str) -> tuple[bytes, Source]:
    """The bytes of the text and what identifies them. Raises ``SettingsError``."""

    def fail(text: str, remedy: str) -> SettingsError:
        return SettingsError(path, [Problem(text, remedy)])

    try:
        # O_NONBLOCK: opening a named pipe must not wait for a writer.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise fail(
            "there is no such file",
            "name the file with --text, or copy install/qscan.toml there",
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise fail(
            f"cannot be opened: {reason}", "check its owner and mode, and the name"
        ) from None
    try:
        before = os.fstat(fd)
        if stat.S_ISDIR(before.st_mode):
            raise fail("is a directory", "name the file in it, e.g. qscan.toml")
        if not stat.S_ISREG(before.st_mode):
            raise fail(
                "is not a regular file",
                "the wrapper must be able to see whether the text changed: use a file",
            )
        if before.st_size > TEXT_MAX:
            raise fail(
                f"has {before.st_size} bytes, more than {TEXT_MAX}",
                "name the text (qscan.toml), not another file",
            )
        data = b""
        while chunk := os.read(fd, 1 << 16):
            data += chunk
        after = os.fstat(fd)
    except OSError as error:
        raise fail(f"cannot be read: {error.strerror}", "check the disk") from None
    finally:
        os.close(fd)
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, len(data)):
        raise fail("changed while it was read", "save it, then try again")
    digest = hashlib.sha256(data).hexdigest()
    return data, (os.path.abspath(path), after.st_mtime_ns, len(data), digest)


def _decode(path: str, data: bytes) -> str:
    def fail(text: str, remedy: str, offset: int) -> SettingsError:
        line, column = _position(data.decode("latin-1"), offset)
        quoted = data.decode("utf-8", "replace").splitlines()
        shown = quoted[line - 1] if line <= len(quoted) else ""
        return SettingsError(path, [Problem(text, remedy, line, column, shown)])

    for mark, name in (
        (b"\xff\xfe", "UTF-16"),
        (b"\xfe\xff", "UTF-16"),
        (b"\xef\xbb\xbf", "UTF-8 with a byte order mark"),
    ):
        if data.startswith(mark):
            raise fail(
                f"is {name}, but must be UTF-8 without a byte order mark",
                'save it as "UTF-8", not "UTF-8 with BOM" or "Unicode"',
                0,
            )
    nul = data.find(b"\0")
    if nul >= 0:
        raise fail(
            "holds a NUL byte, so it is no text", "name the text (qscan.toml)", nul
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        # The column counts characters: what stands before the bad byte is UTF-8.
        start = data.rfind(b"\n", 0, error.start) + 1
        before = data[start : error.start].decode("utf-8")
        problem = Problem(
            f"byte 0x{data[error.start]:02X} is not UTF-8",
            "save the file as UTF-8; an old 8-bit encoding is not accepted",
            data.count(b"\n", 0, error.start) + 1,
            len(before) + 1,
            data[start:].split(b"\n", 1)[0].decode("utf-8", "replace"),
        )
        raise SettingsError(path, [problem]) from None


def _position(text: str, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of the character at ``offset``."""
    return (
        text.count("\n", 0, offset) + 1,
        offset - text.rfind("\n", 0, offset),
    )


class _Map:
    """Where each key, and each member of each array, stands in a text that tomllib
    has accepted: ``keys`` and ``members`` map key paths to offsets. tomllib itself
    tells no positions.
    """

    _BARE = re.compile(r"[A-Za-z0-9_-]+")
    _SPACE = re.compile(r"[ \t]*")
    _BLANK = re.compile(r"(?:[ \t\r\n,]|#[^\n]*)*")
    _SCALAR = re.compile(r"[^,\]}#\n]+")
    _STRINGS = (
        re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}', re.DOTALL),
        re.compile(r"'''.*?'{3,5}", re.DOTALL),
        re.compile(r'"(?:[^"\\\n]|\\.)*"'),
        re.compile(r"'[^'\n]*'"),
    )

    def __init__(self, text: str) -> None:
        self.text = text
        self.keys: dict[KeyPath, int] = {}
        self.members: dict[KeyPath, int] = {}
        table: KeyPath = ()
        counts: dict[KeyPath, int] = {}
        pos = self._skip(self._BLANK, 0)
        while pos < len(text):
            if text[pos] == "[":
                double = text.startswith("[[", pos)
                pos = self._skip(self._SPACE, pos + 1 + double)
                start = pos
                table, pos = self._key(pos)
                self._note(table, 0, start)
                if double:
                    counts[table] = counts.get(table, -1) + 1
                    table = (*table, counts[table])
                pos = text.index("]", pos) + 1 + double
            else:
                pos = self._pair(table, pos)
            pos = self._skip(self._BLANK, pos)

    def _skip(self, pattern: re.Pattern[str], pos: int) -> int:
        match = pattern.match(self.text, pos)
        return match.end() if match else pos

    def _note(self, path: KeyPath, known: int, offset: int) -> None:
        for length in range(known + 1, len(path) + 1):
            self.keys.setdefault(path[:length], offset)

    def _string(self, pos: int) -> int:
        for pattern in self._STRINGS:
            match = pattern.match(self.text, pos)
            if match:
                return match.end()
        raise ValueError("unterminated text")

    def _key(self, pos: int) -> tuple[KeyPath, int]:
        parts: list[str] = []
        while True:
            pos = self._skip(self._SPACE, pos)
            if self.text[pos] in "\"'":
                end = self._string(pos)
                parts.append(tomllib.loads("k = " + self.text[pos:end])["k"])
            else:
                end = self._skip(self._BARE, pos)
                parts.append(self.text[pos:end])
            pos = self._skip(self._SPACE, end)
            if self.text[pos] != ".":
                return tuple(parts), pos
            pos += 1

    def _pair(self, table: KeyPath, pos: int) -> int:
        start = pos
        key, pos = self._key(pos)
        path = table + key
        self._note(path, len(table), start)
        pos = self.text.index("=", pos) + 1
        return self._value(path, self._skip(self._SPACE, pos))

    def _value(self, path: KeyPath, pos: int) -> int:
        first = self.text[pos]
        if first in "\"'":
            return self._string(pos)
        if first not in "[{":
            return self._skip(self._SCALAR, pos)
        close = "]" if first == "[" else "}"
        index = 0
        pos = self._skip(self._BLANK, pos + 1)
        while self.text[pos] != close:
            if first == "[":
                self.members[(*path, index)] = pos
                pos = self._value((*path, index), pos)
                index += 1
            else:
                pos = self._pair(path, pos)
            pos = self._skip(self._BLANK, pos)
        return pos + 1


# Beginnings of tomllib's messages and what people have done when they see them.
_REMEDIES = (
    ("Invalid value", 'write texts in double quotes ("..."), truth as true or false'),
    ("Invalid initial character for a key", "write: name = value"),
    ("Expected '='", "write: name = value"),
    ("Cannot overwrite a value", "the setting is there twice: keep one"),
    ("Cannot declare", "the [group] is there twice: put its settings together"),
    ("Cannot mutate", "the group is already written in another form: keep one"),
    ("Unterminated string", "close the text with the quote that opened it"),
    ("Illegal character", "close the text on its line; write tabs as \\t"),
    ("Found invalid character", "end lines with LF or CR LF, nothing else"),
    ("Unclosed array", "close the list with ]"),
    ("Unescaped '\\'", "write \\\\ for one backslash, or use '...'"),
    ("Expected newline or end of document", "one setting a line, comments after #"),
    ("Invalid statement", "write: name = value, or [group], or # and a comment"),
    ("Expected ']'", "write: [group]"),
)

_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def _syntax_problem(text: str, message: str) -> Problem:
    match = _AT.search(message)
    reason = message[: match.start()] if match else message
    lines = text.split("\n")
    if match and match[1]:
        line, column = int(match[1]), int(match[2])
    else:
        line = len(lines)
        while line > 1 and not lines[line - 1].strip():
            line -= 1
        column = len(lines[line - 1]) + 1
    remedy = next((hint for begin, hint in _REMEDIES if reason.startswith(begin)), "")
    if match and not match[1]:
        remedy = "something is not complete: a list ends with ], a text with its quote"
    quoted = lines[line - 1] if line <= len(lines) else ""
    return Problem(
        "is no TOML: " + reason[:1].lower() + reason[1:],
        remedy or "see qscan.toml(5) and https://toml.io",
        line,
        column,
        quoted,
    )


class _Checker:
    """Walks what tomllib returned, collects settings and problems."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.map = _Map(text)
        self.lines = text.split("\n")
        self.problems: list[Problem] = []
        self.settings = schema.defaults()
        self.found: dict[str, KeyPath] = {}

    def problem(self, offset: int, text: str, remedy: str) -> None:
        line, column = _position(self.text, offset)
        quoted = self.lines[line - 1]
        self.problems.append(Problem(text, remedy, line, column, quoted))

    def about(self, name: str, text: str, remedy: str) -> None:
        """A problem with setting ``name``, wherever its value comes from."""
        path = self.found.get(name)
        if path is None:
            self.problems.append(Problem(text, remedy))
        else:
            self.problem(self.map.keys[path], text, remedy)

    def walk(self, table: dict[str, object], path: KeyPath) -> None:
        for key, value in table.items():
            here = (*path, key)
            name = ".".join(str(part) for part in here)
            offset = self.map.keys[here]
            if "." in key:
                self.problem(
                    offset,
                    f"unknown setting {schema.toml_text(key)} (a quoted name)",
                    "write names without quotes, above the first [group]",
                )
            elif name in schema.BY_NAME:
                self.found[name] = here
                self.take(schema.BY_NAME[name], value, here)
            elif isinstance(value, dict) and not path:
                if name in schema.GROUPS:
                    self.walk(value, here)
                else:
                    self.unknown_group(name, offset)
            elif name in schema.GROUPS:
                self.problem(
                    offset,
                    f"{name} is a group of settings, not a setting",
                    f"write [{name}] on a line of its own, its settings below",
                )
            else:
                self.unknown(name, offset)

    def unknown(self, name: str, offset: int) -> None:
        guess = schema.suggest(name)
        group = name.partition(".")[0]
        if guess:
            remedy = f"did you mean {guess}?"
        elif group in schema.GROUPS:
            own = [one for one in schema.BY_NAME if one.startswith(group + ".")]
            remedy = "there are: " + ", ".join(own)
        else:
            remedy = "qscan config lists all settings"
        self.problem(offset, f"unknown setting {name}", remedy)

    def unknown_group(self, name: str, offset: int) -> None:
        guess = schema.suggest_group(name)
        remedy = (
            f"did you mean [{guess}]?"
            if guess
            else "there are: " + ", ".join(f"[{one}]" for one in sorted(schema.GROUPS))
        )
        self.problem(offset, f"unknown group [{name}]", remedy)

    def take(self, setting: schema.Setting, value: object, path: KeyPath) -> None:
        try:
            self.settings[setting.name] = schema.check(setting, value)
        except schema.MemberError as error:
            offset = self.map.members[(*path, error.index)]
            self.problem(offset, f"{setting.name} {error}", _value_remedy(setting))
        except ValueError as error:
            offset = self.map.keys[path]
            self.problem(offset, f"{setting.name} {error}", _value_remedy(setting))


def _value_remedy(setting: schema.Setting) -> str:
    if setting.kind == "codes":
        return "qscan.toml(5) lists all codes"
    if setting.kind == "actions":
        return 'write "CODE: ACTION"; qscan-defects(7) lists all codes'
    return f"the default is {schema.toml_value(setting.default)}"


def _check_meaning(checker: _Checker) -> list[str]:
    """What no single value shows: problems into ``checker``; returns warnings."""
    settings = checker.settings
    warnings: list[str] = []

    def warn(name: str, text: str) -> None:
        path = checker.found.get(name)
        if path is not None:
            line = _position(checker.text, checker.map.keys[path])[0]
            text = f"line {line}: {text}"
        warnings.append(text)

    if settings["scan.raw"] == "never" and not settings["scan.parts"]:
        checker.about(
            "scan.parts",
            'scan.parts = false and scan.raw = "never": nothing would be scanned',
            "take one of the two away",
        )
    queue = str(settings["qmail_queue"])
    if _is_launcher(queue):
        checker.about(
            "qmail_queue",
            f"qmail_queue {queue} is qscan-queue itself: mail would go round for ever",
            "name qmail's own program, usually /var/qmail/bin/qmail-queue",
        )
    elif not os.access(queue, os.X_OK):
        warn("qmail_queue", f"qmail_queue {queue} is not there or not executable")
    spool = str(settings["spool_dir"])
    work = os.path.normpath(os.path.join(spool, "work"))
    if not os.path.isdir(work):
        warn("spool_dir", f"the spool directory {work} does not exist yet")
    keep = str(settings["quarantine.dir"])
    if keep and os.path.commonpath([work, os.path.normpath(keep)]) == work:
        checker.about(
            "quarantine.dir",
            f"quarantine.dir lies in {work}, which is swept",
            "leave it empty for quarantine below spool_dir",
        )
    deadline = settings["limit.deadline_seconds"]
    assert isinstance(deadline, int)
    if deadline > 540:
        warn(
            "limit.deadline_seconds",
            f"limit.deadline_seconds = {deadline} leaves little of the 600 seconds "
            "after which clients may give up and send again",
        )
    for name in ("clamd.answer_seconds", "clamd.retry_seconds", "limit.unpack_seconds"):
        seconds = settings[name]
        assert isinstance(seconds, int)
        if seconds >= deadline:
            warn(name, f"{name} is not less than limit.deadline_seconds, which ends it")
    for name in ("action.virus", "action.scanner_failure", "action.limits"):
        if settings[name] in ("deliver", "tag"):
            what = {
                "action.virus": "infected mail",
                "action.scanner_failure": "mail that could not be scanned",
                "action.limits": "mail that was not scanned completely",
            }[name]
            warn(name, f'{name} = "{settings[name]}" delivers {what}')
    own = settings["malformed.actions"]
    assert isinstance(own, list)
    for text in own:
        code, action = schema.split_action(text, schema.ACTIONABLE)
        limits = code.startswith("limit-") or "limit-".startswith(code.rstrip("*"))
        if limits and action in ("deliver", "tag"):
            warn(
                "malformed.actions",
                f'malformed.actions "{text}" delivers mail that was not scanned '
                "completely",
            )
    _check_literals(checker)
    return warnings


def _is_launcher(path: str) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return False
    try:
        return LAUNCHER_MARK in os.read(fd, 4096)
    except OSError:
        return False
    finally:
        os.close(fd)


def _literals(settings: dict[str, Value]) -> list[tuple[str, str, bool]]:
    """(class, literal without its *, whether it must be the beginning)."""
    rows = []
    for setting in schema.TABLE:
        if setting.kind == "literals":
            value = settings[setting.name]
            assert isinstance(value, list)
            cls = setting.name.partition(".")[2]
            for literal in value:
                anchored = not literal.startswith("*")
                rows.append((cls, literal.removeprefix("*"), anchored))
    return rows


def _check_literals(checker: _Checker) -> None:
    """A literal has one class; blame the one in the text, not a default."""
    owners: dict[str, str] = {}
    for cls, literal, _ in _literals(checker.settings):
        first = owners.setdefault(literal, cls)
        if first == cls:
            continue
        named = [one for one in (cls, first) if f"class.{one}" in checker.found]
        blamed = named[0]
        other = first if blamed == cls else cls
        remedy = "a name has one class: take it out of one of the two"
        if len(named) == 1:
            value = [
                one
                for one in schema.BY_NAME[f"class.{other}"].default_list()
                if one.removeprefix("*") != literal
            ]
            remedy = f"also set class.{other} = {schema.toml_value(value)}"
        text = f"class.{blamed} and class.{other} both have "
        checker.about(f"class.{blamed}", text + schema.toml_text(literal), remedy)


def read_text(path: str | os.PathLike[str]) -> Parsed:
    """Read and check the text at ``path`` completely. Raises ``SettingsError``."""
    name = os.fspath(path)
    data, source = _read(name)
    text = _decode(name, data).replace("\r\n", "\n")
    try:
        table = tomllib.loads(text)
        checker = _Checker(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(name, [_syntax_problem(text, str(error))]) from None
    except RecursionError:
        problem = Problem("is nested too deeply", "settings have one level of groups")
        raise SettingsError(name, [problem]) from None
    checker.walk(table, ())
    warnings = [] if checker.problems else _check_meaning(checker)
    if checker.problems:
        checker.problems.sort(key=lambda one: (one.line, one.column))
        raise SettingsError(name, checker.problems)
    lines = {
        setting: _position(text, checker.map.keys[where])[0]
        for setting, where in checker.found.items()
    }
    return Parsed(checker.settings, lines, source, warnings)


def parse_text(path: str | os.PathLike[str]) -> dict[str, Value]:
    """All settings as the text at ``path`` has them, defaults for those it has not.
    Raises ``SettingsError``."""
    return read_text(path).settings


# --- writing the compiled file ------------------------------------------------------


def automaton_arguments(settings: dict[str, Value]) -> Any:
    """What rebuilds the automaton of signature names, see the module's text."""
    automaton = ahocorasick.Automaton()
    automaton.add_word(NO_LITERAL, ("virus", True, len(NO_LITERAL)))
    anchors: dict[str, bool] = {}
    for cls, literal, anchored in _literals(settings):
        # The same literal with and without *: the one without adds nothing.
        anchors[literal] = anchors.get(literal, True) and anchored
        automaton.add_word(literal, (cls, anchors[literal], len(literal)))
    automaton.make_automaton()
    return automaton.__reduce__()[1]


def _entries(parsed: Parsed) -> dict[bytes, bytes]:
    entries = {
        b"format": FORMAT,
        b"settings": marshal.dumps(parsed.settings, MARSHAL_VERSION),
        b"source": marshal.dumps(parsed.source, MARSHAL_VERSION),
        b"origins": marshal.dumps(parsed.lines, MARSHAL_VERSION),
        b"classes": marshal.dumps(
            automaton_arguments(parsed.settings), MARSHAL_VERSION
        ),
    }
    entries[b"checksum"] = checksum(entries)
    return entries


def _fill(path: str, entries: dict[bytes, bytes]) -> None:
    store = db.DB()
    try:
        store.set_flags(db.DB_CHKSUM)
        store.set_pagesize(_PAGE_BYTES)
        store.open(
            os.fsencode(path),
            dbtype=db.DB_BTREE,
            flags=db.DB_CREATE | db.DB_TRUNCATE,
            mode=DB_MODE,
        )
        for key, value in entries.items():
            store.put(key, value)
    finally:
        store.close()


def write_settings(parsed: Parsed, output: str | os.PathLike[str]) -> None:
    """Publish ``parsed`` at ``output``: readers see the old file or the new one.

    A symbolic link at ``output`` is followed. Raises ``SettingsError``; the old file
    is then as it was.
    """
    target = os.fspath(output)
    folder = temporary = ""
    try:
        target = os.path.realpath(target)
        folder = os.path.dirname(target)
        if os.path.isdir(target):
            raise SettingsError(
                target, [Problem("is a directory", "name a file in it with --output")]
            )
        if parsed.source[0] and target == os.path.realpath(parsed.source[0]):
            raise SettingsError(
                target,
                [Problem("is the text itself", "name another file with --output")],
            )
        fd, temporary = tempfile.mkstemp(
            prefix=f".{os.path.basename(target)[:200]}.", suffix=".tmp", dir=folder
        )
        try:
            _fill(temporary, _entries(parsed))
            os.fchmod(fd, DB_MODE)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, target)
        temporary = ""
        folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder_fd)
        finally:
            os.close(folder_fd)
    except (OSError, ValueError, db.DBError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        problem = Problem(
            f"cannot be written: {reason}",
            f"make {folder} exist, with room, and writable for you",
        )
        raise SettingsError(target, [problem]) from None
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def compile_text(
    text_path: str | os.PathLike[str], output: str | os.PathLike[str]
) -> list[str]:
    """Check the text and publish it at ``output``; returns warnings for people.

    Any number may run at once: each looks again after it has published and starts
    over if the text is no longer what it published, so that the newest text wins.
    Raises ``SettingsError``; the live file is then as it was (or, when the text never
    comes to rest, one of its versions).
    """
    path = os.fspath(text_path)
    for _ in range(_ROUNDS):
        parsed = read_text(path)
        write_settings(parsed, output)
        if _read(path)[1] == parsed.source:
            return [f"{_printable(path)}: {text}" for text in parsed.warnings]
    problem = Problem("changes all the time", "save it, then compile again")
    raise SettingsError(path, [problem])


def read_settings(path: str | os.PathLike[str]) -> Parsed:
    """What was compiled into the file at ``path``, for people's tools.

    Raises ``SettingsError``: absent, unreadable, damaged, other format.
    """
    name = os.fspath(path)

    def fail(text: str, remedy: str) -> SettingsError:
        return SettingsError(name, [Problem(text, remedy)])

    again = "run qscan compile"
    try:
        with open(name, "rb") as file:
            file.read(1)
    except FileNotFoundError:
        raise fail("there is no such file", again) from None
    except OSError as error:
        raise fail(f"cannot be read: {error.strerror}", "check its mode") from None
    store = db.DB()
    try:
        store.open(os.fsencode(name), dbtype=db.DB_UNKNOWN, flags=db.DB_RDONLY)
        form = store.get(b"format")
        values = [store.get(key) for key in (b"settings", b"origins", b"source")]
    except db.DBError:
        raise fail("is damaged, or not a settings file", again) from None
    finally:
        try:
            store.close()
        except db.DBError:
            # A damaged page has been reported already; closing reports it again.
            values = []
    if form != FORMAT:
        raise fail(f"has format {form!r}, not {FORMAT!r}", again + " of this version")
    try:
        settings, lines, source = (marshal.loads(value) for value in values)
    except (TypeError, ValueError, EOFError):
        raise fail("is damaged, or not a settings file", again) from None
    return Parsed({**schema.defaults(), **settings}, lines, source)
