# SPDX-License-Identifier: MIT
"""Our own generator of constructs: everything is found or refused.

``QSCAN_CONSTRUCTS`` sets how many products (default short), ``QSCAN_CONSTRUCTS_SEED``
which. The constructs are the table in ``constructs.py``.
"""

from __future__ import annotations

import binascii
import os
import quopri
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from email.message import EmailMessage
from pathlib import Path

import constructs
import mailcodes
import pytest
from constructs import FOUND, GOOD, INSIDE, MISSED, REFUSED, UNNAMED, Built, Row
from unpacking import crlf, unpack

COUNT = int(os.environ.get("QSCAN_CONSTRUCTS", "1600"))
SEED = os.environ.get("QSCAN_CONSTRUCTS_SEED", "qscan")
SHARES = 8  # the products are tested in so many tests


def wrong(messages: Iterable[Built], directory: Path, kept: Path) -> list[str]:
    """What was neither found nor refused; the messages are kept."""
    out = []
    for built in messages:
        try:
            status = constructs.judge(built, unpack(built.message, directory))
        except Exception as error:
            status = f"raised {error!r}"
        if status not in GOOD:
            path = kept / f"{len(out)}.eml"
            path.write_bytes(built.message)
            out.append(f"{status}: {built.label} ({built.readings}) {path}")
    return out


@pytest.fixture
def work(tmp_path: Path) -> Path:
    place = tmp_path / "work"
    place.mkdir()
    return place


def single(slot: str, row: Row, ends: str) -> Built:
    """The message of one row alone, with these line ends."""
    plan = {slot: row}
    if ends == "CRLF" and slot != "ends":
        plan["ends"] = constructs.ROWS["ends"][1]
    return constructs.fitting(plan)


def alone(slot: str, ends: str) -> Iterator[tuple[Row, Built]]:
    """Every row of a slot, where it fits: some fit one of two fields only."""
    for row in constructs.ROWS[slot]:
        try:
            yield row, single(slot, row, ends)
        except constructs.Unfit:
            continue


# The table.


def test_the_table_is_well_formed() -> None:
    names = Counter((row.dimension, row.name) for row in constructs.TABLE)
    assert not [key for key, count in names.items() if count > 1]
    assert {row.dimension for row in constructs.TABLE} == set(constructs.SLOTS.values())
    for slot, rows in constructs.ROWS.items():
        assert len(rows) >= 10, slot
        # The simplest row comes first.
        assert rows[0].valid, slot


def test_every_row_makes_a_message_of_its_own() -> None:
    made = set()
    for slot in constructs.SLOTS:
        seen: dict[bytes, str] = {}
        for row, built in alone(slot, "LF"):
            assert built.message not in seen, (slot, row.name, seen[built.message])
            seen[built.message] = row.name
            made.add((row.dimension, row.name))
    assert made == {(row.dimension, row.name) for row in constructs.TABLE}


def test_the_same_seed_makes_the_same_messages() -> None:
    one = [built.message for built in constructs.products("a", 20)]
    assert one == [built.message for built in constructs.products("a", 20)]
    other = [built.message for built in constructs.products("b", 20)]
    assert not set(one) & set(other)


def test_products_mix_every_slot_and_payload() -> None:
    slots: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for built in constructs.products(SEED, 600):
        assert 2 <= len(built.plan) <= 4
        slots.update(list(built.plan))
        kinds[built.kind] += 1
    assert set(slots) == set(constructs.SLOTS)
    assert min(slots.values()) > 30
    assert set(kinds) == set(constructs.PAYLOADS)
    assert min(kinds.values()) > 50


def test_no_file_of_ours_holds_the_test_virus() -> None:
    here = Path(__file__).parent
    assert constructs.EICAR not in (here / "constructs.py").read_bytes()
    assert len(constructs.EICAR) == 68


# The judge.


def test_the_judge_sees_a_miss(work: Path) -> None:
    built = single("transfer", constructs.ROWS["transfer"][0], "LF")
    found = unpack(built.message, work)
    assert constructs.judge(built, found) == FOUND
    for path, content in found.contents.items():
        found.contents[path] = content[:-1]
    assert constructs.judge(built, found) == MISSED
    found.contents["1.1"] += b"x" + built.payload + b"x"
    assert constructs.judge(built, found) == INSIDE
    found.report.action = "reject"
    assert constructs.judge(built, found) == REFUSED
    for action in ("deliver", "tag"):
        found.report.action = action
        assert constructs.judge(built, found) == INSIDE


def test_the_judge_sees_a_hidden_name(work: Path) -> None:
    (row,) = [row for row in constructs.ROWS["name"] if row.name == "in both"]
    built = single("name", row, "LF")
    found = unpack(built.message, work)
    assert constructs.judge(built, found) == FOUND
    for item in found.items:
        item.names = ["good.txt"]
    assert constructs.judge(built, found) == UNNAMED


# What comes of them.


