# SPDX-License-Identifier: MIT
"""Archives byte by byte: zips that say two things, and formats without a free packer.

Does: build what no tool would write. Never does: start a process, touch files.
"""

from __future__ import annotations

import binascii
import struct
import zlib

STORED, DEFLATED = 0, 8


def deflated(data: bytes) -> bytes:
    """Raw deflate."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


class Member:
    """A member of a zip; what is left None is as it should be. ``local`` and
    ``central`` override fields: name, method, flags, crc, csize, usize, extra, offset.
    """

    def __init__(
        self,
        name: bytes,
        data: bytes,
        method: int = DEFLATED,
        *,
        local: dict[str, object] | None = None,
        central: dict[str, object] | None = None,
        packed: bytes | None = None,
        described: bool = False,
        listed: bool = True,
        before: bytes = b"",
        bare: bool = False,
    ) -> None:
        self.name = name
        self.data = data
        self.method = method
        self.local = local or {}
        self.central = central or {}
        self.packed = packed
        self.described = described
        self.listed = listed
        self.before = before  # bytes before its local header
        self.bare = bare  # without a local header and content

    def fields(self, changed: dict[str, object]) -> dict[str, object]:
        """All fields of a header."""
        packed = self.content()
        return {
            "name": self.name,
            "method": self.method,
            "flags": 8 if self.described else 0,
            "crc": zlib.crc32(self.data),
            "csize": len(packed),
            "usize": len(self.data),
            "extra": b"",
            **changed,
        }

    def content(self) -> bytes:
        """The bytes behind the local header."""
        if self.packed is not None:
            return self.packed
        return deflated(self.data) if self.method == DEFLATED else self.data


def _shared(fields: dict[str, object]) -> bytes:
    return struct.pack(
        "<HHHHHIIIHH",
        20,
        fields["flags"],
        fields["method"],
        0x6000,
        0x5A21,
        fields["crc"],
        fields["csize"],
        fields["usize"],
        len(fields["name"]),  # type: ignore[arg-type]
        len(fields["extra"]),  # type: ignore[arg-type]
    )


def local(member: Member) -> bytes:
    """Local header, content and data descriptor (APPNOTE.TXT 4.3.7 to 4.3.9)."""
    if member.bare:
        return b""
    changed = dict(member.local)
    if member.described:
        changed = {"crc": 0, "csize": 0, "usize": 0, **changed}
    fields = member.fields(changed)
    out = b"PK\3\4" + _shared(fields) + fields["name"] + fields["extra"]  # type: ignore[operator]
    out += member.content()
    if member.described:
        true = member.fields({})
        out += b"PK\7\10" + struct.pack(
            "<III", true["crc"], true["csize"], true["usize"]
        )
    return out


def central(member: Member, offset: int) -> bytes:
    """A record of the directory (4.3.12)."""
    fields = member.fields({"offset": offset, **member.central})
    return (
        b"PK\1\2\x14\3"
        + _shared(fields)
        + struct.pack("<HHHII", 0, 0, 0, 0, fields["offset"])
        + fields["name"]  # type: ignore[operator]
        + fields["extra"]
    )


def end(count: int, size: int, start: int, comment: bytes = b"") -> bytes:
    """End of central directory (4.3.16)."""
    return (
        b"PK\5\6"
        + struct.pack(
            "<HHHHIIH", 0, 0, count & 0xFFFF, count & 0xFFFF, size, start, len(comment)
        )
        + comment
    )


def zipped(
    *members: Member, comment: bytes = b"", count: int | None = None, shift: int = 0
) -> bytes:
    """A zip; ``count`` what the end record says, ``shift`` is added to offsets."""
    out = bytearray()
    records = bytearray()
    listed = 0
    for member in members:
        out += member.before
        offset = len(out) + shift
        out += local(member)
        if member.listed:
            listed += 1
            records += central(member, offset)
    start = len(out) + shift
    number = listed if count is None else count
    return bytes(out + records + end(number, len(records), start, comment))


def plain(name: bytes = b"evil.exe", data: bytes = b"MZ payload") -> bytes:
    """A zip with nothing odd about it."""
    return zipped(Member(name, data))


def overlapping(count: int, data: bytes) -> bytes:
    """Directory records that all point to one local header."""
    member = Member(b"a", data)
    first = local(member)
    record = central(member, 0)
    return first + record * count + end(count, len(record) * count, len(first))


def _rar3_block(kind: int, flags: int, rest: bytes) -> bytes:
    body = struct.pack("<BHH", kind, flags, 7 + len(rest)) + rest
    return struct.pack("<H", zlib.crc32(body) & 0xFFFF) + body


def rar3(name: bytes, data: bytes, encrypted: bool = False) -> bytes:
    """RAR 2.9 with one stored file (technote: blocks 0x73, 0x74, 0x7b)."""
    rest = struct.pack(
        "<IIBIIBBHI",
        len(data),
        len(data),
        3,
        zlib.crc32(data),
        0x5A216000,
        29,
        0x30,
        len(name),
        0o100644,
    )
    flags = 0x8000 | (4 if encrypted else 0)
    return (
        b"Rar!\x1a\7\0"
        + _rar3_block(0x73, 0, bytes(6))
        + _rar3_block(0x74, flags, rest + name)
        + data
        + _rar3_block(0x7B, 0x4000, b"")
    )


def _vint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _rar5_block(body: bytes) -> bytes:
    sized = _vint(len(body)) + body
    return struct.pack("<I", zlib.crc32(sized)) + sized


def rar5(name: bytes, data: bytes) -> bytes:
    """RAR 5.0 with one stored file (archive format description, 2013)."""
    file = (
        _vint(2)
        + _vint(2)
        + _vint(len(data))
        + _vint(4)
        + _vint(len(data))
        + _vint(0o100644)
        + struct.pack("<I", zlib.crc32(data))
        + _vint(0)
        + _vint(1)
        + _vint(len(name))
        + name
    )
    return (
        b"Rar!\x1a\7\1\0"
        + _rar5_block(_vint(1) + _vint(0) + _vint(0))
        + _rar5_block(file)
        + data
        + _rar5_block(_vint(5) + _vint(0) + _vint(0))
    )


def cab(name: bytes, data: bytes) -> bytes:
    """A cabinet with one stored file (MS-CAB section 2)."""
    files = struct.pack("<IIHHHH", len(data), 0, 0, 0x5A21, 0x6000, 0x20) + name + b"\0"
    block = struct.pack("<IHH", 0, len(data), len(data)) + data
    folder_at = 36 + 8
    folder = struct.pack("<IHH", folder_at + len(files), 1, 0)
    size = folder_at + len(files) + len(block)
    head = b"MSCF" + struct.pack(
        "<IIIIIBBHHHHH", 0, size, 0, folder_at, 0, 3, 1, 1, 1, 0, 0, 0
    )
    return head + folder + files + block


def lha(name: bytes, data: bytes) -> bytes:
    """LHA with one stored file (header level 0)."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    body = b"-lh0-" + struct.pack("<IIIBB", len(data), len(data), 0x5A216000, 0x20, 0)
    body += bytes((len(name),)) + name + struct.pack("<H", crc)
    return bytes((len(body), sum(body) & 255)) + body + data + b"\0"


