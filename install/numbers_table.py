# SPDX-License-Identifier: MIT
"""How well nothing hides, as a table: what install/numbers.sh runs.

Does: unpack every message of the corpora (mail that nobody here wrote), of our own
generator and of clamd's test files as qscan-queue would, without clamd; compare with
what must come out, or with what an independent look at the bytes says is there.
Never does: start clamd; write outside of a temporary directory; know the name of a
message of a corpus but for what its README says of names.
Exit codes: 0 all required numbers are met, 1 some are not, 2 could not be tried.

A corpus is a directory with ``mime-is-broken/hide-content``, ``.../hide-filename``,
``tnef-hostile``, ``real-mail``, each optional; a set that is absent is shown as such.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "tests")]

import constructs  # noqa: E402 (needs the path above)
import mailcodes  # noqa: E402
from constructs import FOUND, GOOD, REFUSED, Built  # noqa: E402
from unpacking import Unpacked, unpack  # noqa: E402

from qscan import decide, defects, names, pipeline, schema, store  # noqa: E402

TEST_FILES = Path("/usr/share/clamav-testfiles")
DEFAULT_CORPUS = CHECKOUT.parent / "shared" / "corpus"
EICAR = constructs.EICAR
#: No mail: licences, oracles, notes.
NO_MAIL = (".json", ".xml", ".out", ".txt", ".bin", ".list", ".md")
#: What the child may take (the issue); an interpreter as large as ours comes on top,
#: and starting and ending it takes some CPU.
TNEF_CPU, TNEF_BYTES = 2.0, 200_000_000
CPU_SLACK = 0.5
#: A malformed message may cost so many times a well-formed one of the same size.
COST = 10.0
LARGE = 740_000  # bytes of payload: 1 MB in base64


@dataclass
class Line:
    """One line of the table. ``counts`` of statuses; ``required`` in words, ``met``
    whether that holds; ``bad`` names what did not."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    required: str = ""
    met: bool = False
    note: str = ""
    bad: list[str] = field(default_factory=list)
    absent: bool = False

    @property
    def total(self) -> int:
        """How many messages."""
        return sum(self.counts.values())

    @property
    def missed(self) -> int:
        """How many were neither found nor refused."""
        return self.total - self.counts[FOUND] - self.counts[REFUSED]

    def require(self, condition: bool, required: str) -> None:
        """Say what is required, and whether it holds."""
        self.required = required
        self.met = condition


class Bench:
    """What all measurements share: a work directory, the corpus, the options."""

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.corpus: Path = options.corpus
        self.seed: str = options.seed
        self.count: int = options.count
        self.rounds: int = options.rounds
        self.work = work
        self.again = 0
        self.raised: list[str] = []
        further = store.Store.further

        def counted(one: store.Store) -> None:
            self.again += 1
            further(one)

        store.Store.further = counted  # type: ignore[method-assign]

    def look(self, message: bytes) -> Unpacked:
        """What qscan finds in a message; nothing when it raises, which is noted."""
        try:
            return unpack(message, self.work)
        except Exception as error:  # noqa: BLE001 (that is what is measured)
            self.raised.append(f"{type(error).__name__}: {error}")
            return Unpacked(pipeline.Report(), {})

    def files(self, folder: str, pattern: str = "*") -> list[Path]:
        """The messages of a folder of the corpus."""
        return sorted(
            path
            for path in (self.corpus / folder).glob(pattern)
            if path.is_file()
            and path.suffix not in NO_MAIL
            and path.name not in ("COPYING", "LICENSE")
        )


def delivered(found: Unpacked) -> bool:
    """Whether the recipient would get the message."""
    return found.report.action in decide.DELIVERING


# mime-is-broken


def is_payload(content: bytes) -> bool:
    """A zip with the EICAR test file, without anything around it."""
    if not content.startswith(b"PK\3\4"):
        return False
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            whole = len(content) == archive.start_dir + 22 + len(archive.comment) + sum(
                46 + len(one.filename.encode()) + len(one.extra) + len(one.comment)
                for one in archive.infolist()
            )
            return whole and any(
                EICAR in archive.read(one) for one in archive.infolist()
            )
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError):
        return False


