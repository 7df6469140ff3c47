# SPDX-License-Identifier: MIT
"""One decision out of findings; classes of signature names; the table of defects."""

from __future__ import annotations

import ast
import itertools
import marshal
import random

import pytest
from unpacking import REPOSITORY

from qscan import (
    compiler,
    decide,
    defects,
    mime,
    outcomes,
    pipeline,
    schema,
    settings,
    tnef,
)
from qscan.model import Defect, Finding

DELIVERED = ("deliver", "tag")


def finding(cls: str, rule: str = "Rule") -> Finding:
    return Finding("test", rule, cls, "1.2", "text")


def test_nothing_found_is_delivered() -> None:
    decision = decide.decide([], {})
    assert (decision.verdict, decision.action) == ("clean", "deliver")
    assert decision.finding is None
    assert decision.public == ""


@pytest.mark.parametrize("action", decide.ACTIONS)
@pytest.mark.parametrize("cls", decide.CLASSES)
def test_a_class_does_what_its_action_says(cls: str, action: str) -> None:
    decision = decide.decide([finding(cls)], {cls: action})
    assert decision.action == action
    assert decision.finding is not None
    assert decision.finding.cls == cls
    assert "Rule" in decision.reason
    assert "1.2" in decision.reason
    if action in DELIVERED:
        assert decision.verdict in ("infected", "policy")
    elif action == "defer":
        assert decision.verdict == "deferred"
    else:
        assert decision.verdict in ("infected", "policy", "refused", "deferred")
    row = outcomes.BY_NAME[pipeline.outcome_of(action)]
    wanted = {
        "deliver": "K",
        "tag": "K",
        "quarantine+drop": "K",
        "defer": "Z",
        "reject": "D",
        "quarantine+reject": "D",
    }
    assert row.letter == wanted[action]


@pytest.mark.parametrize(
    ("worse", "better"), [*itertools.combinations(decide.ACTIONS, 2)]
)
def test_the_worst_action_decides_in_any_order(worse: str, better: str) -> None:
    for one, two in itertools.permutations(decide.CLASSES, 2):
        actions = {one: worse, two: better}
        for findings in ([finding(one), finding(two)], [finding(two), finding(one)]):
            decision = decide.decide(findings, actions)
            assert decision.action == worse
            assert decision.finding is not None
            assert decision.finding.cls == one


def test_a_sure_finding_beats_a_scanner_that_failed() -> None:
    actions = {name: str(schema.BY_NAME[f"action.{name}"].default) for name in CLASSES}
    decision = decide.decide([finding("scanner_failure"), finding("virus")], actions)
    assert (decision.verdict, decision.action) == ("infected", "reject")
    decision = decide.decide([finding("scanner_failure")], actions)
    assert (decision.verdict, decision.action) == ("deferred", "defer")


CLASSES = decide.CLASSES


def test_the_defaults_never_let_trouble_pass() -> None:
    for cls in ("virus", "limits", "malformed", "scanner_failure"):
        assert schema.BY_NAME[f"action.{cls}"].default not in DELIVERED, cls
    assert schema.BY_NAME["action.scanner_failure"].default == "defer"


def test_a_class_or_an_action_that_nobody_knows_is_a_bug_and_never_passes() -> None:
    with pytest.raises(KeyError):
        decide.decide([finding("nonsense")], {"virus": "reject"})
    with pytest.raises(ValueError, match="not in tuple"):
        decide.decide([finding("virus")], {"virus": "nonsense"})


def test_of_equal_actions_the_first_finding_is_told() -> None:
    findings = [finding("virus", "One"), finding("virus", "Two")]
    decision = decide.decide(findings, {"virus": "reject"})
    assert decision.finding is findings[0]
    assert "One" in decision.public


def test_every_action_and_class_has_its_settings() -> None:
    for cls in CLASSES:
        assert schema.BY_NAME[f"action.{cls}"].choices == decide.ACTIONS
    assert set(defects.CLASS_TEXT) == set(CLASSES)


@pytest.mark.parametrize("cls", CLASSES)
def test_the_public_text_is_one_decent_line(cls: str) -> None:
    text = defects.public_text(finding(cls, "Win.Test.EICAR_HDB-1"))
    assert text.isascii()
    assert text.isprintable()
    assert "{" not in text
    assert "/" not in text
    assert len(text) < 200


def test_braces_in_a_signature_name_are_only_a_name() -> None:
    for rule in ("{rule}", "{advice}", "{0}", "{cls.__class__}", "%s"):
        assert rule in defects.public_text(finding("virus", rule)) or rule == "{advice}"


# Signature names.


def automaton() -> object:
    arguments = compiler.automaton_arguments(schema.defaults())
    return settings.Settings({}, marshal.dumps(arguments), "").automaton()


