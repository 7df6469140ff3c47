# SPDX-License-Identifier: MIT
"""``qscan version``: of qscan and of all it stands on."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys

import click
from berkeleydb import db

from qscan import __version__, sweep
from qscan.cli import FAILED, common
from qscan.compiler import SettingsError

# A person is waiting.
CLAMD_SECONDS = 5.0


@click.command(
    "version",
    short_help="Print the versions of qscan, clamd, Python and libraries.",
    epilog="Exit codes: 0 done (also when clamd does not answer), 1 the settings, "
    "which say where clamd is, cannot be read, 2 wrong use.",
)
@common.settings_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(settings: str | None, text: str | None, as_json: bool) -> int:
    """Print the versions of qscan and of all that it stands on."""
    try:
        chosen = common.choose(settings, text)
    except SettingsError as error:
        common.report(error)
        return FAILED
    address = str(chosen.parsed.settings["clamd.address"])
    rows = {
        "qscan": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "clamd": _clamd(address),
        "berkeley db": f"{_dotted(db.version())} (berkeleydb {_package('berkeleydb')})",
        "libmagic": _libmagic(),
        "pyahocorasick": _package("pyahocorasick"),
        "tnefparse": _package("tnefparse"),
        "click": _package("click"),
    }
    if as_json:
        click.echo(json.dumps(rows))
        return 0
    for name, value in rows.items():
        click.echo(f"{name + ':':15}{common.shown(value)}")
    return 0


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in numbers)


def _package(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _clamd(address: str) -> str:
    try:
        version = sweep.clamd_version(address, CLAMD_SECONDS)
    except (OSError, ValueError) as error:
        return f"does not answer at {address}: {error}"
    return f"{version or 'answers nothing'} ({address})"


def _libmagic() -> str:
    try:
        import magic

        number: int = magic.version()  # type: ignore[no-untyped-call]
    except (ImportError, NotImplementedError) as error:
        return f"not usable: {error}"
    return (
        f"{number // 100}.{number % 100:02} (python-magic {_package('python-magic')})"
    )
