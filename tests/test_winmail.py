# SPDX-License-Identifier: MIT
"""tnef.deliver: the attachments of a winmail.dat in the delivered message."""

from __future__ import annotations

import base64
import binascii
import contextlib
import email
import email.policy
import email.utils
import os
import random
import resource
import tracemalloc
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING

import fake_clamd
import harness
import pytest
import tnefbuild as build
from test_structure import loaded
from unpacking import corpus_files, crlf, lf, unpack

from qscan import fdio, pipeline, schema, settings, spool, tnef, tnefmail
from qscan.actions import winmail

if TYPE_CHECKING:
    from fake_clamd import FakeClamd
    from harness import Installation

    from qscan.pipeline import Report

    Faked = Callable[..., tuple[Installation, FakeClamd]]

EVIL = b"MZ this is a program\0\0" + bytes(range(256))
REPORT = b"%PDF-1.3 a report"
NOTE = build.message_class(b"IPM.Microsoft Mail.Note")
TEXT = b"Content-Type: text/plain\n\nsee the files\n"


def winmail_dat(*extra: bytes) -> bytes:
    """Two files as Outlook sends them."""
    return build.stream(
        build.head(),
        NOTE,
        *extra,
        build.file(b"program.exe", EVIL),
        build.renddata(),
        build.title(b"REPORT~1.PDF"),
        build.data(REPORT),
        build.attachment_properties(
            build.long_name("Überblick.pdf"),
            build.variable(0x370E, build.STRING8, b"application/pdf\0"),
            build.variable(0x3712, build.STRING8, b"part1.abc@example.org\0"),
        ),
    )


def tnef_part(blob: bytes, more: bytes = b"") -> bytes:
    return (
        b'Content-Type: application/ms-tnef; name="winmail.dat"\n'
        b"Content-Transfer-Encoding: base64\n"
        b'Content-Disposition: attachment; filename="winmail.dat"\n'
        + more
        + b"\n"
        + base64.encodebytes(blob)
    )


def mail(
    *parts: bytes,
    subtype: bytes = b"mixed",
    boundary: bytes = b"=_frontier",
    more: bytes = b"",
) -> bytes:
    """A multipart of whole parts; parts end with a line end."""
    head = (
        b"Received: from client.example.org\nFrom: Sender <sender@example.org>\n"
        b"To: rcpt@example.net\nSubject: files\nMIME-Version: 1.0\n"
        + more
        + b'Content-Type: multipart/%s; boundary="%s"\nX-Number: 1\n\n'
        % (subtype, boundary)
    )
    body = b"".join(b"--" + boundary + b"\n" + part for part in parts)
    return head + body + b"--" + boundary + b"--\nepilogue\n"


def single(blob: bytes) -> bytes:
    """A message that is nothing but a winmail.dat."""
    return (
        b"Received: from client.example.org\nFrom: Sender <sender@example.org>\n"
        b"MIME-Version: 1.0\nSubject: files\n" + tnef_part(blob, b"X-Number: 1\n")
    )


