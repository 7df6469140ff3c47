# SPDX-License-Identifier: MIT
"""The flags of ``qscan-queue``, those of qmail-scanner: ``-z``, ``-v``, ``-h``."""

import posix

from qscan import __version__, settings, sweep
from qscan.fdio import Failure
from qscan.outcomes import BY_NAME

USAGE = """usage: qscan-queue [-z | -v | -h]
Without a flag: the program for QMAILQUEUE (message on 0, envelope on 1).
-z  remove what killed scans left behind, note clamd's version
-v  print the version
-h  print this
"""
WRONG_USE = 100


def run(arguments: list[str], settings_path: str) -> int:
    """Exit code: 0 done, 1 something could not be removed, 55 no settings, 100 wrong
    use."""
    if arguments == ["-h"]:
        posix.write(1, USAGE.encode())
        return 0
    if arguments == ["-v"]:
        posix.write(1, f"qscan {__version__}\n".encode())
        return 0
    if arguments == ["-z"]:
        try:
            values = settings.load(settings_path).values
        except Failure as failure:
            posix.write(2, f"qscan-queue: fatal: {failure.why}\n".encode())
            return BY_NAME["config"].code
        code, line = sweep.run(values)
        posix.write(1 if not code else 2, line.encode() + b"\n")
        return code
    posix.write(2, USAGE.encode())
    return WRONG_USE
