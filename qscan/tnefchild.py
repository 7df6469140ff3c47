# SPDX-License-Identifier: MIT
"""Unpacks one TNEF blob into files, in a child that may die.

Does: forks a child with limits of processor time, memory, file size and wall clock and
without any descriptor of ours; in it first our own reading (``tnef``), every span to a
file, then the library's (tnefparse), whatever that finds besides. Each result comes
over the pipe as soon as it is on disk, so that a library that hangs, crashes or eats
all memory loses nothing of what was found before. Identical bytes are stored once.
Never does: make a path of a name from the mail, run the library in this process, leave
a child or a descriptor behind, however it is left (``fdio.Stop`` included).
Raises: OSError when files cannot be written or a process cannot be made; that is no
fault of the message.
Limits: a report has at most REPORT bytes, a record RECORD. The memory limit is the
setting's also where the caller has a lower soft limit of its own.
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
from qscan.model import Defect

TYPE_CHECKING = False  # typing would cost more than this module
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NoReturn

    from qscan import tnef

MAX_DEPTH = 20
MAX_PARTS = 2000
MAX_BYTES = 1_000_000_000
CPU_SECONDS = 2
MEMORY_BYTES = 200_000_000
WALL_SECONDS = 10.0

RECORD = 65536  # bytes: 16 names of 512 characters of 4 bytes take half of it
REPORT = 4 * 1024 * 1024
NAMES = 64  # of one file, from all who found it
# Decompressed RTF of one blob. Outlook keeps pictures out of it; 8 MB take 0.4 s.
RTF_BYTES = 8_000_000
# The interpreter and the library themselves, should the parent be large already.
HEADROOM = 64 * 1024 * 1024
# Records of the child; the first item of each names its kind.
_KINDS = {
    "stage": (str,),
    "file": (str, int, str, str, list, str),
    "names": (str, list),
    "defect": (str, str, str),
    "own": (bool,),
    "library": (str, str),
    "oserror": (int, str),
    "end": (),
}
# With these the library would count to 2**32, or there is nothing for it to read.
_HOPELESS = ("tnef-count", "tnef-too-many-objects")
# What the reading says as a fact about the file is here a limit of ours.
_AS_LIMIT = {
    "tnef-nested-too-deep": "limit-depth",
    "tnef-too-many-objects": "limit-parts",
}
_BLOB = 3
_PIPE = 5  # not 4 or 6: nobody who looks shall take it for the caller's


class Extracted:
    """A file out of a TNEF blob.

    ``file`` its path on disk, ``path`` where it was ("tnef/1", "tnef/1/tnef/2",
    "tnef/rtf"), ``names`` every name it carries, ``size`` bytes, ``sha256`` in hex,
    ``declared_type`` its MIME type if it says one, else "".
    """

    __slots__ = ("declared_type", "file", "names", "path", "sha256", "size")

    def __init__(
        self,
        file: str,
        names: list[str],
        size: int,
        path: str,
        declared_type: str,
        sha256: str,
    ) -> None:
        self.file = file
        self.names = names
        self.size = size
        self.path = path
        self.declared_type = declared_type
        self.sha256 = sha256


def unpack(
    fd: int,
    size: int,
    directory: str,
    prefix: str,
    *,
    max_depth: int = MAX_DEPTH,
    max_parts: int = MAX_PARTS,
    max_bytes: int = MAX_BYTES,
    cpu_seconds: int = CPU_SECONDS,
    memory_bytes: int = MEMORY_BYTES,
    wall_seconds: float = WALL_SECONDS,
) -> tuple[list[Extracted], list[Defect]]:
    """Unpack the ``size`` bytes of the file behind ``fd`` into ``directory``.

    Files are called ``<prefix>-o<N>`` (our reading) and ``<prefix>-t<N>`` (what only
    the library found). At most ``max_parts`` files and ``max_bytes`` bytes of them,
    ``max_depth`` levels of TNEF in TNEF. ``memory_bytes`` of address space, or HEADROOM
    more than this process has if that is larger. Raises OSError, and ``fdio.Stop`` when
    a signal ends us meanwhile; what was written by then stays in the directory.
    """
    report = _Report(directory, prefix)
    deadline = time.monotonic() + wall_seconds
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
            limits = (max_depth, max_parts, max_bytes)
            costs = (cpu_seconds, memory_bytes)
            _child(parent, fd, write_end, size, directory, prefix, limits, costs)
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
    report.settle(status, used, cpu_seconds)
    return report.files, report.defects


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


class _Report:
    """What the child says, taken record by record."""

    def __init__(self, directory: str, prefix: str) -> None:
        self.directory = directory
        self.prefix = prefix
        self.files: list[Extracted] = []
        self.by_file: dict[str, Extracted] = {}
        self.defects: list[Defect] = []
        self.stage = "start"
        self.harmless = False
        self.ended = False
        self.why: tuple[str, str] | None = None
        self.failure: OSError | None = None

    def receive(self, fd: int, deadline: float) -> None:
        """Read records until the end of the report, of the child or of the time."""
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        data = bytearray()
        total = 0
        while not self.ended:
            left = deadline - time.monotonic()
            if left <= 0:
                self.why = ("tnef-wall-limit", "took too long")
                return
            if not poll.poll(left * 1000 + 1):
                continue
            block = posix.read(fd, 65536)
            if not block:
                return
            total += len(block)
            data += block
            if total > REPORT:
                self.why = ("limit-parts", "more to report than can be taken")
                return
            at = 0
            while len(data) - at >= 4 and not self.ended:
                length = int.from_bytes(data[at : at + 4], "little")
                if length > RECORD:
                    self.why = ("tnef-child-died", "its report cannot be read")
                    return
                if len(data) - at - 4 < length:
                    break
                if not self.take(bytes(data[at + 4 : at + 4 + length])):
                    self.why = ("tnef-child-died", "its report cannot be read")
                    return
                at += 4 + length
            del data[:at]

    def take(self, raw: bytes) -> bool:
        """One record; False when it is none."""
        try:
            record = marshal.loads(raw)
        except (ValueError, EOFError, TypeError):
            return False
        if not isinstance(record, tuple) or not record:
            return False
        kind, *fields = record
        types = _KINDS.get(kind) if isinstance(kind, str) else None
        if types is None or len(types) != len(fields):
            return False
        for value, wanted in zip(fields, types, strict=True):
            if type(value) is not wanted:
                return False
            if isinstance(value, list) and not all(type(one) is str for one in value):
                return False
        if kind == "stage":
            self.stage = fields[0]
        elif kind == "file":
            file, size, digest, path, names, declared = fields
            if not self.is_ours(file) or file in self.by_file:
                return False
            one = Extracted(
                f"{self.directory}/{file}", names, size, path, declared, digest
            )
            self.by_file[file] = one
            self.files.append(one)
        elif kind == "names":
            known = self.by_file.get(fields[0])
            if known is None:
                return False
            for name in fields[1]:
                if name not in known.names and len(known.names) < NAMES:
                    known.names.append(name)
        elif kind == "defect":
            self.defects.append(Defect(*fields))
        elif kind == "own":
            self.harmless = fields[0]
        elif kind == "library":
            self.library_failed(*fields)
        elif kind == "oserror":
            self.failure = OSError(*fields)
            self.ended = True
        else:
            self.ended = True
        return True

    def is_ours(self, file: str) -> bool:
        """Names are the child's to give only within its own pattern."""
        start = f"{self.prefix}-"
        rest = file[len(start) :]
        return (
            file.startswith(start)
            and rest[:1] in ("o", "t")
            and rest[1:].isascii()
            and rest[1:].isdigit()
        )

    def library_failed(self, code: str, detail: str) -> None:
        """When our own reading explained every byte, a failing library is no fact
        about the message: nothing can be lost."""
        if self.harmless:
            self.defects.append(
                Defect("tnef-library-error", "", f"{code}: {detail}"[:200])
            )
        else:
            self.defects.append(Defect(code, "", detail))

    def settle(self, status: int | None, used: float, cpu_seconds: int) -> None:
        """After the child: say why it did not get to the end, tidy up what it did not
        report; raises the OSError that it met."""
        if not self.ended:
            code, detail = self.why or self.cause(status, used, cpu_seconds)
            if self.stage == "library" and code != "limit-parts":
                self.library_failed(code, detail)
            else:
                self.defects.append(Defect(code, "", f"{detail} ({self.stage})"))
        for letter in "ot":
            start = f"{self.prefix}-{letter}"
            number = sum(file.startswith(start) for file in self.by_file)
            while True:
                number += 1
                try:
                    posix.unlink(f"{self.directory}/{start}{number}")
                except OSError:
                    break  # the next one is not there
        if self.failure is not None:
            raise self.failure

    def cause(
        self, status: int | None, used: float, cpu_seconds: int
    ) -> tuple[str, str]:
        if status is None:
            return "tnef-child-died", "no status"
        if posix.WIFSIGNALED(status):
            number = posix.WTERMSIG(status)
            if number == _signal.SIGXCPU or (
                number == _signal.SIGKILL and used >= cpu_seconds
            ):
                return "tnef-cpu-limit", f"{used:.1f} s"
            return "tnef-child-died", f"signal {number}"
        return "tnef-child-died", f"exit status {posix.WEXITSTATUS(status)}"


