# SPDX-License-Identifier: MIT
"""Every setting there is, in one table.

Does: name each setting, its kind, default, bounds and meaning; check one value; print
the commented ``install/qscan.toml`` and the manual page ``docs/man/qscan.toml.5``
from the table, so that neither can drift from it (tests hold both identical).
Never does: read files, know TOML syntax, run in the wrapper (this module is cold).
Raises: ``ValueError`` with a text for people when a value does not fit.
"""

from __future__ import annotations

import difflib
import re
import textwrap
from dataclasses import dataclass

from qscan.decide import ACTIONS
from qscan.defects import CLASS_OF, DEFECTS, REFUSED_DEFECTS
from qscan.settings import DIALECTS, FROM_ENVIRONMENT, TNEF_DELIVER
from qscan.tnef import CODES as TNEF_DEFECTS

Value = str | int | bool | list[str]

# Those that qscan.log can write to (a test holds them equal).
FACILITIES = (
    *("mail", "daemon", "auth", "user", "kern"),
    *(f"local{number}" for number in range(8)),
)

# What malformed.refuse may name. Limits have a class of their own; a damaged TNEF has
# many codes that are refused together as tnef-malformed, the harmless ones apart.
REFUSABLE = (
    *(
        code
        for code in DEFECTS
        if not code.startswith("limit-") and code not in CLASS_OF
    ),
    *(code for code, (hides, _) in TNEF_DEFECTS.items() if not hides),
)

# What malformed.actions may name, besides beginnings of them with a *.
ACTIONABLE = (*DEFECTS, *TNEF_DEFECTS)

# sizeof(sun_path) less the final NUL on Linux (unix(7)).
SOCKET_PATH_MAX = 107


@dataclass(frozen=True)
class Setting:
    """One row. ``kind`` is one of the keys of ``KIND_NAMES``; ``minimum`` and
    ``maximum`` bound an ``int``; ``choices`` bound a ``choice``, the members of a
    ``codes`` list, or the codes in an ``actions`` list; ``unit`` is for people.
    """

    name: str
    kind: str
    default: Value
    doc: str
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()
    unit: str = ""

    @property
    def tcprules(self) -> bool:
        """Whether the environment may override it for one connection."""
        return self.name in FROM_ENVIRONMENT

    def default_list(self) -> list[str]:
        """The default of a list, a new one; empty for other kinds."""
        return list(self.default) if isinstance(self.default, list) else []

    def environment_name(self) -> str:
        """``header.qscan`` -> ``QSCAN_HEADER_QSCAN``."""
        return "QSCAN_" + self.name.replace(".", "_").upper()


KIND_NAMES = {
    "path": "a text with an absolute path",
    "folder": "a text with an absolute path, or empty",
    "address": 'a text: "unix:/path/of/socket" or "tcp:HOST:PORT"',
    "choice": "a text",
    "int": "a whole number",
    "bool": "true or false",
    "literals": "a list of texts",
    "codes": "a list of texts",
    "actions": "a list of texts",
}


def _int(name: str, default: int, low: int, high: int, unit: str, doc: str) -> Setting:
    return Setting(name, "int", default, doc, low, high, unit=unit)


def _action(cls: str, default: str, doc: str) -> Setting:
    return Setting(f"action.{cls}", "choice", default, doc, choices=ACTIONS)


def _class(cls: str, default: list[str], doc: str) -> Setting:
    return Setting(f"class.{cls}", "literals", default, doc)


