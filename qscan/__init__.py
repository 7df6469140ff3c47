# SPDX-License-Identifier: MIT
"""qscan: the program behind QMAILQUEUE that scans mail on its way into qmail."""

__version__ = "0.1.0"

# The second half of the bundle (bundle.py), until pipeline.py loads it.
rest: tuple[object, bytes] | None = None
