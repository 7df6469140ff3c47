# SPDX-License-Identifier: MIT
"""What an item is against what it is called.

Does: compare the type found in the content with the declared type and the extensions of
all names, by families; annotate a program in the guise of a document, and a container
or page that calls itself something else. Never does: decide; raise on content.
Kind to careless software: generic types, close relatives, Excel sheets that are HTML,
.doc files that are RTF are ordinary. Limits: NAMES names of an item.
"""

from qscan import names
from qscan.model import Defect, Item

NAMES = 50

_PICTURE = "picture"
_MEDIA = "media"
_PDF = "pdf"
_OFFICE = "office"
_TEXT = "text"
_PAGE = "page"
_ARCHIVE = "archive"
_PROGRAM = "program"
_SCRIPT = "script"

_FOUND = {
    _PROGRAM: (
        "application/x-dosexec application/x-executable application/x-mach-binary "
        "application/x-java-applet application/x-dex application/wasm "
        "application/x-llvm application/x-java-pack200 "
        "application/x-java-serialized-object application/x-shockwave-flash "
        "application/x-ms-shortcut application/vnd.ms-htmlhelp application/winhlp "
        "application/x-registry-hive application/x-vbe"
    ),
    _SCRIPT: (
        "text/x-script text/vbscript text/javascript text/x-powershell "
        "text/x-msdos-batch text/x-php application/hta application/x-scriptlet "
        "application/x-internet-shortcut application/x-desktop "
        "application/x-shell-command-file application/x-registry "
        "application/x-ms-search application/x-ms-settings application/x-iqy "
        "application/x-ms-application application/x-java-jnlp-file "
        "application/x-msbuild"
    ),
    _ARCHIVE: (
        "application/zip application/gzip application/x-rar "
        "application/x-7z-compressed application/x-compress application/x-bzip2 "
        "application/x-xz application/zstd application/x-lzma application/x-lz4 "
        "application/x-lzip application/vnd.ms-cab-compressed "
        "application/x-installshield-cab application/x-ms-compress "
        "application/x-ms-wim application/x-arj application/x-lha application/x-ace "
        "application/x-arc application/x-zoo application/x-tar application/x-cpio "
        "application/x-archive application/x-rpm application/x-xar "
        "application/x-stuffit application/x-iso9660-image application/x-vhd "
        "application/x-vhdx application/x-vmdk application/x-apple-diskimage"
    ),
    _OFFICE: (
        "application/x-ole-storage text/rtf application/onenote application/x-mso "
        "application/x-msaccess application/x-sylk"
    ),
    _PAGE: "text/html application/x-mimearchive",
}
_FAMILY = {kind: family for family, kinds in _FOUND.items() for kind in kinds.split()}

_EXTENSIONS = {
    _PICTURE: "avif bmp gif heic ico jfif jpe jpeg jpg png psd tif tiff webp",
    _MEDIA: (
        "aac aif aiff au avi flac flv m4a m4v mid mkv mov mp3 mp4 mpeg mpg oga ogg ogv "
        "opus wav webm wma wmv"
    ),
    _PDF: "pdf",
    _OFFICE: (
        "doc docm docx dot dotm dotx odp ods odt one pot potx pps ppsx ppt pptm pptx "
        "pub rtf vsd vsdx wps xls xlsb xlsm xlsx xlt xltx"
    ),
    _TEXT: "asc csv ics log md rst text txt vcf",
    _PAGE: "htm html mht mhtml shtml xht xhtml",
    _ARCHIVE: (
        "001 7z apk ar arj bz2 cab cpio deb dmg docx epub gz iso img jar kmz lha lz "
        "lz4 lzh lzma odp ods odt ova pptx rar rpm svgz tar tbz2 tgz txz vhd vhdx vmdk "
        "war whl wim xlsx xpi xz z zip zipx zst"
    ),
}
_CALLED: dict[str, tuple[str, ...]] = {}
for _name, _words in _EXTENSIONS.items():
    for _word in _words.split():
        _CALLED[_word] = (*_CALLED.get(_word, ()), _name)

# What is found -> families that it must not be called.
_DISGUISES = {
    _PROGRAM: (_PICTURE, _MEDIA, _PDF, _OFFICE, _TEXT),
    _SCRIPT: (_PICTURE, _MEDIA, _PDF, _OFFICE),
}
_MISMATCHES = {
    _ARCHIVE: (_PICTURE, _MEDIA, _PDF, _TEXT),
    _OFFICE: (_PICTURE, _MEDIA, _PDF),
    _PAGE: (_PICTURE, _MEDIA, _PDF, _ARCHIVE),
}
# Pictures that are packed with gzip (SVG 1.1 appendix J; MS-EMF, MS-WMF in OOXML).
_PACKED_TYPES = (
    "image/svg+xml",
    "image/x-emf",
    "image/x-wmf",
    "image/emf",
    "image/wmf",
)
_OFFICES = (
    *("msword", "rtf", "vnd.ms-excel", "vnd.ms-powerpoint", "vnd.ms-word"),
    *("vnd.openxml", "vnd.oasis"),
)
_ARCHIVES = (
    *("x-zip-compressed", "x-zip", "x-rar-compressed", "vnd.rar", "x-gzip"),
    *("x-gtar", "x-compressed", "x-gtar-compressed"),
)
_PACKED = ("svgz", "emz", "wmz", "dia", "xcfgz")


def declared_family(media: str) -> str:
    """The family a media type claims; "" for the generic and the unknown."""
    major, _, minor = media.partition("/")
    if major == "image":
        return _PICTURE
    if major in ("audio", "video"):
        return _MEDIA
    if media in ("application/pdf", "application/x-pdf"):
        return _PDF
    if major == "text":
        if minor in ("html", "xml"):
            return _PAGE
        return _OFFICE if minor in ("rtf", "richtext") else _TEXT
    if minor.startswith(_OFFICES):
        return _OFFICE
    if minor in _ARCHIVES or _FAMILY.get(media) == _ARCHIVE:
        return _ARCHIVE
    return ""


def note(defects: list[Defect], item: Item) -> None:
    """Append ``type-disguised-program`` or ``type-mismatch`` where an item is called
    what it is not."""
    found = _FAMILY.get(item.detected_type, "")
    if not found:
        return
    disguises = _DISGUISES.get(found, ())
    mismatches = _MISMATCHES.get(found, ())
    called = _extensions(item)
    if item.detected_type == "application/gzip" and (
        item.declared_type in _PACKED_TYPES or any(word in _PACKED for word in called)
    ):
        return
    claims: list[tuple[str, str]] = []
    right = False
    for word in called:
        families = _CALLED.get(word, ())
        right = right or found in families
        if families and found not in families:
            claims += [(family, f".{word}") for family in families]
    family = declared_family(item.declared_type)
    # A text that is called x.zip is only declared carelessly.
    if family and not (family == _TEXT and (right or _is_program(called))):
        claims.append((family, item.declared_type))
    for family, claim in claims:
        detail = f"{item.detected_type} as {claim}"
        if family in disguises:
            defects.append(Defect("type-disguised-program", item.path, detail))
            return
        if family in mismatches:
            defects.append(Defect("type-mismatch", item.path, detail))
            return


def _is_program(called: list[str]) -> bool:
    return any(word in names.PROGRAMS for word in called)


def _extensions(item: Item) -> list[str]:
    """The extensions of all names in all their forms, each once."""
    out: list[str] = []
    for name in item.names[:NAMES]:
        for form in names.forms(name):
            stem, dot, word = form.rpartition(".")
            if dot and stem and word not in out:
                out.append(word)
    return out
