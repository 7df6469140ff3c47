# SPDX-License-Identifier: MIT
r"""RTF: the objects in it (Rich Text Format Specification 1.9.1).

Does: find every ``\objdata``, decode its hexadecimal digits with what attackers put
between them (blanks, groups, control words, ``\bin``), take the OLE 1.0 object apart.
Where a group stands inside the digits readers differ: the digits in it count or not;
both readings are members. Says whether there are links, remote templates, DDE fields.
Never does: parse the text.
Limits: TOKENS pieces of all objects, ARGUMENT bytes of a control word's text, ARGUMENTS
of them.
"""

from __future__ import annotations

import re

from qscan.archives.documents import embedded, window
from qscan.archives.documents.facts import DECODED, Facts, Member

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qscan.archives.documents.facts import Read

TOKENS = 4_000_000
NESTED = 20  # objects within the digits of others
ARGUMENT = 600
ARGUMENTS = 50_000
TAIL = 64  # bytes at the end of a block in which a control word may be cut
LEAST = 8  # bytes; less is no object
COMPOUND = b"\xd0\xcf\x11\xe0"
KEY = re.compile(rb"\\(objdata|objautlink|objlink|template|objclass|fldinst)(?![a-z])")
TOKEN = re.compile(
    rb"([0-9A-Fa-f]+)"
    rb"|(\\bin(-?\d{0,10}) ?)"
    rb"|(\\(?:'[0-9A-Fa-f]{0,2}|[a-zA-Z]{1,40}-?\d{0,20} ?|[\s\S]?))"
    rb"|([{}])"
    rb"|[^0-9A-Fa-f\\{}]+"
)
REMOTE = re.compile(rb"(?:https?:|ftp:|file:|\\\\|//).{1,300}", re.IGNORECASE)
ESCAPE = re.compile(
    rb"\\'([0-9A-Fa-f]{2})|\\u(-?\d{1,6}) ?\??|(\\\\)|\\[a-z]{1,32}-?\d{0,10} ?"
    rb"|\\\*|[{}\r\n]"
)
# What can become "DDE", also where the text ends before it begins.
FIELD = re.compile(
    rb"(?:\\(?!u-?\d)[a-z]{1,32}-?\d{0,10} ?|\\\*|[{}\s\"])*+(?:[Dd]|\\[u']|\\?\Z)"
)
DDE = re.compile(rb"DDE(?:AUTO)?\b", re.IGNORECASE)


def inspect(read: Read, size: int) -> Facts:
    """The facts and objects of one RTF text."""
    facts = Facts()
    facts.media_type = "text/rtf"
    budget = TOKENS
    done = inside = arguments = 0
    for offset, match in window.search(read, KEY, 0, size):
        word = match[1]
        after = offset + match.end() - match.start()
        if word == b"objdata":
            inside = inside + 1 if offset < done else 0
            if inside > NESTED:
                facts.note("limit-depth", "objects of RTF")
                continue
            digits = Digits(read, size, facts, budget)
            done = max(done, digits.run(after, offset))
            budget = digits.budget
            continue
        if word in (b"objautlink", b"objlink"):
            facts.note("document-external-link", "linked object", offset)
            continue
        at = match.end()
        if word == b"fldinst" and not FIELD.match(match.string, at, at + ARGUMENT):
            continue
        arguments += 1
        if arguments > ARGUMENTS:
            facts.note("limit-parts", "RTF: fields")
            break
        raw = match.string[at : at + ARGUMENT]
        if len(raw) < ARGUMENT and after + len(raw) < size:
            raw = read(after, ARGUMENT)
        argument(facts, word, raw, offset)
    return facts


def argument(facts: Facts, word: bytes, raw: bytes, offset: int) -> None:
    """What the text behind a control word tells."""
    if word == b"fldinst":
        text = unescaped(raw)
        if DDE.match(text.lstrip(b'" ')):
            facts.note("document-dde", "RTF field", offset)
        return
    text = unescaped(raw.partition(b"}")[0]).strip()
    if word == b"template":
        remote = REMOTE.match(text)
        if remote is not None:
            place = f"template {remote[0].decode('latin-1')}"
            facts.note("document-external-link", place, offset)
    elif text.lower().startswith(b"equation"):
        facts.note("document-equation", text[:40].decode("latin-1"), offset)


