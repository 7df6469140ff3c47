# SPDX-License-Identifier: MIT
"""A strict stand-in for qmail-queue(8).

The harness writes it out with a first line naming an interpreter (``-IS``). It reads
the message from the *current* offset of descriptor 0 to end of file, then the envelope
from descriptor 1 by the grammar ``F<sender>NUL (T<recipient>NUL)* NUL``, as the real
program does, but it also complains about everything the real one would never notice.

Beside the program lies the directory ``<program>.d``:

========  ==================================================================
starts    one line (pid) for every start, whatever happens then
control   what to do, lines ``key=value`` (absent: queue the message)
tmp/      where a delivery is written
new/      finished deliveries: directories ``message envelope state``,
          renamed from tmp/ as the last step before exit 0
faults    one line for every breach of the descriptor protocol
========  ==================================================================

Keys of ``control``: ``allow`` (descriptors besides 0, 1, 2 that the caller passed),
``early`` (exit with that code before reading), ``exit`` (read all, store nothing, exit
with that code), ``signal`` (read all, die by that signal), ``late-exit`` (store, then
exit with that code), ``hang`` (``before`` or ``after`` reading: make a file
``hanging.<pid>`` and wait to be killed), ``timer`` (a running timer is no breach).

``state`` is the repr of a dict of what was inherited: descriptors, environment, limits,
signals, timers, umask, working directory, ids.

Exit codes: 0 queued; 11, 54, 91 as qmail-queue.c has them; 53 cannot write; 98 breach
of the descriptor protocol.
"""

import os
import signal
import sys

#: qmail-queue.c: an address has to be shorter than this, the NUL not counted.
ADDRESS_LIMIT = 1003
BREACH = 98
HOME = os.path.abspath(__file__) + ".d"


class Refused(Exception):
    """The envelope or the message is not to be queued; args: exit code, why."""


def control() -> dict[str, str]:
    """The script of this run."""
    try:
        with open(HOME + "/control", encoding="ascii") as file:
            return dict(line.rstrip("\n").split("=", 1) for line in file)
    except FileNotFoundError:
        return {}


def descriptors() -> dict[int, tuple[str, int, int]]:
    """Open descriptors: number -> (target, status flags, offset or -1)."""
    import fcntl

    found = {}
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
            flags = fcntl.fcntl(number, fcntl.F_GETFL)
        except OSError:
            continue  # the descriptor of the listing itself
        try:
            offset = os.lseek(number, 0, os.SEEK_CUR)
        except OSError:
            offset = -1
        found[number] = (target, flags, offset)
    return found


def inherited() -> dict[str, object]:
    """What the program before us left us with."""
    mask = os.umask(0)
    os.umask(mask)
    with open("/proc/self/limits", encoding="ascii") as file:
        limits = file.read()
    with open("/proc/self/environ", "rb") as raw:
        environment = [entry for entry in raw.read().split(b"\0") if entry]
    with open("/proc/self/status", encoding="utf-8") as file:
        signals = {
            line[:6]: int(line[7:], 16)
            for line in file
            if line[:6] in ("SigPnd", "SigBlk", "SigIgn", "SigCgt")
        }
    return {
        "argv": sys.argv,
        "cwd": os.getcwd(),
        "environment": environment,
        "groups": sorted(os.getgroups()),
        "ids": (os.getuid(), os.geteuid(), os.getgid(), os.getegid()),
        "limits": limits,
        "nice": os.nice(0),
        "pid": os.getpid(),
        "ppid": os.getppid(),
        "session": (os.getsid(0), os.getpgrp()),
        "signals": signals,
        "timers": [signal.getitimer(number) for number in range(3)],
        "umask": mask,
    }


