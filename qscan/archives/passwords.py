# SPDX-License-Identifier: MIT
"""Passwords for encrypted archives: candidates from a text, and a quick test.

Does: find words that may be a password; tell whether one may open a zip member, from
the few bytes that are there to tell wrong ones. Never does: decrypt content.
Limits: CANDIDATES words of TEXT bytes of text.
Source: APPNOTE.TXT 6.1 (traditional encryption), WinZip AE-1 and AE-2 specification.
"""

from __future__ import annotations

import html
import posix
import re
import zlib

from qscan import fdio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qscan.archives.zipindex import Entry, Zip
    from qscan.model import Item

CANDIDATES = 200
TEXT = 65536
PARTS = 10
LONGEST = 128
_QUOTES = (
    *(('"', '"'), ("'", "'"), ("<", ">"), ("[", "]"), ("(", ")"), ("`", "`")),
    *(("\xab", "\xbb"), ("\u201e", "\u201c"), ("\u201c", "\u201d")),
    ("\u2018", "\u2019"),
)
_MARKS = (
    *("password", "passwort", "kennwort", "passcode", "passphrase", "pass", "pwd"),
    *("mot de passe", "contraseña", "clave", "senha", "wachtwoord", "lösenord"),
    *("пароль", "hasło", "haslo", "heslo", "parola", "şifre", "salasana", "jelszó"),
    *("code", "pin", "密码", "パスワード"),
)
_EDGE = " \t\r\n.,;:!?\"'()[]<>{}`*_|\xab\xbb\u201c\u201d\u201e\u2018\u2019"
_TAG = re.compile("<[^<>]{1,2000}>")
_SALTS = {1: 8, 2: 12, 3: 16}


def candidates(texts: list[str]) -> list[str]:
    """Words to try, the likely ones first: quoted, after a word for password, all."""
    out: dict[str, None] = {}
    quoted: list[str] = []
    marked: list[str] = []
    plain: list[str] = []
    for text in texts:
        for opening, closing in _QUOTES:
            parts = text.split(opening)[1:200]
            for part in parts if opening != closing else parts[::2]:
                word, closed, _ = part[: LONGEST + 1].partition(closing)
                if closed or opening == closing:
                    quoted.append(word)
        low = text.lower()
        for mark in _MARKS:
            at = low.find(mark)
            for _ in range(20):
                if at < 0:
                    break
                rest = text[at + len(mark) : at + len(mark) + 200]
                marked += rest.split()[:6]
                at = low.find(mark, at + len(mark))
        plain += text.split()
    for word in (*quoted[:300], *marked[:600], *plain[:2000]):
        for form in (word, word.strip(_EDGE), word.rpartition(":")[2]):
            form = form.strip("\r\n")
            if 0 < len(form) <= LONGEST and len(out) < CANDIDATES:
                out[form] = None
    return list(out)


def of_items(items: list[Item]) -> list[str]:
    """Candidates from the text parts of a message that were unpacked so far."""
    texts: list[str] = []
    for item in items:
        if item.origin == "mime" and item.detected_type.startswith("text/"):
            if item.file is None or len(texts) >= PARTS:
                continue
            fd = posix.open(item.file, fdio.O_READ)
            try:
                raw = fdio.pread_all(fd, min(TEXT, item.size), 0)
            finally:
                posix.close(fd)
            texts.append(raw.decode("utf-8", "replace"))
            if item.detected_type == "text/html":
                texts[-1] = html.unescape(_TAG.sub(" ", texts[-1]))
    return candidates(texts)


def fits(password: bytes, file: Zip, entry: Entry) -> bool:
    """True when the password may be the one of this member: one of 256 wrong ones is
    taken for right (65536 with AES)."""
    header = file.header(entry.offset)
    if header is None:
        return False
    if header.aes:
        return _fits_aes(password, file.at(header.data, 18), header.strength)
    data = file.at(header.data, 12)
    if len(data) < 12:
        return False
    last = decrypt(password, data)[11]
    if header.flags & 8:  # the checksum was not known yet
        return last == header.time >> 8
    return last == header.crc >> 24


def _fits_aes(password: bytes, data: bytes, strength: int) -> bool:
    import hashlib

    salt = _SALTS.get(strength, 0)
    if not salt or len(data) < salt + 2:
        return False
    key = hashlib.pbkdf2_hmac("sha1", password, data[:salt], 1000, salt * 4 + 2)
    return key[-2:] == data[salt : salt + 2]


_TABLE: list[int] = []


def _crc(byte: int, crc: int) -> int:
    if not _TABLE:
        _TABLE.extend(
            zlib.crc32(bytes((value,)), 0xFFFFFFFF) ^ 0xFFFFFFFF for value in range(256)
        )
    return _TABLE[(crc ^ byte) & 255] ^ (crc >> 8)


def decrypt(password: bytes, data: bytes) -> bytes:
    """Traditional decryption (6.1.5 to 6.1.7) of a few bytes."""
    keys = [0x12345678, 0x23456789, 0x34567890]

    def update(byte: int) -> None:
        keys[0] = _crc(byte, keys[0])
        keys[1] = ((keys[1] + (keys[0] & 255)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = _crc(keys[1] >> 24, keys[2])

    for byte in password:
        update(byte)
    out = bytearray()
    for byte in data:
        mix = (keys[2] | 2) & 0xFFFF
        plain = byte ^ ((mix * (mix ^ 1)) >> 8 & 255)
        update(plain)
        out.append(plain)
    return bytes(out)
