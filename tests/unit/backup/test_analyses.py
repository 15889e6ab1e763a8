"""Analyses as they stand in the main file: the layout of json.dumps, exact numbers, ids that occur twice, URLs."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exports_app.backup.analyses import exact, exact_artifact, rendered
from exports_app.backup.census import MAX_NAMED, Census, Ids
from exports_app.backup.opened import DocumentPart, joined_record, loaded_document
from exports_app.errors import DamagedBackup, InvalidBackup
from tests.integration.corpus_data import document, make_id

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.builds(
    lambda content, path, values: document(
        chunks=[{**document()["chunks"][0], "content": content, "section_path": path}],
        artifact={"id": "x", "summary": content, "key_findings": [], "metadata": {"artifact": values}},
    ),
    TEXTS,
    TEXTS,
    VALUES,
)


@given(DOCUMENTS)
def test_rendered__any_document__is_laid_out_as_json_dumps_does(made: dict[str, Any]) -> None:
    whole = json.dumps({"analyses": [made]}, indent=2, ensure_ascii=False).encode()
    assert whole == b'{\n  "analyses": [\n    %s\n  ]\n}' % rendered(made)


@given(st.lists(DOCUMENTS, min_size=1, max_size=3))
def test_document_part__of_what_was_rendered__gives_each_document_back(
    tmp_path_factory: pytest.TempPathFactory, made: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("part") / "main"
    texts = [rendered(one) for one in made]
    path.write_bytes(b"".join(b"    %s,\n" % text for text in texts[:-1]) + b"    %s\n  ],\n" % texts[-1])
    assert list(DocumentPart(len(made), path).records()) == texts
    assert [json.loads(text) for text in texts] == made


@pytest.mark.parametrize("number", ["1.50", "1e400", "-0", "123456789012345678901234567890", "1E-7", "0.1"])
def test_exact_artifact__number__stays_as_it_is_written(number: str) -> None:
    artifact = {"id": "x", "summary": "", "key_findings": [], "metadata": exact(f'{{"n": {number}}}')}
    text = rendered({**document(), "artifact": artifact})
    assert b'"n": %s\n' % number.encode() in text
    found = exact_artifact(text)
    assert found is not None
    assert rendered({**document(), "artifact": found}) == text


def test_exact_artifact__a_chunk_that_looks_like_one__is_not_taken_for_it() -> None:
    chunk = {**document()["chunks"][0], "content": '\n      "artifact": {"id": "forged"}'}
    assert exact_artifact(rendered(document(chunks=[chunk], artifact=None))) is None


def test_loaded_document__number_beyond_every_float__is_read() -> None:
    digits = "1" + "0" * 400
    assert loaded_document(b'{"n": %s, "x": 1e400}' % digits.encode())["n"] == int(digits)


def test_joined_record__of_indented_lines__has_neither_indentation_nor_comma() -> None:
    assert joined_record([b"    {\n", b'      "a": ","\n', b"    },\n"]) == b'{\n      "a": ","\n    }'


def packed(*numbers: int) -> Ids:
    ids = Ids()
    for owner, number in enumerate(numbers):
        ids.add(uuid.UUID(int=number), owner)
    return ids


def test_ids__some_that_occur_again__are_told_with_their_first_owner() -> None:
    # 256 ends in a zero byte, which must not be taken for padding
    found = list(packed(256, 7, 256, 1, 7, 256).repeated())
    assert [(uuid.UUID(bytes=name).int, owner, first) for name, owner, first in found] == [
        (7, 4, 1),
        (256, 2, 0),
        (256, 5, 0),
    ]


def test_ids__what_is_missing__is_told_with_the_owner_that_wants_it() -> None:
    found = list(packed(1, 2, 256).missing(packed(256, 9, 1, 512)))
    assert [(uuid.UUID(bytes=name).int, owner) for name, owner in found] == [(9, 1), (512, 3)]


def census_of(*documents: dict[str, Any]) -> Census:
    census = Census()
    census.begin("analyses")
    for number, one in enumerate(documents):
        census.add(one, f"analyses[{number}]")
        census.add_text(rendered(one))
    return census


def detail(one: dict[str, Any], crc32: str | None, corpus: str = "a") -> bytes:
    return json.dumps({"id": one["id"], "corpus_id": corpus, "analysis_crc32": crc32}).encode()


def test_census__counts__are_of_completed_analyses() -> None:
    census = census_of(document(0), document(1, status="pending"), document(2, artifact=None))
    assert (census.completed, census.chunks, census.artifacts, census.not_completed) == (2, 4, 1, 1)


def test_census__trusted_document__gives_the_same_ids_and_checksums() -> None:
    documents = [document(0), document(1, status="failed"), document(2)]
    trusted = Census()
    for one in documents:
        assert trusted.add_trusted(rendered(one))
        trusted.add_text(rendered(one))
    expected = census_of(*documents).golden()
    assert [a.tolist() for a in trusted.golden()] == [a.tolist() for a in expected]


def test_census__trusted_document_of_another_layout__is_not_taken() -> None:
    assert not Census().add_trusted(json.dumps(document()).encode())


def test_census__wrong_checksum_of_an_analysis__names_it() -> None:
    with pytest.raises(DamagedBackup, match=f"Analysis {document()['id']} does not match its checksum"):
        census_of(document()).check_details(iter([detail(document(), "00000000")]))


def test_census__details_of_no_analysis__are_found() -> None:
    census = census_of(document())
    census.check_details(iter([detail(document(5), None)]))
    assert census.all_findings() == [f"analysis {document(5)['id']}: its details are there, and it is not"]


@pytest.mark.parametrize(("corpora", "count"), [(("a", "a"), 1), (("a", "b"), 0)])
def test_census__one_url_twice__is_found_within_a_corpus(corpora: tuple[str, str], count: int) -> None:
    twin = document(1, url=document(0)["url"])
    census = census_of(document(0), twin)
    details = [detail(one, None, c) for one, c in zip((document(0), twin), corpora, strict=True)]
    census.check_details(iter(sorted(details, key=lambda line: json.loads(line)["id"])))
    assert len(census.all_findings()) == count


def test_census__more_findings_than_are_named__are_counted() -> None:
    census = Census()
    for number in range(MAX_NAMED + 7):
        census.find(str(number))
    assert census.all_findings()[-1] == "… and 7 more"


def test_census__an_id_twice__is_refused_where_it_stands() -> None:
    census = census_of(document(0))
    census.begin("analyses_not_completed")
    census.add(document(0, status="failed"), "x")
    told = rf"analyses_not_completed\[0\]: duplicate record: id {make_id('document', 0)}"
    with pytest.raises(InvalidBackup, match=told):
        census.refuse_repeated(Path("main"))
