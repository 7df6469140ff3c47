# SPDX-License-Identifier: MIT
"""Every trick we know to hide a payload in a message, as one table, and its products.

``TABLE`` is all there is to add to: a row is a name, a dimension, a function that
changes a ``State``, which reading shows the payload, and whether careful senders write
it too (``valid``: such a message must be accepted and give the exact bytes).
``products`` mixes rows of two to four slots around any payload, the same for the same
seed. Never does: store a virus - the test string is put together in memory.

A construct that destroys the payload for every client is no construct: functions raise
``Unfit`` for combinations that make no sense together.
"""

from __future__ import annotations

import base64
import gzip
import io
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple

import mailcodes as codes
import tnefbuild as tnef

from qscan import decide

if TYPE_CHECKING:
    from unpacking import Unpacked

EICAR = b"-".join(
    (b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR", b"STANDARD", b"ANTIVIRUS", b"TEST")
)
EICAR += b"-FILE!$H+H*"


class Unfit(Exception):
    """These rows make no sense together."""


def needs(condition: object) -> None:
    if not condition:
        raise Unfit


# Payloads.


def zipped(dice: random.Random) -> bytes:
    """The EICAR test file in a zip."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        member = zipfile.ZipInfo("eicar.txt", (2024, 1, 1, 0, 0, 0))
        archive.writestr(member, EICAR)
        archive.comment = dice.randbytes(6).hex().encode()[: dice.randrange(9, 12)]
    return out.getvalue()


def binary(dice: random.Random) -> bytes:
    """All byte values, line ends and NULs among them."""
    data = bytearray(range(256)) * 2
    dice.shuffle(data)
    return bytes(data) + b"\r\n\n\r\0" + dice.randbytes(dice.randrange(60))


def program(dice: random.Random) -> bytes:
    """Begins as a PE file does."""
    head = b"MZ\x90\0\3\0\0\0\4\0\0\0\xff\xff\0\0\xb8" + bytes(43)
    stub = head + struct.pack("<I", 128) + b"\x0e\x1f\xba\x0e" + bytes(60)
    return stub + b"PE\0\0L\1\1\0" + dice.randbytes(dice.randrange(200, 260))


def script(dice: random.Random) -> bytes:
    """Lines of text, to be sent as it is or encoded."""
    out = [b"#!/bin/sh", b"# %d" % dice.getrandbits(64), b"a=b; c=$a"]
    out += [b"echo " + dice.randbytes(9).hex().encode() for _ in range(6)]
    return b"\n".join(out) + b"\n"


PAYLOADS: dict[str, Callable[[random.Random], bytes]] = {
    "zip": zipped,
    "binary": binary,
    "pe": program,
    "text": script,
}


# A message under construction.


class Multipart:
    """A multipart: ``lines`` of its header, ``use`` the delimiter, which ``end`` ends,
    ``close`` the last delimiter, ``before`` text outside of the parts."""

    def __init__(self, boundary: bytes) -> None:
        self.boundary = boundary
        self.plain = True
        self.types = [b'multipart/mixed; boundary="' + boundary + b'"']
        self.decisive = 0
        self.lines: list[bytes] = []
        self.use = b"--" + boundary
        self.end = b"\n"
        self.close = b"--" + boundary + b"--"
        self.separator = b"\n\n"
        self.before = b""

    def declare(self, form: bytes = b"{n}: {v}") -> None:
        """Write the header; the decisive Content-Type in this form."""
        for number, value in enumerate(self.types):
            how = form if number == self.decisive else b"{n}: {v}"
            put(self.lines, how, b"Content-Type", value)

    def render(
        self, parts: list[bytes], before: bytes = b"", after: bytes = b""
    ) -> bytes:
        """The whole entity; ``before`` and ``after`` outside of its parts."""
        body = self.before + before
        for part in parts:
            body += self.use + self.end + part + b"\n"
        if self.close:
            body += self.close + b"\n"
        return b"\n".join(self.lines) + self.separator + body + after


def put(lines: list[bytes], form: bytes, name: bytes, value: bytes) -> None:
    """Write a field in the form of a row; one that begins with ^ goes on top."""
    text = form.lstrip(b"^").replace(b"{n}", name).replace(b"{v}", value)
    lines.insert(0 if form.startswith(b"^") else len(lines), text)


class State:
    """What the rows change, slot by slot. ``data`` is what gets encoded (the payload,
    or something that holds it), ``payload`` what must come out."""

    def __init__(self, dice: random.Random, payload: bytes, kind: str) -> None:
        self.dice = dice
        self.kind = kind
        self.payload = payload
        self.slot = ""
        self.data = payload
        self.textual = False  # line ends of the payload are those of the message
        self.verbatim = False  # the payload stands in the message as it is
        self.returns = False  # some row counts on a CR where none is usual
        self.text_only = False  # clients look for it in text alone
        self.by_name = False  # clients open it for its name alone
        self.suffix = ""  # what a shown name must end with, where names matter
        self.media = b"application/octet-stream"
        self.parameters = b'; name="data.bin"'
        self.dispositions = [b'attachment; filename="data.bin"']
        self.encoding = b""
        self.body = b""
        self.encodings = [b"{v}"]
        self.types = [b"{v}"]
        self.forms = {"field": b"{n}: {v}", "multipart": b"{n}: {v}"}
        self.extra: list[bytes] = []
        self.separator = b"\n\n"
        self.entity = b""
        self.multi = Multipart(b"b_%08x" % dice.getrandbits(32))
        self.top = [
            b"From: Sender <sender@example.org>",
            b"To: rcpt@example.net",
            b"Subject: something",
            b"MIME-Version: 1.0",
        ]
        self.message = b""

    def header(self) -> bytes:
        """The header of the part, without what ends it."""
        lines = list(self.extra)
        media = self.media + self.parameters
        lines += [b"Content-Type: " + one.replace(b"{v}", media) for one in self.types]
        for form in self.encodings if self.encoding else ():
            value = self.value(form)
            decisive = b"{" in form.replace(b"{o}", b"")
            how = self.forms["field"] if decisive else b"{n}: {v}"
            put(lines, how, b"Content-Transfer-Encoding", value)
        lines += [b"Content-Disposition: " + one for one in self.dispositions]
        return b"\n".join(lines)

    def value(self, form: bytes) -> bytes:
        """A value of Content-Transfer-Encoding: {v} the true one, {1} and {2} its
        halves, {64} an encoded word of it, {o} another one."""
        true = self.encoding
        half = len(true) // 2
        other = b"quoted-printable" if true == b"base64" else b"base64"
        for sign, text in (
            (b"{v}", true),
            (b"{V}", true.swapcase()),
            (b"{1}", true[:half]),
            (b"{2}", true[half:]),
            (b"{64}", base64.b64encode(true)),
            (b"{Q}", b"".join(b"=%02X" % byte for byte in true)),
            (b"{o}", other),
        ):
            form = form.replace(sign, text)
        return form


Make = Callable[[State], None]
Code = Callable[[bytes], bytes]


class Row(NamedTuple):
    """A construct: what ``make`` does to the state, and who reads it so that the
    payload is seen ("" = RFC). ``valid``: careful senders write it, too."""

    name: str
    dimension: str
    make: Make
    reading: str = ""
    valid: bool = False


# What rows are made of.


def nothing(_state: State) -> None:
    """The simplest form."""


def field(form: bytes) -> Make:
    """How the decisive field is written: {n} its name, {v} its value; ^ puts it first
    in the header."""

    def make(state: State) -> None:
        needs(state.encoding if state.slot == "field" else form[:1] != b"^")
        state.returns |= b"\r" in form
        state.forms[state.slot] = form

    return make


def values(*forms: bytes) -> Make:
    """The fields Content-Transfer-Encoding, as ``State.value`` has them."""

    def make(state: State) -> None:
        needs(state.encoding not in (b"", b"7bit", b"8bit", b"binary"))
        needs(not any(b"{64}" in one for one in forms) or len(state.encoding) < 40)
        state.encodings = list(forms)

    return make


def types(*forms: bytes) -> Make:
    """The fields Content-Type of the part; {v} the true value."""

    def make(state: State) -> None:
        needs(b"{v}" in forms or not (state.text_only or state.suffix))
        state.types = list(forms)

    return make


def extra(*lines: bytes) -> Make:
    """Lines in front of the part's header."""

    def make(state: State) -> None:
        state.extra += lines

    return make


def top(*lines: bytes, drop: bytes = b"-", first: bool = False) -> Make:
    """More lines in the message's own header; those that begin with ``drop`` go."""

    def make(state: State) -> None:
        old = [one for one in state.top if not one.startswith(drop)]
        state.top = [*lines, *old] if first else [*old, *lines]

    return make


def broken(separator: bytes) -> Make:
    """What stands between the part's last field and its body."""

    def make(state: State) -> None:
        # Blank lines are content in quoted-printable and in text.
        needs(state.encoding not in (b"", b"quoted-printable"))
        needs(not state.textual and not state.verbatim)
        # What follows must not look like a field.
        needs(b":" not in state.body.partition(b"\n")[0])
        state.returns |= b"\r" in separator
        state.separator = separator

    return make


def broken_by_junk(junk: bytes) -> Make:
    """A line that is no field, then an empty one."""

    def make(state: State) -> None:
        needs(state.encoding == b"base64")
        state.separator = b"\n" + junk + b"\n\n"

    return make


def disposed(*dispositions: bytes) -> Make:
    """Content-Disposition without a name."""

    def make(state: State) -> None:
        needs(not state.suffix and not state.by_name)
        state.dispositions = list(dispositions)

    return make


def first_quad_alone(state: State) -> None:
    needs(state.encoding == b"base64" and state.body[4:5].isalnum())
    state.separator = b"\n"
    state.body = state.body[:4] + b"\n\n" + state.body[4:]


def first_quads_alone(state: State) -> None:
    needs(state.encoding == b"base64" and state.body[8:9].isalnum())
    needs(b"\n" not in state.body[:8])
    state.separator = b"\n"
    first = state.body[:4] + b"\n" + state.body[4:8] + b"\n\n"
    state.body = first + state.body[8:]


def decoy_after(state: State) -> None:
    needs(state.encoding == b"base64" and state.body.endswith(b"=\n"))
    needs(b"=" not in state.body[:-3] and b":" not in state.body)
    state.separator = b"\n"
    state.body += b"\n\n" + codes.b64(b"innocent text, for whoever reads here\n")


def defined(
    form: bytes,
    use: bytes = b"{b}",
    *,
    close: bytes = b"--{u}--",
    end: bytes = b"\n",
    boundary: bytes = b"",
    before: tuple[bytes, ...] = (),
    after: tuple[bytes, ...] = (),
    separator: bytes = b"\n\n",
    lead: bytes = b"",
) -> Make:
    """How the multipart is declared and used: ``form`` of Content-Type (``before`` and
    ``after`` are more of them), ``use`` what follows the dashes. {b} the boundary, {1}
    and {2} its halves, {%} and {%1}, {%2} percent-encoded, {16} in UTF-16, {64}
    base64, {x} another boundary, which a decoy uses; {u} in ``close`` is ``use``."""

    def make(state: State) -> None:
        multi = state.multi
        true = boundary or multi.boundary
        half = len(true) // 2
        other = b"x_%08x" % state.dice.getrandbits(32)

        def fill(text: bytes) -> bytes:
            for sign, value in (
                (b"{b}", true),
                (b"{1}", true[:half]),
                (b"{2}", true[half:]),
                (b"{%}", percents(true)),
                (b"{%1}", percents(true[:half])),
                (b"{%2}", percents(true[half:])),
                (b"{16}", percents(true.decode("latin-1").encode("utf-16-le"))),
                (b"{64}", base64.b64encode(true)),
                (b"{x}", other),
            ):
                text = text.replace(sign, value)
            return text

        multi.plain = False
        multi.types = [fill(one) for one in (*before, form, *after)]
        multi.decisive = len(before)
        used = fill(use)
        multi.use = lead + b"--" + used
        multi.close = lead + fill(close.replace(b"{u}", used)) if close else b""
        multi.end = end
        multi.separator = separator
        state.returns |= b"\r" in form + use + end + close + separator + lead
        if b"{x}" in b"".join((form, *before, *after)) and b"{x}" not in use:
            decoy = b"Content-Type: text/plain\n\ninnocent\n"
            multi.before += b"--%s\n%s--%s--\n" % (other, decoy, other)

    return make


def percents(text: bytes) -> bytes:
    return b"".join(b"%%%02X" % byte for byte in text)


def undeclared(state: State) -> None:
    """Lines that look like delimiters, and no field that says what they are."""
    needs(state.forms["multipart"] == b"{n}: {v}")
    state.multi.plain = False
    state.multi.types = []


def encoded(
    encoding: bytes, code: Code, *, ascii_text: bool = False, text: bool = False
) -> Make:
    """A transfer encoding of the part; ``text``: of lines of text alone."""

    def make(state: State) -> None:
        if text or ascii_text:
            own = state.data is state.payload
            needs(not own or state.kind == "text")
            needs(b"\0" not in state.data and b"\r" not in state.data)
            needs(not ascii_text or state.data.isascii())
            state.textual = own
        state.encoding = encoding
        state.body = code(state.data)

    return make


VERBATIM = b"{the payload as it is}"


def verbatim(state: State) -> None:
    """Binary: put in when all else is done."""
    needs(state.data is state.payload)
    if state.payload.endswith(b"\r"):
        # That CR would belong to the delimiter.
        state.payload = state.data = state.payload + b"."
    state.verbatim = True
    state.encoding = b"binary"
    state.body = VERBATIM


def inserted(junk: bytes, every: int = 5) -> Code:
    """base64 with ``junk`` after every few characters."""

    def code(data: bytes) -> bytes:
        text = codes.b64(data)
        pieces = [text[at : at + every] for at in range(0, len(text), every)]
        return junk.join(pieces)

    return code


def padded(size: int, *, lose: int = 0, end: bytes = b"") -> Code:
    """base64 in pieces that each have their padding, or less of it."""

    def code(data: bytes) -> bytes:
        out = []
        for piece in codes.b64_pieces(data, size):
            signs = piece.count(b"=")
            out.append(piece.rstrip(b"=") + b"=" * max(0, signs - lose) + end)
        return b"".join(out) + b"\n"

    return code


def quads(before: bytes = b"", inside: bytes = b"", after: bytes = b"") -> Code:
    """base64 with signs around or inside its groups of four."""

    def code(data: bytes) -> bytes:
        text = base64.b64encode(data)
        out = []
        for at in range(0, len(text), 4):
            quad = text[at : at + 4]
            middle = b"" if b"=" in quad else inside
            out.append(before + quad[:2] + middle + quad[2:] + after)
        return codes.lines(b"".join(out), 60)

    return code


def only(remainders: tuple[int, ...], code: Code) -> Code:
    """For lengths that leave these remainders when divided by three."""

    def checked(data: bytes) -> bytes:
        needs(len(data) % 3 in remainders)
        return code(data)

    return checked


def unpadded(data: bytes) -> bytes:
    return codes.b64(data).rstrip(b"=\n") + b"\n"


def url_safe(data: bytes) -> bytes:
    text = codes.b64(data)
    needs(b"+" in text or b"/" in text)
    return text.translate(bytes.maketrans(b"+/", b"-_"))


def escapes(between: bytes = b"", soft: bytes = b"=\n", form: bytes = b"=%02X") -> Code:
    """quoted-printable, every byte an escape, ``between`` them, each on a line."""

    def code(data: bytes) -> bytes:
        return b"".join(between + form % byte + soft for byte in data)

    return code


def stray_equals(data: bytes) -> bytes:
    """quoted-printable with one more ``=`` in front of everything."""
    out = []
    for byte in data:
        letter = 71 <= byte <= 90 or 103 <= byte <= 122
        out.append(b"=" + (bytes([byte]) if letter else b"=%02X" % byte))
    return b"=\n".join(b"".join(out[at : at + 18]) for at in range(0, len(out), 18))


def displaced(size: int) -> Code:
    """base64 in pieces whose padding is not at their end."""

    def code(data: bytes) -> bytes:
        needs(len(data) % 2 == 0)
        out = []
        for piece in codes.b64_pieces(data, size):
            one, two, three, _ = (piece[at : at + 1] for at in range(4))
            # UEs= is U=Es then, and UA== is U=A=.
            out.append(one + b"=" + two + three)
        return codes.lines(b"".join(out), 60)

    return code


def gzip64(data: bytes) -> bytes:
    return codes.b64(gzip.compress(data, mtime=0))


def holder(
    code: Code,
    media: bytes,
    name: bytes = b"",
    *,
    text_only: bool = False,
    by_name: bool = False,
) -> Make:
    """The payload in something else, which is the content of the part."""

    def make(state: State) -> None:
        state.data = code(state.payload)
        state.media = media
        state.text_only = text_only
        state.by_name = by_name
        state.parameters = b'; name="%s"' % name if name else b""
        state.dispositions = [b'attachment; filename="%s"' % name] if name else []

    return make


def in_text(code: Code) -> Code:
    """A block between lines of text."""
    return lambda data: b"Hello,\n\nhere it is:\n\n" + code(data) + b"\nBye\n"


def winmail(payload: bytes) -> bytes:
    return tnef.stream(tnef.head(), tnef.file(b"data.bin", payload))


def winmail_of_properties(payload: bytes) -> bytes:
    return tnef.stream(
        tnef.head(),
        tnef.renddata(),
        tnef.title(b"data.bin"),
        tnef.attachment_properties(tnef.long_name("data.bin"), tnef.mapi_data(payload)),
    )


def winmail_with_two(payload: bytes) -> bytes:
    """One attachment with two contents: which one a client takes is not known."""
    return tnef.stream(
        tnef.head(),
        tnef.renddata(),
        tnef.title(b"data.bin"),
        tnef.data(b"innocent"),
        tnef.attachment_properties(tnef.long_name("data.bin"), tnef.mapi_data(payload)),
    )


def winmail_overwritten(payload: bytes) -> bytes:
    return tnef.stream(
        tnef.head(),
        tnef.renddata(),
        tnef.title(b"data.bin"),
        tnef.data(payload),
        tnef.title(b"innocent.txt"),
        tnef.data(b"innocent"),
    )


def winmail_in_winmail(payload: bytes) -> bytes:
    return tnef.stream(tnef.head(), tnef.file(b"winmail.dat", winmail(payload)))


INNER = b"From: inner@example.org\nSubject: inner\nMIME-Version: 1.0\n"


def as_message(payload: bytes) -> bytes:
    head = b"Content-Type: application/octet-stream; name=data.bin\n"
    head += b"Content-Transfer-Encoding: base64\n\n"
    return INNER + head + codes.b64(payload)


def around(before: bytes, after: bytes = b"", *, inner: bytes = INNER) -> Make:
    """The part inside a message or multipart of its own, as it is."""

    def make(state: State) -> None:
        # Without a type it would be a message in a digest.
        needs(state.types or b"/digest" not in before)
        state.entity = before + inner + state.entity + after

    return make


def around_encoded(media: bytes, encoding: bytes, code: Code) -> Make:
    """The same, transfer-encoded as a whole."""

    def make(state: State) -> None:
        needs(not state.textual and not state.verbatim)
        head = b"Content-Type: %s\nContent-Transfer-Encoding: %s\n\n"
        state.entity = head % (media, encoding) + code(INNER + state.entity)

    return make


def multipart_encoded(encoding: bytes, code: Code) -> Make:
    """A multipart of this part, transfer-encoded (RFC 2045 section 6.4 forbids it)."""

    def make(state: State) -> None:
        needs(code is as_it_is or not (state.textual or state.verbatim))
        head = b"Content-Type: multipart/mixed; boundary=inner\n"
        head += b"Content-Transfer-Encoding: " + encoding + b"\n\n"
        body = b"--inner\n" + state.entity + b"\n--inner--\n"
        state.entity = head + code(body)

    return make


def as_it_is(data: bytes) -> bytes:
    return data


def chain(depth: int) -> Make:
    """Messages in messages."""

    def make(state: State) -> None:
        for _ in range(depth):
            state.entity = b"Content-Type: message/rfc822\n\n" + INNER + state.entity

    return make


def nest(depth: int) -> Make:
    """Multiparts in multiparts."""

    def make(state: State) -> None:
        for level in range(depth):
            head = b"Content-Type: multipart/mixed; boundary=level%d\n\n--level%d\n"
            close = b"\n--level%d--\n" % level
            state.entity = head % (level, level) + state.entity + close

    return make


HELLO = b"Content-Type: text/plain\n\nHello,\n\nlook at this.\n"


def alone(state: State) -> None:
    """No multipart: the part is the message."""
    needs(state.multi.plain and state.forms["multipart"] == b"{n}: {v}")
    state.message = state.entity


def placed(*parts: bytes, before: bytes = b"", after: bytes = b"") -> Make:
    """Where the part stands in the multipart: {p}. ``before`` and ``after`` are outside
    of its delimiters, {use} and {close}."""

    def make(state: State) -> None:
        multi = state.multi
        multi.declare(state.forms["multipart"])

        def fill(text: bytes) -> bytes:
            text = text.replace(b"{use}", multi.use + multi.end)
            text = text.replace(b"{close}", multi.close)
            text = text.replace(b"{name}", multi.boundary)
            return text.replace(b"{p}", state.entity)

        shown = [fill(part) for part in parts]
        state.message = multi.render(shown, fill(before), fill(after))

    return make


def unclosed(state: State) -> None:
    state.multi.close = b""
    placed(HELLO, b"{p}")(state)


def outer_plain(state: State) -> None:
    """The multipart as the second part of a plain one."""
    state.multi.declare(state.forms["multipart"])
    inner = state.multi.render([HELLO, state.entity])
    outer = Multipart(b"outer-boundary")
    outer.declare()
    state.message = outer.render([HELLO, inner])


def inner_plain(state: State) -> None:
    """A plain multipart as the second part of the multipart."""
    inner = Multipart(b"inner-boundary")
    inner.declare()
    state.multi.declare(state.forms["multipart"])
    state.message = state.multi.render([HELLO, inner.render([HELLO, state.entity])])


def forwarded(state: State) -> None:
    placed(HELLO, b"{p}")(state)
    state.message = b"Content-Type: message/rfc822\n\n" + INNER + state.message


def forwarded_encoded(state: State) -> None:
    needs(not state.textual and not state.verbatim)
    placed(HELLO, b"{p}")(state)
    head = b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"
    state.message = head + codes.b64(INNER + state.message)


def two(
    outer: bytes,
    inner: bytes,
    *,
    inner_close: bytes = b"--{u}--",
    outer_close: bytes = b"--{u}--",
    dummy: bytes = b"",
    later: bytes = b"",
) -> Make:
    """Two multiparts whose boundaries, made of {b}, have to do with each other. A
    ``dummy`` in front of the parts of the inner one, ``later`` ones behind it."""

    def make(state: State) -> None:
        needs(state.multi.plain)
        name = state.multi.boundary
        one = Multipart(outer.replace(b"{b}", name))
        other = Multipart(inner.replace(b"{b}", name))
        one.close = outer_close.replace(b"{u}", one.boundary)
        other.close = inner_close.replace(b"{u}", other.boundary)
        one.declare(state.forms["multipart"])
        other.declare()
        other.before = dummy.replace(b"{o}", one.use).replace(b"{i}", other.use)
        parts = [HELLO, other.render([HELLO, state.entity])]
        if later:
            parts.append(later.replace(b"{p}", state.entity))
        state.message = one.render(parts)

    return make


def outer_in_base64(share: float) -> Make:
    """A delimiter of the outer multipart in the base64 of a part of the inner one; it
    is made of signs that are no base64."""

    def make(state: State) -> None:
        body = state.body
        needs(state.multi.plain and state.encoding == b"base64" and body)
        needs(state.entity.endswith(b"\n" + body) and body.count(b"\n") > 2)
        outer = Multipart(b"####")
        outer.declare(state.forms["multipart"])
        inner = Multipart(b"inner-boundary")
        inner.declare()
        at = body.find(b"\n", int(len(body) * share)) + 1 if share else 0
        changed = body[:at] + outer.use + b"\n" + body[at:]
        entity = state.entity[: -len(body)] + changed
        state.message = outer.render([inner.render([HELLO, entity])])

    return make


def in_header(line: bytes, *, of_inner: bool) -> Make:
    """A delimiter of the outer multipart as the last line of the header of the inner
    one, or of its own."""

    def make(state: State) -> None:
        multi = state.multi
        multi.declare(state.forms["multipart"])
        text = line.replace(b"{use}", multi.use).replace(b"{close}", multi.close)
        inner = Multipart(b"inner-boundary")
        inner.declare()
        (inner if of_inner else multi).lines.append(text)
        state.message = multi.render([inner.render([HELLO, state.entity])])

    return make


def ends(convert: Code, *, strange: bool = True) -> Make:
    """The line ends of the whole message."""

    def make(state: State) -> None:
        needs(not strange or not (state.returns or state.textual))
        state.message = convert(state.message)

    return make


def to_crlf(message: bytes) -> bytes:
    return message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def mixed_ends(message: bytes) -> bytes:
    turn = cycle((b"\n", b"\r\n", b"\r\n"))
    return b"".join(line + next(turn) for line in message.split(b"\n")[:-1])


def header_ends(end: bytes, blank: bytes) -> Code:
    """Another line end in the message's own header alone."""

    def convert(message: bytes) -> bytes:
        head, _, body = message.partition(b"\n\n")
        return head.replace(b"\n", end) + blank + body

    return convert


def crlf_in_body(message: bytes) -> bytes:
    head, _, body = message.partition(b"\n\n")
    return head + b"\n\n" + to_crlf(body)


def named(
    disposition: bytes = b"",
    parameters: bytes = b"",
    *,
    suffix: str = ".exe",
    line: bytes = b"",
) -> Make:
    """Content-Disposition (more than one with | between), parameters of Content-Type,
    another ``line`` of the header; and what the name that a client shows ends with."""

    def make(state: State) -> None:
        needs(not state.by_name)
        state.suffix = suffix
        state.parameters = parameters
        state.dispositions = disposition.split(b"|") if disposition else []
        if line:
            state.extra.append(line)

    return make


def word(text: str, charset: str = "utf-8", kind: str = "B", label: str = "") -> bytes:
    """An encoded word (RFC 2047)."""
    raw = text.encode(charset)
    if kind == "B":
        shown = base64.b64encode(raw)
    else:
        shown = b"".join(b"=%02X" % byte for byte in raw)
    return b"=?%s?%s?%s?=" % ((label or charset).encode(), kind.encode(), shown)


M = b"multipart/mixed; "
A = b"attachment; filename"

# The dimensions, in the order in which they are applied.
CONTENT, TRANSFER, NAME, ENCODING = "content", "transfer", "name", "encoding"
FIELD, PART, BREAK, CONTAINER = "field", "part", "break", "container"
STRUCTURE, TOP, PLACEMENT, ENDS = "structure", "top", "placement", "ends"

# fmt: off
TABLE: tuple[Row, ...] = (
    # What the part holds.
    Row("plain", CONTENT, nothing, valid=True),
    Row("winmail", CONTENT, holder(winmail, b"application/ms-tnef", b"winmail.dat"),
        "Outlook", valid=True),
    Row("winmail of properties", CONTENT, holder(winmail_of_properties,
        b"application/ms-tnef", b"winmail.dat"), "Outlook", valid=True),
    Row("winmail by another name", CONTENT, holder(winmail,
        b"application/octet-stream", b"data.bin"), "by signature"),
    Row("winmail as a picture", CONTENT, holder(winmail, b"image/png", b"picture.png"),
        "by signature"),
    Row("winmail with two contents", CONTENT, holder(winmail_with_two,
        b"application/ms-tnef", b"winmail.dat"), "Outlook ?"),
    Row("winmail overwritten", CONTENT, holder(winmail_overwritten,
        b"application/ms-tnef", b"winmail.dat"), "who keeps both"),
    Row("winmail with a message", CONTENT, holder(lambda data: tnef.nested(1, data),
        b"application/ms-tnef", b"winmail.dat"), "Outlook", valid=True),
    Row("winmail with messages", CONTENT, holder(lambda data: tnef.nested(4, data),
        b"application/ms-tnef", b"winmail.dat"), "Outlook"),
    Row("winmail in winmail", CONTENT, holder(winmail_in_winmail,
        b"application/ms-tnef", b"winmail.dat"), "Outlook"),
    Row("uuencode in text", CONTENT, holder(in_text(codes.uu), b"text/plain",
        text_only=True), "Thunderbird, Outlook", valid=True),
    Row("uuencode in html", CONTENT, holder(in_text(codes.uu), b"text/html",
        text_only=True), "Thunderbird"),
    Row("uuencode in text with blanks", CONTENT,
        holder(in_text(lambda data: codes.uu(data, zero=b" ")), b"text/plain",
        text_only=True), "Thunderbird, Outlook", valid=True),
    Row("uuencode in text, blanks lost", CONTENT,
        holder(in_text(lambda data: codes.uu(data, zero=b" ", strip=True)),
        b"text/plain", text_only=True), "uudecode"),
    Row("uuencode in text with checksums", CONTENT,
        holder(in_text(lambda data: codes.uu(data, check=True)), b"text/plain",
        text_only=True), "uudecode"),
    Row("uuencode in text without end", CONTENT,
        holder(in_text(lambda data: codes.uu(data, end=False)), b"text/plain",
        text_only=True), "Thunderbird"),
    Row("uuencode, the second of two", CONTENT,
        holder(in_text(lambda data: codes.uu(b"innocent\n") + codes.uu(data)),
        b"text/plain", text_only=True), "Thunderbird, Outlook", valid=True),
    Row("uuencode with four digits", CONTENT,
        holder(in_text(lambda data: codes.uu(data).replace(b"644", b"0644", 1)),
        b"text/plain", text_only=True), "uudecode"),
    Row("uuencode after many paragraphs", CONTENT,
        holder(lambda data: b"some text\n\n" * 60 + codes.uu(data), b"text/plain",
        text_only=True), "Thunderbird, Outlook", valid=True),
    Row("uuencode after much text", CONTENT,
        holder(lambda data: b"some lines of text\n" * 5000 + codes.uu(data),
        b"text/plain", text_only=True), "Thunderbird, Outlook", valid=True),
    Row("uuencode without a name", CONTENT, holder(in_text(lambda data: codes.uu(data,
        b"")), b"text/plain", text_only=True), "lenient"),
    Row("base64 of uuencode in text", CONTENT,
        holder(in_text(lambda data: (b"begin-base64 644 data.bin\n" + codes.b64(data) +
        b"====\n")), b"text/plain", text_only=True), "uudecode -m"),
    Row("yEnc in text", CONTENT, holder(in_text(codes.yenc), b"text/plain",
        text_only=True), "Thunderbird"),
    Row("yEnc in parts in text", CONTENT, holder(in_text(lambda data: codes.yenc(data,
        part=True)), b"text/plain", text_only=True), "Thunderbird"),
    Row("yEnc as a file", CONTENT, holder(codes.yenc, b"application/octet-stream",
        b"data.ync", by_name=True), "newsreaders"),
    Row("BinHex in text", CONTENT, holder(in_text(codes.binhex), b"text/plain",
        text_only=True), "old Mac"),
    Row("BinHex as a file", CONTENT, holder(codes.binhex, b"application/mac-binhex40",
        b"data.hqx"), "Mac"),
    Row("BinHex as octets", CONTENT, holder(codes.binhex, b"application/octet-stream",
        b"data.hqx", by_name=True), "Mac"),
    Row("a message as a file", CONTENT, holder(as_message, b"application/octet-stream",
        b"mail.eml", by_name=True), "opened by name"),
    Row("a message as text", CONTENT, holder(as_message, b"text/plain", b"mail.eml",
        by_name=True), "opened by name"),
    # How it is transfer-encoded.
    Row("base64", TRANSFER, encoded(b"base64", codes.b64), valid=True),
    Row("base64, lines of 60", TRANSFER, encoded(b"base64",
        lambda data: codes.b64(data, 60)), valid=True),
    Row("base64, lines of 64", TRANSFER, encoded(b"base64",
        lambda data: codes.b64(data, 64)), valid=True),
    Row("base64, lines of 72", TRANSFER, encoded(b"base64",
        lambda data: codes.b64(data, 72)), valid=True),
    Row("base64, an empty line after it", TRANSFER, encoded(b"base64",
        lambda data: codes.b64(data) + b"\n\n"), valid=True),
    Row("base64, no line end", TRANSFER, encoded(b"base64",
        lambda data: codes.b64(data)[:-1]), valid=True),
    Row("quoted-printable", TRANSFER, encoded(b"quoted-printable", codes.qp),
        valid=True),
    Row("quoted-printable, all escaped", TRANSFER, encoded(b"quoted-printable",
        lambda data: codes.qp(data, every=True)), valid=True),
    Row("quoted-printable text", TRANSFER, encoded(b"quoted-printable", codes.qp_text,
        ascii_text=True), valid=True),
    Row("7bit", TRANSFER, encoded(b"7bit", as_it_is, ascii_text=True), valid=True),
    Row("8bit", TRANSFER, encoded(b"8bit", as_it_is, text=True), valid=True),
    Row("none", TRANSFER, encoded(b"", as_it_is, ascii_text=True), valid=True),
    Row("binary", TRANSFER, verbatim, "RFC 3030"),
    Row("base64, one line", TRANSFER, encoded(b"base64", lambda data: codes.b64(data,
        1 << 30)), "all"),
    *(Row(f"base64, lines of {size}", TRANSFER, encoded(b"base64", lambda data,
        size=size: codes.b64(data, size)), "all") for size in (1, 2, 3, 4, 5, 7, 77,
        200)),
    Row("base64, empty lines", TRANSFER, encoded(b"base64", inserted(b"\n\n", 60)),
        "all"),
    Row("base64, empty lines everywhere", TRANSFER, encoded(b"base64",
        inserted(b"\n\n", 3)), "most"),
    *(Row(f"base64 with {name}", TRANSFER, encoded(b"base64", inserted(junk)),
        "who ignores what is no base64 (RFC 2045 section 6.8)") for name,
        junk in (("blanks", b" "), ("tabs", b"\t"), ("VT", b"\x0b"), ("FF", b"\x0c"),
        ("CR", b"\r"), ("NUL", b"\0"), ("dots", b"."), ("hashes", b"#"),
        ("colons", b":"), ("percents", b"%"), ("8-bit", b"\xe4"), ("DEL", b"\x7f"),
        ("commas", b","), ("exclamation marks", b"!"), ("asterisks", b"*"),
        ("quotes", b'"'), ("minus signs", b"-"), ("underscores", b"_"),
        ("UTF-8 blanks", b"\xc2\xa0"), ("zero width", b"\xe2\x80\x8b"),
        ("backslashes", b"\\"), ("tildes", b"~"), ("at signs", b"@"))),
    Row("base64, junk lines of signs", TRANSFER, encoded(b"base64",
        inserted(b"\n*** !! ***\n", 61)), "who ignores junk"),
    Row("base64, trailing blanks", TRANSFER, encoded(b"base64",
        lambda data: codes.b64(data, 60, b" \t \n")), "all"),
    Row("base64, leading blanks", TRANSFER, encoded(b"base64", lambda data: b" " +
        codes.b64(data, 60, b"\n  ")), "all"),
    Row("base64, dots at line starts", TRANSFER, encoded(b"base64", lambda data: b"." +
        codes.b64(data, 60, b"\n.")), "who ignores junk"),
    Row("base64, padding after each byte", TRANSFER, encoded(b"base64", padded(1)),
        "Thunderbird, Apple Mail go on"),
    Row("base64, padding after two bytes", TRANSFER, encoded(b"base64", padded(2)),
        "Thunderbird, Apple Mail go on"),
    Row("base64, padding once", TRANSFER, encoded(b"base64", padded(100)),
        "Thunderbird, Apple Mail go on"),
    Row("base64, padding at line ends", TRANSFER, encoded(b"base64", padded(40,
        end=b"\n")), "Thunderbird, Apple Mail go on"),
    Row("base64, half of the padding", TRANSFER, encoded(b"base64", padded(1, lose=1,
        end=b"\n")), "Thunderbird"),
    Row("base64, groups of two without padding", TRANSFER, encoded(b"base64", padded(1,
        lose=1)), "Thunderbird"),
    Row("base64 without padding", TRANSFER, encoded(b"base64", unpadded), "most"),
    Row("base64, padding inside groups of two bytes", TRANSFER, encoded(b"base64",
        displaced(2)), "any = is padding"),
    Row("base64, padding inside groups of one byte", TRANSFER, encoded(b"base64",
        displaced(1)), "any = is padding"),
    *(Row(f"base64, lines of four and {junk.decode()}", TRANSFER, encoded(b"base64",
        lambda data, junk=junk: codes.b64(data, 4, junk + b"\n")),
        "each line on its own") for junk in (b"X", b"XX", b"XXX", b"=", b"==")),
    *(Row(f"base64 after {junk.decode()} and an empty line", TRANSFER,
        encoded(b"base64", lambda data, junk=junk: junk + b"\n\n" + codes.b64(data)),
        "each paragraph on its own") for junk in (b"A", b"AA", b"AAA", b"AA==")),
    *(Row(f"base64 with remarks after {size}", TRANSFER, encoded(b"base64",
        inserted(b"#remark\n", size)), "who drops the rest of the line")
        for size in (1, 2, 3, 19)),
    Row("base64, too much padding", TRANSFER, encoded(b"base64",
        lambda data: codes.b64(data)[:-1] + b"====\n"), "most"),
    Row("base64, padding line at the end", TRANSFER, encoded(b"base64",
        lambda data: unpadded(data) + b"==\n"), "most"),
    Row("base64, = after each group", TRANSFER, encoded(b"base64", quads(after=b"=")),
        "who ignores ="),
    Row("base64, = inside each group", TRANSFER, encoded(b"base64",
        quads(inside=b"=")), "who ignores ="),
    Row("base64, = before each group", TRANSFER, encoded(b"base64", quads(b"=")),
        "who ignores ="),
    Row("base64, ==== first", TRANSFER, encoded(b"base64", lambda data: b"====\n" +
        codes.b64(data)), "who ignores ="),
    Row("base64, = at line starts", TRANSFER, encoded(b"base64", lambda data: b"=" +
        codes.b64(data, 76, b"\n=")), "who ignores ="),
    Row("base64, one character too many", TRANSFER, encoded(b"base64", only((0,),
        lambda data: codes.b64(data) + b"A\n")), "who drops the rest"),
    Row("base64 and junk after its padding", TRANSFER, encoded(b"base64", only((1, 2),
        lambda data: codes.b64(data) + b"QUJDRA==\n")), "mutt stops"),
    Row("base64 url-safe", TRANSFER, encoded(b"base64", url_safe), "lenient"),
    Row("base64 as uuencode -m writes it", TRANSFER, encoded(b"base64",
        lambda data: b"begin-base64 644 data.bin\n" + codes.b64(data) + b"====\n"),
        "who skips the first line"),
    Row("base64, text after an empty line", TRANSFER, encoded(b"base64", only((1, 2),
        lambda data: codes.b64(data) + b"\n-- \nThis mail was checked by nobody.\n")),
        "who stops at padding"),
    Row("quoted-printable, lower case", TRANSFER, encoded(b"quoted-printable",
        escapes(b"", b"=\n", b"=%02x")), "all"),
    Row("quoted-printable, one line", TRANSFER, encoded(b"quoted-printable",
        escapes(b"", b"")), "all"),
    Row("quoted-printable, blanks after the soft break", TRANSFER,
        encoded(b"quoted-printable", escapes(b"", b"= \t \n")), "RFC 2045, most"),
    Row("quoted-printable, CR as soft break", TRANSFER, encoded(b"quoted-printable",
        escapes(b"", b"=\r")), "lenient"),
    Row("quoted-printable, escaped soft break", TRANSFER, encoded(b"quoted-printable",
        lambda data: codes.qp(data, soft=b"=\n=\n")), "all"),
    *(Row(f"quoted-printable, {name}", TRANSFER, encoded(b"quoted-printable",
        escapes(junk)), "who drops bad escapes") for name,
        junk in (("=XX between", b"=XX"), ("= and blanks between", b"=  "),
        ("= between", b"="), ("=4 between", b"=0"), ("=0X between", b"=0X"),
        ("=? between", b"=?"))),
    Row("quoted-printable, stray =", TRANSFER, encoded(b"quoted-printable",
        stray_equals), "who drops a stray ="),
    Row("uuencode", TRANSFER, encoded(b"x-uuencode", codes.uu), "Thunderbird, Outlook",
        valid=True),
    *(Row(f"uuencode as {name.decode()}", TRANSFER, encoded(name, codes.uu),
        "Thunderbird") for name in (b"uuencode", b"x-uue", b"uue", b"x-uu", b"uu")),
    *(Row(f"uuencode as {name.decode()} without {what}", TRANSFER, encoded(name,
        lambda data, begin=begin, end=end: codes.uu(data, begin=begin, end=end)),
        "Thunderbird")
        for name in (b"x-uuencode", b"uuencode", b"x-uue", b"uue", b"x-uu") for what,
        begin, end in (("begin", False, True), ("end", True, False),
        ("begin and end", False, False))),
    Row("uuencode, blanks lost", TRANSFER, encoded(b"x-uuencode",
        lambda data: codes.uu(data, zero=b" ", strip=True)), "uudecode"),
    Row("uuencode after text", TRANSFER, encoded(b"x-uuencode", in_text(codes.uu)),
        "Thunderbird"),
    *(Row(f"yEnc as {name.decode()}", TRANSFER, encoded(name, codes.yenc),
        "Thunderbird")
        for name in (b"x-yencode", b"yencode", b"yenc", b"x-yenc", b"x-yenc-1")),
    *(Row(f"BinHex as {name.decode()}", TRANSFER, encoded(name, codes.binhex),
        "old Mac, Outlook Express") for name in (b"x-binhex", b"binhex", b"mac-binhex",
        b"x-mac-binhex", b"mac-binhex40", b"x-mac-binhex40")),
    Row("BinHex without its first line", TRANSFER, encoded(b"mac-binhex40",
        lambda data: codes.binhex(data, sign=False)), "old Mac"),
    *(Row(f"gzip as {name.decode()}", TRANSFER, encoded(name, gzip64), "metamail")
        for name in (b"x-gzip64", b"gzip64")),
    # Its file name.
    Row("plain", NAME, nothing, valid=True),
    Row("none", NAME, named(suffix=""), valid=True),
    Row("in the disposition", NAME, named(A + b'="evil.exe"'), valid=True),
    Row("in the type", NAME, named(b"", b'; name="evil.exe"'), valid=True),
    Row("in both", NAME, named(A + b"=evil.exe", b"; name=evil.exe"), valid=True),
    Row("folded", NAME, named(b'attachment;\n\tfilename="evil.exe"'), valid=True),
    Row("RFC 2231", NAME, named(A + b"*=utf-8''evil%2Eexe"), "not Outlook", valid=True),
    Row("RFC 2231 in pieces", NAME, named(A + b'*0="evil"; filename*1=".exe"'),
        "not Outlook", valid=True),
    Row("RFC 2231 in encoded pieces", NAME, named(A +
        b"*0*=utf-8''evil%2E; filename*1*=%65xe"), "not Outlook", valid=True),
    Row("encoded word", NAME, named(A + b'="' + word("evil.exe") + b'"'),
        "Thunderbird, Outlook, Apple Mail", valid=True),
    Row("8-bit", NAME, named(A + '="böse.exe"'.encode()), "all", valid=True),
    Row("two names, the disposition counts", NAME, named(A +
        b"=good.txt".replace(b"good.txt", b"evil.exe"), b"; name=good.txt"), "all"),
    Row("two names, the type counts", NAME, named(A + b"=good.txt",
        b"; name=evil.exe"), "Outlook falls back"),
    Row("filename in the type", NAME, named(b"attachment", b"; filename=evil.exe"),
        "lenient"),
    Row("name in the disposition", NAME, named(b"attachment; name=evil.exe"),
        "lenient"),
    Row("first of two parameters", NAME, named(A + b"=evil.exe; filename=good.txt"),
        "most"),
    Row("last of two parameters", NAME, named(A + b"=good.txt; filename=evil.exe"),
        "mutt"),
    Row("first of two fields", NAME, named(A + b"=evil.exe|" + A + b"=good.txt"),
        "most"),
    Row("last of two fields", NAME, named(A + b"=good.txt|" + A + b"=evil.exe"),
        "mutt"),
    Row("plain before RFC 2231", NAME, named(A +
        b"=good.txt; filename*=utf-8''evil.exe"), "Thunderbird"),
    Row("plain after RFC 2231", NAME, named(A +
        b"*=utf-8''evil.exe; filename=good.txt"), "Thunderbird"),
    Row("plain counts, RFC 2231 does not", NAME, named(A +
        b"=evil.exe; filename*=utf-8''good.txt"), "Outlook"),
    Row("pieces in another order", NAME, named(A + b"*1=.exe; filename*0=evil"),
        "Thunderbird"),
    Row("pieces as they stand", NAME, named(A + b"*1=evil; filename*0=.exe"),
        "who does not sort"),
    Row("pieces that begin with one", NAME, named(A + b"*1=evil; filename*2=.exe"),
        "mutt"),
    Row("pieces with a gap", NAME, named(A + b"*0=evil; filename*2=.exe"), "mutt"),
    Row("pieces with zeros", NAME, named(A + b"*00=evil; filename*01=.exe"), "lenient"),
    Row("a piece twice", NAME, named(A +
        b"*0=good.txt; filename*0=evil; filename*1=.exe"), "last"),
    Row("a piece twice, first", NAME, named(A +
        b"*0=evil; filename*1=.exe; filename*1=.txt"), "first"),
    Row("pieces in two fields", NAME,
        named(b"attachment; filename*0=evil|attachment; filename*1=.exe"), "lenient"),
    Row("RFC 2231 in UTF-16", NAME, named(A + b"*=utf-16le''" +
        percents("evil.exe".encode("utf-16-le"))), "?"),
    Row("RFC 2231 in UTF-16 of the other end", NAME, named(A + b"*=utf-16''" +
        percents("evil.exe".encode("utf-16-be"))), "?"),
    Row("RFC 2231 in no charset", NAME, named(A + b"*=''evil%2Eexe"), "Thunderbird"),
    Row("RFC 2231 in an unknown charset", NAME, named(A + b"*=x-odd''evil%2Eexe"),
        "lenient"),
    Row("RFC 2231 without its quotes", NAME, named(A + b"*=evil%2Eexe"), "lenient"),
    Row("RFC 2231 in the type", NAME, named(b"", b"; name*=utf-8''evil%2Eexe"),
        "Thunderbird"),
    Row("RFC 2231 with an encoded word", NAME, named(A + b"*=utf-8''" +
        percents(word("evil.exe"))), "who decodes twice"),
    Row("encoded word, Q", NAME, named(A + b'="' + word("evil.exe", kind="Q") + b'"'),
        "Thunderbird, Outlook"),
    Row("encoded word without quotes", NAME, named(A + b"=" + word("evil.exe")),
        "Thunderbird, Outlook"),
    Row("encoded words, two", NAME, named(A + b'="' + word("evil") + b" " +
        word(".exe") + b'"'), "Thunderbird"),
    Row("encoded words, folded", NAME, named(A + b'="' + word("evil") + b"\n " +
        word(".exe") + b'"'), "Thunderbird"),
    Row("encoded word in the middle", NAME, named(A + b'="evil' + word(".e") + b'xe"'),
        "lenient"),
    Row("encoded word in UTF-16LE", NAME, named(A + b'="' + word("evil.exe",
        "utf-16-le", label="utf-16") + b'"'), "Outlook"),
    Row("encoded word in UTF-16BE", NAME, named(A + b'="' + word("evil.exe",
        "utf-16-be", label="utf-16") + b'"'), "Apple Mail"),
    Row("encoded word in UTF-7", NAME, named(A + b'="=?utf-7?Q?evil+AC4-exe?="'),
        "old"),
    Row("encoded word without padding", NAME, named(A + b'="=?utf-8?B?ZXZpbC5leGU?="'),
        "lenient"),
    Row("percent signs", NAME, named(A + b"=evil%2Eexe"), "web clients"),
    Row("half in quotes", NAME, named(A + b'="evil".exe'), "Outlook"),
    Row("a quote inside", NAME, named(A + b'=evil".exe'), "lenient"),
    Row("three quotes", NAME, named(A + b'="evil".exe"'), "lenient"),
    Row("an open quote", NAME, named(A + b'="evil.exe'), "most"),
    Row("single quotes", NAME, named(A + b"='evil.exe'"), "lenient"),
    Row("a backslash", NAME, named(A + b'="evil\\.exe"'), ""),
    Row("a backslash and a quote", NAME, named(A + b'=evil\\".exe'), "lenient"),
    Row("a comment inside", NAME, named(A + b"=evil.e(x)xe"), "strict"),
    Row("a comment behind", NAME, named(A + b"=evil.exe(.gif)"), "strict"),
    Row("a comment in the keyword", NAME, named(b"", b"; na(x)me=evil.exe"), "strict"),
    Row("a comment before the value", NAME, named(A + b"=(good.txt)evil.exe"),
        "strict"),
    Row("a semicolon", NAME, named(A + b"=evil;.exe"), "who takes the rest of line"),
    Row("blanks inside", NAME, named(A + b"=my evil.exe"), "most"),
    Row("blanks around =", NAME, named(A + b" = evil.exe"), "most"),
    Row("a line end after =", NAME, named(A + b"=\n evil.exe"), "most"),
    Row("a keyword in capitals", NAME, named(b"attachment; FILENAME=evil.exe"), ""),
    Row("in capitals", NAME, named(A + b"=EVIL.EXE"), "all"),
    Row("a fold inside", NAME, named(A + b'="evil.\n exe"'), "who drops the blank"),
    Row("blanks before the extension", NAME, named(A + b'="invoice.pdf' + b" " * 60 +
        b'.exe"'), "all"),
    Row("trailing dots", NAME, named(A + b'="evil.exe..."'), "Windows"),
    Row("trailing blanks", NAME, named(A + b'="evil.exe   "'), "Windows"),
    Row("trailing blanks of Unicode", NAME, named(A +
        '="evil.exe\u00a0\u2003"'.encode()), "Windows"),
    Row("NUL", NAME, named(A + b'="evil.exe\0.txt"'), "who ends at NUL"),
    Row("NUL percent-encoded", NAME, named(A + b"*=utf-8''evil.exe%00.txt"),
        "who ends at NUL"),
    Row("a path of Windows", NAME, named(A + b'="C:\\\\temp\\\\evil.exe"'), "all"),
    Row("a path upwards", NAME, named(A + b'="../../evil.exe"'), "all"),
    Row("a path behind an innocent name", NAME, named(A + b'="good.txt/evil.exe"'),
        "all"),
    Row("an alternate stream", NAME, named(A + b'="evil.exe::$DATA"'), "Windows"),
    Row("right-to-left", NAME, named(A + '="annex\u202egpj.exe"'.encode()), "all"),
    Row("right-to-left, percent-encoded", NAME, named(A +
        b"*=utf-8''annex%E2%80%AEgpj.exe"), "all"),
    Row("zero width", NAME, named(A + '="evil.e\u200bxe"'.encode()), "who drops it"),
    Row("full width", NAME, named(A + '="evil\uff0eexe"'.encode()), "NFKC"),
    Row("full width letters", NAME, named(A + '="evil.\uff45\uff58\uff45"'.encode()),
        "NFKC"),
    Row("a class id", NAME, named(A +
        b'="a.txt.{3050F4D8-98B5-11CF-BB82-00AA00BDCE0B}"', suffix="}"), "Windows"),
    Row("in the description alone", NAME, named(line=b"Content-Description: evil.exe"),
        "some"),
    Row("in the location alone", NAME,
        named(line=b"Content-Location: http://example.org/evil.exe"), "some"),
    Row("behind a comma", NAME, named(b"attachment, filename=evil.exe"), "lenient"),
    Row("without a semicolon", NAME, named(b"attachment filename=evil.exe"), "lenient"),
    Row("behind two semicolons", NAME, named(b"attachment;; filename=evil.exe"),
        "most"),
    Row("behind an open quote", NAME, named(b'attachment; x="y; filename=evil.exe'),
        "who splits at semicolons"),
    Row("a quoted keyword", NAME, named(b'attachment; "filename"=evil.exe'), "lenient"),
    # What Content-Transfer-Encoding says: {v} is true.
    Row("plain", ENCODING, nothing, valid=True),
    Row("capitals", ENCODING, values(b"{V}"), valid=True),
    Row("first of two", ENCODING, values(b"{v}", b"{o}"),
        "Thunderbird, Outlook, Apple Mail"),
    Row("last of two", ENCODING, values(b"{o}", b"{v}"), "mutt"),
    Row("before 7bit", ENCODING, values(b"{v}", b"7bit"), "first"),
    Row("after 7bit", ENCODING, values(b"7bit", b"{v}"), "mutt"),
    Row("before 8bit", ENCODING, values(b"{v}", b"8bit"), "first"),
    Row("after binary", ENCODING, values(b"binary", b"{v}"), "mutt"),
    Row("before nonsense", ENCODING, values(b"{v}", b"xxx"), "first"),
    Row("after nonsense", ENCODING, values(b"xxx", b"{v}"), "last"),
    Row("before an empty one", ENCODING, values(b"{v}", b""), "first"),
    Row("after an empty one", ENCODING, values(b"", b"{v}"), "last"),
    Row("twice the same", ENCODING, values(b"{v}", b"{v}"), "all"),
    Row("last of three", ENCODING, values(b"7bit", b"{o}", b"{v}"), "mutt"),
    *(Row(f"written {form.decode('ascii', 'backslashreplace')!r}", ENCODING,
        values(form), reading) for form,
        reading in ((b"{v}, {o}", "Thunderbird, mutt"),
        (b"{v},{o}", "Thunderbird, mutt"), (b"{v} {o}", "first word"),
        (b"{v};{o}", "first word"), (b"{o}, {v}", "who searches"),
        (b"7bit, {v}", "who searches"), (b"xx{v}", "clamd"),
        (b"{v}xx", "who compares the beginning"),
        (b"{v}5", "who compares the beginning"), (b"x-{v}", "lenient"),
        (b'"{v}"', "who unquotes"), (b"'{v}'", "who unquotes"), (b"<{v}>", "lenient"),
        (b"{v};", "most"), (b"{v}; x=y", "most"),
        (b"{v}.", "who compares the beginning"), (b"{v},", "first word"),
        (b"{1}(){2}", "who drops comments"), (b"{1}(x){2}", "who drops comments"),
        (b"{v} (x)", "who drops comments"), (b"(x) {v}", "who drops comments"),
        (b"(x){v}(y)", "who drops comments"), (b"{v}(", "who drops comments"),
        (b"{1}\\{2}", "who unescapes"), (b"\\{v}", "who unescapes"),
        (b"=?utf-8?Q?{v}?=", "who decodes words"),
        (b"=?utf-8?B?{64}?=", "who decodes words"), (b"{v}\0", "who ends at NUL"),
        (b"{v}\x0b", "isspace()"), (b"{v}\x0c", "isspace()"), (b"{v}\xa0", "lenient"),
        (b"={v}", "lenient"), (b": {v}", "lenient"),
        (b"=?utf-8?Q?{Q}?=", "who decodes words"), (b"{1} {2}", "who drops blanks"),
        (b"{1}\n {2}", "who drops blanks"), (b"{v}\n x", "first word"),
        (b"x\n {v}", "who searches"), (b"{v}/8bit", "first word"),
        (b"encoding={v}", "who searches"))),
    # How the decisive field is written: Content-Transfer-Encoding of the part, or
    # Content-Type of the multipart around it.
    Row("plain", FIELD, nothing, valid=True),
    Row("no blank", FIELD, field(b"{n}:{v}"), valid=True),
    Row("tab", FIELD, field(b"{n}:\t{v}"), valid=True),
    Row("folded", FIELD, field(b"{n}:\n {v}"), valid=True),
    Row("folded with a tab", FIELD, field(b"{n}:\n\t{v}"), valid=True),
    Row("many blanks", FIELD, field(b"{n}:   {v}"), valid=True),
    Row("blank behind", FIELD, field(b"{n}: {v} "), valid=True),
    Row("tab behind", FIELD, field(b"{n}: {v}\t"), valid=True),
    Row("first", FIELD, field(b"^{n}: {v}"), valid=True),
    Row("2000 blanks", FIELD, field(b"{n}:" + b" " * 2000 + b"{v}"), "all"),
    Row("folded twice", FIELD, field(b"{n}:\n \n {v}"), "obsolete folding"),
    Row("folded, a blank line behind", FIELD, field(b"{n}: {v}\n "),
        "obsolete folding"),
    Row("blank before the colon", FIELD, field(b"{n} : {v}"), "RFC 822, most"),
    Row("tab before the colon", FIELD, field(b"{n}\t: {v}"), "RFC 822, most"),
    Row("blanks before the colon", FIELD, field(b"{n}     :{v}"), "RFC 822, most"),
    Row("VT before the colon", FIELD, field(b"{n}\x0b: {v}"), "isspace()"),
    Row("NUL before the colon", FIELD, field(b"{n}\0: {v}"), "C strings"),
    Row("fold before the colon", FIELD, field(b"{n}\n : {v}"), "who unfolds first"),
    Row("two colons", FIELD, field(b"{n}:: {v}"), "lenient"),
    Row("VT before the value", FIELD, field(b"{n}:\x0b{v}"), "isspace()"),
    Row("FF before the value", FIELD, field(b"{n}:\x0c{v}"), "isspace()"),
    Row("CR before the value", FIELD, field(b"{n}:\r{v}"), "isspace()"),
    Row("CR and blank before the value", FIELD, field(b"{n}:\r {v}"), "CR ends lines"),
    Row("NUL before the value", FIELD, field(b"{n}: \0{v}"), "who drops NUL"),
    Row("NBSP before the value", FIELD, field(b"{n}:\xa0{v}"), "lenient"),
    Row("comment in the name", FIELD, field(b"{n}(meow): {v}"), "ClamAV's fixture"),
    Row("comment after the name", FIELD, field(b"{n} (meow) : {v}"), "RFC 822"),
    Row("comment before the value", FIELD, field(b"{n}: (meow) {v}"), "RFC 2045"),
    Row("comment behind", FIELD, field(b"{n}: {v} (meow)"), "RFC 2045"),
    Row("nested comment", FIELD, field(b"{n}: ((a)b(\\)c)) {v}"), "RFC 2045"),
    Row("comment with a quote", FIELD, field(b'{n}: (") {v} (")'), "RFC 2045"),
    Row("comment folded", FIELD, field(b"{n}: (a\n b) {v}"), "RFC 2045"),
    Row("leading blank", FIELD, field(b" {n}: {v}"), "lenient"),
    Row("leading tab", FIELD, field(b"\t{n}: {v}"), "lenient"),
    Row("leading blank, first", FIELD, field(b"^ {n}: {v}"), "who strips lines"),
    Row("leading VT", FIELD, field(b"\x0b{n}: {v}"), "isspace()"),
    Row("leading NUL", FIELD, field(b"\0{n}: {v}"), "who drops NUL"),
    Row("leading NBSP", FIELD, field(b"\xa0{n}: {v}"), "lenient"),
    Row("byte order mark", FIELD, field(b"^\xef\xbb\xbf{n}: {v}"), "who drops it"),
    Row("leading CR", FIELD, field(b"\r{n}: {v}"), "CR ends lines"),
    Row("behind a CR", FIELD, field(b"X-Foo: bar\r{n}: {v}"), "CR ends lines"),
    Row("behind a CR and before one", FIELD, field(b"X-Foo: bar\r{n}: {v}\rX-Bar: y"),
        "CR ends lines"),
    Row("behind a line that is no field", FIELD, field(b"X-Foo-bar\n {n}: {v}"),
        "who strips lines"),
    Row("behind a name with a blank", FIELD, field(b"X Foo: bar\n {n}: {v}"),
        "who strips lines"),
    Row("after junk", FIELD, field(b"XXXXXXXXXX\n{n}: {v}"), "who skips junk"),
    Row("after 8-bit junk", FIELD, field(b"\xe4\xf6\xfc\xff\n{n}: {v}"),
        "who skips junk"),
    Row("after junk, first", FIELD, field(b"^junk\n{n}: {v}"), "who skips junk"),
    Row("after From", FIELD, field(b"From a@b Thu Jan  1 00:00:00 1970\n{n}: {v}"),
        "who skips junk"),
    Row("after From, first", FIELD,
        field(b"^From a@b Thu Jan  1 00:00:00 1970\n{n}: {v}"), "who skips junk"),
    Row("after >From", FIELD, field(b"^>From a@b Thu Jan  1 00:00:00 1970\n{n}: {v}"),
        "who skips junk"),
    Row("after a colon", FIELD, field(b":\n{n}: {v}"), "who skips junk"),
    Row("after an empty name", FIELD, field(b": x\n{n}: {v}"), "who skips junk"),
    Row("after a blank", FIELD, field(b" \n{n}: {v}"), "a continuation line"),
    Row("after a tab", FIELD, field(b"\t\n{n}: {v}"), "a continuation line"),
    Row("after a VT", FIELD, field(b"\x0b\n{n}: {v}"), "who skips junk"),
    Row("after a FF", FIELD, field(b"\x0c\n{n}: {v}"), "who skips junk"),
    Row("after a NUL", FIELD, field(b"\0\n{n}: {v}"), "who skips junk"),
    Row("after a dash line", FIELD, field(b"--nothing\n{n}: {v}"), "who skips junk"),
    Row("after an 8-bit name", FIELD, field(b"X-\xe4: x\n{n}: {v}"), "most"),
    Row("after a long line", FIELD, field(b"X-Long: " + b"a" * 6000 + b"\n{n}: {v}"),
        "all"),
    Row("after many fields", FIELD, field(b"".join(b"X-%d: x\n" % number
        for number in range(300)) + b"{n}: {v}"), "all"),
    Row("after a long field", FIELD, field(b"X-Long: a" +
        b"\n aaaaaaaaaaaaaaaaaaaaaaaaa" * 200 + b"\n{n}: {v}"), "all"),
    *(Row(f"after {name}, first", FIELD, field(b"^" + line + b"\n{n}: {v}"), reading)
        for name, line, reading in (("a colon", b":", "who skips junk"),
        ("a blank", b" ", "who skips it"), ("a VT", b"\x0b", "who skips junk"),
        ("a NUL", b"\0", "who skips junk"), ("a CR", b"\r", "CR ends lines"),
        ("8-bit junk", b"\xe4\xf6", "who skips junk"))),
    Row("CR, first", FIELD, field(b"^\r{n}: {v}"), "CR is a blank"),
    Row("after many lines of junk", FIELD, field(b"junk\n" * 60 + b"{n}: {v}"),
        "who skips junk"),
    Row("after many blank lines", FIELD, field(b" \n" * 40 + b"{n}: {v}"),
        "continuation lines"),
    Row("after a quote", FIELD, field(b'X-Quote: "\n{n}: {v}'), "all"),
    Row("after a parenthesis", FIELD, field(b"X-Comment: (\n{n}: {v}"), "all"),
    # What else the part's header says.
    Row("plain", PART, nothing, valid=True),
    Row("type missing", PART, types(), valid=True),
    Row("type in capitals", PART, types(b"APPLICATION/X-FOO"), valid=True),
    Row("disposition inline", PART, disposed(b"inline"), valid=True),
    Row("no disposition", PART, disposed(), valid=True),
    Row("more fields", PART, extra(b"Content-ID: <a@example.org>",
        b"Content-Description: something", b"X-Attachment-Id: f_1"), valid=True),
    Row("a length", PART, extra(b"Content-Length: 3"), "all"),
    Row("no lines", PART, extra(b"Lines: 0"), "all"),
    Row("type is text", PART, types(b"text/plain; charset=utf-8"), "by name"),
    Row("type is a picture", PART, types(b"image/png"), "by name"),
    Row("type without a slash", PART, types(b"file"), "most"),
    Row("type empty", PART, types(b""), "most"),
    Row("type odd", PART, types(b";;;="), "most"),
    Row("type quoted", PART, types(b'"{v}'), "lenient"),
    Row("types: first", PART, types(b"{v}", b"text/plain"), "most"),
    Row("types: last", PART, types(b"text/plain", b"{v}"), "mutt"),
    Row("types: first, then multipart", PART,
        types(b"{v}", b"multipart/mixed; boundary=foo"), "most"),
    Row("types: last, after multipart", PART,
        types(b"multipart/mixed; boundary=foo", b"{v}"), "mutt"),
    Row("types: first, then a message", PART, types(b"{v}", b"message/rfc822"), "most"),
    Row("types: last, after a message", PART, types(b"message/rfc822", b"{v}"), "mutt"),
    Row("type is a multipart", PART, types(b"multipart/mixed; boundary=foo"),
        "by name"),
    Row("type is a multipart without boundary", PART, types(b"multipart/mixed"),
        "by name"),
    Row("NUL in a field", PART, extra(b"X-Nul: a\0b"), "most"),
    Row("CR in a field", PART, extra(b"X-Cr: a\rb"), "most"),
    Row("8-bit in a field", PART, extra(b"X-8bit: \xe4\xf6"), "all"),
    # What else the message's header says.
    Row("plain", TOP, nothing, valid=True),
    Row("no MIME-Version", TOP, top(drop=b"MIME-Version"), "all"),
    Row("MIME-Version with a comment", TOP, top(b"MIME-Version: 1.0 (foo)",
        drop=b"MIME-Version"), valid=True),
    Row("Mime-Version", TOP, top(b"Mime-Version: 1.0", drop=b"MIME"), valid=True),
    Row("MIME-Version 2.0", TOP, top(b"MIME-Version: 2.0", drop=b"MIME"), "all"),
    Row("MIME-Version twice", TOP, top(b"MIME-Version: 1.1"), "all"),
    Row("long", TOP, top(b"References: " + b" ".join(b"<%040d@example.org>" % number
        for number in range(15))), valid=True),
    Row("8-bit", TOP, top("Subject: grüß".encode(), drop=b"Subject"), valid=True),
    Row("From line", TOP, top(b"From a@b Thu Jan  1 00:00:00 1970", first=True), "all"),
    Row(">From line", TOP, top(b">From a@b Thu Jan  1 00:00:00 1970", first=True),
        "all"),
    Row("byte order mark", TOP, top(b"\xef\xbb\xbfX-Bom: x", first=True), "most"),
    Row("junk first", TOP, top(b"junk", first=True), "who skips junk"),
    Row("junk last", TOP, top(b"junk"), "who skips junk"),
    Row("continuation first", TOP, top(b" junk", first=True), "who skips junk"),
    Row("blank first", TOP, top(b" ", first=True), "who skips it"),
    Row("NUL", TOP, top(b"X-Nul: a\0b"), "most"),
    Row("CR", TOP, top(b"X-Cr: a\rb"), "most"),
    Row("blank before a colon", TOP, top(b"X-Blank : x"), "most"),
    Row("a type of another kind", TOP, top(b"Content_Type: text/plain"), "all"),
    Row("disposition", TOP, top(b"Content-Disposition: inline"), valid=True),
    # Between the part's header and its body.
    Row("plain", BREAK, nothing, valid=True),
    Row("forty empty lines", BREAK, broken(b"\n" * 41), "all"),
    Row("two empty lines", BREAK, broken(b"\n\n\n"), valid=True),
    *(Row(name, BREAK, broken(separator), reading) for name, separator,
        reading in (("none", b"\n", "no field, so body"),
        ("blank", b"\n \n", "blank is empty"), ("tab", b"\n\t\n", "blank is empty"),
        ("blanks", b"\n \n \n", "blank"), ("VT", b"\n\x0b\n", "isspace()"),
        ("two VTs", b"\n\x0b\n\x0b\n", "isspace"), ("FF", b"\n\x0c\n", "isspace()"),
        ("NUL", b"\n\0\n", "C strings"), ("CR CR", b"\r\r", "CR ends lines"),
        ("LF CR", b"\n\r", "CR ends lines"), ("CR LF CR", b"\r\n\r", "CR ends lines"),
        ("CR CR LF", b"\r\r\n", "both"), ("LF CR LF", b"\n\r\n", "both"),
        ("CR LF LF", b"\r\n\n", "both"), ("LF CR CR", b"\n\r\r", "CR ends lines"),
        ("LF CR blank", b"\n\r ", "CR"),
        ("CRCRLF twice", b"\r\r\n\r\r\n", "CRCRLF is a line end"),
        ("LFCR twice", b"\n\r\n\r", "LFCR is a line end"),
        ("NUL NUL", b"\n\0\0\n", "C strings"), ("a dot", b"\n.\n", "no field"),
        ("VT LF LF", b"\x0b\n\n", "isspace()"), ("NEL", b"\n\x85\n", "no field"),
        ("a colon", b"\n:\n", "no field"), ("dashes", b"\n-\n", "no field"),
        ("three CRs", b"\r\r\r", "CR ends lines"),
        ("CR LF CR LF", b"\r\n\r\n", "all"))),
    *(Row(f"junk {junk!r}", BREAK, broken_by_junk(junk), "body from the empty line")
        for junk in (b"ABCD", b"ABC=", b"ABCD\nABCD", b"ABC=\nABC=", b"!!!!", b"junk")),
    Row("the first eight characters", BREAK, first_quads_alone, "no field, so body"),
    Row("the first four characters", BREAK, first_quad_alone, "no field, so body"),
    Row("none, and another body below", BREAK, decoy_after, "no field, so body"),
    # The part inside something of its own.
    Row("plain", CONTAINER, nothing, valid=True),
    Row("message", CONTAINER, around(b"Content-Type: message/rfc822\n\n"), valid=True),
    Row("message with a name", CONTAINER,
        around(b'Content-Type: message/rfc822; name="a.eml"\n'
        b'Content-Disposition: attachment; filename="a.eml"\n\n'), valid=True),
    Row("message with From", CONTAINER,
        around(b"Content-Type: message/rfc822\n\nFrom a@b Thu Jan  1 00:00:00 1970\n"),
        "most"),
    Row("message after an empty line", CONTAINER,
        around(b"Content-Type: message/rfc822\n\n\n"), "who skips empty lines"),
    Row("messages in messages", CONTAINER, chain(3), valid=True),
    Row("message/global", CONTAINER, around(b"Content-Type: message/global\n\n"),
        "RFC 6532"),
    Row("message/news", CONTAINER, around(b"Content-Type: message/news\n\n"),
        "RFC 5537"),
    Row("message of an odd kind", CONTAINER,
        around(b"Content-Type: message/x-odd\n\n"), "Python, GMime"),
    Row("message in capitals", CONTAINER, around(b"Content-Type: MESSAGE/RFC822\n\n"),
        valid=True),
    Row("message without its subtype", CONTAINER, around(b"Content-Type: message\n\n"),
        "lenient"),
    *(Row(f"{media.decode()} in {encoding.decode()}", CONTAINER, around_encoded(media,
        encoding, code), "Apple Mail, ripmime")
        for media in (b"message/rfc822", b"message/global") for encoding,
        code in ((b"base64", codes.b64), (b"quoted-printable", codes.qp_text),
        (b"BASE64", codes.b64), (b"x-uuencode", codes.uu))),
    Row("message said to be base64", CONTAINER,
        around(b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"),
        "who ignores it"),
    Row("digest", CONTAINER,
        around(b"Content-Type: multipart/digest; boundary=digest\n\n--digest\n\n",
        b"\n--digest--\n"), valid=True),
    Row("digest with a type", CONTAINER,
        around(b"Content-Type: multipart/digest; boundary=digest\n\n--digest\n",
        b"\n--digest--\n", inner=b""), "RFC 2046", valid=True),
    Row("appledouble", CONTAINER,
        around(b"Content-Type: multipart/appledouble; boundary=fork\n\n--fork\n"
        b"Content-Type: application/applefile\nContent-Transfer-Encoding: base64\n\n"
        b"AAUWBwACAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\n--fork\n", b"\n--fork--\n",
        inner=b""), "RFC 1740", valid=True),
    *(Row(f"multipart/{name.decode()}", CONTAINER,
        around(b"Content-Type: multipart/%s; boundary=inner\n\n--inner\n" % name +
        HELLO + b"\n--inner\n", b"\n--inner--\n", inner=b""), valid=True)
        for name in (b"alternative", b"related", b"report", b"parallel", b"x-unknown",
        b"form-data")),
    Row("multiparts in multiparts", CONTAINER, nest(8), valid=True),
    Row("multipart in base64", CONTAINER, multipart_encoded(b"base64", codes.b64),
        "jsmime"),
    Row("multipart in quoted-printable", CONTAINER,
        multipart_encoded(b"quoted-printable", codes.qp_text), "jsmime"),
    Row("multipart said to be base64", CONTAINER, multipart_encoded(b"base64",
        as_it_is), "most"),
    Row("multipart said to be quoted-printable", CONTAINER,
        multipart_encoded(b"quoted-printable", as_it_is), "most"),
    Row("multipart of odd encoding", CONTAINER, multipart_encoded(b"odd", as_it_is),
        "most"),
    Row("partial, the only one", CONTAINER,
        around(b'Content-Type: message/partial; id="a@b"; number=1; total=1\n\n'),
        "Outlook Express"),
    Row("partial, one of two", CONTAINER,
        around(b'Content-Type: message/partial; id="a@b"; number=1; total=2\n\n'),
        "Outlook Express"),
    Row("external body", CONTAINER,
        around(b"Content-Type: message/external-body; access-type=URL;\n"
        b' URL="http://example.org/evil.exe"\n\n', inner=b""), "old"),
    # How the multipart is declared and used.
    Row("plain", STRUCTURE, nothing, valid=True),
    Row("no quotes", STRUCTURE, defined(M + b"boundary={b}"), valid=True),
    Row("folded", STRUCTURE, defined(b'multipart/mixed;\n boundary="{b}"'), valid=True),
    Row("folded with a tab", STRUCTURE, defined(b'multipart/mixed;\n\tboundary="{b}"'),
        valid=True),
    Row("no blank", STRUCTURE, defined(b"multipart/mixed;boundary={b}"), valid=True),
    Row("capitals", STRUCTURE, defined(b'MULTIPART/Mixed; BOUNDARY="{b}"'), valid=True),
    Row("parameters around", STRUCTURE,
        defined(b'multipart/mixed; charset=utf-8; boundary="{b}"; type=x'), valid=True),
    Row("semicolon behind", STRUCTURE, defined(M + b'boundary="{b}";'), valid=True),
    *(Row(f"multipart/{name.decode()}", STRUCTURE,
        defined(b'multipart/%s; boundary="{b}"' % name), valid=True)
        for name in (b"alternative", b"related", b"x-unknown", b"report")),
    Row("every sign of RFC 2046", STRUCTURE, defined(M + b'boundary="{b}"',
        boundary=b"aZ09'()+_,-./:=? x"), valid=True),
    Row("70 long", STRUCTURE, defined(M + b'boundary="{b}"', boundary=b"a" * 70),
        valid=True),
    Row("one long", STRUCTURE, defined(M + b'boundary="{b}"', boundary=b"x"),
        valid=True),
    Row("with dashes", STRUCTURE, defined(M + b'boundary="{b}"',
        boundary=b"----=_NextPart_000_01"), valid=True),
    Row("padding", STRUCTURE, defined(M + b'boundary="{b}"', b"{b} \t ",
        close=b"--{b}-- \t"), "RFC 2046", valid=True),
    Row("ends with dashes", STRUCTURE, defined(M + b'boundary="{b}"',
        boundary=b"frontier--")),
    Row("dashes alone", STRUCTURE, defined(M + b'boundary="{b}"', boundary=b"--")),
    Row("200 long", STRUCTURE, defined(M + b'boundary="{b}"', boundary=b"a" * 200)),
    Row("3000 long", STRUCTURE, defined(M + b'boundary="{b}"', boundary=b"a" * 3000)),
    Row("8-bit", STRUCTURE, defined(M + b'boundary="{b}"', boundary=b"b\xe4\xf6")),
    Row("parameters: first", STRUCTURE, defined(M + b"boundary={b}; boundary={x}"),
        "Thunderbird, Outlook, mutt"),
    Row("parameters: last", STRUCTURE, defined(M + b"boundary={x}; boundary={b}"),
        "Apple Mail"),
    Row("parameters: last of three", STRUCTURE, defined(M +
        b"boundary=one; boundary={x}; boundary={b}"), "Apple Mail"),
    Row("fields: first", STRUCTURE, defined(M + b"boundary={b}", after= (M +
        b"boundary={x}",)), "Thunderbird, Outlook, Apple Mail"),
    Row("fields: last", STRUCTURE, defined(M + b"boundary={b}", before= (M +
        b"boundary={x}",)), "mutt"),
    Row("fields: first, then text", STRUCTURE, defined(M + b"boundary={b}",
        after= (b"text/plain",)), "Thunderbird, Outlook, Apple Mail"),
    Row("fields: last, after text", STRUCTURE, defined(M + b"boundary={b}",
        before= (b"text/plain",)), "mutt"),
    Row("fields: last, after a multipart without boundary", STRUCTURE, defined(M +
        b"boundary={b}", before= (b"multipart/mixed",)), "mutt"),
    Row("fields: last, after an empty one", STRUCTURE, defined(M + b"boundary={b}",
        before= (b"",)), "mutt"),
    Row("fields: twice the same", STRUCTURE, defined(M + b"boundary={b}", after= (M +
        b"boundary={b}",)), "all"),
    Row("RFC 2231", STRUCTURE, defined(M + b"boundary*=us-ascii''{%}"), "Thunderbird"),
    Row("RFC 2231, nothing encoded", STRUCTURE, defined(M + b"boundary*=''{b}"),
        "Thunderbird"),
    Row("RFC 2231 without quotes", STRUCTURE, defined(M + b"boundary*={b}"), "lenient"),
    Row("RFC 2231, pieces", STRUCTURE, defined(M + b"boundary*0={1}; boundary*1={2}"),
        "Thunderbird"),
    Row("RFC 2231, one piece", STRUCTURE, defined(M + b"boundary*0={b}"),
        "Thunderbird"),
    Row("RFC 2231, encoded pieces", STRUCTURE, defined(M +
        b"boundary*0*=us-ascii''{%1}; boundary*1*={%2}"), "Thunderbird"),
    Row("RFC 2231, one piece encoded", STRUCTURE, defined(M +
        b"boundary*0*=''{%1}; boundary*1={2}"), "Thunderbird"),
    Row("RFC 2231, encoded without a star", STRUCTURE, defined(M +
        b"boundary*0=''{%1}; boundary*1*={2}"), "lenient"),
    Row("RFC 2231, another order", STRUCTURE, defined(M +
        b"boundary*1={2}; boundary*0={1}"), "Thunderbird"),
    Row("RFC 2231, as they stand", STRUCTURE, defined(M +
        b"boundary*1={1}; boundary*0={2}"), "who does not sort"),
    Row("RFC 2231, a gap", STRUCTURE, defined(M + b"boundary*0={1}; boundary*2={2}"),
        "mutt"),
    Row("RFC 2231, up to the gap", STRUCTURE, defined(M +
        b"boundary*0={b}; boundary*2=junk"), "RFC 2231"),
    Row("RFC 2231, from one", STRUCTURE, defined(M +
        b"boundary*1={1}; boundary*2={2}"), "mutt"),
    Row("RFC 2231 in UTF-16", STRUCTURE, defined(M + b"boundary*=utf-16le''{16}"), "?"),
    Row("plain, then RFC 2231 counts", STRUCTURE, defined(M +
        b"boundary={x}; boundary*=''{b}"), "Thunderbird"),
    Row("RFC 2231 counts, then plain", STRUCTURE, defined(M +
        b"boundary*=''{b}; boundary={x}"), "Thunderbird"),
    Row("plain counts, then RFC 2231", STRUCTURE, defined(M +
        b"boundary={b}; boundary*=''{x}"), "Outlook"),
    Row("RFC 2231, then plain counts", STRUCTURE, defined(M +
        b"boundary*=''{x}; boundary={b}"), "Outlook"),
    Row("pieces, then plain counts", STRUCTURE, defined(M +
        b"boundary*0={x}; boundary={b}"), "Outlook"),
    Row("a piece twice, last", STRUCTURE, defined(M +
        b"boundary*0={x}; boundary*0={1}; boundary*1={2}"), "last"),
    Row("a piece twice, first", STRUCTURE, defined(M +
        b"boundary*0={1}; boundary*0={x}; boundary*1={2}"), "first"),
    Row("encoded word, Q", STRUCTURE, defined(M + b'boundary="=?utf-8?Q?{b}?="'),
        "who decodes words"),
    Row("encoded word, B", STRUCTURE, defined(M + b'boundary="=?utf-8?B?{64}?="'),
        "who decodes words"),
    Row("encoded word without quotes", STRUCTURE, defined(M +
        b"boundary==?utf-8?B?{64}?="), "who decodes words"),
    Row("encoded word as it stands", STRUCTURE, defined(M +
        b'boundary="=?utf-8?Q?{b}?="', b"=?utf-8?Q?{b}?=")),
    Row("encoded word as type", STRUCTURE,
        defined(b"=?utf-8?Q?multipart/mixed?=; boundary={b}"), "who decodes words"),
    Row("encoded word as all", STRUCTURE,
        defined(b"=?utf-8?Q?multipart/mixed;_boundary={b}?="), "who decodes words"),
    Row("no boundary", STRUCTURE, defined(b"multipart/mixed"), "who looks for one"),
    Row("empty boundary", STRUCTURE, defined(M + b"boundary="), "who looks for one"),
    Row("empty boundary in quotes", STRUCTURE, defined(M + b'boundary=""'),
        "who looks for one"),
    Row("empty boundary, used", STRUCTURE, defined(M + b'boundary=""', b""), "lenient"),
    Row("blank as boundary", STRUCTURE, defined(M + b'boundary=" "', b" "), "lenient"),
    Row("another boundary", STRUCTURE, defined(M + b"boundary=none"),
        "who looks for one"),
    Row("no type", STRUCTURE, undeclared, "who looks for one"),
    Row("text", STRUCTURE, defined(b"text/plain; charset=utf-8"), "who looks for one"),
    Row("text with a boundary", STRUCTURE, defined(b"text/plain; boundary={b}"),
        "who looks for the boundary"),
    *(Row(f"written {form.decode('ascii', 'backslashreplace')!r}", STRUCTURE,
        defined(form), reading) for form,
        reading in ((b"multipart; boundary={b}", "lenient"),
        (b"multipart/; boundary={b}", "lenient"),
        (b"xmultipart/mixed; boundary={b}", "who searches"),
        (b"x-multipart/mixed; boundary={b}", "who searches"),
        (b"multi\\part/mixed; boundary={b}", "who unescapes"),
        (b'"multipart/mixed"; boundary={b}', "who unquotes"),
        (b"multipart /mixed; boundary={b}", "RFC 822"),
        (b"multipart/ mixed; boundary={b}", "RFC 822"),
        (b"multipart / mixed; boundary={b}", "RFC 822"),
        (b"multipart/mixed/x; boundary={b}", "lenient"),
        (b"multipart//mixed; boundary={b}", "lenient"),
        (b"multipart\\mixed; boundary={b}", "lenient"),
        (b"multipart/mixed\0; boundary={b}", "C strings"),
        (b"multipart/mixed\x0b; boundary={b}", "isspace()"),
        (b"multi(x)part/mixed; boundary={b}", "who drops comments"),
        (b"multipart(x)/(y)mixed; boundary={b}", "RFC 822"),
        (b"(x)multipart/mixed; boundary={b}", "RFC 2045"),
        (b"multipart/mixed(x); boundary={b}", "RFC 2045"),
        (b"multipart/mixed; bound(x)ary={b}", "who drops comments"),
        (b"multipart/mixed; boundary(x)={b}", "who drops comments"),
        (b"multipart/mixed; (x)boundary={b}", "RFC 2045"),
        (b"multipart/mixed; boundary=(x){b}", "Outlook"),
        (b"multipart/mixed; boundary={b}(x)", "RFC 2045"),
        (b"multipart/mixed; boundary={1}(x){2}", "who drops comments"),
        (b"multipart/mixed; boundary=({x}){b}", "Outlook"),
        (b"multipart/mixed; (boundary={x}) boundary={b}", "RFC 2045"),
        (b"multipart/mixed; boundary={b}; (boundary={x})", "RFC 2045"),
        (b"multipart/mixed; (\\) boundary={x}) boundary={b}", "RFC 2045"),
        (b"multipart/mixed; ((x) boundary={x}) boundary={b}", "RFC 2045"),
        (b'multipart/mixed; (") boundary={b}; x=(")', "RFC 2045"),
        (b'multipart/mixed; x="("; boundary={b}; y=")"', "RFC 2045"),
        (b"multipart/mixed; boundary={b}; (", "RFC 2045"),
        (b"multipart/mixed; x=(; boundary={b}", "who knows no comments"),
        (b"multipart/mixed, boundary={b}", "lenient"),
        (b"multipart/mixed  boundary={b}", "lenient"),
        (b"multipart/mixed\n boundary={b}", "lenient"),
        (b"multipart/mixed:boundary={b}", "who searches"),
        (b"multipart/mixed;; boundary={b}", "most"),
        (b"multipart/mixed; ; boundary={b}", "most"),
        (b"multipart/mixed; =x; boundary={b}", "most"),
        (b"multipart/mixed; foo; boundary={b}", "most"),
        (b"multipart/mixed; foo=; boundary={b}", "most"),
        (b"multipart/mixed; foo=a=b; boundary={b}", "most"),
        (b"multipart/mixed; foo=bar boundary={b}", "who searches"),
        (b"multipart/mixed; foo=bar, boundary={b}", "who searches"),
        (b'multipart/mixed; foo="bar;boundary={b}', "who splits at semicolons"),
        (b'multipart/mixed; foo="bar\\";boundary={b}', "who splits at semicolons"),
        (b'multipart/mixed; foo="bar\\"; boundary={b}"', "who unescapes nothing"),
        (b'multipart/mixed; foo=bar"boundary={b}', "who searches"),
        (b'multipart/mixed; foo="bar"boundary={b}', "lenient"),
        (b"multipart/mixed; foo='a;b'; boundary={b}", "most"),
        (b'multipart/mixed; "boundary"={b}', "who unquotes"),
        (b"multipart/mixed; boundary\\={b}", "who unescapes"),
        (b"multipart/mixed; \\boundary={b}", "who unescapes"),
        (b"multipart/mixed; xboundary={b}", "who searches"),
        (b'multipart/mixed; boundary ="{b}"', "RFC 822"),
        (b'multipart/mixed; boundary= "{b}"', "RFC 822"),
        (b"multipart/mixed; boundary\t=\t{b}", "RFC 822"),
        (b"multipart/mixed; boundary=\n {b}", "RFC 822"),
        (b"multipart/mixed; boundary\n ={b}", "RFC 822"),
        (b"multipart/mixed; boun\n dary={b}", "who drops blanks"),
        (b"multipart/mixed;\n \n boundary={b}", "obsolete folding"),
        (b"multipart/mixed; boundary=\x0b{b}", "isspace()"),
        (b"multipart/mixed; boundary={b}\x0b", "isspace()"),
        (b"multipart/mixed; boundary={b}\0", "C strings"),
        (b"multipart/mixed; boundary={b}\0junk", "C strings"),
        (b"multipart/mixed; boundary=\r{b}", "isspace()"),
        (b"multipart/mixed;\rboundary={b}", "CR ends lines"),
        (b'multipart/mixed; boundary=="{b}"', "lenient"),
        (b'multipart/mixed; boundary="{b}', "most"),
        (b'multipart/mixed; boundary={b}"', "lenient"),
        (b'multipart/mixed; boundary="{b}"x', "after the quote nothing counts"),
        (b'multipart/mixed; boundary="{b}" x', "after the quote nothing counts"),
        (b'multipart/mixed; boundary="{1}"{2}', "who joins them"),
        (b'multipart/mixed; boundary={1}"{2}"', "who joins them"),
        (b'multipart/mixed; boundary="{1}\\{2}"', "RFC 822"),
        (b"multipart/mixed; boundary={1}\\{2}", "who unescapes"),
        (b'multipart/mixed; boundary={b}\\"x\\"', "up to the quote"),
        (b"multipart/mixed; boundary='{b}'", "who unquotes"),
        (b"multipart/mixed; boundary=<{b}>", "lenient"),
        (b'multipart/mixed; boundary="{b} "', "who strips"),
        (b'multipart/mixed; boundary=" {b}"', "who strips"),
        (b'multipart/mixed; boundary="{1}\n {2}"', "who drops the blank"),
        (b'multipart/mixed; boundary="{b};"', "who splits at semicolons"),
        (b"multipart/mixed; boundary={b} junk", "first word"),
        (b"multipart/mixed; boundary={b}, junk", "first word"),
        (b"multipart/mixed; boundary={b},", "lenient"),
        (b"multipart/mixed; boundary=--{b}", "who drops the dashes"),
        (b"text/plain, multipart/mixed; boundary={b}", "last"),
        (b"text/plain; multipart/mixed; boundary={b}", "who searches"),
        (b"multipart/mixed; boundary={b}, text/plain", "first"),
        (b"text/plain\n multipart/mixed; boundary={b}", "who searches"),
        (b'multipart/mixed; foo="\n "; boundary={b}', "most"))),
    *(Row(f"written {form.decode()!r}, used {use.decode()!r}", STRUCTURE, defined(form,
        use), reading) for form, use,
        reading in ((b'multipart/mixed; boundary="{b};"', b"{b};", "RFC 822"),
        (b'multipart/mixed; boundary="{1};{2}"', b"{1};{2}", "RFC 822"),
        (b'multipart/mixed; boundary="{1};{2}"', b"{1}", "who splits"),
        (b'multipart/mixed; boundary="{1};{2}"', b'"{1}', "who splits"),
        (b"multipart/mixed; boundary={1};{2}", b"{1};{2}", "rest of the line"),
        (b"multipart/mixed; boundary={1}\\;{2}", b"{1}\\;{2}", "literal"),
        (b"multipart/mixed; boundary={1}\\;{2}", b"{1};{2}", "who unescapes"),
        (b"multipart/mixed; boundary={1}\\;{2}", b"{1}", "who splits"),
        (b'multipart/mixed; boundary={1}\\"{2}\\"', b'{1}"{2}"', "who unescapes"),
        (b'multipart/mixed; boundary={1}\\"{2}\\"', b'{1}\\"{2}\\"', "literal"),
        (b'multipart/mixed; boundary={1}\\"{2}\\"', b"{1}", "up to the quote"),
        (b'multipart/mixed; boundary={1}\\"{2}\\"', b"{1}\\", "up to the quote"),
        (b'multipart/mixed; boundary={1}\\"{2}\\"', b"{2}", "between the quotes"),
        (b'multipart/mixed; boundary={1}\\"{2}\\"', b"{2}\\", "between the quotes"),
        (b'multipart/mixed; boundary={1}\\"{2}\\"', b"{b}", "who joins them"),
        (b'multipart/mixed; boundary={1}"{2}"', b"{1}", "up to the quote"),
        (b'multipart/mixed; boundary={1}"{2}"', b"{2}", "between the quotes"),
        (b'multipart/mixed; boundary={1}"{2}"', b'{1}"{2}"', "literal"),
        (b'multipart/mixed; boundary="{1}"{2}', b"{1}", "between the quotes"),
        (b'multipart/mixed; boundary="{1}"{2}', b'"{1}"{2}', "literal"),
        (b'multipart/mixed; boundary="{1}"{2}', b"{2}", "behind the quotes"),
        (b"multipart/mixed; boundary='{b} '", b"{b} ", "who unquotes"),
        (b"multipart/mixed; boundary='{b} '", b"{b}", "who unquotes and strips"),
        (b"multipart/mixed; boundary='{b} '", b"'{b} '", "literal"),
        (b"multipart/mixed; boundary=' {b}'", b" {b}", "who unquotes"),
        (b"multipart/mixed; boundary='{1} {2}'", b"{1} {2}", "who unquotes"),
        (b"multipart/mixed; boundary='{1} {2}'", b"'{1}", "first word"),
        (b"multipart/mixed; boundary*=''{1}%20{2}", b"{1} {2}", "Thunderbird"),
        (b"multipart/mixed; boundary*=''%20{b}", b" {b}", "Thunderbird"),
        (b"multipart/mixed; boundary*=''{b}%20", b"{b} ", "Thunderbird"),
        (b"multipart/mixed; boundary*=''{b}%20", b"{b}", "who strips"),
        (b"multipart/mixed; boundary*0=''{b}", b"''{b}", "RFC 2231"),
        (b"multipart/mixed; boundary*=x'y'{b}", b"x'y'{b}", "literal"),
        (b'multipart/mixed; boundary="{b}\\;"', b"{b};", "RFC 822"),
        (b'multipart/mixed; boundary="{b}\\;"', b"{b}\\;", "who unescapes nothing"),
        (b"multipart/mixed; boundary={b}\\;x", b"{b};x", "who unescapes"),
        (b"multipart/mixed; boundary={b}\\;x", b"{b}\\", "who splits"),
        (b'multipart/mixed; boundary="{1}\\{2}"', b"{1}\\{2}", "literal"),
        (b'multipart/mixed; boundary="{1}\\"{2}"', b'{1}"{2}', "RFC 822"),
        (b'multipart/mixed; boundary="{1}\\"{2}"', b"{1}\\", "up to the quote"),
        (b'multipart/mixed; boundary="{1}\\\\{2}"', b"{1}\\{2}", "RFC 822"),
        (b"multipart/mixed; boundary={1}\\{2}", b"{1}\\{2}", "literal"),
        (b'multipart/mixed; boundary={b}"x"', b'{b}"x"', "literal"),
        (b'multipart/mixed; boundary={b}"x"', b"{b}x", "who joins them"),
        (b'multipart/mixed; boundary={b}"x"', b"{b}", "up to the quote"),
        (b'multipart/mixed; boundary="{b}"x', b"{b}x", "who joins them"),
        (b'multipart/mixed; boundary="{b}"x', b'"{b}"x', "literal"),
        (b'multipart/mixed; boundary="{b}', b'"{b}', "literal"),
        (b'multipart/mixed; boundary={b}"', b'{b}"', "literal"),
        (b'multipart/mixed; boundary="{b}"', b'"{b}"', "literal"),
        (b"multipart/mixed; boundary='{b}'", b"'{b}'", "RFC 2045"),
        (b'multipart/mixed; boundary="{b} "', b"{b} ", "literal"),
        (b'multipart/mixed; boundary=" {b}"', b" {b}", "literal"),
        (b'multipart/mixed; boundary="{1} {2}"', b"{1} {2}", "RFC 2046"),
        (b"multipart/mixed; boundary={1} {2}", b"{1} {2}", "literal"),
        (b"multipart/mixed; boundary={1} {2}", b"{1}", "first word"),
        (b"multipart/mixed; boundary={1} {2}", b"{b}", "who drops blanks"),
        (b'multipart/mixed; boundary="{1}\n {2}"', b"{1} {2}", "RFC 822"),
        (b'multipart/mixed; boundary="{1}\n\t{2}"', b"{1}\t{2}", "RFC 822"),
        (b"multipart/mixed; boundary={1}\n {2}", b"{1}", "first word"),
        (b"multipart/mixed; boundary={b}(x)", b"{b}(x)", "literal"),
        (b"multipart/mixed; boundary=({x}){b}", b"({x}){b}", "literal"),
        (b'multipart/mixed; foo="bar;boundary={b}"', b'{b}"', "who splits"),
        (b'multipart/mixed; foo="bar;boundary={b}"', b"{b}", "who searches"),
        (b"multipart/mixed; boundary={b}=", b"{b}=", "lenient"),
        (b"multipart/mixed; boundary={b}/x", b"{b}/x", "lenient"),
        (b"multipart/mixed; boundary={b}/x", b"{b}", "token"),
        (b"multipart/mixed; boundary={b},x", b"{b},x", "lenient"),
        (b"multipart/mixed; boundary={b}; boundary={x}", b"{b}{x}", "who joins"))),
    *(Row(f"delimiter {use!r}, close {close!r}", STRUCTURE, defined(M +
        b'boundary="{b}"', use, close=close), reading) for use, close,
        reading in ((b"{b}junk", b"--{b}--", "prefix (RFC 2046 section 5.1.1)"),
        (b"{b} junk", b"--{b}--", "prefix"), (b"{b}\x0b", b"--{b}--", "isspace()"),
        (b"{b}\x0c", b"--{b}--", "isspace()"), (b"{b}\0", b"--{b}--", "C strings"),
        (b"{b}-", b"--{b}--", "prefix"), (b"{b}\t#", b"--{b}--", "prefix"),
        (b"{b}\r\r", b"--{b}--", "CR is a blank"), (b"{b}.", b"--{b}.--", "prefix"),
        (b"{b}", b"--{b}--junk", "prefix"), (b"{b}", b"--{b}-", "lenient"),
        (b"{b}", b"", "all"), (b"{b}", b"--{b}- -", "lenient"),
        (b"{b}", b"--{b}\n--{b}\n--{b}--", "all"))),
    Row("delimiter after LF CR", STRUCTURE, defined(M + b'boundary="{b}"', lead=b"\r"),
        "CR ends lines"),
    Row("delimiter after a blank", STRUCTURE, defined(M + b'boundary="{b}"',
        lead=b" "), "who strips lines"),
    Row("delimiter ends with CR", STRUCTURE, defined(M + b'boundary="{b}"', end=b"\r"),
        "CR ends lines"),
    *(Row(f"header ends {separator!r}", STRUCTURE, defined(M + b'boundary="{b}"',
        separator=separator), reading) for separator,
        reading in ((b"\n", "the delimiter is no field"), (b"\n \n", "blank is empty"),
        (b"\n\t\n", "blank is empty"), (b"\n\n\n\n", "all"),
        (b"\n\nThis is a message in MIME format.\n\n", "all"),
        (b"\n\x0b\n", "isspace()"), (b"\njunk\n", "no field, so body"),
        (b"\n\n--\n-- \n", "all"), (b"\r\r\n", "CR ends lines"),
        (b"\n\r", "CR ends lines"), (b"\r\r", "CR ends lines"),
        (b"\n\0\n", "C strings"), (b"\n\n\r", "CR ends lines"))),
    # Where the part stands.
    Row("second", PLACEMENT, placed(HELLO, b"{p}"), valid=True),
    Row("alone", PLACEMENT, alone, valid=True),
    Row("first", PLACEMENT, placed(b"{p}", HELLO), valid=True),
    Row("only part", PLACEMENT, placed(b"{p}"), valid=True),
    Row("last of many", PLACEMENT, placed(*[HELLO] * 12, b"{p}"), valid=True),
    Row("after an empty part", PLACEMENT, placed(b"\n", b"{p}"), valid=True),
    Row("preamble before", PLACEMENT, placed(HELLO, b"{p}",
        before=b"This is a message in MIME format.\n"), valid=True),
    Row("epilogue behind", PLACEMENT, placed(HELLO, b"{p}", after=b"\n-- \nfooter\n"),
        valid=True),
    Row("in a plain multipart", PLACEMENT, outer_plain, valid=True),
    Row("around a plain multipart", PLACEMENT, inner_plain, valid=True),
    Row("forwarded", PLACEMENT, forwarded, valid=True),
    Row("forwarded in base64", PLACEMENT, forwarded_encoded, "Apple Mail, ripmime"),
    Row("after the close", PLACEMENT, placed(HELLO, after=b"{use}{p}\n{close}\n"),
        "who goes on"),
    Row("after the close, unclosed", PLACEMENT, placed(HELLO, after=b"{use}{p}\n"),
        "who goes on"),
    Row("in the epilogue", PLACEMENT, placed(HELLO, after=b"{p}\n"),
        "who shows all (Inbox Invasion)"),
    Row("in the preamble", PLACEMENT, placed(HELLO, before=b"{p}\n"),
        "who shows all (Inbox Invasion)"),
    Row("in the preamble after text", PLACEMENT, placed(HELLO,
        before=b"some text\n\n{p}\n"), "who shows all"),
    Row("in the preamble after many paragraphs", PLACEMENT, placed(HELLO,
        before=b"some text\n\n" * 40 + b"{p}\n"), "who shows all"),
    Row("in the epilogue after much text", PLACEMENT, placed(HELLO,
        after=b"some lines of text\n" * 5000 + b"\n{p}\n"), "who shows all"),
    Row("in the epilogue after many dashes", PLACEMENT, placed(HELLO,
        after=b"--\n-- some text\n" * 60 + b"\n{p}\n"), "who shows all"),
    Row("in the epilogue after text", PLACEMENT, placed(HELLO,
        after=b"some text\n\n{p}\n"), "who shows all"),
    Row("unclosed", PLACEMENT, unclosed, "all"),
    Row("outer is inner", PLACEMENT, two(b"{b}", b"{b}"), "who keeps no stack"),
    Row("inner extends outer", PLACEMENT, two(b"{b}", b"{b}x"), "exact lines"),
    Row("outer extends inner", PLACEMENT, two(b"{b}x", b"{b}"), "exact lines"),
    Row("inner is the end of outer", PLACEMENT, two(b"{b}", b"{b}--"), "exact lines"),
    Row("outer is the end of inner", PLACEMENT, two(b"{b}--", b"{b}"), "exact lines"),
    Row("inner not closed", PLACEMENT, two(b"{b}", b"in{b}", inner_close=b""), "all"),
    Row("outer not closed", PLACEMENT, two(b"{b}", b"in{b}", outer_close=b""), "all"),
    Row("neither closed", PLACEMENT, two(b"{b}", b"in{b}", inner_close=b"",
        outer_close=b""), "all"),
    Row("inner begins with a delimiter of outer", PLACEMENT, two(b"{b}", b"in{b}",
        dummy=b"{o}\n\n"), "innermost counts"),
    Row("inner begins with the end of outer", PLACEMENT, two(b"{b}", b"in{b}",
        dummy=b"{o}--\n"), "innermost counts"),
    Row("inner begins with a prefix of outer", PLACEMENT, two(b"{b}", b"{b}in",
        dummy=b"{o}junk\n\n"), "exact lines"),
    Row("inner goes on behind outer's part", PLACEMENT, two(b"{b}", b"in{b}",
        inner_close=b"", later=HELLO), "all"),
    Row("inner dummy with outer's boundary", PLACEMENT, placed(b"Content-Type: "
        b"multipart/mixed; boundary={name}\n\n{use}" + HELLO + b"\n{close}\n", b"{p}"),
        "who keeps no stack"),
    Row("delimiter of outer in base64", PLACEMENT, outer_in_base64(0.5),
        "innermost counts, junk ignored"),
    Row("delimiter of outer before base64", PLACEMENT, outer_in_base64(0.0),
        "innermost counts, junk ignored"),
    Row("another delimiter in the preamble", PLACEMENT, placed(HELLO, b"{p}",
        before=b"--fake\nContent-Type: text/plain\n\n"), "all"),
    Row("delimiter in the inner header", PLACEMENT, in_header(b"{use}", of_inner=True),
        "fields first"),
    Row("end in the inner header", PLACEMENT, in_header(b"{close}", of_inner=True),
        "fields first"),
    Row("delimiter in the own header", PLACEMENT, in_header(b"{use}", of_inner=False),
        "fields first"),
    Row("end in the own header", PLACEMENT, in_header(b"{close}", of_inner=False),
        "fields first"),
    # Line ends.
    Row("LF", ENDS, nothing, valid=True),
    Row("CRLF", ENDS, ends(to_crlf, strange=False), valid=True),
    Row("mixed", ENDS, ends(mixed_ends), "LF or CRLF"),
    Row("CRLF in the header", ENDS, ends(header_ends(b"\r\n", b"\r\n\r\n")),
        "LF or CRLF"),
    Row("CRLF in the body", ENDS, ends(crlf_in_body), "LF or CRLF"),
    Row("CR", ENDS, ends(lambda message: message.replace(b"\n", b"\r")),
        "CR ends lines"),
    Row("CR CR LF", ENDS, ends(lambda message: message.replace(b"\n", b"\r\r\n")),
        "CR ends lines, or is a blank"),
    Row("LF CR", ENDS, ends(lambda message: message.replace(b"\n", b"\n\r")),
        "CR is a blank"),
    Row("CR in the header", ENDS, ends(header_ends(b"\r", b"\r\r")), "CR ends lines"),
    Row("CR in the header, LF LF", ENDS, ends(header_ends(b"\r", b"\n\n")),
        "CR ends lines"),
    Row("CR CR LF in the header", ENDS, ends(header_ends(b"\r\r\n", b"\r\r\n\r\r\n")),
        "CR is a blank"),
    Row("LF CR in the header", ENDS, ends(header_ends(b"\n\r", b"\n\r\n\r")),
        "CR is a blank"),
    Row("no last line end", ENDS, ends(lambda message: message.rstrip(b"\n"),
        strange=False), "all"),
)
# fmt: on

# Slots are where rows go, in the order of application: name -> dimension. How a field
# is written can be chosen for two fields.
SLOTS = {
    "content": CONTENT,
    "transfer": TRANSFER,
    "name": NAME,
    "part": PART,
    "encoding": ENCODING,
    "field": FIELD,
    "break": BREAK,
    "container": CONTAINER,
    "structure": STRUCTURE,
    "multipart": FIELD,
    "top": TOP,
    "placement": PLACEMENT,
    "ends": ENDS,
}

ROWS: dict[str, list[Row]] = {
    slot: [row for row in TABLE if row.dimension == dimension]
    for slot, dimension in SLOTS.items()
}

Plan = dict[str, Row]  # by slot; the first row of its dimension where there is none


class Built(NamedTuple):
    """A message, what must come out of it, and how it was made."""

    message: bytes
    payload: bytes
    textual: bool
    suffix: str
    plan: Plan
    kind: str
    seed: str

    @property
    def label(self) -> str:
        """The rows that are not the simplest."""
        return " + ".join(f"{slot}: {row.name}" for slot, row in self.plan.items())

    @property
    def readings(self) -> str:
        """Who shows the payload."""
        return "; ".join(row.reading for row in self.plan.values() if row.reading)


def build(plan: Plan, kind: str, seed: str, payload: bytes | None = None) -> Built:
    """The message of a plan around a payload, one of its kind or a given one; raises
    Unfit."""
    if payload is None:
        payload = PAYLOADS[kind](random.Random(f"{seed}:payload"))

    state = State(random.Random(f"{seed}:state"), payload, kind)
    for slot, rows in ROWS.items():
        state.slot = slot
        if slot == "container":
            state.entity = state.header() + state.separator + state.body
        if slot == "ends":
            state.message = b"\n".join(state.top) + b"\n" + state.message
        plan.get(slot, rows[0]).make(state)
    message = state.message
    if state.verbatim:
        needs(message.count(VERBATIM) == 1)
        message = message.replace(VERBATIM, state.payload)
    return Built(message, state.payload, state.textual, state.suffix, plan, kind, seed)


def fitting(plan: Plan, kinds: tuple[str, ...] = ("zip", "text", "binary")) -> Built:
    """The message of a plan around the first payload that fits; raises Unfit."""
    for turn in range(4):
        for kind in kinds:
            try:
                return build(plan, kind, str(turn))
            except Unfit:
                continue
    raise Unfit


def smaller(built: Built) -> Iterator[Built]:
    """The same with one row less each."""
    for slot in built.plan if len(built.plan) > 1 else ():
        plan = {key: row for key, row in built.plan.items() if key != slot}
        try:
            yield build(plan, built.kind, built.seed)
        except Unfit:
            continue


def singles(*, valid: bool | None = None) -> Iterator[tuple[str, Row]]:
    """Every row in every slot it fits, once."""
    for slot, rows in ROWS.items():
        for row in rows:
            if valid is None or row.valid is valid:
                yield slot, row


def products(seed: object, count: int, *, valid: bool = False) -> Iterator[Built]:
    """``count`` messages of two to four rows that are not the simplest; ``valid``: of
    rows that careful senders write alone."""
    number = 0
    turn = 0
    while number < count:
        dice = random.Random(f"{seed}:{turn}")
        turn += 1
        slots = dice.sample(list(ROWS), dice.choice((2, 2, 2, 3, 3, 4)))
        plan: Plan = {}
        for slot in ROWS:
            if slot in slots:
                rows = [row for row in ROWS[slot][1:] if row.valid or not valid]
                plan[slot] = dice.choice(rows)
        kind = dice.choice(("zip", "binary", "text") if valid else tuple(PAYLOADS))
        try:
            built = build(plan, kind, f"{seed}:{turn}")
        except Unfit:
            continue
        yield built
        number += 1


# Every way to send a file, for payloads that are given.
WAYS: tuple[tuple[str, str], ...] = (
    ("transfer", "base64"),
    ("transfer", "quoted-printable"),
    ("transfer", "quoted-printable, all escaped"),
    ("transfer", "7bit"),
    ("transfer", "8bit"),
    ("transfer", "binary"),
    ("transfer", "uuencode"),
    ("transfer", "uuencode as x-uuencode without begin"),
    ("transfer", "yEnc as x-yencode"),
    ("transfer", "BinHex as mac-binhex40"),
    ("content", "uuencode in text"),
    ("content", "yEnc in text"),
    ("content", "BinHex in text"),
    ("content", "winmail"),
    ("content", "winmail by another name"),
    ("content", "winmail of properties"),
    ("container", "message"),
    ("container", "message/rfc822 in base64"),
    ("container", "digest"),
    ("placement", "alone"),
    ("placement", "forwarded"),
)


def sent(payload: bytes) -> Iterator[Built]:
    """A file sent in all of WAYS that are legal for it."""
    kind = "text" if is_text(payload) else "binary"
    for slot, name in WAYS:
        (row,) = [row for row in ROWS[slot] if row.name == name]
        try:
            yield build({slot: row}, kind, "0", payload)
        except Unfit:
            continue


def is_text(payload: bytes) -> bool:
    """Short lines, each ended by LF, nothing else below 32 but tabs."""
    controls = bytes(code for code in range(32) if code not in (9, 10)) + b"\x7f"
    lines = payload.split(b"\n")
    return (
        not payload.translate(None, bytes(set(range(256)) - set(controls)))
        and not lines[-1]
        and max(map(len, lines)) < 998
    )


# What became of it.

FOUND, INSIDE, REFUSED, MISSED, UNNAMED = (
    "found",
    "inside",
    "refused",
    "missed",
    "unnamed",
)
GOOD = (FOUND, REFUSED)


def lines_alike(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def judge(built: Built, found: Unpacked) -> str:
    """found: an item is the payload, to the byte; inside: it stands whole in an item;
    refused: the message would not be delivered; unnamed: found, but not by the name
    that a client shows; missed."""
    wanted = built.payload
    contents = list(found.contents.values())
    if built.textual:
        wanted = lines_alike(wanted)
        contents = [lines_alike(one) for one in contents]
        wanted, contents = wanted.rstrip(b"\n"), [one.rstrip(b"\n") for one in contents]
    refused = found.report.action not in decide.DELIVERING
    # Where no delimiter follows, the line end at the end of the message is there too.
    if any(one == wanted or is_with_line_end(one, wanted) for one in contents):
        if built.suffix and not refused and not is_named(built.suffix, found):
            return UNNAMED
        return FOUND
    if refused:
        return REFUSED
    return INSIDE if any(wanted in one for one in contents) else MISSED


def is_with_line_end(content: bytes, payload: bytes) -> bool:
    """True when nothing but line ends follows the payload."""
    return content.startswith(payload) and not content[len(payload) :].strip(b"\r\n")


def is_named(suffix: str, found: Unpacked) -> bool:
    """Whether a rule on this end of a name would see it."""
    names = [name for item in found.items for name in item.names]
    try:
        from qscan.names import forms
    except ImportError:
        shown = names
    else:
        shown = [form for name in names for form in forms(name)]
    return any(name.lower().endswith(suffix) for name in shown)