class Result:
    """What ``replace`` made of a message."""

    def __init__(self, changed: bool, said: str, message: bytes) -> None:
        self.changed = changed
        self.said = said
        self.message = message

    @property
    def email(self) -> EmailMessage:
        parsed = email.message_from_bytes(self.message, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed


@contextlib.contextmanager
def examined(message: bytes, directory: Path) -> Iterator[tuple[spool.Work, Report]]:
    """The work directory after the pipeline of the wrapper, without clamd."""
    work = spool.Work(str(directory), spool.identity())
    work.open()
    try:
        fdio.write_all(work.fd, spool.ROOM + message)
        values: dict[str, settings.Value] = {**schema.defaults()}
        report = pipeline.examine(
            settings.Settings(values, b"", ""),
            work,
            len(message),
            fdio.Deadline(600),
            clamd=False,
        )
        yield work, report
    finally:
        work.abandon()


def replace(
    work: spool.Work,
    report: Report,
    beside: bool = False,
    break_dkim: bool = False,
) -> tuple[bool, str]:
    limits = pipeline.limits_of({**schema.defaults()})
    size = report.items[0].size
    return winmail.replace(
        work, size, report.items, report.defects, limits, beside, break_dkim
    )


def replaced(
    message: bytes, directory: Path, mode: str = "instead", break_dkim: bool = False
) -> Result:
    """What becomes of a message."""
    with examined(message, directory) as (work, report):
        changed, said = replace(work, report, mode == "beside", break_dkim)
        whole = fdio.pread_all(work.fd, os.fstat(work.fd).st_size, 0)
    assert whole[: spool.RESERVE] == spool.ROOM
    delivered = whole[spool.RESERVE :]
    assert changed or delivered == message
    return Result(changed, said, delivered)


def leaves(message: EmailMessage) -> Iterator[EmailMessage]:
    """All parts with content, also those of embedded messages."""
    for part in message.walk():
        assert not part.defects, (part.get_content_type(), part.defects)
        if not part.is_multipart():
            assert isinstance(part, EmailMessage)
            yield part


def content(part: EmailMessage) -> bytes:
    raw = part.get_payload(decode=True)
    assert isinstance(raw, bytes)
    return raw


def files(message: EmailMessage) -> list[tuple[str, bytes]]:
    """(name, content) of every attachment but message.rtf."""
    return [
        (str(part.get_filename()), content(part))
        for part in leaves(message)
        if part.get_filename() and part.get_filename() != "message.rtf"
    ]


def types(message: EmailMessage) -> list[str]:
    return [part.get_content_type() for part in message.walk()]


BOTH = [("program.exe", EVIL), ("Überblick.pdf", REPORT)]


# What is delivered.


@pytest.mark.parametrize("newline", ["LF", "CRLF"])
def test_instead_of_the_part_its_attachments(newline: str, tmp_path: Path) -> None:
    convert = crlf if newline == "CRLF" else lf
    part = tnef_part(winmail_dat())
    message = convert(mail(TEXT, part, TEXT))
    result = replaced(message, tmp_path)
    assert (result.changed, result.said) == (True, "1.2 instead")
    assert files(result.email) == BOTH
    assert types(result.email) == [
        "multipart/mixed",
        "text/plain",
        "application/x-dosexec",
        "application/pdf",
        "text/plain",
    ]
    report = list(leaves(result.email))[2]
    assert report["Content-ID"] == "<part1.abc@example.org>"
    assert report.get_content_disposition() == "attachment"
    # Every byte around it is where it was.
    before, behind = message.split(convert(part))
    assert result.message.startswith(before)
    assert result.message.endswith(behind)
    assert convert(result.message) == result.message
    again = replaced(result.message, tmp_path)
    assert (again.changed, again.said) == (False, "no part of the message")


@pytest.mark.parametrize("newline", ["LF", "CRLF"])
def test_beside_the_part_its_attachments_once(newline: str, tmp_path: Path) -> None:
    convert = crlf if newline == "CRLF" else lf
    message = convert(mail(TEXT, tnef_part(winmail_dat()), TEXT))
    result = replaced(message, tmp_path, "beside")
    assert (result.changed, result.said) == (True, "1.2 beside")
    assert files(result.email) == [("winmail.dat", winmail_dat()), *BOTH]
    start = message.rindex(convert(b"--=_frontier\n" + TEXT))
    assert result.message.startswith(message[:start])
    assert result.message.endswith(message[start:])
    again = replaced(result.message, tmp_path, "beside")
    assert (again.changed, again.said) == (False, "1.2 as-is: unpacked already")


@pytest.mark.parametrize("newline", ["LF", "CRLF"])
@pytest.mark.parametrize("mode", ["instead", "beside"])
def test_a_message_that_is_a_winmail_becomes_a_multipart(
    mode: str, newline: str, tmp_path: Path
) -> None:
    convert = crlf if newline == "CRLF" else lf
    blob = winmail_dat(build.text_body(b"Gr\xfc\xdfe\0"))
    message = convert(single(blob))
    result = replaced(message, tmp_path, mode)
    assert (result.changed, result.said) == (True, f"1 {mode}")
    kept = [("winmail.dat", blob)] if mode == "beside" else []
    assert files(result.email) == [*kept, *BOTH]
    (text,) = [p for p in leaves(result.email) if p.get_content_type() == "text/plain"]
    assert text.get_content() == "Grüße"
    # Fields that do not describe the content stay, in order.
    fields = [name for name, _ in result.email.items()]
    assert fields == [
        *("Received", "From", "MIME-Version", "Subject", "Content-Type", "X-Number")
    ]
    assert convert(result.message) == result.message
    if mode == "beside":
        # The part as it was, with the fields that describe it.
        assert convert(base64.encodebytes(blob)) in result.message
        assert convert(tnef_part(blob).split(b"\n\n")[0]) in result.message


def test_a_message_without_mime_version_gets_one(tmp_path: Path) -> None:
    message = single(winmail_dat()).replace(b"MIME-Version: 1.0\n", b"")
    result = replaced(message, tmp_path)
    assert result.email["MIME-Version"] == "1.0"
    assert files(result.email) == BOTH


@pytest.mark.parametrize("encoding", ["8bit", "quoted-printable", "x-uuencode"])
def test_the_part_may_be_in_any_encoding(encoding: str, tmp_path: Path) -> None:
    blob = winmail_dat()
    if encoding == "8bit":
        # Line ends would not survive: nothing but a file of harmless bytes.
        blob = build.stream(build.head(), build.file(b"program.exe", b"MZ" * 40))
        assert b"\n" not in blob
        encoded = blob + b"\n"
    elif encoding == "quoted-printable":
        encoded = binascii.b2a_qp(blob, quotetabs=True, istext=False) + b"=\n\n"
    else:
        encoded = b"begin 644 winmail.dat\n"
        for at in range(0, len(blob), 45):
            encoded += binascii.b2a_uu(blob[at : at + 45])
        encoded += b"`\nend\n"
    part = (
        b"Content-Type: application/ms-tnef\nContent-Transfer-Encoding: "
        + encoding.encode()
        + b"\n\n"
        + encoded
    )
    result = replaced(mail(TEXT, part), tmp_path)
    assert result.said == "1.2 instead"
    wanted = BOTH if encoding != "8bit" else [("program.exe", b"MZ" * 40)]
    assert files(result.email) == wanted


def test_a_part_of_an_alternative_becomes_a_multipart_of_its_own(
    tmp_path: Path,
) -> None:
    message = mail(TEXT, tnef_part(winmail_dat()), subtype=b"alternative")
    result = replaced(message, tmp_path)
    assert files(result.email) == BOTH
    assert types(result.email)[:3] == [
        "multipart/alternative",
        "text/plain",
        "multipart/mixed",
    ]
    start = message.index(tnef_part(winmail_dat()))
    assert result.message.startswith(message[:start])
    assert result.message.endswith(b"\n--=_frontier--\nepilogue\n")


@pytest.mark.parametrize("inner", ["multipart", "single"])
def test_in_a_forwarded_message_too(inner: str, tmp_path: Path) -> None:
    blob = winmail_dat(build.text_body(b"the text inside"))
    forwarded = (
        mail(tnef_part(blob), boundary=b"inner") if inner != "single" else single(blob)
    )
    message = mail(TEXT, b"Content-Type: message/rfc822\n\n" + forwarded)
    result = replaced(message, tmp_path)
    assert result.changed
    assert files(result.email) == BOTH
    # The message around it has a text; the one it is in has none but this.
    texts = [p.get_content() for p in leaves(result.email) if not p.get_filename()]
    assert texts[:2] == ["see the files", "the text inside"]
    before = message[: message.index(b"Content-Type: application/ms-tnef")]
    assert result.message.startswith(before)


def test_two_winmails_are_both_replaced(tmp_path: Path) -> None:
    other = build.stream(build.head(), NOTE, build.file(b"other.txt", b"other"))
    message = mail(tnef_part(winmail_dat()), TEXT, tnef_part(other))
    result = replaced(message, tmp_path)
    assert result.said == "1.1 instead; 1.3 instead"
    assert files(result.email) == [*BOTH, ("other.txt", b"other")]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_winmail_that_adds_nothing_is_taken_out(place: int, tmp_path: Path) -> None:
    """Outlook sends it with the formatted variant of a text that is there anyway."""
    rtf = build.variable(0x1009, build.BINARY, build.compressed_rtf(b"{\\rtf1 x}"))
    blob = build.stream(build.head(), NOTE, build.message_properties(rtf))
    parts = [TEXT, TEXT.replace(b"see", b"and see")]
    parts.insert(place, tnef_part(blob))
    result = replaced(mail(*parts), tmp_path)
    assert result.said.endswith("instead")
    parts.pop(place)
    assert lf(result.message) == mail(*parts)


def test_the_only_part_of_a_multipart_is_not_taken_out(tmp_path: Path) -> None:
    blob = build.stream(build.head(), NOTE)
    for message in (mail(tnef_part(blob)), single(blob)):
        result = replaced(message, tmp_path)
        assert not result.changed
        assert "nothing to put in its place" in result.said
    two = mail(tnef_part(blob), tnef_part(blob))
    result = replaced(two, tmp_path)
    assert len(list(leaves(result.email))) == 1


# Texts.


def test_a_text_in_utf_16_is_delivered_in_utf_8(tmp_path: Path) -> None:
    text = "Привет, мир " * 30_000
    blob = build.stream(
        build.head(), NOTE, build.message_properties(build.unicode_text(0x1000, text))
    )
    result = replaced(single(blob), tmp_path)
    (part,) = leaves(result.email)
    assert part.get_content_charset() == "utf-8"
    assert content(part).decode("utf-8") == text


@pytest.mark.parametrize(
    ("number", "charset"),
    [
        (1251, "windows-1251"),
        (65001, "utf-8"),
        (28592, "iso-8859-2"),
        (20866, "koi8-r"),
        (932, "shift_jis"),
        (437, "cp437"),
    ],
)
def test_html_keeps_its_bytes_and_code_page(
    number: int, charset: str, tmp_path: Path
) -> None:
    html = "<html>text é я</html>".encode(tnef.codec(number) or "", "ignore")
    page = build.fixed(0x3FDE, build.LONG, number.to_bytes(4, "little"))
    blob = build.stream(
        build.head(),
        NOTE,
        build.text_body(b"plain"),
        build.message_properties(page, build.variable(0x1013, build.BINARY, html)),
    )
    result = replaced(single(blob), tmp_path)
    assert types(result.email) == [
        *("multipart/mixed", "multipart/alternative", "text/plain", "text/html")
    ]
    part = list(leaves(result.email))[1]
    assert (content(part), part.get_content_charset()) == (html, charset)
    assert part.get_content() == html.decode(tnef.codec(number) or "")


def test_a_text_of_the_message_is_enough(tmp_path: Path) -> None:
    blob = winmail_dat(
        build.text_body(b"again"),
        build.message_properties(build.variable(0x1013, build.BINARY, b"<html>x")),
    )
    result = replaced(mail(TEXT, tnef_part(blob)), tmp_path)
    assert files(result.email) == BOTH
    assert "text/html" not in types(result.email)
    # A text that is an attachment, or blank, is none.
    attached = TEXT.replace(b"\n\n", b"\nContent-Disposition: attachment\n\n", 1)
    for other in (attached, b"Content-Type: text/plain\n\n \n\n"):
        result = replaced(mail(other, tnef_part(blob)), tmp_path)
        assert "text/html" in types(result.email)


def test_rtf_is_delivered_decompressed(tmp_path: Path) -> None:
    text = b"{\\rtf1 " + bytes(random.Random(5).choices(b"abc {}\\", k=5000)) + b"}"
    rtf = build.variable(0x1009, build.BINARY, build.compressed_rtf(text))
    blob = build.stream(build.head(), NOTE, build.message_properties(rtf))
    result = replaced(single(blob), tmp_path)
    (part,) = leaves(result.email)
    assert (part.get_content_type(), part.get_filename()) == ("text/rtf", "message.rtf")
    assert content(part) == text
    damaged = build.compressed_rtf(text, checksum=1)
    rtf = build.variable(0x1009, build.BINARY, damaged)
    blob = build.stream(build.head(), NOTE, build.message_properties(rtf))
    result = replaced(single(blob), tmp_path)
    assert (result.changed, result.said) == (False, "1 as-is: damaged text")


# Embedded messages and objects.


def embedded_mail(*extra: bytes) -> bytes:
    return build.stream(
        build.head(),
        NOTE,
        build.text_body(b"inner text\0"),
        build.message_properties(
            build.unicode_text(0x0037, "Fwd: größer"),
            build.variable(0x0C1A, build.STRING8, b'Jane "J" Doe\0'),
            build.variable(0x0C1F, build.STRING8, b"jane@example.org\0"),
            build.unicode_text(0x0E04, "Иван; Bob"),
            build.variable(0x1035, build.STRING8, b"<id.1@example.org>\0"),
            build.file_time(0x0039, 1_700_000_000),
        ),
        build.file(b"inner.exe", EVIL),
        *extra,
    )


def test_an_embedded_message_is_delivered_as_message(tmp_path: Path) -> None:
    blob = build.stream(
        build.head(),
        NOTE,
        build.renddata(),
        build.title(b"Untitled Attachment"),
        build.data(b"This attachment is a MAPI 1.0 embedded message."),
        build.attachment_properties(
            build.mapi_data(build.IMESSAGE + embedded_mail(), build.OBJECT)
        ),
    )
    result = replaced(mail(TEXT, tnef_part(blob)), tmp_path)
    assert result.said == "1.2 instead"
    assert types(result.email) == [
        *("multipart/mixed", "text/plain", "message/rfc822"),
        *("multipart/mixed", "text/plain", "application/x-dosexec"),
    ]
    (outer,) = [
        p for p in result.email.walk() if p.get_content_type() == "message/rfc822"
    ]
    assert outer.get_filename() == "Fwd: größer.eml"
    inner = outer.get_payload(0)
    assert isinstance(inner, EmailMessage)
    assert inner["Subject"] == "Fwd: größer"
    assert inner["From"] == '"Jane \\"J\\" Doe" <jane@example.org>'
    assert inner["To"].groups[0].display_name == "Иван; Bob"
    assert inner["Message-ID"] == "<id.1@example.org>"
    assert inner["Date"].datetime.timestamp() == 1_700_000_000
    assert files(inner) == [("inner.exe", EVIL)]
    assert next(leaves(inner)).get_content() == "inner text"


def test_messages_in_messages_come_out_to_the_core(tmp_path: Path) -> None:
    message = mail(TEXT, tnef_part(build.nested(tnefmail.DEEP, EVIL)))
    result = replaced(message, tmp_path)
    assert result.said == "1.2 instead"
    assert ("core.exe", EVIL) in files(result.email)
    assert types(result.email).count("message/rfc822") == tnefmail.DEEP
    again = replaced(result.message, tmp_path)
    assert (again.changed, again.said) == (False, "no part of the message")
    # Deeper than that, the next reader might refuse it.
    message = mail(TEXT, tnef_part(build.nested(tnefmail.DEEP + 1, EVIL)))
    result = replaced(message, tmp_path)
    assert not result.changed
    assert "nested too deeply" in result.said


def test_a_winmail_in_a_winmail_is_unpacked_as_well(tmp_path: Path) -> None:
    blob = build.stream(build.head(), NOTE, build.file(b"winmail.dat", winmail_dat()))
    result = replaced(mail(TEXT, tnef_part(blob)), tmp_path)
    assert files(result.email) == BOTH
    again = replaced(result.message, tmp_path)
    assert (again.changed, again.said) == (False, "no part of the message")


def test_an_embedded_message_cannot_write_fields(tmp_path: Path) -> None:
    hostile = "x\r\nBcc: y@example.org\n\nbody\u2028\0z =?utf-8?q?=0A?="
    blob = build.stream(
        build.head(),
        build.embedded(
            build.stream(
                build.head(),
                build.message_properties(
                    build.unicode_text(0x0037, hostile),
                    build.unicode_text(0x0C1A, hostile),
                    build.unicode_text(0x0C1F, "a@b\r\nBcc: y@example.org"),
                    build.unicode_text(0x0E04, hostile),
                    build.unicode_text(0x1035, "<a@b>\r\nBcc: c@d>"),
                    build.fixed(0x0039, 0x40, b"\xff" * 8),
                ),
            )
        ),
    )
    result = replaced(mail(TEXT, tnef_part(blob)), tmp_path)
    (outer,) = [
        p for p in result.email.walk() if p.get_content_type() == "message/rfc822"
    ]
    inner = outer.get_payload(0)
    assert isinstance(inner, EmailMessage)
    assert set(inner.keys()) <= {
        *("From", "To", "Subject", "MIME-Version", "Content-Type"),
        "Content-Transfer-Encoding",
    }


def test_an_ole_object_is_delivered_without_its_line_of_text(tmp_path: Path) -> None:
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
    blob = build.stream(
        build.head(),
        NOTE,
        build.renddata(),
        build.title(b"Picture"),
        build.data(b"This attachment is an OLE object."),
        build.attachment_properties(
            build.mapi_data(build.ISTORAGE + ole, build.OBJECT)
        ),
    )
    result = replaced(mail(TEXT, tnef_part(blob)), tmp_path)
    assert files(result.email) == [("Picture", ole)]
    # What is no such line is content.
    blob = blob.replace(b"This attachment is", b"MZ\0\1attachment is")
    result = replaced(mail(TEXT, tnef_part(blob)), tmp_path)
    assert not result.changed  # a wrong checksum
    assert "tnef-checksum" in result.said


# What is left alone.


@pytest.mark.parametrize("name", [b"IPM.Appointment", b"IPM.Task", b"REPORT.IPM.Note"])
def test_what_is_more_than_a_mail_stays(name: bytes, tmp_path: Path) -> None:
    blob = winmail_dat().replace(NOTE, build.message_class(name))
    message = mail(TEXT, tnef_part(blob))
    result = replaced(message, tmp_path)
    assert result.said == f"1.2 beside: class {name.decode()}"
    assert files(result.email) == [("winmail.dat", blob), *BOTH]
    again = replaced(result.message, tmp_path)
    assert not again.changed
    bare = build.stream(build.head(), build.message_class(name))
    result = replaced(mail(TEXT, tnef_part(bare)), tmp_path)
    assert not result.changed


def sealed(subtype: bytes) -> bytes:
    inner = mail(TEXT, tnef_part(winmail_dat()), boundary=b"inner")
    inner = inner[inner.index(b"Content-Type") :]
    return mail(
        inner, b"Content-Type: application/x-signature\n\nxyz\n", subtype=subtype
    )


PART = tnef_part(winmail_dat())
LEFT_ALONE: dict[str, tuple[bytes, str]] = {
    "signed": (sealed(b"signed"), "multipart/signed"),
    "encrypted": (sealed(b"encrypted"), "multipart/encrypted"),
    "dkim": (mail(TEXT, PART, more=b"DKIM-Signature: v=1\n"), "dkim-signature"),
    "arc": (
        mail(TEXT, PART, more=b"ARC-Message-Signature: i=1\n"),
        "arc-message-signature",
    ),
    "forwarded dkim": (
        mail(
            TEXT,
            b"Content-Type: message/rfc822\n\n"
            + mail(PART, boundary=b"inner", more=b"DKIM-Signature: v=1\n"),
        ),
        "dkim-signature",
    ),
    "not closed": (mail(TEXT, PART).replace(b"--=_frontier--", b""), "missing-close"),
    "junk in the header": (
        mail(TEXT, PART, more=b"no field at all\n"),
        "header-junk",
    ),
    "two types": (
        mail(TEXT, PART, more=b"Content-Type: text/plain\n"),
        "duplicate-content-type",
    ),
    "junk in base64": (mail(TEXT, PART.replace(b"\n\neJ8", b"\n\n*eJ8")), "base64-"),
    "garbage behind it": (
        mail(TEXT, tnef_part(winmail_dat() + b"garbage behind it")),
        "tnef-trailing-data",
    ),
    "cut": (mail(TEXT, tnef_part(winmail_dat()[:-30])), "tnef-"),
    "no signature": (
        mail(TEXT, tnef_part(b"xxxx" + winmail_dat()[4:])),
        "no part of the message",
    ),
    "in an encoded message": (
        mail(
            TEXT,
            b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"
            + base64.encodebytes(mail(PART, boundary=b"inner")),
        ),
        "in an encoded message",
    ),
    "by reference": (
        mail(
            TEXT,
            tnef_part(
                build.stream(
                    build.head(),
                    build.renddata(),
                    build.title(b"there.doc"),
                    build.attachment_properties(
                        build.fixed(0x3705, build.LONG, b"\2\0\0\0")
                    ),
                )
            ),
        ),
        "has no content",
    ),
    "many": (mail(*[PART] * (winmail.PARTS + 1)), "winmail.dat"),
    "many files": (
        mail(
            tnef_part(
                build.stream(
                    build.head(),
                    *[
                        build.file(b"%d" % number, b"%d" % number)
                        for number in range(tnefmail.ENTITIES + 1)
                    ],
                )
            )
        ),
        "too many attachments",
    ),
}


@pytest.mark.parametrize("name", LEFT_ALONE)
@pytest.mark.parametrize("mode", ["instead", "beside"])
def test_what_is_uncertain_stays_as_it_came(
    name: str, mode: str, tmp_path: Path
) -> None:
    message, why = LEFT_ALONE[name]
    result = replaced(message, tmp_path, mode)
    assert not result.changed
    assert result.message == message
    assert why in result.said


def test_a_dkim_signature_may_be_broken_on_request(tmp_path: Path) -> None:
    message, _ = LEFT_ALONE["dkim"]
    result = replaced(message, tmp_path, break_dkim=True)
    assert files(result.email) == BOTH
    message, why = LEFT_ALONE["signed"]
    assert why in replaced(message, tmp_path, break_dkim=True).said


# Names and boundaries.


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain.txt", "plain.txt"),
        ('say "hi" \\ ok.txt', " ok.txt".strip()),
        ('a"b;c=d.txt', 'a"b;c=d.txt'),
        ("Überblick 2024.pdf", "Überblick 2024.pdf"),
        ("日本語" * 60 + ".docx", None),
        ("../../../etc/passwd", "passwd"),
        ("C:\\Windows\\evil.exe", "evil.exe"),
        ("a\r\nX-Evil: 1\n\n.txt", "a__X-Evil: 1__.txt"),
        ("gpj.\u202eexe", "gpj._exe"),
        ("x" * 400 + ".pdf", "x" * 196 + ".pdf"),
        ("=?utf-8?Q?a=0D=0Ab?=.txt", "=?utf-8?Q?a=0D=0Ab?=.txt"),
        ("...", "attachment-1"),
        ("emoji \U0001f600 100%.txt", "emoji \U0001f600 100%.txt"),
        ("it's; *.*'.txt", "it's; *.*'.txt"),
    ],
)
def test_a_name_is_delivered_safely(
    given: str, shown: str | None, tmp_path: Path
) -> None:
    blob = build.stream(
        build.head(),
        build.renddata(),
        build.data(b"content"),
        build.attachment_properties(build.long_name(given)),
    )
    result = replaced(mail(TEXT, tnef_part(blob)), tmp_path)
    assert result.changed
    assert max(map(len, result.message.split(b"\n"))) <= 998
    assert b"X-Evil" not in [line[:6] for line in result.message.split(b"\n")]
    # compat32 decodes RFC 2231 and leaves encoded words alone, which are none here.
    parsed = email.message_from_bytes(result.message)
    (part,) = [p for p in parsed.walk() if p.get_filename()]
    name = email.utils.collapse_rfc2231_value(part.get_filename() or "")
    assert part.get_payload(decode=True) == b"content"
    if shown is None:
        assert len(name) <= tnefmail.FILE_NAME
        assert name.startswith("日本語")
        assert name.endswith(".docx")
    else:
        assert name == shown
    # Our own reading finds the same one.
    found = unpack(result.message, tmp_path)
    assert any(name in item.names for item in found.items)
    assert "header-junk" not in found.codes


