# SPDX-License-Identifier: MIT
"""libmagic through python-magic, for what our own table does not know.

Does: name the type of items whose head says only octet-stream or text. Never does:
overrule our own table, so that an old or damaged database hides nothing; search for the
library with helper programs (``ctypes.util.find_library`` starts two).
Used with ``scan.types = "libmagic"``; costs about 20 ms a message.
Raises: fdio.Failure "config" when the library or its database cannot be used.
"""

import ctypes.util

from qscan.fdio import Failure
from qscan.model import Item

LIBRARY = "libmagic.so.1"
VAGUE = ("application/octet-stream", "text/plain")


def load() -> object:
    """A python-magic detector for media types; raises Failure."""
    search = ctypes.util.find_library
    ctypes.util.find_library = _fixed
    try:
        import magic

        return magic.Magic(mime=True)
    except Exception as error:
        # ImportError without the library; its own error for a bad database.
        why = f'scan.types = "libmagic" cannot be used: {error}'
        raise Failure("config", why) from error
    finally:
        ctypes.util.find_library = search


def _fixed(name: str) -> str | None:
    return LIBRARY if name in ("magic", "magic1", "magic-1") else None


def improve(items: list[Item]) -> None:
    """Replace vague types by what libmagic says of the same first bytes."""
    detector = None
    for item in items:
        if item.head and item.detected_type in VAGUE:
            if detector is None:
                detector = load()
            found = _ask(detector, item.head)
            if "/" in found and not found.startswith("inode/"):
                item.detected_type = found


def _ask(detector: object, head: bytes) -> str:
    """What libmagic calls it; "" when it cannot tell."""
    import magic

    try:
        return str(detector.from_buffer(head))  # type: ignore[attr-defined]
    except magic.MagicException:
        return ""
