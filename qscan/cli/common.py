# SPDX-License-Identifier: MIT
"""What the subcommands share: where settings come from, how errors look.

Never does: print what came from a mail or a file unescaped.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec

import click

from qscan import compiler, schema
from qscan.compiler import Parsed, SettingsError

DEFAULT_TEXT = "/etc/qscan/qscan.toml"
TEXT_VARIABLE = "QSCAN_TOML"

# Names from mails: long enough for honest ones.
SHOWN_CHARACTERS = 200

P = ParamSpec("P")


def default_text() -> str:
    """``$QSCAN_TOML``, else the usual place."""
    return os.environ.get(TEXT_VARIABLE) or DEFAULT_TEXT


def compiled_name(text: str) -> str:
    """``qscan.toml`` -> ``qscan.db``, in the same directory."""
    return os.path.splitext(text)[0] + ".db"


@dataclass
class Chosen:
    """Settings and where they are from: ``database`` is the compiled file, or ""."""

    parsed: Parsed
    database: str


def choose(database: str | None, text: str | None) -> Chosen:
    """The settings that ``--settings`` or ``--text`` name; without either those that
    are compiled at the default place, else the built-in defaults, which is said on
    stderr. Raises ``SettingsError`` and ``click.UsageError``."""
    if database is not None and text is not None:
        raise click.UsageError("--settings and --text exclude each other: name one")
    if text is not None:
        return Chosen(compiler.read_text(text), "")
    if database is None:
        database = compiled_name(default_text())
        if not os.path.lexists(database):
            warn(
                f"there is no {database}: the built-in defaults are used "
                "(qscan compile makes it)"
            )
            return Chosen(Parsed(schema.defaults()), "")
    parsed = compiler.read_settings(database)
    if changed(parsed):
        warn(
            f"{parsed.source[0]} has changed since it was compiled; "
            "qscan compile makes the change count"
        )
    return Chosen(parsed, database)


def changed(parsed: Parsed) -> bool:
    """Whether the text is there and is not the one that was compiled."""
    path, _, _, digest = parsed.source
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() != digest
    except OSError:
        return False  # the text may be readable for its owner alone


def warn(text: str) -> None:
    """A line on stderr."""
    click.secho("warning: ", fg="yellow", nl=False, err=True)
    click.echo(shown(text, 1000), err=True)


def fail(text: str) -> None:
    """A line (or what ``SettingsError`` says, which is escaped) on stderr."""
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(text, err=True)


def settings_options(function: Callable[P, int]) -> Callable[P, int]:
    """Adds ``--settings`` and ``--text``, which ``choose`` understands."""
    text = click.option(
        "--text", metavar="TOML", help="Settings from a text that is not compiled."
    )
    compiled = click.option(
        "--settings",
        metavar="DB",
        help="Settings as qscan compile wrote them.  [default: those beside the text]",
    )
    return compiled(text(function))


def report(error: SettingsError) -> None:
    """All mistakes, one after the other."""
    for problem in error.problems:
        fail(str(SettingsError(error.path, [problem])))


def shown(value: str | bytes, limit: int = SHOWN_CHARACTERS) -> str:
    """``value`` for a terminal: whatever could move the cursor, change the direction
    of writing or is no character stands as an escape; cut to ``limit`` characters."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    out: list[str] = []
    size = 0
    for char in value:
        code = ord(char)
        if char.isprintable():
            piece = char
        elif 0xDC80 <= code <= 0xDCFF:
            piece = f"\\x{code - 0xDC00:02x}"
        elif code < 256:
            piece = f"\\x{code:02x}"
        else:
            piece = f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
        size += len(piece)
        if size > limit:
            out.append("...")
            break
        out.append(piece)
    return "".join(out)


def plural(count: int, word: str) -> str:
    """``1 message``, ``2 messages``."""
    return f"{count} {word}" + ("" if count == 1 else "s")
