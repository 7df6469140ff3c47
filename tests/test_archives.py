# SPDX-License-Identifier: MIT
"""Archives: what is in them is found however they are built, or they are refused."""

from __future__ import annotations

import base64
import io
import os
import posix
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import archivebuild as build
import harness
import pytest
import unpacking
from archivebuild import Member

from qscan import defects, schema
from qscan.archives import child, formats, passwords, unpack, zipindex
from qscan.model import Item

if TYPE_CHECKING:
    from types import FrameType

    from unpacking import Unpacked

    from qscan.model import Defect

EVIL = b"MZ\x90\0 the payload that must be found " * 20
CLAMAV = Path("/usr/share/clamav-testfiles")
ROUNDS = int(os.environ.get("QSCAN_FUZZ_ROUNDS", "3000")) // 20


class Opened:
    """What the child made of one file."""

    def __init__(self, members: list[Item], found: list[Defect]) -> None:
        self.members = members
        self.defects = found
        self.codes = {one.code for one in found}
        self.names = {name for one in members for name in one.names}
        self.contents = {
            one.path: Path(one.file).read_bytes() for one in members if one.file
        }

    def has(self, content: bytes) -> bool:
        """True when a scanner is shown this, by itself or in an ordinary zip."""
        return content in self.contents.values() or any(
            one.scan == "covered"
            and one.size == len(content)
            and one.head == content[:1024]
            for one in self.members
        )

    @property
    def refused(self) -> set[str]:
        """The codes that refuse a message by default."""
        return {code for code in self.codes if defects.DEFECTS[code][0]}


