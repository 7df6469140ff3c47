# SPDX-License-Identifier: MIT
"""Encoders that the standard library lacks or writes too well: for tests.

Does: base64, quoted-printable, uuencode, yEnc (yenc.org, draft 1.3) and BinHex 4.0
(RFC 1741) in the variants that hostile or careless mail has. All take and return bytes;
lines end in LF.
"""

from __future__ import annotations

import base64
import binascii
import struct

# The digits of BinHex, and those of base64 in the same order.
HQX = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr"
B64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def lines(data: bytes, length: int, end: bytes = b"\n") -> bytes:
    """Cut into lines of ``length``, each with ``end``."""
    return b"".join(data[at : at + length] + end for at in range(0, len(data), length))


def b64(data: bytes, length: int = 76, end: bytes = b"\n") -> bytes:
    """base64 in lines (RFC 2045 section 6.8)."""
    return lines(base64.b64encode(data), length, end)


def b64_pieces(data: bytes, size: int) -> list[bytes]:
    """base64 of every ``size`` bytes on their own, with their padding."""
    return [base64.b64encode(data[at : at + size]) for at in range(0, len(data), size)]


def qp(data: bytes, *, every: bool = False, soft: bytes = b"=\n") -> bytes:
    """quoted-printable (RFC 2045 section 6.7) of bytes: line ends are encoded, too.

    ``every`` byte as an escape, or only what must be; ``soft`` ends each line.
    """
    out: list[bytes] = []
    line = b""
    for byte in data:
        safe = 33 <= byte <= 126 and byte != 61 and not every
        line += bytes([byte]) if safe else b"=%02X" % byte
        if len(line) > 70:
            out.append(line)
            line = b""
    out.append(line)
    return soft.join(out) + soft


def qp_text(data: bytes) -> bytes:
    """quoted-printable of text: its line ends stay line ends."""
    return binascii.b2a_qp(data, istext=True)


def uu(
    data: bytes,
    name: bytes = b"data.bin",
    *,
    begin: bool = True,
    end: bool = True,
    zero: bytes = b"`",
    check: bool = False,
    strip: bool = False,
) -> bytes:
    """uuencode (POSIX). ``zero`` stands for six zero bits; ``check`` adds the old
    checksum character to each line; ``strip`` loses blanks at line ends."""
    out = [b"begin 644 " + name + b"\n"] if begin else []
    for at in range(0, len(data), 45):
        line = binascii.b2a_uu(data[at : at + 45])[:-1].replace(b"`", b" ")
        if check:
            line += b"x"
        line = line.replace(b" ", zero)
        out.append((line.rstrip(b" ") if strip else line) + b"\n")
    if end:
        out.append((b"" if strip and zero == b" " else zero) + b"\nend\n")
    return b"".join(out)


def yenc(
    data: bytes, name: bytes = b"data.bin", *, part: bool = False, size: int = 128
) -> bytes:
    """yEnc: one part, or the only part of a message in parts."""
    out = bytearray()
    column = 0
    for byte in data:
        code = (byte + 42) & 255
        if code in (0, 10, 13, 61) or (column == 0 and code in (9, 32, 45, 46)):
            out += bytes([61, (code + 64) & 255])
            column += 2
        else:
            out.append(code)
            column += 1
        if column >= size:
            out += b"\n"
            column = 0
    if column:
        out += b"\n"
    number = b" part=1" if part else b""
    head = b"=ybegin%s line=%d size=%d name=%s\n" % (number, size, len(data), name)
    if part:
        head += b"=ypart begin=1 end=%d\n" % len(data)
    crc = zlib_crc(data)
    return (
        head + bytes(out) + b"=yend size=%d%s crc32=%08x\n" % (len(data), number, crc)
    )


def zlib_crc(data: bytes) -> int:
    """CRC-32 as yEnc has it."""
    return binascii.crc32(data) & 0xFFFFFFFF


def binhex(
    data: bytes, name: bytes = b"data.bin", *, sign: bool = True, size: int = 64
) -> bytes:
    """BinHex 4.0 of a data fork; ``sign`` is the line that says what it is."""
    head = (
        bytes([len(name)]) + name + b"\0BINATEST" + struct.pack(">HII", 0, len(data), 0)
    )
    raw = b"".join(
        piece + struct.pack(">H", binascii.crc_hqx(piece, 0))
        for piece in (head, data, b"")
    )
    raw = _runs(raw)
    text = base64.b64encode(raw).rstrip(b"=").translate(bytes.maketrans(B64, HQX))
    out = lines(b":" + text + b":", size)
    first = b"(This file must be converted with BinHex 4.0)\n\n" if sign else b""
    return first + out


def _runs(raw: bytes) -> bytes:
    """Run-length encoding: 0x90 COUNT repeats the byte before; 0x90 0 is 0x90."""
    out = bytearray()
    at = 0
    while at < len(raw):
        byte = raw[at]
        run = 1
        while run < 255 and raw[at + run : at + run + 1] == bytes([byte]):
            run += 1
        out += b"\x90\0" if byte == 0x90 else bytes([byte])
        if run > 3:
            out += bytes([0x90, run])
        else:
            run = 1
        at += run
    return bytes(out)
