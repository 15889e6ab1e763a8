"""Encrypted archives: AES-256-GCM over segments, in flat memory both ways, proved to be whole and in order.

    magic        8 bytes  "GOLDENC1"
    kdf          1 byte   0: a key of 32 random bytes; 1: scrypt of a passphrase
    log2(n) r p  3 bytes  scrypt's parameters; zeros with a key
    salt        32 bytes  random, new in each archive
    prefix       7 bytes  random, the beginning of each nonce
    key proof   32 bytes  HMAC-SHA256 over all of the above
    segments    64 KiB of text each (the last one may be shorter), each followed by its tag of 16 bytes

HKDF-SHA256 makes of key and salt two keys that serve this one archive: for AES, and for the key proof, which commits to the
key and tells a wrong one before anything is read. The header is authenticated again with each segment. Segments are
chained as STREAM does (Hoang, Reyhanitabar, Rogaway, Vizár, 2015): the nonce is prefix, number of the segment, and whether
it is the last, so none can be left out, moved, doubled or cut off.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import io
import os
import secrets
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from exports_app.errors import DamagedBackup, MissingKey, WrongKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"GOLDENC1"
SEGMENT_BYTES = 1 << 16
_TAG_BYTES = 16
_HEADER = struct.Struct(">8sBBBB32s7s")
_PROOF_BYTES = 32
_RAW_KEY, _SCRYPT = 0, 1
_SCRYPT_COST = (17, 8, 1)  # 128 MiB; about a third of a second
_SCRYPT_LIMITS = (20, 8, 4)  # a header made to eat all memory is refused
_SHORTEST_PASSPHRASE = 12
KEY_VARIABLE = "GOLDEN_BACKUP_KEY"
PASSPHRASE_VARIABLE = "GOLDEN_BACKUP_PASSPHRASE"  # noqa: S105 - the name of a variable


@dataclass(frozen=True)
class Secrets:
    """What opens archives: a key of 32 bytes, a passphrase, or both; with both, the key is what new archives get."""

    key: bytes = b""
    passphrase: str = ""

    def __repr__(self) -> str:
        return f"Secrets(key={'***' if self.key else None}, passphrase={'***' if self.passphrase else None})"


def fresh_key() -> str:
    """Return a new random key as it goes into GOLDEN_BACKUP_KEY."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def secrets_of(environ: Mapping[str, str]) -> Secrets:
    """Read key and passphrase from the environment. Raises MissingKey for a key that is none, never showing it."""
    text, passphrase = (
        environ.get("GOLDEN_BACKUP_KEY", "").strip(),
        environ.get("GOLDEN_BACKUP_PASSPHRASE", ""),
    )
    key = b""
    if text:
        try:
            key = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != 32:
            raise MissingKey(
                f"{KEY_VARIABLE}: found {len(text)} characters that are not base64 of 32 bytes.",
                hint="`golden_backup --make-key` prints a key.",
            )
    return Secrets(key, passphrase)


class Encrypting(io.RawIOBase):
    """A file to write plain text to; `raw` gets header and encrypted segments. It is whole only after `finish`."""

    def __init__(self, raw: IO[bytes], given: Secrets) -> None:
        """Raises MissingKey when there is neither key nor a passphrase that is long enough."""
        self._raw = raw
        self._header, self._cipher = _new_header(given)
        self._prefix = self._header[_HEADER.size - 7 : _HEADER.size]
        self._waiting = bytearray()
        self._number = 0
        raw.write(self._header)

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        self._waiting += data
        whole = (
            len(self._waiting) - 1
        ) // SEGMENT_BYTES  # one byte stays back: the last segment is never empty
        for at in range(0, whole * SEGMENT_BYTES, SEGMENT_BYTES):
            self._write_segment(bytes(self._waiting[at : at + SEGMENT_BYTES]), last=False)
        if whole > 0:
            del self._waiting[: whole * SEGMENT_BYTES]
        return len(data)

    def finish(self) -> None:
        """Write the last segment. What is closed without it cannot be decrypted, as is right for half a file."""
        self._write_segment(bytes(self._waiting), last=True)
        self._waiting.clear()

    def _write_segment(self, text: bytes, *, last: bool) -> None:
        nonce = _nonce(self._prefix, self._number, last=last)
        self._raw.write(self._cipher.encrypt(nonce, text, self._header))
        self._number += 1