Open = Callable[..., Opened]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Opens bytes in the child; afterwards only what was reported is there."""
    numbers = iter(range(10_000))

    def run(
        data: bytes,
        names: tuple[str, ...] = ("x.bin",),
        *,
        depth: int = 16,
        members: int = 10_000,
        size: int = 100_000_000,
        ratio: int = 500,
        costs: tuple[int, int, float] = (20, 512_000_000, 40.0),
        words: tuple[str, ...] = (),
    ) -> Opened:
        place = tmp_path / f"work{next(numbers)}"
        place.mkdir()
        path = tmp_path / "data"
        path.write_bytes(data)
        item = Item("1.2", "mime", list(names))
        item.size = len(data)
        before = sorted(os.listdir("/proc/self/fd"))
        fd = os.open(path, os.O_RDONLY)
        try:
            found, noted = unpack.unpack(
                fd,
                item,
                str(place),
                "i1",
                (depth, members, size, ratio),
                costs,
                [*words],
            )
        finally:
            os.close(fd)
        assert sorted(os.listdir("/proc/self/fd")) == before
        result = Opened(found, noted)
        files = [one for one in found if one.file is not None]
        assert sorted(os.listdir(place)) == sorted(
            Path(str(one.file)).name for one in files
        )
        for one in found:
            assert one.path.startswith("1.2/")
            assert one.origin == "archive"
            # None is passed unscanned in silence.
            assert bool(one.file) != bool(one.scan)
            if one.scan in ("encrypted", "unread"):
                assert result.codes - {"archive-junk"}, one.path
            if one.file:
                content = result.contents[one.path]
                assert len(content) == one.size
                assert content[:1024] == one.head
        assert result.codes <= set(defects.DEFECTS)
        assert len({one.path for one in found}) == len(found)
        shutil.rmtree(place)
        return result

    return run


# Every format, without any tool.

FORMATS: dict[str, bytes] = {
    "zip": build.plain(b"evil.exe", EVIL),
    "zip of stored": build.zipped(Member(b"evil.exe", EVIL, build.STORED)),
    "zip with descriptors": build.zipped(Member(b"evil.exe", EVIL, described=True)),
    "rar": build.rar3(b"evil.exe", EVIL),
    "rar 5": build.rar5(b"evil.exe", EVIL),
    "cab": build.cab(b"evil.exe", EVIL),
    "lha": build.lha(b"evil.exe", EVIL),
    "cpio": build.newc(b"evil.exe", EVIL),
    "rpm": build.rpm(b"evil.exe", EVIL),
    "gzip": build.packed_gzip(EVIL, b"evil.exe"),
}


def _with_module(name: str) -> bytes:
    module: Any = __import__(name)
    packed: bytes = module.compress(EVIL)
    return packed


def _tar(form: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name in ("evil.exe", "long/" * 30 + "evil.exe"):
            info = tarfile.TarInfo(name)
            info.size = len(EVIL)
            tar.addfile(info, io.BytesIO(EVIL))
    return out.getvalue()


FORMATS["ustar"] = _tar(tarfile.USTAR_FORMAT)
FORMATS["gnu tar"] = _tar(tarfile.GNU_FORMAT)
FORMATS["pax"] = _tar(tarfile.PAX_FORMAT)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_opened_by_its_content(name: str, opened: Open) -> None:
    result = opened(FORMATS[name])
    assert result.has(EVIL)
    assert any(name.endswith("evil.exe") for name in result.names)
    assert not result.codes


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_opened_inside_another(name: str, opened: Open) -> None:
    for outer in (
        build.zipped(Member(b"inner", FORMATS[name])),
        build.packed_gzip(FORMATS[name]),
        build.newc(b"inner", FORMATS[name]),
    ):
        result = opened(outer)
        assert result.has(EVIL)
        assert FORMATS[name] in result.contents.values()  # offered by itself
        assert not result.codes


@pytest.mark.parametrize("module", ["bz2", "lzma"])
def test_compressed_files_are_opened(module: str, opened: Open) -> None:
    result = opened(_with_module(module), ("evil.exe.xz", "other.tgz"))
    assert result.has(EVIL)
    assert result.names == {"evil.exe", "other.tar"}
    result = opened(_with_module(module) + b"junk behind it")
    assert result.has(EVIL)
    assert result.codes == {"archive-junk"}


def test_several_gzip_members_are_one_content(opened: Open) -> None:
    half = len(EVIL) // 2
    data = build.packed_gzip(EVIL[:half], b"a.txt")
    data += build.packed_gzip(EVIL[half:], b"evil.exe")
    result = opened(data)
    assert result.has(EVIL)
    assert {"a.txt", "evil.exe"} <= result.names
    assert not result.codes


@pytest.mark.parametrize(
    "name", ["zip", "rar", "rar 5", "cab", "gzip", "pax", "cpio", "lha"]
)
def test_damage_is_a_fact_and_what_came_before_is_kept(name: str, opened: Open) -> None:
    data = FORMATS[name]
    cut = data.rindex(EVIL) + 100 if EVIL in data else len(data) * 2 // 3
    result = opened(data[:cut])
    assert result.codes & {"archive-broken", "archive-unsupported"}
    assert not result.refused
    assert data.count(EVIL) != 1 or EVIL not in result.contents.values()


# What programs and pictures have behind them.


@pytest.mark.parametrize("name", ["zip", "rar", "rar 5", "cab"])
@pytest.mark.parametrize(
    "before", [b"MZ\x90\0" + bytes(5000), b"\xff\xd8\xff\xe0" + bytes(range(256)) * 30]
)
def test_an_archive_behind_something_else_is_found(
    name: str, before: bytes, opened: Open
) -> None:
    result = opened(before + FORMATS[name])
    assert result.has(EVIL)
    assert not result.refused


def test_a_zip_is_found_in_a_text_and_with_a_comment(opened: Open) -> None:
    for data in (
        b"#!/bin/sh\nexec unzip $0\n" * 90 + FORMATS["zip"],
        b"a,b,c\n" * 500 + FORMATS["zip"],
        build.zipped(Member(b"evil.exe", EVIL), comment=b"x" * 65535),
        FORMATS["zip"] + b"\n" * 60_000,
        FORMATS["zip"] + random.Random(1).randbytes(200_000),
    ):
        result = opened(data)
        assert result.has(EVIL)
        assert not result.refused


def test_what_only_looks_like_an_archive_is_no_fact(opened: Open) -> None:
    noise = random.Random(2).randbytes(100_000)
    for data in (
        noise + b"PK\3\4" + noise,
        noise + b"PK\5\6" + noise,
        b"MZ" + noise + b"Rar!\x1a\7" + noise,
        b"\x7fELF" + noise + b"7z\xbc\xaf\x27\x1c" + noise,
        b"MZ" + noise + b"MSCF\0\0\0\0" + noise,
        b"a text with PK\5\6 in it\n" * 10,
    ):
        result = opened(data)
        assert not result.refused
        assert result.codes <= {"archive-junk"}
        assert not result.members


# Zips that say two things: the payload is found, and the message is refused.

SPLIT: dict[str, bytes] = {
    "names differ": build.zipped(Member(b"a.txt", EVIL, central={"name": b"evil.exe"})),
    "names differ the other way": build.zipped(
        Member(b"a.txt", EVIL, local={"name": b"evil.exe"})
    ),
    "NUL in a name": build.zipped(Member(b"evil.exe\0.txt", EVIL)),
    "stored by the directory": build.zipped(
        Member(b"evil.exe", EVIL, central={"method": 0})
    ),
    "stored by the header": build.zipped(
        Member(b"evil.exe", EVIL, local={"method": 0})
    ),
    "deflated by the header": build.zipped(
        Member(b"evil.exe", EVIL, build.STORED, local={"method": 8})
    ),
    "encrypted by the directory": build.zipped(
        Member(b"evil.exe", EVIL, central={"flags": 1})
    ),
    "encrypted by the header": build.zipped(
        Member(b"evil.exe", EVIL, local={"flags": 1})
    ),
    "shorter by the directory": build.zipped(
        Member(b"evil.exe", EVIL, build.STORED, central={"csize": 2, "usize": 2})
    ),
    "shorter by the header": build.zipped(
        Member(b"evil.exe", EVIL, build.STORED, local={"csize": 2, "usize": 2})
    ),
    "empty by both sizes": build.zipped(
        Member(b"evil.exe", EVIL, local={"usize": 0}, central={"usize": 0})
    ),
    "checksums differ": build.zipped(Member(b"evil.exe", EVIL, local={"crc": 1})),
    "in no directory": build.zipped(
        Member(b"a.txt", b"ok"), Member(b"evil.exe", EVIL, listed=False)
    ),
    "in no directory, first": build.zipped(
        Member(b"evil.exe", EVIL, listed=False), Member(b"a.txt", b"ok")
    ),
    "in no directory, with a descriptor": build.zipped(
        Member(b"a.txt", b"ok"),
        Member(b"evil.exe", EVIL, listed=False, described=True),
        Member(b"b.txt", b"ok"),
    ),
    "behind the data of another": build.zipped(
        Member(
            b"a.txt",
            b"ok",
            packed=build.deflated(b"ok") + build.local(Member(b"evil.exe", EVIL)),
        )
    ),
    "uncounted": build.zipped(
        Member(b"a.txt", b"ok"), Member(b"evil.exe", EVIL), count=1
    ),
    "two zips": build.plain(b"evil.exe", EVIL) + build.plain(b"a.txt", b"ok"),
    "two zips the other way": build.plain(b"a.txt", b"ok")
    + build.plain(b"evil.exe", EVIL),
    "a zip in the comment": build.zipped(
        Member(b"a.txt", b"ok"), comment=build.plain(b"evil.exe", EVIL)
    ),
    "a descriptor that differs": build.zipped(
        Member(b"evil.exe", EVIL, described=True)
    ).replace(b"PK\7\10", b"PK\7\10\1", 1),
}


@pytest.mark.parametrize("name", SPLIT)
def test_a_zip_that_says_two_things_is_refused_and_its_payload_found(
    name: str, opened: Open
) -> None:
    result = opened(SPLIT[name])
    assert "archive-inconsistent" in result.codes
    assert result.has(EVIL)
    assert any("evil.exe" in name for name in result.names)
    # Nobody relies on how the scanner reads such a zip.
    assert EVIL in result.contents.values()


def test_offsets_outside_the_file_are_no_trouble(opened: Open) -> None:
    whole = build.zipped(Member(b"a.txt", EVIL, build.STORED), Member(b"b", EVIL))
    for start in (10, 40, whole.index(b"PK\1\2"), whole.rindex(b"PK\1\2")):
        assert opened(whole[start:]).codes
    for offset in (1 << 31, 0xFFFFFFFE, len(whole) - 3):
        result = opened(build.zipped(Member(b"a", EVIL, central={"offset": offset})))
        assert result.codes & {"archive-inconsistent", "archive-overlap"}
        assert result.has(EVIL)


def test_a_member_without_a_local_header_is_refused(opened: Open) -> None:
    result = opened(
        build.zipped(Member(b"a", b"ok"), Member(b"b.exe", EVIL, bare=True))
    )
    assert "archive-inconsistent" in result.codes
    assert "b.exe" in result.names


def test_a_zip_without_a_directory_is_read_from_its_headers(opened: Open) -> None:
    data = build.local(Member(b"a.txt", b"ok")) + build.local(
        Member(b"evil.exe", EVIL, described=True)
    )
    result = opened(data)
    assert result.codes == {"archive-broken"}
    assert result.has(EVIL)
    assert {"a.txt", "evil.exe"} <= result.names


def test_every_name_of_a_member_is_a_candidate(opened: Open) -> None:
    raw = b"rechnung.txt"
    extra = b"\x01" + zlib.crc32(raw).to_bytes(4, "little") + "évil.exe".encode()
    extra = b"\x75\x70" + len(extra).to_bytes(2, "little") + extra
    result = opened(build.zipped(Member(raw, b"ok", central={"extra": extra})))
    assert result.names == {"rechnung.txt", "évil.exe"}
    result = opened(build.zipped(Member(b"\x81ber.exe", b"ok")))
    assert "über.exe" in result.names
    result = opened(build.zipped(Member("über.exe".encode(), b"ok")))
    assert "über.exe" in result.names


def test_two_members_of_one_name_are_both_found(opened: Open) -> None:
    result = opened(build.zipped(Member(b"a.txt", b"ok"), Member(b"A.TXT", EVIL)))
    assert result.codes == {"archive-duplicate-name"}
    assert result.has(b"ok")
    assert result.has(EVIL)


def test_overlapping_members_are_refused_in_bounded_work(opened: Open) -> None:
    result = opened(build.overlapping(9000, EVIL * 100), costs=(5, 256_000_000, 20.0))
    assert "archive-overlap" in result.codes
    assert result.codes & {"limit-archive-ratio", "limit-archive-bytes"}
    assert sum(one.size for one in result.members) <= 100_000_000


def test_wrong_checksums_are_damage(opened: Open) -> None:
    result = opened(
        build.zipped(Member(b"evil.exe", EVIL, local={"crc": 1}, central={"crc": 1}))
    )
    assert result.codes == {"archive-broken"}
    assert EVIL in result.contents.values()


@pytest.mark.parametrize(("method", "name"), [(97, "wavpack"), (200, "method 200")])
def test_an_unknown_compression_is_content_that_nobody_saw(
    method: int, name: str, opened: Open
) -> None:
    result = opened(build.zipped(Member(b"evil.exe", EVIL, method)))
    assert result.codes == {"archive-unsupported"}
    assert defects.CLASS_OF["archive-unsupported"] == "encrypted"
    [member] = result.members
    assert member.scan == "unread"
    assert member.names == ["evil.exe"]


def test_zip64_is_read(opened: Open) -> None:
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as large,
        large.open("evil.exe", "w", force_zip64=True) as member,
    ):
        member.write(EVIL)
    result = opened(out.getvalue())
    assert result.has(EVIL)
    assert not result.codes


# What gets a scan of its own.


def test_members_of_an_ordinary_zip_are_covered_by_its_own_scan(opened: Open) -> None:
    mail = b"From: a@example.org\nSubject: b\n\ntext\n"
    result = opened(
        build.zipped(
            Member(b"a.txt", b"text"),
            Member(b"evil.exe", EVIL),
            Member(b"inner.zip", FORMATS["zip"]),
            Member(b"message.eml", b"anything"),
            Member(b"other", mail),
            Member(b"winmail.dat", b"\x78\x9f\x3e\x22" + bytes(100)),
            Member(b"picture.jpg", b"\xff\xd8\xff" + bytes(2000) + FORMATS["zip"]),
            Member(b"empty", b""),
        )
    )
    scans = {one.names[0]: one.scan for one in result.members if "zip" in one.path}
    assert scans.pop("evil.exe") == "covered"
    assert scans == {
        "a.txt": "covered",
        "inner.zip": "",
        "message.eml": "",
        "other": "",
        "winmail.dat": "",
        "picture.jpg": "",
        "empty": "covered",
    }
    assert not result.refused


def test_members_of_anything_else_get_a_scan_of_their_own(opened: Open) -> None:
    for name, data in FORMATS.items():
        if not name.startswith("zip"):
            assert EVIL in opened(data).contents.values(), name
    result = opened(b"junk" + FORMATS["zip"])
    assert EVIL in result.contents.values()
    many = [Member(b"f%d" % n, b"content %d" % n) for n in range(5001)]
    assert len(opened(build.zipped(*many)).contents) == 5001


# Encryption.


def test_encrypted_members_are_named_and_a_fact(opened: Open) -> None:
    result = opened(build.rar3(b"evil.exe", EVIL, encrypted=True))
    assert result.codes == {"archive-encrypted"}
    assert result.names == {"evil.exe"}
    result = opened(
        build.zipped(
            Member(b"evil.exe", EVIL, local={"flags": 1}, central={"flags": 1})
        )
    )
    assert result.codes == {"archive-encrypted"}
    assert [one.scan for one in result.members] == ["encrypted"]


def test_candidates_for_passwords_come_in_a_sensible_order() -> None:
    text = (
        "Dear all, the file is encrypted.\nPasswort: Sommer2024!\n"
        'It may also be "top secret". Regards\n'
    )
    words = passwords.candidates([text])
    assert {"Sommer2024!", "top secret", "Regards", "encrypted"} <= set(words)
    assert words.index("top secret") < words.index("Regards")
    assert words.index("Sommer2024!") < words.index("Regards")
    many = passwords.candidates([" ".join(f"word{n}" for n in range(9999))])
    assert len(many) == passwords.CANDIDATES


# Limits.


def test_the_limits_are_facts_and_what_was_found_before_is_kept(opened: Open) -> None:
    nine = build.zipped(*[Member(b"f%d" % n, b"content %d" % n) for n in range(9)])
    result = opened(nine, members=4)
    assert result.codes == {"limit-archive-members"}
    assert len(result.members) == 4
    nested = build.plain(b"evil.exe", EVIL)
    for _ in range(9):
        nested = build.zipped(Member(b"inner.zip", nested))
    result = opened(nested, depth=5)
    assert result.codes == {"limit-archive-depth"}
    assert len(result.members) == 5
    assert opened(nested).has(EVIL)
    zeros = build.packed_gzip(bytes(40_000_000))
    result = opened(zeros)
    assert result.codes == {"limit-archive-ratio"}
    assert sum(one.size for one in result.members) < 30_000_000
    result = opened(zeros, ratio=100_000, size=20_000_000)
    assert result.codes == {"limit-archive-bytes"}
    assert sum(one.size for one in result.members) <= 20_000_000
    result = opened(b"\x5d" + (1 << 31).to_bytes(4, "little") + b"\xff" * 8 + bytes(99))
    assert result.codes == {"limit-archive-memory"}


def test_a_hundred_thousand_members_are_refused_quickly(opened: Open) -> None:
    data = build.zipped(*[Member(b"%d" % n, b"", 0) for n in range(100_000)])
    result = opened(data, costs=(5, 256_000_000, 20.0))
    assert result.codes == {"limit-archive-members"}
    assert len(result.members) == 10_000


def test_a_thousand_levels_are_refused(opened: Open) -> None:
    nested = FORMATS["zip"]
    for _ in range(1000):
        nested = build.zipped(Member(b"a", nested, build.STORED))
    result = opened(nested)
    assert result.codes == {"limit-archive-depth"}


def _hang(*_: Any) -> None:
    while True:
        pass


def _sleep(*_: Any) -> None:
    signal.pause()


def _crash(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _leave(*_: Any) -> None:
    posix._exit(9)


def _stumble(*_: Any) -> None:
    raise KeyError("a bug of ours")


@pytest.mark.parametrize(
    ("do", "code", "costs"),
    [
        (_hang, "limit-archive-cpu", (1, 512_000_000, 30.0)),
        (_sleep, "limit-archive-seconds", (20, 512_000_000, 1.0)),
        (_crash, "archive-child-died", (20, 512_000_000, 30.0)),
        (_leave, "archive-child-died", (20, 512_000_000, 30.0)),
        (_stumble, "archive-child-died", (20, 512_000_000, 30.0)),
    ],
)
def test_a_child_that_fails_is_never_clean(
    do: Callable[..., None],
    code: str,
    costs: tuple[int, int, float],
    opened: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(child, "libraries", do)
    data = build.zipped(Member(b"evil.exe", EVIL), Member(b"a", FORMATS["cpio"]))
    result = opened(data, costs=costs)
    assert result.codes == {code}
    assert result.refused == {code}
    assert result.has(EVIL)
    assert FORMATS["cpio"] in result.contents.values()


@pytest.mark.parametrize(
    "record",
    [
        ("member", "../../escape", 1, "1.2/zip/1", [], b"", "", False),
        ("member", "i1-a2", 1, "1.2/zip/1", [], b"", "", False),
        ("member", "i1-a1", 1, "1.3/zip/1", [], b"", "", False),
        ("member", "", 1, "1.2/zip/1", [], b"", "", False),
        ("member", "i1-a1", 1, "1.2/zip/1", [], b"", "covered", False),
        ("member", "", 1, "1.2/zip/1", [], b"", "clean", False),
        ("member", "", -1, "1.2/zip/1", [], b"", "covered", False),
    ],
)
def test_a_report_that_cannot_be_is_not_believed(
    record: tuple[Any, ...], opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tell(walk: Any, *_: Any) -> None:
        child.limited.send(walk.pipe, record)
        signal.pause()

    monkeypatch.setattr(child, "open_one", tell)
    result = opened(FORMATS["zip"])
    assert result.codes == {"archive-child-died"}
    assert not result.members


# Work grows with the file and not with its square.

HOSTILE: dict[str, Callable[[int], bytes]] = {
    "end records": lambda n: FORMATS["zip"] + build.end(1, 46, 0) * n,
    "end records that fit": lambda n: b"".join(
        build.zipped(Member(b"a", b"b")) for _ in range(n)
    ),
    "local headers": lambda n: build.local(Member(b"a", b"b")) * n,
    "local headers with descriptors": lambda n: (
        build.local(Member(b"a", b"b", described=True)) * n
    ),
    "local headers to the end": lambda n: (
        build.local(Member(b"a", b"b", local={"csize": 1 << 20})) * n
    ),
    "signatures": lambda n: FORMATS["zip"] + b"PK\3\4" * 8 * n,
    "signatures before": lambda n: b"PK" + b"PK\3\4" * 8 * n + FORMATS["zip"],
    "records": lambda n: build.overlapping(n, b"a"),
    "members": lambda n: build.zipped(*[Member(b"%d" % i, b"b") for i in range(n)]),
    "members with gaps": lambda n: build.zipped(
        *[Member(b"%d" % i, b"b", before=b"gap") for i in range(n)]
    ),
    "extra fields": lambda n: build.zipped(
        Member(b"a", b"b", local={"extra": b"\1\1\0\0" * (4 * n)})
    ),
}


class Meter:
    """Lines run, bytes read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.bytes = 0
        self.lines = 0

    def read(self, offset: int, length: int) -> bytes:
        assert offset >= 0
        assert length >= 0
        data = self.data[offset : offset + length]
        self.bytes += len(data)
        return data

    def trace(self, frame: FrameType, event: str, argument: object) -> object:
        self.lines += event == "line"
        return self.trace

    def run(self) -> tuple[int, int]:
        tracer = sys.gettrace()
        sys.settrace(self.trace)
        try:
            zipindex.Zip(self.read, len(self.data), 1_000_000).inspect()
        finally:
            sys.settrace(tracer)
        return self.lines, self.bytes


