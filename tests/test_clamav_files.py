# SPDX-License-Identifier: MIT
"""clamd's own test files in mail, in every encoding, against a real clamd.

The files come with Debian's package clamav-testfiles. The database of the private clamd
knows each of them as a whole: a file that is found, and shown to it, is a virus.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import constructs
import pytest
from harness import CLAM_NAME, TEST_FILES, Installation
from unpacking import crlf, unpack

from qscan import decide, pipeline, settings

LARGE = 100_000  # bytes; above, clamd is asked about a few encodings only
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
            fd,
            settings.load(str(installation.database)),
            str(installation.work),
            digests=True,
        )
    finally:
        os.close(fd)


@pytest.mark.parametrize("file", files())
def test_a_file_is_found_in_every_encoding_and_clamd_knows_it(
    file: Path, installation: Installation
) -> None:
    data = file.read_bytes()
    ways = infected = 0
    for number, built in enumerate(constructs.sent(data)):
        if len(data) > LARGE and number % 5:
            continue
        report = scan(built.message, installation)
        label = (built.label, report.reason)
        # A file may also be refused for what it is: clamd's limits, a damaged archive.
        assert report.verdict in ("infected", "refused"), label
        assert report.action not in decide.DELIVERING, label
        wanted = hashlib.sha256(built.payload).hexdigest()
        assert wanted in {item.sha256 for item in report.items}, label
        ways += 1
        infected += any(one.rule.startswith(CLAM_NAME) for one in report.findings)
    # The encodings of text are for text alone.
    assert ways >= (len(constructs.WAYS) - 3) // (5 if len(data) > LARGE else 1)
    assert infected >= ways - 1


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
