# SPDX-License-Identifier: MIT
"""Judging: findings and the action table in, one decision out.

Does: hold the classes and actions; choose the worst action.
Never does: I/O; know how an action is carried out.
"""

from qscan.model import Finding

CLASSES = (
    "virus",
    "limits",
    "encrypted",
    "phishing",
    "pua",
    "macro",
    "structured",
    "broken",
    "malformed",
    "scanner_failure",
)

# Worst first. A sure finding beats a scanner that failed, so that a virus is refused
# for good even when another part could not be scanned.
ACTIONS = (
    "quarantine+reject",
    "reject",
    "quarantine+drop",
    "defer",
    "tag",
    "deliver",
)

DELIVERING = ("deliver", "tag")


class Decision:
    """``verdict`` clean, infected, policy, refused, deferred; ``action`` of ACTIONS;
    ``finding`` the one that decided, or None; ``public`` text for the client."""

    __slots__ = ("action", "finding", "public", "reason", "verdict")

    def __init__(self, verdict: str, action: str) -> None:
        self.verdict = verdict
        self.action = action
        self.finding: Finding | None = None
        self.public = ""
        self.reason = ""


def verdict_of(cls: str) -> str:
    """The verdict word of a class."""
    if cls in ("virus", "phishing"):
        return "infected"
    if cls in ("malformed", "limits"):
        return "refused"
    if cls == "scanner_failure":
        return "deferred"
    return "policy"


def decide(
    findings: list[Finding],
    actions: dict[str, str],
    codes: dict[tuple[str, str], str] | None = None,
) -> Decision:
    """The worst action of all findings, and the finding it comes from.

    ``actions`` maps classes to actions; a class that is missing there is a bug and
    raises KeyError rather than pass. ``codes`` maps (source, rule) of findings to
    actions that they have instead of their class's.
    """
    best: Finding | None = None
    rank = len(ACTIONS)
    for finding in findings:
        action = actions[finding.cls]
        if codes:
            action = codes.get((finding.source, finding.rule), action)
        place = ACTIONS.index(action)
        if place < rank:
            best, rank = finding, place
    if best is None:
        return Decision("clean", "deliver")
    action = ACTIONS[rank]
    verdict = verdict_of(best.cls)
    if verdict == "deferred" and action in DELIVERING:
        verdict = "policy"
    elif action == "defer":
        verdict = "deferred"
    elif verdict == "refused" and action in DELIVERING:
        verdict = "policy"
    decision = Decision(verdict, action)
    decision.finding = best
    decision.reason = f"{best.cls}: {best.rule}" + (
        f" in {best.item}" if best.item else ""
    )
    from qscan import defects

    decision.public = defects.public_text(best)
    return decision
