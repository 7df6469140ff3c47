# SPDX-License-Identifier: MIT
"""What every defect is, what mail clients make of it, and how a sender avoids it.

Does: hold the texts of ``qscan explain`` and print the manual page
``docs/man/qscan-defects.7`` from them, so that neither can drift from the tables of
codes (a test holds both identical and complete).
Never does: judge; run for a message that nobody asks about (this module is cold).

What is said of a named client is what Ullrich, "MIME is broken" (BSides Munich 2022)
measured with the versions of that year, or is said in the vendor's own advisory; of
other clients nothing is claimed.
"""

from __future__ import annotations

import textwrap

from qscan.defects import CLASS_OF, DEFECTS
from qscan.mime import FURTHER, Reading
from qscan.tnef import CODES as TNEF_DEFECTS


class Text:
    """``meaning`` what it is, with the place in the standard; ``clients`` what is known
    of programs that meet it; ``mend`` how a sender avoids it, "" when that is obvious.
    """

    __slots__ = ("clients", "meaning", "mend")

    def __init__(self, meaning: str, clients: str, mend: str = "") -> None:
        self.meaning = meaning
        self.clients = clients
        self.mend = mend


_HIDES = "Programs for winmail.dat differ: what one of them shows another does not see."
_SAVE_AGAIN = "Send the attachments without winmail.dat (in Outlook: as HTML or text)."

