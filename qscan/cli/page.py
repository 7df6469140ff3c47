# SPDX-License-Identifier: MIT
"""The page of ``qscan explain``: everything about one message, for people.

Pure: a ``Case`` in, text out. Never does: let anything of the mail move the cursor.
Limits: long lists are cut to ``MOST`` rows and say how many more there are.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator

import click

from qscan import defecttext
from qscan.cli import outline, render
from qscan.cli.common import plural, shown
from qscan.cli.outline import Node, Place, View
from qscan.cli.why import Case, Verdict, forms_of, verdict_of
from qscan.mime import NOTHING
from qscan.model import Item
from qscan.pipeline import RAW

MOST = 40  # rows of a list
MOST_READING = 20  # parts of another reading
MOST_PLACES = 4  # of one defect
MOST_NAMES = 3  # of one part in the tree
MOST_WAYS = 8
MOST_HOLDERS = 4  # parts with one name
WIDTH = 88
NARROWEST = 40
LEFT = 40  # characters of a line before the place that is marked
RIGHT = 60


def as_text(case: Case, *, plain: bool, whole: bool) -> str:
    """All sections, with colours; ``plain``: no line-drawing characters; ``whole``:
    no list is cut."""
    return Page(case, plain, whole).text()


class Page:
    """The text of one case, section after section."""

    def __init__(self, case: Case, plain: bool, whole: bool) -> None:
        self.case = case
        self.marks = render.PLAIN_LINES if plain else render.LINES
        self.most = len(case.report.items) + 10**9 if whole else MOST
        columns = shutil.get_terminal_size((WIDTH, 24)).columns
        self.width = max(NARROWEST, min(columns, WIDTH))
        self.whole = whole

    def text(self) -> str:
        """The page."""
        case = self.case
        lines = [render.headline(case.name, case.report, case.clamd)]
        for title, section in (
            ("Decision", self.decision()),
            ("Message", self.message()),
            ("Other readings", self.readings()),
            ("Names", self.names()),
            ("Defects", self.defects()),
            ("Scan", self.scanned()),
        ):
            body = list(section)
            if body:
                lines += ["", click.style(title, bold=True), *body]
        return "\n".join(lines)

    # pieces

    def filled(self, text: str, indent: int = 2, label: str = "") -> list[str]:
        """A paragraph; ``label`` hangs in front of it."""
        return textwrap.wrap(
            label + text,
            self.width,
            initial_indent=" " * indent,
            subsequent_indent=" " * (indent + len(label)),
            break_on_hyphens=False,
        )

    def cut(self, rows: list[str], most: int, word: str) -> Iterator[str]:
        """At most so many rows, and how many more there are."""
        if self.whole or len(rows) <= most + 1:
            yield from rows
            return
        yield from rows[:most]
        yield f"  ... and {plural(len(rows) - most, word)} more (--all shows all)"

    # sections

    def decision(self) -> Iterator[str]:
        """Which rule, class and setting decided, and what else was found."""
        report, parsed = self.case.report, self.case.parsed
        chosen = report.decision.finding
        if chosen is None:
            yield from self.filled("Nothing was found that policy has to judge.")
        else:
            found = verdict_of(chosen, parsed)
            because = shown(found.because, 600)
            yield from self.filled(because[:1].upper() + because[1:] + ".")
            yield f"  {_setting(found)}"
        if report.exit_code:
            told = render.told(report, self.case.dialect())
            yield from self.filled(f"The SMTP client is told: {told}")
        others = [one for one in report.findings if one is not chosen]
        if others:
            yield "  Other findings:"
            rows = []
            for one in others:
                found = verdict_of(one, parsed)
                where = f" in {shown(one.item)}" if one.item else ""
                rule = click.style(shown(one.rule), fg="red")
                rows.append(f"    {one.cls}: {rule}{where}  {_setting(found)}")
            yield from self.cut(rows, self.most, "finding")

    def message(self) -> Iterator[str]:
        """The tree as people draw it."""
        nodes = self.case.outline.tree()
        taken = {
            node.item.path
            for view in self.case.outline.views
            for node in view.nodes
            if node.item is not None
        }
        rows: list[tuple[str, str]] = [
            (item.path, self.item_line(item))
            for item in self.case.report.items
            if item.path == RAW
        ]
        rows += [(_path(node), self.node_line(node)) for node in nodes]
        ways: dict[str, list[str]] = {}
        for item in self.case.report.items:
            if item.path == RAW or item.path in taken or "~" in item.path:
                continue
            if not self.whole and _is_way(item):
                # Damaged content is decoded in many ways, hardly ever of interest.
                parent, _, way = item.path.rpartition("/")
                ways.setdefault(parent, []).append(way)
            else:
                rows.append((item.path, self.item_line(item)))
        rows += [(f"{path}/", _other_ways(names)) for path, names in ways.items()]
        lines = [
            f"  {head}{rows[index][1]}"
            for index, head in render.branches([path for path, _ in rows], self.marks)
        ]
        yield from self.cut(lines, self.most, "line")
        if not self.case.outline.complete:
            yield "  (not all messages inside were drawn: it took too long)"

    def node_line(self, node: Node) -> str:
        """A part, or a multipart, on one line."""
        item = node.item
        words = [shown(_path(node))]
        words.append(render.kind(item) if item else shown(node.media))
        if node.boundary is not None:
            words.append(f'boundary "{shown(node.boundary, 80)}"')
        names = item.names if item else node.names
        words += _quoted(names, self.whole)
        if node.encoding:
            words.append(shown(node.encoding, 40))
        if item is not None:
            words.append(render.amount(item.size))
        words.append(_lines(node))
        if item is not None and self.case.clamd:
            words.append(render.said(item))
        return "  ".join(word for word in words if word)

    def item_line(self, item: Item) -> str:
        """What was found inside a part."""
        words = [shown(item.path), render.kind(item), *_quoted(item.names, self.whole)]
        if item.encoding:
            words.append(shown(item.encoding, 40))
        words.append(render.amount(item.size))
        if self.case.clamd:
            words.append(render.said(item))
        return "  ".join(word for word in words if word)

    def readings(self) -> Iterator[str]:
        """What the other readings show differently."""
        same: list[str] = []
        for view in self.case.outline.views:
            if not view.reading or ("~" in view.root and not self.whole):
                continue
            if not self.case.differs(view):
                same.append(view.reading)
                continue
            of = f" of {shown(view.source)}" if view.source else ""
            how = defecttext.READINGS.get(view.reading, "")
            name = click.style(view.reading, bold=True)
            yield f"  {name}{of}, because of {', '.join(view.because)}"
            yield from self.filled(how[:1].upper() + how[1:] + ".", 4)
            rows = list(self.comparison(view))
            yield from self.cut(rows, min(self.most, MOST_READING), "line")
        if same:
            names = ", ".join(dict.fromkeys(same))
            yield from self.filled(f"With the same parts as above: {names}.")

    def comparison(self, view: View) -> Iterator[str]:
        """The parts of a reading, those that differ with a mark."""
        normal = self.case.outline.normal(view.source)
        known = {
            (node.start, node.end, node.encoding): node.path for node in normal.nodes
        }
        alike: list[str] = []
        for mark, node in [*outline.differences(normal, view), ("", None)]:
            if node is not None and not self.whole and _is_way(node.item):
                continue
            if mark == " " and node is not None:
                alike.append(f"      {self.node_line(node)}")
                continue
            if len(alike) > 2 and not self.whole:
                yield f"      ({plural(len(alike), 'part')} as above)"
            else:
                yield from alike
            alike.clear()
            if node is None:
                break
            line = self.node_line(node)
            if mark == "+" and node.item is None and node.kind != "multipart":
                other = known.get((node.start, node.end, node.encoding))
                bytes_of = f"the bytes of {shown(other)}" if other else "known bytes"
                line += f"  ({bytes_of})"
            colour = "red" if mark == "-" else "green"
            yield f"    {click.style(mark, fg=colour, bold=True)} {line}"

    def names(self) -> Iterator[str]:
        """Every candidate name once, with what rules are matched against."""
        holders: dict[str, list[str]] = {}
        for item in self.case.report.items:
            for name in item.names:
                holders.setdefault(name, []).append(item.path)
        rows: list[str] = []
        for name, paths in holders.items():
            # What other readings make of the same part says nothing new.
            sure = [path for path in paths if "~" not in path] or paths[:1]
            most = len(paths) if self.whole else MOST_HOLDERS
            text = ", ".join(map(shown, (paths if self.whole else sure)[:most]))
            if not self.whole and len(sure) > most:
                text += f" and {len(sure) - most} more"
            rows.append(f'  "{shown(name)}"  in {text}')
            forms = ", ".join(f'"{shown(form)}"' for form in forms_of(name))
            if forms:
                rows += self.filled(forms, 4, "also as ")
        yield from self.cut(rows, self.most, "line")

    def defects(self) -> Iterator[str]:
        """Every code once, with all its places."""
        case = self.case
        groups: dict[str, list[int]] = {}
        for index, defect in enumerate(case.report.defects):
            groups.setdefault(defect.code, []).append(index)
        found = {one.rule: one for one in reversed(case.report.findings)}
        decided = case.report.decision.finding
        order = [code for code in groups if decided and code == decided.rule]
        order += [code for code in groups if code in found and code not in order]
        order += [code for code in groups if code not in order and self.sure(code)]
        guessed = [code for code in groups if code not in order]
        if self.whole:
            order += guessed
        most = len(order) if self.whole else self.most
        for code in order[:most]:
            finding = found.get(code)
            word = "noted"
            if finding is not None:
                action = verdict_of(finding, case.parsed).action
                word = f"class {finding.cls}: {action}"
            colour = "yellow" if finding is None else "red"
            yield f"  {click.style(code, fg=colour, bold=True)}  ({word})"
            text = defecttext.text_of(code)
            yield from self.filled(text.meaning, 4)
            yield from self.filled(text.clients, 4, "Clients: ")
            if text.mend:
                yield from self.filled(text.mend, 4, "To mend: ")
            indexes = groups[code]
            if not self.whole and self.sure(code):
                indexes = [one for one in indexes if not self.guessed(one)]
            for index in indexes[: None if self.whole else MOST_PLACES]:
                yield from self.place(index)
            more = len(indexes) - MOST_PLACES
            if more > 0 and not self.whole:
                yield f"    ... and in {plural(more, 'other place')} (--all shows all)"
        if len(order) > most:
            rest = plural(len(order) - most, "code")
            yield f"  ... and {rest} more (--all shows all)"
        if guessed and not self.whole:
            label = f"Only in the reading {NOTHING.name} (--all explains them): "
            yield from self.filled(label + ", ".join(guessed) + ".")

    def guessed(self, index: int) -> bool:
        """Whether a defect is in what the reading that believes nothing made up."""
        return f"~{NOTHING.name}" in self.case.report.defects[index].where

    def sure(self, code: str) -> bool:
        """Whether a code stands in any other reading too."""
        found = self.case.report.defects
        places = (index for index, one in enumerate(found) if one.code == code)
        return not all(map(self.guessed, places))

    def place(self, index: int) -> Iterator[str]:
        """Where a defect is, with the bytes."""
        defect = self.case.report.defects[index]
        place = self.case.outline.places.get(index)
        text = f"in {shown(defect.where)}" if defect.where else "in the message"
        if place is not None:
            text += f", line {place.line}"
            if defect.source:
                text += f" of {shown(defect.source)}, decoded"
        detail = shown(defect.detail, 120)
        if detail:
            text += f": {detail}"
        yield f"    {text}"
        if place is not None:
            yield from _excerpt(place)

    def scanned(self) -> Iterator[str]:
        """What the scanner was shown and what it said."""
        items = self.case.report.items
        if not self.case.clamd:
            yield "  clamd was not asked (--no-clamd)."
            return
        words: dict[str, list[Item]] = {}
        for item in items:
            words.setdefault(item.scan, []).append(item)
        covered, idle = words.pop("covered", []), words.pop("", [])
        closed = words.pop("encrypted", []) + words.pop("unread", [])
        asked = sum(map(len, words.values()))
        address = shown(str(self.case.parsed.settings["clamd.address"]))
        yield f"  clamd at {address} was shown {plural(asked, 'item')}:"
        rows = [
            f"    {render.said(group[0])}: {_paths(group, self.whole)}"
            for group in words.values()
        ]
        yield from self.cut(rows, self.most, "answer")
        if covered:
            yield from self.filled(
                "inside what was shown: " + _paths(covered, self.whole)
            )
        if closed:
            yield from self.filled(
                "encrypted, or in a form that nobody here can open: "
                + _paths(closed, self.whole)
            )
        if idle:
            yield from self.filled("not shown: " + _paths(idle, self.whole))


def _excerpt(place: Place) -> Iterator[str]:
    """The line of a place, with a mark below it."""
    number = f"{place.line:>6} | "
    before = shown(place.before, 10 * len(place.before) + 10)
    if len(before) > LEFT or place.column - 1 > len(place.before):
        before = "..." + before[-LEFT:]
    yield f"  {number}{before}{shown(place.after, RIGHT)}"
    if before:
        yield " " * (2 + len(number) + len(before)) + click.style("^", fg="red")


def _setting(found: Verdict) -> str:
    return f"{shown(found.setting)} ({shown(found.origin, 1000)})"


def _is_way(item: Item | None) -> bool:
    """One of the other ways to decode a part, without a finding."""
    if item is None:
        return False
    way = item.path.rpartition("/")[2].partition("+")[0]
    return way == item.encoding and item.scan in ("clean", "covered", "")


def _other_ways(names: list[str]) -> str:
    shown_names = ", ".join(shown(name) for name in names[:MOST_WAYS])
    more = ", ..." if len(names) > MOST_WAYS else ""
    ways = plural(len(names), "other way")
    return f"decoded in {ways} too: {shown_names}{more}"


def _path(node: Node) -> str:
    return node.item.path if node.item is not None else node.path


def _quoted(names: list[str], whole: bool) -> list[str]:
    most = len(names) if whole else MOST_NAMES
    out = [f'"{shown(name)}"' for name in names[:most]]
    if len(names) > most:
        out.append(f"(and {plural(len(names) - most, 'name')} more)")
    return out


def _paths(items: list[Item], whole: bool) -> str:
    most = len(items) if whole else 12
    text = ", ".join(shown(item.path) for item in items[:most])
    return text if len(items) <= most else f"{text} and {len(items) - most} more"


def _lines(node: Node) -> str:
    if not node.first:
        return ""
    text = f"line {node.first}"
    if node.last > node.first:
        text = f"lines {node.first}-{node.last}"
    elif not node.last:
        text = f"from line {node.first}"
    return text + (f" of {shown(node.source)}" if node.source else "")