@pytest.mark.parametrize("name", HOSTILE)
def test_the_structure_is_read_in_linear_work(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipindex, "BLOCK", 512)
    first = Meter(HOSTILE[name](300)).run()
    second = Meter(HOSTILE[name](600)).run()
    for before, after in zip(first, second, strict=True):
        assert after <= 2.3 * before + 40_000, (first, second)


def test_any_change_to_a_zip_leaves_the_reader_standing() -> None:
    seeds = [*SPLIT.values(), FORMATS["zip"], build.overlapping(5, EVIL)]
    dice = random.Random(4)
    for _ in range(ROUNDS):
        data = bytearray(dice.choice(seeds))
        for _ in range(dice.randint(1, 6)):
            place = dice.randrange(len(data))
            data[place] = dice.choice((0, 1, 255, dice.randrange(256)))
        if dice.random() < 0.3:
            del data[dice.randrange(len(data)) :]
        one = zipindex.Zip(Meter(bytes(data)).read, len(data), 1000)
        one.inspect()
        for entry in one.entries:
            assert entry.ways
            assert list(zipindex.texts(entry.names)) or not entry.names[0][0]


def test_any_change_to_an_archive_leaves_the_child_standing(opened: Open) -> None:
    dice = random.Random(5)
    for name, seed in FORMATS.items():
        for _ in range(3):
            data = bytearray(seed)
            for _ in range(dice.randint(1, 6)):
                data[dice.randrange(len(data))] = dice.randrange(256)
            result = opened(bytes(data))
            assert "archive-child-died" not in result.codes, name


