# SPDX-License-Identifier: MIT
"""Signed, compressed and encrypted S/MIME objects: what is in them is found."""

from __future__ import annotations

import base64
import io
import random
import shutil
import subprocess
import zipfile
import zlib
from pathlib import Path

import harness
import pytest
from unpacking import unpack

from qscan import cms, defects

MARK = b"the file inside, as no other file is\n"
SIGNED = bytes.fromhex("2a864886f70d010702")
DATA = bytes.fromhex("2a864886f70d010701")
COMPRESSED = bytes.fromhex("2a864886f70d0109100109")
END = b"\0\0"


def tlv(tag: int, *content: bytes) -> bytes:
    """An element in DER."""
    body = b"".join(content)
    size = len(body)
    if size < 128:
        return bytes((tag, size)) + body
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 128 | len(octets))) + octets + body


def ber(tag: int, *content: bytes) -> bytes:
    """An element of indefinite length."""
    return bytes((tag, 0x80)) + b"".join(content) + END


def info(content: bytes, kind: bytes = SIGNED, make: object = tlv) -> bytes:
    """A ContentInfo around the elements ``content`` of an OCTET STRING."""
    return make(  # type: ignore[operator,no-any-return]
        0x30,
        tlv(6, kind),
        make(  # type: ignore[operator]
            0xA0,
            make(  # type: ignore[operator]
                0x30,
                tlv(2, b"\1"),
                make(0x31, make(0x30, tlv(6, DATA), tlv(5))),  # type: ignore[operator]
                make(0x30, tlv(6, DATA), make(0xA0, content)),  # type: ignore[operator]
                tlv(0x31),
            ),
        ),
    )


