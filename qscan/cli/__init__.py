# SPDX-License-Identifier: MIT
"""``qscan``: the command for people. The only user of click.

Does: find the subcommand, turn every ending into one of the exit codes below. Each
subcommand is a module of this package and is imported when it is called.
Never does: run for a message; the wrapper imports nothing of this package.

Exit codes: 0 done. 1 could not be done (``scan``: some message would not be
delivered). 2 wrong use (``scan`` too: some message could not be decided). 130
interrupted, 128 and its number when a signal ended it.
"""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Sequence

import click

from qscan import __version__

COMMANDS = ("scan", "explain", "compile", "config", "version")

FAILED = 1
WRONG_USE = 2
INTERRUPTED = 130


class Commands(click.Group):
    """The subcommands, imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of usefulness."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """``qscan.cli.NAME.command``."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(
            f"qscan.cli.{cmd_name}"
        ).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Fails with the most likely name."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = (
                f"did you mean {close[0]}?"
                if close
                else "there are " + (", ".join(COMMANDS) + ".")
            )
            ctx.fail(f"no command {args[0]!r}: {hint}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
    epilog="qscan COMMAND --help says more. Settings: qscan.toml(5). Every mail is "
    "looked at by qscan-queue, the program that QMAILQUEUE names, not by this one.",
)
@click.version_option(__version__, "-V", "--version", message="qscan %(version)s")
@click.pass_context
def group(ctx: click.Context) -> None:
    """Mail scanner for qmail: try messages, compile settings, look at settings."""
    if os.environ.get("NO_COLOR"):
        ctx.color = False  # https://no-color.org; click itself looks at the terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        result = group.main(
            args=None if arguments is None else list(arguments),
            prog_name="qscan",
            standalone_mode=False,
        )
    except click.UsageError as error:
        error.show()
        return WRONG_USE
    except click.ClickException as error:
        error.show()
        return FAILED
    except click.Abort:
        return INTERRUPTED
    except SystemExit as ending:
        # 1 is click's answer to a reader of our output that went away: whether the
        # rest would have been good news is not known.
        return ending.code if isinstance(ending.code, int) and ending.code > 1 else 2
    return result if isinstance(result, int) else 0
