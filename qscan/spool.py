# SPDX-License-Identifier: MIT
"""The work directory of one message.

States of ``SPOOL/work/ID`` (ID = hexadecimal seconds . pid . random):

==============  ====================================  =================================
state           who is in it                          how it ends
==============  ====================================  =================================
directory only  a process between mkdir and open      the process; ``-z`` after GRACE
``envelope``    locked by its process (flock): live   removed by that process before
                                                      exec or exit
``envelope``    not locked: its process was killed    ``-z`` (stale)
others inside   ``message``, ``i<n>`` parts: belong   with the directory
                to ``envelope``
==============  ====================================  =================================

The lock is on the envelope because the descriptor of the message is handed to clamd,
and a lock lives as long as anybody's copy of a descriptor (flock(2)).

Nothing here is ever promised to anybody: the sender has no answer yet, so nothing is
fsynced, and a crash loses only what the sender still has. When qmail-queue is started
the directory is gone; the two open descriptors are all that is left of it.

Owner and modes: the directory belongs to whoever runs us, mode 0700, files 0600. Under
tcpserver that is ``qmaild:nofiles`` without supplementary groups, so ``SPOOL/work`` is
group nofiles, mode 1770: its group may make directories, nobody else may look.
Names come from us alone, never from the mail.

Raises: OSError as the kernel says it (the caller turns it into 53).
"""

import fcntl
import posix
import time

from qscan.fdio import O_NEW, remove

GRACE = 60  # seconds that a directory may be without a locked envelope
RESERVE = 1024  # bytes kept at the head of ``message`` for our own header lines

# clamd sees the room as well, so it is a valid header field, and one that makes clamd
# take the file for mail whatever the message itself begins with.
_FIRST = b"Received: by qscan; room for header lines\n"
_FOLD = b"\t" + b"." * 62 + b"\n"
ROOM = _FIRST + _FOLD * ((RESERVE - len(_FIRST)) // len(_FOLD))
ROOM += b"\t" + b"." * (RESERVE - len(ROOM) - 2) + b"\n"


class Work:
    """One work directory. ``fd`` the message, ``envelope`` its envelope (-1: none)."""

    __slots__ = ("directory", "envelope", "fd", "id")

    def __init__(self, parent: str, identity: str) -> None:
        self.id = identity
        self.directory = f"{parent}/{identity}"
        self.fd = -1
        self.envelope = -1

    def open(self) -> None:
        """Make it; raises OSError and leaves nothing then."""
        posix.mkdir(self.directory, 0o700)
        try:
            self.envelope = posix.open(self.directory + "/envelope", O_NEW, 0o600)
            fcntl.flock(self.envelope, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.fd = posix.open(self.directory + "/message", O_NEW, 0o600)
        except BaseException:
            self.abandon()
            raise

    def remove(self) -> None:
        """Remove directory and files, keep the descriptors; never raises OSError."""
        remove_directory(self.directory)

    def abandon(self) -> None:
        """Close the descriptors, remove everything: an ending without delivery.

        Closing comes first: reading the directory may need one of the descriptors.
        """
        for fd in (self.fd, self.envelope):
            if fd >= 0:
                try:
                    posix.close(fd)
                except OSError:
                    # Late write errors of data that is thrown away.
                    continue
        self.fd = self.envelope = -1
        self.remove()


def identity() -> str:
    """A name that nobody can guess and that tells its age and process."""
    return f"{int(time.time()):x}.{posix.getpid()}.{posix.urandom(6).hex()}"


def remove_directory(directory: str) -> bool:
    """Unlink the files in a work directory and the directory; True when it is gone."""
    try:
        # What nearly every message has, without a descriptor for reading names.
        for name in ("message", "envelope"):
            remove(f"{directory}/{name}")
        try:
            posix.rmdir(directory)
        except OSError:
            for name in posix.listdir(directory):
                remove(f"{directory}/{name}")
            posix.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
