# SPDX-License-Identifier: MIT
"""Matching forms of file names, and what is of note about them."""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING

import pytest
from harness import multipart
from unpacking import corpus_parameters, unpack

from qscan import defects, names, sniff
from qscan.model import Defects, Item

if TYPE_CHECKING:
    from pathlib import Path

#: name -> a form that a rule would be written for.
FORMS = {
    "File.ZIP": "file.zip",
    "file.zip.": "file.zip",
    "file.zip . .": "file.zip",
    "file.zip\xa0": "file.zip",
    "file.zip\u3000\u2003.": "file.zip",
    "file.zip\u2800\u3164": "file.zip",
    " file.zip": "file.zip",
    "file.zip\0.png": "file.zip",
    "file.png\0.zip": "file.png.zip",
    "f\0i\0l\0e\0.\0z\0i\0p\0": "file.zip",
    "fi\nle.z\rip": "file.zip",
    "fi\tle.zip": "fi le.zip",
    "file%2ezip": "file.zip",
    "file%252Ezip": "file.zip",
    "%E2%82%AC.zip": "\u20ac.zip",
    "%ff.zip": "\xff.zip",
    "100%.zip": "100%.zip",
    "dir/file.zip": "file.zip",
    "dir\\file.zip": "file.zip",
    "C:\\dir\\file.zip": "file.zip",
    "C:file.zip": "file.zip",
    "dir/file.zip/": "file.zip",
    "../../file.zip": "file.zip",
    "..%2f..%2Ffile.zip": "file.zip",
    "file.zip::$DATA": "file.zip",
    "file.zip:a.txt": "file.zip",
    "a.txt:file.zip": "file.zip",
    "a.txt:file.zip:$DATA": "a.txt",
    "'file.zip'": "file.zip",
    'file.zip"': "file.zip",
    "<file.zip>": "file.zip",
    "\u201cfile.zip\u201d": "file.zip",
    "file.zip;": "file.zip",
    "\uff46\uff49\uff4c\uff45\uff0e\uff5a\uff49\uff50": "file.zip",
    "file\u2024zip": "file.zip",
    "file\ufe52zip": "file.zip",
    "fi\ufb01le.zip": "fifile.zip",
    "file.\u017fcr": "file.scr",
    "annexe\u202efdp.exe": "annexefdp.exe",
    "file.z\u200bi\u200d\u2060p\ufeff": "file.zip",
    "file.z\ufe0fi\U000e0101p": "file.zip",
    "file.z\xadip": "file.zip",
    "file.z\u034fip": "file.zip",
    "STRASSE.zip": "strasse.zip",
    "stra\xdfe.zip": "strasse.zip",
    "file.zip\ufffd": "file.zip",
}


@pytest.mark.parametrize("raw", FORMS, ids=ascii)
def test_a_name_has_the_form_that_rules_are_written_for(raw: str) -> None:
    assert FORMS[raw] in names.forms(raw)


@pytest.mark.parametrize("raw", ["", " ", ".", "..", "\0", "\u200b", "\ufeff "])
def test_what_is_no_name_has_no_form(raw: str) -> None:
    assert names.forms(raw) == []


def test_an_ordinary_name_has_one_form() -> None:
    for raw in ("report.pdf", "a b (1).docx", "x-1.2.tar.gz", "\xfcber.pdf"):
        assert names.forms(raw) == [raw]


def test_of_a_name_without_end_the_end_counts() -> None:
    long = "a" * 100_000
    assert names.forms(long + ".zip")[0].endswith(".zip")
    assert "b.zip" in names.forms("b.zip\0" + long)
    assert all(len(form) < 20 * names.LONGEST for form in names.forms("\ufdfa" * 10**5))