@pytest.mark.parametrize(
    "boundary", [b"q", b"qscan-", b"=", b"--", b"q" * 70, b"a", b"0", b"-"]
)
def test_no_boundary_is_the_beginning_of_another(
    boundary: bytes, tmp_path: Path
) -> None:
    inner = mail(TEXT, PART, subtype=b"alternative", boundary=boundary)
    outer = b"%outer"
    message = mail(TEXT, b"Content-Type: message/rfc822\n\n" + inner, boundary=outer)
    result = replaced(message, tmp_path)
    assert result.changed
    assert files(result.email) == BOTH
    stated = {
        part.get_boundary() for part in result.email.walk() if part.get_boundary()
    }
    assert len(stated) == 3
    for one in stated:
        assert not any(one != two and str(two).startswith(str(one)) for two in stated)
    assert not unpack(result.message, tmp_path).codes & {"boundary-with-junk"}


def test_where_no_boundary_is_free_the_message_stays(tmp_path: Path) -> None:
    """One part for each first character that a boundary of ours can have."""
    parts = [TEXT, PART]
    for char in b"0123456789abcdef":
        nested = mail(TEXT, boundary=bytes([char]))
        parts.append(nested[nested.index(b"Content-Type") :])
    nested = mail(TEXT, boundary=b"q")
    parts.append(nested[nested.index(b"Content-Type") :])
    with pytest.raises(ValueError, match="boundary"):
        replaced(mail(*parts), tmp_path)


