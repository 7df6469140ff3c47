# SPDX-License-Identifier: MIT
"""Header blocks, structured values, names: what clients make of them."""

from __future__ import annotations

import random

import pytest

from qscan import headers, parameters
from qscan.model import Defects, Header

FIELDS = {
    "two fields": (b"A: 1\nB: 2\n", [(b"a", b" 1"), (b"b", b" 2")], []),
    "no newline at the end": (b"A: 1", [(b"a", b" 1")], []),
    "CRLF": (b"A: 1\r\nB: 2\r\n", [(b"a", b" 1"), (b"b", b" 2")], []),
    "folded": (b"A: 1\n 2\n\t3\n", [(b"a", b" 1\n 2\n\t3")], []),
    "folded with CRLF": (b"A: 1\r\n 2\r\n", [(b"a", b" 1\n 2")], []),
    "empty value": (b"A:\n", [(b"a", b"")], []),
    "colons in the value": (b"A: b: c\n", [(b"a", b" b: c")], []),
    "case": (b"cOnTeNt-TyPe: X\n", [(b"content-type", b" X")], []),
    "mbox": (b"From x Mon\nA: 1\n", [(b"a", b" 1")], []),
    "quoted mbox": (b">From x Mon\nA: 1\n", [(b"a", b" 1")], []),
    "mbox later": (b"A: 1\nFrom x Mon\n", [(b"a", b" 1")], ["header-junk"]),
    "junk": (b"A: 1\nhello\nB: 2\n", [(b"a", b" 1"), (b"b", b" 2")], ["header-junk"]),
    "junk with blanks before a colon": (
        b"some words: 1\nB: 2\n",
        [(b"b", b" 2")],
        ["header-junk"],
    ),
    "space before colon": (b"A \t: 1\n", [(b"a", b" 1")], ["space-before-colon"]),
    "continuation first": (b" A: 1\nB: 2\n", None, ["continuation-first"]),
    "blank continuation first": (b" \nB: 2\n", [(b"b", b" 2")], []),
    "bare CR": (b"A: 1\rB: 2\n", [(b"a", b" 1\rB: 2")], ["bare-cr-in-header"]),
    "NUL": (b"A: 1\0\n", [(b"a", b" 1\0")], ["nul-in-header"]),
    "NUL in the name": (
        b"A\0: 1\n",
        [(b"a", b" 1")],
        ["header-junk", "nul-in-header"],
    ),
    "8-bit name": (b"\xe4: 1\n", [(b"\xe4", b" 1")], []),
    "only a colon": (b":\n", [], ["header-junk"]),
    "nothing": (b"", [], []),
}


def split(block: bytes) -> tuple[list[Header], list[str]]:
    defects = Defects()
    fields, end = headers.split_block(block, "1", defects)
    assert end == len(block)
    return fields, sorted(one.code for one in defects)


@pytest.mark.parametrize("name", FIELDS)
def test_a_header_block_gives_its_fields(name: str) -> None:
    block, want, codes = FIELDS[name]
    fields, found = split(block)
    if want is not None:
        assert [(field.name, field.value) for field in fields] == want
    assert found == codes


def test_a_field_behind_a_continuation_at_the_start_is_taken() -> None:
    """Some clients see a field there."""
    fields, _ = split(b" Content-Type: text/html\nA: 1\n")
    assert [field.name for field in fields] == [b"content-type", b"a"]


def test_junk_may_end_the_header() -> None:
    block = b"A: 1\nhello\nB: 2\n"
    fields, end = headers.split_block(block, "1", [], stop_at_junk=True)
    assert [field.name for field in fields] == [b"a"]
    assert block[end:] == b"hello\nB: 2\n"


def test_what_is_odd_on_every_line_is_noted_once() -> None:
    """A million lines must not become a million defects."""
    for line in (b"junk\n", b"A: \r1\n", b"A : 1\n"):
        _, codes = split(line * 1000)
        assert len(codes) == 1, codes
    value = headers.parse_value(b'a/b; x="' + b'y"z"' * 1000 + b"\\q" * 1000 + b'"')
    assert len(value.odd) == len(set(value.odd))


