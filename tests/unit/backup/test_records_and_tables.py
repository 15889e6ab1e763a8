"""Sealed lines, cutting into shards, and that no table or column is left out."""

from __future__ import annotations

import json

import pytest
from django.apps import apps
from hypothesis import given
from hypothesis import strategies as st

from exports_app.backup.analyses import ANALYSIS_KEYS, IN_DOCUMENTS, NOT_IN_DOCUMENTS
from exports_app.backup.label_tables import NOT_IN_LABEL_BACKUP
from exports_app.backup.records import checked, parsed, seal, unsealed
from exports_app.backup.tables import BY_NAME, NOT_IN_BACKUP, SECTIONS, id_spaces
from exports_app.backup.writing import _cut_by_block, _cut_by_count, _cut_by_prefix, prefix_digits
from exports_app.errors import DamagedBackup, InvalidBackup

RECORDS = st.dictionaries(st.text(), st.none() | st.integers() | st.text(), min_size=1).map(
    lambda d: json.dumps(d, ensure_ascii=False).encode("utf-8", "surrogatepass")
)


def test_seal__known_record__has_the_known_checksum() -> None:
    # the check value that is published with CRC-32 (PNG, gzip, zlib): of the digits 1 to 9 it is cbf43926
    assert seal(b"123456789") == b'12345678,"crc32":"cbf43926"}'


@given(RECORDS)
def test_unsealed__of_a_sealed_record__is_the_record(record: bytes) -> None:
    assert unsealed(seal(record)) == record


@given(RECORDS, st.data())
def test_unsealed__any_flipped_bit__is_none(record: bytes, data: st.DataObject) -> None:
    line = bytearray(seal(record))
    at = data.draw(st.integers(0, len(line) - 1))
    line[at] ^= 1 << data.draw(st.integers(0, 7))
    assert unsealed(bytes(line)) is None


def test_checked__wrong_checksum__names_the_place() -> None:
    with pytest.raises(DamagedBackup, match="file:7: the record does not match its checksum"):
        checked(b'{"a":1,"crc32":"00000000"}', "file:7", ())


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"a":1}', "file:7: the field “b” is missing"),
        (b"[1]", "file:7: found list, expected an object"),
        (b"{", "file:7: found a line that is no JSON"),
    ],
)
def test_parsed__wrong_record__names_place_and_fault(line: bytes, told: str) -> None:
    with pytest.raises(InvalidBackup, match=told):
        parsed(line, "file:7", ("a", "b"))


@pytest.mark.parametrize(
    ("count", "digits"), [(0, 0), (100, 0), (101, 1), (1600, 1), (1601, 2), (25_600, 2), (25_601, 3)]
)
def test_prefix_digits__count__keeps_shards_within_100(count: int, digits: int) -> None:
    assert prefix_digits(count, 100) == digits


def test_cut_by_prefix__sorted_records__gives_a_shard_for_each_first_digit() -> None:
    records = [b'{"id":"0a"}', b'{"id":"0b"}', b'{"id":"3c"}', b'{"id":"ff"}']
    at = len('{"id":"')
    cut = [(label, list(group)) for label, group in _cut_by_prefix(iter(records), at, 1)]
    assert cut == [("0", records[:2]), ("3", records[2:3]), ("f", records[3:])]
    assert [(label, list(group)) for label, group in _cut_by_prefix(iter(records), at, 0)] == [
        ("all", records)
    ]


def test_cut_by_count__five_records__gives_three_shards_of_two() -> None:
    records = [bytes([48 + n]) for n in range(5)]
    cut = [(label, list(group)) for label, group in _cut_by_count(iter(records), 2, "2026-05-")]
    assert [label for label, _ in cut] == ["2026-05-0001", "2026-05-0002", "2026-05-0003"]
    assert [record for _, group in cut for record in group] == records


def test_cut_by_block__a_record_that_goes__leaves_the_other_shards_alone() -> None:
    records = [b'{"id":%d,"x":0}' % number for number in (1, 7, 99, 100, 250, 1999)]
    at = len('{"id":')
    cut = {label: list(group) for label, group in _cut_by_block(iter(records), at, 100)}
    assert cut == {
        "000000": records[:3],
        "000001": records[3:4],
        "000002": records[4:5],
        "000019": records[5:],
    }
    again = {label: list(group) for label, group in _cut_by_block(iter(records[1:]), at, 100)}
    assert {label for label in cut if cut[label] != again[label]} == {"000000"}


def test_sections__every_model_of_datasets__is_in_the_backup_or_left_out_by_name() -> None:
    models = {
        model.__name__ for model in apps.get_app_config("datasets_app").get_models(include_auto_created=True)
    }
    saved = {section.label for section in SECTIONS} | set(IN_DOCUMENTS)
    assert saved & set(NOT_IN_BACKUP) == set()
    assert models - saved - set(NOT_IN_BACKUP) == set()


def test_sections__every_model_of_labels__is_in_the_backup_or_left_out_by_name() -> None:
    models = {model.__name__ for model in apps.get_app_config("labeling_app").get_models()}
    saved = {section.label for section in SECTIONS if section.app == "labeling_app"}
    assert saved & set(NOT_IN_LABEL_BACKUP) == set()
    assert models == saved | set(NOT_IN_LABEL_BACKUP)


def test_sections__every_column__is_in_the_record_or_left_out_by_name() -> None:
    for section in SECTIONS:
        columns = {field.column for field in section.model._meta.concrete_fields}
        assert {c.column for c in section.columns()} | set(section.leave_out) == columns, section.name


@pytest.mark.parametrize(
    ("label", "keys"),
    [
        ("Analysis", (*ANALYSIS_KEYS[:5], "corpus_id", "url_violation")),
        ("Finding", ("id", "position", "agent", "category", "content", "confidence")),
        ("Chunk", ("id", "content", "section_title", "section_path", "content_type", "chunk_index")),
        ("Artifact", ("id", "summary", "key_findings", "metadata")),
    ],
)
def test_documents__every_column__is_in_the_document_or_its_details_or_left_out_by_name(
    label: str, keys: tuple[str, ...]
) -> None:
    columns = {field.column for field in apps.get_model("datasets_app", label)._meta.concrete_fields}
    assert {*keys, *NOT_IN_DOCUMENTS[label]} == columns


@pytest.mark.parametrize("name", [s.name for s in SECTIONS if s.by_prefix or s.by_block])
def test_sections__cut_by_their_leading_field__lead_with_the_field_that_is_cut_by(name: str) -> None:
    section = BY_NAME[name]
    assert section.required_keys()[0] == section.key[0]
    assert section.order.startswith(f"t.{section.key[0]}")


def test_id_spaces__a_table_and_its_history__share_their_numbers() -> None:
    assert id_spaces()["Branch"] == ("datasets_app_branch", "datasets_app_historicalbranch")
