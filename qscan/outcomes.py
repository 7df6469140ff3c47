# SPDX-License-Identifier: MIT
"""The one table of endings: what a caller of qmail-queue is told.

Does: name every ending, its exit code (qmail-queue(8), notqmail qmail.c), whether it
is permanent, its enhanced status code (RFC 3463) and the text for the SMTP client.
Never does: decide. The texts name no path and no setting.
"""


class Outcome:
    """A row: ``code`` exit code, ``letter`` D permanent, Z temporary, K accepted."""

    __slots__ = ("code", "dsn", "letter", "name", "text")

    def __init__(self, name: str, code: int, letter: str, dsn: str, text: str) -> None:
        self.name = name
        self.code = code
        self.letter = letter
        self.dsn = dsn
        self.text = text


# Worst first: when two things end a message, the one higher up is reported. An
# incomplete message can be neither delivered nor refused for its content.
TABLE = (
    Outcome("internal", 81, "Z", "4.3.0", "internal error, try again later"),
    Outcome("memory", 51, "Z", "4.3.0", "out of memory, try again later"),
    Outcome("config", 55, "Z", "4.3.0", "mail system is being configured"),
    Outcome("read", 54, "Z", "4.3.0", "message or envelope could not be read"),
    Outcome("write", 53, "Z", "4.3.0", "cannot store the message, try again later"),
    Outcome("timeout", 52, "Z", "4.3.0", "took too long, try again later"),
    Outcome("envelope", 91, "Z", "4.3.0", "envelope format error"),
    Outcome("address", 11, "D", "5.1.3", "envelope address too long"),
    Outcome("exec", 120, "Z", "4.3.0", "cannot hand over to the mail queue"),
    Outcome("refused", 31, "D", "5.7.1", "message refused"),
    Outcome("deferred", 71, "Z", "4.3.0", "cannot be checked now, try again later"),
    Outcome("dropped", 0, "K", "2.0.0", "accepted"),
    Outcome("delivered", 0, "K", "2.0.0", "accepted"),
)

BY_NAME = {row.name: row for row in TABLE}

# Where custom text goes, both letters D and Z (contract: qmail reject dialects).
CUSTOM_TEXT_EXIT = 82
INDIMAIL_TEXT_EXIT = 88
