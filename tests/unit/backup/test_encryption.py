"""Encrypted archives: what was written comes back, and nothing else does."""

from __future__ import annotations

import base64
import io
import random
import tracemalloc

import pytest

from exports_app.backup import encryption
from exports_app.backup.encryption import SEGMENT_BYTES, Decrypting, Encrypting, Secrets, secrets_of
from exports_app.errors import DamagedBackup, MissingKey, WrongKey

KEY = Secrets(key=bytes(range(32)))
PHRASE = Secrets(passphrase="twelve or more of them")
HEADER = 51 + 32
SEALED = SEGMENT_BYTES + 16


def encrypted(text: bytes, secrets: Secrets = KEY, chunk: int = 10_000) -> bytes:
    raw = io.BytesIO()
    file = Encrypting(raw, secrets)
    for at in range(0, len(text), chunk):
        file.write(text[at : at + chunk])
    file.finish()
    return raw.getvalue()


def decrypted(data: bytes, secrets: Secrets = KEY) -> bytes:
    return io.BufferedReader(Decrypting(io.BytesIO(data), secrets, "a.enc")).read()


@pytest.mark.parametrize(
    "size", [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 3 * SEGMENT_BYTES]
)
@pytest.mark.parametrize("chunk", [777, SEGMENT_BYTES, 10 * SEGMENT_BYTES])
def test_encrypting__any_size__comes_back_and_is_as_long_as_it_must_be(size: int, chunk: int) -> None:
    text = random.Random(size).randbytes(size)
    data = encrypted(text, chunk=chunk)
    assert decrypted(data) == text
    assert len(data) == HEADER + size + 16 * max(1, -(-size // SEGMENT_BYTES))
    assert size < 64 or text[:64] not in data


def test_encrypting__the_same_twice__differs_in_every_segment() -> None:
    one, two = encrypted(b"x" * 100), encrypted(b"x" * 100)
    assert one[HEADER:] != two[HEADER:]


def test_decrypting__by_the_layout_told__needs_nothing_of_this_module() -> None:
    """Written down with primitives alone: a backup must open without this project."""
    import hashlib
    import hmac

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    text = bytes(SEGMENT_BYTES) + b"the end"
    data = encrypted(text, PHRASE)
    header, body = data[:HEADER], data[HEADER:]
    assert (header[:8], header[8], tuple(header[9:12])) == (b"GOLDENC1", 1, (17, 8, 1))
    salt, prefix, proof = header[12:44], header[44:51], header[51:]
    main = hashlib.scrypt(PHRASE.passphrase.encode(), salt=salt, n=2**17, r=8, p=1, maxmem=2**28, dklen=32)
    keys = HKDF(algorithm=SHA256(), length=64, salt=salt, info=b"golden backup archive 1").derive(main)
    assert hmac.digest(keys[32:], header[:51], "sha256") == proof
    first = AESGCM(keys[:32]).decrypt(prefix + bytes(5), body[:SEALED], header)
    last = AESGCM(keys[:32]).decrypt(prefix + b"\0\0\0\1\1", body[SEALED:], header)
    assert first + last == text


def test_decrypting__wrong_key__is_told_before_anything_is_read() -> None:
    with pytest.raises(
        WrongKey, match="a.enc: GOLDEN_BACKUP_KEY is not what this archive was encrypted with"
    ):
        Decrypting(io.BytesIO(encrypted(b"x")), Secrets(key=bytes(32)), "a.enc")


def test_decrypting__wrong_passphrase__is_told() -> None:
    with pytest.raises(WrongKey, match="GOLDEN_BACKUP_PASSPHRASE is not what"):
        decrypted(encrypted(b"x", PHRASE), Secrets(passphrase="twelve or more of it"))


def test_decrypting__no_key__says_which_variable_is_needed() -> None:
    with pytest.raises(MissingKey, match="GOLDEN_BACKUP_KEY is not set"):
        decrypted(encrypted(b"x"), PHRASE)
    with pytest.raises(MissingKey, match="GOLDEN_BACKUP_PASSPHRASE is not set"):
        decrypted(encrypted(b"x", PHRASE), KEY)


def test_decrypting__cut_anywhere__never_ends_well() -> None:
    data = encrypted(random.Random(1).randbytes(3 * SEGMENT_BYTES))
    ends = [0, 7, HEADER - 1, HEADER, HEADER + 16, HEADER + SEALED, HEADER + 2 * SEALED, len(data) - 1]
    for end in ends:
        with pytest.raises(DamagedBackup):
            decrypted(data[:end])


def test_decrypting__segments_moved_doubled_left_out_or_of_another_archive__is_refused() -> None:
    text = random.Random(2).randbytes(3 * SEGMENT_BYTES)
    data, other = encrypted(text), encrypted(text)
    head, (a, b, c) = data[:HEADER], [data[HEADER + n * SEALED :][:SEALED] for n in range(3)]
    foreign = other[HEADER + SEALED :][:SEALED]
    for parts in ([b, a, c], [a, a, c], [a, c], [a, b, c, c], [a, foreign, c], [a, b, c, b"x"], [c]):
        with pytest.raises(DamagedBackup, match="segment"):
            decrypted(head + b"".join(parts))
    assert decrypted(head + a + b + c) == text


def test_decrypting__any_flipped_bit__is_refused() -> None:
    data = encrypted(random.Random(3).randbytes(SEGMENT_BYTES + 100))
    chance = random.Random(4)
    places = [*range(HEADER), *(chance.randrange(HEADER, len(data)) for _ in range(60))]
    for place in places:
        changed = bytearray(data)
        changed[place] ^= 1 << chance.randrange(8)
        with pytest.raises((DamagedBackup, WrongKey, MissingKey)):
            decrypted(bytes(changed))


def test_decrypting__header_that_would_eat_all_memory__is_refused() -> None:
    data = bytearray(encrypted(b"x", PHRASE))
    data[9] = 40
    with pytest.raises(DamagedBackup, match="header"):
        decrypted(bytes(data), PHRASE)


def test_encrypting__much__takes_flat_memory() -> None:
    class Nowhere:
        def write(self, data: bytes) -> None:
            pass

    file = Encrypting(Nowhere(), KEY)  # type: ignore[arg-type]
    block = bytes(1 << 20)
    tracemalloc.start()
    for _ in range(64):
        file.write(block)
    file.finish()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_secrets_of__environment__is_read_and_never_shown() -> None:
    text = encryption.fresh_key()
    secrets = secrets_of({"GOLDEN_BACKUP_KEY": text, "GOLDEN_BACKUP_PASSPHRASE": "hush"})
    assert secrets.key == base64.b64decode(text)
    assert repr(secrets) == "Secrets(key=***, passphrase=***)"
    assert secrets_of({}) == Secrets()


@pytest.mark.parametrize("text", ["hush", "AAAA", "ä" * 44])
def test_secrets_of__no_key__is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(MissingKey, match=f"found {len(text)} characters that are not base64") as caught:
        secrets_of({"GOLDEN_BACKUP_KEY": text})
    assert text not in str(caught.value)


def test_encrypting__nothing_or_too_little_given__is_refused() -> None:
    with pytest.raises(MissingKey, match="must be in the environment"):
        Encrypting(io.BytesIO(), Secrets())
    with pytest.raises(MissingKey, match="at least 12 characters"):
        Encrypting(io.BytesIO(), Secrets(passphrase="short"))
