# SPDX-License-Identifier: MIT
"""The QMAILQUEUE process: one straight line from descriptors 0 and 1 to qmail-queue.

Does: spool the message and the envelope, have them examined, carry out the decision,
end with a row of the status table. Never does: lose a message (until exec the sender
has no answer), pass one because something failed, print anything but its one log line.
Every ending that is not planned is 81 with file and line in the log; a signal or the
deadline ends in a temporary code; memory is 51.
"""

import posix
import sys
import time

from qscan import __version__, fdio, log, pipeline, spool
from qscan import envelope as grammar
from qscan import settings as reader
from qscan.fdio import Failure, Stop
from qscan.model import Envelope
from qscan.outcomes import BY_NAME, Outcome
from qscan.pipeline import Report, number
from qscan.settings import Value

RECEIVE_SECONDS = 3600  # until the settings are known
PIPE_BYTES = 1048576  # a larger pipe saves context switches with large messages


class Run:
    """The state of this process, for the log line and the clean-up."""

    __slots__ = (
        "drained",
        "envelope",
        "error_fd",
        "fields",
        "ms",
        "pipes",
        "signals",
        "size",
        "started",
        "umask",
        "unpacked",
        "values",
        "work",
    )

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.signals = fdio.Signals()
        # Now, before anything of ours is opened, is the only time to ask.
        self.error_fd = _number(posix.environ.get(b"ERROR_FD", b"2"))
        self.pipes = [
            fd for fd in {2, 4, 6, self.error_fd} if fdio.is_writable_pipe(fd)
        ]
        self.umask = posix.umask(0o077)
        self.unpacked = False
        self.values: dict[str, Value] = {}
        self.work: spool.Work | None = None
        self.size = -1
        self.envelope: Envelope | None = None
        self.drained = 0
        self.ms: list[tuple[str, float]] = []
        self.fields: list[tuple[str, str]] = []


def _number(text: bytes) -> int:
    """A descriptor above 1, or -1 (IndiMail's ERROR_FD)."""
    number = int(text) if text.isdigit() and len(text) < 4 else -1
    return number if number > 1 else -1


def main(settings_path: str) -> None:
    """Run once and end the process; never returns."""
    if len(sys.argv) > 1:
        from qscan import flags

        posix._exit(flags.run(sys.argv[1:], settings_path))
    run = Run()
    code = BY_NAME["internal"].code
    try:
        code = _guarded(run, settings_path)
    finally:
        # Whatever is on its way up here, the only way out is an exit code.
        posix._exit(code)


def _guarded(run: Run, settings_path: str) -> int:
    try:
        run.signals.take()
        run.signals.arm(RECEIVE_SECONDS)
        return _stages(run, settings_path)
    except Stop as stop:
        outcome, why = stop.outcome, stop.why
    except Failure as failure:
        outcome, why = failure.outcome, failure.why
    except MemoryError:
        outcome, why = "memory", "out of memory"
    except Exception as error:
        outcome, why = "internal", _place(error)
        if isinstance(error, OSError):
            outcome = "write"
    try:
        if outcome not in ("timeout", "deferred"):
            _drain(run)
    except OSError as error:
        why += f"; then {error}"
    except Stop as stop:
        why += f"; then {stop.why}"
    fdio.shield()
    if run.work is not None:
        run.work.abandon()
    return _end(run, "error", "none", BY_NAME[outcome], "", why)


def _place(error: BaseException) -> str:
    """``Type: text (file:line)`` of where it happened."""
    trace = error.__traceback__
    where = ""
    while trace is not None:
        code = trace.tb_frame.f_code
        where = f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__}: {error} ({where})"


def _stages(run: Run, settings_path: str) -> int:
    _check_descriptors()
    settings = reader.load(settings_path)
    values = settings.values
    run.values = values
    warning = reader.override(values, posix.environ)
    run.signals.arm(number(values["limit.receive_seconds"]))
    run.signals.limit_cpu(number(values["limit.cpu_seconds"]))
    for text in (settings.warning, warning):
        if text:
            run.fields.append(("warning", text))
    run.work = spool.Work(str(values["spool_dir"]) + "/work", spool.identity())
    _receive(run, run.work)
    deadline = fdio.Deadline(number(values["limit.deadline_seconds"]))
    run.signals.arm(number(values["limit.deadline_seconds"]))
    report = pipeline.examine(settings, run.work, run.size, deadline)
    run.ms += report.ms.items()
    return _act(run, report, run.work)


def _check_descriptors() -> None:
    """Descriptors 0 and 1 must be open (54); a closed 2 must not become a file."""
    try:
        posix.fstat(2)
    except OSError:
        # Lower numbers that are free come first: fill them for good.
        while posix.open("/dev/null", posix.O_RDWR) < 2:
            continue
        for fd in (0, 1):
            if _is_null(fd):
                raise Failure("read", f"descriptor {fd} is closed") from None
    for fd, what in ((0, "message"), (1, "envelope")):
        try:
            posix.fstat(fd)
        except OSError:
            raise Failure("read", f"descriptor {fd} ({what}) is closed") from None


