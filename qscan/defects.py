# SPDX-License-Identifier: MIT
"""What defects and signature names mean: classes, texts for people.

Does: turn defects into findings, signature names into classes, findings into the text
for the SMTP client. Never does: choose an action. Imported only when there is
something to judge: a clean message does not pay for the table.
"""

from qscan.model import Defect, Finding

# What the SMTP client is told about a class; {rule} is the signature or defect,
# {advice} what is wrong in words, where there are any.
CLASS_TEXT = {
    "virus": "message refused: infected with {rule}",
    "limits": "message refused: too large or too complex to be checked ({advice})",
    "encrypted": "message refused: encrypted content cannot be checked ({advice})",
    "phishing": "message refused: phishing ({rule})",
    "pua": "message refused: unwanted program ({rule})",
    "macro": "message refused: document with macros ({advice})",
    "structured": "message refused: sensitive data ({rule})",
    "broken": "message refused: damaged content ({advice})",
    "malformed": "message refused: malformed, {advice}",
    "scanner_failure": "message cannot be checked now, try again later",
}

# Every defect the parsers annotate: (refused by default, what a sender should mend).
# Codes name-, type-, archive-, document- and pdf-... are facts about content.
DEFECTS: dict[str, tuple[bool, str]] = {
    "archive-broken": (False, "an archive in it is damaged"),
    "archive-child-died": (True, "an archive or document in it cannot be opened"),
    "archive-decrypted": (False, "an archive in it opened with a word of its text"),
    "archive-duplicate-name": (False, "two members of an archive have the same name"),
    "archive-encrypted": (False, "an archive in it is encrypted"),
    "archive-inconsistent": (True, "an archive in it contradicts itself, pack it anew"),
    "archive-junk": (False, "an archive in it has other bytes before or after it"),
    "archive-method": (False, "an archive in it uses an old compression"),
    "archive-overlap": (True, "members of an archive in it overlap, pack it anew"),
    "archive-unsupported": (False, "an archive in it uses an unknown compression"),
    "document-activex": (False, "a document in it contains an ActiveX control"),
    "document-broken": (False, "a document in it is damaged"),
    "document-dde": (False, "a document in it starts another program (DDE)"),
    "document-embedded-object": (False, "a document in it contains another file"),
    "document-encrypted": (False, "a document in it is encrypted"),
    "document-equation": (False, "a document in it needs the old equation editor"),
    "document-external-link": (False, "a document in it loads content from elsewhere"),
    "document-installer": (False, "it contains a package of the Windows installer"),
    "document-macros": (False, "a document in it has macros"),
    "pdf-embedded-file": (False, "a PDF in it contains another file"),
    "pdf-javascript": (False, "a PDF in it contains JavaScript"),
    "pdf-launch": (False, "a PDF in it starts a program"),
    "pdf-open-action": (False, "a PDF in it does something when it is opened"),
    "pdf-restricted": (False, "a PDF in it is encrypted with an empty password"),
    "pdf-rich-media": (False, "a PDF in it contains a film or Flash"),
    "pdf-xfa": (False, "a PDF in it contains an XFA form"),
    "bad-content-type": (False, "its Content-Type names no type"),
    "bad-transfer-encoding": (False, "its Content-Transfer-Encoding is no plain word"),
    "bare-cr-before-delimiter": (
        False,
        "a bare CR stands before dashes at the start of a line",
    ),
    "bare-cr-in-header": (False, "a header line contains a bare CR"),
    "base64-data-after-padding": (False, "base64 data goes on after its end"),
    "base64-junk": (False, "base64 data contains other characters"),
    "base64-length": (False, "base64 data is cut short"),
    "base64-lines": (False, "lines of base64 data are not filled"),
    "blank-line-in-header": (False, "a line of blanks stands in a header"),
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
    "external-body": (
        True,
        "its content is elsewhere (message/external-body), attach it",
    ),
    "field-behind-cr": (True, "a header field stands behind a bare CR"),
    "header-in-body": (False, "a MIME field stands in the text of a part"),
    "header-junk": (False, "a header line is no field"),
    "hidden-field": (False, "a MIME field is indented or has junk around its name"),
    "limit-archive-bytes": (True, "an archive in it is too large when unpacked"),
    "limit-archive-cpu": (True, "an archive or document in it takes too much work"),
    "limit-archive-depth": (True, "archives in it are nested too deeply"),
    "limit-archive-members": (True, "an archive in it has too many members"),
    "limit-archive-memory": (True, "an archive in it takes too much memory to open"),
    "limit-archive-ratio": (True, "an archive in it unpacks to very much more"),
    "limit-archive-seconds": (True, "an archive or document in it takes too long"),
    "limit-depth": (True, "it is nested too deeply"),
    "limit-expanded-bytes": (True, "its parts are too large when unpacked"),
    "limit-header-bytes": (True, "a header is too long"),
    "limit-names": (True, "a part has too many names"),
    "limit-parameters": (True, "a field has too many parameters"),
    "limit-parts": (True, "it has too many parts"),
    "limit-unpack-seconds": (True, "it takes too long to unpack"),
    "mail-encrypted": (False, "it is encrypted (S/MIME)"),
    "message-partial": (
        True,
        "it is a fragment of a message (message/partial), send it whole",
    ),
    "missing-close": (False, "a multipart is not closed"),
    "misspelt-transfer-encoding": (False, "its Content-Transfer-Encoding is misspelt"),
    "name-archive-cloaked": (False, "a file name hides that it is an archive"),
    "name-bidi-override": (False, "a file name changes the direction of writing"),
    "name-clsid": (False, "a file name ends with the number of a Windows class"),
    "name-control": (False, "a file name contains control characters"),
    "name-device": (False, "a file is named like a device"),
    "name-double-extension": (False, "a file name has two endings, one a program's"),
    "name-many-blanks": (False, "a file name contains a long run of blanks"),
    "name-path": (False, "a file name is a path"),
    "name-stream": (False, "a file name names a stream of another file"),
    "name-too-long": (False, "a file name is longer than 255 bytes"),
    "no-header": (False, "a part has no header"),
    "nul-in-header": (True, "a header contains a NUL byte"),
    "qp-bad-escape": (False, "quoted-printable data contains stray equals signs"),
    "qp-blank-soft-break": (False, "blanks follow a soft line break"),
    "repeated-field": (False, "a MIME field stands twice with the same value"),
    "same-boundary-nested": (False, "nested multiparts share a boundary"),
    "space-before-colon": (False, "a blank stands before the colon of a field"),
    "stray-backslash": (False, "a backslash stands outside quotes"),
    "stray-quote": (False, "a quote stands inside a word"),
    "tnef-malformed": (True, "its winmail.dat is damaged"),
    "too-ambiguous": (True, "it is malformed in too many ways at once"),
    "uu-bad-line": (False, "uuencoded data is damaged"),
    "type-disguised-program": (False, "a program in it calls itself a document"),
    "type-mismatch": (False, "a file in it is not of the type it is said to be"),
    "unknown-transfer-encoding": (True, "its Content-Transfer-Encoding is unknown"),
    "unterminated-comment": (False, "a comment is not closed"),
    "unterminated-quote": (False, "a quoted string is not closed"),
}

