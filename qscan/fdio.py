# SPDX-License-Identifier: MIT
"""Descriptors, files, signals and time: the rim that the rest calls.

Does: complete writes, copies in bounded windows, fsync+rename, the deadline and the
signals that end us. Never does: know what a message is.
Raises: OSError as the kernel says it; ``Stop`` out of any call when a signal or the
deadline ends this process.
"""

import _signal
import fcntl
import posix
import time

WINDOW = 262144  # bytes: large enough that system calls cost nothing, small for -m

CPU_GRACE = 10.0  # seconds between the polite and the final end

O_NEW = posix.O_RDWR | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
O_READ = posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW


class Stop(BaseException):
    """A signal or the deadline ends this process: ``outcome`` row name, ``why``.

    Not an Exception, so that no handler of content errors can swallow it.
    """

    def __init__(self, outcome: str, why: str) -> None:
        BaseException.__init__(self, why)
        self.outcome = outcome
        self.why = why


class Failure(Exception):
    """This process must end with ``outcome`` (a row name of outcomes.TABLE)."""

    def __init__(self, outcome: str, why: str) -> None:
        Exception.__init__(self, why)
        self.outcome = outcome
        self.why = why


def write_all(fd: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of ``data``; raises OSError."""
    done = posix.write(fd, data)
    if done < len(data):
        view = memoryview(data)
        while done < len(view):
            done += posix.write(fd, view[done:])


def pread_all(fd: int, size: int, offset: int) -> bytes:
    """Up to ``size`` bytes at ``offset``; short only at the end of the file."""
    data = posix.pread(fd, size, offset)
    if len(data) < size and data:
        parts = [data]
        got = len(data)
        while got < size:
            data = posix.pread(fd, size - got, offset + got)
            if not data:
                break
            parts.append(data)
            got += len(data)
        return b"".join(parts)
    return data


def copy_range(source: int, start: int, end: int, target: int) -> int:
    """Copy bytes [start, end) of one file to the position of another; bytes done."""
    done = 0
    while start < end:
        data = posix.pread(source, min(WINDOW, end - start), start)
        if not data:
            break
        write_all(target, data)
        start += len(data)
        done += len(data)
    return done


def fsync_directory(path: str) -> None:
    """Make the names in a directory durable; raises OSError."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        posix.fsync(fd)
    finally:
        posix.close(fd)


def publish(temporary: str, final: str, data: bytes, mode: int) -> None:
    """Text -> temporary file -> fsync -> rename -> fsync of the directory.

    Raises OSError; the temporary file is gone then and ``final`` untouched.
    """
    fd = posix.open(temporary, O_NEW, mode)
    try:
        try:
            write_all(fd, data)
            posix.fsync(fd)
        finally:
            posix.close(fd)
        posix.rename(temporary, final)
    except BaseException:
        remove(temporary)
        raise
    fsync_directory(final.rpartition("/")[0] or "/")


def remove(path: str) -> None:
    """Unlink; a file that is not there is fine."""
    try:
        posix.unlink(path)
    except FileNotFoundError:
        pass


def sha256() -> object:
    """A new SHA-256 state from the interpreter's own module; hashlib costs 2 ms."""
    try:
        import _sha2 as module  # 3.12 and later
    except ImportError:
        import _sha256 as module
    return module.sha256()


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    state = sha256()
    state.update(data)  # type: ignore[attr-defined]
    return state.hexdigest()  # type: ignore[attr-defined,no-any-return]


def digest_range(fd: int, start: int, end: int) -> str:
    """SHA-256 in hexadecimal of bytes [start, end) of a file."""
    state = sha256()
    while start < end:
        data = posix.pread(fd, min(WINDOW, end - start), start)
        if not data:
            break
        state.update(data)  # type: ignore[attr-defined]
        start += len(data)
    return state.hexdigest()  # type: ignore[attr-defined,no-any-return]


def is_writable_pipe(fd: int) -> bool:
    """True when ``fd`` is an open pipe that we may write to."""
    try:
        if (posix.fstat(fd).st_mode & 0o170000) != 0o010000:
            return False
        return fcntl.fcntl(fd, fcntl.F_GETFL) & posix.O_ACCMODE == posix.O_WRONLY
    except OSError:
        return False


class Deadline:
    """A point on the monotonic clock; ``left()`` seconds, never negative."""

    __slots__ = ("at",)

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until then, 0.0 when it has passed."""
        return max(0.0, self.at - time.monotonic())


# What ends us, and how the caller is told. Only SIGKILL cannot be answered.
ENDINGS = {
    _signal.SIGALRM: ("timeout", "deadline reached"),
    _signal.SIGXCPU: ("timeout", "cpu limit reached"),
    _signal.SIGVTALRM: ("timeout", "cpu limit reached"),
    _signal.SIGTERM: ("deferred", "terminated"),
    _signal.SIGINT: ("deferred", "interrupted"),
    _signal.SIGHUP: ("deferred", "hung up"),
}

_shielded = False
_pending: list[int] = []


def _on_signal(number: int, frame: object) -> None:
    if _shielded:
        _pending.append(number)
        return
    outcome, why = ENDINGS[number]
    # One ending is enough: a second signal must not interrupt the clean-up.
    shield()
    raise Stop(outcome, why)


def shield() -> None:
    """From here on signals are only remembered (clean-up, last step)."""
    global _shielded
    _shielded = True


def pending() -> int:
    """The signal that came in while shielded, or 0."""
    return _pending[0] if _pending else 0


class Signals:
    """The caller's signals, timer and CPU limit: taken over at start, given back
    before exec."""

    __slots__ = ("alarm", "old", "started")

    def __init__(self) -> None:
        self.old: list[tuple[int, object]] = []
        self.started = time.monotonic()
        self.alarm = (0.0, 0.0)

    def take(self) -> None:
        """Install the handlers."""
        self.alarm = _signal.getitimer(_signal.ITIMER_REAL)
        for number in ENDINGS:
            self.old.append((number, _signal.signal(number, _on_signal)))

    def arm(self, seconds: float) -> None:
        """(Re)start the wall clock; it repeats, should one ring be swallowed."""
        _signal.setitimer(_signal.ITIMER_REAL, max(0.001, seconds), 1.0)

    def limit_cpu(self, seconds: float) -> None:
        """Backstop on CPU time: after ``seconds`` a clean end, and CPU_GRACE later the
        kernel ends us, even when the interpreter never gets to a handler.

        These timers count like RLIMIT_CPU (setitimer(2), getrlimit(2)), but its module
        would cost every message 0.25 ms, and a limit of the caller (SIGXCPU) stays his.
        """
        _signal.setitimer(_signal.ITIMER_VIRTUAL, seconds)
        _signal.signal(_signal.SIGPROF, _signal.SIG_DFL)
        _signal.setitimer(_signal.ITIMER_PROF, seconds + CPU_GRACE)

    def give_back(self) -> None:
        """Everything as we got it; Python's own SIG_IGNs back to default."""
        for timer in (
            _signal.ITIMER_REAL,
            _signal.ITIMER_VIRTUAL,
            _signal.ITIMER_PROF,
        ):
            _signal.setitimer(timer, 0)
        for number, handler in self.old:
            _signal.signal(number, handler)
        # The interpreter ignores these two and that would survive exec.
        _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
        _signal.signal(_signal.SIGXFSZ, _signal.SIG_DFL)
        seconds, interval = self.alarm
        if seconds:
            passed = time.monotonic() - self.started
            left = max(0.001, seconds - passed)
            _signal.setitimer(_signal.ITIMER_REAL, left, interval)
