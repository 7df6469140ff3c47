# SPDX-License-Identifier: MIT
"""The order of the stages: unpack and scan side by side, then judge.

Does: glue. Never does: read descriptors 0 and 1, exit, deliver. The wrapper and
``qscan scan`` both run exactly this.
"""

import marshal
import posix
import time

import qscan
from qscan import decide, spool
from qscan.fdio import O_READ, Deadline, digest_range, write_all
from qscan.model import (
    FAILED,
    SCANNED,
    UNSCANNABLE,
    Defect,
    Finding,
    Item,
    Limits,
    ScanReply,
)
from qscan.scanners.clamd import Session
from qscan.settings import Settings, Value

RAW = "message"  # key and path of the raw message

# Above so many bytes the raw message is scanned alone while we unpack: clamd then knows
# the parts that it unpacked itself, and does not scan the same megabytes twice side by
# side (20 MB: 740 ms against 930).
ALONE = 262144


class Report:
    """What was found out about one message, and what is to be done.

    ``exit_code`` and ``smtp_text`` are what the SMTP side would be told in the plain
    and in the custom text dialects; ``ms`` milliseconds by stage.
    """

    __slots__ = (
        "action",
        "decision",
        "defects",
        "exit_code",
        "findings",
        "items",
        "ms",
        "reason",
        "smtp_text",
        "verdict",
    )

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.defects: list[Defect] = []
        self.findings: list[Finding] = []
        self.ms: dict[str, float] = {}
        self.decision = decide.Decision("clean", "deliver")
        self.verdict = "clean"
        self.action = "deliver"
        self.reason = ""
        self.exit_code = 0
        self.smtp_text = ""


def number(value: Value) -> float:
    """A setting that is a number."""
    if isinstance(value, (int, float)):
        return value
    raise TypeError(f"setting is no number: {value!r}")


def texts(value: Value) -> list[str]:
    """A setting that is a list."""
    if isinstance(value, list):
        return value
    raise TypeError(f"setting is no list: {value!r}")


def limits_of(values: dict[str, Value]) -> Limits:
    """The bounds of unpacking from the settings."""
    return Limits(
        int(number(values["limit.depth"])),
        int(number(values["limit.parts"])),
        int(number(values["limit.header_bytes"])),
        int(number(values["limit.expanded_bytes"])),
        number(values["limit.unpack_seconds"]),
        (
            int(number(values["tnef.cpu_seconds"])),
            int(number(values["tnef.memory_bytes"])),
            int(number(values["tnef.wall_seconds"])),
        ),
        (
            int(number(values["archive.cpu_seconds"])),
            int(number(values["archive.memory_bytes"])),
            int(number(values["archive.wall_seconds"])),
            int(number(values["archive.depth"])),
            int(number(values["archive.members"])),
            int(number(values["archive.expanded_bytes"])),
            int(number(values["archive.ratio"])),
            bool(values["archive.passwords"]),
        )
        if values["archive.open"]
        else None,
    )


def examine(
    settings: Settings,
    work: spool.Work,
    size: int,
    deadline: Deadline,
    *,
    clamd: bool = True,
) -> Report:
    """Unpack, scan and judge the message of ``size`` bytes behind the room in
    ``work``. Raises OSError for trouble with the work directory."""
    values = settings.values
    report = Report()
    began = time.monotonic()
    whole = Item(RAW, "message", [], "message/rfc822", "")
    whole.size = size
    report.items.append(whole)
    session: Session | None = None
    if clamd:
        session = Session(
            str(values["clamd.address"]),
            number(values["clamd.connect_seconds"]),
            number(values["clamd.answer_seconds"]),
            number(values["clamd.retry_seconds"]),
            deadline,
        )
    try:
        _unpack(report, settings, work, size, session)
        report.ms["unpack"] = _since(began)
        began = time.monotonic()
        if session is not None:
            session.drain()
            _collect(report, session.replies, settings)
        report.ms["scan"] = _since(began)
    finally:
        if session is not None:
            session.leave()
    codes: dict[tuple[str, str], str] | None = None
    if report.defects:
        from qscan import defects

        own = defects.own_actions(texts(values["malformed.actions"]))
        refused = texts(values["malformed.refuse"])
        judged = defects.judge(report.defects, refused, own)
        report.findings += judged
        codes = defects.actions_of(judged, own)
    actions = {cls: str(values[f"action.{cls}"]) for cls in decide.CLASSES}
    decision = decide.decide(report.findings, actions, codes)
    report.decision = decision
    report.verdict = decision.verdict
    report.action = decision.action
    report.reason = decision.reason
    return report


