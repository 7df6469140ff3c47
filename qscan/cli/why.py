# SPDX-License-Identifier: MIT
"""One message that was examined, and which rule, class and setting decided about it.

Does: hold what ``qscan explain`` shows; trace a finding back to the settings. Never
does: judge again - action and class are what the pipeline says they are.
"""

from __future__ import annotations

from dataclasses import dataclass

from qscan import defects, names, pipeline, schema
from qscan.cli import outline
from qscan.cli.outline import Outline, View
from qscan.compiler import Parsed
from qscan.model import Finding
from qscan.pipeline import Report
from qscan.scanners import REGISTRY


@dataclass
class Case:
    """One message: what the pipeline said, what it looks like, which settings."""

    name: str
    report: Report
    outline: Outline
    parsed: Parsed
    clamd: bool

    def dialect(self) -> str:
        """The setting ``reject.dialect``."""
        return str(self.parsed.settings["reject.dialect"])

    def differs(self, view: View) -> bool:
        """Whether a further reading shows anything that the normal one does not."""
        normal = self.outline.normal(view.source)
        return any(mark != " " for mark, _ in outline.differences(normal, view))


@dataclass
class Verdict:
    """Why a finding has its action: ``because`` in words, ``setting`` as it would be
    written in the text, ``origin`` where it is set."""

    finding: Finding
    action: str
    because: str
    setting: str
    origin: str


def verdict_of(finding: Finding, parsed: Parsed) -> Verdict:
    """Class and action of a finding, with the settings they come from."""
    values = parsed.settings
    own = defects.own_actions(pipeline.texts(values["malformed.actions"]))
    setting = f"action.{finding.cls}"
    action = str(values[setting])
    line = f"{setting} = {schema.toml_text(action)}"
    if finding.source not in REGISTRY:
        entry = defects.own_entry(finding.rule, own)
        if entry:
            action, setting = own[entry], "malformed.actions"
            line = f"malformed.actions has {schema.toml_text(f'{entry}: {action}')}"
    because = _because(finding, parsed)
    return Verdict(finding, action, because, line, _origin(setting, parsed))


def _because(finding: Finding, parsed: Parsed) -> str:
    """Why the finding is there and has its class."""
    rule, cls = finding.rule, finding.cls
    where = f" in {finding.item}" if finding.item else ""
    if finding.source in REGISTRY:
        if cls == "scanner_failure":
            return f"{finding.source} gave no usable answer{where}: {finding.text}"
        if rule.startswith("limit-"):
            return f"{finding.source} cannot scan all of it{where}: {finding.text}"
        literal, owner = _literal(rule, parsed)
        why = f"no literal of class.* fits that name, so it is of class {cls}"
        if literal:
            literal = schema.toml_text(literal)
            why = f"class.{owner} has {literal}, so it is of class {cls}"
        return f"{finding.source} found {rule}{where}; {why}"
    text = f"the defect {rule}{where} is a finding of class {cls}"
    if rule.startswith("limit-"):
        return f"{text}: something was not looked at"
    if cls != "malformed":
        return f"{text}, as always"
    refused = pipeline.texts(parsed.settings["malformed.refuse"])
    for name in (rule, "tnef-malformed"):
        if name in refused and (name == rule or defects.may_hide(rule)):
            origin = _origin("malformed.refuse", parsed)
            return f"{text}, because malformed.refuse has {name} ({origin})"
    return f"{text}, because malformed.actions names it"


def _literal(name: str, parsed: Parsed) -> tuple[str, str]:
    """(the literal that gave a signature its class, that class); ("", "") if none."""
    best = ("", "")
    for row in schema.TABLE:
        if row.kind != "literals":
            continue
        for text in pipeline.texts(parsed.settings[row.name]):
            bare = text.removeprefix("*")
            fits = bare in name if text.startswith("*") else name.startswith(bare)
            if fits and len(bare) > len(best[0].removeprefix("*")):
                best = (text, row.name.partition(".")[2])
    return best


def _origin(name: str, parsed: Parsed) -> str:
    line = parsed.lines.get(name)
    return f"{parsed.source[0]}:{line}" if line else "the default"


def forms_of(name: str) -> list[str]:
    """What rules for names are matched against, besides the name as it stands."""
    return [form for form in names.forms(name) if form != name]