# From here on: the child.


def _child(
    parent: int,
    fd: int,
    pipe: int,
    size: int,
    directory: str,
    prefix: str,
    limits: tuple[int, int, int],
    costs: tuple[int, int],
) -> NoReturn:
    """The whole life of the child. Signals are blocked when it begins."""
    code = 1
    try:
        report = pipe
        starved = False
        try:
            report = _isolate(parent, fd, pipe, limits[2], *costs)
            _Out(report, directory, prefix, size, *limits).run()
            code = 0
        except OSError as error:
            _send(
                report, ("oserror", error.errno or errno.EIO, str(error.strerror)[:200])
            )
        except MemoryError:
            starved = True  # its traceback holds the memory until this block is left
        except Exception as error:  # noqa: BLE001 - reported as a defect
            _send(report, ("defect", "tnef-parser-error", "", _describe(error)))
            _send(report, ("end",))
        if starved:
            _send(report, ("defect", "tnef-memory-limit", "", "memory"))
            _send(report, ("end",))
    finally:
        posix._exit(code)


def _isolate(
    parent: int, fd: int, pipe: int, max_bytes: int, cpu_seconds: int, memory_bytes: int
) -> int:
    """Cut the child off: descriptors, signals, limits. The pipe's new number."""
    import resource

    posix.setsid()
    _die_with(parent)
    # Everything aside first, so that no dup2 hits what is still needed.
    blob = fcntl.fcntl(fd, fcntl.F_DUPFD, _PIPE + 1)
    report = fcntl.fcntl(pipe, fcntl.F_DUPFD, _PIPE + 1)
    null = posix.open("/dev/null", posix.O_RDWR)
    for number in (0, 1, 2):
        posix.dup2(null, number)
    posix.dup2(blob, _BLOB)
    posix.dup2(report, _PIPE)
    posix.closerange(_BLOB + 1, _PIPE)
    posix.closerange(_PIPE + 1, 1 << 20)
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
    _limit(resource.RLIMIT_CPU, cpu_seconds, 1)
    _limit(resource.RLIMIT_FSIZE, max_bytes)
    present = 0
    try:
        with open("/proc/self/statm", "rb", buffering=0) as file:
            present = int(file.read(64).split()[0]) * posix.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        pass
    _limit(resource.RLIMIT_AS, max(memory_bytes, present + min(memory_bytes, HEADROOM)))
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    return _PIPE