# Everything at once.


def random_tnef(dice: random.Random) -> tuple[bytes, list[tuple[str, bytes]]]:
    wanted = []
    objects = []
    for number in range(dice.randrange(1, 5)):
        name = f"file {number} {dice.choice('äя€x')}.{dice.choice(('txt', 'exe'))}"
        data = dice.randbytes(dice.choice((0, 1, 56, 57, 58, 5000, 70_000)))
        if dice.random() < 0.5:
            objects += [build.renddata(), build.title(b"SHORT~1"), build.data(data)]
            objects.append(build.attachment_properties(build.long_name(name)))
        else:
            objects.append(build.renddata())
            objects.append(
                build.attachment_properties(
                    build.long_name(name), build.mapi_data(data or b"x")
                )
            )
            data = data or b"x"
        wanted.append((name, data))
    return build.stream(build.head(), NOTE, *objects), wanted


def test_any_message_keeps_its_bytes_and_gets_its_files(tmp_path: Path) -> None:
    dice = random.Random(7)
    for _ in range(40):
        wanted = []
        parts = []
        for _ in range(dice.randrange(1, 5)):
            kind = dice.random()
            if kind < 0.5:
                blob, found = random_tnef(dice)
                parts.append(tnef_part(blob))
                wanted += found
            else:
                data = dice.randbytes(200)
                name = f"other{len(parts)}.bin"
                parts.append(
                    b"Content-Type: application/octet-stream\n"
                    b'Content-Disposition: attachment; filename="%s"\n'
                    b"Content-Transfer-Encoding: base64\n\n"
                    % name.encode()
                    + base64.encodebytes(data)
                )
                wanted.append((name, data))
        subtype = dice.choice((b"mixed", b"related", b"parallel"))
        convert = dice.choice((lf, crlf))
        message = convert(mail(*parts, subtype=subtype))
        result = replaced(message, tmp_path)
        assert files(result.email) == wanted
        assert convert(result.message) == result.message
        ours = unpack(result.message, tmp_path)
        assert ours.report.verdict == "clean"
        assert not ours.report.defects
        shown = [
            (name, ours.contents[item.path])
            for item in ours.items
            for name in item.names
        ]
        assert sorted(shown) == sorted(wanted)
        for part in parts:
            kept = part.startswith(b"Content-Type: application/octet")
            assert (convert(part) in result.message) is kept


