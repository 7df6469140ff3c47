# SPDX-License-Identifier: MIT
"""``python -m qscan.cli``."""

import sys

from qscan.cli import main

if __name__ == "__main__":
    sys.exit(main())
