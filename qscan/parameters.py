# SPDX-License-Identifier: MIT
"""Parameters of structured fields in every way clients read them.

Does: values in pieces and charsets (RFC 2231), encoded words (RFC 2047), all names of a
part: as the RFCs say, and where a field is not plain also as clients read it that know
no quotes, no comments, no RFC 2231, or forgive what is broken.
Never does: I/O; raise on content. Time is linear in the bytes of the fields; at most
NAMES names, CHARSETS charsets a process.
"""

import binascii
import codecs
from encodings.aliases import aliases

from qscan.headers import Value, parse_value, unfold
from qscan.model import BLANKS, Header

NAMES = 200  # names of one part
CHARSETS = 64  # looked up: an unknown one costs a search in the file system
JOINS = 8  # semicolons in one name
NAMING = (b"content-type", b"content-disposition", b"content-description")
KEY = 60  # bytes between the word "name" and its equals sign

_HEX = b"0123456789abcdefABCDEF"
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64))
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_ALNUM = b"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_KEYS = _ALNUM + b"-_*."
_VALUES = _ALNUM + b"-_*.+/=:#$%&!^~'|{}" + bytes(range(128, 256))
_ENDS = b",?<>@[]"  # end a token (RFC 2045 section 5.1), for who reads strictly
_CONTROLS = bytes(range(32)) + b"\x7f"
# Parameters that hold no file name though they may look like one.
_OTHERS = (
    *(b"boundary", b"charset", b"type", b"start", b"start-info", b"protocol"),
    *(b"micalg", b"report-type", b"access-type", b"site", b"server", b"directory"),
    *(b"url", b"id", b"method", b"profile", b"version", b"handling", b"component"),
    *(b"format", b"delsp", b"size", b"creation-date", b"modification-date"),
    *(b"read-date", b"reply-type", b"smime-type", b"x-mac-type", b"x-mac-creator"),
)
_TOKEN_ENDS = bytes.maketrans(_ENDS, b" " * len(_ENDS))
# Quotes around a name, of which the matching forms of ``names`` know as well.
_AROUND = BLANKS + b"\"';"
Piece = tuple[int, bytes, bool]


def joined(value: Value, base: bytes) -> list[bytes]:
    """Values of ``base`` in RFC 2231 pieces: ``base*``, ``base*0``, ``base*0*``.

    Two orders are given where they differ: by number and as written.
    """
    pieces, whole = _pieces(value)
    return _join(pieces.get(base, []), whole.get(base, []))


def _pieces(value: Value) -> tuple[dict[bytes, list[Piece]], dict[bytes, list[bytes]]]:
    """({base: its numbered pieces}, {base: its values in one piece}), one pass."""
    pieces: dict[bytes, list[Piece]] = {}
    whole: dict[bytes, list[bytes]] = {}
    for name, raw in value.parameters:
        base, star, rest = name.partition(b"*")
        if not star:
            continue
        if not rest:
            whole.setdefault(base, []).append(raw)
            continue
        encoded = rest.endswith(b"*")
        digits = (rest[:-1] if encoded else rest).lstrip(b"+-")
        if digits.isdigit():
            # A number beyond all others keeps its place at the end.
            number = int(digits) if len(digits) < 6 else 100000
            pieces.setdefault(base, []).append((number, raw, encoded))
    return pieces, whole


def _join(pieces: list[Piece], whole: list[bytes]) -> list[bytes]:
    """The values that pieces can be put together to.

    By number and as written; where a number stands twice with the first and with the
    last of them; where one is missing also what stands before the gap.
    """
    out: dict[bytes, None] = {}
    for raw in whole:
        out[_extended(raw, True)] = None
        out[_extended(raw, True, True)] = None
    if pieces:
        for order in _orders(pieces):
            for swap in (False, True):
                text = b"".join(
                    percent(raw) if encoded else raw for _, raw, encoded in order
                )
                if any(encoded for _, _, encoded in order):
                    text = _extended(text, False, swap)
                out[text] = None
    return list(out)