NAMES = {
    "Eicar-Test-Signature": "virus",
    "Win.Trojan.Agent-1.UNOFFICIAL": "virus",
    "Heuristics.Limits.Exceeded.MaxFileSize": "limits",
    "Heuristics.Encrypted.Zip": "encrypted",
    "Heuristics.OLE2.ContainsMacros.VBA": "macro",
    "Heuristics.Phishing.Email.SpoofedDomain": "phishing",
    "Heuristics.Structured.CreditCardNumber": "structured",
    "Heuristics.Broken.Executable": "broken",
    "PUA.Win.Packer.UPX-1": "pua",
    "X.Heuristics.Encrypted.Zip": "virus",
    "": "virus",
}


@pytest.mark.parametrize("name", NAMES)
def test_signature_names_have_classes(name: str) -> None:
    assert defects.classify(name, automaton()) == NAMES[name]


# Defects.


def emitted() -> dict[str, set[str]]:
    """Defect codes in the sources -> modules; a code is the first argument of
    ``Defect``, or what is given to the helpers that make one."""
    helpers = {
        "Defect": 0,
        "note": 0,
        "_note": 0,
        "_limit": 0,
        "append": 0,
    }
    found: dict[str, set[str]] = {}
    for path in sorted((REPOSITORY / "qscan").rglob("*.py")):
        if path.name in ("tnef.py", "tnefchild.py", "defects.py"):
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            if not isinstance(node, ast.Call):
                continue
            target = node.func
            name = target.attr if isinstance(target, ast.Attribute) else ""
            name = target.id if isinstance(target, ast.Name) else name
            if name not in helpers:
                continue
            if name == "append" and not (
                isinstance(target, ast.Attribute)
                and isinstance(target.value, ast.Name | ast.Attribute)
                and ast.unparse(target.value).endswith("odd")
            ):
                continue
            for argument in node.args[:2]:
                if isinstance(argument, ast.Constant) and isinstance(
                    argument.value, str
                ):
                    code = argument.value
                    if "-" in code and code == code.lower() and " " not in code:
                        found.setdefault(code, set()).add(path.name)
    return found


#: Made of a prefix and the name of a field, and what ``mime.stub`` tells.
COMPOSED = {f"duplicate-{name.decode()}" for name in mime.SINGLETONS} | {
    mime.stub(b"message/partial; id=1; number=1"),
    mime.stub(b"message/external-body; access-type=URL"),
}


def test_every_code_that_is_annotated_is_in_the_table() -> None:
    codes = emitted()
    assert len(codes) > 25, "the search finds nothing any more"
    for code in {*codes, *COMPOSED}:
        assert code in defects.DEFECTS or code.startswith("tnef-"), codes.get(code)


def test_every_row_of_the_table_is_annotated_by_somebody() -> None:
    known = {*emitted(), *COMPOSED, "tnef-malformed"}
    assert set(defects.DEFECTS) - known == set()


def test_every_code_of_tnef_is_told_to_the_sender() -> None:
    text = (REPOSITORY / "qscan" / "tnef.py").read_text("utf-8")
    codes = {
        node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith("tnef-")
    }
    assert len(codes) > 10
    for code in codes:
        assert defects.advice(code) == defects.TNEF_ADVICE


def test_the_texts_of_defects_tell_what_to_mend() -> None:
    for code, (_, text) in defects.DEFECTS.items():
        assert code == code.lower()
        assert 10 < len(text) < 80, code
        assert text.isascii()
        assert not text.endswith(".")
        if not code.startswith("tnef-"):
            assert defects.advice(code) == text


def test_every_limit_is_refused_whatever_the_list_says() -> None:
    for code, (refused, _) in defects.DEFECTS.items():
        if code.startswith("limit-"):
            assert refused
            (found,) = defects.judge([Defect(code, "1.2")], [])
            assert found.cls == "limits"
            assert found.rule == code


def test_only_listed_defects_are_judged() -> None:
    for code in defects.DEFECTS:
        if code.startswith(("limit-", "tnef-")) or code in defects.CLASS_OF:
            continue
        assert defects.judge([Defect(code, "1.2")], []) == []
        (found,) = defects.judge([Defect(code, "1.2", "detail")], [code])
        assert (found.cls, found.rule, found.item) == ("malformed", code, "1.2")
        assert "detail" in found.text


def test_facts_about_content_have_a_class_of_their_own() -> None:
    for code, cls in defects.CLASS_OF.items():
        assert cls in decide.CLASSES
        assert code in defects.DEFECTS
        for refused in ([], [code]):
            (found,) = defects.judge([Defect(code, "1.2")], refused)
            assert (found.cls, found.rule) == (cls, code)


# Actions of single codes.


def judged(listed: list[str], *codes: str, refused: tuple[str, ...] = ()) -> str:
    """The action of a message with defects of these codes, by the settings' defaults
    and ``malformed.actions`` = ``listed``."""
    own = defects.own_actions(listed)
    found = defects.judge([Defect(code, "1.2") for code in codes], [*refused], own)
    actions = {name: str(schema.BY_NAME[f"action.{name}"].default) for name in CLASSES}
    return decide.decide(found, actions, defects.actions_of(found, own)).action


