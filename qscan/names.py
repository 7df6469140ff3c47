# SPDX-License-Identifier: MIT
"""What file names mean to the systems that open them.

Does: bring a name into its matching forms (``forms``), tell what is of note about it
(``facts``), annotate the names of an item (``note``). Pure but for ``note``.
Never does: I/O; raise on content; use a name as a path. Limits: LONGEST characters of a
name, FORMS forms of it, MOST names of an item (more is a finding).
Sources: Unicode TR 36 and UAX 15; Microsoft, "Naming Files, Paths, and Namespaces".
"""

from qscan.model import Defect, Item

LONGEST = 1024  # characters that are looked at, the last ones: they hold the extension
FORMS = 16
MOST = 200  # names of one item; no mail client writes more than a few
FACTS = 50  # names of one item whose facts are told
FILE_NAME = 255  # bytes, the longest name that common file systems keep
BLANK_RUN = 10

# Shown as nothing or as a blank, and no format control of Unicode (category Cf).
_INVISIBLE = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0\u2800"
_OVERRIDES = "\u202b\u202d\u202e\u2066\u2067\u2068"
_BLANKS = " \t\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    chr(code) for code in range(0x2000, 0x200B)
)
_QUOTES = (
    "\"'`\xb4\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\xab\xbb\u2039\u203a"
    "<>()[]{};,\ufffd"
)
_CONTROLS: dict[int, str | None] = {
    code: " " if code == 9 else None for code in (*range(32), *range(127, 160))
}
Facts = list[tuple[str, str]]
_HEX = "0123456789abcdef"


# Windows allows none of these in a name; clients drop them or cut there.
_FORBIDDEN = dict.fromkeys(map(ord, '*?|<>"#'))


def forms(raw: str) -> list[str]:
    """The matching forms of a name, the whole name first; [] for an empty one.

    Lower case and NFKC, without controls, format characters, variation selectors and
    what is invisible; without blanks and quotes around it and dots and blanks at its
    end, which Windows drops; what stands before a NUL; percent-decoded; what follows
    the last ``/``, ``\\`` or ``:`` and what stands before a ``:`` (alternate streams of
    NTFS); without characters that Windows forbids, and what stands before them. Each
    once, at most FORMS.
    """
    out: list[str] = []
    if len(raw) > LONGEST:
        head, raw = raw[:LONGEST], raw[-LONGEST:]
        if "\0" in head:
            _add(out, head[: head.index("\0")])
    sources = [raw]
    if "%" in raw:
        for _ in range(2):
            decoded = _percent(sources[-1])
            if decoded == sources[-1]:
                break
            sources.append(decoded)
    for source in sources:
        _add(out, source)
        if "\0" in source:
            _add(out, source[: source.index("\0")])
        bare = source.translate(_FORBIDDEN)
        if bare != source:
            _add(out, bare)
            for sign in _FORBIDDEN:
                cut = source.split(chr(sign), 1)[0]
                if cut != source:
                    _add(out, cut)
    return out[:FORMS]


def _add(out: list[str], text: str) -> None:
    """Append the forms of one reading."""
    whole = _folded(text)
    bare = whole.strip(_QUOTES + _BLANKS)
    for form in (whole, bare):
        trimmed = form.rstrip(". " + _BLANKS)
        _append(out, trimmed)
        if "/" in trimmed or "\\" in trimmed or ":" in trimmed:
            path = trimmed.replace("\\", "/").rstrip("/ .")
            base = path[path.rfind("/") + 1 :]
            _append(out, base)
            if ":" in base:
                first, _, rest = base.partition(":")
                _append(out, first.rstrip(". " + _BLANKS))
                _append(out, rest[rest.rfind(":") + 1 :])


def _append(out: list[str], form: str) -> None:
    form = form.strip(" ")
    if form and form not in out and len(out) < FORMS:
        out.append(form)


