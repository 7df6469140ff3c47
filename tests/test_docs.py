# SPDX-License-Identifier: MIT
"""Documentation and code say the same: exit codes, commands, log fields, files."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import click
import pytest

from qscan import cli, decide, defects, flags, outcomes, schema, settings

REPOSITORY = Path(__file__).resolve().parent.parent
QUEUE_PAGE = (REPOSITORY / "docs" / "man" / "qscan-queue.8").read_text("utf-8")
COMMAND_PAGE = (REPOSITORY / "docs" / "man" / "qscan.1").read_text("utf-8")
README = (REPOSITORY / "README.md").read_text("utf-8")


def _section(page: str, name: str) -> str:
    return page.split(f".Sh {name}\n", 1)[1].split("\n.Sh ", 1)[0]


def test_the_page_has_exactly_the_exit_codes_that_exist() -> None:
    documented = {
        int(code) for code in re.findall(r"^\.It (\d+)$", QUEUE_PAGE, re.MULTILINE)
    }
    existing = {row.code for row in outcomes.TABLE}
    existing |= {
        outcomes.CUSTOM_TEXT_EXIT,
        outcomes.INDIMAIL_TEXT_EXIT,
        flags.WRONG_USE,
    }
    assert documented == existing


def test_the_page_has_exactly_the_log_fields_that_are_written() -> None:
    source = (REPOSITORY / "qscan" / "wrapper.py").read_text("utf-8")
    written = {
        node.elts[0].value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Tuple)
        and len(node.elts) == 2
        and isinstance(node.elts[0], ast.Constant)
        and isinstance(node.elts[0].value, str)
        and node.elts[0].value.isidentifier()
        and node.elts[0].value.islower()
    }
    # Pairs that are no fields: endings with their reasons, stages with their times.
    written -= {"memory", "internal", "read", "write", "timeout", "deferred", "total"}
    written -= {"refused", "deliver"}
    listing = _section(QUEUE_PAGE, "LOG")
    documented: set[str] = set()
    for names in re.findall(r"^\.It (.+)$", listing, re.MULTILINE):
        documented |= set(names.split())
    assert documented == written


def test_the_page_has_exactly_the_flags_that_are_taken() -> None:
    documented = set(re.findall(r"^\.It Fl (\w)$", QUEUE_PAGE, re.MULTILINE))
    taken = set(re.findall(r"^(-\w) ", flags.USAGE, re.MULTILINE))
    assert {f"-{letter}" for letter in documented} == taken


def test_the_page_has_exactly_the_variables_that_override_settings() -> None:
    expected = {
        "QSCAN_" + name.upper().replace(".", "_") for name in settings.FROM_ENVIRONMENT
    }
    assert set(re.findall(r"\bQSCAN_[A-Z_]+", QUEUE_PAGE)) == expected


def test_the_synopsis_has_every_command_with_all_its_options() -> None:
    synopsis = COMMAND_PAGE.split(".SH SYNOPSIS", 1)[1].split(".SH", 1)[0]
    synopsis = synopsis.replace("\\-", "-")
    pieces = re.split(r"^\.B qscan ", synopsis, flags=re.MULTILINE)[1:]
    documented = {piece.split()[0]: piece for piece in pieces}
    assert set(documented) == set(cli.COMMANDS)
    for name, piece in documented.items():
        command = cli.group.get_command(click.Context(cli.group), name)
        assert command is not None
        options = {
            max(parameter.opts, key=len)
            for parameter in command.params
            if isinstance(parameter, click.Option)
        }
        shown = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", piece))
        known = {
            option
            for parameter in command.params
            if isinstance(parameter, click.Option)
            for option in parameter.opts
        }
        assert shown <= known, name
        for option in options:
            assert option in COMMAND_PAGE.replace("\\-", "-"), (name, option)


@pytest.mark.parametrize("cls", decide.CLASSES)
def test_the_readme_shows_the_default_action_of_every_class(cls: str) -> None:
    (row,) = re.findall(rf"^\| {cls} \|.*\| ([a-z+]+) \|$", README, re.MULTILINE)
    (setting,) = [one for one in schema.TABLE if one.name == f"action.{cls}"]
    assert row == setting.default


def test_the_readme_names_every_action_and_no_other() -> None:
    listed = README.split("Actions: ", 1)[1].split("When several", 1)[0]
    assert set(re.findall(r"`([a-z+]+)`", listed)) == set(decide.ACTIONS)


def test_files_that_the_readme_names_exist() -> None:
    for name in re.findall(
        r"(?<![\w/])((?:\./)?(?:install|docs|bench|qscan|tests|tcprules)/[\w./-]+)",
        README,
    ):
        path = name.rstrip(".").removeprefix("./")
        assert (REPOSITORY / path).exists(), name


def test_every_defect_has_advice_for_a_sender() -> None:
    for code in defects.DEFECTS:
        text = defects.advice(code)
        assert text, code
        assert text.isascii(), code