@pytest.mark.parametrize("newline", ["LF", "CRLF"])
@pytest.mark.parametrize("form", ["part", "single"])
def test_the_samples_of_mimekit(form: str, newline: str, tmp_path: Path) -> None:
    paths = corpus_files("mimekit/tnef", "*.tnef")
    if not paths:
        pytest.skip("no corpus")
    changed = 0
    for path in paths:
        blob = path.read_bytes()
        message = mail(TEXT, tnef_part(blob)) if form == "part" else single(blob)
        message = crlf(message) if newline == "CRLF" else message
        result = replaced(message, tmp_path)
        changed += result.changed
        if not result.changed:
            continue
        reading = tnef.inspect(lambda at, n, b=blob: b[at : at + n], len(blob))  # type: ignore[misc]
        wanted = [
            (one.filename, blob[offset : offset + length])
            for one in reading.attachments
            for offset, length, kind in one.spans
            if kind in ("binary", "object")
            or (kind == "data" and not any(k == "nested" for _, _, k in one.spans))
        ]
        found = files(result.email)
        for one in wanted:
            assert one in found, path.name
        assert len(found) == len(wanted) + ("beside" in result.said)
        ours = unpack(result.message, tmp_path)
        assert ours.report.verdict == "clean", path.name
        for name, data in wanted:
            assert any(
                name in item.names and ours.contents[item.path] == data
                for item in ours.items
            )
        assert not replaced(result.message, tmp_path).changed
    assert changed >= 13