# Real tools.

TOOLS: dict[str, tuple[str, str]] = {
    "zip": ("zip", "zip -q -r {}.zip . && mv {}.zip {}"),
    "zip -0": ("zip", "zip -q -0 -r {}.zip . && mv {}.zip {}"),
    "zip to a pipe": ("zip", "zip -q -r - . >{}"),
    "7z": ("7zz", "7zz a -bd -y {}.7z . && mv {}.7z {}"),
    "7z -mx=9": ("7zz", "7zz a -bd -y -mx=9 {}.7z . && mv {}.7z {}"),
    "7z PPMd": ("7zz", "7zz a -bd -y -m0=PPMd {}.7z . && mv {}.7z {}"),
    "7z BZip2": ("7zz", "7zz a -bd -y -m0=BZip2 {}.7z . && mv {}.7z {}"),
    "7z's zip": ("7zz", "7zz a -bd -y -tzip {}.zip . && mv {}.zip {}"),
    "zip BZip2": ("7zz", "7zz a -bd -y -tzip -mm=BZip2 {}.zip . && mv {}.zip {}"),
    "zip LZMA": ("7zz", "7zz a -bd -y -tzip -mm=LZMA {}.zip . && mv {}.zip {}"),
    "zip XZ": ("7zz", "7zz a -bd -y -tzip -mm=XZ {}.zip . && mv {}.zip {}"),
    "zip PPMd": ("7zz", "7zz a -bd -y -tzip -mm=PPMd {}.zip . && mv {}.zip {}"),
    "tar v7": ("tar", "tar -c --format=v7 . >{}"),
    "tar ustar": ("tar", "tar -c --format=ustar . >{}"),
    "tar oldgnu": ("tar", "tar -c --format=oldgnu . >{}"),
    "tar pax": ("tar", "tar -c --format=pax . >{}"),
    "tar.gz": ("gzip", "tar -c . | gzip >{}"),
    "tar.bz2": ("bzip2", "tar -c . | bzip2 >{}"),
    "tar.xz": ("xz", "tar -c . | xz >{}"),
    "tar.lzma": ("xz", "tar -c . | xz --format=lzma >{}"),
    "tar.zst": ("zstd", "tar -c . | zstd -q >{}"),
    "tar.lz": ("lzip", "tar -c . | lzip >{}"),
    "cpio newc": ("cpio", "find . -type f | cpio -o --quiet -H newc >{}"),
    "cpio odc": ("cpio", "find . -type f | cpio -o --quiet -H odc >{}"),
    "cpio bin": ("cpio", "find . -type f | cpio -o --quiet -H bin >{}"),
    "iso": ("genisoimage", "genisoimage -quiet -J -R -o {} ."),
    "iso without extensions": ("genisoimage", "genisoimage -quiet -o {} ."),
    "ar": ("ar", "ar rc {} evil.exe"),
}


