# SPDX-License-Identifier: MIT
"""What a message costs, beside what the alternatives cost in the same run.

    .venv/bin/python bench/run.py [--rows NAME,...] [--rounds N] [--json] [--unseen]

Rows: ``plain-2k attach-100k attach-5m attach-20m memory throughput``. Columns, all
started by the same small C program (drivers/drive.c), all with the same private clamd
and the same null queue:

qscan        the real launcher: message on fd 0, envelope on fd 1, exec of the queue
interpreter  the launcher's own interpreter, ``-I -S -c pass``: start and leave
clamdscan    ``clamdscan --fdpass`` on the message file
perl         drivers/qs_perl.pl, the least that a qmail-scanner does

Rounds are interleaved, one run of each column at a time, in changing order. Numbers
are medians; a ratio is the median of qscan through the median of the other. clamd has
seen each message before and answers from its cache of clean files, for all columns;
``--unseen`` changes a number in text and attachment before every run, so that clamd
does all its work each time (and is most of the time of a large message).
Never does: judge. The README holds the table and the machine.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
DRIVERS = CHECKOUT / "bench" / "drivers"
sys.path.append(str(CHECKOUT / "install"))

from private_clamd import (  # noqa: E402 (needs the path above)
    ClamdTrouble,
    PrivateClamd,
    eicar,
    end_on_signals,
)

# 100 MB have to be looked at whole.
SIZES = {
    "MaxFileSize": "1000M",
    "MaxScanSize": "2000M",
    "StreamMaxLength": "1000M",
    "MaxScanTime": "600000",
}
ENVELOPE = b"Fann@example.org\0Tbob@example.com\0\0"
ROUNDS = {
    "plain-2k": 60,
    "attach-100k": 60,
    "attach-5m": 15,
    "attach-20m": 9,
    "memory": 3,
    "throughput": 5,
}
OTHERS = ("interpreter", "clamdscan", "perl")
COLUMNS = ("qscan", *OTHERS)

SMALL_MEMORY = 40_000_000  # what softlimit -m must be enough for
MEMORY_STEP = 500_000
BATCH = 48  # messages of one measurement of throughput
JOBS = 4

REFUSED = 31
# A multiple of base64's lines of 57 bytes: this much of an attachment is rewritten.
STAMP_BYTES = 57 * 3


class Trouble(Exception):
    """The bench cannot go on: a text for people."""


# --- messages -------------------------------------------------------------------


def mp4(size: int, stamp: int) -> Iterator[bytes]:
    """A file of ``size`` bytes that begins as a film does (ISO 14496-12 boxes); first
    STAMP_BYTES with ``stamp`` in them, then noise that never changes."""
    head = struct.pack(">I4s4sI8s", 24, b"ftyp", b"isom", 512, b"isommp42")
    note = b"number %016d" % stamp
    free = STAMP_BYTES - len(head) - 16
    head += struct.pack(">I4s", 8 + free, b"free") + note.ljust(free, b".")
    yield head + struct.pack(">I4s", 8 + size - STAMP_BYTES, b"mdat")
    noise = random.Random(size)
    left = size - STAMP_BYTES
    while left > 0:
        take = min(left, 57 * 16384)
        yield noise.randbytes(take)
        left -= take


def pdf(size: int, stamp: int) -> Iterator[bytes]:
    """A one-page PDF of about ``size`` bytes around a picture of compressed noise."""
    head = b"%%PDF-1.4\n%% number %016d\n" % stamp
    head = head.ljust(STAMP_BYTES - 1, b"%") + b"\n"
    yield head
    picture = zlib.compress(random.Random(size).randbytes(size - 700), 1)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R >>",
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream"
        % (len(picture), picture),
    ]
    out = b""
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(head) + len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    place = len(head) + len(out)
    yield out + b"xref\n0 5\n0000000000 65535 f \n" + table
    yield b"trailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % place


def base64_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """RFC 2045 lines of 76 characters."""
    rest = b""
    for piece in pieces:
        rest += piece
        whole = len(rest) - len(rest) % 57
        yield encode(rest[:whole])
        rest = rest[whole:]
    yield encode(rest)


def encode(data: bytes) -> bytes:
    """base64 in lines of 76, each with its newline."""
    return b"".join(
        base64.b64encode(data[at : at + 57]) + b"\n" for at in range(0, len(data), 57)
    )


HEADERS = (
    b"Received: from mail.example.org (192.0.2.7) by mx.example.com with SMTP; "
    b"21 Nov 2026 09:00:00 -0000\n"
    b"From: Ann <ann@example.org>\nTo: Bob <bob@example.com>\n"
    b"Date: Sat, 21 Nov 2026 09:00:00 +0000\nMessage-ID: <%s@example.org>\n"
    b"Subject: The papers\nMIME-Version: 1.0\n"
)
NUMBER = b"number %016d\n"


@dataclass
class Message:
    """A message file and where the number in it is: ``places`` are (offset, maker)."""

    file: Path
    places: list[tuple[int, Callable[[int], bytes]]] = field(default_factory=list)

    def renew(self, stamp: int) -> None:
        """Make it a message that nobody has seen."""
        fd = os.open(self.file, os.O_WRONLY)
        try:
            for offset, make in self.places:
                os.pwrite(fd, make(stamp), offset)
        finally:
            os.close(fd)


def plain(file: Path, size: int) -> Message:
    """Plain text of ``size`` bytes."""
    head = HEADERS % b"plain" + b"Content-Type: text/plain; charset=utf-8\n\n"
    words = b"The papers are on the table in the room beside the stairs. "
    body = b""
    while len(head) + len(body) + len(words) + 25 < size:
        body += words + b"\n"
    file.write_bytes(head + NUMBER % 0 + body)
    return Message(file, [(len(head), lambda stamp: NUMBER % stamp)])


def attached(
    file: Path,
    size: int,
    name: bytes,
    media_type: bytes,
    content: Callable[[int, int], Iterator[bytes]],
    virus: bool = False,
) -> Message:
    """A letter of ``size`` bytes with one attachment, and EICAR last on request."""
    head = HEADERS % name + b'Content-Type: multipart/mixed; boundary="=_bench"\n\n'
    text = b"--=_bench\nContent-Type: text/plain; charset=utf-8\n\n"
    part = (
        b'--=_bench\nContent-Type: %s; name="%s"\n'
        b"Content-Transfer-Encoding: base64\n"
        b'Content-Disposition: attachment; filename="%s"\n\n'
    ) % (media_type, name, name)
    places: list[tuple[int, Callable[[int], bytes]]] = []
    with file.open("wb") as out:
        out.write(head + text)
        places.append((out.tell(), lambda stamp: NUMBER % stamp))
        out.write(NUMBER % 0 + b"See the attachment.\n\n" + part)
        room = (size - out.tell()) * 57 // 77
        first = encode(next(content(room, 0))[:STAMP_BYTES])
        places.append(
            (out.tell(), lambda stamp: encode(next(content(room, stamp))[:STAMP_BYTES]))
        )
        for lines in base64_lines(content(room, 0)):
            out.write(lines)
        if virus:
            out.write(
                b"--=_bench\nContent-Type: application/octet-stream\n"
                b"Content-Transfer-Encoding: base64\n\n" + encode(eicar())
            )
        out.write(b"--=_bench--\n")
    with file.open("rb") as check:
        check.seek(places[1][0])
        if check.read(len(first)) != first:
            raise Trouble(f"{file.name}: the number is not where it must be")
    return Message(file, places)


# --- running --------------------------------------------------------------------


@dataclass
class Run:
    """One run of one column: seconds, peak kB, exit code."""

    seconds: float
    rss_kb: int
    code: int


class Bench:
    """Everything that is compared, below ``directory``."""

    def __init__(self, directory: Path, clamd: PrivateClamd, unseen: bool) -> None:
        self.directory = directory
        self.unseen = unseen
        self.stamp = 0
        self.errors = directory / "errors"
        self.envelope = directory / "envelope"
        self.envelope.write_bytes(ENVELOPE)
        for name in ("drive", "null_queue"):
            self._compile(name)
        spool = directory / "spool"
        perl_spool = directory / "perl"
        for made in (spool, spool / "work", spool / "quarantine", perl_spool):
            made.mkdir(mode=0o700)
        queue = str(directory / "null_queue")
        self.launcher = directory / "qscan-queue"
        self._install(queue, spool, clamd)
        perl = ["/usr/bin/perl", str(DRIVERS / "qs_perl.pl"), str(perl_spool)]
        self.interpreter = interpreter_of(self.launcher)
        conf = f"--config-file={clamd.conf}"
        feed = ["-e", str(self.envelope)]
        # drive's own options, then the program.
        self.commands = {
            "qscan": [*feed, str(self.launcher)],
            "interpreter": [self.interpreter, "-I", "-S", "-c", "pass"],
            "clamdscan": ["/usr/bin/clamdscan", conf, "--fdpass", "--no-summary", "{}"],
            "perl": [*feed, *perl, str(clamd.conf), queue],
        }

    def _compile(self, name: str) -> None:
        command = ["gcc", "-O2", "-o", str(self.directory / name)]
        command.append(str(DRIVERS / f"{name}.c"))
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Trouble(f"{' '.join(command)}:\n{done.stderr}")

    def _install(self, queue: str, spool: Path, clamd: PrivateClamd) -> None:
        text = self.directory / "qscan.toml"
        text.write_text(
            f"qmail_queue = {json.dumps(queue)}\n"
            f"spool_dir = {json.dumps(str(spool))}\n"
            f"clamd.address = {json.dumps(f'unix:{clamd.socket}')}\n"
            "clamd.retry_seconds = 0\n"
        )
        settings = str(self.directory / "settings.db")
        for arguments in (
            ["qscan.cli", "compile", "--text", str(text), "--output", settings],
            ["qscan.launcher", "--output", str(self.launcher), "--settings", settings],
        ):
            command = [sys.executable, "-m", *arguments]
            done = subprocess.run(
                command, cwd=CHECKOUT, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise Trouble(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")

    def drive(
        self, command: Sequence[str], files: Sequence[Path], jobs: int = 1
    ) -> tuple[list[Run], float]:
        """Run ``command`` once for each file; the runs and all seconds together."""
        with self.errors.open("ab") as errors:
            done = subprocess.run(
                [str(self.directory / "drive"), "-j", str(jobs), *command],
                input="".join(f"{file}\n" for file in files).encode(),
                stdout=subprocess.PIPE,
                stderr=errors,
                env={"PATH": "/usr/bin:/bin", "TCPREMOTEIP": "192.0.2.7"},
                cwd="/",
                check=False,
            )
        lines = [line.split() for line in done.stdout.decode().splitlines()]
        if done.returncode or len(lines) != len(files) + 1:
            raise Trouble(f"drive failed: {self.last_errors()}")
        total = int(lines.pop()[1]) / 1e9
        runs = [Run(int(ns) / 1e9, int(kb), int(code)) for ns, kb, code in lines]
        return runs, total

    def last_errors(self) -> str:
        """The end of what all programs said on descriptor 2."""
        return self.errors.read_text(errors="replace")[-2000:]

    def fresh(self, *messages: Message) -> list[Path]:
        """The files; with ``unseen`` each has a new number."""
        if self.unseen:
            for message in messages:
                self.stamp += 1
                message.renew(self.stamp)
        return [message.file for message in messages]

    def once(self, column: str, message: Message, expect: int = 0) -> Run:
        """One run."""
        runs, _ = self.drive(self.commands[column], self.fresh(message))
        if runs[0].code != expect:
            raise Trouble(f"{column} ended with {runs[0].code}:\n{self.last_errors()}")
        return runs[0]

    def rounds(self, message: Message, count: int) -> dict[str, list[Run]]:
        """``count`` interleaved rounds after one that does not count."""
        found: dict[str, list[Run]] = {column: [] for column in COLUMNS}
        for number in range(-1, count):
            for place in range(len(COLUMNS)):
                column = COLUMNS[(number + place) % len(COLUMNS)]
                run = self.once(column, message)
                if number >= 0:
                    found[column].append(run)
        return found

    def limited(self, message: Message, limit: int) -> int:
        """The exit code below ``softlimit -m``."""
        feed = ["-e", str(self.envelope)]
        limited = ["/usr/bin/softlimit", "-m", str(limit), str(self.launcher)]
        runs, _ = self.drive([*feed, *limited], self.fresh(message))
        return runs[0].code


def interpreter_of(launcher: Path) -> str:
    """The program that the first line of the launcher names."""
    with launcher.open("rb") as file:
        first = file.readline().decode().strip()
    if not first.startswith("#!"):
        raise Trouble(f"{launcher} does not begin with #!")
    return first[2:].split()[0]


# --- rows -----------------------------------------------------------------------


def median_ms(runs: Sequence[Run]) -> float:
    """Milliseconds."""
    return 1000 * statistics.median(run.seconds for run in runs)


def row_of(name: str, found: dict[str, list[Run]]) -> dict[str, object]:
    """One row of the JSON form; ``columns_ms`` has the medians of all columns."""
    medians = {column: median_ms(runs) for column, runs in found.items()}
    return {
        "name": name,
        "ms": round(medians["qscan"], 3),
        "rss_kb": max(run.rss_kb for run in found["qscan"]),
        "ratio": {o: round(medians["qscan"] / medians[o], 3) for o in OTHERS},
        "columns_ms": {c: round(ms, 3) for c, ms in medians.items()},
    }


def message_row(
    name: str, make: Callable[[Path], Message]
) -> Callable[[Bench, int], dict[str, object]]:
    """A row that is one message in all columns."""

    def measure(bench: Bench, rounds: int) -> dict[str, object]:
        message = make(bench.directory / name)
        row = row_of(name, bench.rounds(message, rounds))
        row["bytes"] = message.file.stat().st_size
        message.file.unlink()
        return row

    return measure


def make_plain(file: Path) -> Message:
    """plain-2k."""
    return plain(file, 2000)


def make_pdf(file: Path) -> Message:
    """attach-100k."""
    return attached(file, 100_000, b"minutes.pdf", b"application/pdf", pdf)


def make_film(size: int, virus: bool = False) -> Callable[[Path], Message]:
    """Large attachments."""
    return lambda file: attached(file, size, b"talk.mp4", b"video/mp4", mp4, virus)


def memory(bench: Bench, rounds: int) -> dict[str, object]:
    """100 MB against 2 kB, and how little ``softlimit -m`` may leave."""
    large = make_film(100_000_000)(bench.directory / "large")
    infected = make_film(100_000_000, virus=True)(bench.directory / "infected")
    small = make_plain(bench.directory / "small")
    row = row_of("memory", bench.rounds(large, rounds))
    small_kb = max(bench.once("qscan", small).rss_kb for _ in range(rounds))
    detail: dict[str, object] = {
        "rss_small_kb": small_kb,
        "rss_growth_kb": int(str(row["rss_kb"])) - small_kb,
        "softlimit": SMALL_MEMORY,
        "softlimit_clean_exit": bench.limited(large, SMALL_MEMORY),
        "softlimit_infected_exit": bench.limited(infected, SMALL_MEMORY),
    }
    detail["softlimit_smallest"] = smallest(
        lambda limit: (
            bench.limited(small, limit) == 0
            and bench.limited(large, limit) == 0
            and bench.limited(infected, limit) == REFUSED
        )
    )
    row["detail"] = detail
    for message in (large, infected, small):
        message.file.unlink()
    return row


def smallest(works: Callable[[int], bool]) -> int | None:
    """The smallest limit that works, to MEMORY_STEP bytes; None: SMALL_MEMORY fails."""
    good = SMALL_MEMORY // MEMORY_STEP
    if not works(good * MEMORY_STEP):
        return None
    bad = 0
    while good - bad > 1:
        middle = (good + bad) // 2
        if works(middle * MEMORY_STEP):
            good = middle
        else:
            bad = middle
    return good * MEMORY_STEP


def throughput(bench: Bench, rounds: int) -> dict[str, object]:
    """Messages of 2 kB and 100 kB, three to one: four at a time, one at a time.

    ``ms`` is the time of the batch through its number, four at a time.
    """
    messages = []
    for number in range(BATCH):
        file = bench.directory / f"batch.{number}"
        messages.append(make_pdf(file) if number % 4 == 3 else make_plain(file))
    found: dict[str, list[Run]] = {column: [] for column in COLUMNS}
    single = []
    for number in range(-1, rounds):
        for column in COLUMNS:
            command = bench.commands[column]
            runs, total = bench.drive(command, bench.fresh(*messages), JOBS)
            if any(run.code for run in runs):
                raise Trouble(f"{column} failed:\n{bench.last_errors()}")
            if number >= 0:
                peak = max(run.rss_kb for run in runs)
                found[column].append(Run(total / BATCH, peak, 0))
        _, total = bench.drive(bench.commands["qscan"], bench.fresh(*messages))
        if number >= 0:
            single.append(Run(total / BATCH, 0, 0))
    row = row_of("throughput", found)
    one = 1000 / median_ms(single)
    four = 1000 / median_ms(found["qscan"])
    row["detail"] = {
        "one_at_a_time_per_second": round(one, 1),
        "four_at_a_time_per_second": round(four, 1),
        "gain": round(four / one, 2),
    }
    for message in messages:
        message.file.unlink()
    return row


ROWS: dict[str, Callable[[Bench, int], dict[str, object]]] = {
    "plain-2k": message_row("plain-2k", make_plain),
    "attach-100k": message_row("attach-100k", make_pdf),
    "attach-5m": message_row("attach-5m", make_film(5_000_000)),
    "attach-20m": message_row("attach-20m", make_film(20_000_000)),
    "memory": memory,
    "throughput": throughput,
}


# --- printing -------------------------------------------------------------------


def machine(bench: Bench, clamd: PrivateClamd) -> str:
    """What the numbers were taken on."""
    model = platform.processor() or platform.machine()
    with Path("/proc/cpuinfo").open() as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    version = subprocess.run(
        [bench.interpreter, "-V"], capture_output=True, text=True, check=True
    )
    return (
        f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"{version.stdout.strip()} ({bench.interpreter}), {clamd.version()}"
    )


def print_table(rows: Sequence[dict[str, object]]) -> None:
    """The rows for people, as a Markdown table."""
    print(
        "| row | qscan ms | peak kB | interpreter ms | clamdscan ms | perl ms "
        "| x interpreter | x clamdscan | x perl |"
    )
    print("|---|" + "--:|" * 8)
    for row in rows:
        ms = row["columns_ms"]
        ratio = row["ratio"]
        assert isinstance(ms, dict)
        assert isinstance(ratio, dict)
        cells = [f"{row['ms']:.1f}", str(row["rss_kb"])]
        cells += [f"{ms[other]:.1f}" for other in OTHERS]
        cells += [f"{ratio[other]:.2f}" for other in OTHERS]
        print(f"| {row['name']} | " + " | ".join(cells) + " |")
    print()
    by_name = {str(row["name"]): row for row in rows}
    if {"attach-5m", "attach-20m"} <= set(by_name):
        per = [
            float(str(by_name[name]["ms"])) / int(str(by_name[name]["bytes"])) * 1e6
            for name in ("attach-5m", "attach-20m")
        ]
        print(f"Per MB: {per[0]:.2f} ms at 5 MB, {per[1]:.2f} ms at 20 MB.")
    if "memory" in by_name:
        d = by_name["memory"]["detail"]
        assert isinstance(d, dict)
        words = {0: "delivered", REFUSED: "refused"}
        clean, bad = d["softlimit_clean_exit"], d["softlimit_infected_exit"]
        print(
            f"Peak memory: {d['rss_small_kb']} kB for 2 kB, {d['rss_growth_kb']:+d} kB "
            f"for 100 MB. softlimit -m {SMALL_MEMORY}: 100 MB clean "
            f"{words.get(clean, f'exit {clean}')}, 100 MB infected "
            f"{words.get(bad, f'exit {bad}')}; smallest that works: "
            f"{d['softlimit_smallest']}."
        )
    if "throughput" in by_name:
        d = by_name["throughput"]["detail"]
        assert isinstance(d, dict)
        print(
            f"Throughput: {d['one_at_a_time_per_second']} messages/s one at a time, "
            f"{d['four_at_a_time_per_second']} four at a time."
        )


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", help="names, separated by commas (default: all)")
    parser.add_argument("--rounds", type=int, help="rounds of each row")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--unseen", action="store_true", help="messages that clamd has never seen"
    )
    options = parser.parse_args(arguments)
    options.names = options.rows.split(",") if options.rows else list(ROWS)
    for name in options.names:
        if name not in ROWS:
            parser.error(f"no row {name}; there are: {', '.join(ROWS)}")
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 0 = measured, 2 = could not be measured."""
    options = parse(arguments)
    end_on_signals()
    directory = Path(tempfile.mkdtemp(prefix="qscan-bench.", dir="/tmp"))
    try:
        with PrivateClamd(directory, SIZES) as clamd:
            bench = Bench(directory, clamd, options.unseen)
            rows = []
            for name in options.names:
                rounds = options.rounds or ROUNDS[name]
                print(f"bench: {name}, {rounds} rounds", file=sys.stderr, flush=True)
                rows.append(ROWS[name](bench, rounds))
            described = machine(bench, clamd)
            if options.unseen:
                described += "; messages that clamd has never seen"
    except (ClamdTrouble, Trouble) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if options.json:
        print(json.dumps({"rows": rows, "machine": described}, indent=1))
    else:
        print(f"{described}\n")
        print_table(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