def breaches(state: dict[str, object], script: dict[str, str]) -> list[str]:
    """Everything about the descriptors and signals that no caller of ours may do."""
    found = []
    open_now = state["fds"]
    assert isinstance(open_now, dict)
    allowed = {0, 1, 2} | {int(n) for n in script.get("allow", "").split()}
    for number in sorted(set(open_now) - allowed):
        found.append(f"descriptor {number} is open: {open_now[number][0]}")
    for number in (0, 1):
        if number not in open_now:
            found.append(f"descriptor {number} is closed")
        elif open_now[number][1] & (os.O_NONBLOCK | os.O_APPEND):
            found.append(f"descriptor {number} has odd flags {open_now[number][1]:o}")
    signals = state["signals"]
    assert isinstance(signals, dict)
    if signals["SigBlk"]:
        found.append(f"signals are blocked: {signals['SigBlk']:x}")
    if "timer" not in script and state["timers"] != [(0.0, 0.0)] * 3:
        found.append(f"a timer is running: {state['timers']}")
    if len(sys.argv) != 1:
        found.append(f"called with arguments: {sys.argv}")
    return found


def copy_message(target: int) -> None:
    """Descriptor 0, from where it stands, to end of file."""
    while True:
        try:
            data = os.read(0, 65536)
        except OSError as error:
            raise Refused(54, f"message: {error}") from None
        if not data:
            return
        view = memoryview(data)
        while view:
            view = view[os.write(target, view) :]


def read_envelope() -> bytes:
    """Descriptor 1 to end of file, if the grammar allows it."""
    pieces = []
    while True:
        try:
            data = os.read(1, 65536)
        except OSError as error:
            raise Refused(54, f"envelope: {error}") from None
        if not data:
            break
        pieces.append(data)
    raw = b"".join(pieces)
    at = 0
    letter = b"F"
    while True:
        if at >= len(raw):
            raise Refused(54, "envelope ends before the last NUL")
        if letter == b"T" and raw[at] == 0:
            break
        if raw[at : at + 1] != letter:
            raise Refused(91, f"{raw[at : at + 1]!r} where {letter!r} has to be")
        end = raw.find(b"\0", at + 1)
        if (end if end >= 0 else len(raw)) - at - 1 >= ADDRESS_LIMIT:
            raise Refused(11, "address too long")
        if end < 0:
            raise Refused(54, "envelope ends inside an address")
        at = end + 1
        letter = b"T"
    if at + 1 != len(raw):
        raise Refused(BREACH, f"{len(raw) - at - 1} bytes after the envelope")
    return raw


def note(name: str, text: str) -> None:
    """Append one line to a file of ours, whole."""
    target = os.open(
        f"{HOME}/{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666
    )
    os.write(target, (text + "\n").encode("utf-8", "backslashreplace"))
    os.close(target)


def hang() -> None:
    """Say that we hang, and do it until a signal ends us."""
    note(f"hanging.{os.getpid()}", "waiting")
    while True:
        signal.pause()


def store(name: str, text: bytes) -> None:
    """One small file of a delivery."""
    with open(name, "wb") as file:
        file.write(text)


def main() -> int:
    """One run."""
    state: dict[str, object] = {"fds": descriptors()}
    state.update(inherited())
    os.umask(0)
    note("starts", str(os.getpid()))
    script = control()
    found = breaches(state, script)
    for fault in found:
        note("faults", fault)
    if found:
        return BREACH
    if "early" in script:
        return int(script["early"])
    if script.get("hang") == "before":
        hang()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    name = f"{state['pid']}.{os.urandom(8).hex()}"
    work = f"{HOME}/tmp/{name}"
    try:
        os.mkdir(work, 0o777)
        target = os.open(work + "/message", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        copy_message(target)
        os.close(target)
        envelope = read_envelope()
        store(work + "/envelope", envelope)
        store(work + "/state", repr(state).encode("ascii", "backslashreplace"))
    except Refused as refusal:
        if refusal.args[0] == BREACH:
            note("faults", refusal.args[1])
        return int(refusal.args[0])
    except OSError:
        return 53
    if script.get("hang") == "after":
        hang()
    if "signal" in script:
        number = int(script["signal"])
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return BREACH
    if "exit" in script:
        return int(script["exit"])
    os.rename(work, f"{HOME}/new/{name}")
    return int(script.get("late-exit", "0"))


if __name__ == "__main__":
    code = main()
    # Leave as the real one does: nothing that Python might still want to say.
    os._exit(code)
