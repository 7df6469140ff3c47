# SPDX-License-Identifier: MIT
"""Hostile data is read in a child that may die: one mechanism for all who need it.

Does: fork a child with limits of processor time, memory, file size and wall clock, in
a session of its own, with no descriptor of ours but the data and a pipe, unable to gain
privileges or to fork; run the work in it; take its records from the pipe as they come,
so that a decoder that hangs, crashes or eats all memory loses nothing of what was found
before; say how it ended.
Never does: leave a child or a descriptor behind, however it is left (``fdio.Stop``
included); trust what the child says beyond its form.
Raises: OSError when a process cannot be made, or what the child met when it wrote
files; that is no fault of the message.
Limits: a record has at most RECORD bytes, all records what the caller allows. The
memory limit is the given one also where the caller has a lower soft limit of its own.
"""

from __future__ import annotations

import _signal
import errno
import fcntl
import marshal
import posix
import select
import time

from qscan import fdio

TYPE_CHECKING = False  # typing would cost more than this module
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, NoReturn

    Take = Callable[[str, list[Any]], bool]
    Work = Callable[[int], None]
    Kinds = Mapping[str, tuple[type, ...]]

RECORD = 65536  # bytes: 16 names of 512 characters of 4 bytes take half of it
REPORT = 4 * 1024 * 1024
# The interpreter and the library themselves, should the parent be large already.
HEADROOM = 64 * 1024 * 1024
# In the child: the data that is to be read, and where its records go.
DATA = 3
PIPE = 5  # not 4 or 6: nobody who looks shall take it for the caller's
# How a child ended, besides FINISHED.
FINISHED = ""
CPU = "cpu"
MEMORY = "memory"
WALL = "wall"
FLOOD = "flood"  # more records than the caller takes
DIED = "died"
FAILED = "failed"  # an exception in the child's own work
_PR_SET_PDEATHSIG = 1  # prctl(2)
_PR_SET_NO_NEW_PRIVS = 38
# Records of the mechanism itself.
_KINDS: dict[str, tuple[type, ...]] = {
    "oserror": (int, str),
    "failed": (str, str),
    "end": (),
}


class Costs:
    """What a child may cost: seconds of processor time, bytes of address space (or
    HEADROOM more than this process has, if that is larger), seconds of wall clock,
    bytes of one file that it writes, bytes of all its records."""

    __slots__ = ("cpu_seconds", "file_bytes", "memory_bytes", "report", "wall_seconds")

    def __init__(
        self,
        cpu_seconds: int,
        memory_bytes: int,
        wall_seconds: float,
        file_bytes: int,
        report: int = REPORT,
    ) -> None:
        self.cpu_seconds = cpu_seconds
        self.memory_bytes = memory_bytes
        self.wall_seconds = wall_seconds
        self.file_bytes = file_bytes
        self.report = report


def run(
    fd: int,
    work: Work,
    kinds: Kinds,
    take: Take,
    costs: Costs,
) -> tuple[str, str]:
    """Have a child do ``work(PIPE)``, with the file behind ``fd`` as descriptor DATA.

    ``kinds`` the records the child may ``send``: name -> types of the fields (a list
    is one of str). ``take(kind, fields)`` gets each here; False when it is none.
    Returns how the child ended, FINISHED or one of the words above, and a detail for
    people. Raises OSError, and ``fdio.Stop`` when a signal ends us meanwhile; files
    that the child wrote stay.
    """
    report = _Report(kinds, take, costs.report)
    deadline = time.monotonic() + costs.wall_seconds
    everything = _signal.valid_signals()
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
    read_end = write_end = pid = -1
    status: int | None = None
    used = 0.0
    try:
        # No handler may run between fork and the pid being known, nor in the child.
        _signal.pthread_sigmask(_signal.SIG_BLOCK, everything)
        parent = posix.getpid()
        read_end, write_end = posix.pipe2(posix.O_CLOEXEC)
        pid = posix.fork()
        if pid == 0:
            _child(parent, fd, write_end, work, costs)
        given, write_end = write_end, -1
        posix.close(given)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
        report.receive(read_end, deadline)
    finally:
        try:
            _signal.pthread_sigmask(_signal.SIG_BLOCK, everything)
        finally:
            if pid > 0:
                status, used = _reap(pid)
            for end in (read_end, write_end):
                if end >= 0:
                    posix.close(end)
            _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
    if report.failure is not None:
        raise report.failure
    return report.end or _cause(status, used, costs.cpu_seconds)


