# SPDX-License-Identifier: MIT
"""Objects and stream filters of PDF (ISO 32000-1 sections 7.3, 7.4).

Does: read one object from bytes, undo filters. Values: dict with bytes as keys, list,
``Name``, ``Reference``, int, float, bytes for strings, None for what is none of them.
Never does: raise on content, resolve references.
Limits: DEPTH nested objects; a ``Reader`` has TOKENS for all objects together. Filters
give at most ``limit`` bytes, LZW and predictors SLOW bytes.
"""

from __future__ import annotations

import binascii
import re
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

DEPTH = 50
TOKENS = 2_000_000
SLOW = 8 * 1024 * 1024
FILTERS = 8  # of one stream

SPACE_BYTES = b"\0\t\n\x0c\r "
SPACE = rb"\0\t\n\x0c\r "
SKIP = re.compile(rb"(?:[" + SPACE + rb"]|%[^\r\n]*+)*+")
TOKEN = re.compile(
    rb"(<<)|(>>)|([\[])|([\]])"
    rb"|/([^" + SPACE + rb"/<>\[\](){}%]*)"
    rb"|(\()"
    rb"|<([^<>]*)>?"
    rb"|(\d{1,10})["
    + SPACE
    + rb"]{1,20}\d{1,10}["
    + SPACE
    + rb"]{1,20}R(?![^"
    + SPACE
    + rb"/<>\[\](){}%])"
    rb"|([+-]?(?:\d{1,15}\.?\d{0,15}|\.\d{1,15}))(?![^" + SPACE + rb"/<>\[\](){}%])"
    rb"|([^" + SPACE + rb"/<>\[\](){}%]+)"
    rb"|[\s\S]"
)
IN_STRING = re.compile(rb"[()]|\\[\s\S]?")
NAME_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})")
STRING_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|(\r\n|[\r\n])|([\s\S])|$)")
ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


class Name(bytes):
    """A name without its slash, ``#`` escapes undone."""

    __slots__ = ()


