# SPDX-License-Identifier: MIT
"""The command for people, as a real process, and how it shows what it found."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import fake_clamd
import pytest
from fake_clamd import FakeClamd
from harness import (
    EICAR,
    EICAR_NAME,
    REPOSITORY,
    Installation,
    RealClamd,
    infected,
    multipart,
    plain,
    wait_for,
)
from nobody import as_nobody

from qscan import __version__, pipeline, schema
from qscan.cli import common, render
from qscan.model import Defect, Finding, Item
from qscan.outcomes import BY_NAME

# clamd marks what is not from its own database.
FOUND = EICAR_NAME + ".UNOFFICIAL"

KEYS = ["file", "verdict", "action", "exit_code", "smtp_text", "reason", "ms"]
KEYS += ["findings", "defects", "items"]
ITEM_KEYS = ["path", "origin", "names", "declared_type", "detected_type", "encoding"]
ITEM_KEYS += ["size", "sha256", "scan"]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Runs ``qscan ARGUMENTS`` with an empty /etc of its own; nothing may stay in
    the temporary directory."""
    scratch = tmp_path / "tmp"
    scratch.mkdir()

    def call(
        *arguments: object, environment: dict[str, str] | None = None, **options: object
    ) -> subprocess.CompletedProcess[str]:
        options.setdefault("stdin", subprocess.DEVNULL)
        if "input" in options:
            del options["stdin"]
        done = subprocess.run(  # type: ignore[call-overload]
            command(*arguments),
            capture_output=True,
            check=False,
            env=surroundings(tmp_path) | (environment or {}),
            cwd=tmp_path,
            **options,
        )
        return subprocess.CompletedProcess(
            done.args,
            done.returncode,
            done.stdout.decode("utf-8"),
            done.stderr.decode("utf-8"),
        )

    yield call
    assert os.listdir(scratch) == []


def command(*arguments: object) -> list[str]:
    """``qscan``, of this checkout, from any directory."""
    start = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); "
    start += "from qscan.cli import main; sys.exit(main())"
    return [sys.executable, "-I", "-c", start, *map(str, arguments)]


def surroundings(tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "TMPDIR": str(tmp_path / "tmp"),
        "QSCAN_TOML": str(tmp_path / "qscan.toml"),
    }


@pytest.fixture
def mail(tmp_path: Path) -> Callable[[str, bytes], Path]:
    def write(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


Mail = Callable[[str, bytes], Path]


# the command as a whole


def test_help_lists_every_command(run: Run) -> None:
    done = run("--help")
    assert done.returncode == 0
    for name in ("scan", "explain", "compile", "config", "version"):
        assert re.search(rf"^  {name}  +\w", done.stdout, re.MULTILINE)
        own = run(name, "-h")
        assert own.returncode == 0
        assert own.stdout.startswith(f"Usage: qscan {name} ")
        assert "Exit codes: 0 " in own.stdout
        assert max(map(len, own.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["scna"], "did you mean scan?"),
        (["zzz"], "there are scan, explain, compile, config, version"),
        (["scan"], "Missing argument 'FILE...|-'"),
        (["explain"], "Missing argument 'FILE|-'"),
        (["explain", "a", "b"], "Got unexpected extra argument"),
        (["explain", "--text", "a", "--settings", "b", "c"], "name one"),
        (["scan", "--jsno", "x"], "--json"),
        (["scan", "--text", "a", "--settings", "b", "c"], "name one"),
        (["config", "limit.dept"], "did you mean limit.depth?"),
        (["config", "zzz"], "qscan config lists all"),
        (["compile", "x"], "Got unexpected extra argument"),
    ],
)
def test_wrong_use_is_2_and_names_the_remedy(
    run: Run, arguments: list[str], remedy: str
) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert remedy in done.stderr
    assert done.stdout == ""


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "qscan.cli", "--version"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"qscan {__version__}\n")


# compile and config


def test_compile_takes_the_text_of_the_environment(run: Run, tmp_path: Path) -> None:
    (tmp_path / "qscan.toml").write_text("limit.depth = 7\n")
    done = run("compile")
    assert done.returncode == 0
    assert done.stdout == (
        f"{tmp_path}/qscan.db written (1 setting differs from the default)\n"
    )
    assert "warning: " in done.stderr
    done = run("config", "-n")
    assert done.stdout == f"limit.depth = 7  # {tmp_path}/qscan.toml:1, default 20\n"
    assert done.stderr == ""