def _is_null(fd: int) -> bool:
    return posix.fstat(fd).st_rdev == posix.stat("/dev/null").st_rdev


# -- receiving ------------------------------------------------------------------------


def _receive(run: Run, work: spool.Work) -> None:
    """Message, then envelope, in the order real callers write them (qmail.c); both are
    read to their end whatever goes wrong with storing them."""
    began = time.monotonic()
    try:
        work.open()
    except OSError as error:
        run.work = None
        raise Failure("write", f"work directory: {error}") from None
    size = 0
    pending = spool.ROOM
    while True:
        try:
            data = posix.read(0, fdio.WINDOW)
        except OSError as error:
            run.drained = 1
            raise Failure("read", f"message: {error}") from None
        if not data:
            break
        if size == 0 and len(data) >= 4096:
            _enlarge_pipe()
        size += len(data)
        _store(work.fd, pending + data if pending else data)
        pending = b""
    run.drained = 1
    if pending:
        _store(work.fd, pending)
    run.size = size
    parser = grammar.Parser()
    while True:
        try:
            data = posix.read(1, fdio.WINDOW)
        except OSError as error:
            run.drained = 2
            raise Failure("read", f"envelope: {error}") from None
        if not data:
            break
        parser.feed(data)
        _store(work.envelope, data)
    run.drained = 2
    run.envelope = parser.finish()
    run.ms.append(("read", round((time.monotonic() - began) * 1000, 2)))


def _store(fd: int, data: bytes) -> None:
    try:
        fdio.write_all(fd, data)
    except OSError as error:
        raise Failure("write", f"spool: {error}") from None


