# SPDX-License-Identifier: MIT
"""The main job on real mail, as a table: what install/demo.sh runs.

Does: a private clamd under supervise, a qscan.toml of its own, the real launcher;
each message goes through its descriptors as qmail-smtpd would send it (notqmail's
dialect, so that the reject text shows), clean mail into a strict stand-in for
qmail-queue that keeps it for comparing.
Never does: need qmail, touch the machine's clamd or mail, leave anything running.
Exit codes: 0 all came out as they must, 1 some did not, 2 could not be tried.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.append(str(CHECKOUT / "tests"))

import demo_messages  # noqa: E402 (needs the path above)
import notqmail  # noqa: E402
from harness import QueueStandIn  # noqa: E402
from private_clamd import ClamdTrouble, PrivateClamd, end_on_signals  # noqa: E402

SENDER = b"ann@example.org"
RECIPIENTS = (b"bob@example.com", b"eve@example.com")
# How long the wrapper of the demo waits for a clamd that is gone.
RETRY_SECONDS = 1
# A message of some GB over a slow disk, no longer.
PATIENCE_SECONDS = 900.0

DELIVERED = 0
CUSTOM_TEXT = 82

COLUMNS = (
    ("message", 23),
    ("verdict", 8),
    ("finding", 31),
    ("exit", 4),
    ("the SMTP client is told", 34),
    ("ms", 5),
)


class Trouble(Exception):
    """The demo cannot go on: a text for people."""


@dataclass
class Row:
    """One line of the table and what was wrong with it ("" = as it must be)."""

    message: str
    verdict: str
    finding: str
    exit_code: str
    reply: str
    milliseconds: int
    wrong: str = ""

    def cells(self) -> tuple[str, ...]:
        """The texts of ``COLUMNS``."""
        return (
            self.message,
            self.verdict,
            self.finding,
            self.exit_code,
            self.reply,
            str(self.milliseconds),
        )


@dataclass
class Expected:
    """How a message must end: ``exit_code``, ``words`` that the client reads."""

    exit_code: int
    words: str


CLEAN = Expected(DELIVERED, "250 ok")
INFECTED = Expected(CUSTOM_TEXT, "554 .*Eicar-Test-Signature")
LATER = Expected(CUSTOM_TEXT, "451 ")


def say(text: str) -> None:
    """One line about what is being done."""
    print(f"demo: {text}", flush=True)


def run(*arguments: str) -> None:
    """One of qscan's own commands, run as a person would."""
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(
        command, cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Trouble(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


class Demo:
    """qscan below ``directory``, in front of ``clamd``."""

    def __init__(self, directory: Path, clamd: PrivateClamd) -> None:
        self.program = directory / "qscan-queue"
        self.spool = directory / "spool"
        self.log: list[str] = []
        self.spool.mkdir(mode=0o700)
        for name in ("work", "quarantine"):
            (self.spool / name).mkdir(mode=0o700)
        self.queue = QueueStandIn(directory / "qmail-queue")
        self.queue.behave(allow=notqmail.reject_descriptor("notqmail", {}))
        text = directory / "qscan.toml"
        text.write_text(
            f"qmail_queue = {json.dumps(str(self.queue.path))}\n"
            f"spool_dir = {json.dumps(str(self.spool))}\n"
            f"clamd.address = {json.dumps(f'unix:{clamd.socket}')}\n"
            f"clamd.retry_seconds = {RETRY_SECONDS}\n"
            'reject.dialect = "notqmail"\n'
            'log.target = "stderr"\n'
        )
        settings = str(directory / "settings.db")
        run("qscan.cli", "compile", "--text", str(text), "--output", settings)
        run("qscan.launcher", "--output", str(self.program), "--settings", settings)

    def send(self, name: str, message: bytes, expected: Expected | None) -> Row:
        """Pipe one message through the wrapper; ``expected`` None: anything that
        was decided is fine."""
        self.queue.forget()
        environment = {
            "PATH": "/usr/bin:/bin",
            "TCPREMOTEIP": "192.0.2.7",
            "TCPREMOTEHOST": "mail.example.org",
            "TCPLOCALHOST": "mx.example.com",
        }
        start = time.perf_counter()
        result = notqmail.call(
            self.program,
            message,
            SENDER,
            RECIPIENTS,
            env=environment,
            timeout=PATIENCE_SECONDS,
        )
        spent = round(1000 * (time.perf_counter() - start))
        line = result.stderr.decode(errors="replace").strip()
        self.log.append(line)
        code = result.exit_code
        verdict, finding = facts(line, result)
        return Row(
            name,
            verdict,
            finding,
            str(code) if code is not None else f"signal {result.signal}",
            result.smtp,
            spent,
            self._wrong(result, message, expected),
        )

    def _wrong(
        self, result: notqmail.Result, message: bytes, expected: Expected | None
    ) -> str:
        """What is not as it must be, or ""."""
        if expected is None:
            if not result.queued and not result.reply.startswith("D"):
                return "could not be decided"
        elif result.exit_code != expected.exit_code:
            return f"exit code must be {expected.exit_code}"
        elif not re.match(expected.words, result.smtp):
            return f"the client must be told {expected.words}"
        if left := list((self.spool / "work").iterdir()):
            return f"left behind in the spool: {left[0].name}"
        if faults := self.queue.lines("faults"):
            return f"protocol of qmail-queue: {faults[0]}"
        deliveries = self.queue.deliveries()
        if not result.queued:
            return "it reached the queue all the same" if deliveries else ""
        if len(deliveries) != 1:
            return f"it reached the queue {len(deliveries)} times"
        if deliveries[0].envelope != notqmail.envelope(SENDER, RECIPIENTS):
            return "the envelope was changed"
        return difference(message, deliveries[0].message)


def difference(sent: bytes, delivered: bytes) -> str:
    """ "" when ``delivered`` is header lines of ours and then exactly ``sent``."""
    if not delivered.endswith(sent):
        return "the message was changed"
    ours = delivered[: len(delivered) - len(sent)]
    if not re.fullmatch(rb"((X-Qscan|X-Virus-\w+):[^\n]*\n([ \t][^\n]*\n)*)*", ours):
        return "something besides our own header was put on top"
    return ""


def facts(line: str, result: notqmail.Result) -> tuple[str, str]:
    """Verdict and finding, from the log line of the wrapper (qscan/log.py)."""
    words = {
        name: value.strip('"')
        for name, value in re.findall(r'(\w+)=("[^"]*"|\S*)', line)
    }
    verdict = words.get("verdict", "delivered" if result.queued else "no log line")
    findings: dict[str, list[str]] = {}
    for entry in words.get("findings", "").split(","):
        rule, at, item = entry.partition(":")[2].partition("@")
        if at:
            findings.setdefault(rule, []).append(item or "0")
    text = "; ".join(
        f"{rule} in {', '.join(items)}" for rule, items in findings.items()
    )
    return verdict, text or words.get("why", "-")


def table(rows: Sequence[Row]) -> str:
    """The rows as text, aligned, long cells wrapped, mistakes below their row."""
    lines = []
    ruler = "  ".join("-" * width for _, width in COLUMNS)
    lines += ["  ".join(f"{name:<{width}}" for name, width in COLUMNS).rstrip(), ruler]
    for row in rows:
        cells = [
            textwrap.wrap(text, width, break_on_hyphens=False) or [""]
            for text, (_, width) in zip(row.cells(), COLUMNS, strict=True)
        ]
        for number in range(max(map(len, cells))):
            parts = []
            for cell, (name, width) in zip(cells, COLUMNS, strict=True):
                part = cell[number] if number < len(cell) else ""
                align = ">" if name in ("exit", "ms") else "<"
                parts.append(f"{part:{align}{width}}")
            lines.append("  ".join(parts).rstrip())
        if row.wrong:
            lines.append(f"  ^^^ WRONG: {row.wrong}")
    lines.append(ruler)
    return "\n".join(lines)


def tour(demo: Demo, clamd: PrivateClamd) -> list[Row]:
    """The messages of the demo, the last ones while clamd is stopped and back."""
    plan: list[tuple[str, Callable[[], bytes], Expected]] = [
        ("clean text", demo_messages.clean_text, CLEAN),
        ("clean, with attachments", demo_messages.clean_attachments, CLEAN),
        ("EICAR in base64", demo_messages.infected_base64, INFECTED),
        ("EICAR in zip in winmail.dat", demo_messages.infected_winmail, INFECTED),
        ("forwarded infected message", demo_messages.infected_forward, INFECTED),
    ]
    rows = [demo.send(name, make(), expected) for name, make, expected in plan]
    say("stopping clamd (svc -d): mail must wait at the sender, not pass")
    clamd.down()
    rows.append(
        demo.send("clean text, clamd stopped", demo_messages.clean_text(), LATER)
    )
    say("starting clamd again (svc -u)")
    clamd.up()
    rows.append(demo.send("the same, clamd is back", demo_messages.clean_text(), CLEAN))
    return rows


def given(demo: Demo, files: Sequence[Path]) -> list[Row]:
    """The messages that the caller named."""
    rows = []
    for file in files:
        rows.append(demo.send(file.name, file.read_bytes(), None))
    return rows


def main(arguments: Sequence[str]) -> int:
    """Run the demo; returns the exit code."""
    end_on_signals()
    files = [Path(name).absolute() for name in arguments]
    for file in files:
        try:
            file.open("rb").close()
        except OSError as error:
            print(f"demo: {file}: {error.strerror}", file=sys.stderr)
            return 2
    # Not $TMPDIR: socket names are short, and clamd's user must get there.
    directory = Path(tempfile.mkdtemp(prefix="qscan-demo.", dir="/tmp"))
    try:
        say(f"starting a private clamd under supervise in {directory}")
        with PrivateClamd(directory) as clamd:
            say(f"{clamd.version()} answers, {clamd.signatures} signatures of our own")
            say("writing settings and the launcher qscan-queue")
            demo = Demo(directory, clamd)
            # The first start of a program reads its files from the disk.
            demo.send("warm-up", demo_messages.clean_text(), None)
            say("piping messages through qscan-queue as qmail-smtpd does")
            rows = given(demo, files) if files else tour(demo, clamd)
            print(f"\n{table(rows)}\n", flush=True)
            say("stopping clamd")
    except (ClamdTrouble, Trouble) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("demo: stopped, nothing is left running", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    delivered = sum(row.exit_code == str(DELIVERED) for row in rows)
    wrong = [row for row in rows if row.wrong]
    if wrong:
        say(f"{len(wrong)} of {len(rows)} did not come out as they must. The log:")
        for line in demo.log:
            print(f"  {line}")
        return 1
    word = "were decided" if files else "came out as they must"
    say(
        f"all {len(rows)} {word}; {delivered} reached the queue, byte for byte as sent "
        "below our header (ms: from start to exit, with the stand-in for qmail-queue)"
    )
    return 0


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main(sys.argv[1:]))
