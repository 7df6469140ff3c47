# SPDX-License-Identifier: MIT
"""What defects and signature names mean: classes, texts for people.

Does: turn defects into findings, signature names into classes, findings into the text
for the SMTP client. Never does: choose an action. Imported only when there is
something to judge: a clean message does not pay for the table.
"""

from qscan.model import Defect, Finding

# What the SMTP client is told about a class; {rule} is the signature or defect.
CLASS_TEXT = {
    "virus": "message refused: infected with {rule}",
    "limits": "message refused: too large or too complex to be checked ({rule})",
    "encrypted": "message refused: encrypted content cannot be checked ({rule})",
    "phishing": "message refused: phishing ({rule})",
    "pua": "message refused: unwanted program ({rule})",
    "macro": "message refused: document with macros ({rule})",
    "structured": "message refused: sensitive data ({rule})",
    "broken": "message refused: damaged content ({rule})",
    "malformed": "message refused: malformed, {advice}",
    "scanner_failure": "message cannot be checked now, try again later",
}

# Every defect the parsers annotate: (refused by default, what a sender should mend).
# Codes name-..., type-..., archive-... and document-... are facts about content.
DEFECTS: dict[str, tuple[bool, str]] = {
    "archive-broken": (False, "an archive in it is damaged"),
    "archive-encrypted": (False, "an archive in it is encrypted"),
    "document-encrypted": (False, "a document in it is encrypted"),
    "document-macros": (False, "a document in it has macros"),
    "bad-content-type": (False, "its Content-Type names no type"),
    "bad-transfer-encoding": (False, "its Content-Transfer-Encoding is no plain word"),
    "bare-cr-in-header": (False, "a header line contains a bare CR"),
    "base64-data-after-padding": (False, "base64 data goes on after its end"),
    "base64-junk": (False, "base64 data contains other characters"),
    "base64-length": (False, "base64 data is cut short"),
    "boundary-in-header": (False, "a boundary stands inside a part header"),
    "boundary-missing": (False, "a multipart does not state its boundary"),
    "boundary-not-found": (False, "the boundary of a multipart is not found"),
    "boundary-trailing-blank": (False, "a boundary ends with blanks"),
    "boundary-with-junk": (False, "a delimiter line goes on after its boundary"),
    "boundary-without-multipart": (False, "a boundary is stated without multipart"),
    "comment-in-mime-field": (False, "a MIME field contains a comment"),
    "conflicting-boundary": (True, "a multipart states two boundaries"),
    "continuation-first": (False, "a header begins with a continuation line"),
    "duplicate-content-disposition": (False, "a part has two Content-Disposition"),
    "duplicate-content-transfer-encoding": (
        True,
        "a part has two Content-Transfer-Encoding fields",
    ),
    "duplicate-content-type": (True, "a part has two Content-Type fields"),
    "duplicate-mime-version": (False, "MIME-Version stands twice"),
    "encoded-multipart": (False, "a multipart is transfer-encoded"),
    "external-body": (True, "its content is elsewhere (message/external-body)"),
    "header-junk": (False, "a header line is no field"),
    "limit-depth": (True, "it is nested too deeply"),
    "limit-expanded-bytes": (True, "its parts are too large when unpacked"),
    "limit-header-bytes": (True, "a header is too long"),
    "limit-parameters": (True, "a field has too many parameters"),
    "limit-parts": (True, "it has too many parts"),
    "limit-unpack-seconds": (True, "it takes too long to unpack"),
    "message-partial": (True, "it is a fragment of a message (message/partial)"),
    "missing-close": (False, "a multipart is not closed"),
    "no-header": (False, "a part has no header"),
    "nul-in-header": (True, "a header contains NUL"),
    "qp-blank-soft-break": (False, "blanks follow a soft line break"),
    "same-boundary-nested": (False, "nested multiparts share a boundary"),
    "space-before-colon": (False, "a blank stands before the colon of a field"),
    "stray-backslash": (False, "a backslash stands outside quotes"),
    "stray-quote": (False, "a quote stands inside a word"),
    "tnef-malformed": (True, "its winmail.dat is damaged"),
    "uu-bad-line": (False, "uuencoded data is damaged"),
    "unknown-transfer-encoding": (False, "its Content-Transfer-Encoding is unknown"),
    "unterminated-comment": (False, "a comment is not closed"),
    "unterminated-quote": (False, "a quoted string is not closed"),
}

# Defects that are findings of another class than malformed, whatever is refused there.
CLASS_OF: dict[str, str] = {
    "archive-encrypted": "encrypted",
    "archive-broken": "broken",
    "document-encrypted": "encrypted",
    "document-macros": "macro",
}

TNEF_ADVICE = "its winmail.dat is damaged, send the attachments without it"

REFUSED_DEFECTS = tuple(
    code
    for code, (refused, _) in DEFECTS.items()
    if refused and not code.startswith("limit-")
)


def classify(name: str, automaton: object) -> str:
    """The class of a signature name; ``automaton`` is the Aho-Corasick automaton of
    all class literals (values: class, anchored, length). The longest literal wins."""
    best = ""
    longest = 0
    for end, (cls, anchored, length) in automaton.iter(name):  # type: ignore[attr-defined]
        if anchored and end != length - 1:
            continue
        if length > longest:
            best, longest = cls, length
    return best or "virus"


def judge(defects: list[Defect], refused: list[str]) -> list[Finding]:
    """Findings of class limits and malformed from the defects that policy refuses;
    one per code."""
    out: list[Finding] = []
    seen: list[str] = []
    for defect in defects:
        code = defect.code
        if code in seen:
            continue
        if code.startswith("limit-"):
            cls = "limits"
        elif code in CLASS_OF:
            cls = CLASS_OF[code]
        elif code in refused or (
            code.startswith("tnef-") and "tnef-malformed" in refused and may_hide(code)
        ):
            cls = "malformed"
        else:
            continue
        seen.append(code)
        text = f"{advice(code)} {defect.where} {defect.detail}".rstrip()
        out.append(Finding(source_of(code), code, cls, defect.where, text))
    return out


def may_hide(code: str) -> bool:
    """True when a defect of TNEF means that content may be hidden; an unknown code
    does."""
    from qscan import tnef

    return tnef.CODES.get(code, (True, ""))[0]


def source_of(code: str) -> str:
    """Who annotates a code."""
    if code.startswith("tnef-"):
        return "tnef"
    return "limits" if code.startswith("limit-") else "mime"


def advice(code: str) -> str:
    """What is wrong with the message, for its human sender."""
    if code.startswith("tnef-"):
        return TNEF_ADVICE
    row = DEFECTS.get(code)
    return row[1] if row else code


def public_text(finding: Finding) -> str:
    """What the SMTP client is told when this finding decides."""
    text = CLASS_TEXT[finding.cls].replace("{rule}", finding.rule)
    return text.replace("{advice}", advice(finding.rule))
