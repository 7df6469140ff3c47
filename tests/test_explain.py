# SPDX-License-Identifier: MIT
"""``qscan explain``: the tree, the readings, every defect with its line, the cause."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import click
import pytest
from harness import EICAR_NAME, Installation, infected, plain
from test_cli import FOUND, ITEM_KEYS, KEYS, Mail, Run, mail, on_terminal, run
from test_cli import command as arguments_of
from test_cli import surroundings as environment_of
from unpacking import SPECIMENS, corpus_parameters

from qscan import defects, defecttext, mime, pipeline, schema, settings, tnef
from qscan.cli import outline, page, render, why
from qscan.compiler import Parsed
from qscan.model import Finding

__all__ = ["mail", "run"]  # fixtures

TWO_TYPES = (
    b"From: a@example.org\n"
    b"Content-Type: text/plain\n"
    b"Subject: x\n"
    b"Content-Type: multipart/mixed; boundary=b\n"
    b"\n"
    b"--b\n"
    b"\n"
    b"hello\n"
    b"--b\n"
    b'Content-Type: application/zip; name="a.zip"\n'
    b"Content-Transfer-Encoding: base64\n"
    b"\n"
    b"UEsDBCBub3QgcmVhbGx5\n"
    b"--b--\n"
)


def explained(run: Run, *arguments: object) -> tuple[int, str]:
    """Exit code and text, without the warning about absent settings."""
    done = run("explain", "--no-clamd", *arguments)
    return done.returncode, done.stdout


def facts(run: Run, *arguments: object) -> dict[str, object]:
    done = run("explain", "--json", "--no-clamd", *arguments)
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def section(text: str, title: str) -> list[str]:
    """The lines below a title."""
    _, found, rest = text.partition(f"\n\n{title}\n")
    assert found, text
    return rest.split("\n\n")[0].splitlines()


# The tree.


def test_the_tree_has_multiparts_with_their_boundaries(run: Run, mail: Mail) -> None:
    message = (
        b'Content-Type: multipart/mixed; boundary="out er"\n\n'
        b"--out er\nContent-Type: multipart/alternative; boundary=in\n\n"
        b"--in\n\ntext\nmore\n--in\nContent-Type: text/html\n\n<b>\n--in--\n"
        b"--out er\nContent-Type: message/rfc822\n\n"
        b"Subject: inner\n\nbody\n--out er--\n"
    )
    code, text = explained(run, mail("a.eml", message))
    assert code == 0
    assert section(text, "Message") == [
        f"  message  message/rfc822  {len(message)} B",
        '  └─ 1  multipart/mixed  boundary "out er"  from line 3',
        '     ├─ 1.1  multipart/alternative  boundary "in"  from line 6',
        "     │  ├─ 1.1.1  text/plain  9 B  lines 8-9",
        "     │  └─ 1.1.2  text/html  3 B  line 13",
        "     └─ 1.2  message/rfc822  20 B  lines 18-20",
        "        └─ 1.2.1  text/plain  4 B  line 20",
    ]


def test_a_message_that_was_encoded_is_drawn_below_its_part(
    run: Run, mail: Mail
) -> None:
    inner = b"Content-Type: multipart/mixed; boundary=i\n\n--i\n\nx\n--i--\n"
    part = inner.hex(" ", 1).upper().replace(" ", "=")
    message = (
        b"Content-Type: message/rfc822\n"
        b"Content-Transfer-Encoding: quoted-printable\n\n="
        + part.encode().replace(b"=0A", b"=0A=\n")
        + b"\n"
    )
    found = facts(run, mail("a.eml", message))
    tree = {
        node["path"]: (node["kind"], node["source"], node["first_line"])
        for node in found["tree"]  # type: ignore[attr-defined]
    }
    assert tree == {
        "1": ("message", "", 4),
        "1.1": ("multipart", "1", 3),
        "1.1.1": ("leaf", "1", 5),
    }


# Readings.


def test_other_readings_are_shown_with_what_differs(run: Run, mail: Mail) -> None:
    code, text = explained(run, mail("a.eml", TWO_TYPES))
    assert code == 1
    lines = section(text, "Other readings")
    assert lines[0] == "  last, because of duplicate-content-type"
    assert lines[1] == "    " + sentence(defecttext.READINGS["last"])
    assert lines[2].startswith("    - 1  text/plain")
    assert lines[3] == '    + 1~last  multipart/mixed  boundary "b"  from line 6'
    wanted = r'    \+ 1~last\.2  application/zip  "a\.zip"  .*base64  15 B  line 13'
    assert any(re.fullmatch(wanted, line) for line in lines)


def test_json_has_every_reading_whole(run: Run, mail: Mail) -> None:
    found = facts(run, mail("a.eml", TWO_TYPES))
    readings = {
        one["name"]: one
        for one in found["readings"]  # type: ignore[attr-defined]
        if one["source"] == ""
    }
    assert set(readings) == {
        reading.name for reading in mime.FURTHER["duplicate-content-type"]
    } | {
        reading.name
        for defect in found["defects"]  # type: ignore[attr-defined]
        if "~" not in defect["where"] and not defect["source"]
        for reading in mime.FURTHER.get(defect["code"], ())
    }
    last = readings["last"]
    assert last["because"] == ["duplicate-content-type"]
    assert last["same"] is False
    assert [node["path"] for node in last["tree"]] == ["1~last", "1~last.1", "1~last.2"]
    assert all(one["how"] for one in readings.values())


def test_a_reading_that_shows_the_same_takes_one_line(run: Run, mail: Mail) -> None:
    message = b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n"
    _, text = explained(run, mail("a.eml", message))
    assert re.search(r"With the same parts as above: (\w+, )*inner", text)


def sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


# Defects.


def test_every_defect_has_line_bytes_and_meaning(run: Run, mail: Mail) -> None:
    _, text = explained(run, mail("a.eml", TWO_TYPES))
    lines = section(text, "Defects")
    assert lines[0] == "  duplicate-content-type  (class malformed: reject)"
    words = " ".join(" ".join(lines).split())
    code = defecttext.BY_CODE["duplicate-content-type"]
    assert code.meaning in words
    assert f"Clients: {code.clients}" in words
    assert f"To mend: {code.mend}" in words
    at = lines.index("    in 1, line 4")
    assert lines[at + 1] == "       4 | Content-Type: multipart/mixed; boundary=b"


def test_the_mark_stands_below_the_byte() -> None:
    place = outline.Place(20, 3, 5, b"ab\x1b\xff", b"cd\x00")
    line, mark = map(click.unstyle, page._excerpt(place))
    assert line == "       3 | ab\\x1b\\xffcd\\x00"
    assert mark.index("^") == line.index("cd")
    (line,) = page._excerpt(outline.Place(0, 1, 1, b"", b"x"))
    assert line == "       1 | x"
    far = outline.Place(9000, 1, 9001, b"x" * 60, b"y" * 60)
    line, mark = map(click.unstyle, page._excerpt(far))
    assert line.startswith("       1 | ...xxx")
    assert mark.index("^") == line.index("y")
    assert len(line) < 130


@pytest.mark.parametrize(
    ("message", "code", "line", "after"),
    [
        (b"A: b\nSub\0ject: x\n\n", "nul-in-header", 2, "\0ject: x"),
        (b"A: b\nC: d\rE: f\n\n", "bare-cr-in-header", 2, "C: d\rE: f"),
        (b"A: b\nno field\n\nx", "header-junk", 2, "no field"),
        (
            b"A: b\nContent-Type: multipart/mixed; boundary=a;\n boundary=b\n\n--a\n",
            "conflicting-boundary",
            2,
            "Content-Type: multipart/mixed; boundary=a;",
        ),
        (
            b"MIME-Version: 1.0\nA: b\nMIME-Version: 2.0\n\n",
            "duplicate-mime-version",
            3,
            "MIME-Version: 2.0",
        ),
        (
            b"A: b\r\nContent-Type: message/partial; id=x\r\n\r\nx\r\n",
            "message-partial",
            2,
            "Content-Type: message/partial; id=x",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "-" in value else "",
)
def test_the_line_is_that_of_the_cause(
    run: Run, mail: Mail, message: bytes, code: str, line: int, after: str
) -> None:
    found = facts(run, mail("a.eml", message))
    (defect,) = [one for one in found["defects"] if one["code"] == code]  # type: ignore[attr-defined]
    assert defect["line"] == line
    text = defect["before"] + defect["after"]
    assert defect["after"] == after or text == message.split(b"\n")[line - 1].decode()
    assert message[defect["offset"] :].startswith(defect["after"].encode())
    assert defect["column"] == len(defect["before"]) + 1


def test_a_defect_without_a_place_is_told_all_the_same(run: Run, mail: Mail) -> None:
    message = b"Content-Transfer-Encoding: base64\n\nQUJ\n"
    code, text = explained(run, mail("b.eml", message))
    assert code == 0
    assert "    in 1" in section(text, "Defects")
    found = facts(run, mail("a.eml", b"Content-Transfer-Encoding: rot13\n\nx\n"))
    (defect,) = [
        one
        for one in found["defects"]  # type: ignore[attr-defined]
        if one["code"] == "unknown-transfer-encoding"
    ]
    assert defect["meaning"] == defecttext.BY_CODE[defect["code"]].meaning


# The decision.


def test_the_decision_names_rule_class_setting_and_line(
    run: Run, mail: Mail, tmp_path: Path
) -> None:
    message = mail("a.eml", TWO_TYPES)
    (tmp_path / "t.toml").write_text('[action]\nmalformed = "defer"\n')
    code, text = explained(run, "--text", "t.toml", message)
    assert code == 2
    lines = section(text, "Decision")
    assert "duplicate-content-type in 1 is a finding of class malformed" in lines[0]
    assert f'  action.malformed = "defer" ({tmp_path}/t.toml:2)' in lines
    found = facts(run, "--text", "t.toml", message)["decision"]
    assert isinstance(found, dict)
    assert found["action"] == "defer"
    assert found["origin"] == f"{tmp_path}/t.toml:2"
    (tmp_path / "t.toml").write_text("malformed.actions = ['dup*: tag']\n")
    code, text = explained(run, "--text", "t.toml", message)
    assert code == 0
    lines = section(text, "Decision")
    assert f'  malformed.actions has "dup*: tag" ({tmp_path}/t.toml:1)' in lines


def test_the_pipeline_and_the_explanation_agree(
    run: Run, mail: Mail, tmp_path: Path
) -> None:
    message = mail("a.eml", b"A: b\nSub\0ject: x\n\n")
    for action in ("deliver", "tag", "reject", "quarantine+drop", "defer"):
        (tmp_path / "t.toml").write_text(
            f'malformed.actions = ["nul-in-header: {action}"]\n'
        )
        found = facts(run, "--text", "t.toml", message)
        assert found["action"] == action
        assert found["decision"]["action"] == action  # type: ignore[index]


@pytest.mark.parametrize(
    ("finding", "words", "setting"),
    [
        (
            Finding("clamd", "PUA.Win.X", "pua", "1.2"),
            'class.pua has "PUA.", so it is of class pua',
            'action.pua = "tag"',
        ),
        (
            Finding("clamd", "Eicar", "virus", "1.2"),
            "no literal of class.* fits that name, so it is of class virus",
            'action.virus = "reject"',
        ),
        (
            Finding("clamd", "no-answer", "scanner_failure", "", "timeout"),
            "clamd gave no usable answer: timeout",
            'action.scanner_failure = "defer"',
        ),
        (
            Finding("limits", "limit-depth", "limits", "1"),
            "something was not looked at",
            'action.limits = "reject"',
        ),
        (
            Finding("tnef", "tnef-level", "malformed", "1"),
            "malformed.refuse has tnef-malformed (the default)",
            'action.malformed = "reject"',
        ),
        (
            Finding("mime", "archive-encrypted", "encrypted", "1"),
            "archive-encrypted in 1 is a finding of class encrypted",
            'action.encrypted = "tag"',
        ),
    ],
    ids=lambda value: value.rule if isinstance(value, Finding) else "",
)
def test_a_finding_is_traced_to_its_setting(
    finding: Finding, words: str, setting: str
) -> None:
    found = why.verdict_of(finding, Parsed(schema.defaults()))
    assert words in found.because
    assert found.setting == setting
    assert found.origin == "the default"


def test_an_infected_message_names_scanner_signature_and_part(
    run: Run, installation: Installation, mail: Mail
) -> None:
    done = run("explain", "--settings", installation.database, mail("a", infected()))
    assert done.returncode == 1
    assert f"found {FOUND} in " in " ".join(section(done.stdout, "Decision"))
    lines = section(done.stdout, "Scan")
    assert lines[0].startswith("  clamd at unix:")
    assert any(EICAR_NAME in line for line in lines)
    done = run("explain", "--settings", installation.database, mail("b", plain()))
    assert done.returncode == 0
    assert "Nothing was found" in section(done.stdout, "Decision")[0]
    assert installation.entries() == []


# JSON and text.


def test_json_is_a_superset_of_that_of_scan(run: Run, mail: Mail) -> None:
    for name, message in (("a", TWO_TYPES), ("b", plain()), ("c", b"")):
        path = mail(name, message)
        done = run("scan", "--json", "--no-clamd", path)
        scanned = json.loads(done.stdout)
        found = facts(run, path)
        assert list(found)[: len(KEYS)] == KEYS
        assert all(list(item) == ITEM_KEYS for item in found["items"])  # type: ignore[attr-defined]
        del scanned["ms"]
        for key, value in scanned.items():
            if key == "defects":
                for one, other in zip(value, found[key], strict=True):  # type: ignore[call-overload]
                    assert one.items() <= other.items()
            else:
                assert found[key] == value, key


def test_the_help_names_every_key(run: Run, mail: Mail) -> None:
    found = facts(run, mail("a.eml", TWO_TYPES))
    text = run("explain", "--help").stdout
    page_text = (SPECIMENS.parent.parent / "docs" / "man" / "qscan.1").read_text()
    own = set(found) - set(KEYS)
    for key in ("defects", "tree", "readings", "names"):
        own |= set(found[key][0])  # type: ignore[index]
    own |= set(found["decision"])  # type: ignore[call-overload]
    for key in own - {"code", "where", "detail"}:
        assert re.search(rf"\b{key}\b", text), key
        assert re.search(rf"\b{key}\b", page_text), key


def test_nothing_in_a_mail_moves_the_cursor(run: Run, mail: Mail) -> None:
    evil = b"\x1b]0;x\x07\xe2\x80\xae\x9b2J\r"
    message = (
        b"Content-Type: multipart/mixed; boundary=a" + evil + b"; boundary=b\n"
        b"Sub" + evil + b"ject: x\n\n--b\n"
        b'Content-Type: text/x-\x1b[2J; name="' + evil + b'.txt"\n'
        b"Content-Transfer-Encoding: \x1b[31m\n\nhello\n--b--\n" + evil
    )
    code, text = explained(run, "--all", mail("a\x1b[2J.eml", message))
    assert code in (0, 1)
    for char in text:
        assert char.isprintable() or char == "\n", repr(char)
    assert run("explain", "--json", "--no-clamd", "a\x1b[2J.eml").stdout.isascii()


def test_long_lists_are_cut_for_people_and_never_in_json(run: Run, mail: Mail) -> None:
    parts = b"".join(
        b'--b\nContent-Type: text/plain; name="%d.exe.txt"\n\nx\n' % n
        for n in range(300)
    )
    path = mail("a.eml", b"Content-Type: multipart/mixed; boundary=b\n\n" + parts)
    _, text = explained(run, path)
    assert len(section(text, "Message")) == page.MOST + 1
    assert section(text, "Message")[-1] == "  ... and 262 lines more (--all shows all)"
    assert len(text.splitlines()) < 300
    _, text = explained(run, "--all", path)
    assert len(section(text, "Message")) == 302
    assert "--all" not in text
    assert len(facts(run, path)["tree"]) == 301  # type: ignore[arg-type]


def test_what_cannot_be_read_has_the_form_of_an_explanation(
    run: Run, mail: Mail
) -> None:
    done = run("explain", "--json", "--no-clamd", "absent")
    assert done.returncode == 2
    assert "cannot be read" in done.stderr
    whole = facts(run, mail("a.eml", plain()))
    assert list(json.loads(done.stdout)) == list(whole)
    done = run("explain", "--no-clamd", "absent")
    assert (done.returncode, done.stdout) == (2, "")


def test_standard_input_is_a_message_too(run: Run) -> None:
    done = run("explain", "--no-clamd", "-", input=TWO_TYPES)
    assert done.returncode == 1
    assert done.stdout.startswith("-: refused, would be refused")


def test_colours_only_on_a_terminal(tmp_path: Path, mail: Mail) -> None:
    (tmp_path / "tmp").mkdir()
    arguments = arguments_of("explain", "--no-clamd", mail("a.eml", TWO_TYPES))
    environment = environment_of(tmp_path) | {"TERM": "xterm", "COLUMNS": "60"}
    code, out = on_terminal(arguments, environment, tmp_path)
    assert code == 1
    assert "\x1b[31m" in out
    environment["NO_COLOR"] = "1"
    code, out = on_terminal(arguments, environment, tmp_path)
    assert code == 1
    assert "\x1b" not in out
    wrapped = [line for line in out.splitlines() if line.startswith("    Clients: ")]
    assert wrapped
    assert max(map(len, wrapped)) <= 60


@pytest.mark.parametrize(
    "path", sorted(SPECIMENS.glob("*.eml")), ids=lambda path: path.stem
)
def test_every_specimen_is_explained(path: Path, tmp_path: Path) -> None:
    check_explained(path, tmp_path)


@pytest.mark.parametrize("path", corpus_parameters("mime-is-broken/hide-content"))
def test_every_evasion_is_explained(path: Path, tmp_path: Path) -> None:
    check_explained(path, tmp_path)


def check_explained(path: Path, tmp_path: Path) -> None:
    """Every item of the normal reading is in the tree, every place is right."""
    drawn: list[outline.Outline] = []
    values = schema.defaults()

    def look(report: pipeline.Report, fd: int, size: int) -> None:
        drawn.append(outline.draw(report, fd, size, pipeline.limits_of(values)))  # type: ignore[arg-type]

    fd = os.open(path, os.O_RDONLY)
    try:
        report = pipeline.examine_file(
            fd,
            settings.Settings(values, b"", ""),  # type: ignore[arg-type]
            str(tmp_path),
            clamd=False,
            look=look,
        )
    finally:
        os.close(fd)
    (one,) = drawn
    assert one.complete
    data = path.read_bytes()
    for index, place in one.places.items():
        defect = report.defects[index]
        if not defect.source:
            assert data[place.offset :].startswith(place.after), defect
            assert data.count(b"\n", 0, place.offset) + 1 == place.line, defect
    for node in one.tree():
        if node.source == "" and node.start >= 0:
            assert data.count(b"\n", 0, node.start) + 1 == node.first, node
    nodes = {node.item.path for node in one.tree() if node.item is not None}
    whole = {item.path for item in report.items if item.origin == "mime"}
    left = {path for path in whole - nodes if "~" not in path and "/" not in path}
    assert left == set()
    case = why.Case(str(path), report, one, Parsed(values), False)  # type: ignore[arg-type]
    text = page.as_text(case, plain=True, whole=True)
    assert not set("".join(render.LINES).replace(" ", "")) & set(text)
    for defect in report.defects:
        assert defect.code in text
    assert {defect.code for defect in report.defects} <= set(defecttext.BY_CODE)


# Texts.


def test_every_code_has_a_text_and_every_text_a_code() -> None:
    assert set(defecttext.BY_CODE) == {*defects.DEFECTS, *tnef.CODES}
    total = sum(len(texts) for texts in defecttext.TEXTS.values())
    assert total == len(defecttext.BY_CODE), "a code stands in two groups"


def test_every_reading_is_described() -> None:
    names = {one.name for readings in mime.FURTHER.values() for one in readings}
    assert names | {""} == set(defecttext.READINGS)


@pytest.mark.parametrize("code", sorted(defecttext.BY_CODE))
def test_a_text_is_made_of_sentences(code: str) -> None:
    text = defecttext.BY_CODE[code]
    for part in (text.meaning, text.clients, *filter(None, [text.mend])):
        assert part.isascii(), part
        assert part.isprintable(), part
        assert part.endswith("."), part
        assert "  " not in part, part
        assert 10 < len(part) < 400, part


def test_defaults_in_the_page_are_those_that_count() -> None:
    values = schema.defaults()
    refused = values["malformed.refuse"]
    assert isinstance(refused, list)
    for code in defecttext.codes():
        found = defects.judge([pipeline.Defect(code, "1")], refused)
        word = found[0].cls if found else "noted"
        word = word if word == "noted" else f"class {word}"
        wanted = defecttext.default_of(code)
        assert word == wanted.replace("refused", "class malformed"), code


def test_the_page_is_what_the_tables_say() -> None:
    path = SPECIMENS.parent.parent / "docs" / "man" / "qscan-defects.7"
    assert path.read_text("utf-8") == defecttext.man_text(), (
        "run: python -m qscan.defecttext man >docs/man/qscan-defects.7"
    )


def test_the_page_is_good_roff() -> None:
    path = SPECIMENS.parent.parent / "docs" / "man" / "qscan-defects.7"
    groff = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", path],
        capture_output=True,
        check=False,
        text=True,
    )
    assert (groff.returncode, groff.stderr) == (0, "")
    assert len(path.read_text("utf-8").split(".SH TNEF")) == 2


@pytest.mark.parametrize("code", sorted(defecttext.BY_CODE))
def test_what_the_sender_is_told_is_short_and_to_the_point(code: str) -> None:
    found = defects.judge([pipeline.Defect(code, "1.2/x", "\x1b")], [code])
    assert found
    for one in found:
        text = defects.public_text(one)
        assert text.isascii()
        assert text.isprintable()
        assert len(text) <= 200
        assert "1.2" not in text
        assert "limit." not in text
        assert "malformed." not in text


def test_every_name_stands_once_with_its_forms(run: Run, mail: Mail) -> None:
    message = TWO_TYPES.replace(b"a.zip", b"A.ZIP. ")
    _, text = explained(run, mail("a.eml", message))
    lines = section(text, "Names")
    assert sum(line.startswith('  "A.ZIP. "  in ') for line in lines) == 1
    assert lines[0].startswith('  "A.ZIP. "  in 1~last.2')
    assert '    also as "a.zip"' in lines
    names = facts(run, mail("a.eml", message))["names"]
    assert {"path": "1~last.2", "name": "A.ZIP. ", "forms": ["a.zip"]} in names  # type: ignore[operator]


# What the example in README.md shows.
README_MESSAGE = b"""\
From: accounts@example.org
To: you@example.net
Subject: invoice
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="=_1"

--=_1
Content-Type: text/plain; charset=utf-8

Please see the attached invoice.
--=_1
Content-Type: application/pdf; name="invoice.pdf"
Content-Disposition: attachment; filename="invoice.pdf        .exe"
Content-Transfer-Encoding: quoted-printable
Content-Transfer-Encoding: base64

TVqQAAMAAAAEAAAA//8AALgAAAAAAAAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
--=_1--
"""


def test_the_readme_shows_what_is_printed(run: Run, mail: Mail) -> None:
    readme = (SPECIMENS.parent.parent / "README.md").read_text("utf-8")
    _, _, example = readme.partition("    $ qscan explain --no-clamd invoice.eml\n")
    shown = "\n".join(line[4:] for line in example.split("\n## ")[0].splitlines())
    mail("invoice.eml", README_MESSAGE)
    _, text = explained(run, "invoice.eml")
    assert shown.splitlines()[0] == text.splitlines()[0]
    assert section(shown, "Decision") == section(text, "Decision")
    for line in section(shown, "Other readings")[:3]:
        assert line in section(text, "Other readings")
