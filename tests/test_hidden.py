# SPDX-License-Identifier: MIT
"""Single cases of hiding that a class of their own was mended for: a file that some
program shows is found to the byte, and mail that is only careless is not refused."""

from __future__ import annotations

import base64
import binascii
import io
import shutil
import subprocess
import zipfile
from typing import TYPE_CHECKING

import pytest
from unpacking import crlf, unpack

if TYPE_CHECKING:
    from pathlib import Path


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("evil.exe", b"MZ" + bytes(range(256)))
    return out.getvalue()


PAYLOAD = archive()
B64 = base64.encodebytes(PAYLOAD)
TOP = b"From: a@example.org\nTo: b@example.net\nSubject: x\nMIME-Version: 1.0\n"
MIXED = TOP + b'Content-Type: multipart/mixed; boundary="=_b"\n\n'
TEXT = b"--=_b\nContent-Type: text/plain\n\nhello\n"
CLOSE = b"--=_b--\n"
PART = (
    b'Content-Type: application/zip; name="a.zip"\n'
    b"Content-Transfer-Encoding: base64\n\n" + B64
)
FOLDED = (
    b'Content-Type:\n application/zip; name="a.zip"\n'
    b"Content-Transfer-Encoding:\n base64\n\n" + B64
)
COMMENTED = PART.replace(b": base64", b": (x) base64")
INNER = (
    TOP + b"Content-Type: multipart/mixed; boundary=in\n\n--in\n" + PART + b"--in--\n"
)


def uuencoded(end: bytes) -> bytes:
    lines = [
        binascii.b2a_uu(PAYLOAD[at : at + 45]).rstrip(b"\n")
        for at in range(0, len(PAYLOAD), 45)
    ]
    return end.join([b"begin 644 a.zip", *lines, b"`", b"end", b""])


def sent(kind: bytes, coding: bytes, body: bytes) -> bytes:
    """A message of one part in base64."""
    fields = b"Content-Type: " + kind + b"\nContent-Transfer-Encoding: " + coding
    return TOP + fields + b"\n\n" + body


CALENDAR = (
    b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nATTACH;ENCODING=BASE64;VALUE=BINARY;X-FILENAME=\n"
    b' "a.zip":' + base64.b64encode(PAYLOAD) + b"\nEND:VEVENT\nEND:VCALENDAR\n"
)
CUT = base64.b64encode(PAYLOAD)

FOUND = {
    "folded fields in the preamble": MIXED + FOLDED + TEXT + CLOSE,
    "folded fields in the epilogue": MIXED + TEXT + CLOSE + FOLDED,
    "a comment before the encoding, in the preamble": MIXED + COMMENTED + TEXT + CLOSE,
    "an empty line before the header": b"\n" + TOP + FOLDED,
    "a multipart by another name, encoded": sent(
        b"xmultipart/mixed; boundary*=in",
        b"base64",
        base64.encodebytes(b"--in\n" + PART + b"--in--\n"),
    ),
    "a mail as another kind of message, encoded": sent(
        b"message/x-foo", b"base64", base64.encodebytes(INNER)
    ),
    "a mail of Apple Mail": sent(
        b'application/octet-stream; name="a.emlx"',
        b"base64",
        base64.encodebytes(b"%d\n" % len(INNER) + INNER),
    ),
    "a line of dashes in hidden base64": MIXED
    + TEXT
    + CLOSE
    + PART.replace(b"\n", b"\n-- \n", 5).replace(b"\n-- \n", b"\n", 2),
    "uuencode with CR in text": TOP + b"\nhello\n\n" + uuencoded(b"\r"),
    "uuencode with CR as the encoding": sent(
        b"application/zip", b"x-uuencode", uuencoded(b"\r")
    ),
    "uuencode without a mode": TOP + b"\n" + uuencoded(b"\n").replace(b" 644", b""),
    "uuencode behind a byte order mark": TOP + b"\n\xef\xbb\xbf" + uuencoded(b"\n"),
    "a file in a calendar": sent(b"text/calendar", b"7bit", CALENDAR),
    "groups of four and junk": sent(
        b"application/zip",
        b"base64",
        b"".join(CUT[at : at + 4] + b"XX\n" for at in range(0, len(CUT), 4)),
    ),
    "many empty lines in a folded field": MIXED
    + TEXT
    + CLOSE
    + PART.replace(b": base64", b":" + b"\n " * 2500 + b"base64"),
    "a hidden mail that begins with an empty line": MIXED
    + b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"
    + base64.encodebytes(b"\n" + INNER)
    + TEXT
    + CLOSE,
}