def _reap(pid: int) -> tuple[int | None, float]:
    """End the child and its group and wait for it: status, processor seconds.

    A child that is ending by itself keeps its own status; the signal is too late then.
    """
    for target in (-pid, pid):
        try:
            posix.kill(target, _signal.SIGKILL)
        except OSError:
            pass  # no such group yet, or ended already
    try:
        _, status, usage = posix.wait4(pid, 0)
    except ChildProcessError:
        return None, 0.0  # the caller ignores SIGCHLD: the kernel reaps
    return status, usage.ru_utime + usage.ru_stime


def _cause(status: int | None, used: float, cpu_seconds: int) -> tuple[str, str]:
    """Why a child did not get to the end of its report."""
    if status is None:
        return DIED, "no status"
    if posix.WIFSIGNALED(status):
        number = posix.WTERMSIG(status)
        if number == _signal.SIGXCPU or (
            number == _signal.SIGKILL and used >= cpu_seconds
        ):
            return CPU, f"{used:.1f} s"
        return DIED, f"signal {number}"
    return DIED, f"exit status {posix.WEXITSTATUS(status)}"


class _Report:
    """What the child says, taken record by record."""

    __slots__ = ("end", "failure", "kinds", "most", "take")

    def __init__(self, kinds: Kinds, take: Take, most: int) -> None:
        self.kinds = {**kinds, **_KINDS}
        self.take = take
        self.most = most
        self.end: tuple[str, str] | None = None
        self.failure: OSError | None = None

    def receive(self, fd: int, deadline: float) -> None:
        """Read records until the end of the report, of the child or of the time."""
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        data = bytearray()
        total = 0
        while self.end is None:
            left = deadline - time.monotonic()
            if left <= 0:
                self.end = WALL, "took too long"
                return
            if not poll.poll(left * 1000 + 1):
                continue
            block = posix.read(fd, 65536)
            if not block:
                return
            total += len(block)
            data += block
            if total > self.most:
                self.end = FLOOD, "more to report than can be taken"
                return
            at = 0
            while len(data) - at >= 4 and self.end is None:
                length = int.from_bytes(data[at : at + 4], "little")
                if length <= RECORD:
                    if len(data) - at - 4 < length:
                        break
                    if self.record(bytes(data[at + 4 : at + 4 + length])):
                        at += 4 + length
                        continue
                self.end = DIED, "its report cannot be read"
            del data[:at]

    def record(self, raw: bytes) -> bool:
        """One record; False when it is none."""
        try:
            record = marshal.loads(raw)
        except (ValueError, EOFError, TypeError):
            return False
        if not isinstance(record, tuple) or not record:
            return False
        kind, *fields = record
        types = self.kinds.get(kind) if isinstance(kind, str) else None
        if types is None or len(types) != len(fields):
            return False
        for value, wanted in zip(fields, types, strict=True):
            if type(value) is not wanted:
                return False
            if isinstance(value, list) and not all(type(one) is str for one in value):
                return False
        if kind not in _KINDS:
            return self.take(kind, fields)
        if kind == "oserror":
            self.failure = OSError(*fields)
        self.end = (FINISHED, "") if kind != "failed" else (fields[0], fields[1])
        return True


# From here on: the child.


