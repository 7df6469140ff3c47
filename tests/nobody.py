# SPDX-License-Identifier: MIT
"""Running something as somebody without rights."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from harness import REPOSITORY

NOBODY = 65534


def as_nobody() -> dict[str, object]:
    """Arguments for ``subprocess.run``. Skips the test where nobody but root can
    reach the interpreter or this checkout (a version manager below /root)."""
    if os.getuid() != 0:
        return {}
    arguments: dict[str, object] = {
        "user": NOBODY,
        "group": NOBODY,
        "extra_groups": [],
        "cwd": REPOSITORY,
    }
    probe = [sys.executable, "-c", "import qscan.compiler"]
    try:
        done = subprocess.run(probe, capture_output=True, check=False, **arguments)  # type: ignore[call-overload]
    except PermissionError:
        pytest.skip(f"only root can reach {sys.executable}")
    if done.returncode:
        pytest.skip("only root can reach the installation")
    return arguments