FACTS = {
    "invoice.pdf.exe": ["name-double-extension"],
    "invoice.PDF.Exe": ["name-double-extension"],
    "invoice.pdf .exe": ["name-double-extension"],
    "invoice.docx.js": ["name-double-extension"],
    "invoice.zip.exe": ["name-double-extension"],
    "invoice.txt.vbs.": ["name-double-extension"],
    "photo.jpg.scr": ["name-double-extension"],
    "photo.exe.jpg": ["name-double-extension"],
    "a.bat.txt": ["name-double-extension"],
    "a.pdf%2eexe": ["name-double-extension"],
    "a.pdf" + " " * 20 + ".exe": ["name-double-extension", "name-many-blanks"],
    "a" + "\xa0" * 10 + "b": ["name-many-blanks"],
    "a" + "\u2800" * 10 + "b": ["name-many-blanks"],
    "a" + " \u3000" * 5 + "b": ["name-many-blanks"],
    "a.txt.{3050F4D8-98B5-11CF-BB82-00AA00BDCE0B}": ["name-clsid"],
    "a.{3050F4D8-98B5-11CF-BB82-00AA00BDCE0B}..": ["name-clsid"],
    "annexe\u202exod.exe": ["name-bidi-override"],
    "a\u2067b.exe": ["name-bidi-override"],
    "a" * 256: ["name-too-long"],
    "\u20ac" * 100: ["name-too-long"],
    "a\nb": ["name-control"],
    "a\0": ["name-control"],
    "a\x7f": ["name-control"],
    "a\x1b[31m": ["name-control"],
    "../a": ["name-path"],
    "a/../b": ["name-path"],
    "..\\a": ["name-path"],
    "/etc/passwd": ["name-path"],
    "~/.profile": ["name-path"],
    "C:\\a": ["name-path"],
    "\\\\host\\share\\a": ["name-path"],
    "%2e%2e/a": ["name-path"],
    "con": ["name-device"],
    "NUL.txt": ["name-device"],
    "aux .txt": ["name-device"],
    "Com1.log": ["name-device"],
    "lpt9": ["name-device"],
    "com\xb2": ["name-device"],
    "a.exe::$DATA": ["name-stream"],
    "a.txt:b.exe": ["name-stream"],
    "a.zip.gz": ["name-archive-cloaked"],
    "a.rar.zip": ["name-archive-cloaked"],
    "a.7z.001": ["name-archive-cloaked"],
    "a.zip.001": ["name-archive-cloaked"],
    "a.r00": ["name-archive-cloaked"],
    "a.z01": ["name-archive-cloaked"],
    "a.c00": ["name-archive-cloaked"],
    "a.part1.rar": ["name-archive-cloaked"],
    "a.part02.exe": ["name-archive-cloaked"],
    "a.zip.jpg": ["name-archive-cloaked"],
}


@pytest.mark.parametrize("raw", FACTS, ids=lambda raw: ascii(raw)[:60])
def test_what_is_of_note_about_a_name_is_told(raw: str) -> None:
    found = names.facts(raw)
    assert sorted(code for code, _ in found) == FACTS[raw]
    for code, detail in found:
        assert not defects.DEFECTS[code][0], "no name is refused by default"
        assert detail.isascii()
        assert detail.isprintable()
        assert len(detail) < 250


NOTHING = (
    "report.pdf",
    "archive.tar.gz",
    "archive.tar.zst",
    "backup.tar.gz.gpg",
    "linux-6.1.12.tar.xz",
    "qscan-1.2.zip",
    "setup-1.2.3.exe",
    "report.2026.pdf",
    "2026.11.21.docx",
    "21.11.2026 10.30 scan.pdf",
    "john.smith.pdf",
    "John.Smith.CV.docx",
    "example.com.pdf",
    "www.example.com.html",
    "angular.js.pdf",
    "node.js.docx",
    "jquery.min.js",
    "app.config.js",
    "report.xlsx.pdf",
    "photo.jpg.zip",
    "setup.exe.asc",
    "file.zip.asc",
    "file.zip.md",
    "message.eml",
    "Re: 1/2.eml",
    "10:30.txt",
    "Re: report.pdf",
    "12/05/2026.pdf",
    "contract.pdf",
    "company.docx",
    "console.log",
    "auxiliary.txt",
    "a.mp3",
    "scan.001",
    "part1.doc",
    "image001.png",
    "{8C3F1B0A-1111-2222-3333-444455556666}.pdf",
    "0001-Deal-with-situation-where-sysconf-_SC_GETPW_R_SIZE_M.patch",
    "\u05d3\u05d5\u05d7.pdf",
    "\u200f\u05d3\u05d5\u05d7\u200e.pdf",
    "\u202ax.pdf\u202c",
    "long name\twith a fold.pdf",
    "\x1b$B%F%9%H\x1b(B.pdf",
    "=?utf-8?B?" + "/w+/" * 80 + "?=",
    "caf\xe9.pdf",
    "a (1).pdf",
    "C# in depth.pdf",
    "50% off.pdf",
    "...and more.txt",
)


