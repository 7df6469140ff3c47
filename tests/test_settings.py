# SPDX-License-Identifier: MIT
"""Settings: the table, the text, the compiled file and what the wrapper reads of it."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import REPOSITORY, short_directory, wait_for
from nobody import as_nobody

from qscan import compiler, decide, defects, launcher, log, schema, settings
from qscan.compiler import SettingsError
from qscan.fdio import Failure

SEED = 20240201


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return tmp_path / "qscan.toml"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "qscan.db"


def mistakes(text: Path, content: str | bytes) -> list[compiler.Problem]:
    """The problems of a text that must not be accepted."""
    data = content.encode() if isinstance(content, str) else content
    text.write_bytes(data)
    with pytest.raises(SettingsError) as caught:
        compiler.parse_text(text)
    assert str(caught.value).startswith(str(text))
    return caught.value.problems


def publish(text: Path, database: Path, content: str) -> settings.Settings:
    text.write_text(content, "utf-8")
    compiler.compile_text(text, database)
    return settings.load(str(database))


# the table


def test_the_default_text_is_generated_from_the_table() -> None:
    file = REPOSITORY / "install" / "qscan.toml"
    assert file.read_text("utf-8") == schema.default_text(), (
        "run: python -m qscan.schema toml >install/qscan.toml"
    )


def test_the_manual_page_is_generated_from_the_table() -> None:
    file = REPOSITORY / "docs" / "man" / "qscan.toml.5"
    assert file.read_text("utf-8") == schema.man_text(), (
        "run: python -m qscan.schema man >docs/man/qscan.toml.5"
    )


def test_the_default_text_sets_nothing(text: Path) -> None:
    text.write_text(schema.default_text(), "utf-8")
    parsed = compiler.read_text(text)
    assert parsed.settings == schema.defaults()
    assert parsed.lines == {}


def test_the_default_text_without_its_marks_sets_every_default(text: Path) -> None:
    lines = schema.default_text().splitlines()
    bare = [
        line[1:] if line.startswith("#") and line[1:2] not in ("", " ") else line
        for line in lines
    ]
    text.write_text("\n".join(bare), "utf-8")
    parsed = compiler.read_text(text)
    assert parsed.settings == schema.defaults()
    assert set(parsed.lines) == set(schema.BY_NAME)
    for name, number in parsed.lines.items():
        assert bare[number - 1].startswith(name.rpartition(".")[2] + " = ")


def test_every_default_fits_its_own_row() -> None:
    for row in schema.TABLE:
        assert schema.check(row, row.default) == row.default
        assert row.doc.endswith(".")
    assert len(schema.BY_NAME) == len(schema.TABLE)


def test_every_class_has_an_action_and_the_safe_default() -> None:
    names = {name for name in schema.BY_NAME if name.startswith("action.")}
    assert names == {f"action.{cls}" for cls in decide.CLASSES}
    expected = dict.fromkeys(decide.CLASSES, "tag")
    expected |= dict.fromkeys(("virus", "phishing", "limits", "malformed"), "reject")
    expected["scanner_failure"] = "defer"
    defaults = schema.defaults()
    assert {cls: defaults[f"action.{cls}"] for cls in decide.CLASSES} == expected


def test_table_and_wrapper_agree() -> None:
    overridable = [row.name for row in schema.TABLE if row.tcprules]
    assert sorted(overridable) == sorted(settings.FROM_ENVIRONMENT)
    assert schema.BY_NAME["reject.dialect"].choices == settings.DIALECTS
    assert schema.BY_NAME["tnef.deliver"].choices == settings.TNEF_DELIVER
    assert schema.BY_NAME["action.virus"].choices == decide.ACTIONS
    assert set(schema.FACILITIES) == set(log._FACILITIES)
    assert tuple(schema.defaults()["malformed.refuse"]) == defects.REFUSED_DEFECTS
    assert compiler.LAUNCHER_MARK.decode() in launcher.SCRIPT


def test_another_set_of_settings_is_another_format() -> None:
    # The wrapper takes every name for granted: an old file that lacks one must be
    # refused as a file of another format (55), not fail later as a bug (81).
    names = hashlib.sha256(" ".join(sorted(schema.BY_NAME)).encode()).hexdigest()
    assert (settings.FORMAT, names[:16]) == (b"2", "321ce620d70695b9"), (
        "settings were added or removed: raise settings.FORMAT, then change this line"
    )


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("unix:/run/clamav/clamd.ctl", ("unix", "/run/clamav/clamd.ctl", 0)),
        ("tcp:127.0.0.1:3310", ("tcp", "127.0.0.1", 3310)),
        ("tcp:[::1]:3310", ("tcp", "::1", 3310)),
        ("tcp:scanner.example.net:1", ("tcp", "scanner.example.net", 1)),
    ],
)
def test_addresses(address: str, parts: tuple[str, str, int]) -> None:
    assert schema.split_address(address) == parts


@pytest.mark.parametrize(
    "address",
    [
        "",
        "/run/clamav/clamd.ctl",
        "unix:run/clamd",
        "unix:",
        "unix:/" + "x" * 107,
        "tcp:",
        "tcp:host",
        "tcp::3310",
        "tcp:host:0",
        "tcp:host:65536",
        "tcp:host:+1",
        "tcp:::1:3310",
        "tcp:a b:1",
        "udp:host:1",
    ],
)
def test_addresses_of_no_use_are_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"^must "):
        schema.split_address(address)


def test_toml_values_read_back() -> None:
    odd = 'quote " backslash \\ tab \t newline \n ä \x7f \x85 \U0001f600'
    for value in (odd, "", [], [odd, "b"], True, False, 0, -1, 10**12):
        assert tomllib.loads(f"x = {schema.toml_value(value)}") == {"x": value}


# the text


@pytest.mark.parametrize(
    ("content", "line", "column", "says", "remedy"),
    [
        ("limit.dept = 3\n", 1, 1, "unknown setting limit.dept", "limit.depth?"),
        ("\n[limit]\n dept = 3\n", 3, 2, "unknown setting limit.dept", "limit.depth?"),
        ("depth = 3\n", 1, 1, "unknown setting depth", "limit.depth?"),
        ("[limit]\nzzz = 3\n", 2, 1, "unknown setting limit.zzz", "limit.parts"),
        ("zzz = 3\n", 1, 1, "unknown setting zzz", "qscan config"),
        ("[limits]\ndepth = 3\n", 1, 2, "unknown group [limits]", "[limit]?"),
        ("[zzz]\n", 1, 2, "unknown group [zzz]", "[action]"),
        ("[limit.depth]\n", 1, 2, "limit.depth must be a whole number", "20"),
        ("limit = 3\n", 1, 1, "limit is a group", "[limit]"),
        ("[[limit]]\ndepth = 1\n", 1, 3, "limit is a group", "[limit]"),
        ('"limit.depth" = 3\n', 1, 1, '"limit.depth"', "without quotes"),
        ("limit.depth = 0\n", 1, 1, "from 1 to 200, not 0", "20"),
        ("limit.depth = 201\n", 1, 1, "from 1 to 200, not 201", "20"),
        ("limit.depth = true\n", 1, 1, "whole number, not true", "20"),
        ("limit.depth = 2.0\n", 1, 1, "whole number, not the number 2.0", "20"),
        ('limit.depth = "2"\n', 1, 1, 'whole number, not "2"', "20"),
        ("limit.depth = [2]\n", 1, 1, "whole number, not a list", "20"),
        ("limit = {depth = {}}\n", 1, 10, "whole number, not a table", "20"),
        ("header.qscan = 1\n", 1, 1, "true or false, not the number 1", "true"),
        ("log.target = 1979-05-27\n", 1, 1, "a text, not the date", "stderr"),
        ('log.target = "sylog"\n', 1, 1, 'did you mean "syslog"?', "stderr"),
        ('action.pua = "Reject"\n', 1, 1, 'did you mean "reject"?', "tag"),
        ('spool_dir = "spool"\n', 1, 1, "an absolute path", "/var/spool"),
        ('spool_dir = ""\n', 1, 1, "an absolute path", "/var/spool"),
        ('spool_dir = "/a\\tb"\n', 1, 1, "control characters", "/var/spool"),
        ('clamd.address = "clamd"\n', 1, 1, '"unix:/PATH" or "tcp:', "unix:/"),
        ('class.pua = "PUA."\n', 1, 1, 'a list of texts, not "PUA."', '["PUA."]'),
        ('class.pua = [\n "PUA.",\n  3]\n', 3, 3, "not of the number 3", "PUA"),
        ('class.pua = [ # a]\n "A",\n  "a b"]\n', 3, 3, 'not "a b"', "PUA"),
        ("class.pua = ['A', \"A\"]\n", 1, 19, 'must not hold "A" twice', "PUA"),
        ("class.pua = ['*']\n", 1, 14, 'not "*"', "PUA"),
        ("class.pua = ['']\n", 1, 14, 'not ""', "PUA"),
        ("malformed.refuse = ['nul-in-head']", 1, 21, '"nul-in-header"?', "all codes"),
        ("malformed.refuse = ['limit-depth']", 1, 21, "only codes", "all codes"),
        ("malformed.actions = ['tnef-level']", 1, 22, '"CODE: ACTION"', "qscan-def"),
        ("malformed.actions = ['tnf-level: tag']", 1, 22, '"tnef-level"?', "all codes"),
        ("malformed.actions = ['tnef-level: tga']", 1, 22, '"tag"?', "all codes"),
        ("malformed.actions = ['zzz-*: tag']", 1, 22, 'begins with "zzz-"', "codes"),
        ("malformed.actions = ['*: tag']", 1, 22, 'begins with ""', "all codes"),
        ("malformed.actions = ['a*: tag',\n'a*:defer']", 2, 1, '"a*" twice', "codes"),
        ("malformed.actions = [1]", 1, 22, "not of the number 1", "all codes"),
        ("class.pua = ['PUA.', 'X']\nclass.virus = ['X']\n", 1, 1, '"X"', "one class"),
        ("class.virus = ['PUA.']\n", 1, 1, '"PUA."', "also set class.pua = []"),
        ("limit.deadline_seconds = 600\n", 1, 1, "from 10 to 599", "300"),
        ("[limit]\ndepth = yes\n", 2, 9, "invalid value", "true or false"),
        ("[limit]\ndepth = 1\ndepth = 2\n", 3, 10, "overwrite", "twice"),
        ("[limit]\n[limit]\n", 2, 7, "declare", "together"),
        ("limit.depth 3\n", 1, 13, "expected '='", "name = value"),
        ("depth\n", 1, 6, "expected '='", "name = value"),
        ("class.pua = [1,\n\n", 1, 16, "invalid value", "is not complete"),
        ('spool_dir = "/a\n', 1, 16, "illegal character", "close the text"),
        ("a = 1\rb = 2", 1, 6, "expected newline", "one setting a line"),
        ("ä = 1\n", 1, 1, "invalid", "name = value"),
    ],
)
def test_mistakes_are_quoted_with_place_and_remedy(
    text: Path, content: str, line: int, column: int, says: str, remedy: str
) -> None:
    problems = mistakes(text, content)
    assert len(problems) == 1, problems
    problem = problems[0]
    assert (problem.line, problem.column) == (line, column), problem
    assert says in problem.text
    assert remedy in problem.remedy
    assert problem.quoted == content.split("\n")[line - 1]
    printed = str(SettingsError("x", problems)).splitlines()
    assert printed[0].startswith(f"x:{line}:{column}: ")
    assert printed[2].index("^") == 4 + column - 1


def test_all_mistakes_are_found_at_once(text: Path) -> None:
    content = 'clamd.connect_seconds = 0\n[reject]\ndialect = "x"\n[head]\nqscan = 1\n'
    assert [problem.line for problem in mistakes(text, content)] == [1, 3, 4]


@pytest.mark.parametrize(
    ("content", "line", "column", "says"),
    [
        (b"\xef\xbb\xbflimit.depth = 1\n", 1, 1, "byte order mark"),
        ("limit.depth = 1\n".encode("utf-16"), 1, 1, "UTF-16"),
        (b"# caf\xe9\n", 1, 6, "0xE9 is not UTF-8"),
        ("# ä\n# ä\t".encode() + b"\xff\xff\n", 2, 5, "0xFF is not UTF-8"),
        (b"# a\nb\0c\n", 2, 2, "NUL"),
    ],
)
def test_what_is_no_utf8_text_is_refused(
    text: Path, content: bytes, line: int, column: int, says: str
) -> None:
    (problem,) = mistakes(text, content)
    assert (problem.line, problem.column) == (line, column)
    assert says in problem.text
    assert problem.remedy


def test_the_marker_stays_below_the_column_on_long_and_odd_lines(text: Path) -> None:
    pad = "x" * 500
    (problem,) = mistakes(text, f"class.pua = ['{pad}', \t'a b', '{pad}']\n")
    quote, marker = str(SettingsError("x", [problem])).splitlines()[1:3]
    assert len(quote) < 120
    assert quote[marker.index("^") :].startswith("'a b'")


def test_errors_cannot_move_the_cursor(text: Path) -> None:
    problems = mistakes(text, 'log.target = "\x9b2J\u202e"\n')
    printed = str(SettingsError("a\x1b[2J", problems))
    assert all(char.isprintable() or char == "\n" for char in printed)


def test_tabs_crlf_and_every_form_of_toml_are_understood(text: Path) -> None:
    text.write_bytes(
        b"\tspool_dir\t=\t'''/a\\b'''\t# tab\r\n"
        b'clamd.address = """unix:/x"""\r\n'
        b'class.pua = [\r\n\t"*x", # ]\r\n\t\'#"\',\r\n]\r\n'
        b'limit = { depth = 4, "parts" = 5 }\r\n'
        b'["scan"]\r\n"types"="libmagic"\r\n'
        b"[ header ]\r\n'virus_scanned' = true"
    )
    parsed = compiler.read_text(text)
    changed = {
        name: value
        for name, value in parsed.settings.items()
        if value != schema.BY_NAME[name].default
    }
    assert changed == {
        "spool_dir": "/a\\b",
        "clamd.address": "unix:/x",
        "class.pua": ["*x", '#"'],
        "limit.depth": 4,
        "limit.parts": 5,
        "scan.types": "libmagic",
        "header.virus_scanned": True,
    }
    assert parsed.lines == {
        "spool_dir": 1,
        "clamd.address": 2,
        "class.pua": 3,
        "limit.depth": 7,
        "limit.parts": 7,
        "scan.types": 9,
        "header.virus_scanned": 11,
    }


def check_places(
    found: object, path: tuple[str | int, ...], places: compiler._Map
) -> None:
    """Every key and every member of ``found`` at ``path`` begins where it is noted."""
    if isinstance(found, dict):
        for key, inner in found.items():
            first = places.text[places.keys[(*path, key)]]
            assert first.isalnum() or first in "\"'", first
            check_places(inner, (*path, key), places)
    elif isinstance(found, list):
        for index, inner in enumerate(found):
            if path != ("w",):
                assert places.text[places.members[(*path, index)]] not in " \t\n,#]"
            check_places(inner, (*path, index), places)


def test_every_key_of_any_toml_has_a_place() -> None:
    pick = random.Random(SEED)
    quotes = ['"a]b"', "'c#d'", '"""e\n"" \\" f""""', "'''g\n'h'''", '"\\\\"', '""']
    scalars = [*quotes, "1", "-2.5e3", "true", "1979-05-27 07:32:00", "inf"]

    def value(depth: int) -> str:
        kind = pick.randrange(8) if depth < 4 else 0
        if kind == 1:
            inner = [value(depth + 1) for _ in range(pick.randrange(4))]
            gap = pick.choice([", ", " ,\n # [x]\n\t", ","])
            return "[ " + gap.join(inner) + (" ," if inner and kind else "") + "]"
        if kind == 2:
            names = pick.sample(["a", '"b.c"', "d.e", "'='", "f-1"], pick.randrange(5))
            return "{" + ", ".join(f"{n} = {value(9)}" for n in names) + " }"
        return pick.choice(scalars)

    for _ in range(300):
        lines = [f"{name} = {value(0)}" for name in ("k", "l . m", '"n.o" . p')]
        lines += ["[t.u] # x", f"v={value(0)}", "[[w]]", f"x = {value(0)}", "[[w]]"]
        lines += [f'"y" = {value(0)}', "[w.z]", f"q.r.s = {value(0)}"]
        content = "\n".join(lines)
        places = compiler._Map(content)

        document = tomllib.loads(content)
        # A table below a member of an array of tables is noted without its index.
        below = document["w"][1].pop("z")
        check_places(document, (), places)
        check_places({"z": below}, ("w",), places)


def test_files_that_cannot_be_a_text(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(compiler.TEXT_MAX + 1)
    for path, says in (
        (tmp_path / "absent", "no such file"),
        (tmp_path, "is a directory"),
        (pipe, "not a regular file"),
        (Path("/dev/zero"), "not a regular file"),
        (large, "has 4000001 bytes"),
        (Path("x\0y"), "cannot be opened"),
    ):
        with pytest.raises(SettingsError) as caught:
            compiler.parse_text(path)
        (problem,) = caught.value.problems
        assert says in problem.text
        assert problem.remedy


def test_an_unreadable_text_is_named() -> None:
    somebody = {"cwd": REPOSITORY} | as_nobody()
    folder = short_directory()
    try:
        text = folder / "qscan.toml"
        text.write_text("")
        text.chmod(0)
        program = "import sys; from qscan import compiler; "
        done = subprocess.run(
            [sys.executable, "-c", program + "compiler.parse_text(sys.argv[1])", text],
            capture_output=True,
            text=True,
            check=False,
            **somebody,  # type: ignore[call-overload]
        )
    finally:
        shutil.rmtree(folder)
    assert "cannot be opened: Permission denied" in done.stderr


def test_too_deep_nesting_is_a_mistake_and_no_crash(text: Path) -> None:
    for content in ("a = " + "[" * 5000 + "]" * 5000, "a" + ".a" * 5000 + " = 1"):
        assert mistakes(text, content)


# what no single value shows


def test_a_text_that_scans_nothing_is_refused(text: Path) -> None:
    (problem,) = mistakes(text, 'scan.raw = "never"\nscan.parts = false\n')
    assert problem.line == 2
    assert "nothing would be scanned" in problem.text


def test_our_own_launcher_is_no_queue(text: Path, tmp_path: Path) -> None:
    program = tmp_path / "qscan-queue"
    program.write_text(launcher.SCRIPT)
    link = tmp_path / "qmail-queue"
    link.symlink_to(program)
    (problem,) = mistakes(text, f'\nqmail_queue = "{link}"\n')
    assert problem.line == 2
    assert "qscan-queue itself" in problem.text


def test_a_quarantine_where_the_sweep_goes_is_refused(text: Path) -> None:
    (problem,) = mistakes(text, 'quarantine.dir = "/var/spool/qscan/work/../work/q"\n')
    assert "which is swept" in problem.text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('spool_dir = "/nonexistent"\n', "line 1: the spool directory /nonexistent/wo"),
        ('\nqmail_queue = "/nonexistent"\n', "line 2: qmail_queue /nonexistent is not"),
        ("limit.deadline_seconds = 541\n", "leaves little of the 600 seconds"),
        ("limit.deadline_seconds = 60\n", "limit.unpack_seconds is not less than"),
        ('action.virus = "tag"\n', 'action.virus = "tag" delivers infected mail'),
        ('action.scanner_failure = "deliver"\n', "could not be scanned"),
        ('action.limits = "deliver"\n', "not scanned completely"),
    ],
)
def test_doubtful_settings_are_warned_about(
    text: Path, content: str, says: str
) -> None:
    text.write_text(content)
    assert any(says in line for line in compiler.read_text(text).warnings)


def test_good_settings_have_no_warnings(text: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    text.write_text(f'qmail_queue = "/bin/true"\nspool_dir = "{tmp_path}"\n')
    assert compiler.read_text(text).warnings == []


# the compiled file


def test_the_wrapper_reads_what_was_compiled(text: Path, database: Path) -> None:
    loaded = publish(text, database, "limit.depth = 7\nheader.qscan = false\n")
    assert loaded.warning == ""
    expected = schema.defaults() | {"limit.depth": 7, "header.qscan": False}
    assert loaded.values == expected
    parsed = compiler.read_settings(database)
    assert parsed.settings == expected
    assert parsed.lines == {"limit.depth": 1, "header.qscan": 2}
    assert parsed.source == (
        str(text),
        text.stat().st_mtime_ns,
        text.stat().st_size,
        hashlib.sha256(text.read_bytes()).hexdigest(),
    )


def test_a_changed_text_is_noticed_a_touched_one_is_not(
    text: Path, database: Path
) -> None:
    publish(text, database, "limit.depth = 7\n")
    os.utime(text, ns=(1, 1))
    assert settings.load(str(database)).warning == ""
    text.write_text("limit.depth = 8\n")
    os.utime(text, ns=(2, 2))
    assert "has changed" in settings.load(str(database)).warning
    text.write_text("limit.depth = 10\n")
    loaded = settings.load(str(database))
    assert "has changed" in loaded.warning
    assert loaded.values["limit.depth"] == 7


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("Eicar-Test-Signature", "virus"),
        ("", "virus"),
        ("Heuristics.Encrypted.Zip", "encrypted"),
        ("Heuristics.Limits.Exceeded.MaxFileSize", "limits"),
        ("Heuristics.OLE2.ContainsMacros.VBA", "macro"),
        ("Heuristics.Phishing.Email.SpoofedDomain", "phishing"),
        ("Phishing.Bank-1.UNOFFICIAL", "phishing"),
        ("Heuristics.Structured.SSN", "structured"),
        ("Heuristics.Broken.Executable", "broken"),
        ("PUA.Win.Packer", "pua"),
        ("Win.Trojan.PUA.Agent", "virus"),
        ("heuristics.encrypted.zip", "virus"),
    ],
)
def test_default_classes_of_names(
    text: Path, database: Path, name: str, cls: str
) -> None:
    automaton = publish(text, database, "").automaton()
    assert defects.classify(name, automaton) == cls


def test_literals_may_stand_anywhere_and_the_longest_wins(
    text: Path, database: Path
) -> None:
    automaton = publish(
        text,
        database,
        "class.pua = ['PUA.', '*Adware', 'Adware']\nclass.virus = ['PUA.Win.Trojan']\n"
        "class.macro = ['*.Macro.']\n",
    ).automaton()
    for name, cls in {
        "PUA.Win.Tool": "pua",
        "PUA.Win.Trojan.X": "virus",
        "Win.Adware.X": "pua",
        "Adware": "pua",
        "Doc.Macro.1": "macro",
        "Doc.Macro": "virus",
        "PUA.Doc.Macro.1": "macro",
    }.items():
        assert defects.classify(name, automaton) == cls, name


def test_no_literals_at_all_leave_a_working_automaton(
    text: Path, database: Path
) -> None:
    names = [row.name for row in schema.TABLE if row.kind == "literals"]
    content = "".join(f"{name} = []\n" for name in names)
    automaton = publish(text, database, content).automaton()
    for name in ("", "PUA.Win", "Heuristics.Encrypted.Zip"):
        assert defects.classify(name, automaton) == "virus"


def test_many_literals(text: Path, database: Path) -> None:
    literals = [f"Sig.{number:05}." for number in range(20_000)]
    quoted = ", ".join(f'"{literal}"' for literal in literals)
    automaton = publish(text, database, f"class.broken = [{quoted}]\n").automaton()
    assert defects.classify("Sig.19999.x", automaton) == "broken"
    assert defects.classify("Sig.20000.x", automaton) == "virus"


def test_a_mistake_leaves_the_live_file_alone(text: Path, database: Path) -> None:
    publish(text, database, "limit.depth = 7\n")
    before = database.read_bytes(), database.stat().st_ino
    text.write_text("limit.depth = 0\n")
    with pytest.raises(SettingsError):
        compiler.compile_text(text, database)
    assert (database.read_bytes(), database.stat().st_ino) == before
    assert sorted(path.name for path in text.parent.iterdir()) == [
        "qscan.db",
        "qscan.toml",
    ]


def test_the_compiled_file_is_readable_for_all(text: Path, database: Path) -> None:
    old = os.umask(0o077)
    try:
        publish(text, database, "")
    finally:
        os.umask(old)
    assert stat.S_IMODE(database.stat().st_mode) == 0o644


def test_a_link_at_the_output_is_followed(text: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "qscan.db"
    link.symlink_to("real/settings.db")
    assert publish(text, link, "limit.depth = 7\n").values["limit.depth"] == 7
    assert link.is_symlink()
    assert os.listdir(tmp_path / "real") == ["settings.db"]


def test_outputs_that_cannot_be(text: Path, tmp_path: Path) -> None:
    text.write_text("")
    for output in (tmp_path, text, tmp_path / "absent" / "x", "a\0b", "\udcff" * 999):
        with pytest.raises(SettingsError) as caught:
            compiler.compile_text(text, output)
        assert caught.value.problems[0].remedy
    assert os.listdir(tmp_path) == ["qscan.toml"]


def test_names_that_are_not_utf8_work(tmp_path: Path) -> None:
    folder = tmp_path / "caf\udce9"
    folder.mkdir()
    (folder / "q.toml").write_text("limit.depth = 7\n")
    compiler.compile_text(folder / "q.toml", folder / "q.db")
    assert compiler.read_settings(folder / "q.db").settings["limit.depth"] == 7


COMPILE = """
import sys
from qscan import compiler
while True:
    compiler.compile_text(sys.argv[1], sys.argv[2])
    if sys.argv[3] == "once":
        break