def packed(name: str, directory: Path) -> bytes:
    """The payload and a text, packed by a tool."""
    tool, command = TOOLS[name]
    if shutil.which(tool) is None:
        pytest.skip(f"no {tool} here")
    source = directory / "source"
    (source / "sub").mkdir(parents=True)
    (source / "evil.exe").write_bytes(EVIL * 5)
    text = "".join(f"{number}\n" for number in range(3000))
    (source / "sub" / "text.txt").write_text(text, "ascii")
    target = directory / "packed"
    subprocess.run(
        ["sh", "-c", command.replace("{}", str(target))],
        cwd=source,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=60,
    )
    return target.read_bytes()


@pytest.mark.parametrize("name", TOOLS)
def test_what_tools_pack_is_ordinary_and_found(
    name: str, tmp_path: Path, opened: Open
) -> None:
    result = opened(packed(name, tmp_path))
    assert result.has(EVIL * 5)
    assert any("evil.exe" in name.lower() for name in result.names)
    assert not result.codes


ENCRYPTED = {
    "zip": ("zip", "zip -q -r -P {password} {}.zip . && mv {}.zip {}"),
    "AES": (
        "7zz",
        "7zz a -bd -y -tzip -mem=AES256 -p{password} {}.zip . && mv {}.zip {}",
    ),
    "7z": ("7zz", "7zz a -bd -y -p{password} {}.7z . && mv {}.7z {}"),
    "7z header": ("7zz", "7zz a -bd -y -mhe=on -p{password} {}.7z . && mv {}.7z {}"),
}