@pytest.mark.parametrize("action", decide.ACTIONS)
def test_a_code_that_is_only_noted_can_have_an_action(action: str) -> None:
    assert judged([], "base64-junk") == "deliver"
    assert judged([f"base64-junk: {action}"], "base64-junk") == action
    assert judged([f"base64-junk: {action}"], "missing-close") == "deliver"


def test_the_action_of_a_code_counts_instead_of_that_of_its_class() -> None:
    assert judged([], "archive-encrypted") == "tag"
    assert judged(["archive-encrypted: reject"], "archive-encrypted") == "reject"
    assert judged([], "limit-depth") == "reject"
    assert judged(["limit-depth: defer"], "limit-depth") == "defer"
    refused = ("nul-in-header",)
    assert judged([], "nul-in-header", refused=refused) == "reject"
    assert judged(["nul-in-header: tag"], "nul-in-header", refused=refused) == "tag"


def test_the_worst_action_still_wins() -> None:
    listed = ["base64-junk: tag", "missing-close: quarantine+reject"]
    assert judged(listed, "base64-junk", "missing-close") == "quarantine+reject"
    assert judged(listed, "base64-junk", "limit-parts") == "reject"


def test_a_code_beats_its_family_and_a_longer_beginning_a_shorter_one() -> None:
    listed = ["base64-*: tag", "b*: defer", "base64-junk: reject"]
    for order in itertools.permutations(listed):
        assert judged([*order], "base64-junk") == "reject"
        assert judged([*order], "base64-length") == "tag"
        assert judged([*order], "boundary-missing") == "defer"
        assert judged([*order], "missing-close") == "deliver"


def test_tnef_malformed_stands_for_all_that_may_hide_something() -> None:
    listed = ["tnef-malformed: quarantine+reject", "tnef-level: tag"]
    assert judged(listed, "tnef-checksum") == "quarantine+reject"
    assert judged(listed, "tnef-unheard-of") == "quarantine+reject"
    assert judged(listed, "tnef-level") == "tag"
    assert judged(listed, "tnef-version") == "deliver"
    assert judged(["tnef-*: tag"], "tnef-version") == "tag"


def test_a_signature_that_is_called_like_a_code_keeps_its_class() -> None:
    codes = {("mime", "base64-junk"): "deliver"}
    found = [Finding("clamd", "base64-junk", "virus")]
    assert decide.decide(found, {"virus": "reject"}, codes).action == "reject"


def test_every_code_can_have_an_action() -> None:
    for code in schema.ACTIONABLE:
        assert schema.split_action(f"{code}:defer", schema.ACTIONABLE)[0] == code
        assert judged([f"{code}: defer"], code) == "defer"


def test_one_finding_for_a_code_however_often_it_stands() -> None:
    many = [Defect("nul-in-header", str(n)) for n in range(1000)]
    assert len(defects.judge(many, ["nul-in-header"])) == 1


@pytest.mark.parametrize("code", [*tnef.CODES, "tnef-unheard-of"])
def test_a_damaged_tnef_is_refused_where_the_damage_may_hide_something(
    code: str,
) -> None:
    hides = tnef.CODES.get(code, (True, ""))[0]
    found = defects.judge([Defect(code, "1")], ["tnef-malformed"])
    assert [one.cls for one in found] == (["malformed"] if hides else [])
    assert defects.judge([Defect(code, "1")], []) == []
    assert len(defects.judge([Defect(code, "1")], [code])) == 1


def test_the_default_list_refuses_what_clients_read_differently() -> None:
    refused = schema.defaults()["malformed.refuse"]
    assert isinstance(refused, list)
    wanted = {code for code, (default, _) in defects.DEFECTS.items() if default}
    assert set(refused) == {code for code in wanted if not code.startswith("limit-")}


def test_the_status_table_is_one_to_one() -> None:
    names = [row.name for row in outcomes.TABLE]
    assert len(set(names)) == len(names)
    for row in outcomes.TABLE:
        assert row.letter in "DZK"
        permanent = 11 <= row.code <= 40
        assert (row.letter == "D") == permanent
        assert (row.letter == "K") == (row.code == 0)
        assert row.dsn[0] == {"D": "5", "Z": "4", "K": "2"}[row.letter]
        assert row.text.isascii()


def test_any_findings_give_one_of_the_actions() -> None:
    dice = random.Random(6)
    for _ in range(2000):
        actions = {cls: dice.choice(decide.ACTIONS) for cls in CLASSES}
        findings = [finding(dice.choice(CLASSES)) for _ in range(dice.randrange(6))]
        decision = decide.decide(findings, actions)
        wanted = sorted(
            (actions[one.cls] for one in findings), key=decide.ACTIONS.index
        )
        assert decision.action == (wanted[0] if findings else "deliver")