TABLE: tuple[Setting, ...] = (
    Setting(
        "qmail_queue",
        "path",
        "/var/qmail/bin/qmail-queue",
        "The program that gets the message when it may pass: qmail's own qmail-queue, "
        "or the next program of a chain. Not qscan-queue itself: mail would go round "
        "for ever.",
    ),
    Setting(
        "spool_dir",
        "path",
        "/var/spool/qscan",
        "Where messages wait while they are looked at: a private directory for each, "
        "below work/, which must exist and be writable for whoever runs qmail-smtpd. "
        "Under tcpserver that is a user with only its main group (qmaild, nofiles), so "
        "work/ has that group and mode 1770: members make directories, nobody else "
        "looks. It needs room for the largest message twice, times the number of "
        "simultaneous messages.",
    ),
    Setting(
        "clamd.address",
        "address",
        "unix:/run/clamav/clamd.ctl",
        "Where clamd listens. A local socket is much cheaper: clamd is handed open "
        "files and needs no permission on the spool. Over TCP (tcp:HOST:PORT, an IPv6 "
        "address in brackets) every byte is sent.",
    ),
    _int(
        "clamd.connect_seconds",
        5,
        1,
        300,
        "seconds",
        "How long one attempt to connect to clamd may take.",
    ),
    _int(
        "clamd.answer_seconds",
        120,
        1,
        3600,
        "seconds",
        "How long to wait for clamd's next answer. Then the message is deferred.",
    ),
    _int(
        "clamd.retry_seconds",
        20,
        0,
        300,
        "seconds",
        "How long to go on trying when clamd's socket is absent or refuses, as it "
        "does while clamd restarts. Then the scan has failed: action.scanner_failure. "
        "0 tries once.",
    ),
    Setting(
        "scan.raw",
        "choice",
        "always",
        "Whether clamd also sees the message as it came, besides the decoded parts. "
        "Its own mail parser finds some things that only whole messages show.",
        choices=("always", "never"),
    ),
    Setting(
        "scan.parts",
        "bool",
        True,
        "Whether messages are unpacked and clamd sees each decoded part. Without it "
        "everything depends on clamd's mail parser, which is easily misled.",
    ),
    Setting(
        "scan.types",
        "choice",
        "builtin",
        "How the real type of a part is found out: a short table of our own, or "
        "libmagic, which knows many more and costs some milliseconds a message.",
        choices=("builtin", "libmagic"),
    ),
    _int(
        "limit.depth",
        20,
        1,
        200,
        "levels",
        "How deep parts may be nested in one another. Like the other limits on "
        "content: what lies beyond is not unpacked, and the message gets a finding of "
        "class limits; action.limits says what becomes of it.",
    ),
    _int(
        "limit.parts",
        2000,
        1,
        1_000_000,
        "parts",
        "How many parts one message may have, all levels together.",
    ),
    _int(
        "limit.header_bytes",
        262_144,
        1024,
        100_000_000,
        "bytes",
        "How large the header of the message, or of one part, may be.",
    ),
    _int(
        "limit.expanded_bytes",
        1_000_000_000,
        1024,
        1_000_000_000_000,
        "bytes",
        "How much all unpacked parts of one message may take on disk together.",
    ),
    _int(
        "limit.unpack_seconds",
        60,
        1,
        3600,
        "seconds",
        "How long the unpacking of one message may take.",
    ),
    _int(
        "limit.deadline_seconds",
        300,
        10,
        599,
        "seconds",
        "How long the whole check may take once the message is here; then it is "
        "deferred. The client on the other side may give up after 600 seconds "
        "(RFC 5321 section 4.5.3.2.6) and would send the message again.",
    ),
    _int(
        "limit.receive_seconds",
        3600,
        10,
        86_400,
        "seconds",
        "How long the client may take to send the message. qmail-smtpd has its own "
        "limit for silence (control/timeoutsmtpd); this one ends a slow drip.",
    ),
    _int(
        "limit.cpu_seconds",
        120,
        5,
        3600,
        "seconds",
        "How much processor time one message may cost, the backstop behind all other "
        "limits. What runs into it is deferred.",
    ),
    _int(
        "tnef.cpu_seconds",
        2,
        1,
        300,
        "seconds",
        "How much processor time the unpacking of one winmail.dat may cost.",
    ),
    _int(
        "tnef.memory_bytes",
        200_000_000,
        32_000_000,
        8_000_000_000,
        "bytes",
        "How much memory the unpacking of one winmail.dat may take.",
    ),
    _int(
        "tnef.wall_seconds",
        10,
        1,
        300,
        "seconds",
        "How long the unpacking of one winmail.dat may take.",
    ),
    Setting(
        "tnef.deliver",
        "choice",
        "as-is",
        "How a message with a winmail.dat (TNEF) is delivered: as-is, byte for byte; "
        "beside, its attachments follow it as ordinary MIME parts; instead, they are "
        "in its place, and where there is no other text its text. Everything else in "
        "the message stays byte for byte, and X-Qscan notes the change. Only what was "
        "unpacked to the last byte and can be read in one way is changed; a signed or "
        "encrypted message never is. A winmail.dat that holds more than attachments "
        "and texts (an appointment, a task, a receipt) stays beside them. The log says "
        "what was done, or why not.",
        choices=TNEF_DELIVER,
    ),
    Setting(
        "tnef.break_dkim",
        "bool",
        False,
        "Whether tnef.deliver may change a message that has a DKIM or ARC signature, "
        "which is broken by that. Whoever checks it after qscan will see it fail.",
    ),
    Setting(
        "archive.open",
        "bool",
        True,
        "Whether archives and documents are opened, so that names and types of what is "
        "in them are known and it is scanned by itself. clamd opens what it knows "
        "anyway.",
    ),
    _int(
        "archive.depth",
        16,
        1,
        100,
        "levels",
        "How deep archives in archives may be. A compressed tar is two levels.",
    ),
    _int(
        "archive.members",
        10_000,
        1,
        1_000_000,
        "members",
        "How many members all archives of a message may have together.",
    ),
    _int(
        "archive.ratio",
        500,
        10,
        1_000_000,
        "times",
        "How many times its own size an archive may hold, once that is 10 MB or more.",
    ),
    _int(
        "archive.expanded_bytes",
        500_000_000,
        1_000_000,
        100_000_000_000,
        "bytes",
        "How many bytes one attachment may hold, everything inside it counted.",
    ),
    _int(
        "archive.cpu_seconds",
        20,
        1,
        3600,
        "seconds",
        "How much processor time the opening of one attachment may cost.",
    ),
    _int(
        "archive.memory_bytes",
        512_000_000,
        64_000_000,
        64_000_000_000,
        "bytes",
        "How much memory the opening of one attachment may take. Archives packed with "
        "large dictionaries need as much.",
    ),
    _int(
        "archive.wall_seconds",
        40,
        1,
        3600,
        "seconds",
        "How long the opening of one attachment may take; what limit.unpack_seconds "
        "leaves, if that is less.",
    ),
    Setting(
        "archive.passwords",
        "bool",
        False,
        "Whether words of the message's own text are tried as passwords of encrypted "
        "zip members, at most 200. What opens is scanned like everything else.",
    ),
    _action(
        "virus",
        "reject",
        "A message with a finding of class virus: every signature name that belongs "
        "to no other class.",
    ),
    _action(
        "phishing",
        "reject",
        "A message that looks like phishing to clamd.",
    ),
    _action(
        "limits",
        "reject",
        "A message with content that nobody looked at, because a limit of qscan or of "
        "clamd was hit.",
    ),
    _action(
        "malformed",
        "reject",
        "A message that mail programs read in different ways, so that nobody can say "
        "what the recipient would see: a defect of the list malformed.refuse.",
    ),
    _action(
        "encrypted",
        "tag",
        "A message with an encrypted archive or document. clamd reports them too with "
        "AlertEncrypted in clamd.conf.",
    ),
    _action(
        "pua",
        "tag",
        "A message with a possibly unwanted application. clamd reports them only with "
        "DetectPUA in clamd.conf.",
    ),
    _action(
        "macro",
        "tag",
        "A message with an office document that holds macros. clamd reports them too "
        "with AlertOLE2Macros in clamd.conf.",
    ),
    _action(
        "structured",
        "tag",
        "A message with card or social security numbers. clamd reports them only with "
        "StructuredDataDetection in clamd.conf.",
    ),
    _action(
        "broken",
        "tag",
        "A message with a broken program or picture. clamd reports them only with "
        "AlertBrokenExecutables or AlertBrokenMedia in clamd.conf.",
    ),
    _action(
        "scanner_failure",
        "defer",
        "A message that could not be scanned because clamd is down, does not answer "
        "or answers nonsense. deliver and tag let mail pass unscanned; each such "
        "message is logged.",
    ),
    _class(
        "virus",
        [],
        "Signature names that are viruses although a literal of another class fits: "
        "the longest literal that fits wins. Names that no literal fits are viruses "
        "without being listed.",
    ),
    _class(
        "encrypted", ["Heuristics.Encrypted."], "Signature names of class encrypted."
    ),
    _class(
        "limits", ["Heuristics.Limits.Exceeded"], "Signature names of class limits."
    ),
    _class(
        "macro", ["Heuristics.OLE2.ContainsMacros"], "Signature names of class macro."
    ),
    _class(
        "phishing",
        ["Heuristics.Phishing.", "Phishing."],
        "Signature names of class phishing.",
    ),
    _class(
        "structured",
        ["Heuristics.Structured."],
        "Signature names of class structured.",
    ),
    _class("broken", ["Heuristics.Broken."], "Signature names of class broken."),
    _class("pua", ["PUA."], "Signature names of class pua."),
    Setting(
        "malformed.refuse",
        "codes",
        list(REFUSED_DEFECTS),
        "Which defects of form make a finding of class malformed. All others are only "
        "noted in the log.",
        choices=REFUSABLE,
    ),
    Setting(
        "malformed.actions",
        "actions",
        [],
        'Defects that have an action of their own, each as "CODE: ACTION", for '
        'instance "archive-encrypted: reject" or "base64-junk: tag". It counts instead '
        "of the action of the class, and makes a finding of a code that is otherwise "
        'only noted. A * at the end stands for all codes that begin so ("name-*: '
        'tag"); the code itself beats a beginning, a longer beginning a shorter one. '
        "tnef-malformed stands for every tnef- code that may hide something. Codes are "
        "in qscan-defects(7).",
        choices=ACTIONABLE,
    ),
    Setting(
        "reject.dialect",
        "choice",
        "plain",
        "How the SMTP server is told why a message is refused. plain: by exit codes 31 "
        "and 71 alone, right for every qmail. notqmail: text on descriptor 6 (notqmail "
        "1.08 and later). netqmail: text on descriptor 4 "
        "(qmail-queue-custom-error.patch). stderr: text on descriptor 2 (an older "
        "patch). indimail: text on the descriptor named by ERROR_FD, exit code 88. "
        "auto: descriptor 6, else 4, if it is an open pipe, else plain; an unrelated "
        "pipe on that number would get the text.",
        choices=DIALECTS,
    ),
    Setting(
        "header.qscan",
        "bool",
        True,
        "Put one X-Qscan field with the result on top of each message delivered. "
        "Messages with the action tag have it in any case.",
    ),
    Setting(
        "header.virus_scanned",
        "bool",
        False,
        "Put the fields X-Virus-Scanned and X-Virus-Status on top as well, as other "
        "scanners do.",
    ),
    Setting(
        "log.target",
        "choice",
        "stderr",
        "Where the one line a message goes: stderr (which is multilog's under "
        "daemontools), syslog, or none.",
        choices=("stderr", "syslog", "none"),
    ),
    Setting(
        "log.syslog_facility",
        "choice",
        "mail",
        "The facility when log.target is syslog.",
        choices=FACILITIES,
    ),
    Setting(
        "quarantine.dir",
        "folder",
        "",
        "Where the actions quarantine+reject and quarantine+drop keep messages. Empty: "
        "quarantine below spool_dir. Whoever runs qmail-smtpd must be able to write "
        "there; it is made when it is first needed, if that user may.",
    ),
)

