# SPDX-License-Identifier: MIT
"""Real types: magic by table, files made by real tools, and what lies about itself."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import random
import shutil
import sqlite3
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from harness import multipart
from unpacking import REPOSITORY, unpack

from qscan import defects, fdio, filetypes, kinds, realtype, sniff
from qscan.model import Defect, Item

TEXT = b"Dear all,\n\nplease find the minutes (draft) attached.\n"
UTF16 = "﻿".encode("utf-16-le")


def wide(text: str) -> bytes:
    return UTF16 + text.encode("utf-16-le")


def old_tar(name: bytes = b"a.txt") -> bytes:
    """A header from before POSIX."""
    head = bytearray(512)
    head[: len(name)] = name
    head[100:108] = b"0000644\0"
    head[108:116] = head[116:124] = b"0000000\0"
    head[124:136] = head[136:148] = b"00000000000\0"
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


BINARY = bytes(range(256)) * 4
ZEROS = bytes(1024)

MAGIC: dict[str, list[bytes]] = {
    "application/x-dosexec": [b"MZ\x90\0\3\0\0\0", b"MZ" + ZEROS, b"ZM" + BINARY],
    "application/x-executable": [b"\x7fELF\2\1\1\0"],
    "application/x-mach-binary": [
        b"\xcf\xfa\xed\xfe\x07\0\0\1",
        b"\xfe\xed\xfa\xce\0\0\0\x12",
        b"\xca\xfe\xba\xbe\0\0\0\2\1\0\0\7",
        b"\xca\xfe\xba\xbf\0\0\0\2",
    ],
    "application/x-java-applet": [b"\xca\xfe\xba\xbe\0\0\0\x34\0\x1d"],
    "application/x-dex": [b"dex\n035\0" + BINARY],
    "application/wasm": [b"\0asm\1\0\0\0"],
    "application/x-ms-shortcut": [b"L\0\0\0\1\x14\2\0\0\0\0\0\xc0\0\0\0\0\0\0F"],
    "application/x-vbe": [b"#@~^XXXXXX==abc", b"  #@~^XXXXXX==abc"],
    "application/x-shockwave-flash": [b"FWS\x09" + BINARY, b"CWS\x0a" + BINARY],
    "application/vnd.ms-htmlhelp": [b"ITSF\3\0\0\0" + BINARY],
    "application/winhlp": [b"\x3f\x5f\3\0" + BINARY],
    "application/x-registry-hive": [b"regf" + BINARY],
    "application/x-ole-storage": [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + ZEROS],
    "application/pdf": [
        b"%PDF-1.7\n%\xe2\xe3",
        b"\0junk\xff%PDF-1.4\n",
        ZEROS[:1000] + b"%PDF-1.4\n",
        b"some lines\nbefore it\n%PDF-1.4\n",
    ],
    "text/rtf": [b"{\\rtf1\\ansi", b"{\\rt\\x", b" \n{\\rtf1", b"{\\RTF1"],
    "application/postscript": [
        b"%!PS-Adobe-3.0\n",
        b"\xc5\xd0\xd3\xc6 \0\0\0",
        b"\x04%!PS-Adobe",
    ],
    "application/x-mso": [b"ActiveMime\0\0\1\xf0"],
    "application/x-sylk": [b"ID;P\nO;E\n"],
    "application/vnd.ms-excel": [b"\x09\0\4\0\2\0\x10\0", b"\x09\x08\x10\0\0\6\5\0"],
    "application/x-msaccess": [
        b"\0\1\0\0Standard Jet DB\0",
        b"\0\1\0\0Standard ACE DB\0",
    ],
    "application/onenote": [
        b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3"
    ],
    "application/ms-tnef": [b"\x78\x9f\x3e\x22\1\0"],
    "application/zip": [
        b"PK\3\4\x14\0",
        b"PK\5\6" + ZEROS[:18],
        b"PK\7\x08PK\3\4",
        b"PK00PK\3\4",
    ],
    "application/x-rar": [
        b"Rar!\x1a\7\0\xcf\x90",
        b"Rar!\x1a\7\1\0",
        b"RE~^" + BINARY,
    ],
    "application/x-7z-compressed": [b"7z\xbc\xaf\x27\x1c\0\4"],
    "application/gzip": [b"\x1f\x8b\x08\0"],
    "application/x-compress": [b"\x1f\x9d\x90"],
    "application/x-bzip2": [b"BZh91AY&SY\xff\0"],
    "application/x-xz": [b"\xfd7zXZ\0\0\4"],
    "application/zstd": [b"\x28\xb5\x2f\xfd\4", b"\x50\x2a\x4d\x18\4\0\0\0"],
    "application/x-lzma": [b"\x5d\0\0\x80\0" + b"\xff" * 8 + b"\0\1"],
    "application/x-lz4": [b"\x04\x22\x4d\x18\x64", b"\x02\x21\x4c\x18\1"],
    "application/x-lzip": [b"LZIP\1\x0c\0"],
    "application/vnd.ms-cab-compressed": [b"MSCF\0\0\0\0"],
    "application/x-installshield-cab": [b"ISc(\x0c\0\0\1"],
    "application/x-ms-compress": [b"SZDD\x88\xf0'3A", b"KWAJ\x88\xf0'\xd1"],
    "application/x-ms-wim": [b"MSWIM\0\0\0\xd0"],
    "application/x-arj": [b"\x60\xea\x27\0"],
    "application/x-lha": [b"\x22\0-lh5-\1\0", b"\x22\0-lzs-\1\0", b"\x19\0-pm1-\0"],
    "application/x-ace": [b"\1\2\3\4\5\6\7**ACE**\0"],
    "application/x-arc": [b"\x1a\x08FILE.EXE\0abcd"],
    "application/x-zoo": [b"ZOO 2.10 Archive.\x1a\0\0\xdc\xa7\xc4\xfd"],
    "application/x-tar": [old_tar()],
    "application/x-cpio": [
        b"070701" + b"0" * 104 + b"a\0",
        b"070707" + b"0" * 70 + b"\0",
        b"\xc7\x71\0\0",
        b"\x71\xc7\0\0",
    ],
    "application/x-archive": [b"!<arch>\ndebian-binary"],
    "application/x-rpm": [b"\xed\xab\xee\xdb\3\0"],
    "application/x-xar": [b"xar!\0\x1c\0\1"],
    "application/x-stuffit": [b"StuffIt (c)1997-2002 Aladdin", b"SIT!\0\1" + BINARY],
    "application/x-vhd": [b"conectix\0\0\0\2"],
    "application/x-vhdx": [b"vhdxfile" + wide("Microsoft")],
    "application/x-vmdk": [b"KDMV\1\0\0\0", b"# Disk DescriptorFile\nversion=1\n"],
    "image/png": [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"],
    "image/jpeg": [b"\xff\xd8\xff\xe0\0\x10JFIF"],
    "image/gif": [b"GIF89a\1\0\1\0", b"GIF87a\1\0\1\0"],
    "image/bmp": [b"BM\x36\0\0\0\0\0\0\0"],
    "image/webp": [b"RIFF\x10\0\0\0WEBPVP8 "],
    "image/tiff": [b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"],
    "image/vnd.microsoft.icon": [b"\0\0\1\0\1\0\x10\x10"],
    "image/heif": [b"\0\0\0\x18ftypheic\0\0"],
    "image/emf": [b"\1\0\0\0l\0\0\0" + bytes(32) + b" EMF\0"],
    "image/wmf": [b"\xd7\xcd\xc6\x9a\0\0"],
    "image/svg+xml": [
        b'<svg xmlns="http://www.w3.org/2000/svg">',
        b'<?xml version="1.0"?>\n<!-- a -->\n<svg/>',
        b'<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C" "x.dtd">\n<svg:svg>',
    ],
    "audio/mpeg": [b"ID3\3\0\0\0", b"\xff\xfb\x90\0"],
    "audio/mp4": [b"\0\0\0\x20ftypM4A \0\0"],
    "audio/x-wav": [b"RIFF\x24\0\0\0WAVEfmt "],
    "audio/flac": [b"fLaC\0\0\0\x22"],
    "audio/midi": [b"MThd\0\0\0\6"],
    "application/ogg": [b"OggS\0\2"],
    "video/mp4": [b"\0\0\0\x18ftypmp42\0\0"],
    "video/x-msvideo": [b"RIFF\x24\0\0\0AVI LIST"],
    "video/x-matroska": [b"\x1a\x45\xdf\xa3\1\0"],
    "video/x-ms-asf": [b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"],
    "font/ttf": [b"\0\1\0\0\0\x10"],
    "font/otf": [b"OTTO\0\x0a"],
    "font/woff2": [b"wOF2\0\1\0\0"],
    "application/vnd.sqlite3": [b"SQLite format 3\0"],
    "text/html": [
        b"<html>",
        b"<!DOCTYPE html>\n",
        b"\xef\xbb\xbf\r\n <HTML>",
        b"<!-- a comment --><body onload=x()>",
        b"<script>",
        b"<meta charset=x>",
        b"<a href=x>",
        b"<p>text",
        b"<br/>",
        b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x">\n<html xmlns="x">',
        b'<?xml version="1.0"?><html>',
        wide("<html><body>"),
        b"\xfe\xff" + "<html>".encode("utf-16-be"),
        "<script>alert(1)</script>".encode("utf-16-le"),
        b"\0\0\0<\0\0\0h\0\0\0t\0\0\0m\0\0\0l\0\0\0>" + b"\0\0\0 " * 8,
        b"<html>\0\1\2</html>",
        b"<!-- no end",
    ],
    "application/hta": [
        b"<html><head><HTA:APPLICATION ID=x>",
        b'<hta:application id="x"/>',
        b"<script>x</script>\n<hta:application>",
    ],
    "application/x-scriptlet": [
        b"<job><script language=VBScript>",
        b'<?xml version="1.0"?>\n<package><job id="a">',
        b'<?XML version="1.0"?>\r\n<scriptlet>',
        b"<component>",
    ],
    "application/x-ms-search": [
        b'<?xml version="1.0"?>\n<libraryDescription xmlns="x">',
        b"<searchConnectorDescription>",
    ],
    "application/x-ms-settings": [b'<?xml version="1.0"?><PCSettings>'],
    "application/x-ms-application": [b'<?xml version="1.0"?><asmv1:assembly x="y">'],
    "application/x-java-jnlp-file": [b'<?xml version="1.0"?><jnlp spec="1.0+">'],
    "application/x-msbuild": [
        b'<Project xmlns="http://schemas.microsoft.com/developer/msbuild/2003">'
    ],
    "text/xml": [b'<?xml version="1.0"?><note>', wide('<?xml version="1.0"?><a/>')],
    "text/x-script": [b"#!/bin/sh\n", b"#! /usr/bin/perl", b"<%@ Page Language=x %>"],
    "text/x-php": [b"<?php echo 1;", b"<?= 1 ?>"],
    "text/x-msdos-batch": [
        b"@echo off\r\nstart x\r\n",
        b"@ECHO OFF\n",
        b"\xef\xbb\xbf@echo off",
        wide("@echo off\r\n"),
        b"set a=1\r\ncmd /c del x\r\npowershell -w hidden\r\n",
    ],
    "text/vbscript": [
        b'On Error Resume Next\nSet x = CreateObject("WScript.Shell")\n',
        b'Function a\nEnd Function\nset b = createobject("a.b")',
    ],
    "text/javascript": [
        b'var a = new ActiveXObject("WScript.Shell"); a.Run(eval(b));',
        b"x = String.fromCharCode(65); eval(unescape(x))",
    ],
    "text/x-powershell": [
        b"$a = New-Object Net.WebClient\nInvoke-Expression $a.DownloadString('x')\n",
        b"iwr x; Start-Process $env:TEMP\\a.exe",
    ],
    "application/x-internet-shortcut": [
        b"[InternetShortcut]\r\nURL=file://x",
        b"[{000214A0-0000-0000-C000-000000000046}]\r\nProp3=19,2\r\n[InternetShortcut]",
        b"; x\n[InternetShortcut]\nURL=x",
    ],
    "application/x-desktop": [b"[Desktop Entry]\nExec=x"],
    "application/x-shell-command-file": [b"[Shell]\r\nCommand=2\r\n", b"[autorun]\n"],
    "application/x-registry": [
        b"REGEDIT4\r\n\r\n[HKEY",
        wide("Windows Registry Editor Version 5.00\r\n"),
    ],
    "application/x-iqy": [b"WEB\r\n1\r\nhttp://example.org/\r\n"],
    "text/calendar": [b"BEGIN:VCALENDAR\r\nVERSION:2.0"],
    "text/vcard": [b"BEGIN:VCARD\nVERSION:3.0"],
    "application/pgp-encrypted": [b"-----BEGIN PGP MESSAGE-----\n"],
    "application/pgp-signature": [b"-----BEGIN PGP SIGNATURE-----\n"],
    "application/pgp-keys": [b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n"],
    "application/x-pem-file": [b"-----BEGIN CERTIFICATE-----\nMII"],
    "message/rfc822": [
        b"From: a@example.org\nSubject: b\n\ntext",
        b"Received: from a\n\tby b\nReturn-Path: <>\nDate: x\n\n",
        b"From a@example.org Mon Nov 2\nFrom: a\nTo: b\n\n",
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n",
    ],
    "application/x-mimearchive": [
        b"From: <x>\nMIME-Version: 1.0\nContent-Type: multipart/related; boundary=x\n\n"
    ],
    "text/plain": [
        TEXT,
        b"MZ is how programs begin, they say.\n",
        b"BM, ID3, PK and GIF87a are magic words.\n",
        b"BZh91AY&SY is printable\n",
        b"Rar! that was rare\n",
        b"conectix and vhdxfile\n",
        b"070701 is a number\n",
        b"From: here to there we went.\n",
        b"Subject: only one field\n\nText",
        b"CreateObject( is a function of VBScript.\n",
        b"PDF files begin with %PDF-1.4 I think\n",
        b"<john> what is up?\n",
        b"<3 you\n",
        b"[1] a footnote\n",
        b"#1 is the best\n",
        b"@home today\n",
        b"-----Original Message-----\nFrom: x\n",
        b"web design\n",
        b"begin: tomorrow\n",
        b"project plan\n",
        b"\xe4\xf6\xfc\n",
        wide("Hello there, this is a text\r\n"),
        "plain words of a text".encode("utf-16-be"),
    ],
    "application/octet-stream": [
        b"\x01\x02\x03",
        bytes(range(1, 200)) * 3,
        b"\0" * 100,
        b"\x60\0",
        b"\xc8" + BINARY,
    ],
    "": [b""],
}
CASES = [
    pytest.param(kind, head, id=f"{kind}-{number}")
    for kind, heads in MAGIC.items()
    for number, head in enumerate(heads)
]


@pytest.mark.parametrize(("kind", "head"), CASES)
def test_content_is_known_by_its_first_bytes(kind: str, head: bytes) -> None:
    assert sniff.detect(head[: sniff.HEAD]) == kind
    if head and head.count(0) * 3 < len(head):
        assert sniff.detect((head + TEXT)[: sniff.HEAD]) == kind
    # The quick way and the table agree.
    assert filetypes.detect(head[: sniff.HEAD] or b" ") in (kind, "text/plain")


def test_any_bytes_have_a_type() -> None:
    dice = random.Random(6)
    heads = [head for rows in MAGIC.values() for head in rows]
    for _ in range(8000):
        head = bytearray(dice.choice(heads)[: dice.randrange(1, 400)])
        for _ in range(dice.randrange(3)):
            head[dice.randrange(len(head) or 1) : dice.randrange(len(head) + 1)] = (
                dice.randbytes(dice.randrange(4))
            )
        for data in (bytes(head), dice.randbytes(40) + bytes(head), bytes(head) * 9):
            kind = sniff.detect(data[: sniff.HEAD])
            assert kind == "" or kind.count("/") == 1


def test_what_is_common_is_known_without_the_table() -> None:
    """The clean path must not load it."""
    code = (
        "import sys; from qscan import sniff; "
        "[sniff.detect(h) for h in (b'Hi (all),\\n> quoted: a=b; [x] <y@z>\\n', b'x', "
        "b'', b'<!DOCTYPE html><html>', b'\\xff\\xd8\\xff\\xe0\\0', b'PK\\3\\4\\0', "
        "b'\\x89PNG\\r\\n\\x1a\\n\\0', b'%PDF-1.4\\n%\\xe2\\0', b'caf\\xe9')]; "
        "print(*[m for m in sys.modules if m.startswith('qscan.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["qscan.model", "qscan.sniff"]


# Files made by real programs.


def found_in(data: bytes, directory: Path) -> tuple[str, list[str]]:
    """(type of a file, what it is besides)."""
    path = directory / "file"
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        head = data[: sniff.HEAD]
        return (
            sniff.detect_file(fd, len(data), head),
            sniff.embedded(fd, len(data), head),
        )
    finally:
        os.close(fd)


def zipped(comment: bytes = b"") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b"text " * 100)
        archive.comment = comment
    return out.getvalue()


def tarred(form: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        archive.add(__file__, "a.py")
    return out.getvalue()


LIBRARY = {
    "application/zip": zipped,
    "application/gzip": lambda: gzip.compress(TEXT),
    "application/x-bzip2": lambda: bz2.compress(TEXT),
    "application/x-xz": lambda: lzma.compress(TEXT),
    "application/x-lzma": lambda: lzma.compress(TEXT, lzma.FORMAT_ALONE),
    "application/x-tar": lambda: tarred(tarfile.USTAR_FORMAT),
}


@pytest.mark.parametrize("kind", LIBRARY)
def test_files_of_the_standard_library_are_known(kind: str, tmp_path: Path) -> None:
    assert found_in(LIBRARY[kind](), tmp_path) == (kind, [])


def test_every_form_of_tar_is_known(tmp_path: Path) -> None:
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        assert found_in(tarred(form), tmp_path)[0] == "application/x-tar"


def test_a_database_is_known(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as database:
        database.execute("create table a (b)")
        database.commit()
    data = (tmp_path / "a.db").read_bytes()
    assert found_in(data, tmp_path)[0] == "application/vnd.sqlite3"


TOOLS = {
    "application/x-executable": ["cp", "/bin/true", "OUT"],
    "application/zstd": ["zstd", "-q", "IN", "-o", "OUT"],
    "application/x-lz4": ["lz4", "-q", "IN", "OUT"],
    "application/x-7z-compressed": ["7zz", "a", "-t7z", "-bso0", "OUT", "IN"],
    "application/x-iso9660-image": ["genisoimage", "-quiet", "-o", "OUT", "IN"],
    "application/x-cpio": ["bsdtar", "-c", "--format", "newc", "-f", "OUT", "IN"],
    "application/x-archive": ["ar", "rc", "OUT", "IN"],
    "application/x-xar": ["bsdtar", "-c", "--format", "xar", "-f", "OUT", "IN"],
    "application/x-pem-file": ["openssl", "genpkey", "-algorithm", "ed25519", "-out"],
}


@pytest.mark.parametrize("kind", TOOLS)
def test_files_of_real_programs_are_known(kind: str, tmp_path: Path) -> None:
    program, *arguments = TOOLS[kind]
    if shutil.which(program) is None:
        pytest.skip(f"no {program} here")
    (tmp_path / "in").write_bytes(TEXT)
    target = tmp_path / "out"
    words = {"IN": str(tmp_path / "in"), "OUT": str(target)}
    command = [program, *(words.get(word, word) for word in arguments)]
    if "OUT" not in arguments:
        command.append(str(target))
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, timeout=60)
    (made,) = [path for path in tmp_path.iterdir() if path.name.startswith("out")]
    assert found_in(made.read_bytes(), tmp_path)[0] == kind


TESTFILES = Path("/usr/share/clamav-testfiles")
OF_CLAMAV = {
    "clam.exe": "application/x-dosexec",
    "clam.7z": "application/x-7z-compressed",
    "clam.arj": "application/x-arj",
    "clam.bin-be.cpio": "application/x-cpio",
    "clam.bin-le.cpio": "application/x-cpio",
    "clam.odc.cpio": "application/x-cpio",
    "clam.newc.cpio": "application/x-cpio",
    "clam.cab": "application/vnd.ms-cab-compressed",
    "clam.chm": "application/vnd.ms-htmlhelp",
    "clam.exe.bz2": "application/x-bzip2",
    "clam.exe.html": "text/html",
    "clam.exe.rtf": "text/rtf",
    "clam.exe.szdd": "application/x-ms-compress",
    "clam.ole.doc": "application/x-ole-storage",
    "clam.pdf": "application/pdf",
    "clam.ppt": "application/x-ole-storage",
    "clam.tar.gz": "application/gzip",
    "clam.tnef": "application/ms-tnef",
    "clam.mail": "message/rfc822",
    "clam.exe.mbox.uu": "message/rfc822",
    "clam.zip": "application/zip",
}


@pytest.mark.parametrize("name", OF_CLAMAV)
def test_the_files_of_clamav_are_known(name: str, tmp_path: Path) -> None:
    if not (TESTFILES / name).is_file():
        pytest.skip("no clamav-testfiles here")
    data = (TESTFILES / name).read_bytes()
    assert found_in(data, tmp_path)[0] == OF_CLAMAV[name]


# Beyond the head.


def disc(sign: bytes = b"CD001") -> bytes:
    return bytes(32768) + b"\1" + sign + b"\1" + bytes(2041) + bytes(4096)


def test_images_of_discs_are_known(tmp_path: Path) -> None:
    assert found_in(disc(), tmp_path)[0] == sniff_iso
    assert found_in(disc(b"BEA01"), tmp_path)[0] == sniff_iso
    hybrid = bytearray(disc())
    hybrid[510:512] = b"\x55\xaa"
    assert found_in(bytes(hybrid), tmp_path)[0] == sniff_iso
    trailer = BINARY[1:] + b"koly" + bytes(508)
    assert found_in(trailer, tmp_path)[0] == "application/x-apple-diskimage"
    fixed = bytes(4096) + b"conectix" + bytes(504)
    assert found_in(fixed, tmp_path)[0] == "application/x-vhd"
    assert found_in(bytes(40_000), tmp_path) == ("application/octet-stream", [])


sniff_iso = "application/x-iso9660-image"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(3000)
EXE = b"MZ\x90\0" + bytes(3000)
RAR = b"Rar!\x1a\7\1\0" + bytes(100)
SEVEN = b"7z\xbc\xaf\x27\x1c" + bytes(100)

BESIDES = {
    "picture and zip": (PNG + zipped(), ["application/zip"]),
    "program and zip": (EXE + zipped(), ["application/zip"]),
    "text and zip": (TEXT + zipped(), ["application/zip"]),
    "PDF and zip": (b"%PDF-1.4\n" + zipped(), ["application/zip"]),
    "zip and junk": (EXE + zipped() + bytes(5000), ["application/zip"]),
    "zip with a long comment": (PNG + zipped(b"x" * 65535), ["application/zip"]),
    "zip alone": (zipped(), []),
    "end record cut short": (PNG + b"PK\5\6" + bytes(17), []),
    "program and rar": (EXE + RAR, ["application/x-rar"]),
    "picture and rar far behind": (PNG + bytes(900_000) + RAR, ["application/x-rar"]),
    "rar on the edge of a window": (
        PNG + bytes(262144 - len(PNG) - 3) + RAR,
        ["application/x-rar"],
    ),
    "rar too far behind": (PNG + bytes(1_100_000) + RAR, []),
    "rar alone": (RAR, []),
    "program and 7z": (EXE + SEVEN, ["application/x-7z-compressed"]),
    "all of them": (
        EXE + RAR + SEVEN + zipped(),
        ["application/zip", "application/x-rar", "application/x-7z-compressed"],
    ),
    "program and disc": (EXE + disc()[len(EXE) :], [sniff_iso]),
    "picture and trailer": (
        PNG + b"koly" + bytes(508),
        ["application/x-apple-diskimage"],
    ),
    "nothing": (b"", []),
    "a picture": (PNG, []),
    "short": (b"PK", []),
}


@pytest.mark.parametrize("name", BESIDES)
def test_what_else_a_file_can_be_opened_as_is_found(name: str, tmp_path: Path) -> None:
    data, besides = BESIDES[name]
    assert found_in(data, tmp_path)[1] == besides


def test_any_file_has_a_type(tmp_path: Path) -> None:
    dice = random.Random(7)
    for _ in range(300):
        data = bytearray(dice.randbytes(dice.randrange(3000)))
        for sign in (b"PK\5\6", b"koly", b"conectix", b"Rar!\x1a\7"):
            if dice.randrange(3) == 0:
                place = dice.randrange(len(data) + 1)
                data[place:place] = sign
        kind, besides = found_in(bytes(data), tmp_path)
        assert kind not in besides
        assert len(set(besides)) == len(besides)


# What an item calls itself.


def told(kind: str, declared: str, *names: str) -> list[str]:
    item = Item("1", "mime", list(names), declared)
    item.detected_type = kind
    found: list[Defect] = []
    if not sniff.honest(item):
        kinds.note(found, item)
    return [one.code for one in found]


DOS = "application/x-dosexec"
OLE = "application/x-ole-storage"
ZIP = "application/zip"
DISGUISED = ["type-disguised-program"]
MISMATCH = ["type-mismatch"]
GENERIC = "application/octet-stream"

LIES = [
    (DOS, "image/png", "", DISGUISED),
    (DOS, GENERIC, "photo.jpg", DISGUISED),
    (DOS, GENERIC, "photo.jpg . .", DISGUISED),
    (DOS, "", "invoice.pdf", DISGUISED),
    (DOS, "application/pdf", "setup.exe", DISGUISED),
    (DOS, "audio/mpeg", "", DISGUISED),
    (DOS, "application/msword", "", DISGUISED),
    (DOS, GENERIC, "a.docx", DISGUISED),
    (DOS, GENERIC, "a.txt", DISGUISED),
    (DOS, "text/plain", "", DISGUISED),
    (DOS, GENERIC, "setup.exe", []),
    (DOS, "application/x-msdownload", "setup.exe", []),
    (DOS, "text/plain", "setup.exe", []),
    (DOS, GENERIC, "x.dll", []),
    (DOS, GENERIC, "", []),
    ("application/x-executable", "image/gif", "", DISGUISED),
    ("application/x-executable", GENERIC, "a.out", []),
    ("application/x-ms-shortcut", GENERIC, "invoice.pdf", DISGUISED),
    ("application/x-ms-shortcut", GENERIC, "invoice.pdf.lnk", []),
    ("application/hta", GENERIC, "a.pdf", DISGUISED),
    ("text/x-script", "image/png", "", DISGUISED),
    ("text/x-script", "text/plain", "run.sh", []),
    ("text/x-script", "text/plain", "run.txt", []),
    ("text/javascript", "text/plain", "", []),
    ("application/x-internet-shortcut", GENERIC, "a.jpg", DISGUISED),
    ("application/x-internet-shortcut", "text/plain", "a.url", []),
    (ZIP, "image/png", "a.zip", MISMATCH),
    (ZIP, GENERIC, "a.png", MISMATCH),
    (ZIP, "application/pdf", "", MISMATCH),
    (ZIP, "text/plain", "", MISMATCH),
    (ZIP, GENERIC, "a.txt", MISMATCH),
    (ZIP, "text/plain", "a.zip", []),
    (ZIP, ZIP, "a.zip", []),
    (ZIP, "application/x-zip-compressed", "a.zip", []),
    (ZIP, "application/msword", "a.docx", []),
    (ZIP, GENERIC, "a.xlsx", []),
    (ZIP, GENERIC, "a.doc", []),
    (ZIP, GENERIC, "a.whl", []),
    (ZIP, "application/vnd.oasis.opendocument.text", "a.odt", []),
    ("application/gzip", "image/svg+xml", "a.svgz", []),
    ("application/gzip", "image/svg+xml", "a.gz", []),
    ("application/gzip", "image/x-emf", "a.emz", []),
    ("application/gzip", "text/x-patch", "a.patch.gz", []),
    ("application/gzip", "image/png", "", MISMATCH),
    ("application/x-rar", "image/jpeg", "", MISMATCH),
    ("application/x-iso9660-image", GENERIC, "a.pdf", MISMATCH),
    (OLE, "image/jpeg", "", MISMATCH),
    (OLE, GENERIC, "a.pdf", MISMATCH),
    (OLE, "application/msword", "a.doc", []),
    (OLE, GENERIC, "a.msi", []),
    (OLE, "text/plain", "a.xls", []),
    ("text/rtf", "application/msword", "a.doc", []),
    ("text/rtf", "image/jpeg", "", MISMATCH),
    ("text/html", "image/png", "", MISMATCH),
    ("text/html", "application/pdf", "a.pdf", MISMATCH),
    ("text/html", "text/html", "a.pdf", MISMATCH),
    ("text/html", ZIP, "", MISMATCH),
    ("text/html", "text/plain", "", []),
    ("text/html", "application/vnd.ms-excel", "a.xls", []),
    ("text/html", "text/html", "", []),
    ("text/plain", "image/png", "a.png", []),
    ("image/png", "image/jpeg", "a.jpg", []),
    ("application/pdf", "image/jpeg", "a.pdf", []),
    ("application/octet-stream", "image/png", "a.png", []),
    ("", "image/png", "a.png", []),
]


@pytest.mark.parametrize("row", LIES, ids=lambda row: " ".join(row[:3]))
def test_an_item_is_compared_with_what_it_calls_itself(
    row: tuple[str, str, str, list[str]],
) -> None:
    kind, declared, name, codes = row
    assert told(kind, declared, *([name] if name else [])) == codes
    for code in codes:
        assert not defects.DEFECTS[code][0], "not refused by default"


def test_one_name_of_many_is_enough() -> None:
    assert told(DOS, GENERIC, "setup.exe", "photo.jpg") == DISGUISED
    assert told(ZIP, GENERIC, "a.zip", "a.png") == MISMATCH


def test_a_program_as_a_picture_is_told_in_a_message(tmp_path: Path) -> None:
    message = multipart(
        (b"text/plain", b"", b"look at this\n"),
        (b"image/jpeg", b"photo.jpg", EXE),
        (b"application/octet-stream", b"scan.pdf", zipped()),
        (b"image/jpeg", b"real.jpg", b"\xff\xd8\xff\xe0" + bytes(2000)),
    )
    found = unpack(message, tmp_path)
    assert [one for one in found.defects if one.startswith("type-")] == [
        "type-disguised-program@1.2",
        "type-mismatch@1.3",
    ]
    assert found.item("1.3").detected_type == "application/zip"
    assert found.report.verdict == "clean"
    refused = unpack(message, tmp_path, malformed__refuse=["type-disguised-program"])
    assert refused.report.verdict == "refused"


# libmagic.


def item_of(head: bytes) -> Item:
    item = Item("1/a", "archive", [])
    item.head = head
    item.detected_type = sniff.detect(head)
    return item


def test_libmagic_names_what_our_table_does_not_know() -> None:
    pytest.importorskip("magic")
    grib = item_of(b"\x0e\x03\x13\x01" + bytes(60))
    png = item_of(PNG)
    empty = item_of(b"")
    realtype.improve([grib, png, empty])
    assert grib.detected_type == "application/x-hdf"
    assert (png.detected_type, empty.detected_type) == ("image/png", "")


def test_libmagic_is_asked_where_the_settings_say_so(tmp_path: Path) -> None:
    pytest.importorskip("magic")
    message = multipart(
        (b"application/octet-stream", b"data.bin", b"\x0e\x03\x13\x01" + bytes(60)),
        (b"image/png", b"a.png", PNG),
    )
    types = {}
    for setting in ("builtin", "libmagic"):
        found = unpack(message, tmp_path, scan__types=setting)
        types[setting] = [found.item(path).detected_type for path in ("1.1", "1.2")]
    assert types["builtin"] == ["application/octet-stream", "image/png"]
    assert types["libmagic"] == ["application/x-hdf", "image/png"]


def test_our_own_table_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """An old or damaged database hides nothing that we know."""

    class Old:
        def from_buffer(self, head: bytes) -> str:
            return "text/plain"

    monkeypatch.setattr(realtype, "load", Old)
    items = [item_of(head) for heads in MAGIC.values() for head in heads if head]
    before = [item.detected_type for item in items]
    realtype.improve(items)
    for item, kind in zip(items, before, strict=True):
        if kind not in realtype.VAGUE:
            assert item.detected_type == kind


@pytest.mark.parametrize("trouble", ["no library", "bad database"])
def test_a_library_that_fails_is_told_clearly(
    trouble: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    magic = pytest.importorskip("magic")
    if trouble == "no library":
        monkeypatch.setitem(sys.modules, "magic", None)
    else:
        (tmp_path / "bad.mgc").write_bytes(struct.pack("<II", 1, 2) * 100)
        monkeypatch.setenv("MAGIC", str(tmp_path / "bad.mgc"))
        assert magic
    with pytest.raises(fdio.Failure) as caught:
        realtype.improve([item_of(b"\x01\x02\x03\x04")])
    assert caught.value.outcome == "config"
    assert "libmagic" in caught.value.why


def test_libmagic_starts_no_process() -> None:
    """``find_library`` alone would start ldconfig, and a compiler besides."""
    pytest.importorskip("magic")
    code = (
        "import sys\n"
        "started = []\n"
        "names = ('subprocess.Popen', 'os.posix_spawn', 'os.fork', 'os.exec',"
        " 'os.system')\n"
        "sys.addaudithook(lambda event, args:"
        " started.append(event) if event in names else None)\n"
        "from qscan import realtype\n"
        "print(realtype.load().from_buffer(b'\\x89HDF\\r\\n\\x1a\\n'), started)\n"
        "import os\n"
        "try: os.posix_spawn('/nonexistent', ['x'], {})\n"
        "except OSError: print(started)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = done.stdout.splitlines()
    assert first == "application/x-hdf5 []" or first.endswith(" []")
    assert second == "['os.posix_spawn']", "the hook sees nothing"
