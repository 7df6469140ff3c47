# SPDX-License-Identifier: MIT
"""The envelope on descriptor 1: ``F<sender>\\0 T<recipient>\\0 ... \\0``.

Does: check the grammar of qmail-queue(8) incrementally, in bounded memory.
Never does: I/O, change a byte.
Raises: ``Failure`` with outcome envelope (91), address (11) or read (54).
Limits: an address of 1003 bytes or more is too long, as qmail-queue's ADDR has it; the
first KEPT recipients are remembered, all are counted.
"""

from qscan.fdio import Failure
from qscan.model import Envelope

ADDRESS_LIMIT = 1003  # bytes with the NUL: qmail-queue.c, ADDR
KEPT = 1000


class Parser:
    """Feed it what comes, ``finish`` at end of file."""

    __slots__ = ("count", "done", "recipients", "rest", "sender")

    def __init__(self) -> None:
        self.rest = b""
        self.sender: bytes | None = None
        self.recipients: list[bytes] = []
        self.count = 0
        self.done = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes; raises Failure at the first violation."""
        if self.done:
            raise Failure("envelope", "bytes after the end of the envelope")
        fields = (self.rest + data).split(b"\0")
        self.rest = fields.pop()
        for position, field in enumerate(fields):
            if not field:
                # Only the terminator is an empty field, and nothing follows it.
                if self.sender is None:
                    raise Failure("envelope", "envelope does not begin with F")
                self.done = True
                if position + 1 < len(fields) or self.rest:
                    raise Failure("envelope", "bytes after the end of the envelope")
                return
            self._field(field)
        if self.rest:
            self._check_letter(self.rest)
            if len(self.rest) > ADDRESS_LIMIT:
                raise Failure("address", "envelope address too long")

    def _check_letter(self, field: bytes) -> None:
        letter = b"F" if self.sender is None else b"T"
        if not field.startswith(letter):
            raise Failure(
                "envelope",
                "envelope does not begin with F"
                if self.sender is None
                else f"recipient {self.count + 1} does not begin with T",
            )

    def _field(self, field: bytes) -> None:
        self._check_letter(field)
        # field = letter + address without its NUL; the limit counts address + NUL
        if len(field) > ADDRESS_LIMIT:
            raise Failure("address", "envelope address too long")
        if self.sender is None:
            self.sender = field[1:]
            return
        self.count += 1
        if self.count <= KEPT:
            self.recipients.append(field[1:])

    def finish(self) -> Envelope:
        """The envelope; raises Failure(read) when it did not end with its NUL."""
        if not self.done or self.sender is None:
            raise Failure("read", "end of file before the end of the envelope")
        return Envelope(self.sender, self.recipients, self.count)
