# SPDX-License-Identifier: MIT
"""Header blocks, structured values, names: what clients make of them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from unpacking import corpus_parameters, unpack

from qscan import headers, parameters
from qscan import names as file_names
from qscan.model import Defects, Header

if TYPE_CHECKING:
    from pathlib import Path

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
    "blank continuation first": (
        b" \nB: 2\n",
        [(b"b", b" 2")],
        ["blank-line-in-header"],
    ),
    "bare CR": (
        b"A: 1\rB: 2\n",
        [(b"a", b" 1\rB: 2")],
        ["bare-cr-in-header", "field-behind-cr"],
    ),
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
    b"filename*2=c; filename*0=a": ["ac", "ca", "a"],
    b"filename*0=a; filename*0=b": ["ab", "a", "b"],
    b"filename*00=a; filename*01=b": ["ab"],
    b"filename*x=a": ["a"],
    b"filename*999999=a": ["a"],
    b"filename*0=a; filename*1=b; filename=c": ["c", "ab"],
    b"filename==?utf-8?q?a_b?=": ["=?utf-8?q?a_b?=", "a b"],
    b"filename==?utf-8?x?a_b?=": ["=?utf-8?x?a_b?=", "a_b"],
    b"filename==?utf-8*en?b?YQ?=": ["=?utf-8*en?b?YQ?=", "a"],
    b"filename==?x-none?q?a?=": ["=?x-none?q?a?=", "a"],
    b"filename==?utf-8?q?a?": ["=?utf-8?q?a?", "a"],
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


#: Each hides file.zip from somebody who reads the field in one way only.
HIDDEN = {
    "backslash before the closing quote": b'filename="file.zip\\"',
    "quote in the middle": b'filename="file".zip"',
    "quote in a token": b'filename=file".zip',
    "two quotes": b'filename=""file.zip""',
    "no closing quote": b'filename= "file.zip',
    "single quotes": b"filename='file.zip'",
    "single quotes and a semicolon": b"filename='file; a.zip'",
    "typographic quotes": "filename=\u201cfile.zip\u201d".encode(),
    "more behind the quotes": b'filename="file.zip"foo.png',
    "more behind a blank": b"filename=file.zip foo.png",
    "backslash in a token": b"filename=file.z\\ip",
    "comma": b"filename=file.zip,a.jpg",
    "at sign": b"filename=file.zip@a.jpg",
    "question mark": b"filename=file.zip?a.jpg",
    "pieces with signs": b"filename*-1=file.; filename*0=zip",
    "soft hyphen in the keyword": b"filename=a.png; file\xc2\xadname=file.zip",
    "quoted-printable around": b'filename=3D"file.zip"',
    "escaped path": b'filename="C:\\temp\\file.zip"',
    "quote left open before": b'filename="a.png\\";filename=file.zip',
    "single quote left open before": b"filename='a.png;filename=file.zip",
    "comment left open before": b"filename=a.png(;filename=file.zip",
    "semicolon": b"filename=file;.zip",
    "semicolons": b"filename=file;a;b;.zip; size=4",
    "semicolon in quotes": b'filename="file.zip;.png"',
    "comment in the keyword": b"na(x)me=file.zip",
    "comment behind the keyword": b"name(=x.png)=file.zip",
    "comment in the name": b"filename=file.z(x)ip",
    "comment in quotes": b'filename="file.z(x)ip"',
    "extension in a comment": b'filename="file.zip(.gif)"',
    "open comment": b"filename=file.(zip",
    "open comment before": b"(; filename=file.zip",
    "all in a comment": b"filename=(file.zip)",
    "nested comments": b"fi((a)b)lename=file(c(d)).zip",
    "fold in the keyword": b"file\n na\n me=file.zip",
    "fold in the name": b'filename="file.\n zip"',
    "fold with CR in the name": b'filename="file.\r\n zip"',
    "bare CR": b"filename=file.z\rip",
    "NUL": b"filename=file.\0zip",
    "NUL ends it": b'filename="file.zip\0.png"',
    "NUL before": b'filename="a.png\0.zip"',
    "backslash in the keyword": b"n\\ame=file.zip",
    "quotes around the keyword": b'"filename"=file.zip',
    "quotes in the keyword": b'file"na"me=file.zip',
    "encoded keyword": b"=?utf-8?q?filename?==file.zip",
    "colon for equals sign": b"filename: file.zip",
    "no semicolon before": b'foo="x" filename=file.zip',
    "no keyword": b"file.zip",
    "misspelt keyword": b"filenam=file.zip",
    "prefixed keyword": b"x-my-filename-2=file.zip",
    "first of two": b"filename=file.zip; filename=a.png",
    "last of two": b"filename=a.png; filename=file.zip",
    "percent": b'filename="file%2Ezip"',
    "percent twice": b'filename="file%252Ezip"',
    "RFC 2231 in a plain name": b"filename=utf-8''file%2ezip",
    "RFC 2231 beside a plain name": b"filename=a.png; filename*=utf-8''file%2Ezip",
    "RFC 2231 with one quote": b"filename*=utf-8'file%2Ezip",
    "RFC 2231 without a charset": b"filename*=file.zip",
    "RFC 2231 quoted": b"filename*=\"utf-8''file%2Ezip\"",
    "RFC 2231 with a letter": b"filename*a=file.zip",
    "pieces with a gap": b"filename*0=file.; filename*2=zip",
    "pieces after a gap": b"filename*0=file.zip; filename*2=.png",
    "pieces from 1": b"filename*1=file.; filename*2=zip; filename=a.png",
    "pieces reversed": b"filename*1=zip; filename*0=file.",
    "pieces with turned numbers": b"filename*1*=''file.; filename*0*=zip",
    "pieces with a number twice": b"filename*0=file.; filename*0=a; filename*1=zip",
    "pieces of both kinds": b"filename*0*=utf-8''file%2E; filename*1=zip",
    "pieces in UTF-16": (
        b"filename*0*=utf-16''%66%00%69%00%6c%00%65%00%2e%00;"
        b" filename*1*=%7a%00%69%00%70%00"
    ),
    "UTF-16 of the other order": (
        b"filename*=utf-16''%00f%00i%00l%00e%00.%00z%00i%00p"
    ),
    "pieces of encoded words": (
        b'filename*0="=?utf-8?B?Zmls?="; filename*1="=?utf-8?B?ZS56aXA=?="'
    ),
    "encoded word": b"filename==?utf-8?B?ZmlsZS56aXA=?=",
    "encoded word with a language": b"filename==?utf-8*en?B?ZmlsZS56aXA=?=",
    "encoded word of an unknown charset": b"filename==?x-odd?B?ZmlsZS56aXA=?=",
    "encoded word in UTF-16": b'filename="=?utf-16?B?ZgBpAGwAZQAuAHoAaQBwAA==?="',
    "encoded word in UTF-16, turned": (
        b'filename="=?utf-16?B?AGYAaQBsAGUALgB6AGkAcA==?="'
    ),
    "encoded word in UTF-16 as another": (
        b'filename="=?ascii?B?ZgBpAGwAZQAuAHoAaQBwAA==?="'
    ),
    "encoded word in UTF-7": b'filename="=?utf-7?Q?file+AC4-zip?="',
    "encoded word without an end": b'filename="=?utf-8?B?ZmlsZS56aXA="',
    "encoded word with half an end": b'filename="=?utf-8?B?ZmlsZS56aXA=?"',
    "encoded word with blanks": b'filename="=? utf-8 ? B ?ZmlsZS56aXA=?="',
    "encoded word with blanks in it": b'filename="=?utf-8?B?Zmls ZS56 aXA=?="',
    "encoded word folded": b'filename="=?utf-8?B?ZmlsZS56\n aXA=?="',
    "encoded word without padding": b'filename="=?utf-8?B?LmZpbGUuemlw?="',
    "encoded word with padding inside": b'filename="=?utf-8?B?ZmlsZQ==LnppcA==?="',
    "encoded word cut short": b'filename="=?utf-8?B?ZmlsZS56aXAuM?="',
    "encoded word with a question mark": b'filename="=?utf-8?Q?wh?at.zip?="',
    "encoded word twice over": (
        b'filename="=?utf-8?Q?=3D=3Futf-8=3FB=3FZmlsZS56aXA=3D=3F=3D?="'
    ),
    "encoded word of 5000 bytes": (
        b'filename="=?utf-8?Q?' + b"a" * 5000 + b'file=2Ezip?="'
    ),
    "encoded words side by side": (b'filename="=?utf-8?B?Zmls?==?utf-8?B?ZS56aXA=?="'),
    "encoded words folded apart": (
        b'filename="=?utf-8?B?Zmls?=\n =?utf-8?B?ZS56aXA=?="'
    ),
    "encoded words quoted apart": (
        b'filename="=?utf-8?B?Zmls?="\n "=?utf-8?B?ZS56aXA=?="'
    ),
    "encoded words of which one is broken": (
        b'filename="=?utf-8?B?Zmls =?utf-8?B?ZS56aXA=?="'
    ),
    "a character in two words": (
        b'filename="=?utf-16le?B?ZgBpAGwAZQAuAHoAaQ==?= =?utf-16le?B?AHAA?="'
    ),
}


def shows(found: list[str], end: str = ".zip") -> bool:
    """True when a matching form of a name ends so."""
    return any(form.endswith(end) for name in found for form in file_names.forms(name))


@pytest.mark.parametrize("name", HIDDEN)
def test_a_name_that_is_hidden_in_a_field_is_found(name: str) -> None:
    text = HIDDEN[name]
    assert shows(disposition(text)), disposition(text)
    assert shows(names((b"content-type", b" application/octet-stream; " + text)))
    if b"zip" in text:
        assert not shows(disposition(text.replace(b"zip", b"png")))


FIELDS_WITH_NAMES = {
    "no disposition": [(b"content-disposition", b"filename=file.zip")],
    "no semicolon": [(b"content-disposition", b"attachment filename=file.zip")],
    "all encoded": [
        (
            b"content-disposition",
            b"=?utf-8?B?YXR0YWNobWVudDsgZmlsZW5hbWU9ZmlsZS56aXA=?=",
        )
    ],
    "two fields": [
        (b"content-disposition", b"attachment; filename=a.png"),
        (b"content-disposition", b"attachment; filename=file.zip"),
    ],
    "pieces in two fields": [
        (b"content-disposition", b"attachment; filename*0=file."),
        (b"content-disposition", b"attachment; filename*1=zip"),
    ],
    "pieces in fields of two kinds": [
        (b"content-type", b"a/b; name*0=file."),
        (b"content-disposition", b"attachment; filename*1=zip"),
    ],
    "comment in the field name": [
        (b"content-disposition(x)", b"attachment; filename=file.zip")
    ],
    "odd field name": [(b"x-content-disposition", b"attachment; filename=file.zip")],
    "hidden behind a CR": [
        (b"x-a", b"b\rContent-Disposition: attachment; filename=file.zip")
    ],
    "description": [(b"content-description", b" file.zip")],
    "encoded description": [(b"content-description", b"=?utf-8?B?ZmlsZS56aXA=?=")],
    "location": [(b"content-location", b"file.zip")],
    "URL": [(b"content-location", b"http://example.org/a/file.zip?a=b#c")],
    "content id": [(b"content-id", b"<file.zip@example.org>")],
}


@pytest.mark.parametrize("name", FIELDS_WITH_NAMES)
def test_a_name_in_an_odd_field_is_found(name: str) -> None:
    found = names(*FIELDS_WITH_NAMES[name])
    assert shows(found), found


ORDINARY = {
    b"attachment; filename=a.pdf; size=12": ["a.pdf"],
    b'attachment;\n filename="a b.pdf";\n size=12;\n'
    b' creation-date="Mon, 2 Nov 2026 10:00:00 GMT"': ["a b.pdf"],
    b'attachment; filename="report (1).pdf"': ["report (1).pdf"],
    b'attachment; filename="report (v1.2).pdf"': ["report (v1.2).pdf"],
    b'attachment;\n filename="=?utf-8?Q?F=C3=BCr?=\n =?utf-8?Q?_Sie.pdf?="': [
        "=?utf-8?Q?F=C3=BCr?= =?utf-8?Q?_Sie.pdf?=",
        "F\xfcr Sie.pdf",
    ],
    b"attachment; filename*=UTF-8''F%C3%BCr.pdf": ["F\xfcr.pdf"],
    b"attachment;\n filename*0=aaa;\n filename*1=.pdf": ["aaa.pdf"],
    b"inline": [],
    b"attachment; filename=": [],
}


@pytest.mark.parametrize("value", ORDINARY)
def test_an_ordinary_field_has_its_name_and_no_other(value: bytes) -> None:
    assert names((b"content-disposition", value)) == ORDINARY[value]


def test_what_is_no_file_name_is_not_taken_for_one() -> None:
    assert (
        names(
            (b"content-type", b'multipart/mixed; boundary="a.b"; charset=x.y'),
            (b"content-type", b"multipart/signed; protocol=application/pgp.sig"),
            (b"content-description", b"see www.example.com"),
            (b"content-description", b"a text. Really"),
            (b"content-location", b"http://www.example.com"),
            (b"content-id", b"<123.456@example.com>"),
            (b"subject", b"name=no.zip"),
            (b"x-name", b"name=no.zip"),
        )
        == []
    )
    # An identifier is no name where there is one.
    assert names(
        (b"content-id", b"<a.bcd@example.org>"), (b"content-type", b"a/b; name=x")
    ) == ["x"]


@pytest.mark.parametrize(
    "path", corpus_parameters("mime-is-broken/hide-filename", "*.eml")
)
def test_the_corpus_hides_no_name(path: Path, tmp_path: Path) -> None:
    found = unpack(path.read_bytes(), tmp_path)
    zipped = shows([name for item in found.items for name in item.names])
    if ".png" in path.name:
        assert not zipped
        assert found.report.verdict == "clean"
    else:
        assert zipped or found.report.verdict == "refused"


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


def test_charsets_are_known_however_many_were_not() -> None:
    unknown = [b"=?no-such-charset-%d?q?a?=" % number for number in range(200)]
    for word in unknown:
        assert parameters.decode_words(word) == b"a"
    assert parameters.decode_words(b"=?windows-1252?q?=80.zip?=") == "€.zip".encode()
    assert parameters.decode_words(b"=?utf-16be?q?=00a?=") == b"a"
    assert parameters.decode_words(b"=?utf-7?q?file+AC4-zip?=") == b"file.zip"