#: group -> code -> text; the order is that of the manual page.
TEXTS: dict[str, dict[str, Text]] = {
    "structure": {
        "bare-cr-before-delimiter": Text(
            "A carriage return without line feed stands before two dashes. RFC 5322 "
            "section 2.3 has the two together only; the message is also read with a "
            "bare CR as the end of a line.",
            "For a program that ends lines there a delimiter follows, for others not.",
        ),
        "boundary-in-header": Text(
            "A delimiter line of a multipart stands among the header lines of a part, "
            "before the empty line (RFC 2046 section 5.1.1). It ends the part.",
            "A program may let the boundary win, as here, or read on to the empty line "
            "and take the next part for the body of this one.",
        ),
        "boundary-missing": Text(
            "A multipart has no boundary parameter, or an empty one, although it must "
            "have one (RFC 2046 section 5.1.1). It is split at the first line that "
            "looks like a delimiter.",
            "Some show the whole as one text, some guess the boundary from the body.",
        ),
        "boundary-not-found": Text(
            "No line of a multipart is a delimiter with the boundary that its "
            "Content-Type states. The whole body is then content, and the message is "
            "also read with lines that look like delimiters.",
            "Some show nothing, some the whole body as text, some guess.",
            "Check that no gateway rewrote or shortened the boundary.",
        ),
        "boundary-trailing-blank": Text(
            "The stated boundary ends with blanks, which RFC 2046 section 5.1.1 "
            "forbids; blanks at the end of a delimiter line are padding.",
            "Some drop the blanks in both places, for others the delimiter lines do "
            "not fit any more.",
        ),
        "boundary-with-junk": Text(
            "A line begins with a boundary and goes on with other characters. RFC 2046 "
            "section 5.1.1 lets a program take it for a delimiter.",
            "Some compare the beginning of the line, some all of it: they see "
            "different parts.",
        ),
        "boundary-without-multipart": Text(
            "A boundary is stated, but the type is no multipart. The part is split all "
            "the same.",
            "Some go by the type and show one text or file, some by the boundary.",
        ),
        "conflicting-boundary": Text(
            "A multipart states two boundaries, in two parameters or in one that is "
            "written in two ways (RFC 2231), and they differ.",
            "Thunderbird, Outlook and mutt take the first of two parameters, Apple "
            "Mail the last. Thunderbird reads a boundary in RFC 2231 form, Outlook "
            "does not. CVE-2024-28054 is this one.",
            "No mail program writes this; the software that made it is broken or "
            "means harm.",
        ),
        "encoded-multipart": Text(
            "A multipart has a Content-Transfer-Encoding other than 7bit, 8bit and "
            "binary (forbidden by RFC 2045 section 6.4). It is split as it stands, and "
            "decoded and split.",
            "Some ignore the encoding, some decode first, some show one opaque file.",
        ),
        "external-body": Text(
            "The type is message/external-body (RFC 2046 section 5.2.3): the content "
            "is somewhere else, and nobody can check what will be there when the "
            "recipient fetches it.",
            "Programs that know the type fetch the content; others show the stub.",
            "Attach the file, or put a link into the text.",
        ),
        "repeated-field": Text(
            "A part has a field of MIME twice, with the same value (RFC 2045 section 3 "
            "allows it once).",
            "All programs see the same, whichever of the two they take.",
        ),
        "field-behind-cr": Text(
            "Behind a CR without LF stands another field, or nothing: a program for "
            "which CR ends lines sees a field more, or the end of the header "
            "(RFC 5322 section 2.2 allows CR only before LF).",
            "Python's email package ends lines at a bare CR; fast-mail-parser, GMime "
            "and flanker do not.",
        ),
        "header-in-body": Text(
            "A line in the text of a part reads like a field of MIME, Content-Type or "
            "Content-Transfer-Encoding. Quoted mail and returned mail have such lines.",
            "A program that takes another line for a delimiter, or no header for one, "
            "sees a part that begins there.",
        ),
        "mail-encrypted": Text(
            "A part is an encrypted S/MIME object (RFC 8551 section 3.3). What it "
            "holds is a whole message, which nobody but the recipient can check.",
            "The recipient's program decrypts it and shows the message inside.",
            "Send it signed only, or by another way.",
        ),
        "message-partial": Text(
            "The type is message/partial (RFC 2046 section 5.2.2): one fragment of a "
            "message. Fragments are harmless one by one, whatever they make together.",
            "Outlook Express put the fragments together (CVE-2002-1121). Others show "
            "each on its own.",
            "Switch off the splitting of large messages in the mail program.",
        ),
        "missing-close": Text(
            "A multipart ends without its close delimiter (RFC 2046 section 5.1.1), as "
            "in a truncated message. Careless software does it; the parts are all "
            "there. The message is also read with the innermost boundary alone.",
            "Programs differ in where the last part ends, and in what of it they show.",
        ),
        "no-header": Text(
            "A part, or the message, begins with lines that are no header and have no "
            "empty line before them. They are taken for the body.",
            "Some drop what they take for a damaged header, some show it as text.",
        ),
        "too-ambiguous": Text(
            "At least four kinds of ambiguity are in one message. Each alone is a "
            "mistake that careless software makes; so many together are none, and no "
            "reading of ours can be sure to be that of the recipient's program.",
            "Every program reads such a message in its own way.",
        ),
        "same-boundary-nested": Text(
            "A multipart inside a multipart has the same boundary as the outer one.",
            "A delimiter line belongs to the inner one for some programs and to the "
            "outer one for others, so the tree of parts differs.",
        ),
    },
    "header": {
        "bad-content-type": Text(
            'Content-Type has no "type/subtype" (RFC 2045 section 5.1).',
            "Some show the part as text, some as an attachment; some split it when "
            "the word is multipart.",
        ),
        "bare-cr-in-header": Text(
            "A carriage return stands inside a header line without the line feed that "
            "ends a line (RFC 5322 section 2.3).",
            "For some it ends the line, so that a field behind it counts; for others "
            "it is one more character of the value.",
        ),
        "blank-line-in-header": Text(
            "A line of nothing but blanks stands in a header. It continues the field "
            "before it (obsolete, RFC 5322 section 4.2).",
            "For some the header ends there and the rest is body.",
        ),
        "comment-in-mime-field": Text(
            "A field that decides how a part is read contains a comment in "
            "parentheses (RFC 5322 section 3.2.2 allows it, hardly anybody writes it).",
            "In boundary=(boundary=foo)bar Outlook finds bar; Thunderbird, Apple Mail "
            "and mutt find nothing that fits.",
        ),
        "continuation-first": Text(
            "A header begins with a line that starts with a blank, so it continues a "
            "field that is not there (RFC 5322 section 2.2.3).",
            "Some see a field in it, others drop the line.",
        ),
        "duplicate-content-disposition": Text(
            "A part has two Content-Disposition fields (RFC 2183 section 2). All names "
            "in both are candidates.",
            "The first or the last counts, depending on the program.",
        ),
        "duplicate-content-type": Text(
            "A header has two Content-Type fields (RFC 2045 section 3 allows one). The "
            "message is read with the first and with the last.",
            "Thunderbird, Outlook and Apple Mail take the first, mutt the last: they "
            "show different messages.",
            "No mail program writes this; often a script adds a field without looking "
            "whether one is there.",
        ),
        "duplicate-mime-version": Text(
            "MIME-Version stands twice and differs (RFC 2045 section 4). Nothing "
            "depends on its value.",
            "It is ignored everywhere as far as known.",
        ),
        "header-junk": Text(
            "A line among the header lines is no field: it has no colon, or characters "
            "in the name that no name can have (RFC 5322 section 2.2).",
            "For some the header ends here and the rest is body; others skip the line.",
        ),
        "hidden-field": Text(
            "A Content-Type or Content-Transfer-Encoding is indented, so that it "
            "continues the line before it, or has other characters around its name.",
            "Some find the field all the same, others do not see it.",
        ),
        "nul-in-header": Text(
            "A header contains a NUL byte, which no message may (RFC 5322 section 4).",
            "Programs written in C may see the end of the text there, others go on.",
            "No mail program writes this; look for a script that reads binary data.",
        ),
        "space-before-colon": Text(
            "Blanks stand between a field name and its colon (obsolete, RFC 5322 "
            "section 4.5.8).",
            "GMime and ripMIME accept the field; for others it is no field, or the "
            "header ends there.",
        ),
        "stray-backslash": Text(
            "A backslash stands outside a quoted text in a structured field (RFC 2045 "
            "section 5.1: it must be quoted).",
            "Some keep it as a character, some take it away, some stop there.",
        ),
        "stray-quote": Text(
            "A double quote stands inside a word of a structured field, not around it "
            "(RFC 2045 section 5.1).",
            "Some keep it, some drop it, some begin a quoted text there, so that "
            "boundaries and names differ.",
        ),
        "unterminated-comment": Text(
            "A comment in a structured field is not closed (RFC 5322 section 3.2.2).",
            "For some it hides the rest of the field, others read the parenthesis as a "
            "character.",
        ),
        "unterminated-quote": Text(
            "A quoted text in a structured field is not closed (RFC 5322 section "
            "3.2.4).",
            "Some read to the end of the field, some to the next semicolon, some drop "
            "the parameter.",
        ),
    },
    "transfer encoding": {
        "bad-transfer-encoding": Text(
            "Content-Transfer-Encoding is more than one word: it has a comment or a "
            "parameter (RFC 2045 section 6.1 has a word).",
            "Some take the word they recognise in it, some do not decode at all.",
        ),
        "base64-data-after-padding": Text(
            "base64 data goes on behind the = that ends it (RFC 2045 section 6.8). "
            "What follows is decoded too.",
            "mutt stops at the padding; Thunderbird and Apple Mail go on behind it; "
            "Outlook goes on with garbage.",
        ),
        "base64-junk": Text(
            "base64 data contains characters that do not belong to its alphabet. They "
            "must be ignored (RFC 2045 section 6.8).",
            "Mail programs ignore them; some scanners stop, and see less.",
        ),
        "base64-length": Text(
            "base64 data ends in the middle of a group of four characters (RFC 2045 "
            "section 6.8).",
            "Most decode what is there; some give the undecoded text.",
        ),
        "base64-lines": Text(
            "Lines of base64 data have lengths that are no multiple of four "
            "characters, although more lines follow. RFC 2045 section 6.8 allows it.",
            "Nearly all join the lines and see the same; one that decodes line by line "
            "sees something else.",
        ),
        "duplicate-content-transfer-encoding": Text(
            "A part has two Content-Transfer-Encoding fields (RFC 2045 section 3 "
            "allows one). The message is read with the first and with the last.",
            "Thunderbird, Outlook and Apple Mail decode as the first says, mutt as the "
            "last: one of them sees a file where the other sees letters.",
            "No mail program writes this; often a script adds a field without looking "
            "whether one is there.",
        ),
        "misspelt-transfer-encoding": Text(
            "Content-Transfer-Encoding is no word of RFC 2045 section 6, but reads "
            "like one that careless software writes, a character set for instance. "
            "The content is scanned as it stands and decoded in each known way.",
            "Most show the content as it stands; some recognise a part of the word.",
        ),
        "qp-bad-escape": Text(
            "quoted-printable data has a = without two hexadecimal digits behind it "
            "(RFC 2045 section 6.7).",
            "Some leave it in the text, some drop it, some drop the rest of the line.",
        ),
        "qp-blank-soft-break": Text(
            "Blanks stand behind the = that joins two lines of quoted-printable text. "
            "Gateways add them; they must be deleted (RFC 2045 section 6.7).",
            "Some join the lines, some leave the = in the text.",
        ),
        "unknown-transfer-encoding": Text(
            "Content-Transfer-Encoding is no word of RFC 2045 section 6 and none that "
            "is known besides. The content is scanned as it stands and decoded in each "
            "known way.",
            "Of a list like base64, quoted-printable Thunderbird and mutt take the "
            "first word, Outlook and Apple Mail decode nothing. Thunderbird decodes "
            "yEnc, the others do not.",
        ),
        "uu-bad-line": Text(
            "A line of uuencoded data has another length than it says, or characters "
            "that do not occur in it (POSIX uuencode).",
            "Thunderbird and Outlook decode uuencode in mail, Apple Mail and mutt do "
            "not; how much is left of damaged lines differs.",
        ),
    },
    "names": {
        "name-archive-cloaked": Text(
            "A file name has the ending of an archive and another one behind it that "
            "hides it (report.zip.gz, report.zip.001, report.r00).",
            "An unpacker opens it; rules for the last ending alone do not see it.",
        ),
        "name-bidi-override": Text(
            "A file name contains a character that changes the direction of writing "
            "(U+202E and its like, Unicode TR 36): what looks like annexe.doc may be "
            "a program.",
            "The name is shown reversed from there on; the system goes by the order of "
            "the characters.",
        ),
        "name-clsid": Text(
            "A file name ends with the number of a class of Windows in braces.",
            "Windows hides the number, and opens the file with the program that it "
            "names.",
        ),
        "name-control": Text(
            "A file name contains control characters or a NUL.",
            "Some drop them, some end the name there: what they save has another "
            "name, perhaps another ending.",
        ),
        "name-device": Text(
            "A file has the name of a device of Windows (CON, AUX, NUL, LPT1 ...).",
            "A program that saves it writes to the device, or fails.",
        ),
        "name-double-extension": Text(
            "A file name has two endings: one that looks harmless and one of "
            "something that runs (invoice.pdf.exe).",
            "Windows and Outlook open it by the last ending, which many systems do "
            "not show.",
        ),
        "name-many-blanks": Text(
            "A file name contains ten or more blanks in a row, which push its real "
            "ending out of sight.",
            "A list of attachments may show the beginning of the name only; Windows "
            "goes by the end.",
        ),
        "name-path": Text(
            "A file name contains a directory, a drive or the way to the directory "
            "above (RFC 2183 section 2.3: to be ignored).",
            "Nearly all drop it; a careless one writes the file where the sender "
            "likes.",
        ),
        "name-stream": Text(
            "A file name has a colon and the name of an alternate stream of NTFS.",
            "Windows writes the content into the stream of another file, or into that "
            "file itself (a.exe::$DATA is a.exe).",
        ),
        "name-too-long": Text(
            "A file name is longer than the 255 bytes that file systems take.",
            "Programs cut it, each at another place, so that the ending differs.",
        ),
    },
    "types": {
        "type-disguised-program": Text(
            "The content is a program or a script, and its declared type or its name "
            "says it is a document or a picture.",
            "Some open it by its name, some by the declared type, some by what the "
            "content is.",
            "Send it under its own name and type.",
        ),
        "type-mismatch": Text(
            "The content is of another kind than the declared type or the name says: "
            "an archive or a page that calls itself something else.",
            "Some open it by its name, some by the declared type, some by what the "
            "content is.",
        ),
    },
    "archives": {
        "archive-broken": Text(
            "An archive cannot be read to its end: a checksum, a length or a structure "
            "is wrong. What could be read was looked at; clamd saw the whole.",
            "Programs differ in how much of a damaged archive they give out.",
            "Make the archive again; the transfer may have damaged it.",
        ),
        "archive-child-died": Text(
            "The process that opens archives and documents ended without a result, so "
            "nobody knows what was in the rest.",
            "Nothing is known of clients.",
            "Make the archive again, or send the files one by one.",
        ),
        "archive-decrypted": Text(
            "An encrypted archive opened with a word that stands in the message. What "
            "is in it was looked at.",
            "The recipient opens it with the same word. Malware is sent like this, to "
            "get past scanners.",
            "Send it without a password.",
        ),
        "archive-duplicate-name": Text(
            "Two members of an archive have the same name. Both were looked at.",
            "Unpackers keep the first, the last, or both under different names.",
        ),
        "archive-encrypted": Text(
            "An archive, or a member of it, is encrypted. Only the names that are "
            "readable could be checked.",
            "The recipient opens it with the password.",
            "Send it without a password, or by another way.",
        ),
        "archive-inconsistent": Text(
            "The parts of an archive contradict one another: in a zip for instance the "
            "central directory and the header in front of a member (APPNOTE.TXT "
            "section 4.3) name different files or lengths. All were looked at.",
            "Unpackers go by one or the other, so they give out different files.",
            "Make the archive again with a current program.",
        ),
        "archive-junk": Text(
            "Other bytes stand before, between or behind what belongs to an archive, "
            "as in a program that unpacks itself.",
            "Some unpackers look for the archive inside, others refuse it.",
        ),
        "archive-method": Text(
            "A member of an archive is compressed with an old method that few programs "
            "know. It could be read.",
            "Some unpackers open it, others leave the member out.",
        ),
        "archive-overlap": Text(
            "Members of an archive share bytes, or lie in its directory. No packer "
            "writes that; it makes a small archive unpack to a huge one.",
            "Unpackers fill the disk, or refuse the archive.",
            "Make the archive again with a current program.",
        ),
        "archive-unsupported": Text(
            "A member of an archive is compressed with a method that is not known "
            "here, so its content could not be looked at.",
            "A program that knows the method opens it.",
            "Use the usual compression of zip.",
        ),
    },
    "documents": {
        "document-activex": Text(
            "A document contains an ActiveX control, that is a part of a program.",
            "Office programs ask before they run it, or not, depending on their "
            "settings.",
        ),
        "document-broken": Text(
            "A document cannot be read to its end: its structure is damaged. clamd saw "
            "the whole.",
            "Programs repair what they can, each in its own way.",
        ),
        "document-dde": Text(
            "A field of a document asks another program for data when it is opened "
            "(DDE), which can start any program.",
            "Office programs ask before they do it, or not, depending on their "
            "settings.",
        ),
        "document-embedded-object": Text(
            "Another file or object is embedded in a document. It was looked at, where "
            "it could be taken out.",
            "It opens with a click, with the program that belongs to it.",
        ),
        "document-encrypted": Text(
            "A document is encrypted: nothing in it can be checked.",
            "The recipient opens it with the password.",
            "Send it without a password, or by another way.",
        ),
        "document-equation": Text(
            "A document contains an object of the old equation editor, which has holes "
            "that were often used (CVE-2017-11882).",
            "Office programs without the updates of 2018 run what is in it.",
        ),
        "document-external-link": Text(
            "A document loads a part of itself from another place when it is opened: a "
            "template, an object, a picture.",
            "The program fetches it, so what is shown or run is not what was scanned.",
        ),
        "document-installer": Text(
            "The content is a package of the Windows installer, that is a program.",
            "Windows installs it.",
        ),
        "document-macros": Text(
            "A document contains macros, that is a program.",
            "Office programs ask before they run it, or not, depending on their "
            "settings.",
            "Save it in a format without macros (.docx, .xlsx), or as PDF.",
        ),
        "pdf-embedded-file": Text(
            "A PDF contains another file (ISO 32000 section 7.11.4). It was looked at, "
            "where it could be taken out.",
            "Readers show it as an attachment, and open it with a click.",
        ),
        "pdf-javascript": Text(
            "A PDF contains JavaScript (ISO 32000 section 12.6.4).",
            "Some readers run it, some do not.",
        ),
        "pdf-launch": Text(
            "A PDF has an action that starts a program or opens a file (ISO 32000 "
            "section 12.6.4).",
            "Some readers ask before they do it, some never do it.",
        ),
        "pdf-open-action": Text(
            "A PDF has an action for the moment when it is opened (ISO 32000 section "
            "12.6.3). Often it only turns to a page.",
            "Some readers carry it out, some do not.",
        ),
        "pdf-restricted": Text(
            "A PDF is encrypted, but opens without a password: printing or copying is "
            "restricted. clamd looked into it; names of files in it are not known.",
            "Readers open it without asking.",
        ),
        "pdf-rich-media": Text(
            "A PDF contains a film, a sound or a Flash program (ISO 32000 section 13).",
            "Some readers play it, some do not.",
        ),
        "pdf-xfa": Text(
            "A PDF contains a form in XML (XFA), which may hold programs.",
            "Some readers show it, others only a note that they cannot.",
        ),
    },
    "TNEF": {
        "tnef-ambiguous-property": Text(
            "A list of properties has types of which the lengths are read in two ways "
            "([MS-OXTNEF] section 2.1.3.4), and both ways fit. Both are followed.",
            _HIDES,
        ),
        "tnef-bad-signature": Text(
            "A part is called winmail.dat, or has a type of TNEF, but does not begin "
            "with its signature ([MS-OXTNEF] section 2.1.3.1). The part is scanned as "
            "it is.",
            "Outlook and Exchange read TNEF; what they make of this is not known.",
            _SAVE_AGAIN,
        ),
        "tnef-checksum": Text(
            "The checksum of an object is wrong: a byte of it was changed.",
            "Some refuse the whole file, some warn, some do not look.",
            _SAVE_AGAIN,
        ),
        "tnef-child-died": Text(
            "The process that unpacks winmail.dat ended without a result, so nobody "
            "knows what was in the rest of it.",
            "Nothing is known of clients.",
            _SAVE_AGAIN,
        ),
        "tnef-codepage": Text(
            "The character set that the file states is not a known one. Names are "
            "tried in the likely ones.",
            "Names may look different from program to program.",
        ),
        "tnef-count": Text(
            "A count (of properties, rows or values) does not agree with what is "
            "there, so that a reader that believes it runs past the end.",
            "Some stop with an error; some give what they have, and lose the rest.",
            _SAVE_AGAIN,
        ),
        "tnef-cpu-limit": Text(
            "Unpacking took more processor time than tnef.cpu_seconds.",
            "A file of 71 bytes can keep a careless program busy for minutes.",
            _SAVE_AGAIN,
        ),
        "tnef-data-before-renddata": Text(
            "An object of an attachment comes before the one that begins an "
            "attachment ([MS-OXTNEF] section 2.1.3.3). It is taken for an attachment.",
            "Some programs crash on it, some drop the data.",
            _SAVE_AGAIN,
        ),
        "tnef-data-in-message": Text(
            "The properties of the message itself contain the data of an attachment.",
            _HIDES,
            _SAVE_AGAIN,
        ),
        "tnef-duplicate-data": Text(
            "One attachment has two contents: two data objects, or one and a data "
            "property. All are scanned.",
            "Programs overwrite the first with the second and show one of them.",
            _SAVE_AGAIN,
        ),
        "tnef-duplicate-properties": Text(
            "An attachment or the message has two lists of properties of one kind. "
            "Both are read.",
            _HIDES,
            _SAVE_AGAIN,
        ),
        "tnef-duplicate-title": Text(
            "One attachment has two titles. Both are candidates for its name.",
            "Programs overwrite the first with the second.",
            _SAVE_AGAIN,
        ),
        "tnef-garbage": Text(
            "Bytes stand between objects that belong to none of them. Objects are "
            "looked for behind them.",
            "Some lose step and see no attachment any more, some stop with an error.",
            _SAVE_AGAIN,
        ),
        "tnef-length-past-end": Text(
            "An object says it is longer than what is left of the file. It is read to "
            "the end, and objects are looked for inside it.",
            "Some take the rest of the file for this object, so that all that follows "
            "is hidden; some stop.",
            _SAVE_AGAIN,
        ),
        "tnef-level": Text(
            "An object of an attachment is marked as one of the message, or the other "
            "way round, or neither ([MS-OXTNEF] section 2.1.3.1).",
            "Some go by the mark and lose the attachment, some by the name of the "
            "object.",
            _SAVE_AGAIN,
        ),
        "tnef-library-error": Text(
            "The library that reads the file a second time failed on it, although it "
            "is well formed. Our own reader gave everything.",
            "Programs that use the same library show nothing.",
        ),
        "tnef-long-name": Text(
            "A file name is longer than any file system takes.",
            "Programs cut it, each at another place.",
        ),
        "tnef-malformed": Text(
            "winmail.dat is damaged in a way that may hide something. In the settings "
            "malformed.refuse and malformed.actions it stands for every tnef- code "
            "with that property.",
            _HIDES,
            _SAVE_AGAIN,
        ),
        "tnef-memory-limit": Text(
            "Unpacking took more memory than tnef.memory_bytes.",
            "A file of 79 bytes can take all the memory of a careless program.",
            _SAVE_AGAIN,
        ),
        "tnef-nested-too-deep": Text(
            "winmail.dat in winmail.dat, more levels than limit.depth. What lies "
            "deeper was not unpacked.",
            "Programs stop at some depth, or crash.",
            "Forward less deeply, or attach the inner files themselves.",
        ),
        "tnef-no-data": Text(
            "An attachment has a beginning and perhaps a name, but no content.",
            "A program that finds the content elsewhere in the file shows it.",
            _SAVE_AGAIN,
        ),
        "tnef-odd-name": Text(
            "A file name contains control characters.",
            "Some drop them, some end the name there: what they save has another "
            "name, perhaps another ending.",
            _SAVE_AGAIN,
        ),
        "tnef-odd-length": Text(
            "An object of fixed size has another size. Careless software does it, and "
            "nothing is lost.",
            "It is ignored as far as known.",
        ),
        "tnef-order": Text(
            "Objects of the message follow those of an attachment ([MS-OXTNEF] "
            "section 2.1.3.3). Careless software does it, and nothing is lost.",
            "It is ignored as far as known.",
        ),
        "tnef-parser-error": Text(
            "The library that reads the file a second time failed on a file that has "
            "other defects too.",
            "Programs that use the same library show nothing, or less.",
            _SAVE_AGAIN,
        ),
        "tnef-property-length": Text(
            "A property says it is longer than what is left of its list.",
            _HIDES,
            _SAVE_AGAIN,
        ),
        "tnef-property-name": Text(
            "A property has a name of a kind that does not exist ([MS-OXTNEF] section "
            "2.1.3.4), so that nobody knows where its value begins.",
            _HIDES,
            _SAVE_AGAIN,
        ),
        "tnef-property-trailing": Text(
            "Bytes stand behind the last property of a list.",
            _HIDES,
            _SAVE_AGAIN,
        ),
        "tnef-property-type": Text(
            "A property has a type that is not known ([MS-OXCDATA] section 2.11.1), so "
            "that nobody knows how long its value is.",
            "Some stop there and lose the data of the attachment without saying so.",
            _SAVE_AGAIN,
        ),
        "tnef-reference": Text(
            "An attachment is a reference to a file that is elsewhere ([MS-OXCMSG] "
            "section 2.2.2.9). There is nothing to scan.",
            "The program opens the place that is named, if it can reach it.",
        ),
        "tnef-rtf": Text(
            "The compressed text of the message is damaged ([MS-OXRTFCP]).",
            "The text is missing or cut.",
        ),
        "tnef-short-last-object": Text(
            "The last object is so short that some programs overlook it. It is read.",
            "Some programs end before an object of 12 bytes or less.",
        ),
        "tnef-too-many-objects": Text(
            "There are more objects or properties than are looked at.",
            "A careless program needs time that grows with the square of their number.",
            "Send fewer attachments in one message.",
        ),
        "tnef-too-many-names": Text(
            "An attachment has more names than are looked at.",
            "Programs take one of them, not the same.",
            _SAVE_AGAIN,
        ),
        "tnef-trailing-data": Text(
            "Bytes follow the last object. They are scanned.",
            "Programs ignore them; one that looks for another file inside finds it.",
            _SAVE_AGAIN,
        ),
        "tnef-trailing-newline": Text(
            "A line end follows the last object: some gateway added it. Nothing is "
            "lost.",
            "It is ignored as far as known.",
        ),
        "tnef-truncated": Text(
            "The file ends within its header or within an object.",
            "Some give what is there, some nothing.",
            "Send it again; the transfer may have cut it.",
        ),
        "tnef-type": Text(
            "An object has another type than belongs to its name ([MS-OXTNEF] section "
            "2.1.3.2).",
            _HIDES,
            _SAVE_AGAIN,
        ),
        "tnef-unknown-attribute": Text(
            "An object has a name that is not known. Its content is scanned.",
            "Programs skip it, or stop.",
            _SAVE_AGAIN,
        ),
        "tnef-version": Text(
            "The file says it is of another version than 1 of the format.",
            "It is ignored as far as known.",
        ),
        "tnef-wall-limit": Text(
            "Unpacking took longer than tnef.wall_seconds.",
            "A file of 71 bytes can keep a careless program busy for minutes.",
            _SAVE_AGAIN,
        ),
    },
    "limits": {
        "limit-archive-bytes": Text(
            "What an archive holds, everything inside it counted, is larger than "
            "archive.expanded_bytes. The rest was not taken out.",
            "A bomb fills the disk of a careless program.",
            "Send the files one by one, or by another way.",
        ),
        "limit-archive-cpu": Text(
            "To open an archive or document took more than archive.cpu_seconds.",
            "Some programs are busy for ever with a file that is made for it.",
            "Send the files one by one, or by another way.",
        ),
        "limit-archive-depth": Text(
            "Archives are in each other more deeply than archive.depth. What lies "
            "deeper was scanned as it is, not opened.",
            "People open one after the other; programs stop somewhere.",
            "Send the inner archive itself.",
        ),
        "limit-archive-members": Text(
            "Archives of the message have more than archive.members members. The rest "
            "was not taken out.",
            "Programs get slow, or stop somewhere.",
            "Send fewer files.",
        ),
        "limit-archive-memory": Text(
            "To open an archive takes more than archive.memory_bytes.",
            "Programs take the memory, or crash.",
            "Pack it with a smaller dictionary.",
        ),
        "limit-archive-ratio": Text(
            "An archive holds more than archive.ratio times its own size.",
            "A bomb fills the disk of a careless program.",
            "Send the files one by one, or by another way.",
        ),
        "limit-archive-seconds": Text(
            "To open an archive or document took longer than archive.wall_seconds.",
            "Some programs are busy for ever with a file that is made for it.",
            "Send the files one by one, or by another way.",
        ),
        "limit-depth": Text(
            "Parts are nested more deeply than limit.depth. What lies deeper was not "
            "unpacked.",
            "Programs stop at some depth, or crash.",
            "Forward less deeply, or attach the inner files themselves.",
        ),
        "limit-expanded-bytes": Text(
            "The unpacked parts together are larger than limit.expanded_bytes. What "
            "came after that was not unpacked.",
            "A bomb fills the disk of a careless program.",
            "Send the files one by one, or by another way.",
        ),
        "limit-header-bytes": Text(
            "The header of the message or of a part is longer than "
            "limit.header_bytes. What lies beyond was not read as header.",
            "Programs cut headers at different lengths.",
        ),
        "limit-names": Text(
            "A part has more names than any mail program writes (200). The others were "
            "not looked at.",
            "Programs read different numbers of them.",
        ),
        "limit-parameters": Text(
            "A field has more parameters than any mail program writes (1000).",
            "Programs read different numbers of them, or hang.",
        ),
        "limit-parts": Text(
            "There are more parts than limit.parts. The rest was not unpacked.",
            "Programs show different numbers of parts, or hang.",
            "Send fewer attachments, or one archive of them.",
        ),
        "limit-unpack-seconds": Text(
            "Unpacking took longer than limit.unpack_seconds. The rest was not "
            "unpacked.",
            "Nothing is known of clients.",
            "Send fewer or smaller attachments.",
        ),
    },
}

