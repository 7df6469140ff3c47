# SPDX-License-Identifier: MIT
"""What has no answer is a failure, whatever the reason it has none."""

from __future__ import annotations

import pytest

from qscan import pipeline, schema
from qscan.model import Item, ScanReply
from qscan.settings import Settings


def collected(
    items: list[Item], replies: dict[str, ScanReply], **changes: object
) -> list[tuple[str, str]]:
    """(class, item) of the findings that the answers make."""
    values = {**schema.defaults(), **changes}
    report = pipeline.Report()
    report.items = items
    pipeline._collect(report, replies, Settings(values, b"", ""))
    return [(finding.cls, finding.item) for finding in report.findings]


def items() -> list[Item]:
    part = Item("1.1", "mime", [], "text/plain")
    part.file = "/nowhere"
    part.size = 5
    return [Item(pipeline.RAW, "message", []), part]


CLEAN = ScanReply("scanned", [])


def test_an_answer_for_everything_is_clean() -> None:
    assert collected(items(), {pipeline.RAW: CLEAN, "1.1": CLEAN}) == []


@pytest.mark.parametrize("missing", [pipeline.RAW, "1.1"])
def test_an_item_without_an_answer_is_a_failure(missing: str) -> None:
    replies = {pipeline.RAW: CLEAN, "1.1": CLEAN}
    del replies[missing]
    assert collected(items(), replies) == [("scanner_failure", missing)]


def test_what_is_not_to_be_scanned_needs_no_answer() -> None:
    replies = {pipeline.RAW: CLEAN}
    assert collected(items(), replies, **{"scan.parts": False}) == []
    replies = {"1.1": CLEAN}
    assert collected(items(), replies, **{"scan.raw": "never"}) == []


def test_a_part_that_the_raw_message_shows_needs_no_answer_of_its_own() -> None:
    both = items()
    both[1].scan = "covered"
    assert collected(both, {pipeline.RAW: CLEAN}) == []


def test_an_unknown_status_is_no_way_to_pass() -> None:
    with pytest.raises(ValueError, match="unknown scan status"):
        collected(items(), {pipeline.RAW: ScanReply("fine", [])})
