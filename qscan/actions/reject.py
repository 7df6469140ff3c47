# SPDX-License-Identifier: MIT
"""How a refusal or deferral is told: the dialects of qmail's custom error text.

Does: compose text and exit code, write the text where the dialect says. Never does:
write to a descriptor that is not surely the caller's reject pipe.
Source: contract of QMAILQUEUE callers (notqmail qmail.c; netqmail's
qmail-queue-custom-error.patch; IndiMail qmail_open).
"""

import posix
import select

from qscan.outcomes import CUSTOM_TEXT_EXIT, INDIMAIL_TEXT_EXIT, Outcome

TEXT = 254  # bytes after the letter: notqmail reads 255
NOTQMAIL_FD = 6
NETQMAIL_FD = 4
STDERR_FD = 2
FIXED = {"notqmail": NOTQMAIL_FD, "netqmail": NETQMAIL_FD, "stderr": STDERR_FD}


def clean(text: str) -> str:
    """One line of printable ASCII for an SMTP reply."""
    return "".join(c if 32 <= ord(c) < 127 else "?" for c in text)


def compose(outcome: Outcome, public: str, identity: str) -> str:
    """The text without its letter, at most TEXT characters; status code and id stay
    whole when the text must be cut."""
    tail = f" (#{outcome.dsn}) [{identity}]" if identity else f" (#{outcome.dsn})"
    head = clean(public or outcome.text)[: TEXT - len(tail)]
    return head + clean(tail)


def channel(dialect: str, pipes: list[int], indimail: int) -> tuple[int, int]:
    """(descriptor, exit code) for custom text; (-1, 0) when there is no way.

    ``pipes`` are the candidates that were open pipes for writing when we were started;
    what was not is never written to: by now it may be a file of ours.
    """
    if dialect == "auto":
        wanted = [NOTQMAIL_FD, NETQMAIL_FD]
    elif dialect == "indimail":
        wanted = [indimail]
    else:
        wanted = [FIXED[dialect]] if dialect in FIXED else []
    for fd in wanted:
        if fd in pipes:
            return fd, (
                INDIMAIL_TEXT_EXIT if dialect == "indimail" else CUSTOM_TEXT_EXIT
            )
    return -1, 0


def tell(outcome: Outcome, text: str, way: tuple[int, int]) -> int:
    """Write the text; returns the exit code. Without a way, or when it cannot be
    written at once, the plain exit code of the outcome says it."""
    fd, code = way
    if fd < 0 or not text:
        return outcome.code
    try:
        # A pipe that polls writable takes PIPE_BUF bytes without blocking (pipe(7)).
        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        ready = poll.poll(0)
        if not ready or ready[0][1] != select.POLLOUT:
            return outcome.code
        posix.write(fd, (outcome.letter + text).encode("ascii", "replace"))
    except OSError:
        return outcome.code
    return code
