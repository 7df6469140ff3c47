# SPDX-License-Identifier: MIT
"""bench/run.py measures every column and prints what it promises; no times here."""

from __future__ import annotations

import base64
import email
import json
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from harness import REPOSITORY

sys.path.append(str(REPOSITORY / "bench"))

import run as bench

OTHERS = {"interpreter", "clamdscan", "perl"}


def measure(*arguments: str) -> dict[str, dict[str, object]]:
    """One run of the bench; the rows by name."""
    command = [sys.executable, str(REPOSITORY / "bench" / "run.py"), "--json"]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    return {row["name"]: row for row in json.loads(done.stdout)["rows"]}


@pytest.mark.parametrize(
    ("names", "option"),
    [
        (["throughput"], []),
        (["attach-100k", "plain-2k"], ["--unseen"]),
    ],
)
def test_rows_have_time_memory_and_all_ratios(
    names: list[str], option: list[str]
) -> None:
    rows = measure("--rounds", "1", "--rows", ",".join(names), *option)
    assert list(rows) == names
    for row in rows.values():
        ratio = row["ratio"]
        assert isinstance(ratio, dict)
        assert set(ratio) == OTHERS
        assert all(value > 0 for value in ratio.values())
        assert float(str(row["ms"])) > 0
        # More than the null queue alone, less than an interpreter gone wild.
        assert 4_000 < int(str(row["rss_kb"])) < 100_000


def test_an_unknown_row_is_named() -> None:
    command = [sys.executable, str(REPOSITORY / "bench" / "run.py"), "--rows", "fast"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no row fast" in done.stderr
    assert "plain-2k" in done.stderr


@pytest.mark.parametrize(
    ("make", "size"),
    [
        (bench.make_plain, 2_000),
        (bench.make_pdf, 100_000),
        (bench.make_film(1_000_000), 1_000_000),
    ],
)
def test_a_renewed_message_differs_and_still_decodes(
    tmp_path: Path, make: object, size: int
) -> None:
    assert callable(make)
    message = make(tmp_path / "message")
    before = message.file.read_bytes()
    assert abs(len(before) - size) < size * 0.05 + 200
    message.renew(7)
    after = message.file.read_bytes()
    assert len(after) == len(before)
    assert after != before
    parts = [p for p in email.message_from_bytes(after).walk() if p.get_filename()]
    for part in parts:
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        assert b"number %016d" % 7 in content
    assert bool(parts) == (size != 2_000)


def test_the_pdf_of_the_bench_is_whole(tmp_path: Path) -> None:
    data = b"".join(bench.pdf(50_000, 3))
    start = int(data.rsplit(b"startxref\n", 1)[1].split()[0])
    assert data[start:].startswith(b"xref\n0 5\n")
    stream = data.split(b"stream\n", 1)[1].split(b"\nendstream", 1)[0]
    assert zlib.decompress(stream)


def test_the_infected_message_ends_with_the_virus(tmp_path: Path) -> None:
    message = bench.make_film(200_000, virus=True)(tmp_path / "message")
    last = message.file.read_bytes().rsplit(b"--=_bench\n", 1)[1]
    body = last.split(b"\n\n", 1)[1].split(b"--=_bench--", 1)[0]
    assert base64.b64decode(body) == bench.eicar()
