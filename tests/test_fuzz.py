# SPDX-License-Identifier: MIT
"""Mail that nobody would write: seeded mutations, and constructs without end.

``QSCAN_FUZZ_ROUNDS`` sets how many mutants (default short), ``QSCAN_FUZZ_SEED`` which.
Work is counted, never timed: lines of Python, bytes that methods of bytes run over,
bytes read and written.
"""

from __future__ import annotations

import base64
import binascii
import os
import posix
import random
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from unpacking import REPOSITORY, SPECIMENS, Unpacked, corpus_files, crlf, unpack

from qscan import defects, mime, outcomes, pipeline, store
from qscan import unpack as unpacking

ROUNDS = int(os.environ.get("QSCAN_FUZZ_ROUNDS", "700"))
SEED = os.environ.get("QSCAN_FUZZ_SEED", "qscan")
EXACT = ("base64", "x-uuencode", "uuencode", "x-uue", "uue", "uu", "x-uu")
VERDICTS = ("clean", "infected", "policy", "refused", "deferred")

TOKENS = (
    b"\n",
    b"\n\n",
    b"\r",
    b" ",
    b"\t",
    b"\0",
    b"\xff",
    b"=",
    b"==",
    b"=\n",
    b"--",
    b"\n--",
    b"\n--x\n",
    b"\n--x--\n",
    b"\n--outer\n",
    b'"',
    b"\\",
    b"(",
    b")",
    b";",
    b":",
    b"; boundary=x",
    b'; boundary="',
    b"; boundary*0=x",
    b"; name=a.zip",
    b"; filename*=utf-8''a%2Ezip",
    b"=?utf-8?B?YQ==?=",
    b"\nContent-Type: multipart/mixed; boundary=x\n",
    b"\nContent-Type: message/rfc822\n",
    b"\nContent-Type: text/plain\n\n",
    b"\nContent-Transfer-Encoding: base64\n",
    b"\nContent-Transfer-Encoding: quoted-printable\n",
    b"\nContent-Transfer-Encoding: x-uuencode\n",
    b"\nContent-Transfer-Encoding: nonsense\n",
    b"\nbegin 644 a.zip\n",
    b"\nend\n",
    b"\n#86)C\n",
    b"UEsDBA==\n",
    b"From x Mon\n",
)


def whole_lines(message: bytes) -> bytes:
    """Every line end is LF; other CRs stay."""
    return re.sub(rb"\r+\n", b"\n", message)


def seeds() -> list[bytes]:
    found = [path.read_bytes() for path in sorted(SPECIMENS.glob("*.eml"))]
    for folder in ("mime4j/testmsgs", "stalwart/malformed", "real-mail"):
        for path in corpus_files(folder):
            message = path.read_bytes()
            if len(message) < 20_000:
                found.append(message)
    return found


def built(dice: random.Random) -> bytes:
    """A message of pieces that mean something together."""
    boundaries = [b"x", b"xy", b"x--", b"-", b"x y", b"a" * 80]
    types = [
        b"text/plain",
        b"text/html; name=a.html",
        b"message/rfc822",
        b"multipart/mixed; boundary=%s",
        b'multipart/digest; boundary="%s"',
        b"multipart/mixed",
        b"application/zip; name=a.zip",
    ]
    encodings = [b"base64", b"quoted-printable", b"x-uuencode", b"7bit", b"odd"]
    bodies = [
        b"text\n",
        base64.encodebytes(b"PK\3\4" + bytes(range(60))),
        b"begin 644 a\n" + binascii.b2a_uu(b"PK\3\4abc") + b" \nend\n",
        b"a=3D=\n b=20\n",
        b"\n",
        b"",
    ]
    out = [dice.choice([b"From: a@b\n", b"From x Mon\n", b""])]
    for _ in range(dice.randrange(1, 12)):
        boundary = dice.choice(boundaries)
        kind = dice.choice(types)
        if b"%s" in kind:
            kind = kind.replace(b"%s", boundary)
        turn = dice.randrange(6)
        if turn < 2:
            out.append(b"Content-Type: " + kind + b"\n")
        elif turn == 2:
            out.append(b"Content-Transfer-Encoding: " + dice.choice(encodings) + b"\n")
        elif turn == 3:
            out.append(b"\n" + dice.choice(bodies))
        else:
            out.append(b"--" + boundary + dice.choice([b"", b"--", b" ", b"z"]) + b"\n")
    return b"".join(out)