def test_real_messages_of_mimekit(tmp_path: Path) -> None:
    paths = corpus_files("mimekit/tnef", "*.eml")
    if not paths:
        pytest.skip("no corpus")
    # One has a task and an appointment, which are more than mails.
    assert {path.stem for path in paths} == {"rich-text", "ukr"}
    for path in paths:
        message = path.read_bytes()
        result = replaced(message, tmp_path, break_dkim=True)
        assert result.changed, (path.name, result.said)
        left = "application/ms-tnef" in types(result.email)
        assert left is (path.stem == "rich-text")
        head = message.index(b"winmail.dat") - 500
        assert result.message[: min(head, 2000)] == message[: min(head, 2000)]
        assert unpack(result.message, tmp_path).report.verdict == "clean"


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    data = random.Random(3).randbytes(1 << 16) * 160
    blob = build.stream(build.head(), NOTE, build.file(b"large.bin", data))
    with examined(mail(TEXT, tnef_part(blob)), tmp_path) as (work, report):
        tracemalloc.start()
        try:
            changed, _ = replace(work, report)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert changed
        assert os.fstat(work.fd).st_size > len(data) * 4 // 3
    assert peak < 4_000_000


def test_when_it_cannot_be_written_nothing_is_changed(tmp_path: Path) -> None:
    message = mail(TEXT, PART)
    with examined(message, tmp_path) as (work, report):
        before = work.fd
        # A file of that name is in the way.
        place = Path(work.directory, winmail.FILE)
        place.write_bytes(b"x")
        with pytest.raises(FileExistsError):
            replace(work, report)
        place.unlink()
        # It ends in the midst of writing.
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (spool.RESERVE + 500, hard))
        try:
            with pytest.raises(OSError, match="too large"):
                replace(work, report)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert work.fd == before
        assert not place.exists()
        whole = fdio.pread_all(work.fd, len(message) + 9999, spool.RESERVE)
        assert whole == message
        assert replace(work, report)[0]