def test_compile_shows_all_mistakes_and_changes_nothing(
    run: Run, tmp_path: Path
) -> None:
    text = tmp_path / "qscan.toml"
    text.write_text("limit.depth = 7\n")
    assert run("compile").returncode == 0
    before = (tmp_path / "qscan.db").read_bytes()
    text.write_text("[limit]\n  dept = 7\n  parts = 0\n")
    done = run("compile")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"error: {text}:2:3: unknown setting limit.dept\n"
        "      dept = 7\n"
        "      ^\n"
        "    remedy: did you mean limit.depth?\n"
        f"error: {text}:3:3: limit.parts must be from 1 to 1000000, not 0\n"
        "      parts = 0\n"
        "      ^\n"
        "    remedy: the default is 2000\n"
        f"2 mistakes; {tmp_path}/qscan.db is as it was\n"
    )
    assert (tmp_path / "qscan.db").read_bytes() == before


def test_compile_can_only_check(run: Run, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("")
    done = run("compile", "--check", "--text", "other.toml")
    assert (done.returncode, done.stdout) == (
        0,
        "other.toml: no mistakes (all settings have their defaults)\n",
    )
    (tmp_path / "other.toml").write_text("x")
    assert run("compile", "--check", "--text", "other.toml").returncode == 1
    assert not (tmp_path / "other.db").exists()


def test_compile_prints_a_text_that_it_takes(run: Run, tmp_path: Path) -> None:
    done = run("compile", "--print-default")
    assert done.stdout == schema.default_text()
    (tmp_path / "new.toml").write_text(done.stdout)
    assert run("compile", "--text", "new.toml", "--output", "o").returncode == 0
    assert (tmp_path / "o").exists()


def test_config_prints_every_setting_in_a_form_that_compiles(
    run: Run, tmp_path: Path
) -> None:
    done = run("config")
    assert done.returncode == 0
    assert "the built-in defaults are used" in done.stderr
    names = [line.partition(" = ")[0] for line in done.stdout.splitlines()]
    assert names == [row.name for row in schema.TABLE]
    (tmp_path / "all.toml").write_text(done.stdout)
    assert run("config", "-n", "--text", "all.toml").stdout == ""


def test_config_knows_names_groups_and_json(run: Run, tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text("\n[header]\nvirus_scanned = true\n")
    done = run("config", "--text", "t.toml", "header", "limit.depth", "header.qscan")
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "header.qscan",
        "header.virus_scanned",
        "limit.depth",
    ]
    facts = json.loads(run("config", "--text", "t.toml", "--json", "header").stdout)
    assert facts["header.virus_scanned"] == {
        "value": True,
        "default": False,
        "origin": f"{tmp_path}/t.toml:3",
        "environment": "QSCAN_HEADER_VIRUS_SCANNED",
    }
    assert facts["header.qscan"]["origin"] == "default"


def test_config_warns_when_the_text_is_newer(run: Run, tmp_path: Path) -> None:
    text = tmp_path / "qscan.toml"
    text.write_text("limit.depth = 7\n")
    run("compile")
    text.write_text("limit.depth = 8\n")
    done = run("config", "limit.depth")
    assert done.stdout.startswith("limit.depth = 7 ")
    assert "has changed since it was compiled" in done.stderr


def test_settings_that_cannot_be_read_are_not_replaced_by_defaults(
    run: Run, tmp_path: Path, mail: Mail
) -> None:
    message = mail("a.eml", plain())
    (tmp_path / "qscan.db").write_text("damaged")
    for arguments, code in ((["config"], 1), (["version"], 1), (["scan", message], 2)):
        done = run(*arguments)
        assert done.returncode == code
        assert "damaged, or not a settings file" in done.stderr
        assert done.stdout == ""
    assert run("config", "--settings", "absent.db").returncode == 1
    assert run("scan", "--text", "absent.toml", message).returncode == 2


def test_version_names_all_it_stands_on(
    run: Run, clamd: RealClamd, tmp_path: Path
) -> None:
    (tmp_path / "t.toml").write_text(f'clamd.address = "{clamd.address}"\n')
    done = run("version", "--text", "t.toml", "--json")
    versions = json.loads(done.stdout)
    assert versions["qscan"] == __version__
    assert versions["clamd"].startswith("ClamAV 1.")
    assert versions["berkeley db"].startswith("5.")
    done = run("version")
    assert done.returncode == 0
    assert re.search(r"^clamd: +does not answer at unix:", done.stdout, re.MULTILINE)


# scan


def scan_json(
    run: Run, *arguments: object, **options: object
) -> tuple[int, list[dict[str, object]]]:
    done = run("scan", "--json", *arguments, **options)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    for one in found:
        assert list(one) == KEYS
        assert all(list(item) == ITEM_KEYS for item in one["items"])
    return done.returncode, found


def test_scan_says_what_the_wrapper_does(
    run: Run, installation: Installation, mail: Mail
) -> None:
    messages = {
        "clean": plain(),
        "parts": multipart((b"text/plain", b"a.txt", b"hello")),
        "infected": infected(),
        "malformed": b"Subject: a\0b\n\nx\n",
        "fragment": b"Content-Type: message/partial; id=1; number=1\n\nx\n",
    }
    installation.configure({"reject.dialect": "plain"})
    codes = {name: installation.call(data).exit_code for name, data in messages.items()}
    files = [mail(name, data) for name, data in messages.items()]
    code, found = scan_json(run, "--settings", installation.database, *files)
    assert code == 1
    assert {Path(str(one["file"])).name: one["exit_code"] for one in found} == codes | {
        "clean": 0,
        "infected": 31,
    }
    assert installation.entries() == []


def test_scan_json_holds_all_facts(
    run: Run, installation: Installation, mail: Mail
) -> None:
    code, (found,) = scan_json(
        run, "--settings", installation.database, mail("a.eml", infected())
    )
    assert code == 1
    assert found["verdict"] == "infected"
    assert found["action"] == "reject"
    assert found["smtp_text"] == f"message refused: infected with {FOUND} (#5.7.1)"
    assert found["reason"]
    assert found["ms"]["total"] > 0
    attachment = next(
        finding for finding in found["findings"] if finding["item"] == "1.2"
    )
    assert attachment["source"] == "clamd"
    assert attachment["rule"] == FOUND
    assert attachment["class"] == "virus"
    assert attachment["text"]
    items = {item["path"]: item for item in found["items"]}
    assert set(items) == {"message", "1.1", "1.2"}
    assert items["message"]["origin"] == "message"
    assert items["1.2"]["names"] == ["eicar.com"]
    assert items["1.2"]["origin"] == "mime"
    assert items["1.2"]["encoding"] == "base64"
    assert items["1.2"]["declared_type"] == "application/octet-stream"
    assert items["1.2"]["size"] == len(EICAR)
    digest = subprocess.run(["sha256sum"], input=EICAR, capture_output=True, check=True)
    assert items["1.2"]["sha256"] == digest.stdout.split()[0].decode()
    assert items["1.2"]["scan"] == FOUND
    assert items["1.1"]["scan"] == "clean"


def test_scan_for_people(run: Run, installation: Installation, mail: Mail) -> None:
    done = run(
        "scan",
        "--settings",
        installation.database,
        mail("bad.eml", infected()),
        mail("good.eml", plain()),
    )
    assert done.returncode == 1
    assert "bad.eml: infected, would be refused\n" in done.stdout
    assert f'  client   "message refused: infected with {FOUND} ' in done.stdout
    assert f"  found    virus: {FOUND} in " in done.stdout
    assert re.search(r'└─ 1\.2  application/.*  "eicar.com"  base64  68 B', done.stdout)
    assert "good.eml: clean, would be delivered\n" in done.stdout
    assert done.stdout.endswith("2 messages: 1 infected, 1 clean\n")
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_scan_without_clamd_needs_none(run: Run, mail: Mail) -> None:
    message = mail("a.eml", infected())
    done = run("scan", "--no-clamd", message)
    assert done.returncode == 0
    assert "clean, would be delivered (clamd was not asked)" in done.stdout
    assert "built-in defaults" in done.stderr
    done = run("scan", "--no-clamd", mail("b.eml", b"A: \0\n\n"))
    assert done.returncode == 1


def test_scan_reads_standard_input_and_pipes(run: Run, tmp_path: Path) -> None:
    message = multipart((b"text/plain", b"a.txt", b"x" * 300_000))
    code, (found,) = scan_json(run, "--no-clamd", "-", input=message)
    assert code == 0
    assert found["file"] == "-"
    assert found["items"][0]["size"] == len(message)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["tee", pipe], stdin=-1, stdout=subprocess.DEVNULL) as writer:
        assert writer.stdin
        reader = subprocess.Popen(
            command("scan", "--json", "--no-clamd", pipe),
            env=surroundings(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        writer.stdin.write(message)
        writer.stdin.close()
        out, _ = reader.communicate()
    assert json.loads(out)["items"][0]["size"] == len(message)


def test_files_that_cannot_be_read_do_not_stop_the_others(
    run: Run, tmp_path: Path, mail: Mail
) -> None:
    good = mail("good.eml", plain())
    names = [tmp_path / "absent", tmp_path, good, Path("/dev/zero")]
    code, found = scan_json(run, "--no-clamd", *names)
    assert code == 2
    assert [one["verdict"] for one in found] == ["error", "error", "clean", "error"]
    assert [one["exit_code"] for one in found] == [None, None, 0, None]
    done = run("scan", "--no-clamd", *names)
    assert done.returncode == 2
    assert f"error: {tmp_path}/absent: cannot be read: No such file" in done.stderr
    assert f"error: {tmp_path}: is a directory" in done.stderr
    assert "error: /dev/zero: is neither a file nor a pipe" in done.stderr
    assert done.stdout.endswith("4 messages: 3 error, 1 clean\n")


def test_a_closed_standard_input_is_an_error(run: Run) -> None:
    done = run("scan", "--no-clamd", "-", preexec_fn=lambda: os.close(0), stdin=None)
    assert done.returncode == 2
    assert "cannot be read: Bad file descriptor" in done.stderr


def test_without_clamd_nothing_is_decided(run: Run, tmp_path: Path, mail: Mail) -> None:
    (tmp_path / "t.toml").write_text(
        f'clamd.address = "unix:{tmp_path}/absent"\nclamd.retry_seconds = 0\n'
    )
    code, (found,) = scan_json(run, "--text", "t.toml", mail("a.eml", plain()))
    assert code == 2
    assert found["verdict"] == "deferred"
    assert found["exit_code"] == 71


@pytest.mark.parametrize(
    ("action", "code", "verdict", "exit_code"),
    [
        ("deliver", 0, "infected", 0),
        ("tag", 0, "infected", 0),
        ("reject", 1, "infected", 31),
        ("quarantine+reject", 1, "infected", 31),
        ("quarantine+drop", 1, "infected", 0),
        ("defer", 2, "deferred", 71),
    ],
)
def test_exit_codes_by_action(
    run: Run,
    installation: Installation,
    mail: Mail,
    action: str,
    code: int,
    verdict: str,
    exit_code: int,
) -> None:
    installation.configure({"action.virus": action})
    done, (found,) = scan_json(
        run, "--text", installation.toml, mail("a.eml", infected())
    )
    assert (done, found["action"]) == (code, action)
    assert (found["verdict"], found["exit_code"]) == (verdict, exit_code)
    assert installation.quarantined() == []


def test_names_of_files_and_attachments_cannot_move_the_cursor(
    run: Run, tmp_path: Path
) -> None:
    name = b"a\x1b[2J\xff\n.eml"
    (Path(os.fsdecode(bytes(tmp_path) + b"/" + name))).write_bytes(
        multipart((b"text/plain", b"\x1b]0;x\x07\xe2\x80\xae\xff.txt", b"hello"))
    )
    arguments = ["scan", "--no-clamd", os.fsdecode(name)]
    done = run(*arguments)
    assert done.returncode == 0
    assert done.stdout.startswith("a\\x1b[2J\\xff\\x0a.eml: clean")
    for char in done.stdout:
        assert char.isprintable() or char == "\n", done.stdout
    code, (found,) = scan_json(run, *arguments[1:])
    assert code == 0
    assert found["file"] == "a\x1b[2J\\xff\n.eml"


def test_nobody_needs_to_be_root(installation: Installation, tmp_path: Path) -> None:
    somebody = as_nobody()
    done = subprocess.run(
        command("scan", "--json", "--settings", installation.database, "-"),
        input=plain(),
        capture_output=True,
        env=surroundings(tmp_path) | {"TMPDIR": "/tmp"},
        check=False,
        **somebody,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"] == "clean"


def on_terminal(
    arguments: list[str], environment: dict[str, str], cwd: Path
) -> tuple[int, str]:
    """Exit code and output of a process whose 1 and 2 are a terminal."""
    leader, follower = pty.openpty()
    try:
        with subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=follower,
            stderr=follower,
            env=environment,
            cwd=cwd,
        ) as process:
            os.close(follower)
            out = b""
            while True:
                try:
                    data = os.read(leader, 65536)
                except OSError as error:
                    if error.errno != errno.EIO:
                        raise
                    break  # the end of a terminal
                if not data:
                    break
                out += data
        return process.returncode, out.decode()
    finally:
        os.close(leader)


def test_colours_only_on_a_terminal(tmp_path: Path, mail: Mail) -> None:
    (tmp_path / "tmp").mkdir()
    arguments = command("scan", "--no-clamd", mail("a.eml", plain()))
    environment = surroundings(tmp_path) | {"TERM": "xterm"}
    code, out = on_terminal(arguments, environment, tmp_path)
    assert code == 0
    assert "\x1b[32m" in out
    environment["NO_COLOR"] = "1"
    code, out = on_terminal(arguments, environment, tmp_path)
    assert code == 0
    assert "\x1b" not in out


def test_what_takes_long_shows_progress_on_a_terminal(
    fakes: Callable[..., FakeClamd], tmp_path: Path, mail: Mail
) -> None:
    # Silent for as long as the settings let it: longer than a person likes to wait.
    server = fakes(fake_clamd.silent)
    (tmp_path / "tmp").mkdir()
    (tmp_path / "t.toml").write_text(
        f'clamd.address = "{server.address}"\n'
        "clamd.answer_seconds = 2\nclamd.retry_seconds = 0\n"
    )
    arguments = command("scan", "--text", "t.toml", mail("a.eml", plain()))
    code, out = on_terminal(arguments, surroundings(tmp_path), tmp_path)
    assert code == 2
    assert re.search(r"\ra.eml: unpacking and scanning, \d s\x1b\[K", out)
    assert "deferred" in out.rpartition("\r\x1b[K")[2]


def test_a_reader_that_goes_away_is_no_good_news(tmp_path: Path, mail: Mail) -> None:
    (tmp_path / "tmp").mkdir()
    message = mail("a.eml", plain())
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            command("scan", "--json", "--no-clamd", *[message] * 3),
            stdout=writer,
            stderr=subprocess.PIPE,
            env=surroundings(tmp_path),
            check=False,
        )
    finally:
        os.close(writer)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert os.listdir(tmp_path / "tmp") == []


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_signals_leave_nothing_behind(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    process = subprocess.Popen(
        command("scan", "--no-clamd", "-"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=surroundings(tmp_path),
    )
    assert process.stdin
    try:
        process.stdin.write(plain())
        process.stdin.flush()
        wait_for(lambda: list(scratch.glob("*/*/message")), "the work directory")
        process.send_signal(number)
        out, err = process.communicate()
    finally:
        process.kill()
    assert process.returncode == code
    assert out == b""
    assert b"Traceback" not in err
    assert os.listdir(scratch) == []


# rendering


def report(**facts: object) -> pipeline.Report:
    made = pipeline.Report()
    for name, value in facts.items():
        setattr(made, name, value)
    return made


def text(made: pipeline.Report | render.Trouble, **options: object) -> list[str]:
    options = {"clamd": True, "dialect": "plain", "plain": True} | options
    shown = render.as_text("m", made, **options)  # type: ignore[arg-type]
    return re.sub(r"\x1b\[\d*m", "", shown).splitlines()


def item(path: str, **facts: object) -> Item:
    made = Item(path, "message" if path == "message" else "mime", [])
    for name, value in facts.items():
        setattr(made, name, value)
    return made


def test_parts_stand_below_what_they_were_found_in() -> None:
    paths = "message 1.1 1.2 1.2.1.1 1.2/tnef/1 1.2/tnef/1/tnef/1 1.2+2 2~exact.1"
    made = report(items=[item(path) for path in paths.split()])
    assert text(made)[1:] == [
        "  parts    message  0 B  not scanned",
        "           |- 1.1  0 B  not scanned",
        "           |- 1.2  0 B  not scanned",
        "           |  |- 1.2.1.1  0 B  not scanned",
        "           |  |- 1.2/tnef/1  0 B  not scanned",
        "           |  |  `- 1.2/tnef/1/tnef/1  0 B  not scanned",
        "           |  `- 1.2+2  0 B  not scanned",
        "           `- 2~exact.1  0 B  not scanned",
    ]


def test_thousands_of_levels_and_parts_are_shown() -> None:
    deep = [item("message")] + [item("1" + ".1" * level) for level in range(3000)]
    assert len(text(report(items=deep))) == 3002
    wide = [item("message")] + [item(f"1.{number}") for number in range(3000)]
    assert len(text(report(items=wide))) == 3002


def test_a_part_with_all_it_can_have() -> None:
    made = item(
        "message",
        names=["a\tb.doc", "x" * 500],
        declared_type="text/plain",
        detected_type="application/pdf",
        encoding="base64",
        size=12_345_678,
        scan="Win.Test",
    )
    (_, line) = text(report(items=[made]))
    assert 'text/plain, really application/pdf  "a\\x09b.doc"  "xxx' in line
    assert line.endswith('..."  base64  12 MB  Win.Test')


def test_findings_and_defects_are_listed_and_counted() -> None:
    made = report(
        verdict="refused",
        action="reject",
        reason="malformed: nul-in-header in 1",
        exit_code=31,
        smtp_text="message refused",
        findings=[
            Finding("mime", "nul-in-header", "malformed", "1", "a header has NUL"),
            Finding("clamd", "Sig\x1b", "virus", "1.2", "Sig\x1b in 1.2"),
        ],
        defects=[
            Defect("nul-in-header", "1"),
            Defect("header-junk", "1", "\x9b\x07"),
            Defect("header-junk", "1", "b"),
        ],
    )
    plainly = 'reject.dialect = "plain", else "message refused"'
    assert text(made) == [
        "m: refused, would be refused",
        "  why      malformed: nul-in-header in 1",
        f"  client   exit code 31, qmail words it ({plainly})",
        "  found    malformed: nul-in-header in 1 (mime)",
        "             a header has NUL",
        "           virus: Sig\\x1b in 1.2 (clamd)",
        "  defects  nul-in-header in 1",
        "           header-junk in 1 (2 times): \\x9b\\x07",
    ]
    assert '  client   "message refused"' in text(made, dialect="notqmail")


def test_trouble_has_the_form_of_a_report() -> None:
    made = render.Trouble("disk full", BY_NAME["write"])
    found = json.loads(render.as_json("m", made))
    assert list(found) == KEYS
    assert (found["verdict"], found["action"], found["exit_code"]) == (
        "error",
        "none",
        53,
    )
    assert text(made) == [
        "m: error, could not be examined",
        "  why      disk full",
        "  client   exit code 53, qmail words it",
    ]


def test_json_is_ascii_and_one_line_whatever_the_mail_holds() -> None:
    odd = "\udcff\n\x1b\u2028é"
    made = report(
        items=[item("message", names=[odd], declared_type=odd, scan=odd)],
        defects=[Defect("x", odd, odd)],
        findings=[Finding("clamd", odd, "virus", odd, odd)],
        reason=odd,
    )
    line = render.as_json(odd, made)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["items"][0]["names"] == ["\\xff\n\x1b\u2028é"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain äß", "plain äß"),
        (b"caf\xc3\xa9 \xff", "café \\xff"),
        ("\x1b[2J\r\n\t\x7f\x9b", "\\x1b[2J\\x0d\\x0a\\x09\\x7f\\x9b"),
        ("\u202e\u2028\ufeff\U000e0001", "\\u202e\\u2028\\ufeff\\U000e0001"),
        ("x" * 300, "x" * 200 + "..."),
    ],
)
def test_what_is_shown_is_printable(value: str | bytes, expected: str) -> None:
    assert common.shown(value) == expected
