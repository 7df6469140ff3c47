# SPDX-License-Identifier: MIT
"""``-z``: what killed processes left is removed, what lives is not touched."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from qscan import schema, spool, sweep

LATER = spool.GRACE + 10.0


def opened(parent: Path) -> spool.Work:
    work = spool.Work(str(parent), spool.identity())
    work.open()
    os.write(work.fd, spool.ROOM)
    return work


def killed(parent: Path) -> str:
    """A work directory whose process is gone; its name."""
    work = opened(parent)
    Path(work.directory, "i1").write_bytes(b"part")
    os.close(work.fd)
    os.close(work.envelope)
    return work.id


def test_a_killed_message_goes_and_a_live_one_stays(tmp_path: Path) -> None:
    killed(tmp_path)
    work = opened(tmp_path)
    try:
        assert sweep.sweep(str(tmp_path), time.time() + 5) == (1, 1, 0)
        assert os.listdir(tmp_path) == [work.id]
        assert sorted(os.listdir(work.directory)) == ["envelope", "message"]
        # However long it takes: a lock has no age.
        assert sweep.sweep(str(tmp_path), time.time() + 10**6) == (0, 1, 0)
    finally:
        work.abandon()
    assert sweep.sweep(str(tmp_path), time.time() + 5) == (0, 0, 0)


def test_a_directory_without_an_envelope_has_its_grace(tmp_path: Path) -> None:
    """Its process may be between mkdir and open."""
    (tmp_path / spool.identity()).mkdir()
    now = time.time()
    assert sweep.sweep(str(tmp_path), now) == (0, 1, 0)
    assert sweep.sweep(str(tmp_path), now + LATER) == (1, 0, 0)
    assert os.listdir(tmp_path) == []


def test_an_envelope_that_was_just_made_is_not_yet_locked(tmp_path: Path) -> None:
    """Its process may be between open and flock."""
    directory = tmp_path / spool.identity()
    directory.mkdir()
    (directory / "envelope").write_bytes(b"")
    now = (directory / "envelope").stat().st_ctime
    assert sweep.sweep(str(tmp_path), now) == (0, 1, 0)
    assert sweep.sweep(str(tmp_path), now + 5) == (1, 0, 0)


@pytest.mark.parametrize(
    "name", ["notes", "1.2", "1.x.3", "x.1.ff", "1.1.", ".1.1", "1.1.fg", "1.1.1.1"]
)
def test_what_has_another_name_is_not_ours(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "envelope").write_bytes(b"x")
    assert sweep.sweep(str(tmp_path), time.time() + LATER) == (0, 1, 0)
    assert (tmp_path / name / "envelope").exists()


def test_links_and_files_are_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "envelope").write_bytes(b"precious")
    parent = tmp_path / "work"
    parent.mkdir()
    (parent / spool.identity()).symlink_to(victim)
    (parent / spool.identity()).write_bytes(b"a file")
    removed, _, _ = sweep.sweep(str(parent), time.time() + LATER)
    assert removed == 0
    assert (victim / "envelope").read_bytes() == b"precious"
    inner = parent / spool.identity()
    inner.mkdir()
    (inner / "envelope").symlink_to(victim / "envelope")
    sweep.sweep(str(parent), time.time() + LATER)
    assert (victim / "envelope").read_bytes() == b"precious"


def test_what_cannot_be_removed_is_counted_and_the_rest_goes(tmp_path: Path) -> None:
    name = killed(tmp_path)
    (tmp_path / name / "directory").mkdir()
    killed(tmp_path)
    removed, live, stuck = sweep.sweep(str(tmp_path), time.time() + 5)
    assert (removed, live, stuck) == (1, 0, 1)
    assert os.listdir(tmp_path) == [name]


def quarantine(root: Path, names: dict[str, float]) -> None:
    """Files with their ages in seconds."""
    now = time.time()
    for name, age in names.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        os.utime(path, (now - age, now - age))


OLD = sweep.UNFINISHED + 100.0


def left(root: Path) -> list[str]:
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


def test_unfinished_names_of_the_quarantine_go_when_they_are_old(
    tmp_path: Path,
) -> None:
    quarantine(
        tmp_path,
        {
            "virus/tmp/1.1.aa": OLD,
            "virus/tmp/1.1.aa.json": OLD,
            "virus/info/1.1.aa.json": OLD,
            "virus/tmp/2.2.bb": 10,
            "virus/info/2.2.bb.json": 10,
            "virus/new/3.3.cc": OLD,
            "virus/info/3.3.cc.json": OLD,
            "virus/cur/4.4.dd:2,S": OLD,
            "virus/info/4.4.dd.json": OLD,
            "virus/cur/5.5.ee": OLD,
            "virus/info/5.5.ee.json": OLD,
            "pua/tmp/6.6.ff": OLD,
        },
    )
    assert sweep.sweep_quarantine(str(tmp_path), time.time()) == 4
    assert left(tmp_path) == [
        "virus/cur/4.4.dd:2,S",
        "virus/cur/5.5.ee",
        "virus/info/2.2.bb.json",
        "virus/info/3.3.cc.json",
        "virus/info/4.4.dd.json",
        "virus/info/5.5.ee.json",
        "virus/new/3.3.cc",
        "virus/tmp/2.2.bb",
    ]
    assert sweep.sweep_quarantine(str(tmp_path), time.time()) == 0


def test_no_quarantine_is_nothing_to_sweep(tmp_path: Path) -> None:
    assert sweep.sweep_quarantine(str(tmp_path / "absent"), time.time()) == 0
    (tmp_path / "file").write_bytes(b"")
    assert sweep.sweep_quarantine(str(tmp_path), time.time()) == 0


def test_the_line_says_what_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = schema.defaults()
    values["spool_dir"] = str(tmp_path)
    values["clamd.address"] = f"unix:{tmp_path}/nobody"
    (tmp_path / "work").mkdir()
    name = killed(tmp_path / "work")
    envelope = tmp_path / "work" / name / "envelope"
    clock = envelope.stat().st_ctime + 5
    monkeypatch.setattr(sweep.time, "time", lambda: clock)
    code, line = sweep.run(values)
    assert code == 0
    assert "removed 1, live 0, stuck 0, unfinished 0" in line
    assert "clamd does not answer" in line
    assert "\n" not in line


def test_no_spool_is_trouble(tmp_path: Path) -> None:
    values = schema.defaults()
    values["spool_dir"] = str(tmp_path / "absent")
    code, line = sweep.run(values)
    assert code == 1
    assert "absent" in line