@pytest.mark.parametrize("raw", NOTHING, ids=ascii)
def test_an_ordinary_name_is_not_of_note(raw: str) -> None:
    assert names.facts(raw) == []


def test_what_is_not_looked_at_would_not_be_of_note() -> None:
    """``sniff.ordinary`` spares the look; so it may only pass what has no facts."""
    looked = 0
    for raw in (*FACTS, *NOTHING, *FORMS):
        if sniff.ordinary([raw]):
            assert names.facts(raw) == []
        else:
            looked += 1
    assert looked >= len(FACTS)
    for raw in ("report.pdf", "IMG_20261121-1.jpg", "a b.docx", "README", "song.mp3"):
        assert sniff.ordinary([raw])
    assert not sniff.ordinary(["a.pdf"] * 100)
    dice = random.Random(4)
    letters = "aeEx.-_ 0r1zpcon"
    for _ in range(20_000):
        raw = "".join(dice.choices(letters, k=dice.randrange(1, 12)))
        if sniff.ordinary([raw]):
            assert names.facts(raw) == [], raw


def test_any_text_has_forms_and_facts() -> None:
    dice = random.Random(5)
    pieces = [chr(code) for code in (0, 9, 10, 13, 27, 37, 46, 47, 58, 92, 127, 160)]
    pieces += ["\u202e", "\u200b", "\ufdfa", "\u0301", "\ud800", "\U0010ffff", "\u0130"]
    pieces += [".exe", ".pdf", "%41", "%", "::$DATA", "=?", "con", " " * 11, "a", "{"]
    pieces += ["}", ".{", "0123456789abcdef-", "..", "/", "'", '"', "\ufffd"]
    for _ in range(4000):
        raw = "".join(dice.choices(pieces, k=dice.randrange(12)))
        found = names.forms(raw)
        assert len(found) <= names.FORMS
        assert len(set(found)) == len(found)
        for form in found:
            assert form
            assert form == form.casefold().strip(" ")
        for code, _ in names.facts(raw):
            assert code in defects.DEFECTS


@pytest.mark.parametrize(
    "piece",
    ["\u0301\u0316", "/", "%41", "\ufdfa", ".", ":", "\0", "{", " ", "'"],
    ids=ascii,
)
def test_the_work_on_a_name_is_bounded(piece: str) -> None:
    """Lines of Python for one of a hundred thousand characters, not for each."""

    def lines(text: str) -> int:
        count = 0

        def trace(frame: object, event: str, argument: object) -> object:
            nonlocal count
            count += 1
            return trace

        sys.settrace(trace)  # type: ignore[arg-type]
        try:
            names.facts(text)
        finally:
            sys.settrace(None)
        return count

    large = "a" + piece * 100_000
    assert lines(large) <= 200_000
    assert lines(large * 2) <= 1.1 * lines(large)


def test_an_item_is_told_each_fact_once() -> None:
    found = Defects()
    item = Item("1.2", "mime", ["a.pdf.exe", "b.pdf.exe", "con", "plain.pdf"])
    names.note(found, item)
    assert [(one.code, one.where) for one in found] == [
        ("name-double-extension", "1.2"),
        ("name-device", "1.2"),
    ]
    assert found[0].detail == "a.pdf.exe"


def test_names_without_end_are_a_limit(tmp_path: Path) -> None:
    value = b"".join(b"; name%d=x%d" % (n, n) for n in range(500))
    message = b"Content-Type: a/b" + value + b"\n\nbody\n"
    found = unpack(message, tmp_path)
    assert "limit-names" in found.codes
    assert found.report.verdict == "refused"
    assert "limit-names" not in unpack(message[:2000], tmp_path).codes


def test_the_names_of_a_message_are_judged(tmp_path: Path) -> None:
    message = multipart(
        (b"text/plain", b"", b"hello\n"),
        (b"application/octet-stream", b"photo.jpg    .scr", b"some bytes"),
    )
    found = unpack(message, tmp_path)
    assert "name-double-extension@1.2" in found.defects
    assert found.report.verdict == "clean"
    refused = unpack(message, tmp_path, malformed__refuse=["name-double-extension"])
    assert refused.report.verdict == "refused"


@pytest.mark.parametrize("path", corpus_parameters("real-mail"))
def test_real_names_and_types_are_not_of_note(path: Path, tmp_path: Path) -> None:
    codes = unpack(path.read_bytes(), tmp_path).codes
    assert not [code for code in codes if code.startswith(("name-", "type-"))]