def unescaped(raw: bytes) -> bytes:
    """The text that control words, groups and escapes of characters leave."""

    def plain(match: re.Match[bytes]) -> bytes:
        if match[1]:
            return bytes.fromhex(match[1].decode())
        if match[2]:
            code = int(match[2]) & 0xFFFF
            return bytes([code]) if code < 256 else b"?"
        return b"\\" if match[3] else b""

    return ESCAPE.sub(plain, raw)


class Digits:
    """Decodes the digits of one object. ``plain`` those that stand in no group of their
    own, ``full`` all, None while both are the same."""

    __slots__ = ("budget", "facts", "full", "plain", "read", "size")

    def __init__(self, read: Read, size: int, facts: Facts, budget: int) -> None:
        self.read = read
        self.size = size
        self.facts = facts
        self.budget = budget
        self.plain = bytearray()
        self.full: bytearray | None = None

    def run(self, position: int, offset: int) -> int:
        """Decode from here to the end of the group; returns where that is."""
        end = self.collect(position)
        readings = [self.plain] if self.full is None else [self.plain, self.full]
        for digits in readings:
            if len(digits) & 1:
                digits.append(48)
            data = bytes.fromhex(digits.decode("ascii"))
            if len(data) >= LEAST:
                add(self.facts, data, offset)
        return end

    def put(self, digits: bytes, nested: bool) -> bool:
        """Keep digits; False when there are too many."""
        if nested and self.full is None:
            self.full = bytearray(self.plain)
        if not nested:
            self.plain += digits
        if self.full is not None:
            self.full += digits
        count = len(self.plain) if self.full is None else len(self.full)
        if count > 2 * (DECODED - self.facts.decoded):
            self.facts.note("limit-expanded-bytes", "RTF: object")
            return False
        return True

    def collect(self, position: int) -> int:
        """Read digits until the group is closed; returns where that is."""
        depth = 0
        data = b""
        step = 4096
        while position < self.size:
            block = self.read(position, step)
            step = min(2 * step, window.BLOCK)
            if not block or not self.facts.work(len(block)):
                return position
            position += len(block)
            data += block
            last = position >= self.size
            at = 0
            while at < len(data):
                match = TOKEN.match(data, at)
                if match is None:
                    at += 1
                    continue
                token = match[0]
                if token[0] == 92 and not last and match.end() > len(data) - TAIL:
                    break
                at = match.end()
                self.budget -= 1
                if self.budget < 0:
                    self.facts.note("limit-expanded-bytes", "RTF: object")
                    return position
                if match[1]:
                    if not self.put(match[1], depth > 0):
                        return position
                elif match[2]:
                    count = max(0, int(match[3] or 0)) if match[3] != b"-" else 0
                    raw = data[at : at + count]
                    at += len(raw)
                    if len(raw) < count:
                        more = min(count - len(raw), 2 * DECODED)
                        rest = self.read(position, more)
                        position += len(rest)
                        raw += rest
                        if not self.facts.work(len(rest)):
                            return position
                    if not self.put(raw.hex().encode(), depth > 0):
                        return position
                elif match[5] == b"{":
                    depth += 1
                elif match[5] == b"}":
                    depth -= 1
                    if depth < 0:
                        return position - len(data) + at
            data = data[at:]
        return position


def add(facts: Facts, data: bytes, offset: int) -> None:
    """Keep the object that these bytes are."""
    where = f"objdata {offset}"
    found = embedded.ole1(data, len(data))
    if found is None:
        facts.note("document-embedded-object", "RTF", offset)
        start = max(0, data.find(COMPOUND))
        facts.add(Member([], "object", data=data[start:], where=where))
        return
    facts.note("document-embedded-object", found.classname, offset)
    if found.classname.lower().startswith("equation"):
        facts.note("document-equation", found.classname, offset)
    if found.linked or found.classname.lower() == "ole2link":
        place = f"{found.classname} {found.topic}".rstrip()
        facts.note("document-external-link", place, offset)
    names = found.names
    end = found.start + found.length
    if names:
        names = names + embedded.wide_names(data[end : end + embedded.STRING])
    content = data[found.start : end] or data
    facts.add(Member(names, "object", data=content, where=where))
