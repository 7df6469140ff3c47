# SPDX-License-Identifier: MIT
"""What ``qscan scan`` found out, as JSON and as text for people.

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
    return json.dumps(
        {
            "file": _text(name),
            "verdict": report.verdict,
            "action": report.action,
            "exit_code": report.exit_code,
            "smtp_text": _text(report.smtp_text),
            "reason": _text(report.reason),
            "ms": report.ms,
            "findings": [
                {
                    "source": finding.source,
                    "rule": _text(finding.rule),
                    "class": finding.cls,
                    "item": _text(finding.item),
                    "text": _text(finding.text),
                }
                for finding in report.findings
            ],
            "defects": [
                {
                    "code": defect.code,
                    "where": _text(defect.where),
                    "detail": _text(defect.detail),
                }
                for defect in report.defects
            ],
            "items": [
                {
                    "path": _text(item.path),
                    "origin": item.origin,
                    "names": [_text(one) for one in item.names],
                    "declared_type": _text(item.declared_type),
                    "detected_type": _text(item.detected_type),
                    "encoding": _text(item.encoding),
                    "size": item.size,
                    "sha256": item.sha256,
                    "scan": _text(item.scan),
                }
                for item in report.items
            ],
        }
    )


def _text(value: str | bytes) -> str:
    if isinstance(value, bytes):
        value = os.fsdecode(value)
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def as_text(
    name: str, report: Report | Trouble, *, clamd: bool, dialect: str, plain: bool
) -> str:
    """Lines for people, with colours: verdict and why, what the client is told, the
    findings, the defects and the tree of parts. ``plain``: no line-drawing
    characters; ``clamd``: whether it was asked."""
    colour = COLOURS[report.verdict]
    lines = [
        click.style(shown(name), bold=True)
        + ": "
        + click.style(report.verdict, fg=colour, bold=True)
        + f", {WOULD[report.action]}"
        + ("" if clamd else " (clamd was not asked)")
    ]
    if report.reason:
        lines.append(f"  why      {shown(report.reason, 400)}")
    if report.exit_code:
        lines.append(f"  client   {_told(report, dialect)}")
    lines += _findings(report.findings)
    lines += _defects(report.defects)
    lines += _tree(report.items, LINES if not plain else PLAIN_LINES, clamd)
    if "total" in report.ms:
        lines.append(f"  time     {report.ms['total']:.0f} ms")
    return "\n".join(lines)


def _told(report: Report | Trouble, dialect: str) -> str:
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
    below: dict[str, list[Item]] = {}
    known = {item.path for item in items}
    for item in items:
        if item.path != RAW:
            below.setdefault(_parent(item.path, known), []).append(item)
    roots = [item for item in items if item.path == RAW]
    # Explicit stack: depth is the sender's choice.
    stack: list[tuple[Item, str, str]] = [(item, "", "") for item in reversed(roots)]
    first = True
    while stack:
        item, head, indent = stack.pop()
        yield f"  {'parts' if first else '':8} {head}{_line(item, clamd)}"
        first = False
        children = below.get(item.path, [])
        for index in range(len(children) - 1, -1, -1):
            last = index == len(children) - 1
            branch = indent + marks[1 if last else 0]
            stack.append((children[index], branch, indent + marks[3 if last else 2]))


def _parent(path: str, known: set[str]) -> str:
    for position in range(len(path) - 1, 0, -1):
        if path[position] in SEPARATORS and path[:position] in known:
            return path[:position]
    return RAW


def _line(item: Item, clamd: bool) -> str:
    declared, detected = shown(item.declared_type), shown(item.detected_type)
    kind = declared or detected
    if detected and declared and detected not in (declared, "application/octet-stream"):
        kind += f", really {detected}"
    words = [shown(item.path), kind]
    words += [f'"{shown(name)}"' for name in item.names]
    if item.encoding:
        words.append(shown(item.encoding, 40))
    words.append(_size(item.size))
    if clamd:
        good = item.scan in ("clean", "covered", "")
        words.append(
            click.style(
                shown(item.scan) or "not scanned",
                fg="green" if good and item.scan else "yellow" if good else "red",
            )
        )
    return "  ".join(word for word in words if word)


def _size(size: int) -> str:
    if size < 10_000:
        return f"{size} B"
    if size < 10_000_000:
        return f"{size / 1000:.0f} kB"
    return f"{size / 1_000_000:.0f} MB"