def _unpack(
    report: Report,
    settings: Settings,
    work: spool.Work,
    size: int,
    session: Session | None,
) -> None:
    """Items and defects of the message; what is to be scanned goes to the session."""
    values = settings.values
    raw = values["scan.raw"] == "always"
    offer = _ignore
    if session is not None:
        if raw:
            if size > ALONE:
                session.alone()
            session.submit(RAW, work.fd)
        if values["scan.parts"]:
            offer = session.offer
    _load_rest()
    from qscan import unpack
    from qscan.store import Store

    store = Store(work.directory, limits_of(values), offer)
    end = spool.RESERVE + size
    unpack.Unpacker(store).run(work.fd, spool.RESERVE, end, raw or session is None)
    report.items += store.items
    report.defects = store.defects
    if values["scan.types"] == "libmagic":
        from qscan import realtype

        realtype.improve(report.items)


def _load_rest() -> None:
    """The second half of the hot bundle, where we were started with one."""
    if qscan.rest is not None:
        code, data = qscan.rest
        qscan.rest = None
        exec(code, {"sources": (), "modules": marshal.loads(data)})  # type: ignore[arg-type]


def _ignore(item: Item) -> None:
    """Nobody scans."""


def _since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 2)


def _collect(report: Report, replies: dict[str, ScanReply], settings: Settings) -> None:
    """Answers to findings; a missing answer is a failure."""
    automaton: object = None
    failed: list[str] = []
    asked = {RAW: settings.values["scan.raw"] == "always"}
    parts = bool(settings.values["scan.parts"])
    for item in report.items:
        reply = replies.get(item.path)
        if reply is None:
            if item.scan or not asked.get(item.path, parts):
                continue
            reply = ScanReply(FAILED, [], f"never asked about {item.path}")
        if reply.status == SCANNED:
            if not reply.names:
                item.scan = "clean"
                continue
            from qscan import defects

            if automaton is None:
                automaton = settings.automaton()
            for name in reply.names:
                item.scan = name
                cls = defects.classify(name, automaton)
                report.findings.append(
                    Finding("clamd", name, cls, item.path, f"{name} in {item.path}")
                )
        elif reply.status == UNSCANNABLE:
            item.scan = "unscannable"
            report.findings.append(
                Finding("clamd", "limit-stream-size", "limits", item.path, reply.why)
            )
        elif reply.status == FAILED:
            item.scan = "failed"
            if reply.why not in failed:
                failed.append(reply.why)
                report.findings.append(
                    Finding(
                        "clamd", "no-answer", "scanner_failure", item.path, reply.why
                    )
                )
        else:
            raise ValueError(f"unknown scan status {reply.status!r}")


def digest(items: list[Item], message: tuple[int, int, int]) -> None:
    """Fill in ``sha256`` of every item; ``message`` = (fd, start, end)."""
    for item in items:
        if item.file is None and item.span is None and item.path != RAW:
            continue  # a member of an archive that nobody wrote out
        if item.file is not None:
            fd = posix.open(item.file, O_READ)
            start, end = item.span or (0, item.size)
        else:
            fd = message[0]
            start, end = item.span or message[1:]
        try:
            item.sha256 = digest_range(fd, start, end)
        finally:
            if fd != message[0]:
                posix.close(fd)


def examine_file(
    source: int,
    settings: Settings,
    work_dir: str,
    *,
    clamd: bool = True,
    digests: bool = False,
    look: object = None,
) -> Report:
    """What the wrapper would do with the message on descriptor ``source`` (read to its
    end), with the work directory below ``work_dir``; nothing is left there.

    ``look(report, fd, size)`` is called while the files of all items are there; the
    message is in bytes [RESERVE, RESERVE + size) of ``fd``.
    """
    from qscan.actions import reject
    from qscan.outcomes import BY_NAME

    began = time.monotonic()
    values = settings.values
    work = spool.Work(work_dir, spool.identity())
    work.open()
    try:
        write_all(work.fd, spool.ROOM)
        size = 0
        while True:
            data = posix.read(source, 262144)
            if not data:
                break
            write_all(work.fd, data)
            size += len(data)
        read = _since(began)
        deadline = Deadline(number(values["limit.deadline_seconds"]))
        report = examine(settings, work, size, deadline, clamd=clamd)
        if digests:
            end = spool.RESERVE + size
            digest(report.items, (work.fd, spool.RESERVE, end))
        if look is not None:
            look(report, work.fd, size)  # type: ignore[operator]
    finally:
        work.abandon()
    report.ms["read"] = read
    report.ms["total"] = _since(began)
    outcome = BY_NAME[outcome_of(report.action)]
    report.exit_code = outcome.code
    if outcome.letter != "K":
        report.smtp_text = reject.compose(outcome, report.decision.public, "")
    return report


def outcome_of(action: str) -> str:
    """The row of the status table that an action ends in."""
    if action in decide.DELIVERING:
        return "delivered"
    if action == "quarantine+drop":
        return "dropped"
    return "deferred" if action == "defer" else "refused"