def content_lines(bench: Bench) -> Iterator[Line]:
    """hide-content: a payload behind a construct; the version is how valid it is."""
    folder = "mime-is-broken/hide-content"
    everything: dict[str, list[tuple[Path, Unpacked]]] = {}
    shown: Counter[bytes] = Counter()
    for version in ("v3", "v2", "v1", "v0"):
        everything[version] = [
            (path, bench.look(path.read_bytes()))
            for path in bench.files(folder, f"{version}-*")
        ]
        for _, found in everything[version]:
            shown.update({one for one in found.contents.values() if is_payload(one)})
    payload = shown.most_common(1)[0][0] if shown else None
    for version, results in everything.items():
        line = Line(f"hidden content, {version}", absent=not results)
        refused = 0
        for path, found in results:
            seen = payload in found.contents.values()
            refused += not delivered(found)
            status = FOUND if seen else "missed" if delivered(found) else REFUSED
            line.counts[status] += 1
            if status == "missed" or (version in ("v3", "v2") and not delivered(found)):
                line.bad.append(f"{status}: {path.name} {found.report.reason}")
        share = line.counts[FOUND] / line.total if line.total else 0.0
        if version in ("v3", "v2"):
            good = share == 1.0 and refused == 0
            line.require(good, "all accepted, exact")
        elif version == "v1":
            line.require(
                line.missed == 0 and share >= 0.9, "none missed, 90 % found exactly"
            )
        else:
            line.require(line.missed == 0, "none missed")
        yield line


def is_zip(found: Unpacked) -> bool:
    """Whether a rule on ``.zip`` would fire."""
    return any(
        form.endswith(".zip")
        for item in found.items
        for name in item.names
        for form in names.forms(name)
    )


def name_lines(bench: Bench) -> Iterator[Line]:
    """hide-filename: an attachment is called file.zip; controls end in ``.png``."""
    line = Line("hidden names")
    controls = Line("hidden names, controls")
    for path in bench.files("mime-is-broken/hide-filename"):
        found = bench.look(path.read_bytes())
        fired = is_zip(found)
        if path.stem.endswith(".png"):
            good = delivered(found) and not fired
            controls.counts[FOUND if good else "missed"] += 1
            if not good:
                controls.bad.append(f"not innocent: {path.name}")
            continue
        status = FOUND if fired else "missed" if delivered(found) else REFUSED
        line.counts[status] += 1
        if status == "missed":
            line.bad.append(f"missed: {path.name}")
    line.absent = controls.absent = not line.total
    line.require(line.missed == 0, "none missed")
    controls.require(controls.missed == 0, "all pass, no rule fires")
    yield line
    yield controls


# winmail.dat


def tnef_contents(blob: bytes) -> Iterator[bytes]:
    """What plainly lies in a TNEF blob: the data of attachment objects and of MAPI
    property 0x3701, wherever their marks stand ([MS-OXTNEF] section 2.1.3)."""
    for mark, skip in ((b"\x0f\x80\x06\x00", 0), (b"\x02\x01\x01\x37", 4)):
        at = blob.find(mark)
        while at >= 0:
            start = at + len(mark) + skip
            if start + 4 <= len(blob):
                (length,) = struct.unpack_from("<I", blob, start)
                data = blob[start + 4 : start + 4 + length]
                if 0 < length == len(data):
                    yield data
            at = blob.find(mark, at + 1)


def tnef_titles(blob: bytes) -> Iterator[str]:
    """Names of attachments by their mark."""
    at = blob.find(b"\x10\x80\x01\x00")
    while at >= 0:
        if at + 8 <= len(blob):
            (length,) = struct.unpack_from("<I", blob, at + 4)
            raw = blob[at + 8 : at + 8 + length]
            if 0 < length == len(raw):
                yield raw.split(b"\0")[0].decode("latin-1")
        at = blob.find(b"\x10\x80\x01\x00", at + 1)


def tnef_lost(blob: bytes, found: Unpacked) -> str:
    """What is plainly in the blob and was neither found nor said to be doubtful."""
    contents = [
        found.contents[item.path] for item in found.items if item.origin == "tnef"
    ]
    for data in tnef_contents(blob):
        if not any(data.rstrip(b"\0") in one for one in contents):
            return f"{len(data)} bytes {data[:20]!r}"
    known = {name for item in found.items for name in item.names}
    for title in tnef_titles(blob):
        # Other names are in a code page that the blob may not say.
        if title.isascii() and title not in known:
            return f"the name {title!r}"
    return ""


WINMAIL = (
    b"From: a@example.org\nMIME-Version: 1.0\n"
    b"Content-Type: application/ms-tnef; name=winmail.dat\n"
    b"Content-Transfer-Encoding: base64\n\n"
)