def _folded(text: str) -> str:
    """Case, compatibility and invisible characters folded away."""
    if text.isascii():
        return text.lower().translate(_CONTROLS).strip(" ")
    import unicodedata

    category = unicodedata.category
    kept = "".join(
        " " if c in _BLANKS else c
        for c in unicodedata.normalize("NFKC", text)
        if not (c in _INVISIBLE or category(c) in ("Cf", "Cc", "Cs", "Co"))
        and not ("\ufe00" <= c <= "\ufe0f" or "\U000e0000" <= c <= "\U000e0fff")
    )
    return unicodedata.normalize("NFKC", kept.casefold()).strip(" ")


def _percent(text: str) -> str:
    """Percent-decoding of UTF-8, where that fails of Latin-1."""
    pieces = text.encode("utf-8", "replace").split(b"%")
    out = [pieces[0]]
    for piece in pieces[1:]:
        try:
            out.append(_escape(piece[:2]) + piece[2:])
        except ValueError:
            out.append(b"%" + piece)
    data = b"".join(out)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _escape(digits: bytes) -> bytes:
    """The byte of two hexadecimal digits; raises ValueError."""
    if len(digits) != 2 or digits.strip(_HEX.encode() + b"ABCDEF"):
        raise ValueError
    return bytes.fromhex(digits.decode("ascii"))


# -- facts ----------------------------------------------------------------------------


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What runs, or starts something that runs, when it is opened.
PROGRAMS = _words(
    "ade adp application appref-ms appx asp bas bat cdxml chm cmd com cpl crt dll dmg "
    "exe fxp gadget hlp hta inf ins iqy isp jar jnlp js jse ksh library-ms lnk mad "
    "maf mda mde msc msi msix msp mst ocx pcd pif pl prf prg ps1 ps1xml ps2 psc1 psd1 "
    "psm1 pyw rb reg scf scr sct search-ms settingcontent-ms sh shb shs sys tlb url "
    "vb vbe vbp vbs vxd website wsc wsf wsh xll xbap xnk"
)
# As the middle of a name these are words, domains and titles.
_MIDDLE = _words("asp com js pl rb sh sys url application crt dmg reg inf ins")
DOCUMENTS = _words(
    "asc bmp csv doc docm docx dot dotx eml epub gif heic htm html ics jpe jpeg jpg "
    "md mht msg odp ods odt one pdf png pps ppsx ppt pptm pptx ps pub rtf svg tif "
    "tiff txt vcf webp wpd wps xhtml xls xlsb xlsm xlsx xml xps "
    "aac avi flac m4a m4v mkv mov mp3 mp4 mpeg mpg ogg wav webm wma wmv"
)
ARCHIVES = _words(
    "7z ace arc arj bz bz2 cab cpio gz img iso jar lha lz lzh lzma r00 rar tar taz tbz "
    "tbz2 tgz txz udf uue vhd vhdx wim xz z zip zipx zoo zst zstd"
)
# Signatures and notes beside a file are called like it.
_BESIDE = _words("asc csv eml html md txt xml")
_PACKERS = _words("bz bz2 gz lz lz4 lzma lzo xz z zst zstd br gpg pgp asc")
_TARS = _words("tar cpio iso img vhd wim")
_DEVICES = frozenset(("con", "prn", "aux", "nul", "conin$", "conout$", "clock$"))


def facts(raw: str) -> list[tuple[str, str]]:
    """What is of note about a name: (code, detail for people), codes with a row in
    ``defects.DEFECTS``.

    Double extensions are told only where one of them runs and the other looks
    harmless: archive.tar.gz, versions, dates and titles are ordinary.
    """
    out: Facts = []
    shown = _shown(raw)
    # What is still encoded is not what anybody sees.
    encoded = "=?" in raw
    if not encoded and len(raw) > FILE_NAME // 4:
        length = len(raw.encode("utf-8", "replace"))
        if length > FILE_NAME:
            _note(out, "name-too-long", f"{length} bytes: {shown}")
    text = raw[-LONGEST:]
    if _has_control(text):
        _note(out, "name-control", shown)
    if not text.isascii() and any(c in text for c in _OVERRIDES):
        _note(out, "name-bidi-override", shown)
    if _blank_run(text):
        _note(out, "name-many-blanks", shown)
    found = forms(text)
    for form in found:
        _note_path(out, form, shown, encoded)
    for form in found:
        base = form.replace("\\", "/").rpartition("/")[2]
        _note_extensions(out, base, shown)
    return out


