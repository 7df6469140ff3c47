# SPDX-License-Identifier: MIT
"""The pipeline of the wrapper on bytes, without clamd: what it finds, with contents.

Does: run exactly ``pipeline.examine`` with the default settings on a message, and keep
the bytes of every item. Also finds the corpora that nobody here wrote. Never does:
change what the pipeline says; leave anything behind.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qscan import fdio, pipeline, schema, settings, spool

if TYPE_CHECKING:
    from qscan.model import Item
    from qscan.pipeline import Report

REPOSITORY = Path(__file__).resolve().parent.parent
SPECIMENS = Path(__file__).with_name("specimens")
CORPUS = Path(os.environ.get("QSCAN_CORPUS") or REPOSITORY.parent / "shared" / "corpus")


class Unpacked:
    """``report`` of the pipeline; ``items`` without the raw message; ``contents`` by
    path, the bytes that a scanner is shown."""

    def __init__(self, report: Report, contents: dict[str, bytes]) -> None:
        self.report = report
        self.contents = contents
        self.items: list[Item] = report.items[1:]

    @property
    def defects(self) -> list[str]:
        """``code@where`` of every defect, sorted, each once."""
        return sorted({f"{one.code}@{one.where}" for one in self.report.defects})

    @property
    def codes(self) -> set[str]:
        """The defect codes alone."""
        return {one.code for one in self.report.defects}

    @property
    def stated(self) -> list[Item]:
        """The items without other decodings than the stated ones."""
        return [
            one
            for one in self.items
            if one.origin != "guess" and "~any" not in one.path
        ]

    def item(self, path: str) -> Item:
        """The one item with this path."""
        (found,) = [one for one in self.items if one.path == path]
        return found


def unpack(message: bytes, directory: Path, **changed: object) -> Unpacked:
    """Examine ``message`` in a work directory below ``directory``.

    ``changed`` are settings with ``__`` for the dot: ``limit__depth=3``.
    """
    values = schema.defaults()
    for name, value in changed.items():
        assert name.replace("__", ".") in values, name
        values[name.replace("__", ".")] = value  # type: ignore[assignment]
    work = spool.Work(str(directory), spool.identity())
    work.open()
    try:
        fdio.write_all(work.fd, spool.ROOM + message)
        report = pipeline.examine(
            settings.Settings(values, b"", ""),
            work,
            len(message),
            fdio.Deadline(600),
            clamd=False,
        )
        # Of members of archives that nobody scans on their own only the head is kept.
        contents = {
            item.path: _content(item, work.fd)
            for item in report.items[1:]
            if item.file is not None or item.span is not None
        }
    finally:
        work.abandon()
    return Unpacked(report, contents)


def _content(item: Item, message: int) -> bytes:
    if item.file is None:
        if item.origin == "archive" and item.span is None:
            return b""  # a member that the scan of its archive covers, or cannot be had
        assert item.span is not None, item.path
        start, end = item.span
        return fdio.pread_all(message, end - start, start)
    data = Path(item.file).read_bytes()
    return data[slice(*item.span)] if item.span else data


def crlf(message: bytes) -> bytes:
    """The message with CRLF where it has LF."""
    return message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def lf(message: bytes) -> bytes:
    """The message with LF where it has CRLF."""
    return message.replace(b"\r\n", b"\n")


def corpus(folder: str) -> Path:
    """A folder of the corpus; skips the test where there is none."""
    path = CORPUS / folder
    if not path.is_dir():
        pytest.skip(f"no corpus at {CORPUS} (QSCAN_CORPUS names another place)")
    return path


def corpus_parameters(folder: str, pattern: str = "*") -> list[object]:
    """``corpus_files`` for parametrize; without a corpus one that is skipped."""
    files = corpus_files(folder, pattern)
    if files:
        return [pytest.param(path, id=path.stem) for path in files]
    reason = f"no corpus at {CORPUS} (QSCAN_CORPUS names another place)"
    return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id=folder)]


def corpus_files(folder: str, pattern: str = "*") -> list[Path]:
    """Messages of a folder, without licences and oracles; [] without a corpus."""
    no_mail = (".json", ".xml", ".out", ".txt", ".bin", ".list")
    return sorted(
        path
        for path in (CORPUS / folder).glob(pattern)
        if path.is_file()
        and path.suffix not in no_mail
        and path.name not in ("COPYING", "LICENSE", "README.md")
    )