"""


def compiling(text: Path, database: Path, how: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", COMPILE, str(text), str(database), how], cwd=REPOSITORY
    )


def test_a_full_disk_leaves_the_live_file_alone(text: Path, database: Path) -> None:
    publish(text, database, "limit.depth = 7\n")
    before = database.read_bytes()
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096,) * 2)"
    done = subprocess.run(
        [sys.executable, "-c", limited + COMPILE, str(text), str(database), "once"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "cannot be written: " in done.stderr
    assert database.read_bytes() == before
    assert len(os.listdir(text.parent)) == 2


def test_a_killed_compiler_leaves_a_good_file(text: Path, database: Path) -> None:
    publish(text, database, "limit.depth = 1\n")
    pick = random.Random(SEED)
    for depth in range(2, 8):
        victim = compiling(text, database, "forever")
        inode = database.stat().st_ino
        try:
            # It works by now; somewhere in one of its rounds it ends.
            wait_for(lambda old=inode: database.stat().st_ino != old, "a compilation")
            replacement = text.with_suffix(".new")
            replacement.write_text(f"limit.depth = {depth}\n")
            replacement.rename(text)
            for _ in range(pick.randrange(40)):
                settings.load(str(database))
        finally:
            victim.send_signal(signal.SIGKILL)
            victim.wait()
        assert settings.load(str(database)).values["limit.depth"] in (depth - 1, depth)
        compiler.compile_text(text, database)
        assert settings.load(str(database)).values["limit.depth"] == depth


def test_compilers_beside_one_another_publish_the_newest_text(
    text: Path, database: Path
) -> None:
    publish(text, database, "limit.depth = 1\n")
    for depth in range(2, 6):
        workers = [compiling(text, database, "once") for _ in range(3)]
        replacement = text.with_suffix(".new")
        replacement.write_text(f"limit.depth = {depth}\n")
        replacement.rename(text)
        workers.append(compiling(text, database, "once"))
        while any(worker.poll() is None for worker in workers):
            # Whenever somebody looks, there is a whole file.
            assert settings.load(str(database)).values["limit.depth"] <= depth
        assert [worker.wait() for worker in workers] == [0] * 4
        assert settings.load(str(database)).values["limit.depth"] == depth
    assert sorted(os.listdir(text.parent)) == ["qscan.db", "qscan.toml"]


def test_a_text_that_never_rests_is_an_error(
    text: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text.write_text("limit.depth = 1\n")
    write = compiler.write_settings

    def and_edit(parsed: compiler.Parsed, output: str | os.PathLike[str]) -> None:
        write(parsed, output)
        with text.open("a") as file:
            file.write("#\n")

    monkeypatch.setattr(compiler, "write_settings", and_edit)
    with pytest.raises(SettingsError, match="changes all the time"):
        compiler.compile_text(text, database)


def test_an_edit_while_compiling_is_compiled_as_well(
    text: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text.write_text("limit.depth = 1\n")
    write = compiler.write_settings
    edits = ["limit.depth = 3\n", "limit.depth = 2\n"]

    def and_edit(parsed: compiler.Parsed, output: str | os.PathLike[str]) -> None:
        write(parsed, output)
        if edits:
            text.write_text(edits.pop())

    monkeypatch.setattr(compiler, "write_settings", and_edit)
    compiler.compile_text(text, database)
    assert settings.load(str(database)).values["limit.depth"] == 3


# Runs apart: a damaged file must not be able to end the tests. Prints one word a try.
TRY_DAMAGE = """
import random, sys
from qscan import compiler, settings
from qscan.fdio import Failure
path, seed = sys.argv[1], int(sys.argv[2])
good = open(path, "rb").read()
known = settings.load(path)
pick = random.Random(seed)