def _enlarge_pipe() -> None:
    import fcntl

    try:
        fcntl.fcntl(0, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:
        return  # not a pipe, or more than this user may have: only slower


def _drain(run: Run) -> None:
    """Read what is left on 0 and 1: a caller that sees EPIPE reports something else."""
    for fd in range(run.drained, 2):
        try:
            posix.fstat(fd)
        except OSError:
            continue
        while posix.read(fd, 65536):
            continue


# -- ending ---------------------------------------------------------------------------


def _act(run: Run, report: Report, work: spool.Work) -> int:
    action = report.action
    run.fields.append(("parts", str(len(report.items) - 1)))
    if report.findings:
        text = ",".join(f"{f.cls}:{f.rule}@{f.item}" for f in report.findings[:20])
        run.fields.append(("findings", text))
    else:
        run.fields.append(("findings", "0"))
    if report.defects:
        codes: list[str] = []
        for defect in report.defects:
            if defect.code not in codes:
                codes.append(defect.code)
        run.fields.append(("defects", ",".join(codes[:20])))
    why = report.reason
    if report.action in ("deliver", "tag"):
        for finding in report.findings:
            if finding.cls == "scanner_failure":
                run.fields.append(("fail_open", finding.text))
    failed = [f.text for f in report.findings if f.cls == "scanner_failure"]
    if failed and action == "defer":
        why = failed[0]
    if action.startswith("quarantine"):
        _quarantine(run, report, work)
    outcome = BY_NAME[pipeline.outcome_of(action)]
    if outcome.name == "delivered" and run.values["tnef.deliver"] != "as-is":
        _winmail(run, report, work)
    fdio.shield()
    if fdio.pending():
        stop = fdio.ENDINGS[fdio.pending()]
        raise Stop(*stop)
    if outcome.name == "delivered":
        return _deliver(run, report, work, why)
    work.abandon()
    return _end(run, report.verdict, action, outcome, report.decision.public, why)


def _winmail(run: Run, report: Report, work: spool.Work) -> None:
    """Put the attachments of a winmail.dat into the message. Whatever goes wrong with
    that, the message as it came is clean and complete."""
    from qscan import sniff

    if not any(item.head.startswith(sniff.TNEF) for item in report.items):
        return
    try:
        from qscan.actions import winmail

        run.unpacked, said = winmail.replace(
            work,
            run.size,
            report.items,
            report.defects,
            pipeline.limits_of(run.values),
            run.values["tnef.deliver"] == "beside",
            bool(run.values["tnef.break_dkim"]),
        )
    except Exception as error:
        said = f"as-is: {_place(error)}"
    run.fields.append(("winmail", said))


def _quarantine(run: Run, report: Report, work: spool.Work) -> None:
    from qscan.actions import quarantine

    if run.envelope is None:
        raise TypeError("no envelope")
    finding = report.decision.finding
    root = str(run.values["quarantine.dir"]) or str(run.values["spool_dir"]) + (
        "/quarantine"
    )
    facts = {
        "received": int(time.time()),
        "size": run.size,
        "ip": _remote(),
        "verdict": report.verdict,
        "action": report.action,
        "reason": report.reason,
    }
    message = (work.fd, spool.RESERVE, spool.RESERVE + run.size)
    try:
        quarantine.keep(
            root,
            finding.cls if finding is not None else "other",
            work.id,
            message,
            run.envelope,
            work.envelope,
            report.findings,
            facts,
        )
    except OSError as error:
        # What cannot be kept is not dropped and not refused: the sender keeps it.
        raise Failure("write", f"quarantine: {error}") from None
    run.fields.append(("quarantined", work.id))


def _deliver(run: Run, report: Report, work: spool.Work, why: str) -> int:
    from qscan.actions import deliver

    program = str(run.values["qmail_queue"])
    failed = BY_NAME["exec"]
    if not posix.access(program, posix.X_OK, effective_ids=True):
        work.abandon()
        why = f"qmail-queue: {program} cannot be executed"
        return _end(run, "error", "none", failed, "", why)
    deliver.place(work.fd, deliver.header_lines(_header(run, report, work)))
    work.remove()
    outcome = BY_NAME["delivered"]
    _log(run, report.verdict, report.action, outcome.code, why)
    try:
        deliver.run(program, work.fd, work.envelope, run.signals, run.umask)
    except OSError as error:
        run.fields = []
        return _end(run, "error", "none", failed, "", f"qmail-queue: {error}")
    raise Stop(*fdio.ENDINGS[fdio.pending()])


def _header(run: Run, report: Report, work: spool.Work) -> list[tuple[str, str]]:
    values = run.values
    out: list[tuple[str, str]] = []
    if values["header.qscan"] or report.action == "tag" or run.unpacked:
        word = report.verdict if report.action == "deliver" else "tagged"
        text = f"{word}; id={work.id}; parts={len(report.items) - 1};"
        if run.unpacked:
            text += " winmail.dat unpacked;"
        for finding in report.findings[:5]:
            text += f" {finding.cls}={finding.rule};"
        version = _scanner_version(values)
        text += f" version={__version__}" + (f"; {version}" if version else "")
        out.append(("X-Qscan", text))
    if values["header.virus_scanned"]:
        out.append(("X-Virus-Scanned", f"by qscan {__version__}"))
        unscanned = any(f.cls == "scanner_failure" for f in report.findings)
        out.append(("X-Virus-Status", "Not Scanned" if unscanned else "Clean"))
    return out


def _scanner_version(values: dict[str, Value]) -> str:
    """clamd's version as ``qscan-queue -z`` noted it, or ""."""
    path = f"{values['spool_dir']}/clamd-version"
    try:
        fd = posix.open(path, fdio.O_READ)
    except OSError:
        return ""
    try:
        return posix.read(fd, 80).decode("ascii", "replace").strip()
    finally:
        posix.close(fd)


def _end(
    run: Run, verdict: str, action: str, outcome: Outcome, public: str, why: str
) -> int:
    """Tell the caller and the log; returns the exit code."""
    code = outcome.code
    if outcome.letter != "K":
        from qscan.actions import reject

        dialect = str(run.values.get("reject.dialect", "plain"))
        way = reject.channel(dialect, run.pipes, run.error_fd)
        # Only policy has something to tell; technical trouble has exit codes that
        # qmail words itself.
        if outcome.name not in ("refused", "deferred"):
            way = (-1, 0)
        identity = run.work.id if run.work is not None else ""
        code = reject.tell(outcome, reject.compose(outcome, public, identity), way)
        if way[0] == 2 and code != outcome.code:
            # The caller takes all of descriptor 2 for the text of its reply.
            run.values["log.target"] = "syslog"
    _log(run, verdict, action, code, why)
    return code


def _remote() -> str:
    return posix.environ.get(b"TCPREMOTEIP", b"").decode("latin-1")


def _log(run: Run, verdict: str, action: str, code: int, why: str) -> None:
    fields = [("verdict", verdict), ("action", action), ("exit", str(code))]
    if run.work is not None:
        fields.append(("id", run.work.id))
    if run.envelope is not None:
        first = run.envelope.recipients[:1]
        fields.append(("from", f"<{run.envelope.sender.decode('latin-1')}>"))
        fields.append(("rcpts", str(run.envelope.count)))
        fields.append(("to", first[0].decode("latin-1") if first else ""))
    fields.append(("ip", _remote()))
    fields.append(("size", str(run.size)))
    fields += run.fields
    if why:
        fields.append(("why", why))
    version = _scanner_version(run.values) if run.values else ""
    if version:
        fields.append(("clamd", version))
    total = round((time.monotonic() - run.started) * 1000, 2)
    stages = ",".join(f"{name}:{ms}" for name, ms in [*run.ms, ("total", total)])
    fields.append(("ms", stages))
    target = str(run.values.get("log.target", "stderr"))
    facility = str(run.values.get("log.syslog_facility", "mail"))
    log.write(log.compose(fields), target, facility)
