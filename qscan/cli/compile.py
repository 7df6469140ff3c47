# SPDX-License-Identifier: MIT
"""``qscan compile``: check ``qscan.toml``, publish it for the scanner."""

from __future__ import annotations

import click

from qscan import compiler, schema
from qscan.cli import FAILED, common


@click.command(
    "compile",
    short_help="Check qscan.toml and publish it for the scanner.",
    epilog="Exit codes: 0 done, 1 mistakes (nothing has changed), 2 wrong use.",
)
@click.option(
    "--text",
    metavar="TOML",
    help=f"The text.  [default: ${common.TEXT_VARIABLE}, else {common.DEFAULT_TEXT}]",
)
@click.option(
    "--output",
    metavar="DB",
    help="What the scanner reads.  [default: beside the text, ending in .db]",
)
@click.option("--check", is_flag=True, help="Only check; write nothing.")
@click.option(
    "--print-default",
    is_flag=True,
    help="Print the commented qscan.toml with every setting, and do nothing else.",
)
def command(
    text: str | None, output: str | None, check: bool, print_default: bool
) -> int:
    """Check the text of the settings and publish it in the form that the scanner
    reads.

    Every mistake is shown with its line, its column and the remedy; the settings in
    use then stay as they are. A change counts for the next message, nothing has to
    be restarted.
    """
    if print_default:
        click.echo(schema.default_text(), nl=False)
        return 0
    text = text or common.default_text()
    output = output or common.compiled_name(text)
    try:
        if check:
            parsed = compiler.read_text(text)
            for warning in parsed.warnings:
                common.warn(f"{text}: {warning}")
            click.echo(
                f"{common.shown(text, 1000)}: no mistakes ({_differing(parsed)})"
            )
            return 0
        for warning in compiler.compile_text(text, output):
            common.warn(warning)
        parsed = compiler.read_settings(output)
    except compiler.SettingsError as error:
        common.report(error)
        if not check:
            live = common.shown(output, 1000)
            click.echo(
                f"{common.plural(len(error.problems), 'mistake')}; {live} is as it was",
                err=True,
            )
        return FAILED
    click.echo(f"{common.shown(output, 1000)} written ({_differing(parsed)})")
    return 0


def _differing(parsed: compiler.Parsed) -> str:
    defaults = schema.defaults()
    count = sum(parsed.settings[name] != value for name, value in defaults.items())
    if not count:
        return "all settings have their defaults"
    verb = "differs" if count == 1 else "differ"
    return f"{common.plural(count, 'setting')} {verb} from the default"