def mutant(number: int, sources: list[bytes]) -> bytes:
    """The message of one round; the same for the same seed and number."""
    dice = random.Random(f"{SEED}:{number}")
    message = built(dice) if dice.random() < 0.3 else dice.choice(sources)
    for _ in range(dice.randrange(1, 6)):
        size = len(message)
        at = dice.randrange(size + 1)
        length = dice.choice([1, 2, 8, 64, 500])
        turn = dice.randrange(8)
        if turn == 0:
            message = message[:at] + message[at + length :]
        elif turn == 1:
            message = message[:at] + message[at : at + length] * 2 + message[at:]
        elif turn == 2:
            message = message[:at] + dice.randbytes(length) + message[at:]
        elif turn == 3 and message:
            lines = message.split(b"\n")
            one, two = dice.randrange(len(lines)), dice.randrange(len(lines))
            lines[one], lines[two] = lines[two], lines[one]
            message = b"\n".join(lines)
        elif turn == 4:
            other = dice.choice(sources)
            message = message[:at] + other[dice.randrange(len(other) + 1) :]
        elif turn == 5:
            message = message[:at]
        else:
            message = message[:at] + dice.choice(TOKENS) + message[at:]
        if len(message) > 60_000:
            message = message[:60_000]
    return whole_lines(message)


def check(found: Unpacked, size: int) -> None:
    """What must be true of whatever came in."""
    report = found.report
    assert report.verdict in VERDICTS
    assert outcomes.BY_NAME[pipeline.outcome_of(report.action)]
    paths = [item.path for item in found.items]
    assert len(set(paths)) == len(paths)
    for item in found.items:
        assert item.size == len(found.contents[item.path]), item.path
        assert len(item.names) <= 400
    for defect in report.defects:
        assert defect.code in defects.DEFECTS or defect.code.startswith("tnef-")
    keys = [(one.code, one.where) for one in report.defects]
    assert max(Counter(keys).values(), default=0) <= 5
    # Nothing expands: base64 and the like only get shorter. Each reading is done once,
    # and the one that trusts nothing has a few places and decodings a segment.
    written = sum(i.size for i in found.items if i.file and i.span is None)
    assert written <= 100 * size + 2000


def essence(found: Unpacked) -> Counter[tuple[str, tuple[str, ...], bytes]]:
    """Encoding, names and content of all items, whatever the line ends; of the
    normal reading, since what another one finds again is left out there."""
    out: Counter[tuple[str, tuple[str, ...], bytes]] = Counter()
    for item in found.stated:
        if "~" in item.path:
            continue
        content = found.contents[item.path]
        if item.encoding not in EXACT:
            content = content.replace(b"\r\n", b"\n")
        out[item.encoding, tuple(item.names), content] += 1
    return out


