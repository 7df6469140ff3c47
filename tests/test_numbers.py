# SPDX-License-Identifier: MIT
"""The command that prints how well nothing hides, on small corpora of our own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import constructs
import mailcodes
import numbers_table
import pytest
import tnefbuild
from unpacking import REPOSITORY, unpack

COMMAND = REPOSITORY / "install" / "numbers_table.py"
SETS = "content,names,tnef,real,constructs"
PLAIN = b"From: a@example.org\nSubject: x\n\nHello.\n"


def run(corpus: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The command with few products; its text."""
    command = [sys.executable, str(COMMAND), "--count", "10", *options, str(corpus)]
    env = {name: value for name, value in os.environ.items() if name != "QSCAN_CORPUS"}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=env, timeout=300
    )


def lines(text: str) -> dict[str, list[str]]:
    """Columns by the name of the set."""
    out = {}
    for line in text.splitlines():
        columns = [one for one in line.split("  ") if one.strip()]
        if len(columns) >= 6 and not line.startswith(" "):
            out[columns[0].strip()] = [one.strip() for one in columns[1:]]
    return out


def message(slot: str, name: str) -> bytes:
    """A construct around the zip, which is the same in all."""
    (row,) = [row for row in constructs.ROWS[slot] if row.name == name]
    payload = constructs.PAYLOADS["zip"](constructs.random.Random(1))
    return constructs.build({slot: row}, "zip", "0", payload).message


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A corpus in which all is well."""
    root = tmp_path / "corpus"
    content = root / "mime-is-broken" / "hide-content"
    name = root / "mime-is-broken" / "hide-filename"
    for folder in (content, name, root / "tnef-hostile", root / "real-mail"):
        folder.mkdir(parents=True)
    (content / "LICENSE").write_text("none\n")
    (content / "v3-plain.eml").write_bytes(message("transfer", "base64"))
    (content / "v2-folded.eml").write_bytes(message("field", "folded"))
    (content / "v1-last.eml").write_bytes(message("structure", "RFC 2231"))
    (content / "v0-cr.eml").write_bytes(message("encoding", "after nonsense"))
    png = message("name", "in both").replace(b"evil.exe", b"file.png")
    (name / "v3-fname.png.eml").write_bytes(png)
    zipped = message("name", "last of two fields").replace(b"evil.exe", b"file.zip")
    (name / "v0-fname.eml").write_bytes(zipped)
    good = tnefbuild.stream(tnefbuild.head(), tnefbuild.file(b"a.txt", b"content"))
    (root / "tnef-hostile" / "good.tnef").write_bytes(good)
    (root / "real-mail" / "1").write_bytes(PLAIN)
    return root


def test_a_good_corpus_passes(corpus: Path) -> None:
    done = run(corpus, "--sets", SETS, "--seed", "numbers")
    assert done.stderr == ""
    table = lines(done.stdout)
    for name in ("v3", "v2", "v1", "v0"):
        assert table[f"hidden content, {name}"][:4] == ["1", "1", "0", "0"], name
    for name in ("hidden names", "hidden names, controls", "real mail"):
        assert table[name][:4] == ["1", "1", "0", "0"], name
        assert table[name][-1] == "PASS"
    assert table["hostile winmail.dat"][:4] == ["1", "1", "0", "0"]
    assert table["constructs, products (seed numbers)"][0] == "10"
    assert int(table["constructs, each alone"][0]) > 500
    failed = any(columns[-1] == "FAIL" for columns in table.values())
    assert done.returncode == failed
    assert done.stdout.endswith("FAIL\n" if failed else "PASS\n")


def test_what_is_absent_is_left_out(tmp_path: Path) -> None:
    done = run(tmp_path, "--sets", "content,names,tnef,real")
    assert done.returncode == 0
    table = lines(done.stdout)
    assert len(table) == 9
    assert all(columns[-2:] == ["absent", "-"] for columns in list(table.values())[1:])
    assert run(tmp_path / "none", "--sets", "real").stdout.startswith("numbers: no ")


@pytest.mark.parametrize(
    ("file", "content", "line"),
    [
        ("real-mail/2", b"Content-Type: message/partial\n\nx\n", "real mail"),
        (
            "mime-is-broken/hide-filename/v0-good.eml",
            message("name", "none"),
            "hidden names",
        ),
        (
            "mime-is-broken/hide-filename/v3-x.png.eml",
            message("name", "in both").replace(b"evil.exe", b"file.zip"),
            "hidden names, controls",
        ),
        ("mime-is-broken/hide-content/v0-empty.eml", PLAIN, "hidden content, v0"),
        (
            "mime-is-broken/hide-content/v2-refused.eml",
            message("structure", "parameters: last"),
            "hidden content, v2",
        ),
    ],
)
def test_a_number_that_is_not_met_fails(
    file: str, content: bytes, line: str, corpus: Path
) -> None:
    (corpus / file).write_bytes(content)
    done = run(corpus, "--sets", "content,names,real")
    assert done.returncode == 1
    assert done.stdout.endswith("FAIL\n")
    table = lines(done.stdout)
    assert [name for name, columns in table.items() if columns[-1] == "FAIL"] == [line]
    assert Path(file).name in done.stdout


def test_the_look_at_winmail_sees_what_is_lost(tmp_path: Path) -> None:
    blob = tnefbuild.stream(
        tnefbuild.head(),
        tnefbuild.file(b"a.txt", b"content"),
        tnefbuild.renddata(),
        tnefbuild.attachment_properties(tnefbuild.mapi_data(b"more content")),
    )
    found = unpack(numbers_table.WINMAIL + mailcodes.b64(blob), tmp_path)
    assert numbers_table.tnef_lost(blob, found) == ""
    (named,) = [item for item in found.items if "a.txt" in item.names]
    named.names.remove("a.txt")
    assert numbers_table.tnef_lost(blob, found) == "the name 'a.txt'"
    named.names.append("a.txt")
    (path,) = [path for path, one in found.contents.items() if one == b"more content"]
    found.contents[path] = b"more conten"
    assert repr(b"more content") in numbers_table.tnef_lost(blob, found)


def test_wrong_options_are_said(tmp_path: Path) -> None:
    for options in (("--sets", "nothing"), ("--count", "1"), ("--rounds", "0")):
        done = run(tmp_path, *options)
        assert done.returncode == 2
        assert options[0] in done.stderr