# Defects that are findings of another class than malformed, whatever is refused there.
CLASS_OF: dict[str, str] = {
    "archive-encrypted": "encrypted",
    "archive-broken": "broken",
    "archive-unsupported": "encrypted",
    "document-broken": "broken",
    "document-encrypted": "encrypted",
    "document-macros": "macro",
    "mail-encrypted": "encrypted",
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


def own_actions(listed: list[str]) -> dict[str, str]:
    """The setting ``malformed.actions`` ("CODE: ACTION", checked by the compiler) as
    {code or beginning of codes with a *: action}."""
    out: dict[str, str] = {}
    for text in listed:
        code, _, action = text.partition(":")
        out[code.strip()] = action.strip()
    return out


def own_entry(code: str, own: dict[str, str]) -> str:
    """The key of ``own`` that a code has its action from: itself, else tnef-malformed,
    else the longest beginning; "" when it has the action of its class."""
    if code in own:
        return code
    if code.startswith("tnef-") and "tnef-malformed" in own and may_hide(code):
        return "tnef-malformed"
    for length in range(len(code), 0, -1):
        if code[:length] + "*" in own:
            return code[:length] + "*"
    return ""


def actions_of(
    findings: list[Finding], own: dict[str, str]
) -> dict[tuple[str, str], str]:
    """{(source, rule): action} of those findings of ``judge`` that have their own."""
    out: dict[tuple[str, str], str] = {}
    for finding in findings:
        entry = own_entry(finding.rule, own)
        if entry:
            out[(finding.source, finding.rule)] = own[entry]
    return out


def judge(
    defects: list[Defect], refused: list[str], own: dict[str, str] | None = None
) -> list[Finding]:
    """Findings of class limits and malformed from the defects that policy refuses;
    one per code. ``own`` of ``own_actions``: what is listed there is a finding too.
    """
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
        elif (
            code in refused
            or (
                code.startswith("tnef-")
                and "tnef-malformed" in refused
                and may_hide(code)
            )
            or (own and own_entry(code, own))
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