def _limit(which: int, value: int, more: int = 0) -> None:
    """Set the soft limit, the hard one ``more`` above it unless that is lower yet."""
    import resource

    hard = resource.getrlimit(which)[1]
    if hard == resource.RLIM_INFINITY or hard > value + more:
        hard = value + more
    resource.setrlimit(which, (min(value, hard), hard))


def _die_with(parent: int) -> None:
    """Have the kernel kill us when the parent dies. Best effort: the processor time
    limit ends an orphan too, it never waits for anything."""
    try:
        import _ctypes

        prctl = _ctypes.dlsym(_ctypes.dlopen(None, 2), "prctl")  # type: ignore[arg-type]
        _ctypes.call_function(prctl, (1, int(_signal.SIGKILL), 0, 0, 0))
    except (ImportError, AttributeError, OSError, TypeError):
        return
    if posix.getppid() != parent:
        posix._exit(1)


def _send(fd: int, record: tuple[Any, ...]) -> None:
    data = marshal.dumps(record)
    try:
        fdio.write_all(fd, len(data).to_bytes(4, "little") + data)
    except OSError:
        posix._exit(1)  # nobody listens any more


def _describe(error: BaseException) -> str:
    """Type, text and place of an exception, in one line."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        name = "/".join(trace.tb_frame.f_code.co_filename.split("/")[-2:])
        place = f" at {name}:{trace.tb_lineno}"
        trace = trace.tb_next
    text = "".join(c if c.isprintable() else "?" for c in str(error))
    return f"{type(error).__name__}: {text[:120]}{place}"


class _Out:
    """The child's work: readings in, files and records out."""

    def __init__(
        self,
        pipe: int,
        directory: str,
        prefix: str,
        size: int,
        max_depth: int,
        max_parts: int,
        max_bytes: int,
    ) -> None:
        try:
            from _hashlib import openssl_sha256
        except ImportError:
            from hashlib import sha256 as openssl_sha256
        self.sha256 = openssl_sha256
        self.pipe = pipe
        self.directory = directory
        self.prefix = prefix
        self.size = size
        self.max_depth = max_depth
        self.parts_left = max_parts
        self.bytes_left = max_bytes
        self.numbers = {"o": 0, "t": 0}
        self.sizes: set[int] = set()
        self.stored: dict[tuple[int, bytes], str] = {}
        self.limited: set[str] = set()
        # path -> file, offset and length of what our reading has there
        self.own: dict[str, list[tuple[str, int, int]]] = {}

    def send(self, *record: object) -> None:
        _send(self.pipe, record)

    def read(self, offset: int, length: int) -> bytes:
        return fdio.pread_all(_BLOB, length, offset)

    def run(self) -> None:
        from qscan import tnef

        self.send("stage", "own")
        reading = tnef.inspect(self.read, self.size, self.max_depth)
        hopeless = False
        for defect in reading.defects:
            code = _AS_LIMIT.get(defect.code, defect.code)
            self.send("defect", code, defect.where, defect.detail)
            if defect.code in _HOPELESS or (
                defect.code == "tnef-bad-signature" and defect.where == "offset 0"
            ):
                hopeless = True
        for attachment in reading.attachments:
            self.attachment(attachment)
        for body in reading.bodies:
            self.body(body)
        self.send("own", reading.harmless())
        if not hopeless and self.size:
            self.send("stage", "library")
            self.library(tnef.SIGNATURE)
        self.send("end")

    # Our own reading.

    def attachment(self, attachment: tnef.Attachment) -> None:
        named = False
        for offset, length, kind in attachment.spans:
            # The icon of a file, a property and stray bytes do not bear its name.
            of_it = kind in ("data", "binary", "object", "nested")
            named = named or of_it
            file = self.span(
                offset,
                length,
                attachment.path,
                attachment.names if of_it else [],
                "application/ms-tnef"
                if kind == "nested"
                else attachment.declared_type
                if of_it
                else "",
            )
            if file:
                places = self.own.setdefault(attachment.path, [])
                places.append((file, offset, length))
                if kind == "object":
                    # The library keeps the identifier that stands before it.
                    places.append((file, offset - 16, length + 16))
        if not named and attachment.names:
            self.span(0, 0, attachment.path, attachment.names, attachment.declared_type)

    def body(self, body: tnef.Body) -> None:
        from qscan import tnef

        if body.kind != "rtf":
            declared = "text/html" if body.kind == "html" else "text/plain"
            self.span(body.offset, body.length, body.path, [], declared)
            return
        limit = min(RTF_BYTES, self.bytes_left)
        odd: list[str] = []
        pieces = tnef.rtf(self.read, body.offset, body.length, limit, odd)
        self.store("o", pieces, body.path, [], "text/rtf")
        if "limit" in odd:
            self.limit("limit-expanded-bytes", f"{body.path} over {limit} bytes")
        elif odd:
            detail = f"{body.path}: {', '.join(odd)}"
            self.send("defect", "tnef-rtf", f"offset {body.offset}", detail)
        if odd:
            self.span(body.offset, body.length, body.path, [], "")

    def windows(self, offset: int, length: int) -> Iterable[bytes]:
        end = offset + length
        while offset < end:
            block = self.read(offset, min(fdio.WINDOW, end - offset))
            if not block:
                return
            yield block
            offset += len(block)

    def span(
        self, offset: int, length: int, path: str, names: list[str], declared: str
    ) -> str:
        """Store bytes of the blob: the file they are in, "" when over a limit."""
        if length in self.sizes:
            digest = self.sha256()
            for block in self.windows(offset, length):
                digest.update(block)
            known = self.stored.get((length, digest.digest()))
            if known is not None:
                self.more_names(known, names)
                return known
        if length > self.bytes_left:
            self.limit("limit-expanded-bytes", f"{path} has {length} bytes")
            return ""
        return self.store("o", self.windows(offset, length), path, names, declared)

    # The library's.

    def library(self, signature: bytes) -> None:
        enough = False
        try:
            enough = self.library_streams(signature)
        except MemoryError:
            pass  # its traceback holds the memory until this block is left
        if not enough:
            self.send("library", "tnef-memory-limit", "memory")

    def library_streams(self, signature: bytes) -> bool:
        """All streams that tnefparse finds, each by itself, with an explicit stack."""
        import logging
        import mmap

        logging.disable(100)
        parse = _library()
        blob = mmap.mmap(_BLOB, self.size, access=mmap.ACCESS_READ)
        stack: list[tuple[Any, str, int]] = [(blob, "", 0)]
        failed = False
        while stack:
            data, path, depth = stack.pop()
            try:
                attachments = parse(memoryview(data), False).attachments
            except OSError:
                raise
            except MemoryError:
                raise
            # It has no exception class of its own and raises whatever Python does.
            except Exception as error:  # noqa: BLE001
                if not failed:
                    self.send("library", "tnef-parser-error", _describe(error))
                failed = True
                continue
            for number, one in enumerate(attachments, 1):
                where = f"{path}tnef/{number}"
                content = one.data
                if not isinstance(content, bytes):
                    continue
                self.library_attachment(content, where, _library_names(one))
                embedded = getattr(one, "embed", None)
                inner = None if embedded is None else embedded.data
                if inner is None and content.startswith(signature):
                    inner = content
                if inner is not None and depth < self.max_depth:
                    stack.append((inner, where + "/", depth + 1))
        return True

    def library_attachment(self, content: bytes, path: str, names: list[str]) -> None:
        places = self.own.get(path, [])
        for file, offset, length in places:
            if self.is_variant(content, offset, length):
                self.more_names(file, names)
                return
        if not content:
            if places:
                self.more_names(places[0][0], names)
                return
            if not names:
                return
        known = self.stored.get((len(content), self.sha256(content).digest()))
        if known is not None:
            self.more_names(known, names)
        elif len(content) > self.bytes_left:
            self.limit("limit-expanded-bytes", f"{path} has {len(content)} bytes")
        else:
            self.store("t", (content,), path, names, "")

    def is_variant(self, content: bytes, offset: int, length: int) -> bool:
        """True when ``content`` is this span but for what the library does to it: it
        takes off trailing NULs and adds up to three bytes of padding."""
        if len(content) > length + 3 or (length and not content):
            return False
        at = 0
        for block in self.windows(offset, length):
            piece = content[at : at + len(block)]
            if not block.startswith(piece) or block[len(piece) :].strip(b"\0"):
                return False
            at += len(block)
        return True

    # Files and records.

    def limit(self, code: str, detail: str) -> None:
        if code not in self.limited:
            self.limited.add(code)
            self.send("defect", code, "", detail)

    def more_names(self, file: str, names: list[str]) -> None:
        if names:
            self.send("names", file, names)

    def store(
        self,
        letter: str,
        blocks: Iterable[bytes],
        path: str,
        names: list[str],
        declared: str,
    ) -> str:
        """Write a file unless its bytes are there already: the file they are in."""
        if self.parts_left <= 0:
            self.limit("limit-parts", "too many files")
            return ""
        file = f"{self.prefix}-{letter}{self.numbers[letter] + 1}"
        place = f"{self.directory}/{file}"
        digest = self.sha256()
        size = 0
        fd = posix.open(place, fdio.O_NEW, 0o600)
        try:
            for block in blocks:
                digest.update(block)
                fdio.write_all(fd, block)
                size += len(block)
        finally:
            posix.close(fd)
        known = self.stored.get((size, digest.digest()))
        if known is not None:
            posix.unlink(place)
            self.more_names(known, names)
            return known
        self.numbers[letter] += 1
        self.parts_left -= 1
        self.bytes_left -= size
        self.sizes.add(size)
        self.stored[size, digest.digest()] = file
        self.send("file", file, size, digest.hexdigest(), path, names, declared)
        return file