BY_NAME = {setting.name: setting for setting in TABLE}
GROUPS = {setting.name.partition(".")[0] for setting in TABLE if "." in setting.name}

GROUP_DOCS = {
    "": "Places.",
    "clamd": "The virus scanner.",
    "scan": "What is scanned.",
    "limit": "Limits for one message.",
    "tnef": "Limits for the process that unpacks a winmail.dat, and its delivery.",
    "archive": "Opening archives and documents, in a process with limits.",
    "action": "What is done about findings, by class. When a message has several, the "
    "first of these wins: "
    + ", ".join(ACTIONS)
    + ". deliver: as if nothing was found. tag: deliver, and say so in the X-Qscan "
    "header. reject: refuse for good; the sender is told. quarantine+reject: keep a "
    "copy, then refuse. quarantine+drop: keep a copy and tell the sender that all "
    "is well. defer: refuse for now; the sender tries again.",
    "class": "Which signature names of clamd belong to which class. A literal fits "
    "names that begin with it; with a * in front, names that hold it anywhere. Upper "
    "and lower case differ. The longest literal that fits wins.",
    "malformed": "Messages that different programs read differently.",
    "reject": "What the client is told.",
    "header": "Fields added on top of delivered messages. Nothing else is changed.",
    "log": "The log.",
    "quarantine": "The quarantine.",
}