def _note_path(out: Facts, form: str, shown: str, encoded: bool) -> None:
    path = form.replace("\\", "/")
    if not encoded and (
        path.startswith(("/", "~/"))
        or (path[1:3] == ":/" and path[0].isalpha())
        or ".." in path.split("/")
    ):
        _note(out, "name-path", shown)
    base = path.rpartition("/")[2]
    stem = base.partition(".")[0].partition(":")[0].rstrip()
    if stem in _DEVICES or (
        len(stem) == 4 and stem[:3] in ("com", "lpt") and stem[3] in "0123456789¹²³"
    ):
        _note(out, "name-device", shown)
    file, colon, stream = base.partition(":")
    if colon and (
        stream.endswith((":$data", ":$index_allocation"))
        or (
            "." in file
            and "." in stream
            and file[-1:] != " "
            and stream[:1] not in " /"
        )
    ):
        _note(out, "name-stream", shown)


def _note_extensions(out: Facts, base: str, shown: str) -> None:
    if base.endswith("}"):
        start = base.rfind(".{")
        inner = base[start + 2 : -1]
        if start >= 0 and len(inner) >= 25 and not inner.strip(_HEX + "-"):
            _note(out, "name-clsid", shown)
    words = [word.strip(_BLANKS) for word in base.rsplit(".", 3)]
    if len(words) < 2:
        return
    last = words[-1]
    before = words[-2] if len(words) > 2 else ""
    if (last in PROGRAMS and (before in DOCUMENTS or before in ARCHIVES)) or (
        before in PROGRAMS
        and before not in _MIDDLE
        and last in DOCUMENTS
        and last not in ("asc", "csv", "md", "xml")
    ):
        _note(out, "name-double-extension", shown)
    if _is_cloaked(before, last):
        _note(out, "name-archive-cloaked", shown)


def _is_cloaked(before: str, last: str) -> bool:
    """An archive in an archive, by another name, or a volume of one."""
    digits = last[1:] if len(last) == 3 else ""
    if digits.isdecimal() and digits.isascii():
        if last[0] in "rz" or last[:2] in ("a0", "c0"):
            return True
        if last[0] == "0" and before in ARCHIVES:
            return True
    if last in ("rar", "exe", "zip", "7z") and before.startswith("part"):
        return before[4:].isdecimal()
    if before not in ARCHIVES:
        return False
    if last in _PACKERS:
        return before not in _TARS and last not in ("gpg", "pgp", "asc")
    if last in ARCHIVES:
        return True
    # An archive by another name.
    return last in DOCUMENTS and last not in _BESIDE


def _has_control(text: str) -> bool:
    """C0 and DEL; a tab comes from folding, ESC from ISO-2022 charsets."""
    for c in text:
        if (c < " " and c not in "\t\x1b") or c == "\x7f":
            return True
    return "\x1b" in text and "\x1b$" not in text and "\x1b(" not in text


def _blank_run(text: str) -> bool:
    run = 0
    for c in text:
        if c in _BLANKS or c in _INVISIBLE:
            run += 1
            if run >= BLANK_RUN:
                return True
        else:
            run = 0
    return False


def _note(out: Facts, code: str, detail: str) -> None:
    """Keep a code once."""
    if all(code != known for known, _ in out):
        out.append((code, detail))


def _shown(raw: str) -> str:
    """A name for a line of log: ASCII, its beginning and its end."""
    if len(raw) > 80:
        raw = f"{raw[:50]}...{raw[-27:]}"
    text = raw.encode("ascii", "backslashreplace").decode("ascii")
    return "".join(c if " " <= c < "\x7f" else f"\\x{ord(c):02x}" for c in text)[:200]


def note(defects: list[Defect], item: Item) -> None:
    """Append what is of note about the names of an item, each code once."""
    if len(item.names) >= MOST:
        defects.append(Defect("limit-names", item.path, f"{len(item.names)} names"))
    seen: set[str] = set()
    for name in item.names[:FACTS]:
        for code, detail in facts(name):
            if code not in seen:
                seen.add(code)
                defects.append(Defect(code, item.path, detail))