def newc(name: bytes, data: bytes) -> bytes:
    """cpio "newc" (cpio(5)) with one file."""

    def entry(name: bytes, data: bytes, mode: int) -> bytes:
        fields = (1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        out = b"070701" + b"".join(b"%08x" % field for field in fields) + name + b"\0"
        out += bytes(-len(out) % 4)
        return out + data + bytes(-len(data) % 4)

    return entry(name, data, 0o100644) + entry(b"TRAILER!!!", b"", 0)


def rpm(name: bytes, data: bytes) -> bytes:
    """The shell of an RPM around a compressed cpio."""
    empty = b"\x8e\xad\xe8\1" + bytes(4) + struct.pack(">II", 0, 0)
    lead = b"\xed\xab\xee\xdb\3\0\0\0\0\1" + b"x".ljust(66, b"\0") + b"\0\1\0\5"
    return lead.ljust(96, b"\0") + empty + empty + packed_gzip(newc(name, data))


def packed_gzip(data: bytes, name: bytes = b"") -> bytes:
    """gzip, with a name in its header (RFC 1952)."""
    head = b"\x1f\x8b\x08" + (b"\x08" if name else b"\0") + bytes(4) + b"\0\3"
    if name:
        head += name + b"\0"
    trailer = struct.pack("<II", binascii.crc32(data), len(data) & 0xFFFFFFFF)
    return head + deflated(data) + trailer