def attempt(data):
    with open(path, "wb") as file:
        file.write(data)
    try:
        compiler.read_settings(path)
    except compiler.SettingsError:
        pass
    try:
        found = settings.load(path)
    except Failure as failure:
        return failure.outcome
    same = (found.values, found.classes) == (known.values, known.classes)
    return "same" if same else "DIFFERENT"

words = []
for _ in range(400):
    data = bytearray(good)
    for _ in range(pick.choice((1, 1, 1, 20))):
        data[pick.randrange(len(data))] ^= 1 << pick.randrange(8)
    words.append(attempt(bytes(data)))
for size in [0, 1, 511, 512, 4095, 4096, 8192, len(good) - 1]:
    words.append(attempt(good[:size]))
words.append(attempt(b"\\0" * len(good)))
words.append(attempt(b"not a database\\n" * 1000))
print(*words)
"""


def test_a_damaged_file_is_an_error_and_never_another_setting(
    text: Path, database: Path
) -> None:
    publish(text, database, "limit.depth = 7\n")
    done = subprocess.run(
        [sys.executable, "-c", TRY_DAMAGE, str(database), str(SEED)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    words = done.stdout.split()
    assert len(words) == 410
    assert set(words) <= {"config", "same"}
    assert words[-10:] == ["config"] * 10
    # Damage in unused parts of a page changes nothing and need not be noticed.
    assert words.count("config") > 150


def test_files_that_are_no_settings_are_told_apart(
    text: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases: list[tuple[Callable[[], object], str, str]] = [
        (lambda: None, "absent", "no such file"),
        (lambda: database.write_text("x"), "corrupt", "damaged"),
        (database.unlink, "absent", "no such file"),
    ]
    for prepare, hot, cold in cases:
        prepare()
        with pytest.raises(Failure, match=hot):
            settings.load(str(database))
        with pytest.raises(SettingsError, match=cold):
            compiler.read_settings(database)
    monkeypatch.setattr(compiler, "FORMAT", b"0")
    text.write_text("")
    compiler.compile_text(text, database)
    monkeypatch.undo()
    with pytest.raises(Failure, match="another format"):
        settings.load(str(database))
    with pytest.raises(SettingsError, match="has format"):
        compiler.read_settings(database)
