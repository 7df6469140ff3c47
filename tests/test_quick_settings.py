# SPDX-License-Identifier: MIT
"""Our own reader of compiled settings agrees with Berkeley DB or stands back."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from berkeleydb import db

from qscan import compiler, settings

REPOSITORY = Path(__file__).resolve().parent.parent


def _write(path: Path, entries: dict[bytes, bytes], **options: int) -> None:
    store = db.DB()
    if options.get("checksums", 1):
        store.set_flags(db.DB_CHKSUM)
    store.set_pagesize(options.get("page", 4096))
    kind = options.get("kind", db.DB_BTREE)
    store.open(str(path), dbtype=kind, flags=db.DB_CREATE | db.DB_TRUNCATE)
    for key, value in entries.items():
        store.put(key, value)
    store.close()


def _entries(seed: random.Random, largest: int) -> dict[bytes, bytes]:
    entries = {
        key: seed.randbytes(seed.randrange(largest)) for key in settings.KEYS[:-1]
    }
    entries[b"checksum"] = settings.checksum(entries)
    return entries


def test_it_reads_what_the_library_wrote(tmp_path: Path) -> None:
    seed = random.Random(1)
    taken = 0
    for number in range(120):
        path = tmp_path / f"{number}.db"
        entries = _entries(seed, seed.choice((20, 900, 5000, 60000)))
        _write(
            path,
            entries,
            page=seed.choice((512, 1024, 4096, 16384)),
            checksums=number % 2,
        )
        read = settings.quick(path.read_bytes())
        if read is not None:
            taken += 1
            assert {key: read[key] for key in settings.KEYS} == entries
        assert settings.by_library(str(path)) == entries
    assert taken > 60, "nearly all of these are one B-tree leaf"


def test_the_file_of_the_compiler_takes_the_quick_way(tmp_path: Path) -> None:
    text = tmp_path / "qscan.toml"
    text.write_text("")
    compiler.compile_text(text, tmp_path / "settings.db")
    assert settings.quick((tmp_path / "settings.db").read_bytes()) is not None
    code = (
        "import sys; from qscan import settings; settings.load(sys.argv[1]);"
        "sys.exit(any('berkeleydb' in name for name in sys.modules))"
    )
    path = str(tmp_path / "settings.db")
    run = subprocess.run(
        [sys.executable, "-c", code, path], cwd=REPOSITORY, check=False
    )
    assert run.returncode == 0


def test_it_stands_back_from_what_it_does_not_know(tmp_path: Path) -> None:
    entries = _entries(random.Random(2), 900)
    _write(tmp_path / "hash.db", entries, kind=db.DB_HASH)
    assert settings.quick((tmp_path / "hash.db").read_bytes()) is None
    many = {b"%d" % number: bytes(200) for number in range(500)}
    _write(tmp_path / "deep.db", {**many, **entries}, page=512)
    assert settings.quick((tmp_path / "deep.db").read_bytes()) is None
    assert settings.by_library(str(tmp_path / "deep.db")) == entries
    wrong = {**entries, b"checksum": b"1"}
    _write(tmp_path / "wrong.db", wrong)
    assert settings.quick((tmp_path / "wrong.db").read_bytes()) is None
    assert settings.quick(b"") is None


def test_damage_is_never_taken_for_settings(tmp_path: Path) -> None:
    seed = random.Random(3)
    entries = _entries(seed, 6000)
    _write(tmp_path / "good.db", entries)
    good = (tmp_path / "good.db").read_bytes()
    assert settings.quick(good) is not None
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(seed.randrange(1, 4)):
            data[seed.randrange(len(data))] = seed.randrange(256)
        read = settings.quick(bytes(data[: seed.choice((len(data), 8192, 600))]))
        if read is not None:
            assert {key: read[key] for key in settings.KEYS} == entries