def _orders(pieces: list[Piece]) -> list[list[Piece]]:
    ordered = sorted(pieces, key=_number)
    out = [ordered]
    first: dict[int, Piece] = {}
    last: dict[int, Piece] = {}
    for piece in ordered:
        first.setdefault(piece[0], piece)
        last[piece[0]] = piece
    if len(first) < len(ordered):
        out += [list(first.values()), list(last.values())]
    if ordered != pieces:
        out.append(pieces)
    numbers = list(first)
    for index, number in enumerate(numbers):
        if number != numbers[0] + index:
            out.append([piece for piece in ordered if piece[0] < number])
            break
    return out


def _once(out: list[bytes], text: bytes) -> None:
    if text not in out:
        out.append(text)


def _number(piece: Piece) -> int:
    return piece[0]


def _extended(raw: bytes, encoded: bool, swap: bool = False) -> bytes:
    """``charset'language'text`` -> text in UTF-8 where the charset is known."""
    text = percent(raw) if encoded else raw
    fields = text.split(b"'", 2)
    if len(fields) == 3 and len(fields[0]) <= 40:
        return _recode(fields[2], fields[0], swap)
    return text


def percent(raw: bytes) -> bytes:
    """Percent-decoding; what is no escape stays."""
    if b"%" not in raw:
        return raw
    pieces = raw.split(b"%")
    out = [pieces[0]]
    for piece in pieces[1:]:
        digits = piece[:2]
        if len(digits) == 2 and not digits.translate(None, _HEX):
            out.append(binascii.unhexlify(digits) + piece[2:])
        else:
            out.append(b"%" + piece)
    return b"".join(out)


_codecs: dict[bytes, str] = {}
_LISTED = frozenset(aliases.values())
# Codecs that are no charsets of mail and not linear, or run on another's rules.
_UNFIT = ("idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape")
_WIDE = ("utf-16", "utf-32", "utf_16", "utf_32", "utf16", "utf32")


def _codec(charset: bytes) -> str:
    """Python's name of a charset; "" when it has none."""
    key = charset.strip(BLANKS + b"\"'").lower()
    name = _codecs.get(key)
    if name is None:
        name = ""
        text = key.decode("ascii", "replace")
        # What Python lists is found at once, however much was looked up before.
        plain = text.replace("-", "_").replace(" ", "_")
        listed = plain in aliases or plain in _LISTED
        if listed or len(_codecs) < CHARSETS:
            if text.startswith(("ucs-2", "ucs2", "unicode-1-1", "iso-10646-ucs-2")):
                text = "utf-16"
            try:
                name = codecs.lookup(text).name
            except (LookupError, ValueError):
                name = ""
            if name.replace("-", "_") in _UNFIT:
                name = ""
            _codecs[key] = name
    return name


def _recode(raw: bytes, charset: bytes, swap: bool = False) -> bytes:
    """``raw`` in UTF-8. What states no byte order is read in the likelier one, with
    ``swap`` in the other; as clients do."""
    if charset.lower() in (b"", b"us-ascii", b"utf-8", b"ascii"):
        return raw
    name = _codec(charset)
    if not name or name in ("utf-8", "ascii"):
        return raw
    if name.startswith(_WIDE) and not name.endswith(("le", "be")):
        little = raw[:2] == b"\xff\xfe" or (
            raw[:2] != b"\xfe\xff" and raw[::2].count(0) < raw[1::2].count(0)
        )
        name = f"{name[:6]}-{'le' if little != swap else 'be'}"
    try:
        return raw.decode(name, "replace").lstrip("\ufeff").encode("utf-8", "replace")
    except (LookupError, ValueError):
        return raw


