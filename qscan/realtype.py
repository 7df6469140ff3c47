# SPDX-License-Identifier: MIT
"""libmagic through python-magic, for what our own table does not know.

Does: name the type of items whose head says only octet-stream or text. Never does:
search for the library with helper programs (``ctypes.util.find_library`` starts two).
Used with ``scan.types = "libmagic"``; costs about 20 ms a message.
"""

import ctypes.util

from qscan.model import Item

LIBRARY = "libmagic.so.1"
VAGUE = ("application/octet-stream", "text/plain")


def load() -> object:
    """A python-magic detector for media types; raises ImportError or OSError."""
    search = ctypes.util.find_library
    ctypes.util.find_library = _fixed
    try:
        import magic
    finally:
        ctypes.util.find_library = search
    return magic.Magic(mime=True)


def _fixed(name: str) -> str | None:
    return LIBRARY if name in ("magic", "magic1", "magic-1") else None


def improve(items: list[Item]) -> None:
    """Replace vague types by what libmagic says of the same first bytes."""
    detector = None
    for item in items:
        if item.head and item.detected_type in VAGUE:
            if detector is None:
                detector = load()
            item.detected_type = detector.from_buffer(item.head)  # type: ignore[attr-defined]
