# SPDX-License-Identifier: MIT
"""The messages of install/demo.sh: made anew each time, always the same bytes.

Does: build real mail (MIME by the email package, winmail.dat by the few lines of
MS-OXTNEF below). Never does: hold a virus or EICAR as text of this file.
"""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from email.message import EmailMessage

from private_clamd import eicar

DATE = "Sat, 21 Nov 2026 09:00:00 +0000"


def _letter(subject: str, body: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Ann <ann@example.org>"
    message["To"] = "Bob <bob@example.com>"
    message["Subject"] = subject
    message["Date"] = DATE
    message["Message-ID"] = f"<{zlib.crc32(subject.encode()):08x}@example.org>"
    message.set_content(body)
    return message


def png(seed: int, width: int = 160, height: int = 120) -> bytes:
    """A valid PNG picture of noise (PNG specification, RGB, 8 bit)."""
    noise = random.Random(seed)

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    rows = b"".join(b"\0" + noise.randbytes(3 * width) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def pdf() -> bytes:
    """A one-page PDF with a correct cross-reference table."""
    stream = b"BT /F1 24 Tf 72 720 Td (Minutes) Tj ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
            b"/Resources << /Font << /F1 5 0 R >> >> >>"
        ),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out = b"%PDF-1.4\n"
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    return out + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\n"
        b"startxref\n%d\n%%%%EOF\n" % (size, table, size, len(out))
    )


def zipped(name: str, data: bytes) -> bytes:
    """A zip archive with one deflated member."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name, (2026, 11, 21, 9, 0, 0)), data)
    return out.getvalue()


def tnef(name: str, data: bytes) -> bytes:
    """winmail.dat with one attached file (MS-OXTNEF section 2.1.3: signature, key,
    then objects of level, id, length, data and a 16-bit sum of the data)."""

    def attribute(level: int, number: int, value: bytes) -> bytes:
        head = struct.pack("<BII", level, number, len(value))
        return head + value + struct.pack("<H", sum(value) & 0xFFFF)

    message, attachment = 1, 2
    rendering = struct.pack("<HIHHI", 1, 0xFFFFFFFF, 32, 32, 0)
    return (
        struct.pack("<IH", 0x223E9F78, 1)
        + attribute(message, 0x00089006, struct.pack("<I", 0x00010000))  # version
        + attribute(message, 0x00069007, struct.pack("<II", 1252, 0))  # code page
        + attribute(message, 0x00078008, b"IPM.Microsoft Mail.Note\0")
        + attribute(message, 0x00018004, b"Papers\0")
        + attribute(attachment, 0x00069002, rendering)
        + attribute(attachment, 0x00018010, name.encode("cp1252") + b"\0")
        + attribute(attachment, 0x0006800F, data)
    )


def clean_text() -> bytes:
    """Plain text that must arrive byte for byte: 8-bit, a bare CR, no final newline."""
    return bytes(_letter("Lunch", "Noon at the usual place?\n")) + (
        b">From here on nothing is usual:\n"
        b"8-bit \xe9\xff, a carriage return \r in the line, no newline at the end"
    )


def clean_attachments() -> bytes:
    """A letter with a PDF, a picture and a zip archive."""
    message = _letter("Minutes", "The minutes, a picture and the data.\n")
    message.add_attachment(pdf(), "application", "pdf", filename="minutes.pdf")
    message.add_attachment(png(1), "image", "png", filename="gruppe-ä.png")
    data = zipped("data.csv", b"a,b\n1,2\n" * 2000)
    message.add_attachment(data, "application", "zip", filename="data.zip")
    return bytes(message)


def infected_base64() -> bytes:
    """EICAR as a base64 attachment."""
    message = _letter("Invoice", "Please see the attached invoice.\n")
    message.add_attachment(
        eicar(), "application", "octet-stream", filename="invoice.com"
    )
    return bytes(message)


def infected_winmail() -> bytes:
    """EICAR in a zip archive in a winmail.dat, as Outlook sends it."""
    message = _letter("Papers", "Sent with Outlook.\n")
    blob = tnef("papers.zip", zipped("papers.com", eicar()))
    message.add_attachment(blob, "application", "ms-tnef", filename="winmail.dat")
    return bytes(message)


def infected_forward() -> bytes:
    """The infected message, forwarded as an attachment (message/rfc822)."""
    inner = _letter("Invoice", "Please see the attached invoice.\n")
    inner.add_attachment(eicar(), "application", "octet-stream", filename="invoice.com")
    message = _letter("Fwd: Invoice", "Can you open this?\n")
    message.add_attachment(inner)
    return bytes(message)