class Decrypting(io.RawIOBase):
    """The plain text of an encrypted file, read from start to end. Nothing is given out before it is proved.

    Reading raises DamagedBackup where a segment is not what was written there; its message names `name`.
    """

    def __init__(self, raw: IO[bytes], given: Secrets, name: str) -> None:
        """Raises MissingKey, WrongKey, DamagedBackup (no header)."""
        self._raw, self._name = raw, name
        self._header, self._cipher = _read_header(raw, given, name)
        self._prefix = self._header[_HEADER.size - 7 : _HEADER.size]
        self._number = 0
        self._next = _read_exactly(raw, SEGMENT_BYTES + _TAG_BYTES)
        self._ended = False
        self._text = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if not self._text and not self._ended:
            self._text = memoryview(self._read_segment())
        count = min(len(buffer), len(self._text))
        buffer[:count] = self._text[:count]
        self._text = self._text[count:]
        return count

    def _read_segment(self) -> bytes:
        from cryptography.exceptions import InvalidTag

        segment, self._next = self._next, _read_exactly(self._raw, SEGMENT_BYTES + _TAG_BYTES)
        self._ended = not self._next
        nonce = _nonce(self._prefix, self._number, last=self._ended)
        self._number += 1
        try:
            return self._cipher.decrypt(nonce, segment, self._header)
        except (InvalidTag, ValueError) as error:
            where = "ends early, or its last part was changed" if self._ended else "was changed"
            raise DamagedBackup(
                f"{self._name}: the archive {where}: segment {self._number} is not what was written there.",
                hint="Use another copy of the backup, or an older one.",
            ) from error


def is_encrypted(beginning: bytes) -> bool:
    return beginning.startswith(MAGIC)


def _new_header(given: Secrets) -> tuple[bytes, AESGCM]:
    if not given.key and not given.passphrase:
        raise MissingKey(
            f"To encrypt, {KEY_VARIABLE} or {PASSPHRASE_VARIABLE} must be in the environment.",
            hint="`golden_backup --make-key` prints a key. Keep it apart from the backups: without it they are lost.",
        )
    if not given.key and len(given.passphrase) < _SHORTEST_PASSPHRASE:
        raise MissingKey(f"{PASSPHRASE_VARIABLE}: expected at least {_SHORTEST_PASSPHRASE} characters.")
    kdf, cost = (_RAW_KEY, (0, 0, 0)) if given.key else (_SCRYPT, _SCRYPT_COST)
    facts = _HEADER.pack(MAGIC, kdf, *cost, os.urandom(32), os.urandom(7))
    cipher, proof = _derive(facts, _main_key(facts, given, ""))
    return facts + proof, cipher


def _read_header(raw: IO[bytes], given: Secrets, name: str) -> tuple[bytes, AESGCM]:
    header = _read_exactly(raw, _HEADER.size + _PROOF_BYTES)
    if len(header) < _HEADER.size + _PROOF_BYTES or not is_encrypted(header):
        raise DamagedBackup(
            f"{name}: the archive ends in its header.", hint="Use another copy of the backup."
        )
    facts = header[: _HEADER.size]
    cipher, proof = _derive(facts, _main_key(facts, given, name))
    if not hmac.compare_digest(proof, header[_HEADER.size :]):
        which = KEY_VARIABLE if facts[8] == _RAW_KEY else PASSPHRASE_VARIABLE
        raise WrongKey(
            f"{name}: {which} is not what this archive was encrypted with (or its header was changed).",
            hint="Use the one that was in the environment when the backup was made.",
        )
    return header, cipher


def _main_key(facts: bytes, given: Secrets, name: str) -> bytes:
    _, kdf, log_n, r, p, salt, _ = _HEADER.unpack(facts)
    if kdf == _RAW_KEY:
        if not given.key:
            raise MissingKey(f"{name}: the archive was encrypted with a key; {KEY_VARIABLE} is not set.")
        return given.key
    in_limits = all(1 <= value <= most for value, most in zip((log_n, r, p), _SCRYPT_LIMITS, strict=True))
    if kdf != _SCRYPT or not in_limits:
        raise DamagedBackup(f"{name}: the header of the archive was changed, or is of a newer format.")
    if not given.passphrase:
        raise MissingKey(
            f"{name}: the archive was encrypted with a passphrase; {PASSPHRASE_VARIABLE} is not set."
        )
    memory = 128 * r * (2**log_n + p) + (1 << 20)
    return hashlib.scrypt(given.passphrase.encode(), salt=salt, n=2**log_n, r=r, p=p, maxmem=memory, dklen=32)


def _derive(facts: bytes, main_key: bytes) -> tuple[AESGCM, bytes]:
    """Return the cipher of this archive, and the proof that its header belongs to the key."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    salt = facts[12:44]
    keys = HKDF(algorithm=SHA256(), length=64, salt=salt, info=b"golden backup archive 1").derive(main_key)
    return AESGCM(keys[:32]), hmac.digest(keys[32:], facts, "sha256")


def _nonce(prefix: bytes, number: int, *, last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + bytes([last])


def _read_exactly(raw: IO[bytes], size: int) -> bytes:
    """Read `size` bytes, fewer only at the end: a stream from afar may give less at a time than was asked for."""
    parts = []
    while size > 0 and (part := raw.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
