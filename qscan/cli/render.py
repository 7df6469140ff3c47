# SPDX-License-Identifier: MIT
"""What ``qscan scan`` found out, as JSON and as text for people.

``qscan explain`` shows pieces of both too.
Pure: a ``pipeline.Report`` (or a ``Trouble``, when there is none) in, text out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import click

from qscan.cli.common import shown
from qscan.model import Defect, Finding, Item
from qscan.outcomes import Outcome
from qscan.pipeline import RAW, Report

# Verdicts after which nobody knows what the message is.
UNDECIDED = ("deferred", "error")

WOULD = {
    "deliver": "would be delivered",
    "tag": "would be delivered, and tagged",
    "reject": "would be refused",
    "quarantine+reject": "would be kept in quarantine, and refused",
    "quarantine+drop": "would be kept in quarantine, and not delivered",
    "defer": "would be deferred: the sender has to try again",
    "none": "could not be examined",
}

COLOURS = {
    "clean": "green",
    "infected": "red",
    "policy": "yellow",
    "refused": "red",
    "deferred": "magenta",
    "error": "magenta",
}

# Branches of the tree, where the terminal's encoding has them, and plain ones.
LINES = ("├─ ", "└─ ", "│  ", "   ")
PLAIN_LINES = ("|- ", "`- ", "|  ", "   ")

# What begins a deeper level in the path of an item (unpack.py).
SEPARATORS = "./~+"


@dataclass
class Trouble:
    """Why a message could not be examined; quacks like a ``Report``. ``row`` is the
    ending that the wrapper would take, None when there is no message at all."""

    reason: str
    row: Outcome | None = None
    verdict: str = "error"
    action: str = "none"
    ms: dict[str, float] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    defects: list[Defect] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)

    @property
    def exit_code(self) -> int | None:
        """What the wrapper would end with."""
        return self.row.code if self.row else None

    @property
    def smtp_text(self) -> str:
        """What the SMTP side would be told: qmail words these itself."""
        return ""


def as_json(name: str, report: Report | Trouble) -> str:
    """One object on one line, ASCII: see ``qscan scan --help``. Names that are not
    UTF-8 have backslash escapes, so that every JSON parser takes the line."""
    return json.dumps(facts(name, report))


def facts(name: str, report: Report | Trouble) -> dict[str, object]:
    """The object of ``as_json``."""
    return {
        "file": valid(name),
        "verdict": report.verdict,
        "action": report.action,
        "exit_code": report.exit_code,
        "smtp_text": valid(report.smtp_text),
        "reason": valid(report.reason),
        "ms": report.ms,
        "findings": [
            {
                "source": finding.source,
                "rule": valid(finding.rule),
                "class": finding.cls,
                "item": valid(finding.item),
                "text": valid(finding.text),
            }
            for finding in report.findings
        ],
        "defects": [
            {
                "code": defect.code,
                "where": valid(defect.where),
                "detail": valid(defect.detail),
            }
            for defect in report.defects
        ],
        "items": [
            {
                "path": valid(item.path),
                "origin": item.origin,
                "names": [valid(one) for one in item.names],
                "declared_type": valid(item.declared_type),
                "detected_type": valid(item.detected_type),
                "encoding": valid(item.encoding),
                "size": item.size,
                "sha256": item.sha256,
                "scan": valid(item.scan),
            }
            for item in report.items
        ],
    }


def valid(value: str | bytes) -> str:
    """Text that every JSON parser takes: what is no UTF-8 has backslash escapes."""
    if isinstance(value, bytes):
        value = os.fsdecode(value)
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def as_text(
    name: str, report: Report | Trouble, *, clamd: bool, dialect: str, plain: bool
) -> str:
    """Lines for people, with colours: verdict and why, what the client is told, the
    findings, the defects and the tree of parts. ``plain``: no line-drawing
    characters; ``clamd``: whether it was asked."""
    lines = [headline(name, report, clamd)]
    if report.reason:
        lines.append(f"  why      {shown(report.reason, 400)}")
    if report.exit_code:
        lines.append(f"  client   {told(report, dialect)}")
    lines += _findings(report.findings)
    lines += _defects(report.defects)
    lines += _tree(report.items, LINES if not plain else PLAIN_LINES, clamd)
    if "total" in report.ms:
        lines.append(f"  time     {report.ms['total']:.0f} ms")
    return "\n".join(lines)


def headline(name: str, report: Report | Trouble, clamd: bool) -> str:
    """Name, verdict, and what would happen."""
    return (
        click.style(shown(name), bold=True)
        + ": "
        + click.style(report.verdict, fg=COLOURS[report.verdict], bold=True)
        + f", {WOULD[report.action]}"
        + ("" if clamd else " (clamd was not asked)")
    )


def told(report: Report | Trouble, dialect: str) -> str:
    """What the SMTP client learns."""
    code = f"exit code {report.exit_code}"
    if not report.smtp_text:
        return f"{code}, qmail words it"
    text = f'"{shown(report.smtp_text, 400)}"'
    if dialect == "plain":
        return f'{code}, qmail words it (reject.dialect = "plain", else {text})'
    return text


def _findings(findings: list[Finding]) -> Iterator[str]:
    for index, finding in enumerate(findings):
        rule = click.style(shown(finding.rule), fg="red")
        where = f" in {shown(finding.item)}" if finding.item else ""
        yield (
            f"  {'' if index else 'found':8} {finding.cls}: {rule}{where} "
            f"({finding.source})"
        )
        # The text often only repeats rule and place.
        if finding.text and not finding.text.startswith(finding.rule):
            yield f"             {shown(finding.text, 400)}"


def _defects(defects: list[Defect]) -> Iterator[str]:
    """The same code at the same place stands once, with the first detail."""
    groups: dict[tuple[str, str], list[Defect]] = {}
    for defect in defects:
        groups.setdefault((defect.code, defect.where), []).append(defect)
    for index, ((code, where), group) in enumerate(groups.items()):
        times = f" ({len(group)} times)" if len(group) > 1 else ""
        place = f" in {shown(where)}" if where else ""
        detail = f": {shown(group[0].detail, 60)}" if group[0].detail else ""
        yield f"  {'' if index else 'defects':8} {code}{place}{times}{detail}"


def _tree(items: list[Item], marks: tuple[str, ...], clamd: bool) -> Iterator[str]:
    """One line an item, each below the item that it was found in."""
    first = True
    for index, head in branches([item.path for item in items], marks):
        yield f"  {'parts' if first else '':8} {head}{_line(items[index], clamd)}"
        first = False


def branches(paths: list[str], marks: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """(index in ``paths``, what stands left of it) in the order of the drawn tree,
    each below what it was found in; ``RAW`` is the root, equal paths are brothers."""
    below: dict[str, list[int]] = {}
    known = set(paths)
    for index, path in enumerate(paths):
        if path != RAW:
            below.setdefault(_parent(path, known), []).append(index)
    roots = [index for index, path in enumerate(paths) if path == RAW]
    # Explicit stack: depth is the sender's choice.
    stack: list[tuple[int, str, str]] = [(index, "", "") for index in reversed(roots)]
    while stack:
        index, head, indent = stack.pop()
        yield index, head
        children = below.pop(paths[index], [])
        for place in range(len(children) - 1, -1, -1):
            last = place == len(children) - 1
            branch = indent + marks[1 if last else 0]
            stack.append((children[place], branch, indent + marks[3 if last else 2]))


def _parent(path: str, known: set[str]) -> str:
    for position in range(len(path) - 1, 0, -1):
        if path[position] in SEPARATORS and path[:position] in known:
            return path[:position]
    return RAW


def _line(item: Item, clamd: bool) -> str:
    words = [shown(item.path), kind(item)]
    words += [f'"{shown(name)}"' for name in item.names]
    if item.encoding:
        words.append(shown(item.encoding, 40))
    words.append(amount(item.size))
    if clamd:
        words.append(said(item))
    return "  ".join(word for word in words if word)


def kind(item: Item) -> str:
    """Declared type, and the detected one where that is another."""
    declared, detected = shown(item.declared_type), shown(item.detected_type)
    if detected and declared and detected not in (declared, "application/octet-stream"):
        return f"{declared}, really {detected}"
    return declared or detected


def said(item: Item) -> str:
    """The scanner's word, coloured."""
    good = item.scan in ("clean", "covered", "")
    colour = "green" if good and item.scan else "yellow" if good else "red"
    return click.style(shown(item.scan) or "not scanned", fg=colour)


def amount(size: int) -> str:
    """A size for people."""
    if size < 10_000:
        return f"{size} B"
    if size < 10_000_000:
        return f"{size / 1000:.0f} kB"
    return f"{size / 1_000_000:.0f} MB"