#: Reading.name -> how it reads, for people.
READINGS: dict[str, str] = {
    "": "the normal reading: as the RFCs say; of what stands twice the first counts",
    "last": "of fields and parameters that stand twice the last one counts",
    "prefix": "a line that begins with a boundary is a delimiter, whatever follows",
    "exact": "blanks at the end of a boundary and of delimiter lines count",
    "junk": "a line that is no field ends the header; what follows is body",
    "guess": "multiparts are split at lines that look like delimiters, whatever "
    "boundary is stated",
    "cr": "a carriage return without line feed ends a line too, and a line that is no "
    "field ends the header",
    "literal": "comments, quotes and backslashes are characters like others, and every "
    "boundary that is stated anywhere counts",
    "any": "neither headers nor boundaries are believed: whatever looks like encoded "
    "content is decoded, wherever it stands",
    "inner": "only the boundary of the innermost open multipart counts, and a line "
    "that begins with it is a delimiter",
}

BY_CODE: dict[str, Text] = {
    code: text for group in TEXTS.values() for code, text in group.items()
}

UNKNOWN = Text("There is no text for this code.", "Nothing is known of clients.")


def text_of(code: str) -> Text:
    """The text of a code; ``UNKNOWN`` for one that has none (a bug, but no reason not
    to explain the rest)."""
    return BY_CODE.get(code, UNKNOWN)