def inspected(data: bytes) -> cms.Found:
    """What the module says of ``data``."""

    def read(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    return cms.inspect(read, len(data))


def joined(data: bytes) -> bytes:
    """The content that the module finds."""
    found = inspected(data)
    return b"".join(data[start : start + size] for start, size in found.spans)


def kind(data: bytes) -> str:
    """The kind that the module names."""
    return inspected(data).kind


def entity() -> bytes:
    """A MIME entity with a zip that nothing but its contents tells from others."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside.txt", MARK)
    coded = base64.encodebytes(packed.getvalue())
    return (
        b"Content-Type: multipart/mixed; boundary=in\n\n--in\n\nsee there\n"
        b"--in\nContent-Type: application/zip; name=inside.zip\n"
        b"Content-Transfer-Encoding: base64\n\n" + coded + b"--in--\n"
    )


def message(body: bytes, name: bytes = b"smime.p7m") -> bytes:
    """A message that is one CMS object."""
    return harness.multipart(
        (b"text/plain", b"", b"see there\n"),
        (b"application/pkcs7-mime", name, body),
    )


def has_zip(body: bytes, directory: Path) -> bool:
    """True when the pipeline finds the zip of ``entity`` and its member."""
    done = unpack(message(body), directory)
    return any(
        item.names == ["inside.zip"] and item.detected_type == "application/zip"
        for item in done.items
    ) and any("inside.txt" in item.names for item in done.items)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a key and its certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    directory = tmp_path_factory.mktemp("signer")
    openssl(
        directory,
        *[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=a",
            "-keyout",
            "key",
            "-out",
            "cert",
        ],
    )
    return directory


def openssl(directory: Path, *words: str) -> None:
    """Run openssl there."""
    subprocess.run(
        ["openssl", *words], cwd=directory, check=True, capture_output=True, timeout=60
    )


def signed(directory: Path, content: bytes, *words: str, form: str = "DER") -> bytes:
    """``content`` in a signed object that openssl makes."""
    (directory / "in").write_bytes(content)
    openssl(
        directory,
        *f"cms -sign -binary -nodetach -signer cert -inkey key -outform {form}".split(),
        *["-in", "in", "-out", "out"],
        *words,
    )
    return (directory / "out").read_bytes()


@pytest.mark.parametrize("words", [(), ("-stream",), ("-indef",), ("-nocerts",)])
def test_what_openssl_signs_is_found(
    words: tuple[str, ...], signer: Path, tmp_path: Path
) -> None:
    content = entity() + b"x" * 70_000
    made = signed(signer, content, *words)
    assert cms.is_cms(made[:1024])
    assert kind(made) == "signed"
    assert joined(made) == content
    assert has_zip(made, tmp_path)


def test_an_armoured_object_is_opened(signer: Path, tmp_path: Path) -> None:
    armoured = signed(signer, entity(), form="PEM")
    assert cms.pem(armoured[:1024]) > 0
    assert has_zip(armoured, tmp_path)
    assert has_zip(base64.encodebytes(signed(signer, entity())), tmp_path)
    # A part without name that was encoded twice, or never said so.
    coded = base64.encodebytes(signed(signer, entity()))
    plain = b"Content-Type: application/pkcs7-mime\n\n" + coded
    done = unpack(plain, tmp_path)
    assert "inside.zip" in [name for item in done.items for name in item.names]


def test_the_message_that_openssl_makes_is_opened(signer: Path, tmp_path: Path) -> None:
    whole = signed(signer, entity(), form="SMIME")
    done = unpack(b"From: a@example.org\n" + whole, tmp_path)
    assert "inside.zip" in [name for item in done.items for name in item.names]


def test_signed_twice_is_opened_twice(signer: Path, tmp_path: Path) -> None:
    inner = signed(signer, entity(), form="SMIME")
    assert has_zip(signed(signer, inner), tmp_path)
    # Without MIME in between, too.
    assert has_zip(signed(signer, signed(signer, entity())), tmp_path)


def test_nesting_without_end_is_a_limit(tmp_path: Path) -> None:
    data = entity()
    for _ in range(60):
        data = info(tlv(4, data))
    assert "limit-depth" in unpack(message(data), tmp_path).codes


@pytest.mark.parametrize(
    "words",
    ["-encrypt", "-EncryptedData_encrypt -secretkey 00112233445566778899aabbccddeeff"],
)
def test_what_is_encrypted_is_a_finding(
    words: str, signer: Path, tmp_path: Path
) -> None:
    (signer / "in").write_bytes(entity())
    openssl(
        signer,
        *f"cms {words} -aes-128-cbc -outform DER -in in -out out".split(),
        *(["cert"] if words == "-encrypt" else []),
    )
    made = (signer / "out").read_bytes()
    assert kind(made) in cms.SECRET
    done = unpack(message(made), tmp_path)
    (where,) = [
        one.where for one in done.report.defects if one.code == "mail-encrypted"
    ]
    assert done.item(where).names == ["smime.p7m"]
    (finding,) = [
        one
        for one in defects.judge(done.report.defects, [])
        if one.rule == "mail-encrypted"
    ]
    assert finding.cls == "encrypted"


def test_compressed_content_is_opened(tmp_path: Path) -> None:
    for coded in (tlv(4, zlib.compress(entity())), ber(0x24, *pieces(entity()))):
        assert kind(info(coded, COMPRESSED)) == "compressed"
        assert has_zip(info(coded, COMPRESSED), tmp_path)


def pieces(content: bytes) -> list[bytes]:
    """The compressed ``content`` in OCTET STRINGs of seven bytes."""
    packed = zlib.compress(content)
    return [tlv(4, packed[at : at + 7]) for at in range(0, len(packed), 7)]


def test_a_bomb_is_a_limit(tmp_path: Path) -> None:
    bomb = info(tlv(4, zlib.compress(bytes(60_000_000), 9)), COMPRESSED)
    assert "limit-archive-ratio" in unpack(message(bomb), tmp_path).codes


@pytest.mark.parametrize("make", [tlv, ber])
def test_every_form_of_the_content_is_found(make: object, tmp_path: Path) -> None:
    content = entity()
    one = [tlv(4, content[at : at + 1]) for at in range(len(content))]
    nested = tlv(0x24, *one[:9], ber(0x24, tlv(0x24, *one[9:50]), *one[50:]))
    for coded in (tlv(4, content), tlv(0x24, *one), ber(0x24, *one), nested):
        made = info(coded, make=make)
        assert cms.is_cms(made[:1024])
        assert joined(made) == content
        assert has_zip(made, tmp_path)


def test_lengths_and_tags_may_be_longer_than_needed(tmp_path: Path) -> None:
    made = info(tlv(4, entity()))
    rest = made[4:] if made[1] == 0x82 else made[3:]
    size = len(rest)
    for first in (b"\x30\x84", b"\x3f\x10\x84"):
        long = first + size.to_bytes(4, "big") + rest
        assert joined(long) == entity()
        assert has_zip(long, tmp_path)
    wide = b"\x30\xfe" + size.to_bytes(126, "big") + rest
    assert joined(wide) == entity()
    assert cms.is_cms(wide)
    named = made.replace(tlv(6, SIGNED), b"\x06\x81\x09" + SIGNED)
    assert cms.is_cms(named)
    assert joined(named) == entity()


def test_more_pieces_than_are_read_are_a_limit(tmp_path: Path) -> None:
    made = info(ber(0x24, b"\x04\1x" * (cms.ELEMENTS + 5)))
    found = inspected(made)
    assert found.full
    assert len(found.spans) <= cms.ELEMENTS
    assert "limit-parts" in unpack(message(made), tmp_path).codes
    deep = info((b"\x24\x80" * 100) + tlv(4, b"x"))
    assert inspected(deep).full


def test_a_large_object_is_not_read_whole() -> None:
    size = 50_000_000
    whole = info(ber(0x24), make=ber)
    head = whole[: whole.index(b"\x24\x80") + 2]
    piece = tlv(4, bytes(4096))
    asked = 0

    def read(offset: int, length: int) -> bytes:
        nonlocal asked
        asked += length
        out = head[offset : offset + length]
        while len(out) < length:
            at = (offset + len(out) - len(head)) % len(piece)
            out += piece[at : at + length - len(out)]
        return out

    start = len(head)
    found = cms.inspect(read, start + size // len(piece) * len(piece))
    assert len(found.spans) == size // len(piece)
    assert asked < size // 4


def test_a_signed_file_is_no_message(tmp_path: Path) -> None:
    """CAdES: any file can be signed, invoices for instance."""
    text = b"<?xml version='1.0'?><p:invoice xmlns:p='urn:x'>" + b"<a/>" * 90_000
    done = unpack(message(info(tlv(4, text)), b"invoice.xml.p7m"), tmp_path)
    assert not {one for one in done.codes if one.startswith("limit-")}
    (item,) = [item for item in done.items if item.origin == "cms"]
    assert item.names == ["invoice.xml"]
    assert done.contents[item.path] == text


def test_a_detached_signature_holds_nothing(signer: Path, tmp_path: Path) -> None:
    (signer / "in").write_bytes(entity())
    openssl(
        signer,
        *[
            "cms",
            "-sign",
            "-signer",
            "cert",
            "-inkey",
            "key",
            "-outform",
            "DER",
            "-in",
            "in",
            "-out",
            "out",
        ],
    )
    made = (signer / "out").read_bytes()
    assert kind(made) == "signed"
    assert joined(made) == b""
    done = unpack(message(made, b"smime.p7s"), tmp_path)
    assert not [item for item in done.items if item.origin == "cms"]


@pytest.mark.parametrize("make", [tlv, ber])
def test_a_cut_anywhere_gives_what_is_left(make: object) -> None:
    made = info(tlv(0x24, tlv(4, b"abc"), tlv(4, b"def" * 60)), make=make)
    whole = joined(made)
    for end in range(len(made)):
        part = joined(made[:end])
        assert whole.startswith(part)
        cms.is_cms(made[:end])
        cms.pem(base64.b64encode(made)[:end])


def test_damage_anywhere_raises_nothing(tmp_path: Path) -> None:
    chance = random.Random(5652)
    seeds = [
        info(ber(0x24, tlv(4, b"abc"), tlv(0x24, tlv(4, b"d" * 300))), make=ber),
        info(tlv(4, entity())),
        info(tlv(4, zlib.compress(entity())), COMPRESSED),
    ]
    for number in range(6000):
        made = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(min(len(made), 120))
            made[at] = chance.choice(
                (0, 4, 0x24, 0x30, 0x80, 0xFF, chance.getrandbits(8))
            )
        data = bytes(made)
        found = inspected(data)
        for start, size in found.spans:
            assert 0 <= start < start + size <= len(data)
        if number % 300 == 0:
            unpack(message(data), tmp_path)


def test_what_read_raises_goes_through() -> None:
    def read(offset: int, length: int) -> bytes:
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input"):
        cms.inspect(read, 100)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"0",
        b"0\x80",
        b"MIME",
        b"0\x80\x06",
        b"My dear friend,\n",
        b"012345\n" * 20,
    ],
)
def test_other_content_is_not_taken_for_it(head: bytes) -> None:
    assert not cms.is_cms(head)
    assert cms.pem(head) == -1