_LITERAL = re.compile(r"\*?[!-)+-~]+")


def defaults() -> dict[str, Value]:
    """Every setting with its default; a new dict with new lists each time."""
    return {
        row.name: list(row.default) if isinstance(row.default, list) else row.default
        for row in TABLE
    }


def suggest(name: str) -> str | None:
    """The setting that somebody who wrote ``name`` most likely meant, if any."""
    close = difflib.get_close_matches(name, BY_NAME, n=1, cutoff=0.7)
    if close:
        return close[0]
    # The right name in the wrong table, or the bare name of a grouped one.
    last = name.rpartition(".")[2]
    same = [other for other in BY_NAME if other.rpartition(".")[2] == last]
    if len(same) == 1:
        return same[0]
    # Of several the first in the table.
    tails = {other.rpartition(".")[2]: other for other in reversed(BY_NAME)}
    close = difflib.get_close_matches(last, tails, n=1, cutoff=0.8)
    return tails[close[0]] if close else None


def suggest_group(name: str) -> str | None:
    """The group that somebody who wrote ``[name]`` most likely meant, if any."""
    close = difflib.get_close_matches(name, sorted(GROUPS), n=1, cutoff=0.6)
    return close[0] if close else None


def check(setting: Setting, value: object) -> Value:
    """``value`` if it fits ``setting``. Raises ``ValueError`` (the text begins with
    "must be"); for a member of a list, ``MemberError`` with its index."""
    kind = setting.kind
    if kind == "bool":
        if not isinstance(value, bool):
            raise ValueError(f"must be true or false, not {_shown(value)}")
        return value
    if kind == "int":
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"must be a whole number, not {_shown(value)}")
        low, high = setting.minimum, setting.maximum
        if (low is not None and value < low) or (high is not None and value > high):
            raise ValueError(f"must be from {low} to {high}, not {value}")
        return value
    if kind in ("literals", "codes", "actions"):
        return _check_list(setting, value)
    if not isinstance(value, str):
        raise ValueError(f"must be {KIND_NAMES[kind]}, not {_shown(value)}")
    if any(ord(char) < 32 or ord(char) == 127 for char in value):
        raise ValueError("must be free of control characters (tab, newline ...)")
    if kind == "choice":
        if value not in setting.choices:
            close = difflib.get_close_matches(value, setting.choices, n=1)
            hint = f' (did you mean "{close[0]}"?)' if close else ""
            raise ValueError(
                f"must be {one_of(setting.choices)}, not {_shown(value)}{hint}"
            )
    elif kind == "address":
        _check_address(value)
    elif (value or kind == "path") and not value.startswith("/"):
        raise ValueError(f"must be an absolute path, not {_shown(value)}")
    return value