def tnef_lines(bench: Bench) -> Iterator[Line]:
    """Hostile winmail.dat files: bounded, and never complete when something is lost."""
    line = Line("hostile winmail.dat")
    worst = 0.0
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for path in bench.files("tnef-hostile"):
        blob = path.read_bytes()
        message = WINMAIL + mailcodes.b64(blob)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = bench.look(message)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        worst = max(worst, used)
        if not delivered(found):
            status = REFUSED
        else:
            lost = tnef_lost(blob, found)
            status = "missed" if lost else FOUND
            if lost:
                line.bad.append(f"delivered without {lost}: {path.name}")
        if used > TNEF_CPU + CPU_SLACK:
            line.bad.append(f"{used:.1f} s of CPU: {path.name}")
        line.counts[status] += 1
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    line.note = f"{worst:.1f} s CPU, {most // 1_000_000} MB at most"
    line.absent = not line.total
    bounded = worst <= TNEF_CPU + CPU_SLACK and most <= TNEF_BYTES + own
    line.require(not line.missed and bounded, "2 s CPU, 200 MB, nothing lost")
    yield line


def row(slot: str, name: str) -> constructs.Row:
    """A row of the table of constructs."""
    (found,) = [one for one in constructs.ROWS[slot] if one.name == name]
    return found


# real mail


def real_lines(bench: Bench) -> Iterator[Line]:
    """Mail of careful and of careless people: all of it is delivered."""
    line = Line("real mail")
    refusing = list(schema.defaults()["malformed.refuse"])  # type: ignore[arg-type]
    read_again = 0
    for path in bench.files("real-mail"):
        bench.again = 0
        found = bench.look(path.read_bytes())
        findings = defects.judge(found.report.defects, refusing)
        good = delivered(found) and not findings
        line.counts[FOUND if good else "missed"] += 1
        if not good:
            codes = [one.rule for one in findings]
            line.bad.append(f"{found.report.action}: {path.name} {codes}")
        if bench.again:
            read_again += 1
            line.note = f"{path.name}: {sorted(found.codes)}"
    share = read_again / line.total if line.total else 0.0
    line.note = f"{read_again} read more than once ({share:.1%}) {line.note}".strip()
    line.absent = not line.total
    good = line.missed == 0 and share <= 0.01
    line.require(good, "none refused, 1 % read again")
    yield line


# our own


def generator_lines(bench: Bench) -> Iterator[Line]:
    """The table of constructs: each row alone, products, products of valid rows."""
    alone = Line("constructs, each alone")
    judge_all(bench, alone, single_constructs())
    alone.require(alone.missed == 0, "none missed")
    yield alone
    mixed = Line(f"constructs, products (seed {bench.seed})")
    judge_all(bench, mixed, constructs.products(bench.seed, bench.count))
    mixed.require(mixed.missed == 0, "none missed")
    yield mixed
    valid = Line("constructs, valid products")
    for built in constructs.products(bench.seed, bench.count // 10, valid=True):
        found = bench.look(built.message)
        good = delivered(found) and constructs.judge(built, found) == FOUND
        valid.counts[FOUND if good else "missed"] += 1
        if not good:
            valid.bad.append(f"{found.report.reason or 'not exact'}: {built.label}")
    valid.require(valid.missed == 0, "all accepted, exact")
    yield valid


def single_constructs() -> Iterator[Built]:
    """Every construct in a message of its own."""
    for slot, one in constructs.singles():
        try:
            yield constructs.fitting({slot: one})
        except constructs.Unfit:
            continue


def judge_all(bench: Bench, line: Line, messages: Iterable[Built]) -> None:
    """Count what becomes of them."""
    for built in messages:
        status = constructs.judge(built, bench.look(built.message))
        line.counts[status] += 1
        if status not in GOOD:
            line.bad.append(f"{status}: {built.label}")


def clamav_lines(bench: Bench) -> Iterator[Line]:
    """clamd's own test files, sent in every way."""
    line = Line("clamav-testfiles, every encoding")
    files = sorted(TEST_FILES.iterdir()) if TEST_FILES.is_dir() else []
    for path in files:
        for built in constructs.sent(path.read_bytes()):
            status = constructs.judge(built, bench.look(built.message))
            line.counts[status] += 1
            if status not in GOOD:
                line.bad.append(f"{status}: {path.name} {built.label}")
    line.absent = not files
    line.require(line.missed == 0, "none missed")
    yield line


# cost

COSTLY = (
    ("transfer", "base64, lines of 1"),
    ("transfer", "base64 with minus signs"),
    ("transfer", "base64, padding after each byte"),
    ("transfer", "quoted-printable, stray ="),
    ("encoding", "last of two"),
    ("encoding", "after nonsense"),
    ("field", "behind a CR"),
    ("field", "after junk"),
    ("break", "none"),
    ("break", "CR CR"),
    ("structure", "parameters: last"),
    ("structure", "fields: last"),
    ("structure", "no boundary"),
    ("structure", "no type"),
    ("container", "multipart in base64"),
    ("placement", "in the preamble"),
    ("placement", "outer is inner"),
    ("placement", "unclosed"),
    ("ends", "CR"),
    ("ends", "CR CR LF"),
)


def started() -> float:
    """Seconds of CPU that the interpreter takes to start and end."""
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "pass"])
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def cost_lines(bench: Bench) -> Iterator[Line]:
    """CPU time of malformed messages of 1 MB through that of a well-formed one, each
    with what the interpreter takes to start: every message has a process."""
    line = Line("cost of 1 MB, malformed")
    payload = random.Random(bench.seed).randbytes(LARGE)
    clean = constructs.build({}, "binary", bench.seed, payload).message

    starts = [started() for _ in range(2 * bench.rounds + 1)]
    start = statistics.median(starts)

    def spent(message: bytes) -> float:
        began = time.process_time()
        bench.look(message)
        return start + time.process_time() - began

    worst, name = 0.0, ""
    for slot, wanted in COSTLY:
        plan = {slot: row(slot, wanted)}
        message = constructs.build(plan, "binary", bench.seed, payload).message
        per_byte = len(clean) / len(message)
        ratios = []
        for _ in range(bench.rounds):
            base = spent(clean)
            ratios.append(spent(message) * per_byte / base)
        ratio = statistics.median(ratios)
        line.counts[FOUND if ratio <= COST else "missed"] += 1
        if ratio > COST:
            line.bad.append(f"{ratio:.1f} times: {slot}: {wanted}")
        if ratio > worst:
            worst, name = ratio, wanted
    line.note = f"{worst:.1f} times at most ({name})"
    line.require(line.missed == 0, f"{COST:.0f} times a clean one")
    yield line