def decode_words(raw: bytes, swap: bool = False) -> bytes:
    """Encoded words (RFC 2047) in any place decoded to UTF-8, others left alone.

    Also broken ones: blanks inside, no end, bad base64, a character cut in two. With
    ``swap`` UTF-16 in the other byte order.
    """
    start = raw.find(b"=?")
    if start < 0:
        return raw
    out: list[bytes] = []
    position = 0
    end = 0
    charset = b""
    pending: list[bytes] = []
    while start >= 0:
        first = raw.find(b"?", start + 2)
        second = raw.find(b"?", first + 1) if first >= 0 else -1
        kind = raw[first + 1 : second].strip(BLANKS).lower()
        if second < 0 or first - start > 80 or second - first > 10 or kind[1:]:
            start = raw.find(b"=?", start + 2)
            continue
        if 0 <= end <= second:
            end = raw.find(b"?=", second + 1)
        # Another word begins before this one ends: it has no end.
        following = raw.find(b"=?", second + 1)
        stop = end if end >= 0 else len(raw)
        after = min(stop + 2, len(raw))
        if 0 <= following < min(stop - 1, len(raw) - 2):
            stop = after = following
        text = raw[second + 1 : stop]
        if end < 0 and text.endswith(b"?"):
            text = text[:-1]
        gap = raw[position:start]
        word = raw[start + 2 : first].split(b"*", 1)[0].strip(BLANKS).lower()
        if not pending or gap.strip(BLANKS) or word != charset:
            if pending:
                out.append(_recode(b"".join(pending), charset, swap))
                if gap.strip(BLANKS):
                    out.append(gap)
            else:
                out.append(gap)
            pending = []
        charset = word
        pending.append(_word(kind, text))
        position = after
        start = raw.find(b"=?", after)
    if pending:
        out.append(_recode(b"".join(pending), charset, swap))
    out.append(raw[position:])
    return b"".join(out)


def _word(kind: bytes, text: bytes) -> bytes:
    """The bytes of an encoded word."""
    if kind == b"q":
        return binascii.a2b_qp(text, header=True)
    if kind == b"b":
        return _base64(text)
    return text


def _base64(text: bytes) -> bytes:
    """Base64 as the most lenient client reads it: other characters dropped, the URL's
    alphabet, going on after padding, what is cut short as far as it goes."""
    out = []
    for run in text.translate(_URL_SAFE).translate(None, _NOT_BASE64).split(b"="):
        run = run[: len(run) - 1] if len(run) % 4 == 1 else run
        if run:
            out.append(binascii.a2b_base64(run + b"=" * (-len(run) % 4)))
    return b"".join(out)


# -- all names of a part --------------------------------------------------------------


def part_names(fields: list[Header]) -> list[str]:
    """Every file name a part has in Content-Type, Content-Disposition and neighbours.

    Any parameter whose name contains ``name`` or whose value looks like a file name,
    plain, in RFC 2231 pieces (also scattered over fields), and with encoded words
    decoded; what clients make of fields that are not plain; then Content-Description,
    Content-Location and, where nothing else names the part, Content-ID. In order,
    without repetition, as text for display and matching (undecodable bytes as latin-1);
    at most NAMES.
    """
    out: list[str] = []
    scattered: list[tuple[bytes, Piece]] = []
    fragments = 0
    for field in fields:
        if not _may_name(field) or len(out) >= NAMES:
            continue
        raw = unfold(field.value)
        value = parse_value(raw)
        _add_parameters(out, value)
        pieces, _ = _pieces(value)
        for base, group in pieces.items():
            if b"name" in base:
                fragments += 1
                scattered += [(base, piece) for piece in group]
        if not _is_plain(field.value, raw):
            _add_lenient(out, field.value, raw)
        elif b"(" in raw:
            _add_without_comments(out, raw)
    if fragments > 1:
        _add_scattered(out, scattered)
    named = bool(out)
    for field in fields:
        if field.name in (b"content-description", b"content-location"):
            _add_described(out, field, named)
        elif field.name == b"content-id" and not named:
            local = unfold(field.value).strip(b"<> ").partition(b"@")[0]
            if looks_like_file(local) and b" " not in local:
                add_name(out, local)
    return out


def _may_name(field: Header) -> bool:
    """A field in which clients look for names, whatever was done to hide it."""
    if field.name in NAMING:
        return True
    low = field.value.lower()
    if b"name" not in low.translate(None, BLANKS + b'"\\\0'):
        return False
    # A name field with an odd name, or one hidden in the value of another.
    letters = field.name.translate(None, b"-_.:;()\"' \t\0*?=")
    return b"content" in letters or b"disposition" in letters or b"content-" in low


