# SPDX-License-Identifier: MIT
"""Readers of documents: what they find, and that nothing breaks them.

``QSCAN_FUZZ_ROUNDS`` sets how many mutants of each document there are, and
``QSCAN_FUZZ_SEED`` which.
"""

from __future__ import annotations

import base64
import io
import os
import random
import struct
import sys
import zipfile
import zlib
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from documentbuild import (
    arj,
    biff,
    compound,
    flate,
    native,
    object_stream,
    ole1,
    onenote,
    package,
    pdf,
    rtf,
    slide,
    stream,
)

from qscan import defects, sniff
from qscan.archives import documents, formats
from qscan.archives.documents import facts as bounds
from qscan.archives.documents import ooxml, pdfcrypt, pdfsyntax
from qscan.archives.documents.facts import Facts, Member

ROUNDS = int(os.environ.get("QSCAN_FUZZ_ROUNDS", "700")) // 10
SEED = os.environ.get("QSCAN_FUZZ_SEED", "qscan")
TESTFILES = Path("/usr/share/clamav-testfiles")
PROGRAM = b"MZ" + bytes(range(256)) * 3


class Content:
    """A file in memory; counts what is read of it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.read_bytes = 0

    def read(self, offset: int, length: int) -> bytes:
        assert offset >= 0
        assert length >= 0
        piece = self.data[offset : offset + length]
        self.read_bytes += len(piece)
        return piece


def inspect(data: bytes) -> Facts:
    """What all readers that know this content find, together."""
    found = Facts()
    head = data[: sniff.HEAD]
    for module in documents.readers_for(sniff.detect(head), head):
        one: Facts = module.inspect(Content(data).read, len(data))
        found.facts += one.facts
        found.members += one.members
        found.media_type = found.media_type or one.media_type
        for code, details in one.details.items():
            found.details.setdefault(code, []).extend(details)
    return found


def content(member: Member, data: bytes) -> bytes:
    return b"".join(member.pieces(Content(data).read))


def members(data: bytes) -> list[tuple[list[str], bytes]]:
    return [(one.names, content(one, data)) for one in inspect(data).members]


def named(data: bytes) -> dict[str, bytes]:
    """The members by their best name."""
    return {(names or [""])[0]: content for names, content in members(data)}


# Which reader.

KINDS = {
    "ole": compound({"a": b"b"}),
    "pdf": pdf(b"<< >>"),
    "rtf": rtf(b""),
    "onenote": onenote(),
    "arj": arj(),
    "mbox": b"From a@b Mon Jan  1 00:00:00 2024\nSubject: x\n\ntext\n",
}


@pytest.mark.parametrize("name", KINDS)
def test_the_reader_is_chosen_by_content(name: str) -> None:
    module = documents.reader_for("", KINDS[name][:1024])
    assert module is not None
    assert module.__name__ == f"qscan.archives.documents.{name}"


@pytest.mark.parametrize("name", KINDS)
def test_what_has_a_reader_is_told_without_loading_it(name: str) -> None:
    data = KINDS[name]

    def read(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    # A PDF that names nothing of note is not worth a process.
    assert formats.inside(read, len(data)) == (name != "pdf")


@pytest.mark.parametrize(
    "text", [b"/JavaScript", b"/J#61vaScript", b"/#4aS", b"/Encrypt", b"/ObjStm"]
)
def test_a_pdf_that_names_something_is_looked_into(text: bytes) -> None:
    data = pdf(b"<< " + text + b" 1 0 R >>")

    def read(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    assert formats.inside(read, len(data))


def test_text_has_no_reader() -> None:
    for text in (b"", b"hello", b"From now on\nall is well\n", b"{ a: 1 }", b"`"):
        assert documents.reader_for("text/plain", text) is None


def test_what_is_two_things_has_two_readers() -> None:
    head = rtf(b"")[:100] + pdf(b"<< >>")
    names = [one.__name__.rpartition(".")[2] for one in documents.readers_for("", head)]
    assert names == ["pdf", "rtf"]


# Compound files.


def test_macros_in_a_word_document() -> None:
    vba = {"dir": b"x", "_VBA_PROJECT": b"\xcc\x61", "Module1": b"y"}
    data = compound({"WordDocument": b"\xec\xa5" + bytes(500), "Macros": {"VBA": vba}})
    found = inspect(data)
    assert found.codes == {"document-macros"}
    assert found.media_type == "application/msword"


@pytest.mark.parametrize("name", ["Workbook", "Book"])
def test_macro_sheets_of_excel_4(name: str) -> None:
    sheet = struct.pack("<IBB", 0, 2, 1) + b"\x05\0Macro"
    book = biff((0x809, bytes(16)), (0x85, sheet), (0x0A, b""))
    assert inspect(compound({name: book})).codes == {"document-macros"}
    plain = biff((0x809, bytes(16)), (0x85, bytes(6)), (0x0A, b""))
    assert inspect(compound({name: plain})).codes == set()


def test_a_macro_sheet_that_says_it_is_none() -> None:
    head = biff((0x809, bytes(16)))
    sheet = struct.pack("<IBB", 0, 0, 0) + b"\x05\0Sheet"
    book = head + biff((0x85, sheet), (0x0A, b""))
    book = bytearray(book)
    struct.pack_into("<I", book, len(head) + 4, len(book))
    book += biff((0x809, struct.pack("<HH", 0x600, 0x40)), (0x0A, b""))
    assert inspect(compound({"Workbook": bytes(book)})).codes == {"document-macros"}


def test_macros_in_a_presentation() -> None:
    info = slide(0x0400, struct.pack("<III", 1, 1, 2))
    listed = slide(2000, slide(0x03FF, info, container=True), container=True)
    data = compound({"PowerPoint Document": slide(1000, listed, container=True)})
    found = inspect(data)
    assert found.codes == {"document-macros"}
    assert found.media_type == "application/vnd.ms-powerpoint"


def test_objects_of_a_presentation_are_unpacked() -> None:
    inner = compound({"\x01Ole10Native": native(b"a.exe", PROGRAM)})
    packed = struct.pack("<I", len(inner)) + zlib.compress(inner)
    records = slide(0x1011, packed, instance=1) + slide(0x1011, inner)
    data = compound({"PowerPoint Document": records})
    assert members(data) == [([], inner), ([], inner)]
    assert named(inner) == {"a.exe": PROGRAM}


ENCRYPTED = {
    "OOXML": {"EncryptedPackage": bytes(5000), "EncryptionInfo": b"x"},
    "Word": {"WordDocument": b"\xec\xa5" + bytes(9) + b"\x01" + bytes(500)},
    "Excel": {"Workbook": biff((0x809, bytes(16)), (0x2F, bytes(54)))},
    "PowerPoint": {
        "Current User": bytes(12) + struct.pack("<I", 0xF3D1C4DF),
        "PowerPoint Document": bytes(100),
    },
    "PowerPoint session": {"PowerPoint Document": slide(0x2F14, bytes(8))},
}


@pytest.mark.parametrize("name", ENCRYPTED)
def test_encrypted_office_documents(name: str) -> None:
    assert inspect(compound(ENCRYPTED[name])).codes == {"document-encrypted"}


@pytest.mark.parametrize("size", [100, 4095, 4096, 70_000])
@pytest.mark.parametrize("sector", [512, 4096])
@pytest.mark.parametrize("scatter", [False, True])
def test_embedded_files_of_any_size(size: int, sector: int, scatter: bool) -> None:
    content = bytes(random.Random(size).randbytes(size))
    tree = {
        "ObjectPool": {"_1": {"\x01Ole10Native": native(b"a.exe", content)}},
        "other": bytes(6000),
    }
    data = compound(tree, sector=sector, scatter=scatter)
    found = inspect(data)
    assert "document-broken" not in found.codes
    assert "document-embedded-object" in found.codes
    assert members(data) == [(["a.exe", "C:\\tmp\\a.exe"], content)]


def test_a_file_with_many_allocation_tables() -> None:
    content = random.Random(9).randbytes(17_000_000)
    data = compound({"\x01Ole10Native": native(b"a.exe", content)}, scatter=True)
    found = inspect(data)
    assert found.codes == {"document-embedded-object"}
    assert named(data) == {"a.exe": content}


def test_the_unicode_name_of_a_package() -> None:
    inner = package(b"a.txt", PROGRAM)
    wide = b"".join(
        struct.pack("<I", len(name)) + name.encode("utf-16-le")
        for name in ("C:\\x\\\u202eexe.txt", "b.exe", "c.exe")
    )
    data = struct.pack("<I", len(inner + wide)) + inner + wide
    ((names, content),) = members(compound({"\x01Ole10Native": data}))
    assert content == PROGRAM
    assert names[2:] == ["C:\\x\\\u202eexe.txt", "b.exe", "c.exe"]


def test_a_package_that_lies_about_its_length() -> None:
    inner = package(b"a.exe", PROGRAM)
    inner = inner[: -len(PROGRAM) - 4] + b"\xff\xff\xff\x7f" + PROGRAM
    for length in (0, 5, len(inner), 0xFFFFFFFF):
        data = compound({"\x01Ole10Native": struct.pack("<I", length) + inner})
        assert named(data) == {"a.exe": PROGRAM}


def test_classes_and_monikers() -> None:
    for clsid, code in (
        ("0002ce02-0000-0000-c000-000000000046", "document-equation"),
        ("00000300-0000-0000-c000-000000000046", "document-external-link"),
        ("000c1084-0000-0000-c000-000000000046", "document-installer"),
        ("8856f961-340a-11d0-a96b-00c04fd705a2", "document-activex"),
    ):
        assert inspect(compound({"a": b"b"}, {"": clsid})).codes == {code}
    moniker = bytes.fromhex("e0c9ea79f9bace118c8200aa004ba90b")
    address = "http://evil.example/a.hta".encode("utf-16-le")
    found = inspect(compound({"\x01Ole": bytes(30) + moniker + bytes(4) + address}))
    assert found.details["document-external-link"] == [
        "URL moniker http://evil.example/a.hta"
    ]
    assert inspect(compound({"\x01Ole": bytes(20)})).codes == set()


def test_fields_that_start_programs() -> None:
    for text in (b'\x13 DDEAUTO c:\\\\x "', '\x13 dde "'.encode("utf-16-le")):
        data = compound({"WordDocument": b"\xec\xa5" + bytes(600) + text})
        assert inspect(data).codes == {"document-dde"}


def test_attachments_of_an_outlook_message() -> None:
    def attachment(name: str, data: bytes) -> dict[str, bytes]:
        return {
            "__substg1.0_3704001F": (name[:6] + "~1").encode("utf-16-le"),
            "__substg1.0_37010102": data,
            "__substg1.0_3707001F": name.encode("utf-16-le"),
        }

    nested = {
        "__properties_version1.0": bytes(24),
        "__attach_version1.0_#00000000": attachment("deep.scr", PROGRAM + b"2"),
    }
    data = compound(
        {
            "__properties_version1.0": bytes(32),
            "__substg1.0_0037001F": "subject".encode("utf-16-le"),
            "__attach_version1.0_#00000000": attachment("invoice.exe", PROGRAM),
            "__attach_version1.0_#00000001": {
                "__substg1.0_3701000D": nested,
                "__substg1.0_3707001E": b"mail.msg",
            },
        }
    )
    found = inspect(data)
    assert found.media_type == "application/vnd.ms-outlook"
    assert found.codes == set()
    assert members(data) == [
        (["invoice.exe", "invoic~1"], PROGRAM),
        (["deep.scr", "deep.s~1"], PROGRAM + b"2"),
        (["mail.msg"], b""),
    ]


def test_streams_that_are_files() -> None:
    # "Ab" in two letters of a stream name of the Windows installer.
    packed = chr(0x3800 + 10 + (37 << 6))
    data = compound(
        {packed: PROGRAM, "Contents": b"%PDF-1.4\n", "picture": b"\x89PNG\r\n\x1a\n"},
        {"": "000c1084-0000-0000-c000-000000000046"},
    )
    found = inspect(data)
    assert found.media_type == "application/x-msi"
    assert found.codes == {"document-installer", "document-embedded-object"}
    assert members(data) == [(["Ab"], PROGRAM), (["Contents"], b"%PDF-1.4\n")]


def test_entries_in_no_tree_are_seen() -> None:
    data = bytearray(
        compound({"a": b"b", "\x01Ole10Native": native(b"a.exe", PROGRAM)})
    )
    at = data.index("a\0".encode("utf-16-le") + bytes(60))
    struct.pack_into("<I", data, at + 72, 0xFFFFFFFF)
    assert named(bytes(data)) == {"a.exe": PROGRAM}


def test_circles_and_what_leaves_the_file() -> None:
    whole = compound({"big": b"PK\3\4" + bytes(20_000)})
    assert inspect(whole).codes == set()
    table = whole.rindex(struct.pack("<III", 1, 2, 3))
    for number in (0, 1, 0xFFFF, 0xFFFFFFFE):
        data = bytearray(whole)
        struct.pack_into("<I", data, table + 40, number)
        assert inspect(bytes(data)).codes == {"document-broken"}, number
    # The end of the last sector may be missing.
    assert inspect(whole[:-100]).codes <= {"document-broken"}
    assert inspect(whole[:5000]).codes == {"document-broken"}


# PDF.


def specification(name: bytes, number: int, more: bytes = b"") -> bytes:
    return b"<< /Type /Filespec /F %b %b /EF << /F %d 0 R >> >>" % (name, more, number)


def test_an_embedded_file() -> None:
    utf16 = b"<FEFF" + "\u202eexe.pdf".encode("utf-16-be").hex().encode() + b">"
    for body in (
        flate(PROGRAM, b"/Type /EmbeddedFile"),
        flate(PROGRAM),
        stream(PROGRAM),
        stream(PROGRAM, length=b"9 0 R"),
        stream(PROGRAM, length=b"3"),
        stream(PROGRAM, length=b"99999999999"),
        stream(PROGRAM.hex().encode() + b">", b"/Filter [/AHx]"),
        stream(base64.a85encode(PROGRAM) + b"~>", b"/Filter/ASCII#385Decode"),
        stream(
            zlib.compress(PROGRAM).hex().encode(),
            b"/Filter [/ASCIIHexDecode /FlateDecode]",
        ),
    ):
        data = pdf(specification(rb"(a\056exe)", 2, b"/UF " + utf16), body)
        found = inspect(data)
        assert found.codes == {"pdf-embedded-file"}, body
        ((names, content),) = members(data)
        assert names == ["\u202eexe.pdf", "a.exe"]
        assert content.rstrip(b"\n") == PROGRAM


def test_an_embedded_file_that_nobody_names() -> None:
    data = pdf(b"<< >>", flate(PROGRAM, b"/Type/Embedded#46ile"))
    assert members(data) == [([], PROGRAM)]


def test_a_file_specification_in_a_stream_of_objects() -> None:
    data = pdf(
        object_stream({5: b"<< /A 1 >>", 6: specification(b"(b.exe)", 2)}),
        flate(PROGRAM),
    )
    assert members(data) == [(["b.exe"], PROGRAM)]
    hidden = data.replace(b"/Type /ObjStm", b"")
    assert members(hidden) == [(["b.exe"], PROGRAM)]


def test_every_revision_of_an_embedded_file() -> None:
    data = pdf(specification(b"(a.exe)", 2), stream(b"old"))
    data += b"2 0 obj " + flate(PROGRAM) + b" endobj"
    assert members(data) == [(["a.exe"], b"old"), (["a.exe"], PROGRAM)]


NAMES = {
    b"<< /S /JavaScript /JS (app.alert(1)) >>": {"pdf-javascript"},
    b"<< /S /Java#53cript /JS 3 0 R >>": {"pdf-javascript"},
    b"<< /S /#4aava#53cript >>": {"pdf-javascript"},
    b"<< /S /Rendition /#4AS <41> >>": {"pdf-javascript"},
    b"<< /S/Launch/F(cmd.exe) >>": {"pdf-launch"},
    b"<< /OpenAction 3 0 R >>": {"pdf-open-action"},
    b"<< /AA << /O 3 0 R >> >>": {"pdf-open-action"},
    b"<< /AcroForm << /XFA [ (a) 3 0 R ] >> >>": {"pdf-xfa"},
    b"<< /Subtype /RichMedia >>": {"pdf-rich-media"},
    b"<< /Names << /EmbeddedFiles 3 0 R >> >>": {"pdf-embedded-file"},
    b"<< /JavaScripting /JS /XFA /AA /EF /Launchpad 1 >>": set(),
    b"<< /Title (Encrypt me) /Encryption 3 >>": set(),
}


@pytest.mark.parametrize("body", NAMES)
def test_names_that_matter(body: bytes) -> None:
    assert inspect(pdf(body)).codes == NAMES[body]
    assert inspect(pdf(object_stream({7: body}))).codes == NAMES[body]
    assert inspect(pdf(body, head=b"x" * 1000 + b"%PDF-1.0\r")).codes == NAMES[body]


def test_what_is_launched_is_named() -> None:
    for body in (
        b"<< /S /Launch /Win << /F (cmd.exe) /P (/c calc) >> >>",
        b"<< /S /Launch /F << /Type /Filespec /UF (cmd.exe) >> >>",
    ):
        assert inspect(pdf(body)).details["pdf-launch"] == ["", "cmd.exe"]


@pytest.mark.parametrize("predictor", [2, 10, 11, 12, 13, 14])
def test_predictors(predictor: int) -> None:
    rows = [bytes(random.Random(n).randbytes(5)) for n in range(40)]
    packed = b""
    above = bytes(5)
    for row in rows:
        out = bytearray()
        for i, value in enumerate(row):
            left = row[i - 1] if i else 0
            corner = above[i - 1] if i else 0
            guess = left + above[i] - corner
            nearest = min(
                (abs(guess - left), 0, left),
                (abs(guess - above[i]), 1, above[i]),
                (abs(guess - corner), 2, corner),
            )[2]
            minus = {
                2: left,
                10: 0,
                11: left,
                12: above[i],
                13: left + above[i] >> 1,
                14: nearest,
            }[predictor]
            out.append(value - minus & 255)
        packed += (b"" if predictor == 2 else bytes([predictor - 10])) + bytes(out)
        above = row
    more = b"/DecodeParms << /Predictor %d /Columns 5 >>" % predictor
    data = pdf(specification(b"(a)", 2), flate(packed, more))
    assert members(data) == [(["a"], b"".join(rows))]


def test_other_filters() -> None:
    def undo(data: bytes, name: bytes) -> bytes | None:
        one = {b"Filter": pdfsyntax.Name(name)}
        return pdfsyntax.decode(data, one, 10**6, lambda count: True)

    # ISO 32000-1, the example of section 7.4.4.2.
    lzw = bytes.fromhex("800b6050220c0c8501")
    assert undo(lzw, b"LZWDecode") == bytes([45, 45, 45, 45, 45, 65, 45, 45, 45, 66])
    assert undo(b"\x02abc\xfed\x80zz", b"RL") == b"abcddd"
    assert undo(b"<~9jqo^z~>", b"A85") == b"Man \0\0\0\0"
    assert undo(b"4 1 4>", b"AHx") == b"A@"
    assert undo(zlib.compress(b"abc" * 99)[:-4], b"Fl") == b"abc" * 99
    assert undo(zlib.compress(b"abc", wbits=-15), b"Fl") == b"abc"
    assert undo(b"x", b"JBIG2Decode") is None


def test_lzw_of_long_tables() -> None:
    """Codes of up to 12 bits, written as plain codes with the width they have."""
    content = bytes(random.Random(1).randbytes(6000))
    bits, width, size = "", 9, 258
    bits += f"{256:09b}"
    for number, byte in enumerate(content):
        bits += f"{byte:0{width}b}"
        if number:
            size += 1
        reach = size + 1
        width = 9 if reach < 512 else 10 if reach < 1024 else 11 if reach < 2048 else 12
        if size == 4095:
            bits += f"{256:0{width}b}"
            width, size = 9, 257
    bits += f"{257:0{width}b}"
    bits += "0" * (-len(bits) % 8)
    packed = int(bits, 2).to_bytes(len(bits) // 8, "big")
    assert pdfsyntax.lzw(packed, 1, 10**6)[:3000] == content[:3000]


#: Made by qpdf: whether it opens, the dictionary, O and U, the identity.
ENCRYPTION = {
    "revision 2": (
        True,
        b"/Filter /Standard /V 1 /R 2 /Length 40 /P -4",
        ("c92422687facee686e373f10b5c7d04738053152f7e2ee30e11c69ec442576ab"),
        ("23322e09e2fa39e4d2e40c7db23f704cdf77b0f31a622c545b8a65513c54d57c"),
        "0dacd6776f2f8ee01a4d0c591b805278",
    ),
    "revision 2, password": (
        False,
        b"/Filter /Standard /V 1 /R 2 /Length 40 /P -4",
        ("92fe0f4454ad4c9644693f33c07cb54f587dce1e2682fe9ecea6107a1ef630dd"),
        ("a4609001c96edea65ed9ea756a940e171b8389bf279f584e14ca8c9829ece573"),
        "64c2564c9cfd962911e89903770e9904",
    ),
    "revision 3": (
        True,
        b"/Filter /Standard /V 2 /R 3 /Length 128 /P -4",
        ("566fa873ee33c797cd3b904fdadf814afa34df9a38f6ed41b984e2c6da2aa6f5"),
        ("e9a102788b66c684aafb79d6c775959a0122456a91bae5134273a6db134c87c4"),
        "9d8437cb289a6e9fc91eb27e5db244af",
    ),
    "revision 3, password": (
        False,
        b"/Filter /Standard /V 2 /R 3 /Length 128 /P -4",
        ("0db5855fc5326569e765906caf64e4429a4c20d6e996fdef963e9b5080f9e083"),
        ("90165afcbe46bd6870805da71a4b25b60122456a91bae5134273a6db134c87c4"),
        "e65466e827a51a7d156b211f8cd03b11",
    ),
    "revision 4, metadata in the clear": (
        True,
        b"/Filter /Standard /V 4 /R 4 /Length 128 /P -4 /EncryptMetadata false",
        ("566fa873ee33c797cd3b904fdadf814afa34df9a38f6ed41b984e2c6da2aa6f5"),
        ("52f6f7a810d6d346815787359eecb9730122456a91bae5134273a6db134c87c4"),
        "3286158cbd92e6f29a24defde928f0e5",
    ),
    "revision 5": (
        True,
        b"/Filter /Standard /V 5 /R 5 /Length 256 /P -4",
        (
            "458d600e00f7b3ccde4fab6c392405b808096dbb8d27560dd499bd93ab9e5fef"
            "cc86bb16c82b31ea1240d6b583e1415a"
        ),
        (
            "34b3eb3c7c4000058fc4519ec8e25e521a7487c3a9b8d96ef3906469e99e5e68"
            "f2856c2dce116ab651515012af05c02a"
        ),
        "",
    ),
    "revision 5, password": (
        False,
        b"/Filter /Standard /V 5 /R 5 /Length 256 /P -4",
        (
            "eaef11f27bddd13fc05ef5c290ce9d2a7cc83560e65ee35e38cab7aa14bbcca5"
            "b3af5b20577ef233bf960fea93ade830"
        ),
        (
            "d9a17383e502d9b4820139845d1397e980e0d16c996c701f1041cec36886aa24"
            "952c181de61369fe6ad243223069c6fb"
        ),
        "",
    ),
    "revision 6": (
        True,
        b"/Filter /Standard /V 5 /R 6 /Length 256 /P -4",
        (
            "7613185bc5deba96d85e04555e1d3606a6b4f904734924be82872e75712b30ab"
            "eb3e8e89b6d222daf3b15c50454dcd11"
        ),
        (
            "e6f7f2c8f642b1af6dcabdeb675e1c8014a832dc8e7caddbd1ece407d904668a"
            "3edfa234f62e0e24a47163beed5876fa"
        ),
        "",
    ),
    "revision 6, password": (
        False,
        b"/Filter /Standard /V 5 /R 6 /Length 256 /P -4",
        (
            "24cf2b269603b3e05557875eaae00e8e396a1457939c60837c779a420acd9b77"
            "cfec86f61b6662bf3c6a0d04ac3986f2"
        ),
        (
            "821c5634d0c56325dc0354a168d2eb89137c75420580f604de29f6d7fc6885cb"
            "fe49a0de962514b5367e67d62ffedeed"
        ),
        "",
    ),
}


@pytest.mark.parametrize("name", ENCRYPTION)
def test_encrypted_pdf_opens_without_a_password_or_not(name: str) -> None:
    opens, dictionary, owner, user, identity = ENCRYPTION[name]
    dictionary += b" /O <%b> /U <%b>" % (owner.encode(), user.encode())
    body = specification(b"(\\344\\377)", 3)
    data = pdf(
        b"<< " + dictionary + b" >>",
        body,
        stream(b"nobody can read this"),
        trailer=b"/Encrypt 1 0 R /ID [<%b> <00>]" % identity.encode(),
    )
    found = inspect(data)
    code = "pdf-restricted" if opens else "document-encrypted"
    assert found.codes == {code, "pdf-embedded-file"}
    (member,) = found.members
    assert member.encrypted
    assert not member.has_content
    assert member.names == []
    direct = pdf(body, trailer=b"/Encrypt << %b >>" % dictionary.replace(b"/V", b"/W"))
    assert "document-encrypted" in inspect(direct).codes or opens


def test_what_cannot_be_checked_is_encrypted() -> None:
    for trailer in (b"/Encrypt 77 0 R", b"/Encrypt << /Filter /Other >>"):
        assert inspect(pdf(b"<< >>", trailer=trailer)).codes == {"document-encrypted"}


def test_aes_and_rc4() -> None:
    # FIPS 197 appendix B; RFC 6229 has no text, these are the well-known vectors.
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    block = bytes.fromhex("3243f6a8885a308d313198a2e0370734")
    sealed = "3925841d02dc09fbdc118597196a0b32"
    assert pdfcrypt.aes_cbc(key, bytes(16), block).hex() == sealed
    assert pdfcrypt.rc4(b"Key", b"Plaintext").hex() == "bbf316e8d940af0ad3"


def test_a_stream_of_objects_that_cannot_be_read_is_damage() -> None:
    good = object_stream({5: b"<< /S /JavaScript >>"})
    bad = good.replace(b"stream\nx", b"stream\nXXXXXXXX")
    assert bad != good
    assert inspect(pdf(bad)).codes == {"document-broken"}


# RTF.

OBJECT = ole1(b"Package", package(b"a.exe", PROGRAM))
OBFUSCATED = {
    "plain": OBJECT.hex().encode(),
    "upper case": OBJECT.hex().upper().encode(),
    "lines": b"\r\n".join(
        OBJECT.hex().encode()[at : at + 64] for at in range(0, 2 * len(OBJECT), 64)
    ),
    "blanks everywhere": b" \t\n".join(b"%c" % c for c in OBJECT.hex().encode()),
    "groups": b"{\\*\\x{\\y}}".join(b"%02x" % c for c in OBJECT),
    "control words": b"\\par\\q1 ".join(b"%02x" % c for c in OBJECT),
    "escapes": b"\\'ff\\~".join(b"%02x" % c for c in OBJECT),
    "other characters": b"-_zZ;".join(b"%02x" % c for c in OBJECT),
    "binary": b"\\bin%d %b" % (len(OBJECT), OBJECT),
    "half binary": OBJECT[:20].hex().encode()
    + b"\\bin%d " % (len(OBJECT) - 20)
    + OBJECT[20:],
    "in a group": b"{" + OBJECT.hex().encode() + b"}",
    "an odd digit": OBJECT.hex().encode() + b"0",
}


@pytest.mark.parametrize("name", OBFUSCATED)
@pytest.mark.parametrize("before", [0, 4000, (1 << 18) - 40, (1 << 18) - 700])
def test_objects_in_rtf(name: str, before: int) -> None:
    data = rtf(OBFUSCATED[name], b"x" * before)
    found = inspect(data)
    assert found.codes == {"document-embedded-object"}
    assert found.media_type == "text/rtf"
    assert (["a.exe", "C:\\tmp\\a.exe"], PROGRAM) in members(data)


def test_digits_in_groups_are_read_both_ways() -> None:
    digits = OBJECT.hex().encode()
    data = rtf(digits[:40] + b"{\\*\\junk ffff}" + digits[40:])
    found = members(data)
    assert len(found) == 2
    assert (["a.exe", "C:\\tmp\\a.exe"], PROGRAM) in found


def test_other_objects_in_rtf() -> None:
    inner = compound({"a": b"b"})
    data = rtf(ole1(b"Word.Document.8", inner).hex().encode())
    assert members(data) == [([], inner)]
    data = rtf((b"\1\2\3\4junk" + inner).hex().encode())
    assert members(data) == [([], inner)]
    for classname in (b"Equation.3", b"eQuatiOn.3"):
        data = rtf(ole1(classname, b"x" * 99).hex().encode())
        assert inspect(data).codes == {"document-embedded-object", "document-equation"}
    data = rtf(ole1(b"htmlfile", b"", b"http://evil.example/", 1).hex().encode())
    assert inspect(data).details["document-external-link"] == [
        "htmlfile http://evil.example/"
    ]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (rb"{\*\template http://evil.example/a.dotm}", {"document-external-link"}),
        (
            rb"{\*\template \u104\u116\u116\u112://e.example}",
            {"document-external-link"},
        ),
        (rb"{\*\template \'68\'74\'74p://evil.example}", {"document-external-link"}),
        (rb"{\*\template \\\\\\\\host\\share\\a.dot}", {"document-external-link"}),
        (rb"{\*\template C:\\Normal.dotm}", set()),
        (rb"{\*\fldinst DDEAUTO c:\\x}", {"document-dde"}),
        (rb"{\*\fldinst {\rtlch {D}{\b D}E}AUTO c:\\x}", {"document-dde"}),
        (rb"{\*\fldinst HYPERLINK DDE}", set()),
        (
            rb"{\object\objautlink\objupdate{\*\objclass Word}}",
            {"document-external-link"},
        ),
        (rb"{\*\objclass Equation.3}", {"document-equation"}),
        (rb"{\objdatastore 01050000}", set()),
        (rb"{\*\objdata }", set()),
    ],
)
def test_what_rtf_points_to(text: bytes, codes: set[str]) -> None:
    assert inspect(rb"{\rtf1 " + text + b"}").codes == codes
    assert inspect(rb"{\rtf1 " + b"a" * ((1 << 18) - 20) + text + b"}").codes == codes


# OneNote, ARJ, mailboxes.


def test_files_in_onenote() -> None:
    files = [("a.exe", PROGRAM), ("\u00fcb.hta", b"<html>" * 60_000), ("c", b"")]
    data = onenote(*files)
    found = inspect(data)
    assert found.codes == {"document-embedded-object"}
    assert members(data) == [([name], content) for name, content in files]
    broken = inspect(data[: data.index(PROGRAM) + 10])
    assert broken.codes == {"document-broken", "document-embedded-object"}
    more = onenote(("a.exe", PROGRAM)) + onenote(("b.exe", b""))[1024:80_000]
    assert len(members(more)) == 2
    names = onenote(("a.exe", PROGRAM)).replace(PROGRAM, b"").index(b"a\0.\0e")
    assert names > 0
    doubled = onenote(("a.exe", b"")) + data[1024 : data.index(PROGRAM) - 36]
    assert members(doubled) == [(["a.exe"], b"")]


def test_an_arj_archive() -> None:
    data = arj(
        (b"a.exe", PROGRAM, 0, 0),
        (b"packed.exe", b"\1\2\3", 1, 0),
        (b"secret.exe", b"\1\2\3\4", 0, 1),
        (b"last.txt", b"text", 0, 0),
    )
    for before in (b"", b"MZ\x60\xea\0\1" * 500):
        from qscan.archives.documents import arj as reader

        whole = before + data
        found = reader.inspect(Content(whole).read, len(whole))
        assert found.codes == {"archive-unsupported", "archive-encrypted"}
        assert [one.names for one in found.members] == [
            ["a.exe"],
            ["packed.exe"],
            ["secret.exe"],
            ["last.txt"],
        ]
        assert [content(one, whole) for one in found.members] == [
            PROGRAM,
            b"",
            b"",
            b"text",
        ]
        assert [one.encrypted for one in found.members] == [False, False, True, False]
        assert found.members[1].size == 3


def test_a_damaged_arj_archive() -> None:
    data = arj((b"a.exe", PROGRAM, 0, 0), (b"b.exe", PROGRAM, 0, 0))
    for cut in (-2, -100, -len(PROGRAM) - 30):
        assert inspect(data[:cut]).codes == {"archive-broken"}, cut
    wrong = data.replace(b"b.exe", b"c.exe")
    assert inspect(wrong).codes == {"archive-broken"}
    assert list(named(wrong)) == ["a.exe", "c.exe"]


MAILS = [
    b"Subject: one\n\nFrom here on\n\nFrom here on text\n\n",
    b"X-Y: two\n\n>From me\n\n",
    b"Received: three\nSubject: x\n\nlast",
]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("filling", [0, 1 << 18, (1 << 18) - 200])
def test_messages_of_a_mailbox(end: bytes, filling: int) -> None:
    mails = [*MAILS[:1], MAILS[1] + b"x" * filling + b"\n\n", *MAILS[1:]]
    data = b"".join(b"From a@b Mon Jan  1 00:00:00 2024\n" + one for one in mails)
    data = data.replace(b"\n", end)
    found = inspect(data)
    assert found.codes == set()
    assert {one.kind for one in found.members} == {"mail"}
    contents = [
        content(one, data).replace(end, b"\n").rstrip() for one in found.members
    ]
    assert contents == [one.rstrip() for one in mails]


# Documents in one XML file.

MSO = b"ActiveMime" + bytes(20) + struct.pack("<H", 4) + bytes(18)


@pytest.mark.parametrize("where", [46, 0x32, 0x22A])
def test_active_mime(where: int) -> None:
    inner = compound({"\x01Ole10Native": native(b"a.exe", PROGRAM)})
    head = b"ActiveMime" + bytes(where - 10)
    for more in (head, head[:30] + struct.pack("<H", where - 46) + head[32:]):
        data = more + zlib.compress(inner)
        assert inspect(data).codes == {"document-macros"}
        assert members(data) == [([], inner)]
    assert inspect(head).codes == {"document-broken"}


def test_word_xml() -> None:
    binary = base64.encodebytes(MSO + zlib.compress(b"x"))
    element = b'<w:binData w:name="editdata.mso" xml:space="preserve">%b</w:binData>'
    data = (
        b'<?xml version="1.0"?><?mso-application progid="Word.Document"?>'
        b'<w:wordDocument xmlns:w="http://schemas.microsoft.com/office/word/2003/wordml"'
        b' w:macrosPresent="no"><w:docSuppData>' + element % binary
    )
    assert inspect(data).codes == {"document-macros"}
    assert members(data) == [(["editdata.mso"], MSO + zlib.compress(b"x"))]
    yes = data.replace(b'Present="no"', b"Present = 'yes'").replace(
        element % binary, b""
    )
    assert inspect(yes).codes == {"document-macros"}
    harmless = data.replace(element % binary, element % base64.b64encode(b"hello"))
    assert inspect(harmless).codes == set()
    assert named(harmless) == {"editdata.mso": b"hello"}


def test_a_flat_package() -> None:
    part = b'<pkg:part pkg:name="%b"><pkg:binaryData>%b</pkg:binaryData></pkg:part>'
    data = (
        b'\xef\xbb\xbf<pkg:package xmlns:pkg="http://schemas.microsoft.com/office/2006/'
        b'xmlPackage">'
        + part % (b"/word/embeddings/o.bin", base64.b64encode(PROGRAM))
        + part % (b"/word/vbaProject.bin", base64.encodebytes(b"x" * 400_000))
        + part % (b"/word/media/a.png", b"QQ")
    )
    assert inspect(data).codes == {"document-macros", "document-embedded-object"}
    assert named(data) == {
        "/word/embeddings/o.bin": PROGRAM,
        "/word/vbaProject.bin": b"x" * 400_000,
        "/word/media/a.png": b"A",
    }


# Packages.

RELATIONSHIPS = (
    b'<Relationships xmlns="http://schemas.openxmlformats.org/package">%b</>'
)
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"


def package_facts(parts: dict[str, bytes]) -> Facts:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    with zipfile.ZipFile(file) as archive:
        return ooxml.inspect_names(
            archive.namelist(), lambda name, limit: archive.read(name)[:limit]
        )


WORD = {"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<w:document/>"}
FIELD = (
    b'<w:r><w:fldChar w:fldCharType="begin"/></w:r>%b'
    b'<w:r><w:fldChar w:fldCharType="separate"/></w:r>'
)


def instruction(*pieces: bytes) -> bytes:
    inner = b"".join(
        b'<w:r><w:instrText xml:space="preserve">%b</w:instrText></w:r>' % piece
        for piece in pieces
    )
    return FIELD % inner


def relation(attributes: str) -> dict[str, bytes]:
    text = RELATIONSHIPS % f"<Relationship {attributes}/>".encode()
    return {"word/_rels/settings.xml.rels": text}


PACKAGES: list[tuple[dict[str, bytes], set[str]]] = [
    ({}, set()),
    ({"word/vbaProject.bin": b""}, {"document-macros"}),
    ({"\\WORD\\VBAPROJECT.BIN": b""}, {"document-macros"}),
    ({"xl/macrosheets/sheet1.xml": b""}, {"document-macros"}),
    ({"[Content_Types].xml": b"x.macroEnabled.main+xml"}, {"document-macros"}),
    ({"[Content_Types].xml": b"x.macro&#69;nabled.main+xml"}, {"document-macros"}),
    (
        {"[Content_Types].xml": "a.macroEnabled.main+xml".encode("utf-16")},
        {"document-macros"},
    ),
    ({"[Content_Types].xml": b"<!DOCTYPE x []>"}, {"document-broken"}),
    (
        {"[Content_Types].xml": b"application/vnd.ms-office.vbaProject"},
        {"document-macros"},
    ),
    (relation(f'Type="{OFFICE[:40]}/vbaProject" Target="x.bin"'), {"document-macros"}),
    ({"word/embeddings/oleObject1.bin": b""}, {"document-embedded-object"}),
    ({"word/activeX/activeX1.bin": b""}, {"document-activex"}),
    (
        relation(
            f'Type="{OFFICE}attachedTemplate" Target="http://evil.example/a>b"'
            ' TargetMode="External"'
        ),
        {"document-external-link"},
    ),
    (
        relation(
            f"TargetMode = '&#x45;xternal' Target='file://h/x' Type='{OFFICE}oleObject'"
        ),
        {"document-external-link"},
    ),
    (
        relation(
            f'Type="{OFFICE}hyperlink" Target="http://x.example/" TargetMode="External"'
        ),
        set(),
    ),
    (
        relation(
            f'Type="{OFFICE}hyperlink" Target="ms-msdt:/id" TargetMode="External"'
        ),
        {"document-external-link"},
    ),
    ({"word/document.xml": instruction(b' DDEAUTO "c:"')}, {"document-dde"}),
    ({"word/footnotes.xml": instruction(b" D", b"DE", b" x")}, {"document-dde"}),
    ({"word/document.xml": instruction(b" PAGE ", b"DDE")}, set()),
    ({"word/document.xml": b'<w:fldSimple w:instr="DDE c"/>'}, {"document-dde"}),
    (
        {"word/document.xml": instruction(b" QUOTE 68 68 69 65 85 84 79 ")},
        {"document-dde"},
    ),
    ({"xl/externalLinks/externalLink1.xml": b"<ddeLink a='b'/>"}, {"document-dde"}),
]


@pytest.mark.parametrize(("parts", "codes"), PACKAGES)
def test_ooxml(parts: dict[str, bytes], codes: set[str]) -> None:
    found = package_facts({**WORD, **parts})
    assert found.codes == codes
    assert found.members == []


ODF = {
    "mimetype": b"application/vnd.oasis.opendocument.text",
    "META-INF/manifest.xml": b"<manifest:manifest/>",
    "content.xml": b"<office:document-content/>",
}
ODF_PACKAGES: list[tuple[dict[str, bytes], set[str]]] = [
    ({}, set()),
    ({"Basic/script-lc.xml": b"", "Basic/Standard/script-lb.xml": b""}, set()),
    ({"Basic/Standard/Module1.xml": b""}, {"document-macros"}),
    ({"Scripts/python/a.py": b""}, {"document-macros"}),
    ({"content.xml": b'<script:event-listener x="y"/>'}, {"document-macros"}),
    (
        {"META-INF/manifest.xml": b"<manifest:encryption-data>"},
        {"document-encrypted"},
    ),
    (
        {"META-INF/manifest.xml": b'"application/vnd.sun.star.oleobject"'},
        {"document-embedded-object"},
    ),
    (
        {"content.xml": b'<draw:object a="b" xlink:href="http://evil.example/"/>'},
        {"document-external-link"},
    ),
    ({"content.xml": b'<draw:object xlink:href="./Object 1"/>'}, set()),
    ({"content.xml": b'<text:a xlink:href="http://good.example/"/>'}, set()),
    ({"content.xml": b"<text:dde-connection-decl/>"}, {"document-dde"}),
]


@pytest.mark.parametrize(("parts", "codes"), ODF_PACKAGES)
def test_odf(parts: dict[str, bytes], codes: set[str]) -> None:
    found = package_facts({**ODF, **parts})
    assert found.codes == codes
    assert found.media_type == "application/vnd.oasis.opendocument.text"


def test_what_is_a_package() -> None:
    assert ooxml.is_package(WORD)
    assert ooxml.is_package(ODF)
    assert not ooxml.is_package(["META-INF/MANIFEST.MF", "a.class"])


def test_the_type_of_a_package() -> None:
    assert package_facts(WORD).media_type.endswith("wordprocessingml.document")
    macros = {**WORD, "[Content_Types].xml": b"macroEnabled"}
    wanted = "application/vnd.ms-word.document.macroEnabled.12"
    assert package_facts(macros).media_type == wanted


# Files that others made.

FOUND_IN_TESTFILES = {
    "clam.ole.doc": ("Clam.exe", {"document-embedded-object"}),
    "clam.exe.rtf": ("Clam.exe", {"document-embedded-object"}),
    "clam.pdf": ("clam.exe", {"pdf-embedded-file"}),
    "clam.arj": ("clam.exe", {"archive-unsupported"}),
    "clam.ppt": ("", {"document-embedded-object"}),
}


@pytest.mark.parametrize("name", FOUND_IN_TESTFILES)
def test_files_of_clamav(name: str) -> None:
    path = TESTFILES / name
    if not path.exists():
        pytest.skip("no clamav-testfiles")
    member, codes = FOUND_IN_TESTFILES[name]
    data = path.read_bytes()
    assert inspect(data).codes == codes
    ((found, content),) = named(data).items()
    assert found == member
    if name == "clam.arj":
        assert content == b""
    elif name == "clam.ppt":
        assert named(content)["clam.exe"].startswith(b"MZ")
    else:
        assert len(content) == 544
        assert content.startswith(b"MZ")


# Bounds.


def test_too_many_members_are_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MEMBERS", 2)
    mail = b"From a@b Mon\nSubject: x\n\ntext\n\n"
    found = inspect(mail * 3)
    assert found.codes == {"limit-parts"}
    assert len(found.members) == 2


def test_a_bomb_in_a_pdf_is_a_limit() -> None:
    bomb = zlib.compress(zlib.compress(bytes(1 << 26), 9) + bytes(1000), 9)
    more = b"/Filter [/FlateDecode /FlateDecode] /Type /EmbeddedFile"
    found = inspect(pdf(*[stream(bomb, more)] * 5))
    assert "limit-expanded-bytes" in found.codes
    assert sum(len(one.data or b"") for one in found.members) <= bounds.DECODED


def test_details_are_printable_and_few() -> None:
    facts = Facts()
    for number in range(1000):
        facts.note("document-broken", f"{number}\n\u202e" + "x" * 5000)
    assert len(facts.facts) == bounds.DETAILS
    for _, detail, _ in facts.facts:
        assert detail.isprintable()
        assert len(detail) <= bounds.NAME


def seeds() -> dict[str, bytes]:
    vba = {"dir": b"x", "_VBA_PROJECT": b"y"}
    message = {
        "__substg1.0_37010102": PROGRAM,
        "__substg1.0_3707001F": "a.exe".encode("utf-16-le"),
    }
    moniker = bytes.fromhex("e0c9ea79f9bace118c8200aa004ba90b")
    sheet = struct.pack("<IBB", 0, 2, 1) + b"\x05\0Macro"
    inner = compound({"\x01Ole10Native": native(b"a.exe", PROGRAM)})
    records = slide(0x1011, struct.pack("<I", 1) + zlib.compress(inner), instance=1)
    found = {
        "word": compound(
            {
                "WordDocument": b"\xec\xa5" + bytes(5000),
                "Macros": {"VBA": vba},
                "ObjectPool": {"_1": {"\x01Ole10Native": native(b"a.exe", PROGRAM)}},
                "\x01Ole": bytes(20) + moniker + b"http://x.example/",
            },
            scatter=True,
        ),
        "excel": compound({"Workbook": biff((0x809, bytes(16)), (0x85, sheet))}),
        "slides": compound({"PowerPoint Document": records}),
        "message": compound({"__attach_version1.0_#00000000": message}, sector=4096),
        "pdf": pdf(
            object_stream({5: b"<< /S /Launch >>", 6: specification(b"(b.exe)", 2)}),
            flate(PROGRAM, b"/DecodeParms << /Predictor 12 /Columns 4 >>"),
            b"<< /OpenAction << /S /JavaScript /JS (x) >> >>",
            stream(b"800b6050220c0c8501>", b"/Type/EmbeddedFile/Filter[/AHx/LZW]"),
            trailer=b"/ID [<00> <00>]",
        ),
        "encrypted pdf": pdf(
            b"<< /Filter /Standard /V 2 /R 3 /Length 128 /P -4 /O <%b> /U <%b> >>"
            % (b"00" * 32, b"11" * 32),
            trailer=b"/Encrypt 1 0 R /ID [<00> <00>]",
        ),
        "rtf": rtf(b"{\\x}".join(b"%02x" % c for c in OBJECT)),
        "linked rtf": rtf(
            ole1(b"OLE2Link", b"", b"http://x.example", 1).hex().encode()
        ),
        "onenote": onenote(("a.exe", PROGRAM), ("b.exe", b"")),
        "arj": arj((b"a.exe", PROGRAM, 0, 0), (b"b.exe", PROGRAM, 1, 1)),
        "xml": b"<?mso-application?><w:binData w:name='a.mso'>"
        + base64.encodebytes(MSO + zlib.compress(inner))
        + b"</w:binData><pkg:part pkg:name='/a/vbaProject.bin'><pkg:binaryData>QUJD",
        "mso": MSO + zlib.compress(inner),
        "mbox": b"From a@b\nSubject: x\n\ntext\n\nFrom c@d\nX-Y: z\n\n>From x\n",
    }
    for name in FOUND_IN_TESTFILES:
        if (TESTFILES / name).exists():
            found[name] = (TESTFILES / name).read_bytes()
    return found


SEEDS = seeds()
WORDS = [
    struct.pack("<I", number)
    for number in (0, 1, 2, 63, 64, 4096, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
]


def mutant(data: bytes, dice: random.Random, pieces: list[bytes]) -> bytes:
    """The content with a few bytes changed; its first ones stay, as a rule."""
    for _ in range(dice.randrange(1, 8)):
        at = (
            dice.randrange(len(data) + 1) if dice.random() < 0.9 else dice.randrange(80)
        )
        length = dice.choice([1, 2, 4, 4, 16, 512])
        turn = dice.randrange(7)
        if turn == 0:
            data = data[:at] + data[at + length :]
        elif turn == 1:
            data = data[:at] + data[at : at + length] * 2 + data[at + length :]
        elif turn == 2:
            data = data[:at] + dice.randbytes(length) + data[at + length :]
        elif turn == 3:
            at &= ~3
            data = data[:at] + dice.choice(WORDS) + data[at + 4 :]
        elif turn == 4:
            data = data[:at]
        elif turn == 5:
            data = data[:at] + dice.choice(pieces) + data[at:]
        elif at < len(data):
            data = (
                data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :]
            )
    return data


PIECES = [
    b"<<",
    b">>",
    b"[",
    b"(",
    b"stream\n",
    b"endstream",
    b" 1 0 obj ",
    b"/EF << /F 1 0 R >>",
    b"/Encrypt 1 0 R",
    b"/Type /ObjStm /First 3",
    b"\\objdata ",
    b"\\bin99 ",
    b"{",
    b"}",
    b"\n\nFrom x\nA: b\n",
]


def check(data: bytes) -> Facts:
    """What must be true of whatever came in."""
    source = Content(data)
    found = Facts()
    head = data[: sniff.HEAD]
    for module in documents.readers_for(sniff.detect(head), head):
        found = module.inspect(source.read, len(data))
        assert found.codes <= set(defects.DEFECTS)
        assert len(found.facts) <= bounds.FACTS
        assert len(found.members) <= bounds.MEMBERS
        for member in found.members:
            assert len(member.names) <= bounds.NAMES
            for offset, length in member.spans:
                assert offset >= 0
                assert length >= 0
                assert offset + length <= len(data)
            assert member.size >= 0
            if member.has_content:
                assert len(content(member, data)) == member.size
    return found


@pytest.mark.parametrize("name", SEEDS)
def test_mutants_raise_nothing(name: str, tmp_path: Path) -> None:
    original = SEEDS[name]
    whole = check(original)
    assert whole.facts or whole.members
    for number in range(ROUNDS):
        dice = random.Random(f"{SEED}:{name}:{number}")
        data = mutant(original, dice, PIECES)
        try:
            check(data)
        except Exception:
            kept = tmp_path / f"round-{number}"
            kept.write_bytes(data)
            print(f"round {number} of seed {SEED!r}: {kept}")
            raise


# Work grows with the file, not with its square.


class Work:
    """Counts lines of our own code, bytes read, and bytes that methods run over."""

    def __init__(self) -> None:
        self.count = 0

    def trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if "documents" not in frame.f_code.co_filename:
            return None
        if event == "line":
            self.count += 1
        return self.trace

    def run(self, data: bytes) -> int:
        """The work of all readers that know this."""
        head = data[: sniff.HEAD]
        source = Content(data)
        for module in documents.readers_for(sniff.detect(head), head):
            sys.settrace(self.trace)
            try:
                module.inspect(source.read, len(data))
            finally:
                sys.settrace(None)
        return self.count + source.read_bytes // 100


def same_chain(count: int) -> bytes:
    """Many streams that claim the sectors of one."""
    tree = {f"s{n}": b"PK\3\4" for n in range(count)}
    data = bytearray(compound({**tree, "big": b"PK\3\4" + bytes(count * 500)}))
    at = data.index("big\0".encode("utf-16-le"))
    claim = data[at + 116 : at + 128]
    for number in range(count):
        other = data.index(f"s{number}\0".encode("utf-16-le"))
        data[other + 116 : other + 128] = claim
    return bytes(data)


def nested_storages(count: int) -> bytes:
    """A chain of storages, each in the one before."""
    data = bytearray(compound({f"{n}": {} for n in range(count)}))
    for number in range(count - 1):
        at = data.index(f"{number}\0".encode("utf-16-le") + bytes(56))
        struct.pack_into("<I", data, at + 72, 0xFFFFFFFF)
        struct.pack_into("<I", data, at + 76, number + 2)
    return bytes(data)


ENDLESS = {
    "one chain for many streams": same_chain,
    "many streams": lambda n: compound({f"{i}": b"PK\3\4" for i in range(n)}),
    "storages in storages": nested_storages,
    "records of a workbook": lambda n: compound({"Workbook": bytes(40 * n)}),
    "records of slides": lambda n: compound({"PowerPoint Document": bytes(80 * n)}),
    "open objects": lambda n: b"%PDF-1.7\n" + b"1 0 obj << /EF << " * 8 * n,
    "open strings": lambda n: b"%PDF-1.7\n" + b"1 0 obj << /EF << /F (" * 8 * n,
    "streams without an end": lambda n: (
        b"%PDF-1.7\n" + b"1 0 obj <</Type/ObjStm/Length 9>>stream\n" * 8 * n
    ),
    "file specifications": lambda n: pdf(specification(b"(a)", 2) * 4 * n),
    "names of streams of objects": lambda n: b"%PDF-1.7\n" + b"/ObjStm " * 20 * n,
    "comments": lambda n: b"%PDF-1.7\n1 0 obj /EF <<" + b"%\n" * 20 * n,
    "objects of RTF": lambda n: b"{\\rtf1 " + b"{\\objdata " * 4 * n,
    "digits of RTF": lambda n: rtf(b"0 " * 200 * n),
    "control words of RTF": lambda n: b"{\\rtf1 " + b"\\template" * 20 * n,
    "fields of RTF": lambda n: b"{\\rtf1 " + b"\\fldinst " * 20 * n,
    "files of OneNote": lambda n: onenote(*[("a", b"x")] * 3 * n),
    "properties of OneNote": lambda n: onenote() + bytes.fromhex("721d001c") * 10 * n,
    "members of ARJ": lambda n: arj(*[(b"a", b"x", 0, 0)] * n),
    "beginnings of ARJ": lambda n: b"\x60\xea\0\1\x22\0\0\0\0\0\2" * 10 * n,
    "elements of XML": lambda n: b"<?mso-application?>" + b"<binData>A" * 20 * n,
    "names of XML": lambda n: b"<?mso-application?>" + b"name='" * 20 * n,
    "messages": lambda n: b"From a\nA: b\n\n" * n,
    "lines like messages": lambda n: b"From a\nA: b\n" + b"\n\nFrom \n" * 20 * n,
}


@pytest.mark.parametrize("name", ENDLESS)
def test_twice_the_file_is_twice_the_work(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Streams that reach over others are looked into until this is used up.
    monkeypatch.setattr(bounds, "WORK", 1_000_000)
    make = ENDLESS[name]
    one, two = make(250), make(500)
    assert len(two) > 1.5 * len(one)
    first, second = Work().run(one), Work().run(two)
    assert first > 50
    assert second < 2.6 * first + 2000, (first, second)