# the table


SETS: dict[str, Callable[[Bench], Iterable[Line]]] = {
    "content": content_lines,
    "names": name_lines,
    "tnef": tnef_lines,
    "real": real_lines,
    "constructs": generator_lines,
    "clamav": clamav_lines,
    "cost": cost_lines,
}


HEAD = ("set", "messages", "found", "refused", "missed", "required", "")


def shown(line: Line) -> tuple[str, ...]:
    """A line in words."""
    if line.absent:
        return line.name, "-", "-", "-", "-", "absent", "-"
    numbers = (line.total, line.counts[FOUND], line.counts[REFUSED], line.missed)
    verdict = "PASS" if line.met else "FAIL"
    return (line.name, *map(str, numbers), line.required, verdict)


def written(cells: tuple[str, ...]) -> str:
    """The line as text, in columns."""
    widths = (40, 8, 8, 8, 8)
    out = [cells[0].ljust(widths[0])]
    out += [
        cell.rjust(width) for cell, width in zip(cells[1:5], widths[1:], strict=True)
    ]
    return "  ".join((*out, cells[5].ljust(32), cells[6])).rstrip()


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="numbers.sh", description="How well nothing hides, as a table."
    )
    parser.add_argument(
        "corpus",
        nargs="?",
        type=Path,
        default=Path(os.environ.get("QSCAN_CORPUS") or DEFAULT_CORPUS),
        help="a directory laid out as the README says (default: %(default)s)",
    )
    parser.add_argument("--seed", default="qscan", help="of the generator")
    parser.add_argument("--count", type=int, default=5000, help="products of it")
    parser.add_argument("--rounds", type=int, default=3, help="of the cost")
    parser.add_argument(
        "--sets",
        type=lambda text: text.split(","),
        default=list(SETS),
        help=f"some of {','.join(SETS)} (default: all)",
    )
    options = parser.parse_args()
    if not set(options.sets) <= set(SETS):
        parser.error(f"--sets are some of {','.join(SETS)}")
    if options.count < 10 or options.rounds < 1:
        parser.error("--count is at least 10, --rounds at least 1")
    return options


def main() -> int:
    """Print the table; the exit code."""
    options = arguments()
    if not options.corpus.is_dir():
        print(f"numbers: no corpus at {options.corpus}: its sets are left out")
    print(f"corpus {options.corpus}, seed {options.seed}, {options.count} products\n")
    print(written(HEAD), flush=True)
    failed = False
    with tempfile.TemporaryDirectory(prefix="qscan-numbers-") as work:
        bench = Bench(options, Path(work))
        for name in options.sets:
            for line in SETS[name](bench):
                print(written(shown(line)), flush=True)
                if line.note:
                    print(f"    {line.note}")
                for text in line.bad[:10]:
                    print(f"    {text}")
                if len(line.bad) > 10:
                    print(f"    ... and {len(line.bad) - 10} more")
                failed = failed or not (line.met or line.absent)
    for text in sorted(set(bench.raised)):
        print(f"\nraised: {text}")
        failed = True
    print("\nPASS" if not failed else "\nFAIL")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