VALUES = {
    b"text/plain": (b"text/plain", []),
    b"TEXT/Plain": (b"text/plain", []),
    b" text / plain ": (b"text/plain", []),
    b"": (b"", []),
    b";": (b"", []),
    b"a/b; c=d": (b"a/b", [(b"c", b"d")]),
    b"a/b;c=d;": (b"a/b", [(b"c", b"d")]),
    b"a/b ; C = d ": (b"a/b", [(b"c", b"d")]),
    b"a/b; c": (b"a/b", []),
    b"a/b; c=": (b"a/b", [(b"c", b"")]),
    b"a/b; =d": (b"a/b", []),
    b"a/b; c=d=e": (b"a/b", [(b"c", b"d=e")]),
    b"a/b; c=d e": (b"a/b", [(b"c", b"d e")]),
    b'a/b; c="d e"': (b"a/b", [(b"c", b"d e")]),
    b'a/b; c="d;e"; f=g': (b"a/b", [(b"c", b"d;e"), (b"f", b"g")]),
    b'a/b; c="d\\"e\\\\f"': (b"a/b", [(b"c", b'd"e\\f')]),
    b'a/b; c=""': (b"a/b", [(b"c", b"")]),
    b'a/b; c="(d)"': (b"a/b", [(b"c", b"(d)")]),
    b'a/b; c="d': (b"a/b", [(b"c", b"d")]),
    b'a/b; c="d\\': (b"a/b", [(b"c", b"d\\")]),
    b'a/b; c="d"e': (b"a/b", [(b"c", b"de")]),
    b"a/b (c); d=e (f)": (b"a/b", [(b"d", b"e")]),
    b"a/b (c; d=e); f=g": (b"a/b", [(b"f", b"g")]),
    b"a/b (c (d) \\) e); f=g": (b"a/b", [(b"f", b"g")]),
    b"a/(x)b": (b"a/b", []),
    b"a/b; c=d(": (b"a/b", [(b"c", b"d")]),
    b"a/b; c=d; c=e": (b"a/b", [(b"c", b"d"), (b"c", b"e")]),
    b"a/b; c=\xff": (b"a/b", [(b"c", b"\xff")]),
}


@pytest.mark.parametrize("raw", VALUES)
def test_a_structured_value_is_read(raw: bytes) -> None:
    value = headers.parse_value(raw)
    assert (value.main, value.parameters) == VALUES[raw]


ODD = {
    b'a/b; c="d': ["unterminated-quote"],
    b'a/b; c="d\\"': ["unterminated-quote"],
    b"a/b; c=d (e": ["comment-in-mime-field", "unterminated-comment"],
    b"a/b (c)": ["comment-in-mime-field"],
    b'a/b; c=d"e"': ["stray-quote"],
    b"a/b; c=d\\e": ["stray-backslash"],
    b'a/b; c="d"': [],
    b'a/b; c = "d"': [],
    b"a/b; c='d'": [],
}


@pytest.mark.parametrize("raw", ODD)
def test_what_is_odd_about_a_value_is_noted(raw: bytes) -> None:
    assert sorted(headers.parse_value(raw).odd) == ODD[raw]


def test_the_number_of_parameters_is_limited() -> None:
    for raw in (b"a/b" + b"; c=d" * 5000, b'a/b; x=""' + b"; c=d" * 5000):
        value = headers.parse_value(raw)
        assert "limit-parameters" in value.odd
        assert len(value.parameters) <= headers.PARAMETERS


def names(*fields: tuple[bytes, bytes]) -> list[str]:
    return parameters.part_names([Header(name, value) for name, value in fields])


def disposition(text: bytes) -> list[str]:
    return names((b"content-disposition", b" attachment; " + text))