def codes() -> list[str]:
    """Every code that some parser annotates or some setting names."""
    return [*DEFECTS, *(code for code in TNEF_DEFECTS if code not in DEFECTS)]


def default_of(code: str) -> str:
    """``refused``, ``noted`` or ``class X`` (X a class of ``decide.CLASSES``)."""
    if code.startswith("limit-"):
        return "class limits"
    if code in CLASS_OF:
        return f"class {CLASS_OF[code]}"
    if code in DEFECTS:
        return "refused" if DEFECTS[code][0] else "noted"
    return "refused" if TNEF_DEFECTS.get(code, (True, ""))[0] else "noted"


def readings_of(code: str) -> list[Reading]:
    """The further readings that this code switches on."""
    return list(FURTHER.get(code, ()))


_PREAMBLE = """
.TH QSCAN\\-DEFECTS 7 "" qscan "Miscellaneous"
.SH NAME
qscan\\-defects \\- what the mail scanner qscan finds odd in a message, and why
.SH DESCRIPTION
A message that is not as the standards say is read in different ways by different
mail programs. qscan notes every such fact, a defect, with a code, the part of the
message and, where it is known, the place in the file.
.B qscan explain
shows them with line numbers and with the texts below;
.B qscan scan
and the log name them.
.PP
By default a defect is
.TP
.B refused
A finding of class malformed: the setting
.B action.malformed
says what becomes of the message. Refused is what no real mail program produces, and
what cannot be checked completely. The list is the setting
.BR malformed.refuse .
.TP
.BI "class " X
A finding of that class, whatever is listed: the setting
.BI action. X
says what becomes of the message.
.TP
.B noted
Only noted. Careless software does it, and honest mail has it. Where mail programs may
read the message differently, it is read in these ways too, and all that any reading
yields is scanned.
.PP
The setting
.B malformed.actions
gives single codes, or all that begin alike, an action of their own.
.PP
What is said below of a named mail program was found out with its version of 2022, or
is in a security advisory; nothing is claimed of others. The texts are for the
administrator; what the sender is told is shorter.
""".strip()


