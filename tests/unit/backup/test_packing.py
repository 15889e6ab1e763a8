"""Archives: the same bytes for the same folder; what is unpacked is what a backup holds, whatever the archive says."""

from __future__ import annotations

import gzip
import io
import os
import random
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exports_app.backup.encryption import Secrets
from exports_app.backup.packing import Packing, archive_moment, archive_name, pack, unpack
from exports_app.errors import DamagedBackup, DiskFull, InvalidBackup, MissingKey

KEY = Secrets(key=bytes(32))
MAIN, METADATA = "golden_dataset_backup.json", "golden_dataset_metadata.json"
SHARD = "golden_dataset_shards/examples/0-0123456789abcdef.jsonl"
PACKINGS = [Packing("none"), Packing("gzip"), Packing("zstd"), Packing("zstd", KEY), Packing("none", KEY)]
every_packing = pytest.mark.parametrize(
    "packing", PACKINGS, ids=lambda p: f"{p.compression} {bool(p.secrets)}"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "backup"
    (folder / SHARD).parent.mkdir(parents=True)
    (folder / MAIN).write_bytes(b'{"version": "1.0"}\n' * 5000)
    (folder / METADATA).write_bytes(b"{}\n")
    (folder / SHARD).write_bytes(random.Random(1).randbytes(300_000))
    (folder / "notes of somebody.txt").write_bytes(b"not ours")
    return folder


def packed(folder: Path, packing: Packing) -> bytes:
    raw = io.BytesIO()
    pack(folder, raw, packing)
    return raw.getvalue()


def unpacked(data: bytes, folder: Path, secrets: Secrets = KEY) -> dict[str, bytes]:
    folder.mkdir()
    unpack(io.BytesIO(data), folder, secrets, "x.tar")
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@every_packing
def test_pack__folder__comes_back_without_what_is_not_ours(
    folder: Path, tmp_path: Path, packing: Packing
) -> None:
    found = unpacked(packed(folder, packing), tmp_path / "out")
    assert found == {name: (folder / name).read_bytes() for name in (MAIN, METADATA, SHARD)}


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_pack__the_same_folder_later__gives_the_same_bytes(folder: Path, compression: str) -> None:
    before = packed(folder, Packing(compression))
    for path in folder.rglob("*"):
        path.chmod(0o700)
        os.utime(path, (1, 1))
    assert packed(folder, Packing(compression)) == before


def test_pack__order__has_the_main_file_last(folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(packed(folder, Packing("none")))) as tar:
        assert tar.getnames() == [SHARD, METADATA, MAIN]
        assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in tar} == {(0, 0, 0, "", 0o644)}


@every_packing
def test_unpack__cut_anywhere__is_refused(folder: Path, tmp_path: Path, packing: Packing) -> None:
    data = packed(folder, packing)
    chance = random.Random(2)
    # a tar ends with zeros that say nothing; in front of them lies the main file
    last = len(data) - (20_480 if packing == Packing("none") else 1)
    for number, end in enumerate([0, 1, 600, last, *(chance.randrange(last) for _ in range(6))]):
        with pytest.raises(DamagedBackup):
            unpacked(data[:end], tmp_path / str(number))


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_unpack__flipped_bits_in_compressed_archives__are_refused_or_harmless(
    folder: Path, tmp_path: Path, compression: str
) -> None:
    data, chance = packed(folder, Packing(compression)), random.Random(3)
    good = unpacked(data, tmp_path / "good")
    for number in range(20):
        changed = bytearray(data)
        changed[chance.randrange(20, len(data))] ^= 1 << chance.randrange(8)
        try:
            found = unpacked(bytes(changed), tmp_path / str(number))
        except (DamagedBackup, InvalidBackup):
            continue
        # zstd as pyarrow writes it has no checksum: then the checksums of the backup itself find it
        assert found.keys() == good.keys() and (compression == "zstd" or found == good)


def tar_of(*members: tarfile.TarInfo | str) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for member in members:
            if isinstance(member, str):
                member = tarfile.TarInfo(member)
                member.size = 3
            tar.addfile(member, io.BytesIO(b"abc") if member.isreg() else None)
    return raw.getvalue()


def link(kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(MAIN)
    member.type, member.linkname = kind, "/etc/passwd"
    return member


@pytest.mark.parametrize(
    "member",
    [
        "../golden_dataset_backup.json",
        "/golden_dataset_backup.json",
        "golden_dataset_shards/../golden_dataset_backup.json",
        "golden_dataset_shards/examples/../../x.jsonl",
        "golden_dataset_backup.json\n",
        ".golden-backup-ready/golden_dataset_backup.json",
        "anything",
        *(link(kind) for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)),
        link(tarfile.DIRTYPE),
    ],
    ids=lambda member: member if isinstance(member, str) else f"type {member.type.decode()}",
)
def test_unpack__member_that_no_backup_has__is_refused_and_not_written(
    tmp_path: Path, member: tarfile.TarInfo | str
) -> None:
    with pytest.raises(InvalidBackup, match="which is no file of a backup"):
        unpacked(tar_of(member, METADATA), tmp_path / "out")
    assert [path for path in tmp_path.rglob("*") if path.name != "out"] == []


def test_unpack__member_twice__is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidBackup, match="twice"):
        unpacked(tar_of(MAIN, MAIN), tmp_path / "out")


def test_unpack__no_main_file__is_refused(tmp_path: Path) -> None:
    with pytest.raises(DamagedBackup, match=f"ends before {MAIN}"):
        unpacked(tar_of(METADATA), tmp_path / "out")


def test_unpack__more_than_the_disk_holds__is_refused_before_it_is_written(tmp_path: Path) -> None:
    member = tarfile.TarInfo(MAIN)
    member.size = 1 << 60
    data = gzip.compress(member.tobuf(tarfile.PAX_FORMAT) + bytes(100_000))
    with pytest.raises(DiskFull, match="there is no room"):
        unpacked(data, tmp_path / "out")


@pytest.mark.parametrize("data", [b"", b"hello", b"\x1f\x8bhello", b"\x28\xb5\x2f\xfdhello", b"x" * 5000])
def test_unpack__no_archive__is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(DamagedBackup):
        unpacked(data, tmp_path / "out")


def test_unpack__damage_below_the_compression__is_told_as_what_it_is(folder: Path, tmp_path: Path) -> None:
    data = bytearray(packed(folder, Packing("zstd", KEY)))
    data[200_000] ^= 1
    with pytest.raises(DamagedBackup, match=r"x.tar: the archive was changed: segment 4 is not what"):
        unpacked(bytes(data), tmp_path / "out")
    with pytest.raises(MissingKey):
        unpacked(bytes(data), tmp_path / "none", Secrets())


def test_archive_name__moment__comes_back() -> None:
    moment = datetime(2026, 11, 21, 2, 0, 0, tzinfo=UTC)
    names = [archive_name(moment, packing) for packing in PACKINGS]
    assert names[0] == "golden-backup-20261121T020000Z.tar"
    assert names[3] == "golden-backup-20261121T020000Z.tar.zst.enc"
    assert {archive_moment(name) for name in names} == {moment}
    for other in (
        "golden-backup-20261341T020000Z.tar",
        "golden-backup.tar",
        names[0] + ".part",
        "x" + names[0],
    ):
        assert archive_moment(other) is None