NAMES = {
    b"filename=a.zip": ["a.zip"],
    b'filename="a b.zip"': ["a b.zip"],
    b"FileName=a.zip": ["a.zip"],
    b"x-name=a.zip": ["a.zip"],
    b"size=3": [],
    b"filename*=utf-8''%e2%82%ac.zip": ["€.zip"],
    b"filename*=UTF-8'de'a%20b.zip": ["a b.zip"],
    b"filename*=''a.zip": ["a.zip"],
    b"filename*=a.zip": ["a.zip"],
    b"filename*=x'y": ["x'y"],
    b"filename*=utf-8''100%": ["100%"],
    b"filename*=utf-8''%zz%4": ["%zz%4"],
    b"filename*=cp1252''%80.zip": ["€.zip"],
    b"filename*=utf-16be''%00a%00.%00z": ["a.z"],
    b"filename*=utf-8''%ff.zip": ["ÿ.zip"],
    b"filename*0=a; filename*1=b": ["ab"],
    b"filename*0*=utf-8''%e2; filename*1*=%82%ac": ["€"],
    b"filename*1=b; filename*0=a": ["ab", "ba"],
    b"filename*2=c; filename*0=a": ["ac", "ca"],
    b"filename*0=a; filename*0=b": ["ab"],
    b"filename*00=a; filename*01=b": ["ab"],
    b"filename*x=a": [],
    b"filename*999999=a": [],
    b"filename*0=a; filename*1=b; filename=c": ["c", "ab"],
    b"filename==?utf-8?q?a_b?=": ["=?utf-8?q?a_b?=", "a b"],
    b"filename==?utf-8?x?a_b?=": ["=?utf-8?x?a_b?=", "a_b"],
    b"filename==?utf-8*en?b?YQ?=": ["=?utf-8*en?b?YQ?=", "a"],
    b"filename==?x-none?q?a?=": ["=?x-none?q?a?=", "a"],
    b"filename==?utf-8?q?a?": ["=?utf-8?q?a?"],
    b"filename==?utf-8?b?!?=": ["=?utf-8?b?!?="],
}


@pytest.mark.parametrize("text", NAMES)
def test_every_name_of_a_part_is_found(text: bytes) -> None:
    found = disposition(text)
    if text == b"filename==?utf-8?b?!?=":
        # Undecodable: what a client shows is nothing or the word itself.
        assert found[0] == "=?utf-8?b?!?="
        return
    assert found == NAMES[text]


def test_names_come_from_all_fields_that_may_name() -> None:
    assert names(
        (b"subject", b"name=no"),
        (b"content-type", b"a/b; name=one"),
        (b"content-disposition", b"inline; filename=two"),
        (b"content-type", b"a/b; name=three"),
        (b"content-description", b"x; name=four"),
    ) == ["one", "two", "three", "four"]


def test_names_are_not_repeated_and_not_endless() -> None:
    assert disposition(b"filename=a; filename=a; name=a") == ["a"]
    many = b"; ".join(b"n%dname=x%d" % (n, n) for n in range(900))
    assert len(disposition(many)) == parameters.NAMES


CHARSETS = ("utf-8", "latin-1", "utf-16le", "koi8-r", "shift_jis", "x-none", "rot13")


def test_any_bytes_give_names_and_nothing_is_raised() -> None:
    """Charsets that are codecs of another kind (rot13, hex, zip) among them."""
    dice = random.Random(2)
    words = [
        *(f"=?{c}?{k}?".encode() for c in CHARSETS for k in "bqx"),
        *(f"filename*={c}''".encode() for c in (*CHARSETS, "hex", "zlib", "idna")),
        *(b"?=", b"filename=", b"filename*0=", b"; filename*1*=", b"; name=", b'"'),
        *(b"\\", b"(", b")", b"%41", b"%", b"%f", b"'", b"=", b"*", b" ", b"\n "),
        *(b"a", b"\xff", b"\0", b"YWJj", b"=?", b"?", b";", b"=C3=9F"),
    ]
    for _ in range(4000):
        text = b"".join(dice.choices(words, k=dice.randrange(1, 14)))
        for name in disposition(text):
            assert name
            assert isinstance(name, str)
        parameters.decode_words(text)
        headers.parse_value(text)


def test_blocks_of_any_bytes_raise_nothing() -> None:
    dice = random.Random(3)
    words = [b"A", b":", b" ", b"\n", b"\r", b"\r\n", b"\0", b"From ", b"x: y", b"\xff"]
    for _ in range(4000):
        block = b"".join(dice.choices(words, k=dice.randrange(14)))
        for stop in (False, True):
            fields, end = headers.split_block(block, "1", [], stop)
            assert 0 <= end <= len(block)
            for field in fields:
                assert field.name == field.name.lower()
                assert headers.is_token(field.name)


def test_unfolding_takes_line_ends_away_and_keeps_blanks() -> None:
    assert headers.unfold(b" a\n b\n\tc ") == b"a b\tc"
    assert headers.values([Header(b"a", b" 1\n 2"), Header(b"b", b"")], b"a") == [
        b"1 2"
    ]