def man_text() -> str:
    """The source of the manual page qscan-defects(7), in man(7) macros."""
    lines = [
        '.\\" SPDX-License-Identifier: MIT',
        '.\\" Written by qscan.defecttext.man_text(); change the tables there.',
        *_PREAMBLE.split("\n"),
    ]
    for group, texts in TEXTS.items():
        if not texts:
            continue
        lines.append(f".SH {group.upper()}")
        for code in sorted(texts):
            lines += _entry(code, texts[code])
    lines += [
        ".SH READINGS",
        "The normal reading is always done. A defect may switch on one of these too:",
    ]
    switched = [reading for code in FURTHER for reading in readings_of(code)]
    for name in sorted({reading.name for reading in switched}):
        lines += [".TP", f".B {_roff(name)}", *_filled(_sentence(READINGS[name]))]
    lines += [
        ".SH SEE ALSO",
        ".BR qscan (1),",
        ".BR qscan.toml (5),",
        ".BR qscan\\-queue (8)",
        ".PP",
        "RFC 2045, RFC 2046, RFC 2047, RFC 2183, RFC 2231, RFC 5322, RFC 7103.",
    ]
    return "\n".join(lines) + "\n"


def _entry(code: str, text: Text) -> list[str]:
    lines = [".TP", f".B {_roff(code)}", *_filled(text.meaning)]
    lines += [".br", *_filled("Clients: " + text.clients)]
    if text.mend:
        lines += [".br", *_filled("To mend: " + text.mend)]
    lines += [".br", *_filled(f"Default: {default_of(code)}.")]
    names = [reading.name for reading in readings_of(code)]
    if names:
        plural = "readings" if len(names) > 1 else "reading"
        lines += [".br", *_filled(f"Switches on the {plural} {', '.join(names)}.")]
    return lines


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _filled(text: str) -> list[str]:
    return [_roff(line) for line in textwrap.wrap(text, 78, break_on_hyphens=False)]


def _roff(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in (".", "'") else text


def main() -> None:
    """``python -m qscan.defecttext man`` prints the manual page."""
    import sys

    if sys.argv[1:] != ["man"]:
        sys.exit("usage: python -m qscan.defecttext man")
    sys.stdout.write(man_text())


if __name__ == "__main__":
    main()