@pytest.mark.parametrize("newline", ["LF", "CRLF"])
@pytest.mark.parametrize("name", FOUND)
def test_it_is_found_to_the_byte(name: str, newline: str, tmp_path: Path) -> None:
    message = FOUND[name]
    if newline == "CRLF" and b"\r" not in message:
        message = crlf(message)
    assert PAYLOAD in unpack(message, tmp_path).contents.values()


REFUSED = {
    "a fragment with a comment": sent(
        b"message/(c)partial; id=1; number=1; total=2", b"7bit", b"x\n"
    ),
    "a fragment in quotes": sent(b'"message/partial"; id=1; number=1', b"7bit", b"x\n"),
    "a fragment behind a byte order mark": b"\xef\xbb\xbf"
    + sent(b"message/partial; id=1; number=1; total=2", b"7bit", b"x\n"),
    "content elsewhere, escaped": sent(
        b"message\\/external-body; access-type=URL", b"7bit", b"x\n"
    ),
    "a header longer than anybody writes, hidden": MIXED
    + TEXT
    + CLOSE
    + PART.replace(b": base64", b":" + b" " * 70000 + b"base64"),
    "a field behind a CR": sent(b"text/plain\rX-A: b", b"7bit", b"x\n"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(name: str, tmp_path: Path) -> None:
    assert unpack(REFUSED[name], tmp_path).report.verdict == "refused"


QUOTED = b"Content-Type: text/plain\n\n"
PASSES = {
    "a returned patch": TOP
    + b"\nYour mail came back:\n\n"
    + QUOTED
    + b"--- a/file\n+++ b/file\n\n" * 700,
    "an unclosed multipart with options": MIXED + TEXT + b"--option\n" * 800,
    "the same type twice": TOP + b"Content-Type: text/plain\n" * 2 + b"\nhello\n",
    "a report cut behind the header": MIXED
    + TEXT
    + b"--=_b\nContent-Type: message/rfc822\n\n"
    + TOP
    + b"Content-Type: multipart/mixed; boundary=in\n\n"
    + CLOSE,
    "names of fields in a signature": TOP
    + b"DKIM-Signature: v=1; h=from:to:\n content-transfer-encoding:\n content-type;\n"
    b" z=From:a|\n content-type:text/plain|; b=x\n\nhello\n",
}


@pytest.mark.parametrize("name", PASSES)
def test_careless_mail_passes(name: str, tmp_path: Path) -> None:
    assert unpack(PASSES[name], tmp_path).report.verdict == "clean"


@pytest.mark.parametrize("characters", [60, 73, 75, 998])
def test_long_lines_of_base64_are_no_damage(characters: int, tmp_path: Path) -> None:
    text = base64.b64encode(PAYLOAD * 30)
    body = b"\n".join(
        text[at : at + characters] for at in range(0, len(text), characters)
    )
    found = unpack(sent(b"application/zip", b"base64", body + b"\n"), tmp_path)
    assert "base64-lines" not in found.codes
    assert PAYLOAD * 30 in found.contents.values()


def test_signed_mail_that_is_not_in_the_clear(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    for command in (
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=a -keyout key -out cert",
        (
            "openssl cms -sign -nodetach -binary -in mail -signer cert -inkey key "
            "-outform DER -out signed"
        ),
    ):
        (tmp_path / "mail").write_bytes(INNER)
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    signed = base64.encodebytes((tmp_path / "signed").read_bytes())
    work = tmp_path / "work"
    work.mkdir()
    message = sent(b"application/pkcs7-mime; smime-type=signed-data", b"base64", signed)
    assert PAYLOAD in unpack(message, work).contents.values()
