# SPDX-License-Identifier: MIT
"""``qscan explain``: everything about one message, to be shown to a colleague.

Does: run the wrapper's own pipeline on a file, like ``qscan scan``, and say what the
message looks like in every reading, what is odd about it and where, what that means,
what was scanned, and what decided. Never does: deliver, keep, or need root; let
anything of the mail move the cursor.
Limits: long lists are cut for people, never in JSON.
"""

from __future__ import annotations

import json
import tempfile

import click

from qscan import compiler, defects, defecttext, fdio, pipeline
from qscan.cli import FAILED, WRONG_USE, common, outline, page, render, scan
from qscan.cli.common import shown
from qscan.cli.outline import Node, Outline
from qscan.cli.render import Trouble, valid
from qscan.cli.why import Case, forms_of, verdict_of
from qscan.model import Defect, Finding
from qscan.pipeline import Report


@click.command(
    "explain",
    short_help="Explain one message: its tree, every defect, the decision.",
    epilog="Exit codes: 0 it would be delivered, 1 it would not, 2 it could not be "
    "decided (clamd is down, the file cannot be read), or wrong use. "
    "qscan-defects(7) has the texts for all defects.",
)
@common.settings_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option(
    "--no-clamd", is_flag=True, help="Only unpack and apply policy; clamd is not asked."
)
@click.option("--all", "whole", is_flag=True, help="Cut no list, however long.")
@click.argument("file", metavar="FILE|-")
def command(
    settings: str | None,
    text: str | None,
    as_json: bool,
    no_clamd: bool,
    whole: bool,
    file: str,
) -> int:
    """Explain what qscan-queue would do with a message, and why: what decided, the
    tree of parts, the other ways to read it, all names, and every defect with its
    place in the file, what it means and what mail programs make of it.

    FILE holds one message as it is sent; - is standard input.

    \b
    With --json, one object: all that qscan scan --json has, and
      decision {class, rule, source, item, action, because, setting,
                origin, told}, or null when nothing was found,
      in each of defects: source, offset, line, column, before, after,
             default, class, action, meaning, clients, mend,
      tree [path, kind, source, type, encoding, names, boundary,
            offset, end, first_line, last_line, item],
      readings [source, name, how, because, same, tree],
      names [path, name, forms], complete
    """
    scan.end_on_signals()
    with tempfile.TemporaryDirectory(prefix="qscan-") as work:
        try:
            chosen = common.choose(settings, text)
            loaded = scan.load(chosen, work)
        except compiler.SettingsError as error:
            common.report(error)
            return WRONG_USE
        except fdio.Failure as failure:
            common.fail(shown(failure.why, 1000))
            return WRONG_USE
        drawn: list[Outline] = []

        def look(report: Report, fd: int, size: int) -> None:
            limits = pipeline.limits_of(loaded.values)
            drawn.append(outline.draw(report, fd, size, limits))

        report = scan.examine(
            *(file, file, loaded, work), clamd=not no_clamd, digests=as_json, look=look
        )
    if isinstance(report, Trouble):
        common.fail(f"{shown(file)}: {shown(report.reason, 400)}")
        if as_json:
            click.echo(json.dumps(render.facts(file, report) | _nothing()))
        return WRONG_USE
    case = Case(file, report, drawn[0], chosen.parsed, not no_clamd)
    if as_json:
        click.echo(as_facts(case))
    else:
        click.echo(page.as_text(case, plain=not scan.can_draw(), whole=whole))
    if report.verdict in render.UNDECIDED:
        return WRONG_USE
    return 0 if report.action in ("deliver", "tag") else FAILED


# -- JSON -----------------------------------------------------------------------------


def _nothing() -> dict[str, object]:
    return {
        "decision": None,
        "tree": [],
        "readings": [],
        "names": [],
        "complete": False,
    }


def as_facts(case: Case) -> str:
    """One object on one line, ASCII: see ``qscan explain --help``."""
    report = case.report
    facts = render.facts(case.name, report)
    by_rule = {(one.source, one.rule): one for one in report.findings}
    facts["defects"] = [
        _defect_facts(case, index, defect, by_rule)
        for index, defect in enumerate(report.defects)
    ]
    facts["decision"] = None
    if report.decision.finding is not None:
        found = verdict_of(report.decision.finding, case.parsed)
        facts["decision"] = {
            "class": found.finding.cls,
            "rule": valid(found.finding.rule),
            "source": found.finding.source,
            "item": valid(found.finding.item),
            "action": found.action,
            "because": valid(found.because),
            "setting": valid(found.setting),
            "origin": valid(found.origin),
            "told": valid(render.told(report, case.dialect())),
        }
    facts["tree"] = [_node_facts(node) for node in case.outline.tree()]
    facts["readings"] = [
        {
            "source": valid(view.source),
            "name": view.reading,
            "how": defecttext.READINGS.get(view.reading, ""),
            "because": view.because,
            "same": not case.differs(view),
            "tree": [_node_facts(node) for node in view.nodes],
        }
        for view in case.outline.views
        if view.reading
    ]
    facts["names"] = [
        {
            "path": valid(item.path),
            "name": valid(name),
            "forms": [valid(form) for form in forms_of(name)],
        }
        for item in report.items
        for name in item.names
    ]
    facts["complete"] = case.outline.complete
    return json.dumps(facts)


def _defect_facts(
    case: Case,
    index: int,
    defect: Defect,
    findings: dict[tuple[str, str], Finding],
) -> dict[str, object]:
    place = case.outline.places.get(index)
    text = defecttext.text_of(defect.code)
    finding = findings.get((defects.source_of(defect.code), defect.code))
    return {
        "code": defect.code,
        "where": valid(defect.where),
        "detail": valid(defect.detail),
        "source": valid(defect.source),
        "offset": place.offset if place else None,
        "line": place.line if place else None,
        "column": place.column if place else None,
        "before": valid(place.before) if place else None,
        "after": valid(place.after) if place else None,
        "default": defecttext.default_of(defect.code),
        "class": finding.cls if finding else None,
        "action": verdict_of(finding, case.parsed).action if finding else None,
        "meaning": text.meaning,
        "clients": text.clients,
        "mend": text.mend,
    }


def _node_facts(node: Node) -> dict[str, object]:
    return {
        "path": valid(node.path),
        "kind": node.kind,
        "source": valid(node.source),
        "type": valid(node.media),
        "encoding": valid(node.encoding),
        "names": [valid(name) for name in node.names],
        "boundary": None if node.boundary is None else valid(node.boundary),
        "offset": node.start if node.start >= 0 else None,
        "end": node.end if node.end >= 0 else None,
        "first_line": node.first or None,
        "last_line": node.last or None,
        "item": valid(node.item.path) if node.item else None,
    }
