# SPDX-License-Identifier: MIT
"""Taking mail apart: specimens with what must come out, cuts anywhere, small windows.

A specimen is ``specimens/NAME.eml`` (bare LF) and ``NAME.expected.json``: what it is
about, the verdict without clamd, the defects and every item by path with its content
(one character a byte). Each is read as it is and with CRLF.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from unpacking import SPECIMENS, Unpacked, crlf, lf, unpack

from qscan import mime, model, pipeline, schema, settings, spool, store
from qscan import unpack as unpacking

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = sorted(path.stem for path in SPECIMENS.glob("*.eml"))
HEADER = b"From: a@example.org\nMIME-Version: 1.0\n"
# Encodings that do not care for the line ends of the message around them.
ENCODED = ("base64", "x-uuencode", "uuencode", "x-uue")


def specimen(name: str) -> bytes:
    return (SPECIMENS / f"{name}.eml").read_bytes()


def expected(name: str) -> dict[str, Any]:
    text = (SPECIMENS / f"{name}.expected.json").read_text("ascii")
    found: dict[str, Any] = json.loads(text)
    return found


#: Codes of facts about content; the specimens are about form.
CONTENT = ("archive-", "document-", "name-", "pdf-", "type-")


def described(found: Unpacked) -> dict[str, dict[str, object]]:
    return {
        item.path: {
            "origin": item.origin,
            "names": item.names,
            "declared_type": item.declared_type,
            "detected_type": item.detected_type,
            "encoding": item.encoding,
        }
        for item in found.stated
    }


def test_the_specimens_are_there() -> None:
    assert len(NAMES) > 100
    pairs = {path.name.removesuffix(".expected.json") for path in SPECIMENS.iterdir()}
    assert {name.removesuffix(".eml") for name in pairs} == set(NAMES)
    assert all((SPECIMENS / f"{name}.expected.json").exists() for name in NAMES)


@pytest.mark.parametrize("newline", ["LF", "CRLF"])
@pytest.mark.parametrize("name", NAMES)
def test_a_specimen_gives_what_is_expected(
    name: str, newline: str, tmp_path: Path
) -> None:
    want = expected(name)
    message = specimen(name)
    if newline == "CRLF":
        message = crlf(message)
    # Their archives are none: what a broken one means is not the matter here.
    found = unpack(message, tmp_path, archive__open=False)
    items = want["items"]
    assert described(found) == {
        path: {key: value for key, value in item.items() if key != "content"}
        for path, item in items.items()
    }
    for path, item in items.items():
        content = item["content"].encode("latin-1")
        got = found.contents[path]
        assert found.item(path).size == len(got), path
        if newline == "LF" or item["encoding"] in ENCODED:
            assert got == content, path
        else:
            assert got in (content, crlf(content)), path
    form = [one for one in found.defects if not one.startswith(CONTENT)]
    assert form == want["defects"]
    assert found.report.verdict == want["verdict"]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", NAMES)
def test_no_name_from_the_mail_becomes_a_path(name: str, tmp_path: Path) -> None:
    for item in unpack(specimen(name), tmp_path).items:
        if item.file is not None:
            assert re.fullmatch(
                re.escape(str(tmp_path)) + r"/[0-9a-f]+\.\d+\.[0-9a-f]+/i\d+(\.\d+)?",
                item.file,
            )


# The walker alone, in memory.


def limits(**changed: int) -> model.Limits:
    known = {"depth": 20, "parts": 2000, "header_bytes": 262144, **changed}
    return model.Limits(
        known["depth"],
        known["parts"],
        known["header_bytes"],
        1_000_000_000,
        60,
        (2, 200_000_000, 10),
    )


def walk(
    message: bytes, reading: mime.Reading = mime.NORMAL, **changed: int
) -> tuple[list[tuple[str, str, int, int, bytes, bytes]], list[str]]:
    """(path, kind, start, end, media, encoding) of each region, and the defects."""

    def read(position: int, length: int) -> bytes:
        assert position >= 0
        assert length > 0
        return message[position : position + length]

    defects: list[model.Defect] = []
    walker = mime.Walker(
        read, len(message), limits(**changed), defects, reading=reading
    )
    regions = [
        (r.path, r.kind, r.start, r.end, r.media, r.encoding)
        for r in walker.walk(0, "1")
    ]
    return regions, [f"{one.code}@{one.where}" for one in defects]


READINGS = (
    mime.NORMAL,
    *dict.fromkeys(one for row in mime.FURTHER.values() for one in row),
)


def messages() -> Iterator[tuple[str, bytes]]:
    for name in NAMES:
        yield name, specimen(name)
        yield name + " with CRLF", crlf(specimen(name))


@pytest.mark.parametrize("reading", READINGS, ids=lambda one: one.name or "normal")
def test_a_message_that_is_cut_anywhere_raises_nothing(reading: mime.Reading) -> None:
    for name in NAMES:
        message = specimen(name)
        for cut in range(len(message)):
            regions, _ = walk(message[:cut], reading)
            for path, kind, start, end, _, _ in regions:
                assert 0 <= start <= end <= cut, (name, cut, path, kind)


#: What may stand outside of every region: fields, their continuations, delimiters.
NO_CONTENT = re.compile(rb"--.*|[ \t].*|>?From .*|[^\n]*:.*|", re.DOTALL)


def test_no_line_of_a_message_is_lost() -> None:
    """It is a header line, a delimiter, or in a region."""
    for name, message in messages():
        if name.startswith("header-"):
            continue
        regions, _ = walk(message)
        covered = bytearray(len(message))
        for _, _, start, end, _, _ in regions:
            covered[start:end] = b"x" * (end - start)
        position = 0
        for line in message.split(b"\n"):
            if not any(covered[position : position + len(line)]):
                assert NO_CONTENT.fullmatch(line.rstrip(b"\r")), (name, line)
            position += len(line) + 1


@pytest.mark.parametrize("reading", READINGS, ids=lambda one: one.name or "normal")
def test_leaves_of_one_reading_do_not_overlap(reading: mime.Reading) -> None:
    for name, message in messages():
        regions, _ = walk(message, reading)
        position = 0
        for path, kind, start, end, _, encoding in sorted(
            regions, key=lambda region: region[2:4]
        ):
            # An embedded message contains its parts, an encoded multipart its lines.
            if kind == "embedded" or (kind == "message" and encoding):
                continue
            assert start >= position, (name, path)
            position = end


def all_in_one(newline: str) -> bytes:
    """Every specimen as a forwarded message of one large message.

    A small message is read at once, whatever the window.
    """
    parts = [
        b"--=_specimens\nContent-Type: message/rfc822\n\n" + specimen(name) + b"\n"
        for name in NAMES
    ]
    message = (
        HEADER
        + b'Content-Type: multipart/mixed; boundary="=_specimens"\n\n'
        + b"".join(parts)
        + b"--=_specimens--\n"
    )
    return crlf(message) if newline == "CRLF" else message


@pytest.mark.parametrize("newline", ["LF", "CRLF"])
@pytest.mark.parametrize("window", [1, 3, 16, 64, 1000])
def test_small_windows_find_the_same_regions(
    window: int, newline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = all_in_one(newline)
    want = {reading.name: walk(message, reading) for reading in READINGS}
    assert len(want[""][0]) > 2 * len(NAMES)
    monkeypatch.setattr(mime, "WINDOW", window)
    for reading in READINGS:
        assert walk(message, reading) == want[reading.name], reading.name


@pytest.mark.parametrize("window", [1, 7, 64])
def test_small_windows_decode_the_same_contents(
    window: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = [unpack(specimen(name), tmp_path) for name in NAMES]
    for module in (mime, store, unpacking):
        monkeypatch.setattr(module, "WINDOW", window)
    for name, want in zip(NAMES, whole, strict=True):
        got = unpack(specimen(name), tmp_path)
        assert got.contents == want.contents, name
        assert described(got) == described(want), name
        assert got.defects == want.defects, name


CUT_WHOLE = (
    "structure-forward",
    "structure-forward-twice-base64",
    "boundary-encoded-multipart",
    "uu-in-text",
    "name-rfc2231-mixed",
    "encoding-unknown",
)


@pytest.mark.parametrize("name", CUT_WHOLE)
def test_the_pipeline_takes_a_message_that_is_cut_anywhere(
    name: str, tmp_path: Path
) -> None:
    message = specimen(name)
    for cut in range(len(message)):
        assert unpack(message[:cut], tmp_path).items, cut
    assert os.listdir(tmp_path) == []


# Limits: a finding each, and what was not taken apart is still shown to the scanner.


def nested(levels: int) -> bytes:
    """Multiparts in each other, and a text."""
    return (
        HEADER
        + b"".join(
            b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (level, level)
            for level in range(levels)
        )
        + b"\nthe innermost text\n"
    )


def forwarded(levels: int) -> bytes:
    """Messages in each other, and a text."""
    return HEADER + b"Content-Type: message/rfc822\n\n" * levels + b"\nthe innermost\n"


@pytest.mark.parametrize("make", [nested, forwarded])
@pytest.mark.parametrize("levels", [4, 5, 1000, 5000])
def test_depth_is_limited_and_what_is_deeper_is_shown_whole(
    make: Any, levels: int, tmp_path: Path
) -> None:
    found = unpack(make(levels), tmp_path, limit__depth=4)
    if levels == 4:
        assert "limit-depth" not in found.codes
    else:
        assert found.report.verdict == "refused"
        assert [f.rule for f in found.report.findings] == ["limit-depth"]
        assert found.report.findings[0].cls == "limits"
    assert any(b"the innermost" in content for content in found.contents.values())


def test_depth_counts_through_encoded_messages(tmp_path: Path) -> None:
    message = HEADER + b"\nthe innermost\n"
    for _ in range(6):
        message = (
            HEADER + b"Content-Type: message/rfc822\n"
            b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(message)
        )
    assert "limit-depth" not in unpack(message, tmp_path, limit__depth=7).codes
    found = unpack(message, tmp_path, limit__depth=4)
    assert found.report.verdict == "refused"
    assert "limit-depth" in found.codes


def many_parts(count: int) -> bytes:
    body = b"".join(b"--x\n\npart %d\n" % number for number in range(count))
    return HEADER + b"Content-Type: multipart/mixed; boundary=x\n\n" + body + b"--x--\n"


def test_parts_are_limited_and_the_rest_is_shown_whole(tmp_path: Path) -> None:
    assert unpack(many_parts(9), tmp_path, limit__parts=10).report.verdict == "clean"
    found = unpack(many_parts(50), tmp_path, limit__parts=10)
    assert [f.rule for f in found.report.findings] == ["limit-parts"]
    assert len(found.items) == 10
    assert b"part 49\n" in found.contents["1.10"]


def test_every_reading_may_have_as_many_parts_as_the_message(tmp_path: Path) -> None:
    """Careless software is not refused because its mail is read twice."""
    two = b"boundary=y; boundary=x"
    message = many_parts(9).replace(b"boundary=x", two)
    assert "limit-parts" not in unpack(message, tmp_path, limit__parts=10).codes
    message = many_parts(11).replace(b"boundary=x", two)
    assert "limit-parts" in unpack(message, tmp_path, limit__parts=10).codes


def test_uuencoded_blocks_are_limited(tmp_path: Path) -> None:
    message = b"\n" + b"begin 644 a\n#86)C\n \nend\n" * 30
    assert unpack(message, tmp_path).report.verdict == "clean"
    found = unpack(message, tmp_path, limit__parts=10)
    assert [f.rule for f in found.report.findings] == ["limit-parts"]


def test_a_header_block_is_limited(tmp_path: Path) -> None:
    block = b"X-Filler: " + b"a" * 990 + b"\n"
    message = HEADER + block * 20 + b"Content-Type: text/html\n\n<html>\n"
    assert unpack(message, tmp_path).report.verdict == "clean"
    found = unpack(message, tmp_path, limit__header_bytes=4096)
    assert [f.rule for f in found.report.findings] == ["limit-header-bytes"]
    assert any(b"<html>" in content for content in found.contents.values())


def test_parameters_are_limited(tmp_path: Path) -> None:
    message = HEADER + b"Content-Type: text/plain" + b"; a=b" * 2000 + b"\n\nbody\n"
    found = unpack(message, tmp_path)
    assert [f.rule for f in found.report.findings] == ["limit-parameters"]
    assert b"body\n" in found.contents.values()


def test_expanded_bytes_are_limited_over_all_parts(tmp_path: Path) -> None:
    message = many_parts(1000)
    assert "limit-expanded-bytes" not in unpack(message, tmp_path).codes
    found = unpack(message, tmp_path, limit__expanded_bytes=2000)
    assert [f.rule for f in found.report.findings] == ["limit-expanded-bytes"]
    written = sum(len(found.contents[i.path]) for i in found.items if i.file)
    assert written <= 2000


def test_seconds_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr(store.time, "monotonic", lambda: float(next(clock)))
    found = unpack(many_parts(1000), tmp_path, limit__unpack_seconds=20)
    assert [f.rule for f in found.report.findings] == ["limit-unpack-seconds"]
    assert len(found.items) < 100


def test_a_part_without_an_empty_line_ends_at_its_delimiter(tmp_path: Path) -> None:
    """However much follows that has no empty line either."""
    message = (
        HEADER + b"Content-Type: multipart/mixed; boundary=x\n\n--x\nX-A: 1\n--x--\n"
    ) + b"an epilogue without empty lines\n" * 20000
    found = unpack(message, tmp_path)
    assert found.report.verdict == "clean", found.report.reason
    assert found.contents["1.1"] == b""


def test_a_boundary_longer_than_the_window_is_found(tmp_path: Path) -> None:
    boundary = b"q" * (mime.WINDOW + 1000)
    message = HEADER + b"Content-Type: multipart/mixed; boundary=" + boundary
    message += b"\n\n" + b"preamble\n" * 40000 + b"--" + boundary + b"\n\nfirst part\n"
    message += b"--" + boundary + b"--\n" + b"epilogue\n" * 40000
    found = unpack(message, tmp_path, limit__header_bytes=1_000_000)
    assert found.contents["1.1"] == b"first part"


# What the pipeline says about items.


def test_paths_are_unique_and_every_file_is_offered_once(tmp_path: Path) -> None:
    offered: list[str] = []
    for name, message in messages():
        offered.clear()
        box = store.Store(
            str(tmp_path), limits(), lambda item: offered.append(item.path)
        )
        source = tmp_path / "message"
        source.write_bytes(message)
        fd = os.open(source, os.O_RDONLY)
        try:
            unpacking.Unpacker(box).run(fd, 0, len(message), True)
        finally:
            os.close(fd)
        paths = [item.path for item in box.items]
        assert len(set(paths)) == len(paths), name
        with_files = [item.path for item in box.items if item.file and not item.scan]
        assert offered == with_files, name
        for path in tmp_path.iterdir():
            path.unlink()


def test_without_the_raw_message_every_text_is_a_file_of_its_own(
    tmp_path: Path,
) -> None:
    """``cover_plain`` is only right where the raw message is scanned."""
    for cover in (True, False):
        box = store.Store(str(tmp_path), limits(), lambda item: None)
        source = tmp_path / "message"
        source.write_bytes(HEADER + b"\nbody\n")
        fd = os.open(source, os.O_RDONLY)
        try:
            unpacking.Unpacker(box).run(fd, 0, source.stat().st_size, cover)
        finally:
            os.close(fd)
        (item,) = box.items
        assert (item.file is None) is cover
        assert (item.scan == "covered") is cover


def test_digests_are_those_of_the_contents(tmp_path: Path) -> None:
    conf = settings.Settings(schema.defaults(), b"", "")
    for name in NAMES:
        message = specimen(name)
        want = unpack(message, tmp_path).contents
        source = SPECIMENS / f"{name}.eml"
        fd = os.open(source, os.O_RDONLY)
        try:
            report = pipeline.examine_file(
                fd, conf, str(tmp_path), clamd=False, digests=True
            )
        finally:
            os.close(fd)
        assert report.items[0].path == pipeline.RAW
        assert report.items[0].sha256 == hashlib.sha256(message).hexdigest()
        assert {item.path: item.sha256 for item in report.items[1:]} == {
            path: hashlib.sha256(content).hexdigest() for path, content in want.items()
        }
    assert os.listdir(tmp_path) == []


def test_the_room_for_header_lines_is_never_content(tmp_path: Path) -> None:
    for name in NAMES:
        for content in unpack(specimen(name), tmp_path).contents.values():
            assert spool.ROOM[:40] not in content


def test_lf_and_crlf_are_inverse() -> None:
    for name in NAMES:
        assert lf(crlf(specimen(name))) == specimen(name)


def test_further_readings_are_called_for_by_defects_that_exist() -> None:
    from qscan import defects

    assert set(mime.FURTHER) <= set(defects.DEFECTS)
    assert len({reading.name for reading in READINGS}) == len(READINGS)