@pytest.mark.parametrize("ends", ["LF", "CRLF"])
@pytest.mark.parametrize("slot", constructs.SLOTS)
def test_a_construct_alone_is_found_or_refused(
    slot: str, ends: str, work: Path, tmp_path: Path
) -> None:
    messages = [built for _, built in alone(slot, ends)]
    bad = wrong(messages, work, tmp_path)
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize("share", range(SHARES))
def test_products_of_constructs_are_found_or_refused(
    share: int, work: Path, tmp_path: Path
) -> None:
    messages = constructs.products(f"{SEED}:{share}", COUNT // SHARES)
    bad = wrong(messages, work, tmp_path)
    assert not bad, f"seed {SEED}:{share}\n" + "\n".join(bad)


# Mail of careful senders.


@pytest.mark.parametrize("slot", constructs.SLOTS)
def test_a_valid_construct_is_accepted_and_exact(slot: str, work: Path) -> None:
    for ends in ("LF", "CRLF"):
        for row, built in alone(slot, ends):
            if not row.valid:
                continue
            found = unpack(built.message, work)
            assert found.report.action == "deliver", (row.name, found.report.reason)
            assert constructs.judge(built, found) == FOUND, row.name


def test_products_of_valid_constructs_are_accepted_and_exact(work: Path) -> None:
    for built in constructs.products(SEED, COUNT // 10, valid=True):
        found = unpack(built.message, work)
        assert found.report.action == "deliver", (built.label, found.report.reason)
        assert constructs.judge(built, found) == FOUND, built.label


def wellformed() -> dict[str, EmailMessage]:
    """Messages as the standard library writes them."""
    dice = random.Random("wellformed")

    def message() -> EmailMessage:
        out = EmailMessage()
        out["From"] = "Jürgen <sender@example.org>"
        out["To"] = "rcpt@example.net"
        out["Subject"] = "Grüße, and a rather long subject " * 4
        out.set_content("Hello,\n\nGrüße und 日本語.\n" * 5)
        return out

    made = {"text": message()}
    made["alternative"] = message()
    made["alternative"].add_alternative("<html><b>Grüße</b></html>", subtype="html")
    made["related"] = message()
    made["related"].add_alternative("<img src='cid:a@b'>", subtype="html")
    part = made["related"].get_payload()[1]
    assert isinstance(part, EmailMessage)
    part.add_related(dice.randbytes(500), "image", "png", cid="<a@b>")
    made["attachments"] = message()
    for name in ("data.bin", "Grüße an alle, und ein sehr langer Name " * 3 + ".pdf"):
        made["attachments"].add_attachment(
            dice.randbytes(3000),
            maintype="application",
            subtype="octet-stream",
            filename=name,
        )
    made["quoted"] = message()
    made["quoted"].add_attachment("a=b\n" * 50 + "x" * 200, cte="quoted-printable")
    made["forwarded"] = message()
    made["forwarded"].add_attachment(made["attachments"])
    made["nested"] = message()
    made["nested"].add_attachment(made["forwarded"], filename="mail.eml")
    return made


@pytest.mark.parametrize("ends", ["LF", "CRLF"])
@pytest.mark.parametrize("name", wellformed())
def test_well_formed_mail_has_no_defects(name: str, ends: str, work: Path) -> None:
    message = bytes(wellformed()[name])
    found = unpack(crlf(message) if ends == "CRLF" else message, work)
    assert found.defects == []
    assert found.report.action == "deliver"
    assert not any("~" in item.path for item in found.items)


# The encoders.


@pytest.mark.parametrize("size", [0, 1, 2, 3, 45, 46, 200, 1000])
def test_the_encoders_say_what_the_library_reads(size: int) -> None:
    data = random.Random(size).randbytes(size)
    assert binascii.a2b_base64(mailcodes.b64(data, 7)) == data
    for every in (False, True):
        assert quopri.decodestring(mailcodes.qp(data, every=every)) == data
    lines = mailcodes.uu(data).split(b"\n")
    assert lines[0] == b"begin 644 data.bin"
    assert lines[-3:] == [b"`", b"end", b""]
    assert b"".join(binascii.a2b_uu(line) for line in lines[1:-2]) == data


def test_yenc_is_what_its_draft_says() -> None:
    data = bytes(range(256))
    lines = mailcodes.yenc(data).split(b"\n")
    assert lines[0] == b"=ybegin line=128 size=256 name=data.bin"
    assert lines[-2] == b"=yend size=256 crc32=%08x" % binascii.crc32(data)
    out = bytearray()
    escaped = False
    for byte in b"".join(lines[1:-2]):
        if not escaped and byte == 61:
            escaped = True
            continue
        out.append((byte - (106 if escaped else 42)) & 255)
        escaped = False
    assert bytes(out) == data


def test_binhex_is_what_rfc_1741_says() -> None:
    # Three characters a byte of header, by hand: name length 1 and "a".
    text = mailcodes.binhex(b"", b"a", sign=False).replace(b"\n", b"")
    assert text.startswith(b":")
    assert text.endswith(b":")
    digits = [mailcodes.HQX.index(byte) for byte in text[1:-1]]
    bits = "".join(f"{digit:06b}" for digit in digits)
    raw = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) // 8 * 8, 8))
    # Runs of more than three are a byte, 0x90 and how many.
    assert raw.startswith(b"\1a\0BINA")
    head = b"\1a\0BINATEST" + bytes(10)
    assert binascii.crc_hqx(head, 0).to_bytes(2, "big") in raw