class MemberError(ValueError):
    """Member number ``index`` of a list does not fit."""

    def __init__(self, index: int, text: str) -> None:
        super().__init__(text)
        self.index = index


def _check_list(setting: Setting, value: object) -> list[str]:
    if not isinstance(value, list):
        raise ValueError(f"must be a list of texts, not {_shown(value)}")
    seen: list[str] = []
    codes: list[str] = []
    for index, member in enumerate(value):
        if not isinstance(member, str):
            raise MemberError(
                index, f"must be a list of texts, not of {_shown(member)}"
            )
        if member in seen:
            raise MemberError(index, f"must not hold {_shown(member)} twice")
        if setting.kind == "actions":
            try:
                code, _ = split_action(member, setting.choices)
            except ValueError as error:
                raise MemberError(index, str(error)) from None
            if code in codes:
                raise MemberError(index, f"must not name {_shown(code)} twice")
            codes.append(code)
        elif setting.kind == "codes":
            if member not in setting.choices:
                close = difflib.get_close_matches(member, setting.choices, n=1)
                hint = f' (did you mean "{close[0]}"?)' if close else ""
                raise MemberError(
                    index,
                    f"must hold only codes of defects, not {_shown(member)}{hint}",
                )
        elif not _LITERAL.fullmatch(member):
            raise MemberError(
                index,
                "must hold beginnings of signature names (printable ASCII, no spaces, "
                f"a * only in front), not {_shown(member)}",
            )
        seen.append(member)
    return seen


