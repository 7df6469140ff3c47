# SPDX-License-Identifier: MIT
"""``qscan scan``: what would happen to these messages, and why.

Does: run the wrapper's own pipeline on files, in a private temporary directory.
Never does: deliver, keep, or need root. One file that cannot be read does not keep
the others from being scanned.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import tempfile
import time
from types import FrameType, TracebackType

import click

from qscan import compiler, fdio, pipeline
from qscan import settings as reader
from qscan.actions.reject import clean
from qscan.cli import FAILED, WRONG_USE, common, render
from qscan.cli.common import shown
from qscan.cli.render import Trouble
from qscan.outcomes import BY_NAME
from qscan.pipeline import Report

STANDARD_INPUT = "-"
STEP_SECONDS = 0.2
PATIENCE_SECONDS = 0.5  # what is quicker needs no progress line
ERASE = b"\x1b[K"  # from the cursor to the end of the line (ECMA-48, EL)


@click.command(
    "scan",
    short_help="Say what would happen to messages, and why.",
    epilog="Exit codes: 0 all would be delivered, 1 some would not, 2 some could not "
    "be decided (clamd is down, a file cannot be read), or wrong use.",
)
@common.settings_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option(
    "--no-clamd", is_flag=True, help="Only unpack and apply policy; clamd is not asked."
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...|-")
def command(
    settings: str | None,
    text: str | None,
    as_json: bool,
    no_clamd: bool,
    files: tuple[str, ...],
) -> int:
    """Examine messages exactly as qscan-queue would and say what would happen to
    each, and why; nothing is delivered, and nothing is kept.

    A FILE holds one message as it is sent; - is standard input.

    \b
    With --json, one object a message on a line of its own:
      file, verdict (clean|infected|policy|refused|deferred|error),
      action, exit_code, smtp_text, reason, ms by stage,
      findings [source, rule, class, item, text],
      defects [code, where, detail],
      items [path, origin, names, declared_type, detected_type,
             encoding, size, sha256, scan]
    """
    end_on_signals()
    with tempfile.TemporaryDirectory(prefix="qscan-") as work:
        try:
            loaded = load(common.choose(settings, text), work)
        except compiler.SettingsError as error:
            common.report(error)
            return WRONG_USE
        except fdio.Failure as failure:
            common.fail(shown(failure.why, 1000))
            return WRONG_USE
        return _scan_all(files, loaded, work, as_json=as_json, clamd=not no_clamd)


def end_on_signals() -> None:
    """Signals end the command in a way in which no temporary directory stays."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, _end)


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def load(chosen: common.Chosen, work: str) -> reader.Settings:
    """Settings through the very reader of the wrapper; ``work`` is a directory for
    what is not compiled. Raises ``SettingsError`` and ``Failure``."""
    path = chosen.database
    if not path:
        path = os.path.join(work, "settings.db")
        compiler.write_settings(chosen.parsed, path)
    return reader.load(path)


def _scan_all(
    files: tuple[str, ...],
    settings: reader.Settings,
    work: str,
    *,
    as_json: bool,
    clamd: bool,
) -> int:
    plain = not can_draw()
    counts: dict[str, int] = {}
    delivered = 0
    for index, name in enumerate(files):
        label = os.path.basename(name)
        if len(files) > 1:
            label = f"[{index + 1}/{len(files)}] {label}"
        report = examine(name, label, settings, work, clamd=clamd, digests=as_json)
        counts[report.verdict] = counts.get(report.verdict, 0) + 1
        delivered += report.action in ("deliver", "tag")
        if isinstance(report, Trouble):
            common.fail(f"{shown(name)}: {shown(report.reason, 400)}")
        if as_json:
            click.echo(render.as_json(name, report))
        elif not isinstance(report, Trouble):
            dialect = str(settings.values["reject.dialect"])
            text = render.as_text(
                name, report, clamd=clamd, dialect=dialect, plain=plain
            )
            click.echo(text)
    if len(files) > 1 and not as_json:
        each = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        click.echo(f"{common.plural(len(files), 'message')}: {each}")
    if any(verdict in counts for verdict in render.UNDECIDED):
        return WRONG_USE
    return 0 if delivered == len(files) else FAILED


def can_draw() -> bool:
    """Whether standard output takes line-drawing characters."""
    try:
        "".join(render.LINES).encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def examine(
    name: str,
    label: str,
    settings: reader.Settings,
    work: str,
    *,
    clamd: bool,
    digests: bool,
    look: object = None,
) -> Report | Trouble:
    """What the pipeline says about one file; ``label`` is for the progress line,
    ``look`` as in ``pipeline.examine_file``."""
    try:
        fd = _open(name)
    except OSError as error:
        return Trouble(f"cannot be read: {error.strerror}")
    except ValueError as error:
        return Trouble(str(error))
    try:
        with Progress(label, fd):
            return pipeline.examine_file(
                fd, settings, work, clamd=clamd, digests=digests, look=look
            )
    except OSError as error:
        return Trouble(f"cannot be examined: {error}", BY_NAME["write"])
    except MemoryError:
        return Trouble("out of memory", BY_NAME["memory"])
    except fdio.Failure as failure:
        return Trouble(failure.why, BY_NAME[failure.outcome])
    except Exception as error:  # noqa: BLE001 (as in the wrapper: it ends in 81)
        return Trouble(_place(error), BY_NAME["internal"])
    finally:
        if name != STANDARD_INPUT:
            os.close(fd)


def _place(error: Exception) -> str:
    trace: TracebackType | None = error.__traceback__
    where = ""
    while trace is not None:
        code = trace.tb_frame.f_code
        where = f"{os.path.basename(code.co_filename)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return clean(f"bug: {type(error).__name__}: {error} ({where})")


def _open(name: str) -> int:
    """A descriptor to read the message from. Raises OSError and ValueError."""
    if name == STANDARD_INPUT:
        os.fstat(0)
        return 0
    mode = os.stat(name).st_mode
    if stat.S_ISDIR(mode):
        raise ValueError("is a directory: name the messages in it")
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise ValueError("is neither a file nor a pipe")
    return os.open(name, os.O_RDONLY | os.O_CLOEXEC)


class Progress:
    """A line on stderr while one message takes long; only on a terminal.

    Drawn by an interval timer: a thread must not be there when the pipeline forks.
    """

    def __init__(self, label: str, fd: int) -> None:
        self._label = label
        self._fd = fd
        self._size = os.fstat(fd).st_size
        self._began = time.monotonic()
        self._wanted = sys.stderr.isatty()
        self._drawn = False

    def __enter__(self) -> None:
        if self._wanted:
            signal.signal(signal.SIGALRM, self._draw)
            signal.setitimer(signal.ITIMER_REAL, PATIENCE_SECONDS, STEP_SECONDS)

    def __exit__(self, *_: object) -> None:
        if self._wanted:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        if self._drawn:
            os.write(2, b"\r" + ERASE)

    def _draw(self, number: int, frame: FrameType | None) -> None:
        seconds = time.monotonic() - self._began
        line = f"\r{shown(self._label, 50)}: {self._state()}, {seconds:.0f} s"
        self._drawn = True
        os.write(2, line.encode("utf-8", "replace") + ERASE)

    def _state(self) -> str:
        try:
            position = os.lseek(self._fd, 0, os.SEEK_CUR)
        except OSError:
            return "reading and examining"
        if self._size and position < self._size:
            return f"reading, {100 * position // self._size} %"
        return "unpacking and scanning"
