# SPDX-License-Identifier: MIT
"""``qscan config``: every setting with value, default and origin, like postconf."""

from __future__ import annotations

import json

import click

from qscan import schema
from qscan.cli import FAILED, common
from qscan.compiler import Parsed, SettingsError


@click.command(
    "config",
    short_help="Print the settings: value, default and where they are set.",
    epilog="Without --settings and --text: what is compiled beside "
    f"${common.TEXT_VARIABLE} or {common.DEFAULT_TEXT}, else the built-in defaults. "
    "Exit codes: 0 done, 1 the settings cannot be read, 2 wrong use.",
)
@common.settings_options
@click.option("-n", "changed", is_flag=True, help="Only what differs from the default.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object by name.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
def command(
    settings: str | None,
    text: str | None,
    changed: bool,
    as_json: bool,
    names: tuple[str, ...],
) -> int:
    """Print settings, all or those with the given names; the name of a group stands
    for its members.

    What is printed can be pasted into qscan.toml, above its first [group].
    """
    rows = _select(names)
    try:
        parsed = common.choose(settings, text).parsed
    except SettingsError as error:
        common.report(error)
        return FAILED
    if changed:
        rows = [row for row in rows if parsed.settings[row.name] != row.default]
    if as_json:
        click.echo(
            json.dumps({row.name: _facts(row, parsed) for row in rows}, indent=2)
        )
        return 0
    for row in rows:
        value = parsed.settings[row.name]
        note = _origin(row.name, parsed)
        if value != row.default:
            note += f", default {schema.toml_value(row.default)}"
        click.secho(f"{row.name} = {schema.toml_value(value)}", nl=False)
        click.secho(f"  # {common.shown(note, 1000)}", fg="cyan")
    return 0


def _select(names: tuple[str, ...]) -> list[schema.Setting]:
    """The rows with these names, in their order; all without names."""
    if not names:
        return list(schema.TABLE)
    rows: list[schema.Setting] = []
    for name in names:
        found = [
            row for row in schema.TABLE if name in (row.name, row.name.split(".")[0])
        ]
        if not found:
            guess = schema.suggest(name) or schema.suggest_group(name)
            hint = f"did you mean {guess}?" if guess else "qscan config lists all."
            raise click.UsageError(f"no setting {common.shown(name)}: {hint}")
        rows += [row for row in found if row not in rows]
    return rows


def _origin(name: str, parsed: Parsed) -> str:
    """``default``, or file and line of the text."""
    line = parsed.lines.get(name)
    return f"{parsed.source[0]}:{line}" if line else "default"


def _facts(row: schema.Setting, parsed: Parsed) -> dict[str, object]:
    return {
        "value": parsed.settings[row.name],
        "default": row.default,
        "origin": _origin(row.name, parsed),
        "environment": row.environment_name() if row.tcprules else None,
    }