def split_action(text: str, known: tuple[str, ...]) -> tuple[str, str]:
    """``CODE: ACTION`` -> (code, or its beginning and a *; action). Raises
    ``ValueError`` when ``known`` has no such code, or there is no such action."""
    code, colon, action = (part.strip() for part in text.partition(":"))
    if not colon:
        raise ValueError(f'must hold texts "CODE: ACTION", not {_shown(text)}')
    if code.endswith("*"):
        begin = code[:-1]
        if not begin or not any(one.startswith(begin) for one in known):
            raise ValueError(f"must name defects, and none begins with {_shown(begin)}")
    elif code not in known:
        close = difflib.get_close_matches(code, known, n=1)
        hint = f' (did you mean "{close[0]}"?)' if close else ""
        raise ValueError(f"must name codes of defects, not {_shown(code)}{hint}")
    if action not in ACTIONS:
        close = difflib.get_close_matches(action, ACTIONS, n=1)
        hint = f' (did you mean "{close[0]}"?)' if close else ""
        raise ValueError(
            f"must have the action {one_of(ACTIONS)}, not {_shown(action)}{hint}"
        )
    return code, action


def split_address(address: str) -> tuple[str, str, int]:
    """``unix:/path`` -> ("unix", path, 0); ``tcp:HOST:PORT`` -> ("tcp", host, port),
    an IPv6 host without its brackets. Raises ``ValueError``."""
    family, _, rest = address.partition(":")
    if family == "unix":
        if not rest.startswith("/"):
            raise ValueError('must be "unix:" and an absolute path')
        size = len(rest.encode("utf-8", "surrogateescape"))
        if size > SOCKET_PATH_MAX:
            raise ValueError(
                f"must have at most {SOCKET_PATH_MAX} bytes after unix:, not {size}"
            )
        return "unix", rest, 0
    if family == "tcp":
        host, _, port = rest.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError("must have an IPv6 address in brackets: tcp:[::1]:3310")
        if not host or any(char.isspace() for char in host):
            raise ValueError('must be "tcp:HOST:PORT", here the host is missing')
        if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError('must be "tcp:HOST:PORT" with a port from 1 to 65535')
        return "tcp", host, int(port)
    raise ValueError(f'must be "unix:/PATH" or "tcp:HOST:PORT", not {_shown(address)}')


def _check_address(value: str) -> None:
    split_address(value)


def one_of(choices: tuple[str, ...]) -> str:
    """A list for people: ``"a", "b" or "c"``."""
    quoted = [f'"{choice}"' for choice in choices]
    return ", ".join(quoted[:-1]) + " or " + quoted[-1]


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return toml_text(value if len(value) <= 60 else value[:57] + "...")
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a table"
    return f"the date or time {value}"


def toml_text(value: str) -> str:
    """A TOML basic string (toml.io, v1.0.0) that reads back as ``value``."""
    out = []
    for char in value:
        if char in '"\\':
            out.append("\\" + char)
        elif ord(char) < 32 or 127 <= ord(char) < 160 or 0xD800 <= ord(char) < 0xE000:
            out.append(f"\\u{ord(char):04X}")
        else:
            out.append(char)
    return '"' + "".join(out) + '"'


