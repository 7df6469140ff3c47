# SPDX-License-Identifier: MIT
"""``qscan-queue -z``: removes what killed processes left, and asks clamd's version.

Does: sweep stale work directories (spool.py has their states), refresh the version
line that goes into log and header. Never does: touch a directory whose process lives.
"""

import fcntl
import posix
import time

from qscan import spool
from qscan.fdio import O_READ, Deadline, publish, remove
from qscan.scanners.clamd import Address
from qscan.settings import Value

UNFINISHED = 129600  # seconds (36 hours): what maildir(5) gives a name in tmp
VERSION_FILE = "clamd-version"


def sweep(parent: str, now: float) -> tuple[int, int, int]:
    """(removed, live, not removable) of the directories below ``parent``."""
    removed = live = stuck = 0
    for name in sorted(posix.listdir(parent)):
        directory = f"{parent}/{name}"
        try:
            if not is_work_name(name) or not is_stale(directory, now):
                live += 1
                continue
        except FileNotFoundError:
            continue
        except OSError:
            stuck += 1
            continue
        if spool.remove_directory(directory):
            removed += 1
        else:
            stuck += 1
    return removed, live, stuck


def sweep_quarantine(root: str, now: float) -> int:
    """Remove what a killed process left unfinished below QUARANTINE/CLASS (states in
    actions/quarantine.py) once it is older than UNFINISHED; returns how many."""
    removed = 0
    for folder in _names(root):
        base = f"{root}/{folder}"
        finished = set(_names(f"{base}/new")) | {
            name.partition(":")[0] for name in _names(f"{base}/cur")
        }
        stale = [f"{base}/tmp/{name}" for name in _names(f"{base}/tmp")]
        for name in _names(f"{base}/info"):
            if name.removesuffix(".json") not in finished:
                stale.append(f"{base}/info/{name}")
        for path in stale:
            try:
                if now - posix.stat(path).st_mtime > UNFINISHED:
                    remove(path)
                    removed += 1
            except FileNotFoundError:
                continue
    return removed


def _names(folder: str) -> list[str]:
    try:
        return posix.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def is_work_name(name: str) -> bool:
    """True for names that spool.identity makes."""
    fields = name.split(".")
    if len(fields) != 3 or not fields[1].isdigit():
        return False
    return all(
        field and not field.strip("0123456789abcdef")
        for field in (fields[0], fields[2])
    )


def is_stale(directory: str, now: float) -> bool:
    """True when no process holds the lock of the envelope in it."""
    if posix.lstat(directory).st_mode & 0o170000 != 0o040000:
        return False  # not ours: a link must never lead the sweep elsewhere
    try:
        fd = posix.open(directory + "/envelope", O_READ)
    except FileNotFoundError:
        return now - posix.stat(directory).st_mtime > spool.GRACE
    try:
        if now - posix.fstat(fd).st_ctime <= 1:
            return False  # it may be between open and flock
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        posix.close(fd)
    return True


def clamd_version(address: str, seconds: float) -> str:
    """What clamd answers to VERSION; raises OSError."""
    deadline = Deadline(seconds)
    connection = Address(address).connect(seconds)
    reply = b""
    try:
        connection.sendall(b"zVERSION\0")
        while not reply.endswith(b"\0") and len(reply) < 512:
            connection.settimeout(max(0.001, deadline.left()))
            data = connection.recv(512)
            if not data:
                break
            reply += data
    finally:
        connection.close()
    text = reply.rstrip(b"\0").decode("ascii", "replace")
    return "".join(c for c in text if 32 <= ord(c) < 127)[:80]


def run(values: dict[str, Value]) -> tuple[int, str]:
    """(exit code, one line that says what was done)."""
    folder = str(values["spool_dir"])
    try:
        removed, live, stuck = sweep(folder + "/work", time.time())
        root = str(values["quarantine.dir"]) or folder + "/quarantine"
        unfinished = sweep_quarantine(root, time.time())
    except OSError as error:
        return 1, f"qscan-queue: -z: {error}"
    try:
        address = str(values["clamd.address"])
        version = clamd_version(address, float(str(values["clamd.connect_seconds"])))
    except OSError as error:
        version = ""
        note = f"clamd does not answer ({error})"
    else:
        note = version
    try:
        if version:
            temporary = f"{folder}/.{VERSION_FILE}.{posix.getpid()}"
            remove(temporary)
            publish(temporary, f"{folder}/{VERSION_FILE}", version.encode(), 0o644)
    except OSError as error:
        note += f", not recorded ({error})"
    line = f"qscan-queue: -z: removed {removed}, live {live}, stuck {stuck}, "
    line += f"unfinished {unfinished}; {note}"
    return (1 if stuck else 0), line
