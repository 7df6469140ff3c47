# SPDX-License-Identifier: MIT
"""clamd's own test files in mail, in every encoding, against a real clamd.

The files come with Debian's package clamav-testfiles. The database of the private clamd
knows each of them as a whole: a file that is found, and shown to it, is a virus.
"""

from __future__ import annotations

import os
from pathlib import Path

import constructs
import pytest
from constructs import FOUND, REFUSED
from harness import TEST_FILES, Installation
from unpacking import crlf, unpack

from qscan import decide, pipeline, settings

#: These are mail, and no whole file is attached to them: the program in them is.
MAIL = ("clam.mail", "clam.exe.mbox.base64", "clam.exe.mbox.uu")


def files() -> list[object]:
    """The files for parametrize, or one that is skipped."""
    if TEST_FILES.is_dir():
        found = sorted(TEST_FILES.iterdir())
        return [pytest.param(file, id=file.name) for file in found]
    skip = pytest.mark.skip(reason=f"no {TEST_FILES}: apt-get install clamav-testfiles")
    return [pytest.param(None, marks=skip, id="clamav-testfiles")]


def scan(message: bytes, installation: Installation) -> pipeline.Report:
    """What the wrapper would find, with clamd."""
    place = installation.root / "message.eml"
    place.write_bytes(message)
    fd = os.open(place, os.O_RDONLY)
    try:
        return pipeline.examine_file(
            fd, settings.load(str(installation.database)), str(installation.work)
        )
    finally:
        os.close(fd)


@pytest.mark.parametrize("file", files())
def test_a_file_in_mail_comes_out_exactly_in_every_encoding(
    file: Path, tmp_path: Path
) -> None:
    ways = 0
    for built in constructs.sent(file.read_bytes()):
        status = constructs.judge(built, unpack(built.message, tmp_path))
        assert status in (FOUND, REFUSED), (status, built.label)
        ways += 1
    # The encodings of text are for text alone.
    assert ways >= len(constructs.WAYS) - 2


@pytest.mark.parametrize("file", files())
def test_a_file_in_mail_is_found_by_clamd_in_every_encoding(
    file: Path, installation: Installation
) -> None:
    for built in constructs.sent(file.read_bytes()):
        report = scan(built.message, installation)
        assert report.verdict == "infected", (built.label, report.reason)
        assert report.action not in decide.DELIVERING
        assert any(
            found.rule.startswith("Clamav.Test.File") for found in report.findings
        ), built.label


@pytest.mark.parametrize("name", MAIL)
@pytest.mark.parametrize("ends", ["LF", "CRLF"])
def test_a_file_that_is_mail_shows_the_program_in_it(
    name: str, ends: str, installation: Installation, tmp_path: Path
) -> None:
    if not TEST_FILES.is_dir():
        pytest.skip(f"no {TEST_FILES}: apt-get install clamav-testfiles")
    message = (TEST_FILES / name).read_bytes().replace(b"\r\n", b"\n")
    if ends == "CRLF":
        message = crlf(message)
    program = (TEST_FILES / "clam.exe").read_bytes()
    assert program in unpack(message, tmp_path).contents.values()
    assert scan(message, installation).verdict == "infected"
