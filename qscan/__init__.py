# SPDX-License-Identifier: MIT
"""qscan: the program behind QMAILQUEUE that scans mail on its way into qmail."""

__version__ = "0.1.0"
