# SPDX-License-Identifier: MIT
"""Transfer decodings: against the standard library, cut anywhere, never raising."""

from __future__ import annotations

import base64
import binascii
import quopri
import random

import pytest

from qscan import transfer

ENCODINGS = (b"base64", b"quoted-printable", b"x-uuencode")


def decode(encoding: bytes, data: bytes, sizes: list[int] | None = None) -> bytes:
    return decode_noting(encoding, data, sizes)[0]


def decode_noting(
    encoding: bytes, data: bytes, sizes: list[int] | None = None
) -> tuple[bytes, list[str]]:
    """Decoded, and what was odd; fed in pieces of ``sizes``, the last one repeated."""
    coder = transfer.decoder(encoding)
    assert coder is not None
    out = []
    position = 0
    turns = iter(sizes or [max(1, len(data))])
    size = 1
    while position < len(data):
        size = next(turns, size)
        out.append(coder.feed(data[position : position + size]))
        position += size
    out.append(coder.finish())
    return b"".join(out), sorted(coder.odd)


def uuencode(data: bytes) -> bytes:
    lines = [binascii.b2a_uu(data[i : i + 45]) for i in range(0, len(data), 45)]
    return b"begin 644 x\n" + b"".join(lines) + b" \nend\n"


ENCODERS = {
    b"base64": base64.encodebytes,
    b"quoted-printable": lambda data: quopri.encodestring(data, quotetabs=True),
    b"x-uuencode": uuencode,
}


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_was_encoded_well_comes_back_exactly(
    encoding: bytes, newline: bytes
) -> None:
    dice = random.Random(4)
    for size in (0, 1, 2, 3, 44, 45, 46, 57, 58, 100, 1000, 3000):
        data = dice.randbytes(size)
        if encoding == b"quoted-printable":
            # Its line ends are those of the message.
            data = data.replace(b"\n", b"").replace(b"\r", b"")
        encoded = ENCODERS[encoding](data).replace(b"\n", newline)
        got, odd = decode_noting(encoding, encoded)
        assert got.removesuffix(newline if not data.endswith(newline) else b"") == data
        assert odd == []


ODD_BASE64 = {
    b"": (b"", []),
    b"QUJD": (b"ABC", []),
    b"QUI=": (b"AB", []),
    b"QQ==": (b"A", []),
    b"QUJD\r\nREVG\r\n": (b"ABCDEF", []),
    b"Q U\tJ\nD": (b"ABC", ["base64-lines"]),
    b"QUJDR\nEVG\n": (b"ABCDEF", ["base64-lines"]),
    b"QUJD\nREVG\nREVG\nRE\nVG": (b"ABCDEFDEFDEF", ["base64-lines"]),
    b"QUJD\nREVG\nREVG\nRE\n\n": (b"ABCDEFDEFD", ["base64-length"]),
    b"QUJD\nREVG\nREVG\nREVG": (b"ABCDEFDEFDEF", []),
    b"QUI": (b"AB", ["base64-length"]),
    b"QQ": (b"A", ["base64-length"]),
    b"QUJDQ": (b"ABC", ["base64-length"]),
    b"Q": (b"", ["base64-length"]),
    b"====": (b"", []),
    b"QUI=QUI=": (b"ABAB", ["base64-data-after-padding"]),
    b"QQ==QUJD": (b"AABC", ["base64-data-after-padding"]),
    b"QQ=\n=\nQQ==": (b"AA", ["base64-data-after-padding", "base64-lines"]),
    b"Q-U-J-D": (b"ABC", ["base64-junk"]),
    b"QUJD\n--": (b"ABC", ["base64-junk"]),
    b"QUJD\n--i": (b"ABC", ["base64-junk", "base64-length"]),
    b"QUJD\n#QU": (b"ABCA", ["base64-junk", "base64-length"]),
    b"QUJD\n-Q-U-J-D-": (b"ABCABC", ["base64-junk"]),
    b"\xff\0QUJD": (b"ABC", ["base64-junk"]),
    b"Q\0UJD": (b"ABC", ["base64-junk"]),
}


@pytest.mark.parametrize("data", ODD_BASE64)
def test_base64_is_read_as_clients_read_it(data: bytes) -> None:
    got, odd = decode_noting(b"base64", data)
    assert got == ODD_BASE64[data][0]
    assert odd == ODD_BASE64[data][1]


ODD_QP = {
    b"": b"",
    b"abc": b"abc",
    b"a=3Db": b"a=b",
    b"a=3db=c3=BC": "a=bü".encode(),
    b"a=\nb": b"ab",
    b"a=\r\nb": b"ab",
    b"a= \t\nb": b"ab",
    b"a= \t\r\nb": b"ab",
    b"a \t\nb": b"a\nb",
    b"a \t\r\nb": b"a\r\nb",
    b"a=20\nb": b"a \nb",
    b"a=": b"a",
    b"a= ": b"a",
    b"a =\nb": b"a b",
    b"a=\rb\nc": b"ab\nc",
    b"a=ZZ": b"a=ZZ",
    b"a=4": b"a=4",
    b"a_b": b"a_b",
    b"\xff=FF\0": b"\xff\xff\0",
}