class Reference:
    """An indirect reference to object ``number``."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


class Reader:
    """Reads objects; ``tokens`` is how many more it will take."""

    __slots__ = ("tokens",)

    def __init__(self) -> None:
        self.tokens = TOKENS

    def value(self, data: bytes, at: int = 0) -> tuple[Any, int]:
        """The object at this place and where it ends."""
        # Containers that are open: their content, and True for a dictionary.
        stack: list[tuple[list[Any], bool]] = []
        out: list[Any] = []
        while self.tokens > 0:
            self.tokens -= 1
            match = SKIP.match(data, at)
            at = match.end() if match else at
            match = TOKEN.match(data, at)
            if match is None:
                break
            at = match.end()
            group = match.lastindex
            if group in (1, 3):
                if len(stack) >= DEPTH:
                    break
                stack.append((out, group == 1))
                out = []
                continue
            if group in (2, 4):
                if not stack:
                    break
                content = out
                out, pairs = stack.pop()
                out.append(dictionary(content) if pairs else content)
            elif group == 5:
                out.append(Name(NAME_ESCAPE.sub(unhex, match[5])))
            elif group == 6:
                text, at = self.string(data, at)
                out.append(text)
            elif group == 7:
                out.append(hexadecimal(match[7]))
            elif group == 8:
                out.append(Reference(int(match[8])))
            elif group == 9:
                text = match[9]
                out.append(float(text) if b"." in text else int(text))
            elif group == 10:
                word = match[10]
                if word == b"R" and len(out) > 1 and isinstance(out[-2], int):
                    number = out[-2]
                    out[-2:] = [Reference(number)]
                elif word in (b"endobj", b"stream", b"obj", b"endstream"):
                    at = match.start()
                    break
                else:
                    out.append(True if word == b"true" else None)
            if not stack:
                break
        while stack:  # what is not closed ends here
            content = out
            out, pairs = stack.pop()
            out.append(dictionary(content) if pairs else content)
        return (out[0] if out else None), at

    def string(self, data: bytes, at: int) -> tuple[bytes, int]:
        """A string in parentheses; ``at`` is behind the first."""
        depth = 1
        start = at
        while self.tokens > 0:
            self.tokens -= 1
            match = IN_STRING.search(data, at)
            if match is None:
                at = len(data)
                break
            at = match.end()
            if match[0] == b"(":
                depth += 1
            elif match[0] == b")":
                depth -= 1
                if not depth:
                    return unescaped(data[start : at - 1]), at
        return unescaped(data[start:at]), at


def dictionary(content: list[Any]) -> dict[bytes, Any]:
    """Pairs of names and values; a key without a value has None."""
    out: dict[bytes, Any] = {}
    key: Name | None = None
    for item in content:
        if key is None:
            key = item if isinstance(item, Name) else None
        else:
            out[bytes(key)] = item
            key = None
    return out


def unhex(match: re.Match[bytes]) -> bytes:
    """A byte from its two digits."""
    return binascii.unhexlify(match[1])


def hexadecimal(digits: bytes) -> bytes:
    """A string from its digits, other bytes ignored."""
    digits = re.sub(rb"[^0-9A-Fa-f]", b"", digits)
    return binascii.unhexlify(digits + b"0" * (len(digits) & 1))


def unescaped(raw: bytes) -> bytes:
    """The bytes of a string in parentheses."""
    if b"\\" not in raw:
        return raw

    def plain(match: re.Match[bytes]) -> bytes:
        if match[1]:
            return bytes([int(match[1], 8) & 255])
        return ESCAPES.get(match[3], match[3]) if match[3] else b""

    return STRING_ESCAPE.sub(plain, raw)


def text(raw: bytes) -> list[str]:
    """A text string in the codings that readers take it for."""
    if raw.startswith((b"\xfe\xff", b"\xff\xfe")):
        coding = "utf-16-be" if raw[0] == 0xFE else "utf-16-le"
        return [raw[2:].decode(coding, "replace")]
    out: list[str] = []
    for coding in ("utf-8-sig", "latin-1"):
        try:
            name = raw.decode(coding)
        except ValueError:
            continue
        if name not in out:
            out.append(name)
    return out


# Filters.


def filters(stream: dict[bytes, Any]) -> list[tuple[bytes, dict[bytes, Any]]]:
    """The filters of a stream in order, each with its parameters."""
    names = stream.get(b"Filter", stream.get(b"F"))
    parameters = stream.get(b"DecodeParms", stream.get(b"DP"))
    names = names if isinstance(names, list) else [names]
    parameters = parameters if isinstance(parameters, list) else [parameters]
    out: list[tuple[bytes, dict[bytes, Any]]] = []
    for index, name in enumerate(names[:FILTERS]):
        own = parameters[index] if index < len(parameters) else None
        if isinstance(name, Name):
            out.append((bytes(name), own if isinstance(own, dict) else {}))
    return out


def decode(
    data: bytes, stream: dict[bytes, Any], limit: int, work: Callable[[int], bool]
) -> bytes | None:
    """The content of a stream, at most ``limit`` bytes; None when a filter is not
    known, nothing can be decoded, or ``work``, which is told how many bytes each filter
    gives, says that it is enough."""
    for name, parameters in filters(stream):
        if name in (b"FlateDecode", b"Fl"):
            data = inflate(data, limit)
        elif name in (b"ASCIIHexDecode", b"AHx"):
            data = hexadecimal(data.partition(b">")[0])
        elif name in (b"ASCII85Decode", b"A85"):
            data = ascii85(data)
        elif name in (b"LZWDecode", b"LZW"):
            early = parameters.get(b"EarlyChange", 1)
            data = lzw(data, 0 if early == 0 else 1, min(limit, SLOW))
        elif name in (b"RunLengthDecode", b"RL"):
            data = run_length(data, limit)
        else:
            return None
        data = unpredicted(data, parameters)
        if not data or not work(len(data)):
            return None
    return data[:limit]


def inflate(data: bytes, limit: int) -> bytes:
    """What can be had of zlib data, also when its head or end is damaged."""
    bare = ((-15, 2), (-15, 0)) if data[:1] and data[0] & 15 == 8 else ((-15, 0),)
    for bits, start in ((15, 0), *bare):
        decoder = zlib.decompressobj(bits)
        out = bytearray()
        position = start
        try:
            while position < len(data) and not decoder.eof and len(out) < limit:
                piece = data[position : position + 65536]
                position += len(piece)
                while piece and len(out) < limit:
                    out += decoder.decompress(piece, limit - len(out))
                    piece = decoder.unconsumed_tail
        except zlib.error:
            pass
        if out:
            return bytes(out)
    return b""


def ascii85(data: bytes) -> bytes:
    """Base 85 up to its end mark; bytes that belong to no group are ignored."""
    data = data.lstrip(SPACE_BYTES).removeprefix(b"<~").partition(b"~")[0]
    data = re.sub(rb"[^!-uz]", b"", data)
    out = bytearray()
    for index, run in enumerate(data.split(b"z")):
        if index:
            out += bytes(4)
        short = -len(run) % 5
        run += b"u" * short
        pieces = bytearray()
        for at in range(0, len(run), 5):
            a, b, c, d, e = run[at : at + 5]
            number = (((a * 85 + b) * 85 + c) * 85 + d) * 85 + e - 1_743_128_013
            pieces += (number & 0xFFFFFFFF).to_bytes(4, "big")
        out += pieces[: len(pieces) - short] if short else pieces
    return bytes(out)


def run_length(data: bytes, limit: int) -> bytes:
    """Runs and copies of bytes (section 7.4.5)."""
    out = bytearray()
    at = 0
    while at < len(data) and len(out) < limit:
        length = data[at]
        if length == 128:
            break
        if length < 128:
            out += data[at + 1 : at + 2 + length]
            at += 2 + length
        else:
            out += data[at + 1 : at + 2] * (257 - length)
            at += 2
    return bytes(out)


def lzw(data: bytes, early: int, limit: int) -> bytes:
    """LZW with codes of 9 to 12 bits (section 7.4.4)."""
    first = [bytes([n]) for n in range(256)] + [b"", b""]
    table = list(first)
    out = bytearray()
    width = 9
    bits = have = 0
    before = b""
    for byte in data:
        bits = (bits << 8 | byte) & 0xFFFFFF
        have += 8
        if have < width:
            continue
        have -= width
        code = bits >> have & ((1 << width) - 1)
        if code == 256:
            table = list(first)
            width = 9
            before = b""
            continue
        if code == 257 or len(out) >= limit:
            break
        if code < len(table):
            entry = table[code]
        elif before:
            entry = before + before[:1]
        else:
            break
        out += entry
        if before and len(table) < 4096:
            table.append(before + entry[:1])
        before = entry
        size = len(table) + early
        width = 9 if size < 512 else 10 if size < 1024 else 11 if size < 2048 else 12
    return bytes(out[:limit])


def unpredicted(data: bytes, parameters: dict[bytes, Any]) -> bytes:
    """Undo a predictor (section 7.4.4.4); those of TIFF with 8 bits only."""

    def number(key: bytes, default: int) -> int:
        value = parameters.get(key, default)
        return value if isinstance(value, int) and 0 < value < 100_000 else default

    predictor = number(b"Predictor", 1)
    if predictor < 2:
        return data
    data = data[:SLOW]
    bits = number(b"Colors", 1) * number(b"BitsPerComponent", 8)
    step = max(1, bits >> 3)
    row = -(-bits * number(b"Columns", 1) >> 3)
    out = bytearray()
    if predictor == 2:
        for at in range(0, len(data), row):
            line = bytearray(data[at : at + row])
            for index in range(step, len(line)):
                line[index] = line[index] + line[index - step] & 255
            out += line
        return bytes(out)
    above = bytearray(row)
    for at in range(0, len(data), row + 1):
        line = bytearray(data[at + 1 : at + 1 + row])
        png_row(data[at], line, above, step)
        out += line
        above = line.ljust(row, b"\0")
    return bytes(out)


def png_row(kind: int, line: bytearray, above: bytearray, step: int) -> None:
    """Undo the filter of one row (PNG specification section 9), in place."""
    for index in range(len(line)):
        left = line[index - step] if index >= step else 0
        up = above[index]
        corner = above[index - step] if index >= step else 0
        if kind == 1:
            add = left
        elif kind == 2:
            add = up
        elif kind == 3:
            add = left + up >> 1
        elif kind == 4:
            guess = left + up - corner
            one, two, three = abs(guess - left), abs(guess - up), abs(guess - corner)
            add = (
                left if one <= two and one <= three else up if two <= three else corner
            )
        else:
            return
        line[index] = line[index] + add & 255