def test_mutants_raise_nothing_and_read_the_same_with_lf_and_crlf(
    tmp_path: Path,
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    sources = seeds()
    for number in range(ROUNDS):
        message = mutant(number, sources)
        try:
            one = unpack(message, work)
            check(one, len(message))
            two = unpack(crlf(message), work)
            check(two, 2 * len(message))
            assert essence(one) == essence(two)
            assert one.codes == two.codes
            assert one.report.verdict == two.report.verdict
        except Exception:
            kept = tmp_path / f"round-{number}.eml"
            kept.write_bytes(message)
            print(f"round {number} of seed {SEED!r}: {kept}")
            raise
        assert os.listdir(work) == []


def test_small_limits_are_kept_whatever_comes(tmp_path: Path) -> None:
    sources = seeds()
    for number in range(ROUNDS // 4):
        message = mutant(number, sources)
        found = unpack(
            message,
            tmp_path,
            limit__depth=3,
            limit__parts=5,
            limit__expanded_bytes=1000,
            limit__header_bytes=1024,
        )
        assert found.report.verdict in VERDICTS
        written = sum(
            len(found.contents[i.path]) for i in found.items if i.file and not i.span
        )
        assert written <= 1000, number
        for item in found.items:
            assert item.path.count(".") <= 4, (number, item.path)
        assert len(found.stated) <= 5 + 40, number
        assert len(found.items) <= 5 + 40 + 10 * 5, number


# Work grows with the message, not with its square.

HEADER = b"From: a@example.org\nMIME-Version: 1.0\n"
MULTIPART = HEADER + b"Content-Type: multipart/mixed; boundary=x\n\n"
#: Methods that only look at a few bytes, or from a given place on.
CHEAP = frozenset(
    ("find", "rfind", "index", "startswith", "endswith", "append", "pop", "add", "get")
)


class Meter:
    """Counts the work of what runs inside: lines of our own code, bytes that methods
    of bytes objects are called on, bytes read and written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines = 0
        self.touched = 0
        self.moved = 0
        for name in ("pread", "read", "write"):
            monkeypatch.setattr(posix, name, self.moving(getattr(posix, name)))

    def moving(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            result = real(*arguments)
            self.moved += result if isinstance(result, int) else len(result)
            return result

        return counted

    def profile(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call" and argument.__name__ not in CHEAP:
            owner = argument.__self__
            if isinstance(owner, bytes | bytearray | str | list):
                self.touched += len(owner)

    def trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(str(REPOSITORY / "qscan")):
            return None
        if event == "line":
            self.lines += 1
        return self.trace

    def run(self, work: Callable[[], object]) -> dict[str, int]:
        sys.setprofile(self.profile)
        sys.settrace(self.trace)
        try:
            work()
        finally:
            sys.settrace(None)
            sys.setprofile(None)
        return {"lines": self.lines, "touched": self.touched, "moved": self.moved}


def field(text: bytes) -> bytes:
    return HEADER + b"Content-Type: application/zip" + text + b"\n\nbody\n"


def parts(count: int, part: bytes) -> bytes:
    return MULTIPART + (b"--x\n" + part) * count + b"--x--\n"


def encoded(encoding: bytes, body: bytes) -> bytes:
    return HEADER + b"Content-Transfer-Encoding: " + encoding + b"\n\n" + body


def alike(count: int) -> bytes:
    """Parts that only differ at their end, in two readings."""
    body = b"".join(
        b"--%s\n\n" % boundary + b"a" * 1100 + b"%d\n" % number
        for boundary in (b"x", b"y")
        for number in range(count)
    )
    return HEADER + b"Content-Type: multipart/mixed; boundary=x; boundary=y\n\n" + body


def nested(count: int) -> bytes:
    """Open multiparts up to the limit of depth, and many lines in the innermost."""
    opened = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n)
        for n in range(20)
    )
    return HEADER + opened + b"\n" + b"--b\ntext\n" * count


Make = Callable[[int], bytes]
ENDLESS: dict[str, Make] = {
    "semicolons": lambda n: field(b";" * n),
    "open quote and semicolons": lambda n: field(b'; a="' + b";" * n),
    "parameters": lambda n: field(b"; a=b" * n),
    "parameters with names": lambda n: field(
        b"".join(b"; n%dname=%d" % (i, i) for i in range(n))
    ),
    "RFC 2231 pieces": lambda n: field(b"".join(b"; name*%d=a" % i for i in range(n))),
    "RFC 2231 pieces of many names": lambda n: field(
        b"".join(b"; n%dname*0=a" % i for i in range(n))
    ),
    "boundaries": lambda n: (
        HEADER
        + b"Content-Type: multipart/mixed"
        + b"".join(b"; boundary=b%d" % i for i in range(n))
        + b"\n\nbody\n"
    ),
    "boundaries with blanks": lambda n: (
        HEADER
        + b"Content-Type: multipart/mixed"
        + b"".join(b'; boundary="b%d "' % i for i in range(n))
        + b"\n\nbody\n"
    ),
    "encoded words": lambda n: field(b'; name="' + b"=?utf-8?q?a?= " * n + b'"'),
    "beginnings of encoded words": lambda n: field(b'; name="' + b"=?" * 8 * n + b'"'),
    "encoded words without an end": lambda n: field(b'; name="' + b"=?a?q?x" * n),
    "encoded words in other charsets": lambda n: field(
        b'; name="' + b"".join(b"=?x%d?q?a?= " % i for i in range(n)) + b'"'
    ),
    "names with comments": lambda n: field(b"; na()me=x;y" * n),
    "other names with comments": lambda n: field(
        b"".join(b"; na(x)me=%d (y;z" % i for i in range(n))
    ),
    "names with quotes": lambda n: field(b'; name="(\\"a";' * n),
    "the word name": lambda n: field(b"; name" * n + b"=x" * n),
    "semicolons in a name": lambda n: field(b"; name=x" + b";y" * n + b".zip"),
    "RFC 2231 pieces with the same number": lambda n: field(b"; name*1=a" * n),
    "RFC 2231 names": lambda n: field(b"; name*=utf-16''%00a" * n),
    "pieces of a name in fields": lambda n: (
        HEADER + b"Content-Disposition: a; name*1=b\n" * n + b"\nbody\n"
    ),
    "combining marks in a name": lambda n: field(
        b'; name="a' + "\u0316\u0301".encode() * n + b'"'
    ),
    "percents in a plain name": lambda n: field(b"; name=" + b"%41%2541" * n),
    "paths in a name": lambda n: field(b'; name="' + b"/a:..%" * n + b'"'),
    "percents": lambda n: field(b"; name*=utf-8''" + b"%41%" * n),
    "open parentheses": lambda n: field(b"; a=b " + b"(" * n),
    "pairs of parentheses": lambda n: field(b"; a=b " + b"()" * n),
    "quotes": lambda n: field(b"; a=b" + b'""' * n),
    "backslashes": lambda n: field(b"; a=b" + b"\\a" * n),
    "backslashes in quotes": lambda n: field(b'; a="' + b"\\a" * n + b'"'),
    "commas": lambda n: field(b"," * n),
    "blanks in a field": lambda n: field(b" " * n + b"; a=b"),
    "CRs in a header": lambda n: field(b"\r" * n),
    "continuation lines": lambda n: field(b"\n " * n),
    "fields": lambda n: HEADER + b"X-A: b\n" * n + b"\nbody\n",
    "duplicate types": lambda n: HEADER + b"Content-Type: text/plain\n" * n + b"\nb\n",
    "junk lines in a header": lambda n: HEADER + b"junk\n" * n + b"\nbody\n",
    "blanks before colons": lambda n: HEADER + b"A : b\n" * n + b"\nbody\n",
    "one long header line": lambda n: HEADER + b"A: " + b"a" * 10 * n + b"\n\nbody\n",
    "empty lines": lambda n: MULTIPART + b"\n" * n + b"--x\n\n" + b"\n" * n,
    "CRs in a body": lambda n: MULTIPART + b"\r" * n,
    "lines with two dashes": lambda n: MULTIPART + b"--\n" * n,
    "closing delimiters": lambda n: MULTIPART + b"--x--\n" * n,
    "base64 in one line": lambda n: encoded(b"base64", b"QUJD" * 100 * n),
    "base64 in lines of one character": lambda n: encoded(b"base64", b"Q\n" * n),
    "base64 with padding everywhere": lambda n: encoded(b"base64", b"QQ==" * 10 * n),
    "base64 with junk everywhere": lambda n: encoded(b"base64", b"Q-" * 100 * n),
    "equals signs in base64": lambda n: encoded(b"base64", b"=" * 20 * n),
    "blanks in quoted-printable": lambda n: encoded(
        b"quoted-printable", b" " * 400 * n + b"\n"
    ),
    "blanks and line ends in quoted-printable": lambda n: encoded(
        b"quoted-printable", b" \n" * n
    ),
    "equals signs in quoted-printable": lambda n: encoded(
        b"quoted-printable", b"=" * 400 * n
    ),
    "lines of uuencode": lambda n: encoded(b"x-uuencode", b"#86)C\n" * n),
    "beginnings of uuencode": lambda n: HEADER + b"\n" + b"begin 644 a\n" * n,
    "words like beginnings of uuencode": lambda n: HEADER + b"\n" + b"begin x\n" * n,
    "begin in the middle of lines": lambda n: HEADER + b"\n" + b"begin begin " * n,
    "beginnings of yEnc": lambda n: (
        HEADER + b"\n" + b"=ybegin line=128 size=9 name=a\n" * n
    ),
    "blocks of yEnc": lambda n: (
        HEADER + b"\n" + b"=ybegin line=128 size=1 name=a\nk\n=yend size=1\n" * n
    ),
    "beginnings of BinHex": lambda n: (
        HEADER + b"\n" + b"(This file must be converted with BinHex 4.0)\n:\n" * n
    ),
    "beginnings of base64 in text": lambda n: (
        HEADER + b"\n" + b"begin-base64 644 a\n" * n
    ),
    "colons in BinHex": lambda n: encoded(b"mac-binhex40", b":!!\n" * 4 * n),
    "runs in BinHex": lambda n: encoded(b"mac-binhex40", b":" + b"*" * 200 * n),
    "lines of yEnc": lambda n: encoded(b"x-yencode", b"=y" * 5 * n),
    "equals signs in yEnc": lambda n: (
        HEADER + b"\n=ybegin line=128 size=9 name=a\n" + b"=" * 200 * n
    ),
    "paragraphs of base64": lambda n: encoded(b"base64", b"QUJD\n\n" * 2 * n),
    "groups cut by padding": lambda n: encoded(b"base64", b"Q=UI=D" * 2 * n),
    "url-safe letters in base64": lambda n: encoded(b"base64", b"Q-_D" * 100 * n),
    "bad escapes in quoted-printable": lambda n: encoded(
        b"quoted-printable", b"=XX=41=\n" * 2 * n
    ),
    "soft breaks of CR in quoted-printable": lambda n: encoded(
        b"quoted-printable", b"=\r" * 100 * n
    ),
    "encoding in pieces": lambda n: encoded(b"base64 " * n, b"QUJD\n"),
    "comments in the encoding": lambda n: encoded(b"(x)" * n + b"base64", b"QUJD\n"),
    "duplicate encodings": lambda n: (
        HEADER + b"Content-Transfer-Encoding: base64\n" * n + b"\nQUJD\n"
    ),
    "other encodings": lambda n: (
        HEADER
        + b"".join(b"Content-Transfer-Encoding: x%d\n" % i for i in range(n))
        + b"\nQUJD\n"
    ),
    "multiparts in one header": lambda n: (
        HEADER
        + b"".join(
            b"Content-Type: multipart/mixed; boundary=b%d\n" % i for i in range(n)
        )
        + b"\nbody\n"
    ),
    "pieces of a boundary": lambda n: (
        HEADER
        + b"Content-Type: multipart/mixed"
        + b"".join(b"; boundary*%d=b" % i for i in range(n))
        + b"\n\n--b\n\nbody\n"
    ),
    "quotes in a boundary": lambda n: (
        HEADER
        + b"Content-Type: multipart/mixed; boundary=b"
        + b'"b"' * n
        + b"\n\n--b\n\nbody\n"
    ),
    "parentheses in a boundary": lambda n: (
        HEADER
        + b"Content-Type: multipart/mixed; boundary=b"
        + b"(b" * n
        + b"\n\n--b\n\nbody\n"
    ),
    "encoded words in a boundary": lambda n: (
        HEADER
        + b'Content-Type: multipart/mixed; boundary="'
        + b"=?utf-8?q?b?= " * n
        + b'"\n\n--b\n\nbody\n'
    ),
    "blanks in a boundary": lambda n: (
        HEADER
        + b"Content-Type: multipart/mixed; boundary=b"
        + b" b" * n
        + b"\n\n--b\n\nbody\n"
    ),
    "NULs in a header": lambda n: field(b"\0" * n),
    "blank lines in a header": lambda n: HEADER + b" \n" * n + b"A: b\n\nbody\n",
    "colons at line starts": lambda n: HEADER + b":\n" * n + b"\nbody\n",
    "fields behind CRs": lambda n: HEADER + b"A: b\r" * n + b"\n\nbody\n",
    "CR CR LF": lambda n: MULTIPART.replace(b"\n", b"\r\r\n") + b"text\r\r\n" * n,
    "empty lines of CR in a body": lambda n: MULTIPART + b"a\r\r" * n,
    "paragraphs in a preamble": lambda n: MULTIPART + b"some text\n\n" * n,
    "headers in a body": lambda n: HEADER + b"\n" + b"Content-Type: text/plain\n\n" * n,
    "headers in a preamble": lambda n: (
        MULTIPART + b"Content-Transfer-Encoding: base64\n\nQUJD\n\n" * n
    ),
    "beginnings of mail in a body": lambda n: (
        HEADER + b"\n" + b"From: a@b\nSubject: c\nMIME-Version: 1.0\n\n" * n
    ),
    "lines of dashes": lambda n: MULTIPART + b"-----\n" * n,
}

#: What makes a part each time: a file, and many steps.
ENDLESS_PARTS: dict[str, Make] = {
    "lines like delimiters": lambda n: MULTIPART + b"--xjunk\n" * n,
    "nested multiparts and lines": nested,
    "parts": lambda n: parts(n, b"\nbody\n"),
    "empty parts": lambda n: parts(n, b""),
    "parts without an empty line": lambda n: parts(n, b"A: b\n") + b"A: b\n" * n,
    "parts with names": lambda n: parts(n, b"Content-Type: a/b; name=a\n\nbody\n"),
    "parts in two readings": lambda n: parts(
        n, b"Content-Type: a/b\nContent-Type: b/c\n\nbody\n"
    ),
    "parts that begin alike": alike,
    "parts that another reading sees": lambda n: parts(
        n, b"Content-Type : a/b\n\nbody\n"
    ),
    "parts that no reading agrees on": lambda n: parts(
        n, b"junk\nContent-Type: a/b\rA: b\n\nQUJDRA==\n"
    ),
    "parts outside of the boundary": lambda n: (
        MULTIPART + b"--y\nContent-Type: a/b\n\nbody\n" * n + b"--x\n\n--x--\n"
    ),
    "parts behind the last delimiter": lambda n: (
        MULTIPART + b"--x--\n" + b"--x\nContent-Type: a/b\n\nbody\n" * n
    ),
    "boundaries inside each other": lambda n: (
        MULTIPART
        + b"".join(
            b"--x\nContent-Type: multipart/mixed; boundary=x\n\n" for _ in range(n)
        )
    ),
    "encoded multiparts": lambda n: parts(
        n // 4,
        b"Content-Type: multipart/mixed; boundary=y\n"
        b"Content-Transfer-Encoding: base64\n\nLS15CgpiCi0teS0tCg==\n",
    ),
    "parts of unknown encoding": lambda n: parts(
        n // 4, b"Content-Transfer-Encoding: odd\n\nQUJD\n"
    ),
    "messages": lambda n: parts(n, b"Content-Type: message/rfc822\n\nA: b\n\nbody\n"),
    "encoded messages": lambda n: parts(
        n // 4,
        b"Content-Type: message/rfc822\n"
        b"Content-Transfer-Encoding: base64\n\nQTogYgoKYg==\n",
    ),
    "multiparts without a boundary": lambda n: (
        parts(n, b"Content-Type: multipart/mixed\n\n") + b"\n---" * n
    ),
    "multiparts whose boundary is not found": lambda n: (
        parts(n, b"Content-Type: multipart/mixed; boundary=none\n\n") + b"\n---" * n
    ),
}

SIZES = {**dict.fromkeys(ENDLESS, 500), **dict.fromkeys(ENDLESS_PARTS, 30)}
# Read three times over: with few parts the first window of each header is most of it.
SIZES["multiparts without a boundary"] = 120
for heavy in ("headers in a body", "headers in a preamble", "paragraphs in a preamble"):
    SIZES[heavy] = 150
SIZES["pieces of a name in fields"] = 120
# Below the size of a segment that is read less thoroughly.
SIZES["duplicate encodings"] = 300
ALL = {**ENDLESS, **ENDLESS_PARTS}

HIGH = {
    "limit__parts": 1_000_000,
    "limit__header_bytes": 100_000_000,
    "limit__unpack_seconds": 3600,
}


def work_of(
    message: bytes, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, int]:
    with monkeypatch.context() as patch:
        # A few hundred kilobytes are as good as megabytes then.
        for module in (mime, store, unpacking):
            patch.setattr(module, "WINDOW", 65536)
        return Meter(patch).run(lambda: unpack(message, directory, **HIGH))


@pytest.mark.parametrize("name", ALL)
def test_work_grows_with_the_message_and_not_with_its_square(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice the construct is at most 2.3 times the work."""
    size = SIZES[name]
    first = work_of(ALL[name](size), tmp_path, monkeypatch)
    second = work_of(ALL[name](2 * size), tmp_path, monkeypatch)
    third = work_of(ALL[name](4 * size), tmp_path, monkeypatch)
    for what in first:
        # A header is read in windows that grow by 8: that evens out over two.
        assert third[what] <= 2.3**2 * first[what] + 4096, (first, second, third)
        assert third[what] <= 2.3 * second[what] + 40_000, (first, second, third)


def test_the_meter_sees_a_square(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def square(count: int) -> dict[str, int]:
        def work() -> None:
            data = b" " * count
            while data:
                data = data[1:]
                data.replace(b"a", b"b")

        with monkeypatch.context() as patch:
            return Meter(patch).run(work)

    assert square(2000)["touched"] > 3.5 * square(1000)["touched"] > 10_000


def test_defects_do_not_fill_the_memory(tmp_path: Path) -> None:
    """One for each code and place, however many lines are odd."""
    for name, make in ALL.items():
        found = unpack(make(200), tmp_path, **HIGH)
        places = len(found.items) + 10
        assert len(found.report.defects) <= 8 * places, name