@pytest.mark.parametrize("data", ODD_QP)
def test_quoted_printable_is_read_as_clients_read_it(data: bytes) -> None:
    assert decode(b"quoted-printable", data) == ODD_QP[data]


ODD_UU = {
    b"": (b"", []),
    b"begin 644 x\n#86)C\n \nend\n": (b"abc", []),
    b"begin 644 x\n#86)C\n`\nend\n": (b"abc", []),
    b"begin 644 x\r\n#86)C\r\n`\r\nend\r\n": (b"abc", []),
    b"#86)C\n \nend\n": (b"abc", []),
    b"#86)C": (b"abc", []),
    b"begin 644 x\n#86)C\nend\n#86)C\n": (b"abc", []),
    b"begin 644 x\n#86)C\n\n#86)C\n": (b"abcabc", []),
    b"begin 644 x\n\x7fjunk\n#86)C\n": (b"abc", ["uu-bad-line"]),
    b"begin 644 x\n#86)C and more\n": (b"abc", []),
    b'begin 644 x\n"86\n': (b"a`", []),
}


@pytest.mark.parametrize("data", ODD_UU)
def test_uuencode_is_read_as_clients_read_it(data: bytes) -> None:
    got, odd = decode_noting(b"x-uuencode", data)
    if data == b'begin 644 x\n"86\n':
        # Blanks at the end of the line were lost.
        assert got == binascii.a2b_uu(b'"86  ')
        return
    assert got == ODD_UU[data][0]
    assert odd == ODD_UU[data][1]


def test_a_block_says_where_it_ends() -> None:
    block = uuencode(b"one")
    coder = transfer.UU(started=True)
    first = block.index(b"\n") + 1
    assert coder.feed(block[first:] + b"text behind\n") == b"one"
    assert coder.done
    assert coder.used == len(block) - first
    assert coder.feed(b"#86)C\n") == b""
    assert coder.finish() == b""


def test_a_block_ends_before_the_next_one() -> None:
    coder = transfer.UU(started=True)
    assert coder.feed(b"#86)C\nbegin 644 y\n#86)C\nend\n") == b"abc"
    assert coder.done
    assert coder.used == len(b"#86)C\n")


WORDS = {
    b"base64": b"QUJD|Q|QU|=|==|\n|\r\n|-|--i| |\t".split(b"|"),
    b"quoted-printable": b"=|=\n|=\r\n| |\t|\n|\r|=41|a".split(b"|"),
    b"x-uuencode": b"begin 644 x\n|#86)C|\n|\r\n|end\n|`| |M".split(b"|"),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_fed_byte_by_byte_is_fed_whole(encoding: bytes) -> None:
    """And in any other pieces, for anything that may come."""
    dice = random.Random(5)
    words = [*WORDS[encoding], b"\xff", b"\0", b"z"]
    for _ in range(4000):
        data = b"".join(dice.choices(words, k=dice.randrange(1, 16)))
        whole = decode_noting(encoding, data)
        assert decode_noting(encoding, data, [1]) == whole, data
        sizes = [dice.randrange(1, 6) for _ in range(20)]
        assert decode_noting(encoding, data, sizes) == whole, data


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_cut_anywhere_raises_nothing_and_keeps_what_came_before(
    encoding: bytes,
) -> None:
    data = ENCODERS[encoding](bytes(range(256)).replace(b"\n", b"").replace(b"\r", b""))
    whole = decode(encoding, data)
    for cut in range(len(data)):
        got = decode(encoding, data[:cut])
        # Less than a line may be different where the cut is.
        assert got[: max(0, len(got) - 64)] == whole[: max(0, len(got) - 64)], cut


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("filler", [b" ", b"=", b"a", b"\r", b"\0", b"\n", b"begin "])
def test_one_endless_line_is_not_kept_in_memory(encoding: bytes, filler: bytes) -> None:
    coder = transfer.decoder(encoding)
    assert coder is not None
    out = 0
    for _ in range(20):
        out += len(coder.feed(filler * (262_144 // len(filler))))
        assert len(coder.rest) <= 2 * 262_144
    out += len(coder.finish())
    assert out <= 20 * 262_144


def test_the_names_of_encodings() -> None:
    for name in (b"base64", b"quoted-printable", b"x-uuencode", b"uuencode", b"x-uue"):
        assert transfer.decoder(name) is not None
    for name in (b"", b"7bit", b"x-secret", b"base-64", b"gzip64"):
        assert transfer.decoder(name) is None