def _add_parameters(out: list[str], value: Value) -> None:
    """The names a structured value states by the rules."""
    for name, text in value.parameters:
        if len(out) >= NAMES:
            return
        _, star, rest = name.partition(b"*")
        if star and (not rest or rest.strip(b"*+-").isdigit()):
            continue
        if b"name" in name or (name not in _OTHERS and looks_like_file(text)):
            add_name(out, text)
    pieces, whole = _pieces(value)
    for base in {**pieces, **whole}:
        if b"name" in base or base not in _OTHERS:
            for text in _join(pieces.get(base, []), whole.get(base, [])):
                if b"name" in base or looks_like_file(text):
                    add_name(out, text)


def _add_scattered(out: list[str], scattered: list[tuple[bytes, Piece]]) -> None:
    """Pieces of one name in several fields: by their names, and all together."""
    groups: dict[bytes, list[Piece]] = {}
    for base, piece in scattered:
        groups.setdefault(base, []).append(piece)
        groups.setdefault(b"", []).append(piece)
    # Software that states a name twice in pieces states it whole each time.
    zeros = sum(piece[0] == 0 for piece in groups[b""])
    for base, pieces in groups.items():
        if base or zeros < 2:
            for text in _join(pieces, []):
                add_name(out, text)


def _is_plain(value: bytes, raw: bytes) -> bool:
    """True when every client reads a field alike: tokens and quoted strings without
    quotes, backslashes and semicolons inside, folded between parameters."""
    if b"\n" in value:
        for line in value.split(b"\n")[:-1]:
            line = line.strip(BLANKS)
            if line and not line.endswith((b";", b",", b"?=")):
                return False
    if b"\r" in raw or b"\0" in raw:
        return False
    segments = raw.split(b";")
    if b"=" in segments[0] or b"name" in segments[0].lower():
        return False
    for segment in segments[1:]:
        name, equals, text = segment.partition(b"=")
        name = name.strip(BLANKS)
        if not name and not equals:
            continue
        if not name or not equals or name.translate(None, _KEYS):
            return False
        text = text.strip(BLANKS)
        if text[:1] == b'"':
            inner = text[1:-1]
            if len(text) < 2 or text[-1:] != b'"' or b'"' in inner or b"\\" in inner:
                return False
        elif not _is_word(text) and (
            text.translate(None, _VALUES) or (text[:1] == b"'" and b"*" not in name)
        ):
            return False
        if b"=?" in text and not _is_word(text.strip(b'"')):
            return False
    return True


def _is_word(text: bytes) -> bool:
    """Encoded words and nothing else."""
    return text.startswith(b"=?") and text.endswith(b"?=") and text.count(b"?") % 4 == 0


def _add_lenient(out: list[str], value: bytes, raw: bytes) -> None:
    """What clients may read in a field that is not plain."""
    joined_lines = b"".join(line.strip(BLANKS) for line in value.split(b"\n"))
    readings: list[bytes] = []
    for text in (raw, joined_lines, decode_words(raw)):
        _once(readings, text)
    for text in readings[:]:
        bare = _without_comments(text)
        _once(readings, bare)
        _once(readings, bare.translate(None, b'"\\' + _CONTROLS))
        _once(readings, text.translate(None, b'"\\()' + _CONTROLS))
    for text in readings:
        if len(out) >= NAMES:
            return
        _add_spans(out, text)
        if text != raw:
            _add_parameters(out, parse_value(text))
        for segment in text.split(b";")[1:]:
            if b"=" not in segment and looks_like_file(segment.strip(BLANKS + b'"')):
                add_name(out, segment.strip(BLANKS))


def _add_without_comments(out: list[str], raw: bytes) -> None:
    """A quoted name with a parenthesis, as who takes it for a comment reads it; told
    where the extension is another: "report (1).pdf" is ordinary."""
    known = {name.rpartition(".")[2].lower() for name in out}
    for _, text in parse_value(raw).parameters:
        bare = _without_comments(text).strip(BLANKS)
        extension = bare.rpartition(b".")[2].lower().decode("latin-1")
        if bare != text and looks_like_file(bare) and extension not in known:
            add_name(out, bare)


def _without_comments(text: bytes) -> bytes:
    """Comments removed wherever they stand, also in quotes."""
    if b"(" not in text:
        return text
    out: list[bytes] = []
    depth = 0
    for index, piece in enumerate(text.split(b"(")):
        if index:
            depth += 1
        while depth:
            _, close, rest = piece.partition(b")")
            if not close:
                break
            depth -= 1
            piece = rest
        if not depth:
            out.append(piece)
    return b"".join(out)