# The real processes.


def test_off_by_default(faked: Faked) -> None:
    installation, _ = faked(fake_clamd.healthy)
    message = mail(TEXT, PART)
    result = installation.call(message)
    assert result.queued
    (delivery,) = installation.deliveries()
    assert harness.added_lines(delivery.message, message)
    assert "winmail" not in harness.log_fields(result.stderr.decode().rstrip("\n"))


@pytest.mark.parametrize("mode", ["beside", "instead"])
def test_delivered_through_the_real_processes(mode: str, faked: Faked) -> None:
    installation, _ = faked(fake_clamd.healthy)
    installation.configure({"tnef.deliver": mode})
    message = mail(TEXT, PART)
    result = installation.call(message)
    assert result.queued
    (delivery,) = installation.deliveries()
    assert delivery.message.startswith(b"X-Qscan: clean;")
    top, start, rest = delivery.message.partition(b"Received: from client")
    assert b"; winmail.dat unpacked;" in top.replace(b"\n", b"")
    delivered = start + rest
    assert delivered.startswith(message[: message.index(PART)])
    assert delivered.endswith(b"\n--=_frontier--\nepilogue\n")
    parsed = email.message_from_bytes(delivered, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    kept = [("winmail.dat", winmail_dat())] if mode == "beside" else []
    assert files(parsed) == [*kept, *BOTH]
    fields = harness.log_fields(result.stderr.decode().rstrip("\n"))
    assert fields["winmail"] == f"1.2 {mode}"
    assert fields["size"] == str(len(message))
    # The same again through the queue changes nothing but the header.
    installation.queue.forget()
    assert installation.call(delivered).queued
    (second,) = installation.deliveries()
    assert harness.added_lines(second.message, delivered)


def test_one_connection_may_have_it(faked: Faked) -> None:
    installation, _ = faked(fake_clamd.healthy)
    message = mail(TEXT, PART)
    result = installation.call(message, env={"QSCAN_TNEF_DELIVER": "instead"})
    assert result.queued
    result = installation.call(message, env={"QSCAN_TNEF_DELIVER": "maybe"})
    assert b"value not understood" in result.stderr
    sizes = sorted(len(one.message) for one in installation.deliveries())
    assert len(set(sizes)) == 2


def test_without_header_the_change_is_noted_all_the_same(faked: Faked) -> None:
    installation, _ = faked(fake_clamd.healthy)
    installation.configure({"tnef.deliver": "instead", "header.qscan": False})
    installation.call(mail(TEXT, PART))
    installation.call(mail(TEXT))
    notes = [one.message.startswith(b"X-Qscan") for one in installation.deliveries()]
    assert sorted(notes) == [False, True]


def test_when_writing_fails_the_message_is_delivered_as_it_came(faked: Faked) -> None:
    installation, _ = faked(fake_clamd.healthy)
    installation.configure({"tnef.deliver": "instead"})
    # In 8bit it is smaller than in base64: the new message does not fit the limit.
    data = b"MZ" + b"y" * 90_000
    blob = build.stream(build.head(), NOTE, build.file(b"program.exe", data))
    part = b"Content-Type: application/ms-tnef\nContent-Transfer-Encoding: 8bit\n\n"
    message = mail(TEXT, part + blob + b"\n")

    def prepare() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    result = installation.call(message, prepare=prepare)
    assert result.queued, result
    (delivery,) = installation.deliveries()
    assert harness.added_lines(delivery.message, message)
    fields = harness.log_fields(result.stderr.decode().rstrip("\n"))
    assert fields["winmail"].startswith("as-is: OSError: ")
    assert not installation.entries()


def test_an_infected_one_is_refused_whatever_is_set(faked: Faked) -> None:
    installation, _ = faked(fake_clamd.healthy, infected=harness.EICAR)
    installation.configure({"tnef.deliver": "instead"})
    blob = build.stream(build.head(), build.file(b"e.com", harness.EICAR))
    result = installation.call(mail(TEXT, tnef_part(blob)))
    assert not result.queued
    assert not installation.deliveries()


@pytest.mark.parametrize("mode", ["as-is", "instead"])
@pytest.mark.parametrize("what", ["plain", "tnef"])
def test_nothing_is_loaded_that_is_not_needed(
    mode: str, what: str, faked: Faked
) -> None:
    installation, _ = faked(fake_clamd.healthy)
    installation.configure({"tnef.deliver": mode})
    installation.leftovers = True
    message = mail(TEXT, PART) if what == "tnef" else mail(TEXT)
    modules = loaded(installation, message, True)
    ours = {"qscan.actions.winmail", "qscan.tnefmail"}
    if (mode, what) == ("instead", "tnef"):
        assert ours <= modules
    else:
        assert not ours & modules
