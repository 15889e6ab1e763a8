"""The JSON Schemas of format 1.0: what is written keeps them, what another tool breaks they refuse."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from exports_app.services.backups import create_backup
from tests.integration.backup_data import make_history
from tests.template_database import ROOT

NAMES = ("golden_dataset_backup", "golden_dataset_metadata")
ID = "3f2b8c1e-0000-4000-8000-00000000000"
FOREIGN: dict[str, Any] = {
    "version": "1.0",
    "created_at": "2026-11-21T02:00:00",
    "metadata": {"total_analyses": 1, "total_chunks": 1, "total_artifacts": 1, "tool": "another"},
    "analyses": [
        {
            "id": f"{ID}1",
            "url": "https://docs.python.org/3/library/json.html",
            "content_type": "article",
            "status": "completed",
            "created_at": "2026-11-20T10:00:00.123456+00:00",
            "findings": [{"agent": "reader", "category": "fact", "content": "c", "confidence": 1}],
            "chunks": [
                {
                    "id": f"{ID}2",
                    "content": "text",
                    "section_title": None,
                    "section_path": "a/b",
                    "content_type": "text",
                    "chunk_index": 0,
                }
            ],
            "artifact": {"id": f"{ID}3", "summary": "s", "key_findings": ["k"], "metadata": {"a": 1}},
        }
    ],
}


def schema(name: str) -> dict[str, Any]:
    found = json.loads((ROOT / "fixtures" / "formats" / f"{name}-1.0.schema.json").read_bytes())
    assert isinstance(found, dict)
    return found


def validator(name: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(schema(name))


@pytest.mark.parametrize("name", NAMES)
def test_schema__itself__keeps_the_meta_schema(name: str) -> None:
    assert jsonschema_rs.meta.is_valid(schema(name))
    assert schema(name)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_schema__backup_of_everything__keeps_it(committed_db: str, tmp_path: Path) -> None:
    make_history(10)
    create_backup(directory=tmp_path, actor=None)
    for name in NAMES:
        document = json.loads((tmp_path / f"{name}.json").read_bytes())
        assert [error.message for error in validator(name).iter_errors(document)] == []
        if name == NAMES[0]:
            assert len(document["analyses"]) == 4
            assert len(document["analyses_not_completed"]) == 2


def test_schema__file_of_another_tool__keeps_it() -> None:
    assert validator(NAMES[0]).is_valid(FOREIGN)
    without = copy.deepcopy(FOREIGN)
    without["analyses"][0]["artifact"] = None
    assert validator(NAMES[0]).is_valid({**without, "of the other tool": [1]})


def changed(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        at: Any = document
        for key in path[:-1]:
            at = at[key]
        if value is KeyError:
            del at[path[-1]]
        else:
            at[path[-1]] = value

    return change


A = ("analyses", 0)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (changed("version", value="2.0"), "/version"),
        (changed("version", value=1.0), "/version"),
        (changed("analyses", value=KeyError), ""),
        (changed("metadata", value=KeyError), ""),
        (changed("metadata", "total_chunks", value=-1), "/metadata/total_chunks"),
        (changed("created_at", value="yesterday"), "/created_at"),
        *((changed(*A, key, value=KeyError), "/analyses/0") for key in FOREIGN["analyses"][0]),
        *(
            (changed(*A, "chunks", 0, key, value=KeyError), "/analyses/0/chunks/0")
            for key in FOREIGN["analyses"][0]["chunks"][0]
        ),
        *(
            (changed(*A, "findings", 0, key, value=KeyError), "/analyses/0/findings/0")
            for key in FOREIGN["analyses"][0]["findings"][0]
        ),
        (changed(*A, "more", value=1), "/analyses/0"),
        (changed(*A, "id", value="17"), "/analyses/0/id"),
        (changed(*A, "url", value=""), "/analyses/0/url"),
        (changed(*A, "status", value="done"), "/analyses/0/status"),
        (changed(*A, "findings", 0, "confidence", value=1.5), "/analyses/0/findings/0/confidence"),
        (changed(*A, "findings", 0, "confidence", value="high"), "/analyses/0/findings/0/confidence"),
        (changed(*A, "chunks", 0, "chunk_index", value=-1), "/analyses/0/chunks/0/chunk_index"),
        (changed(*A, "chunks", 0, "chunk_index", value=0.5), "/analyses/0/chunks/0/chunk_index"),
        (changed(*A, "chunks", 0, "content", value=None), "/analyses/0/chunks/0/content"),
        (changed(*A, "artifact", "key_findings", value={}), "/analyses/0/artifact"),
        (changed(*A, "artifact", "id", value=KeyError), "/analyses/0/artifact"),
    ],
)
def test_schema__broken_document__is_refused_at_its_place(
    change: Callable[[dict[str, Any]], None], where: str
) -> None:
    document = copy.deepcopy(FOREIGN)
    change(document)
    places = {
        "".join(f"/{step}" for step in error.instance_path)
        for error in validator(NAMES[0]).iter_errors(document)
    }
    assert places == {where}


def test_schema__broken_metadata__is_refused() -> None:
    good: dict[str, Any] = {
        "total_analyses": 1,
        "total_chunks": 1,
        "total_artifacts": 0,
        "last_updated": "2026-11-21T02:00:00Z",
        "changes": [{"date": "2026-11-21", "action": "added", "count": 1, "description": "one"}],
    }
    check = validator(NAMES[1])
    assert check.is_valid(good)
    for key in good:
        assert not check.is_valid({k: v for k, v in good.items() if k != key})
    for wrong in ({"action": "renamed"}, {"count": -1}, {"date": 3}, {"more": 1}):
        assert not check.is_valid({**good, "changes": [{**good["changes"][0], **wrong}]})