def _add_spans(out: list[str], text: bytes) -> None:
    """What follows ``name`` and an equals sign anywhere, up to every semicolon."""
    low = text.lower()
    starts: list[tuple[int, int]] = []
    position = 0
    while True:
        found = low.find(b"name", position)
        if found < 0:
            break
        position = found + 4
        key = low[position : position + KEY]
        equals = key.find(b"=")
        if equals < 0:
            equals = key.find(b":")
        if equals >= 0 and b";" not in key[:equals]:
            position += equals + 1
            starts.append((found, position))
    for index, (_, start) in enumerate(starts):
        end = len(text)
        if index + 1 < len(starts):
            end = starts[index + 1][0]
            cut = text.rfind(b";", start, end)
            end = cut if cut >= 0 else end
        if len(out) >= NAMES:
            return
        _add_span(out, text[start:end])


def _add_span(out: list[str], span: bytes) -> None:
    pieces = span.split(b";", JOINS)
    for text in (pieces[0].strip(BLANKS), span.strip(BLANKS + b";")):
        add_name(out, text.strip(_AROUND))
        quote = text[:1]
        if quote in (b'"', b"'"):
            add_name(out, text[1:].partition(quote)[0])
        else:
            words = text.translate(_TOKEN_ENDS).split(None, 1)
            if len(words) > 1 and b"=?" not in text:
                add_name(out, words[0].strip(_AROUND))
    for count in range(2, len(pieces)):
        add_name(out, b";".join(pieces[:count]).strip(_AROUND))


def _add_described(out: list[str], field: Header, named: bool) -> None:
    """Content-Description and Content-Location, where they look like a file name; a
    sentence only where nothing else names the part."""
    text = unfold(field.value).strip(BLANKS + b'"<>')
    text = decode_words(text)
    if field.name == b"content-location":
        _, colon, rest = text.partition(b"://")
        text = rest if colon else text
        path = text.partition(b"?")[0].partition(b"#")[0]
        if colon and b"/" not in path:
            return
        text = path.rpartition(b"/")[2]
    words = text.split()
    if words and looks_like_file(words[-1]) and (len(words) == 1 or not named):
        add_name(out, text)


def looks_like_file(text: bytes) -> bool:
    """True for a word, a dot and an extension of 1 to 5 letters and digits."""
    stem, dot, extension = text.rstrip(b". \0").rpartition(b".")
    return (
        bool(dot and stem)
        and 0 < len(extension) <= 5
        and not extension.translate(None, _ALNUM)
        and not extension.isdigit()
        and b"@" not in text
        and not stem.lower().startswith((b"www.", b"http:", b"https:"))
    )


def add_name(out: list[str], raw: bytes) -> None:
    """Append a name and its encoded-word decodings, each once."""
    _append(out, raw)
    if b"=?" in raw:
        words = decode_words(raw)
        _append(out, words)
        if b"=?" in words:
            _append(out, decode_words(words))
        glued = _glued(raw)
        if glued != raw:
            _append(out, decode_words(glued))
        low = raw.lower()
        if b"=?u" in low or b"=?iso-10646" in low:
            _append(out, decode_words(raw, True))


def _glued(raw: bytes) -> bytes:
    """Encoded words of one charset and encoding as one word: some split them inside a
    group or a character (RFC 2047 section 5 forbids it)."""
    start = raw.find(b"=?")
    fields = raw[start + 2 :].split(b"?", 2)
    if start < 0 or len(fields) < 3:
        return raw
    prefix = b"=?" + fields[0] + b"?" + fields[1] + b"?"
    words = [piece.rstrip(BLANKS) for piece in raw[start:].split(prefix)[1:]]
    if len(words) < 2:
        return raw
    inner = [word.removesuffix(b"?=") for word in words[:-1]]
    return raw[:start] + prefix + b"".join(inner) + words[-1]


def _append(out: list[str], raw: bytes) -> None:
    if not raw:
        return
    try:
        shown = raw.decode("utf-8")
    except UnicodeDecodeError:
        shown = raw.decode("latin-1")
    if len(out) < NAMES and shown not in out:
        out.append(shown)