@pytest.mark.parametrize("name", ENCRYPTED)
def test_what_tools_encrypt_is_named_and_opened_with_the_password(
    name: str, tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool, command = ENCRYPTED[name]
    monkeypatch.setitem(TOOLS, name, (tool, command.replace("{password}", "Open-it")))
    data = packed(name, tmp_path)
    result = opened(data)
    assert result.codes == {"archive-encrypted"}
    assert not result.contents
    assert ("evil.exe" in result.names) is (name != "7z header")
    wrong = tuple(f"word{number}" for number in range(500))
    result = opened(data, words=wrong)
    assert result.codes == {"archive-encrypted"}
    result = opened(data, words=(*wrong[:199], "Open-it"))
    if name in ("zip", "AES"):
        assert result.codes == {"archive-decrypted"}
        assert EVIL * 5 in result.contents.values()
    else:
        assert result.codes == {"archive-encrypted"}


def test_no_process_is_started_to_find_the_library(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("no strace here")
    (tmp_path / "data").write_bytes(FORMATS["rar"])
    script = (
        "import os, sys\n"
        f"sys.path.insert(0, {str(unpacking.REPOSITORY)!r})\n"
        "from qscan.archives import unpack\n"
        "from qscan.model import Item\n"
        f"fd = os.open({str(tmp_path / 'data')!r}, os.O_RDONLY)\n"
        "item = Item('1', 'mime', [])\n"
        "item.size = os.fstat(fd).st_size\n"
        "limits = (9, 99, 10**8, 500), (9, 512_000_000, 30.0)\n"
        f"found, _ = unpack.unpack(fd, item, {str(tmp_path)!r}, 'i', *limits, [])\n"
        "sys.exit(len(found) != 1)\n"
    )
    log = tmp_path / "log"
    subprocess.run(
        [strace, "-f", "-qq", "-e", "trace=execve", "-o", log, sys.executable, "-"],
        input=script.encode(),
        check=True,
        timeout=60,
    )
    assert log.read_text("utf-8").count("execve(") == 1


def test_ordinary_archives_of_this_machine_are_not_refused(opened: Open) -> None:
    found = []
    for folder, pattern in (
        ("/usr/share", "*/*.zip"),
        ("/usr/share/java", "*.jar"),
        ("/usr/share/python-wheels", "*.whl"),
        ("/usr/share/man/man1", "*.gz"),
        ("/usr/share/doc", "*/*.gz"),
        ("/var/cache/apt/archives", "*.deb"),
        ("/usr/lib/python3", "**/*.whl"),
    ):
        files = sorted(Path(folder).glob(pattern))
        found += [path for path in files if path.stat().st_size < 5_000_000][:12]
    if not found:
        pytest.skip("no archives here")
    for path in found:
        result = opened(path.read_bytes(), (path.name,))
        assert not result.refused, path
        assert result.members, path


# ClamAV's own.

PROGRAM = CLAMAV / "clam.exe"


@pytest.mark.parametrize(
    "name",
    [
        *("clam.7z", "clam.cab", "clam.zip", "clam.bz2.zip", "clam.tar.gz"),
        *("clam.bin-be.cpio", "clam.bin-le.cpio", "clam.newc.cpio", "clam.odc.cpio"),
        *("clam.exe.bz2", "clam.exe.rtf", "clam.ole.doc", "clam.ppt", "clam.pdf"),
    ],
)
def test_the_program_in_clamavs_archives_is_found(name: str, opened: Open) -> None:
    if not PROGRAM.exists():
        pytest.skip("no clamav-testfiles here")
    result = opened((CLAMAV / name).read_bytes(), (name,))
    assert result.has(PROGRAM.read_bytes())
    assert not result.refused


@pytest.mark.parametrize("name", ["clam.d64.zip", "clam.impl.zip"])
def test_what_only_clamd_takes_out_is_named(name: str, opened: Open) -> None:
    if not PROGRAM.exists():
        pytest.skip("no clamav-testfiles here")
    result = opened((CLAMAV / name).read_bytes())
    assert result.codes == {"archive-method"}
    [member] = result.members
    assert member.names[0].lower() == "clam.exe"
    assert member.scan == "covered"


# Whole messages.


def attached(
    data: bytes, name: bytes = b"file.bin", text: bytes = b"see there\n"
) -> bytes:
    return harness.multipart(
        (b"text/plain", b"", text), (b"application/octet-stream", name, data)
    )


def examined(data: bytes, directory: Path, **changed: object) -> Unpacked:
    return unpacking.unpack(attached(data), directory, **changed)


def test_members_are_items_of_the_message(tmp_path: Path) -> None:
    result = examined(FORMATS["rpm"], tmp_path)
    assert result.report.action == "deliver"
    member = result.item("1.2/rpm/1")
    assert result.contents["1.2/rpm/1"] == EVIL
    assert member.names == ["evil.exe"]
    assert member.detected_type == "application/x-dosexec"
    inner = build.zipped(Member(b"a.zip", FORMATS["zip"]))
    result = examined(inner, tmp_path)
    assert result.item("1.2/zip/1").detected_type == "application/zip"
    assert result.item("1.2/zip/1/zip/1").scan == "covered"


def test_an_archive_in_a_mail_in_an_archive_is_opened(tmp_path: Path) -> None:
    mail = attached(FORMATS["cpio"])
    for data in (
        build.zipped(Member(b"forwarded.eml", mail)),
        build.packed_gzip(mail),
        build.newc(b"box", b"From a@b Sat Nov 21 07:00:00 2026\n" + mail),
    ):
        result = examined(data, tmp_path)
        assert EVIL in result.contents.values()
        assert "evil.exe" in {name for one in result.items for name in one.names}


def test_archives_and_mails_in_each_other_end_somewhere(tmp_path: Path) -> None:
    data = FORMATS["cpio"]
    for _ in range(30):
        data = build.zipped(Member(b"forwarded.eml", attached(data)))
    result = examined(data, tmp_path)
    assert result.report.action == "reject"
    assert any(code.startswith("limit-") for code in result.codes)


def test_refusals_are_as_the_table_says(tmp_path: Path) -> None:
    for data, action in (
        (FORMATS["zip"], "deliver"),
        (SPLIT["in no directory"], "reject"),
        (build.overlapping(3, EVIL), "reject"),
        (b"MZ" + bytes(100) + FORMATS["zip"], "deliver"),
        (FORMATS["gzip"][:-3], "tag"),
        (build.rar3(b"evil.exe", EVIL, encrypted=True), "tag"),
        (build.packed_gzip(bytes(40_000_000)), "reject"),
    ):
        assert examined(data, tmp_path).report.action == action


def test_a_password_in_the_text_is_tried_when_that_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool, command = ENCRYPTED["zip"]
    monkeypatch.setitem(TOOLS, "it", (tool, command.replace("{password}", "Open-it")))
    data = packed("it", tmp_path)
    message = attached(data, text=b"Hello,\nthe password is: Open-it\n")
    result = unpacking.unpack(message, tmp_path)
    assert result.codes == {"archive-encrypted"}
    assert result.report.action == "tag"
    result = unpacking.unpack(message, tmp_path, archive__passwords=True)
    assert "archive-decrypted" in result.codes
    assert EVIL * 5 in result.contents.values()
    assert result.report.action == "deliver"


def test_archives_stay_closed_when_that_is_set(tmp_path: Path) -> None:
    result = examined(SPLIT["two zips"], tmp_path, archive__open=False)
    assert [one.path for one in result.items] == ["1.1", "1.2"]
    assert not any(code.startswith("archive-") for code in result.codes)


def test_members_of_all_archives_of_a_message_count(tmp_path: Path) -> None:
    nine = build.zipped(*[Member(b"f%d" % n, b"content %d" % n) for n in range(9)])
    message = harness.multipart(
        *[(b"application/zip", b"a%d.zip" % n, nine) for n in range(4)]
    )
    assert not unpacking.unpack(message, tmp_path).codes
    result = unpacking.unpack(message, tmp_path, archive__members=20)
    assert result.codes == {"limit-archive-members"}
    assert result.report.action == "reject"


def test_an_honest_large_archive_passes(tmp_path: Path) -> None:
    words = [base64.b32encode(random.Random(n).randbytes(5)) for n in range(3000)]
    dice = random.Random(6)
    text = b" ".join(dice.choices(words, k=300_000))
    members = [Member(b"t%d.txt" % n, text[n:] + text[:n]) for n in range(12)]
    result = examined(build.zipped(*members), tmp_path)
    assert not result.codes
    assert len(result.items) == 14


def test_the_settings_are_those_of_the_child() -> None:
    values = schema.defaults()
    assert values["archive.open"] is True
    assert values["archive.passwords"] is False
    rows = {name for name in values if name.startswith("archive.")}
    assert len(rows) == 9


def test_a_message_is_told_from_a_text() -> None:
    assert formats.is_mail(b"", ["a.EML "])
    assert formats.is_mail(b"Received: from a\n", [])
    assert not formats.is_mail(b"This is a text: no mail\n", ["a.txt"])