def toml_value(value: Value) -> str:
    """``value`` as TOML writes it, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return toml_text(value)
    return "[" + ", ".join(toml_text(member) for member in value) + "]"


def bounds(setting: Setting) -> str:
    """What a value may be, for people: ``1 to 200 levels``."""
    if setting.kind == "int":
        return f"{setting.minimum} to {setting.maximum} {setting.unit}".rstrip()
    if setting.kind == "choice":
        return " | ".join(setting.choices)
    if setting.kind == "bool":
        return "true | false"
    return ""


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        78,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _assignment(key: str, value: Value) -> list[str]:
    line = f"#{key} = {toml_value(value)}"
    if len(line) <= 79 or not isinstance(value, list):
        return [line]
    members = [f"#{toml_text(member)}," for member in value]
    return [f"#{key} = [", *members, "#]"]


def default_text() -> str:
    """The commented ``qscan.toml``: every setting with its default, commented out.

    A comment has a space after its #, a setting has none: taking the # away from the
    lines of a setting is all that is needed to set it.
    """
    lines = [
        "# SPDX-License-Identifier: MIT",
        *_comment(
            "Settings of qscan. A line with # and no space shows a setting and its "
            "default: take the # away to change it. Changes count after qscan compile, "
            "which checks this file first and otherwise leaves all as it was. "
            "See qscan.toml(5)."
        ),
    ]
    group = None
    for setting in TABLE:
        head, dot, key = setting.name.rpartition(".")
        if head != group:
            group = head
            lines += ["", ""]
            if dot:
                lines += [f"[{group}]"]
            lines += _comment(GROUP_DOCS[group])
        lines += ["", *_comment(setting.doc)]
        if bounds(setting):
            lines += _comment(f"({bounds(setting)})")
        if setting.tcprules:
            lines += _comment(f"tcprules may set {setting.environment_name()}.")
        lines += _assignment(key if dot else setting.name, setting.default)
    return "\n".join(lines) + "\n"


def _roff(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in (".", "'") else text


def man_text() -> str:
    """The source of the manual page qscan.toml(5), in man(7) macros."""
    lines = [
        '.\\" SPDX-License-Identifier: MIT',
        '.\\" Written by qscan.schema.man_text(); change the table there.',
        '.TH QSCAN.TOML 5 "" qscan "File formats"',
        ".SH NAME",
        "qscan.toml \\- settings of the mail scanner qscan",
        ".SH DESCRIPTION",
        "A TOML file (https://toml.io, version 1.0.0) in UTF\\-8, usually",
        ".IR /etc/qscan/qscan.toml .",
        ".B qscan compile",
        "checks it and writes the Berkeley DB file that the scanner reads.",
        "Until then a change has no effect but a warning in the log.",
        "A file with a mistake is refused with the line, the column and the remedy,",
        "and the live settings stay as they are.",
        ".PP",
        "Settings below have the form",
        ".IR group . name ;",
        "in the file that is",
        ".I name",
        "below a line",
        ".RI [ group ].",
        "A setting that is not there has its default.",
        "Unknown names are mistakes.",
    ]
    group = None
    for setting in TABLE:
        head = setting.name.rpartition(".")[0]
        if head != group:
            group = head
            title = group.upper() if group else "PLACES"
            lines += [f".SH {title}"]
            lines += [_roff(line) for line in textwrap.wrap(GROUP_DOCS[group], 78)]
        lines += [".TP", f".B {_roff(setting.name)}"]
        lines += [_roff(line) for line in textwrap.wrap(setting.doc, 78)]
        lines += [".br", f"Default: {_roff(_spaced(setting.default))}"]
        if bounds(setting):
            lines += [".br", f"Allowed: {_roff(bounds(setting))}"]
        if setting.tcprules:
            lines += [
                ".br",
                "For one connection: the environment variable",
                f".BR {setting.environment_name()} ,",
                "set by tcprules.",
            ]
        if setting.kind == "actions":
            lines += [".br", "Allowed: the codes of", ".BR qscan\\-defects (7)"]
            lines += ["with the actions", _roff(", ".join(ACTIONS) + ".")]
        if setting.kind == "codes":
            lines += [".br", "All codes:"]
            codes = ", ".join(setting.choices) + "."
            wrapped = textwrap.wrap(codes, 78, break_on_hyphens=False)
            lines += [_roff(line) for line in wrapped]
    lines += [
        ".SH SEE ALSO",
        ".BR qscan (1),",
        ".BR qscan\\-defects (7),",
        ".BR qscan\\-queue (8),",
        ".BR qmail\\-queue (8),",
        ".BR tcprules (1),",
        ".BR clamd.conf (5)",
    ]
    return "\n".join(lines) + "\n"


def _spaced(value: Value) -> str:
    text = toml_value(value)
    return text if text != '""' else '"" (empty)'


def main() -> None:
    """``python -m qscan.schema {toml|man}`` prints a generated file."""
    import sys

    texts = {"toml": default_text, "man": man_text}
    if len(sys.argv) != 2 or sys.argv[1] not in texts:
        sys.exit("usage: python -m qscan.schema toml|man")
    sys.stdout.write(texts[sys.argv[1]]())


if __name__ == "__main__":
    main()