def _library() -> Any:
    """tnefparse's parser, made linear. It copies the rest of the file for every object
    and recurses into embedded messages: here it gets views and leaves those to us."""
    module: Any = __import__("tnefparse.tnef", None, None, ("TNEF",))
    plain_object = module.TNEFObject
    plain_stream = module.TNEF

    def copy_data(self: Any, data: object, do_checksum: bool = False) -> None:
        plain_object.__init__(self, data, False)
        self.data = bytes(self.data)

    def keep_data(self: Any, data: bytes, do_checksum: bool = True) -> None:
        self.data = data

    module.TNEFObject = type("TNEFObject", (plain_object,), {"__init__": copy_data})
    module.TNEF = type("TNEF", (plain_stream,), {"__init__": keep_data})
    return plain_stream


def _library_names(attachment: Any) -> list[str]:
    """The names tnefparse has; reading them may raise what decoding raises."""
    names: list[str] = []
    for attribute in ("long_filename", "name", "_name"):
        try:
            name = getattr(attachment, attribute)
            if callable(name):
                name = name()
        except (ValueError, LookupError, TypeError, AttributeError):
            continue
        if isinstance(name, bytes):
            if names:
                continue
            name = name.decode("latin_1")
        if isinstance(name, str):
            name = name.strip("\0")[:512]
            if name and name not in names:
                names.append(name)
    return names
