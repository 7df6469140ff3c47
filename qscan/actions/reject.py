# SPDX-License-Identifier: MIT
"""How a refusal or deferral is told: the dialects of qmail's custom error text.

Does: compose text and exit code, write the text where the dialect says. Never does:
write to a descriptor that is not surely the caller's reject pipe.
Source: contract of QMAILQUEUE callers (notqmail qmail.c; netqmail's
qmail-queue-custom-error.patch; IndiMail qmail_open).
"""

import posix

from qscan.fdio import write_all
from qscan.outcomes import CUSTOM_TEXT_EXIT, INDIMAIL_TEXT_EXIT, Outcome

TEXT = 254  # bytes after the letter: notqmail reads 255
NOTQMAIL_FD = 6
NETQMAIL_FD = 4
STDERR_FD = 2


def clean(text: str) -> str:
    """One line of printable ASCII for an SMTP reply."""
    return "".join(c if 32 <= ord(c) < 127 else "?" for c in text)


def compose(outcome: Outcome, public: str, identity: str) -> str:
    """The text without its letter, at most TEXT characters; status code and id stay
    whole when the text must be cut."""
    tail = f" (#{outcome.dsn}) [{identity}]" if identity else f" (#{outcome.dsn})"
    head = clean(public or outcome.text)[: TEXT - len(tail)]
    return head + clean(tail)


def channel(
    dialect: str, pipes: dict[int, bool], environment: dict[bytes, bytes]
) -> tuple[int, int]:
    """(descriptor, exit code) for custom text; (-1, 0) when there is no way.

    ``pipes`` says which of descriptors 4 and 6 were open pipes for writing when we
    were started; a descriptor that was not is never written to.
    """
    if dialect == "notqmail" and pipes[NOTQMAIL_FD]:
        return NOTQMAIL_FD, CUSTOM_TEXT_EXIT
    if dialect == "netqmail" and pipes[NETQMAIL_FD]:
        return NETQMAIL_FD, CUSTOM_TEXT_EXIT
    if dialect == "stderr":
        return STDERR_FD, CUSTOM_TEXT_EXIT
    if dialect == "indimail":
        text = environment.get(b"ERROR_FD", b"2")
        if text.isdigit() and len(text) < 4:
            return int(text), INDIMAIL_TEXT_EXIT
    if dialect == "auto":
        for fd in (NOTQMAIL_FD, NETQMAIL_FD):
            if pipes[fd]:
                return fd, CUSTOM_TEXT_EXIT
    return -1, 0


def tell(outcome: Outcome, text: str, way: tuple[int, int]) -> int:
    """Write the text; returns the exit code. Without a way, or when it cannot be
    written, the plain exit code of the outcome says it."""
    fd, code = way
    if fd < 0 or not text:
        return outcome.code
    try:
        write_all(fd, (outcome.letter + text).encode("ascii", "replace"))
    except OSError:
        return outcome.code
    return code
