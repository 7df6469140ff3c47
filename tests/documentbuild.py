# SPDX-License-Identifier: MIT
"""Documents made by hand: compound files, PDF, RTF, OneNote, ARJ."""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Mapping
from typing import Union

Tree = Mapping[str, Union[bytes, "Tree"]]

FREE, END, FAT, DIFAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFC


def words(numbers: list[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def padded(data: bytes, size: int, fill: bytes = b"\0") -> bytes:
    return data + fill * (-len(data) % size)


def compound(
    tree: Tree,
    classes: Mapping[str, str] | None = None,
    sector: int = 512,
    scatter: bool = False,
) -> bytes:
    """A compound file (MS-CFB). ``classes`` class identifiers by path, "" the root;
    ``scatter`` lays the sectors of every large stream in reverse order."""
    classes = classes or {}
    entries: list[dict[str, object]] = []
    mini = bytearray()
    minifat: list[int] = []
    fat: list[int] = []
    sectors: list[bytes] = []

    def chain(data: bytes) -> int:
        """Append sectors; returns the first one."""
        pieces = [data[at : at + sector] for at in range(0, len(data), sector)]
        pieces = [padded(piece, sector) for piece in pieces]
        if not pieces:
            return END
        base = len(sectors)
        count = len(pieces)
        if scatter:
            sectors.extend(reversed(pieces))
            fat.extend([END, *range(base, base + count - 1)])
            return base + count - 1
        sectors.extend(pieces)
        fat.extend([*range(base + 1, base + count), END])
        return base

    def place(name: str, path: str, value: bytes | Tree, kind: int) -> int:
        index = len(entries)
        entry: dict[str, object] = {
            "name": name,
            "kind": kind,
            "left": FREE,
            "right": FREE,
            "child": FREE,
            "clsid": classes.get(path, ""),
            "start": END,
            "size": 0,
        }
        entries.append(entry)
        if isinstance(value, bytes):
            entry["size"] = len(value)
            if len(value) >= 4096:
                entry["start"] = chain(value)
            elif value:
                first = len(mini) // 64
                count = -(-len(value) // 64)
                minifat.extend([*range(first + 1, first + count), END])
                mini.extend(padded(value, 64))
                entry["start"] = first
            return index
        before = -1
        for child, content in value.items():
            below = f"{path}/{child}" if path else child
            sort = 2 if isinstance(content, bytes) else 1
            made = place(child, below, content, sort)
            if before < 0:
                entry["child"] = made
            else:
                entries[before]["right"] = made
            before = made
        return index

    place("Root Entry", "", tree, 5)
    entries[0]["start"] = chain(bytes(mini))
    entries[0]["size"] = len(mini)
    minifat_first = chain(padded(words(minifat), sector, b"\xff"))
    minifat_count = -(-len(minifat) * 4 // sector)
    directory = b""
    for entry in entries:
        name = str(entry["name"]).encode("utf-16-le") + b"\0\0"
        clsid = uuid.UUID(str(entry["clsid"])).bytes_le if entry["clsid"] else bytes(16)
        directory += struct.pack(
            "<64sHBBIII16sIQQIQ",
            name,
            len(name),
            entry["kind"],
            1,
            entry["left"],
            entry["right"],
            entry["child"],
            clsid,
            0,
            0,
            0,
            entry["start"],
            entry["size"],
        )
    directory_first = chain(padded(directory, sector))
    per = sector // 4
    count = more = 0
    while count * per < len(fat) + count + more:
        count += 1
        more = -(-max(0, count - 109) // (per - 1))
    first = len(sectors)
    tables = [first + n for n in range(count)]
    fat += [FAT] * count + [DIFAT] * more
    table = padded(words(fat), sector, b"\xff")
    sectors += [table[at : at + sector] for at in range(0, len(table), sector)]
    later = tables[109:]
    for number in range(more):
        piece = later[number * (per - 1) : (number + 1) * (per - 1)]
        piece += [FREE] * (per - 1 - len(piece))
        piece.append(first + count + number + 1 if number + 1 < more else END)
        sectors.append(words(piece))
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    header += struct.pack(
        "<HHHHH6xIIIIIIIII",
        0x3E,
        3 if sector == 512 else 4,
        0xFFFE,
        9 if sector == 512 else 12,
        6,
        0,
        count,
        directory_first,
        0,
        4096,
        minifat_first,
        minifat_count,
        first + count if more else END,
        more,
    )
    header += words((tables + [FREE] * 109)[:109])
    return padded(header, sector) + b"".join(sectors)


def package(name: bytes, data: bytes, path: bytes = b"") -> bytes:
    """What stands in an Ole10Native stream behind its length."""
    path = path or b"C:\\tmp\\" + name
    out = struct.pack("<H", 2) + name + b"\0" + path + b"\0"
    out += struct.pack("<HH", 0, 3)
    out += struct.pack("<I", len(path) + 1) + path + b"\0"
    return out + struct.pack("<I", len(data)) + data


def native(name: bytes, data: bytes) -> bytes:
    """An Ole10Native stream (MS-OLEDS 2.3.6)."""
    inner = package(name, data)
    return struct.pack("<I", len(inner)) + inner


def ole1(classname: bytes, data: bytes, topic: bytes = b"", form: int = 2) -> bytes:
    """An OLE 1.0 object (MS-OLEDS 2.2.4, 2.2.5)."""
    out = struct.pack("<II", 0x501, form)
    for text in (classname, topic, b""):
        text = text + b"\0" if text else b""
        out += struct.pack("<I", len(text)) + text
    if form == 2:
        out += struct.pack("<I", len(data))
    return out + data


def rtf(digits: bytes, before: bytes = b"") -> bytes:
    """A text with one object of these hexadecimal digits."""
    return (
        rb"{\rtf1\ansi "
        + before
        + rb"{\object\objemb{\*\objdata "
        + digits
        + rb"}} end}"
    )


def biff(*records: tuple[int, bytes]) -> bytes:
    """Records of a workbook (MS-XLS)."""
    return b"".join(struct.pack("<HH", k, len(d)) + d for k, d in records)


def slide(kind: int, data: bytes, container: bool = False, instance: int = 0) -> bytes:
    """A record of a presentation (MS-PPT 2.3.1)."""
    first = 0xF if container else instance << 4
    return struct.pack("<HHI", first, kind, len(data)) + data


def pdf(*objects: bytes, trailer: bytes = b"", head: bytes = b"%PDF-1.7\n") -> bytes:
    """Objects numbered from 1 on, without a cross reference table."""
    out = head
    for number, body in enumerate(objects, 1):
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    return out + b"trailer\n<< /Root 1 0 R " + trailer + b" >>\n%%EOF\n"


def stream(data: bytes, dictionary: bytes = b"", length: bytes | None = None) -> bytes:
    """A stream object as it is."""
    length = b"%d" % len(data) if length is None else length
    return b"<< /Length %b %b >>\nstream\n%b\nendstream" % (length, dictionary, data)


def flate(data: bytes, dictionary: bytes = b"") -> bytes:
    """A compressed stream object."""
    return stream(zlib.compress(data), b"/Filter /FlateDecode " + dictionary)


def object_stream(objects: Mapping[int, bytes]) -> bytes:
    """A stream of objects (ISO 32000-1 section 7.5.7)."""
    pairs, body = b"", b""
    for number, content in objects.items():
        pairs += b"%d %d " % (number, len(body))
        body += content + b"\n"
    more = b"/Type /ObjStm /N %d /First %d" % (len(objects), len(pairs))
    return flate(pairs + body, more)


def arj(*members: tuple[bytes, bytes, int, int]) -> bytes:
    """An archive of (name, packed data, method, flags)."""

    def header(name: bytes, kind: int, packed: bytes, method: int, flags: int) -> bytes:
        fixed = struct.pack(
            "<BBBBBBBBIIIIHHH",
            30,
            11,
            1,
            0,
            flags,
            method,
            kind,
            0,
            0,
            len(packed),
            len(packed),
            zlib.crc32(packed),
            0,
            0,
            0,
        )
        fixed += name + b"\0" + b"\0"
        out = b"\x60\xea" + struct.pack("<H", len(fixed)) + fixed
        return out + struct.pack("<IH", zlib.crc32(fixed), 0)

    out = header(b"all.arj", 2, b"", 0, 0)
    for name, packed, method, flags in members:
        out += header(name, 0, packed, method, flags) + packed
    return out + b"\x60\xea\0\0"


def onenote(*files: tuple[str, bytes]) -> bytes:
    """A section in which only what the reader looks for is right."""
    out = bytes.fromhex("e4525c7b8cd8a74daeb15378d02996d3") + bytes(1008)
    for name, data in files:
        text = name.encode("utf-16-le") + b"\0\0"
        # A number, then the name of the file.
        out += struct.pack("<HII", 2, 5 << 26 | 0x1234, 0x1C001D72)
        out += struct.pack("<II", 7, len(text)) + text
        out += bytes.fromhex("e716e3bd65261145a4c48d4d0b7a9eac")
        out += struct.pack("<QIQ", len(data), 0, 0) + data
        out += bytes(-len(data) % 8)
        out += bytes.fromhex("22a7fb71790f0b4abb13899256426b24")
    return out