def _child(parent: int, fd: int, pipe: int, work: Work, costs: Costs) -> NoReturn:
    """The whole life of the child. Signals are blocked when it begins."""
    code = 1
    try:
        report = pipe
        starved = False
        try:
            report = _isolate(parent, fd, pipe, costs)
            work(report)
            send(report, ("end",))
            code = 0
        except OSError as error:
            text = str(error.strerror)[:200]
            send(report, ("oserror", error.errno or errno.EIO, text))
        except MemoryError:
            starved = True  # its traceback holds the memory until this block is left
        except Exception as error:  # noqa: BLE001 - the parent makes a defect of it
            send(report, ("failed", FAILED, describe(error)))
        if starved:
            send(report, ("failed", MEMORY, "memory"))
    finally:
        posix._exit(code)


def _isolate(parent: int, fd: int, pipe: int, costs: Costs) -> int:
    """Cut the child off: descriptors, signals, limits. The pipe's new number."""
    import resource

    posix.setsid()
    _guard(parent)
    posix.umask(0o077)
    # Everything aside first, so that no dup2 hits what is still needed.
    data = fcntl.fcntl(fd, fcntl.F_DUPFD, PIPE + 1)
    report = fcntl.fcntl(pipe, fcntl.F_DUPFD, PIPE + 1)
    null = posix.open("/dev/null", posix.O_RDWR)
    for number in (0, 1, 2):
        posix.dup2(null, number)
    posix.dup2(data, DATA)
    posix.dup2(report, PIPE)
    posix.closerange(DATA + 1, PIPE)
    posix.closerange(PIPE + 1, 1 << 20)
    for number in _signal.valid_signals():
        # Those two stay ignored, as Python has them: a broken pipe and a file too
        # large are errors of a call here.
        if number not in (
            _signal.SIGKILL,
            _signal.SIGSTOP,
            _signal.SIGPIPE,
            _signal.SIGXFSZ,
        ):
            try:
                _signal.signal(number, _signal.SIG_DFL)
            except OSError:
                pass  # kept by the C library
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NPROC, 0)
    _limit(resource.RLIMIT_CPU, costs.cpu_seconds, 1)
    _limit(resource.RLIMIT_FSIZE, costs.file_bytes)
    present = 0
    try:
        with open("/proc/self/statm", "rb", buffering=0) as file:
            present = int(file.read(64).split()[0]) * posix.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        pass
    memory = costs.memory_bytes
    _limit(resource.RLIMIT_AS, max(memory, present + min(memory, HEADROOM)))
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    return PIPE


def _limit(which: int, value: int, more: int = 0) -> None:
    """Set the soft limit, the hard one ``more`` above it unless that is lower yet."""
    import resource

    hard = resource.getrlimit(which)[1]
    if hard == resource.RLIM_INFINITY or hard > value + more:
        hard = value + more
    resource.setrlimit(which, (min(value, hard), hard))


def _guard(parent: int) -> None:
    """Have the kernel kill us when the parent dies, and give us no privileges by exec.
    Best effort: the processor time limit ends an orphan too, it never waits for
    anything; and nothing is executed here."""
    try:
        import _ctypes

        prctl = _ctypes.dlsym(_ctypes.dlopen(None, 2), "prctl")  # type: ignore[arg-type]
        for call in (
            (_PR_SET_PDEATHSIG, int(_signal.SIGKILL), 0, 0, 0),
            (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        ):
            _ctypes.call_function(prctl, call)
    except (ImportError, AttributeError, OSError, TypeError):
        return
    if posix.getppid() != parent:
        posix._exit(1)


def send(fd: int, record: tuple[Any, ...]) -> None:
    """Write one record of at most RECORD bytes."""
    data = marshal.dumps(record)
    try:
        fdio.write_all(fd, len(data).to_bytes(4, "little") + data)
    except OSError:
        posix._exit(1)  # nobody listens any more


def describe(error: BaseException) -> str:
    """Type, text and place of an exception, in one line."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        name = "/".join(trace.tb_frame.f_code.co_filename.split("/")[-2:])
        place = f" at {name}:{trace.tb_lineno}"
        trace = trace.tb_next
    text = "".join(c if c.isprintable() else "?" for c in str(error))
    return f"{type(error).__name__}: {text[:120]}{place}"
